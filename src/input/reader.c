/*
 * reader.c: decides when a file is an archive, and moves bytes from the descriptor to the caller. Invariants: plain
 * bytes are read straight into the caller's buffer (all but the first few, which were needed to see that they are
 * plain); an archive takes one input buffer and no output buffer; after an error nothing more comes. It does not
 * wait for descriptors that would block, does not look at names, and knows nothing of lines.
 *
 *	SNIFFING ──→ PLAIN ⟲ (may grow)
 *	    └──────→ ARCHIVE ──→ ENDED
 *	any, on an error ──→ ENDED
 *
 * Where workers read ahead, all that read_archive() or read_plain() uses is theirs until it ends; but for bytes_in, which may be asked for at any time.
 */
#include "input/reader.h"
#include "base/memory.h"
#include "input/ahead.h"
#include "input/frames.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)256 << 10)
#define INPUT_SIZE ((size_t)64 << 10)
/* The first read is short: of a plain file it is the only one that is copied. */
#define SNIFF_SIZE ((size_t)4 << 10)
/* Linux reads no more at once. */
#define READ_MAX ((size_t)1 << 30)
/* Smaller archives are unpacked before a thread is awake, and smaller files read. */
#define AHEAD_MIN ((uint64_t)128 << 10)
#define AHEAD_PLAIN_MIN ((uint64_t)1 << 20)
/* Unpacking goes by leaps; a file that is in memory is only copied. */
#define AHEAD_PLAIN_BLOCKS 2u

enum reader_state { READER_SNIFFING, READER_PLAIN, READER_ARCHIVE, READER_ENDED };

struct reader {
	int fd;
	char *name;
	enum reader_state state;
	enum compression compression;
	char *in; /* SNIFFING, and PLAIN until it is used up: SNIFF_SIZE; ARCHIVE: INPUT_SIZE, with frames FRAMES_INPUT_MAX */
	size_t in_pos, in_end;
	bool in_last; /* the descriptor is at its end */
	struct unpack *unpack;
	uint64_t unpacked; /* bytes that came out of the archive */
	uint64_t bytes_in;
	bool regular;
	const struct read_means *means;
	struct ahead *ahead; /* NULL: nothing is read ahead */
	struct frames *frames; /* before that, the small frames at a zstd archive's beginning; NULL: none */
	bool plain_ahead, begun_ahead, cut_last; /* cut_last: no further portion can be cut from here */
	bool in_large; /* `in` is larger than INPUT_SIZE */
	struct diag_list ahead_diags; /* what they have to say */
	int64_t mtime_ns;
};

/* Of who reads alone. */
static const struct read_means no_means = { .block_bytes = BLOCK_SIZE, .blocks_ahead = 1 };

struct reader *reader_new(int fd, const char *name)
{
	struct reader *r = xcalloc(1, sizeof *r);
	struct stat st;

	r->fd = fd;
	r->name = xstrdup(name);
	r->state = READER_SNIFFING;
	r->mtime_ns = INT64_MIN;
	r->means = &no_means;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		r->regular = true;
		r->mtime_ns = file_time_ns(&st.st_mtim);
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return r;
}

struct reader *reader_open(const char *path, struct diag_list *diags)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	struct stat st;
	int fd;

	/* A copy, so that freeing the reader leaves descriptor 0 taken: another file must not become standard input. */
	do
		fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		int error = errno;

		diag_add(diags, DIAG_ERROR, name, 0, 0, "cannot open: %s", strerror(error));
		if (error == EACCES)
			diag_hint(diags, "check who may read the file and search the directories above it");
		else if (error == EMFILE || error == ENFILE)
			diag_hint(diags, "name fewer files, or raise the limit with `ulimit -n`");
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		diag_add(diags, DIAG_ERROR, name, 0, 0, "is a directory");
		diag_hint(diags, "name a file in it");
		return NULL;
	}
	return reader_new(fd, name);
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	ahead_free(r->ahead);
	frames_free(r->frames);
	diag_list_release(&r->ahead_diags);
	unpack_free(r->unpack);
	close(r->fd);
	free(r->in);
	free(r->name);
	free(r);
}

/* As reader_read() does, but from the descriptor. */
static ssize_t read_fd(struct reader *r, void *buf, size_t len, struct diag_list *diags)
{
	ssize_t n;

	do
		n = read(r->fd, buf, len < READ_MAX ? len : READ_MAX);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		__atomic_fetch_add(&r->bytes_in, (uint64_t)n, __ATOMIC_RELAXED);
		return n;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return READER_WOULD_BLOCK;
	diag_add(diags, DIAG_ERROR, r->name, 0, 0, "cannot read at byte %llu: %s", (unsigned long long)reader_bytes_in(r),
		 strerror(errno));
	diag_hint(diags, "what came before it was used");
	return READER_ERROR;
}

/* Reads until it is clear what the file is. Returns 1 then; else as reader_read(). */
static ssize_t sniff(struct reader *r, struct diag_list *diags)
{
	bool undecided = true;

	if (!r->in)
		r->in = xmalloc(SNIFF_SIZE);
	while (undecided) {
		ssize_t n = read_fd(r, r->in + r->in_end, SNIFF_SIZE - r->in_end, diags);

		if (n < 0)
			return n;
		if (n == 0 && r->in_end == 0)
			return READER_EOF; /* what will be appended may still be anything */
		r->in_end += (size_t)n;
		r->compression = compression_recognise(span_of(r->in, r->in_end), &undecided);
		if (n == 0)
			undecided = false;
	}
	if (r->compression == COMPRESSION_NONE) {
		r->state = READER_PLAIN;
	} else {
		r->state = READER_ARCHIVE;
		r->in = xrealloc(r->in, INPUT_SIZE);
		r->unpack = unpack_new(r->compression);
	}
	return 1;
}

static ssize_t read_plain(struct reader *r, void *buf, size_t len, struct diag_list *diags)
{
	size_t n = r->in_end - r->in_pos;

	if (!n)
		return read_fd(r, buf, len, diags);
	if (n > len)
		n = len;
	memcpy(buf, r->in + r->in_pos, n);
	r->in_pos += n;
	if (r->in_pos == r->in_end) {
		free(r->in);
		r->in = NULL;
		r->in_pos = r->in_end = 0;
	}
	return (ssize_t)n;
}

static ssize_t archive_damaged(struct reader *r, const char *problem, const char *hint, struct diag_list *diags)
{
	diag_add(diags, DIAG_ERROR, r->name, 0, 0, "%s: %s, at byte %llu of the unpacked data", compression_name(r->compression), problem,
		 (unsigned long long)r->unpacked);
	diag_hint(diags, "%s", hint);
	return READER_ERROR;
}

static ssize_t archive_ended(struct reader *r, struct diag_list *diags)
{
	if (unpack_warning(r->unpack))
		diag_add(diags, DIAG_WARNING, r->name, 0, 0, "%s: %s", compression_name(r->compression), unpack_warning(r->unpack));
	return READER_EOF;
}

static ssize_t read_archive(struct reader *r, void *buf, size_t len, struct diag_list *diags)
{
	for (;;) {
		struct unpack_io io = { span_of(r->in + r->in_pos, r->in_end - r->in_pos), r->in_last, buf, len };
		enum unpack_result result = unpack_step(r->unpack, &io);
		ssize_t n;

		r->in_pos = r->in_end - io.in.len;
		switch (result) {
		case UNPACK_OUTPUT:
			r->unpacked += (uint64_t)(io.out - (char *)buf);
			return io.out - (char *)buf;
		case UNPACK_END:
			return archive_ended(r, diags);
		case UNPACK_DAMAGED:
			return archive_damaged(r, unpack_problem(r->unpack), unpack_problem_hint(r->unpack), diags);
		case UNPACK_HUNGRY:
			break;
		}
		assert(!io.in.len && !r->in_last);
		r->in_pos = r->in_end = 0;
		if (r->in_large) { /* its frames are done with */
			r->in = xrealloc(r->in, INPUT_SIZE);
			r->in_large = false;
		}
		n = read_fd(r, r->in, INPUT_SIZE, diags);
		if (n < 0)
			return n;
		r->in_end = (size_t)n;
		r->in_last = n == 0;
	}
}

static ssize_t fill_ahead(void *context, void *buf, size_t len)
{
	struct reader *r = context;

	return r->state == READER_PLAIN ? read_plain(r, buf, len, &r->ahead_diags) : read_archive(r, buf, len, &r->ahead_diags);
}

void reader_set_means(struct reader *r, const struct read_means *m, bool plain)
{
	r->means = m;
	r->plain_ahead = plain && r->regular;
}

static ssize_t read_from_workers(struct reader *r, struct block *b, struct diag_list *diags)
{
	const struct read_means *m = r->means;
	unsigned most = r->state == READER_PLAIN ? AHEAD_PLAIN_BLOCKS : READ_BLOCKS_AHEAD_MAX;
	ssize_t n = ahead_read(r->ahead, b, m->blocks_ahead < most ? m->blocks_ahead : most, m->block_bytes);

	for (size_t i = 0; n <= 0 && i < r->ahead_diags.n; i++) {
		const struct diag *d = &r->ahead_diags.items[i];

		diag_add(diags, d->level, d->file, d->line, d->column, "%s", d->text);
		if (d->hint)
			diag_hint(diags, "%s", d->hint);
	}
	return n;
}

/* Cuts the next portion off the archive, reading what it takes. A read that fails is left to the next one, which tells. */
static size_t cut_portion(struct reader *r, size_t *ret_content)
{
	struct diag_list unsaid = DIAG_LIST_INIT;
	size_t len = frames_cut(span_of(r->in + r->in_pos, r->in_end - r->in_pos), ret_content);

	if (!len) {
		memmove(r->in, r->in + r->in_pos, r->in_end - r->in_pos);
		r->in_end -= r->in_pos;
		r->in_pos = 0;
		for (ssize_t n = 1; n > 0 && r->in_end < FRAMES_INPUT_MAX;) {
			n = read_fd(r, r->in + r->in_end, FRAMES_INPUT_MAX - r->in_end, &unsaid);
			if (n > 0)
				r->in_end += (size_t)n;
		}
		len = frames_cut(span_of(r->in, r->in_end), ret_content);
	}
	diag_list_release(&unsaid);
	return len;
}

/* From the frames that are unpacked side by side; READER_EOF: what follows is not for them. */
static ssize_t read_from_frames(struct reader *r, struct block *b, struct diag_list *diags)
{
	size_t before = b->len, content, len;

	do {
		while (!r->cut_last && frames_has_room(r->frames)) {
			len = cut_portion(r, &content);
			r->cut_last = len == 0;
			if (len)
				frames_give(r->frames, span_of(r->in + r->in_pos, len), content);
			r->in_pos += len;
		}
		switch (frames_take(r->frames, b)) {
		case FRAMES_BYTES:
			r->unpacked += b->len - before;
			return (ssize_t)(b->len - before);
		case FRAMES_NONE: /* but there may be more frames: all these were empty */
			break;
		case FRAMES_DAMAGED:
			return archive_damaged(r, frames_problem(r->frames), frames_problem_hint(r->frames), diags);
		}
	} while (!r->cut_last);
	return READER_EOF;
}

/* Where reading ahead is worth it. */
static void begin_ahead(struct reader *r)
{
	bool plain = r->state == READER_PLAIN;

	r->begun_ahead = true;
	if (!r->means->workers || (plain && !r->plain_ahead) || reader_size(r) < (plain ? AHEAD_PLAIN_MIN : AHEAD_MIN))
		return;
	r->ahead = ahead_new(r->means->workers, r->means->blocks, fill_ahead, r);
	if (r->compression != COMPRESSION_ZSTD || !r->means->frames)
		return;
	r->in = xrealloc(r->in, FRAMES_INPUT_MAX);
	r->in_large = true;
	r->frames = frames_new(r->means->workers, r->means->blocks);
}

/* Sees to it that it is known what the file is. 1: it is; else as reader_read(). */
static ssize_t begin(struct reader *r, struct diag_list *diags)
{
	ssize_t n = r->state == READER_SNIFFING ? sniff(r, diags) : 1;

	if (n == READER_ERROR)
		r->state = READER_ENDED;
	return n;
}

/* What every read ends with. */
static ssize_t note(struct reader *r, ssize_t n)
{
	if (n == READER_ERROR || (n == READER_EOF && r->state == READER_ARCHIVE))
		r->state = READER_ENDED;
	return n;
}

ssize_t reader_read(struct reader *r, void *buf, size_t len, struct diag_list *diags)
{
	ssize_t n = begin(r, diags);

	assert(len > 0 && !r->ahead);
	if (n <= 0)
		return n;
	switch (r->state) {
	case READER_SNIFFING:
	case READER_ENDED:
		return READER_EOF;
	case READER_PLAIN:
		return note(r, read_plain(r, buf, len, diags));
	case READER_ARCHIVE:
		break;
	}
	return note(r, read_archive(r, buf, len, diags));
}

ssize_t reader_read_block(struct reader *r, struct block *b, struct diag_list *diags)
{
	ssize_t n = begin(r, diags);

	if (n <= 0)
		return n;
	if ((r->state == READER_ARCHIVE || r->state == READER_PLAIN) && !r->begun_ahead)
		begin_ahead(r);
	if (r->state == READER_ARCHIVE && r->frames) {
		n = read_from_frames(r, b, diags);
		if (n != READER_EOF)
			return note(r, n);
		frames_free(r->frames);
		r->frames = NULL;
	}
	if (r->state != READER_ENDED && r->ahead)
		return note(r, read_from_workers(r, b, diags));
	if (r->state == READER_ENDED)
		return READER_EOF;
	struct block block = block_pool_take(r->means->blocks, r->means->block_bytes);
	n = reader_read(r, block_room(&block, r->means->block_bytes), r->means->block_bytes, diags);
	if (n > 0) {
		block_grow(&block, (size_t)n);
		block_take(b, &block);
	}
	block_pool_give(r->means->blocks, &block);
	return n;
}

bool reader_begin(struct reader *r)
{
	struct diag_list unsaid = DIAG_LIST_INIT; /* the next read fails again, and tells */
	bool any = r->state != READER_SNIFFING || sniff(r, &unsaid) != READER_EOF;

	diag_list_release(&unsaid);
	return any;
}

enum compression reader_compression(const struct reader *r)
{
	return r->compression;
}

uint64_t reader_bytes_in(const struct reader *r)
{
	return __atomic_load_n(&r->bytes_in, __ATOMIC_RELAXED);
}

uint64_t reader_size(const struct reader *r)
{
	struct stat st;

	return r->regular && fstat(r->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

int64_t reader_mtime_ns(const struct reader *r)
{
	return r->mtime_ns;
}

int64_t file_time_ns(const struct timespec *t)
{
	/* A time beyond what nanoseconds can hold is as good as none. */
	if (t->tv_sec <= -INT64_C(9000000000) || t->tv_sec >= INT64_C(9000000000))
		return INT64_MIN;
	return (int64_t)t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

int reader_fd(const struct reader *r)
{
	return r->fd;
}

bool reader_seek(struct reader *r, uint64_t offset)
{
	assert(r->state == READER_PLAIN || r->state == READER_SNIFFING);
	if (r->state == READER_SNIFFING && offset == 0)
		return true;
	if (offset > INT64_MAX || lseek(r->fd, (off_t)offset, SEEK_SET) < 0)
		return false;
	r->state = READER_PLAIN;
	free(r->in);
	r->in = NULL;
	r->in_pos = r->in_end = 0;
	return true;
}
