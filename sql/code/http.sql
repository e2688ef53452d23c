-- What the published contracts share (CONTRACT section 9). nginx names the
-- endpoint and passes the address and the body on unread; each contract has its
-- own words for what goes wrong. Here: who asks, what was sent, and which status an error has.

CREATE FUNCTION referral.http_answer(status integer, body json)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('response.status', http_answer.status::text, true);
    RETURN http_answer.body;
END
$$;
COMMENT ON FUNCTION referral.http_answer(integer, json) IS
'The body, to be sent with this status by PostgREST. Without it the status is 200.';

CREATE FUNCTION referral.http_error(state text, message text, OUT status integer, OUT tag text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
               WHEN http_error.message = 'unauthenticated' THEN 401
               WHEN http_error.state IN ('42501', 'RF006') THEN 403
               WHEN http_error.state IN ('RF003', 'RF010') THEN 404
               WHEN http_error.state IN ('RF001', 'RF002', 'RF009', 'RF011', 'RF012', '23505') THEN 409
               WHEN http_error.state ~ '^(22|23|54|RF)' AND http_error.state <> 'RF005' THEN 400
           END,
           CASE WHEN http_error.message ~ '^[a-z_ ]+$' THEN replace(http_error.message, ' ', '_')
                ELSE 'invalid_request' END
$$;
COMMENT ON FUNCTION referral.http_error(text, text) IS
'Status and tag of an error for a published contract; the status is NULL where the caller is not to blame.
state: SQLSTATE; message: as it was raised. A message that is no constant of ours is not passed on.';

-- What was sent.

CREATE FUNCTION referral.url_decode(encoded text, plus_is_space boolean)
    RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    spaced CONSTANT text := CASE WHEN url_decode.plus_is_space
                                 THEN replace(url_decode.encoded, '+', ' ')
                                 ELSE url_decode.encoded END;
    bytes bytea := '';
    part text[];
BEGIN
    IF strpos(spaced, '%') = 0 THEN
        RETURN spaced;
    END IF;
    FOR part IN
        SELECT p.part
          FROM regexp_matches(spaced, '((?:%[0-9A-Fa-f]{2})+)|([^%]+|%)', 'g') WITH ORDINALITY p(part, n)
         ORDER BY p.n
    LOOP
        bytes := bytes || coalesce(decode(replace(part[1], '%', ''), 'hex'),
                                   convert_to(part[2], 'UTF8'));
    END LOOP;
    RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.url_decode(text, boolean) IS
'A part of an address without its percent-encoding (RFC 3986 section 2.1), NULL if that is no UTF-8.
plus_is_space: as in a query that a form makes. A % that encodes nothing stays.';

CREATE FUNCTION referral.path_segment(n integer)
    RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.url_decode(
        split_part(split_part(referral.request_header('x-request-uri'), '?', 1), '/', $1 + 1), false)
$$;
COMMENT ON FUNCTION referral.path_segment(integer) IS
'A segment of the path of the request, decoded; counted from 1, the contract''s name.';

CREATE FUNCTION referral.query_value(name text)
    RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.url_decode(substring(p.pair FROM strpos(p.pair || '=', '=') + 1), true)
      FROM string_to_table(substring(referral.request_header('x-request-uri') FROM '\?(.*)$'), '&')
           WITH ORDINALITY p(pair, n)
     WHERE referral.url_decode(split_part(p.pair, '=', 1), true) = $1
     ORDER BY p.n
     LIMIT 1
$$;
COMMENT ON FUNCTION referral.query_value(text) IS
'A parameter of the query, decoded: the first of that name; NULL without one, or if it is no UTF-8.';

CREATE FUNCTION referral.query_number(name text, lowest bigint, highest bigint, otherwise bigint)
    RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN v.value ~ '^[0-9]{1,18}$' AND v.value::bigint BETWEEN $2 AND $3
                THEN v.value::bigint ELSE $4 END
      FROM referral.query_value($1) v(value)
$$;
COMMENT ON FUNCTION referral.query_number(text, bigint, bigint, bigint) IS
'A whole number of the query; otherwise, where it is missing, no number, below lowest or above highest.';

CREATE FUNCTION referral.json_body(body bytea)
    RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sent jsonb;
BEGIN
    BEGIN
        sent := convert_from(json_body.body, 'UTF8')::jsonb;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        sent := NULL;
    END;
    IF jsonb_typeof(sent) = 'object' THEN
        RETURN sent;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_text_representation',
        MESSAGE = 'invalid_json',
        DETAIL = 'The body is not a JSON object in UTF-8.',
        HINT = 'Send an object as the documentation shows it.';
END
$$;
COMMENT ON FUNCTION referral.json_body(bytea) IS
'The object that was sent as the body.
Errors: 22P02 invalid_json.';

CREATE FUNCTION referral.json_text(body jsonb, name text)
    RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(json_text.body -> json_text.name) IN ('string', 'null') IS NOT FALSE THEN
        RETURN json_text.body ->> json_text.name;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_text_representation',
        MESSAGE = 'invalid_json',
        DETAIL = format('%I is not a string.', json_text.name),
        HINT = 'Send an object as the documentation shows it.';
END
$$;
COMMENT ON FUNCTION referral.json_text(jsonb, text) IS
'A string of the body; NULL where it is missing or null.
Errors: 22P02 invalid_json.';

CREATE FUNCTION referral.json_bigint(body jsonb, name text)
    RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind CONSTANT text := jsonb_typeof(json_bigint.body -> json_bigint.name);
    sent numeric;
BEGIN
    IF kind IN ('number', 'null') IS NOT FALSE THEN
        sent := (json_bigint.body ->> json_bigint.name)::numeric;
        IF sent IS NULL OR sent = trunc(sent)
                           AND sent BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            RETURN sent;
        END IF;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_text_representation',
        MESSAGE = 'invalid_json',
        DETAIL = format('%I is not a whole number of 64 bits.', json_bigint.name),
        HINT = 'Send an object as the documentation shows it.';
END
$$;
COMMENT ON FUNCTION referral.json_bigint(jsonb, text) IS
'A whole number of the body; NULL where it is missing or null.
Errors: 22P02 invalid_json.';

-- Who asks.

CREATE FUNCTION referral.sign_in()
    RETURNS referral.principal LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM referral.api_grant g
                    WHERE g.part IN ('member', 'operator')
                      AND g.role_name = current_setting('role')) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'unauthenticated',
            DETAIL = 'The request has no token, or one without the role of a member.',
            HINT = 'Sign tokens with a role that was named to referral.grant_api().';
    END IF;
    RETURN referral.acting_for(NULL);
END
$$;
COMMENT ON FUNCTION referral.sign_in() IS
'Makes who asks a member, or says why not. For signed_in().
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.known_caller() RETURNS referral.principal
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_known_caller';
COMMENT ON FUNCTION referral.known_caller() IS
'The member who asks, as his token says; NULL where he is none yet, or where acting_for() is to say
why he is refused.';

CREATE FUNCTION referral.signed_in() RETURNS referral.principal
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_signed_in';
COMMENT ON FUNCTION referral.signed_in() IS
'The member who asks, as his token says; he becomes one at his first request.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.key_holder(header text, "right" text)
    RETURNS referral.principal LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('key %s', split_part(k.api_key, '_', 3)), referral.api_key_program(k.api_key, $2)
      FROM referral.request_header($1) k(api_key)
$$;
COMMENT ON FUNCTION referral.key_holder(text, text) IS
'Who presents a key: as user_id, for the audit, its number, and the program for which it may act, NULL for no valid key.
header: where it stands, in lower case; right: client or operator, that is needed.';
