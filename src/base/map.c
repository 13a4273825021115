/*
 * map.c: an open-addressing table of indices beside an array of entries.
 * Invariants: n_slots is a power of two (or 0) and at least twice n, so that a
 * probe always ends; a slot holds index + 1, 0 is free; an entry and its key are
 * one allocation, which is never moved. There is no removal.
 */
#include "base/map.h"
#include "base/memory.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Inlined, the short-key paths of XXH3 need no call; and no second copy of the library's state is linked. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define SLOTS_MIN 16

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(len ? p : "", len, seed);
}

static uint64_t secret;
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void secret_make(void)
{
	struct timespec now;

	if (getrandom(&secret, sizeof secret, GRND_NONBLOCK) == (ssize_t)sizeof secret)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now); /* early while a machine starts: better than none */
	secret = hash_bytes(&now, sizeof now, (uint64_t)(uintptr_t)&now);
}

uint64_t hash_secret(void)
{
	pthread_once(&secret_once, secret_make);
	return secret;
}

struct hash_stream {
	XXH3_state_t state;
};

struct hash_stream *hash_stream_new(void)
{
	struct hash_stream *h = xaligned_alloc(_Alignof(struct hash_stream), sizeof *h);

	hash_stream_reset(h);
	return h;
}

void hash_stream_free(struct hash_stream *h)
{
	free(h);
}

void hash_stream_reset(struct hash_stream *h)
{
	XXH3_64bits_reset(&h->state);
}

void hash_stream_add(struct hash_stream *h, struct span bytes)
{
	if (bytes.len)
		XXH3_64bits_update(&h->state, bytes.ptr, bytes.len);
}

uint64_t hash_stream_value(const struct hash_stream *h)
{
	return XXH3_64bits_digest(&h->state);
}

/* The slot that holds key, or the free one where it belongs. */
static size_t slot_of(const struct map *m, struct span key, uint64_t hash)
{
	size_t mask = m->n_slots - 1;
	size_t i = (size_t)hash & mask;

	while (m->slots[i]) {
		const struct map_entry *e = m->entries[m->slots[i] - 1];

		if (e->hash == hash && span_equal(e->key, key))
			break;
		i = (i + 1) & mask;
	}
	return i;
}

static void grow_slots(struct map *m)
{
	size_t n_slots = m->n_slots ? m->n_slots * 2 : SLOTS_MIN;
	size_t mask = n_slots - 1;

	free(m->slots);
	m->slots = xcalloc(n_slots, sizeof *m->slots);
	m->n_slots = n_slots;
	for (size_t k = 0; k < m->n; k++) {
		size_t i = (size_t)m->entries[k]->hash & mask;

		while (m->slots[i])
			i = (i + 1) & mask;
		m->slots[i] = (uint32_t)(k + 1);
	}
}

struct map_entry *map_find(const struct map *m, struct span key)
{
	size_t i;

	if (m->n == 0)
		return NULL;
	i = slot_of(m, key, hash_bytes(key.ptr, key.len, hash_secret()));
	return m->slots[i] ? m->entries[m->slots[i] - 1] : NULL;
}

struct map_entry *map_add(struct map *m, struct span key, bool *ret_new)
{
	uint64_t hash = hash_bytes(key.ptr, key.len, hash_secret());
	struct map_entry *e;
	char *copy;
	size_t i;

	if ((m->n + 1) * 2 > m->n_slots)
		grow_slots(m);
	i = slot_of(m, key, hash);
	if (ret_new)
		*ret_new = m->slots[i] == 0;
	if (m->slots[i])
		return m->entries[m->slots[i] - 1];

	e = xmalloc(key.len > SIZE_MAX - sizeof *e - 1 ? SIZE_MAX : sizeof *e + key.len + 1);
	copy = (char *)(e + 1);
	if (key.len)
		memcpy(copy, key.ptr, key.len);
	copy[key.len] = '\0';
	e->key = span_of(copy, key.len);
	e->hash = hash;
	memset(&e->value, 0, sizeof e->value);
	ARRAY_GROW(m->entries, m->n, m->cap);
	m->entries[m->n++] = e;
	m->slots[i] = (uint32_t)m->n;
	return e;
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i]);
	free(m->entries);
	free(m->slots);
	*m = (struct map)MAP_INIT;
}
