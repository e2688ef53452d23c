// What the tests share: tokens, requests and a look at the database.
import { createHmac } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { PostgrestClient } from '@supabase/postgrest-js';
import { Description } from './openapi.mjs';

export const url = process.env.REFERRAL_POSTGREST_URL;
const secret = process.env.REFERRAL_JWT_SECRET;

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function token(claims, { key = secret, alg = 'HS256' } = {}) {
    const signed = part({ alg, typ: 'JWT' }) + '.' + part(claims);
    const signature = alg === 'none' ? '' : createHmac('sha256', key).update(signed).digest('base64url');
    return signed + '.' + signature;
}

export const member = (sub, more = {}) => token({ role: 'web_member', sub, program_id: 1, ...more });
export const operator = (more = {}) => token({ role: 'web_operator', sub: 'ops', program_id: 1, ...more });

const bearer = (jwt) => (jwt ? { Authorization: 'Bearer ' + jwt } : {});

// What the native surface says of itself.
let described;
export function native() {
    described ??= fetch(url + '/').then(async (root) => new Description(await root.json(), 'native'));
    return described;
}

// One POST to a function: its status, and its body parsed where that is JSON. It
// is held against what openapi() says of the function.
export async function call(name, args = {}, jwt = undefined) {
    const response = await fetch(`${url}/rpc/${name}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...bearer(jwt) },
        body: typeof args === 'string' ? args : JSON.stringify(args),
    });
    const text = await response.text();
    let body = text;
    try {
        body = JSON.parse(text);
    } catch {
        // Not everything that is answered is JSON, and the tests say what must be.
    }
    const { status, headers } = response;
    (await native()).check('POST', '/rpc/' + name, { status, headers: Object.fromEntries(headers), body, text });
    return { status, body, headers };
}

export const client = (jwt) => new PostgrestClient(url, { headers: bearer(jwt), fetch });

// The one column of the rows that a statement returns, as the superuser or as
// another login.
export function sql(statement, login = process.env.PGUSER) {
    return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-U', login], {
        input: statement,
        stdio: ['pipe', 'pipe', 'pipe'],
        encoding: 'utf8',
    }).trim().split('\n');
}
