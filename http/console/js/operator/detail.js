// One attribution with everything that is known of it.
import { call } from '../api.js';
import { el, facts } from '../dom.js';
import { loader } from '../load.js';
import { badge } from '../status.js';
import { table } from '../table.js';
import { attributionStatus, count, reviewRule, rewardStatus } from '../words.js';
import { memberLink } from './links.js';

const text = (value) => value && el('bdi', { class: 'long' }, value);

function draw({ money, dates }, { attribution: row, ...more }) {
    return [
        facts([
            ['Status', badge(attributionStatus, row.status)],
            ['Who', memberLink(row.user_id, row.display_name)],
            ['Invited by', memberLink(row.referrer_user_id, row.referrer_display)],
            ['Code', el('bdi', { class: 'code' }, row.code)],
            ['Campaign', text(row.campaign)],
            ['Signed up', dates.minute(row.attributed_at)],
            ['Held because of', more.held_by && el('ul', {}, more.held_by.map((rule) => el('li', {}, reviewRule[rule] ?? rule)))],
            ['Payments that wait', more.waiting_payments > 0n ? count(more.waiting_payments) : null],
            ['Decided', more.decision && el('span', {},
                more.decision, ' by ', el('bdi', {}, more.decided_by), ', ', dates.minute(more.decided_at))],
            ['Reason', text(more.decision_reason)],
            ['Expires', row.qualified_at === null ? dates.minute(row.expires_at) : null],
            ['Qualified', dates.minute(row.qualified_at)],
            ['Payments', `${count(more.payments)}, ${money.text(more.paid_micro)} in all`],
            ['First payment', text(row.payment_id)],
            ['Rewarded for it', row.reward_micro && money.node(row.reward_micro)],
            ['Click', dates.minute(more.clicked_at)],
            ['Landed on', text(more.landing_path)],
            ['Source', text([more.utm_source, more.utm_medium].filter(Boolean).join(' / ') || null)],
        ]),
        more.rewards?.length > 0 ? table('Rewards of the first payment', [
            { title: 'Level', cell: (one) => count(one.level) },
            { title: 'Whose', cell: (one) => memberLink(one.user_id, null) },
            { title: 'Reward', micro: (one) => one.amount_micro },
            { title: 'Taken back', micro: (one) => one.reversed_micro },
            { title: 'Status', cell: (one) => badge(rewardStatus, one.status) },
        ], more.rewards, money) : [],
    ].flat();
}

export function detail(id, context) {
    const node = el('div', { class: 'detail' });
    loader(node, () => call('attribution_detail', { id }), (found) => draw(context, found))();
    return node;
}
