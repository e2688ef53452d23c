-- The opponent that an application developer would write, and write well: the
-- same rules in a PL/pgSQL row trigger. Its tables have our indexes and no
-- foreign keys; nothing is read twice, every statement is planned once, rows of
-- balances are locked in one order. One UPDATE per beneficiary and one for the
-- payer, as on the floor.

CREATE SCHEMA plpgsql;

CREATE TABLE plpgsql.program (LIKE referral.program INCLUDING INDEXES);
CREATE TABLE plpgsql.tier (LIKE referral.tier INCLUDING INDEXES);
CREATE TABLE plpgsql.campaign (LIKE referral.campaign INCLUDING INDEXES);
CREATE TABLE plpgsql.rate (LIKE referral.rate INCLUDING INDEXES);
ALTER TABLE plpgsql.campaign ADD spent_micro bigint NOT NULL DEFAULT 0;

CREATE TABLE plpgsql.member (
    program_id    bigint NOT NULL,
    member_id     bigint NOT NULL,
    referrer_id   bigint,
    tier          integer NOT NULL,
    tier_pinned   boolean NOT NULL DEFAULT false,
    suspended_at  timestamptz,
    paid_invitees bigint NOT NULL DEFAULT 0,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, member_id),
    UNIQUE (program_id, user_id)
) WITH (fillfactor = 80);

CREATE TABLE plpgsql.code (
    program_id bigint NOT NULL,
    code_id    bigint NOT NULL,
    code       text NOT NULL,
    cap        bigint,
    used       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (program_id, code_id)
) WITH (fillfactor = 80);

CREATE TABLE plpgsql.attribution (
    program_id       bigint NOT NULL,
    member_id        bigint NOT NULL,
    referrer_id      bigint NOT NULL,
    code_id          bigint NOT NULL,
    campaign_id      bigint NOT NULL DEFAULT 0,
    attributed_at    timestamptz NOT NULL,
    qualified_at     timestamptz,
    rewarded_at      timestamptz,
    decision         text,
    volume_micro     bigint NOT NULL DEFAULT 0,
    deposits_micro   bigint NOT NULL DEFAULT 0,
    payments         bigint NOT NULL DEFAULT 0,
    earning_payments bigint NOT NULL DEFAULT 0,
    user_id          text COLLATE "C" NOT NULL,
    PRIMARY KEY (program_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX ON plpgsql.attribution (program_id, referrer_id);

CREATE TABLE plpgsql.balance (
    program_id     bigint NOT NULL,
    member_id      bigint NOT NULL,
    level          smallint NOT NULL,
    amount_micro   bigint NOT NULL,
    volume_micro   bigint NOT NULL,
    deposits_micro bigint NOT NULL,
    rewards        bigint NOT NULL,
    PRIMARY KEY (program_id, member_id, level)
) WITH (fillfactor = 80);

CREATE TABLE plpgsql.payment (LIKE referral.payment INCLUDING ALL);
CREATE SEQUENCE plpgsql.payment_no_seq;
ALTER TABLE plpgsql.payment
    ALTER taken_in SET DEFAULT true,
    ALTER payment_no SET DEFAULT nextval('plpgsql.payment_no_seq');
CREATE TABLE plpgsql.payment_waiting (LIKE referral.payment_waiting INCLUDING ALL);
CREATE TABLE plpgsql.payment_unrewarded (LIKE referral.payment_unrewarded INCLUDING ALL);
CREATE TABLE plpgsql.reward (LIKE referral.reward INCLUDING ALL);

-- Everybody from the payer up the line, with the most specific rate of each.
-- Inlined where it is used.
CREATE FUNCTION plpgsql.shares(program_id bigint, payer_id bigint, campaign_id bigint,
                               max_level integer, base_micro bigint, payments_before bigint)
    RETURNS TABLE (level integer, member_id bigint, tier integer, rate_bps integer,
                   flat_micro bigint, amount_micro bigint)
    LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE line AS (
        SELECT 0 AS level, m.member_id, m.referrer_id, m.tier, m.suspended_at
        FROM plpgsql.member m
        WHERE m.program_id = $1 AND m.member_id = $2
        UNION ALL
        SELECT line.level + 1, m.member_id, m.referrer_id, m.tier, m.suspended_at
        FROM line
        JOIN plpgsql.member m ON m.program_id = $1 AND m.member_id = line.referrer_id
        WHERE line.level < $4)
    SELECT line.level, line.member_id, line.tier, r.rate_bps, r.flat_micro,
           coalesce(trunc($5::numeric * r.rate_bps / 10000)::bigint + r.flat_micro, 0)
    FROM line
    LEFT JOIN LATERAL (
        SELECT r.rate_bps, r.flat_micro, r.max_payments
        FROM plpgsql.rate r
        WHERE r.program_id = $1 AND r.level = line.level
          AND r.campaign_id IN (0, $3) AND r.tier IN (0, line.tier)
        ORDER BY r.campaign_id DESC, r.tier DESC
        LIMIT 1) r
        ON line.suspended_at IS NULL
       AND (r.max_payments IS NULL OR $6 < r.max_payments)
$$;

-- The first earning payment: false when a cap is used up. The payer is locked.
CREATE FUNCTION plpgsql.qualify(payer plpgsql.attribution, program plpgsql.program,
                                occurred_at timestamptz)
    RETURNS boolean LANGUAGE plpgsql
AS $$
DECLARE
    campaign plpgsql.campaign;
    cap integer;
    month timestamptz;
BEGIN
    SELECT * INTO campaign FROM plpgsql.campaign c
    WHERE c.program_id = payer.program_id AND c.campaign_id = payer.campaign_id FOR UPDATE;
    IF campaign.spent_micro >= campaign.budget_micro THEN
        RETURN false;
    END IF;
    cap := coalesce(campaign.referrer_monthly_cap, program.referrer_monthly_cap);
    IF cap IS NOT NULL THEN
        PERFORM FROM plpgsql.member m
        WHERE m.program_id = payer.program_id AND m.member_id = payer.referrer_id FOR UPDATE;
        month := date_trunc('month', occurred_at, program.time_zone);
        IF cap <= (SELECT count(*) FROM plpgsql.attribution a
                   WHERE a.program_id = payer.program_id AND a.referrer_id = payer.referrer_id
                     AND date_trunc('month', a.qualified_at, program.time_zone) = month) THEN
            RETURN false;
        END IF;
    END IF;
    UPDATE plpgsql.code c SET used = c.used + 1
    WHERE c.program_id = payer.program_id AND c.code_id = payer.code_id
      AND (c.cap IS NULL OR c.used < c.cap);
    RETURN found;
END
$$;

CREATE FUNCTION plpgsql.take_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payer plpgsql.attribution;
    program plpgsql.program;
    share record;
    base bigint := coalesce(NEW.base_micro, NEW.amount_micro);
    volume bigint := 0;
    deposits bigint := 0;
    is_earning boolean;
    is_first boolean := false;
    is_rewarded boolean := false;
    fits boolean := true;
    total numeric;
    local_time timestamp;
    available_at timestamptz;
    invitees bigint;
BEGIN
    IF NEW.amount_micro < 0 OR base < 0 THEN
        RAISE numeric_value_out_of_range USING MESSAGE = 'amount of the payment is negative';
    END IF;
    SELECT * INTO payer FROM plpgsql.attribution a
    WHERE a.program_id = NEW.program_id AND a.user_id = NEW.user_id;
    IF NOT found OR payer.decision IN ('rejected', 'capped') THEN
        RETURN NULL;
    END IF;
    SELECT * INTO program FROM plpgsql.program p WHERE p.program_id = NEW.program_id;
    IF payer.qualified_at IS NULL AND NEW.occurred_at >=
       payer.attributed_at + program.qualify_days * interval '24 hours' THEN
        RETURN NULL;
    END IF;
    IF payer.decision = 'review_required' THEN
        INSERT INTO plpgsql.payment_waiting
        VALUES (NEW.program_id, payer.member_id, NEW.occurred_at, NEW.payment_no, NEW.payment_id);
        RETURN NULL;
    END IF;

    IF NEW.kind = 'deposit' THEN
        deposits := NEW.amount_micro;
    ELSE
        volume := NEW.amount_micro;
    END IF;
    is_earning := program.active AND base > 0 AND NEW.kind <> 'deposit'
                  AND NEW.occurred_at >= payer.attributed_at
                  AND (program.earning_days IS NULL OR NEW.occurred_at <
                       payer.attributed_at + program.earning_days * interval '24 hours');
    IF is_earning AND payer.qualified_at IS NULL THEN
        SELECT * INTO payer FROM plpgsql.attribution a
        WHERE a.program_id = NEW.program_id AND a.user_id = NEW.user_id FOR UPDATE;
        is_first := payer.qualified_at IS NULL;
        IF is_first AND NOT plpgsql.qualify(payer, program, NEW.occurred_at) THEN
            UPDATE plpgsql.attribution a SET decision = 'capped'
            WHERE a.program_id = NEW.program_id AND a.user_id = NEW.user_id;
            RETURN NULL;
        END IF;
    END IF;

    IF program.hold_days = 0 THEN
        available_at := NEW.occurred_at;
    ELSE
        local_time := NEW.occurred_at AT TIME ZONE program.time_zone;
        available_at := (local_time - interval '1 microsecond')::date + program.hold_days + 1;
        available_at := available_at::timestamp AT TIME ZONE program.time_zone;
    END IF;

    IF is_earning AND payer.campaign_id <> 0 THEN
        SELECT sum(s.amount_micro) INTO total
        FROM plpgsql.shares(NEW.program_id, payer.member_id, payer.campaign_id,
                            program.max_level, base, payer.earning_payments) s;
        UPDATE plpgsql.campaign c SET spent_micro = c.spent_micro + total
        WHERE c.program_id = NEW.program_id AND c.campaign_id = payer.campaign_id
          AND (c.budget_micro IS NULL OR c.spent_micro + total <= c.budget_micro);
        fits := found;
        IF NOT fits THEN
            INSERT INTO plpgsql.payment_unrewarded
            VALUES (NEW.program_id, NEW.payment_id, 'budget_used_up');
        END IF;
    END IF;

    FOR share IN
        SELECT s.level, s.member_id, s.tier, s.rate_bps, s.flat_micro,
               CASE WHEN is_earning AND fits THEN s.amount_micro ELSE 0 END AS amount_micro
        FROM plpgsql.shares(NEW.program_id, payer.member_id, payer.campaign_id,
                            program.max_level, base, payer.earning_payments) s
        ORDER BY s.member_id
    LOOP
        CONTINUE WHEN share.level = 0 AND share.amount_micro = 0;
        IF share.amount_micro > 0 THEN
            INSERT INTO plpgsql.reward
            VALUES (NEW.program_id, NEW.payment_no * 16 + share.level, share.member_id,
                    payer.member_id, base, share.amount_micro, share.flat_micro, available_at,
                    now(), share.rate_bps, share.tier, share.level, NEW.payment_id);
            is_rewarded := true;
        END IF;
        UPDATE plpgsql.balance b
        SET amount_micro = b.amount_micro + share.amount_micro,
            volume_micro = b.volume_micro + CASE share.level WHEN 0 THEN 0 ELSE volume END,
            deposits_micro = b.deposits_micro + CASE share.level WHEN 0 THEN 0 ELSE deposits END,
            rewards = b.rewards + CASE WHEN share.amount_micro > 0 THEN 1 ELSE 0 END
        WHERE b.program_id = NEW.program_id AND b.member_id = share.member_id
          AND b.level = share.level;
        IF NOT found THEN
            INSERT INTO plpgsql.balance AS b
            VALUES (NEW.program_id, share.member_id, share.level, share.amount_micro,
                    CASE share.level WHEN 0 THEN 0 ELSE volume END,
                    CASE share.level WHEN 0 THEN 0 ELSE deposits END,
                    CASE WHEN share.amount_micro > 0 THEN 1 ELSE 0 END)
            ON CONFLICT (program_id, member_id, level) DO UPDATE
            SET amount_micro = b.amount_micro + excluded.amount_micro,
                volume_micro = b.volume_micro + excluded.volume_micro,
                deposits_micro = b.deposits_micro + excluded.deposits_micro,
                rewards = b.rewards + excluded.rewards;
        END IF;
    END LOOP;

    UPDATE plpgsql.attribution a
    SET volume_micro = a.volume_micro + volume,
        deposits_micro = a.deposits_micro + deposits,
        payments = a.payments + CASE NEW.kind WHEN 'deposit' THEN 0 ELSE 1 END,
        earning_payments = a.earning_payments + is_earning::integer,
        qualified_at = CASE WHEN is_first THEN NEW.occurred_at ELSE a.qualified_at END,
        rewarded_at = CASE WHEN is_rewarded THEN coalesce(a.rewarded_at, NEW.occurred_at)
                           ELSE a.rewarded_at END
    WHERE a.program_id = NEW.program_id AND a.user_id = NEW.user_id;

    IF is_first THEN
        UPDATE plpgsql.member m SET paid_invitees = m.paid_invitees + 1
        WHERE m.program_id = NEW.program_id AND m.member_id = payer.referrer_id
        RETURNING m.paid_invitees INTO invitees;
        IF program.auto_tier THEN
            UPDATE plpgsql.member m SET tier = t.tier
            FROM (SELECT max(t.tier) AS tier FROM plpgsql.tier t
                  WHERE t.program_id = NEW.program_id AND t.min_paid_invitees <= invitees) t
            WHERE m.program_id = NEW.program_id AND m.member_id = payer.referrer_id
              AND NOT m.tier_pinned AND m.tier < t.tier;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER take_payment AFTER INSERT ON plpgsql.payment
    FOR EACH ROW EXECUTE FUNCTION plpgsql.take_payment();

INSERT INTO plpgsql.program SELECT * FROM referral.program;
INSERT INTO plpgsql.tier SELECT * FROM referral.tier;
INSERT INTO plpgsql.rate SELECT * FROM referral.rate;
\ir plpgsql.people.sql

CALL bench.pay_in_batches('plpgsql');
