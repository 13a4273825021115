/*
 * strings.h: byte strings as small numbers, counted by reference, so that keys, windows and tallies
 * hold 4 bytes instead of a name, and compare them. Number 0 is "no string".
 */
#ifndef TOCSIN_ENGINE_STRINGS_H
#define TOCSIN_ENGINE_STRINGS_H

#include "base/slab.h"
#include "base/span.h"
#include <stdint.h>

typedef uint32_t string_id;

struct string_entry {
	uint32_t hash, refs;
	uint16_t len;
	char text[];
};
struct strings {
	struct slab slab;            /* of the entries */
	struct string_entry **by_id; /* [id]; NULL: free */
	uint32_t n_ids, cap_ids;
	string_id *free_ids;
	uint32_t n_free, cap_free;
	string_id *slots; /* 0: empty */
	uint32_t n_slots, n_used;
	uint64_t secret; /* in every hash: see hash_secret() */
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
static inline bool strings_is(const struct strings *t, string_id id, struct span s)
{
	return id && t->by_id[id]->len == s.len && bytes_equal(t->by_id[id]->text, s.ptr, s.len);
}

#endif
