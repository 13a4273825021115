/*
 * Copies of events. One allocation each: the struct and its bytes, which are
 *
 *	text      of the evidence: the record's first line only, cut at a character
 *	line      number
 *	hash      8 bytes, of the whole record: only where the text is not all of it
 *	fields    2 × (field + 1) + 1, length, offset: a part of these bytes, mostly of the text
 *	          2 × (field + 1), length, bytes
 *	0
 *
 * Most records say again what they said once: for them there are no fields, and they are parsed when they are asked for, which is seldom.
 *
 * Numbers are varints: 7 bits a byte, low first, the high bit says that more follow. So most fields take three bytes: their values are parts of the
 * text. One that is not, as the normalised name of an agent, is often the value of two fields: it is there once.
 */
#include "engine/kept.h"

#include "base/find.h"
#include "base/memory.h"

#include <stdlib.h>

#define NUMBER_SIZE 10 /* at most */
#define FIELD_SIZE 10  /* at most, without bytes: 3 of the field, 2 of a length, 5 of an offset */
#define HASH_SIZE sizeof(uint64_t)

static inline char *put_number(char *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (char)(unsigned char)(v | 0x80);
	*p++ = (char)v;
	return p;
}

/* Of what was put here: there is nothing to check. */
static inline uint64_t get_number(const char **at)
{
	const unsigned char *p = (const unsigned char *)*at;
	uint64_t v = *p & 0x7f;

	for (unsigned shift = 7; *p++ & 0x80; shift += 7)
		v |= (uint64_t)(*p & 0x7f) << shift;
	*at = (const char *)p;
	return v;
}

/* ---- where it was read ---- */

void keeper_init(struct keeper *kp, const struct field_table *fields)
{
	*kp = (struct keeper){ .fields = fields };
	event_init(&kp->event, field_count(fields));
}

void keeper_release(struct keeper *kp)
{
	slab_release(&kp->slab);
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		decoder_free(kp->decoders[i]);
	event_release(&kp->event);
	free(kp->logs);
	map_release(&kp->log_places);
	buffer_release(&kp->bytes);
}

static uint32_t log_find(struct keeper *kp, struct kept_log log)
{
	bool is_new;
	struct map_entry *e = map_add(&kp->log_places, span_of((const char *)&log, sizeof log), &is_new);

	if (is_new) {
		ARRAY_GROW(kp->logs, kp->n_logs, kp->cap_logs);
		e->value.number = kp->n_logs;
		kp->logs[kp->n_logs++] = log;
	}
	return (uint32_t)e->value.number;
}

/* Events of a few logs are among each other. */
static inline uint32_t log_place(struct keeper *kp, const char *source, const char *file, enum format format)
{
	uintptr_t h = (uintptr_t)source ^ (uintptr_t)file;
	uint32_t *place = &kp->recent[(h ^ h >> 4 ^ h >> 8) % (sizeof kp->recent / sizeof *kp->recent)];

	if (!*place || kp->logs[*place - 1].source != source || kp->logs[*place - 1].file != file || kp->logs[*place - 1].format != format)
		*place = log_find(kp, (struct kept_log){ source, file, format }) + 1;
	return *place - 1;
}

/* ---- making one ---- */

static inline bool lies_in(struct span s, struct span text)
{
	size_t at = (size_t)(s.ptr - text.ptr);

	return at < text.len && s.len <= text.len - at;
}

/* A field's first value only, and none that evidence has itself. */
static inline bool is_kept(const struct event *e, const struct value *v)
{
	return event_first(e, v->field) == v && !field_is_own(v->field) && v->kind != VALUE_NULL;
}

/* At p there is room for so much more. */
static inline char *room(struct keeper *kp, char *p, size_t n)
{
	kp->bytes.len = (size_t)(p - kp->bytes.data);
	buffer_reserve(&kp->bytes, n);
	return kp->bytes.data + kp->bytes.len;
}

/* With room for so many fields. raw_hash NULL: the record is the text. */
static inline char *begin(struct keeper *kp, uint64_t line, const uint64_t *raw_hash, size_t n_fields)
{
	kp->n_apart = 0;
	buffer_clear(&kp->bytes);
	buffer_reserve(&kp->bytes, NUMBER_SIZE + HASH_SIZE + n_fields * FIELD_SIZE + 1);
	char *p = put_number(kp->bytes.data, line);
	if (raw_hash) {
		memcpy(p, raw_hash, HASH_SIZE);
		p += HASH_SIZE;
	}
	return p;
}

static inline char *put_part(char *p, field_id f, size_t offset, size_t len)
{
	size_t field = 2 * ((size_t)f + 1) + 1;

	if (__builtin_expect((field | len | offset) < 0x80, 1)) {
		*p++ = (char)field;
		*p++ = (char)len;
		*p++ = (char)offset;
		return p;
	}
	p = put_number(p, field);
	p = put_number(p, len);
	return put_number(p, offset);
}

/* A value that is no part of the text: what is too long of it is cut off. Afterwards there is room for so many fields. */
static char *put_apart(struct keeper *kp, char *p, size_t text_len, field_id f, struct span value, size_t n_fields)
{
	if (value.len > KEPT_VALUE_LIMIT)
		value.len = KEPT_VALUE_LIMIT;
	for (uint32_t i = 0; i < kp->n_apart; i++)
		if (kp->apart[i].len == value.len && bytes_equal(kp->bytes.data + kp->apart[i].at, value.ptr, value.len))
			return put_part(p, f, text_len + kp->apart[i].at, value.len);
	p = room(kp, p, (n_fields + 1) * FIELD_SIZE + value.len + 1);
	p = put_number(p, 2 * ((uint64_t)f + 1));
	p = put_number(p, value.len);
	if (value.len == 0)
		return p;
	if (kp->n_apart < sizeof kp->apart / sizeof *kp->apart) {
		kp->apart[kp->n_apart].at = (uint32_t)(p - kp->bytes.data);
		kp->apart[kp->n_apart++].len = (uint32_t)value.len;
	}
	memcpy(p, value.ptr, value.len);
	return p + value.len;
}

/* Of the text and n bytes behind it. */
static inline struct kept *make(struct keeper *kp, struct span text, const char *bytes, size_t n, const char *source, const char *file,
				enum format format)
{
	size_t size = offsetof(struct kept, bytes) + text.len + n;
	struct kept *k = slab_alloc(&kp->slab, size);

	k->refs = 1;
	k->save_index = 0;
	k->is_large = size > SLAB_LIMIT;
	k->log = log_place(kp, source, file, format);
	k->text_len = (uint16_t)text.len;
	if (text.len)
		memcpy(k->bytes, text.ptr, text.len);
	memcpy(k->bytes + text.len, bytes, n);
	return k;
}

static struct kept *end(struct keeper *kp, char *p, struct span text, const char *source, const char *file)
{
	*p++ = 0;
	struct kept *k = make(kp, text, kp->bytes.data, (size_t)(p - kp->bytes.data), source, file, FORMAT_INCIDENT);

	k->parse = false;
	return k;
}

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

struct kept *kept_parsed(struct keeper *kp, const struct evidence *e, enum format format)
{
	char line[NUMBER_SIZE];
	size_t n = (size_t)(put_number(line, e->line) - line);
	struct kept *k = make(kp, e->text, line, n, e->source, e->file, format);

	k->raw_is_text = k->parse = true;
	k->time_ns = e->time_ns;
	return k;
}

struct kept *kept_new(struct keeper *kp, const struct event *e)
{
	const char *source = e->source ? e->source->name : "", *file = e->origin.file ? e->origin.file : "";

	if ((e->unparsed || (e->n_parsed && e->n_parsed == e->n_values)) && e->raw.len <= EVIDENCE_TEXT_LIMIT)
		return kept_parsed(kp, &(struct evidence){ source, file, e->origin.line, e->time_ns, e->raw }, e->source->format);
	if (e->unparsed)
		event_parse(e);
	struct span text = first_line(e->raw);
	bool raw_is_text = text.len == e->raw.len;
	uint64_t raw_hash = raw_is_text ? 0 : hash_bytes(e->raw.ptr, e->raw.len, 0);
	char *p = begin(kp, e->origin.line, raw_is_text ? NULL : &raw_hash, e->n_values);

	for (const struct value *v = e->values, *last = v + e->n_values; v < last; v++) {
		if (!is_kept(e, v))
			continue;
		if (lies_in(v->text, text))
			p = put_part(p, v->field, (size_t)(v->text.ptr - text.ptr), v->text.len);
		else
			p = put_apart(kp, p, text.len, v->field, v->text, (size_t)(last - v));
	}
	struct kept *k = end(kp, p, text, source, file);
	k->raw_is_text = raw_is_text;
	k->time_ns = e->time_ns;
	return k;
}

void kept_begin(struct keeper *kp, const struct evidence *e, uint64_t raw_hash)
{
	char *p;

	kp->raw_is_text = raw_hash == hash_bytes(e->text.ptr, e->text.len, 0);
	p = begin(kp, e->line, kp->raw_is_text ? NULL : &raw_hash, 1);
	kp->bytes.len = (size_t)(p - kp->bytes.data);
}

void kept_add(struct keeper *kp, const struct evidence *e, field_id f, struct span value)
{
	char *p = room(kp, kp->bytes.data + kp->bytes.len, FIELD_SIZE + 1);

	if (lies_in(value, e->text))
		p = put_part(p, f, (size_t)(value.ptr - e->text.ptr), value.len);
	else
		p = put_apart(kp, p, e->text.len, f, value, 1);
	kp->bytes.len = (size_t)(p - kp->bytes.data);
}

struct kept *kept_end(struct keeper *kp, const struct evidence *e)
{
	struct kept *k = end(kp, room(kp, kp->bytes.data + kp->bytes.len, 1), e->text, e->source, e->file);

	k->raw_is_text = kp->raw_is_text;
	k->time_ns = e->time_ns;
	return k;
}

void kept_unref(struct kept *k)
{
	if (k && --k->refs == 0)
		slab_free(k, k->is_large ? SIZE_MAX : 0);
}

/* ---- looking at one ---- */

struct evidence kept_evidence(const struct keeper *kp, const struct kept *k)
{
	const struct kept_log *log = &kp->logs[k->log];
	const char *at = k->bytes + k->text_len;

	return (struct evidence){ log->source, log->file, get_number(&at), k->time_ns, kept_text(k) };
}

uint64_t kept_raw_hash(const struct kept *k)
{
	const char *at = k->bytes + k->text_len;
	uint64_t hash;

	if (k->raw_is_text)
		return hash_bytes(k->bytes, k->text_len, 0);
	get_number(&at);
	memcpy(&hash, at, sizeof hash);
	return hash;
}

static struct decoder *decoder_of(struct keeper *kp, enum format format)
{
	size_t n;
	const struct source *s = builtin_sources(&n);

	for (size_t i = 0; i < n && !kp->decoders[format]; i++)
		if (s[i].format == format)
			kp->decoders[format] = decoder_new(&s[i], kp->fields, NULL, 0);
	return kp->decoders[format];
}

/* Its fields, as they were parsed when it was read. */
static void parse_again(struct keeper *kp, const struct kept *k)
{
	event_reset(&kp->event);
	char *text = arena_alloc(&kp->event.arena, k->text_len + FIND_BYTES);
	memcpy(text, k->bytes, k->text_len);
	memset(text + k->text_len, 0, FIND_BYTES);
	kp->event.raw = span_of(text, k->text_len);
	decoder_parse_again(decoder_of(kp, kept_format(kp, k)), kp->event.raw, &kp->event);
}

struct kept_reader kept_read(struct keeper *kp, const struct kept *k)
{
	struct kept_reader r = { .kept = k, .event = NULL, .at = k->bytes + k->text_len };

	if (k->parse) {
		parse_again(kp, k);
		r.event = &kp->event;
		r.i = 0;
		return r;
	}
	get_number(&r.at);
	r.at += k->raw_is_text ? 0 : HASH_SIZE;
	return r;
}

static bool next_value(struct kept_reader *r)
{
	const struct event *e = r->event;

	while (r->i < e->n_values) {
		const struct value *v = &e->values[r->i++];
		if (!is_kept(e, v))
			continue;
		r->field = v->field;
		r->value = lies_in(v->text, e->raw) ? span_of(r->kept->bytes + (v->text.ptr - e->raw.ptr), v->text.len) : v->text;
		return true;
	}
	return false;
}

bool kept_next(struct kept_reader *r)
{
	if (r->event)
		return next_value(r);
	uint64_t field = get_number(&r->at);
	if (field == 0)
		return false;
	r->field = (field_id)(field / 2 - 1);
	r->value.len = (size_t)get_number(&r->at);
	if (field & 1) {
		r->value.ptr = r->kept->bytes + get_number(&r->at);
	} else {
		r->value.ptr = r->at;
		r->at += r->value.len;
	}
	return true;
}

struct span kept_field(struct keeper *kp, const struct kept *k, field_id f)
{
	for (struct kept_reader r = kept_read(kp, k); kept_next(&r);)
		if (r.field == f)
			return r.value;
	return span_of(NULL, 0);
}
