-- What :member last earned, and whether the books are sound.
SELECT id, status, level, tier, rate_bps, amount_micro, reversed_micro, invitee_display, available_at::date
FROM referral.list_rewards(:'member', max_rows => 5);

\echo 'his money, from the books:'
SELECT earned_micro, reversed_micro, pending_micro, available_micro, paid_out_micro
FROM referral.statement(:'member');

\echo 'the books, checked (one row per broken invariant):'
SELECT * FROM referral.verify();
