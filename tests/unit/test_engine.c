/*
 * The engine, driven by small scripts: rules as YAML, a line an event, and what must be told. Every script runs whole, and again
 * with the state saved and loaded between any two lines: both must tell the same.
 *
 *	10 type=kill agent=a      an event of second 10
 *	@12 10 type=kill          the same, late: its place in the order is second 12
 *	advance 100               time passes
 *	end 60 55 complete        the snapshot of second 55 has ended, known at second 60
 *	keys 2                    two keys are live now
 */
#include "engine/clause.h"
#include "engine/near.h"
#include "engine/order.h"
#include "engine/sorted.h"
#include "engine/strings.h"
#include "engine/tally.h"

#include "base/memory.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct source town = { .name = "town", .format = FORMAT_TOWN, .product = "gastown", .service = "town" };
static struct source ps = { .name = "ps", .format = FORMAT_PS, .rank = 5, .product = "gastown", .service = "ps" };

struct run {
	struct ruleset *rules;
	struct engine *engine;
	struct matcher *town, *ps;
	struct event event;
	uint32_t *matched;
	struct buffer told;
	bool with_trace;
	struct engine_trace trace;
	struct near *near;
	struct buffer shown; /* by the trace, at its moment */
	uint64_t matched_told, matched_judged;
};

static void tell(void *context, const struct change *c)
{
	struct run *r = context;

	buffer_printf(&r->told, "%" PRId64 " %s %s", c->time_ns / NS_PER_SECOND, incident_state_name(c->state), c->rule->name);
	for (size_t i = 0; i < c->n_key; i++)
		buffer_printf(&r->told, " %.*s", (int)c->key[i].value.len, c->key[i].value.ptr);
	buffer_printf(&r->told, ": %.*s\n", (int)c->summary.len, c->summary.ptr);
	for (size_t i = 0; i < c->n_commands; i++) {
		buffer_append_string(&r->told, " $");
		for (const struct span *w = c->commands[i]; w->ptr; w++)
			buffer_printf(&r->told, " <%.*s>", (int)w->len, w->ptr);
		buffer_append_char(&r->told, '\n');
	}
}

static void notice(void *context, const struct rule *rule, int64_t time_ns, const char *text)
{
	struct run *r = context;
	buffer_printf(&r->told, "%" PRId64 " notice %s: %s\n", time_ns / NS_PER_SECOND, rule->name, text);
}

/* The trace: what came nearest, what each key looks like at second 12, and that both ways to judge a detection agree. */

static void on_step(void *context, const struct trace_step *s)
{
	struct run *r = context;

	r->matched_told += s->kind == TRACE_MATCHED && !s->rule->about_incidents; /* those see some incidents only */
	near_step(r->near, s);
}

static void on_judge(void *context, struct matcher *m, struct event *e)
{
	struct run *r = context;
	struct clause why[4];

	for (uint32_t i = 0; i < r->rules->n_rules; i++)
		if (rule_applies(&r->rules->rules[i], e->source) && !r->rules->rules[i].about_incidents)
			r->matched_judged += clause_failures(m, r->rules->rules[i].expr, e, why, 4) == 0;
}

static void show_cell(void *context, const struct trace_cell *c)
{
	struct run *r = context;

	buffer_printf(&r->shown, "%s", c->rule->name);
	for (size_t i = 0; i < c->n_key; i++)
		buffer_printf(&r->shown, " %.*s", (int)c->key[i].value.len, c->key[i].value.ptr);
	buffer_printf(&r->shown, " %.15g%s", c->value, c->holds ? " holds" : "");
	for (uint32_t i = 0; i < c->n_entries; i++) {
		struct trace_entry e;
		trace_entry(c, i, &e);
		buffer_printf(&r->shown, " %" PRId64, e.time_ns / NS_PER_SECOND);
	}
	if (c->pending_ns != TIME_NONE)
		buffer_printf(&r->shown, " until %" PRId64, c->pending_ns / NS_PER_SECOND);
	buffer_append_string(&r->shown, c->incident ? " open\n" : "\n");
}

static void on_moment(void *context, struct engine *en)
{
	struct run *r = context;

	for (uint32_t i = 0; i < r->rules->n_rules; i++)
		engine_inspect(en, &r->rules->rules[i], show_cell, r);
}

static void engine_start(struct run *r)
{
	struct engine_options o = { .max_keys = 4 };

	r->engine = engine_new(r->rules, &o, tell, notice, r);
	if (r->with_trace) {
		r->near = near_new(r->rules, 3);
		r->trace = (struct engine_trace){ .step = on_step, .judge = on_judge, .at_ns = 12 * NS_PER_SECOND, .at = on_moment, .context = r };
		engine_trace_set(r->engine, &r->trace);
	}
	engine_source_present(r->engine, &town);
	engine_source_present(r->engine, &ps);
	engine_source_observed(r->engine, &town, TIME_NONE);
	engine_source_observed(r->engine, &ps, TIME_NONE);
}

static void save_and_load(struct run *r)
{
	struct buffer saved = BUFFER_INIT, again = BUFFER_INIT;

	engine_save(r->engine, &saved);
	engine_free(r->engine);
	engine_start(r);
	struct codec_reader in = { saved.data, saved.data + saved.len, false };
	ck_assert(engine_load(r->engine, &in));
	ck_assert(in.ptr == in.end);
	engine_save(r->engine, &again);
	ck_assert(span_equal(buffer_span(&saved), buffer_span(&again)));
	buffer_release(&saved);
	buffer_release(&again);
}

static void play_line(struct run *r, char *line)
{
	char *save, *word = strtok_r(line, " ", &save);
	int64_t order = INT64_MIN;

	if (!word)
		return;
	if (!strcmp(word, "advance")) {
		engine_advance(r->engine, atoll(strtok_r(NULL, " ", &save)) * NS_PER_SECOND);
		return;
	}
	if (!strcmp(word, "keys")) {
		ck_assert_uint_eq(engine_stats(r->engine)->keys, (uint64_t)atoll(strtok_r(NULL, " ", &save)));
		return;
	}
	struct event *e = &r->event;
	event_reset(e);
	e->snapshot_ns = TIME_NONE;
	e->origin.file = "log";
	if (!strcmp(word, "end")) {
		e->kind = EVENT_SNAPSHOT_END;
		e->source = &ps;
		e->time_ns = atoll(strtok_r(NULL, " ", &save)) * NS_PER_SECOND;
		e->snapshot_ns = atoll(strtok_r(NULL, " ", &save)) * NS_PER_SECOND;
		e->snapshot_complete = strtok_r(NULL, " ", &save) != NULL;
		engine_event(r->engine, e, e->time_ns, NULL, 0);
		return;
	}
	if (*word == '@') {
		order = atoll(word + 1) * NS_PER_SECOND;
		word = strtok_r(NULL, " ", &save);
	}
	e->kind = EVENT_LOG;
	e->source = &town;
	e->time_ns = atoll(word) * NS_PER_SECOND;
	e->raw = span_from_string(word + strlen(word) + 1);
	char *raw = xstrdup(e->raw.ptr);
	e->raw.ptr = raw;
	while ((word = strtok_r(NULL, " ", &save))) {
		char *equals = strchr(word, '=');
		ck_assert_ptr_nonnull(equals);
		field_id f = field_find(&r->rules->fields, span_of(word, (size_t)(equals - word)));
		event_add(e, f, span_from_string(equals + 1), VALUE_STRING);
		if (!strncmp(word, "pid=", 4)) {
			e->source = &ps;
			e->snapshot_ns = e->time_ns;
		}
	}
	if (r->with_trace)
		on_judge(r, e->source == &ps ? r->ps : r->town, e);
	size_t n = matcher_match(e->source == &ps ? r->ps : r->town, SIZE_MAX, e, r->matched);
	engine_event(r->engine, e, order == INT64_MIN ? e->time_ns : order, r->matched, n);
	free(raw);
}

#define TRACED (-3)

/* shown, near: with TRACED, what the trace saw at second 12, and the nearest misses; may be NULL. */
static char *play_traced(const char *rules, const char *script, int cut_at, char **shown, char **near)
{
	struct run r = { .with_trace = cut_at == TRACED };
	struct diag_list diags = DIAG_LIST_INIT;
	char *text = xstrdup(script), *save;
	int n = 0;

	r.rules = ruleset_load_text(span_from_string(rules), "rules", false, &diags);
	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], false);
	ck_assert_ptr_nonnull(r.rules);
	r.town = matcher_new(r.rules, &town, &diags);
	r.ps = matcher_new(r.rules, &ps, &diags);
	r.matched = xcalloc(r.rules->n_rules, sizeof *r.matched);
	event_init(&r.event, field_count(&r.rules->fields));
	engine_start(&r);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (n++ == cut_at || cut_at == -2)
			save_and_load(&r);
		play_line(&r, line);
	}
	engine_finish(r.engine);
	if (r.with_trace) {
		struct buffer misses = BUFFER_INIT;
		near_finish(r.near, engine_now(r.engine));
		for (uint32_t i = 0; i < r.rules->n_rules; i++) {
			size_t n_misses;
			const struct near_miss *m = near_best(r.near, &r.rules->rules[i], &n_misses);
			for (size_t j = 0; j < n_misses; j++) {
				buffer_printf(&misses, "%" PRId64 " %s", m[j].time_ns / NS_PER_SECOND, m[j].rule->name);
				for (size_t k = 0; k < m[j].n_key; k++)
					buffer_printf(&misses, " %.*s", (int)m[j].key[k].value.len, m[j].key[k].value.ptr);
				buffer_printf(&misses, ": %s", m[j].text);
				if (m[j].times > 1)
					buffer_printf(&misses, " (%" PRIu64 ")", m[j].times);
				buffer_append_char(&misses, '\n');
			}
		}
		ck_assert_uint_eq(r.matched_told, r.matched_judged);
		buffer_append_char(&misses, 0);
		buffer_append_char(&r.shown, 0);
		if (near)
			*near = misses.data;
		else
			buffer_release(&misses);
		if (shown)
			*shown = r.shown.data;
		else
			buffer_release(&r.shown);
		near_free(r.near);
	}
	engine_free(r.engine);
	matcher_free(r.town);
	matcher_free(r.ps);
	event_release(&r.event);
	free(r.matched);
	ruleset_free(r.rules);
	diag_list_release(&diags);
	free(text);
	buffer_append_char(&r.told, 0);
	return r.told.data;
}

static char *play(const char *rules, const char *script, int cut_at)
{
	return play_traced(rules, script, cut_at, NULL, NULL);
}

#define DETECT(name, what) \
	"title: " name "\nname: " name "\nlogsource: {product: gastown, service: town}\n" \
	"detection: {s: {" what "}, condition: s}\n---\n"
#define DETECT_PS(name, what) \
	"title: " name "\nname: " name "\nlogsource: {product: gastown, service: ps}\n" \
	"detection: {s: {" what "}, condition: s}\n---\n"

struct script {
	const char *name, *rules, *events, *told;
};

static const struct script scripts[] = {
	{ "what is missing from a snapshot ends in the order of its last use, whatever waited in between",
	  DETECT_PS("hot", "cpu|gt: 80")
	  "title: T\nname: hog\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 10s, max-gap: 200s}\nincident: {summary: '{{value}}'}\n",
	  "0 pid=9 cpu=90\n86300 pid=1 cpu=90\n86300 pid=2 cpu=90\n86390 pid=1 cpu=90\n86390 pid=3 cpu=90\n86390 pid=2 cpu=90\n86390 pid=9 cpu=90\n"
	  "advance 86401\nend 86500 86500 complete\n",
	  "86390 open hog 1: 90\n86390 open hog 2: 90\n86500 resolved hog 1: 90\n86500 resolved hog 2: 90\n" },
	{ "at the cap of four: a key that has gone makes room, though its incident outlived its window",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [agent], timespan: 10s, condition: {gte: 2}}\n"
	  "incident: {summary: '{{value}}', resolve-after: 15s}\n",
	  "0 type=kill agent=w\n1 type=kill agent=w\n5 type=kill agent=x\n12 type=kill agent=y\n13 type=kill agent=z\nadvance 16\nkeys 2\n17 type=kill agent=u\n"
	  "18 type=kill agent=v\n19 type=kill agent=y\n",
	  "1 open storm w: 2\n16 resolved storm w: 2\n19 open storm y: 2\n" },
	{ "at the cap of four: what waits for an absence was used last when it was",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("k", "type: k")
	  "title: T\nname: miss\ncorrelation: {type: temporal, rules: [a, b, k], group-by: [agent], timespan: 10s, condition: a and not b}\nincident: {summary: '{{key.agent}}'}\n",
	  "0 type=k agent=w\n4 type=a agent=p\n5 type=k agent=w\nadvance 11\n11 type=k agent=x\n12 type=k agent=y\n13 type=k agent=z\nadvance 50\n",
	  "" },
	{ "keys go when their windows are empty: open incidents at the old end do not keep others, nor does one that came late",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [agent], timespan: 10s, condition: {gte: 2}}\n"
	  "incident: {summary: '{{value}}', resolve-after: 100s}\n",
	  "0 type=kill agent=a\n1 type=kill agent=a\n2 type=kill agent=b\nkeys 2\nadvance 12\nkeys 1\n"
	  "20 type=kill agent=c\n@20 15 type=kill agent=d\nkeys 3\nadvance 25\n@26 26 type=kill agent=d\nadvance 30\nkeys 2\n"
	  "35 type=kill agent=d\nadvance 45\nkeys 2\nadvance 101\nkeys 1\nadvance 135\nkeys 0\n",
	  "1 open storm a: 2\n35 open storm d: 2\n101 resolved storm a: 2\n135 resolved storm d: 2\n" },
	{ "window is half open: an event exactly W old is out",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [], timespan: 10s, condition: {gt: 2}}\n"
	  "incident: {summary: '{{count}} {{value}} {{top.agent}}'}\n",
	  "0 type=kill agent=a\n5 type=kill agent=b\n10 type=kill agent=a\n14 type=kill agent=a\n",
	  "14 open storm: 3 3 2 × a, 1 × b\n" },
	{ "one second earlier it is in",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [], timespan: 10s, condition: {gt: 2}}\n",
	  "1 type=kill\n5 type=kill\n10 type=kill\nadvance 19\nadvance 20\n",
	  "10 open storm: T\n20 resolved storm: T\n" },
	{ "opens once, counts on, resolves after its time, re-arms",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [rig], timespan: 10s, condition: {gte: 2}}\n"
	  "incident: {summary: 'n={{count}} {{key.rig}} {{duration}}', resolve-after: 15s, update-every: 4s}\n",
	  "0 type=kill rig=r\n1 type=kill rig=r\n2 type=kill rig=r\n6 type=kill rig=r\n6 type=kill rig=q\n30 type=kill rig=r\n31 type=kill rig=r\n",
	  "1 open storm r: n=2 r 0s\n6 update storm r: n=4 r 5s\n21 resolved storm r: n=4 r 20s\n31 open storm r: n=2 r 0s\n" },
	{ "an event without the key is skipped, never equal to another without it",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [rig], timespan: 10s, condition: {gte: 2}}\n",
	  "0 type=kill\n1 type=kill\n2 type=kill\n", "" },
	{ "a late event is used where it can be",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [], timespan: 10s, condition: {gte: 3}}\n"
	  "incident: {summary: '{{first}} {{last}}'}\n",
	  "5 type=kill\n9 type=kill\n@12 3 type=kill\n@19 6 type=kill\n",
	  "12 open storm: 1970-01-01T00:00:03Z 1970-01-01T00:00:09Z\n" },
	{ "value_count counts distinct values",
	  DETECT("k", "type: kill")
	  "title: T\nname: many\ncorrelation: {type: value_count, rules: [k], group-by: [], timespan: 10s, condition: {field: agent, gte: 3}}\n"
	  "incident: {summary: '{{value}} {{values.agent}}'}\n",
	  "0 type=kill agent=a\n1 type=kill agent=a\n2 type=kill agent=b\n11 type=kill agent=c\n12 type=kill agent=a\n",
	  "" },
	{ "value_sum and its window",
	  DETECT("k", "type: kill")
	  "title: T\nname: sum\ncorrelation: {type: value_sum, rules: [k], group-by: [], timespan: 10s, condition: {field: count, gt: 10}}\n"
	  "incident: {summary: '{{value}}'}\n",
	  "0 type=kill count=6\n5 type=kill count=4.5\n20 type=kill count=10\n21 type=kill count=x\n22 type=kill count=0.5\n",
	  "5 open sum: 10.5\n15 resolved sum: 10.5\n22 open sum: 10.5\n" },
	{ "temporal: all in any order",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: both\ncorrelation: {type: temporal, rules: [a, b], group-by: [rig], timespan: 10s}\n",
	  "0 type=b rig=r\n3 type=a rig=q\n10 type=a rig=r\n19 type=b rig=r\n",
	  "19 open both r: T\n" },
	{ "temporal_ordered: only in order",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: chain\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: [], timespan: 10s}\n",
	  "0 type=b\n1 type=a\n2 type=a\n11 type=b\n30 type=a\n40 type=b\n",
	  "11 open chain: T\n21 resolved chain: T\n" },
	{ "temporal_ordered: bounds that ask for all, and the wrong order",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c")
	  "title: T\nname: chain\ncorrelation: {type: temporal_ordered, rules: [a, b, c], group-by: [], timespan: 10s, condition: {gte: 3}}\n",
	  "0 type=c\n1 type=b\n2 type=a\n3 type=c\n20 type=a\n21 type=b\n29 type=c\n",
	  "29 open chain: T\n" },
	{ "temporal_ordered: some of them, in their order",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c")
	  "title: T\nname: some\ncorrelation: {type: temporal_ordered, rules: [a, b, c], group-by: [], timespan: 10s, condition: {gte: 2}}\n",
	  "0 type=c\n1 type=b\n2 type=a\n20 type=a\n29 type=c\n50 type=a\n60 type=c\n",
	  "29 open some: T\n39 resolved some: T\n" },
	{ "temporal_ordered: either of two, and then a third",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c")
	  "title: T\nname: either\ncorrelation: {type: temporal_ordered, rules: [a, b, c], group-by: [], timespan: 10s, condition: (a or b) and c}\n",
	  "0 type=c\n1 type=b\n10 type=b\n11 type=c\n30 type=c\n31 type=a\n40 type=c\n",
	  "11 open either: T\n21 resolved either: T\n40 open either: T\n" },
	{ "temporal_ordered: steps of two ways do not make one",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c") DETECT("d", "type: d")
	  "title: T\nname: ways\ncorrelation: {type: temporal_ordered, rules: [a, c, b, d], group-by: [], timespan: 10s, condition: (a and b) or (c and d)}\n",
	  "0 type=a\n1 type=d\n2 type=c\n11 type=b\n12 type=c\n13 type=a\n14 type=b\n",
	  "14 open ways: T\n" },
	{ "temporal_ordered: what forbids only together",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c") DETECT("d", "type: d")
	  "title: T\nname: not\ncorrelation: {type: temporal_ordered, rules: [a, c, d, b], group-by: [], timespan: 10s, condition: a and b and not (c and d)}\n",
	  "0 type=a\n1 type=c\n2 type=b\n20 type=a\n21 type=c\n22 type=d\n23 type=b\n",
	  "2 open not: T\n12 resolved not: T\n" },
	{ "temporal_ordered: either of two that forbid, and the order besides",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c") DETECT("d", "type: d")
	  "title: T\nname: neither\ncorrelation: {type: temporal_ordered, rules: [a, c, d, b], group-by: [], timespan: 10s, condition: a and b and not (c or d)}\n",
	  "0 type=b\n1 type=a\n2 type=d\n3 type=b\n20 type=c\n21 type=a\n22 type=b\n",
	  "22 open neither: T\n" },
	{ "absence after: at the deadline, not before, and only if time got there",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: silent\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: [rig], timespan: 10s, condition: a and not b}\n"
	  "incident: {summary: '{{rig}} {{now}}'}\n",
	  "0 type=a rig=r\n1 type=a rig=q\n9 type=b rig=q\nadvance 9\n12 type=x rig=r\n20 type=a rig=q\n",
	  "10 open silent r: r 1970-01-01T00:00:10Z\n"
	  "20 resolved silent r: r 1970-01-01T00:00:20Z\n"
	  "20 notice silent: undetermined: the input ends before its deadline (1 waiting); --until TIME lets time run on\n" },
	{ "absence: what comes at the deadline comes too late, and then ends the incident",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: silent\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: [], timespan: 10s, condition: a and not b}\n",
	  "0 type=a\n10 type=b\n",
	  "10 open silent: T\n10 resolved silent: T\n" },
	{ "absence before: a kill with no done in the ten seconds before it",
	  DETECT("d", "type: done") DETECT("k", "type: kill")
	  "title: T\nname: unplanned\ncorrelation: {type: temporal_ordered, rules: [d, k], group-by: [agent], timespan: 10s, condition: k and not d}\n---\n"
	  "title: S\nname: storm\ncorrelation: {type: event_count, rules: [unplanned], group-by: [], timespan: 1m, condition: {gte: 2}}\n"
	  "incident: {summary: '{{top.agent}}'}\n",
	  "0 type=done agent=a\n0 type=done agent=c\n9 type=kill agent=a\n10 type=kill agent=c\n11 type=kill agent=b\n",
	  "11 open storm: 1 × b, 1 × c\n" },
	{ "heartbeat: an event may be both what is waited for and what starts the wait",
	  DETECT("beat", "type: beat") DETECT("next", "type: beat")
	  "title: T\nname: stopped\ncorrelation: {type: temporal_ordered, rules: [beat, next], group-by: [], timespan: 10s, condition: beat and not next}\n",
	  "0 type=beat\n9 type=beat\n18 type=beat\n27 type=x\n30 type=x\n35 type=beat\nadvance 46\n",
	  "28 open stopped: T\n35 resolved stopped: T\n45 open stopped: T\n" },
	{ "absence between: what must not stand between two events may stand before them",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c")
	  "title: T\nname: again\ncorrelation: {type: temporal_ordered, rules: [a, c, b], group-by: [], timespan: 10s, condition: a and b and not c}\n",
	  "0 type=c\n1 type=a\n2 type=b\n20 type=a\n21 type=c\n22 type=b\n23 type=a\n24 type=b\n25 type=c\n26 type=b\n",
	  "2 open again: T\n12 resolved again: T\n24 open again: T\n25 resolved again: T\n" },
	{ "absence between: a chain that has all its steps is not broken by what comes before its last one only",
	  DETECT("a", "type: a") DETECT("b", "type: b") DETECT("c", "type: c") DETECT("d", "type: d")
	  "title: T\nname: long\ncorrelation: {type: temporal_ordered, rules: [a, d, b, c], group-by: [], timespan: 10s, condition: a and b and c and not d}\n",
	  "0 type=a\n1 type=b\n2 type=d\n3 type=c\n20 type=a\n21 type=d\n22 type=b\n23 type=c\n",
	  "3 open long: T\n13 resolved long: T\n" },
	{ "sustained: accrues over observations, a gap neither accrues nor resets, gone resolves",
	  DETECT_PS("hot", "cpu|gt: 90")
	  "title: T\nname: busy\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 20s, max-gap: 10s}\n"
	  "incident: {summary: '{{value}} s since {{first}}'}\n",
	  "0 pid=7 cpu=95\n10 pid=7 cpu=95\n30 pid=7 cpu=95\n40 pid=7 cpu=95\n50 pid=7 cpu=95\nend 60 50 complete\n60 pid=8 cpu=1\nend 70 60\nend 80 60 complete\n",
	  "40 open busy 7: 20 s since 1970-01-01T00:00:20Z\n80 resolved busy 7: 30 s since 1970-01-01T00:00:20Z\n" },
	{ "sustained: an observation that does not hold resets",
	  DETECT_PS("hot", "cpu|gt: 90")
	  "title: T\nname: busy\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 20s, max-gap: 10s}\n",
	  "0 pid=7 cpu=95\n10 pid=7 cpu=95\n15 pid=7 cpu=3\n20 pid=7 cpu=95\n30 pid=7 cpu=95\n39 pid=7 cpu=95\n40 pid=7 cpu=95\n50 pid=7 cpu=1\n",
	  "40 open busy 7: T\n50 resolved busy 7: T\n" },
	{ "concurrent: distinct values in one snapshot",
	  DETECT_PS("py", "program: pytest")
	  "title: T\nname: two\ncorrelation: {type: concurrent, rules: [py], group-by: [rig], condition: {field: pid, gte: 2}}\n"
	  "incident: {summary: '{{value}}: {{values.pid}}'}\n",
	  "0 pid=7 program=pytest rig=r\n10 pid=8 program=pytest rig=r\n20 pid=7 program=pytest rig=r\n20 pid=8 program=pytest rig=r\nend 30 20 complete\n"
	  "30 pid=7 program=pytest rig=r\nend 40 30 complete\n",
	  "20 open two r: 2: 7, 8\n40 resolved two r: 2: 7, 8\n" },
	{ "inhibited while another is open for the same key",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: A\nname: big\ncorrelation: {type: event_count, rules: [a], group-by: [rig], timespan: 10s, condition: {gte: 1}}\n---\n"
	  "title: B\nname: small\ncorrelation: {type: event_count, rules: [b], group-by: [rig], timespan: 10s, condition: {gte: 1}}\n"
	  "incident: {inhibited-by: [big]}\n",
	  "0 type=a rig=r\n1 type=b rig=r\n2 type=b rig=q\n11 type=b rig=r\n",
	  "0 open big r: A\n2 open small q: B\n10 resolved big r: A\n11 open small r: B\n" },
	{ "rules about incidents",
	  DETECT("a", "type: a")
	  "title: A\nname: one\ncorrelation: {type: event_count, rules: [a], group-by: [rig], timespan: 10s, condition: {gte: 1}}\n"
	  "incident: {summary: 'x'}\n---\n"
	  "title: O\nname: opened\nlogsource: {product: gastown, service: incident}\ndetection: {s: {rule: one, state: open}, condition: s}\n---\n"
	  "title: M\nname: several\ncorrelation: {type: value_count, rules: [opened], group-by: [], timespan: 1m, condition: {field: rig, gte: 2}}\n"
	  "incident: {summary: '{{values.rig}}'}\n",
	  "0 type=a rig=r\n5 type=a rig=q\n",
	  "0 open one r: x\n5 open one q: x\n5 open several: q, r\n" },
	{ "commands: words stay words; one that lacks a value or would begin an option is not emitted",
	  DETECT("a", "type: a")
	  "title: A\nname: one\ncorrelation: {type: event_count, rules: [a], group-by: [], timespan: 10s, condition: {gte: 1}}\n"
	  "response: {open: [[gt, nudge, '{{agent}}', 'x {{rig}}'], [kill, '{{pid}}'], [echo, done]]}\n",
	  "0 type=a rig=r;rm agent=-rf\n20 type=a rig=r agent=x\n",
	  "0 notice one: command not emitted: its word 3 ({{agent}}) @OPTION@\n0 notice one: command not emitted: its word 2 ({{pid}}) @ABSENT@\n0 open one: A\n $ <echo> <done>\n10 resolved one: A\n"
	  "20 notice one: command not emitted: its word 2 ({{pid}}) @ABSENT@\n20 open one: A\n $ <gt> <nudge> <x> <x r>\n $ <echo> <done>\n" },
	{ "the stalest key gives way at the cap",
	  DETECT("a", "type: a")
	  "title: A\nname: one\ncorrelation: {type: event_count, rules: [a], group-by: [rig], timespan: 100s, condition: {gte: 2}}\n",
	  "0 type=a rig=1\n1 type=a rig=2\n2 type=a rig=3\n3 type=a rig=4\n4 type=a rig=5\n5 type=a rig=1\n6 type=a rig=5\n",
	  "6 open one 5: A\n" },
};

static void expect(char *told, const char *wanted)
{
	struct buffer b = BUFFER_INIT;

	for (const char *p = wanted; *p;) {
		if (!strncmp(p, "@OPTION@", 8)) {
			buffer_append_string(&b, word_result_text(WORD_OPTION));
			p += 8;
		} else if (!strncmp(p, "@ABSENT@", 8)) {
			buffer_append_string(&b, word_result_text(WORD_ABSENT));
			p += 8;
		} else {
			buffer_append_char(&b, *p++);
		}
	}
	ck_assert_str_eq(told, buffer_string(&b));
	buffer_release(&b);
	free(told);
}

START_TEST(test_scripts)
{
	const struct script *s = &scripts[_i];
	int lines = 0;

	expect(play(s->rules, s->events, -1), s->told);
	for (const char *p = s->events; *p; p++)
		lines += *p == '\n';
	for (int cut = 1; cut < lines; cut++)
		expect(play(s->rules, s->events, cut), s->told);
	expect(play(s->rules, s->events, -2), s->told);
	expect(play(s->rules, s->events, TRACED), s->told);
}
END_TEST

/* Near misses, and what a key looks like at second 12. */
static const struct trace_case {
	const char *name, *rules, *events, *near, *shown;
} trace_cases[] = {
	{ "the third came as the first left, the fourth two seconds later",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [], timespan: 10s, condition: {gt: 2}}\n",
	  "0 type=kill\n5 type=kill\n10 type=kill\n17 type=kill\n40 type=kill\n",
	  "5 storm: 2 of > 2; the third came in the instant in which the first left\n"
	  "10 storm: 2 of > 2; the third came 2s after the first had left\n"
	  "17 storm: 2 of > 2; the third came 20s after the first had left\n",
	  "storm 2 5 10\n" },
	{ "what opened is no near miss; what follows it may be one",
	  DETECT("k", "type: kill")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [rig], timespan: 10s, condition: {gte: 2}}\n"
	  "incident: {resolve-after: 5s}\n",
	  "0 type=kill rig=r\n1 type=kill rig=r\n8 type=kill rig=q\n11 type=kill\n20 type=kill rig=r\nadvance 40\n",
	  "8 storm q: 1 of >= 2; no other came before the first had left\n"
	  "11 storm: an event that it is about has no rig\n"
	  "20 storm r: 1 of >= 2; no other came before the first had left\n",
	  "storm q 1 8\n" },
	{ "a condition that holds and is inhibited",
	  DETECT("k", "type: kill") DETECT("x", "type: x")
	  "title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [], timespan: 10s, condition: {gte: 1}}\nincident: {inhibited-by: [b]}\n---\n"
	  "title: B\nname: b\ncorrelation: {type: event_count, rules: [x], group-by: [], timespan: 10s, condition: {gte: 1}}\n",
	  "0 type=x\n1 type=kill\n2 type=kill\n",
	  "1 storm: its condition holds, but an incident of b is open (2)\n",
	  "storm 2 holds 1 2\nb 1 holds 0 open\n" },
	{ "temporal: what had left, what never came, what came in the wrong order",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: chain\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: [rig], timespan: 10s}\n",
	  "0 type=a rig=r\n11 type=b rig=r\n20 type=a rig=q\n30 type=b rig=s\n31 type=a rig=s\n",
	  "0 chain r: 1 of 2 inputs; b came 1s after a had left\n"
	  "20 chain q: 1 of 2 inputs; wanting: b\n"
	  "31 chain s: 1 of 2 inputs; wanting: b\n",
	  NULL },
	{ "absence: met just in time, and what had come before",
	  DETECT("a", "type: a") DETECT("b", "type: b")
	  "title: T\nname: silent\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: [], timespan: 10s, condition: a and not b}\n---\n"
	  "title: U\nname: unplanned\ncorrelation: {type: temporal_ordered, rules: [b, a], group-by: [], timespan: 10s, condition: a and not b}\n",
	  "0 type=a\n9 type=b\n11 type=a\n",
	  "9 silent: what it waits for came, 1s before the deadline\n"
	  "11 silent: it waits: the input ends 10s before the deadline\n"
	  "11 unplanned: b had come 2s before\n",
	  NULL },
	{ "sustained: how long it held, and what did not count",
	  DETECT_PS("hot", "cpu|gt: 90")
	  "title: T\nname: busy\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 20s, max-gap: 10s}\n",
	  "0 pid=7 cpu=95\n10 pid=7 cpu=95\n30 pid=7 cpu=95\n31 pid=7 cpu=3\n40 pid=8 cpu=95\nend 50 45 complete\n60 pid=9 cpu=99\n",
	  "30 busy 7: 10s of 20s; then it did not hold any more; 1 gap of 20s does not count\n"
	  "40 busy 8: 0s of 20s; then it was missing from a complete snapshot\n"
	  "60 busy 9: 0s of 20s; nothing more was seen of it\n",
	  "busy 7 10\n" },
	{ "concurrent: the most in one snapshot",
	  DETECT_PS("hot", "cpu|gt: 90")
	  "title: T\nname: many\ncorrelation: {type: concurrent, rules: [hot], group-by: [], condition: {field: pid, gte: 3}}\n",
	  "0 pid=7 cpu=95\n0 pid=8 cpu=95\nend 0 0 complete\n12 pid=7 cpu=95\nend 12 12 complete\n30 pid=9 cpu=95\n",
	  "0 many: 2 of >= 3 in one snapshot\n"
	  "12 many: 1 of >= 3 in one snapshot (2)\n",
	  "" }, /* the complete snapshot of second 12 has ended it */
};

START_TEST(test_trace)
{
	const struct trace_case *t = &trace_cases[_i];
	char *near, *shown;

	free(play_traced(t->rules, t->events, TRACED, &shown, &near));
	expect(near, t->near);
	if (t->shown)
		expect(shown, t->shown);
	else
		free(shown);
}
END_TEST

/* A saved state that is damaged anywhere is refused or read, but never misread past its end. */
START_TEST(test_damaged_state)
{
	struct run r = { 0 };
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer saved = BUFFER_INIT;
	char lines[][64] = { "0 type=kill agent=a rig=r", "1 type=kill agent=b rig=r", "2 type=kill agent=b rig=q" };

	r.rules = ruleset_load_text(SPAN(DETECT("k", "type: kill")
		"title: T\nname: storm\ncorrelation: {type: event_count, rules: [k], group-by: [rig], timespan: 10s, condition: {gte: 2}}\n"), "rules", false, &diags);
	ck_assert_ptr_nonnull(r.rules);
	r.town = matcher_new(r.rules, &town, &diags);
	r.matched = xcalloc(r.rules->n_rules, sizeof *r.matched);
	event_init(&r.event, field_count(&r.rules->fields));
	engine_start(&r);
	for (int i = 0; i < 3; i++)
		play_line(&r, lines[i]);
	engine_save(r.engine, &saved);
	engine_free(r.engine);
	unsigned seed = 1;
	for (size_t i = 0; i < saved.len * 4; i++) {
		char *copy = xmemdup(saved.data, saved.len);
		size_t len = i < saved.len ? i : saved.len;
		if (i >= saved.len)
			copy[i % saved.len] ^= (char)(1 << (rand_r(&seed) % 8));
		struct codec_reader in = { copy, copy + len, false };
		engine_start(&r);
		bool ok = engine_load(r.engine, &in);
		if (i < saved.len)
			ck_assert(!ok);
		engine_free(r.engine);
		free(copy);
	}
	matcher_free(r.town);
	event_release(&r.event);
	free(r.matched);
	ruleset_free(r.rules);
	buffer_release(&saved);
	buffer_release(&r.told);
	diag_list_release(&diags);
}
END_TEST

START_TEST(test_strings)
{
	struct strings t = { 0 };
	string_id ids[1000];
	char text[32];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++) {
			snprintf(text, sizeof text, "value %d", i);
			ids[i] = strings_get(&t, span_from_string(text));
			ck_assert_uint_ne(ids[i], 0);
			ck_assert_uint_eq(strings_get(&t, span_from_string(text)), ids[i]);
		}
		for (int i = 999; i >= 0; i--) {
			snprintf(text, sizeof text, "value %d", i);
			ck_assert(span_equal(strings_text(&t, ids[i]), span_from_string(text)));
			strings_unref(&t, ids[i]);
			strings_unref(&t, ids[i]);
		}
		ck_assert_uint_eq(t.n_used, 0);
	}
	strings_release(&t);
}
END_TEST

/* A tally against plain counting, over random additions and removals. */
START_TEST(test_tally)
{
	struct strings t = { 0 };
	struct tally tally = { 0 };
	unsigned counts[50] = { 0 }, seed = 7;
	string_id ids[50];
	char text[32];

	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "%02d", i);
		ids[i] = strings_get(&t, span_from_string(text));
	}
	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % 50;
		if (counts[i] && rand_r(&seed) % 2) {
			counts[i]--;
			tally_remove(&tally, &t, ids[i]);
		} else {
			ck_assert_uint_eq(tally_add(&tally, &t, ids[i]), ++counts[i]);
		}
		unsigned distinct = 0;
		for (int j = 0; j < 50; j++)
			distinct += counts[j] > 0;
		ck_assert_uint_eq(tally.n_distinct, distinct);
		ck_assert_uint_eq(tally_count(&tally, ids[step % 50]), counts[step % 50]);
	}
	struct tally_slot top[11];
	uint32_t n = tally_top(&tally, &t, top, 10);
	ck_assert_uint_eq(n, 10);
	for (uint32_t i = 1; i < n; i++)
		ck_assert(top[i - 1].count > top[i].count || (top[i - 1].count == top[i].count && top[i - 1].id < top[i].id));
	tally_release(&tally, &t);
	strings_release(&t);
}
END_TEST

static int compare_numbers(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Few distinct ones, many, all the same, rising, falling, in clusters. */
static double random_number(int kind, int step, unsigned *seed)
{
	int r = rand_r(seed);

	switch (kind) {
	case 0: return r % 7 - 3;
	case 1: return (double)r / 3 - 1e8;
	case 2: return 5;
	case 3: return step;
	case 4: return -step;
	case 5: return r % 2 ? -0.0 : 0.0;
	}
	return (r % 5) * 1e6 + rand_r(seed) % 1000;
}

/* Numbers that come and go against a plain array that is sorted. */
START_TEST(test_sorted)
{
	enum { MOST = 6000 };
	static double all[MOST], sorted[MOST];
	unsigned seed = 11 + (unsigned)_i;

	for (int fifo = 0; fifo < 2; fifo++) {
		struct sorted s = SORTED_INIT;
		int n = 0, most = MOST;
		for (int step = 0; step < 40000; step++) {
			if (step % 5000 == 0)
				most = rand_r(&seed) % 3 ? MOST : 10; /* it grows, or all goes */
			bool add = n < most && (n == 0 || rand_r(&seed) % 4 != 0);
			if (add) {
				all[n] = random_number(_i, step, &seed);
				sorted_add(&s, all[n++]);
			} else {
				int i = fifo ? 0 : rand_r(&seed) % n;
				sorted_remove(&s, all[i]);
				n--;
				if (fifo)
					memmove(all, all + 1, (size_t)n * sizeof *all);
				else
					all[i] = all[n];
			}
			if (step % 397)
				continue;
			ck_assert_uint_eq(s.n, n);
			memcpy(sorted, all, (size_t)n * sizeof *all);
			qsort(sorted, (size_t)n, sizeof *sorted, compare_numbers);
			int same = 0;
			for (int i = 0; i < n; i++) {
				double v = sorted_at(&s, (uint32_t)i);
				same += v == sorted[i] && (v != 0 || !signbit(v));
			}
			ck_assert_int_eq(same, n);
		}
		while (n)
			sorted_remove(&s, all[--n]);
		ck_assert_uint_eq(s.n_blocks, 0);
		sorted_release(&s);
	}
}
END_TEST

static void take_value(void *context, const struct trace_cell *c)
{
	*(double *)context = c->value;
}

/* Windows that grow and shrink, with late events, saved and loaded now and then: the value is that of all that is in them. */
START_TEST(test_numbers)
{
	static const struct {
		const char *condition;
		double percentile;
	} types[] = {
		{ "value_percentile, rules: [a], condition: {gt: 1.0e+300, field: message, percentile: 95}", 95 },
		{ "value_percentile, rules: [a], condition: {gt: 1.0e+300, field: message, percentile: 33.3}", 33.3 },
		{ "value_percentile, rules: [a], condition: {gt: 1.0e+300, field: message, percentile: 100}", 100 },
		{ "value_median, rules: [a], condition: {gt: 1.0e+300, field: message}", 50 },
		{ "value_min, rules: [a], condition: {gt: 1.0e+300, field: message}", 0 },
		{ "value_max, rules: [a], condition: {gt: 1.0e+300, field: message}", 100 },
	};
	enum { EVENTS = 3000, WINDOW = 500 };
	static int64_t times[EVENTS];
	static double values[EVENTS], in[EVENTS];
	unsigned seed = 5 + (unsigned)_i;
	struct run r = { 0 };
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer text = BUFFER_INIT;
	int64_t now = 100000;
	size_t largest = 0;

	buffer_printf(&text, "title: A\nname: a\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
			     "title: C\nname: c\ncorrelation: {type: %s, group-by: [], timespan: %ds}\n", types[_i].condition, WINDOW);
	r.rules = ruleset_load_text(buffer_span(&text), "rules", false, &diags);
	ck_assert_ptr_nonnull(r.rules);
	engine_start(&r);
	event_init(&r.event, field_count(&r.rules->fields));
	uint32_t a = ruleset_find(r.rules, "a")->index;
	for (int i = 0; i < EVENTS; i++) {
		char number[40];

		now += i / 700 % 2 ? rand_r(&seed) % 60 : rand_r(&seed) % 3;
		times[i] = rand_r(&seed) % 4 ? now : now - rand_r(&seed) % (WINDOW + 100);
		values[i] = strtod(number, (snprintf(number, sizeof number, "%.6g", random_number(i / 100 % 7, i, &seed)), NULL));
		event_reset(&r.event);
		r.event.source = &town;
		r.event.time_ns = times[i] * NS_PER_SECOND;
		r.event.origin = (struct origin){ .file = "town.log", .line = (uint64_t)i + 1 };
		r.event.raw = SPAN("x");
		event_add(&r.event, FIELD_MESSAGE, span_from_string(number), VALUE_STRING);
		engine_event(r.engine, &r.event, now * NS_PER_SECOND, &a, 1);
		if (rand_r(&seed) % 50 == 0)
			save_and_load(&r);
		if (rand_r(&seed) % 3)
			continue;
		size_t n = 0;
		for (int j = 0; j <= i; j++)
			if (times[j] > now - WINDOW)
				in[n++] = values[j];
		double value = -1, wanted = 0, rank = ceil(types[_i].percentile / 100 * (double)n);
		qsort(in, n, sizeof *in, compare_numbers);
		if (n)
			wanted = in[rank < 1 ? 0 : (size_t)rank - 1];
		engine_inspect(r.engine, ruleset_find(r.rules, "c"), take_value, &value);
		if (n)
			ck_assert_msg(value == wanted, "event %d, of %zu: %.15g, wanted %.15g", i, n, value, wanted);
		largest = n > largest ? n : largest;
	}
	ck_assert_uint_gt(largest, 300);
	engine_free(r.engine);
	event_release(&r.event);
	ruleset_free(r.rules);
	buffer_release(&r.told);
	buffer_release(&text);
	diag_list_release(&diags);
}
END_TEST

/* The order is by time, rank, stream, place, whatever the order of pushing. */
START_TEST(test_order)
{
	struct order o = { 0 };
	struct event e, out;
	struct field_table fields;
	uint32_t rule = 3;
	unsigned seed = 3;

	field_table_init(&fields);
	event_init(&e, field_count(&fields));
	event_init(&out, field_count(&fields));
	for (int round = 0; round < 50; round++) {
		int n = rand_r(&seed) % 200;
		for (int i = 0; i < n; i++) {
			char raw[32];
			event_reset(&e);
			e.source = rand_r(&seed) % 2 ? &town : &ps;
			e.time_ns = rand_r(&seed) % 10;
			snprintf(raw, sizeof raw, "%d", i);
			e.raw = span_from_string(raw);
			event_add(&e, FIELD_AGENT, SPAN("x"), VALUE_STRING);
			event_add(&e, FIELD_RIG, e.raw, VALUE_STRING);
			order_push(&o, &e, e.time_ns, e.source->name, (uint64_t)i, &rule, 1);
		}
		int64_t last_time = -1;
		uint32_t last_rank = 0;
		long last_place = -1;
		for (int i = 0; i < n; i++) {
			const uint32_t *matched;
			size_t n_matched;
			int64_t t = order_pop(&o, &out, &matched, &n_matched);
			ck_assert(n_matched == 1 && matched[0] == rule);
			ck_assert(span_equal(event_text(&out, FIELD_AGENT), SPAN("x")));
			ck_assert(span_equal(event_text(&out, FIELD_RIG), out.raw));
			char raw[32];
			snprintf(raw, sizeof raw, "%.*s", (int)out.raw.len, out.raw.ptr);
			long place = atol(raw);
			ck_assert(t > last_time || (t == last_time && (out.source->rank > last_rank || (out.source->rank == last_rank && place > last_place))));
			last_time = t;
			last_rank = out.source->rank;
			last_place = place;
		}
		ck_assert_int_eq(order_first(&o), TIME_NONE);
	}
	event_release(&e);
	event_release(&out);
	order_release(&o);
	field_table_release(&fields);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *cases = tcase_create("engine");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, test_scripts, 0, (int)(sizeof scripts / sizeof *scripts));
	tcase_add_loop_test(cases, test_trace, 0, (int)(sizeof trace_cases / sizeof *trace_cases));
	tcase_add_test(cases, test_damaged_state);
	tcase_add_test(cases, test_strings);
	tcase_add_test(cases, test_tally);
	tcase_add_loop_test(cases, test_sorted, 0, 7);
	tcase_add_loop_test(cases, test_numbers, 0, 6);
	tcase_add_test(cases, test_order);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
