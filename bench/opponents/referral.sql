-- Ours: the extension as it is installed.

CREATE EXTENSION referral;
CALL referral.install();

INSERT INTO referral.program (name, max_level, hold_days) VALUES ('Bench', 3, 14);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (1, 1, 'Bronze', 0), (1, 2, 'Silver', 3), (1, 3, 'Gold', 50);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (1, 0, 1, 1000), (1, 2, 1, 1250), (1, 3, 1, 1500), (1, 0, 2, 400), (1, 0, 3, 100);

INSERT INTO referral.member (program_id, member_id, user_id, referrer_id, tier, invitees)
SELECT 1, p.member_id, p.member_id, p.referrer_id, 1,
       CASE WHEN coalesce(i.invitees, 0) <= 64 THEN coalesce(i.invitees, 0) END
FROM bench.person p
LEFT JOIN (SELECT referrer_id, count(*) FROM bench.person GROUP BY 1) i (member_id, invitees)
     USING (member_id);
INSERT INTO referral.account SELECT 1, member_id FROM bench.person;
INSERT INTO referral.code (program_id, code_id, user_id, code)
SELECT 1, member_id, member_id, 'C' || member_id FROM bench.person;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
SELECT 1, member_id, member_id, referrer_id, referrer_id, '2026-01-01', member_id
FROM bench.person WHERE referrer_id IS NOT NULL;

CALL bench.pay_in_batches('referral');
