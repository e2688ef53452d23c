-- Grants of rewards to an outside billing system. The engine makes a row of
-- reward_grant with each reward where program.uses_grants; workers claim what is
-- available, grant it outside under the key that they got, and tell how it went.
-- A key is never another reward's, so that whoever grants one twice is found out.

CREATE FUNCTION referral.grant_key(program_id bigint, reward_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT $1 || '-' || $2
$$;
COMMENT ON FUNCTION referral.grant_key(bigint, bigint) IS
'The key under which a reward is granted outside.';

-- One at a time: by primary keys alone, so that no plan depends on what is known
-- of the tables' sizes.
CREATE FUNCTION referral.grant_of(program_id bigint, reward_id bigint)
    RETURNS referral.grant_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer referral.grant_row;
BEGIN
    SELECT referral.grant_key(g.program_id, g.reward_id),
           (SELECT m.user_id FROM referral.member m
             WHERE m.program_id = r.program_id AND m.member_id = r.member_id),
           g.reward_id,
           r.amount_micro
           - coalesce((SELECT back.reversed_micro
                         FROM (SELECT max(a.total_micro) AS micro
                                 FROM referral.refund_applied a
                                WHERE a.program_id = r.program_id
                                  AND a.payment_no = r.reward_id / 16) given,
                              referral.reversal(r.program_id, r.reward_id, r.amount_micro,
                                                r.base_micro, given.micro) back), 0),
           (SELECT p.currency FROM referral.program p WHERE p.program_id = r.program_id),
           r.payment_id, coalesce(g.attempts, 0), coalesce(g.state, 'open')
      INTO answer
      FROM referral.reward_grant g
           JOIN referral.reward r USING (program_id, reward_id)
     WHERE g.program_id = grant_of.program_id AND g.reward_id = grant_of.reward_id;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION referral.grant_of(bigint, bigint) IS
'The grant of a reward as it stands.';

CREATE FUNCTION referral.void_grants(program_id bigint, INOUT reward_ids bigint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone bigint[] := ARRAY(
        SELECT o.id FROM unnest(void_grants.reward_ids) o(id)
         WHERE (referral.grant_of(void_grants.program_id, o.id)).amount_micro <= 0);
BEGIN
    UPDATE referral.reward_grant g
       SET state = 'void', settled_at = statement_timestamp()
     WHERE g.program_id = void_grants.program_id AND g.reward_id = ANY (gone);
    reward_ids := ARRAY(SELECT o.id FROM unnest(void_grants.reward_ids) o(id)
                         WHERE o.id <> ALL (gone));
END
$$;
COMMENT ON FUNCTION referral.void_grants(bigint, bigint[]) IS
'Ends the grants of rewards that were reversed in full; returns the others. Their rows are locked by the caller.';

-- Along the index of open grants, however many there are.
CREATE FUNCTION referral.open_grants(program_id bigint, wanted integer) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET jit = off
AS $$
BEGIN
    -- Rows that another worker is claiming are passed over, not waited for.
    RETURN ARRAY(
        SELECT g.reward_id
          FROM referral.reward_grant g
         WHERE g.program_id = open_grants.program_id
           AND g.state IS NULL
           AND g.available_at <= statement_timestamp()
           AND (SELECT m.suspended_at IS NULL
                  FROM referral.reward r
                       JOIN referral.member m USING (program_id, member_id)
                 WHERE r.program_id = g.program_id AND r.reward_id = g.reward_id)
         ORDER BY g.available_at, g.reward_id
         LIMIT open_grants.wanted
           FOR UPDATE OF g SKIP LOCKED);
END
$$;
COMMENT ON FUNCTION referral.open_grants(bigint, integer) IS
'The oldest open grants of available rewards, their rows locked. For claim_grants().';

CREATE FUNCTION referral.claim_grants(
    max        integer DEFAULT 100,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.grant_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted integer := CASE WHEN claim_grants.max >= 0 THEN claim_grants.max ELSE 100 END;
    picked bigint[];
    claimed bigint[] := '{}';
BEGIN
    LOOP
        picked := referral.open_grants(claim_grants.program_id, wanted - cardinality(claimed));
        EXIT WHEN picked = '{}';
        picked := referral.void_grants(claim_grants.program_id, picked);
        UPDATE referral.reward_grant g
           SET state = 'claimed', attempts = coalesce(g.attempts, 0) + 1,
               claimed_at = statement_timestamp(),
               -- a session of the HTTP server ends while the worker goes on
               claimed_by = (SELECT jsonb_build_object('pid', a.pid,
                                                       'backend_start', a.backend_start)
                               FROM pg_stat_activity a
                              WHERE a.pid = pg_backend_pid()
                                AND NOT EXISTS (SELECT FROM referral.api_grant l
                                                 WHERE l.part = 'login'
                                                   AND l.role_name = session_user))
         WHERE g.program_id = claim_grants.program_id AND g.reward_id = ANY (picked);
        claimed := claimed || picked;
    END LOOP;
    RETURN QUERY
    SELECT g.* FROM unnest(claimed) o(id),
                    referral.grant_of(claim_grants.program_id, o.id) g;
END
$$;
COMMENT ON FUNCTION referral.claim_grants(integer, bigint) IS
'Hands out available rewards that were not granted yet, oldest first, to this worker alone; fewer than
asked, or none, where there are no more.
max: at most so many; NULL or negative = 100.
A reward that refunds took back in full is passed over and becomes void; those of a suspended member
stay open. To be granted outside under grant_key, then confirm_grant() or fail_grant(). A claim of a
session that ended, or of more than 15 minutes ago, may be given to another by recover_grants().
Errors: RF004 no_program, ambiguous_program.
Example: SELECT * FROM referral.claim_grants(10);';

CREATE FUNCTION referral.lock_grant(program_id bigint, grant_key text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number numeric := substring(lock_grant.grant_key FROM '^[0-9]+-([0-9]{1,19})$');
    locked bigint;
BEGIN
    IF number <= 9223372036854775807 THEN
        SELECT g.reward_id INTO locked
          FROM referral.reward_grant g
         WHERE g.program_id = lock_grant.program_id AND g.reward_id = number::bigint
           AND referral.grant_key(g.program_id, g.reward_id) = lock_grant.grant_key
           FOR UPDATE;
    END IF;
    IF locked IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_grant',
            DETAIL = format('Program %s has no grant %s.', lock_grant.program_id,
                            coalesce(quote_literal(left(lock_grant.grant_key, 100)), 'without a key')),
            HINT = 'Use a grant_key that claim_grants() returned.';
    END IF;
    RETURN locked;
END
$$;
COMMENT ON FUNCTION referral.lock_grant(bigint, text) IS
'The reward that a key stands for, its grant locked to the end of the transaction. Errors: RF010 unknown_grant.';

CREATE FUNCTION referral.confirm_grant(
    grant_key  text,
    program_id bigint DEFAULT referral.current_program())
    RETURNS referral.grant_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id bigint := referral.lock_grant(confirm_grant.program_id, confirm_grant.grant_key);
    payer text;
BEGIN
    UPDATE referral.reward_grant g
       SET state = 'confirmed', settled_at = statement_timestamp()
     WHERE g.program_id = confirm_grant.program_id AND g.reward_id = id
       AND g.state IS DISTINCT FROM 'confirmed';
    IF FOUND THEN
        UPDATE referral.attribution a
           SET granted_at = statement_timestamp()
          FROM referral.reward r
               JOIN referral.member m
                 ON m.program_id = r.program_id AND m.member_id = r.payer_id
         WHERE r.program_id = confirm_grant.program_id AND r.reward_id = id
           AND a.program_id = m.program_id AND a.user_id = m.user_id
           AND a.granted_at IS NULL
        RETURNING a.user_id INTO payer;
        IF FOUND THEN
            PERFORM referral.count_attribution(confirm_grant.program_id, payer, 'granted', 1);
        END IF;
    END IF;
    RETURN referral.grant_of(confirm_grant.program_id, id);
END
$$;
COMMENT ON FUNCTION referral.confirm_grant(text, bigint) IS
'Records that a reward was granted outside; repeating it changes nothing. Whatever was said or found
before (failed, given to another worker, void), that it was granted is what holds.
grant_key: of claim_grants(). Where it is the first of its payer''s rewards to be confirmed, his
attribution is now rewarded.
Errors: RF010 unknown_grant.
Example: SELECT status FROM referral.confirm_grant(''1-16'');';

CREATE FUNCTION referral.fail_grant(
    grant_key  text,
    error      text,
    program_id bigint DEFAULT referral.current_program())
    RETURNS referral.grant_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id bigint := referral.lock_grant(fail_grant.program_id, fail_grant.grant_key);
BEGIN
    UPDATE referral.reward_grant g
       SET state = CASE g.state WHEN 'void' THEN 'void' ELSE 'failed' END,
           error = left(fail_grant.error, 1000)
     WHERE g.program_id = fail_grant.program_id AND g.reward_id = id
       AND g.state IS DISTINCT FROM 'confirmed';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF011',
            MESSAGE = 'grant_confirmed',
            DETAIL = format('Grant %s was confirmed.', fail_grant.grant_key),
            HINT = 'What was granted outside is taken back there; correct the balance by adjust().';
    END IF;
    RETURN referral.grant_of(fail_grant.program_id, id);
END
$$;
COMMENT ON FUNCTION referral.fail_grant(text, text, bigint) IS
'Records that a reward could not be granted outside; recover_grants() lets it be tried again.
grant_key: of claim_grants(); error: why, cut to 1000 characters, kept until the next one.
Errors: RF010 unknown_grant, RF011 grant_confirmed.
Example: SELECT status FROM referral.fail_grant(''1-16'', ''account closed'');';

CREATE FUNCTION referral.reopen_grants(program_id bigint, wanted integer, OUT opened bigint[],
                                       OUT void bigint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- read once: it looks at every session
    sessions jsonb := (
        SELECT jsonb_object_agg(a.pid, a.backend_start) FROM pg_stat_activity a
         WHERE a.pid IS NOT NULL);
    picked bigint[];
BEGIN
    picked := ARRAY(
        SELECT g.reward_id
          FROM referral.reward_grant g
         WHERE g.program_id = reopen_grants.program_id
           AND g.state IN ('claimed', 'failed')
           AND (g.state = 'failed'
                OR g.claimed_at <= statement_timestamp() - interval '15 minutes'
                OR NOT sessions ? (g.claimed_by ->> 'pid')
                -- null to whoever may not see that session
                OR (sessions ->> (g.claimed_by ->> 'pid'))::timestamptz
                   <> (g.claimed_by ->> 'backend_start')::timestamptz)
         ORDER BY g.reward_id
         LIMIT reopen_grants.wanted
           FOR UPDATE OF g SKIP LOCKED);
    opened := referral.void_grants(reopen_grants.program_id, picked);
    UPDATE referral.reward_grant g
       SET state = NULL, claimed_at = NULL, claimed_by = NULL
     WHERE g.program_id = reopen_grants.program_id AND g.reward_id = ANY (opened);
    void := ARRAY(SELECT o.id FROM unnest(picked) o(id) WHERE o.id <> ALL (opened));
END
$$;
COMMENT ON FUNCTION referral.reopen_grants(bigint, integer) IS
'Opens grants again that failed or whose worker is gone; returns the rewards of these and of those
that turned out to be void. For recover_grants().';

CREATE FUNCTION referral.recover_grants(
    max        integer DEFAULT 100,
    program_id bigint DEFAULT referral.current_program())
    RETURNS referral.recovery
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done record := referral.reopen_grants(
        recover_grants.program_id,
        CASE WHEN recover_grants.max >= 0 THEN recover_grants.max ELSE 100 END);
BEGIN
    RETURN ((cardinality(done.opened) + cardinality(done.void))::bigint,
            cardinality(done.opened)::bigint, cardinality(done.void)::bigint);
END
$$;
COMMENT ON FUNCTION referral.recover_grants(integer, bigint) IS
'Opens grants again, for claim_grants() to hand out: those that failed, and those claimed by a session
that is gone or more than 15 minutes ago. One that refunds took back in full meanwhile becomes void
and counts among the errors.
max: at most so many; NULL or negative = 100.
Errors: RF004 no_program, ambiguous_program.
Example: SELECT * FROM referral.recover_grants();';
