// Requests to the published contracts, as raw as a client may send them.
import { request } from 'node:http';
import assert from 'node:assert/strict';
import { Description } from './openapi.mjs';
import { operator as operatorToken, member as memberToken } from './client.mjs';

export const site = process.env.REFERRAL_URL;

// One request through nginx: its status, its headers, and its body parsed where
// that is JSON. Nothing is added to what is asked for; headers may have any byte.
export function send(method, path, { headers = {}, body, at = site, agent } = {}) {
    const { hostname, port } = new URL(at);
    return new Promise((resolve, reject) => {
        const sent = request({ hostname, port, method, path, headers, agent }, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('end', () => {
                const text = Buffer.concat(parts).toString();
                let parsed = text;
                try {
                    parsed = JSON.parse(text);
                } catch {
                    // Not everything that is answered is JSON, and the tests say what must be.
                }
                resolve({ status: response.statusCode, headers: response.headers, body: parsed, text });
            });
        });
        sent.on('error', reject);
        sent.setTimeout(30000, () => sent.destroy(new Error(`no answer: ${method} ${path}`)));
        sent.end(body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
    });
}

// The same below the base path of a contract. What comes back is held against
// its OpenAPI document, http/openapi/<contract>.json.
export function api(contract) {
    const description = Description.read(contract);
    const call = async (method, path, options) => {
        const answer = await send(method, `/${contract}${path}`, options);
        description.check(method, path, answer);
        return answer;
    };
    // For the last test of a contract: each operation that is described was asked
    // for, and gave each status that is.
    call.assertAllSeen = () => assert.deepEqual(description.unseen(), [], 'described, but never answered');
    return call;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });
export const cookie = (token, more = {}) => ({ Cookie: `nl_session=${token}`, Origin: site, ...more });
export { memberToken as member, operatorToken as operator };
