/*
 * Sliding windows of event time, half open: (now − W, now]. A ring of entries in time order; what a
 * correlation needs of them all (distinct values, sum) is kept up to date as they come and go, so that an event costs
 * amortised constant time, but for percentiles, minima and maxima, which look at the whole window.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

struct entry *window_at(const struct window *w, uint32_t entry_size, uint32_t i)
{
	return (struct entry *)(void *)(w->ring + (size_t)((w->head + i) & (w->cap - 1)) * entry_size);
}

static void window_grow(struct window *w, uint32_t entry_size)
{
	uint32_t cap = w->cap ? w->cap * 2 : 1;
	char *ring = xmalloc((size_t)cap * entry_size);

	for (uint32_t i = 0; i < w->n; i++)
		memcpy(ring + (size_t)i * entry_size, window_at(w, entry_size, i), entry_size);
	free(w->ring);
	w->ring = ring;
	w->cap = cap;
	w->head = 0;
}

static void drop_oldest(struct engine *en, struct cell *c)
{
	struct rule_state *s = &en->states[c->rule];
	struct window *w = &c->window;
	struct entry *e = window_at(w, s->entry_size, 0);

	kept_unref(e->kept);
	if (e->value) {
		tally_remove(&w->distinct, &en->strings, e->value);
		strings_unref(&en->strings, e->value);
	}
	w->sum -= e->number;
	for (uint32_t i = 0; i < s->n_tops; i++)
		strings_unref(&en->strings, e->tops[i]);
	w->head = (w->head + 1) & (w->cap - 1);
	if (--w->n == 0)
		w->sum = 0; /* rounding errors do not live longer than the window */
}

struct entry *window_append(struct engine *en, struct cell *c)
{
	uint32_t size = en->states[c->rule].entry_size;

	if (c->window.n == c->window.cap)
		window_grow(&c->window, size);
	struct entry *e = window_at(&c->window, size, c->window.n++);
	memset(e, 0, size);
	return e;
}

void window_add(struct engine *en, struct cell *c, struct occurrence *o, double number, struct span value, struct kept *kept)
{
	struct rule_state *s = &en->states[c->rule];
	struct window *w = &c->window;

	if (w->n == WINDOW_LIMIT) {
		if (traced(en, c->rule))
			trace_tell_left(en, c, window_at(w, s->entry_size, 0), en->now_ns, true);
		drop_oldest(en, c);
		en->stats.window_cut++;
	}
	if (w->n == w->cap)
		window_grow(w, s->entry_size);
	uint32_t at = w->n++;
	while (at > 0 && window_at(w, s->entry_size, at - 1)->time_ns > o->time_ns) {
		memcpy(window_at(w, s->entry_size, at), window_at(w, s->entry_size, at - 1), s->entry_size);
		at--;
	}
	struct entry *e = window_at(w, s->entry_size, at);
	e->time_ns = o->time_ns;
	e->number = number;
	e->kept = kept_ref(kept);
	e->value = 0;
	e->padding = 0;
	w->sum += number;
	if (value.ptr) {
		e->value = strings_get(&en->strings, value);
		tally_add(&w->distinct, &en->strings, e->value);
	}
	for (uint32_t i = 0; i < s->n_tops; i++) {
		struct span v = occurrence_field(o, en->rules->top_fields[i]);
		e->tops[i] = v.len ? strings_get(&en->strings, v) : 0;
	}
	/* Only the newest few are shown as evidence: older ones are only counted. */
	uint32_t n_kept = traced(en, c->rule) ? TRACE_KEPT_LIMIT : EVIDENCE_LIMIT;
	if (kept && w->n > n_kept) {
		struct entry *old = window_at(w, s->entry_size, w->n - 1 - n_kept);
		kept_unref(old->kept);
		old->kept = NULL;
	}
}

void window_expire(struct engine *en, struct cell *c, int64_t timespan_ns)
{
	struct window *w = &c->window;
	uint32_t size = en->states[c->rule].entry_size;

	while (w->n && window_at(w, size, 0)->time_ns <= en->now_ns - timespan_ns) {
		if (traced(en, c->rule))
			trace_tell_left(en, c, window_at(w, size, 0), window_at(w, size, 0)->time_ns + timespan_ns, false);
		drop_oldest(en, c);
	}
}

void window_release(struct engine *en, struct cell *c)
{
	while (c->window.n)
		drop_oldest(en, c);
	tally_release(&c->window.distinct, &en->strings);
	free(c->window.ring);
	c->window = (struct window){ 0 };
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Nearest rank: the smallest value such that at least p % of all are not greater. */
static double window_percentile(const struct window *w, uint32_t size, double p)
{
	double *all = xmalloc(w->n * sizeof *all);
	for (uint32_t i = 0; i < w->n; i++)
		all[i] = window_at(w, size, i)->number;
	qsort(all, w->n, sizeof *all, compare_doubles);
	double rank = ceil(p / 100 * w->n);
	double value = all[rank < 1 ? 0 : (uint32_t)rank - 1];
	free(all);
	return value;
}

double window_value(const struct engine *en, const struct cell *c, const struct correlation *k)
{
	const struct window *w = &c->window;
	uint32_t size = en->states[c->rule].entry_size;
	double value;

	switch (k->type) {
	case CORRELATION_VALUE_COUNT:
		return w->distinct.n_distinct;
	case CORRELATION_VALUE_SUM:
		return w->sum;
	case CORRELATION_VALUE_AVG:
		return w->n ? w->sum / w->n : 0;
	case CORRELATION_VALUE_PERCENTILE:
		return w->n ? window_percentile(w, size, k->percentile) : 0;
	case CORRELATION_VALUE_MIN:
	case CORRELATION_VALUE_MAX:
		value = w->n ? window_at(w, size, 0)->number : 0;
		for (uint32_t i = 1; i < w->n; i++) {
			double v = window_at(w, size, i)->number;
			if (k->type == CORRELATION_VALUE_MIN ? v < value : v > value)
				value = v;
		}
		return value;
	case CORRELATION_EVENT_COUNT:
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
	case CORRELATION_SUSTAINED:
	case CORRELATION_CONCURRENT:
		break;
	}
	return w->n;
}
