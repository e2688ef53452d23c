-- The books of one program whose size the calls of bench.fill_ledger() say. Beside
-- the people of people.sql there are
-- - 600000, who earns a tenth of all rewards on three levels: 100 members below him
--   (600001 .. 600100), ten below each of these (.. 601100), ten below those (.. 611100);
-- - 400001 .. 401000, each of whom has one invitee (500001 .. 501000) and 10 rewards.

\ir people.sql
INSERT INTO bench.person
SELECT 20000, 600000 + n, CASE WHEN n > 100 THEN 600000 + (n - 1) / 10 - 9
                               WHEN n > 0 THEN 600000 END
FROM generate_series(0, 11100) n
UNION ALL
SELECT 20000 + n, p.*
FROM generate_series(1, 1000) n, LATERAL (VALUES (400000 + n, NULL), (500000 + n, 400000 + n)) p;
DELETE FROM bench.bulk_payment WHERE payment_no > 1;
\ir ../opponents/referral.sql
ANALYZE;
SET client_min_messages = warning;
CALL referral.rebuild(1);     -- counts who is below whom

-- One of five shares of the payments that make so many rewards, which have no payer
-- and no beneficiary in common: 0 makes those of 600000 and whoever is below him, 4
-- those of 400001 to 401000, 1 to 3 those of the 10,000 trees. January has 30 days
-- here, and a statement takes in 500,000 payments.
CREATE PROCEDURE bench.fill_ledger(rewards bigint, share integer) LANGUAGE plpgsql AS $$
DECLARE
    payments CONSTANT bigint := CASE share WHEN 0 THEN rewards / 10 WHEN 4 THEN 10000
                                           ELSE (rewards * 74 / 100 - 10000) / 9 + 1 END;
BEGIN
    FOR batch IN 0..(payments - 1) / 500000 LOOP
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
        SELECT 1, 'ledger' || share || '-' || n,
               CASE WHEN share = 4 THEN 500001 + n % 1000
                    WHEN share > 0 THEN share * 23331 - n * 7919 % 23331
                    WHEN n % 10 = 0 THEN 600001 + n / 10 % 100
                    WHEN n % 10 < 3 THEN 600101 + n / 10 % 1000
                    ELSE 601101 + n % 10000 END,
               1000000 + n % 99000000,
               timestamptz '2026-01-02 12:00+00' + n * 30 / (payments + 1) * interval '1 day'
        FROM generate_series(1 + batch * 500000, least(payments, (batch + 1) * 500000)) n;
        COMMIT;
    END LOOP;
END
$$;
