-- The contract /intotes (CONTRACT section 9). http/routes.conf names the endpoints.

CREATE FUNCTION referral.intotes_error(state text, message text)
    RETURNS json LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.http_answer(e.status, json_build_object('error', e.tag))
      FROM referral.http_error($1, $2) e
     WHERE e.status IS NOT NULL
$$;
COMMENT ON FUNCTION referral.intotes_error(text, text) IS
'What the contract answers to an error; NULL where the caller is not to blame.
state: SQLSTATE; message: as it was raised.';

CREATE FUNCTION referral_api.intotes(bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer json;
BEGIN
    RETURN referral.http_answer(404, json_build_object('error', 'not_found'));
EXCEPTION WHEN OTHERS THEN
    answer := referral.intotes_error(SQLSTATE, SQLERRM);
    IF answer IS NULL THEN
        RAISE;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral_api.intotes(bytea) IS
'The contract /intotes: the endpoint that nginx names in the header X-Endpoint
Body: what was sent, as application/octet-stream. http/openapi/intotes.json describes the endpoints.';
