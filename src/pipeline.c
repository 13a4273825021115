/*
 * One run: which stream is read next, and when what was read may be let go.
 *
 * Each stream (feed) is read a block at a time, always the one whose newest stamp is oldest, so that what has to be held back
 * for the order stays small. A feed has one lane (decoder, matcher), or, where `==> path <==` headers switch,
 * one a path. What is let go depends on stamps alone; the clock is only asked when a pipe falls silent.
 */
#include "pipeline.h"

#include "base/memory.h"
#include "engine/order.h"
#include "input/headers.h"
#include "input/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10)
#define PADDING 64       /* readable bytes behind a block */
#define SNIFF_BYTES ((size_t)64 << 10)
#define NOTICE_LIMIT 20

/* Where a block begins, for people. */
struct place {
	const char *file;
	uint32_t generation;
	uint64_t line, offset;
};

struct lane {
	const char *name;       /* orders equal stamps of two streams of one source; shown in --stats */
	const struct source *source; /* NULL: not recognised yet */
	struct source own_source;    /* a copy with the run's zone for it */
	struct decoder *decoder;
	struct matcher *matcher;
	bool parse_all;

	struct buffer block;    /* what is not framed yet */
	struct place place;     /* of its first byte */
	struct place next_place;/* where the bytes from next_start on come from */
	size_t next_start;      /* SIZE_MAX: all are of `place` */
	uint64_t next_lines;    /* lines of the block in front of next_start */

	int64_t newest_ns;      /* newest stamp; TIME_NONE: none yet */
	uint64_t sequence;
	int64_t heard_ns;       /* monotonic clock, pipes only: when bytes last came */
	bool ended;
	uint64_t files, late, future;
	uint32_t stream;
};

struct feed {
	const struct stream *stream;
	size_t next_file;
	struct reader *reader;
	uint64_t bytes_before;  /* compressed bytes of files that are done */
	bool is_pipe;
	bool ended;
	struct lane **lanes;
	size_t n_lanes, cap_lanes;
	struct header_splitter *headers; /* NULL: no headers */
	struct lane *current;
};

struct pipeline {
	const struct pipeline_options *o;
	struct output *outputs;
	size_t n_outputs;
	struct diag_list *diags;
	struct pipeline_result *result;
	struct feed *feeds;
	size_t n_feeds;
	struct engine *engine;
	struct order order;
	struct event event, popped;
	struct record_list records;
	uint64_t *candidates;
	size_t cap_candidates;
	uint32_t *matched;
	struct map names;       /* file names that live as long as the run */
	uint32_t n_streams;
	unsigned notices;
	bool failed, closed;
};

/* ---- outputs and notices ---- */

static void on_change(void *context, const struct change *c)
{
	struct pipeline *p = context;

	for (size_t i = 0; i < p->n_outputs; i++)
		output_change(&p->outputs[i], c);
}

static void on_notice(void *context, const struct rule *rule, int64_t time_ns, const char *text)
{
	struct pipeline *p = context;
	struct buffer when = BUFFER_INIT;

	if (++p->notices > NOTICE_LIMIT) {
		p->result->notices_dropped++;
		return;
	}
	time_format_utc(&when, time_ns);
	diag_add(p->diags, DIAG_WARNING, NULL, 0, 0, "%s at %s: %s", rule->name, buffer_string(&when), text);
	buffer_release(&when);
}

static void flush_outputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_outputs; i++)
		switch (output_flush(&p->outputs[i], p->diags)) {
		case OUTPUT_OK:
			break;
		case OUTPUT_CLOSED:
			p->closed = true;
			break;
		case OUTPUT_FAILED:
			p->failed = true;
			p->closed = true; /* what cannot be told need not be found */
			break;
		}
}

/* ---- lanes ---- */

static int64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static const char *lasting(struct pipeline *p, const char *name)
{
	return map_add(&p->names, span_from_string(name), NULL)->key.ptr;
}

static struct lane *lane_new(struct pipeline *p, struct feed *f, const char *name)
{
	struct lane *l = xcalloc(1, sizeof *l);

	l->name = lasting(p, name);
	l->next_start = SIZE_MAX;
	l->newest_ns = TIME_NONE;
	l->stream = p->n_streams++;
	l->heard_ns = f->is_pipe ? clock_ns() : 0;
	ARRAY_GROW(f->lanes, f->n_lanes, f->cap_lanes);
	f->lanes[f->n_lanes++] = l;
	return l;
}

static void lane_free(struct lane *l)
{
	decoder_free(l->decoder);
	matcher_free(l->matcher);
	buffer_release(&l->block);
	free(l);
}

static void lane_set_source(struct pipeline *p, struct lane *l, const struct source *s)
{
	const struct zone *z = p->o->zone_of(p->o->zone_context, s->name);

	l->own_source = *s;
	if (z)
		l->own_source.zone = z;
	l->source = &l->own_source;
	l->decoder = decoder_new(l->source, &p->o->rules->fields, p->o->zone, p->o->record_limit);
	l->matcher = matcher_new(p->o->rules, l->source, p->diags);
	engine_source_present(p->engine, l->source);
	l->parse_all = p->o->look || decoder_wants_all(l->decoder) || engine_observes(p->engine, l->source);
}

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

/*
 * Finds out what a lane is from its first bytes, once there are enough of them. False when it cannot be told (an
 * error is added, the lane is given up).
 */
static bool lane_recognise(struct pipeline *p, struct lane *l, const char *named, const char *path, bool all_there)
{
	const struct ruleset *rs = p->o->rules;
	const struct source *s = NULL;

	if (named)
		s = source_by_name(rs, named);
	if (!s && strcmp(path, "-"))
		s = source_from_path(path, rs->sources, rs->n_sources);
	if (!s && l->block.len == 0 && all_there)
		s = source_by_name(rs, "text"); /* empty: it does not matter */
	if (!s && l->block.len < SNIFF_BYTES && !all_there && !memchr(l->block.len ? l->block.data : "", '\n', l->block.len))
		return true; /* not a whole line yet */
	if (!s)
		s = source_from_content(span_of(l->block.data, l->block.len < SNIFF_BYTES ? l->block.len : SNIFF_BYTES), rs->sources,
					rs->n_sources);
	if (s) {
		lane_set_source(p, l, s);
		return true;
	}
	bool is_stdin = !strcmp(path, "-");
	bool binary = memchr(l->block.data, 0, l->block.len < 512 ? l->block.len : 512) != NULL;
	diag_add(p->diags, DIAG_ERROR, is_stdin ? NULL : path, 0, 0, "%s%s", is_stdin ? "standard input: " : "",
		 binary ? "this is binary data, not a log" : "cannot tell what kind of log this is");
	if (is_stdin)
		diag_hint(p->diags, "name it: -s SOURCE, for example -s town; any stamped text: -s text");
	else
		diag_hint(p->diags, "name it: SOURCE=%s, for example town=%s; any stamped text: text=%s", path, path, path);
	p->failed = true;
	return false;
}

/* A new file begins behind what is in the block. */
static void lane_begin_file(struct lane *l, const char *file, uint32_t generation, int64_t mtime_ns)
{
	struct place place = { file, generation, 1, 0 };

	l->files++;
	if (l->decoder)
		decoder_begin_file(l->decoder, mtime_ns);
	if (l->block.len == 0) {
		l->place = place;
		l->next_start = SIZE_MAX;
		return;
	}
	if (l->block.data[l->block.len - 1] != '\n')
		buffer_append_char(&l->block, '\n'); /* a file's last line ends with it, also when cut off */
	l->next_place = place;
	l->next_start = l->block.len;
	l->next_lines = 0;
	for (size_t i = 0; i < l->block.len; i++)
		l->next_lines += l->block.data[i] == '\n';
}

static void event_take(struct pipeline *p, struct lane *l, size_t index)
{
	const struct record *r = &p->records.items[index];
	struct event *e = &p->event;

	event_reset(e);
	enum parse_result result = decoder_parse(l->decoder, buffer_span(&l->block), r, e);
	if (e->time_ns == TIME_NONE)
		e->time_ns = l->newest_ns != TIME_NONE ? l->newest_ns : p->o->now_ns;
	bool in_next = r->offset >= l->next_start;
	const struct place *place = in_next ? &l->next_place : &l->place;
	e->origin = (struct origin){
		.file = place->file,
		.line = place->line + r->line - (in_next ? l->next_lines : 0),
		.generation = place->generation,
		.offset = place->offset + r->offset - (in_next ? l->next_start : 0),
		.stream = l->stream,
	};
	if (p->o->look) {
		p->o->look(p->o->look_context, e, result);
		return;
	}
	if (result == PARSE_NOTHING)
		return;
	if ((p->o->since_ns != TIME_NONE && e->time_ns < p->o->since_ns) ||
	    (p->o->until_ns != TIME_NONE && e->time_ns > p->o->until_ns))
		return;
	size_t n = 0;
	if (e->kind == EVENT_LOG) {
		n = matcher_match(l->matcher, index, e, p->matched);
		if (n == 0 && !engine_observes(p->engine, l->source))
			return;
	}
	int64_t order_ns = e->time_ns;
	if (l->newest_ns != TIME_NONE && order_ns < l->newest_ns - p->o->lateness_ns) {
		order_ns = l->newest_ns - p->o->lateness_ns;
		l->late++;
	}
	order_push(&p->order, e, order_ns, l->name, l->sequence++, p->matched, n);
}

/* Frames, matches and parses what is complete. final: nothing follows what is in the block. */
static void lane_process(struct pipeline *p, struct lane *l, bool final)
{
	if (!l->source || (l->block.len == 0 && !final))
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
		if (r->time_ns != TIME_NONE && r->time_ns > p->o->now_ns + FUTURE_LIMIT_NS) {
			l->future++;
			continue;
		}
		if (r->time_ns > l->newest_ns)
			l->newest_ns = r->time_ns;
		if (l->parse_all || (p->candidates[i / 64] >> (i % 64) & 1))
			event_take(p, l, i);
	}

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

/* ---- feeds ---- */

static bool feed_is_live(const struct feed *f)
{
	return f->is_pipe && f->reader && reader_compression(f->reader) == COMPRESSION_NONE;
}

static struct lane *lane_for_path(struct pipeline *p, struct feed *f, const char *path)
{
	for (size_t i = 0; i < f->n_lanes; i++)
		if (!strcmp(f->lanes[i]->name, path))
			return f->lanes[i];
	struct lane *l = lane_new(p, f, path);
	lane_begin_file(l, l->name, 0, TIME_NONE);
	return l;
}

static void lane_ready(struct pipeline *p, struct feed *f, struct lane *l, bool all_there)
{
	if (l->source || l->ended)
		return;
	const char *named = f->stream->source_name ? f->stream->source_name : NULL;
	const char *path = f->headers ? l->name : f->stream->log_path;
	if (!named && !strcmp(f->stream->log_path, "-"))
		named = f->headers && source_from_path(path, p->o->rules->sources, p->o->rules->n_sources) ? NULL : p->o->stdin_source;
	if (!lane_recognise(p, l, named, path, all_there)) {
		l->ended = true;
		buffer_clear(&l->block);
		return;
	}
	if (l->source) {
		decoder_begin_file(l->decoder, f->reader && !f->is_pipe ? reader_mtime_ns(f->reader) : TIME_NONE);
		if (f->is_pipe)
			decoder_set_arrival(l->decoder, p->o->now_ns);
	}
}

static bool feed_open_next(struct pipeline *p, struct feed *f)
{
	while (f->next_file < f->stream->n_files) {
		const struct stream_file *file = &f->stream->files[f->next_file++];
		bool is_stdin = !strcmp(file->path, "-");
		f->reader = is_stdin ? reader_new(dup(STDIN_FILENO), "standard input") : reader_open(file->path, p->diags);
		if (!f->reader) {
			p->failed = true;
			continue;
		}
		struct stat st;
		f->is_pipe = is_stdin && fstat(STDIN_FILENO, &st) == 0 && !S_ISREG(st.st_mode);
		if (!f->headers) {
			if (!f->current)
				f->current = lane_new(p, f, f->stream->log_path);
			if (f->current->next_start != SIZE_MAX)
				lane_process(p, f->current, true); /* a record over three files: not seen in practice */
			lane_begin_file(f->current, lasting(p, file->shown), (uint32_t)f->next_file - 1, f->is_pipe ? TIME_NONE : reader_mtime_ns(f->reader));
		}
		return true;
	}
	return false;
}

static void feed_end(struct pipeline *p, struct feed *f)
{
	f->ended = true;
	for (size_t i = 0; i < f->n_lanes; i++) {
		lane_ready(p, f, f->lanes[i], true);
		lane_process(p, f->lanes[i], true);
		f->lanes[i]->ended = true;
	}
}

/* Bytes of a feed with headers, each run to the lane of its path. */
static void feed_split(struct pipeline *p, struct feed *f, struct span bytes, bool final)
{
	struct span run;

	while (header_splitter_next(f->headers, &bytes, final, &run)) {
		if (run.len == 0)
			continue;
		f->current = lane_for_path(p, f, header_splitter_path(f->headers));
		buffer_append_span(&f->current->block, run);
		f->current->heard_ns = clock_ns();
		lane_ready(p, f, f->current, false);
		if (f->current->block.len >= BLOCK_BYTES)
			lane_process(p, f->current, false);
	}
	for (size_t i = 0; i < f->n_lanes; i++)
		lane_process(p, f->lanes[i], false);
}

/* Reads one block and takes it through to the order. */
static void feed_step(struct pipeline *p, struct feed *f)
{
	if (!f->reader && !feed_open_next(p, f)) {
		feed_end(p, f);
		return;
	}
	struct lane *l = f->current;
	struct buffer scratch = BUFFER_INIT;
	struct buffer *into = f->headers ? &scratch : &l->block;

	buffer_reserve(into, BLOCK_BYTES + PADDING);
	ssize_t n = reader_read(f->reader, into->data + into->len, BLOCK_BYTES, p->diags);
	if (n == READER_ERROR)
		p->failed = true;
	if (n <= 0) {
		f->bytes_before += reader_bytes_in(f->reader);
		if (f->headers)
			feed_split(p, f, SPAN(""), true);
		else
			lane_ready(p, f, l, true);
		reader_free(f->reader);
		f->reader = NULL;
		buffer_release(&scratch);
		return;
	}
	into->len += (size_t)n;
	if (!f->headers && l->files == 1 && l->place.offset == 0 && !l->source && f->next_file == 1 &&
	    header_begins(buffer_span(into)) && !strcmp(f->stream->log_path, "-")) {
		/* `tail -F a b |`: the first line says so */
		f->headers = header_splitter_new();
		scratch = l->block;
		l->block = (struct buffer)BUFFER_INIT;
		l->ended = true;
		lane_free(l);
		f->n_lanes = 0;
		f->current = NULL;
		into = &scratch;
	}
	if (f->headers) {
		feed_split(p, f, buffer_span(into), false);
	} else if (l->ended) {
		buffer_clear(&l->block); /* not recognised: given up */
		reader_free(f->reader);
		f->reader = NULL;
		f->next_file = f->stream->n_files;
	} else {
		l->heard_ns = f->is_pipe ? clock_ns() : 0;
		lane_ready(p, f, l, false);
		lane_process(p, l, false);
	}
	buffer_release(&scratch);
}

/* ---- order and time ---- */

static int64_t feed_newest(const struct feed *f)
{
	int64_t newest = TIME_NONE;

	for (size_t i = 0; i < f->n_lanes; i++)
		if (f->lanes[i]->newest_ns > newest)
			newest = f->lanes[i]->newest_ns;
	return newest;
}

/* Every event that is still to come has an order time at or after it; INT64_MAX when none is to come. */
static int64_t frontier(const struct pipeline *p)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < p->n_feeds; i++) {
		const struct feed *f = &p->feeds[i];
		if (f->ended)
			continue;
		if (f->n_lanes == 0)
			return TIME_NONE;
		bool live = feed_is_live(f);
		for (size_t j = 0; j < f->n_lanes; j++) {
			const struct lane *l = f->lanes[j];
			if (l->ended)
				continue;
			if (live && f->n_lanes > 1 && clock_ns() - l->heard_ns > p->o->lateness_ns)
				continue; /* idle */
			if (l->newest_ns == TIME_NONE)
				return TIME_NONE;
			if (l->newest_ns - p->o->lateness_ns < least)
				least = l->newest_ns - p->o->lateness_ns;
		}
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
	if (before_ns != INT64_MAX && before_ns != TIME_NONE)
		engine_advance(p->engine, before_ns - 1);
}

/* A pipe that has fallen silent: what is complete is taken as it is, nothing is held back for it. */
static void pipe_idle(struct pipeline *p, struct feed *f)
{
	for (size_t i = 0; i < f->n_lanes; i++) {
		struct lane *l = f->lanes[i];
		if (l->block.len && l->block.data[l->block.len - 1] == '\n') {
			lane_ready(p, f, l, false);
			lane_process(p, l, true);
		}
	}
	let_go(p, INT64_MAX);
	flush_outputs(p);
}

/* Waits for a pipe to say something; a silence of more than lateness is used to catch up. */
static void pipe_wait(struct pipeline *p, struct feed *f)
{
	struct pollfd fd = { STDIN_FILENO, POLLIN, 0 };
	int64_t ms = p->o->lateness_ns / 1000000;

	flush_outputs(p);
	for (bool idle = false; !p->closed; idle = true) {
		int n = poll(&fd, 1, idle ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
		if (n > 0 || (n < 0 && errno != EINTR))
			return;
		if (n == 0)
			pipe_idle(p, f);
	}
}

static struct feed *feed_next(struct pipeline *p)
{
	struct feed *best = NULL;

	for (size_t i = 0; i < p->n_feeds; i++)
		if (!p->feeds[i].ended && (!best || feed_newest(&p->feeds[i]) < feed_newest(best)))
			best = &p->feeds[i];
	return best;
}

/* ---- the run ---- */

static void report_progress(struct pipeline *p, uint64_t total)
{
	uint64_t done = 0;

	if (!p->o->progress)
		return;
	for (size_t i = 0; i < p->n_feeds; i++)
		done += p->feeds[i].bytes_before + (p->feeds[i].reader ? reader_bytes_in(p->feeds[i].reader) : 0);
	p->o->progress(p->o->progress_context, done, total);
}

static void gather_stats(struct pipeline *p)
{
	struct pipeline_result *r = p->result;
	size_t n = 0;

	for (size_t i = 0; i < p->n_feeds; i++)
		n += p->feeds[i].n_lanes;
	r->streams = xcalloc(n ? n : 1, sizeof *r->streams);
	for (size_t i = 0; i < p->n_feeds; i++)
		for (size_t j = 0; j < p->feeds[i].n_lanes; j++) {
			const struct lane *l = p->feeds[i].lanes[j];
			if (!l->source)
				continue;
			struct stream_stats *s = &r->streams[r->n_streams++];
			*s = (struct stream_stats){ .source = xstrdup(l->source->name), .name = xstrdup(l->name), .decoder = *decoder_stats(l->decoder),
						    .matcher = *matcher_stats(l->matcher), .files = l->files, .late = l->late, .future = l->future };
			s->decoder.unparsed_sample = (struct buffer)BUFFER_INIT;
			buffer_append_span(&s->decoder.unparsed_sample, buffer_span(&decoder_stats(l->decoder)->unparsed_sample));
		}
	r->engine = *engine_stats(p->engine);
	r->open_incidents = engine_open_incidents(p->engine);
	r->held_peak = p->order.peak;
	r->output_closed = p->closed && !p->failed;
}

void pipeline_result_release(struct pipeline_result *r)
{
	for (size_t i = 0; i < r->n_streams; i++) {
		free((void *)(uintptr_t)r->streams[i].name);
		free((void *)(uintptr_t)r->streams[i].source);
		buffer_release(&r->streams[i].decoder.unparsed_sample);
	}
	free(r->streams);
	*r = (struct pipeline_result){ 0 };
}

bool pipeline_run(const struct pipeline_options *o, const struct stream_list *streams, struct output *outputs, size_t n_outputs,
		  struct pipeline_result *ret, struct diag_list *diags)
{
	struct engine_options eo = { .max_keys = o->max_keys };
	struct pipeline p = { .o = o, .outputs = outputs, .n_outputs = n_outputs, .diags = diags, .result = ret };
	struct feed *f;

	*ret = (struct pipeline_result){ 0 };
	p.engine = engine_new(o->rules, &eo, on_change, on_notice, &p);
	p.feeds = xcalloc(streams->n ? streams->n : 1, sizeof *p.feeds);
	p.n_feeds = streams->n;
	for (size_t i = 0; i < streams->n; i++)
		p.feeds[i].stream = &streams->items[i];
	p.matched = xcalloc(o->rules->n_rules ? o->rules->n_rules : 1, sizeof *p.matched);
	event_init(&p.event, field_count(&o->rules->fields));
	event_init(&p.popped, field_count(&o->rules->fields));
	uint64_t total = stream_total_bytes(streams);

	while (!p.closed && (f = feed_next(&p))) {
		if (feed_is_live(f))
			pipe_wait(&p, f);
		feed_step(&p, f);
		int64_t bound = frontier(&p);
		if (o->until_ns != TIME_NONE && bound > o->until_ns)
			bound = o->until_ns;
		let_go(&p, bound);
		flush_outputs(&p);
		report_progress(&p, total);
	}
	if (!p.closed) {
		int64_t end = TIME_NONE;
		for (size_t i = 0; i < p.n_feeds; i++)
			if (feed_newest(&p.feeds[i]) > end)
				end = feed_newest(&p.feeds[i]);
		let_go(&p, INT64_MAX);
		if (o->until_ns != TIME_NONE)
			end = o->until_ns;
		if (end != TIME_NONE)
			engine_advance(p.engine, end);
		engine_finish(p.engine);
		flush_outputs(&p);
	}

	gather_stats(&p);
	for (size_t i = 0; i < p.n_feeds; i++) {
		for (size_t j = 0; j < p.feeds[i].n_lanes; j++)
			lane_free(p.feeds[i].lanes[j]);
		free(p.feeds[i].lanes);
		reader_free(p.feeds[i].reader);
		header_splitter_free(p.feeds[i].headers);
	}
	free(p.feeds);
	engine_free(p.engine);
	order_release(&p.order);
	event_release(&p.event);
	event_release(&p.popped);
	free(p.records.items);
	free(p.candidates);
	free(p.matched);
	map_release(&p.names);
	return !p.failed;
}
