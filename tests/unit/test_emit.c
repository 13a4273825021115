/*
 * test_emit.c: what each format says of a state change, byte for byte; and, for hostile bytes anywhere, that jsonl and gt stay
 * valid JSON (a strict reader is below), that text obeys no log and keeps to its width, and that commands quote.
 * shell-words.tap runs commands through real shells; schema.tap holds jsonl against the schema.
 */
#include "base/memory.h"
#include "base/quote.h"
#include "emit/emitter.h"
#include "emit/json_writer.h"
#include "emit_random.h"
#include <check.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 1000

static struct field_table fields;

static void setup(void)
{
	field_table_init(&fields);
}

static void teardown(void)
{
	field_table_release(&fields);
}

static struct emit_options options(unsigned width, bool colour)
{
	return (struct emit_options){ .colour = colour, .zone = zone_get("UTC"), .width = width, .fields = &fields };
}

/* What a format says, NUL-terminated, from malloc. */
static char *emitted(enum emit_format f, const struct emit_options *o, const struct change *c)
{
	struct buffer out = BUFFER_INIT;
	char *copy;

	emit_change(&out, f, o, c);
	ck_assert(out.len == 0 || out.data[out.len - 1] == '\n');
	ck_assert(!out.data || !memchr(out.data, '\0', out.len));
	copy = xmemdup(out.data ? out.data : "", out.len);
	buffer_release(&out);
	return copy;
}

static void assert_emits(enum emit_format f, const struct emit_options *o, const struct change *c, const char *expected)
{
	char *got = emitted(f, o, c);

	ck_assert_str_eq(got, expected);
	free(got);
}

/* ---- A strict JSON reader (RFC 8259): checks, and remembers the outermost names. ---- */

struct reader {
	const char *p, *end;
	char *names; /* of the outermost object, in order, each followed by a blank */
	int depth;
};

static bool read_value(struct reader *r);

static bool read_string(struct reader *r)
{
	if (r->p == r->end || *r->p++ != '"')
		return false;
	while (r->p < r->end && *r->p != '"') {
		unsigned char c = (unsigned char)*r->p;
		size_t n;

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == '\\') {
			if (++r->p == r->end || !strchr("\"\\/bfnrtu", *r->p))
				return false;
			if (*r->p++ == 'u') {
				char digits[5] = "";

				if (r->end - r->p < 4)
					return false;
				memcpy(digits, r->p, 4);
				if (strspn(digits, "0123456789abcdefABCDEF") != 4 || strtoul(digits, NULL, 16) >> 11 == 0x1b)
					return false; /* no surrogates: what is above U+FFFF stands as UTF-8 */
				r->p += 4;
			}
			continue;
		}
		n = utf8_sequence(r->p, (size_t)(r->end - r->p));
		if (n == 0 || (n == 2 && c == 0xc2 && (unsigned char)r->p[1] < 0xa0))
			return false;
		r->p += n;
	}
	return r->p++ < r->end;
}

static size_t read_digits(struct reader *r)
{
	size_t n = 0;

	for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
		n++;
	return n;
}

static bool read_number(struct reader *r)
{
	if (r->p < r->end && *r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (read_digits(r) == 0)
		return false;
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (read_digits(r) == 0)
			return false;
	}
	if (r->p < r->end && *r->p == 'e') {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (read_digits(r) == 0)
			return false;
	}
	return true;
}

static bool read_members(struct reader *r, char closing)
{
	struct span seen[64];
	size_t n_seen = 0;

	r->p++;
	if (r->p < r->end && *r->p == closing) {
		r->p++;
		return true;
	}
	for (;;) {
		if (closing == '}') {
			const char *name = r->p;
			struct span s;

			if (!read_string(r))
				return false;
			s = span_of(name, (size_t)(r->p - name));
			for (size_t i = 0; i < n_seen; i++)
				if (span_equal(seen[i], s))
					return false;
			if (n_seen < 64)
				seen[n_seen++] = s;
			if (r->depth == 1 && r->names) {
				strncat(r->names, name + 1, s.len - 2);
				strcat(r->names, " ");
			}
			if (r->p == r->end || *r->p++ != ':')
				return false;
		}
		if (!read_value(r) || r->p == r->end)
			return false;
		if (*r->p == closing) {
			r->p++;
			return true;
		}
		if (*r->p++ != ',')
			return false;
	}
}

/* No white space is taken: we write none. */
static bool read_value(struct reader *r)
{
	bool good;

	if (r->p == r->end || r->depth > 8)
		return false;
	switch (*r->p) {
	case '{':
	case '[':
		r->depth++;
		good = read_members(r, *r->p == '{' ? '}' : ']');
		r->depth--;
		return good;
	case '"':
		return read_string(r);
	case 'n':
		good = r->end - r->p >= 4 && memcmp(r->p, "null", 4) == 0;
		r->p += 4;
		return good;
	}
	return read_number(r);
}

/* One line that is one object; names (may be NULL, else large enough) gets the outermost names. */
static bool is_json_line(const char *text, char *names)
{
	size_t len = strlen(text);
	struct reader r = { .p = text, .end = text + len - 1, .names = names };

	if (names)
		*names = 0;
	return len > 2 && text[len - 1] == '\n' && *text == '{' && read_value(&r) && r.p == r.end;
}

START_TEST(test_reader_is_strict)
{
	static const char *const good[] = { "{}\n", "{\"a\":1}\n", "{\"a\":[1,-2.5e+10,null,\"\\u001b\xc3\xa9\"]}\n" };
	static const char *const bad[] = {
		"", "\n", "{}", "{}{}\n", "[]\n", "{\"a\":1,}\n", "{\"a\":1,\"a\":2}\n", "{\"a\":01}\n", "{\"a\":.5}\n", "{\"a\":1.}\n", "{\"a\":nan}\n",
		"{\"a\":inf}\n", "{\"a\":\"\xff\"}\n", "{\"a\":\"\x1b\"}\n", "{\"a\":\"\xc2\x9b\"}\n", "{\"a\":\"\n\"}\n", "{\"a\":\"\\x\"}\n", "{\"a\":\"\\ud800\"}\n",
		"{\"a\":\"\xed\xa0\x80\"}\n", "{\"a\" :1}\n", "{\"a\":\"}\n", "{\"a\"}\n", "{\"a\":1]\n", "{\"a\":}\n", "{\"a\":\"\\u12\"}\n", "{\"a\":1\n",
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(is_json_line(good[i], NULL), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!is_json_line(bad[i], NULL), "%s", bad[i]);
}
END_TEST

/* ---- The change that the golden strings are of ---- */

#define T(h, m, s) ((INT64_C(1771286400) + (h) * 3600 + (m) * 60 + (s)) * NS_PER_SECOND) /* 2026-02-17 */

static const struct rule kill_storm = { .name = "kill_storm", .title = "Agent kill storm", .level = LEVEL_CRITICAL };
static const struct rule runaway = { .name = "runaway_pytest", .title = "Runaway pytest", .level = LEVEL_HIGH };

#define SPAN_INIT(literal) { "" literal, sizeof(literal) - 1 } /* SPAN() is no constant */
static const struct top_value agents[] = {
	{ SPAN_INIT("prajna/witness"), 14 },
	{ SPAN_INIT("mayor"), 7 },
};
static const struct top_value rigs[] = { { SPAN_INIT("prajna"), 14 } };
static const struct top_list tops[] = {
	{ .field = FIELD_AGENT, .values = agents, .n_values = 2, .others = 4, .n_distinct = 5 },
	{ .field = FIELD_RIG, .values = rigs, .n_values = 1, .others = 0, .n_distinct = 1 },
};
static const struct evidence evidences[] = {
	{ "town", "logs/town.log.1", 41, T(4, 36, 14), SPAN_INIT("2026-02-17 04:36:14 [kill] mayor killed") },
	{ "town", "logs/town.log", 7, T(5, 36, 14), SPAN_INIT("2026-02-17 05:36:14 [kill] prajna/witness killed (\"\x1b[0m\xff\")") },
};
static const struct named_value storm_fields[] = {
	{ SPAN_INIT("type"), SPAN_INIT("kill") },
	{ SPAN_INIT("agent"), SPAN_INIT("prajna/witness") },
};
static const struct named_value runaway_key[] = {
	{ SPAN_INIT("rig"), SPAN_INIT("mcp_memory") },
	{ SPAN_INIT("pid"), SPAN_INIT("41702") },
};
static const struct span nudge[] = { SPAN_INIT("gt"), SPAN_INIT("nudge"), SPAN_INIT("hq-mayor"), SPAN_INIT("--mode=queue"), SPAN_INIT("ESCALATION: kill storm, it's 25"), { NULL, 0 } };
static const struct span bead[] = { SPAN_INIT("bd"), SPAN_INIT("create"), SPAN_INIT("--title=Kill storm"), { NULL, 0 } };
static const struct span *const responses[] = { nudge, bead };

static struct change storm(void)
{
	return (struct change){
		.rule = &kill_storm, .state = INCIDENT_OPEN, .id = "kill_storm-1f2e3d4c5b6a7988",
		.time_ns = T(5, 36, 14), .opened_ns = T(5, 36, 14), .first_ns = T(4, 36, 14), .last_ns = T(5, 36, 14) + 500000000,
		.value = 25, .condition = "gt 5", .count = 25, .summary = SPAN("25 unplanned kills in 1 h: 14 × prajna/witness, 7 × mayor"),
		.top = tops, .n_top = 2, .evidence = evidences, .n_evidence = 2, .evidence_dropped = 23,
		.fields = storm_fields, .n_fields = 2, .commands = responses, .n_commands = 2,
	};
}

static struct change runaway_change(enum incident_state state)
{
	return (struct change){
		.rule = &runaway, .state = state, .id = "runaway_pytest-00000000000000ff",
		.time_ns = T(5, 36, 14), .opened_ns = T(5, 6, 14), .first_ns = T(5, 6, 14), .last_ns = T(5, 36, 14),
		.key = runaway_key, .n_key = 2, .value = 1800.5, .condition = "gte 1800", .count = 31,
		.summary = SPAN("pytest has run for 1800 s (PID 41702, 97 % CPU): python -m pytest tests/integration"),
	};
}

/* ---- Names ---- */

START_TEST(test_names)
{
	static const struct {
		const char *name;
		enum emit_format format;
	} cases[] = { { "text", EMIT_TEXT }, { "jsonl", EMIT_JSONL }, { "commands", EMIT_COMMANDS }, { "gt", EMIT_GT } };
	static const char *const unknown[] = { "", "json", "TEXT", "text ", "tex", "jsonl=x" };
	enum emit_format f;

	for (size_t i = 0; i < 4; i++) {
		ck_assert(emit_format_from_name(span_from_string(cases[i].name), &f));
		ck_assert_int_eq(f, cases[i].format);
		ck_assert_str_eq(emit_format_name(f), cases[i].name);
	}
	f = EMIT_GT;
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
		ck_assert(!emit_format_from_name(span_from_string(unknown[i]), &f));
	ck_assert_int_eq(f, EMIT_GT);
}
END_TEST

/* ---- jsonl ---- */

START_TEST(test_jsonl_golden)
{
	struct emit_options o = options(0, false);
	struct change c = storm();
	char names[512];
	char *line;

	assert_emits(EMIT_JSONL, &o, &c,
		"{\"schema\":\"tocsin.incident.v1\",\"id\":\"kill_storm-1f2e3d4c5b6a7988\",\"state\":\"open\",\"rule\":\"kill_storm\","
		"\"title\":\"Agent kill storm\",\"level\":\"critical\",\"key\":{},\"opened\":\"2026-02-17T05:36:14Z\",\"time\":\"2026-02-17T05:36:14Z\","
		"\"value\":25,\"condition\":\"gt 5\",\"count\":25,\"first\":\"2026-02-17T04:36:14Z\",\"last\":\"2026-02-17T05:36:14.500Z\","
		"\"summary\":\"25 unplanned kills in 1 h: 14 × prajna/witness, 7 × mayor\","
		"\"top\":{\"agent\":[{\"value\":\"prajna/witness\",\"count\":14},{\"value\":\"mayor\",\"count\":7}],\"rig\":[{\"value\":\"prajna\",\"count\":14}]},"
		"\"top_others\":{\"agent\":{\"values\":3,\"count\":4}},"
		"\"evidence\":[{\"source\":\"town\",\"file\":\"logs/town.log.1\",\"line\":41,\"time\":\"2026-02-17T04:36:14Z\",\"text\":\"2026-02-17 04:36:14 [kill] mayor killed\"},"
		"{\"source\":\"town\",\"file\":\"logs/town.log\",\"line\":7,\"time\":\"2026-02-17T05:36:14Z\","
		"\"text\":\"2026-02-17 05:36:14 [kill] prajna/witness killed (\\\"\\u001b[0m\xef\xbf\xbd\\\")\"}],\"evidence_dropped\":23,"
		"\"fields\":{\"type\":\"kill\",\"agent\":\"prajna/witness\"},"
		"\"commands\":[[\"gt\",\"nudge\",\"hq-mayor\",\"--mode=queue\",\"ESCALATION: kill storm, it's 25\"],[\"bd\",\"create\",\"--title=Kill storm\"]]}\n");

	line = emitted(EMIT_JSONL, &o, &c);
	ck_assert(is_json_line(line, names));
	ck_assert_str_eq(names, "schema id state rule title level key opened time value condition count first last summary top top_others "
				"evidence evidence_dropped fields commands ");
	free(line);
}
END_TEST

START_TEST(test_jsonl_least)
{
	static const struct rule rule = { .name = "r", .title = "", .level = LEVEL_INFORMATIONAL };
	struct emit_options o = options(0, false);
	struct change c = {
		.rule = &rule, .state = INCIDENT_RESOLVED, .id = "r-0000000000000000", .time_ns = 0, .opened_ns = -NS_PER_SECOND,
		.first_ns = TIME_NONE, .last_ns = TIME_NONE, .value = NAN, .condition = "",
	};

	assert_emits(EMIT_JSONL, &o, &c,
		"{\"schema\":\"tocsin.incident.v1\",\"id\":\"r-0000000000000000\",\"state\":\"resolved\",\"rule\":\"r\",\"title\":\"\",\"level\":\"informational\","
		"\"key\":{},\"opened\":\"1969-12-31T23:59:59Z\",\"time\":\"1970-01-01T00:00:00Z\",\"value\":null,\"condition\":\"\",\"count\":0,"
		"\"first\":null,\"last\":null,\"summary\":\"\",\"top\":{},\"top_others\":{},\"evidence\":[],\"evidence_dropped\":0,\"fields\":{},\"commands\":[]}\n");
}
END_TEST

static const struct {
	double value;
	const char *text;
} numbers[] = {
	{ 0, "0" }, { -0.0, "0" }, { 1, "1" }, { -1, "-1" }, { 25, "25" }, { 0.1, "0.1" }, { 0.5, "0.5" }, { 1.0 / 3, "0.3333333333333333" },
	{ 97.3, "97.3" }, { 1800.5, "1800.5" }, { 1e6, "1000000" }, { 1e15, "1000000000000000" }, { 1e18, "1000000000000000000" },
	{ 9007199254740993.0, "9007199254740992" }, { 0x1p63, "9.223372036854776e+18" }, { 1e300, "1e+300" }, { -1e-300, "-1e-300" },
	{ 5e-324, "4.94065645841247e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 0.1 + 0.2, "0.30000000000000004" },
	{ NAN, "null" }, { INFINITY, "null" }, { -INFINITY, "null" },
};

static void check_numbers(void)
{
	struct buffer out = BUFFER_INIT;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buffer_clear(&out);
		json_number(&out, NULL, numbers[i].value);
		ck_assert_str_eq(buffer_string(&out), numbers[i].text);
	}
	buffer_release(&out);
}

START_TEST(test_numbers)
{
	struct random r = { .state = 1 };
	struct buffer out = BUFFER_INIT;

	check_numbers();
	for (int i = 0; i < 100000; i++) {
		union {
			uint64_t bits;
			double number;
		} u = { .bits = random_next(&r) };

		if (!isfinite(u.number))
			continue;
		buffer_clear(&out);
		json_number(&out, NULL, u.number);
		if (strtod(buffer_string(&out), NULL) != u.number)
			ck_abort_msg("%a: %s", u.number, out.data);
	}
	buffer_release(&out);
}
END_TEST

START_TEST(test_numbers_in_any_locale)
{
	static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "fa_IR.UTF-8" };

	for (size_t i = 0; i < 4; i++) /* those that are installed */
		if (setlocale(LC_ALL, names[i]))
			check_numbers();
	setlocale(LC_ALL, "C");
}
END_TEST

/* ---- commands ---- */

#define WORDS_MAX 6
static const struct {
	struct span words[WORDS_MAX + 1];
	const char *line;
} command_cases[] = {
	{ { SPAN("gt"), SPAN("nudge"), SPAN("--mode=queue") }, "gt nudge --mode=queue\n" },
	{ { SPAN("gt"), SPAN("nudge"), SPAN("") }, "gt nudge ''\n" },
	{ { SPAN("gt"), SPAN("it's") }, "gt 'it'\\''s'\n" },
	{ { SPAN("gt"), SPAN("a\nb"), SPAN("$(x)`y`") }, "gt 'a\nb' '$(x)`y`'\n" },
	{ { SPAN("gt"), SPAN("~"), SPAN("=x"), SPAN("a=b"), SPAN("if"), SPAN("\xff\x1b") }, "gt '~' '=x' a=b if '\xff\x1b'\n" },
	{ { SPAN("if"), SPAN("x") }, "'if' x\n" },
	{ { SPAN("time") }, "'time'\n" },
	{ { SPAN("PATH=/tmp"), SPAN("ls") }, "'PATH=/tmp' ls\n" },
	{ { SPAN("=") , SPAN("ls") }, "'=' ls\n" },
	{ { SPAN("iff") }, "iff\n" },
	{ { SPAN("/usr/bin/env"), SPAN("A=1"), SPAN("x") }, "/usr/bin/env A=1 x\n" },
	{ { SPAN("{"), SPAN("x") }, "'{' x\n" },
	{ { SPAN("") }, "''\n" },
	{ { SPAN("gt"), SPAN("a\0b") }, "" },
	{ { SPAN("\0") }, "" },
	{ { { NULL, 0 } }, "" },
};

START_TEST(test_commands)
{
	struct emit_options o = options(0, true);

	for (size_t i = 0; i < sizeof command_cases / sizeof *command_cases; i++) {
		const struct span *words = command_cases[i].words;
		struct change c = storm();

		c.commands = &words;
		c.n_commands = 1;
		assert_emits(EMIT_COMMANDS, &o, &c, command_cases[i].line);
	}
}
END_TEST

START_TEST(test_commands_several)
{
	struct emit_options o = options(0, false);
	struct change c = storm();

	assert_emits(EMIT_COMMANDS, &o, &c,
		     "gt nudge hq-mayor --mode=queue 'ESCALATION: kill storm, it'\\''s 25'\nbd create '--title=Kill storm'\n");
	c.n_commands = 0;
	assert_emits(EMIT_COMMANDS, &o, &c, "");
}
END_TEST

/* ---- text ---- */

START_TEST(test_text_golden)
{
	struct emit_options o = options(0, false);
	struct change c = storm();

	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  CRITICAL  open      kill_storm\n"
		"                     25 unplanned kills in 1 h: 14 × prajna/witness, 7 × mayor\n"
		"                     $ gt nudge hq-mayor --mode=queue 'ESCALATION: kill storm, it'\\''s 25'\n"
		"                     $ bd create '--title=Kill storm'\n");

	c = runaway_change(INCIDENT_UPDATE);
	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  HIGH      update    runaway_pytest  mcp_memory pid 41702\n"
		"                     pytest has run for 1800 s (PID 41702, 97 % CPU): python -m pytest tests/integration\n");

	o.width = 80;
	c.state = INCIDENT_RESOLVED;
	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  HIGH      resolved  runaway_pytest  mcp_memory pid 41702\n"
		"                     pytest has run for 1800 s (PID 41702, 97 % CPU): python -m\n"
		"                       pytest tests/integration\n");

	c.summary = SPAN("");
	c.n_key = 0;
	assert_emits(EMIT_TEXT, &o, &c, "2026-02-17 05:36:14  HIGH      resolved  runaway_pytest\n");
}
END_TEST

START_TEST(test_text_colour)
{
	struct emit_options o = options(0, true);
	struct change c = storm();

	c.n_commands = 1;
	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  \033[1;31mCRITICAL\033[0m  \033[1;31mopen    \033[0m  kill_storm\n"
		"                     25 unplanned kills in 1 h: 14 × prajna/witness, 7 × mayor\n"
		"                     \033[2m$ gt nudge hq-mayor --mode=queue 'ESCALATION: kill storm, it'\\''s 25'\033[0m\n");
	c = runaway_change(INCIDENT_UPDATE);
	c.summary = SPAN("");
	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  \033[31mHIGH    \033[0m  update    runaway_pytest  mcp_memory pid 41702\n");
	c.state = INCIDENT_RESOLVED;
	assert_emits(EMIT_TEXT, &o, &c,
		"2026-02-17 05:36:14  \033[31mHIGH    \033[0m  \033[32mresolved\033[0m  runaway_pytest  mcp_memory pid 41702\n");
}
END_TEST

START_TEST(test_text_zone)
{
	struct emit_options o = options(0, false);
	struct change c = runaway_change(INCIDENT_OPEN);

	o.zone = zone_get("America/New_York");
	if (!o.zone)
		return; /* no zone files here */
	c.summary = SPAN("");
	assert_emits(EMIT_TEXT, &o, &c, "2026-02-17 00:36:14  HIGH      open      runaway_pytest  mcp_memory pid 41702\n");
}
END_TEST

/* The last row of a summary, on a terminal of 50 columns: 27 are left for it. */
static const struct {
	struct span summary;
	const char *shown;
} cuts[] = {
	{ SPAN("exactly twenty-seven chars."), "exactly twenty-seven chars." },
	{ SPAN("exactly twenty-eight charact"), "exactly twenty-eight chara…" },
	{ SPAN("×××××××××××××××××××××××××××"), "×××××××××××××××××××××××××××" },
	{ SPAN("××××××××××××××××××××××××××××"), "××××××××××××××××××××××××××…" },
	{ SPAN("漢漢漢漢漢漢漢漢漢漢漢漢漢."), "漢漢漢漢漢漢漢漢漢漢漢漢漢." },
	{ SPAN("漢漢漢漢漢漢漢漢漢漢漢漢漢漢"), "漢漢漢漢漢漢漢漢漢漢漢漢漢…" },
	{ SPAN("x漢漢漢漢漢漢漢漢漢漢漢漢漢漢"), "x漢漢漢漢漢漢漢漢漢漢漢漢…" },
	{ SPAN("\x1b[31mred\x1b[0m\r\n\tx\x7f"), "^[[31mred^[[0m^M\\n^Ix^?" },
	{ SPAN("a\0b\xff\xc2\x9b"), "a^@b\\xFF\\x9B" },
	{ SPAN("\xe2\x80\xaegnp.exe"), "\\u{202E}gnp.exe" },
	{ SPAN("\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b"), "^[^[^[^[^[^[^[^[^[^[^[^[^[…" },
};

START_TEST(test_text_cut)
{
	struct emit_options o = options(50, false);

	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		static const char row[] = "a row of twenty-nine columns.", next[] = "exactly twenty-seven chars.";
		struct change c = runaway_change(INCIDENT_OPEN);
		struct buffer summary = BUFFER_INIT;
		char expected[512];

		c.n_key = 0;
		buffer_printf(&summary, "%s %s ", row, next);
		buffer_append_span(&summary, cuts[i].summary);
		c.summary = buffer_span(&summary);
		snprintf(expected, sizeof expected, "2026-02-17 05:36:14  HIGH      open      runaway_…\n%21s%s\n%23s%s\n%23s%s\n", "", row, "", next, "", cuts[i].shown);
		assert_emits(EMIT_TEXT, &o, &c, expected);
		buffer_release(&summary);
	}
}
END_TEST

/* The rows of a summary: 27 columns, then 25. */
static const struct {
	const char *summary, *rows[3];
} breaks[] = {
	{ "short", { "short" } },
	{ "6 unplanned kills in 1 h: 4 × prajna/witness, 1 × mayor", { "6 unplanned kills in 1 h: 4", "× prajna/witness, 1 ×", "mayor" } },
	{ "/home/op/gt/mcp_memory/refinery/rig/.venv/bin/python3", { "/home/op/gt/mcp_memory/refi", "nery/rig/.venv/bin/python", "3" } },
	{ "python /home/op/gt/mcp_memory/refinery", { "python /home/op/gt/mcp_memo", "ry/refinery" } },
	{ "a runaway pytest of the rig /home/op/gt/mcp_memory", { "a runaway pytest of the rig", "/home/op/gt/mcp_memory" } },
	{ "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
	  { "one two three four five six", "seven eight nine ten", "eleven twelve thirteen f…" } },
};

START_TEST(test_text_breaks)
{
	struct emit_options o = options(48, false);

	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		struct change c = runaway_change(INCIDENT_OPEN);
		struct buffer expected = BUFFER_INIT;

		c.n_key = 0;
		c.summary = span_from_string(breaks[i].summary);
		buffer_append_string(&expected, "2026-02-17 05:36:14  HIGH      open      runawa…\n");
		for (int row = 0; row < 3 && breaks[i].rows[row]; row++)
			buffer_printf(&expected, "%*s%s\n", row ? 23 : 21, "", breaks[i].rows[row]);
		assert_emits(EMIT_TEXT, &o, &c, buffer_string(&expected));
		o.width = 10; /* is taken as 48 */
		assert_emits(EMIT_TEXT, &o, &c, buffer_string(&expected));
		o.width = 48;
		buffer_release(&expected);
	}
}
END_TEST

/* ---- gt ---- */

START_TEST(test_gt_golden)
{
	struct emit_options o = options(0, true);
	struct change c = storm();
	char names[128];
	char *line;

	assert_emits(EMIT_GT, &o, &c,
		"{\"ts\":\"2026-02-17T05:36:14Z\",\"source\":\"tocsin\",\"type\":\"incident_open\",\"actor\":\"tocsin\",\"payload\":{\"count\":25,"
		"\"id\":\"kill_storm-1f2e3d4c5b6a7988\",\"key\":{},\"level\":\"critical\","
		"\"message\":\"critical kill_storm: 25 unplanned kills in 1 h: 14 × prajna/witness, 7 × mayor\","
		"\"opened\":\"2026-02-17T05:36:14Z\",\"rule\":\"kill_storm\"},\"visibility\":\"feed\"}\n");
	line = emitted(EMIT_GT, &o, &c);
	ck_assert(is_json_line(line, names));
	ck_assert_str_eq(names, "ts source type actor payload visibility ");
	free(line);

	c = runaway_change(INCIDENT_RESOLVED);
	c.summary = SPAN("gone\x1b[2J\xe2\x80\xae");
	assert_emits(EMIT_GT, &o, &c,
		"{\"ts\":\"2026-02-17T05:36:14Z\",\"source\":\"tocsin\",\"type\":\"incident_resolved\",\"actor\":\"tocsin\",\"payload\":{\"count\":31,"
		"\"id\":\"runaway_pytest-00000000000000ff\",\"key\":{\"rig\":\"mcp_memory\",\"pid\":\"41702\"},\"level\":\"high\","
		"\"message\":\"resolved runaway_pytest: gone^[[2J\\\\u{202E}\","
		"\"opened\":\"2026-02-17T05:06:14Z\",\"rig\":\"mcp_memory\",\"rule\":\"runaway_pytest\"},\"visibility\":\"feed\"}\n");
}
END_TEST

/* gt filters by payload.rig: the key's, else the newest event's, but none for the whole town. */
START_TEST(test_gt_rig)
{
	static const struct named_value with_rig[] = { { SPAN_INIT("rig"), SPAN_INIT("prajna") } };
	static const struct named_value pid[] = { { SPAN_INIT("pid"), SPAN_INIT("41702") } };
	static const struct {
		const struct named_value *key, *fields;
		const char *rig;
	} cases[] = {
		{ runaway_key, with_rig, "\"rig\":\"mcp_memory\",\"rule\"" },
		{ pid, with_rig, "\"rig\":\"prajna\",\"rule\"" },
		{ pid, NULL, NULL },
		{ NULL, with_rig, NULL },
	};
	struct emit_options o = options(0, false);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct change c = runaway_change(INCIDENT_OPEN);
		char *line;

		c.key = cases[i].key;
		c.n_key = c.key == NULL ? 0 : c.key == pid ? 1 : 2;
		c.fields = cases[i].fields;
		c.n_fields = c.fields ? 1 : 0;
		line = emitted(EMIT_GT, &o, &c);
		ck_assert(is_json_line(line, NULL));
		ck_assert(cases[i].rig ? strstr(line, cases[i].rig) != NULL : strstr(line, "\"rig\"") == NULL);
		free(line);
	}
}
END_TEST

/* Followers of .events.jsonl give up at a line of 64 KiB. */
START_TEST(test_gt_is_short)
{
	struct emit_options o = options(0, false);
	size_t huge = 1024 * 1024;
	char *bytes = xmalloc(huge);
	struct named_value key[40];

	memset(bytes, 1, huge); /* six bytes each in JSON */
	for (size_t i = 0; i < 40; i++)
		key[i] = (struct named_value){ span_of(bytes, 300 + i), span_of(bytes, huge) };
	key[0].name = SPAN("rig");
	for (size_t i = 1; i < 40; i++) {
		char *name = xmemdup(bytes, 400);

		name[0] = (char)('a' + i % 26); /* names differ */
		key[i].name = span_of(name, 400);
	}
	for (int state = 0; state < INCIDENT_STATE_COUNT; state++) {
		char name[2001], id[2101];
		struct rule rule = { .name = name, .title = "T", .level = LEVEL_LOW };
		struct change c = runaway_change((enum incident_state)state);
		char *line;

		memset(name, 1, 2000);
		name[2000] = 0;
		snprintf(id, sizeof id, "%s-0123456789abcdef", name);
		c.rule = &rule;
		c.id = id;
		c.summary = span_of(bytes, huge);
		c.key = key;
		c.n_key = 40;
		line = emitted(EMIT_GT, &o, &c);
		ck_assert(is_json_line(line, NULL));
		ck_assert_uint_lt(strlen(line), 60 * 1024);
		free(line);
	}
	for (size_t i = 1; i < 40; i++)
		free((char *)key[i].name.ptr);
	free(bytes);
}
END_TEST

/* ---- Hostile bytes anywhere ---- */

/* What of a text no terminal should get, or NULL. (Not ck_assert for each byte: it writes to a pipe every time.) */
static const char *fault_of_text(const char *p, unsigned width, bool colour)
{
	size_t len = strlen(p), line = 0, columns = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(p + i, len - i);

		if (n == 0)
			return "invalid UTF-8";
		if (p[i] == '\n') {
			size_t text = line + 21 + (colour && p[line + 21] == '\033' ? 4 : 0);
			bool command = i > text && strncmp(p + text, "$ ", 2) == 0;

			/* Only ASCII is counted: nothing of it is wider or narrower than one. */
			if (width > 0 && columns > (command ? 4 * width : width))
				return "a line too wide";
			line = i + 1;
			columns = 0;
		} else if (p[i] == '\033') {
			n = 1 + strspn(p + i + 1, "[0123456789;");
			if (!colour || n > 6 || p[i + n] != 'm')
				return "an escape sequence";
			n++;
		} else if (n == 1 && (p[i] < 0x20 || p[i] == 0x7f)) {
			return "a control character";
		} else if (n == 2 && (unsigned char)p[i] == 0xc2 && (unsigned char)p[i + 1] < 0xa0) {
			return "a C1 control";
		} else if (n == 3 && (memcmp(p + i, "\xe2\x80\xae", 3) == 0 || memcmp(p + i, "\xe2\x81\xa6", 3) == 0)) {
			return "a change of direction";
		} else {
			columns += n == 1;
		}
		i += n;
	}
	return NULL;
}

static void check_everything(const struct change *c)
{
	static const unsigned widths[] = { 0, 1, 48, 80, 120 };
	struct emit_options o = options(0, false);
	char *line = emitted(EMIT_JSONL, &o, c), *again = emitted(EMIT_JSONL, &o, c);
	const char *fault;

	ck_assert_msg(is_json_line(line, NULL), "not JSON: %s", line);
	ck_assert_str_eq(line, again);
	free(line);
	free(again);

	line = emitted(EMIT_GT, &o, c);
	ck_assert_msg(is_json_line(line, NULL), "not JSON: %s", line);
	ck_assert_uint_lt(strlen(line), 60 * 1024);
	free(line);

	for (size_t i = 0; i < 5; i++)
		for (int colour = 0; colour < 2; colour++) {
			o = options(widths[i], colour);
			line = emitted(EMIT_TEXT, &o, c);
			fault = fault_of_text(line, widths[i] && widths[i] < 48 ? 48 : widths[i], colour);
			ck_assert_msg(!fault, "%s, width %u: %s", fault, widths[i], line);
			free(line);
		}
	free(emitted(EMIT_COMMANDS, &o, c));
}

START_TEST(test_hostile_changes)
{
	struct random r = { .state = 20260217 };
	struct arena a = ARENA_INIT;

	for (int i = 0; i < ROUNDS; i++) {
		check_everything(random_change(&r, &a));
		arena_reset(&a);
	}
	arena_release(&a);
}
END_TEST

START_TEST(test_every_byte_everywhere)
{
	for (int b = 0; b < 256; b++) {
		char text[] = { 'a', (char)b, 'z', 0 };
		const char *string = b ? text : "az";
		struct span s = span_of(text, 3);
		struct rule rule = { .name = string, .title = string, .level = LEVEL_LOW };
		struct named_value value = { s, s };
		struct top_value top_value = { s, 1 };
		struct top_list top = { .field = FIELD_AGENT, .values = &top_value, .n_values = 1, .n_distinct = 1 };
		struct evidence e = { .source = string, .file = string, .line = UINT64_MAX, .time_ns = 0, .text = s };
		const struct span words[] = { s, s, { NULL, 0 } }, *commands[] = { words };
		struct change c = {
			.rule = &rule, .id = string, .key = &value, .n_key = 1, .condition = string, .summary = s, .top = &top, .n_top = 1,
			.evidence = &e, .n_evidence = 1, .fields = &value, .n_fields = 1, .commands = commands, .n_commands = 1,
		};

		check_everything(&c);
	}
}
END_TEST

/* Lines follow each other in one buffer; what stands before does not change what is appended. */
START_TEST(test_appends)
{
	struct emit_options o = options(80, false);
	struct change c = storm();

	for (int f = EMIT_TEXT; f <= EMIT_GT; f++) {
		struct buffer out = BUFFER_INIT;
		char *once = emitted((enum emit_format)f, &o, &c);
		size_t len = strlen(once);

		emit_change(&out, (enum emit_format)f, &o, &c);
		emit_change(&out, (enum emit_format)f, &o, &c);
		ck_assert_uint_eq(out.len, 2 * len);
		ck_assert_mem_eq(out.data, once, len);
		ck_assert_mem_eq(out.data + len, once, len);
		buffer_release(&out);
		free(once);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("emit");
	TCase *t = tcase_create("formats");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_reader_is_strict);
	tcase_add_test(t, test_names);
	tcase_add_test(t, test_jsonl_golden);
	tcase_add_test(t, test_jsonl_least);
	tcase_add_test(t, test_numbers);
	tcase_add_test(t, test_numbers_in_any_locale);
	tcase_add_test(t, test_commands);
	tcase_add_test(t, test_commands_several);
	tcase_add_test(t, test_text_golden);
	tcase_add_test(t, test_text_colour);
	tcase_add_test(t, test_text_zone);
	tcase_add_test(t, test_text_cut);
	tcase_add_test(t, test_text_breaks);
	tcase_add_test(t, test_gt_golden);
	tcase_add_test(t, test_gt_rig);
	tcase_add_test(t, test_gt_is_short);
	tcase_add_test(t, test_hostile_changes);
	tcase_add_test(t, test_every_byte_everywhere);
	tcase_add_test(t, test_appends);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
