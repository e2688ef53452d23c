// Requests by the ten thousand that no client of good will sends, to everything
// that is served. No answer is a 5xx of ours, none is missing, none has a header or
// a form that it should not have or what is another's; afterwards the books are
// sound, and what nobody had a right to is as it was.
// REFERRAL_FUZZ_REQUESTS is how many, REFERRAL_FUZZ_SEED repeats a run.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { member, native, operator, sql, url as postgrest } from '../http/client.mjs';
import { site } from '../http/contract.mjs';
import { Description } from '../http/openapi.mjs';
import { Chance, Requests } from './requests.mjs';
import { malformed, slow, smuggle } from './raw.mjs';
import { broken, build, leaked, untouched } from './world.mjs';
import { Wire } from './wire.mjs';

const amount = Number(process.env.REFERRAL_FUZZ_REQUESTS || 20000);
const seed = Number(process.env.REFERRAL_FUZZ_SEED || Date.now() % 2 ** 31);
const chance = new Chance(seed);
console.log(`# ${amount} requests, REFERRAL_FUZZ_SEED=${seed}`);

const CONTRACTS = ['triport', 'intotes', 'crawlora', 'baanx'];
const documents = Object.fromEntries(CONTRACTS.map((each) => [each, Description.read(each)]));
documents.native = await native();
// The console calls the same functions by another way.
documents.console = new Description({
    ...documents.native.document,
    paths: Object.fromEntries(Object.entries(documents.native.document.paths).map(([path, { post }]) => [path, { post }])),
}, 'console');

const world = build();
const before = untouched();
const requests = new Requests(chance, documents, world, site);
const routes = readFileSync(new URL('../../http/routes.conf', import.meta.url), 'utf8');

// What is wrong, by kind: {what, times, first}.
const faults = new Map();
function fault(kind, what, example) {
    const key = `${kind}: ${what}`;
    const known = faults.get(key) ?? { kind, what, times: 0, example };
    known.times += 1;
    faults.set(key, known);
}
const seen = new Map();
const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
const byStatus = new Map();
const succeeded = new Set();

const HEADERS = new Set(['server', 'date', 'content-type', 'content-length', 'transfer-encoding', 'connection', 'cache-control', 'x-content-type-options',
    'vary', 'allow', 'access-control-allow-origin', 'access-control-allow-credentials', 'access-control-allow-methods', 'access-control-allow-headers', 'access-control-expose-headers', 'www-authenticate',
    'set-cookie', 'content-range', 'location', 'content-location', 'preference-applied', 'etag', 'last-modified', 'accept-ranges',
    'content-security-policy', 'cross-origin-opener-policy', 'cross-origin-resource-policy', 'permissions-policy', 'referrer-policy', 'proxy-status']);
const COOKIE = /^(nl_session=([\w.-]*)|ref_code=[\w-]*)(; (Path=\/[\w/]*|HttpOnly|Secure|SameSite=(Lax|Strict)|Max-Age=\d+|Expires=[\w ,:-]+))*$/;

const shown = (request) => `${request.method} ${request.url}\n    ${request.headers.map(([n, v]) => `${n}: ${v}`).join('\n    ')}\n    `
    + JSON.stringify((request.body ?? '').toString('latin1')).slice(0, 400) + (request.broken ? `\n    broken: ${request.broken}` : '');

// What any answer must be, whoever gave it.
function sane(what, answer, credentials, example) {
    if (answer.status === undefined) {
        return fault('hanging', what, example);
    }
    const text = answer.body.toString();
    example = `${example}\n  → ${answer.status} ${answer.reason}\n    ${answer.headers.map((h) => h.join(': ')).join('\n    ')}\n    ${text.slice(0, 600)}`;
    if (answer.status === 0) {
        return fault('unanswered', what, example);
    }
    if (STATUS_CODES[answer.status] === undefined || ![STATUS_CODES[answer.status], 'Moved Temporarily', 'Request Entity Too Large', 'Request-URI Too Large', 'Not Allowed', 'Requested Range Not Satisfiable']
        .includes(answer.reason)) {
        fault('reason', `${what}: ${answer.status} ${answer.reason}`, example);
    }
    for (const [name, value] of answer.headers) {
        if (!HEADERS.has(name) || /[\x00-\x08\x0a-\x1f\x7f-\xff]/.test(value) || (name === 'set-cookie' && !COOKIE.test(value))
            || (name === 'location' && !/^\/[\w/.?&=%~+*,()!$:;@'[\]-]*$/.test(value))) {
            fault('header', `${what}: ${name}: ${name === 'date' ? '' : value.slice(0, 80)}`, example);
        }
    }
    for (const secret of leaked(text + JSON.stringify(answer.headers), credentials)) {
        fault('leak', `${what}: ${secret}`, example);
    }
    return example;
}

// Whether a body is an error as the place where it was asked for writes them.
const generic = (body) => body && Object.keys(body).join() === 'message' && typeof body.message === 'string';
const isError = (target, body) => documents[target].complaints(['components', 'schemas', 'Error'], body).length === 0;

function judge(request, answer) {
    const [path] = request.url.split('?');
    const [, place] = path.match(/^\/(triport|intotes|crawlora|baanx|rpc|console|r)(?=\/|$)/) ?? (path === '/' ? [path, 'rpc'] : [path, 'elsewhere']);
    const target = CONTRACTS.includes(place) ? place : place === 'console' ? 'console' : 'native';
    const below = target === 'native' ? path : path.slice(target.length + 1);
    const template = documents[target].template(below);
    const what = `${request.method} ${template === undefined ? `/${place}/…` : path === below ? template : `/${target}${template}`}`;
    count(seen, place);
    count(byStatus, `${place} ${answer.status}`);
    const example = sane(what, answer, request.credentials, shown(request));
    if (!answer.status) {
        return;
    }
    const text = answer.body.toString();
    const headers = Object.fromEntries(answer.headers);
    if (answer.status >= 500) {
        return attribute(what, request, answer, example);
    }
    if (answer.status < 300 && template !== undefined) {
        succeeded.add(`${request.target} ${request.method.toLowerCase()} ${template}`);
    }
    let body = text;
    try {
        body = JSON.parse(text);
    } catch {
        if (/^application\/json/.test(headers['content-type'] ?? '') && request.method !== 'HEAD' && ![204, 304].includes(answer.status)) {
            fault('form', `${what}: no JSON`, example);
        }
    }
    if (request.method === 'HEAD' || answer.status < 200) {
        return;
    }
    const failed = answer.status >= 400;
    // An address that nginx reads otherwise than it was written, or does not
    // read at all, belongs to no place in particular.
    const mangled = /%|\.\.|\/\.|\/\/|[^\x21-\x7e]/.test(path) || (failed && [400, 414].includes(answer.status));
    if (mangled && (!failed || generic(body) || [...CONTRACTS, 'native'].some((each) => isError(each, body)))) {
        return;
    }
    if (place === 'elsewhere' || place === 'r' || (place === 'console' && !path.startsWith('/console/rpc/'))) {
        if (failed && !generic(body) && !isError('native', body)) {
            fault('form', `${what}: ${answer.status}`, example);
        }
        return;
    }
    if (place === 'rpc' || place === 'console') {
        // What has been asked for in another form has no schema.
        // PostgREST lets everything be asked for by GET that writes nothing then.
        const { get } = documents[target].document.paths[template] ?? {};
        const method = request.method === 'GET' && !get ? 'POST' : request.method;
        const wrong = () => documents[target].wrong(method, below, { status: answer.status, headers, body, text });
        const shaped = /[?&](select|columns|order|limit|offset|and|or)|=(not\.)?[a-z]+\./.test(request.url)
            || request.headers.some(([name]) => /^(accept|prefer|range|content-type)$/i.test(name) && request.broken?.includes('header'));
        if (failed ? !isError('native', body) && !(template === undefined && generic(body))
            : !shaped && template !== undefined && wrong().length) {
            fault('form', `${what}: ${answer.status} ${failed ? '' : wrong().join('; ').slice(0, 200)}`, example);
        }
    } else {
        const wrong = documents[target].wrong(request.method, below, { status: answer.status, headers, body, text });
        // 403: a good token of a role that is nobody's here.
        const anywhere = [404, 405, 413, 414, 429, ...(request.broken?.includes('token') ? [403] : [])];
        if (wrong.length && !(below === '/openapi.json') && !(anywhere.includes(answer.status) && isError(target, body))) {
            fault('form', `${what}: ${answer.status} ${wrong.join('; ').slice(0, 200)}`, example);
        }
    }
    if (headers['cache-control'] !== 'no-store' && !generic(body) && !failed) {
        fault('header', `${what}: cache-control: ${headers['cache-control']}`, example);
    }
}

// Whose a 5xx is: what PostgREST answers to the same, asked as nginx asks it.
async function attribute(what, request, answer, example) {
    const value = (name) => request.headers.findLast(([each]) => each.toLowerCase() === name)?.[1] ?? '';
    const [path] = request.url.split('?');
    const contract = CONTRACTS.find((each) => path.startsWith(`/${each}/`));
    const session = value('cookie').match(/nl_session=([\w.-]+)/)?.[1];
    const headers = {
        'authorization': value('authorization') || (session ? `Bearer ${session}` : ''), 'accept': value('accept') || '*/*',
        'content-type': value('content-type'), 'prefer': value('prefer'), 'range': value('range'),
        'x-admin-token': value('x-admin-token'), 'x-api-key': value('x-api-key'), 'x-client-key': value('x-client-key'),
        'idempotency-key': value('idempotency-key'), 'x-request-uri': request.url,
    };
    let url = request.url.replace(/^\/console/, '');
    if (contract) {
        const route = [...routes.matchAll(/^\s+(?:"~(\^\S+)"|(\/\S+))\s+"(\S+) /gm)].find(([, pattern, plain]) => (plain ? plain === path : new RegExp(pattern).test(path)));
        headers['x-endpoint'] = `${contract} ${request.method} ${route?.[3]}`;
        headers['content-type'] = 'application/octet-stream';
        url = '/rpc/contract';
    }
    const wire = new Wire(new URL(postgrest));
    const sent = { ...request, method: contract ? 'POST' : request.method, url, headers: Object.entries(headers).filter(([, each]) => each !== '') };
    const again = await wire.exchange(requests.bytes(sent));
    wire.close();
    const text = again.body.toString();
    const code = text.match(/"code":"([^"]*)"/)?.[1];
    const origin = again.status < 500 ? 'nginx, or once only' : /^(?!PGRST)[0-9A-Z]{5}$/.test(code ?? '') ? `function, ${code}` : 'PostgREST';
    fault('5xx', `${what}: ${answer.status} by ${origin}`, `${example}\n  again → ${again.status} ${text.slice(0, 400)}`);
}

const endpoint = new URL(site);

async function ask(wire, request) {
    const bytes = requests.bytes(request);
    const head = request.method === 'HEAD';
    let fresh = wire?.open && wire.used < 900 ? wire : new Wire(endpoint);
    let answer = await fresh.exchange(bytes, { head });
    if (answer.status === 0 && fresh === wire) {
        // It may have been closed while this was on its way.
        fresh = new Wire(endpoint);
        answer = await fresh.exchange(bytes, { head });
    }
    if (!answer.status || answer.headers.some(([name, value]) => name === 'connection' && value === 'close')) {
        fresh.close();
        return [undefined, answer];
    }
    return [fresh, answer];
}

// Two who must get their own, whatever others send at the same time.
const canaries = await Promise.all([91, 92].map(async (program) => {
    const request = { method: 'POST', url: '/rpc/referral_overview', headers: [['Authorization', `Bearer ${member('ann', { program_id: program })}`]], body: Buffer.from('') };
    const code = sql(`SELECT code FROM referral.code WHERE program_id = ${program} AND user_id = 'ann' AND kind = 'uid'`)[0];
    return { request, code };
}));
async function canary() {
    for (const { request, code } of canaries) {
        const [wire, answer] = await ask(undefined, request);
        wire?.close();
        const body = answer.body.toString();
        if (answer.status !== 200 || JSON.parse(body).primary_code !== code) {
            fault('canary', `${answer.status}`, `${shown(request)}\n  → ${body}`);
        }
    }
}

test('what is broken in part', async () => {
    const started = Date.now();
    const worker = async () => {
        let wire;
        let answer;
        while (requests.count < amount) {
            const request = requests.next();
            [wire, answer] = await ask(wire, request);
            judge(request, answer);
            if (requests.count % 500 === 0) {
                await canary();
            }
        }
        wire?.close();
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    assert.ok(requests.count >= amount);
    console.log(`# ${requests.count} requests in ${Math.round((Date.now() - started) / 1000)} s: ${[...seen].sort().map(([place, n]) => `${place} ${n}`).join(', ')}`);
    console.log(`# ${[...byStatus].sort().map(([status, n]) => `${status}: ${n}`).join(', ')}`);
});

const raw = { endpoint, site, world, chance, sane, fault, canary };

test('what is no HTTP, or two kinds of it', () => malformed(raw));

test('requests inside of requests', async () => {
    await smuggle(raw);
    assert.deepEqual(sql(`SELECT code FROM referral.code WHERE code LIKE 'smuggled%'`), [''], 'a request was read out of a body');
});

test('who sends nothing more', () => slow(raw));

for (const [kind, name] of Object.entries({
    '5xx': 'no answer is a 5xx', hanging: 'nothing hangs', unanswered: 'everything is answered', header: 'no header but ours', reason: 'no reason but HTTP\'s',
    leak: 'nobody reads what is another\'s', form: 'every answer has the form of its contract', canary: 'nobody gets another\'s answer',
})) {
    test(name, () => {
        const found = [...faults.values()].filter((each) => each.kind === kind).sort((a, b) => b.times - a.times);
        assert.equal(found.length, 0, found.map(({ what, times, example }) => `${times} × ${what}\n    ${example}\n`).slice(0, 12).join('\n')
            + found.slice(12).map(({ what, times }) => `${times} × ${what}`).join('\n'));
    });
}

test('every operation was also asked for as it is described', () => {
    const never = requests.operations.filter(({ operation }) => Object.keys(operation.responses).some((status) => /^2/.test(status)))
        .filter(({ target, method, path }) => !succeeded.has(`${target} ${method} ${path}`))
        .map(({ target, method, path }) => `${target} ${method} ${path}`);
    console.log(`# never answered by 2xx: ${never.join(', ') || 'none'}`);
    assert.ok(never.length <= requests.operations.length / 7, never.join('\n'));
});

test('the books are sound', () => assert.deepEqual(broken(), []));

test('what nobody had a right to is as it was', () => assert.deepEqual(untouched(), before));
