-- What somebody pays while his attribution is in review waits for the decision.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

INSERT INTO referral.program (program_id, name, max_level, qualify_days) VALUES (1, 'review', 2, 10);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 0, 100), (1, 1, 1000), (1, 2, 100);
SET referral.program_id = 1;
CALL join_by('b<a c<b d<b');
UPDATE referral.attribution SET decision = 'review_required' WHERE program_id = 1 AND user_id = 'c';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (1, 'c2', 'c', 2000, 'purchase', '2024-01-03'), (1, 'd1', 'd', 1000, 'purchase', '2024-01-02'),
    (1, 'c1', 'c', 1000, 'purchase', '2024-01-02'), (1, 'deposit', 'c', 500, 'deposit', '2024-01-02'),
    (1, 'after the window', 'c', 1000, 'purchase', '2024-01-11'), (1, 'd late', 'd', 1000, 'purchase', '2024-01-11');
-- Nothing is earned, counted or decided; what it will be processed in is kept.
SELECT * FROM earned();
SELECT * FROM members ORDER BY who;
SELECT * FROM attributions ORDER BY who;
SELECT payment_id, m.user_id, occurred_at, payment_no = (SELECT payment_no FROM referral.payment p WHERE p.program_id = w.program_id AND p.payment_id = w.payment_id) AS same_no
FROM referral.payment_waiting w JOIN referral.member m USING (program_id, member_id) ORDER BY w.occurred_at, w.payment_no;
-- A referrer in review waits for nobody below him.
UPDATE referral.attribution SET decision = 'review_required' WHERE program_id = 1 AND user_id = 'b';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'd2', 'd', 1000, '2024-01-03');
SELECT * FROM earned('{d2}');
-- Refused like any other payment.
\set VERBOSITY sqlstate
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', -1);
-- Decided by hand: what comes then is processed as for anybody.
UPDATE referral.attribution SET decision = NULL WHERE program_id = 1 AND user_id = 'c';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'c3', 'c', 1000, '2024-01-04');
UPDATE referral.attribution SET decision = 'rejected' WHERE program_id = 1 AND user_id = 'b';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'b1', 'b', 1000, '2024-01-04');
SELECT * FROM earned('{c3,b1}');
SELECT count(*) FROM referral.payment_waiting;

\c :outside
DROP DATABASE referral_payment;
