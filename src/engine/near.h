/*
 * near.h: what came nearest to an incident and was none, and why. Fed with the steps of a trace (trace.h); keeps the best few of each rule, in bounded
 * memory. For `tocsin explain` ("5 of > 5; the sixth came 4s after the first had left") and for the nearest miss of `tocsin test`.
 */
#ifndef TOCSIN_ENGINE_NEAR_H
#define TOCSIN_ENGINE_NEAR_H

#include "engine/trace.h"

#define NEAR_KEYS_LIMIT 8 /* group-by values that a near miss names */

struct near_miss {
	const struct rule *rule;
	struct named_value key[NEAR_KEYS_LIMIT]; /* values are the near miss's own */
	size_t n_key;
	int64_t time_ns;     /* when it was nearest */
	double value;        /* of the correlation then */
	const char *text;    /* why not; no time of day in it, so that the caller can show time_ns in any zone */
	const char *file;    /* of the event that came nearest; NULL: none */
	uint64_t line;
	uint64_t times;      /* how often the same happened to this key */
	double distance;     /* 0: the condition held (it was inhibited, or undetermined) … 1: nothing of it */
	int64_t margin_ns;   /* how much time was wanting; INT64_MAX: it was not a matter of time */
};

struct near;
/* best: how many to keep for a rule. */
struct near *near_new(const struct ruleset *rs, size_t best);
void near_free(struct near *n);
/* For struct engine_trace.step, or to be called from it. */
void near_step(struct near *n, const struct trace_step *s);
/* At the end of the input: what was still on its way is a near miss, too. end_ns: engine_now(). */
void near_finish(struct near *n, int64_t end_ns);
/* Nearest first; borrowed until near_free(). */
const struct near_miss *near_best(const struct near *n, const struct rule *r, size_t *ret_n);

/* How far a value is from the condition: 0 where it holds … 1. */
double near_distance(const struct correlation *k, double value);
/* A correlation's condition as people write it: "> 5", ">= 3 and < 9"; sustained: "5m"; an extended condition as it is; "all 3 inputs". */
void near_condition(struct buffer *out, const struct correlation *k);
/* A value against it: "5 of > 5", "4m of 5m", "1 of 2 inputs". */
void near_verdict(struct buffer *out, const struct correlation *k, double value);

#endif
