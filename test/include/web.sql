-- A database for PostgREST: the extension, and the roles of the web, which all
-- databases of a server share.
SET client_min_messages = warning;
CREATE EXTENSION referral;
CALL referral.install();

SELECT format('CREATE ROLE %I %s', r.name, r.options)
FROM (VALUES ('web_anon', ''), ('web_member', ''), ('web_operator', ''), ('authenticator', 'LOGIN NOINHERIT')) r(name, options)
WHERE NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r.name) \gexec
GRANT web_anon, web_member, web_operator TO authenticator;
SELECT FROM referral.grant_api(anon => 'web_anon', member => 'web_member',
                               operator => 'web_operator', login => 'authenticator');
