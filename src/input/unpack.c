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
	size_t zstd_in_frame; /* bytes of this frame fed so far */
	bool zstd_full;       /* the last call filled the room it had: there may be more without new input */
	lzma_stream xz;
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
		break;
	}
	free(u);
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

/*
 * The longest frame header, with its magic number. As long as no more of a frame than this has been fed, only what
 * zstd asks for is fed: given a whole frame at once together with its header, zstd would decode it in one go, and
 * hand out nothing at all when the end of it is damaged.
 */
#define ZSTD_HEADER_MAX 18

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

static enum unpack_result step_zstd(struct unpack *u, struct unpack_io *io)
{
	for (;;) {
		bool at_frame_start = !u->zstd_wanted;
		size_t in_len = io->in.len, rc;
		ZSTD_inBuffer in;
		ZSTD_outBuffer out = { io->out, io->out_room, 0 };

		/* Between frames a call without input would begin the next one. */
		if (at_frame_start && !in_len)
			return io->in_last ? UNPACK_END : UNPACK_HUNGRY;
		/* Nor may it be called in vain: zstd takes a number of such calls for a hang. */
		if (!in_len && !u->zstd_full) {
			if (!io->in_last)
				return UNPACK_HUNGRY;
			return fail(u, "the archive ends in the middle of a frame", HINT_DAMAGED);
		}
		if (at_frame_start)
			u->zstd_in_frame = 0;
		if (u->zstd_in_frame < ZSTD_HEADER_MAX) {
			size_t most = at_frame_start ? 5 : u->zstd_wanted;

			if (in_len > most)
				in_len = most;
		}
		in = (ZSTD_inBuffer){ io->in.ptr, in_len, 0 };
		rc = ZSTD_decompressStream(u->zstd, &out, &in);
		io->in = span_from(io->in, in.pos);
		io->out += out.pos;
		io->out_room -= out.pos;
		u->zstd_in_frame += in.pos;
		u->zstd_full = out.pos == out.size;
		if (ZSTD_isError(rc))
			u->result = fail_zstd(u, rc);
		else
			u->zstd_wanted = rc;
		if (out.pos)
			return UNPACK_OUTPUT;
		if (u->result == UNPACK_DAMAGED)
			return UNPACK_DAMAGED;
		if (in_len && !in.pos && u->zstd_wanted)
			return fail(u, "the data are damaged", HINT_DAMAGED);
	}
}

static enum unpack_result step_xz(struct unpack *u, struct unpack_io *io)
{
	for (;;) {
		size_t in_before = io->in.len, room_before = io->out_room;
		lzma_ret rc;

		u->xz.next_in = (const uint8_t *)io->in.ptr;
		u->xz.avail_in = io->in.len;
		u->xz.next_out = (uint8_t *)io->out;
		u->xz.avail_out = io->out_room;
		rc = lzma_code(&u->xz, io->in_last ? LZMA_FINISH : LZMA_RUN);
		io->in = span_from(io->in, in_before - u->xz.avail_in);
		io->out += room_before - u->xz.avail_out;
		io->out_room = u->xz.avail_out;
		switch (rc) {
		case LZMA_STREAM_END:
			u->result = UNPACK_END;
			break;
		case LZMA_OK:
		case LZMA_BUF_ERROR: /* no progress was possible */
			break;
		case LZMA_MEM_ERROR:
			u->result = fail_memory(u);
			break;
		case LZMA_MEMLIMIT_ERROR:
			snprintf(u->text, sizeof u->text, "unpacking it takes %llu MiB of memory, more than %llu",
				 (unsigned long long)(lzma_memusage(&u->xz) >> 20),
				 (unsigned long long)(UNPACK_XZ_MEMORY_MAX >> 20));
			u->result = fail(u, u->text, HINT_TOO_LARGE);
			break;
		case LZMA_FORMAT_ERROR:
			u->result = fail(u, "what follows a stream is no xz stream", HINT_DAMAGED);
			break;
		case LZMA_OPTIONS_ERROR:
			u->result = fail(u, "it uses options that this version of liblzma does not know", HINT_TOO_LARGE);
			break;
		default: /* LZMA_DATA_ERROR, and what this call cannot return: no enum of ours */
			u->result = fail(u, "the data are damaged", HINT_DAMAGED);
			break;
		}
		if (io->out_room != room_before)
			return UNPACK_OUTPUT;
		if (u->result == UNPACK_END || u->result == UNPACK_DAMAGED)
			return u->result;
		if (io->in.len != in_before)
			continue;
		if (io->in_last)
			return fail(u, "the archive ends in the middle of a stream", HINT_DAMAGED);
		return io->in.len ? fail(u, "the data are damaged", HINT_DAMAGED) : UNPACK_HUNGRY;
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
