-- Members, their codes and who referred whom.
-- Outside ids are opaque: COLLATE "C" compares bytes, fast and the same on every machine.

CREATE SEQUENCE referral.member_id_seq;
CREATE TABLE referral.member (
    program_id   bigint NOT NULL REFERENCES referral.program,
    member_id    bigint NOT NULL DEFAULT nextval('referral.member_id_seq'),
    referrer_id  bigint,            -- the edge of the tree; never changes once set
    tier         integer NOT NULL DEFAULT 0,
    tier_pinned  boolean NOT NULL DEFAULT false,
    suspended_at timestamptz,
    invitees     smallint DEFAULT 0,    -- whom he referred; NULL when there are more than 64
    user_id      text COLLATE "C" NOT NULL CHECK (length(user_id) BETWEEN 1 AND 200),
    display_name text CHECK (length(display_name) <= 200),
    image_url    text CHECK (length(image_url) <= 2000),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, member_id),
    UNIQUE (program_id, user_id)
) WITH (fillfactor = 90);
ALTER SEQUENCE referral.member_id_seq OWNED BY referral.member.member_id;
COMMENT ON TABLE referral.member IS 'A user known to a program, and his place in the tree';

-- One row per member that is locked by whoever needs one of his sums exact at
-- an instant (a monthly cap). Credits never touch it.
CREATE TABLE referral.account (
    program_id bigint NOT NULL,
    member_id  bigint NOT NULL,
    PRIMARY KEY (program_id, member_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member
);
COMMENT ON TABLE referral.account IS 'The row that is locked where a member''s sum must be exact';

CREATE SEQUENCE referral.code_id_seq;
CREATE TABLE referral.code (
    program_id  bigint NOT NULL,
    code_id     bigint NOT NULL DEFAULT nextval('referral.code_id_seq'),
    user_id     text COLLATE "C" NOT NULL,
    code        text COLLATE "C" NOT NULL CHECK (code ~ '^[A-Za-z0-9_-]{1,64}$'),
    kind        text NOT NULL DEFAULT 'uid' CHECK (kind IN ('uid', 'custom', 'campaign')),
    campaign_id bigint NOT NULL DEFAULT 0 CHECK (campaign_id >= 0),
    cap         bigint CHECK (cap >= 0),
    used        bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    campaign_key bigint GENERATED ALWAYS AS (nullif(campaign_id, 0)) STORED,
    PRIMARY KEY (program_id, code_id),
    FOREIGN KEY (program_id, user_id) REFERENCES referral.member (program_id, user_id),
    FOREIGN KEY (program_id, campaign_key) REFERENCES referral.campaign,
    CHECK ((kind = 'campaign') = (campaign_id > 0))
) WITH (fillfactor = 80);
ALTER SEQUENCE referral.code_id_seq OWNED BY referral.code.code_id;
CREATE UNIQUE INDEX code_text_key ON referral.code (program_id, lower(code));
CREATE INDEX code_user ON referral.code (program_id, user_id);
CREATE UNIQUE INDEX code_one_uid ON referral.code (program_id, user_id) WHERE kind = 'uid';
CREATE UNIQUE INDEX code_one_slug ON referral.code (program_id, user_id)
    WHERE kind = 'custom' AND disabled_at IS NULL;
CREATE UNIQUE INDEX code_one_per_campaign ON referral.code (program_id, user_id, campaign_id)
    WHERE kind = 'campaign';
COMMENT ON TABLE referral.code IS 'What a member shares';

CREATE TABLE referral.click (
    program_id bigint NOT NULL,
    click_id   text COLLATE "C" NOT NULL CHECK (length(click_id) BETWEEN 1 AND 200),
    code_id    bigint NOT NULL,
    clicked_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(clicked_at)),
    PRIMARY KEY (program_id, click_id),
    FOREIGN KEY (program_id, code_id) REFERENCES referral.code
);
COMMENT ON TABLE referral.click IS 'A visit by way of a code';

-- Keyed by the user's id, so that a payment finds its payer, and whether there
-- is anything to do for him, with one descent.
CREATE SEQUENCE referral.attribution_id_seq;
CREATE TABLE referral.attribution (
    program_id     bigint NOT NULL,
    attribution_id bigint NOT NULL DEFAULT nextval('referral.attribution_id_seq'),
    member_id      bigint NOT NULL,
    referrer_id    bigint NOT NULL,
    code_id        bigint NOT NULL,
    campaign_id    bigint NOT NULL DEFAULT 0,
    attributed_at  timestamptz NOT NULL CHECK (isfinite(attributed_at)),
    qualified_at   timestamptz,     -- occurred_at of the first earning payment
    rewarded_at    timestamptz,     -- occurred_at of the first payment that made a reward
    decision       text CHECK (decision IN ('review_required', 'rejected', 'capped')),
    user_id        text COLLATE "C" NOT NULL,
    click_id       text COLLATE "C",
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, user_id),
    CONSTRAINT attribution_id_key UNIQUE (program_id, attribution_id),
    FOREIGN KEY (program_id, member_id) REFERENCES referral.member,
    FOREIGN KEY (program_id, referrer_id) REFERENCES referral.member,
    FOREIGN KEY (program_id, code_id) REFERENCES referral.code,
    CHECK (member_id <> referrer_id)
) WITH (fillfactor = 80);
ALTER SEQUENCE referral.attribution_id_seq OWNED BY referral.attribution.attribution_id;
CREATE INDEX attribution_referrer ON referral.attribution (program_id, referrer_id, attribution_id);
COMMENT ON TABLE referral.attribution IS 'Who referred whom, by which code, and what became of it';

CREATE SEQUENCE referral.member_audit_id_seq;
CREATE TABLE referral.member_audit (
    program_id bigint NOT NULL,
    audit_id   bigint NOT NULL DEFAULT nextval('referral.member_audit_id_seq'),
    member_id  bigint NOT NULL,
    action     text NOT NULL CHECK (action IN ('set_tier', 'suspend', 'reinstate')),
    detail     jsonb NOT NULL,
    note       text,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, audit_id)
);
ALTER SEQUENCE referral.member_audit_id_seq OWNED BY referral.member_audit.audit_id;
CREATE INDEX member_audit_member ON referral.member_audit (program_id, member_id, audit_id);
COMMENT ON TABLE referral.member_audit IS 'What operators did to a member: tier, suspension; who and why';
