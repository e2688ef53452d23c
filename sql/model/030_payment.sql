-- The intake, and the rewards that the engine makes of it.

-- taken_in says whether the engine saw the row: the statement trigger raises
-- the setting behind the default while one of its statements runs, so a row
-- written while the trigger was away carries false without anybody's doing.
-- The engine checks lengths and ranges, in every payment that it takes in:
-- PostgreSQL would parse CHECKs anew in each statement.
CREATE SEQUENCE referral.payment_no_seq;
CREATE TABLE referral.payment (
    program_id   bigint NOT NULL,
    payment_id   text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    amount_micro bigint NOT NULL,
    base_micro   bigint,
    kind         text NOT NULL DEFAULT 'purchase',
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    payment_no   bigint NOT NULL DEFAULT nextval('referral.payment_no_seq'),
    taken_in     boolean NOT NULL
                 DEFAULT coalesce(current_setting('referral.taking_in', true), '') = 'on',
    -- Which rules stood then explains what the payment earned, or why nothing.
    -- A volatile default, like the clock, would make COPY insert row by row.
    arrived_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (program_id, payment_id)
);
ALTER SEQUENCE referral.payment_no_seq OWNED BY referral.payment.payment_no;
-- A role that may insert a payment needs no right but that.
GRANT USAGE ON SEQUENCE referral.payment_no_seq TO PUBLIC;
CREATE INDEX payment_not_taken_in ON referral.payment (program_id, occurred_at, payment_no)
    WHERE NOT taken_in;
COMMENT ON TABLE referral.payment IS 'Payments as the application wrote them; append-only';

-- Payments of a payer whose attribution is in review.
CREATE TABLE referral.payment_waiting (
    program_id  bigint NOT NULL,
    member_id   bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    payment_no  bigint NOT NULL,
    payment_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, member_id, occurred_at, payment_no)
);
COMMENT ON TABLE referral.payment_waiting IS 'Payments that wait for the review of their payer''s attribution';

-- reward_id = payment_no * 16 + level: one index serves "once per payment and
-- level", "all of a payment" and the id that the outside sees.
CREATE TABLE referral.reward (
    program_id   bigint NOT NULL,
    reward_id    bigint NOT NULL,
    member_id    bigint NOT NULL,   -- beneficiary
    payer_id     bigint NOT NULL,
    base_micro   bigint NOT NULL,
    amount_micro bigint NOT NULL,
    flat_micro   bigint NOT NULL,
    available_at timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    rate_bps     integer NOT NULL,
    tier         integer NOT NULL,
    level        smallint NOT NULL,
    payment_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, reward_id)
);
CREATE INDEX reward_member ON referral.reward (program_id, member_id, reward_id)
    WITH (deduplicate_items = off);    -- no two entries are alike
COMMENT ON TABLE referral.reward IS 'Frozen for ever: what one payment earned one member on one level';

-- Why a payment of an attributed payer earned nothing at all.
CREATE TABLE referral.payment_unrewarded (
    program_id bigint NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    reason     text NOT NULL,
    PRIMARY KEY (program_id, payment_id)
);
COMMENT ON TABLE referral.payment_unrewarded IS 'Why a payment was refused its rewards where the books alone cannot tell';
