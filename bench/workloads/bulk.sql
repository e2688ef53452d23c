-- 100,000 payments in one statement. search_path says whose.
INSERT INTO payment (program_id, payment_id, user_id, amount_micro, occurred_at)
SELECT program_id, payment_id, user_id, amount_micro, occurred_at FROM bench.bulk_payment;
