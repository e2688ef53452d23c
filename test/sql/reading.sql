-- What members and operators read.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';
\set ON_ERROR_ROLLBACK on

INSERT INTO referral.program (program_id, name, currency, time_zone, hold_days, max_level)
VALUES (70, 'reading', 'EUR', 'Europe/Berlin', 30, 3);
SET LOCAL referral.program_id = '70';
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (70, 1, 'Bronze', 0), (70, 2, 'Silver', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
VALUES (70, 1, 'of no concern', '2020-01-01', '2100-01-01');
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps)
VALUES (70, 0, 0, 1, 1000), (70, 0, 2, 1, 1500), (70, 0, 0, 2, 400), (70, 1, 0, 1, 9999);

-- top <- ann, bob, cy; ann <- dan <- eve <- fay
SELECT count(referral.enroll(u, upper(u))) FROM unnest('{top,ann,bob,cy,dan,eve,fay,alone}'::text[]) u;
SELECT count(referral.enroll('top', NULL, 'https://example.org/top.png'));
UPDATE referral.member SET display_name = NULL WHERE user_id IN ('cy', 'dan');
SELECT u, a.attributed
FROM (VALUES (1, 'ann', 'top', timestamptz '2024-01-01 00:00+0'), (2, 'bob', 'top', '2024-01-02 00:00+0'),
             (3, 'cy', 'top', '2023-12-31 00:00+0'), (4, 'dan', 'ann', '2024-01-03 00:00+0'),
             (5, 'eve', 'dan', '2024-01-04 00:00+0'), (6, 'fay', 'eve', '2024-01-05 00:00+0')) v(n, u, under, at),
     LATERAL referral.attribute(u, referral.enroll(under), NULL, at) a
ORDER BY n;

-- Nothing happened yet; nobody is there.
SELECT tier, tier_label, rate_bps, paid_invitees, balance, inviter_display, custom_slug,
       primary_code = referral.enroll('top') AS own_code
FROM referral.referral_overview('top');
SELECT * FROM referral.referral_overview('nobody');
SELECT * FROM referral.list_rewards('nobody');
SELECT * FROM referral.list_invitees('nobody');
SELECT * FROM referral.list_downline('nobody');
SELECT * FROM referral.level_stats('nobody');
SELECT * FROM referral.earnings_by_day('nobody');
SELECT * FROM referral.list_rewards('top');
SELECT * FROM referral.level_stats('top');
SELECT * FROM referral.earnings_by_day('top');
SELECT * FROM referral.level_stats('alone');

-- Old payments are available, today's are pending. Three days by the zone:
-- half past eleven in the evening UTC is tomorrow in Berlin.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) VALUES
(70, 'p1', 'ann', 100000000, NULL, 'purchase', '2024-03-01 11:00+0'),
(70, 'p2', 'bob', 100000000, 1999, 'purchase', '2024-03-01 23:30+0'),
(70, 'p3', 'ann', 100000000, NULL, 'purchase', '2024-03-03 11:00+0'),
(70, 'p4', 'dan',  50000000, NULL, 'purchase', '2024-03-03 12:00+0'),
(70, 'p5', 'dan',  70000000, NULL, 'deposit',  '2024-03-03 13:00+0'),
(70, 'p6', 'eve',       100, NULL, 'purchase', '2024-03-04 00:00+0'),
(70, 'p7', 'fay',   9000000, NULL, 'purchase', '2024-03-04 00:00+0'),
(70, 'p8', 'cy',         10,    0, 'purchase', '2024-03-04 00:00+0'),
(70, 'p9', 'nobody',     10, NULL, 'purchase', '2024-03-04 00:00+0');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (70, 'q1', 'ann', 1000), (70, 'q2', 'dan', 2000);

SELECT tier, tier_label, rate_bps, paid_invitees, balance, inviter_display, custom_slug
FROM referral.referral_overview('top');
SELECT (o.balance).pending_micro, (o.balance).available_micro, (o.balance).lifetime_micro
FROM referral.referral_overview('top') o;
SELECT to_jsonb(o) - 'primary_code' FROM referral.referral_overview('ann') o;
SELECT inviter_display FROM referral.referral_overview('eve');   -- dan has no name
SELECT code, kind FROM referral.set_custom_slug('top', 'Top-One');
SELECT custom_slug FROM referral.referral_overview('top');
SELECT referral.remove_custom_slug('top');
SELECT custom_slug FROM referral.referral_overview('top');

-- Rewards, newest first; the id says the level.
SELECT id % 16 AS id16, status, level, tier, rate_bps, base_micro, amount_micro, reversed_micro,
       written_off_micro, currency, invitee_user_id, invitee_display, payment_id
FROM referral.list_rewards('top');
SELECT payment_id, available_at, created_at = now() AS created_now
FROM referral.list_rewards('top', '{available}');
SELECT payment_id FROM referral.list_rewards('top', '{pending}');
SELECT payment_id FROM referral.list_rewards('top', '{available}', 2, 1);
SELECT payment_id FROM referral.list_rewards('top', '{available,nonsense,NULL,pending}', 3);
SELECT payment_id FROM referral.list_rewards('top', '{nonsense,NULL}');
SELECT payment_id FROM referral.list_rewards('top', '{}');
SELECT payment_id FROM referral.list_rewards('top', '{spent,paid_out,reversed}');
SELECT payment_id FROM referral.list_rewards('top', max_rows => 0);
SELECT payment_id FROM referral.list_rewards('top', skip => 4);
SELECT payment_id FROM referral.list_rewards('top', skip => 400);

-- before_id leaves out its own row, with every filter.
CREATE TEMP VIEW third AS SELECT id FROM referral.list_rewards('top', NULL, 1, 2);
SELECT payment_id FROM referral.list_rewards('top', before_id => (TABLE third));
SELECT payment_id FROM referral.list_rewards('top', '{pending}', before_id => (TABLE third));
SELECT payment_id FROM referral.list_rewards('top', '{available}', 1, 1, (TABLE third));
SELECT payment_id FROM referral.list_rewards('top', before_id => 0);
SELECT payment_id FROM referral.list_rewards('top', before_id => -1);

-- Pages: fifty by default, any number on demand, one row after the other.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 70, 'r' || i, 'bob', 1000 * i, CASE WHEN i % 2 = 0 THEN timestamptz '2024-04-01' ELSE now() END
FROM generate_series(1, 70) i;
SELECT count(*) FROM referral.list_rewards('top');
SELECT count(*) FROM referral.list_rewards('top', NULL, -5, -5);
SELECT count(*) FROM referral.list_rewards('top', max_rows => 1000);
SELECT count(*), min(payment_id), max(payment_id) FROM referral.list_rewards('top', '{available}', 1000);
SELECT count(*) FROM referral.list_rewards('top', '{pending}', 1000);
WITH RECURSIVE page AS (
    (SELECT id, status FROM referral.list_rewards('top', '{pending}', 7))
    UNION ALL
    SELECT next.id, next.status
    FROM (SELECT min(id) AS id FROM (SELECT id FROM referral.list_rewards('top', '{pending}', 7)) first) last,
         LATERAL referral.list_rewards('top', '{pending}', 1000, 0, last.id) next
)
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE status = 'pending') AS pending FROM page;
SELECT array_agg(id ORDER BY id DESC) = array_agg(id) AS descending FROM referral.list_rewards('top', NULL, 1000);

-- Invitees: the newest attribution first, whenever it is dated.
SELECT * FROM referral.list_invitees('top');
SELECT user_id FROM referral.list_invitees('top', 1, 1);
SELECT user_id FROM referral.list_invitees('top', 0);
SELECT user_id FROM referral.list_invitees('top', -1, -1);
SELECT user_id FROM referral.list_invitees('fay');

-- Downline: level by level, to max_level.
SELECT * FROM referral.list_downline('top');
SELECT user_id, level FROM referral.list_downline('top', 2, 1);
SELECT user_id, level FROM referral.list_downline('top', 2, 2);
SELECT user_id, level FROM referral.list_downline('top', 2, 4);
SELECT user_id, level FROM referral.list_downline('top', 2, 5);
SELECT user_id, level FROM referral.list_downline('top', 0);
SELECT user_id, level FROM referral.list_downline('eve');
UPDATE referral.program SET max_level = 10 WHERE program_id = 70;
SELECT user_id, level FROM referral.list_downline('top', -1, -1);
UPDATE referral.program SET max_level = 0 WHERE program_id = 70;
SELECT user_id, level FROM referral.list_downline('top');
SELECT * FROM referral.level_stats('top');
UPDATE referral.program SET max_level = 3 WHERE program_id = 70;

-- Levels and days.
SELECT * FROM referral.level_stats('top');
SELECT * FROM referral.level_stats('ann');
SELECT * FROM referral.earnings_by_day('top', until => '2024-05-01');
SELECT * FROM referral.earnings_by_day('top', '2024-03-02', '2024-03-03');
SELECT * FROM referral.earnings_by_day('top', '2024-03-03', '2024-03-03');
SELECT sum(d.earned_micro) = (o.balance).lifetime_micro AS all_of_it, sum(d.payments)
FROM referral.earnings_by_day('top') d, referral.referral_overview('top') o
GROUP BY o.balance;

-- Without a hold a reward is pending until occurred_at, which may be ahead.
UPDATE referral.program SET hold_days = 0 WHERE program_id = 70;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (70, 's1', 'eve', 1000000, clock_timestamp() + interval '1 hour'),
       (70, 's2', 'eve', 3000000, now());
SELECT payment_id, status FROM referral.list_rewards('dan');
SELECT payment_id FROM referral.list_rewards('dan', '{pending}');
SELECT payment_id FROM referral.list_rewards('dan', '{available}');
SELECT balance FROM referral.referral_overview('dan');

-- A tier pinned shows at once, with its rate.
SELECT * FROM referral.set_tier('dan', 2, 'friend', 'me');
SELECT tier, tier_label, rate_bps FROM referral.referral_overview('dan');
SELECT level, rate_bps FROM referral.level_stats('dan');
DELETE FROM referral.rate WHERE program_id = 70 AND tier = 0;
SELECT tier, rate_bps FROM referral.referral_overview('top');
SELECT tier, rate_bps FROM referral.referral_overview('ann');

SELECT * FROM referral.verify(70);

-- Sums of one level end where bigint does; sums over levels do not.
\set VERBOSITY sqlstate
INSERT INTO referral.earning (program_id, member_id, available_at, earned_on, level, part,
                              amount_micro, volume_micro, deposits_micro, rewards)
SELECT 70, member_id, '2024-01-01', '2024-01-01', level, 1, 9223372036854775807, 0, 0, 1
FROM referral.member, generate_series(1, 2) level WHERE user_id = 'alone';
SELECT balance FROM referral.referral_overview('alone');
SELECT * FROM referral.earnings_by_day('alone');
SELECT earnings_micro FROM referral.level_stats('alone');
INSERT INTO referral.earning (program_id, member_id, available_at, earned_on, level, part,
                              amount_micro, volume_micro, deposits_micro, rewards)
SELECT 70, member_id, '2024-01-02', '2024-01-01', 1, 1, 1, 0, 0, 1 FROM referral.member WHERE user_id = 'alone';
SELECT earnings_micro FROM referral.level_stats('alone');
SELECT balance FROM referral.referral_overview('alone');

-- Another program is meant.
SET LOCAL referral.program_id = '71';
SELECT * FROM referral.referral_overview('top');
SELECT * FROM referral.referral_overview('top', 71);
SELECT count(*) FROM referral.referral_overview('top', 70);
ROLLBACK;
