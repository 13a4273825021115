/*
 * timestamp.c: reads and writes stamps and durations as text. It decides what counts as a stamp: a form of the
 * list in the header whose numbers are possible (no 30 February, no 25 h) and whose year fits into 64-bit
 * nanoseconds (1678 to 2261). It knows nothing of zones beyond an offset that is written down; that is zone.c.
 * Nothing here allocates but the appends to a caller's buffer, and nothing depends on the locale.
 */
#include "base/timestamp.h"

#include <stdio.h>

#define YEAR_MIN 1678 /* the whole year, any zone, fits int64_t nanoseconds */
#define YEAR_MAX 2261

#define NS_PER_MINUTE (60 * NS_PER_SECOND)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)
#define NS_PER_DAY (24 * NS_PER_HOUR)

static const char month_names[12][4] = { "jan", "feb", "mar", "apr", "may", "jun",
					 "jul", "aug", "sep", "oct", "nov", "dec" };
static const char long_months[12][10] = { "january", "february", "march",     "april",   "may",      "june",
					  "july",    "august",   "september", "october", "november", "december" };
static const char day_names[7][4] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
static const char long_days[7][10] = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" };

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Days since 1970-01-01, counted in eras of 400 years that begin on 1 March, so that a leap day is a year's last. */
int64_t days_from_civil(int year, int month, int day)
{
	int64_t y = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t mp = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * mp + 2) / 5 + 1);
	*ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	/* A year that is not written may be a leap year. */
	return month == 2 && (year == 0 || is_leap(year)) ? 29 : days[month - 1];
}

bool civil_valid(const struct civil *c)
{
	return (c->year == 0 || (c->year >= YEAR_MIN && c->year <= YEAR_MAX)) && c->month >= 1 && c->month <= 12 &&
	       c->day >= 1 && c->day <= days_in_month(c->year, c->month) && c->hour >= 0 && c->hour <= 23 &&
	       c->minute >= 0 && c->minute <= 59 && c->second >= 0 && c->second <= 60;
}

/* A reader over the text; every helper moves `p` only when it succeeds. */
struct cursor {
	const char *p, *end;
};

static bool at_char(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* Exactly n digits. */
static bool fixed_number(struct cursor *c, int n, int *ret)
{
	int v = 0;

	if (c->end - c->p < n)
		return false;
	for (int i = 0; i < n; i++) {
		if (!is_digit(c->p[i]))
			return false;
		v = v * 10 + (c->p[i] - '0');
	}
	c->p += n;
	*ret = v;
	return true;
}

/* One to max digits. */
static bool short_number(struct cursor *c, int max, int *ret)
{
	int v = 0, n = 0;

	while (n < max && c->p + n < c->end && is_digit(c->p[n]))
		v = v * 10 + (c->p[n++] - '0');
	if (n == 0)
		return false;
	c->p += n;
	*ret = v;
	return true;
}

/* Digits of a fraction, any number of them; those beyond the ninth are read and dropped. */
static bool fraction_digits(struct cursor *c, int32_t *ret_ns)
{
	int32_t v = 0;
	int n = 0;

	if (c->p == c->end || !is_digit(*c->p))
		return false;
	for (; c->p < c->end && is_digit(*c->p); c->p++) {
		if (n < 9) {
			v = v * 10 + (*c->p - '0');
			n++;
		}
	}
	for (; n < 9; n++)
		v *= 10;
	*ret_ns = v;
	return true;
}

/* "h:m:s" and a fraction after "." or ",", where a digit follows it. */
static bool clock_time(struct cursor *c, struct civil *ret, bool two_digit_hour)
{
	struct cursor t = *c;

	if (!(two_digit_hour ? fixed_number(&t, 2, &ret->hour) : short_number(&t, 2, &ret->hour)) ||
	    !at_char(&t, ':') || !fixed_number(&t, 2, &ret->minute) || !at_char(&t, ':') ||
	    !fixed_number(&t, 2, &ret->second))
		return false;
	if (t.end - t.p >= 2 && (*t.p == '.' || *t.p == ',') && is_digit(t.p[1])) {
		t.p++;
		fraction_digits(&t, &ret->nanosecond);
	}
	if (t.p < t.end && is_digit(*t.p))
		return false;
	*c = t;
	return true;
}

/* Z, ±hh, ±hhmm, ±hh:mm. Nothing written is no error: false, and has_zone stays as it is. */
static bool written_zone(struct cursor *c, struct civil *ret)
{
	struct cursor t = *c;
	int sign, h, m = 0;

	if (t.p < t.end && (*t.p == 'Z' || *t.p == 'z') && (t.p + 1 == t.end || !is_alpha(t.p[1]))) {
		c->p++;
		ret->has_zone = true;
		ret->zone_offset_s = 0;
		return true;
	}
	if (t.p == t.end || (*t.p != '+' && *t.p != '-'))
		return false;
	sign = *t.p++ == '-' ? -1 : 1;
	if (!fixed_number(&t, 2, &h))
		return false;
	if (t.p < t.end && *t.p == ':') {
		t.p++;
		if (!fixed_number(&t, 2, &m))
			return false;
	} else if (t.p < t.end && is_digit(*t.p) && !fixed_number(&t, 2, &m)) {
		return false;
	}
	if ((t.p < t.end && is_digit(*t.p)) || h > 23 || m > 59)
		return false;
	ret->has_zone = true;
	ret->zone_offset_s = sign * (h * 3600 + m * 60);
	*c = t;
	return true;
}

/* A zone's abbreviation of letters: UTC, GMT and Z mean something, any other is read over. */
static bool zone_letters(struct cursor *c, struct civil *ret)
{
	const char *p = c->p;
	size_t n;

	while (p < c->end && is_alpha(*p))
		p++;
	n = (size_t)(p - c->p);
	if (n == 0 || n > 6)
		return false;
	if ((n == 3 && (memcmp(c->p, "UTC", 3) == 0 || memcmp(c->p, "GMT", 3) == 0)) || (n == 1 && *c->p == 'Z')) {
		ret->has_zone = true;
		ret->zone_offset_s = 0;
	}
	c->p = p;
	return true;
}

/* One of `count` names of a table with rows of `stride` bytes, any letter case; returns its index, or -1. */
static int name_in(struct cursor *c, const char *names, size_t stride, int count)
{
	for (int i = 0; i < count; i++) {
		const char *name = names + (size_t)i * stride;
		size_t n = strlen(name), k = 0;

		if ((size_t)(c->end - c->p) < n)
			continue;
		while (k < n && lower(c->p[k]) == name[k])
			k++;
		if (k == n) {
			c->p += n;
			return i;
		}
	}
	return -1;
}

static bool month_name(struct cursor *c, struct civil *ret)
{
	int i = name_in(c, month_names[0], sizeof month_names[0], 12);

	if (i < 0)
		return false;
	ret->month = i + 1;
	return true;
}

/* " AM" or " PM" behind a 12-hour clock. */
static bool half_day(struct cursor *c, struct civil *ret)
{
	bool pm;

	if (c->end - c->p < 2 || lower(c->p[1]) != 'm' || (lower(c->p[0]) != 'a' && lower(c->p[0]) != 'p'))
		return false;
	if (ret->hour < 1 || ret->hour > 12)
		return false;
	pm = lower(c->p[0]) == 'p';
	ret->hour = ret->hour % 12 + (pm ? 12 : 0);
	c->p += 2;
	return true;
}

/* " d" or "dd", as syslog and date pad it, after one space. */
static bool padded_day(struct cursor *c, struct civil *ret)
{
	if (!at_char(c, ' '))
		return false;
	at_char(c, ' ');
	return short_number(c, 2, &ret->day);
}

/* What may stand behind date's clock: " AM", " UTC", " 2026", each at most once, in any order that occurs. */
static void date_tail(struct cursor *c, struct civil *ret)
{
	struct cursor t = *c;

	if (at_char(&t, ' ') && half_day(&t, ret) && (t.p == t.end || *t.p == ' '))
		*c = t;
	t = *c;
	if (at_char(&t, ' ') && (written_zone(&t, ret) || zone_letters(&t, ret)))
		*c = t;
	t = *c;
	if (ret->year == 0 && at_char(&t, ' ') && fixed_number(&t, 4, &ret->year))
		*c = t;
}

/* Forms that begin with a digit: Y-M-D or Y/M/D, a clock, a zone. */
static bool numeric_stamp(struct cursor *c, struct civil *ret)
{
	char separator;

	if (!fixed_number(c, 4, &ret->year) || c->p == c->end || (*c->p != '-' && *c->p != '/'))
		return false;
	separator = *c->p++;
	if (ret->year == 0 || !fixed_number(c, 2, &ret->month) || !at_char(c, separator) ||
	    !fixed_number(c, 2, &ret->day) || c->p == c->end)
		return false;
	if (*c->p != ' ' && (separator == '/' || (*c->p != 'T' && *c->p != 't')))
		return false;
	c->p++;
	if (!clock_time(c, ret, true))
		return false;
	written_zone(c, ret);
	return true;
}

/* Forms that begin with a name: RFC 3164, date(1) in the C, en_US and en_GB locales, RFC 5322. */
static bool named_stamp(struct cursor *c, struct civil *ret)
{
	struct cursor t = *c;
	bool weekday = name_in(&t, day_names[0], sizeof day_names[0], 7) >= 0;

	if (weekday) {
		at_char(&t, ',');
		if (!at_char(&t, ' '))
			return false;
		at_char(&t, ' ');
		if (t.p < t.end && is_digit(*t.p)) { /* "dd Mmm YYYY h:m:s" or "dd Mmm h:m:s ZZZ YYYY" */
			struct cursor y;

			if (!short_number(&t, 2, &ret->day) || !at_char(&t, ' ') || !month_name(&t, ret) ||
			    !at_char(&t, ' '))
				return false;
			y = t;
			if (fixed_number(&y, 4, &ret->year) && at_char(&y, ' '))
				t = y;
			else
				ret->year = 0;
			if (!clock_time(&t, ret, false))
				return false;
			date_tail(&t, ret);
			*c = t;
			return ret->year != 0;
		}
	}
	if (!month_name(&t, ret) || !padded_day(&t, ret) || !at_char(&t, ' ') || !clock_time(&t, ret, true))
		return false;
	if (weekday) {
		date_tail(&t, ret);
		if (ret->year == 0)
			return false;
	}
	*c = t;
	return true;
}

size_t civil_parse(struct span s, struct civil *ret)
{
	struct cursor c = { s.ptr, s.ptr + s.len };
	struct civil v = { 0 };
	bool found;

	if (s.len < 15)
		return 0;
	found = is_digit(*s.ptr) ? numeric_stamp(&c, &v) : is_alpha(*s.ptr) && named_stamp(&c, &v);
	if (!found || !civil_valid(&v))
		return 0;
	*ret = v;
	return (size_t)(c.p - s.ptr);
}

/* Civil time of an instant, at UTC. */
static void civil_of(int64_t time_ns, struct civil *ret)
{
	int64_t days = time_ns / NS_PER_DAY, left = time_ns % NS_PER_DAY;

	if (left < 0) {
		left += NS_PER_DAY;
		days--;
	}
	memset(ret, 0, sizeof *ret);
	civil_from_days(days, &ret->year, &ret->month, &ret->day);
	ret->hour = (int)(left / NS_PER_HOUR);
	ret->minute = (int)(left / NS_PER_MINUTE % 60);
	ret->second = (int)(left / NS_PER_SECOND % 60);
	ret->nanosecond = (int32_t)(left % NS_PER_SECOND);
	ret->has_zone = true;
}

/* Digits and a fraction as an instant; unit_ns is what 1 stands for. */
static bool epoch_number(struct cursor *c, int64_t unit_ns, int64_t *ret_ns)
{
	struct cursor t = *c;
	int64_t v = 0;
	int32_t fraction = 0;
	bool negative = at_char(&t, '-');

	if (t.p == t.end || !is_digit(*t.p))
		return false;
	for (; t.p < t.end && is_digit(*t.p); t.p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *t.p - '0', &v))
			return false;
	}
	if (__builtin_mul_overflow(v, unit_ns, &v))
		return false;
	if (t.end - t.p >= 2 && *t.p == '.' && is_digit(t.p[1])) {
		t.p++;
		fraction_digits(&t, &fraction);
	}
	if (__builtin_add_overflow(v, fraction / (NS_PER_SECOND / unit_ns), &v))
		return false;
	*ret_ns = negative ? -v : v;
	*c = t;
	return true;
}

/* What a pattern's conversions left open until its end. */
struct pattern_state {
	struct civil civil;
	int day_of_year;
	bool pm, half;
};

static bool pattern_conversion(char conversion, struct cursor *c, struct pattern_state *s)
{
	struct civil *v = &s->civil;
	int64_t ns;
	int n;

	switch (conversion) {
	case 'Y':
		return fixed_number(c, 4, &v->year);
	case 'y':
		if (!fixed_number(c, 2, &n))
			return false;
		v->year = n < 69 ? 2000 + n : 1900 + n;
		return true;
	case 'm':
		return short_number(c, 2, &v->month);
	case 'd':
	case 'e':
		while (at_char(c, ' '))
			;
		return short_number(c, 2, &v->day);
	case 'H':
	case 'I':
		while (at_char(c, ' '))
			;
		return short_number(c, 2, &v->hour);
	case 'M':
		return short_number(c, 2, &v->minute);
	case 'S':
		return short_number(c, 2, &v->second);
	case 'f':
		return fraction_digits(c, &v->nanosecond);
	case 'j':
		return short_number(c, 3, &s->day_of_year) && s->day_of_year > 0;
	case 'b':
	case 'B':
		n = name_in(c, long_months[0], sizeof long_months[0], 12);
		if (n < 0)
			return month_name(c, v);
		v->month = n + 1;
		return true;
	case 'a':
	case 'A':
		return name_in(c, long_days[0], sizeof long_days[0], 7) >= 0 ||
		       name_in(c, day_names[0], sizeof day_names[0], 7) >= 0;
	case 'p':
		if (c->end - c->p < 2 || lower(c->p[1]) != 'm' || (lower(c->p[0]) != 'a' && lower(c->p[0]) != 'p'))
			return false;
		s->half = true;
		s->pm = lower(c->p[0]) == 'p';
		c->p += 2;
		return true;
	case 'z':
		return written_zone(c, v);
	case 'Z':
		return zone_letters(c, v);
	case 's':
	case 'L':
		if (!epoch_number(c, conversion == 's' ? NS_PER_SECOND : NS_PER_SECOND / 1000, &ns))
			return false;
		civil_of(ns, v);
		return true;
	case 'T':
		return pattern_conversion('H', c, s) && at_char(c, ':') && pattern_conversion('M', c, s) &&
		       at_char(c, ':') && pattern_conversion('S', c, s);
	case 'F':
		return pattern_conversion('Y', c, s) && at_char(c, '-') && pattern_conversion('m', c, s) &&
		       at_char(c, '-') && pattern_conversion('d', c, s);
	case '%':
		return at_char(c, '%');
	}
	return false;
}

size_t civil_parse_pattern(struct span s, const char *pattern, struct civil *ret)
{
	struct cursor c = { s.ptr, s.ptr + s.len };
	struct pattern_state state = { 0 };

	for (const char *p = pattern; *p; p++) {
		if (*p == ' ' || *p == '\t') {
			const char *before = c.p;

			while (c.p < c.end && (*c.p == ' ' || *c.p == '\t'))
				c.p++;
			if (c.p == before)
				return 0;
			while (p[1] == ' ' || p[1] == '\t')
				p++;
		} else if (*p == '%' && p[1]) {
			if (!pattern_conversion(*++p, &c, &state))
				return 0;
		} else if (!at_char(&c, *p)) {
			return 0;
		}
	}
	if (state.half) {
		if (state.civil.hour < 1 || state.civil.hour > 12)
			return 0;
		state.civil.hour = state.civil.hour % 12 + (state.pm ? 12 : 0);
	}
	if (state.day_of_year > 0) {
		int year = state.civil.year ? state.civil.year : 1970;

		if (state.day_of_year > 365 + is_leap(year))
			return 0;
		civil_from_days(days_from_civil(year, 1, 1) + state.day_of_year - 1, &year, &state.civil.month,
				&state.civil.day);
	}
	if (!civil_valid(&state.civil))
		return 0;
	*ret = state.civil;
	return (size_t)(c.p - s.ptr);
}

const char *civil_pattern_error(const char *pattern)
{
	bool month = false, day = false, hour = false;

	for (const char *p = pattern; *p; p++) {
		if (*p != '%')
			continue;
		p++;
		if (!*p)
			return "a time-format ends in a lone %";
		if (!strchr("YmdHMSfbBeyjzZpIsLaATF%", *p))
			return "a time-format knows only %Y %m %d %H %M %S %f %b %B %e %y %j %z %Z %p %I %s %L %a %A %T %F and %%";
		month |= strchr("mbBjsLF", *p) != NULL;
		day |= strchr("dejsLF", *p) != NULL;
		hour |= strchr("HIsLT", *p) != NULL;
	}
	if (!month || !day)
		return "a time-format needs a day: %m and %d, %j, %F, %s or %L";
	if (!hour)
		return "a time-format needs a time of day: %H, %I, %T, %s or %L";
	return NULL;
}

static char *put_digits(char *p, int v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return p + n;
}

/* v < 100 */
static inline char *put_two(char *p, unsigned v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

static char *put_date_time(char *p, const struct civil *c, char between)
{
	p = put_digits(p, c->year, 4);
	*p++ = '-';
	p = put_two(p, (unsigned)c->month);
	*p++ = '-';
	p = put_two(p, (unsigned)c->day);
	*p++ = between;
	p = put_two(p, (unsigned)c->hour);
	*p++ = ':';
	p = put_two(p, (unsigned)c->minute);
	*p++ = ':';
	return put_two(p, (unsigned)c->second);
}

size_t time_format_utc_to(char text[TIME_TEXT_SIZE], int64_t time_ns)
{
	struct civil c;
	char *p;

	civil_of(time_ns, &c);
	p = put_date_time(text, &c, 'T');
	if (c.nanosecond) {
		*p++ = '.';
		if (c.nanosecond % 1000000 == 0)
			p = put_digits(p, c.nanosecond / 1000000, 3);
		else if (c.nanosecond % 1000 == 0)
			p = put_digits(p, c.nanosecond / 1000, 6);
		else
			p = put_digits(p, c.nanosecond, 9);
	}
	*p++ = 'Z';
	return (size_t)(p - text);
}

void time_format_utc(struct buffer *out, int64_t time_ns)
{
	char text[TIME_TEXT_SIZE];

	buffer_append(out, text, time_format_utc_to(text, time_ns));
}

void time_format_local(struct buffer *out, int64_t time_ns, const struct zone *z)
{
	int64_t offset_ns = zone_offset_s(z, time_ns) * NS_PER_SECOND, local_ns;
	struct civil c;
	char text[TIME_TEXT_SIZE];

	if (__builtin_add_overflow(time_ns, offset_ns, &local_ns))
		local_ns = time_ns;
	civil_of(local_ns, &c);
	buffer_append(out, text, (size_t)(put_date_time(text, &c, ' ') - text));
}

/* Units longest name first, so that "ms" is not read as minutes. */
static const struct {
	const char *name;
	int64_t ns;
} duration_units[] = {
	{ "ms", 1000000 },     { "us", 1000 },        { "\xc2\xb5s", 1000 },
	{ "\xce\xbcs", 1000 }, { "ns", 1 },           { "w", 7 * NS_PER_DAY },
	{ "d", NS_PER_DAY },   { "h", NS_PER_HOUR },  { "m", NS_PER_MINUTE },
	{ "s", NS_PER_SECOND },
};

bool duration_parse(struct span s, int64_t *ret_ns)
{
	struct cursor c = { s.ptr, s.ptr + s.len };
	int64_t total = 0;

	if (s.len == 1 && *s.ptr == '0') {
		*ret_ns = 0;
		return true;
	}
	if (s.len == 0)
		return false;
	while (c.p < c.end) {
		int64_t v = 0, part;
		int32_t fraction = 0;
		size_t u, n = sizeof duration_units / sizeof *duration_units;

		if (!is_digit(*c.p))
			return false;
		for (; c.p < c.end && is_digit(*c.p); c.p++) {
			if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *c.p - '0', &v))
				return false;
		}
		if (at_char(&c, '.') && !fraction_digits(&c, &fraction))
			return false;
		for (u = 0; u < n; u++) {
			size_t len = strlen(duration_units[u].name);

			if ((size_t)(c.end - c.p) >= len && memcmp(c.p, duration_units[u].name, len) == 0) {
				c.p += len;
				break;
			}
		}
		if (u == n || __builtin_mul_overflow(v, duration_units[u].ns, &part) ||
		    __builtin_add_overflow(total, part, &total) ||
		    __builtin_add_overflow(total, (int64_t)((double)fraction * 1e-9 * (double)duration_units[u].ns + 0.5),
					   &total))
			return false;
	}
	*ret_ns = total;
	return true;
}

void duration_format(struct buffer *out, int64_t duration_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "d", (uint64_t)NS_PER_DAY }, { "h", (uint64_t)NS_PER_HOUR }, { "m", (uint64_t)NS_PER_MINUTE },
		{ "s", (uint64_t)NS_PER_SECOND }, { "ms", 1000000 },	       { "us", 1000 },
		{ "ns", 1 },
	};
	uint64_t left = duration_ns < 0 ? 0 - (uint64_t)duration_ns : (uint64_t)duration_ns;

	if (duration_ns < 0)
		buffer_append_char(out, '-');
	if (left == 0)
		buffer_append_string(out, "0s");
	for (size_t i = 0; left > 0; i++) {
		if (left / units[i].ns)
			buffer_printf(out, "%llu%s", (unsigned long long)(left / units[i].ns), units[i].name);
		left %= units[i].ns;
	}
}

/* "08:44" or "08:44:02". */
static bool user_clock(struct cursor *c, struct civil *v)
{
	if (!fixed_number(c, 2, &v->hour) || !at_char(c, ':') || !fixed_number(c, 2, &v->minute))
		return false;
	if (at_char(c, ':') && !fixed_number(c, 2, &v->second))
		return false;
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!fraction_digits(c, &v->nanosecond))
			return false;
	}
	return true;
}

/* "2h", "1h30m", "1 hour", "90 minutes" */
static bool spoken_duration(struct span s, int64_t *ret_ns)
{
	static const char *const words[] = { "week", "day", "hour", "minute", "second", "min", "sec" };
	struct span unit = s, text;
	char compact[24];
	size_t digits = 0;

	if (duration_parse(s, ret_ns))
		return true;
	while (digits < s.len && is_digit(s.ptr[digits]))
		digits++;
	unit = span_from(s, digits);
	if (unit.len && *unit.ptr == ' ')
		unit = span_from(unit, 1);
	if (span_ends_with(unit, SPAN("s")))
		unit.len--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (digits > 0 && digits < sizeof compact - 1 && span_equal(unit, span_from_string(words[i]))) {
			memcpy(compact, s.ptr, digits);
			compact[digits] = *unit.ptr; /* the unit is the word's first letter */
			text = span_of(compact, digits + 1);
			return duration_parse(text, ret_ns);
		}
	return false;
}

/* "now", "now-2h", "-2h", "+2h", "2h ago", "1 hour ago" */
static bool from_now(struct span s, int64_t now_ns, int64_t *ret)
{
	struct span step = s;
	int64_t step_ns = 0;
	bool back = false;

	if (span_starts_with(s, SPAN("now")))
		step = span_from(s, 3);
	if (step.len && (*step.ptr == '-' || *step.ptr == '+')) {
		back = *step.ptr == '-';
		if (!duration_parse(span_from(step, 1), &step_ns))
			return false;
	} else if (span_ends_with(s, SPAN(" ago"))) {
		back = true;
		if (!spoken_duration(span_of(s.ptr, s.len - 4), &step_ns))
			return false;
	} else if (s.len != 3 || step.len) {
		return false;
	}
	return !__builtin_add_overflow(now_ns, back ? -step_ns : step_ns, ret);
}

/* The date in zone z, so many days from now. */
static bool date_of(const struct zone *z, int64_t now_ns, int days, struct civil *ret)
{
	struct civil day;
	int64_t local_ns;

	if (__builtin_add_overflow(now_ns, (zone_offset_s(z, now_ns) + days * 86400) * NS_PER_SECOND, &local_ns))
		return false;
	civil_of(local_ns, &day);
	ret->year = day.year;
	ret->month = day.month;
	ret->day = day.day;
	return true;
}

bool time_parse_user(struct span s, const struct zone *z, int64_t now_ns, int64_t *ret)
{
	static const char *const days[] = { "yesterday", "today", "tomorrow" };
	struct cursor c = { s.ptr, s.ptr + s.len };
	struct civil v = { 0 };
	int64_t t;

	if (s.len == 0)
		return false;
	if (from_now(s, now_ns, ret))
		return true;
	for (int i = 0; i < 3; i++)
		if (span_equal(s, span_from_string(days[i]))) {
			if (!date_of(z, now_ns, i - 1, &v))
				return false;
			*ret = civil_to_time(&v, z, TIME_NONE);
			return true;
		}
	if (*s.ptr == '@') {
		c.p++;
		if (!epoch_number(&c, NS_PER_SECOND, &t) || c.p != c.end)
			return false;
		*ret = t;
		return true;
	}
	if (s.len >= 10 && s.ptr[4] == '-') {
		if (!fixed_number(&c, 4, &v.year) || !at_char(&c, '-') || !fixed_number(&c, 2, &v.month) ||
		    !at_char(&c, '-') || !fixed_number(&c, 2, &v.day) || v.year == 0)
			return false;
		if (c.p < c.end) {
			if (!at_char(&c, 'T') && !at_char(&c, ' '))
				return false;
			if (!user_clock(&c, &v))
				return false;
			written_zone(&c, &v);
		}
	} else {
		if (!user_clock(&c, &v) || !date_of(z, now_ns, 0, &v))
			return false;
	}
	if (c.p != c.end || !civil_valid(&v))
		return false;
	*ret = civil_to_time(&v, z, TIME_NONE);
	return true;
}
