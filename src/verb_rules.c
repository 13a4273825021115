/*
 * tocsin rules: the loaded rules, a line each, in the order of their files; or all there is to say of them, as JSON lines, from which the catalogue of
 * the manual is made, too (scripts/make-catalogue).
 */
#include "cli.h"

#include "base/memory.h"
#include "base/quote.h"
#include "emit/json_writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* ---- what a rule is about ---- */

/* Adds the services of the logs that a rule rests on, each once, in the order of its inputs. */
static void add_services(const struct ruleset *rs, const struct rule *r, const char **list, size_t *n, size_t limit)
{
	if (r->correlation) {
		for (uint32_t i = 0; i < r->correlation->n_inputs; i++)
			add_services(rs, &rs->rules[r->correlation->inputs[i].rule], list, n, limit);
		return;
	}
	const char *service = r->logsource.service ? r->logsource.service : r->logsource.product ? r->logsource.product : "any";
	for (size_t i = 0; i < *n; i++)
		if (!strcasecmp(list[i], service))
			return;
	if (*n < limit)
		list[(*n)++] = service;
}

static void append_services(const struct ruleset *rs, const struct rule *r, struct buffer *out)
{
	const char *list[16];
	size_t n = 0;

	add_services(rs, r, list, &n, 16);
	for (size_t i = 0; i < n; i++)
		buffer_printf(out, "%s%s", i ? "," : "", list[i]);
}

static int by_place(const void *a, const void *b)
{
	const struct rule *x = *(const struct rule *const *)a, *y = *(const struct rule *const *)b;
	int c = strcmp(x->file, y->file);

	return c ? c : x->line != y->line ? x->line - y->line : (int)x->index - (int)y->index;
}

/* Is the word in what the rule says of itself? In any case of letters. */
static bool mentions(const struct ruleset *rs, const struct rule *r, const char *word)
{
	struct buffer all = BUFFER_INIT;
	const char *const *lists[] = { r->tags, r->falsepositives };

	buffer_printf(&all, "%s\n%s\n%s\n%s\n%s\n", r->name, r->title, level_name(r->level), r->file, r->description ? r->description : "");
	append_services(rs, r, &all);
	for (int l = 0; l < 2; l++)
		for (size_t i = 0; lists[l] && lists[l][i]; i++)
			buffer_printf(&all, "\n%s", lists[l][i]);
	bool found = strcasestr(buffer_string(&all), word) != NULL;
	buffer_release(&all);
	return found;
}

static bool asked_for(const struct options *o, const struct ruleset *rs, const struct rule *r)
{
	for (size_t i = 0; i < o->n_words; i++)
		if (!mentions(rs, r, o->words[i]))
			return false;
	return true;
}

/* ---- JSON lines ---- */

static void json_strings(struct buffer *out, const char *name, const char *const *list)
{
	json_open(out, name, '[');
	for (size_t i = 0; list && list[i]; i++)
		json_string(out, NULL, list[i]);
	json_close(out, ']');
}

static void json_seconds(struct buffer *out, const char *name, int64_t ns)
{
	if (ns == DURATION_NEVER)
		json_null(out, name);
	else
		json_number(out, name, (double)ns / NS_PER_SECOND);
}

static void json_correlation(const struct ruleset *rs, const struct correlation *k, struct buffer *out)
{
	json_open(out, "correlation", '{');
	json_string(out, "type", correlation_type_name(k->type));
	json_open(out, "rules", '[');
	for (uint32_t i = 0; i < k->n_inputs; i++)
		json_string(out, NULL, rs->rules[k->inputs[i].rule].name);
	json_close(out, ']');
	json_open(out, "group_by", '[');
	for (uint32_t i = 0; i < k->n_keys; i++)
		json_string(out, NULL, k->keys[i]);
	json_close(out, ']');
	json_open(out, "field", '[');
	for (uint32_t i = 0; i < k->n_value_fields; i++)
		json_span(out, NULL, field_name(&rs->fields, k->value_fields[i]));
	json_close(out, ']');
	json_string(out, "condition", k->condition_text);
	json_seconds(out, "timespan_s", k->timespan_ns);
	json_close(out, '}');
}

static void json_rule(const struct ruleset *rs, const struct rule *r, struct buffer *out)
{
	const char *services[16];
	size_t n = 0;

	add_services(rs, r, services, &n, 16);
	json_open(out, NULL, '{');
	json_string(out, "schema", "tocsin.rule.v1");
	json_string(out, "name", r->name);
	json_string(out, "id", r->id);
	json_string(out, "title", r->title);
	json_string(out, "level", level_name(r->level));
	json_string(out, "status", r->status);
	json_bool(out, "alerts", r->alerts);
	json_open(out, "sources", '[');
	for (size_t i = 0; i < n; i++)
		json_string(out, NULL, services[i]);
	json_close(out, ']');
	json_string(out, "file", r->file);
	json_count(out, "line", (uint64_t)r->line);
	json_string(out, "description", r->description);
	json_strings(out, "tags", r->tags);
	json_strings(out, "references", r->references);
	json_strings(out, "falsepositives", r->falsepositives);
	if (r->correlation)
		json_correlation(rs, r->correlation, out);
	else
		json_null(out, "correlation");
	json_span(out, "summary", r->incident.summary.source);
	json_seconds(out, "resolve_after_s", r->incident.resolve_after_ns);
	json_seconds(out, "update_every_s", r->incident.update_every_ns);
	json_open(out, "inhibited_by", '[');
	for (uint32_t i = 0; i < r->incident.n_inhibited_by; i++)
		json_string(out, NULL, rs->rules[r->incident.inhibited_by[i]].name);
	json_close(out, ']');
	json_open(out, "response", '{');
	for (int s = 0; s < INCIDENT_STATE_COUNT; s++) {
		json_open(out, incident_state_name(s), '[');
		for (uint32_t i = 0; i < r->response.n_commands[s]; i++) {
			json_open(out, NULL, '[');
			for (uint32_t w = 0; w < r->response.commands[s][i].n_words; w++)
				json_span(out, NULL, r->response.commands[s][i].words[w].source);
			json_close(out, ']');
		}
		json_close(out, ']');
	}
	json_close(out, '}');
	json_close_line(out);
}

/* ---- text ---- */

static void text_list(const struct options *o, const struct ruleset *rs, const struct rule *const *list, size_t n, struct buffer *out)
{
	bool colour = wants_colour(o, STDOUT_FILENO);
	size_t width = 4, sources = 6, helpers = 0;
	struct buffer text = BUFFER_INIT;

	for (size_t i = 0; i < n; i++) {
		if (!list[i]->alerts && !o->all)
			continue;
		buffer_clear(&text);
		append_services(rs, list[i], &text);
		sources = text.len > sources ? text.len : sources;
		width = strlen(list[i]->name) > width ? strlen(list[i]->name) : width;
	}
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = list[i];
		if (!r->alerts && !o->all) {
			helpers++;
			continue;
		}
		buffer_clear(&text);
		append_services(rs, r, &text);
		buffer_printf(out, "%s%-13s%s  %-*s  %-*s  ", colour && r->alerts ? level_colour(r->level) : "", r->alerts ? level_name(r->level) : "-",
			      colour && r->alerts ? "\033[0m" : "", (int)width, r->name, (int)sources, buffer_string(&text));
		quote_terminal(out, span_from_string(r->title));
		buffer_append_string(out, "  (");
		quote_terminal(out, span_from_string(r->file));
		buffer_printf(out, ":%d)\n", r->line);
	}
	if (helpers)
		buffer_printf(out, "and %zu rules that these rest on, which open no incidents (--all lists them)\n", helpers);
	buffer_release(&text);
}

int verb_rules(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->rules, o->n_rules, false, &diags);
	struct buffer out = BUFFER_INIT;
	bool jsonl;
	size_t n = 0;

	if (!rs || !wants_jsonl(o, &jsonl, &diags)) {
		ruleset_free(rs);
		return fail(o, &diags);
	}
	const struct rule **list = xcalloc(rs->n_rules + 1, sizeof *list);
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (asked_for(o, rs, &rs->rules[i]))
			list[n++] = &rs->rules[i];
	qsort(list, n, sizeof *list, by_place);
	if (n == 0 && o->n_words)
		diag_add(&diags, DIAG_NOTE, NULL, 0, 0, "no rule says %s of itself", o->n_words == 1 ? "this word" : "all these words");
	if (!jsonl)
		text_list(o, rs, list, n, &out);
	for (size_t i = 0; jsonl && i < n; i++)
		json_rule(rs, list[i], &out);
	free(list);
	ruleset_free(rs);
	print_diags(o, &diags);
	diag_list_release(&diags);
	return print_out(&out);
}
