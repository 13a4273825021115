/*
 * correlation.c: decides what a correlation document relates, and when: its inputs, its key fields for each of them, its
 * bounds or its condition over the inputs. Invariants: a correlation that was accepted does not hold when nothing has happened;
 * every input has a field for every key. It does not know in which order the rules are evaluated: inputs are drafts until ruleset.c
 * has put them in order.
 */
#include "rule/condition.h"
#include <inttypes.h>
#include <stdlib.h>

#define INPUTS_MAX 256
#define PRESENCE_MAX 10000
#define CHAINS_MAX 64
#define CHAIN_STEPS_MAX 256

static const char *const type_names[] = {
	[CORRELATION_EVENT_COUNT] = "event_count",
	[CORRELATION_VALUE_COUNT] = "value_count",
	[CORRELATION_VALUE_SUM] = "value_sum",
	[CORRELATION_VALUE_AVG] = "value_avg",
	[CORRELATION_VALUE_PERCENTILE] = "value_percentile",
	[CORRELATION_VALUE_MIN] = "value_min",
	[CORRELATION_VALUE_MAX] = "value_max",
	[CORRELATION_TEMPORAL] = "temporal",
	[CORRELATION_TEMPORAL_ORDERED] = "temporal_ordered",
	[CORRELATION_SUSTAINED] = "sustained",
	[CORRELATION_CONCURRENT] = "concurrent",
	NULL,
};

/* The median is the percentile that value_percentile takes by itself. */
static const char median_name[] = "value_median";

const char *correlation_type_name(enum correlation_type t)
{
	return type_names[t];
}

static const char *const bound_names[] = {
	[BOUND_GT] = "gt", [BOUND_GTE] = "gte", [BOUND_LT] = "lt", [BOUND_LTE] = "lte", [BOUND_EQ] = "eq", [BOUND_NEQ] = "neq",
};

struct state {
	struct loader *l;
	struct draft *d;
	struct correlation *c;
	const struct yaml_node *section;
	const struct yaml_node **input_nodes; /* as written in rules: */
	const struct yaml_node *aliases;
};

static bool is_temporal(const struct correlation *c)
{
	return c->type == CORRELATION_TEMPORAL || c->type == CORRELATION_TEMPORAL_ORDERED;
}

static bool has_value_field(const struct correlation *c)
{
	switch (c->type) {
	case CORRELATION_VALUE_COUNT:
	case CORRELATION_VALUE_SUM:
	case CORRELATION_VALUE_AVG:
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MIN:
	case CORRELATION_VALUE_MAX:
	case CORRELATION_CONCURRENT:
		return true;
	case CORRELATION_EVENT_COUNT:
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
	case CORRELATION_SUSTAINED:
		return false;
	}
	return false;
}

static bool read_type(struct state *s)
{
	const struct yaml_pair *pair = yaml_find(s->section, "type");

	if (!pair) {
		report(s->l, DIAG_ERROR, s->section, "a correlation must have a type");
		hint(s->l, "event_count, value_count, value_sum, value_avg, value_percentile, value_median, value_min, value_max, "
			   "temporal, temporal_ordered, sustained or concurrent");
		return false;
	}
	for (int i = 0; type_names[i]; i++)
		if (pair->value->kind == YAML_SCALAR && span_equal(pair->value->text, span_from_string(type_names[i]))) {
			s->c->type = (enum correlation_type)i;
			return true;
		}
	if (pair->value->kind == YAML_SCALAR && span_equal(pair->value->text, span_from_string(median_name))) {
		s->c->type = CORRELATION_VALUE_PERCENTILE;
		return true;
	}
	report(s->l, DIAG_ERROR, pair->value, "this is not a type of correlation");
	if (pair->value->kind == YAML_SCALAR)
		suggest(s->l, pair->value->text, type_names);
	return false;
}

/* ---- inputs ---- */

static bool add_input(struct state *s, const struct yaml_node *node)
{
	struct loader *l = s->l;
	struct draft *of = find_draft(l, node->text);

	if (!of) {
		report(l, DIAG_ERROR, node, "there is no rule \"%s\"", node->text.ptr);
		suggest_rule(l, node->text);
		return false;
	}
	for (uint32_t i = 0; i < s->c->n_inputs; i++)
		if (s->c->inputs[i].rule == (uint32_t)(of - l->drafts)) {
			report(l, DIAG_ERROR, node, "the rule \"%s\" stands here twice", node->text.ptr);
			return false;
		}
	s->input_nodes[s->c->n_inputs] = node;
	s->c->inputs[s->c->n_inputs++] = (struct correlation_input){ .rule = (uint32_t)(of - l->drafts) };
	add_link(s->d, (uint32_t)(of - l->drafts), node);
	of->referenced = true;
	return true;
}

static uint32_t count_names(const struct condition *c)
{
	uint32_t n = c->op == CONDITION_NAME;

	for (uint32_t i = 0; i < c->n_children; i++)
		n += count_names(c->children[i]);
	return n;
}

/* A condition that names its rules need not list them besides. */
static void collect_names(struct state *s, const struct condition *c, const struct yaml_node *text, const struct yaml_node **nodes,
			  uint32_t *n)
{
	if (c->op == CONDITION_NAME) {
		struct yaml_node *node;

		for (uint32_t i = 0; i < *n; i++)
			if (span_equal(nodes[i]->text, c->name))
				return;
		node = arena_zalloc(&s->l->scratch, sizeof *node);
		*node = *text;
		node->text = span_of(keep_text(s->l, c->name), c->name.len);
		node->offset = (uint32_t)yaml_offset_in(text, c->at);
		node->end = node->offset + (uint32_t)c->name.len;
		nodes[(*n)++] = node;
	}
	for (uint32_t i = 0; i < c->n_children; i++)
		collect_names(s, c->children[i], text, nodes, n);
}

static bool read_inputs(struct state *s, const struct condition *condition, const struct yaml_node *condition_text)
{
	struct loader *l = s->l;
	const struct yaml_pair *pair = yaml_find(s->section, "rules");
	const struct yaml_node **nodes;
	uint32_t n = 0;
	bool ok = true;

	if (pair) {
		nodes = get_list(l, pair->value, "rules", &n);
		if (!nodes)
			return false;
	} else if (condition) {
		nodes = arena_alloc(&l->scratch, count_names(condition) * sizeof *nodes);
		collect_names(s, condition, condition_text, nodes, &n);
	} else {
		report(l, DIAG_ERROR, s->section, "a correlation must say which rules it relates");
		hint(l, "rules: [NAME, …], of this or any other loaded file");
		return false;
	}
	uint32_t most = is_temporal(s->c) ? TEMPORAL_INPUTS_MAX : INPUTS_MAX;
	if (n == 0 || n > most) {
		report(l, DIAG_ERROR, pair ? pair->value : s->section, "a %s correlation relates 1 to %" PRIu32 " rules, not %" PRIu32,
		       type_names[s->c->type], most, n);
		return false;
	}
	s->c->inputs = arena_zalloc(&l->rs->arena, n * sizeof *s->c->inputs);
	s->input_nodes = arena_alloc(&l->scratch, n * sizeof *s->input_nodes);
	for (uint32_t i = 0; i < n; i++)
		ok &= add_input(s, nodes[i]);
	return ok;
}

/* ---- keys ---- */

/* The input that an alias names, or -1. */
static int find_input(struct state *s, struct span name)
{
	struct draft *of = find_draft(s->l, name);

	for (uint32_t i = 0; i < s->c->n_inputs; i++)
		if (span_equal(s->input_nodes[i]->text, name) || (of && s->c->inputs[i].rule == (uint32_t)(of - s->l->drafts)))
			return (int)i;
	return -1;
}

static bool check_aliases(struct state *s)
{
	const struct yaml_pair *pair = yaml_find(s->section, "aliases");
	struct loader *l = s->l;
	bool ok = true;

	if (!pair)
		return true;
	if (pair->value->kind != YAML_MAP) {
		report(l, DIAG_ERROR, pair->value, "aliases must be a map: {ALIAS: {RULE: FIELD}}");
		return false;
	}
	s->aliases = pair->value;
	for (uint32_t i = 0; i < s->aliases->n; i++) {
		const struct yaml_node *fields = s->aliases->pairs[i].value;

		if (fields->kind != YAML_MAP) {
			report(l, DIAG_ERROR, fields, "an alias must be a map: {RULE: FIELD}");
			ok = false;
			continue;
		}
		for (uint32_t k = 0; k < fields->n; k++) {
			if (fields->pairs[k].value->kind != YAML_SCALAR || fields->pairs[k].value->text.len == 0) {
				report(l, DIAG_ERROR, fields->pairs[k].value, "the name of a field must stand here");
				ok = false;
			}
			if (find_input(s, fields->pairs[k].key->text) < 0) {
				const char **words = arena_alloc(&l->scratch, (s->c->n_inputs + 1) * sizeof *words);

				for (uint32_t w = 0; w < s->c->n_inputs; w++)
					words[w] = s->input_nodes[w]->text.ptr;
				words[s->c->n_inputs] = NULL;
				report(l, DIAG_ERROR, fields->pairs[k].key, "\"%s\" is not among the rules of this correlation",
				       fields->pairs[k].key->text.ptr);
				suggest(l, fields->pairs[k].key->text, words);
				ok = false;
			}
		}
	}
	return ok;
}

/* The field of one input for a name in group-by: through an alias, else the name itself. */
static field_id field_for(struct state *s, uint32_t input, const struct yaml_node *name, bool *ret_alias)
{
	const struct yaml_pair *alias = s->aliases ? yaml_find(s->aliases, name->text.ptr) : NULL;

	*ret_alias = alias != NULL;
	if (alias)
		for (uint32_t i = 0; i < alias->value->n; i++)
			if (find_input(s, alias->value->pairs[i].key->text) == (int)input)
				return add_field(s->l, alias->value->pairs[i].value, alias->value->pairs[i].value->text);
	return add_field(s->l, name, name->text);
}

static bool read_keys(struct state *s)
{
	const struct yaml_pair *pair = yaml_find(s->section, "group-by");
	struct loader *l = s->l;
	struct correlation *c = s->c;
	const struct yaml_node **names = NULL;
	uint32_t n = 0;
	bool alias;

	if (pair && !(pair->value->kind == YAML_SCALAR && pair->value->type == YAML_NULL)) {
		names = get_list(l, pair->value, "group-by", &n);
		if (!names)
			return false;
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (span_equal(names[i]->text, names[k]->text)) {
				report(l, DIAG_ERROR, names[i], "\"%s\" stands twice in group-by", names[i]->text.ptr);
				return false;
			}
	c->n_keys = n;
	c->keys = arena_alloc(&l->rs->arena, (n + 1) * sizeof *c->keys);
	for (uint32_t k = 0; k < n; k++)
		c->keys[k] = keep_text(l, names[k]->text);
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		field_id *keys = arena_alloc(&l->rs->arena, (n + 1) * sizeof *keys);

		for (uint32_t k = 0; k < n; k++) {
			keys[k] = field_for(s, i, names[k], &alias);
			if (keys[k] == FIELD_NONE)
				return false;
			field_set_add(&s->d->fields, keys[k]);
		}
		c->inputs[i].keys = keys;
	}
	for (uint32_t i = 0; s->aliases && i < s->aliases->n && l->lint; i++) {
		bool used = false;

		for (uint32_t k = 0; k < n; k++)
			used |= span_equal(names[k]->text, s->aliases->pairs[i].key->text);
		if (!used)
			report(l, DIAG_WARNING, s->aliases->pairs[i].key, "group-by does not use the alias \"%s\"",
			       s->aliases->pairs[i].key->text.ptr);
	}
	return true;
}

/* ---- bounds ---- */

static bool read_value_fields(struct state *s, const struct yaml_node *v)
{
	struct loader *l = s->l;
	const struct yaml_node **names;
	uint32_t n;

	names = get_list(l, v, "field", &n);
	if (!names)
		return false;
	if (n == 0 || (n > 1 && s->c->type != CORRELATION_VALUE_COUNT && s->c->type != CORRELATION_CONCURRENT)) {
		report(l, DIAG_ERROR, v, "%s needs %s field", type_names[s->c->type], n ? "one" : "a");
		return false;
	}
	s->c->value_fields = arena_alloc(&l->rs->arena, n * sizeof *s->c->value_fields);
	for (uint32_t i = 0; i < n; i++) {
		field_id first = FIELD_NONE;

		for (uint32_t k = 0; k < s->c->n_inputs; k++) {
			bool alias;
			field_id f = field_for(s, k, names[i], &alias);

			if (f == FIELD_NONE)
				return false;
			if (k == 0)
				first = f;
			if (f != first) {
				report(l, DIAG_ERROR, names[i], "an alias can stand for one field only here, and \"%s\" stands for several",
				       names[i]->text.ptr);
				return false;
			}
		}
		s->c->value_fields[i] = first;
		field_set_add(&s->d->fields, first);
	}
	s->c->n_value_fields = n;
	return true;
}

static bool read_percentile(struct state *s, const struct yaml_node *v)
{
	if (s->c->type != CORRELATION_VALUE_PERCENTILE) {
		report(s->l, DIAG_ERROR, v, "only value_percentile has a percentile");
		return false;
	}
	if (!yaml_to_number(v, &s->c->percentile) || s->c->percentile < 0 || s->c->percentile > 100) {
		report(s->l, DIAG_ERROR, v, "the percentile must be a number from 0 to 100");
		return false;
	}
	return true;
}

static bool bound_allows(const struct bound *b, double v)
{
	switch (b->op) {
	case BOUND_GT:
		return v > b->value;
	case BOUND_GTE:
		return v >= b->value;
	case BOUND_LT:
		return v < b->value;
	case BOUND_LTE:
		return v <= b->value;
	case BOUND_EQ:
		return v == b->value;
	case BOUND_NEQ:
		return v != b->value;
	}
	return false;
}

/* Do the bounds leave any value? Each bound's own value and its neighbours are enough to try. */
static bool bounds_can_hold(const struct correlation *c, bool counts)
{
	for (uint32_t i = 0; i < c->n_bounds; i++)
		for (int step = -1; step <= 1; step++) {
			double v = c->bounds[i].value, size = v < 0 ? -v : v;
			bool all = true;

			if (size > 1e15)
				return true;
			if (counts)
				v = (double)((int64_t)v + step);
			else
				v += step * (size > 1 ? size : 1) * 1e-9;
			if (counts && v < 1)
				continue;
			for (uint32_t k = 0; k < c->n_bounds; k++)
				all &= bound_allows(&c->bounds[k], v);
			if (all)
				return true;
		}
	return false;
}

/* The same of a number of rules. */
static bool few_enough(const struct correlation *c)
{
	for (uint32_t n = 1; n <= c->n_inputs; n++) {
		bool all = true;

		for (uint32_t k = 0; k < c->n_bounds; k++)
			all &= bound_allows(&c->bounds[k], n);
		if (all)
			return true;
	}
	return false;
}

static bool read_bounds(struct state *s, const struct yaml_node *v)
{
	static const char *const known[] = { "gt", "gte", "lt", "lte", "eq", "neq", "field", "percentile", NULL };
	struct loader *l = s->l;
	struct correlation *c = s->c;
	struct buffer text = BUFFER_INIT;
	size_t errors = l->diags->n_errors;
	bool counts = c->type == CORRELATION_EVENT_COUNT || c->type == CORRELATION_VALUE_COUNT || c->type == CORRELATION_CONCURRENT ||
		      is_temporal(c);

	check_keys(l, v, "a condition", known);
	c->bounds = arena_alloc(&l->rs->arena, (v->n + 1) * sizeof *c->bounds);
	c->percentile = 50;
	for (uint32_t i = 0; i < v->n; i++) {
		const struct yaml_pair *pair = &v->pairs[i];

		if (span_equal(pair->key->text, SPAN("field"))) {
			if (!has_value_field(c)) {
				report(l, DIAG_ERROR, pair->key, "%s looks at no field", type_names[c->type]);
				if (c->type == CORRELATION_EVENT_COUNT)
					hint(l, "value_count counts the distinct values of a field");
			} else {
				read_value_fields(s, pair->value);
			}
			continue;
		}
		if (span_equal(pair->key->text, SPAN("percentile"))) {
			read_percentile(s, pair->value);
			continue;
		}
		for (size_t k = 0; k < sizeof bound_names / sizeof *bound_names; k++) {
			struct bound b = { .op = (enum bound_op)k };

			if (!span_equal(pair->key->text, span_from_string(bound_names[k])))
				continue;
			if (!yaml_to_number(pair->value, &b.value)) {
				report(l, DIAG_ERROR, pair->value, "\"%s\" takes a number", bound_names[k]);
				continue;
			}
			c->bounds[c->n_bounds++] = b;
			buffer_printf(&text, "%s%s %.15g", text.len ? " and " : "", bound_names[k], b.value);
		}
	}
	if (l->diags->n_errors == errors && c->n_bounds == 0) {
		report(l, DIAG_ERROR, v, "the condition has no bound");
		hint(l, "gt, gte, lt, lte, eq or neq, such as {gte: 5}");
	}
	if (l->diags->n_errors == errors && has_value_field(c) && !c->n_value_fields) {
		report(l, DIAG_ERROR, v, "%s needs a field in its condition", type_names[c->type]);
		hint(l, "such as {field: agent, gte: 3}");
	}
	if (l->diags->n_errors == errors && l->lint && !(is_temporal(c) ? few_enough(c) : bounds_can_hold(c, counts)))
		report(l, DIAG_WARNING, v, "this condition can never hold");
	c->condition_text = keep_text(l, buffer_span(&text));
	buffer_release(&text);
	return l->diags->n_errors == errors;
}

/* ---- extended temporal conditions ---- */

struct presence_state {
	struct state *s;
	const struct yaml_node *text;
	bool *wanted, *unwanted; /* by input */
	uint32_t n_nodes;
	bool failed;
};

static struct presence *new_presence(struct presence_state *p, uint32_t n_children)
{
	struct presence *x = arena_zalloc(&p->s->l->rs->arena, sizeof *x);

	x->n_children = n_children;
	if (n_children)
		x->children = arena_alloc(&p->s->l->rs->arena, n_children * sizeof *x->children);
	p->n_nodes++;
	return x;
}

static const struct presence *input_presence(struct presence_state *p, uint32_t input, bool positive)
{
	struct presence *x = new_presence(p, 0);

	x->op = PRESENCE_INPUT;
	x->input = input;
	(positive ? p->wanted : p->unwanted)[input] = true;
	return x;
}

/* At least k of the inputs from i on. */
static const struct presence *presence_at_least(struct presence_state *p, const uint32_t *inputs, uint32_t n, uint32_t k, bool positive)
{
	struct presence *x, *both;

	if (p->n_nodes > PRESENCE_MAX) {
		p->failed = true;
		return NULL;
	}
	if (k == 1 || k == n) {
		if (n == 1)
			return input_presence(p, inputs[0], positive);
		x = new_presence(p, n);
		x->op = k == 1 ? PRESENCE_OR : PRESENCE_AND;
		for (uint32_t i = 0; i < n; i++)
			x->children[i] = input_presence(p, inputs[i], positive);
		return x;
	}
	both = new_presence(p, 2);
	both->op = PRESENCE_AND;
	both->children[0] = input_presence(p, inputs[0], positive);
	both->children[1] = presence_at_least(p, inputs + 1, n - 1, k - 1, positive);
	x = new_presence(p, 2);
	x->op = PRESENCE_OR;
	x->children[0] = both;
	x->children[1] = presence_at_least(p, inputs + 1, n - 1, k, positive);
	return x;
}

static const struct presence *resolve_presence(struct presence_state *p, const struct condition *c, bool positive)
{
	struct loader *l = p->s->l;
	struct correlation *correlation = p->s->c;
	struct presence *x;
	uint32_t *inputs, n = 0;
	int input;

	switch (c->op) {
	case CONDITION_NAME:
		input = find_input(p->s, c->name);
		if (input < 0) {
			const char **words = arena_alloc(&l->scratch, (correlation->n_inputs + 1) * sizeof *words);

			for (uint32_t i = 0; i < correlation->n_inputs; i++)
				words[i] = p->s->input_nodes[i]->text.ptr;
			words[correlation->n_inputs] = NULL;
			report_in(l, DIAG_ERROR, p->text, c->at, c->name.len, "\"%.*s\" is not among the rules of this correlation",
				  (int)(c->name.len < 200 ? c->name.len : 200), c->name.ptr);
			suggest(l, c->name, words);
			p->failed = true;
			return NULL;
		}
		return input_presence(p, (uint32_t)input, positive);
	case CONDITION_OF:
		inputs = arena_alloc(&l->scratch, correlation->n_inputs * sizeof *inputs);
		for (uint32_t i = 0; i < correlation->n_inputs; i++)
			if (span_equal(c->name, SPAN("them")) || condition_name_matches(c->name, p->s->input_nodes[i]->text))
				inputs[n++] = i;
		if (n == 0 || c->count > n) {
			report_in(l, DIAG_ERROR, p->text, c->at, c->name.len, "only %u of the rules are called so", n);
			p->failed = true;
			return NULL;
		}
		return presence_at_least(p, inputs, n, c->count ? c->count : n, positive);
	case CONDITION_NOT:
	case CONDITION_AND:
	case CONDITION_OR:
		x = new_presence(p, c->n_children);
		x->op = c->op == CONDITION_NOT ? PRESENCE_NOT : c->op == CONDITION_AND ? PRESENCE_AND : PRESENCE_OR;
		for (uint32_t i = 0; i < c->n_children; i++)
			x->children[i] = resolve_presence(p, c->children[i], positive != (c->op == CONDITION_NOT));
		return x;
	}
	return NULL;
}

/* Would it hold when nothing at all has happened? */
static bool holds_of_nothing(const struct presence *x)
{
	switch (x->op) {
	case PRESENCE_INPUT:
		return false;
	case PRESENCE_NOT:
		return !holds_of_nothing(x->children[0]);
	case PRESENCE_AND:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (!holds_of_nothing(x->children[i]))
				return false;
		return true;
	case PRESENCE_OR:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (holds_of_nothing(x->children[i]))
				return true;
		return false;
	}
	return false;
}

static bool read_presence(struct state *s, const struct yaml_node *text, const struct condition *condition)
{
	struct loader *l = s->l;
	struct correlation *c = s->c;
	struct presence_state p = { .s = s, .text = text };
	uint32_t last_wanted = 0;

	p.wanted = arena_zalloc(&l->scratch, c->n_inputs);
	p.unwanted = arena_zalloc(&l->scratch, c->n_inputs);
	c->presence = resolve_presence(&p, condition, true);
	if (p.failed) {
		if (p.n_nodes > PRESENCE_MAX)
			report(l, DIAG_ERROR, text, "the condition is too large once \"of\" is written out");
		return false;
	}
	if (holds_of_nothing(c->presence)) {
		report(l, DIAG_ERROR, text, "this condition holds when nothing has happened at all");
		hint(l, "what did not happen is judged from something that did: \"TRIGGER and not ANSWER\"");
		return false;
	}
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		if (p.wanted[i] && p.unwanted[i]) {
			report(l, DIAG_ERROR, text, "\"%s\" is both wanted and not wanted here", s->input_nodes[i]->text.ptr);
			return false;
		}
		if (!p.wanted[i] && !p.unwanted[i] && l->lint)
			report(l, DIAG_WARNING, s->input_nodes[i], "the condition does not speak of \"%s\"", s->input_nodes[i]->text.ptr);
		if (p.wanted[i])
			last_wanted = i;
		c->inputs[i].negated = p.unwanted[i];
		c->has_negation |= p.unwanted[i];
	}
	for (uint32_t i = 0; i < c->n_inputs; i++)
		c->inputs[i].after = c->inputs[i].negated && (c->type == CORRELATION_TEMPORAL || i > last_wanted);
	c->condition_text = keep_text(l, text->text);
	return true;
}

/* ---- orders ---- */

/* Sets of inputs each of which makes a condition true; none holds another. */
struct input_sets {
	uint64_t of[CHAINS_MAX];
	uint32_t n;
};

static bool sets_add(struct input_sets *s, uint64_t set)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n; i++)
		if ((s->of[i] & set) == s->of[i])
			return true; /* less will do */
	for (uint32_t i = 0; i < s->n; i++)
		if ((s->of[i] & set) != set)
			s->of[kept++] = s->of[i];
	s->n = kept;
	if (s->n == CHAINS_MAX)
		return false;
	s->of[s->n++] = set;
	return true;
}

/* What is enough when nothing of what is not wanted has happened. False when there are too many sets. */
static bool sets_of(const struct presence *x, bool negated, struct input_sets *out)
{
	struct input_sets child, before;

	out->n = 0;
	if (x->op == PRESENCE_INPUT)
		return sets_add(out, negated ? 0 : UINT64_C(1) << x->input);
	if (x->op == PRESENCE_NOT)
		return sets_of(x->children[0], !negated, out);
	bool any = (x->op == PRESENCE_OR) != negated;
	if (!any)
		sets_add(out, 0);
	for (uint32_t i = 0; i < x->n_children; i++) {
		if (!sets_of(x->children[i], negated, &child))
			return false;
		before = *out;
		if (!any)
			out->n = 0;
		for (uint32_t k = 0; k < child.n; k++) {
			if (any && !sets_add(out, child.of[k]))
				return false;
			for (uint32_t j = 0; !any && j < before.n; j++)
				if (!sets_add(out, before.of[j] | child.of[k]))
					return false;
		}
	}
	return true;
}

static bool sets_of_size(struct input_sets *out, uint32_t n, uint32_t from, uint32_t size, uint64_t set)
{
	if (size == 0)
		return sets_add(out, set);
	for (uint32_t i = from; i + size <= n; i++)
		if (!sets_of_size(out, n, i + 1, size - 1, set | UINT64_C(1) << i))
			return false;
	return true;
}

/* How many inputs the bounds ask for at least; 0: for none. False when more would be too many. */
static bool least_inputs(const struct correlation *c, uint32_t *ret)
{
	*ret = 0;
	for (uint32_t n = 1; n <= c->n_inputs; n++) {
		bool all = true;

		for (uint32_t k = 0; k < c->n_bounds; k++)
			all &= bound_allows(&c->bounds[k], n);
		if (all && !*ret)
			*ret = n;
		if (!all && *ret)
			return false;
	}
	return true;
}

static bool read_orders(struct state *s, const struct yaml_node *condition)
{
	struct correlation *c = s->c;
	struct input_sets sets = { .n = 0 };
	struct chain *chains;
	uint64_t all = 0;
	uint32_t least;
	bool few = true;

	c->n_slots = c->n_inputs;
	if (c->type != CORRELATION_TEMPORAL_ORDERED || (!c->presence && !c->n_bounds))
		return true;
	for (uint32_t i = 0; i < c->n_inputs; i++)
		all |= c->inputs[i].negated ? 0 : UINT64_C(1) << i;
	if (c->presence) {
		few = sets_of(c->presence, false, &sets);
	} else {
		if (!least_inputs(c, &least)) {
			report(s->l, DIAG_ERROR, condition, "%s can ask for so many of its rules at least, not at most", type_names[c->type]);
			hint(s->l, "such as {gte: %u}; without a condition it asks for all of them", c->n_inputs);
			return false;
		}
		few = least == 0 || sets_of_size(&sets, c->n_inputs, 0, least, 0);
	}
	if (sets.n == 0 || (few && sets.n == 1 && sets.of[0] == all))
		return true;
	chains = arena_alloc(&s->l->rs->arena, sets.n * sizeof *chains);
	for (uint32_t i = 0; i < sets.n; i++) {
		chains[i] = (struct chain){ .inputs = sets.of[i], .first_slot = c->n_slots };
		c->n_slots += (uint32_t)__builtin_popcountll(sets.of[i]);
	}
	if (!few || c->n_slots - c->n_inputs > CHAIN_STEPS_MAX) {
		report(s->l, DIAG_ERROR, condition, "this condition can be met in too many orders: more than %d, or with more than %d steps in all",
		       CHAINS_MAX, CHAIN_STEPS_MAX);
		hint(s->l, "write several correlations, or ask for more of the rules");
		return false;
	}
	c->chains = chains;
	c->n_chains = sets.n;
	return true;
}

static void default_condition_text(struct state *s)
{
	struct buffer b = BUFFER_INIT;

	for (uint32_t i = 0; i < s->c->n_inputs; i++)
		buffer_printf(&b, "%s%s", i ? " and " : "", s->input_nodes[i]->text.ptr);
	s->c->condition_text = keep_text(s->l, buffer_span(&b));
	buffer_release(&b);
}

/* ---- times ---- */

static bool read_times(struct state *s)
{
	struct loader *l = s->l;
	struct correlation *c = s->c;
	const struct yaml_pair *span = yaml_find(s->section, "timespan"), *gap = yaml_find(s->section, "max-gap");

	if (!span && c->type != CORRELATION_CONCURRENT) {
		report(l, DIAG_ERROR, s->section, "a correlation must have a timespan");
		hint(l, yaml_find(s->section, "timeframe") ? "a timeframe is called timespan here" : "such as timespan: 1h");
		return false;
	}
	if (span) {
		if (!get_duration(l, span->value, &c->timespan_ns))
			return false;
		if (c->timespan_ns <= 0) {
			report(l, DIAG_ERROR, span->value, "the timespan must be longer than nothing");
			return false;
		}
	}
	c->max_gap_ns = c->timespan_ns;
	if (gap) {
		if (c->type != CORRELATION_SUSTAINED) {
			report(l, DIAG_ERROR, gap->key, "only a sustained correlation has a max-gap");
			return false;
		}
		if (!get_duration(l, gap->value, &c->max_gap_ns))
			return false;
		if (c->max_gap_ns <= 0) {
			report(l, DIAG_ERROR, gap->value, "max-gap must be longer than nothing");
			return false;
		}
	}
	return true;
}

static bool check_shape(struct state *s)
{
	struct loader *l = s->l;
	struct correlation *c = s->c;

	if (c->type == CORRELATION_SUSTAINED && c->n_inputs != 1) {
		report(l, DIAG_ERROR, s->input_nodes[1], "a sustained correlation watches one detection");
		hint(l, "join the selections in one detection with \"or\"");
		return false;
	}
	if (c->type != CORRELATION_SUSTAINED && c->type != CORRELATION_CONCURRENT)
		return true;
	for (uint32_t i = 0; i < c->n_inputs; i++)
		if (l->drafts[c->inputs[i].rule].rule.kind != RULE_DETECTION) {
			report(l, DIAG_ERROR, s->input_nodes[i], "a %s correlation looks at events: \"%s\" is itself a correlation",
			       type_names[c->type], s->input_nodes[i]->text.ptr);
			return false;
		}
	return true;
}

static bool read_generate(struct state *s, const struct yaml_node *map)
{
	const struct yaml_pair *pair = yaml_find(map, "generate");
	bool generate = false;

	if (!pair)
		return true;
	if (!yaml_to_bool(pair->value, &generate)) {
		report(s->l, DIAG_ERROR, pair->value, "generate is true or false");
		return false;
	}
	if (generate)
		for (uint32_t i = 0; i < s->c->n_inputs; i++)
			s->l->drafts[s->c->inputs[i].rule].wanted_alone = true;
	return true;
}

void compile_correlation(struct loader *l, struct draft *d)
{
	static const char *const known[] = { "type",	  "rules",     "group-by", "timespan", "condition",
					     "aliases",	  "generate",  "max-gap",  NULL };
	struct correlation *c = arena_zalloc(&l->rs->arena, sizeof *c);
	struct state s = { .l = l, .d = d, .c = c, .section = d->section };
	const struct yaml_pair *pair;
	const struct yaml_node *text = NULL;
	struct condition *condition = NULL;
	size_t errors = l->diags->n_errors;
	bool inputs;

	d->correlation = c;
	d->rule.correlation = c;
	d->failed = true;
	if (d->section->kind != YAML_MAP) {
		report(l, DIAG_ERROR, d->section, "correlation must be a map");
		return;
	}
	check_keys(l, d->section, "a correlation", known);
	if (!read_type(&s))
		return;
	pair = yaml_find(d->section, "condition");
	if (pair && pair->value->kind == YAML_SCALAR && is_temporal(c)) {
		text = pair->value;
		condition = condition_parse(l, text, SPAN(""));
		if (!condition)
			return;
	}
	/* Each part is looked at whatever is wrong with the others, as far as it does not rest on them. */
	inputs = read_inputs(&s, condition, text);
	if (inputs && check_aliases(&s))
		read_keys(&s);
	read_times(&s);
	read_generate(&s, d->section);
	read_generate(&s, d->document);
	if (inputs)
		check_shape(&s);
	if (condition) {
		if (inputs)
			read_presence(&s, text, condition);
	} else if (c->type == CORRELATION_SUSTAINED) {
		struct buffer b = BUFFER_INIT;

		if (pair)
			report(l, DIAG_ERROR, pair->key, "a sustained correlation has no condition: the detection holds, or not");
		buffer_append_string(&b, "held for ");
		duration_format(&b, c->timespan_ns);
		c->condition_text = keep_text(l, buffer_span(&b));
		buffer_release(&b);
	} else if (pair && pair->value->kind == YAML_MAP) {
		read_bounds(&s, pair->value);
	} else if (pair) {
		report(l, DIAG_ERROR, pair->value, "the condition must be a map of bounds%s",
		       is_temporal(c) ? ", or rules joined with and, or, not" : "");
		hint(l, "such as {gt: 5}");
	} else if (is_temporal(c)) {
		default_condition_text(&s);
	} else {
		report(l, DIAG_ERROR, d->section, "%s needs a condition", type_names[c->type]);
		hint(l, has_value_field(c) ? "such as condition: {field: agent, gte: 3}" : "such as condition: {gt: 5}");
	}
	if (l->diags->n_errors == errors && is_temporal(c))
		read_orders(&s, pair ? pair->value : d->section);
	d->failed = l->diags->n_errors != errors;
}
