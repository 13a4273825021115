/*
 * fields.h: `tocsin fields`: what the parsers make of the lines, as a table for each source and type of event: how many events have each field,
 * and its values where they are few, else some of them; and the lines that no parser understood. For people and programs that write rules.
 * Memory is bounded: types, fields and values beyond the limits are counted, not listed.
 */
#ifndef TOCSIN_FIELDS_H
#define TOCSIN_FIELDS_H

#include "record/decoder.h"

struct field_survey;

struct field_survey *field_survey_new(const struct field_table *fields);
void field_survey_free(struct field_survey *s);
/* For pipeline_options.look. */
void field_survey_add(void *survey, const struct event *e, enum parse_result r);
/* Ordered by source, then type; fields: the built-in ones first, then by name. */
void field_survey_text(struct field_survey *s, bool colour, struct buffer *out);
void field_survey_jsonl(struct field_survey *s, struct buffer *out);

#endif
