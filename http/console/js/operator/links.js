// From wherever somebody is named to the view about him.
import { el, person } from '../dom.js';

export const memberAddress = (userId) => `#members/${encodeURIComponent(userId)}`;

export const memberLink = (userId, displayName) => el('a', { href: memberAddress(userId) }, person(userId, displayName));
