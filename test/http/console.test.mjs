// The server side of the console: its files, its session, and calls by cookie.
import test from 'node:test';
import assert from 'node:assert/strict';
import { send, site, member, operator } from './contract.mjs';
import { sql } from './client.mjs';

const own = { Origin: site };
const signedIn = (token, more = {}) => ({ ...own, Cookie: `nl_session=${token}`, ...more });
const rpc = (name, headers, body = '{}') => send('POST', `/console/rpc/${name}`, { headers, body });
const ada = member('ada');

test('files carry what keeps a page safe, and are cached until they change', async () => {
    for (const path of ['/console/', '/console/index.html', '/console/operator.html', '/console/style.css', '/console/js/member.js',
        '/console/icon.svg', '/console/vendor/uplot/dist/uPlot.esm.js', '/console/vendor/uplot/dist/uPlot.min.css',
        '/console/vendor/uqr/dist/index.mjs', '/console/vendor/lossless-json/lib/esm/index.js']) {
        const { status, headers } = await send('GET', path);
        assert.equal(status, 200, path);
        const [ending] = /[a-z]+$/.exec(path) ?? ['html'];
        const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', mjs: 'text/javascript', svg: 'image/svg+xml' };
        assert.equal(headers['content-type'].split(';')[0], types[ending], path);
        const policy = headers['content-security-policy'];
        for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
            "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"]) {
            assert.ok(policy.split('; ').includes(rule), `${path}: ${rule}`);
        }
        assert.doesNotMatch(policy, /unsafe|https?:|\*/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
        assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
        assert.equal(headers['referrer-policy'], 'same-origin');
        assert.match(headers['permissions-policy'], /camera=\(\)/);
        assert.equal(headers['cache-control'], 'no-cache');
        assert.equal((await send('GET', path, { headers: { 'If-None-Match': headers.etag } })).status, 304);
    }
});

test('the page is what it is and nothing else of its folder', async () => {
    assert.equal((await send('GET', '/console')).headers.location, '/console/');
    for (const path of ['/console/package.json', '/console/package-lock.json', '/console/node_modules/.installed',
        '/console/node_modules/uplot/package.json', '/console/node_modules/uplot/dist/uPlot.esm.js', '/console/js/',
        '/console/vendor/uplot/package.json', '/console/vendor/uplot/../../package.json',
        '/console/vendor/uplot/%2e%2e/%2e%2e/%2e%2e/nginx.conf', '/console/vendor/uplot/..%2f..%2fpackage.json',
        '/console/vendor/uplot/dist/uPlot.esm.js/', '/console/vendor/other/index.js', '/console/../nginx.conf',
        '/console/no-such.html', '/console/run/error.log', '/console/%00.html', '/console/index.html%00.js']) {
        const { status, text } = await send('GET', path);
        assert.ok([400, 404].includes(status), `${path}: ${status}`);
        assert.doesNotMatch(text, /version|proxy_pass/, path);
    }
    assert.equal((await send('POST', '/console/vendor/uqr/dist/index.mjs')).status, 405);
});

test('a session begins with a token that is believed', async () => {
    const begun = await send('POST', '/console/session', { headers: { ...own, Authorization: `Bearer ${ada}` } });
    assert.equal(begun.status, 200);
    assert.deepEqual(begun.body, {
        user_id: 'ada', operator: false, program_id: 1, program_name: 'One', currency: 'USD', time_zone: 'UTC',
        share_path: '/r/', payout_min_micro: 0, max_level: 2, hold_days: 0,
    });
    assert.deepEqual(begun.headers['set-cookie'], [`nl_session=${ada}; Path=/; HttpOnly; SameSite=Strict`]);
    assert.equal(begun.headers['cache-control'], 'no-store');
    const asOperator = { headers: { ...own, Authorization: `Bearer ${operator()}` }, body: '{' };
    const ops = await send('POST', '/console/session', asOperator);
    assert.equal(ops.status, 200);
    assert.equal(ops.body.operator, true);

    for (const [what, status, headers] of [
        ['nothing', 401, {}],
        ['no token', 401, { Authorization: 'Bearer x' }],
        ['a header in it', 401, { Authorization: 'Bearer x; Domain=evil' }],
        ['another scheme', 401, { Authorization: `Basic ${ada}` }],
        ['an expired one', 401, { Authorization: `Bearer ${member('ada', { exp: 1 })}` }],
        ['an unknown role', 403, { Authorization: `Bearer ${member('ada', { role: 'postgres' })}` }],
        ['of nobody', 403, { Authorization: `Bearer ${member(undefined)}` }],
        ['an unknown program', 409, { Authorization: `Bearer ${member('ada', { program_id: 999999 })}` }],
    ]) {
        const answer = await send('POST', '/console/session', { headers: { ...own, ...headers } });
        assert.equal(answer.status, status, `${what}: ${answer.status} ${answer.text}`);
        assert.equal(answer.headers['set-cookie'], undefined, what);
        assert.equal(typeof answer.body.message, 'string', what);
    }
});

test('a session ends, whatever it was worth', async () => {
    for (const headers of [own, signedIn(ada), signedIn('x'), signedIn(member('ada', { exp: 1 }))]) {
        const ended = await send('DELETE', '/console/session', { headers });
        assert.equal(ended.status, 204);
        assert.deepEqual(ended.headers['set-cookie'], ['nl_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict']);
    }
});

test('functions answer him whom the cookie names, and nobody else', async () => {
    assert.equal((await rpc('whoami', signedIn(ada))).body.user_id, 'ada');
    assert.equal((await send('POST', '/console/rpc/whoami', { headers: signedIn(ada) })).body.user_id, 'ada');
    assert.equal((await rpc('list_rewards', signedIn(ada), '{"max_rows": 3}')).body.length, 3);
    assert.equal((await rpc('list_rewards?limit=1&user_id=bob', signedIn(ada), '{"max_rows": 3}')).body.length, 3,
        'the query counts for nothing');
    assert.deepEqual((await rpc('maintenance_progress', signedIn(operator()))).body, []);
    for (const [what, status, name, headers, body] of [
        ['a header instead', 401, 'whoami', { ...own, Authorization: `Bearer ${ada}` }],
        ['nothing', 401, 'whoami', own],
        ['bytes that are no token', 401, 'whoami', signedIn('b d')],
        ['an expired token', 401, 'whoami', signedIn(member('ada', { exp: 1 }))],
        ['a page of others', 403, 'whoami', signedIn(ada, { Origin: 'https://evil.example' })],
        ['no page', 403, 'whoami', { Cookie: `nl_session=${ada}` }],
        ['a function for operators', 403, 'maintenance_progress', signedIn(ada)],
        ['data of others', 403, 'list_rewards', signedIn(ada), '{"user_id": "bob"}'],
        ['no function', 404, 'no_such_function', signedIn(ada)],
        ['a function of a contract', 404, 'triport', signedIn(ada, { 'Content-Type': 'application/octet-stream' })],
        ['no JSON', 400, 'list_rewards', signedIn(ada), '{"max_rows": '],
        ['too much', 413, 'list_rewards', signedIn(ada), 'x'.repeat(70000)],
    ]) {
        const answer = await rpc(name, headers, body);
        assert.equal(answer.status, status, `${what}: ${answer.text}`);
        assert.equal(typeof answer.body.message, 'string', what);
        assert.match(answer.headers['content-type'], /^application\/json/, what);
    }
    assert.equal((await send('POST', '/console/rpc/whoami?x=%ff', { headers: signedIn(ada) })).status, 400);
});

test('other methods are refused, with those that are not', async () => {
    for (const [path, allowed] of [['/console/rpc/whoami', 'POST'], ['/console/session', 'POST, DELETE']]) {
        for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'OPTIONS', 'PROPFIND']) {
            const answer = await send(method, path, { headers: signedIn(ada) });
            assert.equal(answer.status, 405, `${method} ${path}`);
            assert.equal(answer.headers.allow, allowed);
        }
    }
});

test('by the session of one program nothing is seen of another', async () => {
    const two = signedIn(member('ada', { program_id: 2 }));
    assert.equal((await rpc('whoami', two)).body.program_name, 'Two');
    assert.deepEqual((await rpc('list_rewards', two)).body, []);
    assert.deepEqual(sql("SELECT count(*) FROM referral.member WHERE program_id = 2 AND user_id = 'ada'"), ['1']);
});
