/*
 * ansi.h: terminal control sequences in logs. Internal to record/.
 */
#ifndef TOCSIN_RECORD_ANSI_H
#define TOCSIN_RECORD_ANSI_H

#include "base/span.h"

/*
 * Length of the escape sequence at the start of s: CSI (colours, cursor), OSC (titles, links), two- and three-byte ones;
 * of a cut or unknown one, its ESC alone. 0 when s does not begin with ESC.
 */
size_t ansi_sequence(struct span s);
/* Copies s to out without escape sequences and without the CRs before a newline or at the end. Returns the length, ≤ s.len. */
size_t ansi_strip(struct span s, char *out);

#endif
