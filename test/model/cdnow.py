#!/usr/bin/python3
"""The real payments of a file, through an attached table, against the model, row by row.

    cdnow.py PATH [--limit ROWS]

PATH has the columns customer, day, units, dollars. Customer n was referred by
customer floor(n / 3), at the beginning of 1997 and before he paid anything.
Half of the payments are in the table before it is attached and come in by
backfill(); the other half, in the file's order, by COPY, by single INSERTs and
by an UPDATE that settles what was unpaid.
"""

import argparse
import csv
import io
import time
from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from compare import compare, rows
from db import Database, Tally, connect, insert
from model import Campaign, Payment, Program, Rate, midnight

UTC = timezone.utc
START = datetime(1997, 1, 1, tzinfo=UTC)
UNIT = 1_000_000
BUDGET = 200 * UNIT
CAMPAIGN = range(3, 40, 3)          # these customers refer by a campaign's capped code
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


def load(cursor, program_id, purchases):
    """Every way in; returns the row numbers in the order in which they count."""
    half, end = len(purchases) // 2, len(purchases)
    one, late = min(half + 5000, end), min(half + 5500, end)
    cursor.execute(TABLE)
    copy(cursor, purchases[:half])
    cursor.execute("SELECT referral.attach('payments', 'customer', 'dollars', 'id',"
                   " occurred_at => 'day', paid_when => 'settled', id_prefix => 'cd-',"
                   " program_id => %s)", (program_id,))
    cursor.execute("CALL referral.backfill('payments', program_id => %s)", (program_id,))
    copy(cursor, purchases[half:one])
    for p in purchases[one:late]:
        cursor.execute("INSERT INTO payments (customer, day, units, dollars, settled)"
                       " VALUES (%s, %s, %s, %s, true)",
                       (p["customer"], p["day"], p["units"], p["dollars"]))
    copy(cursor, purchases[late:], settled=False)
    cursor.execute("UPDATE payments SET settled = true WHERE NOT settled")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("path")
    arguments.add_argument("--limit", type=int, default=None)
    options = arguments.parse_args()
    with open(options.path, newline="", encoding="ascii") as file:
        purchases = list(csv.DictReader(file))[:options.limit]
    customers = range(1, max(int(p["customer"]) for p in purchases) + 1)
    tally = Tally()
    with Database("cdnow") as name:
        connection = connect(name)
        cursor = connection.cursor()
        model, program_id = stage(cursor, customers)
        refer(cursor, model, program_id, customers)
        start = time.monotonic()
        load(cursor, program_id, purchases)
        took = time.monotonic() - start

        order = [payment_id for payment_id, in rows(
            cursor, "SELECT payment_id FROM referral.payment WHERE program_id = %(id)s"
                    " ORDER BY payment_no", id=program_id)]
        wanted = [f"cd-{n}" for n in range(1, len(purchases) + 1)]
        tally.report(f"{len(order)} payments in {took:.1f} s, each once",
                     None if sorted(order) == sorted(wanted) else "ids differ")
        zone = ZoneInfo(model.time_zone)    # in which a date without a time is read
        payments = {f"cd-{n}": Payment(f"cd-{n}", p["customer"], int(Decimal(p["dollars"]) * UNIT), None,
                                       "purchase", midnight(date.fromisoformat(p["day"]), zone))
                    for n, p in enumerate(purchases, 1)}
        model.pay([payments[payment_id] for payment_id in order], datetime.now(UTC))
        cursor.execute("ANALYZE")
        tally.report(f"{len(model.rewards)} rewards and all that is read of {len(customers)} members",
                     compare(cursor, model, program_id))
        fates = Counter(model.status(a, datetime.now(UTC)) for a in model.attributions.values())
        tally.report(f"every rule had work: {dict(fates)}, budget_used_up {len(model.unrewarded)},"
                     f" spent {model.campaigns[1].spent}",
                     None if fates["capped"] and model.unrewarded or options.limit else "too tame")
    tally.finish()


if __name__ == "__main__":
    main()
