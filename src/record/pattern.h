/*
 * pattern.h: a source of a rules file, compiled. Internal to record/; format_pattern decodes with it.
 */
#ifndef TOCSIN_RECORD_PATTERN_H
#define TOCSIN_RECORD_PATTERN_H

#include "record/format.h"

/* How many records of the text (whole lines, or what `start` makes of them) there are, and how many of them fit. Cut off at `limit` records. */
void source_pattern_count(const struct source_pattern *p, struct span text, size_t limit, size_t *ret_fit, size_t *ret_all);

#endif
