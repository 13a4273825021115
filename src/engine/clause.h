/*
 * clause.h: why a detection does not match an event: which named selection is wanting, or which selection or filter excludes it, and by which of its
 * values. Verdicts are the matcher's (matcher_expr_holds), on the parts of the rule's own expression.
 */
#ifndef TOCSIN_ENGINE_CLAUSE_H
#define TOCSIN_ENGINE_CLAUSE_H

#include "match/matcher.h"

struct clause {
	const struct expr *node;  /* a named selection, or a whole filter: node->selection, file, line */
	const struct expr *inner; /* of a filter: the selection of it that decides; NULL: none by itself */
	const struct expr *atom;  /* the value that holds (excludes), or is wanting; NULL: several together */
	bool excludes;            /* it holds and must not; else it is wanting */
};

/* The clauses that stand in the way, at most `limit`, fewest first where the condition leaves a choice. Returns how many; 0: it matches. */
size_t clause_failures(struct matcher *m, const struct expr *x, struct event *e, struct clause *ret, size_t limit);
/* "reason: gt crew stop* (%planned_kill%)" */
void clause_atom_text(const struct ruleset *rs, const struct expr *atom, struct buffer *out);

#endif
