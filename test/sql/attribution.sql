-- Who referred whom: every reason in its order, the window of a click, cycles,
-- late attributions and the levels they count (CONTRACT section 2).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name, attribution_days) VALUES (1, 'one', 2), (2, 'two', 2);
SET LOCAL referral.program_id = 1;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- Attribute a user by the primary code of another.
CREATE FUNCTION pg_temp.under(user_id text, referrer text, program bigint DEFAULT 1) RETURNS text
LANGUAGE sql AS $$
    SELECT coalesce(r.reason, r.status)
      FROM referral.enroll($2, program_id => $3) code, referral.attribute($1, code, program_id => $3) r
$$;
-- What validate_code() and attribute() say must be the same.
CREATE FUNCTION pg_temp.both(user_id text, code text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said referral.code_validity := referral.validate_code($2, $1);
    done referral.attribution_result := referral.attribute($1, $2);
BEGIN
    IF (said.valid, said.reason) IS DISTINCT FROM (done.attributed, done.reason) THEN
        RETURN format('validate_code: %s, attribute: %s', said, done);
    END IF;
    RETURN coalesce(done.reason, done.status);
END $$;

SELECT ok(referral.enroll('ada') IS NOT NULL AND referral.enroll('bob') IS NOT NULL, 'members');
SELECT is((referral.set_custom_slug('ada', 'ada')).code, 'ada', 'a slug');

-- The plain case.
SELECT results_eq($$ SELECT valid, reason FROM referral.validate_code('ADA') $$,
    'VALUES (true, NULL::text)', 'valid for anybody');
SELECT is(pg_temp.both('new', 'Ada'), 'attributed', 'attributed, in any case of letters');
SELECT results_eq($$ SELECT m.user_id COLLATE "default", r.user_id COLLATE "default", c.code COLLATE "default",
                            a.campaign_id, a.attributed_at, a.decision, a.qualified_at, a.rewarded_at, a.click_id
                       FROM referral.attribution a
                       JOIN referral.member m USING (program_id, member_id)
                       JOIN referral.member r ON r.member_id = a.referrer_id AND r.member_id = m.referrer_id
                       JOIN referral.code c ON c.code_id = a.code_id WHERE a.user_id = 'new' $$,
    $$ VALUES ('new', 'ada', 'ada', 0::bigint, now(), NULL::text, NULL::timestamptz, NULL::timestamptz, NULL::text) $$,
    'the edge and its facts');
SELECT is(pg_temp.both('new', 'ada'), 'already_attributed', 'the first attribution wins');
SELECT results_eq($$ SELECT r.attributed, r.reason, r.attribution_id = a.attribution_id, r.status
                       FROM referral.attribution a, referral.attribute('new', 'ada') r $$,
    $$ VALUES (false, 'already_attributed', true, 'attributed') $$, 'and is named by the refusal');

-- Refusals that need no state of their own.
SELECT is(pg_temp.both('nobody', code), 'unknown_code', 'unknown: ' || quote_nullable(code))
  FROM (VALUES ('none'), (''), (NULL), (' ada'), (repeat('x', 100000)), (E'a\tb'), ('%')) t(code);
SELECT is_empty($$ SELECT FROM referral.member WHERE user_id = 'nobody' $$, 'which enrols nobody');
SELECT is(pg_temp.both('ada', 'ada'), 'self_referral', 'oneself');
SELECT is(pg_temp.under('bob', 'ada', 2), 'attributed', 'another program');
SELECT is((referral.validate_code('ada', program_id => 2)).reason, 'unknown_code', 'has codes of its own');
SELECT is((referral.validate_code('ada', program_id => 77)).reason, 'unknown_code', 'one that is not there has none');
SELECT is(pg_temp.both('bob', 'ada'), 'attributed', 'and attributions of its own');
SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('referral.attribute(NULL, ''ada'')', '22023 invalid user_id'),
    ('referral.attribute('''', ''ada'')', '22023 invalid user_id'),
    ('referral.attribute(repeat(''x'', 201), ''ada'')', '22023 invalid user_id'),
    ('referral.attribute(''x'', ''ada'', NULL, ''infinity'')', '22008 invalid at'),
    ('referral.attribute(''x'', ''ada'', NULL, ''-infinity'')', '22008 invalid at'),
    ('referral.attribute(''x'', ''ada'', NULL, now() + interval ''25 hours'')', '22008 invalid at')) t(call, answer);
SELECT is((referral.attribute('ahead', 'ada', NULL, now() + interval '23 hours')).attributed, true, 'a little ahead');
SELECT is((referral.attribute('null', 'ada', NULL, NULL)).attributed, true, 'a NULL at is now');

-- Disabled, suspended, inactive.
SELECT ok(referral.remove_custom_slug('ada'), 'slug removed');
SELECT is(pg_temp.both('d1', 'ada'), 'code_disabled', 'a removed slug');
SELECT isnt_empty($$ SELECT FROM referral.member WHERE user_id = 'd1' $$, 'a refused user is enrolled');
SELECT isnt((referral.set_custom_slug('ada', 'ada')).code, NULL, 'taken again');
SELECT isnt((referral.suspend('ada')).suspended_at, NULL, 'suspended');
SELECT is(pg_temp.both('d1', 'ada'), 'code_disabled', 'a suspended referrer');
SELECT is(pg_temp.both('new', 'ada'), 'already_attributed', 'comes before that');
SELECT is((referral.reinstate('ada')).suspended_at, NULL, 'reinstated');
UPDATE referral.program SET active = false WHERE program_id = 1;
SELECT is(pg_temp.both('d1', 'ada'), 'campaign_inactive', 'an inactive program');
SELECT is(pg_temp.both('ada', 'ada'), 'self_referral', 'comes after self_referral');
UPDATE referral.program SET active = true WHERE program_id = 1;
SELECT is((referral.suspend('d1')).user_id, 'd1', 'a suspended user');
SELECT is(pg_temp.both('d1', 'ada'), 'attributed', 'may still come by somebody');

-- A campaign's window, at the time of the sign-up; half-open.
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (1, 7, 'march', '2026-03-01', '2026-04-01', 2);
CREATE TEMP TABLE march AS SELECT code FROM referral.campaign_code('ada', 7);
SELECT is(coalesce(r.reason, r.status), answer, at::text) FROM (VALUES
    ('2026-02-28 23:59:59.999999'::timestamptz, 'campaign_inactive'), ('2026-03-01', 'attributed'),
    ('2026-03-31 23:59:59.999999', 'attributed'), ('2026-04-01', 'campaign_inactive')) t(at, answer), march,
    LATERAL referral.attribute('march ' || at, code, NULL, at) r;
SELECT is(campaign_id, 7::bigint, 'the campaign goes with the attribution')
  FROM referral.attribution WHERE user_id ~ '^march' LIMIT 1;

-- A click: click <= at < click + attribution_days x 24 hours, whatever the clocks do on those days.
INSERT INTO referral.click (program_id, click_id, code_id, clicked_at)
SELECT 1, 'k1', code_id, '2026-03-28 12:00 Europe/Berlin' FROM referral.code WHERE code = 'ada';
SELECT is(coalesce(r.reason, r.status), answer, coalesce(click || ' ', 'none ') || at)
  FROM (VALUES
    ('k1', '2026-03-28 11:59:59.999999 Europe/Berlin', 'click_expired'),
    ('k1', '2026-03-28 12:00 Europe/Berlin', 'attributed'),
    ('k1', '2026-03-30 12:59:59.999999 Europe/Berlin', 'attributed'),
    ('k1', '2026-03-30 13:00 Europe/Berlin', 'click_expired'),
    ('K1', '2026-03-28 12:00 Europe/Berlin', 'click_expired'),
    ('', '2026-03-28 12:00 Europe/Berlin', 'click_expired'),
    (NULL, '2026-03-30 13:00 Europe/Berlin', 'attributed')) t(click, at, answer),
    LATERAL referral.attribute(coalesce(click, 'none') || at, 'ada', click, at::timestamptz) r;
SELECT is(count(*), 2::bigint, 'the click is kept') FROM referral.attribution WHERE click_id = 'k1';

-- Caps: of the code itself, uses summed over all counters.
UPDATE referral.code SET cap = 3 WHERE code = 'ada';
SELECT is(pg_temp.both('c1', 'ada'), 'attributed', 'used 0 of 3');
INSERT INTO referral.code_use SELECT 1, code_id, p, 1 FROM referral.code, generate_series(1, 2) p WHERE code = 'ada';
SELECT is(pg_temp.both('c2', 'ada'), 'attributed', 'used 2 of 3');
INSERT INTO referral.code_use SELECT 1, code_id, 3, 1 FROM referral.code WHERE code = 'ada';
SELECT is(pg_temp.both('c3', 'ada'), 'cap_reached', 'used 3 of 3');
SELECT is((referral.attribute('c3', 'ada', 'no such click')).reason, 'click_expired', 'click_expired comes first');
UPDATE referral.code SET cap = 4 WHERE code = 'ada';
SELECT is(pg_temp.both('c3', 'ada'), 'attributed', 'an operator raised the cap');
UPDATE referral.code SET cap = 0 WHERE code = 'ada';
SELECT is(pg_temp.both('c4', 'ada'), 'cap_reached', 'a cap of 0');

-- Status of an attribution that is older than qualify_days.
UPDATE referral.program SET qualify_days = 3 WHERE program_id = 1;
SELECT is((referral.attribute('old', referral.enroll('bob'), NULL, now() - interval '73 hours')).status,
    'expired', 'expired at once');
SELECT is((referral.attribute('less', referral.enroll('bob'), NULL, now() - interval '71 hours')).status,
    'attributed', 'not yet');

-- Cycles: two, three, and far more than ten levels.
SELECT is(pg_temp.under('t2', 't1'), 'attributed', 't2 under t1');
SELECT is(pg_temp.under('t1', 't2'), 'cycle', 'not t1 under t2');
SELECT is(pg_temp.under('t3', 't2'), 'attributed', 't3 under t2');
SELECT is(pg_temp.under('t1', 't3'), 'cycle', 'not t1 under t3');
SELECT is((referral.validate_code(referral.enroll('t3'), 't1')).reason, 'cycle', 'and validate_code says so');
SELECT is(count(*), 1200::bigint, 'a long line')
  FROM generate_series(1, 1200) n, pg_temp.under('line' || n + 1, 'line' || n) s WHERE s = 'attributed';
SELECT is(pg_temp.under('line1', 'line1201'), 'cycle', 'a cycle of 1201');
SELECT is(pg_temp.under('line1', 't3'), 'attributed', 'its head may go elsewhere');
SELECT is(pg_temp.under('t1', 'line1201'), 'cycle', 'which makes a cycle of 1204');
SELECT is((referral.suspend('line1201')).user_id, 'line1201', 'suspended');
SELECT is(pg_temp.under('t1', 'line1201'), 'cycle', 'comes before code_disabled');

-- Levels, against the tree itself: leaves, late ones with a downline, up to ten levels.
CREATE TEMP VIEW counted AS
    SELECT program_id, member_id, level::integer, sum(members)::bigint AS members
      FROM referral.downline GROUP BY 1, 2, 3;
CREATE TEMP VIEW standing AS
    WITH RECURSIVE below(program_id, member_id, level, below_id) AS (
        SELECT program_id, referrer_id, 1, member_id FROM referral.member WHERE referrer_id IS NOT NULL
        UNION ALL
        SELECT b.program_id, b.member_id, b.level + 1, m.member_id FROM below b
          JOIN referral.member m ON m.program_id = b.program_id AND m.referrer_id = b.below_id
         WHERE b.level < 10)
    SELECT program_id, member_id, level, count(*) AS members FROM below GROUP BY 1, 2, 3;
SELECT set_eq('TABLE counted', 'TABLE standing', 'levels count the tree');
SELECT isnt_empty($$ SELECT FROM counted WHERE level = 10 $$, 'down to the tenth');
SELECT setseed(0.42) IS NOT NULL AS seeded \gset
DO $$
BEGIN
    FOR i IN 1..600 LOOP
        PERFORM pg_temp.under('r' || (random() * 150)::int, 'r' || (random() * 150)::int);
    END LOOP;
END $$;
SELECT set_eq('TABLE counted', 'TABLE standing', 'also after 600 attributions of 150 members at random');
SELECT is_empty($$ SELECT FROM referral.member m LEFT JOIN referral.attribution a USING (program_id, member_id)
                    WHERE a.referrer_id IS DISTINCT FROM m.referrer_id $$, 'an edge for each attribution');

SELECT * FROM finish();
ROLLBACK;

-- One snapshot for a whole transaction cannot attribute.
\set VERBOSITY terse
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO referral.program (program_id, name) VALUES (1, 'one');
SELECT reason FROM referral.attribute('x', 'none');
SELECT attributed FROM referral.attribute('x', referral.enroll('y'));
ROLLBACK;
