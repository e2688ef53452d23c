"""A database of one's own on the server that the PG* variables name, and small helpers."""

import os
import sys

import psycopg2


def connect(dbname, **options):
    """A session that commits each statement by itself and reads times in UTC."""
    connection = psycopg2.connect(dbname=dbname, **options)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'; SET client_min_messages = warning")
    return connection


class Database:
    """with Database("storms") as name: ... ; dropped at the end unless PGKEEP is set.

    With it comes a role of the same name that has no rights."""

    def __init__(self, purpose):
        self.name = f"referral_{purpose}_{os.getpid()}"

    def admin(self, *commands):
        connection = connect(os.environ.get("PGDATABASE", "postgres"))
        with connection.cursor() as cursor:
            for command in commands:
                cursor.execute(command.format(f'"{self.name}"'))
        connection.close()

    def __enter__(self):
        self.admin("CREATE DATABASE {}", "CREATE ROLE {} NOINHERIT")
        connection = connect(self.name)
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION referral")
            cursor.execute("CALL referral.install()")
        connection.close()
        return self.name

    def __exit__(self, *_):
        if not os.environ.get("PGKEEP"):
            self.admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", "DROP ROLE {}")


def insert(cursor, table, **columns):
    """One row by name; NULLs are left to the column's default."""
    columns = {k: v for k, v in columns.items() if v is not None}
    cursor.execute(f"INSERT INTO referral.{table} ({', '.join(columns)}) "
                   f"VALUES ({', '.join(['%s'] * len(columns))})", list(columns.values()))


class Tally:
    """TAP lines and the sum that decides the exit status."""

    def __init__(self):
        self.passed = self.failed = 0

    def report(self, what, complaint=None):
        good = complaint is None
        self.passed += good
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.passed + self.failed} - {what}", flush=True)
        if complaint:
            print("\n".join("# " + line for line in str(complaint).splitlines()), flush=True)

    def finish(self):
        print(f"1..{self.passed + self.failed}")
        print(f"# {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
