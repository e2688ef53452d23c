// What the functions take and answer, with the client that applications use.
import test from 'node:test';
import assert from 'node:assert/strict';
import { call, client, member, operator, sql, url } from './client.mjs';

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
    const api = await (await fetch(url + '/')).json();
    const names = sql(`SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'referral_api'::regnamespace ORDER BY 1`);
    assert.ok(names.length >= 15, names.join());
    for (const name of names) {
        const post = api.paths['/rpc/' + name]?.post;
        assert.ok(post?.summary?.length > 10, `${name} has no summary`);
    }
    assert.match(api.info.title, /referral/i);
});

test('no answer to odd input is a 5xx', async () => {
    const odd = [
        null, true, -1, 0, 1.5, 1e300, '9'.repeat(400), '', ' ', '\u0000', 'a\u0000b', '\r\nX-Injected: yes',
        '\ud800', '<script>', "'; DROP TABLE x", '%', '\u{1F600}'.repeat(300), 'x'.repeat(100000), [], [[]],
        [null], ['a', 1], {}, { a: { b: [] } }, 'infinity', '-infinity', 'NaN', '0001-01-01 BC', '294277-01-01',
    ];
    const functions = JSON.parse(sql(`
        SELECT json_agg(json_build_object('name', proname, 'args', coalesce(proargnames[1:pronargs], '{}')))
        FROM pg_proc WHERE pronamespace = 'referral_api'::regnamespace`).join(''));
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
