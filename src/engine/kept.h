/*
 * kept.h: a copy of an event that outlives its record: as evidence, as the trigger of a pending absence. Counted
 * by reference: one event that many rules keep is one copy. There may be one for each live key: it is as small as it can be.
 */
#ifndef TOCSIN_ENGINE_KEPT_H
#define TOCSIN_ENGINE_KEPT_H

#include "base/buffer.h"
#include "base/map.h"
#include "base/slab.h"
#include "engine/incident.h"
#include "record/decoder.h"

#define KEPT_VALUE_LIMIT 4096 /* bytes kept of one field's value */

struct kept {
	uint32_t refs;
	uint32_t save_index;  /* scratch of engine_save */
	int64_t time_ns;
	uint32_t log;         /* which of keeper.logs */
	uint16_t text_len : 13;   /* at most EVIDENCE_TEXT_LIMIT */
	uint16_t raw_is_text : 1; /* the record is the evidence's text, uncut: its hash is made when it is asked for */
	uint16_t is_large : 1;    /* above SLAB_LIMIT */
	uint16_t parse : 1;       /* and so are its fields: they are parsed again */
	char bytes[];         /* the text, then what kept.c says */
};

/* What was read where. Both live as long as the run. */
struct kept_log {
	const char *source, *file;
	uintptr_t format;           /* enum format; FORMAT_INCIDENT where it does not matter */
};

/* What kept events refer to, and room to put one together. */
struct keeper {
	struct slab slab;
	struct kept_log *logs;
	uint32_t n_logs, cap_logs;
	struct map log_places;      /* by their bytes */
	uint32_t recent[16];        /* place + 1, by a hash of the addresses */
	struct buffer bytes;        /* of the one that is being made: what stands behind its text */
	struct {
		uint32_t at, len;
	} apart[4];                 /* the first of its values that are no part of the text: where in `bytes` */
	uint32_t n_apart;
	bool raw_is_text;           /* of the one that is being loaded */
	const struct field_table *fields;
	struct decoder *decoders[FORMAT_COUNT]; /* NULL: not asked for yet */
	struct event event;         /* what they parse */
};
/* fields: of the ruleset. */
void keeper_init(struct keeper *kp, const struct field_table *fields);
void keeper_release(struct keeper *kp);

struct kept *kept_new(struct keeper *kp, const struct event *e);
static inline struct kept *kept_ref(struct kept *k)
{
	if (k)
		k->refs++;
	return k;
}
void kept_unref(struct kept *k);
static inline struct span kept_text(const struct kept *k)
{
	return span_of(k->bytes, k->text_len);
}
/* Its text is borrowed. */
struct evidence kept_evidence(const struct keeper *kp, const struct kept *k);
/* Of the whole record: part of the incident's id. */
uint64_t kept_raw_hash(const struct kept *k);

/* The first value of each field, in the order of the event: while kept_next(). What is no part of kept_text() is gone at the next kept_read() of any. */
struct kept_reader {
	const struct kept *kept;
	const struct event *event; /* NULL: it is not parsed again */
	union {
		const char *at;
		size_t i;
	};
	field_id field;
	struct span value;
};
struct kept_reader kept_read(struct keeper *kp, const struct kept *k);
bool kept_next(struct kept_reader *r);
/* The field's value, borrowed in the same way; ptr NULL when absent. */
struct span kept_field(struct keeper *kp, const struct kept *k, field_id f);

/* For loading: one whose text is its record, and is parsed again. */
struct kept *kept_parsed(struct keeper *kp, const struct evidence *e, enum format format);
static inline enum format kept_format(const struct keeper *kp, const struct kept *k)
{
	return (enum format)kp->logs[k->log].format;
}
/* Any other: begins one of this evidence, whose text is no longer than EVIDENCE_TEXT_LIMIT; then its fields in their order; then ends it. */
void kept_begin(struct keeper *kp, const struct evidence *e, uint64_t raw_hash);
/* At most KEPT_VALUE_LIMIT bytes, which may be a part of the evidence's text. */
void kept_add(struct keeper *kp, const struct evidence *e, field_id f, struct span value);
struct kept *kept_end(struct keeper *kp, const struct evidence *e);

#endif
