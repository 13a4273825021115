/*
 * wildcard.h: does a value match a pattern with "*" and "?"? Also ASCII case.
 */
#ifndef TOCSIN_MATCH_WILDCARD_H
#define TOCSIN_MATCH_WILDCARD_H

#include "rule/expr.h"

/*
 * The whole value against the pattern. Where the pattern is not cased, the value must have been folded before (fold_ascii).
 * Time is bounded by value × longest piece; there is no backtracking.
 */
bool wildcard_matches(const struct string_pattern *p, struct span value);

/* to has room for len bytes; A–Z become a–z, all else stays. */
void fold_ascii(char *to, const char *from, size_t len);
/* Are these equal, where folded holds no A–Z? */
bool equal_folded(const char *folded, const char *text, size_t len);
/* Does `folded`, which is not empty and holds no A–Z, stand anywhere in the value? Time is bounded by value × folded. */
bool contains_folded(struct span value, struct span folded);

#endif
