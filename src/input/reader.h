/*
 * reader.h: bytes from a file, pipe or archive. gzip (members one after another), zstd (frames, skippable ones too)
 * and xz (streams) are recognised by their magic bytes, never by name; anything else is passed through.
 *
 * A damaged or truncated archive gives every byte before the damage, then READER_ERROR once with a diagnostic.
 */
#ifndef TOCSIN_INPUT_READER_H
#define TOCSIN_INPUT_READER_H

#include "base/diag.h"
#include <stdint.h>
#include <sys/types.h>

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_XZ };

struct reader;

/* name is for messages. Takes ownership of fd. Never fails: what is wrong comes out of the first read. */
struct reader *reader_new(int fd, const char *name);
/* NULL with a diagnostic (what failed and what to do) when the file cannot be opened or is a directory. */
struct reader *reader_open(const char *path, struct diag_list *diags);
void reader_free(struct reader *r);

#define READER_EOF 0
#define READER_ERROR (-1)
#define READER_WOULD_BLOCK (-2) /* only for a non-blocking fd */
/*
 * Reads up to len uncompressed bytes into buf; > 0: how many. After READER_ERROR the next call returns READER_EOF. Retries EINTR.
 * Plain files at their end may grow: calling again after READER_EOF reads what was appended.
 */
ssize_t reader_read(struct reader *r, void *buf, size_t len, struct diag_list *diags);

enum compression reader_compression(const struct reader *r);
uint64_t reader_bytes_in(const struct reader *r);  /* read from the fd */
uint64_t reader_bytes_out(const struct reader *r); /* handed out */
/* Size of the file behind it, 0 when unknown (a pipe). */
uint64_t reader_size(const struct reader *r);
/* Last modification of the file, ns since the epoch; INT64_MIN when unknown. */
int64_t reader_mtime_ns(const struct reader *r);

#endif
