/*
 * json_writer.c: writing JSON piece by piece, for the formats that are JSON.
 *
 * Invariant: whatever bytes come in, what goes out is valid UTF-8 and valid JSON on one line, and the same input gives the
 * same bytes in every locale. Nesting is the caller's to get right.
 */
#include "emit/json_writer.h"
#include "base/quote.h"
#include "base/timestamp.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void separate(struct buffer *out)
{
	char last = out->len > 0 ? out->data[out->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != '\n')
		buffer_append_char(out, ',');
}

void json_open(struct buffer *out, char bracket)
{
	separate(out);
	buffer_append_char(out, bracket);
}

void json_close(struct buffer *out, char bracket)
{
	buffer_append_char(out, bracket);
}

void json_name(struct buffer *out, const char *name)
{
	json_name_span(out, span_from_string(name));
}

void json_name_span(struct buffer *out, struct span name)
{
	json_span(out, name);
	buffer_append_char(out, ':');
}

void json_span(struct buffer *out, struct span value)
{
	separate(out);
	quote_json(out, value);
}

void json_string(struct buffer *out, const char *value)
{
	json_span(out, span_from_string(value));
}

void json_count(struct buffer *out, uint64_t value)
{
	separate(out);
	buffer_printf(out, "%" PRIu64, value);
}

void json_number(struct buffer *out, double value)
{
	char text[64];

	separate(out);
	if (!isfinite(value)) {
		buffer_append_string(out, "null");
		return;
	}
	if (value > -0x1p63 && value < 0x1p63 && value == trunc(value)) {
		buffer_printf(out, "%" PRId64, (int64_t)value);
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

void json_time(struct buffer *out, int64_t time_ns)
{
	separate(out);
	if (time_ns == TIME_NONE) {
		buffer_append_string(out, "null");
		return;
	}
	buffer_append_char(out, '"');
	time_format_utc(out, time_ns);
	buffer_append_char(out, '"');
}
