// Asking for a payout.
import { Failure, call } from '../api.js';
import { announce, el, field } from '../dom.js';
import { formDialog } from '../dialog.js';

export function requestPayout(context, available) {
    const { me, money } = context;
    const least = me.payout_min_micro > 0n ? me.payout_min_micro : 1n;
    if (available < least) {
        return el('p', { class: 'about' }, me.payout_min_micro > 0n
            ? `Payouts start at ${money.text(me.payout_min_micro)}.` : 'A payout can be requested once something is available.');
    }
    return el('button', { type: 'button', class: 'main', onclick: () => openForm(context, available) }, 'Request a payout');
}

function openForm(context, available) {
    const { me, money, changed } = context;
    const amount = el('input', { type: 'text', inputmode: 'decimal', autocomplete: 'off', value: money.typed(available), oninput: show });
    const network = el('input', { type: 'text', autocomplete: 'off', maxlength: '100' });
    const address = el('input', { type: 'text', autocomplete: 'off', maxlength: '500', spellcheck: 'false' });
    const { send, problem } = formDialog({
        title: 'Request a payout',
        label: 'Request',
        content: [
            el('p', {}, `${money.text(available)} is available. What you request is set aside at once and sent by the operator of the program.`),
            field('Amount', amount, me.payout_min_micro > 0n ? `At least ${money.text(me.payout_min_micro)}.` : null),
            field('Bank, network or scheme', network, 'For example SEPA. Leave both empty if it was agreed elsewhere where your payouts go.'),
            field('Account or address', address),
        ],
        async action() {
            const micro = money.parse(amount.value);
            if (!micro) {
                throw new Failure(400, { message: 'amount is not positive' });
            }
            // The payout's own id. It stays until the server has said that it did what was
            // asked, so that sending again after no answer asks for the same payout.
            context.payoutId ??= crypto.randomUUID();
            try {
                await call('request_payout', {
                    payout_id: context.payoutId,
                    amount_micro: micro,
                    network: network.value.trim() || null,
                    address: address.value.trim() || null,
                });
            } catch (failure) {
                if (failure.tag === 'idempotency_conflict') {
                    context.payoutId = null;
                    changed();
                }
                throw failure;
            }
            context.payoutId = null;
            announce(`A payout of ${money.text(micro)} is requested.`);
            changed();
        },
    });
    function show() {
        const micro = money.parse(amount.value);
        problem.textContent = '';
        send.textContent = micro ? `Request ${money.text(micro)}` : 'Request';
    }
    show();
}
