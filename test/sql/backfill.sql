-- CALL backfill(): what was there before, in its order, by batches that commit.
-- It commits, so it has a database of its own.
\pset format unaligned
\set SHOW_CONTEXT never
\set QUIET 1
SET client_min_messages = warning;
SELECT current_database() AS home \gset
DROP DATABASE IF EXISTS referral_backfill;
CREATE DATABASE referral_backfill TEMPLATE template0;
\c referral_backfill
SET lc_messages = 'C';
SET client_min_messages = warning;
CREATE EXTENSION referral;
CALL referral.install();
INSERT INTO referral.program (program_id, name, time_zone) VALUES (7301, 'backfill', 'UTC'), (7302, 'backfill too', 'UTC');
SET referral.program_id = 7301;
CREATE SCHEMA old;
CREATE FUNCTION old.progress() RETURNS TABLE (subject text, state text, done bigint, skipped bigint, total bigint, "position" jsonb)
LANGUAGE sql AS $$
    SELECT s.subject, s.state, s.done, s.skipped, s.total, s.position FROM referral.stat_progress s
    WHERE s.program_id IN (7301, 7302) ORDER BY s.progress_id
$$;
-- is every payment numbered after those that occurred before it?
CREATE FUNCTION old.books(prefix text, OUT payments bigint, OUT micro numeric, OUT in_order boolean)
LANGUAGE sql AS $$
    SELECT count(*), sum(b.amount_micro), bool_and(b.n = b.m)
    FROM (SELECT p.amount_micro, row_number() OVER (ORDER BY p.payment_no) AS n,
                 row_number() OVER (ORDER BY p.occurred_at, p.payment_id) AS m
          FROM referral.payment p WHERE p.program_id = 7301 AND starts_with(p.payment_id, $1)) b
$$;

-- 1. Order, batches, nulls; calling it again adds nothing; writers go on.
CREATE TABLE old.sales (key text, payer uuid, amount numeric(12,2), at timestamp);
INSERT INTO old.sales
SELECT 'k' || lpad(i::text, 4, '0'), md5((i % 17)::text)::uuid, i / 7.0,
       timestamp '2024-01-01' + (i * 7919 % 1009) * interval '1 hour'
FROM generate_series(1, 1000) i;
INSERT INTO old.sales VALUES ('n1', NULL, 1, '2024-01-01'), ('n2', md5('1')::uuid, NULL, '2024-01-01'), (NULL, md5('1')::uuid, 1, '2024-01-01');
SET client_min_messages = notice;
CALL referral.backfill('old.sales');
SELECT referral.attach('old.sales', 'payer', 'amount', 'key', occurred_at => 'at', id_prefix => 's-') > 0 AS attached;
CALL referral.backfill('old.sales', 300);
SELECT *, micro = (SELECT sum(amount) * 1000000 FROM old.sales WHERE payer IS NOT NULL AND key IS NOT NULL) AS equal FROM old.books('s-');
CALL referral.backfill('old.sales');
INSERT INTO old.sales VALUES ('new', md5('1')::uuid, 1, '2023-01-01');
CALL referral.backfill('old.sales', NULL);
CALL referral.backfill('old.sales', 0);
SET client_min_messages = warning;
SELECT * FROM old.progress();
SELECT incomplete, known FROM referral.stat_source WHERE program_id = 7301;

-- 2. Interrupted by a row that is refused: what was done stays, and is gone on with.
CREATE TABLE old.bad (id integer PRIMARY KEY, payer integer, cents integer, at date);
INSERT INTO old.bad SELECT i, i % 5, CASE WHEN i = 75 THEN -1 ELSE i END, date '2024-01-01' + i FROM generate_series(1, 100) i;
SELECT referral.attach('old.bad', 'payer', 'cents', 'id', 10000, occurred_at => 'at', id_prefix => 'b-') > 0 AS attached;
CALL referral.backfill('old.bad', 20);
SELECT subject, state, done, skipped, total FROM old.progress() WHERE subject = 'old.bad';
UPDATE old.bad SET cents = 75 WHERE id = 75;
CALL referral.backfill('old.bad', 20);
SELECT subject, state, done, skipped, total FROM old.progress() WHERE subject = 'old.bad';
SELECT * FROM old.books('b-');

-- 3. Cancelled, then gone on with.
CREATE FUNCTION old.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM referral.payment WHERE program_id = 7301 AND starts_with(payment_id, 'c-')) > 25 THEN
        PERFORM pg_cancel_backend(pg_backend_pid());
        PERFORM pg_sleep(60);
    END IF;
    RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON referral.payment FOR EACH STATEMENT EXECUTE FUNCTION old.slow();
CREATE TABLE old.cancelled (id bigint, payer varchar(20), cents smallint);
INSERT INTO old.cancelled SELECT i, 'u' || i % 3, i FROM generate_series(1, 50) i;
SELECT referral.attach('old.cancelled', 'payer', 'cents', 'id', 10000, id_prefix => 'c-') > 0 AS attached;
CALL referral.backfill('old.cancelled', 10);
DROP TRIGGER slow ON referral.payment;
SELECT count(*) FROM referral.payment WHERE program_id = 7301 AND starts_with(payment_id, 'c-');
CALL referral.backfill('old.cancelled', 10);
SELECT subject, state, done, skipped, total FROM old.progress() WHERE subject = 'old.cancelled';
SELECT payments, micro FROM old.books('c-');

-- 4. Partitioned, with paid_when: those that are paid, once.
CREATE TABLE old.parted (id uuid, payer text, amount bigint, paid timestamptz, region text) PARTITION BY LIST (region);
CREATE TABLE old.parted_a PARTITION OF old.parted FOR VALUES IN ('a');
CREATE TABLE old.parted_b (region text, x text, paid timestamptz, amount bigint, payer text, id uuid);
ALTER TABLE old.parted_b DROP COLUMN x;
ALTER TABLE old.parted ATTACH PARTITION old.parted_b FOR VALUES IN ('b');
INSERT INTO old.parted SELECT md5(i::text)::uuid, 'p' || i, i, CASE WHEN i % 3 > 0 THEN timestamptz '2024-01-01 UTC' + i * interval '1 day' END,
    CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 30) i;
SELECT referral.attach('old.parted', 'payer', 'amount', 'id', 1, paid_when => 'paid', id_prefix => 'p-') > 0 AS attached;
CALL referral.backfill('old.parted', 7);
UPDATE old.parted SET paid = '2024-06-01 UTC' WHERE amount IN (3, 6);
CALL referral.backfill('old.parted', 7);
SELECT * FROM old.books('p-');

-- 5. Two programs, one table; the other one is named.
SELECT referral.attach('old.bad', 'payer', 'cents', 'id', 10000, occurred_at => 'at', program_id => 7302) > 0 AS attached;
CALL referral.backfill('old.bad', program_id => 7302);
SELECT program_id, count(*) FROM referral.payment WHERE program_id = 7302 GROUP BY 1;

-- 6. What it refuses.
BEGIN;
CALL referral.backfill('old.bad');
ROLLBACK;
CREATE VIEW old.view AS TABLE old.bad;
CALL referral.backfill('old.view');
SELECT * FROM referral.source_next(7301, 1, 1);
-- names in its way mean nothing to it
CREATE FUNCTION old.backfill_begin(regclass, bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0::bigint';
CREATE FUNCTION old.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT 1/0 = 1';
CREATE OPERATOR old.= (FUNCTION = old.eq, LEFTARG = text, RIGHTARG = text);
SET search_path = old, pg_catalog;
CALL referral.backfill('bad', 50);
RESET search_path;

-- 7. Payments that no trigger saw.
ALTER TABLE referral.payment DISABLE TRIGGER USER;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (7301, 'u-1', 'u', 1000000, '2024-03-02 UTC'), (7301, 'u-2', 'u', 1000000, '2024-03-01 UTC'), (7301, 'u-3', 'u', 1000000, '2024-03-02 UTC'),
    (7301, 'u-4', 'u', -1, '2024-02-01 UTC'), (7302, 'u-1', 'u', 1000000, '2024-02-01 UTC');
ALTER TABLE referral.payment ENABLE TRIGGER USER;
SET client_min_messages = notice;
CALL referral.backfill('referral.payment', 2);
CALL referral.backfill('referral.payment', 2);
SELECT program_id, payment_id, taken_in FROM referral.payment WHERE program_id IN (7301, 7302) AND starts_with(payment_id, 'u-') ORDER BY program_id, payment_no;

-- 8. Refunds: of attached tables, and those that no trigger saw.
SET client_min_messages = warning;
CREATE TABLE old.orders (id integer, payer text, cents integer, back integer);
CREATE TABLE old.refunds (id integer, order_id integer, cents integer, at timestamptz);
INSERT INTO old.orders SELECT i, 'u', 100, i % 3 * 10 FROM generate_series(1, 10) i;
INSERT INTO old.refunds SELECT i, 11 - i, 5, timestamptz '2024-01-01 UTC' - i * interval '1 day' FROM generate_series(1, 10) i;
SELECT referral.attach_refunds('old.refunds', 'order_id', 'cents', 'id', 10000, occurred_at => 'at', id_prefix => 'r-') > 0 AS refunds;
SET client_min_messages = notice;
CALL referral.backfill('old.refunds', 4);
SELECT referral.attach('old.orders', 'payer', 'cents', 'id', 10000, refunded => 'back', id_prefix => 'r-') > 0 AS orders;
CALL referral.backfill('old.orders', 4);
CALL referral.backfill('old.orders');
CALL referral.backfill('old.refunds');
SELECT count(*), sum(amount_micro), array_agg(refund_id ORDER BY refund_no) AS ids FROM referral.refund WHERE program_id = 7301;
SELECT count(*), sum(amount_micro) FROM referral.refund_waiting;
ALTER TABLE referral.refund DISABLE TRIGGER USER;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES
    (7301, 'v-1', 'r-1', 1), (7301, 'v-2', 'r-1', 1000000), (7301, 'v-3', 'r-2', 1), (7301, 'v-4', 'nothing', 1);
ALTER TABLE referral.refund ENABLE TRIGGER USER;
CALL referral.backfill('referral.refund', 2);
CALL referral.backfill('referral.refund', 2);
SELECT refund_id, taken_in FROM referral.refund WHERE program_id = 7301 AND starts_with(refund_id, 'v-') ORDER BY refund_no;

SET client_min_messages = warning;
SELECT count(*) AS detached FROM referral.source s, LATERAL referral.detach(s.relation, s.program_id) d WHERE s.program_id IN (7301, 7302) AND d;
\c :home
DROP DATABASE referral_backfill;
