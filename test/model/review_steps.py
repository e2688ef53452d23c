"""The steps of a history about clicks and sign-ups, their review, and a worker that is told of it."""

import random
from collections import Counter
from datetime import date, datetime, timedelta, timezone

from books import Books
from compare import difference
from model import Refund
from money_steps import Mismatch
from paths import insert_values

UTC = timezone.utc
HOUR = timedelta(hours=1)
LABELS = [None, None, None, "", "spring", "campaign 1", "<b>x</b>", "sp\u200bring", " \x1b[31mspring "]
PATHS = [None, "", "/", "/../../etc/passwd", "/a?token=secret", "/b#x?y", " /c\u202ed",
         "/" + "é" * 600, "<script>alert(1)</script>", "?"]
ADDRESSES = [None, "", "192.0.2.2", "2001:DB8::1", "2001:db8::1", "192.0.2.1", " 192.0.2.1 ", "192.0.2.1"]
STATUSES = "attributed qualified rewarded review_required rejected capped expired".split()
CAPTURE = """
SELECT referral.capture_click(%(code)s, %(click)s, %(path)s, %(source)s, %(medium)s, %(utm)s,
                              %(ip)s, %(agent)s, %(id)s)
"""
# Where the funnel counted it goes with the click.
MOVE = """
WITH click AS (
    SELECT k.program_id, k.click_id, k.utm_key, c.campaign_id, p.time_zone, k.clicked_at
    FROM referral.click AS k JOIN referral.code AS c USING (program_id, code_id)
         JOIN referral.program AS p USING (program_id)
    WHERE (program_id, click_id) = (%(id)s, %(click)s)),
counted AS (
    SELECT referral.count_funnel(program_id, (at AT TIME ZONE time_zone)::date, campaign_id,
                                 utm_key, 'clicks', change)
    FROM click, LATERAL (VALUES (clicked_at, -1), (%(at)s::timestamptz, 1)) AS v (at, change))
UPDATE referral.click AS k SET clicked_at = %(at)s FROM click, (SELECT count(*) FROM counted) AS c
WHERE (k.program_id, k.click_id) = (click.program_id, click.click_id)
"""
LIST = """
SELECT to_jsonb(a) FROM referral.list_attributions(%(user)s, %(status)s, %(campaign)s, %(grant)s,
                                                   %(rows)s, %(before)s, %(id)s) AS a
"""
DETAILS = """
SELECT a.user_id, to_jsonb(d) - ARRAY['held_at', 'decided_at', 'rewards']
FROM referral.attribution AS a,
     LATERAL referral.attribution_detail(a.attribution_id, a.program_id) AS d
WHERE a.program_id = %(id)s
"""


class Worker:
    """Who reads what happened in a program, and remembers up to where."""

    def __init__(self):
        self.position, self.heard = 0, []
        self.since, self.tiers = 0, {}      # where events began to be kept, and the tiers then

    def save(self):
        return self.position, len(self.heard), self.since, dict(self.tiers)

    def restore(self, saved):
        self.position, heard, self.since, self.tiers = saved
        del self.heard[heard:]


class ReviewSteps:
    """What a History does before a payment, and beside it. It brings the chances and the tenants."""

    # --- clicks and sign-ups -----------------------------------------------------

    def capture(self, tenant, code=None, at=None):
        """A click; with at, one of that time."""
        model, known = tenant.model, [*tenant.model.clicks]
        self.clicks += 1
        click = self.random.choice(known) if known and self.chance(8) else f"click-{self.clicks}"
        code = code or self.any_code(tenant)
        if self.chance(15):
            self.execute(f"{tenant.id}: new salt", "SELECT referral.rotate_salt(%(id)s)", id=tenant.id)
            model.salt += 1
        body = {"path": self.random.choice(PATHS), "source": self.random.choice(LABELS),
                "medium": self.random.choice(LABELS), "utm": self.random.choice(LABELS),
                "ip": self.random.choice(ADDRESSES), "agent": self.pick(None, "", "Mozilla/5.0")}
        new = click not in model.clicks
        self.both(f"{tenant.id}: click {click!r} on {code!r} {body}",
                  lambda: self.ask(CAPTURE, code=code, click=click, id=tenant.id, **body),
                  lambda: [(model.capture(code, click, None, **body),)])
        if new and click in model.clicks:
            if at:
                self.execute(f"... at {at}", MOVE, id=tenant.id, click=click, at=at)
            (at,), = self.ask("SELECT clicked_at FROM referral.click WHERE"
                              " (program_id, click_id) = (%(id)s, %(click)s)",
                              id=tenant.id, click=click)
            model.clicks[click] = model.clicks[click]._replace(at=at)
        return click

    def click_for(self, tenant, code, at):
        """One of about the time that a sign-up needs it; or none that is known."""
        if self.chance(8) or code.lower() not in tenant.model.codes:
            return "unknown click"
        if self.chance(50):
            return self.capture(tenant, code, at - timedelta(
                days=self.pick(0, tenant.model.attribution_days), microseconds=self.pick(-1, 0, 1)))
        return self.capture(tenant, self.pick(code, None), self.moment(tenant))

    def attribute(self, tenant):
        model, user = tenant.model, self.user()
        code, at = self.any_code(tenant, user), self.moment(tenant)
        code_of = model.codes.get(code.lower())
        if code_of and code_of.campaign and self.chance(40):
            campaign = model.campaigns[code_of.campaign]
            at = self.pick(campaign.starts_at, campaign.ends_at) + self.nudge()
            at = min(at, datetime(2025, 1, 1, tzinfo=UTC))
        self.sign_up(tenant, user, code, at, self.click_for(tenant, code, at) if self.chance(25) else None)

    def sign_up(self, tenant, user, code, at, click=None):
        model = tenant.model
        reason = model.refusal(user, code, at, click)

        def know():
            model.attribute(user, code, at, click)
            attribution = model.attributions.get(user)
            return [(reason is None, reason, attribution and model.status(attribution, self.now()))]
        self.both(
            f"{tenant.id}: attribute {user!r} by {code!r} at {at} click {click}",
            lambda: self.ask("""SELECT a.attributed, a.reason, a.status FROM referral.attribute(
                                    %(user)s, %(code)s, %(click)s, %(at)s, %(id)s) AS a""",
                             user=user, code=code, click=click, at=at, id=tenant.id), know)
        self.seen[reason or "attributed at once"] += 1
        if reason is None:
            (model.attributions[user].id,), = self.ask(
                "SELECT attribution_id FROM referral.attribution"
                " WHERE (program_id, user_id) = (%(id)s, %(user)s)", id=tenant.id, user=user)
        if user in model.members and model.members[user].code is None:
            self.enroll(tenant, user)

    def sign_up_often(self, tenant):
        """Two within an hour of one referrer, or just not; from the address he came from, too."""
        model = tenant.model
        new = [u for u in self.users if u not in model.attributions]
        codes = [c for c in model.codes.values() if not c.disabled and (
            not c.campaign or model.campaigns[c.campaign].ends_at > self.clock)]
        if len(new) < 2 or not codes:
            return self.attribute(tenant)
        clicked = [c for c in codes if c.owner in model.attributions
                   and model.attributions[c.owner].click and self.chance(60)]
        code = self.random.choice(clicked or codes)
        at = self.moment(tenant)
        for user in self.random.sample(new, 2):
            click = self.capture(tenant, code.text, at) if self.chance(65) else None
            self.sign_up(tenant, user, code.text, at, click)
            at += self.pick(timedelta(0), HOUR, HOUR, -HOUR) + self.nudge()

    # --- review --------------------------------------------------------------------

    def set_rule(self, tenant):
        rules = tenant.model.rules
        rule = self.pick("same_ip", "velocity", "campaign")
        campaign = self.pick(*tenant.model.campaigns, None) if rule == "campaign" else 0
        if campaign is None:
            return
        key = {"id": tenant.id, "rule": rule, "campaign": campaign}
        words = f"{tenant.id}: rule {rule} {campaign or ''}"
        # The more hold, the less there is to see of all else.
        if (rule, campaign) in rules or len(rules) > 2:
            switched = self.chance(50)
            self.execute(f"{words} off", ("UPDATE referral.review_rule SET enabled = false" if switched
                                          else "DELETE FROM referral.review_rule")
                         + " WHERE (program_id, rule, campaign_id) = (%(id)s, %(rule)s, %(campaign)s)",
                         **key)
            return rules.pop((rule, campaign), None)
        most = self.pick(0, 1, 1, 2) if rule == "velocity" else None
        self.execute(f"{words} {most}", """
            INSERT INTO referral.review_rule (program_id, rule, campaign_id, max_per_hour)
            VALUES (%(id)s, %(rule)s, %(campaign)s, %(most)s)
            ON CONFLICT (program_id, rule, campaign_id) DO UPDATE
            SET (enabled, max_per_hour) = (true, EXCLUDED.max_per_hour)""", most=most, **key)
        rules[rule, campaign] = most

    def held(self, tenant):
        """Users in review, those for whom something waits first of all."""
        found = {u: a for u, a in tenant.model.attributions.items()
                 if tenant.model.status(a, self.now()) == "review_required"}
        return [u for u, a in found.items() if a.waiting and self.chance(80)] or [*found]

    def decide(self, tenant):
        model, held = tenant.model, self.held(tenant)
        if not held and self.chance(70):
            return self.pay_held(tenant)
        user = self.random.choice(held if held and self.chance(75) else [*model.attributions, None])
        number = model.attributions[user].id if user else -1
        self.decide_on(tenant, user, number)
        while self.chance(25):      # again, and the contrary
            self.decide_on(tenant, user, number)

    def decide_on(self, tenant, user, number):
        model, decision = tenant.model, self.weighted({"approved": 75, "rejected": 25})
        actor, reason = self.pick("Ada", "x" * 200), self.pick(None, "", "looks well", "é" * 2000)

        def know():
            model.decide(number, decision, actor, reason, self.now())
            return [(Books(model, self.now()).attribution(user),)]
        verb = "approve" if decision == "approved" else "reject"
        self.both(f"{tenant.id}: {verb} {number} of {user!r}", lambda: self.ask(
            f"SELECT to_jsonb(a) FROM referral.{verb}_attribution(%(number)s, %(actor)s, %(reason)s,"
            " %(id)s) AS a", number=number, actor=actor, reason=reason, id=tenant.id), know)

    def pay_held(self, tenant):
        """Payments that wait for a decision, in another order than they occurred, and refunds."""
        held = self.held(tenant)
        if not held:
            return self.sign_up_often(tenant)
        batch = [(tenant, self.payment(tenant)._replace(user_id=self.random.choice(held)))
                 for _ in range(self.pick(1, 2, 4))]
        if self.chance(50):
            batch.reverse()
        if self.chance(30):         # refunds that are there before, of which one may not fit
            early = self.part_of(batch[0][1], 3)
            late = early._replace(refund_id=self.new_id("r"), amount=early.amount * self.pick(1, 4))
            self.write(insert_values, [(tenant, early), (tenant, late)])
        self.write(insert_values, batch)
        if self.chance(50):         # which may be more than is left beside those
            payment = self.pick(batch[0][1], self.random.choice(batch)[1])
            self.write(insert_values, [(tenant, self.part_of(payment, 3))])

    def part_of(self, payment, parts):
        base = payment.amount if payment.base is None else payment.base
        return Refund(self.new_id("r"), payment.payment_id, max(1, base // self.random.randint(1, parts)),
                      None, payment.occurred_at)

    # --- the outbox ------------------------------------------------------------------

    def keep_events(self, tenant):
        """Turned on, or off when everything has been read."""
        model, worker = tenant.model, tenant.worker
        if model.event_days is not None:
            self.hear_all(tenant)
        self.set_program(tenant, "event_days", self.pick(30, 36500) if model.event_days is None else None)
        worker.since = len(worker.heard)
        worker.tiers = {user: model.tier(member) for user, member in model.members.items()}
        self.seen["events turned on or off"] += 1

    def next_events(self, tenant, most):
        return self.ask("SELECT e.id, e.kind, e.user_id, e.data FROM referral.next_events("
                        "%(after)s, %(most)s, %(id)s) AS e",
                        after=tenant.worker.position, most=most, id=tenant.id)

    def read_events(self, tenant):
        """A worker reads on from where it was; at times what it did is rolled back."""
        self.hear(tenant, self.pick(1, 3, 20, 20, 100), self.chance(25))

    def hear(self, tenant, most, lost=False):
        """How many were heard."""
        worker = tenant.worker
        self.told.append(f"{tenant.id}: next_events {worker.position} {most}{' lost' * lost}")
        if lost:
            self.cursor.execute("SAVEPOINT worker" if self.depth else "BEGIN")
        found = self.next_events(tenant, most)
        if lost:
            self.cursor.execute("ROLLBACK TO worker" if self.depth else "ROLLBACK")
        ids = [row[0] for row in found]
        if len(ids) > most or ids != sorted(set(ids)) or ids and ids[0] <= worker.position:
            raise Mismatch(f"next_events({worker.position}, {most}) gave {ids}")
        if not lost:
            worker.heard += found
            worker.position = max(ids, default=worker.position)
        return len(found)

    def hear_all(self, tenant):
        while self.hear(tenant, 1000):
            pass
        self.check_events(tenant)

    def check_events(self, tenant):
        """What was heard is what happened; of tiers, each where it is now."""
        model, worker = tenant.model, tenant.worker
        expected, found = Counter(model.told), Counter()
        tiers, taken = dict(worker.tiers), Counter()
        for n, (_, kind, user, data) in enumerate(worker.heard):
            if kind == "tier_changed" and n >= worker.since:
                old, new, label = data["old_tier"], data["new_tier"], data["tier_label"]
                if old == new or old != tiers.get(user, old) or label != f"tier {new}":
                    raise Mismatch(f"tier of {user!r}, told was {tiers.get(user)}: {data}")
                tiers[user] = new
            elif kind != "tier_changed":
                found[kind, user, *self.facts(model, user, kind, data)] += 1
            if kind == "reward_reversed":
                taken[data["reward_id"]] += data["amount_micro"]
                if not taken[data["reward_id"]] <= data["reversed_micro"]:
                    raise Mismatch(f"{data}: {taken[data['reward_id']]} were taken")
        if found != expected:
            raise Mismatch(f"program {tenant.id}: happened and was not told {expected - found},"
                           f" told and did not happen {found - expected}")
        for user, member in model.members.items():
            told = tiers.get(user, min(model.tiers, default=0))
            if model.event_days is not None and told != model.tier(member):
                raise Mismatch(f"tier of {user!r} is {model.tier(member)}, told was {told}")

    def facts(self, model, user, kind, data):
        if kind == "reward_created":
            return (data["payment_id"], data["level"], data["payer_user_id"], data["amount_micro"],
                    data["currency"], datetime.fromisoformat(data["available_at"]))
        if kind == "reward_reversed":
            return data["payment_id"], data["reward_id"] % 16, data["amount_micro"], data["currency"]
        if kind == "attribution_decided":
            if data["attribution_id"] != model.attributions[user].id:
                raise Mismatch(f"{kind} {user!r} {data}")
            return data["decision"], data["referrer_user_id"]
        return data["payout_id"], data["status"], data["amount_micro"], data["currency"]

    # --- what operators read -----------------------------------------------------------

    def check_operators(self, tenant):
        """The lists, whole, by pages and by every filter; the funnel and the leaderboard."""
        chance, model = random.Random(self.seed), tenant.model      # as in check_pages
        (now,), = self.ask("SELECT clock_timestamp()")
        books = Books(model, now)
        whole = books.list_attributions()
        self.same("list_attributions()", whole, self.attributions(tenant))
        pages = []
        while page := self.attributions(tenant, rows=4, before=pages[-1]["id"] if pages else None):
            pages += page
        self.same("list_attributions() by pages", whole, pages)
        self.same("list_attributions() by default", whole[:50], self.attributions(tenant, rows=None))
        labels = sorted({row["campaign"] for row in whole if row["campaign"]}) + ["", "?"]
        users = [*model.members, "?"]
        for _ in range(12):
            user, label = chance.choice([None, *chance.sample(users, 1)]), chance.choice([None, *labels])
            statuses = chance.choice([None, [], ["?"], chance.sample(STATUSES, 2)])
            grant = chance.choice([None, None, False, True])
            arguments = {"user": user, "status": statuses, "campaign": label, "grant": grant}
            self.same(f"list_attributions({arguments})", [
                row for row in whole if user in (None, row["user_id"], row["referrer_user_id"])
                and (statuses is None or row["status"] in statuses)
                and label in (None, row["campaign"]) and grant in (None, row["pending_grant"])],
                      self.attributions(tenant, **arguments))
        self.same("attribution_detail()", {row["user_id"]: {
            "attribution": row, **books.attribution_detail(row["user_id"])} for row in whole},
                  dict(self.ask(DETAILS, id=tenant.id)))
        self.check_days(tenant, books, chance, labels)

    def check_days(self, tenant, books, chance, labels):
        days = sorted({tenant.model.day(at) for at in
                       [c.at for c in tenant.model.clicks.values()]
                       + [a.at for a in tenant.model.attributions.values()]} | {date(2024, 1, 1)})
        for n in range(8):
            since, until = (chance.choice([None, *days]) for _ in range(2))
            label = chance.choice([None, *labels])
            if n == 0:
                since = until = label = None
            self.same(f"funnel_stats({since}, {until}, {label!r})",
                      [(books.funnel_stats(since, until, label),)],
                      self.ask("SELECT to_jsonb(f) FROM referral.funnel_stats(%(since)s, %(until)s,"
                               " %(label)s, %(id)s) AS f",
                               since=since, until=until, label=label, id=tenant.id))
            board = books.leaderboard(since, until)
            most = chance.choice([1, 3, 100])
            self.same(f"leaderboard({since}, {until}, {most})", board[:most], [row for row, in self.ask(
                "SELECT to_jsonb(l) FROM referral.leaderboard(%(since)s, %(until)s, %(most)s, %(id)s)"
                " AS l", since=since, until=until, most=most, id=tenant.id)])

    def attributions(self, tenant, **arguments):
        return [row for row, in self.ask(LIST, **{
            "user": None, "status": None, "campaign": None, "grant": None, "rows": 10**7,
            "before": None, "id": tenant.id, **arguments})]

    def same(self, words, expected, found):
        complaint = difference(expected, found, words)
        if complaint:
            raise Mismatch(complaint)

    # --- what happened -----------------------------------------------------------------

    def review_covered(self, tenant):
        model, seen = tenant.model, Counter()
        for attribution in model.attributions.values():
            seen.update(f"held by {rule}" for rule in attribution.held or ())
            seen[f"{attribution.decision} by an operator"] += attribution.decision is not None
            seen["payments that wait for a review"] += len(attribution.waiting)
            seen["came by a click"] += attribution.click is not None
            seen["came by a campaign of its own"] += attribution.utm is not None
        seen["clicks"] = len(model.clicks)
        seen.update(f"event {kind}" for _, kind, _, _ in tenant.worker.heard)
        return seen
