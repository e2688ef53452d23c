"""Storms before a payment and beside it: clicks, sign-ups, decisions, and workers that are told."""

import random
import threading
from collections import Counter

import paths
from compare import rows
from model import Refund
from money_storms import PAID, SINCE, UNIT

# The funnel beside a count of the rows behind it.
FUNNEL = """
SELECT to_jsonb(f), jsonb_build_object(
    'clicks', (SELECT count(*) FROM referral.click WHERE program_id = %(id)s),
    'attributed', count(*), 'qualified', count(qualified_at), 'rewarded', count(rewarded_at),
    'capped', count(*) FILTER (WHERE decision = 'capped'),
    'review_required', count(*) FILTER (WHERE decision = 'review_required'),
    'rejected', count(*) FILTER (WHERE decision = 'rejected'))
FROM referral.funnel_stats(program_id => %(id)s) AS f, referral.attribution
WHERE program_id = %(id)s GROUP BY f
"""


class ReviewStorms:
    """What Storms does before a payment and beside it. It brings the stage and the crowd."""

    def rule(self, rule, most=None):
        self.cursor.execute("INSERT INTO referral.review_rule (program_id, rule, max_per_hour)"
                            " VALUES (%s, %s, %s)", (self.id, rule, most))

    def held(self, *users, **config):
        """Users in review under u0, who is below the root."""
        self.program(rates=((0, 0, 10), (0, 1, 1000), (0, 2, 500)), **config)
        self.refer(self.enroll("root"), ["u0"])
        self.rule("velocity", 0)
        self.refer(self.enroll("u0"), list(users))
        return [self.ask("SELECT attribution_id FROM referral.attribution"
                         " WHERE program_id = %(id)s AND user_id = %(user)s", user=user)[0]
                for user in users]

    def decision(self, number, verb, answers, pause=0):
        """A session's work: a decision, whose answer is kept."""
        def work(cursor):
            cursor.execute(f"SELECT a.status, a.qualified_at, a.rewarded_at, a.payment_id,"
                           f" a.reward_micro FROM referral.{verb}_attribution(%s, %s, NULL, %s) AS a",
                           (number, f"{verb} {len(answers)}", self.id))
            answers.append(cursor.fetchone())
            if pause:
                cursor.execute("SELECT pg_sleep(%s)", (pause,))
            if cursor.connection.info.transaction_status:
                cursor.execute("COMMIT")
        return work

    def judged(self, errors, **facts):
        """What is compared after every storm of reviews, and facts of this one."""
        counted, = rows(self.cursor, FUNNEL, id=self.id)
        waiting, = self.ask("SELECT count(*) FROM referral.payment_waiting WHERE program_id = %(id)s")
        return self.complaint(errors, **self.broken_books(
            funnel=(counted[1], counted[0]), waiting=(0, waiting), **facts))

    def earned_of(self, user):
        return self.ask("SELECT count(*), count(DISTINCT (payment_id, level)),"
                        " coalesce(sum(r.amount_micro), 0)::bigint FROM referral.reward AS r"
                        " JOIN referral.member AS m ON (m.program_id, m.member_id)"
                        " = (r.program_id, r.payer_id)"
                        " WHERE r.program_id = %(id)s AND m.user_id = %(user)s", user=user)

    # --- decisions ---------------------------------------------------------------------

    def raced(self, verbs):
        """One decision and 32 equal answers; what waits is rewarded once, or never."""
        number, = self.held("held")
        payments = [self.payment(f"p{n}", "held") for n in range(20)]
        self.random.shuffle(payments)
        paths.insert_values(self.cursor, payments)
        paths.insert_values(self.cursor, [(self.id, Refund(f"r{n}", f"p{n}", UNIT // 2, None, PAID))
                                          for n in range(10)])
        answers = []
        before = self.random.choice([None, "BEGIN"])
        errors = self.crowd.storm([self.decision(
            number, self.random.choice(verbs), answers, self.random.choice([0, 0, 0.003]))
            for _ in range(32)], before)
        status = answers[0][0] if answers else None
        reviews = rows(self.cursor, "SELECT count(*), max(decision) FROM referral.attribution_review"
                                    " WHERE program_id = %(id)s AND decision IS NOT NULL", id=self.id)
        approved = status == "rewarded"
        return self.judged(
            errors, answers=((32, 1), (len(answers), len(set(answers)))),
            status=(True, status in ("rewarded", "rejected")),
            reviews=([(1, "approved" if approved else "rejected")], reviews),
            earned=((60, 60, 20 * UNIT * 1510 // 10000) if approved else (0, 0, 0),
                    self.earned_of("held")),
            net=(15 * UNIT // 10 if approved else 0, self.ask(
                "SELECT (o.balance).lifetime_micro FROM referral.referral_overview('u0', %(id)s)"
                " AS o")[0]))

    def one_approval(self):
        return self.raced(["approve"])

    def one_decision(self):
        return self.raced(["approve", "reject"])

    def payments_meet_decision(self, verb):
        """Payments and refunds that come while a decision is made: each counts once, or none."""
        number, = self.held("held")
        paths.insert_values(self.cursor, [self.payment(f"before {n}", "held") for n in range(10)])
        late = [f"p{n}" for n in range(24)]
        answers = []

        def refund(n):
            row = self.id, Refund(f"r{n}", f"p{n}", UNIT // 2, None, PAID)

            def work(cursor):
                paths.insert_values(cursor, [row])
                cursor.execute("COMMIT")
            return work
        works = ([self.pay("held", payment_id=p) for p in late] + [refund(n) for n in range(12)]
                 + [self.decision(number, verb, answers, self.random.choice([0, 0, 0.005]))
                    for _ in range(4)])
        self.random.shuffle(works)
        errors = self.crowd.storm(works, "BEGIN")
        self.cursor.execute("CALL referral.maintain(%s)", (self.id,))
        waiting, = self.ask("SELECT count(*) FROM referral.refund_waiting WHERE program_id = %(id)s")
        approved = verb == "approve"
        return self.judged(
            errors, earned=((102, 102, 34 * UNIT * 1510 // 10000) if approved else (0, 0, 0),
                            self.earned_of("held")),
            refunds=(0, waiting), statuses=(
                {"rewarded" if approved else "rejected": 1, "attributed": 1}, self.statuses()),
            net=(34 * UNIT // 10 - 12 * UNIT // 20 if approved else 0, self.ask(
                "SELECT (o.balance).lifetime_micro FROM referral.referral_overview('u0', %(id)s)"
                " AS o")[0]))

    def payments_meet_approval(self):
        return self.payments_meet_decision("approve")

    def payments_meet_rejection(self):
        return self.payments_meet_decision("reject")

    def refunds_meet_decision(self, verb):
        """Refunds of what waits that come while a decision is made: none of them is left waiting."""
        number, = self.held("held")
        payments = [f"p{n}" for n in range(8)]
        paths.insert_values(self.cursor, [self.payment(p, "held") for p in payments])
        answers = []

        def refund(n):
            row = self.id, Refund(f"r{n}", payments[n % 8], UNIT // 5, None, PAID)
            pause = self.random.choice([0, 0.001, 0.005])

            def work(cursor):
                paths.insert_values(cursor, [row])
                cursor.execute("SELECT pg_sleep(%s)", (pause,))
                cursor.execute("COMMIT")
            return work
        works = [refund(n) for n in range(32)] + [self.decision(number, verb, answers)] * 2
        self.random.shuffle(works)
        errors = self.crowd.storm(works, "BEGIN")
        return self.judged(
            errors, net=((8 * 5 - 32) * UNIT // 50 if verb == "approve" else 0, self.ask(
                "SELECT (o.balance).lifetime_micro FROM referral.referral_overview('u0', %(id)s)"
                " AS o")[0]),
            refunds=((0,), self.ask("SELECT count(*) FROM referral.refund_waiting"
                                    " WHERE program_id = %(id)s")))

    def refunds_meet_approval(self):
        return self.refunds_meet_decision("approve")

    def refunds_meet_rejection(self):
        return self.refunds_meet_decision("reject")

    def capped_by_approvals(self):
        """16 approvals at once whose payments fight for five places; others pay meanwhile."""
        users = [f"held {n}" for n in range(16)]
        numbers = self.held(*users)
        self.cursor.execute("UPDATE referral.code SET cap = 5 WHERE program_id = %s"
                            " AND user_id = 'u0'", (self.id,))
        paths.insert_values(self.cursor, [self.payment(f"{u} {n}", u) for u in users
                                          for n in range(3)])
        answers = []
        works = ([self.decision(n, "approve", answers, 0.002) for n in numbers]
                 + [self.pay(user, payment_id=f"{user} late") for user in users])
        errors = self.crowd.storm(works, "BEGIN")
        return self.judged(errors, statuses=({"rewarded": 5, "capped": 11, "attributed": 1},
                                             self.statuses()),
                           rewards=((5 * 4 * 3,), self.ask(
                               "SELECT count(*) FROM referral.reward WHERE program_id = %(id)s")))

    # --- clicks and sign-ups --------------------------------------------------------------

    def one_click_id(self):
        """One id from 32 sessions at once: one click, and the same answer for all."""
        self.program()
        code, answers = self.enroll("referrer"), []

        def session(n):
            def work(cursor):
                cursor.execute("SELECT referral.capture_click(%s, 'click', utm_campaign => %s,"
                               " ip => %s, program_id => %s)", (code, f"c{n}", f"192.0.2.{n}", self.id))
                answers.extend(cursor.fetchone())
                cursor.execute("COMMIT")
            return work
        errors = self.crowd.storm([session(n) for n in range(32)], "BEGIN")
        clicks = self.ask("SELECT (SELECT count(*) FROM referral.click WHERE program_id = %(id)s),"
                          " (SELECT f.clicks FROM referral.funnel_stats(program_id => %(id)s) AS f)")
        return self.complaint(errors, clicks=((1, 1), clicks), answers=(["click"] * 32, answers))

    def velocity(self):
        """32 sign-ups of one hour where five are not too many."""
        self.program()
        self.rule("velocity", 5)
        code, answers = self.enroll("referrer"), []
        errors = self.crowd.storm([self.attribute(f"u{n}", code, answers) for n in range(32)], "BEGIN")
        return self.judged(errors, answers=([(True, None)] * 32, answers), statuses=(
            {"attributed": 5, "review_required": 27}, self.statuses()))

    def reviews_and_all_else(self):
        """Clicks, sign-ups, decisions, payments and refunds of the same users, all at once."""
        self.program(rates=((0, 0, 10), (0, 1, 1000), (0, 2, 500)), event_days=30)
        self.rule("velocity", 2)
        self.rule("same_ip")
        codes = [self.enroll(f"u{n}") for n in range(4)]
        users = [f"u{n}" for n in range(40)]
        self.refer(codes[0], ["u1", "u2"])
        self.refer(codes[1], ["u3"])

        def session(n):
            chance = random.Random(self.random.random())

            def operation(turn):
                user, number = chance.choice(users), chance.randrange(40)
                key, payment = f"{n} {turn}", f"{chance.randrange(24)} {chance.randrange(15)}"
                return chance.choice([
                    ("capture_click(%s, %s, utm_campaign => %s, ip => %s, program_id => %s)",
                     chance.choice(codes), chance.choice([f"{n}.{turn}", user]), chance.choice("ab"),
                     chance.choice("xy")),
                    ("attribute(%s, %s, %s, %s, %s)", user, chance.choice(codes),
                     chance.choice([None, None, user]), SINCE),
                    ("approve_attribution(%s, 'me', NULL, %s)", number),
                    ("reject_attribution(%s, 'me', NULL, %s)", number),
                    ("record_payment(%s, %s, %s, NULL, 'purchase', %s, %s)", key, user, UNIT, PAID),
                    ("record_payment(%s, %s, %s, NULL, 'purchase', %s, %s)", key, user, UNIT, PAID),
                    ("record_refund(%s, %s, %s, program_id => %s)", key, payment, UNIT // 4),
                    ("next_events(0, 10, %s)",)])
            operations = [operation(turn) for turn in range(15)]

            def work(cursor):
                # Ids of attributions go by the database; the lowest is this program's first.
                cursor.execute("SELECT min(attribution_id) FROM referral.attribution"
                               " WHERE program_id = %s", (self.id,))
                first, = cursor.fetchone()
                for call, *arguments in operations:
                    if "_attribution" in call:
                        arguments[0] += first
                    # Not there, never held, and not so much left.
                    self.call(cursor, f"SELECT count(*) FROM referral.{call}", *arguments,
                              refusals=["RF010", "RF012", "22003"])
            return work
        errors = self.crowd.storm([session(n) for n in range(24)])
        for number, in rows(self.cursor, "SELECT attribution_id FROM referral.attribution WHERE"
                            " program_id = %(id)s AND decision = 'review_required'", id=self.id):
            self.cursor.execute("SELECT referral.approve_attribution(%s, 'me', NULL, %s)",
                                (number, self.id))
        self.cursor.execute("CALL referral.maintain(%s)", (self.id,))
        return self.judged(errors)

    # --- the outbox --------------------------------------------------------------------------

    def workers(self):
        """Four workers read on while payments commit late: each hears each event, in order."""
        self.program(rates=((0, 0, 10), (0, 1, 1000)), event_days=30)
        users = [f"u{n}" for n in range(12)]
        self.refer(self.enroll("referrer"), users)
        done, stop = [], threading.Event()
        heard = [[] for _ in range(4)]

        def writer(n):
            chance = random.Random(self.random.random())

            def work(cursor):
                for turn in range(12):
                    batch = [self.payment(f"{n} {turn} {k}", chance.choice(users))
                             for k in range(chance.choice([1, 1, 5]))]
                    cursor.execute("BEGIN")
                    paths.insert_values(cursor, batch)
                    cursor.execute("SELECT pg_sleep(%s)", (chance.choice([0, 0.002, 0.02]),))
                    kept = chance.random() < 0.8
                    cursor.execute("COMMIT" if kept else "ROLLBACK")
                    if kept:
                        done.extend(payment_id for _, (payment_id, *_) in batch)
            return work

        def read(cursor, mine, most):
            cursor.execute("SELECT e.id, e.kind, e.data ->> 'payment_id', e.data ->> 'level'"
                           " FROM referral.next_events(%s, %s, %s) AS e",
                           (mine[-1][0] if mine else 0, most, self.id))
            return cursor.fetchall()

        def worker(mine):
            chance = random.Random(self.random.random())

            def work(cursor):
                while not stop.is_set():
                    cursor.execute("BEGIN")
                    found = read(cursor, mine, chance.choice([1, 7, 50]))
                    cursor.execute("SELECT pg_sleep(%s)", (chance.choice([0, 0, 0.005]),))
                    kept = chance.random() < 0.8
                    cursor.execute("COMMIT" if kept else "ROLLBACK")
                    if kept:
                        mine.extend(found)
            return work
        ended = []

        def last(work):
            def then(cursor):
                try:
                    work(cursor)
                finally:
                    ended.append(work)
                    if len(ended) == 16:
                        stop.set()
            return then
        errors = self.crowd.storm([last(writer(n)) for n in range(16)] + [worker(m) for m in heard])
        for mine in heard:
            while found := read(self.cursor, mine, 1000):
                mine.extend(found)
        rewards = rows(self.cursor, "SELECT payment_id, level::text FROM referral.reward"
                                    " WHERE program_id = %(id)s", id=self.id)
        told = Counter((payment_id, level) for _, kind, payment_id, level in heard[0]
                       if kind == "reward_created")
        return self.complaint(
            errors, rewards=(2 * len(done), len(rewards)), told=(Counter(rewards), told),
            unlike=([], [n for n in range(4) if heard[n] != heard[0]]),
            order=(sorted({row[0] for row in heard[0]}), [row[0] for row in heard[0]]))


STORMS = ["one_approval", "one_decision", "payments_meet_approval", "payments_meet_rejection",
          "refunds_meet_approval", "refunds_meet_rejection", "capped_by_approvals", "one_click_id",
          "velocity", "reviews_and_all_else", "workers"]
