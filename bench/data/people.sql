-- Who refers whom, the same for every opponent. 10,000 trees of one shape: a
-- root (300000 + g), below it 200000 + g, below that 100000 + g, and under him
-- seven members who pay (7 * g + 1 .. 7 * g + 7). Tree 10,000 is the hot one:
-- 10,000 payers (70001 .. 80000) under the one referrer 110000.

CREATE SCHEMA bench;

CREATE FUNCTION bench.tree(payer bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN least((payer - 1) / 7, 10000);

CREATE TABLE bench.person AS
SELECT p.tree, p.member_id, p.referrer_id
FROM (SELECT g AS tree, 300000 + g AS member_id, NULL::bigint AS referrer_id, 1 AS place
      FROM generate_series(0::bigint, 10000) g
      UNION ALL SELECT g, 200000 + g, 300000 + g, 2 FROM generate_series(0, 10000) g
      UNION ALL SELECT g, 100000 + g, 200000 + g, 3 FROM generate_series(0, 10000) g
      UNION ALL SELECT bench.tree(n), n, 100000 + bench.tree(n), 4
      FROM generate_series(1, 80000) n) p
ORDER BY p.tree, p.place, p.member_id;

-- Everybody's first payment is made before anything is measured. It occurs at
-- the same instant as all others: one day of business, whose counters exist.
CREATE TABLE bench.first_payment AS
SELECT n, 'first' || n AS payment_id, n::text AS user_id, 10000000 + n AS amount_micro,
       timestamptz '2026-01-15 12:00+00' AS occurred_at
FROM generate_series(1, 80000) n;

-- Other people in their stead: first_id + 0, 1, ... pay, each after one of another
-- tree; the trees are new ones of the same shape.
CREATE PROCEDURE bench.fill_newcomers(first_id bigint, trees integer, payers integer)
    LANGUAGE sql AS $$
    TRUNCATE bench.person;
    INSERT INTO bench.person
    SELECT n % trees, first_id + n, first_id + payers + n % trees
    FROM generate_series(0, payers - 1) n
    UNION ALL
    SELECT n % trees, first_id + payers + n,
           CASE WHEN n < 2 * trees THEN first_id + payers + trees + n END
    FROM generate_series(0, 3 * trees - 1) n;
$$;

-- Payments that a statement takes from here, and every answer to them that the
-- floor needs.
CREATE UNLOGGED TABLE bench.bulk_payment (
    program_id bigint, payment_id text, user_id text, amount_micro bigint,
    occurred_at timestamptz, payment_no bigint);
CREATE UNLOGGED TABLE bench.bulk_reward (
    program_id bigint, reward_id bigint, member_id bigint, payer_id bigint, base_micro bigint,
    amount_micro bigint, flat_micro bigint, available_at timestamptz, rate_bps integer,
    tier integer, level smallint, payment_id text);
CREATE UNLOGGED TABLE bench.bulk_earning (
    member_id bigint, level smallint, amount_micro bigint, volume_micro bigint, rewards bigint,
    PRIMARY KEY (member_id, level));
CREATE UNLOGGED TABLE bench.bulk_paid (
    member_id bigint PRIMARY KEY, volume_micro bigint, payments bigint);

CREATE PROCEDURE bench.fill_bulk(first_no bigint, payments integer, first_payer bigint,
                                 last_payer bigint, each_once boolean DEFAULT false)
    LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE bench.bulk_payment, bench.bulk_reward, bench.bulk_earning, bench.bulk_paid;
    PERFORM setseed(0.5);
    INSERT INTO bench.bulk_payment
    SELECT 1, first_no + n,
           first_payer + CASE WHEN each_once THEN n - 1
                              ELSE floor(random() * (last_payer - first_payer + 1))::bigint END,
           1000000 + floor(random() * 99000000), '2026-01-15 12:00+00', first_no + n
    FROM generate_series(1, payments) n;
    INSERT INTO bench.bulk_reward
    SELECT 1, p.payment_no * 16 + r.level, r.level * 100000 + p.tree, p.user_id::bigint,
           p.amount_micro, p.amount_micro * r.rate_bps / 10000, 0, '2026-01-30 00:00+00',
           r.rate_bps, r.tier, r.level, p.payment_id
    FROM (SELECT *, bench.tree(user_id::bigint) AS tree FROM bench.bulk_payment OFFSET 0) p
    CROSS JOIN LATERAL (VALUES (1, 2 + (p.tree = 10000)::integer,
                                1250 + 250 * (p.tree = 10000)::integer),
                               (2, 1, 400), (3, 1, 100)) r (level, tier, rate_bps);
    INSERT INTO bench.bulk_earning
    SELECT member_id, level, sum(amount_micro), sum(base_micro), count(*)
    FROM bench.bulk_reward GROUP BY member_id, level ORDER BY member_id, level;
    INSERT INTO bench.bulk_paid
    SELECT user_id::bigint, sum(amount_micro), count(*)
    FROM bench.bulk_payment GROUP BY 1 ORDER BY 1;
    ANALYZE bench.bulk_payment, bench.bulk_reward, bench.bulk_earning, bench.bulk_paid;
END
$$;

-- Everybody's first payment, made before anything is measured. It occurs at the
-- same instant as all others: one day of business, whose counters exist.
INSERT INTO bench.bulk_payment
SELECT 1, 'first' || n, n, 10000000 + n, '2026-01-15 12:00+00', n
FROM generate_series(1, 80000) n;

-- In transactions of 1,000, since row triggers grow slow in long ones.
CREATE PROCEDURE bench.pay_in_batches(opponent text) LANGUAGE plpgsql AS $$
DECLARE
    low bigint;
    high bigint;
BEGIN
    SELECT min(payment_no), max(payment_no) INTO low, high FROM bench.bulk_payment;
    FOR batch IN 0..(high - low) / 1000 LOOP
        EXECUTE format(
            'INSERT INTO %I.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
             SELECT program_id, payment_id, user_id, amount_micro, occurred_at
             FROM bench.bulk_payment WHERE payment_no BETWEEN $1 AND $1 + 999
             ORDER BY payment_no', opponent)
        USING low + 1000 * batch;
        COMMIT;
    END LOOP;
END
$$;
