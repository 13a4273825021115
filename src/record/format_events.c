/*
 * format_events.c: .events.jsonl, gt's own events: {"ts","source","type","actor","payload":{…},"visibility"}. All members
 * are fields by their dotted names (actor, payload.reason …); besides, an event says whom it happened to in the words that
 * the town log uses for it, so that one rule can read both:
 *
 *	type            agent                                 other fields
 *	kill            payload.rig / payload.target          target the same
 *	spawn           payload.rig / payload.polecat
 *	session_death   payload.agent
 *	nudge           payload.target, the one who is nudged  target the same; from: X of "[from X]", else actor
 *	sling, mail     actor                                 target: payload.target, payload.to
 *	handoff         actor                                 reason: payload.subject
 *	any other       payload.agent, else actor
 *
 * reason, bead and session come from the payload; message is its message, reason, subject or topic; rig is payload.rig
 * where it says one, else the agent's.
 */
#include "record/agent.h"
#include "record/json_event.h"
#include "record/stamp.h"

#define HEAD "{\"ts\":\""
#define HEAD_LENGTH (sizeof HEAD - 1)

static bool events_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	const char *stamp = line.ptr + HEAD_LENGTH;

	/* gt writes the stamp first, to the second and in UTC. */
	if (line.len > HEAD_LENGTH + STAMP_LENGTH + 1 && memcmp(line.ptr, HEAD, HEAD_LENGTH) == 0 &&
	    stamp[STAMP_LENGTH] == 'Z' && stamp[STAMP_LENGTH + 1] == '"') {
		struct civil civil;

		if (stamp_cached(&c->stamps, stamp, ret_time))
			return true;
		if (civil_parse(span_of(stamp, STAMP_LENGTH + 1), &civil) == STAMP_LENGTH + 1) {
			*ret_time = stamp_resolve(c, &civil);
			stamp_keep(c, &c->stamps, stamp, STAMP_LENGTH, &civil, *ret_time);
			return true;
		}
	}
	json_event_stamp(c, line, ret_time);
	return true;
}

static void add(struct event *e, field_id f, struct span text)
{
	if (text.len > 0)
		event_add(e, f, text, VALUE_STRING);
}

/* "RIG/NAME", unless the name says its rig itself or belongs to the town. */
static struct span with_rig(struct span rig, struct span name, struct arena *arena)
{
	char *joined;

	if (rig.len == 0 || name.len == 0 || memchr(name.ptr, '/', name.len) || span_equal(rig, SPAN("town")) ||
	    agent_parse(name, arena).role.len > 0)
		return name;
	joined = arena_alloc(arena, rig.len + 1 + name.len);
	memcpy(joined, rig.ptr, rig.len);
	joined[rig.len] = '/';
	memcpy(joined + rig.len + 1, name.ptr, name.len);
	return span_of(joined, rig.len + 1 + name.len);
}

static struct span first_of(const struct span *known, const enum json_known *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (known[names[i]].len > 0)
			return known[names[i]];
	}
	return SPAN("");
}

static enum parse_result events_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	static const enum json_known text_names[] = { KNOWN_P_MESSAGE, KNOWN_P_REASON, KNOWN_P_SUBJECT, KNOWN_P_TOPIC };
	static const enum json_known session_names[] = { KNOWN_P_SESSION, KNOWN_P_SESSION_ID };
	struct span known[KNOWN_COUNT], type, name, target, sender;
	bool nudge;

	(void)r;
	if (raw.len == 0)
		return PARSE_NOTHING;
	if (!json_event_fields(c, raw, e, known))
		return PARSE_UNPARSED;
	type = known[KNOWN_TYPE].ptr ? known[KNOWN_TYPE] : SPAN("");
	nudge = span_equal(type, SPAN("nudge"));
	target = known[KNOWN_P_TARGET].len > 0 ? known[KNOWN_P_TARGET] : known[KNOWN_P_TO];

	name = known[KNOWN_P_AGENT];
	if (nudge || span_equal(type, SPAN("kill")))
		name = target;
	else if (span_equal(type, SPAN("spawn")))
		name = known[KNOWN_P_POLECAT];
	if (name.len > 0) {
		agent_add(e, with_rig(known[KNOWN_P_RIG], name, &e->arena));
		event_set(e, FIELD_AGENT_RAW, name, VALUE_STRING);
	} else {
		name = known[KNOWN_ACTOR].len > 0 ? known[KNOWN_ACTOR] : known[KNOWN_AGENT];
		if (name.len > 0)
			agent_add(e, name);
	}
	if (target.len > 0)
		add(e, FIELD_TARGET, agent_parse(with_rig(known[KNOWN_P_RIG], target, &e->arena), &e->arena).normal);
	if (nudge) {
		sender = known[KNOWN_P_REASON].len > 0 ? nudge_sender(known[KNOWN_P_REASON]) : SPAN("");
		if (sender.len == 0)
			sender = known[KNOWN_ACTOR];
		if (sender.len > 0)
			add(e, FIELD_FROM, agent_parse(sender, &e->arena).normal);
	}
	if (known[KNOWN_P_RIG].len > 0)
		event_set(e, FIELD_RIG, known[KNOWN_P_RIG], VALUE_STRING);
	else if (known[KNOWN_RIG].len > 0)
		event_set(e, FIELD_RIG, known[KNOWN_RIG], VALUE_STRING);
	if (span_equal(type, SPAN("handoff")) && known[KNOWN_P_REASON].len == 0)
		known[KNOWN_P_REASON] = known[KNOWN_P_SUBJECT];
	add(e, FIELD_REASON, known[KNOWN_P_REASON]);
	add(e, FIELD_BEAD, known[KNOWN_P_BEAD]);
	add(e, FIELD_SESSION, first_of(known, session_names, 2));
	if (!event_first(e, FIELD_MESSAGE))
		add(e, FIELD_MESSAGE, first_of(known, text_names, 4));
	return PARSE_EVENT;
}

const struct format_ops format_events = {
	.begins = events_begins,
	.parse = events_parse,
	.single_line = true,
};
