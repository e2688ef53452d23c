-- The payment engine's entry points; the engine itself is src/payment_in.c.

CREATE FUNCTION referral.payment_before() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'referral_payment_before';
COMMENT ON FUNCTION referral.payment_before() IS
'BEFORE INSERT statement trigger of referral.payment: marks the rows of the statement as seen by the engine.';

CREATE FUNCTION referral.payment_after() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'referral_payment_after';
COMMENT ON FUNCTION referral.payment_after() IS
'AFTER INSERT statement trigger of referral.payment: qualifies payers, freezes rewards, credits counters, for all rows of the statement in their order.
Errors: 22003 negative or overflowing amount, 22008 occurred_at more than a day ahead or not finite, 23503 unknown program.';

CREATE FUNCTION referral.config_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'referral_config_changed';
COMMENT ON FUNCTION referral.config_changed() IS
'Statement trigger of program, tier, rate and campaign: tells every session at commit to read its configuration anew.';

CREATE FUNCTION referral.take_in(program_id bigint, payment_ids text[]) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_take_in';
COMMENT ON FUNCTION referral.take_in(bigint, text[]) IS
'Takes in payments that the engine has not seen, in the order given; returns how many. A payment that was seen is passed over. For backfill().
Errors: as payment_after().';

CREATE FUNCTION referral.take_waiting(program_id bigint, payment_ids text[]) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_take_waiting';
COMMENT ON FUNCTION referral.take_waiting(bigint, text[]) IS
'Processes payments that waited for a review that is over, in the order given, then the refunds that waited for them; returns how many payments. The caller has locked their rows. For approve_attribution().
Errors: as payment_after().';

CREATE FUNCTION referral.count_funnel(program_id bigint, day date, campaign_id bigint,
                                      utm_key bigint, stage text, change bigint) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_count_funnel';
COMMENT ON FUNCTION referral.count_funnel(bigint, date, bigint, bigint, text, bigint) IS
'Adds to a counter of the funnel; waits for nobody.
day: of the program''s zone; campaign_id, utm_key: 0 = none; stage: the column of table funnel; change: by how much.
Errors: 22023 for a stage that is none.';

CREATE FUNCTION referral.count_downline(program_id bigint, member_ids bigint[], levels integer[], members bigint[])
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_count_downline';
COMMENT ON FUNCTION referral.count_downline(bigint, bigint[], integer[], bigint[]) IS
'Adds members[i] to what member_ids[i] has below him on levels[i]; waits for nobody. For attribute().';

CREATE FUNCTION referral.record_payment(payment_id text, user_id text, amount_micro bigint,
                                        base_micro bigint DEFAULT NULL,
                                        kind text DEFAULT 'purchase',
                                        occurred_at timestamptz DEFAULT NULL,
                                        program_id bigint DEFAULT referral.current_program())
    RETURNS referral.payment_receipt LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
    receipt referral.payment_receipt;
BEGIN
    -- Two sessions with one id: the second waits here for the first.
    INSERT INTO referral.payment AS p
           (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
    VALUES (record_payment.program_id, record_payment.payment_id, record_payment.user_id,
            record_payment.amount_micro, record_payment.base_micro, record_payment.kind,
            coalesce(record_payment.occurred_at, now()))
    ON CONFLICT DO NOTHING;
    receipt.replayed := NOT FOUND;

    -- A time left out is the one stored, or no call without one could be repeated.
    SELECT p.payment_id, p.payment_no,
           (p.user_id, p.amount_micro, p.base_micro, p.kind, p.occurred_at)
           IS NOT DISTINCT FROM
           (record_payment.user_id, record_payment.amount_micro, record_payment.base_micro,
            record_payment.kind, coalesce(record_payment.occurred_at, p.occurred_at)) AS same
      INTO known
      FROM referral.payment p
     WHERE p.program_id = record_payment.program_id AND p.payment_id = record_payment.payment_id;
    IF NOT known.same THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RF001',
            MESSAGE = 'idempotency_conflict',
            DETAIL = 'A payment with this payment_id and other facts is recorded already.',
            HINT = 'Repeat a payment unchanged, or give a new one an id of its own.';
    END IF;
    receipt.payment_id := known.payment_id;
    SELECT count(*), coalesce(sum(r.amount_micro), 0)
      INTO receipt.rewards, receipt.rewards_micro
      FROM referral.reward r
     WHERE r.program_id = record_payment.program_id
       AND r.reward_id BETWEEN known.payment_no * 16 AND known.payment_no * 16 + 15;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION referral.record_payment(text, text, bigint, bigint, text, timestamptz, bigint) IS
'Records a payment once, however often it is sent, and returns what it earned.
payment_id: the caller''s, 1 to 200 characters; amount_micro: volume in micro-units;
base_micro: what commission is computed on, NULL = the amount; kind: ''deposit'' earns nothing;
occurred_at: NULL = now, or when it is repeated, as it was recorded.
Errors: RF001 idempotency_conflict (known id, other facts), and those of an INSERT into
referral.payment: 22003, 22008, 23502, 23503, 23514.
Example: SELECT * FROM referral.record_payment(''inv-1'', ''u43'', 2000000);';
