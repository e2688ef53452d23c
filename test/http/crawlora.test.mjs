// The contract /crawlora through nginx and PostgREST: every endpoint, field,
// quirk and error; then a client written as its documentation's examples are.
import test from 'node:test';
import assert from 'node:assert/strict';
import { sql, token } from './client.mjs';
import { api, bearer, member, operator, site } from './contract.mjs';

const call = api('crawlora');

// Program 21: ann has referred somebody of each status, in a program that grants
// nothing outside. Program 22: the same user_ids, grants, and hub with 120 referrals.
const [A, B, opsKey, clientKey, otherKey, revokedKey, holdCode] = sql(`
    INSERT INTO referral.program (program_id, name, max_level, hold_days, qualify_days, referrer_monthly_cap, uses_grants, time_zone)
    VALUES (21, 'Crawlora', 1, 0, 30, 10, false, 'UTC'), (22, 'Other', 1, 0, NULL, NULL, true, 'Asia/Tokyo');
    INSERT INTO referral.tier (program_id, tier, label) VALUES (21, 1, 'Start');
    INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (21, 2, 'Top', 100);
    INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
    SELECT 21, k, name, '2024-01-01', '2100-01-01', cap
      FROM (VALUES (1, 'Half', NULL), (2, 'Held', NULL), (3, 'Nothing', NULL), (4, 'Capped', 1)) c(k, name, cap);
    INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (21, 'campaign', 2);
    INSERT INTO referral.rate (program_id, campaign_id, tier, level, flat_micro)
    VALUES (21, 0, 0, 1, 10000000000), (21, 0, 0, 0, 10000999999), (21, 0, 2, 1, 20000000000),
           (21, 1, 0, 1, 5000999999), (21, 1, 0, 0, 0), (21, 3, 0, 1, 0), (21, 3, 0, 0, 0),
           (22, 0, 0, 1, 7000000), (22, 0, 0, 2, 9000000);
    SET referral.program_id = 21;
    SELECT FROM referral.enroll('ann');
    DELETE FROM referral.code WHERE program_id = 21 AND user_id = 'ann';
    INSERT INTO referral.code (program_id, user_id, code) VALUES (21, 'ann', 'A1B2C3D4E5F6');
    SELECT FROM referral.attribute('b-exp', 'a1b2c3d4e5f6', at => '2024-03-01T09:00:00Z');
    SELECT FROM referral.attribute('b-rew', 'a1b2c3d4e5f6', at => '2024-03-01T09:00:00Z');
    SELECT FROM referral.campaign_code('ann', 1) c, referral.attribute('b-half', c.code, at => '2024-03-01T09:00:00Z');
    SELECT FROM referral.campaign_code('ann', 3) c, referral.attribute('b-nil', c.code, at => '2024-03-01T09:00:00Z');
    SELECT FROM referral.campaign_code('ann', 4) c, referral.attribute('b-fit', c.code, at => '2024-03-01T09:00:00Z');
    SELECT FROM referral.campaign_code('ann', 4) c, referral.attribute('b-cap', c.code, at => '2024-03-01T09:00:00Z');
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
    SELECT 21, 'inv-' || u, u, 5000000, '2024-03-02T10:30:00Z' FROM unnest('{b-rew,b-half,b-nil,b-fit,b-cap}'::text[]) u;
    SELECT FROM referral.campaign_code('ann', 2) c, referral.attribute('b-rev', c.code);
    SELECT FROM referral.campaign_code('ann', 2) c, referral.attribute('b-app', c.code);
    SELECT FROM referral.campaign_code('ann', 2) c, referral.attribute('b-rej', c.code);
    SELECT FROM referral.attribute('b-new', 'a1b2c3d4e5f6');
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
    VALUES (21, 'inv-app', 'b-app', 5000000), (21, 'inv-rej', 'b-rej', 5000000);
    SET referral.program_id = 22;
    SELECT FROM referral.enroll('ann');
    SELECT FROM referral.attribute('b-rew', referral.enroll('ann'));
    SELECT FROM generate_series(1, 120) n, referral.attribute('h' || n, referral.enroll('hub'));
    SELECT string_agg(referral.enroll('ann', program_id => p), ' ' ORDER BY p) FROM unnest('{21,22}'::bigint[]) p;
    SELECT api_key FROM referral.create_api_key('operator', 21);
    SELECT api_key FROM referral.create_api_key('client', 21);
    SELECT api_key FROM referral.create_api_key('operator', 22);
    SELECT k.api_key FROM referral.create_api_key('operator', 21) k, referral.revoke_api_key(k.key_id, 21);
    SELECT code FROM referral.campaign_code('ann', 2, 21);
`).join(' ').split(' ').filter(Boolean);
assert.equal(A, 'A1B2C3D4E5F6');

const in21 = { program_id: 21 };
const in22 = { program_id: 22 };
const Token = (jwt) => ({ Authorization: `Token ${jwt}` });
const key = (value) => ({ 'x-api-key': value });
const ann = Token(member('ann', in21));
const ops = key(opsKey);
const other = key(otherKey);

const ok = (data) => ({ code: 200, msg: 'ok', data });
const no = (code, msg) => ({ code, msg, data: null });

const id = (user, program = 21) =>
    sql(`SELECT attribution_id FROM referral.attribution WHERE program_id = ${program} AND user_id = '${user}'`)[0];
const state = () => sql(`
    SELECT string_agg(a::text, E'\n' ORDER BY a.program_id, a.attribution_id) FROM referral.attribution a;
    SELECT count(*) FROM referral.click; SELECT count(*) FROM referral.reward; SELECT count(*) FROM referral.member`).join('\n');

// Each row: name, method, path, headers, body, status, what the body must be (as
// it is, or what a function finds true of data).
function table(name, rows) {
    test(name, async (t) => {
        for (const [what, method, path, headers, body, status, expected] of rows) {
            await t.test(what, async () => {
                const answer = await call(method, path, { headers, body });
                assert.equal(answer.status, status, answer.text);
                assert.equal(answer.headers['cache-control'], 'no-store');
                if (typeof expected === 'function') {
                    assert.deepEqual(Object.keys(answer.body), ['code', 'msg', 'data']);
                    expected(answer.body.data, answer);
                } else {
                    assert.deepEqual(answer.body, expected);
                }
            });
        }
    });
}

const fixed = (user, more) => ({
    id: id(user), code: A, campaign: null, role: 'referrer',
    created_at: '2024-03-01T09:00:00+00:00', expires_at: '2024-03-31T09:00:00+00:00',
    qualified_at: '2024-03-02T10:30:00+00:00', rewarded_at: null, ...more,
});
const codeOf = (campaign) => sql(`SELECT code FROM referral.code WHERE program_id = 21 AND campaign_id = ${campaign}`)[0];
const day = 24 * 3600 * 1000;
const waits = (user, campaign, code, status, reward_credits) => (item) => {
    assert.equal(Date.parse(item.expires_at) - Date.parse(item.created_at), 30 * day);
    assert.ok(Math.abs(Date.now() - Date.parse(item.created_at)) < day);
    const { created_at, expires_at, ...rest } = item;
    assert.deepEqual(rest, { id: id(user), code, campaign, role: 'referrer', status, reward_credits,
        qualified_at: null, rewarded_at: null });
};
const items = [
    waits('b-new', null, A, 'attributed', 10000),
    waits('b-rej', 'Held', holdCode, 'review_required', 10000),
    waits('b-app', 'Held', holdCode, 'review_required', 10000),
    waits('b-rev', 'Held', holdCode, 'review_required', 10000),
    fixed('b-cap', { code: codeOf(4), campaign: 'Capped', status: 'capped', reward_credits: 0, qualified_at: null }),
    fixed('b-fit', { code: codeOf(4), campaign: 'Capped', status: 'rewarded', reward_credits: 10000, rewarded_at: '2024-03-02T10:30:00+00:00' }),
    fixed('b-nil', { code: codeOf(3), campaign: 'Nothing', status: 'qualified', reward_credits: 0 }),
    fixed('b-half', { code: codeOf(1), campaign: 'Half', status: 'rewarded', reward_credits: 5000, rewarded_at: '2024-03-02T10:30:00+00:00' }),
    fixed('b-rew', { status: 'rewarded', reward_credits: 10000, rewarded_at: '2024-03-02T10:30:00+00:00' }),
    fixed('b-exp', { status: 'expired', reward_credits: 0, qualified_at: null }),
];
const areItems = (from, to) => ({ items: sent, ...rest }) => {
    const wanted = items.slice(from, to);
    assert.equal(sent.length, wanted.length);
    sent.forEach((item, i) => typeof wanted[i] === 'function' ? wanted[i](item) : assert.deepEqual(item, wanted[i]));
    return rest;
};
const many = (n) => (data) => assert.equal(data.items.length, n);
const hub = Token(member('hub', in22));

table('GET /referrals/me', [
    ['the documented summary', 'GET', '/referrals/me', ann, undefined, 200, (data) => {
        const rest = areItems(0)(data);
        assert.deepEqual(rest, {
            code: 'A1B2C3D4E5F6', share_path: '/r/A1B2C3D4E5F6', reward_credits: 10000, referred_reward_credits: 10000,
            attribution_window_days: 30, monthly_referrer_reward_cap: 10,
            stats: { attributed: 1, qualified: 1, review_required: 3, rewarded: 3, expired: 1, capped: 1, rejected: 0 },
        });
    }],
    ['nobody else is named in it', 'GET', '/referrals/me', ann, undefined, 200, (data, { text }) => assert.doesNotMatch(text, /b-|inv-/)],
    ['the other program of the same user', 'GET', '/referrals/me', Token(member('ann', in22)), undefined, 200, (data) => {
        assert.equal(data.items[0].id, id('b-rew', 22));
        assert.deepEqual({ ...data, items: data.items.length }, {
            code: B, share_path: '/r/' + B, reward_credits: 7, referred_reward_credits: 0, attribution_window_days: 30,
            monthly_referrer_reward_cap: null, items: 1,
            stats: { attributed: 1, qualified: 0, review_required: 0, rewarded: 0, expired: 0, capped: 0, rejected: 0 },
        });
        assert.equal(data.items[0].expires_at, null);
    }],
    ['the 20 newest of many', 'GET', '/referrals/me', hub, undefined, 200, (data) => {
        assert.equal(data.items.length, 20);
        assert.equal(data.items[0].id, id('h120', 22));
        assert.equal(data.stats.attributed, 120);
    }],
    ['as the referred', 'GET', '/referrals/me', Token(member('b-rew', in21)), undefined, 200, (data) => {
        assert.equal(data.stats.rewarded, 0);
        assert.deepEqual(data.items, [fixed('b-rew', { role: 'referred', status: 'rewarded', reward_credits: 10000, rewarded_at: '2024-03-02T10:30:00+00:00' })]);
    }],
    ['as the referred of a campaign that rewards him nothing', 'GET', '/referrals/me', Token(member('b-half', in21)), undefined, 200,
        (data) => assert.equal(data.items[0].reward_credits, 0)],
    ['a Bearer token', 'GET', '/referrals/me', bearer(member('ann', in21)), undefined, 200, (data) => assert.equal(data.code, A)],
    ['any case of letters before the token', 'GET', '/referrals/me', { authorization: 'tOKEN ' + member('ann', in21) }, undefined, 200, () => {}],
    ['an operator is a member, too', 'GET', '/referrals/me', Token(operator(in21)), undefined, 200, (data) => assert.deepEqual(data.items, [])],
    ['a stranger becomes a member', 'GET', '/referrals/me', Token(member('first time', in21)), undefined, 200, (data) => {
        assert.equal(sql(`SELECT code FROM referral.code WHERE program_id = 21 AND user_id = 'first time'`)[0], data.code);
    }],
    ['the tier of the caller', 'GET', '/referrals/me', Token(member('top', in21)), undefined, 200, (data) => assert.equal(data.reward_credits, 10000)],
]);

test('the promise is that of the caller\'s tier and of the level that is paid', async () => {
    const me = async () => (await call('GET', '/referrals/me', { headers: Token(member('top', in21)) })).body.data;
    sql(`SELECT referral.set_tier('top', 2, 'test', 'test', 21)`);
    assert.equal((await me()).reward_credits, 20000);
    // The campaign's rate comes before the tier's.
    sql(`SELECT FROM referral.campaign_code('top', 1, 21) c, referral.attribute('t1', c.code, program_id => 21)`);
    assert.equal((await me()).items[0].reward_credits, 5000);
    sql('UPDATE referral.program SET max_level = 0 WHERE program_id = 21');
    try {
        assert.deepEqual([(await me()).reward_credits, (await me()).referred_reward_credits], [0, 10000]);
    } finally {
        sql('UPDATE referral.program SET max_level = 1 WHERE program_id = 21');
    }
});

table('GET /referrals/me/events', [
    ['all', 'GET', '/referrals/me/events', ann, undefined, 200, areItems(0)],
    ['a few', 'GET', '/referrals/me/events?limit=2', ann, undefined, 200, areItems(0, 2)],
    ['none yet', 'GET', '/referrals/me/events', Token(member('second', in21)), undefined, 200, ok({ items: [] })],
    ...[['', 50], ['?limit=', 50], ['?limit=0', 50], ['?limit=-1', 50], ['?limit=1.5', 50], ['?limit=1e1', 50], ['?limit=abc', 50],
        ['?limit=%00', 'malformed'], ['?limit=1', 1], ['?limit=007', 7], ['?limit=100', 100], ['?limit=101', 100], ['?limit=200', 100],
        ['?limit=2147483648', 100], ['?limit=99999999999999999999999', 100], ['?limit=3&limit=5', 3], ['?limit=x&limit=5', 50],
        ['?a=b&&=&limit=4&unknown', 4], ['?lim%69t=%36', 6], ['?LIMIT=5', 50], ['?limit', 50], ['?limit=5;limit=6', 50], ['?limit=+5', 50],
        ['?limit=%D9%A5', 50], ['?', 50]]
        .map(([query, n]) => [`limit${query}`, 'GET', `/referrals/me/events${query}`, hub, undefined,
            ...(n === 'malformed' ? [400, no(400, 'bad_request')] : [200, many(n)])]),
]);

test('a member who is referred and refers', async () => {
    sql(`SELECT FROM referral.attribute('c1', referral.enroll('b-new', program_id => 21), program_id => 21)`);
    const { body } = await call('GET', '/referrals/me/events', { headers: Token(member('b-new', in21)) });
    assert.deepEqual(body.data.items.map((item) => [item.id, item.role, item.status]),
        [[id('c1'), 'referrer', 'attributed'], [id('b-new'), 'referred', 'attributed']]);
    assert.equal(body.data.items[1].reward_credits, 10000);
});

// Clicks.
const visit = { click_id: 'refclk_abc123', code: 'A1B2C3D4E5F6', landing_path: '/pricing?token=secret#top',
    utm_campaign: 'spring-launch', utm_medium: 'email', utm_source: 'newsletter' };
const click21 = (headers, body) => ({ headers: { ...key(clientKey), ...headers }, body });
const aClick = (data) => {
    assert.match(data.click_id, /^[0-9a-f-]{36}$/);
    assert.equal(data.code, A);
};
const click = (name, headers, body, status, expected) => [name, 'POST', '/referrals/click', headers, body, status, expected];

table('POST /referrals/click', [
    click('the documented click', key(clientKey), visit, 200, ok({ click_id: 'refclk_abc123', code: A })),
    click('again', key(clientKey), visit, 200, ok({ click_id: 'refclk_abc123', code: A })),
    click('again, by another code: it stays what it was', key(clientKey), { ...visit, code: holdCode }, 200, ok({ click_id: 'refclk_abc123', code: A })),
    click('a code in small letters', key(clientKey), { code: 'a1b2c3d4e5f6', click_id: 'c.2' }, 200, ok({ click_id: 'c.2', code: A })),
    click('a made click_id', key(clientKey), { code: A }, 200, aClick),
    click('an empty click_id', key(clientKey), { code: A, click_id: '' }, 200, aClick),
    click('nulls', key(clientKey), { code: A, click_id: null, landing_path: null, utm_campaign: null, utm_medium: null, utm_source: null }, 200, aClick),
    click('more than is known', key(clientKey), { code: A, more: [1] }, 200, aClick),
    click('the key of an operator', ops, { code: A }, 200, aClick),
    click('x-client-key', { 'x-client-key': clientKey }, { code: A }, 200, aClick),
    click('x-client-key counts first', { 'x-client-key': clientKey, ...other }, { code: A }, 200, aClick),
    click('a token names the program', Token(member('b-exp', in21)), { code: A }, 200, aClick),
    click('a token of the other program', Token(member('b-exp', in22)), { code: A }, 400, no(400, 'unknown_code')),
    click('a key before a token', { ...Token(member('b-exp', in22)), ...key(clientKey) }, { code: A }, 200, aClick),
    click('a key of the other program', other, { code: A }, 400, no(400, 'unknown_code')),
    click('as a form sends it', { ...key(clientKey), 'Content-Type': 'application/x-www-form-urlencoded' }, JSON.stringify({ code: A }), 200, aClick),
    click('the documented curl', key(clientKey), '{}', 400, no(400, 'unknown_code')),
    click('nobody, where several programs are', {}, { code: A }, 400, no(400, 'ambiguous_program')),
    click('an unknown code', key(clientKey), { code: 'nobody' }, 400, no(400, 'unknown_code')),
    click('a code that is none', key(clientKey), { code: 'ä'.repeat(1000) }, 400, no(400, 'unknown_code')),
    ...['a b', 'x'.repeat(201), 'a\nb', 'ä', '<script>'].map((click_id) =>
        click('click_id ' + JSON.stringify(click_id).slice(0, 20), key(clientKey), { code: A, click_id }, 400, no(400, 'invalid_click_id'))),
    ...[revokedKey, clientKey + '0', 'rk_21_1', 'x', 'two words', 'x'.repeat(300), 'ü'].flatMap((bad) => [
        click('x-api-key ' + bad.slice(0, 9), key(bad), { code: A }, 401, no(401, 'unauthorized')),
        click('x-client-key ' + bad.slice(0, 9), { 'x-client-key': bad }, { code: A }, 401, no(401, 'unauthorized'))]),
    click('a bad token', Token('x.y.z'), { code: A }, 401, no(401, 'unauthorized')),
]);

test('a click is stored as hashes, without its query, and counted once', async () => {
    assert.deepEqual(sql(`
        SELECT landing_path, utm_source, utm_medium, utm_campaign, octet_length(ip_hash), agent_hash IS NULL
          FROM referral.click WHERE program_id = 21 AND click_id = 'refclk_abc123';
        SELECT count(*) FROM referral.click WHERE program_id = 21 AND click_id = 'refclk_abc123';
        SELECT sum(clicks) FROM referral.funnel WHERE program_id = 21 AND utm_key <> 0`),
    ['/pricing|newsletter|email|spring-launch|32|t', '1', '1']);
    await call('POST', '/referrals/click', click21({ 'User-Agent': 'Firefox' }, { code: A, click_id: 'agent' }));
    assert.deepEqual(sql(`SELECT octet_length(agent_hash) FROM referral.click WHERE program_id = 21 AND click_id = 'agent'`), ['32']);
});

test('long and odd texts of a click are cut, not refused', async () => {
    const body = { code: A, click_id: 'long', landing_path: '/' + 'ß'.repeat(5000), utm_campaign: '\u202eevil\u0007'.repeat(100), utm_medium: '', utm_source: ' x ' };
    assert.equal((await call('POST', '/referrals/click', click21({}, body))).status, 200);
    assert.deepEqual(sql(`SELECT length(landing_path), length(utm_campaign), utm_medium IS NULL, utm_source FROM referral.click
                           WHERE program_id = 21 AND click_id = 'long'`), ['500|100|t|x']);
});

test('a retried click under an Idempotency-Key is one click', async () => {
    const first = { 'Idempotency-Key': 'visit 1' };
    const tries = await Promise.all([first, first, first, { 'Idempotency-Key': 'visit 2' }, {}]
        .map((headers) => call('POST', '/referrals/click', click21(headers, { code: A }))));
    const ids = tries.map(({ body }) => body.data.click_id);
    assert.equal(new Set(ids).size, 3);
    assert.equal(new Set(ids.slice(0, 3)).size, 1);
    assert.equal(sql(`SELECT count(*) FROM referral.click WHERE program_id = 21 AND click_id = '${ids[0]}'`)[0], '1');
    const { body } = await call('POST', '/referrals/click', click21(first, { code: holdCode }));
    assert.notEqual(body.data.click_id, ids[0]);
    const odd = await call('POST', '/referrals/click', click21({ 'Idempotency-Key': 'x'.repeat(201) }, { code: A }));
    assert.deepEqual([odd.status, odd.body], [400, no(400, 'bad_request')]);
});

// Operators.
const shown = (user, more) => {
    const { role, reward_credits, ...item } = fixed(user, more);
    return { click_id: null, landing_path: null, utm_source: null, utm_medium: null, utm_campaign: null,
        referrer_user_id: 'ann', referred_user_id: user, first_paid_invoice_id: null, pending_grant: false, error: null, ...item };
};
const reward = (user, invoice, level, micro, more = {}) => ({
    id: sql(`SELECT reward_id FROM referral.reward WHERE program_id = 21 AND payment_id = '${invoice}' AND level = ${level}`)[0],
    user_id: user, level, status: 'available', reward_credits: Math.floor(micro / 1e6), amount_micro: micro, reversed_micro: 0,
    available_at: '2024-03-02T10:30:00+00:00', grant_status: null, granted_at: null, error: null, ...more,
});
const rewarded = shown('b-rew', { status: 'rewarded', first_paid_invoice_id: 'inv-b-rew', rewarded_at: '2024-03-02T10:30:00+00:00' });
const itsRewards = [reward('b-rew', 'inv-b-rew', 0, 10000999999), reward('ann', 'inv-b-rew', 1, 10000000000)];
const list = (query, expected, headers = ops) => [query || 'all', 'GET', '/admin/referrals' + query, headers, undefined, 200,
    Array.isArray(expected) ? (data) => assert.deepEqual(data.items.map((item) => item.referred_user_id), expected) : expected];
const everybody = ['c1', 't1', 'b-new', 'b-rej', 'b-app', 'b-rev', 'b-cap', 'b-fit', 'b-nil', 'b-half', 'b-rew', 'b-exp'];

table('GET /admin/referrals', [
    list('', everybody),
    list('', everybody, Token(operator(in21))),
    list('', everybody, { ...ann, ...ops }),
    list('?user_id=b-rew', ok({ items: [{ ...rewarded, rewards: itsRewards }] })),
    list('?user_id=ann', everybody.slice(2)),
    list('?user_id=b-new', ['c1', 'b-new']),
    list('?user_id=nobody', []),
    list('?user_id=', everybody),
    list('?status=rewarded', ['b-fit', 'b-half', 'b-rew']),
    list('?status=attributed', ['c1', 't1', 'b-new']),
    list('?status=qualified', ['b-nil']),
    list('?status=review_required', ['b-rej', 'b-app', 'b-rev']),
    list('?status=expired', ['b-exp']),
    list('?status=capped', ['b-cap']),
    list('?status=rejected', []),
    list('?status=failed', []),
    list('?status=nonsense', []),
    list('?status=', everybody),
    list('?status=capped&status=rewarded', ['b-cap']),
    list('?campaign=Held', ['b-rej', 'b-app', 'b-rev']),
    list('?campaign=spring-launch', []),
    list('?campaign=', everybody),
    list('?campaign=Held&status=capped', []),
    list('?pending_grant=true', []),
    list('?pending_grant=false', everybody),
    list('?pending_grant=maybe', everybody),
    list('?pending_grant=', everybody),
    list('?limit=2', everybody.slice(0, 2)),
    list('?limit=0', everybody),
    list("?user_id='%20OR%20true--&x=%27", []),
    list('?user_id=%F0%9F%98%80', []),
    list('', many(50), other),
    list('?limit=1000', many(100), other),
    list('?user_id=b-rew', (data) => assert.deepEqual(data.items.map((item) => [item.id, item.code]), [[id('b-rew', 22), B]]), other),
]);
const one = (path, status, expected, headers = ops) => [path, 'GET', '/admin/referrals/' + path, headers, undefined, status, expected];
const unknown = no(404, 'unknown_attribution');
table('GET /admin/referrals/{id}', [
    one(id('b-rew'), 200, ok({ attribution: rewarded, rewards: itsRewards })),
    one(id('b-rew'), 200, ok({ attribution: rewarded, rewards: itsRewards }), Token(operator(in21))),
    one(id('b-rev'), 200, (data) => assert.deepEqual([data.attribution.status, data.attribution.error, data.rewards], ['review_required', 'held by campaign', []])),
    one(id('b-rew'), 404, unknown, other),
    one(id('b-rew', 22), 404, unknown),
    one('%3' + id('b-rew')[0] + id('b-rew').slice(1), 200, ok({ attribution: rewarded, rewards: itsRewards })),
    one(id('b-rew') + '?id=1', 200, (data) => assert.equal(data.attribution.id, id('b-rew'))),
    ...['0', '-1', '+1', '1.0', '1e3', '0x1', 'attr-1', '9223372036854775807', '9223372036854775808', '1'.repeat(200), '%20', '%E2%82%AC', '%F0%9F%98%80',
        "1'--", '1%2F2', '1;drop', '*', '%25', '0' + id('b-rew'), id('b-rew') + '%20', id('b-rew') + '%0A', '٣', 'null']
        .filter((path) => !/[^\x00-\x7f]/.test(path)).map((path) => one(path, 404, unknown)),
    one('1'.repeat(201), 400, no(400, 'invalid_id')),
    one('%F0%9F%98%80'.repeat(201), 400, no(400, 'invalid_id')),
    ...['%', '%00', '%zz', '%ff', '%C0%AF', '%ED%A0%80'].map((path) => one(path, 400, no(400, 'bad_request'))),
    one(id('b-rew') + '/', 404, no(404, 'not_found')),
    one(id('b-rew') + '/nothing', 404, no(404, 'not_found')),
    one('', 404, no(404, 'not_found')),
]);

const stats = (query, expected, headers = ops, status = 200) =>
    [query || 'all', 'GET', '/admin/referrals/stats' + query, headers, undefined, status, expected];
const funnel = (clicks, attributed, qualified, rewarded, capped, review_required, rejected) =>
    ok({ clicks, attributed, qualified, rewarded, capped, review_required, rejected });
const on = (from, to) => `?from=${from}&to=${to}`;
const march = funnel(0, 6, 4, 3, 1, 0, 0);
const nothing = funnel(0, 0, 0, 0, 0, 0, 0);
table('GET /admin/referrals/stats', [
    stats('', (data) => assert.deepEqual({ ...data, clicks: 0 }, funnel(0, 12, 4, 3, 1, 3, 0).data)),
    stats('', (data) => assert.deepEqual({ ...data, clicks: 0 }, funnel(0, 12, 4, 3, 1, 3, 0).data), Token(operator(in21))),
    stats('?to=2024-12-31T00:00:00Z', march),
    stats('?from=2024-03-01T00:00:00Z&to=2024-03-02T00:00:00Z', march),
    stats(on('2024-03-01T23:59:59Z', '2024-03-02T00:00:00Z'), march),
    stats(on('2024-03-01T00:00:00Z', '2024-03-01T00:00:00.000001Z'), march),
    stats(on('2024-02-01T00:00:00Z', '2024-03-01T00:00:00Z'), nothing),
    stats(on('2024-03-02T00:00:00Z', '2024-04-01T00:00:00Z'), nothing),
    stats(on('2024-03-01T12:00:00Z', '2024-03-01T12:00:00Z'), nothing),
    stats(on('2024-03-01T12:00:00Z', '2024-02-01T12:00:00Z'), nothing),
    stats(on('2024-03-02T00:30:00%2B01:00', '2024-03-02T01:00:00%2B01:00'), march),
    stats(on('2024-03-02T00:30:00+01:00', '2024-03-02T01:00:00+01:00'), march),
    stats(on('2024-03-01t00:00:00.5z', '2024-03-01%2023:00:00-00:00'), march),
    stats('?to=2024-12-31T00:00:00Z&campaign=Capped', funnel(0, 2, 1, 1, 1, 0, 0)),
    stats('?campaign=spring-launch', funnel(1, 0, 0, 0, 0, 0, 0)),
    stats('?campaign=nothing', nothing),
    stats('?from=&to=&campaign=', (data) => assert.equal(data.attributed, 12)),
    stats('', (data) => assert.equal(data.attributed, 121), other),
    ...['yesterday', '2024-03-01', '2024-03-01T00:00:00', '1709251200', '2024-13-01T00:00:00Z', '2024-02-30T00:00:00Z', '0000-01-01T00:00:00Z',
        '2024-03-01T25:00:00Z', '2024-03-01T00:00:00%2B99:00', 'infinity', 'now', '%20', '99999-01-01T00:00:00Z', '2024-03-01T00:00:00Z%0A', "';--"].flatMap((time) => [
        stats('?from=' + time, no(400, 'invalid_from'), ops, 400),
        stats('?to=' + time, no(400, 'invalid_to'), ops, 400)]),
]);

test('days are those of the program\'s zone', async () => {
    const counted = async (from, to) =>
        (await call('GET', '/admin/referrals/stats' + on(from, to), { headers: other })).body.data.attributed;
    sql(`SELECT FROM referral.attribute('tokyo', referral.enroll('ann', program_id => 22), at => '2024-03-01T16:00:00Z', program_id => 22)`);
    assert.equal(await counted('2024-03-01T00:00:00Z', '2024-03-01T15:00:00Z'), 0);
    assert.equal(await counted('2024-03-01T15:00:00Z', '2024-03-02T15:00:00Z'), 1);
    assert.equal(await counted('2024-03-01T14:59:59Z', '2024-03-01T15:00:01Z'), 1);
});

const decide = (what, decision, user, body, status, expected, headers = ops) =>
    [`${decision} ${user}: ${what}`, 'POST', `/admin/referrals/${/^[a-z]/.test(user) ? id(user) : user}/${decision}`, headers, body, status, expected];
const is = (status, error = null) => (data) => assert.deepEqual([data.attribution.status, data.attribution.error], [status, error]);
table('POST /admin/referrals/{id}/approve and reject', [
    decide('by the other program', 'reject', 'b-app', {}, 404, unknown, other),
    decide('by a member', 'reject', 'b-app', {}, 403, no(403, 'forbidden'), ann),
    decide('without a key', 'reject', 'b-app', {}, 401, no(401, 'unauthorized'), {}),
    decide('the documented curl', 'approve', 'b-app', '{}', 200, (data) => {
        is('rewarded')(data);
        assert.equal(data.attribution.first_paid_invoice_id, 'inv-app');
        assert.deepEqual(data.rewards.map((r) => [r.user_id, r.level, r.reward_credits, r.status]),
            [['b-app', 0, 10000, 'available'], ['ann', 1, 10000, 'available']]);
    }, { ...ops, 'Content-Type': 'application/x-www-form-urlencoded' }),
    decide('again', 'approve', 'b-app', undefined, 200, is('rewarded')),
    decide('after it was approved', 'reject', 'b-app', { reason: 'too late' }, 200, is('rewarded')),
    decide('with a reason', 'reject', 'b-rej', { reason: 'same person' }, 200, (data) => {
        is('rejected', 'same person')(data);
        assert.deepEqual(data.rewards, []);
    }, Token(operator(in21))),
    decide('again, with another reason', 'reject', 'b-rej', { reason: 'no' }, 200, is('rejected', 'same person')),
    decide('after it was rejected', 'approve', 'b-rej', {}, 200, is('rejected', 'same person')),
    decide('never held', 'approve', 'b-new', undefined, 409, no(409, 'attribution_not_in_review')),
    decide('never held', 'reject', 'b-rew', {}, 409, no(409, 'attribution_not_in_review')),
    ...['approve', 'reject'].flatMap((decision) => [
        decide('unknown', decision, '9223372036854775807', {}, 404, unknown),
        decide('no number', decision, '%41ttr-1', {}, 404, unknown),
        decide('too long', decision, '9'.repeat(201), {}, 400, no(400, 'invalid_id')),
        decide('a reason that is too long', decision, 'b-rev', { reason: 'x'.repeat(2001) }, 400, no(400, 'invalid_reason')),
        decide('a reason that is none', decision, 'b-rev', { reason: 5 }, 400, no(400, 'invalid_json')),
        decide('Idempotency-Key with a line break in it', decision, 'b-rev', {}, 400, no(400, 'bad_request'), { ...ops, 'Idempotency-Key': 'ü' }),
    ]),
    decide('still held', 'approve', 'b-rev', ' ', 400, no(400, 'invalid_json')),
    ['is in review still', 'GET', '/admin/referrals/' + id('b-rev'), ops, undefined, 200, is('review_required', 'held by campaign')],
]);

test('who decided is kept: the key by its number, the operator by his name', () => {
    assert.deepEqual(sql(`SELECT r.decision, r.actor, r.reason FROM referral.attribution_review r
                           WHERE r.program_id = 21 AND r.decision IS NOT NULL ORDER BY r.attribution_id`),
    [`approved|key ${opsKey.split('_')[2]}|`, 'rejected|ops|same person']);
});

test('sent many times at once, an approval is one', async () => {
    sql(`SELECT FROM referral.attribute('b-once', '${holdCode}', program_id => 21);
         INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (21, 'inv-once', 'b-once', 5000000)`);
    const answers = await Promise.all(Array.from({ length: 8 }, () => call('POST', `/admin/referrals/${id('b-once')}/approve`, { headers: ops })));
    assert.deepEqual([...new Set(answers.map(({ text }) => text))], [answers[0].text]);
    assert.equal(answers[0].body.data.attribution.status, 'rewarded');
    assert.equal(sql(`SELECT count(*) FROM referral.reward WHERE program_id = 21 AND payment_id = 'inv-once'`)[0], '2');
});

// What is no object in UTF-8.
const deep = '['.repeat(29000);
const bad = ['{', '{"code":', '[]', '"x"', 'null', '5', 'code=A', '{"code":"A"', '{"code":"A"}x', "{'code':'A'}", '{"reason":"\\u0000"}', '{"code":"\\u0000"}',
    '{"code":"\\ud800"}', '\ufeff{}', '{"code":5}', '{"code":["A"]}', '{"code":{}}', '{"code":true}', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    Buffer.from('{"code":"\0"}'), deep, `{"code":${deep}${']'.repeat(29000)}}`];
test('bodies that are no object in UTF-8 change nothing', async (t) => {
    const before = state();
    for (const [i, body] of bad.entries()) {
        for (const path of ['/referrals/click', `/admin/referrals/${id('b-rev')}/approve`, `/admin/referrals/${id('b-rev')}/reject`]) {
            if (path !== '/referrals/click' && /^\{"code":(5|\[|\{|true)/.test(body)) {
                continue;       // to these, code means nothing
            }
            await t.test(`${i} ${path}`, async () => {
                const answer = await call('POST', path, { headers: ops, body });
                assert.deepEqual([answer.status, answer.body], [400, no(400, 'invalid_json')]);
            });
        }
    }
    await t.test('no body', async () => {
        const answer = await call('POST', '/referrals/click', { headers: ops });
        assert.deepEqual([answer.status, answer.body], [400, no(400, 'invalid_json')]);
    });
    await t.test('too long a body', async () => {
        const answer = await call('POST', '/referrals/click', { headers: ops, body: 'x'.repeat(65537) });
        assert.deepEqual([answer.status, answer.body], [413, no(413, 'payload_too_large')]);
    });
    assert.equal(state(), before);
});

// Grants: of four rewards one is given, one failed, one was refunded after it
// failed, and the worker of one is gone.
test('POST /admin/referrals/recover', async (t) => {
    const keys = sql(`
        SET referral.program_id = 22;
        INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
        SELECT 22, 'g' || n, 'h' || n, 5000000 FROM generate_series(1, 4) n;
        SELECT grant_key FROM referral.claim_grants(10) ORDER BY reward_id`);
    const number = (n) => keys[n - 1].split('-')[1];
    sql(`SET referral.program_id = 22;
         SELECT FROM referral.confirm_grant('${keys[0]}');
         SELECT FROM referral.fail_grant('${keys[1]}', 'temporary billing write failure');
         SELECT FROM referral.fail_grant('${keys[2]}', 'gone');
         SELECT FROM referral.record_refund('r3', 'g3', 5000000);
         DO $$ BEGIN
             WHILE EXISTS (SELECT FROM referral.reward_grant g JOIN pg_stat_activity a ON a.pid::text = g.claimed_by ->> 'pid') LOOP
                 PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
             END LOOP;
         END $$`);
    const of = async (n) => {
        const { body } = await call('GET', '/admin/referrals/' + id('h' + n, 22), { headers: other });
        const { attribution: a, rewards: [r] } = body.data;
        return [a.status, a.pending_grant, a.error, r.id === number(n), r.status, r.reversed_micro, r.grant_status, typeof r.granted_at, r.error];
    };
    const failure = 'temporary billing write failure';
    await t.test('before', async () => {
        assert.deepEqual(await of(1), ['rewarded', false, null, true, 'available', 0, 'confirmed', 'string', null]);
        assert.deepEqual(await of(2), ['qualified', true, failure, true, 'available', 0, 'failed', 'object', failure]);
        assert.deepEqual(await of(3), ['qualified', true, 'gone', true, 'reversed', 7000000, 'failed', 'object', 'gone']);
        assert.deepEqual(await of(4), ['qualified', true, null, true, 'available', 0, 'claimed', 'object', null]);
        const pending = await call('GET', '/admin/referrals?pending_grant=true', { headers: other });
        assert.deepEqual(pending.body.data.items.map((item) => item.referred_user_id), ['h4', 'h3', 'h2']);
        const others = await call('GET', '/admin/referrals?pending_grant=false&user_id=h1', { headers: other });
        assert.equal(others.body.data.items.length, 1);
        const either = await call('GET', '/admin/referrals?pending_grant=maybe&user_id=h2', { headers: other });
        assert.equal(either.body.data.items.length, 1);
        const mine = await call('GET', '/referrals/me/events?limit=1', { headers: Token(member('h1', in22)) });
        assert.equal(mine.body.data.items[0].status, 'rewarded');
        assert.equal(mine.body.data.items[0].rewarded_at, (await call('GET', '/admin/referrals/' + id('h1', 22), { headers: other })).body.data.rewards[0].granted_at);
    });
    const recover = (query, headers = other) => call('POST', '/admin/referrals/recover' + query, { headers, body: '{}' });
    await t.test('of the other program', async () => {
        assert.deepEqual((await recover('', ops)).body, ok({ attempted: 0, recovered: 0, errors: [] }));
    });
    await t.test('the first of them', async () => {
        assert.deepEqual((await recover('?limit=1')).body, ok({ attempted: 1, recovered: 1, errors: [] }));
    });
    await t.test('all', async () => {
        const { status, body } = await recover('?limit=1000');
        assert.deepEqual([status, body], [200, ok({ attempted: 2, recovered: 1,
            errors: [`reward-${number(3)}: wholly refunded before it was granted`] })]);
    });
    await t.test('again', async () => {
        assert.deepEqual((await recover('?limit=x')).body, ok({ attempted: 0, recovered: 0, errors: [] }));
    });
    await t.test('after', async () => {
        assert.equal((await of(2))[6], 'open');
        assert.equal((await of(3))[6], 'void');
        assert.equal((await of(4))[6], 'open');
        assert.equal(sql(`SELECT count(*) FROM referral.claim_grants(10, 22) g, referral.fail_grant(g.grant_key, 'again', 22)`)[0], '2');
    });
});

test('two at once recover each grant once', async () => {
    const [a, b] = await Promise.all([1, 2].map(() => call('POST', '/admin/referrals/recover', { headers: other })));
    assert.equal(a.body.data.recovered + b.body.data.recovered, 2);
});

// Who may what.
const memberPaths = [['GET', '/referrals/me'], ['GET', '/referrals/me/events']];
const adminPaths = [['GET', '/admin/referrals'], ['GET', '/admin/referrals/stats'], ['POST', '/admin/referrals/recover'],
    ['GET', `/admin/referrals/${id('b-rew')}`], ['POST', `/admin/referrals/${id('b-rev')}/approve`], ['POST', `/admin/referrals/${id('b-rev')}/reject`]];
const past = Math.floor(Date.now() / 1000) - 3600;
const strangers = {
    nobody: {},
    'an empty header': { Authorization: '' },
    'no token after Token': { Authorization: 'Token' },
    'no token after Bearer': { Authorization: 'Bearer ' },
    'no JWT': Token('secret'),
    'a token of another key': Token(token({ role: 'web_operator', sub: 'ann', program_id: 21 }, { key: 'x'.repeat(48) })),
    'a token without signature': Token(token({ role: 'web_operator', sub: 'ann', program_id: 21 }, { alg: 'none' })),
    'an expired token': Token(operator({ ...in21, exp: past })),
    'a token for later': Token(operator({ ...in21, nbf: past + 7200 })),
    'a token without role': Token(token({ sub: 'ann', program_id: 21 })),
    'a token of the anonymous role': Token(member('ann', { ...in21, role: 'web_anon' })),
    'a token without sub': Token(operator({ ...in21, sub: undefined })),
    'a number as sub': Token(operator({ ...in21, sub: 5 })),
    'an empty sub': Token(operator({ ...in21, sub: '' })),
    'a long sub': Token(operator({ ...in21, sub: 'x'.repeat(201) })),
    'a text as program_id': Token(operator({ program_id: 'x' })),
    'two tokens': { Authorization: `Token ${member('ann', in21)}, Token ${member('ann', in21)}` },
    'another scheme': { Authorization: 'Basic YW5uOmFubg==' },
    'a cookie': { Cookie: `nl_session=${operator(in21)}` },
    'X-Admin-Token': { 'X-Admin-Token': opsKey },
    'bytes that are no text': { Authorization: 'Token \xff\xfe' },
};
table('without who may, 401', [
    ...Object.entries(strangers).flatMap(([name, headers]) => [...memberPaths, ...adminPaths]
        .map(([method, path]) => [`${name}: ${method} ${path}`, method, path, headers, undefined, 401, no(401, 'unauthorized')])),
    ...[revokedKey, opsKey.replace('_21_', '_22_'), opsKey.slice(0, -1), opsKey + '0', 'x', 'two words', '\xff']
        .flatMap((value) => adminPaths.map(([method, path]) =>
            [`key ${value.slice(0, 9)}: ${method} ${path}`, method, path, { ...Token(operator(in21)), ...key(value) }, undefined, 401, no(401, 'unauthorized')])),
    ...memberPaths.map(([method, path]) => [`a key is no member: ${path}`, method, path, ops, undefined, 401, no(401, 'unauthorized')]),
]);
table('members and clients are no operators, 403', [
    ...adminPaths.flatMap(([method, path]) => [
        [`member: ${method} ${path}`, method, path, ann, undefined, 403, no(403, 'forbidden')],
        [`client key: ${method} ${path}`, method, path, key(clientKey), undefined, 403, no(403, 'forbidden')],
        [`client key beside a token: ${method} ${path}`, method, path, { ...Token(operator(in21)), ...key(clientKey) }, undefined, 403, no(403, 'forbidden')],
    ]),
]);
table('tokens of programs that are not there', [
    ...memberPaths.map(([method, path]) =>
        [path, method, path, Token(member('ann', { program_id: 999 })), undefined, 400, no(400, 'unknown_program')]),
    ['none named, and several', 'GET', '/referrals/me', Token(member('ann', { program_id: undefined })), undefined, 400, no(400, 'ambiguous_program')],
]);

test('other methods, 405', async (t) => {
    const paths = [['/referrals/click', 'POST'], ...[...memberPaths, ...adminPaths].map(([method, path]) => [path, method])];
    for (const [path, allowed] of paths) {
        for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
            if (method === allowed || (method === 'HEAD' && allowed === 'GET')) {
                continue;
            }
            await t.test(`${method} ${path}`, async () => {
                const answer = await call(method, path, { headers: { ...Token(operator(in21)), ...ops } });
                assert.equal(answer.status, 405);
                assert.equal(answer.headers.allow, allowed);
                assert.deepEqual(answer.body, method === 'HEAD' ? '' : no(405, 'method_not_allowed'));
            });
        }
    }
});

test('HEAD is GET without its body', async (t) => {
    for (const [method, path] of [...memberPaths, ...adminPaths].filter(([method]) => method === 'GET')) {
        await t.test(path, async () => {
            const answer = await call('HEAD', path, { headers: Token(operator(in21)) });
            assert.deepEqual([answer.status, answer.text], [200, '']);
        });
    }
});

table('addresses that are none, 404', ['/', '/referrals', '/referrals/', '/referrals/me/', '/referrals/me/event', '/admin',
    '/admin/referrals/', '/admin/referrals//approve', '/admin/referrals/1/approve/', '/admin/referrals/1/2/approve', '/api/v1/referrals/me', '/referrals%2Fme']
    .map((path) => [path, 'GET', path, ops, undefined, 404, no(404, 'not_found')]));

// A client as the documentation's examples write it: its base URL, a JWT after
// the word Token, an API key, JSON both ways.
class Client {
    constructor({ baseUrl, jwt, apiKey }) {
        Object.assign(this, { baseUrl, jwt, apiKey });
    }

    async #request(method, path, { query = {}, body } = {}) {
        const url = new URL(this.baseUrl + path);
        for (const [name, value] of Object.entries(query)) {
            url.searchParams.set(name, value);
        }
        const response = await fetch(url, {
            method,
            headers: {
                ...(this.jwt && { Authorization: `Token ${this.jwt}` }),
                ...(this.apiKey && { 'x-api-key': this.apiKey }),
                ...(body && { 'Content-Type': 'application/json' }),
            },
            body: body && JSON.stringify(body),
        });
        const { code, msg, data } = await response.json();
        if (code !== 200) {
            throw Object.assign(new Error(msg), { status: response.status, code });
        }
        return data;
    }

    click(body) { return this.#request('POST', '/referrals/click', { body }); }
    me() { return this.#request('GET', '/referrals/me'); }
    events(query) { return this.#request('GET', '/referrals/me/events', { query }); }
    list(query) { return this.#request('GET', '/admin/referrals', { query }); }
    get(id) { return this.#request('GET', `/admin/referrals/${encodeURIComponent(id)}`); }
    approve(id) { return this.#request('POST', `/admin/referrals/${encodeURIComponent(id)}/approve`, { body: {} }); }
    reject(id, reason) { return this.#request('POST', `/admin/referrals/${encodeURIComponent(id)}/reject`, { body: { reason } }); }
    recover(query) { return this.#request('POST', '/admin/referrals/recover', { query, body: {} }); }
    stats(query) { return this.#request('GET', '/admin/referrals/stats', { query }); }
}

test('a client that only changed its base URL', async () => {
    const baseUrl = site + '/crawlora';
    const site21 = new Client({ baseUrl, apiKey: clientKey });
    const referrer = new Client({ baseUrl, jwt: member('dora', in21) });
    const admin = new Client({ baseUrl, apiKey: opsKey });

    const { code, share_path, stats } = await referrer.me();
    assert.equal(share_path, '/r/' + code);
    assert.deepEqual(stats, { attributed: 0, qualified: 0, review_required: 0, rewarded: 0, expired: 0, capped: 0, rejected: 0 });
    const { click_id } = await site21.click({ code, click_id: 'refclk_e2e', landing_path: '/pricing', utm_campaign: 'e2e', utm_medium: 'email', utm_source: 'newsletter' });
    sql(`SELECT FROM referral.attribute('emil', '${code}', '${click_id}', program_id => 21)`);
    assert.deepEqual((await referrer.events({ limit: 5 })).items.map((e) => [e.role, e.status, e.campaign, e.reward_credits]),
        [['referrer', 'attributed', 'e2e', 10000]]);
    sql(`SELECT FROM referral.record_payment('inv-e2e', 'emil', 5000000, program_id => 21)`);
    const { items: [found] } = await admin.list({ campaign: 'e2e', status: 'rewarded', user_id: 'dora', limit: 10 });
    assert.deepEqual([found.referrer_user_id, found.referred_user_id, found.first_paid_invoice_id, found.click_id, found.landing_path, found.utm_source,
        found.utm_medium, found.utm_campaign], ['dora', 'emil', 'inv-e2e', 'refclk_e2e', '/pricing', 'newsletter', 'email', 'e2e']);
    const { attribution, rewards } = await admin.get(found.id);
    assert.deepEqual({ ...attribution, rewards }, found);
    assert.deepEqual(await admin.stats({ campaign: 'e2e', from: new Date(Date.now() - day).toISOString(), to: new Date(Date.now() + day).toISOString() }),
        { clicks: 1, attributed: 1, qualified: 1, rewarded: 1, capped: 0, review_required: 0, rejected: 0 });
    sql(`SELECT FROM referral.attribute('finn', '${holdCode}', program_id => 21)`);
    const { items: held } = await admin.list({ status: 'review_required', user_id: 'finn' });
    assert.equal((await admin.reject(held[0].id, 'one person')).attribution.error, 'one person');
    assert.equal((await admin.approve(held[0].id)).attribution.status, 'rejected');
    assert.deepEqual(await admin.recover({ limit: 10 }), { attempted: 0, recovered: 0, errors: [] });
    assert.equal((await referrer.me()).stats.rewarded, 1);
    await assert.rejects(referrer.stats(), { message: 'forbidden', status: 403, code: 403 });
    await assert.rejects(new Client({ baseUrl }).me(), { message: 'unauthorized', status: 401, code: 401 });
});

test('the books are sound, and every documented status was answered', () => {
    assert.deepEqual(sql('SELECT * FROM referral.verify(21); SELECT * FROM referral.verify(22)'), ['']);
    call.assertAllSeen();
});
