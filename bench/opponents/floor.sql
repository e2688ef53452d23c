-- The floor: our tables without triggers, and no logic at all. What is written
-- to them are the very same rows, their numbers, tiers and amounts known before.

CREATE SCHEMA floor;

-- LIKE copies columns, checks and indexes, but no fillfactor.
DO $$
DECLARE
    source record;
BEGIN
    FOR source IN
        SELECT relname, reloptions FROM pg_class
        WHERE oid IN ('referral.payment'::regclass, 'referral.reward'::regclass,
                      'referral.earning'::regclass, 'referral.paid'::regclass)
    LOOP
        EXECUTE format('CREATE TABLE floor.%I (LIKE referral.%I INCLUDING ALL)%s',
                       source.relname, source.relname,
                       ' WITH (' || array_to_string(source.reloptions, ', ') || ')');
    END LOOP;
END
$$;

INSERT INTO floor.payment SELECT * FROM referral.payment ORDER BY payment_no;
INSERT INTO floor.reward SELECT * FROM referral.reward ORDER BY reward_id;
INSERT INTO floor.earning
SELECT program_id, member_id, available_at, earned_on, level, 1, sum(amount_micro),
       sum(volume_micro), sum(deposits_micro), sum(rewards)
FROM referral.earning GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;
INSERT INTO floor.paid
SELECT program_id, member_id, 1, sum(volume_micro), sum(deposits_micro), sum(payments),
       sum(earning_payments)
FROM referral.paid GROUP BY 1, 2 ORDER BY 1, 2;
