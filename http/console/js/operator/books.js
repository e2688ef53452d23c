// Whether the books are sound, and how far long work is.
import { call } from '../api.js';
import { announce, el, section } from '../dom.js';
import { loader } from '../load.js';
import { table } from '../table.js';
import { count } from '../words.js';

const WATCH_MS = 3000;
// Rows that the server gives at a time.
const PAGE_MOST = 200;

function findings(rows, money) {
    if (rows.length === 0) {
        return el('p', { class: 'verdict sound' }, 'The books are sound: nothing contradicts anything else.');
    }
    return [
        el('p', { class: 'verdict broken' },
            `The books contradict themselves in ${count(rows.length)} places${rows.length === PAGE_MOST ? ' or more' : ''}.`),
        table('Contradictions', [
            { title: 'Rule', cell: (row) => el('span', { class: 'code' }, row.invariant) },
            { title: 'About', cell: (row) => row.subject && el('bdi', { class: 'long' }, row.subject) },
            { title: 'Expected', number: true, cell: (row) => row.expected?.toString() },
            { title: 'Found', number: true, cell: (row) => row.found?.toString() },
            { title: 'What to do', cell: (row) => row.hint && el('span', { class: 'long' }, row.hint) },
        ], rows, money),
    ];
}

function check({ money }) {
    const result = el('div', {});
    const button = el('button', { type: 'button', class: 'main', onclick: run }, 'Check the books');
    let load;
    async function run() {
        button.disabled = true;
        result.replaceChildren();
        load = loader(result, () => call('verify'), (rows) => findings(rows, money));
        await load();
        button.disabled = false;
        button.focus();
        announce(result.querySelector('.verdict')?.textContent ?? '');
    }
    return section('books', 'Books',
        'Works every balance and counter out again from the single rows and compares; nothing is changed. It takes about half a minute for a million rewards, which is also how long the server waits: larger books are checked by a database administrator.',
        el('div', { class: 'card' }, button, result));
}

function bar({ done, skipped, total }) {
    if (total === null) {
        return null;
    }
    return el('progress', { max: String(total), value: String(done + skipped), 'aria-label': 'Progress' });
}

function maintenance({ money, dates }) {
    const content = el('div', { class: 'card' });
    const load = loader(content, () => call('maintenance_progress', { max_rows: 20 }), (rows) => {
        if (rows.some(({ state }) => state === 'running')) {
            setTimeout(() => content.isConnected && load(), WATCH_MS);
        }
        return rows.length === 0 ? el('p', { class: 'empty' }, 'Nothing ran yet.') : table('Maintenance', [
            { title: 'Task', cell: (row) => row.task },
            { title: 'On', cell: (row) => row.subject && el('bdi', {}, row.subject) },
            { title: 'State', cell: (row) => el('span', { class: `badge ${row.state}` }, row.state) },
            { title: 'Done', number: true, cell: (row) => count(row.done) },
            { title: 'Passed over', number: true, cell: (row) => count(row.skipped) },
            { title: 'Of', number: true, cell: (row) => (row.total === null ? null : el('span', {}, count(row.total), bar(row))) },
            { title: 'Started', cell: (row) => dates.minute(row.started_at) },
            { title: 'Last sign', cell: (row) => dates.minute(row.finished_at ?? row.updated_at) },
        ], rows, money);
    });
    load();
    return section('maintenance', 'Maintenance',
        'Long work that a database administrator started: taking in payments (backfill), merging counters (maintain), working them out again (rebuild). What was interrupted is gone on with by starting it again.',
        content);
}

export function books(context) {
    context.root.append(check(context), maintenance(context));
}
