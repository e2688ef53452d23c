-- Wrappers of schema referral_api for clicks and for what operators do; see api.sql.

CREATE FUNCTION referral.request_header(name text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'referral_request_header';
COMMENT ON FUNCTION referral.request_header(text) IS
'A header of the request as the HTTP server passed it on, NULL where there is none.
name: in lower case.';

-- For anybody.

CREATE FUNCTION referral_api.capture_click(code text, click_id text DEFAULT NULL,
                                           landing_path text DEFAULT NULL,
                                           utm_source text DEFAULT NULL,
                                           utm_medium text DEFAULT NULL,
                                           utm_campaign text DEFAULT NULL,
                                           ip text DEFAULT NULL, user_agent text DEFAULT NULL)
    RETURNS text LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    -- What the proxy says of the connection counts before what the caller says.
    SELECT referral.capture_click(
        capture_click.code, capture_click.click_id, capture_click.landing_path,
        capture_click.utm_source, capture_click.utm_medium, capture_click.utm_campaign,
        coalesce(referral.request_header('x-real-ip'),
                 split_part(referral.request_header('x-forwarded-for'), ',', 1),
                 capture_click.ip),
        coalesce(referral.request_header('user-agent'), capture_click.user_agent),
        referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.capture_click(text, text, text, text, text, text, text, text) IS
'Records a visit by way of a code, and returns its click_id for the sign-up
code: whose; click_id: the caller''s own, 1 to 200 of A-Z a-z 0-9 . _ ~ : @ + = -, known already it
changes nothing; left out, one is made; landing_path: kept without query and fragment; utm_source,
utm_medium, utm_campaign: up to 100 characters; ip, user_agent: where the headers X-Real-IP,
X-Forwarded-For and User-Agent do not tell; only salted hashes are kept. For anybody.
Errors: unknown_code, invalid click_id.
Example: POST /rpc/capture_click {"code": "ada", "utm_campaign": "spring", "landing_path": "/"}';

-- For operators.

CREATE FUNCTION referral_api.approve_attribution(id bigint, actor text DEFAULT NULL,
                                                 reason text DEFAULT NULL)
    RETURNS referral.attribution_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.approve_attribution(
        approve_attribution.id,
        coalesce(approve_attribution.actor, (referral.caller()).user_id),
        approve_attribution.reason, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.approve_attribution(bigint, text, text) IS
'Approves an attribution that is held for review; payments that waited are processed now
id: of list_attributions; actor: who decides (left out, the caller), reason: why, kept for ever.
Decided before, in either way, it is returned as it stands.
Errors: unknown_attribution, attribution_not_in_review, invalid actor, invalid reason,
unauthenticated.
Example: POST /rpc/approve_attribution {"id": 17, "reason": "known customer"}';

CREATE FUNCTION referral_api.reject_attribution(id bigint, actor text DEFAULT NULL,
                                                reason text DEFAULT NULL)
    RETURNS referral.attribution_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.reject_attribution(
        reject_attribution.id,
        coalesce(reject_attribution.actor, (referral.caller()).user_id),
        reject_attribution.reason, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.reject_attribution(bigint, text, text) IS
'Rejects an attribution that is held for review; it never earns anybody anything
id: of list_attributions; actor: who decides (left out, the caller), reason: why, kept for ever.
Decided before, in either way, it is returned as it stands.
Errors: unknown_attribution, attribution_not_in_review, invalid actor, invalid reason,
unauthenticated.
Example: POST /rpc/reject_attribution {"id": 17, "reason": "self-referral"}';

CREATE FUNCTION referral_api.list_attributions(user_id text DEFAULT NULL,
                                               status text[] DEFAULT NULL,
                                               campaign text DEFAULT NULL,
                                               pending_grant boolean DEFAULT NULL,
                                               max_rows integer DEFAULT NULL,
                                               before_id bigint DEFAULT NULL)
    RETURNS SETOF referral.attribution_row
    LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.list_attributions(
        list_attributions.user_id, list_attributions.status, list_attributions.campaign,
        list_attributions.pending_grant, referral.page_rows(list_attributions.max_rows),
        list_attributions.before_id, referral.caller_program())
$$;
COMMENT ON FUNCTION
referral_api.list_attributions(text, text[], text, boolean, integer, bigint) IS
'Attributions of the program, newest first
user_id: who was referred, or who referred; status: only these, of attributed, qualified, rewarded,
review_required, rejected, capped, expired; campaign: the click''s utm_campaign, or without one the
name of the code''s campaign; pending_grant: true, those with a reward of which none was granted
yet; max_rows: 50, at most 200; before_id: only ids below it. Amounts are in micro-units.
Example: POST /rpc/list_attributions {"status": ["review_required"], "max_rows": 20}';

CREATE FUNCTION referral_api.attribution_detail(id bigint)
    RETURNS referral.attribution_detail LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.attribution_detail(attribution_detail.id, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.attribution_detail(bigint) IS
'One attribution with its click, its review, and what was paid and earned
id: of list_attributions; null for an unknown one. Amounts are in micro-units.
Example: GET /rpc/attribution_detail?id=17';

CREATE FUNCTION referral_api.funnel_stats(since date DEFAULT NULL, until date DEFAULT NULL,
                                          campaign text DEFAULT NULL)
    RETURNS referral.funnel_row LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.funnel_stats(funnel_stats.since, funnel_stats.until,
                                        funnel_stats.campaign, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.funnel_stats(date, date, text) IS
'How many clicked, signed up, paid and were rewarded
One object. since: first day; until: the day after the last one; days are those of the program''s
time zone, of a click its own, of all else that of the sign-up. campaign: the click''s utm_campaign,
or without one the name of the code''s campaign.
Example: GET /rpc/funnel_stats?since=2026-01-01&until=2026-02-01';

CREATE FUNCTION referral_api.leaderboard(since date DEFAULT NULL, until date DEFAULT NULL,
                                         max_rows integer DEFAULT NULL)
    RETURNS SETOF referral.leader_row
    LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.leaderboard(leaderboard.since, leaderboard.until,
                                       referral.page_rows(leaderboard.max_rows),
                                       referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.leaderboard(date, date, integer) IS
'Who earned most by those below him, with rank
since: first day; until: the day after the last one; days are those of the payments in the
program''s time zone. max_rows: 50, at most 200. Amounts are in micro-units, net of reversals.
Example: GET /rpc/leaderboard?since=2026-01-01&until=2026-02-01&max_rows=10';

CREATE FUNCTION referral_api.next_events(after bigint DEFAULT 0, max integer DEFAULT NULL)
    RETURNS SETOF referral.event_row
    LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 100 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.next_events(next_events.after, referral.page_rows(next_events.max),
                                       referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.next_events(bigint, integer) IS
'What happened since, in order; none while the program keeps no events
after: the id of the last event that was dealt with, 0 to begin with; an event may come again, none
is left out; max: 100, at most 200.
Example: POST /rpc/next_events {"after": 41}';

CREATE FUNCTION referral_api.maintenance_progress(max_rows integer DEFAULT NULL)
    RETURNS SETOF referral.progress_row
    LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.progress_id, p.task, p.subject, p.state, p.done, p.skipped, p.total,
           p.started_at, p.updated_at, p.finished_at
      FROM referral.stat_progress p
     WHERE p.program_id = referral.caller_program()
     ORDER BY p.progress_id DESC
     LIMIT CASE WHEN maintenance_progress.max_rows >= 0
                THEN referral.page_rows(maintenance_progress.max_rows) ELSE 50 END
$$;
COMMENT ON FUNCTION referral_api.maintenance_progress(integer) IS
'How far backfill, rebuild and maintain are, or how they ended, newest first
max_rows: 50, at most 200. What was interrupted is gone on with by calling it again, as a DBA.
Example: GET /rpc/maintenance_progress?max_rows=5';
