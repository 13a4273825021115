/*
 * ahead.c: a ring of blocks between two threads. Invariants: blocks n_taken to n_filled − 1 are full, and the reader's; the next one is the
 * thread's; end is set once, behind the last full block. The thread takes no signals: those are for who waits for input.
 */
#include "input/ahead.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct block {
	char *data;
	size_t len;
};

struct ahead {
	ahead_fill *fill;
	void *context;
	struct block blocks[AHEAD_BLOCKS];
	pthread_t thread;
	bool running;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t n_filled, n_taken; /* under the mutex, as all below */
	bool ended, stop;
	ssize_t end;      /* what fill() said at its end */
	size_t taken_len; /* the reader's own: of block n_taken */
};

/* Fills a block as far as it goes. Returns what ended it; > 0: it is full. */
static ssize_t block_fill(struct ahead *a, struct block *b)
{
	b->len = 0;
	while (b->len < AHEAD_BLOCK_BYTES) {
		ssize_t n = a->fill(a->context, b->data + b->len, AHEAD_BLOCK_BYTES - b->len);

		if (n <= 0)
			return n;
		b->len += (size_t)n;
	}
	return 1;
}

static void *run(void *context)
{
	struct ahead *a = context;

	pthread_mutex_lock(&a->mutex);
	while (!a->ended && !a->stop) {
		struct block *b = &a->blocks[a->n_filled % AHEAD_BLOCKS];
		ssize_t end;

		if (a->n_filled - a->n_taken == AHEAD_BLOCKS) {
			pthread_cond_wait(&a->changed, &a->mutex);
			continue;
		}
		pthread_mutex_unlock(&a->mutex);
		end = block_fill(a, b);
		pthread_mutex_lock(&a->mutex);
		if (b->len)
			a->n_filled++;
		a->ended = end <= 0;
		a->end = end;
		pthread_cond_signal(&a->changed);
	}
	pthread_mutex_unlock(&a->mutex);
	return NULL;
}

struct ahead *ahead_new(ahead_fill *fill, void *context)
{
	struct ahead *a = xcalloc(1, sizeof *a);
	sigset_t all, before;
	int error;

	a->fill = fill;
	a->context = context;
	for (size_t i = 0; i < AHEAD_BLOCKS; i++)
		a->blocks[i].data = xmalloc(AHEAD_BLOCK_BYTES);
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&a->thread, NULL, run, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	a->running = !error;
	if (a->running)
		return a;
	ahead_free(a);
	return NULL;
}

ssize_t ahead_read(struct ahead *a, void *buf, size_t len)
{
	struct block *b = &a->blocks[a->n_taken % AHEAD_BLOCKS];
	ssize_t end = 1;

	pthread_mutex_lock(&a->mutex);
	while (a->n_filled == a->n_taken && !a->ended)
		pthread_cond_wait(&a->changed, &a->mutex);
	if (a->n_filled == a->n_taken)
		end = a->end;
	pthread_mutex_unlock(&a->mutex);
	if (end <= 0)
		return end;
	if (len > b->len - a->taken_len)
		len = b->len - a->taken_len;
	memcpy(buf, b->data + a->taken_len, len);
	a->taken_len += len;
	if (a->taken_len == b->len) {
		a->taken_len = 0;
		pthread_mutex_lock(&a->mutex);
		a->n_taken++;
		pthread_cond_signal(&a->changed);
		pthread_mutex_unlock(&a->mutex);
	}
	return (ssize_t)len;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	if (a->running) {
		pthread_mutex_lock(&a->mutex);
		a->stop = true;
		pthread_cond_signal(&a->changed);
		pthread_mutex_unlock(&a->mutex);
		pthread_join(a->thread, NULL);
	}
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->mutex);
	for (size_t i = 0; i < AHEAD_BLOCKS; i++)
		free(a->blocks[i].data);
	free(a);
}
