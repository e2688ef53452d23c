-- The state machine of an attribution (CONTRACT section 2): every status against
-- every event, allowed or refused, as docs/attributions.md lists them. The rows
-- here and there are compared by scripts/check-states.
\unset ECHO
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/include/pgtap.sql'
\i :include

-- Sign-ups are 29.5 days old, of 30 in which they may qualify: so one payment can
-- occur in time and another, which may be up to a day ahead, too late.
INSERT INTO referral.program (program_id, name, hold_days, qualify_days, uses_grants) VALUES
    (1, 'one', 0, 30, false), (2, 'grants', 0, 30, true);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
SELECT p, 1, 'held', now() - interval '1 year', now() + interval '1 year' FROM generate_series(1, 2) p;
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000), (2, 1, 1000);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 1), (2, 'campaign', 1);

CREATE FUNCTION pg_temp.sign_up(who text, held boolean, age interval DEFAULT '29.5 days') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    code text := referral.enroll('by ' || who);
    answer referral.attribution_result;
BEGIN
    IF held THEN
        code := (referral.campaign_code('by ' || who, 1)).code;
    END IF;
    answer := referral.attribute(who, code, NULL, now() - age);
    IF NOT answer.attributed THEN
        RAISE '%', answer;
    END IF;
END $$;

-- after: since the sign-up
CREATE FUNCTION pg_temp.pay(who text, after interval, amount bigint DEFAULT 1000, kind text DEFAULT 'purchase') RETURNS void LANGUAGE sql AS $$
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at)
    SELECT p, who || ' ' || (SELECT count(*) FROM referral.payment WHERE program_id = p AND user_id = who), who, amount, kind,
           coalesce((SELECT attributed_at + after FROM referral.attribution WHERE program_id = p AND user_id = who), now())
      FROM referral.current_program() p
$$;

CREATE FUNCTION pg_temp.decide(who text, approved boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    id bigint := coalesce((SELECT attribution_id FROM referral.attribution WHERE program_id = referral.current_program() AND user_id = who), -1);
    answer referral.attribution_row;
BEGIN
    IF approved THEN
        answer := referral.approve_attribution(id);
    ELSE
        answer := referral.reject_attribution(id);
    END IF;
    IF (answer.id, answer.status) IS DISTINCT FROM (id, referral.attribution_status(referral.current_program(), who)) THEN
        RAISE 'wrong answer: %', answer;
    END IF;
END $$;

-- One step of an event.
CREATE FUNCTION pg_temp.act(step text, who text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pid bigint := referral.current_program();
BEGIN
    CASE step
    WHEN 'sign up' THEN PERFORM pg_temp.sign_up(who, false);
    WHEN 'sign up, held' THEN PERFORM pg_temp.sign_up(who, true);
    WHEN 'sign up, refused' THEN
        UPDATE referral.code SET disabled_at = now() WHERE program_id = pid AND user_id = 'by ' || who;
        ASSERT (referral.attribute(who, referral.enroll('by ' || who))).reason = 'code_disabled';
    WHEN 'sign up, late' THEN PERFORM pg_temp.sign_up(who, false, '30 days');
    WHEN 'sign up, late, held' THEN PERFORM pg_temp.sign_up(who, true, '30 days');
    WHEN 'again' THEN
        ASSERT (referral.attribute(who, referral.enroll('by another'))).reason = 'already_attributed';
    WHEN 'pay' THEN PERFORM pg_temp.pay(who, '1 day');
    WHEN 'small' THEN PERFORM pg_temp.pay(who, '1 day', 1);
    WHEN 'too late' THEN PERFORM pg_temp.pay(who, '30 days');
    WHEN 'deposit' THEN PERFORM pg_temp.pay(who, '1 day', 1000, 'deposit');
    WHEN 'other' THEN
        PERFORM pg_temp.pay(who, '1 day', 1000, 'deposit'), pg_temp.pay(who, '1 day', 0), pg_temp.pay(who, '-1 second');
        UPDATE referral.program SET earning_days = 1 WHERE program_id = pid;
        PERFORM pg_temp.pay(who, '1 day');
        UPDATE referral.program SET earning_days = NULL, active = false WHERE program_id = pid;
        PERFORM pg_temp.pay(who, '1 day');
    WHEN 'active' THEN UPDATE referral.program SET active = true WHERE program_id = pid;
    WHEN 'cap' THEN
        UPDATE referral.code c SET cap = (SELECT g.used FROM referral.get_code(pid, c.code_id) g) WHERE program_id = pid AND user_id = 'by ' || who;
    WHEN 'no cap' THEN
        UPDATE referral.code SET cap = NULL WHERE program_id = pid AND user_id = 'by ' || who;
    -- The clock cannot be turned, so the days are made fewer.
    WHEN 'days pass' THEN UPDATE referral.program SET qualify_days = 29 WHERE program_id = pid;
    WHEN 'more days' THEN UPDATE referral.program SET qualify_days = 60 WHERE program_id = pid;
    WHEN 'rule on' THEN INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (pid, 'velocity', 0);
    WHEN 'rule off' THEN UPDATE referral.review_rule SET enabled = false WHERE program_id = pid;
    WHEN 'approve' THEN PERFORM pg_temp.decide(who, true);
    WHEN 'reject' THEN PERFORM pg_temp.decide(who, false);
    WHEN 'grant' THEN
        PERFORM referral.confirm_grant(referral.grant_key(g.program_id, g.reward_id))
           FROM referral.reward_grant g JOIN referral.reward r USING (program_id, reward_id) JOIN referral.member m ON m.member_id = r.payer_id
          WHERE g.program_id = pid AND m.user_id = who AND g.state IS NULL;
    WHEN 'refund' THEN
        PERFORM referral.record_refund('r ' || p.payment_id, p.payment_id, p.amount_micro)
           FROM referral.payment p WHERE p.program_id = pid AND p.user_id = who AND p.amount_micro > 0;
    END CASE;
END $$;

CREATE TEMP TABLE status(name text, steps text[]);
INSERT INTO status VALUES
    ('none', '{}'), ('attributed', '{sign up}'), ('review_required', '{"sign up, held"}'), ('qualified', '{sign up,small}'),
    ('rewarded', '{sign up,pay}'), ('expired', '{"sign up, late"}'), ('capped', '{sign up,cap,pay}'),
    ('rejected', '{"sign up, held",reject}');
-- Where the program uses grants, what made a reward is only qualified until one is confirmed.
CREATE TEMP TABLE status_with_grants(name text, steps text[]);
INSERT INTO status_with_grants VALUES
    ('attributed', '{sign up}'), ('qualified', '{sign up,pay}'), ('rewarded', '{sign up,pay,grant,pay}');
CREATE TEMP TABLE event(name text, steps text[]);
INSERT INTO event VALUES
    ('attribute()', '{sign up}'),
    ('attribute(), a rule holds it', '{"sign up, held"}'),
    ('attribute(), refused', '{"sign up, refused"}'),
    ('attribute(), at qualify_days ago', '{"sign up, late"}'),
    ('attribute() again', '{again}'),
    ('earning payment', '{pay}'),
    ('earning payment, the program uses grants', '{pay}'),
    ('earning payment, too small for a reward', '{small}'),
    ('earning payment, a cap is used up', '{cap,pay}'),
    ('earning payment, the cap was raised', '{no cap,pay}'),
    ('earning payment, then refunded', '{pay,refund}'),
    ('payment that earns nothing', '{other,active}'),
    ('earning payment that occurred from qualify_days on', '{too late}'),
    ('qualify_days pass', '{days pass}'),
    ('qualify_days is raised', '{more days}'),
    ('a rule is turned on', '{rule on}'),
    ('the rule is turned off', '{rule off}'),
    ('confirm_grant()', '{grant}'),
    ('all that was paid is refunded', '{deposit,refund}'),
    ('approve_attribution()', '{approve}'),
    ('approve_attribution(), never held', '{approve}'),
    ('approve_attribution(), approved before', '{approve}'),
    ('approve_attribution() after qualify_days', '{days pass,approve}'),
    ('approve_attribution() with an earning payment', '{pay,approve}'),
    ('approve_attribution() after qualify_days with an earning payment', '{pay,days pass,approve}'),
    ('approve_attribution() with a payment too small for a reward', '{small,approve}'),
    ('approve_attribution() with an earning payment, a cap is used up', '{pay,cap,approve}'),
    ('approve_attribution() with a payment that earns nothing', '{deposit,other,approve,active}'),
    ('approve_attribution() with a payment that occurred from qualify_days on', '{too late,approve}'),
    ('approve_attribution() with a refunded earning payment', '{pay,refund,approve}'),
    ('approve_attribution(), then reject_attribution()', '{approve,reject}'),
    ('reject_attribution()', '{reject}'),
    ('reject_attribution(), never held', '{reject}'),
    ('reject_attribution(), approved before', '{reject}'),
    ('reject_attribution() with a refunded earning payment', '{pay,refund,reject}');

-- What an event makes of somebody in a status: the status then, or the error,
-- which changed nothing; and whether it made a reward.
CREATE FUNCTION pg_temp.outcome(who text, status_before text, event_name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    uses_grants boolean := event_name ~ 'grant';
    pid bigint := CASE WHEN uses_grants THEN 2 ELSE 1 END;
    steps text[] := CASE WHEN uses_grants THEN (SELECT s.steps FROM status_with_grants s WHERE s.name = status_before)
                         ELSE (SELECT s.steps FROM status s WHERE s.name = status_before) END;
    step text;
    rewards bigint;
    answer text;
BEGIN
    PERFORM set_config('referral.program_id', pid::text, true), referral.enroll(who), referral.enroll('by ' || who);
    IF event_name ~ 'approved before' THEN
        steps := ARRAY[steps[1] || ', held', 'approve'] || steps[2:];
    END IF;
    FOREACH step IN ARRAY steps LOOP
        PERFORM pg_temp.act(step, who);
    END LOOP;
    IF coalesce(referral.attribution_status(pid, who), 'none') <> status_before THEN
        RETURN 'was not ' || status_before || ': ' || referral.attribution_status(pid, who);
    END IF;

    rewards := (SELECT count(*) FROM referral.reward r JOIN referral.member m ON m.member_id = r.payer_id WHERE m.user_id = who);
    BEGIN
        FOREACH step IN ARRAY (SELECT e.steps FROM event e WHERE e.name = event_name) LOOP
            PERFORM pg_temp.act(step, who);
        END LOOP;
    EXCEPTION WHEN SQLSTATE 'RF010' OR SQLSTATE 'RF012' THEN
        answer := SQLSTATE || ' ' || SQLERRM;
        IF coalesce(referral.attribution_status(pid, who), 'none') <> status_before THEN
            answer := answer || ' and ' || referral.attribution_status(pid, who);
        END IF;
    END;
    answer := coalesce(answer, referral.attribution_status(pid, who), 'none') || ', '
              || CASE WHEN rewards < (SELECT count(*) FROM referral.reward r JOIN referral.member m ON m.member_id = r.payer_id WHERE m.user_id = who)
                      THEN 'yes' ELSE 'no' END;

    UPDATE referral.program SET qualify_days = 30 WHERE program_id = pid AND qualify_days <> 30;
    UPDATE referral.review_rule SET enabled = true WHERE program_id = pid AND NOT enabled;
    DELETE FROM referral.review_rule WHERE program_id = pid AND rule = 'velocity';
    RETURN answer;
END $$;

CREATE TEMP TABLE transition(id text, before text, event text, becomes text, earns text);
INSERT INTO transition VALUES
    ('S01', 'none', 'attribute()', 'attributed', 'no'),
    ('S02', 'none', 'attribute(), a rule holds it', 'review_required', 'no'),
    ('S03', 'none', 'attribute(), refused', 'none', 'no'),
    ('S04', 'none', 'attribute(), at qualify_days ago', 'expired', 'no'),
    ('S05', 'none', 'earning payment', 'none', 'no'),
    ('S06', 'none', 'approve_attribution()', 'RF010 unknown_attribution', 'no'),
    ('S07', 'none', 'reject_attribution()', 'RF010 unknown_attribution', 'no'),
    ('S08', 'attributed', 'attribute() again', 'attributed', 'no'),
    ('S09', 'attributed', 'earning payment', 'rewarded', 'yes'),
    ('S10', 'attributed', 'earning payment, the program uses grants', 'qualified', 'yes'),
    ('S11', 'attributed', 'earning payment, too small for a reward', 'qualified', 'no'),
    ('S12', 'attributed', 'earning payment, a cap is used up', 'capped', 'no'),
    ('S13', 'attributed', 'payment that earns nothing', 'attributed', 'no'),
    ('S14', 'attributed', 'earning payment that occurred from qualify_days on', 'attributed', 'no'),
    ('S15', 'attributed', 'qualify_days pass', 'expired', 'no'),
    ('S16', 'attributed', 'a rule is turned on', 'attributed', 'no'),
    ('S17', 'attributed', 'all that was paid is refunded', 'attributed', 'no'),
    ('S18', 'attributed', 'approve_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S19', 'attributed', 'reject_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S20', 'attributed', 'approve_attribution(), approved before', 'attributed', 'no'),
    ('S21', 'attributed', 'reject_attribution(), approved before', 'attributed', 'no'),
    ('S22', 'review_required', 'attribute() again', 'review_required', 'no'),
    ('S23', 'review_required', 'earning payment', 'review_required', 'no'),
    ('S24', 'review_required', 'earning payment, a cap is used up', 'review_required', 'no'),
    ('S25', 'review_required', 'payment that earns nothing', 'review_required', 'no'),
    ('S26', 'review_required', 'earning payment that occurred from qualify_days on', 'review_required', 'no'),
    ('S27', 'review_required', 'qualify_days pass', 'review_required', 'no'),
    ('S28', 'review_required', 'the rule is turned off', 'review_required', 'no'),
    ('S29', 'review_required', 'earning payment, then refunded', 'review_required', 'no'),
    ('S30', 'review_required', 'approve_attribution()', 'attributed', 'no'),
    ('S31', 'review_required', 'approve_attribution() after qualify_days', 'expired', 'no'),
    ('S32', 'review_required', 'approve_attribution() with an earning payment', 'rewarded', 'yes'),
    ('S33', 'review_required', 'approve_attribution() after qualify_days with an earning payment', 'rewarded', 'yes'),
    ('S34', 'review_required', 'approve_attribution() with a payment too small for a reward', 'qualified', 'no'),
    ('S35', 'review_required', 'approve_attribution() with an earning payment, a cap is used up', 'capped', 'no'),
    ('S36', 'review_required', 'approve_attribution() with a payment that earns nothing', 'attributed', 'no'),
    ('S37', 'review_required', 'approve_attribution() with a payment that occurred from qualify_days on', 'attributed', 'no'),
    ('S38', 'review_required', 'approve_attribution() with a refunded earning payment', 'rewarded', 'yes'),
    ('S39', 'review_required', 'approve_attribution(), then reject_attribution()', 'attributed', 'no'),
    ('S40', 'review_required', 'reject_attribution()', 'rejected', 'no'),
    ('S41', 'review_required', 'reject_attribution() with a refunded earning payment', 'rejected', 'no'),
    ('S42', 'qualified', 'attribute() again', 'qualified', 'no'),
    ('S43', 'qualified', 'earning payment', 'rewarded', 'yes'),
    ('S44', 'qualified', 'earning payment, too small for a reward', 'qualified', 'no'),
    ('S45', 'qualified', 'earning payment, a cap is used up', 'rewarded', 'yes'),
    ('S46', 'qualified', 'payment that earns nothing', 'qualified', 'no'),
    ('S47', 'qualified', 'earning payment that occurred from qualify_days on', 'rewarded', 'yes'),
    ('S48', 'qualified', 'qualify_days pass', 'qualified', 'no'),
    ('S49', 'qualified', 'confirm_grant()', 'rewarded', 'no'),
    ('S50', 'qualified', 'all that was paid is refunded', 'qualified', 'no'),
    ('S51', 'qualified', 'approve_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S52', 'qualified', 'reject_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S53', 'qualified', 'approve_attribution(), approved before', 'qualified', 'no'),
    ('S54', 'qualified', 'reject_attribution(), approved before', 'qualified', 'no'),
    ('S55', 'rewarded', 'attribute() again', 'rewarded', 'no'),
    ('S56', 'rewarded', 'earning payment', 'rewarded', 'yes'),
    ('S57', 'rewarded', 'earning payment, too small for a reward', 'rewarded', 'no'),
    ('S58', 'rewarded', 'earning payment, a cap is used up', 'rewarded', 'yes'),
    ('S59', 'rewarded', 'payment that earns nothing', 'rewarded', 'no'),
    ('S60', 'rewarded', 'earning payment that occurred from qualify_days on', 'rewarded', 'yes'),
    ('S61', 'rewarded', 'qualify_days pass', 'rewarded', 'no'),
    ('S62', 'rewarded', 'confirm_grant()', 'rewarded', 'no'),
    ('S63', 'rewarded', 'all that was paid is refunded', 'rewarded', 'no'),
    ('S64', 'rewarded', 'approve_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S65', 'rewarded', 'reject_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S66', 'rewarded', 'approve_attribution(), approved before', 'rewarded', 'no'),
    ('S67', 'rewarded', 'reject_attribution(), approved before', 'rewarded', 'no'),
    ('S68', 'expired', 'attribute() again', 'expired', 'no'),
    ('S69', 'expired', 'earning payment', 'rewarded', 'yes'),
    ('S70', 'expired', 'earning payment, too small for a reward', 'qualified', 'no'),
    ('S71', 'expired', 'earning payment, a cap is used up', 'capped', 'no'),
    ('S72', 'expired', 'payment that earns nothing', 'expired', 'no'),
    ('S73', 'expired', 'earning payment that occurred from qualify_days on', 'expired', 'no'),
    ('S74', 'expired', 'qualify_days is raised', 'attributed', 'no'),
    ('S75', 'expired', 'all that was paid is refunded', 'expired', 'no'),
    ('S76', 'expired', 'approve_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S77', 'expired', 'reject_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S78', 'expired', 'approve_attribution(), approved before', 'expired', 'no'),
    ('S79', 'expired', 'reject_attribution(), approved before', 'expired', 'no'),
    ('S80', 'capped', 'attribute() again', 'capped', 'no'),
    ('S81', 'capped', 'earning payment', 'capped', 'no'),
    ('S82', 'capped', 'payment that earns nothing', 'capped', 'no'),
    ('S83', 'capped', 'earning payment that occurred from qualify_days on', 'capped', 'no'),
    ('S84', 'capped', 'qualify_days pass', 'capped', 'no'),
    ('S85', 'capped', 'earning payment, the cap was raised', 'capped', 'no'),
    ('S86', 'capped', 'all that was paid is refunded', 'capped', 'no'),
    ('S87', 'capped', 'approve_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S88', 'capped', 'reject_attribution(), never held', 'RF012 attribution_not_in_review', 'no'),
    ('S89', 'capped', 'approve_attribution(), approved before', 'capped', 'no'),
    ('S90', 'capped', 'reject_attribution(), approved before', 'capped', 'no'),
    ('S91', 'rejected', 'attribute() again', 'rejected', 'no'),
    ('S92', 'rejected', 'earning payment', 'rejected', 'no'),
    ('S93', 'rejected', 'payment that earns nothing', 'rejected', 'no'),
    ('S94', 'rejected', 'earning payment that occurred from qualify_days on', 'rejected', 'no'),
    ('S95', 'rejected', 'qualify_days pass', 'rejected', 'no'),
    ('S96', 'rejected', 'approve_attribution()', 'rejected', 'no'),
    ('S97', 'rejected', 'reject_attribution()', 'rejected', 'no'),
    ('S98', 'rejected', 'all that was paid is refunded', 'rejected', 'no');
SELECT is(pg_temp.outcome('u' || id, before, event), becomes || ', ' || earns, format('%s %s: %s', id, before, event))
  FROM transition ORDER BY id;

-- All of them together leave sound books, and every event and status is used.
SELECT is_empty('SELECT * FROM referral.verify()', 'the books are sound');
SELECT is_empty('SELECT name FROM event EXCEPT SELECT event FROM transition', 'every event');
SELECT is_empty('SELECT name FROM status EXCEPT SELECT before FROM transition', 'from every status');
SELECT is_empty('SELECT name FROM status EXCEPT SELECT becomes FROM transition', 'to every status');

SELECT * FROM finish();
ROLLBACK;
