/*
 * literals.h: from a rule to texts of which at least one must stand in the raw record for the rule to match.
 *
 *	and  → the cheapest child's        a pattern → its longest or rarest piece, as the format writes it (format_literal)
 *	or   → all children's together     a regex   → a conservative reading of PCRE2's syntax
 *	not  → nothing is known
 *
 * Letters stand for either case. When in doubt nothing is known: the prefilter may be too generous, never too strict.
 */
#ifndef TOCSIN_MATCH_LITERALS_H
#define TOCSIN_MATCH_LITERALS_H

#include "record/decoder.h"
#include "rule/ruleset.h"

/* known: one of n texts must occur; n == 0: it cannot match at all. */
struct literal_set {
	bool known;
	struct span *items; /* in the arena; each is one that prefilter_accepts() */
	size_t n;
	double cost; /* a guess of how often one of them occurs in a record, plus a little for each */
};

/* How a field's text stands in the raw record. */
struct literal_field {
	enum format format;
	field_id field; /* FIELD_RAW: verbatim */
	struct span name;
};

/* uses: by atom, in how many places of all rules it stands; NULL: not known. */
struct literal_set literals_of_expr(const struct expr *x, const struct ruleset *rs, const uint32_t *uses, enum format format,
				    struct arena *a);
struct literal_set literals_of_pattern(const struct string_pattern *p, const struct literal_field *f, bool keyword,
				       struct arena *a);
/* options: those it is compiled with. */
struct literal_set literals_of_regex(const char *regex, uint32_t options, const struct literal_field *f, struct arena *a);

#endif
