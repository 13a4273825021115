/*
 * The engine's state as bytes and back, exactly: after engine_load() everything goes on as if nothing had been. What
 * belongs to a rule whose digest has changed, or that is gone, is read over. What is written says all about its own shape, so
 * that engine_describe() needs no rules.
 *
 *	version  now  next_seq  1
 *	n fields: names · n names (of sources, files and formats) · n strings: texts      (each referred to by place, from 1; 0: none)
 *	n kept events: hash of the record, source, file, line, stamp, text, 2 × n fields: field, value     (the same)
 *	  or without fields and hash (0): 2 × format + 1: the text is the record, and is parsed again
 *	  a value is 2 × its length and its bytes, or 2 × its offset in the text + 1 and its length
 *	n top fields: fields
 *	n rules: name, digest, flags (1: was told to be undetermined; 2: it counts top fields), n slots, n keys: fields
 *	  n cells, from stalest to newest: bytes of
 *	    a value a key · flags · seq · [expires] · [pending] · [incident] · [window] · [slots] · [held]
 *
 * Stamps in cells and of kept events are differences to `now`, which are short. Numbers are codec.h's. Nothing read is trusted: every count is
 * bounded by the bytes left, every place checked.
 */
#include "engine/state.h"

#include "base/memory.h"
#include "engine/places.h"

#include <math.h>
#include <stdlib.h>

#define SAVE_VERSION 2 /* 1 has all fields of all kept events, and their number for twice that: it is read, too */

enum cell_flags {
	CELL_EXPIRES = 1, /* else never */
	CELL_PENDING = 2,
	CELL_INCIDENT = 4,
	CELL_WINDOW = 8,
	CELL_SLOTS = 16,
	CELL_HELD = 32,
	CELL_FLAGS = 63,
};

enum entry_flags {
	ENTRY_NUMBER = 1,
	ENTRY_KEPT = 2,
	ENTRY_VALUE = 4,
	ENTRY_TOPS = 8,
	ENTRY_FLAGS = 15,
};

enum rule_flags {
	RULE_TOLD_UNDETERMINED = 1,
	RULE_HAS_TOPS = 2,
	RULE_FLAGS = 3,
};

/* Any time can be told from any other, TIME_NONE too: the difference wraps around. */
static void put_time(struct buffer *out, int64_t time_ns, int64_t base_ns)
{
	codec_put_i64(out, (int64_t)((uint64_t)time_ns - (uint64_t)base_ns));
}

static int64_t get_time(struct codec_reader *in, int64_t base_ns)
{
	return (int64_t)((uint64_t)codec_get_i64(in) + (uint64_t)base_ns);
}

/* A time that was: it can be reckoned with. Deadlines may be anywhere. */
static int64_t get_past(struct codec_reader *in, int64_t base_ns)
{
	int64_t t = get_time(in, base_ns);

	if (t != TIME_NONE && (t < TIME_LEAST || t > TIME_MOST))
		in->bad = true;
	return t;
}

/* ---- saving ---- */

struct saver {
	const struct engine *en;
	struct keeper *keeper;      /* the engine's: to read a kept event is to parse it, which changes nothing that is saved */
	struct buffer cell;         /* the one that is being written */
	struct places fields, strings;
	struct map names;
	const char *last_names[3];  /* looked up last: most events are of the log of the event before; sources, files, formats */
	uint64_t last_places[3];
	struct kept **kept;
	size_t n_kept, cap_kept;
	struct tally_slot *sorted;  /* scratch */
	uint32_t cap_sorted;
};

/* which: 0: a source, 1: a file, 2: a format. */
static uint64_t name_place(struct saver *s, int which, const char *name)
{
	bool is_new;

	if (name == s->last_names[which])
		return s->last_places[which];
	struct map_entry *e = map_add(&s->names, span_from_string(name), &is_new);
	if (is_new)
		e->value.number = s->names.n;
	s->last_names[which] = name;
	return s->last_places[which] = e->value.number;
}

static void meet_kept(struct saver *s, struct kept *k)
{
	if (!k || k->save_index)
		return;
	ARRAY_GROW(s->kept, s->n_kept, s->cap_kept);
	s->kept[s->n_kept++] = k;
	k->save_index = (uint32_t)s->n_kept;
	struct evidence e = kept_evidence(&s->en->keeper, k);
	name_place(s, 0, e.source);
	name_place(s, 1, e.file);
	if (k->parse) {
		name_place(s, 2, format_name(kept_format(s->keeper, k)));
		return;
	}
	for (struct kept_reader r = kept_read(s->keeper, k); kept_next(&r);)
		places_meet(&s->fields, r.field);
}

static void meet_string(struct saver *s, string_id id)
{
	if (id)
		places_meet(&s->strings, id);
}

/* Its slots in an order that depends on nothing but what they hold: into s->sorted. Returns how many. */
static uint32_t sort_tally(struct saver *s, const struct tally *t)
{
	if (t->n_distinct > s->cap_sorted) {
		s->cap_sorted = t->n_distinct;
		s->sorted = xrealloc(s->sorted, s->cap_sorted * sizeof *s->sorted);
	}
	return t->n_distinct ? tally_top(t, &s->en->strings, s->sorted, t->n_distinct) : 0;
}

static void meet_cell(struct saver *s, const struct cell *c)
{
	const struct rule_state *rs = &s->en->states[c->rule];

	for (uint32_t i = 0; i < c->window.n; i++) {
		const struct entry *e = window_at(&c->window, rs->entry_size, i);
		if (rs->kept_at)
			meet_kept(s, *entry_kept(rs, e));
		if (rs->value_at)
			meet_string(s, *entry_value(rs, e));
		for (uint32_t j = 0; j < rs->n_tops; j++)
			meet_string(s, entry_tops(rs, e)[j]);
	}
	for (uint32_t i = 0; i < cell_slots(c); i++)
		meet_kept(s, c->state->slots[i].kept);
	if (c->state)
		meet_kept(s, c->state->trigger);
	for (uint32_t i = 0; c->incident && i < c->incident->n_evidence; i++)
		meet_kept(s, c->incident->evidence[(c->incident->evidence_head + i) % EVIDENCE_LIMIT]);
	for (uint32_t i = 0; c->incident && i < rs->n_tops; i++)
		for (uint32_t n = sort_tally(s, &c->incident->tops[i].tally), j = 0; j < n; j++)
			meet_string(s, s->sorted[j].id);
}

static void put_kept(struct buffer *out, const struct kept *k)
{
	codec_put_u64(out, k ? k->save_index : 0);
}

static void put_incident(struct saver *s, const struct cell *c, struct buffer *out)
{
	const struct incident *in = c->incident;
	const struct rule_state *rs = &s->en->states[c->rule];
	int64_t now = s->en->now_ns;

	codec_put_span(out, span_from_string(in->id));
	put_time(out, in->opened_ns, now);
	codec_put_u64(out, in->count);
	put_time(out, in->resolve_ns, now);
	put_time(out, in->first_ns, now);
	put_time(out, in->last_ns, now);
	put_time(out, in->emitted_ns, now);
	codec_put_double(out, in->value);
	codec_put_u64(out, in->n_evidence);
	for (uint32_t i = 0; i < in->n_evidence; i++)
		put_kept(out, in->evidence[(in->evidence_head + i) % EVIDENCE_LIMIT]);
	for (uint32_t i = 0; i < rs->n_tops; i++) {
		const struct top_tally *t = &in->tops[i];
		uint32_t n = sort_tally(s, &t->tally);
		codec_put_u64(out, t->others);
		codec_put_u64(out, n);
		for (uint32_t j = 0; j < n; j++) {
			codec_put_u64(out, s->strings.of[s->sorted[j].id]);
			codec_put_u64(out, s->sorted[j].count);
		}
	}
}

static void put_window(struct saver *s, const struct cell *c, struct buffer *out)
{
	const struct rule_state *rs = &s->en->states[c->rule];
	int64_t before = s->en->now_ns;

	codec_put_u64(out, c->window.n);
	codec_put_double(out, c->state ? c->state->sum : 0);
	for (uint32_t i = 0; i < c->window.n; i++) {
		const struct entry *e = window_at(&c->window, rs->entry_size, i);
		double number = rs->number_at ? *entry_number(rs, e) : 0;
		const struct kept *kept = rs->kept_at ? *entry_kept(rs, e) : NULL;
		string_id value = rs->value_at ? *entry_value(rs, e) : 0;
		const string_id *tops = entry_tops(rs, e);
		bool has_tops = false;
		for (uint32_t j = 0; j < rs->n_tops; j++)
			has_tops |= tops[j] != 0;
		codec_put_u64(out, (number != 0 ? ENTRY_NUMBER : 0) | (kept ? ENTRY_KEPT : 0) | (value ? ENTRY_VALUE : 0) | (has_tops ? ENTRY_TOPS : 0));
		put_time(out, e->time_ns, before);
		before = e->time_ns;
		if (number != 0)
			codec_put_double(out, number);
		if (kept)
			put_kept(out, kept);
		if (value)
			codec_put_u64(out, s->strings.of[value]);
		for (uint32_t j = 0; has_tops && j < rs->n_tops; j++)
			codec_put_u64(out, tops[j] ? s->strings.of[tops[j]] : 0);
	}
}

static void put_cell(struct saver *s, const struct cell *c, struct buffer *out)
{
	const struct correlation *k = s->en->rules->rules[c->rule].correlation;
	int64_t now = s->en->now_ns;
	const struct cell_state *state = c->state;
	const struct held *held = state ? &state->held : NULL;
	bool has_slots = false, has_window = c->window.n || (state && state->sum != 0);
	bool holds = held && (held->last_ns != TIME_NONE || held->accrued_ns || held->snapshot_ns != TIME_NONE || held->stream);

	for (uint32_t i = 0; i < cell_slots(c); i++)
		has_slots |= state->slots[i].time_ns != TIME_NONE || state->slots[i].start_ns != TIME_NONE || state->slots[i].kept;
	for (uint32_t i = 0; k && i < k->n_keys; i++)
		codec_put_span(out, key_value(s->en, c, i));
	codec_put_u64(out, (c->expires_ns != INT64_MAX ? CELL_EXPIRES : 0) | (cell_pending(c) != TIME_NONE ? CELL_PENDING : 0) |
				   (c->incident ? CELL_INCIDENT : 0) | (has_window ? CELL_WINDOW : 0) | (has_slots ? CELL_SLOTS : 0) |
				   (holds ? CELL_HELD : 0));
	codec_put_u64(out, c->seq);
	if (c->expires_ns != INT64_MAX)
		put_time(out, c->expires_ns, now);
	if (cell_pending(c) != TIME_NONE) {
		put_time(out, state->pending_ns, now);
		put_time(out, state->trigger_ns, now);
		put_kept(out, state->trigger);
	}
	if (c->incident)
		put_incident(s, c, out);
	if (has_window)
		put_window(s, c, out);
	for (uint32_t i = 0; has_slots && i < state->n_slots; i++) {
		put_time(out, state->slots[i].time_ns, now);
		put_time(out, state->slots[i].start_ns, now);
		put_kept(out, state->slots[i].kept);
	}
	if (holds) {
		put_time(out, held->last_ns, now);
		codec_put_i64(out, held->accrued_ns);
		put_time(out, held->snapshot_ns, now);
		codec_put_u64(out, held->stream);
	}
}

static void put_value(struct buffer *out, struct span text, struct span value)
{
	size_t offset = (size_t)(value.ptr - text.ptr);

	if (value.len && offset < text.len && value.len <= text.len - offset) {
		codec_put_u64(out, (uint64_t)offset * 2 + 1);
		codec_put_u64(out, value.len);
		return;
	}
	codec_put_u64(out, (uint64_t)value.len * 2);
	buffer_append_span(out, value);
}

static void put_tables(struct saver *s, struct buffer *out)
{
	const struct engine *en = s->en;

	codec_put_u64(out, s->fields.n);
	for (uint32_t i = 0; i < s->fields.n; i++)
		codec_put_span(out, field_name(&en->rules->fields, (field_id)s->fields.order[i]));
	codec_put_u64(out, s->names.n);
	for (size_t i = 0; i < s->names.n; i++)
		codec_put_span(out, s->names.entries[i]->key);
	codec_put_u64(out, s->strings.n);
	for (uint32_t i = 0; i < s->strings.n; i++) {
		codec_put_span(out, strings_text(&en->strings, s->strings.order[i]));
		buffer_drain(out);
	}
	codec_put_u64(out, s->n_kept);
	for (size_t i = 0; i < s->n_kept; i++) {
		const struct kept *k = s->kept[i];
		struct evidence e = kept_evidence(&en->keeper, k);
		size_t n = 0;
		codec_put_u64(out, k->parse ? 0 : kept_raw_hash(k));
		codec_put_u64(out, name_place(s, 0, e.source));
		codec_put_u64(out, name_place(s, 1, e.file));
		codec_put_u64(out, e.line);
		put_time(out, e.time_ns, en->now_ns);
		codec_put_span(out, e.text);
		if (k->parse) {
			codec_put_u64(out, 2 * name_place(s, 2, format_name(kept_format(s->keeper, k))) + 1);
			buffer_drain(out);
			continue;
		}
		for (struct kept_reader r = kept_read(s->keeper, k); kept_next(&r);)
			n++;
		codec_put_u64(out, 2 * n);
		for (struct kept_reader r = kept_read(s->keeper, k); kept_next(&r);) {
			codec_put_u64(out, s->fields.of[r.field]);
			put_value(out, e.text, r.value);
		}
		buffer_drain(out);
	}
	codec_put_u64(out, en->rules->n_top_fields);
	for (uint32_t i = 0; i < en->rules->n_top_fields; i++)
		codec_put_u64(out, s->fields.of[en->rules->top_fields[i]]);
}

static void put_rule(struct saver *s, uint32_t rule, struct buffer *out)
{
	const struct rule *r = &s->en->rules->rules[rule];
	const struct rule_state *state = &s->en->states[rule];
	const struct correlation *k = r->correlation;
	bool has_slots = k && (k->type == CORRELATION_TEMPORAL || k->type == CORRELATION_TEMPORAL_ORDERED);

	codec_put_span(out, span_from_string(r->name));
	codec_put_u64(out, r->digest);
	codec_put_u64(out, (state->told_undetermined ? RULE_TOLD_UNDETERMINED : 0) | (state->n_tops ? RULE_HAS_TOPS : 0));
	codec_put_u64(out, has_slots ? k->n_slots : 0);
	codec_put_u64(out, k ? k->n_keys : 0);
	for (uint32_t i = 0; k && i < k->n_keys; i++)
		codec_put_span(out, span_from_string(k->keys[i]));
	codec_put_u64(out, state->n_cells);
	for (const struct cell *c = state->oldest; c; c = c->newer) {
		buffer_clear(&s->cell);
		put_cell(s, c, &s->cell);
		codec_put_span(out, buffer_span(&s->cell));
		buffer_drain(out);
	}
}

void engine_save(const struct engine *en, struct buffer *out)
{
	struct saver s = { .en = en, .keeper = (struct keeper *)(uintptr_t)&en->keeper };
	uint32_t n_rules = 0;

	places_init(&s.fields, field_count(&en->rules->fields));
	places_init(&s.strings, en->strings.n_ids);
	for (uint32_t i = 0; i < en->rules->n_top_fields; i++)
		places_meet(&s.fields, en->rules->top_fields[i]);
	for (uint32_t i = 0; i < en->rules->n_rules; i++) {
		n_rules += en->states[i].n_cells != 0 || en->states[i].told_undetermined;
		for (const struct cell *c = en->states[i].oldest; c; c = c->newer)
			meet_cell(&s, c);
	}
	codec_put_u64(out, SAVE_VERSION);
	codec_put_i64(out, en->now_ns);
	codec_put_u64(out, en->next_seq);
	codec_put_u64(out, 1); /* nothing, now */
	put_tables(&s, out);
	codec_put_u64(out, n_rules);
	for (uint32_t i = 0; i < en->rules->n_rules; i++)
		if (en->states[i].n_cells || en->states[i].told_undetermined)
			put_rule(&s, i, out);
	for (size_t i = 0; i < s.n_kept; i++)
		s.kept[i]->save_index = 0;
	free(s.kept);
	free(s.sorted);
	buffer_release(&s.cell);
	places_release(&s.fields);
	places_release(&s.strings);
	map_release(&s.names);
}

/* ---- loading ---- */

struct loader {
	struct engine *en;
	uint64_t version;
	const char *format_name; /* looked up last */
	enum format format;
	int64_t now_ns;
	field_id *fields;     /* by place; FIELD_NONE: not known any more */
	const char **names;
	string_id *strings;
	struct kept **kept;
	string_id *key;       /* scratch, for the rule's group-by values */
	int *top_place;       /* saved top field → ours; -1: not counted any more */
	size_t n_fields, n_names, n_strings, n_kept;
	uint32_t n_tops;      /* saved top fields; 0 for a rule that did not alert */
};

/* From 1 to limit. */
static size_t get_place(struct codec_reader *in, size_t limit)
{
	uint64_t place = codec_get_u64(in);

	if (place == 0 || place > limit)
		in->bad = true;
	return in->bad ? 0 : (size_t)place;
}

static struct kept *get_kept(struct loader *l, struct codec_reader *in)
{
	uint64_t place = codec_get_u64(in);

	if (place > l->n_kept)
		in->bad = true;
	return in->bad || place == 0 ? NULL : kept_ref(l->kept[place - 1]);
}

/* Takes no reference: the loader holds one until it is done. */
static string_id get_string(struct loader *l, struct codec_reader *in)
{
	uint64_t place = codec_get_u64(in);

	if (place > l->n_strings)
		in->bad = true;
	return in->bad || place == 0 ? 0 : l->strings[place - 1];
}

static void get_window(struct loader *l, struct cell *c, struct codec_reader *in)
{
	struct engine *en = l->en;
	const struct rule_state *rs = &en->states[c->rule];
	size_t n = codec_get_count(in);
	double sum = codec_get_double(in);
	int64_t before = l->now_ns;

	if (n > WINDOW_LIMIT || !rs->entry_size)
		in->bad = true;
	for (size_t i = 0; i < n && !in->bad; i++) {
		struct entry *e = window_append(en, c);
		uint64_t flags = codec_get_u64(in);
		if (flags > ENTRY_FLAGS)
			in->bad = true;
		e->time_ns = before = get_past(in, before);
		double number = flags & ENTRY_NUMBER ? codec_get_double(in) : 0;
		if (!isfinite(number)) /* none was taken (value_number()), and it has no place in order */
			in->bad = true;
		struct kept *kept = flags & ENTRY_KEPT ? get_kept(l, in) : NULL;
		string_id value = flags & ENTRY_VALUE ? get_string(l, in) : 0;
		if (rs->number_at)
			*entry_number(rs, e) = number;
		if (rs->kept_at)
			*entry_kept(rs, e) = kept;
		else
			kept_unref(kept);
		if (rs->value_at && value) {
			strings_ref(&en->strings, value);
			*entry_value(rs, e) = value;
			tally_add(&c->state->distinct, &en->strings, value);
		}
		for (uint32_t j = 0; (flags & ENTRY_TOPS) && j < l->n_tops; j++) {
			string_id id = get_string(l, in);
			int to = l->top_place[j];
			if (to >= 0 && (uint32_t)to < rs->n_tops && !entry_tops(rs, e)[to]) {
				strings_ref(&en->strings, id);
				entry_tops(rs, e)[to] = id;
			}
		}
	}
	if (c->state)
		c->state->sum = sum;
}

static void get_incident(struct loader *l, struct cell *c, struct codec_reader *in)
{
	struct engine *en = l->en;
	struct incident *i = incident_new(en, c);
	struct span id = codec_get_span(in);

	i->id = xmemdup(id.ptr, id.len);
	i->opened_ns = get_past(in, l->now_ns);
	i->count = codec_get_u64(in);
	i->resolve_ns = get_time(in, l->now_ns);
	i->first_ns = get_past(in, l->now_ns);
	i->last_ns = get_past(in, l->now_ns);
	i->emitted_ns = get_past(in, l->now_ns);
	i->value = codec_get_double(in);
	size_t n = codec_get_count(in);
	if (n > EVIDENCE_LIMIT)
		in->bad = true;
	for (size_t k = 0; k < n && !in->bad; k++) {
		struct kept *kept = get_kept(l, in);
		if (kept)
			i->evidence[i->n_evidence++] = kept;
	}
	for (uint32_t t = 0; t < l->n_tops && !in->bad; t++) {
		int to = l->top_place[t];
		uint64_t others = codec_get_u64(in);
		size_t values = codec_get_count(in);
		bool ours = to >= 0 && (uint32_t)to < en->states[c->rule].n_tops;
		if (ours)
			i->tops[to].others = others;
		for (size_t v = 0; v < values && !in->bad; v++) {
			string_id s = get_string(l, in);
			uint64_t count = codec_get_u64(in);
			if (count == 0 || count > UINT32_MAX || !s)
				in->bad = true;
			else if (ours)
				tally_set(&i->tops[to].tally, &en->strings, s, (uint32_t)count);
		}
	}
}

static void get_cell(struct loader *l, uint32_t rule, uint32_t n_slots, struct codec_reader *in)
{
	struct engine *en = l->en;
	const struct correlation *k = en->rules->rules[rule].correlation;

	string_id *ids = l->key;
	uint32_t n_keys = k ? k->n_keys : 0;
	for (uint32_t i = 0; i < n_keys; i++)
		ids[i] = strings_get(&en->strings, codec_get_span(in));
	uint64_t flags = codec_get_u64(in), next_seq = en->next_seq;
	struct key key = key_from(ids, n_keys);
	struct cell *c = in->bad || flags > CELL_FLAGS ? NULL : cell_get(en, rule, &key);
	for (uint32_t i = 0; i < n_keys; i++)
		strings_unref(&en->strings, ids[i]);
	if (!c) {
		in->bad = true;
		return;
	}
	if (en->next_seq == next_seq) { /* the same key twice */
		in->bad = true;
		return;
	}
	c->seq = codec_get_u64(in);
	if (flags & CELL_EXPIRES)
		c->expires_ns = get_time(in, l->now_ns);
	if ((flags & (CELL_PENDING | CELL_HELD)) && !c->state) {
		in->bad = true;
		return;
	}
	if (flags & CELL_PENDING) {
		c->state->pending_ns = get_time(in, l->now_ns);
		c->state->trigger_ns = get_past(in, l->now_ns);
		c->state->trigger = get_kept(l, in);
		if (!c->state->trigger || c->state->pending_ns == TIME_NONE)
			in->bad = true;
	}
	if (flags & CELL_INCIDENT)
		get_incident(l, c, in);
	if (flags & CELL_WINDOW)
		get_window(l, c, in);
	for (uint32_t i = 0; (flags & CELL_SLOTS) && i < n_slots; i++) {
		struct slot *s = &c->state->slots[i];
		s->time_ns = get_past(in, l->now_ns);
		s->start_ns = get_past(in, l->now_ns);
		s->kept = get_kept(l, in);
	}
	if (flags & CELL_HELD) {
		struct held *h = &c->state->held;
		h->last_ns = get_past(in, l->now_ns);
		h->accrued_ns = codec_get_i64(in);
		h->snapshot_ns = get_past(in, l->now_ns);
		uint64_t stream = codec_get_u64(in);
		h->stream = (uint32_t)stream;
		if (h->accrued_ns < 0 || h->accrued_ns > TIME_MOST || stream > UINT32_MAX)
			in->bad = true;
	}
	if (in->ptr != in->end)
		in->bad = true;
	cell_schedule(en, c);
}

static const struct rule *rule_named(const struct ruleset *rs, struct span name)
{
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (span_equal(span_from_string(rs->rules[i].name), name))
			return &rs->rules[i];
	return NULL;
}

/* Its bytes, or those of a part of the text. */
static struct span get_value(struct codec_reader *in, struct span text)
{
	uint64_t n = codec_get_u64(in), len = n & 1 ? codec_get_u64(in) : n / 2;

	if (n & 1) {
		if (n / 2 > text.len || len > text.len - n / 2)
			in->bad = true;
		return in->bad ? SPAN("") : span_of(text.ptr + n / 2, (size_t)len);
	}
	if (in->bad || len > (uint64_t)(in->end - in->ptr)) {
		in->bad = true;
		return SPAN("");
	}
	struct span s = span_of(in->ptr, (size_t)len);
	in->ptr += len;
	return s;
}

/* Of a kept event. *ret_format: the place of its format's name, where it is parsed again; else 0. */
static size_t get_n_fields(struct codec_reader *in, uint64_t version, uint64_t *ret_format)
{
	*ret_format = 0;
	if (version == 1)
		return codec_get_count(in);
	uint64_t n = codec_get_u64(in);
	if (n & 1)
		*ret_format = n / 2;
	else if (n / 2 > (uint64_t)(in->end - in->ptr))
		in->bad = true;
	return n & 1 || in->bad ? 0 : (size_t)(n / 2);
}

static struct kept *get_kept_parsed(struct loader *l, const struct evidence *e, uint64_t place, struct codec_reader *in)
{
	if (place > l->n_names) {
		in->bad = true;
		return NULL;
	}
	const char *name = l->names[place - 1];
	for (int f = 0; f < FORMAT_COUNT && l->format_name != name; f++)
		if (format_parses_again((enum format)f) && !strcmp(format_name((enum format)f), name)) {
			l->format_name = name;
			l->format = (enum format)f;
		}
	if (l->format_name != name) {
		in->bad = true;
		return NULL;
	}
	return kept_parsed(&l->en->keeper, e, l->format);
}

static struct kept *get_kept_event(struct loader *l, struct codec_reader *in)
{
	uint64_t raw_hash = codec_get_u64(in);
	size_t source = get_place(in, l->n_names), file = get_place(in, l->n_names);
	struct evidence e = { .line = codec_get_u64(in) };
	e.time_ns = get_past(in, l->now_ns);
	e.text = codec_get_span(in);
	uint64_t format;
	size_t n = get_n_fields(in, l->version, &format);
	if (e.text.len > EVIDENCE_TEXT_LIMIT)
		in->bad = true;
	if (in->bad)
		return NULL;
	e.source = l->names[source - 1];
	e.file = l->names[file - 1];
	if (format)
		return get_kept_parsed(l, &e, format, in);
	kept_begin(&l->en->keeper, &e, raw_hash);
	for (size_t i = 0; i < n && !in->bad; i++) {
		size_t place = get_place(in, l->n_fields);
		struct span value = get_value(in, e.text);
		if (value.len > KEPT_VALUE_LIMIT || l->en->keeper.bytes.len > INT32_MAX)
			in->bad = true;
		else if (place && l->fields[place - 1] != FIELD_NONE)
			kept_add(&l->en->keeper, &e, l->fields[place - 1], value);
	}
	return in->bad ? NULL : kept_end(&l->en->keeper, &e);
}

static void get_tables(struct loader *l, struct codec_reader *in)
{
	struct engine *en = l->en;
	size_t n;

	l->n_fields = codec_get_count(in);
	l->fields = xcalloc(l->n_fields + 1, sizeof *l->fields);
	for (size_t i = 0; i < l->n_fields && !in->bad; i++)
		l->fields[i] = field_find(&en->rules->fields, codec_get_span(in));
	l->n_names = codec_get_count(in);
	l->names = xcalloc(l->n_names + 1, sizeof *l->names);
	for (size_t i = 0; i < l->n_names && !in->bad; i++)
		l->names[i] = map_add(&en->names, codec_get_span(in), NULL)->key.ptr;
	n = codec_get_count(in);
	l->strings = xcalloc(n + 1, sizeof *l->strings);
	strings_reserve(&en->strings, n);
	while (l->n_strings < n && !in->bad)
		l->strings[l->n_strings++] = strings_get(&en->strings, codec_get_span(in));
	n = codec_get_count(in);
	l->kept = xcalloc(n + 1, sizeof *l->kept);
	while (l->n_kept < n && !in->bad) {
		struct kept *k = get_kept_event(l, in);
		if (k)
			l->kept[l->n_kept++] = k;
		else
			in->bad = true;
	}
	n = codec_get_count(in);
	l->top_place = xcalloc(n + 1, sizeof *l->top_place);
	for (size_t i = 0; i < n && !in->bad; i++) {
		size_t place = get_place(in, l->n_fields);
		l->top_place[i] = -1;
		for (uint32_t j = 0; place && j < en->rules->n_top_fields; j++)
			if (en->rules->top_fields[j] == l->fields[place - 1])
				l->top_place[i] = (int)j;
	}
	l->n_tops = (uint32_t)n;
}

/* What is said of a rule in front of its cells. */
struct saved_rule {
	struct span name;
	uint64_t digest, flags, n_slots, n_cells;
	size_t n_keys;
	struct codec_reader keys;
};

static struct saved_rule get_rule(struct codec_reader *in)
{
	struct saved_rule r = { .name = codec_get_span(in) };

	r.digest = codec_get_u64(in);
	r.flags = codec_get_u64(in);
	r.n_slots = codec_get_u64(in);
	r.n_keys = codec_get_count(in);
	r.keys = *in;
	for (size_t i = 0; i < r.n_keys && !in->bad; i++)
		codec_get_span(in);
	r.n_cells = codec_get_count(in);
	if (r.flags > RULE_FLAGS)
		in->bad = true;
	return r;
}

static uint64_t get_version(struct codec_reader *in)
{
	uint64_t version = codec_get_u64(in);

	if (version == 0 || version > SAVE_VERSION)
		in->bad = true;
	return version;
}

bool engine_load(struct engine *en, struct codec_reader *in)
{
	struct loader l = { .en = en, .version = get_version(in) };

	en->now_ns = l.now_ns = get_past(in, 0);
	uint64_t next_seq = codec_get_u64(in);
	codec_get_u64(in);
	get_tables(&l, in);
	uint32_t n_tops = l.n_tops;
	for (size_t n_rules = codec_get_count(in); n_rules && !in->bad; n_rules--) {
		struct saved_rule saved = get_rule(in);
		const struct rule *r = rule_named(en->rules, saved.name);
		const struct correlation *k = r ? r->correlation : NULL;
		bool has_slots = k && (k->type == CORRELATION_TEMPORAL || k->type == CORRELATION_TEMPORAL_ORDERED);
		bool known = r && r->digest == saved.digest && !en->states[r->index].n_cells;
		if (known && (saved.n_slots != (has_slots ? k->n_slots : 0) || saved.n_keys != (k ? k->n_keys : 0)))
			in->bad = true;
		if (known && !in->bad)
			en->states[r->index].told_undetermined = saved.flags & RULE_TOLD_UNDETERMINED;
		l.n_tops = saved.flags & RULE_HAS_TOPS ? n_tops : 0;
		if (known && !in->bad) {
			table_reserve(en, (size_t)saved.n_cells);
			l.key = xrealloc(l.key, (saved.n_keys + 1) * sizeof *l.key);
		}
		for (; saved.n_cells && !in->bad; saved.n_cells--) {
			struct span bytes = codec_get_span(in);
			struct codec_reader cell = { bytes.ptr, bytes.ptr + bytes.len, false };
			if (!known)
				continue;
			get_cell(&l, r->index, (uint32_t)saved.n_slots, &cell);
			in->bad |= cell.bad;
		}
	}
	en->next_seq = next_seq;
	for (size_t i = 0; i < l.n_kept; i++)
		kept_unref(l.kept[i]);
	for (size_t i = 0; i < l.n_strings; i++)
		strings_unref(&en->strings, l.strings[i]);
	free(l.fields);
	free(l.names);
	free(l.kept);
	free(l.strings);
	free(l.top_place);
	free(l.key);
	return !in->bad;
}

/* ---- describing ---- */

static void describe_cell(struct engine_saved *ret, size_t rule, size_t n_keys, struct codec_reader *in)
{
	struct saved_cell c = { .rule = rule, .keys = *in, .pending_ns = TIME_NONE };

	for (size_t i = 0; i < n_keys; i++)
		codec_get_span(in);
	uint64_t flags = codec_get_u64(in);
	codec_get_u64(in);
	if (flags & CELL_EXPIRES)
		codec_get_i64(in);
	if (flags & CELL_PENDING) {
		c.pending_ns = get_time(in, ret->now_ns);
		c.trigger_ns = get_time(in, ret->now_ns);
		codec_get_u64(in);
		ret->rules[rule].n_pending++;
	}
	if (flags & CELL_INCIDENT) {
		c.id = codec_get_span(in);
		c.opened_ns = get_time(in, ret->now_ns);
		c.count = codec_get_u64(in);
		c.resolve_ns = get_time(in, ret->now_ns);
		ret->rules[rule].n_open++;
	}
	if (in->bad || !(flags & (CELL_PENDING | CELL_INCIDENT)))
		return;
	ARRAY_GROW(ret->cells, ret->n_cells, ret->cap_cells);
	ret->cells[ret->n_cells++] = c;
}

bool engine_describe(struct codec_reader *in, struct engine_saved *ret)
{
	size_t cap_rules = 0;

	*ret = (struct engine_saved){ 0 };
	uint64_t version = get_version(in), format;
	ret->now_ns = codec_get_i64(in);
	codec_get_u64(in);
	codec_get_u64(in);
	for (int table = 0; table < 3; table++)
		for (size_t n = codec_get_count(in); n && !in->bad; n--)
			codec_get_span(in);
	for (size_t n = codec_get_count(in); n && !in->bad; n--) {
		for (int i = 0; i < 4; i++)
			codec_get_u64(in);
		codec_get_i64(in);
		struct span text = codec_get_span(in);
		for (size_t fields = get_n_fields(in, version, &format); fields && !in->bad; fields--) {
			codec_get_u64(in);
			get_value(in, text);
		}
	}
	for (size_t n = codec_get_count(in); n && !in->bad; n--)
		codec_get_u64(in);
	for (size_t n = codec_get_count(in); n && !in->bad; n--) {
		struct saved_rule r = get_rule(in);
		if (in->bad)
			break;
		ARRAY_GROW(ret->rules, ret->n_rules, cap_rules);
		ret->rules[ret->n_rules++] = (struct engine_saved_rule){ .name = r.name, .keys = r.keys, .n_keys = r.n_keys, .n_cells = r.n_cells };
		for (; r.n_cells && !in->bad; r.n_cells--) {
			struct span bytes = codec_get_span(in);
			struct codec_reader cell = { bytes.ptr, bytes.ptr + bytes.len, false };
			describe_cell(ret, ret->n_rules - 1, r.n_keys, &cell);
			in->bad |= cell.bad;
		}
	}
	return !in->bad;
}

void engine_saved_release(struct engine_saved *s)
{
	free(s->rules);
	free(s->cells);
	*s = (struct engine_saved){ 0 };
}
