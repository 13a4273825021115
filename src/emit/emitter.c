/*
 * emitter.c: the names of the output formats and the way from a format to its writer.
 *
 * What a line says is decided by the state change alone, never by the clock, the environment or what was emitted before:
 * identical runs give identical bytes. Nothing here writes to a file; the pipeline does.
 */
#include "emit/formats.h"

static const char *const format_names[EMIT_FORMAT_COUNT] = {
	[EMIT_TEXT] = "text",
	[EMIT_JSONL] = "jsonl",
	[EMIT_COMMANDS] = "commands",
	[EMIT_GT] = "gt",
};

const char *emit_format_name(enum emit_format f)
{
	return format_names[f];
}

bool emit_format_from_name(struct span name, enum emit_format *ret)
{
	for (size_t i = 0; i < EMIT_FORMAT_COUNT; i++)
		if (span_equal(name, span_from_string(format_names[i]))) {
			*ret = (enum emit_format)i;
			return true;
		}
	return false;
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
