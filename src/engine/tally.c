/*
 * A counting set of string ids: open addressing with backward-shift deletion.
 */
#include "engine/tally.h"

#include "base/memory.h"

#include <stdlib.h>

static uint32_t home_of(const struct tally *t, string_id id)
{
	return (id * UINT32_C(2654435761)) & (t->n_slots - 1);
}

static struct tally_slot *slot_of(const struct tally *t, string_id id)
{
	uint32_t mask = t->n_slots - 1, i = home_of(t, id);

	while (t->slots[i].id && t->slots[i].id != id)
		i = (i + 1) & mask;
	return &t->slots[i];
}

static void grow(struct tally *t)
{
	struct tally old = *t;

	t->n_slots = old.n_slots ? old.n_slots * 2 : 4;
	t->slots = xcalloc(t->n_slots, sizeof *t->slots);
	for (uint32_t i = 0; i < old.n_slots; i++)
		if (old.slots[i].id)
			*slot_of(t, old.slots[i].id) = old.slots[i];
	free(old.slots);
}

void tally_release(struct tally *t, struct strings *strings)
{
	for (uint32_t i = 0; i < t->n_slots; i++)
		strings_unref(strings, t->slots[i].id);
	free(t->slots);
	*t = (struct tally){ 0 };
}

static struct tally_slot *slot_add(struct tally *t, struct strings *strings, string_id id)
{
	if ((t->n_distinct + 1) * 4 > t->n_slots * 3)
		grow(t);
	struct tally_slot *s = slot_of(t, id);
	if (!s->id) {
		strings_ref(strings, id);
		s->id = id;
		t->n_distinct++;
	}
	return s;
}

uint32_t tally_add(struct tally *t, struct strings *strings, string_id id)
{
	return ++slot_add(t, strings, id)->count;
}

void tally_set(struct tally *t, struct strings *strings, string_id id, uint32_t count)
{
	slot_add(t, strings, id)->count = count;
}

void tally_remove(struct tally *t, struct strings *strings, string_id id)
{
	struct tally_slot *s = slot_of(t, id);
	if (--s->count)
		return;

	uint32_t mask = t->n_slots - 1, i = (uint32_t)(s - t->slots);
	for (uint32_t j = i;;) {
		j = (j + 1) & mask;
		if (!t->slots[j].id)
			break;
		if (((j - home_of(t, t->slots[j].id)) & mask) >= ((j - i) & mask)) {
			t->slots[i] = t->slots[j];
			i = j;
		}
	}
	t->slots[i] = (struct tally_slot){ 0 };
	t->n_distinct--;
	strings_unref(strings, id);
}

uint32_t tally_count(const struct tally *t, string_id id)
{
	return t->n_slots ? slot_of(t, id)->count : 0;
}

static bool goes_before(const struct strings *strings, struct tally_slot a, struct tally_slot b)
{
	if (a.count != b.count)
		return a.count > b.count;
	struct span x = strings_text(strings, a.id), y = strings_text(strings, b.id);
	size_t n = x.len < y.len ? x.len : y.len;
	int c = n ? memcmp(x.ptr, y.ptr, n) : 0;
	return c ? c < 0 : x.len < y.len;
}

uint32_t tally_top(const struct tally *t, const struct strings *strings, struct tally_slot *ret, uint32_t limit)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n_slots; i++) {
		struct tally_slot s = t->slots[i];
		if (!s.id)
			continue;
		uint32_t at = n;
		while (at > 0 && goes_before(strings, s, ret[at - 1]))
			at--;
		if (at == limit)
			continue;
		if (n < limit)
			n++;
		memmove(&ret[at + 1], &ret[at], (n - 1 - at) * sizeof *ret);
		ret[at] = s;
	}
	return n;
}
