-- The list of rewards with everything that can become of one, page by page,
-- against the same said the simplest way. The books are made by hand here, so
-- that open and closed rewards lie as no life of a program would leave them.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';
\set ON_ERROR_ROLLBACK on

INSERT INTO referral.program (program_id, name, hold_days) VALUES (75, 'rewards', 30);
SET LOCAL referral.program_id = '75';
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (75, 1, 1000);
SELECT (referral.attribute(u, referral.enroll('top'), NULL, '2024-01-01')).attributed
FROM unnest('{ann,bob}'::text[]) u;
SELECT referral.enroll('other') IS NOT NULL AS enrolled;

CREATE FUNCTION pg_temp.number_of(user_id text) RETURNS bigint LANGUAGE sql AS
    'SELECT m.member_id FROM referral.member m WHERE m.program_id = 75 AND m.user_id = $1';

-- 3,000 payments in the order of time, but for some; the last 300 are pending.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, occurred_at)
SELECT 75, 'p' || i, CASE WHEN i % 3 = 0 THEN 'bob' ELSE 'ann' END, 1000000, 10000 + i,
       CASE WHEN i > 2700 AND i % 10 > 0 THEN now()
            WHEN i % 100 = 77 THEN now()
            ELSE timestamptz '2024-01-02' + (i / 50 + i % 13) * interval '1 day' END
FROM generate_series(1, 3000) i;

-- What became of each: some reversed in full, some in part and let go in part;
-- then whatever is oldest used up, with a few left open and one used in part.
CREATE TEMP TABLE fate AS
SELECT r.reward_id, r.member_id, r.amount_micro, r.base_micro, r.available_at, n,
       CASE WHEN n % 41 = 0 THEN r.base_micro WHEN n % 17 = 0 THEN r.base_micro / 3 END AS given_back,
       CASE WHEN n % 82 = 0 OR n % 34 = 0 THEN 7 END AS let_go,
       row_number() OVER (ORDER BY r.available_at, r.reward_id) AS age
FROM (SELECT r.*, row_number() OVER (ORDER BY r.reward_id) AS n FROM referral.reward r WHERE program_id = 75) r;
INSERT INTO referral.refund_applied (program_id, payment_no, total_micro, refund_no, applied_at, refund_id)
SELECT 75, reward_id / 16, total, n, now(), 'f' || n || total
FROM fate, LATERAL (VALUES (given_back / 2), (given_back)) v(total) WHERE given_back IS NOT NULL;
INSERT INTO referral.write_off (program_id, reward_id, total_micro, amount_micro, applied_at)
SELECT 75, reward_id, total, part, now()
FROM fate, LATERAL (VALUES (given_back / 2, 3), (given_back, 4)) v(total, part) WHERE let_go IS NOT NULL;
ALTER TABLE fate ADD reversed bigint, ADD status text;
UPDATE fate SET reversed = coalesce(amount_micro * given_back / base_micro - coalesce(let_go, 0), 0);
UPDATE fate SET status = CASE WHEN reversed = amount_micro THEN 'reversed'
                              WHEN available_at > now() THEN 'pending'
                              WHEN age < 2000 AND n % 97 <> 5 AND (age + n) % 211 < 20 THEN 'spent'
                              WHEN age < 2000 AND n % 97 <> 5 THEN 'paid_out'
                              ELSE 'available' END;
INSERT INTO referral.reward_closed (program_id, member_id, status, reward_id)
SELECT 75, member_id, status, reward_id FROM fate WHERE status IN ('reversed', 'spent', 'paid_out');
INSERT INTO referral.settlement (program_id, member_id, reward_id, settlement_no, amount_micro, settler_no, kind)
SELECT 75, member_id, reward_id, n, amount_micro - reversed, 1, status FROM fate WHERE status IN ('spent', 'paid_out')
UNION ALL
SELECT 75, member_id, reward_id, n, 5, 1, 'spent' FROM fate WHERE status = 'available' AND n % 97 = 5;
UPDATE referral.earning e SET closed = c.closed, reversed_micro = c.reversed
FROM (SELECT r.available_at, (p.occurred_at AT TIME ZONE 'UTC')::date AS earned_on,
             count(*) FILTER (WHERE f.status IN ('reversed', 'spent', 'paid_out')) AS closed, sum(f.reversed) AS reversed
      FROM fate f JOIN referral.reward r USING (reward_id) JOIN referral.payment p USING (program_id, payment_id)
      WHERE r.program_id = 75 GROUP BY 1, 2) c
WHERE e.program_id = 75 AND e.member_id = pg_temp.number_of('top')
  AND e.available_at = c.available_at AND e.earned_on = c.earned_on;
SELECT status, count(*) FROM fate GROUP BY 1 ORDER BY 1;

-- Pages of every filter: how many were compared, and which differ.
CREATE TEMP VIEW asked AS
SELECT mask, CASE WHEN mask < 32 THEN ARRAY(SELECT s FROM unnest('{reversed,pending,available,paid_out,spent}'::text[])
                                       WITH ORDINALITY u(s, n) WHERE (mask * 2 >> n::integer) % 2 = 1) END AS status,
       max_rows, skip, before_n
FROM generate_series(0, 32) mask,
     (VALUES (3, 0, 2950), (2, 5, 2400), (3, 0, 1990), (40, 170, NULL), (40, 170, 1990), (3, 0, 600), (10000, 0, 12),
             (10000, 0, NULL)) page(max_rows, skip, before_n);
CREATE FUNCTION pg_temp.compare(every integer) RETURNS TABLE (compared bigint, empty bigint, different bigint, example text)
LANGUAGE sql AS $$
    SELECT count(*), count(*) FILTER (WHERE said = '{}'), count(*) FILTER (WHERE said <> expected),
           min(concat_ws(' ', a.status, a.max_rows, a.skip, a.before_n)) FILTER (WHERE said <> expected)
    FROM asked a
         LEFT JOIN fate b ON b.n = a.before_n,
         LATERAL (SELECT ARRAY(
             SELECT format('%s %s %s %s', f.n, l.status, l.reversed_micro, l.written_off_micro)
             FROM referral.list_rewards('top', a.status, a.max_rows, a.skip, b.reward_id) WITH ORDINALITY l
                  JOIN fate f ON f.reward_id = l.id
             ORDER BY l.ordinality)) s(said),
         LATERAL (SELECT ARRAY(
             SELECT format('%s %s %s %s', f.n, f.status, f.reversed,
                           CASE WHEN f.given_back IS NULL THEN 0 ELSE coalesce(f.let_go, 0) END)
             FROM fate f
             WHERE (a.status IS NULL OR f.status = ANY (a.status)) AND (b.n IS NULL OR f.n < b.n)
             ORDER BY f.n DESC LIMIT a.max_rows OFFSET a.skip)) e(expected)
    WHERE (32 - a.mask) % every = 0
$$;
SELECT * FROM pg_temp.compare(1);

-- Owed: what no reward covers is laid on available rewards in their order,
-- the oldest debt first, and what it uses up in full reads as used up.
INSERT INTO referral.settlement (program_id, member_id, reward_id, settlement_no, amount_micro, settler_no, kind)
SELECT 75, pg_temp.number_of('top'), 0, 10000 + i, 1500 + i, 1, CASE WHEN i % 2 = 0 THEN 'spent' ELSE 'paid_out' END
FROM generate_series(1, 40) i;
UPDATE referral.account SET adjusted_micro = 20000, paid_out_micro = 1000000,
       uncovered_micro = (SELECT sum(amount_micro) FROM referral.settlement WHERE program_id = 75 AND reward_id = 0)
WHERE program_id = 75 AND member_id = pg_temp.number_of('top');
DO $$
DECLARE
    queue record;
    reward record;
    owed bigint := (SELECT sum(amount_micro) FROM referral.settlement WHERE program_id = 75 AND reward_id = 0) - 20000;
    part bigint;
    rewards CURSOR FOR
        SELECT f.n, f.amount_micro - f.reversed
                    - (SELECT coalesce(sum(s.amount_micro), 0) FROM referral.settlement s
                       WHERE s.program_id = 75 AND s.reward_id = f.reward_id) AS remains
        FROM fate f WHERE f.status = 'available' ORDER BY f.age;
BEGIN
    OPEN rewards;
    FETCH rewards INTO reward;
    FOR queue IN SELECT * FROM referral.settlement WHERE program_id = 75 AND reward_id = 0 ORDER BY settlement_no LOOP
        queue.amount_micro := least(queue.amount_micro, owed);
        owed := owed - queue.amount_micro;
        WHILE queue.amount_micro > 0 LOOP
            part := least(queue.amount_micro, reward.remains);
            queue.amount_micro := queue.amount_micro - part;
            reward.remains := reward.remains - part;
            IF reward.remains = 0 THEN
                UPDATE fate SET status = queue.kind WHERE n = reward.n;
                FETCH rewards INTO reward;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
SELECT status, count(*) FROM fate GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.compare(3);

-- The next event lays it for real, and nothing reads otherwise than before.
SAVEPOINT laid;
SELECT referral.settle(75, pg_temp.number_of('top'), 'spent', 1, 0);
SELECT count(*) AS owed_still FROM referral.settlement WHERE program_id = 75 AND reward_id = 0 HAVING sum(amount_micro) > 20000;
SELECT f.status AS before, l.status AS after, count(*)
FROM referral.list_rewards('top', NULL, 10000) l JOIN fate f ON f.reward_id = l.id
WHERE l.status <> f.status OR l.reversed_micro <> f.reversed GROUP BY 1, 2;
SELECT status, count(*) FROM referral.reward_closed
WHERE program_id = 75 AND member_id = pg_temp.number_of('top') GROUP BY 1 ORDER BY 1;
ROLLBACK TO laid;

-- As much as adjustments cover is not owed; and more than there is takes all.
UPDATE referral.account SET adjusted_micro = 1000000
WHERE program_id = 75 AND member_id = pg_temp.number_of('top');
SELECT l.status, count(*) FROM referral.list_rewards('top', NULL, 10000) l GROUP BY 1 ORDER BY 1;
UPDATE referral.account SET adjusted_micro = -1000000, uncovered_micro = 9000000000000000000
WHERE program_id = 75 AND member_id = pg_temp.number_of('top');
INSERT INTO referral.settlement (program_id, member_id, reward_id, settlement_no, amount_micro, settler_no, kind)
VALUES (75, pg_temp.number_of('top'), 0, 20000, 9000000000000000000, 2, 'paid_out');
SELECT l.status, count(*) FROM referral.list_rewards('top', NULL, 10000) l GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM referral.list_rewards('top', '{available}');

-- A page costs a page: 20,000 rewards, most of them used up, and no filter
-- touches more than some thousands of buffers anywhere.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 75, 'q' || i, 'other', 1000, CASE WHEN i > 19000 THEN now() ELSE timestamptz '2024-01-02' + i * interval '1 minute' END
FROM generate_series(1, 20000) i, referral.attribute('other', referral.enroll('crowd'), NULL, '2024-01-01');
WITH used AS (
    INSERT INTO referral.reward_closed (program_id, member_id, status, reward_id)
    SELECT 75, r.member_id, CASE WHEN n % 100 = 0 THEN 'reversed' WHEN n % 2 = 0 THEN 'spent' ELSE 'paid_out' END, r.reward_id
    FROM (SELECT r.*, row_number() OVER (ORDER BY reward_id) n FROM referral.reward r
          WHERE program_id = 75 AND member_id = pg_temp.number_of('crowd')) r
    WHERE n <= 17000 RETURNING reward_id)
UPDATE referral.earning e SET closed = c.closed
FROM (SELECT r.available_at, (p.occurred_at AT TIME ZONE 'UTC')::date AS earned_on, count(*) AS closed
      FROM used JOIN referral.reward r USING (reward_id) JOIN referral.payment p USING (program_id, payment_id)
      WHERE r.program_id = 75 GROUP BY 1, 2) c
WHERE e.program_id = 75 AND e.member_id = pg_temp.number_of('crowd')
  AND e.available_at = c.available_at AND e.earned_on = c.earned_on;
CREATE FUNCTION pg_temp.touched(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || call INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END
$$;
SELECT count(*) AS pages,
       count(*) FILTER (WHERE pg_temp.touched(format('SELECT referral.list_rewards(''crowd'', %L, 20, 0, %L)',
                                                     a.status, before.id)) > 15000) AS dear
FROM (SELECT DISTINCT status FROM asked) a,
     LATERAL (SELECT NULL::bigint AS id
              UNION ALL SELECT reward_id FROM referral.reward
              WHERE program_id = 75 AND payment_id IN ('q19950', 'q18500', 'q12000', 'q1000')) before;
ROLLBACK;
