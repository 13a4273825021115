# kill -9 at every call that changes a file: just before it, just after it, and in the middle of a write. Then the same with a disk that is full or
# broken, at this call or from it on, and writes that come out short: the run says what failed, with exit status 2, or it did not matter and all is
# done. The checkpoint is whole, and after the next run nothing is lost in the output files, and nothing stands there twice. A cron run, and a
# follower that is told to stop.
use strict;
use warnings;
use FindBin;
use File::Path qw(make_path remove_tree);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);
use lib $FindBin::Bin;
use Towns;

my $tocsin = $ENV{TOCSIN} or die "TOCSIN is not set\n";
my $source = $ENV{TOCSIN_SOURCE};
my $preload = "$ENV{TOCSIN_BUILD}/tests/preload";
my $work = ($ENV{TMPDIR} // '/tmp') . "/tocsin-kills-$$";
my $most = 400; # a run has no more calls than that
END { remove_tree($work) if $work }

srand 7;
my $records = made_up_town(2000);
my @times = sort { $a <=> $b } map { map { $_->[0] } @$_ } values %$records;
my $middle = $times[@times / 2];
my $end = $times[-1] + 3 * 3600_000 + 499;

# The town's lines up to a time; the rest is appended later.
sub write_town
{
	my ($dir, $from, $to) = @_;
	for my $path (keys %$records) {
		my $text = join '', map { $_->[1] } grep { $_->[0] >= $from && $_->[0] < $to } @{ $records->{$path} };
		make_path("$dir/$path" =~ s,/[^/]*$,,r);
		open my $f, '>>', "$dir/$path" or die "$dir/$path: $!";
		print $f $text;
		close $f;
	}
}

sub options
{
	my ($dir) = @_;
	return ('-q', '-r', "$source/tests/schedules.yml", '--tz', 'UTC', '-o', "jsonl=$dir/out.jsonl", '-o', "commands=$dir/out.commands");
}

# Runs to the end; with stop: as a follower, until its last line is read and it has been told to stop. Its wait status.
sub run
{
	my ($fault, $stop, @args) = @_;
	my $pid = fork() // die;
	if (!$pid) {
		if ($fault) {
			$ENV{LD_PRELOAD} = "$preload/faults.so";
			$ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS}, 'verify_asan_link_order=0';
			@ENV{keys %$fault} = values %$fault;
		}
		open STDOUT, '>', '/dev/null';
		open STDERR, '>>', "$work/stderr";
		exec { $args[0] } @args or POSIX::_exit(127);
	}
	if ($stop) {
		# Asleep, with its signal handlers set, when it stands in epoll_wait.
		for (my $until = time + 20; time < $until; sleep 0.002) {
			my $where = read_file("/proc/$pid/wchan");
			last if $where =~ /ep_poll|epoll/ || read_file("/proc/$pid/stat") =~ /^\d+ \(.*\) Z/;
			last if $where eq '0' && read_file("/proc/$pid/stat") =~ /^\d+ \(.*\) S/ && time > $until - 19.7;
		}
		kill 'TERM', $pid;
	}
	waitpid $pid, 0;
	return $?;
}

sub report
{
	my ($ok, $name, @more) = @_;
	our $n;
	print $ok ? 'ok ' : 'not ok ', ++$n, " - $name\n";
	print "# $_\n" for $ok ? () : @more;
}

# What one uninterrupted replay says.
write_town("$work/plain", 0, 9e15);
run(undef, 0, $tocsin, options($work), '--until', rfc3339($end), "$work/plain") == 0 or die "the replay fails\n";
my ($want, $want_commands) = (canonical(read_file("$work/out.jsonl")), read_file("$work/out.commands"));
die "the replay says nothing\n" unless ($want =~ tr/\n//) > 20 && length $want_commands;

# A first run that ends well, so that the one that is killed goes on from a checkpoint; later all is read.
sub begin
{
	remove_tree("$work/run");
	write_town("$work/run/town", 0, $middle);
	run(undef, 0, $tocsin, options("$work/run"), '--checkpoint', "$work/run/cp", '--until', rfc3339($middle), "$work/run/town") == 0 or die "the first run fails\n";
	write_town("$work/run/town", $middle, 9e15);
}

sub last_run { return run($_[0], 0, $tocsin, options("$work/run"), '--checkpoint', "$work/run/cp", '--until', rfc3339($end + 2000), "$work/run/town") }
sub follower { return run($_[0], 1, $tocsin, '-f', options("$work/run"), '--checkpoint', "$work/run/cp", "$work/run/town") }

# What is wrong with a run that a fault did not kill: it says what failed, by name, or all it should do is done.
sub harm
{
	my ($what, $status) = @_;
	my $said = read_file("$work/stderr");
	return "wait status $status" if $status != 0 && $status != 2 << 8;
	return "exit status 2, and it says: $said" if $status && $said !~ m{^tocsin: error: .*\Q$work/run/\E.*: (?:No space left on device|Input/output error)}m;
	# A follower tries again to write its checkpoint; what it could not bring to the disk of its output it must not take for written later.
	$said =~ s/^tocsin: error: \S+: cannot write the checkpoint: .*\nhint: .*\n//mg if $what eq 'a follower';
	return "exit status 0, and it says: $said" if !$status && $said =~ /error/;
	return $what eq 'a cron run' && !$status && canonical(read_file("$work/run/out.jsonl")) ne $want ? 'exit status 0, and out.jsonl is not whole' : ();
}

# Those that pass and those that stay: short and torn are of one write.
my %more = (short => { FAULT_CALLS => 'write' }, 'kill-torn' => { FAULT_CALLS => 'write' }, 'ENOSPC that stays' => { FAULT_STAYS => 1 }, 'EIO that stays' => { FAULT_STAYS => 1 });
my @kinds = ('kill-before', 'kill-after', 'kill-torn', 'short', 'ENOSPC', 'ENOSPC that stays', 'EIO', 'EIO that stays');

print '1..', 2 * @kinds, "\n";
for my $what ('a cron run', 'a follower') {
	for my $kind (@kinds) {
		my ($calls, @bad) = (0);
		for my $at (1 .. $most) {
			begin();
			my $checkpoint = read_file("$work/run/cp");
			write_file("$work/$_", '') for 'stderr', 'calls';
			my $fault = { FAULT => $kind =~ s/ .*//r, FAULT_AT => $at, FAULT_LOG => "$work/calls", %{ $more{$kind} // {} } };
			my $status = $what eq 'a cron run' ? last_run($fault) : follower($fault);
			last if (read_file("$work/calls") =~ tr/\n//) < $at;
			$calls = $at;
			my $call = "call $at (" . ((split /\n/, read_file("$work/calls"))[$at - 1] =~ s/^\d+ //r) . ')';
			push @bad, "$call: $_" for $kind !~ /^kill/ ? harm($what, $status) : WIFSIGNALED($status) && WTERMSIG($status) == 9 ? () : "wait status $status";
			push @bad, "$call: the checkpoint is damaged" if read_file("$work/run/cp") ne $checkpoint && system("'$tocsin' checkpoint '$work/run/cp' > /dev/null 2>&1");
			my $again = last_run(undef);
			push @bad, "$call: the run after it ends with wait status $again" if $again;
			push @bad, "$call: out.jsonl differs" if canonical(read_file("$work/run/out.jsonl")) ne $want;
			push @bad, "$call: out.commands differs" if read_file("$work/run/out.commands") ne $want_commands;
			last if @bad > 3;
		}
		push @bad, 'no call was counted' unless $calls > 2;
		report(!@bad, "$what, $kind at each of $calls calls: nothing lost, nothing twice", @bad);
	}
}
