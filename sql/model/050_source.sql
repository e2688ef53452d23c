-- Payments tables of the application that feed referral.payment.

CREATE SEQUENCE referral.source_id_seq;
CREATE TABLE referral.source (
    program_id   bigint NOT NULL REFERENCES referral.program,
    source_id    bigint NOT NULL DEFAULT nextval('referral.source_id_seq'),
    relation     regclass NOT NULL,
    user_column        name NOT NULL,
    amount_column      name NOT NULL,
    payment_id_column  name NOT NULL,
    unit_micro   bigint NOT NULL CHECK (unit_micro >= 1),
    base_column        name,
    kind_column        name,
    occurred_at_column name,
    paid_when_column   name,
    refunded_column    name,
    id_prefix    text NOT NULL CHECK (length(id_prefix) <= 100),
    -- the columns' numbers, valid in the relation of this oid: how a column is
    -- found again that was renamed. A restored dump has other oids and numbers.
    numbered_in    oid NOT NULL DEFAULT 0,
    column_numbers smallint[] NOT NULL DEFAULT '{}',
    attached_at  timestamptz NOT NULL DEFAULT now(),
    attached_by  text NOT NULL DEFAULT current_user,
    PRIMARY KEY (program_id, source_id),
    UNIQUE (program_id, relation)
);
ALTER SEQUENCE referral.source_id_seq OWNED BY referral.source.source_id;
COMMENT ON TABLE referral.source IS 'Attached payments tables and what their columns mean';

-- One row per statement that had such rows; the count is their sum.
CREATE SEQUENCE referral.source_skipped_id_seq;
CREATE TABLE referral.source_skipped (
    program_id bigint NOT NULL,
    skipped_id bigint NOT NULL DEFAULT nextval('referral.source_skipped_id_seq'),
    source_id  bigint NOT NULL,
    incomplete bigint NOT NULL,     -- no user, amount or payment id
    known      bigint NOT NULL,     -- inserted with the id of a payment that was there
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, source_id, skipped_id)
);
ALTER SEQUENCE referral.source_skipped_id_seq OWNED BY referral.source_skipped.skipped_id;
COMMENT ON TABLE referral.source_skipped IS 'Counter: rows of attached tables that made no payment';

-- What the long-running procedures have done so far; written per batch.
CREATE SEQUENCE referral.progress_id_seq;
CREATE TABLE referral.progress (
    program_id  bigint NOT NULL,
    progress_id bigint NOT NULL DEFAULT nextval('referral.progress_id_seq'),
    task        text NOT NULL,
    subject     text NOT NULL,
    done        bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    total       bigint,
    position    jsonb,              -- how far, in the terms of the task
    pid         integer NOT NULL DEFAULT pg_backend_pid(),
    started_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (program_id, progress_id)
);
ALTER SEQUENCE referral.progress_id_seq OWNED BY referral.progress.progress_id;
COMMENT ON TABLE referral.progress IS 'Long work and how far it came';

-- Roles and logins that grant_api() named; install() repeats their grants.
CREATE TABLE referral.api_grant (
    part      text NOT NULL CHECK (part IN ('anon', 'member', 'operator', 'login')),
    role_name name NOT NULL
);
COMMENT ON TABLE referral.api_grant IS 'Roles that grant_api() named';
