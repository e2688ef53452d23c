# Whatever stops a payment, a refund, a spend or a payout, the books balance: the server killed under load,
# statements cancelled and sessions ended at random moments. A payment that was
# acknowledged is there, one that was not is there as a whole or not at all.
# REFERRAL_CRASHES and REFERRAL_CANCELS make it longer; the seed is printed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $crashes = $ENV{REFERRAL_CRASHES} || 2;
my $cancels = $ENV{REFERRAL_CANCELS} || 25;
my $seed = srand($ENV{REFERRAL_SEED} || time ^ $$);
note "REFERRAL_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'max_connections = 50');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION referral;
	SET client_min_messages = warning;
	CALL referral.install();
	INSERT INTO referral.program (program_id, name, max_level, hold_days) VALUES (1, 'crash', 3, 0);
	INSERT INTO referral.tier (program_id, tier, label, min_paid_invitees) VALUES (1, 1, 'a', 0), (1, 2, 'b', 20), (1, 3, 'c', 1000000);
	INSERT INTO referral.campaign (program_id, campaign_id, name, starts_at, ends_at, code_cap, budget_micro)
	VALUES (1, 1, 'capped', '2024-01-01', '2034-01-01', 7, 5000);
	INSERT INTO referral.rate (program_id, level, rate_bps, max_payments) VALUES (1, 0, 100, 3), (1, 1, 1000, NULL), (1, 2, 500, NULL), (1, 3, 100, NULL);
	-- What clients were told: written in the same transaction as the payments.
	CREATE TABLE acknowledged (payment_id text PRIMARY KEY);
	-- What may be refused when it is asked for at random.
	CREATE FUNCTION give_back(r integer) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
		SELECT 1, 'r' || nextval('referral.refund_no_seq'), p.payment_id, 1 + p.amount_micro / 3
		FROM (SELECT * FROM referral.payment
		      WHERE program_id = 1 AND payment_id > 'o' || r ORDER BY payment_id LIMIT 1) p;
	EXCEPTION WHEN numeric_value_out_of_range THEN NULL;
	END $$;
	CREATE FUNCTION use_up(u integer) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		id text := 'w' || nextval('referral.part_seq');
	BEGIN
		PERFORM referral.spend('u' || u, 20, id);
		IF u % 2 = 0 THEN
			PERFORM referral.request_payout('u' || u, id);
			PERFORM referral.payout_sent(id);
		ELSE
			PERFORM referral.unspend(id);
		END IF;
	EXCEPTION WHEN SQLSTATE 'RF007' THEN NULL;
	END $$;
	SELECT referral.enroll('u0');
	DO $$
	DECLARE
		code text;
	BEGIN
		FOR i IN 1..400 LOOP
			code := referral.enroll('u' || (i - 1) / 20);
			IF i % 10 = 0 THEN
				code := (referral.campaign_code('u' || (i - 1) / 20, 1)).code;
			END IF;
			PERFORM referral.attribute('u' || i, code, at => '2025-01-01');
		END LOOP;
	END $$;
});

# Every invariant: verify()'s, and that nothing stands half.
sub books_are_sound
{
	my ($when) = @_;
	is($node->safe_psql('postgres', 'SELECT * FROM referral.verify(NULL)'), '', "verify() names nothing $when");
	is($node->safe_psql('postgres', q{
		SELECT count(*) FROM acknowledged a WHERE NOT EXISTS (
			SELECT FROM referral.payment p WHERE p.program_id = 1 AND p.payment_id = a.payment_id)}),
		0, "what was acknowledged is there $when");
	is($node->safe_psql('postgres', q{
		SELECT (SELECT sum(amount_micro) FROM referral.reward) - (SELECT sum(amount_micro) FROM referral.earning),
		       (SELECT count(*) FROM referral.reward) - (SELECT sum(rewards) FROM referral.earning),
		       (SELECT count(qualified_at) FROM referral.attribution) - (SELECT sum(paid_invitees) FROM referral.invited)}),
		'0|0|0', "counters are what the rewards say $when");
	is($node->safe_psql('postgres', q{
		SELECT count(*) FROM referral.code c, LATERAL referral.get_code(1, c.code_id) g WHERE g.used > g.cap}),
		0, "no code was used beyond its cap $when");
}

# The kill of the postmaster, while clients pay one by one and in batches.
my $one = $node->basedir . '/one.sql';
append_to_file($one, q{
\set u random(1, 400)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro) VALUES (1, 'o' || nextval('referral.payment_no_seq'), 'u' || :u, :u * 10);
});
my $many = $node->basedir . '/many.sql';
append_to_file($many, q{
\set n random(1, 1000000000)
BEGIN;
WITH paid AS (
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
	SELECT 1, 'm' || :n || '-' || i, 'u' || (:n + i * 7) % 400, 1000 FROM generate_series(1, 20) i RETURNING payment_id)
INSERT INTO acknowledged SELECT payment_id FROM paid;
COMMIT;
});
my $back = $node->basedir . '/back.sql';
append_to_file($back, q{
\set r random(1, 100000)
SELECT give_back(:r);
});
my $use = $node->basedir . '/use.sql';
append_to_file($use, q{
\set u random(0, 20)
SELECT use_up(:u);
});
foreach my $nth (1 .. $crashes)
{
	my ($out, $err) = ('', '');
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', '60', '-f', "$one\@3", '-f', "$many\@1", '-f', "$back\@2", '-f', "$use\@1", '--random-seed', $seed + $nth,
		  $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM referral.payment');
	$node->poll_query_until('postgres', "SELECT count(*) > $before + 200 FROM referral.payment") or die "no load: $err";
	my @pids = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
	usleep(int rand 300_000);
	$node->kill9;
	eval { $load->finish };
	# A server does not start while processes of the killed one are about.
	for (1 .. 600)
	{
		last unless kill 0, @pids;
		usleep(100_000);
	}
	$node->start;
	books_are_sound("after kill $nth");
}

is($node->safe_psql('postgres', 'SELECT (SELECT count(*) > 0 FROM referral.refund_applied), (SELECT count(*) > 0 FROM referral.settlement)'),
	't|t', 'something was given back and used up meanwhile');

# Cancelled statements and ended sessions, in large statements, at moments that
# are spread over their whole course.
my $batch = q{INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	SELECT 1, 'c%d-' || i, 'u' || i %% 400, 1000, '2025-06-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 20000) i};
# Every third of them gives one unit back of as many payments.
my $refunds = q{INSERT INTO referral.refund (program_id, refund_id, payment_id, amount_micro)
	SELECT 1, 'c%d-' || row_number() OVER (), payment_id, 1 FROM referral.payment WHERE amount_micro = 1000 LIMIT 20000};
my $sum = q{SELECT count(*), (SELECT count(*) FROM referral.reward), (SELECT sum(volume_micro) FROM referral.paid),
	(SELECT sum(amount_micro) FROM referral.refund), (SELECT sum(reversed_micro) FROM referral.earning),
	(SELECT count(*) FROM referral.refund_applied) FROM referral.payment};
my ($through, $stopped, $halves) = (0, 0, 0);
my $course = 500_000;
foreach my $nth (1 .. $cancels)
{
	my $before = $node->safe_psql('postgres', $sum);
	my ($out, $err) = ('', '');
	my $client = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " application_name=victim",
		  '-c', sprintf($nth % 3 ? $batch : $refunds, $nth) ],
		'>', \$out, '2>', \$err);
	usleep(int($course * $nth / $cancels));
	my $function = rand() < 0.5 ? 'pg_cancel_backend' : 'pg_terminate_backend';
	$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
	$client->finish;
	if ($client->result(0) == 0)
	{
		$through++;
		next;
	}
	$stopped++;
	# A session that was ended may still be ending.
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'victim'");
	$halves++ if $node->safe_psql('postgres', $sum) ne $before;
}
note "$stopped stopped, $through through";
cmp_ok($stopped, '>', 0, 'some statements were stopped');
is($halves, 0, 'none of them left a trace');
books_are_sound('after cancels');

$node->stop;
done_testing();
