/*
 * fuzz_ps.c: any bytes as a file of process snapshots. The first byte chooses what is known besides (arrival, mtime). What comes
 * out must be the same in one go and line by line with the state saved and restored in between; and any bytes are tried as a state.
 */
#include "record/decoder.h"

#include <stdint.h>
#include <stdlib.h>

#define MARGIN 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct source *ps_source(void)
{
	size_t n;

	return &builtin_sources(&n)[FORMAT_PS];
}

static void put_events(struct decoder *d, struct span block, const struct record_list *list, struct event *e, struct buffer *out)
{
	for (size_t i = 0; i < list->n; i++) {
		enum parse_result result;

		event_reset(e);
		result = decoder_parse(d, block, &list->items[i], e);
		buffer_append_char(out, (char)('0' + result));
		buffer_append_char(out, (char)('0' + e->kind * 2 + e->snapshot_complete));
		buffer_append(out, &e->time_ns, sizeof e->time_ns);
		buffer_append(out, &e->snapshot_ns, sizeof e->snapshot_ns);
		for (size_t k = 0; k < e->n_values; k++) {
			buffer_append(out, &e->values[k].field, sizeof e->values[k].field);
			buffer_append_span(out, e->values[k].text);
		}
		if (e->kind == EVENT_SNAPSHOT_END && e->snapshot_ns > e->time_ns)
			abort();
		if (result == PARSE_EVENT && e->kind == EVENT_LOG && (!event_first(e, FIELD_PID) || !event_first(e, FIELD_TYPE)))
			abort();
	}
}

static void read_all(struct span text, uint8_t options, bool pieces, struct buffer *out)
{
	char *block = malloc(text.len + MARGIN);
	struct record_list list = { 0 };
	struct field_table fields;
	struct decoder *d;
	struct event e;
	size_t done = 0, end = 0;

	memcpy(block, text.ptr, text.len);
	memset(block + text.len, 0, MARGIN);
	field_table_init(&fields);
	if (options & 4)
		field_add(&fields, SPAN("rss"));
	event_init(&e, field_count(&fields));
	d = decoder_new(ps_source(), &fields, zone_get(options & 8 ? "America/New_York" : "UTC"), 4096);
	while (end < text.len) {
		const char *newline = memchr(block + end, '\n', text.len - end);
		struct buffer saved = BUFFER_INIT;
		struct codec_reader in;
		struct span piece;
		size_t used;

		end = pieces && newline ? (size_t)(newline + 1 - block) : text.len;
		piece = span_of(block + done, end - done);

		decoder_begin_file(d, options & 1 ? INT64_C(1771315200) * NS_PER_SECOND : TIME_NONE);
		if (options & 2)
			decoder_set_arrival(d, INT64_C(1771318800) * NS_PER_SECOND);
		used = decoder_frame(d, piece, end == text.len, &list);
		if (used != piece.len && (used != 0 || end == text.len)) /* 0: before the first stamp */
			abort();
		put_events(d, piece, &list, &e, out);
		done += used;
		if (!pieces || done * 7 % 5 != 0) /* at some of the lines: it is slow */
			continue;
		decoder_save(d, &saved);
		decoder_free(d);
		d = decoder_new(ps_source(), &fields, zone_get(options & 8 ? "America/New_York" : "UTC"), 4096);
		in = (struct codec_reader){ saved.data, saved.data + saved.len, false };
		if (!decoder_load(d, &in) || in.bad || in.ptr != in.end)
			abort();
		buffer_release(&saved);
	}
	decoder_free(d);
	event_release(&e);
	field_table_release(&fields);
	free(list.items);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;
	struct codec_reader in;
	struct field_table fields;
	struct decoder *d;
	struct span text;

	if (size < 1 || size > 20000)
		return 0;
	text = span_of((const char *)data + 1, size - 1);
	read_all(text, data[0], false, &whole);
	read_all(text, data[0], true, &pieces);
	if (!span_equal(buffer_span(&whole), buffer_span(&pieces)))
		abort();
	buffer_release(&whole);
	buffer_release(&pieces);

	field_table_init(&fields);
	d = decoder_new(ps_source(), &fields, zone_get("UTC"), 0);
	in = (struct codec_reader){ text.ptr, text.ptr + text.len, false };
	if (decoder_load(d, &in)) {
		static const char rows[] = "2026-02-17 08:00:00\nPID %CPU START TIME CMD\n1 0 07:00 0:10 a\n7 1 Feb16 0:09 b\n2026-02-17 08:01:00\n7 b\n";
		struct record_list list = { 0 };
		struct buffer out = BUFFER_INIT;
		struct event e;
		char block[sizeof rows + MARGIN] = { 0 };

		memcpy(block, rows, sizeof rows);
		event_init(&e, field_count(&fields));
		decoder_frame(d, span_of(block, sizeof rows - 1), true, &list);
		put_events(d, span_of(block, sizeof rows - 1), &list, &e, &out);
		event_release(&e);
		buffer_release(&out);
		free(list.items);
	}
	decoder_free(d);
	field_table_release(&fields);
	return 0;
}
