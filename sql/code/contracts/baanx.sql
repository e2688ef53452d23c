-- The contract /baanx (CONTRACT section 9; the pages api-reference/referral of
-- its documentation). http/routes.conf names the endpoints.

CREATE FUNCTION referral.baanx_program()
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder CONSTANT referral.principal := referral.key_holder('x-client-key', 'client');
BEGIN
    IF holder.program_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'unauthenticated',
            DETAIL = 'The header x-client-key holds no key that is valid.',
            HINT = 'referral.create_api_key() makes one.';
    END IF;
    RETURN holder.program_id;
END
$$;
COMMENT ON FUNCTION referral.baanx_program() IS
'The program whose key the request presents.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.baanx_referral()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := referral.baanx_program();
    me referral.principal;
BEGIN
    -- A token that names no program is one of the key's.
    PERFORM set_config('referral.program_id', tenant::text, true);
    IF referral.caller_program() <> tenant THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'not_yours',
            DETAIL = 'The token is of another program than the key.',
            HINT = 'Send the key of the program that signed the user in.';
    END IF;
    me := referral.signed_in();
    RETURN coalesce((SELECT row_to_json(c)
                       FROM referral.campaign_code(me.user_id, NULL, tenant) c), '{}');
END
$$;
COMMENT ON FUNCTION referral.baanx_referral() IS
'GET /v1/referral: the caller''s code in the running campaign, issued at the first request; {} where none runs.
Errors: 42501 unauthenticated, not_yours.';

CREATE FUNCTION referral.baanx_validate()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := referral.baanx_program();
    code CONSTANT text := referral.path_segment(4);
BEGIN
    IF code IS NULL OR code !~ '^[A-Za-z0-9_-]{1,64}$' THEN
        RETURN referral.http_answer(CASE WHEN code IS NULL THEN 400 ELSE 422 END,
                                    json_build_object('message', 'Invalid request'));
    END IF;
    RETURN json_build_object('valid', (referral.validate_code(code, NULL, tenant)).valid);
END
$$;
COMMENT ON FUNCTION referral.baanx_validate() IS
'GET /v1/referral/{code}/validate: whether a new user may sign up by the code now.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.baanx_error(status integer, tag text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- 401 is nginx's to word.
    SELECT referral.http_answer($1, json_build_object(
               'message', CASE $1 WHEN 403 THEN 'Not authorized' ELSE 'Invalid request' END))
$$;
COMMENT ON FUNCTION referral.baanx_error(integer, text) IS
'What the contract answers to an error.
status, tag: of http_error().';
