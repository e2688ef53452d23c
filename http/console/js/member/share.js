// The link that a member shares: to copy, as a QR code, and with an ending of his
// own choice.
import { call } from '../api.js';
import { announce, el, field } from '../dom.js';
import { formDialog } from '../dialog.js';
import { qrCode } from '../qr.js';
import { explain, rate } from '../words.js';

function copyable(link) {
    const shown = el('input', { class: 'link', readonly: true, value: link, 'aria-label': 'Your link', onfocus: () => shown.select() });
    const button = el('button', { type: 'button', class: 'main', onclick: copy }, 'Copy link');
    async function copy() {
        try {
            await navigator.clipboard.writeText(link);
            button.textContent = 'Copied';
            announce('The link is copied.');
            setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
        } catch {
            // Without https, or where the user forbids it.
            shown.focus();
            announce('The link is selected. Copy it with the keyboard.');
        }
    }
    return el('div', { class: 'copy' }, shown, button);
}

function slugForm({ changed }, { primary_code: code, custom_slug: slug }) {
    const input = el('input', { type: 'text', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: '64', value: slug ?? '' });
    const problem = el('p', { class: 'problem', role: 'alert' });
    const save = el('button', {}, 'Save');
    async function send(event) {
        event.preventDefault();
        problem.textContent = '';
        save.disabled = true;
        try {
            const { code: stored } = await call('set_custom_slug', { slug: input.value });
            announce(`Your link now ends with ${stored}.`);
            changed();
        } catch (failure) {
            problem.textContent = explain(failure);
        } finally {
            save.disabled = false;
        }
    }
    const remove = () => formDialog({
        title: 'Remove your own ending?',
        content: el('p', {}, 'Links that end with ', el('bdi', { class: 'strong' }, slug),
            ' will no longer count for you. Your first code, ', el('bdi', { class: 'strong' }, code), ', keeps working.'),
        label: 'Remove it',
        danger: true,
        async action() {
            await call('remove_custom_slug');
            announce('Your own ending is removed.');
            changed();
        },
    });
    return el('details', { class: 'slug' },
        el('summary', {}, slug === null ? 'Choose an ending of your own' : 'Change the ending'),
        el('form', { novalidate: true, onsubmit: send },
            field('Ending of your link', input, '3 to 32 of a to z, 0 to 9 and hyphens. Your first code keeps working beside it; an ending chosen before does not.'),
            problem,
            el('div', { class: 'actions' }, save,
                slug === null ? null : el('button', { type: 'button', class: 'quiet', onclick: remove }, 'Remove it'))));
}

function promise(me, { rate_bps: bps }) {
    const share = bps > 0n ? `${rate(bps)} of what they pay` : 'a reward when they pay';
    return `Whoever signs up by this link counts as invited by you, and earns you ${share}.`
        + (me.max_level > 1n ? ' People whom they invite in turn earn you a share as well.' : '');
}

export function share(context, overview) {
    const { me, own } = context;
    const code = overview.custom_slug ?? overview.primary_code;
    const link = new URL(me.share_path + encodeURIComponent(code), location.origin).href;
    const inviter = overview.inviter_display === null ? null
        : el('p', { class: 'about' }, 'Invited by ', el('bdi', {}, overview.inviter_display), '.');
    return el('div', { class: 'share card' },
        el('div', { class: 'share-words' },
            el('h2', {}, own ? 'Invite people with your link' : 'Share link'),
            own ? el('p', { class: 'about' }, promise(me, overview)) : null,
            copyable(link),
            own ? slugForm(context, overview) : null,
            inviter),
        qrCode(link, `QR code of ${link}`));
}
