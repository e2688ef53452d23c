"""Instructions per payment in user space, by callgrind: no noise, so these rows
have limits, too, which `make test` keeps. Whoever makes a payment cheaper lowers
them; nobody raises one without saying in docs/performance.md what it buys.
"""

import re
import shutil
import subprocess
import sys

from harness import (DIRECTORY, HERE, OPPONENTS, SPREAD, TEMPLATE, compare, report, row,
                     workload)

AS_SERVER = HERE.parent / "scripts/unprivileged"
COPY = DIRECTORY / "copy"

# How many payments the two runs make whose difference is taken: at the beginning
# of a session, and when it has met some of its rows.
YOUNG, OLD = (100, 400), (3000, 3200)
FIRST_NO = 200_000_000_000
STRANGERS = (900_001, 970_000)
NEWCOMERS = (800_001, 807_000)

ENROLL = f"""
INSERT INTO referral.member (program_id, member_id, user_id, referrer_id, tier)
    SELECT 1, n, n, 100000 + n % 7000, 1 FROM generate_series({NEWCOMERS[0]}, {NEWCOMERS[1]}) n;
INSERT INTO referral.account SELECT 1, n FROM generate_series({NEWCOMERS[0]}, {NEWCOMERS[1]}) n;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
    SELECT 1, n, n, 100000 + n % 7000, 100000 + n % 7000, '2026-01-01', n
    FROM generate_series({NEWCOMERS[0]}, {NEWCOMERS[1]}) n"""


def control(action):
    subprocess.run([AS_SERVER, "pg_ctl", "-D", DIRECTORY / "data", "-l", DIRECTORY / "log",
                    "-w", "-m", "fast", action], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)


def single_user(opponent, statements, *tool):
    """The output of a server without postmaster, over the copy of the files."""
    lines = [" ".join(each.split()) for each in statements]
    output = subprocess.run(
        [AS_SERVER, *tool, shutil.which("postgres"), "--single", "-D", COPY,
         "-c", "shared_buffers=512MB", "-c", f"search_path={opponent}", TEMPLATE],
        input="\n".join(lines) + "\n", check=True, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT).stdout
    return output if "ERROR" not in output else sys.exit(output)


def collected(opponent, statements):
    """Of a server that executes them, beginning with the files of the template."""
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run(["cp", "-a", DIRECTORY / "data", COPY], check=True)
    output = single_user(opponent, statements, "valgrind", "--tool=callgrind",
                         "--callgrind-out-file=/dev/null")
    return int(re.search(r"Collected : (\d+)", output)[1])


def for_one(opponent, loop, before=(), turns=YOUNG):
    """What one more turn of the loop costs; "{}" in the loop is how many it makes."""
    few, many = (collected(opponent, [*before, f"CALL bench.{loop.format(each)}"])
                 for each in turns)
    print(".", end="", file=sys.stderr, flush=True)
    return (many - few) / (turns[1] - turns[0])


def loop_of(opponent, payers, among=SPREAD):
    kind = "floor" if opponent == "floor" else "payment"
    return f"{kind}_loop({FIRST_NO}, {{}}, {payers}, {among[0]}, {among[1]})"


def against_opponents(case, figures, limit):
    """Rows for a payment of three levels."""
    net = {opponent: [figures[opponent] - figures["bare"]] for opponent in OPPONENTS}
    for opponent, goal in (("floor", 0.5), ("plpgsql", 0.2)):
        row(f"instructions net of bare, {case}: against {opponent}", net["referral"],
            net[opponent], goal, at_most=True, limit=limit[opponent])


def known_payers(payers):
    """For a payment of three levels, of all opponents, whose books are compared."""
    figures, books = {}, {}
    for opponent in ["bare"] + OPPONENTS:
        figures[opponent] = for_one(opponent, loop_of(opponent, payers))
        if opponent != "bare":
            output = single_user("bench", [f"SELECT books('{opponent}')"])
            books[opponent] = re.search(r'books = "(.*?)"', output)[1]
    print(file=sys.stderr)
    report(f"instructions: for one payment, {payers:,} payers in turn", "",
           {opponent: [each] for opponent, each in figures.items()})
    compare(books)
    return figures


def other_cases(bare, payment):
    """Payments of strangers, first payments, refunds; against the figures of others."""
    bare, payment = [bare], [payment]
    stranger = [for_one("referral", loop_of("referral", 70000, STRANGERS))]
    first = [for_one("referral", loop_of("referral", 7000, NEWCOMERS), ENROLL.split(";"))]
    refund = [for_one("referral", f"refund_loop({FIRST_NO}, {{}})",
                      [f"CALL bench.{loop_of('referral', 70000).format(YOUNG[1])}"])]
    print(file=sys.stderr)
    report("instructions: other cases", "",
           {"payer without referrer": stranger, "first payment": first, "refund": refund})
    row("instructions: payer without referrer against bare", stranger, bare, limit=1.34)
    row("instructions: first payment against a later one", first, payment, limit=0.96)
    row("instructions: refund against payment", refund, payment, 1.2, at_most=True, limit=0.68)


@workload
def instructions():
    """Of a backend, for one payment, in a session that has met the rows and in one that has not."""
    control("stop")
    # What was left of the log is not worth copying each time.
    subprocess.run([AS_SERVER, "pg_resetwal", "-D", DIRECTORY / "data"], check=True,
                   stdout=subprocess.DEVNULL)
    figures = known_payers(70000)
    against_opponents("first 400 payments of a session", figures,
                      {"floor": 0.8, "plpgsql": 0.38})
    # The opponents do not learn.
    later = for_one("referral", loop_of("referral", 70000), turns=OLD)
    report("instructions: the same, 3,000 payments later", "", {"referral": [later]})
    against_opponents("after 3,000 payments of a session", figures | {"referral": later},
                      {"floor": 0.41, "plpgsql": 0.195})
    other_cases(figures["bare"], figures["referral"])
    shutil.rmtree(COPY)
    control("start")
