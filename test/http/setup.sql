-- What the HTTP tests run on: two programs, ada who referred bob who referred
-- cyn, 250 payments of bob's, a campaign whose sign-ups are reviewed, and a login that PostgREST has nothing to do with.

\ir ../include/web.sql
DROP ROLE IF EXISTS plain;
CREATE ROLE plain LOGIN;
GRANT web_member, web_operator TO plain;

INSERT INTO referral.program (program_id, name, max_level, hold_days, event_days)
VALUES (1, 'One', 2, 0, 30), (2, 'Two', 1, 0, NULL);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 1, 'Start', 0), (1, 2, 'Top', 5);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1500), (1, 2, 400);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (1, 1, 'Spring', now() - '1 day'::interval, now() + '10 days'::interval, 5);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 1);

SET referral.program_id = 1;
SELECT FROM referral.attribute('bob', referral.enroll('ada', 'Ada <b>'));
SELECT FROM referral.attribute('cyn', referral.enroll('bob', 'Bob'));
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'p' || n, 'bob', 1000000 * n FROM generate_series(1, 250) n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (1, 'c1', 'cyn', 2000);
