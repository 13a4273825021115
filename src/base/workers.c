/*
 * workers.c: a queue of jobs under one mutex. It decides nothing but the order: first come, first served, but for those that are to be first.
 */
#include "base/workers.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t given, told;
	struct job *first, **last;
	bool stop;
	unsigned n_idle;    /* threads that wait for a job */
	unsigned n_waiting; /* callers that wait for one to be done */
	unsigned n, most;
	pthread_t threads[];
};

static void put_last(struct workers *w, struct job *j)
{
	j->next = NULL;
	*w->last = j;
	w->last = &j->next;
}

static void put_first(struct workers *w, struct job *j)
{
	j->next = w->first;
	if (!w->first)
		w->last = &j->next;
	w->first = j;
}

/* Does the job that was given first. The mutex is held, but not meanwhile. */
static void do_first(struct workers *w)
{
	struct job *j = w->first;

	w->first = j->next;
	if (!w->first)
		w->last = &w->first;
	j->again = false;
	pthread_mutex_unlock(&w->mutex);
	j->run(j->context);
	pthread_mutex_lock(&w->mutex);
	if (j->again)
		put_first(w, j);
	else
		j->done = true;
	if (w->n_waiting) { /* who is woken while the mutex is held goes back to sleep at once */
		pthread_mutex_unlock(&w->mutex);
		pthread_cond_broadcast(&w->told);
		pthread_mutex_lock(&w->mutex);
	}
}

static void *work(void *context)
{
	struct workers *w = context;

	pthread_mutex_lock(&w->mutex);
	while (w->first || !w->stop) {
		if (w->first) {
			do_first(w);
			continue;
		}
		w->n_idle++;
		pthread_cond_wait(&w->given, &w->mutex);
		w->n_idle--;
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

struct workers *workers_new(unsigned n)
{
	struct workers *w = xcalloc(1, sizeof *w + n * sizeof *w->threads);

	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->given, NULL);
	pthread_cond_init(&w->told, NULL);
	w->last = &w->first;
	w->most = n;
	return w;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_broadcast(&w->given);
	pthread_mutex_unlock(&w->mutex);
	for (unsigned i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->told);
	pthread_cond_destroy(&w->given);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}

/* One more thread, where all are busy and more are allowed. The mutex is held. */
static void hire(struct workers *w)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&w->threads[w->n], NULL, work, w) == 0)
		w->n++;
	else
		w->most = w->n;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void start(struct workers *w, struct job *j, void (*put)(struct workers *w, struct job *j))
{
	pthread_mutex_lock(&w->mutex);
	j->done = false;
	put(w, j);
	bool idle = w->n_idle > 0;
	if (!idle && w->n < w->most)
		hire(w);
	pthread_mutex_unlock(&w->mutex);
	if (idle)
		pthread_cond_signal(&w->given);
}

void workers_start(struct workers *w, struct job *j)
{
	start(w, j, put_last);
}

void workers_start_first(struct workers *w, struct job *j)
{
	start(w, j, put_first);
}

bool workers_done(struct workers *w, const struct job *j)
{
	pthread_mutex_lock(&w->mutex);
	bool done = j->done;
	pthread_mutex_unlock(&w->mutex);
	return done;
}

void workers_wait_until(struct workers *w, struct job *j, bool (*ready)(const void *context), const void *context)
{
	pthread_mutex_lock(&w->mutex);
	while (!j->done && !(ready && ready(context))) {
		if (w->first) {
			do_first(w);
			continue;
		}
		w->n_waiting++;
		pthread_cond_wait(&w->told, &w->mutex);
		w->n_waiting--;
	}
	/* What is to be done again, and was done here so far. */
	if (w->first && w->n_idle)
		pthread_cond_signal(&w->given);
	pthread_mutex_unlock(&w->mutex);
}

void workers_wait(struct workers *w, struct job *j)
{
	workers_wait_until(w, j, NULL, NULL);
}
