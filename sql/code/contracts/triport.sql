-- The contract /triport (CONTRACT section 9; the pages under console/referrals
-- of its documentation). http/routes.conf names the endpoints, docs/http/triport.md
-- says what the publication leaves open.

-- What was sent.

CREATE FUNCTION referral.triport_page(OUT max_rows integer, OUT skip integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.query_number('limit', 1, 200, 50)::integer,
           -- However far that is: who pages on and on comes to an end, not to the start.
           CASE WHEN o.value ~ '^[0-9]+$' THEN least(o.value::numeric, 2147483647)::integer
                ELSE 0 END
      FROM referral.query_value('offset') o(value)
$$;
COMMENT ON FUNCTION referral.triport_page() IS
'Which rows of a list are asked for: limit, 1 to 200, and offset; what is neither is 50 and 0.';

CREATE FUNCTION referral.triport_check_id(argument text, id text, known boolean)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT triport_check_id.known
       AND triport_check_id.id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid ' || triport_check_id.argument,
            DETAIL = 'It is neither known nor a UUID.',
            HINT = 'Send an id that the program has.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.triport_check_id(text, text, boolean) IS
'Refuses an id that is unknown and no UUID either, which the publication demands; ours are opaque.
Errors: 22023.';

-- Who asks as an operator.

CREATE FUNCTION referral.triport_admin()
    RETURNS referral.principal LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    admin CONSTANT referral.principal := referral.key_holder('x-admin-token', 'operator');
BEGIN
    IF admin.program_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = CASE WHEN EXISTS (SELECT FROM referral.api_key k
                                         WHERE k."right" = 'operator' AND k.revoked_at IS NULL)
                           THEN 'admin_token_invalid' ELSE 'admin_token_unset' END,
            DETAIL = 'The request has no key of an operator, or one that is not valid.',
            HINT = 'Make one by referral.create_api_key(''operator'').';
    END IF;
    RETURN admin;
END
$$;
COMMENT ON FUNCTION referral.triport_admin() IS
'The key that is presented as X-Admin-Token: as user_id its name for the audit, and its program.
Errors: 42501 admin_token_unset (nobody has such a key), admin_token_invalid.';

-- For members.

CREATE FUNCTION referral.triport_me()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
BEGIN
    RETURN (SELECT json_build_object(
                       'primary_code', o.primary_code,
                       'custom_slug', o.custom_slug,
                       'tier', o.tier,
                       'tier_label', coalesce(o.tier_label, ''),
                       'rate_bps', o.rate_bps,
                       'paid_invitees', o.paid_invitees,
                       'balance', o.balance,
                       'inviter_display', o.inviter_display)
              FROM referral.referral_overview(me.user_id, me.program_id) o);
END
$$;
COMMENT ON FUNCTION referral.triport_me() IS
'GET /v1/referrals/me: what a member''s first page shows.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_rewards()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    page CONSTANT record := referral.triport_page();
BEGIN
    RETURN (SELECT json_build_object('items', coalesce(json_agg(json_build_object(
                       'id', r.id::text,
                       'status', r.status,
                       'amount_micro', r.amount_micro,
                       'rate_bps', r.rate_bps,
                       'tier', r.tier,
                       'level', r.level,
                       'base_micro', r.base_micro,
                       'reversed_micro', r.reversed_micro,
                       'currency', r.currency,
                       'invitee_user_id', r.invitee_user_id,
                       'invitee_display', coalesce(r.invitee_display, ''),
                       'payment_id', r.payment_id,
                       'created_at', r.created_at,
                       'available_at', r.available_at)), '[]'))
              FROM referral.list_rewards(
                       me.user_id,
                       string_to_array(nullif(referral.query_value('status'), ''), ','),
                       page.max_rows, page.skip, NULL, me.program_id) r);
END
$$;
COMMENT ON FUNCTION referral.triport_rewards() IS
'GET /v1/referrals/rewards: what a member earned, newest first.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_invitees()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    page CONSTANT record := referral.triport_page();
BEGIN
    RETURN (SELECT json_build_object('items', coalesce(json_agg(json_build_object(
                       'user_id', i.user_id,
                       'display_name', coalesce(i.display_name, ''),
                       'signed_at', i.signed_at,
                       'total_paid_micro', i.total_paid_micro)), '[]'))
              FROM referral.list_invitees(me.user_id, page.max_rows, page.skip,
                                          me.program_id) i);
END
$$;
COMMENT ON FUNCTION referral.triport_invitees() IS
'GET /v1/referrals/invitees: whom a member referred, newest first.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_payout(payout referral.payout_row)
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'id', $1.id,
        'user_id', $1.user_id,
        'amount_micro', $1.amount_micro,
        'network', coalesce($1.network, ''),
        'address', coalesce($1.address, ''),
        'status', $1.status,
        'tx_hash', nullif($1.reference, ''),
        'note', nullif($1.note, ''),
        'requested_at', $1.requested_at,
        'completed_at', $1.completed_at))
$$;
COMMENT ON FUNCTION referral.triport_payout(referral.payout_row) IS
'A Payout of the contract; what it does not have yet is left out.';

CREATE FUNCTION referral.triport_payouts()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    page CONSTANT record := referral.triport_page();
BEGIN
    RETURN (SELECT json_build_object('items', coalesce(json_agg(referral.triport_payout(p)),
                                                       '[]'))
              FROM referral.list_payouts(me.user_id, page.max_rows, page.skip,
                                         me.program_id) p);
END
$$;
COMMENT ON FUNCTION referral.triport_payouts() IS
'GET /v1/referrals/payouts: what a member asked to be paid, newest first.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_payout_id(user_id text)
    RETURNS text LANGUAGE sql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Version 8 of RFC 9562: the bits of a hash. A member's keys meet nobody else's.
    SELECT coalesce(encode(set_byte(set_byte(h.bits, 6, get_byte(h.bits, 6) & 15 | 128),
                                    8, get_byte(h.bits, 8) & 63 | 128), 'hex')::uuid,
                    gen_random_uuid())::text
      FROM (SELECT substring(sha256(convert_to($1, 'UTF8') || '\x00'::bytea
                                    || convert_to(k.sent, 'UTF8')) FOR 16)
              FROM referral.request_header('idempotency-key') k(sent)) h(bits)
$$;
COMMENT ON FUNCTION referral.triport_payout_id(text) IS
'The id of the payout that a member asks for: a UUID that his Idempotency-Key names for ever; without
one, a new UUID each time.';

CREATE FUNCTION referral.triport_request_payout(body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    sent CONSTANT jsonb := referral.json_body(triport_request_payout.body);
BEGIN
    -- Each of the three is required: what is missing is refused as too little or too short.
    RETURN referral.http_answer(202, referral.triport_payout(referral.request_payout(
        me.user_id, referral.triport_payout_id(me.user_id),
        coalesce(referral.json_bigint(sent, 'amount_micro'), 0),
        coalesce(referral.json_text(sent, 'network'), ''),
        coalesce(referral.json_text(sent, 'address'), ''), me.program_id)));
END
$$;
COMMENT ON FUNCTION referral.triport_request_payout(bytea) IS
'POST /v1/referrals/payouts {amount_micro, network, address}: asks for a payout; 202.
Errors: as referral.request_payout(), 22P02 invalid_json, 42501 unauthenticated.';

CREATE FUNCTION referral.triport_set_code(body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    sent CONSTANT jsonb := referral.json_body(triport_set_code.body);
BEGIN
    RETURN (SELECT json_build_object('code', json_build_object(
                       'ID', c.code_id::text,
                       'UserID', c.user_id,
                       'Code', c.code,
                       'Kind', c.kind,
                       'CreatedAt', c.created_at,
                       'DisabledAt', c.disabled_at))
              FROM referral.set_custom_slug(me.user_id, referral.json_text(sent, 'slug'),
                                            me.program_id) c);
END
$$;
COMMENT ON FUNCTION referral.triport_set_code(bytea) IS
'POST /v1/referrals/code {slug}: the member''s slug.
Errors: as referral.set_custom_slug(), 22P02 invalid_json, 42501 unauthenticated.';

CREATE FUNCTION referral.triport_remove_code()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
BEGIN
    PERFORM referral.remove_custom_slug(me.user_id, me.program_id);
    RETURN json_build_object('ok', true);
END
$$;
COMMENT ON FUNCTION referral.triport_remove_code() IS
'DELETE /v1/referrals/code: takes the slug out of use; ok also where there is none.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_attribute()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
    code CONSTANT text := referral.request_header('x-ref-code');
    result referral.attribution_result;
BEGIN
    PERFORM set_config('response.headers',
                       '[{"Set-Cookie": "ref_code=; Path=/; Max-Age=0; SameSite=Lax"}]', true);
    IF code IS NULL THEN
        RETURN json_build_object('attributed', false, 'reason', 'no_cookie');
    END IF;
    BEGIN
        result := referral.attribute(me.user_id, code, NULL, now(), me.program_id);
    EXCEPTION WHEN OTHERS THEN
        -- A sign-in does not fail for this, whatever the matter is (the publication).
        RAISE WARNING USING
            MESSAGE = 'attribution_failed',
            DETAIL = format('%s: %s', SQLSTATE, SQLERRM);
        RETURN json_build_object('attributed', false, 'reason', 'internal');
    END;
    RETURN json_strip_nulls(json_build_object('attributed', result.attributed,
                                              'reason', result.reason));
END
$$;
COMMENT ON FUNCTION referral.triport_attribute() IS
'POST /v1/auth/attribute: attributes the member to the code of the cookie ref_code, and clears that.
Errors: 42501 unauthenticated.';

-- For operators.

CREATE FUNCTION referral.triport_recent(program_id bigint, user_id text)
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- As in the lists: the newest few of an index, whatever the statistics say.
    SET enable_sort = off
    SET enable_incremental_sort = off
    SET jit = off
AS $$
DECLARE
    own_id CONSTANT bigint := (
        SELECT m.member_id FROM referral.member m
         WHERE m.program_id = triport_recent.program_id AND m.user_id = triport_recent.user_id);
BEGIN
    RETURN (
    WITH attributed AS MATERIALIZED (
        SELECT a.*
          FROM referral.attribution a
         WHERE a.program_id = triport_recent.program_id
           AND a.user_id = triport_recent.user_id
        UNION ALL
        (SELECT a.*
           FROM referral.attribution a
          WHERE a.program_id = triport_recent.program_id
            AND (a.referrer_id, a.attribution_id) >= (own_id, 0)
            AND (a.referrer_id, a.attribution_id) <= (own_id, 9223372036854775807)
          ORDER BY a.referrer_id DESC, a.attribution_id DESC
          LIMIT 50)
    ), events AS (
        SELECT e.event, e.created_at, a.attribution_id AS number, a.user_id,
               referrer.user_id AS referrer_user_id, c.code,
               NULL::integer AS old_tier, NULL::integer AS new_tier, e.actor, e.note
          FROM attributed a
          JOIN referral.member referrer
            ON referrer.program_id = a.program_id AND referrer.member_id = a.referrer_id
          JOIN referral.code c
            ON c.program_id = a.program_id AND c.code_id = a.code_id
          LEFT JOIN referral.attribution_review r
            ON r.program_id = a.program_id AND r.attribution_id = a.attribution_id
           AND r.decision = 'rejected'
         CROSS JOIN LATERAL (VALUES ('signup', a.attributed_at, NULL, NULL),
                                    ('first-paid', a.qualified_at, NULL, NULL),
                                    ('rejected', r.decided_at, r.actor, r.reason)
                            ) e(event, created_at, actor, note)
         WHERE e.created_at IS NOT NULL
        UNION ALL
        (SELECT 'tier-changed', t.created_at, t.audit_id, triport_recent.user_id, NULL, NULL,
                (t.detail ->> 'old_tier')::integer, (t.detail ->> 'new_tier')::integer,
                t.actor, t.note
           FROM referral.member_audit t
          WHERE t.program_id = triport_recent.program_id
            AND (t.member_id, t.audit_id) >= (own_id, 0)
            AND (t.member_id, t.audit_id) <= (own_id, 9223372036854775807)
            AND t.action = 'set_tier'
          ORDER BY t.member_id DESC, t.audit_id DESC
          LIMIT 50)
    ), newest AS (
        SELECT *
          FROM events
         ORDER BY events.created_at DESC, events.number DESC, events.event
         LIMIT 50
    )
    SELECT coalesce(json_agg(json_build_object(
                       'id', format('%s-%s', n.event, n.number),
                       'event', n.event,
                       'user_id', n.user_id,
                       'referrer_user_id', n.referrer_user_id,
                       'code', n.code,
                       'old_tier', n.old_tier,
                       'new_tier', n.new_tier,
                       'actor', n.actor,
                       'note', n.note,
                       'created_at', n.created_at)
                    ORDER BY n.created_at DESC, n.number DESC, n.event), '[]')
      FROM newest n);
END
$$;
COMMENT ON FUNCTION referral.triport_recent(bigint, text) IS
'The newest 50 events about a member: his own attribution, those of the 50 whom he referred last, and
changes of his tier by operators.';

CREATE FUNCTION referral.triport_admin_user()
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    admin CONSTANT referral.principal := referral.triport_admin();
    about CONSTANT text := referral.path_segment(6);
BEGIN
    PERFORM referral.triport_check_id(
        'user_id', about, EXISTS (SELECT FROM referral.member m
                                   WHERE m.program_id = admin.program_id
                                     AND m.user_id = about));
    PERFORM referral.known_member(admin.program_id, about);
    RETURN (SELECT json_build_object(
                       'user_id', about,
                       'tier', o.tier,
                       'tier_label', coalesce(o.tier_label, ''),
                       'rate_bps', o.rate_bps,
                       'primary_code', o.primary_code,
                       'custom_slug', o.custom_slug,
                       'paid_invitees', o.paid_invitees,
                       -- The publication has it under both names.
                       'paid_invitees_info', o.paid_invitees,
                       'balance', o.balance,
                       'recent_attributions', referral.triport_recent(admin.program_id, about))
              FROM referral.referral_overview(about, admin.program_id) o);
END
$$;
COMMENT ON FUNCTION referral.triport_admin_user() IS
'GET /v1/admin/referrals/users/{user_id}: where a member stands and how he came there.
Errors: 42501 of triport_admin(), 22023 invalid user_id, RF003 unknown_member.';

CREATE FUNCTION referral.triport_admin_tier(body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    admin CONSTANT referral.principal := referral.triport_admin();
    about CONSTANT text := referral.path_segment(6);
    sent jsonb;
    tier bigint;
    note text;
BEGIN
    PERFORM referral.triport_check_id(
        'user_id', about, EXISTS (SELECT FROM referral.member m
                                   WHERE m.program_id = admin.program_id
                                     AND m.user_id = about));
    sent := referral.json_body(triport_admin_tier.body);
    tier := referral.json_bigint(sent, 'tier');
    note := referral.json_text(sent, 'note');
    -- No tier has the number 0; NULL would give the tier back to the rules.
    RETURN (SELECT row_to_json(t)
              FROM referral.set_tier(about, CASE WHEN tier BETWEEN 1 AND 2147483647
                                                 THEN tier ELSE 0 END::integer,
                                     note, admin.user_id, admin.program_id) t);
END
$$;
COMMENT ON FUNCTION referral.triport_admin_tier(bytea) IS
'POST /v1/admin/referrals/users/{user_id}/tier {tier, note}: pins a member to a tier.
Errors: 42501 of triport_admin(), 22023 invalid user_id or invalid_tier, 22P02 invalid_json, RF003
unknown_member.';

CREATE FUNCTION referral.triport_admin_payout(body bytea, sent boolean)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    admin CONSTANT referral.principal := referral.triport_admin();
    about CONSTANT text := referral.path_segment(6);
    tx_hash text;
BEGIN
    PERFORM referral.triport_check_id(
        'payout_id', about, EXISTS (SELECT FROM referral.payout p
                                     WHERE p.program_id = admin.program_id
                                       AND p.payout_id = about));
    IF triport_admin_payout.sent THEN
        tx_hash := btrim(referral.json_text(referral.json_body(triport_admin_payout.body),
                                            'tx_hash'));
        IF coalesce(tx_hash, '') = '' THEN
            RETURN referral.http_answer(400, json_build_object('error', 'tx_hash_required'));
        END IF;
        PERFORM referral.payout_sent(about, tx_hash, admin.program_id);
    ELSE
        PERFORM referral.payout_failed(
            about,
            referral.json_text(referral.json_body(
                -- No body is {}; one of more than 4 KiB is not read, so no JSON.
                CASE WHEN length(triport_admin_payout.body) = 0 THEN '{}'
                     WHEN length(triport_admin_payout.body) <= 4096
                         THEN triport_admin_payout.body END), 'reason'),
            admin.program_id);
    END IF;
    RETURN json_build_object('ok', true);
END
$$;
COMMENT ON FUNCTION referral.triport_admin_payout(bytea, boolean) IS
'POST /v1/admin/referrals/payouts/{id}/sent {tx_hash} and …/failed {reason}: how a payout ended.
sent: whether it is the former.
Errors: 42501 of triport_admin(), 22023 invalid payout_id, 22P02 invalid_json, RF010 unknown_payout,
RF009 payout_not_actionable.';

CREATE FUNCTION referral.triport_admin_simulate_paid()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.triport_admin();
    RETURN referral.http_answer(410, json_build_object('error', 'endpoint_retired',
                                                       'reason', 'billing_bridge_active'));
END
$$;
COMMENT ON FUNCTION referral.triport_admin_simulate_paid() IS
'POST /v1/admin/referrals/simulate-paid: retired by the publication; payments come from the application.
Errors: 42501 of triport_admin().';

CREATE FUNCTION referral.triport_error(status integer, tag text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer(
               CASE $2 WHEN 'admin_token_unset' THEN 401
                       WHEN 'admin_token_invalid' THEN 401
                       WHEN 'member_suspended' THEN 409
                       ELSE $1 END,
               json_build_object('error',
                   CASE $2 WHEN 'unknown_member' THEN 'user_not_found'
                           WHEN 'unknown_payout' THEN 'payout_not_found'
                           WHEN 'amount_is_not_positive' THEN 'payout_below_min'
                           WHEN 'payout_below_minimum' THEN 'payout_below_min'
                           WHEN 'invalid_reference' THEN 'invalid_tx_hash'
                           ELSE $2 END))
$$;
COMMENT ON FUNCTION referral.triport_error(integer, text) IS
'What the contract answers to an error.
status, tag: of http_error().';
