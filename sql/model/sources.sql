-- What an operator watches of attached tables and long work. Run at every
-- install(), which also gives attached tables back the triggers that DROP
-- EXTENSION took.

CREATE OR REPLACE VIEW referral.stat_source AS
SELECT s.program_id, s.source_id, s.relation,
       CASE WHEN c.oid IS NULL THEN 'table is gone'
            WHEN t.enabled IS NULL THEN 'no trigger'
            WHEN NOT t.enabled THEN 'trigger disabled'
            -- rows that come through its parent pass by a statement trigger
            WHEN t.by_statement AND (c.relispartition OR EXISTS (
                     SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))
            THEN 'became a partition'
            ELSE 'attached' END AS state,
       k.incomplete, k.known, k.decreased
FROM referral.source s
LEFT JOIN pg_catalog.pg_class c ON c.oid = s.relation
CROSS JOIN LATERAL (
    SELECT pg_catalog.bool_and(g.tgenabled IN ('O', 'A')) AS enabled,
           pg_catalog.bool_or(g.tgtype & 1 = 0) AS by_statement
    FROM pg_catalog.pg_trigger g
    JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
    WHERE g.tgrelid = s.relation AND f.proname = 'source_in'
      AND f.pronamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n
                            WHERE n.nspname = 'referral')
      AND g.tgargs = pg_catalog.convert_to(s.program_id::text, 'UTF8') || '\x00'::bytea
                  || pg_catalog.convert_to(s.source_id::text, 'UTF8') || '\x00'::bytea) t
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.sum(x.incomplete), 0) AS incomplete,
           coalesce(pg_catalog.sum(x.known), 0) AS known,
           coalesce(pg_catalog.sum(x.decreased), 0) AS decreased
    FROM referral.source_skipped x
    WHERE x.program_id = s.program_id AND x.source_id = s.source_id) k;
COMMENT ON VIEW referral.stat_source IS
'Attached tables: whether their triggers are in place (state is ''attached''; what else it says calls for detach() and attach(), or for the trigger to be enabled), and how many rows made no payment or refund because a user, amount or id was null (incomplete), the id was there already (known), or what was given back became less (decreased).';

CREATE OR REPLACE VIEW referral.stat_progress AS
SELECT p.program_id, p.progress_id, p.task, p.subject,
       CASE WHEN p.finished_at IS NOT NULL THEN 'finished'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                         WHERE a.pid = p.pid
                           -- null to whoever may not see that session
                           AND coalesce(a.query_start <= p.started_at AND a.state = 'active',
                                        true))
            THEN 'running'
            ELSE 'interrupted' END AS state,
       p.done, p.skipped, p.total, p.position,
       p.started_at, p.updated_at, p.finished_at, p.pid
FROM referral.progress p;
COMMENT ON VIEW referral.stat_progress IS
'Long work, as of its last commit. done: of backfill payments and refunds that it took in, of rebuild rows corrected, of maintain refunds applied and rows merged; skipped: rows passed over; total: rows of the table that backfill reads. What was interrupted is gone on with by calling it again, which is a row of its own.';

SELECT referral.restore_triggers();
