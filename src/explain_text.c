/*
 * What was gathered, as text for people: it leaves out what there is none of. Whatever a log held is made visible (quote_terminal), and cut.
 */
#include "explain.h"

#include "base/quote.h"
#include "emit/emitter.h"

#include <inttypes.h>

#define TEXT_COLUMNS 100 /* bytes shown of a record */

struct printer {
	const struct explain *x;
	const struct explain_style *style;
	struct buffer *out;
};

/* ---- words ---- */

static void say_span(struct printer *p, struct span s, size_t limit)
{
	quote_terminal_cut(p->out, s, limit);
}

static void say_string(struct printer *p, const char *s)
{
	quote_terminal(p->out, span_from_string(s));
}

static void say_time(struct printer *p, int64_t t)
{
	if (t == TIME_NONE)
		buffer_append_string(p->out, "-");
	else
		time_format_local(p->out, t, p->style->zone);
}

static void say_head(struct printer *p, const char *text)
{
	buffer_printf(p->out, "\n%s%s%s\n", p->style->colour ? "\033[1m" : "", text, p->style->colour ? "\033[0m" : "");
}

static const char *s_of(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void say_example(struct printer *p, const struct example *e, const char *indent)
{
	buffer_append_string(p->out, indent);
	say_time(p, e->time_ns);
	if (e->file && *e->file) {
		buffer_append_string(p->out, "  ");
		say_string(p, e->file);
		buffer_printf(p->out, ":%" PRIu64 ": ", e->line);
		say_span(p, span_of(e->text, e->text_len), TEXT_COLUMNS);
	} else if (e->text_len) {
		buffer_append_string(p->out, "  ");
		say_span(p, span_of(e->text, e->text_len), TEXT_COLUMNS);
	}
	buffer_append_char(p->out, '\n');
}

static void say_examples(struct printer *p, const struct examples *list, const char *indent)
{
	for (uint64_t i = list->total > EXAMPLES ? list->total - EXAMPLES : 0; i < list->total; i++)
		say_example(p, &list->items[i % EXAMPLES], indent);
	if (list->total > EXAMPLES)
		buffer_printf(p->out, "%sand %" PRIu64 " before\n", indent, list->total - EXAMPLES);
}

static void say_key(struct printer *p, const struct named_value *key, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i)
			buffer_append_string(p->out, ", ");
		say_span(p, key[i].name, 40);
		buffer_append_char(p->out, '=');
		say_span(p, key[i].value, 80);
	}
}

static const char *service_of(const struct rule *r)
{
	return r->logsource.service ? r->logsource.service : r->logsource.product ? r->logsource.product : "any log";
}

/* One line that says what a correlation relates. */
static void say_plan(struct printer *p, const struct rule *r)
{
	const struct correlation *k = r->correlation;
	const struct ruleset *rs = p->x->o.rules;

	if (!k) {
		buffer_printf(p->out, "  each %s event that matches\n", service_of(r));
		return;
	}
	buffer_printf(p->out, "  %s", correlation_type_name(k->type));
	if (k->n_value_fields) {
		buffer_append_string(p->out, " of ");
		for (uint32_t i = 0; i < k->n_value_fields; i++) {
			if (i)
				buffer_append_char(p->out, '+');
			say_span(p, field_name(&rs->fields, k->value_fields[i]), 40);
		}
		buffer_append_string(p->out, " in");
	} else {
		buffer_append_string(p->out, " of");
	}
	for (uint32_t i = 0; i < k->n_inputs; i++)
		buffer_printf(p->out, "%s %s", i ? "," : "", rs->rules[k->inputs[i].rule].name);
	buffer_append_string(p->out, k->n_keys ? ", by " : ", all together");
	for (uint32_t i = 0; i < k->n_keys; i++)
		buffer_printf(p->out, "%s%s", i ? ", " : "", k->keys[i]);
	if (k->type == CORRELATION_CONCURRENT) {
		buffer_append_string(p->out, ", in one snapshot: ");
	} else if (k->type == CORRELATION_SUSTAINED) {
		buffer_append_string(p->out, ", gaps up to ");
		duration_format(p->out, k->max_gap_ns);
		buffer_append_string(p->out, ", for ");
	} else {
		buffer_append_string(p->out, ", within ");
		duration_format(p->out, k->timespan_ns);
		buffer_append_string(p->out, ": ");
	}
	near_condition(p->out, k);
	buffer_append_char(p->out, '\n');
}

static void say_rule_line(struct printer *p, const struct rule *r)
{
	buffer_printf(p->out, "%s%s%s  %s%s%s  ", p->style->colour ? "\033[1m" : "", r->name, p->style->colour ? "\033[0m" : "",
	    p->style->colour ? level_colour(r->level) : "", level_name(r->level), p->style->colour ? "\033[0m" : "");
	say_string(p, r->title);
	buffer_append_string(p->out, "  (");
	say_string(p, r->file);
	buffer_printf(p->out, ":%d)\n", r->line);
}

/* ---- one moment, one key ---- */

static void say_entries(struct printer *p, const struct cell_copy *c, const char *indent)
{
	if (c->n_entries > c->n_shown)
		buffer_printf(p->out, "%s%" PRIu32 " before\n", indent, c->n_entries - c->n_shown);
	for (uint32_t i = 0; i < c->n_shown; i++)
		say_example(p, &c->entries[i], indent);
}

static void say_inputs(struct printer *p, const struct cell_copy *c, const char *indent)
{
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		const struct cell_input *in = &c->inputs[i];
		if (in->negated && in->time_ns == TIME_NONE)
			continue;
		buffer_printf(p->out, "%s%s%s: ", indent, in->negated ? "not " : "", in->rule->name);
		if (in->time_ns == TIME_NONE) {
			buffer_append_string(p->out, "never\n");
			continue;
		}
		say_time(p, in->time_ns);
		if (!in->seen)
			buffer_append_string(p->out, in->time_ns <= c->from_ns ? ", which is out of the window" : ", which does not count in this order");
		if (in->example.file && *in->example.file) {
			buffer_append_string(p->out, "  ");
			say_string(p, in->example.file);
			buffer_printf(p->out, ":%" PRIu64, in->example.line);
		}
		buffer_append_char(p->out, '\n');
	}
}

static void say_cell(struct printer *p, const struct cell_copy *c)
{
	const struct correlation *k = c->rule->correlation;

	buffer_append_string(p->out, "  ");
	if (c->n_key) {
		say_key(p, c->key, c->n_key);
		buffer_append_string(p->out, ": ");
	}
	if (k) {
		near_verdict(p->out, k, c->value);
		if (k->has_negation)
			buffer_append_string(p->out, c->pending_ns != TIME_NONE ? ", it waits" : "");
		else
			buffer_append_string(p->out, c->holds ? ", it holds" : ", it does not hold");
	} else {
		buffer_append_string(p->out, c->incident ? "an incident is open" : "no incident is open");
	}
	buffer_append_char(p->out, '\n');
	if (c->from_ns != TIME_NONE && k) {
		buffer_append_string(p->out, "    window (");
		say_time(p, c->from_ns);
		buffer_append_string(p->out, ", ");
		say_time(p, c->now_ns);
		buffer_append_char(p->out, ']');
		if (!c->n_inputs)
			buffer_printf(p->out, ": %" PRIu32 " event%s", c->n_entries, s_of(c->n_entries));
		buffer_append_char(p->out, '\n');
	} else if (k && k->type == CORRELATION_CONCURRENT) {
		buffer_append_string(p->out, "    snapshot of ");
		say_time(p, c->last_ns);
		buffer_printf(p->out, ": %" PRIu32 " row%s\n", c->n_entries, s_of(c->n_entries));
	} else if (k && k->type == CORRELATION_SUSTAINED) {
		if (c->last_ns == TIME_NONE) {
			buffer_append_string(p->out, "    it does not hold now\n");
		} else {
			buffer_append_string(p->out, "    last seen to hold at ");
			say_time(p, c->last_ns);
			buffer_append_char(p->out, '\n');
		}
	}
	say_entries(p, c, "      ");
	say_inputs(p, c, "      ");
	if (c->pending_ns != TIME_NONE) {
		buffer_append_string(p->out, "    waits until ");
		say_time(p, c->pending_ns);
		if (c->trigger.file && *c->trigger.file) {
			buffer_append_string(p->out, ", since ");
			say_string(p, c->trigger.file);
			buffer_printf(p->out, ":%" PRIu64, c->trigger.line);
		}
		buffer_append_char(p->out, '\n');
	}
	if (c->incident) {
		buffer_printf(p->out, "    incident %s open since ", c->incident);
		say_time(p, c->opened_ns);
		buffer_printf(p->out, ", %" PRIu64 " event%s", c->count, s_of(c->count));
		if (c->resolve_ns != INT64_MAX) {
			buffer_append_string(p->out, "; resolves at ");
			say_time(p, c->resolve_ns);
			buffer_append_string(p->out, " unless it goes on");
		}
		buffer_append_char(p->out, '\n');
	}
}

static void say_evaluation(struct printer *p, const struct evaluation *e, const char *what)
{
	const struct correlation *k = p->x->o.rule->correlation;

	if (!e->any)
		return;
	buffer_printf(p->out, "  %s: ", what);
	say_time(p, e->now_ns);
	buffer_append_string(p->out, ", ");
	near_verdict(p->out, k, e->value);
	buffer_append_string(p->out, e->holds ? ", it holds" : ", it does not hold");
	if (e->event.file && *e->event.file) {
		buffer_append_string(p->out, "  (");
		say_string(p, e->event.file);
		buffer_printf(p->out, ":%" PRIu64 ")", e->event.line);
	}
	buffer_append_char(p->out, '\n');
}

static void say_moment(struct printer *p)
{
	const struct explain *x = p->x;

	buffer_append_char(p->out, '\n');
	if (p->style->colour)
		buffer_append_string(p->out, "\033[1m");
	buffer_append_string(p->out, x->o.at_ns == TIME_NONE ? "At the end, " : "At ");
	say_time(p, x->o.at_ns == TIME_NONE ? x->inspected_ns : x->o.at_ns);
	buffer_append_string(p->out, p->style->colour ? "\033[0m\n" : "\n");
	if (x->o.at_ns != TIME_NONE && x->inspected_ns < x->o.at_ns) {
		buffer_append_string(p->out, "  the input ends before, at ");
		say_time(p, x->inspected_ns);
		buffer_append_string(p->out, " (--until TIME lets time run on)\n");
	}
	if (!x->n_cells)
		buffer_append_string(p->out, x->o.n_keys ? "  nothing is known of this key\n" : "  nothing is in its window, nothing is open\n");
	for (size_t i = 0; i < x->n_cells; i++)
		say_cell(p, &x->cells[i]);
	if (x->cells_total > x->n_cells)
		buffer_printf(p->out, "  and %" PRIu64 " more keys (--key NAME=VALUE picks one)\n", x->cells_total - x->n_cells);
	if (x->o.rule->correlation && x->o.at_ns != TIME_NONE) {
		say_evaluation(p, &x->before, "last evaluated");
		say_evaluation(p, &x->after, "next evaluated");
	}
}

/* ---- detections ---- */

static void say_clause(struct printer *p, const struct clause *c)
{
	const struct expr *place = c->atom ? c->atom : c->inner ? c->inner : c->node;

	if (c->excludes && c->inner) {
		buffer_append_string(p->out, "excluded by filter \"");
		say_string(p, c->node->selection);
		buffer_append_string(p->out, "\", ");
		say_string(p, c->inner->selection);
	} else if (c->excludes) {
		buffer_append_string(p->out, "excluded by ");
		say_string(p, c->node->selection ? c->node->selection : "its condition");
	} else {
		buffer_append_string(p->out, "not ");
		say_string(p, c->node->selection ? c->node->selection : "as its condition wants");
	}
	if (c->atom && c->excludes) {
		struct buffer text = BUFFER_INIT;
		clause_atom_text(p->x->o.rules, c->atom, &text);
		buffer_append_string(p->out, ": ");
		say_span(p, buffer_span(&text), 80);
		buffer_release(&text);
	}
	if (!c->excludes)
		place = c->node;
	if (place->file) {
		buffer_append_string(p->out, "  (");
		say_string(p, place->file);
		buffer_printf(p->out, ":%d)", place->line);
	}
}

static void say_detection(struct printer *p, const struct detection_story *d)
{
	buffer_printf(p->out, "  %s  ", d->rule->name);
	say_string(p, d->rule->title);
	buffer_append_string(p->out, "  (");
	say_string(p, d->rule->file);
	buffer_printf(p->out, ":%d)\n", d->rule->line);
	if (!d->judged && d->rule->about_incidents) {
		buffer_append_string(p->out, "    no incident came before it\n");
		return;
	}
	if (!d->judged) {
		buffer_printf(p->out, "    no log that it looks at (%s) is among the inputs, or they are empty\n", service_of(d->rule));
		return;
	}
	buffer_printf(p->out, "    %8" PRIu64 " event%s looked at\n", d->looked_at, s_of(d->looked_at));
	buffer_printf(p->out, "    %8" PRIu64 " matched\n", d->matched);
	if (p->x->o.at_ns == TIME_NONE)
		say_examples(p, &d->examples, "               ");
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct clause_row *r = &d->rows[i];
		buffer_printf(p->out, "    %8" PRIu64 " ", r->count);
		say_clause(p, &r->clause);
		if (!r->clause.excludes && r->alone && r->alone < r->count)
			buffer_printf(p->out, ", %" PRIu64 " by this alone", r->alone);
		buffer_append_char(p->out, '\n');
		if (r->clause.excludes)
			say_examples(p, &r->examples, "               ");
	}
	if (d->other_clauses)
		buffer_printf(p->out, "    %8" PRIu64 " for other reasons\n", d->other_clauses);
}

/* ---- the rule ---- */

static void say_opening(struct printer *p, const struct opening *o)
{
	const struct correlation *k = o->cell.rule->correlation;

	buffer_append_string(p->out, "  ");
	say_time(p, o->cell.opened_ns);
	buffer_printf(p->out, "  %s  ", o->id);
	say_key(p, o->cell.key, o->cell.n_key);
	if (k) {
		buffer_append_string(p->out, o->cell.n_key ? ": " : "");
		near_verdict(p->out, k, o->cell.value);
	}
	buffer_append_char(p->out, '\n');
	if (o->event.file && *o->event.file)
		say_example(p, &o->event, "      by ");
	buffer_append_string(p->out, "      ");
	if (o->resolved_ns == TIME_NONE) {
		buffer_append_string(p->out, "still open at the end");
	} else {
		buffer_append_string(p->out, "resolved ");
		say_time(p, o->resolved_ns);
	}
	buffer_printf(p->out, ", %" PRIu64 " event%s, %" PRIu64 " update%s\n", o->count, s_of(o->count), o->updates, s_of(o->updates));
}

static void say_near(struct printer *p, const struct near_miss *m)
{
	buffer_append_string(p->out, "  ");
	say_time(p, m->time_ns);
	buffer_append_string(p->out, "  ");
	if (m->n_key) {
		say_key(p, m->key, m->n_key);
		buffer_append_string(p->out, ": ");
	}
	buffer_append_string(p->out, m->text);
	if (m->times > 1)
		buffer_printf(p->out, " (%" PRIu64 " times)", m->times);
	if (m->file) {
		buffer_append_string(p->out, "  (");
		say_string(p, m->file);
		buffer_printf(p->out, ":%" PRIu64 ")", m->line);
	}
	buffer_append_char(p->out, '\n');
}

static void say_count(struct printer *p, uint64_t n, const char *what)
{
	if (n)
		buffer_printf(p->out, "  %" PRIu64 " %s\n", n, what);
}

static bool has_doubts(const struct explain *x, const struct rule_story *t)
{
	return t->no_key || t->not_used || t->inhibited || t->cut || t->armed || t->undetermined || t->gaps || t->evicted || t->forbidden || x->late;
}

static void say_story(struct printer *p, const struct rule_story *t)
{
	const struct explain *x = p->x;

	if (!has_doubts(x, t))
		return;
	say_head(p, "What else happened");
	if (t->no_key) {
		buffer_printf(p->out, "  %" PRIu64 " event%s skipped: no ", t->no_key, s_of(t->no_key));
		say_span(p, t->missing == FIELD_NONE ? SPAN("number to compute with") : field_name(&x->o.rules->fields, t->missing), 40);
		buffer_append_string(p->out, ", which the rule needs\n");
		say_examples(p, &t->no_keys, "      ");
	}
	if (t->inhibited) {
		buffer_printf(p->out, "  %" PRIu64 " time%s the condition held, but an incident of %s was open (inhibited-by)\n", t->inhibited, s_of(t->inhibited),
		    t->inhibitor->name);
		say_examples(p, &t->inhibiteds, "      ");
	}
	if (t->armed || t->met || t->absent || t->undetermined || t->forbidden)
		buffer_printf(p->out, "  waited %" PRIu64 " time%s: %" PRIu64 " ended by what it waited for, %" PRIu64 " by the deadline, %" PRIu64
		    " undetermined; %" PRIu64 " forbidden by what came before\n",
		    t->armed, s_of(t->armed), t->met, t->absent, t->undetermined, t->forbidden);
	if (t->gaps) {
		buffer_printf(p->out, "  %" PRIu64 " gap%s longer than max-gap, which neither count nor reset; the longest ", t->gaps, s_of(t->gaps));
		duration_format(p->out, t->longest_gap_ns);
		buffer_append_char(p->out, '\n');
	}
	if (t->not_used) {
		buffer_printf(p->out, "  %" PRIu64 " event%s came too late to be used\n", t->not_used, s_of(t->not_used));
		say_examples(p, &t->not_useds, "      ");
	}
	if (x->late) {
		buffer_printf(p->out, "  %" PRIu64 " event%s came later than --lateness allows\n", x->late, s_of(x->late));
		say_examples(p, &x->lates, "      ");
	}
	say_count(p, t->cut, "events were dropped from full windows");
	say_count(p, t->evicted, "keys were forgotten at the limit (--max-keys)");
}

/* Correlations between the rule and its detections: a line each. */
static void say_between(struct printer *p)
{
	const struct explain *x = p->x;

	for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
		const struct rule_story *t = &x->stories[i];
		size_t n;
		if (!x->wanted[i] || t->rule == x->o.rule || !t->rule->correlation)
			continue;
		const struct near_miss *m = near_best(x->near, t->rule, &n);
		buffer_printf(p->out, "  %s  ", t->rule->name);
		say_string(p, t->rule->title);
		buffer_append_string(p->out, "  (");
		say_string(p, t->rule->file);
		buffer_printf(p->out, ":%d)\n  ", t->rule->line);
		say_plan(p, t->rule);
		buffer_printf(p->out, "    %8" PRIu64 " evaluation%s\n    %8" PRIu64 " held\n", t->evaluated, s_of(t->evaluated), t->held);
		if (t->no_key) {
			buffer_printf(p->out, "    %8" PRIu64 " skipped: no ", t->no_key);
			say_span(p, t->missing == FIELD_NONE ? SPAN("number") : field_name(&x->o.rules->fields, t->missing), 40);
			buffer_append_char(p->out, '\n');
		}
		if (n) {
			buffer_append_string(p->out, "    nearest:");
			say_near(p, &m[0]);
		}
	}
}

static void say_sources(struct printer *p)
{
	const struct explain *x = p->x;

	if (x->n_sources)
		say_head(p, "Logs");
	for (size_t i = 0; i < x->n_sources; i++) {
		const struct source_story *s = &x->sources[i];
		buffer_append_string(p->out, "  ");
		say_string(p, s->name);
		buffer_printf(p->out, " (%s): %" PRIu64 " record%s", s->source, s->records, s_of(s->records));
		if (s->newest_ns != TIME_NONE) {
			buffer_append_string(p->out, ", ");
			say_time(p, s->first_ns);
			buffer_append_string(p->out, " to ");
			say_time(p, s->newest_ns);
			buffer_append_string(p->out, ", watermark ");
			say_time(p, s->newest_ns - x->lateness_ns);
		}
		if (s->late)
			buffer_printf(p->out, ", %" PRIu64 " late", s->late);
		if (s->future)
			buffer_printf(p->out, ", %" PRIu64 " from the future", s->future);
		if (x->o.at_ns != TIME_NONE && s->newest_ns != TIME_NONE && (x->o.at_ns < s->first_ns || x->o.at_ns > s->newest_ns))
			buffer_append_string(p->out, ": says nothing of the time asked for");
		buffer_append_char(p->out, '\n');
	}
}

static void text_of_rule(struct printer *p)
{
	const struct explain *x = p->x;
	const struct rule *r = x->o.rule;
	const struct rule_story *t = &x->stories[r->index];
	size_t n;
	const struct near_miss *m = near_best(x->near, r, &n);

	say_rule_line(p, r);
	say_plan(p, r);
	if (!r->alerts)
		buffer_append_string(p->out, "  it opens no incidents: another rule takes it as an input\n");
	if (x->o.at_ns != TIME_NONE || x->cells_total)
		say_moment(p);
	if (r->alerts) {
		say_head(p, "Opened");
		for (size_t i = 0; i < x->n_openings; i++)
			say_opening(p, &x->openings[i]);
		if (t->opened > x->n_openings)
			buffer_printf(p->out, "  and %" PRIu64 " more\n", t->opened - x->n_openings);
		if (!t->opened)
			buffer_append_string(p->out, "  never\n");
	}
	if (r->correlation) {
		say_head(p, "Nearest misses");
		for (size_t i = 0; i < n; i++)
			say_near(p, &m[i]);
		if (!n)
			buffer_append_string(p->out, t->evaluated ? "  none\n" : "  none: no event came to it\n");
	}
	say_head(p, "What it rests on");
	say_between(p);
	for (size_t i = 0; i < x->n_detections; i++)
		say_detection(p, &x->detections[i]);
	say_story(p, t);
	say_sources(p);
}

/* ---- all rules ---- */

static const struct cell_copy *cell_of(const struct explain *x, const struct rule *r)
{
	for (size_t i = 0; i < x->n_cells; i++)
		if (x->cells[i].rule == r)
			return &x->cells[i];
	return NULL;
}

static bool quiet(const struct explain *x, const struct rule_story *t)
{
	size_t n;

	near_best(x->near, t->rule, &n);
	return !t->opened && !n && !t->matched && !cell_of(x, t->rule);
}

static void text_of_all(struct printer *p)
{
	const struct explain *x = p->x;
	size_t width = 4;
	unsigned n_quiet = 0;

	for (uint32_t i = 0; i < x->o.rules->n_rules; i++)
		if (x->stories[i].rule->alerts && strlen(x->stories[i].rule->name) > width)
			width = strlen(x->stories[i].rule->name);
	buffer_printf(p->out, "%6s  %8s  %-*s  %s", "opened", "matched", (int)width, "rule", x->o.at_ns == TIME_NONE ? "nearest miss" : "at ");
	if (x->o.at_ns != TIME_NONE)
		say_time(p, x->o.at_ns);
	buffer_append_char(p->out, '\n');
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
			const struct rule_story *t = &x->stories[i];
			const struct cell_copy *c = cell_of(x, t->rule);
			size_t n;
			if (!t->rule->alerts || (t->opened > 0) != (pass == 0))
				continue;
			if (quiet(x, t)) {
				n_quiet++;
				continue;
			}
			const struct near_miss *m = near_best(x->near, t->rule, &n);
			buffer_printf(p->out, "%6" PRIu64 "  %8" PRIu64 "  %-*s", t->opened, t->matched, (int)width, t->rule->name);
			if (x->o.at_ns == TIME_NONE) {
				if (n) {
					say_near(p, &m[0]);
					continue;
				}
			} else if (c) {
				buffer_append_string(p->out, "  ");
				if (c->n_key) {
					say_key(p, c->key, c->n_key);
					buffer_append_string(p->out, ": ");
				}
				if (c->rule->correlation)
					near_verdict(p->out, c->rule->correlation, c->value);
				if (c->incident) {
					buffer_append_string(p->out, c->rule->correlation ? "; open since " : "open since ");
					say_time(p, c->opened_ns);
				} else if (c->pending_ns != TIME_NONE) {
					buffer_append_string(p->out, "; waits until ");
					say_time(p, c->pending_ns);
				}
			}
			while (p->out->data[p->out->len - 1] == ' ') /* the padding of a name with nothing behind it */
				p->out->len--;
			buffer_append_char(p->out, '\n');
		}
	if (n_quiet)
		buffer_printf(p->out, "\n%u more rules had no event that they are about.", n_quiet);
	buffer_append_string(p->out, "\n`--rule NAME` tells more of one.\n");
	say_sources(p);
}

void explain_text(const struct explain *x, const struct explain_style *style, struct buffer *out)
{
	struct printer p = { x, style, out };

	if (x->o.rule)
		text_of_rule(&p);
	else
		text_of_all(&p);
}
