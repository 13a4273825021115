/*
 * regex.c: decides which regexes a rule may use and with which PCRE2 options. Invariant: what passes here compiles in
 * the matcher too, and does so in bounded time and memory. It matches nothing.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "rule/regex.h"
#include <ctype.h>
#include <pcre2.h>

#define NESTING_MAX 100

/* May a letter stand for its other case anywhere in this pattern? (?i) in the middle counts. */
static bool may_be_caseless(struct span p, uint32_t options)
{
	if (options & PCRE2_CASELESS)
		return true;
	for (size_t i = 0; i + 2 < p.len; i++) {
		if (p.ptr[i] != '(' || p.ptr[i + 1] != '?')
			continue;
		for (size_t k = i + 2; k < p.len && (isalpha((unsigned char)p.ptr[k]) || p.ptr[k] == '-' || p.ptr[k] == '^'); k++)
			if (p.ptr[k] == 'i')
				return true;
	}
	return false;
}

static bool is_ascii(struct span p)
{
	for (size_t i = 0; i < p.len; i++)
		if ((unsigned char)p.ptr[i] > 127)
			return false;
	return true;
}

static int add_groups(struct loader *l, const struct yaml_node *at, const pcre2_code *code, struct field_set *fields)
{
	uint32_t n = 0, size = 0;
	PCRE2_SPTR table = NULL;

	pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &n);
	if (!n)
		return 0;
	pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &table);
	for (uint32_t i = 0; i < n; i++) {
		field_id f = add_field(l, at, span_from_string((const char *)table + i * size + 2));

		if (f == FIELD_NONE)
			return -1;
		field_set_add(fields, f);
	}
	return 0;
}

int regex_check(struct loader *l, const struct yaml_node *at, struct span pattern, uint32_t *options, struct field_set *fields)
{
	pcre2_compile_context *context;
	pcre2_code *code;
	int error, r = -1;
	size_t offset;

	*options |= PCRE2_NEVER_BACKSLASH_C;
	if (!(is_ascii(pattern) && may_be_caseless(pattern, *options)))
		*options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	if (pattern.len > REGEX_LENGTH_MAX) {
		report(l, DIAG_ERROR, at, "a regex longer than %u KiB", REGEX_LENGTH_MAX >> 10);
		return -1;
	}
	context = pcre2_compile_context_create(NULL);
	pcre2_set_parens_nest_limit(context, NESTING_MAX);
	code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, *options, &error, &offset, context);
	if (code) {
		r = add_groups(l, at, code, fields);
	} else {
		PCRE2_UCHAR text[256];

		pcre2_get_error_message(error, text, sizeof text);
		if (offset > pattern.len)
			offset = pattern.len;
		if (span_equal(pattern, at->text))
			report_in(l, DIAG_ERROR, at, offset, 1, "regex: %s", (char *)text);
		else
			report(l, DIAG_ERROR, at, "regex: %s (in \"%.*s\")", (char *)text, (int)(pattern.len < 200 ? pattern.len : 200),
			       pattern.ptr);
	}
	pcre2_code_free(code);
	pcre2_compile_context_free(context);
	return r;
}

/* ---- what must occur ---- */

struct scan {
	struct span p;
	size_t i;
	int depth;
};

static size_t scan_alternatives(struct scan *s);

/* Skips a class; the scan stands behind its "[". */
static void skip_class(struct scan *s)
{
	if (s->i < s->p.len && s->p.ptr[s->i] == '^')
		s->i++;
	if (s->i < s->p.len && s->p.ptr[s->i] == ']')
		s->i++;
	while (s->i < s->p.len && s->p.ptr[s->i] != ']') {
		if (s->p.ptr[s->i] == '\\')
			s->i++;
		else if (s->p.ptr[s->i] == '[' && s->i + 1 < s->p.len && s->p.ptr[s->i + 1] == ':') {
			s->i += 2;
			while (s->i < s->p.len && s->p.ptr[s->i] != ']')
				s->i++;
		}
		s->i++;
	}
	s->i++;
}

/* Reads a quantifier if one stands here; *ret_optional: zero times is allowed. */
static bool quantifier(struct scan *s, bool *ret_optional)
{
	char c = s->i < s->p.len ? s->p.ptr[s->i] : '\0';

	*ret_optional = c == '*' || c == '?';
	if (c == '{' && s->i + 1 < s->p.len && (isdigit((unsigned char)s->p.ptr[s->i + 1]) || s->p.ptr[s->i + 1] == ',')) {
		*ret_optional = s->p.ptr[s->i + 1] == '0' || s->p.ptr[s->i + 1] == ',';
		while (s->i < s->p.len && s->p.ptr[s->i] != '}')
			s->i++;
	} else if (c != '*' && c != '+' && c != '?') {
		return false;
	}
	s->i++;
	while (s->i < s->p.len && (s->p.ptr[s->i] == '?' || s->p.ptr[s->i] == '+'))
		s->i++;
	return true;
}

static size_t scan_group(struct scan *s)
{
	bool counts = true;
	size_t n;

	if (s->i < s->p.len && s->p.ptr[s->i] == '?') {
		char kind = s->i + 1 < s->p.len ? s->p.ptr[s->i + 1] : '\0', next = s->i + 2 < s->p.len ? s->p.ptr[s->i + 2] : '\0';

		/* Look-arounds, conditions, comments: not looked into. */
		counts = kind == ':' || kind == '>' || kind == '|' || kind == 'P' || kind == '\'' ||
			 (kind == '<' && next != '=' && next != '!') || isalpha((unsigned char)kind);
		while (s->i < s->p.len && s->p.ptr[s->i] != ')' && s->p.ptr[s->i] != '>' && s->p.ptr[s->i] != ':' &&
		       !(kind == '\'' && s->p.ptr[s->i] == '\'' && s->p.ptr[s->i - 1] != '?'))
			s->i++;
		if (s->i < s->p.len && s->p.ptr[s->i] != ')')
			s->i++;
	}
	if (++s->depth > NESTING_MAX) {
		s->i = s->p.len;
		return 0;
	}
	n = scan_alternatives(s);
	s->depth--;
	if (s->i < s->p.len)
		s->i++; /* ")" */
	return counts ? n : 0;
}

static size_t scan_sequence(struct scan *s)
{
	size_t best = 0, run = 0;

	while (s->i < s->p.len && s->p.ptr[s->i] != '|' && s->p.ptr[s->i] != ')') {
		char c = s->p.ptr[s->i++];
		bool literal = false, optional = false;
		size_t inner = 0;

		if (c == '(') {
			inner = scan_group(s);
		} else if (c == '[') {
			skip_class(s);
		} else if (c == '\\' && s->i < s->p.len) {
			char e = s->p.ptr[s->i++];

			if (e == 'b' || e == 'B')
				continue;
			literal = !isalnum((unsigned char)e);
		} else if (c == '^' || c == '$') {
			continue;
		} else {
			literal = c != '.';
		}
		if (quantifier(s, &optional)) {
			if (literal && !optional)
				run++;
			if (run > best)
				best = run;
			run = literal && !optional ? 1 : 0;
			if (!optional && inner > best)
				best = inner;
			continue;
		}
		if (inner > best)
			best = inner;
		run = literal ? run + 1 : 0;
		if (run > best)
			best = run;
	}
	return best;
}

static size_t scan_alternatives(struct scan *s)
{
	size_t least = scan_sequence(s);

	while (s->i < s->p.len && s->p.ptr[s->i] == '|') {
		size_t n;

		s->i++;
		n = scan_sequence(s);
		if (n < least)
			least = n;
	}
	return least;
}

size_t regex_required_bytes(struct span pattern)
{
	struct scan s = { pattern, 0, 0 };

	return scan_alternatives(&s);
}
