package SecClock;
# The clock of SEC, for tests/oracle/sec.pl: time() is what the log says, not what the hour is. Loaded before SEC is compiled (perl -MSecClock
# sec ...), because only what is compiled later sees the override. SEC asks it of every line, by a PerlFunc pattern of its first rule.
use strict;
use warnings;
use Time::Local qw(timegm);

my $now = 0;

BEGIN { *CORE::GLOBAL::time = sub { return $now } }

# Sets the clock to the stamp of a line; says whether it has one.
sub read_stamp
{
	my ($line) = @_;
	my ($year, $month, $day, $hour, $minute, $second) = $line =~ /"ts":"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)Z"/ or return 0;
	$now = timegm($second, $minute, $hour, $day, $month - 1, $year);
	return 1;
}

1;
