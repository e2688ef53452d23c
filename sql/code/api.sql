-- What PostgREST serves: thin wrappers that say who calls, about whom and in
-- which program, and nothing else. They run with the rights of their owner, so
-- that no role of the web needs a right on a table. A plain CREATE SCHEMA, so
-- that a schema somebody else made under this name is refused.

CREATE SCHEMA referral_api;
COMMENT ON SCHEMA referral_api IS
'Referral programme
Who a caller is stands in his token: sub is his user_id, program_id the program (not needed where
there is one only), role what he may do. Members see and change what is theirs; operators name a
user_id to act for anybody; without a token a code can be validated and a click captured.
Amounts are whole micro-units (millionths) of the program''s currency, rates basis points, times
ISO 8601. Lists are pages: max_rows (50, at most 200) and skip. A caller who is not a member yet
becomes one at his first POST.
Errors are {"code", "message", "details", "hint"}: message is a constant to branch on.';

CREATE TYPE referral.principal AS (
    user_id    text,
    program_id bigint
);
COMMENT ON TYPE referral.principal IS 'Whom a call over HTTP is about, and in which program';
COMMENT ON COLUMN referral.principal.user_id IS 'The member; NULL: nobody in particular';
COMMENT ON COLUMN referral.principal.program_id IS 'The program of the token';

CREATE FUNCTION referral.is_operator()
    RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The role put on by SET ROLE, which the server lets the login's own roles
    -- do only; SECURITY DEFINER hides it from current_user, not from here.
    SELECT EXISTS (SELECT FROM referral.api_grant g
                    WHERE g.part = 'operator' AND g.role_name = current_setting('role'))
$$;
COMMENT ON FUNCTION referral.is_operator() IS
'Whether the request runs as a role that was named to grant_api() as operator.';

CREATE FUNCTION referral.about(user_id text)
    RETURNS referral.principal LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller_id CONSTANT text := referral.claims() ->> 'sub';
BEGIN
    IF about.user_id IS NOT NULL AND about.user_id IS DISTINCT FROM caller_id
       AND NOT referral.is_operator()
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'not_yours',
            DETAIL = 'Only an operator names another user.',
            HINT = 'Leave user_id out.';
    END IF;
    RETURN (coalesce(about.user_id, caller_id), referral.caller_program());
END
$$;
COMMENT ON FUNCTION referral.about(text) IS
'Whose data a call over HTTP is about, the one place that decides it: the caller''s own, or where
an operator names somebody, his.
Errors: 42501 not_yours or unauthenticated.';

CREATE FUNCTION referral.acting_for(user_id text)
    RETURNS referral.principal LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject referral.principal;
    caller record;
BEGIN
    -- Nearly every request is of a member about himself.
    IF acting_for.user_id IS NULL THEN
        subject := referral.known_caller();
        IF subject IS NOT NULL THEN
            RETURN subject;
        END IF;
    END IF;

    caller := referral.caller();
    IF acting_for.user_id IS NULL THEN
        subject := (caller.user_id, caller.program_id);
    ELSE
        subject := referral.about(acting_for.user_id);
    END IF;
    IF subject.user_id = caller.user_id
       AND NOT EXISTS (SELECT FROM referral.member m
                        WHERE m.program_id = caller.program_id AND m.user_id = caller.user_id)
    THEN
        IF current_setting('transaction_read_only')::boolean THEN
            RAISE EXCEPTION USING
                ERRCODE = 'read_only_sql_transaction',
                MESSAGE = 'not_a_member_yet',
                DETAIL = 'The first call makes the caller a member, which a GET cannot do.',
                HINT = 'Call once by POST.';
        END IF;
        PERFORM referral.ensure_member(caller.program_id, caller.user_id);
    END IF;
    RETURN subject;
END
$$;
COMMENT ON FUNCTION referral.acting_for(text) IS
'As about(), and makes the caller a member if he is not one yet.
Errors: 42501 not_yours or unauthenticated, 25006 not_a_member_yet.';

CREATE FUNCTION referral.page_rows(max_rows integer)
    RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN page_rows.max_rows > 200 THEN 200 ELSE page_rows.max_rows END
$$;
COMMENT ON FUNCTION referral.page_rows(integer) IS
'Rows of a page over HTTP: at most 200. NULL and negative stay, and mean the default.';

-- For everybody who is somebody.

CREATE FUNCTION referral_api.whoami()
    RETURNS referral.whoami_row LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller CONSTANT record := referral.caller();
    result referral.whoami_row;
BEGIN
    PERFORM referral.check_program(caller.program_id);
    SELECT caller.user_id, referral.is_operator(), p.program_id, p.name, p.currency, p.time_zone,
           p.share_path, p.payout_min_micro, p.max_level, p.hold_days
      INTO result
      FROM referral.program p
     WHERE p.program_id = caller.program_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral_api.whoami() IS
'Who the caller is, whether an operator, and what his program is like
One object, payout_min_micro in micro-units. Makes nobody a member.
Errors: unauthenticated, unknown_program.
Example: GET /rpc/whoami';

CREATE FUNCTION referral.plain_time(at timestamptz)
    RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF plain_time.at NOT BETWEEN '0001-01-02 00:00+00' AND '9999-12-31 00:00+00' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'datetime_field_overflow',
            MESSAGE = 'invalid at',
            DETAIL = 'The time is not in the years 1 to 9999.',
            HINT = 'Leave it out for now.';
    END IF;
    RETURN plain_time.at;
END
$$;
COMMENT ON FUNCTION referral.plain_time(timestamptz) IS
'The time, if RFC 3339 can write it, as answers that repeat it must: no infinity, no year before 1.
Errors: 22008 invalid at.';

-- For members about themselves, for operators about anybody.

CREATE FUNCTION referral_api.referral_overview(user_id text DEFAULT NULL)
    RETURNS referral.overview LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(referral_overview.user_id);
    result referral.overview;
BEGIN
    SELECT * INTO result FROM referral.referral_overview(subject.user_id, subject.program_id);
    IF NOT FOUND THEN
        PERFORM referral.known_member(subject.program_id, subject.user_id);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral_api.referral_overview(text) IS
'Codes, tier, rate, paid invitees, balance and inviter of a member
One object. balance is in micro-units, rate_bps in basis points.
user_id: for operators; left out, the caller''s own.
Errors: unauthenticated, not_yours, unknown_member, not_a_member_yet (GET before the first POST).
Example: POST /rpc/referral_overview {}';

CREATE FUNCTION referral_api.list_rewards(status text[] DEFAULT NULL,
                                          max_rows integer DEFAULT NULL,
                                          skip integer DEFAULT NULL,
                                          before_id bigint DEFAULT NULL,
                                          user_id text DEFAULT NULL)
    RETURNS SETOF referral.reward_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(list_rewards.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.list_rewards(
        subject.user_id, list_rewards.status, referral.page_rows(list_rewards.max_rows),
        list_rewards.skip, list_rewards.before_id, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.list_rewards(text[], integer, integer, bigint, text) IS
'Rewards of a member, newest first
status: only these, of pending, available, spent, paid_out, reversed; unknown ones match nothing;
max_rows: 50, at most 200; skip: rows passed over first; before_id: only ids below it, the cheap way
to page; user_id: for operators; left out, the caller''s own. Amounts are in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/list_rewards {"status": ["available"], "max_rows": 20}';

CREATE FUNCTION referral_api.list_invitees(max_rows integer DEFAULT NULL,
                                           skip integer DEFAULT NULL,
                                           user_id text DEFAULT NULL)
    RETURNS SETOF referral.invitee_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(list_invitees.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.list_invitees(
        subject.user_id, referral.page_rows(list_invitees.max_rows), list_invitees.skip,
        subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.list_invitees(integer, integer, text) IS
'Members whom a member referred himself
max_rows: 50, at most 200; skip: rows passed over first; user_id: for operators; left out, the
caller''s own. total_paid_micro is in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/list_invitees {"max_rows": 20}';

CREATE FUNCTION referral_api.list_downline(max_rows integer DEFAULT NULL,
                                           skip integer DEFAULT NULL,
                                           user_id text DEFAULT NULL)
    RETURNS SETOF referral.downline_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(list_downline.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.list_downline(
        subject.user_id, referral.page_rows(list_downline.max_rows), list_downline.skip,
        subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.list_downline(integer, integer, text) IS
'Members below a member on every level of the program
max_rows: 50, at most 200; skip: rows passed over first; user_id: for operators; left out, the
caller''s own. Amounts are in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/list_downline {"max_rows": 20, "skip": 20}';

CREATE FUNCTION referral_api.level_stats(user_id text DEFAULT NULL)
    RETURNS SETOF referral.level_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(level_stats.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.level_stats(subject.user_id, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.level_stats(text) IS
'Members, volume, deposits, earnings and rate of each level below a member
user_id: for operators; left out, the caller''s own. Amounts are in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/level_stats {}';

CREATE FUNCTION referral_api.earnings_by_day(since date DEFAULT NULL, until date DEFAULT NULL,
                                             user_id text DEFAULT NULL)
    RETURNS SETOF referral.day_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(earnings_by_day.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.earnings_by_day(
        subject.user_id, earnings_by_day.since, earnings_by_day.until, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.earnings_by_day(date, date, text) IS
'What a member earned by the payments of each day
since, until: days in the program''s time zone; user_id: for operators; left out, the caller''s
own. Amounts are in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/earnings_by_day {"since": "2026-01-01"}';

CREATE FUNCTION referral_api.campaign_code(campaign_id bigint DEFAULT NULL,
                                           user_id text DEFAULT NULL)
    RETURNS SETOF referral.code_state
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(campaign_code.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.campaign_code(subject.user_id, campaign_code.campaign_id,
                                                      subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.campaign_code(bigint, text) IS
'A member''s code inside a campaign, issued at the first call
No row when no campaign runs. campaign_id: left out, the running campaign that started last;
user_id: for operators; left out, the caller''s own.
Errors: unauthenticated, not_yours, unknown_member, unknown_campaign.
Example: POST /rpc/campaign_code {}';

CREATE FUNCTION referral_api.set_custom_slug(slug text, user_id text DEFAULT NULL)
    RETURNS referral.code_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(set_custom_slug.user_id);
BEGIN
    RETURN referral.set_custom_slug(subject.user_id, set_custom_slug.slug, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.set_custom_slug(text, text) IS
'Gives a member a code of his own choice
The primary code keeps working, a slug chosen before does not. slug: 3 to 32 of a-z, 0-9 and -,
lower-cased and trimmed, no leading or trailing -; user_id: for operators; left out, the caller''s
own.
Errors: slug_invalid, slug_reserved, slug_taken, unauthenticated, not_yours, unknown_member.
Example: POST /rpc/set_custom_slug {"slug": "ada"}';

CREATE FUNCTION referral_api.remove_custom_slug(user_id text DEFAULT NULL)
    RETURNS boolean LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(remove_custom_slug.user_id);
BEGIN
    RETURN referral.remove_custom_slug(subject.user_id, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.remove_custom_slug(text) IS
'Takes a member''s slug out of use; true if he had one
user_id: for operators; left out, the caller''s own.
Errors: unauthenticated, not_yours, unknown_member.
Example: POST /rpc/remove_custom_slug {}';

CREATE FUNCTION referral_api.validate_code(code text, user_id text DEFAULT NULL)
    RETURNS referral.code_validity LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.about(validate_code.user_id);
BEGIN
    RETURN referral.validate_code(validate_code.code, subject.user_id, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.validate_code(text, text) IS
'Whether a code would attribute the caller, or anybody new, now
One object; reason is null when valid, else the first that applies of unknown_code, self_referral,
already_attributed, cycle, code_disabled, campaign_inactive, click_expired, cap_reached.
code: in any case of letters; user_id: for operators.
Errors: not_yours.
Example: GET /rpc/validate_code?code=ada';

CREATE FUNCTION referral_api.attribute(code text, click_id text DEFAULT NULL,
                                       user_id text DEFAULT NULL,
                                       at timestamptz DEFAULT NULL)
    RETURNS referral.attribution_result
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(attribute.user_id);
BEGIN
    IF attribute.at IS NOT NULL AND NOT referral.is_operator() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'not_yours',
            DETAIL = 'Only an operator names the time of a sign-up.',
            HINT = 'Leave at out.';
    END IF;
    RETURN referral.attribute(subject.user_id, attribute.code, attribute.click_id,
                              coalesce(referral.plain_time(attribute.at), now()),
                              subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.attribute(text, text, text, timestamptz) IS
'Says by whose code the caller came; the first attribution stands for ever
One object; what is refused is an answer with its reason, as of validate_code, not an error.
code: in any case of letters; click_id: the captured click; user_id, at: for operators.
Errors: unauthenticated, not_yours, invalid at.
Example: POST /rpc/attribute {"code": "ada"}';

CREATE FUNCTION referral_api.request_payout(payout_id text, amount_micro bigint DEFAULT NULL,
                                            network text DEFAULT NULL, address text DEFAULT NULL,
                                            user_id text DEFAULT NULL)
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(request_payout.user_id);
BEGIN
    RETURN referral.request_payout(subject.user_id, request_payout.payout_id,
                                   request_payout.amount_micro, request_payout.network,
                                   request_payout.address, subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.request_payout(text, bigint, text, text, text) IS
'Asks for a payout once, however often it is sent, and reserves its amount
payout_id: the caller''s own, 1 to 200 characters; amount_micro: micro-units, left out, all that is
available; network, address: left out, the member''s destination; user_id: for operators; left out,
the caller''s own.
Errors: idempotency_conflict, member_suspended, amount is not positive, payout_below_minimum,
balance_insufficient, invalid destination, unauthenticated, not_yours, unknown_member.
Example: POST /rpc/request_payout {"payout_id": "w-1", "amount_micro": 25000000}';

CREATE FUNCTION referral_api.list_payouts(max_rows integer DEFAULT NULL,
                                          skip integer DEFAULT NULL,
                                          user_id text DEFAULT NULL)
    RETURNS SETOF referral.payout_row
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(list_payouts.user_id);
BEGIN
    RETURN QUERY SELECT * FROM referral.list_payouts(
        subject.user_id, referral.page_rows(list_payouts.max_rows), list_payouts.skip,
        subject.program_id);
END
$$;
COMMENT ON FUNCTION referral_api.list_payouts(integer, integer, text) IS
'Payouts of a member, newest first
max_rows: 50, at most 200; skip: rows passed over first; user_id: for operators; left out, the
caller''s own. Amounts are in micro-units.
Errors: unauthenticated, not_yours, not_a_member_yet.
Example: POST /rpc/list_payouts {"max_rows": 20}';

CREATE FUNCTION referral_api.statement(at timestamptz DEFAULT NULL, user_id text DEFAULT NULL)
    RETURNS referral.statement_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT referral.principal := referral.acting_for(statement.user_id);
    result referral.statement_row;
BEGIN
    PERFORM referral.known_member(subject.program_id, subject.user_id);
    SELECT * INTO result
      FROM referral.statement(subject.user_id, referral.plain_time(statement.at),
                              subject.program_id);
    RETURN result;
END
$$;
COMMENT ON FUNCTION referral_api.statement(timestamptz, text) IS
'Balance of a member as recorded at an instant, and what it was made of
One object, amounts in micro-units. at: an instant, left out, now; user_id: for operators; left
out, the caller''s own. Reads the member''s whole history.
Errors: unauthenticated, not_yours, unknown_member, not_a_member_yet, invalid at.
Example: POST /rpc/statement {"at": "2026-01-31T23:59:59Z"}';

CREATE FUNCTION referral_api.payout_cancel(payout_id text)
    RETURNS referral.payout_row LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller record;
BEGIN
    IF referral.is_operator() THEN
        RETURN referral.payout_cancel(payout_cancel.payout_id, referral.caller_program());
    END IF;
    -- Once it is processing, money may be on its way.
    caller := referral.caller();
    RETURN referral.move_payout(caller.program_id, payout_cancel.payout_id, '{requested}',
                                'cancelled', NULL, NULL, caller.user_id);
END
$$;
COMMENT ON FUNCTION referral_api.payout_cancel(text) IS
'Takes back a payout: what it had reserved is available again
payout_id: of a member, his own and only while it is requested; of an operator, anybody''s until it
is sent. Repeating it changes nothing.
Errors: unknown_payout, payout_not_actionable, unauthenticated.
Example: POST /rpc/payout_cancel {"payout_id": "w-1"}';

-- For operators.

CREATE FUNCTION referral_api.enroll(user_id text, display_name text DEFAULT NULL,
                                    image_url text DEFAULT NULL)
    RETURNS text LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.enroll(enroll.user_id, enroll.display_name, enroll.image_url,
                           referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.enroll(text, text, text) IS
'Makes a user a member and returns his primary code
Repeating it changes nothing. user_id: 1 to 200 characters; display_name: at most 200; image_url:
at most 2000; null leaves either as it is.
Errors: invalid user_id, invalid display_name, invalid image_url.
Example: POST /rpc/enroll {"user_id": "u42", "display_name": "Ada"}';

CREATE FUNCTION referral_api.set_tier(user_id text, tier integer, note text DEFAULT NULL,
                                      actor text DEFAULT NULL)
    RETURNS referral.tier_change LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.set_tier(set_tier.user_id, set_tier.tier, set_tier.note,
                                    coalesce(set_tier.actor, (referral.caller()).user_id),
                                    referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.set_tier(text, integer, text, text) IS
'Pins a member to a tier, for future rewards only
tier: null gives it back to the rules; note: why, actor: who (left out, the caller), for the audit.
Errors: unauthenticated, unknown_member, invalid_tier.
Example: POST /rpc/set_tier {"user_id": "u42", "tier": 3, "note": "contract 17"}';

CREATE FUNCTION referral_api.suspend(user_id text, note text DEFAULT NULL, actor text DEFAULT NULL)
    RETURNS referral.suspension LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.suspend(suspend.user_id, suspend.note,
                                   coalesce(suspend.actor, (referral.caller()).user_id),
                                   referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.suspend(text, text, text) IS
'Suspends a member: his codes attribute nobody, and he earns nothing more
note: why, actor: who (left out, the caller), for the audit. Repeating it gives the same answer.
Errors: unauthenticated, unknown_member.
Example: POST /rpc/suspend {"user_id": "u42", "note": "chargebacks"}';

CREATE FUNCTION referral_api.reinstate(user_id text, note text DEFAULT NULL,
                                       actor text DEFAULT NULL)
    RETURNS referral.suspension LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.reinstate(reinstate.user_id, reinstate.note,
                                     coalesce(reinstate.actor, (referral.caller()).user_id),
                                     referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.reinstate(text, text, text) IS
'Ends a member''s suspension
note: why, actor: who (left out, the caller), for the audit. Repeating it gives the same answer.
Errors: unauthenticated, unknown_member.
Example: POST /rpc/reinstate {"user_id": "u42"}';

CREATE FUNCTION referral_api.record_payment(payment_id text, user_id text, amount_micro bigint,
                                            base_micro bigint DEFAULT NULL,
                                            kind text DEFAULT 'purchase',
                                            occurred_at timestamptz DEFAULT NULL)
    RETURNS referral.payment_receipt LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.record_payment(
        record_payment.payment_id, record_payment.user_id, record_payment.amount_micro,
        record_payment.base_micro, record_payment.kind,
        referral.plain_time(record_payment.occurred_at),
        referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.record_payment(text, text, bigint, bigint, text, timestamptz) IS
'Records a payment once, however often it is sent, and returns what it earned
payment_id: the caller''s own, 1 to 200 characters; amount_micro: volume in micro-units;
base_micro: what commission is computed on, null = the amount; kind: "deposit" earns nothing;
occurred_at: left out, now, or when it is repeated, as recorded.
Errors: idempotency_conflict, invalid at, and what referral.payment refuses.
Example: POST /rpc/record_payment {"payment_id": "p1", "user_id": "u43", "amount_micro": 2000000}';

CREATE FUNCTION referral_api.record_refund(refund_id text, payment_id text, amount_micro bigint,
                                           reason text DEFAULT NULL,
                                           occurred_at timestamptz DEFAULT NULL)
    RETURNS referral.refund_receipt LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.record_refund(
        record_refund.refund_id, record_refund.payment_id, record_refund.amount_micro,
        record_refund.reason, referral.plain_time(record_refund.occurred_at),
        referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.record_refund(text, text, bigint, text, timestamptz) IS
'Records a refund once, however often it is sent, and returns what it took back
refund_id: the caller''s own, 1 to 200 characters; payment_id: what is refunded; where it is not
known yet, the refund waits for it; amount_micro: micro-units of the payment''s base; reason: at
most 1000 characters; occurred_at: left out, now, or when it is repeated, as recorded.
Errors: idempotency_conflict, invalid at, and what referral.refund refuses.
Example: POST /rpc/record_refund {"refund_id": "c1", "payment_id": "p1", "amount_micro": 500000}';

CREATE FUNCTION referral_api.spend(user_id text, amount_micro bigint, spend_id text,
                                   note text DEFAULT NULL)
    RETURNS referral.spend_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.spend(spend.user_id, spend.amount_micro, spend.spend_id, spend.note,
                                 referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.spend(text, bigint, text, text) IS
'Spends a part of a member''s available balance once, however often it is sent
amount_micro: micro-units; spend_id: the caller''s own, 1 to 200 characters; note: what for.
Errors: unknown_member, idempotency_conflict, member_suspended, amount is not positive,
balance_insufficient.
Example: POST /rpc/spend {"user_id": "u42", "amount_micro": 2000000, "spend_id": "order-7"}';

CREATE FUNCTION referral_api.unspend(spend_id text)
    RETURNS referral.spend_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.unspend(unspend.spend_id, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.unspend(text) IS
'Undoes a spend, whole
spend_id: as it was spent under. Repeating it changes nothing.
Errors: unknown_spend.
Example: POST /rpc/unspend {"spend_id": "order-7"}';

CREATE FUNCTION referral_api.set_payout_destination(user_id text, network text, address text)
    RETURNS referral.payout_destination_row
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.set_payout_destination(
        set_payout_destination.user_id, set_payout_destination.network,
        set_payout_destination.address, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.set_payout_destination(text, text, text) IS
'Says where a member wants later payouts sent that name no destination
network: 1 to 100 characters; address: on it, 1 to 500; both null: none any more. user_id: whose.
Errors: unknown_member, invalid destination, invalid network, invalid address.
Example: POST /rpc/set_payout_destination {"user_id": "u42", "network": "sepa", "address": "DE02"}';

CREATE FUNCTION referral_api.payout_processing(payout_id text)
    RETURNS referral.payout_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.payout_processing(payout_processing.payout_id,
                                             referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.payout_processing(text) IS
'Says that a requested payout is being paid: the member can no longer cancel it
payout_id: as it was requested. Repeating it changes nothing.
Errors: unknown_payout, payout_not_actionable.
Example: POST /rpc/payout_processing {"payout_id": "w-1"}';

CREATE FUNCTION referral_api.payout_sent(payout_id text, reference text DEFAULT NULL)
    RETURNS referral.payout_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.payout_sent(payout_sent.payout_id, payout_sent.reference,
                                       referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.payout_sent(text, text) IS
'Says that a payout was paid
payout_id: as it was requested; reference: of the transfer. Repeating it with the same reference
changes nothing.
Errors: unknown_payout, payout_not_actionable, invalid reference.
Example: POST /rpc/payout_sent {"payout_id": "w-1", "reference": "tx-81f3"}';

CREATE FUNCTION referral_api.payout_failed(payout_id text, reason text DEFAULT NULL)
    RETURNS referral.payout_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.payout_failed(payout_failed.payout_id, payout_failed.reason,
                                         referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.payout_failed(text, text) IS
'Says that a payout could not be paid: what it had reserved is available again
payout_id: as it was requested; reason: why, which the member reads. Repeating it with the same
reason changes nothing.
Errors: unknown_payout, payout_not_actionable, invalid reason.
Example: POST /rpc/payout_failed {"payout_id": "w-1", "reason": "account closed"}';

CREATE FUNCTION referral_api.payout_batch(batch_id text, min_micro bigint DEFAULT NULL)
    RETURNS SETOF referral.payout_row
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.payout_batch(payout_batch.batch_id, payout_batch.min_micro,
                                        referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.payout_batch(text, bigint) IS
'Requests all that is available for every member who is due, once for each batch
batch_id: the caller''s own, 1 to 100 characters; known, it gives the same payouts as they stand
now; min_micro: least amount in micro-units, never less than the program''s minimum.
Errors: idempotency_conflict, invalid batch_id.
Example: POST /rpc/payout_batch {"batch_id": "2026-02", "min_micro": 10000000}';

CREATE FUNCTION referral_api.adjust(user_id text, adjustment_id text, amount_micro bigint,
                                    note text, actor text DEFAULT NULL)
    RETURNS referral.adjustment_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.adjust(adjust.user_id, adjust.adjustment_id, adjust.amount_micro,
                                  adjust.note,
                                  coalesce(adjust.actor, (referral.caller()).user_id),
                                  referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.adjust(text, text, bigint, text, text) IS
'Corrects a member''s balance once, however often it is sent; it may fall below zero
adjustment_id: the caller''s own, 1 to 200 characters; amount_micro: micro-units, negative to take
off; note: why, actor: who (left out, the caller), for the audit. user_id: whose.
Errors: unknown_member, idempotency_conflict, amount is zero, invalid note, unauthenticated.
Example: POST /rpc/adjust {"user_id": "u1", "adjustment_id": "j1", "amount_micro": 5, "note": "x"}';

CREATE FUNCTION referral_api.claim_grants(max integer DEFAULT NULL)
    RETURNS SETOF referral.grant_row
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.claim_grants(referral.page_rows(claim_grants.max),
                                        referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.claim_grants(integer) IS
'Hands out available rewards that were not granted yet, oldest first, to this caller alone
max: 100, at most 200. Grant each in the other system under its grant_key, then confirm or fail it.
Example: POST /rpc/claim_grants {"max": 10}';

CREATE FUNCTION referral_api.confirm_grant(grant_key text)
    RETURNS referral.grant_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.confirm_grant(confirm_grant.grant_key, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.confirm_grant(text) IS
'Says that a reward was granted in the other system
grant_key: of claim_grants. Repeating it changes nothing.
Errors: unknown_grant.
Example: POST /rpc/confirm_grant {"grant_key": "1-16"}';

CREATE FUNCTION referral_api.fail_grant(grant_key text, error text)
    RETURNS referral.grant_row LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.fail_grant(fail_grant.grant_key, fail_grant.error,
                                      referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.fail_grant(text, text) IS
'Says that a reward could not be granted in the other system
grant_key: of claim_grants; error: why. recover_grants lets it be tried again.
Errors: unknown_grant, grant_confirmed.
Example: POST /rpc/fail_grant {"grant_key": "1-16", "error": "timeout"}';

CREATE FUNCTION referral_api.recover_grants(max integer DEFAULT NULL)
    RETURNS referral.recovery LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.recover_grants(referral.page_rows(recover_grants.max),
                                          referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.recover_grants(integer) IS
'Opens grants again that failed, or that a lost caller had claimed
max: 100, at most 200.
Example: POST /rpc/recover_grants {}';

CREATE FUNCTION referral_api.explain_reward(id bigint)
    RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.explain_reward(explain_reward.id, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.explain_reward(bigint) IS
'How a reward came to be: payment, rules considered, the one chosen, rounding, hold
id: of list_rewards; null for an unknown one.
Example: GET /rpc/explain_reward?id=17';

CREATE FUNCTION referral_api.explain_payment(payment_id text)
    RETURNS jsonb LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT referral.explain_payment(explain_payment.payment_id, referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.explain_payment(text) IS
'What a payment earned whom, or why it earned nothing
payment_id: as the application named it; null for an unknown one.
Example: POST /rpc/explain_payment {"payment_id": "inv-1"}';

CREATE FUNCTION referral_api.verify()
    RETURNS SETOF referral.broken_invariant
    LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM referral.verify(referral.caller_program())
$$;
COMMENT ON FUNCTION referral_api.verify() IS
'Where the books of the program contradict themselves; no row = they are sound
Reads the whole ledger.
Example: GET /rpc/verify';
