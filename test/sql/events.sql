-- The outbox: next_events(), what leaves events, and what they say (CONTRACT section 6).
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

-- Facts must not depend on who numbers them.
SET LOCAL TimeZone = 'Asia/Tokyo';
SET LOCAL DateStyle = 'German, DMY';
INSERT INTO referral.program (program_id, name, max_level, hold_days, currency) VALUES (1, 'one', 2, 30, 'USD'), (2, 'two', 1, 0, 'EUR');
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 1, 'Bronze', 0), (1, 2, 'Silver', 3), (1, 3, 'Gold', 6);
INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (1, 0, 0, 100), (1, 0, 1, 1000), (1, 2, 1, 1500), (1, 0, 2, 500), (2, 0, 1, 1000);
SET LOCAL referral.program_id = 1;

-- A worker: what came after the position that he keeps. Numbers that no test
-- can know are told by what they stand for.
CREATE TABLE pg_temp.worker (program bigint PRIMARY KEY, last_id bigint);
INSERT INTO pg_temp.worker SELECT n, (SELECT last_value - (NOT is_called)::integer FROM referral.event_id_seq) FROM generate_series(1, 3) n;
CREATE FUNCTION pg_temp.news(program bigint DEFAULT 1, at_most integer DEFAULT 1000) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    came referral.event_row;
    data jsonb;
BEGIN
    FOR came IN SELECT * FROM referral.next_events((SELECT w.last_id FROM pg_temp.worker w WHERE w.program = news.program), at_most, program) LOOP
        data := came.data;
        IF data ? 'reward_id' THEN
            data := jsonb_set(data, '{reward_id}', (SELECT to_jsonb(r.payment_id || '/' || r.level) FROM referral.reward r
                                                   WHERE r.program_id = program AND r.reward_id = (data ->> 'reward_id')::bigint));
        ELSIF data ? 'attribution_id' THEN
            data := jsonb_set(data, '{attribution_id}', (SELECT to_jsonb(a.user_id) FROM referral.attribution a
                                                   WHERE a.program_id = program AND a.attribution_id = (data ->> 'attribution_id')::bigint));
        END IF;
        UPDATE pg_temp.worker w SET last_id = came.id WHERE w.program = news.program AND w.last_id < came.id;
        RETURN NEXT concat_ws(' ', came.kind, came.user_id, CASE WHEN came.created_at NOT BETWEEN now() AND statement_timestamp() THEN 'at another time' END, data);
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.pending(program bigint DEFAULT 1) RETURNS bigint LANGUAGE sql AS
    'SELECT count(*) FROM referral.event_pending WHERE program_id = pending.program';
CREATE FUNCTION pg_temp.join_by(who text, whom text, program bigint DEFAULT 1) RETURNS boolean LANGUAGE sql AS
    $$ SELECT attributed FROM referral.attribute(who, referral.enroll(whom, program_id => program), at => '2024-01-01 00:00+00', program_id => program) $$;
CREATE FUNCTION pg_temp.pay(id text, who text, amount bigint DEFAULT 1000, program bigint DEFAULT 1) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
    VALUES (program, id, who, amount, '2024-02-01 12:00+00') $$;
CREATE FUNCTION pg_temp.refund(id text, payment text, amount bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, id, payment, amount) $$;
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT count(*) || '' rows'' FROM referral.' || call INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.join_by(who, whom), true, who || ' under ' || whom)
FROM (VALUES ('a', 'top'), ('u1', 'a'), ('u2', 'a'), ('u3', 'a'), ('u4', 'a'), ('u5', 'a'), ('u6', 'a'), ('v1', 'b'), ('v2', 'b')) t(who, whom);

-- Off, which it is until somebody turns it on: nothing anywhere.
SELECT is(event_days, NULL, 'off by default') FROM referral.program WHERE program_id = 1;
SELECT pg_temp.pay('off', 'u1');
SELECT pg_temp.refund('off', 'off', 100);
SELECT referral.set_tier('b', 2);
UPDATE referral.tier SET min_paid_invitees = 2 WHERE program_id = 1 AND tier = 2;
UPDATE referral.tier SET min_paid_invitees = 3 WHERE program_id = 1 AND tier = 2;
UPDATE referral.program SET auto_tier = NOT auto_tier WHERE program_id = 1;
UPDATE referral.program SET auto_tier = NOT auto_tier WHERE program_id = 1;
SELECT is(ARRAY[(SELECT count(*) FROM referral.event_pending), (SELECT count(*) FROM referral.event), (SELECT count(*) FROM referral.event_tier)],
    '{0,0,0}', 'off: nothing is kept');
SELECT is(pg_temp.outcome('next_events()'), '0 rows', 'and nothing told');

-- On.
UPDATE referral.program SET event_days = 30 WHERE program_id = 1;
SELECT results_eq($$ SELECT m.user_id, t.tier FROM referral.event_tier t JOIN referral.member m USING (program_id, member_id) WHERE program_id = 1 $$,
    $$ VALUES ('b' COLLATE "C", 2) $$, 'on: tiers above the lowest are taken for told');
SELECT is_empty('SELECT pg_temp.news()', 'what happened before is not told');
UPDATE referral.program SET event_days = 40 WHERE program_id = 1;
UPDATE referral.program SET name = 'uno' WHERE program_id = 1;
SELECT is_empty('SELECT pg_temp.news()', 'nor anything about the change itself');

-- Rewards, on all levels, and a tier that is crossed.
SELECT pg_temp.pay('p2', 'u2', 1999);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'reward_created u2 {"level": 0, "currency": "USD", "reward_id": "p2/0", "payment_id": "p2", "amount_micro": 19, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u2"}',
    'reward_created a {"level": 1, "currency": "USD", "reward_id": "p2/1", "payment_id": "p2", "amount_micro": 199, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u2"}',
    'reward_created top {"level": 2, "currency": "USD", "reward_id": "p2/2", "payment_id": "p2", "amount_micro": 99, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u2"}'],
    'one for each reward');
SELECT is_empty('SELECT pg_temp.news()', 'once');
SELECT pg_temp.pay('p3', 'u3', 10);
SELECT pg_temp.pay('p4', 'u4', 10);
SELECT pg_temp.pay('p4 again', 'u4', 10);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'reward_created a {"level": 1, "currency": "USD", "reward_id": "p3/1", "payment_id": "p3", "amount_micro": 1, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u3"}',
    'reward_created a {"level": 1, "currency": "USD", "reward_id": "p4/1", "payment_id": "p4", "amount_micro": 1, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u4"}',
    'tier_changed a {"new_tier": 2, "old_tier": 1, "tier_label": "Silver"}',
    'reward_created a {"level": 1, "currency": "USD", "reward_id": "p4 again/1", "payment_id": "p4 again", "amount_micro": 1, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "u4"}'],
    'a tier that rose; a reward of nothing is none');
SELECT pg_temp.pay('none', 'nobody');
SELECT pg_temp.pay('deposit', 'u5', 0);
SELECT is_empty('SELECT pg_temp.news()', 'payments that earn nothing');

-- Reversals: what this refund took, and all of them together as of now.
SELECT pg_temp.refund('r1', 'p2', 1000);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'reward_reversed u2 {"currency": "USD", "reward_id": "p2/0", "payment_id": "p2", "amount_micro": 9, "reversed_micro": 9}',
    'reward_reversed a {"currency": "USD", "reward_id": "p2/1", "payment_id": "p2", "amount_micro": 99, "reversed_micro": 99}',
    'reward_reversed top {"currency": "USD", "reward_id": "p2/2", "payment_id": "p2", "amount_micro": 49, "reversed_micro": 49}'],
    'in part');
SELECT pg_temp.refund('r2', 'p2', 1);
UPDATE referral.program SET debt_policy = 'only_pending' WHERE program_id = 1;
SELECT pg_temp.refund('r3', 'p2', 500);
UPDATE referral.program SET debt_policy = 'unlimited' WHERE program_id = 1;
SELECT pg_temp.refund('r4', 'p2', 498);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'reward_reversed u2 {"currency": "USD", "reward_id": "p2/0", "payment_id": "p2", "amount_micro": 5, "reversed_micro": 14}',
    'reward_reversed a {"currency": "USD", "reward_id": "p2/1", "payment_id": "p2", "amount_micro": 50, "reversed_micro": 149}',
    'reward_reversed top {"currency": "USD", "reward_id": "p2/2", "payment_id": "p2", "amount_micro": 25, "reversed_micro": 74}'],
    'to the end, less what the debt policy let go, which is no event');

-- Attributions.
UPDATE referral.code SET cap = 0 WHERE program_id = 1 AND user_id = 'b';
SELECT pg_temp.pay('capped', 'v1');
SELECT referral.emit_event(1, 'attribution_decided', attribution_id, state)
FROM referral.attribution, unnest('{review_required,approved,rejected}'::text[]) state WHERE program_id = 1 AND user_id = 'v2';
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'attribution_decided v1 {"decision": "capped", "attribution_id": "v1", "referrer_user_id": "b"}',
    'attribution_decided v2 {"decision": "review_required", "attribution_id": "v2", "referrer_user_id": "b"}',
    'attribution_decided v2 {"decision": "approved", "attribution_id": "v2", "referrer_user_id": "b"}',
    'attribution_decided v2 {"decision": "rejected", "attribution_id": "v2", "referrer_user_id": "b"}'],
    'attributions');

-- Payouts: each move once; batches.
SELECT pg_temp.outcome(call) FROM (VALUES ($$ adjust('u6', 'j1', 1000, 'money') $$), ($$ adjust('u5', 'j2', 600, 'money') $$), ($$ adjust('u4', 'j3', 499, 'money') $$)) t(call);
SELECT pg_temp.outcome(call) FROM (VALUES
    ($$ request_payout('u6', 'sent', 100, 'sepa', 'DE1') $$), ($$ request_payout('u6', 'sent', 100, 'sepa', 'DE1') $$), ($$ request_payout('u6', 'sent', 101) $$),
    ($$ payout_processing('sent') $$), ($$ payout_processing('sent') $$), ($$ payout_sent('sent', 'tx') $$), ($$ payout_sent('sent', 'tx') $$), ($$ payout_cancel('sent') $$),
    ($$ request_payout('u6', 'failed', 50) $$), ($$ payout_failed('failed', 'why') $$),
    ($$ request_payout('u6', 'cancelled', 30) $$), ($$ payout_cancel('cancelled') $$), ($$ request_payout('u6', 'too much', 10000) $$)) t(call);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    'payout_moved u6 {"status": "requested", "currency": "USD", "payout_id": "sent", "amount_micro": 100}',
    'payout_moved u6 {"status": "processing", "currency": "USD", "payout_id": "sent", "amount_micro": 100}',
    'payout_moved u6 {"status": "sent", "currency": "USD", "payout_id": "sent", "amount_micro": 100}',
    'payout_moved u6 {"status": "requested", "currency": "USD", "payout_id": "failed", "amount_micro": 50}',
    'payout_moved u6 {"status": "failed", "currency": "USD", "payout_id": "failed", "amount_micro": 50}',
    'payout_moved u6 {"status": "requested", "currency": "USD", "payout_id": "cancelled", "amount_micro": 30}',
    'payout_moved u6 {"status": "cancelled", "currency": "USD", "payout_id": "cancelled", "amount_micro": 30}'],
    'payouts');
SELECT is(pg_temp.outcome(call), '2 rows', 'a batch:' || call) FROM (VALUES ($$ payout_batch('feb', 500) $$), ($$ payout_batch('feb', 500) $$)) t(call);
SELECT results_eq($$ SELECT regexp_replace(n, 'feb-\d+-[0-9a-f]{8}', 'feb-*') FROM pg_temp.news() n $$, ARRAY[
    'payout_moved u5 {"status": "requested", "currency": "USD", "payout_id": "feb-*", "amount_micro": 600}',
    'payout_moved u6 {"status": "requested", "currency": "USD", "payout_id": "feb-*", "amount_micro": 900}'],
    'requests each of its payouts once');

-- Tiers: by hand, by the rules, by a change of the rules.
SELECT referral.set_tier('a', 3), referral.set_tier('a', 3), referral.set_tier('u1', 1);
SELECT results_eq('SELECT pg_temp.news()', ARRAY['tier_changed a {"new_tier": 3, "old_tier": 2, "tier_label": "Gold"}'], 'pinned; to where he stands: none');
SELECT referral.set_tier('a', NULL);
SELECT results_eq('SELECT pg_temp.news()', ARRAY['tier_changed a {"new_tier": 2, "old_tier": 3, "tier_label": "Silver"}'], 'given back to the rules');
SELECT referral.set_tier('a', 3);
SELECT referral.set_tier('a', NULL);
SELECT is_empty('SELECT pg_temp.news()', 'there and back between two readings: nothing is told');
SELECT is(pg_temp.pending(), 0::bigint, 'and nothing left');
UPDATE referral.tier SET label = 'Gold!' WHERE program_id = 1 AND tier = 3;
UPDATE referral.tier SET min_paid_invitees = 50 WHERE program_id = 1 AND tier = 3;
UPDATE referral.tier SET min_paid_invitees = 9 WHERE program_id = 1 AND tier = 2;
SELECT is_empty('SELECT pg_temp.news()', 'a label; thresholds that rise, which take nobody down');
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 4, 'Black', 60);
UPDATE referral.tier SET min_paid_invitees = CASE tier WHEN 2 THEN 1 WHEN 3 THEN 2 ELSE 4 END WHERE program_id = 1 AND tier > 1;
SELECT results_eq('SELECT pg_temp.news()', ARRAY['tier_changed a {"new_tier": 4, "old_tier": 2, "tier_label": "Black"}'], 'thresholds that fall');
UPDATE referral.program SET auto_tier = false WHERE program_id = 1;
SELECT pg_temp.pay('v2 pays', 'v2', 0), pg_temp.join_by('w1', 'c'), pg_temp.join_by('w2', 'c');
SELECT pg_temp.pay('w1', 'w1', 1), pg_temp.pay('w2', 'w2', 1);
SELECT is_empty('SELECT pg_temp.news()', 'not by the rules');
UPDATE referral.program SET auto_tier = true WHERE program_id = 1;
SELECT results_eq('SELECT pg_temp.news()', ARRAY['tier_changed c {"new_tier": 3, "old_tier": 1, "tier_label": "Gold!"}'], 'by the rules again');

-- What was never told is the lowest tier: the one that was the lowest then.
SELECT referral.enroll('new', program_id => 2) <> '', pg_temp.join_by('x1', 'd', 2), pg_temp.join_by('x2', 'd', 2);
UPDATE referral.program SET event_days = 1 WHERE program_id = 2;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (2, 5, 'five', 0), (2, 6, 'six', 2);
SELECT results_eq('SELECT n FROM pg_temp.news(2) n ORDER BY n', ARRAY[
    'tier_changed d {"new_tier": 5, "old_tier": 0, "tier_label": "five"}', 'tier_changed new {"new_tier": 5, "old_tier": 0, "tier_label": "five"}',
    'tier_changed x1 {"new_tier": 5, "old_tier": 0, "tier_label": "five"}', 'tier_changed x2 {"new_tier": 5, "old_tier": 0, "tier_label": "five"}'], 'the first tiers');
SELECT referral.enroll('later', program_id => 2) <> '';
UPDATE referral.tier SET min_paid_invitees = min_paid_invitees + 1 WHERE program_id = 2;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (2, 1, 'one', 0);
SELECT is_empty('SELECT pg_temp.news(2)', 'a lower one, which takes nobody down');
SELECT referral.set_tier('later', 1, program_id => 2);
SELECT results_eq('SELECT pg_temp.news(2)', ARRAY['tier_changed later {"new_tier": 1, "old_tier": 5, "tier_label": "one"}'], 'so that the next event says where he stood');

-- Two programs: each has its own, in the order of one sequence.
SELECT referral.emit_events(2, 'tier_check', array_agg(n), NULL) FROM generate_series(-1200, -1) n;
SELECT pg_temp.pay('same', 'u1', 10), pg_temp.pay('same', 'x1', 20, 2);
SELECT is((SELECT count(*) FROM pg_temp.news()), 1::bigint, 'what is pending of another program is not in the way');
SELECT pg_temp.pay('same again', 'u1', 10);
SELECT results_eq('SELECT pg_temp.news(2)', ARRAY[
    'reward_created d {"level": 1, "currency": "EUR", "reward_id": "same/1", "payment_id": "same", "amount_micro": 2, "available_at": "2024-02-01T12:00:00+00:00", "payer_user_id": "x1"}'],
    'program 2');
SELECT is(pg_temp.pending(), 1::bigint, 'leaves what is of program 1');
SELECT is((SELECT count(*) FROM pg_temp.news()), 1::bigint, 'which gets it');
SELECT is(pg_temp.outcome($$ next_events(program_id => 3) $$), '0 rows', 'a program without anything');
SELECT is(pg_temp.outcome($$ next_events(program_id => -9) $$), '0 rows', 'no program');

-- Limits, positions, resumption: 2,500 of which a worker reads some at a time.
SELECT referral.emit_events(1, 'attribution_decided', array_agg((SELECT attribution_id FROM referral.attribution WHERE program_id = 1 AND user_id = 'v2')), 'approved')
FROM generate_series(1, 2500) n;
SELECT is(pg_temp.pending(), 2500::bigint, '2,500 are pending');
SELECT is((SELECT count(*) FROM pg_temp.news(1, 3)), 3::bigint, '3 asked for');
SELECT is(pg_temp.pending(), 1500::bigint, '1,000 numbered at once');
SELECT is((SELECT count(*) FROM pg_temp.news(1, 0)), 0::bigint, 'none asked for');
SELECT is(pg_temp.pending(), 500::bigint, 'another 1,000 numbered');
SELECT is((SELECT count(*) FROM pg_temp.news(1, at_most)), expected, 'at most ' || coalesce(at_most::text, 'null'))
FROM (VALUES (1, 1::bigint), (NULL, 100), (-1, 100), (-2147483648, 100), (2000, 2000), (2147483647, 196), (5, 0)) t(at_most, expected);
SELECT setval('referral.event_id_seq', last_value + 1, false) = last_value + 1 FROM referral.event_id_seq;
SELECT is(pg_temp.outcome(format('next_events(%s, 1)', after)), expected, label) FROM (VALUES
    ('NULL', '1 rows', 'after null'), ('-1', '1 rows', 'before all'), ('-9223372036854775808', '1 rows', 'far before all'), ('9223372036854775807', '22023 unknown_position', 'far behind all'),
    ((SELECT last_value - 1 FROM referral.event_id_seq)::text, '0 rows', 'after the last'), ((SELECT last_value FROM referral.event_id_seq)::text, '22023 unknown_position', 'after the next')) t(after, expected, label);
SELECT is((SELECT count(*) FROM referral.next_events(0, 2147483647)), (SELECT count(*) FROM referral.event WHERE program_id = 1), 'all of them, from the beginning');
SELECT results_eq('SELECT id FROM referral.next_events(0, 10000)', 'SELECT event_id FROM referral.event WHERE program_id = 1 ORDER BY event_id', 'in order');
SELECT is_empty('SELECT FROM (SELECT id, lag(id) OVER () AS before FROM referral.next_events(0, 10000)) e WHERE id <= before', 'which rises');
-- The defaults.
SELECT is((SELECT count(*) FROM referral.next_events()), 100::bigint, 'next_events() without arguments');

-- More tiers to be compared than a batch has, none of which moved.
SELECT referral.emit_events(1, 'tier_check', array_agg((SELECT member_id FROM referral.member WHERE program_id = 1 AND user_id = 'a')), NULL) FROM generate_series(1, 2200) n;
SELECT pg_temp.pay('behind', 'u1', 10);
SELECT is((SELECT count(*) FROM pg_temp.news(1, 1)), 1::bigint, 'an answer is empty only if there is nothing');

-- What is rolled back comes again, under a higher number.
SELECT pg_temp.pay('again', 'u1', 10);
SAVEPOINT reading;
SELECT id AS first_id FROM referral.next_events((SELECT last_id FROM pg_temp.worker WHERE program = 1)) \gset
ROLLBACK TO reading;
SELECT is(pg_temp.pending(), 1::bigint, 'rolled back: pending again');
SELECT cmp_ok((SELECT id FROM referral.next_events(:first_id)), '>', :first_id::bigint, 'and read by who goes on after what he read then');
SELECT is((SELECT count(*) FROM pg_temp.news()), 1::bigint, 'as by who does not');

-- Names are data.
SELECT pg_temp.join_by(E'\\"}\n\t''--', E'{"a": [1]}\u202e');
SELECT pg_temp.pay(E'</script>"\\u0000{}', E'\\"}\n\t''--', 10);
SELECT results_eq('SELECT pg_temp.news()', ARRAY[
    E'reward_created {"a": [1]}\u202e {"level": 1, "currency": "USD", "reward_id": "</script>\\"\\\\u0000{}/1", "payment_id": "</script>\\"\\\\u0000{}", "amount_micro": 1, "available_at": "2024-03-03T00:00:00+00:00", "payer_user_id": "\\\\\\"}\\n\\t''--"}',
    E'tier_changed {"a": [1]}\u202e {"new_tier": 2, "old_tier": 1, "tier_label": "Silver"}'],
    'whatever they contain');
SELECT pg_temp.pay('largest', 'v2', 4000000000000000000);
UPDATE referral.code SET cap = NULL WHERE program_id = 1 AND user_id = 'b';
SELECT pg_temp.pay('largest', 'x2', 4000000000000000000, 2);
SELECT is((SELECT count(*) FROM pg_temp.news(2)), 1::bigint, 'a large one');
SELECT is((SELECT data -> 'amount_micro' FROM referral.event WHERE program_id = 2 AND data ->> 'payment_id' = 'largest'), '400000000000000000', 'is exact');
-- What cannot be told stops nobody.
SELECT is(count(*), 1::bigint, 'v2 is capped') FROM pg_temp.news();
SELECT referral.emit_event(1, kind, -1, 'x') FROM unnest('{nonsense,reward_created,reward_reversed,tier_check,attribution_decided,payout_moved}'::text[]) kind;
SELECT is_empty('SELECT pg_temp.news()', 'events of nothing');
SELECT is(pg_temp.pending(), 0::bigint, 'are dropped');

-- Off again: what is there is told, nothing new comes. On again: from then on.
SELECT pg_temp.pay('last', 'u1', 10);
UPDATE referral.program SET event_days = NULL WHERE program_id = 1;
SELECT pg_temp.pay('unseen', 'u1', 10);
SELECT referral.set_tier('u1', 3);
SELECT is((SELECT count(*) FROM pg_temp.news()), 1::bigint, 'off: what was there');
UPDATE referral.program SET event_days = 7 WHERE program_id = 1;
SELECT is_empty('SELECT pg_temp.news()', 'on: nothing of the time between');
SELECT referral.set_tier('u1', 4);
SELECT results_eq('SELECT pg_temp.news()', ARRAY['tier_changed u1 {"new_tier": 4, "old_tier": 3, "tier_label": "Black"}'], 'but all since');
-- Together with auto_tier: nobody goes down, so nobody rises by the next look.
UPDATE referral.program SET event_days = NULL WHERE program_id = 1;
UPDATE referral.program SET event_days = 7, auto_tier = false WHERE program_id = 1;
SELECT referral.emit_events(1, 'tier_check', array_agg(member_id), NULL) FROM referral.member WHERE program_id = 1;
SELECT is_empty('SELECT pg_temp.news()', 'what is taken for told is how they stand after the change');

-- Retention: by age, numbered or not; all of it where none are kept.
CREATE FUNCTION pg_temp.prune() RETURNS numeric LANGUAGE sql AS $$
    WITH RECURSIVE batch AS (
        SELECT outbox, p.* FROM unnest('{event,event_pending}'::text[]) outbox, referral.prune_events(1, outbox, NULL) p
        UNION ALL
        SELECT b.outbox, p.* FROM batch b, referral.prune_events(1, b.outbox, b.position) p WHERE b.position IS NOT NULL)
    SELECT sum(b.pruned) FROM batch b $$;
SELECT is(pg_temp.prune(), 0::numeric, 'nothing is old');
UPDATE referral.event SET created_at = now() - interval '7 days 1 second'
WHERE program_id = 1 AND event_id <= (SELECT event_id FROM referral.event WHERE program_id = 1 ORDER BY event_id OFFSET 1499 LIMIT 1);
SELECT referral.emit_event(1, 'tier_check', 1, NULL) FROM generate_series(1, 3);
UPDATE referral.event_pending SET created_at = now() - interval '7 days 1 second'
WHERE program_id = 1 AND event_no = (SELECT min(event_no) FROM referral.event_pending WHERE program_id = 1);
SELECT count(*) AS kept FROM referral.event WHERE program_id = 1 \gset
SELECT is(pg_temp.prune(), 1501::numeric, '1,500 and one that nobody read are');
SELECT is((SELECT count(*) FROM referral.event WHERE program_id = 1), :kept::bigint - 1500, 'the others stay');
SELECT is(pg_temp.pending(), 2::bigint, 'those too');
SELECT is((SELECT count(*) FROM referral.next_events(0, 100000)), :kept::bigint - 1500, 'and are told from any position');
UPDATE referral.program SET event_days = NULL WHERE program_id = 1;
SELECT pg_temp.prune();
SELECT is(ARRAY[pg_temp.pending(), (SELECT count(*) FROM referral.event WHERE program_id = 1)], '{0,0}', 'off: none stay');
SELECT isnt((SELECT count(*) FROM referral.event WHERE program_id = 2), 0::bigint, 'of this program');
SELECT * FROM finish();
ROLLBACK;

-- One snapshot for everything is older than the lock; a transaction that may
-- not write cannot number.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(1);
SELECT throws_ok($$ SELECT referral.next_events(0, 1, 1) $$, '0A000', 'next_events needs isolation level read committed', 'not with an older snapshot');
ROLLBACK;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(1);
CREATE FUNCTION pg_temp.read() RETURNS SETOF referral.event_row LANGUAGE plpgsql SET transaction_read_only = on AS 'BEGIN RETURN QUERY SELECT * FROM referral.next_events(0, 1, 1); END';
SELECT throws_ok('SELECT pg_temp.read()', '25006', 'next_events needs a transaction that may write', 'not read only');
ROLLBACK;
