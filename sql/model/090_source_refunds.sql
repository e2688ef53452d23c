-- Refunds from attached tables: a column of a payments table that says what was
-- given back so far (source.refunded_column), or a table of its own, whose row
-- here names a refund id and no user.

ALTER TABLE referral.source
    ALTER user_column DROP NOT NULL,
    ADD refund_id_column name,
    ADD reason_column    name,
    ADD CONSTRAINT source_check CHECK ((user_column IS NULL) = (refund_id_column IS NOT NULL));
COMMENT ON TABLE referral.source IS
    'Attached tables of payments and of refunds, and what their columns mean';

ALTER TABLE referral.source_skipped
    ADD decreased bigint NOT NULL DEFAULT 0;    -- what was given back became less
COMMENT ON TABLE referral.source_skipped IS
    'Counter: rows of attached tables that made no payment or refund';
