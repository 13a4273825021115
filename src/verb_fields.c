/*
 * tocsin fields: every line is parsed, and surveyed; no rule is needed.
 */
#include "cli.h"
#include "fields.h"

#include <unistd.h>

int verb_fields(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer out = BUFFER_INIT;
	struct reading reading;
	struct ruleset *rs;
	bool jsonl;

	if (o->n_rules == 0 && access(TOCSIN_RULES_DIR, R_OK) != 0)
		rs = ruleset_load_text(SPAN("placeholders: {}\n"), "no rules", false, &diags); /* they only add sources */
	else
		rs = load_rules(o->rules, o->n_rules, false, &diags);
	if (!rs || !wants_jsonl(o, &jsonl, &diags) || !reading_open(o, rs, o->words, o->n_words, &reading, &diags)) {
		ruleset_free(rs);
		return fail(o, &diags);
	}
	rs->fields.keep_all = true;
	struct field_survey *survey = field_survey_new(&rs->fields);
	reading.pipeline.look = field_survey_add;
	reading.pipeline.look_context = survey;
	int64_t began_ns = wall_clock_ns();
	struct pipeline *pipeline = pipeline_new(&reading.pipeline, NULL, 0, &diags);
	struct run *run = run_new(pipeline, &reading.run, &reading.streams, &diags);
	bool ok = run_read(run) && !reading.bad_inputs;
	run_free(run);
	add_doubts(pipeline, &diags);
	if (o->stats)
		print_stats(pipeline, (double)(wall_clock_ns() - began_ns) / NS_PER_SECOND);
	if (jsonl)
		field_survey_jsonl(survey, &out);
	else
		field_survey_text(survey, wants_colour(o, STDOUT_FILENO), &out);
	pipeline_free(pipeline);
	field_survey_free(survey);
	reading_release(&reading);
	ruleset_free(rs);
	print_diags(o, &diags);
	diag_list_release(&diags);
	int status = print_out(&out);
	return ok ? status : EXIT_TROUBLE;
}
