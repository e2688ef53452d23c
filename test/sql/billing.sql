-- CONTRACT section 5: grants of rewards to an outside billing system.
\pset format unaligned
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO referral.program (program_id, name, max_level, hold_days, uses_grants) VALUES
    (7601, 'billing', 2, 0, true), (7602, 'no billing', 1, 0, false);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (7601, 0, 100), (7601, 1, 1000), (7601, 2, 500), (7602, 1, 1000);
SET referral.program_id = 7601;
CREATE SCHEMA bill;
CREATE FUNCTION bill.pay(id text, payer text, minutes_ago integer, program bigint DEFAULT 7601) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
    VALUES ($4, $1, $2, 1000, now() - $3 * interval '1 minute')
$$;
CREATE FUNCTION bill.refund(payment text, amount bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
    VALUES (7601, 'r' || nextval('referral.refund_no_seq'), $1, $2)
$$;
-- a reward by payment and level, its number being the sequence's affair
CREATE FUNCTION bill.key(payment text, level integer) RETURNS text LANGUAGE sql AS $$
    SELECT referral.grant_key(p.program_id, p.payment_no * 16 + $2) FROM referral.payment p
    WHERE p.program_id = 7601 AND p.payment_id = $1
$$;
CREATE FUNCTION bill.claim(max integer DEFAULT NULL) RETURNS TABLE (payment_id text, user_id text, amount_micro bigint, currency text, attempts integer, status text, right_key boolean)
LANGUAGE sql AS $$
    SELECT c.payment_id, c.user_id, c.amount_micro, c.currency, c.attempts, c.status, c.grant_key = '7601-' || c.reward_id
    FROM referral.claim_grants($1) c
$$;
CREATE VIEW bill.grants AS
SELECT r.payment_id, r.level, g.state, g.attempts, g.error, g.claimed_at IS NOT NULL AS is_claimed, g.settled_at IS NOT NULL AS is_settled
FROM referral.reward_grant g JOIN referral.reward r USING (program_id, reward_id) WHERE program_id = 7601 ORDER BY reward_id;
CREATE FUNCTION bill.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT (referral.attribute(v.user_id, (referral.enroll(v.by)), at => now() - interval '30 days')).attributed
FROM (VALUES ('bob', 'ann'), ('cid', 'bob'), ('dan', 'ann')) v(user_id, by);
SELECT (referral.attribute('bob', referral.enroll('ann', program_id => 7602), at => now() - interval '30 days', program_id => 7602)).attributed;

-- 1. A row with each reward, where the program uses grants; claimed oldest first.
SELECT bill.pay('p2', 'cid', 10), bill.pay('p1', 'cid', 20), bill.pay('other', 'bob', 5, 7602);
SELECT * FROM bill.grants;
SELECT count(*) FROM referral.reward_grant WHERE program_id = 7602;
SELECT * FROM bill.claim(2);
SELECT * FROM bill.claim(0);
SELECT * FROM bill.claim(-1);
SELECT * FROM bill.claim();
SELECT * FROM bill.grants;

-- 2. Confirmed: once, and the payer's attribution is granted with the first.
SELECT user_id, granted_at IS NOT NULL AS is_granted FROM referral.attribution WHERE program_id = 7601 ORDER BY 1;
SELECT g.user_id, g.amount_micro, g.attempts, g.status FROM referral.confirm_grant(bill.key('p1', 1)) g;
SELECT user_id, granted_at IS NOT NULL AS is_granted FROM referral.attribution WHERE program_id = 7601 ORDER BY 1;
UPDATE referral.attribution SET granted_at = '2024-01-01' WHERE program_id = 7601 AND user_id = 'cid';
UPDATE referral.reward_grant SET settled_at = '2024-01-01' WHERE program_id = 7601 AND state = 'confirmed';
SELECT g.user_id, g.status FROM referral.confirm_grant(bill.key('p1', 1)) g UNION ALL SELECT g.user_id, g.status FROM referral.confirm_grant(bill.key('p1', 0)) g;
SELECT granted_at = '2024-01-01' AS kept FROM referral.attribution WHERE program_id = 7601 AND user_id = 'cid';
SELECT settled_at = '2024-01-01' AS kept FROM referral.reward_grant WHERE program_id = 7601 AND referral.grant_key(program_id, reward_id) = bill.key('p1', 1);

-- 3. Failed, tried again, confirmed after all.
SELECT g.status FROM referral.fail_grant(bill.key('p1', 2), 'account closed') g;
SELECT g.status FROM referral.fail_grant(bill.key('p1', 2), repeat('x', 2000)) g;
SELECT payment_id, level, state, length(error) FROM bill.grants WHERE state = 'failed';
SELECT * FROM bill.claim();
SELECT * FROM referral.recover_grants();
SELECT * FROM referral.recover_grants();
SELECT * FROM bill.claim();
SELECT g.status FROM referral.fail_grant(bill.key('p1', 2), NULL) g UNION ALL SELECT g.status FROM referral.confirm_grant(bill.key('p1', 2)) g;
SELECT bill.error(format('SELECT referral.fail_grant(%L, ''no'')', bill.key('p1', 2))) ~ '^RF011 grant_confirmed / Grant 7601-[0-9]+ was confirmed. / ' AS refused;

-- 4. Keys that are none.
SELECT key, bill.error(format('SELECT referral.confirm_grant(%L)', key)), left(bill.error(format('SELECT referral.fail_grant(%L, ''x'')', key)), 19)
FROM unnest(ARRAY['7601-1', '7601-9999999999999999999', '7601-', '', '-1', 'x', '7602-' || split_part(bill.key('p1', 1), '-', 2),
                  '07601-16', E'7601-1\n', repeat('9', 300), NULL]) key
WHERE key IS NULL OR key NOT LIKE '7602-%'
UNION ALL SELECT 'of another program', left(bill.error(format('SELECT referral.confirm_grant(%L, 7602)', bill.key('p1', 1))), 19), NULL
UNION ALL SELECT 'with zeros', left(bill.error(format('SELECT referral.confirm_grant(%L)', replace(bill.key('p1', 1), '-', '-0'))), 19), NULL;

-- 5. Refunds: what is granted is what is left; nothing left is void.
SELECT bill.pay('p3', 'cid', 9), bill.pay('p4', 'cid', 8), bill.pay('p5', 'cid', 7), bill.pay('p6', 'cid', 6);
SELECT bill.refund('p3', 333), bill.refund('p4', 1000);
SELECT * FROM bill.claim(4);
SELECT payment_id, level, state, is_settled FROM bill.grants WHERE payment_id IN ('p3', 'p4');
SELECT bill.refund('p3', 333), bill.refund('p5', 1000);
SELECT g.amount_micro, g.status FROM referral.confirm_grant(bill.key('p3', 1)) g;
-- refunded after it was claimed: the worker's word counts, else it ends with its claim
SELECT g.amount_micro, g.status FROM referral.fail_grant(bill.key('p5', 0), 'x') g;
SELECT * FROM referral.recover_grants();
SELECT payment_id, level, state FROM bill.grants WHERE payment_id = 'p5';
SELECT g.amount_micro, g.status FROM referral.fail_grant(bill.key('p5', 0), 'late') g UNION ALL SELECT g.amount_micro, g.status FROM referral.confirm_grant(bill.key('p5', 0)) g;
-- what the debt policy let go was not taken back
UPDATE referral.program SET debt_policy = 'only_pending' WHERE program_id = 7601;
SELECT bill.refund('p6', 1000);
SELECT * FROM bill.claim();

-- 6. A worker that is lost.
SELECT * FROM referral.recover_grants();
SAVEPOINT s;
UPDATE referral.reward_grant SET claimed_by = '{"pid": 0, "backend_start": "2024-01-01 00:00:00+00"}' WHERE program_id = 7601 AND state = 'claimed';
SELECT * FROM referral.recover_grants(2);
SELECT * FROM referral.recover_grants(0);
SELECT * FROM referral.recover_grants();
SELECT payment_id, attempts, status FROM bill.claim();
ROLLBACK TO s;
-- another session has got the number of his
UPDATE referral.reward_grant SET claimed_by = claimed_by || '{"backend_start": "2024-01-01 00:00:00+00"}' WHERE program_id = 7601 AND state = 'claimed';
SELECT * FROM referral.recover_grants();
ROLLBACK TO s;
-- his session is there, in whatever zone he told the time, but it takes him too long
SET timezone = 'Asia/Kathmandu';
SELECT * FROM referral.recover_grants();
UPDATE referral.reward_grant SET claimed_at = claimed_at - interval '15 minutes' WHERE program_id = 7601 AND state = 'claimed';
SELECT * FROM referral.recover_grants();
RESET timezone;
ROLLBACK TO s;
-- he comes back when it is another's, or open
UPDATE referral.reward_grant SET state = NULL WHERE program_id = 7601 AND state = 'claimed';
SELECT g.status FROM referral.fail_grant(bill.key('p6', 0), 'late') g UNION ALL SELECT g.status FROM referral.confirm_grant(bill.key('p6', 1)) g;
SELECT count(*) FROM bill.claim();

-- 7. Not before it is available; not while its owner is suspended.
UPDATE referral.program SET hold_days = 3 WHERE program_id = 7601;
SELECT bill.pay('held', 'cid', 1), bill.pay('old', 'cid', 6 * 1440);
SELECT s.user_id, s.suspended_at IS NOT NULL AS suspended FROM referral.suspend('bob', 'looks odd', 'op') s;
SELECT payment_id, user_id FROM bill.claim();
SELECT s.user_id, s.suspended_at IS NOT NULL AS suspended FROM referral.reinstate('bob', 'was not', 'op') s;
SELECT payment_id, user_id FROM bill.claim();

-- 8. Rows of one statement; a program that starts to use grants, and stops.
UPDATE referral.program SET hold_days = 0 WHERE program_id = 7601;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 7601, 'bulk' || i, 'cid', 1000, now() - interval '1 hour' FROM generate_series(1, 1500) i;
SELECT count(*), count(DISTINCT grant_key), sum(amount_micro) FROM referral.claim_grants(5000);
UPDATE referral.program SET uses_grants = false WHERE program_id = 7601;
SELECT bill.pay('p7', 'cid', 1);
SELECT * FROM bill.claim();
UPDATE referral.program SET uses_grants = true WHERE program_id = 7602;
SELECT bill.pay('p8', 'bob', 1, 7602);
SELECT g.payment_id, g.user_id, g.grant_key = '7602-' || g.reward_id AS right_key FROM referral.claim_grants(program_id => 7602) g;

SELECT * FROM referral.verify();
ROLLBACK;
