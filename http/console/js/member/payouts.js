// Payouts: what was requested, and what became of it.
import { announce, el, section } from '../dom.js';
import { call as callServer } from '../api.js';
import { formDialog } from '../dialog.js';
import { badge, glossary } from '../status.js';
import { bySkipping, listing } from '../table.js';
import { payoutStatus } from '../words.js';

const destination = ({ network, address }) => (network === null ? 'As agreed'
    : el('span', { class: 'person' }, el('bdi', {}, network), el('bdi', { class: 'id' }, address)));

const note = ({ reference, note: words }) => (reference ?? words) && el('bdi', { class: 'long' }, reference ?? words);

export function payouts({ call, own, money, dates, changed }) {
    const cancel = (row) => formDialog({
        title: 'Cancel this payout?',
        content: el('p', {}, `${money.text(row.amount_micro)} will be available again.`),
        label: 'Cancel the payout',
        danger: true,
        async action() {
            await callServer('payout_cancel', { payout_id: row.id });
            announce('The payout is cancelled.');
            changed();
        },
    });
    const list = listing({
        caption: 'Payouts',
        money,
        columns: [
            { title: 'Requested', cell: (row) => dates.day(row.requested_at) },
            { title: 'Amount', micro: (row) => row.amount_micro },
            { title: 'To', cell: destination },
            { title: 'Status', cell: (row) => badge(payoutStatus, row.status) },
            { title: 'Completed', cell: (row) => dates.day(row.completed_at) },
            { title: 'Reference or reason', cell: note },
            ...(own ? [{
                title: 'Change',
                cell: (row) => (row.status === 'requested'
                    ? el('button', { type: 'button', class: 'quiet', onclick: () => cancel(row) }, 'Cancel') : ''),
            }] : []),
        ],
        load: (args) => call('list_payouts', args),
        next: bySkipping,
        empty: () => 'No payouts yet.',
    });
    const node = section('payouts', 'Payouts', 'What was requested to be paid out, newest first.',
        el('div', { class: 'card' }, list.node, glossary(payoutStatus)));
    return { node, reload: () => list.open() };
}
