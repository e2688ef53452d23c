"""Transactions that pay for several people of few trees, in any order."""

import os

from harness import check_sound, first_numbers, newcomers, pay, row, sql, workload

CLIENTS = 8
NEW = 1_000_000                 # people who never paid, under 20 referrers
TRANSACTIONS = {"plpgsql": 1000, "referral": 50000}     # of either kind


@workload
def deadlocks():
    """Four payments in a statement, two statements in a transaction: 20 trees, 8 clients."""
    sql("ALTER DATABASE " + os.environ["PGDATABASE"] + " SET deadlock_timeout = '20ms'")
    newcomers(list(TRANSACTIONS), NEW, 20, 30000)
    print("\ndeadlocks: four payments in a statement, two statements in a transaction, 20 trees,"
          f" {CLIENTS} clients")
    for opponent, transactions in TRANSACTIONS.items():
        new = NEW
        for kind in ("rows", "statements"):
            pay(opponent, next(first_numbers), 0, CLIENTS, transactions // CLIENTS,
                (new - CLIENTS // 4, None), "on", kind)
            new += transactions // 4
        found = int(sql("SELECT pg_sleep(1)", "SELECT deadlocks FROM pg_stat_database"
                        " WHERE datname = current_database()"))
        sql("SELECT pg_stat_reset()")
        print(f"  {opponent:<12}{found:>8,} deadlocks in {2 * transactions:,} transactions")
    check_sound()
    row(f"deadlocks in {2 * transactions:,} transactions of several payments", [found], [1], 0,
        at_most=True)
