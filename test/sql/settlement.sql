-- Which rewards spends and payouts use up, and what refunds take back of it
-- (CONTRACT section 5).
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set settlement :abs_srcdir '/include/settlement.sql'
\set ECHO none
\i :include
\i :settlement
\set ECHO all
\set VERBOSITY terse

INSERT INTO referral.program (program_id, name, hold_days, time_zone, max_level)
VALUES (1, 'at once', 0, 'UTC', 1), (2, 'held', 30, 'America/Sao_Paulo', 2), (3, 'large', 0, 'Asia/Kathmandu', 1);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000), (2, 0, 500), (2, 1, 1000), (2, 2, 200), (3, 1, 1000);
SET referral.program_id = 1;
CALL join_by('bob<ann');

-- In the order of (available_at, reward_id), whatever the order of payment.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'third', 'bob', 1000, '2024-02-03 12:00+0'), (1, 'second', 'bob', 1000, '2024-02-02 12:00+0'),
    (1, 'fourth', 'bob', 1000, '2024-02-03 12:00+0'), (1, 'first', 'bob', 500, '2024-02-02 11:59:59.999999+0'),
    (1, 'ahead', 'bob', 1000, now() + interval '20 hours');
SELECT available('ann');
SELECT settle('ann', 'spent', 1, 60), settle('ann', 'paid_out', 2, 30);
SELECT rewards_of('ann');
SELECT settle('ann', 'spent', 3, 160);
SELECT rewards_of('ann'), available('ann');

-- A spend undone opens what it used up; what another has is his.
SELECT unspend('ann', 1, 60);
SELECT rewards_of('ann');
SELECT settle('ann', 'paid_out', 4, 10), settle('ann', 'spent', 5, 140);
SELECT rewards_of('ann'), uncovered('ann'), available('ann');

-- What is owed is netted by the next available ones, before what comes next.
SELECT settle('ann', 'spent', 6, 30), uncovered('ann') AS owed, available('ann') AS below_zero;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'fifth', 'bob', 200, '2024-02-05'), (1, 'sixth', 'bob', 500, '2024-02-04');
SELECT settle('ann', 'paid_out', 7, 5);
SELECT rewards_of('ann'), uncovered('ann'), available('ann');

-- Money of adjustments covers, and is owed when it is taken away again.
SELECT adjust('ann', 100), settle('ann', 'spent', 8, 120), uncovered('ann'), available('ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'seventh', 'bob', 1000, '2024-02-06');
SELECT settle('ann', 'spent', 0, 0), uncovered('ann') AS covered;
SELECT adjust('ann', -70), uncovered('ann');
SELECT unspend('ann', 8, 120), uncovered('ann');
SELECT rewards_of('ann'), available('ann');
SELECT * FROM wrong;

-- A refund takes back what was settled last first; the next open reward has it.
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'r1', 'first', 100), (1, 'r2', 'second', 400);
SELECT rewards_of('ann'), uncovered('ann'), available('ann');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'r3', 'seventh', 1000), (1, 'r4', 'second', 600), (1, 'r5', 'first', 400);
SELECT rewards_of('ann'), uncovered('ann'), available('ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'eighth', 'bob', 3000, '2024-02-07');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'r6', 'third', 10);
SELECT rewards_of('ann'), uncovered('ann'), available('ann');
SELECT * FROM wrong;

-- Counters that somebody changed: what is found is settled, nothing else happens.
BEGIN;
UPDATE referral.earning SET rewards = rewards + 3 WHERE program_id = 1;
SELECT settle('ann', 'spent', 9, 250), uncovered('ann');
UPDATE referral.earning SET closed = closed + 7 WHERE program_id = 1;
SELECT unspend('ann', 9, 250), settle('ann', 'spent', 10, 5), uncovered('ann');
ROLLBACK;

-- A hold: pending rewards settle nothing; a late one with a lower number counts.
SET referral.program_id = 2;
CALL join_by('ann<top bob<ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at, payment_no) VALUES
    (2, 'midnight', 'bob', 1000, '2024-02-01 03:00+0', 500), (2, 'noon', 'bob', 1000, '2024-02-01 15:00+0', 501),
    (2, 'recent', 'bob', 1000, now() - interval '2 days', 502), (2, 'last', 'bob', 1000, '2024-02-02 15:00+0', 503);
SELECT settle('ann', 'spent', 1, 150), settle('top', 'paid_out', 1, 60);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at, payment_no) VALUES
    (2, 'late', 'bob', 1000, '2024-01-01', 400), (2, 'later', 'bob', 1000, '2024-02-01', 401);
SELECT settle('ann', 'spent', 2, 120);
SELECT rewards_of('ann');
SELECT settle('ann', 'spent', 3, 230), uncovered('ann');
SELECT rewards_of('ann');
SELECT rewards_of('top'), uncovered('top');
SELECT rewards_of('bob');
SELECT * FROM wrong;

-- Nothing is laid twice, nor for nobody.
SELECT referral.settle(2, member('ann'), 'gift', 1, 1);
SELECT referral.settle(2, member('ann'), 'spent', 1, -1);
SELECT referral.settle(2, 0, 'spent', 1, 1);
SELECT referral.account_available(77, 1);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT settle('bob', 'spent', 4, 60), unspend('bob', 4, 60), settle('bob', 'spent', 5, 70);
SELECT rewards_of('bob');
ROLLBACK;

-- A hundred thousand rewards: small spends, one large payout, all of it undone.
SET referral.program_id = 3;
CALL join_by('bob<ann');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 3, i, 'bob', 1000, '2024-02-01'::timestamptz + i * interval '5 minutes' FROM generate_series(1, 100000) i;
SELECT count(settle('ann', 'spent', i, 30)) FROM generate_series(1, 1000) i;
SELECT settle('ann', 'paid_out', 1, 5000000), settle('ann', 'spent', 2000, 4970000), available('ann'), uncovered('ann');
SELECT status, count(*) FROM referral.reward_closed WHERE program_id = 3 GROUP BY status ORDER BY status;
SELECT unspend('ann', 2000, 4970000), available('ann');
SELECT status, count(*) FROM referral.reward_closed WHERE program_id = 3 GROUP BY status ORDER BY status;
ANALYZE;
SELECT * FROM wrong;

\c :outside
DROP DATABASE referral_payment;
