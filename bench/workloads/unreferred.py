"""Payers whom nobody referred, and such whose attribution was rejected."""

from harness import (check_sound, first_numbers, in_turn, newcomers, pay, report, row, sql,
                     workload)

ROOTS = (300000, 310000)        # members, but nobody's invitees
REJECTED = (1_000_000, 1_009_999)
CASES = {"bare": ("bare", ROOTS), "unreferred": ("referral", ROOTS),
         "rejected": ("referral", REJECTED)}


@workload
def unreferred():
    """One payment a transaction that concerns nobody, 8 clients."""
    newcomers(["referral"], REJECTED[0], 1, 10000)
    sql("UPDATE referral.attribution SET decision = 'rejected' WHERE rewarded_at IS NULL",
        "CALL referral.rebuild()", "VACUUM referral.attribution")
    numbers = {case: [next(first_numbers) for _ in range(5)] for case in CASES}
    figures = in_turn(5, list(CASES), lambda case, turn: pay(
        CASES[case][0], numbers[case][turn], turn, 8, 8000, CASES[case][1], "off"))
    report("unreferred: payments that concern nobody, 8 clients, commits not waited for",
           "payments/s", figures)
    check_sound()
    for case in ("unreferred", "rejected"):
        row(f"{case} payers, 8 clients: time of a payment against bare", figures["bare"],
            figures[case], 1.15, at_most=True)
