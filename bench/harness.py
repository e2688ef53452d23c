"""What all workloads share: commands, payments, turns, and the rows of the table.

A workload is a function of a module in workloads/, marked with @workload. It
runs in a database of its own, a copy of one in which every opponent has the
same people and first payments, lets the opponents take turns, several rounds,
each with the same payments in the same order, and gives rows: ratios of two
figures of one round, their median over the rounds and the lowest and highest.
Where opponents wrote, it ends with check_books().
"""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from statistics import median

HERE = pathlib.Path(__file__).parent
DIRECTORY = pathlib.Path(sys.argv[1])       # of the server
TEMPLATE = "bench"
OPPONENTS = ["floor", "plpgsql", "referral"]
SPREAD = (1, 70000)         # payers of 10,000 trees
HOT = (70001, 80000)        # payers of one referrer

# Payments are numbered through, in steps that no run exceeds, so that all ids
# have twelve digits and keep their order as texts.
first_numbers = iter(range(100_000_000_000, 900_000_000_000, 2_000_000))

workloads = {}


def workload(function):
    """Have `make bench` run it, under its name."""
    workloads[function.__name__] = function
    return function


def environment(opponent=None, commit="off"):
    options = f"-c synchronous_commit={commit} -c client_min_messages=warning"
    if opponent:
        options += f" -c search_path={opponent}"
    return os.environ | {"PGOPTIONS": options}


def sql(*commands, opponent=None, commit="off"):
    """Run commands, each in its own transaction; return the last one's output."""
    arguments = [argument for command in commands for argument in ("-c", command)]
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments], check=True,
                          env=environment(opponent, commit),
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def script(path):
    """Run a file of this folder."""
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", HERE / path], check=True,
                   env=environment(), stdout=subprocess.DEVNULL)


def of(opponent, stem, suffix):
    """The opponent's own file, or the one that search_path makes everybody's."""
    own = HERE / f"workloads/{stem}.{opponent}.{suffix}"
    return own if own.exists() else HERE / f"workloads/{stem}.{suffix}"


def milliseconds(measured):
    """Of a call."""
    started = time.monotonic()
    measured()
    return 1000 * (time.monotonic() - started)


def server_milliseconds(statements, opponent):
    """Of statements in one call, until they are committed."""
    output = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", "\\timing on",
                             "-c", statements], check=True, text=True, stdout=subprocess.PIPE,
                            env=environment(opponent)).stdout
    return sum(float(each) for each in re.findall(r"^Time: ([\d.]+) ms", output, re.MULTILINE))


def settle(opponent):
    """Leave every opponent the same way before it is measured."""
    counters = {"floor": ["earning", "paid"], "plpgsql": ["balance", "attribution"],
                "orm": ["balance", "attribution"],
                "referral": ["earning", "paid", "invited", "funnel", "attribution", "member",
                             "account"]}
    sql(*(f"VACUUM {opponent}.{table}" for table in counters.get(opponent, [])), "CHECKPOINT")


def pay(opponent, first_no, seed, clients, each, payers, commit, what="payment"):
    """Payments, or what another script of pgbench does, per second, one a transaction."""
    settle(opponent)
    variables = {"first_no": first_no, "k": 0, "clients": clients,
                 "first_payer": payers[0], "last_payer": payers[1]}
    output = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-t", str(each), "--max-tries=1000",
         f"--random-seed={seed}", *(f"-D{name}={value}" for name, value in variables.items()),
         "-f", of(opponent, what, "pgbench")],
        check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment(opponent, commit)).stdout
    return float(re.search(r"tps = ([\d.]+)", output)[1])


def medians_of(calls, times):
    """Microseconds of each of these statements, in one session that makes them over the
    socket in no order, each about so many times."""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        scripts = []
        for n, call in enumerate(calls.values()):
            scripts += ["-f", path := f"{directory}/{n}"]
            pathlib.Path(path).write_text(f"{call};\n")
        subprocess.run(["pgbench", "-n", "-M", "prepared", "-t", str(times * len(calls)), "-l",
                        f"--log-prefix={directory}/log", *scripts],
                       check=True, stdout=subprocess.DEVNULL, env=environment())
        log, = pathlib.Path(directory).glob("log.*")
        taken = [[] for _ in calls]
        for line in log.read_text().splitlines():
            _, _, microseconds, script, *_ = line.split()
            taken[int(script)].append(int(microseconds))
    return dict(zip(calls, map(median, taken)))


def build_ledger(rewards):
    script("data/ledger.sql")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as sessions:
        list(sessions.map(lambda share: sql(f"CALL bench.fill_ledger({rewards}, {share})"),
                          range(5)))
    made = sql("SELECT count(*) FROM referral.reward")
    if abs(int(made) - rewards) > 100:
        sys.exit(f"the ledger has {made} rewards instead of {rewards}")
    sql("SET client_min_messages = warning", "CALL referral.maintain(1)", "VACUUM ANALYZE",
        "CHECKPOINT")


@contextlib.contextmanager
def ledger(rewards):
    """Have the commands within ask the database that data/ledger.sql describes. It is
    built at the first use and stays, for workloads that read, or add little."""
    database = f"ledger_{rewards}"
    before = os.environ["PGDATABASE"]
    known = sql(f"SELECT count(*) FROM pg_database WHERE datname = '{database}'")
    if known == "0":
        subprocess.run(["createdb", database], check=True)
    os.environ["PGDATABASE"] = database
    try:
        if known == "0":
            taken = milliseconds(lambda: build_ledger(rewards))
            print(f"  a ledger of {rewards:,} rewards was built in {taken / 1000:.0f} s")
        yield
    finally:
        os.environ["PGDATABASE"] = before


def newcomers(opponents, first_id, trees, payers):
    """Enroll people who never paid, first_id + 0, 1, ..., under referrers of so many trees."""
    sql(f"CALL bench.fill_newcomers({first_id}, {trees}, {payers})")
    for opponent in opponents:
        script(f"opponents/{opponent}.people.sql")


def fill_bulk(first_no, payments, payers, each_once=False):
    """Have these payments in bench.bulk_payment, and their answers beside it."""
    if sql("SELECT min(payment_no) FROM bench.bulk_payment") != str(first_no + 1):
        sql(f"CALL bench.fill_bulk({first_no}, {payments}, {payers[0]}, {payers[1]}, {each_once})")


def in_turn(rounds, cases, measure):
    """Measure each case once a round, each round beginning with another one; a
    case then has its figures in the order of the rounds."""
    figures = {case: [] for case in cases}
    for turn in range(rounds):
        for case in cases[turn % len(cases):] + cases[:turn % len(cases)]:
            figures[case].append(measure(case, turn))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return figures


def report(title, unit, figures, digits=0):
    print(f"\n{title}")
    for case, each in figures.items():
        name = case if isinstance(case, str) else " ".join(map(str, case))
        print(f"  {name:<28}{median(each):>12,.{digits}f}   "
              f"{min(each):,.{digits}f} .. {max(each):,.{digits}f}  {unit}")


class Row:
    """A ratio of two cases, round by round; whether its median reached the goal."""

    def __init__(self, text, ratios, goal, at_most, limit):
        self.text, self.goal, self.at_most, self.limit = text, goal, at_most, limit
        self.median, self.lowest, self.highest = median(ratios), min(ratios), max(ratios)

    @property
    def reached(self):
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal

    def cells(self):
        return (self.text, f"{self.median:.2f}", f"{self.lowest:.2f} .. {self.highest:.2f}",
                "" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal}",
                {None: "", True: "reached", False: "not reached"}[self.reached])


rows = []


def row(text, above, below, goal=None, at_most=False, limit=None):
    """Add a row to the table: above / below. A goal is what to strive for; a limit,
    of ratios without noise alone, what tests keep."""
    rows.append(Row(text, [a / b for a, b in zip(above, below)], goal, at_most, limit))


def compare(books):
    """Counts, sums and a hash of all rewards and balances, equal for everybody."""
    if len(set(books.values())) != 1:
        print("the books differ:", *books.items(), sep="\n  ")
        sys.exit(1)
    print(f"  books equal: {next(iter(books.values()))}")


def check_books(opponents=OPPONENTS):
    compare({opponent: sql(f"SELECT bench.books('{opponent}')") for opponent in opponents})


def check_sound():
    """The extension's books by its own proof, where no other opponent wrote the same."""
    broken = sql("ANALYZE", "SELECT v::text FROM referral.verify(1) v LIMIT 10")
    if broken:
        sys.exit(f"verify() names broken invariants:\n{broken}")
    print("  verify() names nothing")
