/*
 * state.h: the engine's state, for the files of engine/ only.
 *
 *	ruleset (plan, const)        engine (state)
 *	  rule ───────────────────── rule_state ── cells by age ── cell (one rule, one key)
 *	                                                            ├─ window: entries in time order
 *	                                                            ├─ state, of rules that do more than count:
 *	                                                            │    ├─ slots: last time of each input (temporal)
 *	                                                            │    ├─ held: observations (sustained, concurrent)
 *	                                                            │    └─ pending: an absence that is waited for
 *	                                                            └─ incident: while one is open
 *
 * Invariants: a cell that waits for something (has an incident or a pending absence) is in the heap. Of a rule's cells that are not, each expires
 * no earlier than those that were used before it: the first of them is in the heap, by its rule. What is in a window, slot or
 * tally counts references to strings and kept events.
 */
#ifndef TOCSIN_ENGINE_STATE_H
#define TOCSIN_ENGINE_STATE_H

#include "base/slab.h"
#include "engine/engine.h"
#include "engine/kept.h"
#include "engine/sorted.h"
#include "engine/tally.h"
#include "engine/trace.h"

#define KEYS_DEFAULT 100000
#define WINDOW_LIMIT 100000      /* entries of one key's window: the oldest go first, counted */
#define TALLY_LIMIT 1000         /* distinct values counted of one top field of one incident */
#define VALUE_LIMIT 1024         /* bytes of a value that is counted, or told in `top`: the rest is cut off */
#define TRACE_KEPT_LIMIT 200     /* events of a window that are kept for a trace */
#define STALE_NS (24 * 3600 * NS_PER_SECOND) /* an observed key that is not seen again for so long is forgotten */

/*
 * What happens now: an event with the detections it matched, or a deadline that came due with the event that once
 * started it. Exactly one of event and kept is set at first; occurrence_keep() makes the copy when it is needed.
 */
struct occurrence {
	struct keeper *keeper;
	const struct event *event;
	struct kept *kept;   /* borrowed where it came with a deadline, else owned by the occurrence */
	int64_t time_ns;     /* stamp of the event, or the deadline */
	uint64_t step;       /* its number, by which it is known what was made of it already: keys, strings; 0: nothing is remembered of it */
	char time_text[TIME_TEXT_SIZE]; /* of occurrence_field() */
};

/* One event in a window. Followed in memory by what its rule needs besides: entry_number() … */
struct entry {
	int64_t time_ns;
};

struct window {
	char *ring;          /* cap entries of rule_state.entry_size bytes; the first one's room is in the cell */
	uint32_t head, n, cap;
};

/* An input of a temporal correlation. */
struct slot {
	int64_t time_ns;     /* newest; TIME_NONE: never */
	int64_t start_ns;    /* ordered: the latest start of a chain that ends here; TIME_NONE: no chain */
	struct kept *kept;
};

struct held {
	int64_t last_ns;     /* newest observation that held; TIME_NONE: none */
	int64_t accrued_ns;  /* sustained */
	int64_t snapshot_ns; /* concurrent: the snapshot that is counted */
	uint32_t stream;     /* which stream observes the key */
};

struct top_tally {
	struct tally tally;
	uint64_t others;     /* events whose value was not counted: TALLY_LIMIT */
};

struct incident {
	char *id;
	int64_t opened_ns, first_ns, last_ns, emitted_ns;
	int64_t resolve_ns;  /* when it resolves unless evidence goes on; INT64_MAX: not by time */
	uint64_t count;
	double value;
	struct kept *evidence[EVIDENCE_LIMIT]; /* ring, oldest at evidence_head */
	uint32_t evidence_head, n_evidence;
	uint64_t evidence_dropped;
	struct top_tally *tops; /* rule_state.n_tops */
};

/* What a cell knows besides the times of events. */
struct cell_state {
	struct tally distinct;      /* value_count, concurrent: of its window */
	double sum;                 /* value_sum, value_avg */
	struct sorted *sorted;      /* value_percentile, value_min, value_max: the numbers of a large window; NULL: it is small, or not asked for yet */
	struct held held;
	int64_t pending_ns;         /* deadline of the absence waited for; TIME_NONE: none */
	int64_t trigger_ns;
	struct kept *trigger;
	uint32_t n_slots;
	struct slot slots[];        /* temporal: one an input */
};

#define NOT_IN_HEAP UINT32_MAX
struct cell {
	struct cell *hash_next;
	struct cell *older, *newer; /* of the same rule, by last use */
	uint64_t seq;               /* order of creation */
	int64_t expires_ns;         /* nothing of it matters any more from then on, unless it waits */
	struct incident *incident;
	struct cell_state *state;   /* NULL: of a detection, and of a rule that counts events */
	uint32_t rule, heap_index;  /* heap_index: NOT_IN_HEAP: it only expires, in its turn */
	struct window window;
	char room[];                /* one entry of the window (entry_len), then the key: a string for each group-by value */
};

/* What an input of a temporal correlation is, when it is negated. */
struct input_plan {
	bool waits;                 /* an absence waits for it */
	bool forbids;               /* having been in the window it forbids */
	bool ends;                  /* with all the others it makes the condition false: so it ends an absence */
	int breaks_after;           /* it breaks chains that end at this input; -1: it breaks none */
};

/* A correlation that takes a rule as an input: the first of its inputs that it is, and the one behind the last. */
struct parent {
	uint32_t rule, input, end;
};

struct rule_state {
	uint32_t n_cells, n_open;   /* n_open: cells with an open incident */
	struct cell *oldest, *newest;
	struct cell *expiring;      /* the first of its cells that are not in the heap; NULL: there is none */
	int64_t last_expires_ns;    /* and when the last of them expires */
	int64_t due_ns;             /* the rule's place in the heap: when the first of them expires, or before; INT64_MAX: never */
	uint32_t heap_index;
	uint32_t cell_size, cell_state_at, n_slots; /* bytes of a cell; where in it its state stands, 0: it has none; slots of that */
	uint32_t n_keys;            /* group-by fields */
	uint32_t n_tops;            /* top fields that its entries carry: all, or none when it does not alert */
	uint32_t entry_size, entry_len; /* of its windows' entries: from one to the next, and what is used of that; 0: it has no windows */
	uint8_t number_at, kept_at, value_at, tops_at; /* where in an entry these stand; 0: it has none */
	bool keeps;                 /* events are kept: it alerts */
	uint32_t keeps_from;        /* its condition needs so many events, or distinct values, that they need not be kept below this */
	uint32_t *keys;             /* by input: which of engine.keys its group-by values are */
	struct parent *parents;     /* correlations that take it as an input, ascending */
	uint32_t n_parents;
	struct input_plan *inputs;  /* temporal: by input */
	bool told_undetermined;     /* once is enough */
	int64_t observed_from_ns;   /* every negated input has a source that is observed from then on; INT64_MAX: not all have */
};

/* Group-by values. */
struct key {
	const string_id *ids;       /* one each; borrowed */
	uint32_t n, hash;
};

/* A list of group-by fields, which several rules may have in common: its values are put together once for each occurrence. */
struct key_plan {
	const field_id *fields;
	uint64_t step;              /* whose key it is */
	bool whole;                 /* no value is absent */
	string_id *ids;             /* of the key; owned */
	struct key key;
};

/* The string of a field in the occurrence that was asked for it last. The next one has it often, too: then it is not looked up. */
struct field_string {
	uint64_t step;              /* which occurrence; 0: none */
	string_id id;               /* with a reference; 0: absent or empty */
};

/* The same of an agent's fields, for events of one agent_number, however long ago. */
struct agent_strings {
	uint64_t number;            /* event.agent_number; 0: none yet */
	string_id ids[FIELD_NAME - FIELD_AGENT + 1]; /* with a reference each */
	uint8_t known;              /* bit per id: it was looked up */
};
#define AGENT_STRINGS 256           /* agents, by the last bits of their numbers */
static inline bool field_is_of_agent(field_id f)
{
	return (field_id)(f - FIELD_AGENT) <= FIELD_NAME - FIELD_AGENT;
}

struct heap_item {
	int64_t deadline_ns;        /* may be earlier than the real one: put right when it comes up */
	struct cell *cell;          /* NULL: the rule's cells that are not in the heap */
	uint32_t rule;
};

/* A source that is read, and the rules that look at all its events or at its snapshots. */
struct seen_source {
	const struct source *source;
	int64_t from_ns; /* observed from then on; INT64_MAX: not yet */
	uint32_t *sustained, *concurrent;
	uint32_t n_sustained, n_concurrent;
};

struct change_event;            /* a state change waiting to be seen by rules about incidents */

struct engine {
	const struct ruleset *rules;
	struct engine_options options;
	engine_sink *sink;
	engine_notice *notice;
	void *context;

	int64_t now_ns;
	uint64_t next_seq;
	uint64_t step;               /* the newest occurrence's */
	struct rule_state *states;   /* by rule */
	uint32_t *parent_pool;
	struct slab slab;            /* of cells and their windows */
	struct cell **table;
	uint32_t n_table, n_cells;
	uint64_t n_open;             /* open incidents */
	struct heap_item *heap;
	uint32_t n_heap, cap_heap;
	struct strings strings;
	struct keeper keeper;
	struct map names;            /* source and file names of restored evidence */
	struct seen_source *seen;    /* the sources among the inputs */
	uint32_t n_seen, cap_seen;
	bool sustains;               /* some of them have sustained rules */

	uint64_t *fired;             /* bit per rule: it fired in this step */
	uint64_t *dirty;             /* bit per rule: an input of it fired */
	struct key_plan *keys;       /* distinct lists of group-by fields */
	uint32_t n_keys, cap_keys;
	struct field_string *field_strings; /* by field */
	uint32_t n_field_strings;
	struct agent_strings *agents; /* AGENT_STRINGS of them */
	struct buffer tuple;         /* scratch */
	struct arena scratch;        /* of one state change */

	struct source incident_source;
	struct matcher *incident_matcher; /* NULL: no rule is about incidents */
	uint32_t *incident_matched;
	struct event incident_event;
	struct change_event *queue_head, **queue_tail;
	unsigned queue_depth;

	struct engine_stats stats;
	const struct engine_trace *trace; /* NULL: none */
	bool trace_at_done;
};

/* --- table.c: cells by key, by age, by deadline --- */
static inline int64_t cell_pending(const struct cell *c)
{
	return c->state ? c->state->pending_ns : TIME_NONE;
}
/* For a deadline that somebody hears of. All others just expire. */
static inline bool cell_waits(const struct cell *c)
{
	return c->incident || cell_pending(c) != TIME_NONE;
}
static inline uint32_t cell_hash(uint32_t rule, uint32_t key_hash)
{
	uint32_t h = (key_hash ^ rule) * UINT32_C(0x9E3779B1);

	return h ^ h >> 15;
}
static inline const string_id *cell_key(const struct engine *en, const struct cell *c)
{
	return (const string_id *)(const void *)(c->room + en->states[c->rule].entry_len);
}
/* NULL: there is none. */
static inline struct cell *cell_find(const struct engine *en, uint32_t rule, const struct key *key)
{
	uint32_t key_at = en->states[rule].entry_len, i;

	if (!en->n_table)
		return NULL;
	for (struct cell *c = en->table[cell_hash(rule, key->hash) & (en->n_table - 1)]; c; c = c->hash_next) {
		const string_id *ids = (const string_id *)(const void *)(c->room + key_at);
		if (c->rule != rule)
			continue;
		for (i = 0; i < key->n && ids[i] == key->ids[i]; i++)
			;
		if (i == key->n)
			return c;
	}
	return NULL;
}
/* Room for n more cells. */
void table_reserve(struct engine *en, size_t n);
void cell_free(struct engine *en, struct cell *c);
/* A new one, at the newest end; at the cap the stalest cell of the rule gives way. */
struct cell *cell_make(struct engine *en, uint32_t rule, const struct key *key);
void cell_renew(struct rule_state *s, struct cell *c);
/* Finds it, and moves it to the newest end, or makes it. Whoever asks for it says when it expires, if that has changed, and calls cell_schedule() in any case. */
static inline struct cell *cell_get(struct engine *en, uint32_t rule, const struct key *key)
{
	struct cell *c = cell_find(en, rule, key);

	if (!c)
		return cell_make(en, rule, key);
	if (c->newer)
		cell_renew(&en->states[rule], c);
	return c;
}
/* The next cell that waits whose deadline is at or before time_ns, NULL when there is none. It stays in the heap. Cells that expire before it are freed. */
struct cell *cell_due(struct engine *en, int64_t time_ns);
void table_release(struct engine *en);
/* Sets what the rule's cells and the entries of their windows hold, as long as it has none. Its keys are known. */
void cell_layout(struct engine *en, uint32_t rule);
/* Puts values together as one text: for each 4 bytes of length, bytes; false when one is absent or empty. */
bool values_join(struct buffer *text, const field_id *fields, uint32_t n, struct occurrence *o);
struct key key_from(const string_id *ids, uint32_t n);
/* The place in engine.keys of a list of fields. */
uint32_t key_plan(struct engine *en, const field_id *fields, uint32_t n);
/* Makes the plan's key that of the occurrence. */
void key_make(struct engine *en, struct key_plan *p, struct occurrence *o);
/* The key of the occurrence for an input of the rule; NULL when a value is absent or empty. Valid as long as the occurrence. */
static inline const struct key *key_of(struct engine *en, uint32_t rule, uint32_t input, struct occurrence *o)
{
	struct key_plan *p = &en->keys[en->states[rule].keys[input]];

	if (p->step != o->step)
		key_make(en, p, o);
	return p->whole ? &p->key : NULL;
}
static inline struct span key_value(const struct engine *en, const struct cell *c, uint32_t index)
{
	return strings_text(&en->strings, cell_key(en, c)[index]);
}
static inline uint32_t cell_slots(const struct cell *c)
{
	return c->state ? c->state->n_slots : 0;
}
static inline int64_t cell_deadline(const struct cell *c)
{
	int64_t pending_ns = cell_pending(c), d = INT64_MAX;

	if (c->incident)
		d = c->incident->resolve_ns;
	if (pending_ns != TIME_NONE && pending_ns < d)
		d = pending_ns;
	/* An incident that nothing resolves by time still ends when its key is never seen again. */
	return d == INT64_MAX ? c->expires_ns : d;
}
void cell_into_heap(struct engine *en, struct cell *c);
void rule_bring_forward(struct engine *en, uint32_t rule, int64_t deadline_ns);
/* To be called after anything that may change the cell's deadline, or its place in the list. */
static inline void cell_schedule(struct engine *en, struct cell *c)
{
	struct rule_state *s = &en->states[c->rule];

	/* One that was used by a late event may expire before others. */
	if (c->heap_index != NOT_IN_HEAP || cell_waits(c) || (s->expiring && c->expires_ns < s->last_expires_ns)) {
		cell_into_heap(en, c);
		return;
	}
	s->last_expires_ns = c->expires_ns;
	if (!s->expiring)
		s->expiring = c;
	if (s->expiring == c && c->expires_ns < s->due_ns)
		rule_bring_forward(en, c->rule, c->expires_ns);
}

/* --- window.c --- */
static inline struct entry *window_at(const struct window *w, uint32_t entry_size, uint32_t i)
{
	return (struct entry *)(void *)(w->ring + (size_t)((w->head + i) & (w->cap - 1)) * entry_size);
}
/* What stands in an entry behind its time. NULL: nothing, for entries of this rule. */
static inline double *entry_number(const struct rule_state *s, const struct entry *e)
{
	return s->number_at ? (double *)(uintptr_t)((const char *)e + s->number_at) : NULL; /* value_sum … */
}
static inline struct kept **entry_kept(const struct rule_state *s, const struct entry *e)
{
	return s->kept_at ? (struct kept **)(uintptr_t)((const char *)e + s->kept_at) : NULL; /* to NULL: only counted */
}
static inline string_id *entry_value(const struct rule_state *s, const struct entry *e)
{
	return s->value_at ? (string_id *)(uintptr_t)((const char *)e + s->value_at) : NULL; /* value_count, concurrent */
}
static inline string_id *entry_tops(const struct rule_state *s, const struct entry *e)
{
	return s->tops_at ? (string_id *)(uintptr_t)((const char *)e + s->tops_at) : NULL; /* n_tops of them */
}
/* Sets what the rule's entries hold, and when they keep their events. */
void entry_layout(struct engine *en, uint32_t rule);
/* Adds in time order (at the end unless it came late). value: its reference goes to the window. */
void window_add(struct engine *en, struct cell *c, struct occurrence *o, double number, string_id value);
/* Drops what is not in (now − W, now]. */
void window_drop_expired(struct engine *en, struct cell *c, int64_t timespan_ns);
static inline void window_expire(struct engine *en, struct cell *c, int64_t timespan_ns)
{
	if (c->window.n && window_at(&c->window, en->states[c->rule].entry_size, 0)->time_ns <= en->now_ns - timespan_ns)
		window_drop_expired(en, c, timespan_ns);
}
void window_release(struct engine *en, struct cell *c);
/* The correlation's value over what is in the window. */
double window_value(const struct engine *en, const struct cell *c, const struct correlation *k);

/* --- correlate.c --- */
/* Runs everything that follows from the rules that fired (bits in en->fired), in order of rule index, from the first on. */
void correlate(struct engine *en, uint32_t first, struct occurrence *o);
/* The same, where one detection fired, and nothing else is to be looked at: most events match one. */
void correlate_one(struct engine *en, uint32_t rule, struct occurrence *o);
/* What does not change of a correlation: rule_state.keys, inputs. */
void correlation_plan(struct engine *en, uint32_t rule);
/* The rules whose bits are set in en->dirty are run too: sustained ones see every event of their sources. */
void snapshot_end(struct engine *en, const struct event *e);
/* What was waited for did not come: judge the absence. */
void absence_due(struct engine *en, struct cell *c);
bool bounds_hold(const struct correlation *k, double value);
/* Temporal: which positive inputs of the cell are in the window (bits); does the condition hold with these? */
uint64_t seen_inputs(const struct engine *en, const struct cell *c, const struct correlation *k);
bool condition_holds(const struct correlation *k, uint64_t seen);
bool chain_complete(const struct engine *en, const struct cell *c, const struct correlation *k);

/* For loading: an entry at the end, empty but for its references, which the caller sets. */
struct entry *window_append(struct engine *en, struct cell *c);

/* --- incident.c --- */
/* The cell's condition holds at this occurrence: opens, or goes on. */
void incident_hold(struct engine *en, struct cell *c, struct occurrence *o, double value);
/* An event belongs to an open incident though the condition does not hold now. */
void incident_evidence(struct engine *en, struct cell *c, struct occurrence *o, double value);
void incident_resolve(struct engine *en, struct cell *c);
void incident_free(struct engine *en, struct cell *c);
/* An empty incident in the cell: for opening and loading. */
struct incident *incident_new(struct engine *en, struct cell *c);

/* --- engine.c --- */
const struct seen_source *seen_source_find(const struct engine *en, const struct source *s);
struct kept *occurrence_keep(struct engine *en, struct occurrence *o);
struct span occurrence_other_field(struct occurrence *o, field_id f);
/* Borrowed until the next call. ptr NULL: it has none. */
static inline struct span occurrence_field(struct occurrence *o, field_id f)
{
	if (o->event && o->event->unparsed)
		event_parse_for(o->event, f);
	const struct value *v = o->event ? event_first(o->event, f) : NULL;

	if (v)
		return v->kind == VALUE_NULL ? span_of(NULL, 0) : v->text;
	return occurrence_other_field(o, f);
}
/* As a string that is counted: for the occurrence's lifetime; whoever keeps it takes a reference. 0: it has none, or an empty one. */
string_id field_string_look_up(struct engine *en, struct occurrence *o, field_id f);
string_id agent_string_look_up(struct engine *en, struct occurrence *o, field_id f);
static inline string_id occurrence_string(struct engine *en, struct occurrence *o, field_id f)
{
	uint64_t number = o->event && field_is_of_agent(f) ? o->event->agent_number : 0;

	if (number) {
		const struct agent_strings *a = &en->agents[number % AGENT_STRINGS];
		return a->number == number && a->known >> (f - FIELD_AGENT) & 1 ? a->ids[f - FIELD_AGENT] : agent_string_look_up(en, o, f);
	}
	return f < en->n_field_strings && en->field_strings[f].step == o->step ? en->field_strings[f].id : field_string_look_up(en, o, f);
}
/* The same, cut to what is counted of a value that is told; with a reference. 0 of an empty one. */
string_id value_string_cut(struct engine *en, struct span value);
static inline string_id occurrence_value(struct engine *en, struct occurrence *o, field_id f)
{
	string_id id = o->step ? occurrence_string(en, o, f) : 0;

	if (!o->step || (id && en->strings.by_id[id]->len > VALUE_LIMIT))
		return value_string_cut(en, occurrence_field(o, f));
	strings_ref(&en->strings, id);
	return id;
}
void incident_event_queue(struct engine *en, const struct change *c);

/* --- trace.c: only to be called when traced() --- */
static inline bool traced(const struct engine *en, uint32_t rule)
{
	return en->trace && (!en->trace->wanted || en->trace->wanted[rule]);
}
void trace_tell(struct engine *en, enum trace_kind kind, const struct cell *c, struct occurrence *o);
void trace_tell_value(struct engine *en, enum trace_kind kind, const struct cell *c, struct occurrence *o, double value, bool holds);
void trace_tell_input(struct engine *en, const struct cell *c, struct occurrence *o, uint32_t input, double value, bool holds);
void trace_tell_rule(struct engine *en, enum trace_kind kind, const struct rule *r, struct occurrence *o, field_id field);
void trace_tell_left(struct engine *en, const struct cell *c, const struct entry *e, int64_t left_ns, bool cut);
void trace_tell_inhibited(struct engine *en, const struct cell *c, struct occurrence *o, double value, const struct rule *by);
/* The first field that the occurrence lacks; FIELD_NONE: none. */
field_id missing_field(const field_id *fields, uint32_t n, struct occurrence *o);
void trace_at(struct engine *en);

static inline void bit_set(uint64_t *bits, uint32_t i) { bits[i / 64] |= UINT64_C(1) << (i % 64); }
static inline bool bit_test(const uint64_t *bits, uint32_t i) { return bits[i / 64] >> (i % 64) & 1; }

#endif
