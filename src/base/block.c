/*
 * block.c: decides where in its memory a block's bytes lie. New bytes begin at BLOCK_FRONT, unless what is in front of them is longer than that; so a
 * rest moves at most once for each block that is read behind it, and only when there is no room.
 */
#include "base/block.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

#define BLOCK_ALIGN ((size_t)4096)
#define POOL_BLOCKS 16
/* Smaller ones are no use to a reader, and one that has grown beyond this (for a long record) is not kept. */
#define POOL_CAP_MIN (2 * BLOCK_FRONT)
#define POOL_CAP_MAX ((size_t)512 << 10)

void block_release(struct block *b)
{
	free(b->data);
	*b = (struct block)BLOCK_INIT;
}

/* Bytes are read to the begin of a page: the kernel copies them from one, and is slower where the two are nearly, but not quite, in step. */
static void block_grow_to(struct block *b, size_t cap)
{
	char *data;

	cap = (cap + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
	data = xaligned_alloc(BLOCK_ALIGN, cap);
	if (b->len)
		memcpy(data + b->start, b->data + b->start, b->len);
	free(b->data);
	b->data = data;
	b->cap = cap;
}

char *block_room(struct block *b, size_t n)
{
	size_t start = b->len < BLOCK_FRONT ? BLOCK_FRONT - b->len : 0;

	if (b->data && b->start != start && (b->len == 0 || b->cap - b->start - b->len < n + BLOCK_PADDING)) {
		memmove(b->data + start, b->data + b->start, b->len);
		b->start = start;
	} else if (!b->data) {
		b->start = start;
	}
	if (b->cap < b->start + b->len || b->cap - b->start - b->len < n + BLOCK_PADDING) {
		size_t cap = b->start + b->len + n + BLOCK_PADDING;

		/* Long records come piece by piece. */
		if (b->len > BLOCK_FRONT)
			cap += cap / 2;
		block_grow_to(b, cap);
	}
	return b->data + b->start + b->len;
}

void block_append(struct block *b, struct span s)
{
	if (!s.len)
		return;
	memcpy(block_room(b, s.len), s.ptr, s.len);
	b->len += s.len;
}

void block_pad(struct block *b)
{
	memset(block_room(b, 0), 0, BLOCK_PADDING);
}

void block_exchange(struct block *a, struct block *b)
{
	struct block copy = *a;

	*a = *b;
	*b = copy;
}

void block_take(struct block *b, struct block *from)
{
	if (b->len <= from->start && from->len) {
		from->start -= b->len;
		if (b->len)
			memcpy(from->data + from->start, b->data + b->start, b->len);
		from->len += b->len;
		block_exchange(b, from);
	} else {
		block_append(b, block_span(from));
	}
	block_clear(from);
}

struct block_pool {
	pthread_mutex_t mutex;
	struct block blocks[POOL_BLOCKS];
	unsigned n;
};

struct block_pool *block_pool_new(void)
{
	struct block_pool *p = xcalloc(1, sizeof *p);

	pthread_mutex_init(&p->mutex, NULL);
	return p;
}

void block_pool_free(struct block_pool *p)
{
	if (!p)
		return;
	while (p->n)
		block_release(&p->blocks[--p->n]);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

struct block block_pool_take(struct block_pool *p, size_t n)
{
	struct block b = BLOCK_INIT;

	if (p) {
		pthread_mutex_lock(&p->mutex);
		if (p->n)
			b = p->blocks[--p->n];
		pthread_mutex_unlock(&p->mutex);
	}
	if (b.cap < BLOCK_FRONT + n + BLOCK_PADDING)
		block_release(&b);
	block_room(&b, n);
	return b;
}

void block_pool_give(struct block_pool *p, struct block *b)
{
	if (p && b->cap >= POOL_CAP_MIN && b->cap <= POOL_CAP_MAX) {
		block_clear(b);
		pthread_mutex_lock(&p->mutex);
		if (p->n < POOL_BLOCKS) {
			p->blocks[p->n++] = *b;
			*b = (struct block)BLOCK_INIT;
		}
		pthread_mutex_unlock(&p->mutex);
	}
	block_release(b);
}
