-- 100,000 clicks of bots: what is stored is clean and bounded, what is raised
-- is clear and says nothing back. Always the same clicks.
\pset format unaligned
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
INSERT INTO referral.program (program_id, name) VALUES (7701, 'bots');
SET LOCAL referral.program_id = 7701;
SELECT referral.enroll('ada') <> '' AS enrolled, (referral.set_custom_slug('ada', 'ada')).code;
CREATE SCHEMA bots;

-- Bits of what bots send; the number of a click says which it gets.
CREATE FUNCTION bots.bit(n integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bits CONSTANT text[] := ARRAY[
        E'\x01\x02\x1f', E'\x7f', E'\t\r\n', E'\x1b[31mred\x1b[0m', E'\u0080\u0085\u009f', E'\u200b\u200c\u200d\u2060', E'\ufeff',
        E'\u202e\u2066gpj.exe\u2069', E'\u2028\u2029', E'\U000e0041\U000e007f', E'\u00ad', E'\u061c\u180e', E'\ufff9\ufffb', '   ',
        '../../../../etc/passwd', '..\..\windows', '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', ''' OR 1=1; DROP TABLE referral.click; --',
        '\ud800\udfff\x00\u0000', '%00%0d%0aSet-Cookie:%20a=b', E'\r\nX-Injected: 1', '${jndi:ldap://x/y}', '{{7*7}}', '=cmd|'' /C calc''!A0', '$1 %s %n {} []',
        '%c0%ae%c0%ae/', '?token=stolen', '#token=stolen', 'utm', 'NULL', 'äöü', 'ю', '中文', '😀👨‍👩‍👧', 'Z̷̢a̵l̶g̷o̴', E'\U0010ffff', E'\ue000', E'\ufffd', '-1', '0', '''', '"', '`', '\'];
BEGIN
    RETURN bits[1 + abs(n) % cardinality(bits)];
END $$;
CREATE FUNCTION bots.field(n integer, field integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    text text := concat(bots.bit(n * 3 + field), bots.bit(n / 7 + field * 5), bots.bit(n / 49 + field * 11));
BEGIN
    -- 10 kB in every field of one click in forty, nothing at all now and then
    RETURN CASE WHEN n % 40 = 1 THEN repeat(text, 1 + 10240 / octet_length(text)) WHEN (n + field) % 9 = 0 THEN NULL WHEN (n + field) % 11 = 0 THEN '' ELSE text END;
END $$;

-- One click in ten is refused.
CREATE TABLE bots.refused (sqlstate text, message text, detail text, hint text);
DO $$
DECLARE
    id text;
    code text;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    FOR n IN 1..100000 LOOP
        IF n % 10 <> 0 THEN
            id := CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'bot:' || n ELSE repeat('~', 195) || n % 10000 END;
            PERFORM referral.capture_click(CASE n % 3 WHEN 0 THEN 'ADA' ELSE 'ada' END, id, bots.field(n, 1), bots.field(n, 2), bots.field(n, 3),
                                           CASE WHEN n % 3 = 0 THEN concat(n, bots.field(n, 4)) ELSE bots.field(n, 4) END,
                                           concat('LEAK', bots.field(n, 5)), concat('LEAK', bots.field(n, 6)), 7701);
            CONTINUE;
        END IF;
        BEGIN
            id := CASE n % 20 WHEN 0 THEN 'LEAK' || concat('/', bots.field(n, 1)) || repeat('LEAK', CASE n % 400 WHEN 0 THEN 2560 ELSE 0 END) END;
            code := CASE WHEN id IS NULL THEN 'LEAK' || coalesce(bots.field(n, 2), '') || repeat('LEAK', CASE n % 400 WHEN 10 THEN 2560 ELSE 0 END) ELSE 'ada' END;
            PERFORM referral.capture_click(code, id, bots.field(n, 3), program_id => 7701);
            RAISE EXCEPTION 'taken: % %', id, code;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            INSERT INTO bots.refused VALUES (state, message, detail, hint);
        END;
    END LOOP;
END $$;
SELECT sqlstate, message, detail, hint, count(*) FROM bots.refused GROUP BY 1, 2, 3, 4 ORDER BY 2;

-- How many were stored, and counted; ids that came twice are one click.
SELECT count(*) AS stored, count(*) FILTER (WHERE click_id LIKE 'bot:%') AS own_ids, count(*) FILTER (WHERE click_id LIKE '~%') AS long_ids,
       count(*) FILTER (WHERE click_id ~ '^[0-9a-f-]{36}$') AS made_ids, count(*) = (SELECT sum(f.clicks) FROM referral.funnel f WHERE f.program_id = 7701) AS counted
  FROM referral.click WHERE program_id = 7701;
-- Nothing unclean, by other means than the code has.
CREATE VIEW bots.stored AS
SELECT f.field, f.value FROM referral.click k, LATERAL (VALUES ('landing_path', k.landing_path), ('utm_source', k.utm_source), ('utm_medium', k.utm_medium), ('utm_campaign', k.utm_campaign)) f(field, value)
 WHERE k.program_id = 7701;
SELECT field, count(value) > 45000 AS most, count(*) - count(value) > 3000 AS some_null, max(length(value)) AS longest, min(length(value)) > 0 AS none_empty,
       count(*) FILTER (WHERE value ~ '[\x01-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]') AS unclean,
       count(*) FILTER (WHERE value <> btrim(value)) AS untrimmed, count(*) FILTER (WHERE value ~ '[?#]' AND field = 'landing_path') AS queries,
       count(*) FILTER (WHERE value ~ 'LEAK|stolen' AND field = 'landing_path') AS secrets
  FROM bots.stored GROUP BY field ORDER BY field;
SELECT max(length(ip_hash)) AS ip, max(length(agent_hash)) AS agent, count(*) FILTER (WHERE salt_id IS NULL) AS unsalted, max(pg_column_size(k)) < 4000 AS bounded,
       count(*) FILTER (WHERE k::text ~ 'LEAK' OR position('LEAK'::bytea IN ip_hash || agent_hash) > 0) AS secrets
  FROM referral.click k WHERE k.program_id = 7701;
-- What is no control character stays as it is, for readers to escape.
SELECT kept, EXISTS (SELECT FROM bots.stored s WHERE position(kept IN s.value) > 0) AS there
  FROM unnest(ARRAY['<script>alert(1)</script>', ''' OR 1=1; DROP TABLE referral.click; --', '😀👨👩👧', '\ud800\udfff\x00\u0000', '../../../../etc/passwd', '%00%0d%0aSet-Cookie:', 'äöü']) kept;

-- Labels that were made up do not stay in the funnel once their day is old.
UPDATE referral.funnel SET day = day - 366 WHERE program_id = 7701;
SELECT count(DISTINCT utm_key) > 20000 AS made_up, sum(clicks) AS clicks FROM referral.funnel WHERE program_id = 7701;
DO $$
DECLARE
    at jsonb;
BEGIN
    LOOP
        SELECT f.position INTO at FROM referral.fold_funnel(7701, at) f;
        EXIT WHEN at IS NULL;
    END LOOP;
END $$;
SELECT count(DISTINCT utm_key) < 3000 AS left, sum(clicks) AS clicks, sum(clicks) FILTER (WHERE utm_key = 1) > 20000 AS others FROM referral.funnel WHERE program_id = 7701;

-- What is no text at all does not get as far as here.
CREATE FUNCTION bots.raw(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN referral.capture_click('ada', NULL, convert_from(bytes, 'UTF8'));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT bytes, bots.raw(bytes) FROM unnest(ARRAY['\x2f00', '\xeda080', '\xedbfbf', '\xc0af', '\xe282', '\xf4908080', '\xff']::bytea[]) bytes;
ROLLBACK;
