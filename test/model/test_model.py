#!/usr/bin/python3
"""The contract's worked examples, held against the model before the model judges the engine."""

import unittest
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from books import Books
from model import MAX, Campaign, Payment, Program, Rate, Refused, midnight

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
        p.pay([payment], NOW)
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
            p.pay(rows, NOW)
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
        p.pay([Payment(str(i), "A", 100, None, "purchase", START) for i in (1, 2)], NOW)
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
        p.clicks["k"] = START
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


if __name__ == "__main__":
    unittest.main()
