/*
 * loader.h: what the files of rule/ share while a ruleset is built. All of it is gone when the ruleset stands; nobody
 * outside rule/ includes this.
 *
 *	text ── yaml ──> documents ── ruleset.c ──> drafts, filters, sources, placeholders
 *	     ── detection.c, correlation.c, site.c, plan.c ──> the rule inside each draft ── ruleset.c ──> rules in order
 */
#ifndef TOCSIN_RULE_LOADER_H
#define TOCSIN_RULE_LOADER_H

#include "base/map.h"
#include "rule/ruleset.h"
#include "rule/yaml.h"

struct field_set {
	field_id *ids;
	size_t n, cap;
};

/* A rule that another one rests on, and where it says so. */
struct link {
	uint32_t draft;
	const struct yaml_node *node;
};

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

/* A rule that is being built. Indexes of other rules in it are those of drafts until ruleset.c puts them in order. */
struct draft {
	struct rule rule;
	const struct yaml_node *document, *section; /* the whole; its detection: or correlation: */
	const struct yaml_node *label;              /* where its name stands */
	struct correlation *correlation;
	struct field_set fields; /* that its detection names or its regexes fill, or its correlation groups by */
	bool any_field;          /* its events, or those of an input, are not of gastown: their fields are not known */
	bool sees_incidents;     /* its events, or those of an input, are incidents */
	struct link *links;      /* inputs first, in their order; then rules named in a detection about incidents */
	uint32_t n_links, cap_links;
	const uint32_t *inhibitors; /* drafts */
	uint32_t n_inhibitors;
	bool referenced, wanted_alone; /* by a correlation; by one that says generate: true */
	bool has_incident, has_response;
	bool late;
	uint8_t mark;
	bool failed; /* it, or a rule it rests on, has an error: what it lacks is not told besides */
};

struct filter {
	const struct yaml_node *document, *section, *label;
	const char *name;
	struct logsource logsource;
};

struct placeholder {
	const struct yaml_node **values;
	size_t n, cap;
	const struct yaml_node *key;
	bool used;
};

/* A source: document. */
struct site_source {
	struct source *source;
	struct field_set fields; /* of its pattern's groups */
};

struct loader {
	struct ruleset *rs;
	struct diag_list *diags;
	bool lint;
	struct arena scratch;
	struct yaml_file **files;
	size_t n_files, cap_files;
	struct draft *drafts;
	uint32_t n_drafts, cap_drafts;
	struct filter *filters;
	size_t n_filters, cap_filters;
	const struct yaml_node **placeholder_sections;
	size_t n_placeholder_sections, cap_placeholder_sections;
	const struct yaml_node **source_documents;
	size_t n_source_documents, cap_source_documents;
	struct map placeholders; /* name → struct placeholder */
	struct site_source *sources;
	size_t n_sources, cap_sources;
	struct map names;        /* name or id → draft index + 1 */
	struct map atom_index;   /* description → atom index */
	struct atom *atoms;
	uint32_t n_atoms, cap_atoms;
	struct field_set top_fields;
	bool reported; /* the newest diagnostic was taken: a hint may be set */
	bool gave_up;  /* no more errors are taken */
};

/* ---- diagnostics ---- */

/* Points at a whole node. Returns false when there are so many that it was dropped. */
bool report(struct loader *l, enum diag_level level, const struct yaml_node *at, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Points at bytes [from, from + len) of a scalar's value. */
bool report_in(struct loader *l, enum diag_level level, const struct yaml_node *at, size_t from, size_t len,
	       const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Adds a hint to the diagnostic just reported. */
void hint(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "did you mean" the nearest of the words, which end in NULL; false when none is near. */
bool suggest(struct loader *l, struct span word, const char *const *words);
/* The same for names of rules; when none is near, where the rule may be. */
void suggest_rule(struct loader *l, struct span word);

/* An error for each key that is not known; known ends in NULL. */
void check_keys(struct loader *l, const struct yaml_node *map, const char *what, const char *const *known);
/* The text of a scalar value; NULL with an error when it is none or empty, and without one when the key is absent. */
const struct yaml_node *get_text(struct loader *l, const struct yaml_node *map, const char *key);
/* A duration; false with an error. */
bool get_duration(struct loader *l, const struct yaml_node *at, int64_t *ret_ns);
/* A list of scalars, or one scalar; NULL with an error, ending in NULL. */
const struct yaml_node **get_list(struct loader *l, const struct yaml_node *at, const char *what, uint32_t *ret_n);

/* ---- shared ---- */

void field_set_add(struct field_set *s, field_id f);
void field_set_add_all(struct field_set *s, const struct field_set *other);
bool field_set_has(const struct field_set *s, field_id f);
/* FIELD_NONE with an error when there are too many names. */
field_id add_field(struct loader *l, const struct yaml_node *at, struct span name);
/* NULL when there is none. */
struct draft *find_draft(struct loader *l, struct span name_or_id);
void add_link(struct draft *d, uint32_t draft, const struct yaml_node *node);
struct expr *new_expr(struct loader *l, enum expr_op op, uint32_t n_children);
/* Joins: of one it is that one itself. */
struct expr *join(struct loader *l, enum expr_op op, const struct expr **children, uint32_t n);
struct expr *negate(struct loader *l, const struct expr *x);
/* Says where it stands in its file. */
void set_place(struct expr *x, const struct yaml_node *at);
const char *keep_text(struct loader *l, struct span s);
/* Reads logsource:; false with an error. */
bool read_logsource(struct loader *l, const struct yaml_node *document, const struct yaml_node *label, struct logsource *ret);
bool is_gastown(const struct logsource *s);

/* detection.c */
struct selection_set {
	const struct yaml_node **names;
	const struct expr **exprs;
	bool *used, *wanted; /* by the condition; and not only under "not" */
	double *sizes;       /* of their expressions */
	uint32_t n;
};
struct condition;
/* The named selections of a detection: or filter: section, but for the keys in `except` (ends in NULL). */
void compile_selections(struct loader *l, const struct yaml_node *section, const char *const *except, struct field_set *fields,
			struct selection_set *ret);
/* NULL with an error. */
const struct expr *resolve_condition(struct loader *l, const struct yaml_node *text, const struct condition *c,
				     struct selection_set *set);
void compile_detection(struct loader *l, struct draft *d);
/* A number as digests hold it, with a blank behind it. */
void describe_number(int64_t v, struct buffer *out);
void describe_real(double v, struct buffer *out);
/* The bytes by which two atoms are equal: with names of fields, not numbers. */
void describe_atom(const struct ruleset *rs, const struct atom *a, struct buffer *out);

/* correlation.c */
void compile_correlation(struct loader *l, struct draft *d);

/* site.c: what a site says of itself: sources, placeholders, filters */
void compile_placeholders(struct loader *l, const struct yaml_node *section);
void compile_source(struct loader *l, const struct yaml_node *document);
void compile_filter(struct loader *l, struct filter *f);

/* plan.c */
void compile_incident(struct loader *l, struct draft *d);
void compile_response(struct loader *l, struct draft *d);
/* What a rule's texts may name. Returns 0, or -1 with an error. */
int parse_template(struct loader *l, const struct draft *d, const struct yaml_node *at, bool in_summary, struct template *ret);

/* lint.c */
/* The texts of a document that records are compared with, and its keys: whether they say what they seem to. One warning at most. */
void lint_texts(struct loader *l, const struct yaml_node *document);
void lint_rules(struct loader *l, const uint32_t *order);

#endif
