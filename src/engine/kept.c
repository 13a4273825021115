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

struct kept *kept_make(uint64_t raw_hash, const struct evidence *e, size_t n_bytes, size_t n_fields)
{
	struct kept *k = kept_alloc(n_bytes, n_fields);

	k->raw_hash = raw_hash;
	k->evidence = *e;
	k->evidence.text.ptr = k->bytes;
	k->n_bytes = (uint32_t)e->text.len;
	if (e->text.len)
		memcpy(k->bytes, e->text.ptr, e->text.len);
	return k;
}

void kept_add(struct kept *k, field_id f, struct span value)
{
	k->fields[k->n_fields++] = (struct kept_field){ f, k->n_bytes, (uint32_t)value.len };
	if (value.len)
		memcpy(k->bytes + k->n_bytes, value.ptr, value.len);
	k->n_bytes += (uint32_t)value.len;
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

	struct evidence evidence = {
		.source = e->source ? e->source->name : "",
		.file = e->origin.file ? e->origin.file : "",
		.line = e->origin.line,
		.time_ns = e->time_ns,
		.text = text,
	};
	struct kept *k = kept_make(hash_bytes(e->raw.ptr, e->raw.len, 0), &evidence, n_bytes, n_fields);
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		if (!kept_anyway(v->field) && v == event_first(e, v->field) && v->kind != VALUE_NULL)
			kept_add(k, v->field, span_of(v->text.ptr, v->text.len < VALUE_LIMIT ? v->text.len : VALUE_LIMIT));
	}
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
