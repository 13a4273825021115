/*
 * site.c: decides what a site says of itself beside its rules: sources of its own, values of placeholders, and filters, which make
 * exceptions without a rule being touched. Invariant: a filter only ever narrows a rule.
 *
 *	condition: not selection     what must hold besides: and
 *	condition: selection         what is suppressed: and not
 */
#include "base/memory.h"
#include "rule/condition.h"
#include "rule/regex.h"
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* ---- placeholders ---- */

void compile_placeholders(struct loader *l, const struct yaml_node *section)
{
	if (section->kind != YAML_MAP) {
		report(l, DIAG_ERROR, section, "placeholders must be a map: {NAME: [VALUE, …]}");
		return;
	}
	for (uint32_t i = 0; i < section->n; i++) {
		const struct yaml_pair *pair = &section->pairs[i];
		struct map_entry *e;
		struct placeholder *p;
		const struct yaml_node **values;
		uint32_t n;
		bool new;

		for (size_t k = 0; k < pair->key->text.len; k++)
			if (!isalnum((unsigned char)pair->key->text.ptr[k]) && pair->key->text.ptr[k] != '_' && pair->key->text.ptr[k] != '-') {
				report(l, DIAG_ERROR, pair->key, "a placeholder's name is of letters, digits, \"_\" and \"-\"");
				break;
			}
		values = pair->value->kind == YAML_SCALAR && pair->value->type == YAML_NULL ? NULL :
											      get_list(l, pair->value, "a placeholder", &n);
		if (!values) {
			if (pair->value->kind == YAML_SCALAR)
				report(l, DIAG_ERROR, pair->key, "the placeholder \"%s\" has no value", pair->key->text.ptr);
			continue;
		}
		if (n == 0 && l->lint)
			report(l, DIAG_WARNING, pair->key, "the placeholder \"%s\" has no values: what uses it matches nothing",
			       pair->key->text.ptr);
		e = map_add(&l->placeholders, pair->key->text, &new);
		if (new) {
			p = arena_zalloc(&l->scratch, sizeof *p);
			p->key = pair->key;
			e->value.pointer = p;
		}
		p = e->value.pointer;
		for (uint32_t k = 0; k < n; k++) {
			if (p->n == p->cap) {
				size_t cap = p->cap ? p->cap * 2 : 8;
				const struct yaml_node **larger = arena_alloc(&l->scratch, cap * sizeof *larger);

				if (p->n)
					memcpy(larger, p->values, p->n * sizeof *larger);
				p->values = larger;
				p->cap = cap;
			}
			p->values[p->n++] = values[k];
		}
	}
}

/* ---- sources ---- */

static bool has_group(const struct ruleset *rs, const struct field_set *groups, const char *name)
{
	field_id f = field_find(&rs->fields, span_from_string(name));

	return f != FIELD_NONE && field_set_has(groups, f);
}

static void read_globs(struct loader *l, const struct yaml_node *section, struct source *s)
{
	const struct yaml_pair *pair = yaml_find(section, "files");
	const struct yaml_node **globs;
	const char **texts;
	uint32_t n;

	if (!pair)
		return;
	globs = get_list(l, pair->value, "files", &n);
	if (!globs)
		return;
	texts = arena_alloc(&l->rs->arena, (n + 1) * sizeof *texts);
	for (uint32_t i = 0; i < n; i++)
		texts[i] = keep_text(l, globs[i]->text);
	texts[n] = NULL;
	s->file_globs = texts;
}

static void check_source_name(struct loader *l, const struct yaml_node *name)
{
	size_t n;
	const struct source *builtin = builtin_sources(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(builtin[i].name, name->text.ptr) == 0)
			report(l, DIAG_ERROR, name, "the source \"%s\" is built in", name->text.ptr);
	if (strcmp(name->text.ptr, format_name(FORMAT_INCIDENT)) == 0)
		report(l, DIAG_ERROR, name, "the source \"%s\" is that of incidents", name->text.ptr);
	for (size_t i = 0; i < l->n_sources; i++)
		if (strcmp(l->sources[i].source->name, name->text.ptr) == 0)
			report(l, DIAG_ERROR, name, "there is a source \"%s\" already", name->text.ptr);
}

void compile_source(struct loader *l, const struct yaml_node *document)
{
	static const char *const known[] = { "name", "pattern", "start", "time", "time-format", "tz", "files", "logsource", NULL };
	const struct yaml_node *section = yaml_find(document, "source")->value, *name, *pattern, *start, *time, *format, *zone;
	struct source *s = arena_zalloc(&l->rs->arena, sizeof *s);
	struct site_source site = { .source = s };
	size_t n_builtin, errors = l->diags->n_errors, first;
	const char *time_field = "time", *problem;
	uint32_t options = 0;
	int line, column;

	if (section->kind != YAML_MAP) {
		report(l, DIAG_ERROR, section, "source must be a map");
		return;
	}
	check_keys(l, section, "a source", known);
	name = get_text(l, section, "name");
	pattern = get_text(l, section, "pattern");
	start = get_text(l, section, "start");
	time = get_text(l, section, "time");
	format = get_text(l, section, "time-format");
	zone = get_text(l, section, "tz");
	if (!yaml_find(section, "name"))
		report(l, DIAG_ERROR, section, "a source must have a name");
	if (!yaml_find(section, "pattern")) {
		report(l, DIAG_ERROR, section, "a source must have a pattern");
		hint(l, "pattern: '^(?<time>\\S+ \\S+) (?<message>.*)$', with named groups that become fields");
	}
	if (name && pattern) {
		check_source_name(l, name);
		if (regex_check(l, pattern, pattern->text, &options, &site.fields) == 0) {
			if (time)
				time_field = keep_text(l, time->text);
			if (time && !has_group(l->rs, &site.fields, time_field))
				report(l, DIAG_ERROR, time, "the pattern has no group \"%s\"", time_field);
		}
		options = 0;
		if (start)
			regex_check(l, start, start->text, &options, &site.fields);
	}
	problem = format ? civil_pattern_error(format->text.ptr) : NULL;
	if (problem)
		report(l, DIAG_ERROR, format, "time-format: %s", problem);
	if (zone) {
		s->zone = zone_get(zone->text.ptr);
		if (!s->zone) {
			report(l, DIAG_ERROR, zone, "there is no time zone \"%s\"", zone->text.ptr);
			hint(l, "a name such as Europe/Berlin, or UTC, or local");
		}
	}
	s->product = "gastown";
	s->service = s->name = name ? keep_text(l, name->text) : "";
	if (yaml_find(section, "logsource")) {
		struct logsource ls;

		if (read_logsource(l, section, section, &ls)) {
			s->category = ls.category;
			s->product = ls.product;
			s->service = ls.service;
		}
	}
	read_globs(l, section, s);
	if (l->diags->n_errors != errors || !name || !pattern)
		goto done;
	builtin_sources(&n_builtin);
	s->format = FORMAT_PATTERN;
	s->rank = (uint32_t)(n_builtin + 1 + l->n_sources); /* incidents rank between them */
	yaml_position(pattern->file, yaml_offset_in(pattern, 0), &line, &column);
	first = l->diags->n;
	s->pattern = source_pattern_new(pattern->text, start ? start->text.ptr : NULL, time_field, format ? format->text.ptr : NULL,
					&l->rs->fields, l->diags, pattern->file->name, line, column);
	/* record/ does not have the text of the file. */
	for (size_t i = first; i < l->diags->n; i++)
		if (!l->diags->items[i].excerpt && l->diags->items[i].line > 0) {
			struct span text = yaml_line(pattern->file, l->diags->items[i].line);

			l->diags->items[i].excerpt = xmemdup(text.ptr, text.len);
		}
	if (!s->pattern)
		goto done;
	ARRAY_GROW(l->sources, l->n_sources, l->cap_sources);
	l->sources[l->n_sources++] = site;
	return;
done:
	free(site.fields.ids);
}

/* ---- filters ---- */

enum { LEAVES_WANTED = 1, LEAVES_NEGATED = 2 };

/* Under which number of nots do the names stand? */
static unsigned polarity(const struct condition *c, bool negated)
{
	unsigned r = 0;

	if (c->op == CONDITION_NAME || c->op == CONDITION_OF)
		return negated ? LEAVES_NEGATED : LEAVES_WANTED;
	for (uint32_t i = 0; i < c->n_children; i++)
		r |= polarity(c->children[i], negated != (c->op == CONDITION_NOT));
	return r;
}

static bool covers_one(const char *filter, const char *rule)
{
	return !filter || (rule && strcasecmp(filter, rule) == 0);
}

static bool covers(const struct logsource *filter, const struct logsource *rule)
{
	return covers_one(filter->category, rule->category) && covers_one(filter->product, rule->product) &&
	       covers_one(filter->service, rule->service);
}

static void apply(struct loader *l, struct draft *d, const struct expr *x, const struct field_set *fields)
{
	const struct expr *both[2] = { d->rule.expr, x };

	d->rule.expr = join(l, EXPR_AND, both, 2);
	field_set_add_all(&d->fields, fields);
}

static void apply_to_named(struct loader *l, struct filter *f, const struct yaml_node **names, uint32_t n, const struct expr *x,
			   const struct field_set *fields)
{
	bool any = n == 1 && (strcasecmp(names[0]->text.ptr, "any") == 0 || strcasecmp(names[0]->text.ptr, "all") == 0);
	bool *done = arena_zalloc(&l->scratch, l->n_drafts + 1);
	uint32_t applied = 0;

	if (any) {
		for (uint32_t i = 0; i < l->n_drafts; i++)
			if (l->drafts[i].rule.kind == RULE_DETECTION && covers(&f->logsource, &l->drafts[i].rule.logsource)) {
				apply(l, &l->drafts[i], x, fields);
				applied++;
			}
		if (!applied)
			report(l, DIAG_WARNING, f->label, "no rule has the logsource of this filter");
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct draft *d = find_draft(l, names[i]->text);

		if (!d) {
			report(l, DIAG_WARNING, names[i], "there is no rule \"%s\": nothing is filtered", names[i]->text.ptr);
			suggest_rule(l, names[i]->text);
		} else if (d->rule.kind != RULE_DETECTION) {
			report(l, DIAG_WARNING, names[i], "\"%s\" is a correlation: a filter narrows detections", names[i]->text.ptr);
			hint(l, "name the rules it correlates");
		} else if (!covers(&f->logsource, &d->rule.logsource)) {
			report(l, DIAG_WARNING, names[i], "\"%s\" has another logsource than this filter: nothing is filtered",
			       names[i]->text.ptr);
		} else if (!done[d - l->drafts]) {
			done[d - l->drafts] = true;
			apply(l, d, x, fields);
		}
	}
}

void compile_filter(struct loader *l, struct filter *f)
{
	static const char *const except[] = { "rules", "condition", NULL };
	const struct yaml_pair *rules, *condition_pair;
	const struct yaml_node **names;
	struct selection_set set;
	struct condition *condition;
	struct field_set fields = { NULL, 0, 0 };
	const struct expr *x;
	struct expr *named;
	uint32_t n = 0;
	unsigned leaves;

	if (f->section->kind != YAML_MAP) {
		report(l, DIAG_ERROR, f->section, "filter must be a map of rules, selections and a condition");
		return;
	}
	if (!read_logsource(l, f->document, f->label, &f->logsource))
		return;
	compile_selections(l, f->section, except, &fields, &set);
	rules = yaml_find(f->section, "rules");
	condition_pair = yaml_find(f->section, "condition");
	if (!rules) {
		report(l, DIAG_ERROR, f->section, "a filter must say which rules it narrows");
		hint(l, "rules: [NAME, …], or rules: any");
	}
	if (!condition_pair) {
		report(l, DIAG_ERROR, f->section, "the filter has no condition");
		hint(l, "such as condition: not %s", set.n ? set.names[0]->text.ptr : "selection");
	}
	if (!rules || !condition_pair)
		goto done;
	names = get_list(l, rules->value, "rules", &n);
	if (names && n == 0) {
		report(l, DIAG_ERROR, rules->value, "a filter of no rules would narrow nothing");
		hint(l, "rules: [NAME, …], or rules: any");
		names = NULL;
	}
	if (condition_pair->value->kind != YAML_SCALAR) {
		report(l, DIAG_ERROR, condition_pair->value, "the condition of a filter must be a text");
		goto done;
	}
	condition = condition_parse(l, condition_pair->value, SPAN(""));
	x = condition ? resolve_condition(l, condition_pair->value, condition, &set) : NULL;
	if (!x || !names)
		goto done;
	leaves = polarity(condition, false);
	if (leaves == LEAVES_WANTED)
		x = negate(l, x);
	else if (leaves == (LEAVES_WANTED | LEAVES_NEGATED) && l->lint) {
		report(l, DIAG_WARNING, condition_pair->value, "a filter that both names and negates selections: it is taken as what must hold");
		hint(l, "write it with \"not\" before every selection");
	}
	named = new_expr(l, x->op, 0);
	*named = *x;
	named->selection = f->name;
	set_place(named, f->label);
	apply_to_named(l, f, names, n, named, &fields);
done:
	free(fields.ids);
}
