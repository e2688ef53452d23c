// The page of a member about himself. Operators have a page of their own.
import { memberPage } from './member/page.js';
import { call } from './api.js';
import { el } from './dom.js';
import { start } from './session.js';

start((context) => {
    if (context.me.operator) {
        location.replace('operator.html');
        return;
    }
    context.root.append(el('h1', { class: 'unseen' }, 'Your referrals'),
        ...memberPage({ ...context, own: true, call }));
});
