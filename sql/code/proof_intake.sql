-- Proof, first part: what came in. See proof.sql.

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

-- For verify(), which names them, and maintain(), which applies those that fit.
CREATE FUNCTION referral.late_refunds(program_id bigint, OUT payment_id text, OUT refund_id text,
                                      OUT refund_no bigint, OUT amount_micro bigint,
                                      OUT left_micro numeric)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT w.payment_id::text, w.refund_id::text, w.refund_no, w.amount_micro,
           coalesce(p.base_micro, p.amount_micro)::numeric - coalesce(f.total_micro, 0)
      FROM referral.refund_waiting AS w
           JOIN referral.payment AS p
             ON p.program_id = w.program_id AND p.payment_id = w.payment_id
           -- few wait so, so that of the many that were applied none is read but theirs
           LEFT JOIN LATERAL (SELECT a.total_micro
                                FROM referral.refund_applied AS a
                               WHERE a.program_id = p.program_id
                                 AND a.payment_no = p.payment_no
                               ORDER BY a.total_micro DESC
                               LIMIT 1) AS f ON true
     WHERE w.program_id = late_refunds.program_id
       AND p.taken_in
       AND NOT EXISTS (SELECT FROM referral.payment_waiting AS x
                        WHERE x.program_id = p.program_id AND x.payment_id = p.payment_id);
END
$$;
COMMENT ON FUNCTION referral.late_refunds(bigint) IS
'Refunds that wait although their payment was processed, and what is left of its base; more than
that does not fit.';

CREATE FUNCTION referral.verify_refunds(program_id bigint)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT f.program_id, 'refund_taken_in', format('refund %s', f.refund_id),
           1::numeric, 0::numeric,
           format('No trigger saw it: CALL referral.backfill(''referral.refund'', program_id => %s).',
                  f.program_id)
      FROM referral.refund AS f
     WHERE f.program_id = verify_refunds.program_id
       AND NOT f.taken_in;

    RETURN QUERY
    SELECT f.program_id, 'refund_number', format('refund number %s', f.refund_no),
           1::numeric, count(*)::numeric,
           'Refunds share a number: the sequence referral.refund_no_seq was set back.'
      FROM referral.refund AS f
     WHERE f.program_id = verify_refunds.program_id
     GROUP BY f.program_id, f.refund_no
    HAVING count(*) > 1;

    -- What became of each: applied, which adds it to the total, or waiting.
    RETURN QUERY
    WITH fate AS (
        SELECT a.refund_id, a.refund_no, a.payment_no, NULL AS payment_id,
               a.total_micro::numeric
                   - lag(a.total_micro, 1, 0::bigint)
                         OVER (PARTITION BY a.payment_no ORDER BY a.total_micro) AS amount_micro
          FROM referral.refund_applied AS a
         WHERE a.program_id = verify_refunds.program_id
        UNION ALL
        SELECT w.refund_id, w.refund_no, NULL, w.payment_id, w.amount_micro
          FROM referral.refund_waiting AS w
         WHERE w.program_id = verify_refunds.program_id
    ), judged AS (
        SELECT coalesce(f.refund_id, fate.refund_id) AS refund_id, f.taken_in, f.amount_micro,
               count(fate.refund_id) AS fates,
               min(fate.amount_micro) AS booked_micro,
               bool_and(fate.refund_no = f.refund_no
                        AND coalesce(fate.payment_id = f.payment_id,
                                     fate.payment_no = p.payment_no, false)) AS is_it
          FROM (SELECT * FROM referral.refund AS of_program
                 WHERE of_program.program_id = verify_refunds.program_id) AS f
               LEFT JOIN referral.payment AS p
                 ON p.program_id = f.program_id AND p.payment_id = f.payment_id
               FULL JOIN fate ON fate.refund_id = f.refund_id
         GROUP BY coalesce(f.refund_id, fate.refund_id), f.taken_in, f.amount_micro
    )
    SELECT verify_refunds.program_id, broken.invariant,
           format('refund %s', judged.refund_id), broken.expected, broken.found, broken.hint
      FROM judged
           CROSS JOIN LATERAL (VALUES
               ('refund_once', coalesce(judged.taken_in, false)::integer::numeric,
                judged.fates::numeric,
                'Not applied or waiting just once: a row was changed past the engine.'),
               ('refund_amount', judged.amount_micro::numeric, judged.booked_micro,
                'It counts with another amount than it was written with.'),
               ('refund_payment', 1::numeric, judged.is_it::integer::numeric,
                'It counts with another number, or for another payment.')
           ) AS broken(invariant, expected, found, hint)
     WHERE broken.expected <> broken.found
       AND (judged.fates = 1 OR broken.invariant = 'refund_once');

    RETURN QUERY
    SELECT verify_refunds.program_id, 'refund_base',
           coalesce('payment ' || p.payment_id, 'payment number ' || a.payment_no),
           coalesce(p.base_micro, p.amount_micro, 0)::numeric, a.total_micro::numeric,
           'More was given back than the base: one of the two was changed past the engine.'
      FROM (SELECT f.payment_no, max(f.total_micro) AS total_micro
              FROM referral.refund_applied AS f
             WHERE f.program_id = verify_refunds.program_id
             GROUP BY f.payment_no) AS a
           LEFT JOIN referral.payment AS p
             ON p.program_id = verify_refunds.program_id AND p.payment_no = a.payment_no
     WHERE a.total_micro > coalesce(p.base_micro, p.amount_micro, 0);

    RETURN QUERY
    WITH applied AS (
        SELECT a.payment_no, a.total_micro,
               lag(a.total_micro, 1, 0::bigint)
                   OVER (PARTITION BY a.payment_no ORDER BY a.total_micro) AS total_before
          FROM referral.refund_applied AS a
         WHERE a.program_id = verify_refunds.program_id
    )
    SELECT verify_refunds.program_id, 'write_off',
           format('reward %s at %s given back', w.reward_id, w.total_micro),
           coalesce(due.increase, 0), w.amount_micro::numeric,
           'No more can be let go of a reward than the refund should have taken back of it.'
      FROM referral.write_off AS w
           LEFT JOIN referral.reward AS r
             ON r.program_id = w.program_id AND r.reward_id = w.reward_id
           LEFT JOIN applied AS a
             ON a.payment_no = w.reward_id / 16 AND a.total_micro = w.total_micro
           CROSS JOIN LATERAL (
               SELECT div(r.amount_micro::numeric * a.total_micro, nullif(r.base_micro, 0))
                      - div(r.amount_micro::numeric * a.total_before, nullif(r.base_micro, 0))
                          AS increase) AS due
     WHERE w.program_id = verify_refunds.program_id
       AND w.amount_micro NOT BETWEEN 1 AND coalesce(due.increase, 0);

    RETURN QUERY
    SELECT verify_refunds.program_id, 'refund_waiting', format('refund %s', late.refund_id),
           CASE WHEN late.amount_micro <= late.left_micro THEN 0 ELSE late.left_micro END,
           late.amount_micro::numeric,
           CASE WHEN late.amount_micro <= late.left_micro
                THEN 'Its payment came at the same moment: CALL referral.maintain() applies it.'
                ELSE 'It came before its payment and is more than is left of its base. It counts '
                     'for nothing; write what was really given back under another refund_id.'
           END
      FROM referral.late_refunds(verify_refunds.program_id) AS late;
END
$$;
COMMENT ON FUNCTION referral.verify_refunds(bigint) IS
'Part of verify(): every refund was taken in, and is applied or waits, once; none is more than its
payment.';
