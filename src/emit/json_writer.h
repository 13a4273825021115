/*
 * json_writer.h: writing JSON piece by piece. Commas write themselves: each call looks at the last byte of out, and sets a comma
 * before what it appends unless an object or array was just opened, a name stands before it, or a line begins.
 *
 * `name` is that of a member of an object: plain ASCII, trusted; NULL for what is in an array, on a line of its own, or behind json_name().
 */
#ifndef TOCSIN_EMIT_JSON_WRITER_H
#define TOCSIN_EMIT_JSON_WRITER_H

#include "base/quote.h"
#include "engine/incident.h"

/* The comma, where one is due. */
void json_separate(struct buffer *out);
/* In front of a value: in place, for how long a name is that is a literal is known there, and it is copied as a few words. */
static inline __attribute__((always_inline)) void json_begin(struct buffer *out, const char *name)
{
	size_t len;
	char *p;

	if (!name) {
		json_separate(out);
		return;
	}
	len = strlen(name);
	buffer_reserve(out, len + 4);
	p = out->data + out->len;
	*p = ',';
	p += out->len > 0 && p[-1] != '{';
	*p++ = '"';
	memcpy(p, name, len);
	p[len] = '"';
	p[len + 1] = ':';
	out->len = (size_t)(p + len + 2 - out->data);
}
static inline void json_open(struct buffer *out, const char *name, char bracket) /* '{' or '[' */
{
	json_begin(out, name);
	buffer_append_char(out, bracket);
}
static inline void json_close(struct buffer *out, char bracket) /* '}' or ']' */
{
	buffer_append_char(out, bracket);
}
static inline void json_close_line(struct buffer *out) /* '}' and a newline */
{
	buffer_append_string(out, "}\n");
}
/* A name that comes from rules or logs; its value is next. */
void json_name(struct buffer *out, struct span name);
void json_null(struct buffer *out, const char *name);
void json_bool(struct buffer *out, const char *name, bool value);
static inline void json_span(struct buffer *out, const char *name, struct span value)
{
	json_begin(out, name);
	quote_json(out, value);
}
static inline void json_string(struct buffer *out, const char *name, const char *value) /* NULL: "" */
{
	json_span(out, name, span_from_string(value));
}
static inline void json_count(struct buffer *out, const char *name, uint64_t value)
{
	json_begin(out, name);
	buffer_append_number(out, value);
}
/*
 * The shortest form that reads back as the same double; whole numbers below 2^63 are plain digits. What JSON cannot say (not
 * a number, infinite) is null.
 */
void json_number(struct buffer *out, const char *name, double value);
/* RFC 3339, UTC; TIME_NONE: null. */
void json_time(struct buffer *out, const char *name, int64_t time_ns);

/* What several outputs say in the same form. */
void json_named_values(struct buffer *out, const char *name, const struct named_value *values, size_t n); /* {"rig": "prajna", …} */
void json_evidence(struct buffer *out, const char *name, const struct evidence *e);

#endif
