/*
 * The life of an incident: it opens once when its condition comes true (unless inhibited), goes on while evidence
 * comes in, and resolves when none has left the condition true for resolve-after, or when what it is about has
 * ended. One cell has at most one incident at a time.
 *
 *	          condition true                 resolve-after, gone, absence ended
 *	(none) ───────────────────> open ──────────────────────────────────────────> resolved
 *	                             │ └─ update, at most every update-every
 *
 * What is told is made here, at once: the state moves on. Nothing is stored of it.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct rule *rule_of(const struct engine *en, const struct cell *c)
{
	return &en->rules->rules[c->rule];
}

void incident_free(struct engine *en, struct cell *c)
{
	struct incident *in = c->incident;

	if (!in)
		return;
	for (uint32_t i = 0; i < in->n_evidence; i++)
		kept_unref(in->evidence[(in->evidence_head + i) % EVIDENCE_LIMIT]);
	for (uint32_t i = 0; i < en->states[c->rule].n_tops; i++)
		tally_release(&in->tops[i].tally, &en->strings);
	free(in->tops);
	free(in->id);
	free(in);
	c->incident = NULL;
	en->n_open--;
	en->states[c->rule].n_open--;
}

struct incident *incident_new(struct engine *en, struct cell *c)
{
	struct incident *in = xcalloc(1, sizeof *in);

	in->tops = xcalloc(en->states[c->rule].n_tops ? en->states[c->rule].n_tops : 1, sizeof *in->tops);
	c->incident = in;
	en->n_open++;
	en->states[c->rule].n_open++;
	return in;
}

/* ---- evidence ---- */

static void evidence_add(struct incident *in, struct kept *k)
{
	if (!k)
		return;
	if (in->n_evidence == EVIDENCE_LIMIT) {
		kept_unref(in->evidence[in->evidence_head]);
		in->evidence[in->evidence_head] = kept_ref(k);
		in->evidence_head = (in->evidence_head + 1) % EVIDENCE_LIMIT;
	} else {
		in->evidence[(in->evidence_head + in->n_evidence++) % EVIDENCE_LIMIT] = kept_ref(k);
	}
}

static const struct kept *newest_evidence(const struct incident *in)
{
	return in->n_evidence ? in->evidence[(in->evidence_head + in->n_evidence - 1) % EVIDENCE_LIMIT] : NULL;
}

static void count_event(struct incident *in, int64_t time_ns)
{
	in->count++;
	if (in->first_ns == TIME_NONE || time_ns < in->first_ns)
		in->first_ns = time_ns;
	if (in->last_ns == TIME_NONE || time_ns > in->last_ns)
		in->last_ns = time_ns;
}

static void top_add(struct engine *en, struct top_tally *t, string_id id)
{
	if (!id)
		return;
	if (t->tally.n_distinct >= TALLY_LIMIT && !tally_count(&t->tally, id))
		t->others++;
	else
		tally_add(&t->tally, &en->strings, id);
}

static void take_occurrence(struct engine *en, struct cell *c, struct occurrence *o)
{
	struct incident *in = c->incident;

	evidence_add(in, occurrence_keep(en, o));
	count_event(in, o->event ? o->time_ns : o->kept->time_ns);
	for (uint32_t i = 0; i < en->states[c->rule].n_tops; i++) {
		string_id id = occurrence_value(en, o, en->rules->top_fields[i]);
		top_add(en, &in->tops[i], id);
		strings_unref(&en->strings, id);
	}
}

static void take_window(struct engine *en, struct cell *c)
{
	struct incident *in = c->incident;
	struct rule_state *s = &en->states[c->rule];

	for (uint32_t i = 0; i < c->window.n; i++) {
		const struct entry *e = window_at(&c->window, s->entry_size, i);
		if (s->kept_at)
			evidence_add(in, *entry_kept(s, e));
		count_event(in, e->time_ns);
		for (uint32_t j = 0; j < s->n_tops; j++)
			top_add(en, &in->tops[j], entry_tops(s, e)[j]);
	}
}

/* The events of the other inputs that made a temporal condition true, in order of time. */
static void take_slots(struct engine *en, struct cell *c, struct occurrence *o)
{
	const struct correlation *k = rule_of(en, c)->correlation;
	int64_t bound = en->now_ns - k->timespan_ns, after = TIME_NONE;

	for (;;) {
		uint32_t best = k->n_inputs;
		for (uint32_t i = 0; i < k->n_inputs; i++) {
			const struct slot *s = &c->state->slots[i];
			if (k->inputs[i].negated || !s->kept || s->kept == o->kept || s->time_ns <= bound || s->time_ns <= after)
				continue;
			if (best == k->n_inputs || s->time_ns < c->state->slots[best].time_ns)
				best = i;
		}
		if (best == k->n_inputs)
			return;
		after = c->state->slots[best].time_ns;
		struct occurrence other = { .keeper = &en->keeper, .kept = c->state->slots[best].kept, .time_ns = after };
		take_occurrence(en, c, &other);
	}
}

/* ---- telling ---- */

struct lookup {
	struct engine *en;
	struct cell *cell;
	enum incident_state state;
	struct span summary;
};

static void format_number(struct buffer *out, double v)
{
	buffer_printf(out, "%.15g", v);
}

static int top_index(const struct engine *en, field_id f)
{
	for (uint32_t i = 0; i < en->rules->n_top_fields; i++)
		if (en->rules->top_fields[i] == f)
			return (int)i;
	return -1;
}

static uint64_t tally_total(const struct tally *t)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < t->n_slots; i++)
		n += t->slots[i].count;
	return n;
}

static bool render_top(struct engine *en, const struct incident *in, const struct template_piece *p, struct buffer *out)
{
	struct tally_slot slots[TOP_LIMIT + 1];
	int index = top_index(en, p->field);

	if (index < 0)
		return false;
	const struct top_tally *t = &in->tops[index];
	uint32_t n = tally_top(&t->tally, &en->strings, slots, TOP_LIMIT);
	if (n == 0)
		return false;
	uint64_t listed = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(out, ", ");
		if (p->ref == REF_TOP)
			buffer_printf(out, "%" PRIu32 " × ", slots[i].count);
		buffer_append_span(out, strings_text(&en->strings, slots[i].id));
		listed += slots[i].count;
	}
	uint64_t others = tally_total(&t->tally) - listed + t->others;
	if (others && p->ref == REF_TOP)
		buffer_printf(out, ", %" PRIu64 " × others", others);
	else if (others)
		buffer_append_string(out, ", …");
	return true;
}

static bool render_field(struct engine *en, const struct cell *c, field_id f, struct buffer *out)
{
	const struct kept *k = newest_evidence(c->incident);
	const struct correlation *corr = rule_of(en, c)->correlation;
	struct span v = k ? kept_field(&en->keeper, k, f) : span_of(NULL, 0);

	if (!v.ptr && k) {
		struct evidence e = kept_evidence(&en->keeper, k);
		switch (f) {
		case FIELD_TIME:
			time_format_utc(out, e.time_ns);
			return true;
		case FIELD_SOURCE:
			v = span_from_string(e.source);
			break;
		case FIELD_FILE:
			v = span_from_string(e.file);
			break;
		case FIELD_LINE:
			buffer_printf(out, "%" PRIu64, e.line);
			return true;
		case FIELD_RAW:
		case FIELD_MESSAGE:
			v = e.text;
			break;
		default:
			break;
		}
	}
	/* A group-by value stands for its field where the newest event has another name for it. */
	for (uint32_t i = 0; !v.ptr && corr && i < corr->n_keys; i++)
		if (span_equal(field_name(&en->rules->fields, f), span_from_string(corr->keys[i])))
			v = key_value(en, c, i);
	if (!v.ptr)
		return false;
	buffer_append_span(out, v);
	return true;
}

static bool lookup(void *context, const struct template_piece *p, struct buffer *out)
{
	struct lookup *l = context;
	struct engine *en = l->en;
	const struct incident *in = l->cell->incident;
	const struct rule *r = rule_of(en, l->cell);

	switch (p->ref) {
	case REF_TEXT:
		buffer_append_span(out, p->text);
		return true;
	case REF_FIELD:
		return render_field(en, l->cell, p->field, out);
	case REF_KEY:
		buffer_append_span(out, key_value(en, l->cell, p->key_index));
		return true;
	case REF_TOP:
	case REF_VALUES:
		return render_top(en, in, p, out);
	case REF_COUNT:
		buffer_printf(out, "%" PRIu64, in->count);
		return true;
	case REF_VALUE:
		format_number(out, in->value);
		return true;
	case REF_CONDITION:
		buffer_append_string(out, r->correlation && r->correlation->condition_text ? r->correlation->condition_text : "");
		return true;
	case REF_OPENED:
		time_format_utc(out, in->opened_ns);
		return true;
	case REF_FIRST:
		time_format_utc(out, in->first_ns);
		return true;
	case REF_LAST:
		time_format_utc(out, in->last_ns);
		return true;
	case REF_NOW:
		time_format_utc(out, en->now_ns);
		return true;
	case REF_DURATION:
		duration_format(out, en->now_ns - in->opened_ns);
		return true;
	case REF_ID:
		buffer_append_string(out, in->id);
		return true;
	case REF_RULE:
		buffer_append_string(out, r->name);
		return true;
	case REF_TITLE:
		buffer_append_string(out, r->title);
		return true;
	case REF_LEVEL:
		buffer_append_string(out, level_name(r->level));
		return true;
	case REF_STATE:
		buffer_append_string(out, incident_state_name(l->state));
		return true;
	case REF_SUMMARY:
		buffer_append_span(out, l->summary);
		return true;
	}
	return false;
}

/* Words of one command in the scratch arena, ending with a NULL one; NULL when it must not be emitted. */
static const struct span *render_command(struct lookup *l, const struct command *cmd)
{
	struct engine *en = l->en;
	struct span *words = arena_alloc(&en->scratch, (cmd->n_words + 1) * sizeof *words);
	struct buffer word = BUFFER_INIT;
	enum word_result result = WORD_OK;

	for (uint32_t i = 0; i < cmd->n_words && result == WORD_OK; i++) {
		buffer_clear(&word);
		result = template_render_word(&cmd->words[i], lookup, l, &word);
		words[i] = arena_dup_span(&en->scratch, buffer_span(&word));
		if (result != WORD_OK) {
			en->stats.commands_refused++;
			buffer_clear(&word);
			buffer_printf(&word, "command not emitted: its word %" PRIu32 " (%.*s) %s", i + 1,
				      (int)cmd->words[i].source.len, cmd->words[i].source.ptr, word_result_text(result));
			if (en->notice)
				en->notice(en->context, rule_of(en, l->cell), en->now_ns, buffer_string(&word));
		}
	}
	words[cmd->n_words] = span_of(NULL, 0);
	buffer_release(&word);
	return result == WORD_OK ? words : NULL;
}

static void fill_key(struct engine *en, const struct cell *c, struct change *ch)
{
	const struct correlation *k = rule_of(en, c)->correlation;

	if (!k)
		return;
	struct named_value *key = arena_alloc(&en->scratch, k->n_keys * sizeof *key);
	for (uint32_t i = 0; i < k->n_keys; i++)
		key[i] = (struct named_value){ span_from_string(k->keys[i]), key_value(en, c, i) };
	ch->key = key;
	ch->n_key = k->n_keys;
}

static void fill_top(struct engine *en, const struct incident *in, uint32_t n_tops, struct change *ch)
{
	struct top_list *lists = arena_alloc(&en->scratch, n_tops * sizeof *lists);

	for (uint32_t i = 0; i < n_tops; i++) {
		struct tally_slot slots[TOP_LIMIT + 1];
		uint32_t n = tally_top(&in->tops[i].tally, &en->strings, slots, TOP_LIMIT);
		if (n == 0)
			continue;
		struct top_value *values = arena_alloc(&en->scratch, n * sizeof *values);
		uint64_t listed = 0;
		for (uint32_t j = 0; j < n; j++) {
			values[j] = (struct top_value){ strings_text(&en->strings, slots[j].id), slots[j].count };
			listed += slots[j].count;
		}
		lists[ch->n_top++] = (struct top_list){
			.field = en->rules->top_fields[i],
			.values = values,
			.n_values = n,
			.others = tally_total(&in->tops[i].tally) - listed + in->tops[i].others,
			.n_distinct = in->tops[i].tally.n_distinct,
		};
	}
	ch->top = lists;
}

static void fill_evidence(struct engine *en, const struct incident *in, struct change *ch)
{
	struct evidence *list = arena_alloc(&en->scratch, in->n_evidence * sizeof *list);

	for (uint32_t i = 0; i < in->n_evidence; i++)
		list[i] = kept_evidence(&en->keeper, in->evidence[(in->evidence_head + i) % EVIDENCE_LIMIT]);
	ch->evidence = list;
	ch->n_evidence = in->n_evidence;
	ch->evidence_dropped = in->count - in->n_evidence;
	const struct kept *k = newest_evidence(in);
	if (!k)
		return;
	size_t n_fields = 0;
	for (struct kept_reader r = kept_read(&en->keeper, k); kept_next(&r);)
		n_fields++;
	struct named_value *fields = arena_alloc(&en->scratch, n_fields * sizeof *fields);
	for (struct kept_reader r = kept_read(&en->keeper, k); kept_next(&r);)
		fields[ch->n_fields++] = (struct named_value){ field_name(&en->rules->fields, r.field), arena_dup_span(&en->scratch, r.value) };
	ch->fields = fields;
}

static void tell(struct engine *en, struct cell *c, enum incident_state state)
{
	const struct rule *r = rule_of(en, c);
	struct incident *in = c->incident;
	struct lookup l = { en, c, state, SPAN("") };
	struct buffer summary = BUFFER_INIT;
	struct change ch = {
		.rule = r,
		.state = state,
		.id = in->id,
		.time_ns = en->now_ns,
		.opened_ns = in->opened_ns,
		.first_ns = in->first_ns,
		.last_ns = in->last_ns,
		.value = in->value,
		.condition = r->correlation && r->correlation->condition_text ? r->correlation->condition_text : "",
		.count = in->count,
	};

	in->emitted_ns = en->now_ns;
	template_render(&r->incident.summary, lookup, &l, &summary);
	l.summary = ch.summary = buffer_span(&summary);
	fill_key(en, c, &ch);
	fill_top(en, in, en->states[c->rule].n_tops, &ch);
	fill_evidence(en, in, &ch);

	uint32_t n = r->response.n_commands[state];
	const struct span **commands = arena_alloc(&en->scratch, n * sizeof *commands);
	for (uint32_t i = 0; i < n; i++) {
		const struct span *words = render_command(&l, &r->response.commands[state][i]);
		if (words)
			commands[ch.n_commands++] = words;
	}
	ch.commands = commands;

	switch (state) {
	case INCIDENT_OPEN: en->stats.opened++; break;
	case INCIDENT_UPDATE: en->stats.updated++; break;
	case INCIDENT_RESOLVED: en->stats.resolved++; break;
	}
	if (traced(en, c->rule))
		trace_tell(en, state == INCIDENT_OPEN ? TRACE_OPENED : state == INCIDENT_UPDATE ? TRACE_UPDATED : TRACE_RESOLVED, c, NULL);
	en->sink(en->context, &ch);
	incident_event_queue(en, &ch);
	buffer_release(&summary);
}

/* ---- opening, going on, resolving ---- */

/* The inhibitor that has an incident open for the same values of the group-by fields that both have; NULL: none. */
static const struct rule *inhibitor(const struct engine *en, const struct cell *c)
{
	const struct rule *r = rule_of(en, c);

	for (uint32_t i = 0; i < r->incident.n_inhibited_by; i++) {
		uint32_t other = r->incident.inhibited_by[i];
		const struct correlation *a = r->correlation, *b = en->rules->rules[other].correlation;
		for (const struct cell *o = en->states[other].n_open ? en->states[other].newest : NULL; o; o = o->older) {
			bool same = o->incident != NULL;
			for (uint32_t x = 0; same && a && x < a->n_keys; x++)
				for (uint32_t y = 0; same && b && y < b->n_keys; y++)
					if (!strcmp(a->keys[x], b->keys[y]))
						same = cell_key(en, c)[x] == cell_key(en, o)[y];
			if (same)
				return &en->rules->rules[other];
		}
	}
	return NULL;
}

static char *incident_id(const struct engine *en, const struct cell *c, struct occurrence *o)
{
	const struct rule *r = rule_of(en, c);
	struct buffer b = BUFFER_INIT;

	buffer_append_string(&b, r->name);
	buffer_append_char(&b, 0);
	for (uint32_t i = 0; i < en->states[c->rule].n_keys; i++) {
		struct span v = key_value(en, c, i);
		uint32_t len = (uint32_t)v.len;
		buffer_append(&b, &len, sizeof len);
		buffer_append_span(&b, v);
	}
	codec_put_i64(&b, en->now_ns);
	codec_put_u64(&b, o->kept ? kept_raw_hash(o->kept) : 0);
	uint64_t hash = hash_bytes(b.data, b.len, 0);
	buffer_clear(&b);
	buffer_printf(&b, "%s-%016" PRIx64, r->name, hash);
	buffer_string(&b);
	return b.data;
}

static int64_t resolve_time(const struct engine *en, const struct cell *c)
{
	const struct rule *r = rule_of(en, c);
	int64_t after = r->incident.resolve_after_ns;

	if (r->correlation &&
	    (r->correlation->type == CORRELATION_SUSTAINED || r->correlation->type == CORRELATION_CONCURRENT))
		return INT64_MAX; /* until it is seen to end */
	return after > INT64_MAX - 1 - en->now_ns ? INT64_MAX : en->now_ns + after;
}

static void incident_open(struct engine *en, struct cell *c, struct occurrence *o, double value)
{
	const struct rule *r = rule_of(en, c);
	struct incident *in = incident_new(en, c);

	occurrence_keep(en, o);
	in->id = incident_id(en, c, o);
	in->opened_ns = en->now_ns;
	in->first_ns = in->last_ns = TIME_NONE;
	in->value = value;
	in->resolve_ns = resolve_time(en, c);
	if (c->window.n)
		take_window(en, c);
	else {
		if (cell_slots(c))
			take_slots(en, c, o);
		take_occurrence(en, c, o);
	}
	if (r->correlation && r->correlation->type == CORRELATION_SUSTAINED)
		in->first_ns = c->state->held.last_ns - c->state->held.accrued_ns;
	tell(en, c, INCIDENT_OPEN);
}

void incident_evidence(struct engine *en, struct cell *c, struct occurrence *o, double value)
{
	c->incident->value = value;
	take_occurrence(en, c, o);
}

void incident_hold(struct engine *en, struct cell *c, struct occurrence *o, double value)
{
	const struct rule *r = rule_of(en, c);
	struct incident *in = c->incident;

	if (!r->alerts)
		return;
	if (!in) {
		const struct rule *by = inhibitor(en, c);
		if (!by) {
			incident_open(en, c, o, value);
			return;
		}
		en->stats.inhibited++;
		if (traced(en, c->rule))
			trace_tell_inhibited(en, c, o, value, by);
		return;
	}
	incident_evidence(en, c, o, value);
	in->resolve_ns = resolve_time(en, c);
	if (r->incident.update_every_ns != DURATION_NEVER && en->now_ns - in->emitted_ns >= r->incident.update_every_ns &&
	    !inhibitor(en, c))
		tell(en, c, INCIDENT_UPDATE);
}

void incident_resolve(struct engine *en, struct cell *c)
{
	tell(en, c, INCIDENT_RESOLVED);
	incident_free(en, c);
}
