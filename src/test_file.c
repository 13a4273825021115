/*
 * test_file.c: decides what a file of tests may say, and what of it is compared. Invariants: what test_file_compile() leaves in `tests` is
 * whole (every rule found, every time absolute, every line of input there); what had an error is not in it. It runs nothing.
 */
#include "test_parse.h"

#include "base/memory.h"

#include <stdlib.h>

#define ERRORS_MAX 100 /* nobody reads on */
#define START_DEFAULT_NS (INT64_C(1767225600) * NS_PER_SECOND) /* 2026-01-01T00:00:00Z */

/* ---- what test_parse.h promises ---- */

static bool enough(struct test_parser *p)
{
	return p->diags->n_errors >= ERRORS_MAX;
}

void test_error(struct test_parser *p, const struct yaml_node *at, const char *format, ...)
{
	va_list args;

	if (enough(p))
		return;
	va_start(args, format);
	yaml_vreport(p->diags, DIAG_ERROR, at->file, at->offset, at->end, format, args);
	va_end(args);
}

void test_error_in(struct test_parser *p, const struct yaml_node *at, size_t from, size_t len, const char *format, ...)
{
	size_t start = yaml_offset_in(at, from), end = len ? yaml_offset_in(at, from + len - 1) + 1 : start;
	va_list args;

	if (enough(p))
		return;
	va_start(args, format);
	yaml_vreport(p->diags, DIAG_ERROR, at->file, start, end > start ? end : start + 1, format, args);
	va_end(args);
}

void test_suggest(struct test_parser *p, struct span word, const char *const *words, const char *otherwise)
{
	char text[80];
	const char *near = NULL;

	if (enough(p) || p->diags->n == 0)
		return;
	if (word.len < sizeof text) {
		memcpy(text, word.ptr, word.len);
		text[word.len] = 0;
		near = nearest_word(text, words);
	}
	if (near)
		diag_hint(p->diags, "did you mean \"%s\"?", near);
	else if (otherwise)
		diag_hint(p->diags, "%s", otherwise);
}

bool test_check_keys(struct test_parser *p, const struct yaml_node *map, const char *what, const char *const *known)
{
	bool ok = true;

	if (map->kind != YAML_MAP) {
		test_error(p, map, "%s must be a map", what);
		return false;
	}
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->pairs[i].key;
		size_t k = 0;
		while (known[k] && !span_equal(key->text, span_from_string(known[k])))
			k++;
		if (known[k])
			continue;
		struct buffer all = BUFFER_INIT;
		buffer_append_string(&all, "it has: ");
		for (k = 0; known[k]; k++)
			buffer_printf(&all, "%s%s", k ? ", " : "", known[k]);
		test_error(p, key, "%s has no key \"%s\"", what, key->text.ptr);
		test_suggest(p, key->text, known, buffer_string(&all));
		buffer_release(&all);
		ok = false;
	}
	return ok;
}

static bool is_text(const struct yaml_node *n)
{
	return n->kind == YAML_SCALAR && n->type != YAML_NULL && !memchr(n->text.ptr, 0, n->text.len);
}

const char *test_get_text(struct test_parser *p, const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair)
		return NULL;
	if (is_text(pair->value) && pair->value->text.len)
		return pair->value->text.ptr;
	test_error(p, pair->value->kind == YAML_SCALAR ? pair->key : pair->value, "\"%s\" must be a text", key);
	return NULL;
}

bool test_get_duration(struct test_parser *p, const struct yaml_node *map, const char *key, int64_t *ret_ns)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair || (pair->value->kind == YAML_SCALAR && duration_parse(pair->value->text, ret_ns)))
		return true;
	test_error(p, pair->value, "\"%s\" must be a duration", key);
	diag_hint(p->diags, "a number and a unit: 90s, 15m, 1h, 1h30m");
	return false;
}

bool test_get_count(struct test_parser *p, const struct yaml_node *map, const char *key, uint64_t least, uint64_t most, uint64_t *ret)
{
	const struct yaml_pair *pair = yaml_find(map, key);
	double v;

	if (!pair)
		return true;
	if (!yaml_to_number(pair->value, &v) || v < (double)least || v > (double)most || v != (double)(uint64_t)v) {
		test_error(p, pair->value, "\"%s\" must be a whole number from %llu to %llu", key, (unsigned long long)least, (unsigned long long)most);
		return false;
	}
	*ret = (uint64_t)v;
	return true;
}

bool test_get_bool(struct test_parser *p, const struct yaml_node *map, const char *key, bool *ret)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair || yaml_to_bool(pair->value, ret))
		return true;
	test_error(p, pair->value, "\"%s\" must be true or false", key);
	return false;
}

bool test_time_add(int64_t *time_ns, int64_t step_ns)
{
	return !__builtin_add_overflow(*time_ns, step_ns, time_ns) && *time_ns != TIME_NONE;
}

static bool read_time(const struct test_case *t, struct span text, int64_t *ret_ns)
{
	int64_t step;
	bool sign = text.len && (text.ptr[0] == '+' || text.ptr[0] == '-');

	if (duration_parse(span_from(text, sign), &step)) {
		*ret_ns = t->start_ns;
		return test_time_add(ret_ns, text.ptr[0] == '-' ? -step : step);
	}
	/* "now", "today" and what is reckoned from them have no place in a test. */
	return text.len && (text.ptr[0] == '@' || (text.ptr[0] >= '0' && text.ptr[0] <= '9')) && !span_ends_with(text, SPAN(" ago")) && time_parse_user(text, t->zone, t->start_ns, ret_ns) && *ret_ns != TIME_NONE;
}

bool test_get_time(struct test_parser *p, const struct test_case *t, const struct yaml_node *map, const char *key, int64_t *ret_ns)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair || (pair->value->kind == YAML_SCALAR && read_time(t, pair->value->text, ret_ns)))
		return true;
	test_error(p, pair->value, "\"%s\" must be a time", key);
	diag_hint(p->diags, "a duration after the test's start, such as 12m or 1h30s, or a date and time, such as 2026-02-17 08:44:02");
	return false;
}

const struct yaml_node *test_get_list(struct test_parser *p, const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair)
		return NULL;
	if (pair->value->kind == YAML_LIST)
		return pair->value;
	test_error(p, pair->value->kind == YAML_SCALAR && pair->value->text.len ? pair->value : pair->key, "\"%s\" must be a list", key);
	if (pair->value->kind == YAML_SCALAR && pair->value->type != YAML_NULL)
		diag_hint(p->diags, "write %s: [%s]", key, pair->value->text.ptr);
	return NULL;
}

static void *zalloc(struct test_parser *p, size_t n, size_t size)
{
	return arena_zalloc(&p->file->arena, (n ? n : 1) * size);
}

static int line_of(const struct yaml_node *n)
{
	int line, column;
	yaml_position(n->file, n->offset, &line, &column);
	return line;
}

/* ---- the file ---- */

static const char *const file_keys[] = { "rules", "tz", "start", "tests", NULL };

static bool is_absolute(const char *path)
{
	return path[0] == '/';
}

/* A path that the file names, as seen from the working directory. */
static char *beside(struct test_parser *p, const char *path)
{
	const char *slash = strrchr(p->file->name, '/');
	struct buffer b = BUFFER_INIT;
	char *r;

	if (slash && !is_absolute(path))
		buffer_append(&b, p->file->name, (size_t)(slash - p->file->name) + 1);
	buffer_append_string(&b, path);
	r = arena_dup(&p->file->arena, b.data, b.len);
	buffer_release(&b);
	return r;
}

/* rules/x.yml of rules/x_test.yml; NULL when the file has another name. */
static char *default_rules(struct test_parser *p)
{
	static const char *const suffixes[] = { "_test.yml", "_test.yaml" };
	struct span name = span_from_string(p->file->name);

	for (size_t i = 0; i < 2; i++) {
		struct span suffix = span_from_string(suffixes[i]);
		if (!span_ends_with(name, suffix) || name.len == suffix.len)
			continue;
		char *r = arena_dup(&p->file->arena, name.ptr, name.len);
		strcpy(r + name.len - suffix.len, suffixes[i] + strlen("_test"));
		return r;
	}
	return NULL;
}

static bool read_rules(struct test_parser *p)
{
	struct test_file *f = p->file;
	const struct yaml_pair *pair = yaml_find(f->document, "rules");

	if (!pair) {
		f->rules = zalloc(p, 2, sizeof *f->rules);
		f->rules[0] = default_rules(p);
		f->n_rules = 1;
		if (f->rules[0])
			return true;
		test_error(p, f->document, "which rules are tested?");
		diag_hint(p->diags, "say rules: [FILE or DIRECTORY, …], relative to this file; only NAME_test.yml finds NAME.yml by itself");
		return false;
	}
	const struct yaml_node *list = test_get_list(p, f->document, "rules");
	if (!list)
		return false;
	if (list->n == 0) {
		test_error(p, pair->key, "\"rules\" names none");
		return false;
	}
	f->rules = zalloc(p, list->n + 1, sizeof *f->rules);
	for (uint32_t i = 0; i < list->n; i++) {
		if (!is_text(list->items[i]) || list->items[i]->text.len == 0) {
			test_error(p, list->items[i], "\"rules\" must be a list of paths");
			return false;
		}
		f->rules[f->n_rules++] = beside(p, list->items[i]->text.ptr);
	}
	return true;
}

struct test_file *test_file_parse(struct span text, const char *name, struct diag_list *diags)
{
	struct test_file *f = xcalloc(1, sizeof *f);
	struct test_parser p = { .file = f, .diags = diags };
	size_t errors = diags->n_errors;

	f->name = arena_strdup(&f->arena, name);
	f->yaml = yaml_parse(&f->arena, text, f->name, diags);
	if (diags->n_errors > errors)
		return f;
	if (f->yaml->n_documents != 1) {
		if (f->yaml->n_documents == 0)
			diag_add(diags, DIAG_ERROR, f->name, 0, 0, "there are no tests in it");
		else
			test_error(&p, f->yaml->documents[1], "a file of tests has one document");
		diag_hint(diags, "tests: is a list of them; tocsin-test(5) shows one");
		return f;
	}
	f->document = f->yaml->documents[0];
	if (!test_check_keys(&p, f->document, "a file of tests", file_keys) || !read_rules(&p))
		f->document = NULL;
	return f;
}

void test_file_free(struct test_file *f)
{
	if (!f)
		return;
	arena_release(&f->arena);
	free(f);
}

/* ---- expectations ---- */

static const char *const expect_keys[] = { "rule", "state", "at", "key", "summary", "summary|contains", "summary|startswith", "summary|endswith", "count", "value",
					   "level", "top", "commands", "fields", "opened", "first", "last", "exactly", "at_least", NULL };
static const char *const never_keys[] = { "rule", "state", "key", NULL };
static const char *const state_names[] = { "open", "update", "resolved", NULL };
static const char *const level_names[] = { "informational", "low", "medium", "high", "critical", NULL };

static const struct rule *find_rule(struct test_parser *p, const struct yaml_node *n)
{
	const struct rule *r = is_text(n) ? ruleset_find(p->rs, n->text.ptr) : NULL;

	if (!is_text(n)) {
		test_error(p, n, "the name of a rule must stand here");
		return NULL;
	}
	if (r && r->alerts)
		return r;
	if (r) {
		test_error(p, n, "the rule %s opens no incidents", r->name);
		diag_hint(p->diags, "it only feeds others; test a correlation that uses it");
		return NULL;
	}
	const char **names = xcalloc(p->rs->n_rules + 1, sizeof *names);
	for (uint32_t i = 0, k = 0; i < p->rs->n_rules; i++)
		if (p->rs->rules[i].alerts)
			names[k++] = p->rs->rules[i].name;
	test_error(p, n, "there is no rule \"%s\" in the rules of this file", n->text.ptr);
	test_suggest(p, n->text, names, "`rules:` says which rule files are loaded");
	free(names);
	return NULL;
}

static bool read_rule(struct test_parser *p, const struct yaml_node *map, const struct rule **ret)
{
	const struct yaml_pair *pair = yaml_find(map, "rule");

	if (!pair) {
		test_error(p, map, "\"rule\" is missing here");
		return false;
	}
	*ret = find_rule(p, pair->value);
	return *ret != NULL;
}

static bool read_state(struct test_parser *p, const struct yaml_node *map, enum incident_state *ret)
{
	const struct yaml_pair *pair = yaml_find(map, "state");

	if (!pair)
		return true;
	for (int i = 0; state_names[i]; i++)
		if (pair->value->kind == YAML_SCALAR && span_equal(pair->value->text, span_from_string(state_names[i]))) {
			*ret = (enum incident_state)i;
			return true;
		}
	test_error(p, pair->value, "\"state\" must be open, update or resolved");
	if (pair->value->kind == YAML_SCALAR)
		test_suggest(p, pair->value->text, state_names, NULL);
	return false;
}

static bool read_level(struct test_parser *p, const struct yaml_node *map, struct test_expectation *e)
{
	const struct yaml_pair *pair = yaml_find(map, "level");

	if (!pair)
		return true;
	e->has_level = pair->value->kind == YAML_SCALAR && level_from_name(pair->value->text, &e->level);
	if (e->has_level)
		return true;
	test_error(p, pair->value, "\"level\" must be informational, low, medium, high or critical");
	if (pair->value->kind == YAML_SCALAR)
		test_suggest(p, pair->value->text, level_names, NULL);
	return false;
}

/* "summary|contains" and the like: the name without the modifier. */
static bool split_modifier(struct test_parser *p, const struct yaml_node *key, struct test_text *ret)
{
	static const char *const names[] = { "equal", "contains", "startswith", "endswith", NULL };
	const char *bar = memchr(key->text.ptr, '|', key->text.len);

	ret->name = span_of(key->text.ptr, bar ? (size_t)(bar - key->text.ptr) : key->text.len);
	ret->how = MATCH_EQUAL;
	if (!bar)
		return true;
	for (int i = 1; names[i]; i++)
		if (!strcmp(bar + 1, names[i])) {
			ret->how = (enum text_match)i;
			return true;
		}
	test_error_in(p, key, ret->name.len + 1, strlen(bar + 1), "there is no modifier \"%s\" here", bar + 1);
	test_suggest(p, span_from_string(bar + 1), names + 1, "the modifiers are contains, startswith and endswith");
	return false;
}

static bool read_summary(struct test_parser *p, const struct yaml_node *map, struct test_expectation *e)
{
	e->summary = zalloc(p, 4, sizeof *e->summary);
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_pair *pair = &map->pairs[i];
		if (!span_equal(pair->key->text, SPAN("summary")) && !span_starts_with(pair->key->text, SPAN("summary|")))
			continue;
		struct test_text *t = &e->summary[e->n_summary];
		if (!split_modifier(p, pair->key, t))
			return false;
		if (pair->value->kind != YAML_SCALAR) {
			test_error(p, pair->value, "\"%s\" must be a text", pair->key->text.ptr);
			return false;
		}
		t->name = (struct span){ "", 0 };
		t->text = pair->value->text;
		e->n_summary++;
	}
	return true;
}

static bool is_key(const struct rule *r, struct span name)
{
	for (uint32_t i = 0; r->correlation && i < r->correlation->n_keys; i++)
		if (span_equal(name, span_from_string(r->correlation->keys[i])))
			return true;
	return false;
}

static void say_no_key(struct test_parser *p, const struct yaml_node *at, const struct rule *r, struct span name)
{
	static const char *const none[] = { NULL };
	const char **keys = xcalloc((r->correlation ? r->correlation->n_keys : 0) + 1, sizeof *keys);

	for (uint32_t i = 0; r->correlation && i < r->correlation->n_keys; i++)
		keys[i] = r->correlation->keys[i];
	test_error(p, at, "%s is not grouped by \"%.*s\"", r->name, (int)name.len, name.ptr);
	test_suggest(p, name, keys[0] ? (const char *const *)keys : none, keys[0] ? NULL : "it has no group-by fields: leave \"key\" out");
	free(keys);
}

/* A map from names, with or without a modifier, to texts. */
static bool read_texts(struct test_parser *p, const struct yaml_node *map, const char *what, const struct rule *keys_of, struct test_text **ret,
		       uint32_t *ret_n)
{
	const struct yaml_pair *pair = yaml_find(map, what);

	if (!pair)
		return true;
	if (pair->value->kind != YAML_MAP) {
		test_error(p, pair->value, "\"%s\" must be a map from names to values", what);
		return false;
	}
	*ret = zalloc(p, pair->value->n, sizeof **ret);
	for (uint32_t i = 0; i < pair->value->n; i++) {
		const struct yaml_pair *each = &pair->value->pairs[i];
		struct test_text *t = &(*ret)[i];
		if (!split_modifier(p, each->key, t))
			return false;
		if (keys_of && !is_key(keys_of, t->name)) {
			say_no_key(p, each->key, keys_of, t->name);
			return false;
		}
		if (each->value->kind != YAML_SCALAR || each->value->type == YAML_NULL) {
			test_error(p, each->value->kind == YAML_SCALAR ? each->key : each->value, "\"%s\" must be a text", each->key->text.ptr);
			return false;
		}
		t->text = each->value->text;
	}
	*ret_n = pair->value->n;
	return true;
}

static bool read_top(struct test_parser *p, const struct yaml_node *map, struct test_expectation *e)
{
	const struct yaml_pair *pair = yaml_find(map, "top");

	if (!pair)
		return true;
	if (pair->value->kind != YAML_MAP)
		goto bad;
	e->top = zalloc(p, pair->value->n, sizeof *e->top);
	e->n_top = pair->value->n;
	for (uint32_t i = 0; i < e->n_top; i++) {
		const struct yaml_node *values = pair->value->pairs[i].value;
		struct test_top *top = &e->top[i];
		top->field = pair->value->pairs[i].key->text;
		if (values->kind != YAML_MAP)
			goto bad;
		top->values = zalloc(p, values->n, sizeof *top->values);
		top->n = values->n;
		for (uint32_t j = 0; j < values->n; j++) {
			double v;
			if (!yaml_to_number(values->pairs[j].value, &v) || v < 0 || v > 1e15)
				goto bad;
			top->values[j] = (struct test_count){ values->pairs[j].key->text, (uint64_t)v };
		}
	}
	return true;
bad:
	test_error(p, pair->value, "\"top\" must say for fields how often which value occurred");
	diag_hint(p->diags, "as in top: {agent: {prajna/witness: 14, mayor: 7}}");
	return false;
}

static bool read_commands(struct test_parser *p, const struct yaml_node *map, struct test_expectation *e)
{
	const struct yaml_node *list = test_get_list(p, map, "commands");

	if (!list)
		return !yaml_find(map, "commands");
	e->has_commands = true;
	e->n_commands = list->n;
	e->commands = zalloc(p, list->n, sizeof *e->commands);
	for (uint32_t i = 0; i < list->n; i++) {
		const struct yaml_node *words = list->items[i];
		if (words->kind != YAML_LIST || words->n == 0) {
			test_error(p, words, "a command is a list of words");
			diag_hint(p->diags, "as in commands: [[gt, nudge, hq-mayor, 'the text']]");
			return false;
		}
		struct span *w = zalloc(p, words->n + 1, sizeof *w);
		for (uint32_t j = 0; j < words->n; j++) {
			if (!is_text(words->items[j])) {
				test_error(p, words->items[j], "a word of a command must be a text");
				return false;
			}
			w[j] = words->items[j]->text;
		}
		e->commands[i] = w;
	}
	return true;
}

static bool read_quantity(struct test_parser *p, const struct yaml_node *map, struct test_expectation *e)
{
	const struct yaml_pair *exactly = yaml_find(map, "exactly"), *at_least = yaml_find(map, "at_least");

	if (exactly && at_least) {
		test_error(p, at_least->key, "say \"exactly\" or \"at_least\", not both");
		return false;
	}
	if (exactly)
		e->quantity = QUANTITY_EXACTLY;
	if (at_least)
		e->quantity = QUANTITY_AT_LEAST;
	return test_get_count(p, map, "exactly", 1, 1000000, &e->quantity_n) && test_get_count(p, map, "at_least", 1, 1000000, &e->quantity_n);
}

static bool read_expectation(struct test_parser *p, const struct test_case *t, const struct yaml_node *n, struct test_expectation *e)
{
	*e = (struct test_expectation){ .line = line_of(n), .at_ns = TIME_NONE, .opened_ns = TIME_NONE, .first_ns = TIME_NONE, .last_ns = TIME_NONE };
	bool ok = test_check_keys(p, n, "an expectation", expect_keys);

	if (n->kind != YAML_MAP || !read_rule(p, n, &e->rule))
		return false;
	const struct yaml_pair *value = yaml_find(n, "value");
	e->has_count = yaml_find(n, "count") != NULL;
	e->has_value = value != NULL;
	if (value && !yaml_to_number(value->value, &e->value)) {
		test_error(p, value->value, "\"value\" must be a number");
		ok = false;
	}
	ok &= read_state(p, n, &e->state);
	ok &= test_get_time(p, t, n, "at", &e->at_ns);
	ok &= test_get_time(p, t, n, "opened", &e->opened_ns);
	ok &= test_get_time(p, t, n, "first", &e->first_ns);
	ok &= test_get_time(p, t, n, "last", &e->last_ns);
	ok &= test_get_count(p, n, "count", 0, 1000000000, &e->count);
	ok &= read_level(p, n, e);
	ok = ok && read_summary(p, n, e);
	ok &= read_texts(p, n, "key", e->rule, &e->key, &e->n_key);
	ok &= read_texts(p, n, "fields", NULL, &e->fields, &e->n_fields);
	ok &= read_top(p, n, e);
	ok &= read_commands(p, n, e);
	ok &= read_quantity(p, n, e);
	return ok;
}

static bool read_never(struct test_parser *p, const struct yaml_node *n, struct test_expectation *e)
{
	*e = (struct test_expectation){ .line = line_of(n), .at_ns = TIME_NONE, .opened_ns = TIME_NONE, .first_ns = TIME_NONE, .last_ns = TIME_NONE };
	if (n->kind == YAML_SCALAR) {
		e->any_state = true;
		e->rule = find_rule(p, n);
		return e->rule != NULL;
	}
	if (!test_check_keys(p, n, "an expectation of what never comes", never_keys) || !read_rule(p, n, &e->rule))
		return false;
	e->any_state = !yaml_find(n, "state");
	bool ok = read_state(p, n, &e->state);
	return read_texts(p, n, "key", e->rule, &e->key, &e->n_key) && ok;
}

/* ---- tests ---- */

static const char *const test_keys[] = { "name", "start", "tz", "lateness", "input", "advance_to", "expect", "expect_never", "undetermined", "allow_other", NULL };

static bool read_zone(struct test_parser *p, const struct yaml_node *map, const struct zone **ret)
{
	const char *name = test_get_text(p, map, "tz");

	if (!name)
		return !yaml_find(map, "tz");
	const struct zone *z = zone_get(name);
	if (z && strcmp(name, "local")) {
		*ret = z;
		return true;
	}
	test_error(p, yaml_find(map, "tz")->value, z ? "a test must not depend on the zone of the machine it runs on" : "unknown time zone %s", name);
	diag_hint(p->diags, "use a name such as UTC, Europe/Berlin or America/New_York");
	return false;
}

static bool read_start(struct test_parser *p, struct test_case *t, const struct yaml_node *map)
{
	const struct yaml_pair *pair = yaml_find(map, "start");
	int64_t ignored;

	if (pair && pair->value->kind == YAML_SCALAR && duration_parse(pair->value->text, &ignored)) {
		test_error(p, pair->value, "\"start\" must be a date and time");
		diag_hint(p->diags, "such as 2026-02-17T10:00:00Z, or, in the test's zone, 2026-02-17 10:00:00");
		return false;
	}
	return test_get_time(p, t, map, "start", &t->start_ns);
}

/* sure: the test's keys are all known, so that one which is not there has not been misspelt. */
static bool read_expectations(struct test_parser *p, struct test_case *t, const struct yaml_node *n, bool sure)
{
	bool ok = true;
	const struct yaml_node *list = test_get_list(p, n, "expect");

	ok &= list || !yaml_find(n, "expect");
	t->expect = zalloc(p, list ? list->n : 0, sizeof *t->expect);
	for (uint32_t i = 0; list && i < list->n; i++)
		if (read_expectation(p, t, list->items[i], &t->expect[t->n_expect]))
			t->n_expect++;
		else
			ok = false;

	list = test_get_list(p, n, "expect_never");
	ok &= list || !yaml_find(n, "expect_never");
	t->never = zalloc(p, list ? list->n : 0, sizeof *t->never);
	for (uint32_t i = 0; list && i < list->n; i++)
		if (read_never(p, list->items[i], &t->never[t->n_never]))
			t->n_never++;
		else
			ok = false;

	list = test_get_list(p, n, "undetermined");
	ok &= list || !yaml_find(n, "undetermined");
	t->undetermined = zalloc(p, list ? list->n : 0, sizeof *t->undetermined);
	for (uint32_t i = 0; list && i < list->n; i++) {
		const struct rule *r = find_rule(p, list->items[i]);
		if (r && r->correlation && r->correlation->has_negation) {
			t->undetermined[t->n_undetermined++] = r;
		} else {
			if (r)
				test_error(p, list->items[i], "%s waits for nothing: it is never undetermined", r->name);
			ok = false;
		}
	}
	if (sure && !yaml_find(n, "expect") && !yaml_find(n, "expect_never") && !yaml_find(n, "undetermined")) {
		test_error(p, n, "this test expects nothing");
		diag_hint(p->diags, "say expect: or expect_never:; \"expect: []\" when no incident may open");
		ok = false;
	}
	return ok;
}

static bool read_test(struct test_parser *p, const struct yaml_node *n, const struct test_case *defaults, struct test_case *t)
{
	bool sure = test_check_keys(p, n, "a test", test_keys), ok = sure;

	*t = *defaults;
	t->line = line_of(n);
	if (n->kind != YAML_MAP)
		return false;
	t->name = test_get_text(p, n, "name");
	if (!t->name) {
		if (!yaml_find(n, "name")) {
			test_error(p, n, "a test needs a name");
			diag_hint(p->diags, "name: what it shows");
		}
		ok = false;
	}
	if (!read_zone(p, n, &t->zone) || !read_start(p, t, n))
		return false; /* what follows would be misread */
	ok &= test_get_duration(p, n, "lateness", &t->lateness_ns);
	ok &= test_get_bool(p, n, "allow_other", &t->allow_other);
	ok &= test_get_time(p, t, n, "advance_to", &t->advance_ns);
	ok &= read_expectations(p, t, n, sure);
	const struct yaml_node *input = test_get_list(p, n, "input");
	if (!input) {
		if (sure && !yaml_find(n, "input"))
			test_error(p, n, "this test has no \"input\"");
		return false;
	}
	if (!test_input_read(p, t, input))
		return false;
	for (uint32_t i = 0; t->advance_ns != TIME_NONE && i < t->n_lines; i++)
		if (t->lines[i].time_ns > t->advance_ns) {
			struct buffer last = BUFFER_INIT;
			test_time_format(&last, t, t->lines[i].time_ns);
			test_error(p, yaml_find(n, "advance_to")->value, "\"advance_to\" lies before a line of the input, at %s", buffer_string(&last));
			buffer_release(&last);
			return false;
		}
	return ok;
}

bool test_file_compile(struct test_file *f, const struct ruleset *rs, struct diag_list *diags)
{
	struct test_parser p = { .file = f, .rs = rs, .diags = diags };
	struct test_case defaults = { .zone = zone_get("UTC"), .start_ns = START_DEFAULT_NS, .advance_ns = TIME_NONE, .lateness_ns = 2 * NS_PER_SECOND };
	bool ok = true;

	if (!f->document || !read_zone(&p, f->document, &defaults.zone) || !read_start(&p, &defaults, f->document))
		return false;
	const struct yaml_node *list = test_get_list(&p, f->document, "tests");
	if (!list || list->n == 0) {
		if (list || !yaml_find(f->document, "tests"))
			test_error(&p, f->document, "there are no tests in it");
		return false;
	}
	f->tests = zalloc(&p, list->n, sizeof *f->tests);
	for (uint32_t i = 0; i < list->n; i++)
		if (read_test(&p, list->items[i], &defaults, &f->tests[f->n_tests]))
			f->n_tests++;
		else
			ok = false;
	return ok;
}

void test_time_format(struct buffer *out, const struct test_case *t, int64_t time_ns)
{
	int64_t since;

	if (time_ns == TIME_NONE)
		buffer_append_string(out, "never");
	else if (__builtin_sub_overflow(time_ns, t->start_ns, &since) || since > 366 * 86400 * NS_PER_SECOND || since < -366 * 86400 * NS_PER_SECOND)
		time_format_utc(out, time_ns);
	else
		duration_format(out, since);
}
