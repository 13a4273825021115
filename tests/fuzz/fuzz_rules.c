/*
 * fuzz_rules.c: any bytes as a rule file, with and without lint. What loads must keep the promises of ruleset.h that others
 * rest on without looking; what does not load must say why.
 */
#include "base/diag.h"
#include "rule/ruleset.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_expr(const struct ruleset *rs, const struct expr *x, int depth)
{
	if (depth > 300)
		abort();
	if (x->op == EXPR_ATOM && (x->atom >= rs->n_atoms || rs->atoms[x->atom].field >= field_count(&rs->fields)))
		abort();
	if (x->op == EXPR_NOT && x->n_children != 1)
		abort();
	for (uint32_t i = 0; i < x->n_children; i++)
		check_expr(rs, x->children[i], depth + 1);
}

static void check(const struct ruleset *rs)
{
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct rule *r = &rs->rules[i];
		const struct correlation *c = r->correlation;

		if (r->index != i || !r->name || !r->title || !!r->expr == !!c || ruleset_find(rs, r->name) != r)
			abort();
		if (r->expr)
			check_expr(rs, r->expr, 0);
		for (uint32_t k = 0; c && k < c->n_inputs; k++)
			if (c->inputs[k].rule >= i)
				abort();
		for (uint32_t k = 0; k < r->incident.n_inhibited_by; k++)
			if (r->incident.inhibited_by[k] >= rs->n_rules)
				abort();
	}
	for (uint32_t i = 0; i < rs->n_atoms; i++)
		for (uint16_t k = 0; k < rs->atoms[i].pattern.n_pieces; k++)
			if (rs->atoms[i].pattern.pieces[k].len == 0)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int lint = 0; lint < 2; lint++) {
		struct diag_list diags = DIAG_LIST_INIT;
		struct ruleset *rs = ruleset_load_text(span_of((const char *)data, size), "fuzz.yml", lint, &diags);

		if (!rs != (diags.n_errors > 0))
			abort();
		if (rs)
			check(rs);
		ruleset_free(rs);
		diag_list_release(&diags);
	}
	return 0;
}
