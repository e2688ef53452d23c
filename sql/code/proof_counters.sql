-- Proof: counters. Every recount_...() works the sums of some counters out from
-- the books and returns those that differ from what is counted: for verify(),
-- which names them, and for rebuild(), which corrects them.

CREATE TYPE referral.miscount AS (
    invariant text,
    subject   text,
    expected  numeric,
    found     numeric,
    hint      text,
    counter   text,
    key       jsonb,
    value     text
);
COMMENT ON TYPE referral.miscount IS
'One counted sum that is not what the books say; what recount_...() return';
COMMENT ON COLUMN referral.miscount.invariant IS
'As of referral.broken_invariant, like the four columns after it';
COMMENT ON COLUMN referral.miscount.subject IS 'The key, for people';
COMMENT ON COLUMN referral.miscount.expected IS
'What the books say; where they say but bounds, what is likely within these';
COMMENT ON COLUMN referral.miscount.found IS 'The sum over the parts of the key';
COMMENT ON COLUMN referral.miscount.hint IS 'What to do about it';
COMMENT ON COLUMN referral.miscount.counter IS
'The table; NULL: no counter, rebuild() can do nothing about it';
COMMENT ON COLUMN referral.miscount.key IS 'Columns of the key, without program_id and part';
COMMENT ON COLUMN referral.miscount.value IS
'The column; NULL: it is the row that is missing, or should not be there';

CREATE FUNCTION referral.recount_earnings(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = recount_earnings.program_id);
    -- Later than all that this statement sees: without a hold, a counter stands
    -- at the midnight before occurred_at as soon as that is past.
    as_of timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH frozen AS (
        SELECT r.member_id, r.level,
               (p.occurred_at AT TIME ZONE zone)::date AS earned_on,
               CASE WHEN r.available_at > as_of THEN r.available_at
                    ELSE date_trunc('day', r.available_at, zone) END AS available_at,
               sum(r.amount_micro) AS amount_micro,
               count(*)::numeric AS rewards,
               sum(r.reversed_micro) AS reversed_micro,
               count(r.closed)::numeric AS closed
          FROM referral.reward_state AS r
               JOIN referral.payment AS p
                 ON p.program_id = r.program_id AND p.payment_id = r.payment_id
         WHERE r.program_id = recount_earnings.program_id
         GROUP BY 1, 2, 3, 4
    ), counted AS (
        SELECT e.member_id, e.level, e.earned_on,
               CASE WHEN e.available_at > as_of THEN e.available_at
                    ELSE date_trunc('day', e.available_at, zone) END AS available_at,
               sum(e.amount_micro) AS amount_micro,
               sum(e.rewards) AS rewards,
               sum(e.reversed_micro) AS reversed_micro,
               sum(e.closed) AS closed
          FROM referral.earning AS e
         WHERE e.program_id = recount_earnings.program_id
         GROUP BY 1, 2, 3, 4
    )
    SELECT sums.invariant,
           format('member %s level %s of %s %s %s',
                  referral.member_name(recount_earnings.program_id, member_id), level, earned_on,
                  CASE WHEN available_at > as_of THEN 'pending until' ELSE 'available since' END,
                  (available_at AT TIME ZONE zone)::date),
           sums.expected, sums.found, sums.hint || ' CALL referral.rebuild() corrects it.',
           'earning',
           jsonb_build_object('member_id', member_id, 'available_at', available_at,
                              'earned_on', earned_on, 'level', level),
           sums.value
      FROM frozen
           FULL JOIN counted USING (member_id, level, earned_on, available_at)
           CROSS JOIN LATERAL (VALUES
               ('earning_amount', 'amount_micro',
                coalesce(frozen.amount_micro, 0), coalesce(counted.amount_micro, 0),
                'The balance is not what the rewards say.'),
               ('earning_rewards', 'rewards',
                coalesce(frozen.rewards, 0), coalesce(counted.rewards, 0),
                'The counted rewards are not those there are.'),
               ('earning_reversed', 'reversed_micro',
                coalesce(frozen.reversed_micro, 0), coalesce(counted.reversed_micro, 0),
                'The balance is not what the refunds left of the rewards.'),
               ('earning_closed', 'closed',
                coalesce(frozen.closed, 0), coalesce(counted.closed, 0),
                'The counted rewards with nothing left are not those there are.')
           ) AS sums(invariant, value, expected, found, hint)
     WHERE (coalesce(frozen.amount_micro, 0), coalesce(frozen.rewards, 0),
            coalesce(frozen.reversed_micro, 0), coalesce(frozen.closed, 0))
           <> (coalesce(counted.amount_micro, 0), coalesce(counted.rewards, 0),
               coalesce(counted.reversed_micro, 0), coalesce(counted.closed, 0))
       AND sums.expected <> sums.found;
END
$$;
COMMENT ON FUNCTION referral.recount_earnings(bigint) IS
'Balances that are not what rewards, refunds and settlements say: per member, level, day, and day
due, or instant while it is ahead.';

CREATE FUNCTION referral.recount_paid(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    -- When a payment was processed, and so whether its payer was attributed
    -- already, is not in the books: they give bounds. Likely is what arrived
    -- after the attribution.
    RETURN QUERY
    WITH booked AS (
        SELECT a.member_id,
               sum(p.amount_micro) FILTER (WHERE sold) AS volume_micro,
               sum(p.amount_micro) FILTER (WHERE sold AND likely) AS likely_volume,
               sum(p.amount_micro) FILTER (WHERE NOT sold) AS deposits_micro,
               sum(p.amount_micro) FILTER (WHERE NOT sold AND likely) AS likely_deposits,
               count(*) FILTER (WHERE sold) AS payments,
               count(*) FILTER (WHERE sold AND likely) AS likely_payments,
               count(*) FILTER (WHERE sold AND likely AND p.occurred_at >= a.attributed_at
                                      AND coalesce(p.base_micro, p.amount_micro) > 0)
                   AS likely_earning_payments,
               bool_or(a.qualified_at IS NOT NULL) AS is_qualified
          FROM referral.payment AS p
               JOIN referral.attribution AS a
                 ON a.program_id = p.program_id AND a.user_id = p.user_id
               CROSS JOIN LATERAL (
                   SELECT p.kind <> 'deposit' AS sold,
                          p.arrived_at >= a.created_at AND a.decision IS NULL AS likely) AS seen
         WHERE p.program_id = recount_paid.program_id
           AND p.taken_in
         GROUP BY a.member_id
    ), rewarded AS (
        SELECT once.payer_id AS member_id,
               sum(p.amount_micro) AS volume_micro,
               count(*) AS payments
          FROM (SELECT DISTINCT r.payer_id, r.payment_id
                  FROM referral.reward AS r
                 WHERE r.program_id = recount_paid.program_id) AS once
               JOIN referral.payment AS p
                 ON p.program_id = recount_paid.program_id AND p.payment_id = once.payment_id
         GROUP BY once.payer_id
    ), counted AS (
        SELECT c.member_id,
               sum(c.volume_micro) AS volume_micro,
               sum(c.deposits_micro) AS deposits_micro,
               sum(c.payments) AS payments,
               sum(c.earning_payments) AS earning_payments
          FROM referral.paid AS c
         WHERE c.program_id = recount_paid.program_id
         GROUP BY c.member_id
    )
    SELECT bound.invariant,
           format('member %s', referral.member_name(recount_paid.program_id, member_id)),
           CASE WHEN bound.likely BETWEEN bound.least AND bound.most THEN bound.likely
                WHEN bound.found > bound.most THEN bound.most ELSE bound.least END,
           bound.found,
           'What he paid is outside what his payments allow. CALL referral.rebuild() corrects it.',
           'paid', jsonb_build_object('member_id', member_id), bound.value
      FROM counted
           FULL JOIN booked USING (member_id)
           FULL JOIN rewarded USING (member_id)
           CROSS JOIN LATERAL (
               -- once that is corrected, if it has to be
               SELECT CASE WHEN counted.payments BETWEEN coalesce(rewarded.payments, 0)
                                                     AND coalesce(booked.payments, 0)
                           THEN counted.payments
                           ELSE greatest(coalesce(rewarded.payments, 0),
                                         coalesce(booked.likely_payments, 0))
                      END AS payments) AS sound
           CROSS JOIN LATERAL (VALUES
               ('paid_volume', 'volume_micro', coalesce(rewarded.volume_micro, 0),
                coalesce(booked.likely_volume, 0), coalesce(counted.volume_micro, 0),
                coalesce(booked.volume_micro, 0)),
               ('paid_deposits', 'deposits_micro', 0,
                coalesce(booked.likely_deposits, 0), coalesce(counted.deposits_micro, 0),
                coalesce(booked.deposits_micro, 0)),
               ('paid_payments', 'payments', coalesce(rewarded.payments, 0),
                coalesce(booked.likely_payments, 0), coalesce(counted.payments, 0),
                coalesce(booked.payments, 0)),
               ('paid_earning_payments', 'earning_payments', coalesce(rewarded.payments, 0),
                coalesce(booked.likely_earning_payments, 0),
                coalesce(counted.earning_payments, 0), sound.payments)
           ) AS bound(invariant, value, least, likely, found, most)
     WHERE bound.found NOT BETWEEN bound.least AND bound.most
        -- whoever qualified has paid: his row is gone, and all his sums with it
        OR counted.member_id IS NULL AND booked.is_qualified
           AND bound.found < least(bound.likely, bound.most);
END
$$;
COMMENT ON FUNCTION referral.recount_paid(bigint) IS
'What members paid where it is less than what was rewarded of it, or more than they booked.';

CREATE FUNCTION referral.recount_levels(program_id bigint)
    RETURNS SETOF referral.miscount
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
                        WHERE p.program_id = recount_levels.program_id
                        GROUP BY p.max_level);
BEGIN
    -- below pays, level levels down from above. in_order: every edge between
    -- them is older than his own, so all that he ever paid counted up to there.
    RETURN QUERY
    WITH RECURSIVE line(below, own_edge, level, above, in_order) AS (
        SELECT a.member_id, a.attribution_id, 1, a.referrer_id, true
          FROM referral.attribution AS a
         WHERE a.program_id = recount_levels.program_id
        UNION ALL
        SELECT line.below, line.own_edge, line.level + 1, up.referrer_id,
               line.in_order AND up.attribution_id < line.own_edge
          FROM line
               JOIN referral.attribution AS up
                 ON up.program_id = recount_levels.program_id AND up.member_id = line.above
         WHERE line.level < 10
    ), standing AS (
        SELECT line.above AS member_id, line.level, count(*)::numeric AS members
          FROM line
         GROUP BY line.above, line.level
    ), counted AS (
        SELECT d.member_id, d.level, sum(d.members) AS members
          FROM referral.downline AS d
         WHERE d.program_id = recount_levels.program_id
         GROUP BY d.member_id, d.level
    ), paid AS (
        SELECT c.member_id,
               sum(c.volume_micro) AS volume_micro,
               sum(c.deposits_micro) AS deposits_micro
          FROM referral.paid AS c
         WHERE c.program_id = recount_levels.program_id
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
               min(e.available_at) AS available_at,
               min(e.earned_on) AS earned_on,
               sum(e.volume_micro) AS volume_micro,
               sum(e.deposits_micro) AS deposits_micro
          FROM referral.earning AS e
         WHERE e.program_id = recount_levels.program_id
         GROUP BY e.member_id, e.level
    )
    SELECT 'downline_members',
           format('member %s level %s',
                  referral.member_name(recount_levels.program_id, member_id), level),
           coalesce(standing.members, 0), coalesce(counted.members, 0),
           'The counted members of the level are not those in the tree. '
               'CALL referral.rebuild() corrects it.',
           'downline', jsonb_build_object('member_id', member_id, 'level', level), 'members'
      FROM standing
           FULL JOIN counted USING (member_id, level)
     WHERE coalesce(standing.members, 0) <> coalesce(counted.members, 0)
    UNION ALL
    SELECT bound.invariant,
           format('member %s level %s',
                  referral.member_name(recount_levels.program_id, member_id), level),
           CASE WHEN bound.found > bound.most THEN bound.most ELSE bound.least END,
           bound.found,
           'The level''s sum is outside what was paid below him allows. '
               'CALL referral.rebuild() corrects it.',
           -- the sum has no day of its own: it joins the first that is there
           'earning',
           jsonb_build_object('member_id', member_id, 'level', level,
                              'available_at', coalesce(credited.available_at, 'epoch'),
                              'earned_on', coalesce(credited.earned_on, 'epoch')),
           bound.value
      FROM due
           FULL JOIN credited USING (member_id, level)
           CROSS JOIN LATERAL (VALUES
               ('level_volume', 'volume_micro', coalesce(due.least_volume, 0),
                coalesce(credited.volume_micro, 0), coalesce(due.most_volume, 0)),
               ('level_deposits', 'deposits_micro', coalesce(due.least_deposits, 0),
                coalesce(credited.deposits_micro, 0), coalesce(due.most_deposits, 0))
           ) AS bound(invariant, value, least, found, most)
     WHERE bound.found NOT BETWEEN bound.least AND bound.most
    UNION ALL
    -- here because it asks the same line
    SELECT 'reward_beneficiary', format('reward %s', r.reward_id),
           coalesce(line.above, 0)::numeric, r.member_id::numeric,
           'Not the member who stands on this level above the payer.',
           NULL, NULL, NULL
      FROM referral.reward AS r
           LEFT JOIN line ON line.below = r.payer_id AND line.level = r.level
     WHERE r.program_id = recount_levels.program_id
       AND r.member_id IS DISTINCT FROM CASE r.level WHEN 0 THEN r.payer_id ELSE line.above END;
END
$$;
COMMENT ON FUNCTION referral.recount_levels(bigint) IS
'Members and volumes per level that are not what the tree says; and rewards of somebody who does not
stand on their level.';

CREATE FUNCTION referral.recount_invitees(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT 'member_invitees', format('member %s', m.user_id),
           least(coalesce(standing.members, 0), 65)::numeric, coalesce(m.invitees, 65)::numeric,
           'The invitees in his row are not those in the tree; 65 stands for more than 64. '
               'CALL referral.rebuild() corrects it.',
           'member', jsonb_build_object('member_id', m.member_id), 'invitees'
      FROM referral.member AS m
           LEFT JOIN (SELECT a.referrer_id, count(*) AS members
                        FROM referral.attribution AS a
                       WHERE a.program_id = recount_invitees.program_id
                       GROUP BY a.referrer_id) AS standing
             ON standing.referrer_id = m.member_id
     WHERE m.program_id = recount_invitees.program_id
       AND least(coalesce(standing.members, 0), 65) <> coalesce(m.invitees, 65);
END
$$;
COMMENT ON FUNCTION referral.recount_invitees(bigint) IS
'Members whose row says another number of invitees than the tree.';

CREATE FUNCTION referral.recount_caps(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = recount_caps.program_id);
    -- Where a campaign's count stops: no budget is larger.
    max_bigint CONSTANT bigint := 9223372036854775807;
BEGIN
    RETURN QUERY
    WITH qualified AS (
        SELECT a.referrer_id AS member_id,
               date_trunc('month', a.qualified_at AT TIME ZONE zone)::date AS month,
               count(*)::numeric AS paid_invitees
          FROM referral.attribution AS a
         WHERE a.program_id = recount_caps.program_id
           AND a.qualified_at IS NOT NULL
         GROUP BY a.referrer_id, date_trunc('month', a.qualified_at AT TIME ZONE zone)::date
    ), counted AS (
        SELECT i.member_id, i.month, sum(i.paid_invitees) AS paid_invitees
          FROM referral.invited AS i
         WHERE i.program_id = recount_caps.program_id
         GROUP BY i.member_id, i.month
    )
    SELECT 'invited_qualified',
           format('member %s month %s',
                  referral.member_name(recount_caps.program_id, member_id), month),
           coalesce(qualified.paid_invitees, 0), coalesce(counted.paid_invitees, 0),
           'The counted paid invitees are not the qualified attributions. '
               'CALL referral.rebuild() corrects it.',
           'invited', jsonb_build_object('member_id', member_id, 'month', month), 'paid_invitees'
      FROM qualified
           FULL JOIN counted USING (member_id, month)
     WHERE coalesce(qualified.paid_invitees, 0) <> coalesce(counted.paid_invitees, 0);

    RETURN QUERY
    WITH qualified AS (
        SELECT a.code_id, count(*)::numeric AS used
          FROM referral.attribution AS a
         WHERE a.program_id = recount_caps.program_id
           AND a.qualified_at IS NOT NULL
         GROUP BY a.code_id
    ), counted AS (
        SELECT c.code_id, c.cap, sum(c.used) AS used
          FROM (SELECT code.code_id, code.cap, code.used
                  FROM referral.code
                 WHERE code.program_id = recount_caps.program_id
                UNION ALL
                SELECT u.code_id, code.cap, u.used
                  FROM referral.code_use AS u
                       LEFT JOIN referral.code
                         ON code.program_id = u.program_id AND code.code_id = u.code_id
                 WHERE u.program_id = recount_caps.program_id) AS c
         GROUP BY c.code_id, c.cap
    )
    SELECT broken.invariant,
           format('code %s', coalesce((SELECT c.code
                                         FROM referral.code AS c
                                        WHERE c.program_id = recount_caps.program_id
                                          AND c.code_id = used_code.code_id),
                                      '#' || used_code.code_id)),
           broken.expected, broken.found, broken.hint,
           broken.counter, jsonb_build_object('code_id', code_id), 'used'
      FROM qualified
           FULL JOIN counted USING (code_id) AS used_code
           CROSS JOIN LATERAL (VALUES
               ('code_used', 'code_use', coalesce(qualified.used, 0), coalesce(counted.used, 0),
                'The counted uses are not the attributions by this code that qualified. '
                'CALL referral.rebuild() corrects it.'),
               ('code_cap', NULL, least(counted.cap, counted.used), counted.used,
                'More uses than the cap. If it was lowered since, raise it to the uses there are.')
           ) AS broken(invariant, counter, expected, found, hint)
     WHERE broken.expected <> broken.found;

    RETURN QUERY
    WITH granted AS (
        SELECT a.campaign_id, sum(r.amount_micro) AS amount_micro
          FROM referral.reward AS r
               JOIN referral.attribution AS a
                 ON a.program_id = r.program_id AND a.member_id = r.payer_id
         WHERE r.program_id = recount_caps.program_id
           AND a.campaign_id > 0
         GROUP BY a.campaign_id
    ), counted AS (
        SELECT s.campaign_id, sum(s.amount_micro) AS amount_micro
          FROM referral.campaign_spent AS s
         WHERE s.program_id = recount_caps.program_id
         GROUP BY s.campaign_id
    ), allowed AS (
        -- A budget that was lowered leaves what was granted before.
        SELECT b.campaign_id,
               CASE WHEN bool_and(b.budget_micro IS NOT NULL)
                    THEN max(b.budget_micro) END AS budget_micro
          FROM (SELECT c.campaign_id, c.budget_micro
                  FROM referral.campaign AS c
                 WHERE c.program_id = recount_caps.program_id
                UNION ALL
                SELECT (h.row_before ->> 'campaign_id')::bigint,
                       (h.row_before ->> 'budget_micro')::bigint
                  FROM referral.config_history AS h
                 WHERE h.program_id = recount_caps.program_id
                   AND h.relation = 'campaign') AS b
         GROUP BY b.campaign_id
    )
    SELECT broken.invariant, format('campaign %s', campaign_id),
           broken.expected, broken.found, broken.hint,
           broken.counter, jsonb_build_object('campaign_id', campaign_id), 'amount_micro'
      FROM granted
           FULL JOIN counted USING (campaign_id)
           LEFT JOIN allowed USING (campaign_id)
           CROSS JOIN LATERAL (VALUES
               ('campaign_spent', 'campaign_spent',
                least(coalesce(granted.amount_micro, 0), max_bigint),
                least(coalesce(counted.amount_micro, 0), max_bigint),
                'The counted amount is not the sum of the rewards under this campaign. '
                'CALL referral.rebuild() corrects it.'),
               ('campaign_budget', NULL,
                least(allowed.budget_micro, granted.amount_micro), granted.amount_micro,
                'More was granted than the budget ever was.')
           ) AS broken(invariant, counter, expected, found, hint)
     WHERE broken.expected <> broken.found;
END
$$;
COMMENT ON FUNCTION referral.recount_caps(bigint) IS
'Paid invitees, uses of codes and spent budgets that are not what attributions and rewards say, or
beyond their bounds.';

-- Also for move_funnel(), which asks by two zones.
CREATE FUNCTION referral.funnel_of(program_id bigint, time_zone text, OUT day date,
                                   OUT campaign_id bigint, OUT utm_key bigint, OUT clicks bigint,
                                   OUT attributed bigint, OUT review_required bigint,
                                   OUT rejected bigint, OUT qualified bigint, OUT rewarded bigint,
                                   OUT granted bigint, OUT capped bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT kept.day, kept.campaign_id, kept.utm_key, coalesce(came.clicks, 0),
           coalesce(joined.attributed, 0), coalesce(joined.review_required, 0),
           coalesce(joined.rejected, 0), coalesce(joined.qualified, 0),
           coalesce(joined.rewarded, 0), coalesce(joined.granted, 0), coalesce(joined.capped, 0)
      FROM (SELECT (k.clicked_at AT TIME ZONE funnel_of.time_zone)::date AS day, c.campaign_id,
                   k.utm_key, count(*) AS clicks
              FROM referral.click AS k
                   JOIN referral.code AS c
                     ON c.program_id = k.program_id AND c.code_id = k.code_id
             WHERE k.program_id = funnel_of.program_id
             GROUP BY 1, 2, 3) AS came
           FULL JOIN (
            SELECT (a.attributed_at AT TIME ZONE funnel_of.time_zone)::date AS day, a.campaign_id,
                   a.utm_key, count(*) AS attributed,
                   count(*) FILTER (WHERE a.decision = 'review_required') AS review_required,
                   count(*) FILTER (WHERE a.decision = 'rejected') AS rejected,
                   count(a.qualified_at) AS qualified,
                   count(a.rewarded_at) AS rewarded,
                   count(a.granted_at) AS granted,
                   count(*) FILTER (WHERE a.decision = 'capped') AS capped
              FROM referral.attribution AS a
             WHERE a.program_id = funnel_of.program_id
             GROUP BY 1, 2, 3) AS joined
             USING (day, campaign_id, utm_key) AS kept;
END
$$;
COMMENT ON FUNCTION referral.funnel_of(bigint, text) IS
'What the counters of the funnel are by the books, were this the program''s zone; clicks as far as
they were kept.';

CREATE FUNCTION referral.recount_funnel(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program AS p
                   WHERE p.program_id = recount_funnel.program_id);
    -- maintain() drops clicks of this age, then folds their counters into others:
    -- of the days before nothing can be told.
    kept_days integer := (
        SELECT least(greatest(p.click_days, p.attribution_days),
                     min(greatest((h.row_before ->> 'click_days')::integer,
                                  (h.row_before ->> 'attribution_days')::integer))
                         FILTER (WHERE h.row_before ? 'click_days'))
          FROM referral.program AS p
               LEFT JOIN referral.config_history AS h
                 ON h.program_id = p.program_id AND h.relation = 'program'
         WHERE p.program_id = recount_funnel.program_id
         GROUP BY p.click_days, p.attribution_days);
    since date := ((clock_timestamp() - kept_days * interval '24 hours') AT TIME ZONE zone)::date;
BEGIN
    RETURN QUERY
    WITH counted AS (
        SELECT f.day, f.campaign_id, f.utm_key, sum(f.clicks) AS clicks,
               sum(f.attributed) AS attributed, sum(f.review_required) AS review_required,
               sum(f.rejected) AS rejected, sum(f.qualified) AS qualified,
               sum(f.rewarded) AS rewarded, sum(f.granted) AS granted, sum(f.capped) AS capped
          FROM referral.funnel AS f
         WHERE f.program_id = recount_funnel.program_id
         GROUP BY f.day, f.campaign_id, f.utm_key
    )
    SELECT 'funnel_' || stage.name,
           format('day %s campaign %s utm key %s', day, campaign_id, utm_key),
           stage.expected::numeric, stage.found,
           'The counter is not the clicks or attributions behind it. '
               'CALL referral.rebuild() corrects it.',
           'funnel',
           jsonb_build_object('day', day, 'campaign_id', campaign_id, 'utm_key', utm_key),
           stage.name
      FROM referral.funnel_of(recount_funnel.program_id, zone) AS booked
           FULL JOIN counted USING (day, campaign_id, utm_key)
           CROSS JOIN LATERAL (VALUES
               ('clicks', CASE WHEN day < since THEN greatest(counted.clicks, 0)
                               ELSE greatest(booked.clicks, counted.clicks) END,
                coalesce(counted.clicks, 0)),
               ('attributed', coalesce(booked.attributed, 0), coalesce(counted.attributed, 0)),
               ('review_required', coalesce(booked.review_required, 0),
                coalesce(counted.review_required, 0)),
               ('rejected', coalesce(booked.rejected, 0), coalesce(counted.rejected, 0)),
               ('qualified', coalesce(booked.qualified, 0), coalesce(counted.qualified, 0)),
               ('rewarded', coalesce(booked.rewarded, 0), coalesce(counted.rewarded, 0)),
               ('granted', coalesce(booked.granted, 0), coalesce(counted.granted, 0)),
               ('capped', coalesce(booked.capped, 0), coalesce(counted.capped, 0))
           ) AS stage(name, expected, found)
     WHERE stage.expected <> stage.found;
END
$$;
COMMENT ON FUNCTION referral.recount_funnel(bigint) IS
'Counters of the funnel that are not what attributions say, or less than the clicks that are kept.';

CREATE FUNCTION referral.recount_accounts(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    WITH booked AS (
        SELECT moved.member_id, sum(moved.spent) AS spent, sum(moved.paid_out) AS paid_out,
               sum(moved.reserved) AS reserved, sum(moved.adjusted) AS adjusted,
               sum(moved.uncovered) AS uncovered
          FROM (SELECT s.member_id, s.amount_micro, 0, 0, 0, 0
                  FROM referral.spend AS s
                 WHERE s.program_id = recount_accounts.program_id
                   AND s.unspent_at IS NULL
                UNION ALL
                SELECT p.member_id, 0,
                       CASE WHEN p.status = 'sent' THEN p.amount_micro ELSE 0 END,
                       CASE WHEN p.status = 'sent' THEN 0 ELSE p.amount_micro END, 0, 0
                  FROM referral.payout AS p
                 WHERE p.program_id = recount_accounts.program_id
                   AND p.status IN ('requested', 'processing', 'sent')
                UNION ALL
                SELECT j.member_id, 0, 0, 0, j.amount_micro, 0
                  FROM referral.adjustment AS j
                 WHERE j.program_id = recount_accounts.program_id
                UNION ALL
                SELECT s.member_id, 0, 0, 0, 0, s.amount_micro
                  FROM referral.settlement AS s
                 WHERE s.program_id = recount_accounts.program_id
                   AND s.reward_id = 0
               ) AS moved(member_id, spent, paid_out, reserved, adjusted, uncovered)
         GROUP BY moved.member_id
    )
    SELECT sums.invariant, format('member %s', m.user_id),
           sums.expected::numeric, sums.found::numeric,
           sums.hint || ' CALL referral.rebuild() corrects it.',
           'account', jsonb_build_object('member_id', m.member_id), sums.value
      FROM referral.member AS m
           LEFT JOIN referral.account AS c
             ON c.program_id = m.program_id AND c.member_id = m.member_id
           LEFT JOIN booked ON booked.member_id = m.member_id
           CROSS JOIN LATERAL (VALUES
               ('member_account', NULL, 1, (c.member_id IS NOT NULL)::integer,
                'The row that is locked for exact sums is missing.'),
               ('account_spent', 'spent_micro',
                coalesce(booked.spent, 0), coalesce(c.spent_micro, 0),
                'Not the sum of his spends that were not undone.'),
               ('account_paid_out', 'paid_out_micro',
                coalesce(booked.paid_out, 0), coalesce(c.paid_out_micro, 0),
                'Not the sum of his payouts that were sent.'),
               ('account_reserved', 'reserved_micro',
                coalesce(booked.reserved, 0), coalesce(c.reserved_micro, 0),
                'Not the sum of his payouts that are open.'),
               ('account_adjusted', 'adjusted_micro',
                coalesce(booked.adjusted, 0), coalesce(c.adjusted_micro, 0),
                'Not the sum of his adjustments.'),
               ('account_uncovered', 'uncovered_micro',
                coalesce(booked.uncovered, 0), coalesce(c.uncovered_micro, 0),
                'Not the sum of his settlements that no reward covers.')
           ) AS sums(invariant, value, expected, found, hint)
     WHERE m.program_id = recount_accounts.program_id
       AND (c.spent_micro, c.paid_out_micro, c.reserved_micro, c.adjusted_micro,
            c.uncovered_micro)
           IS DISTINCT FROM (coalesce(booked.spent, 0), coalesce(booked.paid_out, 0),
                             coalesce(booked.reserved, 0), coalesce(booked.adjusted, 0),
                             coalesce(booked.uncovered, 0))
       AND sums.expected <> sums.found;
END
$$;
COMMENT ON FUNCTION referral.recount_accounts(bigint) IS
'Accounts that are missing or do not say what spends, payouts, adjustments and settlements do.';

CREATE FUNCTION referral.recount_closed(program_id bigint)
    RETURNS SETOF referral.miscount
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT 'reward_closed', format('reward %s as %s', reward_id, status),
           (ruled.amount_micro IS NOT NULL)::integer::numeric,
           (listed.program_id IS NOT NULL)::integer::numeric,
           'What is left of the reward says otherwise. CALL referral.rebuild() corrects it.',
           'reward_closed',
           jsonb_build_object('member_id', member_id, 'status', status, 'reward_id', reward_id),
           NULL
      FROM (SELECT r.member_id, r.closed COLLATE "C" AS status, r.reward_id, r.amount_micro
              FROM referral.reward_state AS r
             WHERE r.program_id = recount_closed.program_id
               AND r.closed IS NOT NULL) AS ruled
           FULL JOIN (SELECT * FROM referral.reward_closed AS of_program
                       WHERE of_program.program_id = recount_closed.program_id) AS listed
             USING (reward_id, member_id, status)
     WHERE ruled.amount_micro IS NULL OR listed.program_id IS NULL;
END
$$;
COMMENT ON FUNCTION referral.recount_closed(bigint) IS
'Rewards that are listed as used up or reversed and are not, or the other way round.';

CREATE FUNCTION referral.verify_counters(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT verify_counters.program_id, m.invariant, m.subject, m.expected, m.found, m.hint
      FROM (SELECT * FROM referral.recount_earnings(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_paid(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_levels(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_invitees(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_caps(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_funnel(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_accounts(verify_counters.program_id)
            UNION ALL
            SELECT * FROM referral.recount_closed(verify_counters.program_id)) AS m;
END
$$;
COMMENT ON FUNCTION referral.verify_counters(bigint) IS
'Part of verify(): every counter is what the books say.';
