-- CONTRACT section 1: refunds from attached tables: a column of a payments table
-- that says what was given back so far, and tables of refunds.
\pset format unaligned
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO referral.program (program_id, name, time_zone) VALUES (7501, 'attach refunds', 'Europe/Berlin');
SET referral.program_id = 7501;
CREATE SCHEMA shop;
CREATE FUNCTION shop.refunds(prefix text) RETURNS TABLE (
    refund_id text, payment_id text, amount_micro bigint, reason text, occurred_at text, applied bigint)
LANGUAGE sql AS $$
    SELECT r.refund_id, r.payment_id, r.amount_micro, r.reason,
           CASE WHEN r.occurred_at = now() THEN 'now'
                ELSE to_char(r.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') END,
           a.total_micro
    FROM referral.refund r
    LEFT JOIN referral.payment p ON p.program_id = r.program_id AND p.payment_id = r.payment_id
    LEFT JOIN referral.refund_applied a
           ON a.program_id = r.program_id AND a.payment_no = p.payment_no AND a.refund_no = r.refund_no
    WHERE r.program_id = 7501 AND starts_with(r.refund_id, $1) ORDER BY r.refund_no
$$;
CREATE FUNCTION shop.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION shop.backfill(source regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE run bigint := referral.backfill_begin($1, 3, 7501);
BEGIN
    WHILE referral.backfill_batch($1, 3, 7501, run) LOOP END LOOP;
    RETURN (SELECT format('%s taken in, %s skipped, of %s', done, skipped, total)
            FROM referral.progress WHERE program_id = 7501 AND progress_id = run);
END $$;
CREATE VIEW shop.state AS
SELECT relation, state, incomplete, known, decreased FROM referral.stat_source WHERE program_id = 7501;

-- 1. refunded: what the column says becomes what the books hold.
CREATE TABLE shop.orders (id integer PRIMARY KEY, payer text, cents integer, back integer, note text);
INSERT INTO shop.orders VALUES (1, 'before', 100, 40), (2, 'before', 100, 40);
SELECT referral.attach('shop.orders', 'payer', 'cents', 'id', 10000, refunded => 'back', id_prefix => 'o-') > 0 AS attached;
INSERT INTO shop.orders VALUES (3, 'a', 100, NULL), (4, 'a', 100, 0), (5, 'a', 100, 25), (6, 'a', 100, -5);
SELECT * FROM shop.refunds('o-');
UPDATE shop.orders SET back = coalesce(back, 0) + 10 WHERE id > 2;
SELECT * FROM shop.refunds('o-');
-- nothing became more
UPDATE shop.orders SET note = 'x', cents = 90;
-- less, and less than less
UPDATE shop.orders SET back = 20 WHERE id = 5;
UPDATE shop.orders SET back = NULL WHERE id = 3;
TABLE shop.state;
-- more again: what was reached before makes nothing, what lies above it does
UPDATE shop.orders SET back = 35 WHERE id = 5;
UPDATE shop.orders SET back = 60 WHERE id = 5;
UPDATE shop.orders SET back = 10 WHERE id = 3;
SELECT * FROM shop.refunds('o-5') UNION ALL SELECT * FROM shop.refunds('o-3');
-- a row of before: correcting it is no refund; more is, and all of it; it waits for its payment
UPDATE shop.orders SET note = 'y' WHERE id < 3;
UPDATE shop.orders SET back = 50 WHERE id = 1;
SELECT * FROM shop.refunds('o-1');
SELECT shop.backfill('shop.orders'), shop.backfill('shop.orders') AS again;
SELECT * FROM shop.refunds('o-1') UNION ALL SELECT * FROM shop.refunds('o-2');
-- more than the base is refused, and takes the statement along
UPDATE shop.orders SET back = 101 WHERE id IN (3, 4);
SELECT id, back FROM shop.orders WHERE back > 100;
SELECT count(*) FROM shop.refunds('o-');
-- without a user there is neither payment nor refund
INSERT INTO shop.orders VALUES (7, NULL, 100, 10);
UPDATE shop.orders SET note = 'z' WHERE id = 7;
UPDATE shop.orders SET back = 20 WHERE id = 7;
SELECT incomplete FROM shop.state;
UPDATE shop.orders SET payer = 'late' WHERE id = 7;
SELECT count(*) FROM referral.payment WHERE program_id = 7501 AND payment_id = 'o-7';
SELECT shop.backfill('shop.orders');
SELECT * FROM shop.refunds('o-7');
-- ways of writing
INSERT INTO shop.orders VALUES (3, 'u', 1, 20), (8, 'u', 100, 8) ON CONFLICT (id) DO UPDATE SET back = excluded.back;
MERGE INTO shop.orders o USING (VALUES (8, 9), (9, 9)) v(id, back) ON o.id = v.id
    WHEN MATCHED THEN UPDATE SET back = v.back WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'm', 100, v.back);
SAVEPOINT s;
UPDATE shop.orders SET back = 100 WHERE id = 9;
ROLLBACK TO s;
UPDATE shop.orders SET back = 10 WHERE id = 9;
SELECT * FROM shop.refunds('o-8') UNION ALL SELECT * FROM shop.refunds('o-9') UNION ALL SELECT * FROM shop.refunds('o-3');

-- 2. With paid_when: only a row that counts; paid first and given back in one statement.
CREATE TABLE shop.invoices (key text, payer text, gross numeric, net numeric, back numeric, paid boolean);
SELECT referral.attach('shop.invoices', 'payer', 'gross', 'key', base => 'net', refunded => 'back', paid_when => 'paid', id_prefix => 'i-') > 0 AS attached;
INSERT INTO shop.invoices VALUES ('a', 'p', 12, 10, 1.23456789, true), ('b', 'p', 12, 10, 2, false);
SELECT * FROM shop.refunds('i-');
UPDATE shop.invoices SET back = 3 WHERE key = 'b';
SELECT count(*) FROM shop.refunds('i-b');
UPDATE shop.invoices SET paid = true, back = 4 WHERE key = 'b';
UPDATE shop.invoices SET paid = false, back = 5;
UPDATE shop.invoices SET paid = true;
SELECT * FROM shop.refunds('i-');
-- in units of the base, which is net
SELECT shop.error('UPDATE shop.invoices SET back = 10.000001'), shop.error('UPDATE shop.invoices SET back = 10.0000009');
SELECT sum(amount_micro) FROM shop.refunds('i-');
UPDATE shop.invoices SET back = 'NaN';
-- rows that share a payment: the greatest is its total
INSERT INTO shop.invoices VALUES ('c', 'p', 9, 9, 2, true), ('c', 'p', 9, 9, 3, true), ('d', 'p', 9, 9, 1, true);
SELECT * FROM shop.refunds('i-c') UNION ALL SELECT * FROM shop.refunds('i-d');
-- an id that goes on where another ends
INSERT INTO shop.invoices VALUES ('e', 'p', 9, 9, 1, true), ('e:1', 'p', 9, 9, 2, true), ('e;', 'p', 9, 9, 3, true);
UPDATE shop.invoices SET back = back + 1 WHERE starts_with(key, 'e');
SELECT * FROM shop.refunds('i-e');

-- 3. Partitions, moved rows, bulk.
CREATE TABLE shop.parted (id integer, payer text, cents integer, region text, back integer) PARTITION BY LIST (region);
CREATE TABLE shop.parted_a PARTITION OF shop.parted FOR VALUES IN ('a');
CREATE TABLE shop.parted_b (back smallint, region text, payer text, id integer, cents integer);
SELECT referral.attach('shop.parted', 'payer', 'cents', 'id', 1, refunded => 'back', id_prefix => 'r-') > 0 AS attached;
ALTER TABLE shop.parted_b ALTER back TYPE integer;
ALTER TABLE shop.parted ATTACH PARTITION shop.parted_b FOR VALUES IN ('b');
INSERT INTO shop.parted VALUES (1, 'p', 100, 'a', 1), (2, 'p', 100, 'b', 2);
UPDATE shop.parted SET back = 3;
UPDATE shop.parted_b SET back = 4;
UPDATE shop.parted SET region = 'b', back = 5 WHERE id = 1;
SELECT * FROM shop.refunds('r-');
CREATE TABLE shop.bulk (id integer PRIMARY KEY, payer text, cents bigint, back bigint);
SELECT referral.attach('shop.bulk', 'payer', 'cents', 'id', 1, refunded => 'back', id_prefix => 'bulk-') > 0 AS attached;
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE WARNING 'a statement of % refunds', (SELECT count(*) FROM new_rows); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON referral.refund REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();
SET work_mem = '64kB';
INSERT INTO shop.bulk SELECT i, 'u' || i % 7, i, i % 2 FROM generate_series(1, 5000) i;
UPDATE shop.bulk SET back = least(back + 2, cents);
RESET work_mem;
DROP TRIGGER tell ON referral.refund;
SELECT count(*), sum(amount_micro), (SELECT sum(back) FROM shop.bulk) AS back FROM shop.refunds('bulk-');

-- 4. attach_refunds(): what a column may be.
CREATE TABLE shop.given (id integer, what text, cents integer, why text, at timestamp);
SELECT statement, shop.error(statement) FROM (VALUES
    ('SELECT referral.attach_refunds(NULL, ''what'', ''cents'', ''id'')'),
    ('SELECT referral.attach_refunds(''shop.given'', NULL, ''cents'', ''id'')'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', NULL)'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''id'', 0)'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''id'', id_prefix => repeat(''p'', 101))'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''no'')'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''why'', ''id'')'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''at'')'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''id'', reason => ''cents'')'),
    ('SELECT referral.attach_refunds(''shop.orders'', ''id'', ''back'', ''id'')'),
    ('SELECT referral.attach_refunds(''referral.refund'', ''payment_id'', ''amount_micro'', ''refund_id'')'),
    ('SELECT referral.attach_refunds(''shop.given'', ''what'', ''cents'', ''id'', program_id => 7599)'),
    ('SELECT referral.attach(''shop.bulk'', ''payer'', ''cents'', ''id'', refunded => ''back'')'),
    ('SELECT referral.attach(''shop.given'', ''what'', ''cents'', ''id'', refunded => ''at'')')
) AS v(statement);

-- 5. Rows of a table of refunds.
CREATE TABLE shop.sales (id text, payer text, cents integer);
SELECT referral.attach('shop.sales', 'payer', 'cents', 'id', 10000, id_prefix => 's-') > 0 AS sales,
       referral.attach_refunds('shop.given', 'what', 'cents', 'id', 10000, 'why', 'at', 's-') > 0 AS given;
INSERT INTO shop.sales VALUES ('A', 'p', 100), ('B', 'p', 100), ('C', 'p', 100);
INSERT INTO shop.given VALUES (1, 'A', 10, 'broken', '2024-07-01 12:00'), (2, 'B', 20, NULL, NULL), (3, 'A', 30, repeat('ü', 1001), '2024-01-01');
COPY shop.given FROM stdin;
4	late	40	\N	\N
\.
SELECT refund_id, payment_id, amount_micro, left(reason, 6) AS reason, length(reason), occurred_at, applied FROM shop.refunds('s-');
INSERT INTO shop.sales VALUES ('late', 'p', 100);
INSERT INTO shop.given VALUES (1, 'A', 10), (5, NULL, 10), (6, 'A', NULL), (NULL, 'A', 10), (7, 'C', 1);
SELECT refund_id, payment_id, amount_micro, applied FROM shop.refunds('s-');
TABLE shop.state;
SELECT shop.error('INSERT INTO shop.given VALUES (8, ''C'', 1), (9, ''C'', 99)'), shop.error('INSERT INTO shop.given VALUES (8, ''C'', 0)');
UPDATE shop.given SET cents = 50;
DELETE FROM shop.given WHERE id = 1;
SELECT count(*) FROM shop.refunds('s-');
-- renamed, lost, found again, detached
ALTER TABLE shop.given RENAME cents TO pence;
ALTER TABLE shop.given RENAME id TO number;
INSERT INTO shop.given VALUES (10, 'C', 1);
SELECT refund_id_column, amount_column, payment_id_column, reason_column, occurred_at_column, user_column
FROM referral.source WHERE program_id = 7501 AND relation = 'shop.given'::regclass;
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tgname, tgrelid::regclass AS tab FROM pg_trigger
             WHERE tgrelid IN ('shop.given'::regclass, 'shop.orders'::regclass) AND NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.tab);
    END LOOP; END $$;
INSERT INTO shop.given VALUES (11, 'C', 1);
UPDATE shop.orders SET back = 90 WHERE id = 9;
SELECT relation, state FROM shop.state WHERE state <> 'attached';
SELECT referral.restore_triggers();
INSERT INTO shop.given VALUES (12, 'C', 1);
SELECT refund_id, applied FROM shop.refunds('s-1');
UPDATE shop.orders SET back = 95 WHERE id = 9;
SELECT shop.backfill('shop.given'), shop.backfill('shop.given') AS again;
SELECT refund_id, applied FROM shop.refunds('s-1') UNION ALL SELECT refund_id, applied FROM shop.refunds('o-9');
SELECT referral.detach('shop.given');
INSERT INTO shop.given VALUES (13, 'C', 1);
SELECT count(*) FROM shop.refunds('s-13');
-- partitioned
CREATE TABLE shop.gone (LIKE shop.given) PARTITION BY LIST (what);
CREATE TABLE shop.gone_1 PARTITION OF shop.gone DEFAULT;
SELECT referral.attach_refunds('shop.gone', 'what', 'pence', 'number', 1, id_prefix => 's-') > 0 AS attached;
INSERT INTO shop.gone VALUES (20, 'C', 1);
INSERT INTO shop.gone_1 VALUES (21, 'C', 1);
SELECT refund_id, reason FROM shop.refunds('s-2') WHERE refund_id > 's-20';

-- 6. Who writes the shop's tables needs no right on ours.
CREATE ROLE referral_test_refunder;
GRANT USAGE ON SCHEMA shop TO referral_test_refunder;
GRANT INSERT, UPDATE, SELECT ON ALL TABLES IN SCHEMA shop TO referral_test_refunder;
SET ROLE referral_test_refunder;
INSERT INTO shop.gone VALUES (22, 'C', 1), (NULL, 'C', 1);
UPDATE shop.orders SET back = 96 WHERE id = 9;
SELECT shop.error($$INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (7501, 'x', 's-C', 1)$$);
RESET ROLE;
SELECT refund_id FROM shop.refunds('s-22') UNION ALL SELECT refund_id FROM shop.refunds('o-9');

SELECT * FROM referral.verify(7501);
ROLLBACK;
