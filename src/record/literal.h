/*
 * literal.h: what format_literal() asks single formats. Internal to record/.
 */
#ifndef TOCSIN_RECORD_LITERAL_H
#define TOCSIN_RECORD_LITERAL_H

#include "base/span.h"

/* Text that every daemon message of this type holds; empty when there is none. */
struct span daemon_type_literal(struct span type);

#endif
