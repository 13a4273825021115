/*
 * test_time.c: stamps, zones, folds, missing years, durations. Instants are written as RFC 3339 in the tables and checked both ways.
 */
#include "base/memory.h"
#include "base/timestamp.h"
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
#define HOUR_NS (3600 * NS_PER_SECOND)

static const char *utc_text(int64_t time_ns)
{
	static struct buffer b;

	buffer_clear(&b);
	if (time_ns == TIME_NONE)
		return "none";
	time_format_utc(&b, time_ns);
	return buffer_string(&b);
}

/* The instant of an RFC 3339 text; TIME_NONE of NULL. */
static int64_t instant(const char *text)
{
	struct civil c;

	if (!text)
		return TIME_NONE;
	ck_assert_uint_eq(civil_parse(span_from_string(text), &c), strlen(text));
	ck_assert(c.has_zone);
	return civil_to_time(&c, zone_get("UTC"), TIME_NONE);
}

START_TEST(days_agree_with_libc)
{
	int year, month, day;

	for (int64_t days = -200000; days < 200000; days += 17) {
		time_t t = (time_t)(days * 86400);
		struct tm tm;

		gmtime_r(&t, &tm);
		civil_from_days(days, &year, &month, &day);
		ck_assert_int_eq(year, tm.tm_year + 1900);
		ck_assert_int_eq(month, tm.tm_mon + 1);
		ck_assert_int_eq(day, tm.tm_mday);
		ck_assert_int_eq(days_from_civil(year, month, day), days);
	}
}
END_TEST

static const struct {
	const char *text;
	size_t len; /* bytes of the stamp; 0: none */
	const char *want; /* in zone +02:00 where the text names none; previous stamp 2026-02-17T00:00:00Z */
} stamps[] = {
	{ "2026-01-22 16:07:59 [kill]", 19, "2026-01-22T14:07:59Z" },
	{ "2026-01-22T16:07:59", 19, "2026-01-22T14:07:59Z" },
	{ "2026-01-22T16:07:59Z", 20, "2026-01-22T16:07:59Z" },
	{ "2026-01-22t16:07:59z rest", 20, "2026-01-22T16:07:59Z" },
	{ "2026-01-22T16:07:59Zulu", 19, "2026-01-22T14:07:59Z" },
	{ "2026-02-10T12:05:00+00:00] x", 25, "2026-02-10T12:05:00Z" },
	{ "2026-02-10T12:05:00-0530", 24, "2026-02-10T17:35:00Z" },
	{ "2026-02-10T12:05:00+05", 22, "2026-02-10T07:05:00Z" },
	{ "2026-02-10T12:05:00+05:3", 19, "2026-02-10T10:05:00Z" },
	{ "2026-02-10T12:05:00+99:00", 19, "2026-02-10T10:05:00Z" },
	{ "2026-02-17 08:44:02,123 - x", 23, "2026-02-17T06:44:02.123Z" },
	{ "2026-02-17 08:44:02.123456789999Z", 33, "2026-02-17T08:44:02.123456789Z" },
	{ "2026-02-17 08:44:02.5", 21, "2026-02-17T06:44:02.500Z" },
	{ "2026-02-17 08:44:02.", 19, "2026-02-17T06:44:02Z" },
	{ "2026/01/23 17:26:50 message", 19, "2026-01-23T15:26:50Z" },
	{ "2026/01/23 17:26:50.000123 message", 26, "2026-01-23T15:26:50.000123Z" },
	{ "Feb 17 05:12:01 host", 15, "2026-02-17T03:12:01Z" },
	{ "Feb  7 05:12:01 host", 15, "2026-02-07T03:12:01Z" },
	{ "feb 17 05:12:01", 15, "2026-02-17T03:12:01Z" },
	{ "Tue Feb 17 08:44:02 UTC 2026", 28, "2026-02-17T08:44:02Z" },
	{ "Sat Feb  7 08:44:02 GMT 2026 x", 28, "2026-02-07T08:44:02Z" },
	{ "Tue Feb 17 08:44:02 EET 2026", 28, "2026-02-17T06:44:02Z" },
	{ "Tue Feb 17 08:44:02 2026", 24, "2026-02-17T06:44:02Z" },
	{ "Tue Feb 17 08:44:02 PM UTC 2026", 31, "2026-02-17T20:44:02Z" },
	{ "Tue 17 Feb 2026 08:44:02 AM UTC", 31, "2026-02-17T08:44:02Z" },
	{ "Tue 17 Feb 2026 12:44:02 AM UTC", 31, "2026-02-17T00:44:02Z" },
	{ "Tue 17 Feb 08:44:02 UTC 2026", 28, "2026-02-17T08:44:02Z" },
	{ "Tue, 17 Feb 2026 08:44:02 +0100", 31, "2026-02-17T07:44:02Z" },
	{ "2016-12-31T23:59:60Z", 20, "2017-01-01T00:00:00Z" },
	{ "2024-02-29 00:00:00", 19, "2024-02-28T22:00:00Z" },
	{ "1678-01-01T00:00:00Z", 20, "1678-01-01T00:00:00Z" },
	{ "2261-12-31T23:59:59Z", 20, "2261-12-31T23:59:59Z" },
	/* none */
	{ "2023-02-29 00:00:00", 0, NULL },
	{ "2026-13-01 00:00:00", 0, NULL },
	{ "2026-00-01 00:00:00", 0, NULL },
	{ "2026-01-32 00:00:00", 0, NULL },
	{ "2026-01-22 24:00:00", 0, NULL },
	{ "2026-01-22 16:60:00", 0, NULL },
	{ "2026-01-22 16:00:61", 0, NULL },
	{ "2026-01-22 16:00:001", 0, NULL },
	{ "2026-1-22 16:00:00", 0, NULL },
	{ "2026-01/22 16:00:00", 0, NULL },
	{ "2026-01-22  16:00:00", 0, NULL },
	{ "2026/01/22T16:00:00", 0, NULL },
	{ "2026-01-22 16:07", 0, NULL },
	{ "0000-01-01 00:00:00", 0, NULL },
	{ "9999-01-01 00:00:00", 0, NULL },
	{ "1677-12-31 00:00:00", 0, NULL },
	{ "Feb 30 05:12:01", 0, NULL },
	{ "Foo 17 05:12:01", 0, NULL },
	{ "Tue Foo 17 05:12:01 UTC 2026", 0, NULL },
	{ "Tue Feb 17 08:44:02 UTC", 0, NULL },
	{ " 2026-01-22 16:07:59", 0, NULL },
	{ "", 0, NULL },
	{ "hello, this is no stamp at all", 0, NULL },
};

START_TEST(stamp)
{
	/* An allocation of the exact size: a read behind it is seen. */
	size_t len = strlen(stamps[_i].text);
	char *copy = xmalloc(len + !len);
	struct civil c;
	size_t n;

	memcpy(copy, stamps[_i].text, len);
	n = civil_parse(span_of(copy, len), &c);
	ck_assert_msg(n == stamps[_i].len, "\"%s\": read %zu", stamps[_i].text, n);
	if (n > 0)
		ck_assert_str_eq(utc_text(civil_to_time(&c, zone_get("+02:00"), instant("2026-02-17T00:00:00Z"))),
				 stamps[_i].want);
	free(copy);
}
END_TEST

static const struct {
	const char *pattern, *text;
	size_t len;
	const char *want; /* in UTC; a missing year is 1970 */
} patterns[] = {
	{ "%Y-%m-%d %H:%M:%S", "2026-02-17 08:44:02 x", 19, "2026-02-17T08:44:02Z" },
	{ "%F %T", "2026-02-17   08:44:02", 21, "2026-02-17T08:44:02Z" },
	{ "%b %e %H:%M", "Feb  7 03:12 ./a", 12, "1970-02-07T03:12:00Z" },
	{ "%d/%b/%Y:%H:%M:%S %z", "17/Feb/2026:08:44:02 +0100", 26, "2026-02-17T07:44:02Z" },
	{ "%A %d %B %Y %I:%M %p", "Tuesday 17 February 2026 08:44 PM", 33, "2026-02-17T20:44:00Z" },
	{ "%Y%%%j %H", "2026%048 08", 11, "2026-02-17T08:00:00Z" },
	{ "%m/%d/%y %H:%M:%S.%f %Z", "02/17/26 08:44:02.25 UTC", 24, "2026-02-17T08:44:02.250Z" },
	{ "%s", "1771317842", 10, "2026-02-17T08:44:02Z" },
	{ "%s", "1771317842.5", 12, "2026-02-17T08:44:02.500Z" },
	{ "%L", "1771317842250", 13, "2026-02-17T08:44:02.250Z" },
	{ "[%Y]", "[2026", 0, NULL },
	{ "%H:%M", "25:00", 0, NULL },
	{ "%Y-%m-%d", "2026-02-30", 0, NULL },
	{ "%j", "366", 0, NULL },
	{ "%s", "99999999999999999999", 0, NULL },
	{ "%L", "9223372036854775807", 0, NULL },
};

START_TEST(pattern)
{
	struct civil c;
	size_t n = civil_parse_pattern(span_from_string(patterns[_i].text), patterns[_i].pattern, &c);

	ck_assert_msg(n == patterns[_i].len, "%s: read %zu", patterns[_i].pattern, n);
	if (n > 0)
		ck_assert_str_eq(utc_text(civil_to_time(&c, zone_get("UTC"), TIME_NONE)), patterns[_i].want);
}
END_TEST

START_TEST(pattern_errors)
{
	ck_assert_ptr_null(civil_pattern_error("%b %e %H:%M"));
	ck_assert_ptr_null(civil_pattern_error("%s"));
	ck_assert_ptr_null(civil_pattern_error("%Y %j %T"));
	ck_assert_ptr_nonnull(civil_pattern_error("%H:%M"));
	ck_assert_ptr_nonnull(civil_pattern_error("%F"));
	ck_assert_ptr_nonnull(civil_pattern_error("%F %T %Q"));
	ck_assert_ptr_nonnull(civil_pattern_error("%F %T %"));
}
END_TEST

/* Where a civil time stands, by the line before it. */
static const struct {
	const char *zone, *local, *previous, *want;
} folds[] = {
	/* New York, autumn 2026: 02:00 EDT (06:00Z) becomes 01:00 EST on 1 November. */
	{ "America/New_York", "2026-11-01 00:59:59", NULL, "2026-11-01T04:59:59Z" },
	{ "America/New_York", "2026-11-01 01:30:00", NULL, "2026-11-01T05:30:00Z" },
	{ "America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:29:00Z", "2026-11-01T05:30:00Z" },
	{ "America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:31:00Z", "2026-11-01T05:30:00Z" }, /* within slack */
	{ "America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:31:01Z", "2026-11-01T06:30:00Z" },
	{ "America/New_York", "2026-11-01 01:00:00", "2026-11-01T05:59:59Z", "2026-11-01T06:00:00Z" },
	{ "America/New_York", "2026-11-01 01:30:00", "2026-11-01T09:00:00Z", "2026-11-01T06:30:00Z" },
	{ "America/New_York", "2026-11-01 02:00:00", "2026-11-01T05:59:59Z", "2026-11-01T07:00:00Z" },
	/* Spring: 02:00 EST (07:00Z) becomes 03:00 EDT on 8 March. */
	{ "America/New_York", "2026-03-08 01:59:59", NULL, "2026-03-08T06:59:59Z" },
	{ "America/New_York", "2026-03-08 02:30:00", NULL, "2026-03-08T07:30:00Z" },
	{ "America/New_York", "2026-03-08 03:00:00", NULL, "2026-03-08T07:00:00Z" },
	/* Half an hour, in the south. */
	{ "Australia/Lord_Howe", "2026-04-05 01:45:00", NULL, "2026-04-04T14:45:00Z" },
	{ "Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z" },
	/* A day that does not exist. */
	{ "Pacific/Apia", "2011-12-29 23:59:59", NULL, "2011-12-30T09:59:59Z" },
	{ "Pacific/Apia", "2011-12-31 00:00:00", NULL, "2011-12-30T10:00:00Z" },
	/* Far off. */
	{ "America/New_York", "1960-01-01 00:00:00", NULL, "1960-01-01T05:00:00Z" },
	{ "Asia/Kolkata", "2200-01-01 05:30:00", NULL, "2200-01-01T00:00:00Z" },
	{ "local", "2026-07-01 00:00:00", NULL, "2026-07-01T00:00:00Z" }, /* main sets TZ */
	{ "-05:30", "2026-07-01 00:00:00", NULL, "2026-07-01T05:30:00Z" },
	/* A missing year is the one that brings it nearest. */
	{ "UTC", "Dec 31 23:59:59", "2026-01-01T00:00:05Z", "2025-12-31T23:59:59Z" },
	{ "UTC", "Jan  1 00:00:00", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z" },
	{ "UTC", "Aug 10 00:00:00", "2026-02-15T00:00:00Z", "2026-08-10T00:00:00Z" },
	{ "UTC", "Aug 20 00:00:00", "2026-02-15T00:00:00Z", "2025-08-20T00:00:00Z" },
	{ "UTC", "Feb 29 00:00:00", "2026-02-15T00:00:00Z", "2024-02-29T00:00:00Z" },
	{ "UTC", "Feb 29 00:00:00", "2027-02-15T00:00:00Z", "2028-02-29T00:00:00Z" },
	{ "UTC", "Feb 29 00:00:00", "2100-02-28T00:00:00Z", "2096-02-29T00:00:00Z" },
	{ "UTC", "Feb 17 05:12:01", NULL, "1970-02-17T05:12:01Z" },
	{ "UTC", "Feb 29 05:12:01", NULL, "1972-02-29T05:12:01Z" },
	{ "America/New_York", "Nov  1 01:30:00", "2026-11-01T05:45:00Z", "2026-11-01T06:30:00Z" },
};

START_TEST(fold)
{
	const struct zone *z = zone_get(folds[_i].zone);
	struct civil c;

	ck_assert_ptr_nonnull(z);
	ck_assert_uint_gt(civil_parse(span_from_string(folds[_i].local), &c), 0);
	ck_assert_str_eq(utc_text(civil_to_time(&c, z, instant(folds[_i].previous))), folds[_i].want);
}
END_TEST

/* Every hour of some years, out and back, and against libc. */
START_TEST(zones_agree_with_libc)
{
	static const char *const names[] = { "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca",
					     "America/Sao_Paulo", "Asia/Tehran", "UTC" };
	const struct zone *z = zone_get(names[_i]);
	int64_t previous = TIME_NONE;

	ck_assert_ptr_nonnull(z);
	ck_assert_ptr_eq(z, zone_get(names[_i]));
	ck_assert_str_eq(zone_name(z), names[_i]);
	setenv("TZ", names[_i], 1);
	tzset();
	for (int64_t t = INT64_C(1420070400); t < INT64_C(1830297600); t += 900) { /* 2015 to 2027 */
		time_t when = (time_t)t;
		struct tm tm;
		struct civil c = { 0 };

		localtime_r(&when, &tm);
		ck_assert_int_eq(zone_offset_s(z, t * NS_PER_SECOND), tm.tm_gmtoff);
		c.year = tm.tm_year + 1900;
		c.month = tm.tm_mon + 1;
		c.day = tm.tm_mday;
		c.hour = tm.tm_hour;
		c.minute = tm.tm_min;
		c.second = tm.tm_sec;
		ck_assert_int_eq(civil_to_time(&c, z, previous), t * NS_PER_SECOND);
		previous = t * NS_PER_SECOND;
	}
	setenv("TZ", "UTC", 1);
	tzset();
}
END_TEST

START_TEST(zones_unknown)
{
	static const char *const names[] = { "", "Nowhere/City", "../../etc/passwd", "/etc/localtime", "America", "+99:00",
					     "+1:00", "EST5EDT,M3.2.0,M11.1.0" };

	for (int i = 0; i < COUNT(names); i++)
		ck_assert_msg(zone_get(names[i]) == NULL, "%s", names[i]);
	ck_assert(zone_is_steady(zone_get("America/New_York"), instant("2026-01-01T00:00:00Z"), instant("2026-03-08T06:59:59Z")));
	ck_assert(!zone_is_steady(zone_get("America/New_York"), instant("2026-01-01T00:00:00Z"), instant("2026-03-08T07:00:00Z")));
}
END_TEST

static const struct {
	const char *text;
	int64_t want_ns; /* -1: none */
	const char *formatted;
} durations[] = {
	{ "90s", 90 * NS_PER_SECOND, "1m30s" },
	{ "15m", 900 * NS_PER_SECOND, "15m" },
	{ "1h", HOUR_NS, "1h" },
	{ "7d", 168 * HOUR_NS, "7d" },
	{ "1w", 168 * HOUR_NS, "7d" },
	{ "500ms", NS_PER_SECOND / 2, "500ms" },
	{ "5h2m0s", 5 * HOUR_NS + 120 * NS_PER_SECOND, "5h2m" },
	{ "1.5h", HOUR_NS * 3 / 2, "1h30m" },
	{ "1m0.25s", 60 * NS_PER_SECOND + NS_PER_SECOND / 4, "1m250ms" },
	{ "3\xc2\xb5s", 3000, "3us" },
	{ "0s", 0, "0s" },
	{ "0", 0, "0s" },
	{ "", -1, NULL },
	{ "5", -1, NULL },
	{ "m", -1, NULL },
	{ "-5m", -1, NULL },
	{ "5 m", -1, NULL },
	{ "5m ", -1, NULL },
	{ "5y", -1, NULL },
	{ "1.m", -1, NULL },
	{ "99999999999w", -1, NULL },
	{ "9223372036854775808ns", -1, NULL },
	{ "15250w1w9223372036s999999999s", -1, NULL },
};

START_TEST(duration)
{
	struct buffer b = BUFFER_INIT;
	int64_t ns = -1;
	bool ok = duration_parse(span_from_string(durations[_i].text), &ns);

	ck_assert_msg(ok == (durations[_i].want_ns >= 0), "\"%s\"", durations[_i].text);
	if (ok) {
		ck_assert_int_eq(ns, durations[_i].want_ns);
		duration_format(&b, ns);
		ck_assert_str_eq(buffer_string(&b), durations[_i].formatted);
		ck_assert(duration_parse(buffer_span(&b), &ns));
		ck_assert_int_eq(ns, durations[_i].want_ns);
	}
	buffer_release(&b);
}
END_TEST

/* Now is 2026-02-17T08:44:02Z, the zone New York. */
static const struct {
	const char *text, *want;
} user_times[] = {
	{ "2026-02-17T08:44:02Z", "2026-02-17T08:44:02Z" },
	{ "2026-02-17T08:44:02.5+01:00", "2026-02-17T07:44:02.500Z" },
	{ "2026-02-17 03:44", "2026-02-17T08:44:00Z" },
	{ "2026-02-17 03:44:02", "2026-02-17T08:44:02Z" },
	{ "2026-02-17", "2026-02-17T05:00:00Z" },
	{ "03:44", "2026-02-17T08:44:00Z" },
	{ "23:00:01", "2026-02-18T04:00:01Z" },
	{ "now", "2026-02-17T08:44:02Z" },
	{ "now-2h", "2026-02-17T06:44:02Z" },
	{ "now+1h30m", "2026-02-17T10:14:02Z" },
	{ "-2h", "2026-02-17T06:44:02Z" },
	{ "+30s", "2026-02-17T08:44:32Z" },
	{ "1h30m ago", "2026-02-17T07:14:02Z" },
	{ "1 hour ago", "2026-02-17T07:44:02Z" },
	{ "90 minutes ago", "2026-02-17T07:14:02Z" },
	{ "5 min ago", "2026-02-17T08:39:02Z" },
	{ "2 weeks ago", "2026-02-03T08:44:02Z" },
	{ "today", "2026-02-17T05:00:00Z" },
	{ "yesterday", "2026-02-16T05:00:00Z" },
	{ "tomorrow", "2026-02-18T05:00:00Z" },
	{ "@1771317842", "2026-02-17T08:44:02Z" },
	{ "@0", "1970-01-01T00:00:00Z" },
	{ "@-1.5", "1969-12-31T23:59:58.500Z" },
	{ "", NULL },
	{ "nowhere", NULL },
	{ "now-", NULL },
	{ "now-x", NULL },
	{ "now ago", NULL },
	{ "ago", NULL },
	{ " ago", NULL },
	{ "1 fortnight ago", NULL },
	{ "hour ago", NULL },
	{ "-", NULL },
	{ "-2", NULL },
	{ "2h", NULL },
	{ "99999999999999999999 hours ago", NULL },
	{ "9999999999999999999999999999 hours ago", NULL },
	{ "2026-02-30", NULL },
	{ "2026-02-17 03", NULL },
	{ "2026-02-17 03:44 x", NULL },
	{ "25:00", NULL },
	{ "@", NULL },
	{ "@12x", NULL },
	{ "@99999999999999999999", NULL },
};

START_TEST(user_time)
{
	int64_t t = TIME_NONE;
	bool ok = time_parse_user(span_from_string(user_times[_i].text), zone_get("America/New_York"),
				  instant("2026-02-17T08:44:02Z"), &t);

	ck_assert_msg(ok == (user_times[_i].want != NULL), "\"%s\"", user_times[_i].text);
	if (ok)
		ck_assert_str_eq(utc_text(t), user_times[_i].want);
}
END_TEST

START_TEST(extremes_are_printed)
{
	struct buffer b = BUFFER_INIT;

	ck_assert_str_eq(utc_text(INT64_MAX), "2262-04-11T23:47:16.854775807Z");
	ck_assert_str_eq(utc_text(INT64_MIN + 1), "1677-09-21T00:12:43.145224193Z");
	ck_assert_str_eq(utc_text(-1), "1969-12-31T23:59:59.999999999Z");
	time_format_local(&b, INT64_MAX, zone_get("+14:00"));
	time_format_local(&b, INT64_MIN + 1, zone_get("-12:00"));
	buffer_clear(&b);
	time_format_local(&b, instant("2026-02-17T08:44:02Z"), zone_get("America/New_York"));
	ck_assert_str_eq(buffer_string(&b), "2026-02-17 03:44:02");
	buffer_clear(&b);
	duration_format(&b, INT64_MIN);
	duration_format(&b, INT64_MAX);
	buffer_release(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("time");
	TCase *c = tcase_create("time");
	SRunner *runner;
	int failed;

	setenv("TZ", "UTC", 1);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, days_agree_with_libc);
	tcase_add_loop_test(c, stamp, 0, COUNT(stamps));
	tcase_add_loop_test(c, pattern, 0, COUNT(patterns));
	tcase_add_test(c, pattern_errors);
	tcase_add_loop_test(c, fold, 0, COUNT(folds));
	tcase_add_loop_test(c, zones_agree_with_libc, 0, 7);
	tcase_add_test(c, zones_unknown);
	tcase_add_loop_test(c, duration, 0, COUNT(durations));
	tcase_add_loop_test(c, user_time, 0, COUNT(user_times));
	tcase_add_test(c, extremes_are_printed);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
