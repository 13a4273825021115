/*
 * ahead.h: a thread that reads ahead: it fills blocks by a function of the caller's, in order, while the caller uses those before. Internal to input/.
 */
#ifndef TOCSIN_INPUT_AHEAD_H
#define TOCSIN_INPUT_AHEAD_H

#include <stddef.h>
#include <sys/types.h>

/* So many blocks of this size wait at most, the one that is being filled included. */
#define AHEAD_BLOCKS 4
#define AHEAD_BLOCK_BYTES ((size_t)1 << 20)

struct ahead;

/* Puts up to len bytes (at least 1) into buf; > 0: how many; else there are no more, and why is the caller's to say. */
typedef ssize_t ahead_fill(void *context, void *buf, size_t len);

/* Starts the thread; NULL when there can be none. fill runs in it, and nobody else may touch what it uses until ahead_read() has returned ≤ 0. */
struct ahead *ahead_new(ahead_fill *fill, void *context);
/* As fill() would, called in this thread: the same bytes, and the same number ≤ 0 behind them, again and again. */
ssize_t ahead_read(struct ahead *a, void *buf, size_t len);
/* Stops the thread, at the latest when its present fill() returns. */
void ahead_free(struct ahead *a);

#endif
