// The link that a member shares: to copy, as a QR code, and with an ending of his
// own choice.
import { call } from '../api.js';
import { formDialog } from '../dialog.js';
import { announce, el, field } from '../dom.js';
import { form } from '../form.js';
import { qrCode } from '../qr.js';
import { rate } from '../words.js';

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
    const input = el('input', {
        type: 'text', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: '64', value: slug ?? '',
    });
    async function save() {
        const { code: stored } = await call('set_custom_slug', { slug: input.value });
        announce(`Your link now ends with ${stored}.`);
        changed();
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
        form(field('Ending of your link', input, '3 to 32 of a to z, 0 to 9 and hyphens. Your first code keeps working beside it; an ending chosen before does not.'), {
            label: 'Save',
            beside: slug === null ? [] : [el('button', { type: 'button', class: 'quiet', onclick: remove }, 'Remove it')],
            action: save,
        }).node);
}

function promise(me, { rate_bps: bps }) {
    if (me.max_level === 0n) {
        return 'Whoever signs up by this link counts as invited by you.';
    }
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
            el('h2', { tabindex: '-1' }, own ? 'Invite people with your link' : 'Share link'),
            own ? el('p', { class: 'about' }, promise(me, overview)) : null,
            copyable(link),
            own ? slugForm(context, overview) : null,
            inviter),
        qrCode(link, `QR code of ${link}`));
}
