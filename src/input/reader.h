/*
 * reader.h: bytes from a file, pipe or archive. gzip (members one after another), zstd (frames, skippable ones too)
 * and xz (streams) are recognised by their magic bytes, never by name; anything else is passed through.
 *
 * A damaged or truncated archive gives every byte before the damage, then READER_ERROR once with a diagnostic.
 */
#ifndef TOCSIN_INPUT_READER_H
#define TOCSIN_INPUT_READER_H

#include "base/block.h"
#include "base/diag.h"
#include "base/workers.h"
#include "input/unpack.h"
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct reader;

/* name is for messages. Takes ownership of fd. Never fails: what is wrong comes out of the first read. */
struct reader *reader_new(int fd, const char *name);
/* "-" is standard input. NULL with a diagnostic (what failed and what to do) when the file cannot be opened or is a directory. */
struct reader *reader_open(const char *path, struct diag_list *diags);
void reader_free(struct reader *r);
/* What all readers of a run have in common. The numbers may change between two reads. */
struct read_means {
	struct workers *workers;    /* NULL: nothing is read ahead */
	struct block_pool *blocks;  /* may be NULL */
	size_t block_bytes;         /* what is read at once */
	unsigned blocks_ahead;      /* of each archive; at least 1, at most READ_BLOCKS_AHEAD_MAX */
	bool frames;                /* a .zst of many frames may take up to 18 MiB, to be unpacked by all workers (frames.h) */
};
#define READ_BLOCKS_AHEAD_MAX 4 /* with those that are looked at they stay in the processors' caches: more would be fetched from memory */
/*
 * From now on these means are used by reader_read_block(), and the caller calls nothing else to read. Workers unpack an archive in a file, unless it is
 * small, ahead of the caller. What is read, and what is said, stays the same. m outlives the reader. plain: so is another large file read, two blocks
 * ahead at most; it must not grow, nor be sought in after the first reader_read_block().
 */
void reader_set_means(struct reader *r, const struct read_means *m, bool plain);

#define READER_EOF 0
#define READER_ERROR (-1)
#define READER_WOULD_BLOCK (-2) /* only for a non-blocking fd */
/*
 * Reads up to len uncompressed bytes (at least 1) into buf; > 0: how many. After READER_ERROR the next call returns
 * READER_EOF. Retries EINTR. Plain files at their end may grow: calling again after READER_EOF reads what was
 * appended. An archive has one end. It may add warnings too (garbage behind a gzip archive). Archives unpack fastest
 * into a buffer of 256 KiB or more.
 */
ssize_t reader_read(struct reader *r, void *buf, size_t len, struct diag_list *diags);
/* The same, behind what is in b, whose memory may be another then: nothing is copied. Without means, and of a .zst of many frames, it is up to 256 KiB. */
ssize_t reader_read_block(struct reader *r, struct block *b, struct diag_list *diags);

/*
 * Reads the first bytes of a regular file and keeps them for reader_read(): what is done to the file after that cannot take them away. False: there are
 * none yet.
 */
bool reader_begin(struct reader *r);

/* COMPRESSION_NONE until the first read has told. */
enum compression reader_compression(const struct reader *r);
uint64_t reader_bytes_in(const struct reader *r);  /* read from the fd */
/* Present size of the file behind it, 0 when unknown (a pipe). */
uint64_t reader_size(const struct reader *r);
/* Last modification of the file when it was opened, ns since the epoch; INT64_MIN when unknown. */
int64_t reader_mtime_ns(const struct reader *r);
/* A file's time as ns since the epoch; INT64_MIN when that cannot hold it. */
int64_t file_time_ns(const struct timespec *t);

/* For who reads by position: the descriptor behind it, still the reader's. */
int reader_fd(const struct reader *r);
/* The next byte is the one at offset: of plain files that were read from at least once, only. False when that is impossible (errno). */
bool reader_seek(struct reader *r, uint64_t offset);

#endif
