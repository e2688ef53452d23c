"""Many payments in one statement."""

import re
import sys
from statistics import median

from harness import (DIRECTORY, HOT, OPPONENTS, SPREAD, check_books, fill_bulk, first_numbers,
                     in_turn, of, report, row, server_milliseconds, settle, sql, workload)


def pay_bulk(opponent):
    """Milliseconds of what is in bench.bulk_payment, in one statement."""
    settle(opponent)
    return server_milliseconds(of(opponent, "bulk", "sql").read_text(), opponent)


def copy_bulk(opponent):
    """The same from a file."""
    columns = "program_id, payment_id, user_id, amount_micro, occurred_at"
    answers = ", kind, payment_no, taken_in"
    settle(opponent)
    file = DIRECTORY / "data/payments"
    sql(f"COPY (SELECT {columns}, 'purchase', payment_no, true FROM bench.bulk_payment) TO '{file}'"
        if opponent == "floor" else f"COPY bench.bulk_payment ({columns}) TO '{file}'")
    copy = f"COPY payment ({columns}{answers if opponent == 'floor' else ''}) FROM '{file}';"
    statements = re.sub("INSERT INTO payment.*?;", copy, of(opponent, "bulk", "sql").read_text(),
                        count=1, flags=re.DOTALL)
    return server_milliseconds(statements, opponent)


@workload
def bulk():
    """100,000 payments in one statement, and by COPY."""
    numbers = [next(first_numbers) for _ in range(5)]

    def insert(opponent, turn):
        fill_bulk(numbers[turn], 100000, SPREAD)
        return pay_bulk(opponent)

    def copy(opponent, turn):
        fill_bulk(numbers[3 + turn], 100000, SPREAD)
        return copy_bulk(opponent)

    inserted = in_turn(3, OPPONENTS, insert)
    report("bulk: 100,000 payments in one statement", "ms", inserted)
    check_books()
    copied = in_turn(2, ["floor", "referral"], copy)
    report("bulk: 100,000 payments by COPY", "ms", copied)
    check_books(["floor", "referral"])
    row("bulk: 100,000, time against floor", inserted["referral"], inserted["floor"])
    row("bulk: 100,000, times faster than plpgsql", inserted["plpgsql"], inserted["referral"], 12)
    row("bulk: 100,000 by COPY, time against floor", copied["referral"], copied["floor"])


@workload
def bulk_million():
    """1,000,000 payments in one statement."""
    numbers = [next(first_numbers) for _ in range(2)]

    def measure(opponent, turn):
        fill_bulk(numbers[turn], 1000000, SPREAD)
        return pay_bulk(opponent)

    figures = in_turn(2, ["floor", "referral"], measure)
    report("bulk_million: 1,000,000 payments in one statement", "ms", figures)
    check_books(["floor", "referral"])
    row("bulk: 1,000,000, time against floor", figures["referral"], figures["floor"], 0.85,
        at_most=True)


@workload
def bulk_hot():
    """10,000 and 1,000,000 payments under one referrer in one statement."""
    each = {name: [] for name in ("plpgsql, 10,000", "referral, 10,000", "referral, 1,000,000")}
    for payments in (10000, 10000, 10000, 1000000):
        fill_bulk(next(first_numbers), payments, HOT)
        if payments == 10000:
            each["plpgsql, 10,000"].append(pay_bulk("plpgsql") / 10)
        each[f"referral, {payments:,}"].append(1000 * pay_bulk("referral") / payments)
        pay_bulk("floor")
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report("bulk_hot: under one referrer in one statement", "microseconds a payment", each, 1)
    check_books(["floor", "referral"])
    row("bulk: 10,000 under one referrer, times faster than plpgsql", each["plpgsql, 10,000"],
        each["referral, 10,000"], 60)
    row("bulk: 1,000,000 under one referrer, cost of one against 10,000",
        each["referral, 1,000,000"], [median(each["referral, 10,000"])], 1.2, at_most=True)


@workload
def bulk_first():
    """100,000 first payments in one statement, and the same payers' second ones."""
    figures = {"plpgsql, first": [], "first": [], "second": []}
    people = (1000001, 1100000)
    sql(of("everybody", "bulk_first", "sql").read_text().format(*people))
    fill_bulk(next(first_numbers), 100000, people, each_once=True)
    figures["plpgsql, first"].append(pay_bulk("plpgsql"))
    figures["first"].append(pay_bulk("referral"))
    check_books(["plpgsql", "referral"])
    for _ in range(2):
        fill_bulk(next(first_numbers), 100000, people, each_once=True)
        figures["second"].append(pay_bulk("referral"))
    report("bulk_first: 100,000 first payments in one statement", "ms", figures)
    row("bulk: 100,000 first payments, time against second ones", figures["first"],
        [median(figures["second"])])
    row("bulk: 100,000 first payments, times faster than plpgsql", figures["plpgsql, first"],
        figures["first"])
