-- Spends, payouts and corrections (CONTRACT section 5).
--
-- Each of them first locks the member's account row, so that his are done one
-- after the other, and only then looks: whether the id is known, what is
-- available. Times are of the clock under that lock, or what a statement of
-- the past adds up could end before it began. What is spent or sent is then
-- laid on rewards by referral.settle().

CREATE FUNCTION referral.lock_account(program_id bigint, user_id text)
    RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_member CONSTANT bigint := referral.known_member(lock_account.program_id,
                                                        lock_account.user_id);
BEGIN
    PERFORM FROM referral.account a
      WHERE a.program_id = lock_account.program_id AND a.member_id = own_member
        FOR NO KEY UPDATE;
    RETURN own_member;
END
$$;
COMMENT ON FUNCTION referral.lock_account(bigint, text) IS
'The number of a member, whose account is locked until the transaction ends.
Errors: RF003 unknown_member.';

CREATE FUNCTION referral.check_repeated(argument text, same boolean)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT check_repeated.same THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF001',
            MESSAGE = 'idempotency_conflict',
            DETAIL = format('This %s was used for another request.', check_repeated.argument),
            HINT = 'Repeat a request unchanged, or give a new one an id of its own.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_repeated(text, boolean) IS
'Refuses a known id that comes with other facts.
argument: the id''s name, for the error; same: whether the facts are those recorded.
Errors: RF001 idempotency_conflict.';

CREATE FUNCTION referral.check_not_suspended(program_id bigint, member_id bigint)
    RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM referral.member m
                WHERE m.program_id = check_not_suspended.program_id
                  AND m.member_id = check_not_suspended.member_id
                  AND m.suspended_at IS NOT NULL)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF006',
            MESSAGE = 'member_suspended',
            DETAIL = 'Suspended members neither spend nor are paid out.',
            HINT = 'An operator ends a suspension by referral.reinstate().';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_not_suspended(bigint, bigint) IS
'Refuses a member who is suspended.
Errors: RF006 member_suspended.';

CREATE FUNCTION referral.check_positive(amount_micro bigint)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF check_positive.amount_micro > 0 IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'numeric_value_out_of_range',
            MESSAGE = 'amount is not positive',
            DETAIL = 'Amounts are whole micro-units, at least 1.',
            HINT = 'Send a positive amount.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_positive(bigint) IS
'Refuses an amount of nothing or less, and none at all.
Errors: 22003.';

CREATE FUNCTION referral.check_available(amount_micro bigint, available_micro bigint)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF check_available.amount_micro > check_available.available_micro THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF007',
            MESSAGE = 'balance_insufficient',
            DETAIL = format('Available are %s micro-units.', check_available.available_micro),
            HINT = 'Ask for less, or wait until more is available.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_available(bigint, bigint) IS
'Refuses an amount that exceeds what is available.
Errors: RF007 balance_insufficient.';

-- Spends.

CREATE FUNCTION referral.get_spend(program_id bigint, spend_id text)
    RETURNS referral.spend_row LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result referral.spend_row;
BEGIN
    SELECT s.spend_id, m.user_id, s.amount_micro, s.note, s.spent_at, s.unspent_at
      INTO result
      FROM referral.spend s
      JOIN referral.member m USING (program_id, member_id)
     WHERE s.program_id = get_spend.program_id AND s.spend_id = get_spend.spend_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.get_spend(bigint, text) IS
'One spend as it stands now.';

CREATE FUNCTION referral.spend(user_id text, amount_micro bigint, spend_id text,
                               note text DEFAULT NULL,
                               program_id bigint DEFAULT referral.current_program())
    RETURNS referral.spend_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_member CONSTANT bigint := referral.lock_account(spend.program_id, spend.user_id);
    same boolean;
    number bigint;
BEGIN
    SELECT (s.member_id, s.amount_micro, s.note)
           IS NOT DISTINCT FROM (own_member, spend.amount_micro, spend.note)
      INTO same
      FROM referral.spend s
     WHERE s.program_id = spend.program_id AND s.spend_id = spend.spend_id;
    IF FOUND THEN
        PERFORM referral.check_repeated('spend_id', same);
        RETURN referral.get_spend(spend.program_id, spend.spend_id);
    END IF;

    PERFORM referral.check_not_suspended(spend.program_id, own_member);
    PERFORM referral.check_text('spend_id', spend.spend_id, 1, 200),
            referral.check_text('note', spend.note, 0, 2000);
    PERFORM referral.check_positive(spend.amount_micro);
    PERFORM referral.check_available(
        spend.amount_micro, referral.account_available(spend.program_id, own_member));
    INSERT INTO referral.spend AS s (program_id, spend_id, member_id, amount_micro, note, spent_at)
    VALUES (spend.program_id, spend.spend_id, own_member, spend.amount_micro, spend.note,
            clock_timestamp())
    ON CONFLICT DO NOTHING
    RETURNING s.spend_no INTO number;
    -- Only a spend of another member can have taken the id meanwhile.
    PERFORM referral.check_repeated('spend_id', FOUND);
    UPDATE referral.account a SET spent_micro = a.spent_micro + spend.amount_micro
     WHERE a.program_id = spend.program_id AND a.member_id = own_member;
    PERFORM referral.settle(spend.program_id, own_member, 'spent', number, spend.amount_micro);
    RETURN referral.get_spend(spend.program_id, spend.spend_id);
END
$$;
COMMENT ON FUNCTION referral.spend(text, bigint, text, text, bigint) IS
'Spends a part of a member''s available balance, once, however often it is sent.
amount_micro: micro-units; spend_id: the caller''s, 1 to 200 characters; note: at most 2000.
Errors: RF003 unknown_member, RF001 idempotency_conflict (known id, other facts), RF006
member_suspended, 22003 amount is not positive, RF007 balance_insufficient, 22023 a text too long
or empty.
Example: SELECT * FROM referral.spend(''u42'', 2000000, ''order-7'');';

CREATE FUNCTION referral.unspend(spend_id text,
                                 program_id bigint DEFAULT referral.current_program())
    RETURNS referral.spend_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known referral.spend_row := referral.get_spend(unspend.program_id, unspend.spend_id);
    own_member bigint;
    number bigint;
BEGIN
    IF known IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_spend',
            DETAIL = 'The program has no spend with this spend_id.',
            HINT = 'Name a spend that was made by referral.spend().';
    END IF;
    own_member := referral.lock_account(unspend.program_id, known.user_id);
    UPDATE referral.spend s SET unspent_at = clock_timestamp()
     WHERE s.program_id = unspend.program_id AND s.spend_id = unspend.spend_id
       AND s.unspent_at IS NULL
     RETURNING s.spend_no INTO number;
    IF FOUND THEN
        UPDATE referral.account a SET spent_micro = a.spent_micro - known.amount_micro
         WHERE a.program_id = unspend.program_id AND a.member_id = own_member;
        PERFORM referral.unsettle(unspend.program_id, own_member, number);
    END IF;
    RETURN referral.get_spend(unspend.program_id, unspend.spend_id);
END
$$;
COMMENT ON FUNCTION referral.unspend(text, bigint) IS
'Undoes a spend, whole; the rewards that it used up are open again. Repeating it changes nothing.
Errors: RF010 unknown_spend.';

-- Payouts. Money that was asked for is reserved until it is sent, which pays it
-- out, or until it fails or is cancelled, which gives it back.

CREATE FUNCTION referral.check_destination(network text, address text)
    RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF num_nulls(check_destination.network, check_destination.address) = 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'invalid destination',
            DETAIL = 'A network without an address, or an address without a network.',
            HINT = 'Send both, or neither.';
    ELSIF check_destination.network IS NOT NULL THEN
        PERFORM referral.check_text('network', check_destination.network, 1, 100),
                referral.check_text('address', check_destination.address, 1, 500);
    END IF;
END
$$;
COMMENT ON FUNCTION referral.check_destination(text, text) IS
'Refuses a network without an address or the reverse; both NULL is no destination.
Errors: 22023.';

CREATE FUNCTION referral.set_payout_destination(user_id text, network text, address text,
                                                program_id bigint
                                                DEFAULT referral.current_program())
    RETURNS referral.payout_destination_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_member CONSTANT bigint := referral.lock_account(set_payout_destination.program_id,
                                                        set_payout_destination.user_id);
    result referral.payout_destination_row;
BEGIN
    PERFORM referral.check_destination(set_payout_destination.network,
                                       set_payout_destination.address);
    result.user_id := set_payout_destination.user_id;
    IF set_payout_destination.network IS NULL THEN
        DELETE FROM referral.payout_destination d
         WHERE d.program_id = set_payout_destination.program_id AND d.member_id = own_member;
        RETURN result;
    END IF;
    INSERT INTO referral.payout_destination AS d (program_id, member_id, network, address)
    VALUES (set_payout_destination.program_id, own_member, set_payout_destination.network,
            set_payout_destination.address)
    ON CONFLICT ON CONSTRAINT payout_destination_pkey DO UPDATE
       SET network = excluded.network, address = excluded.address, set_at = excluded.set_at
     WHERE (d.network, d.address) <> (excluded.network, excluded.address);
    SELECT d.network, d.address, d.set_at INTO result.network, result.address, result.set_at
      FROM referral.payout_destination d
     WHERE d.program_id = set_payout_destination.program_id AND d.member_id = own_member;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.set_payout_destination(text, text, text, bigint) IS
'Says where a member wants later payouts sent that name no destination of their own.
network: 1 to 100 characters, whatever the operator''s payment run understands; address: on it, 1
to 500. Both NULL: none any more. Payouts already requested keep theirs.
Errors: RF003 unknown_member, 22023 one without the other, or a text too long or empty.
Example: SELECT * FROM referral.set_payout_destination(''u42'', ''sepa'', ''DE0212030000'');';

CREATE FUNCTION referral.get_payout(program_id bigint, payout_id text)
    RETURNS referral.payout_row LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result referral.payout_row;
BEGIN
    SELECT p.payout_id, p.amount_micro, p.network, p.address, p.status, p.reference, p.note,
           p.requested_at, p.completed_at, m.user_id, p.batch_id
      INTO result
      FROM referral.payout p
      JOIN referral.member m USING (program_id, member_id)
     WHERE p.program_id = get_payout.program_id AND p.payout_id = get_payout.payout_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.get_payout(bigint, text) IS
'One payout as it stands now.';

CREATE FUNCTION referral.request_payout(user_id text, payout_id text,
                                        amount_micro bigint DEFAULT NULL,
                                        network text DEFAULT NULL, address text DEFAULT NULL,
                                        program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_member CONSTANT bigint := referral.lock_account(request_payout.program_id,
                                                        request_payout.user_id);
    same boolean;
    terms record;
    available bigint;
    amount bigint;
    number bigint;
BEGIN
    SELECT (p.member_id, p.asked_micro, p.asked_network, p.asked_address, p.batch_id)
           IS NOT DISTINCT FROM
           (own_member, request_payout.amount_micro, request_payout.network,
            request_payout.address, NULL::text)
      INTO same
      FROM referral.payout p
     WHERE p.program_id = request_payout.program_id AND p.payout_id = request_payout.payout_id;
    IF FOUND THEN
        PERFORM referral.check_repeated('payout_id', same);
        RETURN referral.get_payout(request_payout.program_id, request_payout.payout_id);
    END IF;

    PERFORM referral.check_not_suspended(request_payout.program_id, own_member);
    PERFORM referral.check_text('payout_id', request_payout.payout_id, 1, 200),
            referral.check_destination(request_payout.network, request_payout.address);
    available := referral.account_available(request_payout.program_id, own_member);
    IF request_payout.amount_micro IS NULL THEN
        PERFORM referral.check_available(1, available);
    ELSE
        PERFORM referral.check_positive(request_payout.amount_micro);
    END IF;
    amount := coalesce(request_payout.amount_micro, available);
    SELECT p.payout_min_micro, d.network, d.address INTO terms
      FROM referral.program p
      LEFT JOIN referral.payout_destination d
             ON d.program_id = p.program_id AND d.member_id = own_member
     WHERE p.program_id = request_payout.program_id;
    IF amount < terms.payout_min_micro THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF008',
            MESSAGE = 'payout_below_minimum',
            DETAIL = format('The program pays out %s micro-units or more.',
                            terms.payout_min_micro),
            HINT = 'Ask for more, or wait until more is available.';
    END IF;
    PERFORM referral.check_available(amount, available);

    INSERT INTO referral.payout AS p (program_id, payout_id, member_id, amount_micro, network,
                                      address, asked_micro, asked_network, asked_address,
                                      requested_at)
    VALUES (request_payout.program_id, request_payout.payout_id, own_member, amount,
            coalesce(request_payout.network, terms.network),
            coalesce(request_payout.address, terms.address),
            request_payout.amount_micro, request_payout.network, request_payout.address,
            clock_timestamp())
    ON CONFLICT DO NOTHING
    RETURNING p.payout_no INTO number;
    -- Only a payout of another member can have taken the id meanwhile.
    PERFORM referral.check_repeated('payout_id', FOUND);
    UPDATE referral.account a SET reserved_micro = a.reserved_micro + amount
     WHERE a.program_id = request_payout.program_id AND a.member_id = own_member;
    PERFORM referral.emit_event(request_payout.program_id, 'payout_moved', number, 'requested');
    RETURN referral.get_payout(request_payout.program_id, request_payout.payout_id);
END
$$;
COMMENT ON FUNCTION referral.request_payout(text, text, bigint, text, text, bigint) IS
'Asks for a payout and reserves its amount, once, however often it is sent.
payout_id: the caller''s, 1 to 200 characters; amount_micro: micro-units, NULL = all that is
available; network, address: NULL = the member''s destination, and where he has none the payout has
none, to be paid as agreed elsewhere.
Errors: RF003 unknown_member, RF001 idempotency_conflict (known id, other arguments), RF006
member_suspended, 22003 amount is not positive, RF008 payout_below_minimum, RF007
balance_insufficient, 22023 network without address or the reverse, or a text too long or empty.
Example: SELECT * FROM referral.request_payout(''u42'', ''p-1'');';

CREATE FUNCTION referral.move_payout(program_id bigint, payout_id text, departures text[],
                                     status text, reference text, note text,
                                     owner text DEFAULT NULL)
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known referral.payout_row := referral.get_payout(move_payout.program_id,
                                                     move_payout.payout_id);
    own_member bigint;
    number bigint;
BEGIN
    IF known IS NULL OR known.user_id <> move_payout.owner THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF010',
            MESSAGE = 'unknown_payout',
            DETAIL = 'There is no payout with this payout_id.',
            HINT = 'Name a payout of referral.list_payouts().';
    END IF;
    own_member := referral.lock_account(move_payout.program_id, known.user_id);
    known := referral.get_payout(move_payout.program_id, move_payout.payout_id);
    IF (known.status, known.reference, known.note)
       IS NOT DISTINCT FROM (move_payout.status, move_payout.reference, move_payout.note)
    THEN
        RETURN known;
    ELSIF known.status <> ALL (move_payout.departures) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF009',
            MESSAGE = 'payout_not_actionable',
            DETAIL = format('The payout is %s.', known.status),
            HINT = 'Read its status; what has ended stays as it is.';
    END IF;

    UPDATE referral.payout p
       SET status = move_payout.status,
           reference = move_payout.reference,
           note = move_payout.note,
           processing_at = CASE WHEN move_payout.status = 'processing' THEN clock_timestamp()
                                ELSE p.processing_at END,
           completed_at = CASE WHEN move_payout.status <> 'processing' THEN clock_timestamp() END
     WHERE p.program_id = move_payout.program_id AND p.payout_id = move_payout.payout_id
     RETURNING p.payout_no INTO number;
    IF move_payout.status <> 'processing' THEN
        UPDATE referral.account a
           SET reserved_micro = a.reserved_micro - known.amount_micro,
               paid_out_micro = a.paid_out_micro
                                + CASE move_payout.status WHEN 'sent' THEN known.amount_micro
                                                          ELSE 0 END
         WHERE a.program_id = move_payout.program_id AND a.member_id = own_member;
    END IF;
    IF move_payout.status = 'sent' THEN
        PERFORM referral.settle(move_payout.program_id, own_member, 'paid_out', number,
                                known.amount_micro);
    END IF;
    PERFORM referral.emit_event(move_payout.program_id, 'payout_moved', number,
                                move_payout.status);
    RETURN referral.get_payout(move_payout.program_id, move_payout.payout_id);
END
$$;
COMMENT ON FUNCTION referral.move_payout(bigint, text, text[], text, text, text, text) IS
'What the transitions of a payout have in common.
departures: statuses that it may be moved from; status: the one it is moved to; owner: whose it must
be, NULL = anybody''s.
Errors: RF010 unknown_payout, RF009 payout_not_actionable.';

CREATE FUNCTION referral.payout_processing(payout_id text,
                                           program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN referral.move_payout(payout_processing.program_id, payout_processing.payout_id,
                                '{requested}', 'processing', NULL, NULL);
END
$$;
COMMENT ON FUNCTION referral.payout_processing(text, bigint) IS
'Says that a requested payout is being paid: the member can no longer cancel it. Repeating it
changes nothing.
Errors: RF010 unknown_payout, RF009 payout_not_actionable.';

CREATE FUNCTION referral.payout_sent(payout_id text, reference text DEFAULT NULL,
                                     program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.check_text('reference', payout_sent.reference, 0, 500);
    RETURN referral.move_payout(payout_sent.program_id, payout_sent.payout_id,
                                '{requested,processing}', 'sent', payout_sent.reference, NULL);
END
$$;
COMMENT ON FUNCTION referral.payout_sent(text, text, bigint) IS
'Says that a payout was paid: what it had reserved is paid out and settles the oldest rewards.
Repeating it with the same reference changes nothing.
reference: of the transfer, at most 500 characters.
Errors: RF010 unknown_payout, RF009 payout_not_actionable, 22023 reference too long.
Example: SELECT * FROM referral.payout_sent(''p-1'', ''tx-81f3'');';

CREATE FUNCTION referral.payout_failed(payout_id text, reason text DEFAULT NULL,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM referral.check_text('reason', payout_failed.reason, 0, 4096);
    RETURN referral.move_payout(payout_failed.program_id, payout_failed.payout_id,
                                '{requested,processing}', 'failed', NULL, payout_failed.reason);
END
$$;
COMMENT ON FUNCTION referral.payout_failed(text, text, bigint) IS
'Says that a payout could not be paid: what it had reserved is available again. Repeating it with
the same reason changes nothing.
reason: at most 4096 characters, kept as the payout''s note.
Errors: RF010 unknown_payout, RF009 payout_not_actionable, 22023 reason too long.
Example: SELECT * FROM referral.payout_failed(''p-1'', ''account closed'');';

CREATE FUNCTION referral.payout_cancel(payout_id text,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN referral.move_payout(payout_cancel.program_id, payout_cancel.payout_id,
                                '{requested,processing}', 'cancelled', NULL, NULL);
END
$$;
COMMENT ON FUNCTION referral.payout_cancel(text, bigint) IS
'Takes back a payout that was not sent: what it had reserved is available again. Repeating it
changes nothing.
Errors: RF010 unknown_payout, RF009 payout_not_actionable.';

CREATE FUNCTION referral.payouts_due(program_id bigint, min_micro bigint)
    RETURNS TABLE (member_id bigint, amount_micro bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT due.member_id, least(due.available_micro, 9223372036854775807)::bigint
      FROM (SELECT a.member_id,
                   coalesce(e.available_micro, 0) + a.adjusted_micro - a.spent_micro
                   - a.paid_out_micro - a.reserved_micro AS available_micro
              FROM referral.account a
              LEFT JOIN (SELECT e.member_id,
                                sum(e.amount_micro) - sum(e.reversed_micro) AS available_micro
                           FROM referral.earning e
                          WHERE e.program_id = payouts_due.program_id
                            AND e.available_at <= statement_timestamp()
                          GROUP BY e.member_id) e ON e.member_id = a.member_id
             WHERE a.program_id = payouts_due.program_id) due
      JOIN referral.member m ON m.program_id = payouts_due.program_id
                            AND m.member_id = due.member_id
      JOIN referral.program p ON p.program_id = payouts_due.program_id
     WHERE m.suspended_at IS NULL
       AND due.available_micro >= greatest(1, payouts_due.min_micro, p.payout_min_micro);
END
$$;
COMMENT ON FUNCTION referral.payouts_due(bigint, bigint) IS
'Whom payout_batch() pays, and how much, in micro-units: who is not suspended and has the minimum
available. By the snapshot of the caller; exact for accounts that he has locked.
min_micro: NULL = the program''s minimum, which is the least in any case.';

CREATE FUNCTION referral.payout_batch(batch_id text, min_micro bigint DEFAULT NULL,
                                      program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidates bigint[];
    moment timestamptz;
    same boolean;
BEGIN
    -- What is available is summed after the accounts were locked, which a
    -- transaction with one snapshot for all its statements cannot do.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'payout_batch needs isolation level read committed',
            DETAIL = 'At a higher level it would not see what other sessions did meanwhile.',
            HINT = 'Call it in a transaction of its own at READ COMMITTED.';
    END IF;
    PERFORM referral.check_text('batch_id', payout_batch.batch_id, 1, 100);

    -- Two sessions with one id: the second waits here for the first.
    INSERT INTO referral.payout_batch AS b (program_id, batch_id, min_micro, created_at)
    VALUES (payout_batch.program_id, payout_batch.batch_id, payout_batch.min_micro,
            clock_timestamp())
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        -- All accounts in one order, so that two batches cannot wait for each other.
        candidates := ARRAY(SELECT d.member_id
                              FROM referral.payouts_due(payout_batch.program_id,
                                                        payout_batch.min_micro) d);
        PERFORM FROM referral.account a
          JOIN unnest(candidates) c(member_id) USING (member_id)
         WHERE a.program_id = payout_batch.program_id
         ORDER BY a.member_id
           FOR NO KEY UPDATE OF a;
        moment := clock_timestamp();
        -- Members choose ids of payouts, too; the last part is one they cannot
        -- have taken beforehand.
        WITH requested AS (
            INSERT INTO referral.payout AS p (program_id, payout_id, payout_no, member_id,
                                              amount_micro, network, address, batch_id,
                                              requested_at)
            SELECT payout_batch.program_id,
                   format('%s-%s-%s', payout_batch.batch_id, due.number,
                          left(gen_random_uuid()::text, 8)),
                   due.number, due.member_id, due.amount_micro, d.network, d.address,
                   payout_batch.batch_id, moment
              FROM (SELECT nextval('referral.payout_no_seq') AS number, o.*
                      FROM (SELECT d.member_id, d.amount_micro
                              FROM referral.payouts_due(payout_batch.program_id,
                                                        payout_batch.min_micro) d
                              JOIN unnest(candidates) c(member_id) USING (member_id)
                             ORDER BY d.member_id) o) due
              LEFT JOIN referral.payout_destination d
                     ON d.program_id = payout_batch.program_id AND d.member_id = due.member_id
            RETURNING p.member_id, p.amount_micro
        )
        UPDATE referral.account a SET reserved_micro = a.reserved_micro + r.amount_micro
          FROM requested r
         WHERE a.program_id = payout_batch.program_id AND a.member_id = r.member_id;
        PERFORM referral.emit_events(payout_batch.program_id, 'payout_moved', ARRAY(
            SELECT p.payout_no
              FROM referral.payout p
             WHERE p.program_id = payout_batch.program_id AND p.batch_id = payout_batch.batch_id
             ORDER BY p.payout_no), 'requested');
    ELSE
        SELECT b.min_micro IS NOT DISTINCT FROM payout_batch.min_micro INTO same
          FROM referral.payout_batch b
         WHERE b.program_id = payout_batch.program_id AND b.batch_id = payout_batch.batch_id;
        PERFORM referral.check_repeated('batch_id', same);
    END IF;
    RETURN QUERY
    SELECT p.payout_id, p.amount_micro, p.network, p.address, p.status, p.reference, p.note,
           p.requested_at, p.completed_at, m.user_id, p.batch_id
      FROM referral.payout p
      JOIN referral.member m USING (program_id, member_id)
     WHERE p.program_id = payout_batch.program_id AND p.batch_id = payout_batch.batch_id
     ORDER BY p.payout_no;
END
$$;
COMMENT ON FUNCTION referral.payout_batch(text, bigint, bigint) IS
'Requests all that is available for every member who is due, and returns these payouts, in the order
of the members; once per batch, after that the same payouts as they stand now.
batch_id: the caller''s, 1 to 100 characters; min_micro: least amount in micro-units, never less
than the program''s minimum. Suspended members are left out. Each goes to its member''s destination,
if he has one. View referral.payout_order lists them for the payment run.
Errors: RF001 idempotency_conflict (known batch, other minimum), 0A000 isolation level above READ
COMMITTED, 22023 batch_id too long or empty.
Example: SELECT * FROM referral.payout_batch(''2026-02'');';

-- Corrections.

CREATE FUNCTION referral.adjust(user_id text, adjustment_id text, amount_micro bigint, note text,
                                actor text DEFAULT session_user::text,
                                program_id bigint DEFAULT referral.current_program())
    RETURNS referral.adjustment_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_member CONSTANT bigint := referral.lock_account(adjust.program_id, adjust.user_id);
    same boolean;
    result referral.adjustment_row;
BEGIN
    SELECT (j.member_id, j.amount_micro, j.note, j.actor)
           IS NOT DISTINCT FROM (own_member, adjust.amount_micro, adjust.note, adjust.actor)
      INTO same
      FROM referral.adjustment j
     WHERE j.program_id = adjust.program_id AND j.adjustment_id = adjust.adjustment_id;
    IF FOUND THEN
        PERFORM referral.check_repeated('adjustment_id', same);
    ELSE
        PERFORM referral.check_text('adjustment_id', adjust.adjustment_id, 1, 200),
                referral.check_text('note', adjust.note, 1, 2000),
                referral.check_text('actor', adjust.actor, 1, 200);
        IF coalesce(adjust.amount_micro, 0) = 0 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'invalid_parameter_value',
                MESSAGE = 'amount is zero',
                DETAIL = 'An adjustment adds micro-units to a balance or takes them off.',
                HINT = 'Send an amount above or below zero.';
        END IF;
        INSERT INTO referral.adjustment (program_id, adjustment_id, member_id, amount_micro, note,
                                         actor, created_at)
        VALUES (adjust.program_id, adjust.adjustment_id, own_member, adjust.amount_micro,
                adjust.note, adjust.actor, clock_timestamp())
        ON CONFLICT DO NOTHING;
        -- Only an adjustment of another member can have taken the id meanwhile.
        PERFORM referral.check_repeated('adjustment_id', FOUND);
        UPDATE referral.account a SET adjusted_micro = a.adjusted_micro + adjust.amount_micro
         WHERE a.program_id = adjust.program_id AND a.member_id = own_member;
        -- How much of what was spent is owed depends on it.
        PERFORM referral.settle(adjust.program_id, own_member, 'spent', 0, 0);
    END IF;
    SELECT j.adjustment_id, adjust.user_id, j.amount_micro, j.note, j.actor, j.created_at
      INTO result
      FROM referral.adjustment j
     WHERE j.program_id = adjust.program_id AND j.adjustment_id = adjust.adjustment_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral.adjust(text, text, bigint, text, text, bigint) IS
'Corrects a member''s balance, once, however often it is sent; it may fall below zero.
adjustment_id: the caller''s, 1 to 200 characters; amount_micro: micro-units, negative to take off;
note: why, 1 to 2000 characters; actor: who, for the audit.
Errors: RF003 unknown_member, RF001 idempotency_conflict (known id, other facts), 22023 amount is
zero, or a text too long or empty.
Example: SELECT * FROM referral.adjust(''u42'', ''fix-1'', -500000, ''paid by hand'', ''ops'');';
