-- What somebody pays while his attribution is in review waits for the decision.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

INSERT INTO referral.program (program_id, name, max_level, qualify_days) VALUES (1, 'review', 2, 10);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 0, 100), (1, 1, 1000), (1, 2, 100);
SET referral.program_id = 1;
CREATE FUNCTION told.decide(who text, approved boolean) RETURNS text LANGUAGE sql AS $$
    SELECT (CASE WHEN approved THEN referral.approve_attribution(attribution_id) ELSE referral.reject_attribution(attribution_id) END).status
    FROM referral.attribution WHERE program_id = 1 AND user_id = who
$$;
INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (1, 'velocity', 0);
CALL join_by('b<a c<b e<b');
UPDATE referral.review_rule SET enabled = false;
CALL join_by('d<b');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (1, 'c2', 'c', 2000, 'purchase', '2024-01-03'), (1, 'd1', 'd', 1000, 'purchase', '2024-01-02'),
    (1, 'c1', 'c', 1000, 'purchase', '2024-01-02'), (1, 'deposit', 'c', 500, 'deposit', '2024-01-02'),
    (1, 'after the window', 'c', 1000, 'purchase', '2024-01-11'), (1, 'd late', 'd', 1000, 'purchase', '2024-01-11');
-- Nothing is earned, counted or decided; what it will be processed in is kept.
-- A referrer in review waits for nobody below him.
SELECT * FROM earned();
SELECT * FROM members ORDER BY who;
SELECT * FROM attributions ORDER BY who;
SELECT payment_id, m.user_id, occurred_at, payment_no = (SELECT payment_no FROM referral.payment p WHERE p.program_id = w.program_id AND p.payment_id = w.payment_id) AS same_no
FROM referral.payment_waiting w JOIN referral.member m USING (program_id, member_id) ORDER BY w.occurred_at, w.payment_no;
-- Refused like any other payment.
\set VERBOSITY sqlstate
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', -1);
-- Refunds wait, but not more of them than fit.
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'f1', 'c1', 400), (1, 'f2', 'c2', 2000);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'f3', 'c1', 601);

-- Approved: processed once, with its refunds, and what comes then as for anybody.
-- What came after the window counts, too: its payer has qualified by then.
SELECT decide('c', true);
SELECT * FROM earned('{c1,c2,deposit,after the window}');
SELECT payment_id, level, amount_micro, reversed_micro FROM referral.reward_state WHERE payment_id ~ '^c' ORDER BY reward_id;
SELECT * FROM members WHERE who IN ('b', 'c') ORDER BY who;
SELECT decide('c', true), decide('c', false);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'c3', 'c', 1000, '2024-01-04');
SELECT * FROM earned('{c3}');

-- Rejected: nothing, then as before.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'b1', 'b', 1000, '2024-01-04');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'fb', 'b1', 1000);
SELECT decide('b', false);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'b2', 'b', 1000, '2024-01-04'), (1, 'd2', 'd', 1000, '2024-01-04');
SELECT * FROM earned('{b1,b2,d2}');

-- In the order in which they occurred, two of one time as they arrived; the cap and
-- the rate, for two payments, are those of the approval.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'e2', 'e', 2000, '2024-01-05'), (1, 'e1', 'e', 1000, '2024-01-04'), (1, 'e3', 'e', 3000, '2024-01-05');
UPDATE referral.code SET cap = 3 WHERE user_id = 'b';
UPDATE referral.rate SET max_payments = 2 WHERE level = 1;
SELECT decide('e', true);
SELECT p.payment_id, a.qualified_at FROM referral.attribution a JOIN referral.payment p ON p.payment_no = a.first_payment_no WHERE a.user_id = 'e';
SELECT payment, amount FROM rewards WHERE level = 1 AND payment ~ '^e' ORDER BY reward_id;
SELECT count(*) FROM referral.payment_waiting;
SELECT count(*) FROM referral.refund_waiting;
SELECT * FROM referral.verify();

\c :outside
DROP DATABASE referral_payment;
