-- A programme of three levels with tiers and a campaign whose codes are capped.

CREATE EXTENSION referral;
CALL referral.install();

-- The extension makes no roles; these are the three that PostgREST switches to
-- and the one it logs in as.
CREATE ROLE web_anon;
CREATE ROLE web_member;
CREATE ROLE web_operator;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT web_anon, web_member, web_operator TO authenticator;
SELECT FROM referral.grant_api(anon => 'web_anon', member => 'web_member',
                               operator => 'web_operator', login => 'authenticator');

INSERT INTO referral.program (name, max_level, hold_days) VALUES ('Demo', 3, 30);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES
    (1, 1, 'Bronze', 0), (1, 2, 'Silver', 3), (1, 3, 'Gold', 25);
-- The codes of the campaign serve five new customers each, and earn more.
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro)
VALUES (1, 1, 'Opening', :since, :until, 5, 100000000000);
INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps) VALUES
    (1, 0, 0, 1, 1000), (1, 0, 0, 2, 400), (1, 0, 0, 3, 100),
    (1, 0, 2, 1, 1250), (1, 0, 3, 1, 1500),
    (1, 1, 0, 1, 2000);

-- What the demo itself needs: people, what they bought, and who brought them.
CREATE SCHEMA demo;
CREATE TABLE demo.person (n bigint PRIMARY KEY, joined_at timestamptz NOT NULL);
CREATE TABLE demo.purchase (
    n       bigint PRIMARY KEY,
    person  bigint NOT NULL,
    paid_at timestamptz NOT NULL,
    amount  numeric NOT NULL,
    units   integer
);

-- A rule anyone can repeat, by which few people brought very many: an eighth of
-- all brought two thirds of the rest. 0 = nobody.
CREATE FUNCTION demo.referrer(n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN n * (n * 7919 % 1000) ^ 3 / 1000 ^ 3;

-- Enrolls people and attributes each to who brought him: one in twenty by the
-- code of the campaign, the others by the primary code.
CREATE FUNCTION demo.join_programme(first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    p record;
BEGIN
    FOR p IN
        SELECT person.n::text AS id, demo.referrer(person.n)::text AS referrer,
               person.n % 20 = 0 AS by_campaign, person.joined_at
        FROM demo.person
        WHERE person.n BETWEEN join_programme.first AND join_programme.last
        ORDER BY person.n
    LOOP
        PERFORM referral.enroll(p.id, 'Customer ' || p.id);
        CONTINUE WHEN p.referrer = '0';
        PERFORM referral.attribute(
            p.id,
            CASE WHEN p.by_campaign
                 THEN (SELECT c.code FROM referral.campaign_code(p.referrer, 1) c)
                 ELSE (SELECT c.code FROM referral.code c
                       WHERE c.program_id = 1 AND c.user_id = p.referrer AND c.kind = 'uid') END,
            at => p.joined_at);
    END LOOP;
END
$$;

CREATE FUNCTION demo.well_referred() RETURNS text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.user_id
    FROM referral.invited i JOIN referral.member m USING (program_id, member_id)
    GROUP BY m.user_id
    ORDER BY sum(i.paid_invitees) DESC, m.user_id
    LIMIT 1;
END;
