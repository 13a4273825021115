/*
 * lint.c: decides what is doubtful about rules that are valid: windows that cannot fill, names that are likely slips, rules that nothing
 * feeds. Warnings only; a clean bill means nothing for what the rule is worth. What is doubtful about a single value
 * is told where that value is compiled.
 */
#include "rule/regex.h"
#include <inttypes.h>
#include <strings.h>

#define SNAPSHOT_INTERVAL_NS (60 * NS_PER_SECOND) /* of the usual cron line */
#define LITERAL_BYTES 3

static bool is_service(const struct rule *r, const char *service)
{
	return is_gastown(&r->logsource) && r->logsource.service && strcasecmp(r->logsource.service, service) == 0;
}

/* Could this input be of the source? Correlations: could one of theirs. */
static bool reads(const struct loader *l, const struct draft *d, const char *service, int depth)
{
	if (!d->correlation)
		return is_service(&d->rule, service);
	for (uint32_t i = 0; depth < 64 && i < d->correlation->n_inputs; i++)
		if (reads(l, &l->drafts[d->correlation->inputs[i].rule], service, depth + 1))
			return true;
	return false;
}

/* ---- detections ---- */

static void lint_logsource(struct loader *l, const struct draft *d)
{
	const struct yaml_pair *pair = yaml_find(d->document, "logsource");
	const struct yaml_pair *service = pair ? yaml_find(pair->value, "service") : NULL;
	const struct source *builtin;
	const char **words;
	struct buffer b = BUFFER_INIT;
	size_t n = 0, k = 0;

	if (!is_gastown(&d->rule.logsource)) {
		static const char *const product[] = { "gastown", NULL };

		if (d->rule.logsource.product && nearest_word(d->rule.logsource.product, product) && yaml_find(pair->value, "product")) {
			report(l, DIAG_WARNING, yaml_find(pair->value, "product")->value, "the product is not gastown");
			suggest(l, span_from_string(d->rule.logsource.product), product);
		}
		return;
	}
	if (d->rule.about_incidents)
		return;
	builtin = builtin_sources(&n);
	words = arena_alloc(&l->scratch, (n + l->n_sources + 2) * sizeof *words);
	for (size_t i = 0; i < n + l->n_sources; i++) {
		const struct source *s = i < n ? &builtin[i] : l->sources[i - n].source;

		if (rule_applies(&d->rule, s))
			return;
		words[k++] = s->service ? s->service : s->name;
	}
	words[k++] = "incident";
	words[k] = NULL;
	report(l, DIAG_WARNING, service ? service->value : pair->key, "no source feeds this rule");
	if (!service || !suggest(l, service->value->text, words)) {
		for (size_t i = 0; i < k; i++)
			buffer_printf(&b, "%s%s", i ? ", " : "", words[i]);
		hint(l, "the services of gastown are: %s", buffer_string(&b));
	}
	buffer_release(&b);
}

static const char *const town_types[] = {
	"spawn",	   "wake",	      "nudge",		    "handoff",	       "handoff-NOPERSIST", "done",
	"crash",	   "kill",	      "callback",	    "patrol_started",  "polecat_checked",   "polecat_nudged",
	"escalation_sent", "patrol_complete", "session_death",	    "mass_death",      NULL,
};
static const char *const event_types[] = {
	"sling",	 "hook",	  "unhook",	     "handoff",	      "done",		"mail",		   "spawn",
	"kill",		 "nudge",	  "boot",	     "halt",	      "session_start",	"session_end",	   "session_death",
	"mass_death",	 "patrol_started", "patrol_complete", "polecat_checked", "polecat_nudged", "escalation_sent", "merge_started",
	"merged",	 "merge_failed",  "merge_skipped",   NULL,
};

static void lint_type(struct loader *l, const struct yaml_node *value, const char *const *types)
{
	const char *const *t = types;
	char word[64];

	if (value->kind == YAML_LIST) {
		for (uint32_t i = 0; i < value->n; i++)
			lint_type(l, value->items[i], types);
		return;
	}
	if (value->kind != YAML_SCALAR || value->text.len >= sizeof word || value->type == YAML_NULL)
		return;
	memcpy(word, value->text.ptr, value->text.len);
	word[value->text.len] = '\0';
	while (*t && strcasecmp(*t, word) != 0)
		t++;
	/* Others may write types of their own; only what looks like a slip is told. */
	if (!*t && !strpbrk(word, "*?") && nearest_word(word, types)) {
		report(l, DIAG_WARNING, value, "events are not known to have the type \"%s\"", word);
		suggest(l, value->text, types);
	}
}

/* A field that is not built in, but nearly so. */
static void lint_field(struct loader *l, const struct yaml_node *key)
{
	const char *words[FIELD_BUILTIN_COUNT + 1];
	struct span name = key->text;
	char word[64];
	field_id f;

	for (size_t i = 0; i < name.len; i++)
		if (key->text.ptr[i] == '|')
			name.len = i;
	f = field_find(&l->rs->fields, name);
	if (f < FIELD_BUILTIN_COUNT || name.len == 0 || name.len >= sizeof word || memchr(name.ptr, '.', name.len))
		return;
	memcpy(word, name.ptr, name.len);
	word[name.len] = '\0';
	for (field_id i = 0; i < FIELD_BUILTIN_COUNT; i++)
		words[i] = field_name(&l->rs->fields, i).ptr;
	words[FIELD_BUILTIN_COUNT] = NULL;
	if (!nearest_word(word, words))
		return;
	report_in(l, DIAG_WARNING, key, 0, name.len, "\"%s\" is not a field that tocsin makes", word);
	suggest(l, name, words);
}

static bool fills(const struct loader *l, const struct draft *d, struct span name)
{
	field_id f = field_find(&l->rs->fields, name);

	for (size_t i = 0; i < l->n_sources; i++)
		if (rule_applies(&d->rule, l->sources[i].source) && field_set_has(&l->sources[i].fields, f))
			return true;
	return false;
}

/* By these names rules of other people mean a member of the record; by time and raw hardly ever. */
static void lint_own_name(struct loader *l, const struct draft *d, const struct yaml_node *key)
{
	struct span name = key->text;
	field_id f;

	for (size_t i = 0; i < name.len; i++)
		if (key->text.ptr[i] == '|')
			name.len = i;
	f = field_find(&l->rs->fields, name);
	if ((f != FIELD_SOURCE && f != FIELD_FILE && f != FIELD_LINE) || fills(l, d, name))
		return;
	report_in(l, DIAG_WARNING, key, 0, name.len, "\"%.*s\" is here where tocsin read the record, not a member of it", (int)name.len, name.ptr);
	hint(l, "a member of that name, in JSON, is record.%.*s", (int)name.len, name.ptr);
}

static void lint_regexes(struct loader *l, const struct yaml_node *value)
{
	if (value->kind == YAML_LIST) {
		for (uint32_t i = 0; i < value->n; i++)
			lint_regexes(l, value->items[i]);
	} else if (value->kind == YAML_SCALAR && regex_required_bytes(value->text) < LITERAL_BYTES) {
		report(l, DIAG_WARNING, value, "nothing in this regex must occur as it stands: every record of the source is tried");
		hint(l, "a fixed word of %d letters or more, in the regex or in another field of the selection, makes it fast", LITERAL_BYTES);
	}
}

static bool has_modifier(struct span key, const char *modifier)
{
	size_t len = strlen(modifier);

	for (size_t i = 0; i + len < key.len; i++)
		if (key.ptr[i] == '|' && memcmp(key.ptr + i + 1, modifier, len) == 0 &&
		    (i + 1 + len == key.len || key.ptr[i + 1 + len] == '|'))
			return true;
	return false;
}

struct walk {
	struct loader *l;
	const struct draft *d;
	const char *const *types;
	bool town, foreign, slow;
};

static void walk_selection(const struct walk *w, const struct yaml_node *v)
{
	for (uint32_t i = 0; i < v->n && v->kind == YAML_LIST; i++)
		walk_selection(w, v->items[i]);
	for (uint32_t i = 0; i < v->n && v->kind == YAML_MAP; i++) {
		const struct yaml_node *key = v->pairs[i].key, *value = v->pairs[i].value;

		if (w->town && !fills(w->l, w->d, key->text))
			lint_field(w->l, key);
		if (w->foreign)
			lint_own_name(w->l, w->d, key);
		if (w->types && (span_equal(key->text, SPAN("type")) || span_equal(key->text, SPAN("type|cased"))))
			lint_type(w->l, value, w->types);
		if (w->slow && has_modifier(key->text, "re"))
			lint_regexes(w->l, value);
	}
}

/* Must some bytes occur in every record that matches? A guess that the prefilter's own answer may exceed. */
static bool has_literal(const struct loader *l, const struct expr *x)
{
	const struct atom *a;

	switch (x->op) {
	case EXPR_TRUE:
	case EXPR_NOT:
		return false;
	case EXPR_FALSE:
		return true;
	case EXPR_ATOM:
		a = &l->atoms[x->atom];
		if (a->op == ATOM_REGEX)
			return regex_required_bytes(span_from_string(a->regex)) >= LITERAL_BYTES;
		for (uint16_t i = 0; i < a->pattern.n_pieces; i++)
			if (a->pattern.pieces[i].len >= LITERAL_BYTES)
				return true;
		return false;
	case EXPR_AND:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (has_literal(l, x->children[i]))
				return true;
		return false;
	case EXPR_OR:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (!has_literal(l, x->children[i]))
				return false;
		return x->n_children > 0;
	}
	return false;
}

/* The values a single-valued field must be one of; at most N of them. */
#define TYPES_MAX 32
struct type_set {
	struct span items[TYPES_MAX];
	int n; /* -1: any */
};

static struct type_set possible_types(const struct loader *l, const struct expr *x)
{
	struct type_set r = { .n = -1 }, one;
	const struct atom *a;

	switch (x->op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
	case EXPR_NOT:
		return r;
	case EXPR_ATOM:
		a = &l->atoms[x->atom];
		if (a->op == ATOM_STRING && a->field == FIELD_TYPE && a->pattern.n_pieces == 1 && !a->pattern.open_start &&
		    !a->pattern.open_end && !memchr(a->pattern.pieces[0].ptr, 0, a->pattern.pieces[0].len)) {
			r.items[0] = a->pattern.pieces[0];
			r.n = 1;
		}
		return r;
	case EXPR_AND:
		for (uint32_t i = 0; i < x->n_children && r.n; i++) {
			one = possible_types(l, x->children[i]);
			if (one.n < 0)
				continue;
			if (r.n < 0) {
				r = one;
				continue;
			}
			for (int k = 0; k < r.n;) {
				bool found = false;

				for (int m = 0; m < one.n; m++)
					found |= one.items[m].len == r.items[k].len &&
						 strncasecmp(one.items[m].ptr, r.items[k].ptr, r.items[k].len) == 0;
				if (found)
					k++;
				else
					r.items[k] = r.items[--r.n];
			}
		}
		return r;
	case EXPR_OR:
		r.n = 0;
		for (uint32_t i = 0; i < x->n_children; i++) {
			one = possible_types(l, x->children[i]);
			if (one.n < 0 || r.n + one.n > TYPES_MAX) {
				r.n = -1;
				return r;
			}
			for (int k = 0; k < one.n; k++)
				r.items[r.n++] = one.items[k];
		}
		return r;
	}
	return r;
}

static bool is_false(const struct expr *x)
{
	bool all = x->op == EXPR_OR;

	if (x->op == EXPR_FALSE)
		return true;
	for (uint32_t i = 0; i < x->n_children; i++) {
		bool f = is_false(x->children[i]);

		if (x->op == EXPR_AND && f)
			return true;
		all &= f;
	}
	return all && x->op == EXPR_OR && x->n_children;
}

static void lint_detection(struct loader *l, const struct draft *d)
{
	struct walk w = { .l = l, .d = d };
	const struct yaml_pair *condition = yaml_find(d->section, "condition");

	w.town = is_gastown(&d->rule.logsource);
	w.foreign = !w.town && (d->rule.logsource.product || d->rule.logsource.category || d->rule.logsource.service);
	w.types = is_service(&d->rule, "town") ? town_types : is_service(&d->rule, "events") ? event_types : NULL;
	/* Of snapshots every row is parsed anyway, and incidents are few. */
	w.slow = !is_service(&d->rule, "ps") && !d->rule.about_incidents && !has_literal(l, d->rule.expr);
	lint_logsource(l, d);
	for (uint32_t i = 0; i < d->section->n; i++)
		if (&d->section->pairs[i] != condition)
			walk_selection(&w, d->section->pairs[i].value);
	if (condition && is_false(d->rule.expr))
		report(l, DIAG_WARNING, condition->value, "nothing can match this detection");
	else if (condition && possible_types(l, d->rule.expr).n == 0)
		report(l, DIAG_WARNING, condition->value, "nothing can match this detection: no event has two types");
}

/* ---- correlations ---- */

static void lint_correlation(struct loader *l, const struct draft *d)
{
	const struct correlation *c = d->correlation;
	const struct yaml_pair *timespan = yaml_find(d->section, "timespan"), *keys = yaml_find(d->section, "group-by"),
			       *condition = yaml_find(d->section, "condition"), *incident = yaml_find(d->document, "incident");
	const struct yaml_pair *field = condition ? yaml_find(condition->value, "field") : NULL;
	bool counts = c->type <= CORRELATION_VALUE_MAX, snapshots = c->type == CORRELATION_SUSTAINED || c->type == CORRELATION_CONCURRENT;

	if (c->type == CORRELATION_VALUE_COUNT && c->n_value_fields == 1 && field)
		for (uint32_t k = 0; k < c->n_keys; k++)
			if (c->inputs[0].keys[k] == c->value_fields[0]) {
				report(l, DIAG_WARNING, field->value, "\"%s\" is in group-by: it has one value in every group",
				       field->value->kind == YAML_SCALAR ? field->value->text.ptr : c->keys[k]);
				break;
			}
	if (snapshots && timespan && c->timespan_ns < SNAPSHOT_INTERVAL_NS && reads(l, d, "ps", 0)) {
		report(l, DIAG_WARNING, timespan->value, "shorter than the usual time between two snapshots of ps, 60 s");
		if (c->type == CORRELATION_SUSTAINED)
			hint(l, "with max-gap below it too, nothing ever accrues; set both above the interval");
	}
	if (c->type == CORRELATION_SUSTAINED && c->max_gap_ns < SNAPSHOT_INTERVAL_NS && c->timespan_ns >= SNAPSHOT_INTERVAL_NS &&
	    reads(l, d, "ps", 0))
		report(l, DIAG_WARNING, yaml_find(d->section, "max-gap")->value,
		       "shorter than the usual time between two snapshots of ps, 60 s: no time accrues");
	if (c->type == CORRELATION_CONCURRENT && !reads(l, d, "ps", 0) && !d->any_field) {
		report(l, DIAG_WARNING, d->label, "only ps has snapshots: this rule never fires");
		hint(l, "value_count counts distinct values in a window");
	}
	if (keys && keys->value->kind == YAML_LIST && !d->any_field && !reads(l, d, "events", 0))
		for (uint32_t i = 0; i < keys->value->n; i++) {
			const struct yaml_node *name = keys->value->items[i];
			bool known = yaml_find(d->section, "aliases") && yaml_find(yaml_find(d->section, "aliases")->value, name->text.ptr);

			for (uint32_t k = 0; k < c->n_inputs && !known; k++)
				known = field_set_has(&l->drafts[c->inputs[k].rule].fields, field_find(&l->rs->fields, name->text)) ||
					l->drafts[c->inputs[k].rule].sees_incidents;
			if (!known)
				lint_field(l, name);
		}
	if (counts && incident && incident->value->kind == YAML_MAP) {
		const struct yaml_pair *after = yaml_find(incident->value, "resolve-after");

		if (after && d->rule.incident.resolve_after_ns < c->timespan_ns) {
			report(l, DIAG_WARNING, after->value, "shorter than the timespan: it may resolve while its condition still holds, and open again");
			hint(l, "leave it out: the default is the timespan");
		}
	}
}

/* ---- texts ---- */

static bool stands_between(struct span s, const char *const *open, const char *const *close)
{
	bool opened = false, closed = false;

	for (; *open; open++)
		opened |= span_starts_with(s, span_from_string(*open));
	for (; *close; close++)
		closed |= span_ends_with(s, span_from_string(*close));
	return opened && closed;
}

static bool lint_scalar(struct loader *l, const struct yaml_node *n)
{
	static const char *const open[] = { "“", "”", "„", "‘", "’", "«", NULL }, *const close[] = { "”", "“", "’", "‘", "»", NULL };
	struct span written = span_of(n->file->text.ptr + n->offset, n->end - n->offset);
	size_t at, at_written, len = yaml_find_invisible(n->text, &at, &(uint32_t){ 0 });
	uint32_t c;

	/* One that is written as an escape is meant. */
	if (len && yaml_find_invisible(written, &at_written, &c)) {
		if (report_in(l, DIAG_WARNING, n, at, len, "the invisible character U+%04" PRIX32 " is a part of this text", c))
			hint(l, "delete it, or write \"\\u%04" PRIX32 "\" in double quotes where it is meant", c);
		return true;
	}
	if (n->text.len > 4 && stands_between(n->text, open, close) && stands_between(written, open, close)) {
		if (report(l, DIAG_WARNING, n, "these quotation marks are a part of the text"))
			hint(l, "those of YAML are ' and \"");
		return true;
	}
	return false;
}

static bool lint_text(struct loader *l, const struct yaml_node *n)
{
	bool found = false;

	switch (n->kind) {
	case YAML_SCALAR:
		return lint_scalar(l, n);
	case YAML_LIST:
		for (uint32_t i = 0; i < n->n && !found; i++)
			found = lint_text(l, n->items[i]);
		return found;
	case YAML_MAP:
		for (uint32_t i = 0; i < n->n && !found; i++)
			found = lint_scalar(l, n->pairs[i].key) || lint_text(l, n->pairs[i].value);
		return found;
	}
	return false;
}

void lint_texts(struct loader *l, const struct yaml_node *document)
{
	static const char *const compared[] = { "logsource", "detection", "correlation", "filter", "placeholders", NULL };
	bool found = false;

	for (uint32_t i = 0; i < document->n && !found; i++) {
		found = lint_scalar(l, document->pairs[i].key);
		for (const char *const *s = compared; *s && !found; s++)
			if (span_equal(document->pairs[i].key->text, span_from_string(*s)))
				found = lint_text(l, document->pairs[i].value);
	}
}

void lint_rules(struct loader *l, const uint32_t *order)
{
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		const struct draft *d = &l->drafts[order[i]];

		if (d->correlation)
			lint_correlation(l, d);
		else
			lint_detection(l, d);
	}
	for (size_t i = 0; i < l->placeholders.n; i++) {
		const struct placeholder *p = l->placeholders.entries[i]->value.pointer;

		if (!p->used)
			report(l, DIAG_WARNING, p->key, "no rule uses the placeholder \"%s\"", p->key->text.ptr);
	}
}
