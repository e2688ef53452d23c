"""Instructions per payment in user space, by callgrind: no noise."""

import re
import shutil
import subprocess
import sys

from harness import DIRECTORY, HERE, OPPONENTS, TEMPLATE, compare, report, row, workload

AS_SERVER = HERE.parent / "scripts/unprivileged"
COPY = DIRECTORY / "copy"

# How many payers take turns, and from which payment to which it is counted.
CASES = {"rows met before": (70, 200, 500), "rows met first": (70000, 100, 400)}


def control(action):
    subprocess.run([AS_SERVER, "pg_ctl", "-D", DIRECTORY / "data", "-l", DIRECTORY / "log",
                    "-w", "-m", "fast", action], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)


def single_user(queries, *tool):
    """The output of a server without postmaster, over the copy of the files."""
    output = subprocess.run(
        [AS_SERVER, *tool, shutil.which("postgres"), "--single", "-D", COPY,
         "-c", "shared_buffers=512MB", TEMPLATE], input="\n".join(queries) + "\n", check=True,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    return output if "ERROR" not in output else sys.exit(output)


def collected(opponent, payers, payments):
    """Of a server that pays so many times, beginning with the same files."""
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run(["cp", "-a", DIRECTORY / "data", COPY], check=True)
    loop = "floor" if opponent == "floor" else "payment"
    output = single_user(
        [f"SET search_path = {opponent}",
         f"SELECT bench.{loop}_loop(200000000000, {payments}, {payers})"],
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    return int(re.search(r"Collected : (\d+)", output)[1])


@workload
def instructions():
    """Of a backend, for one payment, payers spread."""
    if not shutil.which("valgrind"):
        print("\ninstructions: left out, there is no valgrind on this machine")
        return
    control("stop")
    for case, (payers, few, many) in CASES.items():
        figures = {}
        books = {}
        for opponent in ["bare"] + OPPONENTS:
            figures[opponent] = [(collected(opponent, payers, many)
                                  - collected(opponent, payers, few)) / (many - few)]
            if opponent != "bare":
                output = single_user([f"SELECT bench.books('{opponent}')"])
                books[opponent] = re.search(r'books = "(.*?)"', output)[1]
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        report(f"instructions: for one payment, {case}", "", figures)
        compare(books)
        net = {opponent: [figures[opponent][0] - figures["bare"][0]] for opponent in OPPONENTS}
        row(f"instructions net of bare, {case}: against floor", net["referral"],
            net["floor"], 0.5, at_most=True)
        row(f"instructions net of bare, {case}: against plpgsql", net["referral"],
            net["plpgsql"], 0.2, at_most=True)
    shutil.rmtree(COPY)
    control("start")
