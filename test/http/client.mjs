// What the tests share: tokens, requests and a look at the database.
import { createHmac } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { PostgrestClient } from '@supabase/postgrest-js';

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

// One POST to a function: its status, and its body parsed where that is JSON.
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
    return { status: response.status, body, headers: response.headers };
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
