// What the fuzz sends that is no HTTP/1.1, or several kinds of it at once. A proxy
// that reads it otherwise than the server behind would let one caller write the
// beginning of the next one's request.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { member, url as postgrest } from '../http/client.mjs';
import { Wire, parse } from './wire.mjs';

// Sends bytes and reads what comes: until the other side hangs up, or for a moment
// after its last answer. Whoever says that he sends nothing more is taken for gone
// by nginx; so that is said only when nothing has come for a while.
function send(endpoint, bytes, { patience = 1000, timeout = 20000 } = {}) {
    return new Promise((resolve) => {
        const parts = [];
        const started = Date.now();
        const socket = connect({ host: endpoint.hostname, port: Number(endpoint.port) });
        let waiting;
        const finish = (closed) => {
            clearTimeout(timer);
            clearTimeout(waiting);
            socket.destroy();
            resolve({ bytes: Buffer.concat(parts), closed, after: Date.now() - started });
        };
        const timer = setTimeout(() => finish(false), timeout);
        if (patience) {
            waiting = setTimeout(() => socket.end(), patience);
        }
        socket.on('data', (part) => {
            parts.push(part);
            clearTimeout(waiting);
            waiting = setTimeout(() => finish(true), 100);
        });
        socket.on('error', () => finish(true)).on('close', () => finish(true));
        socket.write(bytes);
    });
}

// The answers in bytes, one after the other.
function answers(bytes) {
    const found = [];
    for (let rest = bytes; rest.length;) {
        const answer = parse(rest, { closed: true });
        if (!answer) {
            break;
        }
        found.push(answer);
        rest = answer.rest;
    }
    return found;
}

const shown = (bytes) => JSON.stringify(bytes.toString('latin1')).slice(0, 500);

// May the other side hang up without a word: what came was no request.
async function check({ endpoint, sane, fault }, what, bytes) {
    const got = await send(endpoint, bytes);
    if (!got.closed) {
        fault('hanging', what, shown(bytes));
    }
    const all = answers(got.bytes);
    for (const answer of all) {
        sane(what, answer, [], shown(bytes));
        // A body that is no HTTP gets a page of nginx's own.
        if (!/^[{[]/.test(answer.body) && !(answer.status === 400 && /chunk|Transfer-Encoding/.test(what))) {
            fault('form', what, `${shown(bytes)}\n  → ${answer.status} ${answer.body}`);
        }
        if (answer.status >= 500) {
            fault('5xx', `${what}: ${answer.status} by nginx`, `${shown(bytes)}\n  → ${answer.body}`);
        }
    }
    return all;
}

async function each(list, work) {
    const left = [...list];
    await Promise.all(Array.from({ length: 8 }, async () => {
        while (left.length) {
            await work(left.shift());
        }
    }));
}

export async function malformed(raw) {
    const { endpoint, chance } = raw;
    const host = `Host: ${endpoint.host}\r\n`;
    const path = '/triport/v1/referrals/me';
    const ok = (line = `GET ${path} HTTP/1.1`, more = '') => `${line}\r\n${host}${more}\r\n`;
    const cases = {
        'HTTP/0.9': `GET ${path}\r\n`, 'HTTP/1.0': `GET ${path} HTTP/1.0\r\n\r\n`, 'no Host': `GET ${path} HTTP/1.1\r\n\r\n`,
        'two Hosts': ok(undefined, 'Host: evil.example\r\n'), 'odd Host': `GET ${path} HTTP/1.1\r\nHost: a b\r\n\r\n`, 'Host of bytes': `GET ${path} HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n`,
        'Host with a path': `GET ${path} HTTP/1.1\r\nHost: evil/../x\r\n\r\n`, 'absolute address': ok(`GET http://evil.example${path} HTTP/1.1`), 'OPTIONS *': ok('OPTIONS * HTTP/1.1'),
        'CONNECT': ok('CONNECT evil.example:443 HTTP/1.1'), 'TRACE': ok(`TRACE ${path} HTTP/1.1`), 'HTTP/2.0': ok(`GET ${path} HTTP/2.0`), 'HTTP/9.9': ok(`GET ${path} HTTP/9.9`),
        'HTTP/1.999999999': ok(`GET ${path} HTTP/1.999999999`), 'FTP': ok(`GET ${path} FTP/1.1`), 'HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        'zeros': '\0'.repeat(64), 'empty lines first': '\r\n\r\n\r\n' + ok(), 'two spaces': ok(`GET  ${path}  HTTP/1.1`), 'a space in the address': ok(`GET ${path} x HTTP/1.1`), 'a tab': ok(`GET\t${path}\tHTTP/1.1`),
        'no method': ok(`${path} HTTP/1.1`), 'long address': ok(`GET ${path}?${'x'.repeat(40000)} HTTP/1.1`), 'long header': ok(undefined, `X: ${'x'.repeat(40000)}\r\n`),
        'many headers': ok(undefined, Array.from({ length: 2000 }, (_, n) => `X-${n}: ${n}\r\n`).join('')), 'no colon': ok(undefined, 'X\r\n'), 'NUL in a header': ok(undefined, 'X: a\0b\r\n'),
        'NUL in the address': ok(`GET ${path}\0 HTTP/1.1`), 'space before a colon': ok(undefined, 'X-Admin-Token : x\r\n'), 'a folded header': ok(undefined, 'X-Admin-Token: a\r\n b\r\n'),
        'LF alone': `GET ${path} HTTP/1.1\n${host.trim()}\n\n`, 'CR alone': `GET ${path} HTTP/1.1\r${host.trim()}\r\r`, 'CRLF in the address': ok(`GET ${path}\r\nX-Injected: yes HTTP/1.1`),
        'body of a GET': ok(undefined, 'Content-Length: 5\r\n') + 'hello', 'Expect': ok(`POST /rpc/referral_overview HTTP/1.1`, 'Expect: 100-continue\r\nContent-Length: 2\r\n') + '{}', 'odd Expect': ok(undefined, 'Expect: x\r\n'),
        'body too large': ok('POST /crawlora/referrals/click HTTP/1.1', 'Content-Length: 70000\r\n') + 'x'.repeat(70000), 'an enormous body': ok('POST /rpc/attribute HTTP/1.1', 'Content-Length: 999999999999\r\n') + 'x',
        'a chunk too large': ok('POST /rpc/attribute HTTP/1.1', 'Transfer-Encoding: chunked\r\n') + '11170\r\n' + 'x'.repeat(70000) + '\r\n0\r\n\r\n',
        'upgrade': ok(undefined, 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'),
    };
    for (let n = 0; n < 200; n += 1) {
        // Bytes of a good request, some of them others.
        const bytes = Buffer.from(ok(chance.one([undefined, 'POST /rpc/validate_code HTTP/1.1', 'DELETE /triport/v1/referrals/code HTTP/1.1', 'GET /baanx/v1/referral HTTP/1.1']),
            `Authorization: Bearer x\r\nContent-Length: 9\r\n`) + '{"a":"b"}', 'latin1');
        for (let m = chance.below(6); m >= 0; m -= 1) {
            bytes[chance.below(bytes.length)] = chance.in100(50) ? chance.below(256) : chance.one([0, 9, 10, 13, 32, 58, 37, 0xff]);
        }
        cases[`bytes ${n}`] = bytes;
    }
    await each(Object.entries(cases), async ([what, bytes]) => check(raw, what.replace(/ \d+$/, ''), Buffer.from(bytes, 'latin1')));
    await raw.canary();

    const three = ['/baanx/v1/referral', '/intotes/api/v1/users/me/referral/info', '/crawlora/referrals/me'];
    const got = await check(raw, 'pipelined', Buffer.from(three.map((each) => `GET ${each} HTTP/1.1\r\n${host}\r\n`).join('')));
    assert.deepEqual(got.map(({ body }) => Object.keys(JSON.parse(body)).join()), ['message', 'error', 'code,msg,data']);
}

// Requests in whose body another one stands, which only PostgREST would answer.
export async function smuggle(raw) {
    const { endpoint } = raw;
    const inner = (slug) => {
        const body = JSON.stringify({ slug });
        return `POST /rpc/contract HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${member('ann', { program_id: 91 })}\r\nX-Endpoint: triport POST code\r\n`
            + `Content-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    };
    const direct = new Wire(new URL(postgrest));
    assert.equal((await direct.exchange(Buffer.from(inner('contraband')))).status, 200, 'where it is read, it works');
    direct.close();

    const encodings = ['Transfer-Encoding: chunked', 'Transfer-Encoding : chunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding:\tchunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: chunked, chunked',
        'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: \x0bchunked', 'X: x\r\n\tTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\n x',
        'Transfer_Encoding: chunked', 'transfer-encoding: CHUNKED', 'Transfer-Encoding:chunked\0', 'X: x\nTransfer-Encoding: chunked', 'Transfer-Encoding: "chunked"'];
    let n = 0;
    const cases = [];
    for (const line of ['POST /rpc/validate_code HTTP/1.1', 'GET /triport/v1/referrals/me HTTP/1.1', 'POST /crawlora/referrals/click HTTP/1.1', 'POST /console/rpc/referral_overview HTTP/1.1']) {
        const add = (what, headers, body) => {
            n += 1;
            cases.push([what, `${line}\r\nHost: ${endpoint.host}\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body(inner(`smuggled-${n}`))}`]);
        };
        for (const encoding of encodings) {
            add(`${encoding} and a length`, `Content-Length: 5\r\n${encoding}`, (more) => `0\r\n\r\n${more}`);
            add(`a length and ${encoding}`, `${encoding}\r\nContent-Length: 6`, (more) => `0\r\n\r\n${more}`);
            add(encoding, encoding, (more) => `0\r\n\r\n${more}`);
            add(`${encoding}, all of it`, encoding, (more) => `${more.length.toString(16)}\r\n${more}\r\n0\r\n\r\n`);
        }
        for (const size of ['0;x=y', '0\n', '00000000000000000000', '-1', '0x0', '+0', ' 0', '10000000000000000', 'ffffffffffffffff', '0\r\nX: y', '2\r\n{}\r\n0']) {
            add(`chunk ${JSON.stringify(size)}`, 'Transfer-Encoding: chunked', (more) => `${size}\r\n\r\n${more}`);
        }
        for (const length of ['0', '+2', '-1', '0x2', '2, 2', '2\r\nContent-Length: 300', '99999999999999999999', ' 2 ', '2 2', '2\0', '1e1', '', '2\n300', '٢']) {
            add(`length ${JSON.stringify(length)}`, `Content-Length: ${length}`, (more) => `{}${more}`);
        }
        add('a whole body', 'X: y', (more) => more);
        add('a header that has one', `X-Client-Key: a\r\n\tb\r\nX: y`, (more) => more);
        add('Expect', 'Expect: 100-continue\r\nContent-Length: 2', (more) => `{}${more}`);
        add('Upgrade', 'Connection: Upgrade\r\nUpgrade: websocket', (more) => more);
    }
    await each(cases, async ([what, bytes]) => check(raw, what, Buffer.from(bytes, 'latin1')));
    await raw.canary();
}

// Connections on which nothing more comes are closed.
export async function slow(raw) {
    const { endpoint, sane, fault } = raw;
    const host = `Host: ${endpoint.host}\r\n`;
    await Promise.all(Object.entries({
        'half a line': 'GET /tri', 'half a header': `GET / HTTP/1.1\r\n${host}X-Admin`, 'half a body': `POST /rpc/validate_code HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\n{"code"`,
        'half a chunk': `POST /crawlora/referrals/click HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nff\r\n{"code"`, 'no body': `POST /triport/v1/referrals/code HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\n`,
    }).map(async ([what, bytes]) => {
        const got = await send(endpoint, Buffer.from(bytes), { patience: 0, timeout: 15000 });
        if (!got.closed) {
            fault('hanging', what, `after ${got.after} ms`);
        }
        for (const answer of answers(got.bytes)) {
            sane(what, answer, [], bytes);
        }
    }));
}
