/*
 * kept.h: a copy of an event that outlives its record: as evidence, as the trigger of a pending absence. Counted
 * by reference: one event that many rules keep is one copy.
 */
#ifndef TOCSIN_ENGINE_KEPT_H
#define TOCSIN_ENGINE_KEPT_H

#include "base/codec.h"
#include "engine/incident.h"

struct kept_field {
	field_id field;
	uint32_t offset, len; /* in kept.bytes */
};

struct kept {
	uint32_t refs;
	uint32_t save_index;  /* scratch of engine_save */
	uint64_t raw_hash;    /* of the whole record: part of the incident's id */
	struct evidence evidence; /* text points into bytes; source and file live as long as the run */
	uint32_t n_fields;
	struct kept_field *fields; /* first value of each field, by ascending offset in the event */
	char bytes[];
};

struct kept *kept_new(const struct event *e);
static inline struct kept *kept_ref(struct kept *k)
{
	if (k)
		k->refs++;
	return k;
}
void kept_unref(struct kept *k);
/* The field's value; ptr NULL when absent. */
struct span kept_field(const struct kept *k, field_id f);

void kept_save(const struct kept *k, const struct field_table *fields, struct buffer *out);
/* names: where source and file names are to live. NULL when damaged. */
struct kept *kept_load(struct codec_reader *in, const struct field_table *fields, struct map *names);

#endif
