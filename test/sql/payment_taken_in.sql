-- A payment that no trigger saw says so by itself, however the triggers came to
-- be away, and differs from one that earned nothing; take_in() processes it
-- later, once.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all
\set VERBOSITY sqlstate

INSERT INTO referral.program (program_id, name, max_level) VALUES (1, 'away', 2), (2, 'never away', 2);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) SELECT p, t, t::text, t - 1 FROM generate_series(1, 2) p, generate_series(1, 3) t;
INSERT INTO referral.rate (program_id, tier, level, rate_bps) SELECT p, t, 1, 1000 * t FROM generate_series(1, 2) p, generate_series(1, 3) t;
SET referral.program_id = 2;
CALL join_by('b<a c<a d<a e<d');
SET referral.program_id = 1;
CALL join_by('b<a c<a d<a e<d');
CREATE VIEW told.seen AS SELECT payment_id, taken_in FROM referral.payment WHERE program_id = 1 ORDER BY payment_no DESC LIMIT 1;

INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p0', 'nobody', 10);
TABLE seen;
-- The triggers disabled: both, the second, the first.
ALTER TABLE referral.payment DISABLE TRIGGER USER;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p1', 'b', 1000);
TABLE seen;
ALTER TABLE referral.payment ENABLE TRIGGER USER;
ALTER TABLE referral.payment DISABLE TRIGGER take_in;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p2', 'b', 1000);
TABLE seen;
ALTER TABLE referral.payment ENABLE TRIGGER take_in;
ALTER TABLE referral.payment DISABLE TRIGGER take_in_before;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p3', 'c', 1000);
TABLE seen;
ALTER TABLE referral.payment ENABLE TRIGGER take_in_before;
-- One of them dropped, or for replicas only, or always.
BEGIN;
DROP TRIGGER take_in ON referral.payment;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'x', 'c', 1000);
TABLE seen;
ROLLBACK;
BEGIN;
ALTER TABLE referral.payment ENABLE REPLICA TRIGGER take_in;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'x', 'c', 1000);
TABLE seen;
ALTER TABLE referral.payment ENABLE ALWAYS TRIGGER take_in;
ALTER TABLE referral.payment ENABLE ALWAYS TRIGGER take_in_before;
SET LOCAL session_replication_role = replica;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'y', 'c', 1000);
TABLE seen;
SELECT * FROM earned('{x,y}');
ROLLBACK;
-- A replica's session; a setting that nobody may set.
SET session_replication_role = replica;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p4', 'c', 1000);
TABLE seen;
RESET session_replication_role;
SET referral.taking_in = on;
SELECT set_config('referral.taking_in', 'on', false);
-- After a statement that failed, in a savepoint that was rolled back.
BEGIN;
SAVEPOINT s;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'x', 'c', -1);
ROLLBACK TO s;
SAVEPOINT s;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'x', 'c', 1 / 0;
ROLLBACK TO s;
SET LOCAL session_replication_role = replica;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p5', 'd', 1000);
TABLE seen;
COMMIT;
-- Written on purpose for later.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, taken_in) VALUES (1, 'p6', 'e', 1000, false), (1, 'p7', 'nobody', 1, true);
SELECT payment_id, taken_in FROM referral.payment WHERE payment_id IN ('p6', 'p7') ORDER BY 1;
-- Nothing was made of them so far. Taken in, in order, they give the
-- same books as where the triggers were never away; again, nothing.
SELECT payment_id FROM referral.payment WHERE program_id = 1 AND NOT taken_in ORDER BY payment_no;
SELECT string_agg(payment, ' ' ORDER BY reward_id) FROM rewards;
SELECT referral.take_in(1, '{p1,p2,p3,p3,no such,p4,p1,p7,p5}');
SELECT referral.take_in(1, (SELECT array_agg(payment_id ORDER BY payment_no) FROM referral.payment WHERE program_id = 1));
SELECT everything() AS before \gset
SELECT referral.take_in(1, (SELECT array_agg(payment_id ORDER BY payment_no) FROM referral.payment WHERE program_id = 1));
SELECT referral.take_in(1, '{}'), referral.take_in(99, '{p1}');
SELECT everything() = :'before' AS untouched;
SELECT count(*) AS not_seen FROM referral.payment WHERE NOT taken_in;
SELECT payment_id, user_id, amount_micro FROM referral.payment WHERE program_id = 1 ORDER BY payment_no;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
SELECT 2, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM referral.payment WHERE program_id = 1 ORDER BY payment_no;
SELECT * FROM compare(2, 1, 1);
SELECT * FROM earned();

-- One that is refused takes the others of its call with it.
SET session_replication_role = replica;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'good', 'd', 1000), (1, 'bad', 'b', -1);
RESET session_replication_role;
SELECT everything() AS before \gset
SELECT referral.take_in(1, '{good,bad}');
SELECT everything() = :'before' AS untouched;
SELECT referral.take_in(1, '{good}');
SELECT * FROM earned('{good,bad}');

-- The extension dropped: nobody is there to see it, and the books stay. Made
-- again it goes on, and takes in what came meanwhile.
BEGIN;
SET LOCAL client_min_messages = error;
DROP EXTENSION referral CASCADE;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'dropped', 'b', 1000);
TABLE seen;
SELECT count(*) > 0 AS books FROM referral.reward;
CREATE EXTENSION referral;
CALL referral.install();
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'back', 'b', 10);
TABLE seen;
COMMIT;
SELECT referral.take_in(1, '{back,dropped}');
SELECT payment_id, level, amount_micro FROM referral.reward WHERE payment_id IN ('back', 'dropped') ORDER BY reward_id;

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
