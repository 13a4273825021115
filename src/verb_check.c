/*
 * tocsin check: every error and doubt of rule files at once.
 */
#include "cli.h"

#include "base/memory.h"
#include "match/matcher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* The rules that the prefilter cannot narrow down for this source, added to the names of the sources in which each is such a one. */
static void add_unfiltered(const struct ruleset *rs, const struct source *s, struct buffer *names)
{
	struct diag_list ignored = DIAG_LIST_INIT;
	struct matcher *m = s->format == FORMAT_PS ? NULL : matcher_new(rs, s, &ignored); /* of ps every row is parsed in any case */

	for (const uint32_t *rule = m ? matcher_unfiltered(m) : NULL; rule && *rule != UINT32_MAX; rule++)
		buffer_printf(&names[*rule], "%s%s", names[*rule].len ? ", " : "", s->name);
	matcher_free(m);
	diag_list_release(&ignored);
}

/* What a rule costs: one without a text that must stand in the line makes every line be parsed. */
static void add_costs(const struct ruleset *rs, struct diag_list *diags)
{
	struct buffer *names = xcalloc(rs->n_rules + 1, sizeof *names);
	size_t n;
	const struct source *built_in = builtin_sources(&n);

	for (size_t i = 0; i < n; i++)
		add_unfiltered(rs, &built_in[i], names);
	for (size_t i = 0; i < rs->n_sources; i++)
		add_unfiltered(rs, rs->sources[i], names);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct rule *r = &rs->rules[i];
		if (names[i].len) {
			diag_add(diags, DIAG_NOTE, r->file, r->line, 1, "%s is slow: no text is known that a match must contain, so every record of %s is parsed for it",
				 r->name, buffer_string(&names[i]));
			diag_hint(diags, "name the source (logsource: service), and ask for a text that stands in the line: a type, a word of the message, a keyword");
		}
		buffer_release(&names[i]);
	}
	free(names);
}

static const char *s_of(size_t n)
{
	return n == 1 ? "" : "s";
}

int verb_check(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->words, o->n_words, true, &diags);
	bool colour = wants_colour(o, STDERR_FILENO);
	struct buffer out = BUFFER_INIT;

	if (rs)
		add_costs(rs, &diags);
	diag_sort(&diags);
	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], colour);
	if (rs) {
		uint32_t n_correlations = 0, n_alerts = 0;
		for (uint32_t i = 0; i < rs->n_rules; i++) {
			n_correlations += rs->rules[i].kind == RULE_CORRELATION;
			n_alerts += rs->rules[i].alerts;
		}
		buffer_printf(&out, "%" PRIu32 " rule%s valid: %" PRIu32 " detection%s, %" PRIu32 " correlation%s; %" PRIu32 " open%s incidents; %zu warning%s\n",
			      rs->n_rules, rs->n_rules == 1 ? " is" : "s are", rs->n_rules - n_correlations, s_of(rs->n_rules - n_correlations),
			      n_correlations, s_of(n_correlations), n_alerts, n_alerts == 1 ? "s" : "", diags.n_warnings, s_of(diags.n_warnings));
	} else {
		buffer_printf(&out, "%zu error%s, %zu warning%s\n", diags.n_errors, s_of(diags.n_errors), diags.n_warnings, s_of(diags.n_warnings));
	}
	int status = print_out(&out);
	if (!rs)
		status = EXIT_TROUBLE;
	ruleset_free(rs);
	diag_list_release(&diags);
	return status;
}
