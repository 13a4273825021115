/*
 * Gathering: from the steps of a trace to what can be shown. It decides what is kept, never whether something holds: that is told.
 */
#include "explain.h"

#include "base/memory.h"
#include "base/quote.h"

#include <stdlib.h>

#define TEXT_LIMIT 300 /* bytes kept of a record */

/* ---- copies ---- */

static void example_release(struct example *e)
{
	free(e->source);
	free(e->file);
	free(e->text);
	*e = (struct example){ 0 };
}

static void example_set(struct example *e, const struct evidence *v)
{
	struct span text = v->text;
	const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;

	if (end)
		text.len = (size_t)(end - text.ptr);
	text = utf8_cut(text, TEXT_LIMIT);
	example_release(e);
	*e = (struct example){ .source = xstrdup(v->source), .file = xstrdup(v->file), .text = xmemdup(text.ptr, text.len), .text_len = text.len,
			       .line = v->line, .time_ns = v->time_ns };
}

static void examples_add(struct examples *list, const struct evidence *v)
{
	example_set(&list->items[list->total % EXAMPLES], v);
	list->total++;
}

static void examples_release(struct examples *list)
{
	for (int i = 0; i < EXAMPLES; i++)
		example_release(&list->items[i]);
}

static struct evidence evidence_of(const struct event *e)
{
	return (struct evidence){ e->source ? e->source->name : "", e->origin.file ? e->origin.file : "", e->origin.line, e->time_ns, e->raw };
}

static void cell_release(struct cell_copy *c)
{
	for (size_t i = 0; i < c->n_key; i++)
		free((char *)(uintptr_t)c->key[i].value.ptr);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		example_release(&c->entries[i]);
		free(c->values[i]);
	}
	for (uint32_t i = 0; i < c->n_inputs; i++)
		example_release(&c->inputs[i].example);
	example_release(&c->trigger);
	free(c->incident);
	*c = (struct cell_copy){ 0 };
}

static double distance_of(const struct trace_cell *c)
{
	const struct correlation *k = c->rule->correlation;

	if (c->incident || c->pending_ns != TIME_NONE)
		return 0;
	return k ? near_distance(k, c->value) : 1;
}

static void cell_set(struct cell_copy *to, const struct trace_cell *c, int64_t now_ns)
{
	*to = (struct cell_copy){ .rule = c->rule, .now_ns = now_ns, .from_ns = c->from_ns, .value = c->value, .holds = c->holds,
				  .distance = distance_of(c), .n_entries = c->n_entries, .last_ns = c->last_ns, .pending_ns = c->pending_ns,
				  .opened_ns = c->opened_ns, .resolve_ns = c->resolve_ns, .count = c->count };
	to->n_key = c->n_key < NEAR_KEYS_LIMIT ? c->n_key : NEAR_KEYS_LIMIT;
	for (size_t i = 0; i < to->n_key; i++)
		to->key[i] = (struct named_value){ c->key[i].name, span_of(xmemdup(c->key[i].value.ptr, c->key[i].value.len), c->key[i].value.len) };
	uint32_t first = c->n_entries > ENTRIES ? c->n_entries - ENTRIES : 0;
	for (uint32_t i = first; i < c->n_entries; i++) {
		struct trace_entry e;
		trace_entry(c, i, &e);
		example_set(&to->entries[to->n_shown], &e.evidence);
		if (e.value.ptr)
			to->values[to->n_shown] = xmemdup(e.value.ptr, e.value.len);
		to->n_shown++;
	}
	for (uint32_t i = 0; i < c->n_inputs && i < 64; i++) {
		struct cell_input *in = &to->inputs[to->n_inputs++];
		*in = (struct cell_input){ .rule = c->inputs[i].rule, .negated = c->inputs[i].negated, .seen = c->inputs[i].seen,
					   .time_ns = c->inputs[i].time_ns };
		if (c->inputs[i].evidence)
			example_set(&in->example, c->inputs[i].evidence);
	}
	if (c->trigger)
		example_set(&to->trigger, c->trigger);
	if (c->incident)
		to->incident = xstrdup(c->incident);
}

/* ---- which events and keys are asked for ---- */

static bool key_asked_for(const struct explain *x, const struct trace_cell *c)
{
	if (!x->o.rule || c->rule != x->o.rule)
		return true;
	for (size_t i = 0; i < x->o.n_keys; i++)
		for (size_t j = 0; j < c->n_key; j++)
			if (span_equal(x->o.keys[i].name, c->key[j].name) && !span_equal(x->o.keys[i].value, c->key[j].value))
				return false;
	return true;
}

static bool event_asked_for(const struct explain *x, const struct detection_story *d, const struct event *e)
{
	const struct correlation *k = x->o.rule->correlation;

	for (size_t i = 0; d->keys && i < x->o.n_keys; i++)
		for (uint32_t j = 0; j < k->n_keys; j++) {
			if (!span_equal(x->o.keys[i].name, span_from_string(k->keys[j])))
				continue;
			const struct value *v = event_first(e, d->keys[j]);
			if (v && !span_equal(v->text, x->o.keys[i].value))
				return false; /* without the field: a regex of the rule may yet give it */
		}
	return true;
}

static void want(struct explain *x, const struct rule *r, const field_id *keys)
{
	const struct correlation *k = r->correlation;

	if (x->wanted[r->index])
		return;
	x->wanted[r->index] = true;
	if (!k) {
		ARRAY_GROW(x->detections, x->n_detections, x->cap_detections);
		x->detections[x->n_detections++] = (struct detection_story){ .rule = r, .keys = keys };
		return;
	}
	for (uint32_t i = 0; i < k->n_inputs; i++)
		want(x, &x->o.rules->rules[k->inputs[i].rule], r == x->o.rule ? k->inputs[i].keys : keys);
}

/* ---- the trace ---- */

static struct clause_row *row_of(struct detection_story *d, const struct clause *c)
{
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct clause *r = &d->rows[i].clause;
		if (r->node == c->node && r->inner == c->inner && r->excludes == c->excludes && (r->atom == c->atom || !c->excludes))
			return &d->rows[i];
	}
	if (d->n_rows == CLAUSE_ROWS)
		return NULL;
	ARRAY_GROW(d->rows, d->n_rows, d->cap_rows);
	d->rows[d->n_rows] = (struct clause_row){ .clause = *c };
	return &d->rows[d->n_rows++];
}

static void judge(void *context, struct matcher *m, struct event *e)
{
	struct explain *x = context;
	struct evidence v = evidence_of(e);

	for (size_t i = 0; i < x->n_detections; i++) {
		struct detection_story *d = &x->detections[i];
		struct clause failures[16];
		if (!rule_applies(d->rule, e->source))
			continue;
		d->judged = true;
		if (!event_asked_for(x, d, e))
			continue;
		d->looked_at++;
		size_t n = clause_failures(m, d->rule->expr, e, failures, 16);
		if (n == 0) {
			d->matched++;
			examples_add(&d->examples, &v);
			continue;
		}
		/* What is wanting comes first: only an event that has it all is *excluded*. */
		size_t first = 0;
		for (size_t j = 0; j < n && failures[first].excludes; j++)
			if (!failures[j].excludes)
				first = j;
		if (failures[first].excludes)
			d->excluded++;
		else
			d->unselected++;
		struct clause_row *row = row_of(d, &failures[first]);
		if (!row) {
			d->other_clauses++;
			continue;
		}
		row->count++;
		row->alone += n == 1;
		examples_add(&row->examples, &v);
	}
}

static void evaluation_set(struct evaluation *to, const struct trace_step *s)
{
	to->any = true;
	to->now_ns = s->now_ns;
	to->value = s->cell->value;
	to->holds = s->cell->holds;
	if (s->has_event)
		example_set(&to->event, &s->event);
}

static void opened(struct explain *x, const struct trace_step *s)
{
	if (x->n_openings == OPENINGS)
		return;
	struct opening *o = &x->openings[x->n_openings++];
	*o = (struct opening){ .id = xstrdup(s->cell->incident), .resolved_ns = TIME_NONE };
	cell_set(&o->cell, s->cell, s->now_ns);
	o->count = s->cell->count;
}

static struct opening *opening_of(struct explain *x, const char *id)
{
	for (size_t i = x->n_openings; i-- > 0;)
		if (!strcmp(x->openings[i].id, id))
			return &x->openings[i];
	return NULL;
}

static void matched(struct explain *x, const struct rule *r)
{
	x->stories[r->index].matched++;
}

static void step(void *context, const struct trace_step *s)
{
	struct explain *x = context;

	if (s->kind == TRACE_LATE) {
		x->late++;
		examples_add(&x->lates, &s->event);
		return;
	}
	struct rule_story *t = &x->stories[s->rule->index];
	bool is_target = s->rule == x->o.rule;
	if (s->cell && !key_asked_for(x, s->cell))
		return;
	near_step(x->near, s);
	switch (s->kind) {
	case TRACE_MATCHED:
		matched(x, s->rule);
		break;
	case TRACE_LATE:
		break;
	case TRACE_NO_KEY:
		t->no_key++;
		t->missing = s->field;
		if (s->has_event)
			examples_add(&t->no_keys, &s->event);
		break;
	case TRACE_NOT_USED:
		t->not_used++;
		if (s->has_event)
			examples_add(&t->not_useds, &s->event);
		break;
	case TRACE_EVALUATED:
		t->evaluated++;
		t->held += s->cell->holds;
		if (is_target && x->o.at_ns != TIME_NONE) {
			if (s->now_ns <= x->o.at_ns)
				evaluation_set(&x->before, s);
			else if (!x->after.any)
				evaluation_set(&x->after, s);
		}
		break;
	case TRACE_OPENED:
		t->opened++;
		if (is_target)
			opened(x, s);
		break;
	case TRACE_UPDATED:
	case TRACE_RESOLVED:
		if (is_target && s->cell->incident) {
			struct opening *o = opening_of(x, s->cell->incident);
			if (o) {
				o->count = s->cell->count;
				if (s->kind == TRACE_RESOLVED)
					o->resolved_ns = s->now_ns;
				else
					o->updates++;
			}
		}
		break;
	case TRACE_INHIBITED:
		t->inhibited++;
		t->inhibitor = s->other;
		if (s->has_event)
			examples_add(&t->inhibiteds, &s->event);
		break;
	case TRACE_GAP:
		t->gaps++;
		if (s->gap_ns > t->longest_gap_ns)
			t->longest_gap_ns = s->gap_ns;
		break;
	case TRACE_LEFT: t->left++; break;
	case TRACE_CUT: t->cut++; break;
	case TRACE_ARMED: t->armed++; break;
	case TRACE_MET: t->met++; break;
	case TRACE_FORBIDDEN: t->forbidden++; break;
	case TRACE_ABSENT: t->absent++; break;
	case TRACE_UNDETERMINED: t->undetermined++; break;
	case TRACE_RESET: t->resets++; break;
	case TRACE_EVICTED: t->evicted++; break;
	}
}

/* ---- the moment ---- */

struct inspection {
	struct explain *x;
	int64_t now_ns;
	const struct rule *rule;
};

static bool goes_before(const struct cell_copy *a, double distance, bool open)
{
	bool a_open = a->incident != NULL;
	if (a_open != open)
		return a_open;
	return a->distance <= distance;
}

static void inspect(void *context, const struct trace_cell *c)
{
	struct inspection *in = context;
	struct explain *x = in->x;

	if (!key_asked_for(x, c) || (c->rule->correlation && !c->n_entries && !c->n_inputs && !c->incident && c->last_ns == TIME_NONE))
		return;
	x->cells_total++;
	if (!x->o.rule) { /* one a rule */
		size_t i = 0;
		while (i < x->n_cells && x->cells[i].rule != c->rule)
			i++;
		if (i < x->n_cells && goes_before(&x->cells[i], distance_of(c), c->incident != NULL))
			return;
		if (i < x->n_cells)
			cell_release(&x->cells[i]);
		else
			x->n_cells++;
		cell_set(&x->cells[i], c, in->now_ns);
		return;
	}
	size_t at = x->n_cells;
	while (at > 0 && !goes_before(&x->cells[at - 1], distance_of(c), c->incident != NULL))
		at--;
	if (at == CELLS)
		return;
	if (x->n_cells == CELLS)
		cell_release(&x->cells[--x->n_cells]);
	memmove(&x->cells[at + 1], &x->cells[at], (x->n_cells - at) * sizeof *x->cells);
	cell_set(&x->cells[at], c, in->now_ns);
	x->n_cells++;
}

static void moment(void *context, struct engine *en)
{
	struct explain *x = context;
	struct inspection in = { .x = x, .now_ns = engine_now(en) };

	x->inspected_ns = in.now_ns;
	for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
		const struct rule *r = &x->o.rules->rules[i];
		if (x->o.rule ? r == x->o.rule : r->alerts)
			engine_inspect(en, r, inspect, &in);
	}
}

/* ---- life ---- */

struct explain *explain_new(const struct explain_options *o)
{
	struct explain *x = xcalloc(1, sizeof *x);
	size_t n = o->rules->n_rules ? o->rules->n_rules : 1;

	x->o = *o;
	x->stories = xcalloc(n, sizeof *x->stories);
	for (uint32_t i = 0; i < o->rules->n_rules; i++)
		x->stories[i] = (struct rule_story){ .rule = &o->rules->rules[i], .missing = FIELD_NONE };
	x->wanted = xcalloc(n, sizeof *x->wanted);
	x->near = near_new(o->rules, o->rule ? NEAR_MISSES : 1);
	x->cells = xcalloc(o->rule ? CELLS + 1 : n, sizeof *x->cells);
	x->inspected_ns = x->end_ns = TIME_NONE;
	if (o->rule)
		want(x, o->rule, NULL);
	x->trace = (struct engine_trace){ .wanted = o->rule ? x->wanted : NULL, .step = step, .judge = o->rule ? judge : NULL, .at_ns = o->at_ns,
					  .at = moment, .context = x };
	return x;
}

void explain_free(struct explain *x)
{
	if (!x)
		return;
	for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
		examples_release(&x->stories[i].no_keys);
		examples_release(&x->stories[i].not_useds);
		examples_release(&x->stories[i].inhibiteds);
	}
	for (size_t i = 0; i < x->n_detections; i++) {
		for (size_t j = 0; j < x->detections[i].n_rows; j++)
			examples_release(&x->detections[i].rows[j].examples);
		examples_release(&x->detections[i].examples);
		free(x->detections[i].rows);
	}
	for (size_t i = 0; i < x->n_openings; i++) {
		cell_release(&x->openings[i].cell);
		example_release(&x->openings[i].event);
		free(x->openings[i].id);
		free(x->openings[i].summary);
	}
	for (size_t i = 0; i < x->n_cells; i++)
		cell_release(&x->cells[i]);
	for (size_t i = 0; i < x->n_sources; i++) {
		free(x->sources[i].name);
		free(x->sources[i].source);
	}
	example_release(&x->before.event);
	example_release(&x->after.event);
	examples_release(&x->lates);
	near_free(x->near);
	free(x->sources);
	free(x->cells);
	free(x->detections);
	free(x->stories);
	free(x->wanted);
	free(x);
}

const struct engine_trace *explain_trace(const struct explain *x)
{
	return &x->trace;
}

void explain_change(void *context, const struct change *c)
{
	struct explain *x = context;
	struct opening *o = c->rule == x->o.rule ? opening_of(x, c->id) : NULL;

	if (!o)
		return;
	free(o->summary);
	o->summary = xmemdup(c->summary.ptr, c->summary.len);
	o->summary_len = c->summary.len;
	if (c->state == INCIDENT_OPEN && c->n_evidence)
		example_set(&o->event, &c->evidence[c->n_evidence - 1]);
}

/* How many events matched the detections below each correlation. */
static void sum_matches(struct explain *x)
{
	for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
		const struct correlation *k = x->o.rules->rules[i].correlation;
		for (uint32_t j = 0; k && j < k->n_inputs; j++)
			if (!k->inputs[j].negated)
				x->stories[i].matched += x->stories[k->inputs[j].rule].matched;
	}
}

/* What excludes first, and what did so most. */
static int compare_rows(const void *a, const void *b)
{
	const struct clause_row *x = a, *y = b;

	if (x->clause.excludes != y->clause.excludes)
		return x->clause.excludes ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->clause.node->line - y->clause.node->line;
}

void explain_finish(struct explain *x, const struct pipeline *p, int64_t lateness_ns)
{
	struct lane_stats s;

	x->end_ns = engine_now(pipeline_engine(p));
	x->lateness_ns = lateness_ns;
	near_finish(x->near, x->end_ns);
	sum_matches(x);
	for (size_t i = 0; i < x->n_detections; i++)
		if (x->detections[i].n_rows)
			qsort(x->detections[i].rows, x->detections[i].n_rows, sizeof *x->detections[i].rows, compare_rows);
	for (size_t i = 0; pipeline_lane_stats(p, i, &s); i++) {
		ARRAY_GROW(x->sources, x->n_sources, x->cap_sources);
		x->sources[x->n_sources++] = (struct source_story){ xstrdup(s.name), xstrdup(s.source), s.decoder->records, s.late, s.future,
								    s.first_ns, s.newest_ns };
	}
}
