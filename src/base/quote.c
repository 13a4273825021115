/*
 * quote.c: decides how bytes that anybody may have written are shown to a
 * shell, a JSON reader and a terminal. Invariants: what quote_shell() appends is
 * one word to any POSIX shell and gives back the same bytes; what quote_json()
 * appends is valid UTF-8 and valid JSON; what quote_terminal() appends holds no
 * byte or character that a terminal obeys. Whether the words make sense is not
 * decided here. Time is linear in the input.
 */
#include "base/quote.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <assert.h>

/*
 * How many of the bytes at p are the beginning of a well-formed sequence
 * (Unicode 15, table 3-7): all of it when *ret_whole, else the maximal subpart
 * (0 when not even the first byte can begin one).
 */
static size_t utf8_prefix(const char *p, size_t len, bool *ret_whole)
{
	unsigned char c = (unsigned char)p[0], low = 0x80, high = 0xbf;
	size_t want;

	*ret_whole = false;
	if (c < 0x80) {
		*ret_whole = true;
		return 1;
	}
	if (c < 0xc2 || c > 0xf4)
		return 0;
	if (c < 0xe0) {
		want = 2;
	} else if (c < 0xf0) {
		want = 3;
		if (c == 0xe0)
			low = 0xa0; /* overlong */
		else if (c == 0xed)
			high = 0x9f; /* surrogates */
	} else {
		want = 4;
		if (c == 0xf0)
			low = 0x90; /* overlong */
		else if (c == 0xf4)
			high = 0x8f; /* above U+10FFFF */
	}
	for (size_t i = 1; i < want; i++) {
		if (i == len || (unsigned char)p[i] < low || (unsigned char)p[i] > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	*ret_whole = true;
	return want;
}

size_t utf8_sequence(const char *p, size_t len)
{
	bool whole;
	size_t n = utf8_prefix(p, len, &whole);

	return whole ? n : 0;
}

static bool is_plain_shell(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_@%+=:,./-", c));
}

void quote_shell(struct buffer *out, struct span word)
{
	bool plain = word.len > 0 && word.ptr[0] != '=';
	size_t run = 0;

	for (size_t i = 0; i < word.len; i++) {
		assert(word.ptr[i] != '\0');
		if (!is_plain_shell((unsigned char)word.ptr[i]))
			plain = false;
	}
	if (plain) {
		buffer_append_span(out, word);
		return;
	}
	buffer_append_char(out, '\'');
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] != '\'')
			continue;
		buffer_append(out, word.ptr + run, i - run);
		buffer_append(out, "'\\''", 4);
		run = i + 1;
	}
	if (word.len > run)
		buffer_append(out, word.ptr + run, word.len - run);
	buffer_append_char(out, '\'');
}

static void escape_json(struct buffer *out, unsigned c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', digits[c >> 4 & 15], digits[c & 15] };
	char letter = 0;

	switch (c) {
	case '"':
	case '\\':
		letter = (char)c;
		break;
	case '\b':
		letter = 'b';
		break;
	case '\t':
		letter = 't';
		break;
	case '\n':
		letter = 'n';
		break;
	case '\f':
		letter = 'f';
		break;
	case '\r':
		letter = 'r';
		break;
	}
	if (letter) {
		text[1] = letter;
		buffer_append(out, text, 2);
	} else {
		buffer_append(out, text, sizeof text);
	}
}

#ifdef __SSE2__
/* Fewer than 16 bytes, and zeros behind them. */
static inline __m128i load_few(const char *p, size_t len)
{
	uint64_t first = 0, rest = 0;
	uint32_t a, b;

	if (len >= 8) {
		memcpy(&first, p, 8);
		memcpy(&rest, p + len - 8, 8);
		rest = rest >> 8 >> (120 - 8 * len); /* by 64 when there is none */
	} else if (len >= 4) {
		memcpy(&a, p, 4);
		memcpy(&b, p + len - 4, 4);
		first = a | (uint64_t)b << (8 * len - 32);
	} else if (len) {
		first = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[len / 2] << (len / 2 * 8) |
			(uint64_t)(unsigned char)p[len - 1] << (len * 8 - 8);
	}
	return _mm_set_epi64x((long long)rest, (long long)first);
}

/* A bit for each of 16 bytes that does not stand in a JSON string as it is. */
static inline unsigned not_plain_json(__m128i v)
{
	/* Compared as signed: bytes from 0x80 on are below all others. */
	__m128i good = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8(0x1f)), _mm_cmplt_epi8(v, _mm_set1_epi8(0x7f)));
	__m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

	return ~(unsigned)_mm_movemask_epi8(_mm_andnot_si128(bad, good)) & 0xffff;
}
#endif

/* Copies the bytes from p on that stand in a JSON string as they are, and returns how many. It writes up to 16 bytes more. */
static size_t copy_plain_json(char *to, const char *p, size_t len)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; i < len; i += 16) {
		size_t left = len - i;
		__m128i v = left >= 16 ? _mm_loadu_si128((const __m128i *)(const void *)(p + i)) : load_few(p + i, left);
		unsigned bad = not_plain_json(v);

		_mm_storeu_si128((__m128i *)(void *)(to + i), v);
		if (bad) /* what is behind the end is */
			return i + (unsigned)__builtin_ctz(bad);
	}
#else
	for (; i < len && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\'; i++)
		to[i] = p[i];
#endif
	return i;
}

void quote_json(struct buffer *out, struct span text)
{
	const char *p = text.ptr;
	size_t i = 0;

	buffer_append_char(out, '"');
	for (;;) {
		unsigned char c;
		bool whole;
		size_t n;

		/* All of the rest, what is written too much, and the quote. */
		buffer_reserve(out, text.len - i + 16 + 1);
		n = copy_plain_json(out->data + out->len, p + i, text.len - i);
		out->len += n;
		i += n;
		if (i == text.len)
			break;
		c = (unsigned char)p[i];
		n = utf8_prefix(p + i, text.len - i, &whole);
		if (!whole)
			buffer_append(out, "\xef\xbf\xbd", 3);
		else if (c < 0x80)
			escape_json(out, c);
		else if (c == 0xc2 && (unsigned char)p[i + 1] < 0xa0)
			escape_json(out, (unsigned char)p[i + 1]);
		else
			buffer_append(out, p + i, n);
		i += n ? n : 1;
	}
	out->data[out->len++] = '"';
}

static bool is_bidi_control(const char *p, size_t n)
{
	unsigned char last;

	if (n != 3 || (unsigned char)p[0] != 0xe2)
		return false;
	last = (unsigned char)p[2];
	return ((unsigned char)p[1] == 0x80 && last >= 0xaa && last <= 0xae) || /* U+202A..U+202E */
	       ((unsigned char)p[1] == 0x81 && last >= 0xa6 && last <= 0xa9);   /* U+2066..U+2069 */
}

void quote_terminal(struct buffer *out, struct span text)
{
	const char *p = text.ptr;
	size_t i = 0, run = 0;

	while (i < text.len) {
		unsigned char c = (unsigned char)p[i];
		size_t n = 1;

		if (c >= 0x20 && c < 0x7f) {
			i++;
			continue;
		}
		if (c >= 0x80) {
			n = utf8_sequence(p + i, text.len - i);
			if (n && !(c == 0xc2 && (unsigned char)p[i + 1] < 0xa0) && !is_bidi_control(p + i, n)) {
				i += n;
				continue;
			}
		}
		if (i > run)
			buffer_append(out, p + run, i - run);
		if (c == '\n')
			buffer_append_string(out, "\\n");
		else if (c < 0x80)
			buffer_printf(out, "^%c", c ^ 0x40); /* DEL is ^? */
		else if (n == 0)
			buffer_printf(out, "\\x%02X", c);
		else if (n == 2)
			buffer_printf(out, "\\x%02X", (unsigned char)p[i + 1]);
		else
			buffer_printf(out, "\\u{%04X}",
				      0x2000 | (unsigned)(p[i + 1] & 0x3f) << 6 | (unsigned)(p[i + 2] & 0x3f));
		i += n ? n : 1;
		run = i;
	}
	if (i > run)
		buffer_append(out, p + run, i - run);
}

struct span utf8_cut(struct span s, size_t limit)
{
	size_t start;

	if (s.len <= limit)
		return s;
	/* Only a character that straddles the limit is given up; stray continuation bytes are cut where they are. */
	for (start = limit; start > 0 && limit - start < 3; start--) {
		size_t n = utf8_sequence(s.ptr + start - 1, s.len - start + 1);

		if (n > 0)
			return span_of(s.ptr, n > limit - start + 1 ? start - 1 : limit);
	}
	return span_of(s.ptr, limit);
}

void quote_terminal_cut(struct buffer *out, struct span text, size_t limit)
{
	struct span shown = utf8_cut(text, limit);

	quote_terminal(out, shown);
	if (shown.len < text.len)
		buffer_append_string(out, "…");
}
