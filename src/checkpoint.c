/*
 * The checkpoint file. It decides what is a checkpoint, and that a crash at any instant leaves the old one or the new one:
 *
 *	PATH.lock        flock()ed by the run that uses PATH, and holds its PID; never removed, so that the lock is always on one file
 *	PATH.tmp         what is being written; only who has the lock does, so one name is enough
 *	PATH             renamed from PATH.tmp when that is on disk; then the directory is brought to disk
 *
 * The file, numbers little-endian:
 *
 *	offset  bytes
 *	     0  8     "tocsinCK"
 *	     8  4     format, 1
 *	    12  4     0
 *	    16  8     when it was written: ns since 1970-01-01 UTC, signed
 *	    24  8     length of what follows the header
 *	    32  8     XXH3-64 of what follows the header, seeded with the XXH3-64 of bytes 0 to 31
 *	    40        sections in rising order of their numbers, each once:
 *	              4 bytes number (1 inputs, 2 pipeline, 3 outputs), 4 bytes 0, 8 bytes length, its bytes
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
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "tocsinCK"
#define HEADER_BYTES 40
#define SECTION_BYTES 16

struct checkpoint {
	char *path, *temporary;
	int lock;
	struct span file;      /* mapped; empty: there was none */
	struct checkpoint_content content;
	uint64_t size;
	uint64_t payload_hash; /* of what is on disk, its header aside */
	bool has_hash;
	struct buffer next;    /* the one that is being written */
	size_t section_at;
};

static void put_fixed(struct buffer *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buffer_append_char(b, (char)(unsigned char)(v >> (8 * i)));
}

static void set_fixed(char *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
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
	uint64_t last = 0;

	*ret = (struct checkpoint_content){ 0 };
	if (file.len == 0)
		return "it is empty";
	if (file.len < sizeof MAGIC - 1 || memcmp(file.ptr, MAGIC, sizeof MAGIC - 1) != 0)
		return "it is not a checkpoint";
	if (file.len < HEADER_BYTES)
		return cut;
	if (get_fixed(file.ptr + 8, 4) > CHECKPOINT_FORMAT)
		return "it was written by a newer tocsin";
	struct span payload = span_from(file, HEADER_BYTES);
	if (get_fixed(file.ptr + 24, 8) > payload.len)
		return cut;
	if (get_fixed(file.ptr + 24, 8) < payload.len || get_fixed(file.ptr + 8, 4) != CHECKPOINT_FORMAT ||
	    get_fixed(file.ptr + 32, 8) != hash_bytes(payload.ptr, payload.len, hash_bytes(file.ptr, 32, 0)))
		return "it is damaged: its checksum is wrong";
	ret->written_ns = (int64_t)get_fixed(file.ptr + 16, 8);
	while (payload.len) {
		uint64_t number = payload.len < SECTION_BYTES ? 0 : get_fixed(payload.ptr, 4);
		uint64_t len = payload.len < SECTION_BYTES ? 0 : get_fixed(payload.ptr + 8, 8);
		if (number <= last || number > CHECKPOINT_SECTIONS || len > payload.len - SECTION_BYTES)
			return "it is damaged: its sections make no sense";
		ret->sections[number - 1] = span_of(payload.ptr + SECTION_BYTES, (size_t)len);
		payload = span_from(payload, SECTION_BYTES + (size_t)len);
		last = number;
	}
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
	if (why)
		say_refused(c->path, why, diags);
	if (!c->file.len || why)
		return false;
	c->payload_hash = hash_bytes(c->file.ptr + HEADER_BYTES, c->file.len - HEADER_BYTES, 0);
	c->has_hash = true;
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
		diag_add(diags, DIAG_ERROR, name.data, 0, 0, "cannot lock the checkpoint: %s", strerror(errno));
		diag_hint(diags, "a checkpoint needs a directory that can be written to");
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
		int n = snprintf(pid, sizeof pid, "%jd\n", (intmax_t)getpid());
		/* For people only: that it cannot be written (a full disk) does not make the lock worse. */
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

	c->lock = -1;
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
	if (c->lock >= 0)
		close(c->lock);
	buffer_release(&c->next);
	free(c->path);
	free(c->temporary);
	free(c);
}

bool checkpoint_is_new(const struct checkpoint *c)
{
	return !c->has_hash;
}

int64_t checkpoint_written_ns(const struct checkpoint *c)
{
	return c->content.written_ns;
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

/* ---- writing ---- */

struct buffer *checkpoint_begin(struct checkpoint *c)
{
	buffer_clear(&c->next);
	buffer_append(&c->next, MAGIC, sizeof MAGIC - 1);
	put_fixed(&c->next, CHECKPOINT_FORMAT, 4);
	for (int i = 0; i < 7; i++)
		put_fixed(&c->next, 0, 4);
	return &c->next;
}

void checkpoint_section_begin(struct checkpoint *c, enum checkpoint_section s)
{
	put_fixed(&c->next, s, 8);
	put_fixed(&c->next, 0, 8);
	c->section_at = c->next.len;
}

void checkpoint_section_end(struct checkpoint *c)
{
	set_fixed(c->next.data + c->section_at - 8, c->next.len - c->section_at);
}

static bool replace(const struct checkpoint *c)
{
	int fd = open(c->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && disk_write(fd, buffer_span(&c->next)) && fsync(fd) == 0;
	int error = errno;

	if (fd >= 0 && close(fd) != 0 && ok) {
		error = errno;
		ok = false;
	}
	if (ok && rename(c->temporary, c->path) != 0) {
		error = errno;
		ok = false;
	}
	if (!ok && fd >= 0)
		unlink(c->temporary);
	errno = error;
	return ok;
}

bool checkpoint_commit(struct checkpoint *c, int64_t now_ns, struct diag_list *diags)
{
	char *header = c->next.data;
	size_t len = c->next.len - HEADER_BYTES;
	uint64_t hash = hash_bytes(header + HEADER_BYTES, len, 0);

	if (c->has_hash && hash == c->payload_hash && c->size == c->next.len)
		return true;
	set_fixed(header + 16, (uint64_t)now_ns);
	set_fixed(header + 24, len);
	set_fixed(header + 32, hash_bytes(header + HEADER_BYTES, len, hash_bytes(header, 32, 0)));
	if (!replace(c) || !disk_sync_directory(c->path)) {
		diag_add(diags, DIAG_ERROR, c->path, 0, 0, "cannot write the checkpoint: %s", strerror(errno));
		diag_hint(diags, "nothing is lost: the next run goes on from the checkpoint that is there");
		return false;
	}
	c->payload_hash = hash;
	c->has_hash = true;
	c->size = c->next.len;
	if (c->next.cap > 1 << 20)
		buffer_release(&c->next);
	return true;
}
