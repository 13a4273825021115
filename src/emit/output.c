/*
 * Writing state changes. What cannot be written is an error, never lost silently; a reader that has gone (EPIPE) is
 * no error: `tocsin … | head` ends quietly.
 */
#include "emit/output.h"

#include <errno.h>
#include <fcntl.h>
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
	/* A descriptor of its own for each: two formats may go to standard output, and closing tells what a full disk says last. */
	o->fd = !path ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (o->fd < 0) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot open %s for writing: %s", shown(o), strerror(errno));
		return false;
	}
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
