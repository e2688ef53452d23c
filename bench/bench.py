"""Runs the workloads and prints the table; started by bench/run.

A workload lets the opponents take turns, several rounds, each opponent with the
same payments in the same order. A row of the table is a ratio of two figures of
one round, its median over the rounds and its lowest and highest. After each
workload the books of all opponents must be equal.
"""

import base64
import hmac
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from statistics import median

HERE = pathlib.Path(__file__).parent
OPPONENTS = ["floor", "plpgsql", "referral"]
SPREAD = (1, 70000)         # payers of 10,000 trees
HOT = (70001, 80000)        # payers of one referrer

# Payments are numbered through, in steps that no run exceeds, so that all ids
# have twelve digits and keep their order as texts.
first_numbers = iter(range(100_000_000_000, 900_000_000_000, 1_000_000))


def sql(*commands, opponent=None, commit="off"):
    """Run commands, each in its own transaction; return the last one's output."""
    options = f"-c synchronous_commit={commit}"
    if opponent:
        options += f" -c search_path={opponent}"
    arguments = [argument for command in commands for argument in ("-c", command)]
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments], check=True,
                          env=os.environ | {"PGOPTIONS": options},
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def script(name):
    sql_file = HERE / f"{name}.sql"
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", sql_file], check=True,
                   env=os.environ | {"PGOPTIONS": "-c synchronous_commit=off"},
                   stdout=subprocess.DEVNULL)


def of(opponent, stem, suffix):
    """The opponent's own file, or the one that search_path makes everybody's."""
    own = HERE / f"{stem}.{opponent}.{suffix}"
    return own if own.exists() else HERE / f"{stem}.{suffix}"


def settle(opponent):
    """Leave every opponent the same way before it is measured."""
    counters = {"floor": ["earning", "paid"], "plpgsql": ["balance", "attribution"],
                "referral": ["earning", "paid", "invited", "member", "account"]}
    sql(*(f"VACUUM {opponent}.{table}" for table in counters.get(opponent, [])), "CHECKPOINT")


def pay(opponent, first_no, seed, clients, each, payers, commit, what="payment"):
    """Payments, or refunds of them, per second, one a transaction."""
    settle(opponent)
    variables = {"first_no": first_no, "k": 0, "clients": clients,
                 "first_payer": payers[0], "last_payer": payers[1]}
    output = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-t", str(each),
         f"--random-seed={seed}", *(f"-D{name}={value}" for name, value in variables.items()),
         "-f", of(opponent, what, "pgbench")],
        check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PGOPTIONS": f"-c synchronous_commit={commit} -c search_path={opponent}"}
    ).stdout
    return float(re.search(r"tps = ([\d.]+)", output)[1])


def fill_bulk(first_no, payments, payers):
    """Have these payments in bench.bulk_payment, and their answers beside it."""
    if sql("SELECT min(payment_no) FROM bench.bulk_payment") != str(first_no + 1):
        sql(f"CALL bench.fill_bulk({first_no}, {payments}, {payers[0]}, {payers[1]})")


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


def report(title, unit, figures):
    print(f"\n{title}")
    for case, each in figures.items():
        name = case if isinstance(case, str) else " ".join(case)
        print(f"  {name:<24}{median(each):>12,.0f}   {min(each):,.0f} .. {max(each):,.0f}  {unit}")


rows = []


def row(text, above, below, goal=None, at_most=False):
    """A ratio of two cases, round by round, and whether its median reached the goal."""
    ratios = [a / b for a, b in zip(above, below)]
    middle = median(ratios)
    reached = ""
    if goal is not None:
        reached = "reached" if (middle <= goal if at_most else middle >= goal) else "not reached"
    rows.append((text, f"{middle:.2f}", f"{min(ratios):.2f} .. {max(ratios):.2f}",
                 "" if goal is None else f"{'<=' if at_most else '>='} {goal}", reached))


def compare(books):
    """Counts, sums and a hash of all rewards and balances, equal for everybody."""
    if len(set(books.values())) != 1:
        print("the books differ:", *books.items(), sep="\n  ")
        sys.exit(1)
    print(f"  books equal: {next(iter(books.values()))}")


def check_books():
    compare({opponent: sql(f"SELECT bench.books('{opponent}')") for opponent in OPPONENTS})


def spread():
    """One payment a transaction, 8 clients, payers of 10,000 trees."""
    numbers = [next(first_numbers) for _ in range(3)]
    figures = in_turn(3, OPPONENTS, lambda opponent, turn: pay(
        opponent, numbers[turn], turn, 8, 40000, SPREAD, "off"))
    report("spread: one payment a transaction, 8 clients, commit not waited for",
           "payments/s", figures)
    check_books()
    row("spread: payments/s against floor", figures["referral"], figures["floor"], 1.3)
    row("spread: payments/s against plpgsql", figures["referral"], figures["plpgsql"], 2.5)


def bulk():
    """100,000 payments in one statement."""
    numbers = [next(first_numbers) for _ in range(3)]

    def milliseconds(opponent, turn):
        fill_bulk(numbers[turn], 100000, SPREAD)
        settle(opponent)
        statements = of(opponent, "bulk", "sql").read_text()
        started = time.monotonic()
        sql(statements, opponent=opponent)
        return 1000 * (time.monotonic() - started)

    figures = in_turn(3, OPPONENTS, milliseconds)
    report("bulk: 100,000 payments in one statement", "ms", figures)
    check_books()
    row("bulk: time against floor", figures["referral"], figures["floor"], 1.1, at_most=True)
    row("bulk: times faster than plpgsql", figures["plpgsql"], figures["referral"], 8)


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


def long():
    """20,000 single inserts under one referrer in one transaction."""
    figures = {"2nd 1,000": [], "last 1,000": []}
    for _ in range(3):
        fill_bulk(next(first_numbers), 20000, HOT)
        settle("referral")
        times = sql("SELECT * FROM bench.pay_in_one_transaction()", opponent="referral").split()
        figures["2nd 1,000"].append(float(times[1]))
        figures["last 1,000"].append(float(times[-1]))
        sql(of("floor", "bulk", "sql").read_text(), opponent="floor")
        sql("CALL bench.pay_in_batches('plpgsql')")
    report("long: 20,000 single inserts under one referrer in one transaction", "ms", figures)
    check_books()
    row("long: last 1,000 against 2nd 1,000", figures["last 1,000"], figures["2nd 1,000"],
        1.2, at_most=True)


def refunds():
    """Refunds against the payments that they give back: one by one, and 100,000 at once.

    After all workloads that compare books, since no opponent refunds."""
    single, at_once = ({"payment": [], "refund": []} for _ in range(2))
    for turn in range(3):
        number = next(first_numbers)
        for what, figures in single.items():
            figures.append(pay("referral", number, turn, 8, 10000, SPREAD, "off", what))
        fill_bulk(next(first_numbers), 100000, SPREAD)
        for what, figures in zip(("bulk", "bulk_refund"), at_once.values()):
            settle("referral")
            started = time.monotonic()
            sql(of("referral", what, "sql").read_text(), opponent="referral")
            figures.append(1000 * (time.monotonic() - started))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report("refunds: one a transaction, 8 clients, commit not waited for", "a second", single)
    report("refunds: 100,000 in one statement", "ms", at_once)
    broken = sql("ANALYZE", "SELECT count(*) FROM referral.verify()"
                            " WHERE invariant ~ 'refund|earning|reward'")
    if broken != "0":
        sys.exit(f"verify() names {broken} broken invariants")
    row("refunds: refunds/s against payments/s", single["refund"], single["payment"], 0.83)
    row("refunds: 100,000, time against payments", at_once["refund"], at_once["payment"],
        1.2, at_most=True)


def funnel():
    """The funnel from its counters against a count of 1,000,000 clicks and 100,000 attributions."""
    script("funnel")
    sql("VACUUM ANALYZE", "CHECKPOINT")
    windows = {"all": ("NULL", "NULL", "NULL"),
               "all of a campaign": ("NULL", "NULL", "'campaign 1'"),
               "all of a utm_campaign": ("NULL", "NULL", "'utm 7'"),
               "a month": ("'2025-03-01'", "'2025-04-01'", "NULL"),
               "a month of a campaign": ("'2025-03-01'", "'2025-04-01'", "'campaign 1'")}
    answers = {}

    def milliseconds(case, turn):
        window, of = case
        taken, answer = sql(f"SELECT * FROM bench.funnel('{of}', {', '.join(windows[window])})"
                            ).split("|")
        answers.setdefault(window, {})[of, turn] = answer
        return float(taken)

    figures = in_turn(7, [(window, of) for window in windows for of in ("rows", "counters")],
                      milliseconds)
    print("\nfunnel: milliseconds")
    for (window, of), each in figures.items():
        print(f"  {window:<24}{of:<10}{median(each):>10.2f}   {min(each):.2f} .. {max(each):.2f}")
    for window in windows:
        compare(answers[window])
    for window in windows:
        row(f"funnel, {window}: times faster", figures[window, "rows"], figures[window, "counters"],
            20 if window == "all" else None)


def instructions():
    """Instructions per payment in user space, by callgrind: no noise."""
    if not shutil.which("valgrind"):
        print("\ninstructions: left out, there is no valgrind on this machine")
        return
    directory = pathlib.Path(sys.argv[1])
    as_server = HERE.parent / "scripts/unprivileged"
    copy = directory / "copy"
    books = {}

    def control(action):
        subprocess.run([as_server, "pg_ctl", "-D", directory / "data", "-l", directory / "log",
                        "-w", "-m", "fast", action], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def single_user(query, *tool):
        output = subprocess.run(
            [as_server, *tool, shutil.which("postgres"), "--single", "-D", copy,
             "-c", "shared_buffers=512MB", "bench"], input=query, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        return output if "ERROR" not in output else sys.exit(output)

    def collected(opponent, payments):
        """Of a server that pays so many times, beginning with the same files."""
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", directory / "data", copy], check=True)
        function = "floor" if opponent == "floor" else "payment"
        output = single_user(
            f"SET search_path = {opponent}; SELECT bench.{function}_loop(200000000000, {payments})\n",
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
        return int(re.search(r"Collected : (\d+)", output)[1])

    control("stop")
    figures = {}
    for opponent in ["bare"] + OPPONENTS:
        figures[opponent] = [(collected(opponent, 600) - collected(opponent, 100)) / 500]
        if opponent != "bare":
            books[opponent] = re.search(r'books = "(.*?)"',
                                        single_user(f"SELECT bench.books('{opponent}')\n"))[1]
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    shutil.rmtree(copy)
    control("start")
    report("instructions: in user space, for one payment of a backend, payers spread", "", figures)
    compare(books)
    net = {opponent: [figures[opponent][0] - figures["bare"][0]] for opponent in OPPONENTS}
    row("instructions net of bare: against floor", net["referral"], net["floor"])
    row("instructions net of bare: against plpgsql", net["referral"], net["plpgsql"])


class Site:
    """nginx and PostgREST before the bench's database, asked over one connection."""

    def __init__(self, directory):
        self.directory = directory
        secret = secrets.token_hex(24)
        self.run("start", directory, "bench", env={"REFERRAL_JWT_SECRET": secret,
                                                   "REFERRAL_RATE": "1000000"})
        self.host = urllib.parse.urlparse((directory / "url").read_text().strip()).netloc
        self.secret = secret.encode()
        self.asked = 0

    @staticmethod
    def run(*arguments, env={}):
        subprocess.run([HERE.parent / "scripts/http", *arguments], check=True,
                       stdin=subprocess.DEVNULL, env=os.environ | env)

    def token(self, claims):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
        return (signed + b"." + part(hmac.digest(self.secret, signed, "sha256"))).decode()

    def request(self, line, **headers):
        """The bytes of a request; underscores stand for hyphens."""
        headers = {"Host": self.host} | {k.replace("_", "-"): v for k, v in headers.items()}
        return "".join([f"{line} HTTP/1.1\r\n",
                        *(f"{name}: {value}\r\n" for name, value in headers.items()),
                        "\r\n"]).encode()

    def ask(self, request):
        """Send it, and return the microseconds until the whole answer was there."""
        if self.asked % 500 == 0:       # nginx ends a connection after 1,000
            host, port = self.host.split(":")
            self.connection = socket.create_connection((host, int(port)))
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked += 1
        started = time.perf_counter()
        self.connection.sendall(request)
        answer = b""
        while not answer.endswith(b"\r\n0\r\n\r\n"):     # it is chunked
            received = self.connection.recv(65536)
            answer += received or sys.exit(f"cut off: {answer!r}")
        taken = 1e6 * (time.perf_counter() - started)
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"{request!r}\nwas answered {answer!r}")
        return taken

    def stop(self):
        self.run("stop", self.directory)


def http():
    """Two published endpoints against a function that does nothing, one by one in turn."""
    script("http")
    sql("VACUUM ANALYZE", "CHECKPOINT")
    if sql("SELECT count(*) FROM referral.reward WHERE program_id = 3") != "1000000":
        sys.exit("the ledger has not 1,000,000 rewards")
    site = Site(pathlib.Path(sys.argv[1]))
    members = {"month": "a month", "year": "a year"}
    requests = {}
    for member in members:
        token = site.token({"role": "web_member", "sub": member, "program_id": 3})
        requests |= {
            (member, "nothing"): site.request(
                "POST /rpc/nothing", Authorization=f"Bearer {token}", Content_Length=0),
            (member, "triport"): site.request("GET /triport/v1/referrals/me",
                                              Cookie=f"nl_session={token}"),
            (member, "intotes"): site.request("GET /intotes/api/v1/users/me/referral/info",
                                              Authorization=f"Bearer {token}")}
    try:
        for request in requests.values():
            for _ in range(200):        # until every session has its plans
                site.ask(request)
        figures = {case: [] for case in requests}
        for turn in range(5):
            taken = {case: [] for case in requests}
            for n in range(600):
                order = list(requests)[n % len(requests):] + list(requests)[:n % len(requests)]
                for case in order:
                    taken[case].append(site.ask(requests[case]))
            for case, each in taken.items():
                figures[case].append(median(each))
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    finally:
        site.stop()
    report("http: a request, medians of 600 in each of five rounds", "microseconds", figures)
    for member, earned in members.items():
        for what, path in (("triport", "triport/…/me"), ("intotes", "intotes/…/info")):
            row(f"http: {path}, earned on {earned}: against nothing", figures[member, what],
                figures[member, "nothing"], 1.25, at_most=True)


WORKLOADS = {each.__name__: each for each in (instructions, spread, bulk, hot, long,
                                             refunds, funnel, http)}


def main():
    chosen = sys.argv[2:] or WORKLOADS
    unknown = [name for name in chosen if name not in WORKLOADS]
    if unknown:
        sys.exit(f"no such workload: {' '.join(unknown)}; there are {' '.join(WORKLOADS)}")
    started = time.monotonic()
    subprocess.run(["createdb", "bench"], check=True)
    os.environ["PGDATABASE"] = "bench"
    for name in ("people", "referral", "floor", "plpgsql", "bare", "compare", "loops"):
        script(name)
    sql("VACUUM ANALYZE", "CHECKPOINT")
    check_books()
    for name in chosen:
        WORKLOADS[name]()

    heading = ("ratio, referral against an opponent", "median", "spread", "goal", "")
    print()
    for text, middle, spread_of, goal, reached in [heading] + rows:
        print(f"{text:<50}{middle:>7}  {spread_of:<16}{goal:<8}{reached}".rstrip())
    print(f"\n{os.cpu_count()} processors, {time.monotonic() - started:.0f} s")


main()
