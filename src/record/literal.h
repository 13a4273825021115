/*
 * literal.h: what format_literal() asks single formats. Internal to record/.
 */
#ifndef TOCSIN_RECORD_LITERAL_H
#define TOCSIN_RECORD_LITERAL_H

#include "record/field.h"

/* Text that every daemon message of this type holds; empty when there is none. */
struct span daemon_type_literal(struct span type);
/* What stands between the agent and this field's text in lines of this type; empty where it is not certain. */
struct span town_beginning(struct span type, field_id field);
struct span town_lead(struct span type, field_id field);
/* What must follow the first word behind the type, and a blank, for that word to be the agent if there is one; empty: anything may. */
struct span town_behind_agent(struct span type);

#endif
