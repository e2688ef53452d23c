"""Many single payments in one transaction."""

from harness import (HOT, check_books, fill_bulk, first_numbers, of, report, row, settle, sql,
                     workload)


@workload
def long():
    """20,000 single inserts under one referrer in one transaction."""
    figures = {"2nd 1,000": [], "last 1,000": []}
    for _ in range(3):
        fill_bulk(next(first_numbers), 20000, HOT)
        settle("referral")
        times = sql("SELECT * FROM bench.pay_in_one_transaction()", opponent="referral").split()
        figures["2nd 1,000"].append(float(times[1]))
        figures["last 1,000"].append(float(times[-1]))
        sql(of("floor", "bulk", "sql").read_text(), opponent="floor")
        sql("CALL bench.pay_in_batches('plpgsql')")
    report("long: 20,000 single inserts under one referrer in one transaction", "ms", figures)
    check_books()
    row("long: last 1,000 against 2nd 1,000", figures["last 1,000"], figures["2nd 1,000"],
        1.2, at_most=True)
