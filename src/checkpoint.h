/*
 * checkpoint.h: the file in which a run leaves its state to the next one: positions in the logs, the pipeline, how far
 * outputs are written. Here is the envelope; what stands inside is written and read by who owns it.
 *
 *	checkpoint_open()  read sections  [checkpoint_begin()  write sections  checkpoint_commit()]…  checkpoint_close()
 *
 * The file is never changed: a new one is written beside it, brought to the disk and renamed over it. So it is always whole, the old
 * one or the new one. One that is damaged, foreign or of a newer tocsin is refused, and left as it is.
 */
#ifndef TOCSIN_CHECKPOINT_H
#define TOCSIN_CHECKPOINT_H

#include "base/codec.h"
#include "base/diag.h"

#define CHECKPOINT_FORMAT 3
#define CHECKPOINT_FORMAT_OLDEST 2 /* that is still read */

enum checkpoint_section {
	CHECKPOINT_INPUTS = 1, /* run_save() */
	CHECKPOINT_PIPELINE,   /* pipeline_save() */
	CHECKPOINT_OUTPUTS,    /* outputs_save() */
};
#define CHECKPOINT_SECTIONS 3

struct checkpoint;

/*
 * Takes the lock (PATH.lock, which stays there), removes what a killed run left half written, and reads the file if there is one. NULL with diagnostics: another
 * run holds the lock, something cannot be read or written, or the file is none of ours.
 */
struct checkpoint *checkpoint_open(const char *path, struct diag_list *diags);
/* To look at only: without the lock, and the file must be there. */
struct checkpoint *checkpoint_view(const char *path, struct diag_list *diags);
void checkpoint_close(struct checkpoint *c);

/* There was none: everything begins. */
bool checkpoint_is_new(const struct checkpoint *c);
/* The run before did not come to its end: it may have written more than the checkpoint knows. Of one that was opened. */
bool checkpoint_was_killed(const struct checkpoint *c);
/* When it was written, in which format, and how long it is. */
int64_t checkpoint_written_ns(const struct checkpoint *c);
int checkpoint_format(const struct checkpoint *c);
uint64_t checkpoint_size(const struct checkpoint *c);
/* Of what was read; good until checkpoint_forget() or close. */
struct codec_reader checkpoint_section(const struct checkpoint *c, enum checkpoint_section s);
/* Says that a section's content is damaged, and what can be done. */
void checkpoint_say_damaged(const struct checkpoint *c, struct diag_list *diags);
/* What was read is not needed any more: its memory is given back. */
void checkpoint_forget(struct checkpoint *c);

/*
 * A new state: sections in rising order, their bytes appended to what checkpoint_begin() returns, each ended by checkpoint_section_end(). Of much
 * only a part is in memory: buffer_drain(). One that was begun and not committed is forgotten.
 */
struct buffer *checkpoint_begin(struct checkpoint *c);
void checkpoint_section_end(struct checkpoint *c, enum checkpoint_section s);
/* Brings it to the disk in place of the old one, unless nothing has changed. False with diagnostics: the old one is still there. */
bool checkpoint_commit(struct checkpoint *c, int64_t now_ns, struct diag_list *diags);

/* For tests: is this a whole checkpoint? ret: its sections, borrowed. NULL, or what is wrong with it. */
struct checkpoint_content {
	int format;
	int64_t written_ns;
	uint64_t hash; /* of all sections */
	struct span sections[CHECKPOINT_SECTIONS];
};
const char *checkpoint_parse(struct span file, struct checkpoint_content *ret);

#endif
