/*
 * format_ps.c: process listings over time: ps in any of its forms, pgrep, top in batch mode. It decides where a snapshot begins,
 * which columns its rows have, and which process a row is about.
 *
 * A snapshot is a stamp, a header and rows, where stamp or header may be missing:
 *
 *	2026-02-17T08:00:01+00:00          stamp: begins a snapshot
 *	  PID  PPID %CPU ELAPSED COMMAND   header: begins one when there are rows or a header since the last beginning
 *	    1     0  0.0  900000 init      rows
 *
 * Rows without a header ("PID command", pgrep -fa) are a snapshot of their own; they come in rising order, so a PID that does not
 * rise begins another. Snapshots of the same stamp are told apart by a millisecond each, so that the engine never
 * takes two listings for one.
 *
 * A process is (pid, started). What rows say of the start is an interval: elapsed time is sure to about 2 s, 03:12 to a
 * minute, Feb17 to a day, 2025 to a year. A row whose interval overlaps that of the process known under its PID, and whose CPU time
 * has not gone down, is about that process, whose `started` never changes then (except when better evidence replaces a
 * day, a year or nothing). Of a day or a year the end is taken: a process is never said to be older than is proved.
 *
 * Not done here: what a process missing from a snapshot means. The END event says that a snapshot is over and whether it was
 * complete; a listing is taken for complete when it has a header, PID 1, no damaged row of a known process, as many rows as top
 * counted tasks, and is not ordered by falling %CPU (those have mostly been cut by head).
 */
#include "base/memory.h"
#include "record/ansi.h"
#include "record/format.h"
#include "record/ps.h"

#include <math.h>
#include <stdlib.h>

#define COLUMN_LIMIT 64
#define HEADER_LIMIT 1024
#define STAMP_LINE_LIMIT 200
#define PROCESS_LIMIT 65536
#define COMMAND_LIMIT 1024      /* kept of a command, for its children's `parent` */
#define PID_LIMIT (1u << 22)    /* Linux has none beyond */
#define PID_PAGE 1024
#define RECENT 4                /* snapshots; a process without a known start is forgotten after as many without it */
#define SORTED_ROWS 8
#define SECONDS_LIMIT 4000000000.0
#define EPOCH_DIGITS 10         /* from 2001 on */
#define EPOCH_LIMIT INT64_C(4600000000)  /* the year 2115: times up to here can be added and subtracted freely */
#define SLACK_NS (2 * NS_PER_SECOND)
#define DAY_NS (86400 * NS_PER_SECOND)
#define SAME_STAMP_NS (NS_PER_SECOND / 1000)

/* ---- columns ---- */

enum column_kind {
	COLUMN_OTHER,
	COLUMN_PID,
	COLUMN_PPID,
	COLUMN_USER,
	COLUMN_UID, /* the user where there is no better column */
	COLUMN_CPU,
	COLUMN_C,   /* the same of %CPU */
	COLUMN_MEM,
	COLUMN_ELAPSED,
	COLUMN_CPUTIME,
	COLUMN_START,
	COLUMN_STATE,
	COLUMN_COMMAND,
	COLUMN_THREAD,
};
#define COLUMN_KINDS (COLUMN_THREAD + 1)

static const struct {
	const char *name;
	enum column_kind kind;
} known_columns[] = {
	{ "PID", COLUMN_PID },		{ "PPID", COLUMN_PPID },	{ "USER", COLUMN_USER },
	{ "EUSER", COLUMN_USER },	{ "RUSER", COLUMN_USER },	{ "UNAME", COLUMN_USER },
	{ "UID", COLUMN_UID },		{ "EUID", COLUMN_UID },		{ "%CPU", COLUMN_CPU },
	{ "PCPU", COLUMN_CPU },		{ "C", COLUMN_C },		{ "%MEM", COLUMN_MEM },
	{ "PMEM", COLUMN_MEM },		{ "ELAPSED", COLUMN_ELAPSED },	{ "ETIME", COLUMN_ELAPSED },
	{ "ETIMES", COLUMN_ELAPSED },	{ "TIME", COLUMN_CPUTIME },	{ "TIME+", COLUMN_CPUTIME },
	{ "CPUTIME", COLUMN_CPUTIME },	{ "CPUTIMES", COLUMN_CPUTIME }, { "START", COLUMN_START },
	{ "STARTED", COLUMN_START },	{ "STIME", COLUMN_START },	{ "LSTART", COLUMN_START },
	{ "S", COLUMN_STATE },		{ "STAT", COLUMN_STATE },	{ "STATE", COLUMN_STATE },
	{ "COMMAND", COLUMN_COMMAND },	{ "CMD", COLUMN_COMMAND },	{ "ARGS", COLUMN_COMMAND },
	{ "COMM", COLUMN_COMMAND },	{ "UCMD", COLUMN_COMMAND },	{ "UCOMM", COLUMN_COMMAND },
	{ "LWP", COLUMN_THREAD },	{ "SPID", COLUMN_THREAD },	{ "TID", COLUMN_THREAD },
	{ "TTY", COLUMN_OTHER },	{ "TT", COLUMN_OTHER },		{ "RSS", COLUMN_OTHER },
	{ "VSZ", COLUMN_OTHER },	{ "NI", COLUMN_OTHER },		{ "PRI", COLUMN_OTHER },
	{ "PR", COLUMN_OTHER },		{ "PGID", COLUMN_OTHER },	{ "SID", COLUMN_OTHER },
	{ "NLWP", COLUMN_OTHER },	{ "WCHAN", COLUMN_OTHER },	{ "GROUP", COLUMN_OTHER },
};

struct columns {
	size_t n;
	size_t flexible; /* the one that takes what the others leave: the last command, else the last column */
	size_t other;    /* with `args` and `comm` it may also be the first: the same as flexible when there is no other */
	bool has_threads;
	uint8_t kind[COLUMN_LIMIT];
	struct span name[COLUMN_LIMIT]; /* in the header's text */
};

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static struct span trim(struct span s)
{
	while (s.len > 0 && (is_blank(*s.ptr) || *s.ptr == '\r'))
		s = span_from(s, 1);
	while (s.len > 0 && (is_blank(s.ptr[s.len - 1]) || s.ptr[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* The next word; empty at the end. */
static struct span take_word(struct span *rest)
{
	const char *p = rest->ptr, *end = p + rest->len, *word;

	while (p < end && is_blank(*p))
		p++;
	word = p;
	while (p < end && !is_blank(*p))
		p++;
	*rest = span_of(p, (size_t)(end - p));
	return span_of(word, (size_t)(p - word));
}

/* The last word; empty when there is none. */
static struct span take_last_word(struct span *rest)
{
	const char *start = rest->ptr, *end = start + rest->len, *word_end;

	while (end > start && is_blank(end[-1]))
		end--;
	word_end = end;
	while (end > start && !is_blank(end[-1]))
		end--;
	*rest = span_of(start, (size_t)(end - start));
	return span_of(end, (size_t)(word_end - end));
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.ptr[i]))
			return false;
	return s.len > 0;
}

static bool header_word(struct span w)
{
	if (!is_upper(*w.ptr) && *w.ptr != '%' && *w.ptr != '#')
		return false;
	for (size_t i = 1; i < w.len; i++) {
		char c = w.ptr[i];

		if (!is_upper(c) && !is_digit(c) && !memchr("%+_/#-.", c, 7))
			return false;
	}
	return true;
}

/* A header has PID and another known column, or is PID alone; its words are capitals. */
static bool columns_parse(struct span line, struct columns *ret)
{
	size_t n_known = 0, n_of[COLUMN_KINDS] = { 0 };
	struct span rest = line;

	if (line.len > HEADER_LIMIT)
		return false;
	ret->n = 0;
	for (struct span w = take_word(&rest); w.len > 0; w = take_word(&rest)) {
		enum column_kind kind = COLUMN_OTHER;

		if (!header_word(w) || ret->n == COLUMN_LIMIT)
			return false;
		for (size_t i = 0; i < sizeof known_columns / sizeof *known_columns; i++) {
			if (span_equal(w, span_from_string(known_columns[i].name))) {
				kind = known_columns[i].kind;
				n_known++;
				break;
			}
		}
		/* The first of a kind counts; of starts the most exact is used, of commands the longest. */
		if (kind == COLUMN_COMMAND) {
			ret->flexible = ret->n;
			if (n_of[kind] == 0)
				ret->other = ret->n;
		} else if (kind != COLUMN_START && n_of[kind]) {
			kind = COLUMN_OTHER;
		}
		n_of[kind]++;
		ret->kind[ret->n] = kind;
		ret->name[ret->n++] = w;
	}
	if (n_of[COLUMN_PID] == 0 || (ret->n > 1 && n_known < 2))
		return false;
	for (size_t i = 0; i < ret->n; i++) {
		if ((ret->kind[i] == COLUMN_UID && n_of[COLUMN_USER]) || (ret->kind[i] == COLUMN_C && n_of[COLUMN_CPU]))
			ret->kind[i] = COLUMN_OTHER;
	}
	ret->has_threads = n_of[COLUMN_THREAD] > 0;
	if (n_of[COLUMN_COMMAND] == 0)
		ret->flexible = ret->other = ret->n - 1;
	return true;
}

/* ---- cells ---- */

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* 1 to 12; 0: none. */
static int month_at(struct span s)
{
	for (int i = 0; i < 12; i++)
		if (s.len >= 3 && memcmp(s.ptr, month_names[i], 3) == 0)
			return i + 1;
	return 0;
}

/* 0 to 6; -1: none. */
static int weekday_at(struct span s)
{
	for (int i = 0; i < 7; i++)
		if (s.len >= 3 && memcmp(s.ptr, day_names[i], 3) == 0)
			return i;
	return -1;
}

/* "Feb 17" is one cell of two words, "Tue Feb 17 05:12:01 2026" one of five. */
static struct span take_cell(struct span *rest, enum column_kind kind)
{
	struct span first = take_word(rest), after = *rest, last = first;
	int more = 0;

	if (kind != COLUMN_START || first.len != 3)
		return first;
	if (month_at(first))
		more = 1;
	else if (weekday_at(first) >= 0)
		more = 4;
	for (int i = 0; i < more; i++)
		last = take_word(&after);
	if (more == 0 || last.len == 0 || !is_digit(*last.ptr))
		return first;
	*rest = after;
	return span_of(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

static struct span take_last_cell(struct span *rest, enum column_kind kind)
{
	struct span last = take_last_word(rest), before = *rest, first;

	if (kind != COLUMN_START || !all_digits(last) || (last.len > 2 && last.len != 4))
		return last;
	for (int i = 0; i < (last.len == 4 ? 4 : 1); i++)
		first = take_last_word(&before);
	if (first.len != 3 || (last.len == 4 ? weekday_at(first) < 0 : !month_at(first)))
		return last;
	*rest = before;
	return span_of(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

/* Cuts a row into its columns, `flexible` taking what the others leave; false when there are too few words. */
static bool cells_of(const struct columns *c, size_t flexible, struct span line, struct span cells[COLUMN_LIMIT])
{
	for (size_t i = 0; i < flexible; i++) {
		cells[i] = take_cell(&line, c->kind[i]);
		if (cells[i].len == 0)
			return false;
	}
	for (size_t i = c->n - 1; i > flexible; i--) {
		cells[i] = take_last_cell(&line, c->kind[i]);
		if (cells[i].len == 0)
			return false;
	}
	cells[flexible] = trim(line);
	return cells[flexible].len > 0;
}

static bool nothing_written(struct span s)
{
	return s.len == 1 && (*s.ptr == '-' || *s.ptr == '?');
}

static bool parse_pid(struct span s, uint32_t *ret)
{
	uint64_t v = 0;

	if (s.len > 10 || !all_digits(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		v = v * 10 + (uint64_t)(s.ptr[i] - '0');
	if (v > INT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* A decimal number; other locales' comma too. */
static bool parse_number(struct span s, double *ret)
{
	char copy[24];

	if (s.len == 0 || s.len > sizeof copy || (!is_digit(*s.ptr) && *s.ptr != '.'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.ptr[i]) && s.ptr[i] != '.' && s.ptr[i] != ',')
			return false;
		copy[i] = s.ptr[i] == ',' ? '.' : s.ptr[i];
	}
	return span_to_number(span_of(copy, s.len), ret);
}

/*
 * [[DD-]hh:]mm:ss[.ff], seconds alone; and what top writes when it is short of room: "12,34" (hours, minutes), 1234h, 56d, 7w;
 * BusyBox: 1h23. Of these *ret_coarse is set: two of them cannot be subtracted.
 */
static bool parse_seconds(struct span s, double *ret, bool *ret_coarse)
{
	double part[3] = { 0 }, days = 0, v = 0;
	int n = 0;
	bool digits = false;
	size_t i = 0;

	*ret_coarse = false;
	for (; i < s.len && i < 24; i++) {
		char c = s.ptr[i];

		if (is_digit(c)) {
			v = v * 10 + (c - '0');
			digits = true;
			continue;
		}
		if (!digits)
			return false;
		if (c == '-' && n == 0 && days == 0)
			days = v;
		else if (c == ':' && n < 2)
			part[n++] = v;
		else
			break;
		v = 0;
		digits = false;
	}
	if (i == s.len) {
		if (!digits)
			return false;
		part[n++] = v;
		*ret = n == 1 ? part[0] : n == 2 ? part[0] * 60 + part[1] : part[0] * 3600 + part[1] * 60 + part[2];
		*ret += days * 86400;
	} else if (s.ptr[i] == '.' && n >= 1 && days == 0 && all_digits(span_from(s, i + 1)) && s.len - i <= 10) {
		double fraction = 0;

		part[n++] = v;
		if (!span_to_number(span_from(s, i), &fraction))
			return false;
		*ret = (n == 2 ? part[0] * 60 + part[1] : part[0] * 3600 + part[1] * 60 + part[2]) + fraction;
	} else if (n == 0 && days == 0) {
		double unit = s.ptr[i] == 'w' ? 7 * 86400 : s.ptr[i] == 'd' ? 86400 : s.ptr[i] == 'h' || s.ptr[i] == ',' ? 3600 : 0;
		double smaller = unit == 3600 ? 60 : unit == 86400 ? 3600 : 86400;
		struct span rest = span_from(s, i + 1);
		double more = 0;

		if (unit == 0 || (s.ptr[i] == ',' && rest.len == 0))
			return false;
		if (rest.len > 0 && (rest.len > 2 || !all_digits(rest) || !span_to_number(rest, &more)))
			return false;
		*ret = v * unit + more * smaller;
		*ret_coarse = true;
	} else {
		return false;
	}
	return *ret < SECONDS_LIMIT;
}

/* ---- stamps ---- */

struct stamp_line {
	struct civil civil;
	int64_t time_ns;  /* epoch seconds: at once; else TIME_NONE */
	bool clock_only;  /* top's first line */
	bool host_offset; /* the zone is written as an offset: that of the host */
};

static bool is_decoration(char c)
{
	return is_blank(c) || memchr("#=*-~+_<>|[](){}:;,.\"'", c, 21);
}

/* Epoch seconds (10 digits, or any behind @), with a fraction or as milliseconds. */
static size_t epoch_stamp(struct span s, int64_t *ret)
{
	size_t at = s.len > 0 && *s.ptr == '@', n = 0, digits, fraction = 0;
	int64_t v = 0;

	while (at + n < s.len && is_digit(s.ptr[at + n]) && n < 14)
		v = v * 10 + (s.ptr[at + n++] - '0');
	if (n != EPOCH_DIGITS && n != EPOCH_DIGITS + 3 && !(at && n > 0 && n < EPOCH_DIGITS))
		return 0;
	digits = n;
	if (v / (digits == EPOCH_DIGITS + 3 ? 1000 : 1) > EPOCH_LIMIT)
		return 0;
	v *= digits == EPOCH_DIGITS + 3 ? NS_PER_SECOND / 1000 : NS_PER_SECOND;
	if (at + n + 1 < s.len && s.ptr[at + n] == '.' && is_digit(s.ptr[at + n + 1]) && digits <= EPOCH_DIGITS) {
		int64_t unit = NS_PER_SECOND / 10;

		for (n++; at + n < s.len && is_digit(s.ptr[at + n]) && fraction < 9; n++, fraction++, unit /= 10)
			v += unit * (s.ptr[at + n] - '0');
	}
	if (at + n < s.len && !is_blank(s.ptr[at + n]) && !is_decoration(s.ptr[at + n]))
		return 0;
	*ret = v;
	return at + n;
}

static size_t any_stamp(struct span s, struct stamp_line *ret)
{
	size_t n;

	ret->time_ns = TIME_NONE;
	if (s.len == 0)
		return 0;
	n = civil_parse(s, &ret->civil);
	if (n > 0) {
		ret->host_offset = ret->civil.has_zone && is_digit(s.ptr[n - 1]) && (memchr(s.ptr + 10, '+', n - 10) || memchr(s.ptr + 10, '-', n - 10));
		return n;
	}
	return is_digit(*s.ptr) || *s.ptr == '@' ? epoch_stamp(s, &ret->time_ns) : 0;
}

/* "top - 05:12:01 up 3 days", and uptime's line, which is the same without the first word. */
static bool clock_stamp(struct span line, struct stamp_line *ret)
{
	const char *p;

	if (span_starts_with(line, SPAN("top - ")))
		line = trim(span_from(line, 6));
	p = line.ptr;
	if (line.len < 12 || !span_starts_with(span_from(line, 8), SPAN(" up ")) || p[2] != ':' || p[5] != ':')
		return false;
	for (int i = 0; i < 8; i++)
		if (i % 3 != 2 && !is_digit(p[i]))
			return false;
	ret->civil = (struct civil){
		.year = 1970, .month = 1, .day = 1,
		.hour = (p[0] - '0') * 10 + p[1] - '0',
		.minute = (p[3] - '0') * 10 + p[4] - '0',
		.second = (p[6] - '0') * 10 + p[7] - '0',
	};
	ret->clock_only = true;
	return civil_valid(&ret->civil);
}

/* A line that says the time and nothing else; a decorated one ("=== snapshot of STAMP ===") may say more. line is trimmed. */
static bool stamp_line_parse(struct span line, struct stamp_line *ret)
{
	struct span rest = line;
	size_t decoration = 0, n = 0;
	bool decorated;

	if (line.len < EPOCH_DIGITS - 8 || line.len > STAMP_LINE_LIMIT)
		return false;
	*ret = (struct stamp_line){ .time_ns = TIME_NONE };
	if (*line.ptr == 't' || is_digit(*line.ptr)) {
		if (clock_stamp(line, ret))
			return true;
	}
	while (decoration < line.len && is_decoration(line.ptr[decoration]))
		decoration++;
	rest = span_from(line, decoration);
	decorated = *line.ptr == '#' || *line.ptr == '=' || *line.ptr == '*' || *line.ptr == '>' || *line.ptr == '[' ||
		    span_starts_with(line, SPAN("--"));
	for (int words = 0; words < 6; words++) {
		n = any_stamp(rest, ret);
		if (n > 0 || !decorated)
			break;
		take_word(&rest);
		rest = trim(rest);
	}
	if (n == 0)
		return false;
	rest = span_from(rest, n);
	if (decorated && (rest.len == 0 || !is_digit(*rest.ptr)))
		return *line.ptr != '[' || (rest.len > 0 && *rest.ptr == ']' && trim(span_from(rest, 1)).len == 0);
	/* What may follow is a zone's abbreviation and more decoration. */
	rest = trim(rest);
	n = 0;
	while (n < rest.len && n < 5 && is_upper(rest.ptr[n]))
		n++;
	for (; n < rest.len; n++)
		if (!is_decoration(rest.ptr[n]))
			return false;
	return true;
}

/* Of what is in a state: a sane time, less the longest elapsed time. */
static bool time_possible(int64_t t)
{
	return t == TIME_NONE || (t > -(EPOCH_LIMIT + 2000) * NS_PER_SECOND && t < (EPOCH_LIMIT + 40000000) * NS_PER_SECOND);
}

/* Snapshots of other centuries have no time: nothing is reckoned with it. */
static int64_t sane_time(int64_t t)
{
	return t >= 0 && t <= EPOCH_LIMIT * NS_PER_SECOND ? t : TIME_NONE;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* A clock without a date: the next such time after the last stamp (a clock may have been set back a little), or the last one before arrival or mtime. */
static int64_t clock_resolve(const struct format_context *c, const struct civil *clock)
{
	struct civil dated = *clock;
	int64_t near = c->previous_ns, day, t = TIME_NONE;

	if (near == TIME_NONE)
		return civil_to_time(clock, c->zone, TIME_NONE);
	day = floor_div(floor_div(near, NS_PER_SECOND) + zone_offset_s(c->zone, near), 86400);
	for (int i = 0; i < 3; i++) {
		civil_from_days(c->previous_is_stamp ? day - 1 + i : day + 1 - i, &dated.year, &dated.month, &dated.day);
		if (!civil_valid(&dated))
			continue;
		t = civil_to_time(&dated, c->zone, c->previous_is_stamp ? near : TIME_NONE);
		if (c->previous_is_stamp ? t >= near - 7200 * NS_PER_SECOND : t <= near + 60 * NS_PER_SECOND)
			return t;
	}
	return t;
}

static int64_t stamp_line_time(const struct format_context *c, const struct stamp_line *s)
{
	if (s->time_ns != TIME_NONE)
		return s->time_ns;
	return s->clock_only ? clock_resolve(c, &s->civil) : stamp_resolve(c, &s->civil);
}

/* ---- other lines ---- */

static bool summary_line(struct span line)
{
	static const char *const beginnings[] = {
		"Tasks:", "Threads:", "%Cpu", "Cpu(s):", "CPU:", "MiB Mem", "MiB Swap", "KiB Mem", "KiB Swap", "GiB Mem", "GiB Swap",
		"Mem:", "Mem ", "Swap:", "Load average:",
	};

	if (!is_upper(*line.ptr) && *line.ptr != '%')
		return false;
	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
		if (span_starts_with(line, span_from_string(beginnings[i])))
			return true;
	return false;
}

/* "4242 python -m pytest", "4242". A command begins with no digit: that would be the rest of another shape of row. */
static bool bare_row(struct span line, uint32_t *ret_pid, struct span *ret_command)
{
	struct span rest = line, word;

	if (!is_digit(*line.ptr))
		return false;
	word = take_word(&rest);
	*ret_command = trim(rest);
	return parse_pid(word, ret_pid) && *ret_pid > 0 && (ret_command->len == 0 || !is_digit(*ret_command->ptr));
}

/* ---- programs and rigs ---- */

/* Without the tree that `ps f` and `--forest` draw before it. */
static struct span command_of(struct span s)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '|'))
		n++;
	return s.len - n > 3 && memcmp(s.ptr + n, "\\_ ", 3) == 0 ? span_from(s, n + 3) : s;
}

static struct span program_of(struct span command)
{
	struct span word = command;
	const char *p;

	if (command.len > 0 && (*command.ptr == '[' || *command.ptr == '(')) {
		p = memchr(command.ptr, *command.ptr == '[' ? ']' : ')', command.len);
		if (p)
			return span_of(command.ptr, (size_t)(p + 1 - command.ptr));
	}
	word = take_word(&command);
	if (word.len > 1 && *word.ptr == '-')
		word = span_from(word, 1);
	p = word.len ? memrchr(word.ptr, '/', word.len) : NULL;
	if (p && p + 1 < word.ptr + word.len)
		word = span_of(p + 1, (size_t)(word.ptr + word.len - p - 1));
	if (word.len > 1 && word.ptr[word.len - 1] == ':') /* "sshd: op [priv]" */
		word.len--;
	return word;
}

static bool is_rig_char(char c)
{
	return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
}

/* A folder's name at s: empty when it is hidden, one of the town's own, or a file. */
static struct span rig_at(struct span s)
{
	static const char *const own[] = { "mayor", "deacon", "daemon", "logs", "log", "overseer", "boot", "dogs", "plugins",
					   "settings", "config", "scripts", "bin", "tmp" };
	size_t n = 0;

	while (n < s.len && is_rig_char(s.ptr[n]))
		n++;
	if (n == 0 || *s.ptr == '.' || *s.ptr == '-')
		return SPAN("");
	if ((n == s.len || s.ptr[n] != '/') && memchr(s.ptr, '.', n))
		return SPAN("");
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (span_equal(span_of(s.ptr, n), span_from_string(own[i])))
			return SPAN("");
	return span_of(s.ptr, n);
}

/* The folder behind "/gt/" in a path of the command; else, a town may have another name, the one in which a worker's folder lies. */
static struct span rig_of(struct span command)
{
	static const char *const inside[] = { "/polecats/", "/crew/", "/refinery/rig", "/mayor/rig" };
	struct span rest = command;
	const char *p;

	while (rest.len > 4 && (p = memmem(rest.ptr, rest.len, "/gt/", 4))) {
		struct span rig;

		rest = span_from(rest, (size_t)(p + 4 - rest.ptr));
		rig = rig_at(rest);
		if (rig.len > 0)
			return rig;
	}
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		const char *start;
		struct span rig;

		p = command.len ? memmem(command.ptr, command.len, inside[i], strlen(inside[i])) : NULL;
		if (!p)
			continue;
		for (start = p; start > command.ptr && is_rig_char(start[-1]);)
			start--;
		if (start == command.ptr || start[-1] != '/')
			continue;
		rig = rig_at(span_of(start, (size_t)(p + 1 - start)));
		if (rig.len > 0)
			return rig;
	}
	return SPAN("");
}

/* ---- when a process started ---- */

enum tier { TIER_EXACT, TIER_MINUTE, TIER_HOUR, TIER_DAY, TIER_YEAR, TIER_NONE };

struct estimate {
	enum tier tier;
	int64_t start_ns, low_ns, high_ns;
};

struct snapshot {
	int64_t time_ns;      /* of its stamp */
	int64_t ns;           /* what tells it from others: time_ns, or a little more */
	uint64_t number, rows;
	uint64_t tasks;       /* as top counted them; 0: unknown */
	bool header;          /* one has been seen since it began */
	bool columns;         /* its rows have columns */
	bool damaged, init;   /* a row of a known process could not be read; PID 1 is in it */
	bool pid_rises, cpu_falls;
	uint32_t last_pid;
	double first_cpu, last_cpu;
	bool has_offset;      /* the stamp says how far the host's clock is from UTC, and it is not the source's zone */
	int32_t offset_s;
};

static int64_t local_to_time(const struct format_context *c, const struct snapshot *s, struct civil *civil)
{
	if (!civil_valid(civil))
		return TIME_NONE;
	if (s->has_offset) {
		civil->has_zone = true;
		civil->zone_offset_s = s->offset_s;
	}
	return civil_to_time(civil, c->zone, TIME_NONE);
}

/* "3:12", "03:12:59", "3:12AM"; returns the bytes read, 0: none. */
static size_t start_clock(struct span s, struct civil *ret, enum tier *ret_tier)
{
	size_t i = 0;
	int *const parts[] = { &ret->hour, &ret->minute, &ret->second };
	int n = 0;

	ret->hour = ret->minute = ret->second = 0;
	for (; n < 3; n++) {
		size_t digits = 0;

		while (i + digits < s.len && digits < 2 && is_digit(s.ptr[i + digits])) {
			*parts[n] = *parts[n] * 10 + (s.ptr[i + digits] - '0');
			digits++;
		}
		if (digits == 0 || (n > 0 && digits != 2))
			return 0;
		i += digits;
		if (i == s.len || s.ptr[i] != ':') {
			n++;
			break;
		}
		i++;
	}
	*ret_tier = n == 3 ? TIER_EXACT : n == 2 ? TIER_MINUTE : TIER_HOUR;
	if (i + 2 <= s.len && s.ptr[i + 1] == 'M' && (s.ptr[i] == 'A' || s.ptr[i] == 'P')) {
		if (ret->hour < 1 || ret->hour > 12)
			return 0;
		ret->hour = ret->hour % 12 + (s.ptr[i] == 'P' ? 12 : 0);
		return i + 2;
	}
	return n >= 2 ? i : 0;
}

/* What a START cell says, given when the row was written. */
static bool start_estimate(const struct format_context *c, const struct snapshot *s, struct span text, struct estimate *ret)
{
	int64_t seconds = floor_div(s->time_ns, NS_PER_SECOND);
	int64_t today = floor_div(seconds + (s->has_offset ? s->offset_s : zone_offset_s(c->zone, s->time_ns)), 86400);
	int64_t limit = s->time_ns + 61 * NS_PER_SECOND, t = TIME_NONE, width_ns = 0;
	struct civil civil = { 0 };
	int this_year, this_month, this_day, weekday = weekday_at(text), month;
	enum tier tier;
	size_t n;

	civil_from_days(today, &this_year, &this_month, &this_day);
	if (weekday >= 0 && (text.len <= 8 || !is_blank(text.ptr[3]))) { /* Mon03PM */
		int64_t day;

		if (start_clock(span_from(text, 3), &civil, &tier) != text.len - 3)
			return false;
		day = today - ((today + 4 - weekday) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
		civil_from_days(day, &civil.year, &civil.month, &civil.day);
		t = local_to_time(c, s, &civil);
		if (t != TIME_NONE && t > limit)
			t -= 7 * DAY_NS;
	} else if (weekday >= 0) { /* Tue Feb 17 05:12:01 2026 */
		n = civil_parse(text, &civil);
		if (n != text.len || civil.year == 0)
			return false;
		tier = TIER_EXACT;
		t = civil.has_zone ? civil_to_time(&civil, c->zone, TIME_NONE) : local_to_time(c, s, &civil);
	} else if ((month = month_at(text))) { /* Feb17, Feb 17 */
		struct span day = trim(span_from(text, 3));

		if (day.len > 2 || !all_digits(day))
			return false;
		tier = TIER_DAY;
		civil.month = month;
		civil.day = (*day.ptr - '0') * (day.len == 2 ? 10 : 1) + (day.len == 2 ? day.ptr[1] - '0' : 0);
		for (civil.year = this_year + 1; civil.year > this_year - 9; civil.year--) {
			t = local_to_time(c, s, &civil);
			if (t != TIME_NONE && t <= limit)
				break;
			t = TIME_NONE;
		}
	} else if (text.len == 4 && all_digits(text)) { /* 2025 */
		tier = TIER_YEAR;
		for (int i = 0; i < 4; i++)
			civil.year = civil.year * 10 + (text.ptr[i] - '0');
		civil.month = civil.day = 1;
		t = civil.year > 1970 ? local_to_time(c, s, &civil) : TIME_NONE;
	} else if (text.len == 7 && is_digit(*text.ptr) && (month = month_at(span_from(text, 2)))) { /* 17Feb26 */
		if (!is_digit(text.ptr[1]) || !is_digit(text.ptr[5]) || !is_digit(text.ptr[6]))
			return false;
		tier = TIER_DAY;
		civil.year = 2000 + (text.ptr[5] - '0') * 10 + (text.ptr[6] - '0');
		civil.month = month;
		civil.day = (text.ptr[0] - '0') * 10 + (text.ptr[1] - '0');
		t = local_to_time(c, s, &civil);
	} else {
		n = start_clock(text, &civil, &tier);
		if (n == 0 || n != text.len)
			return false;
		civil_from_days(today, &civil.year, &civil.month, &civil.day);
		t = local_to_time(c, s, &civil);
		if (t != TIME_NONE && t > limit) {
			civil_from_days(today - 1, &civil.year, &civil.month, &civil.day);
			t = local_to_time(c, s, &civil);
		}
	}
	if (t == TIME_NONE || t > limit)
		return false;
	switch (tier) {
	case TIER_EXACT:
		*ret = (struct estimate){ tier, t, t - SLACK_NS, t + SLACK_NS };
		return true;
	case TIER_MINUTE:
		*ret = (struct estimate){ tier, t, t - NS_PER_SECOND, t + 61 * NS_PER_SECOND };
		return true;
	case TIER_HOUR:
		width_ns = 3600 * NS_PER_SECOND;
		break;
	case TIER_DAY:
		width_ns = DAY_NS;
		break;
	case TIER_YEAR:
		width_ns = 366 * DAY_NS;
		civil.year++;
		if (civil_valid(&civil))
			width_ns = local_to_time(c, s, &civil) - t;
		break;
	case TIER_NONE:
		return false;
	}
	*ret = (struct estimate){ tier, t + width_ns, t - NS_PER_SECOND, t + width_ns + NS_PER_SECOND };
	if (ret->start_ns > s->time_ns)
		ret->start_ns = s->time_ns > t ? seconds * NS_PER_SECOND : t;
	return true;
}

/* ---- known processes ---- */

/*
 * In items[1..]; those in use are linked in the order in which they were last seen, the free ones through `newer`. The index
 * from PID to item is a table of pages, so that no choice of PIDs makes it slow.
 */
struct process {
	uint32_t pid, older, newer;
	enum tier tier;
	int64_t start_ns;       /* as first established */
	int64_t low_ns, high_ns; /* where it may really lie */
	int64_t base_ns;        /* the sighting that cputime is of */
	double cputime;         /* NAN: unknown */
	uint64_t seen;          /* number of the snapshot that it was in last */
	struct span command;    /* owned */
};

struct ps_state {
	/* what begins() knows, which runs ahead of parse() */
	bool framed_stamp, framed_header;
	uint32_t framed_pid;
	int64_t framed_ns;

	char *header; /* NULL: none yet */
	struct columns columns;
	struct snapshot now;
	uint64_t complete, complete_before; /* numbers of the last two complete snapshots */

	struct process *items;
	uint32_t n_items, cap_items, n_used, free, oldest, newest;
	uint32_t *pages[PID_LIMIT / PID_PAGE];
};

static uint32_t *process_slot(struct ps_state *st, uint32_t pid, bool make)
{
	uint32_t **page;

	if (pid >= PID_LIMIT)
		return NULL;
	page = &st->pages[pid / PID_PAGE];
	if (!*page) {
		if (!make)
			return NULL;
		*page = xcalloc(PID_PAGE, sizeof **page);
	}
	return *page + pid % PID_PAGE;
}

static struct process *process_find(struct ps_state *st, uint32_t pid)
{
	const uint32_t *slot = process_slot(st, pid, false);

	return slot && *slot ? &st->items[*slot] : NULL;
}

static void process_unlink(struct ps_state *st, const struct process *p)
{
	if (p->older)
		st->items[p->older].newer = p->newer;
	else
		st->oldest = p->newer;
	if (p->newer)
		st->items[p->newer].older = p->older;
	else
		st->newest = p->older;
}

static void process_append(struct ps_state *st, struct process *p)
{
	uint32_t index = (uint32_t)(p - st->items);

	p->older = st->newest;
	p->newer = 0;
	if (st->newest)
		st->items[st->newest].newer = index;
	else
		st->oldest = index;
	st->newest = index;
}

static void process_remove(struct ps_state *st, struct process *p)
{
	process_unlink(st, p);
	*process_slot(st, p->pid, false) = 0;
	free((char *)p->command.ptr);
	p->command = SPAN("");
	p->command.ptr = NULL;
	p->newer = st->free;
	st->free = (uint32_t)(p - st->items);
	st->n_used--;
}

/* NULL when the PID is one that cannot be. */
static struct process *process_add(struct ps_state *st, uint32_t pid)
{
	uint32_t *slot = process_slot(st, pid, true);
	struct process *p;

	if (!slot)
		return NULL;
	if (st->n_used == PROCESS_LIMIT)
		process_remove(st, &st->items[st->oldest]);
	if (!st->free) {
		if (st->n_items == 0)
			st->n_items = 1;
		while (st->n_items >= st->cap_items) {
			st->cap_items = st->cap_items ? st->cap_items * 2 : 64;
			st->items = xrealloc(st->items, st->cap_items * sizeof *st->items);
		}
		st->items[st->n_items].newer = 0;
		st->free = st->n_items++;
	}
	p = &st->items[st->free];
	*slot = st->free;
	st->free = p->newer;
	*p = (struct process){ .pid = pid, .tier = TIER_NONE, .cputime = NAN, .command = { NULL, 0 } };
	process_append(st, p);
	st->n_used++;
	return p;
}

static void process_set_command(struct process *p, struct span command)
{
	if (command.len > COMMAND_LIMIT) {
		command.len = COMMAND_LIMIT;
		while (command.len > 0 && ((unsigned char)command.ptr[command.len] & 0xc0) == 0x80)
			command.len--;
	}
	if (span_equal(p->command, command))
		return;
	free((char *)p->command.ptr);
	p->command = span_of(xmemdup(command.ptr, command.len), command.len);
}

struct row {
	uint32_t pid, ppid;
	struct span pid_text, ppid_text, user, state, command;
	double cpu, mem, elapsed, cputime; /* NAN: not there */
	struct span cpu_text, mem_text;    /* as written */
	bool cputime_coarse;
	struct estimate start;
};

/* Is this row about the process that is known under its PID? */
static bool same_process(const struct ps_state *st, const struct process *p, const struct row *r)
{
	if (p->seen == st->now.number && st->columns.has_threads)
		return true; /* another of its threads */
	if (!isnan(r->cputime) && !r->cputime_coarse && !isnan(p->cputime) && floor(r->cputime) < floor(p->cputime))
		return false;
	if (r->start.tier != TIER_NONE)
		return r->start.low_ns <= p->high_ns && r->start.high_ns >= p->low_ns;
	if (st->now.number - p->seen > RECENT || p->seen < st->complete)
		return false;
	return p->tier != TIER_NONE || span_equal(p->command, r->command) ||
	       (p->command.len == COMMAND_LIMIT && span_starts_with(r->command, p->command));
}

static void process_begin(const struct ps_state *st, struct process *p, const struct row *r)
{
	int64_t before = p->start_ns;
	int64_t now_ns = floor_div(st->now.time_ns, NS_PER_SECOND) * NS_PER_SECOND;
	bool again = p->seen != 0;

	p->tier = r->start.tier;
	if (p->tier == TIER_NONE) {
		p->start_ns = now_ns;
		p->low_ns = INT64_MIN;
		p->high_ns = st->now.time_ns + SLACK_NS;
	} else {
		p->start_ns = r->start.start_ns;
		p->low_ns = r->start.low_ns;
		p->high_ns = r->start.high_ns;
	}
	/* A PID that came back within a minute: two processes must not have one name. */
	if (again && p->start_ns == before && now_ns > before && now_ns <= p->high_ns)
		p->start_ns = now_ns;
	p->cputime = NAN;
}

/* Finds or adds the process of a row and brings it up to date. *ret_cpu_now: NAN when it cannot be said. */
static struct process *process_see(struct ps_state *st, const struct row *r, double *ret_cpu_now)
{
	struct process *p = process_find(st, r->pid);
	bool again = p && p->seen == st->now.number;

	*ret_cpu_now = NAN;
	if (!p) {
		p = process_add(st, r->pid);
		if (!p)
			return NULL;
		process_begin(st, p, r);
	} else if (!same_process(st, p, r)) {
		process_begin(st, p, r);
	} else if (r->start.tier != TIER_NONE) {
		if (p->tier >= TIER_HOUR && r->start.tier < p->tier) {
			p->tier = r->start.tier;
			p->start_ns = r->start.start_ns;
		}
		if (p->low_ns == INT64_MIN || (r->start.high_ns - r->start.low_ns) < (p->high_ns - p->low_ns) / 2) {
			p->low_ns = r->start.low_ns;
			p->high_ns = r->start.high_ns;
		}
	}
	if (!isnan(r->cputime) && !r->cputime_coarse) {
		int64_t past_ns = st->now.time_ns - p->base_ns;

		if (isnan(p->cputime) || past_ns < 0) {
			p->cputime = r->cputime;
			p->base_ns = st->now.time_ns;
		} else if (past_ns >= NS_PER_SECOND && !(again && st->columns.has_threads)) {
			double used = r->cputime > p->cputime ? r->cputime - p->cputime : 0;

			*ret_cpu_now = round(1000 * used / ((double)past_ns / (double)NS_PER_SECOND)) / 10;
			p->cputime = r->cputime;
			p->base_ns = st->now.time_ns;
		}
	}
	if (!again || !st->columns.has_threads)
		process_set_command(p, r->command);
	p->seen = st->now.number;
	process_unlink(st, p);
	process_append(st, p);
	return p;
}

/* ---- snapshots ---- */

static bool snapshot_is_complete(const struct snapshot *s)
{
	bool by_cpu = s->tasks == 0 && s->rows >= SORTED_ROWS && s->cpu_falls && !s->pid_rises && s->first_cpu > s->last_cpu;

	return s->columns && s->init && !s->damaged && s->rows >= s->tasks && !by_cpu;
}

static void snapshot_begin(struct ps_state *st, int64_t time_ns)
{
	struct snapshot *s = &st->now;
	int64_t ns = time_ns;

	if (s->rows > 0 && snapshot_is_complete(s)) {
		st->complete_before = st->complete;
		st->complete = s->number;
		while (st->oldest && st->items[st->oldest].seen < st->complete_before)
			process_remove(st, &st->items[st->oldest]);
	}
	if (time_ns != TIME_NONE && time_ns == s->time_ns)
		ns = s->rows > 0 ? s->ns + SAME_STAMP_NS : s->ns;
	*s = (struct snapshot){ .time_ns = time_ns, .ns = ns, .number = s->number + 1, .pid_rises = true, .cpu_falls = true };
}

/* The event of a line that begins a snapshot: the end of the one before it, when that had rows. */
static enum parse_result snapshot_next(struct ps_state *st, int64_t time_ns, struct event *e)
{
	int64_t old_ns = st->now.ns;
	bool had_rows = st->now.rows > 0, complete = snapshot_is_complete(&st->now);

	snapshot_begin(st, time_ns);
	if (!had_rows)
		return PARSE_NOTHING;
	e->kind = EVENT_SNAPSHOT_END;
	e->snapshot_ns = old_ns;
	e->snapshot_complete = complete;
	/* Never before the rows that it ends, whatever the clock did. */
	if (st->now.ns > e->time_ns)
		e->time_ns = st->now.ns;
	if (old_ns > e->time_ns)
		e->time_ns = old_ns;
	return PARSE_EVENT;
}

static void snapshot_count_row(struct snapshot *s, const struct row *r)
{
	if (s->rows > 0 && r->pid <= s->last_pid)
		s->pid_rises = false;
	s->last_pid = r->pid;
	if (isnan(r->cpu) || (s->rows > 0 && r->cpu > s->last_cpu))
		s->cpu_falls = false;
	if (s->rows == 0)
		s->first_cpu = r->cpu;
	s->last_cpu = r->cpu;
	if (r->pid == 1)
		s->init = true;
	s->rows++;
}

/* ---- rows ---- */

static const struct row no_row = {
	.cpu = NAN, .mem = NAN, .elapsed = NAN, .cputime = NAN, .start = { .tier = TIER_NONE },
};

/* False when a cell does not say what its column should. c: NULL when only the shape matters. */
static bool cells_read(const struct format_context *c, const struct columns *columns, size_t flexible, const struct snapshot *s,
		       const struct span cells[], struct row *ret)
{
	bool coarse;

	*ret = no_row;
	for (size_t i = 0; i < columns->n; i++) {
		struct span cell = cells[i];
		struct estimate start;

		switch ((enum column_kind)columns->kind[i]) {
		case COLUMN_PID:
			if (!parse_pid(cell, &ret->pid) || ret->pid == 0)
				return false;
			ret->pid_text = cell;
			break;
		case COLUMN_PPID:
			if (nothing_written(cell))
				break;
			if (!parse_pid(cell, &ret->ppid))
				return false;
			ret->ppid_text = cell;
			break;
		case COLUMN_USER:
		case COLUMN_UID:
			ret->user = cell;
			break;
		case COLUMN_CPU:
		case COLUMN_C:
			if (nothing_written(cell))
				break;
			if (!parse_number(cell, &ret->cpu))
				return false;
			ret->cpu_text = cell;
			break;
		case COLUMN_MEM:
			if (nothing_written(cell))
				break;
			if (!parse_number(cell, &ret->mem))
				return false;
			ret->mem_text = cell;
			break;
		case COLUMN_ELAPSED:
			if (nothing_written(cell))
				break;
			if (!parse_seconds(cell, &ret->elapsed, &coarse))
				return false;
			break;
		case COLUMN_CPUTIME:
			if (nothing_written(cell))
				break;
			if (!parse_seconds(cell, &ret->cputime, &ret->cputime_coarse))
				return false;
			break;
		case COLUMN_START:
			/* Other locales write other things here: nothing is known then. */
			if (c && s->time_ns != TIME_NONE && start_estimate(c, s, cell, &start) && start.tier < ret->start.tier)
				ret->start = start;
			break;
		case COLUMN_STATE:
			ret->state = cell;
			break;
		case COLUMN_COMMAND:
			if (i == flexible)
				ret->command = command_of(cell);
			break;
		case COLUMN_OTHER:
		case COLUMN_THREAD:
			break;
		}
	}
	if (c && s->time_ns != TIME_NONE && !isnan(ret->elapsed)) {
		int64_t t;

		if (!__builtin_sub_overflow(s->time_ns, (int64_t)ret->elapsed * NS_PER_SECOND, &t) && t > INT64_MIN / 2) {
			t = floor_div(t, NS_PER_SECOND) * NS_PER_SECOND;
			ret->start = (struct estimate){ TIER_EXACT, t, t - SLACK_NS, t + SLACK_NS };
		}
	}
	return true;
}

static bool row_parse(const struct format_context *c, const struct columns *columns, const struct snapshot *s, struct span line,
		      struct span cells[], struct row *ret)
{
	if (cells_of(columns, columns->flexible, line, cells) && cells_read(c, columns, columns->flexible, s, cells, ret))
		return true;
	return columns->other != columns->flexible && cells_of(columns, columns->other, line, cells) &&
	       cells_read(c, columns, columns->other, s, cells, ret);
}

static void add_text(struct event *e, field_id f, struct span text)
{
	if (text.len > 0)
		event_add(e, f, text, VALUE_STRING);
}

/* As written where that is a plain number, so that 97.0 stays 97.0. */
static void add_decimal(struct event *e, field_id f, struct span text, double v)
{
	if (isnan(v))
		return;
	if (memchr(text.ptr, ',', text.len))
		event_add_number(e, f, v);
	else
		event_add(e, f, text, VALUE_NUMBER);
}

static void add_seconds(struct event *e, field_id f, double v)
{
	if (isnan(v))
		return;
	if (v == floor(v))
		event_add_integer(e, f, (int64_t)v);
	else
		event_add_number(e, f, round(v * 100) / 100);
}

/* Columns without a field of ours are fields of their names: rss, vsz, tty, nice … */
static void add_other_columns(const struct format_context *c, const struct columns *columns, const struct span cells[], struct event *e)
{
	for (size_t i = 0; i < columns->n; i++) {
		char name[32];
		size_t n = 0;
		field_id f;
		double v;

		if (columns->kind[i] != COLUMN_OTHER && columns->kind[i] != COLUMN_THREAD)
			continue;
		for (size_t k = 0; k < columns->name[i].len && n < sizeof name; k++) {
			char ch = columns->name[i].ptr[k];

			if (ch != '%' && ch != '+' && ch != '#')
				name[n++] = is_upper(ch) ? (char)(ch + 32) : ch;
		}
		if (n == 2 && memcmp(name, "tt", 2) == 0)
			name[n++] = 'y';
		f = n > 0 ? context_field(c, span_of(name, n)) : FIELD_NONE;
		if (f == FIELD_NONE || f < FIELD_BUILTIN_COUNT || nothing_written(cells[i]))
			continue;
		event_add(e, f, cells[i], span_to_number(cells[i], &v) ? VALUE_NUMBER : VALUE_STRING);
	}
}

static void add_parent(struct ps_state *st, const struct row *r, struct event *e)
{
	const struct process *parent;
	struct span command;

	if (r->ppid == 0 || r->ppid == r->pid)
		return;
	parent = process_find(st, r->ppid);
	if (!parent || parent->command.len == 0)
		return;
	/* Rows that follow may change what is kept. */
	command = arena_dup_span(&e->arena, parent->command);
	event_add(e, FIELD_PARENT, command, VALUE_STRING);
	add_text(e, FIELD_PARENT_PROGRAM, program_of(command));
}

static enum parse_result row_event(struct ps_state *st, const struct row *r, struct event *e)
{
	double cpu_now = NAN, elapsed = r->elapsed;
	const struct process *p = NULL;

	snapshot_count_row(&st->now, r);
	if (st->now.time_ns != TIME_NONE) {
		p = process_see(st, r, &cpu_now);
		e->time_ns = e->snapshot_ns = st->now.ns;
	}
	event_add(e, FIELD_TYPE, SPAN("process"), VALUE_STRING);
	event_add(e, FIELD_PID, r->pid_text, VALUE_NUMBER);
	if (r->ppid_text.len > 0)
		event_add(e, FIELD_PPID, r->ppid_text, VALUE_NUMBER);
	add_text(e, FIELD_USER, r->user);
	add_decimal(e, FIELD_CPU, r->cpu_text, r->cpu);
	if (!isnan(cpu_now))
		event_add_number(e, FIELD_CPU_NOW, cpu_now);
	add_decimal(e, FIELD_MEM, r->mem_text, r->mem);
	if (p && isnan(elapsed))
		elapsed = st->now.time_ns > p->start_ns ? (double)((st->now.time_ns - p->start_ns) / NS_PER_SECOND) : 0;
	add_seconds(e, FIELD_ELAPSED, elapsed);
	add_seconds(e, FIELD_CPUTIME, r->cputime);
	if (p) {
		char *text = arena_alloc(&e->arena, TIME_TEXT_SIZE);

		event_add(e, FIELD_STARTED, span_of(text, time_format_utc_to(text, p->start_ns)), VALUE_STRING);
	}
	add_text(e, FIELD_COMMAND, r->command);
	if (r->command.len > 0) {
		add_text(e, FIELD_PROGRAM, program_of(r->command));
		add_text(e, FIELD_RIG, rig_of(r->command));
	}
	add_text(e, FIELD_STATE, r->state);
	add_parent(st, r, e);
	return PARSE_EVENT;
}

/* A row that cannot be read may be that of a process we know, which is not gone then. */
static enum parse_result row_damaged(struct ps_state *st, struct span line)
{
	bool comment = *line.ptr == '#';

	if (st->header && (st->now.header || st->now.columns)) {
		uint32_t pid;

		for (size_t i = 0; i < st->columns.n; i++) {
			struct span word = take_word(&line);

			if (st->columns.kind[i] == COLUMN_PID && parse_pid(word, &pid) && process_find(st, pid))
				st->now.damaged = true;
		}
	}
	return comment ? PARSE_NOTHING : PARSE_UNPARSED;
}

static void remember_header(struct ps_state *st, struct span line)
{
	if (!st->header || strlen(st->header) != line.len || memcmp(st->header, line.ptr, line.len) != 0) {
		free(st->header);
		st->header = xmemdup(line.ptr, line.len);
	}
	columns_parse(span_from_string(st->header), &st->columns);
}

/* Does the snapshot that goes on hold rows of pgrep's shape, and no others? */
static bool bare_allowed(const struct snapshot *s)
{
	return !s->header && !s->columns;
}

static enum parse_result ps_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	struct ps_state *st = c->state;
	struct span line = trim(raw), cells[COLUMN_LIMIT];
	struct stamp_line stamp;
	struct columns columns;
	struct row row;
	int64_t time_ns = sane_time(r->time_ns);

	if (line.len == 0)
		return PARSE_NOTHING;
	if (stamp_line_parse(line, &stamp)) {
		enum parse_result result = snapshot_next(st, time_ns, e);

		if (stamp.host_offset && time_ns != TIME_NONE && zone_offset_s(c->zone, time_ns) != stamp.civil.zone_offset_s) {
			st->now.has_offset = true;
			st->now.offset_s = stamp.civil.zone_offset_s;
		}
		return result;
	}
	if (columns_parse(line, &columns)) {
		enum parse_result result = PARSE_NOTHING;

		if (st->now.rows > 0 || st->now.header || st->now.number == 0) {
			bool has_offset = st->now.has_offset;
			int32_t offset_s = st->now.offset_s;

			result = snapshot_next(st, time_ns, e);
			st->now.has_offset = has_offset;
			st->now.offset_s = offset_s;
		}
		remember_header(st, line);
		st->now.header = true;
		return result;
	}
	if (st->now.number == 0)
		snapshot_begin(st, time_ns);
	if (st->header && (st->now.header || st->now.columns || st->now.rows == 0) &&
	    row_parse(c, &st->columns, &st->now, line, cells, &row)) {
		st->now.columns = true;
		row_event(st, &row, e);
		add_other_columns(c, &st->columns, cells, e);
		return PARSE_EVENT;
	}
	if (summary_line(line)) {
		if (span_starts_with(line, SPAN("Tasks:"))) {
			struct span rest = span_from(line, 6);
			uint32_t n;

			if (parse_pid(take_word(&rest), &n))
				st->now.tasks = n;
		}
		return PARSE_NOTHING;
	}
	row = no_row;
	if (bare_allowed(&st->now) && bare_row(line, &row.pid, &row.command)) {
		if (st->now.rows > 0 && (row.pid <= st->now.last_pid || time_ns != st->now.time_ns))
			snapshot_begin(st, time_ns);
		row.pid_text = span_of(line.ptr, 0);
		while (row.pid_text.len < line.len && is_digit(line.ptr[row.pid_text.len]))
			row.pid_text.len++;
		return row_event(st, &row, e);
	}
	return row_damaged(st, line);
}

/*
 * Rows have the time of the line that began their snapshot. Without any stamp in the stream that is when the header arrived; of
 * pgrep's rows, when the first of them did.
 */
static bool ps_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	struct ps_state *st = c->state;
	struct stamp_line stamp;
	struct columns columns;
	struct span command;
	char plain[HEADER_LIMIT];
	uint32_t pid;

	*ret_time = TIME_NONE;
	if (line.len == 0)
		return true;
	if (line.len <= sizeof plain && memchr(line.ptr, '\x1b', line.len))
		line = span_of(plain, ansi_strip(line, plain));
	line = trim(line);
	if (line.len == 0)
		return true;
	if (stamp_line_parse(line, &stamp)) {
		*ret_time = stamp_line_time(c, &stamp);
		st->framed_stamp = true;
		return true;
	}
	if (c->arrival_ns == TIME_NONE || st->framed_stamp)
		return true;
	if (columns_parse(line, &columns)) {
		st->framed_header = true;
		*ret_time = c->arrival_ns;
	} else if (!st->framed_header && bare_row(line, &pid, &command)) {
		if (pid <= st->framed_pid || st->framed_ns == TIME_NONE || c->arrival_ns > st->framed_ns + NS_PER_SECOND)
			*ret_time = st->framed_ns = c->arrival_ns;
		st->framed_pid = pid;
	}
	return true;
}

enum ps_line ps_line_shape(struct span line, struct span header)
{
	struct span cells[COLUMN_LIMIT], command;
	struct stamp_line stamp;
	struct columns columns;
	struct row row;
	uint32_t pid;

	line = trim(line);
	if (line.len == 0)
		return PS_BLANK;
	if (stamp_line_parse(line, &stamp))
		return PS_STAMP;
	if (columns_parse(line, &columns))
		return PS_HEADER;
	if (header.len > 0 && columns_parse(trim(header), &columns) && row_parse(NULL, &columns, NULL, line, cells, &row))
		return PS_ROW;
	if (summary_line(line))
		return PS_SUMMARY;
	return bare_row(line, &pid, &command) ? PS_BARE : PS_OTHER;
}

/* ---- state ---- */

static void *ps_state_new(struct format_context *c)
{
	struct ps_state *st = xcalloc(1, sizeof *st);

	(void)c;
	st->framed_ns = st->now.time_ns = st->now.ns = TIME_NONE;
	return st;
}

static void ps_state_free(void *state)
{
	struct ps_state *st = state;

	if (!st)
		return;
	for (uint32_t i = st->oldest; i; i = st->items[i].newer)
		free((char *)st->items[i].command.ptr);
	for (size_t i = 0; i < PID_LIMIT / PID_PAGE; i++)
		free(st->pages[i]);
	free(st->items);
	free(st->header);
	free(st);
}

/*
 * framing: stamp seen, header seen, pid, ns · header's text · the snapshot · complete, complete_before · count, processes, stalest first
 */
static void ps_state_save(const void *state, struct buffer *out)
{
	const struct ps_state *st = state;
	const struct snapshot *s = &st->now;

	codec_put_u64(out, st->framed_stamp);
	codec_put_u64(out, st->framed_header);
	codec_put_u64(out, st->framed_pid);
	codec_put_i64(out, st->framed_ns);
	codec_put_span(out, span_from_string(st->header));
	codec_put_i64(out, s->time_ns);
	codec_put_i64(out, s->ns);
	codec_put_u64(out, s->number);
	codec_put_u64(out, s->rows);
	codec_put_u64(out, s->tasks);
	codec_put_u64(out, (uint64_t)s->header | (uint64_t)s->columns << 1 | (uint64_t)s->damaged << 2 | (uint64_t)s->init << 3 |
				   (uint64_t)s->pid_rises << 4 | (uint64_t)s->cpu_falls << 5 | (uint64_t)s->has_offset << 6);
	codec_put_u64(out, s->last_pid);
	codec_put_double(out, s->first_cpu);
	codec_put_double(out, s->last_cpu);
	codec_put_i64(out, s->offset_s);
	codec_put_u64(out, st->complete);
	codec_put_u64(out, st->complete_before);
	codec_put_u64(out, st->n_used);
	for (uint32_t i = st->oldest; i; i = st->items[i].newer) {
		const struct process *p = &st->items[i];

		codec_put_u64(out, p->pid);
		codec_put_u64(out, p->tier);
		codec_put_i64(out, p->start_ns);
		codec_put_i64(out, p->low_ns);
		codec_put_i64(out, p->high_ns);
		codec_put_i64(out, p->base_ns);
		codec_put_double(out, p->cputime);
		codec_put_u64(out, p->seen);
		codec_put_span(out, p->command);
	}
}

static bool ps_state_load(void *state, struct codec_reader *in)
{
	struct ps_state *st = state;
	struct snapshot *s = &st->now;
	uint64_t flags, framed, pid, last_pid, seen_before = 0;
	int64_t offset;
	struct span header;
	size_t n;

	framed = codec_get_u64(in);
	st->framed_stamp = framed & 1;
	st->framed_header = codec_get_u64(in) & 1;
	pid = codec_get_u64(in);
	st->framed_ns = codec_get_i64(in);
	header = codec_get_span(in);
	if (in->bad || pid > INT32_MAX || !time_possible(st->framed_ns))
		return false;
	st->framed_pid = (uint32_t)pid;
	if (header.len > 0) {
		struct columns columns;

		if (!columns_parse(header, &columns) || memchr(header.ptr, 0, header.len))
			return false;
		remember_header(st, header);
	}
	s->time_ns = codec_get_i64(in);
	s->ns = codec_get_i64(in);
	s->number = codec_get_u64(in);
	s->rows = codec_get_u64(in);
	s->tasks = codec_get_u64(in);
	flags = codec_get_u64(in);
	last_pid = codec_get_u64(in);
	s->first_cpu = codec_get_double(in);
	s->last_cpu = codec_get_double(in);
	offset = codec_get_i64(in);
	st->complete = codec_get_u64(in);
	st->complete_before = codec_get_u64(in);
	n = codec_get_count(in);
	if (in->bad || !time_possible(s->time_ns) || !time_possible(s->ns) || flags > 127 || last_pid > INT32_MAX || offset < -86400 ||
	    offset > 86400 || st->complete > s->number || st->complete_before > st->complete || n > PROCESS_LIMIT)
		return false;
	s->header = flags & 1;
	s->columns = flags & 2;
	s->damaged = flags & 4;
	s->init = flags & 8;
	s->pid_rises = flags & 16;
	s->cpu_falls = flags & 32;
	s->has_offset = flags & 64;
	s->last_pid = (uint32_t)last_pid;
	s->offset_s = (int32_t)offset;
	for (size_t i = 0; i < n; i++) {
		uint64_t number = codec_get_u64(in), tier = codec_get_u64(in);
		struct process p = { .pid = (uint32_t)number };
		struct process *new;
		struct span command;

		p.start_ns = codec_get_i64(in);
		p.low_ns = codec_get_i64(in);
		p.high_ns = codec_get_i64(in);
		p.base_ns = codec_get_i64(in);
		p.cputime = codec_get_double(in);
		p.seen = codec_get_u64(in);
		command = codec_get_span(in);
		if (in->bad || number == 0 || number >= PID_LIMIT || tier > TIER_NONE || process_find(st, p.pid) || !time_possible(p.start_ns) ||
		    !time_possible(p.low_ns) || !time_possible(p.high_ns) || p.low_ns > p.high_ns || !time_possible(p.base_ns) ||
		    (!isnan(p.cputime) && !(p.cputime >= 0 && p.cputime < 2 * SECONDS_LIMIT)) || p.seen < seen_before || p.seen > s->number ||
		    command.len > COMMAND_LIMIT)
			return false;
		seen_before = p.seen;
		new = process_add(st, p.pid);
		new->tier = (enum tier)tier;
		new->start_ns = p.start_ns;
		new->low_ns = p.low_ns;
		new->high_ns = p.high_ns;
		new->base_ns = p.base_ns;
		new->cputime = p.cputime;
		new->seen = p.seen;
		process_set_command(new, command);
	}
	return true;
}

const struct format_ops format_ps = {
	.begins = ps_begins,
	.parse = ps_parse,
	.wants_all = true,
	.single_line = true,
	.state_new = ps_state_new,
	.state_free = ps_state_free,
	.state_save = ps_state_save,
	.state_load = ps_state_load,
};
