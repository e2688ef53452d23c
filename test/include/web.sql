-- A database for PostgREST: the extension, and who may do what.
SET client_min_messages = warning;
CREATE EXTENSION referral;
CALL referral.install();
\ir roles.sql
SELECT FROM referral.grant_api(anon => 'web_anon', member => 'web_member',
                               operator => 'web_operator', login => 'authenticator');
