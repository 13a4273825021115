# For the cases that try the shipped rules: each rule once so that it fires, once so that it must not.
#	put SOURCE < LINES      the lines of one source
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

# ticks FIRST STEP COUNT TEXT: COUNT lines, STEP seconds apart; in the text %T is hh:mm:ss, %n the number of the line.
ticks()
{
	awk -v first="$1" -v step="$2" -v count="$3" -v text="$4" 'BEGIN {
		for (i = 0; i < count; i++) {
			s = first + i * step
			line = text
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
