/*
 * What was gathered, as JSON lines: one object a rule, then one a log. Everything is always there, null or 0 where there is none of it.
 */
#include "explain.h"

#include "emit/json_writer.h"

#define SCHEMA "tocsin.explain.v1"

static void json_example(struct buffer *out, const char *name, const struct example *e)
{
	if (!e->file)
		json_null(out, name);
	else
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
