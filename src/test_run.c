/*
 * test_run.c: decides whether a test passed. What came is compared with what was expected:
 *
 *	every expectation takes one change that satisfies it (exactly, at_least: all that do); which takes which is chosen so that most find one
 *	a change that none takes is unexpected when it opens an incident, or when its state is named by some expectation of its rule
 *
 * Why something did not come is asked of the engine's own trace (near.h), in another run, and only when there is something to
 * explain. Nothing here knows what a rule means.
 */
#include "test_compare.h"
#include "test_concern.h"
#include "test_run.h"

#include "base/memory.h"
#include "base/quote.h"
#include "engine/clause.h"
#include "engine/near.h"

#include <inttypes.h>
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

/* ---- telling ---- */

static const char *state_verb(const struct test_expectation *e)
{
	return e->any_state || e->state == INCIDENT_OPEN ? "open" : e->state == INCIDENT_UPDATE ? "update" : "resolve";
}

static const char *state_past(enum incident_state s)
{
	return s == INCIDENT_OPEN ? "opened" : s == INCIDENT_UPDATE ? "was updated" : "resolved";
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
		if (!r->expr || !rule_applies(r, e->source) || !concern_any_atom(rs, m, r->expr, e))
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

	concern_mark_leaves(rs, r, leaves);
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
		if (test_values_hold(e->key, e->n_key, list[i].key, list[i].n_key))
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
		if (tried[i] || !test_satisfies(list->fields, &t->expect[e], &k->c))
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
		test_append_texts(out, ", ", "key", e->key, e->n_key);
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
		if (test_part_holds(fields, e, c, (enum part)part))
			continue;
		test_append_expected(out, "-       ", t, e, (enum part)part);
		test_append_got(out, "+       ", t, fields, c, (enum part)part);
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
			if (test_satisfies(list->fields, e, &list->items[j].c)) {
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
			unsigned d = k->taken || !test_same_kind(e, &k->c) ? 0 : test_distance(list->fields, e, &k->c);
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
			if (!test_satisfies(list->fields, e, &k->c))
				continue;
			if (!told)
				buffer_printf(&ret->report, "  line %d: %s must never %s, but did\n", e->line, e->rule->name, state_verb(e));
			told = true;
			k->taken = true;
			test_append_change(&ret->report, t, list->fields, &k->c);
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
		test_append_change(&ret->report, t, list->fields, &k->c);
	}
	if (n > SHOWN_MAX)
		buffer_printf(&ret->report, "  and %" PRIu32 " more that nothing expects\n", n - SHOWN_MAX);
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
	struct concern concern;
	struct engine_trace trace;
	struct running running = { .test = t, .rules = rs, .changes = &changes, .diags = &diags };
	struct why why = { .running = &running };
	struct timespec from, to;

	*ret = (struct test_result){ .fired = xcalloc(n_rules, sizeof *ret->fired), .forbidden = xcalloc(n_rules, sizeof *ret->forbidden) };
	clock_gettime(CLOCK_MONOTONIC, &from);
	concern_init(&concern, rs, t);
	if (concern_trace(&concern, &trace))
		running.trace = &trace;
	run_once(&running, CUT_NOWHERE, 0);
	running.trace = NULL;
	concern_forbidden(&concern, t, ret->forbidden);
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
	concern_release(&concern);
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
