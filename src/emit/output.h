/*
 * output.h: where state changes are written: standard output or files, in one format each. Changes are gathered and
 * written at output_flush(), which the pipeline calls before it waits for input.
 *
 * Exactly once. A run with a checkpoint notes how far each file that -o names was written (outputs_save), after that is on disk and before
 * the checkpoint is. When the run is killed in between, the next one finds the file longer than was noted, cuts off what is
 * behind (outputs_repair), and writes it again. So nobody else may write to such a file. Standard output, pipes and terminals cannot be
 * cut: what was written since the last checkpoint comes again, with the same ids.
 */
#ifndef TOCSIN_EMIT_OUTPUT_H
#define TOCSIN_EMIT_OUTPUT_H

#include "base/codec.h"
#include "emit/emitter.h"

#include <sys/types.h>

struct output {
	enum emit_format format;
	const char *path;        /* borrowed; NULL: standard output */
	int fd;
	bool is_file;            /* a regular file that was named */
	bool is_new;             /* its name may not be on disk yet */
	struct emit_options options;
	struct buffer pending;
	uint64_t written;        /* bytes so far, by this run */
};

/* Opens (appending) path. False with a diagnostic. */
bool output_open(struct output *o, enum emit_format format, const char *path, const struct emit_options *options, struct diag_list *diags);
void output_change(struct output *o, const struct change *c);
enum output_result { OUTPUT_OK, OUTPUT_CLOSED /* the reader of the pipe is gone */, OUTPUT_FAILED };
enum output_result output_flush(struct output *o, struct diag_list *diags);
/* Flushes and closes: what a full disk says only now is said too. */
enum output_result output_close(struct output *o, struct diag_list *diags);

/* --- exactly once --- */

#define OUTPUT_TAIL_BYTES 256 /* in front of the noted size: so that another file in its place is known for one */

struct output_mark {
	struct span path;    /* as named */
	uint64_t device, inode, size;
	struct span tail;    /* its last bytes, at most OUTPUT_TAIL_BYTES */
};
struct output_marks {
	struct output_mark *items;
	size_t n;
};
void output_marks_release(struct output_marks *m);

/*
 * Brings what was flushed to the disk, with the file's name. False with a diagnostic: what was written since the last time may be lost, and the kernel tells
 * that once only. So it is not to be tried again: the next run cuts the file back and writes it again.
 */
bool outputs_sync(struct output *list, size_t n, struct diag_list *diags);
/* How far files are written; after outputs_sync(). False with diagnostics. */
bool outputs_save(const struct output *list, size_t n, struct buffer *out, struct diag_list *diags);
/* Borrowed from the input. False when damaged; to be released in any case. */
bool output_marks_get(struct codec_reader *in, struct output_marks *ret);
/*
 * Cuts files back to their marks, also when they were renamed inside their directory. Before the outputs are opened. What cannot be put
 * right is a warning: lines may come twice then. killed: the run before may have written more than was noted at noted_ns; else a file that is gone is
 * nobody's loss.
 */
void outputs_repair(const struct output_marks *marks, bool killed, int64_t noted_ns, struct diag_list *diags);
/* Do the marks tell of all these files, as they are now? */
bool outputs_marked(const struct output *list, size_t n, const struct output_marks *marks);
/* Opens the named files again: they may have been renamed. Flushed before. False with diagnostics. */
bool outputs_reopen(struct output *list, size_t n, struct diag_list *diags);

#endif
