/*
 * condition.h: the text of a condition, parsed: names, "1 of x*", not, and, or, brackets. What the names are is the caller's to say:
 * selections of a detection, or rules of a temporal correlation.
 */
#ifndef TOCSIN_RULE_CONDITION_H
#define TOCSIN_RULE_CONDITION_H

#include "rule/loader.h"

enum condition_op { CONDITION_NAME, CONDITION_OF, CONDITION_NOT, CONDITION_AND, CONDITION_OR };

struct condition {
	enum condition_op op;
	struct span name;   /* NAME, OF: "them" or a name with "*" */
	size_t at;          /* where it begins in the text */
	uint32_t count;     /* OF: how many; 0: all */
	struct condition **children;
	uint32_t n_children;
};

/*
 * NULL with an error. The tree lives in l->scratch. timeframe: what stood beside a condition before Sigma 2, for the hint that says how an
 * aggregation is written today; empty: nothing.
 */
struct condition *condition_parse(struct loader *l, const struct yaml_node *text, struct span timeframe);
/* Does a name fit a pattern? Only "*" is special. */
bool condition_name_matches(struct span pattern, struct span name);

#endif
