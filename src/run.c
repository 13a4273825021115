/*
 * Reading streams. Each is a feed: a block at a time is taken from the feed whose newest stamp is oldest, so that what has to be held
 * back for the order stays small. A feed is a log in files, read by position (tail), or a pipe, read once. It has one lane, or, where
 * `==> path <==` headers switch between logs, one a path.
 *
 * Following is a loop over epoll: inotify, pipes, signals, and two timers: one for what comes due, which counts suspended time, too, and one that
 * never comes due but wakes when the clock is set. Each wake-up is followed by one round, which makes no difference between
 * reasons: it takes what there is. So nothing depends on the order in which things are told.
 */
#include "run.h"

#include "base/memory.h"
#include "input/headers.h"
#include "input/reader.h"
#include "input/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* What is read at once, and so held back of each log until the others have come as far, and what is read ahead: less of each, the more there are. */
#define BLOCK_BYTES ((size_t)256 << 10)
#define BLOCK_BYTES_MIN ((size_t)16 << 10)
#define BLOCKS_BYTES ((size_t)4 << 20) /* of all logs together */
#define AHEAD_BYTES ((size_t)4 << 20)
#define SNIFF_BYTES ((size_t)64 << 10)
#define BURST_LIMIT 100000 /* events held back for logs that a pipe may yet switch to */
/* A round of following ends after so much, though there may be more: signals and changes are looked for. */
#define ROUND_BYTES ((uint64_t)64 << 20)
/* A pipe that brings old records is at its end only when it was silent for so long, at least. */
#define PIPE_SILENCE_NS NS_PER_SECOND

/* A log inside a feed. */
struct branch {
	struct lane *lane;
	int64_t heard_ns; /* monotonic clock: when bytes last came */
};

struct feed {
	const struct stream *stream;
	struct tail *tail;       /* NULL: a pipe */
	struct reader *reader;   /* of a pipe, while it is open */
	bool is_stdin, opened;
	bool is_live;            /* a pipe whose bytes come as they are written, not out of an archive */
	bool can_wait;           /* a pipe that epoll tells of */
	uint64_t bytes;          /* of a log, on disk */
	bool ended;
	bool due;                /* following: to be read in this round */
	bool has_headers;
	bool settled;            /* headers: it was silent once, so all its logs have shown themselves */
	int64_t heard_ns;        /* following: the clock when a pipe last brought something */
	uint64_t bytes_before;   /* of a pipe that is closed */
	struct header_splitter headers;
	struct branch *branches;
	size_t n_branches, cap_branches;
	size_t current;
};

/* A position that was loaded and is no stream's now. */
struct orphan {
	char *log;
	struct buffer position;
};

struct run {
	struct pipeline *pipeline;
	struct run_options o;
	struct diag_list *diags;
	struct feed *feeds;
	size_t n_feeds;
	struct read_means means, pipe_means; /* pipes are not read ahead */
	struct orphan *orphans;
	size_t n_orphans, cap_orphans;
	uint64_t total_bytes; /* on disk, 0: unknown */
	bool failed;

	bool first_round;     /* what was there before anyone followed: it did not arrive now */
	bool asked;           /* every feed was asked for its first block */
	bool stopping, output_gone;
	bool watch_failed;    /* following goes on by polling */
	int64_t poll_ns, next_poll_ns;
	struct watch *watch;  /* NULL: files are polled */
	int signals, epoll, timer, clock;
	sigset_t taken, mask_before;
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

/* ---- what a log is ---- */

static const struct source *source_of(const struct run *r, const struct feed *f, const struct lane *l, bool all_there)
{
	const struct ruleset *rs = r->o.rules;
	struct span first = lane_waiting(l);
	const struct source *s = NULL;

	if (f->stream->source_name)
		return source_by_name(rs, f->stream->source_name);
	if (f->has_headers || !f->is_stdin)
		s = source_from_path(f->has_headers ? lane_name(l) : f->stream->log_path, rs->sources, rs->n_sources);
	if (!s && f->is_stdin && r->o.stdin_source)
		s = source_by_name(rs, r->o.stdin_source);
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

	if (f->is_stdin && !f->has_headers) {
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
	f->branches[f->n_branches] = (struct branch){ pipeline_lane(r->pipeline, name), clock_ns(CLOCK_MONOTONIC) };
	return &f->branches[f->n_branches++];
}

static void feed_set_at_end(struct feed *f, bool at_end)
{
	for (size_t i = 0; i < f->n_branches; i++)
		lane_set_at_end(f->branches[i].lane, at_end);
}

/* What all logs that have not ended take when a block of each is read. */
static uint64_t blocks_total(const struct run *r, size_t block_bytes)
{
	uint64_t total = 0;

	for (size_t i = 0; i < r->n_feeds; i++)
		if (!r->feeds[i].ended)
			total += r->feeds[i].bytes < block_bytes ? r->feeds[i].bytes : block_bytes;
	return total;
}

/* Shares out what may be read at once, and ahead. */
static void share_means(struct run *r)
{
	struct read_means *m = &r->means;

	m->block_bytes = BLOCK_BYTES;
	while (m->block_bytes > BLOCK_BYTES_MIN && blocks_total(r, m->block_bytes) > BLOCKS_BYTES)
		m->block_bytes /= 2;
	uint64_t total = blocks_total(r, m->block_bytes);
	m->blocks_ahead = total * READ_BLOCKS_AHEAD_MAX <= AHEAD_BYTES ? READ_BLOCKS_AHEAD_MAX : total >= AHEAD_BYTES ? 1 : (unsigned)(AHEAD_BYTES / total);
	m->frames = total <= 2 * BLOCK_BYTES;
	r->pipe_means = (struct read_means){ .blocks = m->blocks, .block_bytes = m->block_bytes };
}

/* Nothing more is read of it. */
static void feed_stop(struct run *r, struct feed *f)
{
	f->ended = true;
	f->due = false;
	share_means(r);
}

static void feed_end(struct run *r, struct feed *f)
{
	feed_stop(r, f);
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
		lane_begin_file(r->pipeline, b->lane, name.data, 0, TIME_NONE, f->can_wait ? r->o.now_ns : TIME_NONE);
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
		b->heard_ns = clock_ns(CLOCK_MONOTONIC);
		if (r->o.kind == RUN_FOLLOW)
			lane_set_arrival(b->lane, r->o.now_ns);
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

/* ---- pipes ---- */

/* A description of our own that does not block, where that can be had: the one that was given is shared with others. */
static int open_unblocked(int fd)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void pipe_open(struct run *r, struct feed *f)
{
	const char *path = f->is_stdin ? "-" : f->stream->files[0].path;
	struct stat st;
	int fd = -1;

	f->opened = true;
	if (r->o.kind == RUN_FOLLOW) {
		if (!f->is_stdin)
			fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		else if (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(STDIN_FILENO)))
			fd = open_unblocked(STDIN_FILENO);
	}
	f->reader = fd >= 0 ? reader_new(fd, f->is_stdin ? "standard input" : path) : reader_open(path, r->diags);
	if (!f->reader) {
		r->failed = true;
		return;
	}
	f->can_wait = fstat(reader_fd(f->reader), &st) == 0 && !S_ISREG(st.st_mode);
	f->is_live = f->can_wait;
	if (r->o.kind == RUN_FOLLOW && f->can_wait) {
		struct epoll_event e = { .events = EPOLLIN };
		f->can_wait = epoll_ctl(r->epoll, EPOLL_CTL_ADD, reader_fd(f->reader), &e) == 0;
	}
	branch_new(r, f, f->stream->log_path);
	lane_begin_file(r->pipeline, f->branches[0].lane, f->is_stdin ? "-" : path, 0, f->can_wait ? TIME_NONE : reader_mtime_ns(f->reader),
			f->can_wait ? r->o.now_ns : TIME_NONE);
}

static void pipe_close(struct feed *f)
{
	f->bytes_before += reader_bytes_in(f->reader);
	reader_free(f->reader);
	f->reader = NULL;
}

/* Would a read wait? */
static bool pipe_is_silent(const struct feed *f)
{
	struct pollfd fd = { reader_fd(f->reader), POLLIN, 0 };

	return f->can_wait && poll(&fd, 1, 0) == 0;
}

/* Reads one block. Returns how much. */
static size_t pipe_step(struct run *r, struct feed *f)
{
	struct block pieces = BLOCK_INIT;
	ssize_t n = 0;

	if (!f->opened)
		pipe_open(r, f);
	if (!f->reader) {
		feed_end(r, f);
		return 0;
	}
	if (r->o.kind == RUN_FOLLOW && pipe_is_silent(f)) {
		f->due = false;
		return 0;
	}
	struct branch *b = f->has_headers ? NULL : &f->branches[0];
	if (b && r->o.kind == RUN_FOLLOW)
		lane_set_arrival(b->lane, r->o.now_ns);
	reader_set_means(f->reader, &r->pipe_means, false);
	n = reader_read_block(f->reader, b ? lane_block(b->lane) : &pieces, r->diags);
	if (n == READER_WOULD_BLOCK) {
		f->due = false;
		n = 0;
	} else if (n <= 0) {
		r->failed |= n == READER_ERROR;
		pipe_close(f);
		if (f->has_headers)
			feed_split(r, f, SPAN(""), true);
	} else if (f->has_headers) {
		feed_split(r, f, block_span(&pieces), false);
	} else if (lane_ended(b->lane)) { /* not recognised: the rest is not read */
		pipe_close(f);
	} else {
		f->is_live = f->can_wait && reader_compression(f->reader) == COMPRESSION_NONE;
		b->heard_ns = clock_ns(CLOCK_MONOTONIC);
		lane_fed(r->pipeline, b->lane, (size_t)n);
		if (!lane_source(b->lane) && f->is_stdin) {
			if (lane_waiting(b->lane).len < 4)
				goto done; /* too little to tell */
			feed_look_for_headers(r, f);
		}
		if (!f->has_headers) {
			branch_recognise(r, f, b, false);
			lane_feed(r->pipeline, b->lane, SPAN(""));
		}
	}
	f->heard_ns = r->o.now_ns;
done:
	block_pool_give(r->means.blocks, &pieces);
	return n > 0 ? (size_t)n : 0;
}

/* ---- logs ---- */

/* Reads one block. Returns how much. */
static size_t log_step(struct run *r, struct feed *f)
{
	struct branch *b = f->n_branches ? &f->branches[0] : NULL;
	struct block none = BLOCK_INIT; /* for a log that has no lane yet; nothing is read into it */
	size_t n = 0;
	int64_t arrival = r->o.kind == RUN_FOLLOW && !r->first_round ? r->o.now_ns : TIME_NONE;

	if (b && lane_ended(b->lane)) { /* not recognised: the rest is not read */
		feed_stop(r, f);
		return 0;
	}
	enum tail_step step = tail_read(f->tail, b ? lane_block(b->lane) : &none, &n, r->diags);
	struct tail_file file = tail_file(f->tail);
	switch (step) {
	case TAIL_BYTES:
		if (arrival != TIME_NONE)
			lane_set_arrival(b->lane, arrival);
		lane_fed(r->pipeline, b->lane, n);
		branch_recognise(r, f, b, false);
		lane_feed(r->pipeline, b->lane, SPAN(""));
		break;
	case TAIL_BEGIN:
		if (b)
			tail_set_old_line(f->tail, lane_place(b->lane).line);
		else
			b = branch_new(r, f, f->stream->log_path);
		lane_begin_file(r->pipeline, b->lane, file.shown, file.generation, file.mtime_ns, arrival);
		if (file.offset)
			lane_set_place(b->lane, (struct lane_place){ file.line, file.offset });
		break;
	case TAIL_CONTINUE:
		if (!b)
			b = branch_new(r, f, f->stream->log_path);
		lane_continue_file(r->pipeline, b->lane, file.shown, file.generation);
		break;
	case TAIL_ASIDE:
		tail_set_line(f->tail, lane_place(b->lane).line);
		lane_begin_file(r->pipeline, b->lane, file.shown, file.generation, file.mtime_ns, arrival);
		lane_set_place(b->lane, (struct lane_place){ file.line, file.offset });
		break;
	case TAIL_BACK:
		if (b)
			tail_set_old_line(f->tail, lane_place(b->lane).line);
		else
			b = branch_new(r, f, f->stream->log_path);
		lane_begin_file(r->pipeline, b->lane, file.shown, file.generation, file.mtime_ns, arrival);
		lane_set_place(b->lane, (struct lane_place){ file.line, file.offset });
		break;
	case TAIL_AT_END:
		f->due = false;
		if (r->o.kind == RUN_REPLAY)
			feed_end(r, f);
		else
			feed_set_at_end(f, true);
		break;
	}
	block_release(&none);
	return n;
}

static size_t feed_step(struct run *r, struct feed *f)
{
	return f->tail ? log_step(r, f) : pipe_step(r, f);
}

/* ---- the order of reading ---- */

static int64_t feed_newest(const struct feed *f)
{
	int64_t newest = TIME_NONE;

	for (size_t i = 0; i < f->n_branches; i++)
		if (lane_newest(f->branches[i].lane) > newest)
			newest = lane_newest(f->branches[i].lane);
	return newest;
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

/* Of the feeds that are due the one whose newest stamp is oldest. */
static struct feed *feed_next(struct run *r)
{
	struct feed *best = NULL;

	for (size_t i = 0; i < r->n_feeds; i++)
		if (r->feeds[i].due && (!best || feed_newest(&r->feeds[i]) < feed_newest(best)))
			best = &r->feeds[i];
	return best;
}

static void report_progress(struct run *r)
{
	uint64_t done = 0;

	if (!r->o.progress)
		return;
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];
		done += f->tail ? tail_bytes_in(f->tail) : f->bytes_before + (f->reader ? reader_bytes_in(f->reader) : 0);
	}
	r->o.progress(r->o.progress_context, done, r->total_bytes);
}

/* ---- signals ---- */

/*
 * What is taken from now on. A stop that was ignored stays ignored, as shells do with what they start behind them; the others only ask for something: under
 * nohup a hang-up reads the rules again, too. (What is blocked is queued even where it is ignored.)
 */
static void signals_open(struct run *r)
{
	static const int all[] = { SIGUSR1, SIGTERM, SIGINT, SIGHUP };
	size_t n = r->o.kind == RUN_FOLLOW ? 4 : r->o.kind == RUN_RESUME ? 3 : 1;

	sigemptyset(&r->taken);
	for (size_t i = 0; i < n; i++) {
		struct sigaction now;
		if (sigaction(all[i], NULL, &now) == 0 && (now.sa_handler != SIG_IGN || all[i] == SIGUSR1 || all[i] == SIGHUP))
			sigaddset(&r->taken, all[i]);
	}
	sigprocmask(SIG_BLOCK, &r->taken, &r->mask_before);
	r->signals = signalfd(-1, &r->taken, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void signals_close(struct run *r)
{
	if (r->signals >= 0)
		close(r->signals);
	r->signals = -1;
	sigprocmask(SIG_SETMASK, &r->mask_before, NULL);
}

static void signals_take(struct run *r)
{
	struct signalfd_siginfo s;
	sigset_t stop;

	while (r->signals >= 0 && read(r->signals, &s, sizeof s) == (ssize_t)sizeof s) {
		switch (s.ssi_signo) {
		case SIGUSR1:
			if (r->o.stats)
				r->o.stats(r->o.context);
			break;
		case SIGHUP:
			if (r->o.reload)
				r->o.rules = r->o.reload(r->o.context);
			break;
		default: /* the next one ends it at once */
			r->stopping = true;
			sigemptyset(&stop);
			sigaddset(&stop, SIGTERM);
			sigaddset(&stop, SIGINT);
			sigprocmask(SIG_UNBLOCK, &stop, NULL);
		}
	}
}

/* ---- replay and cron ---- */

/* Waits for a live pipe to say something. When it is silent for longer than the lateness, nothing is held back for it any more. */
static void pipe_wait(struct run *r, struct feed *f)
{
	int64_t ms = r->o.lateness_ns / 1000000;

	for (bool idle = false;;) {
		struct pollfd fds[2] = { { reader_fd(f->reader), POLLIN, 0 }, { r->signals, POLLIN, 0 } };
		int64_t now_ns = clock_ns(CLOCK_REALTIME);
		int n = poll(fds, 2, idle ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && fds[1].revents)
			signals_take(r);
		if (n < 0 || fds[0].revents || r->stopping || pipeline_closed(r->pipeline))
			return;
		if (n > 0)
			continue;
		idle = true;
		f->settled = true;
		feed_set_at_end(f, true);
		/* The clock says something of a log only where its stamps keep up with it: not of an old one that is slow to come. */
		bool current = feed_newest(f) > now_ns - FUTURE_LIMIT_NS;
		pipeline_set_clock(r->pipeline, now_ns);
		pipeline_advance(r->pipeline, current ? now_ns : TIME_NONE);
	}
}

/* Of several logs in one pipe, those that are silent are not waited for. */
static void pipe_mark_idle(struct run *r, struct feed *f)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; f->is_live && f->n_branches > 1 && i < f->n_branches; i++)
		lane_set_at_end(f->branches[i].lane, now - f->branches[i].heard_ns > r->o.lateness_ns);
}

/* A pipe may bring more logs, or fall silent. */
static bool any_pipe(const struct run *r)
{
	for (size_t i = 0; i < r->n_feeds; i++)
		if (!r->feeds[i].tail)
			return true;
	return false;
}

static void read_once(struct run *r)
{
	struct pipeline *p = r->pipeline;
	int64_t now_ns = clock_ns(CLOCK_REALTIME), until_ns = r->o.until_ns && r->o.kind == RUN_RESUME ? r->o.until_ns : TIME_NONE;
	struct feed *f;

	if (until_ns > now_ns)
		until_ns = now_ns;
	if (r->o.kind == RUN_RESUME)
		pipeline_set_clock(p, now_ns);
	/* Every stream is asked for its first block before any event is handed on: none may come in front. */
	for (size_t i = 0; i < r->n_feeds; i++) {
		f = &r->feeds[i];
		f->due = true;
		feed_set_at_end(f, false);
		while (f->due && feed_step(r, f) == 0)
			;
	}
	while (!pipeline_closed(p) && !r->stopping && (f = feed_next(r))) {
		if (f->is_live && f->reader)
			pipe_wait(r, f);
		if (r->stopping)
			break;
		pipeline_set_direct(p, r->o.kind == RUN_REPLAY && !any_pipe(r));
		feed_step(r, f);
		pipe_mark_idle(r, f);
		if (!more_logs_may_follow(r))
			pipeline_advance(p, until_ns);
		report_progress(r);
		signals_take(r);
	}
	pipeline_set_direct(p, false);
	if (pipeline_closed(p))
		return;
	if (r->o.kind == RUN_REPLAY)
		pipeline_finish(p);
	else
		pipeline_advance(p, until_ns);
}

/* ---- following ---- */

static void tell(struct run *r, bool anyway)
{
	if ((r->diags->n || anyway) && r->o.tell)
		r->o.tell(r->o.context);
}

static bool follow_open(struct run *r)
{
	struct rlimit files;
	struct epoll_event e = { .events = EPOLLIN };
	struct itimerspec never = { .it_value = { .tv_sec = INT64_C(1) << 40 } };
	const char *unreliable[8];
	size_t n_unreliable = 0;

	/* Each log is held open. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	r->poll_ns = r->o.poll_ns;
	if (!r->poll_ns) {
		r->watch = watch_new(r->diags);
		if (!r->watch)
			return false;
	}
	for (size_t i = 0; i < r->n_feeds; i++) {
		const char *path = r->feeds[i].tail ? tail_live_path(r->feeds[i].tail) : NULL;
		const char *system = path && r->watch ? watch_unreliable_on(path) : NULL;
		size_t k = 0;
		if (r->watch)
			watch_add(r->watch, path);
		while (system && k < n_unreliable && strcmp(unreliable[k], system))
			k++;
		if (!system || k < n_unreliable || n_unreliable == 8)
			continue;
		unreliable[n_unreliable++] = system;
		diag_add(r->diags, DIAG_WARNING, path, 0, 0, "is on %s, where changes made elsewhere may go unnoticed", system);
		diag_hint(r->diags, "look at the files now and then instead: --poll");
	}
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* What comes due is so far away, also when the machine sleeps meanwhile; and when the clock is set, that distance is wrong. */
	r->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	r->clock = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (r->epoll < 0 || r->timer < 0) {
		diag_add(r->diags, DIAG_ERROR, NULL, 0, 0, "cannot follow: %s", strerror(errno));
		return false;
	}
	(void)timerfd_settime(r->clock, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
	const int fds[] = { r->timer, r->clock, r->signals, r->watch ? watch_fd(r->watch) : -1 };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			(void)epoll_ctl(r->epoll, EPOLL_CTL_ADD, fds[i], &e);
	e = (struct epoll_event){ .events = 0, .data.ptr = r }; /* errors are told unasked */
	if (r->o.closing_fd)
		(void)epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->o.closing_fd, &e);
	return true;
}

/* Sleeps until something happens, or the clock shows due_ns; TIME_NONE: never. */
static void follow_wait(struct run *r, int64_t due_ns)
{
	struct itimerspec t = { .it_value = { .tv_sec = 0 } }, never = { .it_value = { .tv_sec = INT64_C(1) << 40 } };
	struct epoll_event events[8];
	uint64_t n;

	if (due_ns != TIME_NONE) {
		int64_t now_ns = clock_ns(CLOCK_REALTIME), wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
		if (wait_ns < 100000)
			wait_ns = 100000; /* never in a circle */
		t.it_value.tv_sec = wait_ns / NS_PER_SECOND;
		t.it_value.tv_nsec = wait_ns % NS_PER_SECOND;
	}
	(void)timerfd_settime(r->timer, 0, &t, NULL);
	int n_events;
	while ((n_events = epoll_wait(r->epoll, events, 8, -1)) < 0 && errno == EINTR)
		;
	for (int i = 0; i < n_events; i++)
		r->output_gone |= events[i].data.ptr == r && events[i].events & (EPOLLERR | EPOLLHUP);
	(void)!read(r->timer, &n, sizeof n);
	if (r->clock >= 0 && read(r->clock, &n, sizeof n) < 0 && errno == ECANCELED)
		(void)timerfd_settime(r->clock, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

/* Which feeds are to be read in this round? Returns how many. */
static size_t follow_due(struct run *r, int64_t now_ns)
{
	bool watching = true, all = r->first_round || r->stopping;
	size_t due = 0;

	if (r->watch) {
		watch_take(r->watch, &watching, r->diags);
		if (!watching) {
			r->poll_ns = NS_PER_SECOND;
			r->watch_failed = true;
			diag_add(r->diags, DIAG_WARNING, NULL, 0, 0, "not all logs can be watched: they are looked at every second from now on");
		}
	}
	if (r->poll_ns && (now_ns >= r->next_poll_ns || r->next_poll_ns > now_ns + r->poll_ns)) {
		all = true;
		r->next_poll_ns = now_ns + r->poll_ns;
	}
	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];
		if (f->ended)
			continue;
		if (f->tail)
			f->due |= all || (r->watch && watch_is_due(r->watch, i));
		else
			f->due |= !f->opened || (f->reader && !pipe_is_silent(f));
		if (f->due)
			feed_set_at_end(f, false);
		due += f->due;
	}
	return due;
}

/* A feed was read to its present end. */
static void follow_done(struct run *r, const struct feed *f)
{
	if (f->tail && r->watch)
		watch_done(r->watch, (size_t)(f - r->feeds), tail_is_behind(f->tail));
}

/* Reads what is due; returns whether anything was read. */
static bool follow_read(struct run *r, int64_t now_ns)
{
	uint64_t bytes = 0, advanced = 0;
	struct feed *f;

	/* As in a replay: none may come in front. */
	for (size_t i = 0; !r->asked && i < r->n_feeds; i++)
		for (size_t n = 0; n == 0 && r->feeds[i].due; bytes += n)
			n = feed_step(r, &r->feeds[i]);
	for (size_t i = 0; !r->asked && r->watch && i < r->n_feeds; i++)
		if (!r->feeds[i].due)
			follow_done(r, &r->feeds[i]);
	r->asked = true;
	while (bytes < ROUND_BYTES && !pipeline_closed(r->pipeline) && (f = feed_next(r))) {
		bytes += feed_step(r, f);
		if (!f->due)
			follow_done(r, f);
		if (bytes - advanced >= BLOCK_BYTES && !more_logs_may_follow(r)) {
			pipeline_advance(r->pipeline, now_ns);
			advanced = bytes;
		}
		if (r->first_round)
			report_progress(r);
	}
	return bytes > 0;
}

/*
 * A pipe that has nothing to say is at its end, if its records keep up with the clock, or it has been silent for a while: the beginning of an
 * old log may be slow to come. Returns when that is to be looked at again.
 */
static int64_t follow_pipes(struct run *r, int64_t now_ns)
{
	int64_t patience = r->o.lateness_ns > PIPE_SILENCE_NS ? r->o.lateness_ns : PIPE_SILENCE_NS, again = TIME_NONE;

	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];
		if (f->tail || f->ended || f->due)
			continue;
		if (f->heard_ns > now_ns)
			f->heard_ns = now_ns; /* the clock was set back */
		if (feed_newest(f) > now_ns - FUTURE_LIMIT_NS || now_ns - f->heard_ns >= patience) {
			f->settled = true;
			feed_set_at_end(f, true);
		} else if (again == TIME_NONE || f->heard_ns + patience < again) {
			again = f->heard_ns + patience;
		}
	}
	return again;
}

static bool any_due(const struct run *r)
{
	for (size_t i = 0; i < r->n_feeds; i++)
		if (r->feeds[i].due)
			return true;
	return false;
}

/* Pipes that have ended are not followed; when there is nothing else, it is the end. */
static bool all_ended(const struct run *r)
{
	for (size_t i = 0; i < r->n_feeds; i++)
		if (!r->feeds[i].ended)
			return false;
	return true;
}

static void say_awaited(struct run *r)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];
		if (f->tail && !f->stream->in_town && !f->n_branches && !tail_failed(f->tail))
			diag_add(r->diags, DIAG_NOTE, tail_live_path(f->tail), 0, 0, "is not there yet; it is waited for");
	}
}

/* Time waits then until the clock has caught up. */
static void say_set_back(struct run *r, int64_t before_ns, int64_t now_ns)
{
	struct buffer when = BUFFER_INIT;

	if (before_ns == TIME_NONE || before_ns - now_ns <= r->o.lateness_ns || before_ns - now_ns < NS_PER_SECOND)
		return;
	time_format_utc(&when, before_ns);
	diag_add(r->diags, DIAG_WARNING, NULL, 0, 0, "the clock was set back by %jd s: time waits until it shows %s again; what is written meanwhile counts as late",
		 (intmax_t)((before_ns - now_ns) / NS_PER_SECOND), buffer_string(&when));
	buffer_release(&when);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == TIME_NONE || (b != TIME_NONE && b < a) ? b : a;
}

static void follow(struct run *r)
{
	struct pipeline *p = r->pipeline;
	bool last = false;
	int64_t clock_before_ns = TIME_NONE;

	if (!follow_open(r)) {
		r->failed = true;
		return;
	}
	for (r->first_round = true; !last;) {
		/* The clock first: what is not there when the logs are read is later than this. */
		r->o.now_ns = clock_ns(CLOCK_REALTIME);
		say_set_back(r, clock_before_ns, r->o.now_ns);
		clock_before_ns = r->o.now_ns;
		pipeline_set_clock(p, r->o.now_ns);
		signals_take(r);
		follow_due(r, r->o.now_ns);
		bool news = follow_read(r, r->o.now_ns);
		bool more = any_due(r);
		int64_t due = follow_pipes(r, r->o.now_ns);
		int64_t watermark = pipeline_watermark(p);
		if (!more_logs_may_follow(r))
			pipeline_advance(p, r->o.now_ns);
		news |= watermark != pipeline_watermark(p);
		bool caught_up = r->first_round && !more;
		if (caught_up)
			say_awaited(r);
		r->first_round = r->first_round && more;
		tell(r, caught_up);
		last = pipeline_closed(p) || r->output_gone || all_ended(r) || (r->stopping && !more);
		if (last)
			break;
		due = earlier(due, pipeline_next_due(p));
		if (r->o.rest)
			due = earlier(due, r->o.rest(r->o.context, r->o.now_ns, news));
		if (pipeline_closed(p))
			break;
		if (r->poll_ns)
			due = earlier(due, r->next_poll_ns);
		if (!more)
			follow_wait(r, due);
	}
	if (!r->o.goes_on && !r->output_gone && !pipeline_closed(p)) {
		for (size_t i = 0; i < r->n_feeds; i++)
			if (!r->feeds[i].ended)
				feed_end(r, &r->feeds[i]);
		pipeline_finish(p);
	}
}

/* ---- the run ---- */

static bool is_pipe(const struct stream *s)
{
	struct stat st;

	if (s->n_files == 1 && !strcmp(s->files[0].path, "-"))
		return true;
	return s->n_files == 1 && stat(s->files[0].path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

struct run *run_new(struct pipeline *p, const struct run_options *o, const struct stream_list *streams, struct diag_list *diags)
{
	static const enum tail_purpose purposes[] = { [RUN_REPLAY] = TAIL_REPLAY, [RUN_RESUME] = TAIL_RESUME, [RUN_FOLLOW] = TAIL_FOLLOW };
	struct run *r = xcalloc(1, sizeof *r);

	*r = (struct run){ .pipeline = p, .o = *o, .diags = diags, .n_feeds = streams->n, .total_bytes = stream_total_bytes(streams),
			   .signals = -1, .epoll = -1, .timer = -1, .clock = -1 };
	r->feeds = xcalloc(streams->n ? streams->n : 1, sizeof *r->feeds);
	r->means = (struct read_means){ .workers = pipeline_workers(p), .blocks = pipeline_blocks(p) };
	for (size_t i = 0; i < streams->n; i++) {
		struct feed *f = &r->feeds[i];
		f->stream = &streams->items[i];
		f->is_stdin = f->stream->n_files == 1 && !strcmp(f->stream->files[0].path, "-");
		if (is_pipe(f->stream))
			continue;
		f->tail = tail_new(f->stream, purposes[o->kind], &r->means);
		for (size_t k = 0; k < f->stream->n_files; k++)
			f->bytes += f->stream->files[k].size;
	}
	share_means(r);
	return r;
}

void run_free(struct run *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_feeds; i++) {
		tail_free(r->feeds[i].tail);
		reader_free(r->feeds[i].reader);
		header_splitter_release(&r->feeds[i].headers);
		free(r->feeds[i].branches);
	}
	free(r->feeds);
	for (size_t i = 0; i < r->n_orphans; i++) {
		free(r->orphans[i].log);
		buffer_release(&r->orphans[i].position);
	}
	free(r->orphans);
	watch_free(r->watch);
	const int fds[] = { r->signals, r->epoll, r->timer, r->clock };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(r);
}

bool run_read(struct run *r)
{
	signals_open(r);
	if (r->o.kind == RUN_FOLLOW)
		follow(r);
	else
		read_once(r);
	signals_close(r);
	for (size_t i = 0; i < r->n_feeds; i++)
		r->failed |= r->feeds[i].tail && tail_failed(r->feeds[i].tail);
	return !r->failed && !pipeline_failed(r->pipeline);
}

/* ---- positions ---- */

/* Is there something to go on from? A log that was not recognised is tried again. */
static bool has_position(const struct feed *f)
{
	return f->tail && f->n_branches && !lane_ended(f->branches[0].lane);
}

/*
 *	n logs: path, position (tail.c) with its length
 */
void run_save(const struct run *r, struct buffer *out)
{
	struct buffer position = BUFFER_INIT;
	size_t n = r->n_orphans;

	for (size_t i = 0; i < r->n_feeds; i++)
		n += has_position(&r->feeds[i]);
	codec_put_u64(out, n);
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];
		if (!has_position(f))
			continue;
		buffer_clear(&position);
		tail_save(f->tail, &position);
		codec_put_span(out, span_from_string(f->stream->log_path));
		codec_put_span(out, buffer_span(&position));
	}
	for (size_t i = 0; i < r->n_orphans; i++) {
		codec_put_span(out, span_from_string(r->orphans[i].log));
		codec_put_span(out, buffer_span(&r->orphans[i].position));
	}
	buffer_release(&position);
}

static struct feed *feed_of_log(const struct run *r, struct span log)
{
	for (size_t i = 0; i < r->n_feeds; i++)
		if (r->feeds[i].tail && r->feeds[i].n_branches == 0 && span_equal(span_from_string(r->feeds[i].stream->log_path), log))
			return &r->feeds[i];
	return NULL;
}

bool run_load(struct run *r, struct codec_reader *in)
{
	for (size_t n = codec_get_count(in); n > 0 && !in->bad; n--) {
		struct span log = codec_get_span(in), position = codec_get_span(in);
		struct codec_reader copy = { position.ptr, position.ptr + position.len, false };
		struct feed *f = feed_of_log(r, log);

		if (in->bad)
			break;
		if (f) {
			if (!tail_load(f->tail, &copy))
				return false;
			branch_new(r, f, f->stream->log_path);
		} else {
			tail_position_get(&copy);
			ARRAY_GROW(r->orphans, r->n_orphans, r->cap_orphans);
			r->orphans[r->n_orphans] = (struct orphan){ .log = xmemdup(log.ptr, log.len) };
			buffer_append_span(&r->orphans[r->n_orphans++].position, position);
		}
		if (copy.bad || copy.ptr != copy.end)
			return false;
	}
	return !in->bad;
}

size_t run_positions_begin(struct codec_reader *in)
{
	return codec_get_count(in);
}

struct run_position run_position_get(struct codec_reader *in)
{
	struct run_position p = { .log = codec_get_span(in) };
	struct span position = codec_get_span(in);
	struct codec_reader copy = { position.ptr, position.ptr + position.len, false };

	p.at = tail_position_get(&copy);
	in->bad |= copy.bad || copy.ptr != copy.end;
	return p;
}
