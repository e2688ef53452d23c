// The contract /intotes, request by request, and by a client as its
// documentation shows one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { api, bearer, member, operator, site } from './contract.mjs';
import { sql, token } from './client.mjs';

const call = api('intotes');
const INFO = '/api/v1/users/me/referral/info';
const CHILDREN = '/api/v1/users/me/referral/children';

// Program 31: ada referred bob and zoe, bob cyn, she dan, he eve, who is on a
// level that is counted but not shown. Amounts are no whole kopecks. Program 32
// has people of the same names and one level.
sql(`
INSERT INTO referral.program (program_id, name, max_level, hold_days)
VALUES (31, 'Intotes', 5, 30), (32, 'Intotes two', 1, 0);
INSERT INTO referral.rate (program_id, level, rate_bps)
VALUES (31, 1, 1500), (31, 2, 400), (31, 3, 100), (31, 4, 50), (32, 1, 25);

SET referral.program_id = 31;
SELECT FROM referral.attribute('bob', referral.enroll('ada', 'Ada "<i>', 'https://cdn.example/ada.jpg'), NULL,
                               '2025-09-01 14:00:00.7+02');
SELECT FROM referral.attribute('cyn', referral.enroll('bob', 'Bob', 'https://cdn.example/bob.jpg'), NULL, '2025-09-02');
SELECT FROM referral.attribute('dan', referral.enroll('cyn'), NULL, '2025-09-03');
SELECT FROM referral.attribute('eve', referral.enroll('dan', 'Dan'), NULL, '2025-09-04');
SELECT FROM referral.attribute('zoe', referral.enroll('ada'), NULL, '2025-09-05');
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, base_micro, kind)
VALUES (31, 'b1', 'bob', 1239999, 1000000, 'purchase'), (31, 'b2', 'bob', 10005000, NULL, 'deposit'),
       (31, 'c1', 'cyn', 2000009999, NULL, 'purchase'), (31, 'c2', 'cyn', 5000, NULL, 'deposit'),
       (31, 'd1', 'dan', 50000, 39999, 'purchase'), (31, 'd2', 'dan', 10000, 10000, 'purchase'),
       (31, 'e1', 'eve', 1000000000, NULL, 'purchase'), (31, 'e2', 'eve', 1000000000, NULL, 'deposit');
SELECT FROM referral.record_refund('r1', 'b1', 500000, NULL);

SET referral.program_id = 32;
SELECT FROM referral.attribute('bob', referral.enroll('ada', 'Ada of two'), NULL, '2025-10-01');
SELECT FROM referral.record_payment('b1', 'bob', 7770000);
`);

const one = (statement) => sql(statement)[0];
const codeOf = (program, name) => one(`SELECT (referral.referral_overview('${name}', ${program})).primary_code`);
const idOf = (program, name) =>
    Number(one(`SELECT member_id FROM referral.member WHERE program_id = ${program} AND user_id = '${name}'`));
const as = (sub, program_id = 31, more = {}) => ({ headers: { ...bearer(member(sub, { program_id })), ...more } });
const level = (count, total_volume, earnings, fee) => ({ count, total_volume, earnings, fee });
const nothing = level(0, 0, 0, 0);

async function expect(name, method, path, options, status, body) {
    const answer = await call(method, path, options);
    const what = `${name}: ${method} ${path} → ${answer.status} ${answer.text.slice(0, 300)}`;
    assert.equal(answer.status, status, what);
    assert.match(answer.headers['content-type'], /^application\/json/, what);
    if (typeof body === 'function') {
        body(answer.body, answer);
    } else if (body !== undefined) {
        assert.deepEqual(answer.body, typeof body === 'string' ? { error: body } : body, what);
    }
    return answer;
}

const table = (name, rows) => test(name, async () => {
    for (const row of rows()) {
        await expect(...row);
    }
});

const children = () => [
    { id: idOf(31, 'zoe'), username: 'zoe', image: null, level: 1, joined_date: '2025-09-05T00:00:00Z',
      total_bets: 0, total_volume: 0 },
    { id: idOf(31, 'bob'), username: 'Bob', image: 'https://cdn.example/bob.jpg', level: 1,
      joined_date: '2025-09-01T12:00:00Z', total_bets: 1, total_volume: 123 },
    { id: idOf(31, 'cyn'), username: 'cyn', image: null, level: 2, joined_date: '2025-09-02T00:00:00Z',
      total_bets: 1, total_volume: 200000 },
    { id: idOf(31, 'dan'), username: 'Dan', image: null, level: 3, joined_date: '2025-09-03T00:00:00Z',
      total_bets: 2, total_volume: 6 },
];

table('info', () => [
    // Deposits are floored as one sum, 1001, the others as what is shown.
    ['three of five levels', 'GET', INFO, as('ada'), 200, {
        referral_code: codeOf(31, 'ada'), referrer: null,
        total_earnings: 8007, total_referrals: 4, total_volume: 200129, total_deposits: 1001,
        stats: { level1: level(2, 123, 7, 0.15), level2: level(1, 200000, 8000, 0.04), level3: level(1, 6, 0, 0.01) },
    }],
    ['an invitee', 'GET', INFO, as('bob'), 200, {
        referral_code: codeOf(31, 'bob'), referrer: { name: 'Ada "<i>', image_url: 'https://cdn.example/ada.jpg' },
        total_earnings: 30000 + 0 + 1000, total_referrals: 3, total_volume: 200000 + 6 + 100000, total_deposits: 100000,
        stats: { level1: level(1, 200000, 30000, 0.15), level2: level(1, 6, 0, 0.04), level3: level(1, 100000, 1000, 0.01) },
    }],
    ['an invitee of one without a name', 'GET', INFO, as('dan'), 200, (info) => {
        assert.deepEqual(info.referrer, { name: '', image_url: null });
        assert.deepEqual(info.stats.level3, level(0, 0, 0, 0.01));
    }],
    ['another program', 'GET', INFO, as('ada', 32), 200, {
        referral_code: codeOf(32, 'ada'), referrer: null,
        total_earnings: 1, total_referrals: 1, total_volume: 777, total_deposits: 0,
        stats: { level1: level(1, 777, 1, 0.0025), level2: nothing, level3: nothing },
    }],
    ['one who is new is a member at once', 'GET', INFO, as('newcomer', 32), 200, (info) => {
        assert.equal(info.referral_code, codeOf(32, 'newcomer'));
        assert.deepEqual(info.stats, { level1: level(0, 0, 0, 0.0025), level2: nothing, level3: nothing });
    }],
    ['and asks again', 'GET', INFO, as('newcomer', 32), 200, (info) =>
        assert.equal(info.referral_code, codeOf(32, 'newcomer'))],
    ['an operator is a member as well', 'GET', INFO, { headers: bearer(operator({ program_id: 32 })) }, 200],
    ['names of any script', 'GET', INFO, as('ξ\u202e\u{1F600}', 32), 200, (info) =>
        assert.equal(info.referral_code, codeOf(32, 'ξ\u202e\u{1F600}'))],
    ['any query is ignored', 'GET', `${INFO}?user_id=bob&program_id=32&limit=x&=&&%3d`, as('ada'), 200, (info) =>
        assert.equal(info.referral_code, codeOf(31, 'ada'))],
    ['any body is ignored', 'GET', INFO, { ...as('ada', 31, { 'Content-Length': 60000 }), body: '['.repeat(60000) }, 200],
    ['a retry with a key', 'GET', INFO, as('ada', 31, { 'Idempotency-Key': 'again' }), 200],
]);

test('a great volume is exact', async () => {
    sql(`SET referral.program_id = 31;
         SELECT FROM referral.attribute('rich', referral.enroll('broker'));
         SELECT FROM referral.record_payment('rich', 'rich', 9223372036854775807, 1000000)`);
    const { text } = await call('GET', INFO, as('broker'));
    assert.match(text, /"total_volume" ?: ?922337203685477,/);
});

table('children', () => [
    ['three of five levels', 'GET', CHILDREN, as('ada'), 200, children()],
    ['another program', 'GET', CHILDREN, as('ada', 32), 200, [{
        id: idOf(32, 'bob'), username: 'bob', image: null, level: 1, joined_date: '2025-10-01T00:00:00Z',
        total_bets: 1, total_volume: 777,
    }]],
    ['nobody', 'GET', CHILDREN, as('zoe'), 200, []],
    ['somebody new', 'GET', CHILDREN, as('nobody yet', 32), 200, []],
    ['a page', 'GET', `${CHILDREN}?limit=2&offset=1`, as('ada'), 200, children().slice(1, 3)],
    ['the last page', 'GET', `${CHILDREN}?limit=1&offset=3`, as('ada'), 200, children().slice(3)],
    ['the first of each counts', 'GET', `${CHILDREN}?limit=1&limit=3&offset=2&offset=0`, as('ada'), 200, children().slice(2, 3)],
    ['encoded', 'GET', `${CHILDREN}?%6Cimit=%31`, as('ada'), 200, children().slice(0, 1)],
    ['beyond the end', 'GET', `${CHILDREN}?offset=999999999999999999`, as('ada'), 200, []],
    ['at most 1000', 'GET', `${CHILDREN}?limit=1000`, as('ada'), 200, children()],
    ...['0', '-1', '1001', '99999999999999999999999', 'abc', '', '1.5', '1e1', '%2b1', '1%20', "1'", '%00'.slice(0, 0), '٣']
        .map((limit) => [`limit ${limit}`, 'GET', `${CHILDREN}?limit=${encodeURI(limit)}`, as('ada'), 200, children()]),
    ...['-1', 'x', '', '0x1', '9'.repeat(30)]
        .map((offset) => [`offset ${offset}`, 'GET', `${CHILDREN}?offset=${offset}`, as('ada'), 200, children()]),
]);

test('1000 children at most', async () => {
    sql(`SET referral.program_id = 32;
         SELECT count(referral.attribute('c' || n, referral.enroll('parent'))) FROM generate_series(1, 1001) n`);
    const all = await call('GET', CHILDREN, as('parent', 32));
    assert.equal(all.body.length, 1000);
    assert.equal(all.body[0].username, 'c1001');
    const rest = await call('GET', `${CHILDREN}?offset=1000`, as('parent', 32));
    assert.deepEqual(rest.body.map((child) => child.username), ['c1']);
});

table('who is nobody', () => [INFO, CHILDREN].flatMap((path) => [
    ['no token', 'GET', path, {}, 401, 'unauthorized'],
    ['an empty one', 'GET', path, { headers: { Authorization: 'Bearer ' } }, 401, 'unauthorized'],
    ['no bearer', 'GET', path, { headers: { Authorization: `Basic ${member('ada', { program_id: 31 })}` } }, 401, 'unauthorized'],
    ['by cookie', 'GET', path, { headers: { Cookie: `nl_session=${member('ada', { program_id: 31 })}` } }, 401, 'unauthorized'],
    ['in the query', 'GET', `${path}?access_token=${member('ada', { program_id: 31 })}`, {}, 401, 'unauthorized'],
    ['no sub', 'GET', path, as(undefined), 401, 'unauthorized'],
    ['a program that is no number', 'GET', path, as('ada', 'x'), 401, 'unauthorized'],
    ['an unknown program', 'GET', path, as('ada', 99999), 400, 'unknown_program'],
    ['no program, and there are several', 'GET', path, { headers: bearer(token({ role: 'web_member', sub: 'ada' })) },
        400, 'ambiguous_program'],
]));

table('what is no request of the contract', () => [
    ...[INFO, CHILDREN].flatMap((path) => [
        ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'].map((method) =>
            [method, method, path, as('ada'), 405, (body, { headers }) => {
                assert.deepEqual(body, { error: 'method_not_allowed' });
                assert.equal(headers.allow, 'GET');
            }]),
        ['not UTF-8', 'GET', `${path}?a=%ff`, as('ada'), 400, 'bad_request'],
        ['a NUL', 'GET', `${path}?a=%00`, as('ada'), 400, 'bad_request'],
        ['a key that is too long', 'GET', path, as('ada', 31, { 'Idempotency-Key': 'x'.repeat(201) }), 400, 'bad_request'],
        ['a slash more', 'GET', `${path}/`, as('ada'), 404, 'not_found'],
    ]),
    ['nothing there', 'GET', '/api/v1/users/me/referral', as('ada'), 404, 'not_found'],
    ['upper case', 'GET', INFO.toUpperCase(), as('ada'), 404, 'not_found'],
    ['somebody else', 'GET', '/api/v1/users/bob/referral/info', as('ada'), 404, 'not_found'],
    ['a way up', 'GET', '/api/v1/users/me/referral/../referral/info', as('ada'), 404, 'not_found'],
]);

test('HEAD answers as GET does, without a body', async () => {
    const { status, text, headers } = await call('HEAD', INFO, as('ada'));
    assert.deepEqual([status, text], [200, '']);
    assert.match(headers['content-type'], /^application\/json/);
});

test('who reads changes nothing but that he becomes a member', async () => {
    const books = () => sql(`SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM
        (SELECT r::text FROM referral.reward r UNION ALL SELECT e::text FROM referral.earning e
         UNION ALL SELECT a::text FROM referral.attribution a UNION ALL SELECT m::text FROM referral.member m
         UNION ALL SELECT c::text FROM referral.code c) t`);
    const before = books();
    for (const path of [INFO, CHILDREN]) {
        await call('GET', path, as('ada'));
        await call('GET', path, as('ada', 32));
    }
    assert.deepEqual(books(), before);
});

// The examples of the documentation are of curl: GET, and a Bearer token.
class Intotes {
    constructor(base, accessToken) {
        Object.assign(this, { base, accessToken });
    }

    async get(path) {
        const response = await fetch(this.base + path, { headers: { Authorization: `Bearer ${this.accessToken}` } });
        const body = await response.json();
        if (response.status !== 200) {
            throw new Error(`${response.status} ${body.error}`);
        }
        return body;
    }

    referralInfo = () => this.get('/api/v1/users/me/referral/info');
    referralChildren = () => this.get('/api/v1/users/me/referral/children');
}

test('a client of the documentation', async () => {
    const client = (sub) => new Intotes(`${site}/intotes`, member(sub, { program_id: 31 }));
    const { referral_code } = await client('jane').referralInfo();
    sql(`SELECT FROM referral.attribute('mike', '${referral_code}', NULL, '2025-09-15 08:30:00Z', 31);
         SELECT FROM referral.record_payment('m1', 'mike', 5400000000, 54000000, 'purchase', now(), 31)`);
    const info = await client('jane').referralInfo();
    assert.deepEqual([info.total_earnings, info.total_referrals, info.total_volume], [810, 1, 540000]);
    for (const of of ['level1', 'level2', 'level3']) {
        assert.deepEqual(Object.keys(info.stats[of]), ['count', 'total_volume', 'earnings', 'fee']);
    }
    const [mike] = await client('jane').referralChildren();
    assert.deepEqual(mike, { id: idOf(31, 'mike'), username: 'mike', image: null, level: 1,
                             joined_date: '2025-09-15T08:30:00Z', total_bets: 1, total_volume: 540000 });
    assert.deepEqual((await client('mike').referralInfo()).referrer, { name: '', image_url: null });
    await assert.rejects(new Intotes(`${site}/intotes`, 'expired').referralInfo(), /^Error: 401 unauthorized$/);
});

test('the books are sound, and every answer that is described was given', () => {
    assert.deepEqual(sql('SELECT * FROM referral.verify(31)'), ['']);
    assert.deepEqual(sql('SELECT * FROM referral.verify(32)'), ['']);
    call.assertAllSeen();
});
