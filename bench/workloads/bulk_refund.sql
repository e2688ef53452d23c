-- Half of 100,000 payments is given back in one statement.
INSERT INTO refund (program_id, refund_id, payment_id, amount_micro)
SELECT program_id, payment_id, payment_id, amount_micro / 2 FROM bench.bulk_payment;
