-- Counters: what one session writes to one key. Races: test/specs.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE PROCEDURE told.new_books() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.program (program_id, name, hold_days) VALUES (1, 'counters', 10);
    INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 10000);
    PERFORM set_config('referral.program_id', '1', false);
    CALL join_by('b<a c<a');
END $$;
CALL new_books();
CREATE VIEW told.parts AS SELECT count(*) AS rows, sum(amount_micro) AS amount, sum(volume_micro) AS volume, sum(rewards) AS rewards FROM referral.earning WHERE program_id = 1;
CREATE PROCEDURE told.pay_often(prefix text, n int, at timestamptz DEFAULT '2024-02-01 12:00+00') LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, prefix || i, 'b', i, at);
    END LOOP;
END $$;

-- Transactions of their own add to the one row there is.
CALL pay_often('own ', 1);
CALL pay_often('own once more ', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'third', 'b', 1, '2024-02-01 13:00+00');
TABLE parts;
SELECT count(*) FROM referral.paid WHERE program_id = 1;
-- Another day is another key; so is another instant of the same day where the
-- hold changes.
CALL pay_often('day ', 1, '2024-02-02 12:00+00');
UPDATE referral.program SET hold_days = 11 WHERE program_id = 1;
CALL pay_often('hold ', 1);
SELECT available_at, earned_on, level, amount_micro, volume_micro, deposits_micro, rewards FROM referral.earning WHERE program_id = 1 ORDER BY 1, 2;
-- One long transaction takes a fresh row now and then, so that it stays linear,
-- and nothing gets lost.
CALL pay_often('long ', 1000);
SELECT rows BETWEEN 40 AND 80 AS some_rows, amount, volume, rewards FROM parts;
SELECT sum(r.amount_micro) AS by_rewards FROM referral.reward r;
CALL pay_often('after ', 1);
-- Rolled back in the middle, and on.
BEGIN;
CALL pay_often('kept ', 100);
SAVEPOINT s;
CALL pay_often('gone ', 100);
ROLLBACK TO s;
CALL pay_often('kept too ', 100);
COMMIT;
SELECT amount = (SELECT sum(r.amount_micro) FROM referral.reward r) AS as_the_rewards_say FROM parts;
-- The same after more commands than are told apart, whose memory then stays what
-- it is. A cursor of the transaction's beginning sees the sums of then.
CREATE FUNCTION told.combo_kilobytes() RETURNS bigint LANGUAGE sql AS $$ SELECT total_bytes / 1024 FROM pg_backend_memory_contexts WHERE name = 'Combo CIDs' $$;
SELECT amount AS amount_before FROM parts \gset
BEGIN;
CALL pay_often('early ', 3);
DECLARE seen CURSOR FOR SELECT amount - :amount_before AS amount FROM parts;
CALL pay_often('more ', 2000);
SELECT combo_kilobytes() AS kilobytes \gset
CALL pay_often('and more ', 4000);
SELECT combo_kilobytes() - :kilobytes AS kilobytes_more, :kilobytes <= 256 AS are_few;
SAVEPOINT s;
CALL pay_often('lost ', 100);
ROLLBACK TO s;
SAVEPOINT s;
CALL pay_often('not lost ', 100);
RELEASE s;
CALL pay_often('last ', 100);
FETCH seen;
SELECT amount - :amount_before AS amount FROM parts;
COMMIT;
SELECT amount = (SELECT sum(r.amount_micro) FROM referral.reward r) AS as_the_rewards_say FROM parts;

-- What the session remembers of a key may be gone: vacuumed, rewritten,
-- truncated, merged by somebody into another row.
VACUUM FULL referral.earning;
CALL pay_often('rewritten ', 1);
SET session_replication_role = replica;
WITH merged AS (DELETE FROM referral.earning RETURNING *)
INSERT INTO referral.earning SELECT program_id, member_id, available_at, earned_on, level, nextval('referral.part_seq'), sum(amount_micro), sum(volume_micro), sum(deposits_micro), sum(rewards)
FROM merged GROUP BY 1, 2, 3, 4, 5;
RESET session_replication_role;
CALL pay_often('merged ', 1);
VACUUM referral.earning;
CALL pay_often('vacuumed ', 1);
SELECT rows, amount = (SELECT sum(r.amount_micro) FROM referral.reward r) AS as_the_rewards_say FROM parts;
DISCARD ALL;
SET search_path = told, public;
CALL pay_often('discarded ', 1);
SELECT rows, amount = (SELECT sum(r.amount_micro) FROM referral.reward r) AS as_the_rewards_say FROM parts;

-- Readers go through pages of which everybody sees every row faster than through
-- others: the same sums, wherever the rows and their versions are.
CREATE VIEW told.read AS
SELECT l.earnings_micro = p.amount AND l.volume_micro = p.volume AS levels, (o.balance).lifetime_micro = p.amount AS balance
  FROM parts p, referral.level_stats('a', 1) l, referral.referral_overview('a', 1) o;
SET referral.program_id = 1;
TABLE read;
VACUUM referral.earning;
SELECT read.*, amount FROM read, parts;
CALL pay_often('updated ', 3);
SELECT read.*, amount FROM read, parts;
VACUUM referral.earning;
SELECT read.*, amount FROM read, parts;
BEGIN;
CALL pay_often('not to stay ', 3);
SELECT read.*, amount FROM read, parts;
ROLLBACK;
SELECT read.*, amount FROM read, parts;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT read.*, amount FROM read, parts;
COMMIT;
CALL pay_often('new days ', 600, '2024-03-01 12:00+00');
SELECT read.*, amount FROM read, parts;
DELETE FROM referral.earning WHERE earned_on = '2024-03-01';
VACUUM referral.earning;
SELECT read.*, amount FROM read, parts;

-- A data model made anew in the same session: nothing of the old is used, the
-- session draws its part from the new sequence.
SET client_min_messages = warning;
DROP SCHEMA referral, referral_api CASCADE;
CREATE EXTENSION referral;
CALL referral.install();
CALL new_books();
SET referral.program_id = 1;
CALL pay_often('anew ', 1);
SELECT e.part = s.last_value AS drawn_anew, amount_micro FROM referral.earning e, referral.part_seq s;

\c :outside
DROP DATABASE referral_payment;
