-- One purchase in twenty goes back, every third of these in part; then whoever
-- has 10.00 available is paid two thirds of it.

INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro, reason)
SELECT p.program_id, 'return-' || p.payment_id, p.payment_id,
       CASE WHEN p.payment_no % 3 = 0 THEN p.amount_micro / 3 ELSE p.amount_micro END,
       'goods returned'
FROM referral.payment p
WHERE p.payment_no % 20 = 0 AND p.amount_micro >= 3
ORDER BY p.payment_no;

SELECT count(referral.payout_sent((w.request).id, 'transfer of the demo')) AS paid_out
FROM (SELECT referral.request_payout(m.user_id, 'first-' || m.user_id,
                                     (b.available_micro * 2 / 3)::bigint) AS request
      FROM referral.member m, referral.balance_of(m.program_id, m.member_id) b
      WHERE b.available_micro >= 10000000
      OFFSET 0) w;
