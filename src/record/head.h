/*
 * head.h: the head of a line of text in any of the shapes that scripts, syslog and Python logging write:
 *
 *	[tag] stamp [tag] [LEVEL] message          stamp may stand in brackets
 *	<13>Feb 17 05:12:01 host program[pid]: message
 *	<34>1 2026-02-17T05:12:01Z host program pid msgid [data] message
 *	stamp host program[pid]: message
 *	stamp - logger - LEVEL - message           and LEVEL:logger:message
 *
 * Every part may be missing. Spans are empty where it is. Internal to record/.
 */
#ifndef TOCSIN_RECORD_HEAD_H
#define TOCSIN_RECORD_HEAD_H

#include "record/format.h"

struct head {
	struct civil stamp;
	bool stamped;
	bool rfc5424;
	const char *stamp_at; /* where the stamp stands, when stamped, and how long it is */
	size_t stamp_len;
	struct span tag, level, host, program, pid, logger, message;
};

/* Reads up to the stamp and the tags around it; returns what is behind them. The line is without colours. */
struct span head_prefix(struct span line, struct head *ret);
/* Reads all of it. syslog: what follows the stamp is a host and a program in any case. */
void head_parse(struct span line, bool syslog, struct head *ret);

/* A word like ERROR, Warning, info at the start of s; 0 when there is none. */
size_t level_word(struct span s);

#endif
