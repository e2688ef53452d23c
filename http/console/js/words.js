// What things are called, and what they mean, for people who see them first.

export const rewardStatus = {
    pending: ['Pending', 'The hold is not over: a refund of the payment would still take it back.'],
    available: ['Available', 'The hold is over; it counts into what can be paid out.'],
    spent: ['Spent', 'Used up inside the application, for instance against an invoice.'],
    paid_out: ['Paid out', 'Sent with a payout.'],
    reversed: ['Reversed', 'Taken back because the payment was refunded.'],
};

export const payoutStatus = {
    requested: ['Requested', 'The amount is set aside; it can still be cancelled.'],
    processing: ['Processing', 'The transfer is being made.'],
    sent: ['Sent', 'The money has left.'],
    failed: ['Failed', 'The transfer did not work; the amount is available again.'],
    cancelled: ['Cancelled', 'Taken back; the amount is available again.'],
};

export const attributionStatus = {
    attributed: ['Attributed', 'Signed up by somebody’s code and has not paid yet.'],
    qualified: ['Qualified', 'Has paid; no reward is confirmed yet.'],
    rewarded: ['Rewarded', 'Has paid, and somebody was rewarded for it.'],
    review_required: ['In review', 'Held by a rule until an operator decides; payments wait.'],
    rejected: ['Rejected', 'An operator decided that it earns nobody anything.'],
    capped: ['Capped', 'A cap or a budget was used up when the first payment came.'],
    expired: ['Expired', 'Did not pay within the time allowed.'],
};

export const reviewRule = {
    same_ip: 'Same internet address as the referrer',
    velocity: 'More sign-ups for this referrer within an hour than allowed',
    campaign: 'Every sign-up of this campaign is reviewed',
};

const errors = {
    amount_is_not_positive: 'Enter an amount above zero.',
    attribution_not_in_review: 'This one does not wait for a decision.',
    balance_insufficient: 'Less than that is available now.',
    csrf_invalid: 'The server did not accept that this request comes from this page. Reload it.',
    idempotency_conflict: 'An earlier request of yours had arrived after all. Look at the list before you send another.',
    invalid_address: 'The address may have up to 500 characters.',
    invalid_destination: 'Give both a network and an address, or neither.',
    invalid_network: 'The network may have up to 100 characters.',
    invalid_reason: 'The reason may have up to 1000 characters.',
    member_suspended: 'The account is suspended; nothing can be paid out.',
    not_yours: 'That belongs to somebody else.',
    payload_too_large: 'That is too much text.',
    payout_below_minimum: 'That is less than the smallest payout.',
    payout_not_actionable: 'It is too late for that: the payout has moved on.',
    rate_limited: 'Too many requests within a short time. Wait a moment.',
    slug_invalid: 'Use 3 to 32 of the letters a to z, digits and hyphens, without a hyphen at either end.',
    slug_reserved: 'This word is reserved. Choose another.',
    slug_taken: 'Somebody else has this one. Choose another.',
    unknown_attribution: 'There is no such attribution.',
    unknown_member: 'There is no member with this id.',
    unknown_payout: 'There is no such payout.',
};

export function explain(failure) {
    if (failure.status === 0) {
        return 'The server did not answer. Check the connection and try again.';
    }
    const tag = failure.tag.replaceAll(' ', '_');
    if (Object.hasOwn(errors, tag)) {
        return errors[tag];
    }
    return failure.status >= 500
        ? 'The server could not do that just now. Try again in a moment.'
        : `That was refused: ${failure.details || failure.tag || failure.status}`;
}

const counts = new Intl.NumberFormat();
const percents = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 2 });

export const count = (number) => counts.format(number);
export const percent = (ratio) => percents.format(ratio);
export const rate = (bps) => percent(Number(bps) / 10000);
