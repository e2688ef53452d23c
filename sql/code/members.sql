-- Members, their codes, their tiers (CONTRACT section 2). What is called often is
-- PL/pgSQL, which keeps its plans; a function in SQL is planned at each call.

CREATE FUNCTION referral.check_text(argument text, value text, at_least integer, at_most integer)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(length(check_text.value), 0) NOT BETWEEN check_text.at_least AND check_text.at_most
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid ' || check_text.argument,
            DETAIL = format('%s takes %s to %s characters, got %s.', check_text.argument,
                            check_text.at_least, check_text.at_most,
                            coalesce(length(check_text.value)::text, 'NULL')),
            HINT = 'Send a text of a permitted length.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_text(text, text, integer, integer) IS
'Refuses a text that is too short or too long.
argument: its name, for the error; value: NULL counts as length 0; at_least, at_most: characters.
Errors: 22023.';

CREATE FUNCTION referral.known_member(program_id bigint, user_id text)
    RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT m.member_id INTO found_id
      FROM referral.member m
     WHERE m.program_id = known_member.program_id AND m.user_id = known_member.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF003',
            MESSAGE = 'unknown_member',
            DETAIL = 'The program has no member with this user_id.',
            HINT = 'Call referral.enroll() for him first.';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION referral.known_member(bigint, text) IS
'The number of a member who must exist.
Errors: RF003 unknown_member.';

CREATE FUNCTION referral.get_code(program_id bigint, code_id bigint)
    RETURNS referral.code_row LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result referral.code_row;
BEGIN
    SELECT c.code_id, c.user_id, c.code, c.kind, c.campaign_id, c.cap,
           c.used + coalesce((SELECT sum(u.used)
                                FROM referral.code_use u
                               WHERE u.program_id = c.program_id AND u.code_id = c.code_id), 0),
           c.created_at, c.disabled_at
      INTO result
      FROM referral.code c
     WHERE c.program_id = get_code.program_id AND c.code_id = get_code.code_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.get_code(bigint, bigint) IS
'One code, with the uses of all its counters.';

CREATE FUNCTION referral.random_code()
    RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- 32 symbols, none of them mistaken for another: no 0 O 1 I.
    alphabet CONSTANT text := 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';
    bytes CONSTANT bytea := uuid_send(gen_random_uuid());
    code text := '';
BEGIN
    -- Of a version 4 uuid the low five bits of these bytes are all random.
    FOR i IN 8..15 LOOP
        code := code || substr(alphabet, 1 + (get_byte(bytes, i) & 31), 1);
    END LOOP;
    RETURN code;
END
$$;
COMMENT ON FUNCTION referral.random_code() IS
'Eight characters that nobody guesses and nobody misreads.';

CREATE FUNCTION referral.issue_code(program_id bigint, user_id text, campaign_id bigint, cap bigint)
    RETURNS referral.code_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_primary CONSTANT boolean := issue_code.campaign_id = 0;
    found_id bigint;
BEGIN
    -- A conflict is either somebody else's code of the same letters, and the
    -- next draw is another one, or the same code issued meanwhile, and read.
    -- The kinds are literals because the indexes that answer are partial.
    LOOP
        IF is_primary THEN
            SELECT c.code_id INTO found_id
              FROM referral.code c
             WHERE c.program_id = issue_code.program_id AND c.user_id = issue_code.user_id
               AND c.kind = 'uid';
        ELSE
            SELECT c.code_id INTO found_id
              FROM referral.code c
             WHERE c.program_id = issue_code.program_id AND c.user_id = issue_code.user_id
               AND c.kind = 'campaign' AND c.campaign_id = issue_code.campaign_id;
        END IF;
        EXIT WHEN found_id IS NOT NULL;
        INSERT INTO referral.code (program_id, user_id, code, kind, campaign_id, cap)
        VALUES (issue_code.program_id, issue_code.user_id, referral.random_code(),
                CASE WHEN is_primary THEN 'uid' ELSE 'campaign' END,
                issue_code.campaign_id, issue_code.cap)
        ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN referral.get_code(issue_code.program_id, found_id);
END
$$;
COMMENT ON FUNCTION referral.issue_code(bigint, text, bigint, bigint) IS
'The code of a member for a campaign, made if there is none yet.
campaign_id: 0 = his primary code; cap: NULL = none, of no effect on a code that exists.';

CREATE FUNCTION referral.ensure_member(program_id bigint, user_id text)
    RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    PERFORM referral.check_text('user_id', ensure_member.user_id, 1, 200);
    LOOP
        SELECT m.member_id INTO found_id
          FROM referral.member m
         WHERE m.program_id = ensure_member.program_id AND m.user_id = ensure_member.user_id;
        EXIT WHEN FOUND;
        PERFORM referral.check_program(ensure_member.program_id);
        -- A conflict means that another session was first. It has committed,
        -- or else this would wait for it, so the next look finds him.
        INSERT INTO referral.member AS m (program_id, user_id, tier)
        VALUES (ensure_member.program_id, ensure_member.user_id,
                coalesce((SELECT min(t.tier) FROM referral.tier t
                           WHERE t.program_id = ensure_member.program_id), 0))
        ON CONFLICT DO NOTHING
        RETURNING m.member_id INTO found_id;
        IF FOUND THEN
            INSERT INTO referral.account (program_id, member_id)
            VALUES (ensure_member.program_id, found_id);
            PERFORM referral.issue_code(ensure_member.program_id, ensure_member.user_id, 0, NULL);
            EXIT;
        END IF;
    END LOOP;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION referral.ensure_member(bigint, text) IS
'The number of a member, who is made with his account and his primary code if he is unknown.
Errors: 22023 user_id not of 1 to 200 characters, 23503 unknown_program.';

CREATE FUNCTION referral.enroll(user_id text, display_name text DEFAULT NULL,
                                image_url text DEFAULT NULL,
                                program_id bigint DEFAULT referral.current_program())
    RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.check_text('display_name', enroll.display_name, 0, 200),
            referral.check_text('image_url', enroll.image_url, 0, 2000),
            referral.ensure_member(enroll.program_id, enroll.user_id);
    UPDATE referral.member m
       SET display_name = coalesce(enroll.display_name, m.display_name),
           image_url = coalesce(enroll.image_url, m.image_url)
     WHERE m.program_id = enroll.program_id AND m.user_id = enroll.user_id
       AND (coalesce(enroll.display_name, m.display_name), coalesce(enroll.image_url, m.image_url))
           IS DISTINCT FROM (m.display_name, m.image_url);
    RETURN (referral.issue_code(enroll.program_id, enroll.user_id, 0, NULL)).code;
END
$$;
COMMENT ON FUNCTION referral.enroll(text, text, text, bigint) IS
'Makes a user known to the program and returns his primary code; repeating it changes nothing.
user_id: the application''s opaque key, 1 to 200 characters; display_name: at most 200 characters,
kept exactly as given; image_url: at most 2000; NULL leaves either as it is.
Errors: 22023 an argument too long or empty, 23503 unknown_program.
Example: SELECT referral.enroll(''u42'', ''Ada'');';

CREATE FUNCTION referral.campaign_code(user_id text, campaign_id bigint DEFAULT NULL,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.code_state LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    campaign record;
    issued referral.code_row;
BEGIN
    PERFORM referral.known_member(campaign_code.program_id, campaign_code.user_id);
    SELECT k.campaign_id, k.code_cap INTO campaign
      FROM referral.campaign k
     WHERE k.program_id = campaign_code.program_id
       AND CASE WHEN campaign_code.campaign_id IS NULL
                THEN k.starts_at <= statement_timestamp() AND statement_timestamp() < k.ends_at
                ELSE k.campaign_id = campaign_code.campaign_id END
     ORDER BY k.starts_at DESC, k.campaign_id DESC
     LIMIT 1;
    IF NOT FOUND AND campaign_code.campaign_id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = 'unknown_campaign',
            DETAIL = 'The program has no campaign with this campaign_id.',
            HINT = 'Leave campaign_id out for the campaign that runs now.';
    ELSIF FOUND THEN
        issued := referral.issue_code(campaign_code.program_id, campaign_code.user_id,
                                      campaign.campaign_id, campaign.code_cap);
        RETURN NEXT (issued.code, issued.cap, issued.used)::referral.code_state;
    END IF;
END
$$;
COMMENT ON FUNCTION referral.campaign_code(text, bigint, bigint) IS
'A member''s code inside a campaign, issued at the first call with the campaign''s code_cap.
campaign_id: NULL = the running campaign that started last, and no row when none runs; a campaign
that is named need not run, but its code attributes only while it does.
Errors: RF003 unknown_member, 23503 unknown_campaign.
Example: SELECT * FROM referral.campaign_code(''u42'');';

CREATE FUNCTION referral.reserved_slugs()
    RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY['about', 'account', 'admin', 'administrator', 'api', 'app', 'assets', 'auth',
                 'billing', 'blog', 'code', 'codes', 'console', 'contact', 'dashboard', 'docs',
                 'help', 'home', 'invite', 'legal', 'login', 'logout', 'mail', 'me', 'moderator',
                 'new', 'null', 'official', 'payout', 'payouts', 'pricing', 'privacy', 'public',
                 'referral', 'referrals', 'register', 'reward', 'rewards', 'root', 'security',
                 'settings', 'signin', 'signup', 'static', 'status', 'support', 'system', 'team',
                 'terms', 'test', 'undefined', 'user', 'users', 'www']
$$;
COMMENT ON FUNCTION referral.reserved_slugs() IS
'Slugs that nobody may take: they would pass for the operator''s own pages.';

CREATE FUNCTION referral.set_custom_slug(user_id text, slug text,
                                         program_id bigint DEFAULT referral.current_program())
    RETURNS referral.code_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- In "C", so that a server with Turkish rules lower-cases I like any other.
    wanted CONSTANT text := lower(btrim(set_custom_slug.slug, E' \t\n\r\f\x0B') COLLATE "C");
    own_member CONSTANT bigint := referral.known_member(set_custom_slug.program_id,
                                                        set_custom_slug.user_id);
    own_code bigint;
BEGIN
    IF wanted IS NULL OR wanted !~ '^[a-z0-9][a-z0-9-]{1,30}[a-z0-9]$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'slug_invalid',
            DETAIL = 'A slug has 3 to 32 of a-z, 0-9 and -; it neither starts nor ends with -.',
            HINT = 'Choose another slug.';
    ELSIF wanted = ANY (referral.reserved_slugs()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF002',
            MESSAGE = 'slug_reserved',
            DETAIL = 'This slug is kept for the operator.',
            HINT = 'Choose another slug.';
    END IF;

    -- One change of a member's slug after the other. This lock does not meet
    -- the key-share locks that sign-ups under him take.
    PERFORM FROM referral.member m
      WHERE m.program_id = set_custom_slug.program_id AND m.member_id = own_member
        FOR NO KEY UPDATE;
    UPDATE referral.code c SET disabled_at = now()
     WHERE c.program_id = set_custom_slug.program_id AND c.user_id = set_custom_slug.user_id
       AND c.kind = 'custom' AND c.disabled_at IS NULL AND lower(c.code) <> wanted;
    -- Whoever had a slug keeps it reserved for himself after its removal, so
    -- that links he once spread never lead to somebody else.
    UPDATE referral.code c SET disabled_at = NULL
     WHERE c.program_id = set_custom_slug.program_id AND c.user_id = set_custom_slug.user_id
       AND c.kind = 'custom' AND lower(c.code) = wanted
     RETURNING c.code_id INTO own_code;
    IF NOT FOUND THEN
        INSERT INTO referral.code AS c (program_id, user_id, code, kind)
        VALUES (set_custom_slug.program_id, set_custom_slug.user_id, wanted, 'custom')
        ON CONFLICT DO NOTHING
        RETURNING c.code_id INTO own_code;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'unique_violation',
                MESSAGE = 'slug_taken',
                DETAIL = 'Another code of the program reads the same.',
                HINT = 'Choose another slug.';
        END IF;
    END IF;
    RETURN referral.get_code(set_custom_slug.program_id, own_code);
END
$$;
COMMENT ON FUNCTION referral.set_custom_slug(text, text, bigint) IS
'Gives a member a code of his own choice, in place of the one he had chosen before.
slug: trimmed and lower-cased; 3 to 32 of a-z 0-9 -, no leading or trailing -. It must differ, in
any case, from every code of the program, also from those that were removed, except that he may
take back a slug he once had. The primary code keeps working.
Errors: RF003 unknown_member, 22023 slug_invalid, RF002 slug_reserved, 23505 slug_taken.
Example: SELECT code FROM referral.set_custom_slug(''u42'', ''ada'');';

CREATE FUNCTION referral.remove_custom_slug(user_id text,
                                            program_id bigint DEFAULT referral.current_program())
    RETURNS boolean LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.known_member(remove_custom_slug.program_id, remove_custom_slug.user_id);
    UPDATE referral.code c SET disabled_at = now()
     WHERE c.program_id = remove_custom_slug.program_id
       AND c.user_id = remove_custom_slug.user_id
       AND c.kind = 'custom' AND c.disabled_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION referral.remove_custom_slug(text, bigint) IS
'Takes a member''s slug out of use; returns whether he had one.
It makes no new attribution; those it made stay. Nobody but him can take it again.
Errors: RF003 unknown_member.';

CREATE FUNCTION referral.effective_tier(program_id bigint, member_id bigint)
    RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN m.tier_pinned THEN m.tier
                        ELSE greatest(m.tier, referral.tier_by_rules(m.program_id, m.member_id))
                   END
              FROM referral.member m
             WHERE m.program_id = effective_tier.program_id
               AND m.member_id = effective_tier.member_id);
END
$$;
COMMENT ON FUNCTION referral.effective_tier(bigint, bigint) IS
'The tier by which a member''s next reward is computed; 0 in a program without tiers.
It is derived: a tier that was pinned stands, any other rises with the paid invitees.';

CREATE FUNCTION referral.tier_by_rules(program_id bigint, member_id bigint)
    RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(max(t.tier), 0)
              FROM referral.tier t
              JOIN referral.program p USING (program_id)
             WHERE t.program_id = tier_by_rules.program_id
               AND (t.tier = (SELECT min(l.tier) FROM referral.tier l
                               WHERE l.program_id = tier_by_rules.program_id)
                    OR p.auto_tier
                       AND t.min_paid_invitees
                           <= (SELECT coalesce(sum(i.paid_invitees), 0)
                                 FROM referral.invited i
                                WHERE i.program_id = tier_by_rules.program_id
                                  AND i.member_id = tier_by_rules.member_id)));
END
$$;
COMMENT ON FUNCTION referral.tier_by_rules(bigint, bigint) IS
'The tier that paid invitees alone give a member: the highest whose threshold they reach, at least
the program''s lowest, that one alone where auto_tier is off, and 0 without tiers.';

CREATE FUNCTION referral.audit_member(program_id bigint, member_id bigint, action text,
                                      detail jsonb, note text, actor text)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.check_text('note', audit_member.note, 0, 2000),
            referral.check_text('actor', audit_member.actor, 1, 200);
    INSERT INTO referral.member_audit (program_id, member_id, action, detail, note, actor)
    VALUES (audit_member.program_id, audit_member.member_id, audit_member.action,
            audit_member.detail, audit_member.note, audit_member.actor);
END
$$;
COMMENT ON FUNCTION referral.audit_member(bigint, bigint, text, jsonb, text, text) IS
'Writes down what an operator did to a member.
Errors: 22023 note of more than 2000 characters, actor not of 1 to 200.';

CREATE FUNCTION referral.set_tier(user_id text, tier integer, note text DEFAULT NULL,
                                  actor text DEFAULT session_user::text,
                                  program_id bigint DEFAULT referral.current_program())
    RETURNS referral.tier_change LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT bigint := referral.known_member(set_tier.program_id, set_tier.user_id);
    pin CONSTANT boolean := set_tier.tier IS NOT NULL;
    before record;
    result referral.tier_change;
BEGIN
    IF pin AND NOT EXISTS (SELECT FROM referral.tier t
                            WHERE t.program_id = set_tier.program_id AND t.tier = set_tier.tier)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid_tier',
            DETAIL = 'The program has no tier of this number.',
            HINT = 'Choose a tier of referral.tier, or NULL to give the tier back to the rules.';
    END IF;
    PERFORM FROM referral.member m
      WHERE m.program_id = set_tier.program_id AND m.member_id = target
        FOR NO KEY UPDATE;
    SELECT m.tier, m.tier_pinned INTO before
      FROM referral.member m
     WHERE m.program_id = set_tier.program_id AND m.member_id = target;
    result.old_tier := referral.effective_tier(set_tier.program_id, target);
    IF NOT (pin OR before.tier_pinned) OR pin AND before = (set_tier.tier, true) THEN
        result.new_tier := result.old_tier;
        RETURN result;
    END IF;
    UPDATE referral.member m
       SET tier_pinned = pin,
           tier = coalesce(set_tier.tier, referral.tier_by_rules(set_tier.program_id, target))
     WHERE m.program_id = set_tier.program_id AND m.member_id = target;
    result.new_tier := referral.effective_tier(set_tier.program_id, target);
    PERFORM referral.audit_member(set_tier.program_id, target, 'set_tier',
                                  jsonb_build_object('old_tier', result.old_tier,
                                                     'new_tier', result.new_tier,
                                                     'pinned', pin),
                                  set_tier.note, set_tier.actor);
    PERFORM referral.emit_event(set_tier.program_id, 'tier_check', target, NULL);
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.set_tier(text, integer, text, text, bigint) IS
'Pins a member to a tier, for future rewards only; returns the tier before and after.
tier: NULL gives it back to the rules, which may lower it; note: why; actor: who, for the audit.
What changes nothing is not audited.
Errors: RF003 unknown_member, 22023 invalid_tier.
Example: SELECT * FROM referral.set_tier(''u42'', 3, ''contract 17'', ''ops@example.org'');';

CREATE FUNCTION referral.set_suspended(program_id bigint, user_id text, suspended boolean,
                                       note text, actor text)
    RETURNS referral.suspension LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT bigint := referral.known_member(set_suspended.program_id,
                                                    set_suspended.user_id);
    result referral.suspension;
BEGIN
    UPDATE referral.member m
       SET suspended_at = CASE WHEN set_suspended.suspended THEN now() END
     WHERE m.program_id = set_suspended.program_id AND m.member_id = target
       AND (m.suspended_at IS NOT NULL) <> set_suspended.suspended;
    IF FOUND THEN
        PERFORM referral.audit_member(
            set_suspended.program_id, target,
            CASE WHEN set_suspended.suspended THEN 'suspend' ELSE 'reinstate' END, '{}',
            set_suspended.note, set_suspended.actor);
    END IF;
    SELECT m.user_id, m.suspended_at INTO result
      FROM referral.member m
     WHERE m.program_id = set_suspended.program_id AND m.member_id = target;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.set_suspended(bigint, text, boolean, text, text) IS
'What suspend() and reinstate() have in common.';

CREATE FUNCTION referral.suspend(user_id text, note text DEFAULT NULL,
                                 actor text DEFAULT session_user::text,
                                 program_id bigint DEFAULT referral.current_program())
    RETURNS referral.suspension LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.set_suspended(suspend.program_id, suspend.user_id, true,
                                         suspend.note, suspend.actor)
$$;
COMMENT ON FUNCTION referral.suspend(text, text, text, bigint) IS
'Suspends a member: his codes attribute nobody, and his level of later payments is skipped.
note: why; actor: who, for the audit. Repeating it gives the same answer and is not audited.
Errors: RF003 unknown_member.';

CREATE FUNCTION referral.reinstate(user_id text, note text DEFAULT NULL,
                                   actor text DEFAULT session_user::text,
                                   program_id bigint DEFAULT referral.current_program())
    RETURNS referral.suspension LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.set_suspended(reinstate.program_id, reinstate.user_id, false,
                                         reinstate.note, reinstate.actor)
$$;
COMMENT ON FUNCTION referral.reinstate(text, text, text, bigint) IS
'Ends a member''s suspension; what he missed meanwhile stays missed.
note: why; actor: who, for the audit. Repeating it gives the same answer and is not audited.
Errors: RF003 unknown_member.';
