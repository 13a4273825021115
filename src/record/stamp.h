/*
 * stamp.h: stamps at a fixed place, as nearly every line has them: "YYYY-MM-DD HH:MM:SS" with any separators. The
 * last one is kept up to its minute, so that the next line of that minute costs a comparison and two digits.
 * Internal to record/.
 */
#ifndef TOCSIN_RECORD_STAMP_H
#define TOCSIN_RECORD_STAMP_H

#include "base/span.h"
#include "base/timestamp.h"

struct format_context;

#define STAMP_LENGTH 19
#define STAMP_TO_DAY 11
#define STAMP_TO_MINUTE 16

struct stamp_cache {
	char minute[STAMP_TO_MINUTE]; /* first byte 0: nothing kept */
	bool steady;                  /* the zone does not change around this day: other minutes of it are reckoned from this one */
	int64_t minute_ns;
};

static inline bool stamp_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Another minute of the day that is kept. */
bool stamp_same_day(struct stamp_cache *s, const char *p);

/*
 * The common case: 19 bytes at p of the minute that is kept. Within a minute the offset to UTC does not change, and a
 * line of the same minute cannot be an hour away from the one before it.
 */
static inline bool stamp_cached(struct stamp_cache *s, const char *p, int64_t *ret)
{
	unsigned tens = (unsigned char)p[17] - '0', units = (unsigned char)p[18] - '0';

	if (__builtin_expect(memcmp(p, s->minute, STAMP_TO_MINUTE) != 0, 0) && !stamp_same_day(s, p))
		return false;
	if (p[16] != ':' || tens > 5 || units > 9)
		return false;
	*ret = s->minute_ns + (tens * 10 + units) * NS_PER_SECOND;
	return true;
}

/*
 * Keeps a stamp of civil_parse() that stood at p (len bytes; at least 19 are wanted), and what it was resolved to. A stamp that cannot
 * be kept must be given to stamp_pass(): what a minute of an hour that stands twice means rests on the line before.
 */
void stamp_keep(const struct format_context *c, struct stamp_cache *s, const char *p, size_t len, const struct civil *civil,
		int64_t time_ns);

static inline void stamp_pass(struct stamp_cache *s)
{
	if (!s->steady)
		s->minute[0] = '\0';
}

/*
 * The slow way for formats whose records begin with a stamp and a blank: any form, behind colours. False when there is none.
 */
bool stamp_at_start(const struct format_context *c, struct stamp_cache *s, struct span line, int64_t *ret_time);

/* Length of the stamp that s is known to begin with. */
size_t stamp_length(struct span s);

/* Without colours (ESC sequences) and blanks at its start. */
struct span stamp_skip_colours(struct span line);

#endif
