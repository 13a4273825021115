/*
 * zone.c: time zones as tables of offsets, and the instant of a civil time. A zone is read once, by asking libc for
 * the offset every few days from 1970 to 2050 and halving the interval where it changed; after that libc is not asked
 * again, so a run cannot change its mind and threads may share a zone. Outside these years the nearest offset holds.
 *
 * An instant has one civil time; a civil time has none (spring), one or two (autumn) instants. Which of two is meant
 * follows from the line before: logs run forwards, so it is the first that is not before it.
 */
#include "base/memory.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PROBE_FIRST INT64_C(0)           /* 1970 */
#define PROBE_RULES INT64_C(2145916800)  /* 2038: from here on libc reckons by rule, slowly */
#define PROBE_LAST INT64_C(2524608000)   /* 2050 */
#define PROBE_STEP (INT64_C(4) * 86400)  /* no zone has changed twice within so few days since 1970 */
#define PROBE_RULES_STEP (INT64_C(28) * 86400)
#define FOLD_SLACK_NS (60 * NS_PER_SECOND) /* several writers: lines are this much out of order at most */

struct zone {
	char *name;
	/* offsets[0] holds before starts[0], offsets[i + 1] from starts[i] on. */
	int64_t *starts;
	int32_t *offsets;
	size_t n, cap;
	struct zone *next;
};

static int32_t utc_offset[1] = { 0 };
static char utc_name[] = "UTC";
static const struct zone utc = { utc_name, NULL, utc_offset, 0, 0, NULL };

/* Those that were loaded: written while options are read, never after. */
static struct zone *loaded;

static int32_t libc_offset(int64_t t)
{
	time_t when = (time_t)t;
	struct tm tm;

	return localtime_r(&when, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

static void zone_add_change(struct zone *z, int64_t start, int32_t offset)
{
	if (z->n == z->cap) {
		z->cap = z->cap ? z->cap * 2 : 64;
		z->starts = xrealloc(z->starts, z->cap * sizeof *z->starts);
		z->offsets = xrealloc(z->offsets, (z->cap + 1) * sizeof *z->offsets);
	}
	z->starts[z->n] = start;
	z->offsets[++z->n] = offset;
}

/* Fills the table from the zone that libc has now. */
static void zone_probe(struct zone *z)
{
	int64_t step;
	int32_t before;

	z->offsets = xmalloc(sizeof *z->offsets);
	z->offsets[0] = before = libc_offset(PROBE_FIRST);
	for (int64_t t = PROBE_FIRST; t < PROBE_LAST; t += step) {
		int64_t low = t, high;

		step = t < PROBE_RULES ? PROBE_STEP : PROBE_RULES_STEP;
		high = t + step;
		if (libc_offset(high) == before)
			continue;
		while (high - low > 1) {
			int64_t middle = low + (high - low) / 2;

			if (libc_offset(middle) == before)
				low = middle;
			else
				high = middle;
		}
		before = libc_offset(high);
		zone_add_change(z, high, before);
		t = high - step; /* go on right behind the change */
	}
}

/* libc takes an unknown name for UTC without a word, so the database is looked at first. */
static bool zone_exists(const char *name)
{
	const char *dirs[] = { getenv("TZDIR"), "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo" };
	char path[512];
	size_t n = strlen(name);

	if (n == 0 || n > 200 || *name == '/' || *name == '.' || *name == ':' || strstr(name, ".."))
		return false;
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		size_t len = dirs[i] ? strlen(dirs[i]) : 0;
		char magic[4];
		FILE *f;
		bool found;

		if (len == 0 || len + n + 2 > sizeof path)
			continue;
		memcpy(path, dirs[i], len);
		path[len] = '/';
		memcpy(path + len + 1, name, n + 1);
		f = fopen(path, "re");
		if (!f)
			continue;
		found = fread(magic, 1, sizeof magic, f) == sizeof magic && memcmp(magic, "TZif", 4) == 0;
		fclose(f);
		if (found)
			return true;
	}
	return false;
}

/* "+02:00", "-0530". */
static bool fixed_offset(const char *name, int32_t *ret)
{
	const char *p = name + 1;
	int v[4];
	int n = 0;

	if (*name != '+' && *name != '-')
		return false;
	for (; *p && n < 4; p++) {
		if (*p == ':' && n == 2)
			continue;
		if (*p < '0' || *p > '9')
			return false;
		v[n++] = *p - '0';
	}
	if (*p || n != 4 || v[0] * 10 + v[1] > 23 || v[2] > 5)
		return false;
	*ret = (v[0] * 10 + v[1]) * 3600 + (v[2] * 10 + v[3]) * 60;
	if (*name == '-')
		*ret = -*ret;
	return true;
}

const struct zone *zone_get(const char *name)
{
	bool local = strcmp(name, "local") == 0;
	int32_t offset = 0;
	bool fixed = fixed_offset(name, &offset);
	struct zone *z;

	if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0 || strcmp(name, "Z") == 0)
		return &utc;
	for (z = loaded; z; z = z->next) {
		if (strcmp(z->name, name) == 0)
			return z;
	}
	if (!local && !fixed && !zone_exists(name))
		return NULL;
	z = xcalloc(1, sizeof *z);
	z->name = xstrdup(name);
	if (fixed) {
		z->offsets = xmalloc(sizeof *z->offsets);
		z->offsets[0] = offset;
	} else if (local) {
		tzset();
		zone_probe(z);
	} else {
		const char *system = getenv("TZ");
		char *saved = system ? xstrdup(system) : NULL;

		setenv("TZ", name, 1);
		tzset();
		zone_probe(z);
		if (saved)
			setenv("TZ", saved, 1);
		else
			unsetenv("TZ");
		tzset();
		free(saved);
	}
	z->next = loaded;
	loaded = z;
	return z;
}

const char *zone_name(const struct zone *z)
{
	return z->name;
}

/* The index into offsets that holds at second t. */
static size_t zone_index(const struct zone *z, int64_t t)
{
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->starts[middle] <= t)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int64_t floor_seconds(int64_t time_ns)
{
	return time_ns / NS_PER_SECOND - (time_ns % NS_PER_SECOND < 0);
}

int32_t zone_offset_s(const struct zone *z, int64_t time_ns)
{
	return z->offsets[zone_index(z, floor_seconds(time_ns))];
}

bool zone_is_steady(const struct zone *z, int64_t from_ns, int64_t to_ns)
{
	return zone_index(z, floor_seconds(from_ns)) == zone_index(z, floor_seconds(to_ns));
}

/* The instant (seconds) of local seconds, the year being known. */
static int64_t resolve_local(const struct zone *z, int64_t local, int32_t nanosecond, int64_t previous_ns)
{
	/* An offset is less than a day, so only what holds within a day of `local` matters. */
	size_t first = zone_index(z, local - 86400), last = zone_index(z, local + 86400);
	int64_t best = 0, gap = local - z->offsets[first];
	bool found = false;

	for (size_t i = first; i <= last; i++) {
		int64_t t = local - z->offsets[i];
		bool begun = i == 0 || t >= z->starts[i - 1];

		if (begun)
			gap = t; /* of a time that does not exist: the last offset that had begun, read on past its end */
		if (!begun || (i < z->n && t >= z->starts[i]))
			continue;
		if (!found || (previous_ns != TIME_NONE && best * NS_PER_SECOND + nanosecond < previous_ns - FOLD_SLACK_NS))
			best = t;
		found = true;
	}
	return found ? best : gap;
}

static int64_t time_in_year(const struct civil *c, int year, const struct zone *z, int64_t previous_ns)
{
	int64_t local = days_from_civil(year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
	int64_t t = c->has_zone ? local - c->zone_offset_s : resolve_local(z, local, c->nanosecond, previous_ns);

	return t * NS_PER_SECOND + c->nanosecond;
}

int64_t civil_to_time(const struct civil *c, const struct zone *z, int64_t previous_ns)
{
	struct civil dated = *c;
	int near, month, day;
	int64_t best = TIME_NONE;
	uint64_t best_distance = UINT64_MAX;

	if (c->year != 0)
		return time_in_year(c, c->year, z, previous_ns);
	/* 29 February may be up to eight years away (1896, 1904). */
	civil_from_days(previous_ns == TIME_NONE ? 0 : floor_seconds(previous_ns) / 86400, &near, &month, &day);
	for (int year = near - 8; year <= near + 8; year++) {
		uint64_t distance;
		int64_t t;

		dated.year = year;
		if (!civil_valid(&dated))
			continue;
		if (previous_ns == TIME_NONE) {
			if (year >= 1970)
				return time_in_year(c, year, z, previous_ns);
			continue;
		}
		t = time_in_year(c, year, z, previous_ns);
		distance = t > previous_ns ? (uint64_t)t - (uint64_t)previous_ns : (uint64_t)previous_ns - (uint64_t)t;
		if (distance < best_distance) {
			best_distance = distance;
			best = t;
		}
	}
	return best;
}
