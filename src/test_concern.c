/*
 * test_concern.c: decides whether an event is of concern to a detection. The matcher is asked value by value, so a detection need not match; and
 * words that stand in another place of the record count, too: talk about a kill is what a rule about kills must not fall for.
 */
#include "test_concern.h"

#include "base/memory.h"

#include <stdlib.h>

/* ---- detections ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool occurs(struct span word, struct span text)
{
	for (size_t i = 0; i + word.len <= text.len; i++) {
		size_t k = 0;
		while (k < word.len && lower(text.ptr[i + k]) == lower(word.ptr[k]))
			k++;
		if (k == word.len)
			return true;
	}
	return false;
}

/*
 * Does the record speak of what the atom asks for, if in another place? Of a regex nobody knows the words; but where it looks at a field that only
 * a few records have, those are of concern.
 */
static bool spoken_of(const struct atom *a, const struct event *e)
{
	if (a->op == ATOM_REGEX)
		return a->field >= FIELD_BUILTIN_COUNT && event_first(e, a->field);
	if (a->op != ATOM_STRING && a->op != ATOM_KEYWORD)
		return false;
	for (uint16_t i = 0; i < a->pattern.n_pieces; i++)
		if (a->pattern.pieces[i].len >= 3 && occurs(a->pattern.pieces[i], e->raw))
			return true;
	return false;
}

bool concern_any_atom(const struct ruleset *rs, struct matcher *m, const struct expr *x, struct event *e)
{
	switch (x->op) {
	case EXPR_TRUE:
		return true;
	case EXPR_FALSE:
	case EXPR_NOT:
		return false;
	case EXPR_ATOM:
		return matcher_expr_holds(m, x, e) || spoken_of(&rs->atoms[x->atom], e);
	case EXPR_AND:
	case EXPR_OR:
		break;
	}
	for (uint32_t i = 0; i < x->n_children; i++)
		if (concern_any_atom(rs, m, x->children[i], e))
			return true;
	return false;
}

void concern_mark_leaves(const struct ruleset *rs, const struct rule *r, bool *marks)
{
	if (r->expr)
		marks[r->index] = true;
	for (uint32_t i = 0; r->correlation && i < r->correlation->n_inputs; i++)
		if (!r->correlation->inputs[i].negated)
			concern_mark_leaves(rs, &rs->rules[r->correlation->inputs[i].rule], marks);
}

/* ---- a run ---- */

static void judge(void *context, struct matcher *m, struct event *e)
{
	struct concern *c = context;

	for (uint32_t i = 0; i < c->rules->n_rules; i++)
		if (c->wanted[i] && !c->touched[i] && c->rules->rules[i].expr && rule_applies(&c->rules->rules[i], e->source) &&
		    concern_any_atom(c->rules, m, c->rules->rules[i].expr, e))
			c->touched[i] = true;
}

static void concern_step(void *context, const struct trace_step *s)
{
	struct concern *c = context;

	if (s->kind == TRACE_UNDETERMINED && s->rule)
		c->undetermined[s->rule->index] = true;
}

/* Absences that are still waited for when the input ends. */
static void concern_cell(void *context, const struct trace_cell *cell)
{
	struct concern *c = context;

	if (cell->pending_ns != TIME_NONE)
		c->undetermined[cell->rule->index] = true;
}

static void concern_end(void *context, struct engine *en)
{
	struct concern *c = context;

	for (uint32_t i = 0; i < c->rules->n_rules; i++)
		if (c->wanted[i] && c->rules->rules[i].correlation)
			engine_inspect(en, &c->rules->rules[i], concern_cell, c);
}

void concern_init(struct concern *c, const struct ruleset *rs, const struct test_case *t)
{
	size_t n = rs->n_rules ? rs->n_rules : 1;

	*c = (struct concern){ rs, xcalloc(n, sizeof(bool)), xcalloc(n, sizeof(bool)), xcalloc(n, sizeof(bool)) };
	for (uint32_t i = 0; i < t->n_never; i++)
		concern_mark_leaves(rs, t->never[i].rule, c->wanted);
	for (uint32_t i = 0; i < t->n_undetermined; i++)
		c->wanted[t->undetermined[i]->index] = true;
}

void concern_release(struct concern *c)
{
	free(c->wanted);
	free(c->touched);
	free(c->undetermined);
}

bool concern_trace(struct concern *c, struct engine_trace *ret)
{
	*ret = (struct engine_trace){ .wanted = c->wanted, .step = concern_step, .judge = judge, .at_ns = TIME_NONE, .at = concern_end, .context = c };
	return memchr(c->wanted, true, c->rules->n_rules) != NULL;
}

void concern_forbidden(const struct concern *c, const struct test_case *t, bool *marks)
{
	bool *leaves = xcalloc(c->rules->n_rules ? c->rules->n_rules : 1, sizeof *leaves);

	for (uint32_t i = 0; i < t->n_never; i++) {
		const struct rule *r = t->never[i].rule;
		if (!t->never[i].any_state && t->never[i].state != INCIDENT_OPEN)
			continue;
		memset(leaves, 0, c->rules->n_rules * sizeof *leaves);
		concern_mark_leaves(c->rules, r, leaves);
		for (uint32_t j = 0; j < c->rules->n_rules; j++)
			if (leaves[j] && c->touched[j])
				marks[r->index] = true;
	}
	free(leaves);
}
