-- Single payments one after the other without a client, each a transaction;
-- search_path says whose.

-- Who pays as the nth: so many payers, spread over those from first to last.
CREATE FUNCTION bench.payer(n bigint, payers integer, first bigint, last bigint)
    RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN first + n * 7919 % payers * ((last - first + 1) / payers);
CREATE FUNCTION bench.amount(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN 1000000 + n * 977;

CREATE PROCEDURE bench.payment_loop(first_no bigint, payments integer, payers integer,
                                    first bigint, last bigint)
    LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1..payments LOOP
        INSERT INTO payment (program_id, payment_id, user_id, amount_micro, occurred_at)
        VALUES (1, first_no + n, bench.payer(n, payers, first, last), bench.amount(n),
                '2026-01-15 12:00+00');
        COMMIT;
    END LOOP;
END
$$;

-- Of the payments of the loop before, which paid the same amounts.
CREATE PROCEDURE bench.refund_loop(first_no bigint, refunds integer)
    LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1..refunds LOOP
        INSERT INTO refund (program_id, refund_id, payment_id, amount_micro)
        VALUES (1, first_no + n, first_no + n, bench.amount(n) / 2);
        COMMIT;
    END LOOP;
END
$$;

CREATE PROCEDURE bench.floor_loop(first_no bigint, payments integer, payers integer,
                                  first bigint, last bigint)
    LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
    payer bigint;
    tree bigint;
    amount bigint;
    amount1 bigint;
    amount2 bigint;
    amount3 bigint;
BEGIN
    FOR n IN 1..payments LOOP
        id := first_no + n;
        payer := bench.payer(n, payers, first, last);
        tree := bench.tree(payer);
        amount := bench.amount(n);
        amount1 := amount * 1250 / 10000;
        amount2 := amount * 400 / 10000;
        amount3 := amount * 100 / 10000;
        INSERT INTO payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at,
                             payment_no, taken_in)
        VALUES (1, id, payer, amount, 'purchase', '2026-01-15 12:00+00', id, true);
        INSERT INTO reward (program_id, reward_id, member_id, payer_id, base_micro, amount_micro,
                            flat_micro, available_at, created_at, rate_bps, tier, level, payment_id)
        VALUES (1, id * 16 + 1, 100000 + tree, payer, amount, amount1, 0,
                '2026-01-30 00:00+00', now(), 1250, 2, 1, id),
               (1, id * 16 + 2, 200000 + tree, payer, amount, amount2, 0,
                '2026-01-30 00:00+00', now(), 400, 1, 2, id),
               (1, id * 16 + 3, 300000 + tree, payer, amount, amount3, 0,
                '2026-01-30 00:00+00', now(), 100, 1, 3, id);
        UPDATE earning e
        SET amount_micro = e.amount_micro + amount1, volume_micro = e.volume_micro + amount,
            rewards = e.rewards + 1
        WHERE e.program_id = 1 AND e.member_id = 100000 + tree AND e.level = 1 AND e.part = 1
          AND e.available_at = '2026-01-30 00:00+00' AND e.earned_on = '2026-01-15';
        UPDATE earning e
        SET amount_micro = e.amount_micro + amount2, volume_micro = e.volume_micro + amount,
            rewards = e.rewards + 1
        WHERE e.program_id = 1 AND e.member_id = 200000 + tree AND e.level = 2 AND e.part = 1
          AND e.available_at = '2026-01-30 00:00+00' AND e.earned_on = '2026-01-15';
        UPDATE earning e
        SET amount_micro = e.amount_micro + amount3, volume_micro = e.volume_micro + amount,
            rewards = e.rewards + 1
        WHERE e.program_id = 1 AND e.member_id = 300000 + tree AND e.level = 3 AND e.part = 1
          AND e.available_at = '2026-01-30 00:00+00' AND e.earned_on = '2026-01-15';
        UPDATE paid p
        SET volume_micro = p.volume_micro + amount, payments = p.payments + 1,
            earning_payments = p.earning_payments + 1
        WHERE p.program_id = 1 AND p.member_id = payer AND p.part = 1;
        COMMIT;
    END LOOP;
END
$$;
