-- Holds (CONTRACT section 3.6): what C computes is what SQL says with AT TIME
-- ZONE, in zones whose clocks and calendars jump.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all

-- Clocks that change at midnight (Sao Paulo, Cairo, Santiago, Beirut, Havana,
-- Azores) or by half an hour, odd offsets, a day that never was (Apia).
CREATE TABLE told.zone AS
SELECT row_number() OVER () AS n, zone FROM unnest(ARRAY[
    'UTC', 'Europe/Berlin', 'America/Sao_Paulo', 'Africa/Cairo', 'Asia/Kathmandu', 'Pacific/Apia', 'America/Havana',
    'Atlantic/Azores', 'America/Santiago', 'Asia/Beirut', 'Australia/Lord_Howe', 'Africa/Monrovia', 'America/New_York', 'Asia/Tehran']) zone;
CREATE TABLE told.hold (days int);
INSERT INTO told.hold VALUES (0), (1), (30);
INSERT INTO referral.program (program_id, name, time_zone, hold_days)
SELECT 1000 * n + days, zone || ' ' || days, zone, days FROM told.zone, told.hold;
INSERT INTO referral.rate (program_id, level, rate_bps) SELECT program_id, 1, 10000 FROM referral.program;
DO $$
DECLARE
    p bigint;
BEGIN
    FOR p IN SELECT program_id FROM referral.program LOOP
        PERFORM set_config('referral.program_id', p::text, false);
        CALL join_by('b<a', at => '1970-01-01 00:00+00');
    END LOOP;
END $$;

-- Every local midnight of the months in which something happens, as the zone
-- has it, and the instants about it; the steps of a few whole days; edges.
CREATE TABLE told.moment AS
WITH midnight AS (
    SELECT n, zone, day::timestamp AT TIME ZONE zone AS at
    FROM told.zone, LATERAL (
        SELECT generate_series('2018-10-26'::timestamp, '2018-11-06', '1 day') UNION
        SELECT generate_series('2018-02-16'::timestamp, '2018-02-19', '1 day') UNION
        SELECT generate_series('2018-03-23'::timestamp, '2018-04-02', '1 day') UNION
        SELECT generate_series('2011-12-25'::timestamp, '2012-01-05', '1 day') UNION
        SELECT generate_series('2010-09-25'::timestamp, '2010-10-05', '1 day') UNION
        SELECT generate_series('2024-02-27'::timestamp, '2024-03-02', '1 day') UNION
        SELECT generate_series('1999-12-30'::timestamp, '2000-01-02', '1 day') UNION
        SELECT generate_series('1972-01-05'::timestamp, '1972-01-09', '1 day')) d(day))
SELECT DISTINCT n, zone, at + (step.minutes * interval '1 minute') + (step.us * interval '1 microsecond') AS at
FROM midnight, (VALUES (0, 0), (0, -1), (0, 1), (-60, 0), (60, 0), (-61, 0), (-30, 0), (30, 0), (61, -1), (61, 0), (120, 0), (720, 0), (-90, 0)) step(minutes, us);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT 1000 * n + days, extract(epoch FROM at)::text, 'b', 1, at FROM told.moment, told.hold;

ANALYZE;
CREATE VIEW told.held AS
SELECT p.program_id, time_zone AS zone, hold_days, occurred_at, r.available_at,
       occurred_at AT TIME ZONE time_zone AS local_time, r.member_id
FROM referral.payment p JOIN referral.program USING (program_id)
JOIN referral.reward r ON r.program_id = p.program_id AND r.reward_id = p.payment_no * 16 + 1;
CREATE FUNCTION told.expected(occurred_at timestamptz, zone text, hold_days int) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT CASE WHEN hold_days = 0 THEN occurred_at
                ELSE (l::date + hold_days + CASE WHEN l::time = '00:00' THEN 0 ELSE 1 END)::timestamp AT TIME ZONE zone END
    FROM (SELECT occurred_at AT TIME ZONE zone) local(l)
$$;
SELECT hold_days, count(*) > 2000 AS many, count(*) FILTER (WHERE available_at IS DISTINCT FROM expected(occurred_at, zone, hold_days)) AS wrong
FROM held GROUP BY hold_days ORDER BY hold_days;

-- Counters keep the same instants and the local day.
CREATE TABLE told.held_day AS
SELECT program_id, hold_days, local_time::date AS day, available_at, occurred_at, count(*) AS n FROM held GROUP BY 1, 2, 3, 4, 5;
SELECT count(*) AS wrong FROM (
    SELECT program_id, available_at, day, sum(n), sum(n) FROM held_day WHERE hold_days > 0 GROUP BY 1, 2, 3
    EXCEPT
    SELECT program_id, available_at, earned_on, sum(amount_micro), sum(rewards) FROM referral.earning GROUP BY 1, 2, 3) d;
-- Without a hold they keep the midnight before; where that was twice, never
-- one that lies ahead of the payment.
WITH payment AS (
    SELECT program_id, day, occurred_at, sum(n) OVER (PARTITION BY program_id, day ORDER BY occurred_at) AS available
    FROM held_day WHERE hold_days = 0)
SELECT count(*) > 2000 AS many,
       count(*) FILTER (WHERE available > (SELECT coalesce(sum(e.rewards), 0) FROM referral.earning e JOIN referral.member m USING (program_id, member_id)
           WHERE e.program_id = p.program_id AND m.user_id = 'a' AND earned_on = day AND e.available_at <= occurred_at)) AS wrong
FROM payment p;

-- A few to look at. Sao Paulo had no 00:00 on 2018-11-04; Apia had no
-- 2011-12-30; Havana and the Azores had 00:00 twice on the days shown.
SELECT zone, hold_days AS days, local_time, available_at, available_at AT TIME ZONE zone AS available_local FROM held
WHERE hold_days = 1 AND (zone, local_time) IN (
    ('America/Sao_Paulo', '2018-11-02 12:00'), ('America/Sao_Paulo', '2018-11-03 00:00'), ('America/Sao_Paulo', '2018-11-03 12:00'),
    ('Pacific/Apia', '2011-12-28 12:00'), ('Pacific/Apia', '2011-12-29 00:00'), ('Pacific/Apia', '2011-12-29 12:00'),
    ('America/Havana', '2018-11-03 12:00'), ('Atlantic/Azores', '2018-10-27 12:00'), ('Asia/Kathmandu', '2024-02-28 00:00'), ('Asia/Kathmandu', '2024-02-28 00:00:00.000001'))
ORDER BY zone COLLATE "C", occurred_at;

-- Paid invitees belong to the local month of the first payment.
INSERT INTO referral.program (program_id, name, time_zone) VALUES (1, 'month', 'Asia/Kathmandu');
SET referral.program_id = 1;
CALL join_by('b<a c<a d<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (1, 'b', 'b', 1, '2024-02-29 18:14:59.999999+00'), (1, 'c', 'c', 1, '2024-02-29 18:15+00'), (1, 'd', 'd', 1, '2024-03-31 18:14:59.999999+00');
SELECT month, sum(paid_invitees) FROM referral.invited WHERE program_id = 1 GROUP BY month ORDER BY month;

-- Without a hold what lies ahead is counted under its own instant.
INSERT INTO referral.program (program_id, name, hold_days) VALUES (2, 'ahead', 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 10000);
SET referral.program_id = 2;
CALL join_by('b<a');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES
    (2, 'ahead', 'b', 5, statement_timestamp() + interval '23 hours'), (2, 'behind', 'b', 3, statement_timestamp() - interval '1 second');
SELECT e.available_at = p.occurred_at AS its_own, sum(e.amount_micro) FROM referral.earning e, referral.payment p
WHERE e.program_id = 2 AND p.program_id = 2 AND p.payment_id = 'ahead' GROUP BY 1 ORDER BY 2;

SELECT * FROM referral.verify(NULL);
\c :outside
DROP DATABASE referral_payment;
