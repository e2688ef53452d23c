-- What tests by pgTAP share: the data model, plain output, and a transaction that
-- is rolled back.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
CALL referral.install();
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();
