// Texts that people, operators and attackers set stay texts: shown to the letter, and
// nothing comes of them. What happens beyond (a dialog, a request, a violation of the
// policy, an exception) is a fault of its own.
import { look, visit, settled, eventually, rows, json, assert, member, operator, fits, picture, site, PHONE, MEMBER, OPERATOR } from './console.mjs';

const two = { program_id: 2 };
const hostile = json('SELECT t FROM public.hostile ORDER BY n').map(({ t }) => t);
const ops = operator({ sub: hostile[1], ...two });

// The document has nothing in it that only markup in a text could have made.
async function inert(page, where) {
    const odd = await page.evaluate((own) => [...document.querySelectorAll('*')].filter((node) => {
        const at = node.localName;
        return ['iframe', 'object', 'embed', 'base', 'style', 'marquee', 'h4', 'foreignObject'].includes(at)
            || (at === 'script' && !node.src.startsWith(own))
            || (at === 'img' && !node.src.startsWith(own))
            || (at === 'a' && !node.href.startsWith(own))
            || (at === 'meta' && node.httpEquiv)
            || [...node.attributes].some(({ name }) => /^on/i.test(name));
    }).map((node) => node.outerHTML), `${site}/console/`);
    assert.deepEqual(odd, [], where);
}

const title = async (page) => assert.match(await page.title(), /\w/);

// Every page of a list.
async function everything(page, caption) {
    const older = page.getByRole('navigation', { name: `Pages: ${caption}` }).getByRole('button', { name: 'Older' });
    const found = await rows(page, caption);
    while (await older.count() > 0 && await older.isEnabled()) {
        const before = JSON.stringify(await rows(page, caption));
        await older.click();
        await eventually(async () => assert.notEqual(JSON.stringify(await rows(page, caption)), before));
        await settled(page);
        await inert(page, caption);
        found.push(...await rows(page, caption));
    }
    return found;
}

const holds = (found, column, texts) => {
    for (const text of texts) {
        assert.ok(found.some((row) => row[column] === text), `${column} ${JSON.stringify(text)} among ${JSON.stringify(found.map((row) => row[column]))}`);
    }
};

look('a member among hostile names', { token: member('victim', two) }, async (page) => {
    await visit(page, MEMBER);
    await title(page);
    await inert(page, 'member');
    await page.getByText('Tom\'s "Club" <img src=x onerror=alert(1)> & {{7*7}}', { exact: true }).first().waitFor();
    const others = hostile.filter((_, n) => n !== 11);
    const people = await everything(page, 'Invited directly');
    holds(people, 'Person', others.map((text) => text + text));
    holds(people, 'Person', hostile.map((text) => `${text}held ${text}`));
    holds(await everything(page, 'Everybody below'), 'Person', others.map((text) => `${text}below ${text}`));
    holds(await everything(page, 'Rewards'), 'From', others.map((text) => text + text));
    const payouts = await everything(page, 'Payouts');
    holds(payouts, 'To', others.map((text) => text.slice(0, 100) + text));
    holds(payouts, 'Reference or reason', others.filter((text) => hostile.indexOf(text) % 3 !== 1));
    await page.getByText(`Invited by ${hostile[11]}`).waitFor();
    await page.getByText(hostile[1], { exact: true }).first().waitFor();
    for (const summary of await page.locator('summary').all()) {
        await summary.click();
    }
    await inert(page, 'member, all open');
    await picture(page, 'hostile member');
});

look('a member among hostile names, on a phone', { token: member('victim', two), viewport: PHONE }, async (page) => {
    await visit(page, MEMBER);
    await fits(page, 'member');
    for (const summary of await page.locator('summary').all()) {
        await summary.click();
    }
    await fits(page, 'member, all open');
    await picture(page, 'hostile member phone');
});

look('who has a hostile id', { expected: [/^POST \/console\/rpc\/whoami 401$/] }, async (page, context) => {
    // PostgREST takes a sub with a colon for an address, as RFC 7519 has it, or not at all.
    const ids = hostile.filter((text) => !text.includes(':') || text.startsWith('javascript:'));
    assert.ok(ids.length > 15);
    for (const [n, text] of ids.entries()) {
        await context.clearCookies();
        await page.goto('about:blank');
        await page.goto(`${site}${MEMBER}#token=${member(text, two)}`);
        await settled(page);
        await page.getByText('Signed in as').waitFor();
        assert.ok((await page.getByRole('banner').textContent()).includes(`Signed in as ${text}`), text);
        await inert(page, text);
        if (n % 5 === 0 && n + 1 < ids.length) {
            await page.goto('about:blank');
            await page.goto(`${site}${MEMBER}#token=${member(ids[n + 1], two)}`);
            await settled(page);
            await page.getByRole('heading', { name: 'Use the link that you followed?' }).waitFor();
            const words = await page.getByRole('main').textContent();
            assert.ok(words.includes(text) && words.includes(ids[n + 1]));
            await inert(page, 'which of two');
            await page.getByRole('button', { name: 'Use the link' }).click();
            await page.getByText('Signed in as').waitFor();
            await settled(page);
        }
    }
});

look('an operator reviews hostile names', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    await inert(page, 'review');
    const held = hostile.filter((_, n) => n % 2 === 0);
    const queue = await everything(page, 'Waiting for a decision');
    holds(queue, 'Who', held.map((text) => `${text}held ${text}`));
    assert.ok(queue.every((row) => row.Campaign === hostile[0] && row['Invited by'] === 'Victim "><b>victim'));
    await page.getByRole('button', { name: 'Approve' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Every sign-up of this campaign').waitFor();
    await inert(page, 'approve');
    await picture(page, 'hostile dialog');
    await dialog.getByLabel('Reason').fill(hostile[0]);
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await dialog.waitFor({ state: 'detached' });
    await settled(page);
    await inert(page, 'approved');
});

look('an operator searches among hostile names', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#attributions`);
    const others = hostile.filter((_, n) => n !== 11);
    const found = await everything(page, 'Attributions');
    holds(found, 'Who', others.map((text) => text + text));
    await picture(page, 'hostile attributions');
    for (const text of hostile) {
        await page.getByLabel('User id').fill(`held ${text}`);
        await page.getByRole('button', { name: 'Search' }).click();
        // A field of one line takes no breaks; the rest is looked for to the letter.
        if (/[\n\r]/.test(text)) {
            continue;
        }
        await eventually(async () => assert.deepEqual((await rows(page, 'Attributions')).map((row) => row.Who), [`${text}held ${text}`]));
        await page.getByRole('button', { name: 'Details' }).click();
        const dialog = page.getByRole('dialog', { name: 'Attribution' });
        await dialog.getByText('Held because of').waitFor();
        await inert(page, `details of ${text}`);
        if (hostile.indexOf(text) % 2 === 1) {
            const words = await dialog.textContent();
            assert.ok(words.includes(`rejected by ${text}`) && words.split(text).length >= 4, `${text}: ${words}`);
        }
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
    }
    // The clicks of those who were not held.
    await page.getByLabel('User id').fill(hostile[0]);
    await page.getByRole('button', { name: 'Search' }).click();
    await eventually(async () => assert.equal((await rows(page, 'Attributions')).at(-1).Who, hostile[0] + hostile[0]));
    await page.getByRole('button', { name: 'Details' }).last().click();
    await page.getByRole('dialog').getByText(`/${hostile[0]}`, { exact: true }).waitFor();
    await inert(page, 'details of a click');
});

look('an operator looks at members with hostile ids', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#members`);
    await inert(page, 'leaders');
    holds(await rows(page, 'Who earned most'), 'Member', [hostile[21] + hostile[21]]);
    const links = await page.getByRole('table', { name: 'Who earned most' }).getByRole('link').evaluateAll((list) => list.map(({ href }) => href));
    assert.ok(links.length >= 10);
    for (const link of links) {
        await page.goto(link);
        await settled(page);
        const id = decodeURIComponent(new URL(link).hash.slice('#members/'.length));
        assert.ok((await page.getByText('Member', { exact: false }).allTextContents()).some((text) => text.includes(id)), id);
        assert.equal((await rows(page, 'Levels')).length, 2, id);
        await inert(page, id);
    }
});

look('hostile campaigns, books and long work', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#funnel`);
    for (const text of hostile.slice(0, 3)) {
        await page.getByLabel('Campaign').fill(text);
        await page.getByRole('button', { name: 'Show' }).click();
        await settled(page);
        await inert(page, 'funnel');
    }
    await visit(page, `${OPERATOR}#books`);
    await page.getByRole('button', { name: 'Check the books' }).click();
    await page.getByText('The books contradict themselves').first().waitFor();
    holds(await rows(page, 'Contradictions'), 'About', hostile.map((text) => `payment untaken ${text}`));
    holds(await rows(page, 'Maintenance'), 'On', hostile.filter((_, n) => n > 11));
    await inert(page, 'books');
    await picture(page, 'hostile books');
});

look('an operator among hostile names, on a phone', { token: ops, viewport: PHONE }, async (page) => {
    for (const view of ['review', 'attributions', 'members', 'books', 'funnel', `members/${encodeURIComponent(hostile[6])}`]) {
        await visit(page, `${OPERATOR}#${view}`);
        if (view === 'books') {
            await page.getByRole('button', { name: 'Check the books' }).click();
            await page.getByText('The books contradict themselves').first().waitFor();
        }
        await fits(page, view);
        await picture(page, `hostile operator phone ${view.slice(0, 12)}`);
    }
    await visit(page, `${OPERATOR}#attributions`);
    for (const details of (await page.getByRole('button', { name: 'Details' }).all()).slice(0, 10)) {
        await details.click();
        const dialog = page.getByRole('dialog');
        await dialog.getByText('Invited by', { exact: true }).waitFor();
        await fits(page, 'details');
        assert.ok(await dialog.evaluate((box) => box.scrollWidth <= box.clientWidth), 'the dialog fits');
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
    }
});

look('what a server says of an error is a text, too', {
    token: member('victim', two), expected: [/^POST \/console\/rpc\/\w+ 400$/],
}, async (page) => {
    await page.route('**/rpc/list_rewards', (route) => route.fulfill({
        status: 400, contentType: 'application/json', body: JSON.stringify({ message: 'constructor', details: hostile[0], hint: hostile[1] }),
    }));
    await visit(page, MEMBER);
    await page.getByText(hostile[0]).first().waitFor();
    await inert(page, 'an error');
});
