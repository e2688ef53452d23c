// What the payments of each day, or of each week, earned: chart and table.
import { bars } from '../chart.js';
import { daysBetween, longDay, plusDays, shortDay } from '../dates.js';
import { announce, el, section } from '../dom.js';
import { loader } from '../load.js';
import { position } from '../money.js';
import { table } from '../table.js';
import { count } from '../words.js';

const PERIODS = [
    { label: '30 days', days: 30, step: 1 },
    { label: '90 days', days: 90, step: 1 },
    { label: '12 months', days: 364, step: 7 },
];
// The server gives at most 200 rows at a time, one for each day.
const DAYS_AT_ONCE = 180;

async function read(call, since, until) {
    const parts = [];
    for (let from = since; from < until; from = plusDays(from, DAYS_AT_ONCE)) {
        const to = plusDays(from, DAYS_AT_ONCE);
        parts.push(call('earnings_by_day', { since: from, until: to < until ? to : until }));
    }
    return (await Promise.all(parts)).flat();
}

// Days, or weeks, without gaps.
function buckets(days, since, { days: length, step }) {
    const found = Array.from({ length: length / step }, (_, n) =>
        ({ day: plusDays(since, n * step), earned: 0n, reversed: 0n, payments: 0n }));
    for (const { day, earned_micro: earned, reversed_micro: reversed, payments } of days) {
        const bucket = found[Math.floor(daysBetween(since, day) / step)];
        bucket.earned += earned;
        bucket.reversed += reversed;
        bucket.payments += payments;
    }
    return found;
}

const sum = (list, of) => list.reduce((total, one) => total + of(one), 0n);

export function earnings({ call, money, dates }) {
    let period = PERIODS[0];
    const content = el('div', { class: 'card chart-card' });
    const node = section('earnings', 'Earnings',
        'What was earned by the payments of each day. What refunds took back later is shown on top of what stayed.',
        el('div', { class: 'segments', role: 'group', 'aria-label': 'Period' }, PERIODS.map((one) => el('button', {
            type: 'button', 'aria-pressed': String(one === period), onclick: (event) => choose(one, event.currentTarget),
        }, one.label))),
        content);

    async function choose(one, pressed) {
        period = one;
        for (const button of pressed.parentNode.children) {
            button.setAttribute('aria-pressed', String(button === pressed));
        }
        await reload();
        announce(content.querySelector('.total, .empty')?.textContent ?? '');
    }

    function draw([since, days]) {
        const found = buckets(days, since, period);
        const earned = sum(found, (one) => one.earned);
        const reversed = sum(found, (one) => one.reversed);
        const payments = sum(found, (one) => one.payments);
        const total = `${money.text(earned - reversed)} in ${period.label}, by ${count(payments)} payments`;
        if (payments === 0n) {
            return el('p', { class: 'empty' },
                'Nothing was earned in this time. Earnings show here as soon as somebody who was invited pays.');
        }
        const readout = el('p', { class: 'readout', 'aria-hidden': 'true' });
        const when = (day) => (period.step > 1 ? `Week of ${longDay(day)}` : longDay(day));
        function point(n) {
            const one = found[n];
            readout.textContent = one
                ? `${when(one.day)}: ${money.text(one.earned - one.reversed)} from ${count(one.payments)} payments`
                    + (one.reversed > 0n ? `, ${money.text(one.reversed)} taken back` : '')
                : 'Point at a bar for its day.';
        }
        point(null);
        const canvas = el('div', { class: 'chart', role: 'img', 'aria-label': `Bar chart: ${total}. The table below has the numbers.` });
        bars(canvas, {
            labels: found.map(({ day }) => shortDay(day)),
            series: [
                { values: found.map((one) => position(one.earned)), colour: 'taken' },
                { values: found.map((one) => position(one.earned - one.reversed)), colour: 'accent-fill' },
            ],
            mark: (value) => money.mark(value),
            point,
        });
        return [
            el('p', { class: 'total' }, money.node(earned - reversed),
                el('span', { class: 'about' }, ` in ${period.label}, by ${count(payments)} payments`)),
            el('ul', { class: 'legend' }, el('li', { class: 'stayed' }, 'Earned'), el('li', { class: 'taken' }, 'Taken back by refunds')),
            canvas, readout,
            el('details', {}, el('summary', {}, 'Show as a table'), table('Earnings', [
                { title: period.step > 1 ? 'Week of' : 'Day', cell: (one) => longDay(one.day) },
                { title: 'Payments', number: true, cell: (one) => count(one.payments) },
                { title: 'Earned', micro: (one) => one.earned },
                { title: 'Taken back', micro: (one) => one.reversed },
            ], found.filter((one) => one.payments > 0n).reverse(), money)),
        ];
    }

    const reload = loader(content, async () => {
        const until = plusDays(dates.today(), 1);
        const since = plusDays(until, -period.days);
        return [since, await read(call, since, until)];
    }, draw);
    return { node, reload };
}
