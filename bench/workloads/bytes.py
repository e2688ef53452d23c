"""What a payment takes on disk: rows, index entries and WAL."""

from harness import (OPPONENTS, SPREAD, check_books, fill_bulk, first_numbers, of, pay, report,
                     row, server_milliseconds, settle, sql, workload)


def size(opponent):
    """Bytes of all tables, of all their indexes, and of WAL so far."""
    return [int(each) for each in sql(
        f"""SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)),
                   pg_current_wal_insert_lsn() - '0/0'
            FROM pg_class WHERE relnamespace = '{opponent}'::regnamespace AND relkind = 'r'"""
    ).split("|")]


@workload
def bytes():
    """Of 100,000 payments in bulk and of 20,000 single ones, pages' first images left out."""
    sql("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
    figures = {}
    numbers = [next(first_numbers) for _ in range(2)]
    fill_bulk(numbers[0], 100000, SPREAD)
    for opponent in OPPONENTS:
        for name, payments, take in (
                ("bulk", 100000,
                 lambda: server_milliseconds(of(opponent, "bulk", "sql").read_text(), opponent)),
                ("single", 20000,
                 lambda: pay(opponent, numbers[1], 1, 1, 20000, SPREAD, "off"))):
            settle(opponent)
            before = size(opponent)
            take()
            grown = [(b - a) / payments for a, b in zip(before, size(opponent))]
            figures |= {(opponent, name, kind): [each]
                        for kind, each in zip(("table", "index", "WAL"), grown)}
    sql("ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()")
    report("bytes of a payment", "bytes", figures)
    check_books()
    for name, goal in (("bulk", 0.8), ("single", None)):
        row(f"bytes: WAL of a payment, {name}, against floor", figures["referral", name, "WAL"],
            figures["floor", name, "WAL"], goal, at_most=True)
