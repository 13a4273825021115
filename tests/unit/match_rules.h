/*
 * match_rules.h: rulesets built by hand, for tests of match/ that must not depend on how rules are read.
 * Atoms and expressions live in the ruleset's arena; equal atoms are not joined.
 */
#ifndef TOCSIN_TESTS_MATCH_RULES_H
#define TOCSIN_TESTS_MATCH_RULES_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/memory.h"
#include "rule/ruleset.h"

#include <pcre2.h>
#include <stdlib.h>

#define RULES_MAX 4096
#define ATOMS_MAX 65536

static inline void rules_init(struct ruleset *rs)
{
	*rs = (struct ruleset){ .arena = ARENA_INIT };
	field_table_init(&rs->fields);
	rs->rules = xcalloc(RULES_MAX, sizeof *rs->rules);
	rs->atoms = xcalloc(ATOMS_MAX, sizeof *rs->atoms);
}

static inline void rules_release(struct ruleset *rs)
{
	free(rs->rules);
	free(rs->atoms);
	field_table_release(&rs->fields);
	arena_release(&rs->arena);
}

/* A detection on product gastown, this service (NULL: any). */
static inline struct rule *rules_add(struct ruleset *rs, const struct expr *x, const char *service)
{
	struct rule *r = &rs->rules[rs->n_rules];

	*r = (struct rule){ .index = rs->n_rules++, .kind = RULE_DETECTION, .name = "r", .title = "r", .file = "hand" };
	r->logsource.product = "gastown";
	r->logsource.service = service;
	r->about_incidents = service && strcmp(service, "incident") == 0;
	r->expr = x;
	return r;
}

static inline const struct expr *expr_make(struct ruleset *rs, enum expr_op op, uint32_t n, const struct expr *const *children)
{
	struct expr *x = arena_zalloc(&rs->arena, sizeof *x);

	x->op = op;
	x->n_children = n;
	x->children = arena_zalloc(&rs->arena, (n + 1) * sizeof *x->children);
	for (uint32_t i = 0; i < n; i++)
		x->children[i] = children[i];
	return x;
}

static inline const struct expr *expr_not(struct ruleset *rs, const struct expr *a)
{
	return expr_make(rs, EXPR_NOT, 1, &a);
}

static inline const struct expr *expr_and(struct ruleset *rs, const struct expr *a, const struct expr *b)
{
	return expr_make(rs, EXPR_AND, 2, (const struct expr *const[]){ a, b });
}

static inline const struct expr *expr_or(struct ruleset *rs, const struct expr *a, const struct expr *b)
{
	return expr_make(rs, EXPR_OR, 2, (const struct expr *const[]){ a, b });
}

/* An expression of this one atom, which is set up by the caller from the zeroed *ret_atom. */
static inline const struct expr *expr_atom(struct ruleset *rs, struct atom a)
{
	struct expr *x = arena_zalloc(&rs->arena, sizeof *x);

	x->op = EXPR_ATOM;
	x->atom = rs->n_atoms;
	rs->atoms[rs->n_atoms++] = a;
	return x;
}

static inline field_id rules_field(struct ruleset *rs, const char *name)
{
	return field_add(&rs->fields, span_from_string(name));
}

/* As Sigma writes it: "*" and "?", "\" before them takes their meaning away. */
static inline struct string_pattern pattern_make(struct arena *a, struct span text, bool cased)
{
	struct string_pattern p = { .cased = cased };
	char *bytes = arena_alloc(a, text.len + 1);
	size_t start = 0, n = 0;

	p.pieces = arena_alloc(a, (text.len + 1) * sizeof *p.pieces);
	for (size_t i = 0; i <= text.len; i++) {
		char c = i < text.len ? text.ptr[i] : '*';

		if (c == '*') {
			if (n > start)
				p.pieces[p.n_pieces++] = span_of(bytes + start, n - start);
			if (i < text.len) {
				p.open_start |= p.n_pieces == 0;
				p.open_end = true;
			}
			start = n;
			continue;
		}
		p.open_end = false;
		if (c == '\\' && i + 1 < text.len && strchr("*?\\", text.ptr[i + 1]))
			c = text.ptr[++i];
		else if (c == '?')
			c = '\0';
		if (!cased && c >= 'A' && c <= 'Z')
			c += 32;
		bytes[n++] = c;
	}
	return p;
}

static inline const struct expr *expr_string(struct ruleset *rs, const char *field, const char *pattern)
{
	struct atom a = { .op = ATOM_STRING, .field = rules_field(rs, field) };

	a.pattern = pattern_make(&rs->arena, span_from_string(pattern), false);
	return expr_atom(rs, a);
}

static inline const struct expr *expr_keyword(struct ruleset *rs, const char *pattern)
{
	struct atom a = { .op = ATOM_KEYWORD, .field = FIELD_RAW };

	a.pattern = pattern_make(&rs->arena, span_from_string(pattern), false);
	a.pattern.open_start = a.pattern.open_end = true;
	return expr_atom(rs, a);
}

/* options: CASELESS, MULTILINE, DOTALL; the others as rule/ sets them. */
static inline uint32_t regex_all_options(const char *regex, uint32_t options)
{
	bool ascii = true;

	for (const char *p = regex; *p; p++)
		ascii = ascii && (unsigned char)*p < 0x80;
	options |= PCRE2_NEVER_BACKSLASH_C;
	return options & PCRE2_CASELESS && ascii ? options : options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
}

static inline const struct expr *expr_regex(struct ruleset *rs, const char *field, const char *regex, uint32_t options)
{
	struct atom a = { .op = ATOM_REGEX, .field = rules_field(rs, field) };

	a.regex = arena_strdup(&rs->arena, regex);
	a.regex_options = regex_all_options(regex, options);
	return expr_atom(rs, a);
}

#endif
