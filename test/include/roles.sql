-- The roles of the web, which all databases of a server share.
SET client_min_messages = warning;
SELECT format('CREATE ROLE %I %s', r.name, r.options)
FROM (VALUES ('web_anon', ''), ('web_member', ''), ('web_operator', ''), ('authenticator', 'LOGIN NOINHERIT')) r(name, options)
WHERE NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r.name) \gexec
GRANT web_anon, web_member, web_operator TO authenticator;
