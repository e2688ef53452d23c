-- Which program is meant, who is calling, and what is running.

CREATE FUNCTION referral.current_program() RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chosen text := nullif(current_setting('referral.program_id', true), '');
    ids bigint[];
BEGIN
    IF to_regclass('referral.program') IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF005',
            MESSAGE = 'not_installed',
            DETAIL = 'The tables of the extension have not been made in this database.',
            HINT = 'CALL referral.install().';
    END IF;
    IF chosen ~ '^[0-9]{1,18}$' THEN
        RETURN chosen::bigint;
    ELSIF chosen IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF004',
            MESSAGE = 'no_program',
            DETAIL = 'The setting referral.program_id is not the id of a program.',
            HINT = 'SET referral.program_id to a number, or RESET it.';
    END IF;
    ids := ARRAY(SELECT p.program_id FROM referral.program p LIMIT 2);
    CASE cardinality(ids)
        WHEN 1 THEN
            RETURN ids[1];
        WHEN 0 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RF004',
                MESSAGE = 'no_program',
                DETAIL = 'There is no program yet.',
                HINT = 'INSERT INTO referral.program (name) VALUES (...).';
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'RF004',
                MESSAGE = 'ambiguous_program',
                DETAIL = 'There are several programs and none was named.',
                HINT = 'Name program_id in the call, or SET referral.program_id.';
    END CASE;
END
$$;
COMMENT ON FUNCTION referral.current_program() IS
'The program that is meant where none is named: the setting referral.program_id, else the only program there is.
Errors: RF004 no_program (none there, or the setting is no id) or ambiguous_program (several), RF005 not_installed.';

CREATE FUNCTION referral.check_program(program_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM referral.program p
                    WHERE p.program_id = check_program.program_id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = 'unknown_program',
            DETAIL = 'There is no program with this program_id.',
            HINT = 'Name one of referral.program.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_program(bigint) IS
'Refuses a program that is not there.
Errors: 23503 unknown_program.';

CREATE FUNCTION referral.library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'referral_library_version';
COMMENT ON FUNCTION referral.library_version() IS
'Version of the shared library that this session has loaded.';

CREATE TYPE referral.version_row AS (
    library text,
    sql     text,
    model   text,
    missing text[]
);
COMMENT ON TYPE referral.version_row IS
'library and sql are versions; model is the last numbered step of the data model that was run, null before install(); missing are the steps that install() has yet to run.';

CREATE FUNCTION referral.version() RETURNS referral.version_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done text[] := '{}';
BEGIN
    IF to_regclass('referral.model_step') IS NOT NULL THEN
        done := ARRAY(SELECT m.step FROM referral.model_step m);
    END IF;
    RETURN (referral.library_version(),
            (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'referral'),
            (SELECT max(d.step COLLATE "C") FROM unnest(done) d(step)),
            ARRAY(SELECT s.step FROM referral.model_steps() s
                  WHERE s.step ~ '^[0-9]' AND s.step <> ALL (done)
                  ORDER BY s.step COLLATE "C"));
END
$$;
COMMENT ON FUNCTION referral.version() IS
'What is running: library, SQL and data model, and the steps of the data model that install() has yet to run.
library and sql differ until ALTER EXTENSION referral UPDATE was run and old sessions have ended; missing is empty after install().';

CREATE FUNCTION referral.json_setting(name text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'referral_json_setting';
COMMENT ON FUNCTION referral.json_setting(text) IS
'A setting that holds a JSON object; NULL where it is not set or holds anything else.';

-- Claims are a plain setting that anybody can SET. They count only for the
-- login of the HTTP server, which has verified them; session_user, because
-- SET ROLE and SECURITY DEFINER do not change it.
CREATE FUNCTION referral.claims() RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    claims CONSTANT jsonb := referral.json_setting('request.jwt.claims');
BEGIN
    IF NOT EXISTS (SELECT FROM referral.api_grant g
                    WHERE g.part = 'login' AND g.role_name = session_user) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'unauthenticated',
            DETAIL = 'Claims of this login are not believed.',
            HINT = 'Call through the HTTP server, whose login is named to referral.grant_api().';
    ELSIF claims IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'unauthenticated',
            DETAIL = 'There are no claims, or they are not a JSON object.',
            HINT = 'Call through the HTTP server, which verifies tokens.';
    END IF;
    RETURN claims;
END
$$;
COMMENT ON FUNCTION referral.claims() IS
'The verified claims of the request (setting request.jwt.claims), believed only if session_user is a login named to grant_api(). For schema referral_api.
Errors: 42501 unauthenticated.';

CREATE FUNCTION referral.program_of(claims jsonb) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT program_of.claims ? 'program_id' THEN
        RETURN referral.current_program();
    ELSIF program_of.claims ->> 'program_id' ~ '^[0-9]{1,18}$' THEN
        RETURN (program_of.claims ->> 'program_id')::bigint;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'insufficient_privilege',
        MESSAGE = 'unauthenticated',
        DETAIL = 'The claim program_id is not the id of a program.',
        HINT = 'Sign tokens with program_id as a number, or without it.';
END
$$;
COMMENT ON FUNCTION referral.program_of(jsonb) IS
'The program that claims name, else current_program().
Errors: 42501 unauthenticated, RF004 and RF005 as current_program().';

CREATE FUNCTION referral.caller_program() RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN referral.program_of(referral.claims());
END
$$;
COMMENT ON FUNCTION referral.caller_program() IS
'The program of the request: the claim program_id, else current_program(). Enough for anonymous callers. For schema referral_api.
Errors: 42501 unauthenticated, RF004 and RF005 as current_program().';

CREATE FUNCTION referral.caller(OUT user_id text, OUT program_id bigint)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    claims CONSTANT jsonb := referral.claims();
    subject CONSTANT jsonb := claims -> 'sub';
BEGIN
    caller.user_id := subject #>> '{}';
    IF jsonb_typeof(subject) = 'string' AND length(caller.user_id) BETWEEN 1 AND 200 THEN
        caller.program_id := referral.program_of(claims);
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'insufficient_privilege',
        MESSAGE = 'unauthenticated',
        DETAIL = 'The claim sub is missing or not a text of 1 to 200 characters.',
        HINT = 'Sign tokens with the user''s id as sub.';
END
$$;
COMMENT ON FUNCTION referral.caller() IS
'Who calls through the HTTP server: user_id is the claim sub, program_id as caller_program(). For schema referral_api.
Errors: 42501 unauthenticated, RF004 and RF005 as current_program().';
