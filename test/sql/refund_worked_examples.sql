-- Section 4 of the contract, told case by case: what refunds take back, on
-- every level, under each debt policy.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

-- A payment's rewards as they stand: who has how much of what left.
CREATE FUNCTION told.reversals(payments text[] DEFAULT NULL)
    RETURNS TABLE (payment text, level integer, who text, amount bigint, reversed bigint,
                   written_off bigint, status text) LANGUAGE sql AS $$
    SELECT l.payment_id, l.level, m.user_id, l.amount_micro, l.reversed_micro, l.written_off_micro,
           l.status
    FROM referral.member m, referral.list_rewards(m.user_id, max_rows => 1000,
                                                  program_id => m.program_id) l
    WHERE m.program_id = referral.current_program()
      AND (l.payment_id = ANY (payments) OR payments IS NULL)
    ORDER BY l.id
$$;
CREATE VIEW told.balances AS
SELECT m.user_id AS who, (o.balance).pending_micro AS pending,
       (o.balance).available_micro AS available, (o.balance).lifetime_micro AS lifetime
FROM referral.member m, referral.referral_overview(m.user_id, m.program_id) o
WHERE m.program_id = referral.current_program();

-- Three refunds of 3,333 on base 9,999 and a reward of 1,000, on five levels
-- and the payer's own: 333, 333, 334.
INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (1, 'five levels', 5, 0);
INSERT INTO referral.rate (program_id, level, flat_micro) SELECT 1, l, 1000 FROM generate_series(0, 5) l;
SET referral.program_id = 1;
CALL join_by('u1<u0 u2<u1 u3<u2 u4<u3 u5<u4 u6<u5');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p', 'u6', 9999);
SELECT * FROM referral.record_refund('r1', 'p', 3333);
SELECT * FROM reversals('{p}');
SELECT * FROM referral.record_refund('r2', 'p', 3333);
SELECT level, who, reversed FROM reversals('{p}');
SELECT * FROM referral.record_refund('r3', 'p', 3333);
SELECT level, who, reversed, status FROM reversals('{p}');
SELECT * FROM balances ORDER BY who;
SELECT earned_micro, reversed_micro, payments FROM referral.earnings_by_day('u5');
SELECT level, earnings_micro, volume_micro FROM referral.level_stats('u1');
-- Nothing is left to give back, and nothing is done twice.
SELECT * FROM referral.record_refund('r4', 'p', 1);
SELECT * FROM referral.record_refund('r3', 'p', 3333);
SELECT * FROM referral.record_refund('r3', 'p', 3332);
SELECT * FROM referral.record_refund('r3', 'another', 3333);
SELECT * FROM referral.record_refund('r3', 'p', 3333, 'a reason');

-- The same in one statement; and in parts of one unit, whose rounding adds up.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'q', 'u6', 9999), (1, 'r', 'u6', 7);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 1, 'q' || n, 'q', 3333 FROM generate_series(1, 3) n;
SELECT * FROM reversals('{q}');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 1, 'r' || n || ' of 7', 'r', 1 FROM generate_series(1, 7) n;
SELECT level, sum(reversed) FROM reversals('{r}') GROUP BY level ORDER BY level;
SELECT * FROM referral.verify();

-- The units are those of the base, not of the amount; a payment that earned
-- nothing, or whose payer nobody knows, is refunded all the same, up to it.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind)
VALUES (1, 'fee', 'u6', 1000000, 200, 'fee'), (1, 'deposit', 'u6', 50, NULL, 'deposit'),
       (1, 'unknown', 'nobody', 50, NULL, 'purchase'), (1, 'zero', 'u6', 50, 0, 'purchase');
SELECT * FROM referral.record_refund('fee-1', 'fee', 201);
SELECT * FROM referral.record_refund('fee-1', 'fee', 150);
SELECT level, who, reversed FROM reversals('{fee}');
SELECT * FROM referral.record_refund('deposit-1', 'deposit', 51);
SELECT * FROM referral.record_refund('deposit-1', 'deposit', 50);
SELECT * FROM referral.record_refund('unknown-1', 'unknown', 51);
SELECT * FROM referral.record_refund('unknown-1', 'unknown', 50);
SELECT * FROM referral.record_refund('zero-1', 'zero', 1);

-- Volume, paid invitees, uses of codes and tiers do not move back.
SELECT volume_micro FROM referral.level_stats('u5') WHERE level = 1;
SELECT paid_invitees FROM referral.referral_overview('u5');

-- only_pending: what is available stays, whatever is refunded; what is pending goes.
INSERT INTO referral.program (program_id, name, max_level, hold_days, debt_policy)
VALUES (2, 'only pending', 1, 30, 'only_pending');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 1000), (2, 0, 1);
SET referral.program_id = 2;
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (2, 'old', 'b', 10000, '2024-02-01'), (2, 'new', 'b', 10000, now());
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
VALUES (2, 'old-1', 'old', 3000), (2, 'new-1', 'new', 3000), (2, 'old-2', 'old', 7000);
SELECT * FROM reversals();
SELECT * FROM balances ORDER BY who;
-- The policy is that of the moment; what was written off stays so.
UPDATE referral.program SET debt_policy = 'unlimited' WHERE program_id = 2;
SELECT * FROM referral.record_refund('new-2', 'new', 7000);
SELECT * FROM reversals();
SELECT * FROM referral.verify();

-- A hold of nothing and a hold: the counters keep reversals where the rewards are.
INSERT INTO referral.program (program_id, name, max_level, hold_days, time_zone)
VALUES (3, 'zones', 1, 1, 'America/Santiago');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (3, 1, 10000);
SET referral.program_id = 3;
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 3, 'h' || n, 'b', 100 + n, '2024-09-06 00:00+00'::timestamptz + n * interval '5 hours'
FROM generate_series(0, 20) n;
UPDATE referral.program SET hold_days = 0 WHERE program_id = 3;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 3, 'n' || n, 'b', 100 + n, '2024-09-06 00:00+00'::timestamptz + n * interval '5 hours'
FROM generate_series(0, 20) n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (3, 'ahead', 'b', 1000, now() + interval '23 hours');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 3, payment_id || '!', payment_id, amount_micro / 2 FROM referral.payment WHERE program_id = 3;
SELECT * FROM balances ORDER BY who;
SELECT * FROM referral.verify(3);
\c :outside
DROP DATABASE referral_payment;
