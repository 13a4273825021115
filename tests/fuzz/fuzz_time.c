/*
 * fuzz_time.c: stamps, patterns, durations and users' times from any bytes. What is read lies within the text, what comes out can be
 * written and read again.
 */
#include "base/memory.h"
#include "base/timestamp.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_instant(int64_t t, struct buffer *b)
{
	struct civil c;

	buffer_clear(b);
	time_format_utc(b, t);
	if (civil_parse(buffer_span(b), &c) != b->len || civil_to_time(&c, zone_get("UTC"), TIME_NONE) != t)
		abort();
	time_format_local(b, t, zone_get("America/New_York"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const zones[] = { "UTC", "America/New_York", "Australia/Lord_Howe" };
	struct buffer b = BUFFER_INIT;
	struct span s = span_of((const char *)data, size);
	const char *split = size ? memchr(data, '\n', size) : NULL;
	struct civil c;
	int64_t t;
	size_t n;

	n = civil_parse(s, &c);
	if (n > size)
		abort();
	if (n > 0) {
		if (!civil_valid(&c))
			abort();
		for (size_t i = 0; i < 3; i++) {
			const struct zone *z = zone_get(zones[i]);

			t = civil_to_time(&c, z, TIME_NONE);
			check_instant(t, &b);
			check_instant(civil_to_time(&c, z, t), &b);
			check_instant(civil_to_time(&c, z, t + NS_PER_SECOND), &b);
		}
	}
	if (split) {
		char *pattern = xmemdup(data, (size_t)(split - s.ptr));
		struct span text = span_from(s, (size_t)(split - s.ptr) + 1);

		civil_pattern_error(pattern);
		n = civil_parse_pattern(text, pattern, &c);
		if (n > text.len)
			abort();
		if (n > 0)
			check_instant(civil_to_time(&c, zone_get("UTC"), TIME_NONE), &b);
		free(pattern);
	}
	if (duration_parse(s, &t)) {
		int64_t again;

		buffer_clear(&b);
		duration_format(&b, t);
		if (t < 0 || !duration_parse(buffer_span(&b), &again) || again != t)
			abort();
	}
	if (time_parse_user(s, zone_get("America/New_York"), INT64_C(1771317842) * NS_PER_SECOND, &t)) {
		buffer_clear(&b);
		time_format_utc(&b, t);
	}
	buffer_release(&b);
	return 0;
}
