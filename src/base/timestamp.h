/*
 * timestamp.h: instants and durations. An instant is int64_t nanoseconds
 * since 1970-01-01 UTC; leap seconds do not exist (23:59:60 is the next
 * minute's 0). TIME_NONE: not known.
 */
#ifndef TOCSIN_BASE_TIMESTAMP_H
#define TOCSIN_BASE_TIMESTAMP_H

#include "base/buffer.h"
#include <stdint.h>

#define TIME_NONE INT64_MIN
#define NS_PER_SECOND INT64_C(1000000000)

/* Times of all stamps and clocks lie in between, and spans of a hundred days can be added and subtracted freely. */
#define TIME_LEAST (INT64_MIN + INT64_C(100) * 24 * 3600 * NS_PER_SECOND)
#define TIME_MOST (INT64_MAX - INT64_C(400) * 24 * 3600 * NS_PER_SECOND)

struct zone;

/* A civil time as written, before a zone is applied. */
struct civil {
	int year; /* 0: not written (RFC 3164) */
	int month, day, hour, minute, second;
	int32_t nanosecond;
	bool has_zone;
	int32_t zone_offset_s; /* seconds east of UTC, when has_zone */
};

/* Days since 1970-01-01 of a proleptic Gregorian date. */
int64_t days_from_civil(int year, int month, int day);
void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);
/* Can this time be (no 30 February, no 25 h), and be held in nanoseconds (years 1678 to 2261)? Year 0 passes. */
bool civil_valid(const struct civil *c);

/*
 * Reads a stamp at the start of s in any of the known forms:
 *   Y-M-D[T ]h:m:s[.,f…][Z|±hh[:]mm]   Y/M/D h:m:s[.,f…]   RFC 3164 "Mmm [ d]d h:m:s" (no year)
 *   date(1)'s default "Www Mmm d h:m:s ZZZ YYYY" and "Www dd Mmm YYYY hh:mm:ss AM ZZZ" (zone names UTC, GMT and Z only;
 *   another abbreviation is left to the source's zone).
 * Returns the bytes read, 0 when there is none. Impossible values (month 13, 25 h) are no stamp.
 */
size_t civil_parse(struct span s, struct civil *ret);

/*
 * strptime-like pattern for user-defined sources: %Y %m %d %H %M %S %f (fraction, any digits) %b %B %e %y %j %z %Z
 * %p %I %s (epoch seconds, with fraction) %L (epoch milliseconds) %a %A %T %F %%; other bytes stand for themselves,
 * white space for any run of it. Returns the bytes read, 0 when it does not match.
 */
size_t civil_parse_pattern(struct span s, const char *pattern, struct civil *ret);
/* NULL, or what is wrong with the pattern (static text). */
const char *civil_pattern_error(const char *pattern);

/*
 * A zone: "local" (the system's), "UTC", or an IANA name. NULL when unknown. Cached; owned by the
 * library; never freed before exit. Read through libc (tzset), at load time only; not thread-safe to load.
 */
const struct zone *zone_get(const char *name);
const char *zone_name(const struct zone *z);
/* Seconds east of UTC at an instant. */
int32_t zone_offset_s(const struct zone *z, int64_t time_ns);
/* Does the offset stay the same from one instant to another? */
bool zone_is_steady(const struct zone *z, int64_t from_ns, int64_t to_ns);

/*
 * The instant of a civil time in a zone (ignored when has_zone). A time that stands twice (autumn) is
 * the earliest one that is not before previous_ns - slack 1 min; one that does not exist (spring) is read with the
 * offset before the change. A missing year is the one that puts it nearest to previous_ns.
 * previous_ns: the stamp before it in the file, or the file's mtime, or TIME_NONE (then year 1970
 * and the first fold).
 */
int64_t civil_to_time(const struct civil *c, const struct zone *z, int64_t previous_ns);

/* RFC 3339, UTC, "Z"; fraction of 3, 6 or 9 digits only when not zero. */
void time_format_utc(struct buffer *out, int64_t time_ns);
#define TIME_TEXT_SIZE 32
/* The same into a fixed array, not NUL-terminated; returns the length. */
size_t time_format_utc_to(char text[TIME_TEXT_SIZE], int64_t time_ns);
/* "2026-02-17 08:44:02" in a zone, seconds; for people. */
void time_format_local(struct buffer *out, int64_t time_ns, const struct zone *z);

/* "90s" "15m" "1h" "7d" "500ms" "1w"; and Go's "5h2m0s". Returns false when it is none. */
bool duration_parse(struct span s, int64_t *ret_ns);
/* The shortest form: "1h", "90s" → "1m30s". */
void duration_format(struct buffer *out, int64_t duration_ns);

/*
 * A time as a user writes it on the command line: RFC 3339, "2026-02-17 08:44[:02]" in zone z, "08:44" (that day of
 * now_ns), "now", "now-2h", "-2h", "2h ago", "1 hour ago", "yesterday", "today", "tomorrow" (their midnight), "@EPOCH".
 * Returns false when it is none.
 */
bool time_parse_user(struct span s, const struct zone *z, int64_t now_ns, int64_t *ret);

#endif
