/*
 * The prefilter decides which literals may occur in which records, at the speed of memory rather than of matching.
 *
 * Invariant: a literal that occurs inside a record, in any case of its ASCII letters, is reported for that record. The converse
 * does not hold: bytes are compared after OR with 0x20, which folds the case of letters at the price of a few look-alikes
 * ("[" and "{", "_" and DEL). What is reported is matched exactly later, so this costs a little time and no truth.
 *
 * How: a gram is a few bytes of a literal. A gram's hash is a bit in a bitmap small enough to stay in the cache; the text is
 * looked at gram by gram, four at a time, and nearly always none of the four bits is set. Where one is, a table
 * names the literals that hold this gram and where in them, and the literal is compared.
 *
 *	long literals (≥ 7 bytes)   text:   |abcd|efgh|ijkl|…         every 4th position only: whichever way the literal lies in the
 *	                            literal:  ░░cd|efgh|i░░           text, some 4 bytes of it fill a slot. So one gram for
 *	                                                              each of the four alignments is put into the table.
 *	short literals (3 to 6)     every position, grams of 3 bytes  one gram is enough.
 *	of bytes above ASCII only   memchr of the first byte          rare, and used by caseless regexes alone.
 *
 * Which gram stands for a literal is free: the one that looks rarest is taken, and not one that many others use.
 *
 * It knows nothing of rules, formats or fields.
 */
#include "match/prefilter.h"

#include "base/memory.h"

#include <stdlib.h>

/* A record in which more literals than this occur is taken to hold all. It bounds the work on a hostile record. */
#define LITERALS_PER_RECORD 24

struct literal {
	uint32_t text; /* into prefilter.text, folded, padded with 8 bytes */
	uint32_t len;
};

/* One place of one literal that a gram stands for. */
struct place {
	uint32_t literal;
	uint32_t offset;
};

/* A slot of the gram table: the places of one gram. n == 0: free. */
struct slot {
	uint32_t gram;
	uint32_t first; /* into pass.places */
	uint32_t n;
};

/* All literals that are sought in the same way. */
struct pass {
	unsigned bitmap_shift; /* of the 32-bit hash */
	uint32_t *bitmap;
	unsigned slot_shift;
	struct slot *slots;
	struct place *places;
	size_t n_places;
};

struct prefilter {
	struct literal *literals;
	size_t n_literals;
	unsigned char *text;
	struct pass long_pass, short_pass;
	bool has_long, has_short;
	uint32_t *byte_literals; /* those of bytes above ASCII */
	size_t n_byte_literals;
};

#define LONG_STRIDE 4
#define LONG_GRAM 4
#define LONG_MASK UINT32_C(0xffffffff)
#define SHORT_STRIDE 1
#define SHORT_GRAM 3
#define SHORT_MASK UINT32_C(0x00ffffff)

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

static inline uint32_t bitmap_test(const uint32_t *bitmap, unsigned shift, uint32_t gram)
{
	uint32_t h = gram_hash(gram) >> shift;

	return bitmap[h >> 5] >> (h & 31);
}

/* The literal table has its own bits of the hash, so that what got through the bitmap by chance spreads out. */
static inline uint32_t slot_index(const struct pass *pass, uint32_t gram)
{
	return (uint32_t)((gram * UINT64_C(0x9FB21C651E98DF25)) >> 32) >> pass->slot_shift;
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

bool prefilter_accepts(struct span literal)
{
	if (literal.len >= PREFILTER_LITERAL_MIN)
		return true;
	for (size_t i = 0; i < literal.len; i++)
		if ((unsigned char)literal.ptr[i] < 0x80)
			return false;
	return literal.len > 0;
}

static bool all_above_ascii(struct span literal)
{
	for (size_t i = 0; i < literal.len; i++)
		if ((unsigned char)literal.ptr[i] < 0x80)
			return false;
	return true;
}

/* While a pass is built: its grams and their places, unordered. */
struct draft {
	struct draft_gram {
		uint32_t gram;
		struct place place;
	} *grams;
	size_t n, cap;
	/* How many literals use a gram already, by hash: a guess that is good enough to spread them. */
	uint16_t load[1 << 14];
};

static unsigned gram_cost(const struct draft *d, const unsigned char *at, unsigned size, uint32_t gram)
{
	unsigned bits = 0, used = d->load[gram_hash(gram) >> 18];

	for (unsigned i = 0; i < size; i++)
		bits += byte_rarity(at[i]);
	/* A gram that all literals share ("type") would make each hit expensive: sharing counts like commonness. */
	return (64 - bits) * 4 + (used > 40 ? 40 : used);
}

/* Adds the best gram among the offsets first, first + step, … of the literal. */
static void draft_add(struct draft *d, const struct prefilter *p, uint32_t index, unsigned first, unsigned step,
		      unsigned size, uint32_t mask)
{
	const struct literal *l = &p->literals[index];
	const unsigned char *text = p->text + l->text;
	unsigned best = first, best_cost = UINT32_MAX;
	uint32_t gram;

	for (unsigned o = first; o + size <= l->len; o += step) {
		unsigned cost = gram_cost(d, text + o, size, (load32(text + o) | FOLD32) & mask);

		if (cost < best_cost) {
			best_cost = cost;
			best = o;
		}
	}
	gram = (load32(text + best) | FOLD32) & mask;
	if (d->load[gram_hash(gram) >> 18] < UINT16_MAX)
		d->load[gram_hash(gram) >> 18]++;
	ARRAY_GROW(d->grams, d->n, d->cap);
	d->grams[d->n++] = (struct draft_gram){ gram, { index, best } };
}

static int draft_order(const void *a, const void *b)
{
	const struct draft_gram *x = a, *y = b;

	if (x->gram != y->gram)
		return x->gram < y->gram ? -1 : 1;
	if (x->place.literal != y->place.literal)
		return x->place.literal < y->place.literal ? -1 : 1;
	return x->place.offset < y->place.offset ? -1 : x->place.offset > y->place.offset;
}

/*
 * Bits in the bitmap: about 64 for each gram keeps chance hits near 1.5 %; between 4 KiB, which the first-level
 * cache does not notice, and 128 KiB, which the second still holds.
 */
static unsigned bitmap_bits_log2(size_t n_grams)
{
	unsigned log2 = 15;

	while (log2 < 20 && ((size_t)1 << log2) < n_grams * 64)
		log2++;
	return log2;
}

static void pass_init(struct pass *pass, struct draft *d)
{
	unsigned log2 = bitmap_bits_log2(d->n), slots_log2 = 4;

	qsort(d->grams, d->n, sizeof *d->grams, draft_order);
	pass->bitmap_shift = 32 - log2;
	pass->bitmap = xcalloc((size_t)1 << (log2 - 5), sizeof *pass->bitmap);
	while (((size_t)1 << slots_log2) < d->n * 2)
		slots_log2++;
	pass->slot_shift = 32 - slots_log2;
	pass->slots = xcalloc((size_t)1 << slots_log2, sizeof *pass->slots);
	pass->places = xmalloc(d->n * sizeof *pass->places);
	for (size_t i = 0, next; i < d->n; i = next) {
		uint32_t gram = d->grams[i].gram, h = gram_hash(gram) >> pass->bitmap_shift;
		uint32_t s = slot_index(pass, gram);

		pass->bitmap[h >> 5] |= UINT32_C(1) << (h & 31);
		while (pass->slots[s].n)
			s = (s + 1) & (((uint32_t)1 << slots_log2) - 1);
		for (next = i; next < d->n && d->grams[next].gram == gram; next++)
			pass->places[next] = d->grams[next].place;
		pass->slots[s] = (struct slot){ gram, (uint32_t)i, (uint32_t)(next - i) };
	}
	pass->n_places = d->n;
}

static void pass_release(struct pass *pass)
{
	free(pass->bitmap);
	free(pass->slots);
	free(pass->places);
}

struct prefilter *prefilter_new(const struct span *literals, size_t n)
{
	struct prefilter *p = xcalloc(1, sizeof *p);
	struct draft *longs = xcalloc(1, sizeof *longs), *shorts = xcalloc(1, sizeof *shorts);
	size_t size = 0, used = 0;

	for (size_t i = 0; i < n; i++)
		size += (literals[i].len < PREFILTER_LITERAL_MAX ? literals[i].len : PREFILTER_LITERAL_MAX) + 8;
	p->text = xcalloc(size + 8, 1);
	p->literals = xcalloc(n + 1, sizeof *p->literals);
	p->byte_literals = xcalloc(n + 1, sizeof *p->byte_literals);
	p->n_literals = n;
	for (size_t i = 0; i < n; i++) {
		size_t len = literals[i].len < PREFILTER_LITERAL_MAX ? literals[i].len : PREFILTER_LITERAL_MAX;
		bool bytes_only = len < PREFILTER_LITERAL_LONG && all_above_ascii(literals[i]);

		p->literals[i] = (struct literal){ (uint32_t)used, (uint32_t)len };
		for (size_t k = 0; k < len; k++)
			p->text[used + k] = (unsigned char)literals[i].ptr[k] | (bytes_only ? 0 : 0x20);
		used += len + 8;
		if (bytes_only) {
			if (len)
				p->byte_literals[p->n_byte_literals++] = (uint32_t)i;
		} else if (len >= PREFILTER_LITERAL_LONG) {
			for (unsigned alignment = 0; alignment < LONG_STRIDE; alignment++)
				draft_add(longs, p, (uint32_t)i, alignment, LONG_STRIDE, LONG_GRAM, LONG_MASK);
		} else if (len >= SHORT_GRAM) {
			draft_add(shorts, p, (uint32_t)i, 0, 1, SHORT_GRAM, SHORT_MASK);
		}
	}
	p->has_long = longs->n > 0;
	p->has_short = shorts->n > 0;
	if (p->has_long)
		pass_init(&p->long_pass, longs);
	if (p->has_short)
		pass_init(&p->short_pass, shorts);
	free(longs->grams);
	free(longs);
	free(shorts->grams);
	free(shorts);
	return p;
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
	const struct prefilter *prefilter;
	const unsigned char *text;
	size_t len;
	const struct record *records;
	size_t n_records, cursor;
	struct prefilter_hits *hits;
	size_t skip_to; /* nothing before this offset is of interest any more */
};

/* A literal's occurrence. Places come nearly in order, so that the cursor moves on by the records in between. */
static void sink_add(struct sink *s, uint32_t literal, size_t start, size_t len)
{
	struct prefilter_hits *hits = s->hits;
	size_t c = s->cursor;
	unsigned n = 0;

	while (c > 0 && (c == s->n_records || s->records[c].offset > start))
		c--;
	while (c < s->n_records && (size_t)s->records[c].offset + s->records[c].len <= start)
		c++;
	s->cursor = c;
	if (c == s->n_records || s->records[c].offset > start ||
	    start + len > (size_t)s->records[c].offset + s->records[c].len)
		return;
	if (hits->head[c] != PREFILTER_ALL) {
		for (uint32_t h = hits->head[c]; h != PREFILTER_NONE; h = hits->hits[h].next, n++)
			if (hits->hits[h].literal == literal)
				return;
		if (n < LITERALS_PER_RECORD && hits->n_hits < PREFILTER_ALL) {
			ARRAY_GROW(hits->hits, hits->n_hits, hits->cap_hits);
			hits->hits[hits->n_hits] = (struct prefilter_hit){ literal, hits->head[c] };
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

/* The gram at this offset may be one of ours. */
static __attribute__((noinline)) void pass_confirm(const struct pass *pass, struct sink *s, size_t at, uint32_t mask)
{
	const struct prefilter *p = s->prefilter;
	uint32_t gram = (load32(s->text + at) | FOLD32) & mask;
	uint32_t slot_mask = (UINT32_C(1) << (32 - pass->slot_shift)) - 1;
	uint32_t i = slot_index(pass, gram);

	while (pass->slots[i].n && pass->slots[i].gram != gram)
		i = (i + 1) & slot_mask;
	for (uint32_t k = 0; k < pass->slots[i].n; k++) {
		const struct place *place = &pass->places[pass->slots[i].first + k];
		const struct literal *l = &p->literals[place->literal];

		if (at < place->offset || at - place->offset + l->len > s->len)
			continue;
		if (literal_equal(p->text + l->text, s->text + at - place->offset, l->len))
			sink_add(s, place->literal, at - place->offset, l->len);
	}
}

static inline __attribute__((always_inline)) void pass_scan(const struct pass *pass, struct sink *s, unsigned stride, uint32_t mask)
{
	const unsigned char *text = s->text;
	const uint32_t *bitmap = pass->bitmap;
	const unsigned shift = pass->bitmap_shift;
	size_t len = s->len, at = 0;

	s->cursor = 0;
	s->skip_to = 0;
	/* Grams may begin up to 3 strides behind the end: padding, and pass_confirm rejects what is found there. */
	while (at < len) {
		uint32_t hit[4];

		for (unsigned k = 0; k < 4; k++)
			hit[k] = bitmap_test(bitmap, shift, (load32(text + at + k * stride) | FOLD32) & mask);
		if ((hit[0] | hit[1] | hit[2] | hit[3]) & 1) {
			for (unsigned k = 0; k < 4; k++)
				if (hit[k] & 1)
					pass_confirm(pass, s, at + k * stride, mask);
			if (s->skip_to > at + 8 * stride) {
				/* Stay aligned to the stride, and in front of where the next record begins. */
				at = s->skip_to - s->skip_to % (4 * stride);
				continue;
			}
		}
		at += 4 * stride;
	}
}

static void byte_scan(struct sink *s, uint32_t index)
{
	const struct literal *l = &s->prefilter->literals[index];
	const unsigned char *literal = s->prefilter->text + l->text, *at = s->text, *end = s->text + s->len;

	s->cursor = 0;
	s->skip_to = 0;
	while (at < end && (at = memchr(at, literal[0], (size_t)(end - at)))) {
		if ((size_t)(end - at) >= l->len && memcmp(at, literal, l->len) == 0)
			sink_add(s, index, (size_t)(at - s->text), l->len);
		at++;
	}
}

void prefilter_scan(const struct prefilter *p, struct span block, const struct record_list *records,
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
	for (size_t i = 0; i < records->n; i++)
		hits->head[i] = records->items[i].flags & RECORD_ESCAPED ? PREFILTER_ALL : PREFILTER_NONE;
	if (!records->n)
		return;
	if (p->has_long)
		pass_scan(&p->long_pass, &s, LONG_STRIDE, LONG_MASK);
	if (p->has_short)
		pass_scan(&p->short_pass, &s, SHORT_STRIDE, SHORT_MASK);
	for (size_t i = 0; i < p->n_byte_literals; i++)
		byte_scan(&s, p->byte_literals[i]);
}

void prefilter_hits_release(struct prefilter_hits *hits)
{
	free(hits->head);
	free(hits->hits);
	*hits = (struct prefilter_hits)PREFILTER_HITS_INIT;
}
