-- Members {0} to {1}, ten for each of 10,000 referrers, who have paid nothing yet.
INSERT INTO referral.member (program_id, member_id, user_id, referrer_id, tier)
SELECT 1, n, n, 100000 + n % 10000, 1 FROM generate_series({0}, {1}) n;
UPDATE referral.member SET invitees = invitees + 10 WHERE member_id BETWEEN 100000 AND 109999;
INSERT INTO referral.account SELECT 1, n FROM generate_series({0}, {1}) n;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
SELECT 1, n, n, 100000 + n % 10000, 100000 + n % 10000, '2026-01-01', n
FROM generate_series({0}, {1}) n;
INSERT INTO plpgsql.member (program_id, member_id, user_id, referrer_id, tier)
SELECT 1, n, n, 100000 + n % 10000, 1 FROM generate_series({0}, {1}) n;
INSERT INTO plpgsql.attribution (program_id, member_id, referrer_id, code_id, attributed_at,
                                 user_id)
SELECT 1, n, 100000 + n % 10000, 100000 + n % 10000, '2026-01-01', n
FROM generate_series({0}, {1}) n;
