/*
 * event.c: the values of one event. Values lie in one array in the order they were added; `first` leads from a
 * field to its chain, whose first value knows the last. The invariant: first[f] is 0 or index + 1 of a value of f; a value
 * that was replaced has the field FIELD_NONE. A reset clears only what was set. Beyond 65,534 values
 * further ones are dropped: no rule can tell, and no record that honest programs write comes near.
 */
#include "record/event.h"
#include "base/memory.h"
#include "record/source.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_LIMIT (UINT16_MAX - 1)

void event_init(struct event *e, size_t n_fields)
{
	*e = (struct event){ .time_ns = TIME_NONE, .snapshot_ns = TIME_NONE, .arena = ARENA_INIT };
	e->raw = SPAN("");
	e->n_fields = n_fields < EVENT_FIRST_MIN ? EVENT_FIRST_MIN : n_fields;
	e->first = xcalloc(e->n_fields, sizeof *e->first);
	e->cap_values = EVENT_ROOM;
	e->values = xmalloc(EVENT_ROOM * sizeof *e->values);
}

void event_init_shown(struct event *e, size_t n_fields)
{
	event_init(e, n_fields);
	free(e->values);
	e->values = NULL;
	e->cap_values = 0;
}

void event_release(struct event *e)
{
	free(e->values);
	free(e->first);
	arena_release(&e->arena);
	*e = (struct event){ .time_ns = TIME_NONE, .arena = ARENA_INIT };
}

/* Fields are added to the table while the program runs where it keeps all. */
static void event_grow_fields(struct event *e, field_id f)
{
	size_t n = e->n_fields * 2 > (size_t)f + 1 ? e->n_fields * 2 : (size_t)f + 1;

	e->first = xrealloc(e->first, n * sizeof *e->first);
	memset(e->first + e->n_fields, 0, (n - e->n_fields) * sizeof *e->first);
	e->n_fields = n;
}

void event_add_slowly(struct event *e, field_id f, struct span text, enum value_kind kind)
{
	if (f == FIELD_NONE || e->n_values >= VALUE_LIMIT)
		return;
	if (f >= e->n_fields)
		event_grow_fields(e, f);
	if (e->n_values == e->cap_values) {
		e->cap_values = e->cap_values ? e->cap_values * 2 : EVENT_ROOM;
		if (e->cap_values > VALUE_LIMIT)
			e->cap_values = VALUE_LIMIT;
		e->values = xrealloc(e->values, e->cap_values * sizeof *e->values);
	}
	uint16_t place = (uint16_t)(e->n_values + 1);
	e->values[e->n_values++] = (struct value){ text, f, (uint16_t)kind, 0, 0 };
	e->has_others |= f >= FIELD_BUILTIN_COUNT;
	if (!e->first[f]) {
		e->first[f] = place;
		return;
	}
	struct value *first = &e->values[e->first[f] - 1];
	(first->last ? &e->values[first->last - 1] : first)->next = place;
	first->last = place;
}

void event_set(struct event *e, field_id f, struct span text, enum value_kind kind)
{
	if (f == FIELD_NONE)
		return;
	e->agent_number = 0;
	if (f < e->n_fields && e->first[f]) {
		struct value *v = &e->values[e->first[f] - 1];

		for (uint16_t i = v->next; i;) {
			struct value *old = &e->values[i - 1];

			i = old->next;
			old->field = FIELD_NONE;
			old->next = 0;
		}
		*v = (struct value){ text, f, (uint16_t)kind, 0, 0 };
		return;
	}
	event_add(e, f, text, kind);
}

void event_add_number(struct event *e, field_id f, double v)
{
	char text[40];
	int n;

	if (f == FIELD_NONE || !isfinite(v))
		return;
	n = snprintf(text, sizeof text, "%.15g", v);
	event_add(e, f, span_of(arena_dup(&e->arena, text, (size_t)n), (size_t)n), VALUE_NUMBER);
}

void event_add_integer(struct event *e, field_id f, int64_t v)
{
	char text[24], *p = text + sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	size_t n;

	if (f == FIELD_NONE)
		return;
	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		*--p = '-';
	n = (size_t)(text + sizeof text - p);
	event_add(e, f, span_of(arena_dup(&e->arena, p, n), n), VALUE_NUMBER);
}

struct span event_own(const struct event *e, field_id f, char text[TIME_TEXT_SIZE])
{
	switch (f) {
	case FIELD_TIME:
		return e->time_ns == TIME_NONE ? span_of(NULL, 0) : span_of(text, time_format_utc_to(text, e->time_ns));
	case FIELD_SOURCE:
		return e->source ? span_from_string(e->source->name) : span_of(NULL, 0);
	case FIELD_RAW:
		return span_of(e->raw.ptr ? e->raw.ptr : "", e->raw.len);
	case FIELD_FILE:
		return e->origin.file ? span_from_string(e->origin.file) : span_of(NULL, 0);
	case FIELD_LINE:
		return e->origin.line ? span_of(text, (size_t)snprintf(text, TIME_TEXT_SIZE, "%" PRIu64, e->origin.line)) : span_of(NULL, 0);
	}
	return span_of(NULL, 0);
}

static bool is_hexadecimal(struct span s)
{
	size_t i = s.len > 0 && *s.ptr == '-';

	if (s.len < i + 3 || s.ptr[i] != '0' || (s.ptr[i + 1] != 'x' && s.ptr[i + 1] != 'X'))
		return false;
	for (i += 2; i < s.len; i++) {
		char c = s.ptr[i];

		if (!span_is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return false;
	}
	return true;
}

bool span_to_number(struct span text, double *ret)
{
	char copy[128];
	int64_t v = 0;

	if (text.len == 0)
		return false;
	/* Most are short whole numbers. */
	for (size_t i = 0; i < text.len && i < 16; i++) {
		if (!span_is_digit(text.ptr[i]))
			break;
		v = v * 10 + (text.ptr[i] - '0');
		if (i + 1 == text.len && i < 15) {
			*ret = (double)v;
			return true;
		}
	}
	if (text.len >= sizeof copy || (!span_is_decimal(text) && !is_hexadecimal(text)))
		return false;
	/* The program never calls setlocale for numbers, so the point is a point. */
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	*ret = strtod(copy, NULL);
	return isfinite(*ret);
}
