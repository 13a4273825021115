/*
 * emitter.c: the names of the output formats and the way from a format to its writer.
 *
 * What a line says is decided by the state change alone, never by the clock, the environment or what was emitted before:
 * identical runs give identical bytes. Nothing here writes to a file; the pipeline does.
 */
#include "emit/formats.h"
#include "base/quote.h"

static const char *const format_names[] = {
	[EMIT_TEXT] = "text",
	[EMIT_JSONL] = "jsonl",
	[EMIT_COMMANDS] = "commands",
	[EMIT_GT] = "gt",
};
#define N_FORMATS (sizeof format_names / sizeof *format_names)

const char *emit_format_name(enum emit_format f)
{
	return format_names[f];
}

bool emit_format_from_name(struct span name, enum emit_format *ret)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (span_equal(name, span_from_string(format_names[i]))) {
			*ret = (enum emit_format)i;
			return true;
		}
	return false;
}

struct span emit_cut(struct span s, size_t limit)
{
	size_t start;

	if (s.len <= limit)
		return s;
	/* Only a character that straddles the limit is given up; stray continuation bytes are cut where they are. */
	for (start = limit; start > 0 && limit - start < 3; start--) {
		size_t n = utf8_sequence(s.ptr + start - 1, s.len - start + 1);

		if (n > 0)
			return span_of(s.ptr, n > limit - start + 1 ? start - 1 : limit);
	}
	return span_of(s.ptr, limit);
}

void emit_change(struct buffer *out, enum emit_format f, const struct emit_options *o, const struct change *c)
{
	switch (f) {
	case EMIT_TEXT:
		emit_text(out, o, c);
		break;
	case EMIT_JSONL:
		emit_jsonl(out, o, c);
		break;
	case EMIT_COMMANDS:
		emit_commands(out, c);
		break;
	case EMIT_GT:
		emit_gt(out, c);
		break;
	}
}
