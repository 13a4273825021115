/*
 * Copies of events. One allocation each: the struct, the field index, then the text and the values that are no part of it. Text of
 * evidence is its first line only, cut at a character; most values are parts of it, and need no copy of their own.
 */
#include "engine/kept.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/quote.h"

#include <stdlib.h>

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

/* text: the evidence's; its bytes are copied. */
static inline struct kept *kept_alloc(struct span text, size_t n_bytes, size_t n_fields)
{
	struct kept *k = xmalloc(sizeof(struct kept) + n_fields * sizeof(struct kept_field) + n_bytes);
	char *bytes = (char *)(k->fields + n_fields);

	k->refs = 1;
	k->save_index = 0;
	k->n_fields = 0;
	k->n_bytes = (uint32_t)text.len;
	k->evidence.text = span_of(bytes, text.len);
	if (text.len)
		memcpy(bytes, text.ptr, text.len);
	return k;
}

struct kept *kept_make(uint64_t raw_hash, const struct evidence *e, size_t n_bytes, size_t n_fields)
{
	struct kept *k = kept_alloc(e->text, n_bytes, n_fields);
	struct span text = k->evidence.text;

	k->raw_hash = raw_hash;
	k->raw_is_text = false;
	k->evidence = *e;
	k->evidence.text = text;
	return k;
}

void kept_add(struct kept *k, field_id f, struct span value)
{
	k->fields[k->n_fields++] = (struct kept_field){ f, (uint16_t)value.len, k->n_bytes };
	if (value.len)
		memcpy((char *)(uintptr_t)k->evidence.text.ptr + k->n_bytes, value.ptr, value.len);
	k->n_bytes += (uint32_t)value.len;
}

void kept_add_part(struct kept *k, field_id f, uint32_t offset, uint32_t len)
{
	k->fields[k->n_fields++] = (struct kept_field){ f, (uint16_t)len, offset };
}

uint64_t kept_raw_hash(const struct kept *k)
{
	return k->raw_is_text ? hash_bytes(k->evidence.text.ptr, k->evidence.text.len, 0) : k->raw_hash;
}

static inline size_t cut(size_t len)
{
	return len < KEPT_VALUE_LIMIT ? len : KEPT_VALUE_LIMIT;
}

static inline bool lies_in(struct span s, struct span text)
{
	size_t at = (size_t)(s.ptr - text.ptr);

	return at < text.len && s.len <= text.len - at;
}

struct kept *kept_new(const struct event *e)
{
	struct span text = first_line(e->raw);
	const struct value *v = e->values, *end = v + e->n_values;
	size_t n_bytes = text.len;

	/* Most values are parts of the text: they need no bytes of their own. */
	for (; v < end; v++)
		if (!lies_in(v->text, text))
			n_bytes += cut(v->text.len);
	struct kept *k = kept_alloc(text, n_bytes, e->n_values);
	k->raw_is_text = text.len == e->raw.len;
	k->raw_hash = k->raw_is_text ? 0 : hash_bytes(e->raw.ptr, e->raw.len, 0);
	k->evidence.source = e->source ? e->source->name : "";
	k->evidence.file = e->origin.file ? e->origin.file : "";
	k->evidence.line = e->origin.line;
	k->evidence.time_ns = e->time_ns;
	for (v = e->values; v < end; v++) {
		/* A field's first value only, and none that evidence has itself. */
		if (v->kind == VALUE_NULL || field_is_own(v->field) || event_first(e, v->field) != v)
			continue;
		if (lies_in(v->text, text))
			kept_add_part(k, v->field, (uint32_t)(v->text.ptr - text.ptr), (uint32_t)cut(v->text.len));
		else
			kept_add(k, v->field, span_of(v->text.ptr, cut(v->text.len)));
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
			return kept_value(k, &k->fields[i]);
	return span_of(NULL, 0);
}
