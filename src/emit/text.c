/*
 * text.c: state changes for people at a terminal.
 *
 *	2026-02-17 06:40:27  CRITICAL  open      kill_storm
 *	                     6 unplanned kills in 1 h, 6 in all: 4 × prajna/witness, 1 × cachekit_saas/witness, 1 × mayor
 *	                     $ gt nudge hq-mayor --mode=queue 'ESCALATION: agent kill storm, 6 unplanned kills in 1 h: …'
 *
 * Invariant: whatever a log holds, nothing of it moves the cursor, sets a colour, turns the direction of writing or
 * begins a line; and with a width given, no line is wider, commands excepted, which may take COMMAND_ROWS rows so
 * that they can be copied. A summary, which is what one wakes up for, is broken into up to SUMMARY_ROWS lines. Text is for reading: programs and shells have jsonl and commands.
 */
#include "emit/formats.h"
#include "base/quote.h"
#include <stdint.h>

#define INDENT 21          /* "2026-02-17 05:36:14  " */
#define WIDTH_LEAST 48     /* narrower terminals wrap */
#define SUMMARY_ROWS 3
#define COMMAND_ROWS 4
#define BYTES_PER_COLUMN 8 /* read at most: a heap of combining marks takes no columns */

#define RESET "\033[0m"
#define DIM "\033[2m"

static const char *const levels[] = {
	[LEVEL_INFORMATIONAL] = "INFO    ", [LEVEL_LOW] = "LOW     ", [LEVEL_MEDIUM] = "MEDIUM  ",
	[LEVEL_HIGH] = "HIGH    ", [LEVEL_CRITICAL] = "CRITICAL",
};

const char *level_colour(enum level level)
{
	static const char *const colours[] = {
		[LEVEL_INFORMATIONAL] = DIM, [LEVEL_LOW] = "\033[36m", [LEVEL_MEDIUM] = "\033[33m",
		[LEVEL_HIGH] = "\033[31m", [LEVEL_CRITICAL] = "\033[1;31m",
	};
	return colours[level];
}

static const struct {
	const char *text, *colour;
} states[] = {
	[INCIDENT_OPEN] = { "open    ", "\033[1;31m" },
	[INCIDENT_UPDATE] = { "update  ", "" },
	[INCIDENT_RESOLVED] = { "resolved", "\033[32m" },
};

/* Characters that take no column, or two; the rest takes one. Where in doubt two: a line may end early, never late. */
static const struct {
	uint32_t first, last;
	unsigned columns;
} odd_widths[] = {
	{ 0x0300, 0x036f, 0 },   { 0x0483, 0x0489, 0 },   { 0x0591, 0x05bd, 0 },   { 0x0610, 0x061a, 0 },
	{ 0x064b, 0x065f, 0 },   { 0x1100, 0x115f, 2 },   { 0x1ab0, 0x1aff, 0 },   { 0x1dc0, 0x1dff, 0 },
	{ 0x200b, 0x200f, 0 },   { 0x20d0, 0x20ff, 0 },   { 0x231a, 0x231b, 2 },   { 0x2329, 0x232a, 2 },
	{ 0x23e9, 0x23f3, 2 },   { 0x25fd, 0x25fe, 2 },   { 0x2600, 0x26ff, 2 },   { 0x2705, 0x2705, 2 },
	{ 0x270a, 0x270b, 2 },   { 0x2728, 0x2728, 2 },   { 0x274c, 0x274e, 2 },   { 0x2753, 0x2757, 2 },
	{ 0x2795, 0x2797, 2 },   { 0x27b0, 0x27bf, 2 },   { 0x2b1b, 0x2b1c, 2 },   { 0x2b50, 0x2b55, 2 },
	{ 0x2e80, 0x303e, 2 },   { 0x3041, 0xa4cf, 2 },   { 0xa960, 0xa97f, 2 },   { 0xac00, 0xd7a3, 2 },
	{ 0xf900, 0xfaff, 2 },   { 0xfe00, 0xfe0f, 0 },   { 0xfe20, 0xfe2f, 0 },   { 0xfe30, 0xfe6f, 2 },
	{ 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },   { 0x1f000, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
	{ 0xe0100, 0xe01ef, 0 },
};

static unsigned columns_of(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;
	uint32_t c;

	if (len == 1)
		return 1;
	c = u[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (u[i] & 0x3fu);
	for (size_t i = 0; i < sizeof odd_widths / sizeof *odd_widths; i++)
		if (c >= odd_widths[i].first && c <= odd_widths[i].last)
			return odd_widths[i].columns;
	return 1;
}

/* How many bytes of a text that is safe already fit; ret_short: how many leave room for "…" after them. */
static size_t bytes_that_fit(struct span safe, size_t columns, size_t *ret_short)
{
	size_t used = 0, i = 0;

	*ret_short = 0;
	while (i < safe.len) {
		size_t n = utf8_sequence(safe.ptr + i, safe.len - i);
		unsigned wide;

		if (n == 0)
			n = 1;
		wide = columns_of(safe.ptr + i, n);
		if (used + wide > columns)
			break;
		used += wide;
		i += n;
		if (used < columns)
			*ret_short = i;
	}
	return i;
}

/* Appends what fits of it, with "…" where it was cut. cut: something is missing at its end in any case. columns 0: no limit. */
static void append_fitting(struct buffer *out, struct span safe, size_t columns, bool cut)
{
	size_t fits;

	if (columns == 0) {
		buffer_append_span(out, safe);
		return;
	}
	if (bytes_that_fit(safe, columns, &fits) == safe.len && !cut) {
		buffer_append_span(out, safe);
		return;
	}
	buffer_append(out, safe.ptr, fits);
	buffer_append_string(out, "…");
}

/* The rest of a line: control characters visible, cut to the columns that are left. */
static void append_text(struct buffer *out, struct span text, size_t columns)
{
	struct span head = columns > 0 ? utf8_cut(text, columns * BYTES_PER_COLUMN) : text;
	struct buffer safe = BUFFER_INIT;

	quote_terminal(&safe, head);
	append_fitting(out, buffer_span(&safe), columns, head.len < text.len);
	buffer_release(&safe);
}

/* The same in several lines, broken behind words where that leaves no line half empty; set in, so that none can pass for a command. */
static void append_summary(struct buffer *out, struct span text, size_t columns)
{
	struct span head = columns > 0 ? utf8_cut(text, SUMMARY_ROWS * columns * BYTES_PER_COLUMN) : text;
	struct buffer safe = BUFFER_INIT;
	bool cut = head.len < text.len;

	quote_terminal(&safe, head);
	struct span rest = buffer_span(&safe);
	for (int row = 1; columns > 0 && row < SUMMARY_ROWS; row++) {
		size_t spare, fits = bytes_that_fit(rest, columns, &spare), end = fits;
		if (fits == rest.len)
			break;
		while (end > fits / 2 && rest.ptr[end] != ' ')
			end--;
		if (rest.ptr[end] != ' ')
			end = fits;
		buffer_append(out, rest.ptr, end);
		buffer_printf(out, "\n%*s", INDENT + 2, "");
		rest = span_from(rest, end + (rest.ptr[end] == ' '));
		if (row == 1)
			columns -= 2;
	}
	append_fitting(out, rest, columns, cut);
	buffer_release(&safe);
}

static void append_coloured(struct buffer *out, bool colour, const char *code, const char *text)
{
	if (colour && *code) {
		buffer_append_string(out, code);
		buffer_append_string(out, text);
		buffer_append_string(out, RESET);
	} else {
		buffer_append_string(out, text);
	}
}

/* "mcp_memory pid 41702": what a rig or an agent is shows without its name; other values have theirs before them. */
static void append_key(struct buffer *out, const struct change *c)
{
	for (size_t i = 0; i < c->n_key; i++) {
		const struct named_value *k = &c->key[i];

		if (i > 0)
			buffer_append_char(out, ' ');
		if (!span_equal(k->name, SPAN("rig")) && !span_equal(k->name, SPAN("agent"))) {
			buffer_append_span(out, k->name);
			buffer_append_char(out, ' ');
		}
		buffer_append_span(out, k->value);
	}
}

void emit_text(struct buffer *out, const struct emit_options *o, const struct change *c)
{
	size_t width = o->width == 0 || o->width >= WIDTH_LEAST ? o->width : WIDTH_LEAST;
	size_t rest = width ? width - INDENT : 0;
	struct buffer line = BUFFER_INIT;

	time_format_local(out, c->time_ns, o->zone);
	buffer_append_string(out, "  ");
	append_coloured(out, o->colour, level_colour(c->rule->level), levels[c->rule->level]);
	buffer_append_string(out, "  ");
	append_coloured(out, o->colour, states[c->state].colour, states[c->state].text);
	buffer_append_string(out, "  ");
	buffer_append_string(&line, c->rule->name);
	if (c->n_key > 0) {
		buffer_append_string(&line, "  ");
		append_key(&line, c);
	}
	append_text(out, buffer_span(&line), width ? rest - 20 : 0); /* "CRITICAL  resolved  " */
	buffer_append_char(out, '\n');

	if (c->summary.len > 0) {
		buffer_printf(out, "%*s", INDENT, "");
		append_summary(out, c->summary, rest);
		buffer_append_char(out, '\n');
	}

	for (size_t i = 0; i < c->n_commands; i++) {
		buffer_clear(&line);
		if (!emit_command(&line, c->commands[i]))
			continue;
		buffer_printf(out, "%*s", INDENT, "");
		buffer_append_string(out, o->colour ? DIM "$ " : "$ ");
		append_text(out, buffer_span(&line), width ? width * COMMAND_ROWS - INDENT - 2 : 0);
		buffer_append_string(out, o->colour ? RESET "\n" : "\n");
	}
	buffer_release(&line);
}
