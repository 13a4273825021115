/*
 * output.h: where state changes are written: standard output or files, in one format each. Changes are gathered and
 * written at output_flush(), which the pipeline calls before it waits for input.
 */
#ifndef TOCSIN_EMIT_OUTPUT_H
#define TOCSIN_EMIT_OUTPUT_H

#include "emit/emitter.h"

struct output {
	enum emit_format format;
	const char *path;        /* borrowed; NULL: standard output */
	int fd;
	struct emit_options options;
	struct buffer pending;
};

/* Opens (appending) path. False with a diagnostic. */
bool output_open(struct output *o, enum emit_format format, const char *path, const struct emit_options *options, struct diag_list *diags);
void output_change(struct output *o, const struct change *c);
enum output_result { OUTPUT_OK, OUTPUT_CLOSED /* the reader of the pipe is gone */, OUTPUT_FAILED };
enum output_result output_flush(struct output *o, struct diag_list *diags);
/* Flushes and closes: what a full disk says only now is said too. */
enum output_result output_close(struct output *o, struct diag_list *diags);

#endif
