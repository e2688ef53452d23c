-- A session keeps the configuration, and sees every change of it at once: its
-- own, also before commit and after a rollback, and those of other sessions
-- (test/specs/race_payment_config.spec).
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (1, 'config', 2, 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000);
SET referral.program_id = 1;
CALL join_by('c<b b<a');
-- What the next payment earns, in a line.
CREATE SEQUENCE told.nth;
CREATE FUNCTION told.pay(who text DEFAULT 'c') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id text := nextval('told.nth');
BEGIN
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, id, who, 1000, '2024-02-01 10:00+00');
    RETURN (SELECT earned FROM told.earned(ARRAY[id])) || ' ' || coalesce((SELECT to_char(min(available_at), 'MM-DD') FROM told.rewards WHERE payment = id), '');
END $$;
SELECT pay();

-- In one session, statement by statement.
UPDATE referral.rate SET rate_bps = 2000 WHERE program_id = 1;
SELECT pay();
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 2, 100), (1, 0, 10);
SELECT pay();
DELETE FROM referral.rate WHERE program_id = 1 AND level = 2;
SELECT pay();
UPDATE referral.program SET hold_days = 10, max_level = 1 WHERE program_id = 1;
SELECT pay();
INSERT INTO referral.tier (program_id, tier, label) VALUES (1, 4, 'only');
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (1, 4, 1, 3000);
SELECT pay();

-- In a transaction, before its commit; savepoints and transactions rolled back.
BEGIN;
UPDATE referral.rate SET rate_bps = 4000 WHERE program_id = 1 AND tier = 4;
SELECT pay();
SAVEPOINT s;
UPDATE referral.rate SET rate_bps = 5000 WHERE program_id = 1 AND tier = 4;
SELECT pay();
ROLLBACK TO s;
SELECT pay();
SAVEPOINT t;
UPDATE referral.rate SET rate_bps = 5500 WHERE program_id = 1 AND tier = 4;
RELEASE t;
SELECT pay();
ROLLBACK;
SELECT pay();
-- A change that is rolled back before any payment came.
BEGIN;
UPDATE referral.rate SET rate_bps = 6000 WHERE program_id = 1 AND tier = 4;
ROLLBACK;
SELECT pay();
-- In a block that fails, and in one query with the payment.
DO $$
BEGIN
    UPDATE referral.rate SET rate_bps = 7000 WHERE program_id = 1 AND tier = 4;
    RAISE NOTICE '%', told.pay();
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    PERFORM told.pay();
END $$;
SELECT * FROM earned(ARRAY[(SELECT last_value FROM nth)::text]);
WITH change AS (UPDATE referral.rate SET rate_bps = 8000 WHERE program_id = 1 AND tier = 4 RETURNING 1)
SELECT pay() IS NOT NULL FROM change;
SELECT pay();

-- A program made, used and forgotten in a transaction; made again.
BEGIN;
INSERT INTO referral.program (program_id, name) VALUES (2, 'short-lived');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, 'p', 'x', 1);
ROLLBACK;
\set VERBOSITY sqlstate
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, 'p', 'x', 1);
INSERT INTO referral.program (program_id, name) VALUES (2, 'long-lived');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, 'p', 'x', 1);
INSERT INTO referral.program (program_id, name) VALUES (3, 'removed');
CREATE FUNCTION told.asked_for(p bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (p, 'p', 'x', -1);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT asked_for(3);
DELETE FROM referral.program WHERE program_id = 3;
SELECT asked_for(3);

-- What a reward says never changes with it.
SELECT DISTINCT bps, tier FROM rewards WHERE level = 1 ORDER BY 1, 2;

\c :outside
DROP DATABASE referral_payment;
