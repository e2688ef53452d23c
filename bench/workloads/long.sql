-- Single payments in one transaction. Of each 10,000 of them the milliseconds that
-- the backend had a processor, and its memory after them.

CREATE TABLE bench.long_stretch (payments integer, milliseconds float8, bytes bigint);

CREATE FUNCTION bench.processor_nanoseconds() RETURNS bigint LANGUAGE sql VOLATILE
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint;

CREATE PROCEDURE bench.note_stretch(payments integer, nanoseconds bigint) LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO bench.long_stretch
    SELECT payments, nanoseconds / 1e6, sum(total_bytes) FROM pg_backend_memory_contexts;
END;

CREATE PROCEDURE bench.pay_long(first_no bigint, payments integer, first_payer integer,
                                payers integer)
    LANGUAGE plpgsql AS $$
DECLARE
    since bigint;
BEGIN
    TRUNCATE bench.long_stretch;
    CALL bench.note_stretch(0, 0);      -- has its own memory from now on
    since := bench.processor_nanoseconds();
    FOR n IN 1..payments LOOP
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
        VALUES (1, first_no + n, first_payer + n * 7919::bigint % payers, bench.amount(n),
                '2026-01-15 12:00+00');
        IF n % 10000 = 0 THEN
            CALL bench.note_stretch(n, bench.processor_nanoseconds() - since);
            since := bench.processor_nanoseconds();
        END IF;
    END LOOP;
END
$$;
