/*
 * kept.h: a copy of an event that outlives its record: as evidence, as the trigger of a pending absence. Counted
 * by reference: one event that many rules keep is one copy.
 */
#ifndef TOCSIN_ENGINE_KEPT_H
#define TOCSIN_ENGINE_KEPT_H

#include "engine/incident.h"

struct kept_field {
	field_id field;
	uint16_t len;
	uint32_t offset; /* from where the evidence's text begins */
};
#define KEPT_VALUE_LIMIT 4096 /* bytes kept of one field's value */

struct kept {
	uint32_t refs;
	uint32_t save_index;  /* scratch of engine_save */
	uint64_t raw_hash;    /* of the whole record, unless raw_is_text: kept_raw_hash() */
	struct evidence evidence; /* source and file live as long as the run; behind the text stand the values that are no part of it */
	uint32_t n_bytes;
	uint16_t n_fields;
	bool raw_is_text;     /* the record is the evidence's text, uncut: its hash is made when it is asked for */
	struct kept_field fields[]; /* first value of each field, in the order of the event; most lie in the text. Then the bytes */
};
static inline struct span kept_value(const struct kept *k, const struct kept_field *f)
{
	return span_of(k->evidence.text.ptr + f->offset, f->len);
}

struct kept *kept_new(const struct event *e);
static inline struct kept *kept_ref(struct kept *k)
{
	if (k)
		k->refs++;
	return k;
}
void kept_unref(struct kept *k);
/* Of the whole record: part of the incident's id. */
uint64_t kept_raw_hash(const struct kept *k);
/* The field's value; ptr NULL when absent. */
struct span kept_field(const struct kept *k, field_id f);

/* For loading: one of n_bytes of text and values, room for n_fields fields; the evidence's text is copied, its names are borrowed. */
struct kept *kept_make(uint64_t raw_hash, const struct evidence *e, size_t n_bytes, size_t n_fields);
/* The next field: its value is copied, or it is a part of the evidence's text; at most KEPT_VALUE_LIMIT bytes. */
void kept_add(struct kept *k, field_id f, struct span value);
void kept_add_part(struct kept *k, field_id f, uint32_t offset, uint32_t len);

#endif
