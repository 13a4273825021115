/*
 * codec.h: how every module writes its state into a checkpoint and reads it
 * back. Little-endian, unsigned numbers as LEB128 varints, signed ones
 * zig-zagged, doubles as their 8 bytes, strings as length + bytes.
 *
 * A reader never trusts its input: past the end, or on a number out of range,
 * it sets `bad` and returns zeros from then on; the caller checks `bad` once,
 * and bounds counts with codec_get_count before it allocates.
 */
#ifndef TOCSIN_BASE_CODEC_H
#define TOCSIN_BASE_CODEC_H

#include "base/buffer.h"
#include <stdint.h>

void codec_put_u64(struct buffer *b, uint64_t v);
void codec_put_i64(struct buffer *b, int64_t v);
void codec_put_double(struct buffer *b, double v);
void codec_put_span(struct buffer *b, struct span s);

struct codec_reader {
	const char *ptr, *end;
	bool bad;
};

uint64_t codec_get_u64(struct codec_reader *r);
int64_t codec_get_i64(struct codec_reader *r);
double codec_get_double(struct codec_reader *r);
struct span codec_get_span(struct codec_reader *r); /* borrowed from the input */
/* A count of things that each take at least one byte: bad when more than what is left. */
size_t codec_get_count(struct codec_reader *r);

#endif
