-- Spends, undone spends and corrections (CONTRACT section 5).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name, hold_days) VALUES (1, 'one', 0), (2, 'two', 0), (3, 'held', 30);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 10000), (2, 1, 10000), (3, 1, 10000);
SET LOCAL referral.program_id = 1;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    -- without the times
    EXECUTE 'SELECT concat_ws('','', ' || CASE WHEN call ~ '^ *adjust'
        THEN 'a.adjustment_id, a.user_id, a.amount_micro, a.note, a.actor'
        ELSE 's.spend_id, s.user_id, s.amount_micro, s.note, CASE WHEN s.unspent_at IS NULL THEN ''stands'' ELSE ''undone'' END'
        END || ') FROM referral.' || call || CASE WHEN call ~ '^ *adjust' THEN ' a' ELSE ' s' END INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- What stands on the account, and what of it rewards cover: payment=part.
CREATE FUNCTION pg_temp.account(who text, program bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT format('spent %s, adjusted %s, available %s', a.spent_micro, a.adjusted_micro,
                  referral.account_available(program, m.member_id))
    FROM referral.account a JOIN referral.member m USING (program_id, member_id)
    WHERE program_id = program AND user_id = who $$;
CREATE FUNCTION pg_temp.settled(who text, program bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s=%s %s', payment, amount, settler), ', ' ORDER BY reward_id = 0, payment, settler)
    FROM (SELECT s.reward_id, coalesce(r.payment_id, 'none') AS payment, sum(s.amount_micro) AS amount, p.spend_id AS settler
            FROM referral.settlement s
            JOIN referral.member m USING (program_id, member_id)
            JOIN referral.spend p ON p.program_id = s.program_id AND p.spend_no = s.settler_no AND s.kind = 'spent'
            LEFT JOIN referral.reward r ON r.program_id = s.program_id AND r.reward_id = s.reward_id
           WHERE s.program_id = program AND m.user_id = who
           GROUP BY 1, 2, 4) x $$;
SELECT ok((referral.attribute('b', referral.enroll('a', program_id => p), program_id => p)).attributed, 'b under a')
  FROM generate_series(1, 3) p;
SELECT is((referral.record_payment('r' || n, 'b', 100, program_id => p)).rewards, 1, 'a earned 100')
  FROM generate_series(1, 3) n, generate_series(1, 3) p;

-- Spending: oldest rewards first.
SELECT is(pg_temp.account('a'), 'spent 0, adjusted 0, available 300', 'three rewards of 100');
SELECT is(pg_temp.outcome($$ spend('a', 150, 's1') $$), 's1,a,150,stands', 'spends a part');
SELECT is(pg_temp.account('a'), 'spent 150, adjusted 0, available 150', 'which is gone');
SELECT is(pg_temp.settled('a'), 'r1=100 s1, r2=50 s1', 'of the oldest rewards');
SELECT is(pg_temp.outcome($$ spend('a', 30, 's2', 'a hat') $$), 's2,a,30,a hat,stands', 'with a note');
SELECT is(pg_temp.settled('a'), 'r1=100 s1, r2=50 s1, r2=30 s2', 'goes on where the first ended');

-- Once for each id.
SELECT is(pg_temp.outcome($$ spend('a', 150, 's1') $$), 's1,a,150,stands', 'again: the same answer');
SELECT is(pg_temp.outcome($$ spend('a', 30, 's2', 'a hat') $$), 's2,a,30,a hat,stands', 'again, with its note');
SELECT is(pg_temp.outcome(call), 'RF001 idempotency_conflict', 'conflict:' || call) FROM (VALUES
    ($$ spend('b', 150, 's1') $$), ($$ spend('a', 151, 's1') $$), ($$ spend('a', 150, 's1', 'note') $$),
    ($$ spend('a', 30, 's2') $$), ($$ spend('a', 30, 's2', 'two hats') $$), ($$ spend('a', 0, 's1') $$),
    ($$ spend('a', -150, 's1') $$), ($$ spend('a', NULL, 's1') $$)) t(call);
SELECT is(pg_temp.account('a'), 'spent 180, adjusted 0, available 120', 'nothing was done twice');
SELECT is(pg_temp.outcome($$ spend('a', 150, 's1', program_id => 2) $$), 's1,a,150,stands', 'an id is a program''s own');
SELECT is(pg_temp.account('a', 2), 'spent 150, adjusted 0, available 150', 'and so is the balance');

-- What is refused.
SELECT is(pg_temp.outcome(call), code, call) FROM (VALUES
    ($$ spend('nobody', 1, 's9') $$, 'RF003 unknown_member'),
    ($$ spend('nobody', 150, 's1') $$, 'RF003 unknown_member'),
    ($$ spend(NULL, 1, 's9') $$, 'RF003 unknown_member'),
    ($$ spend('a', 0, 's9') $$, '22003 amount is not positive'),
    ($$ spend('a', -1, 's9') $$, '22003 amount is not positive'),
    ($$ spend('a', NULL, 's9') $$, '22003 amount is not positive'),
    ($$ spend('a', -9223372036854775808, 's9') $$, '22003 amount is not positive'),
    ($$ spend('a', 121, 's9') $$, 'RF007 balance_insufficient'),
    ($$ spend('a', 9223372036854775807, 's9') $$, 'RF007 balance_insufficient'),
    ($$ spend('b', 1, 's9') $$, 'RF007 balance_insufficient'),
    ($$ spend('a', 1, 's9', program_id => 3) $$, 'RF007 balance_insufficient'),
    ($$ spend('a', 1, '') $$, '22023 invalid spend_id'),
    ($$ spend('a', 1, NULL) $$, '22023 invalid spend_id'),
    ($$ spend('a', 1, repeat('x', 201)) $$, '22023 invalid spend_id'),
    ($$ spend('a', 1, 's9', repeat('x', 2001)) $$, '22023 invalid note'),
    ($$ spend('a', 1, 's9', program_id => 9) $$, 'RF003 unknown_member'),
    ($$ unspend('s9') $$, 'RF010 unknown_spend'),
    ($$ unspend(NULL) $$, 'RF010 unknown_spend'),
    ($$ unspend('s2', 2) $$, 'RF010 unknown_spend'),
    ($$ adjust('nobody', 'j9', 1, 'why') $$, 'RF003 unknown_member'),
    ($$ adjust('a', 'j9', 0, 'why') $$, '22023 amount is zero'),
    ($$ adjust('a', 'j9', NULL, 'why') $$, '22023 amount is zero'),
    ($$ adjust('a', '', 1, 'why') $$, '22023 invalid adjustment_id'),
    ($$ adjust('a', NULL, 1, 'why') $$, '22023 invalid adjustment_id'),
    ($$ adjust('a', repeat('x', 201), 1, 'why') $$, '22023 invalid adjustment_id'),
    ($$ adjust('a', 'j9', 1, '') $$, '22023 invalid note'),
    ($$ adjust('a', 'j9', 1, NULL) $$, '22023 invalid note'),
    ($$ adjust('a', 'j9', 1, repeat('x', 2001)) $$, '22023 invalid note'),
    ($$ adjust('a', 'j9', 1, 'why', '') $$, '22023 invalid actor'),
    ($$ adjust('a', 'j9', 1, 'why', NULL) $$, '22023 invalid actor')) t(call, code);
SELECT is(pg_temp.account('a'), 'spent 180, adjusted 0, available 120', 'and nothing was done');
SELECT ok(referral.suspend('a', 'why', 'ops') IS NOT NULL, 'suspended');
SELECT is(pg_temp.outcome($$ spend('a', 1, 's9') $$), 'RF006 member_suspended', 'a suspended member spends nothing');
SELECT is(pg_temp.outcome($$ spend('a', 0, 's9') $$), 'RF006 member_suspended', 'which is said first');
SELECT is(pg_temp.outcome($$ spend('a', 150, 's1') $$), 's1,a,150,stands', 'but a known id is answered');
SELECT is(pg_temp.outcome($$ spend('a', 1, 's1') $$), 'RF001 idempotency_conflict', 'or conflicts');
SELECT is(pg_temp.outcome($$ unspend('s2') $$), 's2,a,30,a hat,undone', 'and a spend can be undone');
SELECT ok((referral.reinstate('a', NULL, 'ops')).suspended_at IS NULL, 'reinstated');

-- Undone spends.
SELECT is(pg_temp.account('a'), 'spent 150, adjusted 0, available 150', 'it came back');
SELECT is(pg_temp.settled('a'), 'r1=100 s1, r2=50 s1', 'to its rewards');
SELECT is(pg_temp.outcome($$ unspend('s2') $$), 's2,a,30,a hat,undone', 'once');
SELECT is(pg_temp.outcome($$ spend('a', 30, 's2', 'a hat') $$), 's2,a,30,a hat,undone', 'sending it again does not redo it');
SELECT is(pg_temp.account('a'), 'spent 150, adjusted 0, available 150', 'nothing happened');
SELECT is(pg_temp.outcome($$ spend('a', 150, 's3') $$), 's3,a,150,stands', 'the rest, to the last unit');
SELECT is(pg_temp.outcome($$ spend('a', 1, 's4') $$), 'RF007 balance_insufficient', 'and no more');
SELECT is(pg_temp.outcome($$ unspend('s1') $$), 's1,a,150,undone', 'the oldest is undone');
SELECT is(pg_temp.settled('a'), 'r2=50 s3, r3=100 s3', 'the other keeps what it used up');
SELECT is(pg_temp.outcome($$ spend('a', 120, 's4') $$), 's4,a,120,stands', 'a refused id is free');
SELECT is(pg_temp.settled('a'), 'r1=100 s4, r2=50 s3, r2=20 s4, r3=100 s3', 'the holes are filled first');
SELECT results_eq($$ SELECT s.spend_id COLLATE "default", s.spent_at <= clock_timestamp(), s.unspent_at > s.spent_at FROM referral.spend s WHERE s.program_id = 1 ORDER BY s.spend_no $$,
    $$ VALUES ('s1', true, true), ('s2', true, true), ('s3', true, NULL), ('s4', true, NULL) $$, 'the books of it');

-- Corrections.
SELECT is(pg_temp.outcome($$ adjust('a', 'j1', 70, 'goodwill', 'ann') $$), 'j1,a,70,goodwill,ann', 'adds');
SELECT is(pg_temp.account('a'), 'spent 270, adjusted 70, available 100', 'to what is available');
SELECT is(pg_temp.outcome($$ adjust('a', 'j1', 70, 'goodwill', 'ann') $$), 'j1,a,70,goodwill,ann', 'once');
SELECT is(pg_temp.outcome(call), 'RF001 idempotency_conflict', 'conflict:' || call) FROM (VALUES
    ($$ adjust('b', 'j1', 70, 'goodwill', 'ann') $$), ($$ adjust('a', 'j1', 71, 'goodwill', 'ann') $$),
    ($$ adjust('a', 'j1', 70, 'good', 'ann') $$), ($$ adjust('a', 'j1', 70, 'goodwill') $$),
    ($$ adjust('a', 'j1', 0, 'goodwill', 'ann') $$), ($$ adjust('a', 'j1', 70, NULL, 'ann') $$)) t(call);
SELECT is(pg_temp.outcome($$ spend('a', 100, 's5') $$), 's5,a,100,stands', 'what was added can be spent');
SELECT is(pg_temp.settled('a'), 'r1=100 s4, r2=50 s3, r2=20 s4, r2=30 s5, r3=100 s3, none=70 s5', 'and is no reward''s');
SELECT is(pg_temp.outcome($$ adjust('a', 'j2', -170, 'mistake', 'ann') $$), 'j2,a,-170,mistake,ann', 'takes off');
SELECT is(pg_temp.account('a'), 'spent 370, adjusted -100, available -170', 'below zero, too');
SELECT is(pg_temp.outcome($$ spend('a', 1, 's6') $$), 'RF007 balance_insufficient', 'with which nothing is spent');
SELECT is((referral.record_payment('r4', 'b', 100)).rewards, 1, 'the next reward');
SELECT is(pg_temp.account('a'), 'spent 370, adjusted -100, available -70', 'nets it');
SELECT is(pg_temp.outcome($$ adjust('a', 'j3', 80, 'sorry') $$), 'j3,a,80,sorry,' || session_user, 'by whoever is logged in');
SELECT is(pg_temp.settled('a'), 'r1=100 s4, r2=50 s3, r2=20 s4, r2=30 s5, r3=100 s3, r4=70 s5',
    'what no reward covered is owed by the next');
SELECT is(pg_temp.outcome($$ spend('a', 10, 's6') $$), 's6,a,10,stands', 'what is left');
SELECT is(pg_temp.outcome($$ adjust('a', 'j4', -9223372036854775808, 'all of it') $$), '22003 bigint out of range', 'to the end of numbers');
SELECT is(pg_temp.outcome($$ adjust('a', 'j1', 1, 'other', program_id => 2) $$), 'j1,a,1,other,' || session_user, 'an id is a program''s own');
SELECT ok(referral.suspend('a', 'why', 'ops') IS NOT NULL, 'suspended');
SELECT is(pg_temp.outcome($$ adjust('a', 'j5', 1, 'why', 'ann') $$), 'j5,a,1,why,ann', 'who is suspended can be corrected');
SELECT is_empty($$
    SELECT a.member_id FROM referral.account a
    WHERE a.spent_micro + a.paid_out_micro
          <> (SELECT coalesce(sum(s.amount_micro), 0) FROM referral.settlement s
              WHERE (s.program_id, s.member_id) = (a.program_id, a.member_id))
       OR a.spent_micro <> (SELECT coalesce(sum(s.amount_micro), 0) FROM referral.spend s
              WHERE (s.program_id, s.member_id) = (a.program_id, a.member_id) AND s.unspent_at IS NULL)
       OR a.adjusted_micro <> (SELECT coalesce(sum(j.amount_micro), 0) FROM referral.adjustment j
              WHERE (j.program_id, j.member_id) = (a.program_id, a.member_id)) $$, 'accounts are what the books say');

SELECT * FROM finish();
ROLLBACK;
