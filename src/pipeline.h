/*
 * pipeline.h: from bytes of many logs to state changes, in one order:
 *
 *	lane: bytes ─> decoder ─> matcher ─┐
 *	lane: bytes ─> decoder ─> matcher ─┼─> order ─> engine ─> outputs
 *	lane: …                            ┘
 *
 * Who brings the bytes (run.c: files, archives, pipes) makes a lane for each log, feeds it, and tells when it is at its end. What is
 * handed to the engine, and in which order, depends on the bytes alone.
 *
 * Time. One rule makes replay, cron and follow one answer. Input is read in rounds:
 *
 *	1. sample the clock: now (pipeline_set_clock); of a log that may have grown, lane_set_at_end(false)
 *	2. read every log to its present end: lane_set_at_end(true)
 *	3. pipeline_advance(now): hands on all events in front of the watermark, and runs the deadlines up to it
 *
 *	watermark = min(newest stamp of each lane that is not at its end, now) − lateness
 *
 * Because the clock is sampled before the logs are read, and records arrive no later than the lateness after their stamps, nothing that
 * is read later belongs in front of the watermark. What stands at or behind it stays in the order, also over a checkpoint.
 * What does come later than it may is moved to the watermark, and counted (late).
 *
 * The last record of a log that is at its end might go on. It is taken for complete when its stamp + lateness ≤ now: by then all of it has
 * arrived. A last line without a newline counts only when it carries its own stamp with something behind it; else it waits for its newline, or
 * for the log's next file. Until then its bytes are kept, and saved.
 *
 * now is the clock of a live run; T of `--until T`; TIME_NONE in a replay and where cron says nothing: then only stamps move time, and
 * when all lanes are at their ends it stands at the newest of them, yet not ahead of the clock.
 *
 * A lane whose newest stamp is at or behind now need not be read on in this round: nothing more of it can stand in front of the watermark.
 *
 * pipeline_save() and pipeline_load() write and read all of it: a pipeline that was saved and loaded goes on exactly as if it had not
 * been, but that rules which changed start anew.
 */
#ifndef TOCSIN_PIPELINE_H
#define TOCSIN_PIPELINE_H

#include "base/block.h"
#include "base/workers.h"
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
	int64_t now_ns;             /* the clock; pipeline_set_clock() moves it */
	int64_t (*clock)(void);     /* asked once more before a record is taken to be from the future; NULL: now_ns stands */
	size_t record_limit;
	uint32_t max_keys;
	unsigned threads;           /* at most, the caller's included; 0 is 1. What comes out is the same */
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

/* Diagnostics go to diags: notices of the engine as warnings, at most 20 in an hour of the clock, then how many were left out. outputs, diags outlive it. */
struct pipeline *pipeline_new(const struct pipeline_options *o, struct output *outputs, size_t n_outputs, struct diag_list *diags);
void pipeline_free(struct pipeline *p);
/* Those that it has, for who unpacks archives, too; NULL: none. Valid as long as the pipeline. */
struct workers *pipeline_workers(const struct pipeline *p);
/* Memory for who reads: lanes give back what they do not need, too. */
struct block_pool *pipeline_blocks(const struct pipeline *p);

/* --- lanes: one log each --- */

/*
 * The lane of this name: one that was loaded and not yet asked for, with its source, ready for the bytes behind those it was fed before;
 * else a new one. name: as shown; also orders logs of one source. Owned by the pipeline.
 */
struct lane *pipeline_lane(struct pipeline *p, const char *name);
const char *lane_name(const struct lane *l);
/* NULL until it is set. Bytes may be fed before, and are kept; the caller sees to it that these are few. */
const struct source *lane_source(const struct lane *l);
void lane_set_source(struct pipeline *p, struct lane *l, const struct source *s);
/* What is not in it did not happen, also in front of its first record and when there is none. Without this a lane is observed from its least stamp on. */
void lane_set_observed(struct pipeline *p, struct lane *l);
/* The bytes that wait for a source. */
struct span lane_waiting(const struct lane *l);
/*
 * A file begins: what is fed from now on is of it, until the next. mtime_ns, arrival_ns: what stamps fall back on (decoder.h);
 * TIME_NONE: unknown, and no arrival in a replay.
 */
void lane_begin_file(struct pipeline *p, struct lane *l, const char *file, uint32_t generation, int64_t mtime_ns, int64_t arrival_ns);
/* The file that was fed last goes on, under this name: after a load, or a rotation. */
void lane_continue_file(struct pipeline *p, struct lane *l, const char *file, uint32_t generation);
/* Where the next byte that is fed stands in its file, for people; set it right after lane_begin_file(). */
struct lane_place {
	uint64_t line, offset; /* line: from 1 */
};
struct lane_place lane_place(const struct lane *l);
void lane_set_place(struct lane *l, struct lane_place place);
/* When the bytes that are fed next came; TIME_NONE in a replay. */
void lane_set_arrival(struct lane *l, int64_t arrival_ns);
/* The caller puts bytes behind those in it, and then tells how many they were. */
struct block *lane_block(struct lane *l);
void lane_fed(struct pipeline *p, struct lane *l, size_t n);
void lane_feed(struct pipeline *p, struct lane *l, struct span bytes);
/* Nothing comes any more. */
void lane_end(struct pipeline *p, struct lane *l);
/* Thrown away with all it holds. */
void lane_drop(struct pipeline *p, struct lane *l);
bool lane_ended(const struct lane *l);
/*
 * Read to its present end: it is not waited for. Bytes that are fed undo it. What was at its end in one round is not in the next,
 * unless nothing can have been written since the clock was sampled for that.
 */
void lane_set_at_end(struct lane *l, bool at_end);
/* The newest stamp of what was fed; TIME_NONE: none yet. */
int64_t lane_newest(const struct lane *l);

/* --- time --- */

/* The clock, before a round of reading: stamps far ahead of it are not believed. */
void pipeline_set_clock(struct pipeline *p, int64_t now_ns);
/*
 * The end of a round, or the middle of one: hands on what stands in front of the watermark, lets time pass up to it, and writes what
 * follows. now_ns: sampled before the round; TIME_NONE: stamps alone move time.
 */
void pipeline_advance(struct pipeline *p, int64_t now_ns);
/* What the clock must show for pipeline_advance() to find something to do though nothing is fed; TIME_NONE: never. */
int64_t pipeline_next_due(const struct pipeline *p);
/* Up to where input was taken as complete; TIME_NONE: nothing yet. */
int64_t pipeline_watermark(const struct pipeline *p);
/*
 * A replay, all of whose lanes are there: from now on what stands in front of the watermark that is due after a block is handed on while the block is
 * looked at, instead of being kept until pipeline_advance(). It makes no difference to what comes out. pipeline_advance() must then be
 * called, with TIME_NONE, after each feeding.
 */
void pipeline_set_direct(struct pipeline *p, bool direct);
/* The end of a run that does not go on (no checkpoint): everything is handed on, time runs to the last stamp, or to until_ns. */
void pipeline_finish(struct pipeline *p);
/* Before pipeline_save(): what outputs were told is brought to the disk. False with diagnostics: it is closed, and must not be saved. */
bool pipeline_sync(struct pipeline *p);
/* Output cannot be written any more: stop. */
bool pipeline_closed(const struct pipeline *p);
/* Something went wrong with an output or a log: exit status 2. */
bool pipeline_failed(const struct pipeline *p);

/* --- state --- */

/* Everything but options, rules and counters of this run. Outputs must have been flushed. */
void pipeline_save(const struct pipeline *p, struct buffer *out);
/*
 * Into a fresh pipeline, before its first lane. False with a diagnostic when damaged; the pipeline is to be freed then. Warnings tell of
 * what had to be left out: logs whose source the rules no longer define.
 */
bool pipeline_load(struct pipeline *p, struct codec_reader *in, struct diag_list *diags);
/*
 * Goes on with other rules: state of rules that are the same is kept, that of others dropped. Counters and lanes stay where they are; one whose
 * source is no longer defined has none (lane_source). The old rules can be freed then; who else has pointers into them (emit_options.fields)
 * sets them anew. Warnings as of pipeline_load().
 */
void pipeline_set_rules(struct pipeline *p, const struct ruleset *rules, struct diag_list *diags);
/* What a saved pipeline holds, for people; it takes no rules. Spans are borrowed from what was read. */
struct pipeline_saved_lane {
	struct span name, source; /* source: empty: not known yet */
	int64_t newest_ns;
	size_t waiting;           /* bytes that are not a whole record yet */
};
struct pipeline_saved {
	int64_t watermark_ns;
	struct pipeline_saved_lane *lanes;
	size_t n_lanes;
	uint64_t n_held;
	struct engine_saved engine;
};
/* False when damaged. To be released in any case. */
bool pipeline_describe(struct codec_reader *in, struct pipeline_saved *ret);
void pipeline_saved_release(struct pipeline_saved *s);
/* A source by name: the rules' own first, then the built-in ones; NULL when unknown. */
const struct source *source_by_name(const struct ruleset *rs, const char *name);

/* --- what happened --- */

struct lane_stats {
	const char *name, *source;
	enum format format;
	bool stamped; /* a line of it had a stamp */
	const struct decoder_stats *decoder;
	const struct matcher_stats *matcher;
	uint64_t files, late, future;
	int64_t first_ns, newest_ns; /* oldest and newest stamp; TIME_NONE: none */
};
/* Of lanes with a source; false behind the last. */
bool pipeline_lane_stats(const struct pipeline *p, size_t index, struct lane_stats *ret);
const struct engine *pipeline_engine(const struct pipeline *p);
/* Events held back: now, and at most so far. */
uint64_t pipeline_held(const struct pipeline *p);
uint64_t pipeline_held_peak(const struct pipeline *p);
/* Notices of this hour that are not shown, and were not told of yet. */
uint64_t pipeline_notices_dropped(const struct pipeline *p);

#endif
