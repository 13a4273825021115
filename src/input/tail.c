/*
 * tail.c: decides which byte of a log comes next. The invariant is that every byte of the log, through all its generations, is given once,
 * in order, as long as a file that holds it can be found: `head` is the first bytes of the present file and `last` the bytes in front of
 * `offset`, both as they were given out. Whether a file is still the one that was read is decided by these, never by its name, and by device
 * and inode only together with them. It does not know lines but in one place: candidate_overlap().
 *
 *	no file ──open──> reading ──> at its end ──look──> grown: reading
 *	                                  │          └──> written anew: find the copy, the overlap, or begin again
 *	                                  └──> rotated: read to its end once more, then the successor
 */
#include "input/tail.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_BYTES ((size_t)256 << 10)
/* Rotation goes on while files are looked for: after so many changes under our hands the rest is left to the next call. */
#define RETRIES 16

struct tail {
	const struct stream *stream;
	enum tail_purpose purpose;
	const char *live_path;
	const struct read_means *means;
	bool rotates;            /* live_path is the log's own name: its other generations are looked for beside it */
	size_t next_named;       /* of the stream's files, which come first */

	struct reader *reader;   /* of the present file; NULL: none is open */
	bool is_plain, is_regular, at_end, behind;
	struct stat seen;        /* the present file when it was last at its end */

	/* the position; of the file that was read last when none is open */
	bool known;
	uint64_t device, inode, offset;
	struct buffer head, last;
	uint32_t head_len;       /* and its hash: as loaded, until the file is found again */
	uint64_t head_hash;
	int64_t mtime_ns;
	uint32_t generation;
	bool finished;           /* an archive, or no file: nothing can be added to it */
	char *shown;

	/* the file before; what is written to it still, given in whole lines */
	struct reader *old;      /* following: while it has a name; else while it is read */
	bool old_sought;         /* it was looked for, or read, in this run */
	char *old_shown;         /* NULL: there is none */
	uint64_t old_device, old_inode, old_offset, old_line;
	uint64_t line;           /* while aside: of the present file, where it goes on */
	struct buffer old_last;  /* in front of the offset: the file may be written over by another copy */
	uint32_t old_generation;
	bool aside;              /* the bytes that are given are its */

	uint64_t begin_line;     /* with TAIL_BEGIN */
	uint64_t bytes_before;   /* read from files that are done */
	bool failed;
	int told;                /* errno of the live path that was told; 0: none */
};

/* ---- positions ---- */

struct tail *tail_new(const struct stream *s, enum tail_purpose purpose, const struct read_means *m)
{
	struct tail *t = xcalloc(1, sizeof *t);
	const char *newest = s->n_files ? s->files[s->n_files - 1].path : s->log_path;

	t->stream = s;
	t->purpose = purpose;
	t->means = m;
	/* A generation that is named alone is a file like any other. */
	t->rotates = s->in_town || strcmp(newest, s->log_path) == 0;
	t->live_path = t->rotates ? s->log_path : newest;
	t->mtime_ns = INT64_MIN;
	/* Of a town's log that goes on all generations are wanted: they are listed when they are opened, for they may be rotated until then. */
	if (s->in_town && purpose != TAIL_REPLAY)
		t->next_named = s->n_files;
	return t;
}

void tail_free(struct tail *t)
{
	if (!t)
		return;
	reader_free(t->reader);
	reader_free(t->old);
	buffer_release(&t->head);
	buffer_release(&t->last);
	buffer_release(&t->old_last);
	free(t->shown);
	free(t->old_shown);
	free(t);
}

static void keep_last(struct buffer *last, const char *p, size_t len)
{
	if (len >= TAIL_LAST_BYTES) {
		buffer_clear(last);
		buffer_append(last, p + len - TAIL_LAST_BYTES, TAIL_LAST_BYTES);
		return;
	}
	if (last->len + len > TAIL_LAST_BYTES)
		buffer_consume(last, last->len + len - TAIL_LAST_BYTES);
	buffer_append(last, p, len);
}

static void keep_head(struct buffer *head, const char *p, size_t len)
{
	size_t room = TAIL_HEAD_BYTES - head->len;

	buffer_append(head, p, len < room ? len : room);
}

static void note_bytes(struct tail *t, const char *p, size_t len)
{
	keep_head(&t->head, p, len);
	keep_last(&t->last, p, len);
	t->offset += len;
}

/* Of the fingerprint's first part there is either the text, of a file that is open, or its hash. */
static uint32_t head_length(const struct tail *t)
{
	return t->head.len ? (uint32_t)t->head.len : t->head_len;
}

static uint64_t head_hash_of(struct span first)
{
	return hash_bytes(first.ptr, first.len, 0);
}

static bool head_is(const struct tail *t, struct span first)
{
	uint32_t len = head_length(t);

	if (first.len < len)
		return false;
	if (t->head.len)
		return memcmp(first.ptr, t->head.data, len) == 0;
	return head_hash_of(span_of(first.ptr, len)) == t->head_hash;
}

void tail_save(const struct tail *t, struct buffer *out)
{
	codec_put_u64(out, t->known);
	if (!t->known)
		return;
	codec_put_span(out, span_from_string(t->shown));
	codec_put_u64(out, t->device);
	codec_put_u64(out, t->inode);
	codec_put_u64(out, t->offset);
	codec_put_u64(out, head_length(t));
	codec_put_u64(out, t->head.len ? head_hash_of(buffer_span(&t->head)) : t->head_hash);
	codec_put_span(out, buffer_span(&t->last));
	codec_put_i64(out, t->mtime_ns);
	codec_put_u64(out, t->generation);
	codec_put_u64(out, t->finished);
	if (!t->old_shown)
		return;
	codec_put_span(out, span_from_string(t->old_shown));
	codec_put_u64(out, t->old_device);
	codec_put_u64(out, t->old_inode);
	codec_put_u64(out, t->old_offset);
	codec_put_u64(out, t->old_line);
	codec_put_span(out, buffer_span(&t->old_last));
	codec_put_u64(out, t->old_generation);
	codec_put_u64(out, t->aside ? t->line : 0);
}

static bool is_text(struct span s)
{
	return !memchr(s.ptr, 0, s.len);
}

struct tail_position tail_position_get(struct codec_reader *in)
{
	struct tail_position p = { .known = false };
	uint64_t known = codec_get_u64(in), head_len, generation, finished;

	if (known > 1)
		in->bad = true;
	if (known != 1)
		return p;
	p.known = true;
	p.shown = codec_get_span(in);
	p.device = codec_get_u64(in);
	p.inode = codec_get_u64(in);
	p.offset = codec_get_u64(in);
	head_len = codec_get_u64(in);
	p.head_hash = codec_get_u64(in);
	p.last = codec_get_span(in);
	p.mtime_ns = codec_get_i64(in);
	generation = codec_get_u64(in);
	finished = codec_get_u64(in);
	if (head_len != (p.offset < TAIL_HEAD_BYTES ? p.offset : TAIL_HEAD_BYTES) || p.last.len > TAIL_LAST_BYTES || p.last.len > p.offset ||
	    p.offset > INT64_MAX || generation > UINT32_MAX || finished > 1 || !is_text(p.shown))
		in->bad = true;
	p.head_len = (uint32_t)head_len;
	p.generation = (uint32_t)generation;
	p.finished = finished == 1;
	if (in->bad || in->ptr == in->end)
		return p;
	p.has_old = true;
	p.old_shown = codec_get_span(in);
	p.old_device = codec_get_u64(in);
	p.old_inode = codec_get_u64(in);
	p.old_offset = codec_get_u64(in);
	p.old_line = codec_get_u64(in);
	p.old_last = codec_get_span(in);
	generation = codec_get_u64(in);
	p.line = codec_get_u64(in);
	if (p.old_last.len > TAIL_LAST_BYTES || p.old_last.len > p.old_offset || p.old_offset > INT64_MAX || generation > UINT32_MAX || !is_text(p.old_shown))
		in->bad = true;
	p.old_generation = (uint32_t)generation;
	return p;
}

bool tail_load(struct tail *t, struct codec_reader *in)
{
	struct tail_position p = tail_position_get(in);

	if (in->bad)
		return false;
	t->known = p.known;
	if (!p.known)
		return true;
	t->shown = xmemdup(p.shown.ptr, p.shown.len);
	t->device = p.device;
	t->inode = p.inode;
	t->offset = p.offset;
	t->head_len = p.head_len;
	t->head_hash = p.head_hash;
	buffer_append_span(&t->last, p.last);
	t->mtime_ns = p.mtime_ns;
	t->generation = p.generation;
	t->finished = p.finished;
	if (p.has_old) {
		t->old_shown = xmemdup(p.old_shown.ptr, p.old_shown.len);
		t->old_device = p.old_device;
		t->old_inode = p.old_inode;
		t->old_offset = p.old_offset;
		t->old_line = p.old_line;
		buffer_append_span(&t->old_last, p.old_last);
		t->old_generation = p.old_generation;
		/* It was left in the middle of that: first the present file is gone back to. */
		t->line = p.line;
		t->aside = p.line > 0;
	}
	t->next_named = t->stream->n_files; /* what it named is behind it, or is found beside it */
	return true;
}

struct tail_file tail_file(const struct tail *t)
{
	if (t->aside)
		return (struct tail_file){ t->old_shown, t->old_generation, INT64_MIN, t->old_offset, t->old_line };
	if (t->line)
		return (struct tail_file){ t->shown, t->generation, t->mtime_ns, t->offset, t->line };
	return (struct tail_file){ t->shown, t->generation, t->mtime_ns, t->begin_line > 1 ? t->offset : 0, t->begin_line };
}

void tail_set_line(struct tail *t, uint64_t line)
{
	t->line = line;
}

void tail_set_old_line(struct tail *t, uint64_t line)
{
	t->old_line = line;
}

const char *tail_live_path(const struct tail *t)
{
	return t->live_path;
}

bool tail_is_behind(const struct tail *t)
{
	return t->behind || t->old;
}

uint64_t tail_bytes_in(const struct tail *t)
{
	return t->bytes_before + (t->reader ? reader_bytes_in(t->reader) : 0);
}

bool tail_failed(const struct tail *t)
{
	return t->failed || t->told;
}

/* ---- files that may be the next one ---- */

struct candidate {
	struct reader *reader;
	struct stat st;
	bool is_plain;
	uint64_t offset, line; /* line: of the next byte; 0: not known */
	struct buffer head, last;
};

static void candidate_release(struct candidate *c)
{
	reader_free(c->reader);
	buffer_release(&c->head);
	buffer_release(&c->last);
	*c = (struct candidate){ .reader = NULL };
}

/* 0, or an errno; EISDIR for a directory. */
static int candidate_open(struct candidate *c, const char *path)
{
	int fd;

	*c = (struct candidate){ .reader = NULL };
	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return errno;
	int error = fstat(fd, &c->st) != 0 ? errno : S_ISDIR(c->st.st_mode) ? EISDIR : 0;
	if (error) {
		close(fd);
		return error;
	}
	c->reader = reader_new(fd, path);
	return 0;
}

/* A file of a list. ESTALE: it has gone from there, or another stands in its place, so the list is no longer true. */
static int candidate_open_listed(struct candidate *c, const struct stream_file *f)
{
	int error = candidate_open(c, f->path);

	if (error == ENOENT)
		return ESTALE;
	if (!error && (f->device != (uint64_t)c->st.st_dev || f->inode != (uint64_t)c->st.st_ino)) {
		candidate_release(c);
		return ESTALE;
	}
	return error;
}

/* The bytes [offset, offset + len) of a plain file; false when they are not all there. */
static bool read_at(int fd, uint64_t offset, size_t len, struct buffer *out)
{
	buffer_clear(out);
	buffer_reserve(out, len ? len : 1);
	while (out->len < len) {
		ssize_t n = pread(fd, out->data + out->len, len - out->len, (off_t)(offset + out->len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		out->len += (size_t)n;
	}
	return true;
}

/* Goes to offset of a plain file; its fingerprint there is read from it. */
static bool candidate_seek(struct candidate *c, uint64_t offset)
{
	size_t n_head = offset < TAIL_HEAD_BYTES ? (size_t)offset : TAIL_HEAD_BYTES;
	size_t n_last = offset < TAIL_LAST_BYTES ? (size_t)offset : TAIL_LAST_BYTES;
	int fd = reader_fd(c->reader);

	c->is_plain = true;
	c->offset = offset;
	return read_at(fd, 0, n_head, &c->head) && read_at(fd, offset - n_last, n_last, &c->last) && reader_seek(c->reader, offset);
}

/* Reads on to the offset `upto` of any file, or to its end; scratch: SCRATCH_BYTES. */
static void candidate_advance(struct candidate *c, uint64_t upto, char *scratch)
{
	struct diag_list unsaid = DIAG_LIST_INIT; /* damage is told when the file is read */

	for (ssize_t n = 1; n > 0 && c->offset < upto;) {
		uint64_t rest = upto - c->offset;
		n = reader_read(c->reader, scratch, rest < SCRATCH_BYTES ? (size_t)rest : SCRATCH_BYTES, &unsaid);
		if (n > 0) {
			keep_head(&c->head, scratch, (size_t)n);
			keep_last(&c->last, scratch, (size_t)n);
			c->offset += (uint64_t)n;
		}
	}
	diag_list_release(&unsaid);
}

/* Does what was read last of the position stand in front of offset at, as far as c's last bytes reach? at ≤ the position's offset. */
static bool last_is(const struct tail *t, const struct candidate *c, uint64_t at)
{
	uint64_t behind = t->offset - at;
	size_t n;

	if (behind >= t->last.len)
		return t->last.len == 0 || behind > 0; /* nothing to compare: the head has to do */
	n = t->last.len - (size_t)behind;
	if (n > c->last.len)
		n = c->last.len;
	return memcmp(t->last.data + t->last.len - (size_t)behind - n, c->last.data + c->last.len - n, n) == 0;
}

enum found {
	FOUND_NOT,
	FOUND_AT,    /* it holds the position, and stands there */
	FOUND_SHORT, /* it is a part of what was read: a copy that was made before the rest was written */
	FOUND_ERROR, /* errno in *ret_error, as of candidate_open_listed() */
};

/*
 * Is the file one that holds the position? c is to be released unless FOUND_AT. drained: nothing that stands behind the position is wanted, so an
 * archive need not be unpacked up to there.
 */
static enum found candidate_find(const struct tail *t, const struct stream_file *f, bool drained, struct candidate *c, int *ret_error)
{
	char *scratch = NULL;
	enum found result = FOUND_NOT;

	*ret_error = candidate_open_listed(c, f);
	if (*ret_error)
		return FOUND_ERROR;
	if (!S_ISREG(c->st.st_mode))
		goto done;
	scratch = xmalloc(SCRATCH_BYTES);
	candidate_advance(c, head_length(t), scratch);
	if (!head_is(t, buffer_span(&c->head)))
		goto done;
	if (reader_compression(c->reader) == COMPRESSION_NONE) {
		uint64_t size = (uint64_t)c->st.st_size, at = size < t->offset ? size : t->offset;

		if (!candidate_seek(c, at) || !last_is(t, c, at))
			goto done;
		result = at == t->offset ? FOUND_AT : FOUND_SHORT;
	} else if (drained) {
		result = FOUND_SHORT;
	} else {
		candidate_advance(c, t->offset, scratch);
		if (last_is(t, c, c->offset))
			result = c->offset == t->offset ? FOUND_AT : FOUND_SHORT;
	}
done:
	free(scratch);
	return result;
}

/* Is there anything in it? If so, it is held: the file may be cut off before it is read. */
static bool candidate_has_bytes(struct candidate *c)
{
	return !S_ISREG(c->st.st_mode) || reader_begin(c->reader);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void old_release(struct tail *t)
{
	reader_free(t->old);
	buffer_release(&t->old_last);
	free(t->old_shown);
	t->old = NULL;
	t->old_shown = NULL;
}

/* Who does not follow is done with it for this run. */
static void old_rest(struct tail *t)
{
	if (t->purpose == TAIL_FOLLOW)
		return;
	reader_free(t->old);
	t->old = NULL;
}

/* Another file begins. The present one was read to its end; or it is not open: it is gone, or may not be read for now. */
static void keep_old(struct tail *t, const struct stat *next)
{
	struct stat st = { .st_dev = (dev_t)t->device, .st_ino = (ino_t)t->inode };
	bool may_grow = t->purpose != TAIL_REPLAY && t->known && !t->finished;

	if (t->reader && may_grow)
		may_grow = t->at_end && t->is_plain && t->is_regular && fstat(reader_fd(t->reader), &st) == 0 && st.st_nlink > 0;
	old_release(t);
	if (!may_grow || is_same_file(&st, next)) {
		reader_free(t->reader);
		return;
	}
	t->old = t->reader;
	t->old_sought = true;
	t->old_shown = xstrdup(t->shown);
	t->old_device = t->device;
	t->old_inode = t->inode;
	t->old_offset = t->offset;
	buffer_append_span(&t->old_last, buffer_span(&t->last));
	t->old_generation = t->generation;
	old_rest(t);
}

/* The candidate is the present file from now on. */
static enum tail_step take(struct tail *t, struct candidate *c, const char *path, bool begin)
{
	t->bytes_before = tail_bytes_in(t);
	if (begin)
		keep_old(t, &c->st);
	else
		reader_free(t->reader);
	t->begin_line = c->line ? c->line : 1;
	buffer_release(&t->head);
	buffer_release(&t->last);
	t->reader = c->reader;
	t->is_plain = c->is_plain;
	t->is_regular = S_ISREG(c->st.st_mode);
	t->head = c->head;
	t->last = c->last;
	t->head_len = 0;
	t->offset = c->offset;
	t->device = (uint64_t)c->st.st_dev;
	t->inode = (uint64_t)c->st.st_ino;
	t->mtime_ns = file_time_ns(&c->st.st_mtim);
	t->seen = (struct stat){ .st_size = -1 };
	t->at_end = t->finished = t->behind = false;
	t->told = 0;
	if (begin && t->known)
		t->generation++;
	t->known = true;
	free(t->shown);
	t->shown = xstrdup(path);
	return begin ? TAIL_BEGIN : TAIL_CONTINUE;
}

static bool is_present(const struct tail *t, const struct stream_file *f)
{
	return f->device == t->device && f->inode == t->inode;
}

/* Does the file before still hold what was read of it, in front of the offset? */
static bool old_verify(const struct tail *t, int fd)
{
	struct buffer before = BUFFER_INIT;
	bool same = read_at(fd, t->old_offset - t->old_last.len, t->old_last.len, &before) && span_equal(buffer_span(&before), buffer_span(&t->old_last));

	buffer_release(&before);
	return same;
}

/* Is f the file before, as far as that was read? Then c holds it. *ret_error: as of candidate_open_listed(). */
static bool old_open(const struct tail *t, const struct stream_file *f, struct candidate *c, int *ret_error)
{
	*c = (struct candidate){ .reader = NULL };
	*ret_error = 0;
	if (!t->old_shown || f->device != t->old_device || f->inode != t->old_inode)
		return false;
	*ret_error = candidate_open_listed(c, f);
	if (!*ret_error && S_ISREG(c->st.st_mode) && old_verify(t, reader_fd(c->reader)))
		return true;
	candidate_release(c);
	return false;
}

/* It was read; late lines may be written to it. */
static bool is_old(const struct tail *t, const struct stream_file *f)
{
	struct candidate c;
	int error;
	bool result = old_open(t, f, &c, &error);

	candidate_release(&c);
	return result;
}

/* What came of opening a file. The live one is waited for: told once. */
static void say_opened(struct tail *t, const char *path, int error, struct diag_list *diags)
{
	bool live = strcmp(path, t->live_path) == 0;

	if (live && t->told == error)
		return;
	if (live)
		t->told = error;
	else if (error)
		t->failed = true;
	if (!error)
		return;
	if (error == EISDIR) {
		diag_add(diags, DIAG_ERROR, path, 0, 0, "is a directory");
		diag_hint(diags, "name a file in it");
		return;
	}
	diag_add(diags, DIAG_ERROR, path, 0, 0, "cannot open: %s", strerror(error));
	if (error == EACCES)
		diag_hint(diags, live && t->purpose == TAIL_FOLLOW ? "it is read as soon as it may be" : "check who may read the file and search the directories above it");
	else if (error == EMFILE || error == ENFILE)
		diag_hint(diags, "name fewer files, or raise the limit with `ulimit -n`");
}

/* ---- a file that holds lines of the one that was read ---- */

/* So many of the last lines are looked for in the new file; those written after it was made from the old one are not in it. */
#define OVERLAP_LINES 64
#define OVERLAP_BYTES ((size_t)64 << 10)
/* A line may come twice; one with a stamp hardly. So many digits must stand in the lines that are the same. */
#define OVERLAP_DIGITS 12

struct old_line {
	uint64_t hash;
	size_t len;
	unsigned digits;
};

struct old_lines {
	struct old_line items[OVERLAP_LINES]; /* whole lines, the newest last */
	size_t n;
	struct span rest;                     /* the beginning of a line behind them */
};

static unsigned count_digits(const char *p, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len && n < OVERLAP_DIGITS; i++)
		n += p[i] >= '0' && p[i] <= '9';
	return n;
}

/* whole: text begins with a line. */
static struct old_lines old_lines_of(struct span text, bool whole)
{
	struct old_lines l = { .n = 0 };
	const char *newline = memrchr(text.ptr, '\n', text.len), *first = text.ptr, *end;

	if (!newline || (!whole && !(first = memchr(text.ptr, '\n', text.len))))
		return l;
	first += !whole;
	end = newline + 1;
	l.rest = span_from(text, (size_t)(end - text.ptr));
	for (size_t i = OVERLAP_LINES; i > 0 && end > first; i--) {
		const char *before = end - 1 > first ? memrchr(first, '\n', (size_t)(end - 1 - first)) : NULL;
		const char *begin = before ? before + 1 : first;
		size_t len = (size_t)(end - begin);

		l.items[i - 1] = (struct old_line){ hash_bytes(begin, len, 0), len, count_digits(begin, len) };
		end = begin;
		l.n++;
	}
	memmove(l.items, l.items + OVERLAP_LINES - l.n, l.n * sizeof *l.items);
	return l;
}

/*
 * A file made of the last lines of an old one, with new ones behind them, holds the newest of the old lines that are in it either behind
 * the old lines before it, or at its very beginning. Line by line: digits[k] counts the digits of the run of lines that ends with old line k at
 * this line of the new file; 0: no run does.
 */
struct overlap_search {
	const struct old_lines *old;
	unsigned digits[OVERLAP_LINES];
	bool any, first_line;
	size_t best;      /* old line; with `found` */
	uint64_t best_end, best_line;
	uint64_t line;    /* of the new file: how many were seen */
	bool found;
};

static void overlap_line(struct overlap_search *s, uint64_t hash, size_t len, uint64_t end)
{
	bool any = false, match = false;

	s->line++;
	for (size_t k = 0; k < s->old->n && !match; k++)
		match = s->old->items[k].hash == hash && s->old->items[k].len == len;
	if (!match && !s->any) {
		s->first_line = false;
		return;
	}
	for (size_t k = s->old->n; k-- > 0;) {
		const struct old_line *l = &s->old->items[k];
		unsigned before = k > 0 ? s->digits[k - 1] : 0;

		s->digits[k] = 0;
		if (l->hash != hash || l->len != len || !(k == 0 || s->first_line || before))
			continue;
		s->digits[k] = before + l->digits + 1; /* + 1: a run without digits is one */
		any = true;
		if (s->digits[k] > OVERLAP_DIGITS && (!s->found || k >= s->best)) {
			s->best = k;
			s->best_end = end;
			s->best_line = s->line;
			s->found = true;
		}
	}
	s->any = any;
	s->first_line = false;
}

/* To an offset behind or before the present one; c was read from. False: the file has not so much, or has gone. */
static bool candidate_go(struct candidate *c, const struct stream_file *f, uint64_t offset, char *scratch)
{
	if (reader_compression(c->reader) == COMPRESSION_NONE)
		return candidate_seek(c, offset);
	candidate_release(c);
	if (candidate_open_listed(c, f) != 0)
		return false;
	candidate_advance(c, offset, scratch);
	return c->offset == offset;
}

/*
 * Does the file hold the last lines that were read? True: c stands behind them. *ret_rest: also behind the beginning of a line that was read last.
 * *ret_error: as of candidate_open_listed().
 */
static bool candidate_overlap(const struct tail *t, const struct stream_file *f, struct candidate *c, bool *ret_rest, int *ret_error)
{
	struct buffer text = BUFFER_INIT, block = BUFFER_INIT;
	struct span last = buffer_span(&t->last);
	struct overlap_search s = { .first_line = true };
	struct diag_list unsaid = DIAG_LIST_INIT;
	char *scratch = NULL;
	bool result = false, long_line = false;
	uint64_t at = 0;

	*ret_rest = false;
	*ret_error = candidate_open_listed(c, f);
	if (*ret_error)
		return false;
	if (t->reader && t->is_plain && t->offset > TAIL_LAST_BYTES) {
		size_t n = t->offset < OVERLAP_BYTES ? (size_t)t->offset : OVERLAP_BYTES;
		if (read_at(reader_fd(t->reader), t->offset - n, n, &text) && span_ends_with(buffer_span(&text), last))
			last = buffer_span(&text);
	}
	struct old_lines old = old_lines_of(last, last.len == t->offset);
	s.old = &old;
	if (!S_ISREG(c->st.st_mode) || old.n == 0)
		goto done;
	scratch = xmalloc(SCRATCH_BYTES);
	for (ssize_t n; (n = reader_read(c->reader, scratch, SCRATCH_BYTES, &unsaid)) > 0;) {
		size_t from = 0;

		buffer_append(&block, scratch, (size_t)n);
		for (const char *end; (end = memchr(block.data + from, '\n', block.len - from)); from = (size_t)(end - block.data) + 1) {
			size_t len = (size_t)(end - block.data) + 1 - from;
			overlap_line(&s, long_line ? 0 : hash_bytes(block.data + from, len, 0), long_line ? 0 : len, at + from + len);
			long_line = false;
		}
		if (block.len - from > OVERLAP_BYTES) { /* longer than any that is looked for */
			from = block.len;
			long_line = true;
		}
		buffer_consume(&block, from);
		at += from;
	}
	if (!s.found)
		goto done;
	if (s.best == old.n - 1)
		*ret_rest = candidate_go(c, f, s.best_end + old.rest.len, scratch) && span_ends_with(buffer_span(&c->last), old.rest);
	result = *ret_rest || candidate_go(c, f, s.best_end, scratch);
	if (!result) /* it was there a moment ago */
		*ret_error = ESTALE;
	c->line = s.best_line + 1;
done:
	free(scratch);
	diag_list_release(&unsaid);
	buffer_release(&text);
	buffer_release(&block);
	return result;
}

/* ---- which file comes next ---- */

/* The files that could be it, oldest first. */
static void list_generations(const struct tail *t, struct stream *ret)
{
	struct stat st;

	*ret = (struct stream){ .files = NULL };
	if (t->rotates && stream_generations(t->live_path, ret) && ret->n_files)
		return;
	stream_release_files(ret);
	/* Named files, or a directory that can be searched and not listed. */
	size_t n = t->rotates ? 1 : t->stream->n_files;
	ret->files = xcalloc(n ? n : 1, sizeof *ret->files);
	for (size_t i = 0; i < (n ? n : 1); i++) {
		const char *path = t->rotates || !n ? t->live_path : t->stream->files[i].path;
		if (stat(path, &st) == 0)
			ret->files[ret->n_files++] = (struct stream_file){ xstrdup(path), xstrdup(path), (uint64_t)st.st_dev, (uint64_t)st.st_ino,
									   (uint64_t)st.st_size, file_time_ns(&st.st_mtim) };
	}
}

static size_t index_of_present(const struct tail *t, const struct stream *l)
{
	size_t i = 0;

	while (i < l->n_files && !is_present(t, &l->files[i]))
		i++;
	return i;
}

/* Is the list still true? A log that is copied away and cut off keeps its number; but before it is cut off, its copy is there. */
static bool is_still_listed(const struct tail *t, const struct stream *l)
{
	struct stream now;

	list_generations(t, &now);
	bool same = now.n_files == l->n_files;
	for (size_t i = 0; same && i < now.n_files; i++)
		same = now.files[i].device == l->files[i].device && now.files[i].inode == l->files[i].inode && strcmp(now.files[i].path, l->files[i].path) == 0;
	stream_release_files(&now);
	return same;
}

/* So few bytes prove nothing: most lines of a day begin with the same. */
#define WEAK_BYTES 32

/*
 * While a log is copied away before it is cut off, the copy and the live file hold the same. Was the copy read last? Then the live file goes on where the
 * copy ends, and c stands there. What a log begins anew with after a rotation is written later than the file before; and it is not the same, where it has stamps.
 */
static bool candidate_is_copied(const struct tail *t, const struct stream_file *f, struct candidate *c)
{
	bool later = f->mtime_ns > t->mtime_ns && count_digits(t->last.data, t->last.len) < OVERLAP_DIGITS;
	int error;

	if (!t->known || t->offset < WEAK_BYTES || later || strcmp(f->path, t->live_path) != 0)
		return false;
	if (candidate_find(t, f, false, c, &error) == FOUND_AT)
		return true;
	candidate_release(c);
	return false;
}

/*
 * Begins the first file from index i on that can be read. An empty one is not begun: the position stays where it is, in a file that is known again by
 * what was read of it. Once something is written behind it, nothing but the order of the files says what comes next, even if that was copied away
 * meanwhile and cut off. *ret_again: the list is no longer true.
 */
static enum tail_step begin_from(struct tail *t, const struct stream *l, size_t i, bool *ret_again, struct diag_list *diags)
{
	for (; i < l->n_files; i++) {
		const struct stream_file *f = &l->files[i];
		struct candidate c;

		if (candidate_is_copied(t, f, &c))
			return take(t, &c, f->path, false);
		int error = candidate_open_listed(&c, f);
		*ret_again = error == ESTALE;
		if (!error && candidate_has_bytes(&c)) {
			if (strcmp(f->path, t->live_path) != 0 || is_still_listed(t, l))
				return take(t, &c, f->path, true);
			*ret_again = true;
		}
		candidate_release(&c);
		if (*ret_again)
			return TAIL_AT_END;
		say_opened(t, f->path, error, diags);
	}
	return TAIL_AT_END;
}

/* The first generation that was written to after the present one: the others were read, or were not wanted. The live file is always new. */
static size_t first_since(const struct tail *t, const struct stream *l)
{
	size_t i = 0;

	while (i < l->n_files && (l->files[i].mtime_ns <= t->mtime_ns || is_old(t, &l->files[i])) && strcmp(l->files[i].path, t->live_path) != 0)
		i++;
	return i;
}

/*
 * Few bytes prove nothing (see WEAK_BYTES). If so much of the present file was read, and it has changed, what was written to it
 * may have been copied away and cut off; then the copy was written to after it. Returns the copy's index, with c in it; n_files: none. present: the file's.
 * *ret_again: the list is no longer true.
 */
static size_t find_copied(const struct tail *t, const struct stream *l, size_t present, struct candidate *c, bool *ret_again)
{
	int error;

	for (size_t i = first_since(t, l); t->offset < WEAK_BYTES && present < l->n_files && i < present; i++) {
		const struct stream_file *f = &l->files[i];
		if (is_old(t, f))
			continue;
		if (candidate_find(t, f, false, c, &error) == FOUND_AT)
			return i;
		candidate_release(c);
		if (error == ESTALE) {
			*ret_again = true;
			break;
		}
	}
	return l->n_files;
}

/* The live file among them, or n_files. */
static size_t live_index(const struct tail *t, const struct stream *l)
{
	size_t i = 0;

	while (i < l->n_files && strcmp(l->files[i].path, t->live_path) != 0)
		i++;
	return i;
}

/*
 * The file that was read last is none of them, or has other content. Tries copies of it, plain or packed, then whether its last lines stand in
 * the live file or in one that was rotated since, then takes what is younger. drained: all that was in it has been read, so only its place among
 * the others is wanted.
 */
static enum tail_step find_elsewhere(struct tail *t, const struct stream *l, bool drained, bool *ret_again, struct diag_list *diags)
{
	size_t live = live_index(t, l), next = SIZE_MAX;
	bool rest = false;
	int error = 0;
	struct candidate c = { .reader = NULL };

	for (int pass = 0; pass < 2; pass++) {
		bool overlap = (pass == 0) == drained;
		for (size_t i = l->n_files; overlap && t->offset && i-- > 0;) {
			if (i != live && l->files[i].mtime_ns <= t->mtime_ns)
				continue;
			if (candidate_overlap(t, &l->files[i], &c, &rest, &error))
				return take(t, &c, l->files[i].path, !rest);
			candidate_release(&c);
			if (error == ESTALE)
				goto again;
		}
		for (size_t i = l->n_files; !overlap && t->offset && i-- > 0;) {
			enum found f;
			if (drained && i == live)
				continue;
			f = candidate_find(t, &l->files[i], drained, &c, &error);
			if (f == FOUND_AT)
				return take(t, &c, l->files[i].path, false);
			candidate_release(&c);
			if (error == ESTALE)
				goto again;
			if (f == FOUND_ERROR && i != live && !drained)
				say_opened(t, l->files[i].path, error, diags);
			if (f == FOUND_SHORT && next == SIZE_MAX && !is_present(t, &l->files[i]))
				next = i + 1;
		}
	}
	if (next != SIZE_MAX) /* all of the copy was read */
		return begin_from(t, l, next, ret_again, diags);
	next = first_since(t, l);
	if (next < l->n_files && !drained && t->offset) {
		t->finished = true; /* told once, if what comes next is empty still */
		diag_add(diags, DIAG_WARNING, t->shown, 0, 0, "was removed, cut off or written anew after %llu bytes of it had been read",
			 (unsigned long long)t->offset);
		diag_hint(diags, "what was added to it after that is lost, if anything was");
	}
	return begin_from(t, l, next, ret_again, diags);
again:
	*ret_again = true;
	return TAIL_AT_END;
}

/*
 * The first file of all has come since. Of a town's log there was no generation before, so those that are beside it now have come since, too: it was
 * rotated before it was looked at.
 */
static enum tail_step begin_first(struct tail *t, struct diag_list *diags)
{
	struct candidate c;

	for (int i = 0; t->stream->in_town && i < RETRIES; i++) {
		struct stream l;
		bool again = false;

		list_generations(t, &l);
		enum tail_step step = begin_from(t, &l, 0, &again, diags);
		stream_release_files(&l);
		if (step != TAIL_AT_END)
			return step;
		if (!again)
			break;
	}
	int error = candidate_open(&c, t->live_path);

	if (!error && (!t->stream->in_town || candidate_has_bytes(&c)))
		return take(t, &c, t->live_path, true);
	candidate_release(&c);
	if (error != ENOENT && error != ENOTDIR) {
		say_opened(t, t->live_path, error, diags);
	} else if (!t->stream->in_town && !t->told) {
		t->told = t->purpose == TAIL_FOLLOW ? 0 : error;
		if (t->purpose != TAIL_FOLLOW)
			diag_add(diags, DIAG_ERROR, t->live_path, 0, 0, "cannot read: %s", strerror(error));
	}
	return TAIL_AT_END;
}

/*
 * Which of these was f when it was found? A generation does not change but by being packed, which keeps the time of its last change in seconds; a live log
 * may have grown. Others may have its inode by now. n_files: none.
 */
static size_t named_index(const struct tail *t, const struct stream *l, const struct stream_file *f)
{
	bool live = strcmp(f->path, t->live_path) == 0;

	for (size_t i = 0; i < l->n_files; i++) {
		const struct stream_file *g = &l->files[i];
		if (g->device == f->device && g->inode == f->inode && (live ? g->mtime_ns >= f->mtime_ns && g->size >= f->size : g->mtime_ns == f->mtime_ns))
			return i;
	}
	size_t i = 0;
	while (i < l->n_files && l->files[i].mtime_ns / NS_PER_SECOND != f->mtime_ns / NS_PER_SECOND)
		i++;
	return i;
}

/* A file that the command named: it may have been rotated since. *ret_skip: it cannot be read, or is empty: see begin_from(). */
static enum tail_step begin_named(struct tail *t, const struct stream_file *f, bool *ret_skip, struct diag_list *diags)
{
	struct candidate c;

	*ret_skip = false;
	if (candidate_is_copied(t, f, &c))
		return take(t, &c, f->path, false);
	int error = candidate_open(&c, f->path);
	bool other = !error && f->inode && (f->device != (uint64_t)c.st.st_dev || f->inode != (uint64_t)c.st.st_ino);

	if ((error == ENOENT || other) && t->rotates) {
		struct stream l;
		candidate_release(&c);
		list_generations(t, &l);
		size_t i = named_index(t, &l, f);
		error = i < l.n_files ? candidate_open(&c, l.files[i].path) : ENOENT;
		if (!error) {
			enum tail_step step = take(t, &c, l.files[i].path, true);
			stream_release_files(&l);
			return step;
		}
		stream_release_files(&l);
	}
	*ret_skip = error || (t->purpose != TAIL_REPLAY && t->known && !candidate_has_bytes(&c));
	if (!*ret_skip)
		return take(t, &c, f->path, true);
	candidate_release(&c);
	if (error == ENOENT && f->size) {
		t->failed = true;
		diag_add(diags, DIAG_ERROR, f->path, 0, 0, "is gone before it was read: %llu bytes are lost", (unsigned long long)f->size);
	} else {
		say_opened(t, f->path, error, diags);
	}
	return TAIL_AT_END;
}

/* Is a file that was read to its end, and is not open, still the one of that number? *ret_again: the list is no longer true. */
static bool is_still(const struct tail *t, const struct stream_file *f, bool *ret_again)
{
	struct candidate c;
	int error = 0;
	enum found found = t->offset || f->mtime_ns == t->mtime_ns ? candidate_find(t, f, true, &c, &error) : FOUND_NOT;

	candidate_release(&c);
	*ret_again = error == ESTALE;
	return found != FOUND_NOT && !*ret_again;
}

/*
 * No file is open, or the present one is at its end and is the live one no more: what comes next? drained: the present one is open.
 */
static enum tail_step find_next(struct tail *t, struct diag_list *diags)
{
	bool drained = t->reader != NULL || t->finished;

	while (t->next_named < t->stream->n_files) {
		bool skip = false, live = strcmp(t->stream->files[t->next_named].path, t->live_path) == 0;
		enum tail_step step = begin_named(t, &t->stream->files[t->next_named], &skip, diags);
		if (skip && live && t->told && t->purpose == TAIL_FOLLOW)
			return TAIL_AT_END; /* it may become readable */
		t->next_named++;
		if (!skip)
			return step;
	}
	if (t->purpose == TAIL_REPLAY)
		return TAIL_AT_END;
	if (!t->known)
		return begin_first(t, diags);
	for (int i = 0; i < RETRIES; i++) {
		struct stream l;
		struct candidate c = { .reader = NULL };
		bool again = false, done = false;
		enum tail_step step = TAIL_AT_END;

		list_generations(t, &l);
		size_t present = index_of_present(t, &l), copy;
		if (present < l.n_files && drained && (t->reader || is_still(t, &l.files[present], &again))) {
			step = begin_from(t, &l, present + 1, &again, diags);
			done = true;
		} else if (drained) {
			; /* another file has the number of one that is gone */
		} else if (present < l.n_files && (copy = find_copied(t, &l, present, &c, &again)) < l.n_files) {
			step = take(t, &c, l.files[copy].path, false);
			done = true;
		} else if (present < l.n_files) {
			int error = 0;
			enum found f = candidate_find(t, &l.files[present], false, &c, &error);
			done = f == FOUND_AT || f == FOUND_ERROR;
			if (f == FOUND_AT) {
				step = take(t, &c, l.files[present].path, false);
			} else if (error == ESTALE) {
				again = true;
			} else if (f == FOUND_ERROR) {
				say_opened(t, l.files[present].path, error, diags);
				step = begin_from(t, &l, present + 1, &again, diags); /* the younger ones do not wait for it */
			}
			if (f != FOUND_AT)
				candidate_release(&c);
		}
		if (!done && !again)
			step = find_elsewhere(t, &l, drained, &again, diags);
		stream_release_files(&l);
		if (!again)
			return step;
	}
	return TAIL_AT_END;
}

/* ---- reading ---- */

/* Does the present file still hold what was read of it? */
static bool verify(const struct tail *t)
{
	struct buffer b = BUFFER_INIT;
	int fd = reader_fd(t->reader);
	bool same = read_at(fd, 0, t->head.len, &b) && span_equal(buffer_span(&b), buffer_span(&t->head)) &&
		    read_at(fd, t->offset - t->last.len, t->last.len, &b) && span_equal(buffer_span(&b), buffer_span(&t->last));

	buffer_release(&b);
	return same;
}

/* The present file has changed: does it go on in a copy? TAIL_AT_END: no. */
static enum tail_step look_for_copy(struct tail *t)
{
	struct stream l;
	struct candidate c;
	enum tail_step step = TAIL_AT_END;

	if (t->offset >= WEAK_BYTES || t->seen.st_size < 0)
		return step;
	for (int i = 0; i < RETRIES; i++) {
		bool again = false;

		list_generations(t, &l);
		size_t copy = find_copied(t, &l, index_of_present(t, &l), &c, &again);
		if (copy < l.n_files)
			step = take(t, &c, l.files[copy].path, false);
		stream_release_files(&l);
		if (!again)
			break;
	}
	return step;
}

/* The present file was truncated, or written over: as if it had been closed, and is looked for. */
static enum tail_step find_again(struct tail *t, struct diag_list *diags)
{
	enum tail_step step = TAIL_AT_END;

	for (int i = 0; i < RETRIES; i++) {
		struct stream l;
		bool again = false;

		list_generations(t, &l);
		step = find_elsewhere(t, &l, t->finished, &again, diags);
		stream_release_files(&l);
		if (!again)
			break;
	}
	return step;
}

/* The present file is at its end. TAIL_BYTES: it goes on. */
static enum tail_step look(struct tail *t, struct diag_list *diags)
{
	struct stat path, now;

	if (t->next_named < t->stream->n_files || !t->is_plain || !t->is_regular || t->purpose == TAIL_REPLAY)
		return find_next(t, diags);
	/* The path first: what is found in the file after that is all that was in it when it was rotated. */
	bool is_live = stat(t->live_path, &path) == 0;
	if (fstat(reader_fd(t->reader), &now) != 0)
		return TAIL_AT_END;
	is_live = is_live && is_same_file(&path, &now);
	t->behind = !is_live;
	if (now.st_size != t->seen.st_size || now.st_mtim.tv_sec != t->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != t->seen.st_mtim.tv_nsec ||
	    now.st_ctim.tv_sec != t->seen.st_ctim.tv_sec || now.st_ctim.tv_nsec != t->seen.st_ctim.tv_nsec) {
		bool grown = (uint64_t)now.st_size > t->offset; /* then what is read is verified */
		if ((uint64_t)now.st_size < t->offset || ((!grown || t->seen.st_size < 0) && !verify(t)))
			return find_again(t, diags);
		enum tail_step step = look_for_copy(t);
		if (step != TAIL_AT_END)
			return step;
		t->seen = now;
		t->mtime_ns = file_time_ns(&now.st_mtim);
		if (grown)
			return TAIL_BYTES;
	}
	return is_live ? TAIL_AT_END : find_next(t, diags);
}

/* An earlier run has left the file before: where is it now? It is forgotten when it was packed or removed. */
static void old_seek(struct tail *t)
{
	struct stream l;
	struct candidate c;
	int error = 0;

	t->old_sought = true;
	list_generations(t, &l);
	for (size_t i = 0; i < l.n_files && !t->old && !error; i++) {
		const struct stream_file *f = &l.files[i];
		if (is_present(t, f) || strcmp(f->path, t->live_path) == 0 || t->old_offset < WEAK_BYTES || !old_open(t, f, &c, &error))
			continue;
		t->old = c.reader;
		free(t->old_shown);
		t->old_shown = xstrdup(f->path);
	}
	stream_release_files(&l);
	if (!t->old && !error)
		old_release(t);
}

/* How many bytes of whole lines were added to the file before since it was left; at most len, in buf. */
static size_t old_read(struct tail *t, char *buf, size_t len)
{
	struct stat st;
	ssize_t n = 0;

	if (fstat(reader_fd(t->old), &st) != 0 || (uint64_t)st.st_size < t->old_offset) {
		old_release(t);
		return 0;
	}
	if ((uint64_t)st.st_size > t->old_offset) {
		if (!old_verify(t, reader_fd(t->old))) {
			old_release(t);
			return 0;
		}
		n = pread(reader_fd(t->old), buf, len, (off_t)t->old_offset);
		const char *newline = n > 0 ? memrchr(buf, '\n', (size_t)n) : NULL;
		if (newline)
			return (size_t)(newline - buf) + 1;
		if (n == (ssize_t)len) /* no line ends in so much */
			return len;
	}
	if (st.st_nlink == 0)
		old_release(t);
	return 0;
}

/* Lines of the file before come between whole lines of the present one only. */
static bool old_goes_on(struct tail *t, struct block *b)
{
	bool between = !t->last.len || t->last.data[t->last.len - 1] == '\n';

	return t->old && between && old_read(t, block_room(b, t->means->block_bytes), t->means->block_bytes) > 0;
}

enum tail_step tail_read(struct tail *t, struct block *b, size_t *ret_len, struct diag_list *diags)
{
	size_t len = t->means->block_bytes;

	*ret_len = 0;
	if (t->aside) {
		char *buf = block_room(b, len);
		size_t n = t->old ? old_read(t, buf, len) : 0;
		t->aside = n > 0;
		if (n)
			keep_last(&t->old_last, buf, n);
		block_grow(b, n);
		t->old_offset += n;
		*ret_len = n;
		if (!n && t->old)
			old_rest(t);
		return n ? TAIL_BYTES : TAIL_BACK;
	}
	t->line = 0;
	if (!t->reader) {
		/* What was written to the file before since an earlier run is older than what comes next. */
		if (t->old_shown && !t->old_sought)
			old_seek(t);
		if (old_goes_on(t, b)) {
			t->aside = true;
			return TAIL_ASIDE;
		}
		old_rest(t);
		return find_next(t, diags);
	}
	for (;;) {
		if (t->at_end) {
			enum tail_step step = look(t, diags);
			if (step == TAIL_AT_END && old_goes_on(t, b)) {
				t->aside = true;
				return TAIL_ASIDE;
			}
			if (step != TAIL_BYTES)
				return step;
			t->at_end = false;
		}
		reader_set_means(t->reader, t->means, t->purpose == TAIL_REPLAY);
		ssize_t n = reader_read_block(t->reader, b, diags);
		t->is_plain = reader_compression(t->reader) == COMPRESSION_NONE;
		/* It may have been cut off, and written beyond this place, since it was looked at. */
		if (n > 0 && t->offset && t->is_plain && t->is_regular && t->purpose != TAIL_REPLAY && !verify(t)) {
			block_cut(b, (size_t)n);
			reader_seek(t->reader, t->offset);
			t->seen = (struct stat){ .st_size = -1 };
			t->at_end = true;
			continue;
		}
		if (n > 0) {
			note_bytes(t, block_span(b).ptr + b->len - (size_t)n, (size_t)n);
			*ret_len = (size_t)n;
			return TAIL_BYTES;
		}
		t->failed |= n == READER_ERROR;
		t->at_end = true;
		t->finished = !t->is_plain || !t->is_regular;
	}
}
