/*
 * tocsin rules: the loaded rules, a line each.
 */
#include "cli.h"

#include "base/quote.h"

int verb_rules(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->rules, o->n_rules, false, &diags);
	struct buffer out = BUFFER_INIT;

	if (!rs)
		return fail(o, &diags);
	size_t width = 4;
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (rs->rules[i].alerts && strlen(rs->rules[i].name) > width)
			width = strlen(rs->rules[i].name);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct rule *r = &rs->rules[i];
		if (!r->alerts)
			continue;
		const struct rule *leaf = r;
		while (leaf->kind == RULE_CORRELATION)
			leaf = &rs->rules[leaf->correlation->inputs[0].rule];
		buffer_printf(&out, "%-13s  %-*s  %-10s  ", level_name(r->level), (int)width, r->name,
			      leaf->logsource.service ? leaf->logsource.service : leaf->logsource.product ? leaf->logsource.product : "any");
		quote_terminal(&out, span_from_string(r->title));
		buffer_append_char(&out, '\n');
	}
	ruleset_free(rs);
	print_diags(o, &diags);
	diag_list_release(&diags);
	return print_out(&out);
}
