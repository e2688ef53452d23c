-- Many payments of several programs and zones in one statement give the same
-- books as one by one: payers, tiers, caps, review and days all mixed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

-- Programs 1 to 3 get them at once, 11 to 13 one by one, 21 to 23 by the hundred.
CREATE TABLE told.copy (program_id bigint, of bigint);
INSERT INTO copy SELECT o + 10 * c, o FROM generate_series(1, 3) o, generate_series(0, 2) c;
INSERT INTO referral.program (program_id, name, max_level, hold_days, time_zone, earning_days, qualify_days, referrer_monthly_cap)
SELECT program_id, 'bulk ' || program_id, of + 1, (ARRAY[0, 14, 30])[of], (ARRAY['UTC', 'America/Sao_Paulo', 'Asia/Kathmandu'])[of],
       (ARRAY[NULL, 300, NULL])[of], (ARRAY[NULL, NULL, 60])[of], (ARRAY[NULL, NULL, 3])[of] FROM copy;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
SELECT program_id, t, t::text, 2 * (t - 1) FROM copy, generate_series(1, 3) t WHERE of <> 2;
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro)
SELECT program_id, 1, 'bulk', '2023-01-01', '2025-01-01', 2, 30000000 FROM copy;
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro, max_payments)
SELECT program_id, 0, 0, l, 1000 / (l + 1), 0, NULL FROM copy, generate_series(1, 4) l UNION ALL
SELECT program_id, 0, t, 1, 500 * (t + 1), t, CASE t WHEN 3 THEN 20 END FROM copy, generate_series(2, 3) t WHERE of <> 2 UNION ALL
SELECT program_id, 1, 0, 0, 200, 5, 3 FROM copy;
-- A tree of 120, five below each; every seventh by the campaign's code.
DO $$
DECLARE
    p bigint;
BEGIN
    FOR p IN SELECT program_id FROM told.copy ORDER BY 1 LOOP
        PERFORM set_config('referral.program_id', p::text, false);
        FOR i IN 1..120 LOOP
            CALL join_by(format('u%s<u%s', i, (i - 1) / 5), at => '2024-01-01 00:00+00'::timestamptz + i * interval '1 hour',
                         campaign => CASE WHEN i % 7 = 0 THEN 1 ELSE 0 END);
        END LOOP;
        CALL hold('{u50,u100,u119}');
    END LOOP;
END $$;
CREATE TABLE told.batch AS
SELECT i, 1 + i % 3 AS of, 'p' || i AS payment_id, 'u' || (i * 7919 % 131) AS user_id, (i::bigint * 104729) % 3000000 AS amount_micro,
       CASE WHEN i % 11 = 0 THEN (i::bigint * 7) % 100000 END AS base_micro, CASE WHEN i % 13 = 0 THEN 'deposit' ELSE 'purchase' END AS kind,
       '2024-01-05 00:00+00'::timestamptz + (i * 7907 % 500000) * interval '1 minute' AS occurred_at
FROM generate_series(1, 20000) i;

INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
SELECT of, payment_id, user_id, amount_micro, base_micro, kind, occurred_at FROM batch ORDER BY i;
CREATE PROCEDURE told.in_steps(nth int, step int) LANGUAGE plpgsql AS $$
BEGIN
    FOR k IN 1..20000 BY step LOOP
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at)
        SELECT of + 10 * nth, payment_id, user_id, amount_micro, base_micro, kind, occurred_at
        FROM told.batch WHERE i BETWEEN k AND k + step - 1 ORDER BY i;
        IF k % 37 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$;
CREATE UNIQUE INDEX ON told.batch (i);
ANALYZE told.batch;
CALL in_steps(1, 1);
CALL in_steps(2, 100);
SELECT * FROM compare(1, 11, 11) UNION ALL SELECT * FROM compare(1, 21, 21) UNION ALL
SELECT * FROM compare(2, 12, 12) UNION ALL SELECT * FROM compare(2, 22, 22) UNION ALL
SELECT * FROM compare(3, 13, 13) UNION ALL SELECT * FROM compare(3, 23, 23);

-- That there is something to compare, of every kind.
SELECT substring(line FROM '^\w+') AS kind, count(*) FROM generate_series(1, 3) p, books(p) line GROUP BY 1 ORDER BY 1;
SELECT program_id, decision, count(*), count(qualified_at), count(rewarded_at) FROM referral.attribution WHERE program_id < 10 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT program_id, count(*), sum(amount_micro), count(DISTINCT tier) AS tiers, count(DISTINCT level) AS levels FROM referral.reward WHERE program_id < 10 GROUP BY 1 ORDER BY 1;

-- Both indexes of the rewards lead to each of them, also those fed sorted.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM referral.reward r WHERE program_id = 1 AND NOT EXISTS (
    SELECT FROM referral.reward s WHERE s.program_id = 1 AND s.member_id = r.member_id AND s.reward_id = r.reward_id AND s.ctid = r.ctid);
CREATE EXTENSION amcheck;
SELECT bool_and(bt_index_check(c.oid, heapallindexed => true) IS NOT NULL) AS sound FROM pg_class c
WHERE relnamespace = 'referral'::regnamespace AND relkind = 'i';

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
