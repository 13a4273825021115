/*
 * test_match.c: exact matching by tables, and the properties that make the prefilter safe: what a naive search finds the prefilter
 * finds; what PCRE2 matches holds one of the regex's literals; prefilter and match give what match alone gives.
 */
#include "base/cpu.h"
#include "match_rules.h"

#include "match/keys.h"
#include "match/literals.h"
#include "match/matcher.h"
#include "match/prefilter.h"
#include "match/wildcard.h"

#include <check.h>
#include <stdio.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static uint64_t seed;

static unsigned draw(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((seed >> 33) % below);
}

static const struct source *source_of(const char *name)
{
	size_t n;
	const struct source *s = builtin_sources(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].name, name) == 0)
			return &s[i];
	ck_abort_msg("no source %s", name);
	return NULL;
}

/* --- one atom, one value ------------------------------------------------------------------------------------------ */

/* Does this atom hold for an event with this value of the field reason (NULL: without one)? */
static bool atom_on(struct ruleset *rs, const struct expr *x, const struct span *value, enum value_kind kind)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct matcher *m = matcher_new(rs, source_of("town"), &diags);
	struct event e;
	bool holds;

	ck_assert_ptr_nonnull(m);
	event_init(&e, field_count(&rs->fields));
	if (value) {
		event_add(&e, FIELD_REASON, *value, kind);
		e.raw = *value;
	}
	holds = matcher_expr_holds(m, x, &e);
	event_release(&e);
	matcher_free(m);
	diag_list_release(&diags);
	return holds;
}

START_TEST(strings)
{
	static const struct {
		const char *pattern;
		struct span value;
		bool cased, holds;
	} cases[] = {
		{ "gt stop", SPAN("gt stop"), false, true },
		{ "gt stop", SPAN("GT Stop"), false, true },
		{ "GT Stop", SPAN("gt stop"), false, true },
		{ "GT Stop", SPAN("gt stop"), true, false },
		{ "gt stop", SPAN("gt stop "), false, false },
		{ "gt stop", SPAN("gt sto"), false, false },
		{ "", SPAN(""), false, true },
		{ "", SPAN("x"), false, false },
		{ "*", SPAN(""), false, true },
		{ "*", SPAN("anything"), false, true },
		{ "?*", SPAN(""), false, false },
		{ "?*", SPAN("x"), false, true },
		{ "self-clean*", SPAN("Self-Clean: idle"), false, true },
		{ "self-clean*", SPAN("self-clea"), false, false },
		{ "*idle", SPAN("self-clean: IDLE"), false, true },
		{ "*idle", SPAN("idle "), false, false },
		{ "*clean*", SPAN("self-CLEAN: idle"), false, true },
		{ "*clean*", SPAN("self-CLEAN: idle"), true, false },
		{ "*clean*", SPAN("clea"), false, false },
		{ "a*b*c", SPAN("a b c"), false, true },
		{ "a*b*c", SPAN("abc"), false, true },
		{ "a*b*c", SPAN("acb"), false, false },
		{ "a*bc", SPAN("abc bc"), false, true },
		{ "ab*ba", SPAN("aba"), false, false },
		{ "ab*ba", SPAN("abba"), false, true },
		{ "a?c", SPAN("abc"), false, true },
		{ "a?c", SPAN("ac"), false, false },
		{ "a?c", SPAN("a\xc3\xa9" "c"), false, true },
		{ "a??c", SPAN("a\xc3\xa9" "c"), false, false },
		{ "a??c", SPAN("a\xc3\xff" "c"), false, true },
		{ "a?c", SPAN("a\0c"), false, true },
		{ "a?c", SPAN("a\xe2\x84\xaa" "c"), false, true },
		{ "*\?c", SPAN("a\xe2\x84\xaa" "c"), false, true },
		{ "*?c*d?", SPAN("c c dd"), false, true },
		{ "*?c*d?", SPAN("c d"), false, false },
		{ "*??", SPAN("a\xf0\x9f\x98\x80"), false, true },
		{ "*???", SPAN("a\xf0\x9f\x98\x80"), false, false }, /* no character is cut */
		{ "*???", SPAN("a\x9f\x98\x80"), false, true },
		{ "\xc3\x89t\xc3\xa9", SPAN("\xc3\x89T\xc3\xa9"), false, true },
		{ "\xc3\x89t\xc3\xa9", SPAN("\xc3\xa9t\xc3\xa9"), false, false },
		{ "100\\*", SPAN("100*"), false, true },
		{ "100\\*", SPAN("1000"), false, false },
		{ "what\\?", SPAN("what?"), false, true },
		{ "what\\?", SPAN("whats"), false, false },
		{ "a\\\\*", SPAN("a\\b"), false, true },
		{ "a*", SPAN("a\nb"), false, true },
		{ "[x]", SPAN("{x}"), false, false },
		{ "a_b", SPAN("a\x7f" "b"), false, false },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;
		struct atom a = { .op = ATOM_STRING, .field = FIELD_REASON };

		rules_init(&rs);
		a.pattern = pattern_make(&rs.arena, span_from_string(cases[i].pattern), cases[i].cased);
		ck_assert_msg(atom_on(&rs, expr_atom(&rs, a), &cases[i].value, VALUE_STRING) == cases[i].holds,
			      "case %d: \"%s\" on \"%.*s\"", i, cases[i].pattern, (int)cases[i].value.len, cases[i].value.ptr);
		/* A keyword is contained: what matches as a whole is. */
		a.op = ATOM_KEYWORD;
		if (cases[i].holds)
			ck_assert_msg(atom_on(&rs, expr_atom(&rs, a), &cases[i].value, VALUE_STRING), "case %d as a keyword", i);
		rules_release(&rs);
	}
}
END_TEST

/* Texts of each length, equal or at the beginning, by bytes one after the other. */
static bool naive_begins(struct span text, struct span value, bool cased)
{
	if (value.len < text.len)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = value.ptr[i];

		if (!cased && c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if (c != text.ptr[i])
			return false;
	}
	return true;
}

START_TEST(texts_of_each_length)
{
	static const char bytes[] = "azAZ[{@`09 \x7f\xc3\xa9_"; /* those that differ in the bit of the case are among them */
	size_t len = (size_t)_i;
	bool held[2] = { false };

	seed = (uint64_t)_i;
	for (int round = 0; round < 40; round++) {
		struct ruleset rs;
		struct atom a = { .op = ATOM_STRING, .field = FIELD_REASON };
		bool cased = draw(2), prefix = draw(2);
		char text[64], *value;

		rules_init(&rs);
		for (size_t i = 0; i < len; i++) {
			text[i] = bytes[draw(sizeof bytes - 1)];
			if (!cased && text[i] >= 'A' && text[i] <= 'Z')
				text[i] = (char)(text[i] + 32);
		}
		struct span piece = arena_dup_span(&rs.arena, span_of(text, len));
		a.pattern = (struct string_pattern){ .pieces = &piece, .n_pieces = 1, .open_end = prefix, .cased = cased };
		const struct expr *x = expr_atom(&rs, a);
		for (int change = 0; change < 8; change++) {
			size_t n = change == 6 ? len + 1 : change == 7 ? len - 1 : len;

			/* Of just this length, so that a sanitizer sees what is read beside it. */
			value = xmalloc(n ? n : 1);
			memcpy(value, text, n < len ? n : len);
			if (n > len)
				value[len] = 'x';
			else if (n == len && change > 0)
				value[draw((unsigned)len)] ^= change < 4 ? 0x20 : (char)(1 + draw(255));
			struct span v = span_of(value, n);
			bool want = naive_begins(piece, v, cased) && (prefix || v.len == len);
			ck_assert_msg(atom_on(&rs, x, &v, VALUE_STRING) == want, "\"%.*s\"%s%s on \"%.*s\": not %d", (int)len, text, prefix ? "*" : "",
				      cased ? ", cased" : "", (int)n, value, want);
			held[want] = true;
			free(value);
		}
		rules_release(&rs);
	}
	ck_assert(held[false] && held[true]);
}
END_TEST

/* "*" and "?" by trying everything; characters of one byte only. */
static bool naive_wildcard(const char *p, const char *p_end, const char *v, const char *v_end)
{
	if (p == p_end)
		return v == v_end;
	if (*p == '*') {
		for (const char *rest = v; rest <= v_end; rest++)
			if (naive_wildcard(p + 1, p_end, rest, v_end))
				return true;
		return false;
	}
	return v < v_end && (*p == '?' || *p == *v) && naive_wildcard(p + 1, p_end, v + 1, v_end);
}

START_TEST(wildcards_like_the_naive_way)
{
	struct arena a = ARENA_INIT;

	seed = 1;
	for (int round = 0; round < 100000; round++) {
		char pattern[10], value[14];
		size_t np = draw(sizeof pattern), nv = draw(sizeof value);
		struct string_pattern p;

		for (size_t i = 0; i < np; i++)
			pattern[i] = "aab**?"[draw(6)];
		for (size_t i = 0; i < nv; i++)
			value[i] = "ab"[draw(2)];
		p = pattern_make(&a, span_of(pattern, np), true);
		ck_assert_msg(wildcard_matches(&p, span_of(value, nv)) == naive_wildcard(pattern, pattern + np, value, value + nv),
			      "\"%.*s\" on \"%.*s\"", (int)np, pattern, (int)nv, value);
		arena_reset(&a);
	}
	arena_release(&a);
}
END_TEST

START_TEST(wildcards_take_no_time_on_hostile_values)
{
	struct arena a = ARENA_INIT;
	size_t len = 1 << 20;
	char *value = xmalloc(len);
	struct string_pattern p = pattern_make(&a, SPAN("*a*a*a*a*a*a*a*a*a*a?a*a?a*b"), true);

	memset(value, 'a', len);
	ck_assert(!wildcard_matches(&p, span_of(value, len)));
	value[len - 1] = 'b';
	ck_assert(wildcard_matches(&p, span_of(value, len)));
	free(value);
	arena_release(&a);
}
END_TEST

START_TEST(nulls)
{
	struct ruleset rs;
	const struct expr *null, *exists, *empty, *anything;
	struct span nothing = SPAN(""), text = SPAN("x");

	rules_init(&rs);
	null = expr_atom(&rs, (struct atom){ .op = ATOM_NULL, .field = FIELD_REASON });
	exists = expr_atom(&rs, (struct atom){ .op = ATOM_EXISTS, .field = FIELD_REASON });
	empty = expr_string(&rs, "reason", "");
	anything = expr_string(&rs, "reason", "*");
	ck_assert(atom_on(&rs, null, NULL, VALUE_STRING));
	ck_assert(atom_on(&rs, null, &nothing, VALUE_NULL));
	ck_assert(!atom_on(&rs, null, &nothing, VALUE_STRING));
	ck_assert(!atom_on(&rs, null, &text, VALUE_STRING));
	ck_assert(!atom_on(&rs, exists, NULL, VALUE_STRING));
	ck_assert(atom_on(&rs, exists, &nothing, VALUE_NULL));
	ck_assert(atom_on(&rs, exists, &nothing, VALUE_STRING));
	ck_assert(!atom_on(&rs, empty, NULL, VALUE_STRING));
	ck_assert(!atom_on(&rs, empty, &nothing, VALUE_NULL));
	ck_assert(atom_on(&rs, empty, &nothing, VALUE_STRING));
	ck_assert(!atom_on(&rs, anything, NULL, VALUE_STRING));
	ck_assert(!atom_on(&rs, anything, &nothing, VALUE_NULL));
	ck_assert(atom_on(&rs, anything, &text, VALUE_BOOL));
	rules_release(&rs);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		enum atom_op op;
		double number;
		struct span value;
		bool holds;
	} cases[] = {
		{ ATOM_GT, 90, SPAN("97.8"), true },    { ATOM_GT, 90, SPAN("90"), false },    { ATOM_GTE, 90, SPAN("90.0"), true },
		{ ATOM_LT, 90, SPAN("89.9"), true },    { ATOM_LT, 90, SPAN("90"), false },    { ATOM_LTE, 90, SPAN("90"), true },
		{ ATOM_LTE, 90, SPAN("90.1"), false },  { ATOM_NUMBER_EQ, 5, SPAN("5.0"), true }, { ATOM_NUMBER_EQ, 5, SPAN("6"), false },
		{ ATOM_GT, 90, SPAN("many"), false },   { ATOM_LT, 90, SPAN(""), false },      { ATOM_LT, 90, SPAN("5x"), false },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;
		struct atom a = { .op = cases[i].op, .field = FIELD_REASON, .number = cases[i].number };

		rules_init(&rs);
		ck_assert_msg(atom_on(&rs, expr_atom(&rs, a), &cases[i].value, VALUE_STRING) == cases[i].holds, "case %d", i);
		rules_release(&rs);
	}
}
END_TEST

START_TEST(parts_of_times)
{
	static const struct {
		enum time_part part;
		enum atom_op op;
		double number;
		struct span value;
		bool holds;
	} cases[] = {
		{ TIME_PART_HOUR, ATOM_NUMBER_EQ, 8, SPAN("2026-02-17T08:44:02Z"), true },
		{ TIME_PART_HOUR, ATOM_NUMBER_EQ, 8, SPAN("2026-02-17T08:44:02+05:00"), true }, /* as written */
		{ TIME_PART_MINUTE, ATOM_NUMBER_EQ, 44, SPAN("2026-02-17 08:44:02.5"), true },
		{ TIME_PART_DAY, ATOM_GTE, 17, SPAN("2026/02/17 08:44:02"), true },
		{ TIME_PART_MONTH, ATOM_LT, 3, SPAN("Feb 17 08:44:02"), true },
		{ TIME_PART_YEAR, ATOM_NUMBER_EQ, 2026, SPAN("2026-02-17 08:44:02"), true },
		{ TIME_PART_YEAR, ATOM_GTE, 0, SPAN("Feb 17 08:44:02"), false }, /* not written */
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 8, SPAN("2026-02-17T08:44:02Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 53, SPAN("2021-01-03T00:00:00Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 1, SPAN("2021-01-04T00:00:00Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 1, SPAN("2024-12-30T00:00:00Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 53, SPAN("2026-12-31T00:00:00Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 1, SPAN("1970-01-01T00:00:00Z"), true },
		{ TIME_PART_WEEK, ATOM_NUMBER_EQ, 1, SPAN("1969-01-01T00:00:00Z"), true },
		{ TIME_PART_HOUR, ATOM_GTE, 0, SPAN("yesterday"), false },
		{ TIME_PART_HOUR, ATOM_GTE, 0, SPAN("2026-02-17T08:44:02Z and more"), false },
		{ TIME_PART_HOUR, ATOM_GTE, 0, SPAN(""), false },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;
		struct atom a = { .op = cases[i].op, .field = FIELD_REASON, .number = cases[i].number, .time_part = cases[i].part };

		rules_init(&rs);
		ck_assert_msg(atom_on(&rs, expr_atom(&rs, a), &cases[i].value, VALUE_STRING) == cases[i].holds, "case %d", i);
		rules_release(&rs);
	}
}
END_TEST

START_TEST(networks)
{
	static const struct {
		uint8_t network[16], bits, family;
		struct span value;
		bool holds;
	} cases[] = {
		{ { 192, 168, 0, 0 }, 16, 4, SPAN("192.168.7.9"), true },
		{ { 192, 168, 0, 0 }, 16, 4, SPAN("192.169.7.9"), false },
		{ { 10, 0, 0, 128 }, 25, 4, SPAN("10.0.0.129"), true },
		{ { 10, 0, 0, 128 }, 25, 4, SPAN("10.0.0.127"), false },
		{ { 10, 0, 0, 1 }, 32, 4, SPAN("10.0.0.1"), true },
		{ { 0 }, 0, 4, SPAN("1.2.3.4"), true },
		{ { 0 }, 0, 4, SPAN("::1"), false },
		{ { 0xfe, 0x80 }, 10, 6, SPAN("fe80::1"), true },
		{ { 0xfe, 0x80 }, 10, 6, SPAN("febf::1"), true },
		{ { 0xfe, 0x80 }, 10, 6, SPAN("fec0::1"), false },
		{ { 0 }, 0, 4, SPAN("host"), false },
		{ { 0 }, 0, 4, SPAN("1.2.3.4\0"), false },
		{ { 0 }, 0, 4, SPAN("11111111111111111111111111111111111111111111111111111111111111.1.1.1"), false },
		{ { 0 }, 0, 4, SPAN(""), false },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;
		struct atom a = { .op = ATOM_CIDR, .field = FIELD_REASON, .cidr_bits = cases[i].bits, .cidr_family = cases[i].family };

		rules_init(&rs);
		memcpy(a.cidr, cases[i].network, 16);
		ck_assert_msg(atom_on(&rs, expr_atom(&rs, a), &cases[i].value, VALUE_STRING) == cases[i].holds, "case %d", i);
		rules_release(&rs);
	}
}
END_TEST

START_TEST(other_fields)
{
	static const struct {
		int kind;
		const char *value, *other;
		bool cased, holds;
	} cases[] = {
		{ FIELDREF_EQUAL, "Mayor", "mayor", false, true },       { FIELDREF_EQUAL, "Mayor", "mayor", true, false },
		{ FIELDREF_STARTSWITH, "mayor/x", "MAYOR", false, true }, { FIELDREF_STARTSWITH, "x/mayor", "mayor", false, false },
		{ FIELDREF_ENDSWITH, "x/mayor", "mayor", true, true },   { FIELDREF_CONTAINS, "the Mayor of", "mAYOR", false, true },
		{ FIELDREF_CONTAINS, "may", "mayor", false, false },     { FIELDREF_EQUAL, "mayor", NULL, false, false },
	};
	struct diag_list diags = DIAG_LIST_INIT;

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;
		struct matcher *m;
		struct event e;
		const struct expr *x;
		struct atom a = { .op = ATOM_FIELDREF, .field = FIELD_REASON, .other = FIELD_FROM, .cased = cases[i].cased };

		rules_init(&rs);
		a.fieldref_kind = cases[i].kind;
		x = expr_atom(&rs, a);
		m = matcher_new(&rs, source_of("town"), &diags);
		event_init(&e, field_count(&rs.fields));
		event_add(&e, FIELD_REASON, SPAN("no"), VALUE_STRING);
		event_add(&e, FIELD_REASON, span_from_string(cases[i].value), VALUE_STRING);
		event_add(&e, FIELD_FROM, SPAN("unlike anything"), VALUE_STRING);
		event_add(&e, FIELD_FROM, SPAN(""), VALUE_NULL);
		if (cases[i].other)
			event_add(&e, FIELD_FROM, span_from_string(cases[i].other), VALUE_STRING);
		ck_assert_msg(matcher_expr_holds(m, x, &e) == cases[i].holds, "case %d", i);
		event_release(&e);
		matcher_free(m);
		rules_release(&rs);
	}
}
END_TEST

START_TEST(fields_of_the_event_itself)
{
	static const struct {
		const char *field, *pattern;
		bool holds;
	} cases[] = {
		{ "time", "2026-02-17T08:44:02Z", true }, { "source", "TOWN", true },          { "raw", "*[kill]*", true },
		{ "message", "*[KILL]*", true },         { "file", "*/town.log", true },      { "line", "12", true },
		{ "line", "13", false },                 { "agent", "*", false },
	};
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset rs;
	const struct expr *x[COUNT(cases)];
	struct matcher *m;
	struct event e;

	rules_init(&rs);
	for (int i = 0; i < COUNT(cases); i++)
		x[i] = expr_string(&rs, cases[i].field, cases[i].pattern);
	m = matcher_new(&rs, source_of("town"), &diags);
	event_init(&e, field_count(&rs.fields));
	e.time_ns = INT64_C(1771317842) * NS_PER_SECOND;
	e.source = source_of("town");
	e.raw = SPAN("2026-02-17 08:44:02 [kill] mayor killed");
	e.origin.file = "logs/town.log";
	e.origin.line = 12;
	for (int i = 0; i < COUNT(cases); i++)
		ck_assert_msg(matcher_expr_holds(m, x[i], &e) == cases[i].holds, "case %d: %s", i, cases[i].field);
	/* The parser's own message comes before the record. */
	event_add(&e, FIELD_MESSAGE, SPAN("killed"), VALUE_STRING);
	ck_assert(!matcher_expr_holds(m, x[3], &e));
	event_reset(&e);
	for (int i = 0; i < COUNT(cases); i++)
		ck_assert(!matcher_expr_holds(m, x[i], &e) || strcmp(cases[i].field, "source") == 0);
	event_release(&e);
	matcher_free(m);
	rules_release(&rs);
}
END_TEST

/* --- regexes ------------------------------------------------------------------------------------------------------ */

START_TEST(regexes)
{
	static const struct {
		const char *regex;
		uint32_t options;
		struct span value;
		bool holds;
	} cases[] = {
		{ "exit \\d+", 0, SPAN("crashed, exit 137"), true },
		{ "^exit", 0, SPAN("crashed, exit 137"), false },
		{ "EXIT", 0, SPAN("exit"), false },
		{ "EXIT", PCRE2_CASELESS, SPAN("exit"), true },
		{ "^b$", 0, SPAN("a\nb"), false },
		{ "^b$", PCRE2_MULTILINE, SPAN("a\nb"), true },
		{ "a.b", 0, SPAN("a\nb"), false },
		{ "a.b", PCRE2_DOTALL, SPAN("a\nb"), true },
		{ "b\\d", 0, SPAN("\xff\xfe" "b1\xff"), true },
		{ "^.$", 0, SPAN("\xc3\xa9"), true },
		{ "a\\x00b", 0, SPAN("a\0b"), true },
		{ "kill", PCRE2_CASELESS, SPAN("\xe2\x84\xaaill"), false }, /* ASCII only: bytes, not characters */
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct ruleset rs;

		rules_init(&rs);
		ck_assert_msg(atom_on(&rs, expr_regex(&rs, "reason", cases[i].regex, cases[i].options), &cases[i].value, VALUE_STRING) ==
				      cases[i].holds,
			      "case %d: /%s/", i, cases[i].regex);
		rules_release(&rs);
	}
}
END_TEST

START_TEST(regexes_run_into_limits)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset rs;
	struct matcher *m;
	struct event e;
	const struct expr *slow, *square, *plain;
	size_t len = 1 << 20;
	char *value = xmalloc(len);

	memset(value, 'a', len);
	rules_init(&rs);
	slow = expr_regex(&rs, "reason", "(\\S+\\s?)+!x", 0);
	square = expr_regex(&rs, "reason", "a.*b.*c", 0);
	plain = expr_regex(&rs, "reason", "^a+", 0);
	m = matcher_new(&rs, source_of("town"), &diags);
	event_init(&e, field_count(&rs.fields));
	event_add(&e, FIELD_REASON, SPAN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax"), VALUE_STRING);
	ck_assert(!matcher_expr_holds(m, slow, &e));
	ck_assert_uint_eq(matcher_stats(m)->regex_limit_hits, 1);
	ck_assert(matcher_expr_holds(m, plain, &e));
	ck_assert_uint_eq(matcher_stats(m)->regex_limit_hits, 1);
	event_set(&e, FIELD_REASON, span_of(value, len), VALUE_STRING);
	ck_assert(!matcher_expr_holds(m, square, &e)); /* cut: else this takes minutes */
	ck_assert_uint_eq(matcher_stats(m)->regex_limit_hits, 2);
	ck_assert(matcher_expr_holds(m, plain, &e));
	ck_assert_uint_eq(matcher_stats(m)->regex_limit_hits, 2);
	event_release(&e);
	matcher_free(m);
	rules_release(&rs);
	free(value);
}
END_TEST

START_TEST(a_broken_regex_is_told)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset rs;

	rules_init(&rs);
	rules_add(&rs, expr_regex(&rs, "reason", "(unclosed", 0), "town");
	ck_assert_ptr_null(matcher_new(&rs, source_of("town"), &diags));
	ck_assert_uint_eq(diags.n_errors, 1);
	diag_list_release(&diags);
	rules_release(&rs);
}
END_TEST

/* Which characters beyond ASCII a caseless letter matches: literals.c rests on there being two only. */
START_TEST(caseless_letters_beyond_ascii)
{
	int error;
	PCRE2_SIZE at;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR) "^[a-z]$", PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_UTF, &error, &at, NULL);
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);

	ck_assert_ptr_nonnull(code);
	for (unsigned c = 0x80; c < 0x110000; c++) {
		unsigned char text[4];
		size_t n = 0;

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (c < 0x800) {
			text[n++] = (unsigned char)(0xc0 | c >> 6);
		} else {
			if (c < 0x10000) {
				text[n++] = (unsigned char)(0xe0 | c >> 12);
			} else {
				text[n++] = (unsigned char)(0xf0 | c >> 18);
				text[n++] = (unsigned char)(0x80 | (c >> 12 & 63));
			}
			text[n++] = (unsigned char)(0x80 | (c >> 6 & 63));
		}
		text[n++] = (unsigned char)(0x80 | (c & 63));
		ck_assert_msg((pcre2_match(code, text, n, 0, 0, data, NULL) > 0) == (c == 0x212a || c == 0x17f), "U+%04X", c);
	}
	pcre2_match_data_free(data);
	pcre2_code_free(code);
}
END_TEST

START_TEST(groups_become_fields)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset rs;
	struct matcher *m;
	struct event e;
	field_id code, word;
	uint32_t matched[8];
	const struct value *v;

	rules_init(&rs);
	code = rules_field(&rs, "code");
	word = rules_field(&rs, "word");
	/* 0: both regexes take part, though one of an "or" would do. */
	rules_add(&rs,
		  expr_or(&rs, expr_regex(&rs, "reason", "code (?<code>\\d+)", 0), expr_regex(&rs, "reason", "^(?<word>\\w+)(?<unset>!)?", 0)),
		  "town");
	/* 1: does not match, so its groups are not seen. */
	rules_add(&rs, expr_and(&rs, expr_regex(&rs, "reason", "(?<word>exited)", 0), expr_string(&rs, "type", "kill")), "town");
	/* 2: what rule 0 captured is not seen while rules are evaluated. */
	rules_add(&rs, expr_atom(&rs, (struct atom){ .op = ATOM_EXISTS, .field = code }), "town");
	/* 3: under "not" nothing is captured; the same group twice is one value. */
	rules_add(&rs, expr_and(&rs, expr_not(&rs, expr_regex(&rs, "reason", "(?<code>9999)", 0)), expr_regex(&rs, "reason", "(?<code>13\\d)", 0)),
		  "town");
	m = matcher_new(&rs, source_of("town"), &diags);
	event_init(&e, field_count(&rs.fields));
	for (int round = 0; round < 3; round++) {
		event_reset(&e);
		event_add(&e, FIELD_REASON, SPAN("nothing here, code x"), VALUE_STRING);
		event_add(&e, FIELD_REASON, SPAN("crashed exited code 137"), VALUE_STRING);
		ck_assert_uint_eq(matcher_match(m, SIZE_MAX, &e, matched), 2);
		ck_assert_uint_eq(matched[0], 0);
		ck_assert_uint_eq(matched[1], 3);
		ck_assert(span_equal(event_text(&e, code), SPAN("137")));
		ck_assert_ptr_null(event_next(&e, event_first(&e, code)));
		v = event_first(&e, word);
		ck_assert(v && span_equal(v->text, SPAN("nothing")) && !event_next(&e, v));
	}
	event_release(&e);
	matcher_free(m);
	rules_release(&rs);
}
END_TEST

/* More than the eight that there is room for in any case, in the regex that is made ready first; by the matcher and by a copy, which is let go first. */
START_TEST(as_many_groups_as_there_are)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct matcher *m[2];
	struct ruleset rs;
	uint32_t matched[8];
	field_id last;

	rules_init(&rs);
	last = rules_field(&rs, "last");
	rules_add(&rs, expr_regex(&rs, "reason", "(a)(b)(c)(d)(e)(f)(g)(?<last>h)", 0), "town");
	m[0] = matcher_new(&rs, source_of("town"), &diags);
	m[1] = matcher_copy(m[0]);
	for (int i = 1; i >= 0; i--) {
		struct event e;

		event_init(&e, field_count(&rs.fields));
		event_add(&e, FIELD_REASON, SPAN("abcdefgh"), VALUE_STRING);
		ck_assert_uint_eq(matcher_match(m[i], SIZE_MAX, &e, matched), 1);
		ck_assert(span_equal(event_text(&e, last), SPAN("h")));
		event_release(&e);
		matcher_free(m[i]);
	}
	rules_release(&rs);
}
END_TEST

START_TEST(incidents_and_sources)
{
	struct source incident = { .name = "incident", .format = FORMAT_INCIDENT, .product = "gastown", .service = "incident" };
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset rs;
	struct matcher *m;
	struct event e;
	uint32_t matched[4];

	rules_init(&rs);
	rules_add(&rs, expr_make(&rs, EXPR_TRUE, 0, NULL), "town");
	rules_add(&rs, expr_make(&rs, EXPR_TRUE, 0, NULL), "incident");
	rules_add(&rs, expr_make(&rs, EXPR_TRUE, 0, NULL), NULL);
	event_init(&e, field_count(&rs.fields));

	m = matcher_new(&rs, &incident, &diags);
	ck_assert_uint_eq(matcher_match(m, SIZE_MAX, &e, matched), 1);
	ck_assert_uint_eq(matched[0], 1);
	matcher_free(m);
	m = matcher_new(&rs, source_of("town"), &diags);
	ck_assert_uint_eq(matcher_match(m, SIZE_MAX, &e, matched), 2);
	ck_assert_uint_eq(matched[0], 0);
	ck_assert_uint_eq(matched[1], 2);
	ck_assert_uint_eq(matcher_unfiltered(m)[0], 0);
	ck_assert_uint_eq(matcher_unfiltered(m)[1], 2);
	ck_assert_uint_eq(matcher_unfiltered(m)[2], UINT32_MAX);
	e.kind = EVENT_SNAPSHOT_END;
	ck_assert_uint_eq(matcher_match(m, SIZE_MAX, &e, matched), 0);
	matcher_free(m);
	m = matcher_new(&rs, source_of("daemon"), &diags);
	matcher_free(m);
	event_release(&e);
	rules_release(&rs);
}
END_TEST

/* --- required literals -------------------------------------------------------------------------------------------- */

/* The set as "a|b"; "-" when nothing is known. */
static const char *set_text(struct literal_set s, struct buffer *out)
{
	buffer_clear(out);
	if (!s.known)
		buffer_append_string(out, "-");
	for (size_t i = 0; s.known && i < s.n; i++) {
		if (i)
			buffer_append_char(out, '|');
		buffer_append_span(out, s.items[i]);
	}
	return buffer_string(out);
}

START_TEST(literals_of_regexes)
{
	static const struct {
		const char *regex;
		uint32_t options;
		const char *literals;
	} cases[] = {
		{ "runaway", 0, "runaway" },
		{ "^runaway pytest$", 0, "runaway pytest" },
		{ "ru", 0, "-" },
		{ "PID=\\d+ runtime=\\d+s", 0, " runtime=" },
		{ "(?:gt|bd) stop", 0, "gt stop|bd stop" },
		{ "(gt|bd|) stop", 0, "gt stop|bd stop| stop" },
		{ "(kill|stop) \\(", 0, "kill (|stop (" },
		{ "killed|stopped", 0, "killed|stopped" },
		{ "killed|\\w+", 0, "-" },
		{ "(killed|\\w+) by the overseer", 0, " by the overseer" },
		{ "colou?r of magic", 0, "r of magic" },
		{ "bananas*", 0, "banana" },
		{ "bananas+ split", 0, "bananas" },
		{ "(foo|bar)+baz", 0, "foobaz|barbaz" },
		{ "x{3}yz", 0, "xxxyz" },
		{ "x{2,}yzw", 0, "xyzw" },
		{ "(abc){0,3}def", 0, "def" },
		{ "ab{2}+cd", 0, "abbcd" },
		{ "[k]ill [.]log", 0, "kill .log" },
		{ "a[]]bc", 0, "a]bc" },
		{ "over[sz]eer", 0, "over" },
		{ "over[^z]eer", 0, "over" },
		{ "over[[:alpha:]]eer", 0, "over" },
		{ "over[\\]x]eer", 0, "over" },
		{ "over\\.eer\\[", 0, "over.eer[" },
		{ "over\\teer", 0, "over\teer" },
		{ "over\\beer", 0, "overeer" },
		{ "over(?=land)eer", 0, "over" },
		{ "(?!land)overseer", 0, "overseer" },
		{ "(?<=land)overseer", 0, "overseer" },
		{ "(?<name>over)(?P<n2>se)(?'n3'er)", 0, "overseer" },
		{ "(?>over)(?|seer|view)", 0, "overseer|overview" },
		{ "over(?#comment)seer", 0, "overseer" },
		{ "ove(?#comment)?seer", 0, "-" },
		{ "crew\\p{L}member", 0, "member" },
		{ "crew\\pLmember", 0, "member" },
		{ "crew\\Dmember", 0, "member" },
		{ "crew\nmember", 0, "member" },
		{ "(crew)\\1member", 0, "-" },
		{ "(crew)\\gmember", 0, "-" },
		{ "crew(*ACCEPT)member", 0, "-" },
		{ "(*UTF)crewmember", 0, "-" },
		{ "(?x) crew # member", 0, "-" },
		{ "crew(?x: member)", 0, "-" },
		{ "crew(?(1)a|b)member", 0, "-" },
		{ "crew(?R)?member", 0, "-" },
		{ "crew(?C)member", 0, "-" },
		{ "\\Qcrew.member\\E", 0, "-" },
		{ "crew{,5}member", 0, "-" },
		{ "crew member \xc3\xa9t\xc3\xa9", 0, "crew member \xc3\xa9t\xc3\xa9" },
		{ "crew member", PCRE2_CASELESS, "crew member" },
		{ "(?i)dragon", 0, "dragon" },
		{ "(?i)kill", 0, "kill|\xe2\x84\xaa|\xc5\xbf" },
		{ "(?i:error) and more", 0, "error and more" },
		{ "\xc3\xa9t\xc3\xa9 crew", PCRE2_CASELESS, " crew" },
		{ "\xc3\xa9t\xc3\xa9 session", PCRE2_CASELESS, " session|\xe2\x84\xaa|\xc5\xbf" },
		{ "", 0, "-" },
		{ "(", 0, "-" },
		{ "[", 0, "-" },
		{ "\\", 0, "-" },
		{ "(a|b)(c|d)(e|f)(g|h)(i|j)klmnop", 0, "iklmnop|jklmnop" },
	};
	struct literal_field raw = { FORMAT_TOWN, FIELD_RAW, SPAN("raw") };
	struct arena a = ARENA_INIT;
	struct buffer out = BUFFER_INIT;

	for (int i = 0; i < COUNT(cases); i++) {
		uint32_t options = regex_all_options(cases[i].regex, cases[i].options);

		ck_assert_msg(strcmp(set_text(literals_of_regex(cases[i].regex, options, &raw, &a), &out), cases[i].literals) == 0,
			      "case %d: /%s/: got \"%s\", want \"%s\"", i, cases[i].regex, buffer_string(&out), cases[i].literals);
		arena_reset(&a);
	}
	buffer_release(&out);
	arena_release(&a);
}
END_TEST

START_TEST(literals_of_rules)
{
	struct ruleset rs;
	struct arena a = ARENA_INIT;
	struct buffer out = BUFFER_INIT;
	const struct expr *kill, *storm, *number, *no;

	rules_init(&rs);
	kill = expr_string(&rs, "type", "kill");
	storm = expr_string(&rs, "reason", "*storm of 2026*");
	number = expr_atom(&rs, (struct atom){ .op = ATOM_GT, .field = FIELD_CPU, .number = 3 });
	no = expr_make(&rs, EXPR_FALSE, 0, NULL);
#define SET(x) set_text(literals_of_expr((x), &rs, NULL, NULL, FORMAT_TOWN, SPAN(""), &a), &out)
	ck_assert_str_eq(SET(kill), "[kill] ");
	ck_assert_str_eq(SET(storm), "storm of 2026");
	ck_assert_str_eq(SET(number), "-");
	ck_assert_str_eq(SET(expr_and(&rs, kill, number)), "[kill] ");
	ck_assert_str_eq(SET(expr_and(&rs, number, kill)), "[kill] ");
	ck_assert_str_eq(SET(expr_and(&rs, kill, storm)), "storm of 2026"); /* rarer */
	ck_assert_str_eq(SET(expr_or(&rs, kill, storm)), "[kill] |storm of 2026");
	ck_assert_str_eq(SET(expr_or(&rs, kill, number)), "-");
	ck_assert_str_eq(SET(expr_or(&rs, kill, no)), "[kill] ");
	ck_assert_str_eq(SET(expr_not(&rs, kill)), "-");
	ck_assert_str_eq(SET(expr_not(&rs, expr_not(&rs, kill))), "[kill] ");
	ck_assert_str_eq(SET(expr_and(&rs, expr_not(&rs, storm), kill)), "[kill] ");
	ck_assert_str_eq(SET(expr_make(&rs, EXPR_TRUE, 0, NULL)), "-");
	ck_assert_str_eq(SET(expr_keyword(&rs, "out of*memory")), "memory");
	ck_assert_str_eq(SET(expr_keyword(&rs, "out of?memories")), "memories");
	ck_assert_str_eq(SET(expr_keyword(&rs, "a\nb")), "-");
	ck_assert_str_eq(SET(expr_keyword(&rs, "one line\nand the next line")), "and the next line");
	ck_assert_str_eq(SET(expr_keyword(&rs, "say \"hello\"")), "say \"hello\"");
	ck_assert_str_eq(set_text(literals_of_expr(expr_keyword(&rs, "say \"hello\""), &rs, NULL, NULL, FORMAT_JSON, SPAN(""), &a), &out), "hello");
	ck_assert_str_eq(SET(expr_string(&rs, "source", "town")), "-");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "x")), "-");
#undef SET
	/* What stands in front of the value, where the key says so. */
#define SET(x, key) set_text(literals_of_expr((x), &rs, NULL, NULL, FORMAT_TOWN, SPAN(key), &a), &out)
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "gt *"), ""), "gt ");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "gt *"), "kill"), "(gt ");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "gt\r*"), "kill"), "(gt");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "gt *"), "of no known type"), "(gt ");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "gt *"), "callback"), "gt ");
	ck_assert_str_eq(SET(expr_string(&rs, "reason", "*gt *"), "kill"), "gt ");
	ck_assert_str_eq(SET(expr_string(&rs, "message", "gt *"), "kill"), "gt ");
#undef SET
	buffer_release(&out);
	arena_release(&a);
	rules_release(&rs);
}
END_TEST

static bool contains_nocase(struct span text, struct span literal)
{
	for (size_t i = 0; i + literal.len <= text.len; i++) {
		size_t k = 0;

		while (k < literal.len) {
			char x = text.ptr[i + k], y = literal.ptr[k];

			x = x >= 'A' && x <= 'Z' ? x + 32 : x;
			y = y >= 'A' && y <= 'Z' ? y + 32 : y;
			if (x != y)
				break;
			k++;
		}
		if (k == literal.len)
			return true;
	}
	return false;
}

/* A random regex of few letters, so that it matches now and then. */
static void write_regex(struct buffer *out, int depth)
{
	for (unsigned n = 1 + draw(4); n; n--) {
		static const char *const items[] = {
			"a", "b", "k", "s", "ab", "ks", "bak", ".", "\\w", "\\.", "[ab]", "[^a]", "[k]", "[[:alpha:]s]", "\\b", "^", "$", "\\s",
			"\xc5\xbf", "\xc3\xa9", "(?i)", "(?-i)", "(?#x)", "\\x61", "(?=a)", "(?<!b)", "(?:)", "\\R", "\\p{L}", "\\n", "\\Qa.\\E",
		};
		static const char *const quantifiers[] = { "?", "*", "+", "{2}", "{0,2}", "{1,}", "+?", "*+", "{3,4}" };

		if (depth < 3 && draw(4) == 0) {
			static const char *const opens[] = { "(", "(?:", "(?>", "(?|", "(?i:", "(?<n>", "(?s-i:" };

			buffer_append_string(out, opens[draw(COUNT(opens))]);
			write_regex(out, depth + 1);
			while (draw(3) == 0) {
				buffer_append_char(out, '|');
				write_regex(out, depth + 1);
			}
			buffer_append_char(out, ')');
		} else {
			buffer_append_string(out, items[draw(draw(2) ? 12 : COUNT(items))]);
		}
		if (draw(4) == 0)
			buffer_append_string(out, quantifiers[draw(COUNT(quantifiers))]);
	}
}

static size_t write_text(char *text, size_t max)
{
	static const char *const parts[] = {
		"a", "b", "k", "s", "A", "K", "S", "ab", "bak", "aaa", "bbb", "aks", ".", " ", "\n", "\r\n", "\xc5\xbf", "\xe2\x84\xaa", "\xc3\xa9", "\xff", "\xc3",
	};
	size_t len = 0;

	for (unsigned n = draw(16); n && len + 4 < max; n--) {
		const char *p = parts[draw(COUNT(parts))];

		memcpy(text + len, p, strlen(p));
		len += strlen(p);
	}
	return len;
}

/* Whatever a regex matches holds one of its literals. */
START_TEST(literals_are_required)
{
	struct literal_field raw = { FORMAT_TOWN, FIELD_RAW, SPAN("raw") };
	struct arena a = ARENA_INIT;
	struct buffer regex = BUFFER_INIT;
	pcre2_match_data *data = pcre2_match_data_create(8, NULL);
	unsigned known = 0, matches = 0, checked = 0;

	seed = 2;
	for (int round = 0; round < 30000; round++) {
		uint32_t options = draw(3) == 0 ? PCRE2_CASELESS : 0;
		struct literal_set set;
		pcre2_code *code;
		int error;
		PCRE2_SIZE at;

		buffer_clear(&regex);
		write_regex(&regex, 0);
		options = regex_all_options(buffer_string(&regex), options);
		code = pcre2_compile((PCRE2_SPTR)regex.data, regex.len, options, &error, &at, NULL);
		if (!code)
			continue;
		arena_reset(&a);
		set = literals_of_regex(regex.data, options, &raw, &a);
		known += set.known;
		for (int t = 0; t < 12; t++) {
			char text[128];
			size_t len = write_text(text, sizeof text);
			bool found = !set.known;

			if (pcre2_match(code, (PCRE2_SPTR)text, len, 0, 0, data, NULL) < 0)
				continue;
			matches++;
			checked += set.known;
			for (size_t i = 0; !found && i < set.n; i++)
				found = contains_nocase(span_of(text, len), set.items[i]);
			ck_assert_msg(found, "/%s/ (%x) matches \"%.*s\" without a literal", regex.data, options, (int)len, text);
		}
		pcre2_code_free(code);
	}
	/* The test is worth something only while these are many. */
	ck_assert_msg(known > 2500 && matches > 25000 && checked > 150, "%u known, %u matches, %u checked", known, matches, checked);
	pcre2_match_data_free(data);
	buffer_release(&regex);
	arena_release(&a);
}
END_TEST

/* --- the prefilter ------------------------------------------------------------------------------------------------ */

static char fold20(char c)
{
	return (char)(c | 0x20);
}

/* Whatever a naive search finds in a record is reported for it; what is reported is there, but for the look-alikes. */
START_TEST(prefilter_like_the_naive_way)
{
	static const char *const alphabets[] = { "ab", "abAB[{", "etaoin ETAOIN0123456789", "\x80\xc5\xbf\xe2\x84\xaaks" };
	struct prefilter_hits hits = PREFILTER_HITS_INIT;
	unsigned long found = 0, all = 0;

	seed = (uint64_t)_i;
	for (int round = 0; round < 300; round++) {
		const char *alphabet = alphabets[draw(COUNT(alphabets))];
		size_t n = draw(3) ? 1 + draw(12) : 1 + draw(400), len = draw(4) ? draw(600) : 9000 + draw(20000), used = 0;
		const unsigned least = (unsigned[]){ 3, 6, 7, 9 }[draw(4)]; /* they are sought in different ways */
		struct span *literals = xcalloc(n, sizeof *literals);
		struct record_list records = { 0 };
		char *text = xmalloc(len + 64), *literal_text = xmalloc(n * 100);
		struct prefilter *p;

		for (size_t i = 0; i < len + 64; i++)
			text[i] = alphabet[draw((unsigned)strlen(alphabet))];
		for (size_t i = 0; i < n; i++) {
			size_t size = least + draw(draw(2) ? 5 : 90);

			if (size == 6 && least == 6 && draw(4)) /* a few of these are sought as longer ones are */
				size++;

			if (draw(2) && len > size) {
				memcpy(literal_text + used, text + draw((unsigned)(len - size)), size);
			} else {
				for (size_t k = 0; k < size; k++)
					literal_text[used + k] = alphabet[draw((unsigned)strlen(alphabet))];
			}
			literals[i] = span_of(literal_text + used, size);
			if (draw(50) == 0)
				literals[i] = SPAN("\xc5\xbf");
			used += size;
		}
		for (size_t at = 0; at < len;) {
			size_t size = draw(120), gap = draw(3);

			if (at + size > len)
				size = len - at;
			ARRAY_GROW(records.items, records.n, records.cap);
			records.items[records.n++] = (struct record){ .offset = (uint32_t)at, .len = (uint32_t)size, .flags = draw(40) ? 0 : RECORD_ESCAPED };
			records.n_escaped += records.items[records.n - 1].flags != 0;
			at += size + gap;
		}
		cpu_limit = (enum cpu_level)(round % CPU_LEVELS);
		p = prefilter_new(literals, n);
		for (int again = 0; again < 2; again++) {
			prefilter_scan(p, span_of(text, len), &records, &hits);
			for (size_t r = 0; r < records.n; r++) {
				struct span record = span_of(text + records.items[r].offset, records.items[r].len);

				if (records.items[r].flags & RECORD_ESCAPED)
					ck_assert_uint_eq(hits.head[r], PREFILTER_ALL);
				if (hits.head[r] == PREFILTER_ALL) {
					all++;
					continue;
				}
				for (size_t i = 0; i < n; i++) {
					bool reported = false, look_alike = false;

					for (uint32_t h = hits.head[r]; h != PREFILTER_NONE; h = hits.hits[h].next)
						reported |= hits.hits[h].literal == i;
					if (!reported) {
						ck_assert_msg(!contains_nocase(record, literals[i]), "missed");
						continue;
					}
					found++;
					for (size_t k = 0; k < record.len && !look_alike; k++) {
						size_t c = 0;
						size_t size = literals[i].len < PREFILTER_LITERAL_MAX ? literals[i].len : PREFILTER_LITERAL_MAX;

						while (c < size && k + c < record.len && fold20(record.ptr[k + c]) == fold20(literals[i].ptr[c]))
							c++;
						look_alike = c == size;
					}
					ck_assert_msg(look_alike, "reported for nothing");
				}
			}
		}
		prefilter_free(p);
		free(records.items);
		free(literals);
		free(literal_text);
		free(text);
	}
	ck_assert(found > 1000 && all > 100);
	prefilter_hits_release(&hits);
}
END_TEST

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* Which class each line is of, and which rules its beginning excludes: "class" or "class/rules". */
START_TEST(keys_of_lines)
{
	static const struct {
		const char *line, *expected;
	} lines[] = {
		{ "2026-02-17 08:00:01 [kill] mayor killed (gt stop)", "1/1" },
		{ "2026-02-17 08:00:01 [kill] mayor killed (GT Stop: x)", "1/1" },
		{ "2026-02-17 08:00:01 [kill] mayor killed (Self-clean)", "1" }, /* that text is cased */
		{ "2026-02-17 08:00:01 [kill] mayor killed (self-clean)", "1/2" },
		{ "2026-02-17 08:00:01 [kill] mayor Killed (gt stop)", "1" },
		{ "2026-02-17 08:00:01 [kill] mayor killed (gt sto", "1" },
		{ "2026-02-17 08:00:01 [kill]  killed (gt stop)", "1/1" },
		{ "2026-02-17 08:00:01 [kill] a-name-that-is-longer-than-32-bytes killed (gt stop)", "1" },
		{ "2026-02-17 08:00:01 [KILL] mayor killed (gt stop)", "1" },
		{ "2026-02-17 08:00:01 [kill] ", "1" },
		{ "2026-02-17 08:00:01 [kill]", "4" },
		{ "2026-02-17 08:00:01 [kill} mayor", "4" },
		{ "2026-02-17 08:00:01 {kill] mayor", "4" },
		{ "2026-02-17 08:00:01 [handoff] mayor", "2" },
		{ "2026-02-17 08:00:01 [handoff-nopersist] mayor", "3" },
		{ "2026-02-17 08:00:01 [handoff-NOPERSIST] mayor", "3" },
		{ "2026-02-17 08:00:01 [handoff-NOPERSISTS] mayor", "4" },
		{ "2026-02-17 08:00:01 ", "0" },
		{ "2026-02-17T08:00:01Z [kill] mayor", "0" },
		{ " 2026-02-17 08:00:01 [kill] mayor", "0" },
		{ "2026-02-17 08:00:01 [\x1b[1mkill] mayor", "0" },
		{ "2026-02-17 08:00:01 [kill] mayor killed (gt stop)\nmore", "1" },
		{ "2026-02-17 08:00:01 [ki\rll] mayor killed (gt stop)\nmore", "0" },
		{ "2026-02-17 08:00:01 [ki\rll] mayor killed (gt stop)", "4" },
	};
	/* Of which agents a word is certain not to be. */
	static const struct {
		const char *agent, *line;
		bool differs;
	} words[] = {
		{ "deacon", "2026-02-17 08:00:01 [kill] mayor killed (gt stop)", true },
		{ "deacon", "2026-02-17 08:00:01 [kill] a/deacons killed (gt stop)", true },
		{ "deacon", "2026-02-17 08:00:01 [kill]  killed (gt stop)", true },
		{ "deacon", "2026-02-17 08:00:01 [kill] deacon killed (gt stop)", false },
		{ "deacon", "2026-02-17 08:00:01 [kill] hq-DEACON killed (gt stop)", false },
		{ "deacon", "2026-02-17 08:00:01 [kill] gt-deacon/ killed (gt stop)", false },
		{ "deacon", "2026-02-17 08:00:01 [kill] mayor/ killed (gt stop)", false }, /* not looked at */
		{ "deacon", "2026-02-17 08:00:01 [KILL] mayor killed (gt stop)", false },
		{ "deacon", "2026-02-17 08:00:01 [kill] mayor", false },
		{ "deacon", "2026-02-17 08:00:01 [kill] mayor killed (gt stop)\nmore", false },
		{ "beads/a-long-NAME", "2026-02-17 08:00:01 [kill] beads/crew/a-long-name killed (gt stop)", false },
		{ "beads/a-long-NAME", "2026-02-17 08:00:01 [kill] beads/crew/a-song-name killed (gt stop)", false }, /* only so much of it is looked at */
		{ "beads/a-long-NAME", "2026-02-17 08:00:01 [kill] beads/crew/a-long-fame killed (gt stop)", true },
		{ "deacon", "2026-02-17 08:00:01 [nudge] mayor nudged with \"go on\"", true },
		{ "deacon", "2026-02-17 08:00:01 [nudge] mayor nudged deacon with \"go on\"", false },
		{ "deacon", "2026-02-17 08:00:01 [nudge] mayor nudged with go", false },
	};
	struct key_table table;
	struct buffer out = BUFFER_INIT, log = BUFFER_INIT;
	struct record_list records = { 0 };
	uint8_t classes[COUNT(lines)];
	struct field_table fields;
	struct decoder *d;
	struct span behind;

	ck_assert(!keys_init(&table, FORMAT_EVENTS));
	ck_assert(keys_init(&table, FORMAT_TOWN));
	ck_assert_uint_eq(keys_add(&table, SPAN("kill")), 1);
	ck_assert_uint_eq(keys_add(&table, SPAN("handoff")), 2);
	ck_assert_uint_eq(keys_add(&table, SPAN("handoff-nopersist")), 3);
	ck_assert_uint_eq(keys_add(&table, SPAN("kill")), 1);
	ck_assert_uint_eq(keys_add(&table, SPAN("kill]")), KEYS_UNKNOWN);
	ck_assert_uint_eq(keys_add(&table, SPAN("")), KEYS_UNKNOWN);
	ck_assert_uint_eq(keys_add(&table, SPAN("a\tb")), KEYS_UNKNOWN);
	ck_assert_uint_eq(keys_add(&table, SPAN("a-type-that-is-one-byte-longer-than-the-table's")), KEYS_UNKNOWN);
	ck_assert(format_beginning(FORMAT_TOWN, SPAN("kill"), FIELD_REASON, SPAN("gt stop"), &out));
	ck_assert_str_eq(buffer_string(&out), "killed (gt stop");
	ck_assert(keys_add_beginning(&table, 1, buffer_span(&out), out.len - 7, 1));
	buffer_clear(&out);
	ck_assert(format_beginning(FORMAT_TOWN, SPAN("kill"), FIELD_REASON, SPAN("self-clean"), &out));
	ck_assert(keys_add_beginning(&table, 1, buffer_span(&out), out.len, 2));
	/* A bracket or blank at the end may be stripped; of a "done" nothing is certain. */
	ck_assert(!format_beginning(FORMAT_TOWN, SPAN("kill"), FIELD_REASON, SPAN("interrupted (exit 130)"), &out));
	ck_assert(!format_beginning(FORMAT_TOWN, SPAN("kill"), FIELD_REASON, SPAN("gt "), &out));
	ck_assert(!format_beginning(FORMAT_TOWN, SPAN("done"), FIELD_MESSAGE, SPAN("completed"), &out));
	ck_assert(!format_beginning(FORMAT_EVENTS, SPAN("kill"), FIELD_REASON, SPAN("gt stop"), &out));

	for (size_t i = 0; i < COUNT(lines); i++)
		buffer_printf(&log, "%s\n", lines[i].line);
	buffer_reserve(&log, 64);
	memset(log.data + log.len, 0, 64);
	field_table_init(&fields);
	d = decoder_new(source_of("town"), &fields, zone_get("UTC"), RECORD_LIMIT_DEFAULT);
	decoder_frame(d, buffer_span(&log), true, &records);
	ck_assert_uint_eq(records.n, COUNT(lines));
	keys_classify(&table, buffer_span(&log), records.items, records.n, classes);
	for (size_t i = 0; i < COUNT(lines); i++) {
		uint64_t excluded = 0;

		if (classes[i] != KEYS_UNKNOWN && classes[i] != KEYS_OTHER(&table))
			excluded = keys_excluded(&table.keys[classes[i]], &table, buffer_span(&log), &records.items[i]);
		buffer_clear(&out);
		buffer_printf(&out, "%u", (unsigned)classes[i]);
		if (excluded)
			buffer_printf(&out, "/%u", (unsigned)excluded);
		ck_assert_msg(strcmp(buffer_string(&out), lines[i].expected) == 0, "%s: %s, not %s", lines[i].line, buffer_string(&out), lines[i].expected);
	}
	ck_assert_uint_eq(keys_add(&table, SPAN("nudge")), 4);
	ck_assert_uint_eq(format_word_end(FORMAT_TOWN, SPAN("kill"), FIELD_AGENT_RAW, SPAN("deacon"), &behind).len, 0);
	ck_assert_uint_eq(format_word_end(FORMAT_EVENTS, SPAN("kill"), FIELD_AGENT, SPAN("deacon"), &behind).len, 0);
	ck_assert_uint_eq(format_word_end(FORMAT_TOWN, SPAN("kill"), FIELD_AGENT, SPAN("deacon/"), &behind).len, 0);
	for (size_t i = 0; i < COUNT(words); i++) {
		struct span agent = span_from_string(words[i].agent), key = strstr(words[i].line, "[nudge]") ? SPAN("nudge") : SPAN("kill"), end;
		struct key_word word;

		end = format_word_end(FORMAT_TOWN, key, FIELD_AGENT, agent, &behind);
		ck_assert(key_word_init(&word, end, behind));
		buffer_clear(&log);
		buffer_printf(&log, "%s\n", words[i].line);
		buffer_reserve(&log, 64);
		decoder_frame(d, buffer_span(&log), true, &records);
		ck_assert_uint_eq(records.n, 1);
		ck_assert_msg(keys_word_differs(&word, &table.keys[keys_find(&table, key)], &table, buffer_span(&log), &records.items[0]) == words[i].differs, "%s", words[i].line);
	}
	decoder_free(d);
	field_table_release(&fields);
	keys_release(&table);
	free(records.items);
	buffer_release(&log);
	buffer_release(&out);
}
END_TEST

/* --- everything together ------------------------------------------------------------------------------------------ */

static const char *const vocabulary[] = {
	"kill", "nudge", "done", "handoff", "mayor", "icecream/polecats/furiosa", "gt stop", "self-clean: idle", "ERROR", "Session", "stuck", "PID 4242",
	"runtime=1860s", "out of memory", "\xc3\xa9t\xc3\xa9", "naïve", "[from deacon]", "\"quoted\"", "back\\slash", "\\n", "tab\there", "killed (", ")",
	"100", "3.5", "\xff\xfe", "\xef\xbf\xbd", "\x1b[31mred\x1b[0m", "a", "b", "*", "?", "\xc5\xbf", "\xe2\x84\xaa",
};

static const char *vocable(void)
{
	return vocabulary[draw(COUNT(vocabulary))];
}

/* Part of the text, or all of it, with wildcards here and there. */
static const char *random_pattern(struct arena *a, bool *ret_cased)
{
	const char *word = vocable();
	size_t len = strlen(word), from = draw(3) ? 0 : draw((unsigned)len), to = draw(3) ? len : from + draw((unsigned)(len - from) + 1);
	struct buffer b = BUFFER_INIT;
	char *text;

	if (draw(2))
		buffer_append_char(&b, '*');
	for (size_t i = from; i < to; i++) {
		if (draw(20) == 0)
			buffer_append_char(&b, "?*"[draw(2)]);
		if (strchr("*?\\", word[i]))
			buffer_append_char(&b, '\\');
		buffer_append_char(&b, draw(4) == 0 && word[i] >= 'a' && word[i] <= 'z' ? (char)(word[i] - 32) : word[i]);
	}
	if (draw(2))
		buffer_append_char(&b, '*');
	*ret_cased = draw(4) == 0;
	text = arena_strdup(a, buffer_string(&b));
	buffer_release(&b);
	return text;
}

static const struct expr *random_expr(struct ruleset *rs, int depth)
{
	static const char *const fields[] = { "type", "reason", "message", "raw", "agent", "agent_raw", "rig", "payload.reason", "actor", "pid", "level", "word", "source", "line", "target" };
	static const char *const some_regexes[] = {
		"kill(ed)? \\(", "(?<word>gt|self-clean)", "PID[ =](?<pid>\\d+)", "(?i)session", "session|stuck", "^\\[?from", "[a-c]+", "memory$", "runtime=\\d+s", "\xc3\xa9t.",
	};
	const char *field = fields[draw(COUNT(fields))];
	struct atom a = { .op = ATOM_STRING, .field = rules_field(rs, field) };

	if (depth < 3 && draw(2)) {
		const struct expr *x = random_expr(rs, depth + 1);

		if (draw(5) == 0)
			return expr_not(rs, x);
		return (draw(2) ? expr_and : expr_or)(rs, x, random_expr(rs, depth + 1));
	}
	switch (draw(12)) {
	case 0:
		a.op = ATOM_NULL;
		break;
	case 1:
		a.op = ATOM_EXISTS;
		break;
	case 2:
		a.op = ATOM_GT;
		a.number = draw(200);
		break;
	case 3:
		return expr_regex(rs, field, some_regexes[draw(COUNT(some_regexes))], draw(3) ? 0 : PCRE2_CASELESS);
	case 4:
		a.op = ATOM_KEYWORD;
		a.field = FIELD_RAW;
		a.pattern = pattern_make(&rs->arena, span_from_string(random_pattern(&rs->arena, &a.cased)), false);
		break;
	case 5:
		a.op = ATOM_FIELDREF;
		a.other = FIELD_MESSAGE;
		a.fieldref_kind = (int)draw(4);
		break;
	case 6:
		return expr_make(rs, draw(2) ? EXPR_TRUE : EXPR_FALSE, 0, NULL);
	case 7:
	case 8: {
		/* Few values, so that and-ed types do match. */
		static const char *const types[] = { "kill", "nudge", "done", "handoff", "session_death" };

		a.field = FIELD_TYPE;
		a.pattern = pattern_make(&rs->arena, span_from_string(types[draw(COUNT(types))]), false);
		break;
	}
	default:
		a.pattern = pattern_make(&rs->arena, span_from_string(random_pattern(&rs->arena, &a.cased)), a.cased);
		a.pattern.cased = a.cased;
		break;
	}
	return expr_atom(rs, a);
}

static void write_words(struct buffer *out, bool json)
{
	for (unsigned n = draw(5); n; n--) {
		const char *word = vocable();

		for (; *word; word++) {
			if (json && (*word == '"' || *word == '\\'))
				buffer_append_char(out, '\\');
			if (json && (unsigned char)*word < 0x20)
				buffer_printf(out, "\\u%04x", (unsigned char)*word);
			else
				buffer_append_char(out, draw(30) == 0 && *word >= 'a' && *word <= 'z' ? (char)(*word - 32) : *word);
		}
		if (n > 1)
			buffer_append_char(out, ' ');
	}
}

static void write_line(struct buffer *out, const char *source, unsigned i)
{
	static const char *const types[] = { "kill", "nudge", "done", "handoff", "KILL", "session_death", "x" };
	const char *type = types[draw(COUNT(types))];

	if (draw(15) == 0) {
		write_words(out, false); /* not of the format */
	} else if (strcmp(source, "town") == 0) {
		buffer_printf(out, "2026-02-17 08:%02u:%02u [%s] %s ", i / 60 % 60, i % 60, type, draw(2) ? "mayor" : "icecream/polecats/nux");
		if (draw(3) == 0) {
			buffer_printf(out, "nudged with \"");
			write_words(out, true);
			buffer_append_char(out, '"');
		} else {
			buffer_append_string(out, draw(2) ? "killed (" : "handed off (");
			write_words(out, false);
			buffer_append_char(out, ')');
		}
	} else if (strcmp(source, "events") == 0 || strcmp(source, "json") == 0) {
		buffer_printf(out, "{\"ts\":\"2026-02-17T08:%02u:%02uZ\",\"type\":\"%s\",\"actor\":\"mayor\",\"message\":\"", i / 60 % 60, i % 60, type);
		write_words(out, true);
		buffer_append_string(out, "\",\"payload\":{\"reason\":\"");
		write_words(out, true);
		buffer_printf(out, "\",\"pid\":%u,\"agent\":%s}}", draw(300), draw(3) ? "\"icecream/nux\"" : "null");
	} else if (strcmp(source, "daemon") == 0) {
		buffer_printf(out, "2026/02/17 08:%02u:%02u ", i / 60 % 60, i % 60);
		write_words(out, false);
	} else {
		if (draw(2))
			buffer_printf(out, "2026-02-17 08:%02u:%02u ", i / 60 % 60, i % 60);
		write_words(out, false);
	}
	if (draw(10) == 0)
		buffer_append_char(out, '\r');
	buffer_append_char(out, '\n');
}

/* A town line as gt writes it, with a beginning that rules know, and then damaged here and there: stamp, type, blanks, control characters, length. */
static void write_town_line(struct buffer *out, unsigned i)
{
	static const char *const types[] = { "kill", "nudge", "done", "handoff", "handoff-NOPERSIST", "KILL", "Kill", "session_death", "callback", "CALLBACK", "spawn", "x", "", "kill]", "a longer type than any" };
	static const char *const details[] = { "killed (", "handed off (", "nudged with \"", "killed ", "session terminated (", "nudged deacon with \"", "nudged deacon/ with \"", "killed  (", "Killed (",
		"callback: ", "exited (", "KILL (", "Kill_(", "x (" };
	static const char *const reasons[] = { "gt stop", "GT STOP", "self-clean: idle", "gt stop ", "self-clean", "interrupted (exit 130)", "interrupted (exit 130", "gt", "out of memory", "" };
	static const char *const agents[] = { "mayor", "icecream/polecats/nux", "hq-Mayor/", "deacon//", "gt-icecream-witness", "icecream/witness", "deacon/dogs/nux", "NUX", "Deacon/Boot",
		"icecream/polecats/a-name-that-is-longer-than-32-bytes", "/" };
	static const char *const ends[] = { ")", "\"", "", ") ", "))", "\r", ") \r", ")\nsecond line (gt stop)", ")\r\n  kill", "\n)" };
	static const char odd[] = "\0\r\r\r\x1b\\ []}{\t0-:";
	size_t start = out->len;

	buffer_printf(out, "2026-02-17 08:%02u:%02u [%s] %s %s%s%s", i / 60 % 60, i % 60, types[draw(draw(2) ? 2 : COUNT(types))],
		      draw(8) ? agents[draw(COUNT(agents))] : "",
		      details[draw(COUNT(details))], reasons[draw(COUNT(reasons))], ends[draw(COUNT(ends))]);
	if (draw(4) == 0) {
		/* At the place of the stamp or the type, most of the time. */
		size_t at = draw((unsigned)(draw(3) ? 40 : out->len - start)), len = out->len - start;

		if (at >= len)
			at = len - 1;
		switch (draw(4)) {
		case 0:
			out->data[start + at] = odd[draw(sizeof odd - 1)];
			break;
		case 3:
			buffer_append_char(out, ' ');
			memmove(out->data + start + at + 1, out->data + start + at, len - at);
			out->data[start + at] = odd[draw(sizeof odd - 1)];
			break;
		case 1:
			out->len = start + at;
			break;
		case 2:
			memmove(out->data + start + at, out->data + start + at + 1, len - at - 1);
			out->len--;
			break;
		}
	} else if (draw(10) == 0) {
		struct span line = span_of(xmemdup(out->data + start, out->len - start), out->len - start);

		out->len = start;
		buffer_append_string(out, draw(2) ? "\x1b[31m" : " ");
		buffer_append_span(out, line);
		free((char *)line.ptr);
	}
	buffer_append_char(out, '\n');
}

/* What of a town line keys decide: its type, alone and with other things, with exceptions by what the reason begins with. */
static const struct expr *random_key_expr(struct ruleset *rs, int depth)
{
	static const char *const types[] = { "kill", "nudge", "done", "handoff", "handoff-nopersist", "session_death", "callback", "hand*", "?ill", "*", "", "kill]", "x" };
	static const char *const reasons[] = { "gt*", "gt stop*", "self-clean*", "interrupted (exit 130)*", "interrupted*", "gt stop", "*memory", "gt stop *", "*" };
	static const char *const agents[] = { "mayor", "deacon", "dog/nux", "icecream/WITNESS", "icecream/nux", "boot", "/", "NUX", "icecream/a-name-that-is-longer-than-32-bytes" };
	struct atom a = { .op = ATOM_STRING, .field = draw(2) ? FIELD_REASON : FIELD_MESSAGE, .cased = draw(6) == 0 };

	if (depth == 0 && draw(6) == 0)
		return expr_string(rs, "type", types[draw(draw(2) ? 2 : 7)]);
	if (depth == 0 && draw(4) == 0) {
		/* A type and an agent, and a text. */
		const struct expr *x = expr_and(rs, expr_string(rs, "type", types[draw(draw(2) ? 2 : 7)]), expr_string(rs, "agent", agents[draw(draw(2) ? 4 : COUNT(agents))]));

		return expr_and(rs, x, expr_string(rs, draw(2) ? "message" : "raw", draw(4) ? "*stop*" : "*gt*"));
	}
	if (depth == 0 && draw(2)) {
		/* As such rules are written: a type, but for what is planned. */
		const struct expr *planned = expr_string(rs, draw(4) ? "reason" : "message", reasons[draw(5)]);

		if (draw(2))
			planned = expr_or(rs, planned, expr_string(rs, "reason", reasons[draw(COUNT(reasons))]));
		return expr_and(rs, expr_string(rs, "type", types[draw(7)]), draw(3) ? expr_not(rs, planned) : planned);
	}
	if (depth < 4 && draw(4)) {
		const struct expr *x = random_key_expr(rs, depth + 1);

		if (draw(3) == 0)
			return expr_not(rs, x);
		return (draw(3) ? expr_and : expr_or)(rs, x, random_key_expr(rs, depth + 1));
	}
	switch (draw(8)) {
	case 0: case 1: case 2: case 3:
		a.field = FIELD_TYPE;
		a.pattern = pattern_make(&rs->arena, span_from_string(types[draw(COUNT(types))]), a.cased);
		break;
	case 4:
		a.field = draw(2) ? FIELD_TYPE : FIELD_REASON;
		a.op = draw(2) ? ATOM_NULL : ATOM_EXISTS;
		break;
	case 5:
		return random_expr(rs, 2);
	case 6:
		a.field = FIELD_AGENT;
		a.pattern = pattern_make(&rs->arena, span_from_string(agents[draw(COUNT(agents))]), a.cased);
		break;
	default:
		a.pattern = pattern_make(&rs->arena, span_from_string(reasons[draw(COUNT(reasons))]), a.cased);
		break;
	}
	a.pattern.cased = a.cased;
	return expr_atom(rs, a);
}

static bool same_values(const struct event *a, const struct event *b)
{
	if (a->n_values != b->n_values)
		return false;
	for (size_t i = 0; i < a->n_values; i++)
		if (a->values[i].field != b->values[i].field || !span_equal(a->values[i].text, b->values[i].text))
			return false;
	return true;
}

/* Prefilter and match = match alone; and no part of it depends on which events came before. */
START_TEST(scan_and_match_like_match_alone)
{
	static const char *const sources[] = { "town", "events", "daemon", "overseer", "guardian", "json", "text", "syslog", "town" };
	bool keyed = _i % COUNT(sources) == 8; /* town lines and rules that are hard on keys.c */
	const struct source *source = source_of(sources[_i % COUNT(sources)]);
	unsigned long n_matched = 0, n_candidates = 0, n_records = 0, n_later = 0, n_decided = 0;

	seed = 77 + (uint64_t)_i;
	for (int round = 0; round < (keyed ? 250 : 120); round++) {
		cpu_limit = (enum cpu_level)(round % CPU_LEVELS);
		struct diag_list diags = DIAG_LIST_INIT;
		struct record_list records = { 0 };
		struct buffer log = BUFFER_INIT;
		struct ruleset rs;
		struct matcher *m, *alone;
		struct decoder *d;
		struct event e, other, later;
		uint32_t matched[64], expected[64];
		uint64_t *candidates;
		size_t used, n;

		rules_init(&rs);
		for (unsigned i = 1 + draw(keyed && round % 8 ? 1 : draw(2) ? 3 : 30); i; i--)
			rules_add(&rs, keyed ? random_key_expr(&rs, 0) : random_expr(&rs, 0), draw(6) ? source->name : NULL);
		alone = matcher_new(&rs, source, &diags);
		ck_assert(alone);
		m = round % 2 ? matcher_copy(alone) : matcher_new(&rs, source, &diags);
		for (unsigned i = 0; i < (round % 10 ? 60 : 600); i++)
			if (keyed && draw(20))
				write_town_line(&log, i);
			else
				write_line(&log, source->name, i);
		buffer_reserve(&log, 64);
		memset(log.data + log.len, draw(2) ? 'k' : 0, 64);
		d = decoder_new(source, &rs.fields, zone_get("UTC"), RECORD_LIMIT_DEFAULT);
		decoder_begin_file(d, INT64_C(1771317842) * NS_PER_SECOND);
		used = decoder_frame(d, buffer_span(&log), true, &records);
		ck_assert_uint_eq(used, log.len);
		candidates = xcalloc(records.n / 64 + 1, sizeof *candidates);
		n = matcher_scan(m, buffer_span(&log), &records, candidates);
		event_init(&e, field_count(&rs.fields));
		event_init(&other, field_count(&rs.fields));
		event_init(&later, field_count(&rs.fields));
		for (size_t i = 0; i < records.n; i++) {
			bool candidate = candidates[i / 64] >> (i % 64) & 1;
			size_t n_expected, n_found;

			n -= candidate;
			event_reset(&e);
			if (decoder_parse(d, buffer_span(&log), &records.items[i], &e) == PARSE_NOTHING)
				continue;
			n_records++;
			n_candidates += candidate;
			/* The same event again, for the matcher that tries all rules. */
			event_reset(&other);
			other.kind = e.kind;
			other.time_ns = e.time_ns;
			other.source = e.source;
			other.raw = e.raw;
			for (size_t k = 0; k < e.n_values; k++)
				if (e.values[k].field != FIELD_NONE)
					event_add(&other, e.values[k].field, e.values[k].text, e.values[k].kind);
			n_expected = matcher_match(alone, SIZE_MAX, &other, expected);
			n_matched += n_expected;
			for (size_t k = 0; k < rs.n_rules; k++) {
				/* Explain sees what match sees: of the event before anything was captured. */
				bool listed = false;

				for (size_t j = 0; j < n_expected; j++)
					listed |= expected[j] == k;
				ck_assert(!rule_applies(&rs.rules[k], source) || matcher_expr_holds(alone, rs.rules[k].expr, &e) == listed);
			}
			/* Parsed when it is asked for a field, it is the same event; and what is decided is so without that. */
			event_reset(&later);
			if (decoder_parse_later(d, buffer_span(&log), &records.items[i], &later)) {
				n_later++;
				ck_assert(later.unparsed && !later.n_values && later.agent_number == e.agent_number && later.time_ns == e.time_ns && span_equal(later.raw, e.raw));
				if (candidate && matcher_decided(m, i)) {
					n_decided++;
					n_found = matcher_match(m, i, &later, matched);
					ck_assert(n_found == n_expected && memcmp(matched, expected, n_found * sizeof *matched) == 0);
				}
				event_parse_for(&later, e.values[draw((unsigned)e.n_values)].field);
				ck_assert_msg(!later.unparsed && same_values(&later, &e) && later.n_parsed == e.n_parsed && later.agent_number == e.agent_number,
					      "\"%.*s\"", (int)e.raw.len, e.raw.ptr);
			}
			if (!candidate) {
				ck_assert_msg(n_expected == 0, "source %s, round %d: rule %u matches \"%.*s\", which is no candidate", source->name, round,
					      expected[0], (int)e.raw.len, e.raw.ptr);
				continue;
			}
			n_found = matcher_match(m, i, &e, matched);
			ck_assert_msg(n_found == n_expected && memcmp(matched, expected, n_found * sizeof *matched) == 0,
				      "source %s, round %d: \"%.*s\"", source->name, round, (int)e.raw.len, e.raw.ptr);
			if (e.values && e.n_values == other.n_values)
				ck_assert(same_values(&e, &other));
		}
		ck_assert_uint_eq(n, 0);
		event_release(&e);
		event_release(&other);
		event_release(&later);
		decoder_free(d);
		matcher_free(m);
		matcher_free(alone);
		free(candidates);
		free(records.items);
		buffer_release(&log);
		rules_release(&rs);
		diag_list_release(&diags);
	}
	ck_assert_msg(n_matched > 500 && n_candidates < n_records, "%lu matched, %lu of %lu candidates", n_matched, n_candidates, n_records);
	ck_assert_msg(!keyed || (n_later > 500 && n_decided > 100), "%lu parsed later, %lu decided", n_later, n_decided);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("match");
	TCase *exact = tcase_create("exact"), *regex = tcase_create("regex"), *filter = tcase_create("prefilter");
	SRunner *runner;
	int failed;

	tcase_add_test(exact, strings);
	tcase_add_loop_test(exact, texts_of_each_length, 1, 40);
	tcase_add_test(exact, wildcards_like_the_naive_way);
	tcase_add_test(exact, wildcards_take_no_time_on_hostile_values);
	tcase_add_test(exact, nulls);
	tcase_add_test(exact, numbers);
	tcase_add_test(exact, parts_of_times);
	tcase_add_test(exact, networks);
	tcase_add_test(exact, other_fields);
	tcase_add_test(exact, fields_of_the_event_itself);
	tcase_add_test(exact, incidents_and_sources);
	tcase_add_test(regex, regexes);
	tcase_add_test(regex, regexes_run_into_limits);
	tcase_add_test(regex, a_broken_regex_is_told);
	tcase_add_test(regex, caseless_letters_beyond_ascii);
	tcase_add_test(regex, groups_become_fields);
	tcase_add_test(regex, as_many_groups_as_there_are);
	tcase_add_test(filter, literals_of_regexes);
	tcase_add_test(filter, literals_of_rules);
	tcase_add_test(filter, literals_are_required);
	tcase_add_test(filter, keys_of_lines);
	tcase_add_loop_test(filter, prefilter_like_the_naive_way, 0, 4);
	tcase_add_loop_test(filter, scan_and_match_like_match_alone, 0, 18);
	tcase_set_timeout(exact, 120);
	tcase_set_timeout(regex, 120);
	tcase_set_timeout(filter, 300);
	suite_add_tcase(s, exact);
	suite_add_tcase(s, regex);
	suite_add_tcase(s, filter);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
