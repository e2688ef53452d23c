-- Names, roles and tables that mean harm, and columns that move.
\pset format unaligned
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO referral.program (program_id, name) VALUES (7201, 'hostile'), (7202, 'victim');
SET referral.program_id = 7201;
CREATE SCHEMA "Odd ""Shop';";
CREATE SCHEMA mart;
CREATE FUNCTION mart.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION mart.taken(prefix text) RETURNS TABLE (payment_id text, user_id text, amount_micro bigint)
LANGUAGE sql SECURITY DEFINER AS $$
    SELECT p.payment_id, p.user_id, p.amount_micro FROM referral.payment p
    WHERE p.program_id = 7201 AND starts_with(p.payment_id, $1) ORDER BY p.payment_no
$$;

-- 1. Hostile names, as table and as columns, plain and partitioned, with backfill.
CREATE FUNCTION mart.named(number integer, name text, parted boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    source text := format('"Odd ""Shop'';".%I', name);
    prefix text := format('%s%s-', number, CASE WHEN parted THEN 'p' END);
BEGIN
    EXECUTE format('CREATE TABLE %s (%I text, %I numeric, %I text, %I boolean, %I timestamptz) %s', source,
                   name, left(name, 8) || '2', left(name, 8) || '3', left(name, 8) || '4', left(name, 8) || '5',
                   CASE WHEN parted THEN format('PARTITION BY LIST (%I)', name) END);
    IF parted THEN
        EXECUTE format('CREATE TABLE %s PARTITION OF %s DEFAULT',
                       format('"Odd ""Shop'';".%I', left(name, 8) || ' part'), source);
    END IF;
    EXECUTE format('INSERT INTO %s VALUES (''before'', 1, ''b'', true, ''2024-01-01'')', source);
    PERFORM referral.attach(source::regclass, name::name, (left(name, 8) || '2')::name,
                            (left(name, 8) || '3')::name, paid_when => (left(name, 8) || '4')::name,
                            occurred_at => (left(name, 8) || '5')::name, id_prefix => prefix);
    EXECUTE format('INSERT INTO %s VALUES (''one'', 1.5, ''1'', true, ''2024-01-02'')', source);
    EXECUTE format('INSERT INTO %s VALUES (''two'', 2.5, ''2'', true), (''three'', 3, ''3'', false)', source);
    EXECUTE format('UPDATE %s SET %I = true', source, left(name, 8) || '4');
    PERFORM referral.backfill_begin(source::regclass, 10, 7201);
    PERFORM referral.backfill_batch(source::regclass, 10, 7201, (SELECT max(progress_id) FROM referral.progress));
    EXECUTE format('DROP TABLE %s', source);
    RETURN (SELECT string_agg(format('%s %s %s', split_part(t.payment_id, '-', 2), t.user_id, t.amount_micro), ', ') FROM mart.taken(prefix) t);
END $$;
SELECT name, octet_length(name) AS bytes, parted, mart.named(number::integer, name, parted)
FROM unnest(ARRAY['x"; drop table y; --', 'a''b', E'new\nline', 'UPPER', 'select', repeat('ä', 31) || 'z', '$1', 'a.b', E'\\', ' ', '%s%n'])
     WITH ORDINALITY v(name, number), unnest(ARRAY[false, true]) parted
WHERE NOT (parted AND number > 6) ORDER BY number, parted;
SELECT count(*) AS registered FROM referral.source s WHERE program_id = 7201;

-- 2. Columns that are renamed, re-made, retyped, dropped.
CREATE TABLE mart.moving (junk text, id integer, payer text, cents integer);
ALTER TABLE mart.moving DROP COLUMN junk;
SELECT referral.attach('mart.moving', 'payer', 'cents', 'id', 10000, id_prefix => 'm-') > 0 AS attached;
INSERT INTO mart.moving VALUES (1, 'p', 1);
ALTER TABLE mart.moving RENAME COLUMN cents TO "Pence";
INSERT INTO mart.moving VALUES (2, 'p', 2);
ALTER TABLE mart.moving RENAME TO moved;
ALTER TABLE mart.moved RENAME COLUMN payer TO customer;
ALTER TABLE mart.moved ADD COLUMN note text DEFAULT 'n', ALTER COLUMN id TYPE bigint;
INSERT INTO mart.moved VALUES (3, 'p', 3);
-- written down again where they went, for the sake of a dump
SELECT relation, user_column, amount_column, payment_id_column FROM referral.source WHERE program_id = 7201;
-- as the usual way to a wider type: a new column under the old name
ALTER TABLE mart.moved ADD COLUMN wide numeric(20,2);
ALTER TABLE mart.moved RENAME COLUMN "Pence" TO old_pence;
INSERT INTO mart.moved VALUES (4, 'p', 4, 'n', 400);
ALTER TABLE mart.moved RENAME COLUMN wide TO old_pence2;
ALTER TABLE mart.moved RENAME COLUMN old_pence TO dying;
ALTER TABLE mart.moved RENAME COLUMN old_pence2 TO old_pence;
INSERT INTO mart.moved VALUES (5, 'p', 5, 'n', 500);
SELECT payment_id, amount_micro FROM mart.taken('m-');
-- numbers of another relation, as after a restore, are not believed
UPDATE referral.source SET numbered_in = 1, column_numbers = '{2,2,2,0,0,0,0}' WHERE program_id = 7201;
ALTER TABLE mart.moved ALTER COLUMN note SET NOT NULL;
INSERT INTO mart.moved VALUES (6, 'p', 6, 'n', 600);
SELECT numbered_in = relation AS numbered, column_numbers FROM referral.source WHERE program_id = 7201;
UPDATE referral.source SET numbered_in = 1, user_column = 'elsewhere' WHERE program_id = 7201;
ALTER TABLE mart.moved ALTER COLUMN note DROP NOT NULL;
SELECT mart.error($$INSERT INTO mart.moved VALUES (7, 'p', 7, 'n', 700)$$);
UPDATE referral.source SET user_column = 'customer' WHERE program_id = 7201;
INSERT INTO mart.moved VALUES (8, 'p', 8, 'n', 800);
ALTER TABLE mart.moved ALTER COLUMN customer TYPE jsonb USING to_jsonb(customer);
SELECT mart.error($$INSERT INTO mart.moved VALUES (9, '"p"', 9, 'n', 900)$$);
ALTER TABLE mart.moved ALTER COLUMN customer TYPE varchar(30) USING customer #>> '{}';
ALTER TABLE mart.moved DROP COLUMN old_pence;
SELECT mart.error($$INSERT INTO mart.moved VALUES (10, 'p', 10, 'n')$$);
SELECT referral.detach('mart.moved');
INSERT INTO mart.moved VALUES (11, 'p', 11, 'n');
ALTER TABLE mart.moved ADD COLUMN made numeric GENERATED ALWAYS AS (dying * 1.5) STORED;
SELECT referral.attach('mart.moved', 'customer', 'made', 'id', 10000, id_prefix => 'm-') > 0 AS attached;
INSERT INTO mart.moved VALUES (12, 'p', 12, 'n');
SELECT payment_id, user_id, amount_micro FROM mart.taken('m-') WHERE payment_id > 'm-5' OR payment_id LIKE 'm-1_';
-- in a partition, too
CREATE TABLE mart.parted (id integer, payer text, cents integer) PARTITION BY LIST (id);
CREATE TABLE mart.parted_1 (cents integer, x text, payer text, id integer);
ALTER TABLE mart.parted_1 DROP COLUMN x;
ALTER TABLE mart.parted ATTACH PARTITION mart.parted_1 DEFAULT;
SELECT referral.attach('mart.parted', 'payer', 'cents', 'id', 10000, id_prefix => 'mp-') > 0 AS attached;
INSERT INTO mart.parted_1 VALUES (1, 'p', 1);
ALTER TABLE mart.parted RENAME COLUMN payer TO customer;
INSERT INTO mart.parted VALUES (2, 'p', 2);
INSERT INTO mart.parted_1 VALUES (3, 'p', 3);
SELECT * FROM mart.taken('mp-');
SELECT mart.error($$ALTER TABLE mart.parted_1 DROP COLUMN cents$$);
-- a change that is rolled back is forgotten
SAVEPOINT r;
ALTER TABLE mart.moved RENAME COLUMN customer TO client;
INSERT INTO mart.moved VALUES (13, 'p', 13, 'n');
SAVEPOINT s;
ALTER TABLE mart.moved RENAME COLUMN made TO done;
INSERT INTO mart.moved VALUES (14, 'p', 14, 'n');
ROLLBACK TO s;
INSERT INTO mart.moved VALUES (15, 'p', 15, 'n');
ROLLBACK TO r;
INSERT INTO mart.moved VALUES (16, 'p', 16, 'n');
SELECT payment_id, amount_micro FROM mart.taken('m-1') WHERE payment_id > 'm-12';

-- 3. Triggers that were lost, disabled, renamed.
ALTER TABLE mart.moved DISABLE TRIGGER ALL;
SELECT relation, state FROM referral.stat_source WHERE program_id = 7201 ORDER BY relation::text;
ALTER TABLE mart.moved ENABLE TRIGGER ALL;
DO $$ DECLARE t name; BEGIN
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'mart.moved'::regclass AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TRIGGER %I ON mart.moved RENAME TO other_name', t);
    END LOOP;
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'mart.parted'::regclass LOOP
        EXECUTE format('DROP TRIGGER %I ON mart.parted', t);
    END LOOP; END $$;
SELECT relation, state FROM referral.stat_source WHERE program_id = 7201 ORDER BY relation::text;
CALL referral.install();
SELECT relation, state FROM referral.stat_source WHERE program_id = 7201 ORDER BY relation::text;
INSERT INTO mart.parted_1 VALUES (4, 'p', 4);
INSERT INTO mart.moved VALUES (20, 'p', 20, 'n');
SELECT payment_id FROM mart.taken('mp-4') UNION ALL SELECT payment_id FROM mart.taken('m-20');
SELECT referral.detach('mart.moved'), referral.detach('mart.parted');
SELECT count(*) FROM pg_trigger WHERE tgfoid = 'referral.source_in'::regproc;

-- 4. Roles. The shop's clerk owns nothing and may write the shop's table only.
CREATE ROLE referral_test_owner;
CREATE ROLE referral_test_clerk;
CREATE ROLE referral_test_thief;
GRANT ALL ON SCHEMA mart TO referral_test_owner, referral_test_thief;
GRANT USAGE ON SCHEMA mart TO referral_test_clerk;
CREATE TABLE mart.sales (id integer PRIMARY KEY, payer text, cents integer, paid boolean);
ALTER TABLE mart.sales OWNER TO referral_test_owner;
GRANT INSERT, UPDATE, SELECT ON mart.sales TO referral_test_clerk;
GRANT ALL ON mart.sales TO referral_test_thief;
SELECT referral.attach('mart.sales', 'payer', 'cents', 'id', 10000, paid_when => 'paid', id_prefix => 's-') > 0 AS attached;
SET ROLE referral_test_clerk;
INSERT INTO mart.sales VALUES (1, 'p', 1, true), (2, 'p', 2, false), (3, NULL, 3, true);
UPDATE mart.sales SET paid = true;
SELECT current_user, mart.error('TABLE referral.payment');
SELECT mart.error($$INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (7201, 'direct', 'p', 1)$$);
SELECT mart.error($$INSERT INTO mart.sales VALUES (4, 'p', -1, true)$$), current_user;
-- whatever his search_path holds
CREATE TEMP TABLE referral_rows AS SELECT 'stolen'::text AS payment_id, 'thief'::text AS user_id, 1::bigint AS amount_micro, 1::bigint AS base_micro, 'purchase'::text AS kind, now() AS occurred_at;
SET search_path = pg_temp, mart;
INSERT INTO mart.sales VALUES (5, 'p', 5, true), (6, 'p', 6, true);
RESET search_path;
DROP TABLE referral_rows;
RESET ROLE;
SELECT * FROM mart.taken('s-');
SELECT count(*) FROM referral.payment WHERE user_id = 'thief';

-- not the owner: no attach, no detach, no backfill, even with EXECUTE
GRANT USAGE ON SCHEMA referral TO referral_test_thief, referral_test_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA referral TO referral_test_thief, referral_test_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA referral TO referral_test_owner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA referral TO referral_test_owner;
SET ROLE referral_test_thief;
SELECT mart.error(s) FROM (VALUES
    ('SELECT referral.attach(''mart.sales'', ''payer'', ''cents'', ''id'', program_id => 7202)'),
    ('SELECT referral.detach(''mart.sales'', 7201)'),
    ('SELECT referral.backfill_begin(''mart.sales'', 10, 7201)')) v(s);
-- the owner of the table, where a DBA granted him the rest, but not the books
SET ROLE referral_test_owner;
SELECT mart.error('SELECT referral.backfill_begin(''mart.sales'', 10, 7201)');
SELECT referral.detach('mart.sales'), referral.attach('mart.sales', 'payer', 'cents', 'id', 10000, id_prefix => 's-') > 0 AS attached;

-- 5. The trigger function on somebody's own table earns him nothing, even where
--    he may execute it and knows the arguments of a table that is attached.
SET ROLE referral_test_thief;
CREATE TABLE mart.fake (id integer, payer text, cents integer, paid boolean);
RESET ROLE;
SELECT source_id FROM referral.source WHERE program_id = 7201 \gset
SET ROLE referral_test_thief;
CREATE FUNCTION mart.forge(definition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'CREATE TRIGGER forged ' || definition;
    answer := mart.error('INSERT INTO mart.fake VALUES (1, ''thief'', 1000000, true)');
    IF answer = 'no error' THEN
        answer := mart.error('UPDATE mart.fake SET cents = 2');
    END IF;
    DROP TRIGGER forged ON mart.fake;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT mart.forge(replace(d, 'ARGS', format('(7201, %s)', :source_id))) FROM (VALUES
    ('AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in ARGS'),
    ('AFTER INSERT ON mart.fake REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION referral.source_in ARGS'),
    ('AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in(7201, 999999)'),
    ('AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in()'),
    ('AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in(1, 2, 3)'),
    ('AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in(''x'', ''7201 OR true'')'),
    ('BEFORE INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in ARGS')) v(d);
-- on the attached table itself: only what attach() would have made
RESET ROLE;
CREATE TRIGGER forged AFTER INSERT ON mart.sales FOR EACH STATEMENT EXECUTE FUNCTION referral.source_in(7201, :source_id);
SELECT mart.error('INSERT INTO mart.sales VALUES (90, ''thief'', 1, true)');
DROP TRIGGER forged ON mart.sales;
CREATE TRIGGER forged AFTER UPDATE OR DELETE ON mart.sales FOR EACH ROW EXECUTE FUNCTION referral.source_in(7201, :source_id);
SELECT mart.error('UPDATE mart.sales SET payer = ''thief'''), mart.error('DELETE FROM mart.sales');
DROP TRIGGER forged ON mart.sales;
CREATE TRIGGER twice AFTER INSERT ON mart.sales FOR EACH ROW EXECUTE FUNCTION referral.source_in(7201, :source_id);
INSERT INTO mart.sales VALUES (91, 'p', 91, true);
SELECT * FROM mart.taken('s-9');
SELECT count(*) FROM referral.payment WHERE user_id = 'thief';
-- without EXECUTE he cannot even make it
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA referral FROM referral_test_thief;
REVOKE EXECUTE ON FUNCTION referral.source_in() FROM PUBLIC;
SET ROLE referral_test_thief;
SELECT mart.error('CREATE TRIGGER forged AFTER INSERT ON mart.fake FOR EACH ROW EXECUTE FUNCTION referral.source_in(7201, 1)');
RESET ROLE;

-- 6. A superuser's backfill runs no code of the table's owner as superuser.
SET ROLE referral_test_owner;
CREATE TABLE mart.trap (id integer, payer text, cents integer);
INSERT INTO mart.trap VALUES (1, 'p', 1), (2, 'p', 2);
CREATE TABLE mart.spy (seen text);
GRANT ALL ON mart.spy TO PUBLIC;
CREATE FUNCTION mart.spring() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RAISE WARNING 'run as %', current_user;
    BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN RAISE WARNING '%', SQLERRM; END;
    RETURN true; END $$;
CREATE INDEX trap_index ON mart.trap (id) WHERE mart.spring();
ALTER TABLE mart.trap ENABLE ROW LEVEL SECURITY;
ALTER TABLE mart.trap FORCE ROW LEVEL SECURITY;
CREATE POLICY hidden ON mart.trap USING (mart.spring() AND id > 1);
RESET ROLE;
SELECT referral.attach('mart.trap', 'payer', 'cents', 'id', 10000, id_prefix => 't-') > 0 AS attached;
SELECT referral.backfill_batch('mart.trap', 10, 7201, referral.backfill_begin('mart.trap', 10, 7201)) AS more;
SELECT * FROM mart.taken('t-');
SELECT current_user = session_user AS myself_again;

SELECT count(*) AS detached FROM referral.source s, LATERAL referral.detach(s.relation, s.program_id) d WHERE s.program_id = 7201 AND d;
ROLLBACK;
