"""One payment a transaction, payers spread."""

from harness import (OPPONENTS, SPREAD, check_books, first_numbers, in_turn, pay, report, row,
                     workload)


@workload
def spread():
    """One payment a transaction, 8 clients, payers of 10,000 trees."""
    numbers = [next(first_numbers) for _ in range(3)]
    figures = in_turn(3, OPPONENTS, lambda opponent, turn: pay(
        opponent, numbers[turn], turn, 8, 40000, SPREAD, "off"))
    report("spread: one payment a transaction, 8 clients, commit not waited for",
           "payments/s", figures)
    check_books()
    row("spread: payments/s against floor", figures["referral"], figures["floor"], 1.3)
    row("spread: payments/s against plpgsql", figures["referral"], figures["plpgsql"], 2.5)
