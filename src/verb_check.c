/*
 * tocsin check: every error and doubt of rule files at once.
 */
#include "cli.h"

#include <inttypes.h>
#include <unistd.h>

int verb_check(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->words, o->n_words, true, &diags);
	bool colour = wants_colour(o, STDERR_FILENO);
	struct buffer out = BUFFER_INIT;

	diag_sort(&diags);
	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], colour);
	if (rs) {
		uint32_t n_correlations = 0, n_alerts = 0;
		for (uint32_t i = 0; i < rs->n_rules; i++) {
			n_correlations += rs->rules[i].kind == RULE_CORRELATION;
			n_alerts += rs->rules[i].alerts;
		}
		buffer_printf(&out, "%" PRIu32 " rules are valid (%" PRIu32 " detections, %" PRIu32 " correlations; %" PRIu32 " open incidents), %zu warning%s\n",
			      rs->n_rules, rs->n_rules - n_correlations, n_correlations, n_alerts, diags.n_warnings, diags.n_warnings == 1 ? "" : "s");
	} else {
		buffer_printf(&out, "%zu error%s, %zu warning%s\n", diags.n_errors, diags.n_errors == 1 ? "" : "s", diags.n_warnings, diags.n_warnings == 1 ? "" : "s");
	}
	int status = print_out(&out);
	if (!rs)
		status = EXIT_TROUBLE;
	ruleset_free(rs);
	diag_list_release(&diags);
	return status;
}
