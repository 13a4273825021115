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
	field_id field; /* FIELD_RAW: verbatim, but for keywords in JSON */
	struct span name;
};

/* What is known of an atom before any record is looked at: for records whose key is known (keys.h) some hold, or do not. */
enum literal_truth {
	TRUTH_SEEK, /* nothing: its literals are sought */
	TRUTH_OPEN, /* nothing, and its literals are not to be sought */
	TRUTH_FALSE,
	TRUTH_TRUE,
};
enum literal_truth literal_truth_of_expr(const struct expr *x, const uint8_t *truth);

/*
 * uses: by atom, in how many places of all rules it stands; NULL: not known. truth: by atom; NULL: seek all. key: of the records, in letters of any
 * case; empty: not known.
 */
struct literal_set literals_of_expr(const struct expr *x, const struct ruleset *rs, const uint32_t *uses, const uint8_t *truth,
				    enum format format, struct span key, struct arena *a);
struct literal_set literals_of_pattern(const struct string_pattern *p, const struct literal_field *f, bool keyword,
				       struct arena *a);
/* options: those it is compiled with. */
struct literal_set literals_of_regex(const char *regex, uint32_t options, const struct literal_field *f, struct arena *a);

#endif
