// Tables, and lists that are read page by page.
import { announce, el, replace } from './dom.js';
import { failureBox } from './load.js';

const PAGE_ROWS = 10;

// What can be scrolled sideways has to be reached by keyboard as well.
const overflow = new ResizeObserver((entries) => {
    for (const { target } of entries) {
        if (target.scrollWidth > target.clientWidth) {
            target.tabIndex = 0;
        } else {
            target.removeAttribute('tabindex');
        }
    }
});

// A table. A column has a title and either cell(row), or micro(row) for an amount
// with more(row) below it; number: to be set flush right. Roles are written out because a phone shows rows
// as blocks, and some browsers then forget that it is a table.
export function table(caption, columns, rows, money) {
    const cells = columns.map((column) => {
        if (!column.micro) {
            return column.cell;
        }
        const digits = money.digits(rows.map(column.micro).filter((micro) => micro !== null));
        return (row) => (column.micro(row) === null ? null
            : el('span', {}, money.node(column.micro(row), digits), column.more?.(row)));
    });
    const style = (column) => (column.number || column.micro ? 'number' : column.style);
    const node = el('div', { class: 'scroll' },
        el('table', { class: 'list', role: 'table' },
            el('caption', { class: 'unseen' }, caption),
            el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, columns.map((column) =>
                el('th', { role: 'columnheader', scope: 'col', class: style(column) }, column.title)))),
            el('tbody', { role: 'rowgroup' }, rows.map((row) => el('tr', { role: 'row' }, columns.map((column, n) =>
                el('td', { role: 'cell', 'data-title': column.title, class: style(column) }, cells[n](row) ?? '–')))))));
    overflow.observe(node);
    return node;
}

// A list that is read page by page. load(args) fetches rows, next(rows, skipped)
// gives the arguments of the page behind; empty(args) says why there is nothing.
// open() reads it from its first page, reload() the page that is shown; tell()
// says aloud which rows are shown.
export function listing({ caption, columns, load, next, empty, money }) {
    const body = el('div', { class: 'rows' }, el('p', { class: 'waiting' }, 'Loading…'));
    const newer = el('button', { type: 'button', onclick: () => turn(-1) }, 'Newer');
    const older = el('button', { type: 'button', onclick: () => turn(1) }, 'Older');
    const where = el('p', {});
    const pages = el('nav', { class: 'pages', 'aria-label': `Pages: ${caption}`, hidden: true }, where, newer, older);
    const node = el('div', { class: 'listing' }, body, pages);

    // Arguments of each page so far; what else is asked for; the page shown.
    let starts, filter, page;
    let latest = 0;

    async function reload() {
        const run = ++latest;
        node.setAttribute('aria-busy', 'true');
        newer.disabled = older.disabled = true;
        try {
            // One more than is shown tells whether there is another page.
            const found = await load({ ...filter, ...starts[page], max_rows: PAGE_ROWS + 1 });
            if (run === latest) {
                draw(found);
            }
        } catch (failure) {
            if (run === latest) {
                pages.hidden = true;
                replace(body, failureBox(failure, reload));
            }
        }
        if (run === latest) {
            node.removeAttribute('aria-busy');
        }
    }

    function draw(found) {
        const rows = found.slice(0, PAGE_ROWS);
        const skipped = page * PAGE_ROWS;
        starts[page + 1] = found.length > PAGE_ROWS ? next(rows, skipped + PAGE_ROWS) : undefined;
        replace(body, rows.length > 0
            ? table(caption, columns, rows, money)
            : el('p', { class: 'empty' }, page > 0 ? 'Nothing more.' : empty(filter)));
        where.textContent = rows.length > 0 ? `${skipped + 1}–${skipped + rows.length}` : 'none';
        pages.hidden = page === 0 && !starts[1];
        newer.disabled = page === 0;
        older.disabled = !starts[page + 1];
    }

    async function turn(step) {
        const pressed = step > 0 ? older : newer;
        page += step;
        await reload();
        tell();
        // A button that got disabled lost the focus.
        (pressed.disabled ? [newer, older].find((button) => !button.disabled) : pressed)?.focus();
    }

    const tell = () => announce(`${caption}: ${where.textContent}`);

    return {
        node,
        reload,
        tell,
        async open(args = {}) {
            [starts, filter, page] = [[{}], args, 0];
            await reload();
        },
    };
}

// The page behind, where rows are counted and where they are numbered.
export const bySkipping = (rows, skip) => ({ skip });
export const byId = (rows) => ({ before_id: rows.at(-1).id });
