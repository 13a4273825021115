/*
 * source.c: the built-in sources, and which source a file is of: by its name, else by what its first lines look like.
 *
 * By name: suffixes of rotation and compression are taken off, then shell patterns are tried, those of a rules
 * file first. By content: every line is counted for the one format whose shape it has, the most particular first; lines
 * of no shape count for none (records span lines). A format wins when most of the shaped lines are its own. When in doubt there is no
 * answer, and the user is asked: a wrong guess would be silent.
 */
#include "record/source.h"
#include "record/head.h"
#include "record/json.h"
#include "record/pattern.h"
#include "record/ps.h"
#include "record/stamp.h"

#include <fnmatch.h>
#include <stdio.h>

#define CONTENT_LIMIT ((size_t)65536)
#define LINE_LIMIT ((size_t)4096) /* the shape of a line stands at its start */
#define NAME_LIMIT 256
#define JSON_LEAVES 64

static const char *const format_names[FORMAT_COUNT] = {
	[FORMAT_TOWN] = "town",		[FORMAT_EVENTS] = "events", [FORMAT_DAEMON] = "daemon",
	[FORMAT_OVERSEER] = "overseer", [FORMAT_GUARDIAN] = "guardian", [FORMAT_PS] = "ps",
	[FORMAT_SYSLOG] = "syslog",	[FORMAT_JSON] = "json",	    [FORMAT_TEXT] = "text",
	[FORMAT_PATTERN] = "pattern",	[FORMAT_INCIDENT] = "incident",
};

#define BUILTIN_COUNT FORMAT_PATTERN

static const char *const town_globs[] = { "town.log*", "town[-_.]*.log", NULL };
static const char *const events_globs[] = { ".events.jsonl*", ".feed.jsonl*", "events.jsonl*", "feed.jsonl*",
					    "events[-_.]*.jsonl", "feed[-_.]*.jsonl", "*[-_.]events.jsonl",
					    "*[-_.]feed.jsonl", NULL };
static const char *const daemon_globs[] = { "daemon*.log*", NULL };
static const char *const overseer_globs[] = { "overseer*.log*", NULL };
static const char *const guardian_globs[] = { "guardian*.log*", "gt-guardian*.log*", "gt_guardian*.log*", NULL };
static const char *const ps_globs[] = { "ps*.log*", "ps.txt", "ps[-_.]*.txt", "psaux*.txt", "pgrep*", "top*.log*", "top.txt",
					"top[-_.]*.txt", NULL };
static const char *const syslog_globs[] = { "syslog*", "messages*", "auth.log", "kern.log", "user.log", "journal*.log*", NULL };
static const char *const json_globs[] = { "*.jsonl", "*.ndjson", NULL };
static const char *const text_globs[] = { "dolt*.log*", NULL };

#define SOURCE(constant, text, globs)                                                                              \
	[constant] = { .name = text, .format = constant, .rank = constant, .product = "gastown", .service = text, \
		       .file_globs = globs }
static const struct source builtin[BUILTIN_COUNT] = {
	SOURCE(FORMAT_TOWN, "town", town_globs),
	SOURCE(FORMAT_EVENTS, "events", events_globs),
	SOURCE(FORMAT_DAEMON, "daemon", daemon_globs),
	SOURCE(FORMAT_OVERSEER, "overseer", overseer_globs),
	SOURCE(FORMAT_GUARDIAN, "guardian", guardian_globs),
	SOURCE(FORMAT_PS, "ps", ps_globs),
	SOURCE(FORMAT_SYSLOG, "syslog", syslog_globs),
	SOURCE(FORMAT_JSON, "json", json_globs),
	SOURCE(FORMAT_TEXT, "text", text_globs),
};
#undef SOURCE

const char *format_name(enum format f)
{
	return format_names[f];
}

const struct source *builtin_sources(size_t *ret_n)
{
	*ret_n = BUILTIN_COUNT;
	return builtin;
}

/* ---- by name ---- */

static bool strip_one(struct span *name, const char *const *suffixes)
{
	for (; *suffixes; suffixes++) {
		struct span suffix = span_from_string(*suffixes);

		if (name->len > suffix.len && span_ends_with(*name, suffix)) {
			name->len -= suffix.len;
			return true;
		}
	}
	return false;
}

/* ".1", "-20260217", "-2026-02-28T10-00-00.000", ".2026-02-17": digits behind a separator, at the end. */
static bool strip_number(struct span *name)
{
	size_t n = name->len, digits = 0;

	while (n > 0) {
		char c = name->ptr[n - 1];

		if (c >= '0' && c <= '9')
			digits++;
		else if (!memchr("-._:+TZ", c, 7))
			break;
		n--;
	}
	while (n < name->len && !memchr("-._", name->ptr[n], 3))
		n++;
	if (digits == 0 || n == 0 || n == name->len)
		return false;
	name->len = n;
	return true;
}

/* Writes the name without marks of rotation and compression: "daemon-2026-02-28T10-00-00.000.log.gz" is "daemon.log". */
static void plain_name(struct span name, char out[NAME_LIMIT])
{
	static const char *const compressed[] = { ".gz", ".zst", ".zstd", ".xz", ".bz2", ".lz4", ".Z", NULL };
	static const char *const old[] = { ".old", ".bak", ".orig", ".prev", ".save", "~", NULL };
	static const char *const extensions[] = { ".log", ".jsonl", ".ndjson", ".txt", NULL };
	struct span stem = name;

	while (strip_one(&name, compressed) || strip_one(&name, old) || strip_number(&name))
		;
	stem = name;
	if (strip_one(&stem, extensions)) {
		struct span extension = span_from(name, stem.len);

		strip_number(&stem);
		snprintf(out, NAME_LIMIT, "%.*s%.*s", (int)stem.len, stem.ptr, (int)extension.len, extension.ptr);
	} else {
		snprintf(out, NAME_LIMIT, "%.*s", (int)name.len, name.ptr);
	}
}

/* A pattern with slashes is compared with as many folders of the path; `plain` replaces the last part. */
static bool glob_matches(const char *glob, const char *path, const char *base, const char *plain)
{
	size_t slashes = 0, dir_len;
	const char *start = base;
	char tail[4 * NAME_LIMIT];

	for (const char *p = glob; *p; p++)
		slashes += *p == '/';
	if (slashes == 0)
		return fnmatch(glob, plain, 0) == 0 || fnmatch(glob, base, 0) == 0;
	while (start > path && slashes > 0) {
		start--;
		while (start > path && start[-1] != '/')
			start--;
		slashes--;
	}
	if (slashes > 0)
		return false;
	if (fnmatch(glob, start, 0) == 0)
		return true;
	dir_len = (size_t)(base - start);
	if (dir_len + strlen(plain) >= sizeof tail)
		return false;
	memcpy(tail, start, dir_len);
	strcpy(tail + dir_len, plain);
	return fnmatch(glob, tail, 0) == 0;
}

static bool source_matches(const struct source *s, const char *path, const char *base, const char *plain)
{
	for (const char *const *glob = s->file_globs; glob && *glob; glob++)
		if (glob_matches(*glob, path, base, plain))
			return true;
	return false;
}

const struct source *source_from_path(const char *path, const struct source *const *extra, size_t n_extra)
{
	/* "messages.jsonl" is JSON before it is a syslog. */
	static const enum format order[] = { FORMAT_TOWN, FORMAT_EVENTS, FORMAT_DAEMON, FORMAT_OVERSEER, FORMAT_GUARDIAN,
					     FORMAT_PS,   FORMAT_JSON,	 FORMAT_SYSLOG, FORMAT_TEXT };
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char plain[NAME_LIMIT];

	if (*base == '\0' || strlen(base) >= NAME_LIMIT)
		return NULL;
	plain_name(span_from_string(base), plain);
	for (size_t i = 0; i < n_extra; i++)
		if (source_matches(extra[i], path, base, plain))
			return extra[i];
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if (source_matches(&builtin[order[i]], path, base, plain))
			return &builtin[order[i]];
	return NULL;
}

/* ---- by content ---- */

static bool contains(struct span s, const char *text)
{
	return s.len > 0 && memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

/* More control characters than colours and damage explain. */
static bool is_binary(struct span s)
{
	size_t controls = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		controls += c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\b' && c != 0x1b && c != '\a';
	}
	return controls > 2 && controls > s.len / 32;
}

static bool is_word(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return s.len > 0;
}

/* gt's own objects have ts, type, and actor or source "gt". cut: the line's end is missing. */
static enum format json_shape(struct span line, bool cut, bool *ret_is_json)
{
	struct json_scanner scanner;
	struct json_leaf leaf;
	enum json_result result = JSON_END;
	bool ts = false, type = false, actor = false;
	size_t n = 0;

	json_scan(&scanner, line);
	for (; n < JSON_LEAVES && (result = json_next(&scanner, &leaf)) == JSON_LEAF; n++) {
		if (leaf.depth != 1)
			continue;
		ts |= span_equal(leaf.name, SPAN("ts"));
		type |= span_equal(leaf.name, SPAN("type"));
		actor |= span_equal(leaf.name, SPAN("actor"));
		actor |= span_equal(leaf.name, SPAN("source")) && span_equal(leaf.text, SPAN("gt"));
	}
	*ret_is_json = result != JSON_DAMAGED || (cut && n > 0);
	return ts && type && actor ? FORMAT_EVENTS : FORMAT_JSON;
}

static bool guardian_shape(struct span line)
{
	return contains(line, "GT-GUARDIAN") || contains(line, "RUNAWAY: PID ") || contains(line, "Killed PID ") ||
	       contains(line, "- guardian - ") || contains(line, "[guardian]");
}

static bool overseer_shape(struct span line)
{
	return contains(line, "- overseer - ") || contains(line, "[overseer]") || contains(line, "[stuck-agent-dog]") ||
	       contains(line, "[dolt-heartbeat]");
}

/* "host program[pid]: " or "host program: " */
static bool syslog_tag(struct span s)
{
	size_t n = 0;

	while (s.len > 0 && *s.ptr == ' ')
		s = span_from(s, 1);
	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != ':' && s.ptr[n] != '[')
		n++;
	if (n == 0 || n > 255 || n == s.len || s.ptr[n] != ' ')
		return false;
	s = span_from(s, n + 1);
	for (n = 0; n < s.len && n < 64 && s.ptr[n] != ' ' && s.ptr[n] != ':' && s.ptr[n] != '['; n++)
		;
	if (n == 0 || n == s.len)
		return false;
	if (s.ptr[n] == '[') {
		do
			n++;
		while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9');
		if (n == s.len || s.ptr[n] != ']')
			return false;
		n++;
	}
	return n < s.len && s.ptr[n] == ':' && (n + 1 == s.len || s.ptr[n + 1] == ' ');
}

/* The one format whose shape a line of text has; FORMAT_COUNT: none. */
static enum format text_shape(struct span line)
{
	bool has_priority = false;
	struct civil civil;
	struct span rest;
	size_t n;

	line = stamp_skip_colours(line);
	if (guardian_shape(line))
		return FORMAT_GUARDIAN;
	if (overseer_shape(line))
		return FORMAT_OVERSEER;
	rest = line;
	if (rest.len > 3 && *rest.ptr == '<') { /* <13>, <34>1 */
		for (n = 1; n < rest.len && n < 4 && rest.ptr[n] >= '0' && rest.ptr[n] <= '9'; n++)
			;
		if (n > 1 && n < rest.len && rest.ptr[n] == '>') {
			has_priority = true;
			rest = span_from(rest, n + 1);
			if (span_starts_with(rest, SPAN("1 ")))
				rest = span_from(rest, 2);
		}
	}
	n = civil_parse(rest, &civil);
	if (n > 0 && n < rest.len && rest.ptr[n] == ' ') {
		struct span after = span_from(rest, n + 1);
		const char *close = after.len > 2 && *after.ptr == '[' ? memchr(after.ptr, ']', after.len < 64 ? after.len : 64) : NULL;

		if (has_priority || civil.year == 0 || syslog_tag(after))
			return FORMAT_SYSLOG;
		if (close && rest.ptr[4] == '-' && rest.ptr[10] == ' ' && n == STAMP_LENGTH &&
		    is_word(span_of(after.ptr + 1, (size_t)(close - after.ptr - 1))) && close + 1 < after.ptr + after.len &&
		    close[1] == ' ')
			return FORMAT_TOWN;
		if (rest.ptr[4] == '/')
			return FORMAT_DAEMON;
		return FORMAT_TEXT;
	}
	if (n > 0)
		return FORMAT_TEXT;
	struct head head;

	head_prefix(line, &head);
	return head.stamped ? FORMAT_TEXT : FORMAT_COUNT;
}

struct counts {
	size_t of[FORMAT_COUNT];
	size_t bare;     /* "PID command" */
	size_t headers, rows, stamps, summaries;
	size_t shaped, lines;
};

static void count_line(struct counts *counts, struct span line, bool cut, struct span *header)
{
	enum format f = FORMAT_COUNT;
	enum ps_line ps;

	while (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0)
		return;
	counts->lines++;
	if (*line.ptr == '{') {
		bool is_json;

		f = json_shape(line, cut, &is_json);
		if (!is_json)
			f = FORMAT_COUNT;
	} else {
		if (line.len > LINE_LIMIT)
			line.len = LINE_LIMIT;
		ps = ps_line_shape(line, *header);
		switch (ps) {
		case PS_HEADER:
			*header = line;
			counts->headers++;
			break;
		case PS_ROW:
			counts->rows++;
			break;
		case PS_SUMMARY:
			counts->summaries++;
			break;
		case PS_STAMP:
			counts->stamps++;
			break;
		case PS_BARE:
			counts->bare++;
			break;
		case PS_BLANK:
			counts->lines--;
			break;
		case PS_OTHER:
			f = text_shape(line);
			break;
		}
		if (ps != PS_OTHER)
			return;
	}
	if (f != FORMAT_COUNT) {
		counts->of[f]++;
		counts->shaped++;
	}
}

/* Lines of ps mean nothing alone: a stamp or "12 items" stands in many files. */
static void add_ps(struct counts *c)
{
	size_t certain = c->headers > 0 ? c->headers + c->rows + c->summaries : 0;
	size_t n = certain;

	if (certain > 0)
		n += c->stamps + c->bare;
	else if (c->bare > 0 && c->bare + c->stamps == c->lines)
		n = c->lines;
	else if (c->stamps > 0)
		c->of[FORMAT_TEXT] += c->stamps, c->shaped += c->stamps;
	c->of[FORMAT_PS] += n;
	c->shaped += n;
}

static const struct source *best_builtin(const struct counts *c)
{
	size_t guardian = c->of[FORMAT_GUARDIAN], overseer = c->of[FORMAT_OVERSEER], total = c->shaped;
	enum format best = FORMAT_TEXT;

	/* Scripts mix lines with their mark and lines with a mere stamp. */
	if (guardian + overseer > 0 && (guardian + overseer) * 4 >= c->of[FORMAT_TEXT] &&
	    (guardian + overseer + c->of[FORMAT_TEXT]) * 3 >= total * 2)
		return &builtin[guardian >= overseer ? FORMAT_GUARDIAN : FORMAT_OVERSEER];
	/* In a syslog some lines may be the guardian's; and JSON objects of others may stand between events. */
	for (size_t f = 0; f < BUILTIN_COUNT; f++)
		if (c->of[f] > c->of[best])
			best = (enum format)f;
	if (c->of[best] == 0 || c->of[best] * 3 < total * 2)
		return NULL;
	/* What has no shape at all may be continuations, but not nearly everything. */
	if (total * 20 < c->lines)
		return NULL;
	return &builtin[best];
}

const struct source *source_from_content(struct span first_bytes, const struct source *const *extra, size_t n_extra)
{
	const struct source *found, *best = NULL;
	struct span rest, header = { NULL, 0 };
	struct counts counts = { 0 };
	size_t best_fit = 0;

	if (span_starts_with(first_bytes, SPAN("\xef\xbb\xbf")))
		first_bytes = span_from(first_bytes, 3);
	if (first_bytes.len > CONTENT_LIMIT)
		first_bytes.len = CONTENT_LIMIT;
	if (first_bytes.len == 0 || is_binary(first_bytes))
		return NULL;
	/* The last line may be cut: it counts only when there is no other. */
	if (first_bytes.ptr[first_bytes.len - 1] != '\n') {
		const char *newline = memrchr(first_bytes.ptr, '\n', first_bytes.len);

		if (newline)
			first_bytes.len = (size_t)(newline - first_bytes.ptr) + 1;
	}
	for (rest = first_bytes; rest.len > 0;) {
		const char *newline = memchr(rest.ptr, '\n', rest.len);
		size_t n = newline ? (size_t)(newline - rest.ptr) : rest.len;

		count_line(&counts, span_of(rest.ptr, n), !newline, &header);
		rest = span_from(rest, n + 1);
	}
	add_ps(&counts);
	found = best_builtin(&counts);
	if (found && found->format != FORMAT_TEXT)
		return found;
	/* A rules file's own sources know better than "some text with stamps"; of two, the one that fits more. */
	for (size_t i = 0; i < n_extra; i++) {
		size_t fit, all;

		if (!extra[i]->pattern)
			continue;
		source_pattern_count(extra[i]->pattern, first_bytes, 200, &fit, &all);
		if (all > 0 && fit * 3 >= all * 2 && fit > best_fit) {
			best = extra[i];
			best_fit = fit;
		}
	}
	return best ? best : found;
}
