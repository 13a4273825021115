/*
 * fuzz_test_file.c: any bytes as a file of tests, for two small rules. What compiles must keep what test_file.h promises: rules that are
 * there, lines in the order of their time but where a block says otherwise, nothing beyond the limits; what does not must say why.
 */
#include "test_file.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] = "title: Kill\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {k: {type: kill}, condition: k}\n"
			    "---\ntitle: Done\nname: done\nlogsource: {product: gastown}\ndetection: {d: {type: done}, condition: d}\n"
			    "---\ntitle: Storm\nname: storm\ncorrelation: {type: event_count, rules: [kill], group-by: [rig], timespan: 1h, condition: {gt: 2}}\n"
			    "---\ntitle: Never\nname: never\ncorrelation: {type: temporal_ordered, rules: [kill, done], group-by: [agent], timespan: 1h, condition: kill and not done}\n";

static void check_expectation(const struct test_expectation *e)
{
	if (!e->rule || !e->rule->alerts || e->line < 1 || (e->quantity != QUANTITY_ONE && e->quantity_n == 0))
		abort();
	for (uint32_t i = 0; i < e->n_commands; i++)
		if (!e->commands[i][0].ptr)
			abort();
}

static void check(const struct test_case *t)
{
	if (!t->name || !t->zone || t->line < 1 || t->n_lines > TEST_LINES_MAX || t->lateness_ns < 0)
		abort();
	for (uint32_t i = 0; i < t->n_lines; i++) {
		const struct test_line *l = &t->lines[i];
		if (l->log >= t->n_logs || l->text.len == 0 || l->time_ns == TIME_NONE || (t->advance_ns != TIME_NONE && l->time_ns > t->advance_ns))
			abort();
		if (memchr(l->text.ptr, '\n', l->text.len) != l->text.ptr + l->text.len - 1)
			abort();
	}
	for (uint32_t i = 0; i < t->n_expect; i++)
		check_expectation(&t->expect[i]);
	for (uint32_t i = 0; i < t->n_never; i++)
		check_expectation(&t->never[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ruleset *rs;
	struct diag_list diags = DIAG_LIST_INIT;

	if (!rs)
		rs = ruleset_load_text(span_of(rules, sizeof rules - 1), "rules.yml", false, &diags);
	if (!rs || diags.n_errors)
		abort();
	struct test_file *f = test_file_parse(span_of((const char *)data, size), "dir/fuzz_test.yml", &diags);
	if (f->document && diags.n_errors)
		abort();
	if (f->document && (f->n_rules == 0 || !f->rules[0] || f->rules[f->n_rules]))
		abort();
	bool ok = test_file_compile(f, rs, &diags);
	if (ok != (diags.n_errors == 0))
		abort();
	for (uint32_t i = 0; i < f->n_tests; i++)
		check(&f->tests[i]);
	test_file_free(f);
	diag_list_release(&diags);
	return 0;
}
