/*
 * places.h: numbers of this run (rules, fields, strings) as places in a table that a checkpoint carries, from 1 in the order in which they are
 * met; 0: none. So a checkpoint holds each name once, and no number that means something else in another run.
 */
#ifndef TOCSIN_ENGINE_PLACES_H
#define TOCSIN_ENGINE_PLACES_H

#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>

struct places {
	uint32_t *of;    /* by id; 0: not met */
	uint32_t *order; /* by place − 1: ids */
	uint32_t n;
};

/* ids: below n_ids. */
static inline void places_init(struct places *p, size_t n_ids)
{
	p->of = xcalloc(n_ids + 1, sizeof *p->of);
	p->order = xcalloc(n_ids + 1, sizeof *p->order);
	p->n = 0;
}

static inline void places_release(struct places *p)
{
	free(p->of);
	free(p->order);
}

static inline void places_meet(struct places *p, uint32_t id)
{
	if (p->of[id])
		return;
	p->order[p->n++] = id;
	p->of[id] = p->n;
}

#endif
