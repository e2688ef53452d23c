// The OpenAPI documents: each is valid, describes what is routed, and is served.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Description } from './openapi.mjs';
import { native } from './client.mjs';
import { send } from './contract.mjs';

const CONTRACTS = ['triport', 'intotes', 'crawlora', 'baanx'];

// The endpoints of a contract as nginx knows them: "GET /path", parts of a path
// that may be anything as {}.
function routed(contract) {
    const conf = readFileSync(new URL('../../http/routes.conf', import.meta.url), 'utf8');
    const map = conf.match(new RegExp(`map \\$path \\$${contract}_route \\{(.*?)\\n\\}`, 's'))[1];
    return [...map.matchAll(/^\s+(\S+)\s+"\S+ (.*?)";/gm)].flatMap(([, path, methods]) => {
        const template = path.replace(/^"~\^(.*)\$"$/, '$1').replaceAll('[^/]+', '{}').replace(/\/\?$/, '')
            .replace(`/${contract}`, '');
        return methods.split(', ').map((method) => `${method} ${template}`);
    }).sort();
}

for (const contract of CONTRACTS) {
    test(`${contract}: the document is valid and describes every endpoint`, async () => {
        const description = Description.read(contract);
        assert.deepEqual(await description.faults(), []);
        assert.deepEqual(
            [...description.operations()].map(([path, method]) =>
                `${method.toUpperCase()} ${path.replaceAll(/\{.*?\}/g, '{}')}`).sort(),
            routed(contract));
        assert.deepEqual(description.document.servers, [{ url: `/${contract}` }]);
    });
}

test('the documents are served as they are, and read only', async () => {
    for (const contract of CONTRACTS) {
        const path = `/${contract}/openapi.json`;
        const { status, headers, body } = await send('GET', path);
        assert.equal(status, 200, path);
        assert.match(headers['content-type'], /^application\/json/);
        assert.deepEqual(body, Description.read(contract).document);
        const refused = await send('POST', path, { body: '{}' });
        assert.equal(refused.status, 405, path);
        assert.deepEqual(Description.read(contract).complaints(['components', 'schemas', 'Error'], refused.body), [], path);
        assert.equal((await send('GET', `/${contract}/openapi.yaml`)).status, 404);
    }
});

test('the root is the document of the native surface, whoever asks and however', async () => {
    const { document } = await native();
    for (const [path, headers] of [['/', {}], ['/?select=x', {}], ['/', { Authorization: 'Bearer a.b.c' }], ['/', { Accept: 'text/html', Prefer: 'return=minimal' }]]) {
        const { status, body } = await send('GET', path, { headers });
        assert.equal(status, 200);
        assert.deepEqual(body, document);
    }
    assert.equal((await send('POST', '/', { body: '{}' })).status, 405);
    for (const name of ['openapi', 'contract']) {
        const { status, body } = await send('POST', `/rpc/${name}`, { body: '{}' });
        assert.deepEqual([status, body.message], [404, 'not_found'], name);
    }
});
