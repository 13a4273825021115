/*
 * gunzip.c: decides where gzip members begin and end and whether they are whole; the bytes between are inflated by
 * ISA-L or zlib. Invariant: a byte that was inflated correctly is handed out, whatever follows it, and before
 * anything is said about what follows. Both inflaters see raw deflate data; header, checksum and length are checked
 * here. It does not read files and keeps nothing of a header (name, time): the wrapper is not trusted.
 *
 *	FIXED → [EXTRA_LENGTH → EXTRA] → [NAME] → [COMMENT] → [HEADER_CHECK] → BODY → TRAILER → BETWEEN ─┬→ FIXED
 *	                                                                                                  ├→ PADDING → end
 *	                                                                                                  └→ end (garbage)
 */
#include "input/gunzip.h"
#include "base/memory.h"
#include <assert.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

enum gunzip_stage {
	STAGE_FIXED,
	STAGE_EXTRA_LENGTH,
	STAGE_EXTRA,
	STAGE_NAME,
	STAGE_COMMENT,
	STAGE_HEADER_CHECK,
	STAGE_BODY,
	STAGE_TRAILER,
	STAGE_BETWEEN,
	STAGE_PADDING,
	STAGE_GARBAGE,
	STAGE_DAMAGED,
};

#define FLAG_HEADER_CHECK 0x02
#define FLAG_EXTRA 0x04
#define FLAG_NAME 0x08
#define FLAG_COMMENT 0x10
#define FLAGS_RESERVED 0xe0
#define METHOD_DEFLATE 8
#define FIXED_SIZE 10
#define TRAILER_SIZE 8

/* zlib and ISA-L count in 32 bits. */
#define STEP_MAX ((size_t)1 << 30)

struct gunzip {
	enum gunzip_stage stage;
	unsigned flags;
	unsigned char field[FIXED_SIZE]; /* the fixed-size field being read */
	size_t n_field;
	size_t n_extra;           /* bytes of the extra field still to come */
	uint32_t header_checksum; /* of the header so far */
	uint32_t checksum;        /* of the member's data */
	uint32_t length;          /* of the member's data, modulo 2^32 as in the trailer */
	const char *problem;
#ifdef HAVE_ISAL
	struct inflate_state inflate;
	bool careful; /* damage is near */
#else
	z_stream inflate;
#endif
};

/* The inflater: one of two, each with begin, end and step. inflate_step() says DONE at the end of the deflate data. */

enum inflate_result { INFLATE_GOING, INFLATE_DONE, INFLATE_WRONG, INFLATE_NO_MEMORY };

#ifdef HAVE_ISAL

static void inflate_end_all(struct gunzip *g)
{
	(void)g;
}

static bool inflate_begin(struct gunzip *g)
{
	isal_inflate_init(&g->inflate);
	g->careful = false;
	g->inflate.crc_flag = ISAL_GZIP_NO_HDR;
	return true;
}

/*
 * ISA-L inflates into a buffer of its own first. On damage it returns at once and leaves there what had not yet found
 * room with the caller.
 */
static void take_stranded(struct gunzip *g, struct unpack_io *io)
{
	struct inflate_state *s = &g->inflate;
	size_t n = (size_t)(s->tmp_out_valid - s->tmp_out_processed);

	if (n > io->out_room)
		n = io->out_room;
	if (!n)
		return;
	memcpy(io->out, s->tmp_out_buffer + s->tmp_out_processed, n);
	s->tmp_out_processed += (int32_t)n;
	io->out += n;
	io->out_room -= n;
}

/* Uses up most bytes at most. False, and nothing else has changed, when a step that was not careful met damage: it is to be taken back. */
static bool inflate_try(struct gunzip *g, struct unpack_io *io, size_t most, enum inflate_result *ret)
{
	struct inflate_state *s = &g->inflate;
	uint32_t in_len = (uint32_t)(io->in.len < most ? io->in.len : most);
	uint32_t room = (uint32_t)(io->out_room < STEP_MAX ? io->out_room : STEP_MAX);
	unsigned n_bytes;
	uint64_t bits;
	int rc;

	s->next_in = (uint8_t *)(uintptr_t)io->in.ptr;
	s->avail_in = in_len;
	s->next_out = (uint8_t *)io->out;
	s->avail_out = room;
	rc = isal_inflate(s);
	if (rc < 0 && !g->careful)
		return false;
	io->in = span_from(io->in, in_len - s->avail_in);
	io->out += room - s->avail_out;
	io->out_room -= room - s->avail_out;
	g->length += room - s->avail_out;
	*ret = rc < 0 ? INFLATE_WRONG : s->block_state != ISAL_BLOCK_FINISH ? INFLATE_GOING : INFLATE_DONE;
	if (*ret != INFLATE_DONE)
		return true;
	g->checksum = s->crc;
	/*
	 * Up to 64 bits of what follows have been loaded ahead. The trailer is as long, so all of them belong to it.
	 * The bits that fill up the last byte of the deflate data come first.
	 */
	n_bytes = (unsigned)s->read_in_length / 8;
	bits = s->read_in >> ((unsigned)s->read_in_length % 8);
	assert(n_bytes <= TRAILER_SIZE);
	for (unsigned i = 0; i < n_bytes; i++, bits >>= 8)
		g->field[g->n_field++] = (unsigned char)bits;
	return true;
}

/* The last member, 64 KiB, is a buffer of which only so much holds anything. */
static void inflate_copy(struct inflate_state *to, const struct inflate_state *from)
{
	memcpy(to, from, offsetof(struct inflate_state, tmp_out_buffer) + (size_t)from->tmp_out_valid);
}

/*
 * When ISA-L meets damage, what it has written just before depends on how much input it could see. So that the same
 * archive gives the same bytes in any reading, such a step is taken back and taken again a byte at a time.
 */
static enum inflate_result inflate_step(struct gunzip *g, struct unpack_io *io)
{
	enum inflate_result result = INFLATE_WRONG;

	if (!g->careful) {
		struct inflate_state before;

		inflate_copy(&before, &g->inflate);
		if (inflate_try(g, io, STEP_MAX, &result))
			return result;
		inflate_copy(&g->inflate, &before);
		g->careful = true;
	}
	inflate_try(g, io, 1, &result);
	return result;
}

#else

static void inflate_end_all(struct gunzip *g)
{
	inflateEnd(&g->inflate); /* harmless when nothing was begun */
}

static bool inflate_begin(struct gunzip *g)
{
	g->checksum = (uint32_t)crc32(0, NULL, 0);
	if (g->inflate.state)
		return inflateReset(&g->inflate) == Z_OK;
	return inflateInit2(&g->inflate, -MAX_WBITS) == Z_OK;
}

static enum inflate_result inflate_step(struct gunzip *g, struct unpack_io *io)
{
	uInt in_len = (uInt)(io->in.len < STEP_MAX ? io->in.len : STEP_MAX);
	uInt room = (uInt)(io->out_room < STEP_MAX ? io->out_room : STEP_MAX), n;
	int rc;

	g->inflate.next_in = (Bytef *)(uintptr_t)io->in.ptr;
	g->inflate.avail_in = in_len;
	g->inflate.next_out = (Bytef *)io->out;
	g->inflate.avail_out = room;
	rc = inflate(&g->inflate, Z_NO_FLUSH);
	n = room - g->inflate.avail_out;
	g->checksum = (uint32_t)crc32(g->checksum, (const Bytef *)io->out, n);
	g->length += n;
	io->in = span_from(io->in, in_len - g->inflate.avail_in);
	io->out += n;
	io->out_room -= n;
	switch (rc) {
	case Z_OK:
	case Z_BUF_ERROR: /* no progress was possible: not an error here */
		return INFLATE_GOING;
	case Z_STREAM_END:
		return INFLATE_DONE;
	case Z_MEM_ERROR:
		return INFLATE_NO_MEMORY;
	default: /* Z_DATA_ERROR, Z_NEED_DICT: an int of another library, no enum of ours */
		return INFLATE_WRONG;
	}
}

/* zlib hands out everything before it reports damage. */
static void take_stranded(struct gunzip *g, struct unpack_io *io)
{
	(void)g;
	(void)io;
}

#endif

struct gunzip *gunzip_new(void)
{
	struct gunzip *g = xcalloc(1, sizeof *g);

	g->header_checksum = (uint32_t)crc32(0, NULL, 0);
	return g;
}

void gunzip_free(struct gunzip *g)
{
	if (!g)
		return;
	inflate_end_all(g);
	free(g);
}

static enum gunzip_stage damaged(struct gunzip *g, const char *problem)
{
	g->problem = problem;
	return STAGE_DAMAGED;
}

/* The stage after `stage` in a header: the first part that its flags announce, else the data. */
static enum gunzip_stage header_next(struct gunzip *g, enum gunzip_stage stage)
{
	g->n_field = 0;
	if (stage < STAGE_EXTRA_LENGTH && g->flags & FLAG_EXTRA)
		return STAGE_EXTRA_LENGTH;
	if (stage < STAGE_NAME && g->flags & FLAG_NAME)
		return STAGE_NAME;
	if (stage < STAGE_COMMENT && g->flags & FLAG_COMMENT)
		return STAGE_COMMENT;
	if (stage < STAGE_HEADER_CHECK && g->flags & FLAG_HEADER_CHECK)
		return STAGE_HEADER_CHECK;
	g->length = 0;
	if (!inflate_begin(g))
		return damaged(g, "there is not enough memory to unpack it");
	return STAGE_BODY;
}

static uint32_t little_endian_32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum gunzip_stage fixed_header(struct gunzip *g)
{
	if (g->field[0] != 0x1f || g->field[1] != 0x8b)
		return damaged(g, "what follows a member is no gzip member");
	if (g->field[2] != METHOD_DEFLATE)
		return damaged(g, "a gzip header names an unknown compression method");
	g->flags = g->field[3];
	if (g->flags & FLAGS_RESERVED)
		return damaged(g, "a gzip header has unknown flags");
	return header_next(g, STAGE_FIXED);
}

/* One byte of a header, a trailer, or what is between members. */
static enum gunzip_stage wrapper_byte(struct gunzip *g, unsigned char c)
{
	if (g->stage < STAGE_HEADER_CHECK)
		g->header_checksum = (uint32_t)crc32(g->header_checksum, &c, 1);
	switch (g->stage) {
	case STAGE_FIXED:
		g->field[g->n_field++] = c;
		/* The second byte tells a member from garbage; the first one has been looked at before it came here. */
		if (g->n_field == 2 && c != 0x8b)
			return STAGE_GARBAGE;
		return g->n_field < FIXED_SIZE ? STAGE_FIXED : fixed_header(g);
	case STAGE_EXTRA_LENGTH:
		g->field[g->n_field++] = c;
		if (g->n_field < 2)
			return STAGE_EXTRA_LENGTH;
		g->n_extra = g->field[0] | (size_t)g->field[1] << 8;
		return g->n_extra ? STAGE_EXTRA : header_next(g, STAGE_EXTRA);
	case STAGE_EXTRA:
		return --g->n_extra ? STAGE_EXTRA : header_next(g, STAGE_EXTRA);
	case STAGE_NAME:
	case STAGE_COMMENT:
		return c ? g->stage : header_next(g, g->stage);
	case STAGE_HEADER_CHECK:
		g->field[g->n_field++] = c;
		if (g->n_field < 2)
			return STAGE_HEADER_CHECK;
		if ((g->header_checksum & 0xffff) != (g->field[0] | (uint32_t)g->field[1] << 8))
			return damaged(g, "a gzip header does not match its checksum");
		return header_next(g, STAGE_HEADER_CHECK);
	case STAGE_TRAILER:
		g->field[g->n_field++] = c;
		return STAGE_TRAILER;
	case STAGE_BETWEEN:
		if (c == 0)
			return STAGE_PADDING;
		if (c != 0x1f)
			return STAGE_GARBAGE;
		g->field[0] = c;
		g->n_field = 1;
		g->header_checksum = (uint32_t)crc32(crc32(0, NULL, 0), &c, 1);
		return STAGE_FIXED;
	case STAGE_PADDING:
		return c ? STAGE_GARBAGE : STAGE_PADDING;
	case STAGE_BODY:
	case STAGE_GARBAGE:
	case STAGE_DAMAGED:
		break;
	}
	assert(!"a stage that takes no single bytes");
	return g->stage;
}

static enum gunzip_stage trailer(struct gunzip *g)
{
	g->n_field = 0;
	if (little_endian_32(g->field) != g->checksum)
		return damaged(g, "the data of a member do not match their checksum");
	if (little_endian_32(g->field + 4) != g->length)
		return damaged(g, "the data of a member do not have the length written behind them");
	return STAGE_BETWEEN;
}

static enum gunzip_stage body(struct gunzip *g, struct unpack_io *io)
{
	switch (inflate_step(g, io)) {
	case INFLATE_GOING:
		return STAGE_BODY;
	case INFLATE_DONE:
		return STAGE_TRAILER;
	case INFLATE_WRONG:
		return damaged(g, "the data are damaged");
	case INFLATE_NO_MEMORY:
		break;
	}
	return damaged(g, "there is not enough memory to unpack it");
}

enum unpack_result gunzip_step(struct gunzip *g, struct unpack_io *io, const char **ret_problem, const char **ret_warning)
{
	const char *out_before = io->out;

	for (;;) {
		if (g->stage == STAGE_TRAILER && g->n_field == TRAILER_SIZE)
			g->stage = trailer(g);
		if (g->stage == STAGE_DAMAGED && io->out_room)
			take_stranded(g, io);
		if (io->out != out_before)
			return UNPACK_OUTPUT;
		if (g->stage == STAGE_DAMAGED) {
			*ret_problem = g->problem;
			return UNPACK_DAMAGED;
		}
		if (g->stage == STAGE_GARBAGE) {
			*ret_warning = "garbage behind the end of the archive was ignored";
			return UNPACK_END;
		}
		if (g->stage == STAGE_BODY) {
			size_t in_before = io->in.len;

			g->stage = body(g, io);
			if (g->stage != STAGE_BODY || io->out != out_before || io->in.len != in_before)
				continue;
			if (io->in.len) {
				g->stage = damaged(g, "the data are damaged");
				continue;
			}
		} else if (io->in.len) {
			g->stage = wrapper_byte(g, (unsigned char)*io->in.ptr);
			io->in = span_from(io->in, 1);
			continue;
		}
		if (!io->in_last)
			return UNPACK_HUNGRY;
		if (g->stage == STAGE_BETWEEN || g->stage == STAGE_PADDING)
			return UNPACK_END;
		g->stage = damaged(g, "the archive ends in the middle of a member");
	}
}
