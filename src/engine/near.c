/*
 * Near misses. For each key the nearest approach since the condition last held is remembered (a peak); when it gets worse again, or the
 * input ends, the peak is a near miss with what came in between as its reason. Peaks live in a table of fixed size: a key that meets another
 * in its slot ends the other's peak. Values and verdicts are those the engine told; only the distance to the bound is worked out here.
 */
#include "engine/near.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define PEAK_SLOTS 16384

struct peak {
	bool used;
	const struct rule *rule;
	uint64_t hash;
	struct near_miss miss;   /* text is made when it ends, but for temporal */
	int64_t oldest_ns;       /* first event of the window then; temporal: of the inputs seen */
	uint32_t oldest_input;   /* temporal: which input that was */
	uint64_t seen;           /* temporal: inputs, bits */
	int64_t snapshot_ns;
	int64_t pending_ns;      /* an absence that waits; TIME_NONE */
	uint32_t n_gaps;
	int64_t gaps_ns;
};

struct near_list {
	struct near_miss *items;
	size_t n;
};

struct near {
	const struct ruleset *rules;
	size_t best;
	struct near_list *lists; /* by rule */
	struct peak *peaks;
};

struct near *near_new(const struct ruleset *rs, size_t best)
{
	struct near *n = xcalloc(1, sizeof *n);

	n->rules = rs;
	n->best = best ? best : 1;
	n->lists = xcalloc(rs->n_rules ? rs->n_rules : 1, sizeof *n->lists);
	n->peaks = xcalloc(PEAK_SLOTS, sizeof *n->peaks);
	return n;
}

static void miss_release(struct near_miss *m)
{
	for (size_t i = 0; i < m->n_key; i++)
		free((char *)(uintptr_t)m->key[i].value.ptr);
	free((char *)(uintptr_t)m->text);
	free((char *)(uintptr_t)m->file);
	*m = (struct near_miss){ 0 };
}

void near_free(struct near *n)
{
	if (!n)
		return;
	for (uint32_t i = 0; i < n->rules->n_rules; i++) {
		for (size_t j = 0; j < n->lists[i].n; j++)
			miss_release(&n->lists[i].items[j]);
		free(n->lists[i].items);
	}
	for (size_t i = 0; i < PEAK_SLOTS; i++)
		miss_release(&n->peaks[i].miss);
	free(n->lists);
	free(n->peaks);
	free(n);
}

const struct near_miss *near_best(const struct near *n, const struct rule *r, size_t *ret_n)
{
	*ret_n = n->lists[r->index].n;
	return n->lists[r->index].items;
}

/* ---- words ---- */

static void append_number(struct buffer *out, double v)
{
	buffer_printf(out, "%.15g", v);
}

static void append_ordinal(struct buffer *out, uint64_t i)
{
	static const char *const words[] = { "next", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth" };
	const char *suffix = i % 100 / 10 == 1 ? "th" : i % 10 == 1 ? "st" : i % 10 == 2 ? "nd" : i % 10 == 3 ? "rd" : "th";

	if (i < sizeof words / sizeof *words)
		buffer_append_string(out, words[i]);
	else
		buffer_printf(out, "%" PRIu64 "%s", i, suffix);
}

void near_condition(struct buffer *out, const struct correlation *k)
{
	static const char *const symbols[] = { [BOUND_GT] = ">", [BOUND_GTE] = ">=", [BOUND_LT] = "<", [BOUND_LTE] = "<=", [BOUND_EQ] = "=", [BOUND_NEQ] = "!=" };
	unsigned wanted = 0;

	if (k->type == CORRELATION_SUSTAINED) {
		duration_format(out, k->timespan_ns);
		return;
	}
	if (k->presence) {
		buffer_append_string(out, k->condition_text);
		return;
	}
	for (uint32_t i = 0; i < k->n_bounds; i++) {
		buffer_printf(out, "%s%s ", i ? " and " : "", symbols[k->bounds[i].op]);
		append_number(out, k->bounds[i].value);
	}
	if (k->n_bounds)
		return;
	for (uint32_t i = 0; i < k->n_inputs; i++)
		wanted += !k->inputs[i].negated;
	buffer_printf(out, "all %u", wanted);
}

static bool is_temporal(const struct correlation *k)
{
	return k->type == CORRELATION_TEMPORAL || k->type == CORRELATION_TEMPORAL_ORDERED;
}

void near_verdict(struct buffer *out, const struct correlation *k, double value)
{
	unsigned wanted = 0;

	if (k->type == CORRELATION_SUSTAINED)
		duration_format(out, (int64_t)(value * NS_PER_SECOND));
	else
		append_number(out, value);
	buffer_append_string(out, " of ");
	for (uint32_t i = 0; i < k->n_inputs; i++)
		wanted += !k->inputs[i].negated;
	if (is_temporal(k) && !k->n_bounds)
		buffer_printf(out, "%u input%s", wanted, wanted == 1 ? "" : "s");
	else
		near_condition(out, k);
}

static bool is_count(const struct correlation *k)
{
	return k->type == CORRELATION_EVENT_COUNT || k->type == CORRELATION_VALUE_COUNT || k->type == CORRELATION_CONCURRENT || is_temporal(k);
}

/* How far a value is from the bounds, in parts of the bound: 0 where they hold. */
static double bounds_distance(const struct correlation *k, double value)
{
	double worst = 0;

	for (uint32_t i = 0; i < k->n_bounds; i++) {
		double b = k->bounds[i].value, away = 0;
		switch (k->bounds[i].op) {
		case BOUND_GT: away = (is_count(k) ? floor(b) + 1 : b) - value; break;
		case BOUND_GTE: away = b - value; break;
		case BOUND_LT: away = value - (is_count(k) ? ceil(b) - 1 : b); break;
		case BOUND_LTE: away = value - b; break;
		case BOUND_EQ: away = fabs(value - b); break;
		case BOUND_NEQ: away = value == b; break;
		}
		away /= fabs(b) > 1 ? fabs(b) : 1;
		if (away > worst)
			worst = away;
	}
	return worst < 1 ? worst : 1;
}

double near_distance(const struct correlation *k, double value)
{
	unsigned wanted = 0;

	if (k->type == CORRELATION_SUSTAINED) {
		double d = 1 - value * NS_PER_SECOND / (double)(k->timespan_ns ? k->timespan_ns : 1);
		return d > 0 ? d : 0;
	}
	if (k->n_bounds)
		return bounds_distance(k, value);
	for (uint32_t i = 0; i < k->n_inputs; i++)
		wanted += !k->inputs[i].negated;
	double d = ((double)wanted - value) / (wanted ? wanted : 1);
	return d > 0 ? d : 0;
}

/* ---- the lists ---- */

static void set_key(struct near_miss *m, const struct trace_cell *c)
{
	m->n_key = c->n_key < NEAR_KEYS_LIMIT ? c->n_key : NEAR_KEYS_LIMIT;
	for (size_t i = 0; i < m->n_key; i++)
		m->key[i] = (struct named_value){ c->key[i].name, span_of(xmemdup(c->key[i].value.ptr, c->key[i].value.len), c->key[i].value.len) };
}

static void set_place(struct near_miss *m, const struct trace_step *s)
{
	free((char *)(uintptr_t)m->file);
	m->file = s->has_event && *s->event.file ? xstrdup(s->event.file) : NULL;
	m->line = m->file ? s->event.line : 0;
}

static char *text_take(struct buffer *b)
{
	buffer_string(b);
	return b->data;
}

static bool same_miss(const struct near_miss *a, const struct near_miss *b)
{
	if (strcmp(a->text, b->text) || a->n_key != b->n_key)
		return false;
	for (size_t i = 0; i < a->n_key; i++)
		if (!span_equal(a->key[i].value, b->key[i].value))
			return false;
	return true;
}

static bool goes_before(const struct near_miss *a, const struct near_miss *b)
{
	if (a->distance != b->distance)
		return a->distance < b->distance;
	if (a->margin_ns != b->margin_ns)
		return a->margin_ns < b->margin_ns;
	return a->time_ns < b->time_ns;
}

/* Takes it over. */
static void record(struct near *n, struct near_miss *m)
{
	struct near_list *l = &n->lists[m->rule->index];

	m->times = 1;
	for (size_t i = 0; i < l->n; i++)
		if (same_miss(&l->items[i], m)) {
			l->items[i].times++;
			miss_release(m);
			return;
		}
	if (!l->items)
		l->items = xcalloc(n->best + 1, sizeof *l->items);
	size_t at = l->n;
	while (at > 0 && goes_before(m, &l->items[at - 1]))
		at--;
	memmove(&l->items[at + 1], &l->items[at], (l->n - at) * sizeof *l->items);
	l->items[at] = *m;
	*m = (struct near_miss){ 0 };
	if (++l->n > n->best)
		miss_release(&l->items[--l->n]);
}

static void record_now(struct near *n, const struct trace_step *s, double distance, int64_t margin_ns, struct buffer *text)
{
	struct near_miss m = { .rule = s->rule, .time_ns = s->now_ns, .distance = distance, .margin_ns = margin_ns, .text = text_take(text) };

	if (s->cell) {
		m.value = s->cell->value;
		set_key(&m, s->cell);
	}
	set_place(&m, s);
	record(n, &m);
}

/* ---- peaks ---- */

static uint64_t hash_of(const struct trace_cell *c)
{
	uint64_t h = c->rule->index;

	for (size_t i = 0; i < c->n_key; i++)
		h = hash_bytes(c->key[i].value.ptr, c->key[i].value.len, h + 1);
	return h;
}

static void peak_clear(struct peak *p)
{
	miss_release(&p->miss);
	*p = (struct peak){ .rule = p->rule, .hash = p->hash, .pending_ns = TIME_NONE };
}

/* "5 of > 5" */
static void append_state(struct buffer *out, const struct peak *p)
{
	near_verdict(out, p->rule->correlation, p->miss.value);
}

/* It did not get nearer. s: the step that ended it; NULL: the end of the input at end_ns, or no longer followed. */
static void peak_end(struct near *n, struct peak *p, const struct trace_step *s, int64_t end_ns)
{
	const struct correlation *k = p->rule->correlation;
	struct buffer b = BUFFER_INIT;

	if (p->pending_ns != TIME_NONE) {
		buffer_append_string(&b, "it waits: the input ends ");
		duration_format(&b, p->pending_ns - end_ns);
		buffer_append_string(&b, " before the deadline");
		p->miss.margin_ns = p->pending_ns - end_ns;
		p->miss.distance = fmin(1, (double)p->miss.margin_ns / (double)(k->timespan_ns ? k->timespan_ns : 1));
	} else if (p->miss.text) {
		buffer_append_string(&b, p->miss.text);
	} else {
		append_state(&b, p);
		if (k->type == CORRELATION_SUSTAINED) {
			if (s && s->has_event)
				buffer_append_string(&b, "; then it did not hold any more");
			else if (s)
				buffer_append_string(&b, "; then it was missing from a complete snapshot");
			else
				buffer_append_string(&b, "; nothing more was seen of it");
			if (p->n_gaps) {
				buffer_printf(&b, "; %" PRIu32 " gap%s of ", p->n_gaps, p->n_gaps == 1 ? "" : "s");
				duration_format(&b, p->gaps_ns);
				buffer_append_string(&b, p->n_gaps == 1 ? " does not count" : " in all do not count");
			}
		} else if (k->type == CORRELATION_CONCURRENT) {
			buffer_append_string(&b, " in one snapshot");
		} else if (s && p->oldest_ns != TIME_NONE && p->oldest_ns + k->timespan_ns <= s->now_ns) {
			p->miss.margin_ns = s->now_ns - (p->oldest_ns + k->timespan_ns);
			buffer_append_string(&b, "; the ");
			append_ordinal(&b, k->type == CORRELATION_EVENT_COUNT ? (uint64_t)p->miss.value + 1 : 0);
			buffer_append_string(&b, " came ");
			duration_format(&b, p->miss.margin_ns);
			buffer_append_string(&b, " after the first had left");
			if (p->miss.margin_ns == 0) { /* exactly W old is out */
				buffer_clear(&b);
				append_state(&b, p);
				buffer_append_string(&b, "; the ");
				append_ordinal(&b, k->type == CORRELATION_EVENT_COUNT ? (uint64_t)p->miss.value + 1 : 0);
				buffer_append_string(&b, " came in the instant in which the first left");
			}
		} else if (s) {
			buffer_append_string(&b, "; then it fell to ");
			append_number(&b, s->cell ? s->cell->value : 0);
		} else if (p->oldest_ns != TIME_NONE && end_ns != TIME_NONE && p->oldest_ns + k->timespan_ns <= end_ns) {
			buffer_append_string(&b, "; no other came before the first had left");
		} else {
			buffer_append_string(&b, "; no other came");
		}
	}
	free((char *)(uintptr_t)p->miss.text);
	p->miss.text = text_take(&b);
	record(n, &p->miss);
	peak_clear(p);
}

static struct peak *peak_of(struct near *n, const struct trace_step *s)
{
	uint64_t h = hash_of(s->cell);
	struct peak *p = &n->peaks[h % PEAK_SLOTS];

	if (p->used && (p->hash != h || p->rule != s->rule))
		peak_end(n, p, NULL, s->now_ns);
	if (!p->used && (p->hash != h || p->rule != s->rule)) {
		peak_clear(p);
		p->rule = s->rule;
		p->hash = h;
	}
	return p;
}

static void peak_set(struct peak *p, const struct trace_step *s, double distance)
{
	uint32_t n_gaps = p->n_gaps;
	int64_t gaps_ns = p->gaps_ns;
	struct trace_entry first;

	miss_release(&p->miss);
	p->used = true;
	p->miss.rule = s->rule;
	p->miss.time_ns = s->now_ns;
	p->miss.value = s->cell->value;
	p->miss.distance = distance;
	p->miss.margin_ns = INT64_MAX;
	set_key(&p->miss, s->cell);
	set_place(&p->miss, s);
	p->n_gaps = n_gaps;
	p->gaps_ns = gaps_ns;
	p->snapshot_ns = s->cell->last_ns;
	p->oldest_ns = TIME_NONE;
	if (s->cell->n_entries) {
		trace_entry(s->cell, 0, &first);
		p->oldest_ns = first.time_ns;
	}
}

/* What a temporal correlation lacks; returns by how much time it was missed. */
static int64_t temporal_text(const struct trace_step *s, struct buffer *out)
{
	const struct correlation *k = s->rule->correlation;
	const struct trace_cell *c = s->cell;
	int64_t margin = 0;
	bool any = false;

	near_verdict(out, k, c->value);
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		const struct trace_input *in = &c->inputs[i];
		if (in->negated || in->seen)
			continue;
		buffer_printf(out, "%s%s", any ? ", " : "; wanting: ", in->rule->name);
		any = true;
		if (in->time_ns == TIME_NONE) {
			margin = INT64_MAX;
		} else if (in->time_ns <= c->from_ns) {
			int64_t by = c->from_ns - in->time_ns;
			buffer_append_string(out, " (it had left ");
			duration_format(out, by);
			buffer_append_string(out, " before)");
			if (by > margin)
				margin = by;
		} else {
			buffer_append_string(out, " (it came, but not in this order)");
		}
	}
	return margin;
}

/* An input that was wanting at the peak has come, when what was there then had left: that is how near it was. */
static void came_too_late(struct peak *p, const struct trace_step *s)
{
	const struct correlation *k = s->rule->correlation;
	struct buffer b = BUFFER_INIT;

	for (uint32_t i = 0; i < k->n_inputs; i++) {
		if (s->cell->inputs[i].rule != s->input || p->seen >> i & 1)
			continue;
		if (p->oldest_ns == TIME_NONE || p->oldest_ns > s->cell->from_ns)
			return;
		p->miss.margin_ns = s->cell->from_ns - p->oldest_ns;
		near_verdict(&b, k, p->miss.value);
		buffer_printf(&b, "; %s came ", s->input->name);
		if (p->miss.margin_ns) {
			duration_format(&b, p->miss.margin_ns);
			buffer_printf(&b, " after %s had left", s->cell->inputs[p->oldest_input].rule->name);
		} else {
			buffer_printf(&b, "in the instant in which %s left", s->cell->inputs[p->oldest_input].rule->name);
		}
		free((char *)(uintptr_t)p->miss.text);
		p->miss.text = text_take(&b);
		return;
	}
}

static void evaluated(struct near *n, const struct trace_step *s)
{
	const struct correlation *k = s->rule->correlation;
	const struct trace_cell *c = s->cell;
	struct peak *p = peak_of(n, s);
	double distance;

	if (p->pending_ns != TIME_NONE)
		return; /* it waits already */
	if (c->holds || c->incident) {
		peak_clear(p);
		return;
	}
	if (is_temporal(k)) {
		struct buffer b = BUFFER_INIT;
		distance = near_distance(k, c->value);
		if (distance < 0.01)
			distance = 0.01; /* all are there, and it does not hold: not in this order */
		if (p->used && distance >= p->miss.distance) {
			came_too_late(p, s);
			peak_end(n, p, s, s->now_ns);
		}
		p = peak_of(n, s);
		if (c->value == 0)
			return; /* nothing of it */
		peak_set(p, s, distance);
		p->seen = 0;
		for (uint32_t i = 0; i < c->n_inputs; i++)
			if (c->inputs[i].seen && !c->inputs[i].negated) {
				p->seen |= UINT64_C(1) << i;
				if (p->oldest_ns == TIME_NONE || c->inputs[i].time_ns < p->oldest_ns) {
					p->oldest_ns = c->inputs[i].time_ns;
					p->oldest_input = i;
				}
			}
		p->miss.margin_ns = temporal_text(s, &b);
		p->miss.text = text_take(&b);
		return;
	}
	if (k->type == CORRELATION_SUSTAINED) {
		peak_set(p, s, near_distance(k, c->value));
		p->miss.margin_ns = k->timespan_ns - (int64_t)(c->value * NS_PER_SECOND);
		return;
	}
	distance = near_distance(k, c->value);
	if (p->used) {
		bool gone = k->type == CORRELATION_CONCURRENT ? p->snapshot_ns != c->last_ns : p->oldest_ns <= c->from_ns;
		if (distance > p->miss.distance || (gone && distance == p->miss.distance)) {
			peak_end(n, p, s, s->now_ns);
			p = peak_of(n, s);
		} else if (!gone && distance == p->miss.distance) {
			return; /* nothing new: the first time counts */
		}
	}
	peak_set(p, s, distance);
}

void near_step(struct near *n, const struct trace_step *s)
{
	const struct correlation *k = s->rule ? s->rule->correlation : NULL;
	struct buffer b = BUFFER_INIT;
	struct peak *p;
	int64_t margin;

	switch (s->kind) {
	case TRACE_EVALUATED:
		evaluated(n, s);
		break;
	case TRACE_NO_KEY:
		buffer_append_string(&b, "an event that it is about has no ");
		buffer_append_span(&b, s->field == FIELD_NONE ? SPAN("such number") : field_name(&n->rules->fields, s->field));
		record_now(n, s, 0.5, INT64_MAX, &b);
		break;
	case TRACE_NOT_USED:
		buffer_append_string(&b, "an event came too late to be used");
		record_now(n, s, 0.5, INT64_MAX, &b);
		break;
	case TRACE_ARMED:
		p = peak_of(n, s);
		peak_set(p, s, 1);
		p->pending_ns = s->cell->pending_ns;
		break;
	case TRACE_MET:
		peak_clear(peak_of(n, s));
		margin = s->cell->pending_ns - s->event.time_ns;
		buffer_append_string(&b, "what it waits for came, ");
		duration_format(&b, margin);
		buffer_append_string(&b, " before the deadline");
		record_now(n, s, fmin(1, (double)margin / (double)(k->timespan_ns ? k->timespan_ns : 1)), margin, &b);
		break;
	case TRACE_FORBIDDEN:
		margin = INT64_MAX;
		for (uint32_t i = 0; i < s->cell->n_inputs; i++) {
			const struct trace_input *in = &s->cell->inputs[i];
			if (!in->negated || !in->seen)
				continue;
			buffer_printf(&b, "%s%s had come ", b.len ? ", " : "", in->rule->name);
			duration_format(&b, s->now_ns - in->time_ns);
			buffer_append_string(&b, " before");
			if (in->time_ns - s->cell->from_ns < margin)
				margin = in->time_ns - s->cell->from_ns;
		}
		record_now(n, s, margin == INT64_MAX ? 0.5 : fmin(1, (double)margin / (double)(k->timespan_ns ? k->timespan_ns : 1)), margin, &b);
		break;
	case TRACE_UNDETERMINED:
		peak_clear(peak_of(n, s));
		buffer_append_string(&b, "undetermined: the log in which it looks for what is missing is not there, or says nothing yet");
		record_now(n, s, 0, INT64_MAX, &b);
		break;
	case TRACE_ABSENT:
		peak_clear(peak_of(n, s));
		break;
	case TRACE_GAP:
		p = peak_of(n, s);
		p->n_gaps++;
		p->gaps_ns += s->gap_ns;
		break;
	case TRACE_RESET:
		p = peak_of(n, s);
		if (p->used && k->type == CORRELATION_SUSTAINED)
			peak_end(n, p, s, s->now_ns);
		else if (k->type == CORRELATION_SUSTAINED)
			peak_clear(p);
		break;
	case TRACE_INHIBITED:
		buffer_printf(&b, "its condition holds, but an incident of %s is open", s->other->name);
		record_now(n, s, 0, 0, &b);
		break;
	case TRACE_MATCHED:
	case TRACE_LATE:
	case TRACE_LEFT:
	case TRACE_CUT:
	case TRACE_OPENED:
	case TRACE_UPDATED:
	case TRACE_RESOLVED:
	case TRACE_EVICTED:
		break;
	}
}

void near_finish(struct near *n, int64_t end_ns)
{
	for (size_t i = 0; i < PEAK_SLOTS; i++)
		if (n->peaks[i].used)
			peak_end(n, &n->peaks[i], NULL, end_ns);
}
