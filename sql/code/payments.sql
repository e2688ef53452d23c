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

CREATE FUNCTION referral.count_downline(program_id bigint, member_ids bigint[], levels integer[], members bigint[])
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'referral_count_downline';
COMMENT ON FUNCTION referral.count_downline(bigint, bigint[], integer[], bigint[]) IS
'Adds members[i] to what member_ids[i] has below him on levels[i]; waits for nobody. For attribute().';
