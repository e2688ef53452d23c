-- Keys of machines: shown once, kept as a hash, for one program and one right.
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name) VALUES (1, 'one'), (2, 'two');
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- A key of either right in either program, and one more that is revoked.
CREATE TEMP TABLE made (name text PRIMARY KEY, program bigint, key_id bigint, key text);
INSERT INTO made
SELECT v.name, v.program, k.key_id, k.api_key
  FROM (VALUES ('client 1', 1, 'client'), ('operator 1', 1, 'operator'),
               ('client 2', 2, 'client'), ('operator 2', 2, 'operator'),
               ('revoked', 1, 'operator')) v(name, program, wanted),
       referral.create_api_key(v.wanted, v.program) k;

-- What is shown, and what is kept.
SELECT ok(m.key ~ format('^rk_%s_%s_[0-9a-f]{64}$', m.program, m.key_id), m.name || ': names itself')
  FROM made m ORDER BY m.name;
SELECT is(count(DISTINCT right(m.key, 64)), 5::bigint, 'no secret twice') FROM made m;
SELECT is_empty($$
    WITH drawn AS MATERIALIZED (
        SELECT right((referral.create_api_key('client', 2)).api_key, 64) AS secret
          FROM generate_series(1, 64))
    SELECT n FROM drawn, generate_series(1, 64) n
     GROUP BY n HAVING count(DISTINCT substr(secret, n, 1)) < 4 AND n NOT IN (13, 45) $$,
    'every digit is drawn, but for the version of the two uuids');
SELECT results_eq($$ SELECT k.hash FROM referral.api_key k
                       JOIN made m ON (m.program, m.key_id) = (k.program_id, k.key_id)
                      ORDER BY m.name $$,
                  $$ SELECT sha256(m.key::bytea) FROM made m ORDER BY m.name $$,
                  'of a key, the hash is kept');
SELECT is_empty($$ SELECT 1 FROM referral.api_key k, made m
                    WHERE to_jsonb(k)::text LIKE '%' || right(m.key, 64) || '%' $$,
                'and nothing else of it');
SELECT key_id AS plain FROM referral.create_api_key(program_id => 2) \gset
SELECT is("right", 'client', 'of a client, if nothing is said')
  FROM referral.api_key WHERE program_id = 2 AND key_id = :plain;

SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('referral.create_api_key(''root'', 1)', '22023 invalid right'),
    ('referral.create_api_key('''', 1)', '22023 invalid right'),
    ('referral.create_api_key(NULL, 1)', '22023 invalid right'),
    ('referral.create_api_key(''client'', 99)', '23503 unknown_program'),
    ('referral.create_api_key(''client'', NULL)', '23503 unknown_program'),
    ('referral.create_api_key(''client'')', 'RF004 ambiguous_program'),
    ('referral.revoke_api_key(1)', 'RF004 ambiguous_program'),
    ('referral.revoke_api_key(0, 1)', 'RF010 unknown_api_key'),
    ('referral.revoke_api_key(NULL, 1)', 'RF010 unknown_api_key')) v(call, answer);

-- Revoked for good, of one's own program only, and by nobody twice.
SELECT is(pg_temp.outcome(format('referral.revoke_api_key(%s, 2)', m.key_id)),
          'RF010 unknown_api_key', 'another program does not revoke it')
  FROM made m WHERE m.name = 'revoked';
SELECT is(referral.api_key_program(m.key, 'operator'), 1::bigint, 'it works')
  FROM made m WHERE m.name = 'revoked';
SELECT is(referral.revoke_api_key(m.key_id, 1), true, 'it is revoked')
  FROM made m WHERE m.name = 'revoked';
CREATE TEMP TABLE revoked AS SELECT * FROM referral.api_key WHERE revoked_at IS NOT NULL;
SELECT is(count(*), 1::bigint, 'it alone') FROM revoked;
SELECT is(referral.revoke_api_key(m.key_id, 1), false, 'again: nothing to do')
  FROM made m WHERE m.name = 'revoked';
SELECT results_eq('SELECT * FROM referral.api_key WHERE revoked_at IS NOT NULL',
                  'TABLE revoked', 'and nothing is changed');

-- Who may act, and as what.
SELECT results_eq($$
    SELECT m.name, referral.api_key_program(m.key, 'client'),
           referral.api_key_program(m.key, 'operator')
      FROM made m ORDER BY m.name $$, $$
    VALUES ('client 1', 1::bigint, NULL::bigint), ('client 2', 2, NULL),
           ('operator 1', 1, 1), ('operator 2', 2, 2), ('revoked', NULL, NULL) $$,
    'each for its program, an operator also as a client');
SELECT is_empty($$
    SELECT m.name, r FROM made m, unnest('{NULL,root,"",Client,"operator ",revoked}'::text[]) r
     WHERE referral.api_key_program(m.key, r) IS NOT NULL $$, 'there is no other right');

-- What is no key. Nothing of it raises, whatever it is.
CREATE TEMP TABLE presented AS
SELECT o.key AS own, f.key AS other, o.key_id, f.key_id AS other_id
  FROM made o, made f WHERE o.name = 'operator 1' AND f.name = 'operator 2';
SELECT is(referral.api_key_program(wrong, 'client'), NULL,
          coalesce(left(regexp_replace(why, '\s+', ' ', 'g'), 60), 'NULL')) FROM presented p, LATERAL (VALUES
    (NULL, 'null'), ('', 'empty'), (' ', 'a space'),
    ('rk_', 'no more than a beginning'), ('rk___', 'three marks'),
    (left(p.own, -1), 'a digit short'), (p.own || '0', 'a digit long'),
    (p.own || E'\n', 'a line end'), (' ' || p.own, 'a space before'), (upper(p.own), 'upper case'),
    (overlay(p.own PLACING CASE right(p.own, 1) WHEN '0' THEN '1' ELSE '0' END
             FROM length(p.own)), 'the last digit another'),
    (format('rk_1_%s_%s', p.key_id, right(p.other, 64)), 'the secret of another'),
    (format('rk_2_%s_%s', p.key_id, right(p.own, 64)), 'another program'),
    (format('rk_1_%s_%s', p.other_id, right(p.own, 64)), 'another number'),
    (format('rk_01_%s_%s', p.key_id, right(p.own, 64)), 'a zero before'),
    (format('rk_+1_%s_%s', p.key_id, right(p.own, 64)), 'a sign'),
    (format('rk_1 _%s_%s', p.key_id, right(p.own, 64)), 'a space within'),
    (format('rk_999999999999999999_999999999999999999_%s', right(p.own, 64)), 'great numbers'),
    (format('rk_99999999999999999999_1_%s', right(p.own, 64)), 'numbers that are too great'),
    (format('rk_-1_%s_%s', p.key_id, right(p.own, 64)), 'a negative program'),
    (encode(sha256(p.own::bytea), 'hex'), 'the hash'),
    (format('rk_1_%s_%s', p.key_id, encode(sha256(p.own::bytea), 'hex')), 'the hash as the secret'),
    ('rk_1_1_' || repeat('٣', 64), 'digits of another script'),
    (U&'\FEFF' || p.own, 'a byte order mark'), (E'\x01\x7f', 'control characters'),
    (repeat('rk_1_1_', 1000000), 'seven million characters'),
    (''' OR true --', 'a quote'), ('{"key": 1}', 'json'), ('%', 'a wildcard'),
    (replace(p.own, '_', '%'), 'wildcards')) v(wrong, why);

-- Over HTTP there is no way to make, see or revoke one.
SELECT is_empty($$ SELECT p.oid::regprocedure FROM pg_proc p
                    WHERE p.pronamespace = 'referral_api'::regnamespace
                      AND (p.proname ~ 'api_key' OR p.prosrc ~ '(create|revoke)_api_key') $$,
                'no function of the API makes or revokes keys');
SELECT is_empty($$ SELECT p.oid::regprocedure, a.grantee
                     FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                    WHERE p.proname ~ 'api_key' AND a.grantee <> p.proowner $$,
                'nor may anybody else than the owner, unless he is given the right');

-- A program with keys is not deleted from under them.
SELECT throws_ok('DELETE FROM referral.program WHERE program_id = 2', '23503', NULL,
                 'a program that has keys stays');

SELECT * FROM finish();
ROLLBACK;
