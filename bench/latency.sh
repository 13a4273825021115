#!/bin/sh
# From the appended line to the written incident, with 100 logs followed: at once with --lateness 0, else when the lateness has passed.
#
#	TOCSIN=PROGRAM  the tocsin to measure (default ./tocsin); CC=COMPILER
set -u
bench=${TOCSIN_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}/bench
tocsin=${TOCSIN:-$(pwd)/tocsin}
work=$(mktemp -d "${TMPDIR:-/tmp}/tocsin-bench.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
${CC:-cc} -O2 -o "$work/latency" "$bench/latency.c" || exit 2
status=0
for lateness in 0 2000; do
	"$work/latency" "$tocsin" $lateness || status=$?
done
exit $status
