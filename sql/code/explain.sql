-- Why a payment earned what it did, or nothing. The engine tells nothing here:
-- all is worked out again from the payment, the rewards, and the configuration
-- as config_history says it stood.

CREATE FUNCTION referral.member_name(program_id bigint, member_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT m.user_id
                       FROM referral.member AS m
                      WHERE m.program_id = member_name.program_id
                        AND m.member_id = member_name.member_id),
                    '#' || member_name.member_id);
END
$$;
COMMENT ON FUNCTION referral.member_name(bigint, bigint) IS
'The user_id of a member; # and his number if there is no such member.';

CREATE FUNCTION referral.config_at(
    program_id bigint,
    at timestamptz,
    OUT relation text,
    OUT config jsonb)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT stood.relation, stood.config
      FROM (SELECT 'program' AS relation, to_jsonb(p) AS config, p.valid_from
              FROM referral.program AS p WHERE p.program_id = config_at.program_id
            UNION ALL
            SELECT 'tier', to_jsonb(t), t.valid_from
              FROM referral.tier AS t WHERE t.program_id = config_at.program_id
            UNION ALL
            SELECT 'rate', to_jsonb(r) - '{tier_key,campaign_key}'::text[], r.valid_from
              FROM referral.rate AS r WHERE r.program_id = config_at.program_id
            UNION ALL
            SELECT 'campaign', to_jsonb(c), c.valid_from
              FROM referral.campaign AS c WHERE c.program_id = config_at.program_id
            UNION ALL
            SELECT h.relation,
                   h.row_before || jsonb_build_object('valid_from', h.valid_from,
                                                      'valid_to', h.valid_to,
                                                      'changed_by', h.changed_by),
                   h.valid_from
              FROM referral.config_history AS h
             WHERE h.program_id = config_at.program_id
               AND h.valid_to > config_at.at) AS stood
     WHERE stood.valid_from <= config_at.at;
END
$$;
COMMENT ON FUNCTION referral.config_at(bigint, timestamptz) IS
'Rows of program, tier, rate and campaign as they stood at an instant; those that stand no longer
say until when and who changed them.';

CREATE FUNCTION referral.rules_at(
    program_id bigint,
    campaign_id bigint,
    tier integer,
    level integer,
    at timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_agg(c.config ORDER BY (c.config ->> 'campaign_id')::bigint DESC,
                                                        (c.config ->> 'tier')::integer DESC), '[]')
              FROM referral.config_at(rules_at.program_id, rules_at.at) AS c
             WHERE c.relation = 'rate'
               AND (c.config ->> 'level')::integer = rules_at.level
               AND (c.config ->> 'campaign_id')::bigint IN (0, rules_at.campaign_id)
               AND (c.config ->> 'tier')::integer IN (0, rules_at.tier));
END
$$;
COMMENT ON FUNCTION referral.rules_at(bigint, bigint, integer, integer, timestamptz) IS
'The rates that stood for one level at an instant, the most specific first: that one is chosen,
alone (CONTRACT 3.4).';

CREATE FUNCTION referral.explain_tier(
    program_id bigint,
    member_id bigint,
    tier integer,
    at timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step jsonb := (SELECT c.config
                     FROM referral.config_at(explain_tier.program_id, explain_tier.at) AS c
                    WHERE c.relation = 'tier'
                      AND (c.config ->> 'tier')::integer = explain_tier.tier);
    last_set record;
BEGIN
    SELECT a.detail, a.actor, a.note, a.created_at
      INTO last_set
      FROM referral.member_audit AS a
     WHERE a.program_id = explain_tier.program_id
       AND a.member_id = explain_tier.member_id
       AND a.action = 'set_tier'
       AND a.created_at <= explain_tier.at
     ORDER BY a.audit_id DESC
     LIMIT 1;
    RETURN jsonb_build_object(
               'tier', explain_tier.tier,
               'label', step -> 'label',
               'min_paid_invitees', step -> 'min_paid_invitees')
           || CASE
              WHEN explain_tier.tier = 0 THEN '{"why": "no_tiers"}'::jsonb
              WHEN (last_set.detail ->> 'pinned')::boolean
               AND (last_set.detail ->> 'new_tier')::integer = explain_tier.tier
              THEN jsonb_build_object('why', 'pinned', 'actor', last_set.actor,
                                      'note', last_set.note, 'since', last_set.created_at)
              WHEN (step ->> 'min_paid_invitees')::bigint > 0 THEN '{"why": "paid_invitees"}'
              ELSE '{"why": "lowest"}'
              END;
END
$$;
COMMENT ON FUNCTION referral.explain_tier(bigint, bigint, integer, timestamptz) IS
'Why a member stood in a tier at an instant: no_tiers, pinned (by whom, why, since when),
paid_invitees, or lowest.';

CREATE FUNCTION referral.was_suspended(program_id bigint, member_id bigint, at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(
        (SELECT a.action = 'suspend'
           FROM referral.member_audit AS a
          WHERE a.program_id = was_suspended.program_id
            AND a.member_id = was_suspended.member_id
            AND a.action IN ('suspend', 'reinstate')
            AND a.created_at <= was_suspended.at
          ORDER BY a.audit_id DESC
          LIMIT 1),
        false);
END
$$;
COMMENT ON FUNCTION referral.was_suspended(bigint, bigint, timestamptz) IS
'Whether a member was suspended at an instant, by the audit.';

CREATE FUNCTION referral.reward_now(program_id bigint, reward_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object('status', listed.status,
                                      'reversed_micro', listed.reversed_micro,
                                      'written_off_micro', listed.written_off_micro)
              FROM referral.reward AS r
                   CROSS JOIN LATERAL referral.list_rewards(
                       referral.member_name(r.program_id, r.member_id), NULL, 1, 0,
                       r.reward_id + 1, r.program_id) AS listed
             WHERE r.program_id = reward_now.program_id
               AND r.reward_id = reward_now.reward_id);
END
$$;
COMMENT ON FUNCTION referral.reward_now(bigint, bigint) IS
'What became of a reward, as list_rewards() says it: status, reversed_micro, written_off_micro.';

CREATE FUNCTION referral.explain_level(
    program_id bigint,
    member_id bigint,
    level integer,
    campaign_id bigint,
    base_micro bigint,
    payment_no bigint,
    refused text,
    at timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    frozen record;
    own_tier integer;
    rules jsonb;
    rate_bps integer;
    flat_micro bigint;
    amount numeric;
    suspended boolean := referral.was_suspended($1, $2, explain_level.at);
BEGIN
    SELECT r.reward_id AS id, r.tier, r.rate_bps, r.flat_micro, r.amount_micro, r.created_at,
           r.available_at
      INTO frozen
      FROM referral.reward AS r
     WHERE r.program_id = explain_level.program_id
       AND r.reward_id = explain_level.payment_no * 16 + explain_level.level;
    own_tier := coalesce(frozen.tier, referral.effective_tier($1, $2));
    rules := referral.rules_at($1, explain_level.campaign_id, own_tier,
                               explain_level.level, explain_level.at);
    rate_bps := coalesce(frozen.rate_bps, (rules -> 0 ->> 'rate_bps')::integer, 0);
    flat_micro := coalesce(frozen.flat_micro, (rules -> 0 ->> 'flat_micro')::bigint, 0);
    amount := div(explain_level.base_micro::numeric * rate_bps, 10000) + flat_micro;

    RETURN jsonb_build_object(
        'level', explain_level.level,
        'user_id', referral.member_name($1, $2),
        'tier', referral.explain_tier($1, $2, own_tier, explain_level.at),
        'suspended', suspended,
        'rules', rules,
        'chosen', rules -> 0,
        'base_micro', explain_level.base_micro,
        'arithmetic', CASE WHEN jsonb_array_length(rules) > 0 THEN
            format('floor(%s x %s / 10000) + %s = floor(%s) + %s = %s',
                   explain_level.base_micro, rate_bps, flat_micro,
                   trim_scale(explain_level.base_micro * (rate_bps * 0.0001)), flat_micro,
                   amount) END,
        'reward', CASE WHEN frozen.id IS NOT NULL THEN
            jsonb_build_object('id', frozen.id,
                               'amount_micro', frozen.amount_micro,
                               'available_at', frozen.available_at,
                               'created_at', frozen.created_at)
            || referral.reward_now($1, frozen.id) END,
        'reason', CASE
            WHEN frozen.id IS NOT NULL THEN NULL
            WHEN suspended THEN 'suspended'
            WHEN jsonb_array_length(rules) = 0 THEN 'no_rate'
            WHEN amount = 0 THEN 'amount_zero'
            WHEN explain_level.refused IS NOT NULL THEN explain_level.refused
            WHEN rules -> 0 ->> 'max_payments' IS NOT NULL THEN 'max_payments_used'
        END);
END
$$;
COMMENT ON FUNCTION referral.explain_level(bigint, bigint, integer, bigint, bigint, bigint, text,
                                           timestamptz) IS
'What one payment earned on one level, by which rule and arithmetic; or why not: suspended, no_rate,
amount_zero, what the payment as such was refused for (refused), max_payments_used.
The tier is the reward''s; where there is none, that of today.';

CREATE FUNCTION referral.refused_payment(program_id bigint, payment_id text, stood jsonb)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT CASE
               WHEN NOT p.taken_in THEN 'not_taken_in'
               WHEN u.reason IS NOT NULL THEN u.reason
               WHEN m.member_id IS NULL THEN 'unknown_payer'
               WHEN a.user_id IS NULL THEN 'not_attributed'
               WHEN w.payment_id IS NOT NULL THEN 'waiting_for_review'
               WHEN p.kind = 'deposit' THEN 'deposit'
               WHEN coalesce(p.base_micro, p.amount_micro) = 0 THEN 'base_zero'
               WHEN a.decision IN ('rejected', 'capped') THEN a.decision
               WHEN p.occurred_at < a.attributed_at THEN 'before_attribution'
               WHEN p.occurred_at >= a.attributed_at
                    + (refused_payment.stood ->> 'earning_days')::integer * interval '24 hours'
               THEN 'earning_days_over'
               WHEN a.qualified_at IS NULL
                AND p.occurred_at >= a.attributed_at
                    + (refused_payment.stood ->> 'qualify_days')::integer * interval '24 hours'
               THEN 'expired'
               WHEN NOT (refused_payment.stood ->> 'active')::boolean THEN 'program_inactive'
               END
          FROM referral.payment AS p
               LEFT JOIN referral.member AS m
                 ON m.program_id = p.program_id AND m.user_id = p.user_id
               LEFT JOIN referral.attribution AS a
                 ON a.program_id = p.program_id AND a.user_id = p.user_id
               LEFT JOIN referral.payment_unrewarded AS u
                 ON u.program_id = p.program_id AND u.payment_id = p.payment_id
               LEFT JOIN referral.payment_waiting AS w
                 ON w.program_id = p.program_id AND w.member_id = a.member_id
                AND w.occurred_at = p.occurred_at AND w.payment_no = p.payment_no
         WHERE p.program_id = refused_payment.program_id
           AND p.payment_id = refused_payment.payment_id);
END
$$;
COMMENT ON FUNCTION referral.refused_payment(bigint, text, jsonb) IS
'Why a payment as such earned nothing; NULL if that depends on its levels.
stood: the row of program as it stood then.';

CREATE FUNCTION referral.explain_attribution(program_id bigint, user_id text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                       'attribution_id', a.attribution_id,
                       'referrer_user_id', referral.member_name(a.program_id, a.referrer_id),
                       'code', c.code,
                       'campaign_id', a.campaign_id,
                       'attributed_at', a.attributed_at,
                       'qualified_at', a.qualified_at,
                       'rewarded_at', a.rewarded_at,
                       'status', referral.attribution_status(a.program_id, a.user_id))
              FROM referral.attribution AS a
                   LEFT JOIN referral.code AS c
                     ON c.program_id = a.program_id AND c.code_id = a.code_id
             WHERE a.program_id = explain_attribution.program_id
               AND a.user_id = explain_attribution.user_id);
END
$$;
COMMENT ON FUNCTION referral.explain_attribution(bigint, text) IS
'Who referred a user, by which code, and what became of it; NULL if nobody did.';

CREATE FUNCTION referral.explain_levels(
    program_id bigint,
    payment_id text,
    stood jsonb,
    refused text,
    at timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paid record;
    highest integer;
BEGIN
    SELECT p.payment_no, coalesce(p.base_micro, p.amount_micro) AS base_micro,
           a.member_id, a.campaign_id
      INTO paid
      FROM referral.payment AS p
           JOIN referral.attribution AS a
             ON a.program_id = p.program_id AND a.user_id = p.user_id
     WHERE p.program_id = explain_levels.program_id
       AND p.payment_id = explain_levels.payment_id;
    SELECT max(r.level)
      INTO highest
      FROM referral.reward AS r
     WHERE r.program_id = explain_levels.program_id
       AND r.reward_id BETWEEN paid.payment_no * 16 AND paid.payment_no * 16 + 15;

    -- Whoever was attributed later than the payment stood on top of its line
    -- then, unless a reward shows that he did not.
    RETURN (
        WITH RECURSIVE line(member_id, level) AS (
            SELECT paid.member_id, 0
             WHERE paid.member_id IS NOT NULL
            UNION ALL
            SELECT a.referrer_id, line.level + 1
              FROM line
                   JOIN referral.member AS m
                     ON m.program_id = explain_levels.program_id AND m.member_id = line.member_id
                   JOIN referral.attribution AS a
                     ON a.program_id = m.program_id AND a.user_id = m.user_id
             WHERE line.level < (explain_levels.stood ->> 'max_level')::integer
               AND (a.created_at <= explain_levels.at OR line.level < greatest(highest, 1))
        )
        SELECT coalesce(jsonb_agg(
                   referral.explain_level(explain_levels.program_id, line.member_id, line.level,
                                          paid.campaign_id, paid.base_micro, paid.payment_no,
                                          explain_levels.refused, explain_levels.at)
                   ORDER BY line.level), '[]')
          FROM line);
END
$$;
COMMENT ON FUNCTION referral.explain_levels(bigint, text, jsonb, text, timestamptz) IS
'explain_level() of every level of a payment''s line as it stood.';

CREATE FUNCTION referral.explain_changes(
    program_id bigint,
    payment_id text,
    level integer DEFAULT NULL)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        WITH paid AS (
            SELECT p.program_id, p.payment_id, p.payment_no
              FROM referral.payment AS p
             WHERE p.program_id = explain_changes.program_id
               AND p.payment_id = explain_changes.payment_id
        ), rewards AS (
            SELECT r.*,
                   jsonb_build_object(
                       'reward_id', r.reward_id,
                       'level', r.level,
                       'user_id', referral.member_name(r.program_id, r.member_id)) AS facts
              FROM paid
                   JOIN referral.reward AS r
                     ON r.program_id = paid.program_id
                    AND r.reward_id BETWEEN paid.payment_no * 16 AND paid.payment_no * 16 + 15
             WHERE coalesce(r.level = explain_changes.level, true)
        ), refunds AS (
            SELECT g.*,
                   lag(g.total_micro, 1, 0::bigint) OVER (ORDER BY g.total_micro) AS before_micro
              FROM paid
                   JOIN referral.refund_applied AS g USING (program_id, payment_no)
        ), changes AS (
            SELECT g.applied_at AS at, g.total_micro AS place,
                   jsonb_build_object(
                       'change', 'refund',
                       'at', g.applied_at,
                       'refund_id', g.refund_id,
                       'amount_micro', g.total_micro - g.before_micro,
                       'total_micro', g.total_micro,
                       'reason', f.reason,
                       'rewards', (
                           SELECT coalesce(jsonb_agg(
                                      r.facts || jsonb_build_object(
                                          'reversed_micro',
                                          taken.reversed_micro - former.reversed_micro,
                                          'written_off_micro',
                                          taken.written_off_micro - former.written_off_micro)
                                      ORDER BY r.level), '[]')
                             FROM rewards AS r
                                  CROSS JOIN LATERAL referral.reversal(
                                      r.program_id, r.reward_id, r.amount_micro, r.base_micro,
                                      g.total_micro) AS taken
                                  CROSS JOIN LATERAL referral.reversal(
                                      r.program_id, r.reward_id, r.amount_micro, r.base_micro,
                                      g.before_micro) AS former)) AS facts
              FROM refunds AS g
                   LEFT JOIN referral.refund AS f USING (program_id, refund_id)
            UNION ALL
            SELECT f.arrived_at, w.refund_no,
                   jsonb_build_object(
                       'change', 'refund_waiting',
                       'at', f.arrived_at,
                       'refund_id', w.refund_id,
                       'amount_micro', w.amount_micro,
                       'reason', f.reason)
              FROM paid
                   JOIN referral.refund_waiting AS w USING (program_id, payment_id)
                   LEFT JOIN referral.refund AS f USING (program_id, refund_id)
            UNION ALL
            SELECT coalesce(s.spent_at, p.completed_at), u.settlement_no,
                   r.facts || jsonb_build_object(
                       'change', u.kind,
                       'at', coalesce(s.spent_at, p.completed_at),
                       'amount_micro', u.amount_micro)
                   || CASE u.kind WHEN 'spent' THEN jsonb_build_object('spend_id', s.spend_id)
                                  ELSE jsonb_build_object('payout_id', p.payout_id) END
              FROM rewards AS r
                   JOIN referral.settlement AS u USING (program_id, member_id, reward_id)
                   LEFT JOIN referral.spend AS s
                     ON u.kind = 'spent' AND s.program_id = u.program_id
                    AND s.member_id = u.member_id AND s.spend_no = u.settler_no
                   LEFT JOIN referral.payout AS p
                     ON u.kind = 'paid_out' AND p.program_id = u.program_id
                    AND p.member_id = u.member_id AND p.payout_no = u.settler_no
            UNION ALL
            SELECT coalesce(g.settled_at, g.claimed_at), r.reward_id,
                   r.facts || jsonb_build_object(
                       'change', 'grant_' || g.state,
                       'at', coalesce(g.settled_at, g.claimed_at),
                       'attempts', g.attempts,
                       'error', g.error)
              FROM rewards AS r
                   JOIN referral.reward_grant AS g USING (program_id, reward_id)
             WHERE g.state IS NOT NULL
        )
        SELECT coalesce(jsonb_agg(changes.facts ORDER BY changes.at,
                                  changes.facts ->> 'change', changes.place), '[]')
          FROM changes);
END
$$;
COMMENT ON FUNCTION referral.explain_changes(bigint, text, integer) IS
'What happened to a payment''s rewards since, in order of time: refund (and how much it took back of
each reward or let go), refund_waiting, spent, paid_out, and how a grant stands (grant_claimed,
grant_failed, grant_confirmed, grant_void).
level: only the reward of this one; NULL for all. Amounts are in micro-units. A part of a spend or
payout that was laid on a reward later, because it was owed, has the time of the spend or payout.';

CREATE FUNCTION referral.explain_payment(
    payment_id text,
    program_id bigint DEFAULT referral.current_program())
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paid record;
    stood jsonb;
    refused text;
    levels jsonb := '[]';
BEGIN
    SELECT p.user_id, p.occurred_at, to_jsonb(p) AS facts,
           r.available_at,
           -- later than its arrival if it waited, or was taken in by backfill()
           greatest(p.arrived_at, r.created_at, review.decided_at) AS processed_at
      INTO paid
      FROM referral.payment AS p
           LEFT JOIN LATERAL (
               SELECT first.available_at, first.created_at
                 FROM referral.reward AS first
                WHERE first.program_id = p.program_id
                  AND first.reward_id BETWEEN p.payment_no * 16 AND p.payment_no * 16 + 15
                LIMIT 1) AS r ON true
           LEFT JOIN referral.attribution AS a
             ON a.program_id = p.program_id AND a.user_id = p.user_id
           LEFT JOIN referral.attribution_review AS review
             ON review.program_id = a.program_id AND review.attribution_id = a.attribution_id
                AND p.arrived_at BETWEEN review.held_at AND review.decided_at
     WHERE p.program_id = explain_payment.program_id
       AND p.payment_id = explain_payment.payment_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    SELECT c.config INTO stood
      FROM referral.config_at($2, paid.processed_at) AS c
     WHERE c.relation = 'program';

    IF paid.available_at IS NULL THEN
        refused := referral.refused_payment($2, $1, stood);
    END IF;
    IF refused IS NULL OR refused = 'budget_used_up' THEN
        levels := referral.explain_levels($2, $1, stood, refused, paid.processed_at);
    END IF;
    IF paid.available_at IS NULL AND refused IS NULL THEN
        refused := CASE WHEN jsonb_path_exists(levels, '$[*] ? (@.reason == null)')
                        THEN 'processed_too_early' ELSE 'no_level_earned' END;
    END IF;

    RETURN jsonb_build_object(
        'payment', paid.facts,
        'outcome', CASE WHEN refused IS NULL THEN 'rewarded' ELSE 'nothing_earned' END,
        'reason', refused,
        'processed_at', paid.processed_at,
        'attribution', referral.explain_attribution($2, paid.user_id),
        'program', stood,
        'hold', jsonb_build_object(
            'hold_days', stood -> 'hold_days',
            'time_zone', stood -> 'time_zone',
            'occurred_at_local', paid.occurred_at AT TIME ZONE (stood ->> 'time_zone'),
            'available_at_local', paid.available_at AT TIME ZONE (stood ->> 'time_zone'),
            'available_at', paid.available_at),
        'levels', levels,
        'changes', referral.explain_changes($2, $1));
END
$$;
COMMENT ON FUNCTION referral.explain_payment(text, bigint) IS
'Why a payment earned what it did, or nothing: the payment, the attribution, the program and the
rates as they stood, which was chosen on each level, base, rounding, hold, later changes.
payment_id: as the application named it; NULL is returned for an unknown one. Amounts are in
micro-units. reason is null, or one of not_taken_in, unknown_payer, not_attributed,
waiting_for_review, deposit, base_zero, rejected, capped, before_attribution, earning_days_over,
expired, program_inactive, budget_used_up, no_level_earned (each level says why),
processed_too_early (before the attribution was seen).';

CREATE FUNCTION referral.explain_reward(
    id bigint,
    program_id bigint DEFAULT referral.current_program())
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    frozen record;
    explained jsonb;
BEGIN
    SELECT r.payment_id, r.level, to_jsonb(r) AS facts
      INTO frozen
      FROM referral.reward AS r
     WHERE r.program_id = explain_reward.program_id
       AND r.reward_id = explain_reward.id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    explained := referral.explain_payment(frozen.payment_id, $2);
    RETURN explained - '{levels,outcome,reason}'::text[]
           || jsonb_build_object(
               'reward', frozen.facts || referral.reward_now($2, $1),
               'changes', referral.explain_changes($2, frozen.payment_id, frozen.level))
           || coalesce((SELECT e.level - '{reward,reason}'::text[]
                          FROM jsonb_array_elements(explained -> 'levels') AS e(level)
                         WHERE (e.level ->> 'level')::integer = frozen.level), '{}');
END
$$;
COMMENT ON FUNCTION referral.explain_reward(bigint, bigint) IS
'Why a reward is what it is: the payment behind it, the beneficiary''s tier and why he had it, the
rates that stood and the one chosen, base, rounding, hold, later changes.
id: of list_rewards; NULL is returned for an unknown one. Amounts are in micro-units.';
