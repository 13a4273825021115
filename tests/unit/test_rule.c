/*
 * test_rule.c: rule files to rulesets: what others rest on (order, names, digests, sources, sharing of atoms), files and folders, and
 * where diagnostics point. What single rules compile to is in tests/sigma.
 */
#include "base/memory.h"
#include "test_rule.h"
#include "rule/yaml.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct ruleset *load(const char *text)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = ruleset_load_text(span_from_string(text), "test.yml", false, &diags);

	for (size_t i = 0; i < diags.n && !rs; i++)
		ck_assert_msg(diags.items[i].level != DIAG_ERROR, "%d:%d: %s in:\n%s", diags.items[i].line, diags.items[i].column,
			      diags.items[i].text, text);
	ck_assert_ptr_nonnull(rs);
	diag_list_release(&diags);
	return rs;
}

struct diag_list load_errors(const char *text, bool lint)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = ruleset_load_text(span_from_string(text), "test.yml", lint, &diags);

	ck_assert_msg(!rs, "must not load:\n%s", text);
	return diags;
}

#define DETECTION(name, test)                                                                  \
	"title: " name "\nname: " name "\nlogsource: {product: gastown, service: town}\n"      \
	"detection: {s: {" test "}, condition: s}\n"
#define INCIDENTS(name, test)                                                                  \
	"title: " name "\nname: " name "\nlogsource: {product: gastown, service: incident}\n"  \
	"detection: {s: {" test "}, condition: s}\n"
#define COUNTING(name, rules)                                                                  \
	"title: " name "\nname: " name "\ncorrelation: {type: event_count, rules: [" rules "], timespan: 1h, condition: {gt: 5}}\n"
#define NEXT "---\n"

/* ---- order ---- */

START_TEST(inputs_stand_before_what_rests_on_them)
{
	struct ruleset *rs = load(COUNTING("c", "b") NEXT COUNTING("b", "a") NEXT DETECTION("a", "type: kill"));

	ck_assert_uint_eq(rs->n_rules, 3);
	ck_assert_str_eq(rs->rules[0].name, "a");
	ck_assert_str_eq(rs->rules[1].name, "b");
	ck_assert_str_eq(rs->rules[2].name, "c");
	ck_assert(!rs->rules[0].alerts && !rs->rules[1].alerts && rs->rules[2].alerts);
	ruleset_free(rs);
}
END_TEST

START_TEST(a_long_chain)
{
	struct buffer b = BUFFER_INIT;
	struct ruleset *rs;

	for (int i = 3000; i > 0; i--)
		buffer_printf(&b, "title: c%d\ncorrelation: {type: event_count, rules: [c%d], timespan: 1h, condition: {gt: 5}}\n---\n", i, i - 1);
	buffer_append_string(&b, DETECTION("c0", "type: kill"));
	rs = load(buffer_string(&b));
	ck_assert_str_eq(rs->rules[3000].name, "c3000");
	ruleset_free(rs);
	buffer_release(&b);
}
END_TEST

START_TEST(rules_about_incidents_come_last)
{
	struct ruleset *rs = load(INCIDENTS("about", "state: open") NEXT COUNTING("of_about", "about") NEXT INCIDENTS("second", "state: open")
				  NEXT DETECTION("kill", "type: kill") NEXT COUNTING("storm", "kill"));
	const struct rule *about = ruleset_find(rs, "about"), *of_about = ruleset_find(rs, "of_about"), *second = ruleset_find(rs, "second"),
			  *storm = ruleset_find(rs, "storm");

	ck_assert(about->about_incidents && !of_about->about_incidents);
	ck_assert(rule_sees_incidents(about, storm) && rule_sees_incidents(second, storm));
	ck_assert(!rule_sees_incidents(about, about));
	ck_assert(!rule_sees_incidents(about, of_about));
	ck_assert(!rule_sees_incidents(storm, storm));
	/* Never each other's: an incident could feed itself. */
	ck_assert(rule_sees_incidents(about, second) != rule_sees_incidents(second, about));
	ruleset_free(rs);
}
END_TEST

START_TEST(a_rule_named_by_another_stands_before_it)
{
	struct ruleset *rs = load(INCIDENTS("a", "rule: c, state: open") NEXT INCIDENTS("b", "rule: [a, storm]") NEXT INCIDENTS("c", "rule|startswith: x"));

	ck_assert(rule_sees_incidents(ruleset_find(rs, "a"), ruleset_find(rs, "c")));
	ck_assert(rule_sees_incidents(ruleset_find(rs, "b"), ruleset_find(rs, "a")));
	ruleset_free(rs);
}
END_TEST

START_TEST(a_rule_may_exclude_what_rests_on_it)
{
	struct ruleset *rs = load("title: a\nlogsource: {product: gastown, service: incident}\n"
				  "detection: {s: {state: open}, mine: {rule: b}, condition: s and not mine}\n---\n" COUNTING("b", "a"));

	ck_assert(!rule_sees_incidents(ruleset_find(rs, "a"), ruleset_find(rs, "b")));
	ruleset_free(rs);
}
END_TEST

/* ---- names ---- */

START_TEST(names_ids_and_titles)
{
	struct ruleset *rs = load("title: One & Two!\nlogsource: {product: x}\ndetection: {s: {a: b}, condition: s}\n---\n"
				  "title: T\nid: 11-22\nlogsource: {product: x}\ndetection: {s: {a: b}, condition: s}\n---\n"
				  "title: T\nid: 33\nname: n\nlevel: high\nlogsource: {product: x}\ndetection: {s: {a: b}, condition: s}\n");

	ck_assert_str_eq(rs->rules[0].name, "one_two");
	ck_assert_str_eq(rs->rules[1].name, "11-22");
	ck_assert_str_eq(rs->rules[2].name, "n");
	ck_assert_ptr_eq(ruleset_find(rs, "33"), &rs->rules[2]);
	ck_assert_ptr_eq(ruleset_find(rs, "n"), &rs->rules[2]);
	ck_assert_ptr_null(ruleset_find(rs, "T"));
	ck_assert_int_eq(rs->rules[0].level, LEVEL_MEDIUM);
	ck_assert_int_eq(rs->rules[2].level, LEVEL_HIGH);
	ck_assert_int_eq(rs->rules[2].line, 10);
	ruleset_free(rs);
}
END_TEST

START_TEST(level_names)
{
	for (int i = LEVEL_INFORMATIONAL; i <= LEVEL_CRITICAL; i++) {
		enum level l;

		ck_assert(level_from_name(span_from_string(level_name((enum level)i)), &l));
		ck_assert_int_eq(l, i);
	}
}
END_TEST

/* ---- atoms and digests ---- */

START_TEST(equal_atoms_are_shared)
{
	struct ruleset *rs = load(DETECTION("a", "type: kill, rig: x") NEXT DETECTION("b", "type: KILL, rig|cased: x"));

	/* type=kill is one of both; rig=x in two letter cases are two. */
	ck_assert_uint_eq(rs->n_atoms, 3);
	ck_assert_str_eq(rs->atoms[0].selection, "s");
	ck_assert_int_eq(rs->atoms[0].line, 4);
	ruleset_free(rs);
}
END_TEST

static uint64_t digest_of(const char *text, const char *name)
{
	struct ruleset *rs = load(text);
	uint64_t digest = ruleset_find(rs, name)->digest;

	ruleset_free(rs);
	return digest;
}

START_TEST(a_digest_tells_what_state_depends_on)
{
	const char *base = DETECTION("a", "type: kill") NEXT COUNTING("b", "a");
	uint64_t a = digest_of(base, "a"), b = digest_of(base, "b");

	/* Other rules, order, comments and texts do not matter. */
	const char *other = "# comment\n" DETECTION("z", "rig: x, zzz: 1") NEXT COUNTING("b", "a") "incident: {summary: x}\nlevel: high\n" NEXT
			DETECTION("a", "type: kill") "level: low\n";
	ck_assert_uint_eq(digest_of(other, "a"), a);
	ck_assert_uint_eq(digest_of(other, "b"), b);
	/* What a rule matches does, and for those that rest on it. */
	ck_assert_uint_ne(digest_of(DETECTION("a", "type: done") NEXT COUNTING("b", "a"), "b"), b);
	ck_assert_uint_ne(digest_of(DETECTION("a", "type: kill") NEXT COUNTING("b", "a") "incident: {resolve-after: 5m}\n", "b"), b);
	ck_assert_uint_ne(digest_of(DETECTION("a", "type: kill") NEXT COUNTING("b", "a") NEXT
				    "title: f\nlogsource: {product: gastown}\nfilter: {rules: any, s: {rig: x}, condition: not s}\n", "b"), b);
}
END_TEST

/* ---- sources ---- */

static const struct {
	const char *logsource, *source;
	bool applies;
} sources[] = {
	{ "{product: gastown, service: town}", "town", true },
	{ "{product: Gastown, service: TOWN}", "town", true },
	{ "{product: gastown, service: town}", "events", false },
	{ "{product: gastown}", "ps", true },
	{ "{product: gastown, service: syslog}", "syslog", true },
	{ "{product: gastown, category: x}", "town", false },
	{ "{product: linux, service: sshd}", "town", false },
	{ "{product: linux, service: sshd}", "syslog", true },
	{ "{product: windows, service: security}", "json", true },
	{ "{category: antivirus}", "text", true },
	{ "{category: antivirus}", "daemon", false },
	{ "{service: town}", "town", true },
	{ "{service: sshd}", "town", false },
	{ "{product: gastown, service: incident}", "town", false },
};

START_TEST(which_source_a_rule_is_for)
{
	struct buffer b = BUFFER_INIT;
	const struct source *builtin;
	struct ruleset *rs;
	size_t n, i = 0;

	buffer_printf(&b, "title: t\nlogsource: %s\ndetection: {s: {a: b}, condition: s}\n", sources[_i].logsource);
	rs = load(buffer_string(&b));
	builtin = builtin_sources(&n);
	while (i < n && strcmp(builtin[i].name, sources[_i].source) != 0)
		i++;
	ck_assert_uint_lt(i, n);
	ck_assert_int_eq(rule_applies(&rs->rules[0], &builtin[i]), sources[_i].applies);
	ruleset_free(rs);
	buffer_release(&b);
}
END_TEST

START_TEST(sources_of_a_site)
{
	struct ruleset *rs = load("source: {name: locks, pattern: '(?<time>\\S+) (?<path>.*)', tz: UTC}\n---\n"
				  "source: {name: ssh, pattern: '(?<time>\\S+) (?<path>.*)', logsource: {product: linux, service: sshd}}\n---\n"
				  "title: a\nlogsource: {product: gastown, service: locks}\ndetection: {s: {path: b}, condition: s}\n---\n"
				  "title: b\nlogsource: {product: linux}\ndetection: {s: {path: b}, condition: s}\n---\n"
				  "title: c\nlogsource: {product: gastown, service: incident}\ndetection: {s: {rule: b}, condition: s}\n");
	struct source incidents = { .name = "incident", .format = FORMAT_INCIDENT, .product = "gastown", .service = "incident" };
	const struct rule *a = ruleset_find(rs, "a"), *b = ruleset_find(rs, "b"), *c = ruleset_find(rs, "c");
	size_t n;

	builtin_sources(&n);
	ck_assert_uint_eq(rs->n_sources, 2);
	ck_assert_uint_ge(rs->sources[0]->rank, n);
	ck_assert_uint_lt(rs->sources[0]->rank, rs->sources[1]->rank);
	ck_assert(rule_applies(a, rs->sources[0]) && !rule_applies(a, rs->sources[1]));
	ck_assert(!rule_applies(b, rs->sources[0]) && rule_applies(b, rs->sources[1]));
	ck_assert(!rule_applies(c, rs->sources[0]) && rule_applies(c, &incidents) && !rule_applies(a, &incidents));
	ruleset_free(rs);
}
END_TEST

/* ---- YAML and positions ---- */

static struct yaml_file *parse(struct arena *arena, const char *text, struct diag_list *diags)
{
	return yaml_parse(arena, span_from_string(text), "test.yml", diags);
}

/* Where byte `index` of the value of x stands: line and column. */
static const struct {
	const char *text;
	size_t index;
	int line, column;
} positions[] = {
	{ "x: abcdef", 0, 1, 4 },
	{ "x: abcdef", 3, 1, 7 },
	{ "x: 'abcdef'", 3, 1, 8 },
	{ "x: 'a''bc'", 2, 1, 8 },
	{ "x: \"a\\\"bc\"", 2, 1, 8 },
	{ "x: \"a\\tbc\"", 2, 1, 8 },
	{ "x: \"a\\x41bc\"", 3, 1, 11 },
	{ "x: aé✓b", 6, 1, 7 },
	{ "x: |\n  one\n  two\n", 0, 2, 3 },
	{ "x: |\n  one\n  two\n", 5, 3, 4 },
	{ "x: >\n  one\n  two\n", 4, 3, 3 },
	{ "x: one\n  two\n", 4, 2, 3 },
	{ "\xef\xbb\xbfx: abc", 1, 1, 5 },
	{ "y: 1\r\nx: abc\r\n", 2, 2, 6 },
	{ "x: abc", 3, 1, 7 },
};

START_TEST(where_a_byte_of_a_value_stands)
{
	struct arena arena = ARENA_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct yaml_file *f = parse(&arena, positions[_i].text, &diags);
	int line, column;

	ck_assert_uint_eq(diags.n, 0);
	ck_assert_uint_eq(f->n_documents, 1);
	yaml_position(f, yaml_offset_in(yaml_find(f->documents[0], "x")->value, positions[_i].index), &line, &column);
	ck_assert_int_eq(line, positions[_i].line);
	ck_assert_int_eq(column, positions[_i].column);
	diag_list_release(&diags);
	arena_release(&arena);
}
END_TEST

static const struct {
	const char *text;
	enum yaml_type type;
} scalars[] = {
	{ "abc", YAML_STRING }, { "'1'", YAML_STRING }, { "1", YAML_NUMBER },	   { "-1.5e3", YAML_NUMBER }, { "0x1F", YAML_NUMBER },
	{ ".5", YAML_NUMBER },	{ "5.", YAML_NUMBER },	{ "1.2.3", YAML_STRING },  { "1e", YAML_STRING },     { "-", YAML_STRING },
	{ "null", YAML_NULL },	{ "~", YAML_NULL },	{ "", YAML_NULL },	   { "''", YAML_STRING },     { "true", YAML_BOOL },
	{ "False", YAML_BOOL }, { "yes", YAML_STRING }, { "!!str 1", YAML_STRING }, { "2026-02-17", YAML_STRING },
};

START_TEST(types_of_scalars)
{
	struct arena arena = ARENA_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer b = BUFFER_INIT;
	struct yaml_file *f;

	/* "-" would begin a list. */
	buffer_printf(&b, strcmp(scalars[_i].text, "-") ? "x: %s\n" : "x: a%s\n", scalars[_i].text);
	f = parse(&arena, buffer_string(&b), &diags);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_int_eq(yaml_find(f->documents[0], "x")->value->type, scalars[_i].type);
	buffer_release(&b);
	diag_list_release(&diags);
	arena_release(&arena);
}
END_TEST

static const struct {
	struct span text;
	int line, column;
	const char *says;
} bad_bytes[] = {
	{ { "a: b\nc: \xff\n", 10 }, 2, 4, "UTF-8" },
	{ { "a: \0b", 5 }, 1, 4, "0x00" },
	{ { "a: \x1b[m", 6 }, 1, 4, "0x1b" },
	{ { "\xff\xfe" "a\0", 4 }, 1, 0, "UTF-16" },
	{ { "a: [b\n", 6 }, 0, 0, "YAML" },
	{ { "a: 'b\n", 6 }, 0, 0, "quote" },
};

START_TEST(bytes_that_are_no_yaml)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = ruleset_load_text(bad_bytes[_i].text, "x.yml", true, &diags);

	ck_assert_ptr_null(rs);
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_ptr_nonnull(strstr(diags.items[0].text, bad_bytes[_i].says));
	if (bad_bytes[_i].line) {
		ck_assert_int_eq(diags.items[0].line, bad_bytes[_i].line);
		ck_assert_int_eq(diags.items[0].column, bad_bytes[_i].column);
	}
	diag_list_release(&diags);
}
END_TEST

START_TEST(many_keys_and_deep_nesting)
{
	struct buffer b = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct arena arena = ARENA_INIT;
	struct yaml_file *f;

	for (int i = 0; i < 5000; i++)
		buffer_printf(&b, "k%d: %d\n", i, i);
	f = parse(&arena, buffer_string(&b), &diags);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_uint_eq(f->documents[0]->n, 5000);
	buffer_append_string(&b, "k4999: x\n");
	parse(&arena, buffer_string(&b), &diags);
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_int_eq(diags.items[0].line, 5001);
	buffer_clear(&b);
	buffer_append_string(&b, "x: ");
	for (int i = 0; i < 10000; i++)
		buffer_append_char(&b, '[');
	parse(&arena, buffer_string(&b), &diags);
	ck_assert_uint_eq(diags.n_errors, 2);
	buffer_release(&b);
	diag_list_release(&diags);
	arena_release(&arena);
}
END_TEST

/* ---- bounds ---- */

START_TEST(errors_end_somewhere)
{
	struct buffer b = BUFFER_INIT;
	struct diag_list diags;

	buffer_append_string(&b, "title: t\nlogsource: {product: x}\ndetection:\n");
	for (int i = 0; i < 5000; i++)
		buffer_printf(&b, "  s%d: {a|no: x}\n", i);
	buffer_append_string(&b, "  condition: 1 of them\n");
	diags = load_errors(buffer_string(&b), true);
	ck_assert_uint_le(diags.n_errors, 300);
	diag_list_release(&diags);
	buffer_release(&b);
}
END_TEST

START_TEST(large_things_are_bounded)
{
	static const struct {
		const char *before, *repeated, *after;
		int times;
	} cases[] = {
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a: b}\n  condition: ", "(", "s", 100000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a: b}\n  condition: ", "not ", "s", 100000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a|re: '", "(", "'}\n  condition: s\n", 60000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a|re: '", "x", "'}\n  condition: s\n", 70000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a: '", "x*", "'}\n  condition: s\n", 20000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a|expand: '", "%p%", "'}\n  condition: s\n---\nplaceholders: {p: [a, b]}", 20000 },
		{ "title: t\nlogsource: {product: x}\ndetection:\n  s: {a: [", "b,", "]}\n  condition: s", 250000 },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct buffer b = BUFFER_INIT;
		struct diag_list diags;

		buffer_append_string(&b, cases[i].before);
		for (int k = 0; k < cases[i].times; k++)
			buffer_append_string(&b, cases[i].repeated);
		buffer_append_string(&b, cases[i].after);
		diags = load_errors(buffer_string(&b), true);
		ck_assert_uint_le(diags.n_errors, 3);
		diag_list_release(&diags);
		buffer_release(&b);
	}
}
END_TEST

/* ---- files ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
	struct buffer path = BUFFER_INIT;
	FILE *f;

	buffer_printf(&path, "%s/%s", folder, name);
	f = fopen(buffer_string(&path), "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	buffer_release(&path);
}

START_TEST(files_and_folders)
{
	char folder[] = "/tmp/tocsin-rule-XXXXXX", *paths[2] = { folder, NULL };
	struct buffer b = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	buffer_printf(&b, "%s/sub", folder);
	mkdir(buffer_string(&b), 0700);
	write_file(folder, "b.yml", DETECTION("b", "type: kill"));
	write_file(folder, "a.yaml", COUNTING("a", "b"));
	write_file(folder, "sub/c.yml", DETECTION("c", "type: kill"));
	write_file(folder, "b_test.yml", "tests: []\n");
	write_file(folder, ".hidden.yml", "x");
	write_file(folder, "notes.txt", "x");
	rs = ruleset_load(paths, 1, true, &diags);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_ptr_nonnull(rs);
	ck_assert_uint_eq(rs->n_rules, 3);
	ruleset_free(rs);

	/* A file that is in it already, an empty one, and one that is not there. */
	buffer_clear(&b);
	buffer_printf(&b, "%s/b.yml", folder);
	paths[1] = (char *)buffer_string(&b);
	rs = ruleset_load(paths, 2, true, &diags);
	ck_assert_ptr_null(rs);
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_ptr_nonnull(strstr(diags.items[0].text, "already"));
	ck_assert_ptr_nonnull(strstr(diags.items[0].hint, "twice"));
	diag_list_release(&diags);
	write_file(folder, "b.yml", "# nothing\n");
	rs = ruleset_load(paths + 1, 1, false, &diags);
	ck_assert_ptr_nonnull(rs);
	ck_assert_uint_eq(diags.n_warnings, 1);
	ruleset_free(rs);
	unlink(paths[1]);
	rs = ruleset_load(paths + 1, 1, false, &diags);
	ck_assert_ptr_null(rs);
	ck_assert_uint_eq(diags.n_errors, 1);
	diag_list_release(&diags);

	static const char *const left[] = { "a.yaml", "sub/c.yml", "b_test.yml", ".hidden.yml", "notes.txt" };
	for (int i = 0; i < COUNT(left); i++) {
		buffer_clear(&b);
		buffer_printf(&b, "%s/%s", folder, left[i]);
		unlink(buffer_string(&b));
	}
	buffer_clear(&b);
	buffer_printf(&b, "%s/sub", folder);
	rmdir(buffer_string(&b));
	/* Alone it is an error, beside others it may be empty. */
	rs = ruleset_load(paths, 1, false, &diags);
	ck_assert_ptr_null(rs);
	ck_assert_uint_eq(diags.n_errors, 1);
	diag_list_release(&diags);
	diags = (struct diag_list)DIAG_LIST_INIT;
	paths[1] = paths[0];
	rs = ruleset_load(paths, 2, false, &diags);
	ck_assert_ptr_nonnull(rs);
	ck_assert_uint_eq(diags.n_errors, 0);
	ck_assert_uint_eq(diags.n_warnings, 1);
	ck_assert_uint_eq(rs->n_rules, 0);
	ruleset_free(rs);
	rmdir(folder);
	diag_list_release(&diags);
	buffer_release(&b);
}
END_TEST

START_TEST(no_files_no_rules)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = ruleset_load(NULL, 0, true, &diags);

	ck_assert_ptr_nonnull(rs);
	ck_assert_uint_eq(rs->n_rules, 0);
	ck_assert_uint_eq(rs->n_top_fields, 3);
	ruleset_free(rs);
	ruleset_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rule");
	TCase *c = tcase_create("rule");
	SRunner *runner;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, inputs_stand_before_what_rests_on_them);
	tcase_add_test(c, a_long_chain);
	tcase_add_test(c, rules_about_incidents_come_last);
	tcase_add_test(c, a_rule_named_by_another_stands_before_it);
	tcase_add_test(c, a_rule_may_exclude_what_rests_on_it);
	tcase_add_test(c, names_ids_and_titles);
	tcase_add_test(c, level_names);
	tcase_add_test(c, equal_atoms_are_shared);
	tcase_add_test(c, a_digest_tells_what_state_depends_on);
	tcase_add_loop_test(c, which_source_a_rule_is_for, 0, COUNT(sources));
	tcase_add_test(c, sources_of_a_site);
	tcase_add_loop_test(c, where_a_byte_of_a_value_stands, 0, COUNT(positions));
	tcase_add_loop_test(c, types_of_scalars, 0, COUNT(scalars));
	tcase_add_loop_test(c, bytes_that_are_no_yaml, 0, COUNT(bad_bytes));
	tcase_add_test(c, many_keys_and_deep_nesting);
	tcase_add_test(c, errors_end_somewhere);
	tcase_add_test(c, large_things_are_bounded);
	tcase_add_test(c, files_and_folders);
	tcase_add_test(c, no_files_no_rules);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, template_tests());
	suite_add_tcase(suite, golden_tests());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
