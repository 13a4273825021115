/*
 * tocsin run: from the options to a run, its progress, and what there is to say at its end.
 */
#include "cli.h"

#include "checkpoint.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* While following a checkpoint is written at once after output, else now and then; never so often that it takes more than 1/20 of the time. */
#define CHECKPOINT_SOON_NS NS_PER_SECOND
#define CHECKPOINT_LATER_NS (10 * NS_PER_SECOND)
#define CHECKPOINT_SHARE 20

struct run_context {
	const struct options *o;
	struct run *run;
	struct checkpoint *checkpoint; /* NULL: none */
	bool unsaved, save_failed;
	int64_t saved_ns, took_ns;     /* when it was written last, and how long that took */
	uint64_t saved_written;        /* bytes of output then */
	struct diag_list *diags;
	struct ruleset *rules;
	struct pipeline *pipeline;
	struct output *outputs;
	size_t n_outputs;
	struct timespec began, shown;
	bool progress_shown;
};

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static void show_progress(void *context, uint64_t done, uint64_t total)
{
	struct run_context *run = context;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_between(&run->shown, &now) < (run->progress_shown ? 0.2 : 1.0))
		return;
	run->shown = now;
	run->progress_shown = true;
	double elapsed = seconds_between(&run->began, &now), rate = (double)done / elapsed;
	if (total && done <= total) {
		char bar[21];
		int full = (int)(20.0 * (double)done / (double)total);
		for (int i = 0; i < 20; i++)
			bar[i] = i < full ? '#' : '.';
		bar[20] = 0;
		fprintf(stderr, "\r[%s] %3.0f %%  %.1f of %.1f MiB  %.0f MiB/s  %.0f s left \033[K", bar, 100.0 * (double)done / (double)total,
			(double)done / 1048576, (double)total / 1048576, rate / 1048576, (double)(total - done) / (rate > 0 ? rate : 1));
	} else {
		fprintf(stderr, "\r%.1f MiB  %.0f MiB/s\033[K", (double)done / 1048576, rate / 1048576);
	}
}

static void clear_progress(struct run_context *run)
{
	if (run->progress_shown)
		fputs("\r\033[K", stderr);
	run->progress_shown = false;
}

static void print_run_stats(const struct run_context *run, const struct pipeline *p)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	print_stats(p, seconds_between(&run->began, &now));
}

/* ---- while the run goes on ---- */

static void tell(void *context)
{
	struct run_context *run = context;

	clear_progress(run);
	print_diags(run->o, run->diags);
	diag_list_release(run->diags);
	*run->diags = (struct diag_list)DIAG_LIST_INIT;
}

static void stats(void *context)
{
	struct run_context *run = context;

	clear_progress(run);
	print_run_stats(run, run->pipeline);
}

/* ---- the checkpoint ---- */

static uint64_t output_bytes(const struct run_context *run)
{
	uint64_t n = 0;

	for (size_t i = 0; i < run->n_outputs; i++)
		n += run->outputs[i].written;
	return n;
}

/* Outputs are on disk before the checkpoint moves. */
static bool save(struct run_context *run, struct diag_list *diags)
{
	struct checkpoint *c = run->checkpoint;
	int64_t began_ns = wall_clock_ns();

	if (!pipeline_sync(run->pipeline))
		return false;
	struct buffer *b = checkpoint_begin(c);

	run_save(run->run, b);
	checkpoint_section_end(c, CHECKPOINT_INPUTS);
	pipeline_save(run->pipeline, b);
	checkpoint_section_end(c, CHECKPOINT_PIPELINE);
	bool ok = outputs_save(run->outputs, run->n_outputs, b, diags);
	checkpoint_section_end(c, CHECKPOINT_OUTPUTS);
	ok = ok && checkpoint_commit(c, began_ns, diags);
	run->saved_ns = wall_clock_ns();
	run->took_ns = run->saved_ns - began_ns;
	run->saved_written = output_bytes(run);
	run->unsaved = !ok;
	run->save_failed = !ok;
	return ok;
}

/*
 * Following, at the end of a round. One that cannot be written now (a full disk) is tried again: the one that is there stays good, and only grows older.
 */
static int64_t rest(void *context, int64_t now_ns, bool news)
{
	struct run_context *run = context;
	bool output = output_bytes(run) != run->saved_written;

	run->unsaved |= news || output;
	if (!run->unsaved)
		return TIME_NONE;
	int64_t interval_ns = output && !run->save_failed ? CHECKPOINT_SOON_NS : CHECKPOINT_LATER_NS;
	if (interval_ns < run->took_ns * CHECKPOINT_SHARE)
		interval_ns = run->took_ns * CHECKPOINT_SHARE;
	if (run->saved_ns <= now_ns && now_ns - run->saved_ns < interval_ns)
		return run->saved_ns + interval_ns;
	struct diag_list diags = DIAG_LIST_INIT;
	bool failed_before = run->save_failed;
	if (save(run, &diags) && failed_before)
		diag_add(&diags, DIAG_NOTE, run->o->checkpoint, 0, 0, "the checkpoint could be written again");
	tell(run);
	if (run->save_failed != failed_before)
		print_diags(run->o, &diags); /* once is enough; the end of the run says it again */
	diag_list_release(&diags);
	return run->unsaved ? run->saved_ns + CHECKPOINT_LATER_NS : TIME_NONE;
}

/* What the last run left: into a fresh pipeline and run. */
static bool restore(struct run_context *run)
{
	struct checkpoint *c = run->checkpoint;

	if (checkpoint_is_new(c))
		return true;
	struct codec_reader pipeline = checkpoint_section(c, CHECKPOINT_PIPELINE), inputs = checkpoint_section(c, CHECKPOINT_INPUTS);
	struct diag_list said = DIAG_LIST_INIT;
	bool ok = pipeline_load(run->pipeline, &pipeline, &said) && pipeline.ptr == pipeline.end && run_load(run->run, &inputs) &&
		  inputs.ptr == inputs.end;
	if (!ok) {
		checkpoint_say_damaged(c, run->diags);
	} else {
		for (size_t i = 0; i < said.n; i++)
			diag_add(run->diags, said.items[i].level, said.items[i].file, 0, 0, "%s", said.items[i].text);
	}
	diag_list_release(&said);
	return ok;
}

/* Before the outputs are opened: what a killed run wrote behind its last checkpoint is cut off. */
static bool repair_outputs(struct run_context *run, struct output_marks *ret)
{
	struct codec_reader in = checkpoint_section(run->checkpoint, CHECKPOINT_OUTPUTS);

	*ret = (struct output_marks){ 0 };
	if (checkpoint_is_new(run->checkpoint))
		return true;
	if (!output_marks_get(&in, ret) || in.ptr != in.end) {
		checkpoint_say_damaged(run->checkpoint, run->diags);
		return false;
	}
	outputs_repair(ret, checkpoint_was_killed(run->checkpoint), checkpoint_written_ns(run->checkpoint), run->diags);
	return true;
}

/*
 * Files that the checkpoint does not tell of as they are (new ones, or in the place of rotated ones) are noted before anything is written to them: else
 * a run that is killed before its first checkpoint would leave lines that nobody knows are to be cut off.
 */
static bool start_checkpoint(struct run_context *run, struct output_marks *marks)
{
	bool known = !checkpoint_is_new(run->checkpoint) && outputs_marked(run->outputs, run->n_outputs, marks);

	output_marks_release(marks);
	checkpoint_forget(run->checkpoint);
	return known || save(run, run->diags);
}

/* SIGHUP: the rules are read again; when they are wrong the old ones stay. Output files are opened again, since they may have been rotated. */
static const struct ruleset *reload(void *context)
{
	struct run_context *run = context;
	struct ruleset *rules = load_rules(run->o->rules, run->o->n_rules, false, run->diags);

	if (!rules) {
		diag_add(run->diags, DIAG_ERROR, NULL, 0, 0, "the rules were not read again: the old ones stay in force");
	} else {
		pipeline_set_rules(run->pipeline, rules, run->diags);
		for (size_t i = 0; i < run->n_outputs; i++)
			run->outputs[i].options.fields = &rules->fields;
		ruleset_free(run->rules);
		run->rules = rules;
		diag_add(run->diags, DIAG_NOTE, NULL, 0, 0, "the rules were read again: %u are in force", rules->n_rules);
	}
	/* The checkpoint will tell of the new files alone. */
	if (run->checkpoint && !pipeline_sync(run->pipeline))
		return run->rules;
	outputs_reopen(run->outputs, run->n_outputs, run->diags);
	/* Before anything is written to files that no checkpoint tells of. */
	if (run->checkpoint)
		save(run, run->diags);
	tell(run);
	return run->rules;
}

/* Following ends when the reader of the standard output has gone, if that is where everything goes. */
static int closing_fd(const struct options *o)
{
	struct stat st;

	for (size_t i = 0; i < o->n_outputs; i++)
		if (o->outputs[i].path)
			return 0;
	return fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) ? STDOUT_FILENO : 0;
}

/* As many as this process may use processors, unless the user says otherwise. */
static unsigned thread_count(const struct options *o)
{
	cpu_set_t cpus;

	if (o->threads)
		return (unsigned)o->threads;
	return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

/* The checkpoint, and the outputs, which it may have to repair first. */
static bool prepare(struct run_context *run, const struct zone *zone, struct output_marks *marks)
{
	const struct options *o = run->o;

	if (o->checkpoint && (!(run->checkpoint = checkpoint_open(o->checkpoint, run->diags)) || !repair_outputs(run, marks)))
		return false;
	return open_outputs(o, run->rules, zone, &run->outputs, &run->n_outputs, run->diags);
}

/* The run itself, once all is at hand; returns the exit status. */
static int run_through(struct run_context *run, struct reading *reading, struct output_marks *marks)
{
	const struct options *o = run->o;
	struct pipeline_options *p = &reading->pipeline;
	struct run_options *ro = &reading->run;

	p->clock = wall_clock_ns;
	p->threads = thread_count(o);
	ro->kind = o->follow ? RUN_FOLLOW : o->checkpoint ? RUN_RESUME : RUN_REPLAY;
	ro->goes_on = o->checkpoint != NULL;
	ro->poll_ns = o->poll_ns;
	ro->context = run;
	ro->tell = tell;
	ro->stats = stats;
	ro->reload = reload;
	ro->closing_fd = closing_fd(o);
	if (o->checkpoint) {
		ro->until_ns = p->until_ns == TIME_NONE ? 0 : p->until_ns;
		p->until_ns = TIME_NONE; /* what is newer is kept for the next run */
		ro->rest = rest;
	}
	if (isatty(STDERR_FILENO) && !o->quiet) {
		ro->progress = show_progress;
		ro->progress_context = run;
	}
	clock_gettime(CLOCK_MONOTONIC, &run->began);
	run->shown = run->began;
	run->pipeline = pipeline_new(p, run->outputs, run->n_outputs, run->diags);
	run->run = run_new(run->pipeline, ro, &reading->streams, run->diags);
	if (o->follow)
		tell(run);
	bool ok = !run->checkpoint || (restore(run) && start_checkpoint(run, marks));
	if (ok) {
		ok = run_read(run->run) && !reading->bad_inputs;
		/* What could not be told must be found again. */
		if (run->checkpoint && !pipeline_closed(run->pipeline) && !save(run, run->diags))
			ok = false;
	}
	clear_progress(run);
	for (size_t i = 0; i < run->n_outputs; i++)
		if (output_close(&run->outputs[i], run->diags) == OUTPUT_FAILED)
			ok = false;
	add_doubts(run->pipeline, run->diags);
	bool opened = engine_stats(pipeline_engine(run->pipeline))->opened > 0;
	print_diags(o, run->diags);
	if (o->stats)
		print_run_stats(run, run->pipeline);
	run_free(run->run);
	pipeline_free(run->pipeline);
	return !ok ? EXIT_TROUBLE : o->exit_code && opened ? EXIT_INCIDENT : EXIT_RAN;
}

int verb_run(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct run_context run = { .o = o, .diags = &diags };
	struct output_marks marks = { 0 };
	struct reading reading;
	int status = EXIT_TROUBLE;

	run.rules = load_rules(o->rules, o->n_rules, false, &diags);
	if (!run.rules || !reading_open(o, run.rules, o->words, o->n_words, &reading, &diags)) {
		ruleset_free(run.rules);
		return fail(o, &diags);
	}
	if (prepare(&run, reading.pipeline.zone, &marks))
		status = run_through(&run, &reading, &marks);
	else
		print_diags(o, &diags);
	output_marks_release(&marks);
	checkpoint_close(run.checkpoint);
	free(run.outputs);
	reading_release(&reading);
	ruleset_free(run.rules);
	diag_list_release(&diags);
	return status;
}
