// The examples of the four published documentations, field by field, out of the
// data of scripts/demo-contracts.sql: in a database of the tests, or in the demo
// that runs (scripts/demo examples). What changes something may be run again.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { api, cookie, bearer, member } from './contract.mjs';
import { sql } from './client.mjs';

const script = new URL('../../scripts/demo-contracts.sql', import.meta.url).pathname;
if (sql("SELECT count(*) FROM referral.program WHERE name LIKE 'Contract %'")[0] === '0') {
    execFileSync('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', script], { stdio: 'pipe' });
}
const program = (name) => Number(sql(`SELECT program_id FROM referral.program WHERE name = 'Contract ${name}'`)[0]);
const key = (right, program_id) => sql(`SELECT api_key FROM referral.create_api_key('${right}', ${program_id})`)[0];

// That an answer has what the documentation shows, and as the same types. What it
// calls ids and times is ours.
function shows(answer, status, published) {
    assert.equal(answer.status, status, answer.text);
    const pick = (given, shown) => {
        if (Array.isArray(shown)) {
            return Array.isArray(given) ? given.map((item, n) => pick(item, shown[n])) : given;
        }
        if (shown && typeof shown === 'object' && given && typeof given === 'object') {
            return Object.fromEntries(Object.keys(shown).map((name) => [name, pick(given[name], shown[name])]));
        }
        return typeof shown === 'function' && shown(given) ? shown : given;
    };
    assert.deepEqual(pick(answer.body, published), published);
}
const aTime = (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);
const anId = (value) => typeof value === 'string' && value.length > 0;
const aUuid = (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);

// --- triport: https://triport.io/docs/console/referrals/

const triport = api('triport');
const triportProgram = program('triport');
const ada = '3f8c2a1e-9b4d-4c7a-8e21-6f0a1b2c3d4e';
const cleo = '3f9b2c10-7d4e-4a1b-9c2a-1e5f8b6d0a44';
const session = (user) => cookie(member(user, { program_id: triportProgram }));
const admin = { 'X-Admin-Token': key('operator', triportProgram) };
const sums = { pending_micro: 4500000, available_micro: 25000000, lifetime_micro: 87500000 };
const payout = {
    amount_micro: 25000000, network: 'solana', address: '7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU',
};

test('triport: GET /v1/referrals/me', async () => {
    shows(await triport('GET', '/v1/referrals/me', { headers: session(ada) }), 200, {
        primary_code: 'K7Q2M9XD', custom_slug: null, tier: 2, tier_label: 'Silver', rate_bps: 1500, paid_invitees: 7,
        balance: sums, inviter_display: null,
    });
});

test('triport: GET /v1/referrals/rewards', async () => {
    const { body } = await triport('GET', '/v1/referrals/rewards?status=pending,available&limit=50&offset=0', { headers: session(ada) });
    assert.ok(body.items.length > 1 && body.items.every(({ status }) => status === 'pending' || status === 'available'));
    shows(await triport('GET', '/v1/referrals/rewards?status=pending', { headers: session(ada) }), 200, {
        items: [{
            id: anId, status: 'pending', amount_micro: 4500000, rate_bps: 1500, tier: 2, level: 1, base_micro: 30000000,
            reversed_micro: 0, currency: 'USD', invitee_user_id: 'b2d94c60-51f3-4a4e-9d0b-7c6e2f1a8b35',
            invitee_display: 'Grace', payment_id: 'inv_1042', created_at: aTime, available_at: aTime,
        }],
    });
    shows(await triport('GET', '/v1/referrals/rewards?status=nonsense', { headers: session(ada) }), 200, { items: [] });
});

test('triport: GET /v1/referrals/invitees', async () => {
    const { body } = await triport('GET', '/v1/referrals/invitees?limit=50&offset=0', { headers: session(ada) });
    assert.equal(body.items.length, 7);
    shows(await triport('GET', '/v1/referrals/invitees?limit=1', { headers: session(ada) }), 200, {
        items: [{
            user_id: 'b2d94c60-51f3-4a4e-9d0b-7c6e2f1a8b35', display_name: 'Grace', signed_at: aTime,
            total_paid_micro: 30000000,
        }],
    });
    shows(await triport('GET', '/v1/referrals/invitees', { headers: session('nobody-yet') }), 200, { items: [] });
});

test('triport: GET /v1/referrals/payouts', async () => {
    const answer = await triport('GET', '/v1/referrals/payouts?limit=50&offset=0', { headers: session(ada) });
    shows(answer, 200, {
        items: [
            {
                id: '9f1c0b7e-4d2a-4c8e-9b3f-1a2b3c4d5e6f', user_id: ada, ...payout, status: 'requested',
                requested_at: aTime,
            },
            {
                id: aUuid, user_id: ada, ...payout, amount_micro: 33000000, status: 'sent', tx_hash: '5UfDuX7hXbQn',
                requested_at: aTime, completed_at: aTime,
            },
        ],
    });
    const omitted = Object.keys(answer.body.items[0]);
    assert.ok(!omitted.includes('tx_hash') && !omitted.includes('note') && !omitted.includes('completed_at'));
});

test('triport: POST /v1/referrals/payouts, and an operator sends one and fails one', async () => {
    const request = async () => {
        const headers = { ...session(cleo), 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() };
        const answer = await triport('POST', '/v1/referrals/payouts', { headers, body: payout });
        shows(answer, 202, { id: aUuid, user_id: cleo, ...payout, status: 'requested', requested_at: aTime });
        return answer.body.id;
    };
    const [sent, failed] = [await request(), await request()];
    shows(await triport('POST', `/v1/admin/referrals/payouts/${sent}/sent`, { headers: admin, body: { tx_hash: '5UfDuX7hXbQn' } }),
          200, { ok: true });
    shows(await triport('POST', `/v1/admin/referrals/payouts/${failed}/failed`, { headers: admin, body: { reason: 'address refused' } }),
          200, { ok: true });
    const { body } = await triport('GET', '/v1/referrals/payouts?limit=2', { headers: session(cleo) });
    assert.deepEqual(body.items.map(({ status, note }) => [status, note]), [['failed', 'address refused'], ['sent', undefined]]);
});

test('triport: POST and DELETE /v1/referrals/code', async () => {
    const headers = { ...session(cleo), 'Content-Type': 'application/json' };
    shows(await triport('POST', '/v1/referrals/code', { headers, body: { slug: 'mycode' } }), 200, {
        code: { ID: anId, UserID: cleo, Code: 'mycode', Kind: 'custom', CreatedAt: aTime, DisabledAt: null },
    });
    shows(await triport('DELETE', '/v1/referrals/code', { headers }), 200, { ok: true });
    shows(await triport('DELETE', '/v1/referrals/code', { headers }), 200, { ok: true });
    shows(await triport('POST', '/v1/referrals/code', { headers, body: { slug: 'admin' } }), 409, { error: 'slug_reserved' });
});

test('triport: POST /v1/auth/attribute', async () => {
    const visitor = randomUUID();
    shows(await triport('POST', '/v1/auth/attribute', { headers: session(visitor) }), 200, { attributed: false, reason: 'no_cookie' });
    const came = session(visitor);
    came.Cookie += '; ref_code=mycode';
    const headers = { ...session(cleo), 'Content-Type': 'application/json' };
    await triport('POST', '/v1/referrals/code', { headers, body: { slug: 'mycode' } });
    const answer = await triport('POST', '/v1/auth/attribute', { headers: came });
    shows(answer, 200, { attributed: true });
    assert.match(String(answer.headers['set-cookie']), /^ref_code=; .*Max-Age=0/);
    shows(await triport('POST', '/v1/auth/attribute', { headers: came }), 200, { attributed: false, reason: 'already_attributed' });
    await triport('DELETE', '/v1/referrals/code', { headers });
});

test('triport: what operators do', async () => {
    shows(await triport('GET', `/v1/admin/referrals/users/${ada}`, { headers: admin }), 200, {
        user_id: ada, tier: 2, tier_label: 'Silver', rate_bps: 1500, primary_code: 'K7Q2M9XD', custom_slug: null,
        paid_invitees: 7, balance: sums, recent_attributions: Array.isArray,
    });
    const tier = (value, note) => triport('POST', `/v1/admin/referrals/users/${cleo}/tier`, { headers: admin, body: { tier: value, note } });
    await tier(1);
    shows(await tier(2, 'partner contract'), 200, { old_tier: 1, new_tier: 2 });
    shows(await triport('POST', '/v1/admin/referrals/simulate-paid', { headers: admin }), 410,
          { error: 'endpoint_retired', reason: 'billing_bridge_active' });
});

// --- intotes: https://docs.intotes.com/api/referrals/

const intotes = api('intotes');
const trader = (user) => ({ headers: bearer(member(user, { program_id: program('intotes') })) });

test('intotes: GET /api/v1/users/me/referral/info', async () => {
    const answer = await intotes('GET', '/api/v1/users/me/referral/info', trader('anna'));
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, {
        referral_code: 'ABC123XY',
        referrer: { name: 'Bob', image_url: 'https://cdn.intotes.com/avatars/10.jpg' },
        total_earnings: 34250,
        total_referrals: 25,
        total_volume: 15600000,
        total_deposits: 4800000,
        stats: {
            level1: { count: 10, total_volume: 9500000, earnings: 28500, fee: 0.15 },
            level2: { count: 9, total_volume: 4200000, earnings: 4620, fee: 0.04 },
            level3: { count: 6, total_volume: 1900000, earnings: 1130, fee: 0.01 },
        },
    });
    assert.equal((await intotes('GET', '/api/v1/users/me/referral/info', trader('bob'))).body.referrer, null);
});

test('intotes: GET /api/v1/users/me/referral/children', async () => {
    const answer = await intotes('GET', '/api/v1/users/me/referral/children', trader('boris'));
    assert.equal(answer.status, 200);
    // In which order is not said.
    assert.deepEqual(answer.body.toSorted((a, b) => a.id - b.id), [
        {
            id: 101, username: 'trader_jane', image: 'https://cdn.intotes.com/avatars/101.jpg', level: 1,
            joined_date: '2025-09-01T12:00:00Z', total_bets: 48, total_volume: 1250000,
        },
        {
            id: 205, username: 'crypto_mike', image: 'https://cdn.intotes.com/avatars/205.jpg', level: 1,
            joined_date: '2025-09-15T08:30:00Z', total_bets: 22, total_volume: 540000,
        },
        {
            id: 310, username: 'betking99', image: null, level: 2, joined_date: '2025-10-02T16:45:00Z', total_bets: 11,
            total_volume: 210000,
        },
    ]);
});

// --- crawlora: https://crawlora.net/docs/Referrals/, https://crawlora.net/playground/

const crawlora = api('crawlora');
const [now, later] = [program('crawlora'), program('crawlora, later')];
const user = (program_id) => ({ headers: { Authorization: `Token ${member('ada', { program_id })}` } });
const ok = (data) => ({ code: 200, msg: 'ok', data });

test('crawlora: POST /referrals/click', async () => {
    const body = {
        click_id: 'refclk_abc123', code: 'A1B2C3D4E5F6', landing_path: '/pricing', utm_campaign: 'spring-launch',
        utm_medium: 'email', utm_source: 'newsletter',
    };
    const headers = { 'x-client-key': key('client', now) };
    shows(await crawlora('POST', '/referrals/click', { headers, body }), 200, ok({ click_id: 'refclk_abc123', code: 'A1B2C3D4E5F6' }));
});

test('crawlora: GET /referrals/me', async () => {
    const answer = await crawlora('GET', '/referrals/me', user(now));
    shows(answer, 200, ok({
        code: 'A1B2C3D4E5F6', share_path: '/r/A1B2C3D4E5F6', reward_credits: 10000, referred_reward_credits: 10000,
        attribution_window_days: 30, monthly_referrer_reward_cap: 10,
        stats: { attributed: 1, qualified: 0, review_required: 0, rewarded: 0, expired: 0, capped: 0, rejected: 0 },
        // The sample has one attribution and none in the list, which cannot both be.
        items: Array.isArray,
    }));
    assert.equal(answer.body.data.items.length, 1);
});

test('crawlora: GET /referrals/me/events', async () => {
    shows(await crawlora('GET', '/referrals/me/events', user(later)), 200, ok({
        items: [{
            id: anId, code: 'A1B2C3D4E5F6', campaign: null, role: 'referrer', status: 'rewarded', reward_credits: 10000,
            created_at: aTime, expires_at: null, qualified_at: aTime, rewarded_at: aTime,
        }],
    }));
});

// Members who came by the code of another, each with a purchase. Nobody of the
// other examples.
function comers(count, prepare = '', after = '') {
    const prefix = `x-${randomUUID().slice(0, 8)}`;
    sql(`BEGIN; SET LOCAL referral.program_id = ${later}; ${prepare};
         SELECT FROM referral.enroll('${prefix}');
         SELECT FROM generate_series(1, ${count}) n,
                     referral.attribute('${prefix}-' || n, (SELECT code FROM referral.code
                                                            WHERE program_id = ${later} AND user_id = '${prefix}'));
         INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
         SELECT ${later}, '${prefix}-' || n, '${prefix}-' || n, 29000000 FROM generate_series(1, ${count}) n;
         ${after}; COMMIT`);
    return prefix;
}

test('crawlora: what operators do', async () => {
    const headers = { 'x-api-key': key('operator', later) };
    const ask = (method, path) => crawlora(method, `/admin/referrals${path}`, { headers });
    const held = comers(2, `INSERT INTO referral.review_rule (program_id, rule, max_per_hour) VALUES (${later}, 'velocity', 0)`,
                        `DELETE FROM referral.review_rule WHERE program_id = ${later}`);
    const listed = await ask('GET', `?user_id=${held}&status=review_required&limit=20`);
    assert.equal(listed.status, 200);
    assert.deepEqual(listed.body.data.items.map(({ status }) => status), ['review_required', 'review_required']);
    const [one, two] = listed.body.data.items.map(({ id }) => id);
    shows(await ask('GET', `/${one}`), 200, ok({ attribution: { id: one, status: 'review_required' }, rewards: [] }));
    shows(await ask('POST', `/${one}/approve`), 200, ok({ attribution: { id: one, status: 'qualified' }, rewards: Array.isArray }));
    shows(await crawlora('POST', `/admin/referrals/${two}/reject`, { headers, body: { reason: 'same person' } }), 200,
          ok({ attribution: { id: two, status: 'rejected' }, rewards: [] }));

    // Three grants fail. One of the payments goes back, so that is not tried again.
    const prefix = comers(3);
    sql(`SET referral.program_id = ${later};
         SELECT CASE WHEN r.level = 1 AND r.payment_id LIKE '${prefix}-%'
                     THEN (referral.fail_grant(g.grant_key, 'temporary billing write failure')).grant_key
                     ELSE (referral.confirm_grant(g.grant_key)).grant_key END
         FROM referral.claim_grants(1000) g
         JOIN referral.reward r ON r.program_id = ${later} AND r.reward_id = split_part(g.grant_key, '-', 2)::bigint;
         SELECT FROM referral.record_refund('${prefix}', '${prefix}-3', 29000000)`);
    const recovered = await ask('POST', '/recover?limit=50');
    shows(recovered, 200, ok({ attempted: 3, recovered: 2, errors: [(text) => /^reward-\d+: /.test(text)] }));
    assert.equal(recovered.body.data.errors.length, 1);
    const { body } = await ask('GET', '/stats?from=2026-01-01T00:00:00Z');
    assert.deepEqual(Object.values(body.data).map((n) => typeof n), Object.values(body.data).map(() => 'number'));
});

// --- baanx: https://docs.baanx.com/api-reference/referral/

const baanx = api('baanx');
const clientKey = { 'x-client-key': key('client', program('baanx')) };
const customer = (program_id) => bearer(member('ada', { program_id }));

test('baanx: GET /v1/referral', async () => {
    for (const path of ['/v1/referral', '/v1/referral/']) {
        const answer = await baanx('GET', path, { headers: { ...clientKey, ...customer(program('baanx')), 'x-us-env': 'false' } });
        assert.deepEqual([answer.status, answer.body], [200, { code: 'FHLSO5', cap: 5, used: 0 }]);
    }
    const without = await baanx('GET', '/v1/referral', { headers: { 'x-client-key': key('client', now), ...customer(now) } });
    assert.deepEqual([without.status, without.body], [200, {}]);
    const error = async (headers) => {
        const { status, body } = await baanx('GET', '/v1/referral', { headers });
        return [status, body];
    };
    assert.deepEqual(await error(clientKey), [401, { message: 'Not authenticated' }]);
    assert.deepEqual(await error({ ...clientKey, ...customer(now) }), [403, { message: 'Not authorized' }]);
});

test('baanx: GET /v1/referral/{code}/validate', async () => {
    const validate = async (code) => (await baanx('GET', `/v1/referral/${code}/validate`, { headers: clientKey })).body;
    assert.deepEqual(await validate('FHLSO5'), { valid: true });
    assert.deepEqual(await validate('FHLSO6'), { valid: false });
    assert.deepEqual(await validate('not.a.code'), { message: 'Invalid request' });
});

test('the books are sound', () => {
    assert.deepEqual(sql(`SELECT count(*) FROM referral.program p, referral.verify(p.program_id)
                          WHERE p.name LIKE 'Contract %'`), ['0']);
});
