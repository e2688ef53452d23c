-- What :member last earned, and whether the books are sound.
SELECT id, status, level, tier, rate_bps, base_micro, amount_micro, invitee_display, available_at::date
FROM referral.list_rewards(:'member', max_rows => 5);

\echo 'the books, checked (one row per broken invariant):'
SELECT * FROM referral.verify();
