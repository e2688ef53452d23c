# Attached tables and what a database goes through: dump and restore, with a
# column renamed before and after; DROP EXTENSION and its return; a backfill
# that is killed and gone on with.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "client_min_messages = warning\n");
$node->start;

sub books
{
	my ($db) = @_;
	return $node->safe_psql($db, q{
		SELECT string_agg(payment_id || '=' || amount_micro, ' ' ORDER BY payment_id)
		FROM referral.payment WHERE taken_in AND length(payment_id) < 5});
}

sub refunds
{
	my ($db) = @_;
	return $node->safe_psql($db, q{
		SELECT string_agg(refund_id || '=' || amount_micro, ' ' ORDER BY refund_id)
		FROM referral.refund WHERE taken_in});
}

$node->safe_psql('postgres', 'CREATE DATABASE before');
$node->safe_psql('postgres', 'CREATE DATABASE after');
$node->safe_psql('before', q{
	CREATE EXTENSION referral;
	CALL referral.install();
	INSERT INTO referral.program (name) VALUES ('one');
	CREATE TABLE plain (gone int, id int, payer text, cents int, back int);
	ALTER TABLE plain DROP COLUMN gone;
	CREATE TABLE parted (gone int, id int, payer text, cents int) PARTITION BY LIST (id);
	ALTER TABLE parted DROP COLUMN gone;
	CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
	CREATE TABLE given (gone int, id text, payment int, cents int);
	ALTER TABLE given DROP COLUMN gone;
	SELECT referral.attach('plain', 'payer', 'cents', 'id', 1, refunded => 'back', id_prefix => 'a'),
	       referral.attach('parted', 'payer', 'cents', 'id', 1, id_prefix => 'b'),
	       referral.attach_refunds('given', 'payment', 'cents', 'id', 1, id_prefix => 'a');
	INSERT INTO plain VALUES (1, 'p', 1);
	INSERT INTO parted VALUES (1, 'p', 1);
	ALTER TABLE plain RENAME cents TO pence;
	ALTER TABLE parted RENAME cents TO pence;
	INSERT INTO plain VALUES (2, 'p', 2, 1);
	INSERT INTO given VALUES ('x', 2, 1);
	INSERT INTO parted_1 VALUES (2, 'p', 2)});
is(refunds('before'), 'a2:0=1 ax=1', 'refunds come from a column and from a table');
is(books('before'), 'a1=1 a2=2 b1=1 b2=2', 'renamed columns are followed');

my $dump = $node->data_dir . '/../dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('before') ], 'dump');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('after') ],
	'restore');
is(books('after'), 'a1=1 a2=2 b1=1 b2=2', 'nothing is taken in twice by a restore');
is(refunds('after'), 'a2:0=1 ax=1', 'nor given back twice');
$node->safe_psql('after', q{
	INSERT INTO plain VALUES (3, 'p', 3);
	INSERT INTO parted_1 VALUES (3, 'p', 3);
	ALTER TABLE plain RENAME pence TO cents;
	ALTER TABLE parted RENAME pence TO cents;
	INSERT INTO plain VALUES (4, 'p', 4);
	UPDATE plain SET back = id - 2 WHERE id > 2;
	INSERT INTO given VALUES ('y', 4, 1);
	INSERT INTO parted VALUES (4, 'p', 4)});
is(books('after'), 'a1=1 a2=2 a3=3 a4=4 b1=1 b2=2 b3=3 b4=4',
	'restored tables feed on, and columns are followed there, too');

$node->safe_psql('after', q{
	DROP EXTENSION referral CASCADE;
	INSERT INTO plain VALUES (5, 'p', 5, 5);
	INSERT INTO given VALUES ('z', 4, 1);
	UPDATE plain SET back = 2 WHERE id = 3;
	INSERT INTO parted VALUES (5, 'p', 5);
	CREATE EXTENSION referral;
	CALL referral.install();
	INSERT INTO plain VALUES (6, 'p', 6);
	INSERT INTO parted_1 VALUES (6, 'p', 6)});
is(books('after'), 'a1=1 a2=2 a3=3 a4=4 a6=6 b1=1 b2=2 b3=3 b4=4 b6=6',
	'install() gives back the triggers that DROP EXTENSION took');
is(refunds('after'), 'a2:0=1 a3:0=1 a4:0=2 ax=1 ay=1', 'and nothing came by them meanwhile');
$node->safe_psql('after', q{CALL referral.backfill('plain')});
$node->safe_psql('after', q{CALL referral.backfill('parted')});
is(books('after'), 'a1=1 a2=2 a3=3 a4=4 a5=5 a6=6 b1=1 b2=2 b3=3 b4=4 b5=5 b6=6',
	'backfill() takes in what was written without them');
$node->safe_psql('after', q{CALL referral.backfill('given')});
is(refunds('after'), 'a2:0=1 a3:0=1 a3:1=1 a4:0=2 a5:0=5 ax=1 ay=1 az=1', 'refunds, too');

# A backfill killed after a few of its batches.
$node->safe_psql('after', q{
	CREATE TABLE big (id bigint, payer text, amount numeric, at timestamptz);
	INSERT INTO big SELECT i, 'u' || i % 100, i, '2024-01-01'::timestamptz + (i * 7919 % 10007) * interval '1 minute'
	FROM generate_series(1, 10000) i;
	SELECT referral.attach('big', 'payer', 'amount', 'id', occurred_at => 'at', id_prefix => 'big-')});
# Its sixth batch waits to be killed.
$node->safe_psql('after', q{
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF (SELECT count(*) FROM referral.payment WHERE starts_with(payment_id, 'big-')) > 100 THEN
			PERFORM pg_sleep(300);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER hold AFTER INSERT ON referral.payment FOR EACH STATEMENT EXECUTE FUNCTION hold()});
my $run = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('after'),
		'-c', q{CALL referral.backfill('big', 20)} ], '<', '/dev/null', '>&', '/dev/null');
ok($node->poll_query_until('after', q{
	SELECT done = 100 AND total = 10000 AND state = 'running'
	FROM referral.stat_progress WHERE subject = 'public.big'}),
	'another session watches the progress');
$node->safe_psql('after', q{
	SELECT pg_terminate_backend(pid) FROM referral.stat_progress WHERE subject = 'public.big'});
$run->finish;
$node->safe_psql('after', 'DROP TRIGGER hold ON referral.payment');
is($node->safe_psql('after', q{
	SELECT count(*) FROM referral.payment WHERE starts_with(payment_id, 'big-')}),
	100, 'what was committed stays, and no more');
ok($node->poll_query_until('after', q{
	SELECT done = 100 AND state = 'interrupted' FROM referral.stat_progress WHERE subject = 'public.big'}),
	'the progress says where it ended');
$node->safe_psql('after', q{CALL referral.backfill('big')});
is($node->safe_psql('after', q{
	SELECT count(*), sum(amount_micro), bool_and(taken_in), bool_and(n = m)
	FROM (SELECT *, row_number() OVER (ORDER BY payment_no) AS n,
	             row_number() OVER (ORDER BY occurred_at, split_part(payment_id, '-', 2)::bigint) AS m
	      FROM referral.payment WHERE starts_with(payment_id, 'big-')) p}),
	'10000|50005000000000|t|t', 'gone on with: every row once, in order');
is($node->safe_psql('after', q{
	SELECT state, done, total FROM referral.stat_progress WHERE subject = 'public.big' ORDER BY progress_id DESC LIMIT 1}),
	'finished|9900|10000', 'the second run counts its own');
is($node->safe_psql('after', 'SELECT * FROM referral.verify()'), '', 'verify() is empty');

$node->stop;
done_testing();
