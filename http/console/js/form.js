// Forms: what is sent, and why it was refused.
import { Failure } from './api.js';
import { el } from './dom.js';
import { explain } from './words.js';

// A form that does action() when it is sent, and says what went wrong. beside:
// further buttons.
export function form(content, { label, danger = false, beside = [], action }) {
    const problem = el('p', { class: 'problem', role: 'alert' });
    const send = el('button', { class: danger ? 'main danger' : 'main' }, label);
    async function submit(event) {
        event.preventDefault();
        problem.textContent = '';
        send.disabled = true;
        try {
            await action();
        } catch (failure) {
            if (!(failure instanceof Failure)) {
                throw failure;
            }
            problem.textContent = explain(failure);
        } finally {
            send.disabled = false;
        }
    }
    const node = el('form', { novalidate: true, onsubmit: submit }, content, problem,
        el('div', { class: 'actions' }, send, beside));
    return { node, send, problem };
}
