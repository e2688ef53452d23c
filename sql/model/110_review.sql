-- Which attributions are held until an operator decides, and what he decided.

CREATE TABLE referral.review_rule (
    program_id   bigint NOT NULL REFERENCES referral.program,
    rule         text COLLATE "C" NOT NULL CHECK (rule IN ('same_ip', 'velocity', 'campaign')),
    campaign_id  bigint NOT NULL DEFAULT 0,     -- of rule campaign
    max_per_hour integer CHECK (max_per_hour >= 0),     -- of rule velocity, per referrer
    enabled      boolean NOT NULL DEFAULT true,
    campaign_key bigint GENERATED ALWAYS AS (nullif(campaign_id, 0)) STORED,
    valid_from   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program_id, rule, campaign_id),
    FOREIGN KEY (program_id, campaign_key) REFERENCES referral.campaign,
    CHECK (CASE WHEN rule = 'campaign' THEN campaign_id > 0 ELSE campaign_id = 0 END),
    CHECK ((rule = 'velocity') = (max_per_hour IS NOT NULL))
);
COMMENT ON TABLE referral.review_rule IS 'Which attributions are held for review';

-- One row per attribution that was held, decided once and kept for ever.
CREATE TABLE referral.attribution_review (
    program_id     bigint NOT NULL,
    attribution_id bigint NOT NULL,
    rules          text[] NOT NULL,     -- of review_rule, that held it
    held_at        timestamptz NOT NULL DEFAULT now(),
    decision       text CHECK (decision IN ('approved', 'rejected')),
    actor          text CHECK (length(actor) BETWEEN 1 AND 200),
    reason         text CHECK (length(reason) <= 2000),
    decided_at     timestamptz,
    PRIMARY KEY (program_id, attribution_id),
    FOREIGN KEY (program_id, attribution_id)
        REFERENCES referral.attribution (program_id, attribution_id),
    CHECK ((decision IS NULL) = (decided_at IS NULL) AND (decision IS NULL) = (actor IS NULL))
);
COMMENT ON TABLE referral.attribution_review IS 'Attributions that were held for review: by which rules, who decided what and why';
