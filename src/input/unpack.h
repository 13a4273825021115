/*
 * unpack.h: decompression as a function of bytes: compressed ones in, plain ones out, no file anywhere. The reader
 * feeds it; fuzzers and tests call it directly.
 *
 *	format  parts                   between and after parts
 *	gzip    members (RFC 1952)      zero padding is ignored, garbage is ignored with a warning, as gzip(1) does
 *	zstd    frames (RFC 8878)       skippable frames are skipped; anything else is damage
 *	xz      streams                 stream padding is ignored; anything else is damage
 *
 * What comes out depends on the compressed bytes alone: not on how they are cut into calls, nor on the room for
 * output.
 */
#ifndef TOCSIN_INPUT_UNPACK_H
#define TOCSIN_INPUT_UNPACK_H

#include "base/span.h"
#include <stdint.h>

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_XZ };

/* "plain", "gzip", "zstd", "xz". */
const char *compression_name(enum compression c);
/*
 * By the first bytes of a file. *ret_undecided (never NULL) says that more bytes could still change the answer;
 * where there are none, the answer stands.
 */
enum compression compression_recognise(struct span first_bytes, bool *ret_undecided);
#define COMPRESSION_MAGIC_MAX 6

/* Memory limits: archives that need more are refused, with a text that says so. */
#define UNPACK_ZSTD_WINDOW_LOG_MAX 27 /* 128 MiB */
#define UNPACK_XZ_MEMORY_MAX (UINT64_C(256) << 20)

enum unpack_result {
	UNPACK_OUTPUT,  /* something came out; call again */
	UNPACK_HUNGRY,  /* nothing can come out before there is more input: io->in is used up */
	UNPACK_END,     /* the archive ended well; unpack_warning() may have something to say */
	UNPACK_DAMAGED, /* unpack_problem() says what is wrong; all that could be saved has come out */
};

struct unpack_io {
	struct span in;  /* what was used is cut off its front */
	bool in_last;    /* no more input will follow */
	char *out;       /* advances */
	size_t out_room; /* shrinks; at least 1 at the call */
};

struct unpack;

/* c: any but COMPRESSION_NONE. */
struct unpack *unpack_new(enum compression c);
void unpack_free(struct unpack *u);
/* For another archive, as if it were new, in the memory that it has: of COMPRESSION_ZSTD only. */
void unpack_again(struct unpack *u);
/* After UNPACK_END and UNPACK_DAMAGED it gives the same again. */
enum unpack_result unpack_step(struct unpack *u, struct unpack_io *io);
/* What is wrong and what to do; static texts, or owned by u. NULL when nothing is. */
const char *unpack_problem(const struct unpack *u);
const char *unpack_problem_hint(const struct unpack *u);
const char *unpack_warning(const struct unpack *u);

#endif
