"""First payments: payers qualify, referrers rise."""

from itertools import count

from harness import check_sound, first_numbers, in_turn, newcomers, pay, report, row, workload

CLIENTS = (8, 16)
EACH = 9000                     # payments of a case and round
PEOPLE = {"hot": 1_000_000, "spread": 2_000_000}


@workload
def first():
    """First payments only, spread and under one referrer, 8 and 16 clients, commits flushed."""
    payers = 3 * len(CLIENTS) * EACH
    newcomers(["referral"], PEOPLE["hot"], 1, payers)
    newcomers(["referral"], PEOPLE["spread"], 10000, payers)
    unpaid = {kind: count(first_id, EACH) for kind, first_id in PEOPLE.items()}

    def measure(case, turn):
        clients, kind = case
        first_payer = next(unpaid[kind]) - clients     # numbers begin there
        return pay("referral", next(first_numbers), turn, clients, EACH // clients,
                   (first_payer, None), "on", "newcomer")

    figures = in_turn(3, [(clients, kind) for clients in CLIENTS for kind in PEOPLE], measure)
    report("first: first payments, clients, payers under one referrer or spread, commits flushed",
           "payments/s", figures)
    check_sound()
    for clients in CLIENTS:
        row(f"first payments under one referrer, {clients} clients: payments/s against spread",
            figures[clients, "hot"], figures[clients, "spread"], 1)
