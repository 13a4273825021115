/*
 * options.h: the command line. One table gives parsing, --help, completion and the check that the
 * manual names every option.
 */
#ifndef TOCSIN_OPTIONS_H
#define TOCSIN_OPTIONS_H

#include "base/diag.h"
#include "emit/emitter.h"

#define EXIT_RAN 0
#define EXIT_INCIDENT 1 /* --exit-code: an incident opened; test: one failed; diff: findings */
#define EXIT_TROUBLE 2

enum verb { VERB_RUN, VERB_CHECK, VERB_TEST, VERB_FIELDS, VERB_EXPLAIN, VERB_DIFF, VERB_RULES, VERB_CHECKPOINT, VERB_COMPLETION };
#define VERB_COUNT (VERB_COMPLETION + 1)
const char *verb_name(enum verb v);

struct output_option {
	enum emit_format format;
	const char *path; /* NULL: standard output */
};

struct zone_option {
	const char *source; /* NULL: all */
	const char *zone;
};

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

struct options {
	enum verb verb;
	bool verb_named;         /* false: VERB_RUN, since there was none */
	char **rules;            /* -r; "default": the installed ones */
	size_t n_rules;
	const char *source;      /* -s */
	struct output_option *outputs;
	size_t n_outputs;
	struct zone_option *zones;
	size_t n_zones;
	int64_t lateness_ns;
	const char *since, *until, *at;
	bool follow;
	const char *checkpoint;  /* NULL: none */
	int64_t poll_ns;         /* 0: no --poll */
	const char *rule;        /* --rule */
	char **keys;             /* --key NAME=VALUE, as written */
	size_t n_keys;
	bool all;                /* rules: those that open no incidents, too */
	bool exit_code, stats, quiet, help, version;
	bool tap;                /* test */
	const char *junit;       /* test; NULL: none */
	enum when colour;
	uint64_t max_keys, max_record;
	uint64_t threads;        /* 0: as many as there are processors */
	char **words;            /* what is left: inputs, rule files */
	size_t n_words;
};

/* Fills *ret; false with diagnostics when the command line is wrong. Words point into argv. */
bool options_parse(int argc, char **argv, struct options *ret, struct diag_list *diags);
void options_release(struct options *o);
/* --help: fits a terminal of 80 columns and 24 lines with a prompt below it. Without a verb: what a newcomer needs. */
void options_help(struct buffer *out, const struct options *o);
/* Completion script for "bash", "zsh" or "fish"; false when unknown. */
bool options_completion(struct buffer *out, const char *shell);

#endif
