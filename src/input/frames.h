/*
 * frames.h: a zstd archive of many frames, unpacked by several workers at once. Whoever reads the archive cuts it into portions, each of whole frames
 * (frames_cut()), and gives them in their order; what they hold is taken in the same order. What comes out, damage included, is what one unpacker would
 * have made of all of them: a frame knows nothing of the one before. Internal to input/.
 *
 * Memory is bounded: four portions are under way, each of which unpacks to 2 MiB at most, or to what its headers say where that is less; one that
 * turns out to be larger waits until it is the first, and is then unpacked as it is read.
 */
#ifndef TOCSIN_INPUT_FRAMES_H
#define TOCSIN_INPUT_FRAMES_H

#include "base/block.h"
#include "base/workers.h"

/* Frames that take more than this packed, or FRAMES_CONTENT_MAX unpacked, are no matter for this. */
#define FRAMES_INPUT_MAX ((size_t)1 << 20)
#define FRAMES_CONTENT_MAX ((size_t)2 << 20)

struct frames;

/* w and pool outlive it. */
struct frames *frames_new(struct workers *w, struct block_pool *pool);
void frames_free(struct frames *f);
/*
 * The bytes at the front of `in` that make a portion: whole frames, the skippable ones too. 0: there is none, because the first frame is not whole, or
 * too large, or no frame. *ret_content: what it is expected to unpack to.
 */
size_t frames_cut(struct span in, size_t *ret_content);
/* May another portion be given? */
bool frames_has_room(const struct frames *f);
/* Copies it. */
void frames_give(struct frames *f, struct span portion, size_t content);

enum frames_result {
	FRAMES_BYTES,   /* something was put behind the bytes in the block */
	FRAMES_NONE,    /* all that was given is used up */
	FRAMES_DAMAGED, /* as UNPACK_DAMAGED; again and again */
};
enum frames_result frames_take(struct frames *f, struct block *to);
/* Of the damage. */
const char *frames_problem(const struct frames *f);
const char *frames_problem_hint(const struct frames *f);

#endif
