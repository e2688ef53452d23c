// Statuses as words, and what each word means.
import { el } from './dom.js';

export function badge(words, status) {
    const [label, meaning] = words[status] ?? [status, null];
    return el('span', { class: `badge ${status}`, title: meaning }, label);
}

export const labels = (words) => Object.fromEntries(Object.entries(words).map(([status, [label]]) => [status, label]));

export function glossary(words) {
    return el('details', { class: 'glossary' },
        el('summary', {}, 'What the statuses mean'),
        el('dl', {}, Object.entries(words).map(([status, [, meaning]]) => el('div', {},
            el('dt', {}, badge(words, status)), el('dd', {}, meaning)))));
}
