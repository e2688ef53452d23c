"""What the reading functions must answer, derived from the model (contract section 6).

Lists whose order the contract leaves open come sorted by user_id.
"""

from collections import Counter

from money import DAY


class Books:
    """The answers about one program at one instant."""

    def __init__(self, program, now=None):
        self.program, self.now = program, now
        self.payouts = {user: [] for user in program.members}
        for payout in program.payouts.values():
            self.payouts[payout.user].insert(0, payout)
        self.below = {user: [] for user in program.members}     # (level, user)
        for user in program.members:
            for level, above in enumerate(program.line(user)):
                if 1 <= level <= program.max_level:
                    self.below[above].append((level, user))

    def rewards(self, user):
        """(number, reward), in processing order"""
        return [(n, self.program.rewards[n]) for n in self.program.of_member.get(user, ())]

    def rate_bps(self, member, level):
        rate = self.program.rate(0, self.program.tier(member), level)
        return rate.bps if rate else 0

    def overview(self, user):
        program, member = self.program, self.program.members[user]
        tier = program.tier(member)
        inviter = program.members.get(member.referrer)
        return {"primary_code": member.code, "custom_slug": member.slug, "tier": tier,
                "tier_label": program.tiers.get(tier, (None,))[0],
                "rate_bps": self.rate_bps(member, 1),
                "paid_invitees": sum(member.invited.values()),
                "balance": {"pending_micro": program.pending(user, self.now),
                            "available_micro": program.available(user, self.now),
                            "lifetime_micro": program.lifetime(user)},
                "inviter_display": inviter and inviter.name}

    def list_rewards(self, user):
        program, statuses = self.program, self.program.statuses(user, self.now)
        return [{"status": statuses[n],
                 "level": r.level, "tier": r.tier, "rate_bps": r.bps, "base_micro": r.base,
                 "amount_micro": r.amount, "reversed_micro": program.reversed[n],
                 "written_off_micro": program.written_off[n],
                 "currency": program.currency, "invitee_user_id": r.payer,
                 "invitee_display": program.members[r.payer].name,
                 "payment_id": r.payment_id, "available_at": r.available_at}
                for n, r in reversed(self.rewards(user))]

    def list_downline(self, user):
        rows = []
        for level, below in self.below[user]:
            member = self.program.members[below]
            rows.append({"user_id": below, "display_name": member.name,
                         "signed_at": self.program.attributions[below].at,
                         "total_paid_micro": member.volume[0], "level": level,
                         "payments": member.payments, "volume_micro": member.volume[0]})
        return sorted(rows, key=lambda row: row["user_id"])

    def list_invitees(self, user):
        direct = [u for u, m in self.program.members.items() if m.referrer == user]
        return [{"user_id": u, "display_name": self.program.members[u].name,
                 "signed_at": self.program.attributions[u].at,
                 "total_paid_micro": self.program.members[u].volume[0]} for u in sorted(direct)]

    def level_stats(self, user):
        member = self.program.members[user]
        members = Counter(level for level, _ in self.below[user])
        net = Counter()
        for n, r in self.rewards(user):
            net[r.level] += self.program.net(n)
        return [{"level": level, "members": members[level],
                 "volume_micro": member.volume[level], "deposits_micro": member.deposits[level],
                 "earnings_micro": net[level], "rate_bps": self.rate_bps(member, level)}
                for level in range(1, self.program.max_level + 1)]

    def earnings_by_day(self, user):
        days = {}
        for n, r in self.rewards(user):
            earned, reversed_, payments = days.get(r.earned_on, (0, 0, 0))
            days[r.earned_on] = (earned + r.amount, reversed_ + self.program.reversed[n],
                                 payments + 1)
        return [{"day": day, "earned_micro": earned, "reversed_micro": reversed_,
                 "payments": payments}
                for day, (earned, reversed_, payments) in sorted(days.items())]

    def list_payouts(self, user):
        """The last one first."""
        return [{"id": p.payout_id, "amount_micro": p.amount, "network": p.network,
                 "address": p.address, "status": p.status, "reference": p.reference,
                 "note": p.note}
                for p in self.payouts[user]]

    # --- operators -----------------------------------------------------------------

    def attribution(self, user):
        program, a = self.program, self.program.attributions[user]
        referrer = program.members[user].referrer
        days = program.qualify_days
        rewards = [program.rewards[n].amount for n in program.of_payment.get(a.first_payment, ())]
        return {"id": a.id, "status": program.status(a, self.now), "code": program.codes[a.code].text,
                "campaign": program.label(a.utm, a.campaign), "user_id": user,
                "display_name": program.members[user].name, "referrer_user_id": referrer,
                "referrer_display": program.members[referrer].name, "attributed_at": a.at,
                "expires_at": None if days is None else a.at + days * DAY,
                "qualified_at": a.qualified_at, "rewarded_at": a.rewarded_at, "granted_at": None,
                "pending_grant": False, "payment_id": a.first_payment if rewards else None,
                "reward_micro": sum(rewards) if a.first_payment else None, "click_id": a.click}

    def list_attributions(self):
        """The last one first."""
        return sorted(map(self.attribution, self.program.attributions),
                      key=lambda row: -row["id"])

    def attribution_detail(self, user):
        """What it says beside the above."""
        program, a = self.program, self.program.attributions[user]
        click = program.clicks.get(a.click)
        member = program.members[user]
        return {"campaign_id": a.campaign, "landing_path": click and click.path,
                "utm_source": click and click.source, "utm_medium": click and click.medium,
                "utm_campaign": a.utm, "clicked_at": click and click.at, "held_by": a.held,
                "decision": a.decision, "decided_by": a.actor, "decision_reason": a.reason,
                "waiting_payments": len(a.waiting), "payments": member.payments,
                "paid_micro": member.volume[0]}

    def funnel_stats(self, since, until, campaign):
        """Counted, row by row."""
        def chosen(at, utm, of):
            day = self.program.day(at)
            return ((since is None or since <= day) and (until is None or day < until)
                    and campaign in (None, self.program.label(utm, of)))
        clicks = [c for c in self.program.clicks.values()
                  if chosen(c.at, c.utm, self.program.codes[c.code].campaign)]
        found = [a for a in self.program.attributions.values() if chosen(a.at, a.utm, a.campaign)]
        statuses = Counter(self.program.status(a, self.now) for a in found)
        return {"clicks": len(clicks), "attributed": len(found),
                "qualified": statuses["qualified"] + statuses["rewarded"],
                **{s: statuses[s] for s in ("rewarded", "capped", "review_required", "rejected")}}

    def leaderboard(self, since, until):
        program, board = self.program, []

        def chosen(day):
            return (since is None or since <= day) and (until is None or day < until)
        for user, member in program.members.items():
            rewards = [n for n, r in self.rewards(user) if r.level and chosen(r.earned_on)]
            earned = sum(map(program.net, rewards))
            if earned > 0 and not member.suspended:
                volume = sum(v for day, v in member.volume_on.items() if chosen(day))
                board.append({"user_id": user, "display_name": member.name, "earned_micro": earned,
                              "rewards": len(rewards), "volume_micro": volume})
        board.sort(key=lambda row: (-row["earned_micro"], row["user_id"]))
        for n, row in enumerate(board):
            above = board[n - 1] if n else {"earned_micro": None}
            equal = row["earned_micro"] == above["earned_micro"]
            row["rank"] = above["rank"] if equal else n + 1
        return board

    def statement(self, user):
        """What was recorded up to now, added up."""
        sums, pending = Counter(), 0
        for event in self.program.events:
            if event.user == user and event.at <= self.now:
                sums[event.what] += event.amount
                if event.available_at and event.available_at > self.now:
                    pending += event.amount if event.what == "earned" else -event.amount
        lifetime = sums["earned"] - sums["reversed"] + sums["adjusted"]
        gone = sums["spent"] + sums["paid_out"] + sums["reserved"]
        whats = "earned reversed written_off adjusted spent paid_out reserved"
        return {"currency": self.program.currency, "pending_micro": pending,
                "available_micro": lifetime - pending - gone, "lifetime_micro": lifetime,
                **{f"{what}_micro": sums[what] for what in whats.split()}}
