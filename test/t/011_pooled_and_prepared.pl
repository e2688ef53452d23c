# Sessions as connection poolers use them: handed from client to client with what
# one left behind, with statements prepared long ago, while other sessions change
# the configuration, the extension and the tables beneath; transactions that are
# prepared in one session and ended in another.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
client_min_messages = warning
max_prepared_transactions = 5
plan_cache_mode = force_generic_plan
lock_timeout = 10s
});
$node->start;

sub rows { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# The two programs turn the same three people round: ann brought bob, who brought
# cyn; cyn brought bob, who brought ann.
my $make = q{
	CREATE EXTENSION referral;
	CALL referral.install();
	INSERT INTO referral.program (name, max_level, hold_days) VALUES ('one', 2, 0), ('two', 1, 0);
	INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000), (1, 2, 100), (2, 1, 5000);
	SET referral.program_id = 1;
	SELECT referral.attribute('bob', referral.enroll('ann'), at => '2026-01-01'),
	       referral.attribute('cyn', referral.enroll('bob'), at => '2026-01-01');
	SET referral.program_id = 2;
	SELECT referral.attribute('bob', referral.enroll('cyn'), at => '2026-01-01'),
	       referral.attribute('ann', referral.enroll('bob'), at => '2026-01-01')};
rows($make);
rows(q{
	CREATE ROLE app LOGIN;
	GRANT USAGE ON SCHEMA referral TO app;
	GRANT INSERT ON referral.payment TO app});

# What a payment earned, level by level, as "bob=100 ann=10".
sub earned
{
	my ($id, $db) = @_;
	return rows(qq{
		SELECT string_agg(m.user_id || '=' || r.amount_micro, ' ' ORDER BY r.level)
		FROM referral.reward r JOIN referral.member m USING (program_id, member_id)
		WHERE r.payment_id = '$id'}, $db);
}

sub sound
{
	my ($when, $db) = @_;
	is(rows('SELECT * FROM referral.verify()', $db), '', "verify() is empty $when");
}

my $nth = 0;
my $earns = 'bob=100 ann=10';

# Pays 1000 in a session, as cyn in program one by its prepared statement if %how
# does not say otherwise; tests what it earned unless that is not known yet.
sub pays
{
	my ($session, $expected, $what, %how) = @_;
	my $id = 'p' . ++$nth;
	my ($program, $user, $day) = ($how{program} // 1, $how{user} // 'cyn', $how{day} // '2026-02-01');
	$session->query_safe($how{plain}
		? "INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)"
		  . " VALUES ($program, '$id', '$user', 1000, '$day 12:00+00')"
		: "EXECUTE pay($program, '$id', '$user', '$day 12:00+00')");
	is(earned($id), $expected, $what) if defined $expected;
	return $id;
}

my $prepare = q{
	PREPARE pay(bigint, text, text, timestamptz) AS
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	VALUES ($1, $2, $3, 1000, $4)};

sub session
{
	my ($db) = @_;
	my $session = $node->background_psql($db // 'postgres', on_error_stop => 0);
	$session->query_safe($prepare);
	return $session;
}

# The message of a statement that fails.
sub refused
{
	my ($session, $sql) = @_;
	$session->query($sql);
	my $message = $session->{stderr};
	$session->{stderr} = '';
	return $message;
}

# --- one session, many clients -------------------------------------------------

my $pooled = $node->background_psql('postgres', on_error_stop => 0);
pays($pooled, $earns, 'the first client', plain => 1);
foreach my $client (
	[ 'SET referral.program_id = 2',                      'DISCARD ALL', 'cyn=500' ],
	[ 'SET referral.program_id = 1',                      'RESET ALL', $earns ],
	[ 'SET SESSION AUTHORIZATION app',                    'DISCARD ALL', $earns ],
	[ 'SET ROLE app',                                     'RESET ROLE', $earns ],
	[ 'SET search_path = nowhere',                        'DISCARD ALL', $earns ],
	[ q{SET TimeZone = 'Pacific/Apia'; SET DateStyle = 'German, DMY'; SET IntervalStyle = sql_standard},
	  'RESET ALL', $earns ],
	[ 'SET default_transaction_isolation = serializable', 'RESET ALL', $earns ],
	[ 'SET default_transaction_isolation = "repeatable read"', 'DISCARD ALL', $earns ],
	[ 'SET enable_indexscan = off; SET enable_seqscan = off', 'DISCARD ALL', $earns ],
	[ 'SET session_replication_role = replica',           'RESET ALL', '' ],
	[ q{SET SESSION AUTHORIZATION app; SET default_transaction_read_only = on; BEGIN READ WRITE}, 'COMMIT; DISCARD ALL', $earns ])
{
	my ($leaves, $cleans, $expected) = @$client;
	$pooled->query_safe($leaves);
	my $two = $expected =~ /cyn/;
	my $id = pays($pooled, undef, undef, plain => 1, program => $two ? 2 : 1, user => $two ? 'bob' : 'cyn');
	$pooled->query_safe($_) foreach split /; /, $cleans;
	is(earned($id), $expected, "a client that says $leaves");
	pays($pooled, $earns, "and the next one, after $cleans", plain => 1);
}
$pooled->query_safe('SET referral.program_id = 2');
is($pooled->query_safe(q{SELECT rewards_micro FROM referral.record_payment('named', 'bob', 1000, occurred_at => '2026-02-01')}),
	500, 'record_payment() takes the program that is set');
$pooled->query_safe('DISCARD ALL');
like(refused($pooled, q{SELECT referral.record_payment('unnamed', 'bob', 1000)}), qr/ambiguous_program/,
	'nothing of it is left for the next client');
$pooled->query_safe('SET ROLE app');
like(refused($pooled, q{SELECT referral.enroll('dan', program_id => 1)}), qr/permission denied/,
	'nor of the rights of the client before');
$pooled->query_safe('RESET ROLE');
is(rows('SELECT count(*) FROM referral.payment WHERE NOT taken_in'), 1,
	'the payment of the replica is told from one that earned nothing');
rows(q{CALL referral.backfill('referral.payment', program_id => 1)});
sound('after many clients of one session');

# --- statements prepared before the configuration changed -----------------------

my $old = session();
pays($old, $earns, 'a prepared payment');
pays($old, 'cyn=500', 'of another program, where the line is another', program => 2, user => 'bob');
$old->query_safe('PREPARE overview(text) AS SELECT (o.balance).lifetime_micro FROM referral.referral_overview($1) o');
$old->query_safe('SET referral.program_id = 1');
my $one = $old->query_safe(q{EXECUTE overview('bob')});
$old->query_safe('SET referral.program_id = 2');
is($old->query_safe(q{EXECUTE overview('bob')}), 0, 'a prepared query follows the program that is set');
$old->query_safe('SET referral.program_id = 1');
is($old->query_safe(q{EXECUTE overview('bob')}), $one, 'and back');
$old->query_safe('RESET referral.program_id');

rows('UPDATE referral.rate SET rate_bps = 2000 WHERE program_id = 1 AND level = 1');
pays($old, 'bob=200 ann=10', 'a changed rate');
rows(q{
	INSERT INTO referral.tier VALUES (1, 1, 'bronze', 0), (1, 2, 'silver', 1);
	INSERT INTO referral.rate (program_id, tier, level, rate_bps) VALUES (1, 2, 1, 3000)});
pays($old, 'bob=300 ann=10', 'new tiers, with a rate of their own');
rows(q{UPDATE referral.program SET max_level = 1 WHERE program_id = 1});
pays($old, 'bob=300', 'fewer levels');
rows(q{UPDATE referral.program SET active = false WHERE program_id = 1});
pays($old, '', 'a program that rests');
rows(q{UPDATE referral.program SET active = true, max_level = 2 WHERE program_id = 1});
pays($old, 'bob=300 ann=10', 'and goes on');

my $other = session();
$other->query_safe('BEGIN; UPDATE referral.rate SET rate_bps = 4000 WHERE program_id = 1 AND tier = 2');
pays($old, 'bob=300 ann=10', 'a change before its commit');
my $own = pays($other, undef, undef);
$other->query_safe('ROLLBACK');
is(earned($own), '', 'a payment rolled back with it');
pays($_, 'bob=300 ann=10', 'a change rolled back') foreach $old, $other;

$other->query_safe('BEGIN; UPDATE referral.rate SET rate_bps = 4000 WHERE program_id = 1 AND tier = 2');
$own = pays($other, undef, undef);
$other->query_safe(q{PREPARE TRANSACTION 'rate'});
pays($_, 'bob=300 ann=10', 'a change that is prepared counts for nobody yet') foreach $old, $other;
rows(q{COMMIT PREPARED 'rate'});
is(earned($own), 'bob=400 ann=10', 'a payment prepared after the change');
pays($_, 'bob=400 ann=10', 'the change once it is committed') foreach $old, $other;

rows(q{CREATE ROLE late; GRANT late TO app});
$old->query_safe('SET ROLE late');
like(refused($old, q{EXECUTE pay(1, 'denied', 'cyn', '2026-02-01')}), qr/permission denied/,
	'a statement prepared by one role gives another no rights');
rows(q{GRANT USAGE ON SCHEMA referral TO late; GRANT INSERT ON referral.payment TO late});
pays($old, 'bob=400 ann=10', 'until it is granted INSERT');
$old->query_safe('RESET ROLE');
sound('after changes of the configuration');

# --- the tables rewritten under sessions that remember rows ---------------------

my @counters = map { "referral.$_" } qw(earning paid invited code_use campaign_spent downline);
my %rewrites = (
	'VACUUM FULL' => [ map { "VACUUM FULL $_" } @counters ],
	'CLUSTER' => [ map { "CLUSTER $_ USING " . s/referral\.//r . '_pkey' } @counters ],
	'REINDEX' => [ map { "REINDEX TABLE $_" } @counters ],
	'REINDEX CONCURRENTLY' => [ map { "REINDEX TABLE CONCURRENTLY $_" } @counters ],
	'SET UNLOGGED and LOGGED' => [ map { ("ALTER TABLE $_ SET UNLOGGED", "ALTER TABLE $_ SET LOGGED") } @counters ],
	'TRUNCATE' => [ map { qq{
		BEGIN;
		CREATE TEMP TABLE kept AS TABLE $_;
		TRUNCATE $_;
		INSERT INTO $_ SELECT * FROM kept ORDER BY kept DESC;
		DROP TABLE kept;
		COMMIT} } @counters ],
	# As install() may bring them with a newer library, which open sessions lack.
	'ADD COLUMN' => [ map { "ALTER TABLE $_ ADD newer bigint NOT NULL DEFAULT 0, ADD note text" } @counters ],
	'DROP COLUMN' => [ map { "ALTER TABLE $_ DROP newer" } @counters ],
	'another table takes its name' => [ map { qq{
		BEGIN;
		ALTER TABLE $_ RENAME TO kept;
		CREATE TABLE $_ (LIKE referral.kept INCLUDING ALL);
		INSERT INTO $_ TABLE referral.kept;
		DROP TABLE referral.kept;
		COMMIT} } @counters ],
	'all parts made one' => [ q{
		WITH gone AS (DELETE FROM referral.earning RETURNING *)
		INSERT INTO referral.earning
		SELECT program_id, member_id, available_at, earned_on, level, 0, sum(amount_micro),
		       sum(volume_micro), sum(deposits_micro), sum(rewards)
		FROM gone GROUP BY program_id, member_id, available_at, earned_on, level},
		'VACUUM referral.earning' ]);

sub rewrite
{
	$node->psql('postgres', join(";\n", @{ $rewrites{$_[0]} }), on_error_die => 1);
}

my $day = 10;
foreach my $rewrite (sort keys %rewrites)
{
	# Each session remembers parts of its own.
	$other->query_safe('BEGIN');
	pays($other, undef, undef);
	pays($old, undef, undef);
	$other->query_safe('COMMIT');
	rewrite($rewrite);
	pays($_, 'bob=400 ann=10', "after $rewrite") foreach $old, $other;
	pays($old, 'bob=400 ann=10', "new counters after $rewrite", day => '2026-04-' . ++$day);
	sound("after $rewrite");
}

# What a session remembers lies beyond the end of the table.
rows('CREATE TABLE kept AS TABLE referral.earning; DELETE FROM referral.earning');
rows('VACUUM referral.earning');
is(rows(q{SELECT pg_relation_size('referral.earning')}), 0, 'the counter is cut off');
pays($_, 'bob=400 ann=10', 'after VACUUM') foreach $old, $other;
rows('UPDATE kept SET part = -1 - part; INSERT INTO referral.earning TABLE kept; DROP TABLE kept');
sound('after VACUUM');

# It is another member's row: ann's, in parts of nothing all over the first page.
rewrite('all parts made one');
rewrite('VACUUM FULL');
pays($_, 'bob=400 ann=10', 'remembered') foreach $old, $other;
rows('CREATE TABLE kept AS TABLE referral.earning; DELETE FROM referral.earning');
rows('VACUUM referral.earning');
rows(q{
	INSERT INTO referral.earning
	SELECT k.program_id, k.member_id, k.available_at, k.earned_on, k.level, -n, 0, 0, 0, 0
	FROM generate_series(1, 40) n,
	     (SELECT * FROM kept WHERE program_id = 1 AND level = 2 LIMIT 1) k;
	INSERT INTO referral.earning TABLE kept;
	DROP TABLE kept});
pays($_, 'bob=400 ann=10', 'where other rows were') foreach $old, $other;
sound('when other rows are there');

# --- transactions prepared in one session and ended in another ------------------

foreach my $name (qw(dan eve))
{
	rows(qq{SELECT referral.attribute('$name', referral.enroll('cyn', program_id => 1), at => '2026-01-01', program_id => 1)});
}
foreach my $try ([ 'dan', 'ROLLBACK', '', '2026-02-02' ], [ 'eve', 'COMMIT', 'cyn=200 bob=10', '2026-02-03' ])
{
	my ($first, $end, $earned, $day) = @$try;
	$other->query_safe('BEGIN');
	# On a day of its own, so that nobody sees a part of these counters yet.
	my $again = pays($other, undef, undef, day => $day);
	$other->query_safe('SAVEPOINT s');
	pays($other, undef, undef);
	$other->query_safe('ROLLBACK TO s');
	# His first payment counts him as paid invitee of cyn, that of his own
	# invitee, attributed in the same transaction, counts cyn's level 2.
	my $new = pays($other, undef, undef, user => $first);
	$other->query_safe("SELECT referral.attribute('his', referral.enroll('$first', program_id => 1),"
		  . " at => '2026-01-01', program_id => 1)");
	my $his = pays($other, undef, undef, user => 'his');
	$other->query_safe(q{PREPARE TRANSACTION 'payments'});
	pays($_, 'bob=400 ann=10', 'payments of the same people go on', day => $day) foreach $other, $old, $other, $old;
	$old->query_safe(q{SET lock_timeout = '50ms'});
	like(refused($old, "EXECUTE pay(1, 'waits', '$first', '2026-02-01')"), qr/lock timeout/,
		'the second payment waits to know whether the first one qualified');
	$old->query_safe('RESET lock_timeout');
	sound('while a transaction is prepared');

	# The server may well be killed in between.
	if ($end eq 'COMMIT')
	{
		$_->quit foreach $old, $other, $pooled;
		$node->stop('immediate');
		$node->start;
		($old, $other, $pooled) = (session(), session(), session());
		sound('after a crash');
		pays($_, 'bob=400 ann=10', 'a payment after a crash') foreach $old, $other;
	}
	$pooled->query_safe("$end PREPARED 'payments'");
	is(earned($again), $end eq 'COMMIT' ? 'bob=400 ann=10' : '', "$end PREPARED");
	is(earned($new), $earned, "$end PREPARED of a first payment");
	is(earned($his), $end eq 'COMMIT' ? "$first=200 cyn=10" : '', "$end PREPARED of an attribution");
	sound("after $end PREPARED");
	pays($_, 'bob=400 ann=10', "after $end PREPARED") foreach $other, $old;
	is(rows(q{SELECT paid_invitees FROM referral.referral_overview('cyn', program_id => 1)}),
		$end eq 'COMMIT' ? 1 : 0, "paid invitees after $end PREPARED");
}
pays($old, $_->[1], "then $_->[0] pays", user => $_->[0]) foreach [ 'eve', 'cyn=400 bob=10' ], [ 'dan', 'cyn=400 bob=10' ];
sound('after prepared transactions');

# Two places, one of them taken by a transaction that is prepared.
rows(q{SELECT referral.attribute(u, referral.enroll('ivy', program_id => 1), at => '2026-01-01', program_id => 1)
	FROM unnest(ARRAY['fay', 'gil', 'hal']) u});
rows(q{UPDATE referral.code SET cap = 2 WHERE program_id = 1 AND user_id = 'ivy'});
$other->query_safe('BEGIN');
pays($other, undef, undef, user => 'fay');
$other->query_safe(q{PREPARE TRANSACTION 'place'});
isnt(earned(pays($old, undef, undef, user => 'gil')), '', 'the other place is free');
$old->query_safe(q{SET lock_timeout = '50ms'});
like(refused($old, q{EXECUTE pay(1, 'waits', 'hal', '2026-02-01')}), qr/lock timeout/,
	'who may have no place waits to know');
$old->query_safe('RESET lock_timeout');
$pooled->query_safe(q{COMMIT PREPARED 'place'});
pays($old, '', 'and has none', user => 'hal');
sound('when a cap is used up');

# --- the extension dropped and made again under open sessions -------------------

rows(q{
	CREATE TABLE orders (order_no int, customer text, micro bigint);
	SELECT referral.attach('orders', 'customer', 'micro', 'order_no', 1, id_prefix => 'order-', program_id => 1)});
$old->query_safe(q{PREPARE buy(int) AS INSERT INTO orders VALUES ($1, 'cyn', 1000)});
$old->query_safe(q{PREPARE record(text) AS SELECT r.rewards_micro FROM referral.record_payment($1, 'cyn', 1000, program_id => 1) r});
$old->query_safe('EXECUTE buy(1)');
is(earned('order-1'), 'bob=400 ann=10', 'an order');
is($old->query_safe(q{EXECUTE record('r1')}), 410, 'record_payment()');
rows('DROP EXTENSION referral CASCADE');
my $missed = pays($old, '', 'without the extension');
$old->query_safe('EXECUTE buy(2)');
like(refused($old, q{EXECUTE record('r2')}), qr/does not exist/, 'there is no record_payment()');
rows('CREATE EXTENSION referral; CALL referral.install()');
pays($_, 'bob=400 ann=10', 'the extension is back') foreach $old, $other;
$old->query_safe('EXECUTE buy(3)');
is(earned('order-3'), 'bob=400 ann=10', 'so are orders');
is($old->query_safe(q{EXECUTE record('r2')}), 410, 'and record_payment()');
rows("CALL referral.backfill('$_', program_id => 1)") foreach 'referral.payment', 'orders';
is(earned($_), 'bob=400 ann=10', "what was missed is taken in: $_") foreach $missed, 'order-2';
sound('after DROP EXTENSION');

# All of it gone, and made anew: the books begin again, the sessions do not. As
# many others have come since as gave the last one the number of the old session.
pays($old, undef, undef, day => '2026-02-04');
my $part = rows(q{SELECT DISTINCT part FROM referral.earning WHERE earned_on = '2026-02-04'});
rows("DROP TABLE orders; DROP EXTENSION referral CASCADE; DROP SCHEMA referral CASCADE; $make");
pays($_, $earns, 'new books under old sessions') foreach $old, $other, $old;
rows("SELECT setval('referral.part_seq', $part, false)");
my $new = session();
$old->query_safe('BEGIN');
pays($_, undef, undef, day => '2026-02-05') foreach $old, $new, $other, $old;
$old->query_safe('COMMIT');
sound('in new books');

# --- another database, with the same people ------------------------------------

rows('CREATE DATABASE beside');
rows($make, 'beside');
rows('UPDATE referral.rate SET rate_bps = 2500 WHERE program_id = 1 AND level = 1', 'beside');
my $beside = session('beside');
for (1 .. 3)
{
	pays($old, $earns, 'here');
	my $there = pays($beside, undef, undef);
	is(earned($there, 'beside'), 'bob=250 ann=10', 'there');
}
sound('here');
sound('there', 'beside');

# --- all of it at once ----------------------------------------------------------

my $file = $node->basedir . '/pay.sql';
append_to_file($file, q{
\set user random(1, 2)
INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
VALUES (1, 'b' || nextval('payment_id'), (ARRAY['bob', 'cyn'])[:user], 1000, '2026-02-01');
});
rows('CREATE SEQUENCE payment_id');
my $log = '';
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-M', 'prepared', '-c', 3, '-t', 400, '-R', 600, '-f', $file, $node->connstr('postgres') ], '>&', \$log);
$node->poll_query_until('postgres', 'SELECT last_value > 20 FROM payment_id') or die "no load: $log";
foreach my $turn (1 .. 4)
{
	rows("UPDATE referral.rate SET rate_bps = ${turn}000 WHERE program_id = 1 AND level = 1");
	rewrite($_) foreach 'VACUUM FULL', 'REINDEX CONCURRENTLY';
	$other->query_safe('BEGIN');
	pays($other, undef, undef);
	$other->query_safe("PREPARE TRANSACTION 'turn $turn'");
	$old->query_safe("COMMIT PREPARED 'turn $turn'");
	cmp_ok(rows('SELECT last_value FROM payment_id'), '<', 1200, 'all this happens under load') if $turn == 1;
}
ok($load->finish, 'prepared payments of several sessions go in') or diag $log;
is(rows(q{
	SELECT count(*), bool_and(taken_in),
	       bool_and((SELECT count(*) FROM referral.reward r WHERE r.payment_id = p.payment_id)
	                = CASE user_id WHEN 'cyn' THEN 2 ELSE 1 END)
	FROM referral.payment p WHERE starts_with(payment_id, 'b')}), '1200|t|t', 'every one of them earned once');
sound('after the load');

$_->quit foreach $old, $other, $new, $pooled, $beside;
$node->stop;
done_testing();
