// What PostgREST would take long to understand never reaches it: the names of
// arguments, and queries. By nginx's patterns, which must let through all that
// a function may be asked with.
import test from 'node:test';
import assert from 'node:assert/strict';
import { bearer, member, operator, send } from './contract.mjs';
import { sql } from './client.mjs';

const ops = { ...bearer(operator()), 'Content-Type': 'application/json' };
const post = (name, body, headers = ops) => send('POST', `/rpc/${name}`, { headers, body });

test('nothing that anybody may send takes long', async () => {
    const started = Date.now();
    const keys = (n) => JSON.stringify(Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 1])));
    const bodies = [keys(5000), `{"${'x'.repeat(60000)}":1}`, '{"a":'.repeat(12000), `{"a\\\\":1,`.repeat(5000) + '"b":1}', '['.repeat(60000), '"'.repeat(60000),
                    `{"code":"${'\\"'.repeat(30000)}"`, `{"code":[${'"a",'.repeat(10000)}]}`, `{${' '.repeat(60000)}`, `{"code":${'1'.repeat(60000)}`];
    for (const body of bodies) {
        for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/csv']) {
            const { status, body: { code } } = await post('validate_code', body, { 'Content-Type': type });
            assert.deepEqual([status, code], [400, 'PGRST102'], body.slice(0, 50));
        }
    }
    const names = Array.from({ length: 900 }, (_, i) => `k${i}=1`).join('&');
    for (const query of ['x'.repeat(7000) + '=1', names, 'select=' + 'a,'.repeat(3000), 'select=' + 'a('.repeat(3000), 'a', '=1', 'a=1&', 'a=1&&b=2']) {
        const { status, body } = await send('GET', `/rpc/validate_code?${query}`);
        assert.deepEqual([status, body.message], [400, 'bad_request'], query.slice(0, 50));
    }
    assert.equal((await post('x'.repeat(5000), '{}')).status, 404);
    assert.ok(Date.now() - started < 5000, `${Date.now() - started} ms`);
});

test('whatever a value may be arrives as it was sent', async () => {
    const texts = ['', ' ', 'Ada', '"', '\\', '\\"', '\\\\"', 'a"b: {"c": [1]}', '\n\t\u0001', '{', '}', '[]', '\u202eabc', '\u{1F600}', 'x'.repeat(200), ',', '":', '"}', 'é'.normalize('NFD')];
    for (const [n, display_name] of texts.entries()) {
        // As this writes JSON, with what it may escape escaped, and with room in it.
        const plain = JSON.stringify({ user_id: `odd${n}`, display_name });
        const escaped = plain.replace(/[\u007f-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
        const roomy = '\r\n\t ' + JSON.stringify({ user_id: `odd${n}`, display_name }, undefined, '\t') + ' \n';
        for (const body of [plain, escaped, roomy]) {
            const { status, text } = await post('enroll', body);
            assert.equal(status, 200, text);
            assert.equal(JSON.parse(sql(`SELECT to_json(display_name) FROM referral.member WHERE program_id = 1 AND user_id = 'odd${n}'`)[0]), display_name);
        }
    }
});

test('members of every kind, in every number that a function takes', async () => {
    for (const [name, body, status = 200] of [
        ['list_rewards', ''], ['list_rewards', '{}'], ['list_rewards', ' { } '], ['list_rewards', '{"status": [], "max_rows": null}'],
        ['list_rewards', '{"status":["available","a\\"b"],"max_rows":3,"skip":0,"before_id":"17","user_id":"ada"}'],
        ['list_rewards', '{"status":["available" , "pending" ] , "max_rows" : 3 }'], ['list_attributions', '{"pending_grant":true,"max_rows":1}'],
        ['list_rewards', '{"max_rows":1e1}', 400], ['list_rewards', '{"max_rows":-1}'], ['list_rewards', '{"max_rows":1.5}', 400],
        ['capture_click', JSON.stringify(Object.fromEntries(['code', 'click_id', 'landing_path', 'utm_source', 'utm_medium', 'utm_campaign', 'ip', 'user_agent'].map((each) => [each, 'x']))), 400],
        ['list_rewards', '{"status":["a",]}', 400], ['list_rewards', '{"max_rows":1,}', 400], ['list_rewards', '{"max_rows" 1}', 400], ['list_rewards', '{max_rows:1}', 400],
        ['list_rewards', 'null', 400], ['list_rewards', '[]', 400], ['list_rewards', '[{}]', 400], ['list_rewards', '{"max_rows":{}}', 400], ['list_rewards', '{}{}', 400],
        ['list_rewards', '{"nothing_of_ours":1}', 404],
    ]) {
        const answer = await post(name, body);
        assert.equal(answer.status, status, `${name} ${body}: ${answer.text}`);
    }
    const { status, body } = await send('GET', '/rpc/list_rewards?max_rows=2&status=%7Bavailable%7D&select=id&order=id.desc', { headers: bearer(member('ada')) });
    assert.equal(status, 200);
    assert.deepEqual(body.map((row) => Object.keys(row)), [['id'], ['id']]);
});

// PostgREST closes a connection when it has not read a body to its end, and after
// a HEAD; nginx, which does not know, would send the next request there.
test('what one caller sends costs nobody else his answer', async () => {
    const long = ' '.repeat(60000);
    const bad = { Authorization: 'Bearer a.b.c' };
    const rounds = Array.from({ length: 60 }, async () => {
        for (let n = 0; n < 5; n += 1) {
            for (const [method, path, options] of [
                ['POST', '/rpc/referral_overview', { headers: bad, body: JSON.stringify({ user_id: long }) }],
                ['GET', '/intotes/api/v1/users/me/referral/info', { headers: { ...bad, 'Content-Length': long.length }, body: long }],
                ['POST', '/console/rpc/whoami', { headers: { Origin: process.env.REFERRAL_URL, Cookie: 'nl_session=a.b.c' }, body: JSON.stringify({ a: long }) }],
                ['HEAD', '/rpc/referral_overview', { headers: bearer(member('ada')) }],
            ]) {
                const { status } = await send(method, path, options);
                assert.ok(status < 500, `${method} ${path}: ${status}`);
                const other = await post('validate_code', '{"code":"NOSUCHCODE"}');
                assert.equal(other.status, 200, `after ${method} ${path}: ${other.text}`);
            }
        }
    });
    await Promise.all(rounds);
});
