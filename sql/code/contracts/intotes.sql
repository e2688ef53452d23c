-- The contract /intotes (CONTRACT section 9; the pages api/referrals of its
-- documentation). http/routes.conf names the endpoints. Amounts are kopecks:
-- hundredths of the currency, 10,000 micro-units, rounded down.

CREATE FUNCTION referral.intotes_info()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    n CONSTANT referral.network_row := referral.network(me.user_id, 3, 10000, me.program_id);
BEGIN
    IF n IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN json_build_object(
        'referral_code', n.primary_code,
        'referrer', CASE WHEN n.inviter_id IS NOT NULL THEN json_build_object(
                        'name', coalesce(n.inviter_display, ''),
                        'image_url', n.inviter_image) END,
        'total_earnings', n.total_earnings,
        'total_referrals', n.total_members,
        'total_volume', n.total_volume,
        'total_deposits', n.total_deposits,
        'stats', json_build_object(
            'level1', json_build_object(
                'count', n.members[1], 'total_volume', n.volume[1],
                'earnings', n.earnings[1], 'fee', n.rate_bps[1] / 10000::float8),
            'level2', json_build_object(
                'count', n.members[2], 'total_volume', n.volume[2],
                'earnings', n.earnings[2], 'fee', n.rate_bps[2] / 10000::float8),
            'level3', json_build_object(
                'count', n.members[3], 'total_volume', n.volume[3],
                'earnings', n.earnings[3], 'fee', n.rate_bps[3] / 10000::float8)));
END
$$;
COMMENT ON FUNCTION referral.intotes_info() IS
'GET /api/v1/users/me/referral/info: code, referrer, and what stands and was earned on levels 1 to 3.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.intotes_children()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    max_rows CONSTANT integer := referral.query_number('limit', 1, 1000, 1000);
    skip CONSTANT integer := least(referral.query_number('offset', 0, 999999999999999999, 0),
                                   2147483647);
BEGIN
    RETURN (
        SELECT coalesce(json_agg(json_build_object(
                   'id', m.member_id,
                   'username', coalesce(m.display_name, m.user_id),
                   'image', m.image_url,
                   'level', d.level,
                   'joined_date', to_char(d.signed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                   'total_bets', d.payments,
                   'total_volume', floor(d.volume_micro / 10000::numeric))
                   ORDER BY d.n), '[]')
          FROM referral.list_downline(me.user_id, max_rows, skip, me.program_id)
                   WITH ORDINALITY AS d(user_id, display_name, signed_at, total_paid_micro, level,
                                        payments, volume_micro, n)
               JOIN referral.member AS m
                 ON m.program_id = me.program_id AND m.user_id = d.user_id
         WHERE d.level <= 3);
END
$$;
COMMENT ON FUNCTION referral.intotes_children() IS
'GET /api/v1/users/me/referral/children: members on levels 1 to 3 below the caller, level by level, the newest first.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.intotes_error(status integer, tag text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer($1, json_build_object('error', $2))
$$;
COMMENT ON FUNCTION referral.intotes_error(integer, text) IS
'What the contract answers to an error.
status, tag: of http_error().';
