/*
 * test_rule.h: what the files of test_rule share.
 */
#ifndef TOCSIN_TEST_RULE_H
#define TOCSIN_TEST_RULE_H

#include "rule/ruleset.h"
#include <check.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* Loads, and fails the test with the first error when it does not. */
struct ruleset *load(const char *text);
/* Loads what must fail; the diagnostics are the caller's to release. */
struct diag_list load_errors(const char *text, bool lint);

TCase *golden_tests(void);
TCase *template_tests(void);

#endif
