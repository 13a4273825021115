/*
 * span.h: a borrowed run of bytes. Any byte may be in it, NUL too; it is never
 * NUL-terminated unless a comment says so. Who lends it says how long it lives.
 */
#ifndef TOCSIN_BASE_SPAN_H
#define TOCSIN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
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

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_starts_with(struct span s, struct span prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
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
