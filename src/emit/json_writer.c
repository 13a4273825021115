/*
 * json_writer.c: writing JSON piece by piece, for the formats that are JSON.
 *
 * Invariant: whatever bytes come in, what goes out is valid UTF-8 and valid JSON on one line, and the same input gives the
 * same bytes in every locale. Nesting is the caller's to get right.
 */
#include "emit/json_writer.h"
#include "base/timestamp.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void json_separate(struct buffer *out)
{
	char last = out->len > 0 ? out->data[out->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != '\n')
		buffer_append_char(out, ',');
}

void json_name(struct buffer *out, struct span name)
{
	json_separate(out);
	quote_json(out, name);
	buffer_append_char(out, ':');
}

void json_null(struct buffer *out, const char *name)
{
	json_begin(out, name);
	buffer_append_string(out, "null");
}

void json_bool(struct buffer *out, const char *name, bool value)
{
	json_begin(out, name);
	buffer_append_string(out, value ? "true" : "false");
}

void json_number(struct buffer *out, const char *name, double value)
{
	char text[64];

	json_begin(out, name);
	if (!isfinite(value)) {
		buffer_append_string(out, "null");
		return;
	}
	if (value > -0x1p63 && value < 0x1p63 && value == trunc(value)) {
		if (value < 0)
			buffer_append_char(out, '-');
		buffer_append_number(out, (uint64_t)fabs(value));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	/* The locale may write the decimal point as something else, of one byte or several. */
	for (const char *p = text; *p; p++) {
		if ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == 'e')
			buffer_append_char(out, *p);
		else if (out->data[out->len - 1] != '.')
			buffer_append_char(out, '.');
	}
}

void json_time(struct buffer *out, const char *name, int64_t time_ns)
{
	char *p;

	json_begin(out, name);
	if (time_ns == TIME_NONE) {
		buffer_append_string(out, "null");
		return;
	}
	buffer_reserve(out, TIME_TEXT_SIZE + 2);
	p = out->data + out->len;
	*p++ = '"';
	p += time_format_utc_to(p, time_ns);
	*p++ = '"';
	out->len = (size_t)(p - out->data);
}

void json_named_values(struct buffer *out, const char *name, const struct named_value *values, size_t n)
{
	json_open(out, name, '{');
	for (size_t i = 0; i < n; i++) {
		json_name(out, values[i].name);
		json_span(out, NULL, values[i].value);
	}
	json_close(out, '}');
}

void json_evidence(struct buffer *out, const char *name, const struct evidence *e)
{
	json_open(out, name, '{');
	json_string(out, "source", e->source);
	json_string(out, "file", e->file);
	json_count(out, "line", e->line);
	json_time(out, "time", e->time_ns);
	json_span(out, "text", e->text);
	json_close(out, '}');
}
