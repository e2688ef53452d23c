-- Trigger functions of the tables that an operator writes, and the refusals of
-- the append-only ones. Those that look into the books or write the history
-- are SECURITY DEFINER, so that rights on the table written are enough;
-- nobody can call a trigger function, and EXECUTE is needed to attach one.

CREATE FUNCTION referral.number_program() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Also with an id of the caller's own: whoever asks next must see it.
    PERFORM pg_advisory_xact_lock('referral.program'::regclass::integer, 0);
    NEW.program_id := coalesce(NEW.program_id,
        (SELECT max(p.program_id) FROM referral.program p) + 1, 1);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION referral.number_program() IS
'BEFORE INSERT row trigger of program: an id that is not given is one above the greatest.';

CREATE FUNCTION referral.stamp_version() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Generated columns are not computed yet in NEW.
    aside CONSTANT text[] := '{valid_from,tier_key,campaign_key}';
BEGIN
    -- The clock, not the statement's start: the row's lock may have been waited
    -- for. A clock that was set back still leaves every version its time.
    IF TG_OP = 'INSERT' THEN
        NEW.valid_from := clock_timestamp();
    ELSIF to_jsonb(NEW) - aside = to_jsonb(OLD) - aside THEN
        NEW.valid_from := OLD.valid_from;
    ELSE
        NEW.valid_from := greatest(clock_timestamp(), OLD.valid_from + interval '1 microsecond');
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION referral.stamp_version() IS
'BEFORE INSERT OR UPDATE row trigger of program, tier, rate, campaign and review_rule: sets valid_from; an update that changes nothing makes no new version.';

CREATE FUNCTION referral.keep_history() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended timestamptz := greatest(clock_timestamp(), OLD.valid_from);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        ended := NEW.valid_from;
        IF ended = OLD.valid_from THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO referral.config_history
        (program_id, relation, row_before, valid_from, valid_to, changed_by)
    VALUES (OLD.program_id, TG_TABLE_NAME,
            to_jsonb(OLD) - '{valid_from,tier_key,campaign_key}'::text[],
            OLD.valid_from, ended, session_user);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.keep_history() IS
'AFTER UPDATE OR DELETE row trigger of program, tier, rate, campaign and review_rule: writes the former row to config_history, from when to when it stood and which login changed it.';

CREATE FUNCTION referral.protect_program() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM referral.payment p WHERE p.program_id = OLD.program_id) THEN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'foreign_key_violation',
                MESSAGE = 'program_in_use',
                DETAIL = format('Program %s has payments.', OLD.program_id),
                HINT = 'UPDATE referral.program SET active = false instead.';
        END IF;
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'program_fixed',
            DETAIL = format('Program %s has payments: its id, currency and time zone are fixed.',
                            OLD.program_id),
            HINT = 'Make another program.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION referral.protect_program() IS
'BEFORE row trigger of program, on DELETE and on UPDATE of its id, currency or time zone: refused once there are payments.
Errors: 23503 program_in_use, 23514 program_fixed.';

CREATE FUNCTION referral.move_funnel() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What the new days count more, or less, is a part of its own: so nothing
    -- waits, and what was counted of dropped clicks stays.
    -- Without payments nobody has come further than to the decision.
    INSERT INTO referral.funnel
    SELECT NEW.program_id, d.day, d.campaign_id, d.utm_key, own.part, sum(d.clicks),
           sum(d.attributed), sum(d.review_required), sum(d.rejected), 0, 0, 0, 0
      FROM (SELECT f.day, f.campaign_id, f.utm_key,
                   f.clicks, f.attributed, f.review_required, f.rejected
              FROM referral.funnel_of(NEW.program_id, NEW.time_zone) f
            UNION ALL
            SELECT f.day, f.campaign_id, f.utm_key,
                   -f.clicks, -f.attributed, -f.review_required, -f.rejected
              FROM referral.funnel_of(NEW.program_id, OLD.time_zone) f) d,
           (SELECT nextval('referral.part_seq') AS part) own
     GROUP BY d.day, d.campaign_id, d.utm_key, own.part
    HAVING (sum(d.clicks), sum(d.attributed), sum(d.review_required), sum(d.rejected))
           <> (0, 0, 0, 0);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.move_funnel() IS
'AFTER UPDATE row trigger of program, on a change of its time zone: counts the funnel by the days of the new one. A sign-up at that very moment may still be counted by the old one, which verify() names and rebuild() corrects.';

-- Tiers are handed around as jsonb {tier: min_paid_invitees}, because what
-- stood before a change is no longer in the table.
CREATE FUNCTION referral.tiers_of(program_id bigint) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(t.tier, t.min_paid_invitees), '{}')
    FROM referral.tier t
    WHERE t.program_id = tiers_of.program_id
$$;
COMMENT ON FUNCTION referral.tiers_of(bigint) IS
'The tiers of a program as {tier: min_paid_invitees}.';

CREATE FUNCTION referral.lowest_tier(tiers jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(min(t.tier::integer), 0) FROM jsonb_object_keys(lowest_tier.tiers) t(tier)
$$;
COMMENT ON FUNCTION referral.lowest_tier(jsonb) IS
'The lowest of some tiers ({tier: min_paid_invitees}), 0 if there are none.';

CREATE FUNCTION referral.standings(program_id bigint, tiers jsonb, auto_tier boolean,
                                   OUT member_id bigint, OUT tier integer)
    RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH step AS (
        SELECT s.key::integer AS tier, s.value::bigint AS needed
        FROM jsonb_each_text(standings.tiers) s
    ), invited AS (
        SELECT i.member_id, sum(i.paid_invitees) AS paid
        FROM referral.invited i
        WHERE i.program_id = standings.program_id
        GROUP BY i.member_id
    )
    SELECT m.member_id,
           CASE WHEN m.tier_pinned THEN m.tier
                ELSE greatest(m.tier,
                              (SELECT min(s.tier) FROM step s),
                              (SELECT max(s.tier) FROM step s
                               WHERE standings.auto_tier AND s.needed <= coalesce(i.paid, 0)))
           END
    FROM referral.member m
    LEFT JOIN invited i USING (member_id)
    WHERE m.program_id = standings.program_id
$$;
COMMENT ON FUNCTION referral.standings(bigint, jsonb, boolean) IS
'The tier that every member of a program would stand in if these were its tiers ({tier: min_paid_invitees}) and this its auto_tier.';

CREATE FUNCTION referral.keep_standings(program_id bigint, tiers_before jsonb, auto_before boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tiers_now CONSTANT jsonb := referral.tiers_of($1);
    auto_now  CONSTANT boolean := (SELECT p.auto_tier FROM referral.program p
                                   WHERE p.program_id = $1);
BEGIN
    UPDATE referral.member m
    SET tier = old.tier
    FROM referral.standings($1, $2, $3) old
    JOIN referral.standings($1, tiers_now, auto_now) new USING (member_id)
    WHERE m.program_id = $1
      AND m.member_id = old.member_id
      AND old.tier > new.tier;
END
$$;
COMMENT ON FUNCTION referral.keep_standings(bigint, jsonb, boolean) IS
'Writes into member.tier the tier of those who would stand lower now than by the tiers and auto_tier before a change: no one goes down by a change of rules (CONTRACT 3.5).';

CREATE FUNCTION referral.check_tiers() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_tiers jsonb := '{}';    -- {program: {tier: min_paid_invitees}}
    new_tiers jsonb := '{}';
    tiers     jsonb;
    before    jsonb;
    gone      integer[];
    program   record;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT coalesce(jsonb_object_agg(o.program_id, o.tiers), '{}') INTO old_tiers
        FROM (SELECT r.program_id, jsonb_object_agg(r.tier, r.min_paid_invitees) AS tiers
              FROM old_rows r GROUP BY r.program_id) o;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT coalesce(jsonb_object_agg(n.program_id, n.tiers), '{}') INTO new_tiers
        FROM (SELECT r.program_id, jsonb_object_agg(r.tier, r.min_paid_invitees) AS tiers
              FROM new_rows r GROUP BY r.program_id) n;
    END IF;

    -- The lock has two sessions that change tiers of one program see each
    -- other; enrolments, which share the row's key, do not wait for it.
    FOR program IN
        SELECT p.program_id, p.auto_tier, p.program_id::text AS key
        FROM referral.program p
        WHERE old_tiers || new_tiers ? p.program_id::text
        ORDER BY p.program_id
        FOR NO KEY UPDATE
    LOOP
        tiers := referral.tiers_of(program.program_id);
        before := (tiers - ARRAY(SELECT jsonb_object_keys(new_tiers -> program.key)))
                  || coalesce(old_tiers -> program.key, '{}');
        gone := ARRAY(SELECT b.tier::integer FROM jsonb_object_keys(before) b(tier)
                      WHERE NOT tiers ? b.tier);
        CONTINUE WHEN tiers = before;   -- labels only

        IF EXISTS (SELECT FROM jsonb_each_text(tiers) low, jsonb_each_text(tiers) high
                   WHERE low.key::integer < high.key::integer
                     AND low.value::bigint >= high.value::bigint) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = 'tiers_not_rising',
                DETAIL = format('In program %s a lower tier needs as many paid invitees as a higher one, or more.',
                                program.program_id),
                HINT = 'Let min_paid_invitees rise with tier; change several rows in one statement.';
        END IF;

        IF EXISTS (SELECT FROM referral.member m
                   WHERE m.program_id = program.program_id AND m.tier = ANY (gone))
           OR EXISTS (SELECT FROM referral.standings(program.program_id, before, program.auto_tier) s
                      WHERE s.tier = ANY (gone)) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'foreign_key_violation',
                MESSAGE = 'tier_in_use',
                DETAIL = format('Members of program %s stand in a tier that would go.',
                                program.program_id),
                HINT = 'Change its label or min_paid_invitees instead.';
        END IF;

        PERFORM referral.keep_standings(program.program_id, before, program.auto_tier);
        PERFORM referral.recheck_tiers(program.program_id, before);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.check_tiers() IS
'AFTER INSERT, UPDATE and DELETE statement triggers of tier, with transition tables old_rows and new_rows: thresholds rise with the tier, a tier that somebody stands in stays, and nobody goes down by the change.
Errors: 23514 tiers_not_rising, 23503 tier_in_use.';

CREATE FUNCTION referral.keep_auto_tiers() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tiers CONSTANT jsonb := referral.tiers_of(NEW.program_id);
BEGIN
    PERFORM referral.keep_standings(NEW.program_id, tiers, OLD.auto_tier);
    PERFORM referral.recheck_tiers(NEW.program_id, tiers);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION referral.keep_auto_tiers() IS
'AFTER UPDATE row trigger of program, when auto_tier changes: whoever stands in a tier by his invitees keeps it when the rules no longer follow them.';

CREATE FUNCTION referral.refuse_change() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- erase() takes texts out of rows that stay for ever.
    IF current_setting('referral.erasing', true) = 'on' AND TG_OP = 'UPDATE'
       AND TG_TABLE_NAME IN ('refund', 'adjustment', 'attribution_review') THEN
        RETURN NEW;     -- a row trigger that returns NULL skips the row
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'feature_not_supported',
        MESSAGE = 'change_refused',
        DETAIL = format('%s of referral.%I is refused to everyone.', TG_OP, TG_TABLE_NAME);
END
$$;
COMMENT ON FUNCTION referral.refuse_change() IS
'BEFORE statement trigger: UPDATE (also by ON CONFLICT), DELETE and TRUNCATE of payment, refund and adjustment, whose rows are for ever, and TRUNCATE of the configuration, which would pass by its history. erase() passes.
Errors: 0A000 change_refused.';

CREATE FUNCTION referral.protect_code() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- erase() overwrites texts. Generated columns are not computed yet in NEW.
    IF current_setting('referral.erasing', true) = 'on'
       AND to_jsonb(NEW) - '{code,disabled_at,campaign_key}'::text[]
           = to_jsonb(OLD) - '{code,disabled_at,campaign_key}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'feature_not_supported',
        MESSAGE = 'code_fixed',
        DETAIL = 'Of a code only cap and disabled_at can be changed.',
        HINT = 'Make another code; one that referred nobody can be deleted.';
END
$$;
COMMENT ON FUNCTION referral.protect_code() IS
'BEFORE UPDATE row trigger of code for the columns that say what it is and how often it was used: refused, but for texts that erase() overwrites.
Errors: 0A000 code_fixed.';
