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

static void named_values(struct buffer *out, const struct named_value *values, size_t n)
{
	json_open(out, '{');
	for (size_t i = 0; i < n; i++) {
		json_name_span(out, values[i].name);
		json_span(out, values[i].value);
	}
	json_close(out, '}');
}

/* What was counted, most first; and, where a list is not complete, how much is behind what it leaves out. */
static void top(struct buffer *out, const struct emit_options *o, const struct change *c)
{
	json_name(out, "top");
	json_open(out, '{');
	for (size_t i = 0; i < c->n_top; i++) {
		const struct top_list *list = &c->top[i];

		json_name_span(out, field_name(o->fields, list->field));
		json_open(out, '[');
		for (size_t j = 0; j < list->n_values; j++) {
			json_open(out, '{');
			json_name(out, "value");
			json_span(out, list->values[j].value);
			json_name(out, "count");
			json_count(out, list->values[j].count);
			json_close(out, '}');
		}
		json_close(out, ']');
	}
	json_close(out, '}');
	json_name(out, "top_others");
	json_open(out, '{');
	for (size_t i = 0; i < c->n_top; i++) {
		const struct top_list *list = &c->top[i];

		if (list->others == 0 && list->n_distinct <= list->n_values)
			continue;
		json_name_span(out, field_name(o->fields, list->field));
		json_open(out, '{');
		json_name(out, "values");
		json_count(out, list->n_distinct > list->n_values ? list->n_distinct - list->n_values : 0);
		json_name(out, "count");
		json_count(out, list->others);
		json_close(out, '}');
	}
	json_close(out, '}');
}

static void evidence(struct buffer *out, const struct change *c)
{
	json_name(out, "evidence");
	json_open(out, '[');
	for (size_t i = 0; i < c->n_evidence; i++) {
		const struct evidence *e = &c->evidence[i];

		json_open(out, '{');
		json_name(out, "source");
		json_string(out, e->source);
		json_name(out, "file");
		json_string(out, e->file);
		json_name(out, "line");
		json_count(out, e->line);
		json_name(out, "time");
		json_time(out, e->time_ns);
		json_name(out, "text");
		json_span(out, e->text);
		json_close(out, '}');
	}
	json_close(out, ']');
	json_name(out, "evidence_dropped");
	json_count(out, c->evidence_dropped);
}

static void commands(struct buffer *out, const struct change *c)
{
	json_name(out, "commands");
	json_open(out, '[');
	for (size_t i = 0; i < c->n_commands; i++) {
		json_open(out, '[');
		for (const struct span *word = c->commands[i]; word->ptr; word++)
			json_span(out, *word);
		json_close(out, ']');
	}
	json_close(out, ']');
}

void emit_jsonl(struct buffer *out, const struct emit_options *o, const struct change *c)
{
	/* out may end in the line before; json_open sees its newline and sets no comma. */
	json_open(out, '{');
	json_name(out, "schema");
	json_string(out, SCHEMA);
	json_name(out, "id");
	json_string(out, c->id);
	json_name(out, "state");
	json_string(out, incident_state_name(c->state));
	json_name(out, "rule");
	json_string(out, c->rule->name);
	json_name(out, "title");
	json_string(out, c->rule->title);
	json_name(out, "level");
	json_string(out, level_name(c->rule->level));
	json_name(out, "key");
	named_values(out, c->key, c->n_key);
	json_name(out, "opened");
	json_time(out, c->opened_ns);
	json_name(out, "time");
	json_time(out, c->time_ns);
	json_name(out, "value");
	json_number(out, c->value);
	json_name(out, "condition");
	json_string(out, c->condition);
	json_name(out, "count");
	json_count(out, c->count);
	json_name(out, "first");
	json_time(out, c->first_ns);
	json_name(out, "last");
	json_time(out, c->last_ns);
	json_name(out, "summary");
	json_span(out, c->summary);
	top(out, o, c);
	evidence(out, c);
	json_name(out, "fields");
	named_values(out, c->fields, c->n_fields);
	commands(out, c);
	json_close(out, '}');
	buffer_append_char(out, '\n');
}
