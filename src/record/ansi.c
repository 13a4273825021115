/*
 * ansi.c: removes what only a terminal needs. A sequence never reaches over a newline, so that a damaged
 * one cannot swallow the next line; CRs inside a line stay: they are text that somebody overwrote.
 */
#include "record/ansi.h"

#define ESC '\x1b'
#define BEL '\a'
#define OSC_LIMIT 4096

/* ESC [ parameters intermediates final */
static size_t csi_length(struct span s)
{
	size_t i = 2;

	while (i < s.len && s.ptr[i] >= 0x30 && s.ptr[i] <= 0x3f)
		i++;
	while (i < s.len && s.ptr[i] >= 0x20 && s.ptr[i] <= 0x2f)
		i++;
	return i < s.len && s.ptr[i] >= 0x40 && s.ptr[i] <= 0x7e ? i + 1 : 1;
}

/* ESC ] text, ended by BEL or ESC \ */
static size_t osc_length(struct span s)
{
	for (size_t i = 2; i < s.len && i < OSC_LIMIT && s.ptr[i] != '\n'; i++) {
		if (s.ptr[i] == BEL)
			return i + 1;
		if (s.ptr[i] == ESC)
			return i + 1 < s.len && s.ptr[i + 1] == '\\' ? i + 2 : 1;
	}
	return 1;
}

size_t ansi_sequence(struct span s)
{
	if (s.len == 0 || *s.ptr != ESC)
		return 0;
	if (s.len < 2)
		return 1;
	if (s.ptr[1] == '[')
		return csi_length(s);
	if (s.ptr[1] == ']')
		return osc_length(s);
	if (s.ptr[1] >= 0x20 && s.ptr[1] <= 0x2f) /* character sets: ESC ( B */
		return s.len > 2 && s.ptr[2] >= 0x30 && s.ptr[2] <= 0x7e ? 3 : 1;
	return s.ptr[1] >= 0x30 && s.ptr[1] <= 0x7e ? 2 : 1;
}

size_t ansi_strip(struct span s, char *out)
{
	char *o = out;

	while (s.len > 0) {
		size_t n = 0;

		while (n < s.len && s.ptr[n] != ESC && s.ptr[n] != '\r')
			n++;
		memcpy(o, s.ptr, n);
		o += n;
		s = span_from(s, n);
		if (s.len == 0)
			break;
		if (*s.ptr == ESC) {
			s = span_from(s, ansi_sequence(s));
			continue;
		}
		for (n = 1; n < s.len && s.ptr[n] == '\r'; n++)
			;
		if (n < s.len && s.ptr[n] != '\n') {
			memcpy(o, s.ptr, n);
			o += n;
		}
		s = span_from(s, n);
	}
	return (size_t)(o - out);
}
