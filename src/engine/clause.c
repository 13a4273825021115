/*
 * From an expression that does not hold to the clauses that are to blame. The condition of a rule names selections, so the leaves of this walk are
 * named nodes; what is inside them is only looked at to tell the value. Of an `or` the branch with the fewest reasons is taken: it is nearest.
 */
#include "engine/clause.h"

#define DEPTH_LIMIT 80 /* conditions are nested less deep (rule/condition.c) */

struct walk {
	struct matcher *m;
	struct event *e;
	unsigned depth;
};

static bool holds(struct walk *w, const struct expr *x)
{
	return matcher_expr_holds(w->m, x, w->e);
}

/* The value that makes a node hold (or fail); NULL when it takes several. */
static const struct expr *deciding_atom(struct walk *w, const struct expr *x, bool wanted)
{
	for (;;) {
		const struct expr *next = NULL;
		switch (x->op) {
		case EXPR_TRUE:
		case EXPR_FALSE:
			return NULL;
		case EXPR_ATOM:
			return x;
		case EXPR_NOT:
			next = x->children[0];
			wanted = !wanted;
			break;
		case EXPR_AND:
		case EXPR_OR:
			/* One that holds makes an `or` hold; one that fails makes an `and` fail. */
			if ((x->op == EXPR_OR) != wanted) {
				next = x->n_children == 1 ? x->children[0] : NULL;
				break;
			}
			for (uint32_t i = 0; i < x->n_children && !next; i++)
				if (holds(w, x->children[i]) == wanted)
					next = x->children[i];
			break;
		}
		if (!next)
			return NULL;
		x = next;
	}
}

static const struct expr *named_inside(const struct expr *x)
{
	for (uint32_t i = 0; i < x->n_children; i++) {
		const struct expr *r = x->children[i]->selection ? x->children[i] : named_inside(x->children[i]);
		if (r)
			return r;
	}
	return NULL;
}

/* x is `wanted` no more than `!wanted`: it holds where it must not (wanted false), or the other way round. */
static size_t blame(struct walk *w, const struct expr *x, bool wanted, struct clause *ret, size_t limit)
{
	size_t n = 0;

	if (limit == 0 || w->depth > DEPTH_LIMIT)
		return 0;
	if (x->selection && !named_inside(x)) {
		*ret = (struct clause){ x, NULL, deciding_atom(w, x, !wanted), !wanted };
		return 1;
	}
	w->depth++;
	if (x->selection) { /* a filter, with selections of its own */
		struct clause inner = { 0 };
		struct expr bare = *x;
		bare.selection = NULL;
		size_t found = blame(w, &bare, wanted, &inner, 1);
		*ret = (struct clause){ x, found ? inner.node : NULL, found ? inner.atom : NULL, true };
		w->depth--;
		return 1;
	}
	switch (x->op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
	case EXPR_ATOM:
		*ret = (struct clause){ x, NULL, x->op == EXPR_ATOM ? x : NULL, !wanted };
		n = 1;
		break;
	case EXPR_NOT:
		n = blame(w, x->children[0], !wanted, ret, limit);
		break;
	case EXPR_AND:
	case EXPR_OR:
		if ((x->op == EXPR_AND) == wanted) { /* every child that is not as wanted is a reason */
			for (uint32_t i = 0; i < x->n_children; i++)
				if (holds(w, x->children[i]) != wanted)
					n += blame(w, x->children[i], wanted, ret + n, limit - n);
		} else { /* one child as wanted would do: the one with the fewest reasons */
			struct clause best[16];
			size_t n_best = SIZE_MAX;
			for (uint32_t i = 0; i < x->n_children; i++) {
				struct clause these[16];
				size_t k = blame(w, x->children[i], wanted, these, limit < 16 ? limit : 16);
				if (k < n_best) {
					n_best = k;
					memcpy(best, these, k * sizeof *best);
				}
			}
			n = n_best == SIZE_MAX ? 0 : n_best < limit ? n_best : limit;
			memcpy(ret, best, n * sizeof *best);
		}
		break;
	}
	w->depth--;
	return n;
}

size_t clause_failures(struct matcher *m, const struct expr *x, struct event *e, struct clause *ret, size_t limit)
{
	struct walk w = { m, e, 0 };

	return holds(&w, x) ? 0 : blame(&w, x, true, ret, limit);
}

static void append_pattern(struct buffer *out, const struct string_pattern *p)
{
	if (p->open_start)
		buffer_append_char(out, '*');
	for (uint16_t i = 0; i < p->n_pieces; i++) {
		if (i)
			buffer_append_char(out, '*');
		for (size_t j = 0; j < p->pieces[i].len; j++)
			buffer_append_char(out, p->pieces[i].ptr[j] ? p->pieces[i].ptr[j] : '?');
	}
	if (p->open_end && (p->n_pieces || !p->open_start))
		buffer_append_char(out, '*');
}

void clause_atom_text(const struct ruleset *rs, const struct expr *atom, struct buffer *out)
{
	const struct atom *a = &rs->atoms[atom->atom];
	struct span name = field_name(&rs->fields, a->field);

	if (a->op != ATOM_KEYWORD) {
		buffer_append_span(out, name);
		buffer_append_char(out, ' ');
	}
	switch (a->op) {
	case ATOM_STRING:
	case ATOM_KEYWORD:
		if (a->op == ATOM_STRING && a->pattern.n_pieces == 0 && !a->pattern.open_start)
			buffer_append_string(out, "''");
		append_pattern(out, &a->pattern);
		break;
	case ATOM_NULL: buffer_append_string(out, "null"); break;
	case ATOM_EXISTS: buffer_append_string(out, "exists"); break;
	case ATOM_REGEX: buffer_printf(out, "re %s", a->regex); break;
	case ATOM_CIDR: buffer_printf(out, "cidr /%u", a->cidr_bits); break;
	case ATOM_LT: buffer_printf(out, "< %.15g", a->number); break;
	case ATOM_LTE: buffer_printf(out, "<= %.15g", a->number); break;
	case ATOM_GT: buffer_printf(out, "> %.15g", a->number); break;
	case ATOM_GTE: buffer_printf(out, ">= %.15g", a->number); break;
	case ATOM_NUMBER_EQ: buffer_printf(out, "= %.15g", a->number); break;
	case ATOM_FIELDREF:
		buffer_append_string(out, "fieldref ");
		buffer_append_span(out, field_name(&rs->fields, a->other));
		break;
	}
	if (atom->placeholders)
		buffer_printf(out, " (%s)", atom->placeholders);
}
