/*
 * Telling the trace what the engine does. Only called where a trace is set. It reads the engine's state, and takes the engine's own
 * functions for every value that is not at hand; it changes nothing that an incident depends on.
 */
#include "engine/state.h"

void engine_trace_set(struct engine *en, const struct engine_trace *t)
{
	en->trace = t;
	en->trace_at_done = !t || !t->at;
	for (uint32_t i = 0; t && i < en->rules->n_rules; i++)
		if (traced(en, i)) {
			en->states[i].keeps = true;
			cell_layout(en, i);
		}
}

bool trace_wants_source(const struct engine_trace *t, const struct ruleset *rs, const struct source *s)
{
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if ((!t->wanted || t->wanted[i]) && rule_applies(&rs->rules[i], s))
			return true;
	return false;
}

/* ---- views ---- */

static const struct evidence *evidence_of(struct engine *en, const struct kept *k)
{
	struct evidence *e = arena_alloc(&en->scratch, sizeof *e);

	*e = kept_evidence(&en->keeper, k);
	return e;
}

static const struct trace_input *inputs_of(struct engine *en, const struct cell *c, const struct correlation *k)
{
	struct trace_input *list = arena_zalloc(&en->scratch, k->n_inputs * sizeof *list);
	uint64_t seen = seen_inputs(en, c, k);

	for (uint32_t i = 0; i < k->n_inputs; i++) {
		const struct slot *s = &c->state->slots[i];
		list[i].rule = &en->rules->rules[k->inputs[i].rule];
		list[i].negated = k->inputs[i].negated;
		list[i].time_ns = s->time_ns;
		list[i].evidence = s->kept ? evidence_of(en, s->kept) : NULL;
		list[i].seen = k->inputs[i].negated ? s->time_ns > en->now_ns - k->timespan_ns && s->time_ns != TIME_NONE : seen >> i & 1;
	}
	return list;
}

/* What is known of an entry's event, which may not be kept. */
static struct evidence event_of(const struct engine *en, int64_t time_ns, const struct kept *k)
{
	return k ? kept_evidence(&en->keeper, k) : (struct evidence){ "", "", 0, time_ns, SPAN("") };
}

static struct trace_cell view_of(struct engine *en, const struct cell *c, double value, bool holds)
{
	const struct rule *r = &en->rules->rules[c->rule];
	const struct correlation *k = r->correlation;
	struct trace_cell v = {
		.rule = r,
		.from_ns = TIME_NONE,
		.to_ns = TIME_NONE,
		.value = value,
		.holds = holds,
		.n_entries = c->window.n,
		.last_ns = !c->state ? TIME_NONE : k->type == CORRELATION_CONCURRENT ? c->state->held.snapshot_ns : c->state->held.last_ns,
		.pending_ns = cell_pending(c),
		.trigger = c->state && c->state->trigger ? evidence_of(en, c->state->trigger) : NULL,
		.resolve_ns = INT64_MAX,
		.opened_ns = TIME_NONE,
		.engine = en,
		.cell = c,
	};

	if (k) {
		struct named_value *key = arena_alloc(&en->scratch, (k->n_keys + 1) * sizeof *key);
		for (uint32_t i = 0; i < k->n_keys; i++)
			key[i] = (struct named_value){ span_from_string(k->keys[i]), key_value(en, c, i) };
		v.key = key;
		v.n_key = k->n_keys;
		if (k->type != CORRELATION_SUSTAINED && k->type != CORRELATION_CONCURRENT) {
			v.to_ns = en->now_ns;
			v.from_ns = en->now_ns - k->timespan_ns;
		}
		if (cell_slots(c)) {
			v.inputs = inputs_of(en, c, k);
			v.n_inputs = k->n_inputs;
		}
	}
	if (c->incident) {
		v.incident = c->incident->id;
		v.opened_ns = c->incident->opened_ns;
		v.resolve_ns = c->incident->resolve_ns;
		v.count = c->incident->count;
	}
	return v;
}

void trace_entry(const struct trace_cell *c, uint32_t i, struct trace_entry *ret)
{
	const struct engine *en = c->engine;
	const struct rule_state *s = &en->states[c->cell->rule];
	const struct entry *e = window_at(&c->cell->window, s->entry_size, i);
	struct kept **kept = entry_kept(s, e);
	const double *number = entry_number(s, e);
	const string_id *value = entry_value(s, e);

	*ret = (struct trace_entry){ e->time_ns, event_of(en, e->time_ns, kept ? *kept : NULL), span_of(NULL, 0), number ? *number : 0 };
	if (value && *value && c->rule->correlation->n_value_fields == 1)
		ret->value = strings_text(&en->strings, *value);
}

void engine_inspect(struct engine *en, const struct rule *r, void (*visit)(void *context, const struct trace_cell *c), void *context)
{
	const struct correlation *k = r->correlation;

	for (struct cell *c = en->states[r->index].oldest; c; c = c->newer) {
		double value = 0;
		bool holds = false;
		if (!k) {
			holds = c->incident != NULL;
		} else if (k->type == CORRELATION_SUSTAINED) {
			value = (double)c->state->held.accrued_ns / NS_PER_SECOND;
			holds = c->state->held.accrued_ns >= k->timespan_ns;
		} else if (k->type == CORRELATION_CONCURRENT) {
			value = c->state->distinct.n_distinct;
			holds = bounds_hold(k, value);
		} else if (cell_slots(c)) {
			uint64_t seen = seen_inputs(en, c, k);
			value = (double)__builtin_popcountll(seen);
			holds = k->n_chains ? chain_complete(en, c, k) : condition_holds(k, seen);
		} else {
			window_expire(en, c, k->timespan_ns);
			value = window_value(en, c, k);
			holds = c->window.n && bounds_hold(k, value);
		}
		struct trace_cell v = view_of(en, c, value, holds);
		visit(context, &v);
	}
	arena_reset(&en->scratch);
}

/* ---- steps ---- */

static void set_event(const struct engine *en, struct trace_step *s, struct occurrence *o)
{
	const struct event *e = o ? o->event : NULL;

	if (e) {
		s->has_event = true;
		s->event = (struct evidence){ e->source ? e->source->name : "", e->origin.file ? e->origin.file : "", e->origin.line, e->time_ns, e->raw };
	} else if (o && o->kept) {
		s->has_event = true;
		s->event = kept_evidence(&en->keeper, o->kept);
	}
}

void trace_tell(struct engine *en, enum trace_kind kind, const struct cell *c, struct occurrence *o)
{
	struct trace_cell v = view_of(en, c, c->incident ? c->incident->value : 0, c->incident != NULL);
	struct trace_step s = { .kind = kind, .rule = v.rule, .now_ns = en->now_ns, .cell = &v, .field = FIELD_NONE };

	set_event(en, &s, o);
	en->trace->step(en->trace->context, &s);
}

void trace_tell_value(struct engine *en, enum trace_kind kind, const struct cell *c, struct occurrence *o, double value, bool holds)
{
	struct trace_cell v = view_of(en, c, value, holds);
	struct trace_step s = { .kind = kind, .rule = v.rule, .now_ns = en->now_ns, .cell = &v, .field = FIELD_NONE };

	if (kind == TRACE_GAP)
		s.gap_ns = o->time_ns - c->state->held.last_ns;
	set_event(en, &s, o);
	en->trace->step(en->trace->context, &s);
}

void trace_tell_input(struct engine *en, const struct cell *c, struct occurrence *o, uint32_t input, double value, bool holds)
{
	struct trace_cell v = view_of(en, c, value, holds);
	struct trace_step s = { .kind = TRACE_EVALUATED, .rule = v.rule, .now_ns = en->now_ns, .cell = &v, .field = FIELD_NONE,
				.input = &en->rules->rules[v.rule->correlation->inputs[input].rule] };

	set_event(en, &s, o);
	en->trace->step(en->trace->context, &s);
}

void trace_tell_rule(struct engine *en, enum trace_kind kind, const struct rule *r, struct occurrence *o, field_id field)
{
	struct trace_step s = { .kind = kind, .rule = r, .now_ns = en->now_ns, .field = field };

	set_event(en, &s, o);
	en->trace->step(en->trace->context, &s);
}

void trace_tell_left(struct engine *en, const struct cell *c, const struct entry *e, int64_t left_ns, bool cut)
{
	struct trace_cell v = view_of(en, c, 0, false);
	struct trace_step s = { .kind = cut ? TRACE_CUT : TRACE_LEFT, .rule = v.rule, .now_ns = en->now_ns, .cell = &v, .field = FIELD_NONE,
				.left_ns = left_ns };

	struct kept **kept = entry_kept(&en->states[c->rule], e);
	s.has_event = kept && *kept;
	s.event = event_of(en, e->time_ns, kept ? *kept : NULL);
	en->trace->step(en->trace->context, &s);
}

void trace_tell_inhibited(struct engine *en, const struct cell *c, struct occurrence *o, double value, const struct rule *by)
{
	struct trace_cell v = view_of(en, c, value, true);
	struct trace_step s = { .kind = TRACE_INHIBITED, .rule = v.rule, .now_ns = en->now_ns, .cell = &v, .field = FIELD_NONE, .other = by };

	set_event(en, &s, o);
	en->trace->step(en->trace->context, &s);
}

field_id missing_field(const field_id *fields, uint32_t n, struct occurrence *o)
{
	for (uint32_t i = 0; i < n; i++)
		if (occurrence_field(o, fields[i]).len == 0)
			return fields[i];
	return FIELD_NONE;
}

void trace_at(struct engine *en)
{
	en->trace_at_done = true;
	en->trace->at(en->trace->context, en);
}
