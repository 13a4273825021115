/*
 * tocsin test: unit tests of rules. Finds the files, runs their tests, and tells what failed, and which rules have no test that makes
 * them fire, or none that shows when they must not. A rule is covered when it has both; that an input is of concern to a rule which must
 * stay silent is the runner's to say.
 */
#include "cli.h"
#include "test_run.h"

#include "base/memory.h"
#include "base/quote.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_DEEP_MAX 32
#define FILE_BYTES_MAX ((size_t)16 << 20)

/* A rule of all that are loaded: by file and name, since two files of tests may load the same rules. */
struct covered {
	const char *name;
	bool fired, forbidden;
};

struct loaded {
	char *paths; /* joined: what it was loaded from */
	struct ruleset *rules;
};

/* Of rules that are not covered so many are named when no folder was. */
#define LISTED_OF_FILE 8

struct testing {
	const struct options *o;
	struct diag_list diags;
	char **files;
	size_t n_files, cap_files;
	struct loaded *loaded;
	size_t n_loaded, cap_loaded;
	struct map rules;    /* "file\nname" → struct covered */
	struct buffer out, junit;
	uint64_t n_tests, n_failed, n_cuts;
	bool whole_folder;   /* a folder was named: all its rules are to be covered */
	bool colour, trouble;
};

/* ---- finding the files ---- */

static bool is_rule_file(const char *name)
{
	struct span s = span_from_string(name);
	return name[0] != '.' && (span_ends_with(s, SPAN(".yml")) || span_ends_with(s, SPAN(".yaml")));
}

static bool is_test_file(const char *name)
{
	struct span s = span_from_string(name);
	return name[0] != '.' && (span_ends_with(s, SPAN("_test.yml")) || span_ends_with(s, SPAN("_test.yaml")));
}

static void add_file(struct testing *t, const char *path)
{
	ARRAY_GROW(t->files, t->n_files, t->cap_files);
	t->files[t->n_files++] = xstrdup(path);
}

static void cannot(struct testing *t, const char *path)
{
	diag_add(&t->diags, DIAG_ERROR, path, 0, 0, "cannot be read: %s", strerror(errno));
}

/* All files of tests below a directory, in order of their names. *has_rules: there are rule files, too. */
static void add_directory(struct testing *t, const char *path, int depth, bool *has_rules)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);

	if (n < 0) {
		cannot(t, path);
		return;
	}
	for (int i = 0; i < n; i++) {
		struct buffer b = BUFFER_INIT;
		struct stat st;
		const char *name = entries[i]->d_name;
		buffer_printf(&b, "%s%s%s", path, span_ends_with(span_from_string(path), SPAN("/")) ? "" : "/", name);
		if (name[0] != '.' && stat(buffer_string(&b), &st) == 0) {
			if (S_ISDIR(st.st_mode) && depth < FOLDERS_DEEP_MAX)
				add_directory(t, b.data, depth + 1, has_rules);
			else if (!S_ISDIR(st.st_mode) && is_test_file(name))
				add_file(t, b.data);
			else if (!S_ISDIR(st.st_mode) && is_rule_file(name))
				*has_rules = true;
		}
		buffer_release(&b);
		free(entries[i]);
	}
	free(entries);
}

/* ---- rules, each set loaded once ---- */

static void list_rules(struct testing *t, const struct ruleset *rs);

/* NULL with diagnostics in diags. */
static struct ruleset *rules_of(struct testing *t, char *const *paths, size_t n, struct diag_list *diags)
{
	struct buffer key = BUFFER_INIT;

	for (size_t i = 0; i < n; i++) {
		char *real = realpath(paths[i], NULL);
		buffer_printf(&key, "%s\n", real ? real : paths[i]);
		free(real);
	}
	buffer_string(&key);
	for (size_t i = 0; i < t->n_loaded; i++)
		if (!strcmp(t->loaded[i].paths, key.data)) {
			buffer_release(&key);
			return t->loaded[i].rules;
		}
	ARRAY_GROW(t->loaded, t->n_loaded, t->cap_loaded);
	struct loaded *l = &t->loaded[t->n_loaded++];
	*l = (struct loaded){ xstrdup(key.data), load_rules(paths, n, false, diags) };
	buffer_release(&key);
	if (l->rules)
		list_rules(t, l->rules);
	return l->rules;
}

static struct covered *covered_of(struct testing *t, const struct rule *r)
{
	struct buffer key = BUFFER_INIT;
	char *real = realpath(r->file, NULL);
	struct map_entry *e;
	bool is_new;

	buffer_printf(&key, "%s\n%s", real ? real : r->file, r->name);
	e = map_add(&t->rules, buffer_span(&key), &is_new);
	if (is_new) {
		struct covered *c = xcalloc(1, sizeof *c);
		c->name = strrchr(e->key.ptr, '\n') + 1;
		e->value.pointer = c;
	}
	free(real);
	buffer_release(&key);
	return e->value.pointer;
}

static void list_rules(struct testing *t, const struct ruleset *rs)
{
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (rs->rules[i].alerts)
			covered_of(t, &rs->rules[i]);
}

/* ---- telling ---- */

static void flush(struct testing *t)
{
	if (print_out(&t->out) != EXIT_RAN)
		t->trouble = true;
	t->out = (struct buffer)BUFFER_INIT;
}

static void paint(struct testing *t, const char *colour, struct span text)
{
	buffer_append_string(&t->out, t->colour ? colour : "");
	buffer_append_span(&t->out, text);
	buffer_append_string(&t->out, t->colour ? "\033[0m" : "");
}

#define RED "\033[31m"
#define GREEN "\033[32m"
#define BOLD_RED "\033[1;31m"

/* The report's lines, each behind `margin`. */
static void tell_report(struct testing *t, const char *margin, struct span report)
{
	while (report.len) {
		const char *end = memchr(report.ptr, '\n', report.len);
		size_t len = end ? (size_t)(end - report.ptr) : report.len;
		struct span line = span_of(report.ptr, len);
		buffer_append_string(&t->out, margin);
		if (len && (line.ptr[0] == '-' || line.ptr[0] == '+'))
			paint(t, line.ptr[0] == '-' ? RED : GREEN, line);
		else
			buffer_append_span(&t->out, line);
		buffer_append_char(&t->out, '\n');
		report = span_from(report, len + (end ? 1 : 0));
	}
}

static void append_xml(struct buffer *out, struct span s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_sequence(s.ptr + i, s.len - i);
		unsigned char c = (unsigned char)s.ptr[i];
		if (n == 0 || (c < ' ' && c != '\n' && c != '\t') || (n == 3 && c == 0xef && (unsigned char)s.ptr[i + 1] == 0xbf && (unsigned char)s.ptr[i + 2] >= 0xbe))
			buffer_append_string(out, "\xef\xbf\xbd"); /* XML has no way to say it */
		else if (c == '&')
			buffer_append_string(out, "&amp;");
		else if (c == '<')
			buffer_append_string(out, "&lt;");
		else if (c == '>')
			buffer_append_string(out, "&gt;");
		else if (c == '"')
			buffer_append_string(out, "&quot;");
		else
			buffer_append(out, s.ptr + i, n);
		i += n ? n : 1;
	}
}

static void junit_case(struct buffer *out, const struct test_file *f, const struct test_case *c, const struct test_result *r)
{
	buffer_append_string(out, "    <testcase classname=\"");
	append_xml(out, span_from_string(f->name));
	buffer_append_string(out, "\" name=\"");
	append_xml(out, span_from_string(c->name));
	buffer_printf(out, "\" line=\"%d\" time=\"%.6f\"", c->line, r->seconds);
	if (r->passed) {
		buffer_append_string(out, "/>\n");
		return;
	}
	const char *end = memchr(r->report.data, '\n', r->report.len);
	buffer_append_string(out, ">\n      <failure message=\"");
	append_xml(out, span_of(r->report.data + 2, end ? (size_t)(end - r->report.data) - 2 : 0));
	buffer_append_string(out, "\">");
	append_xml(out, buffer_span(&r->report));
	buffer_append_string(out, "</failure>\n    </testcase>\n");
}

static void tell_test(struct testing *t, const struct test_file *f, const struct test_case *c, const struct test_result *r)
{
	struct buffer name = BUFFER_INIT;

	quote_terminal(&name, span_from_string(c->name));
	if (t->o->tap) {
		/* "#" would begin a directive. */
		buffer_printf(&t->out, "%sok %" PRIu64 " - %s:%d: ", r->passed ? "" : "not ", t->n_tests, f->name, c->line);
		for (size_t i = 0; i < name.len; i++) {
			if (name.data[i] == '#')
				buffer_append_char(&t->out, '\\');
			buffer_append_char(&t->out, name.data[i]);
		}
		buffer_append_char(&t->out, '\n');
		tell_report(t, "# ", buffer_span(&r->report));
	} else if (!r->passed) {
		paint(t, BOLD_RED, SPAN("FAIL"));
		buffer_printf(&t->out, "  %s:%d: %s\n", f->name, c->line, buffer_string(&name));
		tell_report(t, "", buffer_span(&r->report));
	}
	buffer_release(&name);
}

/* ---- running ---- */

static char *read_whole(struct testing *t, const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	struct buffer b = BUFFER_INIT;
	size_t n;

	if (!f) {
		cannot(t, path);
		return NULL;
	}
	do {
		buffer_reserve(&b, 65536);
		n = fread(b.data + b.len, 1, 65536, f);
		b.len += n;
	} while (n && b.len <= FILE_BYTES_MAX);
	bool ok = !ferror(f);
	if (!ok)
		cannot(t, path);
	fclose(f);
	if (!ok) {
		buffer_release(&b);
		return NULL;
	}
	*ret_len = b.len;
	return b.data;
}

static void take_coverage(struct testing *t, const struct ruleset *rs, const struct test_result *r)
{
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		if (!rs->rules[i].alerts || (!r->fired[i] && !r->forbidden[i]))
			continue;
		struct covered *c = covered_of(t, &rs->rules[i]);
		c->fired |= r->fired[i];
		c->forbidden |= r->forbidden[i];
	}
}

static void run_tests(struct testing *t, const struct test_file *f, const struct ruleset *rs)
{
	struct buffer cases = BUFFER_INIT;
	uint64_t failed = 0, cuts = 0;
	double seconds = 0;

	for (uint32_t i = 0; i < f->n_tests; i++) {
		struct test_result r;
		test_run(&f->tests[i], rs, &r);
		t->n_tests++;
		failed += !r.passed;
		cuts += r.n_cuts;
		seconds += r.seconds;
		if (r.passed)
			take_coverage(t, rs, &r);
		tell_test(t, f, &f->tests[i], &r);
		junit_case(&cases, f, &f->tests[i], &r);
		test_result_release(&r);
	}
	t->n_failed += failed;
	t->n_cuts += cuts;
	if (!t->o->tap) {
		if (failed)
			paint(t, BOLD_RED, SPAN("FAIL"));
		else
			paint(t, GREEN, SPAN("ok  "));
		buffer_printf(&t->out, "  %s: %" PRIu32 " test%s", f->name, f->n_tests, f->n_tests == 1 ? "" : "s");
		if (failed)
			buffer_printf(&t->out, ", %" PRIu64 " failed", failed);
		buffer_append_char(&t->out, '\n');
	}
	buffer_append_string(&t->junit, "  <testsuite name=\"");
	append_xml(&t->junit, span_from_string(f->name));
	buffer_printf(&t->junit, "\" tests=\"%" PRIu32 "\" failures=\"%" PRIu64 "\" errors=\"0\" time=\"%.6f\">\n", f->n_tests, failed, seconds);
	buffer_append_span(&t->junit, buffer_span(&cases));
	buffer_append_string(&t->junit, "  </testsuite>\n");
	buffer_release(&cases);
}

static void run_file(struct testing *t, const char *path)
{
	size_t len, errors = t->diags.n_errors;
	char *text = read_whole(t, path, &len);

	if (!text)
		return;
	struct test_file *f = test_file_parse(span_of(text, len), path, &t->diags);
	struct ruleset *rs = f->document ? rules_of(t, f->rules, f->n_rules, &t->diags) : NULL;
	if (rs) {
		test_file_compile(f, rs, &t->diags);
		/* Of a file with an error nothing is run: its numbers would say less than they seem to. */
		if (t->diags.n_errors == errors)
			run_tests(t, f, rs);
	} else if (f->document && t->diags.n_errors == errors) {
		diag_add(&t->diags, DIAG_ERROR, path, 0, 0, "its rules could not be loaded; see above");
	}
	test_file_free(f);
	free(text);
	flush(t);
}

/* ---- the end ---- */

/* One file of tests among many loads the rules of its whole folder: that it does not cover them is no news, so only a few are named. */
static void tell_list(struct testing *t, const char *margin, const char *what, size_t n, bool (*lacks)(const struct covered *c))
{
	size_t shown = 0, most = t->whole_folder || n <= LISTED_OF_FILE + 1 ? n : LISTED_OF_FILE;

	if (n == 0)
		return;
	buffer_printf(&t->out, "%s%s:", margin, what);
	for (size_t i = 0; i < t->rules.n && shown < most; i++) {
		const struct covered *c = t->rules.entries[i]->value.pointer;
		if (lacks(c)) {
			buffer_printf(&t->out, " %s", c->name);
			shown++;
		}
	}
	if (shown < n)
		buffer_printf(&t->out, " and %zu more; name the folder to run all its tests", n - shown);
	buffer_append_char(&t->out, '\n');
}

static bool lacks_fired(const struct covered *c)
{
	return !c->fired;
}

static bool lacks_forbidden(const struct covered *c)
{
	return !c->forbidden;
}

static void tell_end(struct testing *t)
{
	const char *margin = t->o->tap ? "# " : "";
	size_t n = 0, no_fire = 0, no_never = 0;

	for (size_t i = 0; i < t->rules.n; i++) {
		const struct covered *c = t->rules.entries[i]->value.pointer;
		n += c->fired && c->forbidden;
		no_fire += !c->fired;
		no_never += !c->forbidden;
	}
	if (t->o->tap)
		buffer_printf(&t->out, "1..%" PRIu64 "\n", t->n_tests);
	buffer_printf(&t->out, "%s%" PRIu64 " test%s", margin, t->n_tests, t->n_tests == 1 ? "" : "s");
	if (t->n_failed)
		buffer_printf(&t->out, ", %" PRIu64 " failed", t->n_failed);
	else
		buffer_append_string(&t->out, " passed");
	buffer_printf(&t->out, "; %" PRIu64 " checkpoint%s saved and loaded\n", t->n_cuts, t->n_cuts == 1 ? "" : "s");
	tell_list(t, margin, "no test makes these rules fire", no_fire, lacks_fired);
	tell_list(t, margin, "no test shows when these must not", no_never, lacks_forbidden);
	/* Rounded down: 100 % is all of them. */
	buffer_printf(&t->out, "%s%zu of %zu rules covered: %zu %%\n", margin, n, t->rules.n, t->rules.n ? n * 100 / t->rules.n : 100);
}

static void write_junit(struct testing *t)
{
	FILE *f = fopen(t->o->junit, "we");
	bool ok = f != NULL;

	if (f) {
		fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tocsin test\" tests=\"%" PRIu64 "\" failures=\"%" PRIu64 "\" errors=\"%zu\">\n",
			t->n_tests, t->n_failed, t->diags.n_errors);
		ok = fwrite(t->junit.data ? t->junit.data : "", 1, t->junit.len, f) == t->junit.len;
		fputs("</testsuites>\n", f);
		ok &= !ferror(f);
		ok &= fclose(f) == 0;
	}
	if (!ok) {
		int error = errno;
		diag_add(&t->diags, DIAG_ERROR, NULL, 0, 0, "--junit %s: %s", t->o->junit, strerror(error));
		diag_hint_unwritable(&t->diags, t->o->junit, error);
	}
}

/*
 * All rules of a folder are to be covered, also those that no test loads. By themselves they may not load, when they build on rules that stand
 * elsewhere; then those that tests load have to do.
 */
static void list_folder(struct testing *t, char *const *path, bool has_tests)
{
	struct diag_list diags = DIAG_LIST_INIT;

	if (rules_of(t, path, 1, &diags))
		; /* what is doubtful by itself may be right where it is used */
	else if (has_tests)
		diag_add(&t->diags, DIAG_WARNING, *path, 0, 0, "these rules do not load by themselves: of them, only those that tests load are listed");
	else
		load_rules(path, 1, false, &t->diags);
	diag_list_release(&diags);
}

static void find_files(struct testing *t)
{
	static char installed[] = TOCSIN_RULES_DIR;
	char *fallback[] = { installed };
	char *const *words = t->o->n_words ? t->o->words : fallback;
	size_t n = t->o->n_words ? t->o->n_words : 1;

	for (size_t i = 0; i < n; i++) {
		struct stat st;
		bool has_rules = false;
		size_t before = t->n_files;
		if (stat(words[i], &st) < 0) {
			cannot(t, words[i]);
			if (words == fallback)
				diag_hint(&t->diags, "install tocsin (make install), or name files of tests, or folders: tocsin test rules/");
			continue;
		}
		if (!S_ISDIR(st.st_mode)) {
			add_file(t, words[i]);
			continue;
		}
		t->whole_folder = true;
		add_directory(t, words[i], 0, &has_rules);
		if (has_rules)
			list_folder(t, &words[i], t->n_files > before);
		else if (t->n_files == before)
			diag_add(&t->diags, DIAG_ERROR, words[i], 0, 0, "there are no tests in it");
		if (t->n_files == before && !has_rules)
			diag_hint(&t->diags, "files of tests are named NAME_test.yml; tocsin-test(5) shows one");
	}
}

int verb_test(const struct options *o)
{
	struct testing t = { .o = o, .colour = wants_colour(o, STDOUT_FILENO) && !o->tap };

	find_files(&t);
	for (size_t i = 0; i < t.n_files; i++)
		run_file(&t, t.files[i]);
	if (t.n_tests || t.diags.n_errors == 0)
		tell_end(&t);
	flush(&t);
	if (o->junit)
		write_junit(&t);
	diag_sort(&t.diags);
	print_diags(o, &t.diags);
	int status = t.diags.n_errors || t.trouble ? EXIT_TROUBLE : t.n_failed ? EXIT_INCIDENT : EXIT_RAN;
	for (size_t i = 0; i < t.n_loaded; i++) {
		free(t.loaded[i].paths);
		ruleset_free(t.loaded[i].rules);
	}
	for (size_t i = 0; i < t.rules.n; i++)
		free(t.rules.entries[i]->value.pointer);
	for (size_t i = 0; i < t.n_files; i++)
		free(t.files[i]);
	free(t.loaded);
	free(t.files);
	map_release(&t.rules);
	buffer_release(&t.out);
	buffer_release(&t.junit);
	diag_list_release(&t.diags);
	return status;
}
