-- Makes the data model. Tables are not members of the extension, so that a
-- dump restores data before triggers and DROP EXTENSION leaves the books.

CREATE PROCEDURE referral.install()
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET default_table_access_method = heap
AS $$
DECLARE
    todo record;
BEGIN
    -- Two installs at once would both find a step missing.
    PERFORM pg_advisory_xact_lock('referral'::regnamespace::integer, 0);
    PERFORM referral.refuse_strangers();

    IF to_regclass('referral.model_step') IS NULL THEN
        CREATE TABLE referral.model_step (
            step       text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        COMMENT ON TABLE referral.model_step IS 'Steps of the data model that install() has run';
    END IF;

    FOR todo IN
        SELECT s.step, s.ddl, s.step ~ '^[0-9]' AS once
        FROM referral.model_steps() s
        ORDER BY s.step COLLATE "C"
    LOOP
        IF NOT todo.once THEN
            EXECUTE todo.ddl;
        ELSIF NOT EXISTS (SELECT FROM referral.model_step m WHERE m.step = todo.step) THEN
            EXECUTE todo.ddl;
            INSERT INTO referral.model_step (step) VALUES (todo.step);
        END IF;
    END LOOP;

    PERFORM referral.repeat_grants();
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON PROCEDURE referral.install() IS
'Makes the tables, sequences, indexes, views and triggers of the data model, or brings older ones up to date. Idempotent.
To be called after CREATE EXTENSION and after ALTER EXTENSION UPDATE by the owner of schema referral, who will own them. Repeats what grant_api() granted and has PostgREST read its schema anew.
Errors: 42501 owned_by_stranger.';
