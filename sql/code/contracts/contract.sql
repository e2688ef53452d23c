-- The one way into the published contracts: nginx names contract and endpoint,
-- this asks it, and gives an error the contract's form.

CREATE FUNCTION referral_api.contract(bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked CONSTANT text := referral.request_header('x-endpoint');
    contract CONSTANT text := split_part(asked, ' ', 1);
    endpoint CONSTANT text := substr(asked, length(contract) + 2);
    answer json;
    error record;
BEGIN
    CASE contract
        WHEN 'triport' THEN answer := referral.triport(endpoint, $1);
        WHEN 'intotes' THEN answer := referral.intotes(endpoint, $1);
        WHEN 'crawlora' THEN answer := referral.crawlora(endpoint, $1);
        WHEN 'baanx' THEN answer := referral.baanx(endpoint, $1);
        ELSE answer := NULL;
    END CASE;
    IF answer IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_endpoint',
            DETAIL = 'The header X-Endpoint names none.',
            HINT = 'Call through nginx, with the paths of http/routes.conf.';
    END IF;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    error := referral.http_error(SQLSTATE, SQLERRM);
    IF error.status IS NOT NULL THEN
        CASE contract
            WHEN 'triport' THEN RETURN referral.triport_error(error.status, error.tag);
            WHEN 'intotes' THEN RETURN referral.intotes_error(error.status, error.tag);
            WHEN 'crawlora' THEN RETURN referral.crawlora_error(error.status, error.tag);
            WHEN 'baanx' THEN RETURN referral.baanx_error(error.status, error.tag);
            ELSE NULL;
        END CASE;
    END IF;
    RAISE;
END
$$;
COMMENT ON FUNCTION referral_api.contract(bytea) IS
'The published contracts: what the endpoint answers that nginx names in the header X-Endpoint
Body: what was sent, as application/octet-stream. http/openapi/ has a document for each contract.
Errors: in the contract''s form, with its status; unknown_endpoint where no contract is named.';
