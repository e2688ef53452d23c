-- A person's data, removed at his wish (CONTRACT section 7). docs/privacy.md says
-- of every column what becomes of it and why; test/sql/erase.sql does not let a
-- new column pass without a verdict.

-- The setting lets these statements, and none outside this function, pass by
-- refuse_change() and protect_code(): it ends with the call, also by an error.
CREATE FUNCTION referral.erase(user_id text,
                               program_id bigint DEFAULT referral.current_program())
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET referral.erasing = 'on'
AS $$
DECLARE
    target bigint;
    drawn CONSTANT text := '^[A-HJ-NP-Z2-9]{8}$';  -- by random_code()
    names text[];
    naming text[];      -- user_ids of whom he brought by a label that names him
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'erase needs isolation level read committed',
            DETAIL = 'At a higher level it would pass over what other sessions wrote meanwhile.',
            HINT = 'Erase in a transaction of its own at READ COMMITTED.';
    END IF;

    target := referral.known_member(erase.program_id, erase.user_id);

    -- First what takes a while in great tables and keeps no payment waiting.
    UPDATE referral.refund f
       SET reason = NULL
      FROM referral.payment p
     WHERE f.program_id = erase.program_id AND f.reason IS NOT NULL
       AND p.program_id = f.program_id AND p.payment_id = f.payment_id
       AND p.user_id = erase.user_id;

    UPDATE referral.reward_grant g
       SET error = NULL
      FROM referral.reward r
     WHERE r.program_id = erase.program_id AND r.member_id = target
       AND g.program_id = r.program_id AND g.reward_id = r.reward_id
       AND g.error IS NOT NULL;

    -- Rows are locked in the order in which everybody does: grant, member,
    -- attribution, code, account. Under the last nobody copies an address.
    PERFORM FROM referral.member m
      WHERE m.program_id = erase.program_id AND m.member_id = target
        FOR NO KEY UPDATE;
    names := ARRAY(
        SELECT lower(m.display_name)
          FROM referral.member m
         WHERE m.program_id = erase.program_id AND m.member_id = target
           AND length(m.display_name) >= 3
        UNION ALL
        SELECT lower(c.code)
          FROM referral.code c
         WHERE c.program_id = erase.program_id AND c.user_id = erase.user_id
           AND length(c.code) >= 3
           AND (c.kind = 'custom' OR c.code !~ drawn));
    UPDATE referral.member m
       SET display_name = NULL, image_url = NULL
     WHERE m.program_id = erase.program_id AND m.member_id = target;

    -- The click he came by, and those on his codes, which may have him in them:
    -- /r/ada, utm_campaign=ada-videos. The counters of the funnel keep utm_key.
    DELETE FROM referral.click k
     USING referral.attribution a
     WHERE a.program_id = erase.program_id AND a.user_id = erase.user_id
       AND k.program_id = a.program_id AND k.click_id = a.click_id;
    UPDATE referral.click k
       SET landing_path = NULL, utm_source = NULL, utm_medium = NULL, utm_campaign = NULL
      FROM referral.code c
     WHERE c.program_id = erase.program_id AND c.user_id = erase.user_id
       AND k.program_id = c.program_id AND k.code_id = c.code_id
       AND num_nonnulls(k.landing_path, k.utm_source, k.utm_medium, k.utm_campaign) > 0;

    -- Of those whom he brought the label stays that lists show, if it does not
    -- name him.
    UPDATE referral.attribution a
       SET click_id = NULL, utm_campaign = NULL
     WHERE a.program_id = erase.program_id AND a.user_id = erase.user_id
       AND num_nonnulls(a.click_id, a.utm_campaign) > 0;
    naming := ARRAY(
        SELECT a.user_id
          FROM referral.attribution a
         WHERE a.program_id = erase.program_id AND a.referrer_id = target
           AND EXISTS (SELECT FROM unnest(names) n(name)
                        WHERE position(n.name IN lower(a.utm_campaign)) > 0)
         ORDER BY a.user_id
           FOR NO KEY UPDATE);
    UPDATE referral.attribution a
       SET utm_campaign = NULL
     WHERE a.program_id = erase.program_id AND a.user_id = ANY (naming);

    -- Slugs end. Other codes that somebody worded, an operator who wrote the row,
    -- get words that say nothing. A draw may be somebody's code already: then all
    -- of them are drawn anew.
    LOOP
        BEGIN
            UPDATE referral.code c
               SET code = referral.random_code(),
                   disabled_at = CASE c.kind WHEN 'custom' THEN coalesce(c.disabled_at, now())
                                             ELSE c.disabled_at END
             WHERE c.program_id = erase.program_id AND c.user_id = erase.user_id
               AND (c.kind = 'custom' OR c.code !~ drawn);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END LOOP;

    PERFORM referral.lock_account(erase.program_id, erase.user_id);
    DELETE FROM referral.payout_destination d
     WHERE d.program_id = erase.program_id AND d.member_id = target;
    UPDATE referral.payout p
       SET network = NULL, address = NULL, asked_network = NULL, asked_address = NULL,
           reference = NULL, note = NULL
     WHERE p.program_id = erase.program_id AND p.member_id = target
       AND num_nonnulls(p.network, p.address, p.asked_network, p.asked_address, p.reference,
                        p.note) > 0;
    UPDATE referral.spend s
       SET note = NULL
     WHERE s.program_id = erase.program_id AND s.member_id = target AND s.note IS NOT NULL;

    -- What operators wrote about him: that there was a reason, and whose, stays.
    UPDATE referral.adjustment j
       SET note = 'erased'
     WHERE j.program_id = erase.program_id AND j.member_id = target AND j.note <> 'erased';
    UPDATE referral.member_audit o
       SET note = 'erased'
     WHERE o.program_id = erase.program_id AND o.member_id = target AND o.note <> 'erased';
    UPDATE referral.attribution_review v
       SET reason = 'erased'
      FROM referral.attribution a
     WHERE a.program_id = erase.program_id AND target IN (a.member_id, a.referrer_id)
       AND v.program_id = a.program_id AND v.attribution_id = a.attribution_id
       AND v.reason <> 'erased';
    PERFORM referral.audit_member(erase.program_id, target, 'erase', '{}', NULL, session_user);
END
$$;
COMMENT ON FUNCTION referral.erase(text, bigint) IS
'Removes what the program keeps about a person: name, image, chosen codes (their links end), payout
addresses, what he came by, and every free text about him. Kept are user_id, ids, amounts, times and
the tree: balances, lists of others and verify() are as before. Repeatable; each call is audited.
What is written about him later is erased by calling it again. A payout that is open keeps its
amount and loses its destination: pay or cancel such ones first.
Errors: RF003 unknown_member, 0A000 isolation level above READ COMMITTED.
Example: SELECT referral.erase(''u42'');';
