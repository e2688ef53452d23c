// The operator's page: one view at a time, named in the address.
import { closeDialogs } from './dialog.js';
import { el } from './dom.js';
import { attributions } from './operator/attributions.js';
import { books } from './operator/books.js';
import { funnel } from './operator/funnel.js';
import { members } from './operator/members.js';
import { review } from './operator/review.js';
import { start } from './session.js';

const views = { review, funnel, attributions, members, books };

function decoded(part) {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}

start((context) => {
    if (!context.me.operator) {
        context.root.append(el('section', { class: 'panel card' },
            el('h1', {}, 'This page is for operators'),
            el('p', {}, 'You are signed in as a member.'),
            el('p', {}, el('a', { href: './' }, 'Go to your own page'))));
        document.getElementById('sections').hidden = true;
        return;
    }

    // #members/ada is the view of members, about ada.
    function show() {
        const [view, ...rest] = location.hash.slice(1).split('/');
        const known = Object.hasOwn(views, view) ? view : 'review';
        for (const link of document.querySelectorAll('#sections a')) {
            link.ariaCurrent = link.hash === `#${known}` ? 'page' : null;
        }
        context.root.replaceChildren(el('h1', { class: 'unseen' }, 'Operator'));
        views[known](context, decoded(rest.join('/')) || null);
    }

    window.onhashchange = () => {
        closeDialogs();
        show();
        context.root.querySelector('h2')?.focus();
        scrollTo(0, 0);
    };
    show();
});
