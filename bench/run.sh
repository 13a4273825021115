#!/bin/sh
# How fast tocsin is, beside what people use for the same: makes a town log, checks that tocsin and mawk find the same
# in it, then runs all programs in turn (interleaved, for machines are noisy), and prints medians as a Markdown table.
# Read the ratios; seconds are of this machine and this hour.
#
#	BENCH_MIB=N        size of the log in MiB (default 1024); BENCH_BYTES=N: in bytes
#	BENCH_SEC_BYTES=N  size of the slice for SEC and syslog-ng, which are slow (default 32 MiB)
#	BENCH_RUNS=N       runs of each (default 5), after one that is not counted
#	BENCH_SEED=N       another log
#	BENCH_DIR=DIR      where data is made, and kept for the next time (default: a temporary directory, removed)
#	TOCSIN=PROGRAM     the tocsin to measure (default ./tocsin); TOCSIN_RULES=DIR its shipped rules
#
# A program that is not installed is left out.
set -u

bench=${TOCSIN_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}/bench
bytes=${BENCH_BYTES:-$((${BENCH_MIB:-1024} * 1048576))}
sec_bytes=${BENCH_SEC_BYTES:-33554432}
runs=${BENCH_RUNS:-5}
seed=${BENCH_SEED:-1}
tocsin=${TOCSIN:-$(pwd)/tocsin}
rules=${TOCSIN_RULES:-$bench/../rules}
work=$(mktemp -d "${TMPDIR:-/tmp}/tocsin-bench.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
TZ=UTC
PATH=$PATH:/usr/sbin # syslog-ng
export TZ PATH

die()
{
	echo "bench: $*" >&2
	exit 2
}

have()
{
	command -v "$1" > /dev/null
}

# ---- data ----

for program in generate measure; do
	${CC:-cc} -O2 -o "$work/$program" "$bench/$program.c" || die "cannot compile $program.c"
done

# make_log DIR BYTES: DIR/town.log and DIR/told, what the generator says of it
make_log()
{
	[ -s "$1/told" ] && return
	mkdir -p "$1" || die "cannot make $1"
	"$work/generate" "$2" "$seed" > "$1/town.log" 2> "$1/told.new" || die "cannot write to $1"
	mv "$1/told.new" "$1/told"
}

# from WHAT FILE: a number that the generator told
from()
{
	tr ' ' '\n' < "$2" | sed -n "s/^$1=//p"
}

data=${BENCH_DIR:-$work}/town-$bytes-$seed
slice=${BENCH_DIR:-$work}/town-$sec_bytes-$seed
make_log "$data" "$bytes"
log=$data/town.log
bytes=$(from bytes "$data/told")
if have sec || have syslog-ng; then
	make_log "$slice" "$sec_bytes"
	sec_bytes=$(from bytes "$slice/told")
fi
if have zstd && [ ! -s "$log.zst" ]; then
	zstd -q -3 -f -o "$log.zst" "$log" || die "zstd failed"
fi
if have gzip && [ ! -s "$log.gz" ]; then
	gzip -c "$log" > "$log.gz.new" || die "gzip failed"
	mv "$log.gz.new" "$log.gz"
fi

# ---- rules, for tocsin, SEC and rg, all from rules.tsv ----

planned='self-clean gt_stop gt_session_stop gt_crew_stop gt_down interrupted'

# tocsin_rules N: the first N
tocsin_rules()
{
	grep -v '^#' "$bench/rules.tsv" | head -n "$1" | awk -F '\t' -v planned="$planned" '
	{
		printf "title: %s, one event\nname: %s_event\nlogsource: {product: gastown, service: town}\ndetection:\n", $1, $1
		printf "  selection:\n    type: %s\n", $2
		if ($4 != "-")
			printf "    %s|contains: %s\n", $3, $4
		if ($1 == "kill_storm") {
			n = split(planned, p, " ")
			printf "  planned:\n    reason|startswith:\n"
			for (i = 1; i <= n; i++) {
				gsub("_", " ", p[i])
				printf "      - %s\n", p[i]
			}
			printf "  condition: selection and not planned\n"
		} else {
			printf "  condition: selection\n"
		}
		printf "---\ntitle: %s\nname: %s\ncorrelation:\n  type: event_count\n  rules: [%s_event]\n", $1, $1, $1
		printf "  group-by: [rig]\n  timespan: 1h\n  condition: {gt: %d}\n---\n", $5
	}' | sed '$d'
}

# sec_rules N: the first N
sec_rules()
{
	grep -v '^#' "$bench/rules.tsv" | head -n "$1" | awk -F '\t' -v planned="$planned" '
	{
		pattern = "^\\S+ \\S+ \\[" $2 "\\] ([^\\/ ]+)\\/\\S+"
		if ($1 == "kill_storm") {
			gsub(" ", "|", planned)
			gsub("_", " ", planned)
			pattern = pattern " killed(?! \\((?:" planned "))"
		} else if ($4 != "-") {
			pattern = pattern " .*" $4
		}
		printf "type=SingleWithThreshold\ncontinue=TakeNext\nptype=RegExp\npattern=%s\ndesc=%s $1\naction=none\nwindow=3600\nthresh=%d\n\n", pattern, $1, $5 + 1
	}'
}

# syslog_ng_config N: the first N. What no rule is about is dropped first, by plain texts; a context ends, and tells, when it has too many.
syslog_ng_config()
{
	cat <<-END
		@version: $(syslog-ng --version | sed -n 's/^Config version: //p')
		options { stats-freq(0); keep-timestamp(yes); time-zone("UTC"); };
		source s { stdin(flags(no-parse) log-fetch-limit(1000) log-iw-size(10000)); };
		parser when { date-parser(format("%Y-%m-%d %H:%M:%S") template("\$(substr \${MESSAGE} 0 19)")); };
		parser rig { regexp-parser(patterns("^\\\\S+ \\\\S+ \\\\[[^]]+\\\\] (?<RIG>[^/ ]+)/")); };
		destination d { file("$work/syslog-ng.out" template("\${ISODATE} \${MESSAGE}\n")); };
	END
	grep -v '^#' "$bench/rules.tsv" | head -n "$1" | awk -F '\t' -v planned="$planned" '
	function text(s) { return "message(\"" s "\" type(string) flags(substring))" }
	{
		where = text("[" $2 "] ")
		if (!($2 in seen))
			any = any (any == "" ? "" : " or ") where
		seen[$2]
		if ($1 == "kill_storm") {
			n = split(planned, p, " ")
			for (i = 1; i <= n; i++) {
				gsub("_", " ", p[i])
				where = where " and not " text("killed (" p[i])
			}
		} else if ($4 != "-") {
			where = where " and " text($4)
		}
		printf "parser %s { grouping-by(key(\"%s ${RIG}\") where(%s) timeout(3600) trigger(\"$(context-length)\" == \"%d\")\n", $1, $1, where, $5 + 1
		printf "\taggregate(value(\"PROGRAM\" \"alert\") value(\"MESSAGE\" \"%s ${RIG}\")) inject-mode(\"pass-through\")); };\n", $1
		parsers = parsers " parser(" $1 ");"
	}
	END { printf "filter any { %s; };\nlog { source(s); filter(any); parser(when); parser(rig);%s filter { program(\"alert\"); }; destination(d); };\n", any, parsers }'
}

for n in 1 10 20; do
	tocsin_rules "$n" > "$work/rules-$n.yml"
done
{ cat "$work/rules-20.yml"; awk -v first=21 -v last=1000 -f "$bench/fillers.awk"; } > "$work/rules-1000.yml"
for n in 100 3000; do
	awk -v rules="$n" -f "$bench/sigma.awk" > "$work/sigma-$n.yml"
done
events=$((bytes / 2684)) # 400,000 for 1 GiB
if [ ! -s "$data/events.jsonl" ]; then
	awk -v events="$events" -f "$bench/sigma.awk" > "$data/events.new" && mv "$data/events.new" "$data/events.jsonl"
fi
json_bytes=$(wc -c < "$data/events.jsonl")
sec_rules 10 > "$work/sec.rules"
! have syslog-ng || syslog_ng_config 10 > "$work/syslog-ng.conf"
# As awk is mostly written: the line is split, and a field compared. window.awk first asks for a text in the line, which is faster the rarer that is.
sed 's|^/.*/ {$|$3 == "[kill]" {|' "$bench/window.awk" > "$work/window.awk"
grep -v '^#' "$bench/rules.tsv" | awk -F '\t' '{ print "\\[" $2 "\\] " ($4 == "-" ? "" : ".*" $4) }' > "$work/patterns"

# ---- first: do they agree? ----

expected=$(from storms "$data/told")
echo "$(from lines "$data/told") lines, $bytes bytes, $(from kills "$data/told") kills, $expected kill storms (seed $seed)."
echo
if have mawk; then
	for program in "$bench/window.awk" "$work/window.awk"; do
		found=$(LC_ALL=C mawk -f "$program" "$log" | tail -n 1)
		[ "$found" = "$expected" ] || die "mawk finds $found storms, not $expected: these measurements would compare different things"
	done
fi
if [ -x "$tocsin" ]; then
	found=$("$tocsin" -r "$work/rules-1.yml" -o jsonl "$log" | grep -c '"state":"open"')
	[ "$found" = "$expected" ] || die "tocsin finds $found storms, not $expected: these measurements would compare different things"
	if [ -d "$rules" ] && have mawk; then
		LC_ALL=C mawk -f "$bench/shipped.awk" "$log" | sed '$d;s/^[^ ]* [^ ]* \([^ ]*\).*/\1/' | LC_ALL=C sort | uniq -c > "$work/shipped.mawk"
		"$tocsin" -r "$rules" -o jsonl "$log" 2> /dev/null | sed -n '/"state":"open"/s/.*"rule":"\([^"]*\)".*/\1/p' |
			grep -x -E 'kill_storm|health_check_storm|handoff_churn|handoff_churn_town|session_restart_nudges' | LC_ALL=C sort | uniq -c > "$work/shipped.tocsin"
		cmp -s "$work/shipped.mawk" "$work/shipped.tocsin" || {
			diff "$work/shipped.mawk" "$work/shipped.tocsin" >&2
			die "mawk and the shipped rules find different incidents"
		}
	fi
else
	echo "bench: $tocsin is not built: the others only" >&2
fi

# ---- the contestants: NAME | BYTES | WHAT | COMMAND ----

q()
{
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

contestants()
{
	f=$(q "$log")
	if [ -x "$tocsin" ]; then
		t="exec $(q "$tocsin") -o jsonl"
		[ -d "$rules" ] && echo "tocsin-shipped|$bytes|\`tocsin\`, shipped rules|$t -r $(q "$rules") $f"
		[ -d "$rules" ] && echo "tocsin-shipped-one|$bytes|\`tocsin\`, shipped rules, one thread|$t --threads 1 -r $(q "$rules") $f"
		echo "tocsin-1|$bytes|\`tocsin\`, 1 rule|$t -r $(q "$work/rules-1.yml") $f"
		echo "tocsin-10|$bytes|\`tocsin\`, 10 rules|$t -r $(q "$work/rules-10.yml") $f"
		echo "tocsin-20|$bytes|\`tocsin\`, 20 rules|$t -r $(q "$work/rules-20.yml") $f"
		echo "tocsin-20-one|$bytes|\`tocsin\`, 20 rules, one thread|$t --threads 1 -r $(q "$work/rules-20.yml") $f"
		echo "tocsin-1000|$bytes|\`tocsin\`, 1,000 rules|$t -r $(q "$work/rules-1000.yml") $f"
		echo "tocsin-often|$bytes|\`tocsin\`, rules that match 9 lines in 10|$t -r $(q "$bench/often.yml") $f"
		echo "sigma-100|$json_bytes|\`tocsin\`, 100 Sigma rules on JSON events|$t -r $(q "$work/sigma-100.yml") json=$(q "$data/events.jsonl")"
		echo "sigma-3000|$json_bytes|\`tocsin\`, 3,000 Sigma rules on JSON events|$t -r $(q "$work/sigma-3000.yml") json=$(q "$data/events.jsonl")"
	else
		echo "bench: $tocsin is not built" >&2
	fi
	echo "wc|$bytes|\`wc -l\`|LC_ALL=C exec wc -l $f"
	echo "grep-c|$bytes|\`grep -c '\\[kill\\]'\`, UTF-8: matching only|LC_ALL=C.UTF-8 exec grep -c '\\[kill\\]' $f"
	echo "grep-cf|$bytes|\`grep -cF '[kill]'\`, C locale: matching only|LC_ALL=C exec grep -cF '[kill]' $f"
	have rg && echo "rg|$bytes|\`rg -c\`, 20 patterns: matching only|LC_ALL=C exec rg -c -f $(q "$work/patterns") $f"
	if have mawk; then
		echo "mawk|$bytes|\`mawk\`, sliding window: 1 rule|LC_ALL=C exec mawk -f $(q "$work/window.awk") $f"
		echo "mawk-text|$bytes|\`mawk\`, the same, which looks for \`[kill]\` before it splits a line|LC_ALL=C exec mawk -f $(q "$bench/window.awk") $f"
		echo "mawk-shipped|$bytes|\`mawk\`, five of the shipped rules|LC_ALL=C exec mawk -f $(q "$bench/shipped.awk") $f"
		echo "grep-mawk|$bytes|\`grep -F\` piped to \`mawk\`: 1 rule, 2 CPUs|LC_ALL=C grep -F '[kill]' $f | LC_ALL=C mawk -f $(q "$bench/window.awk")"
	fi
	have sec && echo "sec|$sec_bytes|SEC, 10 rules: arrival time only|exec sec --conf=$(q "$work/sec.rules") --input=$(q "$slice/town.log") --notail --debug=1"
	if have syslog-ng; then # it wants a pipe, and ends with it
		ng="timeout 600 syslog-ng -F --no-caps -f $(q "$work/syslog-ng.conf") -R $(q "$work/syslog-ng.persist") -c $(q "$work/syslog-ng.ctl")"
		echo "syslog-ng|$sec_bytes|\`syslog-ng\`, 10 rules: its contexts are no sliding windows|cat $(q "$slice/town.log") | $ng --pidfile $(q "$work/syslog-ng.pid")"
	fi
	for type in zst gz; do
		[ -s "$log.$type" ] || continue
		case $type in zst) tool=zstd ;; gz) tool=gzip ;; esac
		echo "$tool|$bytes|\`$tool -dc\`: decompression alone|exec $tool -dc $(q "$log.$type") > /dev/null"
		if [ "$type" = gz ] && have igzip; then
			echo "igzip|$bytes|\`igzip -dc\`: decompression alone, ISA-L|exec igzip -dc $(q "$log.$type") > /dev/null"
		fi
		[ -x "$tocsin" ] && echo "tocsin-$type|$bytes|\`tocsin\` on the .$type, 20 rules|exec $(q "$tocsin") -o jsonl -r $(q "$work/rules-20.yml") $(q "$log.$type")"
	done
}

contestants > "$work/contestants"
mkdir "$work/times"
run=0
while [ "$run" -le "$runs" ]; do
	while IFS='|' read -r name _ _ command; do
		times=$work/times/$name
		[ "$run" -gt 0 ] || times=/dev/null # the first only warms up
		[ ! -e "$work/failed-$name" ] || continue
		"$work/measure" "$times" "$work/output" sh -c "$command" < /dev/null 2> "$work/told" || {
			echo "bench: $name is left out: exit status $?" >&2
			head -n 3 "$work/told" >&2
			: > "$work/failed-$name"
		}
	done < "$work/contestants"
	[ ! -t 2 ] || printf '\rrun %d of %d' "$run" "$runs" >&2
	run=$((run + 1))
done
[ ! -t 2 ] || printf '\r\033[K' >&2

# ---- the table ----

# median COLUMN NAME
median()
{
	sort -n -k "$1,$1" "$work/times/$2" | awk -v column="$1" '{ v[NR] = $column } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

while IFS='|' read -r name size what _; do
	[ ! -e "$work/failed-$name" ] || continue
	echo "$name|$size|$what|$(median 1 "$name")|$(median 4 "$name")|$(sort -n "$work/times/$name" | sed -n '1{s/ .*//;p;}')"
done < "$work/contestants" > "$work/medians"

awk -F '|' -v runs="$runs" -v events="$events" '
	function ratio(a, b, text, aim) {
		if (a in rate && b in rate)
			printf "- %s: %.2f (aim %s)\n", text, rate[a] / rate[b], aim
	}
	{
		seconds_of[$1] = $4
		name[NR] = $1; what[NR] = $3; seconds[NR] = $4; peak[NR] = $5; best[NR] = $6
		rate[$1] = $2 / 1e6 / $4
	}
	END {
		reference = "tocsin-20" in rate ? "tocsin-20" : "mawk" in rate ? "mawk" : name[1]
		printf "| program | s, median of %d | best | MB/s | of %s | peak MiB |\n|---|--:|--:|--:|--:|--:|\n", runs, reference
		for (i = 1; i <= NR; i++)
			printf "| %s | %.2f | %.2f | %.0f | %.2f | %.1f |\n", what[i], seconds[i], best[i], rate[name[i]], rate[name[i]] / rate[reference], peak[i] / 1024
		print ""
		ratio("tocsin-20", "tocsin-20-one", "two threads and more, of one", 1)
		ratio("tocsin-20-one", "rg", "20 rules on one thread, of rg with the same patterns", 3)
		ratio("tocsin-1", "mawk", "1 rule, of mawk with the same window", 6)
		ratio("tocsin-20", "mawk", "20 rules, of mawk with one", 6)
		ratio("tocsin-1", "mawk-text", "1 rule, of mawk that looks for a text first", 6)
		ratio("tocsin-shipped-one", "mawk-shipped", "the shipped rules on one thread, of mawk with five of them", 3)
		ratio("tocsin-shipped-one", "mawk", "the shipped rules on one thread, of mawk with one other rule", "none")
		ratio("tocsin-20-one", "grep-cf", "20 rules on one thread, of grep -cF", 1)
		ratio("tocsin-1000", "tocsin-20", "1,000 rules, of 20", 0.75)
		ratio("tocsin-shipped", "tocsin-20", "the shipped rules, of 20", 0.8)
		ratio("tocsin-often", "wc", "rules that match 9 lines in 10, of wc -l", 0.1)
		ratio("tocsin-zst", "zstd", "on the .zst, of zstd -dc", 0.95)
		ratio("tocsin-gz", "igzip", "on the .gz, of igzip -dc", 0.83)
		ratio("tocsin-10", "sec", "10 rules, of SEC", 150)
		ratio("tocsin-10", "syslog-ng", "10 rules, of syslog-ng", 40)
		ratio("sigma-3000", "sigma-100", "3,000 Sigma rules, of 100", 0.5)
		if ("sigma-3000" in rate)
			printf "- 3,000 Sigma rules: %.0f events a second\n", events / seconds_of["sigma-3000"]
	}' "$work/medians"
for failed in "$work"/failed-*; do
	[ ! -e "$failed" ] || exit 2
done
