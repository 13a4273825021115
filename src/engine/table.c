/*
 * Keyed state: one hash table of cells over all rules; per rule a list by last use (whose old end is evicted
 * at the cap); one heap of deadlines. The heap is lazy: a deadline that moves away stays where it is until it
 * comes up, one that comes nearer is moved at once. Order among equal deadlines is rule, then age.
 *
 * Most cells just expire, a timespan after their last use: those of a rule in the order of its list. So they are not in the heap: the rule is, once, for the
 * first of them. Cells that wait for something, did so since they were made, or were used by an event that came late, are in the heap themselves.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <stdlib.h>

/* ---- heap ---- */

static bool heap_before(const struct heap_item *a, const struct heap_item *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	if (a->rule != b->rule)
		return a->rule < b->rule;
	return !a->cell || (b->cell && a->cell->seq < b->cell->seq);
}

static void heap_put(struct engine *en, uint32_t i, struct heap_item item)
{
	en->heap[i] = item;
	*(item.cell ? &item.cell->heap_index : &en->states[item.rule].heap_index) = i;
}

static void heap_up(struct engine *en, uint32_t i)
{
	struct heap_item item = en->heap[i];

	while (i > 0 && heap_before(&item, &en->heap[(i - 1) / 2])) {
		heap_put(en, i, en->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(en, i, item);
}

static void heap_down(struct engine *en, uint32_t i)
{
	struct heap_item item = en->heap[i];

	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= en->n_heap)
			break;
		if (child + 1 < en->n_heap && heap_before(&en->heap[child + 1], &en->heap[child]))
			child++;
		if (!heap_before(&en->heap[child], &item))
			break;
		heap_put(en, i, en->heap[child]);
		i = child;
	}
	heap_put(en, i, item);
}

static void heap_add(struct engine *en, struct heap_item item)
{
	ARRAY_GROW(en->heap, en->n_heap, en->cap_heap);
	heap_put(en, en->n_heap++, item);
	heap_up(en, en->n_heap - 1);
}

static void heap_remove(struct engine *en, struct cell *c)
{
	struct heap_item last = en->heap[--en->n_heap];
	uint32_t i = c->heap_index;

	c->heap_index = NOT_IN_HEAP;
	if (i == en->n_heap)
		return;
	heap_put(en, i, last);
	heap_up(en, i);
	heap_down(en, last.cell ? last.cell->heap_index : en->states[last.rule].heap_index);
}

/* Before it leaves those that expire in their turn: by another place in the list, for the heap, or for good. Each cell is passed over once at most after each use. */
static inline void cell_step_out(struct rule_state *s, struct cell *c)
{
	if (s->expiring != c)
		return;
	do
		c = c->newer;
	while (c && c->heap_index != NOT_IN_HEAP);
	s->expiring = c;
}

void cell_into_heap(struct engine *en, struct cell *c)
{
	int64_t deadline_ns = cell_deadline(c);

	if (c->heap_index == NOT_IN_HEAP) {
		cell_step_out(&en->states[c->rule], c);
		heap_add(en, (struct heap_item){ deadline_ns, c, c->rule });
	} else if (deadline_ns < en->heap[c->heap_index].deadline_ns) {
		en->heap[c->heap_index].deadline_ns = deadline_ns;
		heap_up(en, c->heap_index);
	}
}

void rule_bring_forward(struct engine *en, uint32_t rule, int64_t deadline_ns)
{
	struct rule_state *s = &en->states[rule];

	s->due_ns = deadline_ns;
	if (s->heap_index == NOT_IN_HEAP) {
		heap_add(en, (struct heap_item){ deadline_ns, NULL, rule });
	} else {
		en->heap[s->heap_index].deadline_ns = deadline_ns;
		heap_up(en, s->heap_index);
	}
}

/* ---- list by last use ---- */

static void list_unlink(struct rule_state *s, struct cell *c)
{
	*(c->older ? &c->older->newer : &s->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &s->newest) = c->older;
}

static void list_append(struct rule_state *s, struct cell *c)
{
	c->older = s->newest;
	c->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = c;
	s->newest = c;
}

void cell_renew(struct rule_state *s, struct cell *c)
{
	cell_step_out(s, c);
	list_unlink(s, c);
	list_append(s, c);
}

/* ---- what is due ---- */

static void rule_expire(struct engine *en, struct rule_state *s)
{
	while (s->expiring && s->expiring->expires_ns <= s->due_ns)
		cell_free(en, s->expiring);
	s->due_ns = s->expiring ? s->expiring->expires_ns : INT64_MAX;
	en->heap[s->heap_index].deadline_ns = s->due_ns;
	heap_down(en, s->heap_index);
}

struct cell *cell_due(struct engine *en, int64_t time_ns)
{
	while (en->n_heap && en->heap[0].deadline_ns <= time_ns) {
		struct cell *c = en->heap[0].cell;
		if (!c) {
			rule_expire(en, &en->states[en->heap[0].rule]);
			continue;
		}
		int64_t d = cell_deadline(c);
		if (d != en->heap[0].deadline_ns) {
			en->heap[0].deadline_ns = d;
			heap_down(en, 0);
		} else if (cell_waits(c)) {
			return c;
		} else {
			cell_free(en, c);
		}
	}
	return NULL;
}

/* ---- hash table ---- */

static uint32_t hash_of(const struct engine *en, const struct cell *c)
{
	return cell_hash(c->rule, key_from(cell_key(en, c), en->states[c->rule].n_keys).hash);
}

static void table_resize(struct engine *en, uint32_t n)
{
	struct cell **table = xcalloc(n, sizeof *table);

	for (uint32_t i = 0; i < en->n_table; i++)
		for (struct cell *c = en->table[i], *next; c; c = next) {
			struct cell **at = &table[hash_of(en, c) & (n - 1)];
			next = c->hash_next;
			c->hash_next = *at;
			*at = c;
		}
	free(en->table);
	en->table = table;
	en->n_table = n;
}

void table_reserve(struct engine *en, size_t n)
{
	uint64_t size = en->n_table ? en->n_table : 64;

	while (size < (uint64_t)en->n_cells + n)
		size *= 2;
	if (size > en->n_table && size <= UINT32_MAX / 2)
		table_resize(en, (uint32_t)size);
}

static void state_init(struct cell_state *s, uint32_t n_slots)
{
	memset(s, 0, sizeof *s + n_slots * sizeof *s->slots);
	s->pending_ns = s->held.last_ns = s->held.snapshot_ns = TIME_NONE;
	s->n_slots = n_slots;
	for (uint32_t i = 0; i < n_slots; i++)
		s->slots[i].time_ns = s->slots[i].start_ns = TIME_NONE;
}

/* A cell, with what it knows behind it, in one allocation. */
static struct cell *cell_new(struct engine *en, struct rule_state *s)
{
	struct cell *c = slab_alloc(&en->slab, s->cell_size);

	c->state = s->cell_state_at ? (struct cell_state *)(void *)((char *)c + s->cell_state_at) : NULL;
	if (c->state)
		state_init(c->state, s->n_slots);
	return c;
}

void cell_layout(struct engine *en, uint32_t rule)
{
	const struct correlation *k = en->rules->rules[rule].correlation;
	struct rule_state *s = &en->states[rule];

	entry_layout(en, rule);
	size_t size = sizeof(struct cell) + s->entry_len + s->n_keys * sizeof(string_id);
	if (k && k->type != CORRELATION_EVENT_COUNT) { /* it does more than count events */
		s->cell_state_at = (uint32_t)((size + _Alignof(struct cell_state) - 1) & ~(_Alignof(struct cell_state) - 1));
		s->n_slots = k->type == CORRELATION_TEMPORAL || k->type == CORRELATION_TEMPORAL_ORDERED ? k->n_slots : 0;
		size = s->cell_state_at + sizeof(struct cell_state) + s->n_slots * sizeof(struct slot);
	}
	s->cell_size = (uint32_t)size;
}

/* The stalest cell without an open incident; the stalest of all when every one has one. */
static void evict(struct engine *en, struct rule_state *s)
{
	struct cell *victim = s->oldest;

	for (unsigned looked = 0; victim && victim->incident && looked < 64; looked++)
		victim = victim->newer;
	if (!victim || victim->incident)
		victim = s->oldest;
	if (traced(en, victim->rule))
		trace_tell(en, TRACE_EVICTED, victim, NULL);
	if (victim->incident)
		incident_resolve(en, victim);
	cell_free(en, victim);
	en->stats.evicted++;
}

struct cell *cell_make(struct engine *en, uint32_t rule, const struct key *wanted)
{
	struct rule_state *s = &en->states[rule];
	uint32_t hash = cell_hash(rule, wanted->hash);

	if (s->n_cells >= en->options.max_keys)
		evict(en, s);
	if (en->n_cells >= en->n_table)
		table_resize(en, en->n_table ? en->n_table * 2 : 64);

	struct cell *c = cell_new(en, s);
	c->rule = rule;
	c->seq = en->next_seq++;
	c->expires_ns = en->now_ns;
	c->heap_index = NOT_IN_HEAP;
	c->incident = NULL;
	c->window = (struct window){ .ring = c->room, .cap = 1 };
	string_id *ids = (string_id *)(void *)(c->room + s->entry_len);
	for (uint32_t i = 0; i < wanted->n; i++) {
		ids[i] = wanted->ids[i];
		strings_ref(&en->strings, ids[i]);
	}
	struct cell **at = &en->table[hash & (en->n_table - 1)];
	c->hash_next = *at;
	*at = c;
	list_append(s, c);
	s->n_cells++;
	en->n_cells++;
	en->stats.keys = en->n_cells;
	if (en->n_cells > en->stats.keys_peak)
		en->stats.keys_peak = en->n_cells;
	return c;
}

void cell_free(struct engine *en, struct cell *c)
{
	struct rule_state *s = &en->states[c->rule];
	struct cell **at = &en->table[hash_of(en, c) & (en->n_table - 1)];

	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
	list_unlink(s, c);
	if (c->heap_index != NOT_IN_HEAP)
		heap_remove(en, c);
	else
		cell_step_out(s, c);
	s->n_cells--;
	en->stats.keys = --en->n_cells;

	window_release(en, c);
	for (uint32_t i = 0; i < cell_slots(c); i++)
		kept_unref(c->state->slots[i].kept);
	if (c->state)
		kept_unref(c->state->trigger);
	incident_free(en, c);
	for (uint32_t i = 0; i < s->n_keys; i++)
		strings_unref(&en->strings, cell_key(en, c)[i]);
	slab_free(c, s->cell_size);
}

void table_release(struct engine *en)
{
	for (uint32_t i = 0; i < en->rules->n_rules; i++)
		while (en->states[i].oldest)
			cell_free(en, en->states[i].oldest);
	slab_release(&en->slab);
	free(en->table);
	free(en->heap);
}

/* ---- keys ---- */

bool values_join(struct buffer *text, const field_id *fields, uint32_t n, struct occurrence *o)
{
	buffer_clear(text);
	for (uint32_t i = 0; i < n; i++) {
		struct span v = occurrence_field(o, fields[i]);
		if (v.len == 0)
			return false;
		if (v.len > STRING_LIMIT)
			v.len = STRING_LIMIT;
		uint32_t len = (uint32_t)v.len;
		if (text->cap - text->len < sizeof len + len)
			buffer_reserve(text, sizeof len + len);
		memcpy(text->data + text->len, &len, sizeof len);
		memcpy(text->data + text->len + sizeof len, v.ptr, len);
		text->len += sizeof len + len;
	}
	return true;
}

static inline uint32_t key_hash(const string_id *ids, uint32_t n)
{
	uint32_t h = n;

	for (uint32_t i = 0; i < n; i++)
		h = (h ^ ids[i]) * UINT32_C(0x85EBCA6B);
	return h ^ h >> 16;
}

struct key key_from(const string_id *ids, uint32_t n)
{
	return (struct key){ ids, n, key_hash(ids, n) };
}

uint32_t key_plan(struct engine *en, const field_id *fields, uint32_t n)
{
	for (uint32_t i = 0; i < en->n_keys; i++)
		if (en->keys[i].key.n == n && (n == 0 || memcmp(en->keys[i].fields, fields, n * sizeof *fields) == 0))
			return i;
	ARRAY_GROW(en->keys, en->n_keys, en->cap_keys);
	string_id *ids = xcalloc(n + 1, sizeof *ids);
	en->keys[en->n_keys] = (struct key_plan){ .fields = fields, .ids = ids, .key = key_from(ids, n), .whole = n == 0 };
	return en->n_keys++;
}

void key_make(struct engine *en, struct key_plan *p, struct occurrence *o)
{
	uint32_t n = p->key.n, i = 0;

	p->step = o->step;
	if (n == 1) { /* most */
		p->whole = (p->ids[0] = occurrence_string(en, o, p->fields[0])) != 0;
		p->key.hash = key_hash(p->ids, 1);
		return;
	}
	while (i < n && (p->ids[i] = occurrence_string(en, o, p->fields[i])))
		i++;
	p->whole = i == n;
	p->key.hash = key_hash(p->ids, n);
}
