#!/usr/bin/python3
"""Real concurrency: many sessions let go by one barrier, books that must be exact afterwards.

    storms.py [--rounds 5] [storm ...]

Rounds are per storm. Where the outcome may depend on who was first, the test
asks for what no order may change; everything else is compared with the model
or with a sum that needs none.
"""

import argparse
import random
import threading
import time
from datetime import timedelta

import psycopg2

import money_storms
import paths
import review_storms
from db import Database, Tally, connect, insert
from compare import rows
from model import Payment
from money_storms import PAID, SINCE, UNIT, MoneyStorms
from review_storms import ReviewStorms


class Crowd:
    """Sessions that stand at a barrier and then each do their work at once."""

    def __init__(self, name):
        self.name, self.connections = name, []

    def storm(self, works, before=None):
        """Runs each work(cursor) in a session of its own; returns what they raised.
        before: what each session executes before it comes to the barrier."""
        while len(self.connections) < len(works):
            self.connections.append(connect(self.name))
        barrier, errors = threading.Barrier(len(works)), [None] * len(works)

        def session(n):
            try:
                with self.connections[n].cursor() as cursor:
                    if before:
                        cursor.execute(before)
                    barrier.wait()
                    works[n](cursor)
            except psycopg2.Error as error:
                errors[n] = error
                if not self.connections[n].closed:
                    self.connections[n].cursor().execute("ROLLBACK")

        threads = [threading.Thread(target=session, args=(n,)) for n in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [error for error in errors if error]


class Storms(MoneyStorms, ReviewStorms):
    def __init__(self, name, rounds, seed):
        self.crowd, self.rounds = Crowd(name), rounds
        self.cursor = connect(name).cursor()
        self.random = random.Random(seed)
        self.programs = 0

    # --- a stage ------------------------------------------------------------------

    def program(self, rates=((0, 1, 1000),), **config):
        self.programs += 1
        insert(self.cursor, "program", name=f"storm {self.programs}",
               **{"max_level": 3, "hold_days": 0, **config})
        self.id, = self.ask("SELECT max(program_id) FROM referral.program")
        for tier, level, bps in rates:
            insert(self.cursor, "rate", program_id=self.id, tier=tier, level=level, rate_bps=bps)

    def ask(self, query, **arguments):
        """The only row."""
        return rows(self.cursor, query, id=getattr(self, "id", None), **arguments)[0]

    def enroll(self, user):
        return self.ask("SELECT referral.enroll(%(user)s, program_id => %(id)s)", user=user)[0]

    def refer(self, code, users):
        found = rows(self.cursor, "SELECT bool_and((referral.attribute(u, %(code)s, NULL, %(at)s,"
                     " %(id)s)).attributed) FROM unnest(%(users)s) AS u",
                     code=code, users=users, at=SINCE, id=self.id)
        assert found == [(True,)], found

    def payment(self, payment_id, user, amount=UNIT):
        return self.id, Payment(payment_id, user, amount, None, "purchase", PAID)

    def pay(self, user, amount=UNIT, payment_id=None):
        """A session's work: one payment in a transaction that stays open for a moment."""
        row = self.payment(payment_id or f"by {user}", user, amount)
        pause = self.random.choice([0, 0, 0.001, 0.005])

        def work(cursor):
            paths.insert_values(cursor, [row])
            cursor.execute("SELECT pg_sleep(%s)", (pause,))
            cursor.execute("COMMIT")
        return work

    def attribute(self, user, code, answers):
        """A session's work: one attribution, whose answer is kept."""
        pause = self.random.choice([0, 0, 0.001, 0.005])

        def work(cursor):
            cursor.execute("SELECT a.attributed, a.reason FROM referral.attribute("
                           "%s, %s, NULL, %s, %s) AS a", (user, code, SINCE, self.id))
            answers.append(cursor.fetchone())
            cursor.execute("SELECT pg_sleep(%s)", (pause,))
            cursor.execute("COMMIT")
        return work

    def complaint(self, errors, but=None, **facts):
        """facts: name=(expected, found); but: what verify() may name"""
        found = [f"{len(errors)} errors, the first: {errors[0].pgcode} {errors[0]}"] if errors else []
        found += [f"{name}: expected {expected}, found {got}"
                  for name, (expected, got) in facts.items() if expected != got]
        self.cursor.execute("ANALYZE")      # or the plans of verify() take what is new for nothing
        broken = rows(self.cursor, "SELECT * FROM referral.verify(%(id)s)"
                      " WHERE invariant IS DISTINCT FROM %(but)s", id=self.id, but=but)
        found += [f"verify(): {row}" for row in broken[:3]]
        return "\n".join(found) or None

    def statuses(self):
        return dict(rows(self.cursor, """
            SELECT CASE WHEN decision IS NOT NULL THEN decision WHEN rewarded_at IS NOT NULL
                        THEN 'rewarded' WHEN qualified_at IS NOT NULL THEN 'qualified'
                        ELSE 'attributed' END AS status, count(*)
            FROM referral.attribution WHERE program_id = %(id)s GROUP BY 1""", id=self.id))

    def referrer(self):
        return self.ask("SELECT o.paid_invitees, (o.balance).lifetime_micro"
                        " FROM referral.referral_overview('referrer', %(id)s) AS o")

    # --- (a) what must be exact at an instant --------------------------------------

    def capped(self, isolation, limit):
        """64 first payments where five find room."""
        users = [f"payer {n}" for n in range(64)]
        self.program(referrer_monthly_cap=5 if limit == "month" else None)
        code = self.enroll("referrer")
        if limit == "budget":
            insert(self.cursor, "campaign", program_id=self.id, campaign_id=1, name="c",
                   starts_at=SINCE, ends_at=SINCE + timedelta(days=99999), budget_micro=5 * UNIT // 10)
            code, = self.ask("SELECT code FROM referral.campaign_code('referrer', 1, %(id)s)")
        self.refer(code, users)
        if limit == "code":
            self.cursor.execute("UPDATE referral.code SET cap = 5 WHERE program_id = %s"
                                " AND code = %s", (self.id, code))
        # At REPEATABLE READ every session has taken its snapshot before anybody pays.
        errors = self.crowd.storm([self.pay(user) for user in users],
                                  f"BEGIN ISOLATION LEVEL {isolation};"
                                  " SELECT count(*) FROM referral.payment")
        used, = self.ask("SELECT c.used + coalesce(sum(u.used), 0)::bigint FROM referral.code AS c"
                         " LEFT JOIN referral.code_use AS u USING (program_id, code_id)"
                         " WHERE program_id = %(id)s AND code = %(code)s GROUP BY c.used", code=code)
        return self.complaint(errors, statuses=({"rewarded": 5, "capped": 59}, self.statuses()),
                              used=(5, used), referrer=((5, 5 * UNIT // 10), self.referrer()))

    def code_cap(self):
        return self.capped("READ COMMITTED", "code")

    def code_cap_repeatable_read(self):
        return self.capped("REPEATABLE READ", "code")

    def monthly_cap(self):
        return self.capped("READ COMMITTED", "month")

    def monthly_cap_repeatable_read(self):
        return self.capped("REPEATABLE READ", "month")

    def budget(self):
        return self.capped("READ COMMITTED", "budget")

    def budget_repeatable_read(self):
        return self.capped("REPEATABLE READ", "budget")

    def limits(self):
        """Transactions of several statements under 20 codes with caps, months and budgets small and
        large, rolled back in part or whole, tried again where they deadlock, beside maintain() and
        rebuild(): nothing is ever above its limit, and nobody was refused what was left."""
        chance = random.Random(self.random.random())
        self.program(rates=((0, 1, 1000), (0, 2, 500)))
        insert(self.cursor, "tier", program_id=self.id, tier=1, label="one")
        insert(self.cursor, "tier", program_id=self.id, tier=2, label="two", min_paid_invitees=3)
        insert(self.cursor, "rate", program_id=self.id, tier=2, level=1, rate_bps=1500)
        root, places, budgets, work = self.enroll("root"), {}, {}, []
        for n in range(1, 21):
            owner, payers = f"owner {n}", [f"{n} {k}" for k in range(12)]
            size = chance.choice([1, 2, 5, 11, 10000])
            kind = chance.choice(["code", "month", "budget"])
            budgets[n] = size * UNIT // 8 if kind == "budget" else None
            places[n] = size if kind != "budget" else 10000
            insert(self.cursor, "campaign", program_id=self.id, campaign_id=n, name=f"c{n}",
                   starts_at=SINCE, ends_at=SINCE + timedelta(days=99999), budget_micro=budgets[n],
                   referrer_monthly_cap=size if kind == "month" else None,
                   code_cap=size if kind == "code" else None)
            if n % 2:
                self.refer(root, [owner])       # or nobody stands on the second level
            else:
                self.enroll(owner)
            code, = self.ask("SELECT code FROM referral.campaign_code(%(owner)s, %(n)s, %(id)s)",
                             owner=owner, n=n)
            self.refer(code, payers)
            work += payers
        chance.shuffle(work)
        above, stop, deadlocks = [], threading.Event(), [0]

        def session(mine, chance):
            def pay(cursor, users, turn):
                paths.insert_values(cursor, [self.payment(f"{user} {turn}", user,
                                                          chance.choice([1, UNIT, UNIT, 3 * UNIT]))
                                             for user in users])

            def run(cursor):
                for turn, last in (1, False), (2, False), (3, True):
                    left = list(mine)
                    while left:
                        users, left = left[:6], left[6:]
                        while True:
                            try:
                                cursor.execute("BEGIN ISOLATION LEVEL " + chance.choice(
                                    ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"]))
                                for some in filter(None, (users[:1], users[1:3], users[3:])):
                                    cursor.execute("SAVEPOINT s")
                                    pay(cursor, some, turn)
                                    if not last and chance.random() < 0.3:
                                        cursor.execute("ROLLBACK TO s")
                                cursor.execute("COMMIT" if last or chance.random() < 0.7
                                               else "ROLLBACK")
                                break
                            except psycopg2.errors.DeadlockDetected:
                                deadlocks[0] += 1
                                cursor.execute("ROLLBACK")
            return run

        def beside(command):
            cursor = connect(self.crowd.name).cursor()
            while not stop.is_set():
                cursor.execute(command, {"id": self.id})
                if cursor.description:
                    above.extend(cursor.fetchall())
                time.sleep(self.random.random() * 0.01)
            cursor.connection.close()
        used = """
            SELECT n, used, invited, spent FROM (
                SELECT k.campaign_id AS n, k.budget_micro, k.referrer_monthly_cap AS month, c.cap,
                       (g).used, (SELECT coalesce(sum(i.paid_invitees), 0) FROM referral.invited AS i
                                    JOIN referral.member AS m USING (program_id, member_id)
                                   WHERE i.program_id = c.program_id AND m.user_id = c.user_id) AS invited,
                       (SELECT coalesce(sum(s.amount_micro), 0) FROM referral.campaign_spent AS s
                         WHERE (s.program_id, s.campaign_id) = (k.program_id, k.campaign_id)) AS spent
                  FROM referral.campaign AS k JOIN referral.code AS c USING (program_id, campaign_id),
                       LATERAL (SELECT referral.get_code(c.program_id, c.code_id)) AS got(g)
                 WHERE k.program_id = %(id)s) AS now"""
        busy = [threading.Thread(target=beside, args=(command,)) for command in (
            used + " WHERE used > cap OR invited > month OR spent > budget_micro",
            "CALL referral.maintain(%(id)s)", "CALL referral.rebuild(%(id)s)")]
        for thread in busy:
            thread.start()
        errors = self.crowd.storm([session(work[n::16], random.Random(chance.random()))
                                   for n in range(16)])
        stop.set()
        for thread in busy:
            thread.join()
        spent = {n: amount for n, _, _, amount in rows(self.cursor, used, id=self.id)}
        qualified = dict(rows(self.cursor, "SELECT campaign_id, count(qualified_at)"
                              " FROM referral.attribution WHERE program_id = %(id)s"
                              " AND campaign_id > 0 GROUP BY 1", id=self.id))
        expected = {n: min(12, places[n]) for n in places}
        capped = rows(self.cursor, "SELECT campaign_id, count(*) FROM referral.attribution WHERE"
                      " program_id = %(id)s AND decision = 'capped' GROUP BY 1", id=self.id)
        early = {n for n, count in capped if budgets[n] and spent[n] < budgets[n]}
        for n in budgets:
            if budgets[n]:
                expected[n] = 12 - dict(capped).get(n, 0)
        # What was refused would not have fitted, by the highest rates that it can have had.
        wrong = rows(self.cursor, """
            SELECT p.payment_id FROM referral.payment_unrewarded AS u
              JOIN referral.payment AS p USING (program_id, payment_id)
              JOIN referral.attribution AS a USING (program_id, user_id)
              JOIN referral.campaign AS k USING (program_id, campaign_id)
             WHERE p.program_id = %(id)s AND u.reason = 'budget_used_up'
               AND k.budget_micro - (SELECT sum(s.amount_micro) FROM referral.campaign_spent AS s
                                      WHERE (s.program_id, s.campaign_id)
                                            = (k.program_id, k.campaign_id))
                   >= p.amount_micro / 5""", id=self.id)
        return self.complaint(errors, above=([], above), qualified=(expected, qualified),
                              early=(set(), early), wrong=([], wrong))

    def one_first_payment(self):
        """One payer, 64 payments at once: one of them qualifies him."""
        self.program()
        self.refer(self.enroll("referrer"), ["payer"])
        errors = self.crowd.storm([self.pay("payer", payment_id=f"p{n}") for n in range(64)],
                                  "BEGIN")
        return self.complaint(errors, statuses=({"rewarded": 1}, self.statuses()),
                              referrer=((1, 64 * UNIT // 10), self.referrer()))

    def one_payment_id(self):
        """One id from 64 sessions at once: one payment, and the same answer for all."""
        self.program()
        self.refer(self.enroll("referrer"), ["payer"])
        answers = []

        def work(cursor):
            cursor.execute("SELECT r.payment_id, r.replayed, r.rewards_micro FROM"
                           " referral.record_payment('p', 'payer', %s, NULL, 'purchase', %s, %s)"
                           " AS r", (UNIT, PAID, self.id))
            answers.append(cursor.fetchone())
        errors = self.crowd.storm([work] * 64)
        return self.complaint(
            errors, referrer=((1, UNIT // 10), self.referrer()),
            answers=([("p", False, UNIT // 10)] + [("p", True, UNIT // 10)] * 63, sorted(answers)))

    # --- (b) one referrer, many payers in every order --------------------------------

    def shuffled(self):
        """16 sessions, each 20 statements of 10 rows of the same 40 payers in its own order."""
        users = [f"payer {n}" for n in range(40)]
        self.program(rates=((0, 0, 7), (0, 1, 1000), (0, 2, 500)))
        self.refer(self.enroll("grandparent"), ["referrer"])
        self.refer(self.enroll("referrer"), users)
        expected = {}

        def session(n):
            chance = random.Random(self.random.random())
            batches = [[self.payment(f"{n} {batch} {k}", user, chance.randrange(1, 10**9))
                        for k, user in enumerate(chance.sample(users, 10))] for batch in range(20)]
            for batch in batches:
                for _, (_, user, amount, *_) in batch:
                    for who, bps in (user, 7), ("referrer", 1000), ("grandparent", 500):
                        expected[who] = expected.get(who, 0) + amount * bps // 10000
                    expected["volume"] = expected.get("volume", 0) + amount

            def work(cursor):
                for batch in batches:
                    paths.insert_values(cursor, batch)
            return work
        errors = self.crowd.storm([session(n) for n in range(16)])
        found = dict(rows(self.cursor, """
            SELECT m.user_id, (o.balance).lifetime_micro::bigint FROM referral.member AS m,
                   LATERAL referral.referral_overview(m.user_id, m.program_id) AS o
            WHERE m.program_id = %(id)s""", id=self.id))
        found["volume"], = self.ask("SELECT volume_micro FROM referral.level_stats('referrer', %(id)s)"
                                    " WHERE level = 1")
        return self.complaint(errors, sums=(expected, found), statuses=(
            {"rewarded": 40, "attributed": 1}, self.statuses()))

    # --- (c) the tree ------------------------------------------------------------------

    def cycle(self):
        """Chains a1-a2, b1-b2, c1-c2, d1-d2; each end is asked under the next, all at once."""
        self.program()
        heads, codes = "abcd", {}
        for head in heads:
            codes[head + "1"] = self.enroll(head + "1")
            self.refer(codes[head + "1"], [head + "2"])
            codes[head + "2"] = self.enroll(head + "2")
        answers = []
        errors = self.crowd.storm([
            self.attribute(heads[n] + "1", codes[heads[(n + 1) % 4] + "2"], answers)
            for n in range(4)], "BEGIN")
        roots, = self.ask("SELECT count(*) FROM referral.member"
                          " WHERE program_id = %(id)s AND referrer_id IS NULL")
        return self.complaint(errors, roots=(1, roots), answers=(
            [(False, "cycle"), (True, None), (True, None), (True, None)],
            sorted(answers, key=lambda a: a[0])))

    def bare_cycle(self):
        """Four members without anybody above or below: a under b under c under d under a."""
        self.program()
        codes, answers = [self.enroll(user) for user in "abcd"], []
        errors = self.crowd.storm([self.attribute("abcd"[n], codes[(n + 1) % 4], answers)
                                   for n in range(4)], "BEGIN")
        return self.complaint(errors, answers=(
            [(False, "cycle"), (True, None), (True, None), (True, None)],
            sorted(answers, key=lambda a: a[0])))

    def one_winner(self):
        """64 referrers and one new user."""
        self.program()
        codes, answers = [self.enroll(f"referrer {n}") for n in range(64)], []
        errors = self.crowd.storm([self.attribute("new", code, answers) for code in codes],
                                  "BEGIN")
        members, = self.ask("SELECT sum(s.members)::bigint FROM referral.member AS m, LATERAL"
                            " referral.level_stats(m.user_id, m.program_id) AS s"
                            " WHERE m.program_id = %(id)s")
        return self.complaint(errors, members=(1, members), answers=(
            [(False, "already_attributed")] * 63 + [(True, None)], sorted(answers)))

    # --- (d) tiers ------------------------------------------------------------------------

    def tiers(self):
        """48 invitees pay first at once across thresholds: each at a tier that was reached, and
        afterwards the tier is the one that all of them reach."""
        self.program(rates=())
        for tier, least in (1, 0), (2, 5), (3, 20), (4, 48), (5, 49):
            insert(self.cursor, "tier", program_id=self.id, tier=tier, label=f"t{tier}",
                   min_paid_invitees=least)
            insert(self.cursor, "rate", program_id=self.id, tier=tier, level=1, rate_bps=tier * 100)
        users = [f"payer {n}" for n in range(48)]
        self.refer(self.enroll("referrer"), users)
        errors = self.crowd.storm([self.pay(user) for user in users], "BEGIN")
        tier, = self.ask("SELECT tier FROM referral.referral_overview('referrer', %(id)s)")
        wrong, total, count = self.ask(
            "SELECT count(*) FILTER (WHERE rate_bps <> tier * 100 OR tier > 3"
            " OR amount_micro <> %(unit)s * rate_bps / 10000),"
            " sum(amount_micro)::bigint, count(*) FROM referral.reward WHERE program_id = %(id)s",
            unit=UNIT)
        errors += self.crowd.storm([self.pay(users[0], payment_id="after")], "BEGIN")
        last, = self.ask("SELECT tier FROM referral.reward"
                         " WHERE program_id = %(id)s AND payment_id = 'after'")
        return self.complaint(errors, tier=(4, tier), last=(4, last), wrong=(0, wrong),
                              rewards=(48, count),
                              referrer=((48, total + UNIT * 400 // 10000), self.referrer()))

    # --- (e) what did not happen leaves no trace -------------------------------------------

    def cancelled(self):
        """Statements cancelled at any moment, transactions and savepoints rolled back."""
        users = [f"payer {n}" for n in range(30)]
        self.program(rates=((0, 0, 7), (0, 1, 1000), (0, 2, 500)))
        self.refer(self.enroll("grandparent"), ["referrer"])
        self.refer(self.enroll("referrer"), users)
        done, stop, cancels = [], threading.Event(), [0]

        def session(n):
            chance = random.Random(self.random.random())

            def work(cursor):
                for turn in range(40):
                    batch = [self.payment(f"{n} {turn} {k}", chance.choice(users), 10000 * (1 + k))
                             for k in range(chance.choice([1, 5, 200]))]
                    end = chance.choice(["COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT"])
                    try:
                        cursor.execute("BEGIN")
                        cursor.execute("SAVEPOINT s")
                        paths.insert_values(cursor, batch)
                        if end == "SAVEPOINT":
                            cursor.execute("ROLLBACK TO s")
                        cursor.execute("ROLLBACK" if end == "ROLLBACK" else "COMMIT")
                        if end == "COMMIT":
                            done.extend(batch)
                    except psycopg2.errors.QueryCanceled:
                        cancels[0] += 1
                        cursor.execute("ROLLBACK")
            return work

        def shoot():
            gun = connect(self.crowd.name).cursor()
            while not stop.is_set():
                # While it inserts: a COMMIT that is cancelled has happened all the same.
                gun.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND state = 'active'"
                            " AND query LIKE 'INSERT%%' ORDER BY random() LIMIT 1")
                time.sleep(self.random.random() * 0.01)
            gun.connection.close()
        shooter = threading.Thread(target=shoot)
        shooter.start()
        errors = self.crowd.storm([session(n) for n in range(8)])
        stop.set()
        shooter.join()
        kept = {row[1][0] for row in done}
        volume = sum(row[1][2] for row in done)
        payments, = self.ask("SELECT coalesce(array_agg(payment_id), '{}') FROM referral.payment"
                             " WHERE program_id = %(id)s")
        rewards, = self.ask("SELECT count(*) FROM referral.reward WHERE program_id = %(id)s")
        paid, stats = len({row[1][1] for row in done}), self.ask(
            "SELECT volume_micro, earnings_micro FROM referral.level_stats('referrer', %(id)s)"
            " WHERE level = 1")
        return self.complaint(errors, payments=(kept, set(payments)), rewards=(3 * len(done), rewards),
                              stats=((volume, volume // 10), stats),
                              referrer=((paid, volume // 10), self.referrer()))


STORMS = ["code_cap", "code_cap_repeatable_read", "monthly_cap", "monthly_cap_repeatable_read",
          "budget", "budget_repeatable_read", "limits", "one_first_payment", "one_payment_id", "shuffled",
          "cycle", "bare_cycle", "one_winner", "tiers", "cancelled", *money_storms.STORMS, *review_storms.STORMS]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("storms", nargs="*", default=STORMS)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    options = arguments.parse_args()
    print(f"# seed {options.seed}")
    tally = Tally()
    with Database("storms") as name:
        storms = Storms(name, options.rounds, options.seed)
        for storm in options.storms:
            complaints, start = [], time.monotonic()
            for n in range(options.rounds):
                complaint = getattr(storms, storm)()
                if complaint:
                    complaints.append(f"round {n + 1}: {complaint}")
            tally.report(f"{storm}: {options.rounds - len(complaints)} of {options.rounds} rounds,"
                         f" {time.monotonic() - start:.1f} s", "\n".join(complaints[:3]) or None)
    tally.finish()


if __name__ == "__main__":
    main()
