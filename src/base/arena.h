/*
 * arena.h: allocation that is freed all at once. Two uses: a ruleset lives in
 * one for the whole run; each event's strings live in one that is reset
 * before the next event. Pointers are aligned for any type.
 */
#ifndef TOCSIN_BASE_ARENA_H
#define TOCSIN_BASE_ARENA_H

#include "base/span.h"
#include <stdalign.h>

/* Under AddressSanitizer what was reset is poisoned. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#endif

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used; /* of data; used is a multiple of the alignment, and not 0 once the chunk was allocated from */
	alignas(max_align_t) char data[];
};

struct arena {
	struct arena_chunk *chunks, *current;
};

#define ARENA_INIT { NULL, NULL }

void *arena_alloc_slowly(struct arena *a, size_t size);
/* Not zeroed. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
#ifndef ARENA_POISON
	struct arena_chunk *c = a->current;

	/* What is left is a multiple of the alignment. */
	if (c && size - 1 < c->size - c->used) {
		void *p = c->data + c->used;

		c->used += (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
		return p;
	}
#endif
	return arena_alloc_slowly(a, size);
}
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
