-- A program of its own whose ledger holds 1,000,000 rewards of the year 2025:
-- 'top' refers 100 members, each of them 10, and each of those 10. Of what they
-- pay top earns 360,000 rewards, on every day of the year and on every level.

INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (3, 'http', 3, 14);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (3, 1, 'Bronze', 0), (3, 2, 'Silver', 3), (3, 3, 'Gold', 50);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (3, 0, 1, 1000), (3, 2, 1, 1250), (3, 3, 1, 1500), (3, 0, 2, 400), (3, 0, 3, 100);

-- 3,000,000 is top, 3,000,001 ff. those below him, level by level.
CREATE TEMP TABLE person AS
SELECT 3000000 + n AS member_id, 3000000 + (n - 1) / CASE WHEN n <= 100 THEN 100 ELSE 10 END
       - CASE WHEN n <= 100 THEN 0 ELSE 9 END AS referrer_id, n
FROM generate_series(1, 11100) n;
INSERT INTO referral.member (program_id, member_id, user_id, display_name, invitees)
VALUES (3, 3000000, 'top', 'Top', NULL);
INSERT INTO referral.member (program_id, member_id, user_id, display_name, referrer_id, tier, invitees)
SELECT 3, member_id, 'u' || n, 'User ' || n, referrer_id, 1, CASE WHEN n <= 1100 THEN 10 ELSE 0 END
FROM person;
INSERT INTO referral.account SELECT 3, m.member_id FROM referral.member m WHERE m.program_id = 3;
INSERT INTO referral.code (program_id, code_id, user_id, code)
SELECT 3, m.member_id, m.user_id, 'H' || m.member_id FROM referral.member m WHERE m.program_id = 3;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
SELECT 3, member_id, member_id, referrer_id, referrer_id, '2025-01-01', 'u' || n FROM person;
ANALYZE;
SET client_min_messages = warning;
CALL referral.rebuild(3);

-- 20,000 payments of the first level, 40,000 of the second and 300,000 of the third.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 3, 'h' || n,
       'u' || CASE WHEN n <= 20000 THEN 1 + n % 100
                   WHEN n <= 60000 THEN 101 + n % 1000
                   ELSE 1101 + n % 10000 END,
       1000000 + n, timestamptz '2025-01-01 12:00+00' + n % 365 * interval '1 day'
FROM generate_series(1, 360000) n;
CALL referral.maintain(3);

CREATE ROLE web_anon;
CREATE ROLE web_member;
CREATE ROLE web_operator;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT web_anon, web_member, web_operator TO authenticator;
SELECT FROM referral.grant_api(anon => 'web_anon', member => 'web_member',
                               operator => 'web_operator', login => 'authenticator');

-- What a request costs that asks for nothing.
CREATE FUNCTION referral_api.nothing(bytea) RETURNS json LANGUAGE sql AS $$ SELECT '{}'::json $$;
GRANT EXECUTE ON FUNCTION referral_api.nothing(bytea) TO web_member;
