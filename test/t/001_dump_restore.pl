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
		SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r' ORDER BY 1::text});
	my $all = join '', map {
		"$_:\n" . $node->safe_psql($db, "SELECT t::text FROM $_ t ORDER BY 1") . "\n"
	} @tables;
	return $all . $node->safe_psql($db, q{
		SELECT 'sequence', s.sequencename, s.last_value, s.increment_by, s.cycle
		FROM pg_sequences s WHERE s.schemaname = 'referral' ORDER BY 2;
		SELECT 'owned', d.objid::regclass, d.refobjid::regclass, d.refobjsubid FROM pg_depend d
		JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' AND d.deptype = 'a' ORDER BY 2::text;
		SELECT 'trigger', t.tgrelid::regclass, pg_get_triggerdef(t.oid), t.tgenabled
		FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = 'referral'::regnamespace AND NOT t.tgisinternal ORDER BY 2::text, 3;
		SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'referral' ORDER BY 2;
		SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)
		FROM pg_constraint WHERE connamespace = 'referral'::regnamespace ORDER BY 2::text, 3;
		SELECT 'right', c.oid::regclass, a.grantee::regrole, a.privilege_type
		FROM pg_class c, aclexplode(c.relacl) a
		WHERE c.relnamespace = 'referral'::regnamespace ORDER BY 2::text, 3::text, 4;
		SELECT 'call', p.oid::regprocedure, a.grantee::regrole
		FROM pg_proc p, aclexplode(p.proacl) a
		WHERE p.pronamespace::regnamespace::text IN ('referral', 'referral_api')
		ORDER BY 2::text, 3::text;
		SELECT 'schema', n.nspname, a.grantee::regrole, a.privilege_type
		FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname ~ '^referral' ORDER BY 2, 3::text;
		SELECT 'comment', c.oid::regclass, obj_description(c.oid, 'pg_class') FROM pg_class c
		WHERE c.relnamespace = 'referral'::regnamespace ORDER BY 2::text});
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
	GRANT INSERT ON referral.payment TO app;
	INSERT INTO referral.program (name, max_level, hold_days) VALUES ('one', 3, 0), ('two', 1, 7);
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
	is(picture($db), $before, "$name: everything is as it was");
	is($node->safe_psql($db, 'SELECT * FROM referral.verify()'), '', "$name: the books are sound");
	$node->safe_psql($db, 'CALL referral.install()');
	is(picture($db), $before, "$name: and stays so by install()");

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
is(picture('of_dba_restored'), picture('of_dba'), 'everything is as it was');

$node->stop;
done_testing();
