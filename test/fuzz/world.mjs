// What the fuzz plays in: three programs with the same people in each. Who asks
// belongs to 91 or 92; nobody belongs to 93. What is not for everybody's eyes has
// "SECRET_<program>_<user>_" in it, which no request has.
import { member, operator, sql } from '../http/client.mjs';

export const PROGRAMS = [91, 92];
const UNTOUCHED = 93;

const people = (p) => `
    INSERT INTO referral.program (program_id, name, max_level, hold_days, event_days, uses_grants, payout_min_micro)
    VALUES (${p}, 'Fuzz ${p}', 3, 0, 30, true, 1000);
    INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (${p}, 1, 'Start', 0), (${p}, 2, 'Top', 50);
    INSERT INTO referral.rate (program_id, level, rate_bps, flat_micro)
    VALUES (${p}, 0, 0, 5000000), (${p}, 1, 1500, 5000000), (${p}, 2, 400, 0);
    INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
    VALUES (${p}, 1, 'Letter', now() - '1 day'::interval, now() + '9 days'::interval);
    INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (${p}, 'campaign', 1);
    SET referral.program_id = ${p};
    SELECT FROM referral.attribute('bob', referral.enroll('ann', 'Ann'));
    SELECT FROM referral.attribute('cyd', referral.enroll('bob', 'Bob'));
    SELECT FROM referral.attribute('kid', referral.enroll('hermit', 'SECRET_${p}_hermit_name',
                                                          'https://example.com/SECRET_${p}_hermit_image'));
    SELECT FROM referral.enroll('kid', 'SECRET_${p}_kid_name');
    SELECT FROM referral.set_custom_slug('ann', 'ann-${p}');
    SELECT referral.capture_click('ann-${p}', 'click-${p}', '/SECRET_${p}_nobody_path', 'mail', 'x',
                                  'letter', '192.0.2.1', 'agent');
    SELECT FROM referral.attribute('clicked', 'ann-${p}', 'click-${p}');
    SELECT FROM referral.campaign_code('ann', 1) c, generate_series(1, 40) n,
                referral.attribute('held' || n, c.code);
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
    SELECT ${p}, 'pay-${p}-' || n, CASE WHEN n % 3 = 0 THEN 'cyd' ELSE 'bob' END, 50000000::bigint * n FROM generate_series(1, 60) n;
    INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
    SELECT ${p}, 'SECRET_${p}_kid_payment' || n, 'kid', 1000000 * n FROM generate_series(1, 5) n;
    SELECT FROM (VALUES ('ann'), ('bob'), ('hermit')) u(user_id), generate_series(1, 9) n,
                referral.request_payout(user_id, user_id || '-po-${p}-' || n, 2000, 'net',
                                        'SECRET_${p}_' || user_id || '_address');
    SELECT FROM referral.payout_failed('hermit-po-${p}-1', 'SECRET_${p}_hermit_reason');
    SELECT FROM referral.payout_sent('hermit-po-${p}-2', 'SECRET_${p}_hermit_reference');
    SELECT FROM referral.set_payout_destination('hermit', 'net', 'SECRET_${p}_hermit_destination');
    SELECT FROM generate_series(1, 20) n, referral.spend('ann', 10, 'spend-' || n);
    SELECT FROM referral.spend('hermit', 100, 'hermit-spend-${p}', 'SECRET_${p}_hermit_note');
    SELECT FROM referral.adjust('hermit', 'hermit-adjust-${p}', 100, 'SECRET_${p}_hermit_note', 'boss');
    SELECT FROM referral.set_tier('hermit', 2, 'SECRET_${p}_hermit_note', 'boss');`;

const lines = (statement) => sql(statement).filter((line) => line !== '');

export function build() {
    for (const program of [...PROGRAMS, UNTOUCHED]) {
        sql(people(program));
    }
    const key = (right, program) => sql(`SELECT api_key FROM referral.create_api_key('${right}', ${program})`)[0];
    const credentials = PROGRAMS.flatMap((program) => [
        ...['ann', 'bob', 'cyd', 'newcomer'].map((user) => ({ program, user, right: 'member', token: member(user, { program_id: program }) })),
        { program, user: 'ops', right: 'operator', token: operator({ program_id: program }) },
        { program, user: 'key', right: 'operator', key: key('operator', program) },
        { program, user: 'key', right: 'client', key: key('client', program) },
    ]);
    const revoked = key('operator', 91);
    sql(`SELECT FROM referral.revoke_api_key(${revoked.split('_')[2]}, 91)`);
    credentials.push({ program: undefined, user: 'key', right: 'client', key: revoked });
    const of = (statement) => lines(statement.replace('?', [...PROGRAMS, UNTOUCHED].join()));
    const pools = {
        user_id: ['ann', 'bob', 'cyd', 'newcomer', 'held1', 'held2', 'nobody'],
        code: of(`SELECT code FROM referral.code WHERE program_id IN (?) AND user_id IN ('ann', 'bob')`),
        attribution: of(`SELECT attribution_id FROM referral.attribution WHERE program_id IN (?) ORDER BY 1`),
        reward: of(`SELECT reward_id FROM referral.reward WHERE program_id IN (?) ORDER BY 1 LIMIT 50`),
        payout: of(`SELECT payout_id FROM referral.payout WHERE program_id IN (?) ORDER BY 1`),
        payment: of(`SELECT payment_id FROM referral.payment WHERE program_id IN (?) AND user_id <> 'kid' ORDER BY 1`),
        grant: of(`SELECT (referral.claim_grants(20, p)).grant_key FROM unnest(ARRAY[91, 92]::bigint[]) p`),
    };
    return { credentials, pools };
}

// What nobody had any right to change: all of program 93, what operators set by
// SQL alone, and who may do what.
export function untouched() {
    const everywhere = ['program', 'tier', 'rate', 'campaign', 'review_rule', 'api_key', 'api_grant', 'source', 'model_step'];
    const statements = lines(`
        SELECT format('SELECT %L, md5(coalesce(string_agg(t::text, E''\\n'' ORDER BY t::text), '''')) FROM referral.%I t%s;',
                      c.relname, c.relname,
                      CASE WHEN c.relname = ANY ('{${everywhere}}') THEN '' ELSE ' WHERE t.program_id = ${UNTOUCHED}' END)
          FROM pg_class c
         WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r'
           AND (c.relname = ANY ('{${everywhere}}')
                OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'program_id'))
         ORDER BY c.relname`);
    return [...sql(statements.join('\n')),
            ...sql(`SELECT md5(string_agg(format('%s %s %s', rolname, rolsuper, rolcanlogin), ',' ORDER BY rolname)) FROM pg_roles`),
            ...sql(`SELECT md5(string_agg(format('%s %s %s', oid::regprocedure, prosrc, proacl), ',' ORDER BY oid))
                      FROM pg_proc WHERE pronamespace IN ('referral'::regnamespace, 'referral_api'::regnamespace)`),
            ...sql(`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`)];
}

export const broken = () => lines(`SELECT p.program_id, v FROM referral.program p, referral.verify(p.program_id) v`);

// The secrets in a text that none of these credentials may read.
export function leaked(text, credentials) {
    const found = new Set(text.match(/SECRET_\d+_[a-z]+_[a-z]+/g));
    return [...found].filter((secret) => {
        const [, program, user] = secret.split('_');
        return !credentials.some((each) => String(each.program) === program
            && (each.right === 'operator' || (each.right === 'member' && each.user === user)));
    });
}
