/*
 * Sliding windows of event time, half open: (now − W, now]. A ring of entries in time order; what a
 * correlation needs of them all (distinct values, sum, numbers in order) is kept up to date as they come and go, so that an event costs
 * amortised constant time. Only small windows are looked at whole, for percentiles, minima and maxima.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

/* The least count that the bounds allow; 0 where they set none. */
static double least_count(const struct correlation *k)
{
	double least = 0;

	for (uint32_t i = 0; i < k->n_bounds; i++) {
		enum bound_op op = k->bounds[i].op;
		double v = op == BOUND_GT ? floor(k->bounds[i].value) + 1 : op == BOUND_GTE || op == BOUND_EQ ? k->bounds[i].value : 0;
		if (v > least)
			least = v;
	}
	return least;
}

void entry_layout(struct engine *en, uint32_t rule)
{
	const struct correlation *k = en->rules->rules[rule].correlation;
	struct rule_state *s = &en->states[rule];
	bool distinct = false, counts = false, number = false;
	size_t at = sizeof(struct entry);

	s->entry_size = s->entry_len = 0;
	if (!k)
		return;
	switch (k->type) {
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
	case CORRELATION_SUSTAINED:
		return; /* no windows */
	case CORRELATION_EVENT_COUNT:
		counts = true;
		break;
	case CORRELATION_VALUE_COUNT:
		counts = distinct = true;
		break;
	case CORRELATION_CONCURRENT:
		distinct = true;
		break;
	case CORRELATION_VALUE_SUM:
	case CORRELATION_VALUE_AVG:
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MIN:
	case CORRELATION_VALUE_MAX:
		number = true;
		break;
	}
	s->number_at = number ? (uint8_t)at : 0;
	at += number ? sizeof(double) : 0;
	s->kept_at = s->keeps ? (uint8_t)at : 0;
	at += s->keeps ? sizeof(struct kept *) : 0;
	s->value_at = distinct ? (uint8_t)at : 0;
	at += distinct ? sizeof(string_id) : 0;
	s->tops_at = s->n_tops ? (uint8_t)at : 0;
	at += s->n_tops * sizeof(string_id);
	s->entry_len = (uint32_t)at;
	s->entry_size = (s->entry_len + 7) & ~7u;
	/*
	 * Each event adds one at most. An event is shown only where the condition comes true while it is among the newest ten: not, where that takes ten
	 * more. (Of more than ten events of a key that come late together, ones that were there before are shown without.)
	 */
	double least = counts && !traced(en, rule) ? least_count(k) - (EVIDENCE_LIMIT - 1) : 0;
	s->keeps_from = least <= 1 ? 0 : least < WINDOW_LIMIT ? (uint32_t)ceil(least) : WINDOW_LIMIT;
}

static void ring_free(struct cell *c, uint32_t entry_size)
{
	if (c->window.ring != c->room)
		slab_free(c->window.ring, (size_t)c->window.cap * entry_size);
}

static void window_grow(struct engine *en, struct cell *c, uint32_t entry_size, uint32_t entry_len)
{
	struct window *w = &c->window;
	char *ring = slab_alloc(&en->slab, (size_t)w->cap * 2 * entry_size);

	for (uint32_t i = 0; i < w->n; i++)
		memcpy(ring + (size_t)i * entry_size, window_at(w, entry_size, i), entry_len);
	ring_free(c, entry_size);
	w->ring = ring;
	w->cap *= 2;
	w->head = 0;
}

/* Windows of so many numbers have them in order besides. */
#define SORTED_FROM 32

static void numbers_release(struct cell_state *state)
{
	if (state->sorted)
		sorted_release(state->sorted);
	free(state->sorted);
	state->sorted = NULL;
}

static inline void drop_oldest(struct engine *en, struct cell *c)
{
	struct rule_state *s = &en->states[c->rule];
	struct window *w = &c->window;
	struct entry *e = window_at(w, s->entry_size, 0);

	if (s->kept_at)
		kept_unref(*entry_kept(s, e));
	if (s->value_at && *entry_value(s, e)) {
		tally_remove(&c->state->distinct, &en->strings, *entry_value(s, e));
		strings_unref(&en->strings, *entry_value(s, e));
	}
	const string_id *tops = entry_tops(s, e);
	for (uint32_t i = 0; i < s->n_tops; i++)
		strings_unref(&en->strings, tops[i]);
	w->head = (w->head + 1) & (w->cap - 1);
	w->n--;
	if (s->number_at) { /* rounding errors do not live longer than the window */
		c->state->sum = w->n ? c->state->sum - *entry_number(s, e) : 0;
		if (c->state->sorted)
			sorted_remove(c->state->sorted, *entry_number(s, e));
		if (c->state->sorted && w->n <= SORTED_FROM / 2)
			numbers_release(c->state);
	}
}

struct entry *window_append(struct engine *en, struct cell *c)
{
	const struct rule_state *s = &en->states[c->rule];

	if (c->window.n == c->window.cap)
		window_grow(en, c, s->entry_size, s->entry_len);
	struct entry *e = window_at(&c->window, s->entry_size, c->window.n++);
	memset(e, 0, s->entry_len);
	return e;
}

void window_add(struct engine *en, struct cell *c, struct occurrence *o, double number, string_id value)
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
		window_grow(en, c, s->entry_size, s->entry_len);
	uint32_t at = w->n++;
	while (at > 0 && window_at(w, s->entry_size, at - 1)->time_ns > o->time_ns) {
		memcpy(window_at(w, s->entry_size, at), window_at(w, s->entry_size, at - 1), s->entry_len);
		at--;
	}
	struct entry *e = window_at(w, s->entry_size, at);
	e->time_ns = o->time_ns;
	if (s->number_at) {
		*entry_number(s, e) = number;
		c->state->sum += number;
		if (c->state->sorted)
			sorted_add(c->state->sorted, number);
	}
	if (s->value_at) {
		*entry_value(s, e) = value;
		tally_add(&c->state->distinct, &en->strings, value);
	}
	string_id *tops = entry_tops(s, e);
	for (uint32_t i = 0; i < s->n_tops; i++)
		tops[i] = occurrence_value(en, o, en->rules->top_fields[i]);
	if (!s->kept_at)
		return;
	bool keep = (s->value_at ? c->state->distinct.n_distinct : w->n) >= s->keeps_from;
	*entry_kept(s, e) = keep ? kept_ref(occurrence_keep(en, o)) : NULL;
	/* Only the newest few are shown as evidence: older ones are only counted. */
	uint32_t n_kept = traced(en, c->rule) ? TRACE_KEPT_LIMIT : EVIDENCE_LIMIT;
	if (w->n > n_kept) {
		struct kept **old = entry_kept(s, window_at(w, s->entry_size, w->n - 1 - n_kept));
		kept_unref(*old);
		*old = NULL;
	}
}

void window_drop_expired(struct engine *en, struct cell *c, int64_t timespan_ns)
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
	if (c->state) {
		tally_release(&c->state->distinct, &en->strings);
		numbers_release(c->state);
	}
	ring_free(c, en->states[c->rule].entry_size);
	c->window = (struct window){ .ring = c->room, .cap = 1 };
}

/* The i-th number of the window in order of size, from 0. */
static double number_at(const struct rule_state *s, const struct cell *c, uint32_t i)
{
	const struct window *w = &c->window;
	struct cell_state *state = c->state;

	if (w->n > SORTED_FROM && !state->sorted) { /* it has grown, or was loaded */
		state->sorted = xcalloc(1, sizeof *state->sorted);
		for (uint32_t k = 0; k < w->n; k++)
			sorted_add(state->sorted, *entry_number(s, window_at(w, s->entry_size, k)));
	}
	if (state->sorted)
		return sorted_at(state->sorted, i);

	double all[SORTED_FROM];
	for (uint32_t k = 0; k < w->n; k++) {
		double v = *entry_number(s, window_at(w, s->entry_size, k)) + 0.0; /* of −0 that makes 0 */
		uint32_t at = k;
		for (; at > 0 && all[at - 1] > v; at--)
			all[at] = all[at - 1];
		all[at] = v;
	}
	return all[i];
}

/* Nearest rank: the smallest value such that at least p % of all are not greater. */
static uint32_t percentile_place(double p, uint32_t n)
{
	double rank = ceil(p / 100 * n);

	return rank < 1 ? 0 : (uint32_t)rank - 1;
}

double window_value(const struct engine *en, const struct cell *c, const struct correlation *k)
{
	const struct window *w = &c->window;
	const struct rule_state *s = &en->states[c->rule];

	switch (k->type) {
	case CORRELATION_VALUE_COUNT:
		return c->state->distinct.n_distinct;
	case CORRELATION_VALUE_SUM:
		return c->state->sum;
	case CORRELATION_VALUE_AVG:
		return w->n ? c->state->sum / w->n : 0;
	case CORRELATION_VALUE_PERCENTILE:
		return w->n ? number_at(s, c, percentile_place(k->percentile, w->n)) : 0;
	case CORRELATION_VALUE_MIN:
		return w->n ? number_at(s, c, 0) : 0;
	case CORRELATION_VALUE_MAX:
		return w->n ? number_at(s, c, w->n - 1) : 0;
	case CORRELATION_EVENT_COUNT:
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
	case CORRELATION_SUSTAINED:
	case CORRELATION_CONCURRENT:
		break;
	}
	return w->n;
}
