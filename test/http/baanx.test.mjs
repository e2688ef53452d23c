// The contract /baanx, request by request, and by a client as its documentation
// shows one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { api, bearer, member, operator, site } from './contract.mjs';
import { sql, token } from './client.mjs';

const call = api('baanx');
const MINE = '/v1/referral';
const validate = (code) => `/v1/referral/${code}/validate`;

// Program 41 has a campaign of five referrals a code that runs, one that started
// before, and one that is over. In program 42 none runs; in 43 one without a cap.
sql(`
INSERT INTO referral.program (program_id, name) VALUES (41, 'Baanx'), (42, 'Baanx two'), (43, 'Baanx three');
INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (41, 1, 1000);
INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap)
VALUES (41, 1, 'longer', now() - interval '20 days', now() + interval '20 days', 1),
       (41, 2, 'runs', now() - interval '10 days', now() + interval '10 days', 5),
       (41, 3, 'over', now() - interval '9 days', now() - interval '8 days', 5),
       (42, 1, 'to come', now() + interval '9 days', now() + interval '10 days', 5),
       (43, 1, 'runs', now() - interval '10 days', now() + interval '10 days', NULL);
`);

const one = (statement) => sql(statement)[0];
const newKey = (program, right = 'client') => one(`SELECT api_key FROM referral.create_api_key('${right}', ${program})`);
const key = newKey(41);
const keyOfTwo = newKey(42);
const operatorKey = newKey(41, 'operator');
const revoked = newKey(41);
sql(`SELECT referral.revoke_api_key(${revoked.split('_')[2]}, 41)`);
const issue = (name, campaign, program = 41) =>
    sql(`SET referral.program_id = ${program}; SELECT FROM referral.enroll('${name}');
         SELECT code FROM referral.campaign_code('${name}', ${campaign ?? 'NULL'})`).at(-1);

const withKey = (client = key, more = {}, body = undefined) => ({ headers: { 'x-client-key': client, ...more }, body });
const as = (sub, { client = key, ...claims } = {}) =>
    withKey(client, bearer(token({ role: 'web_member', sub, ...claims })));

async function expect(name, method, path, options, status, body) {
    const answer = await call(method, path, options);
    const what = `${name}: ${method} ${path} → ${answer.status} ${answer.text.slice(0, 300)}`;
    assert.equal(answer.status, status, what);
    assert.match(answer.headers['content-type'], /^application\/json/, what);
    if (typeof body === 'function') {
        body(answer.body, answer);
    } else if (body !== undefined) {
        assert.deepEqual(answer.body, typeof body === 'string' ? { message: body } : body, what);
    }
    return answer;
}

const table = (name, rows) => test(name, async () => {
    for (const row of rows()) {
        await expect(...row);
    }
});

test('the published example', async () => {
    sql(`SELECT FROM referral.enroll('ada', NULL, NULL, 41);
         INSERT INTO referral.code (program_id, user_id, code, kind, campaign_id, cap)
         VALUES (41, 'ada', 'FHLSO5', 'campaign', 2, 5)`);
    await expect('code', 'GET', MINE, as('ada'), 200, { code: 'FHLSO5', cap: 5, used: 0 });
    await expect('with a slash', 'GET', `${MINE}/`, as('ada'), 200, { code: 'FHLSO5', cap: 5, used: 0 });
    await expect('valid', 'GET', validate('FHLSO5'), withKey(), 200, { valid: true });
    await expect('in other letters', 'GET', validate('fhlso5'), withKey(), 200, { valid: true });
    await expect('encoded', 'GET', validate('%46HLSO5'), withKey(), 200, { valid: true });
    await expect('no campaign', 'GET', MINE, as('ada', { client: keyOfTwo }), 200, {});
});

table('whose code', () => [
    ['a token that names the program', 'GET', MINE, as('ada', { program_id: 41 }), 200, { code: 'FHLSO5', cap: 5, used: 0 }],
    ['as a text', 'GET', MINE, as('ada', { program_id: '41' }), 200, { code: 'FHLSO5', cap: 5, used: 0 }],
    ['the key of an operator', 'GET', MINE, as('ada', { client: operatorKey }), 200, { code: 'FHLSO5', cap: 5, used: 0 }],
    ['an operator himself', 'GET', MINE, withKey(key, bearer(operator({ program_id: 41 }))), 200],
    ['somebody new', 'GET', MINE, as('newcomer'), 200, ({ code, cap, used }) => {
        assert.deepEqual([cap, used], [5, 0]);
        assert.equal(code, issue('newcomer', 2));
    }],
    ['no cap', 'GET', MINE, as('ada', { client: newKey(43) }), 200, ({ cap, used }) => assert.deepEqual([cap, used], [null, 0])],
    ...['true', 'false', 'maybe'].map((us) =>
        [`x-us-env: ${us}`, 'GET', MINE, withKey(key, { ...as('ada').headers, 'x-us-env': us }), 200, { code: 'FHLSO5', cap: 5, used: 0 }]),
    ['a body', 'GET', MINE, withKey(key, { ...as('ada').headers, 'Content-Length': 17 }, '{"user_id": "bob"'), 200, { code: 'FHLSO5', cap: 5, used: 0 }],
    ['a query', 'GET', `${MINE}?user_id=bob&campaign_id=1`, as('ada'), 200, { code: 'FHLSO5', cap: 5, used: 0 }],
    ['of another program', 'GET', MINE, as('ada', { program_id: 42 }), 403, 'Not authorized'],
    ['of a program that is not there', 'GET', MINE, as('ada', { program_id: 99999 }), 403, 'Not authorized'],
    ['the other way', 'GET', MINE, as('ada', { program_id: 41, client: keyOfTwo }), 403, 'Not authorized'],
]);

test('who is refused becomes no member', async () => {
    await expect('another program', 'GET', MINE, as('stranger', { program_id: 42 }), 403, 'Not authorized');
    await expect('no key', 'GET', MINE, as('stranger', { program_id: 42, client: revoked }), 401, 'Not authenticated');
    assert.equal(one("SELECT count(*) FROM referral.member WHERE user_id = 'stranger'"), '0');
});

test('asked for the first time by many at once, a code is issued once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => call('GET', MINE, as('hurried'))));
    assert.deepEqual(answers.map((answer) => answer.status), Array(20).fill(200));
    assert.equal(new Set(answers.map((answer) => answer.body.code)).size, 1);
});

test('each referral that succeeds is one of the cap', async () => {
    const { body: { code } } = await call('GET', MINE, as('seller'));
    for (let used = 1; used <= 5; used += 1) {
        sql(`SET referral.program_id = 41; SELECT FROM referral.attribute('buyer${used}', '${code}');
             SELECT FROM referral.record_payment('buyer${used}', 'buyer${used}', 1000000)`);
        await expect('used', 'GET', MINE, as('seller'), 200, { code, cap: 5, used });
        await expect('valid?', 'GET', validate(code), withKey(), 200, { valid: used < 5 });
    }
});

table('validate', () => [
    ['nobody\'s', 'GET', validate('NOBODY'), withKey(), 200, { valid: false }],
    ['of another program', 'GET', validate('FHLSO5'), withKey(keyOfTwo), 200, { valid: false }],
    ['of an operator\'s key', 'GET', validate('FHLSO5'), withKey(operatorKey), 200, { valid: true }],
    ['with a token', 'GET', validate('FHLSO5'), as('ada'), 200, { valid: true }],
    ['with one of another program', 'GET', validate('FHLSO5'), as('ada', { program_id: 42 }), 200, { valid: true }],
    ['of a campaign that runs besides', 'GET', validate(issue('ada', 1)), withKey(), 200, { valid: true }],
    ['of a campaign that is over', 'GET', validate(issue('ada', 3)), withKey(), 200, { valid: false }],
    ['of one that was suspended', 'GET', validate((() => {
        const code = issue('suspended', 2);
        sql("SET referral.program_id = 41; SELECT FROM referral.suspend('suspended', 'fraud', 'ops')");
        return code;
    })()), withKey(), 200, { valid: false }],
    ['64 characters', 'GET', validate('x'.repeat(64)), withKey(), 200, { valid: false }],
    ['any query', 'GET', `${validate('FHLSO5')}?code=NOBODY&user_id=ada`, withKey(), 200, { valid: true }],
    ...['x'.repeat(65), '%20', '%20FHLSO5', 'FHLSO5%20', 'FH+SO5', 'FH%2FSO5', 'FH.SO5', '%C3%9F', "'", '%27%3B--', '%5C',
        '%F0%9F%98%80', '%0D%0AX-Injected:%20yes', '%252e', '{code}', '%D9%A3'].map((code) =>
        [`malformed: ${code}`, 'GET', validate(code), withKey(), 422, 'Invalid request']),
    ...['%ff', '%00', 'FHLSO5%c3', '%ed%a0%80'].map((code) =>
        [`no UTF-8: ${code}`, 'GET', validate(code), withKey(), 400, 'Invalid request']),
]);

table('who is nobody', () => [
    ...[MINE, validate('FHLSO5'), validate('%20')].flatMap((path) =>
        [undefined, '', 'x', revoked, key.slice(0, -1), `${key}0`, key.toUpperCase(), `${key} `.repeat(9), '\u00ff'.repeat(5)].map((wrong) =>
            [`key ${wrong}`, 'GET', path, wrong === undefined ? { headers: bearer(member('ada', { program_id: 41 })) }
                : as('ada', { client: wrong }), 401, 'Not authenticated'])),
    ['the key as a token', 'GET', MINE, withKey(key, bearer(key)), 401, 'Not authenticated'],
    ['the key elsewhere', 'GET', MINE, { headers: { 'x-api-key': key, ...bearer(member('ada')) } }, 401, 'Not authenticated'],
    ['no token', 'GET', MINE, withKey(), 401, 'Not authenticated'],
    ['an empty one', 'GET', MINE, withKey(key, { Authorization: 'Bearer ' }), 401, 'Not authenticated'],
    ['no sub', 'GET', MINE, as(undefined), 401, 'Not authenticated'],
    ['a program that is no number', 'GET', MINE, as('ada', { program_id: 'x' }), 401, 'Not authenticated'],
    ['a token of a visitor', 'GET', MINE, as('ada', { role: 'web_anon' }), 401, 'Not authenticated'],
    ['a cookie', 'GET', MINE, withKey(key, { Cookie: `nl_session=${member('ada', { program_id: 41 })}` }), 401, 'Not authenticated'],
]);

table('what is no request of the contract', () => [
    ...[MINE, `${MINE}/`, validate('FHLSO5')].flatMap((path) => ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].map((method) =>
        [method, method, path, as('ada'), 405, (body, { headers }) => {
            assert.deepEqual(body, { message: 'Method not allowed' });
            assert.equal(headers.allow, 'GET');
        }])),
    ['a key of a retry that is none', 'GET', MINE, withKey(key, { ...as('ada').headers, 'Idempotency-Key': 'ü' }), 400, 'Invalid request'],
    ['no UTF-8', 'GET', `${MINE}?a=%c3%28`, as('ada'), 400, 'Invalid request'],
    ['no code', 'GET', '/v1/referral//validate', withKey(), 404, 'Not found'],
    ['less', 'GET', '/v1/referral/FHLSO5', withKey(), 404, 'Not found'],
    ['more', 'GET', `${validate('FHLSO5')}/`, withKey(), 404, 'Not found'],
    ['a way up', 'GET', '/v1/referral/x/../../referral', as('ada'), 404, 'Not found'],
    ['nothing', 'GET', '/v1', withKey(), 404, 'Not found'],
]);

test('HEAD answers as GET does, without a body', async () => {
    const { status, text } = await call('HEAD', validate('FHLSO5'), withKey());
    assert.deepEqual([status, text], [200, '']);
});

test('before a page of another origin asks, its browser may not, unless it is listed', async () => {
    const { status, headers } = await call('OPTIONS', MINE, { headers: {
        Origin: 'https://evil.example', 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'x-client-key' } });
    assert.equal(status, 405);
    assert.equal(headers['access-control-allow-origin'], undefined);
    const own = await call('OPTIONS', MINE, { headers: {
        Origin: site, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'x-client-key, x-us-env' } });
    assert.equal(own.status, 204);
    assert.match(own.headers['access-control-allow-headers'], /X-Client-Key.*X-Us-Env/);
});

// As the examples in JavaScript have it.
class Baanx {
    constructor(base, clientKey, accessToken) {
        Object.assign(this, { base, clientKey, accessToken });
    }

    async getReferralCode() {
        const response = await fetch(`${this.base}/v1/referral/`, {
            method: 'GET', headers: { 'x-client-key': this.clientKey, Authorization: `Bearer ${this.accessToken}` },
        });
        if (!response.ok) {
            throw new Error(`HTTP error! status: ${response.status} ${(await response.json()).message}`);
        }
        return response.json();
    }

    async isValid(code) {
        const response = await fetch(`${this.base}/v1/referral/${code}/validate`, {
            method: 'GET', headers: { 'x-client-key': this.clientKey, 'x-us-env': 'true' },
        });
        return (await response.json()).valid;
    }
}

test('a client of the documentation', async () => {
    const client = (sub, { client: clientKey = key, ...claims } = {}) =>
        new Baanx(`${site}/baanx`, clientKey, token({ role: 'web_member', sub, ...claims }));
    const mine = await client('reader').getReferralCode();
    assert.deepEqual(Object.keys(mine), ['code', 'cap', 'used']);
    assert.deepEqual(await client('reader').getReferralCode(), mine);
    assert.equal(await client().isValid(mine.code), true);
    assert.equal(await client().isValid('NOSUCH'), false);
    assert.deepEqual(await client('reader', { client: keyOfTwo }).getReferralCode(), {});
    await assert.rejects(client('reader', { program_id: 42 }).getReferralCode(), /status: 403 Not authorized$/);
    await assert.rejects(client('reader', { client: 'none' }).getReferralCode(), /status: 401 Not authenticated$/);
});

test('the books are sound, and every answer that is described was given', () => {
    for (const program of [41, 42, 43]) {
        assert.deepEqual(sql(`SELECT * FROM referral.verify(${program})`), ['']);
    }
    call.assertAllSeen();
});
