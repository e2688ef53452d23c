// Approving or rejecting, with the facts in view.
import { call } from '../api.js';
import { announce, el, field } from '../dom.js';
import { formDialog } from '../dialog.js';
import { detail } from './detail.js';

export function decide(row, approve, context) {
    const reason = el('textarea', { rows: '2', maxlength: '1000' });
    const who = row.display_name ?? row.user_id;
    formDialog({
        title: approve ? 'Approve this referral?' : 'Reject this referral?',
        label: approve ? 'Approve' : 'Reject',
        danger: !approve,
        content: [
            el('p', {}, approve
                ? 'Payments that waited are taken in now, and reward whoever is above.'
                : 'It will never earn anybody anything. That cannot be taken back.'),
            detail(row.id, context),
            field('Reason', reason, 'Kept for ever with your name.'),
        ],
        async action() {
            await call(approve ? 'approve_attribution' : 'reject_attribution',
                { id: row.id, reason: reason.value.trim() || null });
            announce(`${approve ? 'Approved' : 'Rejected'}: ${who}`);
            context.changed();
        },
    });
}
