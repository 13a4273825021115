/*
 * arena.c: decides where the next piece comes from: the current chunk, else a
 * new one of at least twice the size. A reset that finds several chunks joins
 * them into one of their sum, so that an arena which is reset for each event
 * soon has one chunk and calls malloc no more. Invariant: current is the last
 * chunk of the list; sizes are multiples of the alignment.
 */
#include "base/arena.h"
#include "base/memory.h"
#include <stdint.h>
#include <stdlib.h>

#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define CHUNK_MIN 4096
#define CHUNK_MAX_DOUBLED (1024 * 1024)

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *c;

	c = xmalloc(size > SIZE_MAX - sizeof *c ? SIZE_MAX : sizeof *c + size);
	c->next = NULL;
	c->size = size;
	c->used = 0;
	POISON(c->data, size);
	return c;
}

static void chunk_free(struct arena_chunk *c)
{
	UNPOISON(c->data, c->size);
	free(c);
}

void *arena_alloc_slowly(struct arena *a, size_t size)
{
	const size_t mask = alignof(max_align_t) - 1;
	struct arena_chunk *c = a->current;
	size_t rounded = size > SIZE_MAX - mask ? SIZE_MAX : (size + mask) & ~mask;
	void *p;

	if (rounded == 0)
		rounded = mask + 1;
	if (!c || rounded > c->size - c->used) {
		size_t want = c ? c->size : CHUNK_MIN / 2;

		want = want > CHUNK_MAX_DOUBLED / 2 ? CHUNK_MAX_DOUBLED : want * 2;
		c = chunk_new(want > rounded ? want : rounded);
		if (a->current)
			a->current->next = c;
		else
			a->chunks = c;
		a->current = c;
	}
	p = c->data + c->used;
	c->used += rounded;
	UNPOISON(p, size);
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

char *arena_dup(struct arena *a, const void *p, size_t len)
{
	char *copy = arena_alloc(a, len == SIZE_MAX ? len : len + 1);

	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_dup(a, s, strlen(s));
}

struct span arena_dup_span(struct arena *a, struct span s)
{
	return span_of(arena_dup(a, s.ptr, s.len), s.len);
}

void arena_reset_slowly(struct arena *a)
{
	size_t total = 0;

	if (!a->chunks->next) {
		a->chunks->used = 0;
		POISON(a->chunks->data, a->chunks->size);
		return;
	}
	for (const struct arena_chunk *c = a->chunks; c; c = c->next)
		total += c->size;
	arena_release(a);
	a->chunks = a->current = chunk_new(total);
}

void arena_release(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c) {
		struct arena_chunk *next = c->next;

		chunk_free(c);
		c = next;
	}
	*a = (struct arena)ARENA_INIT;
}
