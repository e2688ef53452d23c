"""One payment a transaction, payers spread."""

from harness import (OPPONENTS, SPREAD, check_books, compare, environment, first_numbers, in_turn,
                     pay, report, row, script, settle, sql, workload)
from opponents import orm

# The opponent with an ORM takes every nth payment of the same round.
CASES = OPPONENTS + ["orm", "bare"]
ORM_TAKES = 20


def pay_orm(first_no, clients, each):
    last_no = first_no + clients * (each + 1)
    payments = [line.split("|") for line in sql(
        "SELECT payment_id, user_id, amount_micro FROM referral.payment"
        f" WHERE payment_id BETWEEN '{first_no}' AND '{last_no}'"
        f"  AND payment_id::bigint / {clients} % {ORM_TAKES} = 0 ORDER BY payment_id").splitlines()]
    settle("orm")
    return orm.pay([(name, user, int(amount)) for name, user, amount in payments], clients,
                   environment("orm")["PGOPTIONS"])


def against(clients, each, goals):
    numbers = [next(first_numbers) for _ in range(3)]

    def measure(case, turn):
        if case == "orm":
            return pay_orm(numbers[turn], clients, each)
        return pay(case, numbers[turn], turn, clients, each, SPREAD, "off")

    figures = in_turn(3, CASES, measure)
    who = "1 client" if clients == 1 else f"{clients} clients"
    report(f"spread: one payment a transaction, {who}, commit not waited for", "payments/s",
           figures)
    for opponent in [case for case in CASES if case != "referral"]:
        row(f"spread, {who}: payments/s against {opponent}", figures["referral"],
            figures[opponent], goals.get(opponent))


@workload
def spread():
    """One payment a transaction, 8 clients and 1, payers of 10,000 trees."""
    script("opponents/orm.sql")
    against(8, 10000, {"floor": 1.6, "plpgsql": 3})
    against(1, 4000, {})
    check_books()
    compare({books: sql(f"SELECT bench.books('{books}')") for books in ("orm", "orm_part")})
