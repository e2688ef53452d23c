# Bulk statements fill the indexes of rewards by changes of whole leaves, which
# the engine writes to the log by itself. So these stay sound, on the server and
# on a standby, whatever happens meanwhile: other bulk statements, single
# payments, statements undone, VACUUM, checkpoints, a server killed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $crashes = $ENV{REFERRAL_CRASHES} || 2;
my $seed = srand($ENV{REFERRAL_SEED} || time ^ $$);
note "REFERRAL_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
# So small that pages come and go, and that many are logged whole.
$node->append_conf('postgresql.conf', q{
	shared_buffers = 2MB
	max_wal_size = 32MB
	checkpoint_timeout = 30s
	checkpoint_completion_target = 0.1
	max_connections = 30
	wal_keep_size = 1GB
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	CREATE EXTENSION referral;
	SET client_min_messages = warning;
	CALL referral.install();
	INSERT INTO referral.program (program_id, name, max_level, hold_days) SELECT p, 'bulk ' || p, 3, 0 FROM generate_series(1, 2) p;
	INSERT INTO referral.rate (program_id, level, rate_bps) SELECT p, l, 500 FROM generate_series(1, 2) p, generate_series(1, 3) l;
	-- A tree of 1,000 in each, four below each.
	DO $$
	DECLARE
		code text;
	BEGIN
		FOR p IN 1..2 LOOP
			PERFORM referral.enroll('u0', program_id => p);
			FOR i IN 1..1000 LOOP
				code := referral.enroll('u' || (i - 1) / 4, program_id => p);
				PERFORM referral.attribute('u' || i, code, at => '2025-01-01', program_id => p);
			END LOOP;
		END LOOP;
	END $$;
});
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

my $indexes = q{
	SELECT %s FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
	WHERE c.relkind = 'i' AND c.relnamespace = 'referral'::regnamespace};
my $by_index = q{
	SET enable_seqscan = off; SET enable_bitmapscan = off;
	SELECT count(*), sum(reward_id) FROM (SELECT reward_id FROM referral.reward ORDER BY program_id, %s) r};

# Each entry that should be there is, once, and where a search looks for it.
sub indexes_are_sound
{
	my ($when) = @_;
	my $rewards = $node->safe_psql('postgres',
		'SET enable_indexscan = off; SET enable_indexonlyscan = off; SELECT count(*), sum(reward_id) FROM referral.reward');

	is($node->psql('postgres', sprintf($indexes, 'bt_index_parent_check(c.oid, true, true)')), 0, "indexes are sound $when");
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is($standby->psql('postgres', sprintf($indexes, 'bt_index_check(c.oid, true)')), 0, "those of the standby, too, $when");
	foreach my $server ($node, $standby)
	{
		foreach my $order ('reward_id', 'member_id, reward_id')
		{
			is($server->safe_psql('postgres', sprintf($by_index, $order)), $rewards,
				$server->name . ": rewards by $order $when");
		}
	}
	is($node->safe_psql('postgres', 'SELECT * FROM referral.verify(NULL)'), '', "verify() names nothing $when");
}

my %script = (
	bulk => q{
\set n random(1, 4000)
\set step random(1, 1000)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1 + (i / 7) % 2, 'b' || nextval('referral.part_seq'), 'u' || 1 + i * :step % 1000, 1000 FROM generate_series(1, :n) i;
},
	undone => q{
\set n random(1, 2000)
BEGIN;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'r' || nextval('referral.part_seq'), 'u' || 1 + i % 1000, 1000 FROM generate_series(1, :n) i;
ROLLBACK;
},
	one => q{
\set u random(1, 1000)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
VALUES (1 + :u % 2, 'o' || nextval('referral.part_seq'), 'u' || :u, 1000);
},
	vacuum => q{
VACUUM (TRUNCATE off) referral.reward;
\sleep 300 ms
});
my @files;
foreach my $name (sort keys %script)
{
	append_to_file($node->basedir . "/$name.sql", $script{$name});
	my $weight = { bulk => 6, undone => 2, one => 30, vacuum => 1 }->{$name};
	push @files, '-f', $node->basedir . "/$name.sql\@$weight";
}

foreach my $nth (1 .. $crashes)
{
	my ($out, $err) = ('', '');
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM referral.payment');
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '6', '-j', '2', '-T', '120', @files, '--random-seed', $seed + $nth, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT count(*) > $before + 30000 FROM referral.payment") or die "no load: $err";
	my @pids = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
	usleep(int rand 500_000);
	$node->kill9;
	eval { $load->finish };
	# A server does not start while processes of the killed one are about.
	for (1 .. 600)
	{
		last unless kill 0, @pids;
		usleep(100_000);
	}
	$node->start;
	indexes_are_sound("after kill $nth");
}

$standby->stop;
$node->stop;
done_testing();
