/*
 * tally.h: how often each string occurs: for distinct values in a window, in a snapshot, and for `top`.
 */
#ifndef TOCSIN_ENGINE_TALLY_H
#define TOCSIN_ENGINE_TALLY_H

#include "engine/strings.h"

struct tally_slot {
	string_id id; /* 0: empty */
	uint32_t count;
};

struct tally {
	struct tally_slot *slots;
	uint32_t n_slots, n_distinct;
};

/* Frees it and gives its references back. */
void tally_release(struct tally *t, struct strings *strings);
/* Adds one; takes its own reference when the id is new. Returns the new count. */
uint32_t tally_add(struct tally *t, struct strings *strings, string_id id);
/* Takes one away; it must be there. */
void tally_remove(struct tally *t, struct strings *strings, string_id id);
uint32_t tally_count(const struct tally *t, string_id id);
/* Sets a count outright (loading a checkpoint); the tally takes its own reference. */
void tally_set(struct tally *t, struct strings *strings, string_id id, uint32_t count);
/* The slots in use, most first, equal ones by bytes; at most limit. Returns how many; ret has room for limit. */
uint32_t tally_top(const struct tally *t, const struct strings *strings, struct tally_slot *ret, uint32_t limit);

#endif
