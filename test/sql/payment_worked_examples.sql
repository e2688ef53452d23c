-- CONTRACT section 3 to the micro-unit: one program for each example or rule.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

-- Base 2,000 with 1500/400/100 bps is 300/80/20; base 1,999 is 299/79/19.
INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (1, 'levels', 3, 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1500), (1, 2, 400), (1, 3, 100);
SET referral.program_id = 1;
CALL join_by('b<a c<b d<c e<d');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'd-2000', 'd', 2000, '2024-02-01 12:00+00'), (1, 'd-1999', 'd', 1999, '2024-02-01 12:00+00'),
    (1, 'e-2000', 'e', 2000, '2024-02-01 12:00+00'), (1, 'b-2000', 'b', 2000, '2024-02-01 12:00+00'),
    (1, 'a-2000', 'a', 2000, '2024-02-01 12:00+00'), (1, 'z-2000', 'stranger', 2000, '2024-02-01 12:00+00');
SELECT * FROM earned();
SELECT * FROM rewards WHERE payment = 'd-2000' ORDER BY level \gx
SELECT * FROM levels ORDER BY who COLLATE "C", level;
SELECT * FROM members ORDER BY who COLLATE "C";

-- Tier 1 = 10 %, tier 2 = 15 % from 3 paid invitees: A, B, C pay 100.00 in turn
-- and earn 10 each; A pays again and earns 15. One by one and in one statement.
INSERT INTO referral.program (program_id, name, max_level) VALUES (2, 'tiers', 1), (3, 'tiers at once', 1);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
SELECT p, t, 'tier ' || t, least_invitees FROM (VALUES (1, 0), (2, 3)) v(t, least_invitees), generate_series(2, 3) p;
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES
    (2, 1, 1, 1000), (2, 2, 1, 1500), (3, 1, 1, 1000), (3, 2, 1, 1500);
SET referral.program_id = 2;
CALL join_by('a<ref b<ref c<ref');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '1', 'a', 100000000);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '2', 'b', 100000000);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '3', 'c', 100000000);
SELECT who, tier, paid_invitees FROM members WHERE who = 'ref';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '4', 'a', 100000000);
SELECT payment, who, tier, bps, amount FROM rewards ORDER BY reward_id;
SET referral.program_id = 3;
CALL join_by('a<ref b<ref c<ref');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES
    (3, '1', 'a', 100000000), (3, '2', 'b', 100000000), (3, '3', 'c', 100000000), (3, '4', 'a', 100000000);
SELECT payment, who, tier, bps, amount FROM rewards ORDER BY reward_id;
SELECT count(*) AS differences FROM differences(2, 3) WHERE what !~ '^(payment|reward|earning|attribution|paid)';

-- A pinned tier stays, whatever the invitees; given back to the rules it is theirs.
SET referral.program_id = 2;
SELECT * FROM referral.set_tier('ref', 1, 'trial', 'ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '5', 'a', 100000000);
SELECT * FROM referral.set_tier('ref', NULL, 'trial over', 'ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, '6', 'a', 100000000);
SELECT payment, who, tier, bps, amount FROM rewards WHERE payment IN ('5', '6') ORDER BY reward_id;

-- Without auto_tier nobody rises, and who had risen stays.
UPDATE referral.program SET auto_tier = false WHERE program_id IN (2, 3);
CALL join_by('n1<new n2<new n3<new');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES
    (2, 'n1', 'n1', 100), (2, 'n2', 'n2', 100), (2, 'n3', 'n3', 100), (2, 'n4', 'n1', 100), (2, 'n5', 'a', 100);
SELECT payment, who, tier, amount FROM rewards WHERE payment LIKE 'n%' ORDER BY reward_id;

-- Level 0 is the payer's own; flat amounts come on top, once per reward.
INSERT INTO referral.program (program_id, name, max_level) VALUES (4, 'flat', 2);
INSERT INTO referral.rate (program_id, level, rate_bps, flat_micro) VALUES
    (4, 0, 0, 500), (4, 1, 10, 7), (4, 2, 333, 0);
SET referral.program_id = 4;
CALL join_by('b<a c<b');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES
    (4, 'c-999', 'c', 999), (4, 'c-1000', 'c', 1000), (4, 'c-1', 'c', 1), (4, 'b-31', 'b', 31);
SELECT * FROM earned();
SELECT * FROM levels ORDER BY who COLLATE "C", level;

-- max_payments: the first n earning payments of the payer; deposits, zeros and
-- those outside the window are none. The most specific rate is chosen first,
-- and alone: used up, it gives way to no other.
INSERT INTO referral.program (program_id, name, max_level, earning_days) VALUES (5, 'first two', 2, 100);
INSERT INTO referral.tier (program_id, tier, label) VALUES (5, 1, 'only');
INSERT INTO referral.rate (program_id, tier, level, rate_bps, max_payments) VALUES
    (5, 1, 1, 1000, 2), (5, 0, 1, 700, NULL), (5, 0, 2, 100, 1);
SET referral.program_id = 5;
CALL join_by('b<a c<b');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (5, 'deposit', 'c', 1000, 'deposit', '2024-01-02'), (5, 'zero', 'c', 0, 'purchase', '2024-01-02'),
    (5, 'early', 'c', 1000, 'purchase', '2023-12-31'), (5, 'late', 'c', 1000, 'purchase', '2025-01-02'),
    (5, 'first', 'c', 1000, 'purchase', '2024-01-02'), (5, 'second', 'c', 1000, 'subscription', '2024-01-02');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (5, 'third', 'c', 1000, 'purchase', '2024-01-02');
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";

-- Used up by the payment before it in the same statement, also where that one
-- was paid by another rate.
INSERT INTO referral.program (program_id, name, max_level) VALUES (6, 'first by tier', 1);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (6, 1, 'a', 0), (6, 2, 'b', 1);
INSERT INTO referral.rate (program_id, tier, level, rate_bps, max_payments) VALUES
    (6, 1, 1, 1000, NULL), (6, 2, 1, 2000, 1);
SET referral.program_id = 6;
CALL join_by('b<a c<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES
    (6, 'b-1', 'b', 1000), (6, 'b-2', 'b', 1000), (6, 'c-1', 'c', 1000), (6, 'c-2', 'c', 1000);
SELECT * FROM earned();

-- (campaign, tier) > (campaign, 0) > (0, tier) > (0, 0).
INSERT INTO referral.program (program_id, name, max_level) VALUES (7, 'specific', 4);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (7, 1, 'a', 0), (7, 2, 'b', 1000);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES
    (7, 5, 'spring', '2024-01-01', '2024-04-01'), (7, 6, 'other', '2024-01-01', '2024-04-01');
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps)
SELECT 7, k, t, l, bps FROM (VALUES
    (5, 2, 1, 1), (5, 0, 1, 2), (0, 2, 1, 3), (0, 0, 1, 4), (6, 2, 1, 9001), (5, 1, 1, 9002),
    (5, 0, 2, 2), (0, 2, 2, 3), (0, 0, 2, 4), (6, 0, 2, 9003),
    (0, 2, 3, 3), (0, 0, 3, 4), (5, 1, 3, 9004), (0, 1, 3, 9005),
    (0, 0, 4, 4), (6, 2, 4, 9006)) v(k, t, l, bps);
SET referral.program_id = 7;
CALL join_by('r2<r1 r3<r2 r4<r3');
SELECT count(referral.set_tier(who, 2, NULL, 'test')) FROM unnest('{r1,r2,r3,r4}'::text[]) who;
CALL join_by('c<r4', campaign => 5);
CALL join_by('d<r4');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES
    (7, 'by campaign', 'c', 10000), (7, 'without', 'd', 10000);
SELECT payment, level, who, bps FROM rewards ORDER BY reward_id;

-- max_level 0, 1, 10 and a line that is longer; only the payer's attribution counts.
INSERT INTO referral.program (program_id, name, max_level) VALUES (8, 'none', 0), (9, 'one', 1), (10, 'ten', 10);
INSERT INTO referral.rate (program_id, level, rate_bps)
SELECT p, l, 100 * (l + 1) FROM generate_series(8, 10) p, generate_series(0, 10) l;
SELECT string_agg(format('m%s<m%s', i, i - 1), ' ' ORDER BY i) AS line FROM generate_series(1, 12) i \gset
SET referral.program_id = 8;
CALL join_by(:'line');
SET referral.program_id = 9;
CALL join_by(:'line');
SET referral.program_id = 10;
CALL join_by(:'line');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT p, 'p' || i, 'm' || i, 100 FROM generate_series(8, 10) p, unnest('{12,3}'::int[]) i;
SET referral.program_id = 8;
SELECT * FROM earned();
SET referral.program_id = 9;
SELECT * FROM earned();
SET referral.program_id = 10;
SELECT * FROM earned();

-- A suspended beneficiary is skipped, and his level is not passed up; also at level 0.
INSERT INTO referral.program (program_id, name, max_level) VALUES (11, 'suspended', 3);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (11, 0, 50), (11, 1, 1500), (11, 2, 400), (11, 3, 100);
SET referral.program_id = 11;
CALL join_by('b<a c<b d<c');
SELECT referral.suspend('c', NULL, 'test') \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (11, 'c away', 'd', 2000), (11, 'by c', 'c', 2000);
SELECT referral.reinstate('c', NULL, 'test') \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (11, 'c back', 'd', 2000);
SELECT * FROM earned();
SELECT * FROM levels ORDER BY who COLLATE "C", level;

-- Base is what commission is computed on, the amount is the volume. A deposit
-- counts into deposits only. Base 0 earns nothing and does not qualify.
INSERT INTO referral.program (program_id, name, max_level) VALUES (12, 'base', 1);
INSERT INTO referral.rate (program_id, level, rate_bps, flat_micro) VALUES (12, 1, 1000, 0);
SET referral.program_id = 12;
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind) VALUES
    (12, 'deposit', 'b', 1000, 900, 'deposit'), (12, 'no base', 'b', 1000, 0, 'trade'), (12, 'nothing', 'b', 0, NULL, 'trade');
SELECT * FROM attributions;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind) VALUES
    (12, 'fee', 'b', 1000, 30, 'trade'), (12, 'more base', 'b', 10, 1000, 'trade'),
    (12, 'only base', 'b', 0, 50, 'trade'), (12, 'Deposit', 'b', 100, NULL, 'Deposit');
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";
SELECT * FROM levels ORDER BY who COLLATE "C", level;

-- A payment that qualifies without earning anything: no rate, or one that floors to 0.
INSERT INTO referral.program (program_id, name, max_level) VALUES (13, 'floored', 1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (13, 1, 1);
SET referral.program_id = 13;
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (13, 'floored', 'b', 9999, '2024-01-02'), (13, 'one', 'b', 10000, '2024-01-03'), (13, 'two', 'b', 29999, '2024-01-04');
SELECT * FROM earned();
SELECT * FROM attributions;

-- The earning window is n times 24 hours from attributed_at, half-open: also
-- over the night in which Berlin's clocks change.
INSERT INTO referral.program (program_id, name, max_level, time_zone, earning_days) VALUES (14, 'window', 1, 'Europe/Berlin', 2);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (14, 1, 1000);
SET referral.program_id = 14;
CALL join_by('b<a', at => '2024-03-30 12:00 Europe/Berlin');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (14, 'before', 'b', 100, '2024-03-30 11:59:59.999999 Europe/Berlin'),
    (14, 'at once', 'b', 100, '2024-03-30 12:00 Europe/Berlin'),
    (14, '48 h - 1 us', 'b', 100, '2024-04-01 12:59:59.999999 Europe/Berlin'),
    (14, '48 h', 'b', 100, '2024-04-01 13:00 Europe/Berlin');
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";

-- An attribution expires when nothing qualified in n times 24 hours; a payment
-- is judged by its occurred_at, whenever it arrives.
INSERT INTO referral.program (program_id, name, max_level, qualify_days) VALUES (15, 'expiry', 1, 10);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (15, 1, 1000);
SET referral.program_id = 15;
CALL join_by('b<a c<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (15, 'b too late', 'b', 100, '2024-01-11 00:00+00');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (15, 'c just', 'c', 100, '2024-01-10 23:59:59.999999+00'), (15, 'c later', 'c', 100, '2024-06-01');
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (15, 'b of before', 'b', 100, '2024-01-10'), (15, 'b late again', 'b', 100, '2024-01-12');
SELECT * FROM earned();

-- Attributed after he paid: what is written later counts, and earns only from then on.
INSERT INTO referral.program (program_id, name, max_level) VALUES (16, 'attributed later', 1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (16, 1, 1000);
SET referral.program_id = 16;
SELECT referral.enroll('b') \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (16, 'unattributed', 'b', 100, '2024-02-01');
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (16, 'earlier', 'b', 100, '2023-12-31 23:59:59.999999+00'), (16, 'later', 'b', 100, '2024-01-01 00:00+00');
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";

-- Somebody with a downline gets a referrer: rewards go up the tree as it is at
-- each payment.
INSERT INTO referral.program (program_id, name, max_level) VALUES (17, 'late attribution', 3);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (17, 1, 1500), (17, 2, 400), (17, 3, 100);
SET referral.program_id = 17;
CALL join_by('c<b d<c');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (17, 'before', 'd', 2000, '2024-02-01');
CALL join_by('b<a', at => '2024-03-01 00:00+00');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (17, 'after', 'd', 2000, '2024-02-02');
SELECT * FROM earned();
SELECT level, members FROM referral.level_stats('a') ORDER BY level;

-- A program that is not active keeps payments, and they earn nothing.
INSERT INTO referral.program (program_id, name, max_level) VALUES (18, 'inactive', 1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (18, 1, 1000);
SET referral.program_id = 18;
CALL join_by('b<a');
UPDATE referral.program SET active = false WHERE program_id = 18;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (18, 'asleep', 'b', 1000);
UPDATE referral.program SET active = true WHERE program_id = 18;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (18, 'awake', 'b', 1000);
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";

-- A rejected attribution earns nobody anything.
INSERT INTO referral.program (program_id, name, max_level) VALUES (19, 'rejected', 1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (19, 1, 1000);
SET referral.program_id = 19;
CALL join_by('b<a');
CALL hold('{b}');
SELECT status FROM referral.reject_attribution((SELECT attribution_id FROM referral.attribution WHERE program_id = 19));
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (19, 'rejected', 'b', 1000);
SELECT * FROM earned();
SELECT * FROM members ORDER BY who COLLATE "C";

-- Up to 64 invitees are counted in the referrer's row, more are not: the tiers
-- at 64 and at 66 paid ones come when they are due.
INSERT INTO referral.program (program_id, name, max_level) VALUES (20, 'many invitees', 1);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (20, 1, 'a', 0), (20, 2, 'b', 64), (20, 3, 'c', 66);
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (20, 1, 1, 100), (20, 2, 1, 200), (20, 3, 1, 300);
SET referral.program_id = 20;
SELECT string_agg('u' || n || '<ref', ' ' ORDER BY n) AS first_64 FROM generate_series(1, 64) n \gset
CALL join_by(:'first_64');
SELECT invitees FROM referral.member WHERE program_id = 20 AND user_id = 'ref';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 20, 'p' || n, 'u' || n, 10000 FROM generate_series(1, 63) n ORDER BY n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (20, 'p64', 'u64', 10000);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (20, 'p64 again', 'u64', 10000);
CALL join_by('u65<ref u66<ref u67<ref');
SELECT invitees FROM referral.member WHERE program_id = 20 AND user_id = 'ref';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (20, 'p65', 'u65', 10000);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (20, 'p66', 'u66', 10000);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (20, 'p67', 'u67', 10000);
SELECT tier, bps, count(*), min(payment COLLATE "C"), max(payment COLLATE "C") FROM rewards WHERE who = 'ref' GROUP BY 1, 2 ORDER BY 1;

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
