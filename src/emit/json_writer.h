/*
 * json_writer.h: writing JSON piece by piece. Commas write themselves: each call looks at the last byte of out, and sets a comma
 * before what it appends unless an object or array was just opened, a name stands before it, or a line begins.
 */
#ifndef TOCSIN_EMIT_JSON_WRITER_H
#define TOCSIN_EMIT_JSON_WRITER_H

#include "base/buffer.h"

void json_open(struct buffer *out, char bracket);  /* '{' or '[' */
void json_close(struct buffer *out, char bracket); /* '}' or ']' */
void json_name(struct buffer *out, const char *name); /* plain ASCII, trusted */
void json_name_span(struct buffer *out, struct span name);
void json_span(struct buffer *out, struct span value);
void json_string(struct buffer *out, const char *value); /* NULL: "" */
void json_count(struct buffer *out, uint64_t value);
/*
 * The shortest form that reads back as the same double; whole numbers below 2^63 are plain digits. What JSON cannot say (not
 * a number, infinite) is null.
 */
void json_number(struct buffer *out, double value);
/* RFC 3339, UTC; TIME_NONE: null. */
void json_time(struct buffer *out, int64_t time_ns);

#endif
