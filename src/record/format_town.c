/*
 * format_town.c: logs/town.log, "2026-01-22 16:07:59 [kill] rig/polecats/name killed (reason)". It decides type
 * and agent from their place alone: the type stands in the first brackets, the agent is the word behind them (for types
 * that are not gt's own only when the line has gt's form for them), and no text further right can change either. Only a
 * raw newline in a field that gt does not quote can forge a line: what looks like a stamped line is a record, and nothing in the
 * file could tell it from a true one. A line without a stamp continues the record before it.
 */
#include "base/find.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "record/agent.h"
#include "record/format.h"
#include "record/literal.h"

#include <stdlib.h>

/* What stands behind the agent: the words before the brackets or the bead. */
enum detail {
	DETAIL_REASON, /* VERB (REASON) */
	DETAIL_BEAD,   /* VERB BEAD */
	DETAIL_NUDGE,  /* nudged with "…" */
	DETAIL_REST,   /* VERB TEXT */
};

static const struct town_type {
	struct span type, verb;
	struct span reason_lead; /* DETAIL_REASON: what stands in front of the reason */
	enum detail detail;
} town_types[] = {
#define T(type, verb, detail) { { type, sizeof type - 1 }, { verb, sizeof verb - 1 }, { verb "(", sizeof verb }, detail }
	T("nudge", "nudged with ", DETAIL_NUDGE),
	T("done", "completed ", DETAIL_BEAD),
	T("kill", "killed ", DETAIL_REASON),
	T("handoff", "handed off ", DETAIL_REASON),
	T("spawn", "spawned for ", DETAIL_BEAD),
	T("wake", "resumed ", DETAIL_REASON),
	T("handoff-NOPERSIST", "handoff FAILED (Dolt persistence) ", DETAIL_REASON),
	T("crash", "exited unexpectedly ", DETAIL_REASON),
	T("callback", "callback: ", DETAIL_REST),
	T("patrol_started", "started patrol ", DETAIL_REASON),
	T("polecat_checked", "checked polecat ", DETAIL_REST),
	T("polecat_nudged", "nudged polecat ", DETAIL_REASON),
	T("escalation_sent", "escalated ", DETAIL_REASON),
	T("patrol_complete", "patrol complete ", DETAIL_REASON),
	T("session_death", "session terminated ", DETAIL_REASON),
	T("mass_death", "MASS SESSION DEATH ", DETAIL_REASON),
#undef T
};
#define N_TOWN_TYPES (sizeof town_types / sizeof *town_types)

#define TYPE_PLACES_LOG2 6
struct town_memory {
	struct agent_memo agents;
	uint8_t type_at[1 << TYPE_PLACES_LOG2]; /* by hash of the type: where it is in town_types, if it is there at all */
};

/* Of 4 readable bytes. */
static inline unsigned type_hash(const char *type)
{
	uint32_t word;

	memcpy(&word, type, sizeof word);
	return word * UINT32_C(0x9E3779B1) >> (32 - TYPE_PLACES_LOG2);
}

static __attribute__((noinline)) struct town_memory *memory_new(void)
{
	struct town_memory *m = xcalloc(1, sizeof *m);

	/* Of two in one place the first, which is more common, has it. */
	for (size_t i = N_TOWN_TYPES; i-- > 0;)
		m->type_at[type_hash(town_types[i].type.ptr)] = (uint8_t)i;
	return m;
}

/* Made by who parses: most decoders only frame. */
static inline struct town_memory *memory_of(struct format_context *c)
{
	if (__builtin_expect(!c->state, 0))
		c->state = memory_new();
	return c->state;
}

static bool town_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	return stamp_at_start(c, &c->stamps, line, ret_time);
}

static struct span cut_at(struct span s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return p ? span_of(s.ptr, (size_t)(p - s.ptr)) : s;
}

/* What of s, which is a part of the record, stands in front of the record's first newline; NULL: it has none. */
static inline struct span line_of(struct span s, const char *newline)
{
	return newline && newline >= s.ptr && newline < s.ptr + s.len ? span_of(s.ptr, (size_t)(newline - s.ptr)) : s;
}

static int digit_of(char c, int base)
{
	int v = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;

	return v < base ? v : -1;
}

/* One escape of Go's %q at p (a backslash) to out; returns the bytes read, 0 when it is none: it is kept as it stands. */
static size_t unquote_escape(const char *p, const char *end, char *out, size_t *ret_written)
{
	static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
	const char *simple;
	int digits, base;
	uint32_t v = 0;

	*ret_written = 1;
	if (end - p < 2 || p[1] == '\0')
		return 0;
	simple = strchr(from, p[1]);
	if (simple) {
		*out = to[simple - from];
		return 2;
	}
	base = p[1] >= '0' && p[1] <= '7' ? 8 : 16;
	digits = base == 8 ? 3 : p[1] == 'x' ? 2 : p[1] == 'u' ? 4 : p[1] == 'U' ? 8 : 0;
	p += base == 8 ? 1 : 2;
	if (digits == 0 || end - p < digits)
		return 0;
	for (int i = 0; i < digits; i++) {
		int d = digit_of(p[i], base);

		if (d < 0)
			return 0;
		v = v * (uint32_t)base + (uint32_t)d;
	}
	if (digits <= 3) {
		if (v > 255)
			return 0;
		*out = (char)v; /* a byte, not a character: the text was cut in the middle of one */
		return 4;
	}
	if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	*ret_written = utf8_put(out, v);
	return (size_t)digits + 2;
}

static __attribute__((noinline)) struct span unquote(struct span quoted, struct arena *arena)
{
	const char *p = quoted.ptr, *end = quoted.ptr + quoted.len;
	char *out, *o;

	if (quoted.len == 0 || !memchr(p, '\\', quoted.len))
		return quoted;
	o = out = arena_alloc(arena, quoted.len);
	while (p < end) {
		const char *backslash = memchr(p, '\\', (size_t)(end - p));
		size_t n = (size_t)((backslash ? backslash : end) - p), written;

		memcpy(o, p, n);
		o += n;
		p += n;
		if (p == end)
			break;
		n = unquote_escape(p, end, o, &written);
		if (n == 0) {
			*o = *p;
			n = written = 1;
		}
		o += written;
		p += n;
	}
	return span_of(out, (size_t)(o - out));
}

/* "…" as %q wrote it, on one line; without its quotes. s is a part of the record. */
static inline struct span quoted_text(struct span s, struct arena *arena)
{
	if (s.len > 0 && *s.ptr == '"')
		s = span_from(s, 1);
	if (s.len > 0 && s.ptr[s.len - 1] == '"')
		s.len--;
	return find_none(s.ptr, s.len, '\\') ? s : unquote(s, arena);
}

/* "(TEXT)" → TEXT: the outer brackets, which need not be closed. */
static struct span bracketed(struct span s)
{
	if (s.len == 0 || *s.ptr != '(')
		return SPAN("");
	s = span_from(s, 1);
	while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == ' '))
		s.len--;
	if (s.len > 0 && s.ptr[s.len - 1] == ')')
		s.len--;
	return s;
}

static struct span text_after(struct span s, struct span prefix)
{
	const char *p = s.len ? memmem(s.ptr, s.len, prefix.ptr, prefix.len) : NULL;

	return p ? span_from(s, (size_t)(p - s.ptr) + prefix.len) : SPAN("");
}

/* "exit code N (session: S)", "crashed with exit code N". */
static __attribute__((noinline)) void add_exit(struct event *e, struct span reason)
{
	struct span code = text_after(reason, SPAN("exit code ")), session = text_after(reason, SPAN("(session: "));
	size_t n = code.len > 0 && *code.ptr == '-';

	while (n < code.len && stamp_is_digit(code.ptr[n]))
		n++;
	if (n > 0)
		event_add(e, FIELD_EXIT_CODE, span_of(code.ptr, n), VALUE_NUMBER);
	session = cut_at(cut_at(session, ')'), '\n');
	if (session.len > 0)
		event_add(e, FIELD_SESSION, session, VALUE_STRING);
}

/*
 * What follows writes the fields of a line through one writer, as far as it may: none is written twice, and all have room in the event: at most 14.
 */
#define INLINE static inline __attribute__((always_inline))

/* The normal form of who sent a nudge. False: there is none. */
INLINE bool write_sender(struct agent_memo *m, struct event_writer *w, struct span name, struct arena *arena)
{
	struct span normal = name.len > 0 ? agent_memo_normal(m, name, arena) : name;

	event_write_text(w, FIELD_FROM, normal);
	return normal.len > 0;
}

/* text: on one line. Returns whether it says who sent it. */
INLINE bool write_nudge(struct agent_memo *m, struct event_writer *w, struct span text, struct arena *arena)
{
	struct span message = quoted_text(text, arena);

	event_write_text(w, FIELD_MESSAGE, message);
	return message.len > 0 && *message.ptr == '[' && write_sender(m, w, nudge_sender(message), arena);
}

/* A bead's name: a word with a hyphen in it. s is a part of the record. */
static inline bool is_bead(struct span s)
{
	return !find_byte(s.ptr, s.len, ' ') && find_byte(s.ptr, s.len, '-');
}

/*
 * The newer fork's nudge, "FROM nudged TO with "…"": the agent is the one who was nudged, as in gt's own form. `detail` is what
 * stands behind FROM.
 */
static __attribute__((noinline)) bool fork_nudge(struct agent_memo *m, struct event *e, struct span from, struct span detail, const char *newline)
{
	struct event_writer w;
	struct span rest, to;

	detail = line_of(detail, newline);
	if (!span_starts_with(detail, SPAN("nudged ")))
		return false;
	rest = span_from(detail, 7);
	to = cut_at(rest, ' ');
	rest = span_from(rest, to.len);
	if (to.len == 0 || !span_starts_with(rest, SPAN(" with \"")))
		return false;
	w = event_write_begin(e);
	event_write_text(&w, FIELD_TARGET, agent_memo_write(m, &w, to, &e->arena));
	if (!write_nudge(m, &w, span_from(rest, 6), &e->arena))
		write_sender(m, &w, from, &e->arena);
	event_write_end(e, &w);
	return true;
}

/* Ends the event with what stands behind the agent. quoted: that is 'nudged with "'. */
INLINE void add_detail(struct agent_memo *m, struct event *e, struct event_writer *w, const struct town_type *t, struct span agent,
		       struct span detail, bool quoted, const char *newline)
{
	struct span rest, exit_reason = SPAN("");

	if (t->detail == DETAIL_NUDGE) {
		event_write_text(w, FIELD_TARGET, agent);
		if (quoted || span_starts_with(detail, t->verb)) {
			write_nudge(m, w, line_of(span_from(detail, t->verb.len), newline), &e->arena);
			event_write_end(e, w);
			return;
		}
	}
	event_write_text(w, FIELD_MESSAGE, detail);
	if (!span_starts_with(detail, t->verb)) {
		/* The fork's "[session_death] AGENT exited (crashed with exit code 42)". */
		if (span_equal(t->type, SPAN("session_death")) && span_starts_with(detail, SPAN("exited "))) {
			exit_reason = bracketed(span_from(detail, 7));
			event_write_text(w, FIELD_REASON, exit_reason);
		}
	} else {
		rest = span_from(detail, t->verb.len);
		switch (t->detail) {
		case DETAIL_REASON:
			rest = bracketed(rest);
			event_write_text(w, FIELD_REASON, rest);
			if (span_equal(t->type, SPAN("crash")))
				exit_reason = rest;
			break;
		case DETAIL_BEAD:
			rest = line_of(rest, newline);
			if (is_bead(rest))
				event_write_text(w, FIELD_BEAD, rest);
			break;
		case DETAIL_REST:
			event_write_text(w, FIELD_REASON, rest);
			break;
		case DETAIL_NUDGE:
			break;
		}
	}
	event_write_end(e, w);
	if (exit_reason.len > 0)
		add_exit(e, exit_reason);
}

/* Is this "AGENT TYPE" or "AGENT TYPE (X)", or does the word look like an agent? */
static bool other_has_agent(struct span type, struct span word, struct span detail, struct arena *arena)
{
	struct agent a = agent_parse(word, arena);

	if (a.rig.len > 0 || a.role.len > 0)
		return true;
	if (!span_starts_with(detail, type))
		return false;
	detail = span_from(detail, type.len);
	return detail.len == 0 || span_starts_with(detail, SPAN(" ("));
}

static const struct town_type *type_named(struct span type)
{
	for (size_t i = 0; i < N_TOWN_TYPES; i++)
		if (town_types[i].type.len == type.len && *town_types[i].type.ptr == *type.ptr && span_equal(town_types[i].type, type))
			return &town_types[i];
	return NULL;
}

/* The same of a type of which 4 bytes are readable. */
static inline const struct town_type *type_at(const struct town_memory *m, struct span type)
{
	const struct town_type *t = &town_types[m->type_at[type_hash(type.ptr)]];

	return __builtin_expect(span_equal(t->type, type), 1) ? t : type_named(type);
}

/* What stands behind the stamp that the record is known to begin with. */
static inline const char *behind_stamp(struct span raw)
{
	if (__builtin_expect(raw.len > STAMP_LENGTH && raw.ptr[STAMP_LENGTH] == ' ' && stamp_is_digit(*raw.ptr), 1))
		return raw.ptr + STAMP_LENGTH;
	raw = stamp_skip_colours(raw);
	return span_from(raw, stamp_length(raw)).ptr;
}

static enum parse_result town_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	const char *p, *close, *word_end, *newline = NULL, *end = raw.ptr + raw.len, *line_end = end;
	struct town_memory *m = memory_of(c);
	const struct town_type *t;
	struct event_writer w;
	struct span type, word, detail;
	bool quoted;

	if (raw.len == 0)
		return PARSE_NOTHING;
	if (!(r->flags & RECORD_STAMPED))
		return PARSE_UNPARSED; /* a continuation whose beginning is not in the file */
	if (__builtin_expect(r->lines > 1, 0)) {
		newline = memchr(raw.ptr, '\n', raw.len);
		line_end = newline ? newline : end;
	}
	p = behind_stamp(raw);
	if (line_end - p < 2 || p[0] != ' ' || p[1] != '[')
		return PARSE_UNPARSED;
	p += 2;
	close = find_byte(p, (size_t)(line_end - p), ']');
	if (!close || close == p || close + 1 == line_end || close[1] != ' ')
		return PARSE_UNPARSED;
	type = span_of(p, (size_t)(close - p));
	t = type_at(m, type);
	w = event_write_begin(e);
	event_write(&w, FIELD_TYPE, type);
	if (newline)
		event_write_text(&w, FIELD_CONTINUATION, span_of(newline + 1, (size_t)(end - newline - 1)));
	p = close + 2;
	word_end = find_byte(p, (size_t)(line_end - p), ' ');
	detail.ptr = word_end ? word_end + 1 : line_end;
	detail.len = (size_t)(end - detail.ptr);
	word = span_of(p, (size_t)((word_end ? word_end : line_end) - p));
	quoted = t && t->detail == DETAIL_NUDGE && span_starts_with(detail, SPAN("nudged with \""));
	if (t && t->detail == DETAIL_NUDGE && !quoted) {
		event_write_end(e, &w);
		if (fork_nudge(&m->agents, e, word, detail, newline))
			return PARSE_EVENT;
	}
	if (t || other_has_agent(type, word, detail, &e->arena)) {
		struct span agent = agent_memo_write(&m->agents, &w, word, &e->arena);

		if (t) {
			add_detail(&m->agents, e, &w, t, agent, detail, quoted, newline);
			return PARSE_EVENT;
		}
		event_write_text(&w, FIELD_MESSAGE, detail);
		if (span_starts_with(detail, type))
			event_write_text(&w, FIELD_REASON, bracketed(span_from(detail, type.len + 1)));
	} else {
		event_write_text(&w, FIELD_MESSAGE, span_of(p, (size_t)(end - p)));
	}
	event_write_end(e, &w);
	return PARSE_EVENT;
}

/* As town_parse() finds the agent. */
static uint64_t town_agent_number(struct format_context *c, struct span raw, struct arena *arena)
{
	const char *p = raw.ptr + STAMP_LENGTH + 2, *end = raw.ptr + raw.len, *close, *word_end;
	struct town_memory *m = memory_of(c);
	const struct agent_memo_slot *slot;
	const struct town_type *t;
	struct agent a;

	if (raw.len <= STAMP_LENGTH + 2 || !stamp_is_digit(*raw.ptr) || p[-2] != ' ' || p[-1] != '[')
		return 0;
	close = find_byte(p, (size_t)(end - p), ']');
	if (!close || close == p || end - close < 2 || close[1] != ' ')
		return 0;
	t = type_at(m, span_of(p, (size_t)(close - p)));
	p = close + 2;
	word_end = find_byte(p, (size_t)(end - p), ' ');
	if (!t || !word_end)
		return 0;
	if (t->detail == DETAIL_NUDGE && !span_starts_with(span_of(word_end + 1, (size_t)(end - word_end - 1)), SPAN("nudged with \"")))
		return 0;
	slot = agent_memo_find(&m->agents, span_of(p, (size_t)(word_end - p)), arena, &a);
	return slot ? slot->number : 0;
}

struct span town_beginning(struct span type, field_id field)
{
	for (size_t i = 0; i < N_TOWN_TYPES; i++) {
		const struct town_type *t = &town_types[i];

		if (!span_equal(t->type, type))
			continue;
		if (t->detail == DETAIL_REASON && field == FIELD_REASON)
			return t->reason_lead;
		return t->detail == DETAIL_NUDGE && field == FIELD_MESSAGE ? SPAN("nudged with \"") : SPAN("");
	}
	return SPAN("");
}

/* In the fork's nudge somebody else is the agent. */
struct span town_behind_agent(struct span type)
{
	const struct town_type *t = type_named(type);

	return t && t->detail == DETAIL_NUDGE ? SPAN("nudged with \"") : SPAN("");
}

/* A reason is what stands in brackets, but of the types whose whole rest it is. A type in other letters is none of ours: then, too, it is in brackets. */
struct span town_lead(struct span type, field_id field)
{
	const struct town_type *t = type_named(type);

	return field == FIELD_REASON && !(t && t->detail == DETAIL_REST) ? SPAN("(") : SPAN("");
}

const struct format_ops format_town = {
	.begins = town_begins,
	.parse = town_parse,
	.parses_again = true,
	.agent_number = town_agent_number,
#define BIT(field) UINT64_C(1) << FIELD_##field
	.fields = BIT(TYPE) | BIT(CONTINUATION) | BIT(AGENT) | BIT(AGENT_RAW) | BIT(RIG) | BIT(ROLE) | BIT(NAME) | BIT(TARGET) | BIT(MESSAGE) | BIT(REASON) | BIT(BEAD) | BIT(FROM) |
		  BIT(EXIT_CODE) | BIT(SESSION),
#undef BIT
	.stamp_first = true,
	.state_free = free,
};
