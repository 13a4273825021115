/*
 * fields.h: `tocsin fields`: what the parsers make of the lines, as a table for each type of event: how many
 * events have each field, and an example. For people who write rules.
 */
#ifndef TOCSIN_FIELDS_H
#define TOCSIN_FIELDS_H

#include "record/decoder.h"

struct field_survey;

struct field_survey *field_survey_new(const struct field_table *fields);
void field_survey_free(struct field_survey *s);
void field_survey_add(struct field_survey *s, const struct event *e, enum parse_result r);
void field_survey_print(const struct field_survey *s, struct buffer *out);

#endif
