-- Counters. Each key may have many parts; its value is their sum. A credit
-- goes to a part that nobody else holds, so no payment waits for another.
-- Autovacuum runs early on them: an update leaves a dead version behind. Half a
-- page stays free where one statement may touch every row, so that the new
-- versions stay beside the old ones and no index entry is made.

CREATE SEQUENCE referral.part_seq;

-- What a member earned, and what was paid below him, per level and day.
CREATE TABLE referral.earning (
    program_id     bigint NOT NULL,
    member_id      bigint NOT NULL,
    available_at   timestamptz NOT NULL,
    earned_on      date NOT NULL,       -- occurred_at's day in the program's zone
    level          smallint NOT NULL,
    part           bigint NOT NULL,
    amount_micro   bigint NOT NULL,
    volume_micro   bigint NOT NULL,     -- of payments that are no deposits
    deposits_micro bigint NOT NULL,
    rewards        bigint NOT NULL,     -- reward rows behind amount_micro
    PRIMARY KEY (program_id, member_id, available_at, earned_on, level, part)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.earning IS 'Counter: earnings and volume per member, instant, day and level';

-- What a member himself paid since he was attributed.
CREATE TABLE referral.paid (
    program_id       bigint NOT NULL,
    member_id        bigint NOT NULL,
    part             bigint NOT NULL,
    volume_micro     bigint NOT NULL,
    deposits_micro   bigint NOT NULL,
    payments         bigint NOT NULL,   -- those behind volume_micro
    earning_payments bigint NOT NULL,   -- those that could earn (rate.max_payments)
    PRIMARY KEY (program_id, member_id, part)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.paid IS 'Counter: payments of an attributed member';

-- Qualified invitees of a referrer, by the month of their first payment.
CREATE TABLE referral.invited (
    program_id    bigint NOT NULL,
    member_id     bigint NOT NULL,
    month         date NOT NULL,
    part          bigint NOT NULL,
    paid_invitees bigint NOT NULL,
    PRIMARY KEY (program_id, member_id, month, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.invited IS 'Counter: paid invitees per referrer and month';

-- Uses of a code that could not be added to code.used without waiting.
CREATE TABLE referral.code_use (
    program_id bigint NOT NULL,
    code_id    bigint NOT NULL,
    part       bigint NOT NULL,
    used       bigint NOT NULL,
    PRIMARY KEY (program_id, code_id, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.code_use IS 'Counter: uses of a code beyond code.used';

-- Rewards granted under a campaign; campaign.budget_micro bounds their sum.
CREATE TABLE referral.campaign_spent (
    program_id   bigint NOT NULL,
    campaign_id  bigint NOT NULL,
    part         bigint NOT NULL,
    amount_micro bigint NOT NULL,
    PRIMARY KEY (program_id, campaign_id, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.campaign_spent IS 'Counter: reward amounts per campaign';

-- Members below a member, per level 1..10, whatever max_level is today.
CREATE TABLE referral.downline (
    program_id bigint NOT NULL,
    member_id  bigint NOT NULL,
    level      smallint NOT NULL,
    part       bigint NOT NULL,
    members    bigint NOT NULL,
    PRIMARY KEY (program_id, member_id, level, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.downline IS 'Counter: members below a member, per level';
