-- The contract /baanx (CONTRACT section 9). http/routes.conf names the endpoints.

CREATE FUNCTION referral.baanx_error(state text, message text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer(e.status, json_build_object('message', e.tag))
      FROM referral.http_error($1, $2) e
     WHERE e.status IS NOT NULL
$$;
COMMENT ON FUNCTION referral.baanx_error(text, text) IS
'What the contract answers to an error; NULL where the caller is not to blame.
state: SQLSTATE; message: as it was raised.';

CREATE FUNCTION referral_api.baanx(bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer json;
BEGIN
    RETURN referral.http_answer(404, json_build_object('message', 'not_found'));
EXCEPTION WHEN OTHERS THEN
    answer := referral.baanx_error(SQLSTATE, SQLERRM);
    IF answer IS NULL THEN
        RAISE;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral_api.baanx(bytea) IS
'The contract /baanx: the endpoint that nginx names in the header X-Endpoint
Body: what was sent, as application/octet-stream. http/openapi/baanx.json describes the endpoints.';
