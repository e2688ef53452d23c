// Who looks at the page: by the cookie, by the token of a link, or by one that is
// pasted. What there is to see is shown once that is known.
import * as api from './api.js';
import { Dates } from './dates.js';
import { closeDialogs } from './dialog.js';
import { el, field } from './dom.js';
import { form } from './form.js';
import { Money } from './money.js';
import { themeButton } from './theme.js';
import { explain } from './words.js';

const main = document.getElementById('main');
const account = document.getElementById('account');
const sections = document.getElementById('sections');
const ENDED = 'Your session has ended. Sign in again to go on.';

const LINK = /^#token=([A-Za-z0-9_.-]+)$/;

// Takes the token out of the address at once: addresses are kept and shown.
function tokenOfLink() {
    const match = LINK.exec(location.hash);
    if (match) {
        history.replaceState(null, '', location.pathname + location.search);
    }
    return match?.[1] ?? null;
}

// Whom a token is about. Only to ask a better question: the server judges it.
function subject(token) {
    try {
        const bytes = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
        return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))).sub;
    } catch {
        return undefined;
    }
}

function panel(title, ...children) {
    const heading = el('h1', { tabindex: '-1' }, title);
    closeDialogs();
    sections.hidden = true;
    account.replaceChildren(themeButton);
    main.replaceChildren(el('section', { class: 'panel card' }, heading, ...children));
    heading.focus();
}

// The page: show(context) is called when somebody is signed in.
export async function start(show) {
    let inside = false;

    const enter = (me) => {
        inside = true;
        document.getElementById('program').textContent = me.program_name;
        document.title = `${me.program_name}: referrals`;
        account.replaceChildren(
            el('span', { class: 'who', title: me.user_id },
                el('span', { class: 'as' }, 'Signed in as '), el('bdi', {}, me.user_id)),
            themeButton, el('button', { type: 'button', class: 'quiet', onclick: leave }, 'Sign out'));
        main.replaceChildren();
        sections.hidden = false;
        show({ me, root: main, money: new Money(me.currency), dates: new Dates(me.time_zone) });
    };

    async function leave() {
        try {
            await api.signOut();
            askForToken('You are signed out.');
        } catch (failure) {
            failed(failure);
        }
    }

    async function useToken(token) {
        try {
            enter(await api.signIn(token));
            main.focus();
        } catch (failure) {
            askForToken(failure.status === 401 || failure.status === 403
                ? 'This token is not valid, or no longer.'
                : explain(failure));
        }
    }

    function askForToken(notice) {
        inside = false;
        const token = el('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true });
        panel('Sign in',
            notice ? el('p', { class: 'notice', role: 'alert' }, notice) : null,
            el('p', {}, 'The application that you use sends you here with a link, which signs you in by itself. '
                + 'If you were given an access token instead, paste it here.'),
            form(field('Access token', token, 'Three groups of letters and digits, with dots between them.'),
                { label: 'Sign in', action: () => useToken(token.value.trim()) }).node);
    }

    function askWhich(me, token) {
        panel('Use the link that you followed?',
            el('p', {}, 'You are signed in as ', el('bdi', { class: 'strong' }, me.user_id),
                '. The link signs you in as ', el('bdi', { class: 'strong' }, subject(token) ?? 'somebody else'), '.'),
            el('div', { class: 'actions' },
                el('button', { type: 'button', class: 'main', onclick: () => enter(me) }, 'Stay as I am'),
                el('button', { type: 'button', onclick: () => useToken(token) }, 'Use the link')));
    }

    function failed(failure) {
        panel('The page could not be loaded',
            el('p', { role: 'alert' }, explain(failure)),
            el('div', { class: 'actions' },
                el('button', { type: 'button', class: 'main', onclick: () => location.reload() }, 'Try again')));
    }

    // A link that is followed from the page itself loads nothing anew.
    addEventListener('hashchange', () => LINK.test(location.hash) && location.reload());
    // Not by its address, which names what is shown.
    document.querySelector('.skip').addEventListener('click', (event) => {
        event.preventDefault();
        main.focus();
    });
    // Of calls at the same time each may find it out.
    api.onSignedOut(() => inside && askForToken(ENDED));
    account.replaceChildren(themeButton);
    main.replaceChildren(el('p', { class: 'waiting', role: 'status' }, 'Loading…'));
    const token = tokenOfLink();
    let me;
    try {
        me = await api.whoami();
    } catch (failure) {
        if (failure.status !== 401) {
            failed(failure);
        } else if (token) {
            await useToken(token);
        } else {
            askForToken(/expired/i.test(failure.tag) ? ENDED : null);
        }
        return;
    }
    if (!token || subject(token) === me.user_id) {
        enter(me);
    } else {
        askWhich(me, token);
    }
}
