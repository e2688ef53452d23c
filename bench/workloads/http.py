"""Requests through nginx and PostgREST."""

import base64
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.parse
from statistics import median

from harness import DIRECTORY, HERE, report, row, script, sql, workload


class Site:
    """nginx and PostgREST before the bench's database, asked over one connection."""

    def __init__(self, directory):
        self.directory = directory
        secret = secrets.token_hex(24)
        self.run("start", directory, os.environ["PGDATABASE"], env={"REFERRAL_JWT_SECRET": secret,
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


@workload
def http():
    """Two published endpoints against a function that does nothing, one by one in turn."""
    script("workloads/http.sql")
    sql("VACUUM ANALYZE", "CHECKPOINT")
    if sql("SELECT count(*) FROM referral.reward WHERE program_id = 3") != "1000000":
        sys.exit("the ledger has not 1,000,000 rewards")
    site = Site(DIRECTORY)
    members = {"month": "a month", "year": "a year"}
    requests = {}
    for member in members:
        token = site.token({"role": "web_member", "sub": member, "program_id": 3})
        requests |= {
            (member, "nothing"): site.request(
                "POST /rpc/nothing", Authorization=f"Bearer {token}", Content_Length=0),
            (member, "overview"): site.request(
                "POST /rpc/referral_overview", Authorization=f"Bearer {token}", Content_Length=0),
            (member, "triport"): site.request("GET /triport/v1/referrals/me",
                                              Cookie=f"nl_session={token}"),
            (member, "intotes"): site.request("GET /intotes/api/v1/users/me/referral/info",
                                              Authorization=f"Bearer {token}")}
    try:
        for request in requests.values():
            for _ in range(200):        # until every session has its plans
                site.ask(request)
        figures = {case: [] for case in requests}
        for turn in range(3):
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
    report("http: a request, medians of 600 in each of three rounds", "microseconds", figures)
    for member, earned in members.items():
        for what, path in (("overview", "rpc/referral_overview"), ("triport", "triport/…/me"),
                           ("intotes", "intotes/…/info")):
            row(f"http: {path}, earned on {earned}: against nothing", figures[member, what],
                figures[member, "nothing"], 1.25, at_most=True)
