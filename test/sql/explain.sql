-- Why a payment earned what it did, or nothing.
\set SHOW_CONTEXT never
CALL referral.install();
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';
\set ON_ERROR_ROLLBACK on

INSERT INTO referral.program (program_id, name, currency, time_zone, hold_days, max_level, qualify_days, earning_days)
VALUES (71, 'explain', 'EUR', 'Europe/Berlin', 30, 3, 100, 200);
SET LOCAL referral.program_id = '71';
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (71, 1, 'Bronze', 0), (71, 2, 'Silver', 2), (71, 3, 'Gold', 1000);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro)
VALUES (71, 1, 'spring', '2024-01-01', '2025-01-01', 1000);
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps, flat_micro, max_payments)
VALUES (71, 0, 0, 1, 1000, 0, NULL), (71, 0, 2, 1, 1500, 7, NULL), (71, 0, 0, 2, 400, 0, 2),
       (71, 1, 0, 1, 5000, 0, NULL), (71, 0, 3, 2, 0, 0, NULL);

-- The same every day: no ids, no times of today.
CREATE FUNCTION pg_temp.facts(explained jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(jsonb_pretty(explained - 'program'),
        '"(id|payment_no|reward_id|member_id|payer_id|attribution_id|code|created_at|arrived_at|processed_at|valid_from)": ([^,\n]+)',
        '"\1": ...', 'g')
$$;
CREATE FUNCTION pg_temp.brief(payment_id text) RETURNS TABLE (outcome text, reason text, levels text)
LANGUAGE sql AS $$
    SELECT e ->> 'outcome', e ->> 'reason',
           (SELECT string_agg(concat_ws(' ', l ->> 'user_id', l -> 'tier' ->> 'tier', l -> 'tier' ->> 'why',
                                        l ->> 'arithmetic', l -> 'reward' ->> 'amount_micro', l ->> 'reason'),
                              '; ' ORDER BY l -> 'level')
              FROM jsonb_array_elements(e -> 'levels') l)
    FROM referral.explain_payment(brief.payment_id) e
$$;

-- top <- ann <- dan; top <- bob; camp by the campaign's code
SELECT count(referral.enroll(u)) FROM unnest('{top,ann,bob,dan,camp,lone}'::text[]) u;
SELECT u, a.attributed
FROM (VALUES (1, 'ann', 'top'), (2, 'bob', 'top'), (3, 'dan', 'ann')) v(n, u, under),
     LATERAL referral.attribute(u, referral.enroll(under), NULL, '2024-01-01 00:00+0') a
ORDER BY n;
SELECT a.attributed
FROM referral.campaign_code('top', 1) c, LATERAL referral.attribute('camp', c.code, NULL, '2024-01-01 00:00+0') a;

INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) VALUES
(71, 'first',   'ann', 9999, 1999, 'purchase', '2024-02-01 23:30+0'),
(71, 'second',  'bob', 5000, NULL, 'purchase', '2024-02-02 00:00+0'),
(71, 'silver',  'ann', 9999, 1999, 'purchase', '2024-02-03 00:00+0'),
(71, 'line1',   'dan', 1000, NULL, 'purchase', '2024-02-04 00:00+0'),
(71, 'line2',   'dan', 1001, NULL, 'purchase', '2024-02-05 00:00+0'),
(71, 'line3',   'dan', 1002, NULL, 'purchase', '2024-02-06 00:00+0');

SELECT pg_temp.facts(referral.explain_payment('first'));
SELECT pg_temp.facts(referral.explain_reward(r.id)) FROM referral.list_rewards('top') r WHERE r.payment_id = 'silver';
SELECT p, b.* FROM unnest('{second,line1,line2,line3}'::text[]) p, pg_temp.brief(p) b;

-- The rates as they stood, not as they stand.
UPDATE referral.rate SET rate_bps = 1, flat_micro = 0 WHERE program_id = 71 AND level = 1 AND campaign_id = 0;
DELETE FROM referral.rate WHERE program_id = 71 AND level = 2;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'later', 'dan', 1000000, '2024-02-07');
SELECT p, b.* FROM unnest('{silver,line1,later}'::text[]) p, pg_temp.brief(p) b;
SELECT rule - '{valid_from,valid_to,changed_by}'::text[] AS rule, (rule ->> 'valid_to') IS NOT NULL AS former
FROM jsonb_array_elements(referral.explain_payment('silver') #> '{levels,1,rules}') rule;

-- Nothing earned: everything that stands in the way.
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind, occurred_at) VALUES
(71, 'stranger', 'nobody', 100, NULL, 'purchase', '2024-02-01'),
(71, 'lonely',   'lone',   100, NULL, 'purchase', '2024-02-01'),
(71, 'deposit',  'ann',    100, NULL, 'deposit',  '2024-02-01'),
(71, 'free',     'ann',    100,    0, 'purchase', '2024-02-01'),
(71, 'early',    'ann',    100, NULL, 'purchase', '2023-02-01'),
(71, 'late',     'ann',    100, NULL, 'purchase', '2024-12-01'),
(71, 'small',    'ann',   9999, NULL, 'purchase', '2024-02-08'),
(71, 'budget',   'camp',  2001, NULL, 'purchase', '2024-02-01'),
(71, 'fits',     'camp',  2000, NULL, 'purchase', '2024-02-02'),
(71, 'full',     'camp',   200, NULL, 'purchase', '2024-02-02');
SELECT p, b.* FROM unnest('{stranger,lonely,deposit,free,early,late,small,budget,fits,full}'::text[]) p,
                   pg_temp.brief(p) b;
SELECT referral.enroll('slow') IS NOT NULL AS enrolled,
       (referral.attribute('slow', referral.enroll('top'), NULL, '2024-01-01')).attributed;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'expired', 'slow', 100000, '2024-05-01');
SELECT p, b.* FROM unnest('{expired}'::text[]) p, pg_temp.brief(p) b;

-- Suspended, and reinstated.
SELECT (referral.suspend('top', 'fraud?', 'ops')).user_id;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'suspended', 'ann', 100000, '2024-02-09');
SELECT b.* FROM pg_temp.brief('suspended') b;

-- A tier by hand, and by whom.
SELECT * FROM referral.set_tier('ann', 3, 'our friend', 'ops');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'pinned', 'dan', 100000, '2024-02-10');
SELECT referral.explain_payment('pinned') #> '{levels,1,tier}' #- '{since}';

-- A code that is full caps the attribution for good.
UPDATE referral.code SET cap = 0 WHERE program_id = 71 AND user_id = 'bob';
SELECT (referral.attribute('gus', referral.enroll('bob'), NULL, '2024-01-01')).reason;
UPDATE referral.code SET cap = 1 WHERE program_id = 71 AND user_id = 'bob';
SELECT (referral.attribute(u, referral.enroll('bob'), NULL, '2024-01-01')).reason FROM unnest('{hal,ida}'::text[]) u;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'in', 'hal', 100000, '2024-02-10'), (71, 'out', 'ida', 100000, '2024-02-10'),
       (71, 'out2', 'ida', 100000, '2024-02-11');
SELECT p, b.* FROM unnest('{in,out,out2}'::text[]) p, pg_temp.brief(p) b;

-- A program that is not active; a payment that nobody saw.
UPDATE referral.program SET active = false WHERE program_id = 71;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'asleep', 'bob', 100000, '2024-02-12');
UPDATE referral.program SET active = true WHERE program_id = 71;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at, taken_in)
VALUES (71, 'unseen', 'bob', 100000, '2024-02-12', false);
SELECT p, b.* FROM unnest('{asleep,unseen}'::text[]) p, pg_temp.brief(p) b;

-- In review.
UPDATE referral.attribution SET decision = 'review_required' WHERE program_id = 71 AND user_id = 'slow';
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (71, 'waiting', 'slow', 100000, '2024-02-12');
SELECT b.* FROM pg_temp.brief('waiting') b;
UPDATE referral.attribution SET decision = 'rejected' WHERE program_id = 71 AND user_id = 'slow';
DELETE FROM referral.payment_waiting WHERE program_id = 71;
SELECT b.* FROM pg_temp.brief('waiting') b;

-- Late attribution: who came on top afterwards had no part in it.
SELECT (referral.attribute('top', referral.enroll('lone'), NULL, '2024-01-01')).attributed;
UPDATE referral.attribution SET created_at = clock_timestamp() WHERE program_id = 71 AND user_id = 'top';
SELECT jsonb_path_query_array(referral.explain_payment('line2'), '$.levels[*].user_id');

-- What happened since: refunds, applied and waiting, what used the reward up,
-- and how its grant stands.
CREATE FUNCTION pg_temp.changes(explained jsonb) RETURNS TABLE (change text, facts text) LANGUAGE sql AS $$
    SELECT c ->> 'change',
           regexp_replace((c - '{change,at}'::text[])::text, '"(reward_id)": \d+', '"\1": ...', 'g')
           || CASE WHEN (c ->> 'at')::timestamptz BETWEEN now() AND clock_timestamp() THEN '' ELSE ' ' || (c ->> 'at') END
    FROM jsonb_array_elements(explained -> 'changes') WITH ORDINALITY e(c, n) ORDER BY n
$$;
CREATE FUNCTION pg_temp.stands(explained jsonb) RETURNS TABLE (level text, status text, reversed text, written_off text)
LANGUAGE sql AS $$
    SELECT l ->> 'level', l #>> '{reward,status}', l #>> '{reward,reversed_micro}', l #>> '{reward,written_off_micro}'
    FROM jsonb_array_elements(explained -> 'levels') l
$$;
SELECT jsonb_array_length(referral.explain_payment('line1') -> 'changes') AS none_yet;
INSERT INTO referral.program (program_id, name, hold_days, max_level, uses_grants, debt_policy)
VALUES (72, 'explain changes', 1, 2, true, 'within_balance');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (72, 1, 1000), (72, 2, 100);
SET LOCAL referral.program_id = '72';
SELECT u, a.attributed
FROM (VALUES (1, 'low', 'mid'), (2, 'mid', 'high')) v(n, u, under),
     LATERAL referral.attribute(u, referral.enroll(under), NULL, '2024-01-01 00:00+0') a
ORDER BY n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (72, 'sold', 'low', 10000, '2024-02-01');
SELECT s.* FROM pg_temp.stands(referral.explain_payment('sold')) s;
SELECT state FROM referral.record_refund('back1', 'sold', 1111, 'one of nine');
SELECT amount_micro FROM referral.spend('mid', 300, 'spend1');
SELECT status FROM referral.request_payout('mid', 'payout1', 587);
SELECT status FROM referral.payout_sent('payout1', 'ref');
SELECT amount_micro FROM referral.spend('mid', 2, 'spend2');
SELECT state FROM referral.record_refund('back2', 'sold', 1111);
SELECT state FROM referral.record_refund('back3', 'not sold', 5, 'too early');
UPDATE referral.program SET debt_policy = 'unlimited' WHERE program_id = 72;
SELECT state FROM referral.record_refund('back4', 'sold', 2222);
SELECT s.* FROM pg_temp.stands(referral.explain_payment('sold')) s;
SELECT c.* FROM pg_temp.changes(referral.explain_payment('sold')) c;
SELECT e -> 'level' AS level, e #> '{reward,status}' AS status, e #> '{reward,reversed_micro}' AS reversed,
       e #> '{reward,written_off_micro}' AS written_off, c.*
FROM referral.list_rewards('high') r, referral.explain_reward(r.id) e, pg_temp.changes(e) c;
INSERT INTO referral.refund_waiting (program_id, payment_id, refund_no, amount_micro, refund_id)
SELECT program_id, 'sold', refund_no, amount_micro, refund_id FROM referral.refund WHERE program_id = 72 AND refund_id = 'back3';
SELECT c.* FROM pg_temp.changes(referral.explain_payment('sold')) c WHERE change = 'refund_waiting';

-- Where grants are used, an attribution is rewarded once one is confirmed.
SELECT referral.attribution_status(72, 'low'), referral.attribution_status(72, 'mid');
SELECT referral.fail_grant(grant_key, 'try later') IS NULL FROM referral.claim_grants(1);
SELECT user_id, amount_micro, attempts, referral.confirm_grant(grant_key) IS NOT NULL AS confirmed FROM referral.claim_grants(10);
SELECT c.* FROM referral.list_rewards('high') r, pg_temp.changes(referral.explain_reward(r.id)) c WHERE change LIKE 'grant%';
SELECT referral.attribution_status(72, 'low');
UPDATE referral.program SET uses_grants = false WHERE program_id = 72;
UPDATE referral.attribution SET granted_at = NULL WHERE program_id = 72;
SELECT referral.attribution_status(72, 'low');
SET LOCAL referral.program_id = '71';

-- Unknown ones, and those of another program.
SELECT referral.explain_payment('no such'), referral.explain_reward(1);
SELECT referral.explain_payment('first', 72) IS NULL AS other_program,
       referral.explain_reward(id, 72) IS NULL AS reward_too
FROM referral.list_rewards('top', NULL, 1);

-- Every reward is explained by the rule that its numbers show.
SELECT count(*) AS rewards, count(*) FILTER (
           WHERE (e #> '{chosen,rate_bps}', e #> '{chosen,flat_micro}', e ->> 'base_micro')
                 IS DISTINCT FROM (to_jsonb(r.rate_bps), to_jsonb(r.flat_micro), r.base_micro::text)) AS unexplained
FROM referral.reward r, LATERAL referral.explain_reward(r.reward_id) e
WHERE r.program_id = 71;
ROLLBACK;
