-- The contract /intotes (CONTRACT section 9; the pages api/referrals of its
-- documentation). http/routes.conf names the endpoints. Amounts are kopecks:
-- hundredths of the currency, 10,000 micro-units, rounded down.

CREATE FUNCTION referral.intotes_info()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    network record;
    level json[];
    earnings bigint;
    volume bigint;
    total_earnings bigint := 0;
    total_volume bigint := 0;
BEGIN
    SELECT * INTO network FROM referral.network(me.user_id, me.program_id);
    -- The totals are sums of what is shown, so that a reader who adds up gets them.
    FOR n IN 1 .. 3 LOOP
        earnings := floor(network.earnings_micro[n] / 10000::numeric);
        volume := floor(network.volume_micro[n] / 10000::numeric);
        level[n] := json_build_object(
            'count', network.members[n], 'total_volume', volume, 'earnings', earnings,
            'fee', trim_scale(network.rate_bps[n] / 10000::numeric));
        total_earnings := total_earnings + earnings;
        total_volume := total_volume + volume;
    END LOOP;
    RETURN json_build_object(
        'referral_code', network.primary_code,
        'referrer', CASE WHEN network.inviter_id IS NOT NULL THEN json_build_object(
                        'name', coalesce(network.inviter_display, ''),
                        'image_url', network.inviter_image) END,
        'total_earnings', total_earnings,
        'total_referrals', network.members[1] + network.members[2] + network.members[3],
        'total_volume', total_volume,
        'total_deposits', floor((network.deposits_micro[1]::numeric + network.deposits_micro[2]
                                 + network.deposits_micro[3]) / 10000),
        'stats', json_build_object('level1', level[1], 'level2', level[2], 'level3', level[3]));
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

CREATE FUNCTION referral.intotes(endpoint text, body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE intotes.endpoint
        WHEN 'GET info' THEN RETURN referral.intotes_info();
        WHEN 'GET children' THEN RETURN referral.intotes_children();
        ELSE RETURN NULL;
    END CASE;
END
$$;
COMMENT ON FUNCTION referral.intotes(text, bytea) IS
'What an endpoint of the contract answers; NULL if it has none of that name.
endpoint: method and name, as in http/routes.conf; body: what was sent.
Errors: those of the endpoints.';
