/*
 * test_compare.h: does a state change satisfy an expectation, in which parts does it not, and how both are written: as YAML that could stand in
 * a file of tests, safe for a terminal.
 */
#ifndef TOCSIN_TEST_COMPARE_H
#define TOCSIN_TEST_COMPARE_H

#include "engine/incident.h"
#include "test_file.h"

/* The parts of a change that an expectation may name, in the order in which they are told. */
enum part { PART_AT, PART_LEVEL, PART_KEY, PART_VALUE, PART_COUNT, PART_OPENED, PART_FIRST, PART_LAST, PART_SUMMARY, PART_TOP, PART_FIELDS, PART_COMMANDS, PART_END };

/* Of the same rule and state. */
bool test_same_kind(const struct test_expectation *e, const struct change *c);
/* Is this part as expected, or not written? */
bool test_part_holds(const struct field_table *fields, const struct test_expectation *e, const struct change *c, enum part part);
/* How many parts differ. */
unsigned test_distance(const struct field_table *fields, const struct test_expectation *e, const struct change *c);
bool test_satisfies(const struct field_table *fields, const struct test_expectation *e, const struct change *c);
/* Is each text the value of its name? */
bool test_values_hold(const struct test_text *texts, uint32_t n, const struct named_value *values, size_t n_values);

/* One part, as whole lines that each start with `begin`. */
void test_append_expected(struct buffer *out, const char *begin, const struct test_case *t, const struct test_expectation *e, enum part part);
void test_append_got(struct buffer *out, const char *begin, const struct test_case *t, const struct field_table *fields, const struct change *c, enum part part);
/* A change as an expectation that could be pasted into the file; each line begins with "+". */
void test_append_change(struct buffer *out, const struct test_case *t, const struct field_table *fields, const struct change *c);
/* "key: {rig: cetana}" */
void test_append_texts(struct buffer *out, const char *begin, const char *name, const struct test_text *v, uint32_t n);

#endif
