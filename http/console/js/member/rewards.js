// Rewards: what single payments earned.
import { choices, el, person, section } from '../dom.js';
import { badge, glossary, labels } from '../status.js';
import { byId, listing } from '../table.js';
import { count, rate, rewardStatus } from '../words.js';

export function rewards({ call, money, dates }) {
    const list = listing({
        caption: 'Rewards',
        money,
        columns: [
            { title: 'Date', cell: (row) => dates.day(row.created_at) },
            { title: 'From', cell: (row) => person(row.invitee_user_id, row.invitee_display) },
            { title: 'Level', cell: (row) => count(row.level) },
            { title: 'Payment', micro: (row) => row.base_micro },
            { title: 'Rate', number: true, cell: (row) => rate(row.rate_bps) },
            {
                title: 'Reward',
                micro: (row) => row.amount_micro,
                more: (row) => (row.reversed_micro > 0n ? el('small', {}, '−', money.node(row.reversed_micro), ' taken back') : null),
            },
            { title: 'Status', cell: (row) => badge(rewardStatus, row.status) },
            { title: 'Available from', cell: (row) => dates.day(row.available_at) },
        ],
        load: (args) => call('list_rewards', args),
        next: byId,
        empty: ({ status }) => (status
            ? 'No rewards of this kind.'
            : 'No rewards yet. They appear here as soon as somebody who was invited pays.'),
    });
    const filter = choices('Status', labels(rewardStatus), () => open().then(list.tell));

    function open() {
        const status = filter.values();
        return list.open(status.length > 0 ? { status } : {});
    }

    const node = section('rewards', 'Rewards',
        'Every payment that earned something, newest first. On level 1 somebody invited directly paid, on level 2 somebody invited by those, and so on; level 0 is an own payment.',
        el('div', { class: 'card' }, filter.node, list.node, glossary(rewardStatus)));
    return { node, reload: open };
}
