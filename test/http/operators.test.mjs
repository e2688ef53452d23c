// Clicks of anybody, and what operators do with what comes of them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { call, client, member, operator, sql, token, url } from './client.mjs';

const anonymous = token({ role: 'web_anon', program_id: 1 });
const ops = client(operator());
const codeOf = (user, kind) => sql(`SELECT code FROM referral.code WHERE program_id = 1 AND user_id = '${user}' AND kind = '${kind}'`)[0];
const json = (query) => JSON.parse(sql(query).join(''));

// As a browser's request comes through a proxy; node sends any byte in a header.
const click = (body, headers = {}) => new Promise((resolve, reject) => {
    const sent = request(url + '/rpc/capture_click', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: 'Bearer ' + anonymous, ...headers },
    }, (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    sent.on('error', reject);
    sent.end(JSON.stringify({ code: codeOf('ada', 'uid'), ...body }));
});
const cameFrom = (id, ip, agent) => sql(`
    SELECT k.ip_hash = sha256(s.salt || convert_to('${ip}', 'UTF8')) AND k.agent_hash = sha256(s.salt || convert_to('${agent}', 'UTF8'))
    FROM referral.click k JOIN referral.click_salt s USING (program_id, salt_id)
    WHERE k.program_id = 1 AND k.click_id = '${id}'`)[0];

test('a click tells its id and keeps no address but its hash', async () => {
    const agent = { 'User-Agent': 'Mozilla/5.0' };
    assert.deepEqual(await click({ click_id: 'h1' }, { ...agent, 'X-Real-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.8' }),
                     { status: 200, text: '"h1"' });
    assert.equal(cameFrom('h1', '203.0.113.9', 'Mozilla/5.0'), 't');
    await click({ click_id: 'h2', ip: '203.0.113.7', user_agent: 'other' }, { ...agent, 'X-Forwarded-For': '203.0.113.8, 10.0.0.1' });
    assert.equal(cameFrom('h2', '203.0.113.8', 'Mozilla/5.0'), 't');
    await click({ click_id: 'h3', ip: '203.0.113.7', user_agent: 'told' });
    assert.equal(cameFrom('h3', '203.0.113.7', 'told'), 't');
    assert.match((await click({})).text, /^"[0-9a-f-]{36}"$/);
    assert.deepEqual(sql("SELECT count(*) FROM referral.click k WHERE k::text LIKE '%203.0.113%' OR k::text LIKE '%Mozilla%'"), ['0']);
});

test('a click that is sent again changes nothing', async () => {
    const before = json("SELECT to_json(k) FROM referral.click k WHERE click_id = 'h1'");
    assert.deepEqual(await click({ click_id: 'h1', landing_path: '/other', utm_source: 'x' }), { status: 200, text: '"h1"' });
    assert.deepEqual(json("SELECT to_json(k) FROM referral.click k WHERE click_id = 'h1'"), before);
});

test('whatever a bot sends is cut, cleaned or refused', async () => {
    const long = '\u202e<script>alert(1)</script>\r\n../../'.repeat(300);
    const { status } = await click({ click_id: 'bot', landing_path: '/a?b=c' + long, utm_source: long, utm_medium: long,
                                     utm_campaign: long, ip: long, user_agent: long });
    assert.equal(status, 200);
    const row = json("SELECT to_json(k) FROM referral.click k WHERE click_id = 'bot'");
    assert.equal(row.landing_path, '/a');
    assert.equal(row.utm_source.length, 100);
    assert.ok(!/[\u0000-\u001f\u202e]/.test(row.utm_source + row.utm_campaign));
    for (const headers of [{ 'X-Real-IP': 'x'.repeat(8000) }, { 'X-Forwarded-For': ',,,' }, { 'User-Agent': 'caf\xe9 \xff' },
                           { 'X-Real-IP': '\xff' }, { 'User-Agent': '"\\u0000' }]) {
        const answer = await click({}, headers);
        assert.equal(answer.status, 200, JSON.stringify(headers).slice(0, 60) + answer.text);
    }
    for (const body of [{ click_id: 'a b' }, { click_id: 'x'.repeat(201) }, { code: long }, { code: '' }, { code: null }]) {
        const answer = await click(body);
        assert.equal(answer.status, 400, answer.text);
        assert.ok(!answer.text.includes('script') && !answer.text.includes('xxx'), answer.text);
    }
});

test('the queue: who is held, is approved or rejected once', async () => {
    await call('campaign_code', {}, member('hub'));
    const code = codeOf('hub', 'campaign');
    for (const sub of ['held1', 'held2']) {
        await click({ code, click_id: 'of-' + sub, utm_campaign: 'letter' });
        assert.equal((await call('attribute', { code, click_id: 'of-' + sub }, member(sub))).body.status, 'review_required');
    }
    await ops.rpc('record_payment', { payment_id: 'held', user_id: 'held1', amount_micro: 10000 });
    const queue = (await ops.rpc('list_attributions', { status: ['review_required'] })).data;
    assert.deepEqual(queue.map((row) => row.user_id), ['held2', 'held1']);
    assert.deepEqual(queue.map((row) => row.campaign), ['letter', 'letter']);
    const [second, first] = queue;
    assert.equal((await ops.rpc('attribution_detail', { id: first.id })).data.waiting_payments, 1);
    const approved = await ops.rpc('approve_attribution', { id: first.id, reason: 'known' });
    assert.equal(approved.data.status, 'rewarded');
    assert.equal(approved.data.reward_micro, 1500);
    const rejected = await ops.rpc('reject_attribution', { id: second.id, actor: 'boss', reason: 'no' });
    assert.equal(rejected.data.status, 'rejected');
    assert.deepEqual((await ops.rpc('approve_attribution', { id: second.id })).data, rejected.data);
    assert.deepEqual((await ops.rpc('reject_attribution', { id: first.id })).data, approved.data);
    assert.deepEqual((await ops.rpc('list_attributions', { status: ['review_required'] })).data, []);
    const { data } = await ops.rpc('attribution_detail', { id: first.id });
    assert.deepEqual([data.decision, data.decided_by, data.decision_reason, data.held_by], ['approved', 'ops', 'known', ['campaign']]);
    assert.deepEqual(data.attribution, approved.data);
    assert.deepEqual(data.rewards.map((reward) => [reward.user_id, reward.amount_micro]), [['hub', 1500]]);
    assert.equal((await ops.rpc('attribution_detail', { id: second.id })).data.decided_by, 'boss');
    assert.deepEqual((await call('verify', {}, operator())).body, []);
});

test('what operators read by HTTP is what SQL reads', async () => {
    for (const [name, args, named] of [
        ['list_attributions', {}, 'program_id => 1'],
        ['list_attributions', { user_id: 'ada', max_rows: 1 }, "'ada', max_rows => 1, program_id => 1"],
        ['list_attributions', { campaign: 'letter', status: ['rejected'] }, "campaign => 'letter', status => '{rejected}', program_id => 1"],
        ['leaderboard', { since: '2020-01-01', max_rows: 2 }, "'2020-01-01', max_rows => 2, program_id => 1"],
    ]) {
        const { body } = await call(name, args, operator());
        assert.ok(body.length > 0, name);
        assert.deepEqual(body, json(`SELECT json_agg(r) FROM referral.${name}(${named}) r`), name);
    }
    for (const args of [{}, { campaign: 'letter' }, { since: '2020-01-01', until: '2100-01-01', campaign: 'Spring' }]) {
        const { body } = await call('funnel_stats', args, operator());
        const named = Object.entries(args).map(([arg, value]) => `${arg} => '${value}', `).join('');
        assert.deepEqual(body, json(`SELECT to_json(referral.funnel_stats(${named}program_id => 1))`));
    }
    assert.deepEqual(await call('funnel_stats', {}, operator({ program_id: 2 })).then(({ body }) => body.clicks), 0);
    const get = await fetch(`${url}/rpc/funnel_stats?campaign=letter`, { headers: { Authorization: 'Bearer ' + operator() } });
    assert.deepEqual(await get.json(), { clicks: 2, attributed: 2, qualified: 1, rewarded: 1, capped: 0, review_required: 0, rejected: 1 });
    assert.equal((await call('attribution_detail', { id: 1 }, operator({ program_id: 2 }))).body?.attribution ?? null, null);
});

test('events come in pages and in order', async () => {
    let after = 0;
    const seen = [];
    for (;;) {
        const { data, error } = await ops.rpc('next_events', { after, max: 100 });
        assert.equal(error, null);
        if (data.length === 0) {
            break;
        }
        assert.ok(data.length <= 100);
        seen.push(...data);
        after = data.at(-1).id;
    }
    assert.deepEqual(seen.map((event) => event.id), seen.map((event) => event.id).toSorted((a, b) => a - b));
    const decided = seen.filter((event) => event.kind === 'attribution_decided' && event.user_id.startsWith('held'));
    assert.deepEqual(decided.map((event) => event.data.decision), ['review_required', 'review_required', 'approved', 'rejected']);
    assert.ok(seen.filter((event) => event.kind === 'reward_created').length >= 252);
    assert.equal((await ops.rpc('next_events', { max: 1000 })).data.length, 200);
    assert.deepEqual((await call('next_events', {}, operator({ program_id: 2 }))).body, []);
});
