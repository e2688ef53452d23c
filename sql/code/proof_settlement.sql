-- Proof: spends, payouts, what they settled, and grants. See proof.sql.

CREATE FUNCTION referral.verify_settlements(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- Later than all that this statement sees.
    as_of timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH settler AS (
        SELECT s.member_id, 'spent' AS kind, s.spend_no AS settler_no, s.amount_micro,
               'spend ' || s.spend_id AS subject
          FROM referral.spend AS s
         WHERE s.program_id = verify_settlements.program_id
           AND s.unspent_at IS NULL
        UNION ALL
        SELECT p.member_id, 'paid_out', p.payout_no, p.amount_micro, 'payout ' || p.payout_id
          FROM referral.payout AS p
         WHERE p.program_id = verify_settlements.program_id
           AND p.status = 'sent'
    ), settled AS (
        SELECT s.member_id, s.kind, s.settler_no, sum(s.amount_micro) AS amount_micro
          FROM referral.settlement AS s
         WHERE s.program_id = verify_settlements.program_id
         GROUP BY s.member_id, s.kind, s.settler_no
    )
    SELECT verify_settlements.program_id, 'settlement_sum',
           coalesce(settler.subject,
                    format('%s number %s of member %s', kind, settler_no,
                           referral.member_name(verify_settlements.program_id, member_id))),
           coalesce(settler.amount_micro, 0)::numeric, coalesce(settled.amount_micro, 0),
           'Its settlements are not its amount, or it is not there, was undone or not sent.'
      FROM settler
           FULL JOIN settled USING (member_id, kind, settler_no)
     WHERE coalesce(settler.amount_micro, 0) <> coalesce(settled.amount_micro, 0);

    RETURN QUERY
    WITH settled AS (
        SELECT s.member_id, sum(s.amount_micro) AS amount_micro
          FROM referral.settlement AS s
         WHERE s.program_id = verify_settlements.program_id
         GROUP BY s.member_id
    )
    SELECT verify_settlements.program_id, 'settlement_member',
           format('member %s', referral.member_name(verify_settlements.program_id, member_id)),
           due.amount_micro, coalesce(settled.amount_micro, 0),
           'All his settlements together are not what his account says was spent and paid out.'
      FROM (SELECT * FROM referral.account AS of_program
             WHERE of_program.program_id = verify_settlements.program_id) AS c
           FULL JOIN settled USING (member_id)
           CROSS JOIN LATERAL (
               SELECT coalesce(c.spent_micro::numeric + c.paid_out_micro, 0) AS amount_micro) AS due
     WHERE due.amount_micro <> coalesce(settled.amount_micro, 0);

    RETURN QUERY
    SELECT s.program_id, 'settlement_reward',
           format('settlement %s of reward %s', s.settlement_no, s.reward_id),
           1::numeric, 0::numeric,
           'Not an amount of an available reward of the same member.'
      FROM referral.settlement AS s
           LEFT JOIN referral.reward AS r
             ON r.program_id = s.program_id AND r.reward_id = s.reward_id
            AND r.member_id = s.member_id
     WHERE s.program_id = verify_settlements.program_id
       AND (s.amount_micro <= 0 OR s.kind NOT IN ('spent', 'paid_out')
            OR s.reward_id <> 0 AND (r.reward_id IS NULL OR r.available_at > as_of));

    RETURN QUERY
    SELECT r.program_id, 'settlement_excess', format('reward %s', r.reward_id),
           (r.amount_micro - r.reversed_micro)::numeric, r.settled_micro,
           'More of it was used up than refunds left of it.'
      FROM referral.reward_state AS r
     WHERE r.program_id = verify_settlements.program_id
       AND r.settled_micro > r.amount_micro - r.reversed_micro
       AND r.settled_micro <> 0;

    RETURN QUERY
    SELECT p.program_id, 'payout_state', format('payout %s', p.payout_id), 1::numeric, 0::numeric,
           'Its times do not go with its status, or its network without an address.'
      FROM referral.payout AS p
     WHERE p.program_id = verify_settlements.program_id
       AND ((p.completed_at IS NOT NULL) <> (p.status IN ('sent', 'failed', 'cancelled'))
            OR p.status = 'requested' AND p.processing_at IS NOT NULL
            OR p.status = 'processing' AND p.processing_at IS NULL
            OR p.processing_at < p.requested_at
            OR p.completed_at < coalesce(p.processing_at, p.requested_at)
            OR (p.network IS NULL) <> (p.address IS NULL));
END
$$;
COMMENT ON FUNCTION referral.verify_settlements(bigint) IS
'Part of verify(): settlements add up, per spend or payout, per member and per reward; payouts are
in one state.';

CREATE FUNCTION referral.verify_grants(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- NULL where the program changed its mind: which rewards came before is not
    -- recorded to the microsecond.
    always boolean := (SELECT CASE WHEN bool_and(u.uses_grants) THEN true
                                   WHEN NOT bool_or(u.uses_grants) THEN false END
                         FROM (SELECT p.uses_grants
                                 FROM referral.program AS p
                                WHERE p.program_id = verify_grants.program_id
                               UNION ALL
                               SELECT (h.row_before ->> 'uses_grants')::boolean
                                 FROM referral.config_history AS h
                                WHERE h.program_id = verify_grants.program_id
                                  AND h.relation = 'program') AS u);
BEGIN
    RETURN QUERY
    SELECT verify_grants.program_id, broken.invariant, format('reward %s', reward_id),
           broken.expected::numeric, broken.found::numeric, broken.hint
      FROM (SELECT g.reward_id, g.available_at,
                   CASE g.state
                   WHEN 'claimed' THEN g.settled_at IS NULL AND g.attempts > 0
                                       AND g.claimed_at IS NOT NULL
                   WHEN 'failed' THEN g.settled_at IS NULL
                   WHEN 'confirmed' THEN g.settled_at IS NOT NULL
                   WHEN 'void' THEN g.settled_at IS NOT NULL
                   ELSE g.settled_at IS NULL AND g.claimed_at IS NULL END AS is_consistent
              FROM referral.reward_grant AS g
             WHERE g.program_id = verify_grants.program_id) AS g
           FULL JOIN (SELECT r.reward_id, r.available_at
                        FROM referral.reward AS r
                       WHERE r.program_id = verify_grants.program_id) AS r
             USING (reward_id)
           CROSS JOIN LATERAL (VALUES
               ('grant_reward', 1,
                (g.reward_id IS NULL
                 OR coalesce(g.available_at = r.available_at, false))::integer,
                'A grant of a reward that is not there, or becomes available at another time.'),
               ('grant_made', coalesce(always, g.reward_id IS NOT NULL)::integer,
                (g.reward_id IS NOT NULL)::integer,
                'The program grants all rewards, or none, and has always done so.'),
               ('grant_state', 1, coalesce(g.is_consistent, true)::integer,
                'Its times and attempts do not go with its state.')
           ) AS broken(invariant, expected, found, hint)
     WHERE (g.reward_id IS NOT NULL,
            coalesce(g.available_at = r.available_at, g.reward_id IS NULL),
            coalesce(g.is_consistent, true))
           <> (coalesce(always, g.reward_id IS NOT NULL), true, true)
       AND broken.expected <> broken.found
       AND (r.reward_id IS NOT NULL OR broken.invariant = 'grant_reward');

    RETURN QUERY
    SELECT g.program_id, 'grant_void', format('reward %s', g.reward_id),
           r.amount_micro::numeric, r.reversed_micro::numeric,
           'It is marked as reversed in full before it was granted, and is not.'
      FROM referral.reward_grant AS g
           JOIN referral.reward_state AS r
             ON r.program_id = g.program_id AND r.reward_id = g.reward_id
     WHERE g.program_id = verify_grants.program_id
       AND g.state = 'void'
       AND r.reversed_micro < r.amount_micro;

    RETURN QUERY
    SELECT a.program_id, 'attribution_granted', format('member %s', a.user_id),
           (confirmed.payer_id IS NOT NULL)::integer::numeric,
           (a.granted_at IS NOT NULL)::integer::numeric,
           'granted_at says otherwise than the grants of the rewards that his payments made.'
      FROM referral.attribution AS a
           LEFT JOIN (SELECT DISTINCT r.payer_id
                        FROM referral.reward_grant AS g
                             JOIN referral.reward AS r
                               ON r.program_id = g.program_id AND r.reward_id = g.reward_id
                       WHERE g.program_id = verify_grants.program_id
                         AND g.state = 'confirmed') AS confirmed
             ON confirmed.payer_id = a.member_id
     WHERE a.program_id = verify_grants.program_id
       AND (confirmed.payer_id IS NOT NULL) <> (a.granted_at IS NOT NULL);
END
$$;
COMMENT ON FUNCTION referral.verify_grants(bigint) IS
'Part of verify(): grants belong to rewards and are in one state.';
