/*
 * tocsin explain: one run over the inputs with a trace, no output but what the trace says.
 */
#include "cli.h"
#include "explain.h"

#include "base/memory.h"

#include <stdlib.h>
#include <unistd.h>

static const struct rule *find_rule(const struct ruleset *rs, const char *name, struct diag_list *diags)
{
	const struct rule *r = ruleset_find(rs, name);

	if (r)
		return r;
	const char **names = xcalloc(rs->n_rules + 1, sizeof *names);
	for (uint32_t i = 0; i < rs->n_rules; i++)
		names[i] = rs->rules[i].name;
	const char *near = nearest_word(name, names);
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "there is no rule %s", name);
	if (near)
		diag_hint(diags, "did you mean %s?", near);
	else
		diag_hint(diags, "tocsin rules lists them");
	free(names);
	return NULL;
}

/* The --key options, for this rule; false with diagnostics. */
static bool take_keys(const struct options *o, const struct rule *r, struct key_filter *keys, struct diag_list *diags)
{
	if (o->n_keys && !r) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--key needs --rule: keys belong to a rule");
		return false;
	}
	for (size_t i = 0; i < o->n_keys; i++) {
		const char *equals = strchr(o->keys[i], '=');
		const struct correlation *k = r->correlation;
		bool known = false;
		keys[i] = (struct key_filter){ span_of(o->keys[i], (size_t)(equals - o->keys[i])), span_from_string(equals + 1) };
		for (uint32_t j = 0; k && j < k->n_keys; j++)
			known |= span_equal(span_from_string(k->keys[j]), keys[i].name);
		if (known)
			continue;
		struct buffer names = BUFFER_INIT;
		for (uint32_t j = 0; k && j < k->n_keys; j++)
			buffer_printf(&names, "%s%s", j ? ", " : "", k->keys[j]);
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--key %s: %s does not group by %.*s", o->keys[i], r->name, (int)keys[i].name.len, keys[i].name.ptr);
		if (names.len)
			diag_hint(diags, "it groups by %s", buffer_string(&names));
		else
			diag_hint(diags, "it has no group-by: there is one key");
		buffer_release(&names);
	}
	return diags->n_errors == 0;
}

int verb_explain(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->rules, o->n_rules, false, &diags);
	struct explain_options eo = { .rules = rs, .at_ns = TIME_NONE };
	struct reading reading;
	bool jsonl;

	if (!rs)
		return fail(o, &diags);
	struct key_filter *keys = xcalloc(o->n_keys + 1, sizeof *keys);
	int status = EXIT_TROUBLE;
	if (!wants_jsonl(o, &jsonl, &diags) || (o->rule && !(eo.rule = find_rule(rs, o->rule, &diags))) || !take_keys(o, eo.rule, keys, &diags))
		goto done;
	eo.keys = keys;
	eo.n_keys = o->n_keys;
	if (!parse_time(o, "at", o->at, wall_clock_ns(), &eo.at_ns, &diags) ||
	    !reading_open(o, rs, o->words, o->n_words, &reading, &diags))
		goto done;

	struct explain *x = explain_new(&eo);
	reading.pipeline.trace = explain_trace(x);
	reading.pipeline.on_change = explain_change;
	reading.pipeline.change_context = x;
	struct pipeline *pipeline = pipeline_new(&reading.pipeline, NULL, 0, &diags);
	struct run *run = run_new(pipeline, &reading.run, &reading.streams, &diags);
	bool ok = run_read(run) && !reading.bad_inputs;
	explain_finish(x, pipeline, o->lateness_ns);
	add_doubts(pipeline, &diags);
	run_free(run);
	pipeline_free(pipeline);

	struct explain_style style = { .colour = wants_colour(o, STDOUT_FILENO), .zone = default_zone(o) };
	struct buffer out = BUFFER_INIT;
	if (jsonl)
		explain_jsonl(x, &out);
	else
		explain_text(x, &style, &out);
	status = print_out(&out);
	if (!ok)
		status = EXIT_TROUBLE;
	explain_free(x);
	reading_release(&reading);
done:
	print_diags(o, &diags);
	diag_list_release(&diags);
	free(keys);
	ruleset_free(rs);
	return status;
}
