// The OpenAPI documents: each is valid, describes what is routed, and is served.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Description } from './openapi.mjs';
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
