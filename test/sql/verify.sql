-- verify(): nothing to say about sound books, and a row for each invariant
-- that is broken by hand.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO';
\set ON_ERROR_ROLLBACK on

INSERT INTO referral.program (program_id, name, time_zone, hold_days, max_level)
VALUES (72, 'verify', 'America/New_York', 30, 3), (73, 'beside', 'UTC', 0, 3);
SET LOCAL referral.program_id = '72';
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (72, 1, 'One', 0), (72, 2, 'Two', 2);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro)
VALUES (72, 1, 'spring', '2024-01-01', '2025-01-01', 5, 100000), (72, 2, 'held', '2024-01-01', '2025-01-01', NULL, NULL);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (72, 'campaign', 2);
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro)
VALUES (72, 0, 0, 0, 50, 1), (72, 0, 0, 1, 1000, 0), (72, 0, 2, 1, 1500, 0), (72, 0, 0, 2, 333, 0),
       (72, 1, 0, 1, 2000, 0), (73, 0, 0, 1, 100, 0);

-- top <- ann, bob; ann <- dan <- eve; camp by top's campaign code
SELECT count(referral.enroll(u)) FROM unnest('{top,ann,bob,dan,eve,camp,lone,apex,desk}'::text[]) u;
SELECT u, a.attributed
FROM (VALUES (1, 'ann', 'top'), (2, 'bob', 'top'), (3, 'dan', 'ann'), (4, 'eve', 'dan')) v(n, u, under),
     LATERAL referral.attribute(u, referral.enroll(under), NULL, '2024-01-01 00:00+0') a
ORDER BY n;
SELECT a.attributed
FROM referral.campaign_code('top', 1) c, LATERAL referral.attribute('camp', c.code, NULL, '2024-01-01 00:00+0') a;
-- Held for review, of whom later one is approved and one rejected; clicks.
SELECT u, a.status FROM unnest('{hal,ivy,jon}'::text[]) u, LATERAL referral.campaign_code('desk', 2) c,
     LATERAL referral.attribute(u, c.code, NULL, '2024-01-01 00:00+0') a;
SELECT count(referral.capture_click(referral.enroll('ann'), 'k' || n, utm_campaign => (ARRAY['news', NULL])[n % 2 + 1])) AS clicks
FROM generate_series(1, 5) n;

-- All that a history can hold: deposits, bases, days, a hold that changes,
-- payments before the attribution, unknown payers, a late attribution.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) VALUES
(72, 'p1', 'ann', 100000, NULL, 'purchase', '2024-02-01 03:00+0'),
(72, 'p2', 'ann',   9999,  777, 'purchase', '2024-02-02 05:00+0'),
(72, 'p3', 'ann',   5000, NULL, 'deposit',  '2024-02-02 06:00+0'),
(72, 'p4', 'bob',  50000, NULL, 'purchase', '2024-03-01 04:59:59.999999+0'),
(72, 'p5', 'dan',  70000, NULL, 'purchase', '2024-03-10 12:00+0'),
(72, 'p6', 'eve',  80000, NULL, 'purchase', '2024-03-11 12:00+0'),
(72, 'p7', 'eve',    100, NULL, 'purchase', '2023-03-11 12:00+0'),
(72, 'p8', 'camp', 40000, NULL, 'purchase', '2024-03-11 12:00+0'),
(72, 'p9', 'nobody', 100, NULL, 'purchase', '2024-03-11 12:00+0'),
(72, 'q1', 'top',  30000, NULL, 'purchase', '2024-03-11 12:00+0');
UPDATE referral.program SET hold_days = 0, max_level = 2 WHERE program_id = 72;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
(72, 'q2', 'eve', 80000, '2024-03-12 12:00+0'), (72, 'q3', 'eve', 80000, '2024-03-12 13:00+0'),
(72, 'q4', 'eve', 80000, now()), (72, 'q5', 'eve', 80000, clock_timestamp() + interval '2 hours');
SELECT (referral.attribute('top', referral.enroll('apex'), NULL, '2024-03-01')).attributed;
UPDATE referral.program SET hold_days = 7, max_level = 3 WHERE program_id = 72;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
(72, 'q6', 'ann', 80000, '2024-03-13 12:00+0'), (72, 'q7', 'top', 80000, '2024-03-13 12:00+0'),
(72, 'q8', 'ann', 80000, now());
-- and after the reward: refunds in part, in full, too early, written off;
-- spends, payouts, an adjustment; refunds of what was used up.
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES
(72, 'r1', 'p5', 30000), (72, 'r2', 'p5', 40000), (72, 'r3', 'p6', 8000), (72, 'r4', 'later', 5);
UPDATE referral.program SET debt_policy = 'only_pending' WHERE program_id = 72;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (72, 'r5', 'q2', 40000), (72, 'r6', 'q2', 10000);
UPDATE referral.program SET debt_policy = 'unlimited' WHERE program_id = 72;
-- Payments of those in review, with a refund; decisions.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
(72, 'h1', 'hal', 30000, '2024-02-01'), (72, 'h2', 'hal', 20000, '2024-01-15'), (72, 'i1', 'ivy', 30000, '2024-02-01'), (72, 'j1', 'jon', 30000, '2024-02-01');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (72, 'rh', 'h1', 1000), (72, 'ri', 'i1', 1000);
SELECT u, (referral.approve_attribution(attribution_id, 'ops', 'known')).status
FROM unnest('{ivy}'::text[]) u JOIN referral.attribution a ON a.program_id = 72 AND a.user_id = u;
SELECT (referral.reject_attribution(attribution_id, 'ops', 'same flat')).status FROM referral.attribution WHERE program_id = 72 AND user_id = 'jon';
CREATE FUNCTION pg_temp.member(text) RETURNS bigint LANGUAGE sql AS
    $$ SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = $1 $$;
SELECT (referral.spend('top', 12000, 's1')).amount_micro AS s1, (referral.spend('top', 400, 's2')).amount_micro AS s2;
SELECT (referral.unspend('s2')).amount_micro AS undone, (referral.spend('ann', 100, 's3')).amount_micro AS s3;
SELECT (referral.adjust('bob', 'j1', 500, 'sorry', 'boss')).amount_micro AS j1;
SELECT (referral.spend('bob', 600, 's4')).amount_micro AS s4, (referral.request_payout('top', 'o1', 5000)).status AS o1;
SELECT (referral.payout_sent('o1')).status AS o1, (referral.request_payout('top', 'o2', 500)).status AS o2,
       (referral.request_payout('top', 'o3', 600)).status AS o3, (referral.request_payout('ann', 'o4', 700)).status AS o4;
SELECT (referral.payout_processing('o2')).status AS o2, (referral.payout_cancel('o3')).status AS o3;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (72, 'r7', 'p4', 25000);
SELECT count(*) AS rewards, count(closed) AS closed, count(DISTINCT closed) AS in_ways, sum(written_off_micro) AS written_off,
       sum(settled_micro) AS settled FROM referral.reward_state WHERE program_id = 72;
SELECT * FROM referral.verify(72);
SELECT count(*) AS in_all_programs FROM referral.verify() WHERE program_id IN (72, 73);

-- Each case breaks one thing, sees what verify() says, and is undone. A reward
-- is shown by its payment and level; numbers out of sequences and the days of
-- this run are hidden.
CREATE PROCEDURE pg_temp.broken(what text, VARIADIC statements text[]) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    line text;
BEGIN
    RAISE NOTICE '%', what;
    BEGIN
        FOREACH statement IN ARRAY statements LOOP EXECUTE statement; END LOOP;
        FOR line IN
            SELECT format('    %s: %s', v.invariant,
                          regexp_replace(regexp_replace(regexp_replace(v.subject,
                              '20(2[5-9]|[3-9].)-..-..', '(today)', 'g'),
                              '^code .*', 'code (random)'),
                              '(reward|settlement|number) [0-9]+', coalesce('\1 of ' || r.payment_id || ' level ' || r.level, '\1 (n)'), 'g'))
                   || CASE WHEN v.invariant NOT IN ('reward_id', 'reward_payer', 'reward_beneficiary', 'tree_edge')
                           THEN format(' expected %s found %s', v.expected, v.found) ELSE '' END
            FROM referral.verify(72) v
            LEFT JOIN referral.reward r ON r.program_id = 72 AND v.subject LIKE 'reward %' AND r.reward_id::text = split_part(v.subject, ' ', 2)
            ORDER BY v.invariant COLLATE "C", 1
        LOOP
            RAISE NOTICE '%', line;
        END LOOP;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'RF999';
    EXCEPTION WHEN SQLSTATE 'RF999' THEN NULL;
    END;
END
$$;
SET LOCAL client_min_messages = notice;
\set VERBOSITY terse
ALTER TABLE referral.payment DISABLE TRIGGER append_only;
ALTER TABLE referral.adjustment DISABLE TRIGGER append_only;
ALTER TABLE referral.code DISABLE TRIGGER protect;

-- Payments.
CALL pg_temp.broken('a payment without triggers',
    'ALTER TABLE referral.payment DISABLE TRIGGER take_in_before',
    'ALTER TABLE referral.payment DISABLE TRIGGER take_in',
    $$INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (72, 'unseen', 'ann', 1)$$);
CALL pg_temp.broken('a number given twice',
    $$UPDATE referral.payment SET payment_no = 576460752303423487 WHERE program_id = 72 AND payment_id IN ('p9', 'q1')$$);
CALL pg_temp.broken('waiting for no review',
    $$INSERT INTO referral.payment_waiting SELECT 72, a.member_id, p.occurred_at, p.payment_no, p.payment_id
      FROM referral.payment p JOIN referral.attribution a USING (program_id, user_id) WHERE p.program_id = 72 AND p.payment_id = 'p7'$$);
CALL pg_temp.broken('unrewarded, yet rewarded; unrewarded, yet unknown',
    $$INSERT INTO referral.payment_unrewarded VALUES (72, 'p1', 'budget_used_up'), (72, 'ghost', 'budget_used_up')$$);

-- Refunds.
ALTER TABLE referral.refund DISABLE TRIGGER append_only;
CALL pg_temp.broken('a refund without triggers',
    'ALTER TABLE referral.refund DISABLE TRIGGER take_in_before',
    'ALTER TABLE referral.refund DISABLE TRIGGER take_in',
    $$INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (72, 'unseen', 'p1', 1)$$);
CALL pg_temp.broken('a refund changed',
    $$UPDATE referral.refund SET amount_micro = 30001 WHERE program_id = 72 AND refund_id = 'r1'$$);
CALL pg_temp.broken('a refund of another payment',
    $$UPDATE referral.refund SET payment_id = 'p1' WHERE program_id = 72 AND refund_id = 'r1'$$);
CALL pg_temp.broken('a refund lost',
    $$DELETE FROM referral.refund WHERE program_id = 72 AND refund_id = 'r1'$$);
CALL pg_temp.broken('a refund that waits lost',
    $$DELETE FROM referral.refund WHERE program_id = 72 AND refund_id = 'r4'$$);
CALL pg_temp.broken('neither applied nor waiting',
    $$DELETE FROM referral.refund_waiting WHERE program_id = 72 AND refund_id = 'r4'$$);
CALL pg_temp.broken('applied and waiting, although its payment is there',
    $$INSERT INTO referral.refund_waiting SELECT program_id, payment_id, refund_no, amount_micro, refund_id
      FROM referral.refund WHERE program_id = 72 AND refund_id = 'r3'$$);
CALL pg_temp.broken('it waits with another amount',
    $$UPDATE referral.refund_waiting SET amount_micro = 6 WHERE program_id = 72 AND refund_id = 'r4'$$);
CALL pg_temp.broken('applied twice',
    $$INSERT INTO referral.refund_applied SELECT program_id, payment_no, total_micro + 8000, refund_no, applied_at, refund_id
      FROM referral.refund_applied WHERE program_id = 72 AND refund_id = 'r3'$$);
CALL pg_temp.broken('a total that skips', -- and with it what is reversed
    $$UPDATE referral.refund_applied SET total_micro = 8008 WHERE program_id = 72 AND refund_id = 'r3'$$);
CALL pg_temp.broken('more than the base',
    $$UPDATE referral.refund_applied SET total_micro = 80001 WHERE program_id = 72 AND refund_id = 'r3'$$);
CALL pg_temp.broken('applied to no payment',
    $$UPDATE referral.refund_applied SET payment_no = 0 WHERE program_id = 72 AND refund_id = 'r3'$$);
CALL pg_temp.broken('it waits, its payment is there: it fits; it does not',
    $$UPDATE referral.refund SET payment_id = 'p9', amount_micro = 100 WHERE program_id = 72 AND refund_id = 'r4'$$,
    $$UPDATE referral.refund_waiting SET payment_id = 'p9', amount_micro = 100 WHERE program_id = 72 AND refund_id = 'r4'$$,
    $$INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, taken_in) VALUES (72, 'r8', 'late', 200, true)$$,
    $$INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (72, 'late', 'nobody', 10)$$);
CALL pg_temp.broken('a write-off of more than was due',
    $$UPDATE referral.write_off SET amount_micro = 1 + amount_micro WHERE program_id = 72 AND total_micro = 40000
      AND reward_id % 16 = 1$$);
CALL pg_temp.broken('a write-off of no refund, and of no reward',
    $$UPDATE referral.write_off SET total_micro = 40001 WHERE program_id = 72 AND total_micro = 40000 AND reward_id % 16 = 1$$,
    $$INSERT INTO referral.write_off VALUES (72, 3, 5, 7, now())$$);

-- Settlement.
CALL pg_temp.broken('an account',
    $$UPDATE referral.account SET spent_micro = spent_micro + 1, paid_out_micro = paid_out_micro + 1, reserved_micro = reserved_micro + 1,
      adjusted_micro = adjusted_micro + 1, uncovered_micro = uncovered_micro + 1 WHERE program_id = 72 AND member_id = pg_temp.member('top')$$);
CALL pg_temp.broken('a spend changed',
    $$UPDATE referral.spend SET amount_micro = 1 WHERE program_id = 72 AND spend_id = 's1'$$);
CALL pg_temp.broken('a spend undone by hand',
    $$UPDATE referral.spend SET unspent_at = now() WHERE program_id = 72 AND spend_id = 's1'$$);
CALL pg_temp.broken('a payout sent by hand',
    $$UPDATE referral.payout SET status = 'sent', completed_at = 'infinity' WHERE program_id = 72 AND payout_id = 'o2'$$);
CALL pg_temp.broken('a payout given back by hand',
    $$UPDATE referral.payout SET status = 'failed', completed_at = 'infinity' WHERE program_id = 72 AND payout_id = 'o4'$$);
CALL pg_temp.broken('payouts in two states',
    $$UPDATE referral.payout SET status = 'requested' WHERE program_id = 72 AND payout_id = 'o2'$$,
    $$UPDATE referral.payout SET status = 'processing' WHERE program_id = 72 AND payout_id = 'o4'$$,
    $$UPDATE referral.payout SET completed_at = '2024-01-01', network = 'sepa' WHERE program_id = 72 AND payout_id IN ('o1', 'o3')$$);
CALL pg_temp.broken('an adjustment',
    $$UPDATE referral.adjustment SET amount_micro = 501 WHERE program_id = 72 AND adjustment_id = 'j1'$$);
CALL pg_temp.broken('a settlement lost',
    $$DELETE FROM referral.settlement WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a settlement moved to a pending reward',
    $$UPDATE referral.settlement SET reward_id = (SELECT reward_id FROM referral.reward r WHERE r.program_id = 72 AND r.available_at > now() AND r.member_id = pg_temp.member('ann') LIMIT 1)
      WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a settlement moved to a reward of somebody else',
    $$UPDATE referral.settlement SET reward_id = (SELECT reward_id FROM referral.reward r WHERE r.program_id = 72 AND r.payment_id = 'p4' AND r.level = 1)
      WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a settlement of what is reversed',
    $$UPDATE referral.settlement SET reward_id = (SELECT reward_id FROM referral.reward r WHERE r.program_id = 72 AND r.payment_id = 'p5' AND r.level = 1)
      WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a settlement split in two is no fault',
    $$UPDATE referral.settlement SET amount_micro = amount_micro - 1 WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$,
    $$INSERT INTO referral.settlement SELECT program_id, member_id, reward_id, settlement_no - 1, 1, settler_no, kind
      FROM referral.settlement WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a settlement of another kind',
    $$UPDATE referral.settlement SET kind = 'lost' WHERE program_id = 72 AND member_id = pg_temp.member('ann')$$);
CALL pg_temp.broken('a reward listed as closed, and one as closed otherwise',
    $$INSERT INTO referral.reward_closed SELECT 72, member_id, 'spent', reward_id FROM referral.reward WHERE program_id = 72 AND payment_id = 'p6' AND level = 1$$,
    $$UPDATE referral.reward_closed SET status = 'paid_out' WHERE program_id = 72 AND status = 'reversed' AND member_id = pg_temp.member('top')$$);

-- Grants.
CALL pg_temp.broken('grants in a program that makes none',
    $$INSERT INTO referral.reward_grant (program_id, reward_id, available_at) VALUES (72, 3, now())$$,
    $$INSERT INTO referral.reward_grant (program_id, reward_id, available_at) SELECT 72, reward_id, available_at
      FROM referral.reward WHERE program_id = 72 AND payment_id = 'p4' AND level = 1$$);
CALL pg_temp.broken('grants in two states, of a program that has not always made them',
    $$UPDATE referral.program SET uses_grants = true WHERE program_id = 72$$,
    $$INSERT INTO referral.reward_grant (program_id, reward_id, available_at, state) SELECT 72, reward_id, available_at,
         (ARRAY['claimed', 'failed', 'confirmed', 'void'])[level + 1] FROM referral.reward WHERE program_id = 72 AND payment_id = 'p5'$$);
CALL pg_temp.broken('confirmed, says the attribution only',
    $$UPDATE referral.attribution SET granted_at = now() WHERE program_id = 72 AND user_id = 'bob'$$);

-- Rewards.
CALL pg_temp.broken('an amount',
    $$UPDATE referral.reward SET amount_micro = amount_micro + 1 WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a rate',
    $$UPDATE referral.reward SET rate_bps = 1001 WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a base',
    $$UPDATE referral.reward SET base_micro = 100009 WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('an id',
    $$UPDATE referral.reward SET reward_id = reward_id + 5 WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a second reward',
    $$INSERT INTO referral.reward SELECT (jsonb_populate_record(r, jsonb_build_object('reward_id', reward_id + 7))).*
      FROM referral.reward r WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a level',
    $$UPDATE referral.reward SET level = 2 WHERE program_id = 72 AND payment_id = 'p4' AND level = 1$$);
CALL pg_temp.broken('a payer',
    $$UPDATE referral.reward SET payer_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'bob')
      WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a beneficiary',
    $$UPDATE referral.reward SET member_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'lone')
      WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a hold of its own',
    $$UPDATE referral.reward SET available_at = available_at + interval '1 hour' WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a hold of another length, which the program had once',
    $$UPDATE referral.reward SET available_at = '2024-02-08 05:00+0' WHERE program_id = 72 AND payment_id = 'p1' AND level = 1$$);
CALL pg_temp.broken('a reward lost',
    $$DELETE FROM referral.reward WHERE program_id = 72 AND payment_id = 'p8'$$);
CALL pg_temp.broken('a payment lost',
    $$DELETE FROM referral.payment WHERE program_id = 72 AND payment_id = 'p4'$$);
CALL pg_temp.broken('a payment changed',
    $$UPDATE referral.payment SET amount_micro = 1 WHERE program_id = 72 AND payment_id = 'p4'$$);
CALL pg_temp.broken('a purchase that is a deposit',
    $$UPDATE referral.payment SET kind = 'deposit' WHERE program_id = 72 AND payment_id = 'p4'$$);

-- Counters.
CALL pg_temp.broken('earnings',
    $$UPDATE referral.earning SET amount_micro = amount_micro + 1 WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('reversals and closed rewards',
    $$UPDATE referral.earning SET reversed_micro = reversed_micro + 1, closed = closed + 1 WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('counted rewards',
    $$UPDATE referral.earning SET rewards = rewards + 1 WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('earnings of nobody',
    $$INSERT INTO referral.earning VALUES (72, 0, '2024-01-01', '2024-01-01', 1, 1, 5, 0, 0, 1)$$);
CALL pg_temp.broken('an instant, from pending to available',
    $$UPDATE referral.earning SET available_at = '2024-01-01' WHERE program_id = 72 AND available_at > now() AND level = 1
      AND member_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'dan')$$);
CALL pg_temp.broken('two parts that add up to the same are no fault',
    $$INSERT INTO referral.earning SELECT program_id, member_id, available_at, earned_on, level, -1, 7, 7, 7, 7
      FROM referral.earning WHERE program_id = 72 AND amount_micro = 10000$$,
    $$INSERT INTO referral.earning SELECT program_id, member_id, available_at, earned_on, level, -2, -7, -7, -7, -7
      FROM referral.earning WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('volume and deposits of a level, too much',
    $$UPDATE referral.earning SET volume_micro = volume_micro + 1000000, deposits_micro = deposits_micro + 1000000
      WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('volume of a level, too little',
    $$UPDATE referral.earning SET volume_micro = volume_micro - 1 WHERE program_id = 72 AND amount_micro = 10000$$);
CALL pg_temp.broken('what a member paid, too much',
    $$UPDATE referral.paid SET volume_micro = volume_micro + 1000000, deposits_micro = deposits_micro + 1, payments = payments + 100
      WHERE program_id = 72 AND member_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'bob')$$);
CALL pg_temp.broken('what a member paid, too little',
    $$UPDATE referral.paid SET volume_micro = volume_micro - 1, earning_payments = 0
      WHERE program_id = 72 AND member_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'bob')$$);
CALL pg_temp.broken('paid invitees',
    $$UPDATE referral.invited SET month = '2023-12-01' WHERE program_id = 72 AND month = '2024-01-01'$$);
CALL pg_temp.broken('uses of a code',
    $$UPDATE referral.code SET used = 3 WHERE program_id = 72 AND campaign_id = 1$$,
    $$INSERT INTO referral.code_use SELECT 72, code_id, -1, 3 FROM referral.code WHERE program_id = 72 AND campaign_id = 1$$);
CALL pg_temp.broken('a cap lowered below the uses',
    $$UPDATE referral.code SET cap = 0 WHERE program_id = 72 AND campaign_id = 1$$);
CALL pg_temp.broken('what a campaign spent',
    $$UPDATE referral.campaign_spent SET amount_micro = amount_micro - 1 WHERE program_id = 72$$);
CALL pg_temp.broken('a budget lowered below what was spent is no fault',
    $$UPDATE referral.campaign SET budget_micro = 0 WHERE program_id = 72$$);
CALL pg_temp.broken('a budget that never was so small',
    $$ALTER TABLE referral.campaign DISABLE TRIGGER USER$$,
    $$UPDATE referral.campaign SET budget_micro = 0 WHERE program_id = 72$$);
CALL pg_temp.broken('members of a level',
    $$UPDATE referral.downline SET members = members + 1 WHERE program_id = 72 AND level = 4$$);

-- The tree.
CALL pg_temp.broken('an edge of the member alone',
    $$UPDATE referral.member SET referrer_id = NULL WHERE program_id = 72 AND user_id = 'bob'$$);
CALL pg_temp.broken('an edge of the attribution alone',
    $$UPDATE referral.attribution SET referrer_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'lone')
      WHERE program_id = 72 AND user_id = 'camp'$$);
CALL pg_temp.broken('a member without attribution',
    $$UPDATE referral.member SET referrer_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'top')
      WHERE program_id = 72 AND user_id = 'lone'$$);
CALL pg_temp.broken('an account missing',
    $$DELETE FROM referral.account WHERE program_id = 72 AND member_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'lone')$$);
CALL pg_temp.broken('a cycle of three',
    $$UPDATE referral.member SET referrer_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'eve')
      WHERE program_id = 72 AND user_id = 'ann'$$,
    $$UPDATE referral.attribution SET referrer_id = (SELECT member_id FROM referral.member WHERE program_id = 72 AND user_id = 'eve')
      WHERE program_id = 72 AND user_id = 'ann'$$);

-- Attributions.
CALL pg_temp.broken('rewarded, says the attribution only; and the rewards only',
    $$UPDATE referral.attribution SET rewarded_at = NULL WHERE program_id = 72 AND user_id = 'bob'$$,
    $$DELETE FROM referral.reward WHERE program_id = 72 AND payment_id = 'p8'$$);
CALL pg_temp.broken('rewarded, not qualified',
    $$UPDATE referral.attribution SET qualified_at = NULL WHERE program_id = 72 AND user_id = 'bob'$$);
CALL pg_temp.broken('qualified, yet capped',
    $$UPDATE referral.attribution SET decision = 'capped' WHERE program_id = 72 AND user_id = 'bob'$$);
CALL pg_temp.broken('qualified by no payment',
    $$UPDATE referral.attribution SET qualified_at = qualified_at - interval '1 second' WHERE program_id = 72 AND user_id = 'bob'$$);
CALL pg_temp.broken('qualified by another payment of his, and by one of somebody else',
    $$UPDATE referral.attribution SET first_payment_no = (SELECT payment_no FROM referral.payment WHERE program_id = 72 AND payment_id = 'p2')
      WHERE program_id = 72 AND user_id = 'ann'$$,
    $$UPDATE referral.attribution SET first_payment_no = (SELECT payment_no FROM referral.payment WHERE program_id = 72 AND payment_id = 'p2')
      WHERE program_id = 72 AND user_id = 'bob'$$);
CALL pg_temp.broken('a first payment of somebody who did not qualify',
    $$UPDATE referral.attribution SET first_payment_no = 1 WHERE program_id = 72 AND user_id = 'jon'$$);
CALL pg_temp.broken('qualified before that was noted is no fault',
    $$UPDATE referral.attribution SET first_payment_no = NULL WHERE program_id = 72$$);

-- Reviews.
CALL pg_temp.broken('in review, by no rule',
    $$UPDATE referral.attribution SET decision = 'review_required' WHERE program_id = 72 AND user_id = 'top'$$);
CALL pg_temp.broken('approved by hand: of the attribution alone',
    $$UPDATE referral.attribution SET decision = NULL WHERE program_id = 72 AND user_id = 'hal'$$);
CALL pg_temp.broken('and of the review alone',
    $$UPDATE referral.attribution_review SET decision = 'approved', actor = 'x', decided_at = now() WHERE program_id = 72 AND decision IS NULL$$);
CALL pg_temp.broken('rejected by hand, although approved',
    $$UPDATE referral.attribution SET decision = 'rejected' WHERE program_id = 72 AND user_id = 'ivy'$$);
CALL pg_temp.broken('rejected, and yet not',
    $$UPDATE referral.attribution SET decision = NULL WHERE program_id = 72 AND user_id = 'jon'$$);
CALL pg_temp.broken('a review undone',
    'ALTER TABLE referral.attribution_review DISABLE TRIGGER protect',
    $$UPDATE referral.attribution_review SET decision = NULL, actor = NULL, decided_at = NULL WHERE program_id = 72 AND decision = 'rejected'$$);
CALL pg_temp.broken('a review lost',
    $$DELETE FROM referral.attribution_review WHERE program_id = 72 AND decision IS NULL$$);
CALL pg_temp.broken('a payment that waits under another number, at another time, for somebody else',
    $$UPDATE referral.payment_waiting SET payment_no = -1 WHERE program_id = 72 AND payment_id = 'h1'$$,
    $$UPDATE referral.payment_waiting SET member_id = pg_temp.member('jon') WHERE program_id = 72 AND payment_id = 'h2'$$);

-- The funnel.
CALL pg_temp.broken('every stage',
    $$UPDATE referral.funnel SET clicks = clicks - 1, attributed = attributed + 1, review_required = review_required + 1,
         rejected = rejected + 1, qualified = qualified + 1, rewarded = rewarded - 1, granted = granted - 1, capped = capped + 1
      WHERE program_id = 72 AND (clicks = 3 OR campaign_id = 2)$$);
CALL pg_temp.broken('a day lost',
    $$DELETE FROM referral.funnel WHERE program_id = 72 AND day = '2023-12-31' AND campaign_id = 0$$);
CALL pg_temp.broken('a campaign that is none',
    $$UPDATE referral.funnel SET campaign_id = 9 WHERE program_id = 72 AND campaign_id = 1$$);
CALL pg_temp.broken('two parts that add up to the same are no fault',
    $$INSERT INTO referral.funnel SELECT program_id, day, campaign_id, utm_key, -1, 7, 7, 7, 7, 7, 7, 7, 7 FROM referral.funnel WHERE program_id = 72 AND campaign_id = 2$$,
    $$INSERT INTO referral.funnel SELECT program_id, day, campaign_id, utm_key, -2, -7, -7, -7, -7, -7, -7, -7, -7 FROM referral.funnel WHERE program_id = 72 AND part = -1$$);
CALL pg_temp.broken('dropped clicks are no fault',
    $$DELETE FROM referral.click WHERE program_id = 72 AND click_id IN ('k1', 'k2', 'k3')$$);
CALL pg_temp.broken('a click that nobody counted; one older than any that are kept',
    $$INSERT INTO referral.click (program_id, click_id, code_id, clicked_at) SELECT 72, 'k6', code_id, '2023-06-01' FROM referral.click WHERE program_id = 72 AND click_id = 'k1'$$,
    $$INSERT INTO referral.click (program_id, click_id, code_id) SELECT 72, 'k7', code_id FROM referral.click WHERE program_id = 72 AND click_id = 'k1'$$);
CALL pg_temp.broken('nor is one that was kept too short once',
    $$UPDATE referral.program SET click_days = 1 WHERE program_id = 72$$,
    $$UPDATE referral.program SET click_days = 365 WHERE program_id = 72$$,
    $$INSERT INTO referral.click (program_id, click_id, code_id, clicked_at) SELECT 72, 'k8', code_id, now() - interval '32 days' FROM referral.click WHERE program_id = 72 AND click_id = 'k1'$$);
CALL pg_temp.broken('but one within attribution_days, which were always 30, is',
    $$UPDATE referral.program SET click_days = 1 WHERE program_id = 72$$,
    $$INSERT INTO referral.click (program_id, click_id, code_id, clicked_at) SELECT 72, 'k9', code_id, now() - interval '28 days' FROM referral.click WHERE program_id = 72 AND click_id = 'k1'$$);
CALL pg_temp.broken('an attribution under another campaign',
    $$UPDATE referral.attribution SET utm_key = 5 WHERE program_id = 72 AND user_id = 'bob'$$);

-- Only the program asked for; a program that is not there has no books, but
-- for payments that nobody could refuse.
INSERT INTO referral.invited VALUES (73, 0, '2024-01-01', 1, 1);
SELECT * FROM referral.verify(72);
SELECT program_id, invariant, subject, expected, found FROM referral.verify(73);
SELECT program_id, invariant FROM referral.verify() WHERE program_id IN (72, 73);
SELECT * FROM referral.verify(999);
ALTER TABLE referral.payment DISABLE TRIGGER take_in_before;
ALTER TABLE referral.payment DISABLE TRIGGER take_in;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (999, 'far out', 'x', 1);
SELECT program_id, invariant, subject, hint FROM referral.verify(999);
SELECT program_id, invariant FROM referral.verify() WHERE program_id = 999;
ROLLBACK;
