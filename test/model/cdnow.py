#!/usr/bin/python3
"""The real payments of a file, through an attached table, against the model, row by row.

    cdnow.py PATH [--limit ROWS]

PATH has the columns customer, day, units, dollars. Customer n was referred by
customer floor(n / 3), at the beginning of 1997 and before he paid anything.
Half of the payments are in the table before it is attached and come in by
backfill(). The other half come month by month, in the file's order, by COPY, by
single INSERTs and by an UPDATE that settles what was unpaid. A third of all
payments are refunded in random parts, some before they came; at the end of each
month everyone is paid out. At the end nothing may be missing or left over.
"""

import argparse
import csv
import io
import random
import time
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import paths
from books import Books
from compare import compare, difference, rows
from db import Database, Tally, connect, insert
from model import Campaign, Payment, Program, Rate, Refund, midnight

UTC = timezone.utc
START = datetime(1997, 1, 1, tzinfo=UTC)
UNIT = 1_000_000
BUDGET = 200 * UNIT
CAMPAIGN = range(3, 40, 3)          # these customers refer by a campaign's capped code
LOST = "cd-lost"                    # a payment that never comes
TABLE = """
CREATE TABLE payments (id serial PRIMARY KEY, customer int, day date, units int,
                       dollars numeric(10,2), settled boolean NOT NULL)
"""


def stage(cursor, customers):
    """A three-level programme with tiers and a capped campaign, in both worlds."""
    model = Program(max_level=3, hold_days=30, time_zone="America/New_York", referrer_monthly_cap=400)
    insert(cursor, "program", name="cdnow", **model.config)
    (program_id,), = rows(cursor, "SELECT program_id FROM referral.program")
    tiers = {1: ("bronze", 0), 2: ("silver", 2), 3: ("gold", 3)}
    for tier, (label, least) in tiers.items():
        insert(cursor, "tier", program_id=program_id, tier=tier, label=label, min_paid_invitees=least)
    model.set_tiers(tiers)
    model.campaigns[1] = Campaign(START, datetime(2150, 1, 1, tzinfo=UTC), 2, 1, BUDGET)
    insert(cursor, "campaign", program_id=program_id, campaign_id=1, name="spring", starts_at=START,
           ends_at=datetime(2150, 1, 1, tzinfo=UTC), code_cap=2, referrer_monthly_cap=1,
           budget_micro=BUDGET)
    model.rates = {(0, 0, 0): Rate(0, 10_000, 1), (0, 1, 1): Rate(1000, 0, None),
                   (0, 2, 1): Rate(1250, 0, None), (0, 3, 1): Rate(1500, 0, None),
                   (0, 0, 2): Rate(433, 0, None), (0, 0, 3): Rate(101, 0, 5),
                   (1, 0, 1): Rate(2000, 50_000, 3)}
    for (campaign, tier, level), rate in model.rates.items():
        insert(cursor, "rate", program_id=program_id, campaign_id=campaign, tier=tier, level=level,
               rate_bps=rate.bps, flat_micro=rate.flat, max_payments=rate.max_payments)
    for user, code in rows(cursor, "SELECT c, referral.enroll(c, 'customer ' || c, program_id => %(id)s)"
                                   " FROM unnest(%(users)s) AS c",
                           id=program_id, users=[str(n) for n in customers]):
        model.enroll(user, f"customer {user}")
        model.add_code(code, user)
    for user in map(str, CAMPAIGN):
        for code, cap in rows(cursor, "SELECT code, cap FROM referral.campaign_code(%(user)s, 1, %(id)s)",
                              user=user, id=program_id):
            model.add_code(code, user, "campaign", 1, cap)
    return model, program_id


def refer(cursor, model, program_id, customers):
    codes = {c.owner: c.text for c in model.codes.values()}     # a campaign's after the primary
    pairs = [(str(n), codes[str(n // 3)]) for n in customers if str(n // 3) in codes]
    found = rows(cursor, """
        SELECT u, (referral.attribute(u, c, NULL, %(at)s, %(id)s)).reason
        FROM unnest(%(users)s, %(codes)s) AS pair (u, c)""", at=START, id=program_id,
                 users=[u for u, _ in pairs], codes=[c for _, c in pairs])
    assert all(reason is None for _, reason in found)
    for user, code in pairs:
        assert model.attribute(user, code, START) is None


def copy(cursor, purchases, settled=True):
    lines = "".join(f"{p['customer']},{p['day']},{p['units']},{p['dollars']},{settled}\n"
                    for p in purchases)
    cursor.copy_expert("COPY payments (customer, day, units, dollars, settled) FROM STDIN (FORMAT csv)",
                       io.StringIO(lines))


def attach(cursor, program_id, purchases):
    """What is there already comes in by backfill()."""
    cursor.execute(TABLE)
    copy(cursor, purchases)
    cursor.execute("SELECT referral.attach('payments', 'customer', 'dollars', 'id',"
                   " occurred_at => 'day', paid_when => 'settled', id_prefix => 'cd-',"
                   " program_id => %s)", (program_id,))
    cursor.execute("CALL referral.backfill('payments', program_id => %s)", (program_id,))


def arrive(cursor, purchases):
    """One month, by every other way in."""
    third = len(purchases) // 3
    one = min(500, third)
    copy(cursor, purchases[:third])
    for p in purchases[third:third + one]:
        cursor.execute("INSERT INTO payments (customer, day, units, dollars, settled)"
                       " VALUES (%s, %s, %s, %s, true)",
                       (p["customer"], p["day"], p["units"], p["dollars"]))
    copy(cursor, purchases[third + one:], settled=False)
    cursor.execute("UPDATE payments SET settled = true WHERE NOT settled")


class Ledger:
    """The payments in the order in which they counted, and the model that is told of them."""

    def __init__(self, cursor, model, program_id, purchases):
        self.cursor, self.model, self.id = cursor, model, program_id
        zone = ZoneInfo(model.time_zone)    # in which a date without a time is read
        self.payments = {f"cd-{n}": Payment(
            f"cd-{n}", p["customer"], int(Decimal(p["dollars"]) * UNIT), None, "purchase",
            midnight(date.fromisoformat(p["day"]), zone)) for n, p in enumerate(purchases, 1)}
        self.last = 0               # payment_no of what the model knows

    def ask(self, query, **arguments):
        return rows(self.cursor, query, id=self.id, **arguments)

    def tell(self):
        """The payments that came since, in the order in which they counted."""
        new = self.ask("SELECT payment_no, payment_id FROM referral.payment WHERE program_id = %(id)s"
                       " AND payment_no > %(last)s ORDER BY payment_no", last=self.last)
        if new:
            self.last = new[-1][0]
            self.write([self.payments[payment_id] for _, payment_id in new])

    def write(self, rows_of_statement):
        self.model.write(rows_of_statement, datetime.now(UTC))

    def mark(self):
        """An instant before what follows, which the model records right after it."""
        (at,), = self.ask("SELECT clock_timestamp()")
        self.model.began = self.model.clock = at + timedelta(microseconds=1)
        return at

    def refund(self, refunds):
        """A statement of some thousand rows, by COPY and by INSERT in turn."""
        for n in range(0, len(refunds), 2000):
            batch = [(self.id, refund) for refund in refunds[n:n + 2000]]
            (paths.insert_values if n % 4000 else paths.copy)(self.cursor, batch)
            self.write([refund for _, refund in batch])

    def pay_out(self, batch_id):
        """Everyone who has something; nine in ten payouts arrive, the others fail."""
        now, ids = datetime.now(UTC), {}
        for payout_id, user in self.ask("SELECT id, user_id FROM referral.payout_batch("
                                        "%(batch)s, program_id => %(id)s)", batch=batch_id):
            ids[user] = payout_id
        self.model.payout_batch(batch_id, None, ids, now)
        failed = sorted(ids.values())[::10]
        sent = sorted(set(ids.values()) - set(failed))
        self.ask("SELECT count(referral.payout_failed(p, 'closed', %(id)s)) FROM unnest(%(ids)s) AS p",
                 ids=failed)
        self.ask("SELECT count(referral.payout_sent(p, 'wire', %(id)s)) FROM unnest(%(ids)s) AS p",
                 ids=sent)
        for payout_id in failed:
            self.model.payout_to(payout_id, "failed", now, note="closed")
        for payout_id in sent:
            self.model.payout_to(payout_id, "sent", now, reference="wire")
        return len(ids)


def plan_refunds(payments, months, chance):
    """{month: refunds}: a third of the payments in one to four parts, every other one wholly;
    now and then too early."""
    plan = {month: [] for month in months}
    for payment in payments:
        if chance.randrange(3) or not payment.amount:
            continue
        total = payment.amount if chance.randrange(2) else chance.randint(1, payment.amount)
        cuts = sorted(chance.randint(0, total) for _ in range(chance.randrange(4)))
        first = months.index(month_of(payment))
        for n, part in enumerate(b - a for a, b in zip([0, *cuts], [*cuts, total])):
            month = months[max(0, min(len(months) - 1, first + chance.choice([-1, 0, 0, 1, 2, 5])))]
            if part:
                plan[month].append(Refund(f"{payment.payment_id} part {n}", payment.payment_id, part,
                                          None, payment.occurred_at))
    plan[months[0]].append(Refund("lost", LOST, UNIT, "never paid", START))
    return plan


def month_of(payment):
    return payment.occurred_at.strftime("%Y-%m")


def sums(model):
    """What came in beside what went out, is left, or is owed."""
    earned = sum(r.amount for r in model.rewards)
    accounts = [m.account for m in model.members.values()]
    settled = sum(s.amount for a in accounts for s in a.settlements)
    paid_out = sum(a.paid_out for a in accounts)
    left = sum(model.available(u, datetime.now(UTC)) for u in model.members)
    return earned, sum(model.reversed.values()), paid_out, left, settled


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("path")
    arguments.add_argument("--limit", type=int, default=None)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    with open(options.path, newline="", encoding="ascii") as file:
        purchases = list(csv.DictReader(file))[:options.limit]
    customers = range(1, max(int(p["customer"]) for p in purchases) + 1)
    half = len(purchases) // 2
    purchases[half:] = sorted(purchases[half:], key=lambda p: p["day"][:7])
    months = sorted({p["day"][:7] for p in purchases})
    tally = Tally()
    with Database("cdnow") as name:
        connection = connect(name)
        cursor = connection.cursor()
        model, program_id = stage(cursor, customers)
        refer(cursor, model, program_id, customers)
        ledger = Ledger(cursor, model, program_id, purchases)
        plan = plan_refunds(ledger.payments.values(), months, random.Random(options.seed))
        marks, payouts, start = [ledger.mark()], 0, time.monotonic()
        attach(cursor, program_id, purchases[:half])
        ledger.tell()
        cursor.execute("ANALYZE")
        for month in months:
            marks.append(ledger.mark())
            arrive(cursor, [p for p in purchases[half:] if p["day"].startswith(month)])
            ledger.tell()
            ledger.refund(plan[month])
            payouts += ledger.pay_out(month)
        marks.append(ledger.mark())
        took = time.monotonic() - start
        cursor.execute("ANALYZE")

        found = [payment_id for payment_id, in ledger.ask(
            "SELECT payment_id FROM referral.payment WHERE program_id = %(id)s")]
        refunds = sum(map(len, plan.values()))
        tally.report(f"{len(found)} payments, each once, {refunds} refunds and {payouts} payouts"
                     f" in {took:.1f} s",
                     None if sorted(found) == sorted(ledger.payments) else "ids differ")
        tally.report(f"{len(model.rewards)} rewards and all that is read of {len(customers)} members",
                     compare(cursor, model, program_id))
        earned, reversed_, paid_out, left, settled = sums(model)
        read, = ledger.ask("SELECT sum((o.balance).lifetime_micro), sum((o.balance).available_micro)"
                           " FROM referral.member AS m, LATERAL referral.referral_overview("
                           "m.user_id, m.program_id) AS o WHERE m.program_id = %(id)s")
        tally.report(f"in {earned} = reversed {reversed_} + paid out {paid_out} + left {left}",
                     difference((earned - reversed_, left, paid_out + left, settled),
                                (*read, earned - reversed_, paid_out)))
        tally.report(f"statements at {len(marks)} instants", past(ledger, marks))
        tally.report("leaderboard and funnel", operators(ledger, months))
        fates = Counter(model.status(a, datetime.now(UTC)) for a in model.attributions.values())
        tally.report(f"every rule had work: {dict(fates)}, budget_used_up {len(model.unrewarded)},"
                     f" spent {model.campaigns[1].spent},"
                     f" {sum(model.owed(u) > 0 for u in model.members)} owe",
                     None if fates["capped"] and model.unrewarded or options.limit else "too tame")
    tally.finish()


def past(ledger, marks):
    """The statements of those to whom most happened, at every instant in between."""
    users = [u for u, _ in Counter(e.user for e in ledger.model.events).most_common(5)]
    for at in marks:
        for user in users:
            (found,), = ledger.ask("SELECT to_jsonb(s) - 'at' FROM referral.statement("
                                   "%(user)s, %(at)s, %(id)s) AS s", user=user, at=at)
            complaint = difference(Books(ledger.model, at).statement(user), found, f"{user} at {at}")
            if complaint:
                return complaint
    return None


def operators(ledger, months):
    """Whole, and month by month."""
    books = Books(ledger.model, datetime.now(UTC))
    firsts = [None, *(date.fromisoformat(f"{month}-01") for month in months), None]
    for since, until in [(None, None), *zip(firsts, firsts[1:])]:
        asked = {"since": since, "until": until}
        board = ledger.ask("SELECT to_jsonb(l) FROM referral.leaderboard(%(since)s, %(until)s, 200,"
                           " %(id)s) AS l", **asked)
        funnel = ledger.ask("SELECT to_jsonb(f) FROM referral.funnel_stats(%(since)s, %(until)s,"
                            " program_id => %(id)s) AS f", **asked)
        expected = [*books.leaderboard(since, until)[:200], books.funnel_stats(since, until, None)]
        complaint = difference(expected, [row for row, in board + funnel], f"{since} to {until}")
        if complaint:
            return complaint
    return None


if __name__ == "__main__":
    main()
