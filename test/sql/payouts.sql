-- Payouts, their destinations, their transitions and batches (CONTRACT section 5).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

INSERT INTO referral.program (program_id, name, hold_days, payout_min_micro, currency)
VALUES (1, 'one', 0, 50, 'USD'), (2, 'two', 0, 0, 'EUR'), (3, 'held', 30, 0, 'USD');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 10000), (2, 1, 10000), (3, 1, 10000);
SET LOCAL referral.program_id = 1;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    -- without the times, but whether there is an end
    EXECUTE 'SELECT concat_ws('','', p.id, p.user_id, p.amount_micro, p.network, p.address, p.status, p.reference, p.note,
                              CASE WHEN p.completed_at IS NOT NULL THEN ''ended'' END) FROM referral.' || call || ' p' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.account(who text, program bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT format('reserved %s, paid out %s, available %s', a.reserved_micro, a.paid_out_micro,
                  referral.account_available(program, m.member_id))
    FROM referral.account a JOIN referral.member m USING (program_id, member_id)
    WHERE program_id = program AND user_id = who $$;
CREATE FUNCTION pg_temp.settled(who text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s=%s %s', payment, amount, settler), ', ' ORDER BY payment, settler)
    FROM (SELECT coalesce(r.payment_id, 'none') AS payment, sum(s.amount_micro) AS amount, p.payout_id AS settler
            FROM referral.settlement s
            JOIN referral.member m USING (program_id, member_id)
            JOIN referral.payout p ON p.program_id = s.program_id AND p.payout_no = s.settler_no AND s.kind = 'paid_out'
            LEFT JOIN referral.reward r ON r.program_id = s.program_id AND r.reward_id = s.reward_id
           WHERE s.program_id = 1 AND m.user_id = who
           GROUP BY 1, 3) x $$;
CREATE PROCEDURE pg_temp.earn(who text, amount bigint, program bigint DEFAULT 1) LANGUAGE sql AS $$
    SELECT referral.attribute(who || '''s', referral.enroll(who, program_id => program), program_id => program);
    SELECT referral.record_payment(format('r%s', (SELECT count(*) + 1 FROM referral.payment WHERE program_id = program)),
                                   who || '''s', amount, program_id => program) $$;
CALL pg_temp.earn('a', 100);
CALL pg_temp.earn('a', 100);
CALL pg_temp.earn('a', 100);
CALL pg_temp.earn('a', 100, 2);
CALL pg_temp.earn('a', 100, 3);

-- Requests.
SELECT is(pg_temp.account('a'), 'reserved 0, paid out 0, available 300', 'three rewards of 100');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p1', 120, 'sepa', 'DE1') $$), 'p1,a,120,sepa,DE1,requested', 'asks for a part');
SELECT is(pg_temp.account('a'), 'reserved 120, paid out 0, available 180', 'which is reserved');
SELECT is(pg_temp.settled('a'), NULL, 'and settles nothing yet');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p1', 120, 'sepa', 'DE1') $$), 'p1,a,120,sepa,DE1,requested', 'again: the same');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p2') $$), 'p2,a,180,requested', 'all the rest, without a destination');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p2') $$), 'p2,a,180,requested', 'again: the same, though nothing is left');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p3') $$), 'RF007 balance_insufficient', 'nothing is left for another');
SELECT is(pg_temp.outcome(call), 'RF001 idempotency_conflict', 'conflict:' || call) FROM (VALUES
    ($$ request_payout('b', 'p1', 120, 'sepa', 'DE1') $$), ($$ request_payout('a', 'p1', 121, 'sepa', 'DE1') $$),
    ($$ request_payout('a', 'p1', NULL, 'sepa', 'DE1') $$), ($$ request_payout('a', 'p1', 120) $$),
    ($$ request_payout('a', 'p1', 120, 'sepa', 'DE2') $$), ($$ request_payout('a', 'p1', 120, 'swift', 'DE1') $$),
    ($$ request_payout('a', 'p1', 0, 'sepa', 'DE1') $$), ($$ request_payout('a', 'p1', 120, 'sepa') $$),
    ($$ request_payout('a', 'p2', 180) $$), ($$ request_payout('a', 'p2', NULL, 'sepa', 'DE1') $$)) t(call)
  WHERE referral.enroll('b') IS NOT NULL;
SELECT is(pg_temp.outcome($$ request_payout('a', 'p1', program_id => 2) $$), 'p1,a,100,requested', 'an id is a program''s own');
SELECT is(pg_temp.account('a', 2), 'reserved 100, paid out 0, available 0', 'and so is the balance');
SELECT is(pg_temp.account('a'), 'reserved 300, paid out 0, available 0', 'nothing was done twice');

-- What is refused, and in which order.
CALL pg_temp.earn('c', 80);
CALL pg_temp.earn('poor', 49);
SELECT is(pg_temp.outcome(call), code, call) FROM (VALUES
    ($$ request_payout('nobody', 'p9') $$, 'RF003 unknown_member'),
    ($$ request_payout('nobody', 'p1', 120, 'sepa', 'DE1') $$, 'RF003 unknown_member'),
    ($$ request_payout(NULL, 'p9') $$, 'RF003 unknown_member'),
    ($$ request_payout('c', '') $$, '22023 invalid payout_id'),
    ($$ request_payout('c', NULL) $$, '22023 invalid payout_id'),
    ($$ request_payout('c', repeat('x', 201)) $$, '22023 invalid payout_id'),
    ($$ request_payout('c', 'p9', 80, 'sepa') $$, '22023 invalid destination'),
    ($$ request_payout('c', 'p9', 80, NULL, 'DE1') $$, '22023 invalid destination'),
    ($$ request_payout('c', 'p9', 80, '', 'DE1') $$, '22023 invalid network'),
    ($$ request_payout('c', 'p9', 80, repeat('x', 101), 'DE1') $$, '22023 invalid network'),
    ($$ request_payout('c', 'p9', 80, 'sepa', '') $$, '22023 invalid address'),
    ($$ request_payout('c', 'p9', 80, 'sepa', repeat('x', 501)) $$, '22023 invalid address'),
    ($$ request_payout('c', 'p9', 0) $$, '22003 amount is not positive'),
    ($$ request_payout('c', 'p9', -1) $$, '22003 amount is not positive'),
    ($$ request_payout('c', 'p9', 49) $$, 'RF008 payout_below_minimum'),
    ($$ request_payout('b', 'p9', 49) $$, 'RF008 payout_below_minimum'),
    ($$ request_payout('b', 'p9', 50) $$, 'RF007 balance_insufficient'),
    ($$ request_payout('b', 'p9') $$, 'RF007 balance_insufficient'),
    ($$ request_payout('poor', 'p9') $$, 'RF008 payout_below_minimum'),
    ($$ request_payout('poor', 'p9', 49) $$, 'RF008 payout_below_minimum'),
    ($$ request_payout('c', 'p9', 81) $$, 'RF007 balance_insufficient'),
    ($$ request_payout('c', 'p9', 9223372036854775807) $$, 'RF007 balance_insufficient'),
    ($$ request_payout('a', 'p9', program_id => 3) $$, 'RF007 balance_insufficient'),
    ($$ request_payout('a', 'p9', program_id => 9) $$, 'RF003 unknown_member')) t(call, code);
SELECT ok(referral.suspend(who, 'why', 'ops') IS NOT NULL, 'suspended') FROM unnest('{a,c}'::text[]) who;
SELECT is(pg_temp.outcome($$ request_payout('c', 'p9') $$), 'RF006 member_suspended', 'a suspended member gets nothing');
SELECT is(pg_temp.outcome($$ request_payout('c', 'p9', 0) $$), 'RF006 member_suspended', 'which is said first');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p2') $$), 'p2,a,180,requested', 'but a known id is answered');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p2', 1) $$), 'RF001 idempotency_conflict', 'or conflicts');
SELECT is(pg_temp.outcome($$ payout_sent('p1', 'tx 1') $$), 'p1,a,120,sepa,DE1,sent,tx 1,ended', 'and what was asked for before is paid');
SELECT is(pg_temp.outcome($$ payout_cancel('p2') $$), 'p2,a,180,cancelled,ended', 'or taken back');
SELECT ok((referral.reinstate(who, NULL, 'ops')).suspended_at IS NULL, 'reinstated') FROM unnest('{a,c}'::text[]) who;
SELECT is(pg_temp.account('c'), 'reserved 0, paid out 0, available 80', 'what was refused did nothing');
SELECT is(pg_temp.outcome($$ request_payout('c', 'p9', 50) $$), 'p9,c,50,requested', 'and left the id free');

-- What sending, cancelling and failing does to the account.
SELECT is(pg_temp.account('a'), 'reserved 0, paid out 120, available 180', 'sent is paid out, cancelled available again');
SELECT is(pg_temp.settled('a'), 'r1=100 p1, r2=20 p1', 'the oldest rewards are used up');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p2') $$), 'p2,a,180,cancelled,ended', 'a cancelled request is not made anew');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p4', 80) $$), 'p4,a,80,requested', 'another');
SELECT is(pg_temp.outcome($$ request_payout('a', 'p5') $$), 'p5,a,100,requested', 'and another');
SELECT is(pg_temp.outcome($$ payout_failed('p4', 'no such account') $$), 'p4,a,80,failed,no such account,ended', 'one fails');
SELECT is(pg_temp.account('a'), 'reserved 100, paid out 120, available 80', 'which gives it back');
SELECT is(pg_temp.outcome($$ payout_sent('p5') $$), 'p5,a,100,sent,ended', 'the other is sent, without a reference');
SELECT is(pg_temp.account('a'), 'reserved 0, paid out 220, available 80', 'paid out');
SELECT is(pg_temp.settled('a'), 'r1=100 p1, r2=20 p1, r2=80 p5, r3=20 p5', 'settled in the order of sending');

-- Every transition, from every status: each payout was brought to its status by one path.
CREATE TEMP TABLE move (call text, reached text);
INSERT INTO move VALUES
    ('payout_processing(%L)', 'processing'), ('payout_sent(%L, ''ref'')', 'sent'),
    ('payout_failed(%L, ''why'')', 'failed'), ('payout_cancel(%L)', 'cancelled'),
    ('payout_sent(%L)', 'sent'), ('payout_failed(%L)', 'failed'),
    ('payout_sent(%L, ''other'')', 'sent'), ('payout_failed(%L, ''other'')', 'failed');
CREATE TEMP TABLE state (name text, path text[], allowed text[], replayed text[]);
INSERT INTO state VALUES
    ('requested', '{}', (SELECT array_agg(call) FROM move), '{}'),
    ('processing', '{payout_processing(%L)}', (SELECT array_agg(call) FROM move WHERE reached <> 'processing'), '{payout_processing(%L)}'),
    ('sent', '{payout_processing(%L),"payout_sent(%L, ''ref'')"}', '{}', '{"payout_sent(%L, ''ref'')"}'),
    ('failed', '{payout_processing(%L),"payout_failed(%L, ''why'')"}', '{}', '{"payout_failed(%L, ''why'')"}'),
    ('cancelled', '{payout_cancel(%L)}', '{}', '{payout_cancel(%L)}');
CREATE FUNCTION pg_temp.tried(path text[], call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text;
    answer text;
    after text;
BEGIN
    PERFORM referral.request_payout('t', 'try', 60);
    FOR i IN 1..cardinality(path) LOOP
        PERFORM pg_temp.outcome(format(path[i], 'try'));
    END LOOP;
    SELECT p.status || ': ' || pg_temp.account('t') INTO before FROM referral.get_payout(1, 'try') p;
    answer := pg_temp.outcome(format(call, 'try'));
    SELECT p.status || ': ' || pg_temp.account('t') INTO after FROM referral.get_payout(1, 'try') p;
    RAISE SQLSTATE 'UNDO1' USING MESSAGE = CASE WHEN answer = 'RF009 payout_not_actionable' AND before = after THEN 'refused'
                                                WHEN answer !~ '^try,t,60,' THEN answer
                                                WHEN before = after THEN 'replayed'
                                                ELSE after END;
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
    RETURN SQLERRM;
END $$;
CALL pg_temp.earn('t', 100);
SELECT is(pg_temp.tried(s.path, m.call),
          CASE WHEN m.call = ANY (s.replayed) THEN 'replayed'
               WHEN m.call <> ALL (s.allowed) THEN 'refused'
               ELSE m.reached || CASE m.reached WHEN 'processing' THEN ': reserved 60, paid out 0, available 40'
                                                WHEN 'sent' THEN ': reserved 0, paid out 60, available 40'
                                                ELSE ': reserved 0, paid out 0, available 100' END END,
          format('%s, then %s', s.name, format(m.call, 'try')))
  FROM state s, move m ORDER BY s.name, m.call;
SELECT is(pg_temp.outcome(call), code, call) FROM (VALUES
    ($$ payout_processing('p99') $$, 'RF010 unknown_payout'), ($$ payout_sent('p99', 'x') $$, 'RF010 unknown_payout'),
    ($$ payout_failed('p99', 'x') $$, 'RF010 unknown_payout'), ($$ payout_cancel('p99') $$, 'RF010 unknown_payout'),
    ($$ payout_cancel(NULL) $$, 'RF010 unknown_payout'), ($$ payout_cancel('p9', 2) $$, 'RF010 unknown_payout'),
    ($$ payout_sent('p9', repeat('x', 501)) $$, '22023 invalid reference'),
    ($$ payout_failed('p9', repeat('x', 4097)) $$, '22023 invalid reason')) t(call, code);

-- Destinations.
CREATE FUNCTION pg_temp.destination(args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT concat_ws('','', d.user_id, d.network, d.address, (d.set_at IS NOT NULL)::text)
             FROM referral.set_payout_destination(' || args || ') d' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.destination(args), answer, 'destination ' || args) FROM (VALUES
    ($$ 'c', 'sepa', 'DE5' $$, 'c,sepa,DE5,true'), ($$ 'c', 'sepa', 'DE5' $$, 'c,sepa,DE5,true'),
    ($$ 'c', 'sepa', NULL $$, '22023 invalid destination'), ($$ 'c', NULL, 'DE5' $$, '22023 invalid destination'),
    ($$ 'c', '', 'DE5' $$, '22023 invalid network'), ($$ 'c', 'sepa', '' $$, '22023 invalid address'),
    ($$ 'c', repeat('x', 101), 'DE5' $$, '22023 invalid network'), ($$ 'c', 'sepa', repeat('x', 501) $$, '22023 invalid address'),
    ($$ 'nobody', 'sepa', 'DE5' $$, 'RF003 unknown_member'), ($$ 'poor', NULL, NULL $$, 'poor,false'),
    ($$ 'c', 'chain', '0xf00' $$, 'c,chain,0xf00,true'), ($$ 'a', 'chain', '0xba5' $$, 'a,chain,0xba5,true'),
    ($$ 'a', NULL, NULL $$, 'a,false')) t(args, answer);
SELECT results_eq($$ SELECT member_id, network FROM referral.payout_destination $$,
    $$ SELECT member_id, 'chain'::text FROM referral.member WHERE program_id = 1 AND user_id = 'c' $$, 'the last one stands');
SELECT is(pg_temp.outcome($$ payout_cancel('p9') $$), 'p9,c,50,cancelled,ended', 'an older payout has none');
SELECT is(pg_temp.outcome($$ request_payout('c', 'p10', 50) $$), 'p10,c,50,chain,0xf00,requested', 'a later one has it');
SELECT is(pg_temp.outcome($$ request_payout('c', 'p10', 50, 'chain', '0xf00') $$), 'RF001 idempotency_conflict', 'which was not asked for');
SELECT is(pg_temp.destination($$ 'c', 'sepa', 'DE6' $$), 'c,sepa,DE6,true', 'moved');
SELECT is(pg_temp.outcome($$ request_payout('c', 'p10', 50) $$), 'p10,c,50,chain,0xf00,requested', 'a payout keeps its own');
SELECT is(pg_temp.outcome($$ payout_cancel('p10') $$), 'p10,c,50,chain,0xf00,cancelled,ended', 'taken back');

-- A batch: whoever is due.
CALL pg_temp.earn('z', 100, 2);
CALL pg_temp.earn('d', 500);
CALL pg_temp.earn('e', 500);
CALL pg_temp.earn('f', 500);
CALL pg_temp.earn('g', 40);
SELECT ok(referral.suspend('e', 'why', 'ops') IS NOT NULL, 'e is suspended');
SELECT is((referral.spend('f', 440, 'sf')).amount_micro, 440::bigint, 'f spent most');
SELECT is((referral.request_payout('d', 'pd', 100)).amount_micro, 100::bigint, 'd asked for a part');
SELECT is((referral.adjust('g', 'jg', 30, 'sorry', 'ops')).amount_micro, 30::bigint, 'g was given some');
SELECT ok((referral.adjust(referral_user, 'j' || referral_user, 60, 'sorry', 'ops')).amount_micro = 60, 'who earned nothing, too')
  FROM referral.enroll('given') code, (VALUES ('given')) v(referral_user);
CREATE FUNCTION pg_temp.batch(args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT string_agg(concat_ws('','', regexp_replace(b.id, ''\d+-[0-9a-f]{8}$'', ''#''), b.user_id, b.amount_micro, b.network,
                                         b.address, b.status, b.batch_id), '' '')
             FROM referral.payout_batch(' || args || ') b' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.batch(args), answer, 'batch ' || args) FROM (VALUES
    ($$ '' $$, '22023 invalid batch_id'), ($$ NULL $$, '22023 invalid batch_id'), ($$ repeat('x', 101) $$, '22023 invalid batch_id'),
    ($$ 'feb', 70 $$, 'feb-#,a,80,requested,feb feb-#,c,80,sepa,DE6,requested,feb feb-#,t,100,requested,feb feb-#,d,400,requested,feb feb-#,g,70,requested,feb'),
    ($$ 'feb', 70 $$, 'feb-#,a,80,requested,feb feb-#,c,80,sepa,DE6,requested,feb feb-#,t,100,requested,feb feb-#,d,400,requested,feb feb-#,g,70,requested,feb'),
    ($$ 'feb' $$, 'RF001 idempotency_conflict'), ($$ 'feb', 71 $$, 'RF001 idempotency_conflict'),
    ($$ 'mar' $$, 'mar-#,f,60,requested,mar mar-#,given,60,requested,mar'),
    ($$ 'apr', -5 $$, NULL), ($$ 'apr', -5 $$, NULL), ($$ 'apr', NULL $$, 'RF001 idempotency_conflict'),
    ($$ 'feb', 70, 2 $$, 'feb-#,z,100,requested,feb')) t(args, answer);
SELECT is(left(pg_temp.batch($$ 'feb', NULL, 9 $$), 5), '23503', 'of a program there is');
SELECT is(pg_temp.account('d'), 'reserved 500, paid out 0, available 0', 'all of it is reserved');
SELECT is(pg_temp.account('e'), 'reserved 0, paid out 0, available 500', 'but for who is suspended');
SELECT is(pg_temp.account('poor'), 'reserved 0, paid out 0, available 49', 'or has too little');
SELECT is(pg_temp.outcome(format('payout_sent(%L, ''run 1'')', b.id)), b.id || ',g,70,sent,run 1,ended', 'one of them is sent')
  FROM referral.payout_batch('feb', 70) b WHERE b.user_id = 'g';
SELECT is(pg_temp.settled('g'), 'none=30 ' || payout_id || ', r10=40 ' || payout_id, 'rewards first')
  FROM referral.payout WHERE program_id = 1 AND status = 'sent' AND reference = 'run 1';
SELECT matches(pg_temp.batch($$ 'feb', 70 $$), 'g,70,sent,feb$', 'the batch shows it as it stands');
SELECT is(pg_temp.outcome(format('request_payout(''c'', %L)', b.id)), 'RF001 idempotency_conflict', 'a batch''s id is nobody''s to ask for')
  FROM referral.payout_batch('feb', 70) b WHERE b.user_id = 'c';
SELECT is((referral.adjust('poor', 'jmax', 9223372036854775807, 'a lot', 'ops')).amount_micro, 9223372036854775807, 'who has more than a number holds');
SELECT is(pg_temp.batch($$ 'max' $$), 'max-#,poor,9223372036854775807,requested,max', 'is paid what it holds');

SELECT is((s.available_micro, s.paid_out_micro, s.reserved_micro)::text,
          (referral.account_available(1, m.member_id), a.paid_out_micro, a.reserved_micro)::text, 'a statement of now says what the account says')
  FROM referral.account a JOIN referral.member m USING (program_id, member_id), referral.statement(m.user_id) s
 WHERE program_id = 1 AND m.user_id IN ('a', 'c', 'd', 'g') ORDER BY m.user_id;

-- The payment run's list.
SELECT results_eq($$ SELECT batch_id COLLATE "default", user_id COLLATE "default", amount::text, amount_micro, currency, network, address, status FROM referral.payout_order
                     WHERE program_id = 1 AND user_id <> 'poor' $$,
    $$ VALUES (NULL, 'd', '0.000100', 100::bigint, 'USD', NULL, NULL, 'requested'), ('feb', 'a', '0.000080', 80, 'USD', NULL, NULL, 'requested'),
              ('feb', 'c', '0.000080', 80, 'USD', 'sepa', 'DE6', 'requested'), ('feb', 't', '0.000100', 100, 'USD', NULL, NULL, 'requested'),
              ('feb', 'd', '0.000400', 400, 'USD', NULL, NULL, 'requested'),
              ('mar', 'f', '0.000060', 60, 'USD', NULL, NULL, 'requested'), ('mar', 'given', '0.000060', 60, 'USD', NULL, NULL, 'requested') $$,
    'what is open, oldest first');
SELECT is(pg_temp.outcome('payout_processing(''pd'')'), 'pd,d,100,processing', 'begun');
SELECT is((SELECT status FROM referral.payout_order WHERE payout_id = 'pd'), 'processing', 'is open');
SELECT is(pg_temp.outcome('payout_sent(''pd'')'), 'pd,d,100,sent,ended', 'ended');
SELECT is_empty($$ SELECT FROM referral.payout_order WHERE payout_id = 'pd' $$, 'is not');
SELECT is((SELECT amount FROM referral.payout_order WHERE user_id = 'poor'), 9223372036854.775807, 'amounts are exact');

-- The books.
SELECT is_empty($$
    SELECT a.member_id FROM referral.account a,
        LATERAL (SELECT coalesce(sum(p.amount_micro) FILTER (WHERE p.status = 'sent'), 0) AS sent,
                        coalesce(sum(p.amount_micro) FILTER (WHERE p.status IN ('requested', 'processing')), 0) AS open
                 FROM referral.payout p WHERE (p.program_id, p.member_id) = (a.program_id, a.member_id)) p
    WHERE (a.paid_out_micro, a.reserved_micro) <> (p.sent, p.open)
       OR a.paid_out_micro + a.spent_micro <> (SELECT coalesce(sum(s.amount_micro), 0) FROM referral.settlement s
              WHERE (s.program_id, s.member_id) = (a.program_id, a.member_id)) $$, 'accounts are what the books say');
SELECT is_empty($$
    SELECT FROM referral.payout p
    WHERE (p.completed_at < p.requested_at OR p.processing_at NOT BETWEEN p.requested_at AND coalesce(p.completed_at, p.processing_at))
       OR (p.reference IS NOT NULL) AND p.status <> 'sent' OR (p.note IS NOT NULL) AND p.status <> 'failed' $$, 'and payouts make sense');
SELECT * FROM finish();
ROLLBACK;

-- What is summed after a lock needs a snapshot of then.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(1);
SELECT throws_ok($$ SELECT referral.payout_batch('late', NULL, 1) $$, '0A000', 'payout_batch needs isolation level read committed',
    'not with an older snapshot');
ROLLBACK;
