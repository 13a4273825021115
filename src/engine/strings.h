/*
 * strings.h: byte strings as small numbers, counted by reference, so that keys, windows and tallies
 * hold 4 bytes instead of a name, and compare them. Number 0 is "no string".
 */
#ifndef TOCSIN_ENGINE_STRINGS_H
#define TOCSIN_ENGINE_STRINGS_H

#include "base/span.h"
#include <stdint.h>

typedef uint32_t string_id;

struct string_entry {
	uint64_t hash;
	uint32_t refs, len;
	char text[];
};
struct strings {
	struct string_entry **by_id; /* [id]; NULL: free */
	uint32_t n_ids, cap_ids;
	string_id *free_ids;
	uint32_t n_free, cap_free;
	string_id *slots;
	uint32_t n_slots, n_used;
};

void strings_release(struct strings *t);
/* Room for n more, so that they are added without moving what is there. */
void strings_reserve(struct strings *t, size_t n);
#define STRING_LIMIT 4096 /* bytes of a string: longer ones are cut */

/* Adds a reference. */
string_id strings_get(struct strings *t, struct span s);
static inline void strings_ref(struct strings *t, string_id id)
{
	if (id)
		t->by_id[id]->refs++;
}
/* Of one that nobody refers to any more. */
void strings_drop(struct strings *t, string_id id);
static inline void strings_unref(struct strings *t, string_id id)
{
	if (id && --t->by_id[id]->refs == 0)
		strings_drop(t, id);
}
static inline struct span strings_text(const struct strings *t, string_id id)
{
	return id ? span_of(t->by_id[id]->text, t->by_id[id]->len) : SPAN("");
}
/* memcmp() is a call, and most strings are names. */
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
static inline bool strings_is(const struct strings *t, string_id id, struct span s)
{
	return id && t->by_id[id]->len == s.len && bytes_equal(t->by_id[id]->text, s.ptr, s.len);
}

#endif
