/*
 * pattern.c: sources that a rules file defines. A regular expression is matched against each record; what its named groups
 * took becomes fields of those names. Two groups are special: the one that holds the stamp, and "agent", which is
 * normalised. A record that the expression does not match is not understood, and costs nobody else anything.
 *
 * The expression is the user's, the text is anybody's: a match may take at most MATCH_LIMIT steps, begins in the first OFFSET_LIMIT
 * bytes and sees no more than SUBJECT_LIMIT of them, so that no line can make a careless expression stand still.
 *
 * A compiled pattern is never written to after source_pattern_new(): many decoders share one, each with match data of its own.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "record/pattern.h"
#include "base/memory.h"
#include "base/quote.h"
#include "record/agent.h"
#include "record/ansi.h"

#include <pcre2.h>
#include <stdlib.h>

#define MATCH_LIMIT 10000
#define HEAP_LIMIT_KIB 16384
#define OFFSET_LIMIT 4096
#define SUBJECT_LIMIT 65536
#define ESC '\x1b'

struct group {
	uint32_t number;
	field_id field;
};

struct source_pattern {
	pcre2_code *code, *start; /* start NULL: every line is a record */
	pcre2_match_context *limits;
	struct group *groups; /* but those of time and agent */
	size_t n_groups;
	uint32_t *times, *agents; /* group numbers: a name may stand several times */
	size_t n_times, n_agents;
	char *time_pattern;  /* NULL: any known form */
	bool has_message;
};

struct pattern_state {
	pcre2_match_data *match, *start_match;
	struct buffer plain; /* a line without its colours */
	struct buffer valid; /* a record without the bytes that are no UTF-8 */
};

/* PCRE2 gives NULL when there is no memory; that ends the program the usual way. */
static void *need(void *p)
{
	return p ? p : xmalloc(PTRDIFF_MAX);
}

/* ---- compiling ---- */

static void add_regex_error(struct diag_list *diags, const char *file, int line, int column, const char *what, struct span regex,
			    int error, size_t offset)
{
	PCRE2_UCHAR text[256];
	size_t characters = 1, end;

	if (pcre2_get_error_message(error, text, sizeof text) < 0)
		text[0] = '\0';
	if (offset > regex.len)
		offset = regex.len;
	for (size_t i = 0; i < offset; i++)
		characters += ((unsigned char)regex.ptr[i] & 0xc0) != 0x80;
	diag_add(diags, DIAG_ERROR, file, line, column, "%s is no regular expression: %s", what, (const char *)text);
	end = regex.len - offset < 20 ? regex.len : offset + 20;
	while (end < regex.len && ((unsigned char)regex.ptr[end] & 0xc0) == 0x80)
		end++;
	if (offset == regex.len)
		diag_hint(diags, "found at its end (character %zu)", characters);
	else
		diag_hint(diags, "found at character %zu, before '%.*s'", characters, (int)(end - offset), regex.ptr + offset);
}

static pcre2_code *compile(struct span regex, const char *what, struct diag_list *diags, const char *file, int line, int column)
{
	int error;
	PCRE2_SIZE offset;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)regex.ptr, regex.len,
					 PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C, &error,
					 &offset, NULL);

	if (!code)
		add_regex_error(diags, file, line, column, what, regex, error, offset);
	else
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it the match is slower, not different */
	return code;
}

static void add_number(uint32_t **numbers, size_t *n, uint32_t number)
{
	*numbers = xrealloc(*numbers, (*n + 1) * sizeof **numbers);
	(*numbers)[(*n)++] = number;
}

/* Sorts the named groups into stamp, agent and fields. */
static int read_groups(struct source_pattern *p, const char *time_field, struct field_table *fields, struct diag_list *diags,
		       const char *file, int line, int column)
{
	const char *time_name = time_field ? time_field : "time";
	const char **names;
	uint32_t count, entry_size;
	PCRE2_SPTR table;
	int result = 0;

	pcre2_pattern_info(p->code, PCRE2_INFO_NAMECOUNT, &count);
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMETABLE, &table);
	names = xcalloc(count + 1, sizeof *names);
	p->groups = xcalloc(count + 1, sizeof *p->groups);
	if (count == 0) {
		diag_add(diags, DIAG_WARNING, file, line, column, "the pattern has no named groups, so its events have no fields");
		diag_hint(diags, "write (?<name>…) around what is to become a field");
	}
	for (uint32_t i = 0; i < count; i++) {
		PCRE2_SPTR entry = table + (size_t)i * entry_size;
		uint32_t number = (uint32_t)entry[0] << 8 | entry[1];
		const char *name = (const char *)entry + 2;
		field_id f;

		names[i] = name;
		if (strcmp(name, time_name) == 0) {
			add_number(&p->times, &p->n_times, number);
			if (strcmp(name, "time") == 0)
				continue;
		}
		if (strcmp(name, "agent") == 0) {
			add_number(&p->agents, &p->n_agents, number);
			continue;
		}
		f = field_add(fields, span_from_string(name));
		if (f == FIELD_NONE) {
			diag_add(diags, DIAG_ERROR, file, line, column, "too many fields: there is no room for '%s'", name);
			result = -1;
		}
		if (f == FIELD_MESSAGE)
			p->has_message = true;
		p->groups[p->n_groups++] = (struct group){ number, f };
	}
	if (time_field && p->n_times == 0) {
		const char *near = nearest_word(time_field, names);

		diag_add(diags, DIAG_ERROR, file, line, column, "time is '%s', but the pattern has no group of that name", time_field);
		if (near)
			diag_hint(diags, "did you mean '%s'?", near);
		else
			diag_hint(diags, "write (?<%s>…) around the stamp", time_field);
		result = -1;
	} else if (p->time_pattern && p->n_times == 0) {
		diag_add(diags, DIAG_ERROR, file, line, column, "there is a time-format, but the pattern has no group for the stamp");
		diag_hint(diags, "write (?<time>…) around the stamp");
		result = -1;
	}
	free(names);
	return result;
}

struct source_pattern *source_pattern_new(struct span regex, const char *start_regex, const char *time_field,
					  const char *time_pattern, struct field_table *fields, struct diag_list *diags,
					  const char *file, int line, int column)
{
	struct source_pattern *p = xcalloc(1, sizeof *p);
	const char *wrong = time_pattern ? civil_pattern_error(time_pattern) : NULL;
	int result = 0;

	p->time_pattern = time_pattern ? xstrdup(time_pattern) : NULL;
	p->limits = need(pcre2_match_context_create(NULL));
	pcre2_set_match_limit(p->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(p->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
	pcre2_set_offset_limit(p->limits, OFFSET_LIMIT);
	p->code = compile(regex, "the pattern", diags, file, line, column);
	if (start_regex)
		p->start = compile(span_from_string(start_regex), "start", diags, file, line, column);
	if (wrong) {
		diag_add(diags, DIAG_ERROR, file, line, column, "the time-format '%s' cannot be used: %s", time_pattern, wrong);
		result = -1;
	}
	if (!p->code || (start_regex && !p->start))
		result = -1;
	else if (read_groups(p, time_field, fields, diags, file, line, column))
		result = -1;
	if (result) {
		source_pattern_free(p);
		return NULL;
	}
	return p;
}

void source_pattern_free(struct source_pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	pcre2_code_free(p->start);
	pcre2_match_context_free(p->limits);
	free(p->groups);
	free(p->times);
	free(p->agents);
	free(p->time_pattern);
	free(p);
}

/* ---- matching ---- */

static bool matches(const struct source_pattern *p, const pcre2_code *code, struct span text, pcre2_match_data *data)
{
	size_t len = text.len < SUBJECT_LIMIT ? text.len : SUBJECT_LIMIT;
	int n = pcre2_match(code, (PCRE2_SPTR)text.ptr, len, 0, 0, data, p->limits);

	if (n == PCRE2_ERROR_JIT_STACKLIMIT)
		n = pcre2_match(code, (PCRE2_SPTR)text.ptr, len, 0, PCRE2_NO_JIT, data, p->limits);
	return n >= 0;
}

/*
 * No part of an expression, not even a dot, matches bytes that are no UTF-8. So that a line of Latin-1 is not lost for that, each
 * is taken for a "?" in a second try; the groups' places are the same.
 */
static bool matches_record(const struct source_pattern *p, struct pattern_state *st, struct span text)
{
	bool valid = true;

	if (matches(p, p->code, text, st->match))
		return true;
	buffer_clear(&st->valid);
	if (text.len > SUBJECT_LIMIT)
		text.len = SUBJECT_LIMIT;
	for (size_t i = 0; i < text.len;) {
		size_t n = (unsigned char)text.ptr[i] < 0x80 ? 1 : utf8_sequence(text.ptr + i, text.len - i);

		if (n == 0 && valid) {
			buffer_append(&st->valid, text.ptr, text.len);
			valid = false;
		}
		if (n == 0)
			st->valid.data[i++] = '?';
		else
			i += n;
	}
	return !valid && matches(p, p->code, buffer_span(&st->valid), st->match);
}

/* What a group took; false when it took no part in the match. */
static bool group_text(struct span text, const pcre2_match_data *data, uint32_t number, struct span *ret)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer((pcre2_match_data *)data);
	PCRE2_SIZE from = ends[2 * number], to = ends[2 * number + 1];

	if (from == PCRE2_UNSET || to == PCRE2_UNSET || to < from) /* \K in a lookahead can turn them round */
		return false;
	*ret = span_of(text.ptr + from, to - from);
	return true;
}

static bool first_group_text(struct span text, const pcre2_match_data *data, const uint32_t *numbers, size_t n, struct span *ret)
{
	for (size_t i = 0; i < n; i++)
		if (group_text(text, data, numbers[i], ret))
			return true;
	return false;
}

static bool stamp_of(const struct format_context *c, const struct source_pattern *p, struct span text, int64_t *ret_time)
{
	struct civil civil = { 0 };
	size_t n;

	n = p->time_pattern ? civil_parse_pattern(text, p->time_pattern, &civil) : civil_parse(text, &civil);
	if (n == 0)
		return false;
	*ret_time = stamp_resolve(c, &civil);
	return true;
}

static bool pattern_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	const struct source_pattern *p = c->source->pattern;
	struct pattern_state *st = c->state;
	struct span stamp;

	*ret_time = TIME_NONE;
	while (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len > SUBJECT_LIMIT)
		line.len = SUBJECT_LIMIT;
	if (line.len > 0 && memchr(line.ptr, ESC, line.len)) {
		buffer_clear(&st->plain);
		buffer_reserve(&st->plain, line.len);
		line = span_of(st->plain.data, ansi_strip(line, st->plain.data));
	}
	if (p->start && !matches(p, p->start, line, st->start_match))
		return false;
	if (p->n_times == 0) {
		/* Nothing in it tells the time: of a live stream it is when it came. */
		*ret_time = c->arrival_ns;
		return true;
	}
	if (matches_record(p, st, line)) {
		if (first_group_text(line, st->match, p->times, p->n_times, &stamp))
			stamp_of(c, p, stamp, ret_time);
	} else if (p->start) {
		/* The pattern may need more lines than the first; its stamp most likely stands at the start. */
		while (line.len > 0 && (*line.ptr == '[' || *line.ptr == ' '))
			line = span_from(line, 1);
		stamp_of(c, p, line, ret_time);
	}
	return true;
}

static enum parse_result pattern_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	const struct source_pattern *p = c->source->pattern;
	struct pattern_state *st = c->state;
	struct span text;

	(void)r;
	if (raw.len == 0)
		return PARSE_NOTHING;
	if (!matches_record(p, st, raw))
		return PARSE_UNPARSED;
	/* First, so that groups called rig or role overrule what the agent's name says. */
	if (first_group_text(raw, st->match, p->agents, p->n_agents, &text) && text.len > 0)
		agent_add(e, text);
	for (size_t i = 0; i < p->n_groups; i++)
		if (group_text(raw, st->match, p->groups[i].number, &text))
			event_set(e, p->groups[i].field, text, VALUE_STRING);
	if (!p->has_message)
		event_add(e, FIELD_MESSAGE, raw, VALUE_STRING);
	return PARSE_EVENT;
}

void source_pattern_count(const struct source_pattern *p, struct span text, size_t limit, size_t *ret_fit, size_t *ret_all)
{
	pcre2_match_data *match = need(pcre2_match_data_create_from_pattern(p->code, NULL));
	pcre2_match_data *start = p->start ? need(pcre2_match_data_create_from_pattern(p->start, NULL)) : NULL;
	struct span record = { NULL, 0 };

	*ret_fit = *ret_all = 0;
	while (*ret_all < limit) {
		const char *newline = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
		size_t used = newline ? (size_t)(newline - text.ptr) + 1 : text.len;
		struct span line = span_of(text.ptr, newline ? used - 1 : used);
		bool begins;

		while (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		begins = text.len == 0 || !p->start || !record.ptr || matches(p, p->start, line, start);
		if (begins && record.ptr && record.len > 0) {
			while (record.len > 0 && (record.ptr[record.len - 1] == '\n' || record.ptr[record.len - 1] == '\r'))
				record.len--;
			++*ret_all;
			/* What stands before the first line that `start` matches is no record of this source. */
			*ret_fit += (!p->start || matches(p, p->start, record, start)) && matches(p, p->code, record, match);
		}
		if (text.len == 0)
			break;
		if (begins)
			record = line;
		else
			record.len = (size_t)(line.ptr + line.len - record.ptr);
		text = span_from(text, used);
	}
	pcre2_match_data_free(match);
	pcre2_match_data_free(start);
}

/* ---- state: nothing that outlives a record ---- */

static void *pattern_state_new(struct format_context *c)
{
	const struct source_pattern *p = c->source->pattern;
	struct pattern_state *st = xcalloc(1, sizeof *st);

	st->match = need(pcre2_match_data_create_from_pattern(p->code, NULL));
	st->start_match = p->start ? need(pcre2_match_data_create_from_pattern(p->start, NULL)) : NULL;
	c->single_line = !p->start;
	return st;
}

static void pattern_state_free(void *state)
{
	struct pattern_state *st = state;

	if (!st)
		return;
	pcre2_match_data_free(st->match);
	pcre2_match_data_free(st->start_match);
	buffer_release(&st->plain);
	buffer_release(&st->valid);
	free(st);
}

static void pattern_state_save(const void *state, struct buffer *out)
{
	(void)state;
	(void)out;
}

static bool pattern_state_load(void *state, struct codec_reader *in)
{
	(void)state;
	(void)in;
	return true;
}

const struct format_ops format_pattern = {
	.begins = pattern_begins,
	.parse = pattern_parse,
	.state_new = pattern_state_new,
	.state_free = pattern_state_free,
	.state_save = pattern_state_save,
	.state_load = pattern_state_load,
};
