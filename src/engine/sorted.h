/*
 * sorted.h: numbers in order, some of them equal, of which the n-th is asked for: what percentiles, minima and maxima of large windows are
 * told from. Adding, taking away and asking take time that hardly grows with how many there are.
 */
#ifndef TOCSIN_ENGINE_SORTED_H
#define TOCSIN_ENGINE_SORTED_H

#include <stdint.h>

struct sorted_block;
struct sorted {
	struct sorted_block *blocks;
	uint32_t n_blocks, cap_blocks;
	uint32_t n; /* numbers */
};

#define SORTED_INIT { 0 }

void sorted_release(struct sorted *s);
/* value: finite. −0 is 0. */
void sorted_add(struct sorted *s, double value);
/* Takes away one that is equal; there must be one. */
void sorted_remove(struct sorted *s, double value);
/* i: from 0, below n. */
double sorted_at(const struct sorted *s, uint32_t i);

#endif
