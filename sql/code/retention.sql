-- How long clicks, hashes, salts and events are kept (CONTRACT section 7): batch by
-- batch of maintain(). What somebody holds just now is passed over and left to the
-- next run.

CREATE FUNCTION referral.clicks_kept_from(program_id bigint)
    RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- A click that can still attribute somebody stays.
    SELECT statement_timestamp() - greatest(p.click_days, p.attribution_days) * interval '24 hours'
      FROM referral.program p
     WHERE p.program_id = $1
$$;
COMMENT ON FUNCTION referral.clicks_kept_from(bigint) IS
'Clicks before this instant are dropped by maintain().';

CREATE FUNCTION referral.prune_clicks(program_id bigint, after jsonb,
                                      OUT pruned bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- Along the index, as merge_parts().
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    batch_clicks CONSTANT integer := 1000;
    kept_from CONSTANT timestamptz := referral.clicks_kept_from(prune_clicks.program_id);
    last_at timestamptz;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT k.click_id
          FROM referral.click AS k
         WHERE k.program_id = prune_clicks.program_id
           AND k.clicked_at < kept_from
           -- Not beyond it: many clicks of one transaction share an instant.
           AND k.clicked_at >= coalesce((prune_clicks.after ->> 'clicked_at')::timestamptz,
                                        '-infinity')
         ORDER BY k.clicked_at
         LIMIT batch_clicks
           FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM referral.click AS k
         USING old
         WHERE k.program_id = prune_clicks.program_id AND k.click_id = old.click_id
        RETURNING k.clicked_at
    )
    SELECT count(*), max(gone.clicked_at) INTO prune_clicks.pruned, last_at FROM gone;
    IF prune_clicks.pruned = batch_clicks THEN
        prune_clicks.position := jsonb_build_object('clicked_at', last_at);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.prune_clicks(bigint, jsonb) IS
'Deletes clicks older than click_days, or attribution_days if that is more: up to 1,000 from the
given instant on; how many, and the last instant, NULL at the end. What was counted of them stays.
For maintain().';

CREATE FUNCTION referral.prune_hashes(program_id bigint, after jsonb,
                                      OUT pruned bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    batch_clicks CONSTANT integer := 1000;
    kept_from CONSTANT timestamptz :=
        (SELECT statement_timestamp() - p.hash_days * interval '24 hours'
           FROM referral.program AS p
          WHERE p.program_id = prune_hashes.program_id);
    last_at timestamptz;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT k.click_id
          FROM referral.click AS k
         WHERE k.program_id = prune_hashes.program_id
           AND k.salt_id IS NOT NULL
           AND k.clicked_at < kept_from
           AND k.clicked_at >= coalesce((prune_hashes.after ->> 'clicked_at')::timestamptz,
                                        '-infinity')
         ORDER BY k.clicked_at
         LIMIT batch_clicks
           FOR NO KEY UPDATE SKIP LOCKED
    ), emptied AS (
        UPDATE referral.click AS k
           SET ip_hash = NULL, agent_hash = NULL, salt_id = NULL
          FROM old
         WHERE k.program_id = prune_hashes.program_id AND k.click_id = old.click_id
        RETURNING k.clicked_at
    )
    SELECT count(*), max(emptied.clicked_at) INTO prune_hashes.pruned, last_at FROM emptied;
    IF prune_hashes.pruned = batch_clicks THEN
        prune_hashes.position := jsonb_build_object('clicked_at', last_at);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.prune_hashes(bigint, jsonb) IS
'Takes the hashes off clicks older than hash_days: up to 1,000 from the given instant on; how many,
and the last instant, NULL at the end. For maintain().';

CREATE FUNCTION referral.prune_salts(program_id bigint, after jsonb,
                                     OUT pruned bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
BEGIN
    -- A click has a salt that was the last one when it came, give or take what
    -- transactions were open then: so that not all clicks have to be read. For
    -- one that comes at this moment the salt has done its work.
    WITH salts AS (
        SELECT s.salt_id, s.made_at, lead(s.made_at) OVER (ORDER BY s.salt_id) AS replaced_at
          FROM referral.click_salt AS s
         WHERE s.program_id = prune_salts.program_id
    ), unused AS MATERIALIZED (
        SELECT s.salt_id
          FROM referral.click_salt AS s
               JOIN salts USING (salt_id)
         WHERE s.program_id = prune_salts.program_id
           AND salts.replaced_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM referral.click AS k
                            WHERE k.program_id = prune_salts.program_id
                              AND k.salt_id IS NOT NULL
                              AND k.salt_id = salts.salt_id
                              AND k.clicked_at >= salts.made_at - interval '1 hour'
                              AND k.clicked_at < salts.replaced_at + interval '1 hour')
           FOR UPDATE OF s SKIP LOCKED
    ), gone AS (
        DELETE FROM referral.click_salt AS s
         USING unused
         WHERE s.program_id = prune_salts.program_id AND s.salt_id = unused.salt_id
        RETURNING 1
    )
    SELECT count(*) INTO prune_salts.pruned FROM gone;
END
$$;
COMMENT ON FUNCTION referral.prune_salts(bigint, jsonb) IS
'Deletes salts that no click uses and that are not the last: how many; position is always NULL. For
maintain().';

CREATE FUNCTION referral.prune_events(program_id bigint, outbox text, after jsonb,
                                      OUT pruned bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    batch_events CONSTANT integer := 1000;
    kept_from CONSTANT timestamptz :=
        (SELECT coalesce(statement_timestamp() - p.event_days * interval '24 hours', 'infinity')
           FROM referral.program AS p
          WHERE p.program_id = prune_events.program_id);
    found_old boolean;
    last_id bigint;
BEGIN
    -- They are nearly in the order of time, for what commits late has waited:
    -- where a whole batch has nothing old, nothing old comes after it.
    EXECUTE format(
        'WITH next AS MATERIALIZED (
             SELECT e.%2$I AS id, e.created_at < $3 AS is_old
               FROM referral.%1$I AS e
              WHERE e.program_id = $1 AND e.%2$I > $2
              ORDER BY e.%2$I
              LIMIT $4
         ), old AS MATERIALIZED (
             SELECT e.%2$I AS id
               FROM next JOIN referral.%1$I AS e ON e.%2$I = next.id
              WHERE e.program_id = $1 AND next.is_old
                FOR UPDATE OF e SKIP LOCKED
         ), gone AS (
             DELETE FROM referral.%1$I AS e
              USING old
              WHERE e.program_id = $1 AND e.%2$I = old.id
             RETURNING 1
         )
         SELECT (SELECT count(*) FROM gone), bool_or(next.is_old), max(next.id) FROM next',
        prune_events.outbox,
        CASE prune_events.outbox WHEN 'event' THEN 'event_id' ELSE 'event_no' END)
       INTO prune_events.pruned, found_old, last_id
      USING prune_events.program_id, coalesce((prune_events.after ->> 'id')::bigint, 0),
            kept_from, batch_events;
    IF found_old THEN
        prune_events.position := jsonb_build_object('id', last_id);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.prune_events(bigint, text, jsonb) IS
'Deletes events older than event_days, all where the program keeps none, of the next 1,000 after
the given one: how many, and the last one, NULL at the end. For maintain().
outbox: event, or event_pending, which nobody may be reading.';

CREATE FUNCTION referral.fold_funnel(program_id bigint, after jsonb,
                                     OUT folded bigint, OUT "position" jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashagg = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
DECLARE
    batch_keys CONSTANT integer := 1000;
    few_clicks CONSTANT integer := 10;
    -- A whole day whose clicks are gone.
    before_day CONSTANT date :=
        (SELECT (referral.clicks_kept_from(p.program_id) AT TIME ZONE p.time_zone)::date
           FROM referral.program AS p
          WHERE p.program_id = fold_funnel.program_id);
    days date[];
    campaigns bigint[];
    sums bigint[];
BEGIN
    WITH few AS MATERIALIZED (
        SELECT f.day, f.campaign_id, f.utm_key, count(*) AS parts
          FROM referral.funnel AS f
         WHERE f.program_id = fold_funnel.program_id
           AND f.day < before_day
           AND f.utm_key NOT IN (0, 1)
           AND (fold_funnel.after IS NULL
                OR (f.day, f.campaign_id, f.utm_key)
                   > ((fold_funnel.after ->> 'day')::date,
                      (fold_funnel.after ->> 'campaign_id')::bigint,
                      (fold_funnel.after ->> 'utm_key')::bigint))
         GROUP BY f.day, f.campaign_id, f.utm_key
        HAVING sum(f.clicks) < few_clicks
           AND (sum(f.attributed), sum(f.review_required), sum(f.rejected), sum(f.qualified),
                sum(f.rewarded), sum(f.granted), sum(f.capped)) = (0, 0, 0, 0, 0, 0, 0)
         ORDER BY f.day, f.campaign_id, f.utm_key
         LIMIT batch_keys
    ), held AS MATERIALIZED (
        -- LATERAL and ctid: from these to the table, whatever the planner believes of it.
        SELECT f.*, few.parts
          FROM few
               CROSS JOIN LATERAL (
                   SELECT f.*, f.ctid AS place
                     FROM referral.funnel AS f
                    WHERE f.program_id = fold_funnel.program_id
                      AND (f.day, f.campaign_id, f.utm_key)
                          = (few.day, few.campaign_id, few.utm_key)
                      FOR UPDATE SKIP LOCKED) AS f
    ), whole AS MATERIALIZED (
        -- By what the rows are now that they are held.
        SELECT array_agg(held.place) AS places
          FROM held
         GROUP BY held.day, held.campaign_id, held.utm_key, held.parts
        HAVING count(*) = held.parts
           AND sum(held.clicks) < few_clicks
           AND (sum(held.attributed), sum(held.review_required), sum(held.rejected),
                sum(held.qualified), sum(held.rewarded), sum(held.granted), sum(held.capped))
               = (0, 0, 0, 0, 0, 0, 0)
    ), gone AS (
        DELETE FROM referral.funnel AS f
         WHERE f.program_id = fold_funnel.program_id
           AND f.ctid = ANY (ARRAY(SELECT p.place
                                     FROM whole CROSS JOIN LATERAL unnest(whole.places) AS p(place)))
        RETURNING f.day, f.campaign_id, f.clicks
    ), other AS (
        SELECT gone.day, gone.campaign_id, count(*) AS parts, sum(gone.clicks)::bigint AS clicks
          FROM gone
         GROUP BY gone.day, gone.campaign_id
    )
    SELECT coalesce(sum(other.parts), 0), array_agg(other.day), array_agg(other.campaign_id),
           array_agg(other.clicks),
           (SELECT to_jsonb(few) - 'parts' FROM few OFFSET batch_keys - 1)
      INTO fold_funnel.folded, days, campaigns, sums, fold_funnel.position
      FROM other;
    PERFORM referral.count_funnel(fold_funnel.program_id, o.day, o.campaign_id, 1, 'clicks',
                                  o.clicks)
       FROM unnest(days, campaigns, sums) AS o(day, campaign_id, clicks);
END
$$;
COMMENT ON FUNCTION referral.fold_funnel(bigint, jsonb) IS
'Counts the clicks of rare labels as those of utm_key 1, on days whose clicks are dropped already:
takes the next 1,000 keys after the given one that have fewer than 10 clicks and nothing else. How
many rows are gone, and the last key, NULL at the end. Anybody can make labels up, and the funnel
must not grow by them for ever. For maintain().';
