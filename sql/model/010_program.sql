-- Configuration: what an operator writes directly. valid_from is when the row
-- came to be as it stands; a trigger keeps it.

CREATE TABLE referral.program (
    program_id           bigint PRIMARY KEY,
    name                 text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    currency             text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z][A-Z0-9]{2,9}$'),
    hold_days            integer NOT NULL DEFAULT 30 CHECK (hold_days BETWEEN 0 AND 3650),
    time_zone            text NOT NULL DEFAULT 'UTC'
                         CHECK (timezone(time_zone, timestamptz 'epoch') IS NOT NULL),
    max_level            integer NOT NULL DEFAULT 1 CHECK (max_level BETWEEN 0 AND 10),
    attribution_days     integer NOT NULL DEFAULT 30 CHECK (attribution_days BETWEEN 1 AND 36500),
    qualify_days         integer CHECK (qualify_days BETWEEN 1 AND 36500),
    earning_days         integer CHECK (earning_days BETWEEN 1 AND 36500),
    referrer_monthly_cap integer CHECK (referrer_monthly_cap >= 0),
    payout_min_micro     bigint NOT NULL DEFAULT 0 CHECK (payout_min_micro >= 0),
    debt_policy          text NOT NULL DEFAULT 'unlimited'
                         CHECK (debt_policy IN ('unlimited', 'within_balance', 'only_pending')),
    auto_tier            boolean NOT NULL DEFAULT true,
    uses_grants          boolean NOT NULL DEFAULT false,
    active               boolean NOT NULL DEFAULT true,
    share_path           text NOT NULL DEFAULT '/r/'
                         CHECK (share_path ~ '^/[A-Za-z0-9/_-]{0,199}$'),
    valid_from           timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE referral.program IS 'One tenant''s referral programme';

CREATE TABLE referral.tier (
    program_id        bigint NOT NULL REFERENCES referral.program,
    tier              integer NOT NULL CHECK (tier >= 1),
    label             text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
    min_paid_invitees bigint NOT NULL DEFAULT 0 CHECK (min_paid_invitees >= 0),
    valid_from        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program_id, tier),
    UNIQUE (program_id, min_paid_invitees) DEFERRABLE
);
COMMENT ON TABLE referral.tier IS 'Steps of a programme that a referrer climbs by paid invitees';

CREATE TABLE referral.campaign (
    program_id           bigint NOT NULL REFERENCES referral.program,
    campaign_id          bigint NOT NULL CHECK (campaign_id >= 1),
    name                 text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    starts_at            timestamptz NOT NULL CHECK (isfinite(starts_at)),
    ends_at              timestamptz NOT NULL CHECK (isfinite(ends_at)),
    code_cap             bigint CHECK (code_cap >= 0),
    referrer_monthly_cap integer CHECK (referrer_monthly_cap >= 0),
    budget_micro         bigint CHECK (budget_micro >= 0),
    valid_from           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program_id, campaign_id),
    CHECK (starts_at < ends_at)
);
COMMENT ON TABLE referral.campaign IS 'A window with its own codes, caps, rates and budget';

-- tier_key and campaign_key are NULL where the rate is for every tier or
-- campaign, so that the foreign keys hold only where something is named.
CREATE TABLE referral.rate (
    program_id   bigint NOT NULL REFERENCES referral.program,
    campaign_id  bigint NOT NULL DEFAULT 0 CHECK (campaign_id >= 0),
    tier         integer NOT NULL DEFAULT 0 CHECK (tier >= 0),
    level        integer NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 10),
    rate_bps     integer NOT NULL DEFAULT 0 CHECK (rate_bps >= 0),
    flat_micro   bigint NOT NULL DEFAULT 0 CHECK (flat_micro >= 0),
    max_payments integer CHECK (max_payments >= 1),
    tier_key     integer GENERATED ALWAYS AS (nullif(tier, 0)) STORED,
    campaign_key bigint GENERATED ALWAYS AS (nullif(campaign_id, 0)) STORED,
    valid_from   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program_id, campaign_id, tier, level),
    FOREIGN KEY (program_id, tier_key) REFERENCES referral.tier,
    FOREIGN KEY (program_id, campaign_key) REFERENCES referral.campaign
);
COMMENT ON TABLE referral.rate IS 'Commission matrix: campaign x tier x level';

CREATE SEQUENCE referral.config_history_id_seq;
CREATE TABLE referral.config_history (
    program_id bigint NOT NULL,
    history_id bigint NOT NULL DEFAULT nextval('referral.config_history_id_seq'),
    relation   text NOT NULL,
    row_before jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (program_id, history_id)
);
ALTER SEQUENCE referral.config_history_id_seq OWNED BY referral.config_history.history_id;
COMMENT ON TABLE referral.config_history IS 'Former rows of program, tier, rate and campaign: from, to, who';
