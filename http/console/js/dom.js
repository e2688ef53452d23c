// Elements without markup in strings: what people typed is only ever text.

// An element; attributes that are false or null are left out, on… are listeners.
export function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on')) {
            node.addEventListener(name.slice(2), value);
        } else if (value !== false && value !== null && value !== undefined) {
            node.setAttribute(name, value === true ? '' : value);
        }
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
}

// A name as its owner wrote it, whose direction of writing stays its own.
export const name = (text) => el('bdi', {}, text);

// Who: his name, and below it the id, since names are anybody's to choose.
export function person(userId, displayName) {
    return el('span', { class: 'person' },
        name(displayName ?? userId),
        displayName === null ? null : el('bdi', { class: 'id' }, userId));
}

let labels = 0;

// A labelled field: label, control, and what helps to fill it in.
export function field(label, control, help) {
    control.id ||= `field-${++labels}`;
    const note = help ? el('small', { id: `${control.id}-help` }, help) : null;
    if (note) {
        control.setAttribute('aria-describedby', note.id);
    }
    return el('div', { class: 'field' }, el('label', { for: control.id }, label), control, note);
}

// Boxes to tick, as a group; values() are those ticked.
export function choices(legend, words, onchange) {
    const boxes = Object.entries(words).map(([value, label]) => {
        const box = el('input', { type: 'checkbox', value, onchange });
        return { box, node: el('label', { class: 'choice' }, box, el('span', {}, label)) };
    });
    return {
        node: el('fieldset', { class: 'choices' }, el('legend', {}, legend), boxes.map(({ node }) => node)),
        values: () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value),
    };
}

// A section of a page: heading, a sentence about it, and the rest.
export function section(id, title, about, ...children) {
    const heading = el('h2', { id: `${id}-title`, tabindex: '-1' }, title);
    return el('section', { id, class: 'section', 'aria-labelledby': heading.id },
        el('div', { class: 'section-head' }, heading, about ? el('p', { class: 'about' }, about) : null),
        ...children);
}

// Facts as pairs of words; those without a value are left out.
export function facts(pairs) {
    return el('dl', { class: 'facts' }, pairs
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value))));
}

// Other content for a node. A focus that was in the old content goes to the heading
// of the section, not back to the beginning of the page.
export function replace(node, ...children) {
    const held = node.contains(document.activeElement);
    node.replaceChildren(...children);
    if (held) {
        node.closest('.section')?.querySelector('h2')?.focus({ preventScroll: true });
    }
}

// Tells it to whoever listens instead of looking.
export function announce(text) {
    document.getElementById('announcer').textContent = text;
}
