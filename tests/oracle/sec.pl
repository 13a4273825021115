# A third opinion: SEC, the Simple Event Correlator (Debian package sec), which people used for this before. Random traces go through rules of
# both that mean the same, and both must tell the same. SEC knows whole seconds of its own clock only; SecClock.pm drives that from the stamps, with
# a line for every second that passes, so that what falls due in silence falls due as it would on a live system.
#
# What is compared, and why it is the same (W is SEC's window=, T tocsin's timespan, update-every and resolve-after):
#
#	SEC                              tocsin                        compared
#	SingleWithThreshold              event_count                   the first firing of each burst; then SEC is silent and forgets, for the rest of
#	                                                               its window, while tocsin has an incident open and counts on
#	EventGroup, multact=yes          event_count, update-every: 0s every firing
#	EventGroup2, multact=yes         temporal                      every firing
#	EventGroup2 and an egpattern     temporal_ordered              every firing
#	SingleWithSuppress (cooldown)    event_count >= 1,             every line that is told
#	                                 update-every: T
#	PairWithWindow (absence)         a and not b, temporal_ordered every absence, and when
#
# The edge. SEC's window is closed: a line exactly W seconds after the first is in it (t - W <= first). tocsin's is half open: that line is out
# (t - W < first). So, with stamps of whole seconds, SEC's W is tocsin's W + 1 s; and an absence is seen by SEC in the second after its window. Hence:
#
#	traces in which no two lines of a key are exactly W apart    T = W      the same (SEC sees an absence a second later)
#	traces that sit on the edges                                 T = W + 1  the same, to the second
#	the same traces                                              T = W      different, and only where two lines of the key are exactly W apart
#
# A batch of traces is a function of its number alone. SEC_SEED=N replays batch N, SEC_BATCHES=N says how many, SEC_KEEP=DIR leaves rules and logs there.
use strict;
use warnings;
use Time::Local qw(timegm);
use File::Temp qw(tempdir);

my $tocsin = $ENV{TOCSIN} or die "TOCSIN is not set\n";
my $here = "$ENV{TOCSIN_SOURCE}/tests/oracle";
my $sec = $ENV{SEC} // die "SEC is not set\n";
my $first = 0 + ($ENV{SEC_SEED} // 1);
my $batches = $ENV{SEC_BATCHES} // (defined $ENV{SEC_SEED} ? 1 : 8);
my $dir = $ENV{SEC_KEEP} // tempdir(CLEANUP => 1);
my $start = timegm(0, 0, 0, 1, 0, 2026);
my $traces_in_batch = 30;

sub pick { return $_[int rand @_] }

sub rfc3339
{
	my ($s, $m, $h, $day, $month, $year) = gmtime($_[0]);
	return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $year + 1900, $month + 1, $day, $h, $m, $s;
}

# Rules ---------------------------------------------------------------------------------------------------------------------------------------

# Each: name, type, window, letters of the lines it is about, and how many of them.
sub random_rules
{
	my @windows = map { 2 + int rand 12 } 1 .. 3;
	my @rules;
	for my $type (qw(threshold threshold count count temporal ordered ordered3 suppress suppress absence absence)) {
		my @letters = sort { $a->[0] <=> $b->[0] } map { [rand, $_] } qw(a b c);
		my $n = {temporal => 2, ordered => 2, ordered3 => 3, absence => 2}->{$type} // 1;
		push @rules, {name => 'r' . @rules, type => $type, window => pick(@windows), least => 1 + int rand 4,
			letters => [map { $_->[1] } @letters[0 .. $n - 1]]};
	}
	return @rules;
}

sub sec_rule
{
	my ($r) = @_;
	my @letters = @{$r->{letters}};
	my @pattern = map { qq{"x":"$_","k":"([\\w.]+)"} } @letters;
	my $rule = "desc=$r->{name} \$1\naction=write - $r->{name} \$1 %u\nwindow=$r->{window}\ncontinue=TakeNext\nptype=RegExp\npattern=$pattern[0]\n";
	return "type=SingleWithThreshold\nthresh=$r->{least}\n$rule" if $r->{type} eq 'threshold';
	return "type=SingleWithSuppress\n$rule" if $r->{type} eq 'suppress';
	if ($r->{type} eq 'absence') {
		return "type=PairWithWindow\n${rule}desc2=%1\naction2=none\ncontinue2=TakeNext\nptype2=RegExp\npattern2=" . ($pattern[1] =~ s/\(.*\)/\$1/r) . "\n";
	}
	$rule = 'type=EventGroup' . @letters . "\nmultact=yes\n$rule";
	$rule .= "thresh=$r->{least}\n" if $r->{type} eq 'count';
	$rule .= "continue$_=TakeNext\nptype$_=RegExp\npattern$_=$pattern[$_ - 1]\n" for 2 .. @letters;
	if ($r->{type} =~ /^ordered/) {
		$rule .= 'egptype=RegExp' . "\negpattern=" . join('.*', @letters) . "\$\negtoken=$letters[0]\n";
		$rule .= "egtoken$_=$letters[$_ - 1]\n" for 2 .. @letters;
	}
	return $rule;
}

sub tocsin_rule
{
	my ($r, $longer) = @_;
	my @letters = @{$r->{letters}};
	my $span = $r->{window} + $longer . 's';
	my $all = join ' and ', @letters;
	my ($type, $condition, $life) = @{{
		threshold => ['event_count', "{gte: $r->{least}}", ''],
		count => ['event_count', "{gte: $r->{least}}", 'update-every: 0s'],
		suppress => ['event_count', '{gte: 1}', "update-every: $span"],
		temporal => ['temporal', $all, 'update-every: 0s'],
		ordered => ['temporal_ordered', $all, 'update-every: 0s'],
		ordered3 => ['temporal_ordered', $all, 'update-every: 0s'],
		absence => ['temporal_ordered', $all =~ s/and /and not /r, 'resolve-after: 1s'],
	}->{$r->{type}}};
	return "title: $r->{name}\nname: $r->{name}\ncorrelation: {type: $type, rules: [" . join(', ', @letters) . "], group-by: [k], timespan: $span, " .
		"condition: $condition}\nincident: {$life}\n";
}

# Traces --------------------------------------------------------------------------------------------------------------------------------------

# Lines [second, letter, key, burst] in order of time. Each trace has keys of its own; a key has bursts that are so far apart that neither program
# remembers the one before.
sub random_traces
{
	my ($edges, @rules) = @_;
	my @windows = map { $_->{window} } @rules;
	my %is_window = map { $_ => 1 } @windows;
	my ($longest) = sort { $b <=> $a } @windows;
	my ($at, @lines) = (10);
	for my $trace (1 .. $traces_in_batch) {
		my ($begin, $letters) = ($at, pick(['a', 'b', 'c'], ['a', 'a', 'b', 'c'], ['a', 'b', 'b', 'c', 'c']));
		for my $key (1 .. 1 + int rand 3) {
			my $now = $begin + int rand 5;
			for my $burst (1 .. 1 + int rand 3) {
				my @times = ($now);
				for (1 .. int rand 14) {
					my $next = rand() < 0.5 ? $times[-1] + pick(0, 0, 1, 1, 2, 3) : pick(@times) + pick(@windows) + pick(-1, 0, 0, 1, 1);
					$next = $times[-1] if $next < $times[-1];
					next if $next > $times[-1] + $longest;
					$next++ while !$edges && grep { $is_window{$next - $_} } @times;
					push @times, $next;
				}
				push @lines, map { [$_, pick(@$letters), "t$trace.k$key", $burst] } @times;
				$now = $times[-1] + $longest + 1 + int rand 4;
				$at = $now if $now > $at;
			}
		}
		$at += $longest;
	}
	my @order = sort { $lines[$a][0] <=> $lines[$b][0] || $a <=> $b } 0 .. $#lines;
	return [@lines[@order]], $at + 2 * $longest;
}

sub json { my ($at, $letter, $key) = @_; return sprintf qq({"ts":"%s","x":"%s","k":"%s"}\n), rfc3339($start + $at), $letter, $key }

# Both programs -------------------------------------------------------------------------------------------------------------------------------

sub write_file { my ($path, $text) = @_; open my $f, '>', $path or die "$path: $!"; print $f $text; close $f or die "$path: $!" }

sub slurp { my ($path) = @_; open my $f, '<', $path or die "$path: $!"; local $/; return <$f> // '' }

sub output_of
{
	my ($what, @command) = @_;
	open my $f, '-|', 'sh', '-c', 'exec "$@" 2> "$0"', "$dir/$what.told", @command or die "$what: $!";
	my @lines = <$f>;
	close $f and return @lines;
	die "$what failed: ", slurp("$dir/$what.told");
}

# What each rule says of each key: {rule}{key} = [seconds]
sub sec_says
{
	my ($rules, $lines, $end) = @_;
	my ($text, $second) = ('', 0);
	for my $line (@$lines, [$end]) {
		$text .= json(++$second, 'tick', '') while $second < $line->[0];
		$text .= json(@$line) if defined $line->[1];
	}
	write_file("$dir/sec.log", $text);
	write_file("$dir/sec.conf", join "\n", "type=Single\nptype=PerlFunc\npattern=sub { SecClock::read_stamp(\$_[0]); return 0 }\ndesc=clock\naction=none\n",
		map { sec_rule($_) } @$rules);
	my %says;
	unlink "$dir/sec.complaints";
	my @told = output_of('sec', 'perl', "-I$here", '-MSecClock', $sec, "--conf=$dir/sec.conf", "--input=$dir/sec.log", '--notail', '--fromstart', '--debug=3',
		"--log=$dir/sec.complaints");
	die 'SEC: ', slurp("$dir/sec.complaints") if -s "$dir/sec.complaints";
	for (@told) {
		my ($rule, $key, $time) = split;
		push @{$says{$rule}{$key}}, $time - $start;
	}
	return \%says;
}

sub tocsin_says
{
	my ($rules, $lines, $end, $longer) = @_;
	write_file("$dir/tocsin.log", join '', map { json(@$_) } @$lines, [$end, 'tick', '']);
	write_file("$dir/tocsin.yml", join "---\n", (map { "title: $_\nname: $_\nlogsource: {product: gastown, service: json}\ndetection: {s: {x: $_}, condition: s}\n" } qw(a b c)),
		map { tocsin_rule($_, $longer) } @$rules);
	my %says;
	for (output_of('tocsin', $tocsin, '-q', '-r', "$dir/tocsin.yml", '-o', 'jsonl', '--lateness', '0', "json=$dir/tocsin.log")) {
		my ($state, $rule, $key, $year, $month, $day, $h, $m, $s) = /"state":"(\w+)","rule":"(\w+)",.*?"key":\{"k":"([^"]*)"\},.*?"time":"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(?:\.0+)?Z"/
			or die "not understood: $_";
		push @{$says{$rule}{$key}}, timegm($s, $m, $h, $day, $month - 1, $year) - $start if $state ne 'resolved';
	}
	return \%says;
}

# Comparison ----------------------------------------------------------------------------------------------------------------------------------

# Of seconds, the first of each burst.
sub first_of_bursts
{
	my ($bursts, @seconds) = @_;
	my %first;
	for my $second (@seconds) {
		my ($burst) = grep { $bursts->{$_}[0] <= $second && $second <= $bursts->{$_}[1] } keys %$bursts;
		$first{$burst} //= $second;
	}
	return sort { $a <=> $b } values %first;
}

sub on_edge
{
	my ($window, @times) = @_;
	my %at = map { $_ => 1 } @times;
	return grep { $at{$_ + $window} } @times;
}

my %told;   # firings that were compared, by type

# Compares what both say of a batch. longer: seconds by which tocsin's spans are longer; later: those by which SEC sees an absence later. Returns
# the differences, as [rule, key, SEC's seconds, tocsin's].
sub compare
{
	my ($rules, $lines, $end, $sec_says, $longer, $later) = @_;
	my $tocsin_says = tocsin_says($rules, $lines, $end, $longer);
	my (%bursts, @differences);
	for (@$lines) {
		my ($at, undef, $key, $burst) = @$_;
		$bursts{$key}{$burst}[0] //= $at;
		$bursts{$key}{$burst}[1] = $at;
	}
	for my $r (@$rules) {
		for my $key (sort keys %bursts) {
			my @sec = @{$sec_says->{$r->{name}}{$key} // []};
			my @tocsin = @{$tocsin_says->{$r->{name}}{$key} // []};
			@sec = map { $_ - $later } @sec if $r->{type} eq 'absence';
			@$_ = first_of_bursts($bursts{$key}, @$_) for $r->{type} eq 'threshold' ? (\@sec, \@tocsin) : ();
			push @differences, [$r, $key, "@sec", "@tocsin"] if "@sec" ne "@tocsin";
			$told{$r->{type}} += @sec;
		}
	}
	return @differences;
}

sub show
{
	my ($batch, $lines, $longer, $difference) = @_;
	my ($r, $key, $sec, $tocsin) = @$difference;
	print "# batch $batch, rule $r->{type}, key $key: SEC [$sec], tocsin [$tocsin]; replay: SEC_SEED=$batch SEC_KEEP=DIR\n";
	print "#   $_\n" for split(/\n/, sec_rule($r)), split(/\n/, tocsin_rule($r, $longer)), 'lines: ' . join ' ', map { "$_->[0]$_->[1]" } grep { $_->[2] eq $key } @$lines;
}

my $n = 0;

sub result
{
	my ($good, $what) = @_;
	print $good ? 'ok ' : 'not ok ', ++$n, " - $what\n";
}

$| = 1;
my ($off, $on, $shifted, $unexplained, %at_edge) = (0, 0, 0, 0);
my ($traces, $count) = ($batches * $traces_in_batch, 0);
for my $batch ($first .. $first + $batches - 1) {
	for my $edges (0, 1) {
		srand($batch * 2 + $edges);
		my @rules = random_rules();
		my ($lines, $end) = random_traces($edges, @rules);
		my $sec_says = sec_says(\@rules, $lines, $end);
		$count += @$lines;
		my @wrong = compare(\@rules, $lines, $end, $sec_says, $edges, 1 - $edges);
		show($batch, $lines, $edges, $_) for @wrong > 3 ? @wrong[0 .. 2] : @wrong;
		($edges ? $on : $off) += @wrong;
		next if !$edges;

		# The same traces, and now a fault: the windows do not mean the same.
		for my $difference (compare(\@rules, $lines, $end, $sec_says, 0, 1)) {
			my ($r, $key) = @$difference;
			my $edge = on_edge($r->{window}, map { $_->[0] } grep { $_->[2] eq $key } @$lines);
			$at_edge{$r->{type}}++;
			next if $edge;
			show($batch, $lines, 0, $difference) if !$unexplained++;
		}
	}
}
result(!$off, "no two lines a window apart: the same rules, the same answers ($traces traces)");
result(!$on, "at the edges: SEC's window of W seconds is a timespan of W + 1 ($traces traces)");
result(!$unexplained, "a timespan of W differs only where two lines are exactly W apart");
my @types = qw(threshold count temporal ordered ordered3 suppress absence);
my $few = $batches < 8;      # to expect something of everything
result($few || !grep({ !$told{$_} } @types), 'every type of rule told something: ' . join ', ', map { "$_ " . ($told{$_} // 0) } @types);
result($few || !grep({ !$at_edge{$_} } @types), 'and the edge was seen in each: ' . join ', ', map { "$_ " . ($at_edge{$_} // 0) } @types);
print "# $count lines\n1..$n\n";
