/*
 * ahead.c: a ring of blocks between the caller and a job that fills them one by one. Invariants: blocks n_taken to n_filled - 1 are full, and the
 * caller's; the next one is the job's; end is set before `ended`, behind the last full block. Blocks are not copied: their memory comes from a pool, and
 * goes on to the caller. The job ends when there is no room, and is started again by who makes some.
 */
#include "input/ahead.h"
#include "base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct ahead {
	struct workers *workers;
	struct block_pool *pool;
	ahead_fill *fill;
	void *context;
	struct block blocks[AHEAD_BLOCKS_MAX];
	unsigned n_blocks;          /* that may wait, and how large they are: set by the caller at any time */
	size_t block_bytes;
	struct job job;
	bool started;
	uint64_t n_filled, n_taken; /* of which each side writes one; atomic, as are the next two */
	bool ended, stop;
	ssize_t end; /* what fill() said at its end */
};

/* Returns > 0 when there may be more. */
static ssize_t block_fill(struct ahead *a, struct block *b)
{
	size_t bytes = __atomic_load_n(&a->block_bytes, __ATOMIC_RELAXED);

	*b = block_pool_take(a->pool, bytes);
	while (b->len < bytes) {
		ssize_t n = a->fill(a->context, block_room(b, bytes - b->len), bytes - b->len);

		if (n <= 0)
			return n;
		block_grow(b, (size_t)n);
	}
	return 1;
}

static bool is_full(const struct ahead *a)
{
	return __atomic_load_n(&a->n_filled, __ATOMIC_RELAXED) - __atomic_load_n(&a->n_taken, __ATOMIC_ACQUIRE) >= __atomic_load_n(&a->n_blocks, __ATOMIC_RELAXED);
}

/* Fills one block. */
static void run(void *context)
{
	struct ahead *a = context;

	if (a->ended || __atomic_load_n(&a->stop, __ATOMIC_RELAXED) || is_full(a))
		return;
	struct block *b = &a->blocks[a->n_filled % AHEAD_BLOCKS_MAX];
	ssize_t end = block_fill(a, b);
	if (end <= 0) {
		a->end = end;
		__atomic_store_n(&a->ended, true, __ATOMIC_RELAXED);
	}
	if (!b->len)
		block_pool_give(a->pool, b);
	else
		__atomic_store_n(&a->n_filled, a->n_filled + 1, __ATOMIC_RELEASE);
	a->job.again = end > 0 && !is_full(a);
}

struct ahead *ahead_new(struct workers *w, struct block_pool *pool, ahead_fill *fill, void *context)
{
	struct ahead *a = xcalloc(1, sizeof *a);

	a->workers = w;
	a->pool = pool;
	a->fill = fill;
	a->context = context;
	a->job = (struct job){ .run = run, .context = a };
	return a;
}

static bool has_block(const void *context)
{
	const struct ahead *a = context;

	return __atomic_load_n(&a->n_filled, __ATOMIC_ACQUIRE) != a->n_taken;
}

/* Lets the job go on where it has ended for lack of room. */
static void go_on(struct ahead *a)
{
	if (a->started && !workers_done(a->workers, &a->job))
		return;
	if (a->ended)
		return;
	a->started = true;
	workers_start_first(a->workers, &a->job);
}

ssize_t ahead_read(struct ahead *a, struct block *to, unsigned n_blocks, size_t block_bytes)
{
	assert(n_blocks > 0 && n_blocks <= AHEAD_BLOCKS_MAX && block_bytes > 0);
	__atomic_store_n(&a->n_blocks, n_blocks, __ATOMIC_RELAXED);
	__atomic_store_n(&a->block_bytes, block_bytes, __ATOMIC_RELAXED);
	if (!a->started)
		go_on(a);
	while (!has_block(a)) {
		workers_wait_until(a->workers, &a->job, has_block, a);
		if (has_block(a))
			break;
		if (a->ended)
			return a->end;
		go_on(a); /* it saw no room just before there was some */
	}
	struct block *b = &a->blocks[a->n_taken % AHEAD_BLOCKS_MAX];
	ssize_t n = (ssize_t)b->len;
	block_take(to, b);
	block_pool_give(a->pool, b);
	__atomic_store_n(&a->n_taken, a->n_taken + 1, __ATOMIC_RELEASE);
	go_on(a);
	return n;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	if (a->started) {
		__atomic_store_n(&a->stop, true, __ATOMIC_RELAXED);
		workers_wait(a->workers, &a->job);
	}
	for (size_t i = 0; i < AHEAD_BLOCKS_MAX; i++)
		block_pool_give(a->pool, &a->blocks[i]);
	free(a);
}
