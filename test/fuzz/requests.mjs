// Requests that no client of good will sends: each begins as one that the OpenAPI
// documents describe, and then parts of it are broken.
import { member, token } from '../http/client.mjs';

// Numbers that depend on the seed alone (mulberry32).
export class Chance {
    constructor(seed) {
        this.state = seed >>> 0;
    }

    number() {
        this.state = (this.state + 0x6d2b79f5) >>> 0;
        let t = this.state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    }

    below(n) {
        return Math.floor(this.number() * n);
    }

    one(list) {
        return list[this.below(list.length)];
    }

    // True in so many of a hundred cases.
    in100(n) {
        return this.number() * 100 < n;
    }
}

// Values of JSON. Strings may have what JSON can write and nothing else can.
const VALUES = [
    null, true, false, 0, -1, 1, 1.5, 1e300, -1e-300, 2 ** 31, 2 ** 53, '9223372036854775807', '9223372036854775808',
    '-9223372036854775809', '9'.repeat(400), '', ' ', '0', 'null', '\u0000', 'a\u0000b', '\r\nX-Injected: yes', '\ud800', '\udc00x',
    '<script>alert(1)</script>', "'; DROP TABLE x; --", '%', '%00', '%s%n', '\\', '"', '{}', '{a,b}', '\u202e', '\ufeff', '\u{1F600}'.repeat(60),
    'x'.repeat(201), 'x'.repeat(5000), [], [[]], [null], ['a', 1], {}, { a: { b: [] } }, { '': 1 }, 'infinity', '-infinity', 'NaN',
    '0001-01-01 BC', '294277-01-01', '2026-02-30', '2026-01-01T00:00:00Z', 'now', 'epoch', '../../etc/passwd', 'eq.1', 'in.(1,2)',
];
// Pieces of an address.
const PIECES = [
    '', '.', '..', '%2e%2e', '%2F', '%2f..%2f..', '%5c', '%00', '%ff', '%c0%af', '%ed%a0%80', '%e2%82', '%f0%9f%98%80', '%', '%zz', '%u0041',
    '0', '-1', '9'.repeat(30), '1e5', 'null', 'undefined', "'%20OR%201=1--", '%0d%0aX-Injected:%20yes', '%0a', ';a=b', '@', ':', '*', '(1)',
    'x'.repeat(201), 'x'.repeat(4000), '00000000-0000-0000-0000-000000000000', 'me', 'ADMIN', '+', '%2b', '%20', '%3f', '%23', '~', '\xe9', '\xff\xfe',
];
const QUERIES = [
    'limit=0', 'limit=-1', 'limit=201', 'limit=99999999999999999999', 'limit=1e3', 'limit=abc', 'limit=', 'limit', 'limit=1&limit=2', 'limit[]=1',
    'offset=2147483648', 'offset=9223372036854775808', 'offset=-5', 'status=', 'status=%00', 'status=available,,pending', 'status=%FF', 'status[]=x',
    'select=*', 'select=secret', 'select=user_id', 'select=a(b)', 'order=1', 'order=user_id.desc', 'columns=x', 'on_conflict=x', 'and=(', 'or=(a.eq.1)',
    'user_id=eq.hermit', 'user_id=hermit', 'user_id=not.null', 'id=in.(1,2)', '=x', '&&&&', 'a=%', '%00=1', '%ff=%ff', 'a%20b=c+d', '+', '\xff=\xfe',
'x'.repeat(6000) + '=1', 'select=' + 'a,'.repeat(3000),
    'a='.repeat(500), 'x='.padEnd(3000, 'y'), 'from=2026-01-01', 'from=x&to=y', 'from=infinity', 'to=-infinity', 'since=0001-01-01%20BC', 'max_rows=-7',
];
const HEADERS = [
    ['Content-Type', ['text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream', 'multipart/form-data; boundary=x', 'text/csv',
        'application/json; charset=utf-16', 'application/vnd.pgrst.object+json', '', 'x', 'text/xml', '\xff']],
    ['Accept', ['text/html', 'text/csv', 'application/vnd.pgrst.object+json', 'application/vnd.pgrst.plan+json', 'application/octet-stream', 'x/y;q=2', '',
        'application/openapi+json', '*/*;q=0', '\xff', 'a'.repeat(3000)]],
    ['Prefer', ['return=minimal', 'count=exact', 'count=planned', 'tx=rollback', 'params=single-object', 'params=multiple-objects', 'missing=default',
        'resolution=merge-duplicates', 'timezone=Nowhere/City', 'handling=strict, x=y', 'max-affected=0', '\xff', 'return=headers-only']],
    ['Range', ['0-0', '5-', '9-1', 'bytes=0-1', '99999999999999999999-', '-5', 'x', '0-0,2-3']],
    ['Range-Unit', ['items', 'bytes', 'x']],
    ['Content-Encoding', ['gzip', 'br', 'x']],
    ['Accept-Encoding', ['gzip', 'br, *;q=0']],
    ['Accept-Profile', ['referral', 'public', 'pg_catalog']],
    ['Content-Profile', ['referral', 'public']],
    ['X-HTTP-Method-Override', ['DELETE', 'PATCH']],
    ['X-Endpoint', ['triport GET me', 'triport POST admin_tier', 'crawlora GET attributions', 'x', '']],
    ['X-Request-Uri', ['/triport/v1/admin/referrals/users/hermit', '/x?limit=9', '\xff']],
    ['X-Real-IP', ['127.0.0.1', 'x\xff', '::1']],
    ['X-Forwarded-For', ['127.0.0.1, 10.0.0.1', '\xff']],
    ['X-Original-URL', ['/triport/v1/admin/referrals/users/hermit']],
    ['Idempotency-Key', ['a', '', ' ', 'x'.repeat(200), 'x'.repeat(201), '\xe9', "'; --", 'a\tb', '"quoted"']],
    ['Origin', ['null', 'https://evil.example', 'http://127.0.0.1', '', 'x\xff', 'http://127.0.0.1:1 http://127.0.0.1:1']],
    ['Access-Control-Request-Method', ['POST', 'GET', 'x', '']],
    ['Access-Control-Request-Headers', ['authorization, x-injected', '\xff']],
    ['Cookie', ['nl_session=', 'nl_session=x; nl_session=y', 'nl_session="a.b.c"', 'ref_code=%0d%0a', 'ref_code=ann-91', 'ref_code=\xff', ';;;=', 'a', 'nl_session',
        'ref_code=' + 'x'.repeat(101), 'ref_code=NOSUCHCODE', 'nl_session=..%2f']],
    ['Authorization', ['', 'Bearer', 'Bearer ', 'Bearer  x', 'bearer a.b.c', 'Basic YTpi', 'Bearer a.b.c d', 'Bearer \xff', 'Bearer ' + 'a'.repeat(4000), 'Negotiate x', 'Bearer null']],
    ['X-Admin-Token', ['', 'x', 'rk_91_1_x', 'rk__', 'rk_99999999999999999999_1_x', 'rk_91_-1_x', '\xff', 'x'.repeat(3000), "rk_91_1_' OR 1=1"]],
    ['X-Api-Key', ['', 'x', 'rk_91_1_x', 'rk_91_99999999999999999999_x', '\xff']],
    ['X-Client-Key', ['', 'x', 'rk_92_1_x', '\xff', 'a b']],
    ['X-Injected', ['no\r\nX-Injected2: yes', 'no\rX-Injected2: yes', 'no\nX-Injected2: yes']],
    ['Connection', ['close', 'X-Admin-Token, Authorization', 'keep-alive, x']],
    ['If-None-Match', ['*', '"x"', '\xff']],
    ['If-Modified-Since', ['x', 'Thu, 01 Jan 2099 00:00:00 GMT']],
    ['Upgrade', ['h2c', 'websocket']],
    ['User-Agent', ['', '\xff', "'; --", '() { :; }; echo x', 'x'.repeat(3000)]],
    ['Referer', ['https://x/\xff', 'x']],
    ['X', ['']],
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'LOCK', 'QUERY', 'X-Y', 'get'];
const CLAIMS = [
    ['program_id', ['91.0', 'one', -1, 1.5, {}, '', null, 2 ** 60, '99999999999999999999', 94, [91], true]],
    ['sub', ['', null, 5, true, ['ann'], { a: 1 }, 'x'.repeat(201), 'a\u0000b', '\r\nX-Injected: yes', '<b>', '\ud800']],
    ['role', ['postgres', 'authenticator', 'plain', 'nobody', '', null, 5, 'web_anon', 'web_member; x', 'WEB_OPERATOR', 'none']],
    ['exp', [0, 1, 'x', -1, 1e300, null]],
    ['nbf', [4102444800, 'x', null]],
    ['iat', [4102444800, 'x', {}]],
    ['aud', ['x', ['x'], 5, null]],
];

export class Requests {
    // documents: {target: OpenAPI document}; world: what world.mjs built.
    constructor(chance, documents, world, site) {
        this.chance = chance;
        this.world = world;
        this.host = new URL(site).host;
        this.site = site;
        this.operations = Object.entries(documents).flatMap(([target, description]) =>
            [...description.operations()].map(([path, method, operation]) => ({ target, path, method, operation, description })));
        this.count = 0;
    }

    // A value as the name and the schema ask for.
    value(name, schema, operator, target) {
        const { chance } = this;
        const { pools } = this.world;
        const known = {
            user_id: () => (operator || chance.in100(80) ? chance.one(pools.user_id) : 'hermit'),
            code: () => chance.one([...pools.code, 'NOSUCHCODE']),
            payout_id: () => (chance.in100(70) ? chance.one(pools.payout) : `new-po-${chance.below(50)}`),
            payment_id: () => (chance.in100(60) ? chance.one(pools.payment) : `new-pay-${chance.below(200)}`),
            grant_key: () => chance.one(pools.grant),
            id: () => chance.one(target === 'triport' ? pools.payout : chance.in100(70) ? pools.attribution : pools.reward),
            before_id: () => Number(chance.one(pools.reward)),
            slug: () => `slug-${chance.below(500)}`,
            status: () => chance.one(['available', 'pending', 'sent', 'rewarded', 'review_required', 'attributed']),
            max_rows: () => chance.below(250), limit: () => chance.below(250), skip: () => chance.below(5), offset: () => chance.below(5),
            campaign: () => chance.one(['Letter', 'none']),
            campaign_id: () => chance.below(3),
            tier: () => 1 + chance.below(3),
            at: () => undefined, actor: () => 'somebody', ip: () => '192.0.2.7',
            occurred_at: () => (chance.in100(50) ? undefined : '2026-01-02T03:04:05Z'),
            since: () => '2026-01-01', until: () => '2027-01-01', from: () => '2026-01-01T00:00:00Z', to: () => '2027-01-01T00:00:00Z',
            amount_micro: () => chance.one([1, 1000, 2000, 1000000, 25000000, '2000', 0, -1]),
            base_micro: () => chance.one([undefined, 1000, 1000000]),
            min_micro: () => 10 ** 12, batch_id: () => `batch-${chance.below(5)}`, spend_id: () => `spend-${chance.below(200)}`,
            click_id: () => `click-${chance.below(200)}`, max: () => chance.below(3), after: () => chance.below(1000),
            pending_grant: () => chance.one(['true', 'false']),
        }[name];
        const plain = known ? known() : schema?.example ?? [schema?.type].flat()[0];
        const types = [schema?.type].flat();
        if (types.includes('array')) {
            return [String(plain)];
        }
        if (types.includes('boolean') && typeof plain !== 'boolean') {
            return plain === 'true';
        }
        if (types.includes('integer') && !types.includes('string')) {
            return Number.isNaN(Number(plain)) ? chance.below(5) : Number(plain);
        }
        return plain;
    }

    // One that is described, by somebody who probably may.
    described() {
        const { chance } = this;
        const target = chance.one(['triport', 'triport', 'intotes', 'crawlora', 'crawlora', 'baanx', 'native', 'native', 'native', 'console']);
        const { path, method, operation, description } = chance.one(this.operations.filter((each) => each.target === target));
        const tag = operation.tags?.[0];
        const admin = tag === 'operator' || /\/admin\//.test(path);
        const fits = chance.in100(85)
            ? (each) => (target === 'baanx' ? each.right === 'client' : each.right === (admin ? 'operator' : 'member')) : () => true;
        const who = chance.one(this.world.credentials.filter(fits));
        const operator = who.right === 'operator';
        const request = { target, method: method.toUpperCase(), headers: [], credentials: [], query: [] };
        const place = (names) => description.at(names)[0];
        const parameters = [...(description.document.paths[path].parameters ?? []).map((_, i) => place(['paths', path, 'parameters', i])),
                            ...(operation.parameters ?? []).map((_, i) => place(['paths', path, method, 'parameters', i]))];
        request.path = (target === 'native' ? '' : `/${target}`) + path.replace(/\{(.*?)\}/g, (_, name) =>
            encodeURIComponent(this.value(name, parameters.find((each) => each.name === name)?.schema, operator, target)));
        for (const { name, schema, in: where, required } of parameters) {
            if (where === 'query' && (required || chance.in100(40)) && !(name === 'user_id' && !operator && chance.in100(90))) {
                const value = this.value(name, schema, operator, target);
                if (value !== undefined) {
                    request.query.push(`${name}=${encodeURIComponent(schema?.pattern?.includes('{') ? `{${value}}` : value)}`);
                }
            }
        }
        const body = operation.requestBody && place(['paths', path, method, 'requestBody']).content?.['application/json'];
        if (body) {
            const [schema] = body.schema.$ref ? description.at(body.schema.$ref.slice(2).split('/')) : [body.schema];
            request.json = {};
            for (const [name, each] of Object.entries(schema.properties ?? {})) {
                if ((schema.required?.includes(name) || name === 'min_micro' || chance.in100(40)) && !(name === 'user_id' && !schema.required?.includes(name) && !operator)) {
                    const example = body.example?.[name] ?? Object.values(body.examples ?? {})[0]?.value?.[name];
                    request.json[name] = this.value(name, { example, ...each }, operator, target) ?? example;
                }
            }
            request.headers.push(['Content-Type', 'application/json']);
        }
        this.identify(request, who, operation);
        if (chance.in100(10) && request.method === 'POST') {
            request.headers.push(['Idempotency-Key', `key-${chance.below(50)}`]);
        }
        return request;
    }

    // Who he is, in the way of the contract, mostly.
    identify(request, who, operation) {
        const { chance } = this;
        const bearer = (each) => ['Authorization', `Bearer ${each.token}`];
        const cookie = (each) => ['Cookie', `nl_session=${each.token}${chance.in100(30) ? '; ref_code=' + chance.one(this.world.pools.code) : ''}`];
        const add = (header, ...by) => {
            request.headers.push(header);
            request.credentials.push(...by);
        };
        const { target } = request;
        if (target === 'baanx') {
            const of = this.world.credentials.filter((each) => each.token && each.program === who.program);
            add(['X-Client-Key', who.key ?? 'none'], who);
            if (chance.in100(80) && of.length) {
                const member = chance.one(of);
                add(bearer(member), member);
            }
        } else if (who.key) {
            add([target === 'triport' ? 'X-Admin-Token' : 'X-Api-Key', who.key], who);
        } else if (target === 'triport' || target === 'console') {
            add(cookie(who), who);
            if (chance.in100(85)) {
                request.headers.push(['Origin', this.site]);
            }
        } else {
            add(bearer(who), who);
        }
        if (target === 'triport' && /admin/.test(request.path) && !who.key) {
            const key = chance.one(this.world.credentials.filter((each) => each.key && each.right === 'operator'));
            add(['X-Admin-Token', key.key], key);
        }
        if (operation?.security?.some((each) => Object.keys(each).length === 0) && chance.in100(30)) {
            request.headers = request.headers.filter(([name]) => !['Authorization', 'Cookie'].includes(name));
        }
    }

    // Breaks one part.
    break(request) {
        const { chance } = this;
        const breaks = {
            segment: () => {
                const segments = request.path.split('/');
                segments[1 + chance.below(segments.length - 1)] = chance.one(PIECES);
                request.path = segments.join('/');
            },
            path: () => {
                const { path } = request;
                request.path = chance.one([path + '/', path + '//', path.replace('/', '//'), path.toUpperCase(), path + '/' + chance.one(PIECES), path + '%20', path + '.json',
                    path.replace(/[a-z]/, (c) => '%' + c.charCodeAt(0).toString(16)), '/.' + path, '/x/..' + path, '/' + chance.one(PIECES),
                    path.replace(/^\/\w+/, '/' + chance.one(['triport', 'crawlora', 'intotes', 'baanx', 'rpc', 'console/rpc', 'r'])),
                    '/rpc/' + chance.one(['install', 'triport', 'openapi', 'pg_sleep', 'version', 'maintain', 'claims', 'x']),
                    '/console/' + chance.one(['node_modules/uplot/package.json', 'vendor/uplot/../../package.json', 'vendor/%2e%2e/package.json', '.%2e/nginx.conf', 'session', 'rpc/triport', 'rpc/verify']),
                    '/error', '/run/nginx.pid', '/nginx.conf', '/http/site.conf', '/openapi/triport.json', '/triport/openapi.json%00']);
            },
            query: () => request.query.push(...Array.from({ length: 1 + chance.below(3) }, () => chance.one(QUERIES))),
            parameter: () => {
                if (request.query.length) {
                    const at = chance.below(request.query.length);
                    request.query[at] = request.query[at].replace(/=.*$/, '=' + chance.one(PIECES).replaceAll('#', ''));
                }
            },
            method: () => { request.method = chance.one(METHODS); },
            property: () => {
                if (request.json) {
                    const names = Object.keys(request.json);
                    const name = chance.in100(80) && names.length ? chance.one(names) : chance.one(['limit', 'user_id', '', '__proto__', 'program_id', 'at', 'x'.repeat(300)]);
                    if (chance.in100(15)) {
                        delete request.json[name];
                    } else {
                        request.json = { ...request.json, [name]: chance.one(VALUES) };
                    }
                }
            },
            body: () => {
                const text = request.body ?? Buffer.from(JSON.stringify(request.json ?? { a: 1 }));
                const cut = chance.below(text.length + 1);
                const flipped = Buffer.from(text);
                if (flipped.length) {
                    flipped[chance.below(flipped.length)] ^= 1 << chance.below(8);
                }
                request.body = chance.one([
                    text.subarray(0, cut), flipped, Buffer.concat([text.subarray(0, cut), Buffer.from([0xff]), text.subarray(cut)]), Buffer.concat([text, text]),
                    Buffer.from(''), Buffer.from('null'), Buffer.from('[]'), Buffer.from('"x"'), Buffer.from('[{}]'), Buffer.from('{"a":1e400}'), Buffer.from('{"a":"\\u0000"}'),
                    Buffer.from('{"a":"\\ud800"}'), Buffer.from('\ufeff{}'), Buffer.from('{"":1}'), Buffer.from('{"user_id":"a","user_id":"b"}'), Buffer.from([0, 1, 2, 3]),
                    Buffer.from('['.repeat(30000) + ']'.repeat(30000)), Buffer.from('{"a":'.repeat(12000)), Buffer.alloc(chance.in100(10) ? 70000 : 60000, 0x20),
                    Buffer.from(JSON.stringify({ slug: 'x'.repeat(60000) })), Buffer.from('{}'.padEnd(1000)), Buffer.from('{a:1}'), Buffer.from("{'a':1}"), Buffer.from('a=b&c=d'),
                ]);
            },
            header: () => {
                const [name, values] = chance.one(HEADERS);
                const value = chance.one(values);
                if (chance.in100(60)) {
                    request.headers = request.headers.filter(([each]) => each.toLowerCase() !== name.toLowerCase());
                }
                request.headers.push([name, value]);
            },
            nobody: () => { request.headers = request.headers.filter(([name]) => /^content|^idem/i.test(name)); },
            token: () => {
                const [claim, values] = chance.one(CLAIMS);
                const claims = { role: 'web_member', sub: 'ann', program_id: 91, [claim]: chance.one(values) };
                const good = member('ann', { program_id: 91 });
                const jwt = chance.one([token(claims), token(claims), token(claims), token(claims), good.replace(/[^.]*$/, ''), good.slice(0, -1), good + 'x', token(claims, { alg: 'none' }),
                    token(claims, { key: 'x'.repeat(40) }), token(claims, { alg: 'HS512' }), 'a.b.c', '..', good.split('.').reverse().join('.'), good + '.' + good]);
                request.headers = request.headers.map(([name, value]) => [name,
                    /^auth/i.test(name) ? `Bearer ${jwt}` : /^cookie/i.test(name) ? `nl_session=${jwt}` : value]);
                request.credentials = [...request.credentials, { program: 91, user: 'ann', right: 'member' }];
            },
            swap: () => this.identify(request, chance.one(this.world.credentials)),
        };
        const name = chance.one(['segment', 'segment', 'path', 'query', 'parameter', 'method', 'property', 'property', 'property', 'body', 'body', 'header', 'header', 'header', 'nobody', 'token', 'swap']);
        breaks[name]();
        request.broken = [...(request.broken ?? []), name];
    }

    next() {
        const { chance } = this;
        this.count += 1;
        const request = this.described();
        // An intact one now and then: what is broken must not hurt those who come after.
        for (let n = chance.in100(25) ? 0 : 1 + chance.below(3); n > 0; n -= 1) {
            this.break(request);
        }
        request.url = request.path + (request.query.length ? '?' + request.query.join('&') : '');
        request.body ??= request.json && Buffer.from(JSON.stringify(request.json));
        return request;
    }

    bytes({ method, url, headers, body }) {
        const head = [`${method} ${url} HTTP/1.1`, `Host: ${this.host}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
        if (body) {
            head.push(`Content-Length: ${body.length}`);
        }
        return Buffer.concat([Buffer.from(head.join('\r\n') + '\r\n\r\n', 'latin1'), body ?? Buffer.alloc(0)]);
    }
}
