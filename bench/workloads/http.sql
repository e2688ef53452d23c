-- A program of its own whose ledger holds 1,000,000 rewards of the year 2025, in
-- two trees of one shape: below 'month' and below 'year' are 100 members, below
-- each of them 10, and below each of those 10. Of what they pay either earns
-- 180,000 rewards on three levels: month on 30 days, year on every day.

INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (3, 'http', 3, 14);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (3, 1, 'Bronze', 0), (3, 2, 'Silver', 3), (3, 3, 'Gold', 50);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (3, 0, 1, 1000), (3, 2, 1, 1250), (3, 3, 1, 1500), (3, 0, 2, 400), (3, 0, 3, 100);

CREATE TEMP TABLE person AS
SELECT tree, n, tree + n AS member_id,
       tree + CASE WHEN n > 100 THEN (n - 1) / 10 - 9 ELSE 0 END AS referrer_id
FROM (VALUES (3000000, 'month'), (4000000, 'year')) top (tree, name), generate_series(1, 11100) n;
INSERT INTO referral.member (program_id, member_id, user_id, display_name, invitees)
VALUES (3, 3000000, 'month', 'Month', NULL), (3, 4000000, 'year', 'Year', NULL);
INSERT INTO referral.member (program_id, member_id, user_id, display_name, referrer_id, tier,
                             invitees)
SELECT 3, member_id, member_id, 'User ' || member_id, referrer_id, 1,
       CASE WHEN n <= 1100 THEN 10 ELSE 0 END
FROM person;
INSERT INTO referral.account SELECT 3, m.member_id FROM referral.member m WHERE m.program_id = 3;
INSERT INTO referral.code (program_id, code_id, user_id, code)
SELECT 3, m.member_id, m.user_id, 'H' || m.member_id FROM referral.member m WHERE m.program_id = 3;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
SELECT 3, member_id, member_id, referrer_id, referrer_id, '2025-01-01', member_id FROM person;
ANALYZE;
SET client_min_messages = warning;
CALL referral.rebuild(3);

-- In each tree 10,000 payments of the first level, 20,000 of the second and
-- 150,000 of the third: 10,000 + 2 * 20,000 + 3 * 150,000 rewards.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 3, 'h' || tree + n,
       tree + CASE WHEN n <= 10000 THEN 1 + n % 100
                   WHEN n <= 30000 THEN 101 + n % 1000
                   ELSE 1101 + n % 10000 END,
       1000000 + n,
       timestamptz '2025-01-01 12:00+00' + n % days * interval '1 day'
FROM (VALUES (3000000, 30), (4000000, 365)) top (tree, days), generate_series(1, 180000) n;
CALL referral.maintain(3);

\ir ../../test/include/roles.sql
SELECT FROM referral.grant_api(anon => 'web_anon', member => 'web_member',
                               operator => 'web_operator', login => 'authenticator');

-- What a request costs that asks for nothing.
CREATE FUNCTION referral_api.nothing() RETURNS json LANGUAGE sql AS $$ SELECT '{}'::json $$;
GRANT EXECUTE ON FUNCTION referral_api.nothing() TO web_member;
