-- What an operator writes: defaults, checks, history, and tiers that no one
-- falls from.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
\set ON_ERROR_ROLLBACK on

-- Ids.
INSERT INTO referral.program (name) VALUES ('one'), ('two') RETURNING program_id;
INSERT INTO referral.program (program_id, name) VALUES (40, 'forty');
INSERT INTO referral.program (name) VALUES ('next') RETURNING program_id;
SELECT program_id, currency, hold_days, time_zone, max_level, attribution_days, qualify_days,
       earning_days, referrer_monthly_cap, payout_min_micro, debt_policy, auto_tier, uses_grants,
       active, share_path
FROM referral.program WHERE name = 'one';

-- Which program.
SELECT referral.current_program();
SET LOCAL referral.program_id = '40';
SELECT referral.current_program();
SET LOCAL referral.program_id = 'forty; DROP';
SELECT referral.current_program();
SET LOCAL referral.program_id = '';
DELETE FROM referral.program WHERE name <> 'one';
SELECT referral.current_program() = program_id AS the_only_one FROM referral.program;
DELETE FROM referral.program;
SELECT referral.current_program();

-- Nonsense.
\set VERBOSITY terse
INSERT INTO referral.program (program_id, name) VALUES (1, 'one');
INSERT INTO referral.program (name) VALUES ('one');
INSERT INTO referral.program (name) VALUES ('');
INSERT INTO referral.program (name, currency) VALUES ('x', 'usd');
INSERT INTO referral.program (name, time_zone) VALUES ('x', 'Mars/Olympus');
INSERT INTO referral.program (name, hold_days) VALUES ('x', -1);
INSERT INTO referral.program (name, max_level) VALUES ('x', 11);
INSERT INTO referral.program (name, attribution_days) VALUES ('x', 0);
INSERT INTO referral.program (name, qualify_days) VALUES ('x', 0);
INSERT INTO referral.program (name, referrer_monthly_cap) VALUES ('x', -1);
INSERT INTO referral.program (name, debt_policy) VALUES ('x', 'forgive');
INSERT INTO referral.program (name, share_path) VALUES ('x', 'javascript:');
INSERT INTO referral.tier (program_id, tier, label) VALUES (1, 0, 'zero');
INSERT INTO referral.tier (program_id, tier, label) VALUES (2, 1, 'of nobody');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, -1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 11, 1);
INSERT INTO referral.rate (program_id, level, tier) VALUES (1, 1, 9);
INSERT INTO referral.rate (program_id, level, campaign_id) VALUES (1, 1, 9);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
VALUES (1, 1, 'back', '2026-01-02', '2026-01-01');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
VALUES (1, 1, 'for ever', '2026-01-01', 'infinity');
INSERT INTO referral.review_rule (program_id, rule) VALUES (1, 'moon_phase');
INSERT INTO referral.review_rule (program_id, rule) VALUES (1, 'velocity');
INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (1, 'velocity', -1);
INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (1, 'same_ip', 5);
INSERT INTO referral.review_rule (program_id, rule) VALUES (1, 'campaign');
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 9);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'same_ip', 9);
INSERT INTO referral.review_rule (program_id, rule) VALUES (2, 'same_ip');
INSERT INTO referral.program (name, click_days) VALUES ('x', 0);
INSERT INTO referral.program (name, hash_days) VALUES ('x', 0);
INSERT INTO referral.program (name, event_days) VALUES ('x', 0);
\set VERBOSITY default
TRUNCATE referral.rate;
TRUNCATE referral.review_rule;
TRUNCATE referral.program, referral.tier, referral.rate, referral.campaign, referral.review_rule CASCADE;

-- Currency, zone and id are free until there is a payment.
UPDATE referral.program SET currency = 'EUR', time_zone = 'Europe/Berlin' WHERE program_id = 1;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (1, 'p', 'nobody', 0);
UPDATE referral.program SET currency = 'USD' WHERE program_id = 1;
UPDATE referral.program SET time_zone = 'UTC' WHERE program_id = 1;
UPDATE referral.program SET program_id = 7 WHERE program_id = 1;
UPDATE referral.program SET currency = 'EUR', hold_days = 0 WHERE program_id = 1;
DELETE FROM referral.program WHERE program_id = 1;

-- Payments are append-only, whatever the statement.
UPDATE referral.payment SET amount_micro = 1;
UPDATE referral.payment SET amount_micro = 1 WHERE false;
DELETE FROM referral.payment;
TRUNCATE referral.payment;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (1, 'q', 'nobody', 0)
ON CONFLICT (program_id, payment_id) DO UPDATE SET amount_micro = 1;
MERGE INTO referral.payment p USING (VALUES ('p')) v(id) ON p.payment_id = v.id
WHEN MATCHED THEN UPDATE SET amount_micro = 1;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (1, 'p', 'nobody', 5) ON CONFLICT DO NOTHING;
SELECT payment_id, amount_micro FROM referral.payment;

-- Thresholds rise with the tier.
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (1, 1, 'bronze', 0), (1, 2, 'silver', 3), (1, 3, 'gold', 10);
UPDATE referral.tier SET min_paid_invitees = 11 WHERE program_id = 1 AND tier = 2;
UPDATE referral.tier SET min_paid_invitees = 10 WHERE program_id = 1 AND tier = 2;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 4, 'tin', 5);
UPDATE referral.tier SET min_paid_invitees = 20 WHERE program_id = 1 AND tier = 1;
UPDATE referral.tier SET min_paid_invitees = min_paid_invitees + 7
WHERE program_id = 1 AND tier > 1;
UPDATE referral.tier SET min_paid_invitees = min_paid_invitees - 7
WHERE program_id = 1 AND tier > 1;

-- A tier that somebody stands in stays; nobody goes down by a change of rules.
INSERT INTO referral.member (program_id, user_id, tier, tier_pinned)
VALUES (1, 'new', 1, false), (1, 'five', 1, false), (1, 'twelve', 1, false),
       (1, 'pinned', 1, true), (1, 'older', 0, false);
INSERT INTO referral.invited (program_id, member_id, month, part, paid_invitees)
SELECT 1, m.member_id, '2026-01-01', p.part, p.n
FROM (VALUES ('five', 1, 2), ('five', 2, 3), ('twelve', 1, 12), ('pinned', 1, 12)) p(user_id, part, n)
JOIN referral.member m USING (user_id);
CREATE TEMP VIEW standing AS
    SELECT m.user_id, m.tier AS stored, s.tier AS stands
    FROM referral.program p,
         referral.standings(p.program_id, referral.tiers_of(p.program_id), p.auto_tier) s
    JOIN referral.member m USING (member_id)
    ORDER BY m.member_id;
TABLE standing;
DELETE FROM referral.tier WHERE tier = 2;
DELETE FROM referral.tier WHERE tier = 1;
UPDATE referral.tier SET tier = 5 WHERE tier = 3;
-- gold moves out of reach of 'twelve', silver of 'five'
UPDATE referral.tier SET min_paid_invitees = min_paid_invitees * 10 WHERE program_id = 1;
TABLE standing;
DELETE FROM referral.tier WHERE tier = 3;
-- nobody goes up by what he keeps, and up goes on as ever
UPDATE referral.tier SET min_paid_invitees = min_paid_invitees / 10 WHERE program_id = 1;
INSERT INTO referral.tier VALUES (1, 4, 'platinum', 12);
TABLE standing;
UPDATE referral.program SET auto_tier = false WHERE program_id = 1;
TABLE standing;
DELETE FROM referral.tier WHERE tier = 4;
-- one that nobody stands in goes
INSERT INTO referral.tier VALUES (1, 9, 'empty', 1000);
DELETE FROM referral.tier WHERE tier = 9;
-- 'older' was lifted by the lowest tier; a lower one does not take him down
INSERT INTO referral.program (program_id, name) VALUES (2, 'two');
INSERT INTO referral.tier VALUES (2, 5, 'five', 2);
INSERT INTO referral.member (program_id, user_id) VALUES (2, 'early');
INSERT INTO referral.tier VALUES (2, 1, 'one', 1);
SELECT user_id, tier FROM referral.member WHERE program_id = 2;
-- an upsert is an insert and an update at once
INSERT INTO referral.invited SELECT 2, member_id, '2026-01-01', 1, 9
FROM referral.member WHERE program_id = 2;
INSERT INTO referral.tier VALUES (2, 5, 'five', 10), (2, 6, 'six', 11), (2, 7, 'seven', 12)
ON CONFLICT (program_id, tier) DO UPDATE SET min_paid_invitees = excluded.min_paid_invitees;
SELECT user_id, tier FROM referral.member WHERE program_id = 2;
-- a tier named by a rate stays
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (2, 1, 1, 100);
DELETE FROM referral.tier WHERE program_id = 2 AND tier = 1;

-- Codes: cap and disabled_at are the operator's.
INSERT INTO referral.code (program_id, user_id, code) VALUES (1, 'new', 'Abc');
UPDATE referral.code SET cap = 5, disabled_at = now() WHERE code = 'Abc';
UPDATE referral.code SET used = 1 WHERE code = 'Abc';
UPDATE referral.code SET code = 'Other' WHERE code = 'Abc';
UPDATE referral.code SET user_id = 'five' WHERE code = 'Abc';
INSERT INTO referral.code (program_id, user_id, code, kind) VALUES (1, 'five', 'ABC', 'custom');
DELETE FROM referral.code WHERE code = 'Abc';

-- History: from, to, who; what changes nothing makes no version.
DELETE FROM referral.config_history;
INSERT INTO referral.program (program_id, name) VALUES (3, 'three');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
VALUES (3, 1, 'May', '2026-05-01', '2026-06-01');
INSERT INTO referral.tier VALUES (3, 1, 'one', 0);
INSERT INTO referral.rate (program_id, tier, campaign_id, level, rate_bps) VALUES (3, 1, 1, 1, 1000);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (3, 'campaign', 1);
UPDATE referral.review_rule SET enabled = false WHERE program_id = 3;
UPDATE referral.review_rule SET enabled = false WHERE program_id = 3;
DELETE FROM referral.review_rule WHERE program_id = 3;
UPDATE referral.rate SET rate_bps = 1500 WHERE program_id = 3;
UPDATE referral.rate SET rate_bps = 1500 WHERE program_id = 3;
UPDATE referral.rate SET valid_from = '2000-01-01' WHERE program_id = 3;
UPDATE referral.rate SET rate_bps = 2000 WHERE program_id = 3;
DELETE FROM referral.rate WHERE program_id = 3;
UPDATE referral.campaign SET budget_micro = 5 WHERE program_id = 3;
DELETE FROM referral.campaign WHERE program_id = 3;
DELETE FROM referral.tier WHERE program_id = 3;
UPDATE referral.program SET active = false WHERE program_id = 3;
DELETE FROM referral.program WHERE program_id = 3;
SELECT relation, row_before - '{currency,time_zone,debt_policy,share_path,uses_grants}'::text[]
           AS row_before, changed_by = session_user AS by_us
FROM referral.config_history ORDER BY history_id;
-- each version ends where the next begins
SELECT count(*) AS versions,
       bool_and(valid_from < valid_to) AS forward,
       bool_and(valid_from = last_to OR last_to IS NULL) AS seamless
FROM (SELECT *, lag(valid_to) OVER (PARTITION BY relation ORDER BY history_id) AS last_to
      FROM referral.config_history) h;

-- The days of the funnel are the zone's: while that may change, they move with
-- it, for each code and campaign, and what was dropped stays where it was. At
-- 02:00 in UTC it is the day before in New York and the same in Tokyo; at 20:00
-- the same in New York, and the next in Tokyo.
INSERT INTO referral.program (program_id, name) VALUES (4, 'moving');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES
    (4, 1, 'held', '2024-01-01', '2025-01-01'), (4, 2, 'other', '2024-01-01', '2025-01-01');
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (4, 'campaign', 1);
SET LOCAL referral.program_id = '4';
SELECT referral.enroll('ann') IS NOT NULL AS ann;
SELECT u, (referral.attribute(u, c.code, NULL, at::timestamptz)).status
FROM (VALUES ('two', 0, '2024-05-05 02:00+0'), ('three', 1, '2024-05-05 02:00+0'), ('evening', 1, '2024-05-05 20:00+0'), ('next', 1, '2024-05-06 02:00+0'),
             ('other', 2, '2024-05-05 12:00+0')) v(u, c, at),
     LATERAL (SELECT k.code FROM referral.campaign_code('ann', nullif(v.c, 0)) k WHERE v.c > 0 UNION ALL SELECT referral.enroll('ann') WHERE v.c = 0) c;
SELECT (referral.reject_attribution(attribution_id)).status FROM referral.attribution WHERE program_id = 4 AND user_id = 'next';
INSERT INTO referral.click (program_id, click_id, code_id, clicked_at, utm_key)
SELECT 4, h || ':00', code_id, date_trunc('day', now(), 'UTC') - interval '2 days' + h * interval '1 hour', 7
FROM referral.code, unnest('{2,12,20}'::int[]) h WHERE program_id = 4 AND user_id = 'ann' AND kind = 'uid';
-- the counter knows of a fourth, which was dropped
SELECT referral.count_funnel(4, (now() AT TIME ZONE 'UTC')::date - 2, 0, 7, 'clicks', 4);
CREATE TEMP VIEW funnel AS
    SELECT CASE WHEN utm_key = 7 THEN format('%s days ago', (now() AT TIME ZONE 'UTC')::date - day) ELSE day::text END AS day, campaign_id, utm_key,
           sum(clicks) AS clicks, sum(attributed) AS attributed, sum(review_required) AS review, sum(rejected) AS rejected
    FROM referral.funnel WHERE program_id = 4 GROUP BY funnel.day, 2, 3
    HAVING (sum(clicks), sum(attributed), sum(review_required), sum(rejected)) <> (0, 0, 0, 0) ORDER BY utm_key, funnel.day, 2;
TABLE funnel;
UPDATE referral.program SET time_zone = 'America/New_York' WHERE program_id = 4;
TABLE funnel;
UPDATE referral.program SET time_zone = 'Asia/Tokyo', name = 'moved' WHERE program_id = 4;
TABLE funnel;
SELECT * FROM referral.verify(4);
-- What counts from now on counts by the new zone; back again, it is as it was.
SELECT (referral.attribute('late', referral.enroll('ann'), NULL, '2024-05-05 20:00+0')).status;
UPDATE referral.program SET time_zone = 'UTC' WHERE program_id = 4;
TABLE funnel;
SELECT * FROM referral.verify(4);
SELECT count(*) AS rows, count(*) FILTER (WHERE 0 = ALL (ARRAY[clicks, attributed, review_required, rejected])) AS of_nothing
FROM referral.funnel WHERE program_id = 4;
ROLLBACK;
