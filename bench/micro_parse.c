/*
 * How fast each format is cut into records, and what it costs to parse one: made-up lines, a second apart, looked at in blocks as a run does.
 *
 *	micro_parse [MEGABYTES]
 */
#include "base/buffer.h"
#include "record/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BLOCK ((size_t)256 * 1024)
#define PADDING 64
#define ROUNDS 5
#define START 1771286400 /* 2026-02-17 00:00:00 UTC */

enum stamp { STAMP_BLANK, STAMP_ISO, STAMP_SLASHES, STAMP_SYSLOG, STAMP_COMMA };

/* In a line: @ is the stamp, # a number that changes. */
static const struct {
	const char *source;
	enum stamp stamp;
	const char *lines[4];
} logs[] = {
	{ "town", STAMP_BLANK, { "@ [nudge] beads/refinery nudged with \"HEALTH_CHECK: heartbeat is stale, respond to co...\"",
		"@ [done] mayor completed gt-#", "@ [kill] prajna/polecats/nux killed (self-clean: done means gone)", "@ [crash] gastown/witness exited with #" } },
	{ "events", STAMP_ISO, { "{\"ts\":\"@\",\"source\":\"gt\",\"type\":\"nudge\",\"actor\":\"beads/refinery\",\"payload\":{\"reason\":\"work # waits\",\"target\":\"mayor\"},\"visibility\":\"feed\"}",
		"{\"ts\":\"@\",\"source\":\"gt\",\"type\":\"session_start\",\"actor\":\"mayor\",\"payload\":{\"session_id\":\"s-#\",\"role\":\"mayor\"},\"visibility\":\"feed\"}" } },
	{ "daemon", STAMP_SLASHES, { "@ Heartbeat #: all rigs are well", "@ Session gt-beads-witness is dead, restarting it (attempt #)" } },
	{ "syslog", STAMP_SYSLOG, { "@ host sshd[#]: Accepted publickey for git from 10.0.0.7 port # ssh2", "@ host kernel: [#.5] Out of memory: Killed process # (node)" } },
	{ "json", STAMP_ISO, { "{\"time\":\"@\",\"level\":\"info\",\"msg\":\"request served\",\"status\":200,\"ms\":#,\"path\":\"/api/v1/beads\"}" } },
	{ "text", STAMP_COMMA, { "@ WARN store: slow query took # ms", "@ INFO http: GET /beads/# 200" } },
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t put_stamp(char *out, size_t room, enum stamp kind, const struct tm *when)
{
	switch (kind) {
	case STAMP_BLANK:
		return strftime(out, room, "%Y-%m-%d %H:%M:%S", when);
	case STAMP_ISO:
		return strftime(out, room, "%Y-%m-%dT%H:%M:%SZ", when);
	case STAMP_SLASHES:
		return strftime(out, room, "%Y/%m/%d %H:%M:%S", when);
	case STAMP_SYSLOG:
		return strftime(out, room, "%b %d %H:%M:%S", when);
	case STAMP_COMMA:
		return strftime(out, room, "%Y-%m-%d %H:%M:%S,250", when);
	}
	return 0;
}

static void write_log(struct buffer *out, size_t log, size_t bytes)
{
	size_t n_lines = 0;

	while (n_lines < 4 && logs[log].lines[n_lines])
		n_lines++;
	for (unsigned i = 0; out->len < bytes; i++) {
		time_t when = START + (time_t)(i % (86400 * 20));
		char stamp[64];

		put_stamp(stamp, sizeof stamp, logs[log].stamp, gmtime(&when));
		for (const char *c = logs[log].lines[i % n_lines]; *c; c++) {
			if (*c == '@')
				buffer_append_string(out, stamp);
			else if (*c == '#')
				buffer_printf(out, "%u", i * 7919 % 100000);
			else
				buffer_append_char(out, *c);
		}
		buffer_append_char(out, '\n');
	}
	buffer_reserve(out, PADDING);
	memset(out->data + out->len, 0, PADDING);
}

static const struct source *source_named(const char *name)
{
	size_t n;
	const struct source *all = builtin_sources(&n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	fprintf(stderr, "micro_parse: no source %s\n", name);
	exit(2);
}

/* Seconds for framing, and, when fields are wanted, parsing all. */
static double look(const struct source *s, const struct field_table *fields, struct span log, bool parse, struct event *e, size_t *ret_records)
{
	struct decoder *d = decoder_new(s, fields, zone_get("UTC"), 0);
	struct record_list records = { 0 };
	double start = now(), seconds;

	decoder_begin_file(d, START * NS_PER_SECOND);
	*ret_records = 0;
	for (size_t at = 0; at < log.len;) {
		size_t len = log.len - at < BLOCK ? log.len - at : BLOCK;
		struct span block = span_of(log.ptr + at, len);

		at += decoder_frame(d, block, at + len == log.len, &records);
		*ret_records += records.n;
		for (size_t i = 0; parse && i < records.n; i++) {
			event_reset(e);
			decoder_parse(d, block, &records.items[i], e);
		}
	}
	seconds = now() - start;
	decoder_free(d);
	free(records.items);
	return seconds;
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 32) * 1000000;

	printf("%-8s %12s %12s %14s\n", "source", "bytes a line", "framed MB/s", "parsed ns each");
	for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
		const struct source *s = source_named(logs[i].source);
		struct buffer log = BUFFER_INIT;
		double framed = 1e9, parsed = 1e9;
		struct field_table fields;
		struct event e;
		size_t n;

		write_log(&log, i, bytes);
		field_table_init(&fields);
		event_init(&e, field_count(&fields));
		for (int round = 0; round < ROUNDS; round++) {
			double f = look(s, &fields, buffer_span(&log), false, &e, &n), p = look(s, &fields, buffer_span(&log), true, &e, &n);

			framed = f < framed ? f : framed;
			parsed = p < parsed ? p : parsed;
		}
		printf("%-8s %12.0f %12.0f %14.0f\n", s->name, (double)log.len / (double)n, (double)log.len / framed / 1e6, (parsed - framed) / (double)n * 1e9);
		event_release(&e);
		field_table_release(&fields);
		buffer_release(&log);
	}
	return 0;
}
