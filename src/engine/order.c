/*
 * A binary heap of event copies. Each copy is one block of memory: header, matched rules, values, bytes; blocks are
 * reused, so that a long run allocates no more than the peak of what is held back at once.
 */
#include "engine/order.h"

#include "base/memory.h"
#include "record/source.h"

#include <stdlib.h>

struct held_value {
	uint32_t offset, len;
	field_id field;
	uint8_t kind;
};

struct held_event {
	int64_t order_ns;
	uint32_t rank;
	const char *stream_name;
	uint64_t sequence;
	size_t size; /* of the block */
	struct held_event *next_free;

	enum event_kind kind;
	int64_t time_ns, snapshot_ns;
	bool snapshot_complete;
	const struct source *source;
	struct origin origin;
	uint32_t n_matched, n_values, raw_offset, raw_len;
	/* then n_matched × uint32_t, n_values × struct held_value, bytes */
};

static uint32_t *held_matched(const struct held_event *h)
{
	return (uint32_t *)(uintptr_t)(h + 1);
}

static struct held_value *held_values(const struct held_event *h)
{
	return (struct held_value *)(void *)(held_matched(h) + h->n_matched);
}

static char *held_bytes(const struct held_event *h)
{
	return (char *)(held_values(h) + h->n_values);
}

static bool goes_before(const struct held_event *a, const struct held_event *b)
{
	if (a->order_ns != b->order_ns)
		return a->order_ns < b->order_ns;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->stream_name != b->stream_name) {
		int c = strcmp(a->stream_name, b->stream_name);
		if (c)
			return c < 0;
	}
	return a->sequence < b->sequence;
}

void order_release(struct order *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->heap[i]);
	while (o->free_list) {
		struct held_event *h = o->free_list;
		o->free_list = h->next_free;
		free(h);
	}
	free(o->heap);
	*o = (struct order){ 0 };
}

static struct held_event *block_get(struct order *o, size_t size)
{
	struct held_event *h = o->free_list;

	if (h && h->size >= size) {
		o->free_list = h->next_free;
		return h;
	}
	size = (size + 511) & ~(size_t)511;
	if (h) { /* too small: let it grow for the next */
		o->free_list = h->next_free;
		free(h);
	}
	h = xmalloc(size);
	h->size = size;
	return h;
}

void order_push(struct order *o, const struct event *e, int64_t order_ns, const char *stream_name, uint64_t sequence,
		const uint32_t *matched, size_t n_matched)
{
	size_t bytes = e->raw.len;
	for (size_t i = 0; i < e->n_values; i++)
		bytes += e->values[i].text.len;
	struct held_event *h = block_get(o, sizeof *h + n_matched * sizeof(uint32_t) + e->n_values * sizeof(struct held_value) + bytes);

	h->order_ns = order_ns;
	h->rank = e->source->rank;
	h->stream_name = stream_name;
	h->sequence = sequence;
	h->kind = e->kind;
	h->time_ns = e->time_ns;
	h->snapshot_ns = e->snapshot_ns;
	h->snapshot_complete = e->snapshot_complete;
	h->source = e->source;
	h->origin = e->origin;
	h->n_matched = (uint32_t)n_matched;
	h->n_values = (uint32_t)e->n_values;
	if (n_matched)
		memcpy(held_matched(h), matched, n_matched * sizeof *matched);
	struct held_value *values = held_values(h);
	char *to = held_bytes(h);
	uint32_t at = (uint32_t)e->raw.len;
	if (e->raw.len)
		memcpy(to, e->raw.ptr, e->raw.len);
	h->raw_offset = 0;
	h->raw_len = at;
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		/* Most values are parts of the record: they need no copy of their own. */
		if (v->text.len && v->text.ptr >= e->raw.ptr && v->text.ptr + v->text.len <= e->raw.ptr + e->raw.len) {
			values[i] = (struct held_value){ (uint32_t)(v->text.ptr - e->raw.ptr), (uint32_t)v->text.len, v->field, v->kind };
			continue;
		}
		values[i] = (struct held_value){ at, (uint32_t)v->text.len, v->field, v->kind };
		if (v->text.len)
			memcpy(to + at, v->text.ptr, v->text.len);
		at += (uint32_t)v->text.len;
	}

	ARRAY_GROW(o->heap, o->n, o->cap);
	size_t i = o->n++;
	if (o->n > o->peak)
		o->peak = o->n;
	while (i > 0 && goes_before(h, o->heap[(i - 1) / 2])) {
		o->heap[i] = o->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	o->heap[i] = h;
}

int64_t order_first(const struct order *o)
{
	return o->n ? o->heap[0]->order_ns : TIME_NONE;
}

int64_t order_pop(struct order *o, struct event *e, const uint32_t **ret_matched, size_t *ret_n_matched)
{
	struct held_event *h = o->heap[0], *last = o->heap[--o->n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= o->n)
			break;
		if (child + 1 < o->n && goes_before(o->heap[child + 1], o->heap[child]))
			child++;
		if (!goes_before(o->heap[child], last))
			break;
		o->heap[i] = o->heap[child];
		i = child;
	}
	if (o->n)
		o->heap[i] = last;

	event_reset(e);
	e->kind = h->kind;
	e->time_ns = h->time_ns;
	e->snapshot_ns = h->snapshot_ns;
	e->snapshot_complete = h->snapshot_complete;
	e->source = h->source;
	e->origin = h->origin;
	const char *bytes = held_bytes(h);
	e->raw = span_of(bytes + h->raw_offset, h->raw_len);
	const struct held_value *values = held_values(h);
	for (uint32_t v = 0; v < h->n_values; v++)
		event_add(e, values[v].field, span_of(bytes + values[v].offset, values[v].len), values[v].kind);
	*ret_matched = held_matched(h);
	*ret_n_matched = h->n_matched;
	h->next_free = o->free_list;
	o->free_list = h;
	return h->order_ns;
}
