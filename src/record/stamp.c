/*
 * stamp.c: from a stamp as written to an instant, with what the file so far says about year and fold.
 */
#include "record/stamp.h"
#include "record/ansi.h"
#include "record/format.h"

int64_t stamp_resolve(const struct format_context *c, const struct civil *civil)
{
	const int64_t slack_ns = 86400 * NS_PER_SECOND; /* clocks, and mtimes that were rounded */
	struct civil dated = *civil;
	int year, month, day;

	if (c->previous_is_stamp)
		return civil_to_time(civil, c->zone, c->previous_ns);
	if (civil->year != 0 || c->previous_ns == TIME_NONE)
		return civil_to_time(civil, c->zone, TIME_NONE);
	/* The first line of a file is not younger than the file; it may well be more than half a year older. */
	civil_from_days(c->previous_ns / (86400 * NS_PER_SECOND), &year, &month, &day);
	for (dated.year = year + 1; dated.year >= year - 8; dated.year--) {
		int64_t t;

		if (!civil_valid(&dated))
			continue;
		t = civil_to_time(&dated, c->zone, TIME_NONE);
		if (t <= c->previous_ns + slack_ns)
			return t;
	}
	return civil_to_time(civil, c->zone, c->previous_ns);
}

bool stamp_same_day(struct stamp_cache *s, const char *p)
{
	int hour, minute, kept;

	if (!s->steady || memcmp(p, s->minute, STAMP_TO_DAY) != 0 || p[13] != ':' || !stamp_is_digit(p[11]) ||
	    !stamp_is_digit(p[12]) || !stamp_is_digit(p[14]) || !stamp_is_digit(p[15]))
		return false;
	hour = (p[11] - '0') * 10 + (p[12] - '0');
	minute = (p[14] - '0') * 10 + (p[15] - '0');
	if (hour > 23 || minute > 59)
		return false;
	kept = ((s->minute[11] - '0') * 10 + (s->minute[12] - '0')) * 60 + (s->minute[14] - '0') * 10 + (s->minute[15] - '0');
	s->minute_ns += (hour * 60 + minute - kept) * (60 * NS_PER_SECOND);
	memcpy(s->minute, p, STAMP_TO_MINUTE);
	return true;
}

void stamp_keep(const struct format_context *c, struct stamp_cache *s, const char *p, size_t len, const struct civil *civil,
		int64_t time_ns)
{
	const int64_t two_days_ns = 2 * 86400 * NS_PER_SECOND, minute_ns = 60 * NS_PER_SECOND;

	if (len < STAMP_LENGTH || civil->year == 0 || civil->second > 59 || !stamp_is_digit(*p)) {
		stamp_pass(s);
		return;
	}
	memcpy(s->minute, p, STAMP_TO_MINUTE);
	s->minute_ns = time_ns - civil->nanosecond - civil->second * NS_PER_SECOND;
	/* Two days either way: the whole civil day is inside, in any zone. */
	s->steady = civil->has_zone || (time_ns > INT64_MIN + 2 * two_days_ns && time_ns < INT64_MAX - 2 * two_days_ns &&
					s->minute_ns % minute_ns == 0 &&
					zone_is_steady(c->zone, time_ns - two_days_ns, time_ns + two_days_ns));
}

bool stamp_at_start(const struct format_context *c, struct stamp_cache *s, struct span line, int64_t *ret_time)
{
	struct civil civil;
	size_t n;

	line = stamp_skip_colours(line);
	if (line.len == 0 || !stamp_is_digit(*line.ptr))
		return false;
	n = civil_parse(line, &civil);
	if (n == 0 || (n < line.len && line.ptr[n] != ' '))
		return false;
	*ret_time = stamp_resolve(c, &civil);
	if (n == STAMP_LENGTH && !civil.has_zone)
		stamp_keep(c, s, line.ptr, n, &civil, *ret_time);
	else
		stamp_pass(s);
	return true;
}

size_t stamp_length(struct span s)
{
	struct civil civil;

	return s.len > STAMP_LENGTH && stamp_is_digit(*s.ptr) && s.ptr[STAMP_LENGTH] == ' ' ? STAMP_LENGTH
											    : civil_parse(s, &civil);
}

struct span stamp_skip_colours(struct span line)
{
	for (;;) {
		size_t n = line.len ? ansi_sequence(line) : 0;

		if (n == 0 && line.len > 0 && (*line.ptr == ' ' || *line.ptr == '\t'))
			n = 1;
		if (n == 0)
			return line;
		line = span_from(line, n);
	}
}
