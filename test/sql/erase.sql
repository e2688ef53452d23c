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
            r.relname, coalesce(r.key, '0'), r.rel);
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
                        'statement($1, now(), program_id => $2)',
                        'statement($1, clock_timestamp(), program_id => $2)',
                        'attribution_status($2, $1)',
                        'list_attributions($1, program_id => $2)',
                        'list_attributions($1, pending_grant => true, program_id => $2)']) c(call)
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::bigint, %L, %L, to_jsonb(f) - %L::text[]
               FROM (SELECT to_jsonb(f) FROM referral.%s f) o(f)',
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
            'SELECT %L::bigint, NULL::text, %L, to_jsonb(f) - %L::text[]
               FROM (SELECT to_jsonb(f) FROM referral.%s f) o(f)',
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
\pset tuples_only false
SELECT name, count(*) AS rows, count(DISTINCT key) AS keys,
       string_agg(DISTINCT CASE WHEN became ~ '^[A-HJ-NP-Z2-9]{8}$' THEN 'random' ELSE became END, ', ') AS became
  FROM (SELECT coalesce(b.name, a.name) AS name, b.key, b.value AS was,
               CASE WHEN a.name IS NULL THEN 'deleted'
                    WHEN a.name = 'code.disabled_at' THEN 'now' ELSE coalesce(a.value, 'NULL') END AS became
          FROM rows_before b FULL JOIN pg_temp.everything() a USING (name, key)
         WHERE (b.name, b.value) IS DISTINCT FROM (a.name, a.value)
           AND coalesce(a.name, '') !~ '^member_audit' OR b.name ~ '^member_audit' AND b.value IS DISTINCT FROM a.value) d
 GROUP BY name ORDER BY name;
\pset tuples_only true
SELECT set_eq($$ SELECT b.name FROM rows_before b LEFT JOIN pg_temp.everything() a USING (name, key)
                  WHERE b.value IS NOT NULL AND (a.name IS NULL OR a.value IS DISTINCT FROM b.value)
                 EXCEPT SELECT name FROM verdict WHERE fate <> 'kept' $$,
              $$ SELECT v FROM unnest('{click.program_id,click.code_id,click.clicked_at,click.utm_key,click.salt_id,
                                        payout_destination.program_id,payout_destination.member_id,
                                        payout_destination.set_at}'::text[]) v $$,
              'nothing else that there was is changed or gone, but the rest of rows that are deleted');
SELECT results_eq($$ SELECT action, detail, note, actor FROM referral.member_audit
                      WHERE program_id = 1 ORDER BY audit_id DESC LIMIT 1 $$,
                  $$ VALUES ('erase', '{}'::jsonb, NULL, session_user::text) $$, 'it is audited');

-- What operators see of her.
SELECT results_eq($$ SELECT payout_id, network, address, amount_micro, status FROM referral.payout_order
                      WHERE user_id = 'ada' AND program_id = 1 ORDER BY payout_id $$,
                  $$ VALUES ('ada-w1', NULL::text, NULL::text, 1000001::bigint, 'requested'),
                            ('ada-w2', NULL, NULL, 1000002, 'processing'),
                            ('ada-w6', NULL, NULL, 1000006, 'requested') $$,
                  'open payouts keep what they reserve and have no destination');
SELECT results_eq($$ SELECT kind, campaign_id, disabled_at IS NULL FROM referral.code
                      WHERE program_id = 1 AND user_id = 'ada' ORDER BY code_id $$,
                  $$ VALUES ('uid', 0::bigint, true), ('custom', 0, false), ('custom', 0, false),
                            ('campaign', 1, true) $$, 'slugs end, other codes go on');
SELECT results_eq($$ SELECT (c ->> 'change'), c ->> 'reason', c ->> 'error'
                       FROM jsonb_array_elements(referral.explain_payment('ada-p', 1) -> 'changes') c
                      WHERE c ->> 'change' ~ 'refund|grant' ORDER BY c ->> 'at', c ->> 'refund_id', 1 $$,
                  $$ SELECT * FROM (VALUES ('grant_failed', NULL::text, NULL::text)) v LIMIT 0 $$, 'explained');
SELECT results_eq($$ SELECT v.user_id, v.click_id, d.utm_campaign, d.landing_path, d.decision, d.decision_reason
                       FROM referral.list_attributions('ada', program_id => 1) v,
                            referral.attribution_detail(v.id, 1) d ORDER BY 1 $$,
                  $$ VALUES ('ada', NULL::text, NULL::text, NULL::text, 'approved', 'erased'),
                            ('ada1', 'ada-c1', NULL, NULL, 'approved', 'erased'),
                            ('ada2', 'ada-c2', 'spring', NULL, 'approved', NULL),
                            ('ada3', 'ada-c3', 'spring', NULL, 'rejected', 'erased') $$,
                  'what there was to decide stays decided');
