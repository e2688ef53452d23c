-- Grants of rewards to an outside billing system: what the workers hold. The
-- engine makes the row with the reward where program.uses_grants.

CREATE TABLE referral.reward_grant (
    program_id   bigint NOT NULL,
    reward_id    bigint NOT NULL,
    available_at timestamptz NOT NULL,      -- the reward's
    state        text CHECK (state IN ('claimed', 'failed', 'confirmed', 'void')),  -- NULL = open
    attempts     integer,                   -- how often it was claimed
    claimed_at   timestamptz,
    claimed_by   jsonb,                     -- pid and start of the session that did; NULL over HTTP
    error        text,                      -- of the last attempt
    settled_at   timestamptz,               -- confirmed or void
    PRIMARY KEY (program_id, reward_id)
);
CREATE INDEX reward_grant_open ON referral.reward_grant (program_id, available_at, reward_id)
    WHERE state IS NULL;
CREATE INDEX reward_grant_held ON referral.reward_grant (program_id, reward_id)
    WHERE state IN ('claimed', 'failed');
COMMENT ON TABLE referral.reward_grant IS 'Rewards on their way to an outside billing system';

-- When the first reward that the attribution made was confirmed.
ALTER TABLE referral.attribution ADD granted_at timestamptz;
