-- Tables of the application: attached, they feed referral.payment and referral.refund.

CREATE FUNCTION referral.source_in() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_source_in';
COMMENT ON FUNCTION referral.source_in() IS
'Trigger that attach() and attach_refunds() put on a table: its rows become payments and refunds, in the same transaction. Works only on the table that its arguments (program_id, source_id) were registered for.
Errors: 42501 table is not attached, 42703 a named column is gone, 42804 it has an unsuitable type, 22003 an amount does not fit, and those of an INSERT into referral.payment and referral.refund.';

CREATE FUNCTION referral.source_check(source regclass, program_id bigint, source_id bigint)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', 'referral_source_check';
COMMENT ON FUNCTION referral.source_check(regclass, bigint, bigint) IS
'Finds the columns of an attached table as the trigger would, and records their numbers. For attach() and attach_refunds().
Errors: 42501, 42703, 42804 as source_in().';

CREATE FUNCTION referral.source_open(source regclass, program_id bigint, source_id bigint)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', 'referral_source_open';
COMMENT ON FUNCTION referral.source_open(regclass, bigint, bigint) IS
'Reads an attached table as its owner, in the order of occurrence, and keeps the rows for source_next() until they are used up or a transaction of this session fails; returns how many. For backfill().
Errors: as source_check().';

CREATE FUNCTION referral.source_next(program_id bigint, source_id bigint, batch_rows bigint,
                                     OUT rows_read bigint, OUT taken bigint, OUT incomplete bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', 'referral_source_next';
COMMENT ON FUNCTION referral.source_next(bigint, bigint, bigint) IS
'Writes what the next batch_rows rows that source_open() read make: rows read, new payments and refunds, rows passed over for a null. rows_read = 0 is the end. For backfill().
Errors: 55000 nothing is open, 22003 an amount does not fit, and those of an INSERT into referral.payment and referral.refund.';

-- What the trigger's arguments look like in pg_trigger.
CREATE FUNCTION referral.source_arguments(program_id bigint, source_id bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT convert_to($1::text, 'UTF8') || '\x00'::bytea || convert_to($2::text, 'UTF8') || '\x00'::bytea
$$;
COMMENT ON FUNCTION referral.source_arguments(bigint, bigint) IS
'pg_trigger.tgargs of the triggers that attach() made for a source; finds them whatever they are called now.';

CREATE FUNCTION referral.source_owned(source regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = source_owned.source
               AND NOT pg_has_role(c.relowner, 'USAGE')) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'must be owner of the table',
            DETAIL = format('Table %s belongs to somebody else.', source_owned.source),
            HINT = 'Only the owner of a table may attach, detach or backfill it.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.source_owned(regclass) IS
'Refuses whoever does not own the table. Errors: 42501.';

-- A table with statement triggers is one whose every row is written through
-- it; a partition, and a child by inheritance, is written by way of others too.
CREATE FUNCTION referral.source_triggers(source regclass, program_id bigint, source_id bigint,
                                         updates boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    alone boolean := (
        SELECT c.relkind = 'r' AND NOT c.relispartition
               AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
        FROM pg_class c WHERE c.oid = source_triggers.source);
    call text := format('EXECUTE FUNCTION referral.source_in(%L, %L)',
                        source_triggers.program_id, source_triggers.source_id);
    trigger_name text := format('referral_source_%s', source_triggers.source_id);
BEGIN
    IF NOT alone THEN
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s FOR EACH ROW %s', trigger_name,
                       CASE WHEN source_triggers.updates THEN 'INSERT OR UPDATE' ELSE 'INSERT' END,
                       source_triggers.source, call);
        RETURN;
    END IF;
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %s REFERENCING NEW TABLE AS referral_new '
                   'FOR EACH STATEMENT %s', trigger_name, source_triggers.source, call);
    IF source_triggers.updates THEN
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %s '
                       'REFERENCING OLD TABLE AS referral_old NEW TABLE AS referral_new '
                       'FOR EACH STATEMENT %s',
                       trigger_name || '_update', source_triggers.source, call);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.source_triggers(regclass, bigint, bigint, boolean) IS
'Makes the triggers of a source: statement triggers, or a row trigger on a partitioned table, a partition or a child. updates: an UPDATE may mean something, too. For attach(), attach_refunds() and install().';

CREATE FUNCTION referral.source_admit(source regclass, program_id bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation pg_class;
BEGIN
    PERFORM referral.source_owned(source_admit.source);
    SELECT c.* INTO relation FROM pg_class c WHERE c.oid = source_admit.source;
    IF relation.relkind IS NULL OR relation.relkind NOT IN ('r', 'p') OR relation.relpersistence = 't'
       OR relation.relnamespace IN ('referral'::regnamespace, 'pg_catalog'::regnamespace) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'wrong_object_type',
            MESSAGE = 'relation cannot be attached',
            DETAIL = format('%s is no table, or a temporary or system table, or one of referral.',
                            source_admit.source),
            HINT = 'Attach an ordinary or partitioned table.';
    END IF;
    PERFORM referral.check_program(source_admit.program_id);

    -- Before the registry, as writers do: they hold the table when they read it.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', source_admit.source);
    DELETE FROM referral.source s
    WHERE s.program_id = source_admit.program_id
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation);
    IF EXISTS (SELECT FROM referral.source s
               WHERE s.program_id = source_admit.program_id
                 AND (s.relation = source_admit.source
                      OR s.relation IN (SELECT a.relid FROM pg_partition_ancestors(source_admit.source) a)
                      OR s.relation IN (SELECT t.relid FROM pg_partition_tree(source_admit.source) t))) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = 'table is already attached',
            DETAIL = format('Table %s, or a table that it is part of or consists of, feeds program %s.',
                            source_admit.source, source_admit.program_id),
            HINT = 'Call referral.detach() first to attach it differently.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.source_admit(regclass, bigint) IS
'Locks a table that is to be attached, and refuses one that cannot be. For attach() and attach_refunds().
Errors: 42501 not the owner, 42809 no table, 42710 already attached, 23503 unknown_program.';

CREATE FUNCTION referral.attach(
    source       regclass,
    user_id      name,
    amount       name,
    payment_id   name,
    unit_micro   bigint DEFAULT 1000000,
    base         name DEFAULT NULL,
    kind         name DEFAULT NULL,
    occurred_at  name DEFAULT NULL,
    paid_when    name DEFAULT NULL,
    refunded     name DEFAULT NULL,
    id_prefix    text DEFAULT '',
    program_id   bigint DEFAULT referral.current_program())
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    IF attach.source IS NULL OR attach.user_id IS NULL OR attach.amount IS NULL
       OR attach.payment_id IS NULL OR attach.program_id IS NULL
       OR coalesce(attach.unit_micro, 0) < 1 OR length(attach.id_prefix) > 100 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid argument of attach',
            HINT = 'source, user_id, amount and payment_id are needed, unit_micro is at least 1, '
                   'id_prefix at most 100 characters.';
    END IF;
    PERFORM referral.source_admit(attach.source, attach.program_id);
    INSERT INTO referral.source AS s
        (program_id, relation, user_column, amount_column, payment_id_column, unit_micro,
         base_column, kind_column, occurred_at_column, paid_when_column, refunded_column,
         id_prefix)
    VALUES (attach.program_id, attach.source, attach.user_id, attach.amount, attach.payment_id,
            attach.unit_micro, attach.base, attach.kind, attach.occurred_at, attach.paid_when,
            attach.refunded, coalesce(attach.id_prefix, ''))
    RETURNING s.source_id INTO new_id;
    PERFORM referral.source_check(attach.source, attach.program_id, new_id);
    PERFORM referral.source_triggers(attach.source, attach.program_id, new_id,
                                     coalesce(attach.paid_when, attach.refunded) IS NOT NULL);
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION referral.attach(regclass, name, name, name, bigint, name, name, name, name, name, text, bigint) IS
'Has a payments table of the application feed referral.payment from now on; returns the number of the source. For rows already there: CALL referral.backfill().
Columns are named as they are stored, without quotes. user_id, payment_id: text, varchar, char, uuid, smallint, integer, bigint. amount, base: smallint, integer, bigint, numeric; times unit_micro (micro-units in one unit of the amount: 10000 for cents), floored. kind: text, varchar, char, enum. occurred_at: timestamptz, or timestamp or date in the program''s zone; without it or null: the time in paid_when, else now. paid_when: boolean or a time; a row counts when it is first true or not null, by INSERT or UPDATE. refunded: as amount; what was given back of the payment so far, in units of its base: each time a row that counts shows more than the books hold, by INSERT or UPDATE, the difference becomes a refund; less is skipped and counted. id_prefix goes before each payment id. A row whose user, amount or payment id is null is skipped and counted (view stat_source). Renamed columns are followed.
A plain table is served by statement; a partitioned one row by row, with the partitions it gets later. A plain table that becomes a partition must be attached anew (stat_source tells). Of tables that inherit, each counts the rows written to it.
Errors: 42501 not the owner, 42809 no table, 42703 no such column, 42804 unsuitable type, 42710 already attached, 22023 invalid argument, 23503 unknown_program.';

CREATE FUNCTION referral.attach_refunds(
    source       regclass,
    payment_id   name,
    amount       name,
    refund_id    name,
    unit_micro   bigint DEFAULT 1000000,
    reason       name DEFAULT NULL,
    occurred_at  name DEFAULT NULL,
    id_prefix    text DEFAULT '',
    program_id   bigint DEFAULT referral.current_program())
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    IF attach_refunds.source IS NULL OR attach_refunds.payment_id IS NULL
       OR attach_refunds.amount IS NULL OR attach_refunds.refund_id IS NULL
       OR attach_refunds.program_id IS NULL OR coalesce(attach_refunds.unit_micro, 0) < 1
       OR length(attach_refunds.id_prefix) > 100 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid argument of attach_refunds',
            HINT = 'source, payment_id, amount and refund_id are needed, unit_micro is at least 1, '
                   'id_prefix at most 100 characters.';
    END IF;
    PERFORM referral.source_admit(attach_refunds.source, attach_refunds.program_id);
    INSERT INTO referral.source AS s
        (program_id, relation, amount_column, payment_id_column, refund_id_column, unit_micro,
         reason_column, occurred_at_column, id_prefix)
    VALUES (attach_refunds.program_id, attach_refunds.source, attach_refunds.amount,
            attach_refunds.payment_id, attach_refunds.refund_id, attach_refunds.unit_micro,
            attach_refunds.reason, attach_refunds.occurred_at,
            coalesce(attach_refunds.id_prefix, ''))
    RETURNING s.source_id INTO new_id;
    PERFORM referral.source_check(attach_refunds.source, attach_refunds.program_id, new_id);
    PERFORM referral.source_triggers(attach_refunds.source, attach_refunds.program_id, new_id,
                                     false);
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION referral.attach_refunds(regclass, name, name, name, bigint, name, name, text, bigint) IS
'Has a table of refunds feed referral.refund from now on, a row when it is inserted; returns the number of the source. For rows already there: CALL referral.backfill().
payment_id, refund_id, amount, occurred_at: as in attach(), the amount in units of the payment''s base. reason: text, varchar, char, enum; cut to 1000 characters. id_prefix goes before both ids: it is the one of the table that the payments came from. A row whose payment id, refund id or amount is null is skipped and counted (view stat_source).
Errors: as attach().
Example: SELECT referral.attach_refunds(''shop.refunds'', ''order_id'', ''cents'', ''id'', 10000, id_prefix => ''order-'');';

CREATE FUNCTION referral.detach(
    source     regclass,
    program_id bigint DEFAULT referral.current_program())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_id bigint;
    made name;
BEGIN
    PERFORM referral.source_owned(detach.source);
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = detach.source AND c.relkind IN ('r', 'p')) THEN
        -- as in attach(); DROP TRIGGER would take it anyway, but after the row
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', detach.source);
    END IF;
    DELETE FROM referral.source s
    WHERE s.program_id = detach.program_id AND s.relation = detach.source
    RETURNING s.source_id INTO old_id;
    IF old_id IS NULL THEN
        RETURN false;
    END IF;
    FOR made IN
        SELECT t.tgname FROM pg_trigger t
        WHERE t.tgrelid = detach.source AND t.tgfoid = 'referral.source_in()'::regprocedure
          AND t.tgargs = referral.source_arguments(detach.program_id, old_id)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', made, detach.source);
    END LOOP;
    DELETE FROM referral.source_skipped k
    WHERE k.program_id = detach.program_id AND k.source_id = old_id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION referral.detach(regclass, bigint) IS
'Ends what attach() or attach_refunds() began: true, or false if the table was not attached to the program. Payments and refunds that came from it stay.
Errors: 42501 not the owner.';

CREATE FUNCTION referral.restore_triggers() RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bare record;
    restored bigint := 0;
BEGIN
    FOR bare IN
        SELECT s.program_id, s.source_id, s.relation,
               coalesce(s.paid_when_column, s.refunded_column) IS NOT NULL AS updates
        FROM referral.source s
        WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation)
          AND NOT EXISTS (
              SELECT FROM pg_trigger t
              WHERE t.tgrelid = s.relation AND t.tgfoid = 'referral.source_in()'::regprocedure
                AND t.tgargs = referral.source_arguments(s.program_id, s.source_id))
        ORDER BY s.program_id, s.source_id
    LOOP
        BEGIN
            PERFORM referral.source_owned(bare.relation);
            PERFORM referral.source_check(bare.relation, bare.program_id, bare.source_id);
            PERFORM referral.source_triggers(bare.relation, bare.program_id, bare.source_id,
                                             bare.updates);
            restored := restored + 1;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING USING
                MESSAGE = 'an attached table has no trigger',
                DETAIL = format('Table %s of program %s: %s', bare.relation, bare.program_id, SQLERRM),
                HINT = 'Detach the table and attach it again, as its owner.';
        END;
    END LOOP;
    RETURN restored;
END
$$;
COMMENT ON FUNCTION referral.restore_triggers() IS
'Gives attached tables back the triggers that DROP EXTENSION took along; returns for how many. For install(). A table of somebody else gets a warning. What was written in between: CALL referral.backfill().';

CREATE FUNCTION referral.backfill_begin(source regclass, batch_rows bigint, program_id bigint)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    registered bigint;
    total bigint;
    new_id bigint;
BEGIN
    IF backfill_begin.source IS NULL OR backfill_begin.program_id IS NULL
       OR backfill_begin.batch_rows < 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid argument of backfill',
            HINT = 'source and program_id are needed, batch_rows is at least 1.';
    END IF;
    PERFORM referral.source_owned(backfill_begin.source);
    PERFORM referral.source_owned('referral.payment'::regclass);
    IF backfill_begin.source = 'referral.payment'::regclass THEN
        SELECT count(*) INTO total FROM referral.payment p
        WHERE p.program_id = backfill_begin.program_id AND NOT p.taken_in;
    ELSIF backfill_begin.source = 'referral.refund'::regclass THEN
        SELECT count(*) INTO total FROM referral.refund r
        WHERE r.program_id = backfill_begin.program_id AND NOT r.taken_in;
    ELSE
        SELECT s.source_id INTO registered FROM referral.source s
        WHERE s.program_id = backfill_begin.program_id AND s.relation = backfill_begin.source;
        IF registered IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = 'table is not attached',
                DETAIL = format('Table %s does not feed program %s.',
                                backfill_begin.source, backfill_begin.program_id),
                HINT = 'SELECT referral.attach(…) or attach_refunds(…) first: it says what the columns mean.';
        END IF;
        total := referral.source_open(backfill_begin.source, backfill_begin.program_id, registered);
    END IF;
    INSERT INTO referral.progress AS g (program_id, task, subject, total)
    VALUES (backfill_begin.program_id, 'backfill', backfill_begin.source::text, total)
    RETURNING g.progress_id INTO new_id;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION referral.backfill_begin(regclass, bigint, bigint) IS
'First transaction of backfill(): checks, reads, and opens a row of progress, whose id it returns.
Errors: 22023 invalid argument, 42501 not the owner of the table and of the books, 55000 table is not attached, and those of source_open().';

-- A row that the engine refuses cannot be corrected in an append-only table: it
-- is passed over with a warning and stays for verify() to name, so that it
-- blocks nobody.
CREATE FUNCTION referral.backfill_unseen(source regclass, program_id bigint, ids text[],
                                         OUT taken bigint, OUT refused bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_refunds boolean := backfill_unseen.source = 'referral.refund'::regclass;
    id text;
BEGIN
    taken := 0;
    refused := 0;
    IF cardinality(backfill_unseen.ids) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        taken := CASE WHEN of_refunds
                 THEN referral.take_in_refunds(backfill_unseen.program_id, backfill_unseen.ids)
                 ELSE referral.take_in(backfill_unseen.program_id, backfill_unseen.ids) END;
        RETURN;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        NULL;   -- one of them; which one shows below
    END;
    FOREACH id IN ARRAY backfill_unseen.ids LOOP
        BEGIN
            taken := taken
                + CASE WHEN of_refunds
                  THEN referral.take_in_refunds(backfill_unseen.program_id, ARRAY[id])
                  ELSE referral.take_in(backfill_unseen.program_id, ARRAY[id]) END;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            refused := refused + 1;
            RAISE WARNING USING
                MESSAGE = 'a payment or refund was refused',
                DETAIL = format('%s %s of program %s: %s',
                                CASE WHEN of_refunds THEN 'Refund' ELSE 'Payment' END, id,
                                backfill_unseen.program_id, SQLERRM),
                HINT = 'It counts for nothing; referral.verify() names it.';
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.backfill_unseen(regclass, bigint, text[]) IS
'Takes in rows of referral.payment or referral.refund that no trigger saw, in the order given: how many, and how many were refused. For backfill().';

CREATE FUNCTION referral.backfill_payments(program_id bigint, batch_rows bigint, after jsonb,
                                           OUT rows_read bigint, OUT taken bigint,
                                           OUT refused bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids text[];
BEGIN
    SELECT count(*), array_agg(b.payment_id ORDER BY b.occurred_at, b.payment_no),
           (array_agg(jsonb_build_object('occurred_at', b.occurred_at, 'payment_no', b.payment_no)
                      ORDER BY b.occurred_at DESC, b.payment_no DESC))[1]
    INTO rows_read, ids, "position"
    FROM (SELECT p.payment_id, p.occurred_at, p.payment_no
          FROM referral.payment p
          WHERE p.program_id = backfill_payments.program_id AND NOT p.taken_in
            AND (p.occurred_at, p.payment_no)
                > (coalesce((backfill_payments.after ->> 'occurred_at')::timestamptz, '-infinity'),
                   coalesce((backfill_payments.after ->> 'payment_no')::bigint, 0))
          ORDER BY p.occurred_at, p.payment_no
          LIMIT backfill_payments.batch_rows) b;
    SELECT u.taken, u.refused INTO taken, refused
    FROM referral.backfill_unseen('referral.payment', backfill_payments.program_id,
                                  coalesce(ids, '{}')) u;
END
$$;
COMMENT ON FUNCTION referral.backfill_payments(bigint, bigint, jsonb) IS
'Takes in the next batch_rows payments that no trigger saw, in the order of the books, those after the given position: rows read, taken in, refused, and the position of the last. rows_read = 0 is the end. For backfill().';

CREATE FUNCTION referral.backfill_refunds(program_id bigint, batch_rows bigint, after jsonb,
                                          OUT rows_read bigint, OUT taken bigint,
                                          OUT refused bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids text[];
BEGIN
    SELECT count(*), array_agg(b.refund_id ORDER BY b.refund_no),
           CASE WHEN count(*) > 0 THEN jsonb_build_object('refund_no', max(b.refund_no)) END
    INTO rows_read, ids, "position"
    FROM (SELECT r.refund_id, r.refund_no
          FROM referral.refund r
          WHERE r.program_id = backfill_refunds.program_id AND NOT r.taken_in
            AND r.refund_no > coalesce((backfill_refunds.after ->> 'refund_no')::bigint, 0)
          ORDER BY r.refund_no
          LIMIT backfill_refunds.batch_rows) b;
    SELECT u.taken, u.refused INTO taken, refused
    FROM referral.backfill_unseen('referral.refund', backfill_refunds.program_id,
                                  coalesce(ids, '{}')) u;
END
$$;
COMMENT ON FUNCTION referral.backfill_refunds(bigint, bigint, jsonb) IS
'As backfill_payments(), of refunds that no trigger saw, in the order of their arrival.';

CREATE FUNCTION referral.backfill_batch(source regclass, batch_rows bigint, program_id bigint,
                                        progress_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    registered bigint;
    so_far referral.progress;
    batch record;
BEGIN
    SELECT g.* INTO so_far FROM referral.progress g
    WHERE g.program_id = backfill_batch.program_id AND g.progress_id = backfill_batch.progress_id;
    IF backfill_batch.source = 'referral.payment'::regclass THEN
        SELECT b.rows_read, b.taken, b.refused AS skipped, b.position INTO batch
        FROM referral.backfill_payments(backfill_batch.program_id, backfill_batch.batch_rows,
                                        so_far.position) b;
    ELSIF backfill_batch.source = 'referral.refund'::regclass THEN
        SELECT b.rows_read, b.taken, b.refused AS skipped, b.position INTO batch
        FROM referral.backfill_refunds(backfill_batch.program_id, backfill_batch.batch_rows,
                                       so_far.position) b;
    ELSE
        -- FOR UPDATE: two backfills of one table take turns
        SELECT s.source_id INTO registered FROM referral.source s
        WHERE s.program_id = backfill_batch.program_id AND s.relation = backfill_batch.source
        FOR UPDATE;
        IF registered IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = 'table is not attached',
                DETAIL = format('Table %s was detached from program %s meanwhile.',
                                backfill_batch.source, backfill_batch.program_id),
                HINT = 'What was taken in stays. Attach it again and go on.';
        END IF;
        SELECT b.rows_read, b.taken, b.incomplete AS skipped,
               jsonb_build_object('read', coalesce((so_far.position ->> 'read')::bigint, 0)
                                          + b.rows_read) AS "position" INTO batch
        FROM referral.source_next(backfill_batch.program_id, registered,
                                  backfill_batch.batch_rows) b;
    END IF;
    UPDATE referral.progress g
    SET done = g.done + batch.taken, skipped = g.skipped + batch.skipped,
        position = coalesce(batch.position, g.position), updated_at = clock_timestamp(),
        finished_at = CASE WHEN batch.rows_read = 0 THEN clock_timestamp() END
    WHERE g.program_id = backfill_batch.program_id AND g.progress_id = backfill_batch.progress_id
    RETURNING g.* INTO so_far;
    IF batch.rows_read = 0 THEN
        RAISE NOTICE 'backfill of %: finished, % taken in, % skipped, % rows in all',
            so_far.subject, so_far.done, so_far.skipped, so_far.total;
    ELSE
        RAISE NOTICE 'backfill of %: % taken in, % skipped, % rows in all',
            so_far.subject, so_far.done, so_far.skipped, so_far.total;
    END IF;
    RETURN batch.rows_read > 0;
END
$$;
COMMENT ON FUNCTION referral.backfill_batch(regclass, bigint, bigint, bigint) IS
'One transaction of backfill(): takes in the next batch_rows rows, notes the progress, says so by NOTICE; false when there was nothing left.';

-- A procedure that commits cannot have a search_path of its own: it holds
-- nothing but calls.
CREATE PROCEDURE referral.backfill(
    source     regclass,
    batch_rows integer DEFAULT 10000,
    program_id bigint DEFAULT referral.current_program())
    LANGUAGE plpgsql
AS $$
DECLARE
    batch_rows bigint := coalesce(backfill.batch_rows, 10000);
    progress_id bigint;
BEGIN
    progress_id := referral.backfill_begin(backfill.source, batch_rows, backfill.program_id);
    COMMIT;
    WHILE referral.backfill_batch(backfill.source, batch_rows, backfill.program_id, progress_id)
    LOOP
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE referral.backfill(regclass, integer, bigint) IS
'Takes in the rows that an attached table held before, in the order of occurred_at and ids, in batches of batch_rows that commit; or, for referral.payment and referral.refund themselves, the payments or refunds that no trigger saw.
May be cancelled or killed and called again: known payments and refunds are passed over, so that calling it twice adds nothing. Writers go on meanwhile; their rows count by the trigger. Progress: NOTICE, and view stat_progress for other sessions. The table is read and sorted once, which takes temporary disk space for the named columns, and no index.
A row that the engine refuses ends it with that error, all batches before kept; of referral.payment and referral.refund such a row gets a warning and is passed over.
Errors: 22023 invalid argument, 42501 not the owner of the table and of referral''s tables, 55000 table is not attached, 2D000 inside a transaction block, and those of source_in().';
