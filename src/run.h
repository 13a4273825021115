/*
 * run.h: one run over given inputs: which log is read next, what each is, when a pipe is waited for.
 *
 *	pipeline_new()  run_new()  run_read()  run_free()  pipeline_free()
 */
#ifndef TOCSIN_RUN_H
#define TOCSIN_RUN_H

#include "input/stream.h"
#include "pipeline.h"

struct run_options {
	const struct ruleset *rules;
	const char *stdin_source; /* -s; NULL: recognise it */
	int64_t now_ns;           /* arrival of what a pipe brings without stamps */
	int64_t lateness_ns;      /* a pipe that is silent for longer is caught up with */
	/* Called now and then with what has been read of what there is (0: unknown), in bytes on disk. May be NULL. */
	void (*progress)(void *context, uint64_t done, uint64_t total);
	void *progress_context;
};

struct run;

/* All of these outlive the run. */
struct run *run_new(struct pipeline *p, const struct run_options *o, const struct stream_list *streams, struct diag_list *diags);
void run_free(struct run *r);

/* Reads all streams to their ends and finishes the pipeline. False when one could not be read, or not be recognised: diags tell. */
bool run_read(struct run *r);

#endif
