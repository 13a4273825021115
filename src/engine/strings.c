/*
 * The pool of interned strings: an open-addressing table of ids over an array of
 * counted entries. Ids are reused, so nothing that leaves the engine may depend on their values.
 */
#include "engine/strings.h"

#include "base/map.h"
#include "base/memory.h"

#include <stdlib.h>

static size_t entry_size(size_t len)
{
	return offsetof(struct string_entry, text) + len;
}

void strings_release(struct strings *t)
{
	for (uint32_t i = 0; i < t->n_ids; i++)
		if (t->by_id[i])
			slab_free(t->by_id[i], entry_size(t->by_id[i]->len));
	slab_release(&t->slab);
	free(t->by_id);
	free(t->free_ids);
	free(t->slots);
	*t = (struct strings){ 0 };
}

#ifdef __SIZEOF_INT128__
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)(product ^ product >> 64);
}
#endif

/*
 * The pool's own hash: names are short, and each event asks for several. Both halves of a short name are multiplied, each with a secret in it; 128 bits of
 * product are folded to 64, as wyhash does (Wang Yi, https://github.com/wangyi-fudan/wyhash). Of a longer one first the middle, then the ends.
 */
static inline uint32_t hash_of(const struct strings *t, struct span s)
{
#ifdef __SIZEOF_INT128__
	uint64_t first = 0, last = 0, middle = 0;

	if (s.len <= 4 * sizeof first) {
		if (s.len > 2 * sizeof first) {
			memcpy(&first, s.ptr + sizeof first, sizeof first);
			memcpy(&last, s.ptr + s.len - 2 * sizeof last, sizeof last);
			middle = mix(first ^ t->secret, last ^ ~t->secret);
		}
		if (s.len >= sizeof first) {
			memcpy(&first, s.ptr, sizeof first);
			memcpy(&last, s.ptr + s.len - sizeof last, sizeof last);
		} else if (s.len >= 4) {
			memcpy(&first, s.ptr, 4);
			memcpy(&last, s.ptr + s.len - 4, 4);
		} else if (s.len) {
			first = (unsigned char)s.ptr[0] | (uint64_t)(unsigned char)s.ptr[s.len / 2] << 8 | (uint64_t)(unsigned char)s.ptr[s.len - 1] << 16;
		}
		return (uint32_t)mix(first ^ t->secret ^ middle, last ^ t->secret * UINT64_C(0x9E3779B97F4A7C15) ^ s.len);
	}
#endif
	return (uint32_t)hash_bytes(s.ptr, s.len, t->secret);
}

static void slot_insert(struct strings *t, string_id id)
{
	uint32_t mask = t->n_slots - 1;
	uint32_t i = t->by_id[id]->hash & mask;

	while (t->slots[i])
		i = (i + 1) & mask;
	t->slots[i] = id;
}

static void make_slots(struct strings *t, uint32_t n)
{
	if (!t->n_slots)
		t->secret = hash_secret();
	free(t->slots);
	t->n_slots = n;
	t->slots = xcalloc(t->n_slots, sizeof *t->slots);
	for (string_id id = 1; id < t->n_ids; id++)
		if (t->by_id[id])
			slot_insert(t, id);
}

void strings_reserve(struct strings *t, size_t n)
{
	uint64_t slots = t->n_slots ? t->n_slots : 64;

	while ((t->n_used + n + 1) * 4 > slots * 3)
		slots *= 2;
	if (slots > t->n_slots && slots <= UINT32_MAX / 2)
		make_slots(t, (uint32_t)slots);
}

static __attribute__((noinline)) string_id add(struct strings *t, struct span s, uint32_t hash)
{
	string_id id;

	if (!t->n_slots) {
		make_slots(t, 64);
		hash = hash_of(t, s);
	}
	if ((t->n_used + 1) * 4 > t->n_slots * 3)
		make_slots(t, t->n_slots * 2);
	if (t->n_free) {
		id = t->free_ids[--t->n_free];
	} else {
		if (t->n_ids == 0) { /* number 0 stays unused */
			ARRAY_GROW(t->by_id, t->n_ids, t->cap_ids);
			t->by_id[t->n_ids++] = NULL;
		}
		ARRAY_GROW(t->by_id, t->n_ids, t->cap_ids);
		id = t->n_ids++;
	}
	struct string_entry *e = slab_alloc(&t->slab, entry_size(s.len));
	e->hash = hash;
	e->refs = 1;
	e->len = (uint16_t)s.len;
	if (s.len)
		memcpy(e->text, s.ptr, s.len);
	t->by_id[id] = e;
	slot_insert(t, id);
	t->n_used++;
	return id;
}

string_id strings_get(struct strings *t, struct span s)
{
	if (s.len > STRING_LIMIT)
		s.len = STRING_LIMIT;
	uint32_t hash = hash_of(t, s);

	if (t->n_slots) {
		uint32_t mask = t->n_slots - 1;
		for (uint32_t i = hash & mask; t->slots[i]; i = (i + 1) & mask) {
			struct string_entry *e = t->by_id[t->slots[i]];
			if (e->hash == hash && e->len == s.len && bytes_equal(e->text, s.ptr, s.len)) {
				e->refs++;
				return t->slots[i];
			}
		}
	}
	return add(t, s, hash);
}

void strings_drop(struct strings *t, string_id id)
{
	/* Take its slot out and move later ones of the same run up, so that searches still end at a gap. */
	uint32_t mask = t->n_slots - 1;
	uint32_t i = t->by_id[id]->hash & mask;
	while (t->slots[i] != id)
		i = (i + 1) & mask;
	for (uint32_t j = i;;) {
		j = (j + 1) & mask;
		if (!t->slots[j])
			break;
		uint32_t home = t->by_id[t->slots[j]]->hash & mask;
		if (((j - home) & mask) >= ((j - i) & mask)) {
			t->slots[i] = t->slots[j];
			i = j;
		}
	}
	t->slots[i] = 0;
	t->n_used--;
	slab_free(t->by_id[id], entry_size(t->by_id[id]->len));
	t->by_id[id] = NULL;
	ARRAY_GROW(t->free_ids, t->n_free, t->cap_free);
	t->free_ids[t->n_free++] = id;
}
