-- Ours: the extension as it is installed.

CREATE EXTENSION referral;
CALL referral.install();

INSERT INTO referral.program (name, max_level, hold_days) VALUES ('Bench', 3, 14);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (1, 1, 'Bronze', 0), (1, 2, 'Silver', 3), (1, 3, 'Gold', 50);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (1, 0, 1, 1000), (1, 2, 1, 1250), (1, 3, 1, 1500), (1, 0, 2, 400), (1, 0, 3, 100);

\ir referral.people.sql

CALL bench.pay_in_batches('referral');
