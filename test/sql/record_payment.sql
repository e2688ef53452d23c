-- The idempotent form of a payment (CONTRACT section 1).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name, max_level, hold_days)
VALUES (1, 'one', 2, 0), (2, 'two', 2, 0);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1500), (1, 2, 400);
SET LOCAL referral.program_id = 1;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (referral.record_payment(' || call || '))::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT ok((referral.attribute('b', referral.enroll('a'))).attributed
          AND (referral.attribute('c', referral.enroll('b'))).attributed, 'a line of three');

SELECT is(pg_temp.outcome($$ 'p1', 'c', 2000 $$), '(p1,f,2,380)', 'new: what it earned');
SELECT is(pg_temp.outcome($$ 'p1', 'c', 2000 $$), '(p1,t,2,380)', 'again, the time left out');
SELECT is(pg_temp.outcome($$ 'p1', 'c', 2000, occurred_at => now() $$), '(p1,t,2,380)',
    'again, with the time it was given');
SELECT is(pg_temp.outcome(call), 'RF001 idempotency_conflict', 'conflict:' || call) FROM (VALUES
    ($$ 'p1', 'b', 2000 $$), ($$ 'p1', 'c', 2001 $$), ($$ 'p1', 'c', 2000, 2000 $$),
    ($$ 'p1', 'c', 2000, kind => 'deposit' $$),
    ($$ 'p1', 'c', 2000, occurred_at => now() - interval '1 s' $$)) t(call);
SELECT is(pg_temp.outcome($$ 'p3', 'b', 9999, 1000, 'fee', now() + interval '1 h' $$),
    '(p3,f,1,150)', 'on a base of its own');
SELECT is(pg_temp.outcome($$ 'p3', 'b', 9999, 1000, 'fee' $$), '(p3,t,1,150)', 'again');
SELECT is(pg_temp.outcome($$ 'p3', 'b', 9999, kind => 'fee' $$), 'RF001 idempotency_conflict', 'base left out');
SELECT is(pg_temp.outcome($$ 'p4', 'a', 5 $$), '(p4,f,0,0)', 'nobody referred him');
SELECT is(pg_temp.outcome($$ 'p4', 'a', 5 $$), '(p4,t,0,0)', 'again');
SELECT is(pg_temp.outcome($$ 'p1', 'c', 7, program_id => 2 $$), '(p1,f,0,0)', 'an id is a program''s own');
SELECT is(left(pg_temp.outcome(call), 5), code, call) FROM (VALUES
    ($$ '', 'c', 1 $$, '23514'), ($$ NULL, 'c', 1 $$, '23502'), ($$ repeat('x', 201), 'c', 1 $$, '23514'),
    ($$ 'q', '', 1 $$, '23514'), ($$ 'q', NULL, 1 $$, '23502'), ($$ 'q', 'c', NULL $$, '23502'),
    ($$ 'q', 'c', 1, kind => NULL $$, '23502'), ($$ 'q', 'c', -1 $$, '22003'),
    ($$ 'q', 'c', 1, -1 $$, '22003'), ($$ 'q', 'c', 1, program_id => 9 $$, '23503'),
    ($$ 'q', 'c', 1, occurred_at => now() + interval '25 h' $$, '22008'),
    ($$ 'q', 'c', 1, occurred_at => 'infinity' $$, '22008')) t(call, code);
SELECT results_eq('SELECT count(*), sum(amount_micro) FROM referral.payment WHERE program_id = 1',
    'VALUES (3::bigint, 12004::numeric)', 'each once');

SELECT * FROM finish();
ROLLBACK;
