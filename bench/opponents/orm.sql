-- The opponent that an application with an ORM is (orm.py): plpgsql's tables
-- with all that is in them, without its trigger.

CREATE SCHEMA orm;

DO $$
DECLARE
    source record;
BEGIN
    FOR source IN
        SELECT relname, reloptions FROM pg_class
        WHERE relnamespace = 'plpgsql'::regnamespace AND relkind = 'r'
    LOOP
        EXECUTE format('CREATE TABLE orm.%I (LIKE plpgsql.%I INCLUDING ALL)%s',
                       source.relname, source.relname,
                       ' WITH (' || array_to_string(source.reloptions, ', ') || ')');
        EXECUTE format('INSERT INTO orm.%I SELECT * FROM plpgsql.%I',
                       source.relname, source.relname);
    END LOOP;
END
$$;
VACUUM ANALYZE;

CREATE VIEW bench.orm_balance AS
SELECT member_id, level, amount_micro::numeric, volume_micro::numeric, deposits_micro::numeric,
       rewards::numeric
FROM orm.balance;
CREATE VIEW bench.orm_paid AS
SELECT member_id, volume_micro::numeric, payments::numeric
FROM orm.attribution WHERE payments > 0;

-- It is paid a part of the payments only, being slow. The books of that part, as
-- ours are; all payments are purchases of people whom somebody referred.
CREATE SCHEMA orm_part;
CREATE VIEW orm_part.payment AS
SELECT p.* FROM referral.payment p JOIN orm.payment USING (program_id, payment_id);
CREATE VIEW orm_part.reward AS
SELECT r.* FROM referral.reward r JOIN orm.payment USING (program_id, payment_id);
CREATE VIEW bench.orm_part_balance AS
SELECT member_id, level, sum(amount_micro) AS amount_micro, sum(base_micro) AS volume_micro,
       0::numeric AS deposits_micro, count(*)::numeric AS rewards
FROM orm_part.reward GROUP BY member_id, level;
CREATE VIEW bench.orm_part_paid AS
SELECT a.member_id, sum(p.amount_micro) AS volume_micro, count(*)::numeric AS payments
FROM orm_part.payment p JOIN referral.attribution a USING (program_id, user_id)
GROUP BY a.member_id;
