-- CALL rebuild(): whatever was done to a counter, it is worked out again from
-- the books. It commits, so it has a database of its own.
\pset format unaligned
\set SHOW_CONTEXT never
\set QUIET 1
SET client_min_messages = warning;
SELECT current_database() AS home \gset
DROP DATABASE IF EXISTS referral_rebuild;
CREATE DATABASE referral_rebuild TEMPLATE template0;
\c referral_rebuild
SET lc_messages = 'C';
SET client_min_messages = warning;
CREATE EXTENSION referral;
CALL referral.install();
INSERT INTO referral.program (program_id, name, time_zone, hold_days, max_level, uses_grants) VALUES (1, 'one', 'America/New_York', 7, 3, false), (2, 'two', 'UTC', 0, 3, true);
INSERT INTO referral.rate (program_id, level, rate_bps, max_payments)
SELECT p, l, r, m FROM generate_series(1, 2) p, (VALUES (0, 100, NULL), (1, 1000, 3), (2, 333, NULL), (3, 77, NULL)) v(l, r, m);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro) VALUES (1, 1, 'c', '2024-01-01', '2100-01-01', NULL), (1, 2, 'held', '2024-01-01', '2100-01-01', NULL), (1, 3, 'nothing', '2024-01-01', '2100-01-01', 0);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 2);

-- A tree of forty, some by a campaign; one with more than 64 invitees; some held
-- for review, by another campaign; one capped; clicks, grants.
CREATE PROCEDURE public.grow(program bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('referral.program_id', program::text, true);
    PERFORM referral.enroll('u1');
    FOR i IN 2 .. 110 LOOP
        PERFORM referral.attribute('u' || i,
            CASE WHEN program = 1 AND i % 5 = 0 AND i <= 40
                 THEN (SELECT code FROM referral.campaign_code('u' || i / 2, 1))
                 ELSE referral.enroll('u' || CASE WHEN i <= 40 THEN i / 2 ELSE 3 END) END,
            NULL, '2024-01-01');
    END LOOP;
    PERFORM referral.capture_click(referral.enroll('u' || 1 + i % 7), utm_campaign => (ARRAY['news', 'mail', NULL])[1 + i % 3])
       FROM generate_series(1, 60) i;
    IF program = 1 THEN
        PERFORM referral.attribute('h' || i, (SELECT code FROM referral.campaign_code('u2', 2 + i / 7)), NULL, '2024-01-02')
           FROM generate_series(1, 7) i;
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
        SELECT program, 'h' || i, 'h' || 1 + i % 7, 1000000, '2024-02-02' FROM generate_series(1, 14) i;
        PERFORM referral.approve_attribution(attribution_id) FROM referral.attribution WHERE user_id IN ('h1', 'h2');
        PERFORM referral.reject_attribution(attribution_id) FROM referral.attribution WHERE user_id IN ('h3', 'h4');
    END IF;
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
    SELECT program, 'p' || i, 'u' || 1 + i % 50, 1000000 + i * 7919, CASE i % 4 WHEN 0 THEN 500000 END,
           CASE i % 7 WHEN 0 THEN 'deposit' ELSE 'purchase' END, timestamptz '2024-02-01' + i * interval '7 hours'
    FROM generate_series(1, 400) i;
    -- these are pending still
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
    SELECT program, 'q' || i, 'u' || i, 1000000, now() + interval '3 hours' FROM generate_series(1, 10) i;
    -- spent, paid out, given back, some of it after it was used up
    FOR i IN 1 .. 12 LOOP
        PERFORM referral.adjust('u' || i, 'j' || i, 1000, 'welcome', 'boss'), referral.spend('u' || i, 20000 * i, 's' || i);
        PERFORM referral.request_payout('u' || i, 'o' || i, 30000);
    END LOOP;
    PERFORM referral.payout_sent('o' || i) FROM generate_series(1, 8) i;
    PERFORM referral.unspend('s1'), referral.confirm_grant(g.grant_key) FROM referral.claim_grants(20) g;
    INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
    SELECT program, 'r' || i, 'p' || i, CASE i % 2 WHEN 0 THEN 100000 * (1 + i % 5) ELSE coalesce(p.base_micro, p.amount_micro) END
      FROM generate_series(1, 400, 3) i JOIN referral.payment p ON p.program_id = program AND p.payment_id = 'p' || i;
END $$;
CALL public.grow(1);
CALL public.grow(2);

-- Everything that is counted, key by key, whatever the parts.
CREATE VIEW public.counted AS
SELECT 'earning' AS counter, to_jsonb(e) AS key_and_sums
  FROM (SELECT program_id, member_id, level, earned_on,
               CASE WHEN available_at > now() THEN available_at END AS pending_until, sum(amount_micro) AS amount,
               sum(rewards) AS rewards, sum(reversed_micro) AS reversed, sum(closed) AS closed
          FROM referral.earning GROUP BY 1, 2, 3, 4, 5 HAVING sum(rewards) <> 0) e
UNION ALL SELECT 'level', to_jsonb(e) FROM (SELECT program_id, member_id, level, sum(volume_micro), sum(deposits_micro) AS deposits FROM referral.earning GROUP BY 1, 2, 3) e
UNION ALL SELECT 'paid', to_jsonb(e) FROM (SELECT program_id, member_id, sum(volume_micro), sum(deposits_micro) AS deposits, sum(payments) AS payments, sum(earning_payments) AS earning FROM referral.paid GROUP BY 1, 2) e
UNION ALL SELECT 'invited', to_jsonb(e) FROM (SELECT program_id, member_id, month, sum(paid_invitees) FROM referral.invited GROUP BY 1, 2, 3) e
UNION ALL SELECT 'code', to_jsonb(e) FROM (SELECT code_id, sum(used) FROM (SELECT code_id, used FROM referral.code UNION ALL SELECT code_id, used FROM referral.code_use) c GROUP BY 1) e
UNION ALL SELECT 'campaign', to_jsonb(e) FROM (SELECT program_id, campaign_id, sum(amount_micro) FROM referral.campaign_spent GROUP BY 1, 2) e
UNION ALL SELECT 'downline', to_jsonb(e) FROM (SELECT program_id, member_id, level, sum(members) FROM referral.downline GROUP BY 1, 2, 3) e
UNION ALL SELECT 'funnel', to_jsonb(f) FROM (SELECT program_id, day, campaign_id, utm_key, sum(clicks) AS clicks, sum(attributed) AS attributed, sum(review_required) AS review,
               sum(rejected) AS rejected, sum(qualified) AS qualified, sum(rewarded) AS rewarded, sum(granted) AS granted, sum(capped) AS capped FROM referral.funnel GROUP BY 1, 2, 3, 4) f
UNION ALL SELECT 'member', jsonb_build_object(member_id, invitees) FROM referral.member
UNION ALL SELECT 'account', to_jsonb(c) - 'open_from' FROM referral.account c
UNION ALL SELECT 'reward_closed', to_jsonb(c) FROM referral.reward_closed c;
CREATE TABLE public.sound AS TABLE public.counted;
SELECT counter, count(*) FROM public.sound GROUP BY 1 ORDER BY 1;
SELECT kind, reward_id > 0 AS of_a_reward, count(*) FROM referral.settlement GROUP BY 1, 2 ORDER BY 1, 2;
CREATE FUNCTION public.differences() RETURNS TABLE (broken bigint, lost bigint, new bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM referral.verify()),
           (SELECT count(*) FROM (TABLE public.sound EXCEPT ALL TABLE public.counted) x),
           (SELECT count(*) FROM (TABLE public.counted EXCEPT ALL TABLE public.sound) x)
$$;

SELECT sum(clicks) AS clicks, sum(attributed) AS attributed, sum(review_required) AS review, sum(rejected) AS rejected,
       sum(qualified) > 0 AS qualified, sum(rewarded) > 0 AS rewarded, sum(granted) > 0 AS granted, sum(capped) AS capped FROM referral.funnel;

-- Sound books: nothing is changed.
SET client_min_messages = notice;
SELECT * FROM public.differences();
CALL referral.rebuild();
SELECT * FROM public.differences();
SELECT task, subject, state, done FROM referral.stat_progress ORDER BY progress_id;

-- Every value of every counter, a little off.
\set QUIET 1
UPDATE referral.earning SET amount_micro = amount_micro + 1 WHERE rewards > 0 AND member_id % 5 = 0;
UPDATE referral.earning SET rewards = rewards - 1 WHERE rewards > 0 AND member_id % 7 = 0;
UPDATE referral.earning SET reversed_micro = reversed_micro + 5, closed = closed - 1 WHERE member_id % 11 = 0;
UPDATE referral.earning SET volume_micro = volume_micro + 1, deposits_micro = deposits_micro - 1 WHERE member_id % 3 = 0;
UPDATE referral.invited SET paid_invitees = paid_invitees + 1 WHERE member_id % 2 = 0;
UPDATE referral.campaign_spent SET amount_micro = amount_micro - 3;
UPDATE referral.downline SET members = members - 1 WHERE level = 2;
UPDATE referral.member SET invitees = 1 WHERE member_id % 2 = 0;
INSERT INTO referral.code_use SELECT program_id, code_id, -5, 2 FROM referral.code WHERE code_id % 3 = 0;
UPDATE referral.funnel SET clicks = clicks - 1, attributed = attributed + 1, review_required = review_required - 2, rejected = rejected + 3,
    qualified = qualified - 4, rewarded = rewarded + 5, granted = granted + 6, capped = capped - 7 WHERE clicks > 0 OR campaign_id <> 1;
UPDATE referral.account SET spent_micro = 1, adjusted_micro = 2 WHERE member_id % 2 = 0;
UPDATE referral.account SET paid_out_micro = 1, reserved_micro = 2, uncovered_micro = 3 WHERE member_id % 3 = 0;
DELETE FROM referral.reward_closed WHERE member_id % 3 = 0;
INSERT INTO referral.reward_closed SELECT program_id, member_id, 'spent', reward_id FROM referral.reward WHERE level = 1 ON CONFLICT DO NOTHING;
INSERT INTO referral.reward_closed VALUES (1, 0, 'spent', 1);
SELECT broken > 0 AS broken, lost > 0 AS lost FROM public.differences();
CALL referral.rebuild(1);
SELECT DISTINCT program_id FROM referral.verify();
CALL referral.rebuild(2);
SELECT * FROM public.differences();
CALL referral.rebuild();

-- What was paid: too much, and too little.
UPDATE referral.paid SET volume_micro = volume_micro + 1000000000, deposits_micro = -1, payments = payments + 100, earning_payments = 0;
SELECT broken > 0 AS broken, lost > 0 AS lost FROM public.differences();
CALL referral.rebuild();
SELECT * FROM public.differences();
-- Within the bounds nobody can tell: it stays.
UPDATE referral.paid SET volume_micro = volume_micro - 1, deposits_micro = deposits_micro - 1
WHERE program_id = 1 AND deposits_micro > 0 AND member_id = (SELECT member_id FROM referral.attribution WHERE program_id = 1 AND user_id = 'u2');
SELECT invariant, subject, expected < found AS too_much FROM referral.verify() ORDER BY 1;
CALL referral.rebuild();
SELECT broken, lost FROM public.differences();
UPDATE referral.paid SET volume_micro = 0, deposits_micro = -1
WHERE program_id = 1 AND member_id = (SELECT member_id FROM referral.attribution WHERE program_id = 1 AND user_id = 'u2');
CALL referral.rebuild();
SELECT * FROM public.differences();

-- All rows gone, also those that are locked.
DELETE FROM referral.earning;
DELETE FROM referral.paid;
DELETE FROM referral.invited;
DELETE FROM referral.code_use;
ALTER TABLE referral.code DISABLE TRIGGER protect;
UPDATE referral.code SET used = 0;
ALTER TABLE referral.code ENABLE TRIGGER protect;
DELETE FROM referral.campaign_spent;
DELETE FROM referral.downline;
DELETE FROM referral.funnel;
DELETE FROM referral.account;
DELETE FROM referral.reward_closed;
SELECT broken > 0 AS broken, lost > 0 AS lost FROM public.differences();
CALL referral.rebuild();
SELECT * FROM public.differences();
CALL referral.rebuild();
CALL referral.maintain();
SELECT * FROM public.differences();

-- The engine goes on with what it finds.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT p, 'after' || i, 'u' || i, 1000000, '2024-06-01' FROM generate_series(1, 2) p, generate_series(1, 110) i;
SELECT * FROM referral.verify();

-- Clicks are dropped one day, and their counters stand for them: nothing is
-- taken off, and what is lost with them cannot be found again.
SELECT sum(clicks) FROM referral.funnel;
DELETE FROM referral.click WHERE program_id = 1;
CALL referral.rebuild(1);
SELECT sum(clicks) FROM referral.funnel;
SELECT * FROM referral.verify();

-- Books that contradict each other are left as they are.
UPDATE referral.reward SET available_at = available_at + interval '1 hour' WHERE program_id = 1 AND payment_id = 'p1' AND level = 1;
CALL referral.rebuild(1);
SELECT invariant FROM referral.verify();

-- Not in a transaction that is not its own; a program that is not there.
BEGIN;
CALL referral.rebuild();
ROLLBACK;
CALL referral.rebuild(999);

\c :home
DROP DATABASE referral_rebuild;
