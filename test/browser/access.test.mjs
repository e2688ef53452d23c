// For everybody: what axe-core finds in each state, light and dark, wide and narrow;
// and the whole of it by keyboard.
import { look, visit, settled, eventually, accessible, fits, picture, assert, sql, member, operator, site,
    DESKTOP, PHONE, MEMBER, OPERATOR } from './console.mjs';

const ada = member('ada');
const ops = operator({ sub: 'olga' });
const looks = [['light', DESKTOP], ['dark', DESKTOP], ['light', PHONE], ['dark', PHONE]].map(([colorScheme, viewport]) =>
    ({ colorScheme, viewport, words: `${colorScheme}, ${viewport === PHONE ? 'phone' : 'desktop'}` }));
const SIGNED_OUT = [/^POST \/console\/rpc\/whoami 401$/];

for (const { words, ...options } of looks) {
    const states = async (page, list) => {
        for (const [name, make] of list) {
            await make();
            // In the dark only colours differ.
            await accessible(page, `${name}, ${words}`,
                options.colorScheme === 'dark' ? { runOnly: ['color-contrast', 'link-in-text-block'] } : {});
            await fits(page, `${name}, ${words}`);
            await picture(page, `${words} ${name}`);
        }
    };
    const close = async (page) => {
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
    };

    look(`a member's page: ${words}`, { ...options, token: ada }, async (page) => {
        await states(page, [
            ['member', () => visit(page, MEMBER)],
            ['member all open', async () => {
                for (const summary of await page.locator('summary').all()) {
                    await summary.click();
                }
            }],
            ['payout form', () => page.getByRole('button', { name: 'Request a payout' }).click()],
            ['payout refused', async () => {
                await page.getByRole('dialog').getByLabel('Amount').fill('0');
                await page.keyboard.press('Enter');
                await page.getByText('above zero').waitFor();
            }],
            ['payout cancel', async () => {
                await close(page);
                await page.getByRole('button', { name: 'Cancel', exact: true }).first().click();
            }],
        ]);
    });

    look(`a member who has nothing: ${words}`, { ...options, token: member('newbie') }, (page) =>
        states(page, [['empty', () => visit(page, MEMBER)]]));

    look(`nobody: ${words}`, { ...options, expected: [...SIGNED_OUT, /^POST \/console\/session 401$/] }, (page) => states(page, [
        ['signed out', () => visit(page, MEMBER)],
        ['not believed', async () => {
            await page.getByLabel('Access token').fill('x');
            await page.keyboard.press('Enter');
            await page.getByText('not valid').waitFor();
        }],
    ]));

    look(`trouble: ${words}`, { ...options, token: ada, expected: [/net::ERR_FAILED$/] }, async (page) => {
        await page.route('**/rpc/list_*', (route) => route.abort());
        await states(page, [['errors', () => visit(page, MEMBER)]]);
    });

    look(`an operator's page: ${words}`, { ...options, token: ops }, (page) => states(page, [
        ...['review', 'funnel', 'attributions', 'members', 'members/ada', 'books'].map((view) =>
            [`operator ${view}`, () => visit(page, `${OPERATOR}#${view}`)]),
        ['books checked', async () => {
            await page.getByRole('button', { name: 'Check the books' }).click();
            await page.getByText('The books are sound').first().waitFor();
        }],
        ['attribution', async () => {
            await visit(page, `${OPERATOR}#attributions`);
            await page.getByRole('button', { name: 'Details' }).first().click();
            await page.getByRole('dialog').getByText('Invited by', { exact: true }).waitFor();
        }],
        ['reject', async () => {
            await visit(page, `${OPERATOR}#review`);
            await page.getByRole('button', { name: 'Reject' }).first().click();
            await page.getByRole('dialog').getByText('Held because of').waitFor();
        }],
    ]));

    look(`broken books: ${words}`, { ...options, token: operator({ program_id: 2 }) }, (page) => states(page, [
        ['books broken', async () => {
            await visit(page, `${OPERATOR}#books`);
            await page.getByRole('button', { name: 'Check the books' }).click();
            await page.getByText('The books contradict').first().waitFor();
        }],
    ]));
}

// The accessible name of what has the focus, and whether it shows that it has.
const focused = (page) => page.evaluate(() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    return {
        name: node.getAttribute('aria-label') ?? [...node.labels ?? []].map((label) => label.textContent).join() ?? '',
        text: node.textContent.trim(),
        tag: node.localName,
        visible: style.outlineStyle !== 'none' || style.boxShadow !== 'none',
    };
});

async function tabTo(page, wanted, key = 'Tab') {
    const passed = [];
    for (let n = 0; n < 150; n += 1) {
        await page.keyboard.press(key);
        const at = await focused(page);
        passed.push(`${at.tag} ${at.name || at.text}`);
        assert.ok(at.visible || at.tag === 'body', `the focus shows on ${passed.at(-1)}`);
        if (wanted.test(at.name || at.text)) {
            return;
        }
    }
    assert.fail(`${wanted} is not reached by ${key}: ${passed.join(' | ')}`);
}

look('a member does everything by keyboard', { token: ada }, async (page) => {
    sql("SELECT referral.remove_custom_slug('ada', 1)");
    await visit(page, MEMBER);
    await tabTo(page, /^Skip to the content$/);
    await page.keyboard.press('Enter');
    await tabTo(page, /^Copy link$/);
    await tabTo(page, /^Choose an ending/);
    await page.keyboard.press('Enter');
    await tabTo(page, /^Ending of your link$/);
    await page.keyboard.type('by-hand');
    await page.keyboard.press('Enter');
    await eventually(() => assert.deepEqual(sql("SELECT custom_slug FROM referral.referral_overview('ada', 1)"), ['by-hand']));
    await settled(page);
    assert.notEqual(await page.evaluate(() => document.activeElement.localName), 'body', 'the focus is not lost');

    await tabTo(page, /^Request a payout$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /^Amount$/);
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type('10.01');
    await tabTo(page, /^Request \$10\.01$/);
    // The focus stays in the dialog.
    for (let n = 0; n < 8; n += 1) {
        await page.keyboard.press('Tab');
        assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog')));
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal((await focused(page)).text, 'Request a payout', 'and goes back to where it was');

    await tabTo(page, /^90 days$/);
    await page.keyboard.press('Space');
    await settled(page);
    assert.equal(await page.getByRole('button', { name: '90 days' }).getAttribute('aria-pressed'), 'true');
    await tabTo(page, /^Available$/);
    await page.keyboard.press('Space');
    await settled(page);
    await tabTo(page, /^Older$/);
    await page.keyboard.press('Enter');
    await settled(page);
    assert.equal((await focused(page)).text, 'Older', 'the focus stays on the pages');
    await tabTo(page, /^Use dark colours$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    assert.equal((await focused(page)).name, 'Use light colours');
    await tabTo(page, /^Sign out$/);
    await page.keyboard.press('Enter');
    await page.getByText('You are signed out.').waitFor();
});

look('an operator decides by keyboard', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    await tabTo(page, /^Approve: /);
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Held because of').waitFor();
    await tabTo(page, /^Reason$/);
    await page.keyboard.type('Seen.');
    await tabTo(page, /^Approve$/);
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    await settled(page);
    assert.notEqual(await page.evaluate(() => document.activeElement.localName), 'body', 'the focus is not lost');
    await tabTo(page, /^Books$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await settled(page);
    await page.getByRole('heading', { name: 'Books' }).waitFor();
    assert.equal((await focused(page)).text, 'Books', 'the focus is where the view begins');
});

look('what happens is said to who does not look', { token: ada }, async (page) => {
    await visit(page, MEMBER);
    const said = page.getByRole('status').last();
    await page.getByRole('navigation', { name: 'Pages: Rewards' }).getByRole('button', { name: 'Older' }).click();
    await eventually(async () => assert.match(await said.textContent(), /^Rewards: \d+–\d+$/));
});

look('landmarks, one heading of the page, and a language', { token: ada }, async (page) => {
    for (const path of [MEMBER, OPERATOR]) {
        await visit(page, path);
        for (const role of ['banner', 'main']) {
            assert.equal(await page.getByRole(role).count(), 1, role);
        }
        assert.equal(await page.locator('h1').count(), 1);
        assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    }
});

look('colours are as chosen, before anything is painted', { token: ada, colorScheme: 'dark' }, async (page) => {
    await visit(page, MEMBER);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await background();
    await page.getByRole('button', { name: 'Use light colours' }).click();
    await eventually(async () => assert.notEqual(await background(), dark));
    const light = await background();
    await page.reload({ waitUntil: 'commit' });
    await settled(page);
    assert.equal(await background(), light);
    await page.getByRole('button', { name: 'Use dark colours' }).click();
    await eventually(async () => assert.equal(await background(), dark));
    assert.equal(await page.evaluate(() => localStorage.length), 0);
});

look('whoever wants less motion and greater letters has them', { token: ada, reducedMotion: 'reduce', viewport: { width: 640, height: 450 } }, async (page) => {
    await visit(page, MEMBER);
    await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
    await fits(page, 'letters twice as high');
    const moving = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
    await picture(page, 'large letters');
});

look('colours that the system forces', { token: ada, forcedColors: 'active' }, async (page) => {
    await visit(page, MEMBER);
    await picture(page, 'forced colours');
    await page.goto(`${site}${MEMBER}`);
    await settled(page);
});
