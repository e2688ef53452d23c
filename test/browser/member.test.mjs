// A member and his page.
import { look, visit, settled, eventually, rows, json, sql, assert, member, picture, signIn, site, MEMBER } from './console.mjs';

const ada = member('ada');
const tile = (page, title) => page.locator('.tile', { has: page.getByRole('heading', { name: title, exact: true }) });
const listed = (query) => json(`SELECT l.* FROM ${query} l`);
const usd = (micro) => new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD', maximumFractionDigits: 6 }).format(micro / 1e6);
const day = (instant) => new Intl.DateTimeFormat('en-US', { timeZone: 'America/New_York', dateStyle: 'medium' }).format(new Date(instant));
const SIGNED_OUT = [/^POST \/console\/rpc\/whoami 401$/];

look('a link signs in, and its token is nowhere to be seen', { expected: SIGNED_OUT }, async (page, context) => {
    await visit(page, `${MEMBER}#token=${ada}`);
    await page.getByRole('heading', { name: 'Invite people with your link' }).waitFor();
    await page.getByText('Signed in as ada').waitFor();
    assert.equal(page.url().includes('token'), false);
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)), '{}{}');
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path, cookie.value], ['nl_session', true, 'Strict', '/', ada]);
    await picture(page, 'member');
    await page.reload();
    await settled(page);
    await page.getByText('Signed in as ada').waitFor();
});

look('a token that is pasted signs in, and signing out ends it', { expected: [...SIGNED_OUT, /^POST \/console\/session 401$/] }, async (page, context) => {
    await visit(page, MEMBER);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await picture(page, 'sign in');
    await page.getByLabel('Access token').fill(member('ada', { exp: 1 }));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'not valid' }).waitFor();
    await page.getByLabel('Access token').fill(` ${ada}\n`);
    await page.keyboard.press('Enter');
    await page.getByText('Signed in as ada').waitFor();
    await settled(page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    assert.deepEqual(await context.cookies(), []);
    assert.equal(await page.getByText('Ada Lovelace').count(), 0);
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

look('a link for somebody else asks first', { token: ada }, async (page) => {
    await visit(page, `${MEMBER}#token=${member('grace')}`);
    await page.getByRole('heading', { name: 'Use the link that you followed?' }).waitFor();
    assert.equal(page.url().includes('token'), false);
    await picture(page, 'which of two');
    await page.getByRole('button', { name: 'Stay as I am' }).click();
    await page.getByText('Signed in as ada').waitFor();
    await settled(page);
    await visit(page, '/console/index.html');
    await page.getByText('Signed in as ada').waitFor();
});

look('a session that ends says so, and keeps nothing on the page', {
    token: ada, expected: [/^POST \/console\/rpc\/\w+ 401$/],
}, async (page, context) => {
    await visit(page, MEMBER);
    await signIn(context, member('ada', { exp: Math.floor(Date.now() / 1000) - 3600 }));
    await page.getByRole('navigation', { name: 'Pages: Rewards' }).getByRole('button', { name: 'Older' }).click();
    await page.getByText('Your session has ended').waitFor();
    assert.equal(await page.getByRole('table').count(), 0);
    await page.getByLabel('Access token').fill(ada);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('table', { name: 'Rewards', exact: true }).waitFor();
});

look('tiles show what the server says', { token: ada }, async (page) => {
    await visit(page, MEMBER);
    const [state] = listed("referral.referral_overview('ada', 1)");
    for (const [title, value] of [
        ['Available', usd(state.balance.available_micro)], ['Pending', usd(state.balance.pending_micro)],
        ['Earned in all', usd(state.balance.lifetime_micro)], ['Paying invitees', String(state.paid_invitees)], ['Tier', state.tier_label],
    ]) {
        assert.equal(await tile(page, title).locator('.value').textContent(), value, title);
    }
    await page.getByText('Invited by Grace Hopper').waitFor();
    assert.equal(await page.getByLabel('Your link', { exact: true }).inputValue(), `${new URL(page.url()).origin}/join/${state.custom_slug ?? state.primary_code}`);
    await page.getByRole('img', { name: /^QR code of .*\/join\// }).waitFor();
});

look('the link is copied', { token: ada, permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    await visit(page, MEMBER);
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\/join\/\w+/);
});

look('rewards are filtered by status and read page by page', { token: ada }, async (page) => {
    await visit(page, MEMBER);
    const all = listed("referral.list_rewards('ada', max_rows => 1000, program_id => 1)");
    const shown = async () => (await rows(page, 'Rewards')).map((row) => [row.Date, row.Level, row.Payment, row.Status, row['Available from']]);
    const words = { pending: 'Pending', available: 'Available', spent: 'Spent', paid_out: 'Paid out', reversed: 'Reversed' };
    const like = (list) => list.map((row) =>
        [day(row.created_at), String(row.level), usd(row.base_micro), words[row.status], day(row.available_at)]);
    assert.ok(all.length > 60, `${all.length} rewards`);
    const pages = page.getByRole('navigation', { name: 'Pages: Rewards' });
    const size = (await shown()).length;
    assert.ok(size >= 10, `${size} rows on a page`);
    assert.deepEqual(await shown(), like(all.slice(0, size)));
    assert.equal(await pages.getByRole('button', { name: 'Newer' }).isDisabled(), true);
    for (const first of [size, 2 * size]) {
        await pages.getByRole('button', { name: 'Older' }).click();
        await eventually(async () => assert.deepEqual(await shown(), like(all.slice(first, first + size))));
    }
    await pages.getByRole('button', { name: 'Newer' }).click();
    await eventually(async () => assert.deepEqual(await shown(), like(all.slice(size, 2 * size))));

    const choose = (status) => page.getByRole('region', { name: 'Rewards' }).getByRole('checkbox', { name: status, exact: true });
    for (const [status, label] of Object.entries(words)) {
        await choose(label).check();
        const some = all.filter((row) => row.status === status);
        assert.ok(some.length > 0, status);
        await eventually(async () => assert.deepEqual(await shown(), like(some.slice(0, size))));
        await choose(label).uncheck();
    }
    await choose('Spent').check();
    await choose('Reversed').check();
    const both = all.filter((row) => ['spent', 'reversed'].includes(row.status));
    await eventually(async () => assert.deepEqual(await shown(), like(both.slice(0, size))));
});

look('people and payouts are read to their end', { token: ada }, async (page) => {
    await visit(page, MEMBER);
    for (const [caption, list] of [['Invited directly', 'list_invitees'], ['Everybody below', 'list_downline'], ['Payouts', 'list_payouts']]) {
        const expected = listed(`referral.${list}('ada', 1000, program_id => 1)`);
        const pages = page.getByRole('navigation', { name: `Pages: ${caption}` });
        const older = pages.getByRole('button', { name: 'Older' });
        const found = await rows(page, caption);
        while (await older.isEnabled()) {
            const before = JSON.stringify(await rows(page, caption));
            await older.click();
            await eventually(async () => {
                const next = await rows(page, caption);
                assert.notEqual(JSON.stringify(next), before);
                assert.equal(await page.locator('[aria-busy]').count(), 0);
            });
            found.push(...await rows(page, caption));
        }
        assert.equal(found.length, expected.length, caption);
        for (const [n, row] of expected.entries()) {
            if (list === 'list_payouts') {
                assert.equal(found[n].Amount, usd(row.amount_micro));
                assert.equal(found[n].Requested, day(row.requested_at));
                assert.equal(found[n]['Reference or reason'], row.reference ?? row.note ?? '–');
            } else {
                assert.equal(found[n].Person, row.display_name === null ? row.user_id : row.display_name + row.user_id);
                assert.equal(found[n]['Signed up'], day(row.signed_at));
            }
        }
    }
    const levels = listed("referral.level_stats('ada', 1)");
    assert.deepEqual((await rows(page, 'Levels')).map((row) => [row.People, row.Rate]),
        levels.map((row) => [String(row.members), `${row.rate_bps / 100}%`]));
});

look('earnings: a chart, and the same as a table', { token: ada }, async (page) => {
    await visit(page, MEMBER);
    const region = page.getByRole('region', { name: 'Earnings' });
    for (const [label, days] of [['90 days', 90], ['30 days', 30]]) {
        await region.getByRole('button', { name: label }).click();
        await settled(page);
        const chart = region.getByRole('img', { name: /^Bar chart: / });
        await chart.locator('canvas').waitFor();
        await region.getByText('Show as a table').click();
        const [{ earned, reversed, payments }] = json(`
            SELECT sum(earned_micro)::text AS earned, sum(reversed_micro)::text AS reversed, sum(payments) AS payments
            FROM referral.earnings_by_day('ada', (now() AT TIME ZONE 'America/New_York')::date - ${days - 1}, program_id => 1)`);
        assert.equal(await chart.getAttribute('aria-label'),
            `Bar chart: ${usd(earned - reversed)} in ${label}, by ${payments} payments. The table below has the numbers.`);
        const cents = (text) => BigInt(text.replaceAll(/[$,]/g, '').replace(/\.(\d*)$/, (_, digits) => digits.padEnd(6, '0')));
        const table = await rows(page, 'Earnings');
        assert.equal(table.reduce((sum, row) => sum + cents(row.Earned), 0n), BigInt(earned));
        assert.equal(table.reduce((sum, row) => sum + cents(row['Taken back']), 0n), BigInt(reversed));
        assert.equal(table.reduce((sum, row) => sum + Number(row.Payments), 0), payments);
        // Something is drawn.
        const drawn = await chart.locator('canvas').evaluate((canvas) =>
            new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size);
        assert.ok(drawn > 4, `${drawn} different bytes in the picture`);
    }
});

look('a slug is chosen, changed and removed', { token: ada, expected: [/^POST \/console\/rpc\/set_custom_slug (400|409)$/] }, async (page) => {
    sql("SELECT referral.set_custom_slug('grace', 'taken', 1), referral.remove_custom_slug('ada', 1)");
    await visit(page, MEMBER);
    const field = page.getByLabel('Ending of your link');
    const save = page.getByRole('button', { name: 'Save' });
    await page.getByText('Choose an ending of your own').click();
    for (const [slug, words] of [['-', 'Use 3 to 32'], ['ada lovelace', 'Use 3 to 32'], ['admin', 'reserved'], ['TAKEN', 'Somebody else']]) {
        await field.fill(slug);
        await save.click();
        await page.getByRole('alert').filter({ hasText: words }).waitFor();
    }
    await field.fill('Ada-Reads');
    await field.press('Enter');
    const link = page.getByLabel('Your link', { exact: true });
    await eventually(async () => assert.match(await link.inputValue(), /\/join\/ada-reads$/));
    assert.deepEqual(sql("SELECT custom_slug FROM referral.referral_overview('ada', 1)"), ['ada-reads']);
    await page.getByText('Change the ending').click();
    await page.getByRole('button', { name: 'Remove it' }).click();
    const dialog = page.getByRole('dialog', { name: 'Remove your own ending?' });
    await picture(page, 'dialog remove slug');
    await dialog.getByRole('button', { name: 'Back' }).click();
    assert.deepEqual(sql("SELECT custom_slug FROM referral.referral_overview('ada', 1)"), ['ada-reads']);
    await page.getByRole('button', { name: 'Remove it' }).click();
    await dialog.getByRole('button', { name: 'Remove it' }).click();
    await eventually(async () => assert.match(await link.inputValue(), /\/join\/[A-Z2-9]{8}$/));
    assert.deepEqual(sql("SELECT custom_slug FROM referral.referral_overview('ada', 1)"), ['']);
});

look('a payout is requested, and taken back', { token: ada, expected: [/^POST \/console\/rpc\/request_payout 400$/] }, async (page) => {
    await visit(page, MEMBER);
    const available = () => BigInt(sql("SELECT (balance).available_micro FROM referral.referral_overview('ada', 1)")[0]);
    const before = available();
    await page.getByRole('button', { name: 'Request a payout' }).click();
    const dialog = page.getByRole('dialog', { name: 'Request a payout' });
    const amount = dialog.getByLabel('Amount');
    const send = dialog.getByRole('button', { name: /^Request/ });
    for (const [text, words] of [['', 'above zero'], ['abc', 'above zero'], ['0', 'above zero'], ['-5', 'above zero'],
        ['1', 'smallest payout'], ['9999999', 'Less than that']]) {
        await amount.fill(text);
        await send.click();
        await dialog.getByRole('alert').filter({ hasText: words }).waitFor();
    }
    await amount.fill('1,0.5');
    await picture(page, 'dialog payout');
    await amount.fill('10.25');
    await dialog.getByLabel('Bank, network or scheme').fill('SEPA');
    await dialog.getByLabel('Account or address').fill('DE02 1203 0000 0000 2020 51');
    await dialog.getByRole('button', { name: 'Request $10.25' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(async () => assert.equal(await tile(page, 'Available').locator('.value').textContent(), usd(Number(before) - 10250000)));
    await eventually(async () => assert.equal((await rows(page, 'Payouts'))[0].Amount, '$10.25'));
    assert.equal(available(), before - 10250000n);
    const [first] = await rows(page, 'Payouts');
    assert.deepEqual([first.Status, first.To], ['Requested', 'SEPADE02 1203 0000 0000 2020 51']);

    const row = page.getByRole('table', { name: 'Payouts' }).getByRole('row').nth(1);
    await row.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog', { name: 'Cancel this payout?' }).getByRole('button', { name: 'Cancel the payout' }).click();
    await eventually(async () => assert.equal((await rows(page, 'Payouts'))[0].Status, 'Cancelled'));
    assert.equal(available(), before);
});

look('a payout whose answer was lost is requested once', {
    token: ada, expected: [/^POST \/console\/rpc\/request_payout net::ERR_FAILED$/],
}, async (page) => {
    await visit(page, MEMBER);
    const count = () => Number(sql("SELECT count(*) FROM referral.payout WHERE program_id = 1 AND amount_micro = 11110000")[0]);
    // It arrives, but its answer does not.
    await page.route('**/rpc/request_payout', async (route) => {
        await route.fetch();
        await route.abort();
    }, { times: 1 });
    await page.getByRole('button', { name: 'Request a payout' }).click();
    const dialog = page.getByRole('dialog', { name: 'Request a payout' });
    await dialog.getByLabel('Amount').fill('11.11');
    await dialog.getByRole('button', { name: /^Request/ }).click();
    await dialog.getByRole('alert').filter({ hasText: 'did not answer' }).waitFor();
    assert.equal(count(), 1);
    await dialog.getByRole('button', { name: /^Request/ }).click();
    await dialog.waitFor({ state: 'detached' });
    assert.equal(count(), 1);
    await settled(page);
});

look('who has nothing yet is told what will be there', { token: member('newbie') }, async (page) => {
    await visit(page, MEMBER);
    await page.getByText('No rewards yet.').waitFor();
    await page.getByText('No payouts yet.').waitFor();
    await page.getByText('Nothing was earned in this time.').waitFor();
    assert.equal(await page.getByText('Nobody yet.').count(), 2);
    assert.equal(await tile(page, 'Available').locator('.value').textContent(), '$0.00');
    await page.getByText('Payouts start at $10.00').waitFor();
    await picture(page, 'member empty');
});

look('who was never seen before becomes a member by looking', { token: member('first-time') }, async (page) => {
    await visit(page, MEMBER);
    assert.match(await page.getByLabel('Your link', { exact: true }).inputValue(), /\/join\/[A-Z2-9]{8}$/);
});

look('what cannot be loaded says so and can be tried again', {
    token: ada, expected: [/^POST \/console\/rpc\/\w+ (500|429|net::ERR_FAILED)$/],
}, async (page) => {
    let broken = true;
    await page.route('**/rpc/*', (route) => {
        const fn = route.request().url().split('/').pop();
        const answer = { list_rewards: 500, list_payouts: 429, list_invitees: 0 }[fn];
        if (!broken || answer === undefined) {
            return route.continue();
        }
        return answer ? route.fulfill({ status: answer, body: '{"message": "rate_limited"}' }) : route.abort();
    });
    await visit(page, MEMBER);
    const alerts = page.getByRole('alert').filter({ hasText: /\w/ });
    await eventually(async () => assert.equal(await alerts.count(), 3));
    await picture(page, 'member errors');
    broken = false;
    for (let left = 3; left > 0; left -= 1) {
        await page.getByRole('button', { name: 'Try again' }).first().click();
        await eventually(async () => assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), left - 1));
    }
    await page.getByRole('table', { name: 'Rewards', exact: true }).waitFor();
    await page.getByRole('table', { name: 'Invited directly' }).waitFor();
});

look('when nothing answers, the page says so', { token: ada, expected: [/^POST \/console\/rpc\/whoami (502|net::ERR_FAILED)$/] }, async (page) => {
    await page.route('**/rpc/whoami', (route) => route.abort(), { times: 1 });
    await visit(page, MEMBER);
    await page.getByRole('alert').filter({ hasText: 'did not answer' }).waitFor();
    await picture(page, 'no answer');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('Signed in as ada').waitFor();
    await settled(page);
});

look('while it loads it says so', { token: ada }, async (page) => {
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route('**/rpc/list_rewards', async (route) => {
        await held;
        await route.continue();
    });
    await page.goto(site + MEMBER);
    await page.getByRole('region', { name: 'Rewards' }).getByText('Loading').waitFor();
    await page.getByRole('table', { name: 'Payouts' }).waitFor();
    await picture(page, 'member loading');
    release();
    await page.getByRole('table', { name: 'Rewards', exact: true }).waitFor();
});

// Money.

look('no digit of a great amount is lost', { token: member('vast', { program_id: 3 }) }, async (page) => {
    await visit(page, MEMBER);
    for (const title of ['Available', 'Earned in all']) {
        assert.equal(await tile(page, title).locator('.value').textContent(), '$9,223,372,036,854.774999', title);
    }
    const [row] = await rows(page, 'Rewards');
    assert.deepEqual([row.Payment, row.Reward], ['$9,223,372,036,854.774999', '$9,223,372,036,854.774999']);
    assert.equal((await rows(page, 'Levels'))[0].Earned, '$9,223,372,036,854.774999');
    // and what is asked for is what is sent
    await page.getByRole('button', { name: 'Request a payout' }).click();
    const dialog = page.getByRole('dialog');
    assert.equal(await dialog.getByLabel('Amount').inputValue(), '9223372036854.774999');
    await dialog.getByLabel('Amount').fill('9007199254740.992001');
    await dialog.getByRole('button', { name: 'Request $9,007,199,254,740.992001' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(async () => assert.equal((await rows(page, 'Payouts'))[0].Amount, '$9,007,199,254,740.992001'));
    assert.deepEqual(sql("SELECT amount_micro FROM referral.payout WHERE program_id = 3"), ['9007199254740992001']);
    assert.equal(await tile(page, 'Available').locator('.value').textContent(), '$216,172,782,113.782998');
    await picture(page, 'member vast');
});

look('nor of one just beyond 2^53, nor the last millionth', { token: member('large', { program_id: 3 }) }, async (page) => {
    await visit(page, MEMBER);
    assert.equal(await tile(page, 'Available').locator('.value').textContent(), '$9,007,199,254.740994');
    assert.deepEqual((await rows(page, 'Rewards')).map((row) => row.Reward), ['$0.000001', '$9,007,199,254.740993']);
});

look('each reader has his own notation', { token: ada, locale: 'de-DE' }, async (page) => {
    await visit(page, MEMBER);
    const [{ micro }] = json("SELECT (balance).lifetime_micro AS micro FROM referral.referral_overview('ada', 1)");
    assert.equal(await tile(page, 'Earned in all').locator('.value').textContent(),
        new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'USD', maximumFractionDigits: 6 }).format(micro / 1e6));
    await page.getByRole('button', { name: 'Request a payout' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Amount').fill('1.012,50');
    await dialog.getByRole('button', { name: /^Request 1\.012,50\s\$$/ }).waitFor();
});

look('a currency that browsers do not know, in a zone far away', { token: member('ravi', { program_id: 4 }) }, async (page) => {
    await visit(page, MEMBER);
    assert.equal(await tile(page, 'Available').locator('.value').textContent(), '1.234567\u00a0USDT');
    const [row] = await rows(page, 'Rewards');
    assert.equal(row['Available from'], 'Apr 1, 2026', 'half past one at night there, evening of the day before in UTC');
    assert.equal(row.Payment, '12.34567\u00a0USDT');
});
