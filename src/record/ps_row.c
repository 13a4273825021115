/*
 * ps_row.c: what a row says. It decides when the process started as far as the row alone can tell: elapsed time is sure to about 2 s,
 * 03:12 to a minute, Feb17 to a day, 2025 to a year. Of a day or a year the end is taken: a process is never said to be
 * older than is proved. A cell that does not say what its column should makes the whole row damaged, but for START,
 * which every locale writes in its own way: then nothing is known of the start.
 */
#include "record/ps.h"

#include <math.h>

#define DAY_NS (86400 * NS_PER_SECOND)

/* ---- when a process started ---- */

static int64_t local_to_time(const struct format_context *c, const struct ps_snapshot *s, struct civil *civil)
{
	if (!civil_valid(civil))
		return TIME_NONE;
	if (s->has_offset) {
		civil->has_zone = true;
		civil->zone_offset_s = s->offset_s;
	}
	return civil_to_time(civil, c->zone, TIME_NONE);
}

/* "3:12", "03:12:59", "3:12AM"; returns the bytes read, 0: none. */
static size_t start_clock(struct span s, struct civil *ret, enum ps_tier *ret_tier)
{
	size_t i = 0;
	int *const parts[] = { &ret->hour, &ret->minute, &ret->second };
	int n = 0;

	ret->hour = ret->minute = ret->second = 0;
	for (; n < 3; n++) {
		size_t digits = 0;

		while (i + digits < s.len && digits < 2 && ps_is_digit(s.ptr[i + digits])) {
			*parts[n] = *parts[n] * 10 + (s.ptr[i + digits] - '0');
			digits++;
		}
		if (digits == 0 || (n > 0 && digits != 2))
			return 0;
		i += digits;
		if (i == s.len || s.ptr[i] != ':') {
			n++;
			break;
		}
		i++;
	}
	*ret_tier = n == 3 ? PS_TIER_EXACT : n == 2 ? PS_TIER_MINUTE : PS_TIER_HOUR;
	if (i + 2 <= s.len && s.ptr[i + 1] == 'M' && (s.ptr[i] == 'A' || s.ptr[i] == 'P')) {
		if (ret->hour < 1 || ret->hour > 12)
			return 0;
		ret->hour = ret->hour % 12 + (s.ptr[i] == 'P' ? 12 : 0);
		return i + 2;
	}
	return n >= 2 ? i : 0;
}

/* From the instant that a cell names, and how precisely it does, to when the process began. */
static bool estimate(const struct format_context *c, const struct ps_snapshot *s, enum ps_tier tier, int64_t t, struct civil *civil,
		     struct ps_estimate *ret)
{
	int64_t width_ns = 0;

	switch (tier) {
	case PS_TIER_EXACT:
		*ret = (struct ps_estimate){ tier, t, t - PS_SLACK_NS, t + PS_SLACK_NS };
		return true;
	case PS_TIER_MINUTE:
		*ret = (struct ps_estimate){ tier, t, t - NS_PER_SECOND, t + 61 * NS_PER_SECOND };
		return true;
	case PS_TIER_HOUR:
		width_ns = 3600 * NS_PER_SECOND;
		break;
	case PS_TIER_DAY:
		width_ns = DAY_NS;
		break;
	case PS_TIER_YEAR:
		width_ns = 366 * DAY_NS;
		civil->year++;
		if (civil_valid(civil))
			width_ns = local_to_time(c, s, civil) - t;
		break;
	case PS_TIER_NONE:
		return false;
	}
	*ret = (struct ps_estimate){ tier, t + width_ns, t - NS_PER_SECOND, t + width_ns + NS_PER_SECOND };
	if (ret->start_ns > s->time_ns)
		ret->start_ns = s->time_ns > t ? ps_floor_div(s->time_ns, NS_PER_SECOND) * NS_PER_SECOND : t;
	return true;
}

/* What a START cell says, given when the row was written. */
static bool start_estimate(const struct format_context *c, const struct ps_snapshot *s, struct span text, struct ps_estimate *ret)
{
	int64_t seconds = ps_floor_div(s->time_ns, NS_PER_SECOND);
	int64_t today = ps_floor_div(seconds + (s->has_offset ? s->offset_s : zone_offset_s(c->zone, s->time_ns)), 86400);
	int64_t limit = s->time_ns + 61 * NS_PER_SECOND, t = TIME_NONE;
	struct civil civil = { 0 };
	int this_year, this_month, this_day, weekday = ps_weekday_at(text), month;
	enum ps_tier tier;
	size_t n;

	civil_from_days(today, &this_year, &this_month, &this_day);
	if (weekday >= 0 && (text.len <= 8 || !ps_is_blank(text.ptr[3]))) { /* Mon03PM */
		int64_t day;

		if (start_clock(span_from(text, 3), &civil, &tier) != text.len - 3)
			return false;
		day = today - ((today + 4 - weekday) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
		civil_from_days(day, &civil.year, &civil.month, &civil.day);
		t = local_to_time(c, s, &civil);
		if (t != TIME_NONE && t > limit)
			t -= 7 * DAY_NS;
	} else if (weekday >= 0) { /* Tue Feb 17 05:12:01 2026 */
		n = civil_parse(text, &civil);
		if (n != text.len || civil.year == 0)
			return false;
		tier = PS_TIER_EXACT;
		t = civil.has_zone ? civil_to_time(&civil, c->zone, TIME_NONE) : local_to_time(c, s, &civil);
	} else if ((month = ps_month_at(text))) { /* Feb17, Feb 17 */
		struct span day = ps_trim(span_from(text, 3));

		if (day.len > 2 || !ps_all_digits(day))
			return false;
		tier = PS_TIER_DAY;
		civil.month = month;
		civil.day = (*day.ptr - '0') * (day.len == 2 ? 10 : 1) + (day.len == 2 ? day.ptr[1] - '0' : 0);
		for (civil.year = this_year + 1; civil.year > this_year - 9; civil.year--) {
			t = local_to_time(c, s, &civil);
			if (t != TIME_NONE && t <= limit)
				break;
			t = TIME_NONE;
		}
	} else if (text.len == 4 && ps_all_digits(text)) { /* 2025 */
		tier = PS_TIER_YEAR;
		for (int i = 0; i < 4; i++)
			civil.year = civil.year * 10 + (text.ptr[i] - '0');
		civil.month = civil.day = 1;
		t = civil.year > 1970 ? local_to_time(c, s, &civil) : TIME_NONE;
	} else if (text.len == 7 && ps_is_digit(*text.ptr) && (month = ps_month_at(span_from(text, 2)))) { /* 17Feb26 */
		if (!ps_is_digit(text.ptr[1]) || !ps_is_digit(text.ptr[5]) || !ps_is_digit(text.ptr[6]))
			return false;
		tier = PS_TIER_DAY;
		civil.year = 2000 + (text.ptr[5] - '0') * 10 + (text.ptr[6] - '0');
		civil.month = month;
		civil.day = (text.ptr[0] - '0') * 10 + (text.ptr[1] - '0');
		t = local_to_time(c, s, &civil);
	} else {
		n = start_clock(text, &civil, &tier);
		if (n == 0 || n != text.len)
			return false;
		civil_from_days(today, &civil.year, &civil.month, &civil.day);
		t = local_to_time(c, s, &civil);
		if (t != TIME_NONE && t > limit) {
			civil_from_days(today - 1, &civil.year, &civil.month, &civil.day);
			t = local_to_time(c, s, &civil);
		}
	}
	if (t == TIME_NONE || t > limit)
		return false;
	return estimate(c, s, tier, t, &civil, ret);
}

/* ---- rows ---- */

const struct ps_row ps_no_row = {
	.cpu = NAN, .mem = NAN, .elapsed = NAN, .cputime = NAN, .start = { .tier = PS_TIER_NONE },
};

/* False when a cell does not say what its column should. c: NULL when only the shape matters. */
static bool cells_read(const struct format_context *c, const struct ps_columns *columns, size_t flexible, const struct ps_snapshot *s,
		       const struct span cells[], struct ps_row *ret)
{
	bool coarse;

	*ret = ps_no_row;
	for (size_t i = 0; i < columns->n; i++) {
		struct span cell = cells[i];
		struct ps_estimate start;

		switch ((enum ps_column_kind)columns->kind[i]) {
		case PS_COLUMN_PID:
			if (!ps_parse_pid(cell, &ret->pid) || ret->pid == 0)
				return false;
			ret->pid_text = cell;
			break;
		case PS_COLUMN_PPID:
			if (ps_nothing_written(cell))
				break;
			if (!ps_parse_pid(cell, &ret->ppid))
				return false;
			ret->ppid_text = cell;
			break;
		case PS_COLUMN_USER:
		case PS_COLUMN_UID:
			ret->user = cell;
			break;
		case PS_COLUMN_CPU:
		case PS_COLUMN_C:
			if (ps_nothing_written(cell))
				break;
			if (!ps_parse_number(cell, &ret->cpu))
				return false;
			ret->cpu_text = cell;
			break;
		case PS_COLUMN_MEM:
			if (ps_nothing_written(cell))
				break;
			if (!ps_parse_number(cell, &ret->mem))
				return false;
			ret->mem_text = cell;
			break;
		case PS_COLUMN_ELAPSED:
			if (ps_nothing_written(cell))
				break;
			if (ps_parse_seconds(cell, &ret->elapsed, &coarse))
				break;
			/* Of a process that began in this very instant ps may write a negative age, as a number beyond all measure. */
			if (!(ret->elapsed >= PS_SECONDS_LIMIT))
				return false;
			ret->elapsed = 0;
			break;
		case PS_COLUMN_CPUTIME:
			if (ps_nothing_written(cell))
				break;
			if (!ps_parse_seconds(cell, &ret->cputime, &ret->cputime_coarse))
				return false;
			break;
		case PS_COLUMN_START:
			/* Other locales write other things here: nothing is known then. */
			if (c && s->time_ns != TIME_NONE && start_estimate(c, s, cell, &start) && start.tier < ret->start.tier)
				ret->start = start;
			break;
		case PS_COLUMN_STATE:
			ret->state = cell;
			break;
		case PS_COLUMN_COMMAND:
			if (i == flexible)
				ret->command = ps_command_of(cell);
			break;
		case PS_COLUMN_OTHER:
		case PS_COLUMN_THREAD:
			break;
		}
	}
	if (c && s->time_ns != TIME_NONE && !isnan(ret->elapsed)) {
		int64_t t;

		if (!__builtin_sub_overflow(s->time_ns, (int64_t)ret->elapsed * NS_PER_SECOND, &t) && t > INT64_MIN / 2) {
			t = ps_floor_div(t, NS_PER_SECOND) * NS_PER_SECOND;
			ret->start = (struct ps_estimate){ PS_TIER_EXACT, t, t - PS_SLACK_NS, t + PS_SLACK_NS };
		}
	}
	return true;
}

bool ps_row_parse(const struct format_context *c, const struct ps_columns *columns, const struct ps_snapshot *s, struct span line,
		      struct span cells[PS_COLUMN_LIMIT], struct ps_row *ret)
{
	if (ps_cells_of(columns, columns->flexible, line, cells) && cells_read(c, columns, columns->flexible, s, cells, ret))
		return true;
	return columns->other != columns->flexible && ps_cells_of(columns, columns->other, line, cells) &&
	       cells_read(c, columns, columns->other, s, cells, ret);
}

enum ps_line ps_line_shape(struct span line, struct span header)
{
	struct span cells[PS_COLUMN_LIMIT], command;
	struct ps_stamp stamp;
	struct ps_columns columns;
	struct ps_row row;
	uint32_t pid;

	line = ps_trim(line);
	if (line.len == 0)
		return PS_BLANK;
	if (ps_stamp_parse(line, &stamp))
		return PS_STAMP;
	if (ps_columns_parse(line, &columns))
		return PS_HEADER;
	if (header.len > 0 && ps_columns_parse(ps_trim(header), &columns) && ps_row_parse(NULL, &columns, NULL, line, cells, &row))
		return PS_ROW;
	if (ps_summary_line(line))
		return PS_SUMMARY;
	return ps_bare_row(line, &pid, &command) ? PS_BARE : PS_OTHER;
}
