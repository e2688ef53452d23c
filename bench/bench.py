"""Runs workloads and prints their table; started by bench/run with the server's
folder and the names of the workloads, all by default. A run of all also leaves
the table and its picture in docs/.
"""

import importlib
import os
import subprocess
import sys
import time

from harness import HERE, TEMPLATE, check_books, rows, script, sql, workloads
from table import draw, table

MODULES = ["instructions", "spread", "hot", "unreferred", "first", "deadlocks", "bulk", "bytes",
           "long", "refunds", "funnel", "http", "reads", "payout", "upkeep"]


def in_database(name, run):
    """Run in a database of its own, which begins as everybody's."""
    database = f"{TEMPLATE}_{name}"
    os.environ["PGDATABASE"] = "postgres"
    sql(f"CREATE DATABASE {database} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    os.environ["PGDATABASE"] = database
    started = time.monotonic()
    run()
    print(f"  ({time.monotonic() - started:.0f} s)")
    os.environ["PGDATABASE"] = "postgres"
    sql(f"DROP DATABASE {database} (FORCE)")


def main():
    for module in MODULES:
        importlib.import_module(f"workloads.{module}")
    chosen = sys.argv[2:] or list(workloads)
    unknown = [name for name in chosen if name not in workloads]
    if unknown:
        sys.exit(f"no such workload: {' '.join(unknown)}; there are {' '.join(workloads)}")
    started = time.monotonic()
    subprocess.run(["createdb", TEMPLATE], check=True)
    os.environ["PGDATABASE"] = TEMPLATE
    for path in ("data/people", "opponents/referral", "opponents/floor", "opponents/plpgsql",
                 "opponents/bare", "data/compare", "data/loops"):
        script(f"{path}.sql")
    sql("VACUUM ANALYZE", "CHECKPOINT")
    check_books()
    for name in chosen:
        in_database(name, workloads[name])

    for row in rows:
        if row.limit:
            print(f"{'ok' if row.median <= row.limit else 'not ok'} - {row.text}: "
                  f"{row.median:.3f}, limit {row.limit}")
    text = table(rows)
    print(f"\n{text}\n{os.cpu_count()} processors, {time.monotonic() - started:.0f} s")
    if chosen == list(workloads):
        (HERE.parent / "docs/benchmark.txt").write_text(text)
        draw(rows, HERE.parent / "docs/benchmark.svg")


main()
