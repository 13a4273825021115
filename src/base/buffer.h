/*
 * buffer.h: a growing run of bytes, owned. Zero-initialise it (BUFFER_INIT),
 * append, read .data/.len, release. data is NULL while nothing was appended.
 */
#ifndef TOCSIN_BASE_BUFFER_H
#define TOCSIN_BASE_BUFFER_H

#include "base/span.h"
#include <stdarg.h>
#include <stdint.h>

/* Takes what a buffer holds while it is being filled, so that it need not hold all of it: empties it. */
struct buffer;
struct buffer_sink {
	void (*take)(struct buffer_sink *sink, struct buffer *b);
};

struct buffer {
	char *data;
	size_t len, cap;
	struct buffer_sink *sink; /* NULL: none; borrowed */
};

#define BUFFER_INIT { NULL, 0, 0, NULL }

void buffer_release(struct buffer *b);
static inline void buffer_clear(struct buffer *b) { b->len = 0; }
void buffer_grow(struct buffer *b, size_t extra);
/* At least `extra` bytes can be written at data + len. */
static inline void buffer_reserve(struct buffer *b, size_t extra)
{
	if (__builtin_expect(extra > b->cap - b->len || !b->data, 0))
		buffer_grow(b, extra);
}
void buffer_append(struct buffer *b, const void *p, size_t len);
static inline void buffer_append_span(struct buffer *b, struct span s)
{
	buffer_append(b, s.ptr, s.len);
}
static inline void buffer_append_string(struct buffer *b, const char *s)
{
	buffer_append(b, s, strlen(s)); /* known here when it is a literal */
}
static inline void buffer_append_char(struct buffer *b, char c)
{
	buffer_reserve(b, 1);
	b->data[b->len++] = c;
}
/* In decimal digits. */
void buffer_append_number(struct buffer *b, uint64_t v);
void buffer_append_signed(struct buffer *b, int64_t v);
/* In lower-case hexadecimal digits, without leading zeros. */
void buffer_append_hex(struct buffer *b, uint64_t v);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first n bytes, moving the rest down. */
void buffer_consume(struct buffer *b, size_t n);
/* For who writes much: what is in it may go to its sink now, if there is enough of it. */
#define BUFFER_DRAIN_BYTES ((size_t)1 << 20)
static inline void buffer_drain(struct buffer *b)
{
	if (b->sink && b->len >= BUFFER_DRAIN_BYTES)
		b->sink->take(b->sink, b);
}
/* NUL-terminates (not counted in len) and returns data; valid until the next append. */
const char *buffer_string(struct buffer *b);
static inline struct span buffer_span(const struct buffer *b)
{
	return span_of(b->data ? b->data : "", b->len);
}

#endif
