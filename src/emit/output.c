/*
 * Writing state changes. What cannot be written is an error, never lost silently; a reader that has gone (EPIPE) is
 * no error: `tocsin … | head` ends quietly.
 */
#include "emit/output.h"

#include "base/disk.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *shown(const struct output *o)
{
	return o->path ? o->path : "standard output";
}

static enum output_result failed(const struct output *o, struct diag_list *diags)
{
	if (errno == EPIPE)
		return OUTPUT_CLOSED;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot write to %s: %s", shown(o), strerror(errno));
	return OUTPUT_FAILED;
}

bool output_open(struct output *o, enum emit_format format, const char *path, const struct emit_options *options, struct diag_list *diags)
{
	*o = (struct output){ .format = format, .path = path, .fd = -1, .options = *options };
	bool is_new = path && access(path, F_OK) != 0;
	struct stat st;
	/* A descriptor of its own for each: two formats may go to standard output, and closing tells what a full disk says last. */
	o->fd = !path ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (o->fd >= 0 && (fcntl(o->fd, F_GETFL) & O_ACCMODE) == O_RDONLY) { /* told now, not with the first incident */
		close(o->fd);
		o->fd = -1;
		errno = EBADF;
	}
	if (o->fd < 0) {
		int error = errno;
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot open %s for writing: %s", shown(o), strerror(error));
		if (path)
			diag_hint_unwritable(diags, path, error);
		return false;
	}
	o->is_file = path && fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode);
	o->is_new = o->is_file && is_new;
	return true;
}

void output_change(struct output *o, const struct change *c)
{
	emit_change(&o->pending, o->format, &o->options, c);
}

enum output_result output_flush(struct output *o, struct diag_list *diags)
{
	size_t done = 0;

	while (done < o->pending.len) {
		ssize_t n = write(o->fd, o->pending.data + done, o->pending.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			enum output_result r = failed(o, diags);
			buffer_clear(&o->pending);
			return r;
		}
		done += (size_t)n;
		o->written += (uint64_t)n;
	}
	buffer_clear(&o->pending);
	return OUTPUT_OK;
}

enum output_result output_close(struct output *o, struct diag_list *diags)
{
	enum output_result r = output_flush(o, diags);

	if (o->fd >= 0 && close(o->fd) != 0 && r == OUTPUT_OK)
		r = failed(o, diags);
	o->fd = -1;
	buffer_release(&o->pending);
	return r;
}

/* ---- exactly once ---- */

/* The directory of a path, into out. */
static const char *directory_of(struct span path, struct buffer *out)
{
	size_t len = path.len;

	while (len && path.ptr[len - 1] != '/')
		len--;
	buffer_clear(out);
	buffer_append_span(out, len ? span_of(path.ptr, len) : SPAN("."));
	return buffer_string(out);
}

/* The bytes in front of size; false when they cannot be read. The file need not be open for reading, so by its name. */
static bool read_tail(const char *path, uint64_t device, uint64_t inode, uint64_t size, struct buffer *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t n = size < OUTPUT_TAIL_BYTES ? (size_t)size : OUTPUT_TAIL_BYTES;
	struct stat st;
	bool ok = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;

	buffer_clear(ret);
	buffer_reserve(ret, n);
	while (ok && ret->len < n) {
		ssize_t got = pread(fd, ret->data + ret->len, n - ret->len, (off_t)(size - n + ret->len));
		ok = got > 0 || (got < 0 && errno == EINTR);
		ret->len += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

bool outputs_sync(struct output *list, size_t n, struct diag_list *diags)
{
	for (size_t i = 0; i < n; i++) {
		struct output *o = &list[i];
		if ((fsync(o->fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) || (o->is_new && !disk_sync_directory(o->path))) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot bring %s to the disk: %s", shown(o), strerror(errno));
			return false;
		}
		o->is_new = false;
	}
	return true;
}

bool outputs_save(const struct output *list, size_t n, struct buffer *out, struct diag_list *diags)
{
	struct buffer tail = BUFFER_INIT;
	uint64_t n_files = 0;
	struct stat st;
	bool ok = true;

	for (size_t i = 0; i < n; i++)
		n_files += list[i].is_file;
	codec_put_u64(out, n_files);
	for (size_t i = 0; i < n; i++) {
		const struct output *o = &list[i];
		if (!o->is_file)
			continue;
		if (fstat(o->fd, &st) != 0) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot look at %s: %s", o->path, strerror(errno));
			ok = false;
			break;
		}
		if (!read_tail(o->path, st.st_dev, st.st_ino, (uint64_t)st.st_size, &tail))
			buffer_clear(&tail); /* renamed meanwhile, or not to be read: known by its inode alone */
		codec_put_span(out, span_from_string(o->path));
		codec_put_u64(out, st.st_dev);
		codec_put_u64(out, st.st_ino);
		codec_put_u64(out, (uint64_t)st.st_size);
		codec_put_span(out, buffer_span(&tail));
	}
	buffer_release(&tail);
	return ok;
}

bool output_marks_get(struct codec_reader *in, struct output_marks *ret)
{
	size_t n = codec_get_count(in);

	*ret = (struct output_marks){ xcalloc(n + 1, sizeof *ret->items), 0 };
	while (ret->n < n && !in->bad) {
		struct output_mark *m = &ret->items[ret->n++];
		m->path = codec_get_span(in);
		m->device = codec_get_u64(in);
		m->inode = codec_get_u64(in);
		m->size = codec_get_u64(in);
		m->tail = codec_get_span(in);
		if (m->path.len == 0 || memchr(m->path.ptr, 0, m->path.len) || m->tail.len > OUTPUT_TAIL_BYTES || m->tail.len > m->size ||
		    m->size > INT64_MAX)
			in->bad = true;
	}
	return !in->bad;
}

void output_marks_release(struct output_marks *m)
{
	free(m->items);
	*m = (struct output_marks){ 0 };
}

static bool is_marked_file(const char *path, const struct output_mark *m, struct stat *ret)
{
	return lstat(path, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_dev == m->device && ret->st_ino == m->inode;
}

/* Where the file is now: under its name, or under another one in its directory. */
static bool find_file(const struct output_mark *m, struct buffer *ret_path, struct stat *ret)
{
	struct buffer directory = BUFFER_INIT;
	bool found;

	buffer_clear(ret_path);
	buffer_append_span(ret_path, m->path);
	found = stat(buffer_string(ret_path), ret) == 0 && S_ISREG(ret->st_mode) && ret->st_dev == m->device && ret->st_ino == m->inode;
	DIR *d = found ? NULL : opendir(directory_of(m->path, &directory));
	for (const struct dirent *e; d && !found && (e = readdir(d));) {
		if (e->d_ino != m->inode)
			continue;
		buffer_clear(ret_path);
		buffer_append_span(ret_path, buffer_span(&directory));
		buffer_printf(ret_path, "/%s", e->d_name);
		found = is_marked_file(buffer_string(ret_path), m, ret);
	}
	if (d)
		closedir(d);
	buffer_release(&directory);
	return found;
}

static void say_gone(const struct output_mark *m, int64_t noted_ns, struct diag_list *diags)
{
	struct buffer path = BUFFER_INIT, when = BUFFER_INIT;

	buffer_append_span(&path, m->path);
	time_format_utc(&when, noted_ns);
	diag_add(diags, DIAG_WARNING, buffer_string(&path), 0, 0,
		 "was packed, moved or removed after the run before this was killed: what that wrote behind byte %ju of it, after %s, comes again",
		 (uintmax_t)m->size, buffer_string(&when));
	diag_hint(diags, "the lines that stand twice have the same ids; `delaycompress` leaves a run the time to put it right");
	buffer_release(&path);
	buffer_release(&when);
}

static void repair(const struct output_mark *m, bool killed, int64_t noted_ns, struct diag_list *diags)
{
	struct buffer path = BUFFER_INIT, tail = BUFFER_INIT;
	struct stat st;

	if (!find_file(m, &path, &st)) {
		if (killed)
			say_gone(m, noted_ns, diags);
		goto done;
	}
	const char *name = buffer_string(&path);
	if ((uint64_t)st.st_size < m->size) {
		diag_add(diags, DIAG_WARNING, name, 0, 0, "is shorter than the checkpoint says: %jd bytes, not %ju; it was changed by somebody else",
			(intmax_t)st.st_size, (uintmax_t)m->size);
		goto done;
	}
	if ((uint64_t)st.st_size == m->size)
		goto done;
	if (m->tail.len && (!read_tail(name, m->device, m->inode, m->size, &tail) || !span_equal(buffer_span(&tail), m->tail))) {
		diag_add(diags, DIAG_WARNING, name, 0, 0, "is not as the checkpoint says; it is appended to as it is");
		goto done;
	}
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)m->size) != 0 || fsync(fd) != 0)
		diag_add(diags, DIAG_WARNING, name, 0, 0, "cannot be cut to where the last checkpoint left it (%s): its last lines may come twice", strerror(errno));
	if (fd >= 0)
		close(fd);
done:
	buffer_release(&path);
	buffer_release(&tail);
}

void outputs_repair(const struct output_marks *marks, bool killed, int64_t noted_ns, struct diag_list *diags)
{
	for (size_t i = 0; i < marks->n; i++)
		repair(&marks->items[i], killed, noted_ns, diags);
}

bool outputs_marked(const struct output *list, size_t n, const struct output_marks *marks)
{
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		bool found = !list[i].is_file;
		if (!found && fstat(list[i].fd, &st) != 0)
			return false;
		for (size_t k = 0; k < marks->n && !found; k++) {
			const struct output_mark *m = &marks->items[k];
			found = st.st_dev == m->device && st.st_ino == m->inode && (uint64_t)st.st_size == m->size &&
				span_equal(span_from_string(list[i].path), m->path);
		}
		if (!found)
			return false;
	}
	return true;
}

bool outputs_reopen(struct output *list, size_t n, struct diag_list *diags)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		struct output *o = &list[i], again;
		if (!o->is_file)
			continue;
		if (!output_open(&again, o->format, o->path, &o->options, diags)) {
			ok = false; /* the old one stays */
			continue;
		}
		again.written = o->written;
		if (output_close(o, diags) == OUTPUT_FAILED)
			ok = false;
		*o = again;
	}
	return ok;
}
