# Every error that the code raises is in docs/errors.md with its SQLSTATE, and
# nothing is in there that is not raised.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my %code = (
	INSUFFICIENT_PRIVILEGE => '42501', READ_ONLY_SQL_TRANSACTION => '25006',
	INVALID_PARAMETER_VALUE => '22023', NUMERIC_VALUE_OUT_OF_RANGE => '22003',
	DATETIME_VALUE_OUT_OF_RANGE => '22008', DATETIME_FIELD_OVERFLOW => '22008',
	FOREIGN_KEY_VIOLATION => '23503', UNIQUE_VIOLATION => '23505', CHECK_VIOLATION => '23514',
	FEATURE_NOT_SUPPORTED => '0A000', WRONG_OBJECT_TYPE => '42809', DUPLICATE_OBJECT => '42710',
	UNDEFINED_COLUMN => '42703', DATATYPE_MISMATCH => '42804',
	OBJECT_NOT_IN_PREREQUISITE_STATE => '55000', ARRAY_SUBSCRIPT_ERROR => '2202E');

my %raised;
for my $file (glob 'sql/code/*.sql')
{
	my $text = slurp_file($file);
	while ($text =~ /RAISE (\w+) USING(.*?);\n/gs)
	{
		my ($level, $body) = ($1, $2);
		my ($message) = $body =~ /MESSAGE = '([^']*)'/ or fail("$file: RAISE without a constant MESSAGE");
		$message = 'invalid <argument>' if $message eq 'invalid ';
		my ($state) = $body =~ /ERRCODE = '(\w+)'/;
		ok($state, "$file: $message has an ERRCODE") if $level eq 'EXCEPTION';
		$raised{$message}{ $code{ uc($state // '') } // $state // '' } = 1;
	}
}
for my $file (glob 'src/*.c')
{
	my $text = slurp_file($file);
	my $reports = () = $text =~ /\bereport\(ERROR/g;
	my $codes = () = $text =~ /\berrcode\(/g;
	is($codes, $reports, "$file: every ereport has an errcode") if $reports;
	while ($text =~ /errcode\((.*?)\),\s*errmsg\("([^"%]*)"/gs)
	{
		my ($state, $message) = ($1, $2);
		$state = join '', $state =~ /'(.)'/g if $state =~ /^MAKE_SQLSTATE/;
		$state =~ s/^ERRCODE_//;
		next if $message =~ /was not called|\\$/;
		$raised{$message}{ $code{$state} // $state } = 1;
	}
}

my %listed;
for (split /\n/, slurp_file('docs/errors.md'))
{
	$listed{$1}{ defined $2 ? $2 : '' } = 1 if /^\| `([^`]+)` \|(?: ([0-9A-Z]{5}) \|)?/;
}
cmp_ok(scalar keys %raised, '>', 20, 'errors were found');
is(join(' ', sort keys %{ $listed{$_} // {} }), join(' ', sort keys %{ $raised{$_} // {} }), "`$_`")
  for sort keys %{ { %raised, %listed } };

done_testing();
