-- What operators read, beside slow queries that read the rows themselves.
\unset ECHO
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET TimeZone = 'UTC';
CALL referral.install();
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

-- 90 by New York, where clocks go forward on 2024-03-10, with grants and expiry;
-- 91 by Lord Howe, where they go back by half an hour on 2024-04-07, without.
INSERT INTO referral.program (program_id, name, time_zone, hold_days, max_level, uses_grants, qualify_days)
VALUES (90, 'ninety', 'America/New_York', 0, 2, true, 20),
       (91, 'ninety-one', 'Australia/Lord_Howe', 0, 2, false, NULL);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
SELECT p, c, name, '2020-01-01', '2100-01-01', cap
FROM generate_series(90, 91) p,
     (VALUES (1, 'Spring', NULL), (2, 'Spring', 3), (3, 'Fall', NULL), (4, 'Winter', 0)) c(c, name, cap);
INSERT INTO referral.rate (program_id, campaign_id, level, rate_bps)
SELECT p, c, l, CASE c WHEN 0 THEN 1000 / l ELSE 0 END
FROM generate_series(90, 91) p, (VALUES (0, 1), (0, 2), (1, 1), (1, 2)) r(c, l);
INSERT INTO referral.review_rule (program_id, rule, campaign_id)
SELECT p, 'campaign', 3 FROM generate_series(90, 91) p;

-- A visit of another day, as capture_click() would have written it then.
CREATE FUNCTION pg_temp.visit(program bigint, click text, code text, at timestamptz, utm text) RETURNS text LANGUAGE sql AS $$
    INSERT INTO referral.click (program_id, click_id, code_id, clicked_at, utm_campaign, utm_key)
    SELECT $1, $2, c.code_id, $4, $5, referral.utm_key($5) FROM referral.code c WHERE c.program_id = $1 AND c.code = $3;
    SELECT referral.count_funnel($1, ($4 AT TIME ZONE p.time_zone)::date, c.campaign_id, referral.utm_key($5), 'clicks', 1)
    FROM referral.program p JOIN referral.code c USING (program_id) WHERE p.program_id = $1 AND c.code = $3;
    SELECT $2;
$$;
-- Three hundred people, every 29 minutes one: by one of six referrers and one of
-- five codes of each, from a click with or without utm_campaign or from none.
CREATE FUNCTION pg_temp.live(program bigint, since timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
    at timestamptz;
    utm text;
BEGIN
    FOR n IN 1..300 LOOP
        at := since + n * interval '29 minutes';
        code := referral.enroll('r' || n % 6, 'R' || n % 6, NULL, program);
        IF n % 5 > 0 THEN
            code := (referral.campaign_code('r' || n % 6, n % 5, program)).code;
        END IF;
        utm := (ARRAY['Spring', 'news', 'Fall', 'x" y', NULL, NULL, NULL])[1 + n % 7];
        PERFORM pg_temp.visit(program, format('c%s-%s', n, k), code, at - k * interval '7 minutes', utm)
        FROM generate_series(1, n % 3 + 1) k;
        PERFORM referral.attribute('u' || n, code, CASE WHEN n % 4 > 0 THEN format('c%s-1', n) END, at, program);
    END LOOP;
    -- an invitee who refers
    PERFORM referral.attribute('v' || i, referral.enroll('u5', program_id => program), NULL, since, program)
    FROM generate_series(1, 5) i;
    PERFORM referral.record_payment('p' || i, 'u' || i, 1000 * i, NULL, 'purchase', since + i * interval '29 minutes' + '1 day', program)
    FROM generate_series(2, 300, 2) i;
    PERFORM referral.record_payment('q', 'v1', 5000, NULL, 'purchase', since + '1 day', program);
    PERFORM CASE WHEN a.attribution_id % 3 = 0 THEN referral.approve_attribution(a.attribution_id, 'ops', 'fine', program)
                 WHEN a.attribution_id % 3 = 1 THEN referral.reject_attribution(a.attribution_id, 'ops', 'no', program) END
    FROM referral.attribution a WHERE a.program_id = program AND a.decision = 'review_required';
    PERFORM referral.confirm_grant(g.grant_key, program) FROM referral.claim_grants(30, program) g;
    PERFORM referral.fail_grant(g.grant_key, 'no', program) FROM referral.claim_grants(5, program) g;
    -- today
    PERFORM referral.capture_click(referral.enroll('r1', program_id => program), 'now-' || i, utm_campaign => 'news', program_id => program)
    FROM generate_series(1, 3) i;
    PERFORM referral.attribute('w' || i, referral.enroll('r1', program_id => program), 'now-' || i, program_id => program)
    FROM generate_series(1, 2) i;
    RETURN NULL;
END
$$;
SELECT pg_temp.live(90, '2024-03-07 16:00+00') AS lived, pg_temp.live(91, '2024-04-04 16:00+00') AS lived_too \gset

-- The rows behind it all. Names as they are now.
CREATE TEMP VIEW slow AS
SELECT a.program_id, a.attribution_id AS id,
       CASE WHEN a.decision = 'review_required' THEN 'review_required'
            WHEN a.decision = 'rejected' THEN 'rejected'
            WHEN a.decision = 'capped' THEN 'capped'
            WHEN EXISTS (SELECT FROM referral.reward r JOIN referral.member m USING (program_id)
                         WHERE m.program_id = a.program_id AND m.user_id = a.user_id AND r.payer_id = m.member_id
                           AND (NOT p.uses_grants
                                OR (SELECT g.state FROM referral.reward_grant g
                                    WHERE g.program_id = r.program_id AND g.reward_id = r.reward_id) = 'confirmed')) THEN 'rewarded'
            WHEN EXISTS (SELECT FROM referral.payment y WHERE y.program_id = a.program_id AND y.user_id = a.user_id) THEN 'qualified'
            WHEN a.attributed_at + make_interval(hours => 24 * p.qualify_days) <= statement_timestamp() THEN 'expired'
            ELSE 'attributed' END AS status,
       c.code COLLATE "default" AS code, coalesce(a.utm_campaign, k.name) AS campaign, a.user_id COLLATE "default" AS user_id,
       u.display_name, r.user_id COLLATE "default" AS referrer_user_id, r.display_name AS referrer_display, a.attributed_at,
       a.attributed_at + make_interval(hours => 24 * p.qualify_days) AS expires_at,
       a.qualified_at, a.rewarded_at, a.granted_at,
       p.uses_grants AND e.reward_micro > 0 AND e.confirmed = 0 AS pending_grant,
       CASE WHEN e.reward_micro > 0 THEN e.payment_id END COLLATE "default" AS payment_id,
       CASE WHEN a.qualified_at IS NOT NULL THEN e.reward_micro END AS reward_micro,
       a.click_id COLLATE "default" AS click_id, (a.attributed_at AT TIME ZONE p.time_zone)::date AS day, a.decision
FROM referral.attribution a
JOIN referral.program p USING (program_id)
JOIN referral.code c USING (program_id, code_id)
LEFT JOIN referral.campaign k ON k.program_id = a.program_id AND k.campaign_id = a.campaign_id
JOIN referral.member u ON u.program_id = a.program_id AND u.user_id = a.user_id
JOIN referral.member r ON r.program_id = a.program_id AND r.member_id = a.referrer_id
CROSS JOIN LATERAL (
    SELECT min(y.payment_id) AS payment_id, coalesce(sum(w.amount_micro), 0) AS reward_micro,
           count(*) FILTER (WHERE g.state = 'confirmed') AS confirmed
    FROM referral.payment y
    LEFT JOIN referral.reward w ON w.program_id = y.program_id AND w.payment_id = y.payment_id
    LEFT JOIN referral.reward_grant g ON g.program_id = w.program_id AND g.reward_id = w.reward_id
    WHERE y.program_id = a.program_id AND y.user_id = a.user_id) e;

SELECT bag_eq('SELECT DISTINCT program_id, status FROM slow', $$ VALUES
    (90::bigint, 'attributed'), (90, 'expired'), (90, 'qualified'), (90, 'rewarded'), (90, 'capped'), (90, 'review_required'), (90, 'rejected'),
    (91, 'attributed'), (91, 'qualified'), (91, 'rewarded'), (91, 'capped'), (91, 'review_required'), (91, 'rejected') $$,
    'every status is there; without qualify_days nothing expires');

-- Rows.
SELECT results_eq(format('SELECT * FROM referral.list_attributions(max_rows => 1000, program_id => %s)', p),
    format('SELECT id, status, code, campaign, user_id, display_name, referrer_user_id, referrer_display, attributed_at, expires_at,
                   qualified_at, rewarded_at, granted_at, pending_grant, payment_id, reward_micro, click_id
            FROM slow WHERE program_id = %s ORDER BY id DESC', p), 'all rows of ' || p)
FROM generate_series(90, 91) p;
SELECT is(count(*), 0::bigint, 'one by one, by number') FROM slow s, referral.attribution_row_of(s.program_id, s.id) r
WHERE to_jsonb(s) - '{program_id,day,decision}'::text[] IS DISTINCT FROM to_jsonb(r);
SELECT is(count(*), 0::bigint, 'attribution_status() says the same') FROM slow s
WHERE s.status <> referral.attribution_status(s.program_id, s.user_id);
SELECT is(referral.attribution_row_of(90, -1), NULL, 'none of an unknown number');
SELECT is(referral.attribution_row_of(91, (SELECT min(id) FROM slow WHERE program_id = 90)), NULL, 'nor of another program''s');

-- Every filter with every other.
CREATE TEMP TABLE slow_rows AS TABLE slow;
ANALYZE slow_rows;
CREATE TEMP TABLE ask (user_id text, status text[], campaign text, pending_grant boolean, max_rows integer, before_id bigint);
INSERT INTO ask
SELECT u, s, c, g, m, b FROM
    unnest('{NULL,r1,u5,nobody}'::text[]) u,
    (VALUES (NULL), ('{attributed}'), ('{qualified}'), ('{rewarded}'), ('{expired}'), ('{capped}'), ('{rejected}'),
            ('{review_required}'), ('{capped,capped,review_required,nonsense}'), ('{capped,attributed}'),
            ('{attributed,qualified,rewarded,expired,capped,rejected,review_required}'),
            ('{}'), ('{NULL,nonsense}')) s(text), LATERAL (SELECT s.text::text[]) t(s),
    unnest('{NULL,Spring,Fall,news,"x\" y",spring}'::text[]) c,
    unnest('{NULL,true,false}'::boolean[]) g,
    (VALUES (NULL::integer, NULL::bigint), (3, NULL), (-1, (SELECT max(id) - 40 FROM slow)),
            (9, (SELECT id FROM slow WHERE program_id = 90 AND user_id = 'u5'))) m(m, b);
CREATE FUNCTION pg_temp.slow_list(program bigint, a ask) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY(SELECT s.id FROM slow_rows s
        WHERE s.program_id = $1
          AND (a.user_id IS NULL OR a.user_id IN (s.user_id, s.referrer_user_id))
          AND (a.status IS NULL OR s.status = ANY (a.status))
          AND (a.campaign IS NULL OR s.campaign = a.campaign)
          AND (a.pending_grant IS NULL OR s.pending_grant = a.pending_grant)
          AND (a.before_id IS NULL OR s.id < a.before_id)
        ORDER BY s.id DESC LIMIT CASE WHEN a.max_rows >= 0 THEN a.max_rows ELSE 50 END)
$$;
SELECT is(count(*) FILTER (WHERE fast.ids IS DISTINCT FROM slow.ids), 0::bigint,
          format('program %s: %s lists are those of the slow query', p, count(*))),
       cmp_ok(count(*) FILTER (WHERE fast.ids <> '{}'), '>', 200::bigint, 'many of them with rows')
FROM generate_series(90, 91) p CROSS JOIN ask a
CROSS JOIN LATERAL (SELECT ARRAY(SELECT l.id FROM referral.list_attributions(
    a.user_id, a.status, a.campaign, a.pending_grant, a.max_rows, a.before_id, p) l) AS ids) fast
CROSS JOIN LATERAL (SELECT pg_temp.slow_list(p, a) AS ids) slow
GROUP BY p ORDER BY p;

SELECT is_empty('SELECT * FROM referral.list_attributions(max_rows => 0, program_id => 90)', 'a page without rows');

-- Pages, while others sign up and rows go away.
CREATE FUNCTION pg_temp.pages(page integer, campaign text DEFAULT NULL) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := '{}';
    next bigint[];
BEGIN
    LOOP
        next := ARRAY(SELECT l.id FROM referral.list_attributions(max_rows => page, before_id => ids[cardinality(ids)],
                                                                  campaign => pages.campaign, program_id => 90) l);
        EXIT WHEN next = '{}';
        ids := ids || next;
        PERFORM referral.attribute('page-' || ids[cardinality(ids)], referral.enroll('r1', program_id => 90), NULL, program_id => 90);
        DELETE FROM referral.attribution a WHERE a.program_id = 90 AND a.attribution_id = ids[cardinality(ids)] AND a.user_id LIKE 'u%7';
    END LOOP;
    RETURN ids;
END
$$;
SAVEPOINT pages;
SELECT is(pg_temp.pages(page, campaign), ARRAY(SELECT s.id FROM slow_rows s WHERE s.program_id = 90 AND (t.campaign IS NULL OR s.campaign = t.campaign) ORDER BY s.id DESC),
          format('pages of %s, %s', page, coalesce(campaign, 'all')))
FROM (VALUES (7, NULL)) t(page, campaign);
ROLLBACK TO pages;
SELECT is(pg_temp.pages(page, campaign), ARRAY(SELECT s.id FROM slow_rows s WHERE s.program_id = 90 AND (t.campaign IS NULL OR s.campaign = t.campaign) ORDER BY s.id DESC),
          format('pages of %s, %s', page, coalesce(campaign, 'all')))
FROM (VALUES (1, 'Spring')) t(page, campaign);
ROLLBACK TO pages;

-- The instant at which it expires.
SELECT results_eq($$ SELECT referral.status_of(decision, statement_timestamp() - ago, qualified, rewarded, granted, days, uses)
                     FROM (VALUES (1, NULL, interval '480 hours', NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, 20, true),
                                  (2, NULL, '479:59:59.999999', NULL, NULL, NULL, 20, true), (3, NULL, '90000 hours', NULL, NULL, NULL, NULL, true),
                                  (4, 'review_required', '90000 hours', NULL, NULL, NULL, 20, true), (5, NULL, '90000 hours', 'epoch', NULL, NULL, 20, true),
                                  (6, NULL, '1 hour', 'epoch', 'epoch', NULL, 20, true), (7, NULL, '1 hour', 'epoch', 'epoch', NULL, 20, false),
                                  (8, NULL, '1 hour', 'epoch', 'epoch', 'epoch', 20, true), (9, NULL, '1 hour', 'epoch', NULL, 'epoch', 20, true),
                                  (10, 'capped', '90000 hours', 'epoch', 'epoch', 'epoch', 20, true))
                          t(n, decision, ago, qualified, rewarded, granted, days, uses) ORDER BY n $$,
    ARRAY['expired', 'attributed', 'attributed', 'review_required', 'qualified', 'qualified', 'rewarded', 'rewarded', 'qualified', 'capped'],
    'statuses at their edges');

-- The funnel: any window around the change of clocks, any label.
CREATE TEMP VIEW slow_click AS
SELECT k.program_id, (k.clicked_at AT TIME ZONE p.time_zone)::date AS day, coalesce(k.utm_campaign, g.name) AS campaign
FROM referral.click k JOIN referral.code c USING (program_id, code_id) JOIN referral.program p USING (program_id)
LEFT JOIN referral.campaign g ON g.program_id = k.program_id AND g.campaign_id = c.campaign_id;
CREATE TEMP TABLE slow_clicks AS TABLE slow_click;
CREATE FUNCTION pg_temp.look_again() RETURNS void LANGUAGE sql AS $$
    DELETE FROM slow_clicks;
    INSERT INTO slow_clicks TABLE slow_click;
    DELETE FROM slow_rows;
    INSERT INTO slow_rows TABLE slow;
$$;
CREATE FUNCTION pg_temp.slow_funnel(program bigint, since date, until date, campaign text) RETURNS referral.funnel_row LANGUAGE sql AS $$
    SELECT ((SELECT count(*) FROM slow_clicks k
             WHERE k.program_id = $1 AND ($2 IS NULL OR k.day >= $2) AND ($3 IS NULL OR k.day < $3) AND ($4 IS NULL OR k.campaign = $4)),
            count(*), count(*) FILTER (WHERE qualified_at IS NOT NULL), count(*) FILTER (WHERE status = 'rewarded'),
            count(*) FILTER (WHERE status = 'capped'), count(*) FILTER (WHERE status = 'review_required'),
            count(*) FILTER (WHERE status = 'rejected'))::referral.funnel_row
    FROM slow_rows s WHERE s.program_id = $1 AND ($2 IS NULL OR s.day >= $2) AND ($3 IS NULL OR s.day < $3) AND ($4 IS NULL OR s.campaign = $4)
$$;
CREATE TEMP VIEW compared AS
SELECT p AS program, w.since, w.until, label, referral.funnel_stats(w.since, w.until, label, p) AS fast, pg_temp.slow_funnel(p, w.since, w.until, label) AS slow
FROM (VALUES (90, date '2024-03-07'), (91, date '2024-04-04')) v(p, d),
     LATERAL (SELECT d + i AS since, d + j AS until FROM generate_series(-1, 8) i, generate_series(0, 8) j WHERE j > i AND j < i + 3
              UNION ALL VALUES (NULL, NULL), (NULL, d + 4), (d + 4, NULL), (d + 4, d + 4), (d + 4, d), ('-infinity', 'infinity')) w(since, until),
     unnest('{NULL,Spring,Fall,Winter,news,"x\" y",spring,Autumn,""}'::text[]) label;
SELECT is_empty('SELECT * FROM compared WHERE fast IS DISTINCT FROM slow', 'the funnel is the count of the rows behind it');
SELECT cmp_ok(count(*) FILTER (WHERE (slow).attributed > 0), '>', 150::bigint, 'of which there are') FROM compared;
SELECT is(referral.funnel_stats(program_id => 90), pg_temp.slow_funnel(90, NULL, NULL, NULL), 'in all');
SELECT results_eq('SELECT (referral.funnel_stats(program_id => 91)).*', 'SELECT 603::bigint, 247::bigint, 80::bigint, 50::bigint, 21::bigint, 20::bigint, 20::bigint', 'as it is');
SELECT is(referral.funnel_stats(program_id => 12345), '(0,0,0,0,0,0,0)'::referral.funnel_row, 'nothing of a program that is not there');
-- A name is the campaign's as it is now; a click's utm_campaign stays.
UPDATE referral.campaign SET name = 'Autumn' WHERE campaign_id = 3 AND program_id IN (90, 91);
UPDATE referral.campaign SET name = 'news' WHERE campaign_id = 1 AND program_id IN (90, 91);
SELECT pg_temp.look_again() AS looked \gset
SELECT is_empty('SELECT * FROM compared WHERE fast IS DISTINCT FROM slow', 'also of campaigns that were renamed');
SELECT bag_eq('SELECT label FROM compared WHERE program = 90 AND since IS NULL AND until IS NULL AND (fast).attributed > 0',
    '{NULL,Autumn,news,Fall,Spring,"x\" y"}'::text[], 'old names that utm_campaigns keep, and new ones');
SELECT bag_eq('SELECT id FROM referral.list_attributions(campaign => ''Autumn'', max_rows => 1000, program_id => 90)',
    'SELECT id FROM slow WHERE program_id = 90 AND campaign = ''Autumn''', 'in lists, too');
-- With a part more, and with one that takes away.
SELECT referral.count_funnel(90, '2024-03-10', 0, 0, 'capped', 2) AS counted, referral.count_funnel(90, '2024-03-10', 0, 0, 'capped', -2) AS taken_off \gset
SELECT is(referral.funnel_stats(program_id => 90), pg_temp.slow_funnel(90, NULL, NULL, NULL), 'parts add up');
SELECT is_empty('SELECT * FROM referral.verify(90) UNION ALL SELECT * FROM referral.verify(91)', 'and the books are sound');

-- One in detail.
SELECT s.id AS rewarded FROM slow s WHERE s.program_id = 90 AND s.user_id = 'v1' \gset
SELECT s.id AS held FROM slow s WHERE s.program_id = 90 AND s.status = 'review_required' AND s.click_id IS NOT NULL
   AND EXISTS (SELECT FROM referral.payment_waiting w JOIN referral.member m USING (program_id, member_id) WHERE m.program_id = 90 AND m.user_id = s.user_id)
 ORDER BY s.id LIMIT 1 \gset
SELECT s.id AS rejected FROM slow s WHERE s.program_id = 90 AND s.status = 'rejected' ORDER BY s.id LIMIT 1 \gset
UPDATE referral.click SET landing_path = '/l', utm_source = 's', utm_medium = 'm'
WHERE program_id = 90 AND click_id = (SELECT click_id FROM slow WHERE program_id = 90 AND id = :held);
SELECT is(d.attribution, referral.attribution_row_of(90, :rewarded), 'as it is listed'),
       is(to_jsonb(d) - '{attribution,rewards}'::text[], '{"campaign_id": 0, "landing_path": null, "utm_source": null, "utm_medium": null, "utm_campaign": null, "clicked_at": null,
           "held_by": null, "held_at": null, "decision": null, "decided_by": null, "decision_reason": null, "decided_at": null,
           "waiting_payments": 0, "payments": 1, "paid_micro": 5000}', 'without click and review')
FROM referral.attribution_detail(:rewarded, 90) d;
SELECT results_eq($$ SELECT r.level, r.user_id, r.amount_micro, r.reversed_micro, r.status FROM referral.attribution_detail($$ || :rewarded || $$, 90) d,
                     jsonb_to_recordset(d.rewards) r(id bigint, level int, user_id text, status text, amount_micro bigint, reversed_micro bigint, available_at timestamptz) $$,
    $$ VALUES (1, 'u5', 500::bigint, 0::bigint, 'available'), (2, 'r5', 250, 0, 'available') $$, 'its rewards');
SELECT bag_eq($$ SELECT jsonb_object_keys(d.rewards -> 0) FROM referral.attribution_detail($$ || :rewarded || $$, 90) d $$,
    '{id,level,user_id,status,amount_micro,reversed_micro,written_off_micro,available_at}'::text[], 'and no more');
SELECT state AS refunded FROM referral.record_refund('f1', 'q', 2500, program_id => 90) \gset
SELECT results_eq($$ SELECT r.level, r.amount_micro, r.reversed_micro, r.status FROM referral.attribution_detail($$ || :rewarded || $$, 90) d,
                     jsonb_to_recordset(d.rewards) r(level int, status text, amount_micro bigint, reversed_micro bigint) $$,
    $$ VALUES (1, 500::bigint, 250::bigint, 'available'), (2, 250, 125, 'available') $$, 'half of which a refund takes back');
SELECT is((d.attribution).reward_micro, 750::numeric, 'but not from what is listed') FROM referral.attribution_detail(:rewarded, 90) d;
SELECT is(to_jsonb(d) - '{attribution,held_at,clicked_at,utm_campaign}'::text[], '{"campaign_id": 3, "landing_path": "/l", "utm_source": "s", "utm_medium": "m",
           "held_by": ["campaign"], "decision": null, "decided_by": null, "decision_reason": null, "decided_at": null,
           "waiting_payments": 1, "payments": 0, "paid_micro": 0, "rewards": []}', 'one that is held'),
       is(d.held_at, now(), 'since when'),
       is((d.clicked_at, d.utm_campaign), (k.clicked_at, k.utm_campaign), 'and its click')
FROM referral.attribution_detail(:held, 90) d JOIN referral.click k ON k.program_id = 90 AND k.click_id = (d.attribution).click_id;
SELECT is((d.decision, d.decided_by, d.decision_reason, d.decided_at IS NOT NULL, d.held_by), ('rejected'::text, 'ops'::text, 'no'::text, true, '{campaign}'::text[]), 'who decided')
FROM referral.attribution_detail(:rejected, 90) d;
DELETE FROM referral.click k WHERE k.program_id = 90 AND k.click_id = (SELECT click_id FROM slow WHERE program_id = 90 AND id = :held);
SELECT is((d.landing_path, d.clicked_at, (d.attribution).click_id IS NOT NULL), (NULL::text, NULL::timestamptz, true), 'clicks are dropped one day')
FROM referral.attribution_detail(:held, 90) d;
SELECT is_empty('SELECT * FROM referral.attribution_detail(-1, 90)', 'no row of an unknown one');
SELECT is_empty('SELECT * FROM referral.attribution_detail(NULL, 90)', 'nor of none');
SELECT is_empty('SELECT * FROM referral.attribution_detail(' || :held || ', 91)', 'nor of another program''s');

-- The leaderboard.
INSERT INTO referral.program (program_id, name, time_zone, hold_days, max_level) VALUES (92, 'ninety-two', 'America/New_York', 30, 2);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (92, 0, 5000), (92, 1, 1000), (92, 2, 100);
SET LOCAL referral.program_id = 92;
SELECT is(count((referral.attribute(u, referral.enroll(r, upper(r)), NULL, '2024-01-01')).attribution_id), 6::bigint, 'six signed up')
FROM (VALUES ('x1', 'ann'), ('x2', 'bob'), ('x3', 'Cyd'), ('x4', 'dan'), ('x5', 'eve'), ('x6', 'x1')) v(u, r);
SELECT is(sum((referral.record_payment(id, u, micro, NULL, kind, at)).rewards), 16::bigint, 'and paid') FROM (VALUES
    -- the last minute of March 9 in New York, and the first of March 11, a day of 23 hours between them
    ('a1', 'x1', 1000, 'purchase', timestamptz '2024-03-10 04:59+0'), ('a2', 'x2', 1000, 'purchase', '2024-03-10 05:00+0'),
    ('a3', 'x3', 1000, 'purchase', '2024-03-11 03:59+0'), ('a4', 'x4', 3000, 'purchase', '2024-03-11 04:00+0'),
    ('a5', 'x5', 9000, 'purchase', '2024-03-11 04:00+0'), ('a6', 'x6', 500, 'purchase', '2024-03-12 04:00+0'),
    ('a7', 'x2', 700, 'deposit', '2024-03-12 04:00+0'), ('a8', 'x2', 20, 'purchase', '2024-03-12 04:00+0'),
    ('a9', 'x3', 9, 'purchase', '2024-03-12 04:00+0')) v(id, u, micro, kind, at);
SELECT results_eq('SELECT * FROM referral.leaderboard()', $$ VALUES
    (1::bigint, 'eve', 'EVE', 900::numeric, 1::bigint, 9000::numeric), (2, 'dan', 'DAN', 300, 1, 3000), (3, 'ann', 'ANN', 105, 2, 1500),
    (4, 'bob', 'BOB', 102, 2, 1020), (5, 'Cyd', 'CYD', 100, 1, 1009), (6, 'x1', 'X1', 50, 1, 500) $$, 'who earned most; a reward of 0 is none');
SELECT results_eq($$ SELECT rank, user_id, earned_micro FROM referral.leaderboard('2024-03-10', '2024-03-11') $$,
    $$ VALUES (1::bigint, 'Cyd', 100::numeric), (1, 'bob', 100) $$, 'a day of the zone; ties have one rank, and the order of bytes');
SELECT results_eq($$ SELECT rank, user_id FROM referral.leaderboard('2024-03-09', '2024-03-12') $$,
    $$ VALUES (1::bigint, 'eve'), (2, 'dan'), (3, 'Cyd'), (3, 'ann'), (3, 'bob') $$, 'half open');
SELECT results_eq($$ SELECT rank, user_id FROM referral.leaderboard(NULL, '2024-03-11', 2) $$, $$ VALUES (1::bigint, 'Cyd'), (1, 'ann') $$, 'a page cuts through a tie');
SELECT results_eq($$ SELECT rank, user_id FROM referral.leaderboard('2024-03-12') $$, $$ VALUES (1::bigint, 'x1'), (2, 'ann'), (3, 'bob') $$, 'from a day on');
SELECT is_empty('SELECT * FROM referral.leaderboard(max_rows => 0)', 'no rows asked');
SELECT is_empty($$ SELECT * FROM referral.leaderboard('2024-03-11', '2024-03-11') $$, 'no days, nobody');
SELECT is(count(*), 6::bigint, 'a negative page is the default') FROM referral.leaderboard(max_rows => -1);
-- Reversals belong to the payment's day, whenever they come.
SELECT string_agg((referral.record_refund(id, payment, micro, NULL, '2024-05-01')).state, ',') AS refunded
FROM (VALUES ('b1', 'a5', 9000), ('b2', 'a4', 1000), ('b3', 'a3', 500)) v(id, payment, micro) \gset
SELECT results_eq('SELECT rank, user_id, earned_micro, rewards, volume_micro FROM referral.leaderboard()', $$ VALUES
    (1::bigint, 'dan', 200::numeric, 1::bigint, 3000::numeric), (2, 'ann', 105, 2, 1500), (3, 'bob', 102, 2, 1020), (4, 'Cyd', 50, 1, 1009), (4, 'x1', 50, 1, 500) $$,
    'net of reversals: eve has nothing left, two are level now');
SELECT is((referral.suspend('dan')).suspended_at IS NOT NULL, true, 'dan is suspended');
SELECT results_eq('SELECT rank, user_id FROM referral.leaderboard()', $$ VALUES (1::bigint, 'ann'), (2, 'bob'), (3, 'Cyd'), (3, 'x1') $$, 'and others move up');
SELECT is((referral.reinstate('dan')).suspended_at, NULL, 'until he is back');
SELECT is((SELECT user_id FROM referral.leaderboard(max_rows => 1)), 'dan', 'in his place');
-- Beside the rewards themselves.
SELECT bag_eq(format('SELECT user_id, earned_micro, rewards FROM referral.leaderboard(%s, %s, 1000, %s)', since, until, p), format($$
    SELECT m.user_id::text COLLATE "default", sum(r.amount_micro - r.reversed_micro), count(*)
    FROM referral.reward_state r JOIN referral.member m USING (program_id, member_id)
    JOIN referral.payment p USING (program_id, payment_id) JOIN referral.program g USING (program_id)
    WHERE r.program_id = %3$s AND r.level > 0 AND m.suspended_at IS NULL
      AND coalesce((p.occurred_at AT TIME ZONE g.time_zone)::date >= %1$s, true)
      AND coalesce((p.occurred_at AT TIME ZONE g.time_zone)::date < %2$s, true)
    GROUP BY 1 HAVING sum(r.amount_micro - r.reversed_micro) > 0 $$, since, until, p), format('%s: the rewards from %s to %s', p, since, until))
FROM generate_series(90, 92) p, (VALUES ('NULL::date', 'NULL::date'), ('date ''2024-03-10''', 'date ''2024-03-11'''), ('date ''2024-04-06''', 'date ''2024-04-08''')) w(since, until);

SELECT * FROM finish();
ROLLBACK;
