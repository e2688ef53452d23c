-- What the published contracts share: who asks, what was sent, what an error is.
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
CREATE FUNCTION pg_temp.request(VARIADIC headers text[]) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.headers', json_object($1)::text, true) $$;

-- A setting that holds JSON: an object, or nothing.
SELECT is(referral.json_setting('test.never_set'), NULL, 'a setting that nobody made');
SELECT is(referral.json_setting(NULL), NULL, 'no setting');
SELECT is(referral.json_setting('search_path'), NULL, 'a setting that is no JSON');
SELECT is(referral.json_setting('test.json'), answer::jsonb,
                                                        coalesce(nullif(left(value, 40), ''), 'empty'))
  FROM (VALUES ('', NULL), (' ', NULL), ('{}', '{}'), (' {"a": 1} ', '{"a": 1}'),
               ('{"a": 1, "a": 2}', '{"a": 2}'), ('{"a": {"b": [null, "x"]}}', '{"a": {"b": [null, "x"]}}'),
               ('{"a": "\u00fc\ud83d\ude00"}', '{"a": "ü😀"}'), ('{"ü": "😀"}', '{"ü": "😀"}'),
               ('[]', NULL), ('[{}]', NULL), ('"a"', NULL), ('1', NULL), ('null', NULL), ('true', NULL),
               ('{', NULL), ('}', NULL), ('{"a"}', NULL), ('{"a": }', NULL), ('{a: 1}', NULL), ('{"a": 01}', NULL),
               ('{"a": 1}}', NULL), ('{} {}', NULL), ('{"a": "\u0000"}', NULL), ('{"a": "\ud800"}', NULL),
               ('{"a": ' || repeat('[', 199) || repeat(']', 199) || '}', '{"a": ' || repeat('[', 199) || repeat(']', 199) || '}'),
               ('{"a": ' || repeat('[', 200) || repeat(']', 200) || '}', NULL), (repeat('{"a":', 100000), NULL),
               ('{"a": "\"' || repeat('[', 300) || '"}', '{"a": "\"' || repeat('[', 300) || '"}'), ('{"n": 1e400}', '{"n": 1e400}'),
               ('{"a": "\x"}', NULL), (E'{"a": "\n"}', NULL), ('{"a": NaN}', NULL)) v(value, answer)
       CROSS JOIN LATERAL set_config('test.json', value, true);

-- A header, by its name in lower case; none is none, and so is an empty one.
SELECT pg_temp.request('x-a', 'b', 'x-empty', '', 'x-ü', 'ä');
SELECT is(referral.request_header('x-a'), 'b', 'a header');
SELECT is(referral.request_header('X-A'), NULL, 'by its name in lower case');
SELECT is(referral.request_header('x-empty'), NULL, 'an empty one');
SELECT is(referral.request_header('x-ü'), 'ä', 'of any script');
SELECT is(referral.request_header(NULL), NULL, 'no name');
SELECT is(referral.request_header('x-a'), NULL, 'headers that are none')
  FROM set_config('request.headers', '["x-a"]', true);

-- Percent-encoding.
SELECT is(referral.url_decode(encoded, true), as_query, 'in a query: ' || encoded),
       is(referral.url_decode(encoded, false), as_path, 'in a path: ' || encoded)
  FROM (VALUES ('', '', ''), ('abc', 'abc', 'abc'), ('a+b', 'a b', 'a+b'), ('a%2Bb', 'a+b', 'a+b'),
               ('%41%62', 'Ab', 'Ab'), ('%c3%bc', 'ü', 'ü'), ('%C3%BC', 'ü', 'ü'), ('ü%20', 'ü ', 'ü '),
               ('%F0%9F%98%80', '😀', '😀'), ('%', '%', '%'), ('%%', '%%', '%%'), ('100%', '100%', '100%'),
               ('%4', '%4', '%4'), ('%zz', '%zz', '%zz'), ('%%41', '%A', '%A'), ('%2541', '%41', '%41'),
               ('%25%34%31', '%41', '%41'), ('%0D%0A', E'\r\n', E'\r\n'), ('a%0', 'a%0', 'a%0'), ('+%2b+', ' + ', '+++'),
               ('%ff', NULL, NULL), ('%c3', NULL, NULL), ('%c3%28', NULL, NULL), ('%ed%a0%80', NULL, NULL),
               ('%c0%80', NULL, NULL), ('%f4%90%80%80', NULL, NULL), ('a%00b', NULL, NULL), ('%c3x%bc', NULL, NULL))
       v(encoded, as_query, as_path);
SELECT is(referral.url_decode(NULL, true), NULL, 'nothing');
SELECT is(length(referral.url_decode(repeat('%41', 2700), true)), 2700, 'as long as an address may be');

-- A segment of the path.
SELECT is(referral.path_segment(n), segment, uri || ' ' || n)
  FROM (VALUES ('/baanx/v1/referral/a%2Fb/validate?x=/y/', 1, 'baanx'), ('/baanx/v1/referral/a%2Fb/validate?x=/y/', 4, 'a/b'),
               ('/baanx/v1/referral/a%2Fb/validate?x=/y/', 5, 'validate'), ('/baanx/v1/referral/a%2Fb/validate?x=/y/', 6, ''),
               ('/a//c', 2, ''), ('/a/b+c', 2, 'b+c'), ('/a/%3F?b', 2, '?'), ('/a/%ff', 2, NULL), ('/a', 99, ''))
       v(uri, n, segment)
       CROSS JOIN LATERAL pg_temp.request('x-request-uri', uri);
SELECT is(referral.path_segment(1), NULL, 'no address')
  FROM pg_temp.request('x-none', '');

-- A parameter of the query: the first of its name.
SELECT is(referral.query_value(name), value, query || ' ' || name)
  FROM (VALUES ('', 'a', NULL), ('?', 'a', NULL), ('?a', 'a', ''), ('?a=', 'a', ''), ('?a=1', 'a', '1'), ('?a=1', 'A', NULL),
               ('?a=1&a=2', 'a', '1'), ('?b=1&a=2', 'a', '2'), ('?a=b=c', 'a', 'b=c'), ('?a=1?a=2', 'a', '1?a=2'),
               ('?&&=&a=x', 'a', 'x'), ('?=v', '', 'v'), ('?%61=%31+2', 'a', '1 2'), ('?a%3D=1', 'a=', '1'),
               ('?a=%ff&a=1', 'a', NULL), ('?%ff=1&a=2', 'a', '2'), ('?a[]=1', 'a', NULL), ('?a=1;a=2', 'a', '1;a=2'),
               ('?ab=1&a=2', 'a', '2'), ('?a=1#f', 'a', '1#f')) v(query, name, value)
       CROSS JOIN LATERAL pg_temp.request('x-request-uri', '/x' || query);
SELECT is(referral.query_value('a'), NULL, 'no address')
  FROM pg_temp.request('x-none', '');

-- A number of it, or what counts otherwise.
SELECT is(referral.query_number('n', 1, 200, 50), number::bigint, 'n=' || sent)
  FROM (VALUES ('1', 1), ('200', 200), ('007', 7), ('%37', 7), ('0', 50), ('201', 50), ('-1', 50), ('+1', 50), ('%2B1', 50),
               ('', 50), ('x', 50), ('1.0', 50), ('1e2', 50), ('0x1', 50), ('1%20', 50), ('%D9%A1', 50), ('NaN', 50),
               ('999999999999999999', 50), ('99999999999999999999999', 50), (repeat('0', 18) || '1', 50)) v(sent, number)
       CROSS JOIN LATERAL pg_temp.request('x-request-uri', '/x?n=' || sent);
SELECT is(referral.query_number('n', 0, 999999999999999999, 0), 999999999999999999::bigint, 'the greatest')
  FROM pg_temp.request('x-request-uri', '/x?n=999999999999999999');
SELECT is(referral.query_number('n', 0, 9, NULL), NULL, 'missing, and nothing else')
  FROM pg_temp.request('x-request-uri', '/x');

-- The body: an object in UTF-8, or invalid_json.
SELECT is(referral.json_body(convert_to(body, 'UTF8')), body::jsonb, body)
  FROM (VALUES ('{}'), (' {"a": 1}'), ('{"a": "ü", "b": [{}]}'), ('{"": 1}')) v(body);
SELECT is(pg_temp.outcome(format('referral.json_body(%L)', body)), '22P02 invalid_json',
          'no object: ' || left(encode(body, 'escape'), 40))
  FROM (VALUES (''::bytea), ('null'), ('[]'), ('[{}]'), ('"a"'), ('1'), ('{'), ('{"a"}'), ('{}x'), ('{"a": "\\u0000"}'),
               ('{"a": "\\ud800"}'), ('\xff'), ('\x00'), ('\x7b7d00'), ('\xefbbbf7b7d'), ('\x7b22c322 3a317d'),
               ('a=1&b=2'), ('{"n": 1e999999}')) v(body);
SELECT is(pg_temp.outcome($$ referral.json_body(convert_to(repeat('[', 60000), 'UTF8')) $$), '22P02 invalid_json', 'very deep');
SELECT is(pg_temp.outcome($$ referral.json_body(convert_to(repeat('{"a":', 60000), 'UTF8')) $$), '22P02 invalid_json',
          'deep in objects');
SELECT is(pg_temp.outcome('referral.json_body(NULL)'), '22P02 invalid_json', 'no body');

CREATE TEMP TABLE sent AS SELECT jsonb '{"text": "a", "empty": "", "null": null, "yes": true, "one": 1, "whole": 2.0, "part": 1.5,
    "max": 9223372036854775807, "min": -9223372036854775808, "more": 9223372036854775808, "huge": 1e400, "digits": "1",
    "list": ["a"], "object": {"a": 1}}' AS body;
SELECT is(pg_temp.outcome(format('referral.json_text((TABLE sent), %L)', name)), text, 'text of ' || coalesce(name, 'NULL')),
       is(pg_temp.outcome(format('referral.json_bigint((TABLE sent), %L)', name)), number, 'number of ' || coalesce(name, 'NULL'))
  FROM (VALUES ('text', 'a', NULL), ('empty', '', NULL), ('digits', '1', NULL), ('yes', NULL, NULL),
               ('one', NULL, '1'), ('whole', NULL, '2'), ('part', NULL, NULL), ('max', NULL, '9223372036854775807'),
               ('min', NULL, '-9223372036854775808'), ('more', NULL, NULL), ('huge', NULL, NULL),
               ('list', NULL, NULL), ('object', NULL, NULL)) v(name, as_text, as_number)
       CROSS JOIN LATERAL (SELECT coalesce(as_text, '22P02 invalid_json'), coalesce(as_number, '22P02 invalid_json')) w(text, number);
SELECT is(pg_temp.outcome(format('referral.%s((TABLE sent), %L)', reader, name)), NULL, reader || ' of ' || coalesce(name, 'NULL'))
  FROM unnest('{json_text,json_bigint}'::text[]) reader, unnest('{null,missing,NULL}'::text[]) name;

-- Errors: the status, and a tag that is a constant of ours or none.
SELECT is(referral.http_error(state, message)::text, answer, state || ' ' || message)
  FROM (VALUES ('42501', 'unauthenticated', '(401,unauthenticated)'), ('RF006', 'not_yours', '(403,not_yours)'),
               ('42501', 'not_yours', '(403,not_yours)'), ('RF003', 'unknown_member', '(404,unknown_member)'),
               ('RF010', 'payout_not_found', '(404,payout_not_found)'), ('RF001', 'idempotency_conflict', '(409,idempotency_conflict)'),
               ('23505', 'slug_taken', '(409,slug_taken)'), ('RF002', 'slug_reserved', '(409,slug_reserved)'),
               ('22023', 'invalid user_id', '(400,invalid_user_id)'), ('22P02', 'invalid_json', '(400,invalid_json)'),
               ('22003', 'bigint out of range: 5', '(400,invalid_request)'), ('22P02', 'invalid input syntax: "ada"', '(400,invalid_request)'),
               ('23503', 'unknown_program', '(400,unknown_program)'), ('54001', 'stack depth limit exceeded', '(400,stack_depth_limit_exceeded)'),
               ('RF004', 'ambiguous_program', '(400,ambiguous_program)'), ('22023', 'Invalid', '(400,invalid_request)'),
               ('22023', '', '(400,invalid_request)')) v(state, message, answer);
SELECT is((referral.http_error(state, 'anything')).status, NULL, state || ' is no fault of the caller')
  FROM unnest('{XX000,57014,53300,40001,40P01,55P03,08006,58030,42P01,42883,25006,RF005,P0001,P0002,0A000}'::text[]) state;

-- An answer with a status.
SELECT is(referral.http_answer(409, '{"a": 1}')::text, '{"a": 1}', 'the body'),
       is(current_setting('response.status'), '409', 'and its status');

-- Who presents a key.
CREATE TEMP TABLE made AS SELECT * FROM referral.create_api_key('client', 2);
SELECT is(referral.key_holder('x-client-key', 'client'),
       (format('key %s', key_id), 2)::referral.principal, 'a key and its number') FROM made
       CROSS JOIN LATERAL pg_temp.request('x-client-key', api_key);
SELECT is((referral.key_holder('x-client-key', 'operator')).program_id, NULL, 'not of an operator');
SELECT is((referral.key_holder('x-api-key', 'client')).program_id, NULL, 'in another header');
SELECT is((referral.key_holder('x-client-key', 'client')).program_id, NULL, 'no key')
  FROM pg_temp.request('x-client-key', 'rk_2_1_x');

-- Who has signed in: by a login and a role that were named, with claims.
CREATE ROLE http_login;
CREATE ROLE http_member;
CREATE ROLE http_anon;
GRANT http_member, http_anon TO http_login;
SELECT FROM referral.grant_api(anon => 'http_anon', member => 'http_member', login => 'http_login');
CREATE FUNCTION pg_temp.signs_in(login text, role text, claims text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    PERFORM set_config('request.jwt.claims', claims, true);
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', login);
    EXECUTE format('SET LOCAL ROLE %I', role);
    answer := public.http_signed_in();
    EXECUTE 'RESET SESSION AUTHORIZATION';
    RETURN answer;
END $$;
CREATE FUNCTION public.http_signed_in() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT pg_temp.outcome('referral.signed_in()') $$;
GRANT USAGE ON SCHEMA public TO PUBLIC;
SELECT FROM referral.enroll('5', program_id => 1);
SELECT is(pg_temp.signs_in(login, role, claims), answer, format('%s as %s: %s', login, role, left(claims, 60)))
  FROM (VALUES
    ('http_login', 'http_member', '{"sub": "ada", "program_id": 1}', '(ada,1)'),
    ('http_login', 'http_member', '{"sub": "ada", "program_id": 1}', '(ada,1)'),
    ('http_login', 'http_member', '{"sub": "ada", "program_id": "2", "role": "anything"}', '(ada,2)'),
    ('http_login', 'http_member', '{"sub": "ada"}', 'RF004 ambiguous_program'),
    ('http_login', 'http_member', '{"sub": "ada", "program_id": 3}', '23503 unknown_program'),
    ('http_login', 'http_member', '{"sub": "ada", "program_id": "1 "}', '42501 unauthenticated'),
    ('http_login', 'http_member', '{"sub": "ada", "program_id": null}', '42501 unauthenticated'),
    ('http_login', 'http_member', '{"sub": 5, "program_id": 1}', '42501 unauthenticated'),
    ('http_login', 'http_member', '{"sub": "", "program_id": 1}', '42501 unauthenticated'),
    ('http_login', 'http_member', '{"program_id": 1}', '42501 unauthenticated'),
    ('http_login', 'http_member', '', '42501 unauthenticated'),
    ('http_login', 'http_member', 'no claims', '42501 unauthenticated'),
    ('http_login', 'http_anon', '{"sub": "ada", "program_id": 1}', '42501 unauthenticated'),
    ('http_anon', 'http_anon', '{"sub": "ada", "program_id": 1}', '42501 unauthenticated'),
    ('http_member', 'http_member', '{"sub": "ada", "program_id": 1}', '42501 unauthenticated')
    ) v(login, role, claims, answer);
SELECT results_eq('SELECT program_id, user_id COLLATE "default" FROM referral.member ORDER BY 1, 2',
                  $$ VALUES (1::bigint, '5'), (1, 'ada'), (2, 'ada') $$, 'who was let in is a member, nobody else');

-- What /intotes shows: the levels of level_stats(), in whole units.
INSERT INTO referral.program (program_id, name, max_level) VALUES (3, 'three', 4);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (3, 1, 1500), (3, 2, 400), (3, 3, 100), (3, 4, 50);
SELECT FROM referral.attribute('b', referral.enroll('a', 'A', 'http://a', 3), program_id => 3);
SELECT FROM referral.attribute('c', referral.enroll('b', NULL, NULL, 3), program_id => 3);
INSERT INTO referral.earning (program_id, member_id, available_at, earned_on, level, part,
                              amount_micro, volume_micro, deposits_micro, rewards, reversed_micro)
SELECT 3, m.member_id, '2024-01-01', '2024-01-01', e.*
  FROM referral.member m,
       (VALUES (0, 1, 1, 1, 1, 1, 0), (1, 1, 19999, 30000, 5000, 1, 0), (1, 2, 0, 0, 4999, 0, 20000), (2, 1, 9999, 20001, 1, 1, 0),
               (4, 1, 70000, 70000, 70000, 1, 0)) e(level, part, amount, volume, deposits, rewards, reversed)
 WHERE m.program_id = 3 AND m.user_id = 'a';
CREATE FUNCTION pg_temp.network(name text, levels integer, unit bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', inviter_display, inviter_image, total_members, total_volume, total_earnings, total_deposits,
                     members, volume, earnings, rate_bps) FROM referral.network($1, $2, $3, 3) $$;
SELECT is(pg_temp.network('a', 3, 10000), '2 5 -1 1 {1,1,0} {3,2,0} {-1,0,0} {1500,400,100}', 'rounded down, also below zero');
SELECT is(pg_temp.network('a', 5, 1), '2 120001 79998 80000 {1,1,0,0,0} {30000,20001,0,70000,0} {-1,9999,0,70000,0} {1500,400,100,50,0}',
          'exact, and nothing below the last level');
SELECT is(pg_temp.network('a', 99, 1), pg_temp.network('a', 10, 1), 'ten levels at most');
SELECT is(pg_temp.network('a', -1, 0), '0 0 0 0 {} {} {} {}', 'and none');
SELECT is(pg_temp.network('b', 1, 1), 'A http://a 1 0 0 0 {1} {0} {0} {1500}', 'who referred him');
SELECT is(pg_temp.network('nobody', 3, 1), '', 'nobody');
UPDATE referral.program SET max_level = 1 WHERE program_id = 3;
SELECT is(pg_temp.network('a', 3, 1), '1 30000 -1 9999 {1,0,0} {30000,0,0} {-1,0,0} {1500,0,0}', 'a change of the program counts at once');
SELECT is((SELECT primary_code FROM referral.network('a', 3, 1, 3)), (SELECT primary_code FROM referral.referral_overview('a', 3)), 'his code');

-- What goes wrong has the form of its contract, and the status of the error.
CREATE FUNCTION pg_temp.unknown(contract text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer jsonb;
BEGIN
    PERFORM set_config('request.headers', jsonb_build_object('x-endpoint', contract || ' GET nothing')::text, true);
    answer := referral_api.contract('');
    RETURN current_setting('response.status') || ' ' || answer;
END $$;
SELECT is(pg_temp.unknown('triport'), '404 {"error": "unknown_endpoint"}', 'triport');
SELECT is(pg_temp.unknown('intotes'), '404 {"error": "unknown_endpoint"}', 'intotes');
SELECT is(pg_temp.unknown('crawlora'), '404 {"msg": "unknown_endpoint", "code": 404, "data": null}', 'crawlora');
SELECT is(pg_temp.unknown('baanx'), '404 {"message": "Invalid request"}', 'baanx');
SELECT throws_ok($$ SELECT pg_temp.unknown('none') $$, 'RF010', 'unknown_endpoint', 'no contract, no form');

SELECT * FROM finish();
ROLLBACK;
