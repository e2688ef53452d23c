// Who was invited: the levels in numbers, those invited directly, and everybody below.
import { el, person, section } from '../dom.js';
import { loader } from '../load.js';
import { bySkipping, listing, table } from '../table.js';
import { count, rate } from '../words.js';

function levels({ call, money }) {
    const content = el('div', {});
    const reload = loader(content, () => call('level_stats'), (rows) => table('Levels', [
        { title: 'Level', cell: (row) => count(row.level) },
        { title: 'People', number: true, cell: (row) => count(row.members) },
        { title: 'They paid', micro: (row) => row.volume_micro },
        { title: 'They deposited', micro: (row) => row.deposits_micro },
        { title: 'Rate', number: true, cell: (row) => rate(row.rate_bps) },
        { title: 'Earned', micro: (row) => row.earnings_micro },
    ], rows, money));
    return { node: content, reload };
}

const nobody = () => 'Nobody yet. Share the link above: whoever signs up by it appears here.';

function invitees({ call, money, dates }) {
    const list = listing({
        caption: 'Invited directly',
        money,
        columns: [
            { title: 'Person', cell: (row) => person(row.user_id, row.display_name) },
            { title: 'Signed up', cell: (row) => dates.day(row.signed_at) },
            { title: 'Paid since', micro: (row) => row.total_paid_micro },
        ],
        load: (args) => call('list_invitees', args),
        next: bySkipping,
        empty: nobody,
    });
    return { node: list.node, reload: () => list.open() };
}

function downline({ call, money, dates }) {
    const list = listing({
        caption: 'Everybody below',
        money,
        columns: [
            { title: 'Person', cell: (row) => person(row.user_id, row.display_name) },
            { title: 'Level', cell: (row) => count(row.level) },
            { title: 'Signed up', cell: (row) => dates.day(row.signed_at) },
            { title: 'Payments', number: true, cell: (row) => count(row.payments) },
            { title: 'Paid since', micro: (row) => row.volume_micro },
        ],
        load: (args) => call('list_downline', args),
        next: bySkipping,
        empty: nobody,
    });
    return { node: list.node, reload: () => list.open() };
}

const part = (title, about, { node }) => el('div', { class: 'card' }, el('h3', {}, title), el('p', { class: 'about' }, about), node);

export function people(context) {
    const deep = context.me.max_level > 1n;
    const parts = [
        ...(context.me.max_level > 0n ? [[levels, 'Levels', 'Level 1 are people invited directly, level 2 people invited by those, and so on. Each level has a rate of its own.']] : []),
        [invitees, 'Invited directly', 'Who signed up by the link, newest first, and what each has paid since.'],
        ...(deep ? [[downline, 'Everybody below', 'The same, with everybody whom they invited in turn.']] : []),
    ].map(([make, title, about]) => ({ title, about, ...make(context) }));
    return {
        node: section('people', 'People', null, parts.map((one) => part(one.title, one.about, one))),
        reload: () => parts.forEach(({ reload }) => reload()),
    };
}
