-- The one way into the published contracts: nginx names contract and endpoint,
-- this asks it, and gives an error the contract's form.

CREATE FUNCTION referral_api.contract(bytea)
    RETURNS json LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer json;
    error record;
BEGIN
    -- As in http/routes.conf, but that what is asked for most comes first: each that
    -- is passed by takes a microsecond.
    CASE referral.request_header('x-endpoint')
        WHEN 'triport GET me' THEN RETURN referral.triport_me();
        WHEN 'intotes GET info' THEN RETURN referral.intotes_info();
        WHEN 'triport GET rewards' THEN RETURN referral.triport_rewards();
        WHEN 'triport GET invitees' THEN RETURN referral.triport_invitees();
        WHEN 'triport GET payouts' THEN RETURN referral.triport_payouts();
        WHEN 'triport POST payouts' THEN RETURN referral.triport_request_payout($1);
        WHEN 'triport POST code' THEN RETURN referral.triport_set_code($1);
        WHEN 'triport DELETE code' THEN RETURN referral.triport_remove_code();
        WHEN 'triport POST attribute' THEN RETURN referral.triport_attribute();
        WHEN 'triport GET admin_user' THEN RETURN referral.triport_admin_user();
        WHEN 'triport POST admin_tier' THEN RETURN referral.triport_admin_tier($1);
        WHEN 'triport POST admin_payout_sent' THEN RETURN referral.triport_admin_payout($1, true);
        WHEN 'triport POST admin_payout_failed' THEN RETURN referral.triport_admin_payout($1, false);
        WHEN 'triport POST admin_simulate_paid' THEN RETURN referral.triport_admin_simulate_paid();
        WHEN 'intotes GET children' THEN RETURN referral.intotes_children();
        WHEN 'crawlora POST click' THEN answer := referral.crawlora_click($1);
        WHEN 'crawlora GET me' THEN answer := referral.crawlora_me();
        WHEN 'crawlora GET events' THEN answer := referral.crawlora_events();
        WHEN 'crawlora GET attributions' THEN answer := referral.crawlora_attributions();
        WHEN 'crawlora GET attribution' THEN
            answer := referral.crawlora_detail(referral.crawlora_operator(),
                                               referral.crawlora_id());
        WHEN 'crawlora POST approve' THEN answer := referral.crawlora_decide('approved', $1);
        WHEN 'crawlora POST reject' THEN answer := referral.crawlora_decide('rejected', $1);
        WHEN 'crawlora POST recover' THEN answer := referral.crawlora_recover();
        WHEN 'crawlora GET stats' THEN answer := referral.crawlora_funnel();
        WHEN 'baanx GET referral' THEN RETURN referral.baanx_referral();
        WHEN 'baanx GET validate' THEN RETURN referral.baanx_validate();
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'RF010',
                MESSAGE = 'unknown_endpoint',
                DETAIL = 'The header X-Endpoint names none.',
                HINT = 'Call through nginx, with the paths of http/routes.conf.';
    END CASE;
    -- The others have returned.
    RETURN referral.crawlora_answer(200, 'ok', answer);
EXCEPTION WHEN OTHERS THEN
    error := referral.http_error(SQLSTATE, SQLERRM);
    IF error.status IS NOT NULL THEN
        CASE split_part(referral.request_header('x-endpoint'), ' ', 1)
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
