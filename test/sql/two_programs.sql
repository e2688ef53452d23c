-- Two programs with the same users, codes alike, payments and tables: what is
-- done in one is seen in one. An argument that is named like a column and not
-- qualified compares the column with itself, and then both programs answer.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';
\set ON_ERROR_ROLLBACK on

CREATE SCHEMA beside;

-- A life of a program: every function that writes, with the program as its
-- last argument. factor tells the programs' amounts apart.
CREATE PROCEDURE pg_temp.live(program bigint, factor bigint) LANGUAGE plpgsql AS $$
DECLARE
    mark text := '-' || program;
BEGIN
    UPDATE referral.program p SET event_days = 30 WHERE p.program_id = live.program;
    PERFORM referral.enroll(u, u || mark, 'https://example.org/' || u || mark, program)
    FROM unnest('{top,ann,bob,dan,eve,far,hal,zed}'::text[]) u;
    PERFORM referral.attribute('ann', referral.enroll('top', program_id => program), NULL, '2024-01-01', program);
    PERFORM referral.attribute('bob', referral.enroll('top', program_id => program), NULL, '2024-01-01', program);
    PERFORM referral.attribute('dan', referral.enroll('ann', program_id => program), NULL, '2024-01-01', program);
    PERFORM referral.attribute('eve', (referral.campaign_code('top', 1, program)).code, NULL, '2024-01-01', program);
    PERFORM referral.set_custom_slug('top', 'first' || mark, program);
    PERFORM referral.remove_custom_slug('top', program);
    PERFORM referral.set_custom_slug('top', 'same', program);
    PERFORM referral.record_payment('p' || n, u, 1000000 * factor, NULL, 'purchase', '2024-02-01 12:00+0', program)
    FROM (VALUES (1, 'ann'), (2, 'bob'), (3, 'dan'), (4, 'eve'), (5, 'ann'), (6, 'nobody')) v(n, u);
    PERFORM referral.record_refund('early', 'p7', 1000 * factor, NULL, '2024-02-01 12:00+0', program);
    PERFORM referral.record_payment('p7', 'bob', 1000000 * factor, NULL, 'purchase', '2024-02-01 12:00+0', program);
    PERFORM referral.record_refund('f' || n, 'p' || n, 100000 * factor, 'why' || mark, '2024-02-02', program)
    FROM generate_series(1, 5) n;
    PERFORM referral.apply_waiting(program, '{p7}');
    PERFORM referral.take_in_refunds(program, '{early}');
    PERFORM referral.suspend('bob', 'why' || mark, 'ops' || mark, program);
    PERFORM referral.reinstate('bob', 'why not' || mark, 'ops' || mark, program);
    PERFORM referral.suspend('far', 'why' || mark, 'ops' || mark, program);
    PERFORM referral.set_tier('dan', 2, 'friend' || mark, 'ops' || mark, program);
    EXECUTE format('CREATE TABLE beside.shop%s (id text, who text, cents integer, at timestamptz)', program);
    PERFORM referral.attach(format('beside.shop%s', program)::regclass, 'who', 'cents', 'id',
                            unit_micro => 10000 * factor, occurred_at => 'at', program_id => program);
    EXECUTE format($f$INSERT INTO beside.shop%s VALUES ('s1', 'bob', 7, '2024-02-03')$f$, program);
    PERFORM referral.detach(format('beside.shop%s', program)::regclass, program);
    EXECUTE format('CREATE TABLE beside.given%s (id text, sale text, cents integer)', program);
    PERFORM referral.attach_refunds(format('beside.given%s', program)::regclass, 'sale', 'cents', 'id',
                                    unit_micro => 10000 * factor, program_id => program);
    EXECUTE format($f$INSERT INTO beside.given%s VALUES ('g1', 's1', 2)$f$, program);
    PERFORM referral.detach(format('beside.given%s', program)::regclass, program);
    PERFORM referral.confirm_grant(g.grant_key, program) FROM referral.claim_grants(2, program) g;
    PERFORM referral.fail_grant(g.grant_key, 'no' || mark, program) FROM referral.claim_grants(3, program) g;
    PERFORM referral.recover_grants(1, program);
    PERFORM referral.record_refund('r1', 'p1', 300000 * factor, 'refund' || mark, '2024-02-04', program);
    PERFORM referral.adjust('top', 'j1', 1000 * factor, 'adjust' || mark, 'ops' || mark, program);
    PERFORM referral.spend('top', 2000 * factor, 's1', 'spend' || mark, program);
    PERFORM referral.spend('top', 1000 * factor, 's2', 'spend' || mark, program);
    PERFORM referral.unspend('s2', program);
    PERFORM referral.set_payout_destination('top', 'net' || mark, 'address' || mark, program);
    PERFORM referral.request_payout('top', w, 100 * factor, program_id => program) FROM unnest('{w1,w2,w3,w4,w5}'::text[]) w;
    PERFORM referral.payout_processing('w1', program);
    PERFORM referral.payout_sent('w2', 'reference' || mark, program);
    PERFORM referral.payout_failed('w3', 'reason' || mark, program);
    PERFORM referral.payout_cancel('w4', program);
    PERFORM referral.payout_batch('b1', 100 * factor, program);
    -- by clicks, of which two are held
    PERFORM referral.capture_click('same', 'c1', '/l' || mark, 's' || mark, 'm' || mark, 'utm' || mark, '1.1.1.1', 'agent' || mark, program);
    PERFORM referral.rotate_salt(program);
    PERFORM referral.capture_click('SAME', c, '/l' || mark, NULL, NULL, 'both', '1.1.1.1', NULL, program) FROM unnest('{c1,c2,c3}'::text[]) c;
    PERFORM referral.attribute('gil', 'same', 'c1', program_id => program);
    PERFORM referral.attribute('zed', 'same', 'c3', program_id => program);
    PERFORM referral.attribute(u, (referral.campaign_code('top', 2, program)).code, 'c2', program_id => program)
    FROM unnest('{hal,ivy,joe}'::text[]) u;
    PERFORM referral.record_payment('h-' || u, u, 1000000 * factor, program_id => program) FROM unnest('{hal,ivy,joe,zed}'::text[]) u;
    PERFORM referral.approve_attribution(id, 'ops' || mark, 'why' || mark, program) FROM referral.list_attributions('hal', program_id => program);
    PERFORM referral.reject_attribution(id, 'ops' || mark, 'why' || mark, program) FROM referral.list_attributions('ivy', program_id => program);
    PERFORM referral.create_api_key('client', program);
    PERFORM referral.revoke_api_key((referral.create_api_key('operator', program)).key_id, program);
    PERFORM referral.set_custom_slug('zed', 'zed' || mark, program);
    PERFORM referral.set_payout_destination('zed', 'net' || mark, 'address' || mark, program);
    PERFORM referral.record_refund('f-zed', 'h-zed', 1000 * factor, 'why' || mark, program_id => program);
    PERFORM referral.erase('zed', program);
    PERFORM referral.next_events(0, 3, program);
END
$$;

-- What a program says: every function that reads.
CREATE TEMP TABLE reading (call text NOT NULL);
INSERT INTO reading VALUES
    ('referral.referral_overview(%u, %p)'),
    ('referral.list_rewards(%u, program_id => %p)'),
    ('referral.list_rewards(%u, ''{available}'', 2, 1, program_id => %p)'),
    ('referral.list_rewards(%u, ''{spent,paid_out,reversed}'', program_id => %p)'),
    ('referral.list_rewards(%u, ''{spent,pending}'', before_id => 1000000000000, program_id => %p)'),
    ('referral.reward_page(%p, %m, ''{available,paid_out}'', ''{}'', 1000000000000, 5, 0)'),
    ('referral.open_rewards(%p, %m, true, true, ''{}'', 1000000000000, 0, 5)'),
    ('referral.used_by_owed(%p, %m)'),
    ('referral.reversal(%p, (SELECT min(id) FROM referral.list_rewards(%u, program_id => %p)), 100000, 1000000, 500000)'),
    ('referral.reward_now(%p, (SELECT min(id) FROM referral.list_rewards(%u, program_id => %p)))'),
    ('referral.list_invitees(%u, program_id => %p)'),
    ('referral.list_downline(%u, program_id => %p)'),
    ('referral.level_stats(%u, %p)'),
    ('referral.network(%u, 3, 10000, %p)'),
    ('referral.earnings_by_day(%u, program_id => %p)'),
    ('referral.validate_code(''same'', %u, %p)'),
    ('referral.validate_code(''first-80'', %u, %p)'),
    ('referral.validate_code(''first-81'', %u, %p)'),
    ('referral.attribution_status(%p, %u)'),
    ('referral.attribution_answer(%p, %u, NULL)'),
    ('referral.refusal(%p, %u, ''same'', NULL, ''2024-01-01'')'),
    ('referral.find_code(%p, ''same'')'),
    ('referral.get_code(%p, (SELECT min(code_id) FROM referral.code WHERE program_id = %p AND user_id = %u))'),
    ('referral.balance_of(%p, %m)'),
    ('referral.effective_tier(%p, %m)'),
    ('referral.tier_by_rules(%p, %m)'),
    ('referral.has_downline(%p, %m)'),
    ('referral.is_above(%p, %m, (SELECT member_id FROM referral.member WHERE program_id = %p AND user_id = ''dan''))'),
    ('referral.member_name(%p, %m)'),
    ('referral.was_suspended(%p, %m, clock_timestamp())'),
    ('referral.tiers_of(%p)'),
    ('referral.standings(%p, ''{"1": 0, "2": 1}'', true)'),
    ('referral.tree_key(%p)'),
    ('referral.config_at(%p, clock_timestamp())'),
    ('referral.rules_at(%p, 1, 1, 1, clock_timestamp())'),
    ('referral.explain_payment(''p1'', %p)'),
    ('referral.explain_payment(''p4'', %p)'),
    ('referral.explain_payment(''s1'', %p)'),
    ('referral.explain_reward((SELECT min(id) FROM referral.list_rewards(%u, program_id => %p)), %p)'),
    ('referral.explain_attribution(%p, %u)'),
    ('referral.explain_changes(%p, ''p1'')'),
    ('referral.explain_changes(%p, ''p2'', 1)'),
    ('referral.explain_tier(%p, %m, 2, clock_timestamp())'),
    ('referral.explain_level(%p, %m, 1, 0, 5, 5, NULL, clock_timestamp())'),
    ('referral.explain_levels(%p, ''p1'', ''{"max_level": 3}'', NULL, clock_timestamp())'),
    ('referral.refused_payment(%p, ''p6'', ''{}'')'),
    ('referral.statement(%u, ''2100-01-01'', %p)'),
    ('referral.list_payouts(%u, program_id => %p)'),
    ('referral.get_spend(%p, ''s1'')'),
    ('referral.get_payout(%p, ''w2'')'),
    ('referral.payouts_due(%p, 1)'),
    ('referral.verify(%p)'),
    ('referral.verify_intake(%p)'),
    ('referral.verify_rewards(%p)'),
    ('referral.verify_tree(%p)'),
    ('referral.verify_attributions(%p)'),
    ('referral.verify_refunds(%p)'),
    ('referral.verify_settlements(%p)'),
    ('referral.verify_grants(%p)'),
    ('referral.verify_counters(%p)'),
    ('referral.late_refunds(%p)'),
    ('referral.recount_earnings(%p)'),
    ('referral.recount_paid(%p)'),
    ('referral.recount_levels(%p)'),
    ('referral.recount_invitees(%p)'),
    ('referral.recount_caps(%p)'),
    ('referral.recount_accounts(%p)'),
    ('referral.recount_closed(%p)'),
    ('referral.program_ids(%p)'),
    ('referral.list_attributions(%u, program_id => %p)'),
    ('referral.list_attributions(status => ''{review_required,rejected}'', program_id => %p)'),
    ('referral.list_attributions(status => ''{qualified,rewarded,attributed}'', program_id => %p)'),
    ('referral.list_attributions(campaign => ''both'', program_id => %p)'),
    ('referral.list_attributions(campaign => ''campaign-80'', program_id => %p)'),
    ('referral.list_attributions(campaign => ''campaign-81'', program_id => %p)'),
    ('referral.list_attributions(pending_grant => true, max_rows => 2, program_id => %p)'),
    ('referral.attribution_page(%p, %u, (NULL, NULL, NULL, NULL, NULL, true)::referral.attribution_wish, 1000000000000, 5)'),
    ('referral.attribution_row_of(%p, (SELECT attribution_id FROM referral.attribution WHERE program_id = %p AND user_id = %u))'),
    ('referral.attribution_detail((SELECT attribution_id FROM referral.attribution WHERE program_id = %p AND user_id = %u), %p)'),
    ('referral.attribution_row_of(%p, (SELECT min(attribution_id) FROM referral.attribution WHERE program_id IN (80, 81) AND user_id = %u))'),
    ('referral.attribution_detail((SELECT min(attribution_id) FROM referral.attribution WHERE program_id IN (80, 81) AND user_id = %u), %p)'),
    ('referral.campaigns_named(%p, ''campaign-80'')'),
    ('referral.funnel_stats(program_id => %p)'),
    ('referral.funnel_stats(campaign => ''both'', program_id => %p)'),
    ('referral.funnel_stats(campaign => ''campaign-81'', program_id => %p)'),
    ('referral.leaderboard(program_id => %p)'),
    ('referral.crawlora_items((%u, %p)::referral.principal, 20)'),
    ('referral.triport_recent(%p, %u)'),
    ('referral.crawlora_counts(%p, %u)'),
    ('referral.crawlora_attribution(%p, (SELECT attribution_id FROM referral.attribution WHERE program_id = %p AND user_id = %u))'),
    ('referral.crawlora_attribution(%p, (SELECT min(attribution_id) FROM referral.attribution WHERE program_id IN (80, 81) AND user_id = %u))'),
    ('referral.next_events(program_id => %p)');

CREATE FUNCTION pg_temp.says(program bigint) RETURNS TABLE (call text, user_id text, answer jsonb)
LANGUAGE plpgsql AS $$
BEGIN
    FOR call, user_id IN SELECT r.call, u FROM reading r, unnest('{top,ann,bob,dan,eve,far,hal,zed,nobody}'::text[]) u LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(answer)) FROM %s AS answer',
                       replace(replace(replace(call,
                           '%m', format('(SELECT member_id FROM referral.member WHERE program_id = %s AND user_id = %L)',
                                        program, user_id)),
                           '%p', program::text), '%u', quote_literal(user_id)))
        INTO answer;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The rows of a program in all its tables.
CREATE FUNCTION pg_temp.books(program bigint) RETURNS TABLE (relation text, hash text)
LANGUAGE plpgsql AS $$
BEGIN
    FOR relation IN
        SELECT a.attrelid::regclass::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r' AND a.attname = 'program_id'
    LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(t::text, ''|'' ORDER BY t::text), '''')) FROM %s t WHERE t.program_id = %s',
                       relation, program) INTO hash;
        RETURN NEXT;
    END LOOP;
END
$$;

INSERT INTO referral.program (program_id, name, hold_days, max_level, uses_grants) VALUES (80, 'eighty', 0, 3, true), (81, 'eighty-one', 0, 3, true);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
SELECT p, t, 'tier-' || p, 2 * (t - 1) FROM generate_series(80, 81) p, generate_series(1, 2) t;
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
SELECT p, c, 'campaign-' || p, '2020-01-01', '2100-01-01', 5 FROM generate_series(80, 81) p, generate_series(1, 2) c;
INSERT INTO referral.review_rule (program_id, rule, campaign_id) SELECT p, 'campaign', 2 FROM generate_series(80, 81) p;
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
SELECT p, 0, l, 100 * l FROM generate_series(80, 81) p, generate_series(0, 2) l;

-- 80 lives alone, and its answers are kept; then 81 lives beside it.
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.says(81);
CALL pg_temp.live(80, 1);
SELECT count(*) AS changed_by_the_first FROM before b JOIN pg_temp.says(81) s USING (call, user_id)
WHERE b.answer IS DISTINCT FROM s.answer;
CREATE TEMP TABLE said AS SELECT * FROM pg_temp.says(80);
CREATE TEMP TABLE had AS SELECT * FROM pg_temp.books(80);
CALL pg_temp.live(81, 3);
SELECT call, user_id, said.answer, s.answer AS later FROM said JOIN pg_temp.says(80) s USING (call, user_id)
WHERE said.answer IS DISTINCT FROM s.answer;
SELECT * FROM had FULL JOIN pg_temp.books(80) b USING (relation) WHERE had.hash IS DISTINCT FROM b.hash;

-- Nothing of one program's own names is said by the other, and all amounts
-- are three times those of the first.
-- (Ids of a batch's payouts have a number and random digits, which may be 80.)
SELECT program, call
FROM (SELECT 80 AS program, * FROM pg_temp.says(80) UNION ALL SELECT 81, * FROM pg_temp.says(81)) s,
     regexp_replace(s.answer::text, 'b[12]-\d+-[0-9a-f]{8}', 'b', 'g') answered, format('%%-%s%%', 161 - program) other
WHERE answered LIKE other AND call NOT LIKE other;
SELECT u AS user_id, (a.balance).lifetime_micro, (b.balance).lifetime_micro AS other,
       (b.balance).lifetime_micro = 3 * (a.balance).lifetime_micro AS three_times,
       a.paid_invitees = b.paid_invitees AND a.tier = b.tier AND a.custom_slug IS NOT DISTINCT FROM b.custom_slug AS alike
FROM unnest('{top,ann,bob,dan,eve,far,hal,zed}'::text[]) u,
     referral.referral_overview(u, 80) a, referral.referral_overview(u, 81) b;
SELECT relation, a.hash = b.hash AS same, (SELECT count(*) FROM pg_temp.books(80)) > 10 AS compared
FROM pg_temp.books(80) a JOIN pg_temp.books(81) b USING (relation)
WHERE relation IN ('referral.payment', 'referral.reward', 'referral.member') ORDER BY 1;

-- The other way round: 80 lives on, 81 stays as it is.
DELETE FROM said;
INSERT INTO said SELECT * FROM pg_temp.says(81);
DELETE FROM had;
INSERT INTO had SELECT * FROM pg_temp.books(81);
SELECT referral.enroll('far', 'renamed', NULL, 80) IS NOT NULL;
SELECT (referral.reinstate('far', NULL, 'ops', 80)).suspended_at;
SELECT (referral.attribute('far', 'same', NULL, '2024-01-01', 80)).reason;
SELECT referral.remove_custom_slug('top', 80);
SELECT * FROM referral.set_tier('top', 1, NULL, 'ops', 80);
SELECT * FROM referral.set_tier('dan', NULL, NULL, 'ops', 80);
SELECT rewards FROM referral.record_payment('p9', 'far', 500000, NULL, 'purchase', '2024-02-05', 80);
SELECT state FROM referral.record_refund('r2', 'p1', 100000, NULL, '2024-02-06', 80);
SELECT unspent_at IS NOT NULL AS undone FROM referral.unspend('s1', 80);
SELECT amount_micro FROM referral.adjust('top', 'j2', -7, 'less', 'ops', 80);
SELECT status FROM referral.payout_sent('w1', 'later', 80);
SELECT status FROM referral.payout_cancel('w5', 80);
SELECT address FROM referral.set_payout_destination('top', NULL, NULL, 80);
SELECT count(*) AS due FROM referral.payout_batch('b2', NULL, 80);
SELECT referral.capture_click('same', c, utm_campaign => 'both', program_id => 80) FROM unnest('{c1,c2,c9}'::text[]) c;
SELECT referral.rotate_salt(80) > 0 AS rotated;
SELECT (referral.attribute('kim', referral.enroll('top', program_id => 80), 'c9', program_id => 80)).status;
SELECT (referral.approve_attribution(l.id, 'ops', NULL, 80)).status FROM referral.list_attributions('joe', program_id => 80) l;
SELECT (referral.reject_attribution(l.id, 'ops', NULL, 80)).status FROM referral.list_attributions('joe', program_id => 80) l;
SELECT referral.revoke_api_key(k.key_id, 80) FROM referral.api_key k WHERE k.program_id = 80 AND k.revoked_at IS NULL;
SELECT referral.erase('hal', 80);
SELECT count(*) > 0 AS told FROM referral.next_events(0, 100, 80);
UPDATE referral.campaign SET name = 'campaign-81' WHERE program_id = 80 AND campaign_id = 2;
UPDATE referral.rate SET rate_bps = 9 WHERE program_id = 80;
DELETE FROM referral.tier WHERE program_id = 80 AND tier = 2;
SELECT call, user_id, said.answer, s.answer AS later FROM said JOIN pg_temp.says(81) s USING (call, user_id)
WHERE said.answer IS DISTINCT FROM s.answer;
SELECT * FROM had FULL JOIN pg_temp.books(81) b USING (relation) WHERE had.hash IS DISTINCT FROM b.hash;
SELECT * FROM referral.verify(80);
SELECT * FROM referral.verify(81);

-- Every function that takes a program is called above: by itself, by one that
-- is, or by a trigger. Whoever adds one adds it here. (Procedures commit, and
-- have tests of their own.)
WITH RECURSIVE called(proc) AS (
    SELECT p.oid FROM pg_proc p
    WHERE p.pronamespace = 'referral'::regnamespace
      AND (p.prokind = 'p' OR p.prorettype = 'trigger'::regtype
           OR EXISTS (SELECT FROM reading r WHERE r.call LIKE 'referral.' || p.proname || '(%')
           OR (SELECT l.prosrc FROM pg_proc l WHERE l.oid = 'pg_temp.live'::regproc)
              LIKE '%referral.' || p.proname || '(%')
    UNION
    SELECT p.oid FROM called c JOIN pg_proc by ON by.oid = c.proc, pg_proc p
    WHERE p.pronamespace = 'referral'::regnamespace
      AND by.prosrc LIKE '%referral.' || p.proname || '(%'
)
SELECT p.proname AS never_called
FROM pg_proc p
WHERE p.pronamespace = 'referral'::regnamespace
  AND 'program_id' = ANY (p.proargnames[1:p.pronargs])
  AND p.oid NOT IN (SELECT proc FROM called)
ORDER BY 1;
ROLLBACK;
