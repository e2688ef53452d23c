-- Keys of machines, and what was done at a person's wish.

-- Of a key only the hash is kept.
CREATE SEQUENCE referral.api_key_id_seq;
CREATE TABLE referral.api_key (
    program_id bigint NOT NULL REFERENCES referral.program,
    key_id     bigint NOT NULL DEFAULT nextval('referral.api_key_id_seq'),
    hash       bytea NOT NULL,
    "right"    text NOT NULL CHECK ("right" IN ('client', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (program_id, key_id)
);
ALTER SEQUENCE referral.api_key_id_seq OWNED BY referral.api_key.key_id;
COMMENT ON TABLE referral.api_key IS 'Keys by which machines act for a program';

ALTER TABLE referral.member_audit
    DROP CONSTRAINT member_audit_action_check,
    ADD CONSTRAINT member_audit_action_check
        CHECK (action IN ('set_tier', 'suspend', 'reinstate', 'erase'));
