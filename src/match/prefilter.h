/*
 * prefilter.h: which literals occur in which records of a block. It may be too generous, never too strict: letters match either
 * case (and a few signs match their neighbours in ASCII), and a record in which very many literals occur is given up as "all of them".
 *
 *	literals ── prefilter_new() ──> plan ── prefilter_scan(block, records) ──> for each record a short list of literals
 *
 * The plan learns from the text what is rare in it, so it belongs to one thread, as the hits do.
 */
#ifndef TOCSIN_MATCH_PREFILTER_H
#define TOCSIN_MATCH_PREFILTER_H

#include "record/decoder.h"

/* Literals shorter than this are sought only when all their bytes are above ASCII. */
#define PREFILTER_LITERAL_MIN 3
/* From this length on a literal costs a quarter of what a shorter one does. */
#define PREFILTER_LITERAL_LONG 7
/* Of a longer literal only so many bytes are used. */
#define PREFILTER_LITERAL_MAX 64

struct prefilter;

/* Literals are copied; literal i is known as i from now on. An empty list is fine. */
struct prefilter *prefilter_new(const struct span *literals, size_t n);
/* One for the same literals, which learns for itself: for another thread. */
struct prefilter *prefilter_copy(const struct prefilter *of);
void prefilter_free(struct prefilter *p);
/* May this literal be sought at all? (see PREFILTER_LITERAL_MIN) */
bool prefilter_accepts(struct span literal);

struct prefilter_hit {
	uint32_t literal;
	uint32_t record;
	uint32_t next; /* as in prefilter_hits.head */
};

#define PREFILTER_NONE UINT32_MAX      /* no literal, or end of the list */
#define PREFILTER_ALL (UINT32_MAX - 1) /* taken as if every literal had occurred */

struct prefilter_hits {
	uint32_t *head; /* by record: index into hits, PREFILTER_NONE or PREFILTER_ALL. A record that is neither escaped nor among the hits has none */
	size_t n_records, cap_records;
	struct prefilter_hit *hits;
	size_t n_hits, cap_hits;
};

#define PREFILTER_HITS_INIT { NULL, 0, 0, NULL, 0, 0 }

/*
 * Fills hits for the records, which are ordered by offset and do not overlap. 64 readable bytes behind the block are required.
 * Records flagged RECORD_ESCAPED are PREFILTER_ALL.
 */
void prefilter_scan(struct prefilter *p, struct span block, const struct record_list *records,
		    struct prefilter_hits *hits);
void prefilter_hits_release(struct prefilter_hits *hits);

#endif
