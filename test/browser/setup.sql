-- What the browser looks at. Program 1 is one as it should be: ada with friends
-- on three levels, whom she can page through. Program 2 has something hostile in
-- every text that people, operators or attackers can set. Program 3 has amounts
-- beyond what a double holds, program 4 a currency and a zone that few expect.
\o /dev/null
\ir ../include/web.sql
CREATE FUNCTION pg_temp.code_of(user_id text) RETURNS text LANGUAGE sql
    AS 'SELECT primary_code FROM referral.referral_overview($1)';

INSERT INTO referral.program
    (program_id, name, currency, time_zone, max_level, hold_days, payout_min_micro, qualify_days, event_days, share_path)
VALUES (1, 'Northwind Books', 'USD', 'America/New_York', 3, 14, 10000000, 60, 30, '/join/'),
       (2, 'Tom''s "Club" <img src=x onerror=alert(1)> & {{7*7}}', 'EUR', 'UTC', 2, 0, 0, NULL, 30, '/r/'),
       (3, 'Vast', 'USD', 'UTC', 1, 0, 0, NULL, NULL, '/r/'),
       (4, 'Faraway', 'USDT', 'Asia/Kolkata', 1, 0, 0, NULL, NULL, '/r/');

-- Program 1.
SET referral.program_id = 1;
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (1, 1, 'Friend', 0), (1, 2, 'Ambassador', 10), (1, 3, 'Partner', 40);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (1, 0, 1, 1000), (1, 2, 1, 1250), (1, 3, 1, 1500), (1, 0, 2, 400), (1, 0, 3, 100);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (1, 1, 'Autumn reading', now() - '90 days'::interval, now() + '90 days'::interval, 100);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 1);

CREATE TEMP TABLE person AS
SELECT n, 'u' || n AS user_id,
       (string_to_array('Amara,Bruno,Chiara,Dmitri,Elif,Farid,Greta,Hana,Idris,Jun,Kaya,Lucía,Mats,Noor,Oona,Paulo,Quinn,Rosa,Søren,Tariq', ','))[1 + n % 20]
       || ' ' ||
       (string_to_array('Okafor,Lindqvist,Moreau,Ivanova,Yıldız,Haddad,Brandt,Sato,Mbeki,Park,Demir,García,Nilsson,Rahman,Virtanen,Costa,Byrne', ','))[1 + n % 17]
       AS name,
       CASE WHEN n <= 60 THEN 'ada' WHEN n <= 120 THEN 'u' || 1 + n % 20 ELSE 'u' || 61 + n % 20 END AS referrer,
       now() - (89 - n % 60) * '1 day'::interval - n * '7 minutes'::interval AS joined_at
FROM generate_series(1, 150) n;
SELECT referral.enroll('ada', 'Ada Lovelace');
SELECT referral.attribute('ada', referral.enroll('grace', 'Grace Hopper'), NULL, now() - '90 days'::interval);
DO $$
DECLARE p record;
BEGIN
    FOR p IN SELECT * FROM person ORDER BY n LOOP
        PERFORM referral.enroll(p.user_id, p.name);
        PERFORM referral.attribute(p.user_id, pg_temp.code_of(p.referrer), NULL, p.joined_at);
    END LOOP;
END $$;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at)
SELECT 1, format('inv-%s-%s', p.n, k), p.user_id, 10000 * (900 + 37 * p.n + 1311 * k),
       CASE WHEN k = 4 THEN 'deposit' ELSE 'purchase' END, p.joined_at + k * '6 days'::interval
FROM person p, generate_series(1, 4) k
WHERE k <= p.n % 5 AND p.joined_at + k * '6 days'::interval < now()
ORDER BY p.joined_at + k * '6 days'::interval;
INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, reason)
SELECT 1, 'back-' || p.payment_id, p.payment_id, p.amount_micro / (1 + row_number() OVER () % 2), 'returned'
FROM referral.payment p WHERE p.payment_id ~ '^inv-(3|14|28|53)-1$';
SELECT * FROM referral.spend('ada', 15000000, 'order-1', 'a book');
DO $$
DECLARE id text;
BEGIN
    FOR n IN 1..23 LOOP
        id := 'w-' || n;
        PERFORM referral.request_payout('ada', id, 10000000 + 10000 * n, 'bank transfer', 'DE02 1203 0000 0000 2020 51');
        CASE n % 5
            WHEN 0 THEN PERFORM referral.payout_failed(id, 'The bank says that this account is closed.');
            WHEN 1 THEN PERFORM referral.payout_cancel(id);
            WHEN 2 THEN PERFORM referral.payout_processing(id);
            WHEN 3 THEN PERFORM referral.payout_sent(id, 'transfer 81f3-' || n);
            ELSE PERFORM referral.payout_cancel(id);
        END CASE;
    END LOOP;
    PERFORM referral.request_payout('ada', 'w-24', 12500000, 'bank transfer', 'DE02 1203 0000 0000 2020 51');
END $$;
-- Held for review: 25, of whom some have paid already.
SELECT code AS campaign_code FROM referral.campaign_code('ada') \gset
SELECT referral.enroll('v' || n, 'Visitor ' || n), referral.attribute('v' || n, :'campaign_code')
FROM generate_series(1, 25) n;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'wait-' || n, 'v' || n, 20000000 + 10000 * n FROM generate_series(1, 25, 3) n;
-- Visits, some of which became sign-ups.
SELECT referral.capture_click(pg_temp.code_of('u' || 1 + n % 9), 'click-' || n, '/books?x', 'mail', 'email',
       CASE n % 3 WHEN 0 THEN 'newsletter' WHEN 1 THEN 'podcast' END, '192.0.2.' || n, 'Mozilla/5.0')
FROM generate_series(1, 120) n;
SELECT referral.attribute('c' || n, pg_temp.code_of('u' || 1 + n % 9), 'click-' || n) FROM generate_series(1, 120, 4) n;
SELECT referral.enroll('newbie');
CALL referral.maintain(1);
INSERT INTO referral.progress (program_id, task, subject, done, skipped, total, pid, started_at, updated_at, finished_at)
VALUES (1, 'backfill', 'shop.purchase', 4200, 17, 12000, 0, now() - '2 hours'::interval, now() - '90 minutes'::interval, NULL),
       (1, 'backfill', 'shop.purchase', 12000, 17, 12000, 0, now() - '1 hour'::interval, now() - '30 minutes'::interval,
        now() - '30 minutes'::interval);

-- Program 2: h1, h2, ... are what hostile names do.
SET referral.program_id = 2;
CREATE TABLE public.hostile AS
SELECT n, replace(replace(t, '\u202e', E'\u202e'), '\u200b', E'\u200b') AS t FROM (VALUES
    (1, '<img src=x onerror="alert(1)">'),
    (2, '"><script>alert(2)</script>'),
    (3, 'javascript:alert(3)'),
    (4, '{{constructor.constructor("alert(4)")()}} ${alert(4)} <%= 4 %>'),
    (5, ''' onmouseover=''alert(5)'' x='''),
    (6, E'\u202Egnp.exe ‮evil\u202C \u2066x'),
    (7, repeat('W', 190)),
    (8, '👩‍👩‍👧‍👦🏳️‍🌈👨🏿‍🚀 🇺🇳'),
    (9, 'Z' || repeat(E'\u0301\u0316\u0334', 40) || 'algo'),
    (10, '</td></tr></table></main><h1>Out</h1>'),
    (11, '&lt;b&gt;bold&amp;amp;&#x3c;i&#62;'),
    (12, '<svg/onload=alert(12)><style>*{display:none}</style>'),
    (13, '<!-- --!><a href="javascript:alert(13)">click</a>'),
    (14, '__proto__'),
    (15, 'constructor'),
    (16, 'toString'),
    (17, '=HYPERLINK("http://evil.example","=cmd|'' /C calc''!A0")'),
    (18, 'null'),
    (19, '<iframe srcdoc="<script>alert(19)</script>"></iframe><base href=//evil.example>'),
    (20, E'two\u2028lines\u2029and \u200B\u200D\uFEFF nothing'),
    (21, 'שלום עולם مرحبا'),
    (22, '\u003cimg src=x\u003e %3Cscript%3E \x3c')) v(n, t);
UPDATE public.hostile SET t = '\u003cimg src=x\u003e %3Cscript%3E \x3c' WHERE n = 22;
INSERT INTO referral.tier (program_id, tier, label) VALUES (2, 1, (SELECT t FROM public.hostile WHERE n = 2));
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (2, 1, 1000), (2, 2, 300);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
VALUES (2, 1, (SELECT t FROM public.hostile WHERE n = 1), now() - '9 days'::interval, now() + '9 days'::interval);
INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (2, 'campaign', 1);
SELECT referral.enroll(t, t, 'javascript:alert(0)'), t AS boss FROM public.hostile WHERE n = 12 \gset
SELECT referral.enroll('victim', 'Victim "><b>', 'https://evil.example/track.png');
SELECT referral.attribute('victim', pg_temp.code_of(:'boss'));
DO $$
DECLARE h record; own text := pg_temp.code_of('victim'); held text; id text;
BEGIN
    FOR h IN SELECT * FROM public.hostile WHERE n <> 12 ORDER BY n LOOP
        PERFORM referral.enroll(h.t, h.t, 'https://evil.example/' || h.n || '.png');
        PERFORM referral.capture_click(own, 'k' || h.n, '/' || h.t, h.t, h.t, h.t, h.t, h.t);
        PERFORM referral.attribute(h.t, own, 'k' || h.n, now());
        PERFORM referral.record_payment(h.t, h.t, 1000000 * h.n);
        -- and somebody below him, whose names are his
        PERFORM referral.enroll('below ' || h.t, h.t);
        PERFORM referral.attribute('below ' || h.t, pg_temp.code_of(h.t));
        PERFORM referral.record_payment('below ' || h.t, 'below ' || h.t, 500000 * h.n);
        PERFORM referral.record_refund(h.t, 'below ' || h.t, 1000, h.t);
        PERFORM referral.request_payout('victim', h.t, 1000 + h.n, left(h.t, 100), h.t);
        CASE h.n % 3
            WHEN 0 THEN PERFORM referral.payout_failed(h.t, h.t);
            WHEN 1 THEN PERFORM referral.payout_sent(h.t, h.t);
            ELSE NULL;
        END CASE;
        PERFORM referral.adjust('victim', h.t, 1, h.t, h.t);
        PERFORM referral.set_tier(h.t, 1, h.t, h.t);
        INSERT INTO referral.progress (program_id, task, subject, pid) VALUES (2, 'backfill', h.t, 0);
    END LOOP;
    held := (SELECT code FROM referral.campaign_code('victim'));
    FOR h IN SELECT * FROM public.hostile ORDER BY n LOOP
        id := 'held ' || h.t;
        PERFORM referral.enroll(id, h.t);
        PERFORM referral.attribute(id, held);
        IF h.n % 2 = 0 THEN
            PERFORM referral.reject_attribution((SELECT a.id FROM referral.list_attributions(id) a LIMIT 1), h.t, h.t);
        END IF;
    END LOOP;
END $$;
-- Books that are not sound, and say so with hostile words.
SET session_replication_role = replica;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 2, 'untaken ' || t, t, 1 FROM public.hostile;
RESET session_replication_role;

-- Program 3: one reward just below the greatest number there is, of which a double
-- would make another cent; one beyond 2^53; and a balance of both.
SET referral.program_id = 3;
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (3, 1, 10000);
SELECT referral.attribute('debtor', referral.enroll('vast')), referral.attribute('debtor2', referral.enroll('large'));
SELECT * FROM referral.record_payment('most', 'debtor', 9223372036854774999);
SELECT * FROM referral.record_payment('more', 'debtor2', 9007199254740993);
SELECT * FROM referral.record_payment('least', 'debtor2', 1);

-- Program 4.
SET referral.program_id = 4;
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (4, 1, 1000);
SELECT referral.attribute('asha', referral.enroll('ravi', 'Ravi'), NULL, '2026-01-01 00:00+05:30');
SELECT * FROM referral.record_payment('t1', 'asha', 12345670, occurred_at => '2026-03-31 20:00+00');
