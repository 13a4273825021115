/*
 * pipeline.h: from bytes of many logs to state changes, in one order:
 *
 *	lane: bytes ─> decoder ─> matcher ─┐
 *	lane: bytes ─> decoder ─> matcher ─┼─> order ─> engine ─> outputs
 *	lane: …                            ┘
 *
 * Who brings the bytes (run.c: files, archives, pipes) makes a lane for each log, feeds it, and tells when it has ended or fallen
 * silent. What is handed to the engine, and in which order, depends on the bytes alone.
 */
#ifndef TOCSIN_PIPELINE_H
#define TOCSIN_PIPELINE_H

#include "emit/output.h"
#include "engine/trace.h"

/* A stamp further ahead of the clock is not believed: its record is left out, and counted. */
#define FUTURE_LIMIT_NS (5 * 60 * NS_PER_SECOND)

struct pipeline_options {
	const struct ruleset *rules;
	const struct zone *zone;    /* of stamps that have none */
	/* Another zone for a source, by its name; NULL where it is the default. */
	const struct zone *(*zone_of)(void *context, const char *source);
	void *zone_context;
	int64_t lateness_ns;
	int64_t since_ns, until_ns; /* TIME_NONE: no bound */
	int64_t now_ns;             /* when the run began */
	size_t record_limit;
	uint32_t max_keys;
	/* `tocsin fields`: events go here, and nowhere else. May be NULL. */
	void (*look)(void *context, const struct event *e, enum parse_result r);
	void *look_context;
	const struct engine_trace *trace; /* `tocsin explain`; NULL: none; borrowed */
	/* State changes go here, too, before the outputs: for verbs that judge them. May be NULL. */
	engine_sink *on_change;
	void *change_context;
};

struct pipeline;
struct lane;

/* Diagnostics go to diags: notices of the engine as warnings, at most 20 of them. outputs, diags outlive it. */
struct pipeline *pipeline_new(const struct pipeline_options *o, struct output *outputs, size_t n_outputs, struct diag_list *diags);
void pipeline_free(struct pipeline *p);

/* --- lanes: one log each --- */

/* name: as shown; also orders logs of one source. Owned by the pipeline. */
struct lane *pipeline_lane(struct pipeline *p, const char *name);
const char *lane_name(const struct lane *l);
/* NULL until it is set. Bytes may be fed before, and are kept; the caller sees to it that these are few. */
const struct source *lane_source(const struct lane *l);
void lane_set_source(struct pipeline *p, struct lane *l, const struct source *s);
/* The bytes that wait for a source. */
struct span lane_waiting(const struct lane *l);
/*
 * A file begins: what is fed from now on is of it, until the next. mtime_ns, arrival_ns: what stamps fall back on (decoder.h);
 * TIME_NONE: unknown, and no arrival in a replay.
 */
void lane_begin_file(struct pipeline *p, struct lane *l, const char *file, uint32_t generation, int64_t mtime_ns, int64_t arrival_ns);
/* Room for at least n bytes, to be filled by the caller, who then tells how many they were. */
char *lane_room(struct lane *l, size_t n);
void lane_fed(struct pipeline *p, struct lane *l, size_t n);
void lane_feed(struct pipeline *p, struct lane *l, struct span bytes);
/* Nothing comes for the time being: whole lines are taken as they are. */
void lane_flush(struct pipeline *p, struct lane *l);
/* Nothing comes any more. */
void lane_end(struct pipeline *p, struct lane *l);
/* Thrown away with all it holds. */
void lane_drop(struct pipeline *p, struct lane *l);
bool lane_ended(const struct lane *l);
/* An idle lane is not waited for. */
void lane_set_idle(struct lane *l, bool idle);
/* Its newest stamp; TIME_NONE: none yet. */
int64_t lane_newest(const struct lane *l);

/* --- time --- */

/* Hands on all that nothing can come in front of any more, and writes what follows. */
void pipeline_advance(struct pipeline *p);
/* Hands on everything that is held back: all lanes are silent. */
void pipeline_catch_up(struct pipeline *p);
/* The end: everything is handed on, time runs to the last stamp, or to until_ns. */
void pipeline_finish(struct pipeline *p);
/* Output cannot be written any more: stop. */
bool pipeline_closed(const struct pipeline *p);
/* Something went wrong with an output or a log: exit status 2. */
bool pipeline_failed(const struct pipeline *p);

/* --- what happened --- */

struct lane_stats {
	const char *name, *source;
	const struct decoder_stats *decoder;
	const struct matcher_stats *matcher;
	uint64_t files, late, future;
};
/* Of lanes with a source; false behind the last. */
bool pipeline_lane_stats(const struct pipeline *p, size_t index, struct lane_stats *ret);
const struct engine *pipeline_engine(const struct pipeline *p);
/* Events held back: now, and at most so far. */
uint64_t pipeline_held(const struct pipeline *p);
uint64_t pipeline_held_peak(const struct pipeline *p);
uint64_t pipeline_notices_dropped(const struct pipeline *p);

#endif
