-- Whether the books agree with themselves. verify() works everything out again
-- from the rows, in parts, one per kind of book. Each part takes one program,
-- so that its plans are made for that program's size; first the rows that
-- contradict anything are found, then what they contradict is named.

CREATE FUNCTION referral.verify_intake(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT p.program_id, 'payment_taken_in', format('payment %s', p.payment_id),
           1::numeric, 0::numeric,
           format('No trigger saw it: CALL referral.backfill(''referral.payment'', program_id => %s).',
                  p.program_id)
      FROM referral.payment AS p
     WHERE p.program_id = verify_intake.program_id
       AND NOT p.taken_in;

    RETURN QUERY
    SELECT p.program_id, 'payment_number', format('payment number %s', p.payment_no),
           1::numeric, count(*)::numeric,
           'Payments share a number: the sequence referral.payment_no_seq was set back.'
      FROM referral.payment AS p
     WHERE p.program_id = verify_intake.program_id
     GROUP BY p.program_id, p.payment_no
    HAVING count(*) > 1;

    RETURN QUERY
    SELECT w.program_id, 'payment_waiting', format('payment %s', w.payment_id),
           0::numeric, 1::numeric,
           'It waits, but its payer is not in review, or it is not the payment it says.'
      FROM referral.payment_waiting AS w
           LEFT JOIN referral.payment AS p
             ON p.program_id = w.program_id AND p.payment_id = w.payment_id
           LEFT JOIN referral.attribution AS a
             ON a.program_id = p.program_id AND a.user_id = p.user_id
     WHERE w.program_id = verify_intake.program_id
       AND (a.decision, a.member_id, p.payment_no, p.occurred_at)
           IS DISTINCT FROM ('review_required', w.member_id, w.payment_no, w.occurred_at);

    RETURN QUERY
    SELECT u.program_id, 'payment_unrewarded', format('payment %s', u.payment_id),
           0::numeric, count(r.reward_id)::numeric,
           'It is marked as having earned nothing, but has rewards, or is not there.'
      FROM referral.payment_unrewarded AS u
           LEFT JOIN referral.payment AS p
             ON p.program_id = u.program_id AND p.payment_id = u.payment_id
           LEFT JOIN referral.reward AS r
             ON r.program_id = p.program_id
            AND r.reward_id BETWEEN p.payment_no * 16 AND p.payment_no * 16 + 15
     WHERE u.program_id = verify_intake.program_id
       AND (p.payment_no IS NULL OR r.reward_id IS NOT NULL)
     GROUP BY u.program_id, u.payment_id;
END
$$;
COMMENT ON FUNCTION referral.verify_intake(bigint) IS
'Part of verify(): payments that were not taken in, that wait, that earned nothing.';

CREATE FUNCTION referral.verify_rewards(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = verify_rewards.program_id);
    -- Every length that the hold ever had: a reward must show one of them.
    holds integer[] := ARRAY(SELECT p.hold_days FROM referral.program AS p
                              WHERE p.program_id = verify_rewards.program_id
                             UNION
                             SELECT (h.row_before ->> 'hold_days')::integer
                               FROM referral.config_history AS h
                              WHERE h.program_id = verify_rewards.program_id
                                AND h.relation = 'program');
BEGIN
    RETURN QUERY
    SELECT r.program_id, 'reward_once', format('payment %s level %s', r.payment_id, r.level),
           1::numeric, count(*)::numeric,
           'One payment made several rewards on one level.'
      FROM referral.reward AS r
     WHERE r.program_id = verify_rewards.program_id
     GROUP BY r.program_id, r.payment_id, r.level
    HAVING count(*) > 1;

    RETURN QUERY
    SELECT verify_rewards.program_id, broken.invariant, format('reward %s', w.reward_id),
           broken.expected, broken.found, broken.hint
      FROM (SELECT r.reward_id, r.amount_micro, r.base_micro, r.payer_id, r.available_at,
                   div(r.base_micro::numeric * r.rate_bps, 10000) + r.flat_micro AS right_amount,
                   p.payment_no::numeric * 16 + r.level AS right_id,
                   coalesce(p.base_micro, p.amount_micro) AS right_base,
                   a.member_id AS right_payer,
                   p.taken_in AND p.kind <> 'deposit' AND r.base_micro > 0 AND r.amount_micro > 0
                       AND p.occurred_at >= a.attributed_at AS is_earned,
                   r.available_at = ANY (ARRAY(
                       SELECT CASE hold.days
                              WHEN 0 THEN p.occurred_at
                              -- a day less a microsecond later: rounded up to the day
                              ELSE ((p.occurred_at AT TIME ZONE zone
                                     + interval '1 day' - interval '1 microsecond')::date
                                    + hold.days)::timestamp AT TIME ZONE zone
                              END
                         FROM unnest(holds) AS hold(days))) AS is_held
              FROM referral.reward AS r
                   LEFT JOIN referral.payment AS p
                     ON p.program_id = r.program_id AND p.payment_id = r.payment_id
                   LEFT JOIN referral.attribution AS a
                     ON a.program_id = p.program_id AND a.user_id = p.user_id
             WHERE r.program_id = verify_rewards.program_id) AS w
           CROSS JOIN LATERAL (VALUES
               ('reward_amount', w.right_amount, w.amount_micro::numeric,
                'Not floor(base x rate / 10000) + flat: the row was changed past the engine.'),
               ('reward_payment', 1, (w.right_id IS NOT NULL)::integer,
                'Its payment is missing: deleted past the engine, or not restored.'),
               ('reward_id', coalesce(w.right_id, w.reward_id), w.reward_id,
                'Not its payment''s number * 16 + level: the row was changed past the engine.'),
               ('reward_base', coalesce(w.right_base, w.base_micro), w.base_micro,
                'Not the base of its payment: one of the two was changed past the engine.'),
               ('reward_payer', coalesce(w.right_payer, 0), w.payer_id,
                'Not the member who paid, or he has no attribution.'),
               ('reward_earned', 1, coalesce(w.is_earned, false)::integer,
                'Its payment may not earn: deposit, no base, before attribution, or not taken in.'),
               ('reward_hold', 1, coalesce(w.is_held, false)::integer,
                'available_at follows from occurred_at by no hold_days that the program had.')
           ) AS broken(invariant, expected, found, hint)
     WHERE (w.right_amount, w.right_id, w.right_base, w.right_payer, w.is_earned, w.is_held)
           IS DISTINCT FROM (w.amount_micro, w.reward_id, w.base_micro, w.payer_id, true, true)
       AND broken.expected <> broken.found
       -- without its payment there is nothing more to compare
       AND (w.right_id IS NOT NULL OR broken.invariant IN ('reward_payment', 'reward_amount'));
END
$$;
COMMENT ON FUNCTION referral.verify_rewards(bigint) IS
'Part of verify(): every reward follows from its payment.';

CREATE FUNCTION referral.verify_earnings(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = verify_earnings.program_id);
    -- Later than all that this statement sees: without a hold, a counter stands
    -- at the midnight before occurred_at as soon as that is past.
    as_of timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH frozen AS (
        SELECT r.member_id, r.level,
               (p.occurred_at AT TIME ZONE zone)::date AS earned_on,
               (r.available_at AT TIME ZONE zone)::date AS due_on,
               r.available_at > as_of AS pending,
               sum(r.amount_micro) AS amount_micro,
               count(*)::numeric AS rewards
          FROM referral.reward AS r
               JOIN referral.payment AS p
                 ON p.program_id = r.program_id AND p.payment_id = r.payment_id
         WHERE r.program_id = verify_earnings.program_id
         GROUP BY r.member_id, r.level, earned_on, due_on, pending
    ), counted AS (
        SELECT e.member_id, e.level, e.earned_on,
               (e.available_at AT TIME ZONE zone)::date AS due_on,
               e.available_at > as_of AS pending,
               sum(e.amount_micro) AS amount_micro,
               sum(e.rewards) AS rewards
          FROM referral.earning AS e
         WHERE e.program_id = verify_earnings.program_id
         GROUP BY e.member_id, e.level, e.earned_on, due_on, pending
    )
    SELECT verify_earnings.program_id, broken.invariant,
           format('member %s level %s of %s %s %s',
                  referral.member_name(verify_earnings.program_id, member_id), level, earned_on,
                  CASE WHEN pending THEN 'pending until' ELSE 'available since' END, due_on),
           broken.expected, broken.found, broken.hint
      FROM frozen
           FULL JOIN counted USING (member_id, level, earned_on, due_on, pending)
           CROSS JOIN LATERAL (VALUES
               ('earning_amount',
                coalesce(frozen.amount_micro, 0), coalesce(counted.amount_micro, 0),
                'The balance is not what the rewards say: one was changed past the engine.'),
               ('earning_rewards',
                coalesce(frozen.rewards, 0), coalesce(counted.rewards, 0),
                'The counted rewards are not those there are.')
           ) AS broken(invariant, expected, found, hint)
     WHERE (coalesce(frozen.amount_micro, 0), coalesce(frozen.rewards, 0))
           <> (coalesce(counted.amount_micro, 0), coalesce(counted.rewards, 0))
       AND broken.expected <> broken.found;
END
$$;
COMMENT ON FUNCTION referral.verify_earnings(bigint) IS
'Part of verify(): balances are what the rewards say, per member, level, day, and pending or
available.';

CREATE FUNCTION referral.verify_paid(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    -- When a payment was processed, and so whether its payer was attributed
    -- already, is not in the books: they give bounds.
    RETURN QUERY
    WITH booked AS (
        SELECT a.member_id,
               sum(p.amount_micro) FILTER (WHERE p.kind <> 'deposit') AS volume_micro,
               sum(p.amount_micro) FILTER (WHERE p.kind = 'deposit') AS deposits_micro,
               count(*) FILTER (WHERE p.kind <> 'deposit') AS payments
          FROM referral.payment AS p
               JOIN referral.attribution AS a
                 ON a.program_id = p.program_id AND a.user_id = p.user_id
         WHERE p.program_id = verify_paid.program_id
           AND p.taken_in
         GROUP BY a.member_id
    ), rewarded AS (
        SELECT once.payer_id AS member_id,
               sum(p.amount_micro) AS volume_micro,
               count(*) AS payments
          FROM (SELECT DISTINCT r.payer_id, r.payment_id
                  FROM referral.reward AS r
                 WHERE r.program_id = verify_paid.program_id) AS once
               JOIN referral.payment AS p
                 ON p.program_id = verify_paid.program_id AND p.payment_id = once.payment_id
         GROUP BY once.payer_id
    ), counted AS (
        SELECT c.member_id,
               sum(c.volume_micro) AS volume_micro,
               sum(c.deposits_micro) AS deposits_micro,
               sum(c.payments) AS payments,
               sum(c.earning_payments) AS earning_payments
          FROM referral.paid AS c
         WHERE c.program_id = verify_paid.program_id
         GROUP BY c.member_id
    )
    SELECT verify_paid.program_id, bound.invariant,
           format('member %s', referral.member_name(verify_paid.program_id, member_id)),
           CASE WHEN bound.found > bound.most THEN bound.most ELSE bound.least END,
           bound.found,
           'What he paid is outside what his payments allow.'
      FROM counted
           FULL JOIN booked USING (member_id)
           FULL JOIN rewarded USING (member_id)
           CROSS JOIN LATERAL (VALUES
               ('paid_volume', coalesce(rewarded.volume_micro, 0),
                coalesce(counted.volume_micro, 0), coalesce(booked.volume_micro, 0)),
               ('paid_deposits', 0,
                coalesce(counted.deposits_micro, 0), coalesce(booked.deposits_micro, 0)),
               ('paid_payments', coalesce(counted.earning_payments, 0),
                coalesce(counted.payments, 0), coalesce(booked.payments, 0)),
               ('paid_earning_payments', coalesce(rewarded.payments, 0),
                coalesce(counted.earning_payments, 0), coalesce(counted.payments, 0))
           ) AS bound(invariant, least, found, most)
     WHERE bound.found NOT BETWEEN bound.least AND bound.most;
END
$$;
COMMENT ON FUNCTION referral.verify_paid(bigint) IS
'Part of verify(): what members paid is at least what was rewarded and at most what they booked.';

CREATE FUNCTION referral.verify_tree(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT verify_tree.program_id, 'tree_edge',
           format('member %s', coalesce(a.user_id, m.user_id)),
           coalesce(a.referrer_id, 0)::numeric, coalesce(m.referrer_id, 0)::numeric,
           'member.referrer_id and the attribution do not say the same.'
      FROM (SELECT * FROM referral.member AS of_program
             WHERE of_program.program_id = verify_tree.program_id) AS m
           FULL JOIN (SELECT * FROM referral.attribution AS of_program
                       WHERE of_program.program_id = verify_tree.program_id) AS a
             ON a.user_id = m.user_id AND a.member_id = m.member_id
     WHERE m.referrer_id IS DISTINCT FROM a.referrer_id;

    -- From the top down everybody is reached, but for who is in or under a cycle.
    RETURN QUERY
    WITH RECURSIVE reached(member_id) AS (
        SELECT m.member_id
          FROM referral.member AS m
         WHERE m.program_id = verify_tree.program_id
           AND NOT EXISTS (SELECT FROM referral.attribution AS a
                            WHERE a.program_id = m.program_id AND a.user_id = m.user_id)
        UNION ALL
        SELECT child.member_id
          FROM reached
               -- OFFSET 0: by the index, level after level, also a thousand levels
               CROSS JOIN LATERAL (SELECT a.member_id
                                     FROM referral.attribution AS a
                                    WHERE a.program_id = verify_tree.program_id
                                      AND a.referrer_id = reached.member_id
                                   OFFSET 0) AS child
    )
    SELECT verify_tree.program_id, 'tree_forest', format('member %s', a.user_id),
           0::numeric, 1::numeric,
           'He stands in or under a cycle of referrers.'
      FROM referral.attribution AS a
     WHERE a.program_id = verify_tree.program_id
       AND NOT EXISTS (SELECT FROM reached AS r WHERE r.member_id = a.member_id);
END
$$;
COMMENT ON FUNCTION referral.verify_tree(bigint) IS
'Part of verify(): the tree is a forest, written down twice alike.';

CREATE FUNCTION referral.verify_levels(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- Levels that were counted from the program's first day to this one.
    always integer := (SELECT least(p.max_level, min((h.row_before ->> 'max_level')::integer))
                         FROM referral.program AS p
                              LEFT JOIN referral.config_history AS h
                                ON h.program_id = p.program_id AND h.relation = 'program'
                        WHERE p.program_id = verify_levels.program_id
                        GROUP BY p.max_level);
BEGIN
    -- below pays, level levels down from above. in_order: every edge between
    -- them is older than his own, so all that he ever paid counted up to there.
    RETURN QUERY
    WITH RECURSIVE line(below, own_edge, level, above, in_order) AS (
        SELECT a.member_id, a.attribution_id, 1, a.referrer_id, true
          FROM referral.attribution AS a
         WHERE a.program_id = verify_levels.program_id
        UNION ALL
        SELECT line.below, line.own_edge, line.level + 1, up.referrer_id,
               line.in_order AND up.attribution_id < line.own_edge
          FROM line
               JOIN referral.attribution AS up
                 ON up.program_id = verify_levels.program_id AND up.member_id = line.above
         WHERE line.level < 10
    ), standing AS (
        SELECT line.above AS member_id, line.level, count(*)::numeric AS members
          FROM line
         GROUP BY line.above, line.level
    ), counted AS (
        SELECT d.member_id, d.level, sum(d.members) AS members
          FROM referral.downline AS d
         WHERE d.program_id = verify_levels.program_id
         GROUP BY d.member_id, d.level
    ), paid AS (
        SELECT c.member_id,
               sum(c.volume_micro) AS volume_micro,
               sum(c.deposits_micro) AS deposits_micro
          FROM referral.paid AS c
         WHERE c.program_id = verify_levels.program_id
         GROUP BY c.member_id
    ), due AS (
        SELECT line.above AS member_id, line.level,
               sum(paid.volume_micro)
                   FILTER (WHERE line.in_order AND line.level <= always) AS least_volume,
               sum(paid.volume_micro) AS most_volume,
               sum(paid.deposits_micro)
                   FILTER (WHERE line.in_order AND line.level <= always) AS least_deposits,
               sum(paid.deposits_micro) AS most_deposits
          FROM line
               JOIN paid ON paid.member_id = line.below
         GROUP BY line.above, line.level
    ), credited AS (
        SELECT e.member_id, e.level::integer AS level,
               sum(e.volume_micro) AS volume_micro,
               sum(e.deposits_micro) AS deposits_micro
          FROM referral.earning AS e
         WHERE e.program_id = verify_levels.program_id
         GROUP BY e.member_id, e.level
    )
    SELECT verify_levels.program_id, 'downline_members',
           format('member %s level %s',
                  referral.member_name(verify_levels.program_id, member_id), level),
           coalesce(standing.members, 0), coalesce(counted.members, 0),
           'The counted members of the level are not those in the tree.'
      FROM standing
           FULL JOIN counted USING (member_id, level)
     WHERE coalesce(standing.members, 0) <> coalesce(counted.members, 0)
    UNION ALL
    SELECT verify_levels.program_id, 'member_invitees', format('member %s', m.user_id),
           least(coalesce(standing.members, 0), 65), coalesce(m.invitees, 65),
           'The invitees in his row are not those in the tree; 65 stands for more than 64.'
      FROM referral.member AS m
           LEFT JOIN standing ON standing.member_id = m.member_id AND standing.level = 1
     WHERE m.program_id = verify_levels.program_id
       AND least(coalesce(standing.members, 0), 65) <> coalesce(m.invitees, 65)
    UNION ALL
    SELECT verify_levels.program_id, bound.invariant,
           format('member %s level %s',
                  referral.member_name(verify_levels.program_id, member_id), level),
           CASE WHEN bound.found > bound.most THEN bound.most ELSE bound.least END,
           bound.found,
           'The level''s sum is outside what was paid below him allows.'
      FROM due
           FULL JOIN credited USING (member_id, level)
           CROSS JOIN LATERAL (VALUES
               ('level_volume', coalesce(due.least_volume, 0),
                coalesce(credited.volume_micro, 0), coalesce(due.most_volume, 0)),
               ('level_deposits', coalesce(due.least_deposits, 0),
                coalesce(credited.deposits_micro, 0), coalesce(due.most_deposits, 0))
           ) AS bound(invariant, least, found, most)
     WHERE bound.found NOT BETWEEN bound.least AND bound.most
    UNION ALL
    SELECT verify_levels.program_id, 'reward_beneficiary', format('reward %s', r.reward_id),
           coalesce(line.above, 0), r.member_id,
           'Not the member who stands on this level above the payer.'
      FROM referral.reward AS r
           LEFT JOIN line ON line.below = r.payer_id AND line.level = r.level
     WHERE r.program_id = verify_levels.program_id
       AND r.member_id IS DISTINCT FROM CASE r.level WHEN 0 THEN r.payer_id ELSE line.above END;
END
$$;
COMMENT ON FUNCTION referral.verify_levels(bigint) IS
'Part of verify(): members, volumes and beneficiaries per level are what the tree says.';

CREATE FUNCTION referral.verify_attributions(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT a.program_id, 'attribution_rewarded', format('member %s', a.user_id),
           count(r.payer_id)::numeric, (a.rewarded_at IS NOT NULL)::integer::numeric,
           'rewarded_at says otherwise than the rewards that his payments made.'
      FROM referral.attribution AS a
           LEFT JOIN (SELECT DISTINCT of_program.payer_id
                        FROM referral.reward AS of_program
                       WHERE of_program.program_id = verify_attributions.program_id) AS r
             ON r.payer_id = a.member_id
     WHERE a.program_id = verify_attributions.program_id
       AND (a.rewarded_at IS NOT NULL) <> (r.payer_id IS NOT NULL)
     GROUP BY a.program_id, a.user_id, a.rewarded_at;

    RETURN QUERY
    SELECT a.program_id, 'attribution_qualified', format('member %s', a.user_id),
           CASE WHEN a.decision IS NULL THEN 1 ELSE 0 END::numeric,
           (a.qualified_at IS NOT NULL)::integer::numeric,
           'qualified_at does not go with the decision, with rewarded_at or with attributed_at.'
      FROM referral.attribution AS a
     WHERE a.program_id = verify_attributions.program_id
       AND CASE WHEN a.qualified_at IS NULL THEN a.rewarded_at IS NOT NULL
                ELSE a.decision IS NOT NULL OR a.qualified_at < a.attributed_at END;

    RETURN QUERY
    SELECT a.program_id, 'attribution_payment', format('member %s', a.user_id),
           1::numeric, 0::numeric,
           'qualified_at is not the time of any earning payment of his.'
      FROM referral.attribution AS a
     WHERE a.program_id = verify_attributions.program_id
       AND a.qualified_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM referral.payment AS p
                        WHERE p.program_id = a.program_id
                          AND p.user_id = a.user_id
                          AND p.occurred_at = a.qualified_at
                          AND p.taken_in
                          AND p.kind <> 'deposit'
                          AND coalesce(p.base_micro, p.amount_micro) > 0);

    RETURN QUERY
    SELECT m.program_id, 'member_account', format('member %s', m.user_id), 1::numeric, 0::numeric,
           'The row that is locked for exact sums is missing: INSERT INTO referral.account.'
      FROM referral.member AS m
     WHERE m.program_id = verify_attributions.program_id
       AND NOT EXISTS (SELECT FROM referral.account AS c
                        WHERE c.program_id = m.program_id AND c.member_id = m.member_id);
END
$$;
COMMENT ON FUNCTION referral.verify_attributions(bigint) IS
'Part of verify(): what became of attributions is what payments and rewards say.';

CREATE FUNCTION referral.verify_caps(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = verify_caps.program_id);
    -- Where a campaign's count stops: no budget is larger.
    max_bigint CONSTANT bigint := 9223372036854775807;
BEGIN
    RETURN QUERY
    WITH qualified AS (
        SELECT a.referrer_id AS member_id,
               date_trunc('month', a.qualified_at AT TIME ZONE zone)::date AS month,
               count(*)::numeric AS paid_invitees
          FROM referral.attribution AS a
         WHERE a.program_id = verify_caps.program_id
           AND a.qualified_at IS NOT NULL
         GROUP BY a.referrer_id, date_trunc('month', a.qualified_at AT TIME ZONE zone)::date
    ), counted AS (
        SELECT i.member_id, i.month, sum(i.paid_invitees) AS paid_invitees
          FROM referral.invited AS i
         WHERE i.program_id = verify_caps.program_id
         GROUP BY i.member_id, i.month
    )
    SELECT verify_caps.program_id, 'invited_qualified',
           format('member %s month %s',
                  referral.member_name(verify_caps.program_id, member_id), month),
           coalesce(qualified.paid_invitees, 0), coalesce(counted.paid_invitees, 0),
           'The counted paid invitees are not the qualified attributions.'
      FROM qualified
           FULL JOIN counted USING (member_id, month)
     WHERE coalesce(qualified.paid_invitees, 0) <> coalesce(counted.paid_invitees, 0);

    RETURN QUERY
    WITH qualified AS (
        SELECT a.code_id, count(*)::numeric AS used
          FROM referral.attribution AS a
         WHERE a.program_id = verify_caps.program_id
           AND a.qualified_at IS NOT NULL
         GROUP BY a.code_id
    ), counted AS (
        SELECT c.code_id, c.cap, sum(c.used) AS used
          FROM (SELECT code.code_id, code.cap, code.used
                  FROM referral.code
                 WHERE code.program_id = verify_caps.program_id
                UNION ALL
                SELECT u.code_id, code.cap, u.used
                  FROM referral.code_use AS u
                       LEFT JOIN referral.code
                         ON code.program_id = u.program_id AND code.code_id = u.code_id
                 WHERE u.program_id = verify_caps.program_id) AS c
         GROUP BY c.code_id, c.cap
    )
    SELECT verify_caps.program_id, broken.invariant,
           format('code %s', coalesce((SELECT c.code
                                         FROM referral.code AS c
                                        WHERE c.program_id = verify_caps.program_id
                                          AND c.code_id = used_code.code_id),
                                      '#' || used_code.code_id)),
           broken.expected, broken.found, broken.hint
      FROM qualified
           FULL JOIN counted USING (code_id) AS used_code
           CROSS JOIN LATERAL (VALUES
               ('code_used', coalesce(qualified.used, 0), coalesce(counted.used, 0),
                'The counted uses are not the attributions by this code that qualified.'),
               ('code_cap', least(counted.cap, counted.used), counted.used,
                'More uses than the cap. If it was lowered since, raise it to the uses there are.')
           ) AS broken(invariant, expected, found, hint)
     WHERE broken.expected <> broken.found;

    RETURN QUERY
    WITH granted AS (
        SELECT a.campaign_id, sum(r.amount_micro) AS amount_micro
          FROM referral.reward AS r
               JOIN referral.attribution AS a
                 ON a.program_id = r.program_id AND a.member_id = r.payer_id
         WHERE r.program_id = verify_caps.program_id
           AND a.campaign_id > 0
         GROUP BY a.campaign_id
    ), counted AS (
        SELECT s.campaign_id, sum(s.amount_micro) AS amount_micro
          FROM referral.campaign_spent AS s
         WHERE s.program_id = verify_caps.program_id
         GROUP BY s.campaign_id
    ), allowed AS (
        -- A budget that was lowered leaves what was granted before.
        SELECT b.campaign_id,
               CASE WHEN bool_and(b.budget_micro IS NOT NULL)
                    THEN max(b.budget_micro) END AS budget_micro
          FROM (SELECT c.campaign_id, c.budget_micro
                  FROM referral.campaign AS c
                 WHERE c.program_id = verify_caps.program_id
                UNION ALL
                SELECT (h.row_before ->> 'campaign_id')::bigint,
                       (h.row_before ->> 'budget_micro')::bigint
                  FROM referral.config_history AS h
                 WHERE h.program_id = verify_caps.program_id
                   AND h.relation = 'campaign') AS b
         GROUP BY b.campaign_id
    )
    SELECT verify_caps.program_id, broken.invariant, format('campaign %s', campaign_id),
           broken.expected, broken.found, broken.hint
      FROM granted
           FULL JOIN counted USING (campaign_id)
           LEFT JOIN allowed USING (campaign_id)
           CROSS JOIN LATERAL (VALUES
               ('campaign_spent',
                least(coalesce(granted.amount_micro, 0), max_bigint),
                least(coalesce(counted.amount_micro, 0), max_bigint),
                'The counted amount is not the sum of the rewards under this campaign.'),
               ('campaign_budget',
                least(allowed.budget_micro, granted.amount_micro), granted.amount_micro,
                'More was granted than the budget ever was.')
           ) AS broken(invariant, expected, found, hint)
     WHERE broken.expected <> broken.found;
END
$$;
COMMENT ON FUNCTION referral.verify_caps(bigint) IS
'Part of verify(): paid invitees, uses of codes and spent budgets are what attributions and rewards
say, and within their bounds.';

CREATE FUNCTION referral.verify(program_id bigint DEFAULT NULL)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_id bigint;
BEGIN
    FOR next_id IN
        SELECT p.program_id
          FROM referral.program AS p
         WHERE verify.program_id IS NULL OR p.program_id = verify.program_id
         UNION
        -- written while no trigger could refuse an unknown program
        SELECT w.program_id
          FROM referral.payment AS w
         WHERE NOT w.taken_in
           AND (verify.program_id IS NULL OR w.program_id = verify.program_id)
         ORDER BY 1
    LOOP
        RETURN QUERY SELECT * FROM referral.verify_intake(next_id);
        RETURN QUERY SELECT * FROM referral.verify_rewards(next_id);
        RETURN QUERY SELECT * FROM referral.verify_earnings(next_id);
        RETURN QUERY SELECT * FROM referral.verify_paid(next_id);
        RETURN QUERY SELECT * FROM referral.verify_tree(next_id);
        RETURN QUERY SELECT * FROM referral.verify_levels(next_id);
        RETURN QUERY SELECT * FROM referral.verify_attributions(next_id);
        RETURN QUERY SELECT * FROM referral.verify_caps(next_id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.verify(bigint) IS
'Checks the books against themselves: one row per broken invariant, none when all is sound;
docs/verify.md lists the invariants.
program_id: NULL for every program. expected and found are counts, numbers of rows, or micro-units.
Reads all the books of a program: seconds per million rewards. Writes nothing and waits for
nobody.';
