"""Every payment under one referrer."""

from harness import (HOT, OPPONENTS, SPREAD, check_books, check_sound, first_numbers, in_turn, pay,
                     report, row, workload)

COMMIT = {"on": "commits flushed", "off": "commits not waited for"}
MODES = [(clients, commit) for commit in COMMIT for clients in (8, 16)]
GOALS = {(16, "on"): {"floor": 5, "plpgsql": 8}}


def against_others():
    numbers = {mode: [next(first_numbers) for _ in range(3)] for mode in MODES}

    def measure(case, turn):
        clients, commit, opponent = case
        return pay(opponent, numbers[clients, commit][turn], turn, clients, 4800 // clients, HOT,
                   commit)

    figures = in_turn(3, [(*mode, opponent) for mode in MODES for opponent in OPPONENTS], measure)
    report("hot: every payment under one referrer, clients, synchronous commit", "payments/s",
           figures)
    check_books()
    for mode in MODES:
        for opponent in ("floor", "plpgsql"):
            row(f"hot, {mode[0]} clients, {COMMIT[mode[1]]}: payments/s against {opponent}",
                figures[*mode, "referral"], figures[*mode, opponent],
                GOALS.get(mode, {}).get(opponent))


def against_spread():
    cases = [(clients, "on", payers) for clients in (8, 16) for payers in ("hot", "spread")]
    figures = in_turn(3, cases, lambda case, turn: pay(
        "referral", next(first_numbers), turn, case[0], 16000 // case[0],
        HOT if case[2] == "hot" else SPREAD, case[1]))
    report("hot: under one referrer or spread, clients, synchronous commit", "payments/s", figures)
    for clients in (8, 16):
        row(f"hot, {clients} clients, {COMMIT['on']}: payments/s against spread",
            figures[clients, "on", "hot"], figures[clients, "on", "spread"],
            1 if clients == 8 else None)


@workload
def hot():
    """Every payment under one referrer, 8 and 16 clients, each commit flushed or not."""
    against_others()
    against_spread()
    check_sound()
