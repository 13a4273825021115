/*
 * codec.c: the primitives of the checkpoint format. A checkpoint is input like
 * any other: the reader decides that what does not fit is bad, moves to the end,
 * and gives zeros from then on, so that a caller's loop ends by itself.
 *
 *	u64     1..10 bytes, 7 bits each, low first, high bit: more follow
 *	i64     as u64, zig-zagged: 0 -1 1 -2 2 … → 0 1 2 3 4 …
 *	double  8 bytes, IEEE 754 binary64, little-endian
 *	span    u64 length, the bytes
 */
#include "base/codec.h"

void codec_put_u64(struct buffer *b, uint64_t v)
{
	buffer_reserve(b, 10);
	char *p = b->data + b->len;
	while (v >= 0x80) {
		*p++ = (char)(unsigned char)(v | 0x80);
		v >>= 7;
	}
	*p++ = (char)v;
	b->len = (size_t)(p - b->data);
}

void codec_put_i64(struct buffer *b, int64_t v)
{
	uint64_t u = (uint64_t)v << 1;

	codec_put_u64(b, v < 0 ? ~u : u);
}

void codec_put_double(struct buffer *b, double v)
{
	uint64_t bits;

	_Static_assert(sizeof bits == sizeof v, "double must be binary64");
	memcpy(&bits, &v, sizeof bits);
	buffer_reserve(b, 8);
	for (int i = 0; i < 8; i++)
		b->data[b->len++] = (char)(unsigned char)(bits >> (8 * i));
}

void codec_put_span(struct buffer *b, struct span s)
{
	codec_put_u64(b, s.len);
	buffer_append_span(b, s);
}

static void fail(struct codec_reader *r)
{
	r->bad = true;
	r->ptr = r->end;
}

uint64_t codec_get_u64(struct codec_reader *r)
{
	uint64_t v = 0;

	for (int shift = 0; !r->bad && r->ptr < r->end; shift += 7) {
		unsigned char byte = (unsigned char)*r->ptr++;

		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
	fail(r);
	return 0;
}

int64_t codec_get_i64(struct codec_reader *r)
{
	uint64_t u = codec_get_u64(r);
	uint64_t half = u >> 1;

	/* ~half as signed, without relying on a conversion that the standard leaves open. */
	return u & 1 ? -(int64_t)half - 1 : (int64_t)half;
}

double codec_get_double(struct codec_reader *r)
{
	uint64_t bits = 0;
	double v;

	if (r->bad || r->end - r->ptr < 8) {
		fail(r);
		return 0;
	}
	for (int i = 0; i < 8; i++)
		bits |= (uint64_t)(unsigned char)*r->ptr++ << (8 * i);
	memcpy(&v, &bits, sizeof v);
	return v;
}

struct span codec_get_span(struct codec_reader *r)
{
	size_t len = codec_get_count(r);
	struct span s = span_of("", 0);

	if (!r->bad) {
		s = span_of(r->ptr, len);
		r->ptr += len;
	}
	return s;
}

size_t codec_get_count(struct codec_reader *r)
{
	uint64_t n = codec_get_u64(r);

	if (r->bad || n > (uint64_t)(r->end - r->ptr)) {
		fail(r);
		return 0;
	}
	return (size_t)n;
}
