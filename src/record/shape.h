/*
 * shape.h: known sentences of a log, as data. A pattern is literal text with holes:
 *
 *	"CRASH DETECTED: polecat {agent} has hook_bead={bead} but session {session} is dead"
 *
 * It is compared with the start of a message (a leading "*": anywhere in its first line) and need not reach its end. A hole
 * takes what stands before the literal behind it, at least one byte and no newline; only {reason} and {text} take
 * blanks. At a pattern's end a hole takes a word without closing punctuation, {reason} the rest of the line.
 * {role} takes witness or refinery in any letter case, and nothing else; {pid} and {count} take digits; {age} and {runtime} a duration.
 * Internal to record/.
 */
#ifndef TOCSIN_RECORD_SHAPE_H
#define TOCSIN_RECORD_SHAPE_H

#include "record/format.h"

struct shape {
	const char *type, *pattern;
	const char *agent; /* whom it is about, when no hole says so; may be NULL */
};

/* The field `age` is no built-in one: its number in the table of this run. */
struct shape_fields {
	field_id age;
};

/*
 * Adds type and what the holes took of the first shape that fits; false when none does. {rig} with {role} is the agent
 * RIG/ROLE. {age} and {runtime} are added in seconds.
 */
bool shapes_apply(const struct shape *shapes, size_t n, const struct shape_fields *f, struct span message,
		  struct event *e);
/* Text that every message of this type holds; empty when the type is not in the table or its shapes have too little in common. */
struct span shapes_literal(const struct shape *shapes, size_t n, struct span type);

/* Seconds of a duration as text; false when it is none. */
bool seconds_of(struct span text, double *ret);

#endif
