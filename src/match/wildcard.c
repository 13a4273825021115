/*
 * Wildcards: the pieces of a pattern are found one after the other, each as far to the left as it will go, the last one at the
 * end. That is enough: where a later place would do for a piece, the earliest does too, and leaves more for those
 * behind it.
 *
 * "?" takes one UTF-8 character, or one byte where there is none. What "*" takes is any run of bytes.
 */
#include "match/wildcard.h"

#include "base/quote.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NOT_FOUND SIZE_MAX
#define ANY_CHARACTER '\0' /* "?" in a piece */

/* Eight at a time: the high bit of each byte that is from A to Z becomes the bit by which small letters differ. */
static inline uint64_t fold_word(uint64_t x)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f), ones = UINT64_C(0x0101010101010101);
	uint64_t bytes = x & low;

	return x + (((bytes + ones * (0x80 - 'A')) & ~(bytes + ones * (0x80 - 'Z' - 1)) & ~x & ~low) >> 2);
}

static inline bool word_equals(const char *folded, const char *text)
{
	uint64_t x, y;

	memcpy(&x, text, sizeof x);
	memcpy(&y, folded, sizeof y);
	return x == y || fold_word(x) == y; /* most text is lower-case already */
}

void fold_ascii(char *to, const char *from, size_t len)
{
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t x;

		memcpy(&x, from + i, sizeof x);
		x = fold_word(x);
		memcpy(to + i, &x, sizeof x);
	}
	for (; i < len; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = (char)(c + ((unsigned char)(c - 'A') < 26 ? 32 : 0));
	}
}

bool equal_folded(const char *folded, const char *text, size_t len)
{
	size_t i = 0;

	for (; len - i >= 8; i += 8)
		if (!word_equals(folded + i, text + i))
			return false;
	if (len >= 8) /* the last eight, which overlap */
		return word_equals(folded + len - 8, text + len - 8);
	for (; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((unsigned char)(c + ((unsigned char)(c - 'A') < 26 ? 32 : 0)) != (unsigned char)folded[i])
			return false;
	}
	return true;
}

/* What to set in a byte so that it equals this one, which is not A–Z, in either case. */
static char case_bit(char c)
{
	return c >= 'a' && c <= 'z' ? 0x20 : 0;
}

#ifdef __SSE2__
/* The places of the 16 at p where the text's first and last bytes stand: a bit each. */
static inline unsigned places_at(const char *p, struct span folded, __m128i first, __m128i first_case, __m128i last, __m128i last_case)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + folded.len - 1));

	return (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(a, first_case), first),
							 _mm_cmpeq_epi8(_mm_or_si128(b, last_case), last)));
}
#endif

bool contains_folded(struct span value, struct span folded)
{
	char first = folded.ptr[0], first_case = case_bit(first);
	size_t n_places = value.len - folded.len + 1, i = 0;

	if (value.len < folded.len)
		return false;
#ifdef __SSE2__
	char last = folded.ptr[folded.len - 1];
	const __m128i v_first = _mm_set1_epi8(first), v_first_case = _mm_set1_epi8(first_case);
	const __m128i v_last = _mm_set1_epi8(last), v_last_case = _mm_set1_epi8(case_bit(last));

	/* The last 16 places overlap those before them. */
	while (n_places >= 16 && i < n_places) {
		size_t at = i + 16 <= n_places ? i : n_places - 16;

		for (unsigned bits = places_at(value.ptr + at, folded, v_first, v_first_case, v_last, v_last_case); bits; bits &= bits - 1)
			if (equal_folded(folded.ptr, value.ptr + at + (unsigned)__builtin_ctz(bits), folded.len))
				return true;
		i += 16;
	}
#endif
	for (; i < n_places; i++)
		if ((value.ptr[i] | first_case) == first && equal_folded(folded.ptr, value.ptr + i, folded.len))
			return true;
	return false;
}

static size_t character_len(struct span value, size_t at)
{
	size_t len;

	if ((unsigned char)value.ptr[at] < 0x80)
		return 1;
	len = utf8_sequence(value.ptr + at, value.len - at);
	return len ? len : 1;
}

/* Where the piece ends when it begins at this offset; NOT_FOUND when it does not stand there. */
static size_t piece_at(struct span piece, struct span value, size_t at)
{
	for (size_t i = 0; i < piece.len; i++) {
		if (at >= value.len)
			return NOT_FOUND;
		if (piece.ptr[i] == ANY_CHARACTER)
			at += character_len(value, at);
		else if (piece.ptr[i] == value.ptr[at])
			at++;
		else
			return NOT_FOUND;
	}
	return at;
}

/* Where the first occurrence of the piece from this offset on ends. */
static size_t piece_find(struct span piece, struct span value, size_t at)
{
	if (!piece.len)
		return at;
	if (!memchr(piece.ptr, ANY_CHARACTER, piece.len)) {
		const char *found = memmem(value.ptr + at, value.len - at, piece.ptr, piece.len);

		return found ? (size_t)(found - value.ptr) + piece.len : NOT_FOUND;
	}
	while (value.len - at >= piece.len) {
		size_t end;

		if (piece.ptr[0] != ANY_CHARACTER) {
			const char *first = memchr(value.ptr + at, piece.ptr[0], value.len - at);

			if (!first)
				return NOT_FOUND;
			at = (size_t)(first - value.ptr);
		}
		end = piece_at(piece, value, at);
		if (end != NOT_FOUND)
			return end;
		at += character_len(value, at);
	}
	return NOT_FOUND;
}

/* Not inside a character. */
static bool is_boundary(struct span value, size_t at)
{
	for (size_t back = 1; back < 4 && back <= at && at < value.len; back++)
		if (character_len(value, at - back) > back)
			return false;
	return true;
}

/* Does the piece stand at the end of the value, not before this offset? */
static bool piece_at_end(struct span piece, struct span value, size_t from)
{
	size_t n_any = 0;

	for (size_t i = 0; i < piece.len; i++)
		n_any += piece.ptr[i] == ANY_CHARACTER;
	/* Each "?" takes 1 to 4 bytes. */
	for (size_t len = piece.len; len <= piece.len + 3 * n_any && len <= value.len - from; len++)
		if (piece_at(piece, value, value.len - len) == value.len && is_boundary(value, value.len - len))
			return true;
	return false;
}

bool wildcard_matches(const struct string_pattern *p, struct span value)
{
	unsigned i = 0, last = p->open_end ? p->n_pieces : p->n_pieces - 1U;
	size_t at = 0;

	if (!p->n_pieces)
		return p->open_start || p->open_end || value.len == 0;
	if (!p->open_start) {
		at = piece_at(p->pieces[0], value, 0);
		if (at == NOT_FOUND)
			return false;
		if (p->n_pieces == 1)
			return p->open_end || at == value.len;
		i = 1;
	}
	for (; i < last; i++) {
		at = piece_find(p->pieces[i], value, at);
		if (at == NOT_FOUND)
			return false;
	}
	return p->open_end || piece_at_end(p->pieces[last], value, at);
}
