-- What an operator's payment run reads. Run at every install().

CREATE OR REPLACE VIEW referral.payout_order AS
SELECT p.program_id, p.batch_id, p.payout_id, m.user_id,
       p.amount_micro * 0.000001 AS amount, p.amount_micro, c.currency,
       p.network, p.address, p.status, p.requested_at
FROM referral.payout p
JOIN referral.member m ON m.program_id = p.program_id AND m.member_id = p.member_id
JOIN referral.program c ON c.program_id = p.program_id
WHERE p.status IN ('requested', 'processing')
ORDER BY p.program_id, p.payout_no;
COMMENT ON VIEW referral.payout_order IS
'Payouts that are requested or processing, oldest first, for the payment run: amount is in units of the currency, exact to six places, amount_micro the same in micro-units. user_id, payout_id, network and address are what users sent: read them as text, never as formulas.';
