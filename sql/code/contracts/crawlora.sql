-- The contract /crawlora (CONTRACT section 9; the pages under docs/Referrals of
-- its documentation). http/routes.conf names the endpoints, docs/http/crawlora.md
-- says what of its shapes is published and what is ours.

CREATE FUNCTION referral.crawlora_answer(code integer, msg text, data json)
    RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_to_json(envelope) FROM (SELECT $1 AS code, $2 AS msg, $3 AS data) envelope
$$;
COMMENT ON FUNCTION referral.crawlora_answer(integer, text, json) IS
'The envelope of each answer of the contract.';

CREATE FUNCTION referral.credits(amount_micro bigint)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN credits.amount_micro / 1000000;
COMMENT ON FUNCTION referral.credits(bigint) IS
'Whole credits of an amount that is not negative, rounded down.';

-- What a request may say.

CREATE FUNCTION referral.query_limit(highest integer, otherwise integer)
    RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Nine digits say as well as all of them that it is too much.
    SELECT CASE WHEN v.digits IS NULL THEN $2 ELSE least(left(v.digits, 9)::integer, $1) END
      FROM substring(referral.query_value('limit') FROM '^0*([1-9][0-9]*)$') v(digits)
$$;
COMMENT ON FUNCTION referral.query_limit(integer, integer) IS
'The parameter limit, at most highest; otherwise, where it is missing or no number above 0.';

CREATE FUNCTION referral.query_time(name text)
    RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A + that was not encoded arrives as a space.
    sent CONSTANT text := regexp_replace(nullif(referral.query_value(query_time.name), ''),
                                         ' (?=[0-9]{2}:[0-9]{2}$)', '+');
BEGIN
    IF sent !~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}'
                || '([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN
        RAISE data_exception;
    END IF;
    RETURN sent::timestamptz;
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = 'invalid ' || query_time.name,
        DETAIL = format('%I is not a time as RFC 3339 writes it.', query_time.name),
        HINT = 'Send one like 2026-01-31T00:00:00Z, or leave it out.';
END
$$;
COMMENT ON FUNCTION referral.query_time(text) IS
'A time of the query, written as in RFC 3339; NULL where it is missing or empty.
Errors: 22023 invalid <name>.';

-- Who asks: members by token, operators by token or key.

CREATE FUNCTION referral.crawlora_key(header text)
    RETURNS referral.principal LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder CONSTANT referral.principal := referral.key_holder(crawlora_key.header, 'client');
BEGIN
    IF referral.request_header(crawlora_key.header) IS NOT NULL AND holder.program_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'unauthenticated',
            DETAIL = 'The key is not valid.',
            HINT = 'Send a key that create_api_key() made and nobody revoked.';
    END IF;
    RETURN holder;
END
$$;
COMMENT ON FUNCTION referral.crawlora_key(text) IS
'Who presents a key in a header, of whatever right; his program is NULL where there is none.
Errors: 42501 unauthenticated for what is no key.';

CREATE FUNCTION referral.crawlora_operator()
    RETURNS referral.principal LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder referral.principal;
BEGIN
    IF (referral.crawlora_key('x-api-key')).program_id IS NOT NULL THEN
        holder := referral.key_holder('x-api-key', 'operator');
    ELSIF referral.is_operator() THEN
        SELECT * INTO holder FROM referral.caller();
    ELSE
        PERFORM referral.signed_in();
    END IF;
    IF holder.program_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'forbidden',
            DETAIL = 'The key or the token is not one of an operator.',
            HINT = 'Send x-api-key: a key that create_api_key(''operator'') made.';
    END IF;
    RETURN holder;
END
$$;
COMMENT ON FUNCTION referral.crawlora_operator() IS
'The operator who asks and his program: by the key that he presents, else by his token.
Errors: 42501 unauthenticated, or forbidden for whoever is known and no operator.';

CREATE FUNCTION referral.crawlora_visitor()
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((referral.crawlora_key('x-client-key')).program_id,
                    (referral.crawlora_key('x-api-key')).program_id,
                    referral.caller_program());
END
$$;
COMMENT ON FUNCTION referral.crawlora_visitor() IS
'The program whose code was clicked: of the key, else of the token, else current_program().
Errors: 42501 unauthenticated, RF004 and RF005 as current_program().';

-- For anybody.

CREATE FUNCTION referral.crawlora_click(body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    visited CONSTANT bigint := referral.crawlora_visitor();
    sent CONSTANT jsonb := referral.json_body(crawlora_click.body);
    code CONSTANT text := referral.json_text(sent, 'code');
    captured_id text;
BEGIN
    captured_id := referral.capture_click(
        code,
        coalesce(nullif(referral.json_text(sent, 'click_id'), ''),
                 -- A retry has the id of the first try.
                 left(encode(sha256(convert_to(lower(code) || E'\n'
                                               || referral.request_header('idempotency-key'),
                                               'UTF8')), 'hex'), 32)::uuid::text),
        referral.json_text(sent, 'landing_path'), referral.json_text(sent, 'utm_source'),
        referral.json_text(sent, 'utm_medium'), referral.json_text(sent, 'utm_campaign'),
        referral.request_header('x-real-ip'), referral.request_header('user-agent'), visited);
    RETURN (SELECT row_to_json(click)
              FROM (SELECT k.click_id, c.code
                      FROM referral.click k
                      JOIN referral.code c USING (program_id, code_id)
                     WHERE k.program_id = visited AND k.click_id = captured_id) click);
END
$$;
COMMENT ON FUNCTION referral.crawlora_click(bytea) IS
'POST /referrals/click: captures a visit by way of a code; one that is known stays what it was.
Errors: 42501 unauthenticated, 22P02 invalid_json, 22023 unknown_code or invalid click_id.';

-- For members.

CREATE FUNCTION referral.promised_micro(program_id bigint, campaign_id bigint, tier integer,
                                        level integer)
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT r.flat_micro
                       FROM referral.rate r
                       JOIN referral.program p USING (program_id)
                      WHERE r.program_id = promised_micro.program_id
                        AND r.campaign_id IN (promised_micro.campaign_id, 0)
                        AND r.tier IN (promised_micro.tier, 0)
                        AND r.level = promised_micro.level
                        AND r.level <= p.max_level
                      ORDER BY r.campaign_id DESC, r.tier DESC
                      LIMIT 1), 0);
END
$$;
COMMENT ON FUNCTION referral.promised_micro(bigint, bigint, integer, integer) IS
'The fixed part of what a first payment earns on a level, by the rate that would be chosen now.
campaign_id, tier: of the code and of who earns; 0 = none.';

CREATE FUNCTION referral.crawlora_items(me referral.principal, at_most integer)
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    own_tier CONSTANT integer := (
        SELECT referral.effective_tier(m.program_id, m.member_id)
          FROM referral.member m
         WHERE m.program_id = (crawlora_items.me).program_id
           AND m.user_id = (crawlora_items.me).user_id);
BEGIN
    RETURN (
        SELECT coalesce(json_agg(item ORDER BY item.id::bigint DESC), '[]')
          FROM (SELECT l.id::text, l.code, l.campaign,
                       CASE own.level WHEN 0 THEN 'referred' ELSE 'referrer' END AS role, l.status,
                       referral.credits(CASE
                           WHEN a.first_payment_no IS NOT NULL THEN coalesce(r.amount_micro, 0)
                           WHEN l.status IN ('attributed', 'review_required')
                               THEN referral.promised_micro(a.program_id, a.campaign_id, own_tier,
                                                            own.level)
                           ELSE 0 END) AS reward_credits,
                       l.attributed_at AS created_at, l.expires_at, l.qualified_at,
                       CASE l.status WHEN 'rewarded' THEN coalesce(l.granted_at, l.rewarded_at)
                       END AS rewarded_at
                  FROM referral.list_attributions((crawlora_items.me).user_id,
                                                  max_rows => crawlora_items.at_most,
                                                  program_id => (crawlora_items.me).program_id) l
                       JOIN referral.attribution a
                         ON a.program_id = (crawlora_items.me).program_id
                            AND a.attribution_id = l.id
                       CROSS JOIN LATERAL (
                           SELECT CASE l.user_id WHEN (crawlora_items.me).user_id THEN 0 ELSE 1
                                  END AS level) own
                       LEFT JOIN referral.reward r
                         ON r.program_id = a.program_id
                            AND r.reward_id = a.first_payment_no * 16 + own.level) item);
END
$$;
COMMENT ON FUNCTION referral.crawlora_items(referral.principal, integer) IS
'The newest attributions in which a member is the referrer or the referred, as he sees them.
reward_credits: of his own reward by the payment that qualified; before that, what is promised; 0
where nothing can come any more.';

CREATE FUNCTION referral.crawlora_counts(program_id bigint, user_id text)
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- Along the index by referrer, however many of all attributions are his, and
    -- counted as they come.
    SET enable_seqscan = off
    SET enable_sort = off
    SET jit = off
AS $$
BEGIN
    RETURN (
        SELECT row_to_json(counts)
          FROM (SELECT coalesce(sum(s.n) FILTER (WHERE s.status = 'attributed'), 0) AS attributed,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'qualified'), 0) AS qualified,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'review_required'), 0)
                           AS review_required,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'rewarded'), 0) AS rewarded,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'expired'), 0) AS expired,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'capped'), 0) AS capped,
                       coalesce(sum(s.n) FILTER (WHERE s.status = 'rejected'), 0) AS rejected
                  FROM (SELECT referral.status_of(a.decision, a.attributed_at, a.qualified_at,
                                                  a.rewarded_at, a.granted_at, p.qualify_days,
                                                  p.uses_grants) AS status,
                               count(*) AS n
                          FROM referral.member m
                               JOIN referral.program p ON p.program_id = m.program_id
                               JOIN referral.attribution a
                                 ON a.program_id = m.program_id AND a.referrer_id = m.member_id
                         WHERE m.program_id = crawlora_counts.program_id
                           AND m.user_id = crawlora_counts.user_id
                         GROUP BY 1) s) counts);
END
$$;
COMMENT ON FUNCTION referral.crawlora_counts(bigint, text) IS
'How many attributions under a member have each status now.
Reads each of them, half a millisecond per 1,000: they expire by time alone, so no counter knows.';

CREATE FUNCTION referral.crawlora_me()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
BEGIN
    RETURN (
        SELECT row_to_json(summary)
          FROM (SELECT c.code, p.share_path || c.code AS share_path,
                       referral.credits(referral.promised_micro(
                           m.program_id, 0, referral.effective_tier(m.program_id, m.member_id), 1))
                           AS reward_credits,
                       referral.credits(referral.promised_micro(
                           m.program_id, 0,
                           -- whoever comes starts in the lowest
                           coalesce((SELECT min(t.tier) FROM referral.tier t
                                      WHERE t.program_id = m.program_id), 0), 0))
                           AS referred_reward_credits,
                       p.attribution_days AS attribution_window_days,
                       p.referrer_monthly_cap AS monthly_referrer_reward_cap,
                       referral.crawlora_counts(m.program_id, m.user_id) AS stats,
                       referral.crawlora_items(me, 20) AS items
                  FROM referral.member m
                       JOIN referral.program p ON p.program_id = m.program_id
                       JOIN referral.code c ON c.program_id = m.program_id
                                               AND c.user_id = m.user_id AND c.kind = 'uid'
                 WHERE m.program_id = me.program_id AND m.user_id = me.user_id) summary);
END
$$;
COMMENT ON FUNCTION referral.crawlora_me() IS
'GET /referrals/me: a member''s code, what it promises and what became of it.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.crawlora_events()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
BEGIN
    RETURN (SELECT row_to_json(page)
              FROM (SELECT referral.crawlora_items(me, referral.query_limit(100, 50)) AS items
                   ) page);
END
$$;
COMMENT ON FUNCTION referral.crawlora_events() IS
'GET /referrals/me/events: attributions in which a member is the referrer or the referred.
Errors: 42501 unauthenticated.';

-- For operators.

CREATE FUNCTION referral.crawlora_rewards(program_id bigint, rewards jsonb)
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
BEGIN
    RETURN (
        SELECT coalesce(json_agg(shown ORDER BY shown.level), '[]')
          FROM (SELECT r.id::text, r.user_id, r.level, r.status,
                       referral.credits(r.amount_micro) AS reward_credits,
                       r.amount_micro, r.reversed_micro, r.available_at,
                       CASE WHEN g.reward_id IS NOT NULL THEN coalesce(g.state, 'open')
                       END AS grant_status,
                       CASE g.state WHEN 'confirmed' THEN g.settled_at END AS granted_at,
                       g.error
                  FROM jsonb_to_recordset(crawlora_rewards.rewards)
                           r(id bigint, user_id text, level integer, status text,
                             amount_micro bigint, reversed_micro bigint, available_at timestamptz)
                       LEFT JOIN referral.reward_grant g
                         ON g.program_id = crawlora_rewards.program_id
                            AND g.reward_id = r.id) shown);
END
$$;
COMMENT ON FUNCTION referral.crawlora_rewards(bigint, jsonb) IS
'The rewards of an attribution as the contract shows them.
rewards: of attribution_detail().';

CREATE TYPE referral.crawlora_attribution AS (
    id                    text,
    status                text,
    code                  text,
    campaign              text,
    click_id              text,
    landing_path          text,
    utm_source            text,
    utm_medium            text,
    utm_campaign          text,
    referrer_user_id      text,
    referred_user_id      text,
    first_paid_invoice_id text,
    created_at            timestamptz,
    expires_at            timestamptz,
    qualified_at          timestamptz,
    rewarded_at           timestamptz,
    pending_grant         boolean,
    error                 text
);
COMMENT ON TYPE referral.crawlora_attribution IS 'An attribution as the contract /crawlora shows it to operators; see attribution_detail';
COMMENT ON COLUMN referral.crawlora_attribution.first_paid_invoice_id IS 'The payment that qualified it';
COMMENT ON COLUMN referral.crawlora_attribution.rewarded_at IS 'Since when its status is rewarded';
COMMENT ON COLUMN referral.crawlora_attribution.error IS 'Why it is held, was rejected, or could not be granted yet';

CREATE FUNCTION referral.crawlora_attribution(program_id bigint, id bigint,
                                              OUT attribution referral.crawlora_attribution,
                                              OUT rewards json)
    RETURNS SETOF record LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT ((d.attribution).id::text, (d.attribution).status, (d.attribution).code,
            (d.attribution).campaign, (d.attribution).click_id, d.landing_path, d.utm_source,
            d.utm_medium, d.utm_campaign, (d.attribution).referrer_user_id,
            (d.attribution).user_id, (d.attribution).payment_id, (d.attribution).attributed_at,
            (d.attribution).expires_at, (d.attribution).qualified_at,
            CASE (d.attribution).status WHEN 'rewarded' THEN
                coalesce((d.attribution).granted_at, (d.attribution).rewarded_at) END,
            (d.attribution).pending_grant,
            CASE (d.attribution).status
                WHEN 'review_required' THEN 'held by ' || array_to_string(d.held_by, ', ')
                WHEN 'rejected' THEN d.decision_reason
                WHEN 'qualified' THEN (SELECT min(r.shown ->> 'error')
                                         FROM json_array_elements(made.rewards) r(shown))
            END)::referral.crawlora_attribution,
           made.rewards
      FROM referral.attribution_detail(crawlora_attribution.id, crawlora_attribution.program_id) d
           CROSS JOIN LATERAL referral.crawlora_rewards(crawlora_attribution.program_id, d.rewards)
               made(rewards);
END
$$;
COMMENT ON FUNCTION referral.crawlora_attribution(bigint, bigint) IS
'An attribution with the rewards of the payment that qualified it; no row for an unknown one.';

CREATE FUNCTION referral.crawlora_attributions()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.crawlora_operator();
BEGIN
    RETURN (
        SELECT row_to_json(page)
          FROM (SELECT coalesce(json_agg(shown ORDER BY shown.id::bigint DESC), '[]') AS items
                  FROM (SELECT (c.attribution).*, c.rewards
                          FROM referral.list_attributions(
                                   nullif(referral.query_value('user_id'), ''),
                                   string_to_array(
                                       nullif(referral.query_value('status'), ''), ''),
                                   nullif(referral.query_value('campaign'), ''),
                                   CASE referral.query_value('pending_grant')
                                       WHEN 'true' THEN true WHEN 'false' THEN false END,
                                   referral.query_limit(100, 50),
                                   program_id => me.program_id) l
                               CROSS JOIN LATERAL referral.crawlora_attribution(me.program_id, l.id)
                                   c) shown) page);
END
$$;
COMMENT ON FUNCTION referral.crawlora_attributions() IS
'GET /admin/referrals: attributions, the newest first, with their rewards.
Errors: 42501 unauthenticated or forbidden.';

CREATE FUNCTION referral.crawlora_id()
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sent CONSTANT text := referral.path_segment(4);
BEGIN
    PERFORM referral.check_text('id', sent, 1, 200);
    RETURN CASE WHEN sent ~ '^[1-9][0-9]{0,18}$' AND sent::numeric <= 9223372036854775807
                THEN sent::bigint END;
END
$$;
COMMENT ON FUNCTION referral.crawlora_id() IS
'The attribution that the address names; NULL where no attribution can have this id.
Errors: 22023 invalid id.';

CREATE FUNCTION referral.crawlora_detail(me referral.principal, id bigint)
    RETURNS json LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail json;
BEGIN
    SELECT row_to_json(c) INTO detail
      FROM referral.crawlora_attribution((crawlora_detail.me).program_id, crawlora_detail.id) c;
    IF detail IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_attribution',
            DETAIL = 'The program has no attribution of this number.',
            HINT = 'Use an id that GET /admin/referrals shows.';
    END IF;
    RETURN detail;
END
$$;
COMMENT ON FUNCTION referral.crawlora_detail(referral.principal, bigint) IS
'GET /admin/referrals/{id}: one attribution and its rewards.
Errors: RF010 unknown_attribution.';

CREATE FUNCTION referral.crawlora_decide(decision text, body bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.crawlora_operator();
    decided_id CONSTANT bigint := referral.crawlora_id();
    reason text;
BEGIN
    IF length(crawlora_decide.body) > 0 THEN
        reason := referral.json_text(referral.json_body(crawlora_decide.body), 'reason');
    END IF;
    PERFORM referral.decide_attribution(me.program_id, decided_id, crawlora_decide.decision,
                                        me.user_id, reason);
    RETURN referral.crawlora_detail(me, decided_id);
END
$$;
COMMENT ON FUNCTION referral.crawlora_decide(text, bytea) IS
'POST /admin/referrals/{id}/approve and reject: decides on what is held; how it then stands.
decision: approved or rejected; body: empty, or an object with the reason.
Errors: 42501 unauthenticated or forbidden, 22P02 invalid_json, and those of decide_attribution().';

CREATE FUNCTION referral.crawlora_recover()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.crawlora_operator();
BEGIN
    RETURN (
        SELECT row_to_json(recovery)
          FROM (SELECT cardinality(o.opened) + cardinality(o.void) AS attempted,
                       cardinality(o.opened) AS recovered,
                       ARRAY(SELECT format('reward-%s: wholly refunded before it was granted', v.id)
                               FROM unnest(o.void) v(id)) AS errors
                  FROM referral.reopen_grants(me.program_id, referral.query_limit(200, 100)) o
               ) recovery);
END
$$;
COMMENT ON FUNCTION referral.crawlora_recover() IS
'POST /admin/referrals/recover: opens grants again that failed or whose worker is gone.
Errors: 42501 unauthenticated or forbidden.';

CREATE FUNCTION referral.crawlora_funnel()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.crawlora_operator();
    begins_at CONSTANT timestamptz := referral.query_time('from');
    ends_at CONSTANT timestamptz := referral.query_time('to');
    time_zone CONSTANT text := (SELECT p.time_zone FROM referral.program p
                                 WHERE p.program_id = me.program_id);
    since CONSTANT date := (begins_at AT TIME ZONE time_zone)::date;
BEGIN
    RETURN (
        SELECT row_to_json(f)
          FROM referral.funnel_stats(
                   since,
                   CASE WHEN ends_at <= begins_at THEN since
                        -- the first midnight that is not before it
                        ELSE ((ends_at AT TIME ZONE time_zone) + interval '1 day'
                              - interval '1 microsecond')::date END,
                   nullif(referral.query_value('campaign'), ''), me.program_id) f);
END
$$;
COMMENT ON FUNCTION referral.crawlora_funnel() IS
'GET /admin/referrals/stats: how many came how far, on the days of which a part lies in [from, to).
Days are those of the program''s zone.
Errors: 42501 unauthenticated or forbidden, 22023 invalid from or invalid to.';

CREATE FUNCTION referral.crawlora_error(status integer, tag text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer($1, referral.crawlora_answer($1, $2, NULL))
$$;
COMMENT ON FUNCTION referral.crawlora_error(integer, text) IS
'What the contract answers to an error.
status, tag: of http_error().';
