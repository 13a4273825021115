/*
 * emit_random.h: hostile strings and state changes made of them, the same for the same seed. For the tests of emit/.
 */
#ifndef TOCSIN_TESTS_EMIT_RANDOM_H
#define TOCSIN_TESTS_EMIT_RANDOM_H

#include "base/arena.h"
#include "engine/incident.h"

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *r);
/* 0 .. n - 1 */
uint64_t random_below(struct random *r, uint64_t n);

/* Words that have broken shells, terminals and JSON readers before. Ends in a NULL ptr. None holds a NUL. */
extern const struct span hostile_words[];
/* A mix of those, of random bytes and of plain text; lives in a. nul: NULs may be in it. */
struct span random_text(struct random *r, struct arena *a, bool nul);
/* A change of hostile strings everywhere; all of it lives in a. */
struct change *random_change(struct random *r, struct arena *a);

#endif
