/*
 * tail.h: one log through all its generations, read by position: what comes next in this log? The same code answers it for a replay, for
 * cron (the position was saved by an earlier run) and for a live log.
 *
 * A position is a file (device, inode), an offset in its unpacked bytes, and a fingerprint: the first bytes of the file and the bytes in
 * front of the offset. So it is found again after any rotation:
 *
 *	what happened to the file                         how it is found                              what comes next
 *	appended to                                       device, inode, fingerprint                   its new bytes
 *	renamed (.1, -20260217)                           the same, under another name                 its rest, then the younger ones
 *	renamed and packed, once or often                 fingerprint, by unpacking to the offset      its rest, then the younger ones
 *	copied and truncated, has grown again or not      the copy: fingerprint                        the copy's rest, then the live file from its start
 *	replaced by its own last lines (temp file and     lines in front of the offset stand           what stands behind them
 *	  rename, or written over), rotated since or not    in that file
 *	truncated, removed, replaced by another           it is not                                    files changed since, from their starts;
 *	                                                                                                 a warning where something may be lost
 *
 * A new file that is empty yet is not begun: the position stays in the file before, which can be known again, and what is still written to that
 * comes first. A file that is open is read to its end, however it is called by then, before the next one is begun. The one before is kept in mind:
 * a program that has not yet heard of the rotation may still write to it. Who follows keeps it open; a run that goes on from a position looks into it
 * first, once, if it is there and not packed. Archives and copies of one generation are read once. Nothing here waits, or asks a clock.
 */
#ifndef TOCSIN_INPUT_TAIL_H
#define TOCSIN_INPUT_TAIL_H

#include "base/block.h"
#include "base/codec.h"
#include "base/diag.h"
#include "input/reader.h"
#include "input/stream.h"
#include <sys/types.h>

/* Bytes of a fingerprint: the first of a file, and the last before the offset. */
#define TAIL_HEAD_BYTES ((size_t)4096)
#define TAIL_LAST_BYTES ((size_t)4096)

struct tail;

enum tail_purpose {
	TAIL_REPLAY, /* the files of the stream as they are: their end is the end */
	TAIL_RESUME, /* to the log's present end; its position is saved */
	TAIL_FOLLOW, /* to the log's present end, again and again */
};

/*
 * s: not standard input. By m it reads: workers may unpack archives, and in a replay read other large files (reader_set_means()). Both outlive the
 * tail.
 */
struct tail *tail_new(const struct stream *s, enum tail_purpose purpose, const struct read_means *m);
void tail_free(struct tail *t);

enum tail_step {
	TAIL_BYTES,    /* *ret_len bytes were put behind those in the block */
	TAIL_BEGIN,    /* another file begins: tail_file() */
	TAIL_CONTINUE, /* the bytes go on, in a file that has another name or place now: tail_file() */
	TAIL_ASIDE,    /* a rotated file was written to once more; its bytes come in between: tail_file() */
	TAIL_BACK,     /* and then those of the file before: tail_file() */
	TAIL_AT_END,   /* nothing more for now (TAIL_REPLAY: ever) */
};
/* Diagnostics are added once for each trouble; the call goes on behind it. See reader_read_block(). */
enum tail_step tail_read(struct tail *t, struct block *b, size_t *ret_len, struct diag_list *diags);

struct tail_file {
	const char *shown;   /* valid until the next call of tail_read() */
	uint32_t generation; /* 0: the first that was read */
	int64_t mtime_ns;    /* INT64_MIN: unknown */
	uint64_t offset, line; /* of the next byte; of a file that is begun at its beginning 0, 1. Not after TAIL_CONTINUE */
};
struct tail_file tail_file(const struct tail *t);
/* For people: at which line was the file left that came before? After TAIL_BEGIN and TAIL_BACK. */
void tail_set_old_line(struct tail *t, uint64_t line);
/* And at which the present one, after TAIL_ASIDE? From 1. */
void tail_set_line(struct tail *t, uint64_t line);

/* The path whose events concern it: what is to be watched. */
const char *tail_live_path(const struct tail *t);
/* Is a file held open that the live path does not name (any more)? It, too, may still be written to. */
bool tail_is_behind(const struct tail *t);
/* Bytes on disk that were read in this run. */
uint64_t tail_bytes_in(const struct tail *t);
/* Is there something that could not be read, up to now? */
bool tail_failed(const struct tail *t);

/* The position, as it is between two calls of tail_read(). */
void tail_save(const struct tail *t, struct buffer *out);
/* Into a fresh tail. False when damaged; the tail is to be freed then. */
bool tail_load(struct tail *t, struct codec_reader *in);

/* A saved position, for people. */
struct tail_position {
	bool known;          /* anything was read */
	struct span shown;   /* where it was last seen */
	uint64_t device, inode, offset;
	uint32_t head_len;
	uint64_t head_hash;
	struct span last;
	int64_t mtime_ns;
	uint32_t generation;
	bool finished;       /* nothing more is expected of it: an archive, read to its end, or a file that is gone and was told to be */
	bool has_old;        /* the file before it may still be written to */
	struct span old_shown;
	uint64_t old_device, old_inode, old_offset, old_line;
	struct span old_last;
	uint32_t old_generation;
	uint64_t line;       /* of the present file, where the one before was being read; else 0 */
};
/* Borrowed from the input, which ends with it; sets in->bad when it is damaged. */
struct tail_position tail_position_get(struct codec_reader *in);

#endif
