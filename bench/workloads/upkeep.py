"""maintain() and verify() on 10,000,000 rewards, and payments meanwhile."""

import pathlib
import subprocess
import sys
import tempfile
import time
from statistics import median

from harness import (SPREAD, environment, first_numbers, in_turn, ledger, milliseconds, of, report,
                     row, sql, workload)

REWARDS = 10_000_000
SESSIONS, EACH = 16, 2500       # that leave parts to be merged
SECONDS, RATE = 7, 1000        # of payments meanwhile, one at a time in four sessions


def payments(clients, arguments, commit, **settings):
    variables = {"first_no": next(first_numbers), "k": 0, "clients": clients,
                 "first_payer": SPREAD[0], "last_payer": SPREAD[1]}
    settings.setdefault("env", environment("referral", commit))
    return subprocess.Popen(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", *arguments,
         *(f"-D{name}={value}" for name, value in variables.items()),
         "-f", of("referral", "payment", "pgbench")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings)


def leave_parts():
    """At REPEATABLE READ each payment leaves a part of its own of every counter."""
    env = environment("referral")
    env["PGOPTIONS"] += r" -c default_transaction_isolation=repeatable\ read"
    payments(SESSIONS, ["-t", str(EACH)], "off", env=env).wait()


def slowest(meanwhile):
    """Milliseconds in which 99.9 % of the payments answered that ended during it, and
    its own; payments come when they are due, not when the one before has ended."""
    with tempfile.TemporaryDirectory() as directory:
        load = payments(4, ["-T", str(SECONDS), "-R", str(RATE), "-l"], "on", cwd=directory)
        time.sleep(1)
        began = time.time()
        taken = milliseconds(meanwhile)
        ended = time.time()
        load.wait()
        lines = [line.split() for log in pathlib.Path(directory).iterdir()
                 for line in log.read_text().splitlines()]
    answers = sorted(int(line[2]) / 1000 for line in lines
                     if began <= int(line[4]) + int(line[5]) / 1e6 <= ended)
    return answers[len(answers) * 999 // 1000], taken


@workload
def upkeep():
    """The slowest payments of four sessions, each commit flushed, during maintain()."""
    during = {"idle": lambda: time.sleep(5),
              "maintain": lambda: sql("SET client_min_messages = warning",
                                      "CALL referral.maintain(1)")}

    def measure(case, turn):
        if case == "maintain":
            leave_parts()
            sql("CHECKPOINT")
        return slowest(during[case])

    with ledger(REWARDS):
        both = in_turn(3, list(during), measure)
        answers, lengths = ({case: [each[n] for each in both[case]] for case in during}
                            for n in (0, 1))
        answer, length = slowest(lambda: sql("SELECT referral.verify(1)") and
                                 sys.exit("verify() names broken invariants"))
    answers["verify"] = [answer]
    report("upkeep: 99.9 % of payments, each commit flushed, answered within", "ms", answers, 1)
    report("upkeep: maintain() and verify()", "ms",
           {"maintain": lengths["maintain"], "verify": [length]})
    row("upkeep: slowest payment (p99.9) during maintain() against idle", answers["maintain"],
        answers["idle"], 2, at_most=True)
    row("upkeep: the same during verify()", answers["verify"], [median(answers["idle"])])
    millions = REWARDS / 1e6
    row("upkeep: maintain(), ms for 1,000,000 rewards", lengths["maintain"], [millions] * 3)
    row("upkeep: verify(), ms for 1,000,000 rewards", [length], [millions])
