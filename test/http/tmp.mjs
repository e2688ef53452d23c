import { PostgrestClient } from '@supabase/postgrest-js';
import { bearer, member, site } from './contract.mjs';
const ada = new PostgrestClient(site, { headers: bearer(member('ada')), fetch });
for (let i = 0; i < 200; i++) {
  const h = await ada.rpc('level_stats', {}, { head: true, get: true, count: 'exact' });
  if (h.count !== 2) console.log(i, 'head', JSON.stringify(h));
  const r = await ada.rpc('list_rewards', { max_rows: 1 }).csv();
  if (!r.data) console.log(i, JSON.stringify(r));
}
