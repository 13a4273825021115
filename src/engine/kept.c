/*
 * Copies of events. One allocation each: the struct, its text and values behind it, then
 * the field index. Text of evidence is its first line only, cut at a character.
 */
#include "engine/kept.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/quote.h"

#include <stdlib.h>

#define VALUE_LIMIT 4096 /* bytes kept of one field's value */

static struct span first_line(struct span raw)
{
	const char *end = raw.len ? memchr(raw.ptr, '\n', raw.len) : NULL;
	if (end)
		raw.len = (size_t)(end - raw.ptr);
	if (raw.len > EVIDENCE_TEXT_LIMIT) {
		raw.len = EVIDENCE_TEXT_LIMIT;
		/* Not in the middle of a character: go back over at most three continuation bytes. */
		for (int i = 0; i < 3 && raw.len && ((unsigned char)raw.ptr[raw.len] & 0xc0) == 0x80; i++)
			raw.len--;
	}
	return raw;
}

static struct kept *kept_alloc(size_t n_bytes, size_t n_fields)
{
	size_t at = (sizeof(struct kept) + n_bytes + _Alignof(struct kept_field) - 1) &
		    ~(_Alignof(struct kept_field) - 1);
	struct kept *k = xmalloc(at + n_fields * sizeof(struct kept_field));

	k->refs = 1;
	k->save_index = 0;
	k->n_fields = 0;
	k->fields = (struct kept_field *)((char *)k + at);
	return k;
}

static bool kept_anyway(field_id f)
{
	return f == FIELD_TIME || f == FIELD_SOURCE || f == FIELD_RAW || f == FIELD_FILE || f == FIELD_LINE;
}

struct kept *kept_new(const struct event *e)
{
	struct span text = first_line(e->raw);
	size_t n_bytes = text.len, n_fields = 0;

	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		if (kept_anyway(v->field) || v != event_first(e, v->field) || v->kind == VALUE_NULL)
			continue;
		n_bytes += v->text.len < VALUE_LIMIT ? v->text.len : VALUE_LIMIT;
		n_fields++;
	}

	struct kept *k = kept_alloc(n_bytes, n_fields);
	size_t at = text.len;
	if (text.len)
		memcpy(k->bytes, text.ptr, text.len);
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		if (kept_anyway(v->field) || v != event_first(e, v->field) || v->kind == VALUE_NULL)
			continue;
		size_t len = v->text.len < VALUE_LIMIT ? v->text.len : VALUE_LIMIT;
		k->fields[k->n_fields++] = (struct kept_field){ v->field, (uint32_t)at, (uint32_t)len };
		if (len)
			memcpy(k->bytes + at, v->text.ptr, len);
		at += len;
	}
	k->raw_hash = hash_bytes(e->raw.ptr, e->raw.len, 0);
	k->evidence = (struct evidence){
		.source = e->source ? e->source->name : "",
		.file = e->origin.file ? e->origin.file : "",
		.line = e->origin.line,
		.time_ns = e->time_ns,
		.text = span_of(k->bytes, text.len),
	};
	return k;
}

void kept_unref(struct kept *k)
{
	if (k && --k->refs == 0)
		free(k);
}

struct span kept_field(const struct kept *k, field_id f)
{
	for (uint32_t i = 0; i < k->n_fields; i++)
		if (k->fields[i].field == f)
			return span_of(k->bytes + k->fields[i].offset, k->fields[i].len);
	return span_of(NULL, 0);
}

void kept_save(const struct kept *k, const struct field_table *fields, struct buffer *out)
{
	codec_put_u64(out, k->raw_hash);
	codec_put_span(out, span_from_string(k->evidence.source));
	codec_put_span(out, span_from_string(k->evidence.file));
	codec_put_u64(out, k->evidence.line);
	codec_put_i64(out, k->evidence.time_ns);
	codec_put_span(out, k->evidence.text);
	codec_put_u64(out, k->n_fields);
	for (uint32_t i = 0; i < k->n_fields; i++) {
		codec_put_span(out, field_name(fields, k->fields[i].field));
		codec_put_span(out, span_of(k->bytes + k->fields[i].offset, k->fields[i].len));
	}
}

static const char *lasting_name(struct map *names, struct span s)
{
	return map_add(names, s, NULL)->key.ptr;
}

struct kept *kept_load(struct codec_reader *in, const struct field_table *fields, struct map *names)
{
	uint64_t raw_hash = codec_get_u64(in);
	struct span source = codec_get_span(in), file = codec_get_span(in);
	uint64_t line = codec_get_u64(in);
	int64_t time_ns = codec_get_i64(in);
	struct span text = codec_get_span(in);
	size_t n = codec_get_count(in);
	struct codec_reader again = *in;
	size_t n_bytes = text.len, n_known = 0;

	for (size_t i = 0; i < n && !in->bad; i++) {
		struct span name = codec_get_span(in), value = codec_get_span(in);
		if (field_find(fields, name) != FIELD_NONE) {
			n_bytes += value.len;
			n_known++;
		}
	}
	if (in->bad)
		return NULL;

	struct kept *k = kept_alloc(n_bytes, n_known);
	size_t at = text.len;
	if (text.len)
		memcpy(k->bytes, text.ptr, text.len);
	for (size_t i = 0; i < n; i++) {
		struct span name = codec_get_span(&again), value = codec_get_span(&again);
		field_id f = field_find(fields, name);
		if (f == FIELD_NONE)
			continue;
		k->fields[k->n_fields++] = (struct kept_field){ f, (uint32_t)at, (uint32_t)value.len };
		if (value.len)
			memcpy(k->bytes + at, value.ptr, value.len);
		at += value.len;
	}
	k->raw_hash = raw_hash;
	k->evidence = (struct evidence){ lasting_name(names, source), lasting_name(names, file), line, time_ns,
					 span_of(k->bytes, text.len) };
	return k;
}
