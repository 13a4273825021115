/*
 * buffer.h: a growing run of bytes, owned. Zero-initialise it (BUFFER_INIT),
 * append, read .data/.len, release. data is NULL while nothing was appended.
 */
#ifndef TOCSIN_BASE_BUFFER_H
#define TOCSIN_BASE_BUFFER_H

#include "base/span.h"
#include <stdarg.h>
#include <stdint.h>

struct buffer {
	char *data;
	size_t len, cap;
};

#define BUFFER_INIT { NULL, 0, 0 }

void buffer_release(struct buffer *b);
static inline void buffer_clear(struct buffer *b) { b->len = 0; }
/* At least `extra` bytes can be written at data + len. */
void buffer_reserve(struct buffer *b, size_t extra);
void buffer_append(struct buffer *b, const void *p, size_t len);
void buffer_append_span(struct buffer *b, struct span s);
void buffer_append_string(struct buffer *b, const char *s);
void buffer_append_char(struct buffer *b, char c);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first n bytes, moving the rest down. */
void buffer_consume(struct buffer *b, size_t n);
/* NUL-terminates (not counted in len) and returns data; valid until the next append. */
const char *buffer_string(struct buffer *b);
static inline struct span buffer_span(const struct buffer *b)
{
	return span_of(b->data ? b->data : "", b->len);
}

#endif
