/*
 * emitter.h: state changes as text, jsonl, shell commands or gt event lines. `-o FORMAT[=PATH]`.
 */
#ifndef TOCSIN_EMIT_EMITTER_H
#define TOCSIN_EMIT_EMITTER_H

#include "engine/incident.h"

enum emit_format { EMIT_TEXT, EMIT_JSONL, EMIT_COMMANDS, EMIT_GT };
#define EMIT_FORMAT_COUNT (EMIT_GT + 1)
bool emit_format_from_name(struct span name, enum emit_format *ret);
const char *emit_format_name(enum emit_format f);

/* The escape sequence of a level's colour on a terminal. */
const char *level_colour(enum level level);

struct emit_options {
	bool colour;             /* text only */
	const struct zone *zone; /* of times in text output */
	unsigned width;          /* of the terminal; 0: do not cut lines */
	const struct field_table *fields;
};

/*
 * Appends one state change to out, ending with a newline. Nothing is appended where the format has nothing to say
 * (commands: no commands).
 *   text      a line or two, aligned: time, level, state, rule, key, summary
 *   jsonl     one object, tocsin-incident(5); schema/incident.schema.json
 *   commands  one POSIX shell line a command
 *   gt        an object in the form of .events.jsonl, type incident_open, …
 */
void emit_change(struct buffer *out, enum emit_format f, const struct emit_options *o, const struct change *c);

#endif
