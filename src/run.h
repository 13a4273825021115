/*
 * run.h: one run over given inputs: which log is read next, what each is, what is waited for, and where the next run goes on.
 *
 *	pipeline_new()  [pipeline_load()]  run_new()  [run_load()]  run_read()  [run_save()  pipeline_save()]  run_free()  pipeline_free()
 *
 * All kinds of run read in rounds (pipeline.h): the clock is sampled, then every log is read to its present end, then time passes. A replay is
 * one round whose logs end; cron makes one round; following is rounds without end, each begun by something that happened.
 */
#ifndef TOCSIN_RUN_H
#define TOCSIN_RUN_H

#include "input/stream.h"
#include "input/tail.h"
#include "pipeline.h"

enum run_kind {
	RUN_REPLAY, /* to the ends, which are the ends */
	RUN_RESUME, /* to the present ends; a later run goes on */
	RUN_FOLLOW, /* and on, until a signal */
};

struct run_options {
	const struct ruleset *rules;
	const char *stdin_source; /* -s; NULL: recognise it */
	enum run_kind kind;
	bool goes_on;             /* what is held back is saved after the run: RUN_FOLLOW does not finish the pipeline. (RUN_RESUME never does.) */
	int64_t now_ns;           /* arrival of what a pipe brings without stamps */
	int64_t until_ns;         /* RUN_RESUME: time runs to there, but not ahead of the clock; 0: only with the stamps */
	int64_t lateness_ns;      /* a pipe that is silent for longer is caught up with */
	int closing_fd;           /* RUN_FOLLOW ends when who reads this pipe has gone; 0: none such */
	int64_t poll_ns;          /* RUN_FOLLOW: look at the files so often; 0: when the kernel tells of changes */
	/* Called now and then with what has been read of what there is (0: unknown), in bytes on disk. May be NULL. */
	void (*progress)(void *context, uint64_t done, uint64_t total);
	void *progress_context;
	/* What the caller does for a run; each may be NULL. */
	void *context;
	void (*tell)(void *context);  /* following: what was there is read, or diagnostics were added: say them now, and empty the list */
	void (*stats)(void *context); /* SIGUSR1 */
	const struct ruleset *(*reload)(void *context); /* SIGHUP while following: the rules from now on, already the pipeline's */
	/*
	 * A round of following has ended; everything is consistent and could be saved. news: something was read, or came due. Returns when the
	 * clock shows that it wants to be called again, whatever happens; TIME_NONE: when there are news.
	 */
	int64_t (*rest)(void *context, int64_t now_ns, bool news);
};

struct run;

/* All but o outlive the run. streams: for RUN_RESUME and RUN_FOLLOW from stream_discover_lasting(). */
struct run *run_new(struct pipeline *p, const struct run_options *o, const struct stream_list *streams, struct diag_list *diags);
void run_free(struct run *r);

/*
 * RUN_REPLAY: reads all streams to their ends and finishes the pipeline. RUN_RESUME: to their present ends, or until SIGTERM or SIGINT.
 * RUN_FOLLOW: until SIGTERM or SIGINT, then to the present ends once more; a second signal kills. SIGUSR1 asks for statistics at any time.
 * False when something could not be read, or not be recognised: diags tell.
 */
bool run_read(struct run *r);

/* The positions of all logs, between two rounds. Also of logs that were loaded and are not among the streams now. */
void run_save(const struct run *r, struct buffer *out);
/* Into a fresh run whose pipeline was loaded. False when damaged: the run is to be freed. */
bool run_load(struct run *r, struct codec_reader *in);

/* For who wants to show what run_save() wrote: the number of logs, then each. Check in->bad at the end. */
struct run_position {
	struct span log;
	struct tail_position at;
};
size_t run_positions_begin(struct codec_reader *in);
struct run_position run_position_get(struct codec_reader *in);

#endif
