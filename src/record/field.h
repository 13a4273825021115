/*
 * field.h: names of event fields, interned. The built-in ones have fixed
 * numbers; those that rules name, or a format adds, get numbers after them in
 * the order in which they are first seen. A field table belongs to one ruleset and
 * is const after its compilation; names unknown to it are dropped by
 * parsers (no rule asks for them), unless `keep_all` (tocsin fields).
 */
#ifndef TOCSIN_RECORD_FIELD_H
#define TOCSIN_RECORD_FIELD_H

#include "base/map.h"

typedef uint16_t field_id;
#define FIELD_NONE UINT16_MAX
#define FIELD_LIMIT 16384 /* more names than this in one ruleset are an error */

/* X(constant, name, description) */
#define BUILTIN_FIELDS(X)                                                                         \
	X(TIME, "time", "when it happened, RFC 3339 UTC")                                         \
	X(SOURCE, "source", "name of the source")                                                 \
	X(TYPE, "type", "kind of event: kill, nudge, session_death, …")                           \
	X(AGENT, "agent", "agent, normalised: rig/name, rig/role, mayor, deacon")                 \
	X(AGENT_RAW, "agent_raw", "agent as written")                                             \
	X(RIG, "rig", "rig of the agent, process or message")                                     \
	X(ROLE, "role", "mayor deacon witness refinery polecat crew")                             \
	X(NAME, "name", "last part of the agent's name")                                          \
	X(REASON, "reason", "why: text in brackets, payload.reason")                              \
	X(MESSAGE, "message", "the free text")                                                    \
	X(RAW, "raw", "the record as read (colours and CR stripped)")                             \
	X(FILE, "file", "file the record was read from")                                          \
	X(LINE, "line", "line in that file")                                                      \
	X(LEVEL, "level", "log level as written; of an incident: its level")                      \
	X(COMPONENT, "component", "program, logger or tag that wrote the line")                   \
	X(HOST, "host", "host named in the line")                                                 \
	X(USER, "user", "user named in the line")                                                 \
	X(PID, "pid", "process id")                                                               \
	X(PPID, "ppid", "parent process id")                                                      \
	X(CPU, "cpu", "%CPU as ps printed it (over the whole life)")                              \
	X(CPU_NOW, "cpu_now", "% of one CPU since the last snapshot (ΔTIME/Δt)")                  \
	X(MEM, "mem", "%MEM as ps printed it")                                                    \
	X(ELAPSED, "elapsed", "seconds since the process started")                                \
	X(CPUTIME, "cputime", "seconds of CPU used")                                              \
	X(STARTED, "started", "when the process started, RFC 3339 UTC")                           \
	X(COMMAND, "command", "command line")                                                     \
	X(PROGRAM, "program", "basename of the program that runs")                                \
	X(PARENT, "parent", "command line of the parent in the same snapshot")                    \
	X(PARENT_PROGRAM, "parent_program", "basename of the parent's program")                   \
	X(STATE, "state", "process state; of an incident: open, update, resolved")                \
	X(RUNTIME, "runtime", "seconds from runtime=Ns or (Ns)")                                  \
	X(BEAD, "bead", "bead named in the line")                                                 \
	X(TARGET, "target", "whom a nudge, mail or sling went to, normalised")                    \
	X(FROM, "from", "X of a nudge that says [from X], normalised")                            \
	X(SESSION, "session", "session name or id")                                               \
	X(EXIT_CODE, "exit_code", "exit code of a crashed session")                               \
	X(CONTINUATION, "continuation", "lines of the record after its first")                    \
	X(RULE, "rule", "of an incident: name of its rule")                                       \
	X(TITLE, "title", "of an incident: title of its rule")                                    \
	X(SUMMARY, "summary", "of an incident: its summary")                                      \
	X(ID, "id", "of an incident: its id")                                                     \
	X(COUNT, "count", "of an incident: events behind it")

enum builtin_field {
#define X(constant, name, description) FIELD_##constant,
	BUILTIN_FIELDS(X)
#undef X
	FIELD_BUILTIN_COUNT
};

struct field_table {
	struct map names;
	bool keep_all;
};

void field_table_init(struct field_table *t); /* with the built-in names */
void field_table_release(struct field_table *t);
/* FIELD_NONE when unknown. */
field_id field_find(const struct field_table *t, struct span name);
/* Finds or adds; FIELD_NONE when FIELD_LIMIT is reached. */
field_id field_add(struct field_table *t, struct span name);
struct span field_name(const struct field_table *t, field_id f);
static inline size_t field_count(const struct field_table *t) { return t->names.n; }
const char *field_description(field_id builtin);

#endif
