/*
 * diff.h: `tocsin diff`: what a change of rules changes on given logs. The incidents of two runs are gathered, and each incident of one is matched
 * with the one of the other that it was: of the same rule and key, opened by the same event, else overlapping in time.
 */
#ifndef TOCSIN_DIFF_H
#define TOCSIN_DIFF_H

#include "engine/incident.h"

#define DIFF_INCIDENT_LIMIT 200000 /* of one run: above that the rest is counted, not compared */

/* The incidents of one run. */
struct diff_side;
struct diff_side *diff_side_new(void);
void diff_side_free(struct diff_side *s);
/* For pipeline_options.on_change. */
void diff_side_change(void *side, const struct change *c);
uint64_t diff_side_dropped(const struct diff_side *s);

enum diff_kind { DIFF_LOST, DIFF_GAINED, DIFF_CHANGED };
#define DIFF_KIND_COUNT (DIFF_CHANGED + 1)

struct diff_totals {
	uint64_t of[DIFF_KIND_COUNT], same;
};

struct diff_style {
	bool jsonl, colour;
	const struct zone *zone;
};

/* Appends what differs to out, ordered by kind, then time (jsonl: by time). Sorts both sides. */
struct diff_totals diff_write(struct diff_side *old, struct diff_side *new, const struct diff_style *style, struct buffer *out);

#endif
