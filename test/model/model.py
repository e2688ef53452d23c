"""The reference model: what the books must say, in integers only.

Written from the contract (sections 1 to 6) and not from the engine: it is the
judge, so it prefers the plainest way to say a rule to the fastest one. A Program
is one tenant: up to its rewards here, what comes after them in money.py, clicks and
reviews in review.py, and books.py says what its reading functions must answer.
Times are aware datetimes (exact to the microsecond), money is micro-units.
"""

import pickle
from collections import Counter, namedtuple
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from money import DAY, MAX, Account, Money, Refund, Refused
from review import Review

UTC = timezone.utc
NEVER = datetime.min.replace(tzinfo=UTC)

Payment = namedtuple("Payment", "payment_id user_id amount base kind occurred_at")
Rate = namedtuple("Rate", "bps flat max_payments")
Reward = namedtuple("Reward", "payment_id payer member level tier bps flat base amount"
                              " available_at earned_on")


@dataclass
class Code:
    text: str
    owner: str
    kind: str = "uid"
    campaign: int = 0
    cap: int = None
    used: int = 0
    disabled: bool = False


@dataclass
class Campaign:
    starts_at: datetime
    ends_at: datetime
    code_cap: int = None
    monthly_cap: int = None
    budget: int = None
    spent: int = 0
    name: str = None


@dataclass
class Member:
    name: str = None
    referrer: str = None
    tier: int = 0               # where the rules start from, or the pinned tier
    pinned: bool = False
    suspended: bool = False
    code: str = None            # the primary code, once told
    slug: str = None
    invited: Counter = field(default_factory=Counter)   # month -> paid invitees
    # By level; level 0 is what he paid himself since he was attributed.
    volume: Counter = field(default_factory=Counter)
    deposits: Counter = field(default_factory=Counter)
    earned: Counter = field(default_factory=Counter)
    payments: int = 0
    volume_on: Counter = field(default_factory=Counter)     # day -> paid below him
    account: Account = field(default_factory=Account)


@dataclass
class Attribution:
    code: str                   # in lower case
    campaign: int
    at: datetime
    qualified_at: datetime = None
    rewarded_at: datetime = None
    capped: bool = False
    earning_payments: int = 0
    id: int = None              # the database's number, once told
    click: str = None
    utm: str = None             # the click's utm_campaign
    first_payment: str = None   # that qualified it
    held: list = None           # the review rules that held it; None = it never was
    decision: str = None        # approved or rejected
    actor: str = None
    reason: str = None
    waiting: list = field(default_factory=list)     # payments, as they arrived


def midnight(day, zone):
    """Local midnight of a day. Where clocks change at midnight it exists twice
    or not at all; PostgreSQL then reads it as the later of two instants."""
    local = datetime.combine(day, time(0))
    return max(local.replace(tzinfo=zone, fold=f).astimezone(UTC) for f in (0, 1))


class Program(Money, Review):
    def __init__(self, currency="USD", hold_days=30, time_zone="UTC", max_level=1,
                 attribution_days=30, qualify_days=None, earning_days=None,
                 referrer_monthly_cap=None, auto_tier=True, active=True,
                 debt_policy="unlimited", payout_min_micro=0, event_days=None, click_days=365,
                 hash_days=90):
        self.config = {k: v for k, v in locals().items() if k != "self"}
        self.tiers = {}         # tier -> (label, min_paid_invitees)
        self.rates = {}         # (campaign, tier, level) -> Rate; 0 = every
        self.campaigns = {}
        self.codes = {}         # lower-cased text -> Code
        self.members = {}
        self.attributions = {}
        self.clicks = {}        # click_id -> Click
        self.salt = 1           # of clicks that come now
        self.rules = {}         # (rule, campaign or 0) -> most per hour, or None
        self.told = []          # to workers, in no order
        self.payments = {}      # payment_id -> Payment, as they arrived
        self.rewards = []       # in processing order
        self.unrewarded = {}    # payment_id -> why an earning payment got nothing

        self.of_payment = {}    # payment_id -> numbers of its rewards
        self.of_member = {}     # user -> numbers of his rewards
        self.reversed = Counter()       # by number of the reward
        self.written_off = Counter()
        self.refunds = {}       # refund_id -> Refund
        self.waiting = {}       # payment_id -> Refunds that wait for it, or do not fit
        self.given_back = Counter()     # by payment_id
        self.effects = {}       # refund_id -> (reversed, written off), once applied
        self.spends, self.payouts, self.batches, self.adjustments = {}, {}, {}, {}
        self.events = []        # all changes of balances
        self.began = self.clock = NEVER     # what the database records for what happens now
        self.arrived, self.touched = [], {}     # by the statement that is being told

    def __getattr__(self, name):
        try:
            return self.__dict__["config"][name]
        except KeyError:
            raise AttributeError(name) from None

    # What a savepoint keeps. Of what only grows, the length will do; the clock is not turned back.
    def save(self):
        apart = "payments rewards events told of_payment of_member began clock".split()
        small = {k: v for k, v in self.__dict__.items() if k not in apart}
        return (pickle.dumps(small), len(self.payments), len(self.rewards), len(self.events),
                len(self.told))

    def restore(self, saved):
        self.__dict__.update(pickle.loads(saved[0]))
        while len(self.payments) > saved[1]:
            self.payments.popitem()
        while len(self.rewards) > saved[2]:
            reward = self.rewards.pop()
            self.of_payment[reward.payment_id].pop()
            self.of_member[reward.member].pop()
        del self.events[saved[3]:]
        del self.told[saved[4]:]

    # --- configuration -----------------------------------------------------

    def configure(self, **changes):
        if "auto_tier" in changes:
            self.keep_tiers()
        self.config.update(changes)

    def set_tiers(self, tiers):
        self.keep_tiers()
        self.tiers = dict(tiers)

    def keep_tiers(self):
        """A tier never goes down by itself: not by new thresholds either."""
        for member in self.members.values():
            member.tier = self.tier(member)

    # --- members, codes, attribution (contract section 2) --------------------

    def enroll(self, user, name=None):
        member = self.members.get(user)
        if member is None:
            member = self.members[user] = Member(tier=min(self.tiers, default=0))
        if name is not None:
            member.name = name
        return member

    def add_code(self, text, owner, kind="uid", campaign=0, cap=None):
        self.codes[text.lower()] = Code(text, owner, kind, campaign, cap)
        if kind == "uid":
            self.members[owner].code = text

    def campaign_code(self, user, campaign):
        """The code issued to him in this campaign, or None while there is none."""
        return next((c for c in self.codes.values()
                     if (c.owner, c.campaign) == (user, campaign)), None)

    def active_campaign(self, now):
        return max((c for c in self.campaigns.items()
                    if c[1].starts_at <= now < c[1].ends_at),
                   key=lambda c: c[1].starts_at, default=(None,))[0]

    def set_slug(self, user, slug):
        slug = slug.strip().lower()
        code = self.codes.setdefault(slug, Code(slug, user, "custom"))
        if (code.owner, code.kind) != (user, "custom"):
            raise Refused("23505")
        self.remove_slug(user)
        code.disabled = False       # what he once had he may take back
        self.members[user].slug = slug

    def remove_slug(self, user):
        member = self.members[user]
        if member.slug is not None:
            self.codes[member.slug].disabled = True
            member.slug = None

    def line(self, user):
        """The user and those above him, nearest first."""
        line = []
        while user is not None:
            line.append(user)
            user = self.members[user].referrer
        return line

    def refusal(self, user, text, at, click=None):
        """The first reason that applies, in the contract's order; None = attributed."""
        code = self.codes.get(text.lower())
        if code is None:
            return "unknown_code"
        if code.owner == user:
            return "self_referral"
        if user in self.attributions:
            return "already_attributed"
        if user in self.line(code.owner):
            return "cycle"
        if code.disabled or self.members[code.owner].suspended:
            return "code_disabled"
        campaign = self.campaigns.get(code.campaign)
        if not self.active or campaign and not campaign.starts_at <= at < campaign.ends_at:
            return "campaign_inactive"
        if click is not None:
            since = self.clicks[click].at if click in self.clicks else None
            if not since or not since <= at < since + self.attribution_days * DAY:
                return "click_expired"
        if code.cap is not None and code.used >= code.cap:
            return "cap_reached"
        return None

    def attribute(self, user, text, at, click=None):
        reason = self.refusal(user, text, at, click)
        if reason != "unknown_code":
            self.enroll(user)
        if reason is None:
            code = self.codes[text.lower()]
            utm = self.clicks[click].utm if click else None
            self.attributions[user] = Attribution(text.lower(), code.campaign, at, click=click,
                                                  utm=utm)
            self.members[user].referrer = code.owner
            self.hold(user)
        return reason

    def expired(self, attribution, at):
        return (attribution.qualified_at is None and self.qualify_days is not None
                and at >= attribution.at + self.qualify_days * DAY)

    def decided(self, attribution):
        """The statuses that no payment changes."""
        if attribution.held and attribution.decision is None:
            return "review_required"
        if attribution.decision == "rejected":
            return "rejected"
        return "capped" if attribution.capped else None

    def status(self, attribution, now):
        if self.decided(attribution):
            return self.decided(attribution)
        if attribution.rewarded_at is not None:
            return "rewarded"
        if attribution.qualified_at is not None:
            return "qualified"
        return "expired" if self.expired(attribution, now) else "attributed"

    def tier(self, member):
        if member.pinned:
            return member.tier
        paid = sum(member.invited.values())
        reached = [t for t, (_, least) in self.tiers.items() if self.auto_tier and least <= paid]
        return max([member.tier, min(self.tiers, default=0), *reached])

    def set_tier(self, user, tier):
        if tier is not None and tier not in self.tiers:
            raise Refused("22023")
        member = self.members[user]
        old = self.tier(member)
        if tier is not None:
            member.tier, member.pinned = tier, True
        elif member.pinned:         # the rules alone decide, and may lower it
            member.tier, member.pinned = 0, False
        return old, self.tier(member)

    # --- what one payment does (contract section 3) --------------------------

    def write(self, rows, now):
        """One statement: its payments or refunds in their order, all of them or none."""
        saved = self.save()
        try:
            for row in rows:
                self.take(row, now)
            self.end_statement(now)
        except Refused:
            self.restore(saved)
            raise

    def take(self, row, now):
        """The statement's end is told apart: what waits for its rows comes after them."""
        if isinstance(row, Refund):
            self.take_refund(row, now)
        else:
            self.take_payment(row, now)

    def take_payment(self, payment, now):
        base = payment.amount if payment.base is None else payment.base
        if payment.amount < 0 or base < 0:
            raise Refused("22003")
        if payment.occurred_at > now + DAY:
            raise Refused("22008")
        if payment.payment_id in self.payments:
            raise Refused("23505")
        self.payments[payment.payment_id] = payment
        attribution = self.attributions.get(payment.user_id)
        if attribution is not None and self.decided(attribution) == "review_required":
            attribution.waiting.append(payment.payment_id)
        else:
            self.arrived.append(payment.payment_id)
            self.process(payment)

    def process(self, payment):
        base = self.base(payment.payment_id)
        attribution = self.attributions.get(payment.user_id)
        if attribution is None or self.decided(attribution):
            return
        if self.expired(attribution, payment.occurred_at):
            return
        line = self.line(payment.user_id)[:self.max_level + 1]
        if self.earns(payment, base, attribution):
            if attribution.qualified_at is None and self.used_up(attribution, payment):
                attribution.capped = True
                self.tell_decision(payment.user_id, "capped")
                return
            rewards = self.rewards_of(payment, base, attribution, line)
            if attribution.qualified_at is None:
                self.qualify(attribution, payment)
            attribution.earning_payments += 1
            self.grant(rewards, attribution, payment)
        self.count(payment, line)

    def earns(self, payment, base, attribution):
        return (self.active and base > 0 and payment.kind != "deposit"
                and attribution.at <= payment.occurred_at
                and (self.earning_days is None
                     or payment.occurred_at < attribution.at + self.earning_days * DAY))

    def month(self, at):
        local = at.astimezone(ZoneInfo(self.time_zone))
        return local.year, local.month

    def used_up(self, attribution, payment):
        code = self.codes[attribution.code]
        if code.cap is not None and code.used >= code.cap:
            return True
        campaign = self.campaigns.get(attribution.campaign)
        cap = self.referrer_monthly_cap
        if campaign and campaign.monthly_cap is not None:
            cap = campaign.monthly_cap
        invited = self.members[code.owner].invited
        if cap is not None and invited[self.month(payment.occurred_at)] >= cap:
            return True
        return bool(campaign) and campaign.budget is not None and campaign.spent >= campaign.budget

    def qualify(self, attribution, payment):
        attribution.qualified_at = payment.occurred_at
        attribution.first_payment = payment.payment_id
        code = self.codes[attribution.code]
        code.used += 1
        self.members[code.owner].invited[self.month(payment.occurred_at)] += 1

    def rate(self, campaign, tier, level):
        """The most specific is chosen first and alone."""
        for key in (campaign, tier), (campaign, 0), (0, tier), (0, 0):
            if (*key, level) in self.rates:
                return self.rates[*key, level]
        return None

    def rewards_of(self, payment, base, attribution, line):
        """At the tiers before this payment; the referrer's rises by it only later."""
        rewards = []
        for level, user in enumerate(line):
            member = self.members[user]
            tier = self.tier(member)
            rate = self.rate(attribution.campaign, tier, level)
            if member.suspended or rate is None:
                continue
            if rate.max_payments is not None and attribution.earning_payments >= rate.max_payments:
                continue
            amount = base * rate.bps // 10000 + rate.flat
            if amount > MAX:
                raise Refused("22003")
            if amount > 0:
                rewards.append(Reward(payment.payment_id, payment.user_id, user, level, tier,
                                      rate.bps, rate.flat, base, amount,
                                      self.available_at(payment.occurred_at),
                                      self.day(payment.occurred_at)))
        return rewards

    def grant(self, rewards, attribution, payment):
        campaign = self.campaigns.get(attribution.campaign)
        total = sum(reward.amount for reward in rewards)
        if campaign and campaign.budget is not None and campaign.spent + total > campaign.budget:
            self.unrewarded[payment.payment_id] = "budget_used_up"
            return
        if campaign:
            campaign.spent += total
        for reward in rewards:
            self.add(self.members[reward.member].earned, reward.level, reward.amount)
            self.of_payment.setdefault(payment.payment_id, []).append(len(self.rewards))
            self.of_member.setdefault(reward.member, []).append(len(self.rewards))
            self.rewards.append(reward)
            self.log(reward.member, "earned", reward.amount, reward.available_at)
            self.tell("reward_created", reward.member, reward.payment_id, reward.level, reward.payer,
                      reward.amount, self.currency, reward.available_at)
        if rewards and attribution.rewarded_at is None:
            attribution.rewarded_at = payment.occurred_at

    def count(self, payment, line):
        deposit = payment.kind == "deposit"
        for level, user in enumerate(line):
            member = self.members[user]
            self.add(member.deposits if deposit else member.volume, level, payment.amount)
            if level and not deposit:
                member.volume_on[self.day(payment.occurred_at)] += payment.amount
        self.members[payment.user_id].payments += not deposit

    def add(self, sums, level, amount):
        sums[level] += amount
        if sums[level] > MAX:
            raise Refused("22003")

    def day(self, at):
        return at.astimezone(ZoneInfo(self.time_zone)).date()

    def available_at(self, occurred_at):
        if self.hold_days == 0:
            return occurred_at
        local = occurred_at.astimezone(ZoneInfo(self.time_zone))
        up = 0 if local.time() == time(0) else 1
        day = local.date() + timedelta(days=self.hold_days + up)
        return midnight(day, ZoneInfo(self.time_zone))
