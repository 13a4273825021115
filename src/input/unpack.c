/*
 * unpack.c: decides what kind of archive some bytes are, and takes zstd and xz apart (gunzip.c does gzip).
 * Invariants: bytes decoded before the damage come out before the damage is reported; memory stays below the limits
 * in unpack.h, whatever a header asks for. It does not read files and adds no diagnostics: the reader knows the
 * file's name.
 */
#include "input/unpack.h"
#include "base/memory.h"
#include "input/gunzip.h"
#include <assert.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define HINT_DAMAGED "what came before it was used; fetch the file again, or drop it"
#define HINT_TOO_LARGE "what came before it was used; unpack it with its own tool and read the result"

static const char *const compression_names[] = {
	[COMPRESSION_NONE] = "plain",
	[COMPRESSION_GZIP] = "gzip",
	[COMPRESSION_ZSTD] = "zstd",
	[COMPRESSION_XZ] = "xz",
};

const char *compression_name(enum compression c)
{
	return compression_names[c];
}

/* A magic number; where mask is 0 the byte may be any (of the skippable frames' numbers: its low half). */
static const struct magic {
	enum compression compression;
	unsigned char bytes[COMPRESSION_MAGIC_MAX], masks[COMPRESSION_MAGIC_MAX];
	size_t len;
} magics[] = {
	{ COMPRESSION_GZIP, { 0x1f, 0x8b }, { 0xff, 0xff }, 2 },
	{ COMPRESSION_ZSTD, { 0x28, 0xb5, 0x2f, 0xfd }, { 0xff, 0xff, 0xff, 0xff }, 4 },
	{ COMPRESSION_ZSTD, { 0x50, 0x2a, 0x4d, 0x18 }, { 0xf0, 0xff, 0xff, 0xff }, 4 },
	{ COMPRESSION_XZ, { 0xfd, '7', 'z', 'X', 'Z', 0 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 6 },
};

enum compression compression_recognise(struct span first_bytes, bool *ret_undecided)
{
	*ret_undecided = false;
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
		const struct magic *m = &magics[i];
		size_t n = 0;

		while (n < m->len && n < first_bytes.len &&
		       ((unsigned char)first_bytes.ptr[n] & m->masks[n]) == m->bytes[n])
			n++;
		if (n == m->len)
			return m->compression;
		if (n == first_bytes.len)
			*ret_undecided = true;
	}
	return COMPRESSION_NONE;
}

struct unpack {
	enum compression compression;
	enum unpack_result result; /* UNPACK_END and UNPACK_DAMAGED stay */
	const char *problem, *hint, *warning;
	char text[96]; /* for a problem that names a number */
	struct gunzip *gunzip;
	ZSTD_DCtx *zstd;
	size_t zstd_wanted;   /* what zstd asked for; 0: between frames */
	bool zstd_full;       /* the last call filled the room it had: there may be more without new input */
	char zstd_magic[COMPRESSION_MAGIC_MAX]; /* the first bytes of the present frame */
	size_t n_zstd_magic;
	lzma_stream xz;
	struct xz_buffers *xz_buffers;
	bool xz_last;                  /* the present portion is the last */
	enum unpack_result xz_found;   /* by the last call */
};

/*
 * liblzma sees that a chunk has been overrun only when a call ends: what it has written by then depends on how much
 * input and room it had. So that the same archive gives the same bytes in any reading, it works between buffers of
 * its own: each call has a whole portion of input, or all that is left, and all of the output buffer. (At its speed
 * the copying is nothing.)
 */
#define XZ_PORTION ((size_t)16 << 10)
#define XZ_OUTPUT ((size_t)64 << 10)

struct xz_buffers {
	size_t in_pos, in_end, out_pos, out_end;
	char in[XZ_PORTION], out[XZ_OUTPUT];
};

static enum unpack_result fail(struct unpack *u, const char *problem, const char *hint)
{
	u->problem = problem;
	u->hint = hint;
	return UNPACK_DAMAGED;
}

static enum unpack_result fail_memory(struct unpack *u)
{
	return fail(u, "there is not enough memory to unpack it", HINT_TOO_LARGE);
}

struct unpack *unpack_new(enum compression c)
{
	static const lzma_stream xz_init = LZMA_STREAM_INIT;
	struct unpack *u = xcalloc(1, sizeof *u);

	u->compression = c;
	u->result = UNPACK_HUNGRY;
	switch (c) {
	case COMPRESSION_NONE:
		assert(!"nothing to unpack");
		break;
	case COMPRESSION_GZIP:
		u->gunzip = gunzip_new();
		break;
	case COMPRESSION_ZSTD:
		u->zstd = ZSTD_createDCtx();
		if (!u->zstd ||
		    ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, UNPACK_ZSTD_WINDOW_LOG_MAX)))
			u->result = fail_memory(u);
		break;
	case COMPRESSION_XZ:
		u->xz = xz_init;
		u->xz_buffers = xcalloc(1, sizeof *u->xz_buffers);
		if (lzma_stream_decoder(&u->xz, UNPACK_XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
			u->result = fail_memory(u);
		break;
	}
	return u;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	switch (u->compression) {
	case COMPRESSION_NONE:
		break;
	case COMPRESSION_GZIP:
		gunzip_free(u->gunzip);
		break;
	case COMPRESSION_ZSTD:
		ZSTD_freeDCtx(u->zstd);
		break;
	case COMPRESSION_XZ:
		lzma_end(&u->xz);
		free(u->xz_buffers);
		break;
	}
	free(u);
}

void unpack_again(struct unpack *u)
{
	assert(u->compression == COMPRESSION_ZSTD);
	if (!u->zstd)
		return; /* there is not enough memory, still */
	ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
	u->result = UNPACK_HUNGRY;
	u->problem = u->hint = u->warning = NULL;
	u->zstd_wanted = u->n_zstd_magic = 0;
	u->zstd_full = false;
}

const char *unpack_problem(const struct unpack *u)
{
	return u->problem;
}

const char *unpack_problem_hint(const struct unpack *u)
{
	return u->hint;
}

const char *unpack_warning(const struct unpack *u)
{
	return u->warning;
}

static enum unpack_result step_gzip(struct unpack *u, struct unpack_io *io)
{
	enum unpack_result result = gunzip_step(u->gunzip, io, &u->problem, &u->warning);

	if (result == UNPACK_DAMAGED)
		u->hint = HINT_DAMAGED;
	return result;
}

static enum unpack_result fail_zstd(struct unpack *u, size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
		return fail(u, "a frame needs a window of more than 128 MiB (it was made with --long)", HINT_TOO_LARGE);
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return fail_memory(u);
	if (ZSTD_getErrorCode(code) == ZSTD_error_dictionary_wrong)
		return fail(u, "a frame was made with a dictionary", HINT_TOO_LARGE);
	if (ZSTD_getErrorCode(code) == ZSTD_error_checksum_wrong)
		return fail(u, "the data of a frame do not match their checksum", HINT_DAMAGED);
	if (ZSTD_getErrorCode(code) == ZSTD_error_prefix_unknown)
		return fail(u, "what follows a frame is no zstd frame", HINT_DAMAGED);
	return fail(u, "the data are damaged", HINT_DAMAGED);
}

/*
 * How much zstd gets at once. On damage it says nothing of what it had already written in the same call, so a call
 * must neither begin anything after it has written (a block, a frame), nor decode several blocks, nor, what zstd
 * does when it can see a whole frame, all of them in one go. What zstd asks for is the rest of the present block,
 * and often the header of the next one: less that header, the input ends where the block does, or before. Output
 * that found no room is fetched without any input.
 */
#define ZSTD_BLOCK_HEADER 3
#define ZSTD_FRAME_START 5 /* the shortest that zstd looks at */
#define ZSTD_MAGIC_SIZE 4

static size_t zstd_portion(const struct unpack *u, size_t in_len)
{
	size_t most = u->zstd_wanted > ZSTD_BLOCK_HEADER ? u->zstd_wanted - ZSTD_BLOCK_HEADER : u->zstd_wanted;

	if (u->zstd_full)
		return 0;
	if (!u->zstd_wanted)
		most = ZSTD_FRAME_START;
	return in_len < most ? in_len : most;
}

/*
 * libzstd may have been built to read the formats before 1.0, too. Their code is old, and gives other bytes before damage when it is fed
 * otherwise; no log is in them.
 */
static bool is_zstd_frame(struct unpack *u, struct span in)
{
	bool undecided;
	size_t n;

	if (!u->zstd_wanted)
		u->n_zstd_magic = 0;
	for (n = 0; u->n_zstd_magic < ZSTD_MAGIC_SIZE && n < in.len; n++)
		u->zstd_magic[u->n_zstd_magic++] = in.ptr[n];
	return n == 0 || compression_recognise(span_of(u->zstd_magic, u->n_zstd_magic), &undecided) == COMPRESSION_ZSTD || undecided;
}

static enum unpack_result step_zstd(struct unpack *u, struct unpack_io *io)
{
	for (;;) {
		ZSTD_inBuffer in = { io->in.ptr, zstd_portion(u, io->in.len), 0 };
		ZSTD_outBuffer out = { io->out, io->out_room, 0 };
		size_t rc;

		/* Without input zstd may be called only to fetch output: between frames it would begin one, in a frame it takes repeated calls for a hang. */
		if (!in.size && !u->zstd_full) {
			if (!io->in_last)
				return UNPACK_HUNGRY;
			if (!u->zstd_wanted)
				return UNPACK_END;
			return fail(u, "the archive ends in the middle of a frame", HINT_DAMAGED);
		}
		if (!is_zstd_frame(u, span_of(in.src, in.size)))
			return fail(u, "what follows a frame is no zstd frame", HINT_DAMAGED);
		rc = ZSTD_decompressStream(u->zstd, &out, &in);
		io->in = span_from(io->in, in.pos);
		io->out += out.pos;
		io->out_room -= out.pos;
		u->zstd_full = out.pos == out.size;
		if (ZSTD_isError(rc))
			u->result = fail_zstd(u, rc);
		else
			u->zstd_wanted = rc;
		/* All was written, and it was the end: there is nothing to fetch. */
		if (!u->zstd_wanted)
			u->zstd_full = false;
		if (out.pos)
			return UNPACK_OUTPUT;
		if (u->result == UNPACK_DAMAGED)
			return UNPACK_DAMAGED;
		if (in.size && !in.pos && u->zstd_wanted)
			return fail(u, "the data are damaged", HINT_DAMAGED);
	}
}

/* Moves bytes between the caller's buffers and liblzma's; returns how many. */
static size_t move(char *to, const char *from, size_t n, size_t room)
{
	if (n > room)
		n = room;
	if (n)
		memcpy(to, from, n);
	return n;
}

/* One call of liblzma, into the empty output buffer. last: no more input will follow. */
static enum unpack_result run_xz(struct unpack *u, bool last)
{
	struct xz_buffers *b = u->xz_buffers;
	size_t in_before = b->in_end - b->in_pos;
	lzma_ret rc;

	u->xz.next_in = (const uint8_t *)b->in + b->in_pos;
	u->xz.avail_in = in_before;
	u->xz.next_out = (uint8_t *)b->out;
	u->xz.avail_out = XZ_OUTPUT;
	rc = lzma_code(&u->xz, last ? LZMA_FINISH : LZMA_RUN);
	b->in_pos = b->in_end - u->xz.avail_in;
	b->out_pos = 0;
	b->out_end = XZ_OUTPUT - u->xz.avail_out;
	switch (rc) {
	case LZMA_STREAM_END:
		return UNPACK_END;
	case LZMA_OK:
	case LZMA_BUF_ERROR: /* no progress was possible */
		break;
	case LZMA_MEM_ERROR:
		return fail_memory(u);
	case LZMA_MEMLIMIT_ERROR:
		snprintf(u->text, sizeof u->text, "unpacking it takes %llu MiB of memory, more than %llu",
			 (unsigned long long)(lzma_memusage(&u->xz) >> 20), (unsigned long long)(UNPACK_XZ_MEMORY_MAX >> 20));
		return fail(u, u->text, HINT_TOO_LARGE);
	case LZMA_OPTIONS_ERROR:
		return fail(u, "it uses options that this version of liblzma does not know", HINT_TOO_LARGE);
	default: /* LZMA_DATA_ERROR, and what this call cannot return: no enum of ours */
		return fail(u, "the data are damaged", HINT_DAMAGED);
	}
	if (b->out_end || u->xz.avail_in != in_before)
		return UNPACK_OUTPUT;
	if (last)
		return fail(u, "the archive ends in the middle of a stream", HINT_DAMAGED);
	return in_before ? fail(u, "the data are damaged", HINT_DAMAGED) : UNPACK_HUNGRY;
}

static enum unpack_result step_xz(struct unpack *u, struct unpack_io *io)
{
	struct xz_buffers *b = u->xz_buffers;

	for (;;) {
		size_t n = move(io->out, b->out + b->out_pos, b->out_end - b->out_pos, io->out_room);

		b->out_pos += n;
		io->out += n;
		io->out_room -= n;
		if (n)
			return UNPACK_OUTPUT;
		/* What the last call found behind its output. */
		if (u->xz_found == UNPACK_END || u->xz_found == UNPACK_DAMAGED)
			return u->xz_found;
		if (b->in_pos == b->in_end && !u->xz_last)
			b->in_pos = b->in_end = 0;
		if (b->in_pos == 0) {
			n = move(b->in + b->in_end, io->in.ptr, io->in.len, XZ_PORTION - b->in_end);
			b->in_end += n;
			io->in = span_from(io->in, n);
			if (b->in_end < XZ_PORTION && !io->in_last)
				return UNPACK_HUNGRY;
			u->xz_last = b->in_end < XZ_PORTION;
		}
		u->xz_found = run_xz(u, u->xz_last);
	}
}

enum unpack_result unpack_step(struct unpack *u, struct unpack_io *io)
{
	enum unpack_result result = UNPACK_DAMAGED;

	assert(io->out_room > 0);
	if (u->result == UNPACK_END || u->result == UNPACK_DAMAGED)
		return u->result;
	switch (u->compression) {
	case COMPRESSION_NONE:
		assert(!"nothing to unpack");
		break;
	case COMPRESSION_GZIP:
		result = step_gzip(u, io);
		break;
	case COMPRESSION_ZSTD:
		result = step_zstd(u, io);
		break;
	case COMPRESSION_XZ:
		result = step_xz(u, io);
		break;
	}
	/* With output, an end or damage that was found behind it is in u->result already, for the next call. */
	if (result != UNPACK_OUTPUT)
		u->result = result;
	return result;
}
