-- Every way of writing gives the same books. Each way tells the same story to
-- a program of its own, whose books must equal those of program 1, where the
-- payments came one by one.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

INSERT INTO referral.program (program_id, name, max_level, hold_days, time_zone)
SELECT p, 'way ' || p, 3, 14, 'Europe/Berlin' FROM generate_series(1, 30) p;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
SELECT p, t, 'tier ' || t, 2 * (t - 1) FROM generate_series(1, 30) p, generate_series(1, 2) t;
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, referrer_monthly_cap, budget_micro)
SELECT p, 1, 'spring', '2024-01-01', '2024-12-31', 1, 2, 1000000 FROM generate_series(1, 30) p;
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro, max_payments)
SELECT p, r.* FROM generate_series(1, 30) p,
    (VALUES (0, 0, 0, 0, 50, 1), (0, 1, 1, 1000, 0, NULL), (0, 2, 1, 1500, 0, NULL), (0, 0, 2, 400, 0, NULL), (1, 0, 1, 2000, 0, 2)) r;
-- PL/pgSQL, so that each program takes its own id.
DO $$
BEGIN
    FOR p IN 1..30 LOOP
        PERFORM set_config('referral.program_id', p::text, false);
        CALL join_by('b<a c<b d<b e<c f<b');
        CALL join_by('g<a h<a', campaign => 1);
        CALL hold('{f}');
    END LOOP;
END $$;

-- The story: first payments, a threshold crossed, caps used up, waiting, late,
-- depositing and unrelated payers.
CREATE TABLE told.story (n int, payment_id text, user_id text, amount_micro bigint, base_micro bigint, kind text, occurred_at timestamptz);
INSERT INTO story VALUES
    (1, 'c1', 'c', 1999, NULL, 'purchase', '2024-02-01 12:00+00'),
    (2, 'd1', 'd', 5000, 3000, 'purchase', '2024-02-01 23:30+00'),
    (3, 'c2', 'c', 1999, NULL, 'purchase', '2024-02-29 23:00+00'),
    (4, 'e1', 'e', 100000, NULL, 'purchase', '2024-02-03 12:00+00'),
    (5, 'f1', 'f', 700, NULL, 'purchase', '2024-02-03 12:00+00'),
    (6, 'g1', 'g', 1000000, NULL, 'purchase', '2024-02-03 12:00+00'),
    (7, 'h1', 'h', 1000000, NULL, 'purchase', '2024-02-03 12:00+00'),
    (8, 'g2', 'g', 8000000, NULL, 'purchase', '2024-02-04 12:00+00'),
    (9, 'g3', 'g', 10, NULL, 'purchase', '2024-02-04 12:00+00'),
    (10, 'x1', 'stranger', 10, NULL, 'purchase', '2024-02-04 12:00+00'),
    (11, 'b1', 'b', 4444, NULL, 'deposit', '2024-02-04 12:00+00'),
    (12, 'b2', 'b', 4444, NULL, 'purchase', '2023-12-04 12:00+00'),
    (13, 'b3', 'b', 4444, 0, 'purchase', '2024-02-04 12:00+00'),
    (14, 'd2', 'd', 33, NULL, 'purchase', '2024-02-05 00:00+01');
CREATE FUNCTION told.pay(p bigint, s story) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
    VALUES (p, s.payment_id, s.user_id, s.amount_micro, s.base_micro, s.kind, s.occurred_at)
$$;

-- 1: one by one, each in a transaction of its own.
CREATE PROCEDURE told.one_by_one(p bigint) LANGUAGE plpgsql AS $$
DECLARE
    s story;
BEGIN
    FOR s IN SELECT * FROM told.story ORDER BY n LOOP
        PERFORM told.pay(p, s);
        COMMIT;
    END LOOP;
END $$;
CALL one_by_one(1);
SELECT * FROM books(1);

-- 2: INSERT … SELECT. 3: many VALUES. 4: COPY.
INSERT INTO referral.payment SELECT 2, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story ORDER BY n;
SELECT string_agg(format('(3, %L, %L, %s, %s, %L, %L)', payment_id, user_id, amount_micro, coalesce(base_micro::text, 'NULL'), kind, occurred_at), ', ' ORDER BY n) AS rows FROM story \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) VALUES :rows;
COPY referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) FROM stdin;
4	c1	c	1999	\N	purchase	2024-02-01 12:00+00
4	d1	d	5000	3000	purchase	2024-02-01 23:30+00
4	c2	c	1999	\N	purchase	2024-02-29 23:00+00
4	e1	e	100000	\N	purchase	2024-02-03 12:00+00
4	f1	f	700	\N	purchase	2024-02-03 12:00+00
4	g1	g	1000000	\N	purchase	2024-02-03 12:00+00
4	h1	h	1000000	\N	purchase	2024-02-03 12:00+00
4	g2	g	8000000	\N	purchase	2024-02-04 12:00+00
4	g3	g	10	\N	purchase	2024-02-04 12:00+00
4	x1	stranger	10	\N	purchase	2024-02-04 12:00+00
4	b1	b	4444	\N	deposit	2024-02-04 12:00+00
4	b2	b	4444	\N	purchase	2023-12-04 12:00+00
4	b3	b	4444	0	purchase	2024-02-04 12:00+00
4	d2	d	33	\N	purchase	2024-02-05 00:00+01
\.
SELECT * FROM compare(1, 2, 4);

-- 5: ON CONFLICT DO NOTHING, with rows that are there already and rows that
-- the statement itself repeats. 6: MERGE, half of it there already.
INSERT INTO referral.payment SELECT 5, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 3 ORDER BY n;
INSERT INTO referral.payment SELECT 5, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story, generate_series(1, 2) ORDER BY n
ON CONFLICT (program_id, payment_id) DO NOTHING;
INSERT INTO referral.payment SELECT 5, payment_id, 'somebody else', 77, base_micro, kind, occurred_at FROM story ORDER BY n
ON CONFLICT DO NOTHING RETURNING payment_id;
INSERT INTO referral.payment SELECT 6, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 7 ORDER BY n;
MERGE INTO referral.payment p USING (SELECT * FROM story ORDER BY n) s ON p.program_id = 6 AND p.payment_id = s.payment_id
WHEN MATCHED THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
    VALUES (6, s.payment_id, s.user_id, s.amount_micro, s.base_micro, s.kind, s.occurred_at);
SELECT * FROM compare(1, 5, 6);

-- 7: a data-modifying CTE that feeds another table too. 8: one query with two
-- inserts of payments. 9: RETURNING into a further insert of payments.
CREATE TABLE told.log (payment_id text);
WITH paid AS (
    INSERT INTO referral.payment SELECT 7, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story ORDER BY n
    RETURNING payment_id)
INSERT INTO told.log SELECT payment_id FROM paid;
WITH first AS (
    INSERT INTO referral.payment SELECT 8, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 5 ORDER BY n
    RETURNING payment_id)
INSERT INTO referral.payment SELECT 8, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story, (SELECT count(*) FROM first) f WHERE n > 5 ORDER BY n;
WITH first AS (
    INSERT INTO referral.payment SELECT 9, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 5 ORDER BY n
    RETURNING payment_id),
second AS (
    INSERT INTO referral.payment SELECT 9, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story, (SELECT count(*) FROM first) f WHERE n > 5 ORDER BY n
    RETURNING payment_id)
SELECT (SELECT count(*) FROM first) AS first, (SELECT count(*) FROM second) AS second;
SELECT count(*) FROM log;
SELECT * FROM compare(1, 7, 9);

-- 10: each in a savepoint. 11: each rolled back once, then again. 12: each
-- refused once, in a block that catches the error.
BEGIN;
SAVEPOINT outer_one;
DO $$
DECLARE
    s story;
BEGIN
    FOR s IN SELECT * FROM told.story ORDER BY n LOOP
        BEGIN
            PERFORM told.pay(10, s);
        EXCEPTION WHEN division_by_zero THEN
        END;
        BEGIN
            PERFORM told.pay(11, s);
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
            PERFORM told.pay(11, s);
        END;
        BEGIN
            PERFORM told.pay(12, s);
            INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (12, 'negative', 'c', -1);
        EXCEPTION WHEN numeric_value_out_of_range THEN
            PERFORM told.pay(12, s);
        END;
    END LOOP;
END $$;
RELEASE outer_one;
COMMIT;
-- 13: in a savepoint and again after its rollback, nested.
BEGIN;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 2 ORDER BY n;
SAVEPOINT one;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n BETWEEN 3 AND 9 ORDER BY n;
SAVEPOINT two;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 9 ORDER BY n;
ROLLBACK TO two;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 9 ORDER BY n;
ROLLBACK TO one;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n = 3;
RELEASE one;
INSERT INTO referral.payment SELECT 13, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 3 ORDER BY n;
COMMIT;
SELECT * FROM compare(1, 10, 13);

-- 14: a function called by the rows of a query, read through a cursor, half of
-- it fetched in one transaction. 15: a cursor held over commits tells them.
CREATE FUNCTION told.pay_and_say(p bigint, s story) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM told.pay(p, s);
    RETURN s.payment_id;
END $$;
BEGIN;
DECLARE telling CURSOR FOR SELECT pay_and_say(14, s) FROM (SELECT * FROM story ORDER BY n) s;
FETCH 5 FROM telling;
SAVEPOINT here;
FETCH 20 FROM telling;
COMMIT;
CREATE PROCEDURE told.by_cursor(p bigint) LANGUAGE plpgsql AS $$
DECLARE
    telling CURSOR FOR SELECT * FROM told.story ORDER BY n;
    s story;
BEGIN
    FOR nth IN telling LOOP
        s := nth;
        PERFORM told.pay(p, s);
        IF nth.n % 3 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$;
CALL by_cursor(15);
SELECT * FROM compare(1, 14, 15);

-- 16: a function that itself inserts payments, called by the rows of an insert
-- of payments: those it inserts come first. It also fails and catches that.
CREATE FUNCTION told.and_before(p bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (p, 'x', 'c', -1);
    EXCEPTION WHEN numeric_value_out_of_range THEN
    END;
    INSERT INTO referral.payment SELECT p, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM told.story WHERE n <= 6 ORDER BY n
    ON CONFLICT DO NOTHING;
    RETURN p;
END $$;
INSERT INTO referral.payment SELECT and_before(16), payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 6 ORDER BY n;
-- 17: a row trigger of the application's on the table of payments itself.
CREATE FUNCTION told.follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.program_id = 17 THEN
        PERFORM told.pay(17, s) FROM told.story s WHERE n = (SELECT n + 1 FROM told.story WHERE payment_id = NEW.payment_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER zz_follow AFTER INSERT ON referral.payment FOR EACH ROW EXECUTE FUNCTION told.follow();
INSERT INTO referral.payment SELECT 17, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n = 1;
DROP TRIGGER zz_follow ON referral.payment;
SELECT payment_id, taken_in FROM referral.payment WHERE program_id = 17 ORDER BY payment_no;
SELECT * FROM compare(1, 16, 16);

-- 18: through an updatable view. 19: by a rule of the application's own table.
-- 20: by a trigger of a partitioned one.
CREATE VIEW told.receipts AS SELECT program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM referral.payment;
INSERT INTO receipts SELECT 18, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story ORDER BY n;
CREATE TABLE told.invoice (LIKE told.story);
CREATE RULE also AS ON INSERT TO told.invoice DO ALSO
    INSERT INTO referral.payment VALUES (19, NEW.payment_id, NEW.user_id, NEW.amount_micro, NEW.base_micro, NEW.kind, NEW.occurred_at);
INSERT INTO invoice SELECT * FROM story ORDER BY n;
CREATE TABLE told.invoice_by_kind (LIKE told.story) PARTITION BY LIST (kind);
CREATE TABLE told.invoice_deposit PARTITION OF told.invoice_by_kind FOR VALUES IN ('deposit');
CREATE TABLE told.invoice_other PARTITION OF told.invoice_by_kind DEFAULT;
CREATE FUNCTION told.feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.payment VALUES (TG_ARGV[0]::bigint, NEW.payment_id, NEW.user_id, NEW.amount_micro, NEW.base_micro, NEW.kind, NEW.occurred_at);
    RETURN NULL;
END $$;
CREATE TRIGGER feed AFTER INSERT ON told.invoice_by_kind FOR EACH ROW EXECUTE FUNCTION told.feed(20);
INSERT INTO invoice_by_kind SELECT * FROM story ORDER BY n;
-- 21: deferred to the commit.
CREATE TABLE told.order_line (LIKE told.story);
CREATE CONSTRAINT TRIGGER feed AFTER INSERT ON told.order_line DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION told.feed(21);
INSERT INTO order_line SELECT * FROM story ORDER BY n;
SELECT * FROM compare(1, 18, 21);

-- 22: a prepared statement, with a plan for each and with one for all.
PREPARE pay (bigint, text, text, bigint, bigint, text, timestamptz) AS
    INSERT INTO referral.payment VALUES ($1, $2, $3, $4, $5, $6, $7);
SET plan_cache_mode = force_generic_plan;
SELECT format('EXECUTE pay (22, %L, %L, %s, %s, %L, %L)', payment_id, user_id, amount_micro, coalesce(base_micro::text, 'NULL'), kind, occurred_at) FROM story ORDER BY n \gexec
RESET plan_cache_mode;
-- 23: EXPLAIN ANALYZE does it too. 24, 25: at the higher isolation levels.
DO $$
DECLARE
    plan text;
BEGIN
    EXECUTE 'EXPLAIN ANALYZE INSERT INTO referral.payment SELECT 23, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM told.story ORDER BY n' INTO plan;
END $$;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO referral.payment SELECT 24, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 7 ORDER BY n;
INSERT INTO referral.payment SELECT 24, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 7 ORDER BY n;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO referral.payment SELECT 25, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 3 ORDER BY n;
SAVEPOINT s;
INSERT INTO referral.payment SELECT 25, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 3 ORDER BY n;
ROLLBACK TO s;
INSERT INTO referral.payment SELECT 25, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 3 ORDER BY n;
COMMIT;
SELECT * FROM compare(1, 22, 25);

\set VERBOSITY sqlstate
-- 26: a role that may use the schema and insert payments, and nothing else.
DROP ROLE IF EXISTS referral_payment_cashier;
CREATE ROLE referral_payment_cashier;
GRANT USAGE ON SCHEMA referral, told TO referral_payment_cashier;
GRANT INSERT ON referral.payment TO referral_payment_cashier;
GRANT SELECT ON told.story TO referral_payment_cashier;
SET ROLE referral_payment_cashier;
INSERT INTO referral.payment SELECT 26, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 9 ORDER BY n;
COPY referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) FROM stdin;
26	x1	stranger	10	2024-02-04 12:00+00
\.
INSERT INTO referral.payment SELECT 26, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n > 10 ORDER BY n ON CONFLICT DO NOTHING;
SELECT count(*) FROM referral.payment;
UPDATE referral.payment SET amount_micro = 1;
DELETE FROM referral.payment;
INSERT INTO referral.reward SELECT;
SELECT referral.take_in(26, '{c1}');
RESET ROLE;
SELECT * FROM compare(1, 26, 26);

-- What is refused to everyone, whatever rows it would touch.
SELECT everything() AS before \gset
INSERT INTO referral.payment SELECT 27, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story ON CONFLICT (program_id, payment_id) DO UPDATE SET amount_micro = 1;
UPDATE referral.payment SET amount_micro = amount_micro WHERE false;
DELETE FROM referral.payment WHERE program_id = 99;
TRUNCATE referral.payment;
MERGE INTO referral.payment p USING story s ON p.payment_id = s.payment_id WHEN MATCHED THEN DELETE;
MERGE INTO referral.payment p USING story s ON p.payment_id = s.payment_id WHEN MATCHED THEN UPDATE SET amount_micro = 1
WHEN NOT MATCHED THEN INSERT (program_id, payment_id, user_id, amount_micro) VALUES (27, s.payment_id, s.user_id, 1);
SELECT everything() = :'before' AS untouched;

-- A second plain INSERT of an id is refused, and what came with it.
INSERT INTO referral.payment SELECT 27, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story WHERE n <= 3 ORDER BY n;
SELECT everything() AS before \gset
INSERT INTO referral.payment SELECT 27, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM story ORDER BY n;
SELECT everything() = :'before' AS untouched;

-- Afterwards everything was seen, and nothing is said to be running.
SELECT count(*) AS not_seen FROM referral.payment WHERE NOT taken_in;
SELECT current_setting('referral.taking_in');

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
DROP ROLE referral_payment_cashier;
