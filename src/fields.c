/*
 * A survey of parsed events: per source and type, per field, a count and the first example. Types beyond a
 * bound are gathered under one name, so that a log with a million types does not fill the memory.
 */
#include "fields.h"

#include "base/memory.h"
#include "base/quote.h"

#include <inttypes.h>
#include <stdlib.h>

#define TYPE_LIMIT 200
#define FIELD_ROWS_LIMIT 500
#define EXAMPLE_BYTES 60
#define UNPARSED_SHOWN 5

struct field_row {
	field_id field;
	uint64_t count;
	char *example; /* quoted for a terminal */
};

struct type_table {
	uint64_t events;
	struct field_row *rows;
	size_t n, cap;
};

struct field_survey {
	const struct field_table *fields;
	struct map types; /* "source type" → struct type_table */
	uint64_t events, unparsed;
	struct buffer samples;
	unsigned n_samples;
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
			free(t->rows[j].example);
		free(t->rows);
		free(t);
	}
	map_release(&s->types);
	buffer_release(&s->samples);
	free(s);
}

static char *example_of(struct span text)
{
	struct buffer b = BUFFER_INIT;
	bool cut = text.len > EXAMPLE_BYTES;

	if (cut) {
		text.len = EXAMPLE_BYTES;
		while (text.len && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80)
			text.len--;
	}
	quote_terminal(&b, text);
	buffer_append_string(&b, cut ? "…" : "");
	buffer_string(&b);
	return b.data;
}

static struct type_table *table_for(struct field_survey *s, const struct event *e, bool parsed)
{
	struct buffer name = BUFFER_INIT;
	struct span type = event_text(e, FIELD_TYPE);

	buffer_printf(&name, "source %s", e->source->name);
	if (!parsed) {
		buffer_append_string(&name, ", not understood");
	} else if (type.len) {
		buffer_append_string(&name, ", type ");
		if (type.len > EXAMPLE_BYTES)
			type.len = EXAMPLE_BYTES;
		quote_terminal(&name, type);
	}
	struct map_entry *entry = map_find(&s->types, buffer_span(&name));
	if (!entry) {
		if (s->types.n >= TYPE_LIMIT) {
			buffer_clear(&name);
			buffer_printf(&name, "source %s, other types", e->source->name);
		}
		entry = map_add(&s->types, buffer_span(&name), NULL);
		if (!entry->value.pointer)
			entry->value.pointer = xcalloc(1, sizeof(struct type_table));
	}
	buffer_release(&name);
	return entry->value.pointer;
}

void field_survey_add(struct field_survey *s, const struct event *e, enum parse_result r)
{
	if (r == PARSE_NOTHING || e->kind != EVENT_LOG)
		return;
	s->events++;
	if (r == PARSE_UNPARSED) {
		s->unparsed++;
		if (s->n_samples < UNPARSED_SHOWN && e->raw.len) {
			char *text = example_of(e->raw);
			buffer_printf(&s->samples, "  %s:%" PRIu64 ": %s\n", e->origin.file, e->origin.line, text);
			free(text);
			s->n_samples++;
		}
	}
	struct type_table *t = table_for(s, e, r == PARSE_EVENT);
	t->events++;
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		if (v->field == FIELD_RAW || v->field == FIELD_SOURCE || v != event_first(e, v->field))
			continue;
		size_t at = 0;
		while (at < t->n && t->rows[at].field != v->field)
			at++;
		if (at == t->n) {
			if (t->n >= FIELD_ROWS_LIMIT)
				continue;
			ARRAY_GROW(t->rows, t->n, t->cap);
			t->rows[t->n++] = (struct field_row){ v->field, 0, example_of(v->text) };
		}
		t->rows[at].count++;
	}
}

void field_survey_print(const struct field_survey *s, struct buffer *out)
{
	for (size_t i = 0; i < s->types.n; i++) {
		const struct type_table *t = s->types.entries[i]->value.pointer;
		size_t width = 8;
		for (size_t j = 0; j < t->n; j++) {
			size_t len = field_name(s->fields, t->rows[j].field).len;
			if (len > width)
				width = len;
		}
		if (width > 40)
			width = 40;
		buffer_printf(out, "%s%.*s: %" PRIu64 " event%s\n", i ? "\n" : "", (int)s->types.entries[i]->key.len, s->types.entries[i]->key.ptr, t->events,
			      t->events == 1 ? "" : "s");
		for (size_t j = 0; j < t->n; j++) {
			struct buffer name = BUFFER_INIT;
			quote_terminal(&name, field_name(s->fields, t->rows[j].field));
			buffer_printf(out, "  %-*s  %8" PRIu64 "  %s\n", (int)width, buffer_string(&name), t->rows[j].count, t->rows[j].example);
			buffer_release(&name);
		}
	}
	if (s->unparsed) {
		buffer_printf(out, "\n%" PRIu64 " of %" PRIu64 " records were not understood, for example:\n", s->unparsed, s->events);
		buffer_append_span(out, buffer_span(&s->samples));
	}
	if (!s->events)
		buffer_append_string(out, "no records\n");
}
