/*
 * json_event.h: an event from a line of JSON, whoever wrote it. Every member becomes a field of its dotted name; what is
 * known under many names (msg, severity, hostname …) gets tocsin's name besides. Internal to record/.
 */
#ifndef TOCSIN_RECORD_JSON_EVENT_H
#define TOCSIN_RECORD_JSON_EVENT_H

#include "record/format.h"

/* Members that formats look at; the first value of each, unescaped; ptr is NULL where there is none. */
enum json_known {
	KNOWN_TYPE,
	KNOWN_ACTOR,
	KNOWN_AGENT,
	KNOWN_RIG,
	KNOWN_P_AGENT, /* payload.agent, and so on: all from here on begin so, and none before */
	KNOWN_P_BEAD,
	KNOWN_P_MESSAGE,
	KNOWN_P_POLECAT,
	KNOWN_P_REASON,
	KNOWN_P_RIG,
	KNOWN_P_SESSION,
	KNOWN_P_SESSION_ID,
	KNOWN_P_SUBJECT,
	KNOWN_P_TARGET,
	KNOWN_P_TO,
	KNOWN_P_TOPIC,
	KNOWN_COUNT
};

/* The stamp: the first of ts, time, timestamp … on the outermost level that is one. False when there is none. */
bool json_event_stamp(const struct format_context *c, struct span line, int64_t *ret_time);

/*
 * Adds all members to the event; false when the line is no JSON object (the event is half filled then). The members time, source, raw,
 * file and line of the outermost object are tocsin's own names: they are found as record.time and so on. agent and rig are not
 * added but left in `known`: what they mean is the format's to say.
 */
bool json_event_fields(const struct format_context *c, struct span raw, struct event *e, struct span known[KNOWN_COUNT]);

/* A whole event of a line that no format knows better. */
enum parse_result json_event_parse(const struct format_context *c, struct span raw, struct event *e);

#endif
