// Who a caller is, and what he may do: the verified token says, nothing else.
import test from 'node:test';
import assert from 'node:assert/strict';
import { call, member, operator, sql, token, url } from './client.mjs';

const now = Math.floor(Date.now() / 1000);
const claims = { role: 'web_member', sub: 'ada', program_id: 1 };

test('a member reads his own overview, the one that SQL reads', async () => {
    const { status, body } = await call('referral_overview', {}, member('ada'));
    assert.equal(status, 200);
    assert.deepEqual(body, JSON.parse(sql("SELECT to_json(o) FROM referral.referral_overview('ada', 1) o")[0]));
    assert.equal(body.paid_invitees, 1);
    assert.equal(body.balance.lifetime_micro, (250 * 251 / 2) * 150000 + 80);
});

test('a member sees his own rows and nobody else\'s', async () => {
    const rows = async (name, jwt) => (await call(name, {}, jwt)).body;
    assert.deepEqual((await rows('list_invitees', member('ada'))).map((r) => r.user_id), ['bob']);
    assert.deepEqual((await rows('list_invitees', member('bob'))).map((r) => r.user_id), ['cyn']);
    assert.deepEqual(await rows('list_invitees', member('cyn')), []);
    assert.deepEqual(await rows('list_rewards', member('cyn')), []);
    assert.deepEqual((await rows('list_rewards', member('bob'))).map((r) => r.payment_id), ['c1']);
});

test('whoever calls for the first time is enrolled', async () => {
    const { status, body } = await call('referral_overview', {}, member('dan'));
    assert.equal(status, 200);
    assert.match(body.primary_code, /^[A-Z2-9]{8}$/);
    assert.equal(body.balance.lifetime_micro, 0);
    assert.deepEqual(sql("SELECT count(*) FROM referral.member WHERE program_id = 1 AND user_id = 'dan'"), ['1']);
});

test('the claim program_id names the program', async () => {
    const two = await call('referral_overview', {}, member('ada', { program_id: 2 }));
    assert.equal(two.status, 200);
    assert.equal(two.body.paid_invitees, 0);
    const text = await call('referral_overview', {}, member('ada', { program_id: '1' }));
    assert.equal(text.body.paid_invitees, 1);
    for (const program_id of ['one', -1, 1.5, {}, '']) {
        assert.equal((await call('referral_overview', {}, member('ada', { program_id }))).status, 403);
    }
    const several = await call('referral_overview', {}, token({ role: 'web_member', sub: 'ada' }));
    assert.equal(several.status, 400);
    assert.equal(several.body.code, 'RF004');
});

test('nobody in particular gets 401, but may look a code up', async () => {
    for (const name of ['referral_overview', 'list_rewards', 'list_invitees', 'list_downline',
                        'level_stats', 'list_payouts', 'statement', 'remove_custom_slug']) {
        assert.equal((await call(name)).status, 401, name);
    }
    assert.equal((await call('request_payout', { payout_id: 'x' })).status, 401);
    assert.equal((await call('payout_cancel', { payout_id: 'x' })).status, 401);
    assert.equal((await call('set_custom_slug', { slug: 'mine' })).status, 401);
    const code = sql("SELECT code FROM referral.code WHERE program_id = 1 AND user_id = 'ada' AND kind = 'uid'")[0];
    const anonymous = await call('validate_code', { code }, token({ role: 'web_anon', program_id: 1 }));
    assert.equal(anonymous.status, 200);
    assert.deepEqual(anonymous.body, { valid: true, reason: null });
});

test('a member who names another user gets 403, known or not', async () => {
    for (const user_id of ['bob', 'ADA', 'nobody', '']) {
        for (const name of ['referral_overview', 'list_rewards', 'list_invitees', 'list_downline', 'level_stats',
                            'list_payouts', 'statement']) {
            const { status, body } = await call(name, { user_id }, member('ada'));
            assert.equal(status, 403, `${name} of ${user_id}`);
            assert.equal(body.code, '42501');
        }
    }
});

test('a member may do nothing of an operator\'s', async () => {
    const attempts = {
        enroll: { user_id: 'eve' },
        set_tier: { user_id: 'ada', tier: 2, note: 'please', actor: 'ada' },
        suspend: { user_id: 'bob', note: '', actor: 'ada' },
        reinstate: { user_id: 'bob', note: '', actor: 'ada' },
        record_payment: { payment_id: 'x', user_id: 'bob', amount_micro: 1 },
        record_refund: { refund_id: 'x', payment_id: 'p1', amount_micro: 1 },
        spend: { user_id: 'ada', amount_micro: 1, spend_id: 'x' },
        unspend: { spend_id: 'x' },
        set_payout_destination: { user_id: 'ada', network: 'sepa', address: 'DE1' },
        payout_processing: { payout_id: 'x' },
        payout_sent: { payout_id: 'x' },
        payout_failed: { payout_id: 'x' },
        payout_batch: { batch_id: 'x' },
        adjust: { user_id: 'ada', adjustment_id: 'x', amount_micro: 1, note: 'please' },
        claim_grants: {},
        confirm_grant: { grant_key: '1-1' },
        fail_grant: { grant_key: '1-1', error: 'x' },
        recover_grants: {},
        explain_payment: { payment_id: 'p1' },
        explain_reward: { id: 1 },
        verify: {},
        approve_attribution: { id: 1 },
        reject_attribution: { id: 1 },
        list_attributions: {},
        attribution_detail: { id: 1 },
        funnel_stats: {},
        leaderboard: {},
        next_events: {},
    };
    for (const [name, args] of Object.entries(attempts)) {
        assert.equal((await call(name, args, member('ada'))).status, 403, name);
        assert.equal((await call(name, args)).status, 401, name);
    }
});

test('an operator acts for any user of his program', async () => {
    const overview = await call('referral_overview', { user_id: 'ada' }, operator());
    assert.equal(overview.body.paid_invitees, 1);
    assert.deepEqual((await call('verify', {}, operator())).body, []);
    const paid = await call('record_payment', { payment_id: 'op1', user_id: 'eve', amount_micro: 5 }, operator());
    assert.equal(paid.status, 200);
    assert.equal(paid.body.replayed, false);
    assert.deepEqual(sql("SELECT program_id FROM referral.payment WHERE payment_id = 'op1'"), ['1']);
});

test('tokens that are expired, early, forged, unsigned or broken get 401', async () => {
    const bad = {
        expired: token({ ...claims, exp: now - 3600 }),
        early: token({ ...claims, nbf: now + 3600 }),
        forged: token(claims, { key: 'another secret of sufficient length' }),
        unsigned: token(claims, { alg: 'none' }),
        'without signature': token(claims).replace(/[^.]*$/, ''),
        'another algorithm': token(claims, { alg: 'HS512' }),
        'other claims': token(claims).replace(/\.[^.]*\./, '.' + token({ ...claims, sub: 'bob' }).split('.')[1] + '.'),
        rubbish: 'rubbish',
    };
    for (const [what, jwt] of Object.entries(bad)) {
        assert.equal((await call('referral_overview', {}, jwt)).status, 401, what);
    }
});

test('a token gives no more than its role', async () => {
    for (const role of ['postgres', 'authenticator', 'plain', 'nobody']) {
        const { status } = await call('referral_overview', {}, token({ ...claims, role }));
        assert.ok([400, 401, 403].includes(status), `${role}: ${status}`);
    }
});

test('a token without a usable sub is nobody', async () => {
    for (const sub of [undefined, '', 'x'.repeat(201)]) {
        const { status, body } = await call('referral_overview', {}, member(sub));
        assert.equal(status, 403, sub);
        assert.equal(body.message, 'unauthenticated');
    }
    // PostgREST itself refuses some of these.
    for (const sub of [null, 5, true, ['ada'], { a: 1 }]) {
        assert.ok([401, 403].includes((await call('referral_overview', {}, member(sub))).status), JSON.stringify(sub));
    }
});

test('claims that a plain login sets are not believed', () => {
    const forged = `SET request.jwt.claims = '${JSON.stringify(claims)}';`;
    for (const role of ['', 'SET ROLE web_member;', 'SET ROLE web_operator;']) {
        assert.throws(() => sql(`${forged} ${role} SELECT referral_api.referral_overview()`, 'plain'), /42501/);
    }
    assert.throws(() => sql(`${forged} SET ROLE web_operator; SELECT referral_api.verify()`, 'plain'), /42501/);
    assert.throws(() => sql(`${forged} SET SESSION AUTHORIZATION authenticator`, 'plain'), /42501/);
});

test('the login itself may do nothing until it has become a role', () => {
    assert.throws(() => sql('SELECT referral_api.referral_overview()', 'authenticator'), /42501/);
    assert.throws(() => sql('TABLE referral.member', 'authenticator'), /42501/);
    for (const role of ['web_anon', 'web_member', 'web_operator']) {
        for (const table of ['member', 'payment', 'reward', 'code', 'earning']) {
            assert.throws(() => sql(`SET ROLE ${role}; TABLE referral.${table}`, 'authenticator'), /42501/);
        }
    }
});

test('tables and the inner schema are not served', async () => {
    for (const path of ['/member', '/payment', '/reward', '/program']) {
        assert.ok([401, 404].includes((await fetch(url + path)).status), path);
    }
    const inner = await fetch(url + '/rpc/referral_overview', {
        method: 'POST',
        headers: { 'Content-Profile': 'referral', Authorization: 'Bearer ' + operator() },
    });
    assert.equal(inner.status, 406);
    assert.equal((await call('install', {}, operator())).status, 404);
});
