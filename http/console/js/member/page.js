// The sections about one member. call() asks the server about him; own: he looks at
// it himself, and may change things.
import { el } from '../dom.js';
import { loader } from '../load.js';
import { earnings } from './earnings.js';
import { payouts } from './payouts.js';
import { people } from './people.js';
import { rewards } from './rewards.js';
import { share } from './share.js';
import { tiles } from './tiles.js';

export function memberPage({ ...context }) {
    // What is done in one part shows in the others.
    context.changed = () => parts.forEach(({ reload }) => reload());
    const parts = [overview, earnings, rewards, people, payouts].map((part) => part(context));
    context.changed();
    return parts.map(({ node }) => node);
}

function overview(context) {
    const node = el('section', { id: 'overview', class: 'section', 'aria-label': 'Overview' });
    const reload = loader(node, () => context.call('referral_overview'),
        (state) => [share(context, state), tiles(context, state)]);
    return { node, reload };
}
