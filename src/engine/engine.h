/*
 * engine.h: from matched events, in order, to incidents. Holds all state that rules need: windows by key, deadlines, incidents.
 *
 * Time is event time and only moves forward: each event moves it to its place in the order (its stamp, or, when it
 * came late, the watermark of its stream), and engine_advance() moves it when nothing happens. Deadlines that are due
 * at or before that time run first, in order of (deadline, rule, age of the key).
 *
 * engine_save() and engine_load() write and read every bit of it: an engine that was saved and loaded goes on exactly as if it had not been.
 */
#ifndef TOCSIN_ENGINE_ENGINE_H
#define TOCSIN_ENGINE_ENGINE_H

#include "base/codec.h"
#include "engine/incident.h"
#include "match/matcher.h"

struct engine;

struct engine_options {
	uint32_t max_keys; /* keyed states a rule may hold; 0: 100,000 */
};

struct engine_stats {
	uint64_t events;          /* given to it */
	uint64_t late;            /* of these, older than the order they came in by more than the lateness */
	uint64_t missing_key;     /* skipped for a rule because a group-by field was absent */
	uint64_t evicted;         /* keys thrown away at the cap */
	uint64_t window_cut;      /* events dropped from a window at its cap */
	uint64_t opened, updated, resolved;
	uint64_t inhibited;       /* openings held back by inhibited-by */
	uint64_t undetermined;    /* absences that could not be judged */
	uint64_t commands_refused;
	uint64_t keys, keys_peak; /* live keyed states */
};

/* Called once a state change, in order. */
typedef void engine_sink(void *context, const struct change *c);
/* Called when a command is not emitted, or an absence cannot be judged: text for standard error. */
typedef void engine_notice(void *context, const struct rule *rule, int64_t time_ns, const char *text);

struct engine *engine_new(const struct ruleset *rs, const struct engine_options *o, engine_sink *sink, engine_notice *notice, void *context);
void engine_free(struct engine *en);

/* Tells which sources are among the inputs. s is borrowed; one log each. */
void engine_source_present(struct engine *en, const struct source *s);
/*
 * One that is present has said something: it is observed from from_ns on (TIME_NONE: from ever), or from the time that it was told before, if that is
 * earlier. An absence is judged only where what it waits for was observed by then: a log that is not there, or empty, or younger than
 * the deadline tells nothing. So it does not matter whether a log that appears late was an empty file before. Of one that is not present: ignored.
 */
void engine_source_observed(struct engine *en, const struct source *s, int64_t from_ns);

/*
 * order_ns: the event's place in the order, ≥ that of every event before. matched: rule indexes, ascending (may be none: sustained and
 * concurrent rules look at every event of their sources).
 */
void engine_event(struct engine *en, const struct event *e, int64_t order_ns, const uint32_t *matched, size_t n_matched);
/* Lets time pass up to and including time_ns. */
void engine_advance(struct engine *en, int64_t time_ns);
/* The end of input: pending absences are undetermined; counted and told. State is unchanged otherwise. */
void engine_finish(struct engine *en);
/* When the next deadline is due; TIME_NONE: none. */
int64_t engine_next_deadline(const struct engine *en);
int64_t engine_now(const struct engine *en);

/* Must every event of this source be given to it, matched or not? */
bool engine_observes(const struct engine *en, const struct source *s);

const struct engine_stats *engine_stats(const struct engine *en);
/* Counts on from another engine's; keys are its own. */
void engine_add_stats(struct engine *en, const struct engine_stats *from);
uint64_t engine_open_incidents(const struct engine *en);

void engine_save(const struct engine *en, struct buffer *out);
/* Into a fresh engine. Rules are found again by name and digest; state of changed or vanished rules is dropped. False when damaged. */
bool engine_load(struct engine *en, struct codec_reader *in);

/* What a saved engine holds, for people; it takes no rules. Spans and readers are borrowed from what was read. */
struct engine_saved_rule {
	struct span name;
	struct codec_reader keys; /* n_keys spans: names of the group-by fields */
	size_t n_keys;
	uint64_t n_cells, n_open, n_pending;
};
struct saved_cell {               /* with an open incident, or an absence that is waited for, or both */
	size_t rule;
	struct codec_reader keys; /* n_keys spans: values */
	int64_t pending_ns, trigger_ns; /* pending_ns: the deadline; TIME_NONE: none */
	struct span id;           /* of the incident; empty: none */
	int64_t opened_ns, resolve_ns; /* resolve_ns INT64_MAX: not by time */
	uint64_t count;
};
struct engine_saved {
	int64_t now_ns;
	struct engine_saved_rule *rules;
	size_t n_rules;
	struct saved_cell *cells;
	size_t n_cells, cap_cells;
};
/* False when damaged; what was found up to then is there. To be released in any case. */
bool engine_describe(struct codec_reader *in, struct engine_saved *ret);
void engine_saved_release(struct engine_saved *s);

#endif
