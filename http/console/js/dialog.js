// Dialogs: the browser keeps the focus inside and gives it back afterwards.
import { el } from './dom.js';
import { form } from './form.js';

let dialogs = 0;

export function dialog(title, ...children) {
    const heading = el('h2', { id: `dialog-${++dialogs}`, tabindex: '-1', autofocus: true }, title);
    const box = el('dialog', {
        class: 'card',
        'aria-labelledby': heading.id,
        onclose: () => box.remove(),
        // A link in it leads away.
        onclick: ({ target }) => target.closest('a') && box.close(),
    }, heading, ...children);
    document.body.append(box);
    box.showModal();
    return box;
}

export function closeDialogs() {
    document.querySelectorAll('dialog').forEach((box) => box.close());
}

// A form in a dialog, which closes when it was done.
export function formDialog({ title, content, action, ...options }) {
    const back = el('button', { type: 'button', onclick: () => box.close() }, 'Back');
    const parts = form(content, {
        ...options,
        beside: [back],
        async action() {
            await action();
            box.close();
        },
    });
    const box = dialog(title, parts.node);
    return parts;
}
