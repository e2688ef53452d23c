-- Last piece: who may call what over HTTP, and nobody anything else.

-- The one place that says which function is for whom. Whether a caller may name
-- another user_id is decided by referral.about(), for all functions alike.
CREATE FUNCTION referral.api_functions(OUT function regprocedure, OUT part text)
    RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure, part.name
    FROM (VALUES
        ('{anon, member, operator}'::text[],
         '{openapi, validate_code, capture_click, contract}'::text[]),
        ('{member, operator}',
         '{whoami, referral_overview, list_rewards, list_invitees, list_downline,
          level_stats, earnings_by_day, campaign_code, set_custom_slug,
          remove_custom_slug, attribute, request_payout, payout_cancel, list_payouts,
          statement}'),
        ('{operator}',
         '{enroll, set_tier, suspend, reinstate, record_payment, record_refund, spend,
          unspend, set_payout_destination, payout_processing, payout_sent,
          payout_failed, payout_batch, adjust, claim_grants, confirm_grant, fail_grant,
          recover_grants, explain_reward, explain_payment, verify, approve_attribution,
          reject_attribution, list_attributions, attribution_detail, funnel_stats,
          leaderboard, next_events, maintenance_progress}')
    ) a(parts, names)
    CROSS JOIN unnest(a.parts) part(name)
    JOIN pg_proc p ON p.proname = ANY (a.names)
                  AND p.pronamespace = (SELECT n.oid FROM pg_namespace n
                                        WHERE n.nspname = 'referral_api')
$$;
COMMENT ON FUNCTION referral.api_functions() IS
'Functions of schema referral_api and the part (anon, member, operator) that may call each.';

CREATE FUNCTION referral.repeat_grants() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grantee name;
    allowed regprocedure;
BEGIN
    FOR grantee IN
        SELECT DISTINCT g.role_name FROM referral.api_grant g
        WHERE g.part <> 'login'
        ORDER BY g.role_name
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = grantee) THEN
            RAISE WARNING USING
                MESSAGE = 'role_missing',
                DETAIL = format('Role %I was named to grant_api() and is not there.', grantee),
                HINT = 'Create it and CALL referral.install(), or SELECT referral.revoke_api().';
            CONTINUE;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA referral_api TO %I', grantee);
        FOR allowed IN
            SELECT DISTINCT a.function
            FROM referral.api_functions() a
            JOIN referral.api_grant g USING (part)
            WHERE g.role_name = grantee
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', allowed, grantee);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.repeat_grants() IS
'Grants what the roles remembered in api_grant may do on schema referral_api. For grant_api() and install().
A role that is no longer there is passed over with a warning (role_missing).';

CREATE FUNCTION referral.grant_api(anon name DEFAULT NULL, member name DEFAULT NULL,
                                   operator name DEFAULT NULL, login name DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named record;
BEGIN
    FOR named IN
        SELECT v.part, v.role_name
        FROM (VALUES ('anon', grant_api.anon), ('member', grant_api.member),
                     ('operator', grant_api.operator), ('login', grant_api.login)
             ) v(part, role_name)
        WHERE v.role_name IS NOT NULL
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = named.role_name) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'invalid_parameter_value',
                MESSAGE = 'unknown_role',
                DETAIL = format('There is no role %I.', named.role_name),
                HINT = 'CREATE ROLE first; the extension makes no roles.';
        END IF;
        INSERT INTO referral.api_grant (part, role_name)
        SELECT named.part, named.role_name
        WHERE NOT EXISTS (SELECT FROM referral.api_grant g
                          WHERE g.part = named.part AND g.role_name = named.role_name);
    END LOOP;
    PERFORM referral.repeat_grants();
END
$$;
COMMENT ON FUNCTION referral.grant_api(name, name, name, name) IS
'Lets roles use schema referral_api over HTTP and remembers it; install() repeats it. Roles named earlier keep what they have; nobody gets a right on a table.
anon, member, operator: roles that PostgREST switches to; login: the role it logs in as, whose claims are believed from now on.
Errors: 22023 unknown_role.';

CREATE FUNCTION referral.revoke_api(role name) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM referral.api_grant g WHERE g.role_name = revoke_api.role;
    IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = revoke_api.role) THEN
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA referral_api FROM %I', revoke_api.role);
        EXECUTE format('REVOKE ALL ON SCHEMA referral_api FROM %I', revoke_api.role);
    ELSIF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'unknown_role',
            DETAIL = format('There is no role %I, and none was named to grant_api().', revoke_api.role);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.revoke_api(name) IS
'Takes back everything that grant_api() gave a role, as whatever it was named, and forgets it.
Errors: 22023 unknown_role.';

REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA referral, referral_api FROM PUBLIC;
