/*
 * yaml.h: a rule file as a small tree in which everything knows where it stands. Aliases are resolved: they share the
 * anchor's node. The tree and its text live in the caller's arena.
 */
#ifndef TOCSIN_RULE_YAML_H
#define TOCSIN_RULE_YAML_H

#include "base/arena.h"
#include "base/diag.h"
#include <stdint.h>

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };
/* What an unquoted scalar is by YAML's core schema; quoted ones are strings. */
enum yaml_type { YAML_STRING, YAML_NULL, YAML_BOOL, YAML_NUMBER };

struct yaml_file {
	const char *name;
	struct span text;
	size_t *line_starts;
	size_t n_lines;
	const struct yaml_node **documents; /* those that hold anything */
	size_t n_documents;
};

struct yaml_pair {
	const struct yaml_node *key, *value; /* a key is always a scalar */
	bool merged; /* it came with "<<": a key of the map itself takes its place */
};

struct yaml_node {
	const struct yaml_file *file;
	enum yaml_kind kind;
	enum yaml_type type;  /* of a scalar */
	uint32_t offset, end; /* bytes in the file; of a list or map: its first item */
	uint32_t size;        /* nodes in it were every alias written out */
	struct span text;     /* scalar; NUL-terminated besides */
	struct yaml_pair *pairs;
	const struct yaml_node **items;
	uint32_t n; /* pairs or items */
};

/*
 * Parses text (which must outlive the tree). A document with an error is reported and left out, the next one is read. Never NULL.
 */
struct yaml_file *yaml_parse(struct arena *arena, struct span text, const char *name, struct diag_list *diags);

/* The pair with this key, or NULL. */
const struct yaml_pair *yaml_find(const struct yaml_node *map, const char *key);
/* true/false, and what YAML 1.1 allowed besides: yes no on off. */
bool yaml_to_bool(const struct yaml_node *n, bool *ret);
/* A number, also a quoted one: decimal or 0x…, finite. */
bool yaml_to_number(const struct yaml_node *n, double *ret);

/* Where byte `index` of a scalar's value stands in the file. */
size_t yaml_offset_in(const struct yaml_node *n, size_t index);
/*
 * The first character of s that looks like a space and is none, or like nothing at all: texts copied from pages and chats
 * hold such. Returns its length, 0 when there is none.
 */
size_t yaml_find_invisible(struct span s, size_t *ret_at, uint32_t *ret_character);
void yaml_position(const struct yaml_file *f, size_t offset, int *ret_line, int *ret_column);
struct span yaml_line(const struct yaml_file *f, int line);
/* Adds a diagnostic that points at the bytes [from, to) of the file. */
void yaml_report(struct diag_list *diags, enum diag_level level, const struct yaml_file *f, size_t from, size_t to,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));
void yaml_vreport(struct diag_list *diags, enum diag_level level, const struct yaml_file *f, size_t from, size_t to,
		  const char *format, va_list args) __attribute__((format(printf, 6, 0)));

#endif
