/*
 * keys.h: records by their key, where the format writes one at a fixed place (format_key: the type of a town line). Lines of a key that no
 * rule asks for need not be looked through, and those of one that a rule asks for and nothing else need not be, either.
 *
 *	keys that rules name ── keys_add() ──> table ── keys_classify(block, records) ──> a class for each record
 *
 * The class is exact where it is not KEYS_UNKNOWN: an event of a class has its key (in letters of any case), one of KEYS_OTHER none of them.
 */
#ifndef TOCSIN_MATCH_KEYS_H
#define TOCSIN_MATCH_KEYS_H

#include "record/decoder.h"

/* Classes: KEYS_UNKNOWN, then one for each key, 1 to n_keys, then KEYS_OTHER(table). */
#define KEYS_MAX 60
#define KEYS_UNKNOWN 0
#define KEYS_OTHER(table) ((table)->n_keys + 1)
#define KEYS_CLASSES (KEYS_MAX + 2)

#define KEY_LEN_MAX 46 /* with what closes it 48 bytes: that many are compared, 8 at a time */
#define KEY_WORDS 6

/* Text to be compared 8 bytes at a time, letters where fold says so in either case. */
struct key_text {
	uint64_t text[KEY_WORDS], fold[KEY_WORDS], mask[KEY_WORDS];
	uint32_t len;
};

/* What the record holds behind the word behind its key, and then these rules cannot match. */
struct key_beginning {
	struct key_text text;
	uint64_t rules; /* by number, as the caller counts them */
};

/* The word behind a key, by what it ends with, and what follows it. */
struct key_word {
	uint64_t end, fold, mask; /* of its last 8 bytes */
	struct key_text behind;
};

struct key {
	struct key_text text; /* with what closes it */
	char exact[KEY_LEN_MAX];
	uint32_t len;
	uint8_t next;         /* of the same first bytes, and not shorter; 0: none */
	struct key_beginning *beginnings;
	size_t n_beginnings, cap_beginnings;
};

/* What keys_classify() looks at: the first 16 bytes of a key's text. */
struct key_begin {
	unsigned char text[16], fold[16];
	uint32_t ignored;     /* a bit for each byte that does not count */
	bool look_further[2]; /* where they are not there: there is a next one; where they are: the text is longer */
};

struct key_table {
	struct format_key place;
	uint64_t open, open_mask; /* what must stand in the 8 bytes in front of the key, with the blank behind the stamp */
	uint8_t first[256]; /* by hash of the first bytes: a class; 0: none */
	struct key_begin begins[KEYS_MAX + 1]; /* by class */
	struct key keys[KEYS_MAX + 1]; /* by class */
	unsigned n_keys;
};

/* False: the format has no such place. */
bool keys_init(struct key_table *t, enum format f);
void keys_release(struct key_table *t);
/* The class of this key, which is in lower case; KEYS_UNKNOWN when it cannot be in the table. */
unsigned keys_add(struct key_table *t, struct span key);
unsigned keys_find(const struct key_table *t, struct span key);
/* Where a record of this class has this text behind the word behind its key, `rules` cannot match it. The first `verbatim` bytes of it in this case only. False: it is too long. */
bool keys_add_beginning(struct key_table *t, unsigned class, struct span text, size_t verbatim, uint64_t rules);
/* False: it cannot be told apart. */
bool key_word_init(struct key_word *w, struct span end, struct span behind);

/* 64 readable bytes behind the block are required. */
void keys_classify(const struct key_table *t, struct span block, const struct record *records, size_t n, uint8_t *classes);
/* Which rules cannot match this record, which is of this class. */
uint64_t keys_excluded(const struct key *key, const struct key_table *t, struct span block, const struct record *r);
/* Does this record, which is of this class, have another word behind its key for certain, and `behind` follows it? */
bool keys_word_differs(const struct key_word *w, const struct key *key, const struct key_table *t, struct span block, const struct record *r);

#endif
