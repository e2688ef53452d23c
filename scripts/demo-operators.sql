-- What an operator sees of a campaign of today: 300 visitors come by the code of
-- :member, 40 sign up within minutes, which a rule finds too many; he approves
-- most of those held. Another system is told by the outbox.

UPDATE referral.program SET event_days = 30 WHERE program_id = 1;
INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (1, 'velocity', 25);

CREATE FUNCTION demo.visitors_come(code text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM referral.capture_click(visitors_come.code, 'visit-' || n, '/autumn?visit=' || n,
                                   'newsletter', 'email', 'autumn', '203.0.113.' || n % 250, 'demo')
    FROM generate_series(1, 300) n;
    PERFORM referral.enroll('visitor-' || n, 'Visitor ' || n),
            referral.attribute('visitor-' || n, visitors_come.code, 'visit-' || n)
    FROM generate_series(1, 40) n;
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
    SELECT 1, 'autumn-' || n, 'visitor-' || n, 10000000 + 100000 * n
    FROM generate_series(1, 40, 2) n;
END
$$;
SELECT demo.visitors_come(c.code)
FROM referral.code c
WHERE c.program_id = 1 AND c.user_id = :'member' AND c.kind = 'uid';

SELECT referral.approve_attribution(a.id, 'demo', 'readers of one newsletter')
FROM referral.list_attributions(status => '{review_required}') a
WHERE a.id % 3 = 0;
SELECT referral.reject_attribution(a.id, 'demo', 'the same person')
FROM referral.list_attributions(status => '{review_required}', max_rows => 2) a;
