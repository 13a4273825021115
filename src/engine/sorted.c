/*
 * Blocks of sorted numbers, in order. A number's block is found by bisection, its place in there, too; a full block is split, and one that gets
 * almost empty joins a neighbour, so that of two neighbours one has 128 numbers at least. The n-th is found by the blocks' counts, from the nearer end: of the 100,000 that
 * a window holds at most that is some hundred additions, in a row in memory.
 *
 * Invariants: no block is empty; no number is greater than one that stands behind it.
 */
#include "engine/sorted.h"

#include "base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_VALUES 512

struct sorted_block {
	double last;     /* its greatest */
	double *values;  /* room for BLOCK_VALUES */
	uint32_t n;
};

void sorted_release(struct sorted *s)
{
	for (uint32_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i].values);
	free(s->blocks);
	*s = (struct sorted)SORTED_INIT;
}

/* The first block whose last number is not less; n_blocks: there is none. */
static uint32_t block_of(const struct sorted *s, double value)
{
	uint32_t low = 0, high = s->n_blocks;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (s->blocks[middle].last < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first place in the block whose number is not less. */
static uint32_t place_of(const struct sorted_block *b, double value)
{
	uint32_t low = 0, high = b->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (b->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A new block in front of the i-th, without numbers. */
static struct sorted_block *block_insert(struct sorted *s, uint32_t i)
{
	ARRAY_GROW(s->blocks, s->n_blocks, s->cap_blocks);
	memmove(&s->blocks[i + 1], &s->blocks[i], (s->n_blocks - i) * sizeof *s->blocks);
	s->n_blocks++;
	s->blocks[i] = (struct sorted_block){ .values = xmalloc(BLOCK_VALUES * sizeof(double)) };
	return &s->blocks[i];
}

static void block_delete(struct sorted *s, uint32_t i)
{
	free(s->blocks[i].values);
	s->n_blocks--;
	memmove(&s->blocks[i], &s->blocks[i + 1], (s->n_blocks - i) * sizeof *s->blocks);
}

static void block_split(struct sorted *s, uint32_t i)
{
	struct sorted_block *second = block_insert(s, i + 1), *first = &s->blocks[i];

	second->n = first->n / 2;
	first->n -= second->n;
	memcpy(second->values, first->values + first->n, second->n * sizeof(double));
	second->last = first->last;
	first->last = first->values[first->n - 1];
}

/* Puts the i-th and the one behind it together, unless there is none, or they were soon to be split again. */
static bool block_join(struct sorted *s, uint32_t i)
{
	struct sorted_block *to = &s->blocks[i], *from = to + 1;

	if (i + 1 >= s->n_blocks || to->n + from->n > BLOCK_VALUES / 2)
		return false;
	memcpy(to->values + to->n, from->values, from->n * sizeof(double));
	to->n += from->n;
	to->last = to->values[to->n - 1];
	block_delete(s, i + 1);
	return true;
}

void sorted_add(struct sorted *s, double value)
{
	value += 0.0; /* of −0 that makes 0 */
	uint32_t i = block_of(s, value);

	if (i == s->n_blocks && i > 0)
		i--; /* greater than all */
	if (s->n_blocks == 0) {
		block_insert(s, 0);
	} else if (s->blocks[i].n == BLOCK_VALUES) {
		block_split(s, i);
		if (value > s->blocks[i].last)
			i++;
	}
	struct sorted_block *b = &s->blocks[i];
	uint32_t at = place_of(b, value);
	memmove(b->values + at + 1, b->values + at, (b->n - at) * sizeof(double));
	b->values[at] = value;
	b->n++;
	b->last = b->values[b->n - 1];
	s->n++;
}

void sorted_remove(struct sorted *s, double value)
{
	value += 0.0;
	uint32_t i = block_of(s, value);
	assert(i < s->n_blocks);
	struct sorted_block *b = &s->blocks[i];
	uint32_t at = place_of(b, value);
	assert(b->values[at] == value);

	b->n--;
	s->n--;
	memmove(b->values + at, b->values + at + 1, (b->n - at) * sizeof(double));
	if (b->n)
		b->last = b->values[b->n - 1];
	if (b->n < BLOCK_VALUES / 4 && !block_join(s, i) && !(i > 0 && block_join(s, i - 1)) && b->n == 0)
		block_delete(s, i);
}

double sorted_at(const struct sorted *s, uint32_t i)
{
	const struct sorted_block *b;

	assert(i < s->n);
	if (i < s->n / 2) {
		for (b = s->blocks; i >= b->n; b++)
			i -= b->n;
		return b->values[i];
	}
	i = s->n - i; /* from behind, from 1 */
	for (b = s->blocks + s->n_blocks - 1; i > b->n; b--)
		i -= b->n;
	return b->values[b->n - i];
}
