-- A payment that fails leaves no trace in any table: not when its statement is
-- refused, nor when its savepoint is rolled back, nor when it is cancelled.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all
\set VERBOSITY sqlstate

INSERT INTO referral.program (program_id, name, max_level) VALUES (1, 'atomic', 3);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 1, 'a', 0), (1, 2, 'b', 5);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro)
VALUES (1, 1, 'spring', '2024-01-01', '2024-12-31', 100, 1000000000);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 0, 10), (1, 1, 1000), (1, 2, 100), (1, 3, 10);
SET referral.program_id = 1;
CALL join_by('b<a c<b');
SELECT string_agg(format('u%s<c', i), ' ') AS many FROM generate_series(1, 60) i \gset
CALL join_by(:'many');
SELECT string_agg(format('k%s<a', i), ' ') AS many FROM generate_series(1, 60) i \gset
CALL join_by(:'many', campaign => 1);
-- Some books to begin with, so that rows are updated as well as inserted.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'first ' || i, 'u' || i, 1000 FROM generate_series(1, 3) i;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'first k' || i, 'k' || i, 1000 FROM generate_series(1, 3) i;
SELECT everything() AS before \gset

-- Whatever row of a statement is refused, and whoever refuses it.
CREATE TABLE told.batch AS
SELECT i, CASE WHEN i % 2 = 0 THEN 'u' ELSE 'k' END || (i / 2) AS user_id FROM generate_series(1, 119) i;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || i, user_id, CASE WHEN i = 119 THEN -1 ELSE 1000 END FROM batch ORDER BY i;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || (i % 118), user_id, 1000 FROM batch ORDER BY i;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || i, user_id, 1000 / (119 - i) FROM batch ORDER BY i;
CREATE FUNCTION told.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more'; END $$;
CREATE TRIGGER zz_refuse AFTER INSERT ON referral.payment FOR EACH STATEMENT EXECUTE FUNCTION told.refuse();
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || i, user_id, 1000 FROM batch ORDER BY i;
DROP TRIGGER zz_refuse ON referral.payment;
CREATE CONSTRAINT TRIGGER zz_refuse AFTER INSERT ON referral.payment DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION told.refuse();
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || i, user_id, 1000 FROM batch ORDER BY i;
DROP TRIGGER zz_refuse ON referral.payment;
SELECT everything() = :'before' AS untouched;

-- Rolled back: a savepoint, a block that catches an error, the transaction.
BEGIN;
SAVEPOINT s;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'p' || i, user_id, 1000 FROM batch ORDER BY i;
ROLLBACK TO s;
SELECT everything() = :'before' AS untouched;
SAVEPOINT t;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'p' || i, user_id, 1000 FROM batch ORDER BY i;
SAVEPOINT u;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'q' || i, user_id, 1000 FROM batch ORDER BY i;
RELEASE u;
ROLLBACK TO s;
COMMIT;
SELECT everything() = :'before' AS untouched;
BEGIN;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) SELECT 1, 'p' || i, user_id, 1000 FROM batch ORDER BY i;
ROLLBACK;
SELECT everything() = :'before' AS untouched;

-- Cancelled at several moments of a statement that takes much longer.
INSERT INTO referral.program (program_id, name, max_level) VALUES (2, 'big', 3);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 1000), (2, 2, 100), (2, 3, 10);
SET referral.program_id = 2;
CALL join_by('b<a c<b');
SELECT string_agg(format('u%s<c', i), ' ') AS many FROM generate_series(1, 100) i \gset
CALL join_by(:'many');
SELECT everything() AS before \gset
CREATE PROCEDURE told.insert_many() LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
    SELECT 2, 'p' || i, 'u' || i % 100, 1000, '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 40000) i
$$;
SET statement_timeout = 10;
CALL insert_many();
SET statement_timeout = 40;
CALL insert_many();
SET statement_timeout = 100;
CALL insert_many();
SET statement_timeout = 130;
CALL insert_many();
RESET statement_timeout;
SELECT everything() = :'before' AS untouched;
CALL insert_many();
SELECT who, level, earned, volume, rewards FROM levels ORDER BY who COLLATE "C", level;

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
