/*
 * ps_line.c: the shapes of lines in listings of processes, without any memory of the lines before. It decides what is a stamp, a header, a
 * row's cells, and what program and rig a command is of. Cells are words; only START may be several ("Feb 17"), and one column, the
 * last command or the last column, takes what the others leave.
 */
#include "record/ps.h"

#include <stdlib.h>

#define STAMP_LINE_LIMIT 200
#define EPOCH_DIGITS 10 /* from 2001 on */
#define COLUMN_KINDS (PS_COLUMN_THREAD + 1)

/* ---- words ---- */

struct span ps_trim(struct span s)
{
	while (s.len > 0 && (ps_is_blank(*s.ptr) || *s.ptr == '\r'))
		s = span_from(s, 1);
	while (s.len > 0 && (ps_is_blank(s.ptr[s.len - 1]) || s.ptr[s.len - 1] == '\r'))
		s.len--;
	return s;
}

struct span ps_take_word(struct span *rest)
{
	const char *p = rest->ptr, *end = p + rest->len, *word;

	while (p < end && ps_is_blank(*p))
		p++;
	word = p;
	while (p < end && !ps_is_blank(*p))
		p++;
	*rest = span_of(p, (size_t)(end - p));
	return span_of(word, (size_t)(p - word));
}

bool ps_all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ps_is_digit(s.ptr[i]))
			return false;
	return s.len > 0;
}

/* The last word; empty when there is none. */
static struct span take_last_word(struct span *rest)
{
	const char *start = rest->ptr, *end = start + rest->len, *word_end;

	while (end > start && ps_is_blank(end[-1]))
		end--;
	word_end = end;
	while (end > start && !ps_is_blank(end[-1]))
		end--;
	*rest = span_of(start, (size_t)(end - start));
	return span_of(end, (size_t)(word_end - end));
}

/* ---- columns ---- */

static const struct {
	const char *name;
	enum ps_column_kind kind;
} known_columns[] = {
	{ "PID", PS_COLUMN_PID },
	{ "PPID", PS_COLUMN_PPID },
	{ "USER", PS_COLUMN_USER }, { "EUSER", PS_COLUMN_USER }, { "RUSER", PS_COLUMN_USER },
	{ "UNAME", PS_COLUMN_USER },
	{ "UID", PS_COLUMN_UID }, { "EUID", PS_COLUMN_UID },
	{ "%CPU", PS_COLUMN_CPU }, { "PCPU", PS_COLUMN_CPU },
	{ "C", PS_COLUMN_C },
	{ "%MEM", PS_COLUMN_MEM }, { "PMEM", PS_COLUMN_MEM },
	{ "ELAPSED", PS_COLUMN_ELAPSED }, { "ETIME", PS_COLUMN_ELAPSED }, { "ETIMES", PS_COLUMN_ELAPSED },
	{ "TIME", PS_COLUMN_CPUTIME }, { "TIME+", PS_COLUMN_CPUTIME }, { "CPUTIME", PS_COLUMN_CPUTIME },
	{ "CPUTIMES", PS_COLUMN_CPUTIME },
	{ "START", PS_COLUMN_START }, { "STARTED", PS_COLUMN_START }, { "STIME", PS_COLUMN_START },
	{ "LSTART", PS_COLUMN_START },
	{ "S", PS_COLUMN_STATE }, { "STAT", PS_COLUMN_STATE }, { "STATE", PS_COLUMN_STATE },
	{ "COMMAND", PS_COLUMN_COMMAND }, { "CMD", PS_COLUMN_COMMAND }, { "ARGS", PS_COLUMN_COMMAND },
	{ "COMM", PS_COLUMN_COMMAND },
	{ "UCMD", PS_COLUMN_COMMAND }, { "UCOMM", PS_COLUMN_COMMAND },
	{ "LWP", PS_COLUMN_THREAD }, { "SPID", PS_COLUMN_THREAD }, { "TID", PS_COLUMN_THREAD },
	{ "TTY", PS_COLUMN_OTHER }, { "TT", PS_COLUMN_OTHER }, { "RSS", PS_COLUMN_OTHER },
	{ "VSZ", PS_COLUMN_OTHER },
	{ "NI", PS_COLUMN_OTHER }, { "PRI", PS_COLUMN_OTHER }, { "PR", PS_COLUMN_OTHER },
	{ "PGID", PS_COLUMN_OTHER },
	{ "SID", PS_COLUMN_OTHER }, { "NLWP", PS_COLUMN_OTHER }, { "WCHAN", PS_COLUMN_OTHER },
	{ "GROUP", PS_COLUMN_OTHER },
};

static bool header_word(struct span w)
{
	if (!ps_is_upper(*w.ptr) && *w.ptr != '%' && *w.ptr != '#')
		return false;
	for (size_t i = 1; i < w.len; i++) {
		char c = w.ptr[i];

		if (!ps_is_upper(c) && !ps_is_digit(c) && !memchr("%+_/#-.", c, 7))
			return false;
	}
	return true;
}

bool ps_columns_parse(struct span line, struct ps_columns *ret)
{
	size_t n_known = 0, n_of[COLUMN_KINDS] = { 0 };
	struct span rest = line;

	if (line.len > PS_HEADER_LIMIT)
		return false;
	ret->n = 0;
	for (struct span w = ps_take_word(&rest); w.len > 0; w = ps_take_word(&rest)) {
		enum ps_column_kind kind = PS_COLUMN_OTHER;

		if (!header_word(w) || ret->n == PS_COLUMN_LIMIT)
			return false;
		for (size_t i = 0; i < sizeof known_columns / sizeof *known_columns; i++) {
			if (span_equal(w, span_from_string(known_columns[i].name))) {
				kind = known_columns[i].kind;
				n_known++;
				break;
			}
		}
		/* The first of a kind counts; of starts the most exact is used, of commands the longest. */
		if (kind == PS_COLUMN_COMMAND) {
			ret->flexible = ret->n;
			if (n_of[kind] == 0)
				ret->other = ret->n;
		} else if (kind != PS_COLUMN_START && n_of[kind]) {
			kind = PS_COLUMN_OTHER;
		}
		n_of[kind]++;
		ret->kind[ret->n] = kind;
		ret->name[ret->n++] = w;
	}
	if (n_of[PS_COLUMN_PID] == 0 || (ret->n > 1 && n_known < 2))
		return false;
	for (size_t i = 0; i < ret->n; i++) {
		if ((ret->kind[i] == PS_COLUMN_UID && n_of[PS_COLUMN_USER]) || (ret->kind[i] == PS_COLUMN_C && n_of[PS_COLUMN_CPU]))
			ret->kind[i] = PS_COLUMN_OTHER;
	}
	ret->has_threads = n_of[PS_COLUMN_THREAD] > 0;
	if (n_of[PS_COLUMN_COMMAND] == 0)
		ret->flexible = ret->other = ret->n - 1;
	return true;
}

/* ---- cells ---- */

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

int ps_month_at(struct span s)
{
	for (int i = 0; i < 12; i++)
		if (s.len >= 3 && memcmp(s.ptr, month_names[i], 3) == 0)
			return i + 1;
	return 0;
}

int ps_weekday_at(struct span s)
{
	for (int i = 0; i < 7; i++)
		if (s.len >= 3 && memcmp(s.ptr, day_names[i], 3) == 0)
			return i;
	return -1;
}

/* "Feb 17" is one cell of two words, "Tue Feb 17 05:12:01 2026" one of five. */
static struct span take_cell(struct span *rest, enum ps_column_kind kind)
{
	struct span first = ps_take_word(rest), after = *rest, last = first;
	int more = 0;

	if (kind != PS_COLUMN_START || first.len != 3)
		return first;
	if (ps_month_at(first))
		more = 1;
	else if (ps_weekday_at(first) >= 0)
		more = 4;
	for (int i = 0; i < more; i++)
		last = ps_take_word(&after);
	if (more == 0 || last.len == 0 || !ps_is_digit(*last.ptr))
		return first;
	*rest = after;
	return span_of(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

static struct span take_last_cell(struct span *rest, enum ps_column_kind kind)
{
	struct span last = take_last_word(rest), before = *rest, first;

	if (kind != PS_COLUMN_START || !ps_all_digits(last) || (last.len > 2 && last.len != 4))
		return last;
	for (int i = 0; i < (last.len == 4 ? 4 : 1); i++)
		first = take_last_word(&before);
	if (first.len != 3 || (last.len == 4 ? ps_weekday_at(first) < 0 : !ps_month_at(first)))
		return last;
	*rest = before;
	return span_of(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

bool ps_cells_of(const struct ps_columns *c, size_t flexible, struct span line, struct span cells[PS_COLUMN_LIMIT])
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
	cells[flexible] = ps_trim(line);
	return cells[flexible].len > 0;
}

bool ps_nothing_written(struct span s)
{
	return s.len == 1 && (*s.ptr == '-' || *s.ptr == '?');
}

bool ps_parse_pid(struct span s, uint32_t *ret)
{
	uint64_t v = 0;

	if (s.len > 10 || !ps_all_digits(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		v = v * 10 + (uint64_t)(s.ptr[i] - '0');
	if (v > INT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool ps_parse_number(struct span s, double *ret)
{
	char copy[24];

	if (s.len == 0 || s.len > sizeof copy || (!ps_is_digit(*s.ptr) && *s.ptr != '.'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ps_is_digit(s.ptr[i]) && s.ptr[i] != '.' && s.ptr[i] != ',')
			return false;
		copy[i] = s.ptr[i] == ',' ? '.' : s.ptr[i];
	}
	return span_to_number(span_of(copy, s.len), ret);
}

/*
 * [[DD-]hh:]mm:ss[.ff], seconds alone; and what top writes when it is short of room: "12,34" (hours, minutes), 1234h, 56d, 7w;
 * BusyBox: 1h23. Of these *ret_coarse is set: two of them cannot be subtracted.
 */
bool ps_parse_seconds(struct span s, double *ret, bool *ret_coarse)
{
	double part[3] = { 0 }, days = 0, v = 0;
	int n = 0;
	bool digits = false;
	size_t i = 0;

	*ret_coarse = false;
	for (; i < s.len && i < 24; i++) {
		char c = s.ptr[i];

		if (ps_is_digit(c)) {
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
	} else if (s.ptr[i] == '.' && n >= 1 && days == 0 && ps_all_digits(span_from(s, i + 1)) && s.len - i <= 10) {
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
		if (rest.len > 0 && (rest.len > 2 || !ps_all_digits(rest) || !span_to_number(rest, &more)))
			return false;
		*ret = v * unit + more * smaller;
		*ret_coarse = true;
	} else {
		return false;
	}
	return *ret < PS_SECONDS_LIMIT;
}

/* ---- stamps ---- */

static bool is_decoration(char c)
{
	return ps_is_blank(c) || memchr("#=*-~+_<>|[](){}:;,.\"'", c, 21);
}

/* Epoch seconds (10 digits, or any behind @), with a fraction or as milliseconds. */
static size_t epoch_stamp(struct span s, int64_t *ret)
{
	size_t at = s.len > 0 && *s.ptr == '@', n = 0, digits, fraction = 0;
	int64_t v = 0;

	while (at + n < s.len && ps_is_digit(s.ptr[at + n]) && n < 14)
		v = v * 10 + (s.ptr[at + n++] - '0');
	if (n != EPOCH_DIGITS && n != EPOCH_DIGITS + 3 && !(at && n > 0 && n < EPOCH_DIGITS))
		return 0;
	digits = n;
	if (v / (digits == EPOCH_DIGITS + 3 ? 1000 : 1) > PS_EPOCH_LIMIT)
		return 0;
	v *= digits == EPOCH_DIGITS + 3 ? NS_PER_SECOND / 1000 : NS_PER_SECOND;
	if (at + n + 1 < s.len && s.ptr[at + n] == '.' && ps_is_digit(s.ptr[at + n + 1]) && digits <= EPOCH_DIGITS) {
		int64_t unit = NS_PER_SECOND / 10;

		for (n++; at + n < s.len && ps_is_digit(s.ptr[at + n]) && fraction < 9; n++, fraction++, unit /= 10)
			v += unit * (s.ptr[at + n] - '0');
	}
	if (at + n < s.len && !ps_is_blank(s.ptr[at + n]) && !is_decoration(s.ptr[at + n]))
		return 0;
	*ret = v;
	return at + n;
}

static size_t any_stamp(struct span s, struct ps_stamp *ret)
{
	size_t n;

	ret->time_ns = TIME_NONE;
	if (s.len == 0)
		return 0;
	n = civil_parse(s, &ret->civil);
	if (n > 0) {
		ret->host_offset = ret->civil.has_zone && ps_is_digit(s.ptr[n - 1]) && (memchr(s.ptr + 10, '+', n - 10) || memchr(s.ptr + 10, '-', n - 10));
		return n;
	}
	return ps_is_digit(*s.ptr) || *s.ptr == '@' ? epoch_stamp(s, &ret->time_ns) : 0;
}

/* "top - 05:12:01 up 3 days", and uptime's line, which is the same without the first word. */
static bool clock_stamp(struct span line, struct ps_stamp *ret)
{
	const char *p;

	if (span_starts_with(line, SPAN("top - ")))
		line = ps_trim(span_from(line, 6));
	p = line.ptr;
	if (line.len < 12 || !span_starts_with(span_from(line, 8), SPAN(" up ")) || p[2] != ':' || p[5] != ':')
		return false;
	for (int i = 0; i < 8; i++)
		if (i % 3 != 2 && !ps_is_digit(p[i]))
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

bool ps_stamp_parse(struct span line, struct ps_stamp *ret)
{
	struct span rest = line;
	size_t decoration = 0, n = 0;
	bool decorated;

	if (line.len < EPOCH_DIGITS - 8 || line.len > STAMP_LINE_LIMIT)
		return false;
	*ret = (struct ps_stamp){ .time_ns = TIME_NONE };
	if (*line.ptr == 't' || ps_is_digit(*line.ptr)) {
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
		ps_take_word(&rest);
		rest = ps_trim(rest);
	}
	if (n == 0)
		return false;
	rest = span_from(rest, n);
	if (decorated && (rest.len == 0 || !ps_is_digit(*rest.ptr)))
		return *line.ptr != '[' || (rest.len > 0 && *rest.ptr == ']' && ps_trim(span_from(rest, 1)).len == 0);
	/* What may follow is a zone's abbreviation and more decoration. */
	rest = ps_trim(rest);
	n = 0;
	while (n < rest.len && n < 5 && ps_is_upper(rest.ptr[n]))
		n++;
	for (; n < rest.len; n++)
		if (!is_decoration(rest.ptr[n]))
			return false;
	return true;
}

/* ---- other lines ---- */

bool ps_summary_line(struct span line)
{
	static const char *const beginnings[] = {
		"Tasks:", "Threads:", "%Cpu", "Cpu(s):", "CPU:", "MiB Mem", "MiB Swap", "KiB Mem", "KiB Swap", "GiB Mem", "GiB Swap",
		"Mem:", "Mem ", "Swap:", "Load average:",
	};

	if (!ps_is_upper(*line.ptr) && *line.ptr != '%')
		return false;
	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
		if (span_starts_with(line, span_from_string(beginnings[i])))
			return true;
	return false;
}

bool ps_bare_row(struct span line, uint32_t *ret_pid, struct span *ret_command)
{
	struct span rest = line, word;

	if (!ps_is_digit(*line.ptr))
		return false;
	word = ps_take_word(&rest);
	*ret_command = ps_trim(rest);
	return ps_parse_pid(word, ret_pid) && *ret_pid > 0 && (ret_command->len == 0 || !ps_is_digit(*ret_command->ptr));
}

/* ---- programs and rigs ---- */

struct span ps_command_of(struct span s)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '|'))
		n++;
	return s.len - n > 3 && memcmp(s.ptr + n, "\\_ ", 3) == 0 ? span_from(s, n + 3) : s;
}

struct span ps_program_of(struct span command)
{
	struct span word = command;
	const char *p;

	if (command.len > 0 && (*command.ptr == '[' || *command.ptr == '(')) {
		p = memchr(command.ptr, *command.ptr == '[' ? ']' : ')', command.len);
		if (p)
			return span_of(command.ptr, (size_t)(p + 1 - command.ptr));
	}
	word = ps_take_word(&command);
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
	return ps_is_digit(c) || ps_is_upper(c) || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
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
struct span ps_rig_of(struct span command)
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
