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

/* Whether the minute at p is the one that is kept, or one of its day, which is kept then. */
static inline bool stamp_same_minute(struct stamp_cache *s, const char *p)
{
	uint64_t kept[2], there[2];

	memcpy(kept, s->minute, sizeof kept);
	memcpy(there, p, sizeof there);
	return __builtin_expect(((kept[0] ^ there[0]) | (kept[1] ^ there[1])) == 0, 1) || stamp_same_day(s, p);
}

/*
 * The common case: 19 bytes at p of the minute that is kept. Within a minute the offset to UTC does not change, and a
 * line of the same minute cannot be an hour away from the one before it.
 */
static inline bool stamp_cached(struct stamp_cache *s, const char *p, int64_t *ret)
{
	unsigned tens = (unsigned char)p[17] - '0', units = (unsigned char)p[18] - '0';

	if (p[16] != ':' || tens > 5 || units > 9 || !stamp_same_minute(s, p))
		return false;
	*ret = s->minute_ns + (tens * 10 + units) * NS_PER_SECOND;
	return true;
}

/* The same of 20 bytes, of which the last must be a blank: what stands behind the minute is looked at as one number. */
static inline bool stamp_cached_blank(struct stamp_cache *s, const char *p, int64_t *ret)
{
	uint32_t rest;

	memcpy(&rest, p + STAMP_TO_MINUTE, sizeof rest);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	rest = __builtin_bswap32(rest);
#endif
	/* ":00 " becomes 0, and each digit what it is. What is added shows in the top bit of a byte that is more than 59 has there. */
	rest ^= UINT32_C(0x2030303a);
	if (__builtin_expect((((rest + UINT32_C(0x00767a00)) | rest) & UINT32_C(0xff8080ff)) != 0, 0) || !stamp_same_minute(s, p))
		return false;
	*ret = s->minute_ns + ((rest >> 8 & 0xff) * 10 + (rest >> 16)) * NS_PER_SECOND;
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
