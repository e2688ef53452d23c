-- What operators read: attributions, the funnel, the leaderboard (CONTRACT section 6).

-- One at a time, and each of its parts by a key: so that no plan depends on
-- what is known of the tables' sizes.
CREATE FUNCTION referral.attribution_row_of(program_id bigint, attribution_id bigint)
    RETURNS referral.attribution_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    answer referral.attribution_row;
BEGIN
    SELECT a.attribution_id,
           referral.status_of(a.decision, a.attributed_at, a.qualified_at, a.rewarded_at,
                              a.granted_at, p.qualify_days, p.uses_grants),
           (SELECT c.code FROM referral.code AS c
             WHERE c.program_id = a.program_id AND c.code_id = a.code_id),
           coalesce(a.utm_campaign,
                    (SELECT k.name FROM referral.campaign AS k
                      WHERE k.program_id = a.program_id AND k.campaign_id = a.campaign_id)),
           a.user_id,
           (SELECT m.display_name FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.member_id),
           (SELECT m.user_id FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.referrer_id),
           (SELECT m.display_name FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.referrer_id),
           a.attributed_at,
           a.attributed_at + p.qualify_days * interval '24 hours',
           a.qualified_at,
           a.rewarded_at,
           a.granted_at,
           p.uses_grants AND a.rewarded_at IS NOT NULL AND a.granted_at IS NULL,
           made.payment_id,
           CASE WHEN a.first_payment_no IS NOT NULL THEN coalesce(made.amount_micro, 0) END,
           a.click_id
      INTO answer
      FROM referral.attribution AS a
           JOIN referral.program AS p ON p.program_id = a.program_id
           CROSS JOIN LATERAL (
               SELECT min(r.payment_id) AS payment_id, sum(r.amount_micro) AS amount_micro
                 FROM referral.reward AS r
                WHERE r.program_id = a.program_id
                  AND r.reward_id BETWEEN a.first_payment_no * 16 AND a.first_payment_no * 16 + 15
           ) AS made
     WHERE a.program_id = attribution_row_of.program_id
       AND a.attribution_id = attribution_row_of.attribution_id;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral.attribution_row_of(bigint, bigint) IS
'An attribution as list_attributions() shows it, NULL where there is none.
payment_id and reward_micro are found by the rewards of the payment that qualified it: payment_id is
NULL where that made none.';
