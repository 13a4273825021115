/*
 * A binary heap of event copies. Each copy is one block of memory: header, matched rules, values, bytes; blocks are
 * reused, so that a long run allocates no more than the peak of what is held back at once.
 *
 * Saved:
 *	n rules: name, digest · n fields: name · n files: name     (referred to by place, from 1)
 *	n events, in the heap's order:
 *	  order time, stream, sequence, kind, stamp, snapshot, is it complete
 *	  file, generation, line, offset
 *	  n rules that it matched
 *	  bytes, of which the first n are the record · n values: field, kind, offset, length in bytes
 */
#include "engine/order.h"

#include "base/memory.h"
#include "engine/places.h"
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
	uint64_t agent_number; /* not saved: of this run */
	bool snapshot_complete;
	uint16_t n_parsed;
	const struct source *source;
	struct origin origin;
	uint32_t n_matched, n_values, n_bytes, raw_len;
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

static void heap_add(struct order *o, struct held_event *h)
{
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

static size_t block_size(size_t n_matched, size_t n_values, size_t n_bytes)
{
	return sizeof(struct held_event) + n_matched * sizeof(uint32_t) + n_values * sizeof(struct held_value) + n_bytes;
}

void order_push(struct order *o, const struct event *e, int64_t order_ns, const char *stream_name, uint64_t sequence,
		const uint32_t *matched, size_t n_matched)
{
	size_t bytes = e->raw.len;
	if (e->unparsed)
		event_parse(e);
	for (size_t i = 0; i < e->n_values; i++)
		bytes += e->values[i].text.len;
	struct held_event *h = block_get(o, block_size(n_matched, e->n_values, bytes));

	h->order_ns = order_ns;
	h->rank = e->source->rank;
	h->stream_name = stream_name;
	h->sequence = sequence;
	h->kind = e->kind;
	h->time_ns = e->time_ns;
	h->snapshot_ns = e->snapshot_ns;
	h->agent_number = e->agent_number;
	h->snapshot_complete = e->snapshot_complete;
	h->n_parsed = e->n_parsed;
	h->source = e->source;
	h->origin = e->origin;
	h->n_matched = (uint32_t)n_matched;
	h->n_values = (uint32_t)e->n_values;
	h->n_bytes = (uint32_t)bytes;
	if (n_matched)
		memcpy(held_matched(h), matched, n_matched * sizeof *matched);
	struct held_value *values = held_values(h);
	char *to = held_bytes(h);
	uint32_t at = (uint32_t)e->raw.len;
	if (e->raw.len)
		memcpy(to, e->raw.ptr, e->raw.len);
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

	heap_add(o, h);
}

int64_t order_first(const struct order *o)
{
	return o->n ? o->heap[0]->order_ns : TIME_NONE;
}

bool order_goes_before(const struct order *o, int64_t order_ns, const struct source *source, const char *stream_name, uint64_t sequence)
{
	if (!o->n || o->heap[0]->order_ns > order_ns)
		return false;
	struct held_event place = { .order_ns = order_ns, .rank = source->rank, .stream_name = stream_name, .sequence = sequence };
	return goes_before(o->heap[0], &place);
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
	e->n_parsed = h->n_parsed;
	e->source = h->source;
	e->origin = h->origin;
	const char *bytes = held_bytes(h);
	e->raw = span_of(bytes, h->raw_len);
	const struct held_value *values = held_values(h);
	for (uint32_t v = 0; v < h->n_values; v++)
		event_add(e, values[v].field, span_of(bytes + values[v].offset, values[v].len), values[v].kind);
	e->agent_number = h->agent_number;
	*ret_matched = held_matched(h);
	*ret_n_matched = h->n_matched;
	h->next_free = o->free_list;
	o->free_list = h;
	return h->order_ns;
}

/* ---- state ---- */

bool order_holds(const struct order *o, uint32_t stream)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->heap[i]->origin.stream == stream)
			return true;
	return false;
}

static uint32_t file_place(struct map *files, const char *file)
{
	bool is_new;
	struct map_entry *e = map_add(files, span_from_string(file ? file : ""), &is_new);

	if (is_new)
		e->value.number = files->n;
	return (uint32_t)e->value.number;
}

static void held_save(const struct held_event *h, const struct places *rules, const struct places *fields, struct map *files, struct buffer *out)
{
	codec_put_i64(out, h->order_ns);
	codec_put_u64(out, h->origin.stream);
	codec_put_u64(out, h->sequence);
	codec_put_u64(out, h->kind);
	codec_put_i64(out, h->time_ns);
	codec_put_i64(out, h->snapshot_ns);
	codec_put_u64(out, h->snapshot_complete);
	codec_put_u64(out, file_place(files, h->origin.file));
	codec_put_u64(out, h->origin.generation);
	codec_put_u64(out, h->origin.line);
	codec_put_u64(out, h->origin.offset);
	codec_put_u64(out, h->n_matched);
	for (uint32_t i = 0; i < h->n_matched; i++)
		codec_put_u64(out, rules->of[held_matched(h)[i]]);
	codec_put_span(out, span_of(held_bytes(h), h->n_bytes));
	codec_put_u64(out, h->raw_len);
	codec_put_u64(out, h->n_values);
	for (uint32_t i = 0; i < h->n_values; i++) {
		const struct held_value *v = &held_values(h)[i];
		codec_put_u64(out, fields->of[v->field]);
		codec_put_u64(out, v->kind);
		codec_put_u64(out, v->offset);
		codec_put_u64(out, v->len);
	}
}

void order_save(const struct order *o, const struct ruleset *rules, struct buffer *out)
{
	struct places rule_places, field_places;
	struct map files = MAP_INIT;

	places_init(&rule_places, rules->n_rules);
	places_init(&field_places, field_count(&rules->fields));
	for (size_t i = 0; i < o->n; i++) {
		const struct held_event *h = o->heap[i];
		file_place(&files, h->origin.file);
		for (uint32_t k = 0; k < h->n_matched; k++)
			places_meet(&rule_places, held_matched(h)[k]);
		for (uint32_t k = 0; k < h->n_values; k++)
			places_meet(&field_places, held_values(h)[k].field);
	}
	codec_put_u64(out, rule_places.n);
	for (uint32_t i = 0; i < rule_places.n; i++) {
		codec_put_span(out, span_from_string(rules->rules[rule_places.order[i]].name));
		codec_put_u64(out, rules->rules[rule_places.order[i]].digest);
	}
	codec_put_u64(out, field_places.n);
	for (uint32_t i = 0; i < field_places.n; i++)
		codec_put_span(out, field_name(&rules->fields, (field_id)field_places.order[i]));
	codec_put_u64(out, files.n);
	for (size_t i = 0; i < files.n; i++)
		codec_put_span(out, files.entries[i]->key);
	codec_put_u64(out, o->n);
	for (size_t i = 0; i < o->n; i++) {
		held_save(o->heap[i], &rule_places, &field_places, &files, out);
		buffer_drain(out);
	}
	places_release(&rule_places);
	places_release(&field_places);
	map_release(&files);
}

/* What the tables of a saved order mean in this run. */
struct order_tables {
	uint32_t *rules;  /* by place; UINT32_MAX: changed or gone */
	field_id *fields; /* FIELD_NONE: no rule asks for it any more */
	const char **files;
	size_t n_rules, n_fields, n_files;
	uint32_t *matched; /* scratch */
	size_t cap_matched;
};

static const struct order_stream *stream_find(const struct order_stream *streams, size_t n, uint64_t number)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;
		if (streams[middle].number == number)
			return &streams[middle];
		if (streams[middle].number < number)
			low = middle + 1;
		else
			n = middle;
	}
	return NULL;
}

static uint64_t get_place(struct codec_reader *in, size_t limit)
{
	uint64_t place = codec_get_u64(in);

	if (place > limit)
		in->bad = true;
	return in->bad ? 0 : place;
}

static int by_index(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static bool is_time(int64_t t)
{
	return t == TIME_NONE || (t >= TIME_LEAST && t <= TIME_MOST);
}

static void held_load(struct order *o, struct codec_reader *in, struct order_tables *t, const struct order_stream *streams, size_t n_streams)
{
	struct held_event head = { .order_ns = codec_get_i64(in) };
	uint64_t stream = codec_get_u64(in);
	head.sequence = codec_get_u64(in);
	uint64_t kind = codec_get_u64(in);
	head.time_ns = codec_get_i64(in);
	head.snapshot_ns = codec_get_i64(in);
	uint64_t complete = codec_get_u64(in), file = get_place(in, t->n_files), generation = codec_get_u64(in);
	head.origin.line = codec_get_u64(in);
	head.origin.offset = codec_get_u64(in);
	size_t n_matched = codec_get_count(in), n = 0;
	if (n_matched > t->cap_matched) {
		t->cap_matched = n_matched;
		t->matched = xrealloc(t->matched, n_matched * sizeof *t->matched);
	}
	for (size_t i = 0; i < n_matched && !in->bad; i++) {
		uint64_t place = get_place(in, t->n_rules);
		if (place && t->rules[place - 1] != UINT32_MAX)
			t->matched[n++] = t->rules[place - 1];
	}
	struct span bytes = codec_get_span(in);
	uint64_t raw_len = codec_get_u64(in);
	size_t n_values = codec_get_count(in);
	if (in->bad || kind > EVENT_SNAPSHOT_END || complete > 1 || file == 0 || stream > UINT32_MAX || generation > UINT32_MAX ||
	    !is_time(head.order_ns) || !is_time(head.time_ns) || !is_time(head.snapshot_ns) || bytes.len > UINT32_MAX || raw_len > bytes.len || n_values > UINT16_MAX) {
		in->bad = true;
		return;
	}

	const struct order_stream *s = stream_find(streams, n_streams, stream);
	struct held_event *h = block_get(o, block_size(n, n_values, bytes.len));
	size_t size = h->size;
	*h = head;
	h->size = size;
	h->n_matched = (uint32_t)n;
	h->n_bytes = (uint32_t)bytes.len;
	h->raw_len = (uint32_t)raw_len;
	h->kind = (enum event_kind)kind;
	h->agent_number = 0;
	h->snapshot_complete = complete;
	h->n_parsed = 0;
	h->origin.stream = (uint32_t)stream;
	h->origin.file = t->files[file - 1];
	h->origin.generation = (uint32_t)generation;
	if (n) {
		qsort(t->matched, n, sizeof *t->matched, by_index); /* rules may stand in another order now */
		memcpy(held_matched(h), t->matched, n * sizeof *t->matched);
	}
	for (size_t i = 0; i < n_values && !in->bad; i++) {
		uint64_t place = get_place(in, t->n_fields), value_kind = codec_get_u64(in), offset = codec_get_u64(in), len = codec_get_u64(in);
		if (place == 0 || value_kind > VALUE_NULL || offset > bytes.len || len > bytes.len - offset) {
			in->bad = true;
		} else if (t->fields[place - 1] != FIELD_NONE) {
			held_values(h)[h->n_values++] = (struct held_value){ (uint32_t)offset, (uint32_t)len, t->fields[place - 1], (uint8_t)value_kind };
		}
	}
	if (bytes.len)
		memcpy(held_bytes(h), bytes.ptr, bytes.len);
	/* Without a match it may still be looked at by rules that observe all of a source, if it was held without one. */
	if (in->bad || !s || (n == 0 && n_matched > 0)) {
		h->next_free = o->free_list;
		o->free_list = h;
		return;
	}
	h->rank = s->source->rank;
	h->source = s->source;
	h->stream_name = s->name;
	heap_add(o, h);
}

static uint32_t rule_place(const struct ruleset *rules, struct span name, uint64_t digest)
{
	for (uint32_t i = 0; i < rules->n_rules; i++)
		if (rules->rules[i].digest == digest && span_equal(span_from_string(rules->rules[i].name), name))
			return i;
	return UINT32_MAX;
}

bool order_load(struct order *o, struct codec_reader *in, const struct ruleset *rules, const struct order_stream *streams, size_t n_streams,
		struct map *names)
{
	struct order_tables t = { .n_rules = codec_get_count(in) };

	t.rules = xcalloc(t.n_rules + 1, sizeof *t.rules);
	for (size_t i = 0; i < t.n_rules && !in->bad; i++) {
		struct span name = codec_get_span(in);
		t.rules[i] = rule_place(rules, name, codec_get_u64(in));
	}
	t.n_fields = codec_get_count(in);
	t.fields = xcalloc(t.n_fields + 1, sizeof *t.fields);
	for (size_t i = 0; i < t.n_fields && !in->bad; i++)
		t.fields[i] = field_find(&rules->fields, codec_get_span(in));
	t.n_files = codec_get_count(in);
	t.files = xcalloc(t.n_files + 1, sizeof *t.files);
	for (size_t i = 0; i < t.n_files && !in->bad; i++)
		t.files[i] = map_add(names, codec_get_span(in), NULL)->key.ptr;
	for (size_t n = codec_get_count(in); n && !in->bad; n--)
		held_load(o, in, &t, streams, n_streams);
	free(t.rules);
	free(t.fields);
	free(t.files);
	free(t.matched);
	return !in->bad;
}

bool order_describe(struct codec_reader *in, uint64_t *ret_n)
{
	for (size_t n = codec_get_count(in); n && !in->bad; n--) {
		codec_get_span(in);
		codec_get_u64(in);
	}
	for (int table = 0; table < 2; table++)
		for (size_t n = codec_get_count(in); n && !in->bad; n--)
			codec_get_span(in);
	*ret_n = codec_get_count(in);
	for (uint64_t i = 0; i < *ret_n && !in->bad; i++) {
		for (int k = 0; k < 11; k++)
			codec_get_u64(in);
		for (size_t n = codec_get_count(in); n && !in->bad; n--)
			codec_get_u64(in);
		codec_get_span(in);
		codec_get_u64(in);
		for (size_t n = codec_get_count(in); n && !in->bad; n--)
			for (int k = 0; k < 4; k++)
				codec_get_u64(in);
	}
	return !in->bad;
}
