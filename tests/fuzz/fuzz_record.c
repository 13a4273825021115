/*
 * fuzz_record.c: a log of any bytes through every line format. The first byte says which format, the second how it is cut into blocks.
 * However it is cut, the same records come out; each is parsed; what format_literal() promises of a value stands in the record; an event that
 * can be parsed again from its raw is the same, and so is one that is parsed only when it is asked for.
 */
#include "base/memory.h"
#include "record/decoder.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 200
#define MARGIN 64
#define MTIME_NS (INT64_C(1772323200) * NS_PER_SECOND)

static const enum format formats[] = { FORMAT_TOWN, FORMAT_EVENTS, FORMAT_DAEMON, FORMAT_OVERSEER,
				       FORMAT_GUARDIAN, FORMAT_SYSLOG, FORMAT_JSON, FORMAT_TEXT };

static char *with_margin(const char *p, size_t len)
{
	char *copy = xmalloc(len + MARGIN);

	memcpy(copy, p, len);
	memset(copy + len, '\n', MARGIN);
	return copy;
}

static void put_records(struct buffer *out, const struct record_list *list, size_t at)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct record *r = &list->items[i];

		codec_put_u64(out, at + r->offset);
		codec_put_u64(out, r->len);
		codec_put_u64(out, r->lines);
		codec_put_i64(out, r->time_ns);
		codec_put_u64(out, r->flags);
	}
}

static void frame_in_pieces(struct decoder *d, struct span text, unsigned step, struct buffer *out)
{
	struct record_list list = { 0 };
	size_t at = 0, end = 0;

	do {
		char *block;

		end += step;
		if (end > text.len)
			end = text.len;
		step = step * 7 % 61 + 1;
		block = with_margin(text.ptr + at, end - at);
		size_t used = decoder_frame(d, span_of(block, end - at), end == text.len, &list);
		if (used > end - at)
			abort();
		put_records(out, &list, at);
		at += used;
		if (end < text.len && end - at > 2 * LIMIT + 1)
			abort();
		free(block);
	} while (end < text.len);
	free(list.items);
}

static void check_literals(enum format format, const struct event *e, const struct field_table *t, struct span raw)
{
	struct buffer literal = BUFFER_INIT;

	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];

		if (v->field == FIELD_NONE || v->kind == VALUE_NULL)
			continue;
		buffer_clear(&literal);
		if (format_literal(format, v->field, field_name(t, v->field), v->text, true, &literal) &&
		    !memmem(raw.ptr, raw.len, literal.data, literal.len))
			abort();
	}
	buffer_release(&literal);
}

static void check_again(struct decoder *d, const struct event *e, size_t n_fields)
{
	char *copy = with_margin(e->raw.ptr, e->raw.len);
	struct event again;

	event_init(&again, n_fields);
	decoder_parse_again(d, span_of(copy, e->raw.len), &again);
	if (again.n_values != e->n_values)
		abort();
	for (size_t i = 0; i < e->n_values; i++)
		if (again.values[i].field != e->values[i].field || !span_equal(again.values[i].text, e->values[i].text))
			abort();
	event_release(&again);
	free(copy);
}

/* What may be parsed when it is asked for is the same event. */
static void check_later(struct decoder *d, struct span block, const struct record *r, const struct event *e, size_t n_fields)
{
	struct event later;

	event_init(&later, n_fields);
	if (decoder_parse_later(d, block, r, &later)) {
		uint64_t number = later.agent_number;

		event_parse(&later);
		if (later.n_values != e->n_values || later.n_parsed != e->n_parsed || number != e->agent_number || later.agent_number != number || later.time_ns != e->time_ns ||
		    !span_equal(later.raw, e->raw))
			abort();
		for (size_t i = 0; i < e->n_values; i++)
			if (later.values[i].field != e->values[i].field || !span_equal(later.values[i].text, e->values[i].text))
				abort();
	}
	event_release(&later);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .name = "fuzz" };
	struct field_table fields;
	struct record_list list = { 0 };
	struct buffer whole = BUFFER_INIT, cut = BUFFER_INIT;
	struct decoder *d;
	struct event e;
	struct span text;
	char *block;

	if (size < 2)
		return 0;
	source.format = formats[data[0] % (sizeof formats / sizeof *formats)];
	text = span_of((const char *)data + 2, size - 2);
	field_table_init(&fields);
	fields.keep_all = true;
	event_init(&e, field_count(&fields));

	d = decoder_new(&source, &fields, zone_get("America/New_York"), LIMIT);
	decoder_begin_file(d, MTIME_NS);
	block = with_margin(text.ptr, text.len);
	if (decoder_frame(d, span_of(block, text.len), true, &list) != text.len)
		abort();
	put_records(&whole, &list, 0);
	for (size_t i = 0; i < list.n; i++) {
		const struct record *r = &list.items[i];

		if (r->len > LIMIT || r->offset + r->len > text.len)
			abort();
		event_reset(&e);
		decoder_parse(d, span_of(block, text.len), r, &e);
		if (e.n_parsed)
			check_again(d, &e, field_count(&fields));
		check_later(d, span_of(block, text.len), r, &e, field_count(&fields));
		if (!(r->flags & RECORD_ESCAPED))
			check_literals(source.format, &e, &fields, span_of(block + r->offset, r->len));
	}
	decoder_free(d);

	d = decoder_new(&source, &fields, zone_get("America/New_York"), LIMIT);
	decoder_begin_file(d, MTIME_NS);
	frame_in_pieces(d, text, data[1] % 64 + 1, &cut);
	decoder_free(d);
	if (!span_equal(buffer_span(&whole), buffer_span(&cut)))
		abort();

	event_release(&e);
	field_table_release(&fields);
	buffer_release(&whole);
	buffer_release(&cut);
	free(list.items);
	free(block);
	return 0;
}
