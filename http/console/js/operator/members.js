// One member, as he sees himself; without one, who earned most.
import { call } from '../api.js';
import { plusDays } from '../dates.js';
import { el, field, section } from '../dom.js';
import { loader } from '../load.js';
import { memberPage } from '../member/page.js';
import { table } from '../table.js';
import { count } from '../words.js';
import { memberAddress, memberLink } from './links.js';

const LEADER_DAYS = 30;

function leaders({ root, money, dates }) {
    const content = el('div', { class: 'card' });
    const until = plusDays(dates.today(), 1);
    loader(content, () => call('leaderboard', { since: plusDays(until, -LEADER_DAYS), until, max_rows: 20 }), (rows) => (
        rows.length === 0 ? el('p', { class: 'empty' }, 'Nobody earned anything in this time.') : table('Who earned most', [
            { title: 'Rank', cell: (row) => count(row.rank) },
            { title: 'Member', cell: (row) => memberLink(row.user_id, row.display_name) },
            { title: 'Rewards', number: true, cell: (row) => count(row.rewards) },
            { title: 'They paid', micro: (row) => row.volume_micro },
            { title: 'Earned', micro: (row) => row.earned_micro },
        ], rows, money)))();
    root.append(section('leaders', 'Who earned most', `By payments of the last ${LEADER_DAYS} days, less what refunds took back.`, content));
}

export function members(context, userId) {
    const user = el('input', { type: 'search', autocomplete: 'off', spellcheck: 'false', required: true, value: userId ?? '' });
    context.root.append(section('members', 'Members', 'Look at one member as he sees himself. Nothing can be changed here.',
        el('form', {
            class: 'filters',
            role: 'search',
            onsubmit: (event) => {
                event.preventDefault();
                location.hash = memberAddress(user.value.trim());
            },
        }, field('User id', user), el('button', { class: 'main' }, 'Look up'))));
    if (userId === null) {
        leaders(context);
        return;
    }
    const about = { ...context, own: false, call: (fn, args) => call(fn, { ...args, user_id: userId }) };
    const content = el('div', { class: 'about-whom' });
    context.root.append(content);
    // Asked first, since there is nothing to show of who is no member.
    loader(content, () => about.call('referral_overview'), () => [
        el('h2', {}, 'Member ', el('bdi', {}, userId)), ...memberPage(about)])();
}
