// Places whose content comes from the server.
import { Failure } from './api.js';
import { el, replace } from './dom.js';
import { explain } from './words.js';

// What to say where something could not be loaded.
export function failureBox(failure, again) {
    if (!(failure instanceof Failure)) {
        throw failure;
    }
    return el('div', { class: 'failure', role: 'alert' },
        el('p', {}, explain(failure)),
        failure.passing ? el('button', { type: 'button', onclick: again }, 'Try again') : null);
}

// A function that fills the node with what fetch() gives and draw() makes of it.
// Of two runs at once the later one counts.
export function loader(node, fetch, draw) {
    let latest = 0;
    node.append(el('p', { class: 'waiting' }, 'Loading…'));
    return async function load() {
        const run = ++latest;
        node.setAttribute('aria-busy', 'true');
        let content;
        try {
            content = draw(await fetch());
        } catch (failure) {
            content = failureBox(failure, load);
        }
        if (run === latest) {
            replace(node, ...[content].flat());
            node.removeAttribute('aria-busy');
        }
    };
}
