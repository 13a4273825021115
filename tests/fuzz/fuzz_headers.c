/*
 * fuzz_headers.c: tail's headers, split whole and in pieces: the runs, joined, and
 * the switches between them must be the same; with the headers put back they are the input.
 * Also the names of rotated files. The first byte of an input says how it is cut.
 */
#include "base/buffer.h"
#include "input/headers.h"
#include "input/stream.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* out: what comes out, a switch as NUL, path, NUL. n_removed: the least that headers took away. */
static void split(struct span in, size_t piece, struct buffer *out, size_t *n_removed)
{
	struct header_splitter s = HEADER_SPLITTER_INIT;
	size_t n_text = 0;

	*n_removed = 0;
	for (size_t at = 0, n; at <= in.len; at += n) {
		struct span rest, run;
		bool switched;

		n = piece < in.len - at ? piece : in.len - at;
		rest = span_of(in.ptr + at, n);
		while (header_splitter_next(&s, &rest, at == in.len, &run, &switched)) {
			must(switched == (run.len == 0));
			if (switched) {
				must(s.path.len > 0);
				buffer_append_char(out, '\0');
				buffer_append_span(out, s.path);
				buffer_append_char(out, '\0');
				*n_removed += s.path.len + 9;
			} else {
				buffer_append_span(out, run);
				n_text += run.len;
			}
		}
		must(rest.len == 0 && s.held.len <= HEADER_MAX + 1);
		if (at == in.len)
			break;
	}
	must(s.held.len == 0 || s.held_is_given);
	/* Nothing is lost but headers and one newline before each. */
	must(n_text + *n_removed <= in.len && n_text + 2 * *n_removed >= in.len);
	header_splitter_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT, name = BUFFER_INIT;
	size_t n_whole, n_pieces;
	struct rotation rotation;
	struct span in;

	if (!size)
		return 0;
	in = span_of((const char *)data + 1, size - 1);
	split(in, in.len + 1, &whole, &n_whole);
	split(in, 1 + data[0] % 32, &pieces, &n_pieces);
	must(n_whole == n_pieces && span_equal(buffer_span(&whole), buffer_span(&pieces)));

	buffer_append_span(&name, in);
	rotation_parse(buffer_string(&name), &rotation);
	must(strlen(rotation.base) <= strlen(name.data) && strlen(rotation.stamp) < sizeof rotation.stamp);
	must((*rotation.base != '\0') == (*name.data != '\0'));
	free(rotation.base);
	buffer_release(&whole);
	buffer_release(&pieces);
	buffer_release(&name);
	return 0;
}
