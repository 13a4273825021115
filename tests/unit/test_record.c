/*
 * test_record.c: framing, and the formats that read lines: town, events, daemon, overseer, guardian, syslog, json, text. Most of it
 * are tables of a line and what is in it, "field=value|field=value"; "-field" says that it has none.
 *
 * Properties: records, stamps, flags and counters do not depend on how the bytes are cut, nor on saving and loading in between; and
 * what format_literal() promises holds for every record the tests know, and for the real logs where they are there
 * (TOCSIN_DATA, else ../shared/data beside the sources).
 */
#include "base/cpu.h"
#include "test_record.h"
#include "base/memory.h"
#include "record/agent.h"
#include "record/ansi.h"
#include "record/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
#define MARGIN 64

/* A small generator of the tests' own: the same numbers everywhere. */
static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((random_state >> 33) % n);
}

static int64_t instant(const char *text)
{
	struct civil c;

	if (!text)
		return TIME_NONE;
	ck_assert_uint_eq(civil_parse(span_from_string(text), &c), strlen(text));
	return civil_to_time(&c, zone_get("UTC"), TIME_NONE);
}

static const char *utc_text(int64_t time_ns)
{
	static struct buffer b;

	if (time_ns == TIME_NONE)
		return "none";
	buffer_clear(&b);
	time_format_utc(&b, time_ns);
	return buffer_string(&b);
}

/* ---- one decoder with all that it needs ---- */

struct bench {
	struct source source;
	struct field_table fields;
	struct decoder *decoder;
	struct record_list list;
	struct event event;
	char *block; /* the bytes of the last frame_all(), with a margin of newlines behind them */
	size_t len;
};

static void bench_init(struct bench *b, enum format format, const char *zone, size_t record_limit)
{
	*b = (struct bench){ .source = { .name = format_name(format), .format = format, .rank = (uint32_t)format } };
	field_table_init(&b->fields);
	b->fields.keep_all = true;
	b->decoder = decoder_new(&b->source, &b->fields, zone_get(zone), record_limit);
	event_init(&b->event, field_count(&b->fields));
}

static void bench_release(struct bench *b)
{
	decoder_free(b->decoder);
	event_release(&b->event);
	field_table_release(&b->fields);
	free(b->list.items);
	free(b->block);
}

/* The margin holds newlines and backslashes: whoever looks at it sees more records. */
static char *with_margin(const char *p, size_t len)
{
	char *copy = xmalloc(len + MARGIN);

	if (len > 0)
		memcpy(copy, p, len);
	memset(copy + len, '\n', MARGIN);
	memset(copy + len + MARGIN / 2, '\\', MARGIN / 2);
	return copy;
}

static void frame_all(struct bench *b, struct span text)
{
	free(b->block);
	b->block = with_margin(text.ptr, text.len);
	b->len = text.len;
	ck_assert_uint_eq(decoder_frame(b->decoder, span_of(b->block, b->len), true, &b->list), text.len);
}

/* What an event says of itself holds: its values come out of its raw again. */
static void check_parse_again(struct bench *b)
{
	const struct event *e = &b->event;
	char *copy = with_margin(e->raw.ptr, e->raw.len);
	struct event again;

	event_init(&again, field_count(&b->fields));
	decoder_parse_again(b->decoder, span_of(copy, e->raw.len), &again);
	ck_assert_uint_eq(again.n_values, e->n_values);
	for (size_t i = 0; i < e->n_values; i++) {
		const struct value *v = &e->values[i], *w = &again.values[i];
		ck_assert_uint_eq(v->field, w->field);
		ck_assert_uint_eq(v->kind, w->kind);
		ck_assert(span_equal(v->text, w->text));
	}
	event_release(&again);
	free(copy);
}

static enum parse_result parse(struct bench *b, size_t i)
{
	enum parse_result result;

	event_reset(&b->event);
	result = decoder_parse(b->decoder, span_of(b->block, b->len), &b->list.items[i], &b->event);
	if (b->event.n_parsed && b->event.n_parsed == b->event.n_values)
		check_parse_again(b);
	else
		ck_assert(b->source.format != FORMAT_TOWN || result != PARSE_EVENT || b->list.items[i].lines > 1);
	return result;
}

/* The first value, or what stands in the event itself; ptr NULL: it has none. */
static struct span value_of(const struct bench *b, field_id f)
{
	static char own[TIME_TEXT_SIZE];
	const struct value *v = event_first(&b->event, f);

	return v ? v->text : event_own(&b->event, f, own);
}

static struct span field_text(const struct bench *b, struct span name)
{
	struct span text = value_of(b, field_find(&b->fields, name));

	return text.ptr ? text : SPAN("");
}

/* Does the event hold what "field=value|-field" says? */
static void check_fields(const struct bench *b, const char *wants, const char *where)
{
	while (*wants) {
		size_t len = strcspn(wants, "|");
		const char *equals = memchr(wants, '=', len);
		struct span name = *wants == '-' ? span_of(wants + 1, len - 1) : span_of(wants, (size_t)(equals - wants)), got;
		field_id f = field_find(&b->fields, name);

		if (*wants == '-') {
			ck_assert_msg(!value_of(b, f).ptr, "%s: has %.*s", where, (int)name.len, name.ptr);
		} else {
			struct span want = span_of(equals + 1, len - name.len - 1);

			got = field_text(b, name);
			ck_assert_msg(value_of(b, f).ptr, "%s: no %.*s", where, (int)name.len, name.ptr);
			ck_assert_msg(span_equal(got, want), "%s: %.*s is \"%.*s\", not \"%.*s\"", where, (int)name.len, name.ptr,
				      (int)got.len, got.ptr, (int)want.len, want.ptr);
		}
		wants += len + (wants[len] == '|');
	}
}

/* ---- lines ---- */

#define EVENT PARSE_EVENT
#define NOTHING PARSE_NOTHING
#define UNPARSED PARSE_UNPARSED

/* Zone New York; mtime 2026-03-01. The first record is looked at. */
static const struct {
	enum format format;
	const char *text;
	enum parse_result result;
	const char *fields;
} lines[] = {
	/* town */
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill] icecream/polecats/furiosa killed (self-clean: done means gone)\n", EVENT,
	  "time=2026-01-22T21:07:59Z|source=town|type=kill|agent=icecream/furiosa|agent_raw=icecream/polecats/furiosa|rig=icecream|"
	  "role=polecat|name=furiosa|reason=self-clean: done means gone|message=killed (self-clean: done means gone)|-continuation" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill] prajna/witness killed\r\n", EVENT,
	  "type=kill|agent=prajna/witness|role=witness|message=killed|-reason" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill] mayor killed (a (b) c)\n", EVENT, "agent=mayor|-rig|reason=a (b) c" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill] hq-mayor killed (cut of", EVENT, "agent=mayor|agent_raw=hq-mayor|reason=cut of" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill]  killed (x)\n", EVENT, "type=kill|-agent|reason=x" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [spawn] r/polecats/n spawned for ic-12\n", EVENT, "type=spawn|agent=r/n|bead=ic-12" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [spawn] r/polecats/n spawned\n", EVENT, "type=spawn|agent=r/n|-bead" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [wake] r/n resumed (ping)\n", EVENT, "reason=ping" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged with \"[from careops/crew/klip] session-started\"\n", EVENT,
	  "type=nudge|agent=deacon|target=deacon|from=careops/klip|message=[from careops/crew/klip] session-started|-reason" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] mayor/ nudged with \"a \\\"b\\\" \\\\ \\x41\\u00e9\\t\\101\\U0001f600\"\n", EVENT,
	  "agent=mayor|target=mayor|message=a \"b\" \\ A\xc3\xa9\tA\xf0\x9f\x98\x80|-from" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged with \"cut \\xe2\\x80...\"\n", EVENT, "message=cut \xe2\x80..." },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged with \"bad \\q \\x4 \\u12 \\777 \\ud800 \\\"\n", EVENT,
	  "message=bad \\q \\x4 \\u12 \\777 \\ud800 \\" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged with \"\\n2026-01-22 16:07:59 [kill] mayor killed\"\n", EVENT,
	  "type=nudge|agent=deacon|message=\n2026-01-22 16:07:59 [kill] mayor killed" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged\n", EVENT, "type=nudge|agent=deacon|target=deacon|message=nudged" },
	/* A newline where the fork has a name: what is behind it is of no form. */
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] mayor/ nudged a/b\nc with \"go on\"\n", EVENT, "type=nudge|agent=mayor|message=nudged a/b\nc with \"go on\"" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] mayor/ nudged gastown/polecats/shale with \"go on\"\n", EVENT,
	  "type=nudge|agent=gastown/shale|agent_raw=gastown/polecats/shale|target=gastown/shale|from=mayor|message=go on" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [nudge] deacon nudged with \"x nudged mayor with \\\"y\\\"\"\n", EVENT,
	  "agent=deacon|message=x nudged mayor with \"y\"" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [handoff] icecream/witness handed off (Witness cycle)\n", EVENT,
	  "type=handoff|agent=icecream/witness|reason=Witness cycle" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [handoff] deacon handed off (first line\nsecond [kill] line\n)\n", EVENT,
	  "type=handoff|agent=deacon|reason=first line\nsecond [kill] line\n|continuation=second [kill] line\n)" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [handoff] deacon handed off (one\r\ntwo)\r\n", EVENT, "reason=one\ntwo" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [handoff-NOPERSIST] r/witness handoff FAILED (Dolt persistence) (S \xe2\x80\x94 error: E)\n",
	  EVENT, "type=handoff-NOPERSIST|agent=r/witness|reason=S \xe2\x80\x94 error: E" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [done] icecream/furiosa completed ic-mu4y\n", EVENT, "type=done|bead=ic-mu4y" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [done] icecream/furiosa completed work\n", EVENT, "type=done|-bead" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [done] icecream/furiosa completed exited normally\n", EVENT, "type=done|-bead" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [crash] r/polecats/n exited unexpectedly (exit code -9 (session: gt-r-n))\n", EVENT,
	  "type=crash|exit_code=-9|session=gt-r-n|reason=exit code -9 (session: gt-r-n)" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [session_death] r/n exited (crashed with exit code 42)\n", EVENT,
	  "type=session_death|agent=r/n|exit_code=42|reason=crashed with exit code 42" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [session_death] r/n session terminated (zombie cleanup)\n", EVENT, "reason=zombie cleanup" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [mass_death] daemon MASS SESSION DEATH (3 in 5s)\n", EVENT, "agent=daemon|reason=3 in 5s" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [callback] r/witness callback: POLECAT_DONE\n", EVENT, "reason=POLECAT_DONE" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [polecat_checked] r/witness checked polecat n\n", EVENT, "agent=r/witness|reason=n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [merge_won] r/refinery merge_won (mr-1)\n", EVENT, "type=merge_won|agent=r/refinery|reason=mr-1" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [custom] someone custom\n", EVENT, "agent=someone|message=custom" },
	{ FORMAT_TOWN, "2026-03-24 10:00:00 [DOLT-HEARTBEAT-CRITICAL] Dolt WRITE FAILED: x\n", EVENT,
	  "time=2026-03-24T14:00:00Z|type=DOLT-HEARTBEAT-CRITICAL|-agent|message=Dolt WRITE FAILED: x" },
	{ FORMAT_TOWN, "\x1b[32m2026-01-22 16:07:59 [kill] \x1b[1mmayor\x1b[0m killed (x)\x1b[0m\n", EVENT,
	  "time=2026-01-22T21:07:59Z|type=kill|agent=mayor|reason=x|raw=2026-01-22 16:07:59 [kill] mayor killed (x)" },
	{ FORMAT_TOWN, "2026-01-22T21:07:59Z [kill] mayor killed (x)\n", EVENT, "time=2026-01-22T21:07:59Z|type=kill" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 no type\n", UNPARSED, "message=2026-01-22 16:07:59 no type|time=2026-01-22T21:07:59Z|-type" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill]\n", UNPARSED, "-type" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [] mayor killed\n", UNPARSED, "-type" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [kill\nx] mayor killed\n", UNPARSED, "-type" },
	{ FORMAT_TOWN, "half a line\n", UNPARSED, "message=half a line" },
	{ FORMAT_TOWN, "\n", NOTHING, "" },
	/* events */
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T18:52:51Z\",\"source\":\"gt\",\"type\":\"kill\",\"actor\":\"gt\",\"payload\":{\"reason\":\"gt stop\","
	  "\"rig\":\"10x\",\"target\":\"furiosa\"},\"visibility\":\"feed\"}\n", EVENT,
	  "time=2026-01-03T18:52:51Z|source=events|record.source=gt|type=kill|actor=gt|agent=10x/furiosa|agent_raw=furiosa|rig=10x|"
	  "target=10x/furiosa|reason=gt stop|payload.reason=gt stop|visibility=feed|ts=2026-01-03T18:52:51Z" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T18:52:51Z\",\"type\":\"kill\",\"actor\":\"gt\",\"payload\":{\"rig\":\"\",\"target\":\"mayor\"}}\n",
	  EVENT, "agent=mayor|-rig" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T18:52:51Z\",\"type\":\"kill\",\"actor\":\"gt\",\"payload\":{\"rig\":\"r\",\"target\":\"witness\"}}\n",
	  EVENT, "agent=r/witness|role=witness|rig=r" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-22T21:07:59Z\",\"type\":\"session_death\",\"actor\":\"daemon\",\"payload\":{\"agent\":\"r/polecats/n\","
	  "\"caller\":\"daemon\",\"reason\":\"zombie cleanup\",\"session\":\"gt-r-n\"}}\n", EVENT,
	  "agent=r/n|actor=daemon|role=polecat|rig=r|session=gt-r-n|reason=zombie cleanup|message=zombie cleanup" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"nudge\",\"actor\":\"gt\",\"payload\":{\"reason\":\"[from r/crew/k] "
	  "session-started\",\"rig\":\"\",\"target\":\"deacon/\"}}\n", EVENT,
	  "agent=deacon|target=deacon|from=r/k|actor=gt|message=[from r/crew/k] session-started" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"nudge\",\"actor\":\"mayor/\",\"payload\":{\"reason\":\"hi\",\"target\":\"r/n\"}}\n",
	  EVENT, "agent=r/n|from=mayor|rig=r" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"spawn\",\"actor\":\"gt\",\"payload\":{\"polecat\":\"n\",\"rig\":\"r\"}}\n", EVENT,
	  "agent=r/n|rig=r|actor=gt" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"sling\",\"actor\":\"mayor\",\"payload\":{\"bead\":\"b-1\",\"target\":"
	  "\"r/polecats/n\"}}\n", EVENT, "agent=mayor|target=r/n|bead=b-1|-rig" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"mail\",\"actor\":\"mayor/\",\"payload\":{\"subject\":\"S\",\"to\":\"r/witness\"}}\n",
	  EVENT, "agent=mayor|agent_raw=mayor/|target=r/witness|message=S" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"handoff\",\"actor\":\"r/witness\",\"payload\":{\"subject\":\"S\","
	  "\"to_session\":true}}\n", EVENT, "agent=r/witness|reason=S|message=S|payload.to_session=true" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"session_start\",\"actor\":\"r/witness\",\"payload\":{\"session_id\":\"u-1\","
	  "\"cwd\":\"/x\",\"topic\":\"patrol\"}}\n", EVENT, "agent=r/witness|session=u-1|payload.cwd=/x|message=patrol" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"boot\",\"actor\":\"gt\",\"payload\":{\"agents\":[\"dolt\",\"mayor\"],"
	  "\"rig\":\"town\"}}\n", EVENT, "payload.agents=dolt|rig=town|agent=gt" },
	{ FORMAT_EVENTS, "{\"type\":\"x\",\"ts\":\"2026-01-03T17:12:14.5+01:00\"}\n", EVENT, "time=2026-01-03T16:12:14.500Z|type=x" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"ki\\u006cl\",\"payload\":{\"target\":\"r\\/n\"}}\n", EVENT, "type=kill|agent=r/n" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"kill\",\"payload\":null}\n", EVENT, "type=kill|-agent" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T17:12:14Z\",\"type\":\"kill\",\"actor\":\"gt\"\n", UNPARSED, "time=2026-01-03T17:12:14Z|-type|-actor" },
	{ FORMAT_EVENTS, "{\"type\":\"kill\"} trailing\n", UNPARSED, "-type" },
	{ FORMAT_EVENTS, "not json\n", UNPARSED, "message=not json" },
	{ FORMAT_EVENTS, "\n", NOTHING, "" },
	/* daemon */
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Deacon heartbeat is stale (5h2m0s old), checking session...\n", EVENT,
	  "time=2026-01-23T22:26:50Z|type=deacon_stale|agent=deacon|age=18120|message=Deacon heartbeat is stale (5h2m0s old), checking session..." },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Deacon stuck for 5h2m0s - restarting session\n", EVENT, "type=deacon_restarting|agent=deacon|age=18120" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Deacon stuck for 16m0s - nudging session\n", EVENT, "type=deacon_nudged|age=960" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 STUCK DEACON: heartbeat stale for 5h2m, session hq-deacon needs restart\n", EVENT,
	  "type=stuck_deacon|age=18120|-component" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Refinery session for icecream started successfully\n", EVENT,
	  "type=session_started|agent=icecream/refinery|rig=icecream|role=refinery" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Error creating witness session for r: session already exists\n", EVENT,
	  "type=session_exists|agent=r/witness|level=Error" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Error creating witness session for r: no tmux\n", EVENT, "type=session_failed|agent=r/witness|reason=no tmux" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Error starting Deacon: creating tmux session: \"x\n\nI am Deacon. [kill] mayor killed\"\n", EVENT,
	  "type=session_failed|agent=deacon|reason=creating tmux session: \"x|continuation=\nI am Deacon. [kill] mayor killed\"" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 CRASH DETECTED: polecat r/n has hook_bead=b-1 but session gt-r-n is dead\n", EVENT,
	  "type=crash_detected|agent=r/n|bead=b-1|session=gt-r-n|rig=r|-component" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 MASS DEATH DETECTED: 5 sessions died in 30s: [a b]\n", EVENT, "type=mass_death|count=5|reason=[a b]" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Reaping idle polecat r/n (state=working-no-hook, idle 20m0s, threshold 15m0s)\n", EVENT,
	  "type=reaping|agent=r/n|state=working-no-hook|age=1200" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Deacon is in crash loop, skipping restart (use 'x')\n", EVENT, "type=crash_loop|agent=deacon" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Deacon is in crash-loop state, skipping heartbeat kill check\n", EVENT, "type=crash_loop" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Heartbeat complete (#12)\n", EVENT, "type=heartbeat_complete|count=12" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Daemon starting (PID 4242)\n", EVENT, "type=daemon_starting|pid=4242" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Cleanup: PID 77 (claude) survived SIGKILL\n", EVENT,
	  "type=sigkill_survived|pid=77|program=claude|component=Cleanup" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Sent SIGTERM to PID 77 (claude)\n", EVENT, "pid=77|-type" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 Convoy: hq beads store unavailable: dolt circuit breaker is open: x\n", EVENT,
	  "type=dolt_unavailable|component=Convoy" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50.123456 Daemon stopped\n", EVENT, "time=2026-01-23T22:26:50.123456Z|type=daemon_stopped" },
	{ FORMAT_DAEMON, "2026/01/23 17:26:50 \n", EVENT, "message=|-type" },
	{ FORMAT_DAEMON, "no stamp yet\n", EVENT, "message=no stamp yet|time=2026-03-01T00:00:00Z" },
	/* overseer and guardian */
	{ FORMAT_GUARDIAN, "Feb 17 05:12:01 host user: GT-GUARDIAN: Runaway pytest detected PID=4242 runtime=1860s\n", EVENT,
	  "time=2026-02-17T10:12:01Z|host=host|program=user|component=GT-GUARDIAN|type=runaway|pid=4242|runtime=1860|"
	  "message=GT-GUARDIAN: Runaway pytest detected PID=4242 runtime=1860s" },
	{ FORMAT_GUARDIAN, "GT-GUARDIAN: Runaway pytest detected PID=4242 runtime=1860s\n", EVENT,
	  "time=2026-03-01T00:00:00Z|component=GT-GUARDIAN|type=runaway|pid=4242|runtime=1860|-program" },
	{ FORMAT_OVERSEER, "\xe2\x9a\xa0\xef\xb8\x8f  RUNAWAY: PID 4242 (1860s) - python -m pytest tests/\n", EVENT,
	  "type=runaway|pid=4242|runtime=1860|command=python -m pytest tests/|-agent" },
	{ FORMAT_OVERSEER, "   \xe2\x9c\x93 Killed PID 4242\n", EVENT, "type=killed|pid=4242" },
	{ FORMAT_OVERSEER, "[2026-02-10 12:00:00] Daemon not running - attempting restart\n", EVENT,
	  "time=2026-02-10T17:00:00Z|type=restarting|message=Daemon not running - attempting restart|-level|-component" },
	{ FORMAT_OVERSEER, "[2026-02-10T12:05:00+00:00] ERROR: daemon crashed 11 times in 300s, giving up\n", EVENT,
	  "time=2026-02-10T12:05:00Z|level=ERROR|type=restart_failed|message=daemon crashed 11 times in 300s, giving up" },
	{ FORMAT_OVERSEER, "[dolt-heartbeat] 2026-03-24 10:00:00 ERROR: Dolt commit gap: 75 minutes since last commit\n", EVENT,
	  "time=2026-03-24T14:00:00Z|component=dolt-heartbeat|level=ERROR|type=commit_gap" },
	{ FORMAT_OVERSEER, "[stuck-agent-dog]   STUCK: Deacon heartbeat stale (1500s old, >20m threshold)\n", EVENT,
	  "component=stuck-agent-dog|type=stuck|agent=deacon|age=1500|-runtime" },
	{ FORMAT_OVERSEER, "2026-02-17 08:44:02,123 - overseer - WARNING - mcp_memory/refinery stuck for 45m\n", EVENT,
	  "time=2026-02-17T13:44:02.123Z|component=overseer|level=WARNING|type=stuck|agent=mcp_memory/refinery|rig=mcp_memory|role=refinery|"
	  "runtime=2700|message=mcp_memory/refinery stuck for 45m" },
	{ FORMAT_OVERSEER, "{\"ts\":\"2026-02-10T06:05:42Z\",\"level\":\"ERROR\",\"component\":\"handoff\",\"message\":\"r/witness is stuck\"}\n",
	  EVENT, "time=2026-02-10T06:05:42Z|level=ERROR|component=handoff|type=stuck|agent=r/witness|message=r/witness is stuck" },
	{ FORMAT_OVERSEER, "{\"level\":\"ERROR\", broken stuck\n", EVENT, "message={\"level\":\"ERROR\", broken stuck|type=stuck|-level" },
	{ FORMAT_OVERSEER, "2026-02-17 08:44:02 [watch] [WARN] r/nux is idle\n", EVENT, "component=watch|level=WARN|agent=r/nux|message=r/nux is idle" },
	{ FORMAT_OVERSEER, "[watch] [2026-02-17 08:44:02 UTC] Restarting r/polecats/nux after 90s\n", EVENT,
	  "time=2026-02-17T08:44:02Z|component=watch|type=restarting|agent=r/nux|runtime=90" },
	{ FORMAT_OVERSEER, "2026-02-17T08:44:02Z No stuck agents found, 0 runaway\n", EVENT, "-type|-agent" },
	{ FORMAT_OVERSEER, "WARNING:root:refinery check of r/refinery\n", EVENT, "level=WARNING|component=root|agent=r/refinery|message=refinery check of r/refinery" },
	{ FORMAT_OVERSEER, "\x1b[31m2026-02-17 08:44:02\x1b[0m Error: x\n", EVENT, "time=2026-02-17T13:44:02Z|level=Error|message=x" },
	{ FORMAT_OVERSEER, "2026-02-17 08:44:02 Witness failed: tests/unit/a and /home/u/r/witness\n", EVENT,
	  "-host|-program|-agent|message=Witness failed: tests/unit/a and /home/u/r/witness" },
	{ FORMAT_OVERSEER, "2026-02-17 08:44:02 myhost cron[77]: job\n", EVENT, "host=myhost|program=cron|pid=77|message=job" },
	{ FORMAT_OVERSEER, "Tue Feb 17 08:44:02 UTC 2026: Mayor restarted\n", EVENT, "time=2026-02-17T08:44:02Z|type=restarted|agent=mayor" },
	{ FORMAT_OVERSEER, "  \t \n", NOTHING, "" },
	{ FORMAT_OVERSEER, "[]\n", EVENT, "message=[]" },
	/* syslog */
	{ FORMAT_SYSLOG, "<13>Feb 17 05:12:01 host gt[99]: GT-GUARDIAN: Killed runaway pytest PID 4242 after 1860s runtime\n", EVENT,
	  "time=2026-02-17T10:12:01Z|host=host|program=gt|component=GT-GUARDIAN|type=killed|pid=4242|runtime=1860" },
	{ FORMAT_SYSLOG, "2026-02-17T05:12:01.5+00:00 host sshd[99]: closed\n", EVENT, "time=2026-02-17T05:12:01.500Z|host=host|component=sshd|pid=99|message=closed" },
	{ FORMAT_SYSLOG, "<34>1 2026-02-17T05:12:01Z host app 99 ID47 [a@1 k=\"v]\\\"\"][b] hello\n", EVENT,
	  "host=host|program=app|pid=99|message=hello" },
	{ FORMAT_SYSLOG, "<34>1 2026-02-17T05:12:01Z - - - - - hello\n", EVENT, "-host|-program|-pid|message=hello" },
	{ FORMAT_SYSLOG, "Feb 17 05:12:01 host last message repeated 2 times\n", EVENT, "host=host|message=last message repeated 2 times" },
	{ FORMAT_SYSLOG, "no stamp\n", UNPARSED, "message=no stamp" },
	/* json */
	{ FORMAT_JSON, "{\"time\":\"2026-02-17T05:12:01Z\",\"msg\":\"m\",\"severity\":\"warn\",\"a\":{\"b\":[1,{\"c\":null}]},\"line\":7,\"agent\":\"hq-mayor\"}\n",
	  EVENT, "time=2026-02-17T05:12:01Z|message=m|level=warn|a.b=1|a.b.c=|record.line=7|agent=mayor|agent_raw=hq-mayor" },
	{ FORMAT_JSON, "{\"timestamp\":1771317842.25}\n", EVENT, "time=2026-02-17T08:44:02.250Z" },
	{ FORMAT_JSON, "{\"n\":1,\"ts\":1771317842250}\n", EVENT, "time=2026-02-17T08:44:02.250Z" },
	{ FORMAT_JSON, "{\"__REALTIME_TIMESTAMP\":\"1771317842250001\",\"MESSAGE\":\"m\",\"_PID\":\"12\",\"_HOSTNAME\":\"h\"}\n", EVENT,
	  "time=2026-02-17T08:44:02.250001Z|message=m|pid=12|host=h" },
	{ FORMAT_JSON, "{\"rig\":\"r\",\"agent\":\"s/n\"}\n", EVENT, "agent=s/n|rig=r" },
	{ FORMAT_JSON, "[1]\n", UNPARSED, "message=[1]" },
	/* text */
	{ FORMAT_TEXT, "2026-02-17 08:44:02 INFO starting\n", EVENT, "time=2026-02-17T13:44:02Z|level=INFO|message=starting" },
	{ FORMAT_TEXT, "2026-02-17 08:44:02 Info about it\n", EVENT, "-level|message=Info about it" },
	{ FORMAT_TEXT, "plain\n", EVENT, "message=plain" },
};

START_TEST(line)
{
	struct bench b;
	char where[100];

	bench_init(&b, lines[_i].format, "America/New_York", 0);
	decoder_begin_file(b.decoder, instant("2026-03-01T00:00:00Z"));
	frame_all(&b, span_from_string(lines[_i].text));
	ck_assert_uint_eq(b.list.n, 1);
	snprintf(where, sizeof where, "%.90s", lines[_i].text);
	ck_assert_msg(parse(&b, 0) == lines[_i].result, "%s", where);
	check_fields(&b, lines[_i].fields, where);
	bench_release(&b);
}
END_TEST

/* ---- framing ---- */

/* Which records a text has: "offset len lines line time flags" each; zone New York, mtime 2026-03-01, limit 64. */
static const struct {
	enum format format;
	const char *text, *want;
} frames[] = {
	{ FORMAT_TOWN, "", "" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n2026-01-22 16:08:01 [b] y", "0 25 1 0 2026-01-22T21:07:59Z S\n26 25 1 1 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n\nmore\n2026-01-22 16:08:01 [b] y\n", "0 31 3 0 2026-01-22T21:07:59Z S\n32 25 1 3 2026-01-22T21:08:01Z S\n" },
	/* the end of a record that began in an older file takes the first stamp, wherever that stands within the limit */
	{ FORMAT_TOWN, "half\n2026-01-22 16:08:01 [b] y", "0 4 1 0 2026-01-22T21:08:01Z -\n5 25 1 1 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TEXT, "01234567890123456789012345678901234567890123456789\n2026-01-22 16:08:01 b\n",
	  "0 50 1 0 2026-03-01T00:00:00Z -\n51 21 1 1 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TOWN, "half\n2026-01-22 16:08:01 [b] \\\n", "0 4 1 0 2026-01-22T21:08:01Z -\n5 25 1 1 2026-01-22T21:08:01Z SE\n" },
	/* stamps that are none continue a record */
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n2026-13-22 16:08:01 [b] y\n", "0 51 2 0 2026-01-22T21:07:59Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n2026-01-22 16:07:99 [b] y\n", "0 51 2 0 2026-01-22T21:07:59Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n2026-01-22 16:71:00 [b] y\n", "0 51 2 0 2026-01-22T21:07:59Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n2026-01-22 26:01:00 [b] y\n", "0 51 2 0 2026-01-22T21:07:59Z S\n" },
	/* the same minute in another zone */
	{ FORMAT_TOWN, "2026-01-22 16:07:59Z [a] x\n2026-01-22 16:07:59 [b] y\n", "0 26 1 0 2026-01-22T16:07:59Z S\n27 25 1 1 2026-01-22T21:07:59Z S\n" },
	/* the hour that stands twice: 01:30 EDT, 01:10 EST */
	{ FORMAT_TOWN, "2026-11-01 01:30:00 [a] x\n2026-11-01 01:10:00 [b] y\n2026-11-01 01:31:00 [b] y\n",
	  "0 25 1 0 2026-11-01T05:30:00Z S\n26 25 1 1 2026-11-01T06:10:00Z S\n52 25 1 2 2026-11-01T06:31:00Z S\n" },
	/* cut at 64 */
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] 0123456789012345678901234567890123456789\n2026-01-22 16:08:01 [b] y\n",
	  "0 64 1 0 2026-01-22T21:07:59Z S\n65 25 1 1 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] 0123456789012345678901234567890123456789\\\nmore\n2026-01-22 16:08:01 [b] y\n",
	  "0 64 1 0 2026-01-22T21:07:59Z SC\n71 25 1 2 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TOWN, "2026-01-22 16:07:59 [a] x\n01234567890123456789\n01234567890123456789\nmore\n2026-01-22 16:08:01 [b] y\n",
	  "0 64 3 0 2026-01-22T21:07:59Z SC\n73 25 1 4 2026-01-22T21:08:01Z S\n" },
	{ FORMAT_TEXT, "0123456789012345678901234567890123456789012345678901234567890123456789\nx\n",
	  "0 64 1 0 2026-03-01T00:00:00Z C\n71 1 1 1 2026-03-01T00:00:00Z -\n" },
	/* one line a record; a line without a stamp takes the one before it */
	{ FORMAT_TEXT, "a\n[2026-01-22 16:07:59] b\nc\r\n\n2026-01-22 16:07:58 d",
	  "0 1 1 0 2026-01-22T21:07:59Z -\n2 23 1 1 2026-01-22T21:07:59Z S\n26 2 1 2 2026-01-22T21:07:59Z -\n"
	  "29 0 1 3 2026-01-22T21:07:59Z -\n30 21 1 4 2026-01-22T21:07:58Z S\n" },
	/* New Year both ways; the first line is not younger than the file, though October is farther from March than the next October */
	{ FORMAT_TEXT, "Dec 31 23:59:59 a\nJan  1 00:00:00 b\nDec 31 23:59:58 c\n",
	  "0 17 1 0 2026-01-01T04:59:59Z S\n18 17 1 1 2026-01-01T05:00:00Z S\n36 17 1 2 2026-01-01T04:59:58Z S\n" },
	/* Escapes: of what no literal holds, of anything else, half of one, and colours. */
	{ FORMAT_TOWN, "2026-01-01 00:00:00 \\\" \\\\u0041 \\n\n2026-01-01 00:00:01 \\u0041\n2026-01-01 00:00:02 C:\\Users\n2026-01-01 00:00:03 \\\n2026-01-01 00:00:04 \033[0m\n",
	  "0 33 1 0 2026-01-01T05:00:00Z S\n34 26 1 1 2026-01-01T05:00:01Z SE\n61 28 1 2 2026-01-01T05:00:02Z SE\n90 21 1 3 2026-01-01T05:00:03Z SE\n112 24 1 4 2026-01-01T05:00:04Z SE\n" },
	{ FORMAT_TEXT, "May  1 00:00:00 a\n", "0 17 1 0 2025-05-01T04:00:00Z S\n" },
	{ FORMAT_EVENTS, "{\"ts\":\"2026-01-03T18:52:51Z\",\n{\"ts\":\"2026-01-03T18:52:52Z\"}\n{\"ts\":\"2026-01-03T18:52:52\"}\n",
	  "0 29 1 0 2026-01-03T18:52:51Z S\n30 29 1 1 2026-01-03T18:52:52Z S\n60 28 1 2 2026-01-03T23:52:52Z S\n" },
};

static void put_records(struct buffer *out, const struct record_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct record *r = &list->items[i];

		buffer_printf(out, "%u %u %u %u %s %s%s%s%s\n", r->offset, r->len, r->lines, r->line, utc_text(r->time_ns),
			      r->flags & RECORD_STAMPED ? "S" : "", r->flags & RECORD_CUT ? "C" : "",
			      r->flags & RECORD_ESCAPED ? "E" : "", r->flags ? "" : "-");
	}
}

START_TEST(frame)
{
	struct bench b;
	struct buffer got = BUFFER_INIT;

	bench_init(&b, frames[_i].format, "America/New_York", 64);
	decoder_begin_file(b.decoder, instant("2026-03-01T00:00:00Z"));
	frame_all(&b, span_from_string(frames[_i].text));
	put_records(&got, &b.list);
	buffer_append_char(&got, '\0');
	ck_assert_str_eq(got.data, frames[_i].want);
	buffer_release(&got);
	bench_release(&b);
}
END_TEST

/* What the random texts are made of. */
static const char *const pieces[] = {
	"2026-01-22 16:07:59 [kill] r/n killed (x)", "2026-01-22 16:07:5", "2026-11-01 01:30:0", "2026-11-01 01:10:00 [done] a completed work",
	"2026/01/23 17:26:50 Daemon running", "{\"ts\":\"2026-01-03T18:52:51Z\",\"type\":\"kill\"}", "{\"ts\":\"2026-", "[tag] ", "[2026-02-10 12:00:00] x",
	"Feb 17 05:12:01 host p[1]: m", "Dec 31 23:59:59 x", "Jan  1 00:00:01 x", "\n", "\n", "\n", "\n", "\r\n", "\\", "\x1b[1m", "\x1b", "word",
	"0123456789012345678901234567890123456789", " ", "\"", "}", "nudged with \"a\\n\"", "2026-01-22T16:07:59Z [kill] x",
};

static void random_text(struct buffer *out, size_t len)
{
	buffer_clear(out);
	while (out->len < len) {
		if (random_below(40) == 0)
			buffer_append_char(out, '\0');
		buffer_append_string(out, pieces[random_below((unsigned)COUNT(pieces))]);
	}
}

/* Records with places in the whole text, not in a block. */
static void put_absolute(struct buffer *out, const struct record_list *list, size_t at, uint64_t lines_before, const char *block)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct record *r = &list->items[i];

		buffer_printf(out, "%zu+%u line %llu+%u %lld %x %016llx\n", at + r->offset, r->len,
			      (unsigned long long)lines_before + r->line, r->lines, (long long)r->time_ns, (unsigned)r->flags,
			      (unsigned long long)hash_bytes(block + r->offset, r->len, 0));
	}
}

static void put_stats(struct buffer *out, const struct decoder *d)
{
	const struct decoder_stats *s = decoder_stats(d);

	buffer_printf(out, "bytes %llu lines %llu records %llu cut %llu nul %llu newest %lld\n", (unsigned long long)s->bytes,
		      (unsigned long long)s->lines, (unsigned long long)s->records, (unsigned long long)s->cut,
		      (unsigned long long)s->nul_bytes, (long long)decoder_newest(d));
}

/* Frames the text in random pieces, as a reader would; restart: with a fresh decoder from the saved state now and then. */
static void frame_in_pieces(struct bench *b, struct span text, unsigned max_piece, bool restart, struct buffer *out)
{
	size_t at = 0, end = 0;
	uint64_t lines_before = 0, lines_carried = 0; /* a fresh decoder counts from 0 */

	while (at < text.len || end < text.len) {
		size_t used;
		char *block;

		end += 1 + random_below(max_piece);
		if (end > text.len)
			end = text.len;
		block = with_margin(text.ptr + at, end - at);
		lines_before = lines_carried + decoder_stats(b->decoder)->lines;
		used = decoder_frame(b->decoder, span_of(block, end - at), end == text.len, &b->list);
		ck_assert_uint_le(used, end - at);
		put_absolute(out, &b->list, at, lines_before, block);
		at += used;
		free(block);
		ck_assert_uint_le(end - at, 2 * 64 + 1); /* a record of the limit, a newline, and as much of the next line */
		if (end == text.len)
			break;
		if (restart && random_below(4) == 0) {
			struct buffer saved = BUFFER_INIT;
			struct codec_reader in;

			lines_carried += decoder_stats(b->decoder)->lines;
			decoder_save(b->decoder, &saved);
			decoder_free(b->decoder);
			b->decoder = decoder_new(&b->source, &b->fields, zone_get("America/New_York"), 64);
			decoder_begin_file(b->decoder, instant("2026-03-01T00:00:00Z"));
			in = (struct codec_reader){ saved.data, saved.data + saved.len, false };
			ck_assert(decoder_load(b->decoder, &in));
			ck_assert_ptr_eq(in.ptr, in.end);
			buffer_release(&saved);
			end = at; /* what was not used up is read again */
		}
	}
	ck_assert_uint_eq(at, text.len);
}

static const enum format line_formats[] = { FORMAT_TOWN, FORMAT_EVENTS, FORMAT_DAEMON, FORMAT_OVERSEER, FORMAT_SYSLOG, FORMAT_JSON, FORMAT_TEXT };

START_TEST(chunks_do_not_matter)
{
	struct buffer text = BUFFER_INIT, whole = BUFFER_INIT, cut = BUFFER_INIT;

	random_state = (uint64_t)_i + 1;
	for (int round = 0; round < 300; round++) {
		struct bench b;

		random_text(&text, 1 + random_below(1500));
		buffer_clear(&whole);
		cpu_limit = CPU_LEVELS - 1;
		bench_init(&b, line_formats[_i], "America/New_York", 64);
		decoder_begin_file(b.decoder, instant("2026-03-01T00:00:00Z"));
		frame_all(&b, buffer_span(&text));
		put_absolute(&whole, &b.list, 0, 0, b.block);
		for (int restart = 0; restart < 2; restart++) {
			static const unsigned sizes[] = { 1, 3, 17, 70, 400 };
			struct bench c;

			buffer_clear(&cut);
			cpu_limit = (enum cpu_level)((round + restart) % CPU_LEVELS); /* nor does what the machine can do */
			bench_init(&c, line_formats[_i], "America/New_York", 64);
			decoder_begin_file(c.decoder, instant("2026-03-01T00:00:00Z"));
			frame_in_pieces(&c, buffer_span(&text), restart ? 200 : sizes[random_below(5)], restart, &cut);
			ck_assert_str_eq(buffer_string(&cut), buffer_string(&whole));
			if (!restart) {
				struct buffer s = BUFFER_INIT, t = BUFFER_INIT;

				put_stats(&s, b.decoder);
				put_stats(&t, c.decoder);
				ck_assert_str_eq(buffer_string(&s), buffer_string(&t));
				buffer_release(&s);
				buffer_release(&t);
			}
			bench_release(&c);
		}
		bench_release(&b);
	}
	buffer_release(&text);
	buffer_release(&whole);
	buffer_release(&cut);
}
END_TEST

/* Which records may hold text that does not stand in them verbatim: said by going through them byte by byte. */
static bool holds_escape(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\x1b')
			return true;
		if (s.ptr[i] == '\\' && (++i == s.len || !s.ptr[i] || !strchr("\"\\ntrbfva", s.ptr[i])))
			return true;
	}
	return false;
}

START_TEST(escapes_are_flagged)
{
	static const char *const parts[] = { "\\", "\\\\", "\"", "n", "x", "\n", "\n2026-01-22 16:07:59 [kill] x", "\\\"", "\\n", "\\u0041", "\x1b", "plain text of some length", "" };
	unsigned n_flagged = 0, n_plain = 0;

	random_state = 4711;
	for (int round = 0; round < 2000; round++) {
		struct buffer text = BUFFER_INIT;
		size_t len = 1 + random_below(random_below(8) ? 300 : 9000);
		struct bench b;

		cpu_limit = (enum cpu_level)(round % CPU_LEVELS);
		while (text.len < len) {
			const char *part = parts[random_below((unsigned)COUNT(parts))];

			buffer_append_string(&text, "2026-01-22 16:07:58 [nudge] x ");
			for (unsigned i = random_below(60); i; i--)
				buffer_append_char(&text, 'k');
			buffer_append_string(&text, part);
			if (random_below(3) == 0)
				buffer_append_string(&text, parts[random_below((unsigned)COUNT(parts))]);
			if (random_below(3))
				buffer_append_char(&text, '\n');
		}
		bench_init(&b, FORMAT_TOWN, "UTC", RECORD_LIMIT_DEFAULT);
		len = text.len;
		for (int i = 0; i < 64; i++)
			buffer_append_char(&text, '"'); /* what stands behind the end makes no escape plain */
		ck_assert_uint_eq(decoder_frame(b.decoder, span_of(text.data, len), true, &b.list), len);
		for (size_t i = 0; i < b.list.n; i++) {
			bool flagged = b.list.items[i].flags & RECORD_ESCAPED;

			ck_assert_int_eq(flagged, holds_escape(span_of(text.data + b.list.items[i].offset, b.list.items[i].len)));
			n_flagged += flagged;
			n_plain += !flagged;
			b.list.n_escaped -= flagged;
		}
		ck_assert_uint_eq(b.list.n_escaped, 0);
		bench_release(&b);
		buffer_release(&text);
	}
	ck_assert(n_flagged > 1000 && n_plain > 1000);
}
END_TEST

/* A line of many times the limit, in small pieces: given once, cut, and nothing of it is kept. */
START_TEST(endless_lines_are_skipped)
{
	static const enum format formats[] = { FORMAT_TOWN, FORMAT_TEXT };
	struct bench b;
	char *block;
	size_t given = 0;

	bench_init(&b, formats[_i], "UTC", 4096);
	block = xmalloc(8192 + MARGIN);
	memset(block, 'x', 8192 + MARGIN);
	memcpy(block, "2026-01-22 16:07:59 [kill] ", 27);
	for (int i = 0; i < 1000; i++) {
		size_t used = decoder_frame(b.decoder, span_of(block, 8192), false, &b.list);

		given += b.list.n;
		ck_assert_uint_eq(used, 8192);
		memset(block, 'x', 100);
	}
	block[0] = '\n';
	memcpy(block + 1, "2026-01-22 16:08:00 [a] ", 24);
	ck_assert_uint_eq(decoder_frame(b.decoder, span_of(block, 100), true, &b.list), 100);
	ck_assert_uint_eq(b.list.n, 1);
	ck_assert_str_eq(utc_text(b.list.items[0].time_ns), "2026-01-22T16:08:00Z");
	ck_assert_uint_eq(b.list.items[0].line, 1);
	ck_assert_uint_eq(given, 1);
	ck_assert_uint_eq(decoder_stats(b.decoder)->cut, 1);
	ck_assert_uint_eq(decoder_stats(b.decoder)->lines, 2);
	free(block);
	bench_release(&b);
}
END_TEST

/* A line of which only a part is there yet, behind a whole one: what it says of its time is what the whole line says, or it says nothing. */
static const struct {
	enum format format;
	const char *before, *text;
	size_t stamped_from; /* with so many bytes it has said its time */
} begun_lines[] = {
	{ FORMAT_OVERSEER, "2026-04-28 18:46:50,000 - overseer - INFO - a\n", "2026-04-28 18:46:58,972 - overseer - WARNING - alpha/refinery stuck", 27 },
	{ FORMAT_TEXT, "2026-04-28 18:46:50.000+02:00 a\n", "2026-04-28 18:46:58.972+02:00 WARNING stuck", 31 },
	{ FORMAT_TEXT, "2026-04-28T18:46:50-0300 a\n", "2026-04-28T18:46:58-0300 stuck", 26 },
	{ FORMAT_TOWN, "2026-04-28 18:46:50 [done] a/b done\n", "2026-04-28 18:46:58 [kill] alpha/refinery killed (stuck)", 21 },
	{ FORMAT_DAEMON, "2026/04/28 18:46:50 a\n", "2026/04/28 18:46:58 Daemon starting (PID 4000)", 21 },
};

START_TEST(begun_line)
{
	struct span before = span_from_string(begun_lines[_i].before), text = span_from_string(begun_lines[_i].text);
	char both[200];
	struct bench b;

	memcpy(both, before.ptr, before.len);
	memcpy(both + before.len, text.ptr, text.len);
	bench_init(&b, begun_lines[_i].format, "UTC", 0);
	frame_all(&b, span_of(both, before.len + text.len));
	ck_assert_uint_eq(b.list.n, 2);
	const int64_t time_ns = b.list.items[1].time_ns;
	bench_release(&b);
	for (size_t len = 1; len <= text.len; len++) {
		int64_t rest_ns, open_ns;
		bench_init(&b, begun_lines[_i].format, "UTC", 0);
		b.block = with_margin(both, before.len + len);
		struct span block = span_of(b.block, before.len + len);
		size_t used = decoder_frame(b.decoder, block, false, &b.list);
		enum decoder_rest rest = decoder_rest(b.decoder, span_from(block, used), &rest_ns, &open_ns);
		if (rest == REST_LINE)
			ck_assert_msg(rest_ns == time_ns, "%.*s: %s", (int)len, text.ptr, utc_text(rest_ns));
		else
			ck_assert_int_eq(rest, REST_PIECE);
		/* Later digits and blanks may be a stamp's, too: who knows. */
		if (len <= begun_lines[_i].stamped_from)
			ck_assert_msg((rest == REST_LINE) == (len == begun_lines[_i].stamped_from), "%.*s: %d", (int)len, text.ptr, (int)rest);
		else
			ck_assert_msg(rest == REST_LINE, "%.*s: %d", (int)len, text.ptr, (int)rest);
		bench_release(&b);
	}
}
END_TEST

START_TEST(arrival_stands_in_for_a_stamp)
{
	struct bench b;

	bench_init(&b, FORMAT_TEXT, "UTC", 0);
	frame_all(&b, SPAN("a\n"));
	ck_assert_int_eq(b.list.items[0].time_ns, TIME_NONE);
	ck_assert_int_eq(decoder_newest(b.decoder), TIME_NONE);
	ck_assert_int_eq(parse(&b, 0), PARSE_EVENT);
	check_fields(&b, "message=a|-time", "");
	decoder_begin_file(b.decoder, instant("2026-03-01T00:00:00Z"));
	frame_all(&b, SPAN("a\n"));
	ck_assert_str_eq(utc_text(b.list.items[0].time_ns), "2026-03-01T00:00:00Z");
	decoder_set_arrival(b.decoder, instant("2026-03-02T00:00:00Z"));
	frame_all(&b, SPAN("a\n"));
	ck_assert_str_eq(utc_text(b.list.items[0].time_ns), "2026-03-02T00:00:00Z");
	frame_all(&b, SPAN("2026-02-02 00:00:00 b\nc\n"));
	ck_assert_str_eq(utc_text(b.list.items[1].time_ns), "2026-02-02T00:00:00Z");
	decoder_set_arrival(b.decoder, instant("2026-03-03T00:00:00Z"));
	frame_all(&b, SPAN("d\n"));
	ck_assert_str_eq(utc_text(b.list.items[0].time_ns), "2026-02-02T00:00:00Z");
	bench_release(&b);
}
END_TEST

START_TEST(damaged_state_is_refused)
{
	struct bench b;
	struct buffer saved = BUFFER_INIT;

	bench_init(&b, FORMAT_TOWN, "UTC", 0);
	frame_all(&b, SPAN("2026-01-22 16:07:59 [a] x\n"));
	decoder_save(b.decoder, &saved);
	for (size_t n = 0; n < saved.len; n++) {
		struct bench c;
		struct codec_reader in = { saved.data, saved.data + n, false };

		bench_init(&c, FORMAT_TOWN, "UTC", 0);
		ck_assert(!decoder_load(c.decoder, &in));
		bench_release(&c);
	}
	buffer_release(&saved);
	bench_release(&b);
}
END_TEST

/* ---- JSON ---- */

static const struct {
	const char *text, *want; /* "name=text;…" of all leaves; NULL: damaged */
} jsons[] = {
	{ "{}", "" },
	{ " { \"a\" : 1 , \"b\" : [ ] , \"c\" : { } } \r\n", "a=1;" },
	{ "{\"a\":{\"b\":1},\"c\":[{\"d\":\"x\"},{\"d\":\"y\"}],\"e\":[[1],[2,[3]]]}", "a.b=1;c.d=x;c.d=y;e=1;e=2;e=3;" },
	{ "{\"a\":true,\"b\":false,\"c\":null,\"d\":-0.5e+10,\"e\":0}", "a=true;b=false;c=;d=-0.5e+10;e=0;" },
	{ "{\"a\\u0041\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "aA=\"\\/\b\f\n\r\t;" },
	{ "{\"a\":\"\\ud83d\\ude00\\ud83d\\u0041\\ude00\"}", "a=\xf0\x9f\x98\x80\xef\xbf\xbd" "A\xef\xbf\xbd;" },
	{ "{\"\":1,\"a.b\":2}", "=1;a.b=2;" },
	{ "{\"a\":\"\xff\xfe\"}", "a=\xff\xfe;" },
	{ "{\"a\":\"0123456789012345678901234567890\\n1234567890123456789\"}", "a=0123456789012345678901234567890\n1234567890123456789;" },
	{ "", NULL },
	{ "x", NULL },
	{ "[]", NULL },
	{ "\"a\"", NULL },
	{ "{", NULL },
	{ "{\"a\"", NULL },
	{ "{\"a\":", NULL },
	{ "{\"a\":1", NULL },
	{ "{\"a\":1,", NULL },
	{ "{\"a\":1,}", NULL },
	{ "{,}", NULL },
	{ "{\"a\":[1,]}", NULL },
	{ "{\"a\":[1}", NULL },
	{ "{\"a\" 1}", NULL },
	{ "{a:1}", NULL },
	{ "{\"a\":1}}", NULL },
	{ "{\"a\":1}{}", NULL },
	{ "{\"a\":01}", NULL },
	{ "{\"a\":1.}", NULL },
	{ "{\"a\":.5}", NULL },
	{ "{\"a\":+1}", NULL },
	{ "{\"a\":1e}", NULL },
	{ "{\"a\":-}", NULL },
	{ "{\"a\":tru}", NULL },
	{ "{\"a\":True}", NULL },
	{ "{\"a\":NaN}", NULL },
	{ "{\"a\":\"\\x\"}", NULL },
	{ "{\"a\":\"\\u12\"}", NULL },
	{ "{\"a\":\"\\u12g4\"}", NULL },
	{ "{\"a\":\"\t\"}", NULL },
	{ "{\"a\":\"b", NULL },
	{ "{\"a\":\"b\\", NULL },
	{ "{\"a\":'b'}", NULL },
};

static bool json_text(struct span text, struct buffer *out)
{
	struct json_scanner s;
	struct json_leaf leaf;
	struct arena arena = ARENA_INIT;
	enum json_result result;

	json_scan(&s, text);
	while ((result = json_next(&s, &leaf)) == JSON_LEAF) {
		buffer_append_span(out, leaf.name);
		buffer_append_char(out, '=');
		buffer_append_span(out, json_leaf_text(&leaf, &arena));
		buffer_append_char(out, ';');
	}
	arena_release(&arena);
	return result == JSON_END;
}

START_TEST(json_line)
{
	struct buffer got = BUFFER_INIT;
	size_t len = strlen(jsons[_i].text);
	char *copy = xmalloc(len + !len);
	bool ok;

	memcpy(copy, jsons[_i].text, len);
	ok = json_text(span_of(copy, len), &got);
	ck_assert_msg(ok == (jsons[_i].want != NULL), "%s", jsons[_i].text);
	if (ok)
		ck_assert_str_eq(buffer_string(&got), jsons[_i].want);
	buffer_release(&got);
	free(copy);
}
END_TEST

START_TEST(json_limits)
{
	struct buffer text = BUFFER_INIT, got = BUFFER_INIT;

	for (int depth = JSON_DEPTH_LIMIT - 1; depth <= JSON_DEPTH_LIMIT; depth++) {
		buffer_clear(&text);
		buffer_append_string(&text, "{\"a\":");
		for (int i = 0; i < depth; i++)
			buffer_append_char(&text, '[');
		buffer_append_char(&text, '1');
		for (int i = 0; i < depth; i++)
			buffer_append_char(&text, ']');
		buffer_append_char(&text, '}');
		ck_assert_int_eq(json_text(buffer_span(&text), &got), depth < JSON_DEPTH_LIMIT);
	}
	/* A name that is too long is left out, with all below it; its neighbours stay. */
	buffer_clear(&text);
	buffer_clear(&got);
	buffer_append_string(&text, "{\"a\":{\"");
	for (int i = 0; i < JSON_NAME_LIMIT; i++)
		buffer_append_char(&text, 'n');
	buffer_append_string(&text, "\":{\"b\":1,\"\":2},\"c\":3}}");
	ck_assert(json_text(buffer_span(&text), &got));
	ck_assert_str_eq(buffer_string(&got), "a.c=3;");
	buffer_release(&text);
	buffer_release(&got);
}
END_TEST

/* ---- agents, events, fields ---- */

static const struct {
	const char *text, *normal, *rig, *role, *name;
} agents[] = {
	{ "careops/rust", "careops/rust", "careops", "", "rust" },
	{ "careops/polecats/rust", "careops/rust", "careops", "polecat", "rust" },
	{ "careops/polecat/rust", "careops/rust", "careops", "polecat", "rust" },
	{ "careops/crew/rust", "careops/rust", "careops", "crew", "rust" },
	{ "careops/crew/rust/", "careops/rust", "careops", "crew", "rust" },
	{ "prajna/witness", "prajna/witness", "prajna", "witness", "witness" },
	{ "prajna/refinery/", "prajna/refinery", "prajna", "refinery", "refinery" },
	{ "mayor", "mayor", "", "mayor", "mayor" },
	{ "mayor/", "mayor", "", "mayor", "mayor" },
	{ "hq-mayor", "mayor", "", "mayor", "mayor" },
	{ "gt-mayor", "mayor", "", "mayor", "mayor" },
	{ "Mayor", "mayor", "", "mayor", "mayor" },
	{ "hq-deacon", "deacon", "", "deacon", "deacon" },
	{ "deacon/boot", "boot", "", "boot", "boot" },
	{ "deacon-boot", "boot", "", "boot", "boot" },
	{ "deacon/dogs/alpha", "dog/alpha", "", "dog", "alpha" },
	{ "hq-dog-alpha", "dog/alpha", "", "dog", "alpha" },
	{ "gt-icecream-witness", "icecream/witness", "icecream", "witness", "witness" },
	{ "gt-a-b-refinery", "a-b/refinery", "a-b", "refinery", "refinery" },
	{ "gt-icecream-furiosa", "gt-icecream-furiosa", "", "", "gt-icecream-furiosa" },
	{ "human/", "human", "", "", "human" },
	{ "/home/x", "/home/x", "", "", "/home/x" },
	{ "a//b", "a//b", "", "", "a//b" },
	{ "a/b/c/d", "a/b/c/d", "a", "", "c/d" },
	{ "/", "", "", "", "" },
	{ "", "", "", "", "" },
};

static void check_text(struct span got, const char *want)
{
	ck_assert_msg(span_equal(got, span_from_string(want)), "\"%.*s\", not \"%s\"", (int)got.len, got.ptr, want);
}

START_TEST(agent_name)
{
	struct arena arena = ARENA_INIT;
	struct agent a = agent_parse(span_from_string(agents[_i].text), &arena), again;

	check_text(a.normal, agents[_i].normal);
	check_text(a.rig, agents[_i].rig);
	check_text(a.role, agents[_i].role);
	check_text(a.name, agents[_i].name);
	again = agent_parse(a.normal, &arena);
	ck_assert(span_equal(again.normal, a.normal));
	arena_release(&arena);
}
END_TEST

START_TEST(events_hold_several_values)
{
	struct event e;
	const struct value *v;

	event_init(&e, 0);
	for (int round = 0; round < 2; round++) {
		event_add(&e, FIELD_TYPE, SPAN("a"), VALUE_STRING);
		event_add(&e, FIELD_AGENT, SPAN("x"), VALUE_STRING);
		event_add(&e, FIELD_TYPE, SPAN("b"), VALUE_STRING);
		event_add(&e, 1000, SPAN("far"), VALUE_STRING);
		event_add(&e, FIELD_NONE, SPAN("dropped"), VALUE_STRING);
		v = event_first(&e, FIELD_TYPE);
		check_text(v->text, "a");
		v = event_next(&e, v);
		check_text(v->text, "b");
		ck_assert_ptr_null(event_next(&e, v));
		check_text(event_text(&e, 1000), "far");
		ck_assert_ptr_null(event_first(&e, 20000));
		event_set(&e, FIELD_TYPE, SPAN("c"), VALUE_STRING);
		event_set(&e, FIELD_RIG, SPAN("r"), VALUE_STRING);
		event_add(&e, FIELD_TYPE, SPAN("d"), VALUE_STRING);
		v = event_first(&e, FIELD_TYPE);
		check_text(v->text, "c");
		v = event_next(&e, v);
		check_text(v->text, "d");
		ck_assert_ptr_null(event_next(&e, v));
		event_drop_values(&e);
		ck_assert_uint_eq(e.n_values, 0);
		ck_assert_ptr_null(event_first(&e, FIELD_TYPE));
		ck_assert_ptr_null(event_first(&e, FIELD_RIG));
		event_add_integer(&e, FIELD_PID, INT64_MIN);
		check_text(event_text(&e, FIELD_PID), "-9223372036854775808");
		event_add_number(&e, FIELD_CPU, 97.5);
		check_text(event_text(&e, FIELD_CPU), "97.5");
		event_reset(&e);
		ck_assert_uint_eq(e.n_values, 0);
		ck_assert_ptr_null(event_first(&e, FIELD_TYPE));
		ck_assert_ptr_null(event_first(&e, 1000));
	}
	/* More values than fit are dropped, without a loop over those that are there. */
	for (int i = 0; i < 100000; i++)
		event_add(&e, FIELD_TYPE, SPAN("a"), VALUE_STRING);
	ck_assert_uint_lt(e.n_values, UINT16_MAX);
	event_release(&e);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	double want;
} numbers[] = {
	{ "0", true, 0 },	   { "4688", true, 4688 },   { "-3", true, -3 },       { "+3", true, 3 },	{ "1.5e3", true, 1500 },
	{ ".5", true, 0.5 },	   { "5.", true, 5 },	     { "0x1F", true, 31 },     { "-0x10", true, -16 },	{ "123456789012345678", true, 123456789012345678.0 },
	{ "", false, 0 },	   { "-", false, 0 },	     { ".", false, 0 },	       { "1e", false, 0 },	{ "1 ", false, 0 },
	{ " 1", false, 0 },	   { "nan", false, 0 },	     { "inf", false, 0 },      { "0x", false, 0 },	{ "0xg", false, 0 },
	{ "1e999", false, 0 },	   { "1,5", false, 0 },	     { "12a", false, 0 },
};

START_TEST(number)
{
	double got = 0;

	ck_assert_msg(span_to_number(span_from_string(numbers[_i].text), &got) == numbers[_i].ok, "%s", numbers[_i].text);
	if (numbers[_i].ok)
		ck_assert(got == numbers[_i].want);
}
END_TEST

START_TEST(fields_are_numbered)
{
	struct field_table t;
	field_id f;

	field_table_init(&t);
	ck_assert_uint_eq(field_find(&t, SPAN("type")), FIELD_TYPE);
	ck_assert_uint_eq(field_find(&t, SPAN("count")), FIELD_COUNT);
	ck_assert_uint_eq(field_find(&t, SPAN("payload.x")), FIELD_NONE);
	f = field_add(&t, SPAN("payload.x"));
	ck_assert_uint_eq(f, FIELD_BUILTIN_COUNT);
	ck_assert_uint_eq(field_add(&t, SPAN("payload.x")), f);
	ck_assert_uint_eq(field_find(&t, SPAN("payload.x")), f);
	check_text(field_name(&t, f), "payload.x");
	check_text(field_name(&t, FIELD_NONE), "");
	ck_assert_ptr_nonnull(field_description(FIELD_PID));
	for (int i = 0; i < 20000; i++) {
		char name[20];
		int n = snprintf(name, sizeof name, "n%d", i);

		f = field_add(&t, span_of(name, (size_t)n));
	}
	ck_assert_uint_eq(f, FIELD_NONE);
	ck_assert_uint_eq(field_count(&t), FIELD_LIMIT);
	field_table_release(&t);
}
END_TEST

/* Names that no rule asks for are dropped. */
START_TEST(unknown_fields_are_dropped)
{
	struct source s = { .name = "events", .format = FORMAT_EVENTS };
	struct field_table t;
	struct decoder *d;
	struct event e;
	struct record_list list = { 0 };
	char *block = with_margin("{\"a\":1,\"b\":2}\n", 14);

	field_table_init(&t);
	field_add(&t, SPAN("b"));
	d = decoder_new(&s, &t, zone_get("UTC"), 0);
	event_init(&e, field_count(&t));
	decoder_frame(d, span_of(block, 14), true, &list);
	ck_assert_int_eq(decoder_parse(d, span_of(block, 14), &list.items[0], &e), PARSE_EVENT);
	check_text(event_text(&e, field_find(&t, SPAN("b"))), "2");
	ck_assert_uint_eq(field_count(&t), FIELD_BUILTIN_COUNT + 1);
	ck_assert_uint_eq(e.n_values, 1); /* b */
	event_release(&e);
	decoder_free(d);
	field_table_release(&t);
	free(list.items);
	free(block);
}
END_TEST

static const struct {
	const char *text, *want;
} coloured[] = {
	{ "plain", "plain" },
	{ "\x1b[1;31mred\x1b[0m", "red" },
	{ "a\x1b]0;title\ab", "ab" },
	{ "a\x1b]8;;http://x\x1b\\b", "ab" },
	{ "a\x1b(Bb\x1b" "7c", "abc" },
	{ "a\x1b", "a" },
	{ "a\x1b[12", "a[12" },
	{ "a\x1b]0;no end\nb", "a]0;no end\nb" },
	{ "a\x1b[1\nb", "a[1\nb" },
	{ "a\r\nb\r\r\nc\r", "a\nb\nc" },
	{ "a\rb", "a\rb" },
};

START_TEST(colours)
{
	char out[64];
	size_t n = ansi_strip(span_from_string(coloured[_i].text), out);

	check_text(span_of(out, n), coloured[_i].want);
}
END_TEST

/* ---- literals ---- */

static const struct {
	enum format format;
	const char *field, *text;
	bool whole;
	const char *want; /* NULL: nothing can be said */
} literals[] = {
	{ FORMAT_TOWN, "type", "kill", true, "[kill] " },
	{ FORMAT_TOWN, "type", "kil", false, "kil" },
	{ FORMAT_TOWN, "reason", "self-clean", false, "self-clean" },
	{ FORMAT_TOWN, "message", "a\nb", false, NULL },
	{ FORMAT_TOWN, "message", "", true, NULL },
	{ FORMAT_TOWN, "agent", "mayor", true, NULL },
	{ FORMAT_TOWN, "from", "mayor", true, NULL },
	{ FORMAT_TOWN, "agent_raw", "hq-mayor", true, "hq-mayor" },
	{ FORMAT_TOWN, "rig", "prajna", true, "prajna" },
	{ FORMAT_TOWN, "exit_code", "42", true, NULL },
	{ FORMAT_TOWN, "exit_code", "42", false, "42" },
	{ FORMAT_TOWN, "nonsense", "x", true, NULL },
	{ FORMAT_EVENTS, "type", "kill", true, "kill" },
	{ FORMAT_EVENTS, "payload.reason", "gt stop", true, "gt stop" },
	{ FORMAT_EVENTS, "payload.n", "42", true, NULL },
	{ FORMAT_DAEMON, "message", "Deacon stuck", false, "Deacon stuck" },
	{ FORMAT_DAEMON, "type", "deacon_stale", true, "Deacon heartbeat is stale (" },
	{ FORMAT_DAEMON, "type", "crash_detected", true, "CRASH DETECTED: polecat " },
	{ FORMAT_DAEMON, "type", "crash_loop", true, " is in crash" },
	{ FORMAT_DAEMON, "type", "mass_death", true, "MASS DEATH DETECTED: " },
	{ FORMAT_DAEMON, "type", "daemon_running", true, "Daemon running" },
	{ FORMAT_DAEMON, "type", "dolt_unavailable", true, NULL },
	{ FORMAT_DAEMON, "type", "Deacon_Stale", true, NULL },
	{ FORMAT_DAEMON, "type", "deacon", false, NULL },
	{ FORMAT_DAEMON, "agent_raw", "r/witness", true, NULL },
	{ FORMAT_OVERSEER, "type", "stuck", true, NULL },
	{ FORMAT_OVERSEER, "age", "15", false, NULL },
	{ FORMAT_OVERSEER, "message", "stuck", false, "stuck" },
	{ FORMAT_PATTERN, "agent", "mayor", true, NULL },
	{ FORMAT_PATTERN, "path", "/x", true, "/x" },
	{ FORMAT_PS, "command", "pytest", false, NULL },
	{ FORMAT_INCIDENT, "rule", "x", true, NULL },
};

START_TEST(literal_of)
{
	struct field_table t;
	struct buffer got = BUFFER_INIT;
	struct span name = span_from_string(literals[_i].field);
	field_id f;
	bool ok;

	field_table_init(&t);
	f = field_add(&t, name);
	ok = format_literal(literals[_i].format, f, name, span_from_string(literals[_i].text), literals[_i].whole, &got);
	ck_assert_msg(ok == (literals[_i].want != NULL), "%s=%s", literals[_i].field, literals[_i].text);
	ck_assert_str_eq(buffer_string(&got), ok ? literals[_i].want : "");
	buffer_release(&got);
	field_table_release(&t);
}
END_TEST

/* Every promise about every value of this event holds. Returns how many were made. */
static unsigned check_promises(struct bench *b, const struct record *r)
{
	struct buffer literal = BUFFER_INIT;
	unsigned promises = 0;

	if (r->flags & RECORD_ESCAPED)
		return 0;
	for (size_t i = 0; i < b->event.n_values; i++) {
		const struct value *v = &b->event.values[i];

		if (v->field == FIELD_NONE || v->kind == VALUE_NULL)
			continue;
		for (int whole = 0; whole < 2; whole++) {
			struct span name = field_name(&b->fields, v->field);
			struct span text = whole ? v->text : span_of(v->text.ptr + v->text.len / 3, v->text.len / 2);

			buffer_clear(&literal);
			if (!format_literal(b->source.format, v->field, name, text, whole, &literal))
				continue;
			promises++;
			ck_assert_msg(memmem(b->block + r->offset, r->len, literal.data, literal.len) != NULL,
				      "%.*s=%.*s promises \"%.*s\", which is not in \"%.*s\"", (int)name.len, name.ptr, (int)text.len,
				      text.ptr, (int)literal.len, literal.data, (int)r->len, b->block + r->offset);
		}
	}
	buffer_release(&literal);
	return promises;
}

START_TEST(literals_hold)
{
	unsigned promises = 0;

	for (int i = 0; i < COUNT(lines); i++) {
		struct bench b;

		bench_init(&b, lines[i].format, "America/New_York", 0);
		frame_all(&b, span_from_string(lines[i].text));
		parse(&b, 0);
		promises += check_promises(&b, &b.list.items[0]);
		bench_release(&b);
	}
	ck_assert_uint_gt(promises, 500);
}
END_TEST

/* ---- the real logs ---- */

/* NULL when they are not there. */
static char *read_data(const char *path, size_t *ret_len)
{
	const char *data = getenv("TOCSIN_DATA"), *top = getenv("TOCSIN_SOURCE");
	char name[4096];
	FILE *f;
	char *text = NULL;
	size_t cap = 0;

	*ret_len = 0;
	if (data)
		snprintf(name, sizeof name, "%s/%s", data, path);
	else
		snprintf(name, sizeof name, "%s/../shared/data/%s", top ? top : ".", path);
	f = fopen(name, "rb");
	if (!f)
		return NULL;
	do {
		cap += 1 << 20;
		text = xrealloc(text, cap);
		*ret_len += fread(text + *ret_len, 1, cap - *ret_len, f);
	} while (*ret_len == cap);
	fclose(f);
	return text;
}

static const struct {
	const char *path;
	enum format format;
} real_logs[] = {
	{ "golden/logs/town.log", FORMAT_TOWN },	 { "hq/logs/town.log", FORMAT_TOWN },
	{ "icecream/logs/town.log", FORMAT_TOWN },	 { "sampler/logs/town.log", FORMAT_TOWN },
	{ "specwriter/logs/town.log", FORMAT_TOWN },	 { "golden/.events.jsonl", FORMAT_EVENTS },
	{ "hq/.events.jsonl", FORMAT_EVENTS },		 { "icecream/.events.jsonl", FORMAT_EVENTS },
	{ "sampler/.events.jsonl", FORMAT_EVENTS },	 { "specwriter/.events.jsonl", FORMAT_EVENTS },
	{ "golden/.feed.jsonl", FORMAT_JSON },		 { "golden/daemon/daemon.log", FORMAT_DAEMON },
	{ "icecream/daemon/daemon.log", FORMAT_DAEMON }, { "sampler/daemon/daemon.log", FORMAT_DAEMON },
	{ "specwriter/daemon/daemon.log", FORMAT_DAEMON },
};

START_TEST(real_logs_are_understood)
{
	struct bench b;
	size_t len;
	char *text = read_data(real_logs[_i].path, &len);

	if (!text)
		return;
	bench_init(&b, real_logs[_i].format, "America/New_York", 0);
	frame_all(&b, span_of(text, len));
	ck_assert_uint_gt(b.list.n, 3);
	for (size_t i = 0; i < b.list.n; i++) {
		struct span raw = span_of(b.block + b.list.items[i].offset, b.list.items[i].len);

		ck_assert_msg(parse(&b, i) == PARSE_EVENT, "%s: not understood: %.*s", real_logs[_i].path, (int)raw.len, raw.ptr);
		if (real_logs[_i].format == FORMAT_TOWN || real_logs[_i].format == FORMAT_EVENTS)
			ck_assert_msg(event_first(&b.event, FIELD_TYPE) && event_first(&b.event, FIELD_AGENT), "%.*s", (int)raw.len, raw.ptr);
		ck_assert_msg(b.list.items[i].flags & RECORD_STAMPED, "no stamp: %.*s", (int)raw.len, raw.ptr);
		check_promises(&b, &b.list.items[i]);
	}
	ck_assert_uint_eq(decoder_stats(b.decoder)->bytes, len);
	bench_release(&b);
	free(text);
}
END_TEST

/* A name of pieces that many names have, so that beginnings, ends and places in the memo are shared. */
static size_t random_name(char *out)
{
	static const char *const first[] = { "", "r", "rig-of-a-long-name", "gt-", "hq-", "deacon", "dog", "MAYOR", "mcp_memory" };
	static const char *const second[] = { "", "/", "/polecats/", "/crew/", "/polecat/", "//", "/dogs/", "dog-", "mayor", "-" };
	static const char *const third[] = { "", "witness", "refinery", "furiosa", "a", "nux/", "boot", "\xff\xfe", "deacon" };
	int n = snprintf(out, 64, "%s%s%s", first[random_below(COUNT(first))], second[random_below(COUNT(second))], third[random_below(COUNT(third))]);

	if (random_below(3) == 0)
		n += snprintf(out + n, 64 - (size_t)n, "%0*u", (int)random_below(25), random_below(1000));
	return (size_t)n;
}

/* What the memo says of a name is what is said without it, whatever it was asked before; and it stays so when the memo has gone on. */
START_TEST(names_as_without_the_memo)
{
	struct agent_memo *memo = xcalloc(1, sizeof *memo);
	struct event with[8], without;

	random_state = 42;
	for (int i = 0; i < COUNT(with); i++)
		event_init(&with[i], 0);
	event_init(&without, 0);
	for (int round = 0; round < 4000; round++) {
		char names[COUNT(with)][64], *copies[COUNT(with)];

		for (int i = 0; i < COUNT(with); i++) {
			size_t n = random_name(names[i]);
			struct span name;

			/* Of just this length: a sanitizer sees what is read beside it. */
			copies[i] = xmemdup(names[i], n + (n == 0));
			name = span_of(copies[i], n);
			event_reset(&with[i]);
			struct event_writer w = event_write_begin(&with[i]);
			struct span normal = agent_memo_write(memo, &w, name, &with[i].arena);
			event_write_end(&with[i], &w);
			ck_assert(span_equal(normal, event_text(&with[i], FIELD_AGENT)));
			ck_assert(span_equal(agent_memo_normal(memo, name, &with[i].arena), normal));
		}
		for (int i = 0; i < COUNT(with); i++) {
			event_reset(&without);
			agent_add(&without, span_from_string(names[i]));
			ck_assert_msg(with[i].n_values == without.n_values, "%s: %zu values, not %zu", names[i], with[i].n_values, without.n_values);
			for (size_t k = 0; k < without.n_values; k++) {
				const struct value *got = &with[i].values[k], *want = &without.values[k];

				ck_assert_msg(got->field == want->field && span_equal(got->text, want->text) && got == event_first(&with[i], got->field),
					      "%s: value %zu is \"%.*s\", not \"%.*s\"", names[i], k, (int)got->text.len, got->text.ptr,
					      (int)want->text.len, want->text.ptr);
			}
			free(copies[i]);
		}
	}
	for (int i = 0; i < COUNT(with); i++)
		event_release(&with[i]);
	event_release(&without);
	free(memo);
}
END_TEST

/* Each nudge of the town log, which is in New York, stands at the same second in the events, which are in UTC. */
START_TEST(town_and_events_agree)
{
	struct bench town, events;
	size_t town_len, events_len, next = 0, found = 0;
	char *town_text = read_data("icecream/logs/town.log", &town_len), *events_text = read_data("icecream/.events.jsonl", &events_len);

	if (!town_text || !events_text)
		goto done;
	bench_init(&town, FORMAT_TOWN, "America/New_York", 0);
	bench_init(&events, FORMAT_EVENTS, "America/New_York", 0);
	frame_all(&town, span_of(town_text, town_len));
	frame_all(&events, span_of(events_text, events_len));
	for (size_t i = 0; i < town.list.n; i++) {
		ck_assert_int_eq(parse(&town, i), PARSE_EVENT);
		if (!span_equal(event_text(&town.event, FIELD_TYPE), SPAN("nudge")))
			continue;
		for (; next < events.list.n; next++) {
			parse(&events, next);
			if (span_equal(event_text(&events.event, FIELD_TYPE), SPAN("nudge")))
				break;
		}
		ck_assert_uint_lt(next, events.list.n);
		ck_assert_str_eq(utc_text(events.list.items[next].time_ns), utc_text(town.list.items[i].time_ns));
		ck_assert(span_equal(event_text(&town.event, FIELD_AGENT), event_text(&events.event, FIELD_AGENT)));
		ck_assert(span_equal(event_text(&town.event, FIELD_FROM), event_text(&events.event, FIELD_FROM)));
		next++;
		found++;
	}
	ck_assert_uint_eq(found, 140);
	bench_release(&town);
	bench_release(&events);
done:
	free(town_text);
	free(events_text);
}
END_TEST

static Suite *record_suite(void)
{
	Suite *suite = suite_create("record");
	TCase *c = tcase_create("record");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, line, 0, COUNT(lines));
	tcase_add_loop_test(c, frame, 0, COUNT(frames));
	tcase_add_loop_test(c, chunks_do_not_matter, 0, COUNT(line_formats));
	tcase_add_test(c, escapes_are_flagged);
	tcase_add_loop_test(c, endless_lines_are_skipped, 0, 2);
	tcase_add_loop_test(c, begun_line, 0, COUNT(begun_lines));
	tcase_add_test(c, arrival_stands_in_for_a_stamp);
	tcase_add_test(c, damaged_state_is_refused);
	tcase_add_loop_test(c, json_line, 0, COUNT(jsons));
	tcase_add_test(c, json_limits);
	tcase_add_loop_test(c, agent_name, 0, COUNT(agents));
	tcase_add_test(c, names_as_without_the_memo);
	tcase_add_test(c, events_hold_several_values);
	tcase_add_loop_test(c, number, 0, COUNT(numbers));
	tcase_add_test(c, fields_are_numbered);
	tcase_add_test(c, unknown_fields_are_dropped);
	tcase_add_loop_test(c, colours, 0, COUNT(coloured));
	tcase_add_loop_test(c, literal_of, 0, COUNT(literals));
	tcase_add_test(c, literals_hold);
	tcase_add_loop_test(c, real_logs_are_understood, 0, COUNT(real_logs));
	tcase_add_test(c, town_and_events_agree);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(record_suite());
	int failed;

	setenv("TZ", "UTC", 1);
	srunner_add_suite(runner, record_ps_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
