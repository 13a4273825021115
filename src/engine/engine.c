/*
 * The engine's loop: deadlines that are due before an event, the event, and what rules about incidents make of
 * the state changes. Each of them is one step; a step ends before the next begins.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>

#define QUEUE_DEPTH_LIMIT 16 /* incidents about incidents about …: rules cannot be cyclic, this is for our own bugs */

struct change_event {
	struct change_event *next;
	const struct rule *rule; /* whose incident changed */
	unsigned depth;
	int64_t time_ns;
	struct kept *kept;
};

static const struct source incident_source_plan = {
	.name = "incident", .format = FORMAT_INCIDENT, .rank = UINT32_MAX, .product = "gastown", .service = "incident",
};

/* ---- occurrences ---- */

struct kept *occurrence_keep(struct engine *en, struct occurrence *o)
{
	if (!o->kept)
		o->kept = kept_new(&en->keeper, o->event);
	return o->kept;
}

struct span occurrence_other_field(struct occurrence *o, field_id f)
{
	if (!o->event)
		return kept_field(o->keeper, o->kept, f);
	/* Not its file and line: they are not the same however it was read. */
	return f == FIELD_TIME || f == FIELD_SOURCE || f == FIELD_RAW ? event_own(o->event, f, o->time_text) : span_of(NULL, 0);
}

string_id value_string_cut(struct engine *en, struct span value)
{
	if (value.len > VALUE_LIMIT)
		value.len = VALUE_LIMIT;
	return value.len ? strings_get(&en->strings, value) : 0;
}

string_id field_string_look_up(struct engine *en, struct occurrence *o, field_id f)
{
	if (f >= en->n_field_strings)
		return 0; /* no rule has it */
	struct field_string *m = &en->field_strings[f];
	struct span v = occurrence_field(o, f);
	string_id before = m->id;

	if (v.len > STRING_LIMIT)
		v.len = STRING_LIMIT;
	m->step = o->step;
	if (v.len && strings_is(&en->strings, before, v))
		return before;
	m->id = v.len ? strings_get(&en->strings, v) : 0;
	strings_unref(&en->strings, before);
	return m->id;
}

string_id agent_string_look_up(struct engine *en, struct occurrence *o, field_id f)
{
	uint64_t number = o->event->agent_number;
	struct agent_strings *a = &en->agents[number % AGENT_STRINGS];
	struct span v = occurrence_field(o, f);
	uint32_t i = f - FIELD_AGENT;

	if (a->number != number) {
		for (size_t k = 0; k < sizeof a->ids / sizeof *a->ids; k++)
			strings_unref(&en->strings, a->ids[k]);
		*a = (struct agent_strings){ .number = number };
	}
	a->ids[i] = v.len ? strings_get(&en->strings, v) : 0;
	a->known |= (uint8_t)(1u << i);
	return a->ids[i];
}

/* ---- life ---- */

static void find_parents(struct engine *en)
{
	const struct ruleset *rs = en->rules;
	uint32_t *cap = xcalloc(rs->n_rules + 1, sizeof *cap);

	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct correlation *k = rs->rules[i].correlation;
		for (uint32_t j = 0; k && j < k->n_inputs; j++) {
			uint32_t rule = k->inputs[j].rule;
			struct rule_state *s = &en->states[rule];
			if (rule >= i)
				continue;
			if (!s->n_parents || s->parents[s->n_parents - 1].rule != i) {
				ARRAY_GROW(s->parents, s->n_parents, cap[rule]);
				s->parents[s->n_parents++] = (struct parent){ .rule = i, .input = j };
			}
			s->parents[s->n_parents - 1].end = j + 1;
		}
	}
	free(cap);
}

struct engine *engine_new(const struct ruleset *rs, const struct engine_options *o, engine_sink *sink,
			  engine_notice *notice, void *context)
{
	struct engine *en = xcalloc(1, sizeof *en);
	uint32_t n_words = (rs->n_rules + 63) / 64;
	bool about_incidents = false;

	en->rules = rs;
	if (o)
		en->options = *o;
	if (!en->options.max_keys)
		en->options.max_keys = KEYS_DEFAULT;
	keeper_init(&en->keeper, &rs->fields);
	en->sink = sink;
	en->notice = notice;
	en->context = context;
	en->now_ns = TIME_NONE;
	en->states = xcalloc(rs->n_rules ? rs->n_rules : 1, sizeof *en->states);
	en->n_field_strings = (uint32_t)field_count(&rs->fields);
	en->field_strings = xcalloc(en->n_field_strings + 1, sizeof *en->field_strings);
	en->agents = xcalloc(AGENT_STRINGS, sizeof *en->agents);
	en->fired = xcalloc(n_words ? n_words : 1, sizeof *en->fired);
	en->dirty = xcalloc(n_words ? n_words : 1, sizeof *en->dirty);
	find_parents(en);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		struct rule_state *s = &en->states[i];
		s->due_ns = INT64_MAX;
		s->heap_index = NOT_IN_HEAP;
		s->keeps = rs->rules[i].alerts;
		s->n_tops = s->keeps ? rs->n_top_fields : 0;
		if (rs->rules[i].correlation)
			correlation_plan(en, i);
		cell_layout(en, i);
		about_incidents |= rs->rules[i].about_incidents;
	}
	en->incident_source = incident_source_plan;
	en->queue_tail = &en->queue_head;
	if (about_incidents) {
		struct diag_list diags = DIAG_LIST_INIT;
		en->incident_matcher = matcher_new(rs, &en->incident_source, &diags);
		diag_list_release(&diags);
		en->incident_matched = xcalloc(rs->n_rules, sizeof *en->incident_matched);
		event_init(&en->incident_event, field_count(&rs->fields));
	}
	engine_source_present(en, &en->incident_source);
	engine_source_observed(en, &en->incident_source, TIME_NONE);
	return en;
}

void engine_free(struct engine *en)
{
	if (!en)
		return;
	table_release(en);
	while (en->queue_head) {
		struct change_event *q = en->queue_head;
		en->queue_head = q->next;
		kept_unref(q->kept);
		free(q);
	}
	for (uint32_t i = 0; i < en->rules->n_rules; i++) {
		free(en->states[i].parents);
		free(en->states[i].keys);
		free(en->states[i].inputs);
	}
	for (uint32_t i = 0; i < en->n_keys; i++)
		free(en->keys[i].ids);
	free(en->keys);
	free(en->field_strings);
	free(en->agents);
	for (uint32_t i = 0; i < en->n_seen; i++) {
		free(en->seen[i].sustained);
		free(en->seen[i].concurrent);
	}
	free(en->seen);
	free(en->states);
	free(en->fired);
	free(en->dirty);
	strings_release(&en->strings);
	keeper_release(&en->keeper);
	map_release(&en->names);
	buffer_release(&en->tuple);
	arena_release(&en->scratch);
	if (en->incident_matcher) {
		matcher_free(en->incident_matcher);
		event_release(&en->incident_event);
		free(en->incident_matched);
	}
	free(en);
}

/* ---- sources ---- */

/* From when on is there a log in which the rule's events would stand? INT64_MAX: there is none. */
static int64_t rule_observed_from(const struct engine *en, uint32_t rule)
{
	const struct rule *r = &en->rules->rules[rule];
	int64_t from_ns = INT64_MAX;

	if (r->kind == RULE_DETECTION) {
		for (uint32_t i = 0; i < en->n_seen; i++)
			if (rule_applies(r, en->seen[i].source) && en->seen[i].from_ns < from_ns)
				from_ns = en->seen[i].from_ns;
		return from_ns;
	}
	for (uint32_t i = 0; i < r->correlation->n_inputs; i++) {
		int64_t input_ns = rule_observed_from(en, r->correlation->inputs[i].rule);
		if (input_ns < from_ns)
			from_ns = input_ns;
	}
	return from_ns;
}

void engine_source_present(struct engine *en, const struct source *s)
{
	const struct ruleset *rs = en->rules;
	uint32_t cap_s = 0, cap_c = 0;

	for (uint32_t i = 0; i < en->n_seen; i++)
		if (en->seen[i].source == s)
			return;
	ARRAY_GROW(en->seen, en->n_seen, en->cap_seen);
	struct seen_source *seen = &en->seen[en->n_seen++];
	*seen = (struct seen_source){ .source = s, .from_ns = INT64_MAX };
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct correlation *k = rs->rules[i].correlation;
		if (!k || (k->type != CORRELATION_SUSTAINED && k->type != CORRELATION_CONCURRENT))
			continue;
		bool looks = false;
		for (uint32_t j = 0; j < k->n_inputs; j++) {
			const struct rule *input = &rs->rules[k->inputs[j].rule];
			looks |= input->kind == RULE_DETECTION && rule_applies(input, s);
		}
		if (looks && k->type == CORRELATION_SUSTAINED) {
			ARRAY_GROW(seen->sustained, seen->n_sustained, cap_s);
			seen->sustained[seen->n_sustained++] = i;
			en->sustains = true;
		} else if (looks) {
			ARRAY_GROW(seen->concurrent, seen->n_concurrent, cap_c);
			seen->concurrent[seen->n_concurrent++] = i;
		}
	}
}

void engine_source_observed(struct engine *en, const struct source *s, int64_t from_ns)
{
	const struct ruleset *rs = en->rules;
	uint32_t n = 0;

	while (n < en->n_seen && en->seen[n].source != s)
		n++;
	/* A log that only a checkpoint knows is not among the inputs, though the rest of it may still be read. */
	if (n == en->n_seen || from_ns >= en->seen[n].from_ns)
		return;
	en->seen[n].from_ns = from_ns;
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct correlation *k = rs->rules[i].correlation;
		if (!k || !k->has_negation)
			continue;
		int64_t last_ns = TIME_NONE;
		for (uint32_t j = 0; j < k->n_inputs; j++) {
			int64_t input_ns = k->inputs[j].negated ? rule_observed_from(en, k->inputs[j].rule) : TIME_NONE;
			if (input_ns > last_ns)
				last_ns = input_ns;
		}
		en->states[i].observed_from_ns = last_ns;
	}
}

const struct seen_source *seen_source_find(const struct engine *en, const struct source *s)
{
	for (uint32_t i = 0; i < en->n_seen; i++)
		if (en->seen[i].source == s)
			return &en->seen[i];
	return NULL;
}

bool engine_observes(const struct engine *en, const struct source *s)
{
	const struct seen_source *seen = seen_source_find(en, s);
	return seen && seen->n_sustained > 0;
}

/* ---- rules about incidents ---- */

static void queue_field(struct event *e, const struct field_table *t, struct span name, struct span value)
{
	event_set(e, field_find(t, name), value, VALUE_STRING);
}

void incident_event_queue(struct engine *en, const struct change *c)
{
	if (!en->incident_matcher || en->queue_depth >= QUEUE_DEPTH_LIMIT)
		return;
	struct event *e = &en->incident_event;
	struct buffer raw = BUFFER_INIT;

	event_reset(e);
	e->time_ns = c->time_ns;
	e->source = &en->incident_source;
	e->snapshot_ns = TIME_NONE;
	e->origin = (struct origin){ .file = "" };
	for (size_t i = 0; i < c->n_key; i++)
		queue_field(e, &en->rules->fields, c->key[i].name, c->key[i].value);
	event_set(e, FIELD_TYPE, SPAN("incident"), VALUE_STRING);
	event_set(e, FIELD_RULE, span_from_string(c->rule->name), VALUE_STRING);
	event_set(e, FIELD_STATE, span_from_string(incident_state_name(c->state)), VALUE_STRING);
	event_set(e, FIELD_LEVEL, span_from_string(level_name(c->rule->level)), VALUE_STRING);
	event_set(e, FIELD_TITLE, span_from_string(c->rule->title), VALUE_STRING);
	event_set(e, FIELD_ID, span_from_string(c->id), VALUE_STRING);
	event_set(e, FIELD_SUMMARY, c->summary, VALUE_STRING);
	event_set(e, FIELD_MESSAGE, c->summary, VALUE_STRING);
	event_add_integer(e, FIELD_COUNT, (int64_t)c->count);
	buffer_printf(&raw, "%s %s %s: ", incident_state_name(c->state), c->rule->name, c->id);
	buffer_append_span(&raw, c->summary);
	e->raw = buffer_span(&raw);

	struct change_event *q = xcalloc(1, sizeof *q);
	q->rule = c->rule;
	q->depth = en->queue_depth + 1;
	q->time_ns = c->time_ns;
	q->kept = kept_new(&en->keeper, e);
	*en->queue_tail = q;
	en->queue_tail = &q->next;
	buffer_release(&raw);
}

/* Shows the queued state changes to the rules about incidents, one step each, in order. */
static void queue_show(struct engine *en)
{
	while (en->queue_head) {
		struct change_event *q = en->queue_head;
		struct event *e = &en->incident_event;
		en->queue_head = q->next;
		if (!en->queue_head)
			en->queue_tail = &en->queue_head;

		event_reset(e);
		e->kind = EVENT_LOG;
		e->time_ns = q->time_ns;
		e->source = &en->incident_source;
		e->snapshot_ns = TIME_NONE;
		e->origin = (struct origin){ .file = "" };
		e->raw = kept_text(q->kept);
		for (struct kept_reader r = kept_read(&en->keeper, q->kept); kept_next(&r);)
			event_add(e, r.field, r.value, VALUE_STRING);
		if (en->trace && en->trace->judge)
			en->trace->judge(en->trace->context, en->incident_matcher, e);
		size_t n = matcher_match(en->incident_matcher, SIZE_MAX, e, en->incident_matched);
		if (n || engine_observes(en, &en->incident_source)) {
			struct occurrence o = { .keeper = &en->keeper, .event = e, .kept = kept_ref(q->kept), .time_ns = q->time_ns, .step = ++en->step };
			for (size_t i = 0; i < n; i++)
				if (rule_sees_incidents(&en->rules->rules[en->incident_matched[i]], q->rule))
					bit_set(en->fired, en->incident_matched[i]);
			const struct seen_source *seen = seen_source_find(en, &en->incident_source);
			for (uint32_t i = 0; seen && i < seen->n_sustained; i++)
				bit_set(en->dirty, seen->sustained[i]);
			en->queue_depth = q->depth;
			correlate(en, 0, &o);
			en->queue_depth = 0;
			kept_unref(o.kept);
		}
		kept_unref(q->kept);
		free(q);
	}
}

static inline void queue_drain(struct engine *en)
{
	if (en->queue_head)
		queue_show(en);
	if (en->scratch.chunks)
		arena_reset(&en->scratch);
}

/* ---- time ---- */

static void deadlines_run(struct engine *en, int64_t time_ns)
{
	struct cell *c;

	while ((c = cell_due(en, time_ns))) {
		int64_t due = cell_deadline(c);
		if (due > en->now_ns)
			en->now_ns = due;
		if (cell_pending(c) != TIME_NONE && cell_pending(c) <= due) {
			absence_due(en, c);
		} else if (c->incident) {
			incident_resolve(en, c);
			cell_schedule(en, c);
		} else {
			cell_free(en, c);
		}
		queue_drain(en);
	}
}

void engine_advance(struct engine *en, int64_t time_ns)
{
	if (en->trace && !en->trace_at_done && en->trace->at_ns != TIME_NONE && time_ns > en->trace->at_ns) {
		deadlines_run(en, en->trace->at_ns);
		if (en->trace->at_ns > en->now_ns)
			en->now_ns = en->trace->at_ns;
		trace_at(en);
	}
	if (en->n_heap && en->heap[0].deadline_ns <= time_ns)
		deadlines_run(en, time_ns);
	if (time_ns > en->now_ns)
		en->now_ns = time_ns;
}

void engine_event(struct engine *en, const struct event *e, int64_t order_ns, const uint32_t *matched, size_t n_matched)
{
	engine_advance(en, order_ns);
	en->stats.events++;
	if (e->time_ns < order_ns)
		en->stats.late++;
	if (e->kind == EVENT_SNAPSHOT_END) {
		snapshot_end(en, e);
	} else {
		struct occurrence o;
		o.keeper = &en->keeper;
		o.event = e;
		o.kept = NULL;
		o.time_ns = e->time_ns;
		o.step = ++en->step;
		const struct seen_source *seen = en->sustains ? seen_source_find(en, e->source) : NULL;
		if (en->trace && e->time_ns < order_ns)
			trace_tell_rule(en, TRACE_LATE, NULL, &o, FIELD_NONE);
		if (n_matched == 1 && !(seen && seen->n_sustained)) {
			correlate_one(en, matched[0], &o);
		} else {
			for (size_t i = 0; i < n_matched; i++)
				bit_set(en->fired, matched[i]);
			for (uint32_t i = 0; seen && i < seen->n_sustained; i++)
				bit_set(en->dirty, seen->sustained[i]);
			correlate(en, 0, &o);
		}
		kept_unref(o.kept);
	}
	queue_drain(en);
}

void engine_finish(struct engine *en)
{
	if (en->trace && !en->trace_at_done)
		trace_at(en);
	for (uint32_t i = 0; i < en->rules->n_rules; i++) {
		uint64_t n = 0;
		for (const struct cell *c = en->states[i].oldest; c; c = c->newer)
			n += cell_pending(c) != TIME_NONE;
		en->stats.undetermined += n;
		if (!n || !en->rules->rules[i].alerts || !en->notice)
			continue;
		struct buffer text = BUFFER_INIT;
		buffer_printf(&text, "undetermined: the input ends before its deadline (%" PRIu64 " waiting); "
				     "--until TIME lets time run on", n);
		en->notice(en->context, &en->rules->rules[i], en->now_ns, buffer_string(&text));
		buffer_release(&text);
	}
}

int64_t engine_next_deadline(const struct engine *en)
{
	return en->n_heap && en->heap[0].deadline_ns != INT64_MAX ? en->heap[0].deadline_ns : TIME_NONE;
}

int64_t engine_now(const struct engine *en)
{
	return en->now_ns;
}

const struct engine_stats *engine_stats(const struct engine *en)
{
	return &en->stats;
}

void engine_add_stats(struct engine *en, const struct engine_stats *from)
{
	struct engine_stats *s = &en->stats;

	s->events += from->events;
	s->late += from->late;
	s->missing_key += from->missing_key;
	s->evicted += from->evicted;
	s->window_cut += from->window_cut;
	s->opened += from->opened;
	s->updated += from->updated;
	s->resolved += from->resolved;
	s->inhibited += from->inhibited;
	s->undetermined += from->undetermined;
	s->commands_refused += from->commands_refused;
	if (from->keys_peak > s->keys_peak)
		s->keys_peak = from->keys_peak;
}

uint64_t engine_open_incidents(const struct engine *en)
{
	return en->n_open;
}
