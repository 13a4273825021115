/*
 * fuzz_unpack.c: archives, unpacked whole and in pieces: both must give the same
 * bytes and end the same way. The first byte of an input chooses the format, the second
 * how it is cut.
 */
#include "base/buffer.h"
#include "input/unpack.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small archives can hold a lot of text. */
#define OUTPUT_MAX ((size_t)1 << 20)

static void must(bool condition)
{
	if (!condition)
		abort();
}

static enum unpack_result unpack_all(enum compression c, struct span in, size_t piece, size_t room, struct buffer *out)
{
	struct unpack *u = unpack_new(c);
	enum unpack_result result;
	size_t given = 0;

	do {
		size_t n = piece < in.len - given ? piece : in.len - given;
		size_t most = room < OUTPUT_MAX - out->len ? room : OUTPUT_MAX - out->len;
		struct unpack_io io;

		buffer_reserve(out, most);
		io = (struct unpack_io){ span_of(in.ptr + given, n), given + n == in.len, out->data + out->len, most };
		result = unpack_step(u, &io);
		must(io.out_room <= most && io.in.len <= n);
		must((result == UNPACK_OUTPUT) == (io.out_room < most));
		must(result != UNPACK_HUNGRY || (!io.in.len && !io.in_last));
		given += n - io.in.len;
		out->len += most - io.out_room;
	} while (out->len < OUTPUT_MAX && (result == UNPACK_OUTPUT || result == UNPACK_HUNGRY));
	must(result != UNPACK_DAMAGED || (unpack_problem(u) && unpack_problem_hint(u)));
	unpack_free(u);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;
	enum unpack_result result;
	enum compression c;
	struct span in;

	if (size < 2)
		return 0;
	c = (enum compression)(COMPRESSION_GZIP + data[0] % 3);
	in = span_of((const char *)data + 2, size - 2);
	result = unpack_all(c, in, in.len ? in.len : 1, OUTPUT_MAX, &whole);
	/* Where the output was cut, the ends need not be the same. */
	if (unpack_all(c, in, 1 + data[1] % 16, 1 + data[1] * 16u, &pieces) != result)
		must(pieces.len == OUTPUT_MAX);
	must(span_equal(buffer_span(&whole), buffer_span(&pieces)));
	buffer_release(&whole);
	buffer_release(&pieces);
	return 0;
}
