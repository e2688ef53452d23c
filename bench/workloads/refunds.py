"""Refunds against the payments that they give back."""

import sys

from harness import (SPREAD, fill_bulk, first_numbers, milliseconds, of, pay, report, row, settle,
                     sql, workload)


@workload
def refunds():
    """Refunds against the payments that they give back: one by one, and 100,000 at once."""
    single, at_once = ({"payment": [], "refund": []} for _ in range(2))
    for turn in range(2):
        number = next(first_numbers)
        for what, figures in single.items():
            figures.append(pay("referral", number, turn, 8, 5000, SPREAD, "off", what))
        fill_bulk(next(first_numbers), 100000, SPREAD)
        for what, figures in zip(("bulk", "bulk_refund"), at_once.values()):
            settle("referral")
            statement = of("referral", what, "sql").read_text()
            figures.append(milliseconds(lambda: sql(statement, opponent="referral")))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report("refunds: one a transaction, 8 clients, commit not waited for", "a second", single)
    report("refunds: 100,000 in one statement", "ms", at_once)
    broken = sql("ANALYZE", "SELECT count(*) FROM referral.verify()"
                            " WHERE invariant ~ 'refund|earning|reward'")
    if broken != "0":
        sys.exit(f"verify() names {broken} broken invariants")
    row("refunds: refunds/s against payments/s", single["refund"], single["payment"], 0.83)
    row("refunds: 100,000, time against payments", at_once["refund"], at_once["payment"],
        1.2, at_most=True)
