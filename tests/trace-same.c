/*
 * trace-same RULES TIME INPUT…: reads the inputs twice, without a trace and with one that looks at everything (and at TIME at every key), and compares the incidents as jsonl, byte
 * for byte. Prints how many there were; 1: they differ.
 */
#include "engine/clause.h"
#include "engine/near.h"
#include "run.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
	const struct ruleset *rules;
	struct buffer told;
	unsigned n;
	struct near *near;
};

static void on_change(void *context, const struct change *c)
{
	struct reading *r = context;
	struct emit_options o = { .fields = &r->rules->fields, .zone = zone_get("UTC") };

	emit_change(&r->told, EMIT_JSONL, &o, c);
	r->n++;
}

static void on_step(void *context, const struct trace_step *s)
{
	struct reading *r = context;
	if (s->rule)
		near_step(r->near, s);
}

static void on_judge(void *context, struct matcher *m, struct event *e)
{
	struct reading *r = context;
	struct clause why[8];

	for (uint32_t i = 0; i < r->rules->n_rules; i++)
		if (rule_applies(&r->rules->rules[i], e->source))
			clause_failures(m, r->rules->rules[i].expr, e, why, 8);
}

static void on_cell(void *context, const struct trace_cell *c)
{
	(void)context;
	for (uint32_t i = 0; i < c->n_entries; i++) {
		struct trace_entry e;
		trace_entry(c, i, &e);
	}
}

static void on_moment(void *context, struct engine *en)
{
	struct reading *r = context;
	for (uint32_t i = 0; i < r->rules->n_rules; i++)
		engine_inspect(en, &r->rules->rules[i], on_cell, r);
}

static bool known(void *context, const char *name)
{
	return source_by_name(context, name) != NULL;
}

static void read_all(struct reading *r, char *const *inputs, size_t n, bool traced, int64_t at_ns)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct stream_list streams = { 0 };
	struct engine_trace trace = { .step = on_step, .judge = on_judge, .at_ns = at_ns, .at = on_moment, .context = r };
	struct pipeline_options p = { .rules = r->rules, .zone = zone_get("UTC"), .lateness_ns = 2 * NS_PER_SECOND, .since_ns = TIME_NONE,
				      .until_ns = TIME_NONE, .now_ns = INT64_MAX / 2, .record_limit = RECORD_LIMIT_DEFAULT, .on_change = on_change,
				      .change_context = r, .trace = traced ? &trace : NULL };
	struct run_options ro = { .rules = r->rules, .now_ns = p.now_ns, .lateness_ns = p.lateness_ns };

	stream_discover(inputs, n, known, (void *)(uintptr_t)r->rules, &streams, &diags);
	struct pipeline *pipeline = pipeline_new(&p, NULL, 0, &diags);
	struct run *run = run_new(pipeline, &ro, &streams, &diags);
	run_read(run);
	run_free(run);
	pipeline_free(pipeline);
	for (size_t i = 0; i < diags.n; i++)
		if (diags.items[i].level == DIAG_ERROR)
			diag_print(stderr, &diags.items[i], false);
	stream_list_release(&streams);
	diag_list_release(&diags);
}

int main(int argc, char **argv)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct reading plain = { 0 }, traced = { 0 };

	if (argc < 4) {
		fputs("usage: trace-same RULES TIME INPUT…\n", stderr);
		return 2;
	}
	plain.rules = traced.rules = ruleset_load(&argv[1], 1, false, &diags);
	int64_t at_ns;
	if (!plain.rules || !time_parse_user(span_from_string(argv[2]), zone_get("UTC"), 0, &at_ns))
		return 2;
	read_all(&plain, &argv[3], (size_t)argc - 3, false, TIME_NONE);
	traced.near = near_new(traced.rules, 5);
	read_all(&traced, &argv[3], (size_t)argc - 3, true, at_ns);
	near_free(traced.near);
	bool same = span_equal(buffer_span(&plain.told), buffer_span(&traced.told));
	printf("%u changes, %s\n", plain.n, same ? "the same with a trace" : "others with a trace");
	buffer_release(&plain.told);
	buffer_release(&traced.told);
	ruleset_free((struct ruleset *)(uintptr_t)plain.rules);
	diag_list_release(&diags);
	return same ? 0 : 1;
}
