/*
 * test_parse.h: what test_file.c and test_input.c share while a file of tests is read. Nobody else includes this.
 */
#ifndef TOCSIN_TEST_PARSE_H
#define TOCSIN_TEST_PARSE_H

#include "test_file.h"

struct test_parser {
	struct test_file *file;
	const struct ruleset *rs;
	struct diag_list *diags;
};

/* An error that points at a node; at len bytes of a scalar's value from `from` on. */
void test_error(struct test_parser *p, const struct yaml_node *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void test_error_in(struct test_parser *p, const struct yaml_node *at, size_t from, size_t len, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* "did you mean" the nearest of the words, which end in NULL; else `otherwise`, which may be NULL. Goes to the newest error. */
void test_suggest(struct test_parser *p, struct span word, const char *const *words, const char *otherwise);
/* An error for each key that is not known; false when the node is no map, or one is not known. */
bool test_check_keys(struct test_parser *p, const struct yaml_node *map, const char *what, const char *const *known);
/* A text, NUL-terminated; NULL with an error, and without one when the key is absent. */
const char *test_get_text(struct test_parser *p, const struct yaml_node *map, const char *key);
/* The following leave *ret alone when the key is absent. False with an error. */
bool test_get_duration(struct test_parser *p, const struct yaml_node *map, const char *key, int64_t *ret_ns);
bool test_get_count(struct test_parser *p, const struct yaml_node *map, const char *key, uint64_t least, uint64_t most, uint64_t *ret);
bool test_get_bool(struct test_parser *p, const struct yaml_node *map, const char *key, bool *ret);
/* A time: a duration after the test's start, or a date and time in its zone. */
bool test_get_time(struct test_parser *p, const struct test_case *t, const struct yaml_node *map, const char *key, int64_t *ret_ns);
/* The value of a key that must be a list; NULL when it is absent, or, with an error, none. */
const struct yaml_node *test_get_list(struct test_parser *p, const struct yaml_node *map, const char *key);
bool test_time_add(int64_t *time_ns, int64_t step_ns);

/* test_input.c: unfolds `input:` into the test's logs and lines. False with an error. */
bool test_input_read(struct test_parser *p, struct test_case *t, const struct yaml_node *input);

#endif
