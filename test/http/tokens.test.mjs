// Tokens: what is believed and what is not, by every way in which one is
// presented. Asked of the site of the other tests, which has one secret, and of
// one with a set of keys (RFC 7517), a secret and an RSA key, and an audience.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { send, site } from './contract.mjs';
import { sql } from './client.mjs';

const top = new URL('../..', import.meta.url).pathname;
const now = Math.floor(Date.now() / 1000);
const claims = { role: 'web_member', sub: 'ada', program_id: 1 };

const plain = { hs: process.env.REFERRAL_JWT_SECRET };
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const keys = { hs: 'a secret that only the tests of the tokens know', rs: rsa.privateKey };
const jwks = {
    keys: [
        { kty: 'oct', alg: 'HS256', kid: 'hs', k: Buffer.from(keys.hs).toString('base64url') },
        { ...rsa.publicKey.export({ format: 'jwk' }), alg: 'RS256', kid: 'rs', use: 'sig' },
    ],
};

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const hmac = (key, hash = 'sha256') => (text) => createHmac(hash, key).update(text).digest('base64url');
const rs = (key, hash = 'sha256') => (text) => createSign(hash).update(text).sign(key, 'base64url');

function jwt(body, sign, header) {
    const signed = `${part({ typ: 'JWT', ...header })}.${part(body)}`;
    return `${signed}.${sign(signed)}`;
}

const hs256 = (body, key, header = {}) => jwt(body, hmac(key), { alg: 'HS256', ...header });
const rs256 = (body, key, header = {}) => jwt(body, rs(key), { alg: 'RS256', ...header });

// How a token is presented, how his answer shows that it was ada, and what
// nobody is told.
const clientKey = sql("SELECT api_key FROM referral.create_api_key('client', 1)")[0];
const code = sql("SELECT (referral.referral_overview('ada', 1)).primary_code")[0];
sql('SELECT FROM referral.campaign_code(\'ada\', NULL, 1)');
const campaignCode = sql("SELECT code FROM referral.campaign_code('ada', NULL, 1)")[0];
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const ways = {
    'triport, cookie': {
        path: '/triport/v1/referrals/me', headers: (token) => ({ Cookie: `a=b; nl_session=${token}` }),
        mine: (me) => me.primary_code === code, nobody: { error: 'unauthenticated' },
    },
    'intotes, bearer': {
        path: '/intotes/api/v1/users/me/referral/info', headers: bearer,
        mine: (me) => me.referral_code === code, nobody: { error: 'unauthorized' },
    },
    'crawlora, bearer': {
        path: '/crawlora/referrals/me', headers: bearer,
        mine: (me) => me.data.code === code, nobody: { code: 401, msg: 'unauthorized', data: null },
    },
    'crawlora, token': {
        path: '/crawlora/referrals/me', headers: (token) => ({ Authorization: `Token ${token}` }),
        mine: (me) => me.data.code === code, nobody: { code: 401, msg: 'unauthorized', data: null },
    },
    'baanx, bearer beside a key': {
        path: '/baanx/v1/referral', headers: (token) => ({ ...bearer(token), 'x-client-key': clientKey }),
        mine: (me) => me.code === campaignCode, nobody: { message: 'Not authenticated' },
    },
    'native, bearer': {
        path: '/rpc/referral_overview', method: 'POST', headers: bearer, mine: (me) => me.primary_code === code,
    },
    'console, cookie': {
        path: '/console/rpc/referral_overview', method: 'POST',
        headers: (token) => ({ Cookie: `nl_session=${token}`, Origin: site }),
        mine: (me) => me.primary_code === code,
    },
};

let keyed;
const dir = mkdtempSync(`${tmpdir()}/referral-tokens.`);
before(() => {
    chmodSync(dir, 0o755);
    writeFileSync(`${dir}/env`, `export PGHOST='${process.env.PGHOST}' PGUSER=postgres\n`);
    execFileSync(`${top}scripts/http`, ['start', dir, process.env.PGDATABASE], {
        env: { ...process.env, REFERRAL_JWT_SECRET: JSON.stringify(jwks), PGRST_JWT_AUD: 'referrals', REFERRAL_RATE: '100000' },
        stdio: 'ignore',
    });
    keyed = readFileSync(`${dir}/url`, 'utf8').trim();
});
after(() => {
    execFileSync(`${top}scripts/http`, ['stop', dir]);
    rmSync(dir, { recursive: true });
});

async function ask(way, token, at) {
    const { path, method = 'GET', headers } = ways[way];
    const sent = headers(token);
    if (sent.Origin) {
        sent.Origin = at;
    }
    return send(method, path, { headers: sent, at });
}

const believed = async (name, token, at) => {
    for (const [way, { mine }] of Object.entries(ways)) {
        const answer = await ask(way, token, at);
        assert.equal(answer.status, 200, `${name}, ${way}: ${answer.text}`);
        assert.ok(mine(answer.body), `${name}, ${way}: ${answer.text}`);
    }
};
const refused = async (name, token, at) => {
    for (const [way, { nobody }] of Object.entries(ways)) {
        const answer = await ask(way, token, at);
        assert.equal(answer.status, 401, `${name}, ${way}: ${answer.text}`);
        if (nobody) {
            assert.deepEqual(answer.body, nobody, `${name}, ${way}`);
        }
        assert.ok(!answer.text.includes(code), `${name}, ${way}: ${answer.text}`);
    }
};

test('a token that is signed and in time is believed', async () => {
    const tokens = (body) => ({
        'no times': body,
        'all times': { ...body, iat: now - 60, nbf: now - 60, exp: now + 60 },
        'claims of others': { ...body, iss: 'https://login.example', jti: '1', scope: ['a'], name: 'Ada' },
        'a program as a text': { ...body, program_id: '1' },
    });
    for (const [name, body] of Object.entries(tokens(claims))) {
        await believed(name, hs256(body, plain.hs), site);
        await believed(name, hs256(body, keys.hs), keyed);
        await believed(name, rs256(body, keys.rs), keyed);
    }
});

test('the name of a key and an audience are understood', async () => {
    await believed('named', hs256(claims, keys.hs, { kid: 'hs' }), keyed);
    await believed('named', rs256(claims, keys.rs, { kid: 'rs' }), keyed);
    for (const aud of ['referrals', ['others', 'referrals']]) {
        await believed(`for ${aud}`, rs256({ ...claims, aud }, keys.rs), keyed);
        await believed(`for ${aud}`, hs256({ ...claims, aud }, keys.hs), keyed);
    }
});

test('one that is out of time, or for others, is not', async () => {
    const late = {
        expired: { ...claims, exp: now - 3600 },
        'never valid': { ...claims, exp: 0 },
        early: { ...claims, nbf: now + 3600 },
        'from the future': { ...claims, iat: now + 3600 },
    };
    for (const [name, body] of Object.entries(late)) {
        await refused(name, hs256(body, plain.hs), site);
        await refused(name, hs256(body, keys.hs), keyed);
        await refused(name, rs256(body, keys.rs), keyed);
    }
    for (const aud of ['others', ['others'], 'referrals ', []]) {
        await refused(`for ${JSON.stringify(aud)}`, rs256({ ...claims, aud }, keys.rs), keyed);
        await refused(`for ${JSON.stringify(aud)}`, hs256({ ...claims, aud }, keys.hs), keyed);
    }
});

test('one that somebody else signed, or nobody, is not', async () => {
    const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    const none = (header, sign = () => '') => jwt(claims, sign, header);
    const [head, body, signature] = rs256(claims, keys.rs).split('.');
    const [hsHead, hsBody, hsSignature] = hs256(claims, keys.hs).split('.');
    const bad = {
        'alg none': none({ alg: 'none' }),
        'alg None': none({ alg: 'None' }),
        'alg none, signed': none({ alg: 'none' }, hmac(keys.hs)),
        'no alg': none({}, hmac(keys.hs)),
        'no signature': `${head}.${body}.`,
        'two parts': `${head}.${body}`,
        'four parts': `${head}.${body}.${signature}.${signature}`,
        'the public key as a secret': hs256(claims, pem),
        'the public key as a secret, trimmed': hs256(claims, pem.trim()),
        'its modulus as a secret': hs256(claims, Buffer.from(jwks.keys[1].n, 'base64url')),
        'its modulus as a text': hs256(claims, jwks.keys[1].n),
        'the same, by the name of the RSA key': hs256(claims, pem, { kid: 'rs' }),
        'RS256 with the signature of HS256': `${part({ alg: 'RS256', typ: 'JWT' })}.${hsBody}.${hsSignature}`,
        'HS256 with the signature of RS256': `${hsHead}.${body}.${signature}`,
        'another RSA key': rs256(claims, otherRsa.privateKey),
        'another RSA key that it brings along': rs256(claims, otherRsa.privateKey, { jwk: otherRsa.publicKey.export({ format: 'jwk' }) }),
        'another RSA key by the name of ours': rs256(claims, otherRsa.privateKey, { kid: 'rs' }),
        'another secret': hs256(claims, 'another secret of sufficient length'),
        'no secret': hs256(claims, ''),
        'the secret as it stands in the set': hs256(claims, jwks.keys[0].k),
        'the secret of the other site': hs256(claims, plain.hs),
        'other claims': `${head}.${part({ ...claims, sub: 'bob' })}.${signature}`,
        'another header': `${part({ alg: 'RS256', typ: 'JWT', kid: 'rs' })}.${body}.${signature}`,
        'a bit less': `${head}.${body}.${signature.slice(0, -4)}`,
        'claims that are no JSON': jwt('{"role": "web_member"', rs(keys.rs), { alg: 'RS256' }),
        'claims that are no object': jwt('["web_member"]', rs(keys.rs), { alg: 'RS256' }),
        empty: '..', rubbish: 'rubbish', 'a dot': '.',
        spaces: `${head}.${body} .${signature}`,
        'bytes that are none of a token': '\u00e4\u00f6',
        'very long': 'a'.repeat(4000),
    };
    for (const [name, token] of Object.entries(bad)) {
        await refused(name, token, keyed);
        if (name !== 'the secret of the other site') {
            await refused(name, token, site);
        }
    }
    await refused('the secret of the other site', hs256(claims, keys.hs), site);
});

test('one without a role, or with that of visitors, is nobody', async () => {
    for (const body of [{ sub: 'ada', program_id: 1 }, { ...claims, role: 'web_anon' }]) {
        await refused('no role', hs256(body, plain.hs), site);
        await refused('no role', rs256(body, keys.rs), keyed);
    }
});

test('one without a user is nobody', async () => {
    for (const sub of [undefined, '', 'x'.repeat(201)]) {
        for (const way of Object.keys(ways)) {
            const answer = await ask(way, hs256({ ...claims, sub }, plain.hs), site);
            const { nobody } = ways[way];
            assert.equal(answer.status, nobody ? 401 : 403, `${sub}, ${way}: ${answer.text}`);
            assert.deepEqual(answer.body, nobody ?? answer.body, way);
        }
    }
});

// PostgREST refuses these before any function could: the form is its own.
test('a role that is none of the three gives no right', async () => {
    for (const role of ['nobody', 'postgres', 'authenticator', 'plain', 'WEB_MEMBER', 'none', '', 7, null, ['web_member'], { a: 1 }]) {
        for (const way of Object.keys(ways)) {
            const { text, status } = await ask(way, hs256({ ...claims, role }, plain.hs), site);
            const what = `${JSON.stringify(role)}, ${way}: ${status} ${text}`;
            assert.ok([400, 401, 403].includes(status), what);
            assert.ok(!text.includes(code), what);
        }
    }
});

test('a member and an operator are told apart by the role alone', async () => {
    for (const [token, at] of [[rs256({ ...claims, role: 'web_member', admin: true }, keys.rs), keyed],
                               [hs256({ ...claims, role: 'web_member', admin: true }, plain.hs), site]]) {
        assert.equal((await send('GET', '/crawlora/admin/referrals', { headers: bearer(token), at })).status, 403);
        assert.equal((await send('POST', '/rpc/verify', { headers: bearer(token), at })).status, 403);
    }
    for (const [token, at] of [[rs256({ ...claims, role: 'web_operator' }, keys.rs), keyed],
                               [hs256({ ...claims, role: 'web_operator' }, plain.hs), site]]) {
        assert.equal((await send('GET', '/crawlora/admin/referrals', { headers: bearer(token), at })).status, 200);
        assert.equal((await send('POST', '/rpc/verify', { headers: bearer(token), at })).status, 200);
    }
});
