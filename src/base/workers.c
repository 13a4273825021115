/*
 * workers.c: a queue of jobs under one mutex. It decides nothing but the order: first come, first served.
 */
#include "base/workers.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t given, finished;
	struct job *first, **last;
	bool stop;
	unsigned n;
	pthread_t threads[];
};

/* Does the job that was given first. The mutex is held, but not meanwhile. */
static void do_first(struct workers *w)
{
	struct job *j = w->first;

	w->first = j->next;
	if (!w->first)
		w->last = &w->first;
	pthread_mutex_unlock(&w->mutex);
	j->run(j->context);
	pthread_mutex_lock(&w->mutex);
	j->done = true;
	pthread_cond_broadcast(&w->finished);
}

static void *work(void *context)
{
	struct workers *w = context;

	pthread_mutex_lock(&w->mutex);
	while (w->first || !w->stop) {
		if (w->first)
			do_first(w);
		else
			pthread_cond_wait(&w->given, &w->mutex);
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

struct workers *workers_new(unsigned n)
{
	struct workers *w = xcalloc(1, sizeof *w + n * sizeof *w->threads);
	sigset_t all, before;

	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->given, NULL);
	pthread_cond_init(&w->finished, NULL);
	w->last = &w->first;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (w->n < n && pthread_create(&w->threads[w->n], NULL, work, w) == 0)
		w->n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (w->n)
		return w;
	workers_free(w);
	return NULL;
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
	pthread_cond_destroy(&w->finished);
	pthread_cond_destroy(&w->given);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}

void workers_start(struct workers *w, struct job *j)
{
	j->done = false;
	j->next = NULL;
	pthread_mutex_lock(&w->mutex);
	*w->last = j;
	w->last = &j->next;
	pthread_cond_signal(&w->given);
	pthread_mutex_unlock(&w->mutex);
}

void workers_wait(struct workers *w, struct job *j)
{
	pthread_mutex_lock(&w->mutex);
	while (!j->done) {
		if (w->first)
			do_first(w);
		else
			pthread_cond_wait(&w->finished, &w->mutex);
	}
	pthread_mutex_unlock(&w->mutex);
}
