/*
 * format_json.c: JSON lines, of any program. Which member is the stamp, the text, the level is decided by its name on the
 * outermost level, from the lists below. A line that is no JSON object is not understood.
 */
#include "record/agent.h"
#include "record/json.h"
#include "record/json_event.h"
#include "record/stamp.h"

/* An array row: a span of a literal. */
#define NAME(literal) { literal, sizeof(literal) - 1 }

static const struct span stamp_names[] = {
	NAME("ts"), NAME("time"), NAME("timestamp"), NAME("@timestamp"), NAME("datetime"), NAME("date"), NAME("asctime"),
	NAME("__REALTIME_TIMESTAMP"),
};

/* Names that other programs use for a field of ours; ours is added when the line has not got it itself. */
#define ALIASES(X)                                                                                                             \
	X("msg", MESSAGE) X("text", MESSAGE) X("MESSAGE", MESSAGE)                                                             \
	X("severity", LEVEL) X("lvl", LEVEL) X("levelname", LEVEL) X("PRIORITY", LEVEL)                                        \
	X("logger", COMPONENT) X("module", COMPONENT) X("SYSLOG_IDENTIFIER", COMPONENT)                                        \
	X("hostname", HOST) X("_HOSTNAME", HOST) X("_PID", PID) X("event", TYPE)
static const struct {
	struct span name;
	enum builtin_field field;
} aliases[] = {
#define X(literal, field) { NAME(literal), FIELD_##field },
	ALIASES(X)
#undef X
};
#define ALIAS_COUNT (sizeof aliases / sizeof *aliases)

/* Does the name begin like one of them? Most do not, and need not be compared. */
static inline bool may_be_alias(struct span name)
{
	uint64_t letters = 0;

#define X(literal, field) letters |= UINT64_C(1) << ((literal)[0] & 63);
	ALIASES(X)
#undef X
	return name.len > 0 && (letters >> (*name.ptr & 63) & 1);
}

static const struct span known_names[KNOWN_COUNT] = {
	[KNOWN_TYPE] = NAME("type"),
	[KNOWN_ACTOR] = NAME("actor"),
	[KNOWN_AGENT] = NAME("agent"),
	[KNOWN_RIG] = NAME("rig"),
	[KNOWN_P_AGENT] = NAME("payload.agent"),
	[KNOWN_P_BEAD] = NAME("payload.bead"),
	[KNOWN_P_MESSAGE] = NAME("payload.message"),
	[KNOWN_P_POLECAT] = NAME("payload.polecat"),
	[KNOWN_P_REASON] = NAME("payload.reason"),
	[KNOWN_P_RIG] = NAME("payload.rig"),
	[KNOWN_P_SESSION] = NAME("payload.session"),
	[KNOWN_P_SESSION_ID] = NAME("payload.session_id"),
	[KNOWN_P_SUBJECT] = NAME("payload.subject"),
	[KNOWN_P_TARGET] = NAME("payload.target"),
	[KNOWN_P_TO] = NAME("payload.to"),
	[KNOWN_P_TOPIC] = NAME("payload.topic"),
};

/* Whole numbers, maybe with a fraction, as seconds since 1970; so large that they cannot be seconds: as ms, µs or ns. */
static bool epoch_stamp(struct span s, int64_t *ret_time)
{
	int64_t v = 0, unit_ns;
	size_t i = 0;

	for (; i < s.len && stamp_is_digit(s.ptr[i]); i++) {
		if (i == 19 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.ptr[i] - '0', &v))
			return false;
	}
	if (i < 9)
		return false; /* before 1973: rather a number of something else */
	unit_ns = v < 100000000000 ? NS_PER_SECOND : v < 100000000000000 ? 1000000 : v < 100000000000000000 ? 1000 : 1;
	if (__builtin_mul_overflow(v, unit_ns, &v))
		return false;
	if (i < s.len && s.ptr[i] == '.' && i + 1 < s.len) {
		int64_t digit_ns = unit_ns / 10;

		for (i++; i < s.len && stamp_is_digit(s.ptr[i]); i++, digit_ns /= 10)
			v += (s.ptr[i] - '0') * digit_ns;
	}
	*ret_time = v;
	return i == s.len;
}

bool json_event_stamp(const struct format_context *c, struct span line, int64_t *ret_time)
{
	struct json_scanner s;
	struct json_leaf leaf;

	json_scan(&s, line);
	while (json_next(&s, &leaf) == JSON_LEAF) {
		struct civil civil;
		bool named = false;

		if (leaf.depth != 1 || leaf.escaped)
			continue;
		for (size_t i = 0; i < sizeof stamp_names / sizeof *stamp_names; i++)
			named |= span_equal(leaf.name, stamp_names[i]);
		if (!named)
			continue;
		if (leaf.kind == VALUE_STRING && civil_parse(leaf.text, &civil) > 0) {
			*ret_time = stamp_resolve(c, &civil);
			return true;
		}
		if ((leaf.kind == VALUE_STRING || leaf.kind == VALUE_NUMBER) && epoch_stamp(leaf.text, ret_time))
			return true;
	}
	return false;
}

/* Names of the outermost level that mean something else to tocsin. */
static field_id member_field(const struct format_context *c, const struct json_leaf *leaf)
{
	char name[16] = "record.";
	field_id f = context_field(c, leaf->name);

	switch (f) {
	case FIELD_TIME:
	case FIELD_SOURCE:
	case FIELD_RAW:
	case FIELD_FILE:
	case FIELD_LINE:
		memcpy(name + 7, leaf->name.ptr, leaf->name.len);
		return context_field(c, span_of(name, 7 + leaf->name.len));
	case FIELD_AGENT:
	case FIELD_RIG:
		return FIELD_NONE;
	default:
		return f;
	}
}

bool json_event_fields(const struct format_context *c, struct span raw, struct event *e, struct span known[KNOWN_COUNT])
{
	struct json_scanner s;
	struct json_leaf leaf;
	struct value alias[ALIAS_COUNT];
	bool has_alias[ALIAS_COUNT] = { false };
	enum json_result result;

	memset(known, 0, KNOWN_COUNT * sizeof *known);
	json_scan(&s, raw);
	while ((result = json_next(&s, &leaf)) == JSON_LEAF) {
		struct span text = json_leaf_text(&leaf, &e->arena);

		event_add(e, member_field(c, &leaf), text, leaf.kind);
		if (leaf.kind == VALUE_NULL)
			continue;
		bool in_payload = span_starts_with(leaf.name, SPAN("payload."));
		for (size_t i = in_payload ? KNOWN_P_AGENT : 0, end = in_payload ? KNOWN_COUNT : KNOWN_P_AGENT; i < end; i++) {
			if (!known[i].ptr && span_equal(leaf.name, known_names[i]))
				known[i] = text;
		}
		if (leaf.depth != 1 || !may_be_alias(leaf.name))
			continue;
		for (size_t i = 0; i < ALIAS_COUNT; i++) {
			if (!has_alias[i] && span_equal(leaf.name, aliases[i].name)) {
				alias[i] = (struct value){ .text = text, .kind = (uint8_t)leaf.kind };
				has_alias[i] = true;
			}
		}
	}
	for (size_t i = 0; i < ALIAS_COUNT; i++) {
		if (has_alias[i] && !event_first(e, (field_id)aliases[i].field))
			event_add(e, (field_id)aliases[i].field, alias[i].text, (enum value_kind)alias[i].kind);
	}
	return result == JSON_END;
}

enum parse_result json_event_parse(const struct format_context *c, struct span raw, struct event *e)
{
	struct span known[KNOWN_COUNT];

	if (raw.len == 0)
		return PARSE_NOTHING;
	if (!json_event_fields(c, raw, e, known))
		return PARSE_UNPARSED;
	if (known[KNOWN_AGENT].len > 0)
		agent_add(e, known[KNOWN_AGENT]);
	if (known[KNOWN_RIG].len > 0)
		event_set(e, FIELD_RIG, known[KNOWN_RIG], VALUE_STRING);
	return PARSE_EVENT;
}

static bool json_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	json_event_stamp(c, line, ret_time);
	return true;
}

static enum parse_result json_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	(void)r;
	return json_event_parse(c, raw, e);
}

const struct format_ops format_json = {
	.begins = json_begins,
	.parse = json_parse,
	.single_line = true,
};
