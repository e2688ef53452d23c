-- CONTRACT section 1: an application that has its own payments table keeps it.
-- Types, write paths, paid_when, partitions; the books hold what the table says.
\pset format unaligned
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
\set ON_ERROR_ROLLBACK on
SET timezone = 'America/New_York';
INSERT INTO referral.program (program_id, name, time_zone) VALUES
    (7101, 'attach', 'Europe/Berlin'), (7102, 'attach too', 'UTC');
SET referral.program_id = 7101;
CREATE SCHEMA shop;

CREATE FUNCTION shop.taken(prefix text) RETURNS TABLE (
    payment_id text, user_id text, amount_micro bigint, base_micro bigint, kind text, occurred_at text)
LANGUAGE sql AS $$
    SELECT p.payment_id, p.user_id, p.amount_micro, p.base_micro, p.kind,
           CASE WHEN p.occurred_at = now() THEN 'now'
                ELSE to_char(p.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') END
    FROM referral.payment p
    WHERE p.program_id = 7101 AND starts_with(p.payment_id, $1) ORDER BY p.payment_no
$$;

-- 1. Every type a column may have, and what it becomes.
CREATE TYPE shop.kind AS ENUM ('purchase', 'deposit');
CREATE DOMAIN shop.positive AS numeric CHECK (VALUE > 0);
CREATE DOMAIN shop.key AS uuid;
CREATE DOMAIN shop.cents AS integer;

CREATE FUNCTION shop.try(role text, type text, value text, unit bigint DEFAULT 1000000)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    prefix text := nextval('shop.attempt') || ':';
    types jsonb := jsonb_build_object('user_id', 'text', 'amount', 'integer',
                                      'payment_id', 'integer', role, type);
    vals jsonb := jsonb_build_object('user_id', '''u''', 'amount', '1',
                                     'payment_id', '1', role, value);
    message text;
    detail text;
    hint text;
    answer text;
BEGIN
    EXECUTE (SELECT format('CREATE TABLE shop.t (%s)', string_agg(key || ' ' || (types ->> key), ', '))
             FROM jsonb_object_keys(types) key);
    EXECUTE format('SELECT referral.attach(%L, ''user_id'', ''amount'', ''payment_id'','
                   'id_prefix => %L, unit_micro => %s %s)', 'shop.t', prefix, unit,
                   CASE WHEN role NOT IN ('user_id', 'amount', 'payment_id')
                   THEN format(', %I => %L', role, role) END);
    EXECUTE (SELECT format('INSERT INTO shop.t (%s) VALUES (%s)',
                           string_agg(key, ', '), string_agg(vals ->> key, ', '))
             FROM jsonb_object_keys(types) key);
    SELECT format('%s|%s|%s|%s|%s|%s', split_part(t.payment_id, ':', 2), t.user_id, t.amount_micro,
                  t.base_micro, t.kind, t.occurred_at) INTO answer FROM shop.taken(prefix) t;
    PERFORM referral.detach('shop.t');
    DROP TABLE shop.t;
    RETURN coalesce(answer, 'no payment');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    -- a violated CHECK shows the row, with its number and time
    RETURN concat_ws(' / ', SQLSTATE || ' ' || message,
                     CASE WHEN SQLSTATE <> '23514' THEN nullif(detail, '') END, nullif(hint, ''));
END $$;
CREATE SEQUENCE shop.attempt;

SELECT role, type, value, unit, shop.try(role, type, value, unit)
FROM (VALUES
    (1, 'payment_id', 'smallint', '-32768', 1000000),
    (2, 'payment_id', 'bigint', '9223372036854775807', 1000000),
    (3, 'payment_id', 'uuid', '''A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11''', 1000000),
    (4, 'payment_id', 'shop.key', '''a0eebc999c0b4ef8bb6d6bb9bd380a11''', 1000000),
    (5, 'payment_id', 'text', '$q$Zahlung №1 '' " \$q$', 1000000),
    (6, 'payment_id', 'varchar(9)', '''padded   ''', 1000000),
    (7, 'payment_id', 'char(9)', '''padded''', 1000000),
    (8, 'payment_id', 'text', '''''', 1000000),
    (9, 'payment_id', 'text', 'repeat(''x'', 201)', 1000000),
    (10, 'payment_id', 'numeric', '1', 1000000),
    (11, 'payment_id', 'bytea', '''a''', 1000000),
    (20, 'user_id', 'integer', '42', 1000000),
    (21, 'user_id', 'uuid', '''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11''', 1000000),
    (22, 'user_id', 'jsonb', '''"u"''', 1000000),
    (30, 'amount', 'smallint', '12', 10000),
    (31, 'amount', 'shop.cents', '1999', 10000),
    (32, 'amount', 'bigint', '9223372036854', 1000000),
    (33, 'amount', 'bigint', '9223372036855', 1000000),
    (34, 'amount', 'bigint', '9223372036854775807', 1),
    (35, 'amount', 'bigint', '-9223372036854775808', 2),
    (36, 'amount', 'integer', '-1', 1000000),
    (37, 'amount', 'integer', '0', 1000000),
    (40, 'amount', 'numeric', '1.9999999', 1000000),
    (41, 'amount', 'numeric(12,2)', '19.99', 1000000),
    (42, 'amount', 'numeric(5,-2)', '12345', 1000000),
    (43, 'amount', 'numeric', '0.' || repeat('0', 99) || '1', 1000000),
    (44, 'amount', 'numeric', '9223372036854.775807' || repeat('9', 99), 1000000),
    (45, 'amount', 'numeric', '9223372036854.775808', 1000000),
    (46, 'amount', 'numeric', '1e100', 1000000),
    (47, 'amount', 'numeric', '''NaN''', 1000000),
    (48, 'amount', 'numeric', '''Infinity''', 1000000),
    (49, 'amount', 'numeric', '-0.0000001', 1000000),
    (50, 'amount', 'shop.positive', '2.5', 333),
    (51, 'amount', 'double precision', '1', 1000000),
    (52, 'amount', 'money', '1', 1000000),
    (60, 'base', 'numeric', '0.0015', 1000000),
    (61, 'base', 'numeric', 'NULL', 1000000),
    (62, 'base', 'text', '1', 1000000),
    (70, 'kind', 'text', '''deposit''', 1000000),
    (71, 'kind', 'shop.kind', '''deposit''', 1000000),
    (72, 'kind', 'char(20)', '''deposit''', 1000000),
    (73, 'kind', 'text', 'NULL', 1000000),
    (74, 'kind', 'integer', '1', 1000000),
    (80, 'occurred_at', 'timestamptz', '''2024-07-01 12:00 UTC''', 1000000),
    (81, 'occurred_at', 'timestamp', '''2024-07-01 12:00''', 1000000),
    (82, 'occurred_at', 'date', '''2024-07-01''', 1000000),
    (83, 'occurred_at', 'date', '''2024-01-01''', 1000000),
    (84, 'occurred_at', 'timestamptz', 'NULL', 1000000),
    (85, 'occurred_at', 'timestamptz', '''infinity''', 1000000),
    (86, 'occurred_at', 'timestamp', '''infinity''', 1000000),
    (87, 'occurred_at', 'time', '''12:00''', 1000000),
    (88, 'occurred_at', 'integer', '1', 1000000),
    (90, 'paid_when', 'boolean', 'true', 1000000),
    (91, 'paid_when', 'boolean', 'false', 1000000),
    (92, 'paid_when', 'boolean', 'NULL', 1000000),
    (93, 'paid_when', 'timestamptz', '''2024-07-02 12:00 UTC''', 1000000),
    (94, 'paid_when', 'timestamp', '''2024-07-02 12:00''', 1000000),
    (95, 'paid_when', 'date', '''2024-07-02''', 1000000),
    (96, 'paid_when', 'date', 'NULL', 1000000),
    (97, 'paid_when', 'integer', '1', 1000000)
) AS v(n, role, type, value, unit) ORDER BY n;

-- 2. Arguments that are refused.
CREATE TABLE shop.plain (id integer, payer text, cents integer);
CREATE VIEW shop.view AS TABLE shop.plain;
CREATE TEMP TABLE temporary (id integer, payer text, cents integer);
CREATE FUNCTION shop.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT statement, shop.error(statement) FROM (VALUES
    ('SELECT referral.attach(NULL, ''payer'', ''cents'', ''id'')'),
    ('SELECT referral.attach(''shop.plain'', NULL, ''cents'', ''id'')'),
    ('SELECT referral.attach(''shop.plain'', ''payer'', ''cents'', ''id'', 0)'),
    ('SELECT referral.attach(''shop.plain'', ''payer'', ''cents'', ''id'', id_prefix => repeat(''p'', 101))'),
    ('SELECT referral.attach(''shop.plain'', ''payer'', ''cents'', ''id'', program_id => 7999)'),
    ('SELECT referral.attach(''shop.plain'', ''Payer'', ''cents'', ''id'')'),
    ('SELECT referral.attach(''shop.plain'', ''payer'', ''cents'', ''ctid'')'),
    ('SELECT referral.attach(''shop.view'', ''payer'', ''cents'', ''id'')'),
    ('SELECT referral.attach(''temporary'', ''payer'', ''cents'', ''id'')'),
    ('SELECT referral.attach(''referral.payment'', ''user_id'', ''amount_micro'', ''payment_id'', 1)'),
    ('SELECT referral.attach(''pg_catalog.pg_class'', ''relname'', ''relpages'', ''relname'')'),
    ('SELECT referral.attach(999999999::regclass, ''payer'', ''cents'', ''id'')')
) AS v(statement);
SELECT count(*) AS registered FROM referral.source WHERE program_id IN (7101, 7102);

-- 3. One table feeds two programs; twice to one is an error; detach says whether.
SELECT referral.attach('shop.plain', 'payer', 'cents', 'id', 10000, id_prefix => 'plain-') > 0 AS attached;
SELECT shop.error($$SELECT referral.attach('shop.plain', 'payer', 'cents', 'id')$$);
SELECT referral.attach('shop.plain', 'payer', 'cents', 'id', 1, program_id => 7102) > 0 AS attached;
INSERT INTO shop.plain VALUES (1, 'anna', 1999);
SELECT program_id, payment_id, amount_micro FROM referral.payment
WHERE program_id IN (7101, 7102) AND user_id = 'anna' ORDER BY program_id;
SELECT referral.detach('shop.plain', 7102), referral.detach('shop.plain', 7102);
INSERT INTO shop.plain VALUES (2, 'anna', 1);
SELECT program_id, payment_id, amount_micro FROM referral.payment
WHERE program_id IN (7101, 7102) AND user_id = 'anna' ORDER BY program_id, payment_no;

-- 4. Ways of writing.
TRUNCATE shop.plain;
CREATE UNIQUE INDEX plain_id ON shop.plain (id);
INSERT INTO shop.plain VALUES (10, 'm', 1), (11, 'm', 2), (12, 'm', 3);
INSERT INTO shop.plain SELECT i, 's', i FROM generate_series(20, 22) i;
COPY shop.plain FROM stdin;
30	c	30
31	c	31
\.
INSERT INTO shop.plain VALUES (30, 'conflict', 1), (32, 'c', 32) ON CONFLICT DO NOTHING;
INSERT INTO shop.plain VALUES (32, 'upsert', 1), (33, 'c', 33)
    ON CONFLICT (id) DO UPDATE SET payer = excluded.payer;
MERGE INTO shop.plain p USING (VALUES (33, 'merged', 1), (34, 'merged', 2)) v(id, payer, cents) ON p.id = v.id
    WHEN MATCHED THEN UPDATE SET cents = v.cents
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.payer, v.cents);
WITH a AS (INSERT INTO shop.plain VALUES (40, 'cte', 1) RETURNING id),
     b AS (INSERT INTO shop.plain SELECT id + 1, 'cte', 2 FROM a RETURNING id)
INSERT INTO shop.plain SELECT id + 1, 'cte', 3 FROM b;
SAVEPOINT s;
INSERT INTO shop.plain VALUES (50, 'undone', 1);
ROLLBACK TO s;
INSERT INTO shop.plain VALUES (51, 'kept', 1);
RELEASE s;
INSERT INTO shop.plain SELECT WHERE false;
UPDATE shop.plain SET cents = 999;
DELETE FROM shop.plain;
SELECT payment_id, user_id, amount_micro FROM shop.taken('plain-') WHERE payment_id > 'plain-2';

-- 5. Null rows are passed over and counted, and so are ids that are known.
INSERT INTO shop.plain VALUES (60, NULL, 1), (61, 'n', NULL), (NULL, 'n', 1), (62, 'n', 1);
INSERT INTO shop.plain VALUES (63, NULL, 1);
INSERT INTO shop.plain VALUES (10, 'again', 1), (64, 'n', 1);
SELECT payment_id, user_id FROM shop.taken('plain-6');
SELECT relation, state, incomplete, known FROM referral.stat_source WHERE program_id = 7101;

-- 6. A row that is refused takes its statement along.
INSERT INTO shop.plain VALUES (70, 'n', 1), (71, 'n', -1);
SELECT * FROM shop.plain WHERE id >= 70;
SELECT * FROM shop.taken('plain-7');

-- 7. paid_when: a row counts when it is first true, by INSERT or by UPDATE.
CREATE TABLE shop.orders (id integer PRIMARY KEY, payer text, cents integer, paid boolean, note text);
INSERT INTO shop.orders VALUES (1, 'before', 1, true), (2, 'before', 1, false);
SELECT referral.attach('shop.orders', 'payer', 'cents', 'id', 10000, paid_when => 'paid', id_prefix => 'o-') > 0 AS attached;
INSERT INTO shop.orders VALUES (3, 'a', 3, true), (4, 'a', 4, false), (5, 'a', 5, NULL), (6, NULL, 6, true), (7, NULL, 7, false);
SELECT payment_id FROM shop.taken('o-');
-- nobody asked for the rows that were there: correcting them is no payment
UPDATE shop.orders SET note = 'x';
SELECT payment_id FROM shop.taken('o-');
UPDATE shop.orders SET paid = true WHERE id IN (2, 4);
UPDATE shop.orders SET paid = false, cents = 100;
UPDATE shop.orders SET paid = true WHERE id IN (3, 4, 5, 7);
UPDATE shop.orders SET payer = 'late' WHERE id = 7;
INSERT INTO shop.orders VALUES (4, 'u', 1, true), (8, 'u', 8, false) ON CONFLICT (id) DO UPDATE SET note = 'y';
MERGE INTO shop.orders o USING (VALUES (8), (9)) v(id) ON o.id = v.id
    WHEN MATCHED THEN UPDATE SET paid = true
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'merged', 9, true);
SELECT payment_id, user_id, amount_micro FROM shop.taken('o-');
SELECT relation, incomplete, known FROM referral.stat_source WHERE program_id = 7101 AND relation = 'shop.orders'::regclass;
-- a trigger of the application that decides about paid is heard
CREATE FUNCTION shop.pay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.paid := NEW.note = 'ok'; RETURN NEW; END $$;
CREATE TRIGGER pay BEFORE INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.pay();
INSERT INTO shop.orders VALUES (20, 'b', 20, true, 'no'), (21, 'b', 21, false, 'ok');
UPDATE shop.orders SET note = 'ok' WHERE id = 20;
SELECT payment_id, amount_micro FROM shop.taken('o-2');
-- two times: occurred_at is the one named so, else the one in paid_when
CREATE TABLE shop.invoices (id integer, payer text, net numeric, gross numeric, paid_at timestamptz, made_at timestamptz);
SELECT referral.attach('shop.invoices', 'payer', 'gross', 'id', base => 'net', paid_when => 'paid_at', id_prefix => 'i-') > 0 AS attached,
       referral.attach('shop.invoices', 'payer', 'gross', 'id', base => 'net', paid_when => 'paid_at', occurred_at => 'made_at',
                       id_prefix => 'i-', program_id => 7102) > 0 AS attached;
INSERT INTO shop.invoices VALUES (1, 'p', 1.5, 2, NULL, '2024-01-01 UTC'), (2, 'p', NULL, 2, '2024-02-02 UTC', NULL);
UPDATE shop.invoices SET paid_at = '2024-01-02 UTC' WHERE id = 1;
UPDATE shop.invoices SET paid_at = '2024-01-03 UTC' WHERE id = 1;
SELECT program_id, payment_id, amount_micro, base_micro, occurred_at AT TIME ZONE 'UTC' AS occurred_at
FROM referral.payment WHERE program_id IN (7101, 7102) AND payment_id LIKE 'i-%' ORDER BY program_id, payment_id;

-- 8. Partitions: through the parent, directly, added later, with another order
--    of columns, of a partition; each row once.
CREATE TABLE shop.parted (id integer, payer text, cents integer, region text, paid boolean) PARTITION BY LIST (region);
CREATE TABLE shop.parted_a PARTITION OF shop.parted FOR VALUES IN ('a');
CREATE TABLE shop.parted_b (paid boolean, gone text, region text, cents integer, payer text, id integer);
ALTER TABLE shop.parted_b DROP COLUMN gone;
ALTER TABLE shop.parted ATTACH PARTITION shop.parted_b FOR VALUES IN ('b');
SELECT referral.attach('shop.parted', 'payer', 'cents', 'id', 1, paid_when => 'paid', id_prefix => 'r-') > 0 AS attached;
SELECT shop.error($$SELECT referral.attach('shop.parted_a', 'payer', 'cents', 'id')$$);
CREATE TABLE shop.parted_c PARTITION OF shop.parted FOR VALUES IN ('c') PARTITION BY RANGE (id);
CREATE TABLE shop.parted_c1 (cents integer, id integer, paid boolean, payer text, region text);
ALTER TABLE shop.parted_c ATTACH PARTITION shop.parted_c1 FOR VALUES FROM (0) TO (100);
INSERT INTO shop.parted VALUES (1, 'p', 1, 'a', true), (2, 'p', 2, 'b', true), (3, 'p', 3, 'c', true), (4, 'p', 4, 'c', false);
INSERT INTO shop.parted_a VALUES (5, 'p', 5, 'a', true);
INSERT INTO shop.parted_b (id, payer, cents, region, paid) VALUES (6, 'p', 6, 'b', true), (7, NULL, 7, 'b', true);
INSERT INTO shop.parted_c1 (id, payer, cents, region, paid) VALUES (8, 'p', 8, 'c', true);
COPY shop.parted FROM stdin;
9	p	9	b	t
10	p	10	c	f
\.
UPDATE shop.parted SET paid = true WHERE id = 4;
UPDATE shop.parted_c1 SET paid = true WHERE id = 10;
UPDATE shop.parted SET region = 'b' WHERE id = 1;
SELECT payment_id, amount_micro FROM shop.taken('r-');
SELECT relation, state, incomplete FROM referral.stat_source WHERE program_id = 7101 AND relation = 'shop.parted'::regclass;
ALTER TABLE shop.parted DETACH PARTITION shop.parted_b;
INSERT INTO shop.parted_b (id, payer, cents, region, paid) VALUES (11, 'p', 11, 'b', true);
SELECT count(*) FROM shop.taken('r-11');
SELECT referral.detach('shop.parted');
INSERT INTO shop.parted VALUES (12, 'p', 12, 'a', true);
SELECT count(*) FROM shop.taken('r-12');
-- a partition by itself counts what is written to it, also through its parent
SELECT referral.attach('shop.parted_a', 'payer', 'cents', 'id', 1, id_prefix => 'ra-') > 0 AS attached;
INSERT INTO shop.parted VALUES (1, 'p', 1, 'a'), (2, 'p', 2, 'c');
INSERT INTO shop.parted_a VALUES (3, 'p', 3, 'a');
SELECT payment_id FROM shop.taken('ra-');
SELECT shop.error($$SELECT referral.attach('shop.parted', 'payer', 'cents', 'id')$$);

-- 9. Inheritance: a table counts its own rows.
CREATE TABLE shop.base (id integer, payer text, cents integer);
CREATE TABLE shop.child (extra text) INHERITS (shop.base);
SELECT referral.attach('shop.base', 'payer', 'cents', 'id', id_prefix => 'h-') > 0 AS base,
       referral.attach('shop.child', 'payer', 'cents', 'id', id_prefix => 'hc-') > 0 AS child;
INSERT INTO shop.base VALUES (1, 'p', 1);
INSERT INTO shop.child VALUES (2, 'p', 2);
SELECT payment_id FROM shop.taken('h');

-- a plain table that becomes a partition is told of, and set right by attaching anew
CREATE TABLE shop.year (id integer, payer text, cents integer, y integer);
SELECT referral.attach('shop.year', 'payer', 'cents', 'id', id_prefix => 'y-') > 0 AS attached;
CREATE TABLE shop.years (LIKE shop.year) PARTITION BY LIST (y);
ALTER TABLE shop.years ATTACH PARTITION shop.year FOR VALUES IN (2024);
SELECT state FROM referral.stat_source WHERE relation = 'shop.year'::regclass;
SELECT referral.detach('shop.year'), referral.attach('shop.year', 'payer', 'cents', 'id', id_prefix => 'y-') > 0 AS attached;
SELECT state FROM referral.stat_source WHERE relation = 'shop.year'::regclass;
INSERT INTO shop.years VALUES (1, 'p', 1, 2024);
INSERT INTO shop.year VALUES (2, 'p', 2, 2024);
SELECT payment_id FROM shop.taken('y-');

-- 10. Bulk reaches the books as one statement.
CREATE TABLE shop.bulk (id integer, payer text, cents bigint);
SELECT referral.attach('shop.bulk', 'payer', 'cents', 'id', 1, id_prefix => 'bulk-') > 0 AS attached;
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE WARNING 'a statement of % payments', (SELECT count(*) FROM new_rows); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON referral.payment REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();
SET work_mem = '64kB';
INSERT INTO shop.bulk SELECT i, 'u' || i % 7, i FROM generate_series(1, 5000) i;
RESET work_mem;
DROP TRIGGER tell ON referral.payment;
SELECT count(*), sum(amount_micro), min(payment_id), bool_and(split_part(payment_id, '-', 2)::int = n) AS in_order
FROM (SELECT p.*, row_number() OVER (ORDER BY payment_no) AS n FROM referral.payment p
      WHERE program_id = 7101 AND payment_id LIKE 'bulk-%') b;

-- 11. A table that is gone leaves a registration that nothing minds.
DROP TABLE shop.bulk;
SELECT state, count(*) FROM referral.stat_source WHERE program_id = 7101 GROUP BY state ORDER BY state;
CREATE TABLE shop.bulk (id uuid, payer bigint, cents numeric);
SELECT referral.attach('shop.bulk', 'payer', 'cents', 'id') > 0 AS attached;
SELECT state, count(*) FROM referral.stat_source WHERE program_id = 7101 GROUP BY state ORDER BY state;

SELECT count(*) AS detached FROM referral.source s, LATERAL referral.detach(s.relation, s.program_id) d
WHERE s.program_id IN (7101, 7102) AND d;
SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgfoid = 'referral.source_in'::regproc;
ROLLBACK;
