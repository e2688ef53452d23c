-- CALL maintain(): parts of counters become one, refunds that missed their
-- payment are applied. It commits, so it has a database of its own. With other
-- sessions at work: test/specs/race_maintain.spec.
\pset format unaligned
\set SHOW_CONTEXT never
\set QUIET 1
SET client_min_messages = warning;
SELECT current_database() AS home \gset
DROP DATABASE IF EXISTS referral_maintain;
CREATE DATABASE referral_maintain TEMPLATE template0;
\c referral_maintain
SET lc_messages = 'C';
SET client_min_messages = warning;
CREATE EXTENSION referral;
CALL referral.install();
INSERT INTO referral.program (program_id, name, hold_days) VALUES (1, 'one', 0), (2, 'two', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES (1, 1, 'c', '2024-01-01', '2100-01-01');
SET referral.program_id = 1;
SELECT referral.attribute('b', referral.enroll('a'), NULL, '2024-01-01') IS NOT NULL AS b,
       referral.attribute('c', (SELECT code FROM referral.campaign_code('a')), NULL, '2024-01-01') IS NOT NULL AS c;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
(1, 'p1', 'b', 1000, '2024-02-01'), (1, 'p2', 'b', 1000, '2024-02-02'), (1, 'p3', 'c', 1000, '2024-02-01'), (1, 'p4', 'z', 1000, '2024-02-01');
CREATE VIEW public.parts AS
SELECT 'earning' AS counter, count(*) AS rows, sum(amount_micro + volume_micro + deposits_micro + rewards + reversed_micro + closed) AS sums FROM referral.earning
UNION ALL SELECT 'paid', count(*), sum(volume_micro + deposits_micro + payments + earning_payments) FROM referral.paid
UNION ALL SELECT 'invited', count(*), sum(paid_invitees) FROM referral.invited
UNION ALL SELECT 'code_use', count(*), sum(used) FROM referral.code_use
UNION ALL SELECT 'campaign_spent', count(*), sum(amount_micro) FROM referral.campaign_spent
UNION ALL SELECT 'downline', count(*), sum(members) FROM referral.downline
UNION ALL SELECT 'funnel', count(*), sum(clicks + attributed + review_required + rejected + qualified + rewarded + granted + capped) FROM referral.funnel;
SET client_min_messages = notice;

-- Nothing to do: nothing is done, and nothing is left of it.
CALL referral.maintain();
TABLE public.parts;
SELECT count(*) FROM referral.progress;

-- Parts of all counters, as other sessions would make them.
SET client_min_messages = warning;
INSERT INTO referral.earning SELECT program_id, member_id, available_at, earned_on, level, n, 7, 7, 7, 7, 7, 7 FROM referral.earning, generate_series(1001, 1003) n;
INSERT INTO referral.earning SELECT program_id, member_id, available_at, earned_on, level, 2001, -21, -21, -21, -21, -21, -21 FROM referral.earning WHERE part < 1000;
INSERT INTO referral.paid SELECT program_id, member_id, n, 7, 7, 7, 7 FROM referral.paid, generate_series(1001, 1002) n;
INSERT INTO referral.paid SELECT program_id, member_id, 2001, -14, -14, -14, -14 FROM referral.paid WHERE part < 1000;
INSERT INTO referral.invited SELECT program_id, member_id, month, n, CASE n WHEN 1001 THEN 1 ELSE -1 END FROM referral.invited, generate_series(1001, 1002) n;
INSERT INTO referral.code_use SELECT program_id, code_id, n, CASE n WHEN 1001 THEN 1 ELSE -1 END FROM referral.code, generate_series(1001, 1002) n;
INSERT INTO referral.campaign_spent SELECT program_id, campaign_id, n, CASE n WHEN 1001 THEN 1 ELSE -1 END FROM referral.campaign_spent, generate_series(1001, 1002) n;
INSERT INTO referral.downline SELECT program_id, member_id, level, n, CASE n WHEN 1001 THEN 1 ELSE -1 END FROM referral.downline, generate_series(1001, 1002) n;
INSERT INTO referral.funnel SELECT program_id, day, campaign_id, utm_key, n, f, f, f, f, f, f, f, f FROM referral.funnel, (VALUES (1001, 7), (2001, -7)) v(n, f) WHERE part < 1000;
TABLE public.parts;
SET client_min_messages = notice;
CALL referral.maintain(2);
CALL referral.maintain(1);
TABLE public.parts;
SELECT * FROM referral.verify();
SELECT program_id, task, subject, state, done FROM referral.stat_progress;
-- and payments go on with what is left
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'p5', 'b', 1000, '2024-02-01');
SELECT counter, rows FROM public.parts WHERE counter IN ('earning', 'paid');
SELECT * FROM referral.verify();
CALL referral.maintain();

-- More keys than one batch takes; what adds up to more than fits stays in parts.
SET client_min_messages = warning;
INSERT INTO referral.campaign_spent SELECT 2, c, part, 1 FROM generate_series(1, 2500) c, generate_series(1, 2) part;
INSERT INTO referral.campaign_spent VALUES (2, 2501, 1, 9223372036854775807), (2, 2501, 2, 1);
SET client_min_messages = notice;
CALL referral.maintain(2);
CALL referral.maintain(2);
SELECT count(*), count(DISTINCT campaign_id), sum(amount_micro) FROM referral.campaign_spent WHERE program_id = 2;
-- More parts of one key than a batch takes, next to that key.
INSERT INTO referral.campaign_spent SELECT 2, c, part, 1 FROM generate_series(2500, 2502, 2) c, generate_series(2, 2500) part;
CALL referral.maintain(2);
SELECT * FROM referral.campaign_spent WHERE program_id = 2 AND campaign_id >= 2500;
DELETE FROM referral.campaign_spent WHERE program_id = 2;

-- Refunds that wait although their payment was processed; one that is too much.
SET session_replication_role = replica;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, refund_no, taken_in) VALUES
(1, 'r1', 'p4', 400, 101, true), (1, 'r2', 'p4', 2000, 102, true), (1, 'r3', 'p4', 500, 103, true), (1, 'r4', 'p4', 101, 104, true),
(1, 'r5', 'nowhere', 1, 105, true), (1, 'r6', 'p1', 500, 106, true);
INSERT INTO referral.refund_waiting SELECT program_id, payment_id, refund_no, amount_micro, refund_id FROM referral.refund;
RESET session_replication_role;
SELECT invariant, subject, expected, found, hint FROM referral.verify() ORDER BY 2;
CALL referral.maintain();
SELECT refund_id, total_micro FROM referral.refund_applied ORDER BY payment_no, total_micro;
SELECT invariant, subject, expected, found, hint FROM referral.verify() ORDER BY 2;
CALL referral.maintain();

-- What is no longer kept: clicks, in batches; hashes, a salt, events, a rare label.
SET client_min_messages = warning;
UPDATE referral.program SET click_days = 60, hash_days = 10, event_days = 7 WHERE program_id = 1;
INSERT INTO referral.code (program_id, user_id, code, kind) VALUES (1, 'a', 'click-me', 'custom');
SELECT count(referral.capture_click('click-me', 'c' || n, utm_campaign => CASE WHEN n > 12002 THEN 'rare' ELSE 'summer' END, ip => '::1')) FROM generate_series(1, 12005) n;
UPDATE referral.click SET clicked_at = now() - CASE WHEN click_id IN ('c1', 'c2') THEN interval '11 days' ELSE interval '70 days' END;
UPDATE referral.funnel SET day = day - 70 WHERE clicks > 0;
INSERT INTO referral.event (program_id, kind, user_id, data, created_at) SELECT 1, 'reward_created', 'a', '{}', now() - d * interval '1 day' FROM generate_series(6, 8) d;
INSERT INTO referral.event_pending (program_id, kind, subject_id, created_at) SELECT 1, 'reward_created', 1, now() - d * interval '1 day' FROM generate_series(6, 8) d;
SELECT referral.rotate_salt() > 0 AS rotated;
SET client_min_messages = notice;
CALL referral.maintain(1);
SELECT click_id, ip_hash, salt_id FROM referral.click ORDER BY 1;
SELECT CASE utm_key WHEN 0 THEN 'none' WHEN 1 THEN 'other' ELSE 'summer' END AS label, sum(clicks), count(*) AS rows FROM referral.funnel WHERE clicks > 0 GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM referral.click_salt WHERE program_id = 1) AS salts, (SELECT count(*) FROM referral.event) AS events, (SELECT count(*) FROM referral.event_pending) AS pending;
CALL referral.maintain(1);
UPDATE referral.program SET event_days = NULL WHERE program_id = 1;
CALL referral.maintain(1);

-- Not in a transaction that is not its own; not at a level that sees the past;
-- names in its way mean nothing to it.
BEGIN;
CALL referral.maintain();
ROLLBACK;
INSERT INTO referral.paid SELECT program_id, member_id, n, 0, 0, 0, 0 FROM referral.paid, generate_series(3001, 3002) n;
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT 1/0 = 1';
CREATE OPERATOR hostile.= (FUNCTION = hostile.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION hostile.program_ids(bigint) RETURNS bigint[] LANGUAGE sql AS 'SELECT ARRAY[1/0::bigint]';
SET search_path = hostile, pg_catalog;
SET default_transaction_isolation = 'repeatable read';
CALL referral.maintain(1);
RESET default_transaction_isolation;
RESET search_path;
SELECT * FROM public.parts WHERE counter = 'paid';

\c :home
DROP DATABASE referral_maintain;
