-- Upkeep: rebuild() corrects counters, maintain() merges them, applies what
-- waits and drops what is old. Both commit in between, so the procedures hold
-- nothing but calls (see backfill()), and both read what is there now, at READ
-- COMMITTED.

CREATE FUNCTION referral.program_ids(program_id bigint)
    RETURNS bigint[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(p.program_id ORDER BY p.program_id), '{}')
      FROM referral.program AS p
     WHERE $1 IS NULL OR p.program_id = $1
$$;
COMMENT ON FUNCTION referral.program_ids(bigint) IS
'The programs that are meant: the one that is named, all for NULL.';

CREATE FUNCTION referral.counter_columns(counter text, OUT key text[], OUT value text[])
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (i.indkey)),
           array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attnum <> ALL (i.indkey))
      FROM pg_index AS i
           JOIN pg_attribute AS a ON a.attrelid = i.indrelid
     WHERE i.indrelid = format('referral.%I', $1)::regclass
       AND i.indisprimary
       AND a.attnum > 0
       AND NOT a.attisdropped
       AND a.attname NOT IN ('program_id', 'part')
$$;
COMMENT ON FUNCTION referral.counter_columns(text) IS
'Columns of a table of counters: those of the key, without program_id and part, and those that are
summed.';

CREATE FUNCTION referral.upkeep_begin(program_id bigint, task text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO referral.progress AS g (program_id, task, subject)
    VALUES (upkeep_begin.program_id, upkeep_begin.task,
            format('program %s', upkeep_begin.program_id))
    RETURNING g.progress_id INTO new_id;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION referral.upkeep_begin(bigint, text) IS
'Opens a row of progress and returns its id. For rebuild() and maintain().';

-- Counters of many parts get one part more, which nobody else holds: no payment
-- waits, and what is credited meanwhile adds to what is corrected. The number
-- of the part is drawn as a session's is, so nobody else ever writes it.
CREATE FUNCTION referral.correct_parts(program_id bigint, recount text, counter text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_nestloop = off       -- whole tables are compared, whatever their statistics say
AS $$
DECLARE
    corrected bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO referral.%1$I
         SELECT r.*
           FROM (SELECT m.key, jsonb_object_agg(m.value, m.expected - m.found) AS difference
                   FROM referral.%2$I($1) AS m
                  WHERE m.counter = %1$L
                  GROUP BY m.key) AS d
                CROSS JOIN LATERAL jsonb_populate_record(
                    NULL::referral.%1$I, $2 || d.key || d.difference) AS r',
        correct_parts.counter, correct_parts.recount)
      USING correct_parts.program_id,
            (SELECT jsonb_object_agg(zero.value, 0)
               FROM referral.counter_columns(correct_parts.counter) AS c
                    CROSS JOIN LATERAL unnest(c.value) AS zero(value))
            || jsonb_build_object('program_id', correct_parts.program_id,
                                  'part', nextval('referral.part_seq'));
    GET DIAGNOSTICS corrected = ROW_COUNT;
    RETURN corrected;
END
$$;
COMMENT ON FUNCTION referral.correct_parts(bigint, text, text) IS
'Corrects what a recount_...() returns of one counter with parts; how many keys. For rebuild().';

-- What stands in one row, or is written under its lock, is corrected under its
-- lock. The first member is waited for while nothing is held yet, others only
-- if nobody holds them, so that nobody can wait in a circle.
CREATE FUNCTION referral.correct_members(program_id bigint, recount text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lockable CONSTANT text :=
        CASE correct_members.recount WHEN 'recount_invitees' THEN 'member' ELSE 'account' END;
    wrong bigint[];
    held bigint[];
    made bigint;
    corrected bigint;
BEGIN
    EXECUTE format(
        'SELECT array_agg(DISTINCT (m.key ->> ''member_id'')::bigint) FROM referral.%I($1) AS m',
        correct_members.recount)
       INTO wrong
      USING correct_members.program_id;
    IF wrong IS NULL THEN
        RETURN 0;
    END IF;
    wrong := wrong[1:10000];
    INSERT INTO referral.account (program_id, member_id)
    SELECT m.program_id, m.member_id
      FROM referral.member AS m
     WHERE m.program_id = correct_members.program_id
       AND m.member_id = ANY (wrong)
       AND NOT EXISTS (SELECT FROM referral.account AS c
                        WHERE c.program_id = m.program_id AND c.member_id = m.member_id)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    EXECUTE format('SELECT FROM referral.%I AS c WHERE c.program_id = $1 AND c.member_id = $2 '
                   'FOR NO KEY UPDATE', lockable)
      USING correct_members.program_id, wrong[1];
    EXECUTE format('SELECT array_agg(h.member_id) '
                   'FROM (SELECT c.member_id FROM referral.%I AS c '
                         'WHERE c.program_id = $1 AND c.member_id = ANY ($2) '
                         'FOR NO KEY UPDATE SKIP LOCKED) AS h', lockable)
       INTO held
      USING correct_members.program_id, wrong;

    -- From here on each statement sees what the former holders of the locks wrote.
    CASE correct_members.recount
    WHEN 'recount_invitees' THEN
        UPDATE referral.member AS m
           SET invitees = CASE WHEN found.expected < 65 THEN found.expected END
          FROM referral.recount_invitees(correct_members.program_id) AS found
         WHERE m.program_id = correct_members.program_id
           AND m.member_id = ANY (held)
           AND m.member_id = (found.key ->> 'member_id')::bigint;
        GET DIAGNOSTICS corrected = ROW_COUNT;
    WHEN 'recount_accounts' THEN
        UPDATE referral.account AS c
           SET spent_micro = coalesce((f.sums ->> 'spent_micro')::bigint, c.spent_micro),
               paid_out_micro = coalesce((f.sums ->> 'paid_out_micro')::bigint, c.paid_out_micro),
               reserved_micro = coalesce((f.sums ->> 'reserved_micro')::bigint, c.reserved_micro),
               adjusted_micro = coalesce((f.sums ->> 'adjusted_micro')::bigint, c.adjusted_micro),
               uncovered_micro = coalesce((f.sums ->> 'uncovered_micro')::bigint,
                                          c.uncovered_micro)
          FROM (SELECT (m.key ->> 'member_id')::bigint AS member_id,
                       jsonb_object_agg(m.value, m.expected) AS sums
                  FROM referral.recount_accounts(correct_members.program_id) AS m
                 WHERE m.value IS NOT NULL
                 GROUP BY m.key ->> 'member_id') AS f
         WHERE c.program_id = correct_members.program_id
           AND c.member_id = ANY (held)
           AND c.member_id = f.member_id;
        GET DIAGNOSTICS corrected = ROW_COUNT;
    ELSE
        -- Rows of somebody who is no member have no lock, and are nobody's.
        WITH listed AS (
            SELECT r.*, m.expected
              FROM referral.recount_closed(correct_members.program_id) AS m
                   CROSS JOIN LATERAL jsonb_populate_record(
                       NULL::referral.reward_closed, m.key) AS r
        ), gone AS (
            DELETE FROM referral.reward_closed AS c
             USING listed AS l
             WHERE l.expected = 0
               AND c.program_id = correct_members.program_id
               AND (c.member_id, c.status, c.reward_id) = (l.member_id, l.status, l.reward_id)
               AND (l.member_id = ANY (held)
                    OR NOT EXISTS (SELECT FROM referral.member AS m
                                    WHERE m.program_id = correct_members.program_id
                                      AND m.member_id = l.member_id))
            RETURNING 1
        ), added AS (
            INSERT INTO referral.reward_closed (program_id, member_id, status, reward_id)
            SELECT correct_members.program_id, l.member_id, l.status, l.reward_id
              FROM listed AS l
             WHERE l.expected = 1
               AND l.member_id = ANY (held)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM added) INTO corrected;
    END CASE;
    RETURN made + corrected;
END
$$;
COMMENT ON FUNCTION referral.correct_members(bigint, text) IS
'Corrects what a recount_...() of rows of members returns, up to 10,000 members; how many rows, 0
when nothing is left. For rebuild().';

CREATE FUNCTION referral.rebuild_step(program_id bigint, progress_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    -- What members paid comes first: sums of levels follow from it.
    parts CONSTANT text[] := '{{recount_paid, paid}, {recount_earnings, earning},
                               {recount_levels, earning}, {recount_levels, downline},
                               {recount_caps, invited}, {recount_caps, code_use},
                               {recount_caps, campaign_spent},
                               {recount_funnel, funnel}}';
    members CONSTANT text[] := '{recount_invitees, recount_accounts, recount_closed}';
    nparts CONSTANT integer := array_length(parts, 1);
    so_far referral.progress;
    step integer;
    corrected bigint;
BEGIN
    -- Two at once would correct the same twice.
    PERFORM pg_advisory_xact_lock(
        hashtextextended('referral.rebuild', rebuild_step.program_id));
    SELECT g.* INTO so_far FROM referral.progress AS g
     WHERE g.program_id = rebuild_step.program_id AND g.progress_id = rebuild_step.progress_id;
    step := coalesce((so_far.position ->> 'steps')::integer, 0) + 1;
    IF step <= nparts THEN
        corrected := referral.correct_parts(rebuild_step.program_id,
                                            parts[step][1], parts[step][2]);
    ELSE
        corrected := referral.correct_members(rebuild_step.program_id, members[step - nparts]);
        -- in batches: the same again until nothing is left
        step := step - (corrected > 0)::integer;
    END IF;
    UPDATE referral.progress AS g
       SET done = g.done + corrected, position = jsonb_build_object('steps', step),
           updated_at = clock_timestamp(),
           finished_at = CASE WHEN step = nparts + cardinality(members)
                              THEN clock_timestamp() END
     WHERE g.program_id = rebuild_step.program_id AND g.progress_id = rebuild_step.progress_id
    RETURNING g.* INTO so_far;
    IF so_far.finished_at IS NOT NULL THEN
        RAISE NOTICE 'rebuild of %: finished, % corrections', so_far.subject, so_far.done;
    ELSIF corrected > 0 THEN
        RAISE NOTICE 'rebuild of %: % corrections', so_far.subject, so_far.done;
    END IF;
    RETURN so_far.finished_at IS NULL;
END
$$;
COMMENT ON FUNCTION referral.rebuild_step(bigint, bigint) IS
'One transaction of rebuild(): corrects one kind of counter, notes the progress, says so by NOTICE;
false after the last.';

CREATE PROCEDURE referral.rebuild(program_id bigint DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    next_id bigint;
    progress_id bigint;
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    FOREACH next_id IN ARRAY referral.program_ids(rebuild.program_id) LOOP
        progress_id := referral.upkeep_begin(next_id, 'rebuild');
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        WHILE referral.rebuild_step(next_id, progress_id) LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        END LOOP;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE referral.rebuild(bigint) IS
'Recomputes every counter from the books, corrects those that differ and says how many by NOTICE; on
sound books it changes nothing.
program_id: NULL for every program. Payments go on and wait for nobody; who needs the exact sums of
a member that are corrected just now, waits for that. What verify() names and is no counter, it
leaves: books are never changed. Sums that the books only bound (what members paid, volumes of
levels) stay if they are within the bounds, see docs/verify.md. May be cancelled and called again.
Progress: NOTICE, and view stat_progress for other sessions.
Errors: 42501 not the owner of referral''s tables, 2D000 inside a transaction block.';

-- Only parts that nobody holds: the first one of a key takes the sums of the
-- others, which are deleted. A payment that comes upon a part which is just
-- being merged passes on to another, as always (src/counters.c); no part is made,
-- so that none can be in the way of the one that a session makes. A batch is
-- small, for who commits a payment waits until all is flushed that was logged
-- before, of this as well.
CREATE FUNCTION referral.merge_parts(program_id bigint, counter text, after jsonb,
                                     OUT merged bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- Along the index, and no further than a batch needs, whatever the planner
    -- believes of a table that changes all the time.
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashagg = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    batch_parts CONSTANT integer := 200;
    keys text;          -- k1, k2
    keys_of_t text;     -- t.k1, t.k2
    keys_after text;    -- ($2 ->> 'k1')::bigint, ($2 ->> 'k2')::date
    sums text;          -- sum(h.v1) OVER k AS v1
    fit text;           -- s.v1 BETWEEN ... AND ...
    assigned text;      -- v1 = w.v1
BEGIN
    SELECT string_agg(format('%I', k.name), ', ' ORDER BY k.n),
           string_agg(format('t.%I', k.name), ', ' ORDER BY k.n),
           string_agg(format('($2 ->> %L)::%s', k.name, k.type), ', ' ORDER BY k.n)
      INTO keys, keys_of_t, keys_after
      FROM (SELECT u.name, u.n, format_type(a.atttypid, a.atttypmod) AS type
              FROM referral.counter_columns(merge_parts.counter) AS c
                   CROSS JOIN LATERAL unnest(c.key) WITH ORDINALITY AS u(name, n)
                   JOIN pg_attribute AS a
                     ON a.attrelid = format('referral.%I', merge_parts.counter)::regclass
                    AND a.attname = u.name) AS k;
    SELECT string_agg(format('sum(h.%1$I) OVER k AS %1$I', v.name), ', '),
           string_agg(format('s.%I BETWEEN -9223372036854775808 AND 9223372036854775807', v.name),
                      ' AND '),
           string_agg(format('%1$I = w.%1$I', v.name), ', ')
      INTO sums, fit, assigned
      FROM referral.counter_columns(merge_parts.counter) AS c
           CROSS JOIN LATERAL unnest(c.value) AS v(name);
    -- A key with more parts than a batch is begun anew by the next one.
    EXECUTE format(
        'WITH further AS MATERIALIZED (
             SELECT * FROM (SELECT %2$s, t.part, lag(t.part) OVER (PARTITION BY %2$s
                                                                   ORDER BY t.part) AS before
                              FROM referral.%1$I AS t
                             WHERE t.program_id = $1 AND ($2 IS NULL OR (%3$s) %9$s (%4$s))) AS f
              WHERE f.before IS NOT NULL
              ORDER BY %2$s, f.part LIMIT $3
         ), several AS (
             SELECT %2$s, min(f.before) AS first_part, max(f.part) AS last_part
               FROM further AS f GROUP BY %2$s
         ), held AS MATERIALIZED (
             SELECT t.* FROM several AS w CROSS JOIN LATERAL (
                 SELECT t.* FROM referral.%1$I AS t
                  WHERE t.program_id = $1 AND (%3$s) = (%7$s)
                    AND t.part BETWEEN w.first_part AND w.last_part
                    FOR UPDATE SKIP LOCKED) AS t
         ), whole AS MATERIALIZED (
             SELECT * FROM (SELECT %2$s, h.part, min(h.part) OVER k AS first_part,
                                   count(*) OVER k AS parts, %5$s
                              FROM held AS h WINDOW k AS (PARTITION BY %2$s)) AS s
              WHERE s.parts > 1 AND %6$s
         ), gone AS (
             DELETE FROM referral.%1$I AS t USING whole AS w
              WHERE t.program_id = $1 AND (%3$s, t.part) = (%7$s, w.part)
                AND w.part > w.first_part
             RETURNING 1
         ), kept AS (
             UPDATE referral.%1$I AS t SET %8$s FROM whole AS w
              WHERE t.program_id = $1 AND (%3$s, t.part) = (%7$s, w.part)
                AND w.part = w.first_part
         )
         SELECT (SELECT count(*) FROM gone),
                (SELECT to_jsonb(f) - ''{part,before}''::text[] FROM further AS f OFFSET $3 - 1)',
        merge_parts.counter, keys, keys_of_t, keys_after, sums, fit,
        replace(keys_of_t, 't.', 'w.'), assigned,
        CASE WHEN merge_parts.after ? 'again' THEN '>=' ELSE '>' END)
       INTO merge_parts.merged, merge_parts.position
      USING merge_parts.program_id, merge_parts.after, batch_parts;
    IF merge_parts.merged > 0 THEN
        merge_parts.position := merge_parts.position || '{"again": true}';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.merge_parts(bigint, text, jsonb) IS
'Makes one part of the parts of a key that nobody holds, of the next 200 parts after the given key
that are not the first of theirs: how many are gone, and where to go on, NULL at the end. For
maintain().';

CREATE FUNCTION referral.apply_late(program_id bigint, after jsonb,
                                    OUT applied bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch_payments CONSTANT integer := 1000;
    payment_ids text[] := ARRAY(SELECT DISTINCT late.payment_id COLLATE "C"
                                  FROM referral.late_refunds(apply_late.program_id) AS late
                                 WHERE late.amount_micro <= late.left_micro
                                   AND late.payment_id COLLATE "C"
                                       > coalesce(apply_late.after ->> 'payment_id', '')
                                 ORDER BY 1
                                 LIMIT batch_payments);
BEGIN
    apply_late.applied := CASE WHEN payment_ids = '{}' THEN 0
                               ELSE referral.apply_waiting(apply_late.program_id, payment_ids) END;
    IF cardinality(payment_ids) = batch_payments THEN
        apply_late.position := jsonb_build_object('payment_id', payment_ids[batch_payments]);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.apply_late(bigint, jsonb) IS
'Applies refunds that wait although their payments were processed, of the next 1,000 payments after
the given one: how many, and the last payment, NULL at the end. For maintain().
Errors: as apply_waiting().';

CREATE FUNCTION referral.maintain_batch(program_id bigint, progress_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Counters are merged after rows were folded into them.
    jobs CONSTANT text[] := '{refunds, clicks, hashes, salts, event, event_pending,
                              rare_labels, earning, paid, invited, code_use, campaign_spent,
                              downline, funnel}';
    so_far referral.progress;
    job integer;
    after jsonb;
    did bigint := 0;
BEGIN
    SELECT g.* INTO so_far FROM referral.progress AS g
     WHERE g.program_id = maintain_batch.program_id
       AND g.progress_id = maintain_batch.progress_id;
    job := coalesce((so_far.position ->> 'jobs')::integer, 0);
    after := so_far.position -> 'after';
    -- What has nothing to do costs no transaction.
    WHILE did = 0 AND job < cardinality(jobs) LOOP
        CASE jobs[job + 1]
        WHEN 'refunds' THEN
            SELECT b.* INTO did, after
              FROM referral.apply_late(maintain_batch.program_id, after) AS b;
        WHEN 'clicks' THEN
            SELECT b.* INTO did, after
              FROM referral.prune_clicks(maintain_batch.program_id, after) AS b;
        WHEN 'hashes' THEN
            SELECT b.* INTO did, after
              FROM referral.prune_hashes(maintain_batch.program_id, after) AS b;
        WHEN 'salts' THEN
            SELECT b.* INTO did, after
              FROM referral.prune_salts(maintain_batch.program_id, after) AS b;
        WHEN 'event', 'event_pending' THEN
            SELECT b.* INTO did, after
              FROM referral.prune_events(maintain_batch.program_id, jobs[job + 1], after) AS b;
        WHEN 'rare_labels' THEN
            SELECT b.* INTO did, after
              FROM referral.fold_funnel(maintain_batch.program_id, after) AS b;
        ELSE
            SELECT b.* INTO did, after
              FROM referral.merge_parts(maintain_batch.program_id, jobs[job + 1], after) AS b;
        END CASE;
        job := job + (after IS NULL)::integer;
    END LOOP;
    IF did = 0 AND so_far.done = 0 THEN
        DELETE FROM referral.progress AS g
         WHERE g.program_id = maintain_batch.program_id
           AND g.progress_id = maintain_batch.progress_id;
        RAISE NOTICE 'maintain of %: nothing to do', so_far.subject;
        RETURN false;
    END IF;
    UPDATE referral.progress AS g
       SET done = g.done + did, updated_at = clock_timestamp(),
           position = jsonb_strip_nulls(jsonb_build_object('jobs', job, 'after', after)),
           finished_at = CASE WHEN did = 0 THEN clock_timestamp() END
     WHERE g.program_id = maintain_batch.program_id
       AND g.progress_id = maintain_batch.progress_id
    RETURNING g.* INTO so_far;
    IF did = 0 THEN
        RAISE NOTICE 'maintain of %: finished, % refunds applied, rows dropped and merged',
            so_far.subject, so_far.done;
    ELSE
        RAISE NOTICE 'maintain of %: % refunds applied, rows dropped and merged',
            so_far.subject, so_far.done;
    END IF;
    RETURN did > 0;
END
$$;
COMMENT ON FUNCTION referral.maintain_batch(bigint, bigint) IS
'One transaction of maintain(): goes on to where there is something to do and does a batch of it,
notes the progress, says so by NOTICE; false at the end. A run that found nothing leaves no row of
progress.';

CREATE FUNCTION referral.rest(since timestamptz)
    RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_sleep(least(extract(epoch FROM clock_timestamp() - since)::double precision, 1));
    RETURN clock_timestamp();
END
$$;
COMMENT ON FUNCTION referral.rest(timestamptz) IS
'Sleeps as long as it is since then, a second at most, and returns the time. For maintain(), which
leaves half of the time to payments: whoever commits one waits until all that was logged before is
flushed.';

CREATE PROCEDURE referral.maintain(program_id bigint DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    next_id bigint;
    progress_id bigint;
    began pg_catalog.timestamptz;
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    FOREACH next_id IN ARRAY referral.program_ids(maintain.program_id) LOOP
        progress_id := referral.upkeep_begin(next_id, 'maintain');
        began := pg_catalog.clock_timestamp();
        WHILE referral.maintain_batch(next_id, progress_id) LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            began := referral.rest(began);
        END LOOP;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE referral.maintain(bigint) IS
'Applies refunds that wait although their payment was processed; drops what the program no longer
keeps (clicks after click_days, their hashes after hash_days, salts that no click uses, events after
event_days); counts rare labels of dropped clicks as one; merges the parts of counters, which makes
reading cheaper. The books are right without it.
program_id: NULL for every program. May run never, twice, or at once with itself and with anything
else: dropping and merging pass over what somebody holds, so that they wait for nobody and no
payment for them, unless it may be the last under a cap or budget; a refund that is applied takes
the locks that any refund takes.
Works in small batches that commit, and rests as long as it works, so that payments meanwhile are
hardly slower; may be cancelled and called again. Where there is nothing to do it
reads the counters'' indexes once. Progress: NOTICE, and view stat_progress for other sessions.
Errors: 42501 not the owner of referral''s tables, 2D000 inside a transaction block.';
