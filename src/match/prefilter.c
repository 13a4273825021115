/*
 * The prefilter decides which literals may occur in which records, at the speed of memory rather than of matching.
 *
 * Invariant: a literal that occurs inside a record, in any case of its ASCII letters, is reported for that record. The converse
 * does not hold: bytes are compared after OR with 0x20, which folds the case of letters at the price of a few look-alikes
 * ("[" and "{", "_" and DEL). What is reported is matched exactly later, so this costs a little time and no truth.
 *
 * How: a gram is a few bytes of a literal. A gram's hash leads to a byte in a map small enough to stay in the cache; the text is
 * looked at gram by gram, and nearly always the byte is 0. (Bytes, not bits: the shift that finds a bit costs more than the larger map. Where 16 grams
 * are looked up by one instruction it does not.)
 * Where it is not, the gram is looked at with its neighbours; then a table names the literals that hold it and where in them, and the
 * literal is compared.
 *
 *	long literals (≥ 7 bytes)   text:   |abcd|efgh|ijkl|…         every 4th position only: whichever way the literal lies in the
 *	                            literal:  ░░cd|efgh|i░░           text, some 4 bytes of it fill a slot. So one gram for
 *	                                                              each of the four alignments is put into the table. What tells
 *	                                                              its place in the literal from the many others where the text has
 *	                                                              this gram are 8 bytes: the gram and the 4 behind it, or before it.
 *	a few of 6 bytes            the same: in one of the four alignments they fill but 3 bytes of a slot, and all grams that begin
 *	                            with these are put into the table.
 *	short literals (3 to 6)     every position, grams of 3 bytes  one gram is enough.
 *	                            Where there are few of them and the processor has AVX2, the grams' nibbles are looked up 32 bytes at a
 *	                            time instead of hashes in the map: six times as fast; with AVX-512 VBMI the bytes themselves,
 *	                            64 at a time.
 *	of bytes above ASCII only   memchr of the first byte          rare, and used by caseless regexes alone.
 *
 * Which gram stands for a literal is free, and it matters: one that is common in the text ("crew", "sess") costs time whenever it
 * is met. So the tables are built from what is rare in the first block of some size; from a guess while there is none. That changes
 * the speed only.
 *
 * It knows nothing of rules, formats or fields.
 */
#include "match/prefilter.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <stdlib.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2_PASS 1
#include <immintrin.h>
#endif

/* A record in which more literals than this occur is taken to hold all. It bounds the work on a hostile record. */
#define LITERALS_PER_RECORD 24

#define LONG_STRIDE 4
#define LONG_GRAM 4
#define LONG_MASK UINT32_C(0xffffffff)
#define SHORT_GRAM 3
#define SHORT_MASK UINT32_C(0x00ffffff)

/* So many literals that are one byte too short may be sought as long ones are. */
#define NEARLY_LONG_MAX 4
/* Up to so many literals are all sought by nibbles. */
#define ALL_SHORT_MAX 48
/* More short grams than this are sought in the map. */
#define NIBBLE_GRAMS_MAX 128

struct literal {
	uint32_t text; /* into prefilter.text, folded, padded with 8 bytes */
	uint32_t len;
};

/* One place of one literal that a key stands for: a gram or, of a long literal, mostly 8 bytes of which one half is the gram. */
struct place {
	uint32_t literal;
	uint32_t offset; /* of the key */
};

/* A slot of the key table: the places of one key. n == 0: free. */
struct slot {
	uint64_t key;
	uint32_t first; /* into pass.places */
	uint32_t n;
};

/* All literals that are sought in the same way. */
struct pass {
	unsigned map_shift; /* of the 32-bit hash */
	uint8_t *map;       /* a byte for each of its values */
	bool by_bit;        /* long literals, 16 grams at a time: a bit for each */
	unsigned key_shift; /* of the 64-bit hash */
	uint64_t *key_bits; /* long literals: a bit for each key */
	unsigned slot_shift;
	struct slot *slots;
	struct place *places;
	size_t n_places;
	bool nibbles; /* few enough short grams for the tables below */
	/* By place in the gram and nibble: a bit for each of 8 groups of grams. */
	uint8_t low[SHORT_GRAM][16], high[SHORT_GRAM][16];
	uint8_t bytes[SHORT_GRAM][64]; /* the same by byte, of which the two highest bits do not count: for processors that look up 64 at once */
};

struct prefilter {
	struct literal *literals;
	size_t n_literals;
	unsigned char *text;
	size_t text_size;
	struct pass long_pass, short_pass;
	bool built, has_long, has_short;
	bool all_short;             /* few literals: long ones are sought as short ones are, in one pass */
	bool nearly_long;           /* the few that are one byte too short are sought as long ones are: there are no shorter ones */
	uint32_t *byte_literals; /* those of bytes above ASCII */
	size_t n_byte_literals;
	uint64_t scanned, learn_at; /* bytes */
	uint64_t confirmed;         /* grams that were looked up since the tables were built */
	uint64_t built_at;          /* bytes scanned then */
};

/* How much text is needed to learn from, and how much is enough. */
#define LEARN_MIN ((size_t)8 * 1024)
#define LEARN_MAX ((size_t)64 * 1024)

#define FOLD32 UINT32_C(0x20202020)
#define FOLD64 UINT64_C(0x2020202020202020)

static inline uint32_t load32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v); /* masks take the first bytes */
#endif
	return v;
}

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline uint32_t gram_hash(uint32_t gram)
{
	return gram * UINT32_C(0x9E3779B1);
}

/* Which bit of the map's byte. */
static inline unsigned gram_bit(uint32_t gram)
{
	return (gram_hash(gram) >> 8) & 7;
}

/* The literal table has its own hash, so that what got through the map by chance spreads out. */
static inline uint32_t slot_index(const struct pass *pass, uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9FB21C651E98DF25)) >> 32) >> pass->slot_shift;
}

static inline uint64_t key_hash(uint64_t key)
{
	return key * UINT64_C(0x9E3779B97F4A7C15);
}

static inline bool may_be_key(const struct pass *pass, uint64_t key)
{
	uint64_t h = key_hash(key) >> pass->key_shift;

	return pass->key_bits[h / 64] >> h % 64 & 1;
}

/* How common a byte is in logs, in bits of surprise: more is rarer. Folded bytes. */
static unsigned byte_rarity(unsigned char c)
{
	static const char common[] = "etaoinsr";

	if (c >= 0x80)
		return 7;
	if (c >= 'a' && c <= 'z') {
		if (memchr(common, c, sizeof common - 1))
			return 3;
		return c == 'q' || c == 'x' || c == 'z' || c == 'j' ? 7 : 4;
	}
	if (c >= '0' && c <= '9')
		return c <= '2' ? 2 : 3;
	if (c == ' ')
		return 2;
	if (c == ':' || c == '-' || c == '/' || c == '.' || c == '"' || c == ',')
		return 4;
	return 6;
}

static bool all_above_ascii(struct span literal)
{
	for (size_t i = 0; i < literal.len; i++)
		if ((unsigned char)literal.ptr[i] < 0x80)
			return false;
	return true;
}

bool prefilter_accepts(struct span literal)
{
	return literal.len >= PREFILTER_LITERAL_MIN || (literal.len > 0 && all_above_ascii(literal));
}

/* The largest map is of so many bytes. */
#define MAP_LOG2_MAX 18

/*
 * Bytes in the map: some 32 for each gram, between 32 KiB, which the first-level cache holds with room for the text, and
 * 256 KiB, which the second still holds.
 */
static unsigned map_size_log2(size_t n_grams)
{
	unsigned log2 = 15;

	while (log2 < MAP_LOG2_MAX && ((size_t)1 << log2) < n_grams * 32)
		log2++;
	return log2;
}

#define SEEN_KEYS_LOG2 17

/* While a pass is built: its grams and their places, by literal. */
struct draft {
	struct draft_gram {
		uint32_t gram;
		uint32_t slot; /* of its key */
		uint64_t key;
		struct place place;
	} *grams;
	size_t n, cap;
	unsigned map_shift;
	uint8_t rarity[256]; /* by byte */
	/* By value of the hash, so that a gram which only looks like a common one counts as it: */
	uint16_t *used; /* how many literals use it */
	uint16_t *seen; /* how often it is met in the text; NULL: guess */
	uint16_t *seen_keys; /* the same of 8 bytes, by hash; NULL: guess, or of no use */
};

/* What it costs to look for this gram: how often it occurs, times what there is to compare then. */
static uint64_t gram_cost(const struct draft *d, const unsigned char *at, unsigned size, uint32_t gram)
{
	uint32_t h = gram_hash(gram) >> d->map_shift;
	unsigned bits = 0, used = d->used[h];

	for (unsigned i = 0; i < size; i++)
		bits += d->rarity[at[i]];
	bits = 64 - bits;
	if (d->seen_keys)
		return (uint64_t)d->seen[h] * 4096 + used * 16 + bits;
	if (d->seen)
		return (uint64_t)d->seen[h] * (16 + used) * 256 + used * 16 + bits;
	return bits * 4 + (used > 40 ? 40 : used);
}

static void draft_put(struct draft *d, uint32_t gram, uint64_t key, struct place place)
{
	uint16_t *used = &d->used[gram_hash(gram) >> d->map_shift];

	*used += *used < UINT16_MAX;
	ARRAY_GROW(d->grams, d->n, d->cap);
	d->grams[d->n++] = (struct draft_gram){ gram, 0, key, place };
}

/* Adds the best gram of a short literal. */
static void draft_short(struct draft *d, const struct prefilter *p, uint32_t index)
{
	const struct literal *l = &p->literals[index];
	const unsigned char *text = p->text + l->text;
	uint64_t best_cost = UINT64_MAX;
	uint32_t gram, best = 0;
	unsigned at = 0;

	for (unsigned o = 0; o + SHORT_GRAM <= l->len; o++) {
		uint64_t cost;

		gram = (load32(text + o) | FOLD32) & SHORT_MASK;
		cost = gram_cost(d, text + o, SHORT_GRAM, gram);
		if (cost < best_cost) {
			best_cost = cost;
			best = gram;
			at = o;
		}
	}
	draft_put(d, best, best, (struct place){ index, at });
}

/* What it costs that text is found which looks like this key. */
static uint64_t key_cost(const struct draft *d, uint64_t key)
{
	return d->seen_keys ? (uint64_t)d->seen_keys[key_hash(key) >> (64 - SEEN_KEYS_LOG2)] * 32768 : 0;
}

/* Adds the best gram of a long literal among those of this alignment. */
static void draft_long(struct draft *d, const struct prefilter *p, uint32_t index, unsigned alignment)
{
	const struct literal *l = &p->literals[index];
	const unsigned char *text = p->text + l->text;
	struct draft_gram best = { 0 };
	uint64_t best_cost = UINT64_MAX;

	if (alignment + LONG_GRAM > l->len) {
		/* One byte is missing, and may be any. Folded ones have bit 5. */
		for (uint32_t c = 0; c < 0x100; c++) {
			uint32_t gram = ((load32(text + alignment) | FOLD32) & SHORT_MASK) | c << 24;

			if (c & 0x20)
				draft_put(d, gram, gram, (struct place){ index, alignment });
		}
		return;
	}
	for (unsigned o = alignment; o + LONG_GRAM <= l->len; o += LONG_STRIDE) {
		uint32_t gram = load32(text + o) | FOLD32;
		uint64_t cost = gram_cost(d, text + o, LONG_GRAM, gram), behind = UINT64_MAX, before = UINT64_MAX;
		struct draft_gram g = { gram, 0, gram, { index, o } };

		if (o + 8 <= l->len)
			behind = key_cost(d, load64(text + o) | FOLD64);
		if (o >= 4)
			before = key_cost(d, load64(text + o - 4) | FOLD64);
		if (behind <= before && behind != UINT64_MAX)
			g.key = load64(text + o) | FOLD64;
		else if (before != UINT64_MAX)
			g = (struct draft_gram){ gram, 0, load64(text + o - 4) | FOLD64, { index, o - 4 } };
		cost += g.key == gram ? cost * 8 : behind < before ? behind : before;
		if (cost < best_cost) {
			best_cost = cost;
			best = g;
		}
	}
	draft_put(d, best.gram, best.key, best.place);
}

static int gram_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void pass_release(struct pass *pass)
{
	free(pass->map);
	free(pass->key_bits);
	free(pass->slots);
	free(pass->places);
	*pass = (struct pass){ 0 };
}

/* Groups of neighbours in the order of grams: they are alike, so that a group's nibbles stay few. */
static void nibbles_init(struct pass *pass, const uint32_t *grams, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t group = (uint8_t)(1u << i * 8 / n);

		for (unsigned k = 0; k < SHORT_GRAM; k++) {
			unsigned c = grams[i] >> 8 * k & 0xff;

			pass->low[k][c & 15] |= group;
			/* Either case: the grams are folded, the text is not. */
			pass->high[k][c >> 4] |= group;
			pass->high[k][(c & ~0x20u) >> 4] |= group;
			pass->bytes[k][c & 0x3f] |= group;
			pass->bytes[k][c & 0x1f] |= group;
		}
	}
	pass->nibbles = true;
}

/* The slot with this key, or a free one for it. */
static inline uint32_t find_slot(const struct pass *pass, uint64_t key)
{
	uint32_t i = slot_index(pass, key), mask = (UINT32_C(1) << (32 - pass->slot_shift)) - 1;

	while (pass->slots[i].n && pass->slots[i].key != key)
		i = (i + 1) & mask;
	return i;
}

static void pass_init(struct pass *pass, struct draft *d, bool is_short)
{
	uint32_t distinct[NIBBLE_GRAMS_MAX];
	unsigned keys_log2 = map_size_log2(d->n), slots_log2 = 4;
	size_t n_distinct = 0, n_places = 0;

	pass->map_shift = d->map_shift;
#ifdef HAVE_AVX2_PASS
	pass->by_bit = !is_short && cpu_has(CPU_GATHER);
#endif
	pass->map = xcalloc(((size_t)1 << (32 - d->map_shift)) / (pass->by_bit ? 8 : 1), 1);
	while (((size_t)1 << slots_log2) < d->n * 2)
		slots_log2++;
	pass->slot_shift = 32 - slots_log2;
	pass->key_shift = 64 - keys_log2;
	if (!is_short)
		pass->key_bits = xcalloc(((size_t)1 << keys_log2) / 64, sizeof *pass->key_bits);
	pass->slots = xcalloc((size_t)1 << slots_log2, sizeof *pass->slots);
	pass->places = xmalloc(d->n * sizeof *pass->places);
	for (size_t i = 0; i < d->n; i++) {
		struct draft_gram *g = &d->grams[i];
		uint32_t in_map = gram_hash(g->gram) >> pass->map_shift;
		uint64_t hash = key_hash(g->key) >> pass->key_shift;

		if (pass->by_bit)
			pass->map[in_map / 8] |= (uint8_t)(1u << in_map % 8);
		else
			pass->map[in_map] |= (uint8_t)(1u << gram_bit(g->gram));
		if (!is_short)
			pass->key_bits[hash / 64] |= UINT64_C(1) << hash % 64;
		g->slot = find_slot(pass, g->key);
		if (!pass->slots[g->slot].n++) {
			pass->slots[g->slot].key = g->key;
			if (n_distinct < NIBBLE_GRAMS_MAX)
				distinct[n_distinct] = (uint32_t)g->key;
			n_distinct++;
		}
	}
	/* Each slot's places behind those of the slot before; first is where the next one goes until all are there. */
	for (size_t i = 0; i < (size_t)1 << slots_log2; i++) {
		pass->slots[i].first = (uint32_t)n_places;
		n_places += pass->slots[i].n;
	}
	for (size_t i = 0; i < d->n; i++)
		pass->places[pass->slots[d->grams[i].slot].first++] = d->grams[i].place;
	for (size_t i = 0; i < (size_t)1 << slots_log2; i++)
		pass->slots[i].first -= pass->slots[i].n;
#ifdef HAVE_AVX2_PASS
	if (is_short && n_distinct <= NIBBLE_GRAMS_MAX && cpu_has(CPU_AVX2)) {
		qsort(distinct, n_distinct, sizeof *distinct, gram_order);
		nibbles_init(pass, distinct, n_distinct);
	}
#endif
	pass->n_places = d->n;
}

static void take_census(struct draft *d, struct span sample, uint32_t mask)
{
	const unsigned char *text = (const unsigned char *)sample.ptr;

	for (size_t i = 0; i < sample.len; i++) {
		uint16_t *n = &d->seen[gram_hash((load32(text + i) | FOLD32) & mask) >> d->map_shift];

		*n += *n < UINT16_MAX;
		if (!d->seen_keys)
			continue;
		n = &d->seen_keys[key_hash(load64(text + i) | FOLD64) >> (64 - SEEN_KEYS_LOG2)];
		*n += *n < UINT16_MAX;
	}
}

/* The way a literal is sought. */
enum way { WAY_LONG, WAY_SHORT, WAY_BYTES, WAY_NOT };

static enum way literal_way(const struct prefilter *p, size_t i)
{
	const struct literal *l = &p->literals[i];

	if (l->len >= PREFILTER_LITERAL_LONG - (unsigned)p->nearly_long && !p->all_short)
		return WAY_LONG;
	if (all_above_ascii(span_of((const char *)p->text + l->text, l->len)))
		return l->len ? WAY_BYTES : WAY_NOT;
	return l->len >= SHORT_GRAM ? WAY_SHORT : WAY_NOT;
}

/* Builds a pass's tables, anew if need be. sample: what to learn from; empty: guess. Returns whether there is anything in it. */
static bool pass_build(struct pass *pass, const struct prefilter *p, enum way way, struct span sample)
{
	struct draft *d;
	size_t n = 0;

	pass_release(pass);
	for (size_t i = 0; i < p->n_literals; i++)
		n += literal_way(p, i) == way;
	if (!n)
		return false;
	d = xcalloc(1, sizeof *d);
	d->map_shift = 32 - map_size_log2(way == WAY_LONG ? n * LONG_STRIDE : n);
	for (unsigned c = 0; c < 256; c++)
		d->rarity[c] = (uint8_t)byte_rarity((unsigned char)c);
	d->used = xcalloc((size_t)1 << (32 - d->map_shift), sizeof *d->used);
	if (sample.len) {
		d->seen = xcalloc((size_t)1 << (32 - d->map_shift), sizeof *d->seen);
		if (way == WAY_LONG)
			d->seen_keys = xcalloc((size_t)1 << SEEN_KEYS_LOG2, sizeof *d->seen_keys);
		take_census(d, sample, way == WAY_LONG ? LONG_MASK : SHORT_MASK);
	}
	for (size_t i = 0; i < p->n_literals; i++) {
		if (literal_way(p, i) != way)
			continue;
		if (way == WAY_SHORT)
			draft_short(d, p, (uint32_t)i);
		else
			for (unsigned alignment = 0; alignment < LONG_STRIDE; alignment++)
				draft_long(d, p, (uint32_t)i, alignment);
	}
	pass_init(pass, d, way == WAY_SHORT);
	free(d->grams);
	free(d->used);
	free(d->seen);
	free(d->seen_keys);
	free(d);
	return true;
}

static void build(struct prefilter *p, struct span sample)
{
	p->has_long = pass_build(&p->long_pass, p, WAY_LONG, sample);
	p->has_short = pass_build(&p->short_pass, p, WAY_SHORT, sample);
	p->built = true;
	p->built_at = p->scanned;
	p->confirmed = 0;
}

struct prefilter *prefilter_new(const struct span *literals, size_t n)
{
	struct prefilter *p = xcalloc(1, sizeof *p);
	size_t size = 0, used = 0, n_nearly_long = 0, n_shorter = 0;

	for (size_t i = 0; i < n; i++) {
		size += (literals[i].len < PREFILTER_LITERAL_MAX ? literals[i].len : PREFILTER_LITERAL_MAX) + 8;
		n_nearly_long += literals[i].len == PREFILTER_LITERAL_LONG - 1;
		n_shorter += literals[i].len < PREFILTER_LITERAL_LONG - 1 && !all_above_ascii(literals[i]);
	}
	p->nearly_long = n_nearly_long <= NEARLY_LONG_MAX && !n_shorter;
	p->text_size = size + 8;
	p->text = xcalloc(p->text_size, 1);
	p->literals = xcalloc(n + 1, sizeof *p->literals);
	p->byte_literals = xcalloc(n + 1, sizeof *p->byte_literals);
	p->n_literals = n;
#ifdef HAVE_AVX2_PASS
	p->all_short = n <= ALL_SHORT_MAX && cpu_has(CPU_AVX2);
#endif
	for (size_t i = 0; i < n; i++) {
		size_t len = literals[i].len < PREFILTER_LITERAL_MAX ? literals[i].len : PREFILTER_LITERAL_MAX;

		p->literals[i] = (struct literal){ (uint32_t)used, (uint32_t)len };
		memcpy(p->text + used, literals[i].ptr, len);
		if (literal_way(p, i) == WAY_BYTES)
			p->byte_literals[p->n_byte_literals++] = (uint32_t)i;
		else
			for (size_t k = 0; k < len; k++)
				p->text[used + k] |= 0x20;
		used += len + 8;
	}
	return p;
}

struct prefilter *prefilter_copy(const struct prefilter *of)
{
	struct prefilter *p = xcalloc(1, sizeof *p);

	p->literals = (void *)xmemdup(of->literals, (of->n_literals + 1) * sizeof *p->literals);
	p->n_literals = of->n_literals;
	p->text = (void *)xmemdup(of->text, of->text_size);
	p->text_size = of->text_size;
	p->all_short = of->all_short;
	p->nearly_long = of->nearly_long;
	p->byte_literals = (void *)xmemdup(of->byte_literals, (of->n_literals + 1) * sizeof *p->byte_literals);
	p->n_byte_literals = of->n_byte_literals;
	return p;
}

/*
 * Learns from the block when it is the first one of any size; later ones only when grams are found again and again (more than
 * one in 128 bytes), each time after 16 times as much text. Guesses where there is nothing to learn from yet.
 */
static void learn(struct prefilter *p, struct span block)
{
	if (block.len < LEARN_MIN || p->scanned < p->learn_at) {
		if (!p->built)
			build(p, span_of("", 0));
		return;
	}
	if (p->learn_at == 0 || p->confirmed > (p->scanned - p->built_at) / 128)
		build(p, span_of(block.ptr, block.len < LEARN_MAX ? block.len : LEARN_MAX));
	p->learn_at = (p->scanned + block.len) * 16;
}

void prefilter_free(struct prefilter *p)
{
	if (!p)
		return;
	pass_release(&p->long_pass);
	pass_release(&p->short_pass);
	free(p->literals);
	free(p->byte_literals);
	free(p->text);
	free(p);
}

/* What a scan moves along: which record the text is in, and the hits so far. */
struct sink {
	struct prefilter *prefilter;
	const unsigned char *text;
	size_t len;
	const struct record *records;
	size_t n_records, cursor;
	struct prefilter_hits *hits;
	uint64_t n_confirmed;
	size_t skip_to; /* nothing before this offset is of interest any more */
};

static void sink_rewind(struct sink *s)
{
	s->cursor = 0;
	s->skip_to = 0;
}

/* A literal's occurrence. Places come nearly in order, so that the cursor moves on by the records in between. */
static void sink_add(struct sink *s, uint32_t literal, size_t start, size_t len)
{
	struct prefilter_hits *hits = s->hits;
	size_t c = s->cursor;
	unsigned n = 0;

	while (c > 0 && s->records[c].offset > start)
		c--;
	while (c + 16 < s->n_records && s->records[c + 16].offset <= start)
		c += 16;
	while (c + 1 < s->n_records && s->records[c + 1].offset <= start)
		c++;
	s->cursor = c;
	if (s->records[c].offset > start || start + len > (size_t)s->records[c].offset + s->records[c].len)
		return;
	if (hits->head[c] != PREFILTER_ALL) {
		for (uint32_t h = hits->head[c]; h != PREFILTER_NONE; h = hits->hits[h].next, n++)
			if (hits->hits[h].literal == literal)
				return;
		if (n < LITERALS_PER_RECORD && hits->n_hits < PREFILTER_ALL) {
			ARRAY_GROW(hits->hits, hits->n_hits, hits->cap_hits);
			hits->hits[hits->n_hits] = (struct prefilter_hit){ literal, (uint32_t)c, hits->head[c] };
			hits->head[c] = (uint32_t)hits->n_hits++;
			return;
		}
		hits->head[c] = PREFILTER_ALL;
	}
	s->skip_to = (size_t)s->records[c].offset + s->records[c].len;
}

/* Both folded. The literal has 8 bytes of padding, the text 64 readable ones behind it. */
static inline bool literal_equal(const unsigned char *literal, const unsigned char *text, size_t len)
{
	if (len < 8) {
		uint64_t mask = (UINT64_C(1) << (len * 8)) - 1;

		return (((load64(text) | FOLD64) ^ load64(literal)) & mask) == 0;
	}
	if ((load64(text + len - 8) | FOLD64) != load64(literal + len - 8))
		return false;
	for (size_t i = 0; i + 8 < len; i += 8)
		if ((load64(text + i) | FOLD64) != load64(literal + i))
			return false;
	return true;
}

/* The key at this offset may be one of ours. */
static void pass_confirm(const struct pass *pass, struct sink *s, size_t at, uint64_t key)
{
	const struct prefilter *p = s->prefilter;
	const struct slot *slot = &pass->slots[find_slot(pass, key)];

	for (uint32_t k = 0; k < slot->n; k++) {
		const struct place *place = &pass->places[slot->first + k];
		const struct literal *l = &p->literals[place->literal];

		if (at < place->offset || at - place->offset + l->len > s->len)
			continue;
		if (literal_equal(p->text + l->text, s->text + at - place->offset, l->len))
			sink_add(s, place->literal, at - place->offset, l->len);
	}
}

static inline uint32_t gram_at(const unsigned char *at)
{
	return (load32(at) | FOLD32) & SHORT_MASK;
}

/*
 * The text is looked through in stretches, in steps without a branch that depends on it, for a branch that goes wrong costs as much as
 * 64 bytes of text: which words of the stretch may hold a gram of ours, as bits; which places in these words do, as a list. Only the
 * list is gone through with care.
 */
#define STRETCH_WORDS 64

struct places {
	size_t n;
	uint32_t at[STRETCH_WORDS * 64 + 1];
};

/* Adds the place, if the short gram there may be one of ours. */
static inline void places_add(struct places *found, const struct pass *pass, const struct sink *s, size_t at)
{
	uint32_t gram = gram_at(s->text + at);

	found->at[found->n] = (uint32_t)at;
	found->n += pass->map[gram_hash(gram) >> pass->map_shift] >> gram_bit(gram) & 1;
}

static void places_confirm(const struct places *found, const struct pass *pass, struct sink *s)
{
	for (size_t i = 0; i < found->n; i++)
		if (found->at[i] >= s->skip_to) {
			s->n_confirmed++;
			pass_confirm(pass, s, found->at[i], gram_at(s->text + found->at[i]));
		}
}

/* Many short literals. */
static void short_scan(const struct pass *pass, struct sink *s)
{
	const uint8_t *map = pass->map;
	const unsigned shift = pass->map_shift;
	struct places found;

	/* Grams may begin up to 7 bytes behind the end: in the padding, and pass_confirm rejects what is found there. */
	for (size_t start = 0; start < s->len; start += STRETCH_WORDS * 8) {
		uint64_t words = 0;

		for (size_t i = 0; i < STRETCH_WORDS && start + i * 8 < s->len; i++) {
			unsigned any = 0;

			for (unsigned k = 0; k < 8; k++)
				any |= map[gram_hash(gram_at(s->text + start + i * 8 + k)) >> shift];
			words |= (uint64_t)(any != 0) << i;
		}
		for (found.n = 0; words; words &= words - 1)
			for (unsigned k = 0; k < 8; k++)
				places_add(&found, pass, s, start + (unsigned)__builtin_ctzll(words) * 8 + k);
		places_confirm(&found, pass, s);
	}
}

/*
 * Long literals. Of a stretch: the hashes of all its grams; which words of eight grams the map says something of, as bits; a list of the places in
 * these words of which it does; of these the ones where a key may be. With gathers the list comes of one step. (Without, the hashes alone are not had
 * sooner by AVX-512.)
 */
#define STRETCH_GRAMS (STRETCH_WORDS * 8)
#define GATHERED 16

#ifdef HAVE_AVX2_PASS
__attribute__((target("avx2"))) static void hash_grams_avx2(uint32_t *hashes, const unsigned char *text, size_t n, unsigned shift)
{
	const __m256i factor = _mm256_set1_epi32((int)gram_hash(1)), fold = _mm256_set1_epi32(FOLD32);
	const __m128i by = _mm_cvtsi32_si128((int)shift);

	for (size_t i = 0; i < n; i += 8) {
		__m256i gram = _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(const void *)(text + i * LONG_STRIDE)), fold);

		_mm256_storeu_si256((__m256i *)(void *)(hashes + i), _mm256_srl_epi32(_mm256_mullo_epi32(gram, factor), by));
	}
}
#endif

static void hash_grams(uint32_t *hashes, const unsigned char *text, size_t n, unsigned shift)
{
	for (size_t i = 0; i < n; i++)
		hashes[i] = gram_hash(load32(text + i * LONG_STRIDE) | FOLD32) >> shift;
}

/* Of the gram at this place: with the 4 bytes before it, with those behind it, alone. */
struct keys {
	uint64_t before, behind, alone;
};

static inline struct keys keys_at(const unsigned char *text, size_t at)
{
	uint64_t behind = load64(text + at) | FOLD64;

	/* There may be nothing in front of the block: behind stands for it. */
	return (struct keys){ load64(text + (at >= 4 ? at - 4 : at)) | FOLD64, behind, (uint32_t)behind };
}

static void keys_confirm(const struct pass *pass, struct sink *s, size_t at)
{
	struct keys k = keys_at(s->text, at);

	if (at >= 4 && may_be_key(pass, k.before))
		pass_confirm(pass, s, at - 4, k.before);
	if (may_be_key(pass, k.behind))
		pass_confirm(pass, s, at, k.behind);
	if (may_be_key(pass, k.alone))
		pass_confirm(pass, s, at, k.alone);
}

/* Of which of eight grams the map says something: the highest bit in the byte of each, the first one lowest. */
static inline uint64_t grams_set(const uint8_t *map, const uint32_t *h)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint32_t a = map[h[0]] | (uint32_t)map[h[1]] << 8 | (uint32_t)map[h[2]] << 16 | (uint32_t)map[h[3]] << 24;
	uint32_t b = map[h[4]] | (uint32_t)map[h[5]] << 8 | (uint32_t)map[h[6]] << 16 | (uint32_t)map[h[7]] << 24;
	uint64_t said = a | (uint64_t)b << 32;

	return (((said & low) + low) | said) & ~low;
}

/* The places, from text + start on, of those of n grams that the map says something of. at: room for GATHERED more than there may be. */
static size_t map_places(const struct pass *pass, const unsigned char *text, size_t start, size_t n, uint32_t *at)
{
	const uint8_t *map = pass->map;
	uint32_t hashes[STRETCH_GRAMS];
	uint64_t words = 0;
	size_t n_found = 0;

#ifdef HAVE_AVX2_PASS
	if (cpu_has(CPU_AVX2))
		hash_grams_avx2(hashes, text + start, n, pass->map_shift);
	else
#endif
		hash_grams(hashes, text + start, n, pass->map_shift);
	for (size_t i = 0; i < n; i += 8) {
		const uint32_t *h = hashes + i;
		unsigned any = map[h[0]] | map[h[1]] | map[h[2]] | map[h[3]] | map[h[4]] | map[h[5]] | map[h[6]] | map[h[7]];

		words |= (uint64_t)(any != 0) << i / 8;
	}
	for (; words; words &= words - 1) {
		unsigned first = (unsigned)__builtin_ctzll(words) * 8;

		/* Mostly it is one. */
		for (uint64_t set = grams_set(map, hashes + first); set; set &= set - 1)
			at[n_found++] = (uint32_t)(start + (first + (unsigned)__builtin_ctzll(set) / 8) * LONG_STRIDE);
	}
	return n_found;
}

#ifdef HAVE_AVX2_PASS
/* The same where the map is by_bit. */
__attribute__((target("avx512f,popcnt"))) static size_t gather_places(const struct pass *pass, const unsigned char *text, size_t start, size_t n, uint32_t *at)
{
	const __m512i factor = _mm512_set1_epi32((int)gram_hash(1)), fold = _mm512_set1_epi32(FOLD32), one = _mm512_set1_epi32(1);
	const __m128i by = _mm_cvtsi32_si128((int)pass->map_shift), by_word = _mm_cvtsi32_si128((int)pass->map_shift + 5);
	__m512i places = _mm512_add_epi32(_mm512_set1_epi32((int)start), _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60));
	size_t n_found = 0;

	for (size_t i = 0; i < n; i += GATHERED) {
		__m512i gram = _mm512_or_si512(_mm512_loadu_si512(text + start + i * LONG_STRIDE), fold), hash = _mm512_mullo_epi32(gram, factor);
		__m512i words = _mm512_i32gather_epi32(_mm512_srl_epi32(hash, by_word), pass->map, 4);
		/* The lower 5 bits of what is left of the hash are the bit in the word: a rotation takes no others. */
		__mmask16 set = _mm512_test_epi32_mask(words, _mm512_rolv_epi32(one, _mm512_srl_epi32(hash, by)));

		_mm512_storeu_si512(at + n_found, _mm512_maskz_compress_epi32(set, places));
		n_found += (unsigned)__builtin_popcount(set);
		places = _mm512_add_epi32(places, _mm512_set1_epi32(GATHERED * LONG_STRIDE));
	}
	return n_found;
}
#endif

static void long_scan(const struct pass *pass, struct sink *s)
{
	uint32_t at[STRETCH_GRAMS + GATHERED];

	for (size_t start = 0; start < s->len; start += STRETCH_GRAMS * LONG_STRIDE) {
		/* As many at a time as are looked up together. */
		size_t n = (s->len - start + GATHERED * LONG_STRIDE - 1) / (GATHERED * LONG_STRIDE) * GATHERED, n_found, n_kept = 0;

		if (n > STRETCH_GRAMS)
			n = STRETCH_GRAMS;
#ifdef HAVE_AVX2_PASS
		if (pass->by_bit)
			n_found = gather_places(pass, s->text, start, n, at);
		else
#endif
			n_found = map_places(pass, s->text, start, n, at);
		while (n_found && at[n_found - 1] >= s->len)
			n_found--;
		for (size_t i = 0; i < n_found; i++) {
			struct keys k = keys_at(s->text, at[i]);

			at[n_kept] = at[i];
			n_kept += (size_t)may_be_key(pass, k.before) | (size_t)may_be_key(pass, k.behind) | (size_t)may_be_key(pass, k.alone);
		}
		s->n_confirmed += n_found;
		for (size_t i = 0; i < n_kept; i++)
			if (at[i] >= s->skip_to)
				keys_confirm(pass, s, at[i]);
	}
}

#ifdef HAVE_AVX2_PASS
__attribute__((target("avx2"))) static inline __m256i nibbles_at(const uint8_t *low, const uint8_t *high, const unsigned char *text)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	__m256i t = _mm256_loadu_si256((const __m256i *)text);
	__m256i l = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)low));
	__m256i h = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)high));

	return _mm256_and_si256(_mm256_shuffle_epi8(l, _mm256_and_si256(t, nibble)),
				_mm256_shuffle_epi8(h, _mm256_and_si256(_mm256_srli_epi16(t, 4), nibble)));
}

/* Of the 32 bytes at text a bit for each that a group's three bytes agree on: it may have its gram there. */
__attribute__((target("avx2"))) static inline uint32_t nibbles_mask(const struct pass *pass, const unsigned char *text)
{
	__m256i r = _mm256_and_si256(nibbles_at(pass->low[0], pass->high[0], text), nibbles_at(pass->low[1], pass->high[1], text + 1));

	r = _mm256_and_si256(r, nibbles_at(pass->low[2], pass->high[2], text + 2));
	return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(r, _mm256_setzero_si256()));
}

/* As fast as this is, waiting for the text would take a third of the time: it is asked for so far ahead. */
#define PREFETCH_BYTES 512

/* The same, by the byte rather than by its nibbles, 64 at a time: a bit for each of the words that holds such a place, whose bits are in masks. */
__attribute__((target("avx512bw,avx512vbmi"))) static uint64_t bytes_words(const struct pass *pass, const unsigned char *text, size_t len, uint64_t *masks)
{
	const __m512i a = _mm512_loadu_si512(pass->bytes[0]), b = _mm512_loadu_si512(pass->bytes[1]), c = _mm512_loadu_si512(pass->bytes[2]);
	size_t n = len / 64 < STRETCH_WORDS ? len / 64 : STRETCH_WORDS, rest = len - n * 64;
	uint64_t words = 0;

	for (size_t i = 0; i < n; i++) {
		const unsigned char *t = text + i * 64;
		__m512i r = _mm512_and_si512(_mm512_permutexvar_epi8(_mm512_loadu_si512(t), a), _mm512_permutexvar_epi8(_mm512_loadu_si512(t + 1), b));

		__builtin_prefetch(t + PREFETCH_BYTES);
		masks[i] = _mm512_test_epi8_mask(r, _mm512_permutexvar_epi8(_mm512_loadu_si512(t + 2), c));
	}
	if (n < STRETCH_WORDS && rest) {
		/* Of what is behind the end no more than is there is read. */
		const unsigned char *t = text + n * 64;
		__mmask64 in = (UINT64_C(1) << rest) - 1;
		__m512i r = _mm512_and_si512(_mm512_permutexvar_epi8(_mm512_maskz_loadu_epi8(in, t), a), _mm512_permutexvar_epi8(_mm512_maskz_loadu_epi8(in >> 1, t + 1), b));

		masks[n] = _mm512_mask_test_epi8_mask(in, r, _mm512_permutexvar_epi8(_mm512_maskz_loadu_epi8(in >> 2, t + 2), c));
		n++;
	}
	while (n % 8)
		masks[n++] = 0;
	for (size_t i = 0; i < n; i += 8)
		words |= (uint64_t)_mm512_test_epi64_mask(_mm512_loadu_si512(masks + i), _mm512_loadu_si512(masks + i)) << i;
	return words;
}

/* pass_scan for few short grams. */
__attribute__((target("avx2,bmi"))) static void nibbles_scan(const struct pass *pass, struct sink *s)
{
	struct pass local = *pass; /* so that its tables stay in registers */
	struct places found;
	uint64_t masks[STRETCH_WORDS];

	const bool by_byte = cpu_has(CPU_AVX512);

	/* Reads up to 64 bytes behind the end, and pass_confirm rejects what is found there. */
	for (size_t start = 0; start < s->len; start += STRETCH_WORDS * 64) {
		uint64_t words = 0;

		if (by_byte)
			words = bytes_words(pass, s->text + start, s->len - start, masks);
		for (size_t i = 0; !by_byte && i < STRETCH_WORDS && start + i * 64 < s->len; i++) {
			const unsigned char *t = s->text + start + i * 64;

			masks[i] = nibbles_mask(&local, t);
			if (t + 32 < s->text + s->len)
				masks[i] |= (uint64_t)nibbles_mask(&local, t + 32) << 32;
			words |= (uint64_t)(masks[i] != 0) << i;
		}
		for (found.n = 0; words; words &= words - 1) {
			unsigned i = (unsigned)__builtin_ctzll(words);

			for (uint64_t mask = masks[i]; mask; mask &= mask - 1)
				places_add(&found, pass, s, start + i * 64 + (unsigned)__builtin_ctzll(mask));
		}
		places_confirm(&found, pass, s);
	}
}
#endif

static void byte_scan(struct sink *s, uint32_t index)
{
	const struct literal *l = &s->prefilter->literals[index];
	const unsigned char *literal = s->prefilter->text + l->text, *at = s->text, *end = s->text + s->len;

	sink_rewind(s);
	while (at < end && (at = memchr(at, literal[0], (size_t)(end - at)))) {
		if ((size_t)(end - at) >= l->len && memcmp(at, literal, l->len) == 0)
			sink_add(s, index, (size_t)(at - s->text), l->len);
		at++;
	}
}

void prefilter_scan(struct prefilter *p, struct span block, const struct record_list *records,
		    struct prefilter_hits *hits)
{
	struct sink s = {
		.prefilter = p,
		.text = (const unsigned char *)block.ptr,
		.len = block.len,
		.records = records->items,
		.n_records = records->n,
		.hits = hits,
	};

	if (records->n > hits->cap_records) {
		hits->cap_records = records->n + records->n / 2;
		hits->head = xrealloc(hits->head, hits->cap_records * sizeof *hits->head);
	}
	hits->n_records = records->n;
	hits->n_hits = 0;
	if (!records->n)
		return;
	memset(hits->head, 0xff, records->n * sizeof *hits->head); /* PREFILTER_NONE */
	for (size_t i = 0; records->n_escaped && i < records->n; i++)
		if (records->items[i].flags & RECORD_ESCAPED)
			hits->head[i] = PREFILTER_ALL;
	learn(p, block);
	p->scanned += block.len;
	if (p->has_long)
		long_scan(&p->long_pass, &s);
	sink_rewind(&s);
#ifdef HAVE_AVX2_PASS
	if (p->has_short && p->short_pass.nibbles)
		nibbles_scan(&p->short_pass, &s);
	else
#endif
	if (p->has_short)
		short_scan(&p->short_pass, &s);
	for (size_t i = 0; i < p->n_byte_literals; i++)
		byte_scan(&s, p->byte_literals[i]);
	p->confirmed += s.n_confirmed;
}

void prefilter_hits_release(struct prefilter_hits *hits)
{
	free(hits->head);
	free(hits->hits);
	*hits = (struct prefilter_hits)PREFILTER_HITS_INIT;
}
