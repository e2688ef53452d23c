-- Every way of writing refunds gives the same books; what no refund may be
-- leaves no trace; refunds that come before their payment wait for it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set ECHO none
\i :include
\set ECHO all
\set VERBOSITY sqlstate

INSERT INTO referral.program (program_id, name, max_level, hold_days)
SELECT n, 'path ' || n, 2, 0 FROM generate_series(1, 9) n;
INSERT INTO referral.rate (program_id, level, rate_bps) SELECT p, l, 1000 * (l + 1) FROM generate_series(1, 9) p, generate_series(0, 2) l;
DO $$
BEGIN
    FOR p IN 1 .. 9 LOOP
        PERFORM set_config('referral.program_id', p::text, false);
        CALL told.join_by('b<a c<b d<b');
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
        SELECT p, 'p' || n, (ARRAY['c', 'd'])[n % 2 + 1], 1000 + n, '2024-02-01'
        FROM generate_series(1, 6) n;
    END LOOP;
END $$;
CREATE TABLE told.refund AS
SELECT n, 'r' || n AS refund_id, 'p' || (n % 6 + 1) AS payment_id, 100 + n AS amount_micro
FROM generate_series(1, 24) n;
CREATE ROLE regress_refund_clerk;
GRANT USAGE ON SCHEMA referral, told TO regress_refund_clerk;
GRANT INSERT ON referral.refund TO regress_refund_clerk;
GRANT SELECT ON told.refund TO regress_refund_clerk;

-- 1: row by row; 2: one statement; 3: COPY; 4: ON CONFLICT DO NOTHING, each twice;
-- 5: MERGE; 6: in a data-modifying CTE; 7: a role that may INSERT and nothing
-- else; 8: record_refund(), in savepoints some of which fail; 9: before the
-- payment, see below.
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT * FROM told.refund ORDER BY n LOOP
        INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
        VALUES (1, r.refund_id, r.payment_id, r.amount_micro);
    END LOOP;
END $$;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 2, refund_id, payment_id, amount_micro FROM told.refund ORDER BY n;
COPY referral.refund (program_id, refund_id, payment_id, amount_micro)
FROM PROGRAM 'seq 24 | awk ''{ printf "3\tr%d\tp%d\t%d\n", $1, $1 % 6 + 1, 100 + $1 }''';
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 4, refund_id, payment_id, amount_micro FROM told.refund, generate_series(1, 2) ORDER BY n
ON CONFLICT DO NOTHING;
MERGE INTO referral.refund f USING (SELECT * FROM told.refund ORDER BY n) r
ON f.program_id = 5 AND f.refund_id = r.refund_id
WHEN NOT MATCHED THEN INSERT (program_id, refund_id, payment_id, amount_micro)
VALUES (5, r.refund_id, r.payment_id, r.amount_micro);
WITH written AS (
    INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
    SELECT 6, refund_id, payment_id, amount_micro FROM told.refund ORDER BY n RETURNING 1)
SELECT count(*) FROM written;
SET ROLE regress_refund_clerk;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
SELECT 7, refund_id, payment_id, amount_micro FROM told.refund ORDER BY n;
SELECT count(*) FROM referral.refund;
RESET ROLE;
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT * FROM told.refund ORDER BY n LOOP
        PERFORM referral.record_refund(r.refund_id, r.payment_id, r.amount_micro, program_id => 8);
        PERFORM referral.record_refund(r.refund_id, r.payment_id, r.amount_micro, program_id => 8);
        BEGIN
            PERFORM referral.record_refund(r.refund_id || '!', r.payment_id, r.amount_micro, program_id => 8);
            RAISE 'undone' USING ERRCODE = 'RF999';
        EXCEPTION WHEN SQLSTATE 'RF999' THEN NULL;
        END;
        BEGIN
            PERFORM referral.record_refund(r.refund_id || '!', r.payment_id, 10000, program_id => 8);
        EXCEPTION WHEN numeric_value_out_of_range THEN NULL;
        END;
    END LOOP;
END $$;
-- What became of them, without the numbers that depend on chance.
CREATE FUNCTION told.refunded(p bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s %s %s', y.payment_id, a.total_micro, a.refund_id)
    FROM referral.refund_applied a JOIN referral.payment y USING (program_id, payment_no)
    WHERE a.program_id = p
    UNION ALL
    SELECT format('%s %s %s %s %s', m.user_id, e.level, e.earned_on, sum(e.amount_micro), sum(e.reversed_micro))
    FROM referral.earning e JOIN referral.member m USING (program_id, member_id)
    WHERE e.program_id = p GROUP BY m.user_id, e.level, e.earned_on
    UNION ALL
    SELECT format('waits %s %s', payment_id, refund_id) FROM referral.refund_waiting WHERE program_id = p
$$;
SELECT * FROM refunded(1) ORDER BY 1;
SELECT p, count(*) AS differences
FROM generate_series(2, 8) p, LATERAL (
    (SELECT refunded(1) EXCEPT ALL SELECT refunded(p)) UNION ALL (SELECT refunded(p) EXCEPT ALL SELECT refunded(1))) d
GROUP BY p;
SELECT * FROM referral.verify();

-- What no refund may be; the neighbour in the statement goes with it.
SELECT everything() AS before \gset
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'x', 'p1', 0);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'x', 'p1', -5);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'x', 'p1', 1001);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'x', 'p1', 9223372036854775807);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, '', 'p1', 1);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'x', '', 1);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, repeat('x', 201), 'p1', 1);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, reason) VALUES (1, 'ok', 'p1', 1, NULL), (1, 'x', 'p1', 1, repeat('x', 1001));
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, occurred_at) VALUES (1, 'ok', 'p1', 1, now()), (1, 'x', 'p1', 1, 'infinity');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, occurred_at) VALUES (1, 'ok', 'p1', 1, now()), (1, 'x', 'p1', 1, now() + interval '25 hours');
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (77, 'x', 'p1', 1);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', 1), (1, 'r1', 'p1', 1);
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'ok', 'p1', NULL);
UPDATE referral.refund SET amount_micro = 1;
DELETE FROM referral.refund;
TRUNCATE referral.refund;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'r1', 'p1', 5)
ON CONFLICT (program_id, refund_id) DO UPDATE SET amount_micro = 5;
SELECT everything() = :'before' AS nothing_was_written;
\set VERBOSITY default

-- Before the payment: by an earlier statement, in the order they came; one
-- that does not fit stays.
SET referral.program_id = 9;
SELECT * FROM referral.record_refund('early-1', 'late', 400);
SELECT * FROM referral.record_refund('early-2', 'late', 700);
SELECT * FROM referral.record_refund('early-3', 'late', 500);
SELECT * FROM referral.record_refund('early-1', 'late', 400);
SELECT refunded(9) ORDER BY 1;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (9, 'neighbour', 'd', 1000, '2024-02-02'), (9, 'late', 'c', 1000, '2024-02-02');
SELECT refunded(9) ORDER BY 1;
SELECT * FROM referral.record_refund('early-1', 'late', 400);
SELECT * FROM referral.record_refund('early-2', 'late', 700);
SELECT invariant, subject FROM referral.verify(9);
-- No room is kept for the one that waits.
SELECT * FROM referral.record_refund('later', 'late', 100);
SELECT referral.apply_waiting(9, '{late}');

-- In one statement with its payment, whichever trigger is first.
WITH f AS (INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'at once', 'at once', 600) RETURNING 1),
     p AS (INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'at once', 'c', 600, '2024-02-02') RETURNING 1)
SELECT count(*) FROM f, p;
WITH p AS (INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'at last', 'c', 600, '2024-02-02') RETURNING 1),
     f AS (INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'at last', 'at last', 600) RETURNING 1)
SELECT count(*) FROM f, p;
WITH p AS (INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, 'at first', 'c', 600, '2024-02-02'))
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'at first', 'at first', 600);
SELECT refund_id, total_micro FROM referral.refund_applied WHERE program_id = 1 AND refund_id LIKE 'at %' ORDER BY 1;
SELECT count(*) AS waiting FROM referral.refund_waiting WHERE program_id = 1;
SELECT * FROM referral.verify(1);

-- Rows of several programs in one statement, in transactions that are undone.
BEGIN;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) SELECT p, 'all', 'p1', 50 FROM generate_series(1, 9) p;
SELECT count(*) FROM referral.refund_applied WHERE refund_id = 'all';
SAVEPOINT s;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) SELECT p, 'more', 'p2', 50 FROM generate_series(1, 9) p;
ROLLBACK TO s;
COMMIT;
SELECT refund_id, count(*) FROM referral.refund_applied WHERE refund_id IN ('all', 'more') GROUP BY 1;
SELECT count(*) FROM referral.verify();

-- Not seen by a trigger: it waits for backfill(), as its payment may.
SET session_replication_role = replica;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (2, 'unseen', 'p3', 10), (2, 'unseen too', 'unseen payment', 10);
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (2, 'unseen payment', 'c', 10, '2024-02-02');
RESET session_replication_role;
SELECT refund_id, taken_in FROM referral.refund WHERE refund_id LIKE 'unseen%' ORDER BY 1;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (2, 'seen', 'unseen payment', 1);
SELECT refund_id FROM referral.refund_waiting WHERE program_id = 2;
SELECT referral.take_in_refunds(2, '{unseen,unseen too,unseen,r1,nothing}');
SELECT refund_id FROM referral.refund_waiting WHERE program_id = 2 ORDER BY 1;
SELECT referral.take_in(2, '{unseen payment}');
SELECT refund_id FROM referral.refund_waiting WHERE program_id = 2 ORDER BY 1;
SELECT total_micro, refund_id FROM referral.refund_applied a JOIN referral.payment p USING (program_id, payment_no)
WHERE a.program_id = 2 AND p.payment_id IN ('unseen payment', 'p3') ORDER BY p.payment_id, 1;
SELECT invariant, subject FROM referral.verify(2);

-- A payment that waits for its payer's review: so do its refunds, within its base.
SET referral.program_id = 3;
UPDATE referral.attribution SET decision = 'review_required', qualified_at = NULL, rewarded_at = NULL WHERE program_id = 3 AND user_id = 'd';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (3, 'held', 'd', 1000, '2024-02-03');
SELECT * FROM referral.record_refund('held-1', 'held', 600);
SELECT * FROM referral.record_refund('held-2', 'held', 401);
SELECT * FROM referral.record_refund('held-2', 'held', 400);
SELECT referral.apply_waiting(3, '{held}');
SELECT refund_id FROM referral.refund_waiting WHERE program_id = 3 ORDER BY 1;

DROP OWNED BY regress_refund_clerk;
DROP ROLE regress_refund_clerk;
\c :outside
DROP DATABASE referral_payment;
