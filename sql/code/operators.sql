-- What operators read: attributions, the funnel, the leaderboard (CONTRACT section 6).

-- One at a time, and each of its parts by a key: so that no plan depends on
-- what is known of the tables' sizes.
CREATE FUNCTION referral.attribution_row_of(program_id bigint, attribution_id bigint)
    RETURNS referral.attribution_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    answer referral.attribution_row;
BEGIN
    SELECT a.attribution_id,
           referral.status_of(a.decision, a.attributed_at, a.qualified_at, a.rewarded_at,
                              a.granted_at, p.qualify_days, p.uses_grants),
           (SELECT c.code FROM referral.code AS c
             WHERE c.program_id = a.program_id AND c.code_id = a.code_id),
           CASE a.utm_key WHEN 0 THEN
                    (SELECT k.name FROM referral.campaign AS k
                      WHERE k.program_id = a.program_id AND k.campaign_id = a.campaign_id)
                ELSE a.utm_campaign END,     -- erased: none, as in the funnel
           a.user_id,
           (SELECT m.display_name FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.member_id),
           (SELECT m.user_id FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.referrer_id),
           (SELECT m.display_name FROM referral.member AS m
             WHERE m.program_id = a.program_id AND m.member_id = a.referrer_id),
           a.attributed_at,
           a.attributed_at + p.qualify_days * interval '24 hours',
           a.qualified_at,
           a.rewarded_at,
           a.granted_at,
           p.uses_grants AND a.rewarded_at IS NOT NULL AND a.granted_at IS NULL,
           made.payment_id,
           CASE WHEN a.first_payment_no IS NOT NULL THEN coalesce(made.amount_micro, 0) END,
           a.click_id
      INTO answer
      FROM referral.attribution AS a
           JOIN referral.program AS p ON p.program_id = a.program_id
           CROSS JOIN LATERAL (
               SELECT min(r.payment_id) AS payment_id, sum(r.amount_micro) AS amount_micro
                 FROM referral.reward AS r
                WHERE r.program_id = a.program_id
                  AND r.reward_id BETWEEN a.first_payment_no * 16 AND a.first_payment_no * 16 + 15
           ) AS made
     WHERE a.program_id = attribution_row_of.program_id
       AND a.attribution_id = attribution_row_of.attribution_id;
    RETURN CASE WHEN FOUND THEN answer END;
END
$$;
COMMENT ON FUNCTION referral.attribution_row_of(bigint, bigint) IS
'An attribution as list_attributions() shows it, NULL where there is none.
payment_id and reward_micro are found by the rewards of the payment that qualified it: payment_id is
NULL where that made none.';

-- What a list of attributions is asked for, and what of the program it takes to
-- tell. The statuses are known ones; campaign_ids are the campaigns called so.
CREATE TYPE referral.attribution_wish AS (
    status        text[],
    pending_grant boolean,
    campaign      text,
    campaign_ids  bigint[],
    qualify_days  integer,
    uses_grants   boolean
);
COMMENT ON TYPE referral.attribution_wish IS 'Filters of list_attributions()';
COMMENT ON COLUMN referral.attribution_wish.status IS 'One of these; NULL: any';
COMMENT ON COLUMN referral.attribution_wish.pending_grant IS 'True: a grant is pending; false: none; NULL: either';
COMMENT ON COLUMN referral.attribution_wish.campaign IS 'The click''s utm_campaign, or without one the campaign''s name; NULL: any';
COMMENT ON COLUMN referral.attribution_wish.campaign_ids IS 'Campaigns of that name';
COMMENT ON COLUMN referral.attribution_wish.qualify_days IS 'Of the program';
COMMENT ON COLUMN referral.attribution_wish.uses_grants IS 'Of the program';

-- Becomes part of the query, as status_of() does.
CREATE FUNCTION referral.is_wished(wish referral.attribution_wish, decision text,
                                   attributed_at timestamptz, qualified_at timestamptz,
                                   rewarded_at timestamptz, granted_at timestamptz,
                                   utm_key bigint, utm_campaign text, campaign_id bigint)
    RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((is_wished.wish).status IS NULL
            OR referral.status_of(is_wished.decision, is_wished.attributed_at,
                                  is_wished.qualified_at, is_wished.rewarded_at,
                                  is_wished.granted_at, (is_wished.wish).qualify_days,
                                  (is_wished.wish).uses_grants)
               = ANY ((is_wished.wish).status))
       AND ((is_wished.wish).pending_grant IS NULL
            OR (is_wished.wish).pending_grant
               = ((is_wished.wish).uses_grants AND is_wished.rewarded_at IS NOT NULL
                  AND is_wished.granted_at IS NULL))
       AND ((is_wished.wish).campaign IS NULL
            OR CASE WHEN is_wished.utm_key = 0
                    THEN is_wished.campaign_id = ANY ((is_wished.wish).campaign_ids)
                    ELSE is_wished.utm_campaign = (is_wished.wish).campaign END);
COMMENT ON FUNCTION referral.is_wished(referral.attribution_wish, text, timestamptz, timestamptz,
                                       timestamptz, timestamptz, bigint, text, bigint) IS
'Whether an attribution with these columns is among those that a list is asked for.';

CREATE FUNCTION referral.campaigns_named(program_id bigint, name text) RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT k.campaign_id FROM referral.campaign AS k
                  WHERE k.program_id = campaigns_named.program_id
                    AND k.name = campaigns_named.name);
END
$$;
COMMENT ON FUNCTION referral.campaigns_named(bigint, text) IS
'Campaigns with this name, of which there may be several.';

-- Four ways through the attributions, each along an index in the order of the
-- list; how the planner is held to it: reading.sql. Each part of a way is cut to
-- the page, so that no more than a few pages are sorted.
CREATE FUNCTION referral.attribution_page(
    program_id bigint,
    user_id text,
    wish referral.attribution_wish,
    before_id bigint,
    wanted bigint)
    RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET enable_incremental_sort = off
    SET jit = off
AS $$
DECLARE
    member bigint;
BEGIN
    IF attribution_page.user_id IS NOT NULL THEN
        member := (SELECT m.member_id FROM referral.member AS m
                    WHERE m.program_id = attribution_page.program_id
                      AND m.user_id = attribution_page.user_id);
        -- OFFSET 0: found by user_id, whatever else is asked
        RETURN ARRAY(SELECT a.attribution_id
                       FROM (SELECT own.* FROM referral.attribution AS own
                              WHERE own.program_id = attribution_page.program_id
                                AND own.user_id = attribution_page.user_id
                             OFFSET 0) AS a
                      WHERE a.attribution_id < attribution_page.before_id
                        AND referral.is_wished($3, a.decision, a.attributed_at, a.qualified_at,
                                               a.rewarded_at, a.granted_at, a.utm_key,
                                               a.utm_campaign, a.campaign_id))
               || ARRAY(SELECT a.attribution_id FROM referral.attribution AS a
                         WHERE a.program_id = attribution_page.program_id
                           AND (a.referrer_id, a.attribution_id) >= (member, 0)
                           AND (a.referrer_id, a.attribution_id)
                               < (member, attribution_page.before_id)
                           AND referral.is_wished($3, a.decision, a.attributed_at, a.qualified_at,
                                                  a.rewarded_at, a.granted_at, a.utm_key,
                                                  a.utm_campaign, a.campaign_id)
                         ORDER BY a.referrer_id DESC, a.attribution_id DESC
                         LIMIT attribution_page.wanted);
    ELSIF (attribution_page.wish).status <@ '{review_required,rejected,capped}' THEN
        RETURN ARRAY(SELECT listed.attribution_id
                       FROM unnest((attribution_page.wish).status) AS asked(status)
                            CROSS JOIN LATERAL (
                                SELECT a.attribution_id FROM referral.attribution AS a
                                 WHERE a.program_id = attribution_page.program_id
                                   AND a.decision IS NOT NULL
                                   AND (a.decision, a.attribution_id) >= (asked.status, 0)
                                   AND (a.decision, a.attribution_id)
                                       < (asked.status, attribution_page.before_id)
                                   AND referral.is_wished($3, a.decision, a.attributed_at,
                                                          a.qualified_at, a.rewarded_at,
                                                          a.granted_at, a.utm_key,
                                                          a.utm_campaign, a.campaign_id)
                                 ORDER BY a.decision DESC, a.attribution_id DESC
                                 LIMIT attribution_page.wanted) AS listed);
    ELSIF (attribution_page.wish).campaign IS NOT NULL THEN
        RETURN ARRAY(SELECT a.attribution_id FROM referral.attribution AS a
                      WHERE a.program_id = attribution_page.program_id
                        AND a.utm_campaign IS NOT NULL
                        AND (a.utm_campaign, a.attribution_id)
                            >= ((attribution_page.wish).campaign, 0)
                        AND (a.utm_campaign, a.attribution_id)
                            < ((attribution_page.wish).campaign, attribution_page.before_id)
                        AND referral.is_wished($3, a.decision, a.attributed_at, a.qualified_at,
                                               a.rewarded_at, a.granted_at, a.utm_key,
                                               a.utm_campaign, a.campaign_id)
                      ORDER BY a.utm_campaign DESC, a.attribution_id DESC
                      LIMIT attribution_page.wanted)
               || ARRAY(SELECT listed.attribution_id
                          FROM unnest((attribution_page.wish).campaign_ids) AS named(campaign_id)
                               CROSS JOIN LATERAL (
                                   SELECT a.attribution_id FROM referral.attribution AS a
                                    WHERE a.program_id = attribution_page.program_id
                                      AND a.campaign_id <> 0
                                      AND a.utm_campaign IS NULL
                                      AND (a.campaign_id, a.attribution_id)
                                          >= (named.campaign_id, 0)
                                      AND (a.campaign_id, a.attribution_id)
                                          < (named.campaign_id, attribution_page.before_id)
                                      AND referral.is_wished($3, a.decision, a.attributed_at,
                                                             a.qualified_at, a.rewarded_at,
                                                             a.granted_at, a.utm_key,
                                                             a.utm_campaign, a.campaign_id)
                                    ORDER BY a.campaign_id DESC, a.attribution_id DESC
                                    LIMIT attribution_page.wanted) AS listed);
    END IF;
    RETURN ARRAY(SELECT a.attribution_id FROM referral.attribution AS a
                  WHERE a.program_id = attribution_page.program_id
                    AND a.attribution_id < attribution_page.before_id
                    AND referral.is_wished($3, a.decision, a.attributed_at, a.qualified_at,
                                           a.rewarded_at, a.granted_at, a.utm_key,
                                           a.utm_campaign, a.campaign_id)
                  ORDER BY a.attribution_id DESC
                  LIMIT attribution_page.wanted);
END
$$;
COMMENT ON FUNCTION referral.attribution_page(bigint, text, referral.attribution_wish, bigint,
                                              bigint) IS
'The ids on a page of list_attributions(), and perhaps some below them, in no order.';

CREATE FUNCTION referral.list_attributions(
    user_id text DEFAULT NULL,
    status text[] DEFAULT NULL,
    campaign text DEFAULT NULL,
    pending_grant boolean DEFAULT NULL,
    max_rows integer DEFAULT NULL,
    before_id bigint DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.attribution_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    wanted CONSTANT bigint := CASE WHEN list_attributions.max_rows >= 0
                                   THEN list_attributions.max_rows ELSE 50 END;
    wish referral.attribution_wish;
BEGIN
    SELECT p.qualify_days, p.uses_grants INTO wish.qualify_days, wish.uses_grants
      FROM referral.program AS p
     WHERE p.program_id = list_attributions.program_id;
    IF list_attributions.status IS NOT NULL THEN
        wish.status := ARRAY(
            SELECT DISTINCT asked.status FROM unnest(list_attributions.status) AS asked(status)
             WHERE asked.status IN ('attributed', 'qualified', 'rewarded', 'review_required',
                                    'rejected', 'capped', 'expired'));
    END IF;
    -- what is known to find nothing must not look through everything
    IF wish.status = '{}' OR list_attributions.pending_grant AND NOT wish.uses_grants THEN
        RETURN;
    END IF;
    wish.pending_grant := list_attributions.pending_grant;
    wish.campaign := list_attributions.campaign;
    wish.campaign_ids := referral.campaigns_named(list_attributions.program_id,
                                                  list_attributions.campaign);
    RETURN QUERY
    SELECT shown.*
      FROM (SELECT o.id
              FROM unnest(referral.attribution_page(
                       list_attributions.program_id, list_attributions.user_id, wish,
                       coalesce(list_attributions.before_id, 9223372036854775807), wanted)) AS o(id)
             ORDER BY o.id DESC
             LIMIT wanted) AS page
           CROSS JOIN LATERAL referral.attribution_row_of(list_attributions.program_id,
                                                          page.id) AS shown
     ORDER BY page.id DESC;
END
$$;
COMMENT ON FUNCTION
referral.list_attributions(text, text[], text, boolean, integer, bigint, bigint) IS
'Attributions of the program, the newest first (descending id); a row must fit all filters.
user_id: who was referred, or who referred. status: one of these, of attributed, qualified,
rewarded, review_required, rejected, capped, expired; unknown ones match nothing. campaign: the
click''s utm_campaign, or without one the name of the code''s campaign. pending_grant: true for
those with a reward of which none was confirmed, in a program that uses grants, false for all
others. NULL leaves a filter out. max_rows: page length, NULL or negative for 50. before_id: only
ids below it; a page costs the same however far down. What is in review, rejected or capped, of a
user or of a campaign, is found by an index; any other status and pending_grant by passing over what
does not fit.
Example: SELECT * FROM referral.list_attributions(status => ''{review_required}'');';

CREATE FUNCTION referral.attribution_detail(
    id bigint,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.attribution_detail
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT referral.attribution_row_of(a.program_id, a.attribution_id),
           a.campaign_id, click.landing_path, click.utm_source, click.utm_medium, a.utm_campaign,
           click.clicked_at, review.rules, review.held_at, review.decision, review.actor,
           review.reason, review.decided_at,
           (SELECT count(*) FROM referral.payment_waiting AS w
             WHERE w.program_id = a.program_id AND w.member_id = a.member_id),
           paid.payments, paid.volume_micro,
           coalesce((SELECT jsonb_agg(
                                jsonb_build_object(
                                    'id', r.reward_id, 'level', r.level,
                                    'user_id', referral.member_name(r.program_id, r.member_id),
                                    'amount_micro', r.amount_micro,
                                    'available_at', r.available_at)
                                || referral.reward_now(r.program_id, r.reward_id)
                                ORDER BY r.reward_id)
                       FROM referral.reward AS r
                      WHERE r.program_id = a.program_id
                        AND r.reward_id BETWEEN a.first_payment_no * 16
                                            AND a.first_payment_no * 16 + 15), '[]')
      FROM referral.attribution AS a
           LEFT JOIN LATERAL (
               SELECT k.* FROM referral.click AS k
                WHERE k.program_id = a.program_id AND k.click_id = a.click_id LIMIT 1
           ) AS click ON true
           LEFT JOIN LATERAL (
               SELECT v.* FROM referral.attribution_review AS v
                WHERE v.program_id = a.program_id AND v.attribution_id = a.attribution_id LIMIT 1
           ) AS review ON true
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(c.payments), 0)::bigint AS payments,
                      coalesce(sum(c.volume_micro), 0) AS volume_micro
                 FROM referral.paid AS c
                WHERE c.program_id = a.program_id AND c.member_id = a.member_id) AS paid
     WHERE a.program_id = attribution_detail.program_id
       AND a.attribution_id = attribution_detail.id;
END
$$;
COMMENT ON FUNCTION referral.attribution_detail(bigint, bigint) IS
'Everything about one attribution: as it is listed, its click, its review, what was paid and earned.
id: of list_attributions(); no row for an unknown one. Amounts are in micro-units. What was on the
click is NULL once that was dropped, but for utm_campaign.
Example: SELECT * FROM referral.attribution_detail(17);';

CREATE FUNCTION referral.funnel_stats(
    since date DEFAULT NULL,
    until date DEFAULT NULL,
    campaign text DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS referral.funnel_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    answer referral.funnel_row;
    key CONSTANT bigint := referral.utm_key(funnel_stats.campaign);
    campaign_ids CONSTANT bigint[] := referral.campaigns_named(funnel_stats.program_id,
                                                               funnel_stats.campaign);
    by_grants CONSTANT boolean := (SELECT p.uses_grants FROM referral.program AS p
                                    WHERE p.program_id = funnel_stats.program_id);
BEGIN
    SELECT coalesce(sum(f.clicks), 0), coalesce(sum(f.attributed), 0),
           coalesce(sum(f.qualified), 0),
           coalesce(sum(CASE WHEN by_grants THEN f.granted ELSE f.rewarded END), 0),
           coalesce(sum(f.capped), 0), coalesce(sum(f.review_required), 0),
           coalesce(sum(f.rejected), 0)
      INTO answer
      FROM referral.funnel AS f
     WHERE f.program_id = funnel_stats.program_id
       AND f.day >= coalesce(funnel_stats.since, '-infinity')
       AND f.day < coalesce(funnel_stats.until, 'infinity')
       AND (funnel_stats.campaign IS NULL
            OR CASE f.utm_key WHEN 0 THEN f.campaign_id = ANY (campaign_ids)
                              ELSE f.utm_key = key END);
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral.funnel_stats(date, date, text, bigint) IS
'How many clicked, signed up, paid and were rewarded, and what became of the others.
since: first day; until: the day after the last one; NULL for no bound. Days are those of the
program''s time zone: of a click its own, of all else that of the sign-up (attributed_at). campaign:
the click''s utm_campaign, or without one the name of the code''s campaign; NULL for all.
Told from counters, so that it costs the same whatever became of the clicks themselves.
Example: SELECT * FROM referral.funnel_stats(''2026-01-01'', ''2026-02-01'');';

CREATE FUNCTION referral.leaderboard(
    since date DEFAULT NULL,
    until date DEFAULT NULL,
    max_rows integer DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.leader_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT rank() OVER (ORDER BY best.earned_micro DESC), best.user_id::text, best.display_name,
           best.earned_micro, best.rewards::bigint, best.volume_micro
      FROM (SELECT m.user_id, m.display_name, earned.*
              FROM (SELECT e.member_id, sum(e.amount_micro - e.reversed_micro) AS earned_micro,
                           sum(e.rewards) AS rewards, sum(e.volume_micro) AS volume_micro
                      FROM referral.earning AS e
                     WHERE e.program_id = leaderboard.program_id
                       AND e.earned_on >= coalesce(leaderboard.since, '-infinity')
                       AND e.earned_on < coalesce(leaderboard.until, 'infinity')
                       AND e.level >= 1
                     GROUP BY e.member_id
                    HAVING sum(e.amount_micro - e.reversed_micro) > 0) AS earned
                   JOIN referral.member AS m
                     ON m.program_id = leaderboard.program_id AND m.member_id = earned.member_id
             WHERE m.suspended_at IS NULL
             ORDER BY earned.earned_micro DESC, m.user_id
             LIMIT CASE WHEN leaderboard.max_rows >= 0
                        THEN leaderboard.max_rows ELSE 50 END) AS best
     ORDER BY best.earned_micro DESC, best.user_id;
END
$$;
COMMENT ON FUNCTION referral.leaderboard(date, date, integer, bigint) IS
'Who earned most by those below him: the first places, ties by user_id.
since: first day; until: the day after the last one; NULL for no bound. Days are those of the
payments'' occurred_at in the program''s time zone. Earned is net of reversals, whenever they came,
in micro-units; rewards for one''s own payments do not count. Who earned nothing, or is suspended,
has no place. max_rows: page length, NULL or negative for 50.
Reads the counters of all members, not the ledger.
Example: SELECT * FROM referral.leaderboard(''2026-01-01'', ''2026-02-01'', 10);';
