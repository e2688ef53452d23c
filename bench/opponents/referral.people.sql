-- Everybody in bench.person.

INSERT INTO referral.member (program_id, member_id, user_id, referrer_id, tier, invitees)
SELECT 1, p.member_id, p.member_id, p.referrer_id, 1,
       CASE WHEN coalesce(i.invitees, 0) <= 64 THEN coalesce(i.invitees, 0) END
FROM bench.person p
LEFT JOIN (SELECT referrer_id, count(*) FROM bench.person GROUP BY 1) i (member_id, invitees)
     USING (member_id);
INSERT INTO referral.account SELECT 1, member_id FROM bench.person;
INSERT INTO referral.code (program_id, code_id, user_id, code)
SELECT 1, member_id, member_id, 'C' || member_id FROM bench.person;
INSERT INTO referral.attribution (program_id, attribution_id, member_id, referrer_id, code_id,
                                  attributed_at, user_id)
SELECT 1, member_id, member_id, referrer_id, referrer_id, '2026-01-01', member_id
FROM bench.person WHERE referrer_id IS NOT NULL;
CALL referral.rebuild();    -- what sign-ups would have counted
