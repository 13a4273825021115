/*
 * workers.h: a few threads that do jobs, in the order in which they are given. A job belongs to its worker from workers_start() until workers_wait()
 * returns; what the job wrote is visible then.
 */
#ifndef TOCSIN_BASE_WORKERS_H
#define TOCSIN_BASE_WORKERS_H

#include <stdbool.h>

struct workers;

struct job {
	void (*run)(void *context);
	void *context;
	bool done;         /* workers.c's own, as is next */
	struct job *next;
};

/* n threads at most, at least one; NULL when there can be none. They take no signals. */
struct workers *workers_new(unsigned n);
/* All jobs must have been waited for. */
void workers_free(struct workers *w);
void workers_start(struct workers *w, struct job *j);
/* Does jobs, too, while it waits: never called by a job. */
void workers_wait(struct workers *w, struct job *j);

#endif
