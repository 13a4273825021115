/*
 * What was gathered, as text for people and as JSON lines. Both say the same; text leaves out what there is none of. Whatever a log held is made
 * visible (quote_terminal, quote_json), and cut.
 */
#include "explain.h"

#include "base/quote.h"
#include "emit/json_writer.h"

#include <inttypes.h>
#include <stdlib.h>

#define TEXT_COLUMNS 100 /* bytes shown of a record */

struct printer {
	const struct explain *x;
	const struct explain_style *style;
	struct buffer *out;
};

/* ---- words ---- */

static void say(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct printer *p, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	buffer_append_string(p->out, line);
}

static void say_span(struct printer *p, struct span s, size_t limit)
{
	bool cut = s.len > limit;

	if (cut) {
		s.len = limit;
		while (s.len && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	quote_terminal(p->out, s);
	if (cut)
		buffer_append_string(p->out, "…");
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
	say(p, "\n%s%s%s\n", p->style->colour ? "\033[1m" : "", text, p->style->colour ? "\033[0m" : "");
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
		say(p, ":%" PRIu64 ": ", e->line);
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
		say(p, "%sand %" PRIu64 " before\n", indent, list->total - EXAMPLES);
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
		say(p, "  each %s event that matches\n", service_of(r));
		return;
	}
	say(p, "  %s", correlation_type_name(k->type));
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
		say(p, "%s %s", i ? "," : "", rs->rules[k->inputs[i].rule].name);
	buffer_append_string(p->out, k->n_keys ? ", by " : ", all together");
	for (uint32_t i = 0; i < k->n_keys; i++)
		say(p, "%s%s", i ? ", " : "", k->keys[i]);
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
	static const char *const colours[] = { "\033[2m", "\033[36m", "\033[33m", "\033[31m", "\033[1;31m" };

	say(p, "%s%s%s  %s%s%s  ", p->style->colour ? "\033[1m" : "", r->name, p->style->colour ? "\033[0m" : "",
	    p->style->colour ? colours[r->level] : "", level_name(r->level), p->style->colour ? "\033[0m" : "");
	say_string(p, r->title);
	buffer_append_string(p->out, "  (");
	say_string(p, r->file);
	say(p, ":%d)\n", r->line);
}

/* ---- one moment, one key ---- */

static void say_entries(struct printer *p, const struct cell_copy *c, const char *indent)
{
	if (c->n_entries > c->n_shown)
		say(p, "%s%" PRIu32 " before\n", indent, c->n_entries - c->n_shown);
	for (uint32_t i = 0; i < c->n_shown; i++)
		say_example(p, &c->entries[i], indent);
}

static void say_inputs(struct printer *p, const struct cell_copy *c, const char *indent)
{
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		const struct cell_input *in = &c->inputs[i];
		if (in->negated && in->time_ns == TIME_NONE)
			continue;
		say(p, "%s%s%s: ", indent, in->negated ? "not " : "", in->rule->name);
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
			say(p, ":%" PRIu64, in->example.line);
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
			say(p, ": %" PRIu32 " event%s", c->n_entries, s_of(c->n_entries));
		buffer_append_char(p->out, '\n');
	} else if (k && k->type == CORRELATION_CONCURRENT) {
		buffer_append_string(p->out, "    snapshot of ");
		say_time(p, c->last_ns);
		say(p, ": %" PRIu32 " row%s\n", c->n_entries, s_of(c->n_entries));
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
			say(p, ":%" PRIu64, c->trigger.line);
		}
		buffer_append_char(p->out, '\n');
	}
	if (c->incident) {
		say(p, "    incident %s open since ", c->incident);
		say_time(p, c->opened_ns);
		say(p, ", %" PRIu64 " event%s", c->count, s_of(c->count));
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
	say(p, "  %s: ", what);
	say_time(p, e->now_ns);
	buffer_append_string(p->out, ", ");
	near_verdict(p->out, k, e->value);
	buffer_append_string(p->out, e->holds ? ", it holds" : ", it does not hold");
	if (e->event.file && *e->event.file) {
		buffer_append_string(p->out, "  (");
		say_string(p, e->event.file);
		say(p, ":%" PRIu64 ")", e->event.line);
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
		say(p, "  and %" PRIu64 " more keys (--key NAME=VALUE picks one)\n", x->cells_total - x->n_cells);
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
		say(p, ":%d)", place->line);
	}
}

static int compare_rows(const void *a, const void *b)
{
	const struct clause_row *x = a, *y = b;

	if (x->clause.excludes != y->clause.excludes)
		return x->clause.excludes ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->clause.node->line - y->clause.node->line;
}

static void say_detection(struct printer *p, const struct detection_story *d)
{
	say(p, "  %s  ", d->rule->name);
	say_string(p, d->rule->title);
	buffer_append_string(p->out, "  (");
	say_string(p, d->rule->file);
	say(p, ":%d)\n", d->rule->line);
	if (!d->judged && d->rule->about_incidents) {
		buffer_append_string(p->out, "    no incident came before it\n");
		return;
	}
	if (!d->judged) {
		say(p, "    no log that it looks at (%s) is among the inputs, or they are empty\n", service_of(d->rule));
		return;
	}
	say(p, "    %8" PRIu64 " event%s looked at\n", d->looked_at, s_of(d->looked_at));
	say(p, "    %8" PRIu64 " matched\n", d->matched);
	if (p->x->o.at_ns == TIME_NONE)
		say_examples(p, &d->examples, "               ");
	if (d->n_rows)
		qsort(d->rows, d->n_rows, sizeof *d->rows, compare_rows);
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct clause_row *r = &d->rows[i];
		say(p, "    %8" PRIu64 " ", r->count);
		say_clause(p, &r->clause);
		if (!r->clause.excludes && r->alone && r->alone < r->count)
			say(p, ", %" PRIu64 " by this alone", r->alone);
		buffer_append_char(p->out, '\n');
		if (r->clause.excludes)
			say_examples(p, &r->examples, "               ");
	}
	if (d->other_clauses)
		say(p, "    %8" PRIu64 " for other reasons\n", d->other_clauses);
}

/* ---- the rule ---- */

static void say_opening(struct printer *p, const struct opening *o)
{
	const struct correlation *k = o->cell.rule->correlation;

	buffer_append_string(p->out, "  ");
	say_time(p, o->cell.opened_ns);
	say(p, "  %s  ", o->id);
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
	say(p, ", %" PRIu64 " event%s, %" PRIu64 " update%s\n", o->count, s_of(o->count), o->updates, s_of(o->updates));
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
		say(p, " (%" PRIu64 " times)", m->times);
	if (m->file) {
		buffer_append_string(p->out, "  (");
		say_string(p, m->file);
		say(p, ":%" PRIu64 ")", m->line);
	}
	buffer_append_char(p->out, '\n');
}

static void say_count(struct printer *p, uint64_t n, const char *what)
{
	if (n)
		say(p, "  %" PRIu64 " %s\n", n, what);
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
		say(p, "  %" PRIu64 " event%s skipped: no ", t->no_key, s_of(t->no_key));
		say_span(p, t->missing == FIELD_NONE ? SPAN("number to compute with") : field_name(&x->o.rules->fields, t->missing), 40);
		buffer_append_string(p->out, ", which the rule needs\n");
		say_examples(p, &t->no_keys, "      ");
	}
	if (t->inhibited) {
		say(p, "  %" PRIu64 " time%s the condition held, but an incident of %s was open (inhibited-by)\n", t->inhibited, s_of(t->inhibited),
		    t->inhibitor->name);
		say_examples(p, &t->inhibiteds, "      ");
	}
	if (t->armed || t->met || t->absent || t->undetermined || t->forbidden)
		say(p, "  waited %" PRIu64 " time%s: %" PRIu64 " ended by what it waited for, %" PRIu64 " by the deadline, %" PRIu64
		    " undetermined; %" PRIu64 " forbidden by what came before\n",
		    t->armed, s_of(t->armed), t->met, t->absent, t->undetermined, t->forbidden);
	if (t->gaps) {
		say(p, "  %" PRIu64 " gap%s longer than max-gap, which neither count nor reset; the longest ", t->gaps, s_of(t->gaps));
		duration_format(p->out, t->longest_gap_ns);
		buffer_append_char(p->out, '\n');
	}
	if (t->not_used) {
		say(p, "  %" PRIu64 " event%s came too late to be used\n", t->not_used, s_of(t->not_used));
		say_examples(p, &t->not_useds, "      ");
	}
	if (x->late) {
		say(p, "  %" PRIu64 " event%s came later than --lateness allows\n", x->late, s_of(x->late));
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
		say(p, "  %s  ", t->rule->name);
		say_string(p, t->rule->title);
		buffer_append_string(p->out, "  (");
		say_string(p, t->rule->file);
		say(p, ":%d)\n  ", t->rule->line);
		say_plan(p, t->rule);
		say(p, "    %8" PRIu64 " evaluation%s\n    %8" PRIu64 " held\n", t->evaluated, s_of(t->evaluated), t->held);
		if (t->no_key) {
			say(p, "    %8" PRIu64 " skipped: no ", t->no_key);
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
		say(p, " (%s): %" PRIu64 " record%s", s->source, s->records, s_of(s->records));
		if (s->newest_ns != TIME_NONE) {
			buffer_append_string(p->out, ", ");
			say_time(p, s->first_ns);
			buffer_append_string(p->out, " to ");
			say_time(p, s->newest_ns);
			buffer_append_string(p->out, ", watermark ");
			say_time(p, s->newest_ns - x->lateness_ns);
		}
		if (s->late)
			say(p, ", %" PRIu64 " late", s->late);
		if (s->future)
			say(p, ", %" PRIu64 " from the future", s->future);
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
			say(p, "  and %" PRIu64 " more\n", t->opened - x->n_openings);
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
	say(p, "%6s  %8s  %-*s  %s", "opened", "matched", (int)width, "rule", x->o.at_ns == TIME_NONE ? "nearest miss" : "at ");
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
			say(p, "%6" PRIu64 "  %8" PRIu64 "  %-*s", t->opened, t->matched, (int)width, t->rule->name);
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
			buffer_append_char(p->out, '\n');
		}
	if (n_quiet)
		say(p, "\n%u more rules had no event that they are about.", n_quiet);
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

/* ---- JSON lines ---- */

#define SCHEMA "tocsin.explain.v1"

static void json_example(struct buffer *out, const char *name, const struct example *e)
{
	json_evidence(out, name, &(struct evidence){ e->source, e->file, e->line, e->time_ns, span_of(e->text, e->text_len) });
}

static void json_examples(struct buffer *out, const char *name, const struct examples *list)
{
	json_open(out, name, '[');
	for (uint64_t i = list->total > EXAMPLES ? list->total - EXAMPLES : 0; i < list->total; i++)
		json_example(out, NULL, &list->items[i % EXAMPLES]);
	json_close(out, ']');
}

static void json_cell(struct buffer *out, const char *name, const struct cell_copy *c)
{
	json_open(out, name, '{');
	json_named_values(out, "key", c->key, c->n_key);
	json_time(out, "time", c->now_ns);
	json_time(out, "window_from", c->from_ns);
	json_number(out, "value", c->value);
	json_bool(out, "holds", c->holds);
	json_count(out, "events", c->n_entries);
	json_open(out, "newest", '[');
	for (uint32_t i = 0; i < c->n_shown; i++)
		json_example(out, NULL, &c->entries[i]);
	json_close(out, ']');
	json_open(out, "inputs", '[');
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		json_open(out, NULL, '{');
		json_string(out, "rule", c->inputs[i].rule->name);
		json_bool(out, "negated", c->inputs[i].negated);
		json_bool(out, "seen", c->inputs[i].seen);
		json_time(out, "time", c->inputs[i].time_ns);
		json_close(out, '}');
	}
	json_close(out, ']');
	json_time(out, "last_observed", c->last_ns);
	json_time(out, "waits_until", c->pending_ns);
	if (c->incident)
		json_string(out, "incident", c->incident);
	else
		json_null(out, "incident");
	json_time(out, "opened", c->opened_ns);
	json_time(out, "resolves", c->incident && c->resolve_ns != INT64_MAX ? c->resolve_ns : TIME_NONE);
	json_count(out, "count", c->count);
	json_close(out, '}');
}

static void json_near(struct buffer *out, const struct near_miss *m, size_t n)
{
	json_open(out, "near_misses", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(out, NULL, '{');
		json_time(out, "time", m[i].time_ns);
		json_named_values(out, "key", m[i].key, m[i].n_key);
		json_number(out, "value", m[i].value);
		json_string(out, "text", m[i].text);
		json_count(out, "times", m[i].times);
		json_string(out, "file", m[i].file);
		json_count(out, "line", m[i].line);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void json_detection(const struct explain *x, struct buffer *out, const struct detection_story *d)
{
	json_open(out, NULL, '{');
	json_string(out, "rule", d->rule->name);
	json_string(out, "file", d->rule->file);
	json_count(out, "line", (uint64_t)d->rule->line);
	json_bool(out, "observed", d->judged);
	json_count(out, "looked_at", d->looked_at);
	json_count(out, "matched", d->matched);
	json_count(out, "excluded", d->excluded);
	json_count(out, "unselected", d->unselected);
	json_examples(out, "examples", &d->examples);
	json_open(out, "clauses", '[');
	if (d->n_rows)
		qsort(d->rows, d->n_rows, sizeof *d->rows, compare_rows);
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct clause *c = &d->rows[i].clause;
		const struct expr *place = c->atom && c->excludes ? c->atom : c->inner ? c->inner : c->node;
		json_open(out, NULL, '{');
		json_bool(out, "excludes", c->excludes);
		json_string(out, "selection", c->inner ? c->inner->selection : c->node->selection);
		if (c->inner)
			json_string(out, "filter", c->node->selection);
		else
			json_null(out, "filter");
		if (c->atom) {
			struct buffer text = BUFFER_INIT;
			clause_atom_text(x->o.rules, c->atom, &text);
			json_span(out, "value", buffer_span(&text));
			buffer_release(&text);
		} else {
			json_null(out, "value");
		}
		json_string(out, "file", place->file);
		json_count(out, "line", (uint64_t)place->line);
		json_count(out, "count", d->rows[i].count);
		json_count(out, "alone", d->rows[i].alone);
		json_examples(out, "examples", &d->rows[i].examples);
		json_close(out, '}');
	}
	json_close(out, ']');
	json_close(out, '}');
}

static void json_rule(const struct explain *x, const struct rule *r, struct buffer *out)
{
	const struct rule_story *t = &x->stories[r->index];
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = { { "matched", t->matched }, { "evaluated", t->evaluated }, { "held", t->held }, { "opened", t->opened }, { "inhibited", t->inhibited },
		       { "without_key", t->no_key }, { "too_late", t->not_used }, { "dropped_from_windows", t->cut }, { "waited", t->armed }, { "met", t->met },
		       { "forbidden", t->forbidden }, { "absent", t->absent }, { "undetermined", t->undetermined }, { "gaps", t->gaps },
		       { "resets", t->resets }, { "evicted", t->evicted } };
	struct buffer condition = BUFFER_INIT;
	size_t n;

	if (r->correlation)
		near_condition(&condition, r->correlation);
	json_open(out, NULL, '{');
	json_string(out, "schema", SCHEMA);
	json_string(out, "rule", r->name);
	json_string(out, "title", r->title);
	json_string(out, "level", level_name(r->level));
	json_string(out, "file", r->file);
	json_count(out, "line", (uint64_t)r->line);
	json_string(out, "type", r->correlation ? correlation_type_name(r->correlation->type) : "detection");
	json_span(out, "condition", buffer_span(&condition));
	json_number(out, "timespan_s", r->correlation ? (double)r->correlation->timespan_ns / NS_PER_SECOND : 0);
	json_time(out, "at", x->o.at_ns);
	json_time(out, "inspected", x->inspected_ns);
	json_open(out, "counts", '{');
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		json_count(out, counts[i].name, counts[i].n);
	}
	json_count(out, "late", x->late);
	json_close(out, '}');
	json_open(out, "state", '[');
	for (size_t i = 0; i < x->n_cells; i++)
		if (x->cells[i].rule == r)
			json_cell(out, NULL, &x->cells[i]);
	json_close(out, ']');
	if (x->o.rule) {
		json_open(out, "incidents", '[');
		for (size_t i = 0; i < x->n_openings; i++) {
			const struct opening *o = &x->openings[i];
			json_open(out, NULL, '{');
			json_string(out, "id", o->id);
			json_time(out, "opened", o->cell.opened_ns);
			json_time(out, "resolved", o->resolved_ns);
			json_count(out, "updates", o->updates);
			json_count(out, "count", o->count);
			json_span(out, "summary", span_of(o->summary ? o->summary : "", o->summary_len));
			json_example(out, "opened_by", &o->event);
			json_cell(out, "then", &o->cell);
			json_close(out, '}');
		}
		json_close(out, ']');
	}
	const struct near_miss *m = near_best(x->near, r, &n);
	json_near(out, m, n);
	if (x->o.rule) {
		json_open(out, "detections", '[');
		for (size_t i = 0; i < x->n_detections; i++)
			json_detection(x, out, &x->detections[i]);
		json_close(out, ']');
		json_examples(out, "without_key", &t->no_keys);
		json_examples(out, "too_late", &t->not_useds);
		json_examples(out, "inhibited", &t->inhibiteds);
		json_examples(out, "late", &x->lates);
	}
	json_close_line(out);
	buffer_release(&condition);
}

void explain_jsonl(const struct explain *x, struct buffer *out)
{
	for (uint32_t i = 0; i < x->o.rules->n_rules; i++) {
		const struct rule *r = &x->o.rules->rules[i];
		if (x->o.rule ? r == x->o.rule : r->alerts)
			json_rule(x, r, out);
	}
	for (size_t i = 0; i < x->n_sources; i++) {
		const struct source_story *s = &x->sources[i];
		json_open(out, NULL, '{');
		json_string(out, "schema", SCHEMA);
		json_string(out, "log", s->name);
		json_string(out, "source", s->source);
		json_count(out, "records", s->records);
		json_time(out, "first", s->first_ns);
		json_time(out, "newest", s->newest_ns);
		json_time(out, "watermark", s->newest_ns == TIME_NONE ? TIME_NONE : s->newest_ns - x->lateness_ns);
		json_count(out, "late", s->late);
		json_count(out, "future", s->future);
		json_close_line(out);
	}
}
