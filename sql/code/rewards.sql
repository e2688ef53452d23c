-- The list of rewards. Each of its statuses has an order to be walked in: closed
-- rewards (spent, paid_out, reversed) stand in reward_closed by status; open ones
-- are looked for among all, as far as the counters know of any. So a page costs
-- a page. How the planner is held to that: reading.sql.

CREATE FUNCTION referral.open_rewards(
    program_id bigint,
    member_id bigint,
    pending boolean,
    available boolean,
    used jsonb,
    before_id bigint,
    after_id bigint,
    wanted bigint)
    RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET jit = off
AS $$
DECLARE
    closed_ones CONSTANT text[] := '{paid_out,reversed,spent}';
    top CONSTANT bigint := 9223372036854775807;
    near boolean := open_rewards.before_id < top;
    first_id bigint := open_rewards.before_id;
    last_id bigint := open_rewards.after_id;
    edge bigint;
    -- A walk ends with the last open reward that the counters know of, instead
    -- of at the end of the history: which kinds it counts, and how many.
    count_pending boolean := open_rewards.pending;
    count_available boolean := open_rewards.available;
    open_left bigint;
    found bigint[];
BEGIN
    LOOP
        IF near THEN
            -- Far down, most pages are full before anything needs counting.
            SELECT r.reward_id
              INTO edge
              FROM referral.reward AS r
             WHERE r.program_id = open_rewards.program_id
               AND (r.member_id, r.reward_id) > (open_rewards.member_id, open_rewards.after_id)
               AND (r.member_id, r.reward_id) < (open_rewards.member_id, open_rewards.before_id)
             ORDER BY r.member_id DESC, r.reward_id DESC
             LIMIT 1 OFFSET 1000 + 4 * open_rewards.wanted;
            last_id := coalesce(edge - 1, open_rewards.after_id);
        ELSE
            last_id := open_rewards.after_id;
            IF open_rewards.available AND first_id < top THEN
                -- What is open above need not be looked at, only be counted.
                count_pending := true;
                open_left :=
                    (SELECT sum(c.rewards)
                       FROM unnest(closed_ones) AS known(status)
                            CROSS JOIN LATERAL (
                                SELECT count(*) AS rewards
                                  FROM referral.reward_closed AS k
                                 WHERE k.program_id = open_rewards.program_id
                                   AND k.member_id = open_rewards.member_id
                                   AND k.status = known.status
                                   AND k.reward_id >= first_id) AS c)
                    - (SELECT count(*)
                         FROM referral.reward AS r
                        WHERE r.program_id = open_rewards.program_id
                          AND r.member_id = open_rewards.member_id
                          AND r.reward_id >= first_id);
            ELSE
                -- Pending ones are the newest: all of them are near the top.
                first_id := top;
                open_left := 0;
            END IF;
            SELECT greatest(open_left + sum(e.rewards - e.closed), 0)
              INTO open_left
              FROM referral.earning AS e
             WHERE e.program_id = open_rewards.program_id
               AND e.member_id = open_rewards.member_id
               AND CASE WHEN e.available_at > statement_timestamp()
                        THEN count_pending ELSE count_available END;
        END IF;

        found := ARRAY(
            SELECT open.reward_id
              FROM (SELECT walked.*
                      FROM referral.reward AS walked
                     WHERE walked.program_id = open_rewards.program_id
                       AND (walked.member_id, walked.reward_id)
                           > (open_rewards.member_id, last_id)
                       AND (walked.member_id, walked.reward_id)
                           < (open_rewards.member_id, first_id)
                       AND CASE WHEN walked.available_at > statement_timestamp()
                                THEN count_pending ELSE count_available END
                       -- not as EXISTS, which might read all closed ones first
                       AND (SELECT c.status
                              FROM unnest(closed_ones) AS known(status)
                                   CROSS JOIN LATERAL (
                                       SELECT k.status
                                         FROM referral.reward_closed AS k
                                        WHERE k.program_id = walked.program_id
                                          AND k.member_id = walked.member_id
                                          AND k.status = known.status
                                          AND k.reward_id = walked.reward_id
                                        LIMIT 1) AS c
                             LIMIT 1) IS NULL
                     ORDER BY walked.member_id DESC, walked.reward_id DESC
                     LIMIT open_left) AS open
             WHERE open.reward_id < open_rewards.before_id
               AND CASE WHEN open.available_at > statement_timestamp()
                        THEN open_rewards.pending
                        ELSE open_rewards.available
                             AND NOT open_rewards.used ? open.reward_id::text END
             ORDER BY open.member_id DESC, open.reward_id DESC
             LIMIT open_rewards.wanted);
        IF NOT near OR edge IS NULL OR cardinality(found) = open_rewards.wanted THEN
            RETURN found;
        END IF;
        near := false;
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.open_rewards(bigint, bigint, boolean, boolean, jsonb, bigint, bigint,
                                          bigint) IS
'The newest rewards of a member that are not closed, at most wanted of those between before_id and
after_id (both exclusive), the newest first.
pending, available: which of the two; used: as of used_by_owed(), left out.';

CREATE FUNCTION referral.used_by_owed(program_id bigint, member_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    top CONSTANT bigint := 9223372036854775807;
    owed numeric := (SELECT a.uncovered_micro::numeric - greatest(a.adjusted_micro, 0)
                       FROM referral.account AS a
                      WHERE a.program_id = used_by_owed.program_id
                        AND a.member_id = used_by_owed.member_id);
BEGIN
    IF owed > 0 THEN
        RETURN (
            WITH queue AS (
                SELECT u.kind, sum(u.amount_micro) OVER (ORDER BY u.settlement_no) AS ends
                  FROM referral.settlement AS u
                 WHERE u.program_id = used_by_owed.program_id
                   AND u.member_id = used_by_owed.member_id
                   AND u.reward_id = 0
            ), filled AS (
                SELECT r.reward_id,
                       sum(r.amount_micro - coalesce(taken.reversed_micro, 0)
                           - settled.amount_micro)
                           OVER (ORDER BY r.available_at, r.reward_id) AS ends
                  FROM unnest(referral.open_rewards($1, $2, false, true, '{}', top, 0, top))
                           AS open(reward_id)
                       CROSS JOIN LATERAL (
                           SELECT reward.*
                             FROM referral.reward
                            WHERE reward.program_id = used_by_owed.program_id
                              AND reward.member_id = used_by_owed.member_id
                              AND reward.reward_id = open.reward_id
                            LIMIT 1) AS r
                       LEFT JOIN LATERAL (
                           SELECT g.total_micro
                             FROM referral.refund_applied AS g
                            WHERE g.program_id = r.program_id
                              AND g.payment_no = r.reward_id / 16
                            ORDER BY g.total_micro DESC
                            LIMIT 1) AS given_back ON true
                       CROSS JOIN LATERAL referral.reversal(
                           r.program_id, r.reward_id, r.amount_micro, r.base_micro,
                           given_back.total_micro) AS taken
                       CROSS JOIN LATERAL (
                           SELECT coalesce(sum(s.amount_micro), 0) AS amount_micro
                             FROM referral.settlement AS s
                            WHERE s.program_id = r.program_id
                              AND s.member_id = r.member_id
                              AND s.reward_id = r.reward_id) AS settled
            )
            SELECT coalesce(jsonb_object_agg(filled.reward_id, last.kind), '{}')
              FROM filled
                   CROSS JOIN LATERAL (SELECT queue.kind
                                         FROM queue
                                        WHERE queue.ends >= filled.ends
                                        ORDER BY queue.ends
                                        LIMIT 1) AS last
             WHERE filled.ends <= owed);
    END IF;
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION referral.used_by_owed(bigint, bigint) IS
'Available rewards of a member that are used up by what he owes although no event has settled it on
them yet, since they became available by time alone: {reward id: spent or paid_out}.
Owed is what no reward covers, as far as adjustments do not cover it. It is laid on open rewards
in the order (available_at, id), the oldest first; the last part says which of the two.';

CREATE FUNCTION referral.reward_page(
    program_id bigint,
    member_id bigint,
    status text[],
    used jsonb,
    before_id bigint,
    page_rows bigint,
    skip bigint)
    RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET jit = off
AS $$
DECLARE
    closed_ones CONSTANT text[] := '{paid_out,reversed,spent}';
    pending   boolean := coalesce('pending' = ANY (reward_page.status), false);
    available boolean := coalesce('available' = ANY (reward_page.status), false);
    wanted bigint := reward_page.page_rows + reward_page.skip;
    open bigint[] := '{}';
    closed bigint[];
BEGIN
    IF reward_page.status IS NULL
       OR pending AND available AND reward_page.status @> closed_ones THEN
        RETURN ARRAY(
            SELECT r.reward_id
              FROM referral.reward AS r
             WHERE r.program_id = reward_page.program_id
               AND (r.member_id, r.reward_id) >= (reward_page.member_id, 0)
               AND (r.member_id, r.reward_id) < (reward_page.member_id, reward_page.before_id)
             ORDER BY r.member_id DESC, r.reward_id DESC
             LIMIT reward_page.page_rows OFFSET reward_page.skip);
    END IF;

    closed := ARRAY(
        SELECT picked.reward_id
          FROM (SELECT newest.reward_id
                  FROM unnest(closed_ones) AS asked(status)
                       CROSS JOIN LATERAL (
                           SELECT c.reward_id
                             FROM referral.reward_closed AS c
                            WHERE c.program_id = reward_page.program_id
                              AND c.member_id = reward_page.member_id
                              AND c.status = asked.status
                              AND c.reward_id < reward_page.before_id
                            ORDER BY c.reward_id DESC
                            LIMIT wanted) AS newest
                 WHERE asked.status = ANY (reward_page.status)
                UNION ALL
                SELECT u.key::bigint
                  FROM jsonb_each_text(reward_page.used) AS u
                 WHERE u.value = ANY (reward_page.status)
                   AND u.key::bigint < reward_page.before_id) AS picked(reward_id)
         ORDER BY picked.reward_id DESC
         LIMIT wanted);
    IF pending OR available THEN
        -- below a page's worth of closed ones none is on the page
        open := referral.open_rewards($1, $2, pending, available, reward_page.used,
                                      reward_page.before_id, coalesce(closed[wanted], 0), wanted);
    END IF;
    RETURN ARRAY(
        SELECT picked.reward_id
          FROM unnest(open || closed) AS picked(reward_id)
         ORDER BY picked.reward_id DESC
         LIMIT reward_page.page_rows OFFSET reward_page.skip);
END
$$;
COMMENT ON FUNCTION referral.reward_page(bigint, bigint, text[], jsonb, bigint, bigint, bigint) IS
'The ids on a page of list_rewards(), in its order. used: as of used_by_owed().';

CREATE FUNCTION referral.list_rewards(
    user_id text,
    status text[] DEFAULT NULL,
    max_rows integer DEFAULT NULL,
    skip integer DEFAULT NULL,
    before_id bigint DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.reward_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET jit = off
AS $$
DECLARE
    closed_ones CONSTANT text[] := '{paid_out,reversed,spent}';
    beneficiary bigint := (SELECT m.member_id
                             FROM referral.member AS m
                            WHERE m.program_id = list_rewards.program_id
                              AND m.user_id = list_rewards.user_id);
    used jsonb := referral.used_by_owed(list_rewards.program_id, beneficiary);
    page bigint[] := referral.reward_page(
        list_rewards.program_id, beneficiary, list_rewards.status, used,
        coalesce(list_rewards.before_id, 9223372036854775807),
        CASE WHEN list_rewards.max_rows >= 0 THEN list_rewards.max_rows ELSE 50 END,
        greatest(list_rewards.skip, 0));
BEGIN
    RETURN QUERY
    SELECT r.reward_id,
           coalesce(closed.status, used ->> r.reward_id::text,
                    CASE WHEN r.available_at > statement_timestamp()
                         THEN 'pending' ELSE 'available' END),
           r.level::integer,
           r.tier,
           r.rate_bps,
           r.base_micro,
           r.amount_micro,
           coalesce(taken.reversed_micro, 0),
           coalesce(taken.written_off_micro, 0),
           p.currency,
           payer.user_id::text,
           payer.display_name,
           r.payment_id::text,
           r.created_at,
           r.available_at
      FROM unnest(page) WITH ORDINALITY AS listed(reward_id, place)
           CROSS JOIN LATERAL (SELECT reward.*
                                 FROM referral.reward
                                WHERE reward.program_id = list_rewards.program_id
                                  AND reward.member_id = beneficiary
                                  AND reward.reward_id = listed.reward_id
                                LIMIT 1) AS r
           CROSS JOIN LATERAL (SELECT program.currency
                                 FROM referral.program
                                WHERE program.program_id = r.program_id
                                LIMIT 1) AS p
           LEFT JOIN LATERAL (SELECT m.user_id, m.display_name
                                FROM referral.member AS m
                               WHERE m.program_id = r.program_id
                                 AND m.member_id = r.payer_id
                               LIMIT 1) AS payer ON true
           LEFT JOIN LATERAL (SELECT c.status
                                FROM unnest(closed_ones) AS known(status)
                                     CROSS JOIN LATERAL (
                                         SELECT k.status
                                           FROM referral.reward_closed AS k
                                          WHERE k.program_id = r.program_id
                                            AND k.member_id = r.member_id
                                            AND k.status = known.status
                                            AND k.reward_id = r.reward_id
                                          LIMIT 1) AS c
                               LIMIT 1) AS closed ON true
           LEFT JOIN LATERAL (SELECT g.total_micro
                                FROM referral.refund_applied AS g
                               WHERE g.program_id = r.program_id
                                 AND g.payment_no = r.reward_id / 16
                               ORDER BY g.total_micro DESC
                               LIMIT 1) AS given_back ON true
           CROSS JOIN LATERAL referral.reversal(r.program_id, r.reward_id, r.amount_micro,
                                                r.base_micro, given_back.total_micro) AS taken
     ORDER BY listed.place;
END
$$;
COMMENT ON FUNCTION referral.list_rewards(text, text[], integer, integer, bigint, bigint) IS
'Rewards of a member, newest first (descending id, the order of processing).
user_id: the application''s id of the member; an unknown one has no rewards. status: only these of
pending, available, spent, paid_out, reversed; NULL for all; unknown ones match nothing. max_rows:
page length, NULL or negative for 50. skip: rows passed over first, NULL or negative for 0.
before_id: only ids below it; pages by it cost the same however far down. Only available ones:
those still pending are walked past.';
