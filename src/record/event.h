/*
 * event.h: a parsed record. Its strings are borrowed from the record or live in the
 * event's arena: all are gone at the next event_reset(). A field may have several
 * values (a JSON array): Sigma matches when any of them does.
 */
#ifndef TOCSIN_RECORD_EVENT_H
#define TOCSIN_RECORD_EVENT_H

#include "base/arena.h"
#include "base/timestamp.h"
#include "record/field.h"
#include <assert.h>

struct decoder;
struct source;

enum value_kind { VALUE_STRING, VALUE_NUMBER, VALUE_BOOL, VALUE_NULL };

struct value {
	struct span text; /* as text: numbers as written, "true"/"false"; empty for null */
	field_id field;   /* FIELD_NONE: replaced by event_set; pass over it */
	uint16_t kind;    /* enum value_kind */
	uint16_t next;    /* index + 1 of the same field's next value; 0: last */
	uint16_t last;    /* of a field's first value: index + 1 of its last one; 0: it is the only one */
};

enum event_kind {
	EVENT_LOG,          /* a record, or a row of a snapshot */
	EVENT_SNAPSHOT_END, /* the snapshot `snapshot_ns` of this source has been read to its end */
};

/* Where a record was read. For people: `one answer` excepts it. */
struct origin {
	const char *file; /* as shown; lives as long as the run */
	uint64_t line;    /* from 1 */
	uint32_t generation; /* 0 is the oldest file of the stream */
	uint64_t offset;  /* of its first byte in that (uncompressed) file */
	uint32_t stream;  /* which stream of the run: snapshots of two hosts are kept apart */
};

struct event {
	enum event_kind kind;
	int64_t time_ns;
	const struct source *source;
	struct origin origin;
	struct span raw;       /* the record, stripped of CR and colours */
	int64_t snapshot_ns;   /* ps: which snapshot the row belongs to; else TIME_NONE */
	bool snapshot_complete; /* of EVENT_SNAPSHOT_END: every process was in it, so what is missing is gone */
	/*
	 * Events of the same number have the same agent, agent_raw, rig, role and name, whichever of these they have: so who looked at one need not look at
	 * the next. 0: nothing is known.
	 */
	uint64_t agent_number;

	struct decoder *unparsed; /* it has no values yet: event_parse() makes them of raw. NULL: it has those it has */

	struct value *values;
	size_t n_values, cap_values;
	uint16_t *first;       /* by field: index + 1 into values; 0: absent */
	size_t n_fields;       /* size of first; grows where the table keeps all */
	bool has_others;       /* values of other fields than the built-in ones */
	uint16_t n_parsed;     /* as long as it has so many values, they are what decoder_parse_again() makes of raw, which is one line; 0: that cannot be said */
	struct arena arena;
};

/* An event has room for so many values from the beginning. */
#define EVENT_ROOM 16
/* Its `first` is no shorter. */
#define EVENT_FIRST_MIN 48
void event_init(struct event *e, size_t n_fields);
void event_release(struct event *e);
/* Drops all values. What they borrowed stays in the arena. */
static inline void event_drop_values(struct event *e)
{
	/* In pieces: of one so large a compiler makes an instruction that is slow to begin. */
	static_assert(EVENT_FIRST_MIN >= FIELD_BUILTIN_COUNT && EVENT_FIRST_MIN == 3 * 16, "three pieces are all");
	memset(e->first, 0, 16 * sizeof *e->first);
	memset(e->first + 16, 0, 16 * sizeof *e->first);
	memset(e->first + 32, 0, 16 * sizeof *e->first);
	if (e->has_others) {
		for (const struct value *v = e->values, *end = v + e->n_values; v < end; v++)
			if (v->field != FIELD_NONE)
				e->first[v->field] = 0;
		e->has_others = false;
	}
	e->n_values = 0;
	e->agent_number = 0;
	e->unparsed = NULL;
}
/* event_reset(), but what its strings borrowed stays in the arena: for who has taken a copy of the values. */
static inline void event_empty(struct event *e)
{
	event_drop_values(e);
	e->kind = EVENT_LOG;
	e->time_ns = e->snapshot_ns = TIME_NONE;
	e->source = NULL;
	e->origin = (struct origin){ 0 };
	e->raw = SPAN("");
	e->snapshot_complete = false;
	e->n_parsed = 0;
}
/* To be called before all values of an event are looked at that is unparsed (decoder_parse_later()), or those of this field. What the event says does not change. */
void event_parse(const struct event *e);
void event_parse_for(const struct event *e, field_id f);
/* Empties it; keeps the memory. Cost in proportion to the values set, not to n_fields. */
static inline void event_reset(struct event *e)
{
	event_empty(e);
	arena_reset(&e->arena);
}
/*
 * An event that shows values which lie elsewhere: a copy of all that another event had, in their order. They are borrowed until it shows others, or
 * none (event_show() of NULL, 0); nothing can be added to it.
 */
void event_init_shown(struct event *e, size_t n_fields);
static inline void event_show(struct event *e, struct value *values, size_t n)
{
	event_drop_values(e);
	e->values = values;
	e->n_values = n;
	for (size_t i = n; i-- > 0;)
		if (values[i].field != FIELD_NONE) {
			e->first[values[i].field] = (uint16_t)(i + 1);
			e->has_others |= values[i].field >= FIELD_BUILTIN_COUNT;
		}
}
/* event_add() where it is not the simple case. */
void event_add_slowly(struct event *e, field_id f, struct span text, enum value_kind kind);
/* Adds a value (a second one of the same field goes behind the first). text is borrowed. f == FIELD_NONE: ignored. */
static inline void event_add(struct event *e, field_id f, struct span text, enum value_kind kind)
{
	if (f >= e->n_fields || e->first[f] || e->n_values == e->cap_values) {
		event_add_slowly(e, f, text, kind);
		return;
	}
	e->values[e->n_values++] = (struct value){ text, f, (uint16_t)kind, 0, 0 };
	e->first[f] = (uint16_t)e->n_values;
	e->has_others |= f >= FIELD_BUILTIN_COUNT;
}
/*
 * Adds several values at once: built-in fields of which the event has no value yet, no two the same, and not more than it has room for (EVENT_ROOM in
 * all). Between _begin() and _end() nothing else may add to the event.
 */
struct event_writer {
	struct value *next;
	uint16_t *first;
	size_t n;
	uint64_t agent_number;
};
static inline struct event_writer event_write_begin(struct event *e)
{
	return (struct event_writer){ e->values + e->n_values, e->first, e->n_values, e->agent_number };
}
static inline __attribute__((always_inline)) void event_write(struct event_writer *w, enum builtin_field f, struct span text)
{
	*w->next++ = (struct value){ text, (field_id)f, VALUE_STRING, 0, 0 };
	w->first[f] = (uint16_t)++w->n;
}
/* Nothing where the text is empty. */
static inline __attribute__((always_inline)) void event_write_text(struct event_writer *w, enum builtin_field f, struct span text)
{
	if (text.len > 0)
		event_write(w, f, text);
}
static inline __attribute__((always_inline)) void event_write_end(struct event *e, const struct event_writer *w)
{
	assert(w->n <= EVENT_ROOM);
	e->n_values = w->n;
	e->agent_number = w->agent_number;
}
/* Replaces all values of a field by one. */
void event_set(struct event *e, field_id f, struct span text, enum value_kind kind);
/* Adds a number, formatted %.15g, or an integer. */
void event_add_number(struct event *e, field_id f, double v);
void event_add_integer(struct event *e, field_id f, int64_t v);

static inline const struct value *event_first(const struct event *e, field_id f)
{
	return f < e->n_fields && e->first[f] ? &e->values[e->first[f] - 1] : NULL;
}
static inline const struct value *event_next(const struct event *e, const struct value *v)
{
	return v->next ? &e->values[v->next - 1] : NULL;
}
/* First value's text; empty when absent. */
static inline struct span event_text(const struct event *e, field_id f)
{
	const struct value *v = event_first(e, f);
	return v ? v->text : (struct span){ "", 0 };
}
/*
 * Time, source, raw, file and line stand in the event itself: values of these fields are only there where a format gives them another one, which
 * then comes first. As text; ptr NULL when it is not known, or f is none of them. text: room for it, where it is a time or a number.
 */
static inline bool field_is_own(field_id f)
{
	return f <= FIELD_LINE && (1u << f & (1u << FIELD_TIME | 1u << FIELD_SOURCE | 1u << FIELD_RAW | 1u << FIELD_FILE | 1u << FIELD_LINE));
}
struct span event_own(const struct event *e, field_id f, char text[TIME_TEXT_SIZE]);
/* The whole text as a number (decimal, 0x…, exponent); false when it is none. */
bool span_to_number(struct span text, double *ret);

#endif
