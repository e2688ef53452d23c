-- What the payment tests share: a database of their own, since payments are
-- append-only and cannot be cleared away, and a few words to tell a story in.
\set SHOW_CONTEXT never
\set outside :DBNAME
SET client_min_messages = warning;
DROP DATABASE IF EXISTS referral_payment;
CREATE DATABASE referral_payment;
\c referral_payment
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION referral;
CALL referral.install();
CREATE SCHEMA told;
SET search_path = told, public;

-- People join: 'bob<ann carl<bob' = ann referred bob, who referred carl. The
-- campaign: by the referrer's code in it.
CREATE PROCEDURE told.join_by(edges text, at timestamptz DEFAULT '2024-01-01 00:00+00',
                              campaign bigint DEFAULT 0)
    LANGUAGE plpgsql AS $$
DECLARE
    edge text[];
    code text;
    answer record;
BEGIN
    FOR edge IN SELECT string_to_array(e, '<') FROM regexp_split_to_table(trim(edges), '\s+') e LOOP
        code := referral.enroll(edge[2]);
        IF campaign <> 0 THEN
            code := (referral.campaign_code(edge[2], campaign)).code;
        END IF;
        answer := referral.attribute(edge[1], code, at => at);
        IF NOT answer.attributed THEN
            RAISE '%: %', edge[1], answer.reason;
        END IF;
    END LOOP;
END $$;

-- Attributions that a rule holds for review.
CREATE PROCEDURE told.hold(who text[])
    LANGUAGE sql AS $$
    SELECT referral.hold_attribution(a.program_id, a.user_id, a.attribution_id, '{velocity}')
    FROM referral.attribution a
    WHERE a.program_id = referral.current_program() AND a.user_id = ANY (who);
    UPDATE referral.attribution SET decision = 'review_required'
    WHERE program_id = referral.current_program() AND user_id = ANY (who);
$$;

CREATE VIEW told.rewards AS
SELECT r.payment_id AS payment, b.user_id AS who, r.level, r.tier, r.rate_bps AS bps,
       r.flat_micro AS flat, r.base_micro AS base, r.amount_micro AS amount, r.available_at,
       r.reward_id, r.program_id
FROM referral.reward r JOIN referral.member b USING (program_id, member_id)
WHERE r.program_id = referral.current_program();

-- A payment's rewards in a line: who=amount, level by level.
CREATE FUNCTION told.earned(payments text[] DEFAULT NULL)
    RETURNS TABLE (payment text, earned text) LANGUAGE sql AS $$
    SELECT p.payment_id,
           coalesce((SELECT string_agg(format('%s %s=%s', r.level, r.who, r.amount), ', '
                                       ORDER BY r.level)
                     FROM told.rewards r WHERE r.payment = p.payment_id), '-')
    FROM referral.payment p
    WHERE p.program_id = referral.current_program()
      AND (p.payment_id = ANY (payments) OR payments IS NULL)
    ORDER BY p.payment_no
$$;

CREATE VIEW told.attributions AS
SELECT a.user_id AS who, b.user_id AS by, a.decision, a.qualified_at, a.rewarded_at
FROM referral.attribution a
JOIN referral.member b ON b.program_id = a.program_id AND b.member_id = a.referrer_id
WHERE a.program_id = referral.current_program();

CREATE VIEW told.members AS
SELECT m.user_id AS who, referral.effective_tier(m.program_id, m.member_id) AS tier,
       (SELECT coalesce(sum(i.paid_invitees), 0) FROM referral.invited i
        WHERE i.program_id = m.program_id AND i.member_id = m.member_id) AS paid_invitees,
       p.*
FROM referral.member m,
     LATERAL (SELECT sum(p.volume_micro) AS volume, sum(p.deposits_micro) AS deposits,
                     sum(p.payments) AS payments, sum(p.earning_payments) AS earning
              FROM referral.paid p
              WHERE p.program_id = m.program_id AND p.member_id = m.member_id) p
WHERE m.program_id = referral.current_program();

CREATE VIEW told.codes AS
SELECT c.user_id AS who, c.kind, c.campaign_id, c.cap,
       c.used + (SELECT coalesce(sum(u.used), 0) FROM referral.code_use u
                 WHERE u.program_id = c.program_id AND u.code_id = c.code_id) AS used
FROM referral.code c
WHERE c.program_id = referral.current_program();

CREATE VIEW told.levels AS
SELECT m.user_id AS who, e.level, sum(e.amount_micro) AS earned, sum(e.volume_micro) AS volume,
       sum(e.deposits_micro) AS deposits, sum(e.rewards) AS rewards
FROM referral.earning e JOIN referral.member m USING (program_id, member_id)
WHERE e.program_id = referral.current_program()
GROUP BY m.user_id, e.level;

-- All that the engine wrote about a program, without the numbers that depend
-- on chance: ids, parts, and the moment of writing.
CREATE FUNCTION told.books(p bigint) RETURNS SETOF text LANGUAGE sql AS $$
    WITH who AS (SELECT member_id, user_id FROM referral.member WHERE program_id = p),
         nth AS (SELECT payment_no, row_number() OVER (ORDER BY payment_no) AS n
                 FROM referral.payment WHERE program_id = p)
    SELECT format('payment %s %s %s %s %s %s %s %s', n, payment_id, user_id, amount_micro,
                  base_micro, kind, occurred_at, taken_in)
    FROM referral.payment JOIN nth USING (payment_no) WHERE program_id = p
    UNION ALL
    SELECT format('reward %s.%s %s %s %s %s %s %s %s %s %s %s', n, reward_id & 15, b.user_id,
                  y.user_id, base_micro, amount_micro, flat_micro, available_at, rate_bps, tier,
                  level, payment_id)
    FROM referral.reward r JOIN nth ON nth.payment_no = r.reward_id >> 4
    JOIN who b USING (member_id) JOIN who y ON y.member_id = r.payer_id WHERE program_id = p
    UNION ALL
    SELECT format('earning %s %s %s %s: %s %s %s %s', user_id, available_at, earned_on, level,
                  sum(amount_micro), sum(volume_micro), sum(deposits_micro), sum(rewards))
    FROM referral.earning JOIN who USING (member_id) WHERE program_id = p
    GROUP BY user_id, available_at, earned_on, level
    UNION ALL
    SELECT format('paid %s: %s %s %s %s', user_id, sum(volume_micro), sum(deposits_micro),
                  sum(payments), sum(earning_payments))
    FROM referral.paid JOIN who USING (member_id) WHERE program_id = p GROUP BY user_id
    UNION ALL
    SELECT format('invited %s %s: %s', user_id, month, sum(paid_invitees))
    FROM referral.invited JOIN who USING (member_id) WHERE program_id = p GROUP BY user_id, month
    HAVING sum(paid_invitees) <> 0      -- a place that was reserved and not taken
    UNION ALL
    SELECT format('code %s %s %s: %s', c.user_id, c.kind, c.campaign_id,
                  c.used + coalesce((SELECT sum(u.used) FROM referral.code_use u
                                     WHERE u.program_id = p AND u.code_id = c.code_id), 0))
    FROM referral.code c WHERE program_id = p
    UNION ALL
    SELECT format('spent %s: %s', campaign_id, sum(amount_micro))
    FROM referral.campaign_spent WHERE program_id = p GROUP BY campaign_id
    UNION ALL
    SELECT format('attribution %s %s %s %s', user_id, qualified_at, rewarded_at, decision)
    FROM referral.attribution WHERE program_id = p
    UNION ALL
    SELECT format('waiting %s %s %s %s', user_id, n, occurred_at, payment_id)
    FROM referral.payment_waiting JOIN nth USING (payment_no) JOIN who USING (member_id)
    WHERE program_id = p
    UNION ALL
    SELECT format('unrewarded %s %s', payment_id, reason)
    FROM referral.payment_unrewarded WHERE program_id = p
    UNION ALL
    SELECT format('tier %s %s', m.user_id, referral.effective_tier(p, m.member_id))
    FROM referral.member m WHERE program_id = p
    ORDER BY 1
$$;

-- Where the books of two programs differ.
CREATE FUNCTION told.differences(a bigint, b bigint)
    RETURNS TABLE (only_in bigint, what text) LANGUAGE sql AS $$
    WITH x AS (SELECT line FROM told.books(a) line), y AS (SELECT line FROM told.books(b) line)
    SELECT a, d.line FROM (TABLE x EXCEPT ALL TABLE y) d
    UNION ALL
    SELECT b, d.line FROM (TABLE y EXCEPT ALL TABLE x) d
    ORDER BY 2, 1
$$;

-- The same in brief, for a program beside several others.
CREATE FUNCTION told.compare(a bigint, first bigint, last bigint)
    RETURNS TABLE (program bigint, differences bigint, first_one text) LANGUAGE sql AS $$
    SELECT p, count(d.what), min(d.what)
    FROM generate_series(first, last) p LEFT JOIN LATERAL told.differences(a, p) d ON true
    GROUP BY p ORDER BY p
$$;

-- A hash over every row of every table, to show that nothing was written.
CREATE FUNCTION told.everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rel regclass;
    rows text;
    total text := '';
BEGIN
    FOR rel IN SELECT c.oid FROM pg_class c
               WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r' ORDER BY c.oid
    LOOP
        EXECUTE format('SELECT md5(string_agg(t::text, E''\n'' ORDER BY t::text)) FROM %s t', rel)
            INTO rows;
        total := total || rel::text || coalesce(rows, '-') || ' ';
    END LOOP;
    RETURN md5(total);
END $$;
