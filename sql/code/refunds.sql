-- The refund engine's entry points; the engine itself is src/refund_in.c.

CREATE FUNCTION referral.refund_before() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'referral_refund_before';
COMMENT ON FUNCTION referral.refund_before() IS
'BEFORE INSERT statement trigger of referral.refund: marks the rows of the statement as seen by the engine.';

CREATE FUNCTION referral.refund_after() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'referral_refund_after';
COMMENT ON FUNCTION referral.refund_after() IS
'AFTER INSERT statement trigger of referral.refund: reverses rewards on all levels by the debt policy, for all rows of the statement in their order; a refund whose payment is not there waits for it.
Errors: 22003 not positive, or more than the payment''s base in all; 22008 occurred_at more than a day ahead or not finite; 23503 unknown program; 23514 empty or overlong text.';

CREATE FUNCTION referral.take_in_refunds(program_id bigint, refund_ids text[]) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_take_in_refunds';
COMMENT ON FUNCTION referral.take_in_refunds(bigint, text[]) IS
'Takes in refunds that the engine has not seen, in the order given; returns how many. A refund that was seen is passed over. For backfill().
Errors: as refund_after().';

CREATE FUNCTION referral.apply_waiting(program_id bigint, payment_ids text[]) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_apply_waiting';
COMMENT ON FUNCTION referral.apply_waiting(bigint, text[]) IS
'Applies the refunds that wait for these payments, where those are there and were processed; returns how many. One that does not fit its payment goes on waiting. For maintain().';

CREATE FUNCTION referral.reversal(
    program_id bigint,
    reward_id bigint,
    amount_micro bigint,
    base_micro bigint,
    given_back_micro bigint,
    OUT reversed_micro bigint,
    OUT written_off_micro bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    written_off_micro := (SELECT coalesce(sum(w.amount_micro), 0)
                            FROM referral.write_off AS w
                           WHERE w.program_id = reversal.program_id
                             AND w.reward_id = reversal.reward_id
                             AND w.total_micro <= reversal.given_back_micro);
    reversed_micro := div(reversal.amount_micro::numeric * reversal.given_back_micro,
                          reversal.base_micro) - written_off_micro;
END
$$;
COMMENT ON FUNCTION referral.reversal(bigint, bigint, bigint, bigint, bigint) IS
'What refunds took back from a reward, and what they let go, once given_back_micro of its payment''s
base had been given back in all (CONTRACT section 4); amount_micro and base_micro are the reward''s.
Nulls where nothing was given back (null).';

CREATE FUNCTION referral.record_refund(refund_id text, payment_id text, amount_micro bigint,
                                       reason text DEFAULT NULL,
                                       occurred_at timestamptz DEFAULT NULL,
                                       program_id bigint DEFAULT referral.current_program())
    RETURNS referral.refund_receipt LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
    applied record;
    receipt referral.refund_receipt;
BEGIN
    -- Two sessions with one id: the second waits here for the first.
    INSERT INTO referral.refund AS f
           (program_id, refund_id, payment_id, amount_micro, reason, occurred_at)
    VALUES (record_refund.program_id, record_refund.refund_id, record_refund.payment_id,
            record_refund.amount_micro, record_refund.reason,
            coalesce(record_refund.occurred_at, now()))
    ON CONFLICT DO NOTHING;
    receipt.replayed := NOT FOUND;

    -- A time left out is the one stored, or no call without one could be repeated.
    SELECT f.refund_id, f.refund_no,
           (f.payment_id, f.amount_micro, f.reason, f.occurred_at)
           IS NOT DISTINCT FROM
           (record_refund.payment_id, record_refund.amount_micro, record_refund.reason,
            coalesce(record_refund.occurred_at, f.occurred_at)) AS same
      INTO known
      FROM referral.refund f
     WHERE f.program_id = record_refund.program_id AND f.refund_id = record_refund.refund_id;
    IF NOT known.same THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF001',
            MESSAGE = 'idempotency_conflict',
            DETAIL = 'A refund with this refund_id and other facts is recorded already.',
            HINT = 'Repeat a refund unchanged, or give a new one an id of its own.';
    END IF;
    receipt.refund_id := known.refund_id;

    SELECT a.payment_no, a.total_micro
      INTO applied
      FROM referral.payment p
           JOIN referral.refund_applied a
             ON a.program_id = p.program_id AND a.payment_no = p.payment_no
     WHERE p.program_id = record_refund.program_id
       AND p.payment_id = record_refund.payment_id
       AND a.refund_no = known.refund_no;
    receipt.state := CASE WHEN FOUND THEN 'applied' ELSE 'waiting' END;
    SELECT coalesce(sum(since.reversed_micro - until.reversed_micro), 0),
           coalesce(sum(since.written_off_micro - until.written_off_micro), 0)
      INTO receipt.reversed_micro, receipt.written_off_micro
      FROM referral.reward r
           CROSS JOIN LATERAL referral.reversal(
               r.program_id, r.reward_id, r.amount_micro, r.base_micro,
               applied.total_micro - record_refund.amount_micro) AS until
           CROSS JOIN LATERAL referral.reversal(
               r.program_id, r.reward_id, r.amount_micro, r.base_micro,
               applied.total_micro) AS since
     WHERE r.program_id = record_refund.program_id
       AND r.reward_id BETWEEN applied.payment_no * 16 AND applied.payment_no * 16 + 15;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION referral.record_refund(text, text, bigint, text, timestamptz, bigint) IS
'Records a refund once, however often it is sent, and returns what it took back on all levels.
refund_id: the caller''s, 1 to 200 characters; payment_id: what is refunded, also before it is
known; amount_micro: micro-units of the payment''s base; reason: up to 1000 characters;
occurred_at: NULL = now, or when it is repeated, as it was recorded.
Errors: RF001 idempotency_conflict (known id, other facts), and those of an INSERT into
referral.refund: 22003, 22008, 23502, 23503, 23514.
Example: SELECT * FROM referral.record_refund(''cn-1'', ''inv-1'', 500000);';
