// Dialogs: the browser keeps the focus inside and gives it back afterwards.
import { Failure } from './api.js';
import { el } from './dom.js';
import { explain } from './words.js';

let dialogs = 0;

export function dialog(title, ...children) {
    const heading = el('h2', { id: `dialog-${++dialogs}`, tabindex: '-1', autofocus: true }, title);
    const box = el('dialog', { class: 'card', 'aria-labelledby': heading.id, onclose: () => box.remove() },
        heading, ...children);
    document.body.append(box);
    box.showModal();
    return box;
}

// A dialog that does something: action() when it is sent. It closes when that was
// done, and says why when it was not. label may change while it is open.
export function formDialog({ title, content, label, danger = false, action }) {
    const problem = el('p', { class: 'problem', role: 'alert' });
    const send = el('button', { class: danger ? 'main danger' : 'main' }, label);
    const cancel = el('button', { type: 'button', onclick: () => box.close() }, 'Back');
    const form = el('form', {
        novalidate: true,
        async onsubmit(event) {
            event.preventDefault();
            problem.textContent = '';
            send.disabled = true;
            try {
                await action();
                box.close();
            } catch (failure) {
                if (!(failure instanceof Failure)) {
                    throw failure;
                }
                if (failure.status === 401) {
                    box.close();
                }
                problem.textContent = explain(failure);
            } finally {
                send.disabled = false;
            }
        },
    }, content, problem, el('div', { class: 'actions' }, send, cancel));
    const box = dialog(title, form);
    return { box, send, problem };
}
