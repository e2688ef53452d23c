// The contract /triport, request by request, and by a client as its
// documentation shows one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { api, cookie, member, operator, send, site } from './contract.mjs';
import { sql, token } from './client.mjs';

const call = api('triport');
const UNKNOWN = '9f1c0b7e-4d2a-4c8e-9b3f-1a2b3c4d5e6f';
const PAYOUTS = '/v1/referrals/payouts';

// Program 11: ada referred bob, who referred cyn. Of bob's payments one has been
// available for long and was refunded in part, and one is on hold. Program 12
// has people of the same names, no tiers and another rate.
sql(`
INSERT INTO referral.program (program_id, name, max_level, hold_days, auto_tier, payout_min_micro)
VALUES (11, 'Triport', 2, 30, false, 1000000), (12, 'Triport two', 1, 0, false, 0);
INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees)
VALUES (11, 1, 'regular', 0), (11, 2, 'influencer', 1000);
INSERT INTO referral.rate (program_id, tier, level, rate_bps)
VALUES (11, 1, 1, 1000), (11, 2, 1, 1500), (11, 0, 2, 400), (12, 0, 1, 500);

SET referral.program_id = 11;
SELECT FROM referral.attribute('bob', referral.enroll('ada', 'Ada'), NULL, now() - interval '60 days');
SELECT FROM referral.attribute('cyn', referral.enroll('bob', 'Bob <b>"&'), NULL, now() - interval '50 days');
SELECT FROM referral.record_payment('p1', 'bob', 100000000, NULL, 'purchase', now() - interval '45 days');
SELECT FROM referral.record_refund('r1', 'p1', 20000000, NULL);
SELECT FROM referral.record_payment('p2', 'bob', 30000000, NULL, 'purchase', now() - interval '1 hour');
SELECT FROM referral.record_payment('c1', 'cyn', 50000000, 40000000, 'purchase', now() - interval '1 hour');

SET referral.program_id = 12;
SELECT FROM referral.attribute('bob', referral.enroll('ada', 'Ada of two'), NULL, now() - interval '60 days');
SELECT FROM referral.record_payment('p1', 'bob', 7000000, NULL, 'purchase', now() - interval '45 days');
`);

const one = (statement) => sql(statement)[0];
const newKey = (program, right = 'operator') => one(`SELECT api_key FROM referral.create_api_key('${right}', ${program})`);
const key = newKey(11);
const keyNumber = key.split('_')[2];
const codeOf = (program, name) => one(`SELECT (referral.referral_overview('${name}', ${program})).primary_code`);
const balance = (program, name) =>
    one(`SELECT (balance).pending_micro || ' ' || (balance).available_micro || ' ' || (balance).lifetime_micro
           FROM referral.referral_overview('${name}', ${program})`);
// Everything of a program that a request may change, as one text.
const state = (program) => one(['member', 'code', 'attribution', 'payout', 'account', 'member_audit'].map((table) =>
    `SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) AS h FROM referral.${table} t WHERE program_id = ${program}`)
    .reduce((all, each) => `${all} UNION ALL ${each}`, `SELECT string_agg(h, ' ' ORDER BY h) FROM (SELECT NULL AS h`) + ') parts');

const as = (sub, more = {}) => ({ headers: cookie(member(sub, { program_id: 11 }), more) });
const asOfTwo = (sub) => ({ headers: cookie(member(sub, { program_id: 12 })) });
const withBody = (options, body) => ({ ...options, body });
const admin = (body, more = {}) => ({ headers: { 'X-Admin-Token': key, ...more }, body });
const idempotent = (options, name) => ({ ...options, headers: { ...options.headers, 'Idempotency-Key': name } });

// A member with a balance that is available: a tenth of what his friend paid.
function earner(name, micro) {
    sql(`SET referral.program_id = 11;
         SELECT FROM referral.attribute('${name}-friend', referral.enroll('${name}'), NULL, now() - interval '60 days');
         SELECT FROM referral.record_payment('${name}-1', '${name}-friend', ${micro * 10}, NULL, 'purchase',
                                             now() - interval '45 days')`);
    return as(name);
}

// One request and all that is answered: the body as it stands, or what a
// function says of it.
async function expect(name, method, path, options, status, body) {
    const answer = await call(method, path, options);
    const what = `${name}: ${method} ${path} → ${answer.status} ${answer.text.slice(0, 300)}`;
    assert.equal(answer.status, status, what);
    if (typeof body === 'function') {
        body(answer.body, answer);
    } else if (typeof body === 'string') {
        assert.deepEqual(answer.body, { error: body }, what);
    } else if (body !== undefined) {
        assert.deepEqual(answer.body, body, what);
    }
    assert.match(answer.headers['content-type'], /^application\/json/, what);
    return answer;
}

const table = (name, rows) => test(name, async () => {
    for (const row of rows()) {
        await expect(...row);
    }
});

const bodyOf = { slug: '{"slug": "never"}', payout: { amount_micro: 1000000, network: 'solana', address: 'a1' } };
const MEMBER = [
    ['GET', '/v1/referrals/me'], ['GET', '/v1/referrals/rewards'], ['GET', '/v1/referrals/invitees'],
    ['GET', '/v1/referrals/payouts'], ['POST', '/v1/referrals/payouts', bodyOf.payout],
    ['POST', '/v1/referrals/code', bodyOf.slug], ['DELETE', '/v1/referrals/code'], ['POST', '/v1/auth/attribute', {}],
];
const ADMIN = [
    ['GET', '/v1/admin/referrals/users/ada'], ['POST', '/v1/admin/referrals/users/ada/tier', { tier: 2 }],
    ['POST', `/v1/admin/referrals/payouts/${UNKNOWN}/sent`, { tx_hash: 'x' }],
    ['POST', `/v1/admin/referrals/payouts/${UNKNOWN}/failed`, {}], ['POST', '/v1/admin/referrals/simulate-paid', {}],
];

test('without any key of an operator the admin endpoints say so', async () => {
    sql(`UPDATE referral.api_key SET revoked_at = '2000-01-01' WHERE "right" = 'operator' AND revoked_at IS NULL`);
    try {
        for (const [method, path, body] of ADMIN) {
            await expect('unset', method, path, { headers: {}, body }, 401, 'admin_token_unset');
            await expect('unset', method, path, admin(body), 401, 'admin_token_unset');
        }
    } finally {
        sql(`UPDATE referral.api_key SET revoked_at = NULL WHERE revoked_at = '2000-01-01'`);
    }
});

const time = (value) => assert.ok(Math.abs(Date.parse(value) - Date.now()) < 60 * 86400000, value);

table('what members read', () => [
    ['me', 'GET', '/v1/referrals/me', as('ada'), 200, {
        primary_code: codeOf(11, 'ada'), custom_slug: null, tier: 1, tier_label: 'regular', rate_bps: 1000,
        paid_invitees: 1, balance: { pending_micro: 4600000, available_micro: 8000000, lifetime_micro: 12600000 },
        inviter_display: null,
    }],
    ['an invitee', 'GET', '/v1/referrals/me', as('bob'), 200, {
        primary_code: codeOf(11, 'bob'), custom_slug: null, tier: 1, tier_label: 'regular', rate_bps: 1000,
        paid_invitees: 1, balance: { pending_micro: 4000000, available_micro: 0, lifetime_micro: 4000000 },
        inviter_display: 'Ada',
    }],
    ['an invitee of one who has a name to escape', 'GET', '/v1/referrals/me', as('cyn'), 200,
        (me) => assert.equal(me.inviter_display, 'Bob <b>"&')],
    ['a program without tiers', 'GET', '/v1/referrals/me', asOfTwo('ada'), 200, {
        primary_code: codeOf(12, 'ada'), custom_slug: null, tier: 0, tier_label: '', rate_bps: 500,
        paid_invitees: 1, balance: { pending_micro: 0, available_micro: 350000, lifetime_micro: 350000 },
        inviter_display: null,
    }],
    ['who is new is a member at once', 'GET', '/v1/referrals/me', as('newcomer'), 200, (me) => {
        assert.equal(me.primary_code, codeOf(11, 'newcomer'));
        assert.deepEqual(me.balance, { pending_micro: 0, available_micro: 0, lifetime_micro: 0 });
    }],
    ['an operator is a member as well', 'GET', '/v1/referrals/me',
        { headers: cookie(operator({ program_id: 11 })) }, 200, (me) => assert.equal(me.primary_code, codeOf(11, 'ops'))],
    ['rewards', 'GET', '/v1/referrals/rewards', as('ada'), 200, ({ items }) => {
        for (const item of items) {
            time(item.created_at);
            time(item.available_at);
        }
        const [c1, p2, p1] = items.map(({ id, created_at, available_at, ...rest }) => rest);
        assert.deepEqual(c1, {
            status: 'pending', amount_micro: 1600000, rate_bps: 400, tier: 1, level: 2, base_micro: 40000000,
            reversed_micro: 0, currency: 'USD', invitee_user_id: 'cyn', invitee_display: '', payment_id: 'c1',
        });
        assert.deepEqual(p2, {
            status: 'pending', amount_micro: 3000000, rate_bps: 1000, tier: 1, level: 1, base_micro: 30000000,
            reversed_micro: 0, currency: 'USD', invitee_user_id: 'bob', invitee_display: 'Bob <b>"&', payment_id: 'p2',
        });
        assert.deepEqual(p1, {
            status: 'available', amount_micro: 10000000, rate_bps: 1000, tier: 1, level: 1, base_micro: 100000000,
            reversed_micro: 2000000, currency: 'USD', invitee_user_id: 'bob', invitee_display: 'Bob <b>"&', payment_id: 'p1',
        });
        assert.ok(Date.parse(items[0].available_at) > Date.now() && Date.parse(items[2].available_at) < Date.now());
    }],
    ['no rewards', 'GET', '/v1/referrals/rewards', as('newcomer'), 200, { items: [] }],
    ['invitees', 'GET', '/v1/referrals/invitees', as('ada'), 200, ({ items: [{ signed_at, ...bob }, ...others] }) => {
        assert.ok(Math.abs(Date.parse(signed_at) + 60 * 86400000 - Date.now()) < 60000);
        assert.deepEqual([bob, others], [{ user_id: 'bob', display_name: 'Bob <b>"&', total_paid_micro: 130000000 }, []]);
    }],
    ['an invitee without a name', 'GET', '/v1/referrals/invitees', as('bob'), 200,
        ({ items }) => assert.deepEqual(items.map((i) => [i.user_id, i.display_name]), [['cyn', '']])],
    ['no invitees', 'GET', '/v1/referrals/invitees', as('newcomer'), 200, { items: [] }],
    ['no payouts', 'GET', '/v1/referrals/payouts', as('newcomer'), 200, { items: [] }],
]);

// A member with 260 invitees who paid once each; the names count down from the newest.
test('pages', async () => {
    sql(`SET referral.program_id = 11;
         SELECT FROM generate_series(1, 260) n,
                LATERAL referral.attribute('pat-' || n, referral.enroll('pat'), NULL, now() - interval '60 days');
         INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
         SELECT 11, 'pat-' || n, 'pat-' || n, 1000000 * n, now() - interval '45 days' FROM generate_series(1, 260) n;
         SELECT FROM referral.adjust('pat', 'pat-a', 1, 'x', 'ops');
         SELECT FROM generate_series(1, 210) n,
                LATERAL referral.request_payout('pat', 'pat-' || n, 1000000 + n, 'sepa', 'DE' || n);`);
    const lists = {
        rewards: (item) => item.payment_id, invitees: (item) => item.user_id, payouts: (item) => item.id,
    };
    const [bad, range] = [
        ['', 'limit=0', 'limit=201', 'limit=-1', 'limit=1.0', 'limit=ten', 'limit=', 'limit', 'limit=%F0%9F%92%A9',
            'limit=1e1',
         'limit=99999999999999999999999', 'limit=0x10', 'limit=+5', 'limit=%201', 'limit=1%20', 'LIMIT=3',
         'limit=;DROP', 'limit[]=3', 'offset=-1', 'offset=1.5', 'offset=x', 'offset=', 'offset=%C2%A01', 'nothing=3&limit=0',
         'limit=0&limit=3', 'offset=-1&offset=3', '&&&', '=', 'limit=%'],
        { 'limit=1': [1, 0], 'limit=200': [200, 0], 'limit=2&offset=3': [2, 3], 'offset=1': [50, 1],
            'limit=2&limit=9': [2, 0],
          'offset=2&offset=9': [50, 2], 'limit=007': [7, 0], 'l%69mit=3': [3, 0], 'limit=%33': [3, 0],
              'limit=3&limit=x': [3, 0],
          'offset=2147483647': [0, 0], 'offset=9223372036854775807': [0, 0], ['offset=' + '9'.repeat(200)]: [0, 0],
          'offset=0&x=%E2%82%AC': [50, 0] },
    ];
    for (const [list, name] of Object.entries(lists)) {
        const top = list === 'payouts' ? 210 : 260;
        const page = (length, from) => Array.from({ length }, (_, i) => `pat-${top - from - i}`);
        const names = async (query) =>
            (await expect(query, 'GET', `/v1/referrals/${list}?${query}`, as('pat'), 200)).body.items.map(name);
        for (const query of bad) {
            assert.deepEqual(await names(query), page(50, 0), `${list}?${query}`);
        }
        for (const [query, [length, from]] of Object.entries(range)) {
            assert.deepEqual(await names(query), page(length, from), `${list}?${query}`);
        }
        assert.deepEqual(await names(`limit=200&offset=${top - 3}`), ['pat-3', 'pat-2', 'pat-1'], 'the last page is short');
        assert.deepEqual(await names(`offset=${top}`), []);
    }
});

test('rewards by status', async () => {
    const names = async (query) => (await expect(query, 'GET', `/v1/referrals/rewards?${query}`, as('ada'), 200))
        .body.items.map((item) => item.payment_id);
    for (const [query, found] of Object.entries({
        'status=pending': ['c1', 'p2'], 'status=available': ['p1'], 'status=pending,available': ['c1', 'p2', 'p1'],
        'status=available%2Cpending': ['c1', 'p2', 'p1'], 'status=': ['c1', 'p2', 'p1'], status: ['c1', 'p2', 'p1'],
        'status=spent,paid_out,reversed': [], 'status=nothing': [], 'status=nothing,available': ['p1'], 'status=,': [],
        'status=PENDING': [], 'status=pending&status=available': ['c1', 'p2'], 'status=&status=available': ['c1', 'p2',
            'p1'],
        'status=pending&limit=1': ['c1'], 'status=pending&limit=1&offset=1': ['p2'], 'status={pending}': [],
        "status='": [], 'status=%22': [], 'status=NULL': [], [`status=${'available,'.repeat(500)}x`]: ['p1'],
    })) {
        assert.deepEqual(await names(query), found, query);
    }
});

test('only a believed session gets in', async () => {
    const jwt = (claims, options) => token({ role: 'web_member', sub: 'ada', program_id: 11, ...claims }, options);
    const past = Math.floor(Date.now() / 1000) - 3600;
    const good = jwt({});
    const sessions = {
        'no cookie': {}, 'another cookie': { Cookie: 'session=x' }, 'an empty one': { Cookie: 'nl_session=' },
        'no token': { Cookie: 'nl_session=abc' }, 'with a space': { Cookie: 'nl_session=a b' },
        'with other bytes': { Cookie: Buffer.from('nl_session=é').toString('latin1') },
        'another key': cookie(jwt({}, { key: 'x'.repeat(48) })), 'alg none': cookie(jwt({}, { alg: 'none' })),
        expired: cookie(jwt({ exp: past })), 'not yet': cookie(jwt({ nbf: past + 7200 })),
        'cut off': cookie(good.slice(0, -3)), anonymous: cookie(jwt({ role: 'web_anon' })),
        'no role': cookie(jwt({ role: undefined })), 'a role that is not for callers': cookie(jwt({ role: 'postgres' })),
        'the role of PostgREST': cookie(jwt({ role: 'authenticator' })),
        'no user': cookie(jwt({ sub: undefined })), 'an empty user': cookie(jwt({ sub: '' })),
        'a long user': cookie(jwt({ sub: 'x'.repeat(201) })), 'a number for a user': cookie(jwt({ sub: 7 })),
        'NUL in the user': cookie(jwt({ sub: 'a\0b' })), 'no number for a program': cookie(jwt({ program_id: 'x' })),
        'a bearer token, which the contract does not know': { Authorization: `Bearer ${good}` },
        'a key of an operator': { 'X-Admin-Token': key }, 'a key of a client': { 'X-Api-Key': newKey(11, 'client') },
    };
    for (const [name, headers] of Object.entries(sessions)) {
        for (const [method, path, body] of MEMBER) {
            const answer = await expect(name, method, path, { headers: { Origin: site, ...headers }, body }, 401,
                'unauthenticated');
            assert.equal(answer.headers['set-cookie'], undefined);
        }
    }
    for (const [name, claims, tag] of [['no program', { program_id: undefined }, 'ambiguous_program'],
                                       ['an unknown program', { program_id: 4711 }, 'unknown_program']]) {
        for (const [method, path, body] of MEMBER) {
            await expect(name, method, path, { headers: cookie(jwt(claims)), body }, 400, tag);
        }
    }
    await expect('beside others', 'GET', '/v1/referrals/me', { headers: { Cookie: `a=b; nl_session=${good}; c=d` } }, 200);
    assert.equal(one(`SELECT count(*) FROM referral.code WHERE program_id = 11 AND code = 'never'`), '0');
});

test('only a key of an operator is an admin token', async () => {
    const revoked = newKey(11);
    sql(`SELECT referral.revoke_api_key(${revoked.split('_')[2]}, 11)`);
    const tokens = {
        missing: {}, empty: { 'X-Admin-Token': '' }, wrong: { 'X-Admin-Token': 'x' },
        'of another program by its number': { 'X-Admin-Token': key.replace('rk_11_', 'rk_12_') },
        'with a turned digit': { 'X-Admin-Token': key.replace(/.$/, (c) => c === '0' ? '1' : '0') },
        'of a client': { 'X-Admin-Token': newKey(11, 'client') }, revoked: { 'X-Admin-Token': revoked },
        'with other bytes': { 'X-Admin-Token': 'é' }, long: { 'X-Admin-Token': 'x'.repeat(3000) },
        'in another header': { 'X-Api-Key': key }, 'the session of an operator': cookie(operator({ program_id: 11 })),
        'his token': { Authorization: `Bearer ${operator({ program_id: 11 })}` },
    };
    for (const [name, headers] of Object.entries(tokens)) {
        for (const [method, path, body] of ADMIN) {
            await expect(name, method, path, { headers, body }, 401, 'admin_token_invalid');
        }
        // The token comes before what is wrong beside it.
        await expect(name, 'POST', '/v1/admin/referrals/users/-/tier', { headers, body: '{' }, 401, 'admin_token_invalid');
    }
    assert.equal(one(`SELECT (referral.referral_overview('ada', 11)).tier`), '1');
});

test('other methods, paths and addresses', async () => {
    const methods = {};
    for (const [method, path] of [...MEMBER, ...ADMIN]) {
        (methods[path] ??= []).push(method);
    }
    for (const [path, known] of Object.entries(methods)) {
        for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'].filter((m) =>
            !known.includes(m))) {
            const answer = await send(method, `/triport${path}`, as('ada'));
            assert.deepEqual([answer.status, answer.body, answer.headers.allow],
                             [405, { error: 'method_not_allowed' }, known.join(', ')], `${method} ${path}`);
        }
    }
    for (const path of ['', '/', '/v1', '/v1/referrals', '/v1/referrals/', '/v1/referrals/me/', '/v1/referrals//me',
                        '/v1/referrals/../referrals/me', '/v1/referrals/m%65', '/v1/admin', '/v1/admin/',
                            '/v1/admin/referrals/users/',
                        '/v1/admin/referrals/users', '/v1/admin/referrals/users/a/b', '/v1/admin/referrals/payouts/x',
                        '/v2/referrals/me', '/v1/referrals/me;x']) {
        const answer = await send('GET', `/triport${path}`, as('ada'));
        assert.equal(answer.status, 404, path);
        assert.deepEqual(answer.body, { error: 'not_found' }, path);
    }
    for (const [method, path, body] of [...MEMBER, ...ADMIN]) {
        const options = path.includes('admin') ? admin(body) : withBody(as('ada'), body);
        for (const query of ['x=%ff', 'x=%00', 'x=%C0%80', 'limit=%E2%82', 'status=%ED%A0%80']) {
            await expect(query, method, `${path}?${query}`, options, 400, 'bad_request');
        }
        for (const name of ['x'.repeat(201), 'é', 'a\tb']) {
            await expect('a key that is none', method, path, idempotent(options, name), 400, 'bad_request');
        }
    }
});

test('a browser is told what a page of ours may send', async () => {
    const { status, headers } = await call('OPTIONS', '/v1/referrals/code', { headers: {
        Origin: site, 'Access-Control-Request-Method': 'DELETE',
            'Access-Control-Request-Headers': 'content-type, x-csrf-token',
    } });
    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-origin'], site);
    assert.equal(headers['access-control-allow-credentials'], 'true');
    assert.equal(headers['access-control-allow-methods'], 'POST, DELETE');
    assert.match(headers['access-control-allow-headers'], /Content-Type.*Idempotency-Key.*X-CSRF-Token/);
});

test('HEAD is GET without the body', async () => {
    for (const [path, options] of [['/v1/referrals/me', as('ada')], ['/v1/referrals/rewards', as('ada')],
                                   ['/v1/referrals/me', {}], ['/v1/admin/referrals/users/ada', admin()]]) {
        const [head, get] = [await call('HEAD', path, options), await call('GET', path, options)];
        assert.equal(head.status, get.status);
        assert.equal(head.text, '');
    }
});

test('pages of other sites write nothing by cookie', async () => {
    const host = new URL(site).host;
    const origins = [undefined, 'null', '', 'https://evil.example', site + '.evil.example', `https://${host}`,
        site + '/', site.toUpperCase(),
                     `${site} ${site}`, `http://x@${host}`];
    const before = state(11);
    const { Cookie } = cookie(member('ada', { program_id: 11 }));
    for (const [method, path, body] of MEMBER.filter(([m]) => m !== 'GET')) {
        for (const origin of origins) {
            const headers = { Cookie, ...(origin === undefined ? {} : { Origin: origin }), 'X-CSRF-Token': 't' };
            const answer = await expect(`from ${origin}`, method, path, { headers, body }, 403, 'csrf_invalid');
            assert.equal(answer.headers['access-control-allow-origin'], undefined);
        }
    }
    await expect('reading is not writing', 'GET', '/v1/referrals/me', { headers: { Cookie,
        Origin: 'https://evil.example' } }, 200,
                 (_, answer) => assert.equal(answer.headers['access-control-allow-origin'], undefined));
    assert.equal(state(11), before);
});

test('what is no JSON object is refused, and does nothing', async () => {
    const nested = (open, close) => open.repeat(30000) + close.repeat(30000);
    const bodies = {
        'cut off': '{"slug": "abc', 'an array': '["slug"]', 'a text': '"slug"', 'a number': '7', 'null': 'null',
            'true': 'true', 'nothing': '',
        'white space': ' \n', 'two objects': '{}{}', 'a comment': '{} // x', 'single quotes': "{'slug': 'abc'}",
            'a form': 'slug=abc',
        'NUL': '{"slug": "a\\u0000b"}', 'a NUL byte': '{"slug": "a\0b"}', 'half a surrogate': '{"slug": "\\ud800"}',
        'no UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'Latin-1': Buffer.from('{"slug": "é"}',
            'latin1'),
        'UTF-16': Buffer.from('{"slug": "abc"}', 'utf16le'), 'a byte order mark': '\ufeff{"slug": "abc"}',
        'overlong UTF-8': Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
        'deep arrays': nested('[', ']'), 'open arrays': '['.repeat(60000), 'open objects': '{"a":'.repeat(12000),
        'a huge number': `{"amount_micro": 1e999999, "tier": 1e999999, "slug": 1, "tx_hash": 1, "reason": 1}`,
    };
    const types = ['7', '1.5', 'true', '[]', '{}', '["abc"]'];
    const writes = [
        ['/v1/referrals/code', as('ada'), ['slug']],
        ['/v1/referrals/payouts', as('ada'), ['network', 'address']],
        ['/v1/admin/referrals/users/ada/tier', admin(), ['note']],
        [`/v1/admin/referrals/payouts/${UNKNOWN}/sent`, admin(), ['tx_hash']],
        [`/v1/admin/referrals/payouts/${UNKNOWN}/failed`, admin(), ['reason']],
    ];
    for (const [path, options, texts] of writes) {
        for (const [name, body] of Object.entries(bodies).filter(([name]) => name !== 'nothing' ||
            !path.endsWith('failed'))) {
            await expect(name, 'POST', path, withBody(options, body), 400, 'invalid_json');
        }
        // An object of any depth is one, and what is not known in it is not looked at.
        for (const body of [`{"x": ${nested('[', ']')}}`, '{"a":'.repeat(10000) + '1' + '}'.repeat(10000)]) {
            assert.ok([400, 404].includes((await call('POST', path, withBody(options, body))).status), path);
        }
        for (const field of texts) {
            for (const value of types) {
                await expect(`${field} ${value}`, 'POST', path, withBody(options, `{"${field}": ${value}}`), 400,
                    'invalid_json');
            }
        }
    }
    for (const value of ['"1000000"', '1.5', 'true', '[]', '{}', '9223372036854775808', '-9223372036854775809', '1e30',
        '1e-1', '1e131071']) {
        await expect(value, 'POST', '/v1/referrals/payouts',
                     withBody(as('ada'), `{"amount_micro": ${value}, "network": "n", "address": "a"}`), 400, 'invalid_json');
        await expect(value, 'POST', '/v1/admin/referrals/users/ada/tier', admin(`{"tier": ${value}}`), 400, 'invalid_json');
    }
    assert.equal(one(`SELECT count(*) FROM referral.payout p JOIN referral.member m USING (program_id, member_id)
                       WHERE p.program_id = 11 AND m.user_id = 'ada'`), '0');
});

test('a payout', async () => {
    const eve = earner('eve', 10000000);
    const asked = { amount_micro: 4000000, network: 'solana', address: '7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU' };
    const { body: payout } = await expect('asked for', 'POST', PAYOUTS, idempotent(withBody(eve, asked), 'k 1'), 202,
        ({ id, requested_at, ...rest }) => {
            assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
            assert.ok(Math.abs(Date.parse(requested_at) - Date.now()) < 60000);
            assert.deepEqual(rest, { user_id: 'eve', ...asked, status: 'requested' });
        });
    assert.equal(balance(11, 'eve'), '0 6000000 10000000', 'reserved at once');
    for (const body of [asked,
        '{"address": "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU", "amount_micro": 4.0e6, "network": "solana", "more": 1}']) {
        await expect('repeated', 'POST', PAYOUTS, idempotent(withBody(eve, body), 'k 1'), 202, payout);
    }
    assert.equal(balance(11, 'eve'), '0 6000000 10000000');
    for (const other of [{ amount_micro: 4000001 }, { network: 'ethereum' }, { address: 'b' },
        { amount_micro: 900000000000 }, { amount_micro: 1 }]) {
        await expect('another body', 'POST', PAYOUTS, idempotent(withBody(eve, { ...asked, ...other }), 'k 1'), 409,
            'idempotency_conflict');
    }
    for (const [body, tag] of [
        [{ ...asked, amount_micro: 6000001 }, 'balance_insufficient'],
            ['{"amount_micro": 9223372036854775807, "network": "n", "address": "a"}', 'balance_insufficient'],
        [{ ...asked, amount_micro: 999999 }, 'payout_below_min'], [{ ...asked, amount_micro: 0 }, 'payout_below_min'],
        [{ ...asked, amount_micro: -4000000 }, 'payout_below_min'], [{ ...asked, amount_micro: null }, 'payout_below_min'],
        [{ network: 'n', address: 'a' }, 'payout_below_min'], [{ ...asked, network: '' }, 'invalid_network'],
        [{ ...asked, network: null }, 'invalid_network'], [{ ...asked, network: 'n'.repeat(101) }, 'invalid_network'],
        [{ amount_micro: 4000000, address: 'a' }, 'invalid_network'], [{ ...asked, address: '' }, 'invalid_address'],
        [{ amount_micro: 4000000, network: 'n' }, 'invalid_address'], [{ ...asked, address: 'a'.repeat(501) },
            'invalid_address'],
    ]) {
        await expect('refused', 'POST', PAYOUTS, withBody(eve, body), 400, tag);
    }
    const { body: second } = await expect('without a key', 'POST', PAYOUTS, withBody(eve, asked), 202);
    assert.notEqual(second.id, payout.id);
    assert.equal(balance(11, 'eve'), '0 2000000 10000000', 'each request without a key is one of its own');
    await expect('the list', 'GET', PAYOUTS, eve, 200, { items: [second, payout] });

    // Another member's key of the same name is another one.
    const { body: his } = await expect('his own', 'POST', PAYOUTS, idempotent(withBody(earner('eli', 5000000), asked),
        'k 1'), 202);
    assert.notEqual(his.id, payout.id);

    sql(`SELECT FROM referral.suspend('eve', NULL, 'ops', 11)`);
    await expect('suspended', 'POST', PAYOUTS, withBody(eve, asked), 409, 'member_suspended');
    await expect('what was asked for before', 'POST', PAYOUTS, idempotent(withBody(eve, asked), 'k 1'), 202, payout);
    sql(`SELECT FROM referral.reinstate('eve', NULL, 'ops', 11)`);
});

test('payouts at once', async () => {
    const max = earner('max', 8000000);
    const post = (amount, name) => call('POST', PAYOUTS, ((o) => name ? idempotent(o, name) : o)(
        withBody(max, { amount_micro: amount, network: 'n', address: 'a' })));
    const same = await Promise.all(Array.from({ length: 8 }, () => post(1000000, 'same')));
    assert.deepEqual([...new Set(same.map((answer) => `${answer.status} ${answer.text}`))].length, 1);
    assert.equal(balance(11, 'max'), '0 7000000 8000000');
    const whole = await Promise.all(Array.from({ length: 8 }, () => post(7000000)));
    assert.deepEqual(whole.map((answer) => answer.status).sort(), [202, ...Array(7).fill(400)]);
    assert.ok(whole.filter((answer) => answer.status === 400).every((answer) =>
        answer.body.error === 'balance_insufficient'));
});

test('how a payout ends', async () => {
    const una = earner('una', 40000000);
    const asked = { amount_micro: 4000000, network: 'polygon', address: 'a1' };
    const request = async () => (await expect('asked for', 'POST', PAYOUTS, withBody(una, asked), 202)).body;
    const listed = async (id) => (await call('GET', PAYOUTS, una)).body.items.find((item) => item.id === id);
    const end = (id, how) => `/v1/admin/referrals/payouts/${id}/${how}`;
    const [sent, processing, failed, silent, cancelled] = [await request(), await request(), await request(),
        await request(), await request()];
    assert.equal(balance(11, 'una'), '0 20000000 40000000');

    for (let again = 0; again < 2; again++) {
        await expect('sent', 'POST', end(sent.id, 'sent'), admin({ tx_hash: ' 0xabc ' }), 200, { ok: true });
    }
    const { completed_at, ...rest } = await listed(sent.id);
    assert.deepEqual(rest, { ...sent, status: 'sent', tx_hash: '0xabc' });
    assert.ok(Date.parse(completed_at) >= Date.parse(sent.requested_at));
    for (const [how, body] of [['sent', { tx_hash: '0xdef' }], ['failed', {}], ['failed', { reason: 'x' }]]) {
        await expect('ended', 'POST', end(sent.id, how), admin(body), 409, 'payout_not_actionable');
    }

    sql(`SELECT FROM referral.payout_processing('${processing.id}', 11)`);
    assert.deepEqual(await listed(processing.id), { ...processing, status: 'processing' });
    await expect('from processing', 'POST', end(processing.id, 'sent'), admin({ tx_hash: 'x'.repeat(500) }), 200,
        { ok: true });

    const reason = '…'.repeat(1300);
    for (let again = 0; again < 2; again++) {
        await expect('failed', 'POST', end(failed.id, 'failed'), admin({ reason }), 200, { ok: true });
    }
    const { completed_at: at, ...said } = await listed(failed.id);
    assert.deepEqual(said, { ...failed, status: 'failed', note: reason });
    for (const [how, body] of [['sent', { tx_hash: '0xabc' }], ['failed', { reason: 'another' }]]) {
        await expect('ended', 'POST', end(failed.id, how), admin(body), 409, 'payout_not_actionable');
    }
    for (const body of ['', '{}', '{"reason": null}']) {
        await expect('failed, nothing said', 'POST', end(silent.id, 'failed'), admin(body), 200, { ok: true });
    }
    assert.deepEqual(Object.keys(await listed(silent.id)).includes('note'), false);
    sql(`SELECT FROM referral.payout_cancel('${cancelled.id}', 11)`);
    assert.equal((await listed(cancelled.id)).status, 'cancelled');
    await expect('cancelled', 'POST', end(cancelled.id, 'sent'), admin({ tx_hash: 'x' }), 409, 'payout_not_actionable');
    assert.equal(balance(11, 'una'), '0 32000000 40000000', 'two were sent, what the others had reserved is back');
    assert.deepEqual((await call('GET', '/v1/referrals/rewards?status=paid_out', una)).body.items, []);

    // What was asked for elsewhere may have neither a UUID nor a destination.
    sql(`SELECT FROM referral.request_payout('una', 'una/1?', 1000000, NULL, NULL, 11)`);
    assert.deepEqual((({ network, address }) => [network, address])(await listed('una/1?')), ['', '']);
    await expect('an id that is known', 'POST', end('una%2F1%3F', 'failed'), admin({}), 200, { ok: true });

    for (const how of ['sent', 'failed']) {
        const body = { tx_hash: 'x' };
        for (const id of ['x', 'eve-1', '..%2f', '%20', UNKNOWN.slice(1), `${UNKNOWN}0`, `{${UNKNOWN}}`, '7'.repeat(201),
            '%E2%82%AC', "'", '0']) {
            await expect('no id', 'POST', end(id, how), admin(body), 400, 'invalid_payout_id');
            await expect('no id, before no body', 'POST', end(id, how), admin('{'), 400, 'invalid_payout_id');
        }
        for (const id of [UNKNOWN, UNKNOWN.toUpperCase()]) {
            await expect('no payout', 'POST', end(id, how), admin(body), 404, 'payout_not_found');
        }
    }
    for (const body of [{}, { tx_hash: '' }, { tx_hash: ' ' }, { tx_hash: null }]) {
        await expect('no hash', 'POST', end(UNKNOWN, 'sent'), admin(body), 400, 'tx_hash_required');
    }
    await expect('too long', 'POST', end(UNKNOWN, 'sent'), admin({ tx_hash: 'x'.repeat(501) }), 400, 'invalid_tx_hash');
    await expect('4 KiB', 'POST', end(UNKNOWN, 'failed'), admin(`{"reason":"${'x'.repeat(4096 - 13)}"}`), 404,
        'payout_not_found');
    await expect('and one more', 'POST', end(UNKNOWN, 'failed'), admin(`{"reason":"${'x'.repeat(4097 - 13)}"}`), 400,
        'invalid_json');
    await expect('white space counts', 'POST', end(UNKNOWN, 'failed'), admin('{}' + ' '.repeat(4095)), 400, 'invalid_json');
});

test('a slug', async () => {
    const sam = as('sam');
    await call('GET', '/v1/referrals/me', sam);
    const set = (slug, who = sam) => ['POST', '/v1/referrals/code', withBody(who, { slug })];
    const { body: { code } } = await expect('set', ...set(' MyCode\n'), 200, ({ code: { ID, CreatedAt, ...rest } }) => {
        assert.match(ID, /^[0-9]+$/);
        assert.ok(Math.abs(Date.parse(CreatedAt) - Date.now()) < 60000);
        assert.deepEqual(rest, { UserID: 'sam', Code: 'mycode', Kind: 'custom', DisabledAt: null });
    });
    await expect('again', ...set('mycode'), 200, { code });
    await expect('shown', 'GET', '/v1/referrals/me', sam, 200, (me) => assert.equal(me.custom_slug, 'mycode'));
    await expect('another', ...set('my-code-2'), 200, ({ code: { ID, Code } }) =>
        assert.ok(ID !== code.ID && Code === 'my-code-2'));
    for (const slug of ['ab', 'x'.repeat(33), '-abc', 'abc-', 'a b c', 'a_bc', 'äbc', '', ' ', 'a.bc', '../x',
        'abc\r\nX: y', '\u212Aelvin', null]) {
        await expect('no slug', ...set(slug), 400, 'slug_invalid');
    }
    await expect('none', 'POST', '/v1/referrals/code', withBody(sam, '{}'), 400, 'slug_invalid');
    for (const slug of ['admin', 'ADMIN ', 'api', 'support']) {
        await expect('reserved', ...set(slug), 409, 'slug_reserved');
    }
    for (const slug of ['my-code-2', 'MY-CODE-2', 'mycode', codeOf(11, 'ada')]) {
        await expect('somebody has it, or had it', ...set(slug, as('tom')), 409, 'slug_taken');
    }
    await expect('of another program', ...set('my-code-2', asOfTwo('tom')), 200);
    await expect('32', ...set('a'.repeat(32)), 200);
    await expect('3, and numbers', ...set('1-2'), 200);
    for (let again = 0; again < 2; again++) {
        await expect('removed', 'DELETE', '/v1/referrals/code', sam, 200, { ok: true });
        await expect('none left', 'GET', '/v1/referrals/me', sam, 200, (me) => assert.equal(me.custom_slug, null));
    }
    await expect('who never had one', 'DELETE', '/v1/referrals/code', as('newcomer'), 200, { ok: true });
    await expect('a body is not read', 'DELETE', '/v1/referrals/code', { headers: { ...sam.headers,
        'Content-Length': 1 }, body: '{' }, 200, { ok: true });
    await expect('taken back', ...set('mycode'), 200, { code });
    const many = await Promise.all(['one', 'two', 'six', 'ten'].map((slug) => call(...set(`race-${slug}`))));
    assert.deepEqual(many.map((answer) => answer.status), [200, 200, 200, 200]);
    assert.equal(one(`SELECT count(*) FROM referral.code
                       WHERE program_id = 11 AND user_id = 'sam' AND kind = 'custom' AND disabled_at IS NULL`), '1');
});

test('whose code brought a member', async () => {
    const by = (sub, code, body = {}) => {
        const { headers } = as(sub);
        return { headers: { ...headers, Cookie: `${headers.Cookie}${code === undefined ? '' : `; ref_code=${code}`}` },
            body };
    };
    const refused = (reason) => ({ attributed: false, reason });
    const ada = codeOf(11, 'ada');
    for (const [name, options, answer] of [
        ['no cookie', by('wim'), refused('no_cookie')],
        ['an empty one', by('wim', ''), refused('no_cookie')],
        ['one that cannot be', by('wim', 'a.b'), refused('no_cookie')],
        ['nobody\'s', by('wim', 'NoSuchCode'), refused('unknown_code')],
        ['a long one', by('wim', 'x'.repeat(100)), refused('unknown_code')],
        ['of another program', by('wim', codeOf(12, 'ada')), refused('unknown_code')],
        ['attributed', by('wim', ada), { attributed: true }],
        ['again', by('wim', ada), refused('already_attributed')],
        ['by another', by('wim', codeOf(11, 'bob')), refused('already_attributed')],
        ['in any case of letters', by('kim', ada.toLowerCase()), { attributed: true }],
        ['himself', by('ada', ada), refused('self_referral')],
        ['who came by him', by('ada', codeOf(11, 'cyn')), refused('cycle')],
        ['no JSON', by('lea', ada, '{'), { attributed: true }],
        ['nothing', by('lou', ada, ''), { attributed: true }],
    ]) {
        const { headers } = await expect(name, 'POST', '/v1/auth/attribute', options, 200, answer);
        assert.deepEqual(headers['set-cookie'], ['ref_code=; Path=/; Max-Age=0; SameSite=Lax'], name);
    }
    sql(`SET referral.program_id = 11;
         SELECT FROM referral.enroll('tom');
         SELECT FROM referral.set_custom_slug('tom', 'old-slug');
         SELECT referral.remove_custom_slug('tom');
         INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
         VALUES (11, 1, 'over', now() - interval '2 days', now() - interval '1 day');
         UPDATE referral.code SET cap = 0 WHERE program_id = 11 AND user_id = 'newcomer' AND kind = 'uid'`);
    const over = one(`SELECT code FROM referral.campaign_code('tom', 1, 11)`);
    for (const [code, reason] of [['old-slug', 'code_disabled'], [over, 'campaign_inactive'], [codeOf(11, 'newcomer'),
        'cap_reached']]) {
        await expect(reason, 'POST', '/v1/auth/attribute', by('lin', code), 200, refused(reason));
    }
    assert.equal(one(`SELECT string_agg(user_id, ' ' ORDER BY attribution_id) FROM referral.attribution
                       WHERE program_id = 11 AND user_id IN ('wim', 'kim', 'lea', 'lou', 'lin')`), 'wim kim lea lou');

    // A sign-in never fails for it.
    sql(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'out of order'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON referral.attribution FOR EACH ROW EXECUTE FUNCTION public.refuse()`);
    try {
        await expect('out of order', 'POST', '/v1/auth/attribute', by('lin', ada), 200, refused('internal'));
    } finally {
        sql('DROP FUNCTION public.refuse() CASCADE');
    }
    await expect('in order again', 'POST', '/v1/auth/attribute', by('lin', ada), 200, { attributed: true });
});

test('what an operator sees of a member', async () => {
    const user = (id) => `/v1/admin/referrals/users/${id}`;
    sql(`SET referral.program_id = 11;
         SELECT FROM referral.attribute('gus', referral.enroll('gil', 'Gil'), NULL, now() - interval '10 days');
         SELECT FROM referral.attribute('guy', referral.enroll('gil'), NULL, now() - interval '9 days');
         INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
         VALUES (11, 2, 'held', now() - interval '30 days', now() + interval '1 day');
         INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (11, 'campaign', 2);
         SELECT FROM referral.attribute('hal', (SELECT code FROM referral.campaign_code('gus', 2)), NULL,
             now() - interval '7 days');
         SELECT FROM referral.reject_attribution((SELECT attribution_id FROM referral.attribution
                                                   WHERE program_id = 11 AND user_id = 'hal'), 'ops', 'himself again');
         SELECT FROM referral.record_payment('g1', 'gus', 5000000, NULL, 'purchase', now() - interval '8 days');
         SELECT FROM referral.set_custom_slug('gus', 'gus-1')`);
    for (const [tier, answer] of [[2, { old_tier: 1, new_tier: 2 }], [2, { old_tier: 2, new_tier: 2 }], [2.0,
        { old_tier: 2, new_tier: 2 }]]) {
        await expect('tier', 'POST', user('gus') + '/tier', admin({ tier, note: 'partner' }), 200, answer);
    }
    const strip = ({ id, created_at, ...rest }) => ({ ...rest });
    const nothing = { old_tier: null, new_tier: null, actor: null, note: null };
    await expect('user', 'GET', user('gus'), admin(), 200, ({ recent_attributions: recent, ...gus }) => {
        assert.deepEqual(gus, {
            user_id: 'gus', tier: 2, tier_label: 'influencer', rate_bps: 1500, primary_code: codeOf(11, 'gus'),
                custom_slug: 'gus-1',
            paid_invitees: 0, paid_invitees_info: 0, balance: { pending_micro: 0, available_micro: 0, lifetime_micro: 0 },
        });
        const held = recent.find((event) => event.event === 'rejected');
        assert.deepEqual(recent.map((event) => `${event.event} ${event.user_id}`),
                         ['tier-changed gus', 'rejected hal', 'signup hal', 'first-paid gus', 'signup gus']);
        assert.deepEqual(recent.map(strip), [
            { event: 'tier-changed', user_id: 'gus', referrer_user_id: null, code: null, old_tier: 1, new_tier: 2,
              actor: `key ${keyNumber}`, note: 'partner' },
            { event: 'rejected', user_id: 'hal', referrer_user_id: 'gus', code: held.code, old_tier: null, new_tier: null,
              actor: 'ops', note: 'himself again' },
            { event: 'signup', user_id: 'hal', referrer_user_id: 'gus', code: held.code, ...nothing },
            { event: 'first-paid', user_id: 'gus', referrer_user_id: 'gil', code: codeOf(11, 'gil'), ...nothing },
            { event: 'signup', user_id: 'gus', referrer_user_id: 'gil', code: codeOf(11, 'gil'), ...nothing },
        ]);
        assert.equal(new Set(recent.map((event) => event.id)).size, recent.length);
        assert.deepEqual(recent.map((event) => Date.parse(event.created_at)).sort((a, b) => b - a),
                         recent.map((event) => Date.parse(event.created_at)), 'newest first');
    });
    await expect('his referrer', 'GET', user('gil'), admin(), 200, (gil) => {
        assert.deepEqual([gil.paid_invitees, gil.paid_invitees_info, gil.balance.lifetime_micro], [1, 1, 500000]);
        assert.deepEqual(gil.recent_attributions.map((event) => `${event.event} ${event.user_id}`),
                         ['first-paid gus', 'signup guy', 'signup gus']);
    });
    await expect('no history', 'GET', user('newcomer'), admin(), 200, (one) => assert.deepEqual(one.recent_attributions,
        []));
    await expect('a long history', 'GET', user('pat'), admin(), 200, ({ recent_attributions: recent }) => {
        assert.equal(recent.length, 50);
        assert.deepEqual(recent.slice(0, 3).map((event) => `${event.event} ${event.user_id}`),
                         ['first-paid pat-260', 'first-paid pat-259', 'first-paid pat-258']);
    });

    // Ids are the application's: what is known may look like anything.
    const names = ['a/b', 'tier', 'ä ö', "o'neil", '..', 'x?y#z', '%41', 'a+b', '<script>', '💎', 'n'.repeat(200)];
    for (const name of names) {
        await expect('first', 'GET', '/v1/referrals/me', as(name), 200);
        await expect('a strange id', 'GET', user(encodeURIComponent(name)), admin(), 200, (found) =>
            assert.equal(found.user_id, name));
    }
    for (const id of ['nobody', '-', 'x'.repeat(201), `${UNKNOWN}x`, '%E2%82%AC', '0', 'ada%20', 'ADA', 'null',
        '%2e%2e%2fada']) {
        await expect('no id', 'GET', user(id), admin(), 400, 'invalid_user_id');
        await expect('no id', 'POST', user(id) + '/tier', admin({ tier: 2 }), 400, 'invalid_user_id');
    }
    for (const id of [UNKNOWN, UNKNOWN.toUpperCase()]) {
        await expect('nobody', 'GET', user(id), admin(), 404, 'user_not_found');
        await expect('nobody', 'POST', user(id) + '/tier', admin({ tier: 2 }), 404, 'user_not_found');
    }
});

test('tiers', async () => {
    const path = '/v1/admin/referrals/users/ada/tier';
    for (const body of ['{}', '{"tier": null}', '{"tier": 0}', '{"tier": 3}', '{"tier": -1}', '{"tier": 2147483648}',
        '{"tier": 4294967297}',
                        '{"tier": 9223372036854775807}', '{"note": "x"}']) {
        await expect(body, 'POST', path, admin(body), 400, 'invalid_tier');
    }
    await expect('a long note', 'POST', path, admin({ tier: 2, note: 'x'.repeat(2001) }), 400, 'invalid_note');
    await expect('as it was', 'GET', '/v1/referrals/me', as('ada'), 200, (me) => assert.equal(me.tier, 1));
    await expect('raised', 'POST', path, admin({ tier: 2 }), 200, { old_tier: 1, new_tier: 2 });
    await expect('shown', 'GET', '/v1/referrals/me', as('ada'), 200,
                 (me) => assert.deepEqual([me.tier, me.tier_label, me.rate_bps, me.balance.lifetime_micro], [2,
                     'influencer', 1500, 12600000]));
    sql(`SELECT FROM referral.record_payment('p3', 'bob', 10000000, NULL, 'purchase', now(), 11)`);
    await expect('future rewards only', 'GET', '/v1/referrals/rewards?limit=2', as('ada'), 200,
                 ({ items }) => assert.deepEqual(items.map((r) => [r.tier, r.rate_bps, r.amount_micro]), [[2, 1500,
                     1500000], [1, 400, 1600000]]));
    await expect('lowered', 'POST', path, admin({ tier: 1, note: null }), 200, { old_tier: 2, new_tier: 1 });
});

test('a retired endpoint', async () => {
    for (const body of ['', '{', { user_id: UNKNOWN }]) {
        await expect('retired', 'POST', '/v1/admin/referrals/simulate-paid', admin(body), 410,
                     { error: 'endpoint_retired', reason: 'billing_bridge_active' });
    }
});

test('a program ends at its border', async () => {
    const two = { 'X-Admin-Token': newKey(12) };
    const before = balance(11, 'ada');
    const known = state(11);
    const payoutOfOne = one(`SELECT payout_id FROM referral.payout
                              WHERE program_id = 11 AND status = 'requested' AND payout_id ~ '^[0-9a-f]{8}-' LIMIT 1`);
    await expect('rewards', 'GET', '/v1/referrals/rewards', asOfTwo('ada'), 200, ({ items }) => assert.deepEqual(
        items.map((r) => [r.payment_id, r.amount_micro, r.status, r.tier]), [['p1', 350000, 'available', 0]]));
    await expect('invitees', 'GET', '/v1/referrals/invitees', asOfTwo('ada'), 200, ({ items }) => assert.deepEqual(
        items.map((i) => [i.user_id, i.display_name, i.total_paid_micro]), [['bob', '', 7000000]]));
    await expect('slug', 'POST', '/v1/referrals/code', withBody(asOfTwo('ada'), { slug: 'two-only' }), 200);
    await expect('no slug', 'DELETE', '/v1/referrals/code', asOfTwo('ada'), 200);
    const asked = { amount_micro: 350000, network: 'n', address: 'a' };
    const { body: payout } = await expect('payout', 'POST', PAYOUTS, idempotent(withBody(asOfTwo('ada'), asked), 'k 1'),
        202);
    await expect('attribute', 'POST', '/v1/auth/attribute',
                 { headers: { ...asOfTwo('zoe').headers,
                     Cookie: `${asOfTwo('zoe').headers.Cookie}; ref_code=${codeOf(11, 'ada')}` } },
                 200, { attributed: false, reason: 'unknown_code' });
    await expect('user', 'GET', '/v1/admin/referrals/users/ada', { headers: two }, 200, (ada) => {
        assert.deepEqual([ada.tier, ada.tier_label, ada.primary_code], [0, '', codeOf(12, 'ada')]);
        assert.deepEqual(ada.recent_attributions.map((e) => `${e.event} ${e.user_id}`), ['first-paid bob', 'signup bob']);
    });
    await expect('a member of the other program', 'GET', '/v1/admin/referrals/users/gus', { headers: two }, 400,
        'invalid_user_id');
    await expect('no tiers', 'POST', '/v1/admin/referrals/users/ada/tier', { headers: two, body: { tier: 2 } }, 400,
        'invalid_tier');
    for (const how of ['sent', 'failed']) {
        await expect('a payout of the other program', 'POST', `/v1/admin/referrals/payouts/${payoutOfOne}/${how}`,
                     { headers: two, body: { tx_hash: 'x' } }, 404, 'payout_not_found');
        await expect('and the reverse', 'POST', `/v1/admin/referrals/payouts/${payout.id}/${how}`,
            admin({ tx_hash: 'x' }), 404, 'payout_not_found');
    }
    await expect('its own', 'POST', `/v1/admin/referrals/payouts/${payout.id}/sent`, { headers: two,
        body: { tx_hash: 'x' } }, 200, { ok: true });
    assert.equal(balance(12, 'ada'), '0 0 350000');
    assert.equal(balance(11, 'ada'), before);
    assert.equal(state(11), known);
});

// As the examples of the documentation are written, but for the base URL. A
// browser adds the cookie and the origin by itself.
class Triport {
    constructor(baseUrl, { session, adminToken } = {}) {
        Object.assign(this, { baseUrl, session, adminToken });
    }

    async request(path, { method = 'GET', body } = {}) {
        const res = await fetch(`${this.baseUrl}${path}`, {
            method,
            credentials: 'include',
            headers: {
                'Content-Type': 'application/json',
                ...(this.session && { Cookie: this.session, Origin: site }),
                ...(this.adminToken && { 'X-Admin-Token': this.adminToken }),
            },
            body: body && JSON.stringify(body),
        });
        if (!res.ok) {
            const { error } = await res.json().catch(() => ({}));
            throw new Error(error ?? `HTTP ${res.status}`);
        }
        return res.json();
    }

    getOverview = () => this.request('/v1/referrals/me');
    listRewards = ({ status = [], limit = 50, offset = 0 } = {}) =>
        this.request(`/v1/referrals/rewards?${new URLSearchParams({ status: status.join(','), limit, offset })}`);
    listInvitees = () => this.request('/v1/referrals/invitees?limit=50&offset=0');
    listPayouts = () => this.request('/v1/referrals/payouts?limit=50&offset=0');
    createPayout = (body) => this.request('/v1/referrals/payouts', { method: 'POST', body });
    setCode = (slug) => this.request('/v1/referrals/code', { method: 'POST', body: { slug } });
    deleteCode = () => this.request('/v1/referrals/code', { method: 'DELETE' });
    attribute = () => this.request('/v1/auth/attribute', { method: 'POST', body: {} });
    getUser = (id) => this.request(`/v1/admin/referrals/users/${id}`);
    setTier = (id, tier, note) => this.request(`/v1/admin/referrals/users/${id}/tier`, { method: 'POST', body: { tier,
        note } });
    markSent = (id, tx_hash) => this.request(`/v1/admin/referrals/payouts/${id}/sent`, { method: 'POST',
        body: { tx_hash } });
    markFailed = (id, reason) => this.request(`/v1/admin/referrals/payouts/${id}/failed`, { method: 'POST',
        body: { reason } });
    simulatePaid = (user_id) => this.request('/v1/admin/referrals/simulate-paid', { method: 'POST', body: { user_id } });
}

test('a client of the documentation', async () => {
    const session = (sub, more = '') => ({ session: `nl_session=${member(sub, { program_id: 11 })}${more}` });
    const base = `${site}/triport`;
    const [vera, ops] = [new Triport(base, session('vera')), new Triport(base, { adminToken: key })];
    const { primary_code } = await vera.getOverview();
    assert.equal((await vera.setCode('vera-codes')).code.Code, 'vera-codes');
    const walt = new Triport(base, session('walt', '; ref_code=vera-codes'));
    assert.deepEqual(await walt.attribute(), { attributed: true });
    assert.deepEqual(await new Triport(base, session('walt')).attribute(), { attributed: false, reason: 'no_cookie' });
    assert.equal((await ops.setTier('vera', 2, 'launch')).new_tier, 2);
    sql(`SELECT FROM referral.record_payment('w1', 'walt', 20000000, NULL, 'purchase', now(), 11);
         UPDATE referral.program SET hold_days = 0 WHERE program_id = 11;
         SELECT FROM referral.record_payment('w2', 'walt', 20000000, NULL, 'purchase', now(), 11);
         UPDATE referral.program SET hold_days = 30 WHERE program_id = 11`);
    const overview = await vera.getOverview();
    assert.deepEqual(overview, {
        primary_code, custom_slug: 'vera-codes', tier: 2, tier_label: 'influencer', rate_bps: 1500, paid_invitees: 1,
        balance: { pending_micro: 3000000, available_micro: 3000000, lifetime_micro: 6000000 }, inviter_display: null,
    });
    const { items } = await vera.listRewards({ status: ['pending', 'available'], limit: 50, offset: 0 });
    assert.deepEqual(items.map((reward) => [reward.status, reward.amount_micro]), [['available', 3000000], ['pending',
        3000000]]);
    assert.deepEqual((await vera.listInvitees()).items.map((i) => [i.user_id, i.total_paid_micro]), [['walt', 40000000]]);
    const asked = { amount_micro: 1500000, network: 'solana', address: '7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU' };
    const [first, second] = [await vera.createPayout(asked), await vera.createPayout(asked)];
    await assert.rejects(vera.createPayout(asked), /^Error: balance_insufficient$/);
    assert.deepEqual(await ops.markSent(first.id, '5UfDuX7hXbQn'), { ok: true });
    assert.deepEqual(await ops.markFailed(second.id, 'address refused'), { ok: true });
    await assert.rejects(ops.markSent(second.id, '5UfDuX7hXbQn'), /^Error: payout_not_actionable$/);
    assert.deepEqual((await vera.listPayouts()).items.map((p) => [p.id, p.status, p.tx_hash, p.note]),
                     [[second.id, 'failed', undefined, 'address refused'], [first.id, 'sent', '5UfDuX7hXbQn', undefined]]);
    assert.equal((await ops.getUser('vera')).balance.available_micro, 1500000);
    assert.deepEqual(await vera.deleteCode(), { ok: true });
    await assert.rejects(ops.simulatePaid('walt'), /^Error: endpoint_retired$/);
    await assert.rejects(new Triport(base).getOverview(), /^Error: unauthenticated$/);
    await assert.rejects(new Triport(base).getUser('vera'), /^Error: admin_token_invalid$/);
});

test('the books are sound, and every answer that is described was given', () => {
    assert.deepEqual(sql('SELECT * FROM referral.verify(11)'), ['']);
    assert.deepEqual(sql('SELECT * FROM referral.verify(12)'), ['']);
    call.assertAllSeen();
});
