"""The reference model, third part: clicks, attributions that are held, and what workers are told.

Written from the contract's sections 2, 3 and 6. Hashes are of no interest here: a click
is known by the address itself, and by which salt it was hashed with.
"""

import unicodedata
from collections import namedtuple
from datetime import timedelta

from money import Refused

HOUR = timedelta(hours=1)
PATH, LABEL = 500, 100          # limits of texts, in characters
HIDDEN = {"\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
          "\u202e", "\u2060", "\u2066", "\u2067", "\u2068", "\u2069", "\u2028", "\u2029", "\ufeff"}

Click = namedtuple("Click", "code at path source medium utm ip agent salt")


def clean(text, limit):
    """What is kept of a text that anybody may send."""
    kept = (c for c in text or "" if unicodedata.category(c) != "Cc" and c not in HIDDEN)
    return "".join(kept).strip(" ")[:limit] or None


class Review:
    """The part of Program that knows of clicks, reviews and events."""

    # --- clicks (contract section 2) -----------------------------------------

    def capture(self, code, click_id, at, path, source, medium, utm, ip, agent):
        if code.lower() not in self.codes:
            raise Refused("22023")
        if click_id not in self.clicks:     # the first one with an id wins
            path = (path or "").split("?")[0].split("#")[0]
            self.clicks[click_id] = Click(
                code.lower(), at, clean(path, PATH), clean(source, LABEL), clean(medium, LABEL),
                clean(utm, LABEL), (ip or "").strip(" ").lower() or None, agent or None, self.salt)
        return click_id

    def label(self, utm, campaign):
        """What lists and the funnel know a click or an attribution by."""
        return utm or (self.campaigns[campaign].name if campaign else None)

    # --- review ----------------------------------------------------------------

    def held_by(self, user):
        """The rules that hold an attribution that has just been made."""
        attribution, referrer = self.attributions[user], self.members[user].referrer
        above = self.attributions.get(referrer)
        click, his = self.clicks.get(attribution.click), self.clicks.get(above and above.click)
        beside = [a.at for u, a in self.attributions.items() if self.members[u].referrer == referrer]
        # The busiest of the hours that it is part of; they may come in any order.
        busiest = max(sum(end - HOUR < at <= end for at in beside) for end in beside
                      if attribution.at <= end < attribution.at + HOUR)
        rules = []
        if ("campaign", attribution.campaign) in self.rules:
            rules.append("campaign")
        if ("same_ip", 0) in self.rules and click and his and click.ip \
                and (click.ip, click.salt) == (his.ip, his.salt):
            rules.append("same_ip")
        if ("velocity", 0) in self.rules and busiest > self.rules["velocity", 0]:
            rules.append("velocity")
        return rules

    def hold(self, user):
        attribution = self.attributions[user]
        attribution.held = self.held_by(user) or None
        if attribution.held:
            self.tell_decision(user, "review_required")

    def occurred_at(self, payment_id):
        return self.payments[payment_id].occurred_at

    def in_review(self, payment_id):
        """Does the payment wait for the decision on its payer?"""
        payment = self.payments.get(payment_id)
        attribution = payment and self.attributions.get(payment.user_id)
        return bool(attribution) and payment_id in attribution.waiting

    def decide(self, attribution_id, decision, actor, reason, now):
        """The decision that was made, be it this one or an earlier one."""
        user = next((u for u, a in self.attributions.items() if a.id == attribution_id), None)
        if user is None:
            raise Refused("RF010")
        attribution = self.attributions[user]
        if attribution.held is None:
            raise Refused("RF012")
        if attribution.decision is not None:
            return attribution
        saved = self.save()
        attribution.decision, attribution.actor, attribution.reason = decision, actor, reason
        self.tell_decision(user, decision)
        waiting = sorted(attribution.waiting, key=self.occurred_at)
        attribution.waiting = []
        try:
            for payment_id in waiting:
                self.process(self.payments[payment_id])
            self.arrived = waiting
            self.end_statement(now)
        except Refused:
            self.restore(saved)
            raise
        return attribution

    # --- the outbox --------------------------------------------------------------

    def tell(self, kind, user, *facts):
        if self.event_days is not None:
            self.told.append((kind, user, *facts))

    def tell_decision(self, user, decision):
        self.tell("attribution_decided", user, decision, self.members[user].referrer)
