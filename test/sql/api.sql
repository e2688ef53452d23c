-- Schema referral_api as PostgREST calls it: who may see and do what, and about
-- whom (CONTRACT section 9).
\unset ECHO
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET TimeZone = 'UTC';
CALL referral.install();
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

CREATE ROLE regress_anon;
CREATE ROLE regress_member;
CREATE ROLE regress_operator;
CREATE ROLE regress_login LOGIN NOINHERIT;
GRANT regress_anon, regress_member, regress_operator TO regress_login;
SELECT referral.grant_api('regress_anon', 'regress_member', 'regress_operator', 'regress_login') IS NULL AS granted \gset
INSERT INTO referral.program (program_id, name, max_level, hold_days, uses_grants) VALUES (1, 'one', 2, 0, true), (2, 'two', 2, 0, false);
INSERT INTO referral.tier VALUES (1, 1, 'bronze', 0), (1, 2, 'silver', 5);
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1500), (1, 2, 400);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (1, 7, 'now', now() - interval '1 day', now() + interval '1 day', 5);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 7);
SET LOCAL referral.program_id = 1;
SELECT ok((referral.attribute('bob', referral.enroll('ada', 'Ada'))).attributed, 'bob under ada');
SELECT ok((referral.set_custom_slug('ada', 'ada')).code = 'ada', 'ada has a slug');
SELECT is(count((referral.attribute('x' || n, 'ada')).attribution_id), 250::bigint, '250 more')
  FROM generate_series(1, 250) n;
SELECT is((referral.record_payment('p1', 'bob', 2000)).rewards, 1, 'bob paid');
RESET referral.program_id;

-- One request: the login puts on the role and sets the claims.
CREATE FUNCTION pg_temp.request(role text, claims jsonb, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    PERFORM set_config('request.jwt.claims', $2::text, true);
    EXECUTE format('SET LOCAL ROLE %I', $1);
    EXECUTE 'SELECT string_agg(f::text, '' '') FROM referral_api.' || $3 || ' f' INTO answer;
    RESET ROLE;
    -- Times of now are all alike here, also at midnight.
    RETURN regexp_replace(answer, format('"(%s|%s)[^"]*"', current_date, current_date + 1), 'T', 'g');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.request(role text, sub text, call text) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.request($1, jsonb_strip_nulls(jsonb_build_object('role', $1, 'sub', $2, 'program_id', 1)), $3) $$;
CREATE FUNCTION pg_temp.as_member(text, text) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.request('regress_member', $1, $2) $$;
CREATE FUNCTION pg_temp.as_operator(text) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.request('regress_operator', 'ops', $1) $$;
CREATE TEMP VIEW api AS
    SELECT p.* FROM pg_proc p WHERE p.pronamespace = 'referral_api'::regnamespace;
GRANT SELECT ON api TO PUBLIC;

SET SESSION AUTHORIZATION regress_login;

-- Who he is: a member only by a call that is about him.
SELECT is(pg_temp.as_member(who, 'whoami()'), format('(%s,f,1,one,USD,UTC,/r/,0,2,0)', who), who || ' knows himself')
  FROM unnest('{ada,stranger}'::text[]) who;
SELECT is(pg_temp.as_operator('whoami()'), '(ops,t,1,one,USD,UTC,/r/,0,2,0)', 'as does an operator');
SELECT is(pg_temp.request('regress_member', NULL, 'whoami()'), '42501 unauthenticated', 'nobody is nobody');
SELECT is(pg_temp.request('regress_member', jsonb_build_object('sub', 'ada', 'program_id', program), 'whoami()'), answer, 'program ' || program)
  FROM (VALUES (2, '(ada,f,2,two,USD,UTC,/r/,0,2,0)'), (9, '23503 unknown_program')) t(program, answer);

-- A member and what is his.
SELECT matches(pg_temp.as_member('ada', 'referral_overview()'),
    '^\([A-Z2-9]{8},ada,1,bronze,1500,1,"\(0,300,300\)",\)$', 'his overview is one object');
SELECT matches(pg_temp.as_member('bob', 'referral_overview()'), ',,1,bronze,1500,0,"\(0,0,0\)",Ada\)$', 'of each');
SELECT is(pg_temp.as_member('ada', 'referral_overview(''ada'')'), pg_temp.as_member('ada', 'referral_overview()'),
    'he may name himself');
SELECT matches(pg_temp.as_member('ada', 'list_rewards()'), '^\(\d+,available,1,1,1500,2000,300,', 'his rewards');
SELECT is(pg_temp.as_member('bob', 'list_rewards()'), NULL, 'and not another''s');
SELECT matches(pg_temp.as_member('ada', 'level_stats()'), '^\(1,251,2000,0,300,1500\) \(2,0,0,0,0,400\)$', 'his levels');
SELECT matches(pg_temp.as_member('ada', 'earnings_by_day()'), '^\([0-9-]+,300,0,1\)$', 'his days');
SELECT matches(pg_temp.as_member('ada', 'campaign_code()'), '^\([A-Z2-9]{8},5,0\)$', 'his campaign code');
SELECT is(pg_temp.as_member('ada', 'campaign_code(8)'), '23503 unknown_campaign', 'of a campaign there is');
SELECT matches(pg_temp.as_member('bob', 'set_custom_slug(''Bobby'')'), ',bob,bobby,custom,', 'his slug');
SELECT is(pg_temp.as_member('bob', 'set_custom_slug(''ADA'')'), '23505 slug_taken', 'which is his alone');
SELECT is(pg_temp.as_member('bob', 'remove_custom_slug()'), 'true', 'removed');
SELECT is(pg_temp.as_member('bob', 'remove_custom_slug()'), 'false', 'no more');

-- Pages.
CREATE FUNCTION pg_temp.rows_of(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM set_config('request.jwt.claims', '{"sub": "ada", "program_id": 1}', true);
    SET LOCAL ROLE regress_member;
    EXECUTE 'SELECT count(*) FROM referral_api.' || $1 INTO n;
    RESET ROLE;
    RETURN n;
END $$;
SELECT is(pg_temp.rows_of(list || '(' || args || ')'), n::bigint, list || ' ' || args)
  FROM (VALUES ('list_invitees'), ('list_downline')) l(list),
       (VALUES ('', 50), ('max_rows => -1', 50), ('max_rows => 7', 7), ('max_rows => 200', 200),
               ('max_rows => 201', 200), ('max_rows => 2147483647', 200), ('max_rows => 200, skip => 200', 51),
               ('max_rows => 0', 0)) t(args, n);

-- Nobody else's: every function that takes a user_id.
SELECT is(pg_temp.as_member('bob', format('%I(%s)', proname,
              (SELECT string_agg(format('%s => %s', a, CASE a WHEN 'user_id' THEN '''ada''' ELSE '''slug''' END), ', ')
                 FROM unnest(proargnames) a WHERE a IN ('user_id', 'slug', 'code', 'payout_id')))),
          '42501 not_yours', proname || ' is not for another')
  FROM api WHERE 'user_id' = ANY (proargnames) AND has_function_privilege('regress_member', oid, 'EXECUTE')
 ORDER BY proname;
SELECT is(pg_temp.as_member('bob', 'attribute(''ada'', at => now())'), '42501 not_yours',
    'a member does not choose when he signed up');
SELECT matches(pg_temp.as_member('bob', format('%I(%s)', proname,
              (SELECT string_agg('NULL', ', ') FROM generate_series(1, pronargs - pronargdefaults)))),
          '^42501 permission denied for function', proname || ' is not for members')
  FROM api WHERE NOT has_function_privilege('regress_member', oid, 'EXECUTE') ORDER BY proname;

-- Attribution: a caller becomes a member at his first call.
SELECT matches(pg_temp.as_member('cyd', 'referral_overview()'), '^\([A-Z2-9]{8},,1,bronze,', 'enrolled by it');
SELECT is(pg_temp.as_member('dan', 'validate_code(''ada'')'), '(t,)', 'a code is valid for him');
SELECT matches(pg_temp.as_member('dan', 'attribute(''ada'')'), '^\(t,,\d+,attributed\)$', 'attributed');
SELECT matches(pg_temp.as_member('dan', 'attribute(''ada'')'), '^\(f,already_attributed,\d+,attributed\)$', 'once');
SELECT is(pg_temp.as_member('dan', 'validate_code(''ada'')'), '(f,already_attributed)', 'and it says so');
SELECT is(pg_temp.as_member('ada', 'validate_code(''ada'')'), '(f,self_referral)', 'his own code');

-- Operators: anybody's.
SELECT is(pg_temp.as_operator('referral_overview(''ada'')'), pg_temp.as_member('ada', 'referral_overview()'),
    'an operator sees what the member sees');
SELECT is(pg_temp.as_operator('referral_overview(''nobody'')'), 'RF003 unknown_member', 'of members there are');
SELECT is(pg_temp.as_operator('list_rewards(user_id => ''nobody'')'), NULL, 'no member, no rewards');
SELECT matches(pg_temp.as_operator('enroll(''eve'', ''Eve'')'), '^[A-Z2-9]{8}$', 'enrols');
SELECT matches(pg_temp.as_operator('attribute(''ada'', user_id => ''fay'', at => ''2026-01-01'')'), '^\(t,,\d+,attributed\)$',
    'attributes, also afterwards');
SELECT is(pg_temp.as_operator('set_tier(''eve'', 2)'), '(1,2)', 'sets tiers');
SELECT matches(pg_temp.as_operator('suspend(''eve'', ''why'', ''boss'')'), '^\(eve,T', 'suspends');
SELECT is(pg_temp.as_operator('reinstate(''eve'')'), '(eve,)', 'reinstates');
SELECT is(pg_temp.as_operator('record_payment(''p2'', ''bob'', 2000)'), '(p2,f,1,300)', 'records payments');
SELECT is(pg_temp.as_operator('record_payment(''p2'', ''bob'', 2000)'), '(p2,t,1,300)', 'once');
SELECT is(pg_temp.as_operator('record_payment(''p2'', ''bob'', 2001)'), 'RF001 idempotency_conflict', 'as it is');

-- Money: ada has 600, what bob's payments earned her.
SELECT is(pg_temp.as_member('ada', 'request_payout(''w1'', 100, ''sepa'', ''DE1'')'), '(w1,100,sepa,DE1,requested,,,T,,ada,)', 'a member asks for a payout');
SELECT is(pg_temp.as_member('ada', 'request_payout(''w1'', 100, ''sepa'', ''DE1'')'), '(w1,100,sepa,DE1,requested,,,T,,ada,)', 'once');
SELECT is(pg_temp.as_member('bob', 'request_payout(''w1'', 100, ''sepa'', ''DE1'')'), 'RF001 idempotency_conflict', 'the id is taken');
SELECT is(pg_temp.as_member('bob', 'request_payout(''w2'')'), 'RF007 balance_insufficient', 'of what he has');
SELECT is(pg_temp.as_operator('request_payout(''w2'', 50, user_id => ''ada'')'), '(w2,50,,,requested,,,T,,ada,)', 'an operator for anybody');
SELECT is(pg_temp.as_operator('request_payout(''w3'', 50, user_id => ''nobody'')'), 'RF003 unknown_member', 'there is');
SELECT is(pg_temp.as_member(who, format('payout_cancel(%L)', id)), answer, who || ' cancels ' || id) FROM (VALUES
    ('bob', 'w1', 'RF010 unknown_payout'), ('nova', 'w1', 'RF010 unknown_payout'), ('ada', 'w9', 'RF010 unknown_payout'),
    ('ada', 'w2', '(w2,50,,,cancelled,,,T,T,ada,)'), ('ada', 'w2', '(w2,50,,,cancelled,,,T,T,ada,)')) t(who, id, answer);
SELECT is(pg_temp.as_operator('payout_processing(''w1'')'), '(w1,100,sepa,DE1,processing,,,T,,ada,)', 'paying begins');
SELECT is(pg_temp.as_member('ada', 'payout_cancel(''w1'')'), 'RF009 payout_not_actionable', 'from then on it is not hers to cancel');
SELECT is(pg_temp.as_member('bob', 'payout_cancel(''w1'')'), 'RF010 unknown_payout', 'and unknown to others');
SELECT is(pg_temp.as_operator('payout_cancel(''w1'')'), '(w1,100,sepa,DE1,cancelled,,,T,T,ada,)', 'but an operator''s');
SELECT is(pg_temp.as_member('ada', 'payout_cancel(''w1'')'), '(w1,100,sepa,DE1,cancelled,,,T,T,ada,)', 'and cancelled is cancelled');
SELECT is(pg_temp.as_operator('set_payout_destination(''ada'', ''chain'', ''0xf00'')'), '(ada,chain,0xf00,T)', 'sets destinations');
SELECT is(pg_temp.as_operator('spend(''ada'', 40, ''s1'', ''hat'')'), '(s1,ada,40,hat,T,)', 'spends');
SELECT is(pg_temp.as_operator('unspend(''s1'')'), '(s1,ada,40,hat,T,T)', 'undoes it');
SELECT is(pg_temp.as_operator('adjust(''ada'', ''j1'', -100, ''why'')'), '(j1,ada,-100,why,ops,T)', 'corrects');
SELECT is(pg_temp.as_operator('adjust(''bob'', ''j2'', 7, ''why'', ''boss'')'), '(j2,bob,7,why,boss,T)', 'for whom he names');
SELECT is(pg_temp.as_operator('request_payout(''w3'', 200, user_id => ''ada'')'), '(w3,200,chain,0xf00,requested,,,T,,ada,)', 'to where she wants it');
SELECT is(pg_temp.as_operator('payout_sent(''w3'', ''tx'')'), '(w3,200,chain,0xf00,sent,tx,,T,T,ada,)', 'sent');
SELECT is(pg_temp.as_operator('payout_failed(''w3'', ''no'')'), 'RF009 payout_not_actionable', 'is sent');
SELECT is(regexp_replace(pg_temp.as_operator('payout_batch(''b1'', 50)'), '\d+-[0-9a-f]{8}', '#'), '(b1-#,300,chain,0xf00,requested,,,T,,ada,b1)', 'who is due');
SELECT is(regexp_replace(pg_temp.as_operator('payout_failed((SELECT id FROM referral_api.payout_batch(''b1'', 50)), ''no'')'), '\d+-[0-9a-f]{8}', '#'),
    '(b1-#,300,chain,0xf00,failed,,no,T,T,ada,b1)', 'failed');
SELECT is(pg_temp.as_operator('record_refund(''r1'', ''p2'', 1000)'), '(r1,f,applied,150,0)', 'records refunds');
SELECT is(pg_temp.as_operator('record_refund(''r1'', ''p2'', 1000)'), '(r1,t,applied,150,0)', 'once');
SELECT is(pg_temp.as_operator('record_refund(''r2'', ''p2'', 1001)'), '22003 refunds exceed the payment', 'of what was paid');
SELECT is(pg_temp.as_operator('spend(''ada'', 151, ''s2'')'), 'RF007 balance_insufficient', 'which she has no more');
SELECT matches(pg_temp.as_member('ada', 'list_payouts()'), '^\(b1-.*,300,.*,failed,.*\(w3,200,.*,sent,tx,.*\(w2,50,.*\(w1,100,[^()]*\)$', 'a member reads her payouts');
SELECT is(pg_temp.as_member('bob', 'list_payouts()'), NULL, 'and not another''s');
SELECT is(pg_temp.as_operator('list_payouts(1, 3, ''ada'')'), pg_temp.as_member('ada', 'list_payouts(1, 3)'), 'an operator anybody''s');
SELECT is(pg_temp.as_member('ada', 'statement(''2100-01-01 00:00+00'')'), '("2100-01-01 00:00:00+00",USD,0,150,350,600,150,0,-100,0,200,0)', 'what became of her money');
SELECT is(pg_temp.as_member('ada', 'statement(''2000-01-01 00:00+00'')'), '("2000-01-01 00:00:00+00",USD,0,0,0,0,0,0,0,0,0,0)', 'as of then');
SELECT matches(pg_temp.as_member('bob', 'statement()'), '^\(T,USD,0,.,.,0,0,0,.,0,0,0\)$', 'and now');
SELECT is(pg_temp.as_operator('statement(user_id => ''nobody'')'), 'RF003 unknown_member', 'of members there are');

-- Grants to another system.
CREATE FUNCTION pg_temp.grants(call text) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(regexp_replace(pg_temp.as_operator($1), '1-\d+', 'key', 'g'), ',ada,\d+', ',ada,id', 'g') $$;
SELECT is(pg_temp.grants('claim_grants(1)'), '(key,ada,id,300,USD,p1,1,claimed)', 'an operator claims grants');
SELECT is(pg_temp.grants('claim_grants()'), '(key,ada,id,150,USD,p2,1,claimed)', 'each once');
SELECT is(pg_temp.grants('claim_grants()'), NULL, 'until there are no more');
SELECT is(pg_temp.as_operator('recover_grants()'), '(0,0,0)', 'and none is lost');
SELECT is(pg_temp.as_operator('confirm_grant(''1-1'')'), 'RF010 unknown_grant', 'no such grant to confirm');
SELECT is(pg_temp.as_operator('fail_grant(''1-1'', ''why'')'), 'RF010 unknown_grant', 'nor to fail');
RESET SESSION AUTHORIZATION;
SELECT is(count(*), 2::bigint, 'a claim over HTTP is no session''s') FROM referral.reward_grant WHERE state = 'claimed' AND claimed_by IS NULL;
SELECT min('1-' || reward_id) AS first, max('1-' || reward_id) AS last FROM referral.reward_grant \gset
SET SESSION AUTHORIZATION regress_login;
SELECT is(pg_temp.grants(format('confirm_grant(%L)', :'first')), '(key,ada,id,300,USD,p1,1,confirmed)', 'one is confirmed');
SELECT is(pg_temp.grants(format('fail_grant(%L, ''why'')', :'first')), 'RF011 grant_confirmed', 'for good');
SELECT is(pg_temp.grants(format('fail_grant(%L, ''why'')', :'last')), '(key,ada,id,150,USD,p2,1,failed)', 'one failed');
SELECT is(pg_temp.as_operator('recover_grants(-1)'), '(1,1,0)', 'which can be tried again');
SELECT is(pg_temp.grants('claim_grants(300)'), '(key,ada,id,150,USD,p2,2,claimed)', 'as it is');

-- Clicks, from whoever: the proxy knows better than the caller where from.
CREATE FUNCTION pg_temp.click(headers text, call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.headers', $1, true);
    RETURN pg_temp.request('regress_anon', NULL, 'capture_click' || $2);
END $$;
SELECT is(pg_temp.click(headers, format('(''ADA'', %L, ''/l?x'', ''s'', ''m'', ''u%s'', ''4.4.4.4'', ''mine'')', 'c' || n, n)), 'c' || n, 'a click by ' || left(headers, 60))
  FROM (VALUES (1, '{"x-real-ip": "1.1.1.1", "x-forwarded-for": "2.2.2.2, 3.3.3.3", "user-agent": "UA"}'), (2, '{"x-forwarded-for": " 2.2.2.2 , 3.3.3.3"}'),
               (3, '{"X-Real-IP": "5.5.5.5", "x-real-ip": ""}'), (4, ''), (5, 'nonsense'), (6, '[1]'), (7, '"x"'), (8, 'null'),
               (9, '{"x-real-ip": "\u0000"}'), (10, repeat('[', 100000)), (11, '{"x-forwarded-for": "2001:DB8::1"}')) t(n, headers);
SELECT matches(pg_temp.click('', '(''ada'')'), '^[0-9a-f-]{36}$', 'an id is made');
SELECT is(pg_temp.click('', '(''ada'', ''c1'', ''/other'')'), 'c1', 'one that is known comes back');
SELECT is(pg_temp.click('', '(''<nobody>'')'), '22023 unknown_code', 'of a code there is');
SELECT is(pg_temp.click('', '(''ada'', ''a b'')'), '22023 invalid click_id', 'and by a proper id');
SELECT is(pg_temp.as_member('nova', 'capture_click(''ada'', ''c20'')'), 'c20', 'a member clicks');
SELECT is(pg_temp.as_operator('capture_click(''ada'', ''c21'')'), 'c21', 'an operator, too');
SELECT matches(pg_temp.as_member('gil', 'attribute(''ada'', ''c1'')'), '^\(t,,\d+,attributed\)$', 'and signs up');
RESET SESSION AUTHORIZATION;
SELECT results_eq($$
    SELECT k.click_id COLLATE "default", k.ip_hash = sha256(s.salt || convert_to(t.ip, 'UTF8')),
           k.agent_hash = sha256(s.salt || convert_to(t.agent, 'UTF8')), k.landing_path, k.utm_campaign
    FROM referral.click k JOIN referral.click_salt s USING (program_id, salt_id)
    JOIN (VALUES ('c1', '1.1.1.1', 'UA'), ('c2', '2.2.2.2', 'mine'), ('c3', '4.4.4.4', 'mine'), ('c10', '4.4.4.4', 'mine'), ('c11', '2001:db8::1', 'mine')) t(id, ip, agent)
      ON t.id = k.click_id
    ORDER BY length(k.click_id), 1 $$,
    $$ VALUES ('c1', true, true, '/l', 'u1'), ('c2', true, true, '/l', 'u2'), ('c3', true, true, '/l', 'u3'), ('c10', true, true, '/l', 'u10'), ('c11', true, true, '/l', 'u11') $$,
    'the hashes are those of the connection');
SELECT is(count(*), 14::bigint, 'all in the program of the request') FROM referral.click k WHERE k.program_id = 1;

-- What operators do with attributions.
INSERT INTO referral.progress (program_id, progress_id, task, subject, done, skipped, total, pid, finished_at)
VALUES (1, 11, 'maintain', 'all', 2, 3, 9, 0, now()), (2, 12, 'maintain', 'all', 7, 0, NULL, 0, now()),
       (1, 13, 'rebuild', 'all', 1, 0, NULL, 0, NULL);
UPDATE referral.program SET event_days = 30 WHERE program_id = 1;
SELECT (referral.campaign_code('ada', 7, 1)).code AS campaign_code \gset
CREATE TEMP TABLE held AS
SELECT 'h' || n AS held, (referral.attribute('h' || n, :'campaign_code', program_id => 1)).attribution_id AS id FROM generate_series(1, 3) n;
GRANT SELECT ON held TO PUBLIC;
SELECT (referral.record_payment('h1', 'h1', 2000, program_id => 1)).rewards AS rewards_of_h1 \gset
SET SESSION AUTHORIZATION regress_login;
CREATE FUNCTION pg_temp.decide(call text, who text, more text DEFAULT '') RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(pg_temp.as_operator(format('%s(%s%s)', $1, id, $3)), '^\(\d+,|[A-Z2-9]{8}', '#', 'g') FROM held WHERE held = $2 $$;
SELECT is(pg_temp.as_operator('list_attributions(status => ''{review_required}'', max_rows => 2)'),
    pg_temp.as_operator('list_attributions(''ada'', ''{review_required}'', ''now'', false, 2)'), 'the queue');
SELECT is(pg_temp.decide('approve_attribution', 'h1'), '#qualified,#,now,h1,,ada,Ada,T,,T,T,,t,h1,300,)', 'one is approved: what he paid counts now');
SELECT is(pg_temp.decide('reject_attribution', 'h1', ', reason => ''late'''), '#qualified,#,now,h1,,ada,Ada,T,,T,T,,t,h1,300,)', 'for good');
SELECT is(pg_temp.decide('reject_attribution', 'h2', ', ''boss'', ''why'''), '#rejected,#,now,h2,,ada,Ada,T,,,,,f,,,)', 'one is rejected');
SELECT is(pg_temp.decide('approve_attribution', 'h2'), '#rejected,#,now,h2,,ada,Ada,T,,,,,f,,,)', 'for good, too');
SELECT is(pg_temp.as_operator('approve_attribution(-1)'), 'RF010 unknown_attribution', 'of attributions there are');
SELECT is(pg_temp.as_operator('reject_attribution((SELECT min(id) FROM referral_api.list_attributions(''bob'')))'), 'RF012 attribution_not_in_review', 'which are in review');
SELECT is(pg_temp.as_operator(format('approve_attribution(%s, %L)', (SELECT id FROM held WHERE held = 'h3'), actor)), '22023 invalid actor', 'by somebody with a name')
  FROM (VALUES (''), (repeat('x', 201))) t(actor);
SELECT is(pg_temp.decide('reject_attribution', 'h3', format(', reason => %L', repeat('x', 2001))), '22023 invalid reason', 'for a reason of a length');
SELECT matches(pg_temp.as_operator(format('attribution_detail(%s)', id)), '\{campaign\},.*,rejected,boss,why,', 'who decided, and why') FROM held WHERE held = 'h2';
SELECT matches(pg_temp.as_operator(format('attribution_detail(%s)', id)), '\{campaign\},.*,approved,ops,,', 'the caller where nobody is named') FROM held WHERE held = 'h1';
SELECT is(pg_temp.request('regress_operator', NULL, format('approve_attribution(%s)', id)), '42501 unauthenticated', 'or it is nobody') FROM held WHERE held = 'h3';
SELECT matches(pg_temp.as_operator('attribution_detail(-1)'), '^\(,*\)$', 'nothing of an unknown one');
SELECT is(pg_temp.as_operator(format('list_attributions(%s)', args)) IS NULL, none, 'attributions: ' || args) FROM (VALUES
    ('''bob''', false), ('''gil'', campaign => ''u1''', false), ('''gil'', campaign => ''u2''', true), ('''gil'', before_id => 1', true), ('''nobody''', true),
    ('pending_grant => true', false), ('status => ''{nonsense}''', true), ('''ada'', ''{rejected,capped}'', ''now'', false, -1, NULL', false)) t(args, none);
CREATE FUNCTION pg_temp.counted(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM set_config('request.jwt.claims', '{"sub": "ops", "program_id": 1}', true);
    SET LOCAL ROLE regress_operator;
    EXECUTE 'SELECT count(*) FROM referral_api.' || $1 INTO n;
    RESET ROLE;
    RETURN n;
END $$;
SELECT is(pg_temp.counted(format('list_attributions(max_rows => %s)', max_rows)), n::bigint, 'pages of ' || max_rows)
  FROM (VALUES ('NULL', 50), ('-1', 50), ('7', 7), ('200', 200), ('201', 200), ('2147483647', 200), ('0', 0)) t(max_rows, n);
SELECT is(pg_temp.as_operator('funnel_stats()'), '(14,257,2,1,0,1,1)', 'the funnel');
SELECT is(pg_temp.as_operator('funnel_stats(campaign => ''u1'')'), '(1,1,0,0,0,0,0)', 'of a utm_campaign');
SELECT is(pg_temp.as_operator('funnel_stats(current_date + 2, current_date + 3, ''now'')'), '(0,0,0,0,0,0,0)', 'of other days');
SELECT is(pg_temp.as_operator('leaderboard()'), '(1,ada,Ada,750,3,6000)', 'the leaderboard');
SELECT is(pg_temp.as_operator('leaderboard(current_date + 2, NULL, 1)'), NULL, 'of other days, too');
SELECT is(pg_temp.as_operator('leaderboard(max_rows => 0)'), NULL, 'a page of it');
SELECT matches(pg_temp.as_operator('next_events(0, 3)'), '^(\(\d+,attribution_decided,h\d,T,"[^()]*"\) ?){3}$', 'events');
SELECT is(pg_temp.counted('next_events()'), 6::bigint, 'all of them');
SELECT is(pg_temp.counted('next_events((SELECT max(id) FROM referral_api.next_events()))'), 0::bigint, 'and no more');
SELECT is(pg_temp.as_operator('maintenance_progress()'), '(13,rebuild,all,interrupted,1,0,,T,T,) (11,maintain,all,finished,2,3,9,T,T,T)', 'long work of the program');
SELECT is(pg_temp.counted(format('maintenance_progress(%s)', max_rows)), n::bigint, max_rows || ' rows of it')
  FROM (VALUES ('NULL', 2), ('-1', 2), ('1', 1), ('0', 0), ('2147483647', 2)) t(max_rows, n);

-- The anonymous: codes and clicks.
SELECT is(pg_temp.request('regress_anon', NULL, 'validate_code(''ADA'')'), '(t,)', 'anybody validates a code');
SELECT is(pg_temp.request('regress_anon', NULL, 'validate_code(''ada'', ''bob'')'), '42501 not_yours',
    'not about somebody');
SELECT matches(pg_temp.request('regress_anon', NULL, format('%I(%s)', proname,
              (SELECT string_agg('NULL', ', ') FROM generate_series(1, pronargs - pronargdefaults)))),
          '^42501 permission denied for function', proname || ' is not for the anonymous')
  FROM api WHERE proname NOT IN ('openapi', 'validate_code', 'capture_click', 'contract') ORDER BY proname;
SELECT is(pg_temp.request('regress_anon', NULL, 'contract('''')'), 'RF010 unknown_endpoint', 'nginx says which');
SELECT is(pg_temp.request('regress_member', NULL, 'referral_overview()'), '42501 unauthenticated', 'a token without sub');
RESET SESSION AUTHORIZATION;
SELECT results_eq($$ SELECT action, note, actor FROM referral.member_audit ORDER BY audit_id $$,
    $$ VALUES ('set_tier', NULL, 'ops'), ('suspend', 'why', 'boss'), ('reinstate', NULL, 'ops') $$,
    'the audit names the token''s user, or whom he names');
SELECT is_empty($$ SELECT FROM referral.member WHERE program_id = 2 OR user_id = 'ops' $$,
    'nobody was made a member by the way');

-- A role that is no operator's gains nothing by claims that say so.
CREATE ROLE regress_other;
GRANT regress_other TO regress_login;
GRANT USAGE ON SCHEMA referral_api TO regress_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA referral_api TO regress_other;
SET SESSION AUTHORIZATION regress_login;
SELECT is(pg_temp.request('regress_other', 'ops', 'referral_overview(''ada'')'), '42501 not_yours', 'the role decides');

-- What the documentation is made of. Contracts have documents of their own.
SELECT set_eq($$ SELECT proname FROM api WHERE proargtypes = ARRAY['bytea'::regtype]::oidvector $$,
    ARRAY['contract']::name[], 'one function for the published contracts');
SELECT is_empty($$
    SELECT p.proname FROM api p WHERE proargnames IS NOT NULL AND obj_description(p.oid, 'pg_proc') !~ '^[^\n]{10,90}\n(.|\n)*Example: (GET|POST) /rpc/' $$,
    'every function has a summary, a description and an example');
SELECT is_empty($$
    SELECT p.proname, a FROM api p, unnest(p.proargnames[1:p.pronargs]) a
    WHERE obj_description(p.oid, 'pg_proc') !~ ('\m' || a || '\M') $$, 'which name every argument');
SELECT is_empty($$
    SELECT p.proname, a FROM api p, unnest(p.proargnames) a
    WHERE a IN ('', 'select', 'columns', 'on_conflict', 'order', 'limit', 'offset', 'and', 'or') $$,
    'no argument has a name that PostgREST takes for its own');
SELECT is_empty('SELECT proname FROM api GROUP BY 1 HAVING count(*) > 1', 'one function a name');

-- A GET runs read only. Last, for there is no way back.
SET LOCAL transaction_read_only = on;
SELECT is(pg_temp.as_member('new', 'referral_overview()'), '25006 not_a_member_yet', 'nobody becomes a member by a GET');
SELECT matches(pg_temp.as_member('ada', 'referral_overview()'), '^\([A-Z2-9]{8},ada,', 'a member may GET');
SELECT matches(pg_temp.as_member('ada', 'list_rewards()'), ',300,', 'lists too');
SELECT is(pg_temp.as_member('new', 'validate_code(''ada'')'), '(t,)', 'and codes, as may who is no member');
SELECT doesnt_match(pg_temp.as_operator(call), '^[0-9A-Z]{5} ', call || ' by a GET')
  FROM unnest('{whoami(),maintenance_progress(),funnel_stats(),leaderboard(),list_attributions(max_rows => 1),attribution_detail(1)}'::text[]) call;

SELECT * FROM finish();
ROLLBACK;
