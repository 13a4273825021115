/*
 * Lanes, their order, and what is let go. A lane's block holds what is not framed yet: the end of a record that goes on
 * in the next bytes. Nothing here asks a clock.
 */
#include "pipeline.h"

#include "base/memory.h"
#include "engine/order.h"

#include <stdlib.h>

#define PADDING 64 /* readable bytes behind a block */
#define NOTICE_LIMIT 20

/* Where a byte was read, for people. */
struct place {
	const char *file;
	uint32_t generation;
	uint64_t line, offset;
};

struct lane {
	const char *name;
	struct source source;    /* a copy, with the run's zone for it */
	bool has_source, ended, idle;
	bool parse_all, judged;
	struct decoder *decoder;
	struct matcher *matcher;

	struct buffer block;     /* what is not framed yet */
	struct place place;      /* of its first byte */
	struct place next_place; /* where the bytes from next_start on come from */
	size_t next_start;       /* SIZE_MAX: all are of `place` */
	uint64_t next_lines;     /* lines of the block in front of next_start */
	int64_t mtime_ns, arrival_ns;

	int64_t newest_ns;
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
	struct event event, popped;
	struct record_list records;
	uint64_t *candidates;
	size_t cap_candidates;
	uint32_t *matched;
	struct map names;        /* of files: evidence points to them */
	uint64_t notices;
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

static void on_notice(void *context, const struct rule *rule, int64_t time_ns, const char *text)
{
	struct pipeline *p = context;
	struct buffer when = BUFFER_INIT;

	if (++p->notices > NOTICE_LIMIT)
		return;
	time_format_utc(&when, time_ns);
	diag_add(p->diags, DIAG_WARNING, NULL, 0, 0, "%s at %s: %s", rule->name, buffer_string(&when), text);
	buffer_release(&when);
}

struct pipeline *pipeline_new(const struct pipeline_options *o, struct output *outputs, size_t n_outputs, struct diag_list *diags)
{
	struct pipeline *p = xcalloc(1, sizeof *p);
	struct engine_options eo = { .max_keys = o->max_keys };

	p->o = *o;
	p->outputs = outputs;
	p->n_outputs = n_outputs;
	p->diags = diags;
	p->engine = engine_new(o->rules, &eo, on_change, on_notice, p);
	engine_trace_set(p->engine, o->trace);
	p->matched = xcalloc(o->rules->n_rules ? o->rules->n_rules : 1, sizeof *p->matched);
	event_init(&p->event, field_count(&o->rules->fields));
	event_init(&p->popped, field_count(&o->rules->fields));
	return p;
}

static void lane_free(struct lane *l)
{
	decoder_free(l->decoder);
	matcher_free(l->matcher);
	buffer_release(&l->block);
	free(l);
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	engine_free(p->engine);
	for (size_t i = 0; i < p->n_lanes; i++)
		lane_free(p->lanes[i]);
	free(p->lanes);
	order_release(&p->order);
	event_release(&p->event);
	event_release(&p->popped);
	free(p->records.items);
	free(p->candidates);
	free(p->matched);
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

static const char *lasting(struct pipeline *p, const char *name)
{
	return map_add(&p->names, span_from_string(name), NULL)->key.ptr;
}

struct lane *pipeline_lane(struct pipeline *p, const char *name)
{
	struct lane *l = xcalloc(1, sizeof *l);

	l->name = lasting(p, name);
	l->next_start = SIZE_MAX;
	l->newest_ns = l->mtime_ns = l->arrival_ns = TIME_NONE;
	l->number = p->next_number++;
	ARRAY_GROW(p->lanes, p->n_lanes, p->cap_lanes);
	p->lanes[p->n_lanes++] = l;
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
	return buffer_span(&l->block);
}

bool lane_ended(const struct lane *l)
{
	return l->ended;
}

void lane_set_idle(struct lane *l, bool idle)
{
	l->idle = idle;
}

int64_t lane_newest(const struct lane *l)
{
	return l->newest_ns;
}

void lane_drop(struct pipeline *p, struct lane *l)
{
	size_t i = 0;

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

void lane_set_source(struct pipeline *p, struct lane *l, const struct source *s)
{
	const struct zone *z = p->o.zone_of ? p->o.zone_of(p->o.zone_context, s->name) : NULL;

	l->source = *s;
	l->has_source = true;
	if (z)
		l->source.zone = z;
	l->decoder = decoder_new(&l->source, &p->o.rules->fields, p->o.zone, p->o.record_limit);
	l->matcher = matcher_new(p->o.rules, &l->source, p->diags);
	engine_source_present(p->engine, &l->source);
	l->judged = p->o.trace && p->o.trace->judge && trace_wants_source(p->o.trace, p->o.rules, &l->source);
	l->parse_all = p->o.look || l->judged || decoder_wants_all(l->decoder) || engine_observes(p->engine, &l->source);
	tell_fallbacks(l);
}

static void lane_process(struct pipeline *p, struct lane *l, bool final);

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
		if (l->block.data[l->block.len - 1] != '\n')
			buffer_append_char(&l->block, '\n'); /* a file's last line ends with it, also when it was cut off */
		l->next_place = place;
		l->next_start = l->block.len;
		l->next_lines = 0;
		for (size_t i = 0; i < l->block.len; i++)
			l->next_lines += l->block.data[i] == '\n';
	}
	if (l->decoder)
		tell_fallbacks(l);
}

static struct origin origin_of(const struct lane *l, const struct record *r)
{
	bool in_next = r->offset >= l->next_start;
	const struct place *place = in_next ? &l->next_place : &l->place;

	return (struct origin){
		.file = place->file,
		.line = place->line + r->line - (in_next ? l->next_lines : 0),
		.generation = place->generation,
		.offset = place->offset + r->offset - (in_next ? l->next_start : 0),
		.stream = l->number,
	};
}

static bool out_of_bounds(const struct pipeline *p, int64_t time_ns)
{
	return (p->o.since_ns != TIME_NONE && time_ns < p->o.since_ns) || (p->o.until_ns != TIME_NONE && time_ns > p->o.until_ns);
}

static void record_take(struct pipeline *p, struct lane *l, size_t index)
{
	const struct record *r = &p->records.items[index];
	struct event *e = &p->event;

	event_reset(e);
	enum parse_result result = decoder_parse(l->decoder, buffer_span(&l->block), r, e);
	if (e->time_ns == TIME_NONE)
		e->time_ns = l->newest_ns != TIME_NONE ? l->newest_ns : p->o.now_ns;
	e->origin = origin_of(l, r);
	if (result == PARSE_NOTHING || out_of_bounds(p, e->time_ns))
		return;
	if (p->o.look) {
		p->o.look(p->o.look_context, e, result);
		return;
	}
	size_t n = 0;
	if (e->kind == EVENT_LOG) {
		if (l->judged)
			p->o.trace->judge(p->o.trace->context, l->matcher, e);
		n = matcher_match(l->matcher, index, e, p->matched);
		if (n == 0 && !engine_observes(p->engine, &l->source))
			return;
	}
	int64_t order_ns = e->time_ns;
	if (l->newest_ns != TIME_NONE && order_ns < l->newest_ns - p->o.lateness_ns) {
		order_ns = l->newest_ns - p->o.lateness_ns;
		l->late++;
	}
	order_push(&p->order, e, order_ns, l->name, l->sequence++, p->matched, n);
}

/* The first `used` bytes, which are `lines` lines, are done with. */
static void lane_consume(struct lane *l, size_t used, uint64_t lines)
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
	buffer_consume(&l->block, used);
}

/* Frames, matches and parses what is complete. final: nothing follows what is in the block. */
static void lane_process(struct pipeline *p, struct lane *l, bool final)
{
	if (!l->has_source || (l->block.len == 0 && !final))
		return;
	buffer_reserve(&l->block, PADDING);
	memset(l->block.data + l->block.len, 0, PADDING);
	uint64_t lines_before = decoder_stats(l->decoder)->lines;
	size_t used = decoder_frame(l->decoder, buffer_span(&l->block), final, &p->records);
	uint64_t lines = decoder_stats(l->decoder)->lines - lines_before;

	size_t words = (p->records.n + 63) / 64;
	if (words > p->cap_candidates) {
		p->cap_candidates = words * 2;
		p->candidates = xrealloc(p->candidates, p->cap_candidates * sizeof *p->candidates);
	}
	if (p->records.n)
		matcher_scan(l->matcher, buffer_span(&l->block), &p->records, p->candidates);
	for (size_t i = 0; i < p->records.n; i++) {
		const struct record *r = &p->records.items[i];
		if (r->time_ns != TIME_NONE && r->time_ns > p->o.now_ns + FUTURE_LIMIT_NS) {
			l->future++;
			continue;
		}
		if (r->time_ns > l->newest_ns)
			l->newest_ns = r->time_ns;
		if (l->parse_all || (p->candidates[i / 64] >> (i % 64) & 1))
			record_take(p, l, i);
	}
	lane_consume(l, used, lines);
}

char *lane_room(struct lane *l, size_t n)
{
	buffer_reserve(&l->block, n + PADDING);
	return l->block.data + l->block.len;
}

void lane_fed(struct pipeline *p, struct lane *l, size_t n)
{
	l->block.len += n;
	lane_process(p, l, false);
}

void lane_feed(struct pipeline *p, struct lane *l, struct span bytes)
{
	buffer_append_span(&l->block, bytes);
	lane_process(p, l, false);
}

void lane_flush(struct pipeline *p, struct lane *l)
{
	if (l->block.len && l->block.data[l->block.len - 1] == '\n')
		lane_process(p, l, true);
}

void lane_end(struct pipeline *p, struct lane *l)
{
	if (!l->ended)
		lane_process(p, l, true);
	l->ended = true;
}

/* ---- time ---- */

/* Every event that is still to come has an order time at or after it; INT64_MAX when none is to come, TIME_NONE: not known. */
static int64_t frontier(const struct pipeline *p)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < p->n_lanes; i++) {
		const struct lane *l = p->lanes[i];
		if (l->ended || l->idle)
			continue;
		if (l->newest_ns == TIME_NONE)
			return TIME_NONE;
		if (l->newest_ns - p->o.lateness_ns < least)
			least = l->newest_ns - p->o.lateness_ns;
	}
	return least;
}

static void let_go(struct pipeline *p, int64_t before_ns)
{
	const uint32_t *matched;
	size_t n;

	while (p->order.n && order_first(&p->order) < before_ns) {
		int64_t order_ns = order_pop(&p->order, &p->popped, &matched, &n);
		engine_event(p->engine, &p->popped, order_ns, matched, n);
	}
}

void pipeline_advance(struct pipeline *p)
{
	int64_t bound = frontier(p);

	let_go(p, bound);
	if (p->o.until_ns != TIME_NONE && bound > p->o.until_ns)
		bound = p->o.until_ns;
	if (bound != INT64_MAX && bound != TIME_NONE)
		engine_advance(p->engine, bound - 1);
	flush_outputs(p);
}

void pipeline_catch_up(struct pipeline *p)
{
	let_go(p, INT64_MAX);
	flush_outputs(p);
}

void pipeline_finish(struct pipeline *p)
{
	int64_t end = TIME_NONE;

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
		*ret = (struct lane_stats){ l->name, l->source.name, decoder_stats(l->decoder), matcher_stats(l->matcher), l->files, l->late, l->future };
		return true;
	}
	return false;
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
