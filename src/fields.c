/*
 * A survey of parsed events. Of each field of each type a few distinct values are counted: when there are no more, they are all of them (an
 * enumeration), and a rule can name them. What is kept of values and lines is cut, and made safe only where it is written.
 */
#include "fields.h"

#include "base/memory.h"
#include "base/quote.h"
#include "emit/json_writer.h"

#include <inttypes.h>
#include <stdlib.h>

#define TYPE_LIMIT 200
#define FIELD_ROWS_LIMIT 500
#define VALUES 6          /* distinct values counted of one field */
#define EXAMPLES_SHOWN 2  /* of a field that has more */
#define VALUE_BYTES 60    /* kept of a value */
#define VALUES_COLUMNS 72 /* of all values in a row of text */
#define UNPARSED_SHOWN 20
#define LINE_BYTES 120

struct field_value {
	uint64_t hash, count;
	char *text;
	size_t len;
	bool cut;
};

struct field_row {
	field_id field;
	uint64_t events;
	struct field_value values[VALUES];
	uint32_t n_values;
	bool more; /* there are others */
};

struct type_table {
	const char *source;
	uint32_t rank;
	char *type;       /* NULL: none */
	size_t type_len;
	bool others;      /* types beyond the limit, together */
	uint64_t events;
	struct field_row *rows;
	size_t n, cap;
};

/* A line that no parser understood. */
struct unparsed {
	char *file, *text;
	size_t len;
	uint64_t line;
	const char *source;
};

struct field_survey {
	const struct field_table *fields;
	struct map types; /* "source\0type" → struct type_table */
	uint64_t events, n_unparsed;
	struct unparsed unparsed[UNPARSED_SHOWN];
	size_t n_shown;
};

struct field_survey *field_survey_new(const struct field_table *fields)
{
	struct field_survey *s = xcalloc(1, sizeof *s);
	s->fields = fields;
	return s;
}

void field_survey_free(struct field_survey *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->types.n; i++) {
		struct type_table *t = s->types.entries[i]->value.pointer;
		for (size_t j = 0; j < t->n; j++)
			for (uint32_t k = 0; k < t->rows[j].n_values; k++)
				free(t->rows[j].values[k].text);
		free(t->rows);
		free(t->type);
		free(t);
	}
	for (size_t i = 0; i < s->n_shown; i++) {
		free(s->unparsed[i].file);
		free(s->unparsed[i].text);
	}
	map_release(&s->types);
	free(s);
}

/* ---- gathering ---- */

static struct type_table *table_for(struct field_survey *s, const struct event *e)
{
	struct buffer name = BUFFER_INIT;
	struct span type = utf8_cut(event_text(e, FIELD_TYPE), VALUE_BYTES);
	bool others = false;

	buffer_append_string(&name, e->source->name);
	buffer_append_char(&name, 0);
	buffer_append_span(&name, type);
	struct map_entry *entry = map_find(&s->types, buffer_span(&name));
	if (!entry && s->types.n >= TYPE_LIMIT) {
		others = true;
		type = SPAN("");
		buffer_clear(&name);
		buffer_append_string(&name, e->source->name);
		buffer_append(&name, "\0\0", 2);
	}
	if (!entry)
		entry = map_add(&s->types, buffer_span(&name), NULL);
	if (!entry->value.pointer) {
		struct type_table *t = xcalloc(1, sizeof *t);
		t->source = e->source->name;
		t->rank = e->source->rank;
		t->others = others;
		t->type = type.len ? xmemdup(type.ptr, type.len) : NULL;
		t->type_len = type.len;
		entry->value.pointer = t;
	}
	buffer_release(&name);
	return entry->value.pointer;
}

static void add_value(struct field_row *r, struct span text)
{
	uint64_t hash = hash_bytes(text.ptr, text.len, 0);

	for (uint32_t i = 0; i < r->n_values; i++)
		if (r->values[i].hash == hash) {
			r->values[i].count++;
			return;
		}
	if (r->n_values == VALUES) {
		r->more = true;
		return;
	}
	struct span kept = utf8_cut(text, VALUE_BYTES);
	r->values[r->n_values++] = (struct field_value){ hash, 1, xmemdup(kept.ptr, kept.len), kept.len, kept.len < text.len };
}

static void add_field(struct type_table *t, field_id f, struct span text)
{
	size_t at = 0;

	while (at < t->n && t->rows[at].field != f)
		at++;
	if (at == t->n) {
		if (t->n >= FIELD_ROWS_LIMIT)
			return;
		ARRAY_GROW(t->rows, t->n, t->cap);
		t->rows[t->n++] = (struct field_row){ .field = f };
	}
	t->rows[at].events++;
	add_value(&t->rows[at], text);
}

void field_survey_add(void *survey, const struct event *e, enum parse_result r)
{
	struct field_survey *s = survey;

	if (r == PARSE_NOTHING || e->kind != EVENT_LOG)
		return;
	s->events++;
	if (r == PARSE_UNPARSED) {
		s->n_unparsed++;
		if (s->n_shown < UNPARSED_SHOWN) {
			struct span text = utf8_cut(e->raw, LINE_BYTES);
			s->unparsed[s->n_shown++] = (struct unparsed){ xstrdup(e->origin.file ? e->origin.file : ""), xmemdup(text.ptr, text.len), text.len,
								       e->origin.line, e->source->name };
		}
		return;
	}
	struct type_table *t = table_for(s, e);
	t->events++;
	char time_text[TIME_TEXT_SIZE];
	struct span time = event_own(e, FIELD_TIME, time_text);
	if (time.ptr && !event_first(e, FIELD_TIME))
		add_field(t, FIELD_TIME, time);
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		if (v->field != FIELD_NONE && v->field != FIELD_RAW && v->field != FIELD_SOURCE && v == event_first(e, v->field))
			add_field(t, v->field, v->text);
	}
}

/* ---- order ---- */

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = a_len && b_len ? memcmp(a, b, a_len < b_len ? a_len : b_len) : 0;
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int by_source_and_type(const void *a, const void *b)
{
	const struct type_table *x = *(struct type_table *const *)a, *y = *(struct type_table *const *)b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	int c = strcmp(x->source, y->source);
	if (c == 0)
		c = x->others - y->others;
	return c ? c : compare_bytes(x->type, x->type_len, y->type, y->type_len);
}

static int by_count(const void *a, const void *b)
{
	const struct field_value *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return compare_bytes(x->text, x->len, y->text, y->len);
}

/* Names of fields that no format has built in come in the order of lines: by name they are stable. */
static void sort_rows(const struct field_table *names, struct type_table *t)
{
	for (size_t i = 1; i < t->n; i++) {
		struct field_row row = t->rows[i];
		struct span name = field_name(names, row.field);
		size_t at = i;
		for (; at > 0; at--) {
			field_id before = t->rows[at - 1].field;
			struct span other = field_name(names, before);
			if (row.field < FIELD_BUILTIN_COUNT || before < FIELD_BUILTIN_COUNT ? before < row.field :
			    compare_bytes(other.ptr, other.len, name.ptr, name.len) < 0)
				break;
			t->rows[at] = t->rows[at - 1];
		}
		t->rows[at] = row;
	}
	for (size_t i = 0; i < t->n; i++)
		if (!t->rows[i].more)
			qsort(t->rows[i].values, t->rows[i].n_values, sizeof *t->rows[i].values, by_count);
}

static struct type_table **sorted(struct field_survey *s)
{
	struct type_table **list = xcalloc(s->types.n + 1, sizeof *list);

	for (size_t i = 0; i < s->types.n; i++) {
		list[i] = s->types.entries[i]->value.pointer;
		sort_rows(s->fields, list[i]);
	}
	qsort(list, s->types.n, sizeof *list, by_source_and_type);
	return list;
}

/* ---- text ---- */

static void text_values(const struct field_row *r, struct buffer *out)
{
	size_t began = out->len;
	uint32_t shown = r->more ? EXAMPLES_SHOWN : r->n_values, i;
	bool counts = !r->more && r->n_values > 1 && r->values[0].count > 1; /* most first */

	for (i = 0; i < shown; i++) {
		struct buffer one = BUFFER_INIT;
		buffer_append_string(&one, i ? ", " : "");
		if (r->values[i].len)
			quote_terminal(&one, span_of(r->values[i].text, r->values[i].len));
		else
			buffer_append_string(&one, "''");
		buffer_append_string(&one, r->values[i].cut ? "…" : "");
		if (counts)
			buffer_printf(&one, " (%" PRIu64 ")", r->values[i].count);
		if (i && out->len - began + one.len > VALUES_COLUMNS) {
			buffer_release(&one);
			break;
		}
		buffer_append_span(out, buffer_span(&one));
		buffer_release(&one);
	}
	if (r->more || i < r->n_values)
		buffer_append_string(out, ", …");
}

void field_survey_text(struct field_survey *s, bool colour, struct buffer *out)
{
	struct type_table **list = sorted(s);
	bool seen[FIELD_BUILTIN_COUNT] = { false };
	const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";

	for (size_t i = 0; i < s->types.n; i++) {
		const struct type_table *t = list[i];
		size_t width = 8;
		for (size_t j = 0; j < t->n; j++)
			if (field_name(s->fields, t->rows[j].field).len > width)
				width = field_name(s->fields, t->rows[j].field).len;
		if (width > 40)
			width = 40;
		buffer_printf(out, "%s%ssource %s", i ? "\n" : "", bold, t->source);
		if (t->others) {
			buffer_append_string(out, ", other types");
		} else if (t->type) {
			buffer_append_string(out, ", type ");
			quote_terminal(out, span_of(t->type, t->type_len));
		}
		buffer_printf(out, "%s: %" PRIu64 " event%s\n", plain, t->events, t->events == 1 ? "" : "s");
		for (size_t j = 0; j < t->n; j++) {
			const struct field_row *r = &t->rows[j];
			struct buffer name = BUFFER_INIT;
			if (r->field < FIELD_BUILTIN_COUNT)
				seen[r->field] = true;
			quote_terminal(&name, field_name(s->fields, r->field));
			buffer_printf(out, "  %-*s  %8" PRIu64 "  ", (int)width, buffer_string(&name), r->events);
			text_values(r, out);
			buffer_append_char(out, '\n');
			buffer_release(&name);
		}
	}
	free(list);
	if (s->types.n) {
		buffer_printf(out, "\n%sWhat the fields are%s\n", bold, plain);
		for (field_id f = 0; f < FIELD_BUILTIN_COUNT; f++)
			if (seen[f])
				buffer_printf(out, "  %-14s  %s\n", field_name(s->fields, f).ptr, field_description(f));
		buffer_append_string(out, "  and in every event: source, raw (the whole record), file, line\n");
	}
	if (s->n_unparsed) {
		buffer_printf(out, "\n%s%" PRIu64 " of %" PRIu64 " records were not understood%s (raw and message of them can still be matched)\n", bold, s->n_unparsed,
			      s->events, plain);
		for (size_t i = 0; i < s->n_shown; i++) {
			buffer_append_string(out, "  ");
			quote_terminal(out, span_from_string(s->unparsed[i].file));
			buffer_printf(out, ":%" PRIu64 ": ", s->unparsed[i].line);
			quote_terminal(out, span_of(s->unparsed[i].text, s->unparsed[i].len));
			buffer_append_char(out, '\n');
		}
		if (s->n_unparsed > s->n_shown)
			buffer_printf(out, "  and %" PRIu64 " more\n", s->n_unparsed - s->n_shown);
	}
	if (!s->events)
		buffer_append_string(out, "no records\n");
}

/* ---- JSON lines ---- */

void field_survey_jsonl(struct field_survey *s, struct buffer *out)
{
	struct type_table **list = sorted(s);

	for (size_t i = 0; i < s->types.n; i++) {
		const struct type_table *t = list[i];
		json_open(out, NULL, '{');
		json_string(out, "schema", "tocsin.fields.v1");
		json_string(out, "source", t->source);
		if (t->type)
			json_span(out, "type", span_of(t->type, t->type_len));
		else
			json_null(out, "type");
		json_bool(out, "other_types", t->others);
		json_count(out, "events", t->events);
		json_open(out, "fields", '[');
		for (size_t j = 0; j < t->n; j++) {
			const struct field_row *r = &t->rows[j];
			json_open(out, NULL, '{');
			json_span(out, "name", field_name(s->fields, r->field));
			if (r->field < FIELD_BUILTIN_COUNT)
				json_string(out, "description", field_description(r->field));
			else
				json_null(out, "description");
			json_count(out, "events", r->events);
			json_open(out, "values", '[');
			for (uint32_t k = 0; k < r->n_values; k++) {
				json_open(out, NULL, '{');
				json_span(out, "value", span_of(r->values[k].text, r->values[k].len));
				json_bool(out, "cut", r->values[k].cut);
				json_count(out, "events", r->values[k].count);
				json_close(out, '}');
			}
			json_close(out, ']');
			json_bool(out, "more", r->more);
			json_close(out, '}');
		}
		json_close(out, ']');
		json_close_line(out);
	}
	free(list);
	json_open(out, NULL, '{');
	json_string(out, "schema", "tocsin.fields.v1");
	json_count(out, "events", s->events);
	json_count(out, "unparsed", s->n_unparsed);
	json_open(out, "lines", '[');
	for (size_t i = 0; i < s->n_shown; i++) {
		json_open(out, NULL, '{');
		json_string(out, "source", s->unparsed[i].source);
		json_string(out, "file", s->unparsed[i].file);
		json_count(out, "line", s->unparsed[i].line);
		json_span(out, "text", span_of(s->unparsed[i].text, s->unparsed[i].len));
		json_close(out, '}');
	}
	json_close(out, ']');
	json_close_line(out);
}
