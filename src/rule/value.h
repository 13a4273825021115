/*
 * value.h: strings of a detection, between the YAML and the compiled pattern: wildcards and escapes taken apart, then
 * changed by modifiers. A value may become several, any of which may match.
 */
#ifndef TOCSIN_RULE_VALUE_H
#define TOCSIN_RULE_VALUE_H

#include "rule/loader.h"

/* A literal byte is its own unit. */
enum { UNIT_STAR = 256, UNIT_ONE = 257 };

struct units {
	uint16_t *unit;
	size_t n;
};

struct units_list {
	struct units *items;
	size_t n, cap;
};

/* All memory is the arena's. */
struct units units_parse(struct arena *arena, struct span text);
void units_list_add(struct arena *arena, struct units_list *list, struct units u);
bool units_have_wildcard(const struct units *u);
/* As it would be written without escapes. */
struct span units_text(struct arena *arena, const struct units *u);
/* Adds "*" at an end that has none. */
struct units units_open(struct arena *arena, struct units u, bool start, bool end);

/* These return 0, or -1 with an error that points at `at`; the list is replaced. */
int expand_placeholders(struct loader *l, const struct yaml_node *at, struct units_list *list);
int expand_windash(struct loader *l, const struct yaml_node *at, struct units_list *list);
enum utf16_form { UTF16_LE, UTF16_BE, UTF16_BOM };
int encode_utf16(struct loader *l, const struct yaml_node *at, enum utf16_form form, struct units_list *list);
int encode_base64(struct loader *l, const struct yaml_node *at, bool offsets, struct units_list *list);
/* The placeholders of a regex: values are quoted. Regexes in `ret`, as literal units. */
int expand_regex(struct loader *l, const struct yaml_node *at, struct units_list *ret);

/* -1 with an error: it holds a NUL, or too many wildcards. */
int compile_pattern(struct loader *l, const struct yaml_node *at, const struct units *u, bool cased,
		    struct string_pattern *ret);

#endif
