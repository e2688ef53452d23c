#!/usr/bin/env python3
"""Runs the README: its ```sql blocks, in order, in one session on a fresh
database; each must print what the ```output block after it says, or nothing
where there is none. Then, over HTTP, the ```sh blocks that have one. Then a few
facts that stand in more than one file.

Prints TAP. Uses the server that the PG* variables name; it is in REFERRAL_DIR.
"""
import glob
import json
import os
import re
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATABASE = "referral_readme"
BETWEEN = "-- end of block --"
number = 0
failures = 0


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def report(passed, what, detail=""):
    global number, failures
    number += 1
    failures += not passed
    print(f"{'ok' if passed else 'not ok'} {number} - {what}")
    if not passed:
        print("".join(f"# {line}\n" for line in detail.splitlines()), end="", flush=True)


def stripped(text):
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def blocks(language):
    pattern = rf"^```{language}\n(.*?)^```\n(?:\n*```output\n(.*?)^```\n)?"
    return re.findall(pattern, read("README.md"), re.S | re.M)


def psql(*arguments):
    return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, *arguments],
                          text=True, stdout=subprocess.PIPE, check=True).stdout.strip()


def run_blocks():
    found = blocks("sql")
    subprocess.run(["createdb", DATABASE], check=True)
    psql("-f", os.path.join(TOP, "test/include/roles.sql"))
    script = "\\set SHOW_CONTEXT never\n" + f"\n\\echo {BETWEEN}\n".join(sql for sql, _ in found)
    answer = subprocess.run(["psql", "-X", "-q", "-d", DATABASE], input=script, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    printed = answer.stdout.split(BETWEEN + "\n")
    printed += [""] * (len(found) - len(printed))
    for (sql, expected), got in zip(found, printed):
        first = sql.strip().splitlines()[0]
        report(stripped(got) == stripped(expected), f"README: {first}",
               f"expected:\n{expected}\ngot:\n{got}")


def token(role, user):
    claims = {"role": role, "sub": user, "program_id": 1}
    return subprocess.run([os.path.join(TOP, "scripts/jwt"), json.dumps(claims)], text=True,
                          stdout=subprocess.PIPE, check=True).stdout.strip()


def run_commands():
    folder = os.environ["REFERRAL_DIR"]
    http = os.path.join(TOP, "scripts/http")
    os.environ["REFERRAL_JWT_SECRET"] = os.urandom(24).hex()
    subprocess.run([http, "start", folder, DATABASE], check=True)
    with open(os.path.join(folder, "url"), encoding="utf-8") as file:
        url = file.read().strip()
    known = {"URL": url, "ADA": token("web_member", "ada"), "OLGA": token("web_operator", "olga"),
             "KEY": psql("-c", "SELECT api_key FROM referral.create_api_key('client', 1)")}
    for commands, expected in blocks("sh"):
        if expected:
            answer = subprocess.run(["sh", "-c", commands], env={**os.environ, **known}, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            report(stripped(answer.stdout) == stripped(expected),
                   f"README: {commands.splitlines()[0]}", f"expected:\n{expected}\ngot:\n{answer.stdout}")
    subprocess.run([http, "stop", folder], check=True)


def check_versions():
    control = re.search(r"default_version = '(.*)'", read("referral.control")).group(1)
    meta = json.loads(read("META.json"))
    report(meta["version"] == control and meta["provides"]["referral"]["version"] == control
           and control in meta["provides"]["referral"]["file"],
           "META.json has the version of referral.control", f"{control}\n{json.dumps(meta, indent=1)}")
    newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M).group(1)
    report(newest == control, "CHANGELOG.md begins with it", newest)


def check_links():
    for page in ["README.md"] + glob.glob("docs/**/*.md", root_dir=TOP, recursive=True):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page))
        gone = [link for link in links
                if not os.path.exists(os.path.join(TOP, os.path.dirname(page), link))]
        report(not gone, f"{page} links to what is there", "\n".join(gone))


def check_script(name, what):
    answer = subprocess.run([os.path.join(TOP, "scripts", name)], cwd=TOP, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    report(answer.returncode == 0, what, answer.stdout)


run_blocks()
run_commands()
check_versions()
check_links()
check_script("check-errors", "docs/errors.md lists the errors that are raised")
check_script("check-states", "docs/attributions.md lists the transitions that are tested")
print(f"1..{number}")
sys.exit(failures > 0)
