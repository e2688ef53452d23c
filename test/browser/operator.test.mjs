// An operator and his page.
import { look, visit, settled, eventually, rows, json, sql, assert, member, operator, picture, OPERATOR } from './console.mjs';

const ops = operator({ sub: 'olga' });
const listed = (query) => json(`SELECT l.* FROM ${query} l`);
const status = (user) => sql(`SELECT status, decided_by, decision_reason
    FROM referral.list_attributions('${user}', program_id => 1) a, referral.attribution_detail(a.id, 1)`)[0];
const button = (page, user, label) => page.getByRole('row').filter({ has: page.getByText(user, { exact: true }) })
    .getByRole('button', { name: label });

look('the page is for operators; each is led to his own', { token: ops }, async (page) => {
    await visit(page, '/console/');
    await page.waitForURL('**/operator.html');
    await settled(page);
    await page.getByRole('heading', { name: 'Review queue' }).waitFor();
    await picture(page, 'operator review');
});

look('a member sees nothing there', { token: member('ada') }, async (page) => {
    await visit(page, OPERATOR);
    await page.getByRole('heading', { name: 'This page is for operators' }).waitFor();
    assert.equal(await page.getByRole('table').count(), 0);
    await page.getByRole('link', { name: 'Go to your own page' }).click();
    await page.getByRole('heading', { name: 'Invite people with your link' }).waitFor();
    await settled(page);
});

look('the queue is read to its end', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    const expected = listed("referral.list_attributions(status => '{review_required}', max_rows => 1000, program_id => 1)");
    const pages = page.getByRole('navigation', { name: /^Pages: / });
    const found = await rows(page, 'Waiting for a decision');
    while (await pages.getByRole('button', { name: 'Older' }).isEnabled()) {
        const before = JSON.stringify(await rows(page, 'Waiting for a decision'));
        await pages.getByRole('button', { name: 'Older' }).click();
        await eventually(async () => assert.notEqual(JSON.stringify(await rows(page, 'Waiting for a decision')), before));
        await settled(page);
        found.push(...await rows(page, 'Waiting for a decision'));
    }
    assert.deepEqual(found.map((row) => [row.Who, row['Invited by'], row.Campaign, row.Code]),
        expected.map((row) => [row.display_name + row.user_id, row.referrer_display + row.referrer_user_id, row.campaign, row.code]));
});

look('a referral is approved, and its payments count', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    assert.equal(status('v22'), 'review_required||');
    const rewards = () => Number(sql("SELECT count(*) FROM referral.list_rewards('ada', max_rows => 1000, program_id => 1)")[0]);
    const before = rewards();
    await button(page, 'v22', 'Approve').click();
    const dialog = page.getByRole('dialog', { name: 'Approve this referral?' });
    await dialog.getByText('Every sign-up of this campaign is reviewed').waitFor();
    await picture(page, 'dialog approve');
    // Looking is not deciding.
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(status('v22'), 'review_required||');
    await button(page, 'v22', 'Approve').click();
    await dialog.getByLabel('Reason').fill('A known customer.');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(async () => assert.equal(await button(page, 'v22', 'Approve').count(), 0));
    assert.equal(status('v22'), 'rewarded|olga|A known customer.');
    assert.equal(rewards(), before + 1);
    await page.getByRole('status').filter({ hasText: 'Approved: Visitor 22' }).waitFor({ state: 'attached' });
});

look('a referral is rejected', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    await button(page, 'v24', 'Reject').click();
    const dialog = page.getByRole('dialog', { name: 'Reject this referral?' });
    await dialog.getByRole('button', { name: 'Reject' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(async () => assert.equal(await button(page, 'v24', 'Reject').count(), 0));
    assert.equal(status('v24'), 'rejected|olga|');
});

look('what another operator decided is shown as it stands', { token: ops }, async (page) => {
    await visit(page, OPERATOR);
    await button(page, 'v23', 'Approve').waitFor();
    sql("SELECT referral.reject_attribution((SELECT id FROM referral.list_attributions('v23', program_id => 1)), 'other', 'fraud', 1)");
    await button(page, 'v23', 'Approve').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Rejected', { exact: true }).first().waitFor();
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await eventually(async () => assert.equal(await button(page, 'v23', 'Approve').count(), 0));
    assert.equal(status('v23'), 'rejected|other|fraud');
});

look('a decision whose answer was lost is made once', {
    token: ops, expected: [/^POST \/console\/rpc\/approve_attribution net::ERR_FAILED$/],
}, async (page) => {
    await visit(page, OPERATOR);
    await page.route('**/rpc/approve_attribution', async (route) => {
        await route.fetch();
        await route.abort();
    }, { times: 1 });
    await button(page, 'v19', 'Approve').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await dialog.getByRole('alert').filter({ hasText: 'did not answer' }).waitFor();
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(async () => assert.equal(await button(page, 'v19', 'Approve').count(), 0));
    assert.equal(status('v19').split('|')[0], 'rewarded');
});

look('the funnel', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#funnel`);
    const stats = (args = '') => listed(`referral.funnel_stats(${args} program_id => 1)`)[0];
    const shown = async () => Object.fromEntries((await page.getByRole('table', { name: 'Funnel' }).locator('tbody tr').evaluateAll((list) =>
        list.map((row) => [row.querySelector('th').firstChild.textContent, Number(row.querySelector('td').textContent)]))));
    const words = ({ clicks, attributed, qualified, rewarded }) => ({ Clicked: clicks, 'Signed up': attributed, Paid: qualified, Rewarded: rewarded });
    const month = "since => (now() AT TIME ZONE 'America/New_York')::date - 29,";
    assert.deepEqual(await shown(), words(stats(month)));
    await picture(page, 'operator funnel');
    await page.getByLabel('Campaign').fill('newsletter');
    await page.getByRole('button', { name: 'Show' }).click();
    await eventually(async () => assert.deepEqual(await shown(), words(stats(`${month} campaign => 'newsletter',`))));
    await page.getByLabel('Campaign').fill('');
    await page.getByLabel('From').fill('2020-01-01');
    await page.getByRole('button', { name: 'Show' }).click();
    await eventually(async () => assert.deepEqual(await shown(), words(stats())));
    await page.getByLabel('To').fill('2020-01-31');
    await page.keyboard.press('Enter');
    await page.getByText('Nobody clicked or signed up in this time.').waitFor();
});

look('attributions are searched, and each one told', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#attributions`);
    const shown = async () => (await rows(page, 'Attributions')).map((row) => row.Who);
    const like = (list) => list.map((row) => (row.display_name ?? '') + row.user_id);
    const size = (await shown()).length;
    const expected = (args) => like(listed(`referral.list_attributions(${args} max_rows => ${size}, program_id => 1)`));
    assert.deepEqual(await shown(), expected(''));
    await picture(page, 'operator attributions');
    await page.getByLabel('User id').fill(' grace ');
    await page.getByRole('button', { name: 'Search' }).click();
    await eventually(async () => assert.deepEqual(await shown(), ['Ada Lovelaceada']));
    await page.getByLabel('User id').fill('nobody');
    await page.keyboard.press('Enter');
    await page.getByText('No attribution is like that.').waitFor();
    await page.getByLabel('User id').fill('');
    await page.getByLabel('Campaign').fill('podcast');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.deepEqual(await shown(), expected("campaign => 'podcast',")));
    await page.getByLabel('Campaign').fill('');
    await page.getByRole('checkbox', { name: 'Expired' }).check();
    await eventually(async () => assert.deepEqual(await shown(), expected("status => '{expired}',")));
    await page.getByRole('checkbox', { name: 'Expired' }).uncheck();
    await page.getByRole('checkbox', { name: 'Rewarded' }).check();
    await eventually(async () => assert.deepEqual(await shown(), expected("status => '{rewarded}',")));
    await page.getByRole('button', { name: 'Older' }).click();
    const [last] = listed(`referral.list_attributions(status => '{rewarded}', max_rows => ${size}, program_id => 1)`).slice(-1);
    await eventually(async () => assert.deepEqual(await shown(), expected(`status => '{rewarded}', before_id => ${last.id},`)));

    const [first] = await shown();
    await page.getByRole('button', { name: 'Details' }).first().click();
    const dialog = page.getByRole('dialog', { name: 'Attribution' });
    await dialog.getByRole('table', { name: 'Rewards of the first payment' }).waitFor();
    await picture(page, 'dialog attribution');
    const link = dialog.getByRole('link').first();
    assert.equal(await link.textContent(), first);
    await link.click();
    await dialog.waitFor({ state: 'detached' });
    await settled(page);
    await page.waitForURL(/#members\//);
});

look('the books are checked, and long work is watched', { token: ops }, async (page) => {
    await visit(page, `${OPERATOR}#books`);
    await page.getByRole('button', { name: 'Check the books' }).click();
    await page.getByText('The books are sound').first().waitFor();
    const work = await rows(page, 'Maintenance');
    const expected = listed('(SELECT * FROM referral.stat_progress WHERE program_id = 1 ORDER BY progress_id DESC LIMIT 20)');
    assert.deepEqual(work.map((row) => [row.Task, row.On, row.State, row.Done]),
        expected.map((row) => [row.task, row.subject, row.state, row.done.toLocaleString('en-US')]));
    assert.ok(work.some((row) => row.State === 'interrupted'));
    await picture(page, 'operator books');
});

look('a member is looked at, and not changed', { token: ops, expected: [/^POST \/console\/rpc\/\w+ 400$/] }, async (page) => {
    await visit(page, `${OPERATOR}#members`);
    await page.getByRole('table', { name: 'Who earned most' }).waitFor();
    await picture(page, 'operator members');
    await page.getByLabel('User id').fill('ada');
    await page.getByRole('button', { name: 'Look up' }).click();
    await page.getByText('Invited by Grace Hopper').waitFor();
    await settled(page);
    await picture(page, 'operator member');
    for (const label of ['Request a payout', 'Cancel', 'Save', 'Remove it']) {
        assert.equal(await page.getByRole('button', { name: label, exact: true }).count(), 0, label);
    }
    assert.equal((await rows(page, 'Rewards')).length, (await rows(page, 'Payouts')).length);
    // A name that an address must be made of with care; nobody is made a member by being looked at.
    await page.getByLabel('User id').fill('no/such %2F#?&member');
    await page.keyboard.press('Enter');
    await page.getByText('There is no member with this id.').first().waitFor();
    assert.deepEqual(sql("SELECT count(*) FROM referral.member WHERE user_id ~ 'such' OR user_id = 'olga'"), ['0']);
    await page.goBack();
    await page.getByText('Invited by Grace Hopper').waitFor();
    await settled(page);
});

const NO_MEMBER = [/^POST \/console\/rpc\/referral_overview 400$/];
for (const hash of ['nonsense', '__proto__', 'constructor', 'toString/x', '%', 'members/%ff', 'members/', 'attributions/<img src=x>', 'token=x']) {
    look(`an address that leads nowhere still shows the page: #${hash}`, { token: ops, expected: NO_MEMBER }, async (page) => {
        await visit(page, `${OPERATOR}#${hash}`);
        await page.getByRole('main').getByRole('heading').first().waitFor();
    });
}
