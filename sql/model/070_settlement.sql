-- Spends and payouts, and which rewards they used up.

-- The member's sums, exact under the lock of the row.
ALTER TABLE referral.account
    ADD spent_micro    bigint NOT NULL DEFAULT 0,
    ADD paid_out_micro bigint NOT NULL DEFAULT 0,
    ADD reserved_micro bigint NOT NULL DEFAULT 0,   -- by open payouts
    ADD adjusted_micro bigint NOT NULL DEFAULT 0,
    ADD open_from      bigint NOT NULL DEFAULT 0,   -- rewards below this id were closed, as far as seen
    ADD uncovered_micro bigint NOT NULL DEFAULT 0,  -- sum of his settlements under reward 0
    ADD CONSTRAINT account_check
        CHECK (spent_micro >= 0 AND paid_out_micro >= 0 AND reserved_micro >= 0);
ALTER TABLE referral.account SET (fillfactor = 80);

CREATE SEQUENCE referral.spend_no_seq;
CREATE TABLE referral.spend (
    program_id   bigint NOT NULL,
    spend_id     text COLLATE "C" NOT NULL CHECK (length(spend_id) BETWEEN 1 AND 200),
    spend_no     bigint NOT NULL DEFAULT nextval('referral.spend_no_seq'),
    member_id    bigint NOT NULL,
    amount_micro bigint NOT NULL CHECK (amount_micro > 0),
    note         text,
    spent_at     timestamptz NOT NULL DEFAULT now(),
    unspent_at   timestamptz,
    PRIMARY KEY (program_id, spend_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member
);
ALTER SEQUENCE referral.spend_no_seq OWNED BY referral.spend.spend_no;
CREATE INDEX spend_member ON referral.spend (program_id, member_id, spend_no);
COMMENT ON TABLE referral.spend IS 'What members spent of their balance inside the application';

CREATE TABLE referral.payout_destination (
    program_id bigint NOT NULL,
    member_id  bigint NOT NULL,
    network    text NOT NULL CHECK (length(network) BETWEEN 1 AND 100),
    address    text NOT NULL CHECK (length(address) BETWEEN 1 AND 500),
    set_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, member_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member
);
COMMENT ON TABLE referral.payout_destination IS 'Where a member wants his payouts sent';

CREATE TABLE referral.payout_batch (
    program_id bigint NOT NULL REFERENCES referral.program,
    batch_id   text COLLATE "C" NOT NULL CHECK (length(batch_id) BETWEEN 1 AND 100),
    min_micro  bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, batch_id)
);
COMMENT ON TABLE referral.payout_batch IS 'Runs of payout_batch(), each of which was made once';

CREATE SEQUENCE referral.payout_no_seq;
CREATE TABLE referral.payout (
    program_id    bigint NOT NULL,
    payout_id     text COLLATE "C" NOT NULL CHECK (length(payout_id) BETWEEN 1 AND 200),
    payout_no     bigint NOT NULL DEFAULT nextval('referral.payout_no_seq'),
    member_id     bigint NOT NULL,
    amount_micro  bigint NOT NULL CHECK (amount_micro > 0),
    network       text CHECK (length(network) BETWEEN 1 AND 100),
    address       text CHECK (length(address) BETWEEN 1 AND 500),
    status        text NOT NULL DEFAULT 'requested'
                  CHECK (status IN ('requested', 'processing', 'sent', 'failed', 'cancelled')),
    reference     text,             -- of the transfer, once sent
    note          text,             -- why it failed
    batch_id      text COLLATE "C",
    -- as asked for, so that a repeated request can be told from another one
    asked_micro   bigint,
    asked_network text,
    asked_address text,
    requested_at  timestamptz NOT NULL DEFAULT now(),
    processing_at timestamptz,
    completed_at  timestamptz,      -- sent, failed or cancelled
    PRIMARY KEY (program_id, payout_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member,
    FOREIGN KEY (program_id, batch_id) REFERENCES referral.payout_batch,
    CHECK ((completed_at IS NOT NULL) = (status IN ('sent', 'failed', 'cancelled')))
) WITH (fillfactor = 80);
ALTER SEQUENCE referral.payout_no_seq OWNED BY referral.payout.payout_no;
CREATE INDEX payout_member ON referral.payout (program_id, member_id, payout_no);
CREATE INDEX payout_of_batch ON referral.payout (program_id, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX payout_open ON referral.payout (program_id, payout_no)
    WHERE status IN ('requested', 'processing');
COMMENT ON TABLE referral.payout IS 'Payouts: requested, processing, then sent, failed or cancelled';

CREATE SEQUENCE referral.adjustment_no_seq;
CREATE TABLE referral.adjustment (
    program_id    bigint NOT NULL,
    adjustment_id text COLLATE "C" NOT NULL CHECK (length(adjustment_id) BETWEEN 1 AND 200),
    adjustment_no bigint NOT NULL DEFAULT nextval('referral.adjustment_no_seq'),
    member_id     bigint NOT NULL,
    amount_micro  bigint NOT NULL CHECK (amount_micro <> 0),
    note          text NOT NULL,
    actor         text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, adjustment_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member
);
ALTER SEQUENCE referral.adjustment_no_seq OWNED BY referral.adjustment.adjustment_no;
CREATE INDEX adjustment_member ON referral.adjustment (program_id, member_id, adjustment_no);
COMMENT ON TABLE referral.adjustment IS 'Corrections of balances: who, why, how much; append-only';

-- Which part of a spend or a sent payout used up which reward. What no reward
-- covers (money of adjustments, or what a refund took from a reward that had
-- been used up already) stands under reward 0 until one does; so the sum is
-- that of the spends and sent payouts, always.
CREATE SEQUENCE referral.settlement_no_seq;
CREATE TABLE referral.settlement (
    program_id    bigint NOT NULL,
    member_id     bigint NOT NULL,
    reward_id     bigint NOT NULL,          -- 0 = none
    settlement_no bigint NOT NULL,          -- in the order they were made
    amount_micro  bigint NOT NULL,
    settler_no    bigint NOT NULL,          -- spend.spend_no or payout.payout_no
    kind          text NOT NULL,            -- 'spent' or 'paid_out'
    PRIMARY KEY (program_id, member_id, reward_id, settlement_no)
);
ALTER SEQUENCE referral.settlement_no_seq OWNED BY referral.settlement.settlement_no;
COMMENT ON TABLE referral.settlement IS 'Which spend or payout used up which reward, and how much of it';

-- Rewards that are neither pending nor available any more, for the lists.
CREATE TABLE referral.reward_closed (
    program_id bigint NOT NULL,
    member_id  bigint NOT NULL,
    status     text COLLATE "C" NOT NULL,   -- 'reversed', 'spent' or 'paid_out'
    reward_id  bigint NOT NULL,
    PRIMARY KEY (program_id, member_id, status, reward_id)
);
COMMENT ON TABLE referral.reward_closed IS 'Rewards that are used up or reversed in full, and their status';
