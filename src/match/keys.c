/*
 * Which key a record has is decided from its bytes alone, before it is parsed.
 *
 * Invariant: the parser would find the same. So only records that begin with a stamp of the common length are looked at, which carry no
 * escapes (nothing is stripped from them then), and a record of several lines, from whose lines CRs are stripped, is said to be of no known key only
 * when it is said to be of one. All others are KEYS_UNKNOWN, of which the caller may conclude nothing.
 *
 * How: the three bytes that every key and what closes it have at least lead to the keys that begin with them; each is compared 8 bytes at a time.
 */
#include "match/keys.h"

#include "base/memory.h"

#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint8_t hash3(const char *p)
{
	uint32_t v = (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8 | (uint32_t)(unsigned char)p[2] << 16;

	return (uint8_t)((v | UINT32_C(0x202020)) * UINT32_C(0x9E3779B1) >> 24);
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
	if ((differs(k, p, 0) | differs(k, p, 1)) || len < k->len)
		return false;
	for (unsigned i = 2; i * 8 < k->len; i++)
		if (differs(k, p, i))
			return false;
	return true;
}

bool keys_init(struct key_table *t, enum format f)
{
	unsigned char open[8] = { 0 }, mask[8] = { 0 };

	*t = (struct key_table){ .n_keys = 0 };
	if (!format_key(f, &t->place))
		return false;
	memcpy(open + 8 - t->place.open.len, t->place.open.ptr, t->place.open.len);
	memset(mask + 8 - t->place.open.len, 0xff, t->place.open.len);
	memcpy(&t->open, open, sizeof open);
	memcpy(&t->open_mask, mask, sizeof mask);
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
	char text[KEY_WORDS * 8];
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
	first = &t->first[hash3(text)];
	k->next = *first;
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

void keys_classify(const struct key_table *t, struct span block, const struct record_list *records, uint8_t *classes)
{
	const unsigned at = t->place.at;
	const uint8_t other = (uint8_t)KEYS_OTHER(t);

	for (size_t i = 0; i < records->n; i++) {
		const struct record *r = &records->items[i];
		const char *p = block.ptr + r->offset;
		uint8_t miss = r->lines == 1 ? other : KEYS_UNKNOWN, class;
		const struct key *key;

		if (__builtin_expect(r->flags != RECORD_STAMPED || r->len < at || p[STAMPED_LENGTH] != ' ' || !(*p >= '0' && *p <= '9'), 0)) {
			classes[i] = KEYS_UNKNOWN;
			continue;
		}
		if (__builtin_expect((load64(p + at - 8) & t->open_mask) != t->open, 0)) {
			classes[i] = miss;
			continue;
		}
		/* Nearly always the first key is it, or there is none: no branch tells these two apart. */
		class = t->first[hash3(p + at)];
		key = &t->keys[class];
		if (__builtin_expect(key->next != 0 || key->text.len > 16, 0)) {
			for (; class != 0; class = t->keys[class].next)
				if (key_text_at(&t->keys[class].text, p + at, r->len - at))
					break;
		} else {
			bool same = !(differs(&key->text, p + at, 0) | differs(&key->text, p + at, 1)) & (r->len - at >= key->text.len);

			class &= (uint8_t)-same;
		}
		classes[i] = (uint8_t)(class | (miss & (uint8_t)-(class == 0)));
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

uint64_t keys_excluded(const struct key *key, const struct key_table *t, struct span block, const struct record *r)
{
	const char *p = block.ptr + r->offset + t->place.at, *end = block.ptr + r->offset + r->len;
	const char *word = p + key->text.len;
	uint64_t excluded = 0;

	/* Of a record of several lines, or of a key in other letters, the parser may think otherwise. */
	for (unsigned i = 0; i * 8 < key->text.len; i++)
		if ((load64(p + i * 8) ^ key->text.text[i]) & key->text.mask[i])
			return 0;
	p = r->lines == 1 ? find_blank(word, (size_t)(end - word)) : NULL;
	if (!p++)
		return 0;
	for (size_t i = 0; i < key->n_beginnings; i++)
		if (key_text_at(&key->beginnings[i].text, p, (size_t)(end - p)))
			excluded |= key->beginnings[i].rules;
	return excluded;
}
