/*
 * Copies of events. One allocation each: the struct, its text and values behind it, then
 * the field index. Text of evidence is its first line only, cut at a character; most values are parts of it, and need no copy of
 * their own.
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

static inline struct kept *kept_alloc(size_t n_bytes, size_t n_fields)
{
	size_t at = (sizeof(struct kept) + n_bytes + _Alignof(struct kept_field) - 1) &
		    ~(_Alignof(struct kept_field) - 1);
	struct kept *k = xmalloc(at + n_fields * sizeof(struct kept_field));

	k->refs = 1;
	k->save_index = 0;
	k->raw_is_text = false;
	k->n_fields = 0;
	k->fields = (struct kept_field *)((char *)k + at);
	return k;
}

/* Evidence has these itself. */
static inline bool kept_anyway(field_id f)
{
	const uint64_t fields = UINT64_C(1) << FIELD_TIME | UINT64_C(1) << FIELD_SOURCE | UINT64_C(1) << FIELD_RAW | UINT64_C(1) << FIELD_FILE |
				UINT64_C(1) << FIELD_LINE;

	return f < 64 && (fields >> f & 1);
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

void kept_add_part(struct kept *k, field_id f, uint32_t offset, uint32_t len)
{
	k->fields[k->n_fields++] = (struct kept_field){ f, offset, len };
}

uint64_t kept_raw_hash(const struct kept *k)
{
	return k->raw_is_text ? hash_bytes(k->evidence.text.ptr, k->evidence.text.len, 0) : k->raw_hash;
}

/* The part of it that is kept. */
static struct span cut(struct span text)
{
	return span_of(text.ptr, text.len < VALUE_LIMIT ? text.len : VALUE_LIMIT);
}

static inline bool lies_in(struct span s, struct span text)
{
	size_t at = (size_t)(s.ptr - text.ptr);

	return at < text.len && s.len <= text.len - at;
}

/* Is it a field's first value, and one that evidence has not got already? */
static inline __attribute__((always_inline)) bool is_kept(const struct event *e, size_t i)
{
	const struct value *v = &e->values[i];

	return v->field < e->n_fields && e->first[v->field] == i + 1 && !kept_anyway(v->field) && v->kind != VALUE_NULL;
}

struct kept *kept_new(const struct event *e)
{
	struct span text = first_line(e->raw);
	struct evidence evidence = {
		.source = e->source ? e->source->name : "",
		.file = e->origin.file ? e->origin.file : "",
		.line = e->origin.line,
		.time_ns = e->time_ns,
		.text = text,
	};
	size_t n_bytes = text.len;

	/* Most values are parts of the text: they need no bytes of their own. */
	for (size_t i = 0; i < e->n_values; i++)
		if (!lies_in(e->values[i].text, text) && !kept_anyway(e->values[i].field))
			n_bytes += cut(e->values[i].text).len;
	bool raw_is_text = text.len == e->raw.len;
	struct kept *k = kept_make(raw_is_text ? 0 : hash_bytes(e->raw.ptr, e->raw.len, 0), &evidence, n_bytes, e->n_values);
	k->raw_is_text = raw_is_text;
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i];
		struct span value = cut(v->text);

		if (!is_kept(e, i))
			continue;
		if (lies_in(v->text, text))
			kept_add_part(k, v->field, (uint32_t)(value.ptr - text.ptr), (uint32_t)value.len);
		else
			kept_add(k, v->field, value);
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
