#!/bin/sh
# shellcheck disable=SC2034,SC2120 # who sources it uses the rest
# For tests that follow: sourced, it goes to a folder of its own with rules, logs of a town and functions. Nothing sleeps for luck: each test
# waits for what must come, up to a limit. Every line names an agent of its own: `seen` opens once an agent, `twice` if a line is read twice.
: "${TOCSIN:?}"
work=$(mktemp -d) || exit 99
pid=
trap 'test -z "$pid" || kill -9 "$pid" 2>/dev/null; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 99
n=0
as='' # what stands in front of the program: who it runs as
limit=${FOLLOW_LIMIT:-20} # seconds that anything may take

cat > rules.yml <<'EOF2'
title: A crash
name: crash
status: experimental
logsource: {product: gastown, service: town}
detection:
  crash: {type: crash}
  condition: crash
---
title: Seen
name: seen
correlation: {type: event_count, rules: [crash], group-by: [agent], timespan: 1h, condition: {gte: 1}}
incident: {summary: "{{agent}}", resolve-after: 2h}
---
title: Twice
name: twice
correlation: {type: event_count, rules: [crash], group-by: [agent], timespan: 1h, condition: {gte: 2}}
incident: {summary: "{{agent}}", resolve-after: 2h}
EOF2

result() # NAME CONDITION…
{
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "# wanted: $*"
		sed 's/^/# standard error: /' err
		echo "# read: $(agents)"
	fi
}
skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
# until_true COMMAND…: waits for it.
until_true()
{
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt $((limit * 50)) ] || return 1
		sleep 0.02
	done
}
stamp()
{
	date -u '+%Y-%m-%d %H:%M:%S'
}
# crash FILE AGENT…: appends a line for each.
crash()
{
	file=$1
	shift
	for a; do
		echo "$(stamp) [crash] rig/polecats/$a exited unexpectedly (exit code 1)"
	done >> "$file"
}
# The agents of the rule, in the order they were told; in the file $told, else out.
agents()
{
	sed -n 's/.*"state":"open","rule":"'"${1:-seen}"'".*"summary":"rig\/\([^"]*\)".*/\1/p' "${told:-out}" | tr '\n' ' ' | sed 's/ $//'
}
are()
{
	[ "$(agents)" = "$1" ] && [ -z "$(agents twice)" ]
}
read_are()
{
	until_true are "$1"
}
says()
{
	grep -qE -- "$1" err
}
running()
{
	kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
gone()
{
	! running
}
# start ARGUMENT…: in the background.
start()
{
	: > out
	: > err
	# shellcheck disable=SC2086 # as: the words of a command in front, such as who it runs as
	$as "${program:-$TOCSIN}" -f -r rules.yml -o "${output:-jsonl}" --lateness "${lateness:-0}" "$@" > out 2> err < "${input:-/dev/null}" 3>&- & # 3: the writing end of a pipe
	pid=$!
	until_true ready
}
# Signals are taken from now on.
ready()
{
	[ -d /proc/self/fd ] || return 0
	for fd in "/proc/$pid/fd"/*; do
		case $(readlink "$fd" 2>/dev/null) in
		*signalfd*) return 0 ;;
		esac
	done
	gone
}
# Ends it; the exit status in $status.
stop()
{
	kill -"${1:-TERM}" "$pid"
	wait "$pid"
	status=$?
	pid=
}
fresh()
{
	[ -z "$pid" ] || stop
	rm -rf gt
	mkdir gt gt/logs
}
log=gt/logs/town.log
# Someone whom file modes bind: $other stands in front of what runs as such a one, $program is what it can run. False where there is no such.
other='' program=''
have_other()
{
	chmod 711 . && chmod 644 rules.yml
	[ "$(id -u)" = 0 ] || return 0
	other='setpriv --reuid=65534 --regid=65534 --clear-groups'
	[ "$program" ] || { program=$work/program && cp "$TOCSIN" program && chmod 755 program; }
	$other "$program" --version > /dev/null 2>&1
}
# give PATH…: it is the other's.
give()
{
	[ -z "$other" ] || chown -R 65534:65534 "$@"
}
# forbid FILE, allow FILE: may the other read it?
forbid()
{
	if [ "$other" ]; then chown 0:0 "$1" && chmod 600 "$1"; else chmod 0 "$1"; fi
}
allow()
{
	chmod 644 "$1"
}
