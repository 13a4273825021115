/*
 * Reading streams. Each is a feed: a block at a time is taken from the feed whose newest stamp is oldest, so that what has to be held
 * back for the order stays small. A feed has one lane, or, where `==> path <==` headers switch between logs, one a
 * path. The clock is asked only to notice that a pipe has fallen silent.
 */
#include "run.h"

#include "base/memory.h"
#include "input/headers.h"
#include "input/reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10)
#define SNIFF_BYTES ((size_t)64 << 10)
#define BURST_LIMIT 100000 /* events held back for logs that a pipe may yet switch to */

/* A log inside a feed. */
struct branch {
	struct lane *lane;
	int64_t heard_ns; /* monotonic clock: when bytes last came */
};

struct feed {
	const struct stream *stream;
	size_t next_file;
	struct reader *reader;
	uint64_t bytes_before; /* on disk, of files that are done */
	bool is_pipe, is_live; /* live: a pipe whose bytes come as they are written, not out of an archive */
	bool ended, has_headers;
	bool settled;          /* headers: it was silent once, so all its logs have shown themselves */
	struct header_splitter headers;
	struct branch *branches;
	size_t n_branches, cap_branches;
	size_t current;
};

struct run {
	struct pipeline *pipeline;
	const struct run_options *o;
	struct diag_list *diags;
	struct feed *feeds;
	size_t n_feeds;
	uint64_t total_bytes; /* on disk, 0: unknown */
	bool failed;
};

static int64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static int64_t wall_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static bool from_stdin(const struct feed *f)
{
	return !strcmp(f->stream->log_path, "-");
}

/* ---- what a log is ---- */

static const struct source *source_of(const struct run *r, const struct feed *f, const struct lane *l, bool all_there)
{
	const struct ruleset *rs = r->o->rules;
	struct span first = lane_waiting(l);
	const struct source *s = NULL;

	if (f->stream->source_name)
		return source_by_name(rs, f->stream->source_name);
	if (f->has_headers || !from_stdin(f))
		s = source_from_path(f->has_headers ? lane_name(l) : f->stream->log_path, rs->sources, rs->n_sources);
	if (!s && from_stdin(f) && r->o->stdin_source)
		s = source_by_name(rs, r->o->stdin_source);
	if (!s && first.len == 0 && all_there)
		s = source_by_name(rs, "text"); /* an empty log is any log */
	if (!s && (all_there || first.len >= SNIFF_BYTES || memchr(first.ptr, '\n', first.len)))
		s = source_from_content(span_of(first.ptr, first.len < SNIFF_BYTES ? first.len : SNIFF_BYTES), rs->sources, rs->n_sources);
	return s;
}

static void say_unknown(struct run *r, const struct feed *f, const struct lane *l)
{
	struct span first = lane_waiting(l);
	bool binary = memchr(first.ptr, 0, first.len < 512 ? first.len : 512) != NULL;
	const char *what = binary ? "this is binary data, not a log" : "cannot tell what kind of log this is";
	const char *path = lane_name(l);

	if (from_stdin(f) && !f->has_headers) {
		diag_add(r->diags, DIAG_ERROR, NULL, 0, 0, "standard input: %s", what);
		diag_hint(r->diags, "name it: -s SOURCE, for example -s town; any stamped text: -s text");
	} else {
		diag_add(r->diags, DIAG_ERROR, path, 0, 0, "%s", what);
		diag_hint(r->diags, "name it: SOURCE=%s, for example town=%s; any stamped text: text=%s", path, path, path);
	}
}

/* Gives the lane its source as soon as that can be told; one that cannot be told is given up, with an error. */
static void branch_recognise(struct run *r, struct feed *f, struct branch *b, bool all_there)
{
	struct lane *l = b->lane;

	if (lane_source(l) || lane_ended(l))
		return;
	const struct source *s = source_of(r, f, l, all_there);
	if (s) {
		lane_set_source(r->pipeline, l, s);
		return;
	}
	struct span first = lane_waiting(l);
	if (!all_there && first.len < SNIFF_BYTES && !memchr(first.ptr, '\n', first.len))
		return; /* not a whole line yet */
	say_unknown(r, f, l);
	r->failed = true;
	lane_end(r->pipeline, l);
}

/* ---- feeds ---- */

static struct branch *branch_new(struct run *r, struct feed *f, const char *name)
{
	ARRAY_GROW(f->branches, f->n_branches, f->cap_branches);
	f->branches[f->n_branches] = (struct branch){ pipeline_lane(r->pipeline, name), clock_ns() };
	return &f->branches[f->n_branches++];
}

static void feed_open(struct run *r, struct feed *f)
{
	while (!f->reader && f->next_file < f->stream->n_files) {
		const struct stream_file *file = &f->stream->files[f->next_file++];
		struct stat st;
		bool is_stdin = !strcmp(file->path, "-");
		f->reader = is_stdin ? reader_new(dup(STDIN_FILENO), "standard input") : reader_open(file->path, r->diags);
		if (!f->reader) {
			r->failed = true;
			continue;
		}
		f->is_pipe = is_stdin && fstat(STDIN_FILENO, &st) == 0 && !S_ISREG(st.st_mode);
		f->is_live = f->is_pipe;
		if (f->n_branches == 0)
			branch_new(r, f, f->stream->log_path);
		lane_begin_file(r->pipeline, f->branches[0].lane, file->shown, (uint32_t)f->next_file - 1,
				f->is_pipe ? TIME_NONE : reader_mtime_ns(f->reader), f->is_pipe ? r->o->now_ns : TIME_NONE);
	}
}

static void feed_end(struct run *r, struct feed *f)
{
	f->ended = true;
	for (size_t i = 0; i < f->n_branches; i++) {
		branch_recognise(r, f, &f->branches[i], true);
		lane_end(r->pipeline, f->branches[i].lane);
	}
}

static void feed_switch(struct run *r, struct feed *f, struct span path)
{
	struct buffer name = BUFFER_INIT;
	size_t i = 0;

	buffer_append_span(&name, path);
	buffer_string(&name);
	while (i < f->n_branches && strcmp(lane_name(f->branches[i].lane), name.data))
		i++;
	if (i == f->n_branches) {
		struct branch *b = branch_new(r, f, name.data);
		lane_begin_file(r->pipeline, b->lane, name.data, 0, TIME_NONE, f->is_pipe ? r->o->now_ns : TIME_NONE);
	}
	f->current = i;
	buffer_release(&name);
}

/* Bytes with headers in between, each run to the lane of its path. */
static void feed_split(struct run *r, struct feed *f, struct span bytes, bool final)
{
	struct span run;
	bool switched;

	while (header_splitter_next(&f->headers, &bytes, final, &run, &switched)) {
		if (switched) {
			feed_switch(r, f, f->headers.path);
			continue;
		}
		struct branch *b = &f->branches[f->current];
		if (lane_ended(b->lane))
			continue; /* not recognised: told already */
		b->heard_ns = clock_ns();
		lane_feed(r->pipeline, b->lane, run);
		branch_recognise(r, f, b, false);
		lane_feed(r->pipeline, b->lane, SPAN(""));
	}
}

/* `tail -F a b |`: the first line says so. */
static void feed_look_for_headers(struct run *r, struct feed *f)
{
	struct lane *l = f->branches[0].lane;
	struct buffer first = BUFFER_INIT;

	if (!span_starts_with(lane_waiting(l), SPAN("==> ")))
		return;
	buffer_append_span(&first, lane_waiting(l));
	lane_drop(r->pipeline, l);
	f->n_branches = 0;
	f->has_headers = true;
	feed_split(r, f, buffer_span(&first), false);
	buffer_release(&first);
}

/* Reads one block. */
static void feed_step(struct run *r, struct feed *f)
{
	feed_open(r, f);
	if (!f->reader) {
		feed_end(r, f);
		return;
	}
	struct branch *b = f->has_headers ? NULL : &f->branches[0];
	struct buffer pieces = BUFFER_INIT;
	if (!b)
		buffer_reserve(&pieces, BLOCK_BYTES);
	ssize_t n = reader_read(f->reader, b ? lane_room(b->lane, BLOCK_BYTES) : pieces.data, BLOCK_BYTES, r->diags);
	if (n <= 0) {
		r->failed |= n == READER_ERROR;
		f->bytes_before += reader_bytes_in(f->reader);
		reader_free(f->reader);
		f->reader = NULL;
		if (f->has_headers)
			feed_split(r, f, SPAN(""), true);
	} else if (f->has_headers) {
		feed_split(r, f, span_of(pieces.data, (size_t)n), false);
	} else if (lane_ended(b->lane)) { /* not recognised: the rest is not read */
		reader_free(f->reader);
		f->reader = NULL;
		f->next_file = f->stream->n_files;
	} else {
		f->is_live = f->is_pipe && reader_compression(f->reader) == COMPRESSION_NONE;
		b->heard_ns = clock_ns();
		lane_fed(r->pipeline, b->lane, (size_t)n);
		if (!lane_source(b->lane) && from_stdin(f)) {
			if (lane_waiting(b->lane).len < 4)
				goto done; /* too little to tell */
			feed_look_for_headers(r, f);
		}
		if (!f->has_headers) {
			branch_recognise(r, f, b, false);
			lane_feed(r->pipeline, b->lane, SPAN(""));
		}
	}
done:
	buffer_release(&pieces);
}

/* ---- the run ---- */

static int64_t feed_newest(const struct feed *f)
{
	int64_t newest = TIME_NONE;

	for (size_t i = 0; i < f->n_branches; i++)
		if (lane_newest(f->branches[i].lane) > newest)
			newest = lane_newest(f->branches[i].lane);
	return newest;
}

/* Waits for a live pipe to say something. When it is silent for longer than the lateness, nothing is held back for it any more. */
static void pipe_wait(struct run *r, struct feed *f)
{
	struct pollfd fd = { STDIN_FILENO, POLLIN, 0 };
	int64_t ms = r->o->lateness_ns / 1000000;

	for (bool idle = false;; idle = true) {
		int64_t now_ns = wall_ns();
		int n = poll(&fd, 1, idle ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != 0 || pipeline_closed(r->pipeline))
			return;
		f->settled = true;
		for (size_t i = 0; i < f->n_branches; i++)
			lane_set_at_end(f->branches[i].lane, true);
		/* The clock says something of a log only where its stamps keep up with it: not of an old one that is slow to come. */
		bool current = feed_newest(f) > now_ns - FUTURE_LIMIT_NS;
		pipeline_set_clock(r->pipeline, now_ns);
		pipeline_advance(r->pipeline, current ? now_ns : TIME_NONE);
	}
}

/* Of several logs in one pipe, those that are silent are not waited for. */
static void pipe_mark_idle(struct run *r, struct feed *f)
{
	int64_t now = clock_ns();

	for (size_t i = 0; f->is_live && f->n_branches > 1 && i < f->n_branches; i++)
		lane_set_at_end(f->branches[i].lane, now - f->branches[i].heard_ns > r->o->lateness_ns);
}

/*
 * `tail -n +1 -F a b` prints a whole, then b: until it first falls silent, another log may follow whose events
 * come in front of all that was read.
 */
static bool more_logs_may_follow(const struct run *r)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];
		if (f->has_headers && !f->settled && !f->ended)
			return pipeline_held(r->pipeline) < BURST_LIMIT;
	}
	return false;
}

static struct feed *feed_next(struct run *r)
{
	struct feed *best = NULL;

	for (size_t i = 0; i < r->n_feeds; i++)
		if (!r->feeds[i].ended && (!best || feed_newest(&r->feeds[i]) < feed_newest(best)))
			best = &r->feeds[i];
	return best;
}

static void report_progress(struct run *r)
{
	uint64_t done = 0;

	if (!r->o->progress)
		return;
	for (size_t i = 0; i < r->n_feeds; i++)
		done += r->feeds[i].bytes_before + (r->feeds[i].reader ? reader_bytes_in(r->feeds[i].reader) : 0);
	r->o->progress(r->o->progress_context, done, r->total_bytes);
}

struct run *run_new(struct pipeline *p, const struct run_options *o, const struct stream_list *streams, struct diag_list *diags)
{
	struct run *r = xcalloc(1, sizeof *r);

	*r = (struct run){ .pipeline = p, .o = o, .diags = diags, .n_feeds = streams->n, .total_bytes = stream_total_bytes(streams) };
	r->feeds = xcalloc(streams->n ? streams->n : 1, sizeof *r->feeds);
	for (size_t i = 0; i < streams->n; i++)
		r->feeds[i].stream = &streams->items[i];
	return r;
}

void run_free(struct run *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_feeds; i++) {
		reader_free(r->feeds[i].reader);
		header_splitter_release(&r->feeds[i].headers);
		free(r->feeds[i].branches);
	}
	free(r->feeds);
	free(r);
}

bool run_read(struct run *r)
{
	struct pipeline *p = r->pipeline;
	struct feed *f;

	/* Every stream is asked for its first block before any event is handed on: none may come in front. */
	for (size_t i = 0; i < r->n_feeds; i++)
		feed_step(r, &r->feeds[i]);
	while (!pipeline_closed(p) && (f = feed_next(r))) {
		if (f->is_live)
			pipe_wait(r, f);
		feed_step(r, f);
		pipe_mark_idle(r, f);
		if (!more_logs_may_follow(r))
			pipeline_advance(p, TIME_NONE);
		report_progress(r);
	}
	if (!pipeline_closed(p))
		pipeline_finish(p);
	return !r->failed && !pipeline_failed(p);
}
