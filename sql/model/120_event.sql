-- The outbox. A transaction leaves what happened in event_pending; next_events()
-- moves what has been committed to event, which numbers it: so nobody who reads
-- in the order of event_id misses what was committed late.

-- How long events are kept; NULL = there are none.
ALTER TABLE referral.program
    ADD event_days integer CHECK (event_days BETWEEN 1 AND 36500);

CREATE SEQUENCE referral.event_no_seq;
CREATE TABLE referral.event_pending (
    program_id   bigint NOT NULL,
    event_no     bigint NOT NULL DEFAULT nextval('referral.event_no_seq'),
    subject_id   bigint NOT NULL,   -- reward, attribution, payout_no or member (0 = all), by kind
    amount_micro bigint,            -- reward_reversed: what this refund took
    created_at   timestamptz NOT NULL,
    kind         text COLLATE "C" NOT NULL,     -- of event, or tier_check: his tier may have moved
    state        text,              -- what it moved to, where that is no other row's to tell
    PRIMARY KEY (program_id, event_no)
);
ALTER SEQUENCE referral.event_no_seq OWNED BY referral.event_pending.event_no;
COMMENT ON TABLE referral.event_pending IS 'What happened and was not numbered yet';

-- By which an event finds its payout.
CREATE UNIQUE INDEX payout_no_key ON referral.payout (program_id, payout_no);

CREATE SEQUENCE referral.event_id_seq;
CREATE TABLE referral.event (
    program_id bigint NOT NULL,
    event_id   bigint NOT NULL DEFAULT nextval('referral.event_id_seq'),
    kind       text NOT NULL,
    user_id    text COLLATE "C" NOT NULL,       -- whom it concerns
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, event_id)
);
ALTER SEQUENCE referral.event_id_seq OWNED BY referral.event.event_id;
COMMENT ON TABLE referral.event IS 'What happened, in the order in which workers read it';

-- Tiers are derived, and nobody sees two commits make one rise: the tier that
-- was told last is compared when events are numbered. No row: the lowest tier.
CREATE TABLE referral.event_tier (
    program_id bigint NOT NULL,
    member_id  bigint NOT NULL,
    tier       integer NOT NULL,
    PRIMARY KEY (program_id, member_id)
);
COMMENT ON TABLE referral.event_tier IS 'The tier of a member that events told last';
