-- Accounts and settlement, by C: which rewards spends and payouts used up.

CREATE FUNCTION referral.account_available(program_id bigint, member_id bigint) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_account_available';
COMMENT ON FUNCTION referral.account_available(bigint, bigint) IS
'Locks the member''s account to the end of the transaction and returns his available balance in micro-units: exact, at any isolation level; below zero when he owes.
Errors: 23503 no such account.';

CREATE FUNCTION referral.settle(program_id bigint, member_id bigint, kind text, settler_no bigint,
                                amount_micro bigint)
    RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_settle';
COMMENT ON FUNCTION referral.settle(bigint, bigint, text, bigint, bigint) IS
'Lays what the member owes, then amount_micro of a spend or payout, on his available rewards, oldest first. The caller has written the sums of table account before. Locks the account.
kind: ''spent'' or ''paid_out''; settler_no: spend_no or payout_no; amount_micro: 0 = only what is owed.
Errors: 22003 negative amount, 22023 another kind, 23503 no such account.';

CREATE FUNCTION referral.unsettle(program_id bigint, member_id bigint, settler_no bigint)
    RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'referral_unsettle';
COMMENT ON FUNCTION referral.unsettle(bigint, bigint, bigint) IS
'Takes all that a spend settled away, then lays what the member owes on what is open. The caller has lowered account.spent_micro before. Locks the account.
settler_no: spend_no.
Errors: 23503 no such account.';
