-- Erasure (CONTRACT section 7): what becomes of every column that can hold
-- something of a person, and that nothing else changes.
\unset ECHO
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/t/erase.sql'
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

-- The verdicts. Whoever adds a column that is no number, time or truth value
-- says here what erase() does with it, and in docs/privacy.md.
--   erased       set to NULL, or to 'erased' where a note must stay
--   overwritten  by a random text
--   deleted      with its row
--   kept         because of why
CREATE TEMP TABLE verdict (name text PRIMARY KEY, fate text NOT NULL, why text NOT NULL);
INSERT INTO verdict VALUES
    ('adjustment.actor',              'kept', 'who of the operators did it'),
    ('adjustment.adjustment_id',      'kept', 'id of the application'),
    ('adjustment.note',               'erased', 'free text about him'),
    ('api_grant.part',                'kept', 'a word of ours'),
    ('api_grant.role_name',           'kept', 'role of the database'),
    ('api_key.hash',                  'kept', 'of a machine'),
    ('api_key.right',                 'kept', 'a word of ours'),
    ('attribution.click_id',          'erased', 'how he came'),
    ('attribution.decision',          'kept', 'a word of ours'),
    ('attribution.user_id',           'kept', 'the opaque id'),
    ('attribution.utm_campaign',      'erased', 'how he came; of others, where it has his slug or name in it'),
    ('attribution_review.actor',      'kept', 'who of the operators decided'),
    ('attribution_review.decision',   'kept', 'a word of ours'),
    ('attribution_review.reason',     'erased', 'free text about him and whom he brought'),
    ('attribution_review.rules',      'kept', 'words of ours'),
    ('campaign.name',                 'kept', 'configuration'),
    ('click.agent_hash',              'deleted', 'of his own click; those of others go by age'),
    ('click.click_id',                'deleted', 'of his own click; those of others are ids of the application'),
    ('click.ip_hash',                 'deleted', 'of his own click; those of others go by age'),
    ('click.landing_path',            'erased', 'has his slug in it'),
    ('click.utm_campaign',            'erased', 'may have his slug in it'),
    ('click.utm_medium',              'erased', 'may have his slug in it'),
    ('click.utm_source',              'erased', 'may have his slug in it'),
    ('click_salt.salt',               'kept', 'random'),
    ('code.code',                     'overwritten', 'what he or an operator worded'),
    ('code.kind',                     'kept', 'a word of ours'),
    ('code.user_id',                  'kept', 'the opaque id'),
    ('config_history.changed_by',     'kept', 'login of the database'),
    ('config_history.relation',       'kept', 'a word of ours'),
    ('config_history.row_before',     'kept', 'configuration'),
    ('event.data',                    'kept', 'ids and amounts'),
    ('event.kind',                    'kept', 'a word of ours'),
    ('event.user_id',                 'kept', 'the opaque id'),
    ('event_pending.kind',            'kept', 'a word of ours'),
    ('event_pending.state',           'kept', 'a word of ours'),
    ('member.display_name',           'erased', 'his name'),
    ('member.image_url',              'erased', 'his image'),
    ('member.user_id',                'kept', 'the opaque id'),
    ('member_audit.action',           'kept', 'a word of ours'),
    ('member_audit.actor',            'kept', 'who of the operators did it'),
    ('member_audit.detail',           'kept', 'tiers'),
    ('member_audit.note',             'erased', 'free text about him'),
    ('model_step.step',               'kept', 'a word of ours'),
    ('payment.kind',                  'kept', 'a word of the application'),
    ('payment.payment_id',            'kept', 'id of the application'),
    ('payment.user_id',               'kept', 'the opaque id'),
    ('payment_unrewarded.payment_id', 'kept', 'id of the application'),
    ('payment_unrewarded.reason',     'kept', 'a word of ours'),
    ('payment_waiting.payment_id',    'kept', 'id of the application'),
    ('payout.address',                'erased', 'where he is paid'),
    ('payout.asked_address',          'erased', 'where he is paid'),
    ('payout.asked_network',          'erased', 'where he is paid'),
    ('payout.batch_id',               'kept', 'id of the operator'),
    ('payout.network',                'erased', 'where he is paid'),
    ('payout.note',                   'erased', 'free text about him'),
    ('payout.payout_id',              'kept', 'id of the application'),
    ('payout.reference',              'erased', 'leads to his account'),
    ('payout.status',                 'kept', 'a word of ours'),
    ('payout_batch.batch_id',         'kept', 'id of the operator'),
    ('payout_destination.address',    'deleted', 'where he is paid'),
    ('payout_destination.network',    'deleted', 'where he is paid'),
    ('program.currency',              'kept', 'configuration'),
    ('program.debt_policy',           'kept', 'configuration'),
    ('program.name',                  'kept', 'configuration'),
    ('program.share_path',            'kept', 'configuration'),
    ('program.time_zone',             'kept', 'configuration'),
    ('progress.position',             'kept', 'ids of the application'),
    ('progress.subject',              'kept', 'name of a table'),
    ('progress.task',                 'kept', 'a word of ours'),
    ('refund.payment_id',             'kept', 'id of the application'),
    ('refund.reason',                 'erased', 'free text about a payment of his'),
    ('refund.refund_id',              'kept', 'id of the application'),
    ('refund_applied.refund_id',      'kept', 'id of the application'),
    ('refund_waiting.payment_id',     'kept', 'id of the application'),
    ('refund_waiting.refund_id',      'kept', 'id of the application'),
    ('review_rule.rule',              'kept', 'a word of ours'),
    ('reward.payment_id',             'kept', 'id of the application'),
    ('reward_closed.status',          'kept', 'a word of ours'),
    ('reward_grant.claimed_by',       'kept', 'a session of the database'),
    ('reward_grant.error',            'erased', 'free text about his account elsewhere'),
    ('reward_grant.state',            'kept', 'a word of ours'),
    ('settlement.kind',               'kept', 'a word of ours'),
    ('source.amount_column',          'kept', 'name of a column'),
    ('source.attached_by',            'kept', 'login of the database'),
    ('source.base_column',            'kept', 'name of a column'),
    ('source.id_prefix',              'kept', 'configuration'),
    ('source.kind_column',            'kept', 'name of a column'),
    ('source.occurred_at_column',     'kept', 'name of a column'),
    ('source.paid_when_column',       'kept', 'name of a column'),
    ('source.payment_id_column',      'kept', 'name of a column'),
    ('source.reason_column',          'kept', 'name of a column'),
    ('source.refund_id_column',       'kept', 'name of a column'),
    ('source.refunded_column',        'kept', 'name of a column'),
    ('source.user_column',            'kept', 'name of a column'),
    ('spend.note',                    'erased', 'free text of his'),
    ('spend.spend_id',                'kept', 'id of the application'),
    ('tier.label',                    'kept', 'configuration');

-- Not a list of types that can hold a person's data, but of those that cannot.
CREATE TEMP VIEW may_hold AS
    SELECT format('%s.%s', c.relname, a.attname) AS name
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f')
       AND a.attnum > 0 AND NOT a.attisdropped
       AND a.atttypid::regtype::text NOT IN
           ('bigint', 'integer', 'smallint', 'smallint[]', 'numeric', 'boolean', 'date',
            'timestamp with time zone', 'oid', 'regclass');
SELECT set_eq('SELECT name FROM may_hold', 'SELECT name FROM verdict',
              'there is a verdict on every column that can hold something of a person');
SAVEPOINT before;
ALTER TABLE referral.member ADD nickname varchar(10), ADD born date, ADD phones int8[];
SELECT set_eq('SELECT name FROM may_hold EXCEPT SELECT name FROM verdict',
              '{member.nickname,member.phones}'::text[], 'a new column has none');
ALTER TABLE referral.member DROP image_url CASCADE;
SELECT set_eq('SELECT name FROM verdict EXCEPT SELECT name FROM may_hold',
              '{member.image_url}'::text[], 'nor is there one on a column that is gone');
ROLLBACK TO before;

-- Ada of program 1 will be erased: her mark is zapada. Bob beside her, and the
-- ada of another program, who is not the same person, live alike.
\i :include
DO $$
BEGIN
    CALL pg_temp.program(1);
    CALL pg_temp.program(2);
    CALL pg_temp.live(1, 'ada', 'zapada');
    CALL pg_temp.live(1, 'bob', 'keepbob');
    CALL pg_temp.live(2, 'ada', 'keepada');
END $$;
CREATE TEMP TABLE lived AS SELECT clock_timestamp() AS at;

-- Every value of every column.
CREATE FUNCTION pg_temp.everything()
    RETURNS TABLE (name text, key text, value text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT c.relname, c.oid::regclass AS rel,
                    (SELECT string_agg(format('t.%I', a.attname), ' || ''/'' || ' ORDER BY o.n)
                       FROM pg_index i, unnest(i.indkey) WITH ORDINALITY o(attnum, n)
                            JOIN pg_attribute a ON a.attnum = o.attnum
                      WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid) AS key
               FROM pg_class c
              WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L || ''.'' || v.key, (%s)::text, v.value FROM %s t, jsonb_each_text(to_jsonb(t)) v',
            r.relname, coalesce(r.key, 't'), r.rel);
    END LOOP;
END $$;
-- Where a mark stands, in any case of letters; of hashes, the hash is the mark.
CREATE TEMP TABLE own_click AS
    SELECT k.program_id, v.hash FROM referral.click k, unnest(ARRAY[k.ip_hash, k.agent_hash]::text[]) v(hash)
     WHERE k.click_id = 'zapada-click';
CREATE FUNCTION pg_temp.marked(mark text) RETURNS TABLE (name text, times bigint) LANGUAGE sql AS $$
    SELECT e.name, count(*) FROM pg_temp.everything() e
     WHERE e.value ~* mark OR mark = 'zapada' AND e.value IN (SELECT hash FROM own_click)
     GROUP BY e.name
$$;

-- What is read of everybody, without what is erased.
CREATE FUNCTION pg_temp.readings() RETURNS TABLE (program bigint, who text, what text, answer jsonb)
    LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT text[] := '{custom_slug,inviter_display,invitee_display,display_name,network,address,'
                            'reference,note,referrer_display,click_id,campaign,code}';
    r record;
BEGIN
    FOR r IN SELECT m.program_id, m.user_id, c.call
               FROM referral.member m, unnest(ARRAY[
                        'referral_overview($1, program_id => $2)',
                        'list_rewards($1, max_rows => 1000, program_id => $2)',
                        'list_invitees($1, program_id => $2)',
                        'list_downline($1, program_id => $2)',
                        'list_payouts($1, program_id => $2)',
                        'level_stats($1, program_id => $2)',
                        'earnings_by_day($1, program_id => $2)',
                        'statement($1, (SELECT at FROM lived), program_id => $2)',
                        'attribution_status($2, $1)',
                        'list_attributions($1, program_id => $2)',
                        'list_attributions($1, pending_grant => true, program_id => $2)']) c(call)
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::bigint, %L, %L, to_jsonb(o) - %L::text[] FROM (SELECT * FROM referral.%s) o',
            r.program_id, r.user_id, r.call, gone, r.call) USING r.user_id, r.program_id;
    END LOOP;
    FOR r IN SELECT p.program_id, c.call
               FROM referral.program p, unnest(ARRAY[
                        'leaderboard(program_id => $1)', 'funnel_stats(program_id => $1)',
                        'funnel_stats(campaign => ''spring'', program_id => $1)',
                        'funnel_stats(campaign => ''zapada-new-video'', program_id => $1)',
                        'funnel_stats(campaign => ''zapada-advert'', program_id => $1)',
                        'next_events(program_id => $1)', 'verify($1)']) c(call)
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::bigint, NULL::text, %L, to_jsonb(o) - %L::text[] FROM (SELECT * FROM referral.%s) o',
            r.program_id, r.call, gone, r.call) USING r.program_id;
    END LOOP;
END $$;

CREATE TEMP TABLE rows_before AS SELECT * FROM pg_temp.everything();
CREATE TEMP TABLE readings_before AS SELECT * FROM pg_temp.readings();
CREATE TEMP TABLE kept_before AS SELECT * FROM pg_temp.marked('keep');
SELECT set_eq($$ SELECT name FROM pg_temp.marked('zapada') $$,
              $$ SELECT name FROM verdict WHERE fate <> 'kept' $$,
              'the mark stands in every column that is not to be kept, and nowhere else');
SELECT is_empty($$ SELECT what, answer FROM readings_before WHERE what ~ 'verify' $$, 'the books are sound');
SELECT cmp_ok(count(DISTINCT what), '>=', 16::bigint, 'there is something to read') FROM readings_before;

-- Erased.
SELECT lives_ok($$ SELECT referral.erase('ada', 1) $$, 'ada of program 1 is erased');
SELECT is_empty($$ SELECT * FROM pg_temp.marked('zapada') $$, 'her mark is nowhere');
SELECT bag_eq($$ SELECT * FROM pg_temp.marked('keep') $$, 'TABLE kept_before', 'the others'' are where they were');
SELECT bag_eq('SELECT * FROM pg_temp.readings()', 'TABLE readings_before',
              'balances, lists, the tree, the funnel, events: as before');

-- All that changed, column by column: how many rows, and what stands there now.
-- Rows that are gone are listed with each of their columns.
CREATE TEMP VIEW changed AS
    SELECT coalesce(b.name, a.name) AS name,
           CASE WHEN b.name IS NULL THEN 'new row'
                WHEN a.name IS NULL THEN 'deleted'
                WHEN a.name = 'code.code' AND a.value ~ '^[A-HJ-NP-Z2-9]{8}$' THEN 'random'
                WHEN a.name = 'code.disabled_at' AND a.value IS NOT NULL THEN 'now'
                ELSE coalesce(a.value, 'NULL') END AS became
      FROM rows_before b FULL JOIN pg_temp.everything() a USING (name, key)
     WHERE (b.name, b.value) IS DISTINCT FROM (a.name, a.value);
\pset tuples_only false
SELECT name, became, count(*) AS rows FROM changed GROUP BY 1, 2 ORDER BY name COLLATE "C", became COLLATE "C";
\pset tuples_only true
SELECT is((SELECT format('%s %s %s %s', action, detail, coalesce(note, 'NULL'), actor = session_user)
             FROM referral.member_audit WHERE program_id = 1 ORDER BY audit_id DESC LIMIT 1),
          'erase {} NULL t', 'it is audited');

-- What is seen of her: open payouts keep what they reserve and have no
-- destination; slugs end, other codes go on; what was decided and explained has
-- lost its words.
\pset tuples_only false
\pset null NULL
SELECT payout_id, network, address, amount_micro, status FROM referral.payout_order
 WHERE user_id = 'ada' AND program_id = 1 ORDER BY payout_id;
SELECT kind, campaign_id, disabled_at IS NULL AS works FROM referral.code
 WHERE program_id = 1 AND user_id = 'ada' ORDER BY code_id;
SELECT a.user_id, a.click_id, d.utm_campaign, d.landing_path, d.decision, d.decided_by, d.decision_reason
  FROM referral.list_attributions('ada', program_id => 1) a, referral.attribution_detail(a.id, 1) d
 ORDER BY 1;
SELECT DISTINCT c ->> 'change' AS change, c ->> 'refund_id' AS refund_id, c ->> 'reason' AS reason, c ->> 'error' AS error
  FROM jsonb_array_elements(referral.explain_payment('ada-p', 1) -> 'changes') c ORDER BY 1, 2;
SELECT e #>> '{tier,why}' AS why, e #>> '{tier,actor}' AS actor, e #>> '{tier,note}' AS note
  FROM referral.reward r, referral.explain_reward(r.reward_id, 1) e
 WHERE r.program_id = 1 AND r.payment_id = 'ada-p' AND r.level = 0;
\pset tuples_only true
\pset null ''

CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (' || call || ')::text' INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.run(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Again: nothing is left to do.
CREATE TEMP TABLE rows_after AS SELECT * FROM pg_temp.everything();
SELECT is(pg_temp.outcome('referral.erase(''ada'', 1)'), '', 'she is erased again');
SELECT is_empty($$ (TABLE rows_after EXCEPT SELECT * FROM pg_temp.everything())
                   EXCEPT SELECT * FROM rows_after WHERE name = 'code.code' $$,
                'which takes nothing away');
SELECT set_eq($$ SELECT name FROM (SELECT * FROM pg_temp.everything() EXCEPT TABLE rows_after) e
                  WHERE name !~ '^member_audit' $$, '{code.code}'::text[],
              'and adds to the audit only; slugs are random anew');

-- Repeated requests: what they said is no longer known.
SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('(referral.request_payout(''ada'', ''ada-w1'', 1000001, program_id => 1)).status', 'requested'),
    ('(referral.request_payout(''ada'', ''ada-w6'', 1000006, ''zapada-chain'', ''wallet of zapada'', 1)).status',
     'RF001 idempotency_conflict'),
    ('(referral.spend(''ada'', 1000000, ''ada-s3'', NULL, 1)).amount_micro', '1000000'),
    ('(referral.spend(''ada'', 1000000, ''ada-s1'', ''gift for zapada'', 1)).amount_micro',
     'RF001 idempotency_conflict'),
    ('referral.record_refund(''ada-r1'', ''ada-p'', 1000000, ''wish of zapada'', now(), 1)',
     'RF001 idempotency_conflict'),
    ('referral.adjust(''ada'', ''ada-a'', 5000000, ''agreed with zapada'', ''ops'', 1)',
     'RF001 idempotency_conflict'),
    ('(referral.approve_attribution((SELECT id FROM referral.list_attributions(''ada3'', program_id => 1)),
                                    ''ops'', ''zapada'', 1)).status', 'rejected')) v(call, answer);
SELECT is_empty($$ SELECT * FROM pg_temp.marked('zapada') $$, 'nor does any of them bring it back');

-- Life goes on: her payouts are paid or cancelled, she earns, comes back.
SELECT is((referral.payout_sent('ada-w1', 'by letter', 1)).status, 'sent', 'an open payout can be paid');
SELECT is((referral.payout_cancel('ada-w6', 1)).status, 'cancelled', 'or cancelled');
SELECT is((referral.record_payment('later', 'ada2', 100000000, program_id => 1)).rewards, 3, 'she earns');
SELECT is(pg_temp.outcome($$(referral.validate_code('zapada-new', 'x', 1)).reason$$), 'unknown_code', 'her slug leads nowhere');
SELECT is((referral.set_custom_slug('bob', 'zapada-new', 1)).code, 'zapada-new', 'and anybody may have it');
SELECT is(referral.enroll('ada', program_id => 1), (SELECT code FROM referral.code
          WHERE user_id = 'ada' AND program_id = 1 AND kind = 'uid')::text, 'enrolled again, she is who she was');
SELECT is(display_name, NULL, 'without a name') FROM referral.member WHERE user_id = 'ada' AND program_id = 1;
SELECT is(referral.enroll('ada', 'Ada', program_id => 1) <> '', true, 'until she gives one');
SELECT is(display_name, 'Ada', 'which is kept as any other') FROM referral.member WHERE user_id = 'ada' AND program_id = 1;
SELECT is((referral.set_payout_destination('ada', 'net', 'x', 1)).address, 'x', 'a new address, too');
SELECT lives_ok($$ SELECT referral.suspend('ada', 'again', 'ops', 1), referral.erase('ada', 1) $$, 'a suspended member is erased');
SELECT is(suspended_at IS NOT NULL AND display_name IS NULL, true, 'and stays suspended')
  FROM referral.member WHERE user_id = 'ada' AND program_id = 1;
SELECT is_empty($$ SELECT * FROM referral.payout_destination d JOIN referral.member USING (program_id, member_id)
                    WHERE user_id = 'ada' AND d.program_id = 1 $$, 'the new address is gone');
SELECT is_empty('SELECT * FROM referral.verify()', 'the books are sound');

-- Who was never more than enrolled, who is not known, and no one.
SELECT is(pg_temp.outcome(call), answer, call) FROM (VALUES
    ('referral.erase(''root'', 2)', ''), ('referral.erase(''nobody'', 1)', 'RF003 unknown_member'),
    ('referral.erase(''bob'', 2)', 'RF003 unknown_member'), ('referral.erase(NULL, 1)', 'RF003 unknown_member'),
    ('referral.erase(''bob'', 3)', 'RF003 unknown_member'),
    ('referral.erase(''bob'')', 'RF004 ambiguous_program')) v(call, answer);

SELECT is_empty($$ SELECT p.oid::regprocedure FROM pg_proc p
                    WHERE p.pronamespace = 'referral_api'::regnamespace AND p.prosrc ~ '\merase\M' $$,
                'nobody erases over HTTP');

-- Clicks of the same id in two programs are two.
SELECT is(referral.capture_click(referral.enroll('root', program_id => p), 'same', program_id => p), 'same', 'a click')
  FROM generate_series(1, 2) p;
SELECT is((referral.attribute('eve', referral.enroll('root', program_id => p), 'same', program_id => p)).attributed, true,
          'and a sign-up by it') FROM generate_series(1, 2) p;
SELECT lives_ok($$ SELECT referral.erase('eve', 1) $$, 'one of them is erased');
SELECT results_eq($$ SELECT program_id FROM referral.click WHERE click_id = 'same' $$, ARRAY[2::bigint],
                  'and her click alone');

-- The pass ends with the call, also where it fails, and is one for texts only.
CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON referral.member_audit FOR EACH ROW EXECUTE FUNCTION pg_temp.fail();
SELECT is(pg_temp.outcome('referral.erase(''bob'', 1)'), 'P0001 no', 'an erasure fails at its end');
DROP TRIGGER fail ON referral.member_audit;
SELECT bag_eq($$ SELECT * FROM pg_temp.marked('keepbob') $$,
              $$ SELECT b.name, count(*) FROM rows_before b WHERE b.value ~* 'keepbob' GROUP BY b.name $$, 'as a whole');
SELECT is(pg_temp.run(command), '0A000 change_refused', command) FROM (VALUES
    ('UPDATE referral.refund SET reason = NULL'), ('UPDATE referral.adjustment SET note = ''x'''),
    ('UPDATE referral.attribution_review SET reason = NULL')) v(command);
SELECT is(coalesce(current_setting('referral.erasing', true), ''), '', 'the setting is not left behind');
SELECT lives_ok($$ SELECT referral.erase('bob', 1) $$, 'an erasure succeeds');
SELECT is(pg_temp.run(command), '0A000 change_refused', command) FROM (VALUES
    ('UPDATE referral.refund SET reason = NULL'), ('UPDATE referral.adjustment SET note = ''x'''),
    ('UPDATE referral.attribution_review SET reason = NULL')) v(command);
SELECT is(pg_temp.run('UPDATE referral.code SET code = ''x'''), '0A000 code_fixed', 'nor codes');
SET LOCAL referral.erasing = 'on';
SELECT is(pg_temp.run(command), answer, 'under the setting: ' || command) FROM (VALUES
    ('DELETE FROM referral.refund', '0A000 change_refused'),
    ('TRUNCATE referral.refund', '0A000 change_refused'),
    ('DELETE FROM referral.adjustment', '0A000 change_refused'),
    ('DELETE FROM referral.attribution_review', '0A000 change_refused'),
    ('UPDATE referral.payment SET user_id = ''x''', '0A000 change_refused'),
    ('UPDATE referral.code SET used = 7', '0A000 code_fixed'),
    ('UPDATE referral.code SET code = ''x'', user_id = ''bob''', '0A000 code_fixed'),
    ('UPDATE referral.code SET kind = ''uid'', code = ''x'' WHERE kind = ''custom''', '0A000 code_fixed')) v(command, answer);
RESET referral.erasing;

SELECT * FROM finish();
ROLLBACK;

-- One snapshot for a whole transaction would pass over what it does not see.
\set VERBOSITY terse
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT referral.erase('ada', 1);
ROLLBACK;
