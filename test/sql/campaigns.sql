-- Campaigns in full: windows, codes, rates, budgets, monthly caps, two at once,
-- and those that end on the way from click to payment. Every expected number is
-- worked out by hand, beside the call that must give it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\set QUIET 1
\i :include
\pset format unaligned
\pset tuples_only true
CREATE EXTENSION pgtap SCHEMA told;
SELECT no_plan();

-- Who signs up by whose code: 'attributed', or why not.
CREATE FUNCTION told.sign_up(who text, referrer text, campaign bigint, at timestamptz DEFAULT '2024-01-01',
                             click text DEFAULT NULL)
    RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a.reason, a.status)
      FROM referral.enroll(referrer) AS own,
           referral.attribute(who, CASE campaign WHEN 0 THEN own
                                   ELSE (SELECT code FROM referral.campaign_code(referrer, campaign)) END,
                              click, at) a
$$;
-- A payment, and what it earned whom: 'level who=amount', '-' for nothing.
CREATE FUNCTION told.pay(who text, base bigint, at timestamptz DEFAULT '2024-02-01', id text DEFAULT NULL)
    RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    payment text := coalesce(id, gen_random_uuid()::text);
BEGIN
    PERFORM referral.record_payment(payment, who, base, occurred_at => at);
    RETURN (SELECT e.earned FROM told.earned(ARRAY[payment]) e)
           || coalesce((SELECT ' ' || u.reason FROM referral.payment_unrewarded u
                         WHERE u.program_id = referral.current_program() AND u.payment_id = payment), '');
END $$;
CREATE FUNCTION told.status(who text) RETURNS text LANGUAGE sql AS $$
    SELECT referral.attribution_status(referral.current_program(), who)
$$;
CREATE FUNCTION told.spent(campaign bigint) RETURNS numeric LANGUAGE sql AS $$
    SELECT coalesce(sum(s.amount_micro), 0) FROM referral.campaign_spent s
     WHERE s.program_id = referral.current_program() AND s.campaign_id = campaign
$$;
CREATE FUNCTION told.used(who text, campaign bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s of %s', c.used, coalesce(c.cap::text, 'any')) FROM referral.campaign_code(who, campaign) c
$$;

--
-- Windows: half-open, to the microsecond, at the time of the sign-up.
--
INSERT INTO referral.program (program_id, name) VALUES (1, 'windows');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES
    (1, 1, 'March', '2024-03-01 00:00+00', '2024-04-01 00:00+00'),
    (1, 2, 'April', '2024-04-01 00:00+00', '2024-05-01 00:00+00'),
    (1, 3, 'a microsecond', '2024-05-05 05:05:05.000005+00', '2024-05-05 05:05:05.000006+00'),
    (1, 4, 'a day in New York', '2024-07-04 00:00 America/New_York', '2024-07-05 00:00 America/New_York');
SET referral.program_id = 1;
SELECT is(sign_up('w' || n, 'ann', campaign, at::timestamptz), answer, format('campaign %s at %s', campaign, at))
  FROM (VALUES
    (1, 1, '2024-02-29 23:59:59.999999+00', 'campaign_inactive'),
    (2, 1, '2024-03-01 00:00:00+00',        'attributed'),
    (3, 1, '2024-03-31 23:59:59.999999+00', 'attributed'),
    (4, 1, '2024-04-01 00:00:00+00',        'campaign_inactive'),
    (5, 2, '2024-03-31 23:59:59.999999+00', 'campaign_inactive'),
    (6, 2, '2024-04-01 00:00:00+00',        'attributed'),     -- one instant is never in both
    (7, 3, '2024-05-05 05:05:05.000004+00', 'campaign_inactive'),
    (8, 3, '2024-05-05 05:05:05.000005+00', 'attributed'),
    (9, 3, '2024-05-05 05:05:05.000006+00', 'campaign_inactive'),
    (10, 4, '2024-07-04 03:59:59.999999+00', 'campaign_inactive'),  -- summer time: UTC - 4
    (11, 4, '2024-07-04 04:00+00',           'attributed'),
    (12, 4, '2024-07-05 03:59:59.999999+00', 'attributed'),
    (13, 4, '2024-07-05 04:00+00',           'campaign_inactive')) t(n, campaign, at, answer)
 ORDER BY n;
SELECT is((SELECT count(*) FROM referral.attribution WHERE campaign_id > 0), 6::bigint, 'six came in, each with its campaign');
-- Who was too late by a campaign is still free to come by the primary code.
SELECT is(sign_up('w13', 'ann', 0, '2024-07-05 04:00+00'), 'attributed', 'the primary code has no window');

-- Codes are issued in the campaign that runs; of several, in the one that started last.
SELECT is((SELECT count(*) FROM referral.campaign_code('ann')), 0::bigint, 'none runs now: no code');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES
    (1, 20, 'early', now() - interval '9 days', now() + interval '9 days'),
    (1, 21, 'late', now() - interval '2 days', now() + interval '1 day'),
    (1, 19, 'as late', now() - interval '2 days', now() + interval '1 day'),
    (1, 22, 'over', now() - interval '1 day', now() - interval '1 hour'),
    (1, 23, 'to come', now() + interval '1 hour', now() + interval '1 day');
SELECT is((SELECT count(c.code) FROM unnest('{19,20,21,22,23,NULL}'::bigint[]) n, referral.campaign_code('ann', n) c), 6::bigint, 'whoever names one gets a code in it');
SELECT is((SELECT campaign_id FROM referral.campaign_code('ann') n JOIN referral.code c ON c.program_id = 1 AND c.code = n.code), 21::bigint, 'the one that started last');
SELECT is((referral.validate_code((SELECT code FROM referral.campaign_code('ann', c)), 'new')).reason, answer, 'campaign ' || c)
  FROM (VALUES (19, NULL), (20, NULL), (21, NULL), (22, 'campaign_inactive'), (23, 'campaign_inactive')) t(c, answer);

--
-- Codes issued inside, with a cap.
--
INSERT INTO referral.program (program_id, name) VALUES (2, 'codes');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap) VALUES
    (2, 1, 'two each', '2024-01-01', '2025-01-01', 2), (2, 2, 'any', '2024-01-01', '2025-01-01', NULL), (2, 3, 'none', '2024-01-01', '2025-01-01', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 1000);
SET referral.program_id = 2;
SELECT lives_ok($$ SELECT referral.enroll(u) FROM unnest('{ann,bob}'::text[]) u $$, 'two members');
SELECT is((SELECT count(DISTINCT c.code) FROM generate_series(1, 5), referral.campaign_code('ann', 1) c), 1::bigint, 'a member has one code in a campaign');
SELECT isnt((SELECT code FROM referral.campaign_code('ann', 1)), (SELECT code FROM referral.campaign_code('bob', 1)), 'and another member another');
SELECT is(used('ann', c), answer, 'campaign ' || c) FROM (VALUES (1, '0 of 2'), (2, '0 of any'), (3, '0 of 0')) t(c, answer);
SELECT is(sign_up('n', 'ann', 3), 'cap_reached', 'a cap of 0 lets nobody in');
-- Sign-ups do not use a code up, first payments do: of three the third is too late.
SELECT is(sign_up(u, 'ann', 1), 'attributed', u) FROM unnest('{c,d,e}'::text[]) u;
SELECT is(pay('c', 5000), '1 ann=500', 'first of two: 5000 x 10 %');
SELECT is(pay('c', 5000), '1 ann=500', 'he counts once');
SELECT is(pay('d', 0), '-', 'no earning payment, no use');
SELECT is(used('ann', 1), '1 of 2', 'one use');
SELECT is(pay('d', 70), '1 ann=7', 'second of two: 70 x 10 %');
SELECT is(pay('e', 5000), '-', 'the third');
SELECT is(status('e'), 'capped', 'is capped for good');
SELECT is(used('ann', 1), '2 of 2', 'used up');
SELECT is(sign_up('f', 'ann', 1), 'cap_reached', 'nobody signs up by it any more');
SELECT is(sign_up('f', 'bob', 1), 'attributed', 'but by that of another member');
SELECT is(sign_up('g', 'ann', 0), 'attributed', 'or by the primary code');
SELECT is(pay('f', 5000), '1 bob=500', 'whose cap is his own');
SELECT is(pay('g', 5000), '1 ann=500', 'and which has none');
-- The cap is the code's own from the day it was issued; an operator may raise it there.
UPDATE referral.campaign SET code_cap = 9 WHERE program_id = 2 AND campaign_id = 1;
SELECT is(used('ann', 1), '2 of 2', 'an issued code keeps its cap');
SELECT is((SELECT referral.enroll('new') <> ''), true, 'a member who comes now');
SELECT is(used('new', 1), '0 of 9', 'has the new one');
UPDATE referral.code SET cap = 3 WHERE program_id = 2 AND user_id = 'ann' AND campaign_id = 1;
SELECT is(sign_up('h', 'ann', 1), 'attributed', 'raised to 3');
SELECT is(pay('h', 5000), '1 ann=500', 'the third use');
SELECT is(pay('e', 5000), '-', 'who was capped stays so');
SELECT is(used('ann', 1), '3 of 3', 'used up again');

--
-- Rates of their own: (campaign, tier) > (campaign, any) > (any, tier) > (any, any),
-- level by level, the most specific alone.
--
INSERT INTO referral.program (program_id, name, max_level, auto_tier) VALUES (3, 'rates', 2, false);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (3, 1, 'one', 0), (3, 2, 'two', 100);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
SELECT 3, c, 'campaign ' || c, '2024-01-01', '2025-01-01' FROM generate_series(1, 3) c;
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro, max_payments) VALUES
    (3, 0, 0, 0,   50, 0, NULL), (3, 0, 0, 1, 1000, 0, NULL), (3, 0, 2, 1, 1500, 0, NULL), (3, 0, 0, 2, 300, 0, NULL),
    (3, 1, 0, 1, 2000, 0, NULL), (3, 1, 2, 1, 2500, 7, NULL),
    (3, 2, 0, 0,    0, 0, NULL), (3, 2, 0, 1, 5000, 0, 1),
    (3, 3, 0, 2,  900, 0, NULL);
SET referral.program_id = 3;
SELECT is(sign_up('ann', 'top', 0), 'attributed', 'ann under top');
SELECT is(sign_up('p' || c, 'ann', c), 'attributed', 'p' || c) FROM generate_series(0, 3) c;
-- 10,007 at 0.5 % = 50.035, 10 % = 1000.7, 15 % = 1501.05, 20 % = 2001.4,
-- 25 % = 2501.75, 50 % = 5003.5, 3 % = 300.21, 9 % = 900.63; all floored
SELECT is(pay('p0', 10007), '0 p0=50, 1 ann=1000, 2 top=300', 'no campaign');
SELECT is(pay('p1', 10007), '0 p1=50, 1 ann=2001, 2 top=300', 'campaign 1 names level 1; the others are the program''s');
SELECT is(pay('p2', 10007), '1 ann=5003, 2 top=300', 'campaign 2 gives the payer nothing, and ann half');
SELECT is(pay('p2', 10007), '2 top=300', 'of his first payment only: used up, it gives way to no other rate');
SELECT is(pay('p3', 10007), '0 p3=50, 1 ann=1000, 2 top=900', 'campaign 3 names level 2');
SELECT is((referral.set_tier('ann', 2, 'why', 'ops')).new_tier, 2, 'ann rises to tier 2');
SELECT is(pay('p0', 10007), '0 p0=50, 1 ann=1501, 2 top=300', 'no campaign: her tier''s rate');
SELECT is(pay('p1', 10007), '0 p1=50, 1 ann=2508, 2 top=300', 'campaign 1 and tier 2: 2501 + 7');
SELECT is(sign_up('p22', 'ann', 2), 'attributed', 'another by campaign 2');
SELECT is(pay('p22', 10007), '1 ann=5003, 2 top=300', 'a campaign''s rate for every tier goes over the tier''s own');
SELECT is(pay('p22', 10007), '2 top=300', 'also when it is used up');
SELECT is(pay('p3', 10007), '0 p3=50, 1 ann=1501, 2 top=900', 'campaign 3 says nothing of level 1: her tier''s rate');
-- The campaign is the payer's: what somebody below a campaign's member pays is not in it.
SELECT is(sign_up('below', 'p1', 0), 'attributed', 'somebody under p1, by the primary code');
SELECT is(pay('below', 10007), '0 below=50, 1 p1=1000, 2 ann=300', 'the program''s rates');

--
-- Budgets, in money: all levels of a payment fit, or it earns nothing.
-- 1 % + 10 % + 5 %: a payment of 5,000 earns 50 + 500 + 250 = 800.
--
INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (4, 'budget', 2, 0);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro) VALUES
    (4, 1, 'exactly', '2024-01-01', '2025-01-01', 1600), (4, 2, 'not quite', '2024-01-01', '2025-01-01', 1000),
    (4, 3, 'nothing', '2024-01-01', '2025-01-01', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (4, 0, 100), (4, 1, 1000), (4, 2, 500);
SET referral.program_id = 4;
SELECT is(sign_up('r', 'top', 0), 'attributed', 'r under top');
SELECT is(sign_up(u, 'r', c), 'attributed', u)
  FROM (VALUES ('a', 1), ('b', 1), ('c', 1), ('d', 2), ('e', 2), ('f', 2), ('g', 3), ('free', 0)) t(u, c);
-- Used up exactly.
SELECT is(pay('a', 5000, id => 'a1'), '0 a=50, 1 r=500, 2 top=250', '800 of 1600');
SELECT is(pay('b', 5000), '0 b=50, 1 r=500, 2 top=250', 'the other 800');
SELECT is(spent(1), 1600::numeric, 'used up to the unit');
SELECT is(pay('a', 10), '- budget_used_up', 'not even 1 is left');
SELECT is(pay('a', 9), '-', 'what would earn nothing anyhow is not refused');
SELECT is(status('a'), 'rewarded', 'who qualified stays what he is');
SELECT is(pay('c', 5000), '-', 'a first payment');
SELECT is(status('c'), 'capped', 'is capped');
SELECT is(pay('free', 5000), '0 free=50, 1 r=500, 2 top=250', 'without a campaign there is no budget');
-- It does not fit, then something smaller does.
SELECT is(pay('d', 5000), '0 d=50, 1 r=500, 2 top=250', '800 of 1000');
SELECT is(pay('e', 5000), '- budget_used_up', '800 do not fit into 200');
SELECT is(status('e'), 'qualified', 'but there was something left: he qualifies');
SELECT is(pay('e', 1260), '- budget_used_up', '12 + 126 + 63 = 201 do not fit either');
SELECT is(pay('e', 1250), '0 e=12, 1 r=125, 2 top=62', '12.5, 125, 62.5: 199 do');
SELECT is(pay('d', 20), '- budget_used_up', '2 + 1 into 1');
SELECT is(pay('d', 19), '1 r=1', '0.19, 1.9, 0.95: the last one');
SELECT is(spent(2), 1000::numeric, 'used up to the unit');
SELECT is(pay('f', 100), '-', 'nothing is left');
SELECT is(status('f'), 'capped', 'so he is capped');
SELECT is(pay('g', 100), '-', 'a budget of 0');
SELECT is(status('g'), 'capped', 'lets nobody qualify');
-- What is given back does not come back to the budget; more money does.
SELECT is((referral.record_refund('back', 'a1', 5000)).reversed_micro, 800::numeric, 'all 800 are reversed');
SELECT is(spent(1), 1600::numeric, 'and stay spent');
SELECT is(pay('a', 10), '- budget_used_up', 'nothing is left still');
UPDATE referral.campaign SET budget_micro = 1601 WHERE program_id = 4 AND campaign_id = 1;
SELECT is(pay('a', 10), '1 r=1', '0.1, 1, 0.5: the unit more');
SELECT is(pay('a', 10), '- budget_used_up', 'and no other');
SELECT is(pay('c', 10), '-', 'capped is capped');
UPDATE referral.campaign SET budget_micro = 5 WHERE program_id = 4 AND campaign_id = 1;
SELECT is(pay('a', 10), '- budget_used_up', 'lowered below what was spent, it takes nothing back');
UPDATE referral.campaign SET budget_micro = NULL WHERE program_id = 4 AND campaign_id = 1;
SELECT is(pay('a', 5000), '0 a=50, 1 r=500, 2 top=250', 'without a budget all goes');
SELECT is(spent(1), 2401::numeric, '1601 + 800: counted all the same');

--
-- Monthly caps per referrer: the campaign's own goes before the program's, more
-- or less; all of a referrer's first payments of the month count in both.
--
INSERT INTO referral.program (program_id, name, time_zone, referrer_monthly_cap) VALUES (5, 'month', 'Asia/Tokyo', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, referrer_monthly_cap) VALUES
    (5, 1, 'three', '2024-01-01', '2025-01-01', 3), (5, 2, 'one', '2024-01-01', '2025-01-01', 1), (5, 3, 'the program''s', '2024-01-01', '2025-01-01', NULL);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (5, 1, 1000);
SET referral.program_id = 5;
SELECT is(sign_up('m' || n, 'r', c), 'attributed', format('m%s by campaign %s', n, c))
  FROM (VALUES (1, 0), (2, 2), (3, 3), (4, 3), (5, 0), (6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (11, 0)) t(n, c);
SELECT is(sign_up('s1', 's', 2), 'attributed', 's1 by another referrer');
SELECT is(pay('m1', 100, '2024-02-10'), '1 r=10', 'February, 1st of 2, by no campaign');
SELECT is(pay('m2', 100, '2024-02-10'), '-', 'campaign 2 allows 1, and there is 1');
SELECT is(pay('s1', 100, '2024-02-10'), '1 s=10', 'of another referrer it is the first');
SELECT is(pay('m3', 100, '2024-02-10'), '1 r=10', 'campaign 3 has no number: 2nd of the program''s 2');
SELECT is(pay('m4', 100, '2024-02-10'), '-', 'a 3rd it does not allow');
SELECT is(pay('m5', 100, '2024-02-10'), '-', 'nor does the program');
SELECT is(pay('m6', 100, '2024-02-10'), '1 r=10', 'campaign 1 allows 3');
SELECT is(pay('m7', 100, '2024-02-29 14:59:59.999999+00'), '-', 'and no 4th, to the end of February in Tokyo');
SELECT is(pay('m9', 100, '2024-02-29 15:00+00'), '1 r=10', 'where March begins: 1st of campaign 2''s 1');
SELECT is(pay('m10', 100, '2024-03-31 14:59:59.999999+00'), '-', 'the 2nd');
SELECT is(pay('m11', 100, '2024-03-15'), '1 r=10', 'but the 2nd of the program''s 2');
SELECT is(pay('m8', 100, '2024-03-15'), '1 r=10', 'and the 3rd of campaign 1''s 3');
SELECT is(pay('m1', 100, '2024-03-15'), '1 r=10', 'who qualified once is asked no more');
SELECT results_eq($$ SELECT month::text, sum(paid_invitees) FROM referral.invited i JOIN referral.member m USING (program_id, member_id)
                      WHERE program_id = 5 AND user_id = 'r' GROUP BY month ORDER BY month $$,
                  $$ VALUES ('2024-02-01', 3::numeric), ('2024-03-01', 3) $$, 'three in each month');
SELECT set_eq($$ SELECT who FROM attributions WHERE decision = 'capped' $$, '{m2,m4,m5,m7,m10}'::text[], 'five came too late');
SELECT is((referral.referral_overview('r')).paid_invitees, 6::bigint, 'six paid');

--
-- Two campaigns at once for one member: a code, rates, a cap and a budget each.
--
INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (6, 'two at once', 2, 0);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro) VALUES
    (6, 1, 'winter', '2024-01-01', '2024-07-01', 1, 1000), (6, 2, 'spring', '2024-03-01', '2024-09-01', 2, 5000);
INSERT INTO referral.rate (program_id, campaign_id, level, rate_bps) VALUES
    (6, 0, 1, 1000), (6, 0, 2, 100), (6, 1, 1, 2000), (6, 2, 1, 3000), (6, 2, 2, 200);
SET referral.program_id = 6;
SELECT is((SELECT referral.enroll('ann') <> ''), true, 'ann');
SELECT isnt((SELECT code FROM referral.campaign_code('ann', 1)), (SELECT code FROM referral.campaign_code('ann', 2)), 'a code in each');
SELECT is(sign_up(u, 'ann', c, '2024-04-01'), 'attributed', format('%s by campaign %s', u, c))
  FROM (VALUES ('w', 1), ('w2', 1), ('s', 2), ('s2', 2), ('n', 0)) t(u, c);
SELECT is(sign_up('w', 'ann', 2, '2024-04-01'), 'already_attributed', 'the first campaign stands for ever');
SELECT is(pay('w', 4000, '2024-05-01'), '1 ann=800', 'winter: 20 %, 800 of its 1000');
SELECT is(pay('s', 4000, '2024-05-01'), '1 ann=1200', 'spring: 30 %, 1200 of its 5000');
SELECT is(pay('n', 4000, '2024-05-01'), '1 ann=400', 'neither: 10 %');
SELECT is(pay('w2', 4000, '2024-05-01'), '-', 'winter''s code is used up');
SELECT is(pay('s2', 4000, '2024-05-01'), '1 ann=1200', 'spring''s is not');
SELECT is(pay('w', 1001, '2024-05-01'), '1 ann=200', 'winter: 200.2, and its budget is used up');
SELECT is(pay('w', 1000, '2024-05-01'), '- budget_used_up', 'to the unit');
SELECT is(pay('s', 1000, '2024-05-01'), '1 ann=300', 'spring''s goes on');
-- ann's invitee refers by spring, where ann stands on level 2: spring pays for both.
SELECT is(sign_up('below', 'w', 2, '2024-04-01'), 'attributed', 'somebody under w, by spring');
SELECT is(pay('below', 4000, '2024-05-01'), '1 w=1200, 2 ann=80', 'spring: 30 % and 2 %');
SELECT is(spent(1) || ' ' || spent(2), '1000 3980', 'winter 800 + 200; spring 1200 + 1200 + 300 + 1280');
SELECT is(used('ann', 1) || ', ' || used('ann', 2), '1 of 1, 2 of 2', 'uses of each');
SELECT is((referral.referral_overview('ann')).paid_invitees, 4::bigint, 'w, s, s2 and n: invitees count together');

--
-- A campaign that ends on the way: its window is looked at when somebody signs
-- up, there alone.
--
INSERT INTO referral.program (program_id, name, attribution_days, hold_days) VALUES (7, 'on the way', 30, 0);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro) VALUES
    (7, 1, 'May', '2024-05-01', '2024-06-01', 1000), (7, 2, 'now', now() - interval '1 day', now() + interval '1 day', NULL);
INSERT INTO referral.rate (program_id, campaign_id, level, rate_bps) VALUES (7, 0, 1, 1000), (7, 1, 1, 2000), (7, 2, 1, 4000);
SET referral.program_id = 7;
SELECT lives_ok($$ SELECT c.code FROM referral.enroll('ann') e, referral.campaign_code('ann', 1) c, referral.campaign_code('ann', 2) $$, 'ann');
INSERT INTO referral.click (program_id, click_id, code_id, clicked_at)
SELECT 7, k, (SELECT c.code_id FROM referral.code c WHERE c.program_id = 7 AND c.campaign_id = 1), at
  FROM (VALUES ('before', '2024-04-30 23:59'::timestamptz), ('in May', '2024-05-31 23:59')) t(k, at);
-- Between click and sign-up.
SELECT is(sign_up('a', 'ann', 1, '2024-05-31 23:59:59.999999', 'in May'), 'attributed', 'click and sign-up in May');
SELECT is(sign_up('b', 'ann', 1, '2024-06-01', 'in May'), 'campaign_inactive', 'the click in May, the sign-up after');
SELECT is(sign_up('c', 'ann', 1, '2024-05-01', 'before'), 'attributed', 'the click before, the sign-up in May');
SELECT is(sign_up('d', 'ann', 1, '2024-05-30 23:59', 'before'), 'click_expired', 'but no more than 30 days later');
SELECT is(sign_up('d', 'ann', 1, '2024-07-01', 'before'), 'campaign_inactive', 'which comes first, after both');
SELECT is(sign_up('b', 'ann', 0, '2024-06-01', 'in May'), 'attributed', 'by the primary code the same click is good still');
SELECT is(pay('b', 1000, '2024-06-02'), '1 ann=100', 'the program''s 10 %');
-- Between sign-up and payment: its rate and budget, for ever.
SELECT is(pay('a', 1000, '2024-05-31 23:59:59.999999'), '1 ann=200', 'May''s 20 % in May');
SELECT is(pay('a', 1000, '2024-06-01'), '1 ann=200', 'and after');
SELECT is(pay('c', 2000, '2024-08-01'), '1 ann=400', 'also of a first payment in August');
SELECT is(pay('c', 2000, '2024-08-01'), '- budget_used_up', 'with May''s budget: 200 + 200 + 400, and not 400 more');
SELECT is(pay('c', 1000, '2024-08-01'), '1 ann=200', 'but 200');
-- The same as it happens, by this clock.
SELECT is(referral.capture_click((SELECT code FROM referral.campaign_code('ann', 2)), 'k'), 'k', 'a click in a campaign that runs');
SELECT is((referral.attribute('e', (SELECT code FROM referral.campaign_code('ann', 2)), 'k')).status, 'attributed', 'a sign-up in it');
UPDATE referral.campaign SET ends_at = clock_timestamp() WHERE program_id = 7 AND campaign_id = 2;
SELECT is((SELECT count(*) FROM referral.campaign_code('ann')), 0::bigint, 'then it ends: no code is issued');
SELECT is((referral.attribute('f', (SELECT code FROM referral.campaign_code('ann', 2)), 'k')).reason, 'campaign_inactive', 'the click is too late');
SELECT is(referral.capture_click((SELECT code FROM referral.campaign_code('ann', 2)), 'k2'), 'k2', 'later ones are kept');
SELECT is(pay('e', 1000, now()), '1 ann=400', 'the sign-up is not: 40 %');
-- A rate of the campaign that changes changes later payments, also after its end.
UPDATE referral.rate SET rate_bps = 3000 WHERE program_id = 7 AND campaign_id = 2;
SELECT is(pay('e', 1000, now()), '1 ann=300', 'now 30 %');
DELETE FROM referral.rate WHERE program_id = 7 AND campaign_id = 2;
SELECT is(pay('e', 1000, now()), '1 ann=100', 'without a rate of its own the program''s 10 %');
SELECT throws_ok('DELETE FROM referral.campaign WHERE program_id = 7 AND campaign_id = 2', '23503', NULL, 'a campaign with codes stays');

--
-- Refunds give nothing back: to no code, no month, no budget.
--
INSERT INTO referral.program (program_id, name, hold_days) VALUES (8, 'given back', 0);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, referrer_monthly_cap, budget_micro) VALUES
    (8, 1, 'one of each', '2024-01-01', '2025-01-01', 1, 1, 500);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (8, 1, 1000);
SET referral.program_id = 8;
SELECT is(sign_up(u, 'ann', 1), 'attributed', u) FROM unnest('{b,c,d,e}'::text[]) u;
SELECT is(pay('b', 5000, id => 'b1'), '1 ann=500', '500: the use, the invitee of the month, the budget');
SELECT is((referral.record_refund('r', 'b1', 5000)).reversed_micro, 500::numeric, 'all of it is given back');
SELECT is(((referral.referral_overview('ann')).balance).lifetime_micro, 0::numeric, 'nothing is left of it');
SELECT is(format('%s, %s, %s', used('ann', 1), (referral.referral_overview('ann')).paid_invitees, spent(1)), '1 of 1, 1, 500', 'all three are still used up');
SELECT is(status('b'), 'rewarded', 'he did qualify, and was rewarded');
SELECT is(sign_up('late', 'ann', 1), 'cap_reached', 'the code stays used up');
SELECT is(pay('c', 5000), '-', 'so it is');
UPDATE referral.code SET cap = 9 WHERE program_id = 8 AND campaign_id = 1;
SELECT is(pay('d', 5000), '-', 'so is the month, once there are uses left');
UPDATE referral.campaign SET referrer_monthly_cap = 9 WHERE program_id = 8;
SELECT is(pay('e', 5000), '-', 'and the budget, once there is a place in the month');
SELECT is(pay('b', 5000), '- budget_used_up', 'for him who qualified, too');
SELECT set_eq($$ SELECT who FROM attributions WHERE decision = 'capped' $$, '{c,d,e}'::text[], 'three were capped');

RESET referral.program_id;
SELECT is_empty($$ SELECT program_id, invariant, subject, expected, found FROM referral.verify() $$, 'the books are sound');
SELECT * FROM finish();
\c :outside
DROP DATABASE referral_payment;
