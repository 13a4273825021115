/*
 * frames.c: decides which frames go together, and in whose hands a portion is. Invariants: the portions under way are in the order of the archive; one is
 * its worker's until its job is done, then the reader's. What zstd says of a frame's length and content is a guess that costs time when it is wrong,
 * never a byte.
 */
#include "input/frames.h"
#include "base/memory.h"
#include "input/unpack.h"

#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#define PORTION_BYTES ((size_t)1 << 20) /* small frames go together until they unpack to this */
#define PORTIONS 4
#define PIECE_BYTES ((size_t)256 << 10)
#define PIECES ((FRAMES_CONTENT_MAX + PORTION_BYTES) / PIECE_BYTES + 1)
/* Where a header does not say what a frame unpacks to. */
#define CONTENT_RATIO 16

struct portion {
	struct job job;
	struct block_pool *pool;
	struct block in;        /* packed */
	struct span rest;       /* of `in`: not unpacked yet */
	size_t content;
	struct unpack *unpack;  /* kept from portion to portion, for its memory */
	struct block pieces[PIECES];
	size_t n_pieces, n_taken;
	enum unpack_result result; /* UNPACK_OUTPUT: there is more than fits */
};

struct frames {
	struct workers *workers;
	struct block_pool *pool;
	struct portion portions[PORTIONS]; /* a ring */
	size_t first, n;
};

struct frames *frames_new(struct workers *w, struct block_pool *pool)
{
	struct frames *f = xcalloc(1, sizeof *f);

	f->workers = w;
	f->pool = pool;
	return f;
}

void frames_free(struct frames *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		workers_wait(f->workers, &f->portions[(f->first + i) % PORTIONS].job);
	for (size_t i = 0; i < PORTIONS; i++) {
		struct portion *p = &f->portions[i];

		for (size_t k = 0; k < PIECES; k++)
			block_pool_give(f->pool, &p->pieces[k]);
		block_release(&p->in);
		unpack_free(p->unpack);
	}
	free(f);
}

/* The length of the frame at the front of `in`; 0: it is not whole, or none. *ret_content: what it unpacks to, about. */
static size_t frame_length(struct span in, size_t *ret_content)
{
	bool undecided;

	if (compression_recognise(in, &undecided) != COMPRESSION_ZSTD)
		return 0;
	size_t len = ZSTD_findFrameCompressedSize(in.ptr, in.len);
	if (ZSTD_isError(len) || len == 0 || len > in.len)
		return 0;
	unsigned long long content = ZSTD_getFrameContentSize(in.ptr, len);
	if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN)
		content = len * CONTENT_RATIO < FRAMES_CONTENT_MAX ? len * CONTENT_RATIO : FRAMES_CONTENT_MAX;
	*ret_content = content > FRAMES_CONTENT_MAX ? SIZE_MAX : (size_t)content;
	return len;
}

size_t frames_cut(struct span in, size_t *ret_content)
{
	size_t used = 0, content, len;

	*ret_content = 0;
	while (used < in.len && *ret_content < PORTION_BYTES && (len = frame_length(span_from(in, used), &content)) > 0) {
		if (content > FRAMES_CONTENT_MAX || used + len > FRAMES_INPUT_MAX || (used && *ret_content + content > FRAMES_CONTENT_MAX))
			break;
		used += len;
		*ret_content += content;
	}
	return used;
}

bool frames_has_room(const struct frames *f)
{
	return f->n < PORTIONS;
}

/* Fills one piece, which is empty. */
static void piece_fill(struct portion *p, struct block *b)
{
	*b = block_pool_take(p->pool, PIECE_BYTES);

	struct unpack_io io = { p->rest, true, block_room(b, PIECE_BYTES), PIECE_BYTES };
	do
		p->result = unpack_step(p->unpack, &io);
	while (p->result == UNPACK_OUTPUT && io.out_room > 0);
	block_grow(b, PIECE_BYTES - io.out_room);
	p->rest = io.in;
}

/* By a worker. */
static void portion_unpack(void *context)
{
	struct portion *p = context;
	size_t most = p->content / PIECE_BYTES + 1;

	while (p->n_pieces < most && p->result == UNPACK_OUTPUT) {
		struct block *b = &p->pieces[p->n_pieces];

		piece_fill(p, b);
		if (b->len)
			p->n_pieces++;
		else
			block_pool_give(p->pool, b);
	}
}

void frames_give(struct frames *f, struct span portion, size_t content)
{
	struct portion *p = &f->portions[(f->first + f->n) % PORTIONS];

	assert(f->n < PORTIONS && content / PIECE_BYTES < PIECES);
	block_clear(&p->in);
	block_append(&p->in, portion);
	p->pool = f->pool;
	p->rest = block_span(&p->in);
	p->content = content;
	p->n_pieces = p->n_taken = 0;
	p->result = UNPACK_OUTPUT;
	if (p->unpack)
		unpack_again(p->unpack);
	else
		p->unpack = unpack_new(COMPRESSION_ZSTD);
	p->job = (struct job){ .run = portion_unpack, .context = p };
	f->n++;
	workers_start(f->workers, &p->job);
}

enum frames_result frames_take(struct frames *f, struct block *to)
{
	while (f->n) {
		struct portion *p = &f->portions[f->first];
		size_t before = to->len;

		workers_wait(f->workers, &p->job);
		struct block piece = BLOCK_INIT;
		if (p->n_taken < p->n_pieces)
			block_exchange(&piece, &p->pieces[p->n_taken++]);
		else if (p->result == UNPACK_OUTPUT)
			piece_fill(p, &piece);
		block_take(to, &piece);
		block_pool_give(f->pool, &piece);
		if (to->len > before)
			return FRAMES_BYTES;
		if (p->result == UNPACK_DAMAGED)
			return FRAMES_DAMAGED;
		assert(p->result == UNPACK_END);
		f->first = (f->first + 1) % PORTIONS;
		f->n--;
	}
	return FRAMES_NONE;
}

const char *frames_problem(const struct frames *f)
{
	return unpack_problem(f->portions[f->first].unpack);
}

const char *frames_problem_hint(const struct frames *f)
{
	return unpack_problem_hint(f->portions[f->first].unpack);
}
