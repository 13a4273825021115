/*
 * json.c: the scanner of JSON lines. It keeps a stack of at most JSON_DEPTH_LIMIT containers and the name that leads to
 * where it is; it never goes back, so a line costs one pass however it is nested. It decides only what is
 * JSON and what is not; what the names mean is for the formats.
 */
#include "record/json.h"
#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { EXPECT_START, EXPECT_FIRST, EXPECT_MEMBER, EXPECT_AFTER, EXPECT_NOTHING };

void json_scan(struct json_scanner *s, struct span line)
{
	s->p = line.ptr;
	s->end = line.ptr + line.len;
	s->depth = 0;
	s->expect = EXPECT_START;
}

static void skip_space(struct json_scanner *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* The first quote, backslash or control character from p on; end when there is none. */
static const char *find_special(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)),
					   _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
		int mask = _mm_movemask_epi8(hit);

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind the opening quote; *ret is what stands between the quotes. */
static bool scan_string(struct json_scanner *s, struct span *ret, bool *ret_escaped)
{
	const char *start = s->p;

	*ret_escaped = false;
	for (;;) {
		const char *p = find_special(s->p, s->end);

		if (p == s->end || (*p != '"' && *p != '\\'))
			return false;
		if (*p == '"') {
			*ret = span_of(start, (size_t)(p - start));
			s->p = p + 1;
			return true;
		}
		*ret_escaped = true;
		if (s->end - p < 2)
			return false;
		if (p[1] == 'u') {
			if (s->end - p < 6)
				return false;
			for (int i = 2; i < 6; i++) {
				if (hex_digit(p[i]) < 0)
					return false;
			}
			s->p = p + 6;
		} else {
			if (p[1] == '\0' || !strchr("\"\\/bfnrt", p[1]))
				return false;
			s->p = p + 2;
		}
	}
}

static unsigned hex4(const char *p)
{
	return (unsigned)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

/* Resolves the escapes of a string that scan_string took. Never longer than its input. Returns the length. */
static size_t unescape(struct span in, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = in.ptr, *end = in.ptr + in.len;
	char *o = out;

	while (p < end) {
		const char *backslash = memchr(p, '\\', (size_t)(end - p));
		size_t n = (size_t)((backslash ? backslash : end) - p);
		unsigned c;

		memcpy(o, p, n);
		o += n;
		p += n;
		if (p == end)
			break;
		if (p[1] != 'u') {
			*o++ = to[strchr(from, p[1]) - from];
			p += 2;
			continue;
		}
		c = hex4(p + 2);
		p += 6;
		if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2) >= 0xdc00 &&
		    hex4(p + 2) < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
			p += 6;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = 0xfffd;
		}
		o += utf8_put(o, c);
	}
	return (size_t)(o - out);
}

struct span json_leaf_text(const struct json_leaf *leaf, struct arena *arena)
{
	char *copy;

	if (!leaf->escaped)
		return leaf->text;
	copy = arena_alloc(arena, leaf->text.len);
	return span_of(copy, unescape(leaf->text, copy));
}

static bool scan_digits(struct json_scanner *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start;
}

static bool scan_number(struct json_scanner *s)
{
	if (s->p < s->end && *s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!scan_digits(s))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!scan_digits(s))
			return false;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!scan_digits(s))
			return false;
	}
	return true;
}

static bool scan_word(struct json_scanner *s, struct span word)
{
	if ((size_t)(s->end - s->p) < word.len || memcmp(s->p, word.ptr, word.len) != 0)
		return false;
	s->p += word.len;
	return true;
}

/* A string, number, true, false or null. */
static bool scan_scalar(struct json_scanner *s, struct json_leaf *ret)
{
	const char *start = s->p;

	ret->escaped = false;
	switch (*s->p) {
	case '"':
		s->p++;
		ret->kind = VALUE_STRING;
		return scan_string(s, &ret->text, &ret->escaped);
	case 't':
	case 'f':
		ret->kind = VALUE_BOOL;
		if (!scan_word(s, *s->p == 't' ? SPAN("true") : SPAN("false")))
			return false;
		break;
	case 'n':
		ret->kind = VALUE_NULL;
		ret->text = SPAN("");
		return scan_word(s, SPAN("null"));
	default:
		ret->kind = VALUE_NUMBER;
		if (!scan_number(s))
			return false;
		break;
	}
	ret->text = span_of(start, (size_t)(s->p - start));
	return true;
}

static bool push(struct json_scanner *s, bool is_object, size_t name_len)
{
	if (s->depth == JSON_DEPTH_LIMIT)
		return false;
	s->is_object[s->depth] = is_object;
	s->name_len[s->depth] = name_len;
	s->depth++;
	s->expect = EXPECT_FIRST;
	s->p++;
	return true;
}

/* Reads "key": and puts it behind the name of its object; *ret_len is the length of both. */
static bool scan_key(struct json_scanner *s, size_t *ret_len)
{
	size_t at = s->name_len[s->depth - 1];
	struct span key;
	bool escaped;

	if (s->p == s->end || *s->p != '"')
		return false;
	s->p++;
	if (!scan_string(s, &key, &escaped))
		return false;
	skip_space(s);
	if (s->p == s->end || *s->p != ':')
		return false;
	s->p++;
	skip_space(s);
	*ret_len = JSON_NAME_LIMIT + 1;
	if (at + 1 + key.len > JSON_NAME_LIMIT)
		return true;
	if (s->depth > 1)
		s->name[at++] = '.';
	if (escaped) {
		*ret_len = at + unescape(key, s->name + at);
	} else {
		memcpy(s->name + at, key.ptr, key.len);
		*ret_len = at + key.len;
	}
	return true;
}

enum json_result json_next(struct json_scanner *s, struct json_leaf *ret)
{
	for (;;) {
		size_t name_len = 0;

		skip_space(s);
		if (s->expect == EXPECT_NOTHING)
			return s->p == s->end ? JSON_END : JSON_DAMAGED;
		if (s->p == s->end)
			return JSON_DAMAGED;
		if (s->expect == EXPECT_START) {
			if (*s->p != '{' || !push(s, true, 0))
				return JSON_DAMAGED;
			continue;
		}
		if (s->expect == EXPECT_FIRST || s->expect == EXPECT_AFTER) {
			if (*s->p == (s->is_object[s->depth - 1] ? '}' : ']')) {
				s->p++;
				s->depth--;
				s->expect = s->depth ? EXPECT_AFTER : EXPECT_NOTHING;
				continue;
			}
			if (s->expect == EXPECT_AFTER) {
				if (*s->p != ',')
					return JSON_DAMAGED;
				s->p++;
				s->expect = EXPECT_MEMBER;
				continue;
			}
		}
		if (s->is_object[s->depth - 1]) {
			if (!scan_key(s, &name_len) || s->p == s->end)
				return JSON_DAMAGED;
		} else {
			name_len = s->name_len[s->depth - 1];
		}
		if (*s->p == '{' || *s->p == '[') {
			if (!push(s, *s->p == '{', name_len))
				return JSON_DAMAGED;
			continue;
		}
		if (!scan_scalar(s, ret))
			return JSON_DAMAGED;
		s->expect = EXPECT_AFTER;
		if (name_len > JSON_NAME_LIMIT)
			continue;
		ret->name = span_of(s->name, name_len);
		ret->depth = s->depth;
		return JSON_LEAF;
	}
}

struct span json_unescaped(struct span line, struct arena *arena)
{
	struct json_scanner s;
	struct json_leaf leaf;
	enum json_result result;
	char *copy;

	json_scan(&s, line);
	do {
		result = json_next(&s, &leaf);
	} while (result == JSON_LEAF);
	if (result == JSON_DAMAGED)
		return SPAN("");
	copy = arena_alloc(arena, line.len + 1);
	return span_of(copy, unescape(line, copy)); /* all backslashes stand in strings */
}
