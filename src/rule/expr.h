/*
 * expr.h: what a detection tests, compiled: a tree of and/or/not over atoms; each atom tests one field with one operator.
 * Source: Sigma specification 2.1, rules and modifiers. Built by rule/, run by match/; const after compilation.
 */
#ifndef TOCSIN_RULE_EXPR_H
#define TOCSIN_RULE_EXPR_H

#include "record/field.h"

enum atom_op {
	ATOM_STRING,   /* pattern: the whole value matches */
	ATOM_NULL,     /* the field is absent or null (not: empty, which is ATOM_STRING with no pieces) */
	ATOM_EXISTS,   /* the field is there, whatever its value */
	ATOM_REGEX,    /* regex: PCRE2 search; named groups become fields */
	ATOM_CIDR,     /* the value is an address inside the network */
	ATOM_LT, ATOM_LTE, ATOM_GT, ATOM_GTE, ATOM_NUMBER_EQ, /* numbers */
	ATOM_FIELDREF, /* equals (or startswith/endswith/contains) the value of another field */
	ATOM_KEYWORD,  /* pattern, contained anywhere in the raw record */
};

/* What of a time value is compared (Sigma's time modifiers); with EQ, LT … GTE. */
enum time_part { TIME_PART_NONE, TIME_PART_MINUTE, TIME_PART_HOUR, TIME_PART_DAY, TIME_PART_WEEK, TIME_PART_MONTH, TIME_PART_YEAR };

/*
 * A wildcard pattern, cut at its "*": pieces must occur in order. "?" stands for one UTF-8 character and is marked in a piece by the byte 0x00
 * (a NUL in a value never equals a literal piece byte: patterns hold none).
 * "a*b" = pieces {a, b}, anchored at both ends; contains "x" = pieces {x}, open at both ends.
 * No piece is empty. No pieces: only the empty value matches, or, when open, every value.
 */
struct string_pattern {
	struct span *pieces;
	uint16_t n_pieces;
	bool open_start, open_end; /* a "*" at that end */
	bool cased;                /* false: ASCII letters match either case (pieces are lower-case then) */
};

struct atom {
	enum atom_op op;
	field_id field;          /* ATOM_KEYWORD: FIELD_RAW */
	enum time_part time_part;
	enum { FIELDREF_EQUAL, FIELDREF_STARTSWITH, FIELDREF_ENDSWITH, FIELDREF_CONTAINS } fieldref_kind;
	field_id other;          /* ATOM_FIELDREF */
	bool cased;              /* ATOM_FIELDREF */
	double number;
	struct string_pattern pattern;
	const char *regex;       /* NUL-terminated PCRE2 pattern */
	/*
	 * All options for pcre2_compile: CASELESS, MULTILINE, DOTALL, NEVER_BACKSLASH_C and, but for patterns that are caseless and pure ASCII,
	 * UTF with MATCH_INVALID_UTF. Where a caseless pattern has UTF, "k" and "s" also match U+212A and U+017F: a prefilter beware.
	 */
	uint32_t regex_options;
	uint8_t cidr[16];        /* network byte order; IPv4 in the first 4 */
	uint8_t cidr_bits, cidr_family; /* family: 4 or 6 */
	/* Where it stands, for explain and lint. */
	const char *selection;   /* name of the selection it is in */
	int line, column;
};

enum expr_op { EXPR_TRUE, EXPR_FALSE, EXPR_ATOM, EXPR_NOT, EXPR_AND, EXPR_OR };

struct expr {
	enum expr_op op;
	const char *selection;  /* not NULL on the node that is a whole named selection or filter */
	uint32_t atom;          /* EXPR_ATOM: index into ruleset.atoms (equal atoms share one) */
	const struct expr **children; /* EXPR_NOT: one */
	uint32_t n_children;
	/* Where it stands, of atoms and of nodes with a name: for explain. Equal atoms share one; their places differ. */
	const char *file;
	int line;               /* 0: not known */
	const char *placeholders; /* the value as written, where it was expanded: "%planned_kill%"; else NULL */
};

#endif
