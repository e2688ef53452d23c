-- Random histories of payments, refunds, spends, payouts and adjustments; after
-- each step the books are compared with the rules, told once more in SQL.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/payment.sql'
\set settlement :abs_srcdir '/include/settlement.sql'
\set ECHO none
\i :include
\i :settlement
\set ECHO all
\set VERBOSITY terse

-- A program's life in random steps, up to the first one after which the books
-- are not what the rules say.
CREATE PROCEDURE told.live(p bigint, steps int) LANGUAGE plpgsql AS $$
DECLARE
    who text[] := '{top,ann,bob,dan}';
    name text;
    m bigint;
    dice float8;
    amount bigint;
    no bigint := 0;
    since bigint;
    what text;
    spends jsonb := '[]';
    taken jsonb;
    pays int := 0;
BEGIN
    PERFORM set_config('referral.program_id', p::text, false);
    CALL told.join_by('ann<top bob<ann dan<bob eve<ann', at => '2023-01-01');
    FOR step IN 1..steps LOOP
        dice := random();
        name := who[1 + floor(random() * 4)];
        m := told.member(name);
        IF dice < 0.42 THEN
            what := 'payments';
            -- late ones among them: a number of an earlier payment that was never used
            INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at, payment_no)
            SELECT p, 'p' || pays + i, (ARRAY['ann', 'bob', 'dan', 'eve'])[1 + floor(random() * 4)], floor(random() * 5000),
                   CASE WHEN random() < 0.1 THEN now() + random() * interval '20 hours'
                        WHEN random() < 0.5 THEN date_trunc('day', now()) - floor(random() * 50) * interval '1 day'
                        ELSE now() - random() * interval '50 days' END,
                   (100 + n - CASE WHEN random() < 0.2 THEN floor(random() * 30)::bigint ELSE 0 END) * 100000 + n
            FROM (SELECT nextval('referral.payment_no_seq') AS n, i FROM generate_series(1, 1 + floor(random() * 4)::int) i) f;
            GET DIAGNOSTICS amount = ROW_COUNT;
            pays := pays + amount;
        ELSIF dice < 0.70 THEN
            no := no + 1;
            amount := floor(random() * random() * 1000) + 1;
            what := format('%s settles %s', name, amount);
            IF random() < 0.5 THEN
                spends := spends || jsonb_build_object('who', name, 'no', no, 'amount', amount);
                PERFORM told.settle(name, 'spent', no, amount);
                PERFORM told.model_settle(p, m, 'spent', no, amount);
            ELSE
                PERFORM told.settle(name, 'paid_out', no, amount);
                PERFORM told.model_settle(p, m, 'paid_out', no, amount);
            END IF;
        ELSIF dice < 0.78 AND jsonb_array_length(spends) > 0 THEN
            amount := floor(random() * jsonb_array_length(spends));
            taken := spends -> amount::int;
            spends := spends - amount::int;
            what := 'unspend ' || taken::text;
            PERFORM told.unspend(taken ->> 'who', (taken ->> 'no')::bigint, (taken ->> 'amount')::bigint);
            DELETE FROM told.model s WHERE s.program_id = p AND s.member_id = told.member(taken ->> 'who')
                AND s.kind = 'spent' AND s.settler_no = (taken ->> 'no')::bigint;
            PERFORM told.model_settle(p, told.member(taken ->> 'who'), 'spent', 0, 0);
        ELSIF dice < 0.82 THEN
            amount := floor(random() * 800) - 400;
            what := format('%s adjusted %s', name, amount);
            INSERT INTO told.model_account VALUES (p, m, amount)
            ON CONFLICT (program_id, member_id) DO UPDATE SET adjusted = model_account.adjusted + amount;
            PERFORM told.adjust(name, amount);
            PERFORM told.model_settle(p, m, 'spent', 0, 0);
        ELSIF dice < 0.88 THEN
            what := 'a day passes';
            SET LOCAL session_replication_role = replica;
            UPDATE referral.reward r SET available_at = r.available_at - interval '1 day' WHERE r.program_id = p;
            UPDATE referral.earning e SET available_at = e.available_at + interval '1000 days' WHERE e.program_id = p;
            UPDATE referral.earning e SET available_at = e.available_at - interval '1001 days', earned_on = e.earned_on - 1 WHERE e.program_id = p;
            UPDATE referral.payment y SET occurred_at = y.occurred_at - interval '1 day' WHERE y.program_id = p;
            SET LOCAL session_replication_role = origin;
        ELSE
            what := 'refunds';
            since := nextval('referral.refund_no_seq');
            -- of some payments, parts or the rest; one may come several times
            INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
            SELECT p, format('r%s.%s.%s', step, y.payment_id, k), y.payment_id, greatest(1, y.rest / y.parts)
            FROM (SELECT y.payment_id, 1 + floor(random() * 7)::int AS parts, y.amount_micro
                         - coalesce((SELECT max(a.total_micro) FROM referral.refund_applied a
                                     WHERE (a.program_id, a.payment_no) = (p, y.payment_no)), 0) AS rest
                  FROM referral.payment y WHERE y.program_id = p ORDER BY random() LIMIT 1 + floor(random() * 4)) y,
                 generate_series(1, 1 + floor(random() * 3)::int) k
            WHERE y.rest >= y.parts AND k <= y.parts AND (k = 1 OR random() < 0.8) ORDER BY random();
            PERFORM told.model_refunds(p, since);
        END IF;
        COMMIT;
        IF EXISTS (SELECT FROM told.unlike) OR EXISTS (SELECT FROM told.wrong) THEN
            RAISE EXCEPTION 'program % step %: %', p, step, what;
        END IF;
    END LOOP;
END $$;

INSERT INTO referral.program (program_id, name, max_level, hold_days, time_zone, debt_policy)
SELECT p, 'history ' || p, 3, (ARRAY[0, 30, 7])[1 + p % 3], (ARRAY['UTC', 'Asia/Kathmandu', 'America/Sao_Paulo'])[1 + p % 5 % 3],
       (ARRAY['unlimited', 'unlimited', 'within_balance', 'only_pending'])[1 + p % 4] FROM generate_series(1, 8) p;
INSERT INTO referral.rate (program_id, level, rate_bps) SELECT p, l, 1500 / l FROM generate_series(1, 8) p, generate_series(1, 3) l;
INSERT INTO referral.rate (program_id, level, rate_bps, flat_micro) SELECT p, 0, 300, 7 FROM generate_series(2, 8, 2) p;
SELECT setseed(0.5);
CALL live(1, 60);
CALL live(2, 60);
CALL live(3, 60);
CALL live(4, 60);
CALL live(5, 60);
CALL live(6, 60);
CALL live(7, 60);
CALL live(8, 60);
-- All of it happened.
SELECT count(*) > 50 AS closed, count(DISTINCT status) AS ways FROM referral.reward_closed;
SELECT count(*) > 500 AS rewards FROM referral.reward;
SELECT count(*) FILTER (WHERE reward_id = 0) > 5 AS uncovered, count(*) FILTER (WHERE reward_id <> 0) > 100 AS covered FROM referral.settlement;
\c :outside
DROP DATABASE referral_payment;
