/*
 * json.h: reads one line of JSON, strictly (RFC 8259), leaf by leaf, without allocating. An object's members come out
 * under dotted names ("payload.reason"), the elements of an array one by one under the array's own name:
 *
 *	{"a":{"b":1},"c":[{"d":"x"},{"d":"y"}]}    a.b = 1, c.d = x, c.d = y
 *
 * Empty objects and arrays leave nothing. Bytes of strings that are no UTF-8 pass as they are. A leaf
 * whose name is longer than JSON_NAME_LIMIT is left out.
 */
#ifndef TOCSIN_RECORD_JSON_H
#define TOCSIN_RECORD_JSON_H

#include "record/event.h"

#define JSON_DEPTH_LIMIT 64
#define JSON_NAME_LIMIT 512

struct json_leaf {
	struct span name;  /* dotted; lives until the next call */
	struct span text;  /* as written: a number, true, false, "" for null; a string without its quotes, still escaped */
	enum value_kind kind;
	bool escaped;      /* of a string: has escapes, json_leaf_text() resolves them */
	unsigned depth;    /* 1: a member of the outermost object */
};

struct json_scanner {
	const char *p, *end;
	unsigned depth;
	uint8_t expect;
	bool is_object[JSON_DEPTH_LIMIT];
	size_t name_len[JSON_DEPTH_LIMIT]; /* of the container at that depth; may be beyond the limit */
	char name[JSON_NAME_LIMIT];
};

enum json_result {
	JSON_LEAF,
	JSON_END,     /* the object ended, and only white space follows */
	JSON_DAMAGED, /* no JSON object, or one nested deeper than the limit */
};

void json_scan(struct json_scanner *s, struct span line);
enum json_result json_next(struct json_scanner *s, struct json_leaf *ret);

/* The line with the escapes of its strings resolved, so that it is no JSON any more; the empty text when it was none. */
struct span json_unescaped(struct span line, struct arena *arena);

/* The leaf's text; into the arena only where it has escapes. A lone surrogate becomes U+FFFD. */
struct span json_leaf_text(const struct json_leaf *leaf, struct arena *arena);

#endif
