"""The opponent that an application with an ORM is: the rules of plpgsql.sql, with the
same tables, from a client over a local socket. Each payment is a transaction of many
statements: rows are read one by one as objects, changed, and written back one by one,
balances in one order."""

import datetime
import multiprocessing
import time
import zoneinfo

import psycopg2
import psycopg2.extras

PROGRAM = 1
OCCURRED_AT = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Payment:
    """One payment in its transaction."""

    def __init__(self, cursor, payment_id, user_id, amount_micro, kind="purchase",
                 base_micro=None, occurred_at=OCCURRED_AT):
        self.cursor = cursor
        self.payment_id, self.user_id, self.kind = payment_id, user_id, kind
        self.amount_micro, self.occurred_at = amount_micro, occurred_at
        self.base_micro = amount_micro if base_micro is None else base_micro

    def one(self, query, *values):
        self.cursor.execute(query, values)
        return self.cursor.fetchone()

    def do(self, statement, *values):
        self.cursor.execute(statement, values)
        return self.cursor.rowcount

    def load_payer(self, lock=""):
        return self.one("SELECT * FROM attribution WHERE program_id = %s AND user_id = %s " + lock,
                        PROGRAM, self.user_id)

    def take(self):
        self.payment_no = self.one(
            "INSERT INTO payment (program_id, payment_id, user_id, amount_micro, base_micro, kind,"
            " occurred_at) VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING payment_no",
            PROGRAM, self.payment_id, self.user_id, self.amount_micro, self.base_micro, self.kind,
            self.occurred_at).payment_no
        self.payer = self.load_payer()
        if not self.payer or self.payer.decision in ("rejected", "capped"):
            return
        self.program = self.one("SELECT * FROM program WHERE program_id = %s", PROGRAM)
        if (not self.payer.qualified_at and self.program.qualify_days
                and self.occurred_at >= self.payer.attributed_at + self.program.qualify_days * DAY):
            return
        if self.payer.decision == "review_required":
            self.do("INSERT INTO payment_waiting VALUES (%s, %s, %s, %s, %s)", PROGRAM,
                    self.payer.member_id, self.occurred_at, self.payment_no, self.payment_id)
            return
        self.is_earning = (
            self.program.active and self.base_micro > 0 and self.kind != "deposit"
            and self.occurred_at >= self.payer.attributed_at
            and (not self.program.earning_days or self.occurred_at
                 < self.payer.attributed_at + self.program.earning_days * DAY))
        is_first = False
        if self.is_earning and not self.payer.qualified_at:
            self.payer = self.load_payer("FOR UPDATE")
            is_first = not self.payer.qualified_at
            if is_first and not self.qualifies():
                self.do("UPDATE attribution SET decision = 'capped'"
                        " WHERE program_id = %s AND user_id = %s", PROGRAM, self.user_id)
                return
        is_rewarded = self.credit(self.shares())
        self.update_payer(is_first, is_rewarded)
        if is_first:
            self.add_invitee()

    def qualifies(self):
        """Whether no cap is used up, at the first earning payment."""
        campaign = self.payer.campaign_id and self.one(
            "SELECT * FROM campaign WHERE program_id = %s AND campaign_id = %s FOR UPDATE",
            PROGRAM, self.payer.campaign_id)
        cap = self.program.referrer_monthly_cap
        if campaign:
            if campaign.budget_micro is not None and campaign.spent_micro >= campaign.budget_micro:
                return False
            if campaign.referrer_monthly_cap is not None:
                cap = campaign.referrer_monthly_cap
        if cap is not None:
            self.one("SELECT * FROM member WHERE program_id = %s AND member_id = %s FOR UPDATE",
                     PROGRAM, self.payer.referrer_id)
            zone = self.program.time_zone
            if cap <= self.one(
                    "SELECT count(*) FROM attribution WHERE program_id = %s AND referrer_id = %s"
                    " AND date_trunc('month', qualified_at, %s) = date_trunc('month', %s, %s)",
                    PROGRAM, self.payer.referrer_id, zone, self.occurred_at, zone).count:
                return False
        return self.do("UPDATE code SET used = used + 1 WHERE program_id = %s AND code_id = %s"
                       " AND (cap IS NULL OR used < cap)", PROGRAM, self.payer.code_id) == 1

    def shares(self):
        """(beneficiary, level, rate or None, amount), in the order in which they are locked."""
        shares = []
        member = self.one("SELECT * FROM member WHERE program_id = %s AND member_id = %s",
                          PROGRAM, self.payer.member_id)
        for level in range(self.program.max_level + 1):
            rate = None if member.suspended_at else self.one(
                "SELECT * FROM rate WHERE program_id = %s AND level = %s AND campaign_id IN (0, %s)"
                " AND tier IN (0, %s) ORDER BY campaign_id DESC, tier DESC LIMIT 1",
                PROGRAM, level, self.payer.campaign_id, member.tier)
            if rate and rate.max_payments and self.payer.earning_payments >= rate.max_payments:
                rate = None
            amount = (self.base_micro * rate.rate_bps // 10000 + rate.flat_micro
                      if rate and self.is_earning else 0)
            shares.append((member, level, rate, amount))
            if not member.referrer_id:
                break
            member = self.one("SELECT * FROM member WHERE program_id = %s AND member_id = %s",
                              PROGRAM, member.referrer_id)
        total = sum(share[-1] for share in shares)
        if self.is_earning and self.payer.campaign_id and not self.do(
                "UPDATE campaign SET spent_micro = spent_micro + %s WHERE program_id = %s"
                " AND campaign_id = %s"
                " AND (budget_micro IS NULL OR spent_micro + %s <= budget_micro)",
                total, PROGRAM, self.payer.campaign_id, total):
            self.do("INSERT INTO payment_unrewarded VALUES (%s, %s, 'budget_used_up')",
                    PROGRAM, self.payment_id)
            shares = [(member, level, rate, 0) for member, level, rate, _ in shares]
        return sorted(shares, key=lambda share: share[0].member_id)

    def available_at(self):
        if self.program.hold_days == 0:
            return self.occurred_at
        local = self.occurred_at.astimezone(zoneinfo.ZoneInfo(self.program.time_zone))
        day = (local - datetime.timedelta(microseconds=1)).date() + DAY * (
            self.program.hold_days + 1)
        return datetime.datetime.combine(day, datetime.time(), local.tzinfo)

    def amounts(self):
        """Volume and deposits."""
        return (0, self.amount_micro) if self.kind == "deposit" else (self.amount_micro, 0)

    def credit(self, shares):
        is_rewarded = False
        for member, level, rate, amount in shares:
            if level == 0 and amount == 0:
                continue
            if amount:
                is_rewarded = True
                self.do("INSERT INTO reward VALUES"
                        " (%s, %s, %s, %s, %s, %s, %s, %s, now(), %s, %s, %s, %s)",
                        PROGRAM, self.payment_no * 16 + level, member.member_id,
                        self.payer.member_id, self.base_micro, amount, rate.flat_micro,
                        self.available_at(), rate.rate_bps, member.tier, level, self.payment_id)
            volume, deposits = self.amounts() if level else (0, 0)
            if not self.do(
                    "UPDATE balance SET amount_micro = amount_micro + %s,"
                    " volume_micro = volume_micro + %s, deposits_micro = deposits_micro + %s,"
                    " rewards = rewards + %s"
                    " WHERE program_id = %s AND member_id = %s AND level = %s",
                    amount, volume, deposits, int(amount > 0), PROGRAM, member.member_id, level):
                self.do("INSERT INTO balance AS b VALUES (%s, %s, %s, %s, %s, %s, %s)"
                        " ON CONFLICT (program_id, member_id, level) DO UPDATE"
                        " SET amount_micro = b.amount_micro + excluded.amount_micro,"
                        " volume_micro = b.volume_micro + excluded.volume_micro,"
                        " deposits_micro = b.deposits_micro + excluded.deposits_micro,"
                        " rewards = b.rewards + excluded.rewards",
                        PROGRAM, member.member_id, level, amount, volume, deposits,
                        int(amount > 0))
        return is_rewarded

    def update_payer(self, is_first, is_rewarded):
        volume, deposits = self.amounts()
        self.do("UPDATE attribution SET volume_micro = volume_micro + %s,"
                " deposits_micro = deposits_micro + %s, payments = payments + %s,"
                " earning_payments = earning_payments + %s,"
                " qualified_at = coalesce(qualified_at, %s),"
                " rewarded_at = coalesce(rewarded_at, %s)"
                " WHERE program_id = %s AND user_id = %s",
                volume, deposits, int(self.kind != "deposit"), int(self.is_earning),
                self.occurred_at if is_first else None, self.occurred_at if is_rewarded else None,
                PROGRAM, self.user_id)

    def add_invitee(self):
        referrer = self.one(
            "UPDATE member SET paid_invitees = paid_invitees + 1"
            " WHERE program_id = %s AND member_id = %s RETURNING *",
            PROGRAM, self.payer.referrer_id)
        if self.program.auto_tier and not referrer.tier_pinned:
            tier = self.one("SELECT max(tier) AS tier FROM tier WHERE program_id = %s"
                            " AND min_paid_invitees <= %s", PROGRAM, referrer.paid_invitees).tier
            if tier and tier > referrer.tier:
                self.do("UPDATE member SET tier = %s WHERE program_id = %s AND member_id = %s",
                        tier, PROGRAM, referrer.member_id)


def client(payments, begin, options):
    connection = psycopg2.connect(options=options,
                                  cursor_factory=psycopg2.extras.NamedTupleCursor)
    cursor = connection.cursor()
    begin.wait()
    for payment in payments:
        Payment(cursor, *payment).take()
        connection.commit()


def pay(payments, clients, options):
    """Have so many clients make the payments (id, user, amount); return payments/s."""
    fork = multiprocessing.get_context("fork")
    begin = fork.Barrier(clients + 1)
    processes = [fork.Process(target=client, args=(payments[n::clients], begin, options))
                 for n in range(clients)]
    for process in processes:
        process.start()
    begin.wait()
    started = time.monotonic()
    for process in processes:
        process.join()
    taken = time.monotonic() - started
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client of the orm failed")
    return len(payments) / taken
