-- Clicks in full, and the counters of the funnel that they begin.

-- How long clicks, and the hashes on them, are kept; maintain() drops what is older.
ALTER TABLE referral.program
    ADD click_days integer NOT NULL DEFAULT 365 CHECK (click_days BETWEEN 1 AND 36500),
    ADD hash_days  integer NOT NULL DEFAULT 90 CHECK (hash_days BETWEEN 1 AND 36500);

-- Addresses are few enough to be guessed from a hash; with a salt that nobody
-- outside knows, they are not. The last one of a program is in use.
CREATE SEQUENCE referral.click_salt_id_seq;
CREATE TABLE referral.click_salt (
    program_id bigint NOT NULL REFERENCES referral.program ON DELETE CASCADE,
    salt_id    bigint NOT NULL DEFAULT nextval('referral.click_salt_id_seq'),
    salt       bytea NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program_id, salt_id)
);
ALTER SEQUENCE referral.click_salt_id_seq OWNED BY referral.click_salt.salt_id;
COMMENT ON TABLE referral.click_salt IS 'Secrets that go into the hashes of clicks';

-- utm_key stands for the utm_campaign in counters: referral.utm_key(), 0 for none.
-- capture_click() alone writes clicks and keeps their limits: PostgreSQL would
-- parse CHECKs anew for each one, and a foreign key would lock a code that half
-- the town clicks.
ALTER TABLE referral.click
    DROP CONSTRAINT click_click_id_check,
    DROP CONSTRAINT click_clicked_at_check,
    DROP CONSTRAINT click_program_id_code_id_fkey,
    ADD landing_path text,
    ADD utm_source   text,
    ADD utm_medium   text,
    ADD utm_campaign text,
    ADD utm_key      bigint NOT NULL DEFAULT 0,
    ADD salt_id      bigint,        -- of both hashes
    ADD ip_hash      bytea,
    ADD agent_hash   bytea;
CREATE INDEX click_age ON referral.click (program_id, clicked_at);
CREATE INDEX click_hashed ON referral.click (program_id, clicked_at) WHERE salt_id IS NOT NULL;

-- The click's campaign goes with the attribution, for clicks are dropped one day.
ALTER TABLE referral.attribution
    ADD utm_key          bigint NOT NULL DEFAULT 0,
    ADD utm_campaign     text,
    ADD first_payment_no bigint;    -- that qualified it
CREATE INDEX attribution_hour ON referral.attribution (program_id, referrer_id, attributed_at);
CREATE INDEX attribution_decided ON referral.attribution (program_id, decision, attribution_id)
    WHERE decision IS NOT NULL;
CREATE INDEX attribution_utm ON referral.attribution (program_id, utm_campaign, attribution_id)
    WHERE utm_campaign IS NOT NULL;
CREATE INDEX attribution_campaign ON referral.attribution (program_id, campaign_id, attribution_id)
    WHERE campaign_id <> 0;

-- A click counts on its own day, all else on the day of attributed_at.
CREATE TABLE referral.funnel (
    program_id      bigint NOT NULL,
    day             date NOT NULL,      -- in the program's zone
    campaign_id     bigint NOT NULL,    -- of the code; 0 = none
    utm_key         bigint NOT NULL,
    part            bigint NOT NULL,
    clicks          bigint NOT NULL,
    attributed      bigint NOT NULL,
    review_required bigint NOT NULL,    -- in review now
    rejected        bigint NOT NULL,
    qualified       bigint NOT NULL,
    rewarded        bigint NOT NULL,    -- made a reward
    granted         bigint NOT NULL,    -- one was confirmed
    capped          bigint NOT NULL,
    PRIMARY KEY (program_id, day, campaign_id, utm_key, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE referral.funnel IS 'Counter: clicks and attributions per day and campaign';

-- What was there before.
INSERT INTO referral.click_salt (program_id, salt)
SELECT p.program_id, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
  FROM referral.program p;
INSERT INTO referral.funnel
SELECT a.program_id, (a.attributed_at AT TIME ZONE p.time_zone)::date, a.campaign_id, 0,
       nextval('referral.part_seq'), 0, count(*),
       count(*) FILTER (WHERE a.decision = 'review_required'),
       count(*) FILTER (WHERE a.decision = 'rejected'),
       count(a.qualified_at), count(a.rewarded_at), count(a.granted_at),
       count(*) FILTER (WHERE a.decision = 'capped')
  FROM referral.attribution a JOIN referral.program p USING (program_id)
 GROUP BY 1, 2, 3;
INSERT INTO referral.funnel
SELECT k.program_id, (k.clicked_at AT TIME ZONE p.time_zone)::date, c.campaign_id, 0,
       nextval('referral.part_seq'), count(*), 0, 0, 0, 0, 0, 0, 0
  FROM referral.click k JOIN referral.program p USING (program_id)
       JOIN referral.code c ON c.program_id = k.program_id AND c.code_id = k.code_id
 GROUP BY 1, 2, 3;
