-- Keys by which machines act for a program (CONTRACT section 9).
--
-- A key names its program and its row, so that it is found by one look-up, and
-- ends in what cannot be guessed. Of that only a hash is kept: whoever reads the
-- table, or a dump of it, has no key. Keys have 244 random bits, so a plain hash
-- is enough; what people choose themselves would need a slow one.

CREATE FUNCTION referral.api_key_hash(api_key text)
    RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(convert_to($1, 'UTF8'))
$$;
COMMENT ON FUNCTION referral.api_key_hash(text) IS
'What is kept of a key.';

CREATE FUNCTION referral.create_api_key("right" text DEFAULT 'client',
                                        program_id bigint DEFAULT referral.current_program())
    RETURNS referral.new_api_key LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result referral.new_api_key;
BEGIN
    IF create_api_key."right" IN ('client', 'operator') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid right',
            DETAIL = 'A key has the right of a client or of an operator.',
            HINT = 'Ask for ''client'' or ''operator''.';
    END IF;
    PERFORM referral.check_program(create_api_key.program_id);
    result.key_id := nextval('referral.api_key_id_seq');
    result.api_key := format('rk_%s_%s_%s', create_api_key.program_id, result.key_id,
                             replace(gen_random_uuid()::text || gen_random_uuid(), '-', ''));
    INSERT INTO referral.api_key (program_id, key_id, hash, "right")
    VALUES (create_api_key.program_id, result.key_id, referral.api_key_hash(result.api_key),
            create_api_key."right");
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.create_api_key(text, bigint) IS
'Makes a key by which a machine acts for the program, and shows it this once: its hash is kept.
right: client, which names the program to calls of its users, or operator, which may all that
operators may.
Errors: 22023 invalid right, 23503 unknown_program.
Example: SELECT * FROM referral.create_api_key(''operator'');';

CREATE FUNCTION referral.revoke_api_key(key_id bigint,
                                        program_id bigint DEFAULT referral.current_program())
    RETURNS boolean LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE referral.api_key k
       SET revoked_at = now()
     WHERE k.program_id = revoke_api_key.program_id AND k.key_id = revoke_api_key.key_id
       AND k.revoked_at IS NULL;
    IF FOUND THEN
        RETURN true;
    ELSIF EXISTS (SELECT FROM referral.api_key k
                   WHERE k.program_id = revoke_api_key.program_id
                     AND k.key_id = revoke_api_key.key_id) THEN
        RETURN false;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'RF010',
        MESSAGE = 'unknown_api_key',
        DETAIL = 'The program has no key of this number.',
        HINT = 'The number stands in the key: rk_<program>_<number>_...';
END
$$;
COMMENT ON FUNCTION referral.revoke_api_key(bigint, bigint) IS
'Takes a key out of use, for good and from the commit on; returns false if that was done before.
key_id: the key''s number, which create_api_key() returned and the key itself shows.
Errors: RF010 unknown_api_key.
Example: SELECT referral.revoke_api_key(3);';

-- The same work whatever comes: one hash of a short text and one look-up. What
-- is compared are hashes, so the time that this takes tells nothing of a key.
CREATE FUNCTION referral.api_key_program(api_key text, "right" text)
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- ASCII of at most 105 characters, or nothing: hashing it cannot fail.
    presented CONSTANT text := coalesce(
        substring(api_key_program.api_key FROM '^rk_[0-9]{1,18}_[0-9]{1,18}_[0-9a-f]{64}$'), '');
BEGIN
    RETURN (SELECT k.program_id
              FROM referral.api_key k
             WHERE k.program_id = coalesce(nullif(split_part(presented, '_', 2), ''), '0')::bigint
               AND k.key_id = coalesce(nullif(split_part(presented, '_', 3), ''), '0')::bigint
               AND k.hash = referral.api_key_hash(presented)
               AND k.revoked_at IS NULL
               AND (k."right" = api_key_program."right"
                    OR k."right" = 'operator' AND api_key_program."right" = 'client'));
END
$$;
COMMENT ON FUNCTION referral.api_key_program(text, text) IS
'The program for which a key may act; NULL where it is no key, was revoked or has a lesser right.
api_key: as it was presented, anything at all; right: client or operator, that is needed. The key of
an operator is also one of a client. No errors.';
