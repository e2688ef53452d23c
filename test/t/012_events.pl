# Whatever stops a worker or the server, next_events() passes no event over: two
# workers with positions of their own, which they keep outside of the database
# as soon as they have read, are killed, or their sessions, or the server, or
# roll back what they read, while payments go on and commit late. In the end
# each of them has seen all that happened, and ids never went back.
# REFERRAL_ROUNDS and REFERRAL_CRASHES make it longer; the seed is printed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{REFERRAL_ROUNDS} || 60;
my $crashes = $ENV{REFERRAL_CRASHES} || 2;
my $seed = srand($ENV{REFERRAL_SEED} || time ^ $$);
note "REFERRAL_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# Nobody flushes the log but who must; a killed backend restarts the server.
$node->append_conf('postgresql.conf', q{
max_connections = 50
max_prepared_transactions = 5
restart_after_crash = on
wal_writer_delay = 10s
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION referral;
	SET client_min_messages = warning;
	CALL referral.install();
	INSERT INTO referral.program (program_id, name, max_level, hold_days, event_days) VALUES (1, 'events', 2, 0, 30);
	INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 1, 'a', 0), (1, 2, 'b', 3), (1, 3, 'c', 10);
	INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000), (1, 2, 500);
	CREATE FUNCTION give_back(r integer) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
		SELECT 1, 'r' || nextval('referral.refund_no_seq'), p.payment_id, 1 + p.amount_micro / 3
		FROM (SELECT * FROM referral.payment
		      WHERE program_id = 1 AND payment_id > 'o' || r ORDER BY payment_id LIMIT 1) p;
	EXCEPTION WHEN numeric_value_out_of_range THEN NULL;
	END $$;
	SELECT count(referral.attribute('u' || n, referral.enroll('u' || n / 20), at => '2025-01-01')) FROM generate_series(1, 400) n;
});

# The sequence does not go back in a crash, even if nothing else was logged that
# somebody waited for.
$node->safe_psql('postgres', q{INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'o1', 'u1', 1000)});
{
	my ($in, $out, $err) = ("BEGIN;\nSELECT max(id) FROM referral.next_events();\n", '', '');
	my $worker = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
	$worker->pump until $out =~ /^(\d+)\n/ || $err;
	my $read = $1;
	cmp_ok($read, '>', 0, 'a worker reads and does not commit');
	$node->stop('immediate');
	eval { $worker->kill_kill };
	$node->start;
	cmp_ok($node->safe_psql('postgres', "SELECT min(id) FROM referral.next_events($read)"), '>', $read, 'after a crash ids are higher');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM referral.event_pending'), 0, 'and nothing is left');
}

# The load: payments one by one, in batches, such as commit late or not at all;
# refunds.
sub script
{
	my ($name, $text) = @_;
	append_to_file($node->basedir . "/$name.sql", $text);
	return $node->basedir . "/$name.sql";
}
my $one = script('one', q{
\set u random(1, 400)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'o' || nextval('referral.payment_no_seq'), 'u' || :u, :u * 10);
});
my $many = script('many', q{
\set n random(1, 1000000000)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
SELECT 1, 'm' || :n || '-' || i, 'u' || (:n + i * 7) % 400, 1000 FROM generate_series(1, 20) i;
});
my $late = script('late', q{
\set u random(1, 400)
\set t random(1, 50)
\set commits random(0, 3)
BEGIN;
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'l' || nextval('referral.payment_no_seq'), 'u' || :u, :u * 10);
\sleep :t ms
\if :commits
COMMIT;
\else
ROLLBACK;
\endif
});
my $back = script('back', q{
\set r random(1, 100000)
SELECT give_back(:r);
});
my ($load_out, $load_err) = ('', '');
sub load
{
	my ($nth) = @_;
	return IPC::Run::start(
		[ 'pgbench', '-n', '-R', '60', '-c', '8', '-j', '2', '-T', '600', '-f', "$one\@3", '-f', "$many\@1", '-f', "$late\@4", '-f', "$back\@2", '--random-seed', $seed + $nth,
		  $node->connstr('postgres') ],
		'>', \$load_out, '2>', \$load_err);
}

# One call of a worker: the commands that it sends, and what comes of it.
my @workers = map { { name => $_, position => 0, seen => {}, rewards => {}, kinds => {} } } ('first', 'second');
my ($went_back, %fates) = (0);
sub begin_reading
{
	my ($worker) = @_;
	my $most = 1 + int rand 300;
	my @commands = ("SELECT 'pid|' || pg_backend_pid()",
		"SELECT id, kind, data -> 'reward_id' FROM referral.next_events($worker->{position}, $most)");
	# As one should, or with the transaction kept open, or given up.
	my $way = rand;
	@commands = ('BEGIN', @commands, 'SELECT pg_sleep(random() / 10)', $way < 0.7 ? 'COMMIT' : 'ROLLBACK') if $way > 0.4;
	$worker->{$_} = '' for qw(out err);
	$worker->{way} = $way <= 0.4 ? 'alone' : lc $commands[-1];
	$worker->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), map { ('-c', $_) } @commands ],
		'>', \$worker->{out}, '2>', \$worker->{err});
}
# It keeps its position as soon as it has read, whatever becomes of the call.
sub end_reading
{
	my ($worker) = @_;
	eval { $worker->{run}->finish };
	while ($worker->{out} =~ /^(\d+)\|(\w+)\|(\d*)\n/mg)
	{
		$went_back++ if $1 <= $worker->{position};
		$worker->{position} = $1;
		$worker->{seen}{$1} = 1;
		$worker->{rewards}{$3} = 1 if $2 eq 'reward_created';
		$worker->{kinds}{$2}++;
	}
}

my $others = "backend_type = 'client backend' AND pid <> pg_backend_pid()";
my $load = load(0);
foreach my $nth (1 .. $rounds)
{
	begin_reading($_) foreach @workers;
	usleep(int rand 150_000);
	my $crash = $nth % int($rounds / $crashes) == 0;
	foreach my $worker (@workers)
	{
		my $fate = $crash ? 'crash' : (qw(none none none client session))[ rand 5 ];
		$fates{"$worker->{way}, $fate"}++;
		$worker->{run}->signal('KILL') if $fate eq 'client';
		eval { $worker->{run}->pump_nb } if $fate eq 'session';
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($1)") if $fate eq 'session' && $worker->{out} =~ /^pid\|(\d+)/m;
	}
	if ($crash)
	{
		# Of a session in the middle of it, or of any.
		foreach my $worker (@workers) { eval { $worker->{run}->pump_nb } }
		my ($pid) = (join('', map { $_->{out} } @workers) =~ /^pid\|(\d+)/m, 0);
		my $checkpointer = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
		my $killed = 0;
		for (1 .. 100)
		{
			$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $others ORDER BY pid = $pid DESC LIMIT 1") || next;
			last if $killed = kill 'KILL', $pid;
		}
		ok($killed, "a session is killed in round $nth");
		end_reading($_) foreach @workers;
		eval { $load->finish };
		$node->poll_query_until('postgres', "SELECT pid <> $checkpointer FROM pg_stat_activity WHERE backend_type = 'checkpointer'") or die 'the server does not recover';
		$load = load($nth);
	}
	else
	{
		end_reading($_) foreach @workers;
	}
}
note join '; ', map { "$_: $fates{$_}" } sort keys %fates;
$load->signal('TERM');  # INT may be ignored, as by the jobs of a shell
eval { $load->finish };
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $others");

# One that was prepared, and waits for its second phase longer than all others.
$node->safe_psql('postgres', q{BEGIN; INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'prepared', 'u7', 1000); PREPARE TRANSACTION 'late'});
sub drain
{
	my ($worker) = @_;
	for (;;)
	{
		my $before = $worker->{position};
		$worker->{out} = $node->safe_psql('postgres', "SELECT id, kind, data -> 'reward_id' FROM referral.next_events($before, 500)") . "\n";
		$worker->{run} = undef;
		end_reading($worker);
		last if $worker->{position} == $before;
	}
}
drain($_) foreach @workers;
$node->safe_psql('postgres', q{COMMIT PREPARED 'late'});
drain($_) foreach @workers;

is($went_back, 0, 'ids rise strictly');
is($node->safe_psql('postgres', 'SELECT count(*) FROM referral.event_pending'), 0, 'nothing is left to be numbered');
my @rewards = split /\n/, $node->safe_psql('postgres', 'SELECT reward_id FROM referral.reward');
my %rewards = map { ($_ => 1) } @rewards;
my @events = split /\n/, $node->safe_psql('postgres', 'SELECT event_id FROM referral.event');
cmp_ok(scalar @rewards, '>', 1000, 'there was something to read');
foreach my $worker (@workers)
{
	is(scalar(grep { !$worker->{rewards}{$_} } @rewards), 0, "the $worker->{name} worker has seen every reward");
	is(scalar(grep { !$worker->{seen}{$_} } @events), 0, 'and every event');
	is(scalar(grep { !$rewards{$_} } keys %{ $worker->{rewards} }), 0, 'and none of what was rolled back');
	note join ', ', map { "$_ $worker->{kinds}{$_}" } sort keys %{ $worker->{kinds} };
}
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT data -> 'reward_id' FROM referral.event WHERE kind = 'reward_created' GROUP BY 1 HAVING count(*) > 1) twice}),
	0, 'no reward was numbered twice');
is($node->safe_psql('postgres', q{
	SELECT sum((data ->> 'amount_micro')::bigint) - (SELECT sum(reversed_micro) FROM referral.reward_state) FROM referral.event WHERE kind = 'reward_reversed'}),
	0, 'reversals add up');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM referral.member m LEFT JOIN referral.event_tier t USING (program_id, member_id)
	WHERE referral.effective_tier(1, m.member_id) <> coalesce(t.tier, 1)}),
	0, 'everybody was told to stand where he stands');
is($node->safe_psql('postgres', 'SELECT * FROM referral.verify(NULL)'), '', 'verify() names nothing');

# A dump: positions stay good; one that is ahead of a restored history is refused.
my $position = $workers[0]{position};
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'is restored');
my $pay = q{INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'since', 'u1', 1000)};
$node->safe_psql($_, $pay) foreach 'postgres', 'restored';
is($node->safe_psql('restored', "SELECT count(*), min(id) > $position FROM referral.next_events($position)"),
	$node->safe_psql('postgres', "SELECT count(*), min(id) > $position FROM referral.next_events($position)"), 'and goes on behind the same position');
my $ahead = $node->safe_psql('postgres', 'SELECT last_value + 1 FROM referral.event_id_seq');
my ($code, undef, $stderr) = $node->psql('restored', "SELECT * FROM referral.next_events($ahead)");
like($stderr, qr/unknown_position/, 'a position of a history that was lost is refused');

$node->stop;
done_testing();
