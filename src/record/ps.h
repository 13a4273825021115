/*
 * ps.h: the shapes of lines in a file of ps snapshots, for source.c, which has to recognise such files. Internal to record/.
 */
#ifndef TOCSIN_RECORD_PS_H
#define TOCSIN_RECORD_PS_H

#include "base/span.h"

enum ps_line {
	PS_OTHER,
	PS_BLANK,
	PS_STAMP,   /* a stamp alone on its line, or the first line of top */
	PS_SUMMARY, /* what top says above its header */
	PS_HEADER,
	PS_ROW,     /* fits the header before it */
	PS_BARE,    /* "PID command", as pgrep prints */
};

/* header: the header line that is in force; empty: none. */
enum ps_line ps_line_shape(struct span line, struct span header);

#endif
