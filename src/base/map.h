/*
 * map.h: a dictionary from byte strings to a pointer-sized value. Keys are
 * copied in and never removed; entries keep the order of their insertion.
 * For names and other small, growing vocabularies; the engine's keyed state
 * has its own table.
 */
#ifndef TOCSIN_BASE_MAP_H
#define TOCSIN_BASE_MAP_H

#include "base/span.h"
#include <stdint.h>

struct map_entry {
	struct span key; /* NUL-terminated besides */
	uint64_t hash;
	union {
		void *pointer;
		uint64_t number;
	} value;
};

struct map {
	struct map_entry **entries; /* in order of insertion; entry addresses are stable */
	size_t n, cap;
	uint32_t *slots; /* index + 1 into entries */
	size_t n_slots;
};

#define MAP_INIT { NULL, 0, 0, NULL, 0 }

/* NULL when absent. */
struct map_entry *map_find(const struct map *m, struct span key);
/* Finds, or inserts with value zero; *ret_new (may be NULL) tells which. */
struct map_entry *map_add(struct map *m, struct span key, bool *ret_new);
void map_release(struct map *m);

/* The hash used throughout: XXH3 of 64 bits. Stable: ids and checkpoints rest on it. */
uint64_t hash_bytes(const void *p, size_t len, uint64_t seed);
/*
 * A seed for tables in memory that hold what logs say: another one in each process, so that nobody can write a log whose names all fall in one place.
 * Nothing that leaves the process may depend on it.
 */
uint64_t hash_secret(void);
/* hash_bytes() with seed 0, of bytes that come in pieces. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_free(struct hash_stream *h);
void hash_stream_reset(struct hash_stream *h);
void hash_stream_add(struct hash_stream *h, struct span bytes);
uint64_t hash_stream_value(const struct hash_stream *h);

#endif
