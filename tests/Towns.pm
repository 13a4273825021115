package Towns;
# Logs for tests of the whole program: the towns on disk, towns made up from a seed, their lines with the time of each, and how outputs compare.
# Times are milliseconds since the epoch, UTC.
use strict;
use warnings;
use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Time::Local qw(timegm);

our @EXPORT = qw(slurp read_file write_file canonical log_text towns_on_disk town_records made_up_town rfc3339 time_of %layout @log_order);

# The town's layout, in tocsin's fixed order.
our @log_order = ('logs/town.log', '.events.jsonl', 'daemon/daemon.log', 'overseer/overseer.log', 'logs/guardian.log', 'logs/ps.log');
our %layout = ('logs/town.log' => 'town', '.events.jsonl' => 'events', 'daemon/daemon.log' => 'daemon',
	'overseer/overseer.log' => 'overseer', 'logs/guardian.log' => 'guardian', 'logs/ps.log' => 'ps');

# What a command prints.
sub slurp
{
	my ($cmd) = @_;
	open my $f, '-|', @$cmd or die "$cmd->[0]: $!";
	binmode $f;
	local $/;
	my $text = <$f>;
	close $f;
	return $text // '';
}

sub read_file
{
	my ($path) = @_;
	open my $f, '<', $path or return '';
	binmode $f;
	local $/;
	return scalar(<$f>) // '';
}

sub write_file
{
	my ($path, $bytes) = @_;
	make_path(dirname($path));
	open my $f, '>', $path or die "$path: $!";
	binmode $f;
	print $f $bytes;
	close $f or die "$path: $!";
}

# JSON lines without what may differ: where the evidence was read.
sub canonical
{
	my ($text) = @_;
	$text =~ s/"file":"(?:[^"\\]|\\.)*","line":\d+/"file":"","line":0/g;
	return $text;
}

# ---- towns on disk ----

# The sample, and the real towns where they are.
sub towns_on_disk
{
	my ($source) = @_;
	my $data = $ENV{TOCSIN_DATA} // "$source/../shared/data";
	return ("$source/samples/mm-nt7lt", grep { -d "$_/logs" } glob("$data/*"));
}

# The whole plain text of one log of a town: its generations, oldest first.
sub log_text
{
	my ($town, $path) = @_;
	my %age = map { $_ => (m/\.log(?:\.jsonl)?\.(\d+)/ ? $1 : 0) } glob("$town/$path*");
	my $text = '';
	for my $f (sort { $age{$b} <=> $age{$a} } keys %age) {
		$text .= slurp($f =~ /\.gz$/ ? ['gzip', '-dc', $f] : $f =~ /\.zst$/ ? ['zstd', '-dcq', $f] : $f =~ /\.xz$/ ? ['xz', '-dc', $f] : ['cat', $f]);
	}
	return $text;
}

# The time of a line, where it says one.
sub time_of
{
	my ($line) = @_;
	return undef unless $line =~ m{(?:^|"ts":"|^\[[^\]]*\]\s+|^\[)(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?};
	my $ms = 1000 * timegm($6, $5, $4, $3, $2 - 1, $1);
	if (defined $7) { $ms += int(substr("${7}000", 0, 3)) + (substr($7, 3) =~ /[1-9]/ ? 1 : 0) }
	if (defined $8 && $8 =~ /^([+-])(\d\d):?(\d\d)$/) { my $off = 60000 * (60 * $2 + $3); $ms += $1 eq '+' ? -$off : $off }
	return $ms;
}

# path => [[time, bytes], …]: a record is a line with a time and the lines without one behind it.
sub town_records
{
	my ($town) = @_;
	my %records;
	for my $path (@log_order) {
		my @list;
		for my $line (split /(?<=\n)/, log_text($town, $path)) {
			$line .= "\n" unless $line =~ /\n\z/;
			my $t = time_of($line);
			if (defined $t) { push @list, [$t, $line] }
			elsif (@list) { $list[-1][1] .= $line } # what comes before the first stamp is left out: its time is the file's
		}
		$records{$path} = \@list if @list;
	}
	return \%records;
}

sub rfc3339
{
	my ($ms) = @_;
	my @t = gmtime(int($ms / 1000));
	return sprintf('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0], $ms % 1000);
}

# ---- towns made up ----

sub pick { return $_[int rand @_] }

# "2026-02-17 05:06:07" with other separators
sub stamp
{
	my ($ms, $date, $between) = @_;
	my @t = gmtime(int($ms / 1000));
	return sprintf("%04d%s%02d%s%02d%s%02d:%02d:%02d", $t[5] + 1900, $date, $t[4] + 1, $date, $t[3], $between, @t[2, 1, 0]);
}

my @rigs = qw(alpha beta gamma);
sub an_agent { my $r = pick(@rigs); return pick("$r/witness", "$r/refinery", "$r/polecats/nux", "$r/polecats/rust", 'mayor') }

my %line_of = (
	'logs/town.log' => sub {
		my ($ms) = @_;
		my $agent = an_agent();
		my $at = stamp($ms, '-', ' ');
		my $kind = rand;
		return "$at [kill] $agent killed (" . pick('lost', 'stuck', 'no answer', 'self-clean: done means gone') . ")\n" if $kind < 0.35;
		return "$at [done] $agent completed bd-" . int(rand 1000) . "\n" if $kind < 0.5;
		return "$at [spawn] $agent spawned for bd-" . int(rand 1000) . "\n" if $kind < 0.65;
		return "$at [crash] $agent exited unexpectedly (exit code " . int(rand 256) . " (session: s" . int(rand 100) . "))\n" if $kind < 0.7;
		return "$at [handoff] $agent handed off (a subject\nof two lines)\n" if $kind < 0.75;
		return "$at [nudge] $agent nudged with \"[from mayor] say \\\"hi\\\" \\xff\"\n";
	},
	'.events.jsonl' => sub {
		my ($ms) = @_;
		my $agent = an_agent();
		my $type = pick(qw(session_death session_start nudge handoff kill));
		my $at = rand() < 0.5 ? stamp($ms - $ms % 1000, '-', 'T') . 'Z' : substr(rfc3339($ms), 0, 23) . 'Z';
		return "{\"ts\":\"$at\",\"source\":\"gt\",\"type\":\"$type\",\"actor\":\"$agent\",\"payload\":{\"reason\":\"r" . int(rand 5) .
			"\",\"cost\":" . int(rand 100) . ",\"n\":" . int(rand 1e9) . "},\"visibility\":\"feed\"}\n";
	},
	'daemon/daemon.log' => sub {
		my ($ms) = @_;
		my $at = stamp($ms, '/', ' ');
		return "$at Heartbeat complete (#" . int(rand 10000) . ")\n" if rand() < 0.5;
		return "$at Refinery for alpha already running, skipping spawn\n" if rand() < 0.5;
		return "$at start of witness for " . pick(@rigs) . " failed: exit status 1\n\tgoroutine " . int(5 + rand 4) . " [running]:\n" .
			join('', map { "\t  frame $_ of " . int(rand 1e6) . "\n" } 1 .. 1 + int rand 5);
	},
	'overseer/overseer.log' => sub {
		my ($ms) = @_;
		return stamp($ms, '-', ' ') . sprintf(',%03d', $ms % 1000) . ' - overseer - ' .
			(rand() < 0.4 ? 'WARNING - ' . pick(@rigs) . "/refinery stuck for " . int(rand 60) . "m\n" : "INFO - checked 14 agents, 0 still\n");
	},
	'logs/guardian.log' => sub {
		my ($ms) = @_;
		my $pid = int(4000 + rand 10);
		return '[' . stamp($ms, '-', ' ') . "] GT-GUARDIAN: disk 61% used\n" if rand() < 0.4;
		return '[' . stamp($ms, '-', ' ') . "] GT-GUARDIAN: Runaway pytest detected PID=$pid runtime=1860s\n" .
			"\xe2\x9a\xa0 RUNAWAY: PID $pid (1860s) - python -m pytest tests/\n   \xe2\x9c\x93 Killed PID $pid\n";
	},
);

# Snapshots, as a cron job of { date -Is; ps -eo …; } makes them.
sub snapshots
{
	my ($from, $to) = @_;
	my (@list, @processes);
	my $step = pick(20, 30, 60) * 1000;
	for (1 .. 3 + int rand 6) {
		my $begin = $from - 300_000 + int rand($to - $from + 300_000);
		push @processes, { pid => 4000 + int(rand 6), begin => $begin - $begin % 1000, end => $begin + 60_000 + int(rand 1_200_000),
			rig => pick(@rigs), cpu => pick(3, 50, 91, 97) };
	}
	for (my $t = $from + int rand $step; $t < $to; $t += $step + (rand() < 0.1 ? 4 * $step : 0)) {
		my $sec = $t - $t % 1000;
		my $text = stamp($sec, '-', 'T') . "+00:00\n    PID    PPID USER     %CPU ELAPSED     TIME COMMAND\n";
		my %seen;
		my @rows = sort { $a->{pid} <=> $b->{pid} } grep { $_->{begin} <= $sec && $sec < $_->{end} && !$seen{ $_->{pid} }++ } @processes;
		for my $p ({ pid => 1, begin => $from - 3_000_000_000, rig => '', cpu => 0 }, @rows) {
			my $age = int(($sec - $p->{begin}) / 1000);
			my $cpu = int($age * $p->{cpu} / 100);
			$text .= sprintf("%7d %7d op       %4.1f %7d %02d:%02d:%02d %s\n", $p->{pid}, $p->{pid} == 1 ? 0 : 1, $p->{cpu}, $age, int($cpu / 3600),
				int($cpu / 60) % 60, $cpu % 60, $p->{pid} == 1 ? '/sbin/init' : "/home/op/gt/$p->{rig}/rig/.venv/bin/python -m pytest -q");
		}
		push @list, [$sec, $text];
	}
	return @list;
}

# A town out of the generator's present state (srand): stamps often equal, between logs too, and out of order by at most lateness ms.
sub made_up_town
{
	my ($lateness) = @_;
	my $from = 1000 * timegm(0, int(rand 60), int(rand 24), 1 + int(rand 28), int(rand 6), 2026);
	my $to = $from + 60_000 * (8 + int rand 50);
	my @instants = map { my $t = $from + int rand($to - $from); $t - $t % 1000 } 1 .. 12;
	my %records;
	for my $path (@log_order) {
		next if rand() < 0.25 && $path ne 'logs/town.log';
		if ($path eq 'logs/ps.log') {
			$records{$path} = [snapshots($from, $to)];
			next;
		}
		my $n = 5 + int rand 90;
		my $quiet_until = rand() < 0.2 ? $from + int(0.7 * ($to - $from)) : $from; # a log that appears late
		my @at = sort { $a <=> $b } map { rand() < 0.3 ? pick(@instants) : $from + int rand($to - $from) } 1 .. $n;
		@at = grep { $_ >= $quiet_until } @at;
		my @list;
		for my $t (@at) {
			my $line = $line_of{$path}->($t);
			push @list, [time_of($line), $line];
		}
		my $jitter = rand() < 0.5 ? $lateness : 0;
		my %place = map { $_ => $list[$_][0] + int rand($jitter + 1) } 0 .. $#list;
		@list = map { $list[$_] } sort { $place{$a} <=> $place{$b} || $a <=> $b } 0 .. $#list;
		$records{$path} = \@list if @list;
	}
	return \%records;
}

1;
