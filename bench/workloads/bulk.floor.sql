-- The same rows in one transaction from tables that hold them already.
BEGIN;
INSERT INTO payment (program_id, payment_id, user_id, amount_micro, kind, occurred_at, payment_no,
                     taken_in)
SELECT program_id, payment_id, user_id, amount_micro, 'purchase', occurred_at, payment_no, true
FROM bench.bulk_payment;
INSERT INTO reward (program_id, reward_id, member_id, payer_id, base_micro, amount_micro, flat_micro,
                    available_at, created_at, rate_bps, tier, level, payment_id)
SELECT program_id, reward_id, member_id, payer_id, base_micro, amount_micro, flat_micro,
       available_at, now(), rate_bps, tier, level, payment_id
FROM bench.bulk_reward;
UPDATE earning e
SET amount_micro = e.amount_micro + b.amount_micro, volume_micro = e.volume_micro + b.volume_micro,
    rewards = e.rewards + b.rewards
FROM bench.bulk_earning b
WHERE e.program_id = 1 AND e.member_id = b.member_id AND e.available_at = '2026-01-30 00:00+00'
  AND e.earned_on = '2026-01-15' AND e.level = b.level AND e.part = 1;
UPDATE paid p
SET volume_micro = p.volume_micro + b.volume_micro, payments = p.payments + b.payments,
    earning_payments = p.earning_payments + b.payments
FROM bench.bulk_paid b
WHERE p.program_id = 1 AND p.member_id = b.member_id AND p.part = 1;
COMMIT;
