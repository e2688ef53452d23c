// Attributions that a rule held: an operator decides.
import { call } from '../api.js';
import { el, section } from '../dom.js';
import { byId, listing } from '../table.js';
import { decide } from './decision.js';
import { memberLink } from './links.js';

// Named in full for whoever goes from button to button.
const button = (label, row, style, onclick) => el('button', {
    type: 'button', class: style, 'aria-label': `${label}: ${row.display_name ?? row.user_id}`, onclick,
}, label);

export function review({ root, money, dates }) {
    const changed = () => list.reload();
    const list = listing({
        caption: 'Waiting for a decision',
        money,
        columns: [
            { title: 'Signed up', cell: (row) => dates.minute(row.attributed_at) },
            { title: 'Who', cell: (row) => memberLink(row.user_id, row.display_name) },
            { title: 'Invited by', cell: (row) => memberLink(row.referrer_user_id, row.referrer_display) },
            { title: 'Campaign', cell: (row) => row.campaign && el('bdi', {}, row.campaign) },
            { title: 'Code', cell: (row) => el('bdi', { class: 'code' }, row.code) },
            {
                title: 'Decision',
                style: 'buttons',
                cell: (row) => el('span', {},
                    button('Approve', row, null, () => decide(row, true, { money, dates, changed })),
                    button('Reject', row, 'quiet', () => decide(row, false, { money, dates, changed }))),
            },
        ],
        load: (args) => call('list_attributions', { status: ['review_required'], ...args }),
        next: byId,
        empty: () => 'Nothing waits for a decision.',
    });
    root.append(section('review', 'Review queue',
        'Sign-ups that a rule of the program holds back. Until you decide, their payments wait and earn nobody anything; approved, they are taken in as if nothing had been; rejected, they never earn anything.',
        el('div', { class: 'card' }, list.node)));
    list.open();
}
