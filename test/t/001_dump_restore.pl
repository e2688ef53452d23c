# A dump restored into an empty database is the same database: tables,
# sequences, triggers, rights; and the next payment works.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# Everything of the two schemas that is data, order or behaviour, as text.
sub picture
{
	my ($db) = @_;
	my @tables = split /\n/, $node->safe_psql($db, q{
		SELECT c.oid::regclass::text AS name FROM pg_class c
		WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r' ORDER BY name});
	my $rows = join '', map {
		"$_:\n" . $node->safe_psql($db, "SELECT t::text FROM $_ t ORDER BY 1") . "\n"
	} @tables;
	return $rows . $node->safe_psql($db, q{
		CREATE TEMP VIEW relation AS
			SELECT c.*, c.oid::regclass::text AS name FROM pg_class c
			WHERE c.relnamespace = 'referral'::regnamespace;
		SELECT line FROM (
			SELECT format('sequence %s: %s', s.sequencename, s.last_value)
			FROM pg_sequences s WHERE s.schemaname = 'referral'
			UNION ALL
			SELECT format('sequence %s of %s.%s', c.name, d.refobjid::regclass, d.refobjsubid)
			FROM relation c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'a'
			WHERE c.relkind = 'S'
			UNION ALL
			SELECT format('trigger %s %s', t.tgenabled, pg_get_triggerdef(t.oid))
			FROM pg_trigger t JOIN relation c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
			UNION ALL
			SELECT format('index %s', pg_get_indexdef(i.indexrelid))
			FROM pg_index i JOIN relation c ON c.oid = i.indrelid
			UNION ALL
			SELECT format('column %s.%s %s %s', c.name, a.attname, a.attnum, pg_get_expr(d.adbin, c.oid))
			FROM pg_attribute a JOIN relation c ON c.oid = a.attrelid
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE a.attnum > 0
			UNION ALL
			SELECT format('constraint %s %s %s', c.name, n.conname, pg_get_constraintdef(n.oid))
			FROM pg_constraint n JOIN relation c ON c.oid = n.conrelid
			UNION ALL
			SELECT format('options %s %s', c.name, c.reloptions) FROM relation c
			UNION ALL
			SELECT format('comment %s %s', c.name, obj_description(c.oid, 'pg_class')) FROM relation c
			UNION ALL
			SELECT format('right %s %s %s', c.name, a.grantee::regrole, a.privilege_type)
			FROM relation c, aclexplode(c.relacl) a
			UNION ALL
			SELECT format('right %s %s', p.oid::regprocedure, a.grantee::regrole)
			FROM pg_proc p, aclexplode(p.proacl) a
			WHERE p.pronamespace::regnamespace::text IN ('referral', 'referral_api')
			  AND a.grantee <> p.proowner   -- functions belong to who creates the extension
			UNION ALL
			SELECT format('right %s %s %s', n.nspname, a.grantee::regrole, a.privilege_type)
			FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname ~ '^referral'
		) p(line) ORDER BY line COLLATE "C"});
}

sub same
{
	my ($got, $expected, $name) = @_;
	my %got = map { $_ => 1 } split /\n/, $got;
	my %expected = map { $_ => 1 } split /\n/, $expected;
	ok($got eq $expected, $name)
	  or diag join "\n", (map { "lost: $_" } grep { !$got{$_} } sort keys %expected),
	  map { "made: $_" } grep { !$expected{$_} } sort keys %got;
}

$node->safe_psql('postgres', q{
	CREATE DATABASE before;
	CREATE ROLE web_anon;
	CREATE ROLE web_member;
	CREATE ROLE "Web Operator";
	CREATE ROLE web_login LOGIN;
	CREATE ROLE app LOGIN});
$node->safe_psql('before', q{
	CREATE EXTENSION referral;
	CALL referral.install();
	SELECT referral.grant_api('web_anon', 'web_member', 'Web Operator', 'web_login');
	GRANT USAGE ON SCHEMA referral TO app;
	GRANT INSERT ON referral.payment, referral.refund TO app;
	INSERT INTO referral.program (name, max_level, hold_days) VALUES ('one', 3, 0), ('two', 1, 7);
	UPDATE referral.program SET uses_grants = true WHERE name = 'one';
	INSERT INTO referral.tier VALUES (1, 1, 'bronze', 0), (1, 2, 'silver', 2);
	INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, budget_micro)
	VALUES (1, 1, 'May', '2026-05-01', '2026-06-01', 1000000000);
	INSERT INTO referral.rate (program_id, campaign_id, tier, level, rate_bps)
	VALUES (1, 0, 0, 1, 1500), (1, 0, 0, 2, 400), (1, 0, 0, 3, 100), (1, 1, 2, 1, 2000);
	UPDATE referral.rate SET rate_bps = 1600 WHERE tier = 2;
	DELETE FROM referral.program WHERE name = 'two'});

# A tree four deep, so that every payment of u4 earns three members.
$node->safe_psql('before', q{
	SELECT referral.enroll('u' || n, program_id => 1) FROM generate_series(1, 4) n;
	SELECT referral.attribute('u' || n + 1,
	           (SELECT code FROM referral.code WHERE user_id = 'u' || n AND kind = 'uid'),
	           at => '2026-01-01', program_id => 1)
	FROM generate_series(1, 3) n;
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	SELECT 1, 'p' || n, 'u' || n % 6, 1000000 + n, '2026-01-02'
	FROM generate_series(1, 100) n});
cmp_ok($node->safe_psql('before', 'SELECT count(*) FROM referral.reward'), '>', 100,
	'there are rewards to lose or to double');

# From here on there are events, of which a worker reads a part.
$node->safe_psql('before', 'UPDATE referral.program SET event_days = 36500');

# Money given back, owed, spent, paid out, on its way, corrected, granted.
$node->safe_psql('before', q{
	INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
	SELECT 1, 'r' || n, 'p' || n, 400000 FROM generate_series(1, 101) n;
	SELECT referral.spend('u3', 1000000, 's1'), referral.spend('u3', 1000, 's2'), referral.unspend('s2');
	SELECT referral.set_payout_destination('u1', 'sepa', 'DE02');
	SELECT referral.payout_batch('first', 1000);
	SELECT referral.payout_sent(id, 'tx') FROM referral.list_payouts('u3');
	SELECT referral.payout_failed(id, 'why') FROM referral.list_payouts('u2');
	UPDATE referral.program SET debt_policy = 'only_pending';
	INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'x', 'p3', 100000);
	UPDATE referral.program SET debt_policy = 'unlimited';
	INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'y', 'p4', 500000);
	SELECT referral.adjust('u1', 'j1', 77, 'why', 'ops');
	SELECT referral.confirm_grant(grant_key) FROM referral.claim_grants(3)});
is($node->safe_psql('before', q{
	SELECT count(*) > 0 FROM referral.settlement WHERE reward_id = 0 UNION ALL
	SELECT count(*) = 1 FROM referral.refund_waiting UNION ALL
	SELECT count(*) > 0 FROM referral.write_off UNION ALL
	SELECT count(*) = 0 FROM referral.verify()}), "t\nt\nt\nt", 'there is debt, a refund that waits, a write-off');

my $position = $node->safe_psql('before', q{
	SELECT max(id) FROM referral.next_events(0, 100)});

my $key = $node->safe_psql('before', q{SELECT api_key FROM referral.create_api_key('operator')});

# Clicks under two salts; reviews: open, with payments and a refund that wait,
# approved and rejected. Nobody has read the events of this.
$node->safe_psql('before', q{
	INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at)
	VALUES (1, 2, 'held', '2026-01-01', '2026-02-01');
	INSERT INTO referral.review_rule (program_id, rule, campaign_id) VALUES (1, 'campaign', 2), (1, 'same_ip', 0);
	SELECT referral.capture_click(referral.enroll('u1'), 'k0', '/a?b=c', 'mail', 'link', 'news', '10.9.9.9', 'Agent 0');
	SELECT referral.rotate_salt();
	SELECT referral.capture_click(referral.enroll('u1'), 'k1', '/a?b=c', 'mail', 'link', 'news', '10.9.9.9', 'Agent 0');
	SELECT referral.attribute('v1', referral.enroll('u1'), 'k1');
	SELECT referral.attribute('w' || n, (SELECT code FROM referral.campaign_code('u4', 2)), at => '2026-01-05')
	FROM generate_series(1, 3) n;
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	VALUES (1, 'wp2', 'w1', 2000000, '2026-01-07'), (1, 'wp1', 'w1', 1000000, '2026-01-06'),
	       (1, 'wp3', 'w3', 1000000, '2026-01-06');
	INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro) VALUES (1, 'wr', 'wp1', 500000);
	SELECT referral.reject_attribution(attribution_id, 'ops', 'known') FROM referral.attribution WHERE user_id = 'w2';
	SELECT referral.approve_attribution(attribution_id, 'ops') FROM referral.attribution WHERE user_id = 'w3'});
is($node->safe_psql('before', q{
	SELECT count(*) = 2 FROM referral.payment_waiting UNION ALL
	SELECT count(*) = 2 FROM referral.refund_waiting UNION ALL
	SELECT count(*) = 3 FROM referral.attribution_review UNION ALL
	SELECT count(*) > 5 FROM referral.event_pending UNION ALL
	SELECT count(DISTINCT salt) = 2 FROM referral.click_salt UNION ALL
	SELECT count(DISTINCT ip_hash) = 2 FROM referral.click UNION ALL
	SELECT count(*) = 0 FROM referral.verify()}), "t\nt\nt\nt\nt\nt\nt", 'there are clicks, reviews, events not numbered');

my $before = picture('before');
for my $way (
	[ 'plain', sub { my $f = shift; $node->command_ok([ 'pg_dump', '-f', $f, 'before' ], 'pg_dump');
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $f, 'after_plain' ], 'psql') } ],
	[ 'custom', sub { my $f = shift; $node->command_ok([ 'pg_dump', '-Fc', '-f', $f, 'before' ], 'pg_dump -Fc');
		$node->command_ok([ 'pg_restore', '-e', '-j2', '-d', 'after_custom', $f ], 'pg_restore -j2') } ],
	[ 'parts', sub { my $f = shift; $node->command_ok([ 'pg_dump', '-Fc', '-f', $f, 'before' ], 'pg_dump -Fc');
		$node->command_ok([ 'pg_restore', '-e', "--section=$_", '-d', 'after_parts', $f ], "pg_restore $_")
		  for qw(pre-data data post-data) } ])
{
	my ($name, $restore) = @$way;
	my $db = "after_$name";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$restore->($node->basedir . "/$name.dump");
	same(picture($db), $before, "$name: everything is as it was");
	is($node->safe_psql($db, 'SELECT * FROM referral.verify()'), '', "$name: the books are sound");
	$node->safe_psql($db, 'CALL referral.install()');
	same(picture($db), $before, "$name: and stays so by install()");

	my $id = $node->safe_psql($db, q{SELECT max(payment_no) FROM referral.payment});
	my ($rc, $out, $err) = $node->psql($db, q{
		INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
		VALUES (1, 'next', 'u4', 1000000, '2026-01-03')}, extra_params => [ '-U', 'app' ]);
	is($err, '', "$name: the next payment goes in, by a role with INSERT only");
	is($node->safe_psql($db, q{
		SELECT payment_no > } . $id . q{, taken_in,
		       (SELECT string_agg(r.amount_micro::text, ' ' ORDER BY r.level) FROM referral.reward r
		        WHERE r.payment_id = p.payment_id)
		FROM referral.payment p WHERE payment_id = 'next'}),
		't|t|150000 40000 10000', "$name: with a number of its own, and earns");
	($rc, $out, $err) = $node->psql($db, q{
		INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
		VALUES (1, 'next', 'next', 500000)}, extra_params => [ '-U', 'app' ]);
	is($err, '', "$name: so does the next refund");
	is($node->safe_psql($db, q{
		SELECT r.reversed_micro, (referral.spend('u2', 1000, 'next')).amount_micro
		FROM referral.list_rewards('u1', max_rows => 1) r}), '5000|1000',
		"$name: it takes half, and of the rest something is spent");

	is($node->safe_psql($db, q{
		SELECT (referral.approve_attribution(attribution_id, 'ops')).status, referral.attribution_status(1, 'w2')
		FROM referral.attribution WHERE user_id = 'w1'}), 'qualified|rejected',
		"$name: the open review can be decided, the others are");
	is($node->safe_psql($db, q{
		SELECT r.payment_id, r.level, r.amount_micro, r.reversed_micro
		FROM referral.payment p JOIN referral.reward_state r USING (payment_id)
		WHERE p.user_id = 'w1' ORDER BY p.occurred_at, r.level}),
		"wp1|1|150000|75000\nwp1|2|40000|20000\nwp1|3|10000|5000\n" .
		"wp2|1|300000|0\nwp2|2|80000|0\nwp2|3|20000|0",
		"$name: the payments that waited earn, and half of one is given back");
	is($node->safe_psql($db, q{
		SELECT referral.capture_click(referral.enroll('v1'), 'k2', ip => '10.9.9.9');
		SELECT (referral.attribute('v2', referral.enroll('v1'), 'k2')).status;
		SELECT rules FROM referral.attribution_review JOIN referral.attribution USING (attribution_id) WHERE user_id = 'v2';
		SELECT salt_id FROM referral.click_salt s WHERE salt_id = referral.rotate_salt()
	}), "k2\nreview_required\n{same_ip}", "$name: an address is recognised under the old salt");

	is($node->safe_psql($db, qq{
		CREATE TEMP TABLE told AS SELECT * FROM referral.next_events($position, 1000);
		SELECT min(id) = $position + 1 AND max(id) = $position + count(*) AND count(*) = 36 FROM told;
		SELECT string_agg(concat_ws(' ', user_id, data ->> 'decision', data ->> 'tier_label'), ', ' ORDER BY id)
		FROM told WHERE kind IN ('attribution_decided', 'tier_changed');
		SELECT string_agg(format('%s for %s', data ->> 'payment_id', user_id), ', ' ORDER BY id)
		FROM told WHERE kind = 'reward_created'}), "t\n" .
		'w1 review_required, w2 review_required, w3 review_required, w2 rejected, w3 approved, ' .
		"w1 approved, u4 silver, v2 review_required\n" .
		'wp3 for u4, wp3 for u3, wp3 for u2, next for u3, next for u2, next for u1, ' .
		'wp1 for u4, wp1 for u3, wp1 for u2, wp2 for u4, wp2 for u3, wp2 for u2',
		"$name: the worker reads on where it was: no event is lost and none comes twice");
	is($node->safe_psql($db, q{
		SELECT sum(clicks), sum(attributed), sum(review_required), sum(rejected), sum(qualified),
		       sum(rewarded), sum(granted), sum(capped) FROM referral.funnel}),
		'3|8|1|1|5|5|2|0', "$name: the funnel counts on");
	is($node->safe_psql($db, qq{SELECT referral.api_key_program('$key', 'operator')}), '1',
		"$name: a key that was shown once opens still");
	is($node->safe_psql($db, 'SELECT * FROM referral.verify()'), '', "$name: the books are still sound");
	is($node->safe_psql($db, q{
		INSERT INTO referral.program (name) VALUES ('three') RETURNING program_id}), '2',
		"$name: so does a new program");
}

# By another superuser than the one that made it.
$node->safe_psql('postgres', 'CREATE ROLE dba SUPERUSER LOGIN; CREATE DATABASE of_dba');
$node->safe_psql('of_dba', 'CREATE EXTENSION referral; CALL referral.install()',
	extra_params => [ '-U', 'dba' ]);
$node->safe_psql('postgres', 'CREATE DATABASE of_dba_restored');
my $file = $node->basedir . '/dba.dump';
$node->command_ok([ 'pg_dump', '-f', $file, 'of_dba' ], 'pg_dump of what another superuser made');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, 'of_dba_restored' ],
	'restored');
same(picture('of_dba_restored'), picture('of_dba'), 'everything is as it was');

$node->stop;
done_testing();
