-- The outbox: what happened, for workers that tell other systems (CONTRACT section 6).
--
-- A transaction leaves rows in event_pending, whose event_no says when they were
-- written, not when they can be seen. next_events() moves what it can see to
-- event, under new numbers; a position is such a number, an event_id. Nobody who
-- goes on after the last event that he has seen passes one over:
-- - A late commit is numbered late, however early its rows were written.
-- - One session numbers at a time, under a lock that it keeps to its end and
--   lets go of after its commit can be seen; the next one looks afterwards. So
--   ids become visible in their order. Who does not get the lock only reads.
-- - A worker that keeps its transaction open keeps the lock: meanwhile nothing
--   is numbered, and nothing passed over.
-- - What is rolled back is pending again and gets higher ids, for a sequence
--   does not go back. In a crash it does, as far as it was not flushed, and a
--   worker may have kept a position that it read before its commit: so it is
--   flushed before an id is returned.
-- - What max leaves out has higher ids than what was returned, or none yet.
-- - Locks and positions are each program's own; the sequence is everybody's and
--   rises for each.
-- - A dump has the sequence as it stood after the snapshot of the events. A
--   position ahead of it belongs to a history that was lost, and is refused.

CREATE FUNCTION referral.events_key(program_id bigint)
    RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN hashtextextended('referral.event', events_key.program_id);
END
$$;
COMMENT ON FUNCTION referral.events_key(bigint) IS
'The advisory lock of whoever numbers a program''s events.';

CREATE FUNCTION referral.emit_events(program_id bigint, kind text, subject_ids bigint[],
                                     state text)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO referral.event_pending (program_id, kind, subject_id, state, created_at)
    SELECT p.program_id, emit_events.kind, s.subject_id, emit_events.state, statement_timestamp()
      FROM referral.program p
           CROSS JOIN LATERAL unnest(emit_events.subject_ids)
                              WITH ORDINALITY AS s(subject_id, place)
     WHERE p.program_id = emit_events.program_id AND p.event_days IS NOT NULL
     ORDER BY s.place;
END
$$;
COMMENT ON FUNCTION referral.emit_events(bigint, text, bigint[], text) IS
'Leaves events of one kind for next_events() to number, where the program keeps events.
kind and subject_ids: as table event_pending says; state: what the subjects moved to.';

CREATE FUNCTION referral.emit_event(program_id bigint, kind text, subject_id bigint, state text)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.emit_events(emit_event.program_id, emit_event.kind,
                                 ARRAY[emit_event.subject_id], emit_event.state);
END
$$;
COMMENT ON FUNCTION referral.emit_event(bigint, text, bigint, text) IS
'Leaves an event for next_events() to number, where the program keeps events.
kind and subject_id: as table event_pending says; state: what the subject moved to.';

CREATE FUNCTION referral.start_events() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tiers CONSTANT jsonb := referral.tiers_of(NEW.program_id);
BEGIN
    -- Events of a former time may just be numbered.
    PERFORM pg_advisory_xact_lock(referral.events_key(NEW.program_id));
    DELETE FROM referral.event_tier t WHERE t.program_id = NEW.program_id;
    INSERT INTO referral.event_tier (program_id, member_id, tier)
    SELECT NEW.program_id, s.member_id, s.tier
      FROM referral.standings(NEW.program_id, tiers, NEW.auto_tier) s
     WHERE s.tier <> referral.lowest_tier(tiers);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.start_events() IS
'AFTER UPDATE row trigger of program, when event_days is set: tiers as they stand are taken for told.';

CREATE FUNCTION referral.recheck_tiers(program_id bigint, tiers_before jsonb)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest CONSTANT integer := referral.lowest_tier(recheck_tiers.tiers_before);
BEGIN
    -- Who has no row was told the lowest tier: the one that was the lowest.
    IF lowest <> referral.lowest_tier(referral.tiers_of(recheck_tiers.program_id)) THEN
        INSERT INTO referral.event_tier (program_id, member_id, tier)
        SELECT p.program_id, m.member_id, lowest
          FROM referral.program p
          JOIN referral.member m USING (program_id)
         WHERE p.program_id = recheck_tiers.program_id AND p.event_days IS NOT NULL
         ORDER BY m.member_id
        ON CONFLICT DO NOTHING;
    END IF;
    -- Compared by whoever numbers, who sees what is committed beside this, too.
    PERFORM referral.emit_event(recheck_tiers.program_id, 'tier_check', 0, NULL);
END
$$;
COMMENT ON FUNCTION referral.recheck_tiers(bigint, jsonb) IS
'Has everybody''s tier compared after a change of the rules, where the program keeps events.
tiers_before: {tier: min_paid_invitees}, before the change.';

-- The facts are looked up one by one, by index, however many there are and
-- whatever the planner believes of tables that fill and empty all the time.
CREATE FUNCTION referral.number_events(program_id bigint, at_most bigint,
                                       OUT taken bigint, OUT numbered bigint,
                                       OUT everybody boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    currency CONSTANT text := (SELECT p.currency FROM referral.program p
                                WHERE p.program_id = number_events.program_id);
BEGIN
    WITH next AS (
        SELECT p.event_no
          FROM referral.event_pending p
         WHERE p.program_id = number_events.program_id
         ORDER BY p.event_no
         LIMIT number_events.at_most
    ), taken AS (
        -- A range, and no join: a backlog would be read anew for every row.
        DELETE FROM referral.event_pending p
         WHERE p.program_id = number_events.program_id
           AND p.event_no <= (SELECT max(next.event_no) FROM next)
        RETURNING p.event_no, p.kind, p.subject_id, p.amount_micro, p.state, p.created_at
    ), moved AS MATERIALIZED (
        SELECT c.event_no, c.created_at, c.member_id,
               referral.member_name($1, c.member_id) AS user_id,
               coalesce(told.tier, lowest.tier) AS old_tier, standing.tier AS new_tier
          FROM (SELECT max(t.event_no) AS event_no, max(t.created_at) AS created_at,
                       t.subject_id AS member_id
                  FROM taken t
                 WHERE t.kind = 'tier_check'
                 GROUP BY t.subject_id) c
               LEFT JOIN LATERAL (SELECT t.tier FROM referral.event_tier t
                                   WHERE t.program_id = number_events.program_id
                                     AND t.member_id = c.member_id
                                   LIMIT 1) told ON true
               CROSS JOIN LATERAL referral.effective_tier(number_events.program_id,
                                                          c.member_id) AS standing(tier)
               CROSS JOIN (SELECT coalesce(min(t.tier), 0) AS tier FROM referral.tier t
                            WHERE t.program_id = number_events.program_id) lowest
         WHERE standing.tier <> coalesce(told.tier, lowest.tier)
    ), now_told AS (
        INSERT INTO referral.event_tier (program_id, member_id, tier)
        SELECT number_events.program_id, v.member_id, v.new_tier FROM moved v ORDER BY v.member_id
        ON CONFLICT ON CONSTRAINT event_tier_pkey DO UPDATE SET tier = excluded.tier
    ), told AS (
        SELECT t.event_no, t.kind, referral.member_name($1, r.member_id) AS user_id, t.created_at,
               jsonb_build_object(
                   'reward_id', r.reward_id, 'payment_id', r.payment_id, 'level', r.level,
                   'payer_user_id', referral.member_name($1, r.payer_id),
                   'amount_micro', r.amount_micro, 'currency', currency,
                   'available_at', r.available_at) AS data
          FROM taken t
               CROSS JOIN LATERAL (SELECT r.* FROM referral.reward r
                                    WHERE r.program_id = number_events.program_id
                                      AND r.reward_id = t.subject_id
                                    LIMIT 1) r
         WHERE t.kind = 'reward_created'
        UNION ALL
        SELECT t.event_no, t.kind, referral.member_name($1, r.member_id), t.created_at,
               jsonb_build_object(
                   'reward_id', r.reward_id, 'payment_id', r.payment_id,
                   'amount_micro', t.amount_micro, 'reversed_micro', reversal.reversed_micro,
                   'currency', currency)
          FROM taken t
               CROSS JOIN LATERAL (SELECT r.* FROM referral.reward r
                                    WHERE r.program_id = number_events.program_id
                                      AND r.reward_id = t.subject_id
                                    LIMIT 1) r
               LEFT JOIN LATERAL (SELECT f.total_micro FROM referral.refund_applied f
                                   WHERE f.program_id = number_events.program_id
                                     AND f.payment_no = r.reward_id / 16
                                   ORDER BY f.total_micro DESC
                                   LIMIT 1) given_back ON true
               CROSS JOIN LATERAL referral.reversal(
                   number_events.program_id, r.reward_id, r.amount_micro, r.base_micro,
                   given_back.total_micro) AS reversal
         WHERE t.kind = 'reward_reversed'
        UNION ALL
        SELECT v.event_no, 'tier_changed', v.user_id, v.created_at,
               jsonb_build_object(
                   'old_tier', v.old_tier, 'new_tier', v.new_tier,
                   'tier_label', (SELECT s.label FROM referral.tier s
                                   WHERE s.program_id = number_events.program_id
                                     AND s.tier = v.new_tier))
          FROM moved v
        UNION ALL
        SELECT t.event_no, t.kind, a.user_id, t.created_at,
               jsonb_build_object(
                   'attribution_id', a.attribution_id, 'decision', t.state,
                   'referrer_user_id', referral.member_name($1, a.referrer_id))
          FROM taken t
               CROSS JOIN LATERAL (SELECT a.* FROM referral.attribution a
                                    WHERE a.program_id = number_events.program_id
                                      AND a.attribution_id = t.subject_id
                                    LIMIT 1) a
         WHERE t.kind = 'attribution_decided'
        UNION ALL
        SELECT t.event_no, t.kind, referral.member_name($1, o.member_id), t.created_at,
               jsonb_build_object(
                   'payout_id', o.payout_id, 'status', t.state,
                   'amount_micro', o.amount_micro, 'currency', currency)
          FROM taken t
               CROSS JOIN LATERAL (SELECT o.* FROM referral.payout o
                                    WHERE o.program_id = number_events.program_id
                                      AND o.payout_no = t.subject_id
                                    LIMIT 1) o
         WHERE t.kind = 'payout_moved'
    ), numbered AS (
        INSERT INTO referral.event (program_id, event_id, kind, user_id, data, created_at)
        SELECT number_events.program_id, nextval('referral.event_id_seq'), e.kind, e.user_id,
               e.data, e.created_at
          FROM (SELECT * FROM told ORDER BY told.event_no) e
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM numbered),
           EXISTS (SELECT FROM taken t WHERE t.kind = 'tier_check' AND t.subject_id = 0)
      INTO number_events.taken, number_events.numbered, number_events.everybody;
END
$$;
COMMENT ON FUNCTION referral.number_events(bigint, bigint) IS
'Moves what is pending, the first to be written first, to table event; for next_events(), which holds the lock.
at_most: rows of event_pending. Returns how many were taken, how many events came of them (of tiers
that were to be compared, only those that moved), and whether everybody''s are to be compared.';

CREATE FUNCTION referral.check_everybody(program_id bigint)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = on
    SET enable_sort = on
AS $$
DECLARE
    tiers CONSTANT jsonb := referral.tiers_of(check_everybody.program_id);
BEGIN
    INSERT INTO referral.event_pending (program_id, kind, subject_id, created_at)
    SELECT p.program_id, 'tier_check', s.member_id, statement_timestamp()
      FROM referral.program p
           CROSS JOIN LATERAL referral.standings(p.program_id, tiers, p.auto_tier) s
           LEFT JOIN referral.event_tier t
                  ON t.program_id = p.program_id AND t.member_id = s.member_id
     WHERE p.program_id = check_everybody.program_id
       AND s.tier <> coalesce(t.tier, referral.lowest_tier(tiers))
     ORDER BY s.member_id;
END
$$;
COMMENT ON FUNCTION referral.check_everybody(bigint) IS
'Has the tiers compared of those who stand elsewhere than events told; for next_events().';

CREATE FUNCTION referral.flush_log() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_flush_log';
COMMENT ON FUNCTION referral.flush_log() IS
'Returns when all that the transaction has logged so far is on disk, sequences among it.';

CREATE FUNCTION referral.next_events(after bigint DEFAULT 0, max integer DEFAULT 100,
                                     program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.event_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    SET jit = off
AS $$
DECLARE
    last_id CONSTANT bigint := greatest(next_events.after, 0);
    page_rows CONSTANT integer := CASE WHEN next_events.max >= 0 THEN next_events.max ELSE 100 END;
    batch_rows CONSTANT integer := greatest(page_rows, 1000);
    batch record;
BEGIN
    -- One snapshot for all statements is older than the lock.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'next_events needs isolation level read committed',
            DETAIL = 'At a higher level it would not see what other sessions did meanwhile.',
            HINT = 'Call it in a transaction of its own at READ COMMITTED.';
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION USING
            ERRCODE = 'read_only_sql_transaction',
            MESSAGE = 'next_events needs a transaction that may write',
            DETAIL = 'Events are numbered when they are first asked for.',
            HINT = 'Call it in a transaction that is not read only; over HTTP by POST.';
    ELSIF last_id > (SELECT s.last_value - (NOT s.is_called)::integer
                       FROM referral.event_id_seq s) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'unknown_position',
            DETAIL = format('No event has the id %s or a higher one.', last_id),
            HINT = 'If the database was restored to an earlier state, see docs/events.md.';
    END IF;

    IF pg_try_advisory_xact_lock(referral.events_key(next_events.program_id)) THEN
        -- A batch may be nothing but tiers that stand as they were told.
        LOOP
            batch := referral.number_events(next_events.program_id, batch_rows);
            IF batch.everybody THEN
                PERFORM referral.check_everybody(next_events.program_id);
            END IF;
            EXIT WHEN batch.numbered > 0
                      OR batch.taken < batch_rows AND NOT batch.everybody;
        END LOOP;
        IF batch.numbered > 0 THEN
            PERFORM referral.flush_log();
        END IF;
    END IF;

    RETURN QUERY
    SELECT e.event_id, e.kind, e.user_id::text, e.created_at, e.data
      FROM referral.event e
     WHERE e.program_id = next_events.program_id AND e.event_id > last_id
     ORDER BY e.program_id, e.event_id
     LIMIT page_rows;
END
$$;
COMMENT ON FUNCTION referral.next_events(bigint, integer, bigint) IS
'Events after a position, in the order of their ids: what was committed, nothing passed over, and
each at least once.
after: the id of the last event that was dealt with, NULL or 0 = from the first one that is still
kept; max: how many at most, NULL or negative for 100. None: there is nothing yet, or another
session is just about to number what is new.
Call it in a transaction of its own that ends at once: while that is open no other session gets new
events. A program keeps events from when its event_days is set. docs/events.md has their shapes.
Errors: 22023 unknown_position (ahead of all ids), 0A000 isolation level above READ COMMITTED,
25006 read-only transaction.
Example: SELECT * FROM referral.next_events(4711);';
