/*
 * Which key a record has is decided from its bytes alone, before it is parsed.
 *
 * Invariant: the parser would find the same. So only records that begin with a stamp of the common length are looked at, which carry no
 * escapes (nothing is stripped from them then), and a record of several lines, from whose lines CRs are stripped, is said to be of no known key only
 * when it is said to be of one. All others are KEYS_UNKNOWN, of which the caller may conclude nothing.
 *
 * How: the three bytes that every key and what closes it have at least lead to the keys that have them in common, short ones first. Nearly always the first of
 * them is it, or none is; of most keys 16 bytes are all there is to compare.
 */
#include "match/keys.h"

#include "base/memory.h"

#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The processor does not foresee where lines begin: their text is asked for so far ahead. */
#define PREFETCH_BYTES 1024

static inline uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* Of the first three of four readable bytes, letters in either case. */
static inline uint8_t hash3(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return (uint8_t)((v | UINT32_C(0x202020)) * (UINT32_C(0x9E3779B1) << 8) >> 24);
}

static bool is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* text: at most KEY_WORDS * 8 bytes. The first `verbatim` are compared as they are. */
static void key_text_init(struct key_text *k, struct span text, size_t verbatim)
{
	unsigned char bytes[KEY_WORDS * 8] = { 0 }, fold[KEY_WORDS * 8] = { 0 }, mask[KEY_WORDS * 8] = { 0 };

	for (size_t i = 0; i < text.len; i++) {
		fold[i] = i >= verbatim && is_letter(text.ptr[i]) ? 0x20 : 0;
		bytes[i] = (unsigned char)text.ptr[i] | fold[i];
		mask[i] = 0xff;
	}
	memcpy(k->text, bytes, sizeof bytes);
	memcpy(k->fold, fold, sizeof fold);
	memcpy(k->mask, mask, sizeof mask);
	k->len = (uint32_t)text.len;
}

/* What of 8 bytes at p differs from word i of the text; 0: nothing. */
static inline uint64_t differs(const struct key_text *k, const char *p, unsigned i)
{
	return ((load64(p + i * 8) | k->fold[i]) ^ k->text[i]) & k->mask[i];
}

/* Is it the text at p, of which len bytes are the record's? 24 bytes behind the first len are read in any case. Most texts are of two words at most. */
static inline bool key_text_at(const struct key_text *k, const char *p, size_t len)
{
	bool same = !(differs(k, p, 0) | differs(k, p, 1)) & (len >= k->len);

	for (unsigned i = 2; same && i * 8 < k->len; i++)
		same = !differs(k, p, i);
	return same;
}

static void key_begin_init(struct key_begin *b, const struct key_text *k)
{
	memcpy(b->text, k->text, sizeof b->text);
	memcpy(b->fold, k->fold, sizeof b->fold);
	b->ignored = k->len < 16 ? 0xffffu << k->len & 0xffff : 0;
	b->look_further[0] = false;
	b->look_further[1] = k->len > 16;
}

/* Is it at p? */
static inline bool key_begins(const struct key_begin *b, const char *p)
{
#ifdef __SSE2__
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), fold = _mm_loadu_si128((const __m128i *)(const void *)b->fold);
	__m128i text = _mm_loadu_si128((const __m128i *)(const void *)b->text);

	return ((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(v, fold), text)) | b->ignored) == 0xffff;
#else
	uint32_t same = b->ignored;

	for (unsigned i = 0; i < 16; i++)
		same |= (uint32_t)(((unsigned char)p[i] | b->fold[i]) == b->text[i]) << i;
	return same == 0xffff;
#endif
}

bool keys_init(struct key_table *t, enum format f)
{
	unsigned char open[8] = { 0 }, mask[8] = { 0 };

	*t = (struct key_table){ .n_keys = 0 };
	if (!format_key(f, &t->place))
		return false;
	open[STAMPED_LENGTH + 8 - t->place.at] = ' '; /* behind the stamp: it is looked at together with `open` */
	mask[STAMPED_LENGTH + 8 - t->place.at] = 0xff;
	memcpy(open + 8 - t->place.open.len, t->place.open.ptr, t->place.open.len);
	memset(mask + 8 - t->place.open.len, 0xff, t->place.open.len);
	memcpy(&t->open, open, sizeof open);
	memcpy(&t->open_mask, mask, sizeof mask);
	t->begins[KEYS_UNKNOWN].ignored = 0x10000; /* is never there */
	return true;
}

void keys_release(struct key_table *t)
{
	for (unsigned i = 1; i <= t->n_keys; i++)
		free(t->keys[i].beginnings);
	t->n_keys = 0;
}

unsigned keys_find(const struct key_table *t, struct span key)
{
	for (unsigned i = 1; i <= t->n_keys; i++)
		if (t->keys[i].len == key.len && memcmp(t->keys[i].exact, key.ptr, key.len) == 0)
			return i;
	return KEYS_UNKNOWN;
}

/* Control characters may be stripped, or end the line; what closes a key cannot be in it. */
static bool is_plain(const struct key_table *t, struct span key)
{
	if (key.len == 0 || key.len > KEY_LEN_MAX || t->place.close.len > KEY_WORDS * 8 - KEY_LEN_MAX)
		return false;
	for (size_t i = 0; i < key.len; i++)
		if ((unsigned char)key.ptr[i] < 0x20 || memchr(t->place.close.ptr, key.ptr[i], t->place.close.len) ||
		    (key.ptr[i] >= 'A' && key.ptr[i] <= 'Z'))
			return false;
	return key.len + t->place.close.len >= 3;
}

unsigned keys_add(struct key_table *t, struct span key)
{
	unsigned class = keys_find(t, key);
	char text[KEY_WORDS * 8] = "";
	struct key *k;
	uint8_t *first;

	if (class != KEYS_UNKNOWN || t->n_keys == KEYS_MAX || !is_plain(t, key))
		return class;
	class = ++t->n_keys;
	k = &t->keys[class];
	*k = (struct key){ .len = (uint32_t)key.len };
	memcpy(k->exact, key.ptr, key.len);
	memcpy(text, key.ptr, key.len);
	memcpy(text + key.len, t->place.close.ptr, t->place.close.len);
	key_text_init(&k->text, span_of(text, key.len + t->place.close.len), 0);
	key_begin_init(&t->begins[class], &k->text);
	for (first = &t->first[hash3(text)]; *first != 0 && t->keys[*first].len <= key.len; first = &t->keys[*first].next)
		t->begins[*first].look_further[0] = true;
	k->next = *first;
	t->begins[class].look_further[0] = k->next != 0;
	*first = (uint8_t)class;
	return class;
}

bool keys_add_beginning(struct key_table *t, unsigned class, struct span text, size_t verbatim, uint64_t rules)
{
	struct key *k = &t->keys[class];
	struct key_beginning b = { .rules = rules };

	if (text.len > KEY_WORDS * 8)
		return false;
	key_text_init(&b.text, text, verbatim);
	for (size_t i = 0; i < k->n_beginnings; i++)
		if (memcmp(&k->beginnings[i].text, &b.text, sizeof b.text) == 0) {
			k->beginnings[i].rules |= rules;
			return true;
		}
	ARRAY_GROW(k->beginnings, k->n_beginnings, k->cap_beginnings);
	k->beginnings[k->n_beginnings++] = b;
	return true;
}

/* The class of any record, whatever it is. */
static __attribute__((noinline)) uint8_t class_of(const struct key_table *t, const char *p, const struct record *r)
{
	const size_t at = t->place.at;
	unsigned class;

	if (r->flags != RECORD_STAMPED || r->len < at || (unsigned char)(*p - '0') > 9 || p[STAMPED_LENGTH] != ' ')
		return KEYS_UNKNOWN;
	class = (load64(p + at - 8) & t->open_mask) == t->open ? t->first[hash3(p + at)] : 0;
	while (class != 0 && !key_text_at(&t->keys[class].text, p + at, r->len - at))
		class = t->keys[class].next;
	return (uint8_t)(class != 0 ? class : r->lines == 1 ? KEYS_OTHER(t) : KEYS_UNKNOWN);
}

void keys_classify(const struct key_table *t, struct span block, const struct record *records, size_t n, uint8_t *classes)
{
	const size_t at = t->place.at;
	const uint64_t open = t->open, open_mask = t->open_mask;
	const unsigned other = KEYS_OTHER(t);
	const struct key_begin *begins = t->begins;

	for (size_t i = 0; i < n; i++) {
		const struct record *r = &records[i];
		const char *p = block.ptr + r->offset;
		const struct key_begin *begin;
		unsigned class;
		bool same;

		__builtin_prefetch(p + PREFETCH_BYTES);
		/* Only of the last record what follows it might be taken for the rest of its key: behind all others is a newline. */
		if (__builtin_expect(r->flags != RECORD_STAMPED || r->lines != 1 || r->len < at || (unsigned char)(*p - '0') > 9 ||
				     (load64(p + at - 8) & open_mask) != open || i + 1 == n, 0)) {
			classes[i] = class_of(t, p, r);
			continue;
		}
		/* Nearly always the first key is it, or there is none: no branch tells these two apart. */
		class = t->first[hash3(p + at)];
		begin = &begins[class];
		same = key_begins(begin, p + at);
		classes[i] = (uint8_t)(other ^ ((other ^ class) & -(unsigned)same));
		if (__builtin_expect(begin->look_further[same], 0))
			classes[i] = class_of(t, p, r);
	}
}

/* The first blank in the len bytes at p; NULL: none of the first 32 is one. 32 readable bytes are required. */
static inline const char *find_blank(const char *p, size_t len)
{
#ifdef __SSE2__
	const __m128i blank = _mm_set1_epi8(' ');
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)p), b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
	uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, blank)) | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, blank)) << 16;

	return mask && (unsigned)__builtin_ctz(mask) < len ? p + __builtin_ctz(mask) : NULL;
#else
	return len ? memchr(p, ' ', len < 32 ? len : 32) : NULL;
#endif
}

/* Is it the text at p, byte for byte? */
static inline bool key_exact_at(const struct key_text *k, const char *p)
{
	uint64_t differ = ((load64(p) ^ k->text[0]) & k->mask[0]) | ((load64(p + 8) ^ k->text[1]) & k->mask[1]);

	for (unsigned i = 2; i * 8 < k->len; i++)
		differ |= (load64(p + i * 8) ^ k->text[i]) & k->mask[i];
	return differ == 0;
}

/* What stands behind the blank that ends the word behind the record's key; NULL: it cannot be told what the parser thinks of it. */
static inline const char *behind_word(const struct key *key, const struct key_table *t, const char *p, const struct record *r)
{
	const char *word = p + t->place.at + key->text.len, *end = p + r->len;

	/* Of a record of several lines, or of a key in other letters, the parser may think otherwise. */
	if (!key_exact_at(&key->text, p + t->place.at) || r->lines != 1)
		return NULL;
	p = find_blank(word, (size_t)(end - word));
	return p ? p + 1 : NULL;
}

/* Is it the text at p, of which len bytes are the record's? Few are of more than three words. */
static inline bool key_text_same(const struct key_text *k, const char *p, size_t len)
{
	bool same = !(differs(k, p, 0) | differs(k, p, 1) | differs(k, p, 2)) & (len >= k->len);

	for (unsigned i = 3; __builtin_expect(i * 8 < k->len, 0) && same; i++)
		same = !differs(k, p, i);
	return same;
}

uint64_t keys_excluded(const struct key *key, const struct key_table *t, struct span block, const struct record *r)
{
	const char *p = behind_word(key, t, block.ptr + r->offset, r), *end = block.ptr + r->offset + r->len;
	uint64_t excluded = 0;

	if (!p)
		return 0;
	/* No branch tells which of them it is. */
	for (size_t i = 0; i < key->n_beginnings; i++) {
		const struct key_beginning *b = &key->beginnings[i];

		excluded |= b->rules & -(uint64_t)key_text_same(&b->text, p, (size_t)(end - p));
	}
	return excluded;
}

bool key_word_init(struct key_word *w, struct span end, struct span behind)
{
	struct key_text text;

	if (end.len == 0 || behind.len > KEY_WORDS * 8)
		return false;
	if (end.len > 8)
		end = span_from(end, end.len - 8);
	char padded[8] = { 0 };
	memcpy(padded + 8 - end.len, end.ptr, end.len);
	key_text_init(&text, span_of(padded, 8), 0);
	w->end = text.text[0];
	w->fold = text.fold[0];
	memset(&w->mask, 0, sizeof w->mask);
	memset((char *)&w->mask + 8 - end.len, 0xff, end.len);
	key_text_init(&w->behind, behind, behind.len);
	return true;
}

bool keys_word_differs(const struct key_word *w, const struct key *key, const struct key_table *t, struct span block, const struct record *r)
{
	const char *p = behind_word(key, t, block.ptr + r->offset, r), *end = block.ptr + r->offset + r->len;

	if (!p || p[-2] == '/' || !key_text_same(&w->behind, p, (size_t)(end - p)))
		return false;
	return (((load64(p - 9) | w->fold) ^ w->end) & w->mask) != 0;
}
