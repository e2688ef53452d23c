"""What the reading functions must answer, derived from the model (contract section 6).

Lists whose order the contract leaves open come sorted by user_id.
"""

from collections import Counter


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
