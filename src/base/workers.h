/*
 * workers.h: a few threads that do jobs, in the order in which they are given. A job belongs to its worker from workers_start() until it is seen to be
 * done; what the job wrote is visible then.
 */
#ifndef TOCSIN_BASE_WORKERS_H
#define TOCSIN_BASE_WORKERS_H

#include <stdbool.h>

struct workers;

struct job {
	void (*run)(void *context);
	void *context;
	bool again;        /* set by run(): it is to be run once more, before all others that wait */
	bool done;         /* workers.c's own, as is next */
	struct job *next;
};

/* n threads at most, at least one; they begin with the first job, and take no signals. Where there can be none, who waits does all jobs. */
struct workers *workers_new(unsigned n);
/* All jobs must have been waited for. NULL is fine. */
void workers_free(struct workers *w);
void workers_start(struct workers *w, struct job *j);
/* Before all others: who is waited for by the rest. */
void workers_start_first(struct workers *w, struct job *j);
/* Of a job that was started. */
bool workers_done(struct workers *w, const struct job *j);
/* Does jobs, too, while it waits: never called by a job. */
void workers_wait(struct workers *w, struct job *j);
/* The same, but until ready(context) at the latest. That is asked under a lock, so it must be short, and again whenever some job was run. */
void workers_wait_until(struct workers *w, struct job *j, bool (*ready)(const void *context), const void *context);

#endif
