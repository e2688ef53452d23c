"""The database's books beside the model's, and the first place where they differ."""

from collections import Counter
from datetime import date, datetime
from itertools import islice, zip_longest

from books import Books

MEMBERS = """
SELECT statement_timestamp(), m.user_id, jsonb_build_object(
    'overview', (SELECT to_jsonb(o) FROM referral.referral_overview(m.user_id, program_id => %(id)s) AS o),
    'list_rewards', (SELECT jsonb_agg(to_jsonb(r) - ARRAY['id', 'created_at', 'n'] ORDER BY n)
        FROM referral.list_rewards(m.user_id, max_rows => 10000000, program_id => %(id)s)
             WITH ORDINALITY AS r (id, status, level, tier, rate_bps, base_micro, amount_micro,
                 reversed_micro, written_off_micro, currency, invitee_user_id, invitee_display,
                 payment_id, created_at, available_at, n)),
    'list_invitees', (SELECT jsonb_agg(to_jsonb(i) ORDER BY user_id COLLATE "C")
        FROM referral.list_invitees(m.user_id, max_rows => 10000000, program_id => %(id)s) AS i),
    'list_downline', (SELECT jsonb_agg(to_jsonb(d) ORDER BY user_id COLLATE "C")
        FROM referral.list_downline(m.user_id, max_rows => 10000000, program_id => %(id)s) AS d),
    'level_stats', (SELECT jsonb_agg(to_jsonb(l) ORDER BY level)
        FROM referral.level_stats(m.user_id, program_id => %(id)s) AS l),
    'earnings_by_day', (SELECT jsonb_agg(to_jsonb(e) ORDER BY day)
        FROM referral.earnings_by_day(m.user_id, '1900-01-01', '2200-01-01',
                                      program_id => %(id)s) AS e),
    'list_payouts', (SELECT jsonb_agg(to_jsonb(p) - ARRAY['requested_at', 'completed_at', 'user_id',
                                                          'batch_id', 'n'] ORDER BY n)
        FROM referral.list_payouts(m.user_id, max_rows => 10000000, program_id => %(id)s)
             WITH ORDINALITY AS p (id, amount_micro, network, address, status, reference, note,
                 requested_at, completed_at, user_id, batch_id, n)))
FROM referral.member AS m WHERE m.program_id = %(id)s AND m.user_id = ANY(%(users)s)
"""

REWARDS = """
SELECT r.payment_id, p.user_id, b.user_id, r.level, r.tier, r.rate_bps, r.flat_micro,
       r.base_micro, r.amount_micro, r.available_at
FROM referral.reward AS r
     JOIN referral.member AS p ON (p.program_id, p.member_id) = (r.program_id, r.payer_id)
     JOIN referral.member AS b ON (b.program_id, b.member_id) = (r.program_id, r.member_id)
WHERE r.program_id = %(id)s ORDER BY r.reward_id
"""

ATTRIBUTIONS = """
SELECT a.user_id, r.user_id, lower(c.code), a.campaign_id, a.attributed_at,
       a.qualified_at, a.rewarded_at, a.decision, a.click_id, a.utm_campaign
FROM referral.attribution AS a
     JOIN referral.member AS m ON (m.program_id, m.member_id) = (a.program_id, a.member_id)
     JOIN referral.member AS r ON (r.program_id, r.member_id) = (a.program_id, m.referrer_id)
     JOIN referral.code AS c ON (c.program_id, c.code_id) = (a.program_id, a.code_id)
WHERE a.program_id = %(id)s AND a.referrer_id = m.referrer_id AND m.user_id = a.user_id
"""

CODES = """
SELECT lower(c.code), c.user_id, c.kind, c.campaign_id, c.cap, c.disabled_at IS NOT NULL,
       c.used + coalesce((SELECT sum(u.used)::bigint FROM referral.code_use AS u
                          WHERE (u.program_id, u.code_id) = (c.program_id, c.code_id)), 0)
FROM referral.code AS c WHERE c.program_id = %(id)s
"""

PAYMENTS = """
SELECT payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM referral.payment
WHERE program_id = %(id)s AND taken_in
"""

REFUNDS = """
SELECT r.refund_id, r.payment_id, r.amount_micro, r.reason, r.occurred_at,
       CASE WHEN EXISTS (SELECT FROM referral.refund_waiting AS w
                         WHERE (w.program_id, w.payment_id, w.refund_no)
                             = (r.program_id, r.payment_id, r.refund_no))
            THEN 'waiting' ELSE 'applied' END
FROM referral.refund AS r WHERE r.program_id = %(id)s AND r.taken_in
"""

ACCOUNTS = """
SELECT m.user_id, a.spent_micro, a.paid_out_micro, a.reserved_micro, a.adjusted_micro,
       d.network, d.address
FROM referral.account AS a JOIN referral.member AS m USING (program_id, member_id)
     LEFT JOIN referral.payout_destination AS d USING (program_id, member_id)
WHERE a.program_id = %(id)s
"""

CLICKS = """
SELECT k.click_id, lower(c.code), k.clicked_at, k.landing_path, k.utm_source, k.utm_medium,
       k.utm_campaign, k.ip_hash IS NOT NULL, k.agent_hash IS NOT NULL, k.salt_id IS NOT NULL
FROM referral.click AS k JOIN referral.code AS c USING (program_id, code_id)
WHERE k.program_id = %(id)s
"""

REVIEWS = """
SELECT a.user_id, ARRAY(SELECT unnest(v.rules) ORDER BY 1), v.decision, v.actor, v.reason
FROM referral.attribution_review AS v JOIN referral.attribution AS a USING (program_id, attribution_id)
WHERE v.program_id = %(id)s
"""

PAYMENTS_WAITING = """
SELECT m.user_id, array_agg(w.payment_id ORDER BY w.occurred_at, w.payment_no)
FROM referral.payment_waiting AS w JOIN referral.member AS m USING (program_id, member_id)
WHERE w.program_id = %(id)s GROUP BY 1
"""

# What used up which reward, where rewards go by payment and level; 0 = none of them.
SETTLEMENTS = """
SELECT m.user_id, s.kind, coalesce(p.payout_id, x.spend_id), r.payment_id, r.level,
       sum(s.amount_micro)::bigint
FROM referral.settlement AS s JOIN referral.member AS m USING (program_id, member_id)
     LEFT JOIN referral.reward AS r USING (program_id, reward_id)
     LEFT JOIN referral.payout AS p
            ON s.kind = 'paid_out' AND (p.program_id, p.payout_no) = (s.program_id, s.settler_no)
     LEFT JOIN referral.spend AS x
            ON s.kind = 'spent' AND (x.program_id, x.spend_no) = (s.program_id, s.settler_no)
WHERE s.program_id = %(id)s GROUP BY 1, 2, 3, 4, 5
"""

SPENDS = """
SELECT s.spend_id, m.user_id, s.amount_micro, s.note, s.unspent_at IS NOT NULL
FROM referral.spend AS s JOIN referral.member AS m USING (program_id, member_id)
WHERE s.program_id = %(id)s
"""

ADJUSTMENTS = """
SELECT a.adjustment_id, m.user_id, a.amount_micro, a.note, a.actor
FROM referral.adjustment AS a JOIN referral.member AS m USING (program_id, member_id)
WHERE a.program_id = %(id)s
"""


def rows(cursor, query, **arguments):
    cursor.execute(query, arguments)
    return cursor.fetchall()


def keyed(found):
    return {row[0]: row[1:] for row in found}


def read_members(cursor, program_id, users):
    """The instant of the answers, for what is pending depends on it, and the answers."""
    answers = rows(cursor, MEMBERS, id=program_id, users=users)
    return answers[0][0], {user: {name: answer or [] for name, answer in found.items()}
                           for _, user, found in answers}


def expect_members(books, users):
    readers = ("overview list_rewards list_invitees list_downline level_stats earnings_by_day"
               " list_payouts")
    return {user: {name: getattr(books, name)(user) for name in readers.split()} for user in users}


def verify(cursor, program_id):
    """What verify() complains of. A refund that does not fit its payment goes by its id."""
    return [row[2].removeprefix("refund ") if row[1] == "refund_waiting" else row for row in rows(
        cursor, "SELECT * FROM referral.verify(%(id)s) ORDER BY invariant, subject", id=program_id)]


def settlements(program):
    sums = Counter()
    for user, member in program.members.items():
        for s in member.account.settlements:
            reward = program.rewards[s.reward] if s.reward is not None else None
            sums[user, s.kind, s.settler, reward and reward.payment_id,
                 reward and reward.level] += s.amount
    return dict(sums)


def tables(cursor, program_id):
    """What the tables say, each as something that compares."""
    return {"rewards": rows(cursor, REWARDS, id=program_id),
            "attributions": keyed(rows(cursor, ATTRIBUTIONS, id=program_id)),
            "codes": keyed(rows(cursor, CODES, id=program_id)),
            "payments": keyed(rows(cursor, PAYMENTS, id=program_id)),
            "refunds": keyed(rows(cursor, REFUNDS, id=program_id)),
            "accounts": keyed(rows(cursor, ACCOUNTS, id=program_id)),
            "settlements": {row[:5]: row[5] for row in rows(cursor, SETTLEMENTS, id=program_id)},
            "clicks": keyed(rows(cursor, CLICKS, id=program_id)),
            "reviews": keyed(rows(cursor, REVIEWS, id=program_id)),
            "payments_waiting": dict(rows(cursor, PAYMENTS_WAITING, id=program_id)),
            "spends": keyed(rows(cursor, SPENDS, id=program_id)),
            "adjustments": keyed(rows(cursor, ADJUSTMENTS, id=program_id)),
            "verify": verify(cursor, program_id)}


def expect_tables(program):
    return {"rewards": [r[:-1] for r in program.rewards],
            "attributions": {user: (program.members[user].referrer, a.code, a.campaign, a.at,
                                    a.qualified_at, a.rewarded_at, program.decided(a), a.click, a.utm)
                             for user, a in program.attributions.items()},
            "codes": {text: (c.owner, c.kind, c.campaign, c.cap, c.disabled, c.used)
                      for text, c in program.codes.items()},
            "payments": {p.payment_id: tuple(p[1:]) for p in program.payments.values()},
            "refunds": {r.refund_id: (*r[1:], program.refund_answer(r.refund_id)[0])
                        for r in program.refunds.values()},
            "accounts": {user: (m.account.spent, m.account.paid_out, m.account.reserved,
                                m.account.adjusted, *m.account.destination)
                         for user, m in program.members.items()},
            "settlements": settlements(program),
            "clicks": {c: (k.code, k.at, k.path, k.source, k.medium, k.utm, bool(k.ip), bool(k.agent),
                           bool(k.ip or k.agent)) for c, k in program.clicks.items()},
            "reviews": {user: (a.held, a.decision, a.actor, a.reason)
                        for user, a in program.attributions.items() if a.held},
            "payments_waiting": {user: sorted(a.waiting, key=program.occurred_at)
                                 for user, a in program.attributions.items() if a.waiting},
            "spends": {s.spend_id: s[1:] for s in program.spends.values()},
            "adjustments": {a.adjustment_id: a[1:] for a in program.adjustments.values()},
            "verify": program.do_not_fit()}


def difference(expected, found, where=""):
    """The first difference, in words; None if there is none."""
    if isinstance(expected, datetime) and isinstance(found, str):
        found = datetime.fromisoformat(found)
    elif isinstance(expected, date) and isinstance(found, str):
        found = date.fromisoformat(found)
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            if key not in expected or key not in found:
                return (f"{where}: {key!r} is only in the "
                        + (f"model: {expected[key]}" if key in expected else f"books: {found[key]}"))
            complaint = difference(expected[key], found[key], f"{where}.{key}")
            if complaint:
                return complaint
        return None
    if isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        for n, (e, f) in enumerate(zip_longest(expected, found)):
            complaint = difference(e, f, f"{where}[{n}]")
            if complaint:
                return f"{complaint}\nexpected {e}\nfound    {f}"
        return None
    return None if expected == found else f"{where}: expected {expected!r}, found {found!r}"


def chunks(items, size):
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def compare(cursor, program, program_id, chunk=500):
    """The first difference between the books of a program and its model."""
    complaint = difference(expect_tables(program), tables(cursor, program_id))
    if complaint:
        return complaint
    found = {user for user, in rows(cursor, "SELECT user_id FROM referral.member"
                                            " WHERE program_id = %(id)s", id=program_id)}
    if found != set(program.members):
        return f"members: {found ^ set(program.members)} only on one side"
    books = Books(program)
    for users in chunks(program.members, chunk):
        books.now, answers = read_members(cursor, program_id, users)
        complaint = difference(expect_members(books, users), answers)
        if complaint:
            return complaint
    return None
