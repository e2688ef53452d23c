-- install(): what it makes, twice, and whom it refuses.
\set SHOW_CONTEXT never
CALL referral.install();
SELECT library = sql AS same_version, model IS NOT NULL AS model, missing FROM referral.version();

-- None of what install() makes is a member of the extension.
SELECT c.relname
FROM pg_class c
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind <> 'c'
ORDER BY 1;

-- No column, default, check, index or policy uses a type or function of the
-- extension: only triggers and views may.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d
JOIN pg_depend m ON (m.classid, m.objid) = (d.refclassid, d.refobjid) AND m.deptype = 'e'
JOIN pg_extension e ON e.oid = m.refobjid AND m.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'referral' AND d.deptype <> 'e'
  AND d.classid IN ('pg_class'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
                    'pg_policy'::regclass)
  AND d.objid NOT IN (SELECT c.oid FROM pg_class c WHERE c.relkind = 'c')
  AND (d.classid, d.objid) NOT IN (SELECT x.classid, x.objid FROM pg_depend x WHERE x.deptype = 'e')
ORDER BY 1;

-- A second call changes nothing that can be seen.
CREATE FUNCTION pg_temp.visible() RETURNS TABLE (what text, name text, detail text)
LANGUAGE sql AS $$
    SELECT 'relation' AS what, c.oid::regclass::text AS name, c.relacl::text AS detail
    FROM pg_class c WHERE c.relnamespace = 'referral'::regnamespace
    UNION ALL
    SELECT 'trigger', t.tgrelid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'referral'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'constraint', n.conrelid::regclass || '.' || n.conname, pg_get_constraintdef(n.oid)
    FROM pg_constraint n WHERE n.connamespace = 'referral'::regnamespace
    UNION ALL
    SELECT 'routine', p.oid::regprocedure::text, p.proacl::text
    FROM pg_proc p
    WHERE p.pronamespace IN ('referral'::regnamespace, 'referral_api'::regnamespace)
    UNION ALL
    SELECT 'step', m.step, m.applied_at::text FROM referral.model_step m
$$;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.visible();
CALL referral.install();
(TABLE before EXCEPT ALL SELECT * FROM pg_temp.visible()) UNION ALL (SELECT * FROM pg_temp.visible() EXCEPT ALL TABLE before);
SELECT count(*) > 50 AS something_was_compared FROM before;

-- Lost and disabled triggers come back.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP TRIGGER take_in ON referral.payment;
ALTER TABLE referral.payment DISABLE TRIGGER append_only;
CALL referral.install();
(TABLE before EXCEPT ALL SELECT * FROM pg_temp.visible()) UNION ALL (SELECT * FROM pg_temp.visible() EXCEPT ALL TABLE before);
ROLLBACK;

-- An older data model, here its first two steps, is brought up to date.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION referral CASCADE;
DROP SCHEMA referral CASCADE;
CREATE EXTENSION referral;
CREATE TABLE referral.model_step (step text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT * FROM referral.model_steps() WHERE step < '030' ORDER BY step COLLATE "C" LOOP
        EXECUTE old.ddl;
        INSERT INTO referral.model_step VALUES (old.step);
    END LOOP;
END $$;
INSERT INTO referral.program (program_id, name) VALUES (1, 'older than payments');
SELECT model, missing[1] FROM referral.version();
CALL referral.install();
SELECT missing FROM referral.version();
SELECT name FROM referral.program;
SELECT what, name FROM (TABLE before EXCEPT ALL SELECT * FROM pg_temp.visible()) lost WHERE what <> 'step'
UNION ALL
SELECT what, name FROM (SELECT * FROM pg_temp.visible() EXCEPT ALL TABLE before) made WHERE what <> 'step';
ROLLBACK;

-- Not installed yet.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION referral CASCADE;
DROP SCHEMA referral CASCADE;
CREATE EXTENSION referral;
SELECT library = sql AS same_version, model, missing <> '{}' AS missing FROM referral.version();
SELECT referral.current_program();
ROLLBACK;

-- Strangers. Whoever could make something under our names before us would
-- have it run with our rights.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_stranger;
CREATE ROLE regress_super SUPERUSER;
DROP EXTENSION referral CASCADE;
DROP SCHEMA referral CASCADE;
SAVEPOINT bare;

CREATE SCHEMA referral AUTHORIZATION regress_stranger;
CREATE EXTENSION referral;
ROLLBACK TO bare;

CREATE SCHEMA referral;
CREATE TABLE referral.program (program_id bigint);
ALTER TABLE referral.program OWNER TO regress_stranger;
CREATE EXTENSION referral;
ROLLBACK TO bare;

CREATE SCHEMA referral;
CREATE FUNCTION referral.enroll(text, integer) RETURNS text LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION referral.enroll(text, integer) OWNER TO regress_stranger;
CREATE EXTENSION referral;
ROLLBACK TO bare;

CREATE SCHEMA referral;
CREATE SEQUENCE referral.payment_no_seq;
ALTER SEQUENCE referral.payment_no_seq OWNER TO regress_stranger;
CREATE EXTENSION referral;
ROLLBACK TO bare;

CREATE SCHEMA referral_api AUTHORIZATION regress_stranger;
CREATE EXTENSION referral;
ROLLBACK TO bare;

-- After the extension, before install().
CREATE EXTENSION referral;
SAVEPOINT created;
CREATE VIEW referral.program AS SELECT 1 AS program_id;
ALTER VIEW referral.program OWNER TO regress_stranger;
CALL referral.install();
ROLLBACK TO created;
CREATE TABLE referral.note (t text);
ALTER TABLE referral.note OWNER TO regress_stranger;
CALL referral.install();
ROLLBACK TO created;
ALTER SCHEMA referral OWNER TO regress_stranger;
CALL referral.install();
ROLLBACK TO created;

-- The data model of before refunds under this library: payments go on, and
-- install() brings it up.
CREATE TABLE referral.model_step (step text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
DO $$
DECLARE
    older record;
BEGIN
    FOR older IN SELECT * FROM referral.model_steps() s WHERE s.step < '06' ORDER BY s.step LOOP
        EXECUTE older.ddl;
        INSERT INTO referral.model_step (step) VALUES (older.step);
    END LOOP;
END $$;
CREATE TRIGGER take_in_before BEFORE INSERT ON referral.payment
    FOR EACH STATEMENT EXECUTE FUNCTION referral.payment_before();
CREATE TRIGGER take_in AFTER INSERT ON referral.payment REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.payment_after();
INSERT INTO referral.program (program_id, name, hold_days) VALUES (1, 'older', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000);
INSERT INTO referral.member (program_id, member_id, user_id, referrer_id, invitees) VALUES (1, 1, 'ada', NULL, 1), (1, 2, 'bob', 1, 0);
INSERT INTO referral.account SELECT program_id, member_id FROM referral.member;
INSERT INTO referral.code (program_id, code_id, user_id, code) VALUES (1, 1, 'ada', 'ADA');
INSERT INTO referral.attribution (program_id, member_id, referrer_id, code_id, user_id, attributed_at) VALUES (1, 2, 1, 1, 'bob', '2024-01-01');
INSERT INTO referral.downline VALUES (1, 1, 1, 1, 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p', 'bob', 1000);
SELECT missing FROM referral.version();
CALL referral.install();
SELECT reversed_micro FROM referral.record_refund('r', 'p', 500);
SELECT lifetime_micro FROM referral.statement('ada');
SELECT * FROM referral.verify();

-- One superuser restores what another dumped.
ROLLBACK TO bare;
CREATE SCHEMA referral AUTHORIZATION regress_super;
CREATE EXTENSION referral;
CALL referral.install();
SELECT missing FROM referral.version();
ROLLBACK;
