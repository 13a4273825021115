/*
 * The engine's state as bytes and back, exactly: after engine_load() everything goes on as if nothing had been. What
 * belongs to a rule whose digest has changed, or that is gone, is read over.
 *
 *	version  now  next_seq  next_step
 *	n top fields, their names
 *	n strings: texts                        (referred to by place, from 1; 0: none)
 *	n kept events                           (the same)
 *	n rules with cells: name, digest, bytes of the following, n cells, cells from stalest to newest
 *	  cell: key, seq, expires, window, slots, held, pending, incident
 *
 * Numbers are codec.h's. Nothing read is trusted: every count is bounded by the bytes left, every place checked.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <stdlib.h>

#define SAVE_VERSION 1

/* ---- saving ---- */

struct saver {
	const struct engine *en;
	struct buffer *out;
	struct kept **kept;
	size_t n_kept, cap_kept;
	uint32_t *string_place; /* by id; 0: not used */
	string_id *string_order;
	uint32_t n_strings;
};

static void meet_kept(struct saver *s, struct kept *k)
{
	if (!k || k->save_index)
		return;
	ARRAY_GROW(s->kept, s->n_kept, s->cap_kept);
	s->kept[s->n_kept++] = k;
	k->save_index = (uint32_t)s->n_kept;
}

static void meet_string(struct saver *s, string_id id)
{
	if (!id || s->string_place[id])
		return;
	s->string_order[s->n_strings++] = id;
	s->string_place[id] = s->n_strings;
}

static void meet_tally(struct saver *s, const struct tally *t)
{
	for (uint32_t i = 0; i < t->n_slots; i++)
		meet_string(s, t->slots[i].id);
}

static void meet_cell(struct saver *s, const struct cell *c)
{
	const struct rule_state *rs = &s->en->states[c->rule];
	const struct correlation *k = s->en->rules->rules[c->rule].correlation;

	for (uint32_t i = 0; i < c->window.n; i++) {
		const struct entry *e = window_at(&c->window, rs->entry_size, i);
		meet_kept(s, e->kept);
		meet_string(s, e->value);
		for (uint32_t j = 0; j < rs->n_tops; j++)
			meet_string(s, e->tops[j]);
	}
	for (uint32_t i = 0; c->slots && i < k->n_inputs; i++)
		meet_kept(s, c->slots[i].kept);
	meet_kept(s, c->trigger);
	for (uint32_t i = 0; c->incident && i < c->incident->n_evidence; i++)
		meet_kept(s, c->incident->evidence[(c->incident->evidence_head + i) % EVIDENCE_LIMIT]);
	for (uint32_t i = 0; c->incident && i < rs->n_tops; i++)
		meet_tally(s, &c->incident->tops[i].tally);
}

static void put_kept(struct saver *s, const struct kept *k)
{
	codec_put_u64(s->out, k ? k->save_index : 0);
}

static void put_incident(struct saver *s, const struct cell *c)
{
	const struct incident *in = c->incident;
	const struct rule_state *rs = &s->en->states[c->rule];

	codec_put_u64(s->out, in != NULL);
	if (!in)
		return;
	codec_put_span(s->out, span_from_string(in->id));
	codec_put_i64(s->out, in->opened_ns);
	codec_put_i64(s->out, in->first_ns);
	codec_put_i64(s->out, in->last_ns);
	codec_put_i64(s->out, in->emitted_ns);
	codec_put_i64(s->out, in->resolve_ns);
	codec_put_u64(s->out, in->count);
	codec_put_double(s->out, in->value);
	codec_put_u64(s->out, in->n_evidence);
	for (uint32_t i = 0; i < in->n_evidence; i++)
		put_kept(s, in->evidence[(in->evidence_head + i) % EVIDENCE_LIMIT]);
	for (uint32_t i = 0; i < rs->n_tops; i++) {
		const struct top_tally *t = &in->tops[i];
		codec_put_u64(s->out, t->others);
		codec_put_u64(s->out, t->tally.n_distinct);
		for (uint32_t j = 0; j < t->tally.n_slots; j++)
			if (t->tally.slots[j].id) {
				codec_put_u64(s->out, s->string_place[t->tally.slots[j].id]);
				codec_put_u64(s->out, t->tally.slots[j].count);
			}
	}
}

static void put_cell(struct saver *s, const struct cell *c)
{
	const struct rule_state *rs = &s->en->states[c->rule];
	const struct correlation *k = s->en->rules->rules[c->rule].correlation;

	codec_put_span(s->out, span_of(c->key, c->key_len));
	codec_put_u64(s->out, c->seq);
	codec_put_i64(s->out, c->expires_ns);
	codec_put_u64(s->out, c->window.n);
	codec_put_double(s->out, c->window.sum);
	for (uint32_t i = 0; i < c->window.n; i++) {
		const struct entry *e = window_at(&c->window, rs->entry_size, i);
		codec_put_i64(s->out, e->time_ns);
		codec_put_double(s->out, e->number);
		put_kept(s, e->kept);
		codec_put_u64(s->out, e->value ? s->string_place[e->value] : 0);
		for (uint32_t j = 0; j < rs->n_tops; j++)
			codec_put_u64(s->out, e->tops[j] ? s->string_place[e->tops[j]] : 0);
	}
	for (uint32_t i = 0; c->slots && i < k->n_inputs; i++) {
		codec_put_i64(s->out, c->slots[i].time_ns);
		codec_put_i64(s->out, c->slots[i].start_ns);
		put_kept(s, c->slots[i].kept);
	}
	codec_put_i64(s->out, c->held.last_ns);
	codec_put_i64(s->out, c->held.accrued_ns);
	codec_put_i64(s->out, c->held.snapshot_ns);
	codec_put_u64(s->out, c->held.stream);
	codec_put_i64(s->out, c->pending_ns);
	codec_put_i64(s->out, c->trigger_ns);
	put_kept(s, c->trigger);
	put_incident(s, c);
}

void engine_save(const struct engine *en, struct buffer *out)
{
	struct saver s = { .en = en, .out = out };
	uint32_t n_rules = 0;

	s.string_place = xcalloc(en->strings.n_ids + 1, sizeof *s.string_place);
	s.string_order = xcalloc(en->strings.n_ids + 1, sizeof *s.string_order);
	for (uint32_t i = 0; i < en->rules->n_rules; i++) {
		n_rules += en->states[i].n_cells != 0;
		for (const struct cell *c = en->states[i].oldest; c; c = c->newer)
			meet_cell(&s, c);
	}

	codec_put_u64(out, SAVE_VERSION);
	codec_put_i64(out, en->now_ns);
	codec_put_u64(out, en->next_seq);
	codec_put_u64(out, en->next_step);
	codec_put_u64(out, en->rules->n_top_fields);
	for (uint32_t i = 0; i < en->rules->n_top_fields; i++)
		codec_put_span(out, field_name(&en->rules->fields, en->rules->top_fields[i]));
	codec_put_u64(out, s.n_strings);
	for (uint32_t i = 0; i < s.n_strings; i++)
		codec_put_span(out, strings_text(&en->strings, s.string_order[i]));
	codec_put_u64(out, s.n_kept);
	for (size_t i = 0; i < s.n_kept; i++)
		kept_save(s.kept[i], &en->rules->fields, out);
	codec_put_u64(out, n_rules);
	for (uint32_t i = 0; i < en->rules->n_rules; i++) {
		const struct rule *r = &en->rules->rules[i];
		struct buffer cells = BUFFER_INIT;
		if (!en->states[i].n_cells)
			continue;
		s.out = &cells;
		for (const struct cell *c = en->states[i].oldest; c; c = c->newer)
			put_cell(&s, c);
		codec_put_span(out, span_from_string(r->name));
		codec_put_u64(out, r->digest);
		codec_put_u64(out, en->states[i].n_tops != 0);
		codec_put_u64(out, en->states[i].n_cells);
		codec_put_span(out, buffer_span(&cells));
		buffer_release(&cells);
	}
	for (size_t i = 0; i < s.n_kept; i++)
		s.kept[i]->save_index = 0;
	free(s.kept);
	free(s.string_place);
	free(s.string_order);
}

/* ---- loading ---- */

struct loader {
	struct engine *en;
	struct kept **kept;
	size_t n_kept;
	string_id *strings;
	size_t n_strings;
	int *top_place;       /* saved top field → ours; -1: not counted any more */
	uint32_t n_tops;      /* saved top fields; 0 for a rule that did not alert */
};

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
	uint32_t our_tops = en->states[c->rule].n_tops;
	size_t n = codec_get_count(in);
	double sum = codec_get_double(in);

	for (size_t i = 0; i < n && !in->bad; i++) {
		struct entry *e = window_append(en, c);
		e->time_ns = codec_get_i64(in);
		e->number = codec_get_double(in);
		e->kept = get_kept(l, in);
		e->value = get_string(l, in);
		strings_ref(&en->strings, e->value);
		if (e->value)
			tally_add(&c->window.distinct, &en->strings, e->value);
		for (uint32_t j = 0; j < l->n_tops; j++) {
			string_id id = get_string(l, in);
			int to = l->top_place[j];
			if (to >= 0 && (uint32_t)to < our_tops && !e->tops[to]) {
				strings_ref(&en->strings, id);
				e->tops[to] = id;
			}
		}
	}
	c->window.sum = sum;
}

static void get_incident(struct loader *l, struct cell *c, struct codec_reader *in)
{
	struct engine *en = l->en;

	if (!codec_get_u64(in) || in->bad)
		return;
	struct incident *i = incident_new(en, c);
	struct span id = codec_get_span(in);
	i->id = xmemdup(id.ptr, id.len);
	i->opened_ns = codec_get_i64(in);
	i->first_ns = codec_get_i64(in);
	i->last_ns = codec_get_i64(in);
	i->emitted_ns = codec_get_i64(in);
	i->resolve_ns = codec_get_i64(in);
	i->count = codec_get_u64(in);
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

/* A key must be what key_build() makes: n lengths and values that fill it. */
static bool key_is_sound(struct span key, uint32_t n)
{
	for (; n; n--) {
		uint32_t len;
		if (key.len < sizeof len)
			return false;
		memcpy(&len, key.ptr, sizeof len);
		key = span_from(key, sizeof len);
		if (key.len < len)
			return false;
		key = span_from(key, len);
	}
	return key.len == 0;
}

static void get_cell(struct loader *l, uint32_t rule, struct codec_reader *in)
{
	struct engine *en = l->en;
	const struct correlation *k = en->rules->rules[rule].correlation;
	struct span key = codec_get_span(in);

	if (in->bad || !key_is_sound(key, k ? k->n_keys : 0) || cell_find(en, rule, key)) {
		in->bad = true;
		return;
	}
	struct cell *c = cell_get(en, rule, key);
	c->seq = codec_get_u64(in);
	c->expires_ns = codec_get_i64(in);
	get_window(l, c, in);
	for (uint32_t i = 0; c->slots && i < k->n_inputs; i++) {
		c->slots[i].time_ns = codec_get_i64(in);
		c->slots[i].start_ns = codec_get_i64(in);
		c->slots[i].kept = get_kept(l, in);
	}
	c->held.last_ns = codec_get_i64(in);
	c->held.accrued_ns = codec_get_i64(in);
	c->held.snapshot_ns = codec_get_i64(in);
	c->held.stream = (uint32_t)codec_get_u64(in);
	c->pending_ns = codec_get_i64(in);
	c->trigger_ns = codec_get_i64(in);
	c->trigger = get_kept(l, in);
	if (c->pending_ns != TIME_NONE && !c->trigger)
		in->bad = true;
	get_incident(l, c, in);
	cell_schedule(en, c);
}

static const struct rule *rule_named(const struct ruleset *rs, struct span name)
{
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (span_equal(span_from_string(rs->rules[i].name), name))
			return &rs->rules[i];
	return NULL;
}

static void get_tables(struct loader *l, struct codec_reader *in)
{
	struct engine *en = l->en;

	l->n_strings = codec_get_count(in);
	if (in->bad)
		l->n_strings = 0;
	l->strings = xcalloc(l->n_strings + 1, sizeof *l->strings);
	for (size_t i = 0; i < l->n_strings; i++)
		l->strings[i] = strings_get(&en->strings, codec_get_span(in));
	size_t n = codec_get_count(in);
	l->kept = xcalloc(in->bad ? 1 : n + 1, sizeof *l->kept);
	while (!in->bad && l->n_kept < n) {
		struct kept *k = kept_load(in, &en->rules->fields, &en->names);
		if (!k)
			break;
		l->kept[l->n_kept++] = k;
	}
	if (l->n_kept < n)
		in->bad = true;
}

bool engine_load(struct engine *en, struct codec_reader *in)
{
	struct loader l = { .en = en };

	if (codec_get_u64(in) != SAVE_VERSION)
		in->bad = true;
	int64_t now_ns = codec_get_i64(in);
	uint64_t next_seq = codec_get_u64(in), next_step = codec_get_u64(in);
	uint32_t n_tops = (uint32_t)codec_get_count(in);
	if (in->bad)
		return false;
	l.top_place = xcalloc(n_tops + 1, sizeof *l.top_place);
	for (uint32_t i = 0; i < n_tops; i++) {
		field_id f = field_find(&en->rules->fields, codec_get_span(in));
		l.top_place[i] = -1;
		for (uint32_t j = 0; j < en->rules->n_top_fields; j++)
			if (en->rules->top_fields[j] == f)
				l.top_place[i] = (int)j;
	}
	get_tables(&l, in);
	for (size_t n_rules = codec_get_count(in); n_rules && !in->bad; n_rules--) {
		const struct rule *r = rule_named(en->rules, codec_get_span(in));
		uint64_t digest = codec_get_u64(in);
		l.n_tops = codec_get_u64(in) ? n_tops : 0;
		uint64_t n_cells = codec_get_u64(in);
		struct span bytes = codec_get_span(in);
		struct codec_reader cells = { bytes.ptr, bytes.ptr + bytes.len, false };
		if (in->bad || !r || r->digest != digest || en->states[r->index].n_cells)
			continue;
		while (n_cells-- && !cells.bad)
			get_cell(&l, r->index, &cells);
		in->bad |= cells.bad || cells.ptr != cells.end;
	}
	en->now_ns = now_ns;
	en->next_seq = next_seq;
	en->next_step = next_step;
	for (size_t i = 0; i < l.n_kept; i++)
		kept_unref(l.kept[i]);
	for (size_t i = 0; i < l.n_strings; i++)
		strings_unref(&en->strings, l.strings[i]);
	free(l.kept);
	free(l.strings);
	free(l.top_place);
	return !in->bad;
}
