// Who referred whom: search, and everything about one.
import { call } from '../api.js';
import { dialog } from '../dialog.js';
import { choices, el, field, section } from '../dom.js';
import { badge, glossary, labels } from '../status.js';
import { byId, listing } from '../table.js';
import { attributionStatus } from '../words.js';
import { detail } from './detail.js';
import { memberLink } from './links.js';

export function attributions({ root, money, dates }) {
    function showDetail(row) {
        const box = dialog('Attribution', detail(row.id, { money, dates }),
            el('div', { class: 'actions' }, el('button', { type: 'button', class: 'main', onclick: () => box.close() }, 'Close')));
    }
    const list = listing({
        caption: 'Attributions',
        money,
        columns: [
            { title: 'Signed up', cell: (row) => dates.day(row.attributed_at) },
            { title: 'Who', cell: (row) => memberLink(row.user_id, row.display_name) },
            { title: 'Invited by', cell: (row) => memberLink(row.referrer_user_id, row.referrer_display) },
            { title: 'Campaign', cell: (row) => row.campaign && el('bdi', {}, row.campaign) },
            { title: 'Status', cell: (row) => badge(attributionStatus, row.status) },
            { title: 'First reward', micro: (row) => row.reward_micro },
            { title: 'More', cell: (row) => el('button', { type: 'button', class: 'quiet', onclick: () => showDetail(row) }, 'Details') },
        ],
        load: (args) => call('list_attributions', args),
        next: byId,
        empty: () => 'No attribution is like that.',
    });
    const user = el('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
    const campaign = el('input', { type: 'search', autocomplete: 'off' });
    const ungranted = el('input', { type: 'checkbox' });
    const statuses = choices('Status', labels(attributionStatus), () => search().then(list.tell));

    function search() {
        const status = statuses.values();
        return list.open({
            user_id: user.value.trim() || null,
            campaign: campaign.value.trim() || null,
            status: status.length > 0 ? status : null,
            pending_grant: ungranted.checked || null,
        });
    }

    ungranted.addEventListener('change', () => search().then(list.tell));
    root.append(section('attributions', 'Attributions', 'Who came by whose code, newest first, and what became of it.',
        el('form', {
            class: 'filters',
            role: 'search',
            onsubmit: (event) => {
                event.preventDefault();
                search().then(list.tell);
            },
        }, field('User id', user), field('Campaign', campaign), el('button', { class: 'main' }, 'Search')),
        el('div', { class: 'card' }, statuses.node,
            el('label', { class: 'choice' }, ungranted, el('span', {}, 'Reward not granted yet by the billing system')),
            list.node, glossary(attributionStatus))));
    search();
}
