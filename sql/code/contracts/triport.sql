-- The contract /triport (CONTRACT section 9; the pages under console/referrals
-- of its documentation). http/triport.conf names the endpoints.

CREATE FUNCTION referral.triport_me()
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT referral.principal := referral.signed_in();
BEGIN
    RETURN (SELECT row_to_json(o)
              FROM referral.referral_overview(me.user_id, me.program_id) o);
END
$$;
COMMENT ON FUNCTION referral.triport_me() IS
'GET /v1/referrals/me: what a member''s first page shows.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.triport_error(state text, message text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer(e.status, json_build_object('error', e.tag))
      FROM referral.http_error($1, $2) e
     WHERE e.status IS NOT NULL
$$;
COMMENT ON FUNCTION referral.triport_error(text, text) IS
'What the contract answers to an error; NULL where the caller is not to blame.
state: SQLSTATE; message: as it was raised.';

CREATE FUNCTION referral_api.triport(bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer json;
BEGIN
    CASE referral.request_header('x-endpoint')
        WHEN 'GET me' THEN RETURN referral.triport_me();
        ELSE RETURN referral.http_answer(404, json_build_object('error', 'not_found'));
    END CASE;
EXCEPTION WHEN OTHERS THEN
    answer := referral.triport_error(SQLSTATE, SQLERRM);
    IF answer IS NULL THEN
        RAISE;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral_api.triport(bytea) IS
'The contract /triport: the endpoint that nginx names in the header X-Endpoint
Body: what was sent, as application/octet-stream. http/openapi/triport.json describes the endpoints.';
