// The balance and the standing of a member, each with what it means.
import { count, rate } from '../words.js';
import { el } from '../dom.js';
import { requestPayout } from './request.js';

function tile(title, value, about, more) {
    return el('div', { class: 'tile card' }, el('h3', {}, title), el('p', { class: 'value' }, value),
        el('p', { class: 'about' }, about), more);
}

function pending(days) {
    return days > 0n
        ? `Becomes available when the hold ends, ${count(days)} days after each payment, unless the payment is refunded.`
        : 'This program has no hold: what you earn is available at once.';
}

export function tiles(context, { balance, tier, tier_label: label, rate_bps: bps, paid_invitees: paid }) {
    const { me, money } = context;
    return el('div', { class: 'tiles' },
        tile('Available', money.node(balance.available_micro),
            balance.available_micro < 0n
                ? 'Refunds took back more than was left. What is earned next goes towards it.'
                : 'Ready to be paid out.',
            context.own ? requestPayout(context, balance.available_micro) : null),
        tile('Pending', money.node(balance.pending_micro), pending(me.hold_days)),
        tile('Earned in all', money.node(balance.lifetime_micro),
            'Since the beginning, whether paid out or not, less what refunds took back.'),
        tile('Paying invitees', count(paid), 'People invited directly who have paid at least once.'),
        tier > 0n ? tile('Tier', el('bdi', {}, label),
            `${bps > 0n ? `Earns ${rate(bps)} of what people invited directly pay. ` : ''}The tier may rise with the number of paying invitees.`) : null);
}
