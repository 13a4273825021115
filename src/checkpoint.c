/*
 * The checkpoint file. It decides what is a checkpoint, and that a crash at any instant leaves the old one or the new one:
 *
 *	PATH.lock        flock()ed by the run that uses PATH, and holds its PID until that ends well: so the next one knows whether it was killed;
 *	                 never removed, so that the lock is always on one file
 *	PATH.tmp         what is being written; only who has the lock does, so one name is enough
 *	PATH             renamed from PATH.tmp when that is on disk; then the directory is brought to disk
 *
 * The file, numbers little-endian:
 *
 *	offset  bytes
 *	     0  8     "tocsinCK"
 *	     8  4     format, 3
 *	    12  4     0
 *	    16  8     when it was written: ns since 1970-01-01 UTC, signed
 *	    24  3 × 8 lengths of the sections: inputs, pipeline, outputs
 *	    48  8     XXH3-64 of bytes 0 to 47, seeded with the XXH3-64 of what follows the header
 *	    56        the sections
 *
 * While it is being made it is in memory up to a limit; beyond that it goes to PATH.tmp in pieces, and the header, whose numbers are known last,
 * is written there at the end.
 *
 * doc/checkpoint.md says what is in the sections. A format is raised when a reader of the old one would not understand the new one.
 */
#include "checkpoint.h"

#include "base/disk.h"
#include "base/map.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "tocsinCK"
#define HEADER_BYTES 56
#define SECTIONS_AT 24
#define CHECKSUM_AT (HEADER_BYTES - 8)

struct checkpoint {
	char *path, *temporary;
	int lock;
	bool was_killed;
	struct span file;      /* mapped; empty: there was none */
	struct checkpoint_content content;
	uint64_t size;
	uint64_t content_hash; /* of what is on disk, its header aside */
	bool has_hash;

	/* the one that is being written */
	struct buffer next;    /* what is not in the temporary file yet */
	struct buffer_sink sink;
	struct hash_stream *hash;
	uint64_t n_drained;    /* bytes that are */
	int fd;                /* -1: it is not begun */
	int error;             /* errno of what went wrong; the rest is not written */
	uint64_t lengths[CHECKPOINT_SECTIONS];
};

static void set_fixed(char *to, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (char)(unsigned char)(v >> (8 * i));
}

static uint64_t get_fixed(const char *from, int bytes)
{
	uint64_t v = 0;

	for (int i = bytes; i-- > 0;)
		v = v << 8 | (unsigned char)from[i];
	return v;
}

/* ---- reading ---- */

const char *checkpoint_parse(struct span file, struct checkpoint_content *ret)
{
	static const char *const cut = "it is damaged: it ends too early";

	*ret = (struct checkpoint_content){ 0 };
	if (file.len == 0)
		return "it is empty";
	if (file.len < sizeof MAGIC - 1 || memcmp(file.ptr, MAGIC, sizeof MAGIC - 1) != 0)
		return "it is not a checkpoint";
	if (file.len < HEADER_BYTES)
		return cut;
	uint64_t format = get_fixed(file.ptr + 8, 4);
	if (format > CHECKPOINT_FORMAT)
		return "it was written by a newer tocsin";
	if (format < CHECKPOINT_FORMAT_OLDEST)
		return "it was written by an older tocsin, in a format that is read no more";
	struct span content = span_from(file, HEADER_BYTES), rest = content;
	bool ends_early = false;
	for (int i = 0; i < CHECKPOINT_SECTIONS; i++) {
		uint64_t len = get_fixed(file.ptr + SECTIONS_AT + 8 * i, 8);
		ends_early |= len > rest.len;
		ret->sections[i] = span_of(rest.ptr, len < rest.len ? (size_t)len : rest.len);
		rest = span_from(rest, ret->sections[i].len);
	}
	if (ends_early)
		return cut;
	ret->hash = hash_bytes(content.ptr, content.len, 0);
	if (rest.len || get_fixed(file.ptr + CHECKSUM_AT, 8) != hash_bytes(file.ptr, CHECKSUM_AT, ret->hash))
		return "it is damaged: its checksum is wrong";
	ret->format = (int)format;
	ret->written_ns = (int64_t)get_fixed(file.ptr + 16, 8);
	return NULL;
}

static void say_refused(const char *path, const char *why, struct diag_list *diags)
{
	diag_add(diags, DIAG_ERROR, path, 0, 0, "%s; it is left as it is", why);
	diag_hint(diags, "to begin anew, move it away: all logs are read from their starts then");
}

/* False with a diagnostic; a file that is not there is none. */
static bool read_file(struct checkpoint *c, bool must_be, struct diag_list *diags)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	const char *why = NULL;

	if (fd < 0 && errno == ENOENT && !must_be)
		return true;
	if (fd < 0 || fstat(fd, &st) != 0) {
		diag_add(diags, DIAG_ERROR, c->path, 0, 0, "cannot read the checkpoint: %s", strerror(errno));
		if (must_be)
			diag_hint(diags, "name the FILE of a run with --checkpoint FILE");
	} else if (S_ISDIR(st.st_mode)) {
		diag_add(diags, DIAG_ERROR, c->path, 0, 0, "is a directory, and cannot be a checkpoint");
		diag_hint(diags, "name a file in it");
	} else if (!S_ISREG(st.st_mode)) {
		why = "it is not a regular file";
	} else {
		void *map = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
		if (map == MAP_FAILED) {
			diag_add(diags, DIAG_ERROR, c->path, 0, 0, "cannot read the checkpoint: %s", strerror(errno));
			close(fd);
			return false;
		}
		c->file = span_of(map, (size_t)st.st_size);
		c->size = (uint64_t)st.st_size;
		why = checkpoint_parse(c->file, &c->content);
	}
	if (fd >= 0)
		close(fd);
	if (why && must_be) { /* only to be shown: there is nothing to begin anew */
		diag_add(diags, DIAG_ERROR, c->path, 0, 0, "%s", why);
		diag_hint(diags, "name the FILE of a run with --checkpoint FILE");
	} else if (why) {
		say_refused(c->path, why, diags);
	}
	if (!c->file.len || why)
		return false;
	c->content_hash = c->content.hash;
	c->has_hash = true;
	return true;
}

/* ---- writing ---- */

static void header_make(const struct checkpoint *c, int64_t now_ns, uint64_t hash, char ret[HEADER_BYTES])
{
	memcpy(ret, MAGIC, sizeof MAGIC - 1);
	set_fixed(ret + 8, CHECKPOINT_FORMAT, 4);
	set_fixed(ret + 12, 0, 4);
	set_fixed(ret + 16, (uint64_t)now_ns, 8);
	for (int i = 0; i < CHECKPOINT_SECTIONS; i++)
		set_fixed(ret + SECTIONS_AT + 8 * i, c->lengths[i], 8);
	set_fixed(ret + CHECKSUM_AT, hash_bytes(ret, CHECKSUM_AT, hash), 8);
}

/* The temporary file goes, if there is one. */
static void abandon(struct checkpoint *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	unlink(c->temporary);
}

static bool begin_file(struct checkpoint *c)
{
	c->fd = open(c->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return c->fd >= 0;
}

/* What is in memory goes to the temporary file, behind room for the header. */
static void take(struct buffer_sink *sink, struct buffer *b)
{
	static const char room[HEADER_BYTES];
	struct checkpoint *c = (struct checkpoint *)(void *)((char *)sink - offsetof(struct checkpoint, sink));

	hash_stream_add(c->hash, buffer_span(b));
	if (!c->error && !((c->fd >= 0 || (begin_file(c) && disk_write(c->fd, span_of(room, sizeof room)))) && disk_write(c->fd, buffer_span(b))))
		c->error = errno;
	c->n_drained += b->len;
	buffer_clear(b);
}

struct buffer *checkpoint_begin(struct checkpoint *c)
{
	abandon(c);
	buffer_clear(&c->next);
	c->next.sink = &c->sink;
	hash_stream_reset(c->hash);
	c->n_drained = 0;
	c->error = 0;
	memset(c->lengths, 0, sizeof c->lengths);
	return &c->next;
}

void checkpoint_section_end(struct checkpoint *c, enum checkpoint_section s)
{
	uint64_t before = 0;

	for (int i = 0; i < CHECKPOINT_SECTIONS; i++)
		before += c->lengths[i];
	c->lengths[s - 1] = c->n_drained + c->next.len - before;
}

/* The rest and the header, then all to the disk under its name. 0, or an errno. */
static int finish_file(struct checkpoint *c, struct span header)
{
	bool ok = !c->error;

	errno = c->error;
	if (ok && c->fd < 0)
		ok = begin_file(c) && disk_write(c->fd, header) && disk_write(c->fd, buffer_span(&c->next));
	else if (ok)
		ok = disk_write(c->fd, buffer_span(&c->next)) && lseek(c->fd, 0, SEEK_SET) == 0 && disk_write(c->fd, header);
	ok = ok && fsync(c->fd) == 0;
	int error = ok ? 0 : errno;

	if (c->fd >= 0 && close(c->fd) != 0 && ok)
		error = errno;
	if (!error && rename(c->temporary, c->path) != 0)
		error = errno;
	if (error && c->fd >= 0)
		unlink(c->temporary);
	c->fd = -1;
	if (!error && !disk_sync_directory(c->path))
		error = errno;
	return error;
}

bool checkpoint_commit(struct checkpoint *c, int64_t now_ns, struct diag_list *diags)
{
	char header[HEADER_BYTES];
	uint64_t size = HEADER_BYTES + c->n_drained + c->next.len;

	hash_stream_add(c->hash, buffer_span(&c->next));
	uint64_t hash = hash_stream_value(c->hash);
	if (c->has_hash && hash == c->content_hash && c->size == size) {
		abandon(c);
		return true;
	}
	header_make(c, now_ns, hash, header);
	int error = finish_file(c, span_of(header, sizeof header));
	if (error) {
		diag_add(diags, DIAG_ERROR, c->path, 0, 0, "cannot write the checkpoint: %s", strerror(error));
		diag_hint(diags, "nothing is lost: the next run goes on from the checkpoint that is there");
		return false;
	}
	c->content_hash = hash;
	c->has_hash = true;
	c->size = size;
	return true;
}

/* ---- the lock ---- */

static bool take_lock(struct checkpoint *c, struct diag_list *diags)
{
	struct buffer name = BUFFER_INIT;
	char pid[32] = "";

	buffer_printf(&name, "%s.lock", c->path);
	c->lock = open(buffer_string(&name), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock < 0) {
		int error = errno;
		diag_add(diags, DIAG_ERROR, name.data, 0, 0, "cannot lock the checkpoint: %s", strerror(error));
		diag_hint_unwritable(diags, c->path, error);
	} else if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {
		ssize_t n = pread(c->lock, pid, sizeof pid - 1, 0);
		int digits = n > 0 ? (int)strspn(pid, "0123456789") : 0;
		if (errno != EWOULDBLOCK && n < 0)
			diag_add(diags, DIAG_ERROR, name.data, 0, 0, "cannot lock the checkpoint: %s", strerror(errno));
		else if (digits)
			diag_add(diags, DIAG_ERROR, c->path, 0, 0, "is in use by process %.*s", digits, pid);
		else
			diag_add(diags, DIAG_ERROR, c->path, 0, 0, "is in use by another process");
		close(c->lock);
		c->lock = -1;
	} else {
		c->was_killed = pread(c->lock, pid, 1, 0) == 1;
		int n = snprintf(pid, sizeof pid, "%jd\n", (intmax_t)getpid());
		/* That it cannot be written (a full disk) does not make the lock worse. */
		if (ftruncate(c->lock, 0) == 0)
			(void)!pwrite(c->lock, pid, (size_t)n, 0);
	}
	buffer_release(&name);
	return c->lock >= 0;
}

/* ---- life ---- */

static struct checkpoint *checkpoint_new(const char *path)
{
	struct checkpoint *c = xcalloc(1, sizeof *c);
	/* Where the path is a link the file that it leads to is replaced, not the link. */
	char *real = realpath(path, NULL);
	struct buffer name = BUFFER_INIT;

	c->lock = c->fd = -1;
	c->sink.take = take;
	c->hash = hash_stream_new();
	c->path = real ? real : xstrdup(path);
	buffer_printf(&name, "%s.tmp", c->path);
	buffer_string(&name);
	c->temporary = name.data;
	return c;
}

struct checkpoint *checkpoint_open(const char *path, struct diag_list *diags)
{
	struct checkpoint *c = checkpoint_new(path);

	if (!take_lock(c, diags))
		goto fail;
	if (unlink(c->temporary) != 0 && errno != ENOENT) {
		diag_add(diags, DIAG_ERROR, c->temporary, 0, 0, "cannot remove what an earlier run left: %s", strerror(errno));
		goto fail;
	}
	if (!read_file(c, false, diags))
		goto fail;
	return c;
fail:
	checkpoint_close(c);
	return NULL;
}

struct checkpoint *checkpoint_view(const char *path, struct diag_list *diags)
{
	struct checkpoint *c = checkpoint_new(path);

	if (read_file(c, true, diags))
		return c;
	checkpoint_close(c);
	return NULL;
}

void checkpoint_forget(struct checkpoint *c)
{
	if (c->file.len)
		munmap((void *)(uintptr_t)c->file.ptr, c->file.len);
	c->file = SPAN("");
	c->content = (struct checkpoint_content){ .written_ns = c->content.written_ns };
}

void checkpoint_close(struct checkpoint *c)
{
	if (!c)
		return;
	checkpoint_forget(c);
	abandon(c);
	if (c->lock >= 0) {
		(void)!ftruncate(c->lock, 0);
		close(c->lock);
	}
	hash_stream_free(c->hash);
	buffer_release(&c->next);
	free(c->path);
	free(c->temporary);
	free(c);
}

bool checkpoint_is_new(const struct checkpoint *c)
{
	return !c->has_hash;
}

bool checkpoint_was_killed(const struct checkpoint *c)
{
	return c->was_killed;
}

int64_t checkpoint_written_ns(const struct checkpoint *c)
{
	return c->content.written_ns;
}

int checkpoint_format(const struct checkpoint *c)
{
	return c->content.format;
}

uint64_t checkpoint_size(const struct checkpoint *c)
{
	return c->size;
}

struct codec_reader checkpoint_section(const struct checkpoint *c, enum checkpoint_section s)
{
	struct span bytes = c->content.sections[s - 1];

	return (struct codec_reader){ bytes.ptr, bytes.ptr + bytes.len, false };
}

void checkpoint_say_damaged(const struct checkpoint *c, struct diag_list *diags)
{
	say_refused(c->path, "it is damaged: its content makes no sense", diags);
}
