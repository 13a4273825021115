/*
 * explain.h: `tocsin explain`: why a rule fired, and why it did not. What is here gathers what the engine's trace tells during a run, in bounded
 * memory (the newest few examples of each thing, the nearest few misses), and writes it as text or JSON lines.
 */
#ifndef TOCSIN_EXPLAIN_H
#define TOCSIN_EXPLAIN_H

#include "engine/clause.h"
#include "engine/near.h"
#include "pipeline.h"

#define EXAMPLES 3          /* events shown for each thing: the newest */
#define OPENINGS 10         /* incidents shown: the first */
#define CELLS 10            /* keys shown of one moment: those nearest to an incident */
#define ENTRIES 12          /* events shown of a window: the newest */
#define CLAUSE_ROWS 64      /* clauses counted of one detection */
#define NEAR_MISSES 5

struct key_filter {
	struct span name, value;
};

struct explain_options {
	const struct ruleset *rules;
	const struct rule *rule;  /* NULL: all that alert */
	const struct key_filter *keys;
	size_t n_keys;
	int64_t at_ns;            /* TIME_NONE: the whole input */
};

/* ---- what is gathered: for explain.c, explain_text.c and explain_jsonl.c ---- */

/* An event, copied. */
struct example {
	char *source, *file, *text; /* text: cut, may hold any byte: text_len */
	size_t text_len;
	uint64_t line;
	int64_t time_ns;
};
struct examples {
	struct example items[EXAMPLES]; /* a ring, newest at total − 1 */
	uint64_t total;
};

struct clause_row {
	struct clause clause;
	uint64_t count;   /* events that it stood in the way of, first of all */
	uint64_t alone;   /* of these, with nothing else in the way */
	struct examples examples;
};

/* A detection that the rule rests on, or is. */
struct detection_story {
	const struct rule *rule;
	const field_id *keys;     /* of the explained correlation, as this input names them; NULL: not known */
	bool judged;              /* its log is among the inputs */
	uint64_t looked_at, matched, excluded, unselected, other_clauses;
	struct clause_row *rows;
	size_t n_rows, cap_rows;
	struct examples examples; /* that matched */
};

/* A trace_cell, copied. */
struct cell_copy {
	const struct rule *rule;
	struct named_value key[NEAR_KEYS_LIMIT];
	size_t n_key;
	int64_t now_ns, from_ns;  /* from TIME_NONE: no window */
	double value, distance;
	bool holds;
	uint32_t n_entries;
	struct example entries[ENTRIES]; /* oldest first: the newest n_shown */
	char *values[ENTRIES];           /* value_count, concurrent: of each; NULL: none */
	uint32_t n_shown;
	struct cell_input {
		const struct rule *rule;
		bool negated, seen;
		int64_t time_ns;
		struct example example;  /* file NULL: not kept */
	} inputs[64];
	uint32_t n_inputs;
	int64_t last_ns, pending_ns;
	struct example trigger;
	char *incident;
	int64_t opened_ns, resolve_ns;
	uint64_t count;
};

struct opening {
	char *id;
	struct cell_copy cell;
	struct example event;      /* that opened it; file NULL: a deadline */
	char *summary;             /* of the newest state change */
	size_t summary_len;
	int64_t resolved_ns;       /* TIME_NONE: still open */
	uint64_t updates, count;
};

/* An evaluation before or after the moment that is asked for. */
struct evaluation {
	bool any, holds;
	int64_t now_ns;
	double value;
	struct example event;
};

struct rule_story {
	const struct rule *rule;
	bool wanted;
	uint64_t matched;          /* by it, or by detections below it */
	uint64_t evaluated, held, opened, inhibited, no_key, not_used, left, cut, armed, met, forbidden, absent, undetermined, gaps, resets, evicted;
	int64_t longest_gap_ns;
	field_id missing;          /* the newest one */
	const struct rule *inhibitor;
	struct examples no_keys, not_useds, inhibiteds;
};

struct source_story {
	char *name, *source;
	uint64_t records, late, future;
	int64_t first_ns, newest_ns;
};

struct explain {
	struct explain_options o;
	struct engine_trace trace;
	bool *wanted;              /* by rule: what is traced */
	struct rule_story *stories; /* by rule */
	struct detection_story *detections;
	size_t n_detections, cap_detections;
	struct near *near;
	struct opening openings[OPENINGS];
	size_t n_openings;         /* kept */
	struct cell_copy *cells;   /* at the moment asked for, or at the end; nearest first; without a rule: the nearest of each rule, by rule */
	size_t n_cells;
	uint64_t cells_total;      /* keys there were */
	int64_t inspected_ns;      /* the moment, TIME_NONE: no event */
	struct evaluation before, after;
	uint64_t late;
	struct examples lates;
	struct source_story *sources;
	size_t n_sources, cap_sources;
	int64_t end_ns;            /* where the engine's time ended */
	int64_t lateness_ns;
};

struct explain *explain_new(const struct explain_options *o);
void explain_free(struct explain *x);
/* For pipeline_options.trace, and .on_change with x as its context. */
const struct engine_trace *explain_trace(const struct explain *x);
void explain_change(void *context, const struct change *c);
/* After the run. */
void explain_finish(struct explain *x, const struct pipeline *p, int64_t lateness_ns);

struct explain_style {
	bool colour;
	const struct zone *zone;
};
void explain_text(const struct explain *x, const struct explain_style *style, struct buffer *out);
void explain_jsonl(const struct explain *x, struct buffer *out);

#endif
