/*
 * test_compare.c: decides what "only what is written is compared" means for each part of a state change. It knows nothing of runs.
 */
#include "test_compare.h"

#include "base/quote.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* ---- does a change satisfy an expectation? ---- */

static bool text_holds(const struct test_text *t, struct span text)
{
	switch (t->how) {
	case MATCH_EQUAL:
		return span_equal(text, t->text);
	case MATCH_CONTAINS:
		return t->text.len == 0 || memmem(text.ptr, text.len, t->text.ptr, t->text.len);
	case MATCH_STARTSWITH:
		return span_starts_with(text, t->text);
	case MATCH_ENDSWITH:
		return span_ends_with(text, t->text);
	}
	return false;
}

static const struct named_value *value_named(const struct named_value *v, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal(v[i].name, name))
			return &v[i];
	return NULL;
}

bool test_values_hold(const struct test_text *texts, uint32_t n, const struct named_value *values, size_t n_values)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct named_value *v = value_named(values, n_values, texts[i].name);
		if (!v || !text_holds(&texts[i], v->value))
			return false;
	}
	return true;
}

static uint64_t top_count(const struct field_table *fields, const struct change *c, struct span field, struct span value)
{
	for (size_t i = 0; i < c->n_top; i++) {
		if (!span_equal(field_name(fields, c->top[i].field), field))
			continue;
		for (size_t j = 0; j < c->top[i].n_values; j++)
			if (span_equal(c->top[i].values[j].value, value))
				return c->top[i].values[j].count;
	}
	return 0;
}

/* {{id}} in an expected word stands for the incident's id, which nobody can foretell. */
static bool word_holds(struct span expected, struct span got, const char *id)
{
	struct span name = SPAN("{{id}}");
	size_t id_len = strlen(id);

	for (;;) {
		const char *at = memmem(expected.ptr, expected.len, name.ptr, name.len);
		if (!at)
			return span_equal(expected, got);
		size_t before = (size_t)(at - expected.ptr);
		if (got.len < before + id_len || memcmp(got.ptr, expected.ptr, before) != 0 || memcmp(got.ptr + before, id, id_len) != 0)
			return false;
		expected = span_from(expected, before + name.len);
		got = span_from(got, before + id_len);
	}
}

static bool commands_hold(const struct test_expectation *e, const struct change *c)
{
	if (e->n_commands != c->n_commands)
		return false;
	for (uint32_t i = 0; i < e->n_commands; i++) {
		const struct span *a = e->commands[i], *b = c->commands[i];
		for (; a->ptr && b->ptr; a++, b++)
			if (!word_holds(*a, *b, c->id))
				return false;
		if (a->ptr || b->ptr)
			return false;
	}
	return true;
}


static bool near_equal(double a, double b)
{
	return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

bool test_part_holds(const struct field_table *fields, const struct test_expectation *e, const struct change *c, enum part part)
{
	switch (part) {
	case PART_AT:
		return e->at_ns == TIME_NONE || e->at_ns == c->time_ns;
	case PART_LEVEL:
		return !e->has_level || e->level == c->rule->level;
	case PART_KEY:
		return test_values_hold(e->key, e->n_key, c->key, c->n_key);
	case PART_VALUE:
		return !e->has_value || near_equal(e->value, c->value);
	case PART_COUNT:
		return !e->has_count || e->count == c->count;
	case PART_OPENED:
		return e->opened_ns == TIME_NONE || e->opened_ns == c->opened_ns;
	case PART_FIRST:
		return e->first_ns == TIME_NONE || e->first_ns == c->first_ns;
	case PART_LAST:
		return e->last_ns == TIME_NONE || e->last_ns == c->last_ns;
	case PART_SUMMARY:
		for (uint32_t i = 0; i < e->n_summary; i++)
			if (!text_holds(&e->summary[i], c->summary))
				return false;
		return true;
	case PART_TOP:
		for (uint32_t i = 0; i < e->n_top; i++)
			for (uint32_t j = 0; j < e->top[i].n; j++)
				if (top_count(fields, c, e->top[i].field, e->top[i].values[j].value) != e->top[i].values[j].count)
					return false;
		return true;
	case PART_FIELDS:
		return test_values_hold(e->fields, e->n_fields, c->fields, c->n_fields);
	case PART_COMMANDS:
		return !e->has_commands || commands_hold(e, c);
	case PART_END:
		break;
	}
	return true;
}

bool test_same_kind(const struct test_expectation *e, const struct change *c)
{
	return e->rule == c->rule && (e->any_state || e->state == c->state);
}

unsigned test_distance(const struct field_table *fields, const struct test_expectation *e, const struct change *c)
{
	unsigned n = 0;

	for (int part = 0; part < PART_END; part++)
		n += !test_part_holds(fields, e, c, (enum part)part);
	return n;
}

bool test_satisfies(const struct field_table *fields, const struct test_expectation *e, const struct change *c)
{
	return test_same_kind(e, c) && test_distance(fields, e, c) == 0;
}

/* ---- telling ---- */

/* As YAML would have it, and safe for a terminal. */
static void append_scalar(struct buffer *out, struct span s)
{
	bool plain = s.len > 0 && !span_equal(s, SPAN("-")), printable = true;

	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_sequence(s.ptr + i, s.len - i);
		unsigned char c = (unsigned char)s.ptr[i];
		bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("_./=-", c);
		if (n == 0 || c < ' ' || c == 0x7f || (n > 1 && c <= 0xe2)) /* may be a control character: say it with escapes */
			printable = printable && n > 1 && !(c == 0xc2 && (unsigned char)s.ptr[i + 1] < 0xa0) && c != 0xe2;
		plain = plain && n == 1 && word;
		i += n ? n : 1;
	}
	if (plain) {
		buffer_append_span(out, s);
		return;
	}
	if (!printable) {
		/* "…" and its like are harmless; quote_terminal() shows what is not. */
		struct buffer safe = BUFFER_INIT;
		quote_terminal(&safe, s);
		bool same = span_equal(buffer_span(&safe), s);
		buffer_release(&safe);
		if (!same) {
			quote_json(out, s);
			return;
		}
	}
	buffer_append_char(out, '\'');
	for (size_t i = 0; i < s.len; i++) {
		buffer_append_char(out, s.ptr[i]);
		if (s.ptr[i] == '\'')
			buffer_append_char(out, '\'');
	}
	buffer_append_char(out, '\'');
}

/* id: written as {{id}}; NULL: there is none. */
static void append_words(struct buffer *out, const struct span *words, const char *id)
{
	buffer_append_char(out, '[');
	for (size_t i = 0; words[i].ptr; i++) {
		struct span rest = words[i];
		struct buffer word = BUFFER_INIT;
		const char *at;
		while (id && (at = memmem(rest.ptr, rest.len, id, strlen(id)))) {
			buffer_append(&word, rest.ptr, (size_t)(at - rest.ptr));
			buffer_append_string(&word, "{{id}}");
			rest = span_from(rest, (size_t)(at - rest.ptr) + strlen(id));
		}
		buffer_append_span(&word, rest);
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, buffer_span(&word));
		buffer_release(&word);
	}
	buffer_append_string(out, "]\n");
}

static void append_time(struct buffer *out, const char *begin, const char *name, const struct test_case *t, int64_t time_ns)
{
	buffer_printf(out, "%s%s: ", begin, name);
	test_time_format(out, t, time_ns);
	buffer_append_char(out, '\n');
}

static void append_named(struct buffer *out, const char *begin, const char *name, const struct named_value *v, size_t n)
{
	buffer_printf(out, "%s%s: {", begin, name);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, v[i].name);
		buffer_append_string(out, ": ");
		append_scalar(out, v[i].value);
	}
	buffer_append_string(out, "}\n");
}

static const char *const match_names[] = { "", "|contains", "|startswith", "|endswith" };

void test_append_texts(struct buffer *out, const char *begin, const char *name, const struct test_text *v, uint32_t n)
{
	buffer_printf(out, "%s%s: {", begin, name);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, v[i].name);
		buffer_printf(out, "%s: ", match_names[v[i].how]);
		append_scalar(out, v[i].text);
	}
	buffer_append_string(out, "}\n");
}

/* One part of what an expectation says. */
void test_append_expected(struct buffer *out, const char *begin, const struct test_case *t, const struct test_expectation *e, enum part part)
{
	switch (part) {
	case PART_AT:
		append_time(out, begin, "at", t, e->at_ns);
		break;
	case PART_LEVEL:
		buffer_printf(out, "%slevel: %s\n", begin, level_name(e->level));
		break;
	case PART_KEY:
		test_append_texts(out, begin, "key", e->key, e->n_key);
		break;
	case PART_VALUE:
		buffer_printf(out, "%svalue: %.15g\n", begin, e->value);
		break;
	case PART_COUNT:
		buffer_printf(out, "%scount: %" PRIu64 "\n", begin, e->count);
		break;
	case PART_OPENED:
		append_time(out, begin, "opened", t, e->opened_ns);
		break;
	case PART_FIRST:
		append_time(out, begin, "first", t, e->first_ns);
		break;
	case PART_LAST:
		append_time(out, begin, "last", t, e->last_ns);
		break;
	case PART_SUMMARY:
		for (uint32_t i = 0; i < e->n_summary; i++) {
			buffer_printf(out, "%ssummary%s: ", begin, match_names[e->summary[i].how]);
			append_scalar(out, e->summary[i].text);
			buffer_append_char(out, '\n');
		}
		break;
	case PART_TOP:
		for (uint32_t i = 0; i < e->n_top; i++)
			for (uint32_t j = 0; j < e->top[i].n; j++) {
				buffer_printf(out, "%stop: {", begin);
				append_scalar(out, e->top[i].field);
				buffer_append_string(out, ": {");
				append_scalar(out, e->top[i].values[j].value);
				buffer_printf(out, ": %" PRIu64 "}}\n", e->top[i].values[j].count);
			}
		break;
	case PART_FIELDS:
		test_append_texts(out, begin, "fields", e->fields, e->n_fields);
		break;
	case PART_COMMANDS:
		buffer_printf(out, "%scommands:%s\n", begin, e->n_commands ? "" : " []");
		for (uint32_t i = 0; i < e->n_commands; i++) {
			buffer_printf(out, "%s  - ", begin);
			append_words(out, e->commands[i], NULL);
		}
		break;
	case PART_END:
		break;
	}
}

/* The same part of what came. */
void test_append_got(struct buffer *out, const char *begin, const struct test_case *t, const struct field_table *fields, const struct change *c, enum part part)
{
	switch (part) {
	case PART_AT:
		append_time(out, begin, "at", t, c->time_ns);
		break;
	case PART_LEVEL:
		buffer_printf(out, "%slevel: %s\n", begin, level_name(c->rule->level));
		break;
	case PART_KEY:
		append_named(out, begin, "key", c->key, c->n_key);
		break;
	case PART_VALUE:
		buffer_printf(out, "%svalue: %.15g\n", begin, c->value);
		break;
	case PART_COUNT:
		buffer_printf(out, "%scount: %" PRIu64 "\n", begin, c->count);
		break;
	case PART_OPENED:
		append_time(out, begin, "opened", t, c->opened_ns);
		break;
	case PART_FIRST:
		append_time(out, begin, "first", t, c->first_ns);
		break;
	case PART_LAST:
		append_time(out, begin, "last", t, c->last_ns);
		break;
	case PART_SUMMARY:
		buffer_printf(out, "%ssummary: ", begin);
		append_scalar(out, c->summary);
		buffer_append_char(out, '\n');
		break;
	case PART_TOP:
		for (size_t i = 0; i < c->n_top; i++) {
			if (c->top[i].n_values == 0)
				continue;
			buffer_printf(out, "%stop: {", begin);
			append_scalar(out, field_name(fields, c->top[i].field));
			buffer_append_string(out, ": {");
			for (size_t j = 0; j < c->top[i].n_values; j++) {
				if (j)
					buffer_append_string(out, ", ");
				append_scalar(out, c->top[i].values[j].value);
				buffer_printf(out, ": %" PRIu64, c->top[i].values[j].count);
			}
			buffer_append_string(out, "}}\n");
		}
		break;
	case PART_FIELDS:
		append_named(out, begin, "fields", c->fields, c->n_fields);
		break;
	case PART_COMMANDS:
		buffer_printf(out, "%scommands:%s\n", begin, c->n_commands ? "" : " []");
		for (size_t i = 0; i < c->n_commands; i++) {
			buffer_printf(out, "%s  - ", begin);
			append_words(out, c->commands[i], c->id);
		}
		break;
	case PART_END:
		break;
	}
}

void test_append_change(struct buffer *out, const struct test_case *t, const struct field_table *fields, const struct change *c)
{
	buffer_printf(out, "+     - rule: %s\n", c->rule->name);
	if (c->state != INCIDENT_OPEN)
		buffer_printf(out, "+       state: %s\n", incident_state_name(c->state));
	test_append_got(out, "+       ", t, fields, c, PART_AT);
	if (c->n_key)
		test_append_got(out, "+       ", t, fields, c, PART_KEY);
	test_append_got(out, "+       ", t, fields, c, PART_COUNT);
	test_append_got(out, "+       ", t, fields, c, PART_SUMMARY);
	test_append_got(out, "+       ", t, fields, c, PART_COMMANDS);
}
