-- The insert of a payment alone: what no opponent can avoid.

CREATE SCHEMA bare;
CREATE TABLE bare.payment (LIKE referral.payment INCLUDING ALL);
