# Cuts the sample town's logs into random generations, compresses some, names them in random order, or sends them through a pipe in
# random pieces, and compares the JSON lines with those of the plain replay. Only file and line of evidence may differ.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Basename qw(basename);
use File::Path qw(make_path remove_tree);
use Towns;

my $tocsin = $ENV{TOCSIN} or die "TOCSIN is not set\n";
my $source = $ENV{TOCSIN_SOURCE};
my @rules = ('-r', "$source/rules", '-o', 'jsonl', '-q');
my $work = ($ENV{TMPDIR} // '/tmp') . "/tocsin-one-answer-$$";
my $cases = $ENV{ONE_ANSWER_CASES} // 40;
my $first = $ENV{ONE_ANSWER_SEED} // 1;
$cases = 1 if defined $ENV{ONE_ANSWER_SEED};
$ENV{TZ} = 'UTC';

my @towns = towns_on_disk($source);

sub run { my @cmd = @_; my $out = slurp([@cmd]); return canonical($out) }

my %text;
my %want;
for my $town (@towns) {
	for my $path (keys %layout) {
		my $t = log_text($town, $path);
		$text{$town}{$path} = $t if length $t;
	}
}

# Lines of the log in n runs of random length.
sub cut_lines {
	my ($t, $n) = @_;
	my @lines = split /(?<=\n)/, $t;
	my @at = sort { $a <=> $b } map { int rand(@lines + 1) } 2 .. $n;
	my @parts; my $from = 0;
	for my $to (@at, scalar @lines) { push @parts, join '', @lines[$from .. $to - 1]; $from = $to }
	return grep { length } @parts;
}

sub compress {
	my ($path) = @_;
	my $how = int rand 4;
	system('gzip', '-n', $path) == 0 or die if $how == 1;
	if ($how == 2) { system('zstd', '-q', '--rm', $path) == 0 or die }
	if ($how == 3) { system('xz', $path) == 0 or die }
}

# A town directory with every log cut into generations.
sub make_town {
	my ($town, $dir) = @_;
	for my $path (sort keys %{ $text{$town} }) {
		my @parts = cut_lines($text{$town}{$path}, 1 + int rand 5);
		for my $i (0 .. $#parts) {
			my $age = $#parts - $i;
			my $name = "$dir/$path" . ($age ? ".$age" : '');
			write_file($name, $parts[$i]);
			compress($name) if $age && rand() < 0.7;
		}
	}
}

# What `tail -F` of all logs would print if they grew in random steps; in pieces of random size.
sub through_pipe {
	my ($town, $out) = @_;
	my %rest = %{ $text{$town} };
	my $stream = ''; my $current = '';
	while (%rest) {
		my @names = sort keys %rest;
		my $name = $names[int rand @names];
		my $take = $rest{$name};
		if (rand() < 0.9) { # whole lines
			my $lines = 1 + int rand 400;
			$take =~ /\A((?:[^\n]*\n){1,$lines})/ and $take = $1;
		}
		substr($rest{$name}, 0, length $take) = '';
		delete $rest{$name} unless length $rest{$name};
		if ($name ne $current) { $stream .= (length $stream ? "\n" : '') . "==> $name <==\n"; $current = $name }
		$stream .= $take;
	}
	open my $p, '|-', "$tocsin " . join(' ', map { "'$_'" } @rules) . " --lateness 60s - >$out" or die;
	binmode $p;
	my $most = (1, 10, 1000, 100000)[int rand 4];
	$most = 500 if $most < 500 && length($stream) > 300000;
	while (length $stream) {
		my $n = 1 + int rand $most;
		my $piece = substr($stream, 0, $n, '');
		syswrite $p, $piece or die;
	}
	close $p;
}

# Logs that end without a newline would be joined with a header; real tails do the same. Give each one.
for my $t (values %text) { for (values %$t) { $_ .= "\n" unless /\n\z/ } }

my $n = $first - 1 + $cases;
print "1..", $cases + scalar(@towns), "\n";
my $i = 0;
for my $town (@towns) {
	make_path("$work/plain");
	write_file("$work/plain/$_", $text{$town}{$_}) for keys %{ $text{$town} };
	$want{$town} = run($tocsin, @rules, "$work/plain");
	remove_tree("$work/plain");
	my $as_is = run($tocsin, @rules, $town);
	my $ok = $as_is eq $want{$town};
	print $ok ? 'ok ' : 'not ok ', ++$i, ' - ', basename($town), ": as it lies there (", ($as_is =~ tr/\n//), " state changes)\n";
}
for my $seed ($first .. $n) {
	srand $seed;
	# The sample most of the time: it has everything. The real towns are slower and quieter.
	my $town = rand() < 0.7 ? $towns[0] : $towns[int rand @towns];
	my $kind = int rand 3;
	my ($got, $what);
	remove_tree($work); make_path($work);
	if ($kind == 0) {
		$what = 'as a directory of generations';
		make_town($town, "$work/town");
		$got = run($tocsin, @rules, "$work/town");
	} elsif ($kind == 1) {
		$what = 'as files in random order';
		make_town($town, "$work/town");
		my @files;
		for my $path (sort keys %layout) { push @files, glob("$work/town/$path*") }
		@files = sort { rand() <=> 0.5 } @files;
		$got = run($tocsin, @rules, @files);
	} else {
		$what = 'through a pipe';
		through_pipe($town, "$work/out");
		$got = canonical(read_file("$work/out"));
	}
	my $ok = $got eq $want{$town};
	print $ok ? 'ok ' : 'not ok ', ++$i, ' - ', basename($town), " $what (seed $seed)\n";
	if (!$ok) {
		write_file("$work.got", $got);
		write_file("$work.want", $want{$town});
		print "# $_\n" for (split /\n/, slurp(["diff", "$work.want", "$work.got"]))[0 .. 5];
	}
}
remove_tree($work);
