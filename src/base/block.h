/*
 * block.h: a run of bytes on its way from a reader to who frames it, with room in front and behind, so that it is not copied on the way: what is left of
 * the block before it is put in front, and padding behind. Who passes a block on exchanges its memory for an empty one (block_exchange, block_take).
 *
 *	data ── room in front ── bytes ── room, then BLOCK_PADDING at least ── data + cap
 *
 * Zero-initialise it (BLOCK_INIT), release it. data is NULL as long as there was nothing in it.
 */
#ifndef TOCSIN_BASE_BLOCK_H
#define TOCSIN_BASE_BLOCK_H

#include "base/span.h"

#define BLOCK_PADDING 64 /* bytes behind a block that may be read */
#define BLOCK_FRONT ((size_t)16 << 10) /* longer rests are copied with what follows them */

struct block {
	char *data;
	size_t start, len, cap;
};

#define BLOCK_INIT { NULL, 0, 0, 0 }

void block_release(struct block *b);
static inline struct span block_span(const struct block *b)
{
	return span_of(b->data ? b->data + b->start : "", b->len);
}
static inline void block_clear(struct block *b) { b->len = 0; }
/* Where n bytes can be written behind those in it, which may move. Who wrote tells by block_grow(). */
char *block_room(struct block *b, size_t n);
static inline void block_grow(struct block *b, size_t n) { b->len += n; }
void block_append(struct block *b, struct span s);
/* Zeros behind the bytes. */
void block_pad(struct block *b);
/* Removes the first n bytes. */
static inline void block_consume(struct block *b, size_t n)
{
	b->start += n;
	b->len -= n;
}
/* Takes the last n bytes back. */
static inline void block_cut(struct block *b, size_t n) { b->len -= n; }
void block_exchange(struct block *a, struct block *b);
/* Puts all of `from` behind what is in b; from is empty then, with b's memory where that could be exchanged. */
void block_take(struct block *b, struct block *from);

/*
 * Blocks that are not in use, for who needs one next: a few, the last that was given first, for it may still be in the cache. Of any thread. A pool
 * may be NULL: then nothing is kept.
 */
struct block_pool;
struct block_pool *block_pool_new(void);
void block_pool_free(struct block_pool *p);
/* An empty block with room for n bytes. */
struct block block_pool_take(struct block_pool *p, size_t n);
/* b is as new then. */
void block_pool_give(struct block_pool *p, struct block *b);

#endif
