/*
 * test_concern.h: is an input of concern to a rule? A test that a rule stays silent shows something only if there was anything for it to look at: if
 * what one of its detections asks for stands in an event, or is spoken of in it. And: which absences could not be judged.
 */
#ifndef TOCSIN_TEST_CONCERN_H
#define TOCSIN_TEST_CONCERN_H

#include "engine/trace.h"
#include "test_file.h"

struct concern {
	const struct ruleset *rules;
	bool *wanted;       /* by rule: it is asked about */
	bool *touched;      /* detections for which there was an event of concern */
	bool *undetermined; /* rules that could not judge an absence */
};

void concern_init(struct concern *c, const struct ruleset *rs, const struct test_case *t);
void concern_release(struct concern *c);
/* What a run must be traced with. False: nothing is asked. */
bool concern_trace(struct concern *c, struct engine_trace *ret);
/* Sets in `marks`, by rule, those that the test says never open, and for which something was of concern. */
void concern_forbidden(const struct concern *c, const struct test_case *t, bool *marks);

/* Is anything of the event as the detection wants it, or spoken of? */
bool concern_any_atom(const struct ruleset *rs, struct matcher *m, const struct expr *x, struct event *e);
/* Marks the detections that feed a rule, but for those that it waits for. */
void concern_mark_leaves(const struct ruleset *rs, const struct rule *r, bool *marks);

#endif
