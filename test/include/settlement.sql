-- Spends and payouts as their SQL callers do them, and the rules of settlement
-- told once more, one reward after the other, to compare the engine with.

CREATE FUNCTION told.member(who text) RETURNS bigint LANGUAGE sql AS $$
    SELECT member_id FROM referral.member
    WHERE program_id = referral.current_program() AND user_id = who
$$;

CREATE FUNCTION told.available(who text) RETURNS bigint LANGUAGE sql AS $$
    SELECT referral.account_available(referral.current_program(), told.member(who))
$$;

-- kind 'spent' or 'paid_out'; amount 0: what is owed only.
CREATE FUNCTION told.settle(who text, kind text, no bigint, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM told.available(who);
    UPDATE referral.account a
       SET spent_micro = spent_micro + CASE kind WHEN 'spent' THEN amount ELSE 0 END,
           paid_out_micro = paid_out_micro + CASE kind WHEN 'spent' THEN 0 ELSE amount END
     WHERE (a.program_id, a.member_id) = (referral.current_program(), told.member(who));
    PERFORM referral.settle(referral.current_program(), told.member(who), kind, no, amount);
END $$;

CREATE FUNCTION told.unspend(who text, no bigint, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM told.available(who);
    UPDATE referral.account a SET spent_micro = spent_micro - amount
     WHERE (a.program_id, a.member_id) = (referral.current_program(), told.member(who));
    PERFORM referral.unsettle(referral.current_program(), told.member(who), no);
END $$;

CREATE FUNCTION told.adjust(who text, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM told.available(who);
    UPDATE referral.account a SET adjusted_micro = adjusted_micro + amount
     WHERE (a.program_id, a.member_id) = (referral.current_program(), told.member(who));
    PERFORM referral.settle(referral.current_program(), told.member(who), 'spent', 0, 0);
END $$;

CREATE VIEW told.net AS
SELECT r.program_id, r.member_id, r.reward_id, r.payment_id, r.level, r.available_at,
       r.amount_micro AS amount, coalesce(x.reversed, 0) AS reversed,
       coalesce((SELECT sum(s.amount_micro) FROM referral.settlement s
                 WHERE (s.program_id, s.member_id, s.reward_id) = (r.program_id, r.member_id, r.reward_id)), 0) AS settled,
       (SELECT c.status FROM referral.reward_closed c
        WHERE (c.program_id, c.member_id, c.reward_id) = (r.program_id, r.member_id, r.reward_id)
          AND c.status IN ('paid_out', 'reversed', 'spent')) AS closed
FROM referral.reward r LEFT JOIN LATERAL (
    SELECT div(r.amount_micro::numeric * max(a.total_micro), r.base_micro)
           - coalesce((SELECT sum(w.amount_micro) FROM referral.write_off w
                       WHERE (w.program_id, w.reward_id) = (r.program_id, r.reward_id)), 0) AS reversed
    FROM referral.refund_applied a
    WHERE (a.program_id, a.payment_no) = (r.program_id, r.reward_id >> 4)
) x ON true;

-- Each reward of a member and who used it up: 'p1 50-10 spent: s7=40'.
CREATE FUNCTION told.rewards_of(who text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s %s%s %s%s', n.payment_id, n.amount, nullif(-n.reversed, 0),
                  coalesce(n.closed, CASE WHEN n.available_at > clock_timestamp() THEN 'pending' ELSE 'available' END),
                  (SELECT ': ' || string_agg(left(s.kind, 1) || s.settler_no || '=' || s.amount_micro, ' ' ORDER BY s.settlement_no)
                   FROM referral.settlement s
                   WHERE (s.program_id, s.member_id, s.reward_id) = (n.program_id, n.member_id, n.reward_id)))
    FROM told.net n WHERE n.program_id = referral.current_program() AND n.member_id = told.member(who)
    ORDER BY n.available_at, n.reward_id
$$;

CREATE FUNCTION told.uncovered(who text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(left(s.kind, 1) || s.settler_no || '=' || s.amount_micro, ' ' ORDER BY s.settlement_no)
    FROM referral.settlement s
    WHERE s.program_id = referral.current_program() AND s.member_id = told.member(who) AND s.reward_id = 0
$$;

-- What does not add up, of all programs: nothing.
CREATE VIEW told.wrong AS
WITH ruled AS (
    SELECT n.*, CASE WHEN n.reversed = n.amount THEN 'reversed'
                     WHEN n.settled >= n.amount - n.reversed THEN
                     (SELECT s.kind FROM referral.settlement s
                      WHERE (s.program_id, s.member_id, s.reward_id) = (n.program_id, n.member_id, n.reward_id)
                      ORDER BY s.settlement_no DESC LIMIT 1) END AS status,
           (p.occurred_at AT TIME ZONE g.time_zone)::date AS earned_on,
           (n.available_at AT TIME ZONE g.time_zone)::date AS due_on
    FROM told.net n JOIN referral.payment p USING (program_id, payment_id) JOIN referral.program g USING (program_id)
), counted AS (
    SELECT e.program_id, e.member_id, e.level, e.earned_on, (e.available_at AT TIME ZONE g.time_zone)::date AS due_on,
           sum(e.closed) AS closed, sum(e.reversed_micro) AS reversed
    FROM referral.earning e JOIN referral.program g USING (program_id) GROUP BY 1, 2, 3, 4, 5
), settled AS (
    SELECT program_id, member_id, sum(amount_micro) AS amount,
           coalesce(sum(amount_micro) FILTER (WHERE reward_id = 0), 0) AS uncovered
    FROM referral.settlement GROUP BY 1, 2
)
SELECT 'reward ' || reward_id || ' is ' || coalesce(closed, 'open') || ', not ' || coalesce(status, 'open') AS what
FROM ruled WHERE closed IS DISTINCT FROM status
UNION ALL SELECT 'reward ' || reward_id || ': settled ' || settled FROM ruled WHERE settled > amount - reversed
UNION ALL SELECT 'a part of ' || amount_micro FROM referral.settlement WHERE amount_micro <= 0
UNION ALL SELECT 'pending, but settled: ' || reward_id FROM ruled WHERE settled > 0 AND available_at > clock_timestamp()
UNION ALL SELECT format('member %s: counted %s closed, %s reversed, are %s, %s', member_id, c.closed, c.reversed, r.closed, r.reversed)
FROM counted c FULL JOIN (SELECT program_id, member_id, level, earned_on, due_on, count(status) AS closed, sum(reversed) AS reversed
                          FROM ruled GROUP BY 1, 2, 3, 4, 5) r USING (program_id, member_id, level, earned_on, due_on)
WHERE (coalesce(c.closed, 0), coalesce(c.reversed, 0)) <> (coalesce(r.closed, 0), coalesce(r.reversed, 0))
UNION ALL SELECT format('member %s: settled %s, uncovered %s: account %s', member_id, s.amount, s.uncovered, a)
FROM referral.account a LEFT JOIN settled s USING (program_id, member_id)
WHERE (coalesce(s.amount, 0), coalesce(s.uncovered, 0)) <> (a.spent_micro + a.paid_out_micro, a.uncovered_micro);

-- The rules, told once more.
CREATE TABLE told.model (program_id bigint, member_id bigint, reward_id bigint, no bigserial,
                         amount bigint, settler_no bigint, kind text);
CREATE TABLE told.model_account (program_id bigint, member_id bigint, adjusted bigint DEFAULT 0,
                                 PRIMARY KEY (program_id, member_id));

CREATE FUNCTION told.model_lay(p bigint, m bigint, kind text, settler bigint, amount bigint)
    RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    open record;
    part bigint;
BEGIN
    FOR open IN
        SELECT n.reward_id, n.amount - n.reversed - coalesce((SELECT sum(s.amount) FROM told.model s
                                WHERE (s.program_id, s.member_id, s.reward_id) = (p, m, n.reward_id)), 0) AS rest
        FROM told.net n
        WHERE n.program_id = p AND n.member_id = m AND n.available_at <= clock_timestamp()
        ORDER BY n.available_at, n.reward_id
    LOOP
        CONTINUE WHEN open.rest <= 0;
        EXIT WHEN amount = 0;
        part := least(open.rest, amount);
        INSERT INTO told.model VALUES (p, m, open.reward_id, DEFAULT, part, settler, kind);
        amount := amount - part;
    END LOOP;
    RETURN amount;
END $$;

CREATE FUNCTION told.model_settle(p bigint, m bigint, kind text, settler bigint, amount bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owed bigint;
    u record;
    part bigint;
    rest bigint;
BEGIN
    SELECT coalesce(sum(s.amount), 0) - greatest(0, coalesce((SELECT adjusted FROM told.model_account a
                                                              WHERE (a.program_id, a.member_id) = (p, m)), 0))
      INTO owed FROM told.model s WHERE (s.program_id, s.member_id, s.reward_id) = (p, m, 0);
    FOR u IN SELECT * FROM told.model s WHERE (s.program_id, s.member_id, s.reward_id) = (p, m, 0) ORDER BY s.no LOOP
        EXIT WHEN owed <= 0;
        part := least(u.amount, owed);
        rest := told.model_lay(p, m, u.kind, u.settler_no, part);
        UPDATE told.model s SET amount = s.amount - (part - rest) WHERE s.no = u.no;
        owed := owed - (part - rest);
        EXIT WHEN rest > 0;
    END LOOP;
    rest := told.model_lay(p, m, kind, settler, amount);
    IF rest > 0 THEN
        INSERT INTO told.model VALUES (p, m, 0, DEFAULT, rest, settler, kind);
    END IF;
    DELETE FROM told.model s WHERE s.amount = 0;
END $$;

-- After the engine applied the refunds from that number on, in one statement.
CREATE FUNCTION told.model_refunds(p bigint, since bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    hit record;
    excess bigint;
    s record;
    touched bigint[] := '{}';
BEGIN
    FOR hit IN
        SELECT r.member_id, r.reward_id, r.amount_micro - div(r.amount_micro::numeric * a.total_micro, r.base_micro)
               + coalesce((SELECT sum(w.amount_micro) FROM referral.write_off w
                           WHERE w.program_id = p AND w.reward_id = r.reward_id AND w.total_micro <= a.total_micro), 0) AS net
        FROM referral.refund_applied a JOIN referral.reward r ON r.program_id = p AND r.reward_id >> 4 = a.payment_no
        WHERE a.program_id = p AND a.refund_no >= since ORDER BY a.refund_no, r.level
    LOOP
        SELECT sum(m.amount) - hit.net INTO excess FROM told.model m
        WHERE (m.program_id, m.member_id, m.reward_id) = (p, hit.member_id, hit.reward_id);
        CONTINUE WHEN excess IS NULL OR excess <= 0;
        touched := touched || hit.member_id;
        FOR s IN SELECT m.no, m.settler_no, m.kind, least(m.amount, greatest(0, excess - coalesce(sum(m.amount) OVER
                            (ORDER BY m.no DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS taken
                 FROM told.model m WHERE (m.program_id, m.member_id, m.reward_id) = (p, hit.member_id, hit.reward_id)
                 ORDER BY m.no DESC
        LOOP
            UPDATE told.model m SET amount = m.amount - s.taken WHERE m.no = s.no;
            IF s.taken > 0 THEN
                INSERT INTO told.model VALUES (p, hit.member_id, 0, DEFAULT, s.taken, s.settler_no, s.kind);
            END IF;
        END LOOP;
        DELETE FROM told.model m WHERE m.amount = 0;
    END LOOP;
    PERFORM told.model_settle(p, m, 'spent', 0, 0) FROM (SELECT DISTINCT unnest(touched)) t(m);
END $$;

-- Members whose settlements are not what the rules say, in any part or order.
CREATE VIEW told.unlike AS
SELECT * FROM (SELECT program_id, member_id, string_agg(format('%s:%s%s=%s', reward_id, left(kind, 1), settler_no, amount_micro), ' ' ORDER BY settlement_no) AS engine
               FROM referral.settlement GROUP BY 1, 2) e
         FULL JOIN (SELECT program_id, member_id, string_agg(format('%s:%s%s=%s', reward_id, left(kind, 1), settler_no, amount), ' ' ORDER BY no) AS model
               FROM told.model GROUP BY 1, 2) m USING (program_id, member_id)
WHERE e.engine IS DISTINCT FROM m.model;
