/*
 * shape.c: matches messages against tables of known sentences. A message is tried against each pattern in order; the
 * first literal byte rejects nearly all. It never looks beyond the first line of a message, and no hole
 * goes back once it was filled, so a pattern costs one pass.
 */
#include "record/shape.h"
#include "record/agent.h"

#include <strings.h>

#define HOLE_LIMIT 8
#define COMMON_LITERAL_MIN 5

struct hole {
	struct span name, text;
};

bool seconds_of(struct span text, double *ret)
{
	int64_t ns;

	if (!duration_parse(text, &ns))
		return false;
	*ret = (double)ns / (double)NS_PER_SECOND;
	return true;
}

static struct span first_line(struct span s)
{
	const char *newline = s.len ? memchr(s.ptr, '\n', s.len) : NULL;

	return newline ? span_of(s.ptr, (size_t)(newline - s.ptr)) : s;
}

/* The literal at the start of a pattern, up to its next hole or its end. */
static struct span literal_at(const char *pattern)
{
	return span_of(pattern, strcspn(pattern, "{"));
}

static bool is_number(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	}
	return s.len > 0 && s.len < 19;
}

/* The word at the start of s, without punctuation that closes it. */
static struct span word_at(struct span s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != ',')
		n++;
	while (n > 0 && memchr(".;:)\"'", s.ptr[n - 1], 6))
		n--;
	return span_of(s.ptr, n);
}

static struct span role_at(struct span s)
{
	if (s.len >= 7 && (*s.ptr | 0x20) == 'w' && strncasecmp(s.ptr, "witness", 7) == 0)
		return span_of(s.ptr, 7);
	if (s.len >= 8 && (*s.ptr | 0x20) == 'r' && strncasecmp(s.ptr, "refinery", 8) == 0)
		return span_of(s.ptr, 8);
	return SPAN("");
}

static bool hole_accepts(const struct hole *h)
{
	double seconds;

	if (h->text.len == 0)
		return false;
	if (span_equal(h->name, SPAN("reason")) || span_equal(h->name, SPAN("text")))
		return true;
	if (memchr(h->text.ptr, ' ', h->text.len))
		return false;
	if (span_equal(h->name, SPAN("pid")) || span_equal(h->name, SPAN("count")))
		return is_number(h->text);
	if (span_equal(h->name, SPAN("age")) || span_equal(h->name, SPAN("runtime")))
		return seconds_of(h->text, &seconds);
	return true;
}

/* Behind a pattern's "*". */
static bool pattern_match(const char *pattern, struct span text, struct hole *holes, size_t *ret_n)
{
	*ret_n = 0;
	for (;;) {
		struct span literal = literal_at(pattern);
		struct hole *h;
		const char *close, *found;

		if (!span_starts_with(text, literal))
			return false;
		text = span_from(text, literal.len);
		pattern += literal.len;
		if (!*pattern)
			return true;
		close = strchr(pattern, '}');
		if (!close || *ret_n == HOLE_LIMIT)
			return false;
		h = &holes[(*ret_n)++];
		h->name = span_of(pattern + 1, (size_t)(close - pattern - 1));
		pattern = close + 1;
		literal = literal_at(pattern);
		if (span_equal(h->name, SPAN("role"))) {
			h->text = role_at(text);
		} else if (literal.len > 0) {
			found = memmem(text.ptr, text.len, literal.ptr, literal.len);
			if (!found)
				return false;
			h->text = span_of(text.ptr, (size_t)(found - text.ptr));
		} else if (span_equal(h->name, SPAN("reason"))) {
			h->text = text;
		} else {
			h->text = word_at(text);
		}
		if (!hole_accepts(h))
			return false;
		text = span_from(text, h->text.len);
	}
}

static bool shape_match(const char *pattern, struct span line, struct hole *holes, size_t *ret_n)
{
	struct span literal;

	if (*pattern != '*' && *pattern != '{' && (line.len == 0 || *line.ptr != *pattern))
		return false;
	if (*pattern != '*')
		return pattern_match(pattern, line, holes, ret_n);
	pattern++;
	literal = literal_at(pattern);
	for (;;) {
		const char *found = memmem(line.ptr, line.len, literal.ptr, literal.len);

		if (!found)
			return false;
		line = span_from(line, (size_t)(found - line.ptr));
		if (pattern_match(pattern, line, holes, ret_n))
			return true;
		line = span_from(line, 1);
	}
}

static void add_role_agent(struct event *e, struct span rig, struct span role)
{
	char *text = arena_alloc(&e->arena, rig.len + 1 + role.len);

	memcpy(text, rig.ptr, rig.len);
	text[rig.len] = '/';
	for (size_t i = 0; i < role.len; i++)
		text[rig.len + 1 + i] = (char)(role.ptr[i] | 0x20);
	agent_add(e, span_of(text, rig.len + 1 + role.len));
}

static void add_holes(const struct shape *shape, const struct shape_fields *f, const struct hole *holes, size_t n,
		      struct event *e)
{
	struct span rig = SPAN(""), role = SPAN(""), agent = span_from_string(shape->agent);
	double seconds;

	for (size_t i = 0; i < n; i++) {
		struct span name = holes[i].name, text = holes[i].text;

		if (span_equal(name, SPAN("agent")))
			agent = text;
		else if (span_equal(name, SPAN("rig")))
			rig = text;
		else if (span_equal(name, SPAN("role")))
			role = text;
		else if (span_equal(name, SPAN("bead")))
			event_add(e, FIELD_BEAD, text, VALUE_STRING);
		else if (span_equal(name, SPAN("session")))
			event_add(e, FIELD_SESSION, text, VALUE_STRING);
		else if (span_equal(name, SPAN("state")))
			event_add(e, FIELD_STATE, text, VALUE_STRING);
		else if (span_equal(name, SPAN("program")))
			event_add(e, FIELD_PROGRAM, text, VALUE_STRING);
		else if (span_equal(name, SPAN("reason")))
			event_add(e, FIELD_REASON, text, VALUE_STRING);
		else if (span_equal(name, SPAN("pid")))
			event_add(e, FIELD_PID, text, VALUE_NUMBER);
		else if (span_equal(name, SPAN("count")))
			event_add(e, FIELD_COUNT, text, VALUE_NUMBER);
		else if (span_equal(name, SPAN("age")) && seconds_of(text, &seconds))
			event_add_number(e, f->age, seconds);
		else if (span_equal(name, SPAN("runtime")) && seconds_of(text, &seconds))
			event_add_number(e, FIELD_RUNTIME, seconds);
	}
	if (rig.len > 0 && role.len > 0)
		add_role_agent(e, rig, role);
	else if (agent.len > 0)
		agent_add(e, agent);
	if (rig.len > 0)
		event_set(e, FIELD_RIG, rig, VALUE_STRING);
}

bool shapes_apply(const struct shape *shapes, size_t n, const struct shape_fields *f, struct span message,
		  struct event *e)
{
	struct span line = first_line(message);
	struct hole holes[HOLE_LIMIT];
	size_t n_holes;

	for (size_t i = 0; i < n; i++) {
		if (shape_match(shapes[i].pattern, line, holes, &n_holes)) {
			event_add(e, FIELD_TYPE, span_from_string(shapes[i].type), VALUE_STRING);
			add_holes(&shapes[i], f, holes, n_holes, e);
			return true;
		}
	}
	return false;
}

static bool pattern_holds(const char *pattern, struct span text)
{
	for (const char *p = pattern + (*pattern == '*'); *p;) {
		struct span literal = literal_at(p);

		if (memmem(literal.ptr, literal.len, text.ptr, text.len))
			return true;
		p += literal.len;
		if (*p)
			p = strchr(p, '}') + 1;
	}
	return false;
}

/* Do all shapes of this type hold the text? */
static bool all_hold(const struct shape *shapes, size_t n, struct span type, struct span text)
{
	for (size_t i = 0; i < n; i++) {
		if (span_equal(span_from_string(shapes[i].type), type) && !pattern_holds(shapes[i].pattern, text))
			return false;
	}
	return true;
}

struct span shapes_literal(const struct shape *shapes, size_t n, struct span type)
{
	struct span best = SPAN("");

	/* The longest part of the first shape's literals that the others hold too: short texts, once a rule. */
	for (size_t i = 0; i < n; i++) {
		if (!span_equal(span_from_string(shapes[i].type), type))
			continue;
		for (const char *p = shapes[i].pattern + (*shapes[i].pattern == '*'); *p;) {
			struct span literal = literal_at(p);

			for (size_t from = 0; from < literal.len; from++) {
				while (from + best.len < literal.len &&
				       all_hold(shapes, n, type, span_of(literal.ptr + from, best.len + 1)))
					best = span_of(literal.ptr + from, best.len + 1);
			}
			p += literal.len;
			if (*p)
				p = strchr(p, '}') + 1;
		}
		break;
	}
	return best.len >= COMMON_LITERAL_MIN ? best : SPAN("");
}
