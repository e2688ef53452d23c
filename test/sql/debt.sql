-- Section 4 of the contract where money is gone already: earned 100, 80 paid
-- out, wholly refunded, under each policy; what the next earning makes of it;
-- and three refunds of 3,333 with spends and payouts between them on every level.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

INSERT INTO referral.program (program_id, name, max_level, hold_days, debt_policy)
VALUES (1, 'unlimited', 1, 0, 'unlimited'), (2, 'within', 1, 0, 'within_balance'), (3, 'pending', 1, 0, 'only_pending');
INSERT INTO referral.rate (program_id, level, rate_bps) SELECT p, 1, 10000 FROM generate_series(1, 3) p;
DO $$
BEGIN
    FOR p IN 1 .. 3 LOOP
        PERFORM set_config('referral.program_id', p::text, false);
        CALL told.join_by('b<a');
        PERFORM referral.record_payment('first', 'b', 100, occurred_at => '2024-02-01');
        PERFORM referral.request_payout('a', 'out', 80);
        PERFORM referral.payout_sent('out', 'tx');
        PERFORM referral.record_refund('all', 'first', 100);
    END LOOP;
END $$;

CREATE FUNCTION told.sums(p bigint) RETURNS TABLE (program bigint, pending numeric, available numeric, lifetime numeric, spent bigint,
                                                    paid_out bigint, settled numeric) LANGUAGE sql AS $$
    SELECT p, (o.balance).pending_micro, (o.balance).available_micro, (o.balance).lifetime_micro, c.spent_micro, c.paid_out_micro,
           (SELECT sum(s.amount_micro) FROM referral.settlement s WHERE s.program_id = p AND s.member_id = m.member_id)
    FROM referral.member m JOIN referral.account c USING (program_id, member_id), referral.referral_overview('a', p) o
    WHERE m.program_id = p AND m.user_id = 'a'
$$;
CREATE FUNCTION told.shown(p bigint) RETURNS TABLE (program bigint, payment text, amount bigint, reversed bigint, written_off bigint, status text)
LANGUAGE sql AS $$
    SELECT p, payment_id, amount_micro, reversed_micro, written_off_micro, status FROM referral.list_rewards('a', program_id => p)
$$;
SELECT m.* FROM generate_series(1, 3) p, sums(p) m ORDER BY 1;
SELECT s.* FROM generate_series(1, 3) p, shown(p) s ORDER BY 1, 2;
-- Nothing to spend or to pay out below zero; what is left may go.
SELECT referral.spend('a', 1, 's', program_id => 1);
SELECT referral.request_payout('a', 'w', program_id => 1);
SELECT referral.request_payout('a', 'w', program_id => 2);
SELECT amount_micro FROM referral.request_payout('a', 'w', program_id => 3);
SELECT status FROM referral.payout_cancel('w', 3);

-- The next earnings: 50, of which all is owed; 50, of which 30 are; by the
-- payout that they replace, whoever looks first. Then the rest is spent.
SELECT referral.record_payment('second', 'b', 50, occurred_at => '2024-02-02', program_id => p) FROM generate_series(1, 3) p;
SELECT m.* FROM generate_series(1, 3) p, sums(p) m ORDER BY 1;
SELECT s.* FROM generate_series(1, 3) p, shown(p) s ORDER BY 1, 2;
SELECT referral.record_payment('third', 'b', 50, occurred_at => '2024-02-03', program_id => p) FROM generate_series(1, 3) p;
SELECT m.* FROM generate_series(1, 3) p, sums(p) m ORDER BY 1;
SELECT (s.spend_row).amount_micro FROM (SELECT referral.spend('a', 20, 'rest', program_id => 1) AS spend_row) s;
SELECT m.* FROM generate_series(1, 3) p, sums(p) m ORDER BY 1;
SELECT s.* FROM generate_series(1, 3) p, shown(p) s ORDER BY 1, 2;
SELECT payment_id, s.kind, sum(s.amount_micro) FROM referral.settlement s LEFT JOIN referral.reward r USING (program_id, reward_id)
WHERE s.program_id = 1 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM referral.verify();

-- Five levels: before, between and after three refunds of 3,333 everybody
-- spends, is paid out, or both.
INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (4, 'five levels', 5, 0);
INSERT INTO referral.rate (program_id, level, flat_micro) SELECT 4, l, 1000 FROM generate_series(1, 5) l;
SET referral.program_id = 4;
CALL join_by('u1<u0 u2<u1 u3<u2 u4<u3 u5<u4');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (4, 'p', 'u5', 9999);
CREATE PROCEDURE told.use(step text) LANGUAGE plpgsql AS $$
DECLARE
    available bigint;
BEGIN
    FOR n IN 0 .. 4 LOOP
        available := ((referral.referral_overview('u' || n)).balance).available_micro;
        CONTINUE WHEN available <= 0;
        IF n IN (0, 1, 4) THEN
            PERFORM referral.spend('u' || n, greatest(available / (n + 1), 1), step || ' ' || n);
        END IF;
        IF n IN (2, 1, 4) THEN
            PERFORM referral.request_payout('u' || n, step || ' ' || n, greatest(available / 3, 1));
            PERFORM referral.payout_sent(step || ' ' || n);
        END IF;
    END LOOP;
END $$;
CALL told.use('before');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (4, 'r1', 'p', 3333);
CALL told.use('after one');
SELECT m.user_id, l.reversed_micro, l.status, (o.balance).available_micro FROM referral.member m, referral.list_rewards(m.user_id) l,
       referral.referral_overview(m.user_id) o WHERE m.program_id = 4 ORDER BY 1;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (4, 'r2', 'p', 3333);
CALL told.use('after two');
SELECT m.user_id, l.reversed_micro, l.status, (o.balance).available_micro FROM referral.member m, referral.list_rewards(m.user_id) l,
       referral.referral_overview(m.user_id) o WHERE m.program_id = 4 ORDER BY 1;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (4, 'r3', 'p', 3333);
CALL told.use('after three');
SELECT m.user_id, l.reversed_micro, l.status, (o.balance).available_micro FROM referral.member m, referral.list_rewards(m.user_id) l,
       referral.referral_overview(m.user_id) o WHERE m.program_id = 4 ORDER BY 1;
SELECT * FROM referral.verify();
\c :outside
DROP DATABASE referral_payment;
