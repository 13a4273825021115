/*
 * ahead.h: reads ahead: workers fill blocks by a function of the caller's, in order, while the caller uses those before. How many, and of which size, the
 * caller says each time, for memory is shared with others. Internal to input/.
 */
#ifndef TOCSIN_INPUT_AHEAD_H
#define TOCSIN_INPUT_AHEAD_H

#include "base/block.h"
#include "base/workers.h"

#include <sys/types.h>

/* So many blocks can wait at most, the one that is being filled included. */
#define AHEAD_BLOCKS_MAX 4

struct ahead;

/* Puts up to len bytes (at least 1) into buf; > 0: how many; else there are no more, and why is the caller's to say. */
typedef ssize_t ahead_fill(void *context, void *buf, size_t len);

/* fill is called by workers, one at a time, and nobody else may touch what it uses until ahead_read() has returned <= 0. w and pool outlive it. */
struct ahead *ahead_new(struct workers *w, struct block_pool *pool, ahead_fill *fill, void *context);
/*
 * Puts the next bytes behind those in `to`, which takes over their memory where it can: how many; or the number <= 0 of fill() behind them, again and
 * again. From now on n_blocks of block_bytes may wait.
 */
ssize_t ahead_read(struct ahead *a, struct block *to, unsigned n_blocks, size_t block_bytes);
/* Waits for the present fill(). */
void ahead_free(struct ahead *a);

#endif
