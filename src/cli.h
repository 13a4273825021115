/*
 * cli.h: what the verbs share: printing, and what the options ask for. The verbs themselves are in verb_*.c; each returns
 * the exit status. Only they and this file print: diagnostics and notices to standard error, all else to standard output.
 */
#ifndef TOCSIN_CLI_H
#define TOCSIN_CLI_H

#include "options.h"
#include "run.h"

int verb_run(const struct options *o);
int verb_fields(const struct options *o);
int verb_check(const struct options *o);
int verb_test(const struct options *o);
int verb_rules(const struct options *o);
int verb_checkpoint(const struct options *o);
int verb_explain(const struct options *o);
int verb_diff(const struct options *o);

/* By --color, NO_COLOR and whether the descriptor is a terminal. */
bool wants_colour(const struct options *o, int fd);
/* 0: not a terminal. */
unsigned terminal_width(int fd);
/* To standard error; with -q errors only. */
void print_diags(const struct options *o, struct diag_list *diags);
/* Prints and releases; returns EXIT_RAN, also for a closed pipe, or EXIT_TROUBLE. */
int print_out(struct buffer *b);
/* Prints and releases; returns EXIT_TROUBLE. */
int fail(const struct options *o, struct diag_list *diags);

/* Rule files and directories; none: the installed ones, which `default` stands for, too. NULL with diagnostics. */
struct ruleset *load_rules(char *const *paths, size_t n, bool lint, struct diag_list *diags);
int64_t wall_clock_ns(void);
/* Of --tz. */
const struct zone *default_zone(const struct options *o);
/* Of --tz SOURCE=ZONE, NULL when there is none; context: the options. */
const struct zone *zone_of(void *context, const char *source);
/* context: the ruleset. */
bool known_source(void *context, const char *name);
/* What --NAME TEXT says, if it is given (text not NULL); false with diagnostics when that is no time. */
bool parse_time(const struct options *o, const char *name, const char *text, int64_t now_ns, int64_t *ret_ns, struct diag_list *diags);
/* Of -o; the list is the caller's to free, the outputs to close. False with diagnostics. */
bool open_outputs(const struct options *o, const struct ruleset *rs, const struct zone *zone, struct output **ret, size_t *ret_n,
		  struct diag_list *diags);

/*
 * What the verbs share that read logs: inputs, and how they are read, as the options say. rules: the caller's. False with diagnostics when there is
 * nothing to read. bad_inputs: some of them are not there, or wrong; the others can be read.
 */
struct reading {
	struct stream_list streams;
	struct pipeline_options pipeline;
	struct run_options run;
	bool bad_inputs;
};
bool reading_open(const struct options *o, const struct ruleset *rules, char *const *words, size_t n_words, struct reading *ret,
		  struct diag_list *diags);
void reading_release(struct reading *r);
/* What the end of a run has to say in any case: late and lost things are never silent. */
void add_doubts(const struct pipeline *p, struct diag_list *diags);
/* --stats, to standard error. */
void print_stats(const struct pipeline *p, double seconds);
/* -o text or -o jsonl, to standard output; by default text. False with diagnostics when it is another. */
bool wants_jsonl(const struct options *o, bool *ret, struct diag_list *diags);

#endif
