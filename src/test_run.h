/*
 * test_run.h: runs one test of rules through the pipeline and says how what came differs from what was expected. Each test runs whole,
 * then a line at a time with a checkpoint saved and loaded between all lines, then once for each line with a
 * checkpoint there only: all of these must say the same, byte for byte.
 */
#ifndef TOCSIN_TEST_RUN_H
#define TOCSIN_TEST_RUN_H

#include "pipeline.h"
#include "test_file.h"

/* Runs with a single checkpoint, of a test with more lines: spread evenly. */
#define TEST_CUTS_MAX 50

struct test_result {
	bool passed;
	uint32_t n_cuts;      /* checkpoints that were saved and loaded */
	/*
	 * What is wrong, whole lines for people, safe for a terminal. The first byte of each says what it is: ' ' text,
	 * '-' expected, '+' what came.
	 */
	struct buffer report;
	bool *fired;          /* by rule: it opened, and the test expected that */
	bool *forbidden;      /* by rule: the test names it in expect_never, it stayed silent, and some event was of concern to it */
	double seconds;
};

/* Fills *ret. */
void test_run(const struct test_case *t, const struct ruleset *rs, struct test_result *ret);
void test_result_release(struct test_result *r);

#endif
