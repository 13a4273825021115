/*
 * matcher.h: which detections match an event, for one source. Two steps, so that lines that cannot match are never parsed:
 *
 *	matcher_scan()   over a whole block of raw bytes: which records are candidates (too generous, never too strict)
 *	matcher_match()  over a parsed candidate: which detections match it (exact)
 *
 * A matcher is built from a ruleset for one source (only the rules that apply to it) and holds scratch memory:
 * one a thread. Further ones are copies, which share what was built. PCRE2 runs with JIT and with match and depth limits; a pattern that hits them counts as no match and is counted.
 */
#ifndef TOCSIN_MATCH_MATCHER_H
#define TOCSIN_MATCH_MATCHER_H

#include "record/decoder.h"
#include "rule/ruleset.h"

struct matcher;

/* NULL with diagnostics when a regex does not compile (ruleset_load has checked them: not expected). */
struct matcher *matcher_new(const struct ruleset *rs, const struct source *s, struct diag_list *diags);
/* A matcher like this one, which must outlive it, and which any thread may use meanwhile. Not for matcher_expr_holds(). */
struct matcher *matcher_copy(const struct matcher *of);
void matcher_free(struct matcher *m);

/* Rules that the prefilter cannot narrow down (they have no literal that must occur): rule indexes, ending UINT32_MAX. Not for copies. */
const uint32_t *matcher_unfiltered(struct matcher *m);

/*
 * Marks candidates: sets bit i of candidates (n_records bits, cleared by the callee) for each record that may match, and remembers which rules each
 * may match until the next scan. 64 readable bytes behind the block are required.
 * Returns the number of candidates.
 */
size_t matcher_scan(struct matcher *m, struct span block, const struct record_list *records, uint64_t *candidates);

/*
 * Evaluates the event of record number `record` of the last scan (SIZE_MAX: every rule is tried; for events that were not scanned).
 * Fields from named groups of regexes that took part are added to the event. matched gets the indexes of the
 * rules, ascending; room for ruleset.n_rules. Returns how many.
 */
size_t matcher_match(struct matcher *m, size_t record, struct event *e, uint32_t *matched);

/* Does what record number `record` of the last scan matches depend on none of its event's values? */
bool matcher_decided(const struct matcher *m, size_t record);

struct matcher_stats {
	uint64_t scanned_records, candidates, matched, regex_limit_hits;
};
const struct matcher_stats *matcher_stats(const struct matcher *m);
/* Adds what it counted, and it begins anew. */
void matcher_take_stats(struct matcher *m, struct matcher_stats *to);

/* Does one atom, or a sub-expression, hold? For explain: the same code paths as matcher_match. */
bool matcher_expr_holds(struct matcher *m, const struct expr *x, struct event *e);

#endif
