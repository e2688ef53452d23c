"""Many payments in one statement."""

from harness import (OPPONENTS, SPREAD, check_books, fill_bulk, first_numbers, in_turn,
                     milliseconds, of, report, row, settle, sql, workload)


@workload
def bulk():
    """100,000 payments in one statement."""
    numbers = [next(first_numbers) for _ in range(3)]

    def measure(opponent, turn):
        fill_bulk(numbers[turn], 100000, SPREAD)
        settle(opponent)
        return milliseconds(lambda: sql(of(opponent, "bulk", "sql").read_text(), opponent=opponent))

    figures = in_turn(3, OPPONENTS, measure)
    report("bulk: 100,000 payments in one statement", "ms", figures)
    check_books()
    row("bulk: time against floor", figures["referral"], figures["floor"], 1.1, at_most=True)
    row("bulk: times faster than plpgsql", figures["plpgsql"], figures["referral"], 8)
