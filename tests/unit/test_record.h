/*
 * test_record.h: the suites of test_record.
 */
#ifndef TOCSIN_TEST_RECORD_H
#define TOCSIN_TEST_RECORD_H

#include "record/decoder.h"

#include <check.h>

/* ps, pattern and what a source is known by. */
Suite *record_ps_suite(void);

#endif
