#!/usr/bin/python3
"""The contract's worked examples, held against the model before the model judges the engine."""

import unittest
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from books import Books
from model import MAX, Campaign, Payment, Program, Rate, Refund, Refused, midnight

UTC = timezone.utc
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)
UNIT = 1_000_000


class Case(unittest.TestCase):
    def program(self, rates=None, tree="a<b b<c c<d", **config):
        """rates: {level: bps} or full keys; tree: 'referrer<invitee' pairs."""
        p = Program(**{"max_level": 3, "hold_days": 0, **config})
        for key, bps in (rates or {}).items():
            p.rates[key if isinstance(key, tuple) else (0, 0, key)] = Rate(bps, 0, None)
        for edge in tree.split():
            self.refer(p, *edge.split("<"))
        self.paid = 0
        return p

    def join(self, p, user):
        if user not in p.members:
            p.enroll(user)
            p.add_code(f"code-{user}", user)

    def refer(self, p, referrer, invitee, at=START, code=None):
        self.join(p, referrer)
        if invitee in p.members:
            self.join(p, invitee)
        reason = p.attribute(invitee, code or f"code-{referrer}", at)
        if p.members[invitee].code is None:
            p.add_code(f"code-{invitee}", invitee)
        return reason

    def pay(self, p, user, amount, base=None, kind="purchase", at=START + DAY):
        self.paid += 1
        payment = Payment(f"p{self.paid}", user, amount, base, kind, at)
        before = len(p.rewards)
        p.write([payment], NOW)
        return {r.member: r.amount for r in p.rewards[before:]}


class Arithmetic(Case):
    def test_worked_example_of_levels(self):
        p = self.program({1: 1500, 2: 400, 3: 100})
        self.assertEqual(self.pay(p, "d", 2000), {"c": 300, "b": 80, "a": 20})
        self.assertEqual(self.pay(p, "d", 1999), {"c": 299, "b": 79, "a": 19})

    def test_base_is_what_commission_is_computed_on(self):
        p = self.program({1: 1000})
        self.assertEqual(self.pay(p, "b", 100, base=50), {"a": 5})
        self.assertEqual(p.members["a"].volume[1], 100)

    def test_level_zero_and_flat(self):
        p = self.program()
        p.rates[0, 0, 0] = Rate(0, 7, None)
        p.rates[0, 0, 1] = Rate(1, 3, None)
        self.assertEqual(self.pay(p, "b", 9999), {"b": 7, "a": 3})
        self.assertEqual(self.pay(p, "b", 10000), {"b": 7, "a": 4})

    def test_nothing_makes_no_row(self):
        p = self.program({1: 1})
        self.assertEqual(self.pay(p, "b", 9999), {})
        self.assertEqual(p.attributions["b"].earning_payments, 1)
        self.assertEqual(p.status(p.attributions["b"], NOW), "qualified")

    def test_edges_of_bigint(self):
        p = self.program({1: 10000}, tree="a<b c<d")
        self.assertEqual(self.pay(p, "b", MAX), {"a": MAX})
        p.rates[0, 0, 1] = Rate(10001, 0, None)
        for amount, base in (MAX, None), (-1, None), (5, -1), (1, MAX):
            before = p.save()
            with self.assertRaisesRegex(Refused, "22003"):
                self.pay(p, "d", amount, base)
            self.assertEqual(p.save(), before)

    def test_sum_of_a_member_on_a_level(self):
        p = self.program({1: 10000}, tree="a<b a<c x<y")
        self.pay(p, "b", 0, base=MAX)
        with self.assertRaisesRegex(Refused, "22003"):
            self.pay(p, "c", 0, base=1)
        self.assertEqual(self.pay(p, "y", 0, base=1), {"x": 1})

    def test_future_is_refused(self):
        p = self.program()
        with self.assertRaisesRegex(Refused, "22008"):
            self.pay(p, "b", 1, at=NOW + DAY + timedelta(microseconds=1))
        self.pay(p, "b", 1, at=NOW + DAY)

    def test_a_statement_is_all_or_nothing(self):
        p = self.program({1: 1000})
        before = p.save()
        rows = [Payment(str(i), "b", amount, None, "purchase", START) for i, amount in
                enumerate((100, 100, -1))]
        with self.assertRaises(Refused):
            p.write(rows, NOW)
        self.assertEqual(p.save(), before)


class Tiers(Case):
    def test_worked_example_of_thresholds(self):
        p = self.program({(0, 1, 1): 1000, (0, 2, 1): 1500}, tree="")
        p.set_tiers({1: ("basic", 0), 2: ("gold", 3)})
        for invitee in "ABC":
            self.refer(p, "r", invitee)
        for invitee in "ABC":
            self.assertEqual(self.pay(p, invitee, 100 * UNIT), {"r": 10 * UNIT})
        self.assertEqual(self.pay(p, "A", 100 * UNIT), {"r": 15 * UNIT})

    def test_within_one_statement_as_if_alone(self):
        p = self.program({(0, 1, 1): 1000, (0, 2, 1): 1500}, tree="")
        p.set_tiers({1: ("basic", 0), 2: ("gold", 1)})
        self.refer(p, "r", "A")
        p.write([Payment(str(i), "A", 100, None, "purchase", START) for i in (1, 2)], NOW)
        self.assertEqual([r.amount for r in p.rewards], [10, 15])

    def test_never_down_by_itself(self):
        p = self.program({1: 1000}, tree="a<b")
        p.set_tiers({1: ("basic", 0), 2: ("gold", 1)})
        self.pay(p, "b", 1)
        p.set_tiers({1: ("basic", 0), 2: ("gold", 9)})
        self.assertEqual(p.tier(p.members["a"]), 2)

    def test_pinned_until_given_back(self):
        p = self.program({1: 1000}, tree="a<b")
        p.set_tiers({1: ("basic", 0), 2: ("gold", 1)})
        self.assertEqual(p.set_tier("a", 1), (1, 1))
        self.pay(p, "b", 1)
        self.assertEqual(p.tier(p.members["a"]), 1)
        self.assertEqual(p.set_tier("a", None), (1, 2))
        with self.assertRaisesRegex(Refused, "22023"):
            p.set_tier("a", 3)

    def test_not_automatic(self):
        p = self.program({1: 1000}, tree="a<b", auto_tier=False)
        p.set_tiers({1: ("basic", 0), 2: ("gold", 1)})
        self.pay(p, "b", 1)
        self.assertEqual(p.tier(p.members["a"]), 1)


class Rates(Case):
    def test_most_specific_first_and_alone(self):
        p = self.program({(0, 0, 1): 100, (0, 1, 1): 200, (1, 0, 1): 300, (1, 1, 1): 400})
        p.set_tiers({1: ("basic", 0), 2: ("gold", 5)})
        found = [p.rate(c, t, 1).bps for c, t in ((2, 2), (2, 1), (1, 2), (1, 1))]
        self.assertEqual(found, [100, 200, 300, 400])
        self.assertIsNone(p.rate(1, 1, 2))

    def test_first_payments_only_and_no_second_choice(self):
        p = self.program({1: 100}, tree="a<b")
        p.set_tiers({1: ("basic", 0)})
        p.rates[0, 1, 1] = Rate(1000, 0, 2)
        self.assertEqual(self.pay(p, "b", 100), {"a": 10})
        self.assertEqual(self.pay(p, "b", 0), {})           # earns nothing, counts as none
        self.assertEqual(self.pay(p, "b", 100), {"a": 10})
        self.assertEqual(self.pay(p, "b", 100), {})


class Caps(Case):
    def test_cap_of_a_code(self):
        p = self.program({1: 1000}, tree="a<b a<c a<d")
        p.codes["code-a"].cap = 2
        self.assertEqual([self.pay(p, u, 100) for u in "bcd"], [{"a": 10}, {"a": 10}, {}])
        self.assertEqual(p.status(p.attributions["d"], NOW), "capped")
        self.assertEqual((p.codes["code-a"].used, p.members["d"].volume[0]), (2, 0))
        self.assertEqual(self.refer(p, "a", "e"), "cap_reached")
        p.codes["code-a"].cap = 9
        self.assertEqual(self.pay(p, "d", 100), {})          # capped is final
        self.assertEqual(self.pay(p, "c", 100), {"a": 10})   # the qualified go on

    def test_monthly_cap_is_of_the_local_month(self):
        p = self.program({1: 1000}, tree="a<b a<c a<d", referrer_monthly_cap=1,
                         time_zone="Asia/Tokyo")
        at = datetime(2024, 1, 31, 14, 59, 59, tzinfo=UTC)   # 23:59:59 in Tokyo
        self.assertEqual(self.pay(p, "b", 100, at=at), {"a": 10})
        self.assertEqual(self.pay(p, "c", 100, at=at + timedelta(seconds=1)), {"a": 10})
        self.assertEqual(self.pay(p, "d", 100, at=at), {})
        self.assertTrue(p.attributions["d"].capped)

    def campaign(self, **limits):
        p = self.program({1: 1000}, tree="a<x", referrer_monthly_cap=1)
        p.campaigns[1] = Campaign(START, START + DAY, **limits)
        p.add_code("summer", "a", "campaign", 1)
        for invitee in "bcd":
            self.refer(p, "a", invitee, code="SUMMER")
        return p

    def test_campaign_replaces_the_monthly_cap(self):
        p = self.campaign(monthly_cap=2)
        self.assertEqual([self.pay(p, u, 100) for u in "bcd"], [{"a": 10}, {"a": 10}, {}])
        p = self.campaign()
        self.assertEqual([self.pay(p, u, 100) for u in "bcd"], [{"a": 10}, {}, {}])

    def test_budget(self):
        p = self.campaign(monthly_cap=9, budget=25)
        self.assertEqual(self.pay(p, "b", 100), {"a": 10})
        self.assertEqual(self.pay(p, "c", 160), {})          # 16 do not fit into 15
        self.assertEqual(p.status(p.attributions["c"], NOW), "qualified")
        self.assertEqual(p.unrewarded, {"p2": "budget_used_up"})
        self.assertEqual(self.pay(p, "b", 150), {"a": 15})
        self.assertEqual(self.pay(p, "d", 100), {})
        self.assertEqual(p.status(p.attributions["d"], NOW), "capped")
        self.assertEqual(p.campaigns[1].spent, 25)


class Attributions(Case):
    def test_reasons(self):
        p = self.program(tree="a<b b<c")
        p.campaigns[1] = Campaign(START, START + DAY)
        p.add_code("old", "c", "campaign", 1)
        p.add_code("full", "c", "custom", cap=0)
        p.set_slug("b", " My-Slug ")
        p.capture("code-c", "k", START, *[None] * 6)
        for user, code, at, click, reason in (
                ("z", "none", START, None, "unknown_code"),
                ("c", "CODE-C", START, None, "self_referral"),
                ("c", "code-a", START, None, "already_attributed"),
                ("a", "code-c", START, None, "cycle"),
                ("z", "old", START + DAY, None, "campaign_inactive"),
                ("z", "code-c", START + 30 * DAY, "k", "click_expired"),
                ("z", "full", START, None, "cap_reached")):
            self.assertEqual(p.refusal(user, code, at, click), reason)
        p.remove_slug("b")
        self.assertEqual(p.refusal("z", "my-slug", START), "code_disabled")
        p.members["c"].suspended = True
        self.assertEqual(p.refusal("z", "code-c", START), "code_disabled")
        self.assertNotIn("z", p.members)
        self.assertEqual(p.attribute("z", "code-c", START), "code_disabled")
        self.assertIn("z", p.members)

    def test_expiry_and_windows(self):
        p = self.program({1: 1000}, tree="a<b a<c a<d", qualify_days=10, earning_days=20)
        self.assertEqual(self.pay(p, "b", 100, at=START + 10 * DAY), {})
        self.assertEqual((p.status(p.attributions["b"], NOW), p.members["a"].volume[1]),
                         ("expired", 0))
        self.assertEqual(self.pay(p, "c", 100, at=START + 9 * DAY), {"a": 10})
        self.assertEqual(self.pay(p, "c", 100, at=START + 20 * DAY), {})
        self.assertEqual(p.members["a"].volume[1], 200)
        self.assertEqual(self.pay(p, "d", 100, at=START - DAY), {})
        self.assertEqual(p.members["a"].volume[1], 300)

    def test_deposits_and_inactive_programs_earn_nothing(self):
        p = self.program({1: 1000})
        self.assertEqual(self.pay(p, "b", 100, kind="deposit"), {})
        p.configure(active=False)
        self.assertEqual(self.pay(p, "b", 50), {})
        self.assertEqual((p.members["a"].deposits[1], p.members["a"].volume[1]), (100, 50))
        self.assertEqual(p.status(p.attributions["b"], NOW), "attributed")

    def test_suspended_level_is_skipped_not_passed_up(self):
        p = self.program({1: 1000, 2: 500})
        p.members["c"].suspended = True
        self.assertEqual(self.pay(p, "d", 100), {"b": 5})
        self.assertEqual(p.members["c"].volume[1], 100)

    def test_late_attribution(self):
        p = self.program({1: 1000, 2: 500}, tree="b<c")
        self.pay(p, "c", 100)
        self.refer(p, "a", "b")
        self.pay(p, "c", 100)
        stats = Books(p, NOW).level_stats("a")
        self.assertEqual([(s["members"], s["volume_micro"], s["earnings_micro"]) for s in stats],
                         [(1, 0, 0), (1, 100, 5), (0, 0, 0)])


class Holds(Case):
    def available(self, zone, days, *at):
        p = Program(time_zone=zone, hold_days=days)
        return p.available_at(datetime(*at, tzinfo=ZoneInfo(zone)).astimezone(UTC))

    def local(self, zone, *at):
        return datetime(*at, tzinfo=ZoneInfo(zone))

    def test_rounded_up_to_local_midnight(self):
        zone = "Europe/Berlin"
        self.assertEqual(self.available(zone, 30, 2024, 3, 1, 12), self.local(zone, 2024, 4, 1))
        self.assertEqual(self.available(zone, 30, 2024, 3, 1), self.local(zone, 2024, 3, 31))
        self.assertEqual(self.available(zone, 1, 2024, 3, 30, 0, 0, 0, 1),
                         self.local(zone, 2024, 4, 1))
        at = (2024, 3, 1, 12, 30, 0, 1)
        self.assertEqual(self.available(zone, 0, *at), self.local(zone, *at))

    def test_midnight_that_is_missing_or_double(self):
        self.assertEqual(midnight(date(2024, 9, 8), ZoneInfo("America/Santiago")),
                         datetime(2024, 9, 8, 4, tzinfo=UTC))
        self.assertEqual(midnight(date(2024, 11, 3), ZoneInfo("America/Havana")),
                         datetime(2024, 11, 3, 5, tzinfo=UTC))

    def test_pending_becomes_available_without_anybody(self):
        p = self.program({1: 1000}, tree="a<b", hold_days=1)
        self.pay(p, "b", 100, at=START)
        for at, status in (START + DAY - timedelta(microseconds=1), "pending"), (START + DAY, "available"):
            balance = Books(p, at).overview("a")["balance"]
            self.assertEqual((balance[f"{status}_micro"], balance["lifetime_micro"]), (10, 10))
            self.assertEqual(Books(p, at).list_rewards("a")[0]["status"], status)


class MoneyCase(Case):
    """A reward whose hold is over is "available", one of LATER is still pending at NOW."""
    LATER = NOW + DAY

    def setUp(self):
        self.refunds = 0

    def refund(self, p, payment_id, *amounts):
        rows = []
        for amount in amounts:
            self.refunds += 1
            rows.append(Refund(f"r{self.refunds}", payment_id, amount, None, START))
        p.write(rows, NOW)

    def sent(self, p, user, payout_id, amount=None):
        p.request_payout(user, payout_id, amount, None, None, NOW)
        p.payout_to(payout_id, "processing", NOW)
        p.payout_to(payout_id, "sent", NOW, reference="tx")

    def balance(self, p, user):
        """pending, available, lifetime"""
        return tuple(Books(p, NOW).overview(user)["balance"].values())

    def rewards(self, p, user):
        """status, reversed, written off of each, the oldest first"""
        return [(r["status"], r["reversed_micro"], r["written_off_micro"])
                for r in reversed(Books(p, NOW).list_rewards(user))]

    def settlements(self, p, user):
        """reward, amount, kind; the sum is that of spends and payouts, always"""
        account = p.members[user].account
        self.assertEqual(sum(s.amount for s in account.settlements),
                         account.spent + account.paid_out)
        return [(s.reward, s.amount, s.kind[0]) for s in account.settlements]

    def refused(self, state, what, *arguments, **more):
        with self.assertRaisesRegex(Refused, state):
            what(*arguments, **more)


class Refunds(MoneyCase):
    def test_three_refunds_on_five_levels(self):
        """333, 333, 334, whatever the members do in between."""
        rate = {level: 1000 for level in range(5)}
        p = self.program(rate, tree="a<b b<c c<d d<e", max_level=4)
        p.rates = {key: Rate(0, 1000, None) for key in p.rates}
        self.assertEqual(self.pay(p, "e", 9999), dict.fromkeys("edcba", 1000))
        p.spend("a", 1000, "s", None, NOW)
        self.sent(p, "b", "all")
        self.sent(p, "c", "part", 400)
        found = []
        for n in range(3):
            self.refund(p, "p1", 3333)
            found.append(p.effects[f"r{n + 1}"])
            p.adjust("d", f"a{n}", -100, "", "", NOW)
            if n == 1:
                p.unspend("s", NOW)
        self.assertEqual(found, [(5 * 333, 0), (5 * 333, 0), (5 * 334, 0)])
        for user, balance in zip("abcde", (0, -1000, -400, -300, 0)):
            self.assertEqual(self.rewards(p, user), [("reversed", 1000, 0)])
            self.assertEqual(self.balance(p, user)[1], balance)
        self.assertEqual(self.settlements(p, "b"), [(None, 333, "p"), (None, 333, "p"),
                                                    (None, 334, "p")])

    def test_in_one_statement_as_if_alone(self):
        p = self.program({1: 1000}, tree="a<b")
        self.pay(p, "b", 9999)
        self.refund(p, "p1", 3333, 3333, 3333)
        self.assertEqual([e[0] for e in p.effects.values()], [333, 333, 333])
        self.assertEqual(self.balance(p, "a"), (0, 0, 0))

    def test_not_above_the_base(self):
        p = self.program({1: 1000}, tree="a<b")
        self.pay(p, "b", 0, base=100)
        self.refund(p, "p1", 99)
        before = p.save()
        self.refused("22003", self.refund, p, "p1", 2)
        self.refused("22003", self.refund, p, "p1", 1, 1)       # and nothing of the first
        for amount in 0, -1:
            self.refused("22003", self.refund, p, "p1", amount)
        self.assertEqual(p.save(), before)
        self.refund(p, "p1", 1)
        self.assertEqual(self.balance(p, "a"), (0, 0, 0))

    def test_of_a_payment_that_earned_nothing(self):
        p = self.program({1: 1000}, tree="a<b")
        self.pay(p, "nobody", 100)
        self.pay(p, "b", 100, kind="deposit")
        for payment_id in "p1", "p2":
            self.refund(p, payment_id, 60)
            self.refused("22003", self.refund, p, payment_id, 41)
        self.assertEqual(set(p.effects.values()), {(0, 0)})

    def test_before_its_payment(self):
        p = self.program({1: 1000}, tree="a<b")
        self.refund(p, "p1", 30)
        self.refund(p, "p1", 80, 70)
        self.assertEqual(p.refund_answer("r1"), ("waiting", 0, 0))
        self.assertEqual(p.do_not_fit(), [])
        self.assertEqual(self.pay(p, "b", 100), {"a": 10})      # not refused for the 80
        self.assertEqual(p.refund_answer("r1"), ("applied", 3, 0))
        self.assertEqual(p.refund_answer("r3"), ("applied", 7, 0))
        self.assertEqual(p.do_not_fit(), ["r2"])
        self.assertEqual(p.given_back["p1"], 100)

    def test_nothing_moves_back(self):
        p = self.program({1: 1000}, tree="a<b a<c", referrer_monthly_cap=1)
        p.set_tiers({1: ("basic", 0), 2: ("gold", 1)})
        self.pay(p, "b", 100)
        self.refund(p, "p1", 100)
        self.assertEqual(p.tier(p.members["a"]), 2)
        self.assertEqual((p.members["a"].volume[1], sum(p.members["a"].invited.values())), (100, 1))
        self.assertEqual(self.pay(p, "c", 100), {})

    def test_worked_example_of_policies(self):
        """Earned 100, 80 paid out, wholly refunded; then 50 more are earned."""
        for policy, reward, balance, then, status, settled in (
                ("unlimited", ("reversed", 100, 0), -80, -30, "paid_out", [(None, 80, "p")]),
                ("within_balance", ("paid_out", 20, 80), 0, 50, "available", [(0, 80, "p")]),
                ("only_pending", ("available", 0, 100), 20, 70, "available", [(0, 80, "p")])):
            with self.subTest(policy):
                p = self.program({1: 10000}, tree="a<b", debt_policy=policy)
                self.pay(p, "b", 100)
                self.sent(p, "a", "x", 80)
                self.refund(p, "p1", 100)
                self.assertEqual(self.rewards(p, "a"), [reward])
                self.assertEqual(self.balance(p, "a")[1], balance)
                self.assertEqual(self.settlements(p, "a"), settled)
                self.pay(p, "b", 50)
                self.assertEqual(self.balance(p, "a")[1], then)
                self.assertEqual(self.rewards(p, "a"), [reward, (status, 0, 0)])
                self.assertEqual(self.settlements(p, "a"), settled)     # not yet for real

    def test_a_next_earning_nets_the_debt(self):
        p = self.program({1: 10000}, tree="a<b")
        self.pay(p, "b", 100)
        self.sent(p, "a", "x", 80)
        self.refund(p, "p1", 100)
        self.refused("RF007", p.spend, "a", 1, "s", None, NOW)
        self.pay(p, "b", 50)
        self.refused("RF007", p.request_payout, "a", "y", None, None, None, NOW)
        self.pay(p, "b", 70)
        self.assertEqual(self.balance(p, "a"), (0, 40, 120))
        self.assertEqual([r[0] for r in self.rewards(p, "a")], ["reversed", "paid_out", "available"])
        p.spend("a", 10, "s", None, NOW)
        self.assertEqual(self.settlements(p, "a"), [(1, 50, "p"), (2, 30, "p"), (2, 10, "s")])
        self.sent(p, "a", "y")
        self.assertEqual(self.settlements(p, "a"), [(1, 50, "p"), (2, 30, "p"), (2, 10, "s"),
                                                    (2, 30, "p")])
        self.assertEqual(self.balance(p, "a"), (0, 0, 120))

    def test_within_balance_in_the_order_of_the_statement(self):
        """What is pending counts as what he has; the first refund takes it."""
        p = self.program({1: 10000}, tree="a<b", debt_policy="within_balance")
        self.pay(p, "b", 100)
        self.pay(p, "b", 30, at=self.LATER)
        self.sent(p, "a", "x", 100)
        self.refund(p, "p1", 20, 20)
        self.assertEqual(list(p.effects.values()), [(20, 0), (10, 10)])
        self.assertEqual(self.balance(p, "a"), (30, -30, 100))
        self.refund(p, "p2", 30)
        self.assertEqual(self.rewards(p, "a"), [("paid_out", 30, 10), ("pending", 0, 30)])

    def test_policy_may_change_between_refunds(self):
        p = self.program({1: 1000}, tree="a<b", debt_policy="only_pending")
        self.pay(p, "b", 9999)
        self.refund(p, "p1", 3333)
        p.configure(debt_policy="unlimited")
        self.refund(p, "p1", 6666)
        self.assertEqual(self.rewards(p, "a"), [("available", 666, 333)])   # final
        self.assertEqual(self.balance(p, "a"), (0, 333, 333))

    def test_only_pending_takes_what_is_pending(self):
        p = self.program({1: 1000}, tree="a<b", debt_policy="only_pending")
        self.pay(p, "b", 100, at=self.LATER)
        self.refund(p, "p1", 100)
        self.assertEqual(self.rewards(p, "a"), [("reversed", 10, 0)])


class Settlements(MoneyCase):
    def stage(self, *amounts, **config):
        """a has available rewards of these amounts, paid in this order, the oldest last."""
        p = self.program({1: 10000}, tree="a<b", **config)
        for n, amount in enumerate(amounts):
            self.pay(p, "b", amount, at=START + (9 - n) * DAY)
        return p

    def statuses(self, p, user="a"):
        return [r[0] for r in self.rewards(p, user)]

    def test_in_the_order_of_availability(self):
        p = self.stage(100, 50)
        p.spend("a", 60, "s", None, NOW)
        self.assertEqual(self.settlements(p, "a"), [(1, 50, "s"), (0, 10, "s")])
        self.assertEqual(self.statuses(p), ["available", "spent"])
        self.sent(p, "a", "x")
        self.assertEqual(self.statuses(p), ["paid_out", "spent"])   # whoever took its last part
        self.assertEqual(self.balance(p, "a"), (0, 0, 150))

    def test_pending_rewards_are_not_used_up(self):
        p = self.stage(100)
        self.pay(p, "b", 30, at=self.LATER)
        self.refused("RF007", p.spend, "a", 101, "s", None, NOW)
        p.spend("a", 100, "s", None, NOW)
        self.assertEqual(self.statuses(p), ["spent", "pending"])

    def test_released_in_reverse_and_owed_by_the_next(self):
        """What replaces it is settled first by what had been settled last."""
        p = self.stage(100)
        p.spend("a", 60, "s", None, NOW)
        self.sent(p, "a", "x", 40)
        self.refund(p, "p1", 50)
        self.assertEqual(self.settlements(p, "a"), [(0, 50, "s"), (None, 40, "p"), (None, 10, "s")])
        self.assertEqual(self.statuses(p), ["spent"])
        self.pay(p, "b", 45)
        self.assertEqual(self.statuses(p), ["spent", "spent"])
        p.adjust("a", "x", -1, "", "", NOW)
        self.assertEqual(self.settlements(p, "a"), [(0, 50, "s"), (None, 5, "s"), (1, 40, "p"),
                                                    (1, 5, "s")])

    def test_a_refund_may_use_up_what_was_left(self):
        p = self.stage(100)
        p.spend("a", 40, "s", None, NOW)
        self.refund(p, "p1", 60)
        self.assertEqual(self.statuses(p), ["spent"])
        self.assertEqual(self.balance(p, "a"), (0, 0, 40))
        self.refund(p, "p1", 40)
        self.assertEqual(self.statuses(p), ["reversed"])

    def test_at_the_refund_if_something_is_there(self):
        p = self.stage(100, 50)
        p.spend("a", 50, "s", None, NOW)
        self.refund(p, "p2", 50)
        self.assertEqual(self.settlements(p, "a"), [(0, 50, "s")])
        self.assertEqual(self.statuses(p), ["available", "reversed"])

    def test_unspend_opens_again(self):
        p = self.stage(100, 50)
        p.spend("a", 50, "s1", "n", NOW)
        p.spend("a", 70, "s2", None, NOW)
        self.refund(p, "p2", 50)
        self.assertEqual(self.settlements(p, "a"), [(0, 70, "s"), (None, 20, "s"), (0, 30, "s")])
        self.assertTrue(p.unspend("s2", NOW).undone)
        self.assertEqual(self.settlements(p, "a"), [(0, 30, "s"), (0, 20, "s")])
        self.assertEqual(p.unspend("s2", NOW), p.spend("a", 70, "s2", None, NOW))
        self.assertEqual(self.balance(p, "a"), (0, 50, 100))
        self.assertEqual(self.statuses(p), ["available", "reversed"])
        self.refused("RF010", p.unspend, "s3", NOW)

    def test_adjustments_cover_what_no_reward_does(self):
        p = self.stage()
        p.adjust("a", "gift", 100, "note", "actor", NOW)
        p.spend("a", 80, "s", None, NOW)
        self.pay(p, "b", 50)
        self.assertEqual(self.statuses(p), ["available"])       # nothing is owed
        self.assertEqual(self.balance(p, "a"), (0, 70, 150))
        p.adjust("a", "back", -70, "note", "actor", NOW)        # now 50 of the 80 are
        self.assertEqual(self.settlements(p, "a"), [(None, 30, "s"), (0, 50, "s")])
        self.assertEqual(self.balance(p, "a"), (0, 0, 80))
        self.refused("22023", p.adjust, "a", "zero", 0, "", "", NOW)
        self.refused("RF001", p.adjust, "a", "back", -71, "note", "actor", NOW)
        self.refused("RF003", p.adjust, "z", "z", 1, "", "", NOW)


class Payouts(MoneyCase):
    def stage(self, **config):
        p = self.program({1: 10000}, tree="a<b", **config)
        self.pay(p, "b", 100)
        return p

    def ask(self, p, payout_id="x", amount=None, network=None, address=None, user="a"):
        return p.request_payout(user, payout_id, amount, network, address, NOW)

    def test_reserved_until_it_ends(self):
        for end, balance, status in (("sent", 40, "available"), ("failed", 100, "available"),
                                     ("cancelled", 100, "available")):
            p = self.stage()
            self.ask(p, amount=60)
            self.assertEqual((self.balance(p, "a"), self.settlements(p, "a")), ((0, 40, 100), []))
            self.refused("RF007", self.ask, p, "y", 41)
            p.payout_to("x", "processing", NOW)
            first = p.payout_to("x", end, NOW)
            self.assertEqual(self.balance(p, "a")[1], balance)
            self.assertEqual(p.payout_to("x", end, NOW), first)
            self.assertEqual(self.balance(p, "a")[1], balance)      # given back once
            for other in {"processing", "sent", "failed", "cancelled"} - {end}:
                self.refused("RF009", p.payout_to, "x", other, NOW)
            self.refused("RF009", p.payout_to, "x", end, NOW, note="other")
            self.assertEqual(self.rewards(p, "a")[0][0], status)

    def test_order_of_checks(self):
        p = self.stage(payout_min_micro=50)
        self.refused("RF003", self.ask, p, user="z")
        self.refused("RF008", self.ask, p, amount=49)
        self.refused("RF007", self.ask, p, amount=101)
        self.refused("22003", self.ask, p, amount=-1)
        self.refused("22023", self.ask, p, network="only")
        self.ask(p)
        self.refused("RF007", self.ask, p, "y")         # of everything: nothing is there
        self.refused("RF001", self.ask, p, amount=100)
        p.members["a"].suspended = True
        self.assertEqual(self.ask(p)[:2], ("x", 100))   # known before all else
        self.refused("RF006", self.ask, p, "y", -1)
        self.refused("RF006", p.spend, "a", 1, "s", None, NOW)
        p.payout_to("x", "sent", NOW)
        self.refused("RF010", p.payout_to, "z", "sent", NOW)

    def test_all_below_the_minimum(self):
        p = self.stage(payout_min_micro=101)
        self.refused("RF008", self.ask, p)
        self.assertEqual(p.payouts, {})

    def test_destination(self):
        p = self.stage()
        p.set_destination("a", "iban", "DE00")
        self.assertEqual(self.ask(p, "x", 10)[2:4], ("iban", "DE00"))
        self.assertEqual(self.ask(p, "y", 10, "btc", "1")[2:4], ("btc", "1"))
        p.set_destination("a", None, None)
        self.assertEqual(self.ask(p, "z", 10)[2:4], (None, None))
        self.refused("22023", p.set_destination, "a", None, "DE00")

    def test_batch(self):
        p = self.program({1: 10000, 2: 1000, 3: 100}, payout_min_micro=2)
        self.pay(p, "d", 100)
        ids = {user: f"batch {user}" for user in "abc"}
        p.members["b"].suspended = True
        rows = p.payout_batch("may", None, ids, NOW)
        self.assertEqual([row[:2] for row in rows], [("batch c", 100)])
        self.pay(p, "d", 100)
        self.assertEqual(p.payout_batch("may", None, ids, NOW), rows)
        self.refused("RF001", p.payout_batch, "may", 1, ids, NOW)
        self.assertEqual(p.payout_batch("june", 101, ids, NOW), [])
        self.assertEqual(p.due(None, NOW), {"a": 2, "c": 100})


class Reviews(MoneyCase):
    def held(self, rates=None, **config):
        """b<c is in review; d is below c."""
        p = self.program(rates or {1: 1000, 2: 500}, tree="a<b", **config)
        p.rules["velocity", 0] = 0
        self.refer(p, "b", "c")
        p.rules.clear()
        self.refer(p, "c", "d")
        p.attributions["c"].id = 7
        return p

    def status(self, p, user):
        return p.status(p.attributions[user], NOW)

    def test_rules(self):
        p = self.program(tree="")
        p.rules = {("velocity", 0): 2, ("same_ip", 0): None, ("campaign", 1): None}
        p.campaigns[1] = Campaign(START, START + DAY)
        self.join(p, "a")
        p.add_code("spring", "a", "campaign", 1)
        hour = timedelta(hours=1)
        for user, at, code, rules in (
                ("b", START, None, None), ("c", START + hour - timedelta(microseconds=1), None, None),
                ("d", START + hour, None, None), ("e", START + hour, None, ["velocity"]),
                ("f", START + 2 * hour - timedelta(microseconds=1), "spring", ["campaign", "velocity"]),
                ("g", START + 3 * hour, "spring", ["campaign"]), ("h", START - hour, None, None),
                ("i", START + timedelta(microseconds=1), None, ["velocity"])):
            self.refer(p, "a", user, at, code)
            self.assertEqual(p.attributions[user].held, rules, user)

    def test_same_address_as_the_referrer(self):
        p = self.program(tree="a<b")
        p.rules["same_ip", 0] = None

        def came(user, ip, referrer="b"):
            p.capture(f"code-{referrer}", f"k-{user}", START, None, None, None, None, ip, None)
            self.assertIsNone(p.attribute(user, f"code-{referrer}", START, f"k-{user}"))
            p.add_code(f"code-{user}", user)
            return p.attributions[user].held
        self.assertIsNone(came("c", "1.2.3.4"))     # b came by no click
        self.assertEqual(came("d", " 1.2.3.4 ", "c"), ["same_ip"])
        self.assertIsNone(came("e", "1.2.3.5", "c"))
        p.salt = 2
        self.assertIsNone(came("f", "1.2.3.4", "c"))
        self.assertIsNone(came("g", None, "f"))
        self.assertIsNone(came("h", None, "g"))

    def test_payments_wait_and_are_processed_in_their_order(self):
        p = self.held({1: 1000})
        p.rates[0, 0, 1] = Rate(1000, 0, 1)
        self.pay(p, "c", 100, at=START + 3 * DAY)
        self.pay(p, "c", 200, at=START + 2 * DAY)
        self.assertEqual(self.pay(p, "d", 100), {"c": 10})      # who is above does not matter
        self.assertEqual((self.status(p, "c"), p.members["b"].volume[1]), ("review_required", 0))
        p.rates[0, 0, 1] = Rate(2000, 0, 1)                     # of the moment of the approval
        for decision in "approved", "rejected", "approved":     # the first decision stands
            self.assertEqual(p.decide(7, decision, "me", None, NOW).decision, "approved")
        self.assertEqual((self.status(p, "c"), p.attributions["c"].qualified_at),
                         ("rewarded", START + 2 * DAY))
        self.assertEqual([r.amount for r in p.rewards if r.payer == "c"], [40])
        self.assertEqual(self.pay(p, "c", 100), {})
        self.assertEqual(p.members["b"].volume[1], 400)

    def test_what_occurred_too_late_after_all(self):
        p = self.held(qualify_days=10)
        self.pay(p, "c", 100, at=START + 10 * DAY)
        self.assertEqual(self.status(p, "c"), "review_required")
        p.decide(7, "approved", "me", None, NOW)
        self.assertEqual((self.status(p, "c"), len(p.rewards)), ("expired", 0))
        p = self.held(qualify_days=10)
        self.pay(p, "c", 100, at=START + 10 * DAY)
        self.pay(p, "c", 100, at=START + 9 * DAY)
        p.decide(7, "approved", "me", None, NOW)
        self.assertEqual((self.status(p, "c"), len(p.rewards)), ("rewarded", 4))

    def test_rejected_is_final(self):
        p = self.held()
        self.pay(p, "c", 100)
        for decision in "rejected", "approved":
            self.assertEqual(p.decide(7, decision, "me", None, NOW).decision, "rejected")
        self.pay(p, "c", 100)
        self.assertEqual((self.status(p, "c"), p.rewards, p.members["b"].volume[1]),
                         ("rejected", [], 0))
        self.assertEqual(self.pay(p, "d", 100), {"c": 10, "b": 5})
        self.refused("RF010", p.decide, 8, "approved", "me", None, NOW)
        p.attributions["b"].id = 8
        self.refused("RF012", p.decide, 8, "approved", "me", None, NOW)

    def test_caps_are_of_the_moment_of_the_approval(self):
        p = self.held()
        self.pay(p, "c", 100)
        p.codes["code-b"].cap = 0
        p.decide(7, "approved", "me", None, NOW)
        self.assertEqual((self.status(p, "c"), len(p.rewards)), ("capped", 0))

    def test_refunds_wait_with_their_payment(self):
        for decision, left in ("approved", (0, 7, 7)), ("rejected", (0, 0, 0)):
            p, self.refunds = self.held(), 0
            self.refund(p, "p1", 101)       # which never fits
            self.pay(p, "c", 100)
            self.refund(p, "p1", 20, 10)
            self.refused("22003", self.refund, p, "p1", 71)
            self.assertEqual((p.refund_answer("r2"), p.do_not_fit()), (("waiting", 0, 0), []))
            p.decide(7, decision, "me", None, NOW)
            self.assertEqual((self.balance(p, "b"), p.given_back["p1"], p.do_not_fit()),
                             (left, 30, ["r1"]))

    def test_funnel(self):
        p = self.held(time_zone="America/New_York")
        p.campaigns[1] = Campaign(START, START + DAY, name="spring")
        p.add_code("spring", "a", "campaign", 1)
        for n, (code, utm) in enumerate((("code-a", None), ("code-a", "spring"), ("spring", "x"),
                                         ("spring", None), ("spring", "x"))):
            p.capture(code, f"k{n}", START, None, None, None, utm, None, None)
        self.assertIsNone(p.attribute("e", "spring", START, "k1"))
        self.assertIsNone(p.attribute("f", "spring", START, "k2"))
        self.pay(p, "e", 100)
        self.pay(p, "c", 100)
        day = date(2023, 12, 31)
        names = "clicks attributed qualified rewarded capped review_required rejected".split()
        for arguments, expected in (
                ((None, None, None), (5, 5, 1, 1, 0, 1, 0)), ((day, None, None), (5, 5, 1, 1, 0, 1, 0)),
                ((None, day, None), (0,) * 7), ((day, day + DAY, "spring"), (2, 1, 1, 1, 0, 0, 0)),
                ((None, None, "x"), (2, 1, 0, 0, 0, 0, 0)), ((None, None, ""), (0,) * 7)):
            self.assertEqual(Books(p, NOW).funnel_stats(*arguments), dict(zip(names, expected)))

    def test_leaderboard(self):
        p = self.program({1: 1000, 2: 1000}, tree="a<b a<c d<e f<g h<i")
        for user, amount in ("b", 50), ("c", 50), ("e", 100), ("g", 120), ("i", 70):
            self.pay(p, user, amount)
        self.refund(p, "p4", 120)
        self.pay(p, "i", 10, at=START + 2 * DAY)
        board = Books(p, NOW).leaderboard(None, None)
        self.assertEqual([(r["rank"], r["user_id"], r["earned_micro"], r["rewards"], r["volume_micro"])
                          for r in board], [(1, "a", 10, 2, 100), (1, "d", 10, 1, 100),
                                            (3, "h", 8, 2, 80)])
        p.members["d"].suspended = True
        board = Books(p, NOW).leaderboard((START + 2 * DAY).date(), None)
        self.assertEqual([(r["rank"], r["user_id"]) for r in board], [(1, "h")])

    def test_clicks_are_clean(self):
        p = self.program()
        p.capture("CODE-A", "k", START, " /a\x00\u202eb?token=1#x", "\x1b\t", "x" * 101, "<b>", " 1.2.3.4 ", "")
        p.capture("code-b", "k", START, *[None] * 6)
        click = p.clicks["k"]
        self.assertEqual((click.code, click.path, click.source, click.medium, click.utm, click.agent),
                         ("code-a", "/ab", None, "x" * 100, "<b>", None))
        self.refused("22023", p.capture, "?", "l", START, *[None] * 6)


class Told(MoneyCase):
    def test_what_happened(self):
        p = self.program({1: 1000}, tree="a<b", event_days=30)
        self.pay(p, "b", 100)
        self.refund(p, "p1", 1, 50)         # the first one takes nothing
        p.request_payout("a", "x", 5, None, None, NOW)
        p.payout_to("x", "sent", NOW)
        p.payout_to("x", "sent", NOW)
        self.assertEqual(p.told, [
            ("reward_created", "a", "p1", 1, "b", 10, "USD", START + DAY),
            ("reward_reversed", "a", "p1", 1, 5, "USD"),
            ("payout_moved", "a", "x", "requested", 5, "USD"),
            ("payout_moved", "a", "x", "sent", 5, "USD")])
        p.configure(event_days=None)
        self.pay(p, "b", 100)
        self.assertEqual(len(p.told), 4)


class Statements(MoneyCase):
    def test_at_every_instant(self):
        p = self.program({1: 10000}, tree="a<b", hold_days=3, debt_policy="within_balance")
        steps = [lambda: self.pay(p, "b", 100, at=NOW - 3 * DAY),
                 lambda: p.request_payout("a", "x", 70, None, None, NOW),
                 lambda: p.payout_to("x", "sent", NOW),
                 lambda: self.refund(p, "p1", 50),
                 lambda: p.adjust("a", "g", 5, "", "", NOW),
                 lambda: p.spend("a", 5, "s", None, NOW),
                 lambda: p.unspend("s", NOW)]
        for n, step in enumerate(steps):
            p.began = p.clock = NOW - 3 * DAY + n * DAY
            step()
        names = "pending available lifetime reversed written_off adjusted spent paid_out reserved"
        found = [[Books(p, NOW - 3 * DAY + n * DAY).statement("a")[name + "_micro"]
                  for name in names.split()] for n in range(-1, 7)]
        self.assertEqual(found, [[0, 0, 0, 0, 0, 0, 0, 0, 0],
                                 [100, 0, 100, 0, 0, 0, 0, 0, 0],
                                 [100, -70, 100, 0, 0, 0, 0, 0, 70],
                                 [100, -70, 100, 0, 0, 0, 0, 70, 0],
                                 [0, 0, 70, 30, 20, 0, 0, 70, 0],
                                 [0, 5, 75, 30, 20, 5, 0, 70, 0],
                                 [0, 0, 75, 30, 20, 5, 5, 70, 0],
                                 [0, 5, 75, 30, 20, 5, 0, 70, 0]])
        now = Books(p, NOW + 9 * DAY)
        self.assertEqual({key: now.statement("a")[key] for key in now.overview("a")["balance"]},
                         now.overview("a")["balance"])


if __name__ == "__main__":
    unittest.main()
