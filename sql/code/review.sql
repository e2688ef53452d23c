-- Review: which attributions are held, and what an operator decides of them
-- (CONTRACT section 2).
--
-- A held attribution has decision review_required and a row of
-- attribution_review; what its member pays meanwhile is in payment_waiting.
-- Whoever decides locks the attribution first, as each payment of somebody in
-- review does: a payment in flight either waits by then and is found here, or
-- comes after the decision and sees it. The payments that wait are locked next,
-- as refunds of them do: a refund either waits by then, too, or comes after.

CREATE FUNCTION referral.is_crowded(program_id bigint, referrer_id bigint, at timestamptz,
                                    max_per_hour integer)
    RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Also the hours that end with somebody who signed up later: a transaction
    -- that began first may come last.
    RETURN EXISTS (
        SELECT
          FROM (SELECT is_crowded.at
                UNION ALL
                SELECT a.attributed_at
                  FROM referral.attribution a
                 WHERE a.program_id = is_crowded.program_id
                   AND a.referrer_id = is_crowded.referrer_id
                   AND a.attributed_at > is_crowded.at
                   AND a.attributed_at < is_crowded.at + interval '1 hour') hour(ends_at)
         WHERE is_crowded.max_per_hour
               <= (SELECT count(*)
                     FROM (SELECT
                             FROM referral.attribution a
                            WHERE a.program_id = is_crowded.program_id
                              AND a.referrer_id = is_crowded.referrer_id
                              AND a.attributed_at > hour.ends_at - interval '1 hour'
                              AND a.attributed_at <= hour.ends_at
                            LIMIT is_crowded.max_per_hour) enough));
END
$$;
COMMENT ON FUNCTION referral.is_crowded(bigint, bigint, timestamptz, integer) IS
'Whether, with one more attribution at an instant, a referrer has more than max_per_hour in an hour
that this instant is part of.';

CREATE FUNCTION referral.review_reasons(program_id bigint, referrer_id bigint, campaign_id bigint,
                                        click_id text, at timestamptz)
    RETURNS text[] LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Simultaneous sign-ups under one referrer count each other. The member's
    -- row, not his account: his sign-ups take that lock anyway as long as he has
    -- few, and neither payments nor spends wait for it.
    IF EXISTS (SELECT FROM referral.review_rule r
                WHERE r.program_id = review_reasons.program_id
                  AND r.rule = 'velocity' AND r.enabled)
    THEN
        PERFORM FROM referral.member m
          WHERE m.program_id = review_reasons.program_id
            AND m.member_id = review_reasons.referrer_id
            FOR NO KEY UPDATE;
    END IF;
    RETURN ARRAY(
        SELECT r.rule::text
          FROM referral.review_rule r
         WHERE r.program_id = review_reasons.program_id
           AND r.enabled
           AND CASE r.rule
               WHEN 'campaign' THEN r.campaign_id = review_reasons.campaign_id
               WHEN 'velocity' THEN
                   referral.is_crowded(review_reasons.program_id, review_reasons.referrer_id,
                                       review_reasons.at, r.max_per_hour)
               WHEN 'same_ip' THEN
                   EXISTS (SELECT
                             FROM referral.click k
                                  JOIN referral.member m
                                    ON m.program_id = k.program_id
                                       AND m.member_id = review_reasons.referrer_id
                                  JOIN referral.attribution a
                                    ON a.program_id = m.program_id AND a.user_id = m.user_id
                                  JOIN referral.click own
                                    ON own.program_id = a.program_id AND own.click_id = a.click_id
                            WHERE k.program_id = review_reasons.program_id
                              AND k.click_id = review_reasons.click_id
                              AND (k.salt_id, k.ip_hash) = (own.salt_id, own.ip_hash))
               END
         ORDER BY r.rule);
END
$$;
COMMENT ON FUNCTION referral.review_reasons(bigint, bigint, bigint, text, timestamptz) IS
'The rules of referral.review_rule that hold an attribution which is about to be made; {} = none.
referrer_id, campaign_id (0 = none), click_id (NULL = none), at: of that attribution.
campaign: the rule names its campaign; velocity: with it, the referrer has more than max_per_hour
attributions in an hour that at is part of; same_ip: the click has the ip hash of the click by which
the referrer himself came, under the same salt. Where velocity is on, sign-ups under one referrer
wait for each other. For attribute().';

CREATE FUNCTION referral.hold_attribution(program_id bigint, user_id text, attribution_id bigint,
                                          rules text[])
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO referral.attribution_review (program_id, attribution_id, rules)
    VALUES (hold_attribution.program_id, hold_attribution.attribution_id, hold_attribution.rules);
    PERFORM referral.count_attribution(hold_attribution.program_id, hold_attribution.user_id,
                                       'review_required', 1),
            referral.emit_event(hold_attribution.program_id, 'attribution_decided',
                                hold_attribution.attribution_id, 'review_required');
END
$$;
COMMENT ON FUNCTION referral.hold_attribution(bigint, text, bigint, text[]) IS
'Puts an attribution that has just been made into the queue of reviews.
rules: of review_reasons().';

CREATE FUNCTION referral.end_waiting(program_id bigint, member_id bigint)
    RETURNS text[] LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payment_ids CONSTANT text[] := ARRAY(
        SELECT w.payment_id
          FROM referral.payment_waiting w
         WHERE w.program_id = end_waiting.program_id AND w.member_id = end_waiting.member_id
         ORDER BY w.occurred_at, w.payment_no);
BEGIN
    -- In the order in which refunds lock payments.
    PERFORM FROM referral.payment p
      WHERE p.program_id = end_waiting.program_id AND p.payment_id = ANY (payment_ids)
      ORDER BY p.payment_no
        FOR NO KEY UPDATE;
    DELETE FROM referral.payment_waiting w
     WHERE w.program_id = end_waiting.program_id AND w.member_id = end_waiting.member_id;
    RETURN payment_ids;
END
$$;
COMMENT ON FUNCTION referral.end_waiting(bigint, bigint) IS
'Takes the payments of a member out of waiting and returns them in the order (occurred_at, arrival),
locked. The caller has locked his attribution, so that no other begins to wait.';

CREATE FUNCTION referral.decide_attribution(program_id bigint, attribution_id bigint,
                                            decision text, actor text, reason text)
    RETURNS referral.attribution_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held record;
    payment_ids text[];
BEGIN
    -- What is decided under a lock must be read after it was got, which a
    -- transaction with one snapshot for all its statements cannot do.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'review needs isolation level read committed',
            DETAIL = 'At a higher level it would not see what other sessions did meanwhile.',
            HINT = 'Decide in a transaction of its own at READ COMMITTED.';
    END IF;
    PERFORM referral.check_text('actor', decide_attribution.actor, 1, 200),
            referral.check_text('reason', decide_attribution.reason, 0, 2000);

    SELECT a.user_id, a.member_id INTO held
      FROM referral.attribution a
     WHERE a.program_id = decide_attribution.program_id
       AND a.attribution_id = decide_attribution.attribution_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_attribution',
            DETAIL = 'The program has no attribution of this number.',
            HINT = 'Use an id that referral.list_attributions() shows.';
    END IF;
    IF NOT EXISTS (SELECT FROM referral.attribution_review r
                    WHERE r.program_id = decide_attribution.program_id
                      AND r.attribution_id = decide_attribution.attribution_id)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF012',
            MESSAGE = 'attribution_not_in_review',
            DETAIL = 'No rule held this attribution.',
            HINT = 'Only what review_required shows in its status can be decided.';
    END IF;

    UPDATE referral.attribution_review r
       SET decision = decide_attribution.decision, actor = decide_attribution.actor,
           reason = decide_attribution.reason, decided_at = clock_timestamp()
     WHERE r.program_id = decide_attribution.program_id
       AND r.attribution_id = decide_attribution.attribution_id
       AND r.decision IS NULL;
    IF FOUND THEN
        UPDATE referral.attribution a
           SET decision = CASE decide_attribution.decision WHEN 'rejected' THEN 'rejected' END
         WHERE a.program_id = decide_attribution.program_id AND a.user_id = held.user_id;
        PERFORM referral.count_attribution(decide_attribution.program_id, held.user_id,
                                           'review_required', -1),
                referral.emit_event(decide_attribution.program_id, 'attribution_decided',
                                    decide_attribution.attribution_id,
                                    decide_attribution.decision);
        payment_ids := referral.end_waiting(decide_attribution.program_id, held.member_id);
        IF decide_attribution.decision = 'approved' THEN
            PERFORM referral.take_waiting(decide_attribution.program_id, payment_ids);
        ELSE
            PERFORM referral.count_attribution(decide_attribution.program_id, held.user_id,
                                               'rejected', 1),
                    referral.apply_waiting(decide_attribution.program_id, payment_ids);
        END IF;
    END IF;
    RETURN referral.attribution_row_of(decide_attribution.program_id,
                                       decide_attribution.attribution_id);
END
$$;
COMMENT ON FUNCTION referral.decide_attribution(bigint, bigint, text, text, text) IS
'What approve_attribution() and reject_attribution() have in common.
decision: approved or rejected; of no effect where one was made before.';

CREATE FUNCTION referral.approve_attribution(id bigint, actor text DEFAULT session_user::text,
                                             reason text DEFAULT NULL,
                                             program_id bigint DEFAULT referral.current_program())
    RETURNS referral.attribution_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN referral.decide_attribution(approve_attribution.program_id, approve_attribution.id,
                                       'approved', approve_attribution.actor,
                                       approve_attribution.reason);
END
$$;
COMMENT ON FUNCTION referral.approve_attribution(bigint, text, text, bigint) IS
'Ends a review in favour of the referrer and returns the attribution as it then stands.
id: of list_attributions(); actor: who decides, 1 to 200 characters; reason: why, up to 2000; both
are kept for ever. What the member paid meanwhile is processed now, in the order (occurred_at,
arrival), with the rates, tiers and caps of now; then what was refunded of it. Where an attribution
was decided before, in either way, nothing changes: the answer is how it stands.
Errors: RF010 unknown_attribution, RF012 attribution_not_in_review, 22023 actor or reason too short
or too long, 0A000 isolation level above READ COMMITTED, and those of the payments, 22003.
Example: SELECT status FROM referral.approve_attribution(17, ''ops'', ''same office'');';

CREATE FUNCTION referral.reject_attribution(id bigint, actor text DEFAULT session_user::text,
                                            reason text DEFAULT NULL,
                                            program_id bigint DEFAULT referral.current_program())
    RETURNS referral.attribution_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN referral.decide_attribution(reject_attribution.program_id, reject_attribution.id,
                                       'rejected', reject_attribution.actor,
                                       reject_attribution.reason);
END
$$;
COMMENT ON FUNCTION referral.reject_attribution(bigint, text, text, bigint) IS
'Ends a review against the referrer, for good, and returns the attribution as it then stands.
id: of list_attributions(); actor: who decides, 1 to 200 characters; reason: why, up to 2000; both
are kept for ever. What the member paid and pays earns nobody anything; he keeps his place in the
tree. Where an attribution was decided before, in either way, nothing changes: the answer is how it
stands.
Errors: RF010 unknown_attribution, RF012 attribution_not_in_review, 22023 actor or reason too short
or too long, 0A000 isolation level above READ COMMITTED.
Example: SELECT status FROM referral.reject_attribution(17, ''ops'', ''one person'');';
