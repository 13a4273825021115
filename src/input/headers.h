/*
 * headers.h: `==> path <==` lines, as `tail -F a b` and `head a b` print them between the files' bytes. Splits a
 * stream of bytes, cut anyhow, into runs that belong to one file:
 *
 *	struct span rest = the bytes just read;
 *	while (header_splitter_next(&s, &rest, at_end, &run, &switched)) {
 *		if (switched)
 *			stream = the stream of s.path;
 *		else
 *			feed stream with run;
 *	}
 *
 * A header is a whole line; the same text in the middle of a line, or without a newline behind it, is text. The
 * blank line that tail and head print before a header is removed with it. Everything else comes out, in order, once,
 * and at once: held back are only a blank line, and a line that so far looks like a header (at most HEADER_MAX
 * bytes). A log line that is exactly of this form cannot be told from a header.
 */
#ifndef TOCSIN_INPUT_HEADERS_H
#define TOCSIN_INPUT_HEADERS_H

#include "base/buffer.h"

/* Longest header line without its newline: a path of 4096 bytes. */
#define HEADER_MAX (4096 + 8)

struct header_splitter {
	struct span path; /* the file of the bytes that follow; ptr NULL before the first header. Valid until the next switch. */
	struct buffer path_bytes, held;
	bool mid_line;      /* the byte that came out last was no newline */
	bool held_is_given; /* held was handed out and can be forgotten */
};

#define HEADER_SPLITTER_INIT { { NULL, 0 }, BUFFER_INIT, BUFFER_INIT, false, false }

/*
 * Takes the next run off the front of *rest. True: either *ret_switch is set (s->path is new, *ret_run is empty), or
 * *ret_run is not empty; it lies in *rest or in s, and lives until the next call. False: *rest is used up. final:
 * nothing will follow *rest.
 */
bool header_splitter_next(struct header_splitter *s, struct span *rest, bool final, struct span *ret_run, bool *ret_switch);
void header_splitter_release(struct header_splitter *s);

#endif
