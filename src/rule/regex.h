/*
 * regex.h: regexes of rules, checked when they are loaded. They are compiled again, with the same options, where they are used.
 */
#ifndef TOCSIN_RULE_REGEX_H
#define TOCSIN_RULE_REGEX_H

#include "rule/loader.h"

#define REGEX_LENGTH_MAX (64u << 10)

/*
 * Completes the options (in: CASELESS, MULTILINE, DOTALL), compiles, and adds the fields of its named groups to the set (and the ruleset).
 * `at` is the value it comes from; where pattern is that value's text the error points into it. Returns 0, or -1 with an error.
 */
int regex_check(struct loader *l, const struct yaml_node *at, struct span pattern, uint32_t *options, struct field_set *fields);
/* The length of the longest run of bytes without which nothing matches, as far as is easily seen. */
size_t regex_required_bytes(struct span pattern);

#endif
