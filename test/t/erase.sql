-- A life in a program that leaves its mark wherever a person can leave one: as
-- name, slug, label, address, note or reason, his own or an operator's about
-- him. For test/sql/erase.sql and 005_erase_dump.pl, which look for the mark.

CREATE PROCEDURE pg_temp.program(program bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO referral.program (program_id, name, max_level, hold_days, uses_grants, event_days)
    VALUES (program, 'program ' || program, 3, 0, true, 30);
    INSERT INTO referral.tier VALUES (program, 1, 'first', 0), (program, 2, 'second', 100);
    INSERT INTO referral.rate (program_id, level, rate_bps)
    VALUES (program, 0, 100), (program, 1, 1500), (program, 2, 400);
    INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
    VALUES (program, 1, 'May', '2020-01-01', '2120-01-01');
    -- Every attribution is held, and decided with a reason.
    INSERT INTO referral.review_rule (program_id, rule, max_per_hour)
    VALUES (program, 'velocity', 0);
END $$;

-- Signs up by a click of his own and is approved, or rejected.
CREATE PROCEDURE pg_temp.join_by(program bigint, who text, code text, click text, landing text,
                                 source text, campaign text, approve boolean, reason text)
    LANGUAGE plpgsql AS $$
DECLARE
    held referral.attribution_result;
BEGIN
    PERFORM referral.capture_click(code, click, landing, source, source, campaign,
                                   'ip of ' || click, 'agent of ' || click, program);
    held := referral.attribute(who, code, click, program_id => program);
    IF approve THEN
        PERFORM referral.approve_attribution(held.attribution_id, 'ops', reason, program);
    ELSE
        PERFORM referral.reject_attribution(held.attribution_id, 'ops', reason, program);
    END IF;
END $$;

CREATE PROCEDURE pg_temp.live(program bigint, who text, mark text) LANGUAGE plpgsql AS $$
DECLARE
    new_slug CONSTANT text := mark || '-new';
BEGIN
    CALL pg_temp.join_by(program, who, referral.enroll('root', program_id => program),
                         mark || '-click', '/welcome/' || mark, mark || '-page', mark || '-advert',
                         true, mark || ' is known to us');
    PERFORM referral.enroll(who, initcap(mark) || ' Lovelace', 'https://example.org/' || mark, program);
    PERFORM referral.set_custom_slug(who, mark || '-old', program),
            referral.set_custom_slug(who, new_slug, program);
    INSERT INTO referral.code (program_id, user_id, code, kind, campaign_id)
    VALUES (program, who, mark || '_may', 'campaign', 1);

    -- Whom he brought: one by a label that says his slug, one who was rejected.
    CALL pg_temp.join_by(program, who || '1', new_slug, who || '-c1', '/r/' || new_slug,
                         mark || '-blog', new_slug || '-video', true, 'a friend of ' || mark);
    CALL pg_temp.join_by(program, who || '2', mark || '_may', who || '-c2', '/r/' || mark || '_may',
                         mark || '-blog', 'spring', true, NULL);
    CALL pg_temp.join_by(program, who || '3', new_slug, who || '-c3', '/r/' || new_slug,
                         NULL, 'spring', false, 'the same as ' || mark);
    PERFORM referral.enroll(who || '1', 'Their Name', 'https://example.org/theirs', program);
    PERFORM referral.record_payment(who || n || '-p', who || n, 100000000, program_id => program)
       FROM generate_series(1, 3) n;
    PERFORM referral.record_refund(who || '1-r', who || '1-p', 1000, 'their reason',
                                   program_id => program);

    -- What he paid, earned and did with it.
    PERFORM referral.record_payment(who || '-p', who, 50000000, program_id => program);
    PERFORM referral.record_refund(who || '-r1', who || '-p', 1000000, 'wish of ' || mark, program_id => program);
    PERFORM referral.record_refund(who || '-r2', who || '-p', 1000000, program_id => program);
    PERFORM referral.fail_grant(g.grant_key, 'no account of ' || mark, program)
       FROM referral.claim_grants(100, program) g
      WHERE g.user_id = who;
    PERFORM referral.adjust(who, who || '-a', 5000000, 'agreed with ' || mark, 'ops', program);
    PERFORM referral.spend(who, 1000000, who || '-s1', 'gift for ' || mark, program),
            referral.spend(who, 1000000, who || '-s2', 'not for ' || mark, program),
            referral.spend(who, 1000000, who || '-s3', NULL, program);
    PERFORM referral.unspend(who || '-s2', program);
    PERFORM referral.set_payout_destination(who, mark || '-bank', 'account of ' || mark, program);
    PERFORM referral.request_payout(who, who || '-w' || n, 1000000 + n, program_id => program)
       FROM generate_series(1, 3) n;
    PERFORM referral.request_payout(who, who || '-w' || n, 1000000 + n, mark || '-chain', 'wallet of ' || mark, program)
       FROM generate_series(4, 6) n;
    PERFORM referral.payout_processing(who || '-w2', program),
            referral.payout_sent(who || '-w3', 'to ' || mark, program),
            referral.payout_failed(who || '-w4', mark || ' is gone', program),
            referral.payout_cancel(who || '-w5', program);

    -- What operators did to him.
    PERFORM referral.set_tier(who, 2, NULL, 'ops', program),
            referral.suspend(who, 'call ' || mark, 'ops', program),
            referral.reinstate(who, mark || ' called', 'ops', program),
            referral.set_tier(who, 1, 'contract with ' || mark, 'ops', program);
    PERFORM count(*) FROM referral.next_events(0, 1000, program);
END $$;
