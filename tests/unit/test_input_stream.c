/*
 * test_input_stream.c: which files become which streams, in which order.
 */
#include "test_input.h"
TCase *stream_cases(void) { return tcase_create("stream"); }
