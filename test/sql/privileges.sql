-- Who may do what, and that every function is written the way that keeps it so.
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

CREATE TEMP VIEW routine AS
    SELECT p.oid::regprocedure::text AS signature, n.nspname AS schema, p.*, l.lanname
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname IN ('referral', 'referral_api');
GRANT SELECT ON routine TO PUBLIC;

-- Functions.
SELECT cmp_ok(count(*), '>', 20::bigint, 'there are functions to look at') FROM routine;
SELECT is_empty($$
    SELECT r.signature FROM routine r, aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) a
    WHERE a.grantee = 0 $$, 'PUBLIC may call nothing');
SELECT is_empty($$
    SELECT signature FROM routine
    WHERE coalesce(obj_description(oid, 'pg_proc'), '') = '' $$, 'every function has a comment');
SELECT is_empty($$
    SELECT signature, proconfig FROM routine
    WHERE lanname <> 'c' AND NOT (prokind = 'p' AND prosrc ~* '\mCOMMIT\M')
      AND prosqlbody IS NULL    -- bound when it was made
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false) $$,
    'every function that does not commit has its search_path pinned');
SELECT is_empty($$
    SELECT signature FROM routine WHERE prokind = 'p' AND prosrc ~* '\mCOMMIT\M'
      AND (prosecdef OR proconfig IS NOT NULL) $$, 'procedures that commit carry no SET');
SELECT is_empty($$ SELECT signature FROM routine WHERE proleakproof $$, 'nothing is leakproof');
SELECT is_empty($$
    SELECT r.signature FROM routine r JOIN pg_roles o ON o.oid = r.proowner
    WHERE NOT o.rolsuper OR r.lanname NOT IN ('c', 'sql', 'plpgsql') $$,
    'owners and languages are as CREATE EXTENSION left them');
SELECT is_empty($$
    SELECT signature FROM routine WHERE prosrc ~ '40001|serialization_failure|P0002' $$,
    'no function raises what PostgREST retries or answers by 500');

-- Rights of the owner: the functions of the API, and those triggers that read
-- the books or write the history for whoever may write the configuration.
SELECT is_empty($$ SELECT signature FROM routine
                   WHERE schema = 'referral_api' AND NOT prosecdef $$,
    'the API runs with the rights of its owner');
SELECT bag_eq($$ SELECT signature FROM routine WHERE schema = 'referral' AND prosecdef
                     AND prorettype = 'trigger'::regtype $$,
    ARRAY['referral.check_tiers()', 'referral.keep_auto_tiers()', 'referral.keep_history()',
          'referral.move_funnel()',
          'referral.make_salt()', 'referral.number_program()', 'referral.protect_program()',
          'referral.start_events()'],
    'these triggers run with the rights of their owner');
SELECT is_empty($$ SELECT signature FROM routine WHERE schema = 'referral' AND prosecdef
                   AND prorettype <> 'trigger'::regtype $$,
    'nothing else does');
SELECT is_empty($$ SELECT signature FROM routine WHERE schema = 'referral_api'
                   AND prosecdef AND lanname = 'c' $$, 'nothing in C is open to the web');

-- Tables.
CREATE TEMP VIEW relation AS
    SELECT c.* FROM pg_class c WHERE c.relnamespace = 'referral'::regnamespace;
SELECT is_empty($$
    SELECT c.relname FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
    WHERE c.relkind IN ('r', 'p') AND a.attname <> 'program_id'
      AND c.relname NOT IN ('model_step', 'api_grant') $$,
    'program_id is the first column of every table');
SELECT is_empty($$
    SELECT i.indexrelid::regclass FROM pg_index i JOIN relation c ON c.oid = i.indrelid
    WHERE (SELECT a.attname FROM pg_attribute a
           WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0]) IS DISTINCT FROM 'program_id'
      AND i.indexrelid::regclass::text <> 'referral.program_name_key' $$,
    'program_id is the first column of every index');
SELECT is_empty($$
    SELECT f.conrelid::regclass, f.conname FROM pg_constraint f JOIN relation c ON c.oid = f.conrelid
    WHERE f.contype = 'f'
      AND (SELECT a.attname FROM pg_attribute a
           WHERE a.attrelid = f.conrelid AND a.attnum = f.conkey[1]) <> 'program_id' $$,
    'program_id is the first column of every foreign key');
SELECT is_empty($$
    SELECT c.relname FROM relation c
    WHERE c.relkind IN ('r', 'p', 'v', 'c') AND obj_description(c.oid, 'pg_class') IS NULL
      AND obj_description(c.reltype, 'pg_type') IS NULL $$,
    'every table, view and type has a comment');
SELECT bag_eq($$
    SELECT c.relname::text, a.grantee::regrole::text, a.privilege_type
    FROM relation c, aclexplode(c.relacl) a WHERE a.grantee <> c.relowner $$,
    $$ VALUES ('payment_no_seq', '-', 'USAGE'), ('refund_no_seq', '-', 'USAGE') $$,
    'nobody has a right on a table; the numbers of payments and refunds are everybody''s');
SELECT is_empty($$
    SELECT n.nspname FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.nspname IN ('referral', 'referral_api') AND a.grantee <> n.nspowner $$,
    'the schemas are closed');
SELECT is_empty($$
    SELECT c.relname, a.attname FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND a.attidentity <> '' $$, 'no identity columns');

-- Whom the API's functions are for.
SELECT is_empty($$
    SELECT signature FROM routine WHERE schema = 'referral_api'
    AND oid NOT IN (SELECT function FROM referral.api_functions()) $$,
    'every function of the API is for somebody');
SELECT is_empty($$ SELECT signature FROM routine WHERE schema = 'referral_api' AND prokind = 'p' $$,
    'no procedures in the API');

-- grant_api, revoke_api.
CREATE ROLE regress_anon;
CREATE ROLE "regress Member";
CREATE ROLE regress_operator;
CREATE ROLE regress_login LOGIN NOINHERIT;
CREATE ROLE regress_plain LOGIN;
CREATE ROLE regress_app;
GRANT regress_anon, "regress Member", regress_operator TO regress_login;
GRANT "regress Member" TO regress_plain;
CREATE FUNCTION referral_api.list_downline(probe boolean) RETURNS text
    LANGUAGE sql SECURITY DEFINER AS 'SELECT c::text FROM referral.caller() c';
CREATE FUNCTION referral_api.validate_code(probe boolean) RETURNS referral.version_row
    LANGUAGE sql SECURITY DEFINER
    AS 'SELECT (referral.caller_program()::text, NULL, NULL, NULL)::referral.version_row';
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA referral_api FROM PUBLIC;

SELECT throws_ok($$ SELECT referral.grant_api(member => 'regress_nobody') $$, '22023', 'unknown_role');
SELECT throws_ok($$ SELECT referral.grant_api(anon => 'public') $$, '22023', 'unknown_role');
SELECT throws_ok($$ SELECT referral.revoke_api('regress_nobody') $$, '22023', 'unknown_role');
SELECT lives_ok($$ SELECT referral.grant_api('regress_anon', 'regress Member', 'regress_operator',
                                             'regress_login') $$, 'grant_api');
SELECT lives_ok($$ SELECT referral.grant_api('regress_anon', login => 'regress_login') $$,
    'grant_api again');
SELECT bag_eq($$ SELECT part, role_name::text FROM referral.api_grant $$,
    $$ VALUES ('anon', 'regress_anon'), ('login', 'regress_login'), ('member', 'regress Member'),
              ('operator', 'regress_operator') $$, 'remembered once');

CREATE TEMP VIEW may AS
    SELECT r.rolname::text AS role, f.signature
    FROM pg_roles r, routine f
    WHERE r.rolname ~ '^regress' AND has_function_privilege(r.oid, f.oid, 'EXECUTE');
CREATE TEMP VIEW should AS
    SELECT g.role_name::text AS role, a.function::text AS signature
    FROM referral.api_grant g JOIN referral.api_functions() a USING (part)
    UNION SELECT 'regress_plain', a.function::text   -- inherits what members may
    FROM referral.api_functions() a WHERE a.part = 'member';
SELECT set_eq('TABLE may', 'TABLE should', 'each may call exactly what is for him');
SELECT ok('regress_login' NOT IN (SELECT role FROM may), 'the login itself may call nothing');

-- install() repeats the grants of roles that are there.
REVOKE ALL ON ALL ROUTINES IN SCHEMA referral_api FROM regress_operator;
REVOKE ALL ON SCHEMA referral_api FROM regress_operator;
INSERT INTO referral.api_grant VALUES ('member', 'regress_gone');
SET client_min_messages = error;
CALL referral.install();
SET client_min_messages = warning;
SELECT set_eq('TABLE may', 'SELECT * FROM should WHERE role <> ''regress_gone''', 'install() repeats them');
SELECT lives_ok($$ SELECT referral.revoke_api('regress_gone') $$, 'a role that is gone is forgotten');

-- Who calls. The HTTP server's login, after SET ROLE, with claims.
INSERT INTO referral.program (program_id, name) VALUES (8, 'eight');
INSERT INTO referral.program (program_id, name) VALUES (9, 'nine');
CREATE FUNCTION pg_temp.as_caller(claims text, call text DEFAULT 'list_downline(true)') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    PERFORM set_config('request.jwt.claims', $1, true);
    EXECUTE 'SELECT referral_api.' || $2 || '::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SET SESSION AUTHORIZATION regress_login;
SET ROLE "regress Member";
SELECT is(pg_temp.as_caller(claims), answer, 'claims ' || left(claims, 60))
FROM (VALUES
    ('{"sub": "u1", "program_id": 9, "role": "x"}', '(u1,9)'),
    ('{"sub": "u1", "program_id": "9"}', '(u1,9)'),
    ('{"sub": "1", "program_id": 9}', '(1,9)'),
    ('{"sub": "' || repeat('x', 200) || '", "program_id": 9}', '(' || repeat('x', 200) || ',9)'),
    ('{"sub": "u1"}', 'RF004 ambiguous_program'),
    ('', '42501 unauthenticated'),
    ('nonsense', '42501 unauthenticated'),
    ('null', '42501 unauthenticated'),
    ('"u1"', '42501 unauthenticated'),
    ('[{"sub": "u1"}]', '42501 unauthenticated'),
    ('{"sub": "\u0000"}', '42501 unauthenticated'),
    (repeat('[', 100000), '42501 unauthenticated'),
    ('{}', '42501 unauthenticated'),
    ('{"sub": null, "program_id": 9}', '42501 unauthenticated'),
    ('{"sub": 1, "program_id": 9}', '42501 unauthenticated'),
    ('{"sub": ["u1"], "program_id": 9}', '42501 unauthenticated'),
    ('{"sub": "", "program_id": 9}', '42501 unauthenticated'),
    ('{"sub": "' || repeat('x', 201) || '", "program_id": 9}', '42501 unauthenticated'),
    ('{"sub": "u1", "program_id": null}', '42501 unauthenticated'),
    ('{"sub": "u1", "program_id": -9}', '42501 unauthenticated'),
    ('{"sub": "u1", "program_id": 9.5}', '42501 unauthenticated'),
    ('{"sub": "u1", "program_id": [9]}', '42501 unauthenticated'),
    ('{"sub": "u1", "program_id": 99999999999999999999}', '42501 unauthenticated')
) c(claims, answer);
SELECT throws_ok('SELECT referral.caller()', '42501', NULL, 'schema referral is closed to members');
SELECT throws_ok('SELECT * FROM referral.member', '42501', NULL, 'and so are its tables');
RESET ROLE;
SET ROLE regress_anon;
SELECT is(pg_temp.as_caller('{"role": "regress_anon", "program_id": 8}', 'validate_code(true)'),
    '(8,,,)', 'an anonymous caller has a program, and gets a type of a closed schema');
SET LOCAL referral.program_id = 9;
SELECT is(pg_temp.as_caller('{"role": "regress_anon"}', 'validate_code(true)'), '(9,,,)',
    'the setting names it where the claims do not');
SELECT is(pg_temp.as_caller('{"role": "regress_anon"}'),
    '42501 permission denied for function list_downline', 'but he reads nothing of members');
RESET referral.program_id;
RESET ROLE;
SELECT is(pg_temp.as_caller('{"sub": "u1", "program_id": 9}'),
    '42501 permission denied for schema referral_api', 'the login by itself may call nothing');

-- A plain login that forges the claims, with and without SET ROLE.
SET SESSION AUTHORIZATION regress_plain;
SELECT is(pg_temp.as_caller('{"sub": "u1", "program_id": 9}'), '42501 unauthenticated',
    'forged claims of a plain login gain nothing');
SET ROLE "regress Member";
SELECT is(pg_temp.as_caller('{"sub": "u1", "program_id": 9}'), '42501 unauthenticated',
    'nor after SET ROLE');
SELECT throws_ok($$ SET ROLE regress_login $$, '42501', NULL, 'the login cannot be put on');
RESET ROLE;
RESET SESSION AUTHORIZATION;

SELECT lives_ok($$ SELECT referral.revoke_api('regress Member') $$, 'revoke_api');
SELECT lives_ok($$ SELECT referral.revoke_api('regress Member') $$, 'revoke_api again');
SELECT is_empty($$ SELECT * FROM may WHERE role IN ('regress Member', 'regress_plain') $$,
    'nothing is left');
SELECT ok(NOT has_schema_privilege('regress Member', 'referral_api', 'USAGE'), 'not even the schema');
SELECT lives_ok($$ SELECT referral.revoke_api('regress_login') $$, 'a login is forgotten');
SET SESSION AUTHORIZATION regress_login;
SET ROLE regress_anon;
SELECT is(pg_temp.as_caller('{"program_id": 8}', 'validate_code(true)'), '42501 unauthenticated',
    'its claims are believed no more');
RESET ROLE;
RESET SESSION AUTHORIZATION;

-- An application that may insert payments and nothing else.
GRANT USAGE ON SCHEMA referral TO regress_app;
GRANT INSERT ON referral.payment TO regress_app;
SET ROLE regress_app;
SELECT lives_ok($$ INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
                   VALUES (9, 'a1', 'u1', 1000000), (9, 'a2', 'u2', 0) $$, 'it pays');
SELECT throws_ok($$ SELECT * FROM referral.payment $$, '42501', NULL, 'it reads no payments');
SELECT throws_ok($$ INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (9, 'f1', 'a1', 1) $$, '42501', NULL, 'and refunds none');
RESET ROLE;
GRANT INSERT ON referral.refund TO regress_app;
SET ROLE regress_app;
SELECT lives_ok($$ INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
                   VALUES (9, 'f1', 'a1', 1), (9, 'f2', 'none', 1) $$, 'unless it may');
SELECT throws_ok($$ SELECT * FROM referral.refund $$, '42501', NULL, 'it reads no refunds');
SELECT throws_ok($$ SELECT * FROM referral.payout_order $$, '42501', NULL, 'and no payouts');
RESET ROLE;
GRANT SELECT ON referral.payout_order TO regress_app;
SET ROLE regress_app;
SELECT lives_ok($$ SELECT * FROM referral.payout_order $$, 'unless it may');
SELECT throws_ok($$ SELECT * FROM referral.payout $$, '42501', NULL, 'by the view');
SELECT throws_ok($$ UPDATE referral.payment SET kind = 'x' $$, '42501', NULL, 'it changes none');
SELECT throws_ok($$ SELECT referral.current_program() $$, '42501', NULL, 'it calls nothing');
SELECT throws_ok($$ CALL referral.install() $$, '42501', NULL, 'it installs nothing');
SELECT throws_ok($$ SELECT referral.grant_api(operator => 'regress_app') $$, '42501', NULL,
    'it grants itself nothing');
CREATE TEMP TABLE trap (program_id bigint, payment_id text);
CREATE FUNCTION pg_temp.attachable(OUT signature text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    FOR signature IN SELECT r.signature FROM routine r WHERE r.prorettype = 'trigger'::regtype LOOP
        BEGIN
            EXECUTE 'CREATE TRIGGER t AFTER INSERT ON trap EXECUTE FUNCTION ' || signature;
            RETURN NEXT;
        EXCEPTION WHEN insufficient_privilege THEN
        END;
    END LOOP;
END $$;
SELECT is_empty('SELECT pg_temp.attachable()', 'it attaches none of our triggers to a table of its own');
RESET ROLE;

-- An operator with rights on the configuration and nothing else.
GRANT USAGE ON SCHEMA referral TO regress_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON referral.program, referral.tier, referral.rate,
    referral.campaign TO regress_operator;
SET ROLE regress_operator;
SELECT lives_ok($$ INSERT INTO referral.program (name) VALUES ('of an operator') $$, 'he makes a program');
SELECT lives_ok($$ INSERT INTO referral.tier VALUES (10, 1, 'one', 0), (10, 2, 'two', 2) $$, 'tiers');
SELECT lives_ok($$ INSERT INTO referral.rate (program_id, tier, level, rate_bps)
                   VALUES (10, 1, 1, 1000) $$, 'rates');
SELECT lives_ok($$ UPDATE referral.rate SET rate_bps = 1500 $$, 'changes them');
SELECT lives_ok($$ UPDATE referral.tier SET min_paid_invitees = 3 WHERE tier = 2 $$, 'and the tiers');
SELECT lives_ok($$ DELETE FROM referral.tier WHERE tier = 2 $$, 'takes one away');
SELECT lives_ok($$ UPDATE referral.program SET auto_tier = false, currency = 'EUR'
                   WHERE program_id = 10 $$, 'changes his program');
SELECT throws_ok($$ UPDATE referral.program SET currency = 'EUR' WHERE program_id = 9 $$, '23514',
    'program_fixed', 'not the currency of one with payments');
SELECT throws_ok($$ INSERT INTO referral.config_history VALUES (10) $$, '42501', NULL,
    'and forges no history');
RESET ROLE;
SELECT bag_eq($$ SELECT relation FROM referral.config_history WHERE program_id = 10 $$, ARRAY['rate', 'tier', 'tier', 'program'], 'which is kept');
SELECT is((SELECT DISTINCT changed_by FROM referral.config_history WHERE program_id = 10),
    session_user::text, 'with the login that did it');

SELECT * FROM finish();
ROLLBACK;
