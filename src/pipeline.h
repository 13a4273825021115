/*
 * pipeline.h: joins the stages for one run over given inputs:
 *
 *	readers ─> decoder ─> matcher ─> order ─> engine ─> outputs
 *	(a stream each)                 (all streams in one order)
 */
#ifndef TOCSIN_PIPELINE_H
#define TOCSIN_PIPELINE_H

#include "emit/output.h"
#include "engine/engine.h"
#include "input/stream.h"

struct pipeline_options {
	const struct ruleset *rules;
	const char *stdin_source;   /* -s; NULL: recognise it */
	const struct zone *zone;    /* default */
	/* Zone by source name; NULL where it is the default. */
	const struct zone *(*zone_of)(void *context, const char *source);
	void *zone_context;
	int64_t lateness_ns;
	int64_t since_ns, until_ns; /* TIME_NONE: no bound */
	int64_t now_ns;             /* when the run began: stamps far ahead of it are not believed */
	size_t record_limit;
	uint32_t max_keys;
	/* Called now and then with what has been read of what there is (0: unknown), compressed bytes. May be NULL. */
	void (*progress)(void *context, uint64_t done, uint64_t total);
	void *progress_context;
	/* `tocsin fields`: instead of rules, every event goes here. May be NULL. */
	void (*look)(void *context, const struct event *e, enum parse_result r);
	void *look_context;
};

/* A source by name: of the rules' own, else built-in; NULL when unknown. */
const struct source *source_by_name(const struct ruleset *rs, const char *name);

#define FUTURE_LIMIT_NS (5 * 60 * NS_PER_SECOND)

struct stream_stats {
	const char *name, *source;
	struct decoder_stats decoder;
	struct matcher_stats matcher;
	uint64_t files, late, future;
};

struct pipeline_result {
	struct stream_stats *streams; /* n_streams; free with pipeline_result_release */
	size_t n_streams;
	struct engine_stats engine;
	uint64_t open_incidents, notices_dropped;
	uint64_t held_peak;
	bool output_closed;           /* the reader of a pipe went away: nothing is wrong */
};

/*
 * Runs to the end of the input. Every problem is added to diags (errors do not stop other inputs). Notices of the engine are added as DIAG_WARNING, at most
 * 20 of them. False when something went wrong that makes the exit status 2.
 */
bool pipeline_run(const struct pipeline_options *o, const struct stream_list *streams, struct output *outputs, size_t n_outputs,
		  struct pipeline_result *ret, struct diag_list *diags);
void pipeline_result_release(struct pipeline_result *r);

#endif
