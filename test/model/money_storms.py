"""Storms after the reward: refunds, spends, payouts and grants, all at once."""

import random
from datetime import datetime, timezone

import psycopg2

import paths
from compare import rows
from model import Refund

SINCE = datetime(2024, 1, 1, tzinfo=timezone.utc)
PAID = datetime(2024, 1, 2, tzinfo=timezone.utc)
UNIT = 1_000_000
FIVE_LEVELS = ((0, 0, 10), (0, 1, 1000), (0, 2, 333), (0, 3, 100), (0, 4, 1))
POLICIES = ["unlimited", "within_balance", "only_pending"]

# What the books say of each member, beside what their parts add up to.
BALANCES = """
SELECT m.user_id, (o.balance).lifetime_micro, (o.balance).available_micro,
       coalesce(r.net, 0) + coalesce(a.adjusted, 0),
       coalesce(r.net, 0) + coalesce(a.adjusted, 0) - (o.balance).pending_micro
       - coalesce(s.spent, 0) - coalesce(p.gone, 0),
       coalesce(s.spent, 0) + coalesce(p.sent, 0), coalesce(t.settled, 0)
FROM referral.member AS m, LATERAL referral.referral_overview(m.user_id, m.program_id) AS o,
     LATERAL (SELECT sum(amount_micro - reversed_micro) AS net
              FROM referral.list_rewards(m.user_id, max_rows => 10000000,
                                         program_id => m.program_id)) AS r,
     LATERAL (SELECT sum(amount_micro) AS adjusted FROM referral.adjustment
              WHERE (program_id, member_id) = (m.program_id, m.member_id)) AS a,
     LATERAL (SELECT sum(amount_micro) AS spent FROM referral.spend
              WHERE (program_id, member_id) = (m.program_id, m.member_id)
                AND unspent_at IS NULL) AS s,
     LATERAL (SELECT sum(amount_micro) FILTER (WHERE status = 'sent') AS sent,
                     sum(amount_micro) FILTER (WHERE status NOT IN ('failed', 'cancelled')) AS gone
              FROM referral.payout
              WHERE (program_id, member_id) = (m.program_id, m.member_id)) AS p,
     LATERAL (SELECT sum(amount_micro) AS settled FROM referral.settlement
              WHERE (program_id, member_id) = (m.program_id, m.member_id)) AS t
WHERE m.program_id = %(id)s
"""

# Rewards of which something else was taken back than the documented rounding, payments of
# which more was given back than there was. What waits was not given back.
REVERSALS = """
SELECT p.payment_id, b.user_id, r.amount_micro, r.reversed_micro, r.written_off_micro, f.total
FROM referral.payment AS p
     CROSS JOIN LATERAL (SELECT coalesce(sum(amount_micro), 0) AS total FROM referral.refund AS g
                         WHERE (program_id, payment_id) = (p.program_id, p.payment_id)
                           AND NOT EXISTS (SELECT FROM referral.refund_waiting AS w
                                           WHERE (w.program_id, w.payment_id, w.refund_no)
                                               = (g.program_id, g.payment_id, g.refund_no))) AS f
     JOIN referral.member AS b ON b.program_id = p.program_id
     JOIN LATERAL referral.list_rewards(b.user_id, max_rows => 10000000,
                                        program_id => p.program_id) AS r USING (payment_id)
WHERE p.program_id = %(id)s
  AND (r.reversed_micro + r.written_off_micro
       <> div(r.amount_micro * f.total, coalesce(p.base_micro, p.amount_micro))
       OR f.total > coalesce(p.base_micro, p.amount_micro))
"""

# Refunds that wait although their payment is there and they fit it.
WAITING = """
SELECT w.refund_id
FROM referral.refund_waiting AS w JOIN referral.payment AS p USING (program_id, payment_id)
WHERE program_id = %(id)s
  AND w.amount_micro <= coalesce(p.base_micro, p.amount_micro)
      - coalesce((SELECT max(total_micro) FROM referral.refund_applied AS a
                  WHERE (a.program_id, a.payment_no) = (p.program_id, p.payment_no)), 0)
"""


class MoneyStorms:
    """What Storms does with what was earned. It brings the stage and the crowd."""

    def chain(self, length=5):
        """u0 referred u1, who referred u2, and so on; the last one pays."""
        for n in range(1, length):
            self.refer(self.enroll(f"u{n - 1}"), [f"u{n}"])
        return f"u{length - 1}"

    def call(self, cursor, query, *arguments, refusals=()):
        """The row; or the SQLSTATE, where it is one of those that may come."""
        try:
            cursor.execute(query, (*arguments, self.id))
            return cursor.fetchone()
        except psycopg2.Error as error:
            if error.pgcode not in refusals:
                raise
            if cursor.connection.info.transaction_status != 0:
                cursor.execute("ROLLBACK")
            return error.pgcode

    def broken_books(self, **facts):
        """What is compared after every storm of money, and facts of this one."""
        balances = rows(self.cursor, BALANCES, id=self.id)
        return {"balances": ([], [b for b in balances
                                  if b[1:3] != b[3:5] or b[5] != b[6]][:3]),
                "reversals": ([], rows(self.cursor, REVERSALS, id=self.id)[:3]), **facts}

    # --- refunds ---------------------------------------------------------------------

    def refund_parts(self):
        """64 sessions give back random parts of the same payments; duplicates on the way."""
        self.program(rates=FIVE_LEVELS, max_level=4, debt_policy=self.random.choice(POLICIES))
        payer = self.chain()
        base = {f"p{n}": self.random.randrange(1, 10**9) for n in range(8)}
        paths.insert_values(self.cursor, [self.payment(p, payer, b) for p, b in base.items()])
        parts = [(f"{p} {n}", p, self.random.randint(1, max(1, b // 8)))
                 for p, b in base.items() for n in range(24)]
        answers = {part[0]: [] for part in parts}

        def session(_):
            mine = self.random.sample(parts, 20)

            def work(cursor):
                for part in mine:
                    answers[part[0]].append(self.call(
                        cursor, "SELECT r.replayed, r.state, r.reversed_micro, r.written_off_micro"
                        " FROM referral.record_refund(%s, %s, %s, program_id => %s) AS r",
                        *part, refusals=["22003"]))
            return work
        errors = self.crowd.storm([session(n) for n in range(64)])
        unlike = {}
        for refund_id, found in answers.items():
            fresh = [a for a in found if a == "22003" or not a[0]]
            if len({a if a == "22003" else a[1:] for a in found}) > 1 \
                    or "22003" not in fresh and found and len(fresh) != 1:
                unlike[refund_id] = found
        kept, = self.ask("SELECT count(*) FROM referral.refund WHERE program_id = %(id)s")
        return self.complaint(errors, **self.broken_books(
            unlike=({}, unlike), kept=(sum(a != [] and "22003" not in a for a in answers.values()),
                                       kept)))

    def refund_batches(self):
        """16 sessions, each 10 statements of refunds of the same 20 payments in its own order,
        till nothing is left of them."""
        self.program(rates=FIVE_LEVELS, max_level=4, debt_policy=self.random.choice(POLICIES))
        payer = self.chain()
        payments = [f"p{n}" for n in range(20)]
        paths.insert_values(self.cursor, [self.payment(p, payer, 160 * 9_999) for p in payments])

        def session(n):
            batches = [[(self.id, Refund(f"{n} {turn} {p}", p, 9_999, None, PAID))
                        for p in self.random.sample(payments, 20)] for turn in range(10)]

            def work(cursor):
                for batch in batches:
                    paths.insert_values(cursor, batch)
                    paths.on_conflict(cursor, batch)
            return work
        errors = self.crowd.storm([session(n) for n in range(16)])
        net, = self.ask("SELECT sum(amount_micro - reversed_micro - written_off_micro)"
                        " FROM referral.member AS m, LATERAL referral.list_rewards(m.user_id,"
                        " program_id => m.program_id) WHERE m.program_id = %(id)s")
        return self.complaint(errors, **self.broken_books(net=(0, net)))

    def refund_meets_payment(self):
        """32 payments and their refunds, each pair at once; nothing waits after maintain()."""
        self.program(rates=FIVE_LEVELS, max_level=4)
        payer = self.chain()

        def refund(n):
            row = self.id, Refund(f"r{n}", f"p{n}", UNIT // 2, None, PAID)
            pause = self.random.choice([0, 0, 0.001, 0.005])

            def work(cursor):
                paths.insert_values(cursor, [row])
                cursor.execute("SELECT pg_sleep(%s)", (pause,))
                cursor.execute("COMMIT")
            return work
        errors = self.crowd.storm([work for n in range(32) for work in (
            self.pay(payer, payment_id=f"p{n}"), refund(n))], "BEGIN")
        self.cursor.execute("CALL referral.maintain(%s)", (self.id,))
        waiting, = self.ask("SELECT count(*) FROM referral.refund_waiting WHERE program_id = %(id)s")
        balance, = self.ask("SELECT (o.balance).available_micro FROM"
                            " referral.referral_overview('u3', %(id)s) AS o")
        return self.complaint(errors, **self.broken_books(waiting=(0, waiting),
                                                          balance=(32 * UNIT // 20, balance)))

    # --- spends and payouts --------------------------------------------------------------

    def rich(self, **config):
        self.program(**config)
        self.refer(self.enroll("referrer"), ["payer"])
        paths.insert_values(self.cursor, [self.payment("p", "payer", 10 * UNIT)])

    def only_one(self, call, refusals, before=None, **facts):
        """64 sessions want all that there is; one gets it, and the others hear why not.
        facts: what is asked afterwards, (expected, query)"""
        answers = []

        def session(n):
            def work(cursor):
                found = self.call(cursor, call, f"id {n}", refusals=refusals)
                if before and found not in refusals:
                    cursor.execute("COMMIT")
                answers.append("refused" if found in refusals else "done")
            return work
        errors = self.crowd.storm([session(n) for n in range(64)], before)
        return self.complaint(errors, **self.broken_books(
            answers=(["done"] + ["refused"] * 63, sorted(answers)),
            **{name: (expected, self.ask(query)) for name, (expected, query) in facts.items()}))

    def whole_balance(self, call, refusals=("RF007",), before=None):
        self.rich()
        return self.only_one(call, refusals, before, gone=(
            (UNIT,), "SELECT spent_micro + reserved_micro FROM referral.account"
            " JOIN referral.member USING (program_id, member_id)"
            " WHERE program_id = %(id)s AND user_id = 'referrer'"))

    def whole_refund(self, before=None):
        self.rich()
        return self.only_one(f"SELECT referral.record_refund(%s, 'p', {10 * UNIT}, program_id => %s)",
                             ("22003",), before, gone=(
            (1, 10 * UNIT), "SELECT count(*), max(total_micro) FROM referral.refund_applied"
            " WHERE program_id = %(id)s"))

    def refund_of_all(self):
        return self.whole_refund()

    def refund_of_all_repeatable_read(self):
        """Every session has taken its snapshot before anybody refunds."""
        return self.whole_refund("BEGIN ISOLATION LEVEL REPEATABLE READ;"
                                 " SELECT count(*) FROM referral.refund")

    def payout_of_all(self):
        return self.whole_balance("SELECT referral.request_payout('referrer', %s, program_id => %s)")

    def payout_of_all_repeatable_read(self):
        return self.whole_balance("SELECT referral.request_payout('referrer', %s, program_id => %s)",
                                  ("RF007", "40001"), "BEGIN ISOLATION LEVEL REPEATABLE READ;"
                                  " SELECT count(*) FROM referral.account")

    def spend_of_all(self):
        return self.whole_balance(
            f"SELECT referral.spend('referrer', {UNIT}, %s, program_id => %s)")

    def one_payout_id(self):
        """One id from 64 sessions at once: one payout, and the same answer for all."""
        self.rich()
        answers = []

        def work(cursor):
            answers.append(self.call(cursor, "SELECT p::text FROM referral.request_payout("
                                     "'referrer', 'id', program_id => %s) AS p"))
        errors = self.crowd.storm([work] * 64)
        payouts = self.ask("SELECT count(*), sum(amount_micro)::bigint FROM referral.payout"
                           " WHERE program_id = %(id)s")
        return self.complaint(errors, **self.broken_books(
            payouts=((1, UNIT), payouts), answers=((64, 1), (len(answers), len(set(answers))))))

    def one_batch(self):
        """payout_batch() of one id from 16 sessions, while the members ask for themselves."""
        self.program(rates=FIVE_LEVELS, max_level=4)
        payer = self.chain()
        paths.insert_values(self.cursor, [self.payment(f"p{n}", payer, 10 * UNIT)
                                          for n in range(10)])
        batches = []

        def batch(cursor):
            cursor.execute("SELECT p.id, p.amount_micro FROM referral.payout_batch('b',"
                           " program_id => %s) AS p", (self.id,))
            batches.append(sorted(cursor.fetchall()))

        def alone(n):
            return lambda cursor: self.call(
                cursor, "SELECT referral.request_payout(%s, %s, program_id => %s)", f"u{n % 5}",
                f"alone {n}", refusals=["RF007"])
        errors = self.crowd.storm([batch] * 16 + [alone(n) for n in range(10)])
        left, = self.ask("SELECT sum((o.balance).available_micro) FROM referral.member AS m, LATERAL"
                         " referral.referral_overview(m.user_id, m.program_id) AS o"
                         " WHERE m.program_id = %(id)s")
        return self.complaint(errors, **self.broken_books(
            left=(0, left), unlike=([], [b for b in batches if b != batches[0]])))

    def everything(self):
        """Payments, refunds, spends, payouts and adjustments of the same members, all at once."""
        self.program(rates=FIVE_LEVELS, max_level=4, debt_policy=self.random.choice(POLICIES))
        payer = self.chain()
        users = [f"u{n}" for n in range(5)]
        payments = [f"p{n}" for n in range(40)]
        paths.insert_values(self.cursor, [self.payment(p, payer, 10 * UNIT) for p in payments[:30]])

        def session(n):
            chance = random.Random(self.random.random())

            def operation(turn):
                key, user, amount = f"{n} {turn}", chance.choice(users), chance.randrange(1, UNIT)
                other = f"{chance.randrange(24)} {chance.randrange(turn + 1)}"
                return chance.choice([
                    ("record_payment(%s, %s, %s, NULL, 'purchase', %s, %s)",
                     chance.choice([key, *payments]), payer, 10 * UNIT, PAID),
                    ("record_refund(%s, %s, %s, program_id => %s)", key, chance.choice(payments),
                     chance.randrange(1, 3 * UNIT)),
                    ("record_refund(%s, %s, %s, program_id => %s)", key, chance.choice(payments),
                     chance.randrange(1, 3 * UNIT)),
                    ("spend(%s, %s, %s, program_id => %s)", user, amount, key),
                    ("unspend(%s, %s)", other),
                    ("request_payout(%s, %s, %s, program_id => %s)", user, key,
                     chance.choice([None, amount])),
                    ("payout_sent(%s, program_id => %s)", other),
                    ("payout_sent(%s, program_id => %s)", other),
                    ("payout_failed(%s, program_id => %s)", other),
                    ("payout_cancel(%s, %s)", other),
                    ("adjust(%s, %s, %s, 'note', 'actor', %s)", user, key, amount - UNIT // 2),
                    ("payout_batch(%s, program_id => %s)", key)])
            operations = [operation(turn) for turn in range(15)]

            def work(cursor):
                for call, *arguments in operations:
                    # Not there, done with, not enough left, and payments that are known.
                    self.call(cursor, f"SELECT count(*) FROM referral.{call}", *arguments,
                              refusals=["RF010", "RF009", "RF007", "22003", "RF001"])
            return work
        errors = self.crowd.storm([session(n) for n in range(24)])
        self.cursor.execute("CALL referral.maintain(%s)", (self.id,))
        # One that came before its payment may be more than was left of it.
        return self.complaint(errors, but="refund_waiting", **self.broken_books(
            waiting=([], rows(self.cursor, WAITING, id=self.id))))

    # --- grants ---------------------------------------------------------------------------

    def grants(self):
        """Eight workers; none of them is given what another one holds."""
        self.program(rates=FIVE_LEVELS, max_level=4, uses_grants=True)
        payer = self.chain()
        paths.insert_values(self.cursor, [self.payment(f"p{n}", payer, 10 * UNIT)
                                          for n in range(60)])
        held = []

        def worker(cursor):
            while True:
                cursor.execute("BEGIN")
                cursor.execute("SELECT g.grant_key FROM referral.claim_grants(%s, %s) AS g",
                               (self.random.choice([1, 7, 20]), self.id))
                keys = [key for key, in cursor.fetchall()]
                cursor.execute("SELECT pg_sleep(%s)", (self.random.choice([0, 0, 0.003]),))
                cursor.execute("COMMIT")
                if not keys:
                    return
                held.extend(keys)
                for key in keys:
                    cursor.execute("SELECT referral.confirm_grant(%s, %s)", (key, self.id))
        errors = self.crowd.storm([worker] * 8)
        confirmed, = self.ask("SELECT count(*) FROM referral.reward_grant"
                              " WHERE program_id = %(id)s AND state = 'confirmed'")
        return self.complaint(errors, **self.broken_books(
            held=((300, 300), (len(held), len(set(held)))), confirmed=(300, confirmed)))


STORMS = ["refund_parts", "refund_batches", "refund_meets_payment", "refund_of_all",
          "refund_of_all_repeatable_read", "payout_of_all",
          "payout_of_all_repeatable_read", "spend_of_all", "one_payout_id", "one_batch",
          "everything", "grants"]
