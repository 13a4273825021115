/*
 * ruleset.c: decides which rules there are: reads the files, gives every document its place, every rule its name, and puts them in
 * order. Invariants: a ruleset that is returned had no error; names and ids are unique over all files; a rule's
 * inputs stand before it; what is handed out lives in the ruleset's arena and no longer changes. It does not know what a detection or
 * a correlation means.
 *
 * Order: depth first over the rules as loaded, inputs before the rules that rest on them. Rules about incidents, and what rests on
 * them, come behind all others, so that each of them sees the incidents of everything that does not depend on it.
 */
#include "base/memory.h"
#include "rule/loader.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERRORS_MAX 200     /* nobody reads on */
#define FOLDERS_DEEP_MAX 32
#define FILE_READ_MAX (64u << 20)
#define RULES_MAX 100000

/* ---- names of levels and states ---- */

static const char *const level_names[] = { "informational", "low", "medium", "high", "critical", NULL };

const char *level_name(enum level l)
{
	return level_names[l];
}

bool level_from_name(struct span name, enum level *ret)
{
	for (int i = 0; level_names[i]; i++)
		if (span_equal(name, span_from_string(level_names[i]))) {
			*ret = (enum level)i;
			return true;
		}
	return false;
}

const char *incident_state_name(enum incident_state s)
{
	static const char *const names[] = { "open", "update", "resolved" };

	return names[s];
}

/* ---- diagnostics ---- */

static bool give_up(struct loader *l, enum diag_level level)
{
	if (l->gave_up)
		return true;
	if (level != DIAG_ERROR ? l->diags->n < 10 * ERRORS_MAX : l->diags->n_errors < ERRORS_MAX)
		return false;
	if (level == DIAG_ERROR) {
		l->gave_up = true;
		diag_add(l->diags, DIAG_ERROR, NULL, 0, 0, "more than %d errors: the rest is not shown", ERRORS_MAX);
	}
	return true;
}

static bool __attribute__((format(printf, 6, 0)))
vreport(struct loader *l, enum diag_level level, const struct yaml_file *f, size_t from, size_t to, const char *format, va_list args)
{
	l->reported = !give_up(l, level);
	if (l->reported)
		yaml_vreport(l->diags, level, f, from, to, format, args);
	return l->reported;
}

bool report(struct loader *l, enum diag_level level, const struct yaml_node *node, const char *format, ...)
{
	va_list args;
	bool r;

	va_start(args, format);
	r = vreport(l, level, node->file, node->offset, node->end, format, args);
	va_end(args);
	return r;
}

bool report_in(struct loader *l, enum diag_level level, const struct yaml_node *node, size_t from, size_t len, const char *format, ...)
{
	size_t start = yaml_offset_in(node, from), end = len ? yaml_offset_in(node, from + len - 1) + 1 : start;
	va_list args;
	bool r;

	va_start(args, format);
	r = vreport(l, level, node->file, start, end > start ? end : start + 1, format, args);
	va_end(args);
	return r;
}

void hint(struct loader *l, const char *format, ...)
{
	va_list args;
	char *text = NULL;

	if (!l->reported)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0)
		diag_hint(l->diags, "%s", text);
	va_end(args);
	free(text);
}

bool suggest(struct loader *l, struct span word, const char *const *words)
{
	char text[80];
	const char *near;

	if (word.len >= sizeof text)
		return false;
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	near = nearest_word(text, words);
	if (near)
		hint(l, "did you mean \"%s\"?", near);
	return near != NULL;
}

void suggest_rule(struct loader *l, struct span word)
{
	const char **words = arena_alloc(&l->scratch, (l->names.n + 1) * sizeof *words);

	for (size_t i = 0; i < l->names.n; i++)
		words[i] = l->names.entries[i]->key.ptr;
	words[l->names.n] = NULL;
	if (!suggest(l, word, words))
		hint(l, "if it is in another file name that, too; `default` stands for the installed rules");
}

/* ---- reading values ---- */

void check_keys(struct loader *l, const struct yaml_node *map, const char *what, const char *const *known)
{
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->pairs[i].key;
		const char *const *k = known;

		while (*k && !span_equal(key->text, span_from_string(*k)))
			k++;
		if (*k)
			continue;
		report(l, DIAG_ERROR, key, "%s has no key \"%s\"", what, key->text.ptr);
		if (!suggest(l, key->text, known)) {
			struct buffer b = BUFFER_INIT;

			for (k = known; *k; k++)
				buffer_printf(&b, "%s%s", k == known ? "" : ", ", *k);
			hint(l, "it has: %s", buffer_string(&b));
			buffer_release(&b);
		}
	}
}

const struct yaml_node *get_text(struct loader *l, const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair)
		return NULL;
	if (pair->value->kind == YAML_SCALAR && pair->value->type != YAML_NULL && pair->value->text.len) {
		if (!memchr(pair->value->text.ptr, 0, pair->value->text.len))
			return pair->value;
		report(l, DIAG_ERROR, pair->value, "\"%s\" cannot hold a NUL", key);
		return NULL;
	}
	if (pair->value->kind == YAML_SCALAR)
		report(l, DIAG_ERROR, pair->key, "\"%s\" is empty", key);
	else
		report(l, DIAG_ERROR, pair->value, "\"%s\" must be a text, not a %s", key, pair->value->kind == YAML_MAP ? "map" : "list");
	return NULL;
}

bool get_duration(struct loader *l, const struct yaml_node *node, int64_t *ret_ns)
{
	static const struct { const char *written, *unit; } units[] = {
		{ "ms", "ms" }, { "msec", "ms" }, { "sec", "s" }, { "secs", "s" }, { "second", "s" }, { "seconds", "s" }, { "S", "s" },
		{ "min", "m" }, { "mins", "m" }, { "minute", "m" }, { "minutes", "m" }, { "hr", "h" }, { "hrs", "h" }, { "hour", "h" },
		{ "hours", "h" }, { "H", "h" }, { "day", "d" }, { "days", "d" }, { "D", "d" }, { "week", "w" }, { "weeks", "w" },
		{ "W", "w" }, { "M", NULL }, { "month", NULL }, { "months", NULL }, { "y", NULL }, { "Y", NULL }, { "year", NULL },
		{ "years", NULL },
	};
	struct span s = node->text;
	size_t digits = 0, unit;

	if (node->kind == YAML_SCALAR && duration_parse(s, ret_ns) && *ret_ns >= 0)
		return true;
	if (node->kind == YAML_SCALAR && span_equal(s, SPAN("0"))) {
		*ret_ns = 0;
		return true;
	}
	report(l, DIAG_ERROR, node, "this is not a duration");
	if (node->kind != YAML_SCALAR)
		return false;
	while (digits < s.len && isdigit((unsigned char)s.ptr[digits]))
		digits++;
	for (unit = digits; unit < s.len && s.ptr[unit] == ' '; unit++)
		;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (digits == 0 || !span_equal(span_from(s, unit), span_from_string(units[i].written)))
			continue;
		if (units[i].unit)
			hint(l, "did you mean \"%.*s%s\"?", (int)digits, s.ptr, units[i].unit);
		else
			hint(l, "months and years are not always of one length: count days, such as 30d or 365d");
		return false;
	}
	if (digits == s.len && digits)
		hint(l, "did you mean \"%.*ss\"? a unit is needed: s, m, h, d or w", (int)digits, s.ptr);
	else
		hint(l, "a number and a unit: 90s, 15m, 1h, 7d, 1w");
	return false;
}

const struct yaml_node **get_list(struct loader *l, const struct yaml_node *node, const char *what, uint32_t *ret_n)
{
	const struct yaml_node **r;
	bool list = node->kind == YAML_LIST, ok = true;
	uint32_t n = list ? node->n : 1;

	if (node->kind == YAML_MAP) {
		report(l, DIAG_ERROR, node, "%s must be a list", what);
		return NULL;
	}
	r = arena_alloc(&l->scratch, (n + 1) * sizeof *r);
	for (uint32_t i = 0; i < n; i++) {
		r[i] = list ? node->items[i] : node;
		if (r[i]->kind == YAML_SCALAR && r[i]->type != YAML_NULL && !memchr(r[i]->text.ptr, 0, r[i]->text.len))
			continue;
		report(l, DIAG_ERROR, r[i], "%s must be a list of texts%s", what,
		       r[i]->kind == YAML_SCALAR ? ": there is nothing here" : "");
		ok = false;
	}
	r[n] = NULL;
	*ret_n = n;
	return ok ? r : NULL;
}

const char *keep_text(struct loader *l, struct span s)
{
	return arena_dup(&l->rs->arena, s.ptr, s.len);
}

static const char *optional_text(struct loader *l, const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *pair = yaml_find(map, key);

	if (!pair || pair->value->kind != YAML_SCALAR || pair->value->type == YAML_NULL)
		return NULL;
	return keep_text(l, pair->value->text);
}

/* A list of texts for the ruleset; what is no text in it is left out: these are for people only. */
static const char *const *optional_list(struct loader *l, const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *pair = yaml_find(map, key);
	bool list = pair && pair->value->kind == YAML_LIST;
	uint32_t n = list ? pair->value->n : 1, kept = 0;
	const char **r;

	if (!pair || pair->value->kind == YAML_MAP)
		return NULL;
	r = arena_alloc(&l->rs->arena, (n + 1) * sizeof *r);
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *item = list ? pair->value->items[i] : pair->value;

		if (item->kind == YAML_SCALAR && item->type != YAML_NULL)
			r[kept++] = keep_text(l, item->text);
	}
	r[kept] = NULL;
	return kept ? r : NULL;
}

/* ---- shared ---- */

bool field_set_has(const struct field_set *s, field_id f)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->ids[middle] == f)
			return true;
		if (s->ids[middle] < f)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Sorted, each once. */
void field_set_add(struct field_set *s, field_id f)
{
	size_t i = s->n;

	if (field_set_has(s, f))
		return;
	ARRAY_GROW(s->ids, s->n, s->cap);
	for (; i > 0 && s->ids[i - 1] > f; i--)
		s->ids[i] = s->ids[i - 1];
	s->ids[i] = f;
	s->n++;
}

void field_set_add_all(struct field_set *s, const struct field_set *other)
{
	for (size_t i = 0; i < other->n; i++)
		field_set_add(s, other->ids[i]);
}

field_id add_field(struct loader *l, const struct yaml_node *node, struct span name)
{
	field_id f = FIELD_NONE;

	if (name.len == 0)
		report(l, DIAG_ERROR, node, "a field must have a name");
	else if (memchr(name.ptr, 0, name.len))
		report(l, DIAG_ERROR, node, "the name of a field cannot hold a NUL");
	else if ((f = field_add(&l->rs->fields, name)) == FIELD_NONE)
		report(l, DIAG_ERROR, node, "the rules name more than %d fields", FIELD_LIMIT);
	return f;
}

struct draft *find_draft(struct loader *l, struct span name_or_id)
{
	struct map_entry *e = map_find(&l->names, name_or_id);

	return e ? &l->drafts[e->value.number - 1] : NULL;
}

void add_link(struct draft *d, uint32_t draft, const struct yaml_node *node)
{
	ARRAY_GROW(d->links, d->n_links, d->cap_links);
	d->links[d->n_links++] = (struct link){ draft, node };
}

struct expr *new_expr(struct loader *l, enum expr_op op, uint32_t n_children)
{
	struct expr *x = arena_zalloc(&l->rs->arena, sizeof *x);

	x->op = op;
	x->n_children = n_children;
	if (n_children)
		x->children = arena_alloc(&l->rs->arena, n_children * sizeof *x->children);
	return x;
}

struct expr *join(struct loader *l, enum expr_op op, const struct expr **children, uint32_t n)
{
	struct expr *x;

	if (n == 1)
		return (struct expr *)children[0];
	if (n == 0)
		return new_expr(l, op == EXPR_AND ? EXPR_TRUE : EXPR_FALSE, 0);
	x = new_expr(l, op, n);
	memcpy(x->children, children, n * sizeof *children);
	return x;
}

struct expr *negate(struct loader *l, const struct expr *x)
{
	struct expr *r = new_expr(l, EXPR_NOT, 1);

	r->children[0] = x;
	return r;
}

void set_place(struct expr *x, const struct yaml_node *at)
{
	int column;

	x->file = at->file->name;
	yaml_position(at->file, at->offset, &x->line, &column);
}

bool is_gastown(const struct logsource *s)
{
	return s->product && strcasecmp(s->product, "gastown") == 0;
}

bool read_logsource(struct loader *l, const struct yaml_node *document, const struct yaml_node *label, struct logsource *ret)
{
	static const char *const known[] = { "category", "product", "service", "definition", NULL };
	const struct yaml_pair *pair = yaml_find(document, "logsource");
	size_t errors = l->diags->n_errors;

	*ret = (struct logsource){ NULL, NULL, NULL };
	if (!pair) {
		report(l, DIAG_ERROR, label, "the logsource is missing");
		hint(l, "logsource: {product: gastown, service: town}");
		return false;
	}
	if (pair->value->kind != YAML_MAP) {
		report(l, DIAG_ERROR, pair->value, "logsource must be a map of category, product and service");
		return false;
	}
	for (int i = 0; i < 3; i++) {
		const struct yaml_pair *p = yaml_find(pair->value, known[i]);
		const struct yaml_node *text = p && p->value->kind == YAML_SCALAR && p->value->type == YAML_NULL ?
						       NULL : get_text(l, pair->value, known[i]);

		if (text)
			*(i == 0 ? &ret->category : i == 1 ? &ret->product : &ret->service) = keep_text(l, text->text);
	}
	for (uint32_t i = 0; i < pair->value->n; i++) {
		const struct yaml_node *key = pair->value->pairs[i].key;
		bool is_known = false;

		for (int k = 0; known[k]; k++)
			is_known |= span_equal(key->text, span_from_string(known[k]));
		/* Sigma allows others; a slip of the pen is likelier when one of the three is near. */
		if (!is_known) {
			char word[32];

			snprintf(word, sizeof word, "%s", key->text.ptr);
			if (nearest_word(word, known)) {
				report(l, DIAG_WARNING, key, "logsource has no key \"%s\"", key->text.ptr);
				suggest(l, key->text, known);
			}
		}
	}
	if (l->diags->n_errors == errors && !ret->category && !ret->product && !ret->service) {
		report(l, DIAG_ERROR, pair->key, "logsource must say at least one of category, product and service");
		return false;
	}
	return l->diags->n_errors == errors;
}

/* ---- documents ---- */

static const char *const kinds[] = { "detection", "correlation", "filter", "source", "placeholders", NULL };

/* Known at the top of a document, of Sigma's and of our own. */
static const char *const top_keys[] = {
	"title",    "id",      "name",	   "related",  "taxonomy", "status",	 "description", "license",     "author",
	"references", "date",  "modified", "logsource", "detection", "correlation", "filter",	"fields",      "falsepositives",
	"level",    "tags",    "scope",	   "generate", "incident", "response",	 "source",	"placeholders", "action",
	"simulation", "regression_tests_path", NULL,
};

static bool is_top_key(struct span key)
{
	const char *const *k = top_keys;

	while (*k && !span_equal(key, span_from_string(*k)))
		k++;
	return *k != NULL;
}

static void check_top_keys(struct loader *l, const struct yaml_node *document)
{
	for (uint32_t i = 0; i < document->n; i++) {
		const struct yaml_node *key = document->pairs[i].key;
		char word[64];

		if (is_top_key(key->text) || key->text.len >= sizeof word)
			continue;
		/* Sigma allows keys of one's own; only what looks like a slip is told. */
		memcpy(word, key->text.ptr, key->text.len + 1);
		if (nearest_word(word, top_keys)) {
			report(l, DIAG_WARNING, key, "a rule has no key \"%s\"", key->text.ptr);
			suggest(l, key->text, top_keys);
		}
	}
}

static void register_name(struct loader *l, uint32_t draft, const struct yaml_node *at, struct span name)
{
	bool new;
	struct map_entry *e;

	if (name.len == 0)
		return;
	e = map_add(&l->names, name, &new);
	if (new) {
		e->value.number = draft + 1;
	} else if (e->value.number != draft + 1) {
		const struct draft *other = &l->drafts[e->value.number - 1];

		report(l, DIAG_ERROR, at, "there is a rule \"%.*s\" already, at %s:%d", (int)(name.len < 200 ? name.len : 200), name.ptr,
		       other->rule.file, other->rule.line);
		hint(l, other->rule.line == l->drafts[draft].rule.line ? "is the same file loaded twice?" : "names and ids must be unique");
		l->drafts[draft].failed = true;
	}
}

/* "Agent kill storm!" → agent_kill_storm */
static const char *name_from_title(struct loader *l, struct span title)
{
	struct buffer b = BUFFER_INIT;
	const char *r;

	for (size_t i = 0; i < title.len; i++) {
		unsigned char c = (unsigned char)title.ptr[i];

		if (isalnum(c) || c > 127)
			buffer_append_char(&b, (char)tolower(c));
		else if (b.len && b.data[b.len - 1] != '_')
			buffer_append_char(&b, '_');
	}
	while (b.len && b.data[b.len - 1] == '_')
		b.len--;
	r = b.len ? keep_text(l, buffer_span(&b)) : NULL;
	buffer_release(&b);
	return r;
}

static void read_identity(struct loader *l, struct draft *d)
{
	const struct yaml_node *document = d->document;
	const struct yaml_node *title = get_text(l, document, "title"), *name = get_text(l, document, "name"),
			       *id = get_text(l, document, "id");
	struct rule *r = &d->rule;

	d->label = name ? name : id ? id : title ? title : document->pairs[0].key;
	r->id = id ? keep_text(l, id->text) : NULL;
	r->name = name ? keep_text(l, name->text) : id ? r->id : title ? name_from_title(l, title->text) : NULL;
	r->title = title ? keep_text(l, title->text) : r->name;
	if (!r->name) {
		if (!yaml_find(document, "title") && !yaml_find(document, "name") && !yaml_find(document, "id"))
			report(l, DIAG_ERROR, d->label, "a rule must have a title");
		else if (title)
			report(l, DIAG_ERROR, title, "no name can be made of this title: add a name");
		r->name = r->title = "?";
		d->failed = true;
		return;
	}
	if (!title && l->lint && !yaml_find(document, "title"))
		report(l, DIAG_WARNING, d->label, "the rule has no title");
	if (title && title->text.len > 256 && l->lint)
		report(l, DIAG_WARNING, title, "a title longer than 256 bytes");
	register_name(l, (uint32_t)(d - l->drafts), d->label, span_from_string(r->name));
	if (id)
		register_name(l, (uint32_t)(d - l->drafts), id, id->text);
}

static void read_metadata(struct loader *l, struct draft *d)
{
	static const char *const statuses[] = { "stable", "test", "experimental", "deprecated", "unsupported", NULL };
	const struct yaml_node *document = d->document;
	const struct yaml_node *level = get_text(l, document, "level"), *status = get_text(l, document, "status");
	const struct yaml_pair *taxonomy = yaml_find(document, "taxonomy");
	struct rule *r = &d->rule;

	r->level = LEVEL_MEDIUM;
	if (level && !level_from_name(level->text, &r->level)) {
		int i = 0;

		while (level_names[i] && strcasecmp(level_names[i], level->text.ptr) != 0)
			i++;
		if (level_names[i]) {
			r->level = (enum level)i;
			if (l->lint)
				report(l, DIAG_WARNING, level, "levels are written in small letters: other tools may refuse this rule");
		} else {
			report(l, DIAG_ERROR, level, "\"%s\" is not a level", level->text.ptr);
			if (!suggest(l, level->text, level_names))
				hint(l, "informational, low, medium, high or critical");
			d->failed = true;
		}
	}
	if (status) {
		const char *const *s = statuses;

		while (*s && strcmp(*s, status->text.ptr) != 0)
			s++;
		if (!*s) {
			report(l, DIAG_WARNING, status, "\"%s\" is not a status", status->text.ptr);
			if (!suggest(l, status->text, statuses))
				hint(l, "stable, test, experimental, deprecated or unsupported");
		} else if (l->lint && (strcmp(*s, "deprecated") == 0 || strcmp(*s, "unsupported") == 0)) {
			report(l, DIAG_WARNING, status, "the rule says of itself that it is %s", *s);
		}
		r->status = keep_text(l, status->text);
	}
	if (taxonomy && taxonomy->value->kind == YAML_SCALAR && !span_equal(taxonomy->value->text, SPAN("sigma")))
		report(l, DIAG_WARNING, taxonomy->value, "field names are taken as they are: the taxonomy \"%s\" is not translated",
		       taxonomy->value->text.ptr);
	r->description = optional_text(l, document, "description");
	r->tags = optional_list(l, document, "tags");
	r->references = optional_list(l, document, "references");
	r->falsepositives = optional_list(l, document, "falsepositives");
}

static void add_rule(struct loader *l, const struct yaml_node *document, enum rule_kind kind)
{
	struct draft *d;
	int column;

	if (l->n_drafts == RULES_MAX) {
		report(l, DIAG_ERROR, document, "more than %d rules", RULES_MAX);
		return;
	}
	ARRAY_GROW(l->drafts, l->n_drafts, l->cap_drafts);
	d = &l->drafts[l->n_drafts++];
	*d = (struct draft){ .document = document, .rule = { .kind = kind } };
	d->section = yaml_find(document, kinds[kind])->value;
	d->rule.file = keep_text(l, span_from_string(document->file->name));
	yaml_position(document->file, document->pairs[0].key->offset, &d->rule.line, &column);
	read_identity(l, d);
	read_metadata(l, d);
	if (kind == RULE_DETECTION) {
		/* Sigma wants a logsource, but shows rules without, and a rule that looks where it need not only costs time. */
		if (yaml_find(document, "logsource"))
			d->failed |= !read_logsource(l, document, d->label, &d->rule.logsource);
		else if (l->lint && report(l, DIAG_WARNING, d->label, "there is no logsource: the rule looks at every json, syslog and text source"))
			hint(l, "logsource: {product: gastown, service: town}");
		d->any_field = !is_gastown(&d->rule.logsource);
		d->rule.about_incidents = d->sees_incidents =
			!d->any_field && d->rule.logsource.service && strcasecmp(d->rule.logsource.service, "incident") == 0;
	} else if (yaml_find(document, "logsource") && l->lint) {
		report(l, DIAG_WARNING, yaml_find(document, "logsource")->key, "a correlation has no logsource: it is that of its rules");
	}
	d->has_incident = yaml_find(document, "incident") != NULL;
	d->has_response = yaml_find(document, "response") != NULL;
}

static void refuse_plans(struct loader *l, const struct yaml_node *document, const char *what)
{
	static const char *const plans[] = { "incident", "response", NULL };

	for (int i = 0; plans[i]; i++) {
		const struct yaml_pair *pair = yaml_find(document, plans[i]);

		if (pair)
			report(l, DIAG_ERROR, pair->key, "a %s has no %s", what, plans[i]);
	}
}

static void add_filter(struct loader *l, const struct yaml_node *document)
{
	struct filter *f;
	const struct yaml_node *title = get_text(l, document, "title"), *name = get_text(l, document, "name"),
			       *id = get_text(l, document, "id");

	ARRAY_GROW(l->filters, l->n_filters, l->cap_filters);
	f = &l->filters[l->n_filters++];
	*f = (struct filter){ .document = document, .section = yaml_find(document, "filter")->value };
	f->label = name ? name : title ? title : id ? id : document->pairs[0].key;
	f->name = keep_text(l, name || title || id ? f->label->text : SPAN("filter"));
	refuse_plans(l, document, "filter");
}

#define ADD_NODE(l, list, node)                                      \
	do {                                                         \
		ARRAY_GROW((l)->list, (l)->n_##list, (l)->cap_##list); \
		(l)->list[(l)->n_##list++] = (node);                 \
	} while (0)

static void add_document(struct loader *l, const struct yaml_node *document)
{
	int found = -1;
	bool several = false;

	if (document->kind != YAML_MAP || document->n == 0) {
		report(l, DIAG_ERROR, document, "this is not a rule: a document must be a map");
		return;
	}
	for (int i = 0; kinds[i]; i++) {
		if (!yaml_find(document, kinds[i]))
			continue;
		several |= found >= 0;
		if (found < 0)
			found = i;
		else
			report(l, DIAG_ERROR, yaml_find(document, kinds[i])->key, "a document is one thing: it has \"%s\" already",
			       kinds[found]);
	}
	if (several)
		return;
	check_top_keys(l, document);
	if (l->lint)
		lint_texts(l, document);
	switch (found) {
	case 0:
	case 1:
		add_rule(l, document, found == 0 ? RULE_DETECTION : RULE_CORRELATION);
		break;
	case 2:
		add_filter(l, document);
		break;
	case 3:
		refuse_plans(l, document, "source");
		ADD_NODE(l, source_documents, document);
		break;
	case 4:
		refuse_plans(l, document, "placeholders document");
		ADD_NODE(l, placeholder_sections, yaml_find(document, "placeholders")->value);
		break;
	default:
		report(l, DIAG_ERROR, document->pairs[0].key,
		       "this is not a rule: it has neither detection nor correlation, filter, source or placeholders");
		if (yaml_find(document, "global_filter")) {
			hint(l, "global_filter is what drafts of Sigma 2.0 called filter");
			break;
		}
		if (yaml_find(document, "tests")) {
			hint(l, "a file of tests is run with: tocsin test %s", document->file->name);
			break;
		}
		for (uint32_t i = 0; i < document->n; i++)
			if (!is_top_key(document->pairs[i].key->text) && suggest(l, document->pairs[i].key->text, kinds))
				break;
	}
}

/* Collections of old: what the documents of such a file lack they take from a document before them. None of it can be judged, so it is one error. */
static bool is_collection(struct loader *l, const struct yaml_file *f)
{
	for (size_t i = 0; i < f->n_documents; i++) {
		const struct yaml_pair *action = f->documents[i]->kind == YAML_MAP ? yaml_find(f->documents[i], "action") : NULL;

		if (!action)
			continue;
		report(l, DIAG_ERROR, action->key, "collections with \"action\" belong to Sigma before 2.0; nothing of this file was read");
		hint(l, "write every document of the file in full: title, logsource and detection in each, and no action");
		return true;
	}
	return false;
}

static void add_text(struct loader *l, struct span text, const char *name)
{
	struct yaml_file *f;
	size_t errors = l->diags->n_errors;
	bool collection;

	l->rs->digest = hash_bytes(text.ptr, text.len, l->rs->digest);
	f = yaml_parse(&l->scratch, text, name, l->diags);
	f->name = arena_strdup(&l->rs->arena, f->name); /* expressions say where they stand, as long as they are there */
	ARRAY_GROW(l->files, l->n_files, l->cap_files);
	l->files[l->n_files++] = f;
	collection = is_collection(l, f);
	if (f->n_documents == 0 && l->diags->n_errors == errors)
		diag_add(l->diags, DIAG_WARNING, name, 0, 0, "there is no rule in this file");
	for (size_t i = 0; i < f->n_documents && !collection; i++)
		add_document(l, f->documents[i]);
}

/* ---- files ---- */

static void add_file(struct loader *l, const char *path)
{
	struct buffer b = BUFFER_INIT;
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0) {
		bool missing = errno == ENOENT;
		diag_add(l->diags, DIAG_ERROR, path, 0, 0, "cannot open: %s", strerror(errno));
		if (missing)
			diag_hint(l->diags, "name a file of rules, or a folder of them; `default` stands for the installed rules");
		return;
	}
	do {
		buffer_reserve(&b, 1 << 16);
		do
			n = read(fd, b.data + b.len, 1 << 16);
		while (n < 0 && errno == EINTR);
		if (n > 0)
			b.len += (size_t)n;
	} while (n > 0 && b.len <= FILE_READ_MAX);
	if (n < 0)
		diag_add(l->diags, DIAG_ERROR, path, 0, 0, "cannot read: %s", strerror(errno));
	else
		add_text(l, span_of(arena_dup(&l->scratch, b.data ? b.data : "", b.len), b.len), path);
	close(fd);
	buffer_release(&b);
}

static bool ends_in(const char *name, const char *suffix)
{
	return span_ends_with(span_from_string(name), span_from_string(suffix));
}

static bool is_rule_file(const char *name)
{
	return (ends_in(name, ".yml") || ends_in(name, ".yaml")) && !ends_in(name, "_test.yml") && !ends_in(name, "_test.yaml");
}

struct paths {
	char **items;
	size_t n, cap;
};

/* A folder and those it stands in: a link to one of them is not followed. */
struct folder {
	const char *path;
	struct stat st;
	const struct folder *parent;
	int depth;
};

static bool is_inside(const struct stat *st, const struct folder *f)
{
	for (; f; f = f->parent)
		if (st->st_dev == f->st.st_dev && st->st_ino == f->st.st_ino)
			return true;
	return false;
}

static void collect_files(struct loader *l, const struct folder *folder, struct paths *ret)
{
	DIR *dir = opendir(folder->path);
	struct dirent *e;

	if (!dir) {
		diag_add(l->diags, DIAG_ERROR, folder->path, 0, 0, "cannot open: %s", strerror(errno));
		return;
	}
	while ((e = readdir(dir))) {
		struct buffer path = BUFFER_INIT;
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		buffer_printf(&path, "%s%s%s", folder->path, ends_in(folder->path, "/") ? "" : "/", e->d_name);
		if (stat(buffer_string(&path), &st) < 0) {
			if (is_rule_file(e->d_name))
				diag_add(l->diags, DIAG_ERROR, buffer_string(&path), 0, 0, "cannot open: %s", strerror(errno));
		} else if (S_ISDIR(st.st_mode)) {
			struct folder inner = { buffer_string(&path), st, folder, folder->depth + 1 };

			if (folder->depth < FOLDERS_DEEP_MAX && !is_inside(&st, folder))
				collect_files(l, &inner, ret);
		} else if (S_ISREG(st.st_mode) && is_rule_file(e->d_name)) {
			ARRAY_GROW(ret->items, ret->n, ret->cap);
			ret->items[ret->n++] = xstrdup(buffer_string(&path));
		}
		buffer_release(&path);
	}
	closedir(dir);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Without any rule a run would be silent whatever the logs say; beside others a folder may be empty: a site's own, to begin with. */
static void add_empty_folder(struct loader *l, const char *path, bool alone)
{
	diag_add(l->diags, alone ? DIAG_ERROR : DIAG_WARNING, path, 0, 0, "there is no rule file (*.yml, *.yaml) in this folder");
	if (alone)
		diag_hint(l->diags, "put rules into it, or name others; `default` stands for the installed rules");
}

/* alone: there is no other path. */
static void add_path(struct loader *l, const char *path, bool alone)
{
	struct paths files = { NULL, 0, 0 };
	size_t errors = l->diags->n_errors;
	struct folder folder = { .path = path };

	if (stat(path, &folder.st) < 0 || !S_ISDIR(folder.st.st_mode)) {
		add_file(l, path);
		return;
	}
	collect_files(l, &folder, &files);
	if (files.n)
		qsort(files.items, files.n, sizeof *files.items, compare_paths);
	else if (l->diags->n_errors == errors)
		add_empty_folder(l, path, alone);
	for (size_t i = 0; i < files.n; i++) {
		add_file(l, files.items[i]);
		free(files.items[i]);
	}
	free(files.items);
}

/* ---- order ---- */

struct order {
	struct loader *l;
	uint32_t *path, n_path; /* the rules that are being visited */
	uint32_t *next;         /* by rule: the link to follow next */
	uint32_t *sorted, n;
	bool quiet;
};

static void report_cycle(struct order *o, uint32_t again, const struct yaml_node *node)
{
	struct loader *l = o->l;
	struct buffer b = BUFFER_INIT;
	uint32_t first = 0;

	while (o->path[first] != again)
		first++;
	for (uint32_t i = first; i < o->n_path; i++)
		buffer_printf(&b, "%s (%s:%d) → ", l->drafts[o->path[i]].rule.name, l->drafts[o->path[i]].rule.file,
			      l->drafts[o->path[i]].rule.line);
	buffer_append_string(&b, l->drafts[again].rule.name);
	report(l, DIAG_ERROR, node, "the rules rest on each other: %s", buffer_string(&b));
	buffer_release(&b);
}

/* Depth first, with a stack of its own: chains may be long. */
static void visit(struct order *o, uint32_t start)
{
	struct loader *l = o->l;

	if (l->drafts[start].mark != MARK_NEW)
		return;
	o->n_path = 0;
	o->path[o->n_path++] = start;
	l->drafts[start].mark = MARK_OPEN;
	while (o->n_path) {
		uint32_t i = o->path[o->n_path - 1];
		struct draft *d = &l->drafts[i], *to;
		const struct link *link;

		if (o->next[i] == d->n_links) {
			d->mark = MARK_DONE;
			o->sorted[o->n++] = i;
			o->n_path--;
			continue;
		}
		link = &d->links[o->next[i]++];
		to = &l->drafts[link->draft];
		if (to->mark == MARK_OPEN) {
			if (!o->quiet)
				report_cycle(o, link->draft, link->node);
		} else if (to->mark == MARK_NEW) {
			to->mark = MARK_OPEN;
			o->path[o->n_path++] = link->draft;
		}
	}
}

static void visit_all(struct order *o, int late)
{
	for (uint32_t i = 0; i < o->l->n_drafts; i++)
		if (o->l->drafts[i].late == late)
			visit(o, i);
}

/* sorted has room for all drafts. */
static void sort_rules(struct loader *l, uint32_t *sorted)
{
	struct order o = { .l = l, .sorted = sorted };

	o.path = xcalloc(l->n_drafts + 1, sizeof *o.path);
	o.next = xcalloc(l->n_drafts + 1, sizeof *o.next);
	/* Once to find cycles, and who is late: a rule about incidents, and what rests on one. */
	visit_all(&o, false);
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		struct draft *d = &l->drafts[sorted[i]];

		d->late = d->rule.about_incidents;
		for (uint32_t k = 0; k < d->n_links; k++)
			d->late |= l->drafts[d->links[k].draft].late;
	}
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		l->drafts[i].mark = MARK_NEW;
		o.next[i] = 0;
	}
	o.n = 0;
	o.quiet = true;
	visit_all(&o, false);
	visit_all(&o, true);
	free(o.path);
	free(o.next);
}

/* ---- digests ---- */

static void describe_expr(const struct ruleset *rs, const struct atom *atoms, const struct expr *x, struct buffer *out)
{
	buffer_append_signed(out, x->op);
	buffer_append_char(out, '(');
	if (x->op == EXPR_ATOM)
		describe_atom(rs, &atoms[x->atom], out);
	for (uint32_t i = 0; i < x->n_children; i++)
		describe_expr(rs, atoms, x->children[i], out);
	buffer_append_char(out, ')');
}

static void describe_presence(const struct presence *p, struct buffer *out)
{
	buffer_printf(out, "%d.%u(", p->op, p->input);
	for (uint32_t i = 0; i < p->n_children; i++)
		describe_presence(p->children[i], out);
	buffer_append_char(out, ')');
}

static void describe_name(const char *s, struct buffer *out)
{
	struct span name = span_from_string(s);

	buffer_append_number(out, name.len);
	buffer_append_char(out, ':');
	buffer_append_span(out, name);
	buffer_append_char(out, ' ');
}

static void describe_hex(uint64_t v, struct buffer *out)
{
	buffer_append_hex(out, v);
	buffer_append_char(out, ' ');
}

static void describe_field(const struct ruleset *rs, field_id f, struct buffer *out)
{
	describe_name(field_name(&rs->fields, f).ptr, out);
}

/* Inputs have theirs already: the rules are in order. */
static uint64_t digest_of(const struct ruleset *rs, const struct rule *r)
{
	struct buffer b = BUFFER_INIT;
	const struct correlation *c = r->correlation;
	uint64_t digest;

	describe_number(r->kind, &b);
	describe_number(r->incident.resolve_after_ns, &b);
	describe_number(r->incident.update_every_ns, &b);
	describe_name(r->name, &b);
	describe_name(r->logsource.category, &b);
	describe_name(r->logsource.product, &b);
	describe_name(r->logsource.service, &b);
	if (r->expr)
		describe_expr(rs, rs->atoms, r->expr, &b);
	if (c) {
		describe_number(c->type, &b);
		describe_number(c->timespan_ns, &b);
		describe_number(c->max_gap_ns, &b);
		describe_real(c->percentile, &b);
		describe_number(c->n_keys, &b);
		describe_number(c->n_inputs, &b);
		for (uint32_t i = 0; i < c->n_keys; i++)
			describe_name(c->keys[i], &b);
		for (uint32_t i = 0; i < c->n_inputs; i++) {
			describe_hex(rs->rules[c->inputs[i].rule].digest, &b);
			describe_number(c->inputs[i].negated, &b);
			describe_number(c->inputs[i].after, &b);
			for (uint32_t k = 0; k < c->n_keys; k++)
				describe_field(rs, c->inputs[i].keys[k], &b);
		}
		for (uint32_t i = 0; i < c->n_bounds; i++) {
			describe_number(c->bounds[i].op, &b);
			describe_real(c->bounds[i].value, &b);
		}
		for (uint32_t i = 0; i < c->n_value_fields; i++)
			describe_field(rs, c->value_fields[i], &b);
		if (c->presence)
			describe_presence(c->presence, &b);
		for (uint32_t i = 0; i < c->n_chains; i++)
			describe_hex(c->chains[i].inputs, &b);
	}
	digest = hash_bytes(b.data, b.len, 0);
	buffer_release(&b);
	return digest;
}

/* ---- the ruleset ---- */

static void settle_alerts(struct loader *l)
{
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		struct draft *d = &l->drafts[i];

		d->rule.alerts = !d->referenced || d->wanted_alone || d->has_incident || d->has_response;
	}
}

/* What a text may name: a correlation's events are those of its inputs. In order, so that inputs have theirs already. */
static void inherit_fields(struct loader *l, const uint32_t *sorted)
{
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		struct draft *d = &l->drafts[sorted[i]];

		for (size_t s = 0; s < l->n_sources; s++)
			if (d->rule.kind == RULE_DETECTION && rule_applies(&d->rule, l->sources[s].source))
				field_set_add_all(&d->fields, &l->sources[s].fields);
		for (uint32_t k = 0; d->correlation && k < d->correlation->n_inputs; k++) {
			const struct draft *input = &l->drafts[d->correlation->inputs[k].rule];

			field_set_add_all(&d->fields, &input->fields);
			d->any_field |= input->any_field;
			d->failed |= input->failed;
			d->sees_incidents |= input->sees_incidents;
		}
	}
}

static void place_rules(struct loader *l, const uint32_t *sorted)
{
	struct ruleset *rs = l->rs;
	uint32_t *index = arena_alloc(&l->scratch, (l->n_drafts + 1) * sizeof *index);

	for (uint32_t i = 0; i < l->n_drafts; i++)
		index[sorted[i]] = i;
	rs->n_rules = l->n_drafts;
	rs->rules = arena_zalloc(&rs->arena, (l->n_drafts + 1) * sizeof *rs->rules);
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		struct draft *d = &l->drafts[sorted[i]];
		uint32_t *inhibitors = arena_alloc(&rs->arena, (d->n_inhibitors + 1) * sizeof *inhibitors);

		d->rule.index = i;
		for (uint32_t k = 0; d->correlation && k < d->correlation->n_inputs; k++)
			d->correlation->inputs[k].rule = index[d->correlation->inputs[k].rule];
		for (uint32_t k = 0; k < d->n_inhibitors; k++)
			inhibitors[k] = index[d->inhibitors[k]];
		d->rule.incident.inhibited_by = inhibitors;
		d->rule.incident.n_inhibited_by = d->n_inhibitors;
		rs->rules[i] = d->rule;
	}
	rs->n_atoms = l->n_atoms;
	rs->atoms = arena_alloc(&rs->arena, (l->n_atoms + 1) * sizeof *rs->atoms);
	if (l->n_atoms)
		memcpy(rs->atoms, l->atoms, l->n_atoms * sizeof *rs->atoms);
	for (uint32_t i = 0; i < rs->n_rules; i++)
		rs->rules[i].digest = digest_of(rs, &rs->rules[i]);
}

static void place_sources(struct loader *l)
{
	struct ruleset *rs = l->rs;

	rs->n_sources = l->n_sources;
	rs->sources = arena_alloc(&rs->arena, (l->n_sources + 1) * sizeof *rs->sources);
	for (size_t i = 0; i < l->n_sources; i++)
		rs->sources[i] = l->sources[i].source;
}

static void place_top_fields(struct loader *l)
{
	field_id *ids;

	field_set_add(&l->top_fields, FIELD_AGENT);
	field_set_add(&l->top_fields, FIELD_RIG);
	field_set_add(&l->top_fields, FIELD_PID);
	ids = arena_alloc(&l->rs->arena, l->top_fields.n * sizeof *ids);
	memcpy(ids, l->top_fields.ids, l->top_fields.n * sizeof *ids);
	l->rs->top_fields = ids;
	l->rs->n_top_fields = (uint32_t)l->top_fields.n;
}

static void compile(struct loader *l)
{
	uint32_t *sorted = arena_alloc(&l->scratch, (l->n_drafts + 1) * sizeof *sorted);
	size_t errors = l->diags->n_errors;

	for (size_t i = 0; i < l->n_placeholder_sections; i++)
		compile_placeholders(l, l->placeholder_sections[i]);
	for (size_t i = 0; i < l->n_source_documents; i++)
		compile_source(l, l->source_documents[i]);
	for (uint32_t i = 0; i < l->n_drafts; i++)
		if (l->drafts[i].rule.kind == RULE_DETECTION)
			compile_detection(l, &l->drafts[i]);
	for (uint32_t i = 0; i < l->n_drafts; i++)
		if (l->drafts[i].rule.kind == RULE_CORRELATION)
			compile_correlation(l, &l->drafts[i]);
	for (size_t i = 0; i < l->n_filters; i++)
		compile_filter(l, &l->filters[i]);
	sort_rules(l, sorted);
	settle_alerts(l);
	inherit_fields(l, sorted);
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		compile_incident(l, &l->drafts[sorted[i]]);
		compile_response(l, &l->drafts[sorted[i]]);
	}
	place_sources(l);
	if (l->diags->n_errors != errors || l->gave_up)
		return;
	if (l->lint)
		lint_rules(l, sorted);
	place_rules(l, sorted);
	place_top_fields(l);
}

static void loader_init(struct loader *l, bool lint, struct diag_list *diags)
{
	*l = (struct loader){ .lint = lint, .diags = diags, .rs = xcalloc(1, sizeof *l->rs) };
	field_table_init(&l->rs->fields);
}

static struct ruleset *loader_finish(struct loader *l, size_t errors_before)
{
	struct ruleset *rs = l->rs;

	compile(l);
	for (uint32_t i = 0; i < l->n_drafts; i++) {
		free(l->drafts[i].fields.ids);
		free(l->drafts[i].links);
	}
	for (size_t i = 0; i < l->n_sources; i++)
		free(l->sources[i].fields.ids);
	free(l->sources);
	free(l->drafts);
	free(l->filters);
	free(l->files);
	free(l->placeholder_sections);
	free(l->source_documents);
	free(l->atoms);
	free(l->top_fields.ids);
	map_release(&l->placeholders);
	map_release(&l->names);
	map_release(&l->atom_index);
	arena_release(&l->scratch);
	diag_sort(l->diags);
	if (l->diags->n_errors > errors_before) {
		ruleset_free(rs);
		return NULL;
	}
	return rs;
}

struct ruleset *ruleset_load(char *const *paths, size_t n_paths, bool lint, struct diag_list *diags)
{
	struct loader l;
	size_t errors = diags->n_errors;

	loader_init(&l, lint, diags);
	for (size_t i = 0; i < n_paths; i++)
		add_path(&l, paths[i], n_paths == 1);
	return loader_finish(&l, errors);
}

struct ruleset *ruleset_load_text(struct span text, const char *name, bool lint, struct diag_list *diags)
{
	struct loader l;
	size_t errors = diags->n_errors;

	loader_init(&l, lint, diags);
	add_text(&l, span_of(arena_dup(&l.scratch, text.ptr, text.len), text.len), name);
	return loader_finish(&l, errors);
}

void ruleset_free(struct ruleset *rs)
{
	if (!rs)
		return;
	for (size_t i = 0; i < rs->n_sources; i++)
		source_pattern_free(rs->sources[i]->pattern);
	field_table_release(&rs->fields);
	arena_release(&rs->arena);
	free(rs);
}

const struct rule *ruleset_find(const struct ruleset *rs, const char *name_or_id)
{
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (strcmp(rs->rules[i].name, name_or_id) == 0 || (rs->rules[i].id && strcmp(rs->rules[i].id, name_or_id) == 0))
			return &rs->rules[i];
	return NULL;
}

static bool says(const char *source, const char *rule)
{
	return !rule || !source || strcasecmp(source, rule) == 0;
}

/* Formats that anything may write: a log in one of them is what the user says it is. */
static bool is_open_format(enum format f)
{
	return f == FORMAT_SYSLOG || f == FORMAT_JSON || f == FORMAT_TEXT;
}

bool rule_applies(const struct rule *r, const struct source *s)
{
	const struct logsource *ls = &r->logsource;
	const char *service = s->service ? s->service : s->name;
	bool town = s->product && strcasecmp(s->product, "gastown") == 0;

	if (r->kind != RULE_DETECTION)
		return false;
	if (s->format == FORMAT_INCIDENT)
		return r->about_incidents;
	if (r->about_incidents)
		return false;
	if (is_gastown(ls)) {
		/* A source is asked for by its name whatever its own logsource says. */
		if (ls->service ? strcasecmp(ls->service, town ? service : s->name) != 0 : !town)
			return false;
		return !ls->category || (s->category && strcasecmp(ls->category, s->category) == 0);
	}
	if (is_open_format(s->format))
		return true;
	if (town)
		return !ls->product && ls->service && strcasecmp(ls->service, service) == 0 &&
		       (!ls->category || (s->category && strcasecmp(ls->category, s->category) == 0));
	return says(s->category, ls->category) && says(s->product, ls->product) && says(s->service, ls->service);
}
