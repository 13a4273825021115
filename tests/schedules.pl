# The property that tocsin is for: whatever happens to the logs and to the program while they grow, the incidents on file are those of one
# uninterrupted replay, byte for byte.
#
# A seed makes a schedule: a town's records, when each piece of them is written, and steps in between: cron runs, follow sessions, rotations of
# every kind, compression, kill -9. Time is simulated (preload/clock.so), so a day passes in a second. A record is written between its
# stamp and its stamp + lateness, which is what the promise asks for; it may be written in pieces.
#
# After every step that ends well, and whenever a follower has fallen asleep, what stands on file must be exactly the beginning of the
# replay's that belongs to the watermark: nothing too early, nothing too late, nothing twice. At the end it must be all of it.
#
#	SCHEDULE_SEED=N       this schedule only, told step by step; a failing one is made smaller first
#	SCHEDULE_CASES=N      how many (default 300)
#	SCHEDULE_FIRST=N      the first seed (default 1)
#	SCHEDULE_SECONDS=N    begin no new one after so long
#	SCHEDULE_KEEP=DIR     where what is left of failing ones goes
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Path qw(make_path remove_tree);
use FindBin;
use List::Util qw(min max sum0 first);
use POSIX qw(:sys_wait_h _exit);
use Time::HiRes qw(sleep time);
use lib $FindBin::Bin;
use Towns;

my $tocsin = $ENV{TOCSIN} or die "TOCSIN is not set\n";
my $source = $ENV{TOCSIN_SOURCE} or die "TOCSIN_SOURCE is not set\n";
my $preload = ($ENV{TOCSIN_PRELOAD} // "$ENV{TOCSIN_BUILD}/tests/preload");
my $cases = $ENV{SCHEDULE_CASES} // 300;
my $first_seed = $ENV{SCHEDULE_SEED} // $ENV{SCHEDULE_FIRST} // 1;
my $seconds = $ENV{SCHEDULE_SECONDS};
my $verbose = defined $ENV{SCHEDULE_SEED};
$cases = 1 if $verbose;
my $work = ($ENV{TMPDIR} // '/tmp') . "/tocsin-schedules-$$";
my $keep = $ENV{SCHEDULE_KEEP};
my $patience = 20; # seconds after which the program is taken to hang
$ENV{TZ} = 'UTC';
my %count; # what was tried, for the last line
my ($session, $following);
END { kill 'KILL', $session if $session; remove_tree($work) if $work && !$keep }
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# ---- schedules ----
#
# {town, lateness, rules, records: {path => [[[time, bytes], …], …]}, steps: [{at, do, …}, …]}; only data, so that it can be cut down.

sub chance { return rand() < $_[0] }
sub pick { return $_[int rand @_] }

my @lateness = (0, 1000, 2000, 2000, 10_000, 60_000);
my %on_disk; # records by town

# When each record is written: [time, bytes] for each piece.
sub write_times
{
	my ($list, $lateness) = @_;
	my (@newest, @deadline, @written);
	my ($high, $low) = (0, 9e15);
	for my $r (@$list) { push @newest, $high = max($high, $r->[0]) }
	for my $r (reverse @$list) { unshift @deadline, $low = min($low, $r->[0] + $lateness) }
	my $habit = pick('prompt', 'late', 'random', 'rounds');
	my $cut = pick(0, 0.02, 0.2);
	my $round = pick(1000, 5000, 60_000);
	my $last = 0;
	for my $i (0 .. $#$list) {
		my ($from, $to) = ($newest[$i], $deadline[$i]);
		my $t = $habit eq 'prompt' ? $from : $habit eq 'late' ? $to : $from + int rand($to - $from + 1);
		if ($habit eq 'rounds') { my $r = $from + (-$from) % $round; $t = $r if $r <= $to }
		$t = max($t, $last);
		my $bytes = $list->[$i][1];
		my @pieces;
		# Flushed half way. The rest must come before the record's time is up.
		while (chance($cut) && length $bytes > 1 && $t + 1 < $to && @pieces < 3) {
			push @pieces, [$t, substr($bytes, 0, 1 + int rand(length($bytes) - 1), '')];
			$t += 1 + int rand($to - $t - 1);
		}
		push @pieces, [$t, $bytes];
		$last = $t;
		push @written, \@pieces;
	}
	return \@written;
}

sub make_schedule
{
	my ($seed) = @_;
	srand $seed;
	my $s = { seed => $seed, lateness => pick(@lateness), records => {}, steps => [] };
	my ($records, $name);
	my @towns = towns_on_disk($source);
	my $which = rand;
	if ($which < 0.7) {
		($name, $records) = ('made up', made_up_town($s->{lateness}));
		$s->{rules} = "$source/tests/schedules.yml";
	} else {
		my $town = $which < 0.85 ? $towns[0] : pick(@towns);
		$on_disk{$town} //= town_records($town);
		($name, $records) = (basename($town), $on_disk{$town});
		$s->{rules} = pick("$source/rules", "$source/tests/schedules.yml");
	}
	$s->{town} = $name;

	# Of a town on disk a part of its time, and nothing that comes later than the lateness: the promise is not about that.
	my @times = sort { $a <=> $b } map { map { $_->[0] } @$_ } values %$records;
	my ($from, $to) = @times[0, -1];
	if ($name ne 'made up') {
		$from = $times[int rand @times];
		$to = min($times[-1], $from + 60_000 * pick(20, 60, 180, 600));
	}
	for my $path (sort keys %$records) {
		my ($high, @list) = (0);
		for my $r (@{ $records->{$path} }) {
			next if $r->[0] < $from || $r->[0] > $to || $r->[0] < $high - $s->{lateness};
			$high = max($high, $r->[0]);
			push @list, $r;
			last if @list == 1500;
		}
		$s->{records}{$path} = write_times(\@list, $s->{lateness}) if @list;
	}
	my @paths = sort keys %{ $s->{records} };

	# Some towns are run once a minute, some are followed, some are both.
	my %weight = (cron => 1 + int rand 6, start => int rand 4, rename => int rand 4, compress => int rand 4, copytruncate => int rand 2,
		prune => int rand 3, drop => int rand 2, kill => int rand 2, intrude => int rand 2, clock_back => int rand 2);
	$weight{start} = 1 unless $weight{cron} || $weight{start};
	# And some are followed from the first line to the last, without a checkpoint.
	if (chance(0.15)) {
		$s->{no_checkpoint} = 1;
		$weight{$_} = 0 for qw(cron start prune drop kill intrude);
		$weight{rename} += 1;
		push @{ $s->{steps} }, { at => $from - 3000, do => 'start', sync => pick(0, 0.05, 1), wait => 1 };
	}
	my @urn = map { ($_) x $weight{$_} } sort keys %weight;
	my %scheme = map { $_ => pick('number', 'number', 'date', 'epoch', /daemon/ ? 'inner' : 'number') } @paths;
	$s->{scheme} = \%scheme;
	my @at = sort { $a <=> $b } map { $from - 2000 + int rand($to - $from + 5000 + $s->{lateness}) } 1 .. 3 + int rand 18;
	for my $at (@at) {
		my $do = pick(@urn);
		my $step = { at => $at, do => $do };
		$step->{log} = pick(@paths) if $do =~ /^(?:rename|compress|copytruncate|prune|drop)$/;
		if ($do eq 'cron') {
			$step->{until} = chance(0.3) ? 'now' : 'time';
			$step->{fault} = a_kill() if chance(0.2);
		} elsif ($do eq 'start') {
			$step->{sync} = pick(0, 0, 0.05, 1);
			$step->{wait} = chance(0.8);
			$step->{fault} = a_kill() if chance(0.15);
			# A session has an end, by hand or by force.
			push @{ $s->{steps} }, { at => $at + int rand($to - $at + 1000), do => pick('stop', 'stop', 'stop', 'kill') } if $at < $to;
		} elsif ($do eq 'rename') {
			$step->{create} = chance(0.5);
		} elsif ($do eq 'compress') {
			$step->{how} = pick(qw(gz zst xz));
			$step->{half} = chance(0.2);   # the archiver is slow: there is half an archive, and the plain file still
			$step->{parts} = chance(0.2);  # of several members or frames
			$step->{newest} = chance(0.7);
		} elsif ($do eq 'prune') {
			$step->{keep} = rand;
		} elsif ($do eq 'kill') {
			$step->{pause} = chance(0.5) ? rand(0.01) : 0;
		} elsif ($do eq 'clock_back') {
			$step->{by} = pick(1, 1000, 3_600_000);
		}
		push @{ $s->{steps} }, $step;
	}
	@{ $s->{steps} } = map { $s->{steps}[$_] } sort { $s->{steps}[$a]{at} <=> $s->{steps}[$b]{at} || $a <=> $b } 0 .. $#{ $s->{steps} };
	# Time is fast here: in a hurry hours pass between two looks of a follower, and logs are rotated twice meanwhile.
	$s->{hurry} = chance(0.3);
	return $s;
}

# How a run is killed: at one of its calls that change a file, or at any instant.
sub a_kill
{
	return chance(0.6) ? { at => 1 + int rand 40, kind => pick('kill-before', 'kill-after', 'kill-torn') } : { after => rand(0.05) };
}

sub show_step
{
	my ($step) = @_;
	my %rest = %$step;
	delete @rest{qw(at do)};
	my $more = join ' ', map { my $v = $rest{$_}; "$_=" . (ref $v ? join ',', map { "$_:$v->{$_}" } sort keys %$v : $v) } sort keys %rest;
	return rfc3339($step->{at}) . " $step->{do}" . ($more ne '' ? " ($more)" : '');
}

# ---- the clock ----

my $clock_file = "$work/clock";
my ($clock_fh, $turn);

sub clock_begin
{
	write_file($clock_file, "\0" x 4096);
	open $clock_fh, '+<', $clock_file or die "$clock_file: $!";
	binmode $clock_fh;
	$turn = 0;
}

sub clock_set
{
	my ($ms, $ns) = @_;
	my $next = $turn + 1;
	sysseek $clock_fh, 8 * ($next & 1), 0;
	syswrite $clock_fh, pack('q', $ms * 1_000_000 + ($ns // 0)) or die;
	sysseek $clock_fh, 16, 0;
	syswrite $clock_fh, pack('Q', $turn = $next) or die;
}

# (looks, asleep)
sub clock_looks
{
	sysseek $clock_fh, 24, 0;
	sysread $clock_fh, my $bytes, 16;
	return unpack 'QQ', $bytes;
}

# ---- the world: files of a town, and the program ----
#
# Of each log: text (all of it, as it will be in the end), written (how much of that has been), generations (oldest first: name, start, end, packed),
# live (start of the live file in text; undef: there is none), safe (what a run that ended well has read).

my ($w, $problem);

sub counted { $count{$_[0]}++ unless $w->{silent} }

sub fail { $problem //= join '', @_; return 0 }

sub say_step { print "# ", @_, "\n" if $verbose && $w && !$w->{silent} }

sub path_of { my ($log, $name) = @_; return "$w->{dir}/town/" . dirname($log->{path}) . "/$name" }

# Changes a file at the simulated time. The kernel stamps it with its own before that: a follower that looked in between would keep a time of the far
# future, and what is rotated after it would be older. So it stands still meanwhile.
sub stamped
{
	my ($file, $change, @times) = @_;
	@times = ($w->{now} / 1000) x 2 unless @times;
	if ($session) {
		kill 'STOP', $session;
		sleep 0.0001 until (read_file("/proc/$session/stat") =~ /.*\) (\S)/s ? $1 : 'Z') =~ /[TZX]/;
	}
	$change->();
	utime @times, $file;
	kill 'CONT', $session if $session;
}

sub append_bytes
{
	my ($log, $bytes) = @_;
	my $file;
	my $generation = $log->{generations}[-1];
	if (!defined $log->{live} && $generation && $log->{mid_line}) {
		$file = path_of($log, $generation->{name}); # the writer still has the file open that was renamed
		$generation->{end} += length $bytes;
	} else {
		$file = path_of($log, basename($log->{path}));
		$log->{live} //= $log->{written};
		make_path(dirname($file));
	}
	open my $f, '>>', $file or die "$file: $!";
	binmode $f;
	stamped($file, sub { syswrite($f, $bytes) == length $bytes or die "$file: $!" });
	close $f;
	$log->{written} += length $bytes;
	$log->{mid_line} = substr($bytes, -1) ne "\n";
}

# Lets time pass, and what is written meanwhile be written. While there is a follower, the clock stands at the time of each piece.
sub go_to
{
	my ($t) = @_;
	while (@{ $w->{pieces} } && $w->{pieces}[0][0] <= $t) {
		my $piece = shift @{ $w->{pieces} };
		if ($piece->[0] != $w->{now} || !$w->{clock_is_set}) {
			$w->{now} = $piece->[0];
			if ($session) { clock_set($w->{now}); $w->{clock_is_set} = 1 }
		}
		append_bytes($w->{logs}{ $piece->[1] }, $piece->[2]);
		if ($session && $following->{sync} && rand() < $following->{sync} && (!@{ $w->{pieces} } || $w->{pieces}[0][0] > $w->{now})) {
			look_asleep() or return 0;
		}
	}
	$w->{now} = $t;
	clock_set($t);
	$w->{clock_is_set} = 1;
	return 1;
}

# How many lines of the replay's jsonl belong to a watermark: at least, at most.
sub lines_due
{
	my ($now) = @_;
	my $mark = $now - $w->{s}{lateness};
	my ($least, $most) = (0, 0);
	for my $t (@{ $w->{want_times} }) {
		$least++ if $t < $mark;
		$most++ if $t <= $mark + 1;
	}
	return ($least, $most);
}

# What is on file must be the beginning of the replay's. torn: the program was killed, the last line may be cut.
sub check_output
{
	my ($when, $now, $torn) = @_;
	my $got = canonical(read_file("$w->{dir}/out.jsonl"));
	my $commands = read_file("$w->{dir}/out.commands");
	if ($torn) { $got =~ s/[^\n]*\z//; $commands =~ s/[^\n]*\z// }
	return fail("$when: out.jsonl is not the beginning of the replay's") if $got ne substr($w->{want}, 0, length $got);
	return fail("$when: out.commands is not the beginning of the replay's") if $commands ne substr($w->{want_commands}, 0, length $commands);
	return 1 if $torn;
	my ($least, $most) = lines_due($now);
	$least = 0 if grep { $_->{mid_line} } values %{ $w->{logs} }; # half a line may be anything: it is waited for
	my $n = $got =~ tr/\n//;
	return fail("$when at ", rfc3339($now), ": $n state changes are on file, the watermark asks for $least", $most > $least ? " to $most" : '') if $n < $least || $n > $most;
	return 1;
}

my @clean_environment = ('CLOCK_FILE', 'FAULT_AT', 'FAULT', 'FAULT_FILES', 'FAULT_CALLS', 'FAULT_STAYS', 'FAULT_LOG', 'LD_PRELOAD');

sub spawn
{
	my ($fault, @args) = @_;
	my $err = "$w->{dir}/stderr";
	my $pid = fork() // die "fork: $!";
	return $pid if $pid;
	delete @ENV{@clean_environment};
	$ENV{LD_PRELOAD} = "$preload/clock.so" . ($fault && $fault->{kind} ? " $preload/faults.so" : '');
	$ENV{CLOCK_FILE} = $clock_file;
	@ENV{'FAULT_AT', 'FAULT'} = @$fault{'at', 'kind'} if $fault && $fault->{kind};
	$ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS}, 'verify_asan_link_order=0';
	open STDIN, '<', '/dev/null';
	open STDOUT, '>>', $err;
	open STDERR, '>>', $err;
	exec { $args[0] } @args or _exit(127);
}

sub options
{
	my ($out) = @_;
	return ('-r', $w->{s}{rules}, '--tz', 'UTC', '--lateness', "$w->{s}{lateness}ms", '-o', "jsonl=$out.jsonl", '-o', "commands=$out.commands");
}

sub checkpoint { return $w->{s}{no_checkpoint} ? () : ('--checkpoint', "$w->{dir}/checkpoint") }

# Waits for the program to end; its status, or undef when it does not end.
sub wait_for
{
	my ($pid) = @_;
	for (my $until = time + $patience; time < $until; sleep 0.0005) {
		return $? if waitpid($pid, WNOHANG) == $pid;
	}
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return undef;
}

sub status_text
{
	my ($status) = @_;
	return !defined $status ? "hangs ($patience s)" : WIFSIGNALED($status) ? 'died of signal ' . WTERMSIG($status) : 'exit status ' . WEXITSTATUS($status);
}

# All that is written has been read, and that is on record.
sub mark_safe { $_->{safe} = $_->{written} for values %{ $w->{logs} } }

sub run_cron
{
	my ($step) = @_;
	my $until = ($step->{until} // 'time') eq 'now' ? 'now' : rfc3339($w->{now});
	my $pid = spawn($step->{fault}, $tocsin, options("$w->{dir}/out"), checkpoint(), '--until', $until, "$w->{dir}/town");
	if ($step->{fault} && $step->{fault}{after}) {
		sleep $step->{fault}{after};
		kill 'KILL', $pid;
	}
	my $status = wait_for($pid);
	if ($step->{fault} && defined $status && WIFSIGNALED($status) && WTERMSIG($status) == 9) {
		counted('kill -9');
		return check_output('after kill -9', $w->{now}, 1);
	}
	return fail('cron run: ', status_text($status)) if !defined $status || $status != 0;
	counted('cron runs');
	mark_safe();
	return check_output('after a cron run', $w->{now});
}

# The follower has ended: was it we who killed it?
sub session_over
{
	my ($status, $killed) = @_;
	my $fault = $following->{fault};
	$session = undef;
	if (defined $status && WIFSIGNALED($status) && WTERMSIG($status) == 9 && ($killed || $fault)) {
		counted('kill -9');
		return check_output('after kill -9 of a follower', $w->{now}, 1);
	}
	return fail('follower: ', status_text($status)) if !defined $status || $status != 0;
	return fail('follower ended by itself') unless $following->{stopping};
	counted('follow sessions');
	mark_safe();
	return check_output('after a follow session', $w->{now});
}

# Waits until the follower has nothing to do. False: it failed. Time goes on a little: a deadline that came due while it was busy is told as soon as it
# sleeps, but sleeping takes a moment.
sub asleep
{
	my ($at) = @_;
	return 0 unless nothing_to_do();
	return 1 unless $session;
	clock_set($at // $w->{now}, 500_000);
	return nothing_to_do();
}

sub nothing_to_do
{
	my ($from) = clock_looks();
	for (my $until = time + $patience; time < $until; sleep 0.0003) {
		my ($looks, $asleep) = clock_looks();
		return 1 if $asleep && $looks >= $from + 2;
		if (waitpid($session, WNOHANG) == $session) {
			session_over($?) or return 0;
			return 1;
		}
	}
	return fail("follower does not fall asleep within $patience s");
}

sub look_asleep
{
	return 0 unless asleep();
	return 1 unless $session;
	counted('looks at a sleeping follower');
	return check_output('while the follower sleeps', $w->{now});
}

sub session_start
{
	my ($step) = @_;
	return 1 if $session;
	$following = { %$step, stopping => 0 };
	$following->{sync} = 1 unless $w->{s}{hurry};
	sysseek $clock_fh, 24, 0;
	syswrite $clock_fh, "\0" x 16;
	$session = spawn($step->{fault} && $step->{fault}{kind} ? $step->{fault} : undef, $tocsin, '-f', options("$w->{dir}/out"), checkpoint(), "$w->{dir}/town");
	if ($step->{fault} && $step->{fault}{after}) {
		sleep $step->{fault}{after};
		kill 'KILL', $session;
		return session_over(wait_for($session), 1);
	}
	return $step->{wait} ? look_asleep() : 1;
}

sub session_stop
{
	return 1 unless $session;
	asleep() or return 0; # its signal handlers stand
	return 1 unless $session;
	$following->{stopping} = 1;
	kill pick('TERM', 'INT'), $session;
	return session_over(wait_for($session), 0);
}

sub session_kill
{
	my ($step) = @_;
	return 1 unless $session;
	sleep $step->{pause} if $step->{pause};
	kill 'KILL', $session;
	return session_over(wait_for($session), 1);
}

# A second run while there is a follower: it says so and touches nothing.
sub intrude
{
	return 1 unless $session;
	asleep() or return 0;
	return 1 unless $session;
	my $before = read_file("$w->{dir}/out.jsonl");
	my $status = wait_for(spawn(undef, $tocsin, options("$w->{dir}/out"), checkpoint(), '--until', 'now', "$w->{dir}/town"));
	return fail('a second run on the same checkpoint: ', status_text($status), ', not 2') if !defined $status || $status != 2 << 8;
	return fail('a second run on the same checkpoint changed the output') if $before ne read_file("$w->{dir}/out.jsonl");
	return 1;
}

# ---- rotation ----

sub shell { system(@_) == 0 or die "@_: $?" }

# Half an archive beside the plain file, until the next that happens to the log.
sub finish_packing
{
	my ($log) = @_;
	my $g = delete $log->{packing} or return;
	rename path_of($log, "$g->{name}.whole"), path_of($log, "$g->{name}.$g->{packing}");
	unlink path_of($log, $g->{name});
	$g->{name} .= ".$g->{packing}";
	$g->{packed} = delete $g->{packing};
}

sub old_name
{
	my ($log, $g, $number) = @_;
	my $base = basename($log->{path});
	my $packed = $g->{packed} ? ".$g->{packed}" : '';
	return "$base.$number$packed";
}

# Gives the name that the newest generation will have; undef: it is taken.
sub make_room
{
	my ($log) = @_;
	my $base = basename($log->{path});
	my $scheme = $w->{s}{scheme}{ $log->{path} } // 'number';
	my @t = gmtime(int($w->{now} / 1000));
	my @date = ($t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0]);
	my $name = "$base.1";
	if ($scheme eq 'number') {
		my $n = @{ $log->{generations} };
		for my $g (@{ $log->{generations} }) {
			my $to = old_name($log, $g, 1 + $n--);
			rename path_of($log, $g->{name}), path_of($log, $to) or die "$g->{name}: $!";
			$g->{name} = $to;
		}
		return $name;
	}
	$name = $scheme eq 'date' ? sprintf("$base-%04d%02d%02d%02d%02d%02d", @date) :
		$scheme eq 'epoch' ? "$base-" . int($w->{now} / 1000) :
		sprintf('daemon-%04d-%02d-%02dT%02d-%02d-%02d.%03d.log', @date, $w->{now} % 1000);
	return (grep { index($_->{name}, $name) == 0 } @{ $log->{generations} }) ? undef : $name;
}

sub rotate
{
	my ($log, $step, $copy) = @_;
	finish_packing($log);
	return 1 if !defined $log->{live} || $log->{live} == $log->{written} || ($copy && $log->{mid_line});
	return 1 if !$copy && $log->{generations} && @{ $log->{generations} } && $log->{generations}[-1]{end} > $log->{live};
	my $name = make_room($log) // return 1;
	my $live = path_of($log, basename($log->{path}));
	if ($copy) {
		my $copy_path = path_of($log, $name);
		stamped($copy_path, sub { write_file($copy_path, read_file($live)) });
		stamped($live, sub { truncate $live, 0 or die "$live: $!" });
	} else {
		rename $live, path_of($log, $name) or die "$live: $!";
	}
	push @{ $log->{generations} }, { name => $name, start => $log->{live}, end => $log->{written} };
	$log->{live} = $copy ? $log->{written} : undef;
	if (!$copy && $step->{create} && !$log->{mid_line}) {
		stamped($live, sub { write_file($live, '') });
		$log->{live} = $log->{written};
	}
	counted($copy ? 'copytruncate' : 'rename');
	return 1;
}

sub compress
{
	my ($log, $step) = @_;
	finish_packing($log);
	my @plain = grep { !$_->{packed} } @{ $log->{generations} };
	pop @plain if @plain && !defined $log->{live} && $log->{mid_line}; # still written to
	my $g = $plain[$step->{newest} ? -1 : 0] or return 1;
	my $path = path_of($log, $g->{name});
	my $bytes = read_file($path);
	my @parts = ($bytes);
	if ($step->{parts} && length $bytes > 1) { my $cut = 1 + int(length($bytes) / 3); @parts = (substr($bytes, 0, $cut), substr($bytes, $cut)) }
	my $archive = '';
	for my $part (@parts) {
		write_file("$w->{dir}/part", $part);
		$archive .= slurp($step->{how} eq 'gz' ? ['gzip', '-nc', "$w->{dir}/part"] : $step->{how} eq 'zst' ? ['zstd', '-qc', "$w->{dir}/part"] :
			['xz', '-0c', "$w->{dir}/part"]);
	}
	my @times = (stat $path)[8, 9];
	write_file("$path.whole", $archive);
	utime @times, "$path.whole";
	$g->{packing} = $step->{how};
	$log->{packing} = $g;
	counted('compressions');
	if ($step->{half}) {
		stamped("$path.$step->{how}", sub { write_file("$path.$step->{how}", substr($archive, 0, length($archive) / 2)) }, @times);
	} else {
		finish_packing($log);
	}
	return 1;
}

# Temp file and rename: the events that a run has read go, some of them.
sub prune
{
	my ($log, $step) = @_;
	finish_packing($log);
	return 1 if !defined $log->{live} || $log->{mid_line} || $log->{safe} <= $log->{live};
	my @starts = grep { $_ > $log->{live} && $_ <= $log->{safe} } @{ $log->{starts} };
	return 1 unless @starts;
	my $cut = $starts[int($step->{keep} * @starts)];
	my $live = path_of($log, basename($log->{path}));
	write_file("$live.tmp", substr($log->{text}, $cut, $log->{written} - $cut));
	utime $w->{now} / 1000, $w->{now} / 1000, "$live.tmp";
	rename "$live.tmp", $live or die "$live: $!";
	$log->{live} = $cut;
	counted('prunes');
	return 1;
}

sub drop
{
	my ($log) = @_;
	finish_packing($log);
	my $g = $log->{generations}[0];
	return 1 if !$g || $g->{end} > $log->{safe} || (!defined $log->{live} && $log->{mid_line} && @{ $log->{generations} } == 1);
	unlink path_of($log, $g->{name}) or die "$g->{name}: $!";
	shift @{ $log->{generations} };
	counted('generations dropped');
	return 1;
}

sub do_step
{
	my ($step) = @_;
	my $log = $step->{log} && $w->{logs}{ $step->{log} };
	my $do = $step->{do};
	return 1 if $step->{log} && !$log;
	return run_cron($step) if $do eq 'cron' && !$session;
	return intrude() if $do eq 'cron' || $do eq 'intrude';
	return session_start($step) if $do eq 'start';
	return session_stop() if $do eq 'stop';
	return session_kill($step) if $do eq 'kill';
	if ($step->{log} && $session && !$w->{s}{hurry}) { asleep() or return 0 }
	return rotate($log, $step, 0) if $do eq 'rename';
	return rotate($log, $step, 1) if $do eq 'copytruncate';
	return compress($log, $step) if $do eq 'compress';
	return prune($log, $step) if $do eq 'prune';
	return drop($log) if $do eq 'drop';
	if ($do eq 'clock_back' && $session && asleep() && $session) { # what it reads while the clock is wrong may be in the future then
		clock_set($w->{now} - $step->{by});
		my $ok = asleep($w->{now} - $step->{by});
		clock_set($w->{now});
		return $ok;
	}
	return 1;
}

# ---- one schedule ----

sub begin_world
{
	my ($s, $silent) = @_;
	remove_tree($work);
	make_path("$work/town");
	$w = { s => $s, dir => $work, silent => $silent, logs => {}, pieces => [] };
	clock_begin();
	my $end = 0;
	my @pieces;
	for my $path (@log_order) {
		my $records = $s->{records}{$path} or next;
		my $log = $w->{logs}{$path} = { path => $path, written => 0, safe => 0, generations => [], text => '', starts => [] };
		for my $r (@$records) {
			push @{ $log->{starts} }, length $log->{text};
			for my $piece (@$r) {
				$log->{text} .= $piece->[1];
				push @pieces, [$piece->[0], $path, $piece->[1]];
				$end = max($end, $piece->[0]);
			}
		}
		push @{ $log->{starts} }, length $log->{text};
		write_file("$work/plain/$path", $log->{text});
	}
	@{ $w->{pieces} } = map { $pieces[$_] } sort { $pieces[$a][0] <=> $pieces[$b][0] || $a <=> $b } 0 .. $#pieces;
	$w->{end} = $end + 3 * 3600_000 + 499;
	$w->{now} = @pieces ? $w->{pieces}[0][0] : 0;
	# The replay, to which all is compared.
	my @replay = ($tocsin, options("$work/want"), '--until', rfc3339($w->{end}), "$work/plain");
	my $status = system(join(' ', map { "'$_'" } @replay) . " 2>'$work/replay.stderr'");
	die "the replay itself fails: @replay\n" if $status;
	$w->{want} = canonical(read_file("$work/want.jsonl"));
	$w->{want_commands} = read_file("$work/want.commands");
	$w->{want_times} = [map { /"time":"([^"]*)"/ ? time_of("\"ts\":\"$1\"") : 0 } split /\n/, $w->{want}];
	$count{'state changes'} += @{ $w->{want_times} } unless $silent;
}

# undef: it holds. Else what is wrong.
sub run_schedule
{
	my ($s, $silent) = @_;
	return undef unless %{ $s->{records} };
	$problem = undef;
	begin_world($s, $silent);
	srand $s->{seed}; # what chance decides on the way
	for my $step (@{ $s->{steps} }) {
		say_step(show_step($step));
		last unless go_to(max($w->{now}, $step->{at})) && do_step($step);
	}
	if (!$problem && $session && $s->{no_checkpoint} && go_to($w->{end} + $s->{lateness}) && look_asleep() && $session) {
		say_step(rfc3339($w->{now}), ' stop');
		session_stop() && check_all('when the follower has ended');
	}
	if (!$problem && $session) { say_step('stop'); session_stop() }
	if (!$problem && !$s->{no_checkpoint} && go_to($w->{end} + $s->{lateness})) {
		say_step(rfc3339($w->{now}), ' the last cron run');
		run_cron({}) && check_all('in the end') && run_cron({}) && check_all('after another run over the same');
	}
	if ($session) { kill 'TERM', $session; wait_for($session); $session = undef } # it may have something to say
	return $problem;
}

sub check_all
{
	my ($when) = @_;
	return fail("$when: out.jsonl differs from the replay's") if canonical(read_file("$w->{dir}/out.jsonl")) ne $w->{want};
	return fail("$when: out.commands differs from the replay's") if read_file("$w->{dir}/out.commands") ne $w->{want_commands};
	return 1;
}

# ---- making a failing schedule smaller ----

sub fails
{
	my ($s) = @_;
	my $at_an_instant = grep { $_->{fault} && $_->{fault}{after} || $_->{do} eq 'kill' } @{ $s->{steps} };
	for (1 .. ($at_an_instant ? 3 : 1)) {
		my $p = eval { run_schedule($s, 1) } // $@;
		return $p if $p;
	}
	return undef;
}

# Leaves out parts of a list, larger ones first, as long as the rest still fails.
sub cut_down
{
	my ($list, $try, $until) = @_;
	for (my $size = int((@$list + 1) / 2); $size >= 1; $size = int($size / 2)) {
		for (my $i = 0; $i < @$list && time < $until;) {
			my @less = @$list;
			splice @less, $i, $size;
			if ($try->(\@less)) { @$list = @less }
			else { $i += $size }
		}
	}
}

sub shrink
{
	my ($s) = @_;
	my $until = time + ($verbose ? 120 : 40);
	my $try = sub { my %small = (%$s, @_); my $p = fails(\%small); return $p ? ($s = \%small) && 1 : 0 };
	# A record that is written at once is simpler than one in pieces; a log less is simpler, too.
	my %whole = map { my $p = $_; $p => [map { [[$_->[-1][0], join '', map { $_->[1] } @$_]] } @{ $s->{records}{$p} }] } keys %{ $s->{records} };
	my %round = (
		steps => sub { my @steps = @{ $s->{steps} }; cut_down(\@steps, sub { $try->(steps => $_[0]) }, $until) },
		logs => sub {
			my @paths = sort keys %{ $s->{records} };
			cut_down(\@paths, sub { my @p = @{ $_[0] }; @p && $try->(records => { map { $_ => $s->{records}{$_} } @p }) }, $until);
		},
		records => sub {
			for my $path (sort keys %{ $s->{records} }) {
				my @list = @{ $s->{records}{$path} };
				cut_down(\@list, sub { my $l = $_[0]; $try->(records => { %{ $s->{records} }, $path => $l }) if @$l }, $until);
			}
		},
	);
	$round{steps}->();
	$round{logs}->();
	$try->(records => { map { $_ => $whole{$_} } keys %{ $s->{records} } });
	$try->(steps => [map { { %$_, ($_->{do} eq 'start' ? (sync => 1, wait => 1) : ()) } } @{ $s->{steps} }]);
	$round{records}->();
	$round{steps}->();
	return $s;
}

# The schedule as one could do it by hand.
sub in_words
{
	my ($s) = @_;
	my @lines;
	for my $path (sort keys %{ $s->{records} }) {
		for my $r (@{ $s->{records}{$path} }) {
			my $n = 0;
			for my $piece (@$r) {
				my $text = length $piece->[1] > 160 ? substr($piece->[1], 0, 150) . '...' . length($piece->[1]) . ' bytes' : $piece->[1];
				$text =~ s/([\x00-\x1f\x7f-\xff\\])/$1 eq "\n" ? '\\n' : sprintf '\\x%02x', ord $1/ge;
				push @lines, [$piece->[0], rfc3339($piece->[0]) . " write $path: $text"];
			}
		}
	}
	push @lines, map { [$_->{at}, show_step($_)] } @{ $s->{steps} };
	@lines = map { $lines[$_][1] } sort { $lines[$a][0] <=> $lines[$b][0] || $a <=> $b } 0 .. $#lines;
	splice @lines, 12, @lines - 24, '...' if @lines > 24 && !$verbose;
	return ("town $s->{town}, lateness $s->{lateness} ms, rules " . basename($s->{rules}), @lines);
}

sub keep_world
{
	my ($name) = @_;
	return unless $keep;
	make_path($keep);
	remove_tree("$keep/$name");
	shell('cp', '-r', $work, "$keep/$name");
}

sub report
{
	my ($s, $p) = @_;
	keep_world("$s->{seed}-whole");
	my $small = shrink($s);
	my $again = eval { run_schedule($small, 1) } // $@ // '';
	print "# $p\n# made smaller (", ($again || 'which passed this time: it depends on the instant of a kill'), "):\n";
	print "#   $_\n" for in_words($small);
	my @diff = split /\n/, slurp(['sh', '-c', "cat '$work/out.jsonl' 2>/dev/null | sed 's/\"file\":\"[^\"]*\",\"line\":[0-9]*/\"file\":\"\",\"line\":0/g' >'$work/got'; " .
		"sed 's/\"file\":\"[^\"]*\",\"line\":[0-9]*/\"file\":\"\",\"line\":0/g' '$work/want.jsonl' >'$work/want'; diff '$work/want' '$work/got'"]);
	print "#   ", substr($_, 0, 300), "\n" for @diff[0 .. min($#diff, 5)];
	print "# standard error:\n";
	print "#   ", substr($_, 0, 300), "\n" for grep { defined } (split /\n/, read_file("$work/stderr"))[-12 .. -1];
	keep_world($s->{seed});
	print "# SCHEDULE_SEED=$s->{seed} replays it\n";
}

# ---- all of them ----

$| = 1;
my $began = time;
my ($done, $failed) = (0, 0);
for my $seed ($first_seed .. $first_seed + $cases - 1) {
	last if $seconds && time - $began > $seconds;
	my $s = make_schedule($seed);
	my $p = eval { run_schedule($s, 0) } // $@;
	$done++;
	if ($p) {
		chomp $p;
		if ($session) { kill 'KILL', $session; waitpid $session, 0; $session = undef }
		$failed++;
		print "not ok $done - schedule $seed ($s->{town}): $p\n";
		my $was = $verbose;
		$verbose = 0;
		report($s, $p);
		$verbose = $was;
		last if $failed >= 5;
	} else {
		print "ok $done - schedule $seed ($s->{town}, ", scalar @{ $s->{steps} }, " steps)\n";
	}
}
print "# seeds $first_seed to ", $first_seed + $done - 1, ": ", join(', ', map { "$count{$_} $_" } sort keys %count), sprintf("; %.0f s\n", time - $began);
print "1..$done\n";
exit($failed ? 1 : 0);
