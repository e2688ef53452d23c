-- Named composite types of results. Columns are only ever added, at the end.
-- Money is in micro-units of the program's currency. What is summed over one
-- level or one person is bigint and raises 22003 where it does not fit; what
-- is summed over levels is numeric.

CREATE TYPE referral.balance AS (
    pending_micro   numeric,
    available_micro numeric,
    lifetime_micro  numeric
);
COMMENT ON TYPE referral.balance IS 'What a member has: available = lifetime - pending - spent - paid out - reserved by open payouts';
COMMENT ON COLUMN referral.balance.pending_micro IS 'Micro-units of the program''s currency whose hold is not over yet, net of reversals';
COMMENT ON COLUMN referral.balance.available_micro IS 'Micro-units of the program''s currency that may be spent or paid out; below zero: owed by the next earnings';
COMMENT ON COLUMN referral.balance.lifetime_micro IS 'Micro-units of the program''s currency ever earned, net of reversals, plus adjustments';

CREATE TYPE referral.overview AS (
    primary_code    text,
    custom_slug     text,
    tier            integer,
    tier_label      text,
    rate_bps        integer,
    paid_invitees   bigint,
    balance         referral.balance,
    inviter_display text
);
COMMENT ON TYPE referral.overview IS 'One member at a glance: codes, tier, balance; what referral_overview() returns';
COMMENT ON COLUMN referral.overview.primary_code IS 'The code he shares; works for ever';
COMMENT ON COLUMN referral.overview.custom_slug IS 'His active slug; NULL: none';
COMMENT ON COLUMN referral.overview.tier IS 'Tier by which his next reward is computed; 0: the program has no tiers';
COMMENT ON COLUMN referral.overview.tier_label IS 'Name of the tier; NULL without tiers';
COMMENT ON COLUMN referral.overview.rate_bps IS 'Basis points of level 1 at his tier outside campaigns; 0: no such rate';
COMMENT ON COLUMN referral.overview.paid_invitees IS 'Members he referred who made a first earning payment';
COMMENT ON COLUMN referral.overview.balance IS 'What he has, in micro-units of the program''s currency';
COMMENT ON COLUMN referral.overview.inviter_display IS 'Display name of who referred him; NULL: nobody, or one without a name';

CREATE TYPE referral.reward_row AS (
    id                bigint,
    status            text,
    level             integer,
    tier              integer,
    rate_bps          integer,
    base_micro        bigint,
    amount_micro      bigint,
    reversed_micro    bigint,
    written_off_micro bigint,
    currency          text,
    invitee_user_id   text,
    invitee_display   text,
    payment_id        text,
    created_at        timestamptz,
    available_at      timestamptz
);
COMMENT ON TYPE referral.reward_row IS 'One reward: what one payment earned a member on one level; what list_rewards() returns';
COMMENT ON COLUMN referral.reward_row.id IS 'Rises with the order of processing';
COMMENT ON COLUMN referral.reward_row.status IS 'reversed: refunds took all of it back; spent, paid_out: used up in full, the last part by a spend or by a payout; pending: the hold is not over; available: it is';
COMMENT ON COLUMN referral.reward_row.level IS '0: his own payment; 1: a payment of somebody he referred; 2..10: further down';
COMMENT ON COLUMN referral.reward_row.tier IS 'His tier when the payment was processed';
COMMENT ON COLUMN referral.reward_row.rate_bps IS 'Basis points applied to the base';
COMMENT ON COLUMN referral.reward_row.base_micro IS 'Micro-units that the commission was computed on';
COMMENT ON COLUMN referral.reward_row.amount_micro IS 'Micro-units earned: floor(base_micro * rate_bps / 10000) + the rate''s flat amount';
COMMENT ON COLUMN referral.reward_row.reversed_micro IS 'Micro-units taken back by refunds';
COMMENT ON COLUMN referral.reward_row.written_off_micro IS 'Micro-units that a refund should have taken back but the debt policy let go';
COMMENT ON COLUMN referral.reward_row.currency IS 'Currency of the program, of which the amounts are millionths';
COMMENT ON COLUMN referral.reward_row.invitee_user_id IS 'Who paid';
COMMENT ON COLUMN referral.reward_row.invitee_display IS 'Display name of who paid; NULL: none known';
COMMENT ON COLUMN referral.reward_row.payment_id IS 'The payment, as the application named it';
COMMENT ON COLUMN referral.reward_row.created_at IS 'When the payment was processed';
COMMENT ON COLUMN referral.reward_row.available_at IS 'End of the hold; frozen when the reward was made';

CREATE TYPE referral.invitee_row AS (
    user_id          text,
    display_name     text,
    signed_at        timestamptz,
    total_paid_micro bigint
);
COMMENT ON TYPE referral.invitee_row IS 'One member referred directly; what list_invitees() returns';
COMMENT ON COLUMN referral.invitee_row.user_id IS 'The application''s id of the invitee';
COMMENT ON COLUMN referral.invitee_row.display_name IS 'Display name; NULL: none known';
COMMENT ON COLUMN referral.invitee_row.signed_at IS 'When he was attributed';
COMMENT ON COLUMN referral.invitee_row.total_paid_micro IS 'Micro-units he paid since then, deposits left out, refunds not taken off';

CREATE TYPE referral.downline_row AS (
    user_id          text,
    display_name     text,
    signed_at        timestamptz,
    total_paid_micro bigint,
    level            integer,
    payments         bigint,
    volume_micro     bigint
);
COMMENT ON TYPE referral.downline_row IS 'One member somewhere below a member; what list_downline() returns';
COMMENT ON COLUMN referral.downline_row.user_id IS 'The application''s id of the member below';
COMMENT ON COLUMN referral.downline_row.display_name IS 'Display name; NULL: none known';
COMMENT ON COLUMN referral.downline_row.signed_at IS 'When he was attributed';
COMMENT ON COLUMN referral.downline_row.total_paid_micro IS 'Micro-units he paid since then, deposits left out, refunds not taken off';
COMMENT ON COLUMN referral.downline_row.level IS '1: referred directly; 2: referred by one of those; and so on';
COMMENT ON COLUMN referral.downline_row.payments IS 'Payments behind volume_micro';
COMMENT ON COLUMN referral.downline_row.volume_micro IS 'Micro-units of his payments since he was attributed, deposits left out';

CREATE TYPE referral.level_row AS (
    level          integer,
    members        bigint,
    volume_micro   bigint,
    deposits_micro bigint,
    earnings_micro bigint,
    rate_bps       integer
);
COMMENT ON TYPE referral.level_row IS 'One level below a member; what level_stats() returns';
COMMENT ON COLUMN referral.level_row.level IS '1: referred directly; up to the program''s max_level';
COMMENT ON COLUMN referral.level_row.members IS 'Members on this level by the tree as it is now';
COMMENT ON COLUMN referral.level_row.volume_micro IS 'Micro-units paid on this level, deposits left out, by the tree at the moment of each payment';
COMMENT ON COLUMN referral.level_row.deposits_micro IS 'Micro-units deposited on this level, by the tree at the moment of each deposit';
COMMENT ON COLUMN referral.level_row.earnings_micro IS 'Micro-units this level earned the member, net of reversals';
COMMENT ON COLUMN referral.level_row.rate_bps IS 'Basis points of this level at his tier outside campaigns; 0: no such rate';

CREATE TYPE referral.day_row AS (
    day            date,
    earned_micro   numeric,
    reversed_micro numeric,
    payments       bigint
);
COMMENT ON TYPE referral.day_row IS 'What a member earned by the payments of one day; what earnings_by_day() returns';
COMMENT ON COLUMN referral.day_row.day IS 'Day of the payments'' occurred_at in the program''s time zone';
COMMENT ON COLUMN referral.day_row.earned_micro IS 'Micro-units earned, reversals not taken off';
COMMENT ON COLUMN referral.day_row.reversed_micro IS 'Micro-units of these that refunds took back later';
COMMENT ON COLUMN referral.day_row.payments IS 'Payments that earned him something';

CREATE TYPE referral.payout_row AS (
    id           text,
    amount_micro bigint,
    network      text,
    address      text,
    status       text,
    reference    text,
    note         text,
    requested_at timestamptz,
    completed_at timestamptz,
    user_id      text,
    batch_id     text
);
COMMENT ON TYPE referral.payout_row IS 'One payout; what list_payouts() and the functions that write payouts return';
COMMENT ON COLUMN referral.payout_row.id IS 'As the caller named it';
COMMENT ON COLUMN referral.payout_row.amount_micro IS 'Micro-units of the program''s currency';
COMMENT ON COLUMN referral.payout_row.network IS 'Where to: the network, bank or scheme; NULL: as agreed elsewhere';
COMMENT ON COLUMN referral.payout_row.address IS 'Where to: the address or account in the network; NULL: as agreed elsewhere';
COMMENT ON COLUMN referral.payout_row.status IS 'requested, processing: the amount is reserved; sent: paid out; failed, cancelled: the reserve was given back';
COMMENT ON COLUMN referral.payout_row.reference IS 'Of the transfer, once sent; NULL: none given';
COMMENT ON COLUMN referral.payout_row.note IS 'Why it failed; NULL: it did not, or nobody said';
COMMENT ON COLUMN referral.payout_row.requested_at IS 'When it was requested';
COMMENT ON COLUMN referral.payout_row.completed_at IS 'When it was sent, failed or cancelled; NULL: it is open';
COMMENT ON COLUMN referral.payout_row.user_id IS 'Who is paid: the application''s id of the member';
COMMENT ON COLUMN referral.payout_row.batch_id IS 'The payout_batch() that requested it; NULL: the member or an operator did';

CREATE TYPE referral.statement_row AS (
    at                timestamptz,
    currency          text,
    pending_micro     numeric,
    available_micro   numeric,
    lifetime_micro    numeric,
    earned_micro      numeric,
    reversed_micro    numeric,
    written_off_micro numeric,
    adjusted_micro    numeric,
    spent_micro       numeric,
    paid_out_micro    numeric,
    reserved_micro    numeric
);
COMMENT ON TYPE referral.statement_row IS 'A member''s books as recorded at an instant; what statement() returns';
COMMENT ON COLUMN referral.statement_row.at IS 'The instant: what was recorded then or before is in it';
COMMENT ON COLUMN referral.statement_row.currency IS 'Currency of the program, of which the amounts are millionths';
COMMENT ON COLUMN referral.statement_row.pending_micro IS 'Micro-units whose hold was not over, net of reversals';
COMMENT ON COLUMN referral.statement_row.available_micro IS 'lifetime - pending - spent - paid out - reserved, in micro-units';
COMMENT ON COLUMN referral.statement_row.lifetime_micro IS 'earned - reversed + adjusted, in micro-units';
COMMENT ON COLUMN referral.statement_row.earned_micro IS 'Micro-units of all rewards, reversals not taken off';
COMMENT ON COLUMN referral.statement_row.reversed_micro IS 'Micro-units that refunds took back';
COMMENT ON COLUMN referral.statement_row.written_off_micro IS 'Micro-units that refunds should have taken back but the debt policy let go';
COMMENT ON COLUMN referral.statement_row.adjusted_micro IS 'Micro-units of all adjustments, either way';
COMMENT ON COLUMN referral.statement_row.spent_micro IS 'Micro-units of spends that were not undone';
COMMENT ON COLUMN referral.statement_row.paid_out_micro IS 'Micro-units of payouts that were sent';
COMMENT ON COLUMN referral.statement_row.reserved_micro IS 'Micro-units of payouts that were open';

CREATE TYPE referral.broken_invariant AS (
    program_id bigint,
    invariant  text,
    subject    text,
    expected   numeric,
    found      numeric,
    hint       text
);
COMMENT ON TYPE referral.broken_invariant IS 'One place where the books contradict themselves; what verify() returns';
COMMENT ON COLUMN referral.broken_invariant.program_id IS 'The program whose books are broken';
COMMENT ON COLUMN referral.broken_invariant.invariant IS 'Stable name of the invariant; docs/verify.md lists them';
COMMENT ON COLUMN referral.broken_invariant.subject IS 'The row or key concerned';
COMMENT ON COLUMN referral.broken_invariant.expected IS 'What the books say it should be; money in micro-units; NULL: it is no number';
COMMENT ON COLUMN referral.broken_invariant.found IS 'What is there; money in micro-units; NULL: nothing, or no number';
COMMENT ON COLUMN referral.broken_invariant.hint IS 'What to do about it';

CREATE TYPE referral.code_state AS (
    code text,
    cap  bigint,
    used bigint
);
COMMENT ON TYPE referral.code_state IS 'A code and how often it may be and was used; what campaign_code() returns';
COMMENT ON COLUMN referral.code_state.code IS 'The code, in the form in which it was issued';
COMMENT ON COLUMN referral.code_state.cap IS 'Invitees that may qualify by it; NULL: any number';
COMMENT ON COLUMN referral.code_state.used IS 'Invitees that did qualify by it';

CREATE TYPE referral.code_validity AS (
    valid  boolean,
    reason text
);
COMMENT ON TYPE referral.code_validity IS 'Whether a code would attribute; what validate_code() returns';
COMMENT ON COLUMN referral.code_validity.valid IS 'True: attribute() would accept it now';
COMMENT ON COLUMN referral.code_validity.reason IS 'NULL when valid, else the first reason that applies: unknown_code, self_referral, already_attributed, cycle, code_disabled, campaign_inactive, click_expired, cap_reached';

CREATE TYPE referral.attribution_result AS (
    attributed     boolean,
    reason         text,
    attribution_id bigint,
    status         text
);
COMMENT ON TYPE referral.attribution_result IS 'What became of an attempt to attribute; what attribute() returns';
COMMENT ON COLUMN referral.attribution_result.attributed IS 'True: this call made the attribution';
COMMENT ON COLUMN referral.attribution_result.reason IS 'NULL when attributed, else the first reason that applies, as of validate_code()';
COMMENT ON COLUMN referral.attribution_result.attribution_id IS 'The user''s attribution, made now or before; NULL: there is none';
COMMENT ON COLUMN referral.attribution_result.status IS 'Its status: attributed, qualified, rewarded, review_required, rejected, capped, expired; NULL: there is none';

CREATE TYPE referral.tier_change AS (
    old_tier integer,
    new_tier integer
);
COMMENT ON TYPE referral.tier_change IS 'A member''s tier before and after; what set_tier() returns';
COMMENT ON COLUMN referral.tier_change.old_tier IS 'Effective tier before; 0: the program has no tiers';
COMMENT ON COLUMN referral.tier_change.new_tier IS 'Effective tier after';

CREATE TYPE referral.code_row AS (
    code_id     bigint,
    user_id     text,
    code        text,
    kind        text,
    campaign_id bigint,
    cap         bigint,
    used        bigint,
    created_at  timestamptz,
    disabled_at timestamptz
);
COMMENT ON TYPE referral.code_row IS 'One code of a member; what set_custom_slug() returns';
COMMENT ON COLUMN referral.code_row.code_id IS 'Number of the code';
COMMENT ON COLUMN referral.code_row.user_id IS 'Whose code it is';
COMMENT ON COLUMN referral.code_row.code IS 'The code, in the form in which it was issued';
COMMENT ON COLUMN referral.code_row.kind IS 'uid: the primary code; custom: a slug; campaign: issued inside a campaign';
COMMENT ON COLUMN referral.code_row.campaign_id IS 'The campaign; 0: none';
COMMENT ON COLUMN referral.code_row.cap IS 'Invitees that may qualify by it; NULL: any number';
COMMENT ON COLUMN referral.code_row.used IS 'Invitees that did qualify by it';
COMMENT ON COLUMN referral.code_row.created_at IS 'When it was issued';
COMMENT ON COLUMN referral.code_row.disabled_at IS 'Since when it attributes nobody; NULL: it works';

CREATE TYPE referral.suspension AS (
    user_id      text,
    suspended_at timestamptz
);
COMMENT ON TYPE referral.suspension IS 'Whether a member is suspended; what suspend() and reinstate() return';
COMMENT ON COLUMN referral.suspension.user_id IS 'The member';
COMMENT ON COLUMN referral.suspension.suspended_at IS 'Since when; NULL: he is not';

CREATE TYPE referral.payment_receipt AS (
    payment_id    text,
    replayed      boolean,
    rewards       integer,
    rewards_micro numeric
);
COMMENT ON TYPE referral.payment_receipt IS 'What became of a payment; what record_payment() returns';
COMMENT ON COLUMN referral.payment_receipt.payment_id IS 'The payment';
COMMENT ON COLUMN referral.payment_receipt.replayed IS 'True: it was recorded before, and nothing was done now';
COMMENT ON COLUMN referral.payment_receipt.rewards IS 'Rewards it made, over all levels';
COMMENT ON COLUMN referral.payment_receipt.rewards_micro IS 'Their sum in micro-units of the program''s currency';

CREATE TYPE referral.refund_receipt AS (
    refund_id         text,
    replayed          boolean,
    state             text,
    reversed_micro    numeric,
    written_off_micro numeric
);
COMMENT ON TYPE referral.refund_receipt IS 'What became of a refund; what record_refund() returns';
COMMENT ON COLUMN referral.refund_receipt.refund_id IS 'The refund';
COMMENT ON COLUMN referral.refund_receipt.replayed IS 'True: it was recorded before, and nothing was done now';
COMMENT ON COLUMN referral.refund_receipt.state IS 'applied, or waiting: its payment is not there yet, or waits for a review';
COMMENT ON COLUMN referral.refund_receipt.reversed_micro IS 'Micro-units it took back from rewards, over all levels';
COMMENT ON COLUMN referral.refund_receipt.written_off_micro IS 'Micro-units it should have taken back but the debt policy let go';

CREATE TYPE referral.spend_row AS (
    spend_id     text,
    user_id      text,
    amount_micro bigint,
    note         text,
    spent_at     timestamptz,
    unspent_at   timestamptz
);
COMMENT ON TYPE referral.spend_row IS 'One spend of a balance; what spend() and unspend() return';
COMMENT ON COLUMN referral.spend_row.spend_id IS 'The spend, as the application named it';
COMMENT ON COLUMN referral.spend_row.user_id IS 'Whose balance it was';
COMMENT ON COLUMN referral.spend_row.amount_micro IS 'Micro-units of the program''s currency';
COMMENT ON COLUMN referral.spend_row.note IS 'What for; NULL: not said';
COMMENT ON COLUMN referral.spend_row.spent_at IS 'When it was recorded';
COMMENT ON COLUMN referral.spend_row.unspent_at IS 'When it was undone; NULL: it stands';

CREATE TYPE referral.payout_destination_row AS (
    user_id text,
    network text,
    address text,
    set_at  timestamptz
);
COMMENT ON TYPE referral.payout_destination_row IS 'Where a member wants his payouts sent; what set_payout_destination() returns';
COMMENT ON COLUMN referral.payout_destination_row.user_id IS 'The member';
COMMENT ON COLUMN referral.payout_destination_row.network IS 'How it is sent: a bank, a chain; NULL: no destination';
COMMENT ON COLUMN referral.payout_destination_row.address IS 'Where to on that network; NULL: no destination';
COMMENT ON COLUMN referral.payout_destination_row.set_at IS 'Since when; NULL: no destination';

CREATE TYPE referral.adjustment_row AS (
    adjustment_id text,
    user_id       text,
    amount_micro  bigint,
    note          text,
    actor         text,
    created_at    timestamptz
);
COMMENT ON TYPE referral.adjustment_row IS 'One correction of a balance; what adjust() returns';
COMMENT ON COLUMN referral.adjustment_row.adjustment_id IS 'The correction, as the operator named it';
COMMENT ON COLUMN referral.adjustment_row.user_id IS 'Whose balance was corrected';
COMMENT ON COLUMN referral.adjustment_row.amount_micro IS 'Micro-units of the program''s currency; negative: taken off';
COMMENT ON COLUMN referral.adjustment_row.note IS 'Why';
COMMENT ON COLUMN referral.adjustment_row.actor IS 'Who did it';
COMMENT ON COLUMN referral.adjustment_row.created_at IS 'When it was recorded';

CREATE TYPE referral.grant_row AS (
    grant_key    text,
    user_id      text,
    reward_id    bigint,
    amount_micro bigint,
    currency     text,
    payment_id   text,
    attempts     integer,
    status       text
);
COMMENT ON TYPE referral.grant_row IS 'One reward on its way to an outside billing system; what claim_grants(), confirm_grant() and fail_grant() return';
COMMENT ON COLUMN referral.grant_row.grant_key IS 'Names the grant to both systems, however often it is claimed';
COMMENT ON COLUMN referral.grant_row.user_id IS 'Whose reward it is';
COMMENT ON COLUMN referral.grant_row.reward_id IS 'The reward, as list_rewards() shows it';
COMMENT ON COLUMN referral.grant_row.amount_micro IS 'Micro-units of the reward, less what refunds took back so far';
COMMENT ON COLUMN referral.grant_row.currency IS 'Currency of the program, of which the amount is millionths';
COMMENT ON COLUMN referral.grant_row.payment_id IS 'The payment that earned it';
COMMENT ON COLUMN referral.grant_row.attempts IS 'How often it was claimed';
COMMENT ON COLUMN referral.grant_row.status IS 'open: to be claimed; claimed; failed: until recover_grants() opens it again; confirmed; void: wholly refunded before it was granted';

CREATE TYPE referral.recovery AS (
    attempted bigint,
    recovered bigint,
    errors    bigint
);
COMMENT ON TYPE referral.recovery IS 'What recover_grants() did';
COMMENT ON COLUMN referral.recovery.attempted IS 'Grants that had failed, or whose worker was lost';
COMMENT ON COLUMN referral.recovery.recovered IS 'Of these, those that are open again';
COMMENT ON COLUMN referral.recovery.errors IS 'Of these, those that are void: wholly refunded meanwhile';

CREATE TYPE referral.attribution_row AS (
    id               bigint,
    status           text,
    code             text,
    campaign         text,
    user_id          text,
    display_name     text,
    referrer_user_id text,
    referrer_display text,
    attributed_at    timestamptz,
    expires_at       timestamptz,
    qualified_at     timestamptz,
    rewarded_at      timestamptz,
    granted_at       timestamptz,
    pending_grant    boolean,
    payment_id       text,
    reward_micro     numeric,
    click_id         text
);
COMMENT ON TYPE referral.attribution_row IS 'Who referred whom and what became of it; what list_attributions(), approve_attribution() and reject_attribution() return';
COMMENT ON COLUMN referral.attribution_row.id IS 'Number of the attribution';
COMMENT ON COLUMN referral.attribution_row.status IS 'attributed, qualified, rewarded, review_required, rejected, capped or expired, as it reads now';
COMMENT ON COLUMN referral.attribution_row.code IS 'The code, in the form in which it was issued';
COMMENT ON COLUMN referral.attribution_row.campaign IS 'The click''s utm_campaign, else the name of the code''s campaign; NULL: neither';
COMMENT ON COLUMN referral.attribution_row.user_id IS 'Who was referred';
COMMENT ON COLUMN referral.attribution_row.display_name IS 'His name; NULL: none known';
COMMENT ON COLUMN referral.attribution_row.referrer_user_id IS 'Who referred him';
COMMENT ON COLUMN referral.attribution_row.referrer_display IS 'Name of the referrer; NULL: none known';
COMMENT ON COLUMN referral.attribution_row.attributed_at IS 'When he signed up';
COMMENT ON COLUMN referral.attribution_row.expires_at IS 'When it expires if nothing qualifies before; NULL: never';
COMMENT ON COLUMN referral.attribution_row.qualified_at IS 'When the payment that qualified it occurred; NULL: none did';
COMMENT ON COLUMN referral.attribution_row.rewarded_at IS 'When the first payment that made a reward occurred; NULL: none did';
COMMENT ON COLUMN referral.attribution_row.granted_at IS 'When the first of its rewards was confirmed by the billing system; NULL: none was';
COMMENT ON COLUMN referral.attribution_row.pending_grant IS 'True: the program uses grants, there is a reward and none was confirmed yet';
COMMENT ON COLUMN referral.attribution_row.payment_id IS 'The payment that qualified it; NULL until then, and where that made no reward';
COMMENT ON COLUMN referral.attribution_row.reward_micro IS 'Micro-units of the rewards of that payment, over all levels, as they were made; NULL: there is none';
COMMENT ON COLUMN referral.attribution_row.click_id IS 'The click that he came by; NULL: none';

CREATE TYPE referral.attribution_detail AS (
    attribution       referral.attribution_row,
    campaign_id       bigint,
    landing_path      text,
    utm_source        text,
    utm_medium        text,
    utm_campaign      text,
    clicked_at        timestamptz,
    held_by           text[],
    held_at           timestamptz,
    decision          text,
    decided_by        text,
    decision_reason   text,
    decided_at        timestamptz,
    waiting_payments  bigint,
    payments          bigint,
    paid_micro        numeric,
    rewards           jsonb
);
COMMENT ON TYPE referral.attribution_detail IS 'Everything about one attribution; what attribution_detail() returns';
COMMENT ON COLUMN referral.attribution_detail.attribution IS 'As list_attributions() shows it';
COMMENT ON COLUMN referral.attribution_detail.campaign_id IS 'The code''s campaign; 0: none';
COMMENT ON COLUMN referral.attribution_detail.landing_path IS 'Where the click led; NULL also when the click was dropped';
COMMENT ON COLUMN referral.attribution_detail.utm_source IS 'Of the click; NULL: none known';
COMMENT ON COLUMN referral.attribution_detail.utm_medium IS 'Of the click; NULL: none known';
COMMENT ON COLUMN referral.attribution_detail.utm_campaign IS 'Of the click; stays when that is dropped; NULL: none';
COMMENT ON COLUMN referral.attribution_detail.clicked_at IS 'When the click was captured; NULL as landing_path';
COMMENT ON COLUMN referral.attribution_detail.held_by IS 'The review rules that held it: same_ip, velocity, campaign; NULL: it was never held';
COMMENT ON COLUMN referral.attribution_detail.held_at IS 'Since when it was held; NULL: it was never';
COMMENT ON COLUMN referral.attribution_detail.decision IS 'approved or rejected; NULL: not decided, or never held';
COMMENT ON COLUMN referral.attribution_detail.decided_by IS 'Who decided; NULL: nobody';
COMMENT ON COLUMN referral.attribution_detail.decision_reason IS 'Why; NULL: not said';
COMMENT ON COLUMN referral.attribution_detail.decided_at IS 'When it was decided; NULL: it was not';
COMMENT ON COLUMN referral.attribution_detail.waiting_payments IS 'Payments that wait for the decision';
COMMENT ON COLUMN referral.attribution_detail.payments IS 'Payments of his that count, deposits not among them';
COMMENT ON COLUMN referral.attribution_detail.paid_micro IS 'Micro-units of these payments';
COMMENT ON COLUMN referral.attribution_detail.rewards IS 'Rewards of the payment that qualified it: [{id, level, user_id, status, amount_micro, reversed_micro, available_at}]';

CREATE TYPE referral.funnel_row AS (
    clicks          bigint,
    attributed      bigint,
    qualified       bigint,
    rewarded        bigint,
    capped          bigint,
    review_required bigint,
    rejected        bigint
);
COMMENT ON TYPE referral.funnel_row IS 'How many came how far; what funnel_stats() returns';
COMMENT ON COLUMN referral.funnel_row.clicks IS 'Clicks of these days';
COMMENT ON COLUMN referral.funnel_row.attributed IS 'Attributions of these days, whatever became of them';
COMMENT ON COLUMN referral.funnel_row.qualified IS 'Of these, those that qualified, the rewarded ones among them';
COMMENT ON COLUMN referral.funnel_row.rewarded IS 'Of these, those whose status is rewarded';
COMMENT ON COLUMN referral.funnel_row.capped IS 'Of these, those that a cap ended';
COMMENT ON COLUMN referral.funnel_row.review_required IS 'Of these, those in review now';
COMMENT ON COLUMN referral.funnel_row.rejected IS 'Of these, those that were rejected';

CREATE TYPE referral.leader_row AS (
    rank         bigint,
    user_id      text,
    display_name text,
    earned_micro numeric,
    rewards      bigint,
    volume_micro numeric
);
COMMENT ON TYPE referral.leader_row IS 'A place of the leaderboard; what leaderboard() returns';
COMMENT ON COLUMN referral.leader_row.rank IS 'One above the number of members who earned more';
COMMENT ON COLUMN referral.leader_row.user_id IS 'The member';
COMMENT ON COLUMN referral.leader_row.display_name IS 'His name; NULL: none known';
COMMENT ON COLUMN referral.leader_row.earned_micro IS 'Micro-units that payments of these days below him earned him, net of reversals';
COMMENT ON COLUMN referral.leader_row.rewards IS 'The rewards behind it';
COMMENT ON COLUMN referral.leader_row.volume_micro IS 'Micro-units that were paid below him';

CREATE TYPE referral.event_row AS (
    id         bigint,
    kind       text,
    user_id    text,
    created_at timestamptz,
    data       jsonb
);
COMMENT ON TYPE referral.event_row IS 'One event of the outbox; what next_events() returns';
COMMENT ON COLUMN referral.event_row.id IS 'Its position: what to ask after next time';
COMMENT ON COLUMN referral.event_row.kind IS 'reward_created, reward_reversed, tier_changed, attribution_decided or payout_moved';
COMMENT ON COLUMN referral.event_row.user_id IS 'The member whom it concerns';
COMMENT ON COLUMN referral.event_row.created_at IS 'When it happened';
COMMENT ON COLUMN referral.event_row.data IS 'The facts, by kind; docs/events.md lists them';

CREATE TYPE referral.whoami_row AS (
    user_id          text,
    operator         boolean,
    program_id       bigint,
    program_name     text,
    currency         text,
    time_zone        text,
    share_path       text,
    payout_min_micro bigint,
    max_level        integer,
    hold_days        integer
);
COMMENT ON TYPE referral.whoami_row IS 'The caller and his program; what whoami() returns';
COMMENT ON COLUMN referral.whoami_row.user_id IS 'The caller, who may not be a member yet';
COMMENT ON COLUMN referral.whoami_row.operator IS 'Whether he calls as an operator';
COMMENT ON COLUMN referral.whoami_row.program_id IS 'Number of the program';
COMMENT ON COLUMN referral.whoami_row.program_name IS 'Its name';
COMMENT ON COLUMN referral.whoami_row.currency IS 'Currency of every amount';
COMMENT ON COLUMN referral.whoami_row.time_zone IS 'Zone of its days and months';
COMMENT ON COLUMN referral.whoami_row.share_path IS 'Path before the code in a link that is shared';
COMMENT ON COLUMN referral.whoami_row.payout_min_micro IS 'Least amount of a payout, in micro-units';
COMMENT ON COLUMN referral.whoami_row.max_level IS 'Levels up the line that earn';
COMMENT ON COLUMN referral.whoami_row.hold_days IS 'Days after a payment until its rewards are available';

CREATE TYPE referral.progress_row AS (
    id          bigint,
    task        text,
    subject     text,
    state       text,
    done        bigint,
    skipped     bigint,
    total       bigint,
    started_at  timestamptz,
    updated_at  timestamptz,
    finished_at timestamptz
);
COMMENT ON TYPE referral.progress_row IS 'Long work as view stat_progress shows it; what maintenance_progress() returns';
COMMENT ON COLUMN referral.progress_row.id IS 'Number of the run';
COMMENT ON COLUMN referral.progress_row.task IS 'backfill, rebuild or maintain';
COMMENT ON COLUMN referral.progress_row.subject IS 'The table or the program it works on';
COMMENT ON COLUMN referral.progress_row.state IS 'running, finished or interrupted';
COMMENT ON COLUMN referral.progress_row.done IS 'What it has taken in, corrected or merged so far';
COMMENT ON COLUMN referral.progress_row.skipped IS 'Rows passed over';
COMMENT ON COLUMN referral.progress_row.total IS 'Rows of the table that backfill reads; NULL: not known';
COMMENT ON COLUMN referral.progress_row.started_at IS 'When it began';
COMMENT ON COLUMN referral.progress_row.updated_at IS 'When it last committed';
COMMENT ON COLUMN referral.progress_row.finished_at IS 'When it was done; NULL: it runs, or was interrupted';

CREATE TYPE referral.new_api_key AS (
    key_id  bigint,
    api_key text
);
COMMENT ON TYPE referral.new_api_key IS 'A key as it is shown once; what create_api_key() returns';
COMMENT ON COLUMN referral.new_api_key.key_id IS 'Its number, by which it is revoked';
COMMENT ON COLUMN referral.new_api_key.api_key IS 'The key itself; only its hash is kept';
