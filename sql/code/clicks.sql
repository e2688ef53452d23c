-- Clicks: visits by way of a code, from anybody (CONTRACT section 2). Bots may
-- send anything: of what comes in, nothing is stored beyond its limit and nothing
-- is echoed.

CREATE FUNCTION referral.utm_key(utm_campaign text)
    RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Not one of the server's own hashes: a dump takes the key to machines and
    -- versions where these differ.
    RETURN CASE WHEN utm_key.utm_campaign <> ''
                THEN 2 + ('x' || left(encode(sha256(convert_to(utm_key.utm_campaign, 'UTF8')),
                                             'hex'), 16))::bit(62)::bigint
                ELSE 0 END;
END
$$;
COMMENT ON FUNCTION referral.utm_key(text) IS
'The number that stands for a utm_campaign in table funnel, the same everywhere: 0 for none (NULL or
empty), never 1, which stands for all those that maintain() folded.';

CREATE FUNCTION referral.clean_text(value text, at_most integer)
    RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'referral_clean_text';
COMMENT ON FUNCTION referral.clean_text(text, integer) IS
'A text from outside as it is stored: without control characters and others that do not show (zero
width, direction of writing, line and paragraph separators), trimmed, cut to at_most characters;
NULL when nothing is left. Whatever else it holds stays: who shows it escapes it.';

CREATE FUNCTION referral.rotate_salt(program_id bigint DEFAULT referral.current_program())
    RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    PERFORM referral.check_program(rotate_salt.program_id);
    INSERT INTO referral.click_salt AS s (program_id, salt)
    VALUES (rotate_salt.program_id,
            uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
    RETURNING s.salt_id INTO new_id;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION referral.rotate_salt(bigint) IS
'Gives the clicks of a program from now on a new salt and returns its salt_id. Hashes under
different salts never match, so nobody is recognised across the change.
Errors: 23503 unknown_program.
Example: SELECT referral.rotate_salt();';

CREATE FUNCTION referral.make_salt() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.rotate_salt(NEW.program_id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.make_salt() IS
'AFTER INSERT row trigger of program: its first salt.';

CREATE FUNCTION referral.capture_click(code text, click_id text DEFAULT NULL,
                                       landing_path text DEFAULT NULL,
                                       utm_source text DEFAULT NULL,
                                       utm_medium text DEFAULT NULL,
                                       utm_campaign text DEFAULT NULL,
                                       ip text DEFAULT NULL, user_agent text DEFAULT NULL,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_id CONSTANT text := nullif(capture_click.click_id, '');
    new_id CONSTANT text := coalesce(own_id, gen_random_uuid()::text);
    campaign CONSTANT text := referral.clean_text(capture_click.utm_campaign, 100);
    key CONSTANT bigint := CASE WHEN campaign IS NULL THEN 0 ELSE referral.utm_key(campaign) END;
    address CONSTANT text := nullif(lower(left(btrim(capture_click.ip), 100) COLLATE "C"), '');
    agent CONSTANT text := nullif(left(capture_click.user_agent, 1000), '');
    offer record;
BEGIN
    IF octet_length(own_id) > 200 OR own_id !~ '^[A-Za-z0-9._~:@+=-]+$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid click_id',
            DETAIL = 'click_id takes 1 to 200 of A-Z a-z 0-9 . _ ~ : @ + = and -.',
            HINT = 'Leave it out and use the one that is returned.';
    END IF;
    LOOP
        SELECT c.code_id, c.campaign_id, (now() AT TIME ZONE p.time_zone)::date AS day,
               s.salt_id, s.salt
          INTO offer
          FROM referral.code c
               JOIN referral.program p ON p.program_id = c.program_id
               LEFT JOIN LATERAL (SELECT l.salt_id, l.salt
                                    FROM referral.click_salt l
                                   WHERE l.program_id = capture_click.program_id
                                   ORDER BY l.salt_id DESC
                                   LIMIT 1) s ON true
         WHERE c.program_id = capture_click.program_id
           AND lower(c.code) = lower(left(capture_click.code, 65) COLLATE "C");
        EXIT WHEN NOT FOUND OR offer.salt IS NOT NULL;
        -- The program was made while the triggers were away.
        PERFORM referral.rotate_salt(capture_click.program_id);
    END LOOP;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'unknown_code',
            DETAIL = 'The program has no such code.',
            HINT = 'Send the visitor on without a click.';
    END IF;

    INSERT INTO referral.click AS k
           (program_id, click_id, code_id, clicked_at, landing_path, utm_source, utm_medium,
            utm_campaign, utm_key, salt_id, ip_hash, agent_hash)
    VALUES (capture_click.program_id, new_id, offer.code_id, now(),
            referral.clean_text(
                split_part(split_part(capture_click.landing_path, '?', 1), '#', 1), 500),
            referral.clean_text(capture_click.utm_source, 100),
            referral.clean_text(capture_click.utm_medium, 100),
            campaign, key,
            CASE WHEN address <> '' OR agent <> '' THEN offer.salt_id END,
            sha256(offer.salt || convert_to(address, 'UTF8')),
            sha256(offer.salt || convert_to(agent, 'UTF8')))
    ON CONFLICT ON CONSTRAINT click_pkey DO NOTHING;
    IF FOUND THEN
        PERFORM referral.count_funnel(capture_click.program_id, offer.day, offer.campaign_id,
                                      key, 'clicks', 1);
    END IF;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION
referral.capture_click(text, text, text, text, text, text, text, text, bigint) IS
'Notes a visit by way of a code and returns its click_id, by which attribute() knows it again.
code: in any case of letters, also one that attributes nobody at present; click_id: NULL or empty =
one is made; an own one has 1 to 200 of A-Z a-z 0-9 . _ ~ : @ + = -, and when it is known already
nothing is changed or counted; landing_path: at most 500 characters, up to its first ? or #; the
utm_...: at most 100 each. Longer ones are cut, control and invisible characters removed, what is
empty then is NULL. Of ip and user_agent only hashes are kept, with the program''s salt.
Errors: 22023 unknown_code, 22023 invalid click_id.
Example: SELECT referral.capture_click(''ada'', landing_path => ''/pricing'');';
