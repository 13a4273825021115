/*
 * arena.h: allocation that is freed all at once. Two uses: a ruleset lives in
 * one for the whole run; each event's strings live in one that is reset
 * before the next event. Pointers are aligned for any type.
 */
#ifndef TOCSIN_BASE_ARENA_H
#define TOCSIN_BASE_ARENA_H

#include "base/span.h"
#include <stdalign.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used; /* of data; used is a multiple of the alignment, and not 0 once the chunk was allocated from */
	alignas(max_align_t) char data[];
};

struct arena {
	struct arena_chunk *chunks, *current;
};

#define ARENA_INIT { NULL, NULL }

void *arena_alloc(struct arena *a, size_t size);  /* not zeroed */
void *arena_zalloc(struct arena *a, size_t size); /* zeroed */
/* Copies; the copy is NUL-terminated besides. */
char *arena_dup(struct arena *a, const void *p, size_t len);
char *arena_strdup(struct arena *a, const char *s);
struct span arena_dup_span(struct arena *a, struct span s);
void arena_reset_slowly(struct arena *a);
/* Forgets every allocation but keeps the memory. */
static inline void arena_reset(struct arena *a)
{
	if (a->chunks && a->chunks->used)
		arena_reset_slowly(a);
}
void arena_release(struct arena *a);

#endif
