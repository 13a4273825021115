/*
 * span.h: a borrowed run of bytes. Any byte may be in it, NUL too; it is never
 * NUL-terminated unless a comment says so. Who lends it says how long it lives.
 */
#ifndef TOCSIN_BASE_SPAN_H
#define TOCSIN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })

static inline struct span span_of(const char *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

static inline struct span span_from_string(const char *s)
{
	return (struct span){ s ? s : "", s ? strlen(s) : 0 };
}

/* memcmp() == 0: that is a call, and most texts are names. */
static inline bool bytes_equal(const char *a, const char *b, size_t n)
{
	uint64_t x[4], y[4];
	uint32_t v[2], w[2];

	if (n > 32)
		return memcmp(a, b, n) == 0;
	if (n >= 8) { /* the first and the last bytes, which overlap */
		memcpy(&x[0], a, 8), memcpy(&y[0], b, 8);
		memcpy(&x[1], a + n - 8, 8), memcpy(&y[1], b + n - 8, 8);
		if (n <= 16)
			return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
		memcpy(&x[2], a + 8, 8), memcpy(&y[2], b + 8, 8);
		memcpy(&x[3], a + n - 16, 8), memcpy(&y[3], b + n - 16, 8);
		return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
	}
	if (n >= 4) {
		memcpy(&v[0], a, 4), memcpy(&w[0], b, 4);
		memcpy(&v[1], a + n - 4, 4), memcpy(&w[1], b + n - 4, 4);
		return ((v[0] ^ w[0]) | (v[1] ^ w[1])) == 0;
	}
	return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && bytes_equal(a.ptr, b.ptr, a.len);
}

static inline bool span_starts_with(struct span s, struct span prefix)
{
	return s.len >= prefix.len && bytes_equal(s.ptr, prefix.ptr, prefix.len);
}

static inline bool span_ends_with(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part of s from `from` on; empty when s is shorter. */
static inline struct span span_from(struct span s, size_t from)
{
	if (from > s.len)
		from = s.len;
	return (struct span){ s.ptr + from, s.len - from };
}

static inline bool span_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Does s have the shape of a decimal number: [+-] digits [. digits] [e [+-] digits], or begin or end in its point? */
static inline bool span_is_decimal(struct span s)
{
	size_t i = 0, digits = 0;

	if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
		i++;
	for (; i < s.len && span_is_digit(s.ptr[i]); i++)
		digits++;
	if (i < s.len && s.ptr[i] == '.') {
		for (i++; i < s.len && span_is_digit(s.ptr[i]); i++)
			digits++;
	}
	if (digits == 0)
		return false;
	if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
		i++;
		if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
			i++;
		if (i == s.len)
			return false;
		while (i < s.len && span_is_digit(s.ptr[i]))
			i++;
	}
	return i == s.len;
}

#endif
