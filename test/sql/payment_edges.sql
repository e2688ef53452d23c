-- The edges of amounts, times and ids: exact, or refused with nothing written.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all
\set VERBOSITY sqlstate

INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES
    (1, 'all of it', 2, 0), (2, 'too much', 2, 0), (3, 'sums', 2, 10), (4, 'sums at once', 2, 10),
    (5, 'filled up', 0, 0);
INSERT INTO referral.rate (program_id, level, rate_bps, flat_micro) VALUES
    (1, 0, 0, 0), (1, 1, 10000, 0), (1, 2, 1, 0), (2, 1, 10001, 0), (3, 1, 10000, 0), (4, 1, 10000, 0),
    (5, 0, 9999, 922337203685479);
SET referral.program_id = 2;
CALL join_by('b<a');
SET referral.program_id = 3;
CALL join_by('c<b b<a d<b');
SET referral.program_id = 4;
CALL join_by('c<b b<a d<b');
SET referral.program_id = 5;
CALL join_by('b<a');
SET referral.program_id = 1;
CALL join_by('c<b b<a d<a');

-- The greatest amount there is, at 100 % and at a hundredth.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'max', 'c', 9223372036854775807);
SELECT who, level, base, amount FROM rewards ORDER BY reward_id;

-- 100.01 % of ..249 is the greatest amount, of ..250 it is one too many; so is
-- a flat amount on top.
SELECT everything() AS before \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, 'max', 'b', 9223372036854775807);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro) VALUES (2, '..250', 'b', 1, 9222449791875588250);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (2, 'fits', 'b', 10), (2, 'does not', 'b', 9223372036854775807);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (5, 'max', 'b', 9223372036854775807);
SELECT everything() = :'before' AS untouched;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro) VALUES (2, '..249', 'b', 1, 9222449791875588249);
UPDATE referral.rate SET flat_micro = flat_micro - 1 WHERE program_id = 5;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (5, 'filled up', 'b', 9223372036854775807);
SELECT program_id, amount_micro FROM referral.reward WHERE program_id IN (2, 5) ORDER BY 1;

-- A member's sum on one level stays in range, over days and payers, also
-- within one statement; another level has a sum of its own.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, '1', 'c', 4611686018427387904, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, '2', 'd', 4611686018427387903, '2024-02-02');
SELECT everything() AS before \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, '3', 'd', 1125899906842624, '2024-02-03');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, '3', 'd', 1125899906842624, '2024-02-02');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (4, '1', 'c', 4611686018427387904, '2024-02-01'), (4, '2', 'd', 4611686018427387904, '2024-02-02');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (4, '1', 'c', 4611686018427387904, '2024-02-01'), (4, '2', 'd', 4611686018427387904, '2024-02-01');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (4, '1', 'c', 9223372036854775807, '2024-02-01'), (4, '2', 'd', 1, '2024-02-02');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (4, '1', 'c', 4611686018427387904, 'deposit', '2024-02-01'), (4, '2', 'c', 4611686018427387904, 'deposit', '2024-02-02');
SELECT everything() = :'before' AS untouched;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (4, '1', 'c', 4611686018427387904, '2024-02-01'), (4, '2', 'd', 4611686018427387903, '2024-02-02'),
    (4, '3', 'b', 9223372036854775807, '2024-02-02');
SET referral.program_id = 4;
SELECT who, level, earned, volume FROM levels ORDER BY who COLLATE "C", level;

-- Negative amounts, and both sides of 0.
SELECT everything() AS before \gset
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', -1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'stranger', -1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro) VALUES (1, 'n', 'c', 1, -1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro) VALUES (1, 'n', 'c', -1, 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', -9223372036854775808);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind) VALUES (1, 'n', 'c', -1, 'deposit');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'y', 'c', 5), (1, 'n', 'c', -1);

-- Times: finite, and at most a day ahead; from the dawn of the calendar on.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'd', 1, 'infinity');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'd', 1, '-infinity');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'stranger', 1, 'infinity');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'd', 1, statement_timestamp() + interval '24 hours 1 microsecond');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'd', 1, '294276-12-31');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'n', 'd', 1, NULL);

-- Ids, users, kinds, programs.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (99, 'n', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (-1, 'n', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'y', 'c', 1), (99, 'n', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (NULL, 'n', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, NULL, 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', NULL, 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', NULL);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind) VALUES (1, 'n', 'c', 1, NULL);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind) VALUES (1, 'n', 'c', 1, '');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind) VALUES (1, 'n', 'c', 1, repeat('k', 101));
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, '', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', '', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, repeat('p', 201), 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', repeat('u', 201), 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'n', 'c', 9223372036854775808);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'max', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'twice', 'c', 1), (1, 'twice', 'c', 1);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, payment_no) VALUES (1, 'n', 'c', 1, 0);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, payment_no) VALUES (1, 'n', 'c', 1, 576460752303423488);
SELECT everything() = :'before' AS untouched;

-- What is just right. 200 characters of four bytes each are as good as any.
SET referral.program_id = 1;
SELECT repeat(U&'\+01F4B8', 200) AS long \gset
CALL join_by(:'long' || '<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at) VALUES
    (1, :'long', :'long', 10000, repeat(U&'\+01F4B8', 100), statement_timestamp() + interval '24 hours'),
    (1, E'a\tb\n''"\\', 'd', 10000, 'k', '4714-11-24 00:00:00+00 BC'),
    (1, ' ', 'd', 10000, 'k', '2024-01-01 00:00+00'),
    (1, 'last', 'd', 10000, 'k', '2024-01-01 00:00+00'),
    (1, 'unrelated', 'D', 10000, 'k', '2024-01-01 00:00+00');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, payment_no) VALUES (1, 'highest', 'd', 10000, 576460752303423487);
SELECT left(payment, 10) AS payment, length(payment), who, level, amount, reward_id > 9000000000000000000 AS highest
FROM rewards WHERE payment <> 'max' ORDER BY reward_id;
SELECT who, left(by, 10) AS by, qualified_at FROM attributions WHERE who = 'd';

\c :outside
DROP DATABASE referral_payment;
