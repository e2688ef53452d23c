"""Many single payments in one transaction."""

import sys

from harness import HOT, SPREAD, first_numbers, report, row, script, settle, sql, workload


def stretches(payments, payers):
    """Milliseconds of each 10,000 payments of a transaction, and bytes after them."""
    settle("referral")
    sql(f"CALL bench.pay_long({next(first_numbers)}, {payments}, {payers[0]}, "
        f"{payers[1] - payers[0] + 1})")
    figures = sql("SELECT milliseconds, bytes FROM bench.long_stretch WHERE payments > 0 "
                  "ORDER BY payments").split()
    return list(zip(*((float(each) for each in line.split("|")) for line in figures)))


@workload
def long():
    """1,000,000 single payments in one transaction, 100,000 spread."""
    script("workloads/long.sql")
    cases = {"under one referrer": (1_000_000, HOT), "spread": (100_000, SPREAD)}
    for case, arguments in cases.items():
        times, memory = stretches(*arguments)
        ends = min(5, len(times) // 2)
        report(f"long: payments in one transaction, {case}", "processor ms for 10,000",
               {"first": times[:ends], "last": times[-ends:]})
        report(f"long: memory of the backend, {case}", "kB",
               {"after 10,000": [memory[0] / 1024], "at the end": [memory[-1] / 1024]})
        goals = (1.2, 1.05) if case == "under one referrer" else (None, None)
        row(f"long, {case}: the last 10,000 against the first", times[-ends:], times[:ends],
            goals[0], at_most=True)
        row(f"long, {case}: memory at the end against after 10,000", memory[-1:], memory[:1],
            goals[1], at_most=True)
    wrong = sql("ANALYZE", "SELECT count(*) FROM referral.recount_earnings(1)")
    if wrong != "0":
        sys.exit(f"{wrong} counters are not what the rewards say")
