-- First piece of the script: nothing is made in a schema that is not ours.

CREATE FUNCTION referral.refuse_strangers() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stranger record;
BEGIN
    -- What a superuser owns is no stranger's: pg_dump gives the schema back to
    -- its owner before whoever restores creates the extension.
    SELECT o.thing, r.rolname INTO stranger
    FROM (SELECT 'schema referral' AS thing, n.nspowner AS owner
          FROM pg_namespace n WHERE n.nspname = 'referral'
          UNION ALL
          SELECT c.oid::regclass::text, c.relowner
          FROM pg_class c WHERE c.relnamespace = 'referral'::regnamespace
          UNION ALL
          SELECT p.oid::regprocedure::text, p.proowner
          FROM pg_proc p WHERE p.pronamespace = 'referral'::regnamespace
          UNION ALL
          SELECT t.oid::regtype::text, t.typowner
          FROM pg_type t WHERE t.typnamespace = 'referral'::regnamespace) o
    JOIN pg_roles r ON r.oid = o.owner
    WHERE r.rolname <> current_user AND NOT r.rolsuper
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'owned_by_stranger',
            DETAIL = format('%s is owned by %I.', stranger.thing, stranger.rolname),
            HINT = 'Look at what it is, then drop it or make it your own by ALTER ... OWNER TO.';
    END IF;
END
$$;
COMMENT ON FUNCTION referral.refuse_strangers() IS
'Refuses a schema referral, or a relation, function or type in it, that neither the current user nor a superuser owns.
Errors: 42501 owned_by_stranger.';

SELECT referral.refuse_strangers();
