// How many clicked, signed up, paid, and were rewarded.
import { call } from '../api.js';
import { plusDays } from '../dates.js';
import { el, field, section } from '../dom.js';
import { loader } from '../load.js';
import { count, percent } from '../words.js';

const STEPS = [
    ['clicks', 'Clicked', 'Visits by somebody’s link.'],
    ['attributed', 'Signed up', 'People who came by a code; who only typed one in has no click.'],
    ['qualified', 'Paid', 'Of these, who have made a first payment that counts.'],
    ['rewarded', 'Rewarded', 'Of these, who earned somebody a reward.'],
];
const ASIDE = [
    ['review_required', 'In review now'],
    ['rejected', 'Rejected'],
    ['capped', 'Ended by a cap'],
];

const ratio = (part, whole) => Number(part) / Number(whole);

function bar(share) {
    const filled = el('span', {});
    filled.style.setProperty('inline-size', `${100 * share}%`);
    return el('span', { class: 'bar', 'aria-hidden': 'true' }, filled);
}

function draw(found) {
    const widest = STEPS.reduce((most, [key]) => (found[key] > most ? found[key] : most), 0n);
    if (widest === 0n) {
        return el('p', { class: 'empty' }, 'Nobody clicked or signed up in this time.');
    }
    return [
        el('table', { class: 'funnel' },
            el('caption', { class: 'unseen' }, 'Funnel'),
            el('thead', {}, el('tr', {}, ['Step', 'Number', 'Of the step before'].map((title, n) =>
                el('th', { scope: 'col', class: n > 0 ? 'number' : null }, title)))),
            el('tbody', {}, STEPS.map(([key, label, about], n) => {
                const before = n > 0 ? found[STEPS[n - 1][0]] : 0n;
                // Not where there were fewer: a sign-up needs no click.
                const kept = before > 0n && found[key] <= before ? percent(ratio(found[key], before)) : '–';
                return el('tr', {},
                    el('th', { scope: 'row' }, label, el('small', {}, about), bar(ratio(found[key], widest))),
                    el('td', { class: 'number big' }, count(found[key])),
                    el('td', { class: 'number' }, kept));
            }))),
        el('dl', { class: 'aside' }, ASIDE.map(([key, label]) => el('div', {},
            el('dt', {}, label), el('dd', {}, count(found[key]))))),
    ];
}

export function funnel({ root, dates }) {
    const today = dates.today();
    const from = el('input', { type: 'date', value: plusDays(today, -29), required: true });
    const to = el('input', { type: 'date', value: today, required: true });
    const campaign = el('input', { type: 'text', autocomplete: 'off' });
    const content = el('div', { class: 'card' });
    const load = loader(content, () => call('funnel_stats', {
        since: from.value || null,
        until: to.value ? plusDays(to.value, 1) : null,
        campaign: campaign.value.trim() || null,
    }), draw);
    const form = el('form', {
        class: 'filters',
        onsubmit: (event) => {
            event.preventDefault();
            load();
        },
    }, field('From', from), field('To', to), field('Campaign', campaign),
    el('button', { class: 'main' }, 'Show'));
    root.append(section('funnel', 'Funnel',
        'From the click to the reward. Clicks count on their own day, everything else on the day of the sign-up; both days are included.',
        form, content));
    load();
}
