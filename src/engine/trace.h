/*
 * trace.h: what the engine decides, told while it decides: for `tocsin explain`, and for the nearest miss of `tocsin test`.
 *
 * Each step is told by the code that takes it; nothing is worked out a second time. Without a trace it costs a branch where a step
 * could be told, and nothing a line; with one, incidents are the same byte for byte. What a step points to is borrowed, and gone when
 * the call returns.
 */
#ifndef TOCSIN_ENGINE_TRACE_H
#define TOCSIN_ENGINE_TRACE_H

#include "engine/engine.h"

enum trace_kind {
	TRACE_MATCHED,      /* a detection matched the event */
	TRACE_LATE,         /* the event is older than its place in the order by more than the lateness (no rule) */
	TRACE_NO_KEY,       /* skipped: the event has no `field`, which the rule groups by or computes with */
	TRACE_NOT_USED,     /* skipped: it came so late that it is out of the window, or that newer observations stand */
	TRACE_EVALUATED,    /* the condition was looked at: cell.value, cell.holds */
	TRACE_LEFT,         /* an event went out of the window: `event`, which left at left_ns */
	TRACE_CUT,          /* the same because the window is full */
	TRACE_ARMED,        /* absence: it waits, until cell.pending_ns */
	TRACE_MET,          /* absence: what it waited for came, before cell.pending_ns */
	TRACE_FORBIDDEN,    /* absence: what must not come before had come */
	TRACE_ABSENT,       /* absence: the deadline has passed and nothing came: it fires */
	TRACE_UNDETERMINED, /* absence: the log that it waits for is not there, or says nothing yet */
	TRACE_GAP,          /* sustained: observations too far apart, gap_ns: the time between does not count */
	TRACE_RESET,        /* sustained, concurrent: it does not hold any more; no event: missing from a complete snapshot */
	TRACE_OPENED, TRACE_UPDATED, TRACE_RESOLVED,
	TRACE_INHIBITED,    /* the condition holds, but an incident of `other` is open */
	TRACE_EVICTED,      /* the key was forgotten: too many of them */
};

/* An input of a temporal correlation, of one key. */
struct trace_input {
	const struct rule *rule;
	bool negated;
	bool seen;         /* in the window; temporal_ordered: and in its place */
	int64_t time_ns;   /* newest; TIME_NONE: never */
	const struct evidence *evidence; /* NULL where it is not kept */
};

/* What a rule knows of one key. A detection has one state, without a key. */
struct trace_cell {
	const struct rule *rule;
	const struct named_value *key; /* by the names of group-by */
	size_t n_key;
	int64_t from_ns, to_ns;    /* the window: (from, to]; TIME_NONE: it has none */
	double value;              /* of the correlation; sustained: seconds accrued */
	bool holds;                /* its condition */
	uint32_t n_entries;        /* events in the window, or in the snapshot: trace_entry() */
	const struct trace_input *inputs;
	uint32_t n_inputs;
	int64_t last_ns;           /* sustained: newest observation; concurrent: the snapshot; TIME_NONE */
	int64_t pending_ns;        /* deadline of the absence that it waits for; TIME_NONE: none */
	const struct evidence *trigger;
	const char *incident;      /* id of the open one; NULL: none */
	int64_t opened_ns, resolve_ns; /* resolve_ns INT64_MAX: not by time */
	uint64_t count;            /* of the incident */
	const struct engine *engine; /* for trace_entry() */
	const struct cell *cell;
};

struct trace_entry {
	int64_t time_ns;
	struct evidence evidence;        /* no more than the time where it is too old to be kept */
	struct span value;               /* value_count, concurrent; ptr NULL: none, or several */
	double number;                   /* value_sum … */
};
/* Entry i < n_entries, oldest first. */
void trace_entry(const struct trace_cell *c, uint32_t i, struct trace_entry *ret);

struct trace_step {
	enum trace_kind kind;
	const struct rule *rule;       /* NULL: TRACE_LATE */
	int64_t now_ns;                /* the engine's time */
	bool has_event;
	struct evidence event;         /* what happened; of a deadline: what once set it */
	const struct trace_cell *cell; /* NULL: it is about no key */
	field_id field;                /* TRACE_NO_KEY */
	int64_t left_ns, gap_ns;
	const struct rule *other;      /* TRACE_INHIBITED */
	const struct rule *input;      /* TRACE_EVALUATED of a temporal one: which of its inputs came */
};

struct engine_trace {
	const bool *wanted; /* by rule; NULL: all */
	void (*step)(void *context, const struct trace_step *s);
	/*
	 * Every event of a source that a wanted detection looks at, before it is matched, with the matcher that will: for
	 * matcher_expr_holds(). May be NULL.
	 */
	void (*judge)(void *context, struct matcher *m, struct event *e);
	/*
	 * Called once, when all that is due or happens up to at_ns has happened, or at the end of the input when that is earlier (or at_ns is
	 * TIME_NONE): for engine_inspect(). May be NULL.
	 */
	int64_t at_ns;
	void (*at)(void *context, struct engine *en);
	void *context;
};

/* To be set before the first event, if at all. Borrowed. */
void engine_trace_set(struct engine *en, const struct engine_trace *t);
/* Is this source looked at by a wanted detection? */
bool trace_wants_source(const struct engine_trace *t, const struct ruleset *rs, const struct source *s);

/* Shows every key that a rule has state for, as it is at engine_now(). Windows are brought up to date; nothing else changes. */
void engine_inspect(struct engine *en, const struct rule *r, void (*visit)(void *context, const struct trace_cell *c), void *context);

#endif
