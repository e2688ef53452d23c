-- Small programmes of their own whose members answer what the documentation of
-- each published contract shows as its example. test/http/examples.test.mjs
-- compares.

-- A code that the documentation prints, instead of the one that was drawn. A code
-- can only be replaced while it has referred nobody.
CREATE FUNCTION pg_temp.known_by(user_id text, code text, kind text DEFAULT 'uid') RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    drawn referral.code;
BEGIN
    DELETE FROM referral.code c
     WHERE c.program_id = referral.current_program() AND c.user_id = known_by.user_id
       AND c.kind = known_by.kind
    RETURNING * INTO STRICT drawn;
    INSERT INTO referral.code (program_id, user_id, code, kind, campaign_id, cap)
    VALUES (drawn.program_id, drawn.user_id, known_by.code, drawn.kind, drawn.campaign_id, drawn.cap);
END
$$;

-- A new member under another one.
CREATE FUNCTION pg_temp.join_under(user_id text, referrer text, display_name text DEFAULT NULL,
                                   image_url text DEFAULT NULL, at timestamptz DEFAULT now())
    RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM referral.enroll(join_under.user_id, join_under.display_name, join_under.image_url);
    PERFORM referral.attribute(join_under.user_id, c.code, at => join_under.at)
       FROM referral.code c
      WHERE c.program_id = referral.current_program() AND c.user_id = join_under.referrer
        AND c.kind = 'uid';
END
$$;

-- A rewards console: the member is in tier 2 at 15 %, has seven paying invitees,
-- and of the 87.50 he earned 4.50 are in their hold and 25.00 free.

INSERT INTO referral.program (name, payout_min_micro, auto_tier)
VALUES ('Contract triport', 1000000, false)
RETURNING program_id AS program \gset
SET referral.program_id = :program;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (:program, 1, 'Regular', 0), (:program, 2, 'Silver', 1000);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (:program, 1, 1, 1000), (:program, 2, 1, 1500);

SELECT FROM referral.enroll('3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 'Ada');
SELECT pg_temp.known_by('3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 'K7Q2M9XD');
SELECT FROM referral.set_tier('3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 2, 'partner contract', 'demo');
SELECT pg_temp.join_under('invitee-' || n, '3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 'Invitee ' || n,
                          at => now() - interval '70 days')
FROM generate_series(1, 6) n;
SELECT pg_temp.join_under('b2d94c60-51f3-4a4e-9d0b-7c6e2f1a8b35',
                          '3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 'Grace');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT :program, 'inv_' || 1000 + n, 'invitee-' || n,
       CASE n WHEN 6 THEN 53333334 ELSE 100000000 END, now() - interval '60 days'
FROM generate_series(1, 6) n
UNION ALL
SELECT :program, 'inv_1042', 'b2d94c60-51f3-4a4e-9d0b-7c6e2f1a8b35', 30000000, now();
SELECT referral.request_payout('3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', 'c0a80121-7ac0-4e1b-9f3d-5d5d6b0f4a77',
                               33000000, 'solana', '7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU');
SELECT referral.payout_sent('c0a80121-7ac0-4e1b-9f3d-5d5d6b0f4a77', '5UfDuX7hXbQn');
SELECT referral.request_payout('3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e', '9f1c0b7e-4d2a-4c8e-9b3f-1a2b3c4d5e6f',
                               25000000, 'solana', '7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU');

-- Somebody with means, for what changes something.
SELECT FROM referral.enroll('3f9b2c10-7d4e-4a1b-9c2a-1e5f8b6d0a44', 'Cleo');
SELECT pg_temp.join_under('invitee-of-cleo', '3f9b2c10-7d4e-4a1b-9c2a-1e5f8b6d0a44',
                          at => now() - interval '70 days');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (:program, 'inv_2001', 'invitee-of-cleo', 1000000000000, now() - interval '60 days');

-- A trading platform with three levels of 15, 4 and 1 % of its fee (base), which
-- is less than what is traded (amount).

INSERT INTO referral.program (name, currency, max_level, hold_days)
VALUES ('Contract intotes', 'RUB', 3, 0)
RETURNING program_id AS program \gset
SET referral.program_id = :program;
INSERT INTO referral.rate (program_id, level, rate_bps)
VALUES (:program, 1, 1500), (:program, 2, 400), (:program, 3, 100);

-- The documentation's numbers of members stay free.
SELECT setval('referral.member_id_seq', greatest(last_value, 310)) FROM referral.member_id_seq;
SELECT FROM referral.enroll('bob', 'Bob', 'https://cdn.intotes.com/avatars/10.jpg');
SELECT pg_temp.join_under('anna', 'bob', 'Anna');
SELECT pg_temp.known_by('anna', 'ABC123XY');
SELECT pg_temp.join_under('first-' || n, 'anna') FROM generate_series(1, 10) n;
SELECT pg_temp.join_under('second-' || n, 'first-' || n) FROM generate_series(1, 9) n;
SELECT pg_temp.join_under('third-' || n, 'second-' || n) FROM generate_series(1, 6) n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro)
SELECT :program, 'trade-1-' || n, 'first-' || n, 9500000000, 190000000
FROM generate_series(1, 10) n
UNION ALL
SELECT :program, 'trade-2-' || n, 'second-' || n,
       CASE n WHEN 9 THEN 2000000000 ELSE 5000000000 END, CASE n WHEN 9 THEN 35000000 ELSE 140000000 END
FROM generate_series(1, 9) n
UNION ALL
SELECT :program, 'trade-3-' || n, 'third-' || n,
       CASE n WHEN 6 THEN 4000000000 ELSE 3000000000 END, CASE n WHEN 6 THEN 130000000 ELSE 200000000 END
FROM generate_series(1, 6) n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind)
SELECT :program, 'deposit-' || n, 'first-' || n, 4800000000, 'deposit' FROM generate_series(1, 10) n;

-- Whose downline the documentation lists, with the numbers of its members.
SELECT last_value AS last_member FROM referral.member_id_seq \gset
SELECT FROM referral.enroll('boris', 'Boris');
SELECT setval('referral.member_id_seq', 101, false);
SELECT pg_temp.join_under('jane', 'boris', 'trader_jane', 'https://cdn.intotes.com/avatars/101.jpg',
                          '2025-09-01T12:00:00Z');
SELECT setval('referral.member_id_seq', 205, false);
SELECT pg_temp.join_under('mike', 'boris', 'crypto_mike', 'https://cdn.intotes.com/avatars/205.jpg',
                          '2025-09-15T08:30:00Z');
SELECT setval('referral.member_id_seq', 310, false);
SELECT pg_temp.join_under('king', 'jane', 'betking99', NULL, '2025-10-02T16:45:00Z');
SELECT setval('referral.member_id_seq', :last_member + 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT :program, 'bet-jane-' || n, 'jane', CASE n WHEN 48 THEN 750000000 ELSE 250000000 END
FROM generate_series(1, 48) n
UNION ALL
SELECT :program, 'bet-mike-' || n, 'mike', CASE n WHEN 22 THEN 150000000 ELSE 250000000 END
FROM generate_series(1, 22) n
UNION ALL
SELECT :program, 'bet-king-' || n, 'king', CASE n WHEN 11 THEN 100000000 ELSE 200000000 END
FROM generate_series(1, 11) n;

-- A shop of credits: 10,000 for each side at the first payment. Ada's friend has
-- signed up and not paid yet.

INSERT INTO referral.program (name, hold_days, referrer_monthly_cap)
VALUES ('Contract crawlora', 0, 10)
RETURNING program_id AS program \gset
SET referral.program_id = :program;
INSERT INTO referral.rate (program_id, level, flat_micro)
VALUES (:program, 0, 10000000000), (:program, 1, 10000000000);
SELECT FROM referral.enroll('ada', 'Ada');
SELECT pg_temp.known_by('ada', 'A1B2C3D4E5F6');
SELECT pg_temp.join_under('bea', 'ada', 'Bea');

-- The same, later: Bea has paid, and the billing system has granted the credits.

INSERT INTO referral.program (name, hold_days, referrer_monthly_cap, uses_grants)
VALUES ('Contract crawlora, later', 0, 10, true)
RETURNING program_id AS program \gset
SET referral.program_id = :program;
INSERT INTO referral.rate (program_id, level, flat_micro)
VALUES (:program, 0, 10000000000), (:program, 1, 10000000000);
SELECT FROM referral.enroll('ada', 'Ada');
SELECT pg_temp.known_by('ada', 'A1B2C3D4E5F6');
SELECT pg_temp.join_under('bea', 'ada', 'Bea');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (:program, 'invoice-1', 'bea', 29000000);
SELECT referral.confirm_grant(g.grant_key) FROM referral.claim_grants() g;

-- A bank with a campaign: codes good for five customers each.

INSERT INTO referral.program (name) VALUES ('Contract baanx')
RETURNING program_id AS program \gset
SET referral.program_id = :program;
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (:program, 1, 'Opening', now() - interval '1 day', now() + interval '365 days', 5);
INSERT INTO referral.rate (program_id, campaign_id, level, flat_micro) VALUES (:program, 1, 1, 10000000);
SELECT FROM referral.enroll('ada', 'Ada');
SELECT FROM referral.campaign_code('ada', 1);
SELECT pg_temp.known_by('ada', 'FHLSO5', 'campaign');
-- A code that has served, and is valid no more.
SELECT FROM referral.enroll('bea', 'Bea');
SELECT FROM referral.campaign_code('bea', 1);
SELECT pg_temp.known_by('bea', 'FHLSO6', 'campaign');
UPDATE referral.code SET disabled_at = now() WHERE program_id = :program AND code = 'FHLSO6';

RESET referral.program_id;
