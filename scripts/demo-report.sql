-- What :member last earned, and whether the books are sound.
SELECT id, status, level, tier, rate_bps, amount_micro, reversed_micro, invitee_display, available_at::date
FROM referral.list_rewards(:'member', max_rows => 5);

\echo 'his money, from the books:'
SELECT earned_micro, reversed_micro, pending_micro, available_micro, paid_out_micro
FROM referral.statement(:'member');

\echo 'the campaign of today, from the click to the reward:'
SELECT * FROM referral.funnel_stats(campaign => 'autumn');

\echo 'waiting for an operator:'
SELECT id, user_id, campaign, status, attributed_at::time(0)
FROM referral.list_attributions(status => '{review_required}', max_rows => 3);

\echo 'told to other systems, first of all:'
SELECT id, kind, user_id, data FROM referral.next_events(max => 3);

\echo 'the books, checked (one row per broken invariant):'
SELECT * FROM referral.verify();
