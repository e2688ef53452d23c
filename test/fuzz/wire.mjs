// HTTP/1.1 as bytes on a socket: what is sent is sent as it stands, and what
// comes back is taken apart without believing anything.
import { connect } from 'node:net';

// The answer at the start of bytes, {status, reason, headers, body, rest}; undefined
// as long as it is not whole. head: to a HEAD, so without a body.
export function parse(bytes, { head = false, closed = false } = {}) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) {
        return undefined;
    }
    const [line, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
    const [, status, reason] = line.match(/^HTTP\/1\.[01] (\d{3}) ?(.*)$/s) ?? [undefined, '0', line];
    const headers = lines.map((each) => [each.slice(0, each.indexOf(':')).toLowerCase(), each.slice(each.indexOf(':') + 1).trim()]);
    const value = (name) => headers.find(([each]) => each === name)?.[1];
    const body = bytes.subarray(end + 4);
    const answer = { status: Number(status), reason, headers };
    if (/^1/.test(status)) {
        return parse(body, { head, closed });
    }
    if (head || status === '204' || status === '304') {
        return { ...answer, body: Buffer.alloc(0), rest: body };
    }
    if (value('transfer-encoding') === 'chunked') {
        const parts = [];
        for (let at = 0; ;) {
            const eol = body.indexOf('\r\n', at);
            const size = eol < 0 ? NaN : parseInt(body.subarray(at, eol).toString('latin1'), 16);
            if (Number.isNaN(size) || body.length < eol + 4 + size) {
                return undefined;
            }
            parts.push(body.subarray(eol + 2, eol + 2 + size));
            at = eol + 4 + size;
            if (size === 0) {
                return { ...answer, body: Buffer.concat(parts), rest: body.subarray(at) };
            }
        }
    }
    const length = value('content-length');
    if (length === undefined) {
        return closed ? { ...answer, body, rest: Buffer.alloc(0) } : undefined;
    }
    return body.length < Number(length) ? undefined
        : { ...answer, body: body.subarray(0, Number(length)), rest: body.subarray(Number(length)) };
}

// One connection. Of a server that hangs up without an answer the status is 0;
// of one that does neither in time it is undefined.
export class Wire {
    constructor({ hostname, port }) {
        this.open = true;
        this.used = 0;
        this.bytes = Buffer.alloc(0);
        this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
        this.socket.on('data', (part) => {
            this.bytes = Buffer.concat([this.bytes, part]);
            this.wake?.();
        });
        const ended = () => {
            this.open = false;
            this.wake?.();
        };
        this.socket.on('error', ended).on('end', ended).on('close', ended);
    }

    // Sends bytes and waits for one answer.
    exchange(bytes, { head = false, timeout = 20000 } = {}) {
        this.used += 1;
        this.socket.write(bytes);
        return this.answer({ head, timeout });
    }

    answer({ head = false, timeout = 20000 } = {}) {
        return new Promise((resolve) => {
            const finish = (answer) => {
                clearTimeout(timer);
                this.wake = undefined;
                resolve(answer);
            };
            this.wake = () => {
                const answer = parse(this.bytes, { head, closed: !this.open });
                if (answer) {
                    this.bytes = answer.rest;
                    finish(answer);
                } else if (!this.open) {
                    finish({ status: 0, reason: '', headers: [], body: this.bytes });
                }
            };
            const timer = setTimeout(() => finish({ status: undefined, reason: '', headers: [], body: this.bytes }), timeout);
            this.wake();
        });
    }

    close() {
        this.socket.destroy();
    }
}
