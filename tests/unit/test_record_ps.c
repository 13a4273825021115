/*
 * test_record_ps.c: snapshots of processes, sources of rules files, and how files are recognised. A case is a file's text and
 * what comes out of it, written as
 *
 *	FIELD FIELD …          of a row, "-" where it has none
 *	END all, END part      a snapshot is over, and was complete or not
 *	? TEXT                 not understood
 *
 * Every case is run three times: in one go, line by line, and with its state saved and restored after each line.
 */
#include "test_record.h"
#include "base/memory.h"
#include "record/pattern.h"
#include "record/ps.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
#define MARGIN 64

static const struct source *built_in(enum format f)
{
	size_t n;
	const struct source *s = builtin_sources(&n);

	ck_assert_uint_gt(n, f);
	return &s[f];
}

static int64_t at(const char *text)
{
	struct civil c;

	ck_assert_uint_eq(civil_parse(span_from_string(text), &c), strlen(text));
	return civil_to_time(&c, zone_get("UTC"), TIME_NONE);
}

/* ---- the reader ---- */

enum how { IN_ONE_GO, LINE_BY_LINE, SAVED_AND_RESTORED };

struct reading {
	const struct source *source;
	const char *zone;     /* NULL: UTC */
	const char *mtime;    /* NULL: unknown */
	const char *arrival;  /* NULL: a replay. Each line arrives ten seconds after the one before it */
	const char *fields;   /* separated by blanks */
	size_t record_limit;
};

static void put_field(struct buffer *out, const struct event *e, const struct field_table *t, struct span name)
{
	field_id f = field_find(t, name);
	const struct value *v = f == FIELD_NONE ? NULL : event_first(e, f);
	char text[TIME_TEXT_SIZE];
	struct span own = v ? SPAN("") : event_own(e, f, text);

	if (!v && !own.ptr)
		buffer_append_char(out, '-');
	if (!v && own.ptr)
		buffer_append_span(out, own);
	for (; v; v = event_next(e, v)) {
		buffer_append_span(out, v->text);
		if (v->next)
			buffer_append_char(out, '|');
	}
}

static void put_event(struct buffer *out, const struct event *e, const struct field_table *t, enum parse_result result, const char *fields)
{
	if (result == PARSE_NOTHING)
		return;
	if (result == PARSE_UNPARSED) {
		buffer_append_string(out, "? ");
		buffer_append_span(out, e->raw);
	} else if (e->kind == EVENT_SNAPSHOT_END) {
		buffer_append_string(out, e->snapshot_complete ? "END all" : "END part");
		ck_assert(e->snapshot_ns <= e->time_ns);
	} else {
		for (const char *p = fields; *p;) {
			size_t n = strcspn(p, " ");

			if (p > fields)
				buffer_append_char(out, ' ');
			put_field(out, e, t, span_of(p, n));
			p += n;
			p += strspn(p, " ");
		}
	}
	buffer_append_char(out, '\n');
}

static void read_text(const struct reading *how_to, enum how how, struct span text, struct buffer *out)
{
	const struct zone *zone = zone_get(how_to->zone ? how_to->zone : "UTC");
	int64_t mtime = how_to->mtime ? at(how_to->mtime) : TIME_NONE, arrival = how_to->arrival ? at(how_to->arrival) : TIME_NONE;
	char *block = xmalloc(text.len + MARGIN);
	struct record_list list = { 0 };
	struct field_table fields;
	struct decoder *d;
	struct event e;
	size_t done = 0, end = 0;

	field_table_init(&fields);
	for (const char *p = how_to->fields; *p;) {
		size_t n = strcspn(p, " ");

		field_add(&fields, span_of(p, n));
		p += n;
		p += strspn(p, " ");
	}
	event_init(&e, field_count(&fields));
	d = decoder_new(how_to->source, &fields, zone, how_to->record_limit);
	ck_assert(decoder_wants_all(d) == (how_to->source->format == FORMAT_PS));
	decoder_begin_file(d, mtime);
	memcpy(block, text.ptr, text.len);
	memset(block + text.len, 0, MARGIN);
	while (end < text.len) {
		const char *newline = memchr(block + end, '\n', text.len - end);
		size_t n, used;

		end = how == IN_ONE_GO || !newline ? text.len : (size_t)(newline + 1 - block);
		n = end - done;

		if (arrival != TIME_NONE) {
			decoder_set_arrival(d, arrival);
			arrival += 10 * NS_PER_SECOND;
		}
		used = decoder_frame(d, span_of(block + done, n), end == text.len, &list);
		ck_assert(used == n || (used == 0 && end < text.len)); /* 0: before the first stamp */
		for (size_t i = 0; i < list.n; i++) {
			event_reset(&e);
			put_event(out, &e, &fields, decoder_parse(d, span_of(block + done, n), &list.items[i], &e), how_to->fields);
		}
		done += used;
		if (how == SAVED_AND_RESTORED) {
			struct buffer saved = BUFFER_INIT, again = BUFFER_INIT;
			struct codec_reader in;

			decoder_save(d, &saved);
			decoder_free(d);
			d = decoder_new(how_to->source, &fields, zone, how_to->record_limit);
			decoder_begin_file(d, mtime);
			in = (struct codec_reader){ saved.data, saved.data + saved.len, false };
			ck_assert(decoder_load(d, &in));
			ck_assert(!in.bad && in.ptr == in.end);
			decoder_save(d, &again);
			ck_assert(span_equal(buffer_span(&saved), buffer_span(&again)));
			buffer_release(&saved);
			buffer_release(&again);
		}
	}
	decoder_free(d);
	event_release(&e);
	field_table_release(&fields);
	free(list.items);
	free(block);
}

static void check_reading(const struct reading *r, const char *text, const char *want, int i)
{
	for (enum how how = r->arrival ? LINE_BY_LINE : IN_ONE_GO; how <= SAVED_AND_RESTORED; how++) {
		struct buffer out = BUFFER_INIT;

		read_text(r, how, span_from_string(text), &out);
		ck_assert_msg(strcmp(buffer_string(&out), want) == 0, "case %d, way %d: got\n%s\nwant\n%s", i, (int)how, buffer_string(&out), want);
		buffer_release(&out);
	}
}

/* ---- shapes ---- */

static const struct {
	const char *fields, *text, *want;
} shapes[] = {
	{ "pid ppid user cpu cpu_now mem elapsed cputime started program state type rig snapshot command",
	  "2026-02-17T08:00:00+00:00\n"
	  "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"
	  "root           1  0.0  0.1 167744 11712 ?        Ss   Feb12   0:09 /sbin/init splash\n"
	  "op          4242 97.4  0.5 512000 90210 pts/3    Rl+  04:58 177:20 /home/op/gt/cetana/.venv/bin/python3 -m pytest tests\n"
	  "op          4300  0.0  0.0      0     0 ?        Z    2025    0:00 [python] <defunct>\n",
	  "1 - root 0.0 - 0.1 374400 9 2026-02-13T00:00:00Z init Ss process - - /sbin/init splash\n"
	  "4242 - op 97.4 - 0.5 10920 10640 2026-02-17T04:58:00Z python3 Rl+ process cetana - /home/op/gt/cetana/.venv/bin/python3 -m pytest tests\n"
	  "4300 - op 0.0 - 0.0 4089600 0 2026-01-01T00:00:00Z [python] Z process - - [python] <defunct>\n" },
	{ "pid ppid user cpu elapsed cputime started program parent parent_program command",
	  "Tue Feb 17 08:00:00 UTC 2026\n"
	  "UID          PID    PPID  C STIME TTY          TIME CMD\n"
	  "root           1       0  0 Feb12 ?        00:00:09 /sbin/init\n"
	  "op          4200       1  0 07:59 pts/3    00:00:00 -bash\n"
	  "op          4242    4200 97 04:58 pts/3    02:57:20 python -m pytest -n 2\n"
	  "op          4243    4242 97 04:58 pts/3    1-02:57:20 python -c import sys\n",
	  "1 0 root 0 374400 9 2026-02-13T00:00:00Z init - - /sbin/init\n"
	  "4200 1 op 0 60 0 2026-02-17T07:59:00Z bash /sbin/init init -bash\n"
	  "4242 4200 op 97 10920 10640 2026-02-17T04:58:00Z python -bash bash python -m pytest -n 2\n"
	  "4243 4242 op 97 10920 97040 2026-02-17T04:58:00Z python python -m pytest -n 2 python python -c import sys\n" },
	{ "pid ppid user cpu elapsed cputime started command",
	  "# 2026-02-17 08:00:00\n"
	  "    PID    PPID USER     %CPU ELAPSED     TIME COMMAND\n"
	  "      1       0 root      0.0  900000 00:00:09 /sbin/init\n"
	  "   4242       1 op       97.8    6827 01:51:16 pytest tests/a b\n",
	  "1 0 root 0.0 900000 9 2026-02-06T22:00:00Z /sbin/init\n"
	  "4242 1 op 97.8 6827 6676 2026-02-17T06:06:13Z pytest tests/a b\n" },
	{ "pid ppid elapsed cpu command",
	  "=== 2026-02-17 08:00:00 ===\n"
	  "    PID    PPID     ELAPSED %CPU CMD\n"
	  "   4242       1 2-03:04:05 97.8 python -m pytest\n"
	  "   4243       1    03:04:05  - python -m pytest\n"
	  "   4244       1       04:05 1.0 python -m pytest\n"
	  "   4245       1           - 1.0 x\n",
	  "4242 1 183845 97.8 python -m pytest\n4243 1 11045 - python -m pytest\n4244 1 245 1.0 python -m pytest\n4245 1 0 1.0 x\n" },
	/* Columns in any order; lstart of five words; a command that is not last; columns of other names. */
	{ "pid started elapsed command rss nice tty ni uid user",
	  "@1771315200\n"
	  "                 STARTED COMMAND                       PID  NI   RSS TT         UID\n"
	  "Tue Feb 17 05:12:01 2026 python -m pytest tests       4242   0  1200 pts/1     1000\n"
	  "Sat Jan  3 05:12:01 2026 tmux: server                  410  -5   900 ?         1001\n",
	  "4242 2026-02-17T05:12:01Z 10079 python -m pytest tests 1200 - pts/1 0 - 1000\n"
	  "410 2026-01-03T05:12:01Z 3898079 tmux: server 900 - - -5 - 1001\n" },
	{ "pid started command comm user uid",
	  "1771315200\n"
	  "  PID COMMAND         COMMAND              USER  UID  STARTED\n"
	  " 4242 python          python -m pytest     op   1000 05:12:01\n"
	  " 4243 python          python               op   1000   Feb 16\n"
	  " 4244 python          python               op   1000   Feb  6\n",
	  "4242 2026-02-17T05:12:01Z python -m pytest - op 1000\n"
	  "4243 2026-02-17T00:00:00Z python - op 1000\n"
	  "4244 2026-02-07T00:00:00Z python - op 1000\n" },
	{ "pid command program",
	  "2026-02-17 08:00:00\n  PID CMD\n   12 [kworker/0:1-events_unbound]\n   13 sshd: op [priv]\n   14 -zsh\n   15 (sd-pam)\n"
	  "   16 /usr/lib/systemd/systemd --user\n   17 ./run.sh -x\n   18 -\n   19 nginx: worker process\n   20 /\n",
	  "12 [kworker/0:1-events_unbound] [kworker/0:1-events_unbound]\n13 sshd: op [priv] sshd\n14 -zsh zsh\n15 (sd-pam) (sd-pam)\n"
	  "16 /usr/lib/systemd/systemd --user systemd\n17 ./run.sh -x run.sh\n18 - -\n19 nginx: worker process nginx\n20 / /\n" },
	/* The tree of `ps f`. */
	{ "pid command program",
	  "2026-02-17 08:00:00\n  PID CMD\n    1 /sbin/init\n    2  \\_ bash run.sh\n    3  |   \\_ python -m pytest\n    4      \\_ _private\n",
	  "1 /sbin/init init\n2 bash run.sh bash\n3 python -m pytest python\n4 _private _private\n" },
	/* pgrep has no header. */
	{ "pid elapsed started program command",
	  "2026-02-17 08:00:00\n4242 python -m pytest tests\n4260 /bin/bash -c cd /home/op/gt/cetana && pytest\n4261\n",
	  "4242 0 2026-02-17T08:00:00Z python python -m pytest tests\n"
	  "4260 0 2026-02-17T08:00:00Z bash /bin/bash -c cd /home/op/gt/cetana && pytest\n"
	  "4261 0 2026-02-17T08:00:00Z - -\n" },
	/* top: the clock is in its first line, the date in the stamp before it. */
	{ "pid user cpu cpu_now mem cputime state started command",
	  "2026-02-17 05:11:00\n"
	  "top - 05:12:01 up 3 days,  1:02,  1 user,  load average: 2.30, 1.34, 0.28\n"
	  "Tasks:   3 total,   1 running,   2 sleeping,   0 stopped,   0 zombie\n"
	  "%Cpu(s): 10.0 us,  5.0 sy,  0.0 ni, 85.0 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st\n"
	  "MiB Mem :  24105.6 total,  23365.1 free,    703.7 used,    305.3 buff/cache\n"
	  "MiB Swap:      0.0 total,      0.0 free,      0.0 used.  23401.8 avail Mem\n"
	  "\n"
	  "    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n"
	  "   4242 op        20   0   20.0t   1.4g   2600 R  98.0   1.4 111:10.52 python\n"
	  "   4243 op        20   0   20.0t   1.4g   2600 R  97,5   1,4   1234:56 python\n"
	  "      1 root      20   0   50840  19856   6308 S   0.0   0.1   0:09.68 systemd\n"
	  "\n"
	  "top - 05:12:31 up 3 days,  1:03,  1 user,  load average: 2.30, 1.34, 0.28\n"
	  "Tasks:   3 total,   1 running,   2 sleeping,   0 stopped,   0 zombie\n"
	  "    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n"
	  "   4242 op        20   0   20.0t   1.4g   2600 R  98.0   1.4 111:40.22 python\n",
	  "4242 op 98.0 - 1.4 6670.52 R 2026-02-17T05:12:01Z python\n"
	  "4243 op 97.5 - 1.4 74096 R 2026-02-17T05:12:01Z python\n"
	  "1 root 0.0 - 0.1 9.68 S 2026-02-17T05:12:01Z systemd\n"
	  "END all\n"
	  "4242 op 98.0 99 1.4 6700.22 R 2026-02-17T05:12:01Z python\n" },
	/* macOS: hours by AM and PM, hundredths in TIME. */
	{ "pid user cpu elapsed cputime started command",
	  "2026-02-17T08:00:00Z\n"
	  "USER               PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND\n"
	  "op                4242  97.1  0.5 34256000  90210 s003  R+    4:58AM 177:20.31 python -m pytest\n"
	  "op                4243   0.1  0.5 34256000  90210 s003  R+   Mon03PM   0:20.31 python -m pytest\n"
	  "op                4244   0.1  0.5 34256000  90210 s003  R+   12Jan26   0:20.31 python -m pytest\n",
	  "4242 op 97.1 10920 10640.31 2026-02-17T04:58:00Z python -m pytest\n"
	  "4243 op 0.1 57600 20.31 2026-02-16T16:00:00Z python -m pytest\n"
	  "4244 op 0.1 3052800 20.31 2026-01-13T00:00:00Z python -m pytest\n" },
	/* BusyBox. */
	{ "pid user cputime command",
	  "2026-02-17 08:00:00\nPID   USER     TIME  COMMAND\n    1 root      1h23 init\n    2 root      0:07 {sh} /bin/sh ./x\n    3 op       2d05 y\n",
	  "1 root 4980 init\n2 root 7 {sh} /bin/sh ./x\n3 op 190800 y\n" },
	/* CRs, colours, tabs and blanks at the ends. */
	{ "pid command", "\x1b[1m2026-02-17 08:00:00\x1b[0m\r\n\x1b[7m  PID CMD   \x1b[0m\r\n\x1b[1m   12 a\tb\x1b[0m  \r\n13\tc\r\n", "12 a\tb\n13 c\n" },
	/* Threads: many rows of one process. */
	{ "pid cputime started cpu_now",
	  "2026-02-17 08:00:00\nPID LWP ELAPSED TIME CMD\n7 7 100 00:10 a\n7 8 100 00:01 a\n2026-02-17 08:00:10\nPID LWP ELAPSED TIME CMD\n7 7 110 00:15 a\n7 8 110 00:01 a\n",
	  "7 10 2026-02-17T07:58:20Z -\n7 1 2026-02-17T07:58:20Z -\nEND part\n7 15 2026-02-17T07:58:20Z 50\n7 1 2026-02-17T07:58:20Z -\n" },
};

START_TEST(rows_of_every_shape)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .fields = shapes[_i].fields };

	check_reading(&r, shapes[_i].text, shapes[_i].want, _i);
}
END_TEST

static const struct {
	const char *command, *want;
} rigs[] = {
	{ "python /home/op/gt/cetana/refinery/rig/t.py", "cetana" },
	{ "bash -c cd ~/gt/mcp_memory && pytest", "mcp_memory" },
	{ "bash -c cd '/home/op/gt/my-rig2'", "my-rig2" },
	{ "pytest --rootdir=/home/op/gt/a.b/x", "a.b" },
	{ "sh /home/op/gt/check.sh", "-" },
	{ "gt daemon --log /home/op/gt/daemon/daemon.log", "-" },
	{ "tail -f /home/op/gt/logs/town.log /home/op/gt/prajna/x.log", "prajna" },
	{ "claude --settings /home/op/gt/mayor/.claude/settings.json", "-" },
	{ "ls /home/op/gt/.beads/x", "-" },
	{ "ls /home/op/gt/", "-" },
	{ "ls /home/op/gt//x", "-" },
	{ "ls /home/op/gtx/alpha/y", "-" },
	{ "python -m pytest tests", "-" },
	{ "claude --settings /srv/town/alpha/polecats/nux/.claude/s.json", "alpha" },
	{ "python /srv/town/beta/refinery/rig/x.py", "beta" },
	{ "vim polecats/x /crew/y", "-" },
};

START_TEST(rig_from_command)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .fields = "rig" };
	char text[256], want[64];

	snprintf(text, sizeof text, "2026-02-17 08:00:00\n4242 %s\n", rigs[_i].command);
	snprintf(want, sizeof want, "%s\n", rigs[_i].want);
	check_reading(&r, text, want, _i);
}
END_TEST

/* ---- stamps ---- */

static const struct {
	const char *stamp, *mtime, *want;
} stamps[] = {
	{ "2026-02-17T03:00:00-05:00", NULL, "2026-02-17T08:00:00Z" },
	{ "2026-02-17 08:00:00", NULL, "2026-02-17T08:00:00Z" },
	{ "2026-02-17 08:00:00.25 EST", NULL, "2026-02-17T08:00:00.250Z" },
	{ "2026/02/17 08:00:00", NULL, "2026-02-17T08:00:00Z" },
	{ "Tue Feb 17 08:00:00 UTC 2026", NULL, "2026-02-17T08:00:00Z" },
	{ "Tue Feb 17 08:00:00 AM UTC 2026", NULL, "2026-02-17T08:00:00Z" },
	{ "Tue, 17 Feb 2026 08:00:00 +0000", NULL, "2026-02-17T08:00:00Z" },
	{ "Feb 17 08:00:00", "2026-02-17 09:00:00", "2026-02-17T08:00:00Z" },
	{ "@1771315200", NULL, "2026-02-17T08:00:00Z" },
	{ "1771315200", NULL, "2026-02-17T08:00:00Z" },
	{ "1771315200.5", NULL, "2026-02-17T08:00:00.500Z" },
	{ "1771315200123", NULL, "2026-02-17T08:00:00.123Z" },
	{ "--- 2026-02-17 08:00:00 ---", NULL, "2026-02-17T08:00:00Z" },
	{ "[2026-02-17 08:00:00]", NULL, "2026-02-17T08:00:00Z" },
	{ "### snapshot at 2026-02-17T08:00:00Z on host ###", NULL, "2026-02-17T08:00:00Z" },
	{ "=== Tue Feb 17 08:00:00 UTC 2026 ===", NULL, "2026-02-17T08:00:00Z" },
	{ "2026-02-17 08:00:00:", NULL, "2026-02-17T08:00:00Z" },
	/* A clock alone: the day before arrival or mtime. */
	{ "top - 08:00:00 up 3 days, 1 user", "2026-02-17 09:00:00", "2026-02-17T08:00:00Z" },
	{ "top - 23:00:00 up 3 days, 1 user", "2026-02-17 09:00:00", "2026-02-16T23:00:00Z" },
	{ " 08:00:00 up 42 min,  0 users,  load average: 0.30, 0.34, 0.28", "2026-02-17 09:00:00", "2026-02-17T08:00:00Z" },
	/* Then the next one after the stamp before it, but for clocks that were set back a little. */
	{ "2026-02-17 23:59:00\ntop - 00:00:10 up 3 days, 1 user", NULL, "2026-02-18T00:00:10Z" },
	{ "2026-02-17 08:00:02\ntop - 08:00:00 up 3 days, 1 user", NULL, "2026-02-17T08:00:00Z" },
	{ "2026-02-17 08:00:02\ntop - 03:00:00 up 3 days, 1 user", NULL, "2026-02-18T03:00:00Z" },
	/* No stamp at all. */
	{ "", "2026-02-17 09:00:00", "2026-02-17T09:00:00Z" },
	{ "", NULL, "-" },
};

START_TEST(stamps_of_snapshots)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .mtime = stamps[_i].mtime, .fields = "time" };
	char text[256], want[64];

	snprintf(text, sizeof text, "%s\n  PID CMD\n   12 a\n", stamps[_i].stamp);
	snprintf(want, sizeof want, "%s\n", stamps[_i].want);
	check_reading(&r, text, want, _i);
}
END_TEST

/* ---- snapshots ---- */

#define HEAD "PID ELAPSED TIME CMD\n"

static const struct {
	const char *fields, *text, *want;
} snapshots[] = {
	/* Stamp and header are one beginning; PID 1 makes a listing complete. */
	{ "time pid", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2 100 00:00 a\n2026-02-17 08:01:00\n" HEAD "2 160 00:00 a\n2026-02-17 08:02:00\n\n2026-02-17 08:02:01\n" HEAD,
	  "2026-02-17T08:00:00Z 1\n2026-02-17T08:00:00Z 2\nEND all\n2026-02-17T08:01:00Z 2\nEND part\n" },
	/* Two headers without a stamp between them. */
	{ "pid", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n" HEAD "2 100 00:00 a\n" HEAD HEAD "3 100 00:00 a\n",
	  "1\nEND all\n2\nEND part\n3\n" },
	/* After a stamp, rows may have the columns of the header before it, or be pgrep's. */
	{ "pid elapsed command", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2026-02-17 08:01:00\n1 9060 00:00 init\n2026-02-17 08:02:00\n4242 python -m pytest\n4243 x\n2026-02-17 08:03:00\n",
	  "1 9000 init\nEND all\n1 9060 init\nEND all\n4242 0 python -m pytest\n4243 0 x\nEND part\n" },
	/* pgrep's rows rise: one that does not begins another snapshot. */
	{ "pid", "2026-02-17 08:00:00\n10 a\n20 a\n10 a\n20 a\n2026-02-17 08:01:00\n10 a\n", "10\n20\n10\n20\nEND part\n10\n" },
	/* ps writes a negative age as if it had no sign. */
	{ "pid elapsed", "2026-02-17 08:00:00\n" HEAD "7 18446744073709551615 00:00 a\n8 441077234-00:18:40 00:00 b\n9 5 00:00 c\n", "7 0\n8 0\n9 5\n" },
	/* Damage is one row's. Whose it was is not gone. */
	{ "pid", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2 100 00:00 a\n2026-02-17 08:01:00\n" HEAD "1 9060 00:00 init\n2 1x0 00:00 a\n2026-02-17 08:02:00\n" HEAD "1 9120 00:00 init\n",
	  "1\n2\nEND all\n1\n? 2 1x0 00:00 a\nEND part\n1\n" },
	{ "pid", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\nps: out of memory\n3 5 00:00 a\n99 100\n-7 5 00:00 a\n0 5 00:00 a\n99999999999 5 00:00 a\n9 1:2:3:4 0 a\n4 5 00:00 b\n# by hand\n2026-02-17 08:01:00\n",
	  "1\n? ps: out of memory\n3\n? 99 100\n? -7 5 00:00 a\n? 0 5 00:00 a\n? 99999999999 5 00:00 a\n? 9 1:2:3:4 0 a\n4\nEND all\n" },
	/* A file that begins in the middle of a snapshot, and one that ends in the middle of a row. */
	{ "pid", "op 4242 97.0 0.1 pytest\n4242 100 00:01 pytest\n2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2 10", "? op 4242 97.0 0.1 pytest\n? 4242 100 00:01 pytest\n1\n? 2 10\n" },
	/* The busiest by %CPU are not all. */
	{ "pid", "2026-02-17 08:00:00\nPID %CPU CMD\n50 9 a\n40 8 a\n30 7 a\n20 6 a\n10 5 a\n9 4 a\n8 3 a\n1 2 init\n2026-02-17 08:01:00\n", "50\n40\n30\n20\n10\n9\n8\n1\nEND part\n" },
	/* Nor are the first rows of top. */
	{ "pid", "2026-02-17 08:00:00\nTasks: 85 total, 1 running\nPID %CPU CMD\n1 2 init\n2026-02-17 08:01:00\n", "1\nEND part\n" },
	/* Snapshots of one stamp, and a clock that goes back. */
	{ "time pid", "2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2026-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n2026-02-17 07:59:00\n" HEAD "1 9000 00:00 init\n2026-02-17 08:00:00\n",
	  "2026-02-17T08:00:00Z 1\nEND all\n2026-02-17T08:00:00Z 1\nEND all\n2026-02-17T07:59:00Z 1\nEND all\n" },
	/* Stamps beyond all reason: rows without times to reckon with. */
	{ "pid elapsed started", "2250-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n1700-02-17 08:00:00\n" HEAD "1 9000 00:00 init\n", "1 9000 -\nEND all\n1 9000 -\n" },
};

START_TEST(snapshots_begin_and_end)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .fields = snapshots[_i].fields };

	check_reading(&r, snapshots[_i].text, snapshots[_i].want, _i);
}
END_TEST

/* The ends of snapshots carry the old one's time, and never stand before its rows. */
START_TEST(snapshot_ends_are_in_order)
{
	static const char text[] = "2026-02-17 08:00:00\n" HEAD "1 9 0 a\n2026-02-17 08:00:00\n" HEAD "1 9 0 a\n2026-02-17 08:00:30\n";
	struct record_list list = { 0 };
	struct field_table fields;
	struct decoder *d;
	struct event e;
	int64_t first = at("2026-02-17 08:00:00"), snapshot = 0;
	int ends = 0;
	char block[sizeof text + MARGIN] = { 0 };

	memcpy(block, text, sizeof text);
	field_table_init(&fields);
	event_init(&e, field_count(&fields));
	d = decoder_new(built_in(FORMAT_PS), &fields, zone_get("UTC"), 0);
	decoder_frame(d, span_of(block, sizeof text - 1), true, &list);
	for (size_t i = 0; i < list.n; i++) {
		event_reset(&e);
		if (decoder_parse(d, span_of(block, sizeof text - 1), &list.items[i], &e) != PARSE_EVENT)
			continue;
		if (e.kind == EVENT_LOG) {
			snapshot = e.snapshot_ns;
			ck_assert_int_eq(e.time_ns, snapshot);
			continue;
		}
		ends++;
		ck_assert_int_eq(e.snapshot_ns, snapshot);
		ck_assert(ends == 1 ? snapshot == first : snapshot > first && snapshot < first + NS_PER_SECOND);
		ck_assert_int_gt(e.time_ns, snapshot);
	}
	ck_assert_int_eq(ends, 2);
	ck_assert_int_eq(e.time_ns, at("2026-02-17 08:00:30"));
	decoder_free(d);
	event_release(&e);
	field_table_release(&fields);
	free(list.items);
}
END_TEST

/* Live, without stamps: each snapshot is of the moment when its header came. A line comes every ten seconds. */
static const struct {
	const char *text, *want;
} arrivals[] = {
	{ HEAD "1 9000 0 init\n2 10 0 a\n" HEAD "1 9030 0 init\n", "2026-02-17T09:00:00Z 2026-02-17T06:30:00Z\n2026-02-17T09:00:00Z 2026-02-17T08:59:50Z\nEND all\n2026-02-17T09:00:30Z 2026-02-17T06:30:00Z\n" },
	{ "2026-02-17 08:00:00\n" HEAD "1 9000 0 init\n" HEAD "1 9000 0 init\n", "2026-02-17T08:00:00Z 2026-02-17T05:30:00Z\nEND all\n2026-02-17T08:00:00Z 2026-02-17T05:30:00Z\n" },
	{ "5 a\n6 b\n5 a\n", "2026-02-17T09:00:00Z 2026-02-17T09:00:00Z\n2026-02-17T09:00:10Z 2026-02-17T09:00:10Z\n2026-02-17T09:00:20Z 2026-02-17T09:00:00Z\n" },
};

START_TEST(arrival_stands_in_for_stamps)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .arrival = "2026-02-17 09:00:00", .mtime = "2026-01-01 00:00:00", .fields = "time started" };

	check_reading(&r, arrivals[_i].text, arrivals[_i].want, _i);
}
END_TEST

/* ---- who is who ---- */

#define AUX "USER PID %CPU START TIME COMMAND\n"
#define DAY "2026-02-17 "

static const struct {
	const char *zone, *text, *want; /* pid started elapsed cpu_now */
} identities[] = {
	/* Elapsed time and stamp are cut to seconds, each for itself: the start wavers by one. */
	{ NULL, DAY "08:00:00\n" HEAD "7 100 00:10 a\n" DAY "08:00:30\n" HEAD "7 131 00:40 a\n" DAY "08:01:00\n" HEAD "7 159 00:41 a\n",
	  "7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T07:58:20Z 131 100\nEND part\n7 2026-02-17T07:58:20Z 159 3.3\n" },
	/* The PID came back: another start. Its CPU share is not the difference to the old one's time. */
	{ NULL, DAY "08:00:00\n" HEAD "7 100 00:10 a\n" DAY "08:00:30\n" HEAD "7 5 00:12 a\n" DAY "08:00:40\n" HEAD "7 15 00:17 a\n",
	  "7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T08:00:25Z 5 -\nEND part\n7 2026-02-17T08:00:25Z 15 50\n" },
	/* START by the minute; then by the day; the start that was seen first stays. */
	{ NULL, DAY "08:00:10\n" AUX "op 7 0.0 07:59 0:10 a\n" DAY "08:00:40\n" AUX "op 7 0.0 08:00 0:11 a\n2026-02-18 00:10:00\n" AUX "op 7 0.0 Feb17 0:12 a\n2027-01-01 00:10:00\n" AUX "op 7 0.0 2026 0:12 a\n",
	  "7 2026-02-17T07:59:00Z 70 -\nEND part\n7 2026-02-17T07:59:00Z 100 3.3\nEND part\n7 2026-02-17T07:59:00Z 58260 0\nEND part\n7 2026-02-17T07:59:00Z 27447060 0\n" },
	/* Less CPU time than before: another process, though START does not tell. */
	{ NULL, DAY "08:00:10\n" AUX "op 7 0.0 08:00 0:10 a\n" DAY "08:00:40\n" AUX "op 7 0.0 08:00 0:03 a\n" DAY "08:00:50\n" AUX "op 7 0.0 08:00 0:04 a\n",
	  "7 2026-02-17T08:00:00Z 10 -\nEND part\n7 2026-02-17T08:00:40Z 0 -\nEND part\n7 2026-02-17T08:00:40Z 10 10\n" },
	/* Another START. */
	{ NULL, DAY "08:00:10\n" AUX "op 7 0.0 07:00 0:10 a\n" DAY "08:05:40\n" AUX "op 7 0.0 08:05 0:10 a\n",
	  "7 2026-02-17T07:00:00Z 3610 -\nEND part\n7 2026-02-17T08:05:00Z 40 -\n" },
	/* Of the evening before. */
	{ NULL, DAY "00:10:00\n" AUX "op 7 0.0 23:50 0:10 a\n", "7 2026-02-16T23:50:00Z 1200 -\n" },
	/* A start that the row cannot say better than by the day is replaced by one to the second, once. */
	{ NULL, DAY "08:00:00\n" AUX "op 7 0.0 Feb16 0:10 a\n" DAY "08:00:10\n" HEAD "7 43210 00:10 a\n" DAY "08:00:20\n" AUX "op 7 0.0 Feb16 0:10 a\n",
	  "7 2026-02-17T00:00:00Z 28800 -\nEND part\n7 2026-02-16T20:00:00Z 43210 0\nEND part\n7 2026-02-16T20:00:00Z 43220 0\n" },
	/* No START that can be read: the first sighting counts. */
	{ NULL, DAY "08:00:00\n" AUX "op 7 0.0 févr.16 0:10 a\n" DAY "08:00:30\n" AUX "op 7 0.0 févr.16 0:40 a\n", "7 2026-02-17T08:00:00Z 0 -\nEND part\n7 2026-02-17T08:00:00Z 30 100\n" },
	/* pgrep: the same command in the next snapshots; not when it was away for long, and not another command. */
	{ NULL, DAY "08:00:00\n7 a\n8 b\n9 c\n" DAY "08:01:00\n7 a\n8 x\n" DAY "08:02:00\n" DAY "08:03:00\n" DAY "08:04:00\n7 a\n" DAY "08:05:00\n9 c\n",
	  "7 2026-02-17T08:00:00Z 0 -\n8 2026-02-17T08:00:00Z 0 -\n9 2026-02-17T08:00:00Z 0 -\nEND part\n7 2026-02-17T08:00:00Z 60 -\n8 2026-02-17T08:01:00Z 0 -\nEND part\n"
	  "7 2026-02-17T08:00:00Z 240 -\nEND part\n9 2026-02-17T08:05:00Z 0 -\n" },
	/* What ps knew helps pgrep. */
	{ NULL, DAY "08:00:00\n" HEAD "7 100 00:10 a\n" DAY "08:01:00\n7 a\n", "7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T07:58:20Z 160 -\n" },
	/* Forgotten after two complete snapshots without it: then its time before says nothing. */
	{ NULL, DAY "08:00:00\n" HEAD "1 9000 0 i\n7 100 00:10 a\n" DAY "08:01:00\n" HEAD "1 9060 0 i\n" DAY "08:02:00\n" HEAD "1 9120 0 i\n" DAY "08:03:00\n" HEAD "7 280 00:40 a\n",
	  "1 2026-02-17T05:30:00Z 9000 -\n7 2026-02-17T07:58:20Z 100 -\nEND all\n1 2026-02-17T05:30:00Z 9060 0\nEND all\n1 2026-02-17T05:30:00Z 9120 0\nEND all\n7 2026-02-17T07:58:20Z 280 -\n" },
	/* Two snapshots within a second share no CPU time; a clock that goes back begins anew. */
	{ NULL, "1771315200.1\n" HEAD "7 100 00:10 a\n1771315200.6\n" HEAD "7 100 00:10 a\n1771315202.1\n" HEAD "7 102 00:12 a\n1771315200.1\n" HEAD "7 100 00:12 a\n1771315210.1\n" HEAD "7 110 00:17 a\n",
	  "7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T07:58:20Z 102 100\nEND part\n7 2026-02-17T07:58:20Z 100 -\nEND part\n7 2026-02-17T07:58:20Z 110 50\n" },
	/* START is in the host's zone: the source's, or the one that the stamp names. */
	{ "America/New_York", DAY "03:00:00\n" AUX "op 7 0.0 02:58 0:10 a\n", "7 2026-02-17T07:58:00Z 120 -\n" },
	{ NULL, DAY "03:00:00-05:00\n" AUX "op 7 0.0 02:58 0:10 a\nop 8 0.0 Feb16 0:10 b\n", "7 2026-02-17T07:58:00Z 120 -\n8 2026-02-17T05:00:00Z 10800 -\n" },
	{ "America/New_York", DAY "08:00:00Z\n" AUX "op 7 0.0 02:58 0:10 a\n", "7 2026-02-17T07:58:00Z 120 -\n" },
	/* Future and nonsense. */
	{ NULL, DAY "08:00:59\n" AUX "op 7 0.0 08:01 0:00 a\nop 8 0.0 25:61 0:00 a\nop 9 0.0 Feb30 0:00 a\nop 10 0.0 2031 0:00 a\nop 11 0.0 ? 0:00 a\n",
	  "7 2026-02-17T08:01:00Z 0 -\n8 2026-02-17T08:00:59Z 0 -\n9 2026-02-17T08:00:59Z 0 -\n10 2026-02-17T08:00:59Z 0 -\n11 2026-02-17T08:00:59Z 0 -\n" },
};

START_TEST(processes_are_told_apart)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .zone = identities[_i].zone, .fields = "pid started elapsed cpu_now" };

	check_reading(&r, identities[_i].text, identities[_i].want, _i);
}
END_TEST

/* Parents are found among the rows before, else in the snapshot before. */
START_TEST(parents_are_found)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .fields = "pid parent parent_program" };

	check_reading(&r,
		      "2026-02-17 08:00:00\nPID PPID CMD\n1 0 init\n30 20 child\n20 1 /bin/bash -l\n40 20 child\n50 50 self\n"
		      "2026-02-17 08:01:00\nPID PPID CMD\n30 20 child\n20 1 /bin/zsh\n40 20 child\n60 99 x\n",
		      "1 - -\n30 - -\n20 init init\n40 /bin/bash -l bash\n50 - -\nEND all\n30 /bin/bash -l bash\n20 init init\n40 /bin/zsh zsh\n60 - -\n", 0);
}
END_TEST

/* More processes than are kept, in one snapshot: the stalest are forgotten, and the state stays small. */
START_TEST(processes_are_capped)
{
	const struct reading r = { .source = built_in(FORMAT_PS), .fields = "pid" };
	struct buffer text = BUFFER_INIT, out = BUFFER_INIT;

	buffer_append_string(&text, "2026-02-17 08:00:00\nPID ELAPSED CMD\n");
	for (int i = 1; i <= 70000; i++)
		buffer_printf(&text, "%d 100 a%d\n", i * 59, i);
	buffer_append_string(&text, "4194304 100 b\n2147483647 100 c\n2147483648 100 d\n");
	read_text(&r, IN_ONE_GO, buffer_span(&text), &out);
	ck_assert(span_ends_with(buffer_span(&out), SPAN("4194304\n2147483647\n? 2147483648 100 d\n")));
	buffer_release(&text);
	buffer_release(&out);
}
END_TEST

/* A damaged state is refused, never believed. */
START_TEST(damaged_state_is_refused)
{
	static const char text[] = DAY "08:00:00\n" AUX "op 1 0.0 07:59 0:10 init\nop 7 0.0 07:59 0:10 a\n";
	struct record_list list = { 0 };
	struct buffer saved = BUFFER_INIT;
	struct field_table fields;
	struct decoder *d;
	struct event e;
	char block[sizeof text + MARGIN] = { 0 };

	memcpy(block, text, sizeof text);
	field_table_init(&fields);
	event_init(&e, field_count(&fields));
	d = decoder_new(built_in(FORMAT_PS), &fields, zone_get("UTC"), 0);
	decoder_frame(d, span_of(block, sizeof text - 1), true, &list);
	for (size_t i = 0; i < list.n; i++) {
		event_reset(&e);
		decoder_parse(d, span_of(block, sizeof text - 1), &list.items[i], &e);
	}
	decoder_save(d, &saved);
	decoder_free(d);
	for (size_t cut = 0; cut < saved.len; cut++) {
		struct codec_reader in = { saved.data, saved.data + cut, false };

		d = decoder_new(built_in(FORMAT_PS), &fields, zone_get("UTC"), 0);
		ck_assert(!decoder_load(d, &in) || in.bad);
		decoder_free(d);
	}
	for (size_t i = 0; i < saved.len * 8; i++) { /* with any bit turned it must at least not break anything */
		struct codec_reader in = { saved.data, saved.data + saved.len, false };

		saved.data[i / 8] = (char)(saved.data[i / 8] ^ (1 << i % 8));
		d = decoder_new(built_in(FORMAT_PS), &fields, zone_get("UTC"), 0);
		if (decoder_load(d, &in)) {
			for (size_t k = 0; k < list.n; k++) {
				event_reset(&e);
				decoder_parse(d, span_of(block, sizeof text - 1), &list.items[k], &e);
			}
		}
		decoder_free(d);
		saved.data[i / 8] = (char)(saved.data[i / 8] ^ (1 << i % 8));
	}
	buffer_release(&saved);
	event_release(&e);
	field_table_release(&fields);
	free(list.items);
}
END_TEST

/* ---- sources of rules files ---- */

static const struct {
	const char *regex, *start, *time_field, *time_pattern, *fields, *text, *want;
} patterns[] = {
	/* ls -lh of lock files */
	{ "^(?<mode>\\S+)\\s+\\d+ (?<owner>\\S+)\\s+\\S+\\s+(?<size>\\S+) (?<stamp>\\w{3} +\\d+ \\d\\d:\\d\\d) (?<path>\\S*?/gt/(?<rig>[^/]+)/.+)$", NULL, "stamp", "%b %e %H:%M",
	  "time mode size path rig stamp",
	  "-rw-r--r-- 1 op op 0 Feb 17 05:12 /home/op/gt/cetana/.qdrant/x.qdrant.lock\n-rw-rw-r-- 1 op op  12K Feb  7 05:12 /home/op/gt/prajna/a b.lock\ntotal 12\n",
	  "2026-02-17T05:12:00Z -rw-r--r-- 0 /home/op/gt/cetana/.qdrant/x.qdrant.lock cetana Feb 17 05:12\n2026-02-07T05:12:00Z -rw-rw-r-- 12K /home/op/gt/prajna/a b.lock prajna Feb  7 05:12\n? total 12\n" },
	{ "^(?<mode>\\S+)\\s+\\d+ (?<owner>\\S+)\\s+\\S+\\s+(?<size>\\S+) (?<stamp>\\w{3} +\\d+ \\d\\d:\\d\\d) (?<path>\\S*?/gt/(?<rig>[^/]+)/.+)$", NULL, "stamp", NULL,
	  "time mode", "-rw-r--r-- 1 op op 0 Feb 17 05:12 /home/op/gt/cetana/x.lock\n", "2026-02-18T00:00:00Z -rw-r--r--\n" },
	/* pytest's cache of what failed */
	{ "^\\s*\"(?<test>(?<path>[^:\"]+)::(?<case>[^\"]+))\": (?<failed>true|false),?$", NULL, NULL, NULL, "test path case failed message",
	  "{\n  \"tests/x.py::test_y\": true,\n  \"tests/z.py::Test::test_a[1-b]\": true\n}\n",
	  "? {\ntests/x.py::test_y tests/x.py test_y true   \"tests/x.py::test_y\": true,\ntests/z.py::Test::test_a[1-b] tests/z.py Test::test_a[1-b] true   \"tests/z.py::Test::test_a[1-b]\": true\n? }\n" },
	/* uv pip list */
	{ "^(?<package>[A-Za-z0-9_.-]+)\\s+(?<version>\\d\\S*)", NULL, NULL, NULL, "package version",
	  "Package           Version\n----------------- -------\npytest            8.3.4\npytest-timeout    2.3.1\n", "? Package           Version\n? ----------------- -------\npytest 8.3.4\npytest-timeout 2.3.1\n" },
	/* pytest.ini as one record a section */
	{ "(?s)^\\[(?<section>[^]]+)\\](?:.*?^timeout\\s*=\\s*(?<timeout>\\d+))?", "^\\[", NULL, NULL, "section timeout",
	  "[pytest]\naddopts = -q\n[other]\na = 1\n", "pytest -\nother -\n" },
	{ "(?sm)^\\[(?<section>[^]]+)\\](?:.*?^timeout\\s*=\\s*(?<timeout>\\d+))?", "^\\[", NULL, NULL, "section timeout",
	  "[pytest]\naddopts = -q\ntimeout = 60\n\n[other]\na = 1\n", "pytest 60\nother -\n" },
	/* agents are normalised; groups of their own overrule what the name says */
	{ "^(?<time>\\S+ \\S+) (?<agent>\\S+) (?<reason>.*)$", NULL, NULL, NULL, "time agent agent_raw rig role reason",
	  "2026-02-17 08:00:00 careops/polecats/rust gone\n2026-02-17 08:00:00 hq-mayor\xff x\xff\nno stamp here\n",
	  "2026-02-17T08:00:00Z careops/rust careops/polecats/rust careops polecat gone\n2026-02-17T08:00:00Z hq-mayor\xff hq-mayor\xff - - x\xff\n? no stamp here\n" },
	{ "^(?<agent>\\S+) on (?<rig>\\S+)", NULL, NULL, NULL, "agent rig", "a/b on c\n", "a/b c\n" },
	/* one name, two places */
	{ "(?J)^(?:a=(?<x>\\d+)|b=(?<x>\\w+))$", NULL, NULL, NULL, "x", "a=1\nb=z\n", "1\nz\n" },
	/* epoch seconds */
	{ "^(?<time>\\d+) (?<message>.*)", NULL, NULL, "%s", "time message", "1771315200 up\n1771315201 \n", "2026-02-17T08:00:00Z up\n2026-02-17T08:00:01Z \n" },
	/* a record of several lines whose first line alone does not match */
	{ "(?s)^\\[(?<time>[^]]+)\\] begin.*end (?<code>\\d+)$", "^\\[", NULL, NULL, "time code", "[2026-02-17 08:00:00] begin\n more\nend 7\r\n[2026-02-17 08:00:05] begin\nend 8", "2026-02-17T08:00:00Z 7\n2026-02-17T08:00:05Z 8\n" },
	/* CR and colours are gone before the match */
	{ "^(?<time>\\S+ \\S+) (?<w>\\w+)$", NULL, NULL, NULL, "time w", "\x1b[1m2026-02-17 08:00:00\x1b[0m ok\r\n", "2026-02-17T08:00:00Z ok\n" },
	/* steps are limited: such a line is given up, the next is not */
	{ "^(?<x>(?:a|a)*)b$", NULL, NULL, NULL, "x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\naab\n", "? aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\naa\n" },
};

static struct source pattern_source(struct source_pattern *p)
{
	return (struct source){ .name = "mine", .format = FORMAT_PATTERN, .rank = FORMAT_PATTERN, .product = "gastown", .service = "mine", .pattern = p };
}

START_TEST(patterns_read_records)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct field_table fields;
	struct source_pattern *p;
	struct source source;
	struct reading r = { .mtime = "2026-02-18 00:00:00" };

	field_table_init(&fields);
	/* The table of the reading is another one: its names are added in the same order. */
	for (const char *s = patterns[_i].fields; *s;) {
		size_t n = strcspn(s, " ");

		field_add(&fields, span_of(s, n));
		s += n;
		s += strspn(s, " ");
	}
	p = source_pattern_new(span_from_string(patterns[_i].regex), patterns[_i].start, patterns[_i].time_field, patterns[_i].time_pattern, &fields,
			       &diags, "rules.yml", 3, 12);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_ptr_nonnull(p);
	source = pattern_source(p);
	r.source = &source;
	r.fields = patterns[_i].fields;
	for (enum how how = IN_ONE_GO; how <= (patterns[_i].start ? IN_ONE_GO : SAVED_AND_RESTORED); how++) {
		struct buffer out = BUFFER_INIT;

		read_text(&r, how, span_from_string(patterns[_i].text), &out);
		ck_assert_msg(strcmp(buffer_string(&out), patterns[_i].want) == 0, "case %d: got\n%s\nwant\n%s", _i, buffer_string(&out), patterns[_i].want);
		buffer_release(&out);
	}
	source_pattern_free(p);
	field_table_release(&fields);
	diag_list_release(&diags);
}
END_TEST

static const struct {
	const char *regex, *start, *time_field, *time_pattern;
	const char *text, *hint; /* of the first diagnostic: parts of them; hint may be NULL */
	bool usable;
} mistakes[] = {
	{ "a(?<b>c", NULL, NULL, NULL, "pattern", "at its end", false },
	{ "äa(*b)c", NULL, NULL, NULL, "pattern", "character", false },
	{ "(?<a>x)", "[", NULL, NULL, "start", "end", false },
	{ "(?<stmp>x)", NULL, "stamp", NULL, "no group", "'stmp'", false },
	{ "(?<x>x)", NULL, "when", NULL, "no group", "(?<when>", false },
	{ "(?<x>x)", NULL, NULL, "%m-%d %H:%M", "group for the stamp", "(?<time>", false },
	{ "(?<time>x)", NULL, NULL, "%Q", "%Q", NULL, false },
	{ "x", NULL, NULL, NULL, "no named groups", "(?<name>", true },
};

START_TEST(mistakes_in_patterns)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct field_table fields;
	struct source_pattern *p;

	field_table_init(&fields);
	p = source_pattern_new(span_from_string(mistakes[_i].regex), mistakes[_i].start, mistakes[_i].time_field, mistakes[_i].time_pattern, &fields,
			       &diags, "rules.yml", 3, 12);
	ck_assert_int_eq(p != NULL, mistakes[_i].usable);
	ck_assert_uint_gt(diags.n, 0);
	ck_assert_int_eq(diags.items[0].level, mistakes[_i].usable ? DIAG_WARNING : DIAG_ERROR);
	ck_assert_int_eq(diags.items[0].line, 3);
	ck_assert_int_eq(diags.items[0].column, 12);
	ck_assert_str_eq(diags.items[0].file, "rules.yml");
	ck_assert_msg(strstr(diags.items[0].text, mistakes[_i].text) != NULL, "case %d: %s", _i, diags.items[0].text);
	if (mistakes[_i].hint)
		ck_assert_msg(diags.items[0].hint && strstr(diags.items[0].hint, mistakes[_i].hint), "case %d: %s", _i, diags.items[0].hint);
	source_pattern_free(p);
	field_table_release(&fields);
	diag_list_release(&diags);
}
END_TEST

/* ---- which source ---- */

static const struct {
	const char *path, *want; /* NULL: not by its name */
} paths[] = {
	{ "logs/town.log", "town" },
	{ "/home/op/gt/logs/town.log.1", "town" },
	{ "town.log.2.gz", "town" },
	{ "town.log-20260217.zst", "town" },
	{ "town-20260217.log.xz", "town" },
	{ ".events.jsonl", "events" },
	{ "x/.events.jsonl.3.gz", "events" },
	{ ".feed.jsonl", "events" },
	{ "events-2026-02-17.jsonl", "events" },
	{ "daemon/daemon.log", "daemon" },
	{ "daemon-2026-02-28T10-00-00.000.log.gz", "daemon" },
	{ "daemon/dolt.log.1.gz", "text" },
	{ "overseer/overseer.log", "overseer" },
	{ "logs/guardian.log", "guardian" },
	{ "gt-guardian.log", "guardian" },
	{ "ps.log", "ps" },
	{ "ps-20260217.log.gz", "ps" },
	{ "psaux.log.old", "ps" },
	{ "pgrep.out", "ps" },
	{ "top.log.1", "ps" },
	{ "/var/log/syslog.2.gz", "syslog" },
	{ "/var/log/messages-20260217", "syslog" },
	{ "messages.jsonl", "json" },
	{ "other.jsonl.1.zst", "json" },
	{ "locks.log.4.gz", "locks" },
	{ "mine/x.log", "mine" },
	{ "a/mine/x.log.1.gz", "mine" },
	{ "yours/x.log", NULL },
	{ "x.log", NULL },
	{ "notes.txt", NULL },
	{ "22", NULL },
	{ "", NULL },
	{ "logs/", NULL },
	{ "~", NULL },
};

START_TEST(sources_by_path)
{
	static const char *const lock_globs[] = { "locks*.log", NULL }, *const mine_globs[] = { "mine/*.log", NULL };
	const struct source locks = { .name = "locks", .format = FORMAT_PATTERN, .file_globs = lock_globs };
	const struct source mine = { .name = "mine", .format = FORMAT_PATTERN, .file_globs = mine_globs };
	const struct source none = { .name = "none", .format = FORMAT_PATTERN };
	const struct source *extra[] = { &none, &locks, &mine };
	const struct source *s = source_from_path(paths[_i].path, extra, 3);

	ck_assert_msg(s ? paths[_i].want && strcmp(s->name, paths[_i].want) == 0 : !paths[_i].want, "%s: got %s", paths[_i].path, s ? s->name : "none");
}
END_TEST

static const struct {
	const char *text, *want;
} contents[] = {
	{ "2026-01-22 16:07:59 [kill] icecream/polecats/x killed (gt stop)\n", "town" },
	{ "2026-01-22 16:07:59 [handoff] a/b handed off (one\ntwo\nthree)\n2026-01-22 16:08:59 [done] a/b completed x\n", "town" },
	{ "2026-03-24 10:00:00 [DOLT-HEARTBEAT-CRITICAL] Dolt WRITE FAILED: x", "town" },
	{ "{\"ts\":\"2026-01-03T17:11:50Z\",\"source\":\"gt\",\"type\":\"nudge\",\"actor\":\"deacon\",\"payload\":{}}\n", "events" },
	{ "{\"ts\":\"2026-01-03T17:11:50Z\",\"type\":\"nudge\",\"actor\":\"deacon\",\"payload\":{\"reason\":\"aaaa", "events" },
	{ "{\"ts\":\"2026-02-10T06:05:42Z\",\"level\":\"ERROR\",\"component\":\"handoff\",\"message\":\"x\"}\n", "json" },
	{ "{\"a\":1}\n{\"a\":2}\nnot json\n", "json" },
	{ "2026/01/23 17:26:50 Daemon starting (PID 1)\n  more\n  of it\n2026/01/23 17:26:50 x\n", "daemon" },
	{ "Feb 17 05:12:01 host cron[12]: x\nFeb  7 05:12:01 host kernel: y\n", "syslog" },
	{ "<13>Feb 17 05:12:01 host user: x\n", "syslog" },
	{ "<34>1 2026-02-17T05:12:01Z host app 12 - - x\n", "syslog" },
	{ "2026-02-17T05:12:01.123456+00:00 host systemd[1]: Started x.\n", "syslog" },
	{ "Feb 17 05:12:01 host user: GT-GUARDIAN: Runaway pytest detected PID=4242 runtime=1860s\n", "guardian" },
	{ "⚠️  RUNAWAY: PID 4242 (1860s) - python -m pytest\n   ✓ Killed PID 4242\n", "guardian" },
	{ "[2026-02-10 12:00:00] looking\nGT-GUARDIAN: Runaway pytest detected PID=1 runtime=2s\n[2026-02-10 12:00:00] done\n", "guardian" },
	{ "2026-02-17 08:44:02,123 - overseer - WARNING - mcp_memory/refinery stuck for 45m\n", "overseer" },
	{ "[dolt-heartbeat] 2026-03-24 10:00:00 ERROR: Dolt commit gap\n[stuck-agent-dog]   STUCK: Deacon\n", "overseer" },
	{ "[2026-02-10 12:00:00] Daemon not running - attempting restart\n", "text" },
	{ "2026-02-17 05:12:01 something\n2026-02-17 05:12:02 else\n", "text" },
	{ "2026-02-17T08:00:00+00:00\nUSER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\nroot 1 0 0 1 1 ? S 10:00 0:00 init\n", "ps" },
	{ "  PID CMD\n    1 init\n", "ps" },
	{ "2026-02-17T08:00:00+00:00\n4242 python -m pytest\n4243 x\n", "ps" },
	{ "top - 08:00:00 up 3 days,  1 user\nTasks: 3 total\n  PID USER %CPU COMMAND\n 1 root 0.0 init\n", "ps" },
	{ "-rw-r--r-- 1 op op 0 Feb 17 05:12 /home/op/gt/cetana/x.qdrant.lock\n", "locks" },
	{ "hello\nworld\n", NULL },
	{ "one\n2026-02-17 05:12:01 x\n", "text" },
	{ "", NULL },
	{ "\n\n", NULL },
	{ "{", NULL },
	{ "key: value\nother: value\n# comment\n", NULL },
	{ "2026-01-22 16:07:59 [kill] a/b killed\n2026/01/23 17:26:50 x\n", NULL },
};

START_TEST(sources_by_content)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct field_table fields;
	struct source_pattern *p;
	struct source locks;
	const struct source *extra[1], *s;

	field_table_init(&fields);
	p = source_pattern_new(SPAN("^(?<mode>[-l][-rwx]{9})\\s.*\\s(?<path>\\S+\\.lock)$"), NULL, NULL, NULL, &fields, &diags, "x", 1, 1);
	locks = pattern_source(p);
	locks.name = "locks";
	extra[0] = &locks;
	s = source_from_content(span_from_string(contents[_i].text), extra, 1);
	ck_assert_msg(s ? contents[_i].want && strcmp(s->name, contents[_i].want) == 0 : !contents[_i].want, "case %d: got %s", _i, s ? s->name : "none");
	source_pattern_free(p);
	field_table_release(&fields);
	diag_list_release(&diags);
}
END_TEST

START_TEST(binary_data_is_no_source)
{
	char data[4096];
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof data; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (char)(x >> 24);
	}
	ck_assert_ptr_null(source_from_content(span_of(data, sizeof data), NULL, 0));
	ck_assert_ptr_null(source_from_content(SPAN("\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x02\0\0\0\0"), NULL, 0));
	/* A NUL or two is only damage. */
	ck_assert_str_eq(source_from_content(SPAN("2026-01-22 16:07:59 [kill] a/b kil\0led (gt stop)\n"), NULL, 0)->name, "town");
}
END_TEST

static const struct source *source_of_file(const char *path, struct buffer *bytes)
{
	FILE *f = fopen(path, "rb");

	if (!f)
		return NULL;
	buffer_clear(bytes);
	buffer_reserve(bytes, 65536);
	bytes->len = fread(bytes->data, 1, 65536, f);
	fclose(f);
	ck_assert_msg(bytes->len > 0, "%s is empty", path);
	return source_from_content(buffer_span(bytes), NULL, 0);
}

/* Real logs, where there are any: TOCSIN_DATA, else ../shared/data beside the source. */
START_TEST(real_files_are_recognised)
{
	static const struct {
		const char *path, *want;
	} files[] = {
		{ "logs/town.log", "town" },
		{ ".events.jsonl", "events" },
		{ ".feed.jsonl", "events" },
		{ "daemon/daemon.log", "daemon" },
	};
	const char *data = getenv("TOCSIN_DATA"), *srcdir = getenv("TOCSIN_SOURCE");
	struct buffer path = BUFFER_INIT, bytes = BUFFER_INIT;
	struct dirent *entry;
	char root[4096];
	DIR *dir;

	snprintf(root, sizeof root, "%s%s", data ? data : srcdir ? srcdir : ".", data ? "" : "/../shared/data");
	dir = opendir(root);
	while (dir && (entry = readdir(dir))) {
		if (*entry->d_name == '.')
			continue;
		for (int i = 0; i < COUNT(files); i++) {
			const struct source *s;

			buffer_clear(&path);
			buffer_printf(&path, "%s/%s/%s", root, entry->d_name, files[i].path);
			if (access(buffer_string(&path), R_OK) != 0)
				continue;
			s = source_of_file(buffer_string(&path), &bytes);
			ck_assert_msg(s && strcmp(s->name, files[i].want) == 0, "%s: got %s", buffer_string(&path), s ? s->name : "none");
		}
	}
	if (dir)
		closedir(dir);
	buffer_release(&path);
	buffer_release(&bytes);
}
END_TEST

START_TEST(builtin_sources_have_names)
{
	size_t n;
	const struct source *s = builtin_sources(&n);

	ck_assert_uint_eq(n, FORMAT_PATTERN);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(s[i].rank, i);
		ck_assert_uint_eq(s[i].format, i);
		ck_assert_str_eq(s[i].name, format_name(s[i].format));
		ck_assert_str_eq(s[i].product, "gastown");
		ck_assert_str_eq(s[i].service, s[i].name);
	}
}
END_TEST

Suite *record_ps_suite(void)
{
	Suite *s = suite_create("record: ps, pattern, source");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, rows_of_every_shape, 0, COUNT(shapes));
	tcase_add_loop_test(t, rig_from_command, 0, COUNT(rigs));
	tcase_add_loop_test(t, stamps_of_snapshots, 0, COUNT(stamps));
	tcase_add_loop_test(t, snapshots_begin_and_end, 0, COUNT(snapshots));
	tcase_add_test(t, snapshot_ends_are_in_order);
	tcase_add_loop_test(t, arrival_stands_in_for_stamps, 0, COUNT(arrivals));
	tcase_add_loop_test(t, processes_are_told_apart, 0, COUNT(identities));
	tcase_add_test(t, parents_are_found);
	tcase_add_test(t, processes_are_capped);
	tcase_add_test(t, damaged_state_is_refused);
	tcase_add_loop_test(t, patterns_read_records, 0, COUNT(patterns));
	tcase_add_loop_test(t, mistakes_in_patterns, 0, COUNT(mistakes));
	tcase_add_loop_test(t, sources_by_path, 0, COUNT(paths));
	tcase_add_loop_test(t, sources_by_content, 0, COUNT(contents));
	tcase_add_test(t, binary_data_is_no_source);
	tcase_add_test(t, real_files_are_recognised);
	tcase_add_test(t, builtin_sources_have_names);
	suite_add_tcase(s, t);
	return s;
}
