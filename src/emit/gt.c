/*
 * gt.c: state changes as lines of a town's .events.jsonl, so that `gt feed` shows them among the town's own events.
 *
 * What the town's readers do decides the shape: of an unknown type they show payload.message, as it is, on a terminal; they
 * filter by payload.rig; and a follower gives up at a line of 64 KiB. So the message is made safe for a terminal here,
 * every value that comes from a log is cut, and the payload's names are sorted, as the town writes them.
 */
#include "emit/formats.h"
#include "emit/json_writer.h"
#include "base/quote.h"

/*
 * In bytes before JSON escapes, which make six of one at worst: key 16 × 2 × 1.5 KiB, id 6 KiB, message 2 KiB (nothing in it
 * needs a long escape), rig and rule 3 KiB: less than 60 KiB.
 */
#define MESSAGE_LIMIT 1024
#define VALUE_LIMIT 256
#define KEY_LIMIT 16

static const char *type_of(enum incident_state s)
{
	switch (s) {
	case INCIDENT_OPEN:
		return "incident_open";
	case INCIDENT_UPDATE:
		return "incident_update";
	case INCIDENT_RESOLVED:
		return "incident_resolved";
	}
	return "incident_update";
}

/* "critical kill_storm: 25 unplanned kills in 1 h", "resolved kill_storm: …" */
static void message(struct buffer *out, const struct change *c)
{
	struct buffer text = BUFFER_INIT, safe = BUFFER_INIT;

	buffer_printf(&text, "%s ", c->state == INCIDENT_RESOLVED ? "resolved" : level_name(c->rule->level));
	buffer_append_span(&text, utf8_cut(span_from_string(c->rule->name), VALUE_LIMIT));
	buffer_append_string(&text, ": ");
	buffer_append_span(&text, utf8_cut(c->summary, MESSAGE_LIMIT));
	quote_terminal(&safe, buffer_span(&text));
	json_span(out, "message", utf8_cut(buffer_span(&safe), MESSAGE_LIMIT));
	buffer_release(&text);
	buffer_release(&safe);
}

static const struct named_value *rig_among(const struct named_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal(values[i].name, SPAN("rig")))
			return &values[i];
	return NULL;
}

/* The key's rig; else that of the newest event, unless the incident is about the whole town. NULL: none. */
static const struct named_value *rig_of(const struct change *c)
{
	const struct named_value *rig = rig_among(c->key, c->n_key);

	return rig || c->n_key == 0 ? rig : rig_among(c->fields, c->n_fields);
}

void emit_gt(struct buffer *out, const struct change *c)
{
	const struct named_value *rig = rig_of(c);

	json_open(out, NULL, '{');
	json_time(out, "ts", c->time_ns);
	json_string(out, "source", "tocsin");
	json_string(out, "type", type_of(c->state));
	json_string(out, "actor", "tocsin");

	json_open(out, "payload", '{');
	json_count(out, "count", c->count);
	json_span(out, "id", utf8_cut(span_from_string(c->id), MESSAGE_LIMIT));
	json_open(out, "key", '{');
	for (size_t i = 0; i < c->n_key && i < KEY_LIMIT; i++) {
		json_name(out, utf8_cut(c->key[i].name, VALUE_LIMIT));
		json_span(out, NULL, utf8_cut(c->key[i].value, VALUE_LIMIT));
	}
	json_close(out, '}');
	json_string(out, "level", level_name(c->rule->level));
	message(out, c);
	json_time(out, "opened", c->opened_ns);
	if (rig)
		json_span(out, "rig", utf8_cut(rig->value, VALUE_LIMIT));
	json_span(out, "rule", utf8_cut(span_from_string(c->rule->name), VALUE_LIMIT));
	json_close(out, '}');

	json_string(out, "visibility", "feed");
	json_close_line(out);
}
