/*
 * buffer.c: decides how a buffer grows: at least doubling, so that appending n
 * bytes costs O(n) however they come. Invariant: len ≤ cap, and data is NULL
 * exactly when cap is 0. It never shrinks by itself; what is appended must not
 * point into the same buffer.
 */
#include "base/buffer.h"
#include "base/memory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_MIN 64

void buffer_release(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer)BUFFER_INIT;
}

void buffer_grow(struct buffer *b, size_t extra)
{
	size_t need, cap;

	/* On overflow a size that xrealloc() refuses. */
	need = extra > SIZE_MAX - b->len ? SIZE_MAX : b->len + extra;
	cap = b->cap > SIZE_MAX / 2 ? SIZE_MAX : b->cap * 2;
	if (cap < need)
		cap = need;
	if (cap < BUFFER_MIN)
		cap = BUFFER_MIN;
	b->data = xrealloc(b->data, cap);
	b->cap = cap;
}

void buffer_append(struct buffer *b, const void *p, size_t len)
{
	if (len == 0)
		return;
	buffer_reserve(b, len);
	memcpy(b->data + b->len, p, len);
	b->len += len;
}

void buffer_append_number(struct buffer *b, uint64_t v)
{
	char text[20], *p = text + sizeof text;

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buffer_append(b, p, (size_t)(text + sizeof text - p));
}

void buffer_append_signed(struct buffer *b, int64_t v)
{
	if (v < 0)
		buffer_append_char(b, '-');
	buffer_append_number(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void buffer_append_hex(struct buffer *b, uint64_t v)
{
	char text[16], *p = text + sizeof text;

	do {
		*--p = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	buffer_append(b, p, (size_t)(text + sizeof text - p));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	int len;

	/* Most texts fit into what is there; only a longer one is formatted twice. */
	buffer_reserve(b, BUFFER_MIN);
	va_start(args, format);
	len = vsnprintf(b->data + b->len, b->cap - b->len, format, args);
	va_end(args);
	assert(len >= 0);
	if ((size_t)len >= b->cap - b->len) {
		buffer_reserve(b, (size_t)len + 1);
		va_start(args, format);
		len = vsnprintf(b->data + b->len, b->cap - b->len, format, args);
		va_end(args);
		assert(len >= 0);
	}
	b->len += (size_t)len;
}

void buffer_consume(struct buffer *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	if (b->len)
		memmove(b->data, b->data + n, b->len);
}

const char *buffer_string(struct buffer *b)
{
	buffer_reserve(b, 1);
	b->data[b->len] = '\0';
	return b->data;
}
