-- What PostgREST serves. A plain CREATE, so that a schema somebody else made
-- under this name is refused.

CREATE SCHEMA referral_api;
