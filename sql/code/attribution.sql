-- Who referred whom (CONTRACT section 2).
--
-- The tree of a program stays a forest because of two locks. An attribution of
-- somebody who has no downline (a leaf: nearly every sign-up) holds the
-- program's key shared, his own member row FOR UPDATE and his referrer's row
-- FOR KEY SHARE; any number of sign-ups under one referrer go on side by side.
-- An attribution of somebody who has a downline (late) holds the program's key
-- exclusively: nobody else attributes in the program until it has committed.
--
-- An edge that closes a cycle starts at somebody who has a downline, since the
-- cycle enters him from below. Is the downline there when he looks, he goes the
-- late way: alone, he sees every edge there is, and walks up from his referrer
-- to find himself. Is it being made at that moment, then his first child needs
-- his row FOR KEY SHARE while he holds it FOR UPDATE, so that one of the two
-- waits for the other's commit and then looks again. A leaf that still is one
-- under that lock cannot close a cycle, but for the one with himself.
--
-- Who has few invitees has them counted in his row: nobody can have more paid
-- invitees than that, which saves most payments from counting those. His first
-- 64 sign-ups therefore follow one after the other; then nobody counts.
--
-- Rows are locked in the order of member_id, after the key, and the key is
-- never asked for exclusively by an attempt that holds it shared: such an
-- attempt first gives everything back. A transaction of many attributions has
-- no such order and may be the victim of a deadlock.

CREATE FUNCTION referral.has_downline(program_id bigint, member_id bigint)
    RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- Where one referrer has half of all, the planner expects to come upon a row
    -- soon, and reads the whole table for everybody who has none.
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM referral.attribution a
                    WHERE a.program_id = has_downline.program_id
                      AND a.referrer_id = has_downline.member_id);
END
$$;
COMMENT ON FUNCTION referral.has_downline(bigint, bigint) IS
'Whether a member referred anybody.';

CREATE FUNCTION referral.is_above(program_id bigint, member_id bigint, below_id bigint)
    RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- UNION, not UNION ALL: ends even in a tree that somebody damaged by hand.
    WITH RECURSIVE line(member_id) AS (
        SELECT m.referrer_id
          FROM referral.member m
         WHERE m.program_id = is_above.program_id AND m.member_id = is_above.below_id
        UNION
        SELECT m.referrer_id
          FROM line
          JOIN referral.member m
            ON m.program_id = is_above.program_id AND m.member_id = line.member_id)
    SELECT EXISTS (SELECT FROM line WHERE line.member_id = is_above.member_id)
$$;
COMMENT ON FUNCTION referral.is_above(bigint, bigint, bigint) IS
'Whether member_id stands anywhere on the line up from below_id, however long that is.';

CREATE FUNCTION referral.find_code(program_id bigint, code text, OUT code_id bigint,
                                   OUT owner_id bigint, OUT campaign_id bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner_user_id text;
BEGIN
    -- Two look-ups by key and no join: a session that began with an empty
    -- table would keep a join that reads all of it.
    SELECT c.code_id, c.campaign_id, c.user_id
      INTO find_code.code_id, find_code.campaign_id, owner_user_id
      FROM referral.code c
     WHERE c.program_id = find_code.program_id
       AND lower(c.code) = lower(find_code.code COLLATE "C");
    SELECT m.member_id INTO find_code.owner_id
      FROM referral.member m
     WHERE m.program_id = find_code.program_id AND m.user_id = owner_user_id;
END
$$;
COMMENT ON FUNCTION referral.find_code(bigint, text) IS
'Whose a code is, in any case of letters; all NULL where there is none.';

CREATE FUNCTION referral.refusal(program_id bigint, user_id text, code text, click_id text,
                                 at timestamptz)
    RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    offer record;
    own_id bigint;
BEGIN
    SELECT * INTO offer FROM referral.find_code(refusal.program_id, refusal.code);
    IF offer.code_id IS NULL THEN
        RETURN 'unknown_code';
    END IF;
    SELECT m.member_id INTO own_id
      FROM referral.member m
     WHERE m.program_id = refusal.program_id AND m.user_id = refusal.user_id;
    RETURN CASE
        WHEN own_id = offer.owner_id THEN 'self_referral'
        WHEN EXISTS (SELECT FROM referral.attribution a
                      WHERE a.program_id = refusal.program_id AND a.user_id = refusal.user_id)
            THEN 'already_attributed'
        WHEN referral.has_downline(refusal.program_id, own_id)
             AND referral.is_above(refusal.program_id, own_id, offer.owner_id)
            THEN 'cycle'
        WHEN EXISTS (SELECT FROM referral.code c
                      WHERE c.program_id = refusal.program_id AND c.code_id = offer.code_id
                        AND c.disabled_at IS NOT NULL)
             OR EXISTS (SELECT FROM referral.member m
                         WHERE m.program_id = refusal.program_id AND m.member_id = offer.owner_id
                           AND m.suspended_at IS NOT NULL)
            THEN 'code_disabled'
        WHEN EXISTS (SELECT FROM referral.program p
                      WHERE p.program_id = refusal.program_id AND NOT p.active)
             OR EXISTS (SELECT FROM referral.campaign k
                         WHERE k.program_id = refusal.program_id
                           AND k.campaign_id = offer.campaign_id
                           AND (refusal.at < k.starts_at OR k.ends_at <= refusal.at))
            THEN 'campaign_inactive'
        WHEN refusal.click_id IS NOT NULL
             AND NOT EXISTS (SELECT FROM referral.click k
                               JOIN referral.program p USING (program_id)
                              WHERE k.program_id = refusal.program_id
                                AND k.click_id = refusal.click_id
                                AND k.clicked_at <= refusal.at
                                AND refusal.at
                                    < k.clicked_at + p.attribution_days * interval '24 hours')
            THEN 'click_expired'
        WHEN EXISTS (SELECT FROM referral.get_code(refusal.program_id, offer.code_id) g
                      WHERE g.used >= g.cap)
            THEN 'cap_reached'
    END;
END
$$;
COMMENT ON FUNCTION referral.refusal(bigint, text, text, text, timestamptz) IS
'Why a code does not attribute a user at an instant: the first reason of CONTRACT section 2 that
applies, NULL when it does attribute. user_id and click_id: NULL = leave out what they decide.';

-- The one place that says what a status is. Bound to what it calls when it is
-- made, it needs no search_path, and becomes part of the query of whoever calls
-- it: the lists ask it of every row they pass.
CREATE FUNCTION referral.status_of(decision text, attributed_at timestamptz,
                                   qualified_at timestamptz, rewarded_at timestamptz,
                                   granted_at timestamptz, qualify_days integer,
                                   uses_grants boolean)
    RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN status_of.decision IS NOT NULL THEN status_of.decision
                WHEN status_of.rewarded_at IS NOT NULL
                 AND (status_of.granted_at IS NOT NULL OR NOT status_of.uses_grants)
                    THEN 'rewarded'
                WHEN status_of.qualified_at IS NOT NULL THEN 'qualified'
                WHEN statement_timestamp()
                     >= status_of.attributed_at + status_of.qualify_days * interval '24 hours'
                    THEN 'expired'
                ELSE 'attributed' END;
COMMENT ON FUNCTION referral.status_of(text, timestamptz, timestamptz, timestamptz, timestamptz,
                                       integer, boolean) IS
'The status of an attribution as it reads now (CONTRACT section 2), of the columns of its row and of
qualify_days and uses_grants of its program.';

CREATE FUNCTION referral.attribution_status(program_id bigint, user_id text)
    RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT referral.status_of(a.decision, a.attributed_at, a.qualified_at, a.rewarded_at,
                                      a.granted_at, p.qualify_days, p.uses_grants)
              FROM referral.attribution a
              JOIN referral.program p USING (program_id)
             WHERE a.program_id = attribution_status.program_id
               AND a.user_id = attribution_status.user_id);
END
$$;
COMMENT ON FUNCTION referral.attribution_status(bigint, text) IS
'The status of a user''s attribution as it reads now, NULL when he has none.
rewarded: it made a reward and, where the program uses grants, one is confirmed.';

CREATE FUNCTION referral.count_attribution(program_id bigint, user_id text, stage text,
                                           change bigint)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.count_funnel(a.program_id,
                                  (a.attributed_at AT TIME ZONE p.time_zone)::date,
                                  a.campaign_id, a.utm_key, count_attribution.stage,
                                  count_attribution.change)
       FROM referral.attribution a
       JOIN referral.program p USING (program_id)
      WHERE a.program_id = count_attribution.program_id
        AND a.user_id = count_attribution.user_id;
END
$$;
COMMENT ON FUNCTION referral.count_attribution(bigint, text, text, bigint) IS
'Counts in the funnel that a user''s attribution came to a stage, or left it.
stage: a column of table funnel; change: 1 or -1.';

CREATE FUNCTION referral.count_member_in(program_id bigint, member_id bigint)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    above_id bigint := count_member_in.member_id;
    line bigint[] := '{}';
    above_ids bigint[];
    levels integer[];
    members bigint[];
BEGIN
    -- Step by step, for the reason given in find_code().
    FOR distance IN 1..10 LOOP
        SELECT m.referrer_id INTO above_id
          FROM referral.member m
         WHERE m.program_id = count_member_in.program_id AND m.member_id = above_id;
        EXIT WHEN above_id IS NULL;
        line := line || above_id;
    END LOOP;
    -- On level d of whoever stands d above him there is now the member himself,
    -- and on level d + k what he already has on his own level k.
    SELECT array_agg(l.member_id), array_agg(l.distance + own.level), array_agg(own.members)
      INTO above_ids, levels, members
      FROM unnest(line) WITH ORDINALITY l(member_id, distance),
           (SELECT 0 AS level, 1 AS members
            UNION ALL
            SELECT d.level, sum(d.members)
              FROM referral.downline d
             WHERE d.program_id = count_member_in.program_id
               AND d.member_id = count_member_in.member_id
             GROUP BY d.level) own
     WHERE l.distance + own.level <= 10;
    PERFORM referral.count_downline(count_member_in.program_id, above_ids, levels, members);
END
$$;
COMMENT ON FUNCTION referral.count_member_in(bigint, bigint) IS
'Adds a member who has just got a referrer, and all below him, to the levels of those above him.';

CREATE FUNCTION referral.write_attribution(program_id bigint, member_id bigint, user_id text,
                                           code text, click_id text, at timestamptz)
    RETURNS referral.attribution_result LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    offer record := referral.find_code(write_attribution.program_id, write_attribution.code);
    refused CONSTANT text := referral.refusal(write_attribution.program_id,
                                              write_attribution.user_id, write_attribution.code,
                                              write_attribution.click_id, write_attribution.at);
    held_by text[];
    came_by record;
    own_id bigint;
BEGIN
    IF refused IS NULL THEN
        held_by := referral.review_reasons(write_attribution.program_id, offer.owner_id,
                                           offer.campaign_id, write_attribution.click_id,
                                           write_attribution.at);
        SELECT k.utm_campaign, k.utm_key INTO came_by
          FROM referral.click k
         WHERE k.program_id = write_attribution.program_id
           AND k.click_id = write_attribution.click_id;
        INSERT INTO referral.attribution AS a
               (program_id, member_id, referrer_id, code_id, campaign_id, attributed_at,
                user_id, click_id, utm_campaign, utm_key, decision)
        VALUES (write_attribution.program_id, write_attribution.member_id, offer.owner_id,
                offer.code_id, offer.campaign_id, write_attribution.at,
                write_attribution.user_id, write_attribution.click_id,
                came_by.utm_campaign, coalesce(came_by.utm_key, 0),
                CASE WHEN held_by <> '{}' THEN 'review_required' END)
        RETURNING a.attribution_id INTO own_id;
        UPDATE referral.member m
           SET referrer_id = offer.owner_id
         WHERE m.program_id = write_attribution.program_id
           AND m.member_id = write_attribution.member_id;
        UPDATE referral.member m
           SET invitees = CASE WHEN m.invitees < 64 THEN m.invitees + 1 END
         WHERE m.program_id = write_attribution.program_id
           AND m.member_id = offer.owner_id
           AND m.invitees IS NOT NULL;
        PERFORM referral.count_member_in(write_attribution.program_id,
                                         write_attribution.member_id),
                referral.count_attribution(write_attribution.program_id,
                                           write_attribution.user_id, 'attributed', 1);
        IF held_by <> '{}' THEN
            PERFORM referral.hold_attribution(write_attribution.program_id,
                                              write_attribution.user_id, own_id, held_by);
        END IF;
    END IF;
    RETURN referral.attribution_answer(write_attribution.program_id, write_attribution.user_id,
                                       refused);
END
$$;
COMMENT ON FUNCTION
referral.write_attribution(bigint, bigint, text, text, text, timestamptz) IS
'Decides on an attribution and writes it, held for review where a rule says so. The caller holds the
locks that this file begins with.';

CREATE FUNCTION referral.attribution_answer(program_id bigint, user_id text, refused text)
    RETURNS referral.attribution_result LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (attribution_answer.refused IS NULL, attribution_answer.refused,
            (SELECT a.attribution_id
               FROM referral.attribution a
              WHERE a.program_id = attribution_answer.program_id
                AND a.user_id = attribution_answer.user_id),
            referral.attribution_status(attribution_answer.program_id,
                                        attribution_answer.user_id));
END
$$;
COMMENT ON FUNCTION referral.attribution_answer(bigint, text, text) IS
'The answer of attribute(), with the attribution that the user has, be it new or old.';

CREATE FUNCTION referral.lock_leaf(program_id bigint, member_id bigint, referrer_id bigint)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(referral.tree_key(lock_leaf.program_id));
    FOREACH next_id IN ARRAY ARRAY[least(lock_leaf.member_id, lock_leaf.referrer_id),
                                   greatest(lock_leaf.member_id, lock_leaf.referrer_id)]
    LOOP
        IF next_id = lock_leaf.member_id THEN
            PERFORM FROM referral.member m
              WHERE m.program_id = lock_leaf.program_id AND m.member_id = next_id
                FOR UPDATE;
        ELSE
            PERFORM FROM referral.member m
              WHERE m.program_id = lock_leaf.program_id AND m.member_id = next_id
                FOR KEY SHARE;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.lock_leaf(bigint, bigint, bigint) IS
'The locks of an attribution of somebody without a downline.';

CREATE FUNCTION referral.tree_key(program_id bigint)
    RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN hashtextextended('referral.member.referrer_id', tree_key.program_id);
END
$$;
COMMENT ON FUNCTION referral.tree_key(bigint) IS
'The advisory lock that stands for the tree of a program.';

CREATE FUNCTION referral.attribute(user_id text, code text, click_id text DEFAULT NULL,
                                   at timestamptz DEFAULT now(),
                                   program_id bigint DEFAULT referral.current_program())
    RETURNS referral.attribution_result LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    signed_at CONSTANT timestamptz := coalesce(attribute.at, now());
    refused text;
    own_id bigint;
BEGIN
    IF NOT isfinite(signed_at) OR signed_at > statement_timestamp() + interval '24 hours' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'datetime_field_overflow',
            MESSAGE = 'invalid at',
            DETAIL = 'at is not finite, or more than a day ahead.',
            HINT = 'Send the time of the sign-up, or leave it out.';
    END IF;
    -- A first look without any lock: most of what is refused is refused here.
    refused := referral.refusal(attribute.program_id, attribute.user_id, attribute.code,
                                attribute.click_id, signed_at);
    IF refused IS DISTINCT FROM 'unknown_code' THEN
        own_id := referral.ensure_member(attribute.program_id, attribute.user_id);
    END IF;
    IF refused IS NOT NULL THEN
        RETURN referral.attribution_answer(attribute.program_id, attribute.user_id, refused);
    END IF;

    -- What is decided under a lock must be read after it was got, which a
    -- transaction with one snapshot for all its statements cannot do.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'attribution needs isolation level read committed',
            DETAIL = 'At a higher level it would not see what other sessions did meanwhile.',
            HINT = 'Attribute in a transaction of its own at READ COMMITTED.';
    END IF;

    IF NOT referral.has_downline(attribute.program_id, own_id) THEN
        BEGIN
            PERFORM referral.lock_leaf(
                attribute.program_id, own_id,
                (referral.find_code(attribute.program_id, attribute.code)).owner_id);
            IF referral.has_downline(attribute.program_id, own_id) THEN
                RAISE SQLSTATE 'RF900';
            END IF;
            RETURN referral.write_attribution(attribute.program_id, own_id, attribute.user_id,
                                              attribute.code, attribute.click_id, signed_at);
        EXCEPTION WHEN SQLSTATE 'RF900' THEN
            NULL;   -- his first child came in between; the locks went with the attempt
        END;
    END IF;
    PERFORM pg_advisory_xact_lock(referral.tree_key(attribute.program_id));
    RETURN referral.write_attribution(attribute.program_id, own_id, attribute.user_id,
                                      attribute.code, attribute.click_id, signed_at);
END
$$;
COMMENT ON FUNCTION referral.attribute(text, text, text, timestamptz, bigint) IS
'Says by whose code a user came; the first attribution of a user stands for ever.
user_id: made a member if he is unknown, except with an unknown code; code: in any case of letters;
click_id: a captured click that must be at most attribution_days x 24 hours before at;
at: when he signed up. What is refused is an answer with its reason, not an error, see
referral.validate_code(). Where a rule of referral.review_rule holds the attribution, its status is
review_required until approve_attribution() or reject_attribution().
Errors: 22023 user_id not of 1 to 200 characters, 22008 at not finite or more than a day ahead,
0A000 isolation level above READ COMMITTED.
Example: SELECT * FROM referral.attribute(''u43'', ''ada'');';

CREATE FUNCTION referral.validate_code(code text, user_id text DEFAULT NULL,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS referral.code_validity LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refused CONSTANT text := referral.refusal(validate_code.program_id, validate_code.user_id,
                                              validate_code.code, NULL, now());
BEGIN
    RETURN (refused IS NULL, refused);
END
$$;
COMMENT ON FUNCTION referral.validate_code(text, text, bigint) IS
'Whether a code would attribute a user now, and if not, the first reason that applies of
unknown_code, self_referral, already_attributed, cycle, code_disabled (also: its owner is
suspended), campaign_inactive (also: the program is), click_expired, cap_reached.
user_id: NULL = anybody who is not a member yet.
Example: SELECT * FROM referral.validate_code(''ada'');';
