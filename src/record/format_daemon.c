/*
 * format_daemon.c: daemon/daemon.log, "2026/01/23 17:26:50 message", what Go's log package writes. A line without
 * a stamp continues the message before it. The daemon writes sentences, no types; those that rules need are in the table
 * below, and the first that fits gives the type. A message that fits none has no type.
 *
 * Besides: level is a leading Error, Warning and the like; component a leading name ("Convoy: …"); pid any "PID N";
 * `age` (seconds) how old or how long, as the sentence says it.
 */
#include "base/memory.h"
#include "record/head.h"
#include "record/literal.h"
#include "record/shape.h"
#include "record/stamp.h"
#include "record/text_facts.h"

#include <stdlib.h>

static const struct shape daemon_shapes[] = {
	/* The deacon and its heartbeat. */
	{ "deacon_stale", "Deacon heartbeat is stale ({age} old)", "deacon" },
	{ "deacon_restarting", "Deacon stuck for {age} - restarting session", "deacon" },
	{ "deacon_restarting", "Deacon started {age} ago but hasn't written heartbeat - restarting", "deacon" },
	{ "deacon_nudged", "Deacon stuck for {age} - nudging session", "deacon" },
	{ "deacon_grace", "Deacon started recently ({age} ago), skipping", "deacon" },
	{ "deacon_grace", "Deacon started {age} ago, awaiting first heartbeat", "deacon" },
	{ "deacon_started", "Deacon started successfully", "deacon" },
	{ "deacon_starting", "Deacon not running, starting", "deacon" },
	{ "deacon_killing", "Killing stuck Deacon session {session}", "deacon" },
	{ "stuck_deacon", "STUCK DEACON: heartbeat stale for {age}", "deacon" },
	{ "stuck_deacon", "STUCK DEACON: no progress for {age}", "deacon" },
	{ "crash_loop", "Deacon is in crash loop", "deacon" },
	{ "crash_loop", "Deacon is in crash-loop state", "deacon" },
	{ "crash_loop", "{agent} is in crash loop", NULL },
	{ "restart_backoff", "Deacon restart in backoff, {age} remaining", "deacon" },
	/* Sessions of witnesses, refineries, mayor and boot. */
	{ "session_started", "{role} session for {rig} started successfully", NULL },
	{ "session_started", "Mayor started successfully", "mayor" },
	{ "session_started", "Boot spawned successfully", "boot" },
	{ "session_exists", "Error creating {role} session for {rig}: session already exists", NULL },
	{ "session_failed", "Error creating {role} session for {rig}: {reason}", NULL },
	{ "session_failed", "Error starting {role} for {rig}: {reason}", NULL },
	{ "session_failed", "Error starting Deacon: {reason}", "deacon" },
	{ "session_failed", "Error starting Mayor: {reason}", "mayor" },
	{ "session_failed", "Error spawning Boot: {reason}", "boot" },
	{ "session_hung", "{role} for {rig} is hung (no activity for {age}), killing", NULL },
	{ "session_running", "{role} for {rig} already running, skipping spawn", NULL },
	{ "session_running", "Boot already running, skipping spawn", "boot" },
	{ "session_starting", "{role} for {rig} not running per agent bead, starting", NULL },
	{ "session_starting", "{role} for {rig} not running, starting", NULL },
	{ "session_starting", "Spawning Boot for triage", "boot" },
	/* Polecats. */
	{ "crash_detected", "CRASH DETECTED: polecat {agent} has hook_bead={bead} but session {session} is dead", NULL },
	{ "crash_detected", "CRASH DETECTED: polecat {agent} has hook_bead={bead} but agent is dead", NULL },
	{ "mass_death", "MASS DEATH DETECTED: {count} sessions died in {age}: {reason}", NULL },
	{ "mass_death", "MASS DEATH DETECTED: {count} sessions died in {age}", NULL },
	{ "reaping", "Reaping idle polecat {agent} (state={state}, idle {age}", NULL },
	{ "reaping", "Reaping idle polecat {agent} (state={state}", NULL },
	{ "agent_dead", "Marked agent {agent} as dead", NULL },
	{ "agent_dead", "Agent {agent} appears dead (state={state}, last update {age} ago", NULL },
	{ "polecat_restarted", "Successfully restarted crashed polecat {agent}", NULL },
	{ "sigkill_survived", "*PID {pid} ({program}) survived SIGKILL", NULL },
	{ "sigkill_survived", "*PID {pid} survived SIGKILL", NULL },
	/* The daemon itself. */
	{ "heartbeat_starting", "Heartbeat starting", NULL },
	{ "heartbeat_complete", "Heartbeat complete (#{count}", NULL },
	{ "daemon_starting", "Daemon starting (PID {pid})", NULL },
	{ "daemon_running", "Daemon running", NULL },
	{ "daemon_stopping", "Daemon shutting down", NULL },
	{ "daemon_stopping", "Received signal {reason}, shutting down", NULL },
	{ "daemon_stopped", "Daemon stopped", NULL },
	{ "daemon_failed", "Daemon startup failed (PID {pid}): {reason}", NULL },
	{ "daemon_failed", "Daemon exiting with error (PID {pid}): {reason}", NULL },
	{ "shutdown_in_progress", "Shutdown in progress", NULL },
	/* Dolt: any of these means that the store cannot be reached or is full. */
	{ "dolt_unavailable", "*dolt circuit breaker is open", NULL },
	{ "dolt_unavailable", "*dolt server at connection capacity", NULL },
	{ "dolt_unavailable", "*Dolt server at connection capacity", NULL },
	{ "dolt_unavailable", "*Client rejected", NULL },
	{ "dolt_unavailable", "*Dolt server still unreachable", NULL },
	{ "dolt_unavailable", "*store unavailable", NULL },
	{ "no_wisp_config", "Warning: no wisp config for {rig}", NULL },
};
#define SHAPE_COUNT (sizeof daemon_shapes / sizeof *daemon_shapes)

struct daemon_state {
	struct shape_fields fields;
};

static void *daemon_state_new(struct format_context *c)
{
	struct daemon_state *s = xcalloc(1, sizeof *s);

	s->fields.age = context_field(c, SPAN("age"));
	return s;
}

static bool daemon_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	return stamp_at_start(c, &c->stamps, line, ret_time);
}

/* "convoy watcher" of "convoy watcher: …": one or two words, not all capitals. */
static struct span leading_component(struct span message)
{
	size_t n = 0, words = 1;
	bool lower = false;

	for (; n < message.len && n < 32 && message.ptr[n] != ':'; n++) {
		char ch = message.ptr[n];

		if (ch == ' ')
			words++;
		else if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z') && ch != '_' && ch != '-')
			return SPAN("");
		lower |= ch >= 'a' && ch <= 'z';
	}
	if (n == 0 || n + 1 >= message.len || message.ptr[n] != ':' || message.ptr[n + 1] != ' ' || words > 2 || !lower)
		return SPAN("");
	return level_word(message) ? SPAN("") : span_of(message.ptr, n);
}

static enum parse_result daemon_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	struct daemon_state *s = c->state;
	struct span message = stamp_skip_colours(raw), component;
	const char *newline;
	size_t n;

	if (message.len == 0)
		return PARSE_NOTHING;
	if (r->flags & RECORD_STAMPED) {
		message = span_from(message, stamp_length(message));
		if (message.len > 0)
			message = span_from(message, 1);
	}
	/* Without a stamp: the file begins in the middle of a message. It is text all the same. */
	event_add(e, FIELD_MESSAGE, message, VALUE_STRING);
	newline = message.len ? memchr(message.ptr, '\n', message.len) : NULL;
	if (newline)
		event_add(e, FIELD_CONTINUATION, span_of(newline + 1, (size_t)(message.ptr + message.len - newline - 1)),
			  VALUE_STRING);
	n = level_word(message);
	if (n > 0 && n < message.len && (message.ptr[n] == ':' || message.ptr[n] == ' '))
		event_add(e, FIELD_LEVEL, span_of(message.ptr, n), VALUE_STRING);
	component = leading_component(message);
	if (component.len > 0)
		event_add(e, FIELD_COMPONENT, component, VALUE_STRING);
	shapes_apply(daemon_shapes, SHAPE_COUNT, &s->fields, message, e);
	if (!event_first(e, FIELD_PID))
		text_facts_add_pid(e, message);
	return PARSE_EVENT;
}

struct span daemon_type_literal(struct span type)
{
	return shapes_literal(daemon_shapes, SHAPE_COUNT, type);
}

const struct format_ops format_daemon = {
	.begins = daemon_begins,
	.parse = daemon_parse,
	.stamp_first = true,
	.state_new = daemon_state_new,
	.state_free = free,
};
