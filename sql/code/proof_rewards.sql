-- Proof: rewards, and who stands above whom. See proof.sql.

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
           'No earning payment of his has the time qualified_at and the number first_payment_no.'
      FROM referral.attribution AS a
     WHERE a.program_id = verify_attributions.program_id
       AND (a.qualified_at IS NOT NULL OR a.first_payment_no IS NOT NULL)
       AND NOT EXISTS (SELECT FROM referral.payment AS p
                        WHERE p.program_id = a.program_id
                          AND p.user_id = a.user_id
                          AND p.occurred_at = a.qualified_at
                          -- NULL: qualified under a data model that did not note it
                          AND p.payment_no = coalesce(a.first_payment_no, p.payment_no)
                          AND p.taken_in
                          AND p.kind <> 'deposit'
                          AND coalesce(p.base_micro, p.amount_micro) > 0);
END
$$;
COMMENT ON FUNCTION referral.verify_attributions(bigint) IS
'Part of verify(): what became of attributions is what payments and rewards say.';

CREATE FUNCTION referral.verify_reviews(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT verify_reviews.program_id, broken.invariant, format('member %s', a.user_id),
           broken.expected::integer::numeric, broken.found::integer::numeric, broken.hint
      FROM referral.attribution AS a
           LEFT JOIN referral.attribution_review AS r
             ON r.program_id = a.program_id AND r.attribution_id = a.attribution_id
           CROSS JOIN LATERAL (VALUES
               ('review_open', r.attribution_id IS NOT NULL AND r.decision IS NULL,
                coalesce(a.decision = 'review_required', false),
                'In review, but not held for any, or decided; or the other way round: a row was '
                'changed past approve_attribution() and reject_attribution().'),
               ('review_rejected', r.decision = 'rejected',
                coalesce(a.decision = 'rejected', false),
                'Rejected, but not by the review; or the other way round: a row was changed past '
                'approve_attribution() and reject_attribution().')
           ) AS broken(invariant, expected, found, hint)
     WHERE a.program_id = verify_reviews.program_id
       -- NULL: never held, or not decided
       AND broken.expected <> broken.found;
END
$$;
COMMENT ON FUNCTION referral.verify_reviews(bigint) IS
'Part of verify(): attributions stand as their reviews were decided.';
