# DROP EXTENSION takes functions and triggers along, never the books: payments
# still go in, are told from those that earned nothing, and come in later.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub rows { return $node->safe_psql('postgres', $_[0]) }

# Every row of every table.
sub books
{
	return join '', map { "$_:\n" . rows("SELECT t::text FROM $_ t ORDER BY 1") . "\n" }
	  split /\n/, rows(q{SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace = 'referral'::regnamespace AND c.relkind = 'r' ORDER BY 1::text});
}

my $triggers = q{
	SELECT t.tgrelid::regclass, pg_get_triggerdef(t.oid), t.tgenabled
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'referral'::regnamespace AND NOT t.tgisinternal ORDER BY 1::text, 2};
my $rights = q{
	SELECT p.oid::regprocedure, p.proacl FROM pg_proc p
	WHERE p.pronamespace::regnamespace::text IN ('referral', 'referral_api') ORDER BY 1::text};

rows(q{
	CREATE ROLE web_anon;
	CREATE ROLE web_member;
	CREATE ROLE app LOGIN;
	CREATE EXTENSION referral;
	CALL referral.install();
	SELECT referral.grant_api('web_anon', 'web_member');
	GRANT USAGE ON SCHEMA referral TO app;
	GRANT INSERT ON referral.payment TO app;
	INSERT INTO referral.program (name, hold_days) VALUES ('one', 0);
	INSERT INTO referral.rate (program_id, level, rate_bps) VALUES (1, 1, 1000);
	SELECT referral.enroll('u1');
	SELECT referral.attribute('u2', (SELECT code FROM referral.code WHERE user_id = 'u1'),
	                          at => '2026-01-01');
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	VALUES (1, 'p1', 'u2', 1000000, '2026-01-02'), (1, 'p2', 'stranger', 1000000, '2026-01-02')});
is(rows('SELECT payment_id, taken_in FROM referral.payment ORDER BY 1'), "p1|t\np2|t",
	'payments are taken in, whether they earn or not');

my ($books, $made, $may) = (books(), rows($triggers), rows($rights));

my ($rc, $out, $err) = $node->psql('postgres', 'DROP EXTENSION referral');
isnt($rc, 0, 'DROP EXTENSION alone is refused');
like($err, qr/trigger take_in on table referral\.payment/, 'and names what would go');
is(books(), $books, 'nothing is lost by trying');

rows('SET client_min_messages = warning; DROP EXTENSION referral CASCADE');
is(books(), $books, 'no table and no row goes with it');
is(rows($triggers), '', 'the triggers do');
is(rows($rights), '', 'and the functions');

$node->safe_psql('postgres', q{
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	VALUES (1, 'p3', 'u2', 2000000, '2026-01-03'), (1, 'p4', 'stranger', 1, '2026-01-03')},
	extra_params => [ '-U', 'app' ]);
is(rows('SELECT payment_id FROM referral.payment WHERE NOT taken_in ORDER BY 1'), "p3\np4",
	'payments still go in and are marked as not seen');
is(rows('SELECT count(*) FROM referral.reward'), 1, 'they earn nothing yet');

# A setting that a client made up or that outlived a statement marks nothing.
rows('CREATE EXTENSION referral');
rows('CALL referral.install()');
is(rows($triggers), $made, 'every trigger is back');
is(rows($rights), $may, 'and what was granted');
is(rows('SELECT payment_id FROM referral.payment WHERE NOT taken_in ORDER BY 1'), "p3\np4",
	'what was not seen is still told');
is(rows(q{SELECT count(*) FROM referral.verify()}), 2, 'verify() names it');

rows(q{
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)
	VALUES (1, 'p5', 'u2', 3000000, '2026-01-04')});
is(rows(q{SELECT p.payment_id, p.taken_in, r.amount_micro
	FROM referral.payment p JOIN referral.reward r USING (program_id, payment_id) ORDER BY 1}),
	"p1|t|100000\np5|t|300000", 'the next payment earns');

rows(q{CALL referral.backfill('referral.payment')});
is(rows(q{SELECT p.payment_id, p.taken_in, r.amount_micro
	FROM referral.payment p JOIN referral.reward r USING (program_id, payment_id) ORDER BY 1}),
	"p1|t|100000\np3|t|200000\np5|t|300000", 'backfill() takes in what was missed');
is(rows('SELECT * FROM referral.verify()'), '', 'the books are sound');

# The same with one trigger disabled.
rows(q{
	ALTER TABLE referral.payment DISABLE TRIGGER USER;
	INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro)
	VALUES (1, 'p6', 'u2', 1);
	ALTER TABLE referral.payment ENABLE TRIGGER USER});
is(rows('SELECT payment_id FROM referral.payment WHERE NOT taken_in'), 'p6',
	'a payment past disabled triggers is told too');

$node->stop;
done_testing();
