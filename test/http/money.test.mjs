// Refunds, spends and payouts: what members ask for and operators do.
import test from 'node:test';
import assert from 'node:assert/strict';
import { call, client, member, operator, sql } from './client.mjs';

const ops = client(operator());

// A member with a balance of his own: 15 % of what his one invitee pays.
async function earner(name, micro) {
    const code = (await client(member(name)).rpc('referral_overview')).data.primary_code;
    await client(member(`${name}-friend`)).rpc('attribute', { code });
    const { data } = await ops.rpc('record_payment', {
        payment_id: `${name}-1`, user_id: `${name}-friend`, amount_micro: Math.ceil(micro / 0.15),
    });
    assert.equal(data.rewards_micro, micro);
    return client(member(name));
}

const available = (name) => Number(sql(`SELECT (balance).available_micro FROM referral.referral_overview('${name}', 1)`)[0]);

test('a member asks for a payout and takes it back', async () => {
    const max = await earner('max', 3000);
    const asked = { payout_id: 'max-1', amount_micro: 1000, network: 'sepa', address: 'DE02' };
    const { data, error } = await max.rpc('request_payout', asked);
    assert.equal(error, null);
    const { requested_at, ...payout } = data;
    assert.deepEqual(payout, {
        id: 'max-1', amount_micro: 1000, network: 'sepa', address: 'DE02', status: 'requested', reference: null,
        note: null, completed_at: null, user_id: 'max', batch_id: null,
    });
    assert.ok(Math.abs(Date.parse(requested_at) - Date.now()) < 60000, requested_at);
    assert.deepEqual((await max.rpc('request_payout', asked)).data, data, 'again: the same answer');
    assert.equal(available('max'), 2000);
    assert.equal((await max.rpc('payout_cancel', { payout_id: 'max-1' })).data.status, 'cancelled');
    assert.equal((await max.rpc('payout_cancel', { payout_id: 'max-1' })).data.status, 'cancelled');
    assert.equal(available('max'), 3000);
});

test('a payout is its member\'s and the operator\'s', async () => {
    const ned = await earner('ned', 3000);
    const tom = client(member('tom'));
    await ned.rpc('request_payout', { payout_id: 'ned-1', amount_micro: 500 });
    for (const name of ['tom', 'ada']) {
        const { status, error } = await client(member(name)).rpc('payout_cancel', { payout_id: 'ned-1' });
        assert.equal(status, 400);
        assert.equal(error.message, 'unknown_payout', 'another\'s cannot be told from none');
    }
    assert.equal((await tom.rpc('payout_cancel', { payout_id: 'ned-9' })).error.message, 'unknown_payout');
    assert.equal((await tom.rpc('request_payout', { payout_id: 'ned-1', user_id: 'ned' })).status, 403);
    assert.equal((await ops.rpc('payout_processing', { payout_id: 'ned-1' })).data.status, 'processing');
    const late = await ned.rpc('payout_cancel', { payout_id: 'ned-1' });
    assert.equal(late.error.code, 'RF009');
    const sent = await ops.rpc('payout_sent', { payout_id: 'ned-1', reference: 'tx-1' });
    assert.equal(sent.data.reference, 'tx-1');
    assert.deepEqual((await ops.rpc('payout_sent', { payout_id: 'ned-1', reference: 'tx-1' })).data, sent.data);
    assert.equal((await ops.rpc('payout_failed', { payout_id: 'ned-1' })).error.message, 'payout_not_actionable');
    assert.equal(available('ned'), 2500);
});

test('payouts and statements by HTTP are those by SQL', async () => {
    const rows = (query) => JSON.parse(sql(query).join(''));
    for (const name of ['max', 'ned', 'bob']) {
        const { body } = await call('list_payouts', {}, member(name));
        assert.deepEqual(body, rows(`SELECT coalesce(json_agg(p), '[]') FROM referral.list_payouts('${name}', program_id => 1) p`));
        const at = new Date().toISOString();
        const statement = await call('statement', { at }, member(name));
        assert.deepEqual(statement.body, rows(`SELECT to_json(s) FROM referral.statement('${name}', '${at}', 1) s`));
        assert.equal(statement.body.available_micro, available(name));
    }
    assert.deepEqual((await call('list_payouts', { max_rows: 1, skip: 1 }, member('max'))).body, []);
    assert.equal((await call('statement', { at: '2000-01-01' }, member('max'))).body.lifetime_micro, 0);
    for (const name of ['list_payouts', 'statement']) {
        assert.equal((await call(name, { user_id: 'ned' }, member('max'))).status, 403);
        assert.equal((await call(name)).status, 401);
    }
    assert.equal((await call('statement', { user_id: 'nobody' }, operator())).body.message, 'unknown_member');
});

test('operators spend, correct, refund and pay who is due', async () => {
    await earner('ora', 3000);
    const spend = { user_id: 'ora', amount_micro: 600, spend_id: 'ora-s', note: 'hat' };
    const spent = await ops.rpc('spend', spend);
    assert.equal(spent.data.unspent_at, null);
    assert.deepEqual((await ops.rpc('spend', spend)).data, spent.data);
    assert.ok((await ops.rpc('unspend', { spend_id: 'ora-s' })).data.unspent_at);
    const fix = { user_id: 'ora', adjustment_id: 'ora-j', amount_micro: -400, note: 'paid by hand' };
    assert.equal((await ops.rpc('adjust', fix)).data.actor, 'ops');
    assert.equal(available('ora'), 2600);
    const refund = { refund_id: 'ora-r', payment_id: 'ora-1', amount_micro: 10000 };
    const refunded = (await ops.rpc('record_refund', refund)).data;
    assert.deepEqual(refunded, { refund_id: 'ora-r', replayed: false, state: 'applied', reversed_micro: 1500, written_off_micro: 0 });
    assert.equal((await ops.rpc('record_refund', refund)).data.replayed, true);
    assert.equal(available('ora'), 1100);
    await ops.rpc('set_payout_destination', { user_id: 'ora', network: 'chain', address: '0xf00' });
    const batch = (await ops.rpc('payout_batch', { batch_id: 'run-1', min_micro: 1000 })).data;
    const own = batch.find((row) => row.user_id === 'ora');
    assert.equal(own.amount_micro, 1100);
    assert.equal(own.address, '0xf00');
    assert.deepEqual((await ops.rpc('payout_batch', { batch_id: 'run-1', min_micro: 1000 })).data, batch);
    for (const { id } of batch) {
        assert.equal((await ops.rpc('payout_failed', { payout_id: id, reason: 'a test' })).data.status, 'failed');
    }
});

test('many requests at once: the balance goes once, an id is done once', async () => {
    await earner('pia', 6000);
    const at_once = (requests) => Promise.all(requests.map((args) => call('request_payout', args, member('pia'))));
    const count = (answers, what) => answers.filter(({ body }) => (body.message ?? body.status) === what).length;
    const same = await at_once(Array.from({ length: 32 }, () => ({ payout_id: 'pia-same', amount_micro: 1000 })));
    assert.equal(new Set(same.map(({ body }) => JSON.stringify(body))).size, 1);
    assert.equal(count(same, 'requested'), 32);
    assert.equal(available('pia'), 5000);
    const all = await at_once(Array.from({ length: 32 }, (_, n) => ({ payout_id: `pia-${n}` })));
    assert.equal(count(all, 'requested'), 1);
    assert.equal(count(all, 'balance_insufficient'), 31);
    assert.equal(available('pia'), 0);
});

test('operators grant rewards in another system, each once', async () => {
    sql('UPDATE referral.program SET uses_grants = true WHERE program_id = 1');
    await earner('rob', 3000);
    await earner('sam', 3000);
    sql('UPDATE referral.program SET uses_grants = false WHERE program_id = 1');
    const claims = await Promise.all(Array.from({ length: 16 }, () => call('claim_grants', { max: 1 }, operator())));
    const held = claims.flatMap(({ body }) => body);
    assert.deepEqual(held.map((grant) => grant.user_id).sort(), ['rob', 'sam']);
    assert.deepEqual((await ops.rpc('recover_grants')).data, { attempted: 0, recovered: 0, errors: 0 });
    const [one, other] = held.map(({ grant_key }) => grant_key);
    assert.equal((await ops.rpc('confirm_grant', { grant_key: one })).data.status, 'confirmed');
    assert.equal((await ops.rpc('confirm_grant', { grant_key: one })).data.status, 'confirmed');
    assert.equal((await ops.rpc('fail_grant', { grant_key: one, error: 'x' })).error.message, 'grant_confirmed');
    assert.equal((await ops.rpc('fail_grant', { grant_key: other, error: 'x' })).data.status, 'failed');
    assert.deepEqual((await ops.rpc('recover_grants')).data, { attempted: 1, recovered: 1, errors: 0 });
    assert.equal((await ops.rpc('claim_grants')).data[0].attempts, 2);
    assert.equal((await ops.rpc('confirm_grant', { grant_key: '1-1' })).error.message, 'unknown_grant');
});

test('each refusal has its status', async () => {
    await earner('quin', 3000);
    await client(member('quin')).rpc('request_payout', { payout_id: 'quin-1', amount_micro: 100 });
    await ops.rpc('spend', { user_id: 'quin', amount_micro: 5, spend_id: 'quin-s' });
    sql("UPDATE referral.program SET payout_min_micro = 50 WHERE program_id = 1");
    await call('referral_overview', {}, member('suse'));
    await ops.rpc('suspend', { user_id: 'suse', note: 'x' });
    const quin = member('quin');
    const situations = [
        ['request_payout', { payout_id: 'quin-1', amount_micro: 101 }, quin, 'RF001', 'idempotency_conflict'],
        ['request_payout', { payout_id: 'quin-2', amount_micro: 49 }, quin, 'RF008', 'payout_below_minimum'],
        ['request_payout', { payout_id: 'quin-2', amount_micro: 5000 }, quin, 'RF007', 'balance_insufficient'],
        ['request_payout', { payout_id: 'quin-2', amount_micro: 0 }, quin, '22003', 'amount is not positive'],
        ['request_payout', { payout_id: 'quin-2', network: 'sepa' }, quin, '22023', 'invalid destination'],
        ['request_payout', { payout_id: '' }, quin, '22023', 'invalid payout_id'],
        ['request_payout', { payout_id: 'suse-1' }, member('suse'), 'RF006', 'member_suspended'],
        ['payout_cancel', { payout_id: 'quin-9' }, quin, 'RF010', 'unknown_payout'],
        ['spend', { user_id: 'nobody', amount_micro: 1, spend_id: 's' }, operator(), 'RF003', 'unknown_member'],
        ['spend', { user_id: 'quin', amount_micro: 6, spend_id: 'quin-s' }, operator(), 'RF001', 'idempotency_conflict'],
        ['spend', { user_id: 'quin', amount_micro: '9223372036854775807', spend_id: 's' }, operator(), 'RF007', 'balance_insufficient'],
        ['spend', { user_id: 'quin', amount_micro: '9223372036854775808', spend_id: 's' }, operator(), '22003'],
        ['unspend', { spend_id: 'none' }, operator(), 'RF010', 'unknown_spend'],
        ['adjust', { user_id: 'quin', adjustment_id: 'j', amount_micro: 0, note: 'x' }, operator(), '22023', 'amount is zero'],
        ['payout_sent', { payout_id: 'none' }, operator(), 'RF010', 'unknown_payout'],
        ['record_refund', { refund_id: 'q', payment_id: 'quin-1', amount_micro: 20001 }, operator(), '22003', 'refunds exceed the payment'],
        ['record_refund', { refund_id: 'q', payment_id: 'quin-1', amount_micro: 0 }, operator(), '22003'],
        ['payout_batch', { batch_id: 'run-1' }, operator(), 'RF001', 'idempotency_conflict'],
    ];
    for (const [name, args, jwt, code, message] of situations) {
        const { status, body } = await call(name, args, jwt);
        const what = `${name} ${JSON.stringify(args)}: ${JSON.stringify(body)}`;
        assert.equal(status, 400, what);
        assert.equal(body.code, code, what);
        if (message) {
            assert.equal(body.message, message, what);
        }
    }
    assert.deepEqual((await call('verify', {}, operator())).body, []);
});
