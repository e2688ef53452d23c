// What the functions take and answer, with the client that applications use.
import test from 'node:test';
import assert from 'node:assert/strict';
import { call, client, member, native, operator, sql, url } from './client.mjs';

const ada = client(member('ada'));

test('rewards come in pages, by skip and by before_id', async () => {
    const first = await ada.rpc('list_rewards', { max_rows: 3 });
    assert.equal(first.error, null);
    assert.equal(first.data.length, 3);
    const ids = (rows) => rows.map((row) => row.id);
    assert.deepEqual(ids(first.data), ids(first.data).slice().sort((a, b) => b - a));
    const second = await ada.rpc('list_rewards', { max_rows: 3, skip: 3 });
    const after = await ada.rpc('list_rewards', { max_rows: 3, before_id: first.data[2].id });
    assert.deepEqual(after.data, second.data);
    assert.ok(second.data[0].id < first.data[2].id);
    assert.deepEqual((await ada.rpc('list_rewards', { skip: 100000 })).data, []);
});

test('a page has 50 rows by default and 200 at most', async () => {
    const rows = async (args) => (await ada.rpc('list_rewards', args)).data.length;
    assert.equal(await rows({}), 50);
    for (const max_rows of [null, -1]) {
        assert.equal(await rows({ max_rows }), 50, String(max_rows));
    }
    assert.equal(await rows({ max_rows: 0 }), 0);
    assert.equal(await rows({ max_rows: 200 }), 200);
    assert.equal(await rows({ max_rows: 201 }), 200);
    assert.equal(await rows({ max_rows: 2147483647 }), 200);
    assert.equal(await rows({ skip: -1 }), 50);
});

test('rewards are filtered by status; an unknown one matches nothing', async () => {
    const rows = async (status) => (await ada.rpc('list_rewards', { status, max_rows: 200 })).data;
    assert.equal((await rows(['available'])).length, 200);
    assert.deepEqual(await rows(['pending']), []);
    assert.deepEqual(await rows(['nonsense']), []);
    assert.equal((await rows(['available', 'nonsense'])).length, 200);
});

test('a reward says what it is', async () => {
    const { data } = await client(member('bob')).rpc('list_rewards', {});
    const { id, created_at, available_at, ...row } = data[0];
    assert.deepEqual(row, {
        status: 'available', level: 1, tier: 1, rate_bps: 1500, base_micro: 2000, amount_micro: 300,
        reversed_micro: 0, written_off_micro: 0, currency: 'USD', invitee_user_id: 'cyn',
        invitee_display: null, payment_id: 'c1',
    });
    assert.ok(Number.isInteger(id) && created_at === available_at);
});

test('lists by HTTP are the lists by SQL', async () => {
    for (const list of ['list_rewards', 'list_invitees', 'list_downline', 'level_stats']) {
        const { body } = await call(list, {}, member('ada'));
        const rows = sql(`SELECT coalesce(json_agg(r), '[]') FROM referral.${list}('ada', program_id => 1) r`);
        assert.deepEqual(body, JSON.parse(rows.join('')), list);
    }
    const days = await call('earnings_by_day', { since: '2020-01-01', until: '2100-01-01' }, member('ada'));
    assert.equal(days.body.reduce((sum, row) => sum + row.payments, 0), 251);
});

test('the client sets and removes a slug', async () => {
    const set = await ada.rpc('set_custom_slug', { slug: '  Ada-1 ' });
    assert.equal(set.error, null);
    assert.equal(set.data.code, 'ada-1');
    assert.equal((await ada.rpc('referral_overview')).data.custom_slug, 'ada-1');
    assert.equal((await ada.rpc('remove_custom_slug')).error, null);
    assert.equal((await ada.rpc('remove_custom_slug')).error, null);
    assert.equal((await ada.rpc('referral_overview')).data.custom_slug, null);
});

test('attribution: its outcome is a result, never an error', async () => {
    const attempt = async (sub, code) => (await client(member(sub)).rpc('attribute', { code })).data;
    const code = (await ada.rpc('referral_overview')).data.primary_code;
    assert.equal((await attempt('fay', 'NOSUCHCODE')).reason, 'unknown_code');
    assert.equal((await attempt('ada', code)).reason, 'self_referral');
    assert.equal((await attempt('bob', code)).reason, 'already_attributed');
    const fay = await attempt('fay', code.toLowerCase());
    assert.equal(fay.attributed, true);
    assert.equal(fay.status, 'attributed');
    assert.equal((await attempt('fay', code)).reason, 'already_attributed');
});

test('a campaign code is issued once', async () => {
    const first = await call('campaign_code', {}, member('ada'));
    assert.equal(first.status, 200);
    const row = Array.isArray(first.body) ? first.body[0] : first.body;
    assert.equal(row.cap, 5);
    assert.equal(row.used, 0);
    assert.deepEqual((await call('campaign_code', {}, member('ada'))).body, first.body);
});

test('a payment recorded twice is recorded once; another body is a conflict', async () => {
    const ops = client(operator());
    const payment = { payment_id: 'twice', user_id: 'bob', amount_micro: '9007199254740993' };
    const first = await ops.rpc('record_payment', payment);
    assert.equal(first.data.replayed, false);
    const again = await ops.rpc('record_payment', payment);
    assert.equal(again.data.replayed, true);
    assert.equal(again.data.rewards, first.data.rewards);
    const other = await ops.rpc('record_payment', { ...payment, amount_micro: 1 });
    assert.equal(other.status, 400);
    assert.equal(other.error.code, 'RF001');
    assert.deepEqual(sql("SELECT amount_micro FROM referral.payment WHERE payment_id = 'twice'"), ['9007199254740993']);
});

test('each situation has its status', async () => {
    const situations = [
        ['set_custom_slug', { slug: '-x-' }, member('ada'), 400, '22023', 'slug_invalid'],
        ['set_custom_slug', { slug: 'admin' }, member('ada'), 400, 'RF002', 'slug_reserved'],
        ['set_custom_slug', { slug: 'bobs-own' }, member('ada'), 409, '23505', 'slug_taken'],
        ['set_tier', { user_id: 'ada', tier: 99, note: '', actor: 'ops' }, operator(), 400, '22023', 'invalid_tier'],
        ['set_tier', { user_id: 'zoe', tier: 1, note: '', actor: 'ops' }, operator(), 400, 'RF003', 'unknown_member'],
        ['campaign_code', { user_id: 'ada', campaign_id: 7 }, operator(), 409, '23503', 'unknown_campaign'],
        ['record_payment', { payment_id: 'neg', user_id: 'bob', amount_micro: -1 }, operator(), 400, '22003'],
        ['record_payment', { payment_id: 'far', user_id: 'bob', amount_micro: 1, occurred_at: '2200-01-01' },
            operator(), 400, '22008'],
        ['record_payment', { payment_id: 'big', user_id: 'bob', amount_micro: '9223372036854775808' },
            operator(), 400, '22003'],
        ['record_payment', { payment_id: 'txt', user_id: 'bob', amount_micro: 'ten' }, operator(), 400, '22P02'],
        ['record_payment', { payment_id: 'p2', user_id: 'bob', amount_micro: 1 }, operator({ program_id: 9 }),
            409, '23503'],
        ['capture_click', { code: 'NOSUCHCODE' }, member('ada'), 400, '22023', 'unknown_code'],
        ['capture_click', { code: 'NOSUCHCODE', click_id: 'a/b' }, member('ada'), 400, '22023', 'invalid click_id'],
        ['approve_attribution', { id: -1 }, operator(), 400, 'RF010', 'unknown_attribution'],
        ['reject_attribution', { id: 1 }, operator(), 400, 'RF012', 'attribution_not_in_review'],
        ['reject_attribution', { id: 1, actor: '' }, operator(), 400, '22023', 'invalid actor'],
        ['funnel_stats', { since: 'yesteryear' }, operator(), 400, '22007'],
        ['statement', { at: 'infinity' }, member('ada'), 400, '22008', 'invalid at'],
        ['attribute', { code: 'x', user_id: 'ada', at: '0001-01-01 BC' }, operator(), 400, '22008', 'invalid at'],
        ['record_payment', { payment_id: 'old', user_id: 'bob', amount_micro: 1, occurred_at: '-infinity' },
            operator(), 400, '22008', 'invalid at'],
        ['record_refund', { refund_id: 'old', payment_id: 'p1', amount_micro: 1, occurred_at: '0044-03-15 BC' },
            operator(), 400, '22008', 'invalid at'],
        ['statement', { at: '10000-01-01' }, member('ada'), 400, '22008', 'invalid at'],
        ['no_such_function', {}, operator(), 404, 'PGRST202'],
    ];
    await call('set_custom_slug', { slug: 'bobs-own' }, member('bob'));
    for (const [name, args, jwt, status, code, message] of situations) {
        const answer = await call(name, args, jwt);
        const what = `${name} ${JSON.stringify(args)}: ${JSON.stringify(answer.body)}`;
        assert.equal(answer.status, status, what);
        assert.equal(answer.body.code, code, what);
        if (message) {
            assert.equal(answer.body.message, message, what);
        }
        assert.ok(!answer.body.message.includes('bobs-own'), 'facts go to the details');
    }
    const get = await fetch(`${url}/rpc/set_custom_slug?slug=abc`, { headers: { Authorization: 'Bearer ' + member('ada') } });
    assert.equal(get.status, 405);
});

test('the root describes every function', async () => {
    const api = await native();
    assert.deepEqual(await api.faults(), []);
    assert.match(api.document.info.title, /referral/i);
    const names = sql(`SELECT DISTINCT proname FROM pg_proc
                        WHERE pronamespace = 'referral_api'::regnamespace AND prorettype <> 'json'::regtype
                        ORDER BY 1`);
    assert.ok(names.length >= 40, names.join());
    assert.deepEqual(Object.keys(api.document.paths), names.map((name) => '/rpc/' + name));
    for (const name of names) {
        const { post } = api.document.paths['/rpc/' + name];
        assert.ok(post.summary.length > 10, `${name} has no summary`);
        assert.match(post.description ?? '', /Example: (GET|POST) \/rpc\//, name);
    }
    // Whom it calls for is whom the grants let in.
    const may = (role) => sql(`SELECT proname FROM pg_proc WHERE pronamespace = 'referral_api'::regnamespace
                                 AND prorettype <> 'json'::regtype
                                 AND has_function_privilege('${role}', oid, 'EXECUTE') ORDER BY 1`);
    const tagged = (...tags) => names.filter((name) => tags.includes(api.document.paths['/rpc/' + name].post.tags[0]));
    assert.deepEqual(tagged('anon'), may('web_anon'));
    assert.deepEqual(tagged('anon', 'member'), may('web_member'));
    assert.deepEqual(names, may('web_operator'));
});

test('arguments, defaults and types are those of the catalog', async () => {
    const { post, get } = (await native()).document.paths['/rpc/record_payment'];
    assert.equal(get, undefined);
    const { schema } = post.requestBody.content['application/json'];
    const amount = { type: ['integer', 'string', 'null'], format: 'int64', pattern: '^-?[0-9]+$' };
    assert.deepEqual(schema, {
        type: 'object',
        properties: {
            payment_id: { type: ['string', 'null'] }, user_id: { type: ['string', 'null'] },
            amount_micro: amount, base_micro: amount,
            kind: { type: ['string', 'null'], default: 'purchase' },
            occurred_at: { type: ['string', 'null'], format: 'date-time' },
        },
        required: ['payment_id', 'user_id', 'amount_micro'],
        additionalProperties: false,
    });
    assert.deepEqual(post['x-errors'], ['idempotency_conflict', 'invalid at']);
    const rewards = (await native()).document.paths['/rpc/list_rewards'];
    assert.deepEqual(rewards.get.parameters[0].schema, { type: 'string', pattern: '^\\{.*\\}$' });
    assert.deepEqual(rewards.post.requestBody.content['application/json'].schema.properties.status,
        { type: ['array', 'null'], items: { type: 'string' } });
    assert.deepEqual(rewards.post.responses[200].content['application/json'].schema,
        { type: 'array', items: { $ref: '#/components/schemas/reward_row' } });
    const { reward_row, overview } = (await native()).document.components.schemas;
    assert.deepEqual(reward_row.properties.invitee_display,
        { type: ['string', 'null'], description: 'Display name of who paid; NULL: none known' });
    assert.deepEqual(overview.properties.balance.$ref, '#/components/schemas/balance');
});

test('every function answers as it is described, with rows where there are rows', async () => {
    sql(`INSERT INTO referral.program (program_id, name, max_level, hold_days, event_days, uses_grants)
         VALUES (51, 'Described', 3, 0, 30, true);
         INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (51, 1, 'Start', 0), (51, 2, 'Top', 9);
         INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (51, 1, 1000), (51, 2, 500);
         INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
         VALUES (51, 1, 'Letter', now() - '1 day'::interval, now() + '9 days'::interval, 7);
         INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (51, 'campaign', 1)`);
    const at51 = { program_id: 51 };
    const [top, mid, ops] = [member('top', at51), member('mid', at51), operator(at51)];
    let last;
    const ask = async (jwt, name, args = {}) => {
        const { status, body } = await call(name, args, jwt);
        assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
        assert.notDeepEqual(body, [], name);
        return last = body;
    };
    await ask(mid, 'whoami');
    const code = await ask(ops, 'enroll', { user_id: 'top', display_name: 'Top', image_url: 'https://example.com/t.png' });
    await ask(top, 'set_custom_slug', { slug: 'the-top' });
    await ask(mid, 'validate_code', { code });
    const click_id = await ask(mid, 'capture_click', { code, utm_campaign: 'letter', utm_source: 'a', landing_path: '/x' });
    await ask(mid, 'attribute', { code, click_id });
    await ask(mid, 'attribute', { code: 'NOSUCHCODE' });
    await ask(member('low', at51), 'attribute', { code: (await ask(mid, 'referral_overview')).primary_code });
    const letter = (await ask(top, 'campaign_code'))[0].code;
    for (const [user_id, decide] of [['held1', 'approve_attribution'], ['held2', 'reject_attribution']]) {
        const { attribution_id: id } = await ask(ops, 'attribute', { user_id, code: letter });
        await ask(ops, 'record_payment', { payment_id: 'p-' + user_id, user_id, amount_micro: 10 ** 9 });
        await ask(ops, 'attribution_detail', { id });
        await ask(ops, decide, { id, reason: 'seen' });
        await ask(ops, 'attribution_detail', { id });
    }
    await ask(ops, 'record_payment', { payment_id: 'p1', user_id: 'mid', amount_micro: 10 ** 9 });
    await ask(ops, 'record_payment', { payment_id: 'p2', user_id: 'low', amount_micro: '1000000000', kind: 'deposit' });
    await ask(ops, 'record_payment', { payment_id: 'p3', user_id: 'low', amount_micro: '1000000000' });
    await ask(ops, 'record_refund', { refund_id: 'r1', payment_id: 'p3', amount_micro: 10 ** 6, reason: 'part' });
    await ask(ops, 'record_refund', { refund_id: 'r2', payment_id: 'p9', amount_micro: 10 ** 6 });
    await ask(ops, 'attribution_detail', { id: -1 });
    assert.ok(Object.values(last).every((value) => value === null));
    await ask(ops, 'spend', { user_id: 'top', amount_micro: 5, spend_id: 's1' });
    await ask(ops, 'unspend', { spend_id: 's1' });
    await ask(ops, 'adjust', { user_id: 'top', adjustment_id: 'a1', amount_micro: -5, note: 'x' });
    await ask(ops, 'set_payout_destination', { user_id: 'top', network: 'sepa', address: 'DE02' });
    for (const [payout_id, ...moves] of [['w1', 'payout_processing', 'payout_sent'], ['w2', 'payout_failed'], ['w3', 'payout_cancel'], ['w4']]) {
        await ask(top, 'request_payout', { payout_id, amount_micro: 1000 });
        for (const move of moves) {
            await ask(ops, move, { payout_id });
        }
    }
    await ask(ops, 'payout_batch', { batch_id: 'b1' });
    await ask(ops, 'set_payout_destination', { user_id: 'top', network: null, address: null });
    const grants = await ask(ops, 'claim_grants');
    await ask(ops, 'confirm_grant', { grant_key: grants[0].grant_key });
    await ask(ops, 'fail_grant', { grant_key: grants[1].grant_key, error: 'timeout' });
    await ask(ops, 'recover_grants');
    await ask(ops, 'set_tier', { user_id: 'mid', tier: 2, note: 'x' });
    await ask(ops, 'suspend', { user_id: 'low' });
    await ask(ops, 'reinstate', { user_id: 'low' });
    const rewards = await ask(top, 'list_rewards');
    await ask(ops, 'explain_reward', { id: rewards[0].id });
    await ask(ops, 'explain_payment', { payment_id: 'p1' });
    for (const list of ['list_invitees', 'list_downline', 'level_stats', 'earnings_by_day', 'list_payouts', 'statement']) {
        await ask(top, list);
    }
    for (const list of ['list_attributions', 'funnel_stats', 'leaderboard', 'next_events']) {
        await ask(ops, list);
    }
    await ask(top, 'whoami');
    await ask(top, 'remove_custom_slug');
    sql('CALL referral.rebuild(51)');
    await ask(ops, 'maintenance_progress');
    assert.deepEqual((await call('verify', {}, ops)).body, []);
    // And what no call can make: long work, and broken books.
    sql("INSERT INTO referral.progress (program_id, task, subject) VALUES (51, 'maintain', 'all')");
    await ask(ops, 'maintenance_progress');
    sql(`UPDATE referral.invited SET paid_invitees = paid_invitees + 1 WHERE program_id = 51`);
    await ask(ops, 'verify');
    sql(`UPDATE referral.invited SET paid_invitees = paid_invitees - 1 WHERE program_id = 51`);
    assert.deepEqual((await call('verify', {}, ops)).body, []);

    assert.deepEqual((await native()).unseen('200').filter((each) => each.startsWith('post ')), []);
});

test('no answer to odd input is a 5xx', async () => {
    const odd = [
        null, true, -1, 0, 1.5, 1e300, '9'.repeat(400), '', ' ', '\u0000', 'a\u0000b', '\r\nX-Injected: yes',
        '\ud800', '<script>', "'; DROP TABLE x", '%', '\u{1F600}'.repeat(300), 'x'.repeat(100000), [], [[]],
        [null], ['a', 1], {}, { a: { b: [] } }, 'infinity', '-infinity', 'NaN', '0001-01-01 BC', '294277-01-01',
    ];
    const functions = JSON.parse(sql(`
        SELECT json_agg(json_build_object('name', proname, 'args', coalesce(proargnames[1:pronargs], '{}')))
        FROM pg_proc WHERE pronamespace = 'referral_api'::regnamespace AND prorettype <> 'json'::regtype`).join(''));
    const bodies = ['', 'null', '[]', '"x"', '{', '{"a":', '\u0000', '[{}]', '{"":1}', '{"user_id":"a","user_id":"b"}',
                    '['.repeat(20000) + ']'.repeat(20000)];
    const two = { program_id: 2 };
    let asked = 0;
    for (const { name, args } of functions) {
        for (const jwt of [undefined, member('odd', two), operator(two)]) {
            for (const body of bodies) {
                const { status } = await call(name, body, jwt);
                assert.ok(status < 500, `${name} ${body.slice(0, 40)}: ${status}`);
                asked += 1;
            }
        }
        for (const arg of args) {
            for (const value of odd) {
                const rest = Object.fromEntries(args.map((each) => [each, 'ada']));
                for (const body of [{ [arg]: value }, { ...rest, [arg]: value }]) {
                    const { status, body: answer } = await call(name, body, operator(two));
                    assert.ok(status < 500, `${name} ${JSON.stringify(body).slice(0, 80)}: ${status} ${JSON.stringify(answer)}`);
                    asked += 1;
                }
            }
        }
    }
    assert.ok(asked > 500, `${asked} requests`);
    assert.deepEqual((await call('verify', {}, operator())).body, []);
});

test('a hostile name stays data', async () => {
    const { headers, body } = await call('set_custom_slug', { slug: 'a\r\nX-Injected: yes' }, member('ada'));
    assert.equal(headers.get('x-injected'), null);
    assert.equal(body.message, 'slug_invalid');
    const invitees = await fetch(`${url}/rpc/referral_overview`, {
        method: 'POST', headers: { Authorization: 'Bearer ' + member('bob') },
    });
    assert.match(invitees.headers.get('content-type'), /^application\/json/);
    assert.equal((await invitees.json()).inviter_display, 'Ada <b>');
});
