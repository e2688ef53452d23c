-- Clicks: capture_click(), salts, what maintain() drops (CONTRACT sections 2, 7).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name, time_zone) VALUES (1, 'one', 'Etc/GMT+12'), (2, 'two', 'Etc/GMT-14');
SET LOCAL referral.program_id = 1;
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES (1, 5, 'ended', '2024-01-01', '2024-02-01');
SELECT ok(referral.enroll(u, program_id => p) IS NOT NULL, 'enrolled ' || u) FROM unnest(ARRAY['ada', 'bob'], ARRAY[1, 2]) v(u, p);
SELECT is((referral.set_custom_slug('ada', 'ada')).code, 'ada', 'slug of ada'),
       is((referral.set_custom_slug('bob', 'ada', 2)).code, 'ada', 'the same slug in another program');
INSERT INTO referral.code (program_id, user_id, code, kind, campaign_id) VALUES (1, 'ada', 'In-Campaign', 'campaign', 5);
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    detail text;
    hint text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    -- what is raised about a click is the same whatever was sent
    RETURN concat_ws(' ', SQLSTATE, SQLERRM,
                     CASE WHEN length(detail) NOT BETWEEN 1 AND 80 OR length(hint) NOT BETWEEN 1 AND 80 OR detail || hint ~ 'hostile' THEN detail || hint END);
END $$;
CREATE VIEW pg_temp.counted AS
SELECT f.program_id, f.campaign_id, f.utm_key, sum(f.clicks) AS clicks
  FROM referral.funnel f GROUP BY 1, 2, 3;

-- What a click leaves.
SELECT matches(referral.capture_click('ada'), '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'an id is made');
SELECT isnt(referral.capture_click('ADA', ''), referral.capture_click('ada', ''), 'and another one each time, for an empty id, too');
SELECT is(referral.capture_click('Ada', 'c1', '/pricing', 'news', 'mail', 'spring', '192.0.2.7', 'Browser 1.0'), 'c1', 'the own id is returned');
SELECT results_eq(
    $$ SELECT k.program_id, c.code, k.clicked_at = now(), landing_path, utm_source, utm_medium, utm_campaign, utm_key = referral.utm_key('spring'),
              k.salt_id = s.salt_id, ip_hash = sha256(s.salt || '192.0.2.7'), agent_hash = sha256(s.salt || 'Browser 1.0')
         FROM referral.click k JOIN referral.code c USING (program_id, code_id) JOIN referral.click_salt s USING (program_id)
        WHERE k.click_id = 'c1' $$,
    $$ VALUES (1::bigint, 'ada' COLLATE "C", true, '/pricing', 'news', 'mail', 'spring', true, true, true, true) $$, 'all of it is stored');
SELECT results_eq($$ SELECT utm_key, clicks FROM pg_temp.counted WHERE program_id = 1 ORDER BY 2 $$,
    $$ VALUES (referral.utm_key('spring'), 1::numeric), (0, 3) $$, 'and counted');

-- A known id: the first one wins.
SELECT is(referral.capture_click('ada', 'c1', '/pricing', 'news', 'mail', 'spring', '192.0.2.7', 'Browser 1.0'), 'c1', 'again'),
       is(referral.capture_click('in-campaign', 'c1', '/other', ip => '192.0.2.8'), 'c1', 'again, otherwise'),
       is(referral.capture_click('ada', 'c1', program_id => 2), 'c1', 'in another program it is another click');
SELECT results_eq($$ SELECT program_id, landing_path, ip_hash IS NULL, agent_hash IS NULL, salt_id IS NULL FROM referral.click WHERE click_id = 'c1' ORDER BY 1 $$,
    $$ VALUES (1::bigint, '/pricing', false, false, false), (2, NULL, true, true, true) $$, 'nothing changed');
SELECT results_eq($$ SELECT program_id, campaign_id, utm_key, clicks FROM pg_temp.counted ORDER BY 1, 3 $$,
    $$ VALUES (1::bigint, 0::bigint, 0::bigint, 3::numeric), (1, 0, referral.utm_key('spring'), 1), (2, 0, 0, 1) $$, 'nothing counted twice');

-- The day is that of the program's zone: these two are never on the same one.
SELECT results_eq($$ SELECT DISTINCT f.program_id, f.day FROM referral.funnel f ORDER BY 1 $$,
    $$ VALUES (1::bigint, (now() AT TIME ZONE 'UTC' - interval '12 hours')::date), (2, (now() AT TIME ZONE 'UTC' + interval '14 hours')::date) $$, 'days');

-- Ids that are no ids; codes that are no codes.
SELECT is(pg_temp.outcome(format('referral.capture_click(''ada'', %L)', id)), id, 'an id: ' || left(id, 30))
  FROM unnest(ARRAY['x', 'AZaz09._~:@+=-', repeat('x', 200)]) id;
SELECT is(pg_temp.outcome(format('referral.capture_click(''ada'', %L)', id)), '22023 invalid click_id', 'no id ' || row_number() OVER ())
  FROM unnest(ARRAY[repeat('x', 201), ' ', 'hostile id', E'hostile\n', E'\nhostile', 'hostile/', '../hostile', 'hostile?', '<hostile>', 'hostilé', E'hostile\u200b',
                    repeat('hostile', 100000), repeat('ä', 200)]) id;
SELECT is(pg_temp.outcome(format('referral.capture_click(%L, ''new'')', code)), '22023 unknown_code', 'no code ' || row_number() OVER ())
  FROM unnest(ARRAY[NULL, '', 'hostile', ' ada', 'ada ', 'ad', 'ada%', E'ada\n', repeat('hostile', 100000), 'ada' || repeat(' ', 100)]) code;
SELECT is(pg_temp.outcome('referral.capture_click(''ada'', program_id => 99)'), '22023 unknown_code', 'an unknown program has no codes'),
       is(pg_temp.outcome('referral.capture_click(''ada'', program_id => NULL)'), '22023 unknown_code', 'nor has none');
SELECT is(pg_temp.outcome('referral.capture_click(''hostile'', ''c1'')'), '22023 unknown_code', 'a known id does not help'),
       is(pg_temp.outcome('referral.capture_click(''hostile'', ''hostile id'')'), '22023 invalid click_id', 'the id is looked at first');

-- What attributes nobody takes clicks.
UPDATE referral.program SET active = false WHERE program_id = 1;
DO $$ BEGIN PERFORM referral.suspend('ada', 'test', 'op'); END $$;
UPDATE referral.code SET disabled_at = now() WHERE program_id = 1 AND code = 'ada';
SELECT is(referral.capture_click('ada', 'c2'), 'c2', 'a disabled code of a suspended member'),
       is(referral.capture_click('IN-CAMPAIGN', 'c3', utm_campaign => 'spring'), 'c3', 'a campaign that ended');
SELECT results_eq($$ SELECT campaign_id, utm_key, clicks FROM pg_temp.counted WHERE program_id = 1 AND campaign_id <> 0 $$,
    $$ VALUES (5::bigint, referral.utm_key('spring'), 1::numeric) $$, 'counted for the campaign');
UPDATE referral.program SET active = true WHERE program_id = 1;
DO $$ BEGIN PERFORM referral.reinstate('ada', 'test', 'op'); END $$;
UPDATE referral.code SET disabled_at = NULL WHERE program_id = 1 AND code = 'ada';

-- Texts. Of all characters, exactly these are removed; a space is trimmed.
SELECT results_eq(
    $$ SELECT string_agg(CASE min WHEN max THEN to_hex(min) ELSE to_hex(min) || '-' || to_hex(max) END, ' ' ORDER BY min)
         FROM (SELECT min(n), max(n) FROM (SELECT n, n - row_number() OVER (ORDER BY n) AS island FROM generate_series(1, 1114111) n
                                            WHERE n NOT BETWEEN 55296 AND 57343 AND referral.clean_text(chr(n), 1) IS DISTINCT FROM chr(n)) x GROUP BY island) r $$,
    $$ VALUES ('1-20 7f-9f ad 61c 180e 200b-200f 2028-202e 2060-206f feff fff9-fffb e0000-e007f') $$, 'control and invisible characters');
SELECT is(referral.clean_text(value, 5), expected, 'text ' || row_number() OVER ()) FROM (VALUES
    ('abcde', 'abcde'), ('abcdef', 'abcde'), ('  abc  ', 'abc'), ('ab  cd', 'ab  c'), ('abcd   x', 'abcd'), (' ', NULL), ('', NULL), (E'\t\r\n', NULL),
    (E' \u200b abc \u200b ', 'abc'), (E'a\u202eb\x7fc\u2066d\ufeff\u0085e', 'abcde'), ('äöüßéè', 'äöüßé'), ('😀😁😂😃😄😅', '😀😁😂😃😄'),
    (E'\x01' || repeat(E'\u200b', 100000) || 'late', 'late'), (repeat('x', 1000000), 'xxxxx'), ('<b>', '<b>'), ('%00\', '%00\')) v(value, expected);
SELECT is(referral.clean_text(NULL, 5), NULL, 'NULL stays NULL'), is(referral.clean_text('x', 0), NULL, 'room for nothing');
CREATE FUNCTION pg_temp.path(path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE id text := referral.capture_click('ada', landing_path => path.path);
BEGIN
    RETURN (SELECT k.landing_path FROM referral.click k WHERE k.program_id = 1 AND k.click_id = id);
END $$;
SELECT is(pg_temp.path(path), expected, 'path ' || row_number() OVER ()) FROM (VALUES
    ('/a?token=hostile', '/a'), ('/a#token', '/a'), ('/a#b?c', '/a'), ('/a?b#c', '/a'), ('?hostile', NULL), ('#', NULL), ('', NULL), (NULL, NULL), (E'/a\x01?', '/a'),
    ('../../etc/passwd', '../../etc/passwd'), ('/<script>alert(1)</script>', '/<script>alert(1)</script>'), (E' /a\u202e/b\n ?', '/a/b'),
    ('/' || repeat('ä', 600), '/' || repeat('ä', 499)), ('/a' || repeat('?', 1000000), '/a')) v(path, expected);
SELECT is(referral.capture_click('ada', 'long', '/', repeat('s', 101), E' \x07' || repeat('m', 101), repeat('ü', 101)), 'long', 'long texts');
SELECT results_eq($$ SELECT utm_source, utm_medium, utm_campaign, utm_key FROM referral.click WHERE click_id = 'long' $$,
    $$ SELECT repeat('s', 100), repeat('m', 100), repeat('ü', 100), referral.utm_key(repeat('ü', 100)) $$, 'are cut; the key is that of what is stored');

-- Keys of labels, as every other machine works them out.
SELECT is(referral.utm_key(NULL), 0::bigint, 'no label'), is(referral.utm_key(''), 0::bigint, 'an empty label'),
       is(referral.utm_key('spring'), ('x' || left(encode(sha256('spring'), 'hex'), 16))::bit(64)::bit(62)::bigint + 2, 'spring'),
       is(referral.utm_key('spring'), 1768386690212835824, 'spring, in figures'),
       isnt(referral.utm_key('spring'), referral.utm_key('Spring'), 'letters count');
SELECT is(count(*), 0::bigint, 'none is 0 or 1') FROM generate_series(1, 10000) n WHERE referral.utm_key(n::text) < 2;

-- Hashes.
CREATE FUNCTION pg_temp.hashes(ip text, agent text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE id text := referral.capture_click('ada', ip => hashes.ip, user_agent => hashes.agent);
BEGIN
    RETURN (SELECT concat_ws(' ', CASE WHEN k.ip_hash = sha256(s.salt || '2001:db8::a') THEN 'the address' ELSE encode(k.ip_hash, 'hex') END,
                             CASE WHEN k.agent_hash = sha256(s.salt || 'UA') THEN 'the agent' ELSE encode(k.agent_hash, 'hex') END,
                             CASE WHEN k.salt_id IS NULL THEN 'no salt' END)
              FROM referral.click k JOIN referral.click_salt s USING (program_id) WHERE k.program_id = 1 AND k.click_id = id);
END $$;
SELECT is(pg_temp.hashes(ip, agent), expected, format('hashes of %s and %s', quote_nullable(ip), quote_nullable(agent))) FROM (VALUES
    (NULL, NULL, 'no salt'), ('', '', 'no salt'), ('  ', NULL, 'no salt'), ('2001:db8::a', NULL, 'the address'), (' 2001:DB8::A ', '', 'the address'),
    (NULL, 'UA', 'the agent'), ('', 'UA', 'the agent'), ('2001:db8::a', 'UA', 'the address the agent')) v(ip, agent, expected);
SELECT is(pg_temp.hashes(repeat('1', 100) || 'x', repeat('ä', 1000) || 'x'), pg_temp.hashes(repeat('1', 100) || 'y', repeat('ä', 1000) || 'y'), 'only so much is hashed'),
       isnt(pg_temp.hashes(repeat('1', 99) || 'x', 'x'), pg_temp.hashes(repeat('1', 99) || 'y', 'x'), 'and that much of an address'),
       isnt(pg_temp.hashes('x', repeat('ä', 999) || 'x'), pg_temp.hashes('x', repeat('ä', 999) || 'y'), 'and of an agent');
SELECT is(count(*), 0::bigint, 'nothing else is kept of them') FROM referral.click k
 WHERE (to_jsonb(k) - '{ip_hash,agent_hash}'::text[])::text ~* '2001:|192[.]0|Browser' OR length(ip_hash) <> 32 OR length(agent_hash) <> 32;

-- Salts.
SELECT results_eq('SELECT program_id, length(salt) FROM referral.click_salt ORDER BY 1', 'VALUES (1::bigint, 32), (2, 32)', 'a program is made with a salt');
SELECT is(count(DISTINCT salt), 2::bigint, 'of its own') FROM referral.click_salt;
SELECT is(referral.capture_click('ada', 'before', ip => '192.0.2.7'), 'before', 'before a rotation');
SELECT referral.rotate_salt() AS salt_id \gset
SELECT is(max(salt_id), :salt_id::bigint, 'rotated') FROM referral.click_salt;
SELECT is(count(*), 1::bigint, 'in this program only') FROM referral.click_salt WHERE program_id = 2;
SELECT is(referral.capture_click('ada', id, ip => '192.0.2.7'), id, id) FROM unnest(ARRAY['after', 'after2']) id;
SELECT results_eq($$ SELECT x.salt_id = y.salt_id, x.ip_hash = y.ip_hash FROM referral.click x, referral.click y WHERE x.click_id = 'after' AND y.click_id IN ('before', 'after2') ORDER BY 1 $$,
    'VALUES (false, false), (true, true)', 'hashes match under one salt only');
SELECT is(pg_temp.outcome('referral.rotate_salt(99)'), '23503 unknown_program', 'no program, no salt'), is(pg_temp.outcome('referral.rotate_salt(NULL)'), '23503 unknown_program', 'none named');
DELETE FROM referral.click_salt WHERE program_id = 2;
SELECT is(referral.capture_click('ada', 'saltless', ip => '192.0.2.7', program_id => 2), 'saltless', 'a program that was made while the triggers were away');
SELECT is(count(*), 1::bigint, 'gets its salt') FROM referral.click k JOIN referral.click_salt s USING (program_id, salt_id) WHERE k.program_id = 2 AND k.ip_hash = sha256(s.salt || '192.0.2.7');
INSERT INTO referral.program (program_id, name) VALUES (3, 'three');
DELETE FROM referral.program WHERE program_id = 3;
SELECT is(count(*), 0::bigint, 'a program that goes takes its salts along') FROM referral.click_salt WHERE program_id = 3;

-- Retention. Clicks: older than click_days, and past attributing anybody.
CREATE FUNCTION pg_temp.clicks() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s%s', k.click_id, CASE WHEN k.salt_id IS NOT NULL AND k.ip_hash IS NOT NULL THEN ' hashed' END), ', ' ORDER BY k.clicked_at, k.click_id)
      FROM referral.click k WHERE k.click_id ~ '^day' $$;
INSERT INTO referral.program (program_id, name, click_days, hash_days, attribution_days) VALUES (4, 'four', 60, 10, 30), (5, 'five', 60, 10, 30);
SELECT ok(referral.enroll('eve', program_id => p) IS NOT NULL AND (referral.set_custom_slug('eve', 'eve', p)).code = 'eve', 'enrolled') FROM generate_series(4, 5) p;
SELECT is(referral.capture_click('eve', id, '/', 's', 'm', 'rare', '::1', 'UA', 4), id, id) FROM unnest(ARRAY['day70', 'day61', 'day59', 'day11', 'day9', 'day0']) id;
UPDATE referral.click SET clicked_at = now() - substr(click_id, 4)::integer * interval '24 hours' WHERE program_id = 4;
SELECT is(p, '(0,)', 'nothing in program 5') FROM CAST(referral.prune_clicks(5, NULL) AS text) p;
UPDATE referral.program SET attribution_days = 65 WHERE program_id = 4;
SELECT is(referral.clicks_kept_from(4), statement_timestamp() - 65 * interval '24 hours', 'kept as long as they can attribute');
SELECT is(p, '(1,)', 'one is too old') FROM CAST(referral.prune_clicks(4, NULL) AS text) p;
UPDATE referral.program SET attribution_days = 30 WHERE program_id = 4;
SELECT is(p, '(1,)', 'another one is') FROM CAST(referral.prune_clicks(4, NULL) AS text) p;
SELECT is(p, '(0,)', 'and no more') FROM CAST(referral.prune_clicks(4, NULL) AS text) p;
SELECT is(p, '(2,)', 'hashes of two') FROM CAST(referral.prune_hashes(4, NULL) AS text) p;
SELECT is(p, '(0,)', 'and no more') FROM CAST(referral.prune_hashes(4, NULL) AS text) p;
SELECT is(pg_temp.clicks(), 'day59, day11, day9 hashed, day0 hashed', 'what is left');
SELECT is(clicks, 6::numeric, 'what was counted stays') FROM pg_temp.counted WHERE program_id = 4;
SELECT is(count(*), 0::bigint, 'a hash is never without its salt_id, nor a salt_id without a hash') FROM referral.click WHERE (salt_id IS NULL) <> (ip_hash IS NULL AND agent_hash IS NULL);
-- More than a batch, at one instant.
INSERT INTO referral.click (program_id, click_id, code_id, clicked_at, salt_id, ip_hash)
SELECT 5, 'many' || n, c.code_id, now() - interval '59 days', 1, '\x00' FROM referral.code c, generate_series(1, 1005) n WHERE c.program_id = 5 AND c.code = 'eve';
SELECT ok(b.pruned = 1000 AND (b.position ->> 'clicked_at')::timestamptz = now() - interval '59 days', 'a batch of hashes') FROM referral.prune_hashes(5, NULL) b;
SELECT is(b.pruned, 5::bigint, 'the rest') FROM referral.prune_hashes(5, jsonb_build_object('clicked_at', now() - interval '59 days')) b;
UPDATE referral.program SET click_days = 59 WHERE program_id = 5;
SELECT ok(b.pruned = 1000 AND (b.position ->> 'clicked_at')::timestamptz = now() - interval '59 days', 'a batch of clicks') FROM referral.prune_clicks(5, NULL) b;
SELECT is(b.pruned || coalesce(b.position::text, ''), '5', 'the rest') FROM referral.prune_clicks(5, jsonb_build_object('clicked_at', now() - interval '59 days')) b;

-- Salts that no click uses, but for the last one.
SELECT ok(referral.rotate_salt(4) > 0, 'rotated') FROM generate_series(1, 3);
SELECT is(referral.capture_click('eve', 'day0-new', ip => '::1', program_id => 4), 'day0-new', 'a click');
SELECT is(p, '(2,)', 'two of four') FROM CAST(referral.prune_salts(4, NULL) AS text) p;
SELECT is(p, '(0,)', 'and no more') FROM CAST(referral.prune_salts(4, NULL) AS text) p;
SELECT is(count(*), 3::bigint, 'every hash left has its salt') FROM referral.click k JOIN referral.click_salt s USING (program_id, salt_id) WHERE k.program_id = 4;
UPDATE referral.click SET clicked_at = clicked_at - interval '30 days' WHERE program_id = 4;
SELECT is(p, '(3,)', 'the hashes go') FROM CAST(referral.prune_hashes(4, NULL) AS text) p;
SELECT is(p, '(1,)', 'and all salts but the last') FROM CAST(referral.prune_salts(4, NULL) AS text) p;
SELECT is(count(*) FILTER (WHERE program_id = 4), 1::bigint, 'which stays') FROM referral.click_salt;
SELECT is(p, '(0,)', 'a program with one salt') FROM CAST(referral.prune_salts(2, NULL) AS text) p;

-- Events: older than event_days, all when there are none kept.
UPDATE referral.program SET event_days = 7 WHERE program_id IN (4, 5);
DELETE FROM referral.event; DELETE FROM referral.event_pending;
INSERT INTO referral.event (program_id, event_id, kind, user_id, data, created_at)
SELECT p, n, 'reward_created', 'eve', '{}', now() - d * interval '24 hours' FROM generate_series(4, 5) p, unnest(ARRAY[9, 8, 1, 8, 0]) WITH ORDINALITY v(d, n);
INSERT INTO referral.event_pending (program_id, event_no, subject_id, kind, created_at)
SELECT p, n, 1, 'reward_created', now() - d * interval '24 hours' FROM generate_series(4, 5) p, unnest(ARRAY[9, 0]) WITH ORDINALITY v(d, n);
SELECT results_eq($$ SELECT pruned, position FROM referral.prune_events(4, 'event', NULL) $$, $$ VALUES (3::bigint, '{"id": 5}'::jsonb) $$, 'old events, also between younger ones');
SELECT results_eq($$ SELECT pruned, position FROM referral.prune_events(4, 'event', '{"id": 5}') $$, 'VALUES (0::bigint, NULL::jsonb)', 'to the end');
SELECT results_eq($$ SELECT pruned FROM referral.prune_events(4, 'event_pending', NULL) $$, 'VALUES (1::bigint)', 'those that nobody read');
UPDATE referral.program SET event_days = NULL WHERE program_id = 5;
SELECT is(b.pruned, n, 'off: every ' || o) FROM (VALUES ('event', 5::bigint), ('event_pending', 2)) v(o, n), referral.prune_events(5, o, NULL) b;
SELECT is((SELECT string_agg(event_id::text, ' ' ORDER BY event_id) FROM referral.event), '3 5', 'what is left'), is((SELECT string_agg(event_no::text, ' ') FROM referral.event_pending), '2', 'and not read yet');
INSERT INTO referral.event (program_id, event_id, kind, user_id, data, created_at) SELECT 5, n, 'k', 'eve', '{}', now() FROM generate_series(1, 1005) n;
SELECT results_eq($$ SELECT pruned, position FROM referral.prune_events(5, 'event', NULL) $$, $$ VALUES (1000::bigint, '{"id": 1000}'::jsonb) $$, 'a batch');
SELECT results_eq($$ SELECT pruned FROM referral.prune_events(5, 'event', '{"id": 1000}') $$, 'VALUES (5::bigint)', 'the rest');

-- Labels that hardly anybody used, on days whose clicks are gone.
DELETE FROM referral.funnel;
CREATE FUNCTION pg_temp.old_day(days integer) RETURNS date LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date - $1 $$;
INSERT INTO referral.funnel SELECT v.program_id, pg_temp.old_day(v.age), v.campaign_id, v.utm_key, v.part, v.clicks, v.attributed, v.review_required, v.rejected, v.qualified, v.rewarded, v.granted, v.capped FROM (VALUES
    (4, 61, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0),       -- no label
    (4, 61, 0, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0),       -- folded before
    (4, 61, 0, 11, 1, 4, 0, 0, 0, 0, 0, 0, 0), (4, 61, 0, 11, 2, 5, 0, 0, 0, 0, 0, 0, 0),   -- 9 in two parts
    (4, 61, 0, 12, 1, 5, 0, 0, 0, 0, 0, 0, 0), (4, 61, 0, 12, 2, 5, 0, 0, 0, 0, 0, 0, 0),   -- 10
    (4, 61, 0, 13, 1, 0, 0, 1, 0, 0, 0, 0, 0), (4, 61, 0, 13, 2, 0, 0, -1, 0, 0, 0, 0, 0),  -- nothing in all
    (4, 61, 0, 21, 1, 1, 1, 0, 0, 0, 0, 0, 0), (4, 61, 0, 22, 1, 1, 0, 1, 0, 0, 0, 0, 0), (4, 61, 0, 23, 1, 1, 0, 0, 1, 0, 0, 0, 0), (4, 61, 0, 24, 1, 1, 0, 0, 0, 1, 0, 0, 0),
    (4, 61, 0, 25, 1, 1, 0, 0, 0, 0, 1, 0, 0), (4, 61, 0, 26, 1, 1, 0, 0, 0, 0, 0, 1, 0), (4, 61, 0, 27, 1, 1, 0, 0, 0, 0, 0, 0, 1),
    (4, 61, 5, 11, 1, 1, 0, 0, 0, 0, 0, 0, 0),      -- another campaign
    (4, 62, 0, 11, 1, 1, 0, 0, 0, 0, 0, 0, 0),      -- another day
    (4, 60, 0, 11, 1, 1, 0, 0, 0, 0, 0, 0, 0),      -- some of its clicks are there
    (5, 61, 0, 11, 1, 1, 0, 0, 0, 0, 0, 0, 0)       -- another program
) v(program_id, age, campaign_id, utm_key, part, clicks, attributed, review_required, rejected, qualified, rewarded, granted, capped);
CREATE TEMP TABLE before AS SELECT day, campaign_id, sum(clicks) AS clicks, sum(attributed + review_required + rejected + qualified + rewarded + granted + capped) AS others
  FROM referral.funnel WHERE program_id = 4 GROUP BY 1, 2;
SELECT is(f, '(6,)', 'folded') FROM CAST(referral.fold_funnel(4, NULL) AS text) f;
SELECT results_eq($$ SELECT pg_temp.old_day(0) - day, campaign_id, utm_key, sum(clicks) FROM referral.funnel WHERE program_id = 4 AND utm_key < 20 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 $$,
    $$ VALUES (60, 0::bigint, 11::bigint, 1::numeric), (61, 0, 0, 3), (61, 0, 1, 12), (61, 0, 12, 10), (61, 5, 1, 1), (62, 0, 1, 1) $$, 'into one');
SELECT is(count(*), 7::bigint, 'what has anything else in it stays') FROM referral.funnel WHERE utm_key BETWEEN 20 AND 30;
SELECT set_eq($$ SELECT day, campaign_id, sum(clicks) AS clicks, sum(attributed + review_required + rejected + qualified + rewarded + granted + capped) AS others FROM referral.funnel WHERE program_id = 4 GROUP BY 1, 2 $$,
    'TABLE before', 'the sums of days and campaigns stay');
SELECT is(f, '(0,)', 'and no more') FROM CAST(referral.fold_funnel(4, NULL) AS text) f;
SELECT is(clicks, 1::bigint, 'program 5 is another') FROM referral.funnel WHERE program_id = 5 AND utm_key = 11;
INSERT INTO referral.funnel SELECT 5, pg_temp.old_day(100), 0, n, 1, 1, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(101, 1103) n;
SELECT results_eq($$ SELECT folded, position - 'day' FROM referral.fold_funnel(5, NULL) $$, $$ VALUES (1000::bigint, '{"campaign_id": 0, "utm_key": 1100}'::jsonb) $$, 'a batch');
SELECT results_eq($$ SELECT folded, position FROM referral.fold_funnel(5, jsonb_build_object('day', pg_temp.old_day(100), 'campaign_id', 0, 'utm_key', 1100)) $$, 'VALUES (4::bigint, NULL::jsonb)', 'the rest, and the next day');
SELECT is(sum(clicks), 1003::numeric, 'in one') FROM referral.funnel WHERE program_id = 5 AND day = pg_temp.old_day(100) AND utm_key = 1;
UPDATE referral.program SET attribution_days = 200 WHERE program_id = 5;
INSERT INTO referral.funnel SELECT 5, pg_temp.old_day(150), 0, 7, 1, 1, 0, 0, 0, 0, 0, 0, 0;
SELECT is(f, '(0,)', 'not before the clicks go') FROM CAST(referral.fold_funnel(5, NULL) AS text) f;

SELECT finish();
ROLLBACK;
