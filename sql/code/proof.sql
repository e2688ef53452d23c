-- Whether the books agree with themselves. verify() works everything out again
-- from the rows, in parts, one per kind of book (proof_*.sql). Each part takes
-- one program, so that its plans are made for that program's size; first the
-- rows that contradict anything are found, then what they contradict is named.

CREATE FUNCTION referral.verify(program_id bigint DEFAULT NULL)
    RETURNS SETOF referral.broken_invariant
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    next_id bigint;
BEGIN
    FOR next_id IN
        SELECT p.program_id
          FROM referral.program AS p
         WHERE verify.program_id IS NULL OR p.program_id = verify.program_id
         UNION
        -- written while no trigger could refuse an unknown program
        SELECT w.program_id
          FROM referral.payment AS w
         WHERE NOT w.taken_in
           AND (verify.program_id IS NULL OR w.program_id = verify.program_id)
         ORDER BY 1
    LOOP
        RETURN QUERY SELECT * FROM referral.verify_intake(next_id);
        RETURN QUERY SELECT * FROM referral.verify_refunds(next_id);
        RETURN QUERY SELECT * FROM referral.verify_rewards(next_id);
        RETURN QUERY SELECT * FROM referral.verify_tree(next_id);
        RETURN QUERY SELECT * FROM referral.verify_attributions(next_id);
        RETURN QUERY SELECT * FROM referral.verify_reviews(next_id);
        RETURN QUERY SELECT * FROM referral.verify_settlements(next_id);
        RETURN QUERY SELECT * FROM referral.verify_grants(next_id);
        RETURN QUERY SELECT * FROM referral.verify_counters(next_id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION referral.verify(bigint) IS
'Checks the books against themselves: one row per broken invariant, none when all is sound;
docs/verify.md lists the invariants.
program_id: NULL for every program. expected and found are counts, numbers of rows, or micro-units.
Reads all the books of a program: seconds per million rewards. Writes nothing and waits for
nobody.';
