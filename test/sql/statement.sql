-- Balances at any past instant, and payouts as members read them.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all
INSERT INTO referral.program (program_id, name, currency, hold_days, max_level, debt_policy)
VALUES (1, 'statement', 'EUR', 30, 2, 'within_balance');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000), (1, 2, 100);
CALL told.join_by('ann<top bob<top cy<ann');

-- What is read at each step is kept with its time.
CREATE TABLE told.kept (step text, who text, at timestamptz, balance referral.balance);
CREATE FUNCTION told.keep(step text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO told.kept
    SELECT step, u, statement_timestamp(), o.balance
    FROM unnest('{top,ann,bob,cy}'::text[]) u, referral.referral_overview(u) o
$$;

SELECT told.keep('01 enrolled');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (1, 'p1', 'ann', 10000, '2024-02-01'), (1, 'p2', 'cy', 20000, '2024-02-02');
SELECT told.keep('02 paid');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'p3', 'bob', 5000);
SELECT told.keep('03 pending');
SELECT state, reversed_micro, written_off_micro FROM referral.record_refund('f1', 'p1', 2500);
SELECT told.keep('04 refunded in part');
SELECT amount_micro FROM referral.adjust('top', 'a1', 111, 'a present', 'ops');
SELECT told.keep('05 adjusted');
SELECT amount_micro FROM referral.spend('top', 300, 's1', 'shop');
SELECT told.keep('06 spent');
SELECT amount_micro FROM referral.spend('top', 50, 's2');
SELECT told.keep('07 spent again');
SELECT unspent_at IS NOT NULL AS undone FROM referral.unspend('s2');
SELECT told.keep('08 undone');
SELECT status FROM referral.request_payout('top', 'x1', 400, 'SEPA', 'DE00');
SELECT told.keep('09 requested');
SELECT status FROM referral.request_payout('top', 'x2', 200);
SELECT status FROM referral.payout_processing('x2');
SELECT told.keep('10 requested again');
SELECT status FROM referral.payout_sent('x1', 'ref-1');
SELECT told.keep('11 sent');
SELECT status FROM referral.payout_failed('x2', 'no such account');
SELECT told.keep('12 failed');
SELECT state, reversed_micro, written_off_micro FROM referral.record_refund('f2', 'p1', 7500);
SELECT state, reversed_micro, written_off_micro FROM referral.record_refund('f3', 'p2', 20000);
SELECT told.keep('13 refunded');
SELECT amount_micro FROM referral.adjust('ann', 'a2', -77, 'a mistake', 'ops');
SELECT told.keep('14 adjusted down');

SELECT k.step, s.currency, s.pending_micro AS pending, s.available_micro AS available, s.lifetime_micro AS lifetime,
       s.earned_micro AS earned, s.reversed_micro AS reversed, s.written_off_micro AS let_go,
       s.adjusted_micro AS adjusted, s.spent_micro AS spent, s.paid_out_micro AS paid_out, s.reserved_micro AS reserved
FROM told.kept k, referral.statement('top', k.at) s WHERE who = 'top' ORDER BY step;

-- The past reads as it read then, for everybody.
SELECT count(*) AS compared, count(DISTINCT balance) AS balances,
       count(*) FILTER (WHERE (s.pending_micro, s.available_micro, s.lifetime_micro)
                              IS DISTINCT FROM ((balance).pending_micro, (balance).available_micro, (balance).lifetime_micro)
                           OR s.at <> k.at) AS different
FROM told.kept k, referral.statement(k.who, k.at) s;

-- Now, the end of the hold, before anything; nobody.
SELECT s.at BETWEEN statement_timestamp() AND clock_timestamp() AS now, s.lifetime_micro = k.lifetime AS same
FROM (SELECT (balance).lifetime_micro AS lifetime FROM told.kept WHERE who = 'top' ORDER BY step DESC LIMIT 1) k,
     referral.statement('top') s;
SELECT s.at BETWEEN statement_timestamp() AND clock_timestamp() AS now FROM referral.statement('top', NULL) s;
SELECT v.n, s.at = v.at AS at, s.pending_micro, s.available_micro
FROM (SELECT max(r.available_at) AS end_of_hold FROM referral.list_rewards('top') r) t,
     LATERAL (VALUES (1, t.end_of_hold - interval '1 microsecond'), (2, t.end_of_hold), (3, 'infinity')) v(n, at),
     LATERAL referral.statement('top', v.at) s ORDER BY v.n;
SELECT lifetime_micro, pending_micro, available_micro, reserved_micro FROM referral.statement('top', '2020-01-01');
SELECT lifetime_micro FROM referral.statement('top', '-infinity');
SELECT * FROM referral.statement('nobody');
SELECT * FROM referral.statement('top', now(), 2);

-- In one transaction a statement has what was done in it before.
BEGIN;
SELECT amount_micro FROM referral.adjust('top', 'a3', 505, 'late', 'ops');
SELECT amount_micro FROM referral.spend('top', 5, 's3');
SELECT adjusted_micro, spent_micro FROM referral.statement('top');
ROLLBACK;

-- Rewards and days after all of it.
SELECT payment_id, user_id, level, l.status, l.amount_micro, l.reversed_micro, l.written_off_micro
FROM unnest('{top,ann}'::text[]) user_id, referral.list_rewards(user_id) l;
SELECT user_id, asked, array_agg(payment_id ORDER BY id) FROM unnest('{top,ann}'::text[]) user_id,
     unnest('{pending,available,spent,paid_out,reversed}'::text[]) asked,
     referral.list_rewards(user_id, ARRAY[asked]) GROUP BY 1, 2 ORDER BY 1 DESC, 2;
SELECT level, earnings_micro FROM referral.level_stats('top');
SELECT earned_micro, reversed_micro, payments FROM referral.earnings_by_day('top');
SELECT s.earned_micro - s.reversed_micro = sum(d.earned_micro - d.reversed_micro) AS all_of_it
FROM referral.earnings_by_day('top') d, referral.statement('top') s GROUP BY s.earned_micro, s.reversed_micro;

-- Payouts, the newest request first.
SELECT id, amount_micro, network, address, status, reference, note, completed_at >= requested_at AS completed, user_id, batch_id
FROM referral.list_payouts('top');
SELECT amount_micro FROM referral.adjust('top', 'a4', 700, 'a loan', 'ops');
SELECT count(*) FROM generate_series(1, 60) i, referral.request_payout('top', 'y' || i, 1);
SELECT batch_id, user_id FROM referral.payout_batch('march');
SELECT count(*), left(min(id), 6), max(id) FROM referral.list_payouts('top');
SELECT array_agg(id) FROM referral.list_payouts('top', 3, 2);
SELECT array_agg(id) FROM referral.list_payouts('top', 3, 60);
SELECT count(*) FROM referral.list_payouts('top', -1, -1);
SELECT count(*) FROM referral.list_payouts('top', 1000, NULL);
SELECT count(*) FROM referral.list_payouts('top', 0);
SELECT count(*) FROM referral.list_payouts('bob');
SELECT count(*) FROM referral.list_payouts('nobody');
SELECT * FROM referral.verify();

\c :outside
DROP DATABASE referral_payment;
