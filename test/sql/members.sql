-- Members, their codes, tiers and suspensions (CONTRACT section 2).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name) VALUES (1, 'one'), (2, 'two');
SET LOCAL referral.program_id = 1;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Enrolling.
SELECT matches(referral.enroll('ada', 'Ada'), '^[A-HJ-NP-Z2-9]{8}$', 'a code without 0 O 1 I');
SELECT is(referral.enroll('ada'), (SELECT code::text FROM referral.code WHERE user_id = 'ada'),
    'enrolling again gives the same code');
SELECT results_eq($$ SELECT display_name, image_url, tier, tier_pinned FROM referral.member $$,
    $$ VALUES ('Ada', NULL::text, 0, false) $$, 'NULL leaves the name as it is; no tiers, tier 0');
SELECT is(referral.enroll('ada', image_url => 'https://x/a.png'), referral.enroll('ada', ''),
    'fields');
SELECT results_eq($$ SELECT display_name, image_url FROM referral.member $$,
    $$ VALUES ('', 'https://x/a.png') $$, 'each field changes alone, also to nothing');
SELECT results_eq('SELECT count(*) FROM referral.account', 'VALUES (1::bigint)', 'one account');
SELECT is(referral.enroll('ada', program_id => 2) <> referral.enroll('ada', program_id => 1), true,
    'another program, another member');
SELECT is(pg_temp.outcome(call), answer, left(call, 60)) FROM (VALUES
    ('referral.enroll(NULL)', '22023 invalid user_id'),
    ('referral.enroll('''')', '22023 invalid user_id'),
    ('referral.enroll(repeat(''x'', 201))', '22023 invalid user_id'),
    ('referral.enroll(''bob'', repeat(''x'', 201))', '22023 invalid display_name'),
    ('referral.enroll(''bob'', NULL, repeat(''x'', 2001))', '22023 invalid image_url'),
    ('referral.enroll(''bob'', program_id => 3) IS NULL',
     '23503 unknown_program'),
    ('referral.enroll(''bob'', program_id => NULL) IS NULL', '23503 unknown_program')
) t(call, answer);
CREATE TEMP TABLE hostile (name text);
INSERT INTO hostile VALUES ('<script>alert(1)</script>'), (E'=cmd()\r\nX: y'),
    (chr(8238) || 'live'), (repeat(chr(128512), 200)), (E'\');DROP TABLE x;--');
SELECT is(count(referral.enroll(left(name, 100), name)), 5::bigint, 'hostile names') FROM hostile;
SELECT results_eq('SELECT count(*) FROM hostile JOIN referral.member ON display_name = name',
    'VALUES (5::bigint)', 'are kept as they are');
SELECT cmp_ok((SELECT count(DISTINCT referral.random_code()) FROM generate_series(1, 2000)),
    '=', 2000::bigint,
    'random codes differ');
SELECT is((SELECT count(DISTINCT c)
             FROM (SELECT string_agg(referral.random_code(), '') AS codes
                     FROM generate_series(1, 500) n WHERE n > 0) d,
                  regexp_split_to_table(codes, '') c),
    32::bigint, 'and use all of the alphabet');

-- A code of the same letters, whatever their case, makes the next one drawn.
SAVEPOINT before;
CREATE SEQUENCE pg_temp.draws;
CREATE OR REPLACE FUNCTION referral.random_code() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT CASE WHEN nextval('pg_temp.draws') < 4 THEN 'SAMECODE' ELSE 'NEXTCODE' END $$;
INSERT INTO referral.code (program_id, user_id, code, kind) VALUES (1, 'ada', 'samecode', 'custom');
SELECT is(referral.enroll('collides'), 'NEXTCODE', 'a collision draws again');
ROLLBACK TO before;

-- Slugs.
SELECT results_eq($$ SELECT code::text, kind, user_id::text, cap, used, disabled_at
                       FROM referral.set_custom_slug('ada', E' Ada-99\n') $$,
    $$ VALUES ('ada-99', 'custom', 'ada', NULL::bigint, 0::bigint, NULL::timestamptz) $$,
    'lower-cased and trimmed');
SELECT is((referral.set_custom_slug('ada', 'ADA-99')).code_id, (referral.set_custom_slug('ada',
    'ada-99')).code_id,
    'the same slug again is the same code');
SELECT ok(referral.enroll('bob') <> referral.enroll('ada', program_id => 2), 'more members');
SELECT is(pg_temp.outcome('referral.set_custom_slug(''bob'',
    ' || quote_nullable(slug) || ')'), answer,
          coalesce(quote_literal(left(slug, 40)), 'NULL'))
FROM (VALUES
    (NULL, '22023 slug_invalid'), ('', '22023 slug_invalid'), ('ab', '22023 slug_invalid'),
    ('-abc', '22023 slug_invalid'), ('abc-', '22023 slug_invalid'), ('a_b', '22023 slug_invalid'),
    ('a b', '22023 slug_invalid'), ('a.b', '22023 slug_invalid'), (E'abc\tdef', '22023 slug_invalid'),
    ('éric', '22023 slug_invalid'), (chr(304) || 'stanbul', '22023 slug_invalid'), (chr(8490) || 'elvin', '22023 slug_invalid'),
    (repeat('a', 33), '22023 slug_invalid'), (repeat('a', 100000), '22023 slug_invalid'),
    ('admin', 'RF002 slug_reserved'), (' API', 'RF002 slug_reserved'), ('support', 'RF002 slug_reserved'),
    ('ada-99', '23505 slug_taken'), ('ADA-99', '23505 slug_taken')
) t(slug, answer);
SELECT is(pg_temp.outcome(format('referral.set_custom_slug(''bob'', %L)', lower(c.code))),
    '23505 slug_taken',
          'a primary code is taken, in any case, be it his own')
FROM referral.code c WHERE c.kind = 'uid' AND c.program_id = 1 AND c.user_id IN ('ada', 'bob');
SELECT is((referral.set_custom_slug('bob', slug)).code, slug, 'a slug of ' || length(slug))
FROM (VALUES ('abc'), (repeat('b', 32)), ('a-b'), ('0-9'), ('viv'), ('a--b')) t(slug);
SELECT results_eq($$ SELECT count(*), count(*) FILTER (WHERE disabled_at IS NULL)
                       FROM referral.code WHERE user_id = 'bob' AND kind = 'custom' $$,
    'VALUES (6::bigint, 1::bigint)', 'one active slug, those before stay in the books');
SELECT is(pg_temp.outcome('referral.set_custom_slug(''ada'', ''a-b'')'), '23505 slug_taken',
    'a removed slug is not for others');
SELECT is((SELECT disabled_at IS NULL FROM referral.code WHERE code = 'ada-99'), true,
    'a refused change leaves the slug as it was');
SELECT is((referral.set_custom_slug('bob', 'A-B')).code, 'a-b', 'its owner takes it again');
SELECT is((SELECT string_agg(code, ' ') FROM referral.code
            WHERE user_id = 'bob' AND kind = 'custom' AND disabled_at IS NULL), 'a-b',
    'and has that alone');
SELECT is((referral.set_custom_slug('ada', 'a-b', 2)).code, 'a-b',
    'another program does not see it');
SELECT ok(referral.remove_custom_slug('bob'), 'removed');
SELECT ok(NOT referral.remove_custom_slug('bob'), 'there was none any more');
SELECT is(pg_temp.outcome(call), 'RF003 unknown_member', call) FROM (VALUES
    ('referral.set_custom_slug(''nobody'', ''nobody'')'), ('referral.remove_custom_slug(''nobody'')'),
    ('referral.set_custom_slug(NULL, ''nobody'')'), ('referral.remove_custom_slug(NULL)'),
    ('referral.campaign_code(''nobody'')'), ('referral.set_tier(''nobody'', 1)'),
    ('referral.set_tier(''bob'', 1, program_id => 2)'),
    ('referral.suspend(''nobody'')'), ('referral.reinstate(''nobody'')')) t(call);

-- Campaigns' codes.
SELECT is_empty($$ SELECT * FROM referral.campaign_code('ada') $$, 'no campaign, no row');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap) VALUES
    (1, 1, 'long', now() - interval '9 days', now() + interval '9 days', 3),
    (1, 2, 'late', now() - interval '2 days', now() + interval '2 days', NULL),
    (1, 3, 'over', now() - interval '1 days', now(), 7),
    (1, 4, 'soon', now() + interval '1 hour', now() + interval '9 days', 7),
    (2, 5, 'other', now() - interval '1 hour', now() + interval '9 days', 7);
SELECT matches(code || cap || used, '^[A-HJ-NP-Z2-9]{8}30$', 'a code with the cap of its campaign')
  FROM referral.campaign_code('ada', 1);
SELECT is((referral.campaign_code('ada')).cap, NULL, 'the running one that started last');
SELECT results_eq($$ SELECT campaign_id, kind, cap FROM referral.code
                      WHERE user_id = 'ada' AND kind = 'campaign' ORDER BY campaign_id $$,
    $$ VALUES (1::bigint, 'campaign', 3::bigint), (2, 'campaign', NULL) $$, 'one code for each');
UPDATE referral.campaign SET code_cap = 99;
SELECT is((referral.campaign_code('ada', 1)).cap, 3::bigint, 'the cap is frozen when it is issued');
UPDATE referral.code SET cap = 8 WHERE kind = 'campaign' AND campaign_id = 1;
INSERT INTO referral.code_use
SELECT 1, code_id, part, n FROM referral.code, (VALUES (1, 4), (2, 2)) v(part, n)
 WHERE campaign_id = 1;
SELECT results_eq($$ SELECT cap, used FROM referral.campaign_code('ada', 1) $$,
    'VALUES (8::bigint, 6::bigint)', 'until an operator changes it; uses are summed');
SELECT is((referral.campaign_code('ada', 4)).cap, 99::bigint, 'a named campaign need not run yet');
SELECT is(pg_temp.outcome('referral.campaign_code(''ada'', 5)'), '23503 unknown_campaign',
    'another program''s campaign is unknown');

-- Tiers: none, then three of which the second is earned by two invitees.
SELECT is(referral.effective_tier(1, member_id), 0, 'no tiers, tier 0')
  FROM referral.member WHERE program_id = 1 AND user_id = 'ada';
SELECT is(pg_temp.outcome('referral.set_tier(''ada'', 1)'), '22023 invalid_tier',
    'there is none to pin');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', NULL) $$, 'VALUES (0, 0)',
    'nothing to unpin');
INSERT INTO referral.tier VALUES (1, 2, 'two', 0), (1, 3, 'three', 2), (1, 5, 'five', 10);
SELECT isnt(referral.enroll('cyd'), NULL, 'a new member');
SELECT results_eq($$ SELECT tier FROM referral.member WHERE user_id = 'cyd' $$, 'VALUES (2)',
    'starts in the lowest tier');
CREATE FUNCTION pg_temp.tier_of(text) RETURNS integer LANGUAGE sql AS
$$ SELECT referral.effective_tier(program_id, member_id) FROM referral.member
    WHERE program_id = 1 AND user_id = $1 $$;
SELECT is(pg_temp.tier_of('ada'), 2, 'an old one rises to it');
INSERT INTO referral.invited SELECT 1, member_id, '2026-01-01', 1, 1 FROM referral.member
 WHERE program_id = 1 AND user_id = 'ada';
SELECT is(pg_temp.tier_of('ada'), 2, 'one invitee is not enough');
INSERT INTO referral.invited SELECT 1, member_id, '2026-02-01', 7, 1 FROM referral.member
 WHERE program_id = 1 AND user_id = 'ada';
SELECT is(pg_temp.tier_of('ada'), 3, 'two are, over all months and parts');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', 2, 'slow down', 'ops') $$,
    'VALUES (3, 2)', 'pinned, also lower');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', 2, 'again', 'ops') $$,
    'VALUES (2, 2)', 'again: no change');
SELECT is(pg_temp.tier_of('ada'), 2, 'a pinned tier does not rise');
SELECT is(pg_temp.outcome('referral.set_tier(''ada'', 4)'), '22023 invalid_tier', 'no such tier');
SELECT is(pg_temp.outcome('referral.set_tier(''ada'', 0)'), '22023 invalid_tier', '0 is none');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', 5, actor => 'ops') $$,
    'VALUES (2, 5)', 'pinned higher');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', NULL, 'back') $$,
    'VALUES (5, 3)', 'given back to the rules');
SELECT results_eq($$ SELECT * FROM referral.set_tier('ada', NULL) $$,
    'VALUES (3, 3)', 'again: no change');
UPDATE referral.program SET auto_tier = false WHERE program_id = 1;
SELECT is(pg_temp.tier_of('ada'), 3, 'what was reached stays when the rules stop');
SELECT results_eq($$ SELECT * FROM referral.set_tier('cyd', 5, actor => 'ops') $$,
    'VALUES (2, 5)', 'pinning goes on');
SELECT results_eq($$ SELECT * FROM referral.set_tier('cyd', NULL, actor => 'ops') $$,
    'VALUES (5, 2)', 'without rules he goes back to the lowest');
SELECT results_eq($$ SELECT detail, note, actor FROM referral.member_audit ORDER BY audit_id $$,
    $$ VALUES ('{"old_tier": 3, "new_tier": 2, "pinned": true}'::jsonb, 'slow down', 'ops'),
              ('{"old_tier": 2, "new_tier": 5, "pinned": true}', NULL, 'ops'),
              ('{"old_tier": 5, "new_tier": 3, "pinned": false}',
    'back', session_user::text COLLATE "default"),
              ('{"old_tier": 2, "new_tier": 5, "pinned": true}', NULL, 'ops'),
              ('{"old_tier": 5, "new_tier": 2, "pinned": false}', NULL, 'ops') $$,
    'every change is audited, and nothing else');

-- Suspension.
SELECT results_eq($$ SELECT user_id, suspended_at FROM referral.suspend('bob', 'fraud?', 'ops') $$,
    $$ VALUES ('bob', now()) $$, 'suspended');
UPDATE referral.member SET suspended_at = '2026-01-01' WHERE program_id = 1 AND user_id = 'bob';
SELECT is((referral.suspend('bob', 'again', 'ops')).suspended_at, '2026-01-01',
    'again: since when he is');
SELECT is((referral.reinstate('bob', 'fine', 'ops')).suspended_at, NULL, 'reinstated');
SELECT is((referral.reinstate('bob', 'again', 'ops')).suspended_at, NULL, 'again');
SELECT results_eq($$ SELECT action, note, actor FROM referral.member_audit
                      WHERE action <> 'set_tier' ORDER BY audit_id $$,
    $$ VALUES ('suspend', 'fraud?', 'ops'), ('reinstate', 'fine', 'ops') $$, 'audited once each');
SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('referral.suspend(''bob'', repeat(''x'', 2001))', '22023 invalid note'),
    ('referral.suspend(''bob'', actor => '''')', '22023 invalid actor'),
    ('referral.suspend(''bob'', actor => NULL)', '22023 invalid actor'),
    ('referral.set_tier(''bob'', 5, actor => repeat(''x'', 201))', '22023 invalid actor')
) t(call, answer);

SELECT * FROM finish();
ROLLBACK;
