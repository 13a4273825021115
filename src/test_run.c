/*
 * test_run.c: decides whether a test passed. What came is compared with what was expected:
 *
 *	every expectation takes one change that satisfies it (exactly, at_least: all that do); which takes which is chosen so that most find one
 *	a change that none takes is unexpected when it opens an incident, or when its state is named by some expectation of its rule
 *
 * Why something did not come is asked of the engine's own trace (near.h), in another run, and only when there is something to
 * explain. Nothing here knows what a rule means.
 */
#include "test_run.h"

#include "base/memory.h"
#include "base/quote.h"
#include "engine/clause.h"
#include "engine/near.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define SHOWN_MAX 20  /* changes of one kind in a report */
#define NEAREST_MAX 8 /* near misses of a rule, to find one of the key that was expected */

/* A state change, kept. */
struct kept_change {
	struct change c;
	const char *json; /* what it is compared by between runs */
	size_t json_len;
	uint32_t taken_by; /* expectation + 1; 0: none */
	bool taken;
};

struct changes {
	struct arena *arena;
	const struct field_table *fields;
	struct kept_change *items;
	size_t n, cap;
};

/* ---- keeping changes ---- */

static const struct named_value *keep_values(struct arena *a, const struct named_value *v, size_t n)
{
	struct named_value *r = arena_alloc(a, (n ? n : 1) * sizeof *r);

	for (size_t i = 0; i < n; i++)
		r[i] = (struct named_value){ arena_dup_span(a, v[i].name), arena_dup_span(a, v[i].value) };
	return r;
}

static const struct top_list *keep_top(struct arena *a, const struct change *c)
{
	struct top_list *r = arena_alloc(a, (c->n_top ? c->n_top : 1) * sizeof *r);

	for (size_t i = 0; i < c->n_top; i++) {
		struct top_value *values = arena_alloc(a, (c->top[i].n_values ? c->top[i].n_values : 1) * sizeof *values);
		r[i] = c->top[i];
		for (size_t j = 0; j < r[i].n_values; j++)
			values[j] = (struct top_value){ arena_dup_span(a, r[i].values[j].value), r[i].values[j].count };
		r[i].values = values;
	}
	return r;
}

static const struct span *const *keep_commands(struct arena *a, const struct change *c)
{
	const struct span **r = arena_alloc(a, (c->n_commands ? c->n_commands : 1) * sizeof *r);

	for (size_t i = 0; i < c->n_commands; i++) {
		size_t n = 0;
		while (c->commands[i][n].ptr)
			n++;
		struct span *words = arena_zalloc(a, (n + 1) * sizeof *words);
		for (size_t j = 0; j < n; j++)
			words[j] = arena_dup_span(a, c->commands[i][j]);
		r[i] = words;
	}
	return r;
}

static void take_change(void *context, const struct change *c)
{
	struct changes *list = context;
	struct arena *a = list->arena;
	struct emit_options eo = { .fields = list->fields };
	struct buffer json = BUFFER_INIT;

	emit_change(&json, EMIT_JSONL, &eo, c);
	ARRAY_GROW(list->items, list->n, list->cap);
	struct kept_change *k = &list->items[list->n++];
	*k = (struct kept_change){ .c = *c, .json = arena_dup(a, json.data, json.len), .json_len = json.len };
	buffer_release(&json);
	k->c.id = arena_strdup(a, c->id);
	k->c.condition = arena_strdup(a, c->condition);
	k->c.summary = arena_dup_span(a, c->summary);
	k->c.key = keep_values(a, c->key, c->n_key);
	k->c.fields = keep_values(a, c->fields, c->n_fields);
	k->c.top = keep_top(a, c);
	k->c.commands = keep_commands(a, c);
	k->c.evidence = NULL;
	k->c.n_evidence = 0;
}

/* ---- running ---- */

/* Which lines a checkpoint is made behind. */
enum cutting {
	CUT_NOWHERE, /* all lines of a log at once */
	CUT_ALL,
	CUT_ONE,     /* behind line number `cut` */
};

struct running {
	const struct test_case *test;
	const struct ruleset *rules;
	const struct engine_trace *trace;
	struct changes *changes;
	struct diag_list *diags;
	uint32_t n_cuts;
};

static struct pipeline *begin(struct running *r)
{
	const struct test_case *t = r->test;
	struct pipeline_options o = {
		.rules = r->rules, .zone = t->zone, .lateness_ns = t->lateness_ns, .since_ns = TIME_NONE, .until_ns = t->advance_ns,
		.now_ns = INT64_MAX - FUTURE_LIMIT_NS, .record_limit = RECORD_LIMIT_DEFAULT, .trace = r->trace, .on_change = take_change,
		.change_context = r->changes,
	};
	return pipeline_new(&o, NULL, 0, r->diags);
}

static struct lane *begin_log(struct pipeline *p, const struct test_log *log)
{
	struct lane *l = pipeline_lane(p, log->name);

	if (lane_source(l)) {
		lane_continue_file(p, l, log->name, 0);
	} else {
		lane_set_source(p, l, log->source);
		lane_set_observed(p, l); /* a test's log is all there is */
		lane_begin_file(p, l, log->name, 0, log->mtime_ns, TIME_NONE);
	}
	lane_set_at_end(l, false);
	return l;
}

static void begin_logs(struct pipeline *p, const struct test_case *t, struct lane **lanes)
{
	for (uint32_t i = 0; i < t->n_logs; i++)
		lanes[i] = begin_log(p, &t->logs[i]);
}

/* Saves the pipeline and goes on with what is loaded from it; NULL when that cannot be. */
static struct pipeline *cut(struct running *r, struct pipeline *p, struct lane **lanes)
{
	struct buffer state = BUFFER_INIT;

	pipeline_save(p, &state);
	pipeline_free(p);
	p = begin(r);
	struct codec_reader in = { state.data, state.data + state.len, false };
	bool ok = pipeline_load(p, &in, r->diags);
	buffer_release(&state);
	if (!ok) {
		pipeline_free(p);
		return NULL;
	}
	begin_logs(p, r->test, lanes);
	r->n_cuts++;
	return p;
}

static bool run_once(struct running *r, enum cutting cutting, uint32_t at)
{
	const struct test_case *t = r->test;
	struct pipeline *p = begin(r);
	struct lane **lanes = xcalloc(t->n_logs ? t->n_logs : 1, sizeof *lanes);

	begin_logs(p, t, lanes);
	for (uint32_t i = 0; p && i < t->n_lines; i++) {
		lane_feed(p, lanes[t->lines[i].log], t->lines[i].text);
		if (cutting == CUT_NOWHERE)
			continue;
		pipeline_advance(p, TIME_NONE);
		if (i + 1 < t->n_lines && (cutting == CUT_ALL || i == at))
			p = cut(r, p, lanes);
	}
	for (uint32_t i = 0; p && i < t->n_logs; i++)
		lane_end(p, lanes[i]);
	if (p)
		pipeline_finish(p);
	bool ok = p != NULL;
	pipeline_free(p);
	free(lanes);
	return ok;
}

/* ---- does a change satisfy an expectation? ---- */

static bool text_holds(const struct test_text *t, struct span text)
{
	switch (t->how) {
	case MATCH_EQUAL:
		return span_equal(text, t->text);
	case MATCH_CONTAINS:
		return t->text.len == 0 || memmem(text.ptr, text.len, t->text.ptr, t->text.len);
	case MATCH_STARTSWITH:
		return span_starts_with(text, t->text);
	case MATCH_ENDSWITH:
		return span_ends_with(text, t->text);
	}
	return false;
}

static const struct named_value *value_named(const struct named_value *v, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal(v[i].name, name))
			return &v[i];
	return NULL;
}

static bool values_hold(const struct test_text *texts, uint32_t n, const struct named_value *values, size_t n_values)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct named_value *v = value_named(values, n_values, texts[i].name);
		if (!v || !text_holds(&texts[i], v->value))
			return false;
	}
	return true;
}

static uint64_t top_count(const struct field_table *fields, const struct change *c, struct span field, struct span value)
{
	for (size_t i = 0; i < c->n_top; i++) {
		if (!span_equal(field_name(fields, c->top[i].field), field))
			continue;
		for (size_t j = 0; j < c->top[i].n_values; j++)
			if (span_equal(c->top[i].values[j].value, value))
				return c->top[i].values[j].count;
	}
	return 0;
}

/* {{id}} in an expected word stands for the incident's id, which nobody can foretell. */
static bool word_holds(struct span expected, struct span got, const char *id)
{
	struct span name = SPAN("{{id}}");
	size_t id_len = strlen(id);

	for (;;) {
		const char *at = memmem(expected.ptr, expected.len, name.ptr, name.len);
		if (!at)
			return span_equal(expected, got);
		size_t before = (size_t)(at - expected.ptr);
		if (got.len < before + id_len || memcmp(got.ptr, expected.ptr, before) != 0 || memcmp(got.ptr + before, id, id_len) != 0)
			return false;
		expected = span_from(expected, before + name.len);
		got = span_from(got, before + id_len);
	}
}

static bool commands_hold(const struct test_expectation *e, const struct change *c)
{
	if (e->n_commands != c->n_commands)
		return false;
	for (uint32_t i = 0; i < e->n_commands; i++) {
		const struct span *a = e->commands[i], *b = c->commands[i];
		for (; a->ptr && b->ptr; a++, b++)
			if (!word_holds(*a, *b, c->id))
				return false;
		if (a->ptr || b->ptr)
			return false;
	}
	return true;
}

/* The parts of a change that an expectation may name, in the order in which they are told. */
enum part { PART_AT, PART_LEVEL, PART_KEY, PART_VALUE, PART_COUNT, PART_OPENED, PART_FIRST, PART_LAST, PART_SUMMARY, PART_TOP, PART_FIELDS, PART_COMMANDS, PART_END };

static bool near_equal(double a, double b)
{
	return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static bool part_holds(const struct field_table *fields, const struct test_expectation *e, const struct change *c, enum part part)
{
	switch (part) {
	case PART_AT:
		return e->at_ns == TIME_NONE || e->at_ns == c->time_ns;
	case PART_LEVEL:
		return !e->has_level || e->level == c->rule->level;
	case PART_KEY:
		return values_hold(e->key, e->n_key, c->key, c->n_key);
	case PART_VALUE:
		return !e->has_value || near_equal(e->value, c->value);
	case PART_COUNT:
		return !e->has_count || e->count == c->count;
	case PART_OPENED:
		return e->opened_ns == TIME_NONE || e->opened_ns == c->opened_ns;
	case PART_FIRST:
		return e->first_ns == TIME_NONE || e->first_ns == c->first_ns;
	case PART_LAST:
		return e->last_ns == TIME_NONE || e->last_ns == c->last_ns;
	case PART_SUMMARY:
		for (uint32_t i = 0; i < e->n_summary; i++)
			if (!text_holds(&e->summary[i], c->summary))
				return false;
		return true;
	case PART_TOP:
		for (uint32_t i = 0; i < e->n_top; i++)
			for (uint32_t j = 0; j < e->top[i].n; j++)
				if (top_count(fields, c, e->top[i].field, e->top[i].values[j].value) != e->top[i].values[j].count)
					return false;
		return true;
	case PART_FIELDS:
		return values_hold(e->fields, e->n_fields, c->fields, c->n_fields);
	case PART_COMMANDS:
		return !e->has_commands || commands_hold(e, c);
	case PART_END:
		break;
	}
	return true;
}

static bool same_kind(const struct test_expectation *e, const struct change *c)
{
	return e->rule == c->rule && (e->any_state || e->state == c->state);
}

/* How many parts differ. */
static unsigned distance(const struct field_table *fields, const struct test_expectation *e, const struct change *c)
{
	unsigned n = 0;

	for (int part = 0; part < PART_END; part++)
		n += !part_holds(fields, e, c, (enum part)part);
	return n;
}

static bool satisfies(const struct field_table *fields, const struct test_expectation *e, const struct change *c)
{
	return same_kind(e, c) && distance(fields, e, c) == 0;
}

/* ---- telling ---- */

/* As YAML would have it, and safe for a terminal. */
static void append_scalar(struct buffer *out, struct span s)
{
	bool plain = s.len > 0 && !span_equal(s, SPAN("-")), printable = true;

	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_sequence(s.ptr + i, s.len - i);
		unsigned char c = (unsigned char)s.ptr[i];
		bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("_./=-", c);
		if (n == 0 || c < ' ' || c == 0x7f || (n > 1 && c <= 0xe2)) /* may be a control character: say it with escapes */
			printable = printable && n > 1 && !(c == 0xc2 && (unsigned char)s.ptr[i + 1] < 0xa0) && c != 0xe2;
		plain = plain && n == 1 && word;
		i += n ? n : 1;
	}
	if (plain) {
		buffer_append_span(out, s);
		return;
	}
	if (!printable) {
		/* "…" and its like are harmless; quote_terminal() shows what is not. */
		struct buffer safe = BUFFER_INIT;
		quote_terminal(&safe, s);
		bool same = span_equal(buffer_span(&safe), s);
		buffer_release(&safe);
		if (!same) {
			quote_json(out, s);
			return;
		}
	}
	buffer_append_char(out, '\'');
	for (size_t i = 0; i < s.len; i++) {
		buffer_append_char(out, s.ptr[i]);
		if (s.ptr[i] == '\'')
			buffer_append_char(out, '\'');
	}
	buffer_append_char(out, '\'');
}

/* id: written as {{id}}; NULL: there is none. */
static void append_words(struct buffer *out, const struct span *words, const char *id)
{
	buffer_append_char(out, '[');
	for (size_t i = 0; words[i].ptr; i++) {
		struct span rest = words[i];
		struct buffer word = BUFFER_INIT;
		const char *at;
		while (id && (at = memmem(rest.ptr, rest.len, id, strlen(id)))) {
			buffer_append(&word, rest.ptr, (size_t)(at - rest.ptr));
			buffer_append_string(&word, "{{id}}");
			rest = span_from(rest, (size_t)(at - rest.ptr) + strlen(id));
		}
		buffer_append_span(&word, rest);
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, buffer_span(&word));
		buffer_release(&word);
	}
	buffer_append_string(out, "]\n");
}

static void append_time(struct buffer *out, const char *begin, const char *name, const struct test_case *t, int64_t time_ns)
{
	buffer_printf(out, "%s%s: ", begin, name);
	test_time_format(out, t, time_ns);
	buffer_append_char(out, '\n');
}

static void append_named(struct buffer *out, const char *begin, const char *name, const struct named_value *v, size_t n)
{
	buffer_printf(out, "%s%s: {", begin, name);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, v[i].name);
		buffer_append_string(out, ": ");
		append_scalar(out, v[i].value);
	}
	buffer_append_string(out, "}\n");
}

static const char *const match_names[] = { "", "|contains", "|startswith", "|endswith" };

static void append_texts(struct buffer *out, const char *begin, const char *name, const struct test_text *v, uint32_t n)
{
	buffer_printf(out, "%s%s: {", begin, name);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(out, ", ");
		append_scalar(out, v[i].name);
		buffer_printf(out, "%s: ", match_names[v[i].how]);
		append_scalar(out, v[i].text);
	}
	buffer_append_string(out, "}\n");
}

/* One part of what an expectation says. */
static void append_expected(struct buffer *out, const char *begin, const struct test_case *t, const struct test_expectation *e, enum part part)
{
	switch (part) {
	case PART_AT:
		append_time(out, begin, "at", t, e->at_ns);
		break;
	case PART_LEVEL:
		buffer_printf(out, "%slevel: %s\n", begin, level_name(e->level));
		break;
	case PART_KEY:
		append_texts(out, begin, "key", e->key, e->n_key);
		break;
	case PART_VALUE:
		buffer_printf(out, "%svalue: %.15g\n", begin, e->value);
		break;
	case PART_COUNT:
		buffer_printf(out, "%scount: %" PRIu64 "\n", begin, e->count);
		break;
	case PART_OPENED:
		append_time(out, begin, "opened", t, e->opened_ns);
		break;
	case PART_FIRST:
		append_time(out, begin, "first", t, e->first_ns);
		break;
	case PART_LAST:
		append_time(out, begin, "last", t, e->last_ns);
		break;
	case PART_SUMMARY:
		for (uint32_t i = 0; i < e->n_summary; i++) {
			buffer_printf(out, "%ssummary%s: ", begin, match_names[e->summary[i].how]);
			append_scalar(out, e->summary[i].text);
			buffer_append_char(out, '\n');
		}
		break;
	case PART_TOP:
		for (uint32_t i = 0; i < e->n_top; i++)
			for (uint32_t j = 0; j < e->top[i].n; j++) {
				buffer_printf(out, "%stop: {", begin);
				append_scalar(out, e->top[i].field);
				buffer_append_string(out, ": {");
				append_scalar(out, e->top[i].values[j].value);
				buffer_printf(out, ": %" PRIu64 "}}\n", e->top[i].values[j].count);
			}
		break;
	case PART_FIELDS:
		append_texts(out, begin, "fields", e->fields, e->n_fields);
		break;
	case PART_COMMANDS:
		buffer_printf(out, "%scommands:%s\n", begin, e->n_commands ? "" : " []");
		for (uint32_t i = 0; i < e->n_commands; i++) {
			buffer_printf(out, "%s  - ", begin);
			append_words(out, e->commands[i], NULL);
		}
		break;
	case PART_END:
		break;
	}
}

/* The same part of what came. */
static void append_got(struct buffer *out, const char *begin, const struct test_case *t, const struct field_table *fields, const struct change *c, enum part part)
{
	switch (part) {
	case PART_AT:
		append_time(out, begin, "at", t, c->time_ns);
		break;
	case PART_LEVEL:
		buffer_printf(out, "%slevel: %s\n", begin, level_name(c->rule->level));
		break;
	case PART_KEY:
		append_named(out, begin, "key", c->key, c->n_key);
		break;
	case PART_VALUE:
		buffer_printf(out, "%svalue: %.15g\n", begin, c->value);
		break;
	case PART_COUNT:
		buffer_printf(out, "%scount: %" PRIu64 "\n", begin, c->count);
		break;
	case PART_OPENED:
		append_time(out, begin, "opened", t, c->opened_ns);
		break;
	case PART_FIRST:
		append_time(out, begin, "first", t, c->first_ns);
		break;
	case PART_LAST:
		append_time(out, begin, "last", t, c->last_ns);
		break;
	case PART_SUMMARY:
		buffer_printf(out, "%ssummary: ", begin);
		append_scalar(out, c->summary);
		buffer_append_char(out, '\n');
		break;
	case PART_TOP:
		for (size_t i = 0; i < c->n_top; i++) {
			if (c->top[i].n_values == 0)
				continue;
			buffer_printf(out, "%stop: {", begin);
			append_scalar(out, field_name(fields, c->top[i].field));
			buffer_append_string(out, ": {");
			for (size_t j = 0; j < c->top[i].n_values; j++) {
				if (j)
					buffer_append_string(out, ", ");
				append_scalar(out, c->top[i].values[j].value);
				buffer_printf(out, ": %" PRIu64, c->top[i].values[j].count);
			}
			buffer_append_string(out, "}}\n");
		}
		break;
	case PART_FIELDS:
		append_named(out, begin, "fields", c->fields, c->n_fields);
		break;
	case PART_COMMANDS:
		buffer_printf(out, "%scommands:%s\n", begin, c->n_commands ? "" : " []");
		for (size_t i = 0; i < c->n_commands; i++) {
			buffer_printf(out, "%s  - ", begin);
			append_words(out, c->commands[i], c->id);
		}
		break;
	case PART_END:
		break;
	}
}

/* A change as an expectation that could be pasted into the file. */
static void append_change(struct buffer *out, const struct test_case *t, const struct field_table *fields, const struct change *c)
{
	buffer_printf(out, "+     - rule: %s\n", c->rule->name);
	if (c->state != INCIDENT_OPEN)
		buffer_printf(out, "+       state: %s\n", incident_state_name(c->state));
	append_got(out, "+       ", t, fields, c, PART_AT);
	if (c->n_key)
		append_got(out, "+       ", t, fields, c, PART_KEY);
	append_got(out, "+       ", t, fields, c, PART_COUNT);
	append_got(out, "+       ", t, fields, c, PART_SUMMARY);
	append_got(out, "+       ", t, fields, c, PART_COMMANDS);
}

static const char *state_verb(const struct test_expectation *e)
{
	return e->any_state || e->state == INCIDENT_OPEN ? "open" : e->state == INCIDENT_UPDATE ? "update" : "resolve";
}

static const char *state_past(enum incident_state s)
{
	return s == INCIDENT_OPEN ? "opened" : s == INCIDENT_UPDATE ? "was updated" : "resolved";
}

/* ---- what is of concern to a detection ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool occurs(struct span word, struct span text)
{
	for (size_t i = 0; i + word.len <= text.len; i++) {
		size_t k = 0;
		while (k < word.len && lower(text.ptr[i + k]) == lower(word.ptr[k]))
			k++;
		if (k == word.len)
			return true;
	}
	return false;
}

/*
 * Does the record speak of what the atom asks for, if in another place? Of a regex nobody knows the words; but where it looks at a field that only
 * a few records have, those are of concern.
 */
static bool spoken_of(const struct atom *a, const struct event *e)
{
	if (a->op == ATOM_REGEX)
		return a->field >= FIELD_BUILTIN_COUNT && event_first(e, a->field);
	if (a->op != ATOM_STRING && a->op != ATOM_KEYWORD)
		return false;
	for (uint16_t i = 0; i < a->pattern.n_pieces; i++)
		if (a->pattern.pieces[i].len >= 3 && occurs(a->pattern.pieces[i], e->raw))
			return true;
	return false;
}

/* Is anything of the event as the detection wants it? */
static bool any_atom(const struct ruleset *rs, struct matcher *m, const struct expr *x, struct event *e)
{
	switch (x->op) {
	case EXPR_TRUE:
		return true;
	case EXPR_FALSE:
	case EXPR_NOT:
		return false;
	case EXPR_ATOM:
		return matcher_expr_holds(m, x, e) || spoken_of(&rs->atoms[x->atom], e);
	case EXPR_AND:
	case EXPR_OR:
		break;
	}
	for (uint32_t i = 0; i < x->n_children; i++)
		if (any_atom(rs, m, x->children[i], e))
			return true;
	return false;
}

/* The detections that feed a rule. */
static void mark_leaves(const struct ruleset *rs, const struct rule *r, bool *marks)
{
	if (r->expr)
		marks[r->index] = true;
	for (uint32_t i = 0; r->correlation && i < r->correlation->n_inputs; i++)
		if (!r->correlation->inputs[i].negated)
			mark_leaves(rs, &rs->rules[r->correlation->inputs[i].rule], marks);
}

/* ---- why not ---- */

/* The event that a detection came nearest to matching, and the clause that stood in the way. */
struct blocked {
	bool known;
	size_t n_clauses;
	struct clause clause;
	char *file; /* owned */
	uint64_t line;
};

struct why {
	struct running *running;
	struct near *near;       /* NULL: not asked yet */
	struct blocked *blocked; /* by rule */
};

static void why_step(void *context, const struct trace_step *s)
{
	near_step(((struct why *)context)->near, s);
}

static void why_judge(void *context, struct matcher *m, struct event *e)
{
	struct why *why = context;
	const struct ruleset *rs = why->running->rules;

	for (uint32_t i = 0; i < rs->n_rules; i++) {
		struct blocked *b = &why->blocked[i];
		struct clause clauses[8];
		const struct rule *r = &rs->rules[i];
		if (!r->expr || !rule_applies(r, e->source) || !any_atom(rs, m, r->expr, e))
			continue;
		size_t n = clause_failures(m, r->expr, e, clauses, 8);
		if (n == 0 || (b->known && n >= b->n_clauses))
			continue;
		free(b->file);
		*b = (struct blocked){ true, n, clauses[0], xstrdup(e->origin.file), e->origin.line };
	}
}

static void why_end(void *context, struct engine *en)
{
	near_finish(((struct why *)context)->near, engine_now(en));
}

static void why_ask(struct why *why)
{
	struct arena arena = ARENA_INIT;
	struct changes ignored = { .arena = &arena, .fields = &why->running->rules->fields };
	struct diag_list diags = DIAG_LIST_INIT;
	struct running again = *why->running;
	struct engine_trace trace = { .step = why_step, .judge = why_judge, .at_ns = TIME_NONE, .at = why_end, .context = why };

	why->near = near_new(why->running->rules, NEAREST_MAX);
	why->blocked = xcalloc(again.rules->n_rules ? again.rules->n_rules : 1, sizeof *why->blocked);
	again.trace = &trace;
	again.changes = &ignored;
	again.diags = &diags;
	run_once(&again, CUT_NOWHERE, 0);
	free(ignored.items);
	arena_release(&arena);
	diag_list_release(&diags);
}

static void why_release(struct why *why)
{
	for (uint32_t i = 0; why->blocked && i < why->running->rules->n_rules; i++)
		free(why->blocked[i].file);
	free(why->blocked);
	near_free(why->near);
}

static void append_clause(struct buffer *out, const struct ruleset *rs, const struct clause *c)
{
	const char *name = c->node->selection ? c->node->selection : "its condition";
	const struct expr *place = c->atom && c->excludes ? c->atom : c->node;
	struct buffer text = BUFFER_INIT;

	buffer_append_string(out, c->excludes ? "excluded by " : "not ");
	quote_terminal(out, span_from_string(name));
	if (c->excludes && c->inner && c->inner->selection) {
		buffer_append_string(out, ", ");
		quote_terminal(out, span_from_string(c->inner->selection));
	}
	if (c->atom) {
		buffer_append_string(out, ": ");
		clause_atom_text(rs, c->atom, &text);
		quote_terminal(out, buffer_span(&text));
		buffer_release(&text);
	}
	if (place->file)
		buffer_printf(out, " (%s:%d)", place->file, place->line);
}

/* Events that the detections behind a rule came near to matching. */
static bool append_blocked(struct buffer *out, const struct why *why, const struct rule *r)
{
	const struct ruleset *rs = why->running->rules;
	bool *leaves = xcalloc(rs->n_rules ? rs->n_rules : 1, sizeof *leaves), any = false;

	mark_leaves(rs, r, leaves);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct blocked *b = &why->blocked[i];
		if (!leaves[i] || !b->known)
			continue;
		buffer_printf(out, "    line %" PRIu64 " of %s does not match %s: ", b->line, b->file, rs->rules[i].name);
		append_clause(out, rs, &b->clause);
		buffer_append_char(out, '\n');
		any = true;
	}
	free(leaves);
	return any;
}

/* The nearest miss of the key that was expected, if any was. */
static const struct near_miss *nearest_of(const struct near_miss *list, size_t n, const struct test_expectation *e)
{
	for (size_t i = 0; i < n; i++)
		if (values_hold(e->key, e->n_key, list[i].key, list[i].n_key))
			return &list[i];
	return n ? &list[0] : NULL;
}

/* Why what was expected did not open. some: it did, if not often enough. */
static void append_nearest(struct buffer *out, struct why *why, const struct test_case *t, const struct test_expectation *e, bool some)
{
	size_t n;

	if (!why->near)
		why_ask(why);
	const struct near_miss *list = near_best(why->near, e->rule, &n), *m = nearest_of(list, n, e);
	if (!m) {
		if (!append_blocked(out, why, e->rule) && !some)
			buffer_append_string(out, "    nothing of the input came near it\n");
		return;
	}
	buffer_append_string(out, "    nearest miss at ");
	test_time_format(out, t, m->time_ns);
	for (size_t i = 0; i < m->n_key; i++) {
		buffer_append_string(out, i ? ", " : " (");
		quote_terminal(out, m->key[i].name);
		buffer_append_char(out, ' ');
		quote_terminal(out, m->key[i].value);
		if (i + 1 == m->n_key)
			buffer_append_char(out, ')');
	}
	buffer_append_string(out, ": ");
	quote_terminal(out, span_from_string(m->text));
	if (m->file)
		buffer_printf(out, " (line %" PRIu64 " of %s)", m->line, m->file);
	buffer_append_char(out, '\n');
}

/* ---- comparing ---- */

static bool named(const struct test_case *t, const struct rule *r, enum incident_state s, bool any_state)
{
	for (uint32_t i = 0; i < t->n_expect; i++)
		if (t->expect[i].rule == r && (any_state || t->expect[i].state == s))
			return true;
	for (uint32_t i = 0; any_state && i < t->n_never; i++)
		if (t->never[i].rule == r)
			return true;
	return false;
}

/* Is this change unexpected if no expectation takes it? */
static bool must_be_expected(const struct test_case *t, const struct change *c)
{
	if (c->state != INCIDENT_OPEN)
		return named(t, c->rule, c->state, false);
	return !t->allow_other || named(t, c->rule, c->state, true);
}

/* Finds a change for expectation e, moving others on where need be. */
static bool assign(const struct test_case *t, struct changes *list, uint32_t e, bool *tried)
{
	for (size_t i = 0; i < list->n; i++) {
		struct kept_change *k = &list->items[i];
		if (tried[i] || !satisfies(list->fields, &t->expect[e], &k->c))
			continue;
		tried[i] = true;
		if (k->taken_by && !assign(t, list, k->taken_by - 1, tried))
			continue;
		k->taken_by = e + 1;
		return true;
	}
	return false;
}

static void tell_missing(struct buffer *out, const struct test_case *t, const struct test_expectation *e, struct why *why)
{
	buffer_printf(out, "  line %d: %s did not %s", e->line, e->rule->name, state_verb(e));
	if (e->at_ns != TIME_NONE) {
		buffer_append_string(out, "; expected at ");
		test_time_format(out, t, e->at_ns);
	}
	if (e->n_key)
		append_texts(out, ", ", "key", e->key, e->n_key);
	else
		buffer_append_char(out, '\n');
	if (e->state == INCIDENT_OPEN)
		append_nearest(out, why, t, e, false);
}

/* An expectation beside the change that is most like it. */
static void tell_difference(struct buffer *out, const struct test_case *t, const struct field_table *fields, const struct test_expectation *e, const struct change *c)
{
	buffer_printf(out, "  line %d: %s %s, but not as expected\n", e->line, e->rule->name, state_past(c->state));
	for (int part = 0; part < PART_END; part++) {
		if (part_holds(fields, e, c, (enum part)part))
			continue;
		append_expected(out, "-       ", t, e, (enum part)part);
		append_got(out, "+       ", t, fields, c, (enum part)part);
	}
}

static void compare_counts(struct test_result *ret, const struct test_case *t, struct changes *list, struct why *why)
{
	for (uint32_t i = 0; i < t->n_expect; i++) {
		const struct test_expectation *e = &t->expect[i];
		uint64_t n = 0;
		if (e->quantity == QUANTITY_ONE)
			continue;
		for (size_t j = 0; j < list->n; j++)
			if (satisfies(list->fields, e, &list->items[j].c)) {
				list->items[j].taken = true;
				n++;
			}
		if (n && e->state == INCIDENT_OPEN)
			ret->fired[e->rule->index] = true;
		if (e->quantity == QUANTITY_EXACTLY ? n == e->quantity_n : n >= e->quantity_n)
			continue;
		buffer_printf(&ret->report, "  line %d: %s %s %" PRIu64 " ×, expected %s %" PRIu64 "\n", e->line, e->rule->name, state_past(e->state), n,
			      e->quantity == QUANTITY_EXACTLY ? "exactly" : "at least", e->quantity_n);
		if (n < e->quantity_n && e->state == INCIDENT_OPEN)
			append_nearest(&ret->report, why, t, e, n > 0);
	}
}

static void compare_single(struct test_result *ret, const struct test_case *t, struct changes *list, struct why *why)
{
	bool *tried = xcalloc(list->n ? list->n : 1, sizeof *tried);
	bool *found = xcalloc(t->n_expect ? t->n_expect : 1, sizeof *found);

	for (uint32_t i = 0; i < t->n_expect; i++) {
		if (t->expect[i].quantity != QUANTITY_ONE)
			continue;
		memset(tried, 0, list->n * sizeof *tried);
		assign(t, list, i, tried);
	}
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].taken_by) {
			const struct test_expectation *e = &t->expect[list->items[i].taken_by - 1];
			list->items[i].taken = true;
			found[e - t->expect] = true;
			if (e->state == INCIDENT_OPEN)
				ret->fired[e->rule->index] = true;
		}
	for (uint32_t i = 0; i < t->n_expect; i++) {
		const struct test_expectation *e = &t->expect[i];
		struct kept_change *best = NULL;
		unsigned least = 0;
		if (e->quantity != QUANTITY_ONE || found[i])
			continue;
		for (size_t j = 0; j < list->n; j++) {
			struct kept_change *k = &list->items[j];
			unsigned d = k->taken || !same_kind(e, &k->c) ? 0 : distance(list->fields, e, &k->c);
			if (d && (!best || d < least)) {
				best = k;
				least = d;
			}
		}
		if (best) {
			best->taken = true;
			tell_difference(&ret->report, t, list->fields, e, &best->c);
		} else {
			tell_missing(&ret->report, t, e, why);
		}
	}
	free(tried);
	free(found);
}

static void compare_never(struct test_result *ret, const struct test_case *t, struct changes *list)
{
	for (uint32_t i = 0; i < t->n_never; i++) {
		const struct test_expectation *e = &t->never[i];
		bool told = false;
		for (size_t j = 0; j < list->n; j++) {
			struct kept_change *k = &list->items[j];
			if (!satisfies(list->fields, e, &k->c))
				continue;
			if (!told)
				buffer_printf(&ret->report, "  line %d: %s must never %s, but did\n", e->line, e->rule->name, state_verb(e));
			told = true;
			k->taken = true;
			append_change(&ret->report, t, list->fields, &k->c);
		}
		if (told)
			ret->forbidden[e->rule->index] = false;
	}
}

static void compare_unexpected(struct test_result *ret, const struct test_case *t, struct changes *list)
{
	uint32_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct kept_change *k = &list->items[i];
		if (k->taken || !must_be_expected(t, &k->c))
			continue;
		if (n++ >= SHOWN_MAX)
			continue;
		buffer_printf(&ret->report, "  %s %s, and nothing expects that\n", k->c.rule->name, state_past(k->c.state));
		append_change(&ret->report, t, list->fields, &k->c);
	}
	if (n > SHOWN_MAX)
		buffer_printf(&ret->report, "  and %" PRIu32 " more that nothing expects\n", n - SHOWN_MAX);
}

/* ---- what is of concern to a rule ---- */

struct concern {
	const struct ruleset *rules;
	bool *wanted;  /* detections that are asked about */
	bool *touched; /* those for which something of an event was as they want it */
	bool *undetermined; /* rules that could not judge an absence */
};

static void judge(void *context, struct matcher *m, struct event *e)
{
	struct concern *c = context;

	for (uint32_t i = 0; i < c->rules->n_rules; i++)
		if (c->wanted[i] && !c->touched[i] && c->rules->rules[i].expr && rule_applies(&c->rules->rules[i], e->source) &&
		    any_atom(c->rules, m, c->rules->rules[i].expr, e))
			c->touched[i] = true;
}

static void concern_step(void *context, const struct trace_step *s)
{
	struct concern *c = context;

	if (s->kind == TRACE_UNDETERMINED && s->rule)
		c->undetermined[s->rule->index] = true;
}

/* Absences that are still waited for when the input ends. */
static void concern_cell(void *context, const struct trace_cell *cell)
{
	struct concern *c = context;

	if (cell->pending_ns != TIME_NONE)
		c->undetermined[cell->rule->index] = true;
}

static void concern_end(void *context, struct engine *en)
{
	struct concern *c = context;

	for (uint32_t i = 0; i < c->rules->n_rules; i++)
		if (c->wanted[i] && c->rules->rules[i].correlation)
			engine_inspect(en, &c->rules->rules[i], concern_cell, c);
}

static void find_concern(struct test_result *ret, const struct test_case *t, const struct concern *c)
{
	bool *leaves = xcalloc(c->rules->n_rules ? c->rules->n_rules : 1, sizeof *leaves);

	for (uint32_t i = 0; i < t->n_never; i++) {
		const struct rule *r = t->never[i].rule;
		if (!t->never[i].any_state && t->never[i].state != INCIDENT_OPEN)
			continue;
		memset(leaves, 0, c->rules->n_rules * sizeof *leaves);
		mark_leaves(c->rules, r, leaves);
		for (uint32_t j = 0; j < c->rules->n_rules; j++)
			if (leaves[j] && c->touched[j])
				ret->forbidden[r->index] = true;
	}
	free(leaves);
}

/* ---- the test ---- */

static void check_undetermined(struct test_result *ret, const struct test_case *t, const struct concern *c)
{
	for (uint32_t i = 0; i < t->n_undetermined; i++)
		if (!c->undetermined[t->undetermined[i]->index])
			buffer_printf(&ret->report, "  %s was expected to be undetermined, and was not\n", t->undetermined[i]->name);
}

/* Where two runs first differ. */
static bool compare_runs(struct buffer *out, const struct test_case *t, const struct changes *whole, const struct changes *other, enum cutting cutting, uint32_t at)
{
	size_t i = 0;

	while (i < whole->n && i < other->n && whole->items[i].json_len == other->items[i].json_len &&
	       !memcmp(whole->items[i].json, other->items[i].json, whole->items[i].json_len))
		i++;
	if (i == whole->n && i == other->n)
		return true;
	if (cutting == CUT_ONE) {
		struct span text = t->lines[at].text;
		buffer_printf(out, "  with a checkpoint behind line %" PRIu32 " of the input, other incidents come; the line is\n    ", at + 1);
		quote_terminal(out, span_of(text.ptr, text.len && text.ptr[text.len - 1] == '\n' ? text.len - 1 : text.len));
		buffer_append_char(out, '\n');
	} else {
		buffer_append_string(out, "  with a checkpoint behind every line, other incidents come\n");
	}
	const struct changes *sides[] = { whole, other };
	for (int side = 0; side < 2; side++) {
		buffer_append_char(out, "-+"[side]);
		if (i < sides[side]->n)
			quote_terminal(out, span_of(sides[side]->items[i].json, sides[side]->items[i].json_len - 1));
		else
			buffer_append_string(out, " nothing more");
		buffer_append_char(out, '\n');
	}
	return false;
}

static bool run_cut(struct test_result *ret, const struct running *base, const struct changes *whole, enum cutting cutting, uint32_t at)
{
	struct arena arena = ARENA_INIT;
	struct changes changes = { .arena = &arena, .fields = &base->rules->fields };
	struct diag_list diags = DIAG_LIST_INIT;
	struct running r = *base;

	r.trace = NULL;
	r.changes = &changes;
	r.diags = &diags;
	r.n_cuts = 0;
	bool ok = run_once(&r, cutting, at);
	if (!ok)
		buffer_printf(&ret->report, "  the checkpoint behind line %" PRIu32 " of the input could not be loaded\n", at + 1);
	else
		ok = compare_runs(&ret->report, base->test, whole, &changes, cutting, at);
	ret->n_cuts += r.n_cuts;
	free(changes.items);
	arena_release(&arena);
	diag_list_release(&diags);
	return ok;
}

static void run_cuts(struct test_result *ret, const struct running *base, const struct changes *whole)
{
	uint32_t places = base->test->n_lines ? base->test->n_lines - 1 : 0;
	uint32_t n = places < TEST_CUTS_MAX ? places : TEST_CUTS_MAX;

	/* One by one first: that tells the line. */
	for (uint32_t i = 0; i < n; i++)
		if (!run_cut(ret, base, whole, CUT_ONE, (uint32_t)((uint64_t)i * places / n)))
			return;
	run_cut(ret, base, whole, CUT_ALL, 0);
}

void test_run(const struct test_case *t, const struct ruleset *rs, struct test_result *ret)
{
	size_t n_rules = rs->n_rules ? rs->n_rules : 1;
	struct arena arena = ARENA_INIT;
	struct changes changes = { .arena = &arena, .fields = &rs->fields };
	struct diag_list diags = DIAG_LIST_INIT;
	struct concern concern = { rs, xcalloc(n_rules, 1), xcalloc(n_rules, 1), xcalloc(n_rules, 1) };
	struct engine_trace trace = { .wanted = concern.wanted, .step = concern_step, .judge = judge, .at_ns = TIME_NONE, .at = concern_end, .context = &concern };
	struct running running = { .test = t, .rules = rs, .changes = &changes, .diags = &diags };
	struct why why = { .running = &running };
	struct timespec from, to;

	*ret = (struct test_result){ .fired = xcalloc(n_rules, sizeof *ret->fired), .forbidden = xcalloc(n_rules, sizeof *ret->forbidden) };
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (uint32_t i = 0; i < t->n_never; i++)
		mark_leaves(rs, t->never[i].rule, concern.wanted);
	for (uint32_t i = 0; i < t->n_undetermined; i++)
		concern.wanted[t->undetermined[i]->index] = true;
	if (t->n_never || t->n_undetermined)
		running.trace = &trace;
	run_once(&running, CUT_NOWHERE, 0);
	running.trace = NULL;
	find_concern(ret, t, &concern);
	compare_counts(ret, t, &changes, &why);
	compare_single(ret, t, &changes, &why);
	compare_never(ret, t, &changes);
	compare_unexpected(ret, t, &changes);
	check_undetermined(ret, t, &concern);
	run_cuts(ret, &running, &changes);
	ret->passed = ret->report.len == 0;
	clock_gettime(CLOCK_MONOTONIC, &to);
	ret->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	why_release(&why);
	free(concern.wanted);
	free(concern.touched);
	free(concern.undetermined);
	free(changes.items);
	arena_release(&arena);
	diag_list_release(&diags);
}

void test_result_release(struct test_result *r)
{
	buffer_release(&r->report);
	free(r->fired);
	free(r->forbidden);
}
