# Sessions that install, or make programs, at the same moment.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION referral');

# An open transaction makes them all wait at one place, then lets them go.
sub together
{
	my ($lock, $clients, $each, $sql) = @_;
	my $file = $node->basedir . '/together.sql';
	unlink $file;
	append_to_file($file, $sql);
	my $gate = $node->background_psql('postgres');
	$gate->query_safe("BEGIN; $lock");
	my $log = '';
	my $run = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $each, '-f', $file,
		  '-h', $node->host, '-p', $node->port, 'postgres' ], '>&', \$log);
	$node->poll_query_until('postgres', qq{
		SELECT count(*) = $clients FROM pg_stat_activity
		WHERE wait_event_type = 'Lock'})
	  or die "the clients do not wait: $log";
	$gate->query_safe('COMMIT');
	$gate->quit;
	ok($run->finish, "$clients at once: $sql") or diag $log;
}

together(q{SELECT pg_advisory_xact_lock('referral'::regnamespace::integer, 0)},
	4, 1, "CALL referral.install();");
is($node->safe_psql('postgres', q{
	SELECT count(*) = count(DISTINCT step) AND (SELECT missing FROM referral.version()) = '{}'
	FROM referral.model_step}), 't', 'each step ran once');

together(q{INSERT INTO referral.program (name) VALUES ('first')},
	8, 20, "INSERT INTO referral.program (name) VALUES (gen_random_uuid());");
is($node->safe_psql('postgres', 'SELECT count(*), min(program_id), max(program_id) FROM referral.program'),
	'161|1|161', 'programs are numbered without a gap and nobody failed');

# Two sessions that each keep the thresholds rising, but not together.
$node->safe_psql('postgres', q{
	INSERT INTO referral.tier VALUES (1, 1, 'one', 0), (1, 3, 'three', 10)});
my $one = $node->background_psql('postgres');
my $two = $node->background_psql('postgres', on_error_stop => 0);
$one->query_safe(q{BEGIN; UPDATE referral.tier SET min_paid_invitees = 5 WHERE tier = 3});
$two->query_until(qr/started/, qq{\\echo started\nINSERT INTO referral.tier VALUES (1, 2, 'two', 7);\n});
$node->poll_query_until('postgres', q{
	SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'two'})
  or die 'the second does not wait';
$one->query_safe('COMMIT');
$one->quit;
$two->quit;
is($node->safe_psql('postgres', 'SELECT tier, min_paid_invitees FROM referral.tier ORDER BY 1'),
	"1|0\n3|5", 'the second is refused');

$node->stop;
done_testing();
