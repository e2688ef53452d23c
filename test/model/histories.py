#!/usr/bin/python3
"""Random histories, told to the database and to the model, whose books must then be equal.

    histories.py [--histories 200] [--steps 300] [--seed 1] [--every]

Each history has a seed of its own, which is printed and replays it exactly; they
count up from --seed, or with --seed now from a number that the clock gives:
    histories.py --histories 1 --seed S --every
compares after every step and so names the first one that goes wrong.
"""

import argparse
import random
import time
from collections import Counter
from functools import partial
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg2

import paths
from compare import compare, difference, rows
from db import Database, Tally, connect, insert
from model import MAX, Campaign, Payment, Program, Rate, Refused
from money_steps import FAR, UNIT, UTC, Mismatch, MoneySteps
from review_steps import ReviewSteps, Worker

EPOCH = datetime(2023, 2, 1, tzinfo=UTC)
# Clocks that change at midnight, at half hours, in the south, and not at all.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe",
         "Asia/Kathmandu", "Asia/Beirut", "America/Havana", "Pacific/Apia"]
USERS = [f"user-{n}" for n in range(34)] + [
    "o'brien", "tab\there", 'say "hi"', "back\\slash", "ünïcødé 用户", "1", "%s", "x" * 200]
STATUSES = [["pending"], ["available", "?"], ["spent"], ["paid_out"], ["reversed"], ["?"], [],
            ["reversed", "available"], ["spent", "pending", "paid_out", "reversed", "available"]]
NAMES = ["Ada", "", "<script>alert(1)</script>", "Zoë 🦊", "a" * 200]


def spell(batch):
    return "".join(f"\n    {tenant.id}: " + " ".join(str(value) for value in row)
                   for tenant, row in batch)


class Tenant:
    """A program of the database and its model."""

    def __init__(self, cursor, name, config):
        self.model, self.worker = Program(**config), Worker()
        insert(cursor, "program", name=name, **config)
        self.id, = rows(cursor, "SELECT program_id FROM referral.program WHERE name = %(name)s",
                        name=name)[0]


class History(MoneySteps, ReviewSteps):
    def __init__(self, connection, seed):
        self.random = random.Random(seed)
        self.cursor = connection.cursor()
        self.seed, self.payments, self.clock, self.depth = seed, 0, EPOCH, 0
        self.ids = self.clicks = 0      # ids: of refunds, spends, payouts, adjustments
        self.users = USERS
        self.told = []                  # the steps so far, in words
        self.marks = []                 # instants of which statements may be asked
        self.seen = Counter()           # refusals, and how payments were written
        self.tenants = [self.tenant(f"{seed}-{n}") for n in range(2)]

    # --- chance ----------------------------------------------------------------

    def chance(self, percent):
        return self.random.random() * 100 < percent

    def pick(self, *choices):
        return self.random.choice(choices)

    def weighted(self, choices):
        """choices: {what: weight}"""
        return self.random.choices(list(choices), list(choices.values()))[0]

    def which(self):
        return self.tenants[self.chance(20)]

    def user(self):
        return self.random.choice(USERS)

    def member(self, tenant):
        return self.random.choice(list(tenant.model.members) or [None])

    def moment(self, tenant):
        """About now in the history; at times late, or at the edge of a local day or month."""
        at = self.clock
        if self.chance(15):
            at -= timedelta(seconds=self.random.randrange(40 * 86400))
        return self.edge_of_day(tenant, at) if self.chance(15) else at

    def nudge(self):
        return timedelta(microseconds=self.pick(-1, 0, 0, 1))

    def edge_of_day(self, tenant, at, first_of_month=40):
        local = at.astimezone(ZoneInfo(tenant.model.time_zone))
        local = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.chance(first_of_month):
            local = local.replace(day=1)
        return local.astimezone(UTC) + self.nudge()

    def edge_of_window(self, tenant, attribution):
        days = self.pick(0, tenant.model.qualify_days or 0, tenant.model.earning_days or 0)
        return attribution.at + timedelta(days=days) + self.nudge()

    def amount(self):
        return self.weighted({
            self.random.randrange(1, 500) * UNIT: 50, self.random.randrange(10**9): 30,
            self.pick(1, 2, 9999, 10000, 10001, 3333): 10, 0: 8,
            self.pick(2**53 - 1, 2**53 + 1, MAX // 10000 + 1): 1})

    # --- telling ---------------------------------------------------------------

    def both(self, words, ask, know, retell=None):
        """Does one thing in both worlds; a refusal must be the same refusal.
        What the model refuses is asked inside a savepoint where there is a transaction."""
        self.told.append(words)
        try:
            expected, state = know(), None
        except Refused as refusal:
            expected, state = None, str(refusal)
            self.seen[state] += 1
        if state and self.depth:
            self.cursor.execute("SAVEPOINT refused")
        try:
            found, error = ask(), None
        except psycopg2.Error as problem:
            found, error = None, problem
        if (error and error.pgcode) != state:
            raise Mismatch(f"expected {state or 'no error'}, found "
                           + (f"{error.pgcode} {error}" if error else "no error"))
        if state and self.depth:
            self.cursor.execute("ROLLBACK TO refused")
        if expected is not None:
            complaint = difference(expected, found, words)
            if complaint:
                raise Mismatch(complaint)

    def ask(self, query, **arguments):
        return rows(self.cursor, query, **arguments)

    def execute(self, words, query, **arguments):
        self.told.append(words)
        self.cursor.execute(query, arguments)

    # --- programs --------------------------------------------------------------

    def tenant(self, name):
        tenant = Tenant(self.cursor, name, {
            "currency": self.pick("USD", "EUR"), "time_zone": self.random.choice(ZONES),
            "hold_days": self.pick(0, 1, 30, 1000, 3650), "max_level": self.pick(0, 1, 3, 3, 5, 10),
            "qualify_days": self.pick(None, None, 60), "earning_days": self.pick(None, None, 200),
            "attribution_days": self.pick(1, 30),
            "debt_policy": self.pick("unlimited", "unlimited", "within_balance", "only_pending"),
            "payout_min_micro": self.pick(0, 0, 3 * UNIT), "event_days": self.pick(None, 30),
            "click_days": 36500, "hash_days": 36500})      # the clicks are of years ago
        for level in range(tenant.model.max_level + 1):
            if level or self.chance(40):
                self.set_rate(tenant, (0, 0, level))
        for _ in range(self.pick(0, 2, 3)):
            self.add_tier(tenant)
        for _ in range(self.pick(0, 1, 2, 3)):
            self.add_campaign(tenant)
        for _ in range(self.pick(0, 1, 1, 3)):
            self.set_rule(tenant)
        return tenant

    def configure(self, tenant):
        model = tenant.model
        change = {
            "hold_days": self.pick(0, 0, 1, 7, 30, 1000, 3650),
            "max_level": self.pick(0, 1, 2, 3, 5, 10),
            "qualify_days": self.pick(None, 10, 60), "earning_days": self.pick(None, 30, 200),
            "attribution_days": self.pick(1, 30),
            "referrer_monthly_cap": self.pick(None, 0, 1, 1, 2),
            "auto_tier": not model.auto_tier, "active": not model.active,
            "payout_min_micro": self.pick(0, 0, 1, 10 * UNIT)}
        # What stops everything does not stay for long.
        column = next((c for c, bad in (("active", False), ("referrer_monthly_cap", 0),
                                        ("max_level", 0)) if model.config[c] == bad), None)
        column = column or self.random.choice(list(change))
        self.set_program(tenant, column, change[column])

    def change_policy(self, tenant):
        self.set_program(tenant, "debt_policy",
                         self.pick("unlimited", "within_balance", "only_pending"))

    def set_program(self, tenant, column, value):
        self.execute(f"{tenant.id}: program.{column} = {value}",
                     f"UPDATE referral.program SET {column} = %(value)s WHERE program_id = %(id)s",
                     value=value, id=tenant.id)
        tenant.model.configure(**{column: value})

    def set_rate(self, tenant, key=None):
        model = tenant.model
        key = key or (self.pick(0, *model.campaigns), self.pick(0, *model.tiers),
                      self.random.randint(0, min(5, model.max_level + 1)))
        words = f"{tenant.id}: rate {key}"
        if key in model.rates and self.chance(30):
            self.execute(words + " deleted", "DELETE FROM referral.rate WHERE (program_id,"
                         " campaign_id, tier, level) = (%(id)s, %(c)s, %(t)s, %(l)s)",
                         id=tenant.id, c=key[0], t=key[1], l=key[2])
            del model.rates[key]
            return
        rate = Rate(self.pick(0, 1, 100, 333, 1500, 2500, 10000, 10001, 20001),
                    self.weighted({0: 80, 1: 10, 5 * UNIT: 10}),
                    self.weighted({None: 80, 1: 10, 3: 10}))
        self.execute(f"{words} = {rate}", """
            INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro,
                                       max_payments)
            VALUES (%(id)s, %(c)s, %(t)s, %(l)s, %(bps)s, %(flat)s, %(max)s)
            ON CONFLICT (program_id, campaign_id, tier, level) DO UPDATE
            SET (rate_bps, flat_micro, max_payments)
                = (EXCLUDED.rate_bps, EXCLUDED.flat_micro, EXCLUDED.max_payments)""",
                     id=tenant.id, c=key[0], t=key[1], l=key[2], bps=rate.bps, flat=rate.flat,
                     max=rate.max_payments)
        model.rates[key] = rate

    def add_tier(self, tenant):
        tiers = tenant.model.tiers
        if len(tiers) < 6:
            top = max(tiers, default=0)
            tier = top + self.pick(1, 1, 2)
            least = tiers[top][1] + self.pick(1, 2) if tiers else self.pick(0, 0, 1)
            self.execute(f"{tenant.id}: tier {tier} from {least}",
                         "INSERT INTO referral.tier VALUES (%(id)s, %(tier)s, %(label)s, %(least)s)",
                         id=tenant.id, tier=tier, label=f"tier {tier}", least=least)
            tenant.model.set_tiers({**tiers, tier: (f"tier {tier}", least)})

    def change_tier(self, tenant):
        tiers = tenant.model.tiers
        if not tiers or self.chance(50):
            return self.add_tier(tenant)
        tier = self.random.choice(list(tiers))
        low = max((least for t, (_, least) in tiers.items() if t < tier), default=-1) + 1
        high = min((least for t, (_, least) in tiers.items() if t > tier), default=low + 4) - 1
        if low <= high:
            least = self.random.randint(low, high)
            self.execute(f"{tenant.id}: tier {tier} from {least}",
                         "UPDATE referral.tier SET min_paid_invitees = %(least)s"
                         " WHERE (program_id, tier) = (%(id)s, %(tier)s)",
                         id=tenant.id, tier=tier, least=least)
            tenant.model.set_tiers({**tiers, tier: (tiers[tier][0], least)})

    def add_campaign(self, tenant):
        number = len(tenant.model.campaigns) + 1
        if number > 5:
            return
        starts_at = self.clock + timedelta(days=self.pick(-10, 0, 5), microseconds=number)
        campaign = Campaign(starts_at, starts_at + timedelta(days=self.pick(60, 400, 40000)),
                            self.pick(None, None, 0, 1, 3, 3), self.pick(None, None, 1, 2),
                            self.pick(None, 0, 3 * UNIT, 40 * UNIT, 300 * UNIT),
                            name=self.pick("spring", f"campaign {number}"))
        self.told.append(f"{tenant.id}: campaign {number} = {campaign}")
        insert(self.cursor, "campaign", program_id=tenant.id, campaign_id=number,
               name=campaign.name, starts_at=campaign.starts_at, ends_at=campaign.ends_at,
               code_cap=campaign.code_cap, referrer_monthly_cap=campaign.monthly_cap,
               budget_micro=campaign.budget)
        tenant.model.campaigns[number] = campaign
        for level in range(2):
            if self.chance(50):
                self.set_rate(tenant, (number, 0, level))

    def change_campaign(self, tenant):
        if not tenant.model.campaigns or self.chance(25):
            return self.add_campaign(tenant)
        number, campaign = self.random.choice(list(tenant.model.campaigns.items()))
        attribute, column, value = self.pick(
            ("monthly_cap", "referrer_monthly_cap", self.pick(None, 1, 2, 5)),
            ("code_cap", "code_cap", self.pick(None, 1, 4)),
            ("budget", "budget_micro", self.pick(None, campaign.spent + self.amount() % 2**50)),
            ("ends_at", "ends_at", campaign.ends_at + timedelta(days=10)),
            ("name", "name", self.pick("spring", "autumn")))
        self.limit(tenant, number, attribute, column, value)

    def limit(self, tenant, number, attribute, column, value):
        self.execute(f"{tenant.id}: campaign {number} {column} = {value}",
                     f"UPDATE referral.campaign SET {column} = %(value)s"
                     " WHERE (program_id, campaign_id) = (%(id)s, %(number)s)",
                     id=tenant.id, number=number, value=value)
        setattr(tenant.model.campaigns[number], attribute, value)

    # --- members ---------------------------------------------------------------

    def enroll(self, tenant, user=None, name=None):
        user = user or self.user()
        name = name or self.pick(None, None, *NAMES)
        self.execute(f"{tenant.id}: enroll {user!r} {name!r}",
                     "SELECT referral.enroll(%(user)s, %(name)s, program_id => %(id)s)",
                     user=user, name=name, id=tenant.id)
        code, = self.cursor.fetchone()
        member = tenant.model.enroll(user, name)
        if member.code is None:
            tenant.model.add_code(code, user)
        elif member.code != code:
            raise Mismatch(f"the primary code of {user!r} changed")

    def any_code(self, tenant, user=None):
        """Mostly a code that might do; sometimes one of somebody below the user."""
        model = tenant.model
        if self.chance(4) or not model.codes:
            return self.pick("nobody's", "", "x" * 300, "a b", "é")
        codes = list(model.codes.values())
        if user in model.members and self.chance(20):
            codes = [c for c in codes if user in model.line(c.owner)] or codes
        elif self.chance(40):
            codes = [c for c in codes if c.campaign
                     and self.clock < model.campaigns[c.campaign].ends_at] or codes
        elif self.chance(50):           # a few have most of the invitees
            codes = codes[:6]
        elif self.chance(30):           # and some lines are deep
            codes = [c for c in codes if c.owner in model.attributions] or codes
        code = self.random.choice(codes).text
        return self.pick(code, code, code.upper(), code.lower(), code.swapcase())

    def validate(self, tenant):
        user, code = self.pick(None, self.user()), self.any_code(tenant)
        now = datetime.now(UTC)
        reason = tenant.model.refusal(user, code, now)
        self.both(f"{tenant.id}: validate {code!r} for {user!r}",
                  lambda: self.ask("SELECT v.valid, v.reason FROM referral.validate_code("
                                   "%(code)s, %(user)s, %(id)s) AS v",
                                   code=code, user=user, id=tenant.id),
                  lambda: [(reason is None, reason)])

    def campaign_code(self, tenant):
        model, user = tenant.model, self.member(tenant)
        number = self.pick(None, *model.campaigns)
        wanted = number or model.active_campaign(datetime.now(UTC))
        if user is None:
            return
        self.execute(f"{tenant.id}: campaign code of {user!r} in {number}",
                     "SELECT c.code, c.cap, c.used FROM referral.campaign_code("
                     "%(user)s, %(number)s, %(id)s) AS c", user=user, number=number, id=tenant.id)
        found = self.cursor.fetchall()
        if wanted and not model.campaign_code(user, wanted) and found:
            model.add_code(found[0][0], user, "campaign", wanted, model.campaigns[wanted].code_cap)
        code = wanted and model.campaign_code(user, wanted)
        complaint = difference([(code.text, code.cap, code.used)] if code else [], found, "code")
        if complaint:
            raise Mismatch(complaint)

    def slug(self, tenant):
        user = self.member(tenant)
        if user is None:
            return
        if self.chance(25):
            self.execute(f"{tenant.id}: no slug for {user!r}",
                         "SELECT referral.remove_custom_slug(%(user)s, %(id)s)",
                         user=user, id=tenant.id)
            return tenant.model.remove_slug(user)
        slug = self.pick(f"slug-{self.random.randrange(30)}", f" Slug-{self.random.randrange(30)} ")
        self.both(f"{tenant.id}: slug {slug!r} for {user!r}",
                  lambda: self.ask("SELECT referral.set_custom_slug(%(user)s, %(slug)s, %(id)s)",
                                   user=user, slug=slug, id=tenant.id),
                  lambda: tenant.model.set_slug(user, slug))

    def set_tier(self, tenant):
        user, tier = self.member(tenant), self.pick(None, 9, *tenant.model.tiers)
        if user is not None:
            self.both(f"{tenant.id}: set_tier {user!r} {tier}",
                      lambda: self.ask("SELECT t.old_tier, t.new_tier FROM referral.set_tier("
                                       "%(user)s, %(tier)s, 'note', 'actor', %(id)s) AS t",
                                       user=user, tier=tier, id=tenant.id),
                      lambda: [tenant.model.set_tier(user, tier)])

    def suspend(self, tenant):
        user = self.member(tenant)
        if user is not None:
            member = tenant.model.members[user]
            member.suspended = self.chance(40)
            verb = "suspend" if member.suspended else "reinstate"
            self.execute(f"{tenant.id}: {verb} {user!r}",
                         f"SELECT referral.{verb}(%(user)s, 'note', 'actor', %(id)s)",
                         user=user, id=tenant.id)

    def change_cap(self, tenant):
        codes = [c for c in tenant.model.codes.values() if not c.disabled]
        if codes:
            code = self.random.choice(codes)
            code.cap = code.used + self.pick(0, 1, 1, 3) if self.chance(80) else None
            self.execute(f"{tenant.id}: cap of {code.text!r} = {code.cap}",
                         "UPDATE referral.code SET cap = %(cap)s"
                         " WHERE program_id = %(id)s AND code = %(code)s",
                         cap=code.cap, id=tenant.id, code=code.text)

    # --- payments --------------------------------------------------------------

    def payment(self, tenant):
        self.payments += 1
        user, at = self.user(), self.moment(tenant)
        attributions = tenant.model.attributions
        if self.chance(70) and attributions:
            user = self.random.choice(list(attributions))
            fresh = [u for u, a in attributions.items() if a.qualified_at is None and not a.capped]
            if fresh and self.chance(20):
                user = self.random.choice(fresh)
                at = self.edge_of_day(tenant, at) if self.chance(40) else at
            if self.chance(12):
                at = self.edge_of_window(tenant, attributions[user])
        amount = self.amount()
        base = self.weighted({None: 70, amount * 3 // 10: 15, 0: 5, self.amount(): 10})
        return Payment(f"p{self.payments}", user, amount, base,
                       self.weighted({"purchase": 80, "deposit": 12, "fee": 8}), at)

    def batch(self, size):
        """Rows of one program, or of both; within one statement many share a payer."""
        batch = []
        both = self.chance(15)
        tenant = self.which()
        for _ in range(size):
            tenant = self.which() if both else tenant
            payment = self.payment(tenant)
            if batch and self.chance(30):
                payment = payment._replace(user_id=batch[-1][1].user_id)
            batch.append((tenant, payment))
        return batch

    def spoil(self, batch):
        """Makes one row such that the whole statement is refused."""
        n = self.random.randrange(len(batch))
        tenant, payment = batch[n]
        spoiled = [payment._replace(amount=-1), payment._replace(base=-self.random.randrange(1, MAX)),
                   payment._replace(occurred_at=FAR)]
        if tenant.model.payments:
            known = self.random.choice(list(tenant.model.payments))
            spoiled.append(payment._replace(payment_id=known))
        return batch[:n] + [(tenant, self.random.choice(spoiled))] + batch[n + 1:]

    def know(self, batch, alone=False):
        """What the model makes of one statement, be it of one program or of both. alone: of
        a statement for each row, which still stand or fall together."""
        now, saved = datetime.now(UTC), self.save()
        try:
            for n, (tenant, row) in enumerate(batch, 1):
                tenant.model.take(row, now)
                if alone or n == len(batch):
                    for each in self.tenants:
                        each.model.end_statement(now)
        except Refused:
            self.restore(saved)
            raise

    def know_one_by_one(self, batch):
        """What is refused leaves the rest alone."""
        for row in batch:
            try:
                self.know([row])
            except Refused:
                pass

    def write(self, path, batch, know=None):
        if path is paths.one_by_one:
            know = self.know_one_by_one
        if know is None:
            know = partial(self.know, alone=path is paths.insert_by_trigger)
        self.seen[path.__name__] += 1
        written = [(tenant.id, row) for tenant, row in batch]
        self.both(f"{path.__name__} {spell(batch)}", lambda: path(self.cursor, written),
                  lambda: know(batch))

    def write_skipping(self, batch, known):
        """Ids that are taken, in the table or in the statement itself, are passed over.
        known(model): the rows that are there already, by id."""
        path = self.random.choice(paths.SKIPPING)
        for tenant, row in list(batch):
            if self.chance(25) and path is not paths.merge:
                batch.insert(self.random.randrange(len(batch) + 1), (tenant, row))
            if self.chance(25) and known(tenant.model):
                batch.append((tenant, type(row)(self.random.choice(list(known(tenant.model))), *row[1:])))
        if path is paths.merge:         # which refuses one target twice
            batch = list({(t.id, row[0]): (t, row) for t, row in batch}.values())
        if path in paths.UNORDERED:     # huge sums might be refused in one order only
            batch = [(t, row._replace(base=row.base and row.base % 2**40, amount=row.amount % 2**40)
                      if isinstance(row, Payment) else row) for t, row in batch]
        fresh = {}
        for t, row in batch:
            if row[0] not in known(t.model):
                fresh.setdefault((t.id, row[0]), (t, row))
        if path not in paths.UNORDERED:
            return self.write(path, batch, lambda _: self.know(list(fresh.values())))
        # In which order the planner sent them is known only afterwards.
        self.told.append(f"{path.__name__} {spell(batch)}")
        path(self.cursor, [(t.id, row) for t, row in batch])
        self.seen[path.__name__] += 1
        table = paths.TABLES[type(batch[0][1])]
        order = self.ask(
            f"SELECT program_id, {table.key} FROM referral.{table.name}"
            f" WHERE program_id = ANY(%(ids)s) AND {table.key} = ANY(%(keys)s)"
            f" ORDER BY {table.name}_no",
            ids=[t.id for t in self.tenants], keys=[key for _, key in fresh])
        self.know([fresh[key] for key in order if key in fresh])

    def pay(self):
        path = self.random.choice(paths.SINGLE + paths.ANY)
        batch = self.batch(1 if path in paths.SINGLE else self.weighted({1: 40, 3: 30, 8: 25, 25: 5}))
        if self.chance(6) and path is not paths.record:
            batch = self.spoil(batch)
        self.write(path, batch)

    def pay_some_again(self):
        self.write_skipping(self.batch(self.pick(2, 5, 10)), lambda model: model.payments)

    def pay_one_by_one(self):
        """A loop whose blocks survive refused rows."""
        batch = self.batch(5)
        self.write(paths.one_by_one, self.spoil(batch) if self.chance(50) else batch)

    def record_again(self):
        """A known id: the same body is replayed, another one is a conflict."""
        tenant = self.which()
        if not tenant.model.payments:
            return
        payment = self.random.choice(list(tenant.model.payments.values()))
        other = self.chance(50)
        if other:
            payment = self.pick(payment._replace(amount=payment.amount // 2 + 1),
                                payment._replace(user_id="other"), payment._replace(kind="other"),
                                payment._replace(base=77),
                                payment._replace(occurred_at=payment.occurred_at + timedelta(days=1)))
            other = payment != tenant.model.payments[payment.payment_id]

        def know(_):
            if other:
                raise Refused("RF001")
        self.write(paths.record, [(tenant, payment)], know)

    def pay_huge(self):
        """An amount that no reward can hold, or just can, in a savepoint that is rolled back."""
        tenant, payment = self.batch(1)[0]
        batch = [(tenant, payment._replace(base=self.pick(2**62, 2**62 - 1),
                                           amount=self.pick(0, 2**62)))]
        saved, inside = self.save(), self.depth > 0
        self.cursor.execute("SAVEPOINT huge" if inside else "BEGIN")
        self.depth += 1
        self.write(self.random.choice(paths.SINGLE + paths.ANY), batch)
        self.depth -= 1
        self.cursor.execute("ROLLBACK TO huge" if inside else "ROLLBACK")
        self.restore(saved)

    def write_unseen(self):
        """Written while the triggers were away, taken in later: payments in the order
        (occurred_at, arrival), refunds in that of their arrival."""
        refunds = self.chance(40)
        batch = self.refund_batch(self.pick(1, 4)) if refunds else self.batch(self.pick(1, 4))
        self.seen["write_unseen"] += 1
        self.told.append(f"unseen {spell(batch)}")
        self.cursor.execute("SET session_replication_role = replica")
        paths.insert_values(self.cursor, [(tenant.id, row) for tenant, row in batch])
        self.cursor.execute("SET session_replication_role = origin")
        for tenant in self.tenants:
            mine = [row for row in batch if row[0] is tenant]
            if not refunds:
                mine.sort(key=lambda row: row[1].occurred_at)
            found = self.ask("SELECT invariant, subject FROM referral.verify(%(id)s)"
                             " WHERE invariant <> 'refund_waiting'", id=tenant.id)
            if (len(found) > 0) != (len(mine) > 0):
                raise Mismatch(f"verify() says {found} of {len(mine)} rows not taken in")
            self.cursor.execute("CALL referral.backfill(%s, program_id => %s)", (
                "referral.refund" if refunds else "referral.payment", tenant.id))
            self.know(mine)

    def maintain(self):
        """Which nobody sees; now and then of all programs of all histories."""
        program_id = self.which().id if self.chance(90) else None
        self.execute(f"maintain {program_id}", "CALL referral.maintain(%(id)s)", id=program_id)

    def pay_up_to_budget(self):
        """The rewards of a payment just fit into what is left of a budget, or just do not."""
        tenant = self.which()
        model = tenant.model
        users = [u for u, a in model.attributions.items() if a.campaign]
        if not users:
            return
        user = self.random.choice(users)
        attribution = model.attributions[user]
        payment = self.payment(tenant)._replace(user_id=user, base=None, kind="purchase",
                                                amount=self.random.randrange(1, UNIT),
                                                occurred_at=attribution.at + self.nudge())
        line = model.line(user)[:model.max_level + 1]
        total = sum(r.amount for r in model.rewards_of(payment, payment.amount, attribution, line))
        campaign = model.campaigns[attribution.campaign]
        self.limit(tenant, attribution.campaign, "budget", "budget_micro",
                   campaign.spent + total - self.pick(0, 0, 1) * (total > 0))
        self.write(paths.insert_values, [(tenant, payment)])

    def pay_about_new_month(self):
        """First payments around a local month's beginning, with room for one in that month."""
        tenant = self.which()
        model = tenant.model
        fresh = [u for u, a in model.attributions.items() if a.qualified_at is None
                 and not a.capped and a.at < self.clock - timedelta(days=32)]
        if len(fresh) < 2:
            return
        at = [self.edge_of_day(tenant, self.clock, 100) for _ in range(2)]
        chosen = model.members[self.random.choice(fresh)].referrer
        cap = model.members[chosen].invited[model.month(at[0])] + 1
        self.set_program(tenant, "referrer_monthly_cap", cap)
        fresh = sorted(fresh, key=lambda u: model.members[u].referrer != chosen)
        batch = [(tenant, self.payment(tenant)._replace(user_id=u, kind="purchase", base=UNIT,
                                                        occurred_at=t))
                 for u, t in zip(fresh, at)]
        self.write(paths.insert_values, batch)
        self.set_program(tenant, "referrer_monthly_cap", self.pick(None, 2))

    def pay_nonsense(self):
        """What no table of payments takes; nothing of it, nor of its neighbours, is written."""
        tenant, payment = self.batch(1)[0]
        neighbour = (tenant.id, payment._replace(payment_id="neighbour", user_id="neighbour"))
        row, state = self.pick(
            ((-5, payment), "23503"), ((tenant.id, payment._replace(payment_id="")), "23514"),
            ((tenant.id, payment._replace(payment_id="x" * 201)), "23514"),
            ((tenant.id, payment._replace(user_id="")), "23514"),
            ((tenant.id, payment._replace(user_id=None)), "23502"),
            ((tenant.id, payment._replace(amount=None)), "23502"),
            ((tenant.id, payment._replace(kind="")), "23514"),
            ((tenant.id, payment._replace(occurred_at="infinity")), "22008"),
            ((tenant.id, payment._replace(occurred_at="-infinity")), "22008"))

        def refuse():
            raise Refused(state)
        self.both(f"nonsense: {row}", lambda: paths.insert_values(self.cursor, [neighbour, row]),
                  refuse)

    # --- transactions ------------------------------------------------------------

    def transaction(self):
        """Some steps, in savepoints some of which are rolled back, perhaps all for nothing."""
        self.told.append("BEGIN")
        self.cursor.execute("BEGIN")
        self.depth, saved = 1, self.save()
        for _ in range(self.random.randint(1, 4)):
            if self.chance(60):
                self.savepoint()
            else:
                self.step(inside=True)
        committed = self.chance(75)
        self.told.append("COMMIT" if committed else "ROLLBACK")
        self.cursor.execute(self.told[-1])
        self.depth = 0
        if not committed:
            self.restore(saved)

    def savepoint(self):
        name, saved = f"s{self.depth}", self.save()
        self.depth += 1
        self.told.append(f"SAVEPOINT {name}")
        self.cursor.execute(self.told[-1])
        for _ in range(self.random.randint(1, 3)):
            if self.depth < 4 and self.chance(25):
                self.savepoint()
            else:
                self.step(inside=True)
        kept = self.chance(60)
        self.told.append(f"{'RELEASE' if kept else 'ROLLBACK TO'} {name}")
        self.cursor.execute(self.told[-1])
        self.depth -= 1
        if not kept:
            self.restore(saved)

    def save(self):
        return [(tenant.model.save(), tenant.worker.save()) for tenant in self.tenants]

    def restore(self, saved):
        for tenant, (model, worker) in zip(self.tenants, saved):
            tenant.model.restore(model)
            tenant.worker.restore(worker)

    # --- steps -------------------------------------------------------------------

    def step(self, inside=False):
        self.mark()
        self.clock += timedelta(seconds=self.random.randrange(int(2.8 * 86400)))
        payments = {self.pay: 42, self.pay_some_again: 7, self.pay_one_by_one: 2,
                    self.record_again: 3, self.pay_up_to_budget: 2, self.pay_about_new_month: 2,
                    self.pay_nonsense: 2, self.pay_huge: 1}
        others = {self.attribute: 22, self.enroll: 4, self.validate: 3, self.campaign_code: 6,
                  self.slug: 3, self.set_tier: 2, self.suspend: 2, self.change_cap: 4,
                  self.set_rate: 3, self.change_tier: 1, self.change_campaign: 2,
                  self.configure: 2, self.change_policy: 2, self.capture: 3,
                  self.sign_up_often: 4, self.set_rule: 1.5, self.pay_held: 6, self.decide: 8,
                  self.keep_events: 0.5, self.read_events: 3}
        refunds = {self.give_back: 12, self.give_some_back_again: 3, self.give_back_one_by_one: 1,
                   self.give_back_first: 2}
        money = {self.record_refund: 4, self.give_back_nonsense: 1, self.spend: 12, self.unspend: 4,
                 self.request_payout: 10, self.move_payouts: 10, self.payout_batch: 2,
                 self.adjust: 5, self.set_destination: 2}
        transactions = {} if inside else {self.transaction: 5, self.write_unseen: 1.5, self.maintain: 0.5}
        earned = [tenant for tenant in self.tenants if tenant.model.rewards]
        if not earned and self.chance(95):      # little to be told of money yet
            refunds = money = {}
        step = self.weighted(payments | others | refunds | money | transactions)
        if step in money:
            step(self.random.choice(earned or self.tenants))
        else:
            step(*([self.which()] if step in others else []))

    def check(self):
        for tenant in self.tenants:
            complaint = compare(self.cursor, tenant.model, tenant.id)
            if complaint:
                raise Mismatch(f"program {tenant.id} {complaint}")
            self.check_pages(tenant)
            self.check_statements(tenant)
            self.check_operators(tenant)
            self.hear_all(tenant)

    def check_rebuild(self, tenant):
        """Which finds nothing to correct."""
        self.execute("rebuild", "CALL referral.rebuild(%(id)s)", id=tenant.id)
        complaint = difference([(0,)], self.ask(
            "SELECT done FROM referral.stat_progress WHERE program_id = %(id)s AND task = 'rebuild'"
            " ORDER BY progress_id DESC LIMIT 1", id=tenant.id), "corrections by rebuild()")
        if complaint:
            raise Mismatch(complaint)

    def check_pages(self, tenant):
        """One member's rewards by pages and by status are his rewards."""
        if not tenant.model.members:
            return
        # Not by the history's own chance: a check must not change what follows.
        user = random.Random(self.seed).choice(list(tenant.model.members))
        query = ("SELECT r.id, r.status FROM referral.list_rewards(%(user)s, %(status)s, %(rows)s,"
                 " %(skip)s, %(before)s, %(id)s) AS r")
        arguments = {"user": user, "id": tenant.id, "status": None, "skip": 0, "before": None}
        whole = self.ask(query, **arguments, rows=10**7)
        pages, by_skip = [], []
        while page := self.ask(query, **arguments | {"rows": 7, "skip": len(by_skip)}):
            by_skip += page
        while page := self.ask(query, **arguments | {
                "rows": 7, "before": pages[-1][0] if pages else None}):
            pages += page
        for name, found, expected in (
                ("before_id", pages, whole), ("skip", by_skip, whole),
                ("default", self.ask(query, **arguments, rows=None), whole[:50]),
                *((str(status), self.ask(query, **arguments | {"status": status}, rows=10**7),
                   [r for r in whole if r[1] in status]) for status in STATUSES)):
            complaint = difference(expected, found, f"list_rewards({user!r}) by {name}")
            if complaint:
                raise Mismatch(complaint)

    def run(self, steps, every):
        for _ in range(steps):
            self.step()
            if every:
                self.check()
        self.check()
        for tenant in self.tenants:
            self.check_rebuild(tenant)
        rewards = sum(len(tenant.model.rewards) for tenant in self.tenants)
        return f"{steps} steps, {self.payments} payments, {rewards} rewards"

    def covered(self):
        """What happened how often, to show that the rules were put to the test."""
        seen = Counter()
        for tenant in self.tenants:
            model = tenant.model
            seen += self.review_covered(tenant)
            for a in model.attributions.values():
                seen[model.status(a, FAR)] += 1
                seen["by a campaign's code"] += a.campaign > 0
            for reward in model.rewards:
                seen[f"level {reward.level}"] += 1
                seen["above the lowest tier"] += reward.tier > min(model.tiers, default=0)
                seen["of a campaign"] += model.attributions[reward.payer].campaign > 0
                seen["still pending"] += reward.available_at > datetime.now(UTC)
            seen.update(model.unrewarded.values())
            seen["above the lowest tier by rules"] += sum(
                model.tier(m) > min(model.tiers, default=0) and not m.pinned
                for m in model.members.values())
            seen += self.money_covered(model)
            seen["codes used up"] += sum(c.cap == c.used > 0 for c in model.codes.values())
        return seen + self.seen


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--histories", type=int, default=200)
    arguments.add_argument("--steps", type=int, default=300)
    arguments.add_argument("--seed", default="1")
    arguments.add_argument("--every", action="store_true", help="compare after each step")
    options = arguments.parse_args()
    first = int(time.time()) % 10**6 * 1000 if options.seed == "now" else int(options.seed)
    tally, seen = Tally(), Counter()
    with Database("histories") as name:
        for seed in range(first, first + options.histories):
            connection = connect(name, options="-c synchronous_commit=off")
            if seed == first:
                paths.setup(connection.cursor())
            history = None
            try:
                history = History(connection, seed)
                tally.report(f"seed {seed}: {history.run(options.steps, options.every)}")
                seen += history.covered()
            except (Mismatch, psycopg2.Error) as problem:
                told = "\n".join(history.told[-8 if options.every else -3:]) if history else ""
                tally.report(f"seed {seed}", f"after {len(history.told) if history else 0} steps:"
                             f"\n{told}\n{problem}")
            connection.close()
    print("# " + ", ".join(f"{what}: {n}" for what, n in sorted(seen.items())))
    tally.finish()


if __name__ == "__main__":
    main()
