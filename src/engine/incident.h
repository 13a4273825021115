/*
 * incident.h: what the engine says: one state change of one incident. The fields of tocsin-incident(5).
 * Everything is borrowed from the engine and valid only inside the sink's call.
 */
#ifndef TOCSIN_ENGINE_INCIDENT_H
#define TOCSIN_ENGINE_INCIDENT_H

#include "rule/ruleset.h"

#define EVIDENCE_LIMIT 10          /* events kept for one incident: the newest */
#define EVIDENCE_TEXT_LIMIT 512    /* bytes of each, cut at a character */
#define TOP_LIMIT 10               /* values listed for one top field */

struct evidence {
	const char *source;
	const char *file;
	uint64_t line;
	int64_t time_ns;
	struct span text;  /* first line of the record, cut to the limit; may hold any byte */
};

struct top_value {
	struct span value;
	uint64_t count;
};

struct top_list {
	field_id field;
	const struct top_value *values; /* most first, equal ones by bytes; at most TOP_LIMIT */
	size_t n_values;
	uint64_t others;     /* events behind values that are not listed */
	size_t n_distinct;   /* how many values there are in all (counted up to the engine's cap) */
};

struct named_value {
	struct span name, value;
};

struct change {
	const struct rule *rule;
	enum incident_state state;
	const char *id;            /* "kill_storm-1f2e3d4c5b6a7988" */
	int64_t time_ns;           /* of this state change */
	int64_t opened_ns;
	int64_t first_ns, last_ns; /* oldest and newest event behind it */
	const struct named_value *key; /* n_key group-by values */
	size_t n_key;
	double value;              /* of the correlation now; 1 for a detection */
	const char *condition;     /* "gt 5"; "" for a detection */
	uint64_t count;            /* events behind it so far */
	struct span summary;
	const struct top_list *top;
	size_t n_top;
	const struct evidence *evidence; /* oldest first */
	size_t n_evidence;
	uint64_t evidence_dropped; /* older ones that are not kept */
	const struct named_value *fields; /* of the newest evidence event: what its format gave, not raw, time, file, line */
	size_t n_fields;
	const struct span *const *commands; /* n_commands lists of words; each list ends with a word whose ptr is NULL */
	size_t n_commands;
};

#endif
