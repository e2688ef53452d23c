-- Everybody in bench.person.

INSERT INTO plpgsql.member (program_id, member_id, user_id, referrer_id, tier)
SELECT 1, member_id, member_id, referrer_id, 1 FROM bench.person;
INSERT INTO plpgsql.code (program_id, code_id, code)
SELECT 1, member_id, 'C' || member_id FROM bench.person;
INSERT INTO plpgsql.attribution (program_id, member_id, referrer_id, code_id, attributed_at,
                                 user_id)
SELECT 1, member_id, referrer_id, referrer_id, '2026-01-01', member_id
FROM bench.person WHERE referrer_id IS NOT NULL;
