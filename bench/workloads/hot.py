"""Every payment under one referrer."""

from harness import HOT, SPREAD, check_books, first_numbers, in_turn, pay, report, row, workload


@workload
def hot():
    """Every payment under one referrer, 8 clients, each commit flushed."""
    cases = [("referral", "spread"), ("referral", "hot"), ("floor", "hot"), ("plpgsql", "hot")]
    numbers = {kind: [next(first_numbers) for _ in range(5)] for kind in ("spread", "hot")}
    figures = in_turn(5, cases, lambda case, turn: pay(
        case[0], numbers[case[1]][turn], turn, 8, 1000,
        HOT if case[1] == "hot" else SPREAD, "on"))
    report("hot: every payment under one referrer, 8 clients, each commit flushed",
           "payments/s", figures)
    for opponent in ("floor", "plpgsql"):     # that their books be equal
        for turn, number in enumerate(numbers["spread"]):
            pay(opponent, number, turn, 8, 1000, SPREAD, "off")
    check_books()
    hot_one = figures["referral", "hot"]
    row("hot: payments/s against spread", hot_one, figures["referral", "spread"], 0.9)
    row("hot: payments/s against floor", hot_one, figures["floor", "hot"])
    row("hot: payments/s against plpgsql", hot_one, figures["plpgsql", "hot"])
