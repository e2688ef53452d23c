-- What was given back of payments. The reversal of a reward is no row of its
-- own: it follows from the reward, the payment's base and what was given back
-- in all, floor(amount x total / base), less what the debt policy let go.

CREATE SEQUENCE referral.refund_no_seq;
CREATE TABLE referral.refund (
    program_id   bigint NOT NULL,
    refund_id    text COLLATE "C" NOT NULL,
    payment_id   text COLLATE "C" NOT NULL,
    amount_micro bigint NOT NULL,           -- in units of the payment's base
    reason       text,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    refund_no    bigint NOT NULL DEFAULT nextval('referral.refund_no_seq'),
    taken_in     boolean NOT NULL           -- as payment.taken_in
                 DEFAULT coalesce(current_setting('referral.taking_in_refunds', true), '') = 'on',
    arrived_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (program_id, refund_id)
);
ALTER SEQUENCE referral.refund_no_seq OWNED BY referral.refund.refund_no;
GRANT USAGE ON SEQUENCE referral.refund_no_seq TO PUBLIC;
CREATE INDEX refund_not_taken_in ON referral.refund (program_id, refund_no) WHERE NOT taken_in;
COMMENT ON TABLE referral.refund IS 'Refunds as the application wrote them; append-only';

-- One row per refund that was applied to its payment. The last one of a payment
-- says how much of its base was given back in all.
CREATE TABLE referral.refund_applied (
    program_id  bigint NOT NULL,
    payment_no  bigint NOT NULL,
    total_micro bigint NOT NULL,            -- this refund and those before it
    refund_no   bigint NOT NULL,
    applied_at  timestamptz NOT NULL,
    refund_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, payment_no, total_micro)
);
COMMENT ON TABLE referral.refund_applied IS 'What was given back of a payment in all, refund by refund; append-only';

-- Refunds whose payment is not there yet, or waits for a review itself.
CREATE TABLE referral.refund_waiting (
    program_id   bigint NOT NULL,
    payment_id   text COLLATE "C" NOT NULL,
    refund_no    bigint NOT NULL,
    amount_micro bigint NOT NULL,
    refund_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, payment_id, refund_no)
);
COMMENT ON TABLE referral.refund_waiting IS 'Refunds that wait for their payment';

-- What a refund should have taken back from a reward but the debt policy let go.
CREATE TABLE referral.write_off (
    program_id   bigint NOT NULL,
    reward_id    bigint NOT NULL,
    total_micro  bigint NOT NULL,           -- of refund_applied
    amount_micro bigint NOT NULL,
    applied_at   timestamptz NOT NULL,
    PRIMARY KEY (program_id, reward_id, total_micro)
);
COMMENT ON TABLE referral.write_off IS 'What refunds let go of rewards, by the debt policy; append-only';

-- Reversals are counted on the reward's own instant and day.
ALTER TABLE referral.earning
    ADD reversed_micro bigint NOT NULL DEFAULT 0,
    ADD closed         bigint NOT NULL DEFAULT 0;   -- rewards that are in reward_closed
