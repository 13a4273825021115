/*
 * jsonl.c: one JSON object a state change: the format for programs, documented field by field in tocsin-incident(5) and
 * checked by schema/incident.schema.json.
 *
 * Every field is always there, in the same order; what is not known is null, what there is none of is an empty object or array.
 * A change of this shape that could break a reader needs a new number in SCHEMA.
 */
#include "emit/formats.h"
#include "emit/json_writer.h"

#define SCHEMA "tocsin.incident.v1"

/* What was counted, most first; and, where a list is not complete, how much is behind what it leaves out. */
static void top(struct buffer *out, const struct emit_options *o, const struct change *c)
{
	json_open(out, "top", '{');
	for (size_t i = 0; i < c->n_top; i++) {
		const struct top_list *list = &c->top[i];

		json_name(out, field_name(o->fields, list->field));
		json_open(out, NULL, '[');
		for (size_t j = 0; j < list->n_values; j++) {
			json_open(out, NULL, '{');
			json_span(out, "value", list->values[j].value);
			json_count(out, "count", list->values[j].count);
			json_close(out, '}');
		}
		json_close(out, ']');
	}
	json_close(out, '}');
	json_open(out, "top_others", '{');
	for (size_t i = 0; i < c->n_top; i++) {
		const struct top_list *list = &c->top[i];

		if (list->others == 0 && list->n_distinct <= list->n_values)
			continue;
		json_name(out, field_name(o->fields, list->field));
		json_open(out, NULL, '{');
		json_count(out, "values", list->n_distinct > list->n_values ? list->n_distinct - list->n_values : 0);
		json_count(out, "count", list->others);
		json_close(out, '}');
	}
	json_close(out, '}');
}

static void evidence(struct buffer *out, const struct change *c)
{
	json_open(out, "evidence", '[');
	for (size_t i = 0; i < c->n_evidence; i++)
		json_evidence(out, NULL, &c->evidence[i]);
	json_close(out, ']');
	json_count(out, "evidence_dropped", c->evidence_dropped);
}

static void commands(struct buffer *out, const struct change *c)
{
	json_open(out, "commands", '[');
	for (size_t i = 0; i < c->n_commands; i++) {
		json_open(out, NULL, '[');
		for (const struct span *word = c->commands[i]; word->ptr; word++)
			json_span(out, NULL, *word);
		json_close(out, ']');
	}
	json_close(out, ']');
}

void emit_jsonl(struct buffer *out, const struct emit_options *o, const struct change *c)
{
	/* out may end in the line before; json_open sees its newline and sets no comma. */
	json_open(out, NULL, '{');
	json_string(out, "schema", SCHEMA);
	json_string(out, "id", c->id);
	json_string(out, "state", incident_state_name(c->state));
	json_string(out, "rule", c->rule->name);
	json_string(out, "title", c->rule->title);
	json_string(out, "level", level_name(c->rule->level));
	json_named_values(out, "key", c->key, c->n_key);
	json_time(out, "opened", c->opened_ns);
	json_time(out, "time", c->time_ns);
	json_number(out, "value", c->value);
	json_string(out, "condition", c->condition);
	json_count(out, "count", c->count);
	json_time(out, "first", c->first_ns);
	json_time(out, "last", c->last_ns);
	json_span(out, "summary", c->summary);
	top(out, o, c);
	evidence(out, c);
	json_named_values(out, "fields", c->fields, c->n_fields);
	commands(out, c);
	json_close_line(out);
}
