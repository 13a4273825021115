/*
 * fuzz_source.c: any bytes as a file's beginning or name; and, as "REGEX \n START \n TIME-FORMAT \n text", as a source of a
 * rules file with text for it.
 */
#include "record/decoder.h"

#include <stdint.h>
#include <stdlib.h>

#define MARGIN 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line, as a string. */
static char *take_line(struct span *rest)
{
	const char *newline = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
	size_t n = newline ? (size_t)(newline - rest->ptr) : rest->len;
	char *s = malloc(n + 1);

	if (n > 0)
		memcpy(s, rest->ptr, n);
	s[n] = '\0';
	*rest = span_from(*rest, newline ? n + 1 : n);
	return s;
}

static void read_with(const struct source *source, const struct field_table *fields, struct span text)
{
	struct decoder *d = decoder_new(source, fields, zone_get("UTC"), 4096);
	char *block = malloc(text.len + MARGIN);
	struct record_list list = { 0 };
	struct event e;

	event_init(&e, field_count(fields));
	if (text.len > 0)
		memcpy(block, text.ptr, text.len);
	memset(block + text.len, 0, MARGIN);
	if (decoder_frame(d, span_of(block, text.len), true, &list) != text.len)
		abort();
	for (size_t i = 0; i < list.n; i++) {
		event_reset(&e);
		decoder_parse(d, span_of(block, text.len), &list.items[i], &e);
		for (size_t k = 0; k < e.n_values; k++) {
			volatile char last = e.values[k].text.len ? e.values[k].text.ptr[e.values[k].text.len - 1] : 0;

			(void)last;
		}
	}
	event_release(&e);
	decoder_free(d);
	free(list.items);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const globs[] = { "mine*.log", "mine/*", NULL };
	struct span all = span_of((const char *)data, size), rest = all;
	struct source mine = { .name = "mine", .format = FORMAT_PATTERN, .file_globs = globs };
	const struct source *extra[] = { &mine };
	struct diag_list diags = DIAG_LIST_INIT;
	struct field_table fields;
	char *regex, *start, *format;

	if (size > 20000)
		return 0;
	field_table_init(&fields);
	source_from_content(all, NULL, 0);
	regex = take_line(&rest);
	start = take_line(&rest);
	format = take_line(&rest);
	source_from_path(regex, extra, 1);
	mine.pattern = source_pattern_new(span_from_string(regex), *start ? start : NULL, NULL, *format ? format : NULL, &fields, &diags, "x", 1, 1);
	if (mine.pattern) {
		source_from_content(rest, extra, 1);
		read_with(&mine, &fields, rest);
	} else if (diags.n_errors == 0) {
		abort();
	}
	source_pattern_free(mine.pattern);
	diag_list_release(&diags);
	field_table_release(&fields);
	free(regex);
	free(start);
	free(format);
	return 0;
}
