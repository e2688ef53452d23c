-- What members and operators read. Sums come from the counters, rows from a
-- keyed page: nothing here walks a history to answer.
--
-- PL/pgSQL throughout, because it keeps its plans for the session where SQL
-- functions with a pinned search_path plan anew at each call. A list finds its
-- page by comparing rows, (owner, id) < (x, y), and with sorting switched off,
-- by parts, too, where another index begins with the owner: then only the index
-- that holds the rows in their order is left to the planner, whatever the
-- statistics say, and a page costs a page. Compiling such plans (jit) costs a
-- hundred times what they take.

-- What is asked for most often is C: src/overview.c.

CREATE FUNCTION referral.balance_of(program_id bigint, member_id bigint) RETURNS referral.balance
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'referral_balance_of';
COMMENT ON FUNCTION referral.balance_of(bigint, bigint) IS
'Balance of a member in micro-units, by his internal number: the one place that says what a balance
is.
A member without earnings has zeros. available is below zero where refunds took back what was spent
or paid out already.';

CREATE FUNCTION referral.referral_overview(
    user_id text,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.overview
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'referral_overview';
COMMENT ON FUNCTION referral.referral_overview(text, bigint) IS
'One member at a glance: codes, tier, rate, paid invitees, balance, who invited him.
user_id: the application''s id of the member. One row; none for an unknown user. Balances are in
micro-units; rate_bps is level 1 outside campaigns at his tier.';

CREATE FUNCTION referral.list_invitees(
    user_id text,
    max_rows integer DEFAULT NULL,
    skip integer DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.invitee_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET enable_incremental_sort = off
    SET jit = off
AS $$
DECLARE
    referrer bigint := (SELECT m.member_id
                          FROM referral.member AS m
                         WHERE m.program_id = list_invitees.program_id
                           AND m.user_id = list_invitees.user_id);
BEGIN
    RETURN QUERY
    SELECT a.user_id::text,
           invitee.display_name,
           a.attributed_at,
           (SELECT coalesce(sum(paid.volume_micro), 0)::bigint
              FROM referral.paid
             WHERE paid.program_id = a.program_id
               AND paid.member_id = a.member_id)
      FROM (SELECT walked.*
              FROM referral.attribution AS walked
             WHERE walked.program_id = list_invitees.program_id
               AND (walked.referrer_id, walked.attribution_id) >= (referrer, 0)
               AND (walked.referrer_id, walked.attribution_id) <= (referrer, 9223372036854775807)
             ORDER BY walked.referrer_id DESC, walked.attribution_id DESC
             LIMIT CASE WHEN list_invitees.max_rows >= 0 THEN list_invitees.max_rows ELSE 50 END
            OFFSET greatest(list_invitees.skip, 0)) AS a
           LEFT JOIN LATERAL (SELECT m.display_name
                                FROM referral.member AS m
                               WHERE m.program_id = a.program_id
                                 AND m.member_id = a.member_id
                               LIMIT 1) AS invitee ON true
     ORDER BY a.referrer_id DESC, a.attribution_id DESC;
END
$$;
COMMENT ON FUNCTION referral.list_invitees(text, integer, integer, bigint) IS
'Members that a member referred directly, the newest attribution first, whatever became of it.
user_id: the application''s id of the referrer; an unknown one has no invitees. max_rows: page
length, NULL or negative for 50. skip: rows passed over first, NULL or negative for 0.
total_paid_micro is in micro-units.
Errors: 22003 if what one invitee paid does not fit bigint.';

CREATE FUNCTION referral.list_downline(
    user_id text,
    max_rows integer DEFAULT NULL,
    skip integer DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.downline_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    -- The members of the level above the one that is listed.
    above bigint[] := ARRAY(SELECT m.member_id
                              FROM referral.member AS m
                             WHERE m.program_id = list_downline.program_id
                               AND m.user_id = list_downline.user_id);
    deepest integer := (SELECT p.max_level
                          FROM referral.program AS p
                         WHERE p.program_id = list_downline.program_id);
    rows_left bigint := CASE WHEN list_downline.max_rows >= 0
                             THEN list_downline.max_rows ELSE 50 END;
    skip_left bigint := greatest(list_downline.skip, 0);
    listed bigint;
BEGIN
    FOR depth IN 1 .. coalesce(deepest, 0) LOOP
        EXIT WHEN rows_left = 0 OR cardinality(above) = 0;

        RETURN QUERY
        SELECT a.user_id::text,
               below.display_name,
               a.attributed_at,
               paid.volume_micro,
               depth,
               paid.payments,
               paid.volume_micro
          FROM (SELECT newest.*
                  FROM unnest(above) AS parent(member_id)
                       -- No parent can fill more than the page, so level 1 reads just that.
                       CROSS JOIN LATERAL (
                           SELECT child.*
                             FROM referral.attribution AS child
                            WHERE child.program_id = list_downline.program_id
                              AND child.referrer_id = parent.member_id
                            ORDER BY child.attribution_id DESC
                            LIMIT skip_left + rows_left) AS newest
                 ORDER BY newest.attribution_id DESC
                 LIMIT rows_left OFFSET skip_left) AS a
               LEFT JOIN LATERAL (SELECT m.display_name
                                    FROM referral.member AS m
                                   WHERE m.program_id = a.program_id
                                     AND m.member_id = a.member_id
                                   LIMIT 1) AS below ON true
               CROSS JOIN LATERAL (
                   SELECT coalesce(sum(counted.volume_micro), 0)::bigint AS volume_micro,
                          coalesce(sum(counted.payments), 0)::bigint AS payments
                     FROM referral.paid AS counted
                    WHERE counted.program_id = a.program_id
                      AND counted.member_id = a.member_id) AS paid
         ORDER BY a.attribution_id DESC;
        GET DIAGNOSTICS listed = ROW_COUNT;
        rows_left := rows_left - listed;
        EXIT WHEN rows_left = 0;

        above := ARRAY(SELECT child.member_id
                         FROM unnest(above) AS parent(member_id)
                              CROSS JOIN LATERAL (
                                  SELECT a.member_id
                                    FROM referral.attribution AS a
                                   WHERE a.program_id = list_downline.program_id
                                     AND a.referrer_id = parent.member_id
                                   OFFSET 0) AS child);
        skip_left := greatest(skip_left - cardinality(above), 0);
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.list_downline(text, integer, integer, bigint) IS
'Members below a member: level by level down to the program''s max_level, in each the newest
attribution first.
user_id: the application''s id of the member on top; an unknown one has nobody below. max_rows: page
length, NULL or negative for 50. skip: rows passed over first, NULL or negative for 0. Amounts are
in micro-units. The cost grows with the members on the levels passed over and shown, never with
payments.
Errors: 22003 if what one member paid does not fit bigint.';

CREATE FUNCTION referral.level_stats(
    user_id text,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.level_row
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'referral_level_stats';
COMMENT ON FUNCTION referral.level_stats(text, bigint) IS
'What stands and was earned on each level below a member: a row for every level from 1 to the
program''s max_level, zeros included.
user_id: the application''s id of the member; none for an unknown one. Amounts are in micro-units,
earnings net of reversals; rate_bps in basis points.
Errors: 22003 if a sum of one level does not fit bigint.';

CREATE TYPE referral.network_row AS (
    primary_code    text,
    inviter_id      bigint,
    inviter_display text,
    inviter_image   text,
    total_members   bigint,
    total_volume    bigint,
    total_earnings  bigint,
    total_deposits  bigint,
    members         bigint[],
    volume          bigint[],
    earnings        bigint[],
    rate_bps        bigint[]
);
COMMENT ON TYPE referral.network_row IS 'What network() returns; an element of an array for each level';

-- No set: PL/pgSQL calls it without setting up a query.
CREATE FUNCTION referral.network(user_id text, levels integer, unit_micro bigint,
                                 program_id bigint)
    RETURNS referral.network_row
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_network';
COMMENT ON FUNCTION referral.network(text, integer, bigint, bigint) IS
'A member''s code, who referred him, and level_stats() of so many levels as arrays, with zeros beyond
the program''s max_level. NULL for an unknown user. For /intotes.
levels: 0 to 10; unit_micro: amounts are in units of so many micro-units, rounded down. total_volume
and total_earnings add up what is shown of the levels, total_deposits is rounded once.
Errors: 22003 if a sum does not fit bigint.';

CREATE FUNCTION referral.earnings_by_day(
    user_id text,
    since date DEFAULT NULL,
    until date DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.day_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT e.earned_on,
           sum(e.amount_micro),
           sum(e.reversed_micro),
           sum(e.rewards)::bigint
      FROM referral.member AS m
           JOIN referral.earning AS e
             ON e.program_id = m.program_id AND e.member_id = m.member_id
     WHERE m.program_id = earnings_by_day.program_id
       AND m.user_id = earnings_by_day.user_id
       AND (earnings_by_day.since IS NULL OR e.earned_on >= earnings_by_day.since)
       AND (earnings_by_day.until IS NULL OR e.earned_on < earnings_by_day.until)
     GROUP BY e.earned_on
    HAVING sum(e.rewards) <> 0
     ORDER BY e.earned_on;
END
$$;
COMMENT ON FUNCTION referral.earnings_by_day(text, date, date, bigint) IS
'What a member earned per day, over all levels, oldest day first; days without a reward are left
out.
user_id: the application''s id of the member; an unknown one has no days. since: first day; until:
the day after the last one; NULL for no bound. Days are those of the payments'' occurred_at in the
program''s time zone. Amounts are in micro-units: earned by these payments, and taken back of that
by refunds since. payments counts those that earned him something.';
