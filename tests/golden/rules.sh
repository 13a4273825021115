# For the cases that try the shipped rules: each rule once so that it fires, once so that it must not.
#	put SOURCE < LINES      lines of one source; mix SOURCE: among those that are there, by their stamps
#	run TITLE [OPTION…]     prints the title and what tocsin says about all that was put; then starts afresh

fresh()
{
	rm -rf "$WORK/in"
	mkdir "$WORK/in"
}

put()
{
	cat >> "$WORK/in/$1"
}

# The same, lines put in order of their stamps.
mix()
{
	cat >> "$WORK/in/$1"
	sort -s -o "$WORK/in/$1" "$WORK/in/$1"
}

run()
{
	echo "== $1"
	shift
	for file in "$WORK"/in/*; do
		set -- "$@" "${file##*/}=$file"
	done
	status=0
	case " $* " in
	*' -o '*) ;;
	*) set -- -o text "$@" ;;
	esac
	"$TOCSIN" -r "${RULES:-../../../rules}" --tz UTC "$@" || status=$?
	fresh
	return "$status"
}

# ticks FIRST STEP COUNT LINE…: COUNT times all the lines, STEP seconds apart; %T is the time of day, hh:mm:ss, %n the number.
ticks()
{
	first=$1 step=$2 count=$3
	shift 3
	for line; do
		printf '%s\n' "$line"
	done | awk -v first="$first" -v step="$step" -v count="$count" '
		{ text[NR] = $0 }
		END {
			for (i = 0; i < count; i++)
				for (j = 1; j <= NR; j++) {
					s = first + i * step
					line = text[j]
					gsub(/%T/, sprintf("%02d:%02d:%02d", int(s / 3600), int(s / 60) % 60, s % 60), line)
					gsub(/%n/, i + 1, line)
					print line
				}
		}'
}

# snapshot hh:mm:ss ROW…: a ps snapshot; a row is "pid ppid pcpu etimes time args".
snapshot()
{
	echo "2026-02-17T$1+00:00"
	shift
	echo 'PID PPID %CPU ELAPSED TIME COMMAND'
	echo '1 0 0.0 900000 00:00:09 /sbin/init'
	for row; do
		echo "$row"
	done
}

fresh
