"""The steps of a history after the reward: refunds, spends, payouts, adjustments, statements."""

import random
from collections import Counter
from datetime import datetime, timedelta, timezone

import paths
from books import Books
from compare import difference
from model import MAX, Refund, Refused

UTC = timezone.utc
UNIT = 1_000_000
FAR = datetime(2150, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PAYOUT = ("p.id, p.amount_micro, p.network, p.address, p.status, p.reference, p.note, p.user_id,"
          " p.batch_id")
STATEMENT = """
SELECT jsonb_agg(to_jsonb(s) - 'at' ORDER BY n)
FROM unnest(%(users)s, %(ats)s::timestamptz[]) WITH ORDINALITY AS w (user_id, at, n),
     LATERAL referral.statement(w.user_id, w.at, %(id)s) AS s
"""


class Mismatch(Exception):
    """The database answered something else than the model."""


class MoneySteps:
    """What a History does with what was earned. It brings the chances and the tenants."""

    def new_id(self, kind):
        self.ids += 1
        return f"{kind}{self.ids}"

    def old_id(self, known):
        return self.random.choice(list(known) or ["unknown"])

    def now(self):
        return datetime.now(UTC)

    # --- refunds -----------------------------------------------------------------

    def refund(self, tenant, planned):
        """A refund that fits, also after those that are planned; or one that has to wait."""
        model = tenant.model
        payment_id, left = f"p{self.payments + self.random.randint(1, 40)}", 0
        if payment_id in model.payments or self.chance(85):
            # Mostly of what earned something, and of the last such payment once more.
            rewarded = self.chance(80) and [p for p in model.of_payment if model.of_payment[p]]
            in_review = self.chance(15) and [p for a in model.attributions.values() for p in a.waiting]
            last = [p for t, p in planned if t == tenant.id]
            for _ in range(4):
                payment_id = self.random.choice(list(in_review or rewarded or model.payments) or ["nobody's"])
                if last and self.chance(35):
                    payment_id = last[-1]
                if payment_id in model.payments:
                    left = model.left(payment_id) - planned[tenant.id, payment_id]
                if left > 0:
                    break
            else:
                payment_id = "nobody's"
        if payment_id not in model.payments:
            left = self.random.randrange(1, 10**9)
        amount = self.weighted({left: 30, self.random.randint(1, left): 50, (left + 2) // 3: 15, 1: 5})
        planned[tenant.id, payment_id] += amount
        return Refund(self.new_id("r"), payment_id, amount,
                      self.pick(None, None, "", "ünïcødé", "x" * 1000), self.moment(tenant))

    def refund_batch(self, size):
        planned, both, tenant = Counter(), self.chance(15), self.which()
        batch = []
        for _ in range(size):
            tenant = self.which() if both else tenant
            batch.append((tenant, self.refund(tenant, planned)))
        return batch

    def spoil_refunds(self, batch):
        """Makes one row such that the whole statement is refused."""
        n = self.random.randrange(len(batch))
        tenant, refund = batch[n]
        model = tenant.model
        spoiled = [refund._replace(amount=0), refund._replace(amount=-self.random.randrange(1, MAX)),
                   refund._replace(occurred_at=FAR)]
        if model.refunds:
            spoiled.append(refund._replace(refund_id=self.old_id(model.refunds)))
        if model.payments:
            payment_id = self.old_id(model.payments)
            left = model.left(payment_id)
            spoiled += 2 * [refund._replace(payment_id=payment_id, amount=self.pick(left + 1, MAX))]
        return batch[:n] + [(tenant, self.random.choice(spoiled))] + batch[n + 1:]

    def give_back(self):
        path = self.random.choice(paths.ANY + [paths.prepared])
        batch = self.refund_batch(1 if path is paths.prepared else self.pick(1, 1, 2, 4, 12))
        if self.chance(12):
            batch = self.spoil_refunds(batch)
        self.write(path, batch)

    def give_some_back_again(self):
        self.write_skipping(self.refund_batch(self.pick(2, 5, 10)), lambda model: model.refunds)

    def give_back_one_by_one(self):
        batch = self.refund_batch(5)
        self.write(paths.one_by_one, self.spoil_refunds(batch) if self.chance(50) else batch)

    def give_back_first(self):
        """Refunds of a payment that comes only then; not all of them fit."""
        tenant = self.which()
        payment = self.payment(tenant)
        base = payment.amount if payment.base is None else payment.base
        for size in self.pick((3,), (1, 2), (2, 1, 2)):
            self.write(paths.insert_values, [
                (tenant, Refund(self.new_id("r"), payment.payment_id, self.random.randint(1, base + 1),
                                None, payment.occurred_at)) for _ in range(size)])
        self.write(self.random.choice(paths.SINGLE + paths.ANY), [(tenant, payment)])

    def record_refund(self, tenant):
        """New, replayed, or known with another body."""
        model = tenant.model
        refund = self.refund(tenant, Counter())
        if model.refunds and self.chance(50):
            refund = model.refunds[self.old_id(model.refunds)]
            refund = self.weighted({refund: 60, refund._replace(amount=refund.amount + 1): 10,
                                    refund._replace(payment_id="other"): 10,
                                    refund._replace(reason="other"): 10,
                                    refund._replace(occurred_at=refund.occurred_at + MICROSECOND): 10})

        def know():
            known = model.refunds.get(refund.refund_id)
            if known is None:
                self.know([(tenant, refund)])
            elif known != refund:
                raise Refused("RF001")
            return [(refund.refund_id, known is not None, *model.refund_answer(refund.refund_id))]
        self.both(f"{tenant.id}: record {refund}", lambda: self.ask(
            "SELECT r.refund_id, r.replayed, r.state, r.reversed_micro, r.written_off_micro"
            " FROM referral.record_refund(%(refund_id)s, %(payment_id)s, %(amount)s, %(reason)s,"
            " %(occurred_at)s, %(id)s) AS r", **refund._asdict(), id=tenant.id), know)

    def give_back_nonsense(self, tenant):
        refund = self.refund(tenant, Counter())._replace(payment_id="nobody's")
        neighbour = (tenant.id, refund._replace(refund_id="neighbour"))
        row, state = self.pick(
            ((-5, refund), "23503"), ((tenant.id, refund._replace(refund_id="")), "23514"),
            ((tenant.id, refund._replace(refund_id="x" * 201)), "23514"),
            ((tenant.id, refund._replace(payment_id="")), "23514"),
            ((tenant.id, refund._replace(payment_id="x" * 201)), "23514"),
            ((tenant.id, refund._replace(reason="x" * 1001)), "23514"),
            ((tenant.id, refund._replace(payment_id=None)), "23502"),
            ((tenant.id, refund._replace(amount=None)), "23502"),
            ((tenant.id, refund._replace(occurred_at="infinity")), "22008"),
            ((tenant.id, refund._replace(occurred_at="-infinity")), "22008"))

        def refuse():
            raise Refused(state)
        self.both(f"nonsense: {row}", lambda: paths.insert_values(self.cursor, [neighbour, row]),
                  refuse)

    # --- balances ------------------------------------------------------------------

    def rich(self, tenant):
        """Mostly a member who has something available; sometimes nobody at all."""
        model, now = tenant.model, self.now()
        if self.chance(3):
            return "nobody"
        rich = self.chance(75) and [u for u in model.members if model.available(u, now) > 0]
        return self.random.choice(rich or list(model.members) or ["nobody"])

    def sum_for(self, model, user):
        """About what he has."""
        has = model.available(user, self.now()) if user in model.members else 5
        return self.weighted({max(1, has): 25, self.random.randint(1, max(1, has)): 55,
                              max(0, has) + 1: 8, self.pick(0, -1): 4, 1: 8})

    def spend(self, tenant):
        model, user = tenant.model, self.rich(tenant)
        body = self.new_id("s"), user, self.sum_for(model, user), self.pick(None, "", "for tea")
        if model.spends and self.chance(15):
            spend = model.spends[self.old_id(model.spends)]
            body = self.pick(spend, spend, spend._replace(amount=spend.amount + 1),
                             spend._replace(note="other"), spend._replace(user=self.member(tenant)))[:4]
        spend_id, user, amount, note = body
        self.both(f"{tenant.id}: spend {body}", lambda: self.ask(
            "SELECT s.spend_id, s.user_id, s.amount_micro, s.note, s.unspent_at IS NOT NULL FROM"
            " referral.spend(%(user)s, %(amount)s, %(spend)s, %(note)s, %(id)s) AS s",
            user=user, amount=amount, spend=spend_id, note=note, id=tenant.id),
                  lambda: [model.spend(user, amount, spend_id, note, self.now())])

    def unspend(self, tenant):
        standing = [s for s, spend in tenant.model.spends.items() if not spend.undone]
        if not standing and self.chance(90):
            return self.spend(tenant)
        spend_id = self.old_id(standing if self.chance(75) else tenant.model.spends)
        self.both(f"{tenant.id}: unspend {spend_id}", lambda: self.ask(
            "SELECT s.spend_id, s.user_id, s.amount_micro, s.note, s.unspent_at IS NOT NULL"
            " FROM referral.unspend(%(spend)s, %(id)s) AS s", spend=spend_id, id=tenant.id),
                  lambda: [tenant.model.unspend(spend_id, self.now())])

    def adjust(self, tenant):
        model, user = tenant.model, self.rich(tenant)
        amount = self.pick(-1, 1) * self.random.randrange(1, 50 * UNIT) if self.chance(97) else 0
        body = self.new_id("a"), user, amount, "note", "actor"
        gifted = [u for u, m in model.members.items()
                  if any(s.reward is None for s in m.account.settlements) and m.account.adjusted > 0]
        if gifted and self.chance(50):      # it may have covered what is then owed
            user = self.random.choice(gifted)
            body = (body[0], user, -self.pick(1, model.members[user].account.adjusted), *body[3:])
        elif model.adjustments and self.chance(15):
            adjustment = model.adjustments[self.old_id(model.adjustments)]
            body = self.pick(adjustment, adjustment._replace(amount=-adjustment.amount),
                             adjustment._replace(actor="other"))
        adjustment_id, user, amount, note, actor = body
        self.both(f"{tenant.id}: adjust {body}", lambda: self.ask(
            "SELECT a.adjustment_id, a.user_id, a.amount_micro, a.note, a.actor FROM referral.adjust("
            "%(user)s, %(adjustment)s, %(amount)s, %(note)s, %(actor)s, %(id)s) AS a", user=user,
            adjustment=adjustment_id, amount=amount, note=note, actor=actor, id=tenant.id),
                  lambda: [model.adjust(user, adjustment_id, amount, note, actor, self.now())])

    # --- payouts -------------------------------------------------------------------

    def set_destination(self, tenant):
        user = self.member(tenant) if self.chance(95) else "nobody"
        network, address = self.pick(("iban", "DE00"), ("btc", "1é"), (None, None), ("iban", None))
        self.both(f"{tenant.id}: destination of {user!r} {network} {address}", lambda: self.ask(
            "SELECT d.user_id, d.network, d.address FROM referral.set_payout_destination("
            "%(user)s, %(network)s, %(address)s, %(id)s) AS d",
            user=user, network=network, address=address, id=tenant.id),
                  lambda: [tenant.model.set_destination(user, network, address)])

    def request_payout(self, tenant):
        model, user = tenant.model, self.rich(tenant)
        network, address = self.weighted({(None, None): 70, ("iban", "DE00"): 26, ("iban", None): 4})
        amount = None if self.chance(40) else self.sum_for(model, user)
        if amount and self.chance(10):
            amount = self.pick(model.payout_min_micro, max(1, model.payout_min_micro - 1))
        payout_id = self.new_id("o")
        asked = [p for p in model.payouts.values() if p.asked]
        if asked and self.chance(15):
            payout = self.random.choice(asked)
            payout_id, (user, amount, network, address) = payout.payout_id, payout.asked
            if self.chance(40):
                user, amount, network = self.pick((user, 77, network), (user, amount, "other"),
                                                  (self.member(tenant), amount, network))
        self.both(f"{tenant.id}: payout {payout_id} to {user!r} of {amount} by {network} {address}",
                  lambda: self.ask(
                      f"SELECT {PAYOUT} FROM referral.request_payout(%(user)s, %(payout)s, %(amount)s,"
                      " %(network)s, %(address)s, %(id)s) AS p", user=user, payout=payout_id,
                      amount=amount, network=network, address=address, id=tenant.id),
                  lambda: [model.request_payout(user, payout_id, amount, network, address, self.now())])

    def move_payouts(self, tenant):
        payouts = tenant.model.payouts
        if not payouts and self.chance(90):
            return self.request_payout(tenant)
        for _ in range(self.pick(1, 2, 5)):
            still = [p for p in payouts if payouts[p].status in ("requested", "processing")]
            payout_id = self.old_id(still if still and self.chance(80) else [*payouts, "unknown"])
            self.move_payout(tenant, payout_id)

    def move_payout(self, tenant, payout_id):
        status = self.weighted({"sent": 55, "processing": 20, "failed": 13, "cancelled": 12})
        word = self.pick(None, "one", "two")
        reference, note = (word if status == "sent" else None), (word if status == "failed" else None)
        call = {"sent": "payout_sent(%(payout)s, %(word)s, %(id)s)",
                "failed": "payout_failed(%(payout)s, %(word)s, %(id)s)",
                "processing": "payout_processing(%(payout)s, %(id)s)",
                "cancelled": "payout_cancel(%(payout)s, %(id)s)"}[status]
        self.both(f"{tenant.id}: payout {payout_id} {status} {word}",
                  lambda: self.ask(f"SELECT {PAYOUT} FROM referral.{call} AS p", payout=payout_id,
                                   word=word, id=tenant.id),
                  lambda: [tenant.model.payout_to(payout_id, status, self.now(), reference, note)])

    def payout_batch(self, tenant):
        model = tenant.model
        batch_id, least = self.new_id("b"), self.pick(None, None, 1, 5 * UNIT, 40 * UNIT)
        if model.batches and self.chance(20):
            batch_id = self.old_id(model.batches)
            least = self.pick(model.batches[batch_id], model.batches[batch_id], 77)
        words = f"{tenant.id}: payout_batch {batch_id} {least}"

        def ask():
            return sorted(self.ask(
                f"SELECT {PAYOUT} FROM referral.payout_batch(%(batch)s, %(least)s, %(id)s) AS p",
                batch=batch_id, least=least, id=tenant.id))

        def refuse():
            raise Refused("RF001")
        if model.batches.get(batch_id, least) != least:
            return self.both(words, ask, refuse)
        self.told.append(words)
        due = {} if batch_id in model.batches else model.due(least, self.now())
        found = ask()
        ids = {row[7]: row[0] for row in found}     # which are the database's to choose
        missing = set(due) - set(ids)
        if missing:
            raise Mismatch(f"payout_batch() passed over {missing}")
        complaint = difference(model.payout_batch(batch_id, least, ids, self.now()), found, words)
        if complaint:
            raise Mismatch(complaint)

    # --- the past ------------------------------------------------------------------

    def mark(self):
        """An instant between two steps, of which a statement may be asked later. What the next
        step writes is recorded after it; or, by the engine, when its transaction began."""
        (began, at), = self.ask("SELECT now(), clock_timestamp()")
        self.marks.append(at)
        for tenant in self.tenants:
            tenant.model.clock = at + MICROSECOND
            tenant.model.began = began if self.depth else at + MICROSECOND
        if self.depth:
            self.marks += [began - MICROSECOND, began]

    def check_statements(self, tenant, instants=20, members=4):
        """Balances as they were recorded at random past instants."""
        chance = random.Random(self.seed)       # not the history's own, as in check_pages
        users = sorted({event.user for event in tenant.model.events})
        if not users:
            return
        wanted = [(at, user) for at in chance.sample(self.marks, min(instants, len(self.marks)))
                  for user in chance.sample(users, min(members, len(users)))]
        found, = self.ask(STATEMENT, ats=[at for at, _ in wanted], users=[u for _, u in wanted],
                          id=tenant.id)
        expected = [Books(tenant.model, at).statement(user) for at, user in wanted]
        for (at, user), here, there in zip(wanted, expected, found[0]):
            complaint = difference(here, there, f"statement({user!r}, {at})")
            if complaint:
                raise Mismatch(complaint)

    # --- what happened -----------------------------------------------------------------

    def money_covered(self, model):
        seen = Counter(f"refund {model.refund_answer(r)[0]}" for r in model.refunds)
        seen["refunds that do not fit"] = len(model.do_not_fit())
        seen["rewards written off in part"] = sum(n > 0 for n in model.written_off.values())
        seen["members who owe"] = sum(model.owed(u) > 0 for u in model.members)
        seen["spends undone"] = sum(s.undone for s in model.spends.values())
        seen["spends"], seen["adjustments"] = len(model.spends), len(model.adjustments)
        for user, member in model.members.items():
            seen.update(f"reward {s}" for s in model.statuses(user, self.now()).values())
            laid = Counter(s.reward for s in member.account.settlements if s.reward is not None)
            seen["rewards used up by several"] += sum(n > 1 for n in laid.values())
        seen.update(f"payout {p.status}" for p in model.payouts.values())
        seen["payouts of a batch"] = sum(p.batch is not None for p in model.payouts.values())
        return seen
