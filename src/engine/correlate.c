/*
 * What follows from an event: the rules it matched, and the correlations over them, in order of rule index, which is
 * an order in which inputs come before what they feed (ruleset.h). Nothing here looks at a clock: en->now_ns
 * is the event's place in the order.
 *
 * A correlation *fires* at every event that leaves its condition true; that feeds the correlations above it. Whether an incident
 * opens is incident.c's business.
 */
#include "engine/state.h"

#include "base/memory.h"

#include <math.h>

bool bounds_hold(const struct correlation *k, double value)
{
	for (uint32_t i = 0; i < k->n_bounds; i++) {
		double limit = k->bounds[i].value;
		bool holds = false;
		switch (k->bounds[i].op) {
		case BOUND_GT: holds = value > limit; break;
		case BOUND_GTE: holds = value >= limit; break;
		case BOUND_LT: holds = value < limit; break;
		case BOUND_LTE: holds = value <= limit; break;
		case BOUND_EQ: holds = value == limit; break;
		case BOUND_NEQ: holds = value != limit; break;
		}
		if (!holds)
			return false;
	}
	return true;
}

static void expires_at_least(struct cell *c, int64_t t)
{
	if (c->expires_ns < t)
		c->expires_ns = t;
}

static int64_t later(int64_t t, int64_t span_ns)
{
	return span_ns > INT64_MAX - t ? INT64_MAX - 1 : t + span_ns;
}

/* Inputs of a correlation that are to be looked at, whether their rules have fired. */
struct inputs {
	uint32_t first, end;
};

/* ---- counts and values over a window ---- */

/* The number of a value_* correlation's field; false when the event has none. */
static bool value_number(const struct correlation *k, struct occurrence *o, double *ret)
{
	return k->n_value_fields && span_to_number(occurrence_field(o, k->value_fields[0]), ret) && isfinite(*ret);
}

/* The value of one field, or the values of several as one string, with a reference; 0 when one is absent. */
static string_id value_tuple(struct engine *en, const struct correlation *k, struct occurrence *o)
{
	if (k->n_value_fields == 1)
		return occurrence_value(en, o, k->value_fields[0]);
	return values_join(&en->tuple, k->value_fields, k->n_value_fields, o) ? value_string_cut(en, buffer_span(&en->tuple)) : 0;
}

static void key_missing(struct engine *en, const struct rule *r, const field_id *fields, uint32_t n, struct occurrence *o)
{
	en->stats.missing_key++;
	if (traced(en, r->index))
		trace_tell_rule(en, TRACE_NO_KEY, r, o, missing_field(fields, n, o));
}

/* The keys that have the event already, where it was matched by several inputs. */
struct taken {
	uint64_t first, *others; /* cell.seq */
	uint32_t n;
};
#define TAKEN_INIT { 0, NULL, 0 }

/* Has the cell the event? From now on it has. */
static bool is_taken(struct engine *en, struct taken *t, const struct correlation *k, const struct cell *c)
{
	if (t->n == 0) {
		t->first = c->seq;
		t->n = 1;
		return false;
	}
	if (t->first == c->seq)
		return true;
	if (!t->others)
		t->others = arena_alloc(&en->scratch, k->n_inputs * sizeof *t->others);
	for (uint32_t i = 0; i + 1 < t->n; i++)
		if (t->others[i] == c->seq)
			return true;
	t->others[t->n++ - 1] = c->seq;
	return false;
}

/* taken: NULL where the rule has one input only. */
static bool window_input(struct engine *en, const struct rule *r, uint32_t i, struct taken *taken, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	double number = 0;
	string_id value = 0;
	bool has_value = true;

	if (k->type == CORRELATION_VALUE_COUNT)
		has_value = (value = value_tuple(en, k, o)) != 0;
	else if (k->type != CORRELATION_EVENT_COUNT)
		has_value = value_number(k, o, &number);
	const struct key *key = has_value ? key_of(en, r->index, i, o) : NULL;
	if (!key) {
		key_missing(en, r, has_value ? k->inputs[i].keys : k->value_fields, has_value ? k->n_keys : k->n_value_fields, o);
		strings_unref(&en->strings, value);
		return false;
	}
	struct cell *c = cell_get(en, r->index, key);
	if (taken && is_taken(en, taken, k, c)) {
		strings_unref(&en->strings, value);
		return false; /* matched by two inputs: one event all the same */
	}
	window_expire(en, c, k->timespan_ns);
	if (o->time_ns <= en->now_ns - k->timespan_ns) {
		if (traced(en, r->index))
			trace_tell(en, TRACE_NOT_USED, c, o);
		strings_unref(&en->strings, value);
		cell_schedule(en, c);
		return false; /* so late that it is out of the window */
	}
	window_add(en, c, o, number, value);
	expires_at_least(c, later(o->time_ns, k->timespan_ns));
	double now_value = k->type == CORRELATION_EVENT_COUNT ? c->window.n : window_value(en, c, k);
	bool holds = bounds_hold(k, now_value);
	if (traced(en, r->index))
		trace_tell_value(en, TRACE_EVALUATED, c, o, now_value, holds);
	if (holds)
		incident_hold(en, c, o, now_value);
	else if (c->incident)
		incident_evidence(en, c, o, now_value);
	cell_schedule(en, c);
	return holds;
}

static bool window_step(struct engine *en, const struct rule *r, struct inputs inputs, struct occurrence *o)
{
	struct taken taken = TAKEN_INIT;
	bool fires = false;

	for (uint32_t i = inputs.first; i < inputs.end; i++)
		if (bit_test(en->fired, r->correlation->inputs[i].rule))
			fires |= window_input(en, r, i, &taken, o);
	return fires;
}

/* ---- temporal ---- */

static bool presence_holds(const struct presence *p, uint64_t seen)
{
	switch (p->op) {
	case PRESENCE_INPUT:
		return seen >> p->input & 1;
	case PRESENCE_NOT:
		return !presence_holds(p->children[0], seen);
	case PRESENCE_AND:
		for (uint32_t i = 0; i < p->n_children; i++)
			if (!presence_holds(p->children[i], seen))
				return false;
		return true;
	case PRESENCE_OR:
		for (uint32_t i = 0; i < p->n_children; i++)
			if (presence_holds(p->children[i], seen))
				return true;
		return false;
	}
	return false;
}

bool condition_holds(const struct correlation *k, uint64_t seen)
{
	if (k->presence)
		return presence_holds(k->presence, seen);
	unsigned n = 0, wanted = 0;
	for (uint32_t i = 0; i < k->n_inputs; i++) {
		wanted += !k->inputs[i].negated;
		n += !k->inputs[i].negated && (seen >> i & 1);
	}
	return k->n_bounds ? bounds_hold(k, n) : n == wanted;
}

/* temporal_ordered, and all positive inputs are needed: their slots are the steps. */
static bool is_one_chain(const struct correlation *k)
{
	return k->type == CORRELATION_TEMPORAL_ORDERED && !k->n_chains;
}

/* Which positive inputs are in the window; where they are one chain, only as far as they came in their order. */
uint64_t seen_inputs(const struct engine *en, const struct cell *c, const struct correlation *k)
{
	int64_t bound = en->now_ns - k->timespan_ns;
	bool ordered = is_one_chain(k);
	uint64_t seen = 0;

	bool chained = false;
	for (uint32_t i = k->n_inputs; i-- > 0;) {
		if (k->inputs[i].negated)
			continue;
		bool in_window = (ordered ? c->state->slots[i].start_ns : c->state->slots[i].time_ns) > bound;
		chained |= in_window && ordered; /* the chain has all steps before this one */
		if (in_window || chained)
			seen |= UINT64_C(1) << i;
	}
	return seen;
}

/* The start of the chain that an event carries on as the step behind `before`; TIME_NONE: there is none. */
static int64_t chain_before(const struct slot *before, const struct occurrence *o)
{
	return before->time_ns <= o->time_ns ? before->start_ns : TIME_NONE;
}

static void step_take(struct slot *s, int64_t start_ns)
{
	if (s->start_ns == TIME_NONE || start_ns > s->start_ns)
		s->start_ns = start_ns;
}

static struct slot *last_step(const struct cell *c, const struct chain *chain)
{
	return &c->state->slots[chain->first_slot + (uint32_t)__builtin_popcountll(chain->inputs) - 1];
}

/* The event of input i as a step of every chain that has one for it. Returns the chains that it completes, as bits. */
static uint64_t chains_take(struct cell *c, const struct correlation *k, uint32_t i, const struct occurrence *o, int64_t bound)
{
	uint64_t done = 0;

	for (uint32_t t = 0; t < k->n_chains; t++) {
		const struct chain *chain = &k->chains[t];
		uint64_t before = chain->inputs & ((UINT64_C(1) << i) - 1);
		if (!(chain->inputs >> i & 1))
			continue;
		struct slot *s = &c->state->slots[chain->first_slot + (uint32_t)__builtin_popcountll(before)];
		int64_t start = before ? chain_before(s - 1, o) : o->time_ns;
		if (start == TIME_NONE)
			continue;
		step_take(s, start);
		if (s->time_ns == TIME_NONE || o->time_ns > s->time_ns)
			s->time_ns = o->time_ns;
		if (s == last_step(c, chain) && s->start_ns > bound)
			done |= UINT64_C(1) << t;
	}
	return done;
}

/* Does one of these chains make the condition true, in spite of what was not to be? */
static bool chains_hold(const struct correlation *k, uint64_t chains, uint64_t forbidden)
{
	for (uint32_t t = 0; t < k->n_chains; t++)
		if (chains >> t & 1 && condition_holds(k, k->chains[t].inputs | forbidden))
			return true;
	return false;
}

bool chain_complete(const struct engine *en, const struct cell *c, const struct correlation *k)
{
	for (uint32_t t = 0; t < k->n_chains; t++)
		if (last_step(c, &k->chains[t])->start_ns > en->now_ns - k->timespan_ns)
			return true;
	return false;
}

/*
 * The newest event of input i; in an ordered correlation it carries on the chain that ends at the input before. False when there is no such
 * chain, and it cannot begin one.
 */
static bool slot_take(struct engine *en, struct cell *c, const struct correlation *k, uint32_t i, struct occurrence *o)
{
	struct slot *s = &c->state->slots[i];

	if (is_one_chain(k)) {
		uint32_t j = i;
		while (j > 0 && k->inputs[j - 1].negated)
			j--;
		int64_t start = j > 0 ? chain_before(&c->state->slots[j - 1], o) : o->time_ns;
		if (start == TIME_NONE)
			return false;
		step_take(s, start);
	}
	if (s->time_ns == TIME_NONE || o->time_ns >= s->time_ns) {
		s->time_ns = o->time_ns;
		if (en->states[c->rule].keeps) {
			kept_unref(s->kept);
			s->kept = kept_ref(occurrence_keep(en, o));
		}
	}
	return true;
}

static uint64_t positive_inputs(const struct correlation *k)
{
	uint64_t all = 0;
	for (uint32_t i = 0; i < k->n_inputs; i++)
		if (!k->inputs[i].negated)
			all |= UINT64_C(1) << i;
	return all;
}

/* Does this input alone make the condition false? */
static bool ends(const struct correlation *k, uint32_t i)
{
	return !condition_holds(k, positive_inputs(k) | UINT64_C(1) << i);
}

static bool waits_for(const struct correlation *k, const struct correlation_input *in)
{
	return in->negated && (k->type == CORRELATION_TEMPORAL || in->after);
}

/*
 * A negated input between two positive ones of an ordered correlation breaks the chains that wait for the later one. Returns the earlier
 * one, where such chains end; -1 when there is none: then the input forbids by having been in the window. So it is where there are several
 * chains, which do not all take the same steps, and where it forbids only together with others.
 */
static int breaks_chain_after(const struct correlation *k, uint32_t i)
{
	if (!is_one_chain(k) || !k->inputs[i].negated || k->inputs[i].after || !ends(k, i))
		return -1;
	int j = (int)i - 1;
	while (j >= 0 && k->inputs[j].negated)
		j--;
	return j;
}

static bool forbids_before(const struct correlation *k, uint32_t i)
{
	const struct correlation_input *in = &k->inputs[i];

	return in->negated && (k->type == CORRELATION_TEMPORAL || !in->after) && breaks_chain_after(k, i) < 0;
}

static void pending_drop(struct cell *c)
{
	c->state->pending_ns = TIME_NONE;
	kept_unref(c->state->trigger);
	c->state->trigger = NULL;
}

void correlation_plan(struct engine *en, uint32_t rule)
{
	const struct rule *r = &en->rules->rules[rule];
	const struct correlation *k = r->correlation;
	struct rule_state *s = &en->states[rule];

	s->n_keys = k->n_keys;
	s->keys = xcalloc(k->n_inputs + 1, sizeof *s->keys);
	for (uint32_t i = 0; i < k->n_inputs; i++)
		s->keys[i] = key_plan(en, k->inputs[i].keys, k->n_keys);
	if (k->type != CORRELATION_TEMPORAL && k->type != CORRELATION_TEMPORAL_ORDERED)
		return;
	s->inputs = xcalloc(k->n_inputs + 1, sizeof *s->inputs);
	for (uint32_t i = 0; i < k->n_inputs; i++)
		s->inputs[i] = (struct input_plan){
			.waits = waits_for(k, &k->inputs[i]),
			.forbids = forbids_before(k, i),
			.ends = ends(k, i),
			.breaks_after = breaks_chain_after(k, i),
		};
}

/* What was not to be has happened: no absence any more, and the end of one that was told. */
static void negated_happened(struct engine *en, const struct rule *r, uint32_t i, struct cell *c, struct occurrence *o)
{
	const struct input_plan *plan = &en->states[r->index].inputs[i];

	if (!plan->ends || (c->state->pending_ns == TIME_NONE && !c->incident))
		return;
	if (c->state->pending_ns != TIME_NONE && o->time_ns < c->state->pending_ns && plan->waits) {
		if (traced(en, r->index))
			trace_tell(en, TRACE_MET, c, o);
		pending_drop(c);
	}
	if (c->incident && o->time_ns >= c->incident->last_ns)
		incident_resolve(en, c);
	cell_schedule(en, c);
}

/* Between two positive inputs: what was begun before it can no longer be completed. */
static void chain_broken(struct engine *en, const struct rule *r, uint32_t i, struct cell *c, struct occurrence *o)
{
	int j = en->states[r->index].inputs[i].breaks_after;

	if (j >= 0 && o->time_ns >= c->state->slots[j].time_ns)
		c->state->slots[j].start_ns = TIME_NONE;
}

static void negated_remember(struct engine *en, const struct rule *r, uint32_t i, struct cell *c, struct occurrence *o)
{
	if (o->time_ns > c->state->slots[i].time_ns)
		c->state->slots[i].time_ns = o->time_ns;
	expires_at_least(c, later(en->now_ns, r->correlation->timespan_ns));
	cell_schedule(en, c);
}

/* Was there, at this time, a log in which what is missing would stand? */
static bool observed_by(const struct engine *en, uint32_t rule, int64_t time_ns)
{
	return en->states[rule].observed_from_ns <= time_ns;
}

/* The log in which what is missing would stand is not read, or says nothing yet: nothing can be said. */
static void absence_undetermined(struct engine *en, const struct rule *r, int64_t time_ns)
{
	struct rule_state *s = &en->states[r->index];

	en->stats.undetermined++;
	if (r->alerts && en->notice && !s->told_undetermined)
		en->notice(en->context, r, time_ns,
			   "undetermined: what it waits for is written to a log that is not there, or says nothing yet; said once, --stats counts");
	s->told_undetermined = true;
}

static bool positive_happened(struct engine *en, const struct rule *r, uint32_t i, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	const struct input_plan *plans = en->states[r->index].inputs;
	const struct key *key = key_of(en, r->index, i, o);
	bool fires = false;

	if (!key) {
		key_missing(en, r, k->inputs[i].keys, k->n_keys, o);
		return false;
	}
	struct cell *c = cell_get(en, r->index, key);
	bool taken = slot_take(en, c, k, i, o);
	uint64_t done = chains_take(c, k, i, o, en->now_ns - k->timespan_ns);
	expires_at_least(c, later(en->now_ns, k->timespan_ns));

	uint64_t seen = seen_inputs(en, c, k);
	bool triggers = k->n_chains ? done != 0 : taken && (seen >> i & 1) && condition_holds(k, seen);
	if (triggers && is_one_chain(k))
		for (uint32_t j = i + 1; j < k->n_inputs && triggers; j++) /* something that comes later is still to come */
			if (!k->inputs[j].negated && (seen >> j & 1))
				triggers = false;
	double value = (double)__builtin_popcountll(seen);
	if (traced(en, r->index))
		trace_tell_input(en, c, o, i, value, triggers);
	if (triggers && k->has_negation) {
		bool waits = false;
		uint64_t forbidden = 0;
		for (uint32_t j = 0; j < k->n_inputs; j++) {
			waits |= plans[j].waits;
			if (plans[j].forbids && c->state->slots[j].time_ns > en->now_ns - k->timespan_ns)
				forbidden |= UINT64_C(1) << j;
		}
		triggers = k->n_chains ? chains_hold(k, done, forbidden) : condition_holds(k, seen | forbidden);
		if (!triggers && traced(en, r->index))
			trace_tell_value(en, TRACE_FORBIDDEN, c, o, value, false);
		if (triggers && !waits && !observed_by(en, r->index, o->time_ns)) {
			if (traced(en, r->index))
				trace_tell_value(en, TRACE_UNDETERMINED, c, o, value, true);
			absence_undetermined(en, r, o->time_ns);
			triggers = false;
		}
		if (triggers && waits) {
			triggers = false;
			if (c->state->pending_ns == TIME_NONE) {
				c->state->pending_ns = later(o->time_ns, k->timespan_ns);
				c->state->trigger_ns = o->time_ns;
				c->state->trigger = kept_ref(occurrence_keep(en, o));
				expires_at_least(c, c->state->pending_ns);
				if (traced(en, r->index))
					trace_tell_value(en, TRACE_ARMED, c, o, value, false);
			}
		}
	}
	if (triggers) {
		fires = true;
		incident_hold(en, c, o, value);
	}
	cell_schedule(en, c);
	return fires;
}

/* A negated input, where the event is no other input of the rule besides: all that follows from it, with one look-up. */
static void negated_step(struct engine *en, const struct rule *r, uint32_t i, struct occurrence *o)
{
	bool forbids = en->states[r->index].inputs[i].forbids;
	const struct key *key = key_of(en, r->index, i, o);

	if (!key) {
		key_missing(en, r, r->correlation->inputs[i].keys, r->correlation->n_keys, o);
		return;
	}
	struct cell *c = forbids ? cell_get(en, r->index, key) : cell_find(en, r->index, key);
	if (!c)
		return;
	if (c->state->pending_ns != TIME_NONE || c->incident)
		negated_happened(en, r, i, c, o);
	if (forbids)
		negated_remember(en, r, i, c, o);
	else
		chain_broken(en, r, i, c, o);
}

static struct cell *input_cell(struct engine *en, const struct rule *r, uint32_t i, struct occurrence *o)
{
	const struct key *key = key_of(en, r->index, i, o);

	return key ? cell_find(en, r->index, key) : NULL;
}

/*
 * The event is several inputs. First what ends absences, then what begins them, and last what forbids later ones: an event never stands in its
 * own way.
 */
static bool inputs_step(struct engine *en, const struct rule *r, uint64_t all, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	uint64_t negated = 0;
	bool fires = false;
	struct cell *c;

	for (uint64_t left = all; left; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		if (!k->inputs[i].negated)
			continue;
		negated |= UINT64_C(1) << i;
		if ((c = input_cell(en, r, i, o)))
			negated_happened(en, r, i, c, o);
		else if (!key_of(en, r->index, i, o))
			key_missing(en, r, k->inputs[i].keys, k->n_keys, o);
	}
	/* Backwards, so that one event is not two steps of an ordered chain, and breaks neither the one that it completes nor the one it begins. */
	for (uint64_t left = all; left;) {
		uint32_t i = 63 - (uint32_t)__builtin_clzll(left);
		left &= ~(UINT64_C(1) << i);
		if (!k->inputs[i].negated)
			fires |= positive_happened(en, r, i, o);
		else if ((c = input_cell(en, r, i, o)))
			chain_broken(en, r, i, c, o);
	}
	for (uint64_t left = negated; left; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		const struct key *key = en->states[r->index].inputs[i].forbids ? key_of(en, r->index, i, o) : NULL;
		if (key)
			negated_remember(en, r, i, cell_get(en, r->index, key), o);
	}
	return fires;
}

static bool temporal_input(struct engine *en, const struct rule *r, uint32_t i, struct occurrence *o)
{
	if (!r->correlation->inputs[i].negated)
		return positive_happened(en, r, i, o);
	negated_step(en, r, i, o);
	return false;
}

static bool temporal_step(struct engine *en, const struct rule *r, struct inputs inputs, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	uint64_t all = 0;

	for (uint32_t i = inputs.first; i < inputs.end; i++)
		if (bit_test(en->fired, k->inputs[i].rule))
			all |= UINT64_C(1) << i;
	if (all & (all - 1))
		return inputs_step(en, r, all, o);
	return temporal_input(en, r, (uint32_t)__builtin_ctzll(all), o);
}

static void parents_mark(struct engine *en, uint32_t rule)
{
	for (uint32_t i = 0; i < en->states[rule].n_parents; i++)
		bit_set(en->dirty, en->states[rule].parents[i].rule);
}

void absence_due(struct engine *en, struct cell *c)
{
	const struct rule *r = &en->rules->rules[c->rule];
	struct occurrence o = { .keeper = &en->keeper, .kept = c->state->trigger, .time_ns = c->state->pending_ns, .step = ++en->step };

	if (traced(en, c->rule))
		trace_tell_value(en, observed_by(en, c->rule, o.time_ns) ? TRACE_ABSENT : TRACE_UNDETERMINED, c, &o,
				 (double)__builtin_popcountll(seen_inputs(en, c, r->correlation)), true);
	c->state->pending_ns = TIME_NONE;
	c->state->trigger = NULL;
	if (!observed_by(en, c->rule, o.time_ns)) {
		absence_undetermined(en, r, o.time_ns);
	} else {
		incident_hold(en, c, &o, (double)__builtin_popcountll(seen_inputs(en, c, r->correlation)));
		bit_set(en->fired, c->rule);
		parents_mark(en, c->rule);
	}
	cell_schedule(en, c);
	correlate(en, 0, &o);
	kept_unref(o.kept);
}

/* ---- sustained and concurrent ---- */

/* The key no longer holds: its incident resolves now, or after resolve-after. */
static void held_end(struct engine *en, struct cell *c, struct occurrence *o)
{
	const struct rule *r = &en->rules->rules[c->rule];

	if (traced(en, c->rule))
		trace_tell_value(en, TRACE_RESET, c, o,
				 r->correlation->type == CORRELATION_SUSTAINED ? (double)c->state->held.accrued_ns / NS_PER_SECOND :
										  c->state->distinct.n_distinct, false);
	if (c->incident && r->incident.resolve_after_ns > 0) {
		if (c->incident->resolve_ns == INT64_MAX)
			c->incident->resolve_ns = later(en->now_ns, r->incident.resolve_after_ns);
		c->state->held.last_ns = TIME_NONE;
		c->state->held.accrued_ns = 0;
		cell_schedule(en, c);
		return;
	}
	if (c->incident)
		incident_resolve(en, c);
	cell_free(en, c);
}

static bool sustained_step(struct engine *en, const struct rule *r, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	bool holds = bit_test(en->fired, k->inputs[0].rule);
	const struct key *key = key_of(en, r->index, 0, o);

	if (!key) {
		if (holds)
			key_missing(en, r, k->inputs[0].keys, k->n_keys, o);
		return false;
	}
	if (!holds) {
		struct cell *c = cell_find(en, r->index, key);
		if (c && (c->state->held.last_ns == TIME_NONE || o->time_ns >= c->state->held.last_ns))
			held_end(en, c, o);
		return false;
	}

	struct cell *c = cell_get(en, r->index, key);
	struct held *h = &c->state->held;
	if (h->last_ns != TIME_NONE && o->time_ns < h->last_ns) {
		if (traced(en, r->index))
			trace_tell(en, TRACE_NOT_USED, c, o);
		cell_schedule(en, c);
		return false; /* late: newer observations stand */
	}
	if (h->last_ns != TIME_NONE && o->time_ns - h->last_ns <= k->max_gap_ns)
		h->accrued_ns += o->time_ns - h->last_ns;
	else if (h->last_ns != TIME_NONE && traced(en, r->index))
		trace_tell_value(en, TRACE_GAP, c, o, (double)h->accrued_ns / NS_PER_SECOND, false);
	h->last_ns = o->time_ns;
	h->stream = o->event ? o->event->origin.stream : 0;
	expires_at_least(c, later(o->time_ns, k->max_gap_ns > STALE_NS ? k->max_gap_ns : STALE_NS));
	bool fires = h->accrued_ns >= k->timespan_ns;
	if (traced(en, r->index))
		trace_tell_value(en, TRACE_EVALUATED, c, o, (double)h->accrued_ns / NS_PER_SECOND, fires);
	if (fires)
		incident_hold(en, c, o, (double)h->accrued_ns / NS_PER_SECOND);
	cell_schedule(en, c);
	return fires;
}

static bool concurrent_step(struct engine *en, const struct rule *r, struct inputs inputs, struct occurrence *o)
{
	const struct correlation *k = r->correlation;
	struct taken taken = TAKEN_INIT;
	bool fires = false;

	for (uint32_t i = inputs.first; i < inputs.end; i++) {
		if (!bit_test(en->fired, k->inputs[i].rule))
			continue;
		string_id value = value_tuple(en, k, o);
		if (!value) {
			key_missing(en, r, k->value_fields, k->n_value_fields, o);
			continue;
		}
		const struct key *key = key_of(en, r->index, i, o);
		if (!key) {
			key_missing(en, r, k->inputs[i].keys, k->n_keys, o);
			strings_unref(&en->strings, value);
			continue;
		}
		struct cell *c = cell_get(en, r->index, key);
		struct held *h = &c->state->held;
		int64_t snapshot = o->event && o->event->snapshot_ns != TIME_NONE ? o->event->snapshot_ns : o->time_ns;
		if (h->snapshot_ns != TIME_NONE && snapshot < h->snapshot_ns) {
			if (traced(en, r->index))
				trace_tell(en, TRACE_NOT_USED, c, o);
			strings_unref(&en->strings, value);
			cell_schedule(en, c);
			continue; /* late: a newer snapshot stands */
		}
		if (snapshot != h->snapshot_ns) {
			window_release(en, c);
			h->snapshot_ns = snapshot;
			h->stream = o->event ? o->event->origin.stream : 0;
		}
		if (k->n_inputs > 1 && is_taken(en, &taken, k, c)) {
			strings_unref(&en->strings, value);
			continue;
		}
		window_add(en, c, o, 0, value);
		h->last_ns = o->time_ns;
		expires_at_least(c, later(o->time_ns, STALE_NS));
		double n = c->state->distinct.n_distinct;
		bool holds = bounds_hold(k, n);
		if (traced(en, r->index))
			trace_tell_value(en, TRACE_EVALUATED, c, o, n, holds);
		if (holds) {
			fires = true;
			incident_hold(en, c, o, n);
		}
		cell_schedule(en, c);
	}
	return fires;
}

void snapshot_end(struct engine *en, const struct event *e)
{
	const struct seen_source *s = seen_source_find(en, e->source);
	struct cell *c, *next;

	if (!s || !e->snapshot_complete)
		return; /* what is missing from part of a listing is unknown, not gone */
	for (uint32_t i = 0; i < s->n_sustained; i++)
		for (c = en->states[s->sustained[i]].oldest; c; c = next) {
			next = c->newer;
			if (c->state->held.stream == e->origin.stream && c->state->held.last_ns != TIME_NONE && c->state->held.last_ns < e->snapshot_ns)
				held_end(en, c, NULL);
		}
	for (uint32_t i = 0; i < s->n_concurrent; i++)
		for (c = en->states[s->concurrent[i]].oldest; c; c = next) {
			const struct correlation *k = en->rules->rules[c->rule].correlation;
			next = c->newer;
			if (c->state->held.stream != e->origin.stream || c->state->held.snapshot_ns > e->snapshot_ns)
				continue;
			if (c->state->held.snapshot_ns < e->snapshot_ns || !bounds_hold(k, c->state->distinct.n_distinct))
				held_end(en, c, NULL);
		}
}

/* ---- the pass ---- */

static bool correlation_step(struct engine *en, const struct rule *r, struct inputs inputs, struct occurrence *o)
{
	switch (r->correlation->type) {
	case CORRELATION_EVENT_COUNT:
	case CORRELATION_VALUE_COUNT:
	case CORRELATION_VALUE_SUM:
	case CORRELATION_VALUE_AVG:
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MIN:
	case CORRELATION_VALUE_MAX:
		return window_step(en, r, inputs, o);
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
		return temporal_step(en, r, inputs, o);
	case CORRELATION_SUSTAINED:
		return sustained_step(en, r, o);
	case CORRELATION_CONCURRENT:
		return concurrent_step(en, r, inputs, o);
	}
	return false;
}

/* The same for one input, which has fired. */
static bool correlation_input(struct engine *en, const struct rule *r, uint32_t i, struct occurrence *o)
{
	enum correlation_type type = r->correlation->type;

	if (type == CORRELATION_TEMPORAL || type == CORRELATION_TEMPORAL_ORDERED)
		return temporal_input(en, r, i, o);
	if (type == CORRELATION_SUSTAINED || type == CORRELATION_CONCURRENT)
		return correlation_step(en, r, (struct inputs){ i, i + 1 }, o);
	return window_input(en, r, i, NULL, o);
}

static void detection_fired(struct engine *en, const struct rule *r, struct occurrence *o)
{
	if (traced(en, r->index))
		trace_tell_rule(en, TRACE_MATCHED, r, o, FIELD_NONE);
	if (!r->alerts)
		return;
	struct key key = key_from(NULL, 0);
	struct cell *c = cell_get(en, r->index, &key);
	c->expires_ns = en->now_ns;
	incident_hold(en, c, o, 1);
	cell_schedule(en, c);
}

void correlate(struct engine *en, uint32_t first, struct occurrence *o)
{
	uint32_t n_words = (en->rules->n_rules + 63) / 64;

	for (uint32_t w = first / 64; w < n_words; w++) {
		uint64_t done = w == first / 64 ? (UINT64_C(1) << first % 64) - 1 : 0, todo;
		while ((todo = (en->fired[w] | en->dirty[w]) & ~done)) {
			uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(todo);
			const struct rule *r = &en->rules->rules[index];
			bool fires = bit_test(en->fired, index);
			done |= UINT64_C(1) << (index % 64);
			if (r->kind == RULE_DETECTION) {
				if (fires)
					detection_fired(en, r, o);
			} else if (bit_test(en->dirty, index) && !fires) {
				fires = correlation_step(en, r, (struct inputs){ 0, r->correlation->n_inputs }, o);
				if (fires)
					bit_set(en->fired, index);
			}
			if (fires)
				parents_mark(en, index);
		}
	}
	for (uint32_t w = 0; w < n_words; w++)
		en->fired[w] = en->dirty[w] = 0;
}

void correlate_one(struct engine *en, uint32_t rule, struct occurrence *o)
{
	const struct rule_state *s = &en->states[rule];

	if (en->rules->rules[rule].alerts || en->trace)
		detection_fired(en, &en->rules->rules[rule], o);
	bit_set(en->fired, rule);
	for (uint32_t i = 0; i < s->n_parents; i++) {
		const struct parent *p = &s->parents[i];
		const struct rule *r = &en->rules->rules[p->rule];
		if (p->end - p->input == 1 ? !correlation_input(en, r, p->input, o) : !correlation_step(en, r, (struct inputs){ p->input, p->end }, o))
			continue;
		/* That may be an input of those that come next, too. */
		bit_set(en->fired, p->rule);
		parents_mark(en, rule);
		parents_mark(en, p->rule);
		correlate(en, p->rule + 1, o);
		return;
	}
	en->fired[rule / 64] = 0;
}
