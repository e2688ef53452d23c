-- A year of another program, in a zone that moves its clocks: a million clicks,
-- one in ten signs up, by a thousand referrers' own codes and by those of five
-- campaigns, two of one name; a third of the clicks names one of twenty
-- utm_campaigns.

INSERT INTO referral.program (program_id, name, time_zone, uses_grants, click_days)
VALUES (2, 'funnel', 'America/New_York', true, 36500);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
SELECT 2, n, 'campaign ' || n % 4, '2020-01-01', '2100-01-01' FROM generate_series(1, 5) n;
INSERT INTO referral.member (program_id, member_id, user_id)
SELECT 2, 1000000 + n, 'r' || n FROM generate_series(1, 1000) n;
INSERT INTO referral.member (program_id, member_id, referrer_id, user_id)
SELECT 2, 2000000 + n, 1000001 + n % 1000, 'u' || n FROM generate_series(1, 100000) n;
INSERT INTO referral.code (program_id, code_id, user_id, code)
SELECT 2, 1000000 + n, 'r' || n, 'own-' || n FROM generate_series(1, 1000) n;
INSERT INTO referral.code (program_id, code_id, user_id, code, kind, campaign_id)
SELECT 2, 1001000 + n, 'r' || n, 'campaign-' || n, 'campaign', 1 + n % 5
FROM generate_series(1, 1000) n;

INSERT INTO referral.click (program_id, click_id, code_id, clicked_at, utm_campaign, utm_key)
SELECT 2, 'c' || n, 1000001 + n % 1000 + CASE WHEN n % 7 < 2 THEN 1000 ELSE 0 END,
       timestamptz '2025-01-01 05:00+00' + n * interval '31.5 seconds',
       k.utm_campaign, coalesce(k.utm_key, 0)
FROM generate_series(0, 999999) n
LEFT JOIN (SELECT k AS place, 'utm ' || k AS utm_campaign, referral.utm_key('utm ' || k) AS utm_key
           FROM generate_series(0, 19) k) k ON n % 3 = 0 AND n / 3 % 20 = k.place;
-- The statistics know of no program 2, so that keys would be checked by any index.
ANALYZE referral.member, referral.code, referral.click;

INSERT INTO referral.attribution
    (program_id, attribution_id, member_id, referrer_id, code_id, campaign_id, attributed_at,
     qualified_at, rewarded_at, granted_at, decision, user_id, click_id, utm_campaign, utm_key)
SELECT 2, 1000000 + n, 2000000 + n, 1000001 + n % 1000, c.code_id, c.campaign_id, k.clicked_at,
       CASE WHEN fate < 50 THEN k.clicked_at END, CASE WHEN fate < 40 THEN k.clicked_at END,
       CASE WHEN fate < 30 THEN k.clicked_at END,
       CASE fate WHEN 97 THEN 'review_required' WHEN 98 THEN 'rejected' WHEN 99 THEN 'capped' END,
       'u' || n, k.click_id, k.utm_campaign, k.utm_key
FROM (SELECT n, n * 61 % 100 AS fate FROM generate_series(1, 100000) n) a
JOIN referral.click k ON k.program_id = 2 AND k.click_id = 'c' || (n - 1) * 10 + n % 10
JOIN referral.code c ON c.program_id = 2 AND c.code_id = k.code_id;

ANALYZE;
SET client_min_messages = warning;
CALL referral.rebuild(2);

-- The same figures from the rows behind them, as they are asked for without
-- counters: by instants, so that the indexes by time can be used.
CREATE FUNCTION bench.funnel_of_rows(since date, until date, campaign text)
    RETURNS referral.funnel_row LANGUAGE plpgsql STABLE AS $$
DECLARE
    zone text := (SELECT p.time_zone FROM referral.program p WHERE p.program_id = 2);
    starts_at timestamptz := coalesce(since::timestamp AT TIME ZONE zone, '-infinity');
    ends_at timestamptz := coalesce(until::timestamp AT TIME ZONE zone, 'infinity');
    campaign_ids bigint[] := ARRAY(SELECT k.campaign_id FROM referral.campaign k
                                   WHERE k.program_id = 2 AND k.name = campaign);
    code_ids bigint[] := ARRAY(SELECT c.code_id FROM referral.code c
                               WHERE c.program_id = 2 AND c.campaign_id = ANY (campaign_ids));
    answer referral.funnel_row;
BEGIN
    IF campaign IS NULL THEN
        SELECT count(*) INTO answer.clicks FROM referral.click k
        WHERE k.program_id = 2 AND k.clicked_at >= starts_at AND k.clicked_at < ends_at;
    ELSE
        SELECT count(*) INTO answer.clicks FROM referral.click k
        WHERE k.program_id = 2 AND k.clicked_at >= starts_at AND k.clicked_at < ends_at
          AND (k.utm_campaign = campaign OR k.utm_campaign IS NULL AND k.code_id = ANY (code_ids));
    END IF;
    SELECT count(*), count(a.qualified_at), count(a.granted_at),
           count(*) FILTER (WHERE a.decision = 'capped'),
           count(*) FILTER (WHERE a.decision = 'review_required'),
           count(*) FILTER (WHERE a.decision = 'rejected')
    INTO answer.attributed, answer.qualified, answer.rewarded, answer.capped,
         answer.review_required, answer.rejected
    FROM referral.attribution a
    WHERE a.program_id = 2 AND a.attributed_at >= starts_at AND a.attributed_at < ends_at
      AND (campaign IS NULL
           OR a.utm_campaign = campaign
           OR a.utm_campaign IS NULL AND a.campaign_id = ANY (campaign_ids));
    RETURN answer;
END $$;
CREATE FUNCTION bench.funnel_of_counters(since date, until date, campaign text)
    RETURNS referral.funnel_row LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN referral.funnel_stats(since, until, campaign, 2);
END $$;

-- Asked twice in a session, of which the second time counts.
CREATE FUNCTION bench.funnel(of text, since date, until date, campaign text,
                             OUT milliseconds numeric, OUT answer referral.funnel_row)
    LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz;
BEGIN
    FOR i IN 1..2 LOOP
        started := clock_timestamp();
        IF of = 'counters' THEN
            answer := bench.funnel_of_counters(since, until, campaign);
        ELSE
            answer := bench.funnel_of_rows(since, until, campaign);
        END IF;
        milliseconds := 1000 * extract(epoch FROM clock_timestamp() - started);
    END LOOP;
END $$;
