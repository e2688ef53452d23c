-- Caps (CONTRACT section 3.3): of a code, of a referrer's month, of a campaign's
-- budget. They are looked at when somebody qualifies; what is capped stays so.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

-- A code's cap: the third and fourth payer come too late, in one statement and
-- each by himself; a second payment of the first does not count again.
INSERT INTO referral.program (program_id, name) VALUES (1, 'code');
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap) VALUES (1, 1, 'two each', '2024-01-01', '2025-01-01', 2);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 0, 100), (1, 1, 1000);
SET referral.program_id = 1;
CALL join_by('b<a c<a d<a e<a f<a', campaign => 1);
CALL join_by('z<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'b1', 'b', 1000, '2024-02-01'), (1, 'b2', 'b', 1000, '2024-02-01'), (1, 'c0', 'c', 0, '2024-02-01'), (1, 'c1', 'c', 1000, '2024-02-01'),
    (1, 'd1', 'd', 1000, '2024-02-01'), (1, 'd2', 'd', 1000, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'e1', 'e', 1000, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'z1', 'z', 1000, '2024-02-01');
SELECT * FROM earned();
SELECT who, decision, qualified_at IS NOT NULL AS qualified FROM attributions ORDER BY who;
SELECT * FROM codes WHERE who = 'a' ORDER BY kind;
SELECT * FROM members ORDER BY who;
-- Raised, it lets the next one in; who was capped stays capped, also for what
-- he pays later.
UPDATE referral.code SET cap = 3 WHERE program_id = 1 AND kind = 'campaign';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'd3', 'd', 1000, '2024-02-01'), (1, 'e2', 'e', 1000, '2024-02-01'), (1, 'f1', 'f', 1000, '2024-02-01');
-- Lowered below its uses, or taken away: nobody loses what he has.
UPDATE referral.code SET cap = 1 WHERE program_id = 1 AND kind = 'campaign';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'f2', 'f', 1000, '2024-02-01');
UPDATE referral.code SET cap = NULL WHERE program_id = 1 AND kind = 'campaign';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'd4', 'd', 1000, '2024-02-01');
SELECT * FROM earned('{d3,e2,f1,f2,d4}');
SELECT * FROM codes WHERE who = 'a' ORDER BY kind;
-- Cap 0 lets nobody in; attribute() says so, so the cap falls later.
CALL join_by('g<a', campaign => 1);
UPDATE referral.code SET cap = 0 WHERE program_id = 1 AND kind = 'campaign';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'g1', 'g', 1000, '2024-02-01');
SELECT decision FROM attributions WHERE who = 'g';

-- The monthly cap: by the month of occurred_at in the program's zone, per
-- referrer, over all his codes; the campaign's own number in its place.
INSERT INTO referral.program (program_id, name, time_zone, referrer_monthly_cap) VALUES (2, 'month', 'America/New_York', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, referrer_monthly_cap) VALUES
    (2, 1, 'more', '2024-01-01', '2025-01-01', 4), (2, 2, 'as the program', '2024-01-01', '2025-01-01', NULL), (2, 3, 'none', '2024-01-01', '2025-01-01', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 1000);
SET referral.program_id = 2;
CALL join_by('b<a c<a d<a e<a f<a o<other');
CALL join_by('m1<a m2<a m3<a', campaign => 1);
CALL join_by('s<a', campaign => 2);
CALL join_by('n<a', campaign => 3);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (2, 'b', 'b', 1000, '2024-03-01 04:59:59.999999+00'), (2, 'c', 'c', 1000, '2024-02-15'), (2, 'd', 'd', 1000, '2024-02-15'),
    (2, 'e', 'e', 1000, '2024-03-01 05:00+00'), (2, 'other', 'o', 1000, '2024-02-15');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (2, 's', 's', 1000, '2024-02-15'), (2, 'n', 'n', 1000, '2024-05-15'),
    (2, 'm1', 'm1', 1000, '2024-02-15'), (2, 'm2', 'm2', 1000, '2024-02-15'), (2, 'm3', 'm3', 1000, '2024-02-15');
SELECT who, decision FROM attributions ORDER BY who COLLATE "C";
SELECT month, sum(paid_invitees) FROM referral.invited i JOIN referral.member USING (program_id, member_id) WHERE program_id = 2 AND user_id = 'a' GROUP BY month ORDER BY month;
UPDATE referral.program SET referrer_monthly_cap = NULL WHERE program_id = 2;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (2, 'd again', 'd', 1000, '2024-02-15'), (2, 'f', 'f', 1000, '2024-02-15');
SELECT * FROM earned('{d again,f}');

-- A budget bounds what all rewards of the campaign come to. Used up at the
-- first payment: capped. A payment that does not fit with all its rewards
-- earns nothing, and a smaller one after it may.
INSERT INTO referral.program (program_id, name, max_level) VALUES (3, 'budget', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro) VALUES
    (3, 1, 'small', '2024-01-01', '2025-01-01', 1000), (3, 2, 'nothing', '2024-01-01', '2025-01-01', 0), (3, 3, 'unlimited', '2024-01-01', '2025-01-01', NULL);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (3, 1, 1000), (3, 2, 500);
SET referral.program_id = 3;
CALL join_by('r<top');
CALL join_by('b<r c<r d<r', campaign => 1);
CALL join_by('n<r', campaign => 2);
CALL join_by('u<r', campaign => 3);
CALL join_by('z<r');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (3, 'n1', 'n', 10, '2024-02-01'), (3, 'u1', 'u', 1000000, '2024-02-01'), (3, 'z1', 'z', 1000000, '2024-02-01'),
    (3, 'b1', 'b', 4000, '2024-02-01'), (3, 'c1', 'c', 2680, '2024-02-01'), (3, 'b2', 'b', 2660, '2024-02-01');
SELECT * FROM earned();
SELECT who, decision, qualified_at IS NOT NULL AS qualified, rewarded_at IS NOT NULL AS rewarded FROM attributions WHERE who <> 'r' ORDER BY who;
SELECT payment_id, reason FROM referral.payment_unrewarded WHERE program_id = 3 ORDER BY 1;
-- 1 is left: nothing that earns more fits, and the next one qualifies all the
-- same. When that is spent too, a first payment is capped.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, 'd1', 'd', 20, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, 'd2', 'd', 19, '2024-02-01');
SELECT * FROM earned('{d1,d2}');
UPDATE referral.campaign SET budget_micro = 1003 WHERE program_id = 3 AND campaign_id = 1;
CALL join_by('e<r f<r', campaign => 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (3, 'd3', 'd', 20, '2024-02-01'), (3, 'b3', 'b', 10, '2024-02-01'), (3, 'e1', 'e', 10, '2024-02-01'), (3, 'b4', 'b', 10, '2024-02-01'), (3, 'b5', 'b', 9, '2024-02-01');
UPDATE referral.campaign SET budget_micro = NULL WHERE program_id = 3 AND campaign_id = 1;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, 'f1', 'f', 100, '2024-02-01'), (3, 'e2', 'e', 100, '2024-02-01');
SELECT * FROM earned('{d3,b3,e1,b4,b5,f1,e2}');
SELECT who, decision FROM attributions WHERE decision IS NOT NULL ORDER BY who;
SELECT payment_id, reason FROM referral.payment_unrewarded WHERE program_id = 3 ORDER BY 1;
SELECT campaign_id, sum(amount_micro) FROM referral.campaign_spent WHERE program_id = 3 GROUP BY 1 ORDER BY 1;
SELECT campaign_id, sum(r.amount_micro) FROM referral.reward r JOIN referral.member m ON m.program_id = r.program_id AND m.member_id = payer_id
JOIN referral.attribution a ON a.program_id = r.program_id AND a.user_id = m.user_id WHERE r.program_id = 3 AND campaign_id > 0 GROUP BY 1 ORDER BY 1;

-- A budget among the greatest numbers is kept to the unit, whatever the rewards
-- of one payment come to.
INSERT INTO referral.program (program_id, name, max_level) VALUES (4, 'huge', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro) VALUES
    (4, 1, 'greatest', '2024-01-01', '2025-01-01', 9223372036854775806);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (4, 1, 10000), (4, 2, 10000);
SET referral.program_id = 4;
CALL join_by('r<top');
CALL join_by('b<r', campaign => 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (4, 'too much', 'b', 9223372036854775807, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, occurred_at) VALUES
    (4, 'fits', 'b', 0, 4611686018427387903, '2024-02-01'), (4, 'one too many', 'b', 0, 1, '2024-02-01');
SELECT * FROM earned();
SELECT sum(amount_micro) FROM referral.campaign_spent WHERE program_id = 4;

-- What a campaign spends on all members together may leave bigint; a budget set
-- then is used up.
INSERT INTO referral.program (program_id, name, max_level) VALUES (5, 'beyond', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES (5, 1, 'endless', '2024-01-01', '2025-01-01');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (5, 1, 10000), (5, 2, 10000);
SET referral.program_id = 5;
CALL join_by('r<top s<roof');
CALL join_by('b<r c<s d<s', campaign => 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (5, 'b1', 'b', 9223372036854775806, '2024-02-01'), (5, 'c1', 'c', 9223372036854775805, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (5, 'b2', 'b', 1, '2024-02-01');
UPDATE referral.campaign SET budget_micro = 9223372036854775807 WHERE program_id = 5;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (5, 'c2', 'c', 1, '2024-02-01'), (5, 'd1', 'd', 1, '2024-02-01');
SELECT * FROM earned();
SELECT who, decision FROM attributions WHERE decision IS NOT NULL ORDER BY who;

-- However many commands a transaction has had, a tier is that of the invitees who
-- paid before, not of the place that is being taken.
INSERT INTO referral.program (program_id, name, referrer_monthly_cap) VALUES (6, 'long', 4);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (6, 1, 'none', 0), (6, 2, 'two', 2);
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (6, 1, 1, 1000), (6, 2, 1, 2000);
SET referral.program_id = 6;
CALL join_by('b<a c<a d<a e<a f<a');
BEGIN;
DO $$ BEGIN
    FOR n IN 1..1100 LOOP
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (6, n, 'nobody', 1, '2024-02-01');
    END LOOP;
END $$;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (6, 'b', 'b', 1000, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (6, 'c', 'c', 1000, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (6, 'd', 'd', 1000, '2024-02-01'), (6, 'e', 'e', 1000, '2024-02-01'), (6, 'f', 'f', 1000, '2024-02-01');
COMMIT;
SELECT * FROM earned('{b,c,d,e,f}');

SELECT program_id, invariant, expected, found FROM referral.verify(NULL); -- a cap lowered below its uses
\c :outside
DROP DATABASE referral_payment;
