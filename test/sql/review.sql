-- Review: which sign-ups are held and by which rules, who decides and why, and
-- what becomes of what was paid meanwhile (CONTRACT section 2). Every transition
-- of the state machine is in attribution_states.sql.
\unset ECHO
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
CALL referral.install();
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

INSERT INTO referral.program (program_id, name, hold_days, max_level, time_zone) VALUES
    (1, 'one', 0, 2, 'Pacific/Auckland'), (2, 'two', 0, 1, 'UTC');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 0, 100), (1, 1, 1000), (1, 2, 500), (2, 1, 1000);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at) VALUES
    (1, 1, 'spring', '2026-01-01', '2027-01-01'), (1, 2, 'autumn', '2026-01-01', '2027-01-01');
SET LOCAL referral.program_id = 1;

CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    detail text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || ' / ' || detail;
END $$;
-- A sign-up and the rules that held it.
CREATE FUNCTION pg_temp.held(who text, code text, at timestamptz DEFAULT '2026-05-01 12:00+00', click text DEFAULT NULL, program bigint DEFAULT 1)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer referral.attribution_result := referral.attribute(who, code, click, at, program);
    rules text[] := (SELECT r.rules FROM referral.attribution_review r WHERE r.program_id = program AND r.attribution_id = answer.attribution_id);
BEGIN
    IF NOT answer.attributed OR (answer.status = 'review_required') <> (rules IS NOT NULL)
       OR (SELECT a.decision FROM referral.attribution a WHERE a.program_id = program AND a.user_id = who)
          IS DISTINCT FROM (CASE WHEN rules IS NOT NULL THEN 'review_required' END) THEN
        RETURN answer::text;
    END IF;
    RETURN coalesce(rules::text, 'no');
END $$;
CREATE FUNCTION pg_temp.id_of(who text) RETURNS bigint LANGUAGE sql AS $$
    SELECT attribution_id FROM referral.attribution WHERE program_id = 1 AND user_id = who
$$;
CREATE FUNCTION pg_temp.funnel(campaign bigint DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s: %s, %s in review, %s rejected, %s qualified, %s rewarded, %s granted, %s capped', day, utm_key, a, v, j, q, r, g, c), E'\n' ORDER BY day, utm_key)
      FROM (SELECT day, utm_key, sum(attributed) a, sum(review_required) v, sum(rejected) j, sum(qualified) q, sum(rewarded) r, sum(granted) g, sum(capped) c
              FROM referral.funnel WHERE program_id = 1 AND campaign_id = campaign GROUP BY 1, 2) f
     WHERE (a, v, j, q, r, g, c) <> (0, 0, 0, 0, 0, 0, 0)
$$;
CREATE FUNCTION pg_temp.pay(id text, who text, amount bigint, at timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at) VALUES (1, id, who, amount, at)
$$;

-- No rule: nobody is held.
SELECT is(pg_temp.held('a1', referral.enroll('ann')), 'no', 'no rule');

-- A whole campaign.
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 1);
SELECT is(pg_temp.held('s1', (referral.campaign_code('ann', 1)).code), '{campaign}', 'the campaign of the rule');
SELECT is(pg_temp.held('s2', (referral.campaign_code('ann', 2)).code), 'no', 'another campaign');
SELECT is(pg_temp.held('s3', referral.enroll('ann')), 'no', 'no campaign');
SELECT is(pg_temp.held('s4', referral.enroll('ann', program_id => 2), program => 2), 'no', 'another program');
SELECT is((referral.attribute('s1', referral.enroll('bob'))).status, 'review_required', 'a repeated sign-up tells the status');
UPDATE referral.review_rule SET enabled = false;
SELECT is(pg_temp.held('s5', (referral.campaign_code('ann', 1)).code), 'no', 'a rule that is off');
UPDATE referral.review_rule SET enabled = true;

-- More than n per referrer in an hour that the sign-up is part of.
INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (1, 'velocity', 2);
SELECT is(pg_temp.held('v ' || at || coalesce(nth, ''), referral.enroll(by), at::timestamptz), held, concat_ws(' ', by, at, nth)) FROM (VALUES
    ('vic', '2026-05-02 10:00:00+00', NULL, 'no'), ('vic', '2026-05-02 10:59:59.999999+00', NULL, 'no'),
    ('vic', '2026-05-02 11:00:00+00', NULL, 'no'), ('vic', '2026-05-02 11:00:00+00', 'again', '{velocity}'),
    ('val', '2026-05-02 11:00:00+00', 'another''s', 'no'),
    ('vic', '2026-05-02 11:59:59.999999+00', NULL, '{velocity}'), ('vic', '2026-05-02 12:59:59.999999+00', NULL, 'no'),
    -- told late: no hour before it is full, but one that began with it
    ('vic', '2026-05-02 09:59:59.999999+00', NULL, 'no'), ('vic', '2026-05-02 09:59:59.999999+00', 'again', '{velocity}'),
    ('vic', '2026-05-02 08:00:00+00', NULL, 'no')) t(by, at, nth, held);
UPDATE referral.review_rule SET max_per_hour = 0 WHERE rule = 'velocity';
SELECT is(pg_temp.held('v0', referral.enroll('vera')), '{velocity}', 'a limit of 0 holds everybody');
SELECT is(pg_temp.held('v00', (referral.campaign_code('vera', 1)).code), '{campaign,velocity}', 'all rules that fire are kept');
DELETE FROM referral.review_rule WHERE rule = 'velocity';

-- The address of the click by which the referrer himself came.
INSERT INTO referral.review_rule (program_id, rule) VALUES (1, 'same_ip');
CREATE FUNCTION pg_temp.click(id text, ip text, salt bigint DEFAULT 1, utm text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT referral.count_funnel(1, '2026-05-02', 0, coalesce(length(utm), 0), 'clicks', 1);
    INSERT INTO referral.click (program_id, click_id, code_id, clicked_at, salt_id, ip_hash, agent_hash, utm_campaign, utm_key)
    SELECT 1, id, min(code_id), '2026-05-01 12:00+00', salt, ip::bytea, 'agent', utm, coalesce(length(utm), 0) FROM referral.code WHERE program_id = 1
    RETURNING click_id
$$;
SELECT is(pg_temp.held('i', referral.enroll('root'), click => pg_temp.click('k', 'ip')), 'no', 'the referrer''s own click');
SELECT is(pg_temp.held('i ' || t.name, referral.enroll('i'), click => pg_temp.click('k ' || t.name, ip, salt)), held, t.name) FROM (VALUES
    ('the same', 'ip', 1, '{same_ip}'), ('another', 'other', 1, 'no'), ('under another salt', 'ip', 2, 'no'), ('none', NULL, 1, 'no'),
    ('none, and no salt', NULL, NULL, 'no')) t(name, ip, salt, held);
SELECT is(pg_temp.held('i no click', referral.enroll('i')), 'no', 'no click');
SELECT is(pg_temp.held('i root', referral.enroll('root'), click => pg_temp.click('k root', 'ip')), 'no', 'a referrer who came by nobody');
SELECT is(pg_temp.held('i bare', referral.enroll('root'), click => pg_temp.click('k bare', NULL)), 'no', 'a referrer without an address');
SELECT is(pg_temp.held('i bare 2', referral.enroll('i bare'), click => pg_temp.click('k bare 2', NULL)), 'no', 'two without an address are not the same');
UPDATE referral.click SET ip_hash = NULL, agent_hash = NULL, salt_id = NULL WHERE click_id = 'k';
SELECT is(pg_temp.held('i old', referral.enroll('i'), click => pg_temp.click('k old', 'ip')), 'no', 'a referrer whose hashes were dropped');
DELETE FROM referral.click WHERE click_id = 'k';
SELECT is(pg_temp.held('i older', referral.enroll('i'), click => pg_temp.click('k older', 'ip')), 'no', 'a referrer whose click was dropped');
DELETE FROM referral.review_rule WHERE rule = 'same_ip';

-- What the click says about its campaign goes with the attribution, and is counted there.
SELECT is(pg_temp.held('w', referral.enroll('wendy'), '2026-05-05 11:59:59+00', pg_temp.click('k w', 'ip', utm => 'mail')), 'no', 'by a click of a campaign');
SELECT results_eq($$ SELECT utm_campaign, utm_key, click_id COLLATE "default" FROM referral.attribution WHERE user_id IN ('w', 'i no click') ORDER BY user_id $$,
    $$ VALUES (NULL::text, 0::bigint, NULL::text), ('mail', 4, 'k w') $$, 'utm_campaign, with its key');
SELECT is(pg_temp.held('w2', referral.enroll('wendy'), '2026-05-05 12:00+00', 'k w'), 'no', 'the next day in Auckland');
SELECT is((SELECT string_agg(line, E'\n') FROM regexp_split_to_table(pg_temp.funnel(), E'\n') line WHERE line ~ '^2026-05-0[56] 4'),
    E'2026-05-05 4: 1, 0 in review, 0 rejected, 0 qualified, 0 rewarded, 0 granted, 0 capped\n2026-05-06 4: 1, 0 in review, 0 rejected, 0 qualified, 0 rewarded, 0 granted, 0 capped',
    'on the day of the sign-up in the program''s zone');

-- Approved: what was paid meanwhile is processed in the order (occurred_at, arrival).
UPDATE referral.program SET event_days = 30 WHERE program_id = 1;
SELECT is(pg_temp.held('p', (referral.campaign_code('ann', 1)).code), '{campaign}', 'held');
SELECT pg_temp.pay('p3', 'p', 3000, '2026-05-04'), pg_temp.pay('p1', 'p', 1000, '2026-05-02'), pg_temp.pay('p2', 'p', 2000, '2026-05-02');
INSERT INTO referral.rate (program_id, campaign_id, level, rate_bps, max_payments) VALUES (1, 1, 1, 2000, 2);
SELECT is((referral.record_refund('f', 'p1', 100)).state, 'waiting', 'refunds wait beside their payment');
SELECT is((referral.reject_attribution(pg_temp.id_of('v00'), 'ann')).status, 'rejected', 'another one of the campaign');
SELECT is(pg_temp.funnel(1), '2026-05-02 0: 4, 2 in review, 1 rejected, 0 qualified, 0 rewarded, 0 granted, 0 capped', 'counted in review');
SELECT results_eq(format($$ SELECT status, user_id COLLATE "default", referrer_user_id COLLATE "default", qualified_at, payment_id COLLATE "default", reward_micro
    FROM referral.approve_attribution(%s, 'ops', 'known') $$, pg_temp.id_of('p')),
    $$ VALUES ('rewarded', 'p', 'ann', '2026-05-02 00:00+00'::timestamptz, 'p1', 210::numeric) $$, 'qualified by the first of them');
SELECT results_eq($$ SELECT payment_id COLLATE "default", level::integer, rate_bps, amount_micro, reversed_micro::bigint
    FROM referral.reward_state JOIN referral.reward USING (program_id, reward_id, member_id, payer_id, level, payment_id, available_at, amount_micro) WHERE program_id = 1 AND payment_id ~ '^p' ORDER BY payment_id, level $$,
    $$ VALUES ('p1', 0, 100, 10::bigint, 1::bigint), ('p1', 1, 2000, 200, 20), ('p2', 0, 100, 20, 0), ('p2', 1, 2000, 400, 0), ('p3', 0, 100, 30, 0) $$,
    'by the rates of the approval, the third one not among the first two');
SELECT results_eq($$ SELECT rules, decision, actor, reason, decided_at >= held_at FROM referral.attribution_review WHERE attribution_id = pg_temp.id_of('p') $$,
    $$ VALUES ('{campaign}'::text[], 'approved', 'ops', 'known', true) $$, 'who decided and why');
SELECT is(pg_temp.funnel(1), '2026-05-02 0: 4, 1 in review, 1 rejected, 1 qualified, 1 rewarded, 0 granted, 0 capped', 'counted out of review');
SELECT is_empty('SELECT FROM referral.payment_waiting UNION ALL SELECT FROM referral.refund_waiting', 'nothing waits');

-- explain_payment() tells the rules of the approval, also where nothing was earned.
SELECT is(pg_temp.held('x', (referral.campaign_code('ann', 1)).code, '2026-05-03 12:00+00'), '{campaign}', 'held');
SELECT pg_temp.pay('x', 'x', 1000, '2026-05-04');
SELECT is(referral.explain_payment('x') ->> 'reason', 'waiting_for_review', 'it waits');
UPDATE referral.program SET active = false WHERE program_id = 1;
SELECT is((referral.approve_attribution(pg_temp.id_of('x'))).status, 'attributed', 'approved while the program is not active');
UPDATE referral.program SET active = true WHERE program_id = 1;
SELECT is(referral.explain_payment('x') ->> 'reason', 'program_inactive', 'which is why it earned nothing');
SELECT is((referral.explain_payment('x') ->> 'processed_at')::timestamptz, decided_at, 'then') FROM referral.attribution_review WHERE attribution_id = pg_temp.id_of('x');

-- Rejected: nothing earns, now or later, and refunds are booked.
SELECT pg_temp.pay('s1', 's1', 1000, '2026-05-02');
SELECT is((referral.record_refund('fs1', 's1', 1000)).state, 'waiting', 'a refund of somebody in review');
SELECT is((referral.reject_attribution(pg_temp.id_of('s1'), 'ops')).status, 'rejected', 'rejected');
SELECT pg_temp.pay('s1 later', 's1', 1000, '2026-05-03');
SELECT is((referral.record_refund('fs1', 's1', 1000)).state, 'applied', 'its refund is booked');
SELECT throws_ok($$ SELECT referral.record_refund('fs2', 's1', 1) $$, '22003', 'refunds exceed the payment', 'once');
SELECT is_empty('SELECT FROM referral.reward WHERE payer_id = (SELECT member_id FROM referral.member WHERE program_id = 1 AND user_id = ''s1'')', 'nothing is earned');
SELECT is(m.referrer_id, (SELECT member_id FROM referral.member WHERE program_id = 1 AND user_id = 'ann'), 'the edge of the tree stays') FROM referral.member m WHERE program_id = 1 AND user_id = 's1';
SELECT is((SELECT line FROM regexp_split_to_table(pg_temp.funnel(1), E'\n') line WHERE line ~ '^2026-05-02'), '2026-05-02 0: 4, 0 in review, 2 rejected, 1 qualified, 1 rewarded, 0 granted, 0 capped', 'counted');
SELECT is((SELECT string_agg(concat_ws(' ', e.kind, e.state), ', ' ORDER BY event_no) FROM referral.event_pending e WHERE program_id = 1 AND (kind, subject_id) IN
    (('attribution_decided', pg_temp.id_of('p')), ('attribution_decided', pg_temp.id_of('s1')), ('attribution_decided', pg_temp.id_of('v00')))),
    'attribution_decided review_required, attribution_decided rejected, attribution_decided approved, attribution_decided rejected', 'and told to workers');
SELECT is((SELECT e.kind FROM referral.event_pending e WHERE program_id = 1 AND event_no > (SELECT event_no FROM referral.event_pending WHERE state = 'approved' AND subject_id = pg_temp.id_of('p')) ORDER BY event_no LIMIT 1),
    'reward_created', 'the decision before what it brings about');

-- The first grant that is confirmed is counted, once.
UPDATE referral.program SET uses_grants = true WHERE program_id = 1;
SELECT pg_temp.pay('s2', 's2', 1000, '2026-05-02');
SELECT is((referral.attribution_row_of(1, pg_temp.id_of('s2'))).status, 'qualified', 'waits for a grant');
SELECT is(count(referral.confirm_grant(g.grant_key)), 2::bigint, 'both rewards are granted') FROM referral.claim_grants() g;
SELECT is(pg_temp.funnel(2), '2026-05-02 0: 1, 0 in review, 0 rejected, 1 qualified, 1 rewarded, 1 granted, 0 capped', 'counted once');
UPDATE referral.program SET uses_grants = false WHERE program_id = 1;

-- Refused.
SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('referral.approve_attribution(NULL)', 'RF010 unknown_attribution / The program has no attribution of this number.'),
    ('referral.reject_attribution(-1)', 'RF010 unknown_attribution / The program has no attribution of this number.'),
    ('referral.approve_attribution(pg_temp.id_of(''s1''), program_id => 2)', 'RF010 unknown_attribution / The program has no attribution of this number.'),
    ('referral.approve_attribution(pg_temp.id_of(''a1''))', 'RF012 attribution_not_in_review / No rule held this attribution.'),
    ('referral.approve_attribution(pg_temp.id_of(''v0''), '''')', '22023 invalid actor / actor takes 1 to 200 characters, got 0.'),
    ('referral.reject_attribution(pg_temp.id_of(''v0''), NULL)', '22023 invalid actor / actor takes 1 to 200 characters, got NULL.'),
    ('referral.reject_attribution(pg_temp.id_of(''v0''), repeat(''x'', 201))', '22023 invalid actor / actor takes 1 to 200 characters, got 201.'),
    ('referral.reject_attribution(pg_temp.id_of(''v0''), ''ops'', repeat(''x'', 2001))', '22023 invalid reason / reason takes 0 to 2000 characters, got 2001.')) t(call, answer);
SELECT is((referral.attribution_row_of(1, pg_temp.id_of('v0'))).status, 'review_required', 'which decides nothing');
SELECT is((referral.reject_attribution(pg_temp.id_of('v0'))).status, 'rejected', 'the longest is 2000');
SELECT is(actor, session_user::text, 'the actor is the session''s user if none is named') FROM referral.attribution_review WHERE attribution_id = pg_temp.id_of('v0');

-- Once decided it is decided, whoever comes with what; nobody can change that.
SELECT is((referral.approve_attribution(pg_temp.id_of('s1'), 'another', 'changed my mind')).status, 'rejected', 'the first decision stands');
SELECT is((referral.reject_attribution(pg_temp.id_of('p'), 'another')).status, 'rewarded', 'either way');
SELECT is(r.decision || ' by ' || r.actor, answer, 'and who made it') FROM (VALUES ('s1', 'rejected by ops'), ('p', 'approved by ops')) t(who, answer)
    JOIN referral.attribution_review r ON r.attribution_id = pg_temp.id_of(who);
SELECT throws_ok(statement, '0A000', 'change_refused', statement) FROM (VALUES
    ('UPDATE referral.attribution_review SET reason = ''another'''), ('UPDATE referral.attribution_review SET decision = NULL, actor = NULL, decided_at = NULL'),
    ('DELETE FROM referral.attribution_review'), ('TRUNCATE referral.attribution_review')) t(statement);
SET LOCAL referral.erasing = 'on';
SELECT lives_ok('UPDATE referral.attribution_review SET reason = ''erased'' WHERE actor = ''ops'' AND decision = ''approved''', 'erase() passes');
SELECT is(reason, 'erased', 'and reaches the row') FROM referral.attribution_review WHERE attribution_id = pg_temp.id_of('p');
SELECT throws_ok('DELETE FROM referral.attribution_review', '0A000', 'change_refused', 'but not by DELETE');
SET LOCAL referral.erasing = '';

SELECT is_empty('SELECT * FROM referral.verify()', 'the books are sound');
SELECT * FROM finish();
ROLLBACK;

-- One snapshot for a whole transaction cannot decide.
\set VERBOSITY terse
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO referral.program (program_id, name) VALUES (1, 'one');
SELECT referral.approve_attribution(1, program_id => 1);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO referral.program (program_id, name) VALUES (1, 'one');
SELECT referral.reject_attribution(1, program_id => 1);
ROLLBACK;
