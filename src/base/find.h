/*
 * find.h: a byte in text that has readable bytes behind it, as blocks have (block.h). Names are short: most searches end here, without a call.
 */
#ifndef TOCSIN_BASE_FIND_H
#define TOCSIN_BASE_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* So many bytes from the beginning on must be readable, however short the text is. */
#define FIND_BYTES 64

/* Where c stands first in the len bytes at p; NULL: nowhere. */
static inline const char *find_byte(const char *p, size_t len, char c)
{
#ifdef __SSE2__
	const __m128i wanted = _mm_set1_epi8(c);
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)p), b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
	uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, wanted)) | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, wanted)) << 16;

	if (__builtin_expect(mask != 0, 1))
		return (unsigned)__builtin_ctz(mask) < len ? p + __builtin_ctz(mask) : NULL;
	return len > 32 ? memchr(p + 32, c, len - 32) : NULL;
#else
	return len ? memchr(p, c, len) : NULL;
#endif
}

/* Is c in none of the len bytes at p, nor behind them up to FIND_BYTES? False: it may be in them, or not. */
static inline bool find_none(const char *p, size_t len, char c)
{
#ifdef __SSE2__
	const __m128i wanted = _mm_set1_epi8(c);
	const __m128i *v = (const __m128i *)(const void *)p;
	__m128i a = _mm_or_si128(_mm_cmpeq_epi8(_mm_loadu_si128(v), wanted), _mm_cmpeq_epi8(_mm_loadu_si128(v + 1), wanted));
	__m128i b = _mm_or_si128(_mm_cmpeq_epi8(_mm_loadu_si128(v + 2), wanted), _mm_cmpeq_epi8(_mm_loadu_si128(v + 3), wanted));

	return len <= FIND_BYTES && !_mm_movemask_epi8(_mm_or_si128(a, b));
#else
	return !len || !memchr(p, c, len);
#endif
}

#endif
