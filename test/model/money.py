"""The reference model, second part: refunds, and what members do with their balance.

Written from the contract's sections 4 and 5. A reward is known here by its
number in Program.rewards, which is the order of processing.
"""

import copy
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import timedelta

MAX = 2**63 - 1
DAY = timedelta(days=1)         # n days of a window are n x 24 hours (contract, Words)

Refund = namedtuple("Refund", "refund_id payment_id amount reason occurred_at")
Spend = namedtuple("Spend", "spend_id user amount note undone")
Adjustment = namedtuple("Adjustment", "adjustment_id user amount note actor")
# What changed in a member's balance, at the instant that the database recorded for it.
# what: earned, reversed, written_off, adjusted, spent, paid_out or reserved.
Event = namedtuple("Event", "at user what amount available_at")


class Refused(Exception):
    """An error with its SQLSTATE: the whole statement leaves no trace."""


@dataclass
class Settlement:
    """What a spend or sent payout used up of a reward; reward None = covered by no reward."""
    reward: int
    amount: int
    kind: str                   # spent or paid_out
    settler: str                # spend_id or payout_id


@dataclass
class Account:
    spent: int = 0
    paid_out: int = 0
    reserved: int = 0           # by open payouts
    adjusted: int = 0
    settlements: list = field(default_factory=list)     # in the order they were made
    destination: tuple = (None, None)                   # network, address


@dataclass
class Payout:
    payout_id: str
    user: str
    amount: int
    network: str
    address: str
    asked: tuple                # the request's arguments; None = made by a batch
    batch: str = None
    status: str = "requested"
    reference: str = None
    note: str = None

    def row(self):
        return (self.payout_id, self.amount, self.network, self.address, self.status,
                self.reference, self.note, self.user, self.batch)


class Money:
    """The part of Program that knows of money after the reward."""

    def log(self, user, what, amount, available_at=None):
        """What the engine writes bears the instant at which its transaction began; what waits
        for the account's row bears that at which it got it."""
        at = self.began if what in ("earned", "reversed", "written_off") else self.clock
        if amount:
            self.events.append(Event(at, user, what, amount, available_at))

    # --- refunds (contract section 4) ------------------------------------------

    def take_refund(self, refund, now):
        if refund.amount <= 0:
            raise Refused("22003")
        if refund.occurred_at > now + DAY:
            raise Refused("22008")
        if refund.refund_id in self.refunds:
            raise Refused("23505")
        arrived = refund.payment_id in self.payments
        if arrived and not self.fits(refund):
            raise Refused("22003")
        self.refunds[refund.refund_id] = refund
        if arrived and not self.in_review(refund.payment_id):
            self.apply(refund, now)
        else:
            self.waiting.setdefault(refund.payment_id, []).append(refund)

    def base(self, payment_id):
        payment = self.payments[payment_id]
        return payment.amount if payment.base is None else payment.base

    def left(self, payment_id):
        """What can still be given back. While the payment waits for a review, what waits with
        it and will fit counts as given back."""
        left = self.base(payment_id) - self.given_back[payment_id]
        for refund in self.waiting.get(payment_id, ()) if self.in_review(payment_id) else ():
            left -= refund.amount if refund.amount <= left else 0
        return left

    def fits(self, refund):
        return refund.amount <= self.left(refund.payment_id)

    def end_statement(self, now):
        """After all of a statement's payments, the refunds that waited for them; after all of
        its refunds, what is owed by the members whose settlements they touched."""
        for payment_id in self.arrived:
            for refund in self.waiting.pop(payment_id, ()):
                if self.fits(refund):
                    self.apply(refund, now)
                else:
                    self.waiting.setdefault(payment_id, []).append(refund)
        for user in self.touched:
            self.settle_owed(user, now)
        self.arrived, self.touched = [], {}

    def apply(self, refund, now):
        base, before = self.base(refund.payment_id), self.given_back[refund.payment_id]
        after = self.given_back[refund.payment_id] = before + refund.amount
        reversed_here, let_go_here = 0, 0
        for n in self.of_payment.get(refund.payment_id, ()):    # in the order of levels
            reward = self.rewards[n]
            increase = reward.amount * after // base - reward.amount * before // base
            taken = self.policy(reward, increase, now)
            self.reversed[n] += taken
            self.written_off[n] += increase - taken
            self.log(reward.member, "reversed", taken, reward.available_at)
            if taken:
                self.tell("reward_reversed", reward.member, reward.payment_id, reward.level, taken,
                          self.currency)
            self.log(reward.member, "written_off", increase - taken)
            self.release(reward.member, n)
            reversed_here += taken
            let_go_here += increase - taken
        self.effects[refund.refund_id] = reversed_here, let_go_here

    def policy(self, reward, increase, now):
        """How much of the increase is reversed; the rest is written off for good."""
        if self.debt_policy == "only_pending":
            return 0 if reward.available_at <= now else increase
        if self.debt_policy == "within_balance":
            account = self.members[reward.member].account
            has = self.lifetime(reward.member) - account.spent - account.paid_out - account.reserved
            return min(increase, max(0, has))
        return increase

    def net(self, n):
        return self.rewards[n].amount - self.reversed[n]

    def refund_answer(self, refund_id):
        """What record_refund() answers about it: state, reversed, written off."""
        if refund_id in self.effects:
            return "applied", *self.effects[refund_id]
        return "waiting", 0, 0

    def do_not_fit(self):
        """The refunds that wait although their payment is there."""
        return sorted(r.refund_id for payment_id, refunds in self.waiting.items()
                      if payment_id in self.payments and not self.in_review(payment_id)
                      for r in refunds)

    # --- balances (contract section 5) -------------------------------------------

    def lifetime(self, user):
        return sum(map(self.net, self.of_member.get(user, ()))) + self.members[user].account.adjusted

    def pending(self, user, now):
        return sum(self.net(n) for n in self.of_member.get(user, ())
                   if self.rewards[n].available_at > now)

    def available(self, user, now):
        account = self.members[user].account
        return (self.lifetime(user) - self.pending(user, now)
                - account.spent - account.paid_out - account.reserved)

    # --- which reward was used up by what ----------------------------------------

    def lay(self, user, amount, kind, settler, now):
        """Uses up available rewards, the oldest first; returns what none of them covers."""
        settlements = self.members[user].account.settlements
        left = {n: self.net(n) for n in self.of_member.get(user, ())
                if self.rewards[n].available_at <= now}
        for settlement in settlements:
            if settlement.reward is not None:
                left[settlement.reward] -= settlement.amount
        for n in sorted(left, key=lambda n: (self.rewards[n].available_at, n)):
            part = min(amount, left[n])
            if part > 0:
                settlements.append(Settlement(n, part, kind, settler))
                amount -= part
        return amount

    def owed(self, user):
        """What no reward covers, and no adjustment either."""
        account = self.members[user].account
        uncovered = sum(s.amount for s in account.settlements if s.reward is None)
        return max(0, uncovered - max(0, account.adjusted))

    def settle_owed(self, user, now):
        """The next available rewards cover what is owed, in the order in which it arose."""
        account, owed = self.members[user].account, self.owed(user)
        for settlement in [s for s in account.settlements if s.reward is None]:
            part = min(owed, settlement.amount)
            if part > 0:
                laid = part - self.lay(user, part, settlement.kind, settlement.settler, now)
                settlement.amount -= laid
                owed -= part
        account.settlements = [s for s in account.settlements if s.amount]

    def settle(self, user, kind, settler, amount, now):
        self.settle_owed(user, now)
        rest = self.lay(user, amount, kind, settler, now)
        if rest:
            self.members[user].account.settlements.append(Settlement(None, rest, kind, settler))

    def release(self, user, n):
        """What a reward covers beyond what a refund left of it, the last part first, is owed."""
        account = self.members[user].account
        mine = [s for s in account.settlements if s.reward == n]
        excess = sum(s.amount for s in mine) - self.net(n)
        for settlement in reversed(mine):
            part = min(excess, settlement.amount)
            if part > 0:
                settlement.amount -= part
                excess -= part
                account.settlements.append(
                    Settlement(None, part, settlement.kind, settlement.settler))
                self.touched[user] = True
        account.settlements = [s for s in account.settlements if s.amount]

    def statuses(self, user, now):
        """{reward: status} as a reader sees them: what is owed shows as if it were settled."""
        account = self.members[user].account
        kept = copy.deepcopy(account.settlements)
        self.settle_owed(user, now)
        settled, kind = {}, {}
        for s in account.settlements:
            settled[s.reward] = settled.get(s.reward, 0) + s.amount
            kind[s.reward] = s.kind         # of its last part
        account.settlements = kept

        def status(n):
            if self.reversed[n] == self.rewards[n].amount:
                return "reversed"
            if settled.get(n, 0) >= self.net(n):
                return kind[n]
            return "pending" if self.rewards[n].available_at > now else "available"
        return {n: status(n) for n in self.of_member.get(user, ())}

    # --- spends ------------------------------------------------------------------

    def known(self, user):
        if user not in self.members:
            raise Refused("RF003")
        return self.members[user]

    def active_member(self, user):
        if self.members[user].suspended:
            raise Refused("RF006")

    def spend(self, user, amount, spend_id, note, now):
        account = self.known(user).account
        body = Spend(spend_id, user, amount, note, False)
        if spend_id in self.spends:
            if self.spends[spend_id]._replace(undone=False) != body:
                raise Refused("RF001")
            return self.spends[spend_id]
        self.active_member(user)
        if amount <= 0:
            raise Refused("22003")
        if amount > self.available(user, now):
            raise Refused("RF007")
        self.spends[spend_id] = body
        account.spent += amount
        self.log(user, "spent", amount)
        self.settle(user, "spent", spend_id, amount, now)
        return body

    def unspend(self, spend_id, now):
        if spend_id not in self.spends:
            raise Refused("RF010")
        spend = self.spends[spend_id]
        if not spend.undone:
            account = self.members[spend.user].account
            account.spent -= spend.amount
            self.log(spend.user, "spent", -spend.amount)
            account.settlements = [s for s in account.settlements
                                   if (s.kind, s.settler) != ("spent", spend_id)]
            self.settle_owed(spend.user, now)
            self.spends[spend_id] = spend._replace(undone=True)
        return self.spends[spend_id]

    # --- payouts -----------------------------------------------------------------

    def set_destination(self, user, network, address):
        account = self.known(user).account
        if (network is None) != (address is None):
            raise Refused("22023")
        account.destination = network, address
        return user, network, address

    def request_payout(self, user, payout_id, amount, network, address, now):
        account = self.known(user).account
        asked = user, amount, network, address
        if payout_id in self.payouts:
            if self.payouts[payout_id].asked != asked:
                raise Refused("RF001")
            return self.payouts[payout_id].row()
        self.active_member(user)
        if (network is None) != (address is None):
            raise Refused("22023")
        available = self.available(user, now)
        if amount is None:
            amount = available
            if amount <= 0:
                raise Refused("RF007")
        if amount <= 0:
            raise Refused("22003")
        if amount < self.payout_min_micro:
            raise Refused("RF008")
        if amount > available:
            raise Refused("RF007")
        if network is None:
            network, address = account.destination
        return self.reserve(Payout(payout_id, user, amount, network, address, asked))

    def reserve(self, payout):
        self.payouts[payout.payout_id] = payout
        self.members[payout.user].account.reserved += payout.amount
        self.log(payout.user, "reserved", payout.amount)
        self.tell_payout(payout)
        return payout.row()

    def tell_payout(self, payout):
        self.tell("payout_moved", payout.user, payout.payout_id, payout.status, payout.amount,
                  self.currency)

    def due(self, min_micro, now):
        """{user: amount} that payout_batch() requests."""
        least = max(1, min_micro or 0, self.payout_min_micro)
        found = {user: self.available(user, now)
                 for user, member in self.members.items() if not member.suspended}
        return {user: amount for user, amount in found.items() if amount >= least}

    def payout_batch(self, batch_id, min_micro, ids, now):
        """ids: {user: payout_id} as the database chose them, of the members due."""
        if batch_id in self.batches:
            if self.batches[batch_id] != min_micro:
                raise Refused("RF001")
        else:
            self.batches[batch_id] = min_micro
            for user, amount in self.due(min_micro, now).items():
                self.reserve(Payout(ids[user], user, amount,
                                    *self.members[user].account.destination, None, batch_id))
        return sorted(p.row() for p in self.payouts.values() if p.batch == batch_id)

    def payout_to(self, payout_id, status, now, reference=None, note=None):
        """requested -> processing -> sent | failed | cancelled, or there at once."""
        if payout_id not in self.payouts:
            raise Refused("RF010")
        payout = self.payouts[payout_id]
        if payout.status not in ("requested", "processing"):
            if (payout.status, payout.reference, payout.note) != (status, reference, note):
                raise Refused("RF009")
        elif status == "processing":
            if payout.status != status:
                payout.status = status
                self.tell_payout(payout)
        else:
            payout.status, payout.reference, payout.note = status, reference, note
            self.tell_payout(payout)
            account = self.members[payout.user].account
            account.reserved -= payout.amount
            self.log(payout.user, "reserved", -payout.amount)
            if status == "sent":
                account.paid_out += payout.amount
                self.log(payout.user, "paid_out", payout.amount)
                self.settle(payout.user, "paid_out", payout_id, payout.amount, now)
        return payout.row()

    # --- adjustments ---------------------------------------------------------------

    def adjust(self, user, adjustment_id, amount, note, actor, now):
        account = self.known(user).account
        body = Adjustment(adjustment_id, user, amount, note, actor)
        if adjustment_id in self.adjustments:
            if self.adjustments[adjustment_id] != body:
                raise Refused("RF001")
            return body
        if amount == 0:
            raise Refused("22023")
        self.adjustments[adjustment_id] = body
        account.adjusted += amount
        self.log(user, "adjusted", amount)
        self.settle_owed(user, now)
        return body
