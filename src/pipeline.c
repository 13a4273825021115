/*
 * Lanes, their order, and what is let go. A lane's block holds what is not framed yet: the end of a record that goes on
 * in the next bytes. Nothing here asks a clock.
 *
 * The watermark only rises. An event's place in the order is never in front of it: the stream's own lateness sees to that
 * (order.h), and where a whole log comes late, record_take() moves its events to the watermark.
 */
#include "pipeline.h"

#include "base/memory.h"
#include "base/workers.h"
#include "engine/order.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define NOTICE_LIMIT 20 /* an hour of the clock: a replay has one, a follower many */
#define NOTICE_HOUR_NS (3600 * NS_PER_SECOND)
#define PIECE_NS NS_PER_SECOND           /* a line without its newline is not taken for whole before it has stood for so long */
#define FORGET_NS (24 * 3600 * NS_PER_SECOND) /* a lane that no run asked for is saved until its newest stamp is so old */
#define LANE_BLOCK_MIN (2 * BLOCK_FRONT)      /* of a smaller one nothing is to be gained */
#define SAVE_VERSION 1

/* Where a byte was read, for people. */
struct place {
	const char *file;
	uint32_t generation;
	uint64_t line, offset;
};

/* A parsed event of a batch: its values are n_values of batch.values from first_value on, what it matched n_matched of batch.matched. */
struct batch_event {
	size_t record;
	uint32_t first_value, n_values, first_matched, n_matched;
	enum event_kind kind;
	bool snapshot_complete;
	uint16_t n_parsed;
	int64_t time_ns, snapshot_ns;
	uint64_t agent_number;
	struct decoder *unparsed;
	struct span raw;
};
/* More would wait for the first one, which frames and runs the engine, and take memory: some 1 MiB each. */
#define THREADS_MAX 8
#define BATCH_EVENTS_MAX 3072 /* what stands behind them in the block is parsed when it is handed on */

/* What looks at a block. What it remembers from record to record makes it faster, nothing else. */
struct looker {
	struct decoder *decoder; /* parses; NULL where only the lane's own can */
	struct matcher *matcher;
	struct looker *next;     /* of those that are free */
};

/* Those for the lanes of one source, in one zone: as many as there are blocks that are looked at, however many lanes. */
struct looker_pool {
	struct source source;
	struct matcher *matcher; /* theirs are copies of it */
	struct looker *free;
	struct looker_pool *next;
};

/*
 * A block: framed, then scanned and parsed, either record by record when it is handed on, or before, by a worker. One thread at a time has it, and
 * with it its looker; the lane's decoder, which frames (and parses where every record must be), stays with the caller's thread.
 */
struct batch {
	struct span block;
	struct place place, next_place; /* as in the lane */
	size_t next_start;
	uint64_t next_lines;
	struct record_list records;
	uint64_t *candidates;
	size_t cap_candidates;
	size_t used;             /* of the block */
	uint64_t lines;
	bool in_order;
	struct looker *looker;

	/* By a worker: */
	struct job job;
	const struct pipeline *pipeline;
	struct lane *lane;
	struct batch *next;      /* of those under way; of those that are free */
	struct block own;        /* the block's bytes */
	struct event event;      /* the one that is parsed; what all of them borrow is in its arena */
	/* What it and those before gave: side by side, for another processor reads it. */
	struct batch_event *events;
	size_t n_events, cap_events;
	struct value *values;
	size_t n_values, cap_values;
	uint32_t *matched;
	size_t n_matched, cap_matched;
	size_t n_parsed;         /* records in front of this one are parsed, as far as they are candidates */
};

struct lane {
	const char *name;
	struct source source;    /* a copy, with the run's zone for it */
	bool has_source, ended, at_end;
	bool claimed;            /* one of this run's inputs; else only known from a checkpoint */
	bool parse_all, may_parse_later, judged, observed;
	struct looker_pool *lookers;
	struct decoder *decoder; /* frames */
	struct decoder *old_decoder; /* while rules are exchanged: what it counted goes on */
	struct matcher_stats matched;

	struct block block;      /* what is not framed yet */
	size_t n_batches;        /* under way */
	struct place place;      /* of its first byte */
	struct place next_place; /* where the bytes from next_start on come from */
	size_t next_start;       /* SIZE_MAX: all are of `place` */
	uint64_t next_lines;     /* lines of the block in front of next_start */
	int64_t mtime_ns, arrival_ns;

	/* At its end: how the block's rest stands. */
	enum decoder_rest rest;
	int64_t rest_ns;         /* its time; TIME_NONE: none */
	int64_t open_ns;         /* of the record in front of the rest's last line; TIME_NONE: none */
	int64_t rest_read_ns;    /* REST_PIECE: the horizon of the round that read it, and of the first one */
	int64_t rest_seen_ns;    /*   after it that found it the same; TIME_NONE: none yet */
	int64_t due_ns;          /* the horizon that will find it complete; INT64_MAX: there is none */

	int64_t first_ns, newest_ns;
	int64_t observed_ns;     /* the least stamp: from then on it is known what happened; INT64_MAX: none yet */
	uint64_t sequence;
	uint64_t files, late, future;
	uint32_t number;
};

struct pipeline {
	struct pipeline_options o;
	struct output *outputs;
	size_t n_outputs;
	struct diag_list *diags;
	struct lane **lanes;
	size_t n_lanes, cap_lanes;
	uint32_t next_number;
	struct engine *engine;
	struct order order;
	int64_t watermark_ns;
	int64_t hold_ns;         /* what rests of lanes keep the horizon from passing; INT64_MAX: nothing */
	bool direct;             /* pipeline_set_direct() */
	int64_t direct_ns;       /* while a block in order is looked at: what stands before it is handed on at once; else TIME_NONE */
	struct looker_pool *lookers;
	struct block_pool *blocks;
	struct workers *workers; /* NULL: none */
	struct batch *first_batch, **last_batch; /* under way, in the order in which they were begun */
	size_t n_batches, max_batches;
	struct batch *free_batches;
	struct event event, popped;
	struct event shown;      /* one that a worker parsed */
	struct batch batch;      /* of the lane that is looked at without a worker */
	uint32_t *matched;
	struct map names;        /* of files: evidence points to them */
	uint64_t notices;        /* in this hour */
	int64_t notices_from_ns; /* when the hour began, by the clock */
	bool failed, closed;
};

/* ---- life, outputs, notices ---- */

static void on_change(void *context, const struct change *c)
{
	struct pipeline *p = context;

	if (p->o.on_change)
		p->o.on_change(p->o.change_context, c);
	for (size_t i = 0; i < p->n_outputs; i++)
		output_change(&p->outputs[i], c);
}

/* Begins a new hour of notices, and tells what was left out in the one before. */
static void notices_look(struct pipeline *p)
{
	uint64_t dropped = pipeline_notices_dropped(p);

	if (p->o.now_ns - p->notices_from_ns < NOTICE_HOUR_NS && p->o.now_ns >= p->notices_from_ns)
		return;
	if (dropped)
		diag_add(p->diags, DIAG_WARNING, NULL, 0, 0, "%" PRIu64 " more notices were not shown in the hour before", dropped);
	p->notices = 0;
	p->notices_from_ns = p->o.now_ns;
}

static void on_notice(void *context, const struct rule *rule, int64_t time_ns, const char *text)
{
	struct pipeline *p = context;
	struct buffer when = BUFFER_INIT;

	if (p->o.trace && p->o.trace->wanted && !p->o.trace->wanted[rule->index])
		return; /* another rule is explained */
	if (++p->notices > NOTICE_LIMIT)
		return;
	time_format_utc(&when, time_ns);
	diag_add(p->diags, DIAG_WARNING, NULL, 0, 0, "%s at %s: %s", rule->name, buffer_string(&when), text);
	buffer_release(&when);
}

/* What depends on the rules. */
static void build(struct pipeline *p, const struct ruleset *rules)
{
	struct engine_options eo = { .max_keys = p->o.max_keys };

	p->o.rules = rules;
	p->engine = engine_new(rules, &eo, on_change, on_notice, p);
	engine_trace_set(p->engine, p->o.trace);
	p->matched = xcalloc(rules->n_rules ? rules->n_rules : 1, sizeof *p->matched);
	event_init(&p->event, field_count(&rules->fields));
	event_init(&p->popped, field_count(&rules->fields));
	event_init_shown(&p->shown, field_count(&rules->fields));
}

static void unbuild(struct pipeline *p)
{
	engine_free(p->engine);
	order_release(&p->order);
	event_release(&p->event);
	event_release(&p->popped);
	event_release(&p->shown);
	free(p->matched);
}

struct pipeline *pipeline_new(const struct pipeline_options *o, struct output *outputs, size_t n_outputs, struct diag_list *diags)
{
	struct pipeline *p = xcalloc(1, sizeof *p);

	p->o = *o;
	p->outputs = outputs;
	p->n_outputs = n_outputs;
	p->diags = diags;
	p->watermark_ns = p->direct_ns = TIME_NONE;
	p->hold_ns = INT64_MAX;
	p->notices_from_ns = o->now_ns;
	build(p, o->rules);
	p->last_batch = &p->first_batch;
	unsigned threads = o->threads < THREADS_MAX ? o->threads : THREADS_MAX;
	if (threads > 1)
		p->workers = workers_new(threads - 1);
	p->blocks = block_pool_new();
	p->max_batches = threads + 1; /* with fewer the processors take less time, but workers wait while the engine runs */
	return p;
}

static void batch_release(struct batch *b)
{
	event_release(&b->event);
	free(b->events);
	free(b->values);
	free(b->matched);
	free(b->records.items);
	free(b->candidates);
	block_release(&b->own);
}

/* All of them must be free. */
static void lookers_free(struct looker_pool *pools)
{
	while (pools) {
		struct looker_pool *pool = pools;

		pools = pool->next;
		while (pool->free) {
			struct looker *k = pool->free;

			pool->free = k->next;
			decoder_free(k->decoder);
			matcher_free(k->matcher);
			free(k);
		}
		matcher_free(pool->matcher);
		free(pool);
	}
}

static struct looker_pool *lookers_of(struct pipeline *p, const struct source *s)
{
	struct looker_pool *pool = p->lookers;

	while (pool && (strcmp(pool->source.name, s->name) || pool->source.zone != s->zone))
		pool = pool->next;
	if (pool)
		return pool;
	pool = xcalloc(1, sizeof *pool);
	pool->source = *s;
	pool->next = p->lookers;
	p->lookers = pool;
	return pool;
}

/* One for a block of this lane. */
static struct looker *looker_take(const struct pipeline *p, struct lane *l)
{
	struct looker *k = l->lookers->free;

	if (k) {
		l->lookers->free = k->next;
		return k;
	}
	k = xcalloc(1, sizeof *k);
	if (!decoder_wants_all(l->decoder))
		k->decoder = decoder_new(&l->lookers->source, &p->o.rules->fields, p->o.zone, p->o.record_limit);
	if (p->o.trace) { /* which asks it for more than a copy has */
		k->matcher = matcher_new(p->o.rules, &l->lookers->source, p->diags);
		return k;
	}
	if (!l->lookers->matcher)
		l->lookers->matcher = matcher_new(p->o.rules, &l->lookers->source, p->diags);
	k->matcher = matcher_copy(l->lookers->matcher);
	return k;
}

/* It may be used again; what it counted is the lane's. */
static void looker_give(struct lane *l, struct looker *k)
{
	if (k->decoder)
		decoder_take_stats(l->decoder, k->decoder);
	matcher_take_stats(k->matcher, &l->matched);
	k->next = l->lookers->free;
	l->lookers->free = k;
}

/* The batch that was begun first, when its worker is done with it. */
static struct batch *batch_fetch(struct pipeline *p)
{
	struct batch *b = p->first_batch;

	workers_wait(p->workers, &b->job);
	p->first_batch = b->next;
	if (!b->next)
		p->last_batch = &p->first_batch;
	p->n_batches--;
	b->lane->n_batches--;
	return b;
}

/* Its looker and itself may be used again. */
static void batch_done(struct pipeline *p, struct batch *b)
{
	looker_give(b->lane, b->looker);
	block_pool_give(p->blocks, &b->own);
	b->next = p->free_batches;
	p->free_batches = b;
}

static void lane_free(struct lane *l)
{
	decoder_free(l->decoder);
	block_release(&l->block);
	free(l);
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	while (p->first_batch)
		batch_done(p, batch_fetch(p));
	while (p->free_batches) {
		struct batch *b = p->free_batches;

		p->free_batches = b->next;
		batch_release(b);
		free(b);
	}
	unbuild(p);
	for (size_t i = 0; i < p->n_lanes; i++)
		lane_free(p->lanes[i]);
	lookers_free(p->lookers);
	workers_free(p->workers);
	block_pool_free(p->blocks);
	free(p->lanes);
	batch_release(&p->batch);
	map_release(&p->names);
	free(p);
}

static void flush_outputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_outputs; i++)
		switch (output_flush(&p->outputs[i], p->diags)) {
		case OUTPUT_OK:
			break;
		case OUTPUT_FAILED:
			p->failed = true;
			p->closed = true; /* what cannot be told need not be found */
			break;
		case OUTPUT_CLOSED:
			p->closed = true;
			break;
		}
}

/* ---- lanes ---- */

const struct source *source_by_name(const struct ruleset *rs, const char *name)
{
	size_t n;
	const struct source *built_in = builtin_sources(&n);

	for (size_t i = 0; i < rs->n_sources; i++)
		if (!strcmp(rs->sources[i]->name, name))
			return rs->sources[i];
	for (size_t i = 0; i < n; i++)
		if (!strcmp(built_in[i].name, name))
			return &built_in[i];
	return NULL;
}

static const char *lasting(struct pipeline *p, const char *name)
{
	return map_add(&p->names, span_from_string(name), NULL)->key.ptr;
}

static struct lane *lane_new(struct pipeline *p, const char *name)
{
	struct lane *l = xcalloc(1, sizeof *l);

	l->name = lasting(p, name);
	l->next_start = SIZE_MAX;
	l->first_ns = l->newest_ns = l->mtime_ns = l->arrival_ns = l->rest_ns = l->rest_read_ns = l->rest_seen_ns = TIME_NONE;
	l->due_ns = l->observed_ns = INT64_MAX;
	l->place.file = l->next_place.file = l->name;
	l->place.line = 1;
	l->number = p->next_number++;
	ARRAY_GROW(p->lanes, p->n_lanes, p->cap_lanes);
	p->lanes[p->n_lanes++] = l;
	return l;
}

/* Its events can be waited for from now on. */
static void lane_present(struct pipeline *p, struct lane *l)
{
	engine_source_present(p->engine, &l->source);
	engine_source_observed(p->engine, &l->source, l->observed_ns);
	l->observed = engine_observes(p->engine, &l->source);
	l->parse_all = l->parse_all || l->observed;
}

struct lane *pipeline_lane(struct pipeline *p, const char *name)
{
	struct lane *l = NULL;

	for (size_t i = 0; i < p->n_lanes && !l; i++)
		if (!p->lanes[i]->claimed && !strcmp(p->lanes[i]->name, name))
			l = p->lanes[i];
	if (!l)
		l = lane_new(p, name);
	l->claimed = true;
	l->at_end = false;
	if (l->has_source)
		lane_present(p, l);
	return l;
}

const char *lane_name(const struct lane *l)
{
	return l->name;
}

const struct source *lane_source(const struct lane *l)
{
	return l->has_source ? &l->source : NULL;
}

struct span lane_waiting(const struct lane *l)
{
	return block_span(&l->block);
}

bool lane_ended(const struct lane *l)
{
	return l->ended;
}

void lane_set_at_end(struct lane *l, bool at_end)
{
	l->at_end = at_end;
}

void lane_set_arrival(struct lane *l, int64_t arrival_ns)
{
	l->arrival_ns = arrival_ns;
	if (l->decoder)
		decoder_set_arrival(l->decoder, arrival_ns);
}

int64_t lane_newest(const struct lane *l)
{
	int64_t framed_ns = l->n_batches ? decoder_newest(l->decoder) : TIME_NONE;

	return framed_ns > l->newest_ns ? framed_ns : l->newest_ns;
}

static void lane_settle(struct pipeline *p, struct lane *l);

void lane_drop(struct pipeline *p, struct lane *l)
{
	size_t i = 0;

	lane_settle(p, l);
	while (p->lanes[i] != l)
		i++;
	memmove(&p->lanes[i], &p->lanes[i + 1], (p->n_lanes - i - 1) * sizeof *p->lanes);
	p->n_lanes--;
	lane_free(l);
}

static void tell_fallbacks(struct lane *l)
{
	decoder_begin_file(l->decoder, l->mtime_ns);
	decoder_set_arrival(l->decoder, l->arrival_ns);
}

static void lane_decode(struct pipeline *p, struct lane *l, const struct source *s)
{
	const struct zone *z = p->o.zone_of ? p->o.zone_of(p->o.zone_context, s->name) : NULL;

	l->source = *s;
	l->has_source = true;
	if (z)
		l->source.zone = z;
	l->decoder = decoder_new(&l->source, &p->o.rules->fields, p->o.zone, p->o.record_limit);
	l->lookers = lookers_of(p, &l->source);
	l->judged = p->o.trace && p->o.trace->judge && trace_wants_source(p->o.trace, p->o.rules, &l->source);
	l->parse_all = p->o.look || l->judged || decoder_wants_all(l->decoder);
	l->may_parse_later = !p->o.look && !p->o.trace && !decoder_wants_all(l->decoder);
	tell_fallbacks(l);
}

void lane_set_source(struct pipeline *p, struct lane *l, const struct source *s)
{
	lane_decode(p, l, s);
	lane_present(p, l);
}

void lane_set_observed(struct pipeline *p, struct lane *l)
{
	l->observed_ns = TIME_NONE;
	engine_source_observed(p->engine, &l->source, TIME_NONE);
}

static void lane_process(struct pipeline *p, struct lane *l, bool final);

static uint64_t count_lines(struct span s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

void lane_begin_file(struct pipeline *p, struct lane *l, const char *file, uint32_t generation, int64_t mtime_ns, int64_t arrival_ns)
{
	struct place place = { lasting(p, file), generation, 1, 0 };

	l->files++;
	l->mtime_ns = mtime_ns;
	l->arrival_ns = arrival_ns;
	if (l->next_start != SIZE_MAX)
		lane_process(p, l, true); /* a record over three files: it ends here */
	if (l->block.len == 0) {
		l->place = place;
		l->next_start = SIZE_MAX;
	} else {
		if (!span_ends_with(block_span(&l->block), SPAN("\n")))
			block_append(&l->block, SPAN("\n")); /* a file's last line ends with it, also when it was cut off */
		l->next_place = place;
		l->next_start = l->block.len;
		l->next_lines = count_lines(block_span(&l->block));
	}
	if (l->decoder)
		tell_fallbacks(l);
}

void lane_continue_file(struct pipeline *p, struct lane *l, const char *file, uint32_t generation)
{
	struct place *place = l->next_start != SIZE_MAX ? &l->next_place : &l->place;

	place->file = lasting(p, file);
	place->generation = generation;
}

struct lane_place lane_place(const struct lane *l)
{
	bool in_next = l->next_start != SIZE_MAX;
	const struct place *place = in_next ? &l->next_place : &l->place;
	struct span rest = span_from(block_span(&l->block), in_next ? l->next_start : 0);

	return (struct lane_place){ place->line + count_lines(rest), place->offset + rest.len };
}

void lane_set_place(struct lane *l, struct lane_place at)
{
	struct place *place = l->next_start != SIZE_MAX ? &l->next_place : &l->place;

	place->line = at.line;
	place->offset = at.offset;
}

static struct origin origin_of(const struct batch *b, const struct lane *l, const struct record *r)
{
	bool in_next = r->offset >= b->next_start;
	const struct place *place = in_next ? &b->next_place : &b->place;

	return (struct origin){
		.file = place->file,
		.line = place->line + r->line - (in_next ? b->next_lines : 0),
		.generation = place->generation,
		.offset = place->offset + r->offset - (in_next ? b->next_start : 0),
		.stream = l->number,
	};
}

static bool out_of_bounds(const struct pipeline *p, int64_t time_ns)
{
	return (p->o.since_ns != TIME_NONE && time_ns < p->o.since_ns) || (p->o.until_ns != TIME_NONE && time_ns > p->o.until_ns);
}

static void let_go_first(struct pipeline *p)
{
	const uint32_t *matched;
	size_t n;
	int64_t order_ns = order_pop(&p->order, &p->popped, &matched, &n);

	engine_event(p->engine, &p->popped, order_ns, matched, n);
}

/* What is held in front of the lane's next event. */
static inline void let_go_before(struct pipeline *p, int64_t order_ns, const struct lane *l)
{
	while (p->order.n && order_goes_before(&p->order, order_ns, &l->source, l->name, l->sequence))
		let_go_first(p);
}

/*
 * Parses and matches record number index into e, which is reset. False when there is nothing to hand on. The caller's thread has the batch: nothing of the pipeline is changed.
 * fallback_ns: the time of a record that has none.
 */
static inline __attribute__((always_inline)) bool record_parse(const struct pipeline *p, struct lane *l, const struct batch *b, size_t index,
							       int64_t fallback_ns, struct event *e, uint32_t *matched, size_t *ret_n)
{
	const struct record *r = &b->records.items[index];
	struct decoder *d = b->looker->decoder ? b->looker->decoder : l->decoder;
	enum parse_result result = PARSE_EVENT;

	/* Of what matches whatever its values are hardly ever more than the agent is asked for. */
	if (!l->may_parse_later || !matcher_decided(b->looker->matcher, index) || !decoder_parse_later(d, b->block, r, e))
		result = decoder_parse(d, b->block, r, e);
	e->source = &l->source;
	if (e->time_ns == TIME_NONE)
		e->time_ns = fallback_ns;
	e->origin = origin_of(b, l, r);
	*ret_n = 0;
	if (result == PARSE_NOTHING || out_of_bounds(p, e->time_ns))
		return false;
	if (p->o.look) {
		p->o.look(p->o.look_context, e, result);
		return false;
	}
	if (e->kind != EVENT_LOG)
		return true;
	if (l->judged)
		p->o.trace->judge(p->o.trace->context, b->looker->matcher, e);
	*ret_n = matcher_match(b->looker->matcher, index, e, matched);
	return *ret_n || l->observed;
}

/* Gives the event its place in the order. */
static inline __attribute__((always_inline)) void event_take(struct pipeline *p, struct lane *l, const struct event *e, const uint32_t *matched, size_t n)
{
	int64_t order_ns = e->time_ns;

	if (l->newest_ns != TIME_NONE && order_ns < l->newest_ns - p->o.lateness_ns)
		order_ns = l->newest_ns - p->o.lateness_ns;
	if (order_ns < p->watermark_ns)
		order_ns = p->watermark_ns;
	if (order_ns != e->time_ns)
		l->late++;
	if (order_ns < p->direct_ns) {
		let_go_before(p, order_ns, l);
		l->sequence++;
		engine_event(p->engine, e, order_ns, matched, n);
	} else {
		order_push(&p->order, e, order_ns, l->name, l->sequence++, matched, n);
	}
}

static inline void record_take(struct pipeline *p, struct lane *l, const struct batch *b, size_t index)
{
	size_t n;

	event_reset(&p->event);
	if (record_parse(p, l, b, index, l->newest_ns != TIME_NONE ? l->newest_ns : p->o.now_ns, &p->event, p->matched, &n))
		event_take(p, l, &p->event, p->matched, n);
}

/* The first `used` bytes, which are `lines` lines, are done with: what follows them is in the block, or will be. */
static void lane_move_on(struct lane *l, size_t used, uint64_t lines)
{
	if (l->next_start != SIZE_MAX && used >= l->next_start) {
		l->place = l->next_place;
		l->place.offset += used - l->next_start;
		l->place.line += lines - l->next_lines;
		l->next_start = SIZE_MAX;
	} else {
		l->place.offset += used;
		l->place.line += lines;
		if (l->next_start != SIZE_MAX) {
			l->next_start -= used;
			l->next_lines -= lines;
		}
	}
}

/* Reading takes its time, and the machine may have slept meanwhile: nothing is refused by a clock that was read long ago. */
static bool from_the_future(const struct pipeline *p, int64_t time_ns)
{
	return time_ns > p->o.now_ns + FUTURE_LIMIT_NS && (!p->o.clock || time_ns > p->o.clock() + FUTURE_LIMIT_NS);
}

/* Moves the lane's newest stamp on to that of a record; false when the record is not believed: it is from the future. */
static bool record_seen(struct pipeline *p, struct lane *l, const struct record *r)
{
	if (r->time_ns != TIME_NONE && from_the_future(p, r->time_ns)) {
		l->future++;
		return false;
	}
	if (r->time_ns > l->newest_ns) {
		if (l->newest_ns == TIME_NONE)
			l->first_ns = r->time_ns;
		l->newest_ns = r->time_ns;
	}
	if (r->time_ns < l->observed_ns) {
		l->observed_ns = r->time_ns;
		engine_source_observed(p->engine, &l->source, r->time_ns);
	}
	return true;
}

/* Are there stamps on all records, in order, and none from the future? */
static bool in_order(const struct pipeline *p, const struct record_list *records)
{
	return records->n && !records->disordered && records->items[0].time_ns != TIME_NONE &&
	       records->items[records->n - 1].time_ns <= p->o.now_ns + FUTURE_LIMIT_NS;
}

/* The watermark after a block of this lane that ends at newest_ns; TIME_NONE where there is more to it than that. */
static int64_t watermark_after(const struct pipeline *p, const struct lane *l, int64_t newest_ns)
{
	int64_t reading = newest_ns > l->newest_ns ? newest_ns : l->newest_ns;

	for (size_t i = 0; i < p->n_lanes; i++) {
		const struct lane *other = p->lanes[i];
		if (other->at_end && !other->ended)
			return TIME_NONE;
		if (other != l && !other->ended && other->newest_ns < reading)
			reading = other->newest_ns;
	}
	return reading == TIME_NONE ? TIME_NONE : reading - p->o.lateness_ns;
}

/* Frames what is in the lane's block, which stays where it is. */
static void batch_frame(const struct pipeline *p, struct lane *l, struct batch *b, bool final)
{
	uint64_t lines_before = decoder_stats(l->decoder)->lines;

	block_pad(&l->block);
	b->block = block_span(&l->block);
	b->place = l->place;
	b->next_place = l->next_place;
	b->next_start = l->next_start;
	b->next_lines = l->next_lines;
	b->n_events = b->n_values = b->n_matched = b->n_parsed = 0;
	b->used = decoder_frame(l->decoder, b->block, final, &b->records);
	b->lines = decoder_stats(l->decoder)->lines - lines_before;
	b->in_order = in_order(p, &b->records);
	b->block.len = b->used;
}

/* Finds the candidates. In the thread that has it. */
static void batch_scan(const struct lane *l, struct batch *b)
{
	size_t words = (b->records.n + 63) / 64;

	if (words > b->cap_candidates) {
		b->cap_candidates = words * 2;
		b->candidates = xrealloc(b->candidates, b->cap_candidates * sizeof *b->candidates);
	}
	if (!b->records.n)
		return;
	matcher_scan(b->looker->matcher, b->block, &b->records, b->candidates);
	if (!l->parse_all)
		return;
	memset(b->candidates, 0xff, words * sizeof *b->candidates);
	if (b->records.n % 64)
		b->candidates[words - 1] >>= 64 - b->records.n % 64;
}

/* The next candidate from record number i on; SIZE_MAX: none. */
static inline size_t next_candidate(const struct batch *b, size_t i)
{
	size_t words = (b->records.n + 63) / 64, w = i / 64;
	uint64_t bits = w < words ? b->candidates[w] & ~UINT64_C(0) << i % 64 : 0;

	while (!bits && ++w < words)
		bits = b->candidates[w];
	return bits ? w * 64 + (unsigned)__builtin_ctzll(bits) : SIZE_MAX;
}

/* The event of a batch: p->shown, or p->event, which has room for values that are not there yet. */
static const struct event *batch_event_show(struct pipeline *p, const struct lane *l, const struct batch *b, const struct batch_event *e)
{
	struct event *shown = e->unparsed ? &p->event : &p->shown;

	if (e->unparsed)
		event_reset(shown);
	else
		event_show(shown, b->values + e->first_value, e->n_values);
	shown->unparsed = e->unparsed;
	shown->kind = e->kind;
	shown->time_ns = e->time_ns;
	shown->source = &l->source;
	shown->origin = origin_of(b, l, &b->records.items[e->record]);
	shown->raw = e->raw;
	shown->agent_number = e->agent_number;
	shown->snapshot_ns = e->snapshot_ns;
	shown->snapshot_complete = e->snapshot_complete;
	shown->n_parsed = e->n_parsed;
	return shown;
}

/* The same as record_seen() for a record behind the first of a block that is in order: none is from the future. */
static inline void record_passed(struct lane *l, const struct record *r)
{
	if (r->time_ns > l->newest_ns)
		l->newest_ns = r->time_ns;
}

/* Hands on what a block has given, in the order of its records. */
static void batch_take(struct pipeline *p, struct lane *l, struct batch *b)
{
	const struct record *records = b->records.items;
	size_t n = b->records.n;

	if (!b->in_order) {
		for (size_t i = 0; i < n; i++)
			if (record_seen(p, l, &records[i]) && (b->candidates[i / 64] >> (i % 64) & 1))
				record_take(p, l, b, i);
		return;
	}
	/* From one candidate to the next; the newest stamp in front of each is its own. The first of a lane is that of its first record, though. */
	record_seen(p, l, &records[0]);
	if (p->direct && !p->o.trace && !decoder_wants_all(l->decoder))
		p->direct_ns = watermark_after(p, l, records[n - 1].time_ns);
	for (size_t i = 0; i < b->n_events; i++) {
		const struct batch_event *e = &b->events[i];
		record_passed(l, &records[e->record]);
		event_take(p, l, batch_event_show(p, l, b, e), b->matched + e->first_matched, e->n_matched);
	}
	event_show(&p->shown, NULL, 0);
	for (size_t i = next_candidate(b, b->n_parsed), next; i != SIZE_MAX; i = next) {
		next = next_candidate(b, i + 1);
		/* What the engine looked at has driven it out of the nearest cache. */
		if (next != SIZE_MAX) {
			__builtin_prefetch(b->block.ptr + records[next].offset);
			__builtin_prefetch(b->block.ptr + records[next].offset + records[next].len);
		}
		record_passed(l, &records[i]);
		record_take(p, l, b, i);
	}
	record_passed(l, &records[n - 1]);
	p->direct_ns = TIME_NONE;
}

/*
 * What is not framed of a block is the end of a record, as a rule: that moves to memory of its size, and the block's goes to who reads next. So a lane
 * that waits for others takes little.
 */
static void lane_give_block(struct pipeline *p, struct lane *l)
{
	struct block block = BLOCK_INIT;

	if (l->block.len > BLOCK_FRONT || l->block.cap < LANE_BLOCK_MIN)
		return;
	block_exchange(&block, &l->block);
	block_append(&l->block, block_span(&block));
	block_pool_give(p->blocks, &block);
}

/* Frames, matches and parses what is complete. final: nothing follows what is in the block. */
static void lane_process(struct pipeline *p, struct lane *l, bool final)
{
	struct batch *b = &p->batch;

	lane_settle(p, l);
	if (!l->has_source || (l->block.len == 0 && !final))
		return;
	batch_frame(p, l, b, final);
	b->looker = looker_take(p, l);
	batch_scan(l, b);
	batch_take(p, l, b);
	looker_give(l, b->looker);
	lane_move_on(l, b->used, b->lines);
	block_consume(&l->block, b->used);
	lane_give_block(p, l);
}

/* ---- by a worker ---- */

/*
 * In a replay the looking is done by workers, while the caller's thread reads and frames further blocks, and hands on what earlier ones gave, in the
 * order in which they were read. When it has to wait for a worker it looks at a block itself.
 *
 *	main     read, frame 4 │ hand on 1 │ read, frame 5 │ hand on 2 │ …
 *	workers    look at 2   │     look at 3     │     look at 4     │ …
 *
 * So the lane's newest stamp is some blocks behind what was fed. Whoever asks for more than that (the end of the lane, of the run)
 * settles the lane first. What comes out is the same: it depends on the bytes alone.
 */
static void batch_look(void *context)
{
	struct batch *b = context;
	const struct pipeline *p = b->pipeline;

	batch_scan(b->lane, b);
	event_reset(&b->event);
	if (!b->in_order)
		return;
	for (size_t i = 0; (i = next_candidate(b, i)) != SIZE_MAX && b->n_events < BATCH_EVENTS_MAX; b->n_parsed = ++i) {
		struct event *e = &b->event;
		size_t n;
		if (b->cap_matched - b->n_matched < p->o.rules->n_rules) {
			b->cap_matched = b->cap_matched * 2 + p->o.rules->n_rules;
			b->matched = xrealloc(b->matched, b->cap_matched * sizeof *b->matched);
		}
		event_empty(e);
		if (!record_parse(p, b->lane, b, i, TIME_NONE, e, b->matched + b->n_matched, &n))
			continue;
		if (b->cap_values - b->n_values < e->n_values) {
			b->cap_values = b->cap_values * 2 + e->n_values;
			b->values = xrealloc(b->values, b->cap_values * sizeof *b->values);
		}
		if (b->n_events == b->cap_events) {
			b->cap_events = b->cap_events ? b->cap_events * 2 : 64;
			b->events = xrealloc(b->events, b->cap_events * sizeof *b->events);
		}
		b->events[b->n_events++] = (struct batch_event){
			.record = i,
			.first_value = (uint32_t)b->n_values, .n_values = (uint32_t)e->n_values,
			.first_matched = (uint32_t)b->n_matched, .n_matched = (uint32_t)n,
			.kind = e->kind,
			.snapshot_complete = e->snapshot_complete,
			.n_parsed = e->n_parsed,
			.time_ns = e->time_ns, .snapshot_ns = e->snapshot_ns,
			.agent_number = e->agent_number,
			.unparsed = e->unparsed,
			.raw = e->raw,
		};
		if (e->n_values)
			memcpy(b->values + b->n_values, e->values, e->n_values * sizeof *e->values);
		b->n_values += e->n_values;
		b->n_matched += n;
	}
}

static bool may_defer(const struct pipeline *p, const struct lane *l)
{
	return p->workers && p->direct && l->has_source && !l->ended && !p->o.look && !p->o.trace && !decoder_wants_all(l->decoder);
}

/* Hands on what the batch that was begun first has given. */
static void batch_settle(struct pipeline *p)
{
	struct batch *b = batch_fetch(p);

	batch_take(p, b->lane, b);
	batch_done(p, b);
}

static void lane_settle(struct pipeline *p, struct lane *l)
{
	while (l->n_batches)
		batch_settle(p);
}

static void settle_all(struct pipeline *p)
{
	while (p->first_batch)
		batch_settle(p);
}

/* Frames what the lane's block holds, and gives what is complete to a worker. */
static void lane_defer(struct pipeline *p, struct lane *l)
{
	struct batch *b = p->free_batches;

	if (b) {
		p->free_batches = b->next;
	} else {
		b = xcalloc(1, sizeof *b);
		event_init(&b->event, field_count(&p->o.rules->fields));
	}
	batch_frame(p, l, b, false);
	lane_move_on(l, b->used, b->lines);
	if (!b->records.n) {
		block_consume(&l->block, b->used);
		b->next = p->free_batches;
		p->free_batches = b;
		return;
	}
	block_exchange(&b->own, &l->block);
	block_append(&l->block, span_from(block_span(&b->own), b->used));
	b->looker = looker_take(p, l);
	b->pipeline = p;
	b->lane = l;
	b->next = NULL;
	*p->last_batch = b;
	p->last_batch = &b->next;
	p->n_batches++;
	l->n_batches++;
	b->job = (struct job){ .run = batch_look, .context = b };
	workers_start(p->workers, &b->job);
	while (p->n_batches > p->max_batches)
		batch_settle(p);
}

/* ---- feeding ---- */

struct block *lane_block(struct lane *l)
{
	return &l->block;
}

void lane_fed(struct pipeline *p, struct lane *l, size_t n)
{
	if (n) {
		l->at_end = false;
		l->rest_read_ns = l->rest_seen_ns = TIME_NONE;
	}
	if (!may_defer(p, l))
		lane_process(p, l, false);
	else if (n)
		lane_defer(p, l);
}

void lane_feed(struct pipeline *p, struct lane *l, struct span bytes)
{
	block_append(&l->block, bytes);
	lane_fed(p, l, bytes.len);
}

void lane_end(struct pipeline *p, struct lane *l)
{
	if (!l->ended)
		lane_process(p, l, true);
	l->ended = true;
	block_pool_give(p->blocks, &l->block);
}

/* ---- time ---- */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Never past the end of time: deadlines may be anywhere. */
static int64_t later(int64_t a, int64_t span_ns)
{
	int64_t sum;

	return __builtin_add_overflow(a, span_ns, &sum) ? INT64_MAX : sum;
}

/* Looks at what is left of a lane that is at its end. */
static void rest_look(struct pipeline *p, struct lane *l)
{
	l->rest = REST_NOTHING;
	l->due_ns = INT64_MAX;
	if (!l->has_source || l->ended || l->block.len == 0)
		return;
	lane_process(p, l, false);
	l->rest = decoder_rest(l->decoder, block_span(&l->block), &l->rest_ns, &l->open_ns);
}

/*
 * From which horizon on the rest is complete. Of a piece nobody can say when it was written; but a writer that began a line before one round
 * will have ended it by the lateness after that. all_read: the round is at its end.
 */
static int64_t rest_due(const struct pipeline *p, struct lane *l, int64_t horizon_ns, bool all_read)
{
	int64_t patience = p->o.lateness_ns > PIECE_NS ? p->o.lateness_ns : PIECE_NS;

	switch (l->rest) {
	case REST_NOTHING:
		break;
	case REST_RECORD:
		return l->rest_ns == TIME_NONE ? TIME_NONE : l->rest_ns + p->o.lateness_ns;
	case REST_LINE:
		return l->rest_ns + patience;
	case REST_PIECE:
		if (!all_read)
			return horizon_ns + 1;
		if (l->rest_read_ns == TIME_NONE || l->rest_read_ns > horizon_ns)
			l->rest_read_ns = horizon_ns;
		else if (horizon_ns > l->rest_read_ns && (l->rest_seen_ns == TIME_NONE || l->rest_seen_ns > horizon_ns))
			l->rest_seen_ns = horizon_ns;
		return l->rest_seen_ns == TIME_NONE ? horizon_ns + 1 : l->rest_seen_ns + patience;
	}
	return INT64_MAX;
}

/*
 * Takes the rest when it is complete. Returns up to where the horizon may go for this lane: behind a whole record that may go on nothing can stand in
 * front of it; a line without its newline may turn out to be of the record before it, or to have its stamp.
 */
static int64_t rest_settle(struct pipeline *p, struct lane *l, int64_t horizon_ns, bool all_read)
{
	if (l->rest == REST_NOTHING)
		return INT64_MAX;
	l->due_ns = rest_due(p, l, horizon_ns, all_read);
	if (l->due_ns <= horizon_ns) {
		lane_process(p, l, true);
		l->rest = REST_NOTHING;
		l->due_ns = INT64_MAX;
		l->rest_read_ns = l->rest_seen_ns = TIME_NONE;
		return INT64_MAX;
	}
	if (l->rest == REST_RECORD || (l->newest_ns == TIME_NONE && l->open_ns == TIME_NONE))
		return INT64_MAX;
	return l->open_ns != TIME_NONE && l->open_ns + p->o.lateness_ns > l->newest_ns ? l->open_ns + p->o.lateness_ns : l->newest_ns;
}

/*
 * Up to which time, and not further, all input is known: the clock, or what the stamps say. With the promise of lateness: what is read
 * later is stamped no earlier than this − lateness. TIME_NONE: nothing is known. INT64_MAX: there are no lanes.
 */
static int64_t horizon(const struct pipeline *p, int64_t now_ns, bool *ret_all_read)
{
	int64_t reading = INT64_MAX, newest = TIME_NONE;

	for (size_t i = 0; i < p->n_lanes; i++) {
		const struct lane *l = p->lanes[i];
		if (l->newest_ns > newest)
			newest = l->newest_ns;
		if (!l->ended && !l->at_end)
			reading = least(reading, l->newest_ns);
		else if (l->at_end && l->rest != REST_NOTHING && l->rest_ns > newest)
			newest = l->rest_ns;
	}
	*ret_all_read = reading == INT64_MAX;
	if (now_ns != TIME_NONE)
		return least(reading, now_ns);
	return reading != INT64_MAX || !p->n_lanes ? reading : least(newest, p->o.now_ns);
}

static void let_go(struct pipeline *p, int64_t before_ns)
{
	while (p->order.n && order_first(&p->order) < before_ns)
		let_go_first(p);
}

/* Can an event of the lane that is not read yet take its place at the watermark? What stands behind its own newest stamp is moved to that, less the lateness. */
static bool may_be_late(const struct pipeline *p, const struct lane *l)
{
	return !l->ended && (l->newest_ns == TIME_NONE || l->newest_ns - p->o.lateness_ns <= p->watermark_ns);
}

/*
 * Hands on what stands at the watermark, as far as nothing can come in front of it any more. What was late is there, and where a log's time jumps back far
 * (it was put together in the wrong order) all of it is, until the newest stamp moves on. A lane that is not there yet may have an event in front of it: in a
 * replay of files there is none; else it is held, for that, but no more of it than LATE_LIMIT.
 */
#define LATE_LIMIT 65536 /* events; 540 bytes each, as a rule */
static void let_go_late(struct pipeline *p)
{
	size_t held = p->direct ? 0 : LATE_LIMIT;
	const struct lane *least = NULL;

	if (p->order.n <= held || order_first(&p->order) != p->watermark_ns)
		return;
	for (size_t i = 0; i < p->n_lanes; i++) {
		const struct lane *l = p->lanes[i];
		if (!may_be_late(p, l))
			continue;
		if (!l->has_source)
			return;
		if (!least || l->source.rank < least->source.rank || (l->source.rank == least->source.rank && strcmp(l->name, least->name) < 0))
			least = l;
	}
	while (p->order.n > held && order_first(&p->order) == p->watermark_ns &&
	       (!least || order_goes_before(&p->order, p->watermark_ns, &least->source, least->name, least->sequence)))
		let_go_first(p);
}

void pipeline_set_direct(struct pipeline *p, bool direct)
{
	if (!direct)
		settle_all(p);
	p->direct = direct;
}

void pipeline_set_clock(struct pipeline *p, int64_t now_ns)
{
	p->o.now_ns = now_ns;
	notices_look(p);
}

void pipeline_advance(struct pipeline *p, int64_t now_ns)
{
	for (size_t i = 0; i < p->n_lanes; i++)
		if (p->lanes[i]->at_end)
			rest_look(p, p->lanes[i]);
	bool all_read;
	int64_t limit = horizon(p, now_ns, &all_read), bound;
	if (limit == TIME_NONE || limit == INT64_MAX)
		goto done;
	p->hold_ns = INT64_MAX;
	for (size_t i = 0; i < p->n_lanes; i++)
		if (p->lanes[i]->at_end)
			p->hold_ns = least(p->hold_ns, rest_settle(p, p->lanes[i], limit, all_read));
	bound = least(limit, p->hold_ns);
	if (bound != TIME_NONE && bound - p->o.lateness_ns > p->watermark_ns)
		p->watermark_ns = bound - p->o.lateness_ns;
	if (p->watermark_ns == TIME_NONE)
		goto done;
	let_go(p, p->watermark_ns);
	let_go_late(p);
	bound = p->watermark_ns;
	if (p->o.until_ns != TIME_NONE)
		bound = least(bound, p->o.until_ns);
	engine_advance(p->engine, bound - 1);
done:
	flush_outputs(p);
}

int64_t pipeline_next_due(const struct pipeline *p)
{
	int64_t due = INT64_MAX, deadline = engine_next_deadline(p->engine);

	/* What stands behind the hold waits for a rest to be complete, not for the clock. */
	if (p->order.n && later(order_first(&p->order), p->o.lateness_ns) < p->hold_ns)
		due = later(order_first(&p->order), p->o.lateness_ns + 1);
	if (deadline != TIME_NONE && later(deadline, p->o.lateness_ns) < p->hold_ns)
		due = least(due, later(deadline, p->o.lateness_ns + 1));
	for (size_t i = 0; i < p->n_lanes; i++)
		if (p->lanes[i]->at_end)
			due = least(due, p->lanes[i]->due_ns);
	return due == INT64_MAX ? TIME_NONE : due;
}

int64_t pipeline_watermark(const struct pipeline *p)
{
	return p->watermark_ns;
}

void pipeline_finish(struct pipeline *p)
{
	int64_t end = TIME_NONE;

	settle_all(p);
	let_go(p, INT64_MAX);
	for (size_t i = 0; i < p->n_lanes; i++)
		if (p->lanes[i]->newest_ns > end)
			end = p->lanes[i]->newest_ns;
	if (p->o.until_ns != TIME_NONE)
		end = p->o.until_ns;
	if (end != TIME_NONE)
		engine_advance(p->engine, end);
	engine_finish(p->engine);
	flush_outputs(p);
}

/* ---- state ---- */

/* Is it worth keeping though no run asks for it? */
static bool lane_matters(const struct pipeline *p, const struct lane *l)
{
	if (l->ended && !l->has_source)
		return false; /* not recognised: tried again */
	return l->claimed || l->block.len || order_holds(&p->order, l->number) ||
	       (l->newest_ns != TIME_NONE && p->watermark_ns != TIME_NONE && l->newest_ns > p->watermark_ns - FORGET_NS);
}

static void place_save(const struct place *place, struct buffer *out)
{
	codec_put_span(out, span_from_string(place->file));
	codec_put_u64(out, place->generation);
	codec_put_u64(out, place->line);
	codec_put_u64(out, place->offset);
}

static void lane_save(const struct lane *l, struct buffer *out)
{
	struct buffer state = BUFFER_INIT;

	codec_put_span(out, span_from_string(l->name));
	codec_put_u64(out, l->number);
	codec_put_span(out, span_from_string(l->has_source ? l->source.name : ""));
	codec_put_i64(out, l->newest_ns);
	codec_put_i64(out, l->observed_ns);
	codec_put_u64(out, l->sequence);
	codec_put_i64(out, l->mtime_ns > TIME_MOST ? TIME_NONE : l->mtime_ns);
	place_save(&l->place, out);
	codec_put_span(out, block_span(&l->block));
	codec_put_i64(out, l->rest_read_ns);
	codec_put_i64(out, l->rest_seen_ns);
	codec_put_u64(out, l->next_start != SIZE_MAX);
	if (l->next_start != SIZE_MAX) {
		place_save(&l->next_place, out);
		codec_put_u64(out, l->next_start);
		codec_put_u64(out, l->next_lines);
	}
	if (l->has_source) {
		codec_put_u64(out, l->source.format);
		decoder_save(l->decoder, &state);
	}
	codec_put_span(out, buffer_span(&state));
	buffer_release(&state);
}

/*
 *	version · watermark · next lane's number
 *	n lanes, ascending numbers:
 *	  name, number, source (empty: not known yet), newest stamp, least stamp, sequence, mtime of its file
 *	  place (file, generation, line, offset), bytes not framed yet, when they were read, and seen the same
 *	  0 | 1 and the place from which on bytes are of the next file, where that is, lines before it
 *	  [format of the source] decoder's state
 *	the order (order.c) · the engine (save.c)
 */
void pipeline_save(const struct pipeline *p, struct buffer *out)
{
	uint64_t n = 0;

	codec_put_u64(out, SAVE_VERSION);
	codec_put_i64(out, p->watermark_ns);
	codec_put_u64(out, p->next_number);
	for (size_t i = 0; i < p->n_lanes; i++)
		n += lane_matters(p, p->lanes[i]);
	codec_put_u64(out, n);
	for (size_t i = 0; i < p->n_lanes; i++)
		if (lane_matters(p, p->lanes[i]))
			lane_save(p->lanes[i], out);
	order_save(&p->order, p->o.rules, out);
	engine_save(p->engine, out);
}

/* A time that can be reckoned with. */
static int64_t get_time(struct codec_reader *in)
{
	int64_t t = codec_get_i64(in);

	if (t != TIME_NONE && (t < TIME_LEAST || t > TIME_MOST))
		in->bad = true;
	return t;
}

static void place_load(struct pipeline *p, struct place *place, struct codec_reader *in)
{
	struct span file = codec_get_span(in);

	place->file = map_add(&p->names, file, NULL)->key.ptr;
	uint64_t generation = codec_get_u64(in);
	place->generation = (uint32_t)generation;
	place->line = codec_get_u64(in);
	place->offset = codec_get_u64(in);
	if (generation > UINT32_MAX || strlen(place->file) != file.len)
		in->bad = true;
}

/* Numbers must rise: they are searched for. */
static struct lane *lane_numbered(struct pipeline *p, const char *name, uint64_t number, uint64_t above)
{
	if (number >= p->next_number || (above && number < above))
		return NULL;
	for (size_t i = 0; i < p->n_lanes; i++)
		if (p->lanes[i]->number == number)
			return p->lanes[i];
	struct lane *l = lane_new(p, name);
	p->next_number--;
	l->number = (uint32_t)number;
	return l;
}

/* above: the least number that it may have. NULL when damaged. */
static struct lane *lane_load(struct pipeline *p, struct codec_reader *in, uint64_t above, struct diag_list *diags)
{
	struct span name = codec_get_span(in);
	uint64_t number = codec_get_u64(in);
	struct span source = codec_get_span(in);
	struct lane *l = in->bad ? NULL : lane_numbered(p, map_add(&p->names, name, NULL)->key.ptr, number, above);

	if (!l) {
		in->bad = true;
		return NULL;
	}
	l->at_end = true;
	l->newest_ns = get_time(in);
	l->observed_ns = codec_get_i64(in);
	l->sequence = codec_get_u64(in);
	l->mtime_ns = get_time(in);
	place_load(p, &l->place, in);
	block_append(&l->block, codec_get_span(in));
	l->rest_read_ns = get_time(in);
	l->rest_seen_ns = get_time(in);
	if (codec_get_u64(in)) {
		place_load(p, &l->next_place, in);
		l->next_start = codec_get_u64(in);
		l->next_lines = codec_get_u64(in);
		if (l->next_start > l->block.len || l->next_lines > l->next_start)
			in->bad = true;
	}
	uint64_t format = source.len ? codec_get_u64(in) : 0;
	struct span state = codec_get_span(in);
	if (in->bad || !source.len)
		return l;
	const struct source *s = source_by_name(p->o.rules, map_add(&p->names, source, NULL)->key.ptr);
	if (!s || (uint64_t)s->format != format) {
		diag_add(diags, DIAG_WARNING, l->name, 0, 0, "was read as source %s, which the rules no longer define so; what was read of it and not yet used is lost",
			map_add(&p->names, source, NULL)->key.ptr);
		block_clear(&l->block);
		l->next_start = SIZE_MAX;
		return l;
	}
	lane_decode(p, l, s);
	struct codec_reader reader = { state.ptr, state.ptr + state.len, false };
	if (!decoder_load(l->decoder, &reader) || reader.bad || reader.ptr != reader.end)
		in->bad = true;
	return l;
}

static bool load(struct pipeline *p, struct codec_reader *in, struct diag_list *diags)
{
	struct order_stream *streams = NULL;
	size_t n_streams = 0, cap_streams = 0;
	uint64_t above = 0;

	if (codec_get_u64(in) != SAVE_VERSION)
		in->bad = true;
	p->watermark_ns = get_time(in);
	uint64_t next_number = codec_get_u64(in);
	if (next_number > UINT32_MAX / 2)
		in->bad = true;
	p->next_number = (uint32_t)next_number;
	for (size_t n = codec_get_count(in); n && !in->bad; n--) {
		const struct lane *l = lane_load(p, in, above, diags);
		if (!l)
			break;
		above = (uint64_t)l->number + 1;
		if (l->has_source) {
			ARRAY_GROW(streams, n_streams, cap_streams);
			streams[n_streams++] = (struct order_stream){ l->number, l->name, &l->source };
		}
	}
	bool ok = !in->bad && order_load(&p->order, in, p->o.rules, streams, n_streams, &p->names) && engine_load(p->engine, in);
	free(streams);
	return ok;
}

bool pipeline_load(struct pipeline *p, struct codec_reader *in, struct diag_list *diags)
{
	if (load(p, in, diags))
		return true;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "the saved state is damaged");
	return false;
}

static void skip_place(struct codec_reader *in)
{
	codec_get_span(in);
	for (int i = 0; i < 3; i++)
		codec_get_u64(in);
}

static struct pipeline_saved_lane describe_lane(struct codec_reader *in)
{
	struct pipeline_saved_lane l = { .name = codec_get_span(in) };

	codec_get_u64(in);
	l.source = codec_get_span(in);
	l.newest_ns = codec_get_i64(in);
	codec_get_i64(in);
	codec_get_u64(in);
	codec_get_i64(in);
	skip_place(in);
	l.waiting = codec_get_span(in).len;
	codec_get_i64(in);
	codec_get_i64(in);
	if (codec_get_u64(in)) {
		skip_place(in);
		codec_get_u64(in);
		codec_get_u64(in);
	}
	if (l.source.len)
		codec_get_u64(in);
	codec_get_span(in);
	return l;
}

bool pipeline_describe(struct codec_reader *in, struct pipeline_saved *ret)
{
	size_t cap = 0;

	*ret = (struct pipeline_saved){ 0 };
	if (codec_get_u64(in) != SAVE_VERSION)
		in->bad = true;
	ret->watermark_ns = codec_get_i64(in);
	codec_get_u64(in);
	for (size_t n = codec_get_count(in); n && !in->bad; n--) {
		ARRAY_GROW(ret->lanes, ret->n_lanes, cap);
		ret->lanes[ret->n_lanes++] = describe_lane(in);
	}
	return order_describe(in, &ret->n_held) && engine_describe(in, &ret->engine);
}

void pipeline_saved_release(struct pipeline_saved *s)
{
	free(s->lanes);
	engine_saved_release(&s->engine);
	*s = (struct pipeline_saved){ 0 };
}

void pipeline_set_rules(struct pipeline *p, const struct ruleset *rules, struct diag_list *diags)
{
	struct buffer state = BUFFER_INIT;
	struct engine_stats counted = *engine_stats(p->engine);
	uint64_t peak = p->order.peak;
	struct looker_pool *old_lookers;

	settle_all(p);
	for (size_t i = p->n_lanes; i-- > 0;)
		if (!lane_matters(p, p->lanes[i]))
			lane_drop(p, p->lanes[i]);
	pipeline_save(p, &state);
	unbuild(p);
	build(p, rules);
	old_lookers = p->lookers;
	p->lookers = NULL;
	for (size_t i = 0; i < p->n_lanes; i++) {
		struct lane *l = p->lanes[i];
		l->old_decoder = l->decoder;
		l->decoder = NULL;
		l->lookers = NULL;
		l->has_source = false;
		block_clear(&l->block);
		l->next_start = SIZE_MAX;
	}
	struct codec_reader in = { state.data, state.data + state.len, false };
	bool ok = load(p, &in, diags);
	assert(ok);
	(void)ok;
	for (size_t i = 0; i < p->n_lanes; i++) {
		struct lane *l = p->lanes[i];
		if (l->has_source) {
			decoder_take_stats(l->decoder, l->old_decoder);
			if (l->claimed)
				lane_present(p, l);
		}
		decoder_free(l->old_decoder);
		l->old_decoder = NULL;
	}
	lookers_free(old_lookers);
	engine_add_stats(p->engine, &counted);
	p->order.peak = peak;
	buffer_release(&state);
}

bool pipeline_sync(struct pipeline *p)
{
	flush_outputs(p);
	if (!p->closed && !outputs_sync(p->outputs, p->n_outputs, p->diags))
		p->failed = p->closed = true;
	return !p->closed;
}

bool pipeline_closed(const struct pipeline *p)
{
	return p->closed;
}

bool pipeline_failed(const struct pipeline *p)
{
	return p->failed;
}

/* ---- what happened ---- */

bool pipeline_lane_stats(const struct pipeline *p, size_t index, struct lane_stats *ret)
{
	for (size_t i = 0; i < p->n_lanes; i++) {
		const struct lane *l = p->lanes[i];
		if (!l->has_source || index-- > 0)
			continue;
		*ret = (struct lane_stats){ l->name, l->source.name, l->source.format, decoder_stamped(l->decoder), decoder_stats(l->decoder), &l->matched, l->files, l->late, l->future,
					    l->first_ns, l->newest_ns };
		return true;
	}
	return false;
}

struct workers *pipeline_workers(const struct pipeline *p)
{
	return p->workers;
}

struct block_pool *pipeline_blocks(const struct pipeline *p)
{
	return p->blocks;
}

const struct engine *pipeline_engine(const struct pipeline *p)
{
	return p->engine;
}

uint64_t pipeline_held(const struct pipeline *p)
{
	return p->order.n;
}

uint64_t pipeline_held_peak(const struct pipeline *p)
{
	return p->order.peak;
}

uint64_t pipeline_notices_dropped(const struct pipeline *p)
{
	return p->notices > NOTICE_LIMIT ? p->notices - NOTICE_LIMIT : 0;
}
