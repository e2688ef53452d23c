# After erase() a plain dump of the whole database has nothing of the person but
# her opaque user_id, and everything of the others; restored, the books are sound.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub dump_of
{
	my ($db, $name) = @_;
	my $file = $node->basedir . "/$name.sql";
	$node->command_ok([ 'pg_dump', '-f', $file, $db ], "pg_dump, $name");
	return slurp_file($file);
}

sub lines
{
	my ($dump, $pattern) = @_;
	return scalar grep { /$pattern/i } split /\n/, $dump;
}

# The tree, and what everybody has.
sub balances
{
	return $node->safe_psql($_[0], q{
		SELECT m.program_id, m.user_id, m.referrer_id,
		       to_jsonb(o) - '{custom_slug,inviter_display}'::text[]
		FROM referral.member m, referral.referral_overview(m.user_id, m.program_id) o
		ORDER BY 1, 2});
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION referral;
	SET client_min_messages = warning;
	CALL referral.install()});
$node->safe_psql('shop', slurp_file("$FindBin::RealBin/erase.sql") . q{
	CALL pg_temp.program(1);
	CALL pg_temp.program(2);
	CALL pg_temp.live(1, 'ada', 'zapada');
	CALL pg_temp.live(1, 'bob', 'keepbob');
	CALL pg_temp.live(2, 'ada', 'keepada')});
my @hashes = split /\n/, $node->safe_psql('shop', q{
	SELECT substr(h::text, 3) FROM referral.click k, unnest(ARRAY[k.ip_hash, k.agent_hash]) h
	WHERE k.click_id = 'zapada-click'});
is(@hashes, 2, 'there are hashes of where she came from');

my $balances = balances('shop');
my $before = dump_of('shop', 'before');
cmp_ok(lines($before, 'zapada'), '>=', 25, 'her mark is all over the dump');
is(lines($before, $_), 1, 'and the hash') for @hashes;

$node->safe_psql('shop', q{SELECT referral.erase('ada', 1)});
my $after = dump_of('shop', 'after');
is(lines($after, $_), 0, "nothing is left of $_") for 'zapada', @hashes;
is(lines($after, $_), lines($before, $_), "all is left of $_") for qw(keepbob keepada their);
is(balances('shop'), $balances, 'balances and the tree are as before');
is($node->safe_psql('shop', 'SELECT * FROM referral.verify()'), '', 'the books are sound');

# A restored database erases, too.
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $node->basedir . '/after.sql',
	'restored' ], 'restored');
is(balances('restored'), $balances, 'balances and the tree are still as before');
$node->safe_psql('restored', q{SELECT referral.erase('bob', 1)});
my $restored = dump_of('restored', 'restored');
is(lines($restored, 'keepbob'), 0, 'nothing is left of the next one');
is(lines($restored, 'keepada'), lines($before, 'keepada'), 'all is left of the last');
is($node->safe_psql('restored', 'SELECT * FROM referral.verify()'), '', 'the books are sound');

$node->stop;
done_testing();
