// Calls of the functions that the server offers. Whole numbers come as BigInt,
// since an amount may not fit a Number.
import { parse, parseNumberAndBigInt, stringify } from '../vendor/lossless-json/lib/esm/index.js';

const base = new URL('../', import.meta.url);
const PATIENCE_MS = 40000;

// What went wrong: tag is the constant of docs/errors.md, status 0 means that no
// answer came.
export class Failure extends Error {
    constructor(status, { message, details } = {}) {
        super(message ?? 'no answer');
        this.status = status;
        this.tag = message ?? '';
        this.details = details ?? '';
    }

    // Whether it may go well another time.
    get passing() {
        return this.status === 0 || this.status === 429 || this.status >= 500;
    }
}

let signedOut = () => {};

// Who is told when the server no longer knows the caller.
export function onSignedOut(callback) {
    signedOut = callback;
}

async function request(path, options) {
    let response, text;
    try {
        response = await fetch(new URL(path, base), { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
        text = await response.text();
    } catch {
        throw new Failure(0);
    }
    let body = null;
    try {
        body = text === '' ? null : parse(text, null, parseNumberAndBigInt);
    } catch {
        throw new Failure(response.ok ? 0 : response.status);
    }
    if (!response.ok) {
        throw new Failure(response.status, body ?? {});
    }
    return body;
}

export const whoami = () => post('whoami', {});

function post(fn, args) {
    return request(`rpc/${fn}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: stringify(args),
    });
}

// A function of the server; arguments that are undefined are left to their default.
export async function call(fn, args = {}) {
    try {
        return await post(fn, args);
    } catch (failure) {
        if (failure.status === 401) {
            signedOut(failure);
        }
        throw failure;
    }
}

// The token becomes a cookie that no script can read.
export const signIn = (token) => request('session', {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}` },
});

export const signOut = () => request('session', { method: 'DELETE' });
