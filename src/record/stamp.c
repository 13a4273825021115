/*
 * stamp.c: from a stamp as written to an instant, with what the file so far says about year and fold.
 */
#include "record/stamp.h"
#include "record/ansi.h"

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
