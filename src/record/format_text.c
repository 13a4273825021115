/*
 * format_text.c: text lines that nobody specified: overseer and guardian (each town's own scripts), syslog, and text
 * (any log). Every line is a record; one without a stamp takes that of the line before it, as a line of a
 * traceback does. They differ in little:
 *
 *	            JSON lines   host and program behind any stamp   a line without a stamp
 *	overseer    yes          no                                  is fine
 *	guardian    yes          no                                  is fine
 *	text        yes          no                                  is fine
 *	syslog      no           yes                                 is not understood
 *
 * component is the tag, the logger, a leading name like GT-GUARDIAN: or the program, whichever comes first in this list.
 */
#include "base/memory.h"
#include "record/head.h"
#include "record/json_event.h"
#include "record/stamp.h"
#include "record/text_facts.h"

#include <stdlib.h>

struct text_state {
	struct shape_fields fields;
};

static void *text_state_new(struct format_context *c)
{
	struct text_state *s = xcalloc(1, sizeof *s);

	s->fields.age = context_field(c, SPAN("age"));
	return s;
}

/* Can nothing behind 19 bytes of a stamp change what it says? */
static bool ends_plainly(struct span rest)
{
	return rest.len == 0 || *rest.ptr == ']' ||
	       (*rest.ptr == ' ' && !span_starts_with(rest, SPAN(" UTC")) && !span_starts_with(rest, SPAN(" GMT")));
}

static bool text_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	size_t at = line.len > 0 && *line.ptr == '[';
	struct head head;

	if (line.len >= at + STAMP_LENGTH && stamp_cached(&c->stamps, line.ptr + at, ret_time) &&
	    ends_plainly(span_from(line, at + STAMP_LENGTH)))
		return true;
	*ret_time = TIME_NONE;
	line = stamp_skip_colours(line);
	if (line.len > 0 && *line.ptr == '{') {
		if (json_event_stamp(c, line, ret_time))
			stamp_pass(&c->stamps);
		return true;
	}
	head_prefix(line, &head);
	if (!head.stamped)
		return true;
	*ret_time = stamp_resolve(c, &head.stamp);
	if (head.stamp_len == STAMP_LENGTH && !head.stamp.has_zone)
		stamp_keep(c, &c->stamps, head.stamp_at, STAMP_LENGTH, &head.stamp, *ret_time);
	else
		stamp_pass(&c->stamps);
	return true;
}

static void add(struct event *e, field_id f, struct span text)
{
	if (text.len > 0)
		event_add(e, f, text, VALUE_STRING);
}

/* "GT-GUARDIAN" of "GT-GUARDIAN: …": capitals with a hyphen. */
static struct span leading_name(struct span message)
{
	size_t n = 0;
	bool hyphen = false;

	while (n < message.len && n < 32 && ((message.ptr[n] >= 'A' && message.ptr[n] <= 'Z') || message.ptr[n] == '-'))
		hyphen |= message.ptr[n++] == '-';
	return hyphen && n < message.len && message.ptr[n] == ':' ? span_of(message.ptr, n) : SPAN("");
}

static enum parse_result parse_line(struct format_context *c, struct span raw, bool syslog, struct event *e)
{
	struct text_state *s = c->state;
	struct span component;
	struct head head;

	head_parse(raw, syslog, &head);
	if (syslog && !head.stamped)
		return PARSE_UNPARSED;
	add(e, FIELD_MESSAGE, head.message);
	add(e, FIELD_LEVEL, head.level);
	add(e, FIELD_HOST, head.host);
	add(e, FIELD_PROGRAM, head.program);
	component = leading_name(head.message);
	add(e, FIELD_COMPONENT, head.tag.len > 0      ? head.tag
				: head.logger.len > 0 ? head.logger
				: component.len > 0   ? component
						      : head.program);
	text_facts_add(e, &s->fields, head.message);
	if (head.pid.len > 0 && !event_first(e, FIELD_PID))
		event_add(e, FIELD_PID, head.pid, VALUE_NUMBER);
	return PARSE_EVENT;
}

static bool is_blank_line(struct span raw)
{
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] != ' ' && raw.ptr[i] != '\t')
			return false;
	}
	return true;
}

static enum parse_result text_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	struct span start = stamp_skip_colours(raw);

	(void)r;
	if (is_blank_line(raw))
		return PARSE_NOTHING;
	if (*start.ptr == '{' && json_event_parse(c, raw, e) == PARSE_EVENT) {
		const struct text_state *s = c->state;

		if (!event_first(e, FIELD_TYPE))
			text_facts_add(e, &s->fields, event_text(e, FIELD_MESSAGE));
		return PARSE_EVENT;
	}
	event_drop_values(e); /* not JSON after all: what was taken from it goes, the line is text */
	return parse_line(c, raw, false, e);
}

static enum parse_result syslog_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	(void)r;
	return is_blank_line(raw) ? PARSE_NOTHING : parse_line(c, raw, true, e);
}

#define TEXT_FORMAT(parse_function)                     \
	{                                               \
		.begins = text_begins,                  \
		.parse = (parse_function),              \
		.single_line = true,                    \
		.state_new = text_state_new,            \
		.state_free = free,                     \
	}

const struct format_ops format_overseer = TEXT_FORMAT(text_parse);
const struct format_ops format_guardian = TEXT_FORMAT(text_parse);
const struct format_ops format_text = TEXT_FORMAT(text_parse);
const struct format_ops format_syslog = TEXT_FORMAT(syslog_parse);
