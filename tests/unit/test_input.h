/* test_input.h: the parts of test_input; one test case each. */
#ifndef TESTS_UNIT_TEST_INPUT_H
#define TESTS_UNIT_TEST_INPUT_H

#include <check.h>

TCase *stream_cases(void);
TCase *tail_cases(void);

#endif
