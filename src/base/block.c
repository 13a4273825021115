/*
 * block.c: decides where in its memory a block's bytes lie. New bytes begin at BLOCK_FRONT, unless what is in front of them is longer than that; so a
 * rest moves at most once for each block that is read behind it, and only when there is no room.
 */
#include "base/block.h"
#include "base/memory.h"

#include <stdlib.h>

#define BLOCK_ALIGN ((size_t)4096)

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
