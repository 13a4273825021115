/*
 * One answer: logs that grow while the clock goes on, read in rounds at any times, cut at any byte, with the state saved and loaded between any two
 * rounds, must tell what a replay of the whole logs tells. The logs are made from a seed; a failing seed is shown and can be
 * given in TOCSIN_SEED.
 */
#include "checkpoint.h"
#include "pipeline.h"

#include "base/memory.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND NS_PER_SECOND
#define BEGIN (INT64_C(1771315200) * SECOND) /* 2026-02-17 08:00:00 */
#define LATENESS (2 * SECOND)
#define N_LOGS 5

static const char rules_text[] =
	"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
	"title: D\nname: done\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: done}, condition: s}\n---\n"
	"title: E\nname: death\nlogsource: {product: gastown, service: events}\ndetection: {s: {type: session_death}, condition: s}\n---\n"
	"title: C\nname: crash\nlogsource: {product: gastown, service: daemon}\ndetection: {s: {message|contains: CRASH}, condition: s}\n---\n"
	"title: X\nname: deep\nlogsource: {product: gastown, service: daemon}\ndetection: {s: {raw|contains: 'cause: deep'}, condition: s}\n---\n"
	"title: O\nname: stuck\nlogsource: {product: gastown, service: overseer}\ndetection: {s: {message|contains: stuck}, condition: s}\n---\n"
	"title: P\nname: hot\nlogsource: {product: gastown, service: ps}\ndetection: {s: {program: pytest, cpu|gt: 90}, condition: s}\n---\n"
	"title: Q\nname: pytest\nlogsource: {product: gastown, service: ps}\ndetection: {s: {program: pytest}, condition: s}\n---\n"
	"title: Storm\nname: storm\ncorrelation: {type: event_count, rules: [kill, death], group-by: [], timespan: 40s, condition: {gte: 4}}\n"
	"incident: {summary: '{{count}} {{top.agent}}', resolve-after: 30s, update-every: 5s}\nresponse: {open: [[gt, nudge, mayor, '{{count}}: {{top.agent}}']]}\n---\n"
	"title: Agents\nname: agents\ncorrelation: {type: value_count, rules: [kill], group-by: [rig], timespan: 1m, condition: {field: agent, gte: 2}}\n---\n"
	"title: Unplanned\nname: unplanned\ncorrelation: {type: temporal_ordered, rules: [done, kill], group-by: [agent], timespan: 20s, condition: kill and not done}\n---\n"
	"title: Silent\nname: silent\ncorrelation: {type: temporal_ordered, rules: [crash, done], group-by: [], timespan: 15s, condition: crash and not done}\n"
	"incident: {summary: 'no done by {{now}}'}\n---\n"
	"title: Chain\nname: chain\ncorrelation: {type: temporal_ordered, rules: [death, crash, stuck], group-by: [], timespan: 2m}\n---\n"
	"title: Both\nname: both\ncorrelation: {type: temporal, rules: [deep, stuck], group-by: [], timespan: 30s}\n---\n"
	"title: Busy\nname: busy\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 40s, max-gap: 30s}\n"
	"incident: {summary: '{{value}} s since {{first}}'}\n---\n"
	"title: Several\nname: several\ncorrelation: {type: concurrent, rules: [pytest], group-by: [rig], condition: {field: pid, gte: 2}}\n"
	"incident: {summary: '{{value}}: {{values.pid}}'}\n---\n"
	"title: I\nname: opened\nlogsource: {product: gastown, service: incident}\ndetection: {s: {state: open}, condition: s}\n---\n"
	"title: Trouble\nname: trouble\ncorrelation: {type: event_count, rules: [opened], group-by: [], timespan: 1m, condition: {gte: 3}}\n";

/* ---- randomness ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

static int64_t random_time(int64_t n)
{
	return n <= 0 ? 0 : (int64_t)((double)random_below(1u << 30) / (1u << 30) * (double)n);
}

/* ---- logs that grow ---- */

/* Bytes up to `end` are there from then on. */
struct piece {
	int64_t arrival_ns;
	size_t end;
};

struct log {
	const char *name, *source;
	struct buffer bytes;
	struct piece *pieces;
	size_t n_pieces, cap_pieces;
	int64_t at_ns; /* when it was last written to */
	int64_t end_ns; /* newest stamp */
};

static const char *const agents[] = { "prajna/witness", "mayor", "icecream/polecats/furiosa", "icecream/witness", "prajna/refinery" };

static void stamp(struct buffer *b, int64_t ns, const char *before, const char *after)
{
	int64_t s = (ns - BEGIN) / SECOND + 8 * 3600;
	buffer_printf(b, "%s%02d:%02d:%02d%s", before, (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60), after);
}

static int pids[8], cpus[8];

/* One record, stamped ns. */
static void write_record(struct log *l, int kind, int64_t ns)
{
	struct buffer *b = &l->bytes;
	const char *agent = agents[random_below(5)];

	switch (kind) {
	case 0:
		stamp(b, ns, "2026-02-17 ", " ");
		if (random_below(3) == 0)
			buffer_printf(b, "[done] %s completed work\n", agent);
		else if (random_below(3))
			buffer_printf(b, "[kill] %s killed (because %u)\n", agent, random_below(100));
		else
			buffer_printf(b, "[nudge] %s nudged with \"hello\"\n", agent);
		break;
	case 1:
		stamp(b, ns, "{\"ts\":\"2026-02-17T", "Z\"");
		buffer_printf(b, ",\"source\":\"gt\",\"type\":\"%s\",\"actor\":\"%s\",\"payload\":{\"reason\":\"r%u\"},\"visibility\":\"feed\"}\n",
			random_below(3) ? "session_death" : "handoff", agent, random_below(10));
		break;
	case 2:
		stamp(b, ns, "2026/02/17 ", " ");
		buffer_printf(b, "%s: polecat %s\n", random_below(2) ? "CRASH DETECTED" : "Heartbeat", agent);
		for (uint32_t n = random_below(3); n; n--)
			buffer_printf(b, "  goroutine %u\n", n);
		if (random_below(2))
			buffer_append_string(b, "  cause: deep trouble\n\n");
		break;
	case 3:
		stamp(b, ns, "[2026-02-17 ", "] ");
		buffer_printf(b, "%s %s\n", agent, random_below(2) ? "stuck for 45m" : "fine");
		if (random_below(4) == 0)
			buffer_append_string(b, "a line without a stamp\n");
		break;
	case 4:
		stamp(b, ns, "2026-02-17T", "+00:00\n");
		buffer_append_string(b, "  PID  PPID %CPU ELAPSED     TIME COMMAND\n    1     0  0.0   90000    100 init\n");
		for (int i = 0; i < 8; i++) {
			if (random_below(5) == 0) {
				pids[i] = random_below(3) ? 100 + i + 10 * (int)random_below(3) : 0;
				cpus[i] = random_below(2) ? 97 : 3;
			}
			if (pids[i])
				buffer_printf(b, "%5d     1 %d.0 %5u %6d pytest /home/u/gt/%s/tests\n", pids[i], cpus[i], 100 + (uint32_t)((ns - BEGIN) / SECOND), 10,
					i % 2 ? "rust" : "memory");
		}
		break;
	}
}

/* Written in pieces, all of them no later than the lateness after the stamp. */
static void log_append(struct log *l, int kind)
{
	int64_t now = l->at_ns, at = now - random_time(SECOND * 9 / 10), ns = at - at % SECOND;
	size_t from = l->bytes.len;

	write_record(l, kind, ns);
	if (ns > l->end_ns)
		l->end_ns = ns;
	for (uint32_t n = random_below(3); n; n--) {
		size_t end = from + random_below((uint32_t)(l->bytes.len - from));
		ARRAY_GROW(l->pieces, l->n_pieces, l->cap_pieces);
		l->pieces[l->n_pieces++] = (struct piece){ now, end };
		now += random_time(ns + LATENESS - now);
		from = end;
	}
	ARRAY_GROW(l->pieces, l->n_pieces, l->cap_pieces);
	l->pieces[l->n_pieces++] = (struct piece){ now, l->bytes.len };
	l->at_ns = now + 1;
}

static struct log *logs_new(int64_t length_ns)
{
	static const char *const names[] = { "town.log", ".events.jsonl", "daemon.log", "overseer.log", "ps.log" };
	static const char *const sources[] = { "town", "events", "daemon", "overseer", "ps" };
	struct log *logs = xcalloc(N_LOGS, sizeof *logs);

	memset(pids, 0, sizeof pids);
	for (int i = 0; i < N_LOGS; i++) {
		struct log *l = &logs[i];
		l->name = names[i];
		l->source = sources[i];
		l->at_ns = BEGIN + SECOND;
		for (;;) {
			l->at_ns += i == 4 ? 10 * SECOND : random_time(random_below(4) ? 3 * SECOND : 20 * SECOND);
			if (l->at_ns > BEGIN + length_ns)
				break;
			log_append(l, i);
		}
	}
	return logs;
}

static void logs_free(struct log *logs)
{
	for (int i = 0; i < N_LOGS; i++) {
		buffer_release(&logs[i].bytes);
		free(logs[i].pieces);
	}
	free(logs);
}

/* ---- reading them ---- */

struct reading {
	const struct ruleset *rules;
	const struct log *logs;
	struct pipeline_options o;
	struct pipeline *pipeline;
	struct lane *lanes[N_LOGS];
	size_t at[N_LOGS], piece[N_LOGS];
	struct diag_list diags;
	struct buffer told;
	struct emit_options emit;
	bool *changed; /* set at each state change */
};

static void tell(void *context, const struct change *c)
{
	struct reading *r = context;
	emit_change(&r->told, EMIT_JSONL, &r->emit, c);
}

static void reading_init(struct reading *r, const struct ruleset *rules, const struct log *logs, int64_t now_ns, int64_t until_ns)
{
	*r = (struct reading){ .rules = rules, .logs = logs, .emit = { .zone = zone_get("UTC"), .fields = &rules->fields } };
	r->o = (struct pipeline_options){ .rules = rules, .zone = zone_get("UTC"), .lateness_ns = LATENESS, .since_ns = TIME_NONE, .until_ns = until_ns,
					  .now_ns = now_ns, .record_limit = 1 << 16, .max_keys = 1000, .on_change = tell, .change_context = r };
	r->pipeline = pipeline_new(&r->o, NULL, 0, &r->diags);
	for (int i = 0; i < N_LOGS; i++) {
		r->lanes[i] = pipeline_lane(r->pipeline, logs[i].name);
		lane_set_source(r->pipeline, r->lanes[i], source_by_name(rules, logs[i].source));
		lane_begin_file(r->pipeline, r->lanes[i], logs[i].name, 0, TIME_NONE, TIME_NONE);
	}
}

static void reading_release(struct reading *r)
{
	pipeline_free(r->pipeline);
	for (size_t i = 0; i < r->diags.n; i++)
		diag_print(stderr, &r->diags.items[i], false);
	ck_assert_uint_eq(r->diags.n_errors, 0);
	diag_list_release(&r->diags);
	buffer_release(&r->told);
}

static void feed(struct reading *r, int log, size_t n)
{
	lane_feed(r->pipeline, r->lanes[log], span_of(r->logs[log].bytes.data + r->at[log], n));
	r->at[log] += n;
}

static void replay(struct reading *r)
{
	for (;;) {
		int least = -1;
		for (int i = 0; i < N_LOGS; i++)
			if (!lane_ended(r->lanes[i]) && (least < 0 || lane_newest(r->lanes[i]) < lane_newest(r->lanes[least])))
				least = i;
		if (least < 0)
			break;
		size_t left = r->logs[least].bytes.len - r->at[least], n = 1 + random_below(700);
		feed(r, least, n < left ? n : left);
		if (n >= left)
			lane_end(r->pipeline, r->lanes[least]);
		pipeline_advance(r->pipeline, TIME_NONE);
	}
	pipeline_finish(r->pipeline);
}

static void save_and_load(struct reading *r)
{
	struct buffer saved = BUFFER_INIT, again = BUFFER_INIT;

	pipeline_save(r->pipeline, &saved);
	pipeline_free(r->pipeline);
	r->pipeline = pipeline_new(&r->o, NULL, 0, &r->diags);
	struct codec_reader in = { saved.data, saved.data + saved.len, false };
	ck_assert(pipeline_load(r->pipeline, &in, &r->diags));
	ck_assert(in.ptr == in.end);
	for (int i = 0; i < N_LOGS; i++) {
		r->lanes[i] = pipeline_lane(r->pipeline, r->logs[i].name);
		ck_assert_ptr_nonnull(lane_source(r->lanes[i]));
	}
	pipeline_save(r->pipeline, &again);
	size_t i = 0;
	while (i < saved.len && i < again.len && saved.data[i] == again.data[i])
		i++;
	ck_assert_msg(i == saved.len && i == again.len, "saved again it is not the same: byte %zu of %zu", i, saved.len);
	buffer_release(&saved);
	buffer_release(&again);
}

/* All that is there by then, and perhaps a little that comes before the next round. */
static void round_read(struct reading *r, int64_t now_ns, int64_t next_ns)
{
	for (int i = 0; i < N_LOGS; i++)
		lane_set_at_end(r->lanes[i], false);
	for (int i = 0; i < N_LOGS; i++) {
		const struct log *l = &r->logs[i];
		size_t end = r->at[i];
		int64_t upto = random_below(3) ? now_ns : now_ns + random_time(next_ns - now_ns);
		for (; r->piece[i] < l->n_pieces && l->pieces[r->piece[i]].arrival_ns <= upto; r->piece[i]++)
			end = l->pieces[r->piece[i]].end;
		if (end > r->at[i] && random_below(4) == 0) {
			feed(r, i, random_below((uint32_t)(end - r->at[i])) + 1);
			pipeline_advance(r->pipeline, now_ns);
		}
		if (end > r->at[i])
			feed(r, i, end - r->at[i]);
		lane_set_at_end(r->lanes[i], true);
	}
}

enum cut { CUT_NEVER, CUT_SOMETIMES, CUT_ALWAYS, CUT_RULES };

static void live(struct reading *r, int64_t end_ns, int64_t longest_ns, enum cut cut)
{
	int64_t now = BEGIN, next;

	for (; now < end_ns; now = next) {
		next = now + 1 + random_time(longest_ns);
		pipeline_set_clock(r->pipeline, now);
		round_read(r, now, next);
		pipeline_advance(r->pipeline, now);
		int64_t due = pipeline_next_due(r->pipeline);
		ck_assert(due == TIME_NONE || due > now); /* else a run that waits for it would never wait */
		if (cut == CUT_RULES && random_below(3) == 0)
			pipeline_set_rules(r->pipeline, r->rules, &r->diags);
		if (cut == CUT_ALWAYS || (cut == CUT_SOMETIMES && random_below(10) == 0))
			save_and_load(r);
	}
	pipeline_set_clock(r->pipeline, now);
	round_read(r, now, now);
	pipeline_advance(r->pipeline, end_ns + LATENESS + 1);
}

static struct ruleset *rules_load(const char *text)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rules = ruleset_load_text(span_from_string(text), "rules", false, &diags);

	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], false);
	ck_assert_ptr_nonnull(rules);
	diag_list_release(&diags);
	return rules;
}

static void compare(const struct reading *expected, const struct reading *got, uint64_t seed, const char *what)
{
	if (span_equal(buffer_span(&expected->told), buffer_span(&got->told)))
		return;
	size_t i = 0;
	while (i < expected->told.len && i < got->told.len && expected->told.data[i] == got->told.data[i])
		i++;
	while (i > 0 && expected->told.data[i - 1] != '\n')
		i--;
	ck_abort_msg("TOCSIN_SEED=%" PRIu64 " (%s):\nreplay: %.300s\nlive:   %.300s", seed, what, expected->told.len > i ? expected->told.data + i : "(no more)",
		got->told.len > i ? got->told.data + i : "(no more)");
}

START_TEST(one_answer)
{
	struct ruleset *rules = rules_load(rules_text);
	const char *given = getenv("TOCSIN_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)_i;
	static const struct {
		const char *what;
		int64_t longest_ns;
		enum cut cut;
	} ways[] = {
		{ "followed", SECOND / 5, CUT_NEVER },
		{ "followed, started again now and then", SECOND, CUT_SOMETIMES },
		{ "saved and loaded at every round", SECOND, CUT_ALWAYS },
		{ "seldom read", 45 * SECOND, CUT_ALWAYS },
		{ "rules exchanged for the same", SECOND, CUT_RULES },
	};

	random_state = seed;
	struct log *logs = logs_new(5 * 60 * SECOND);
	int64_t end = BEGIN + 8 * 60 * SECOND;
	struct reading expected;
	reading_init(&expected, rules, logs, end, end);
	replay(&expected);
	buffer_append_char(&expected.told, 0);
	ck_assert_uint_gt(expected.told.len, 1000);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct reading got;
		reading_init(&got, rules, logs, BEGIN, TIME_NONE);
		live(&got, end, ways[i].longest_ns, ways[i].cut);
		buffer_append_char(&got.told, 0);
		compare(&expected, &got, seed, ways[i].what);
		reading_release(&got);
	}
	reading_release(&expected);
	logs_free(logs);
	ruleset_free(rules);
}
END_TEST

/* ---- what is damaged, what has changed ---- */

/* The state in the middle of things, with held events, open incidents and a torn line. */
static struct buffer some_state(const struct ruleset *rules)
{
	struct buffer saved = BUFFER_INIT;
	struct reading r;

	random_state = 3;
	struct log *logs = logs_new(60 * SECOND);
	reading_init(&r, rules, logs, BEGIN, TIME_NONE);
	for (int64_t now = BEGIN; now < BEGIN + 50 * SECOND || !pipeline_held(r.pipeline); now += SECOND / 2) {
		ck_assert_int_lt(now, BEGIN + 60 * SECOND);
		pipeline_set_clock(r.pipeline, now);
		round_read(&r, now, now + SECOND);
		pipeline_advance(r.pipeline, now);
	}
	ck_assert_uint_gt(engine_open_incidents(pipeline_engine(r.pipeline)), 0);
	pipeline_save(r.pipeline, &saved);
	reading_release(&r);
	logs_free(logs);
	return saved;
}

/* Loads, and goes on when it loaded; must not crash. */
static bool try_load(const struct ruleset *rules, struct span bytes)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct pipeline_options o = { .rules = rules, .zone = zone_get("UTC"), .lateness_ns = LATENESS, .since_ns = TIME_NONE, .until_ns = TIME_NONE,
				      .now_ns = BEGIN + 60 * SECOND, .record_limit = 1 << 16, .max_keys = 1000 };
	struct pipeline *p = pipeline_new(&o, NULL, 0, &diags);
	struct codec_reader in = { bytes.ptr, bytes.ptr + bytes.len, false };
	bool ok = pipeline_load(p, &in, &diags);

	ck_assert(ok || diags.n_errors > 0);
	if (ok) {
		pipeline_advance(p, BEGIN + 3600 * SECOND);
		pipeline_finish(p);
	}
	pipeline_free(p);
	diag_list_release(&diags);
	struct pipeline_saved described;
	in = (struct codec_reader){ bytes.ptr, bytes.ptr + bytes.len, false };
	bool can_be_described = pipeline_describe(&in, &described);
	ck_assert(can_be_described || !ok);
	pipeline_saved_release(&described);
	return ok;
}

START_TEST(damaged_state)
{
	struct ruleset *rules = rules_load(rules_text);
	struct buffer saved = some_state(rules);

	ck_assert(try_load(rules, buffer_span(&saved)));
	for (size_t len = 0; len < saved.len; len += 1 + len / 50) {
		char *cut = xmemdup(saved.data, len); /* of its exact size: reads behind it are seen by sanitizers */
		ck_assert(!try_load(rules, span_of(cut, len)));
		free(cut);
	}
	random_state = 1;
	for (int i = 0; i < 1500; i++) {
		size_t at = random_below((uint32_t)saved.len);
		char was = saved.data[at];
		saved.data[at] = (char)(i % 2 ? was ^ 1 << random_below(8) : (int)random_below(256));
		try_load(rules, buffer_span(&saved));
		saved.data[at] = was;
	}
	buffer_release(&saved);
	ruleset_free(rules);
}
END_TEST

START_TEST(damaged_file)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct checkpoint_content content;
	char path[] = "test_pipeline.XXXXXX";
	char *folder = mkdtemp(path);
	ck_assert_ptr_nonnull(folder);
	ck_assert_int_eq(chdir(folder), 0);

	struct checkpoint *c = checkpoint_open("ck", &diags);
	ck_assert_ptr_nonnull(c);
	ck_assert(checkpoint_is_new(c));
	struct buffer *b = checkpoint_begin(c);
	buffer_append_string(b, "inputs");
	checkpoint_section_end(c, CHECKPOINT_INPUTS);
	checkpoint_section_end(c, CHECKPOINT_OUTPUTS);
	ck_assert(checkpoint_commit(c, BEGIN, &diags));
	checkpoint_close(c);

	char bytes[200];
	FILE *f = fopen("ck", "rb");
	ck_assert_ptr_nonnull(f);
	size_t len = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	ck_assert_ptr_null(checkpoint_parse(span_of(bytes, len), &content));
	ck_assert(span_equal(content.sections[0], SPAN("inputs")));
	ck_assert_int_eq(content.written_ns, BEGIN);
	for (size_t i = 0; i < len; i++) {
		ck_assert_ptr_nonnull(checkpoint_parse(span_of(bytes, i), &content));
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
			ck_assert_msg(checkpoint_parse(span_of(bytes, len), &content) != NULL, "bit %d of byte %zu", bit, i);
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
		}
	}
	bytes[len] = 0;
	ck_assert_ptr_nonnull(checkpoint_parse(span_of(bytes, len + 1), &content));
	/* A large one goes to the disk in pieces; the same again is not written; one that is begun and left leaves nothing. */
	struct stat st, again;
	struct checkpoint *large = checkpoint_open("ck", &diags);
	for (int round = 0; round < 3; round++) {
		b = checkpoint_begin(large);
		buffer_append_string(b, "i");
		checkpoint_section_end(large, CHECKPOINT_INPUTS);
		for (uint32_t i = 0; i < 1000000; i++) {
			codec_put_u64(b, i);
			buffer_drain(b);
			ck_assert_uint_le(b->len, BUFFER_DRAIN_BYTES + 10);
		}
		ck_assert_int_eq(access("ck.tmp", F_OK), 0);
		checkpoint_section_end(large, CHECKPOINT_PIPELINE);
		buffer_append_string(b, "o");
		checkpoint_section_end(large, CHECKPOINT_OUTPUTS);
		if (round < 2)
			ck_assert(checkpoint_commit(large, BEGIN + round, &diags));
		if (round == 1)
			ck_assert(stat("ck", &again) == 0 && again.st_ino == st.st_ino);
		ck_assert_int_eq(stat("ck", &st), 0);
	}
	checkpoint_close(large);
	ck_assert_int_ne(access("ck.tmp", F_OK), 0);
	large = checkpoint_view("ck", &diags);
	ck_assert_ptr_nonnull(large);
	ck_assert_int_eq(checkpoint_written_ns(large), BEGIN);
	struct codec_reader in = checkpoint_section(large, CHECKPOINT_PIPELINE);
	for (uint32_t i = 0; i < 1000000; i++)
		ck_assert_uint_eq(codec_get_u64(&in), i);
	ck_assert(in.ptr == in.end && !in.bad);
	in = checkpoint_section(large, CHECKPOINT_OUTPUTS);
	ck_assert(in.end - in.ptr == 1 && *in.ptr == 'o');
	checkpoint_close(large);
	ck_assert_int_eq(unlink("ck"), 0);
	ck_assert_int_eq(unlink("ck.lock"), 0);
	ck_assert_int_eq(chdir(".."), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	diag_list_release(&diags);
}
END_TEST

/* A rule that changes begins anew; the others go on as if nothing had been. Which stand in another order now, and with others between them. */
START_TEST(changed_rules)
{
	static const char before[] =
		"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
		"title: A\nname: same\ncorrelation: {type: event_count, rules: [kill], group-by: [], timespan: 1m, condition: {gte: 3}}\n---\n"
		"title: B\nname: other\ncorrelation: {type: event_count, rules: [kill], group-by: [], timespan: 1m, condition: {gte: 3}}\n";
	static const char after[] =
		"title: D\nname: done\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: done}, condition: s}\n---\n"
		"title: B\nname: other\ncorrelation: {type: event_count, rules: [kill], group-by: [], timespan: 2m, condition: {gte: 3}}\n---\n"
		"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
		"title: A, with other words\nname: same\ncorrelation: {type: event_count, rules: [kill], group-by: [], timespan: 1m, condition: {gte: 3}}\n";
	static const char line[] = "2026-02-17 08:00:0%d [kill] prajna/witness killed\n";

	for (int way = 0; way < 2; way++) {
		struct ruleset *old = rules_load(before), *new = rules_load(after);
		struct log logs[N_LOGS] = { 0 };
		struct reading r = { .rules = old, .logs = logs, .emit = { .zone = zone_get("UTC"), .fields = &new->fields } };
		r.o = (struct pipeline_options){ .rules = old, .zone = zone_get("UTC"), .lateness_ns = LATENESS, .since_ns = TIME_NONE, .until_ns = TIME_NONE,
						 .now_ns = BEGIN + SECOND, .record_limit = 1 << 16, .max_keys = 1000, .on_change = tell, .change_context = &r };
		r.pipeline = pipeline_new(&r.o, NULL, 0, &r.diags);
		struct lane *l = pipeline_lane(r.pipeline, "town.log");
		lane_set_source(r.pipeline, l, source_by_name(old, "town"));
		lane_begin_file(r.pipeline, l, "town.log", 0, TIME_NONE, TIME_NONE);
		for (int i = 0; i < 4; i++) {
			char text[100];
			lane_feed(r.pipeline, l, span_of(text, (size_t)snprintf(text, sizeof text, line, i)));
			lane_set_at_end(l, true);
			if (i == 1) /* 0 was handed on, 1 is held */
				pipeline_advance(r.pipeline, BEGIN + 2 * SECOND + 1);
			if (i == 1 && way == 0) {
				pipeline_set_rules(r.pipeline, new, &r.diags);
			} else if (i == 1) {
				struct buffer saved = BUFFER_INIT;
				pipeline_save(r.pipeline, &saved);
				pipeline_free(r.pipeline);
				r.o.rules = new;
				r.pipeline = pipeline_new(&r.o, NULL, 0, &r.diags);
				struct codec_reader in = { saved.data, saved.data + saved.len, false };
				ck_assert(pipeline_load(r.pipeline, &in, &r.diags));
				l = pipeline_lane(r.pipeline, "town.log");
				buffer_release(&saved);
			}
		}
		lane_set_at_end(l, true);
		pipeline_advance(r.pipeline, BEGIN + 30 * SECOND);
		buffer_append_char(&r.told, 0);
		/* same: 0, 1, 2; other has seen 1, 2, 3. */
		const char *same = strstr(r.told.data, "\"rule\":\"same\""), *other = strstr(r.told.data, "\"rule\":\"other\"");
		ck_assert_ptr_nonnull(same);
		ck_assert_ptr_nonnull(other);
		ck_assert_ptr_nonnull(strstr(same, "\"time\":\"2026-02-17T08:00:02Z\""));
		ck_assert_ptr_nonnull(strstr(other, "\"time\":\"2026-02-17T08:00:03Z\""));
		ck_assert(same < other);
		reading_release(&r);
		ruleset_free(old);
		ruleset_free(new);
	}
}
END_TEST

/* A follower that has told of much in one hour tells of more in the next, and how much it left out. */
START_TEST(notices)
{
	static const char text[] =
		"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n"
		"incident: {summary: x, resolve-after: 1s}\nresponse: {open: [[echo, '{{pid}}']]}\n";
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rules = rules_load(text);
	struct pipeline_options o = { .rules = rules, .zone = zone_get("UTC"), .lateness_ns = 0, .since_ns = TIME_NONE, .until_ns = TIME_NONE,
				      .now_ns = BEGIN, .record_limit = 1 << 16, .max_keys = 1000 };
	struct pipeline *p = pipeline_new(&o, NULL, 0, &diags);
	struct lane *l = pipeline_lane(p, "town.log");

	lane_set_source(p, l, source_by_name(rules, "town"));
	lane_begin_file(p, l, "town.log", 0, TIME_NONE, TIME_NONE);
	for (int i = 0; i < 50; i++) {
		struct buffer line = BUFFER_INIT;
		int64_t at_ns = BEGIN + i * 2 * 60 * SECOND; /* 30 an hour */
		stamp(&line, at_ns, "2026-02-17 ", " [kill] prajna/witness killed\n");
		pipeline_set_clock(p, at_ns + SECOND);
		lane_feed(p, l, buffer_span(&line));
		lane_set_at_end(l, true);
		pipeline_advance(p, at_ns + SECOND);
		buffer_release(&line);
	}
	size_t shown = 0, told = 0;
	for (size_t i = 0; i < diags.n; i++) {
		shown += strstr(diags.items[i].text, "command not emitted") != NULL;
		told += strcmp(diags.items[i].text, "10 more notices were not shown in the hour before") == 0;
	}
	ck_assert_uint_eq(shown, 40);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(pipeline_notices_dropped(p), 0);
	pipeline_free(p);
	ruleset_free(rules);
	diag_list_release(&diags);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pipeline");
	TCase *t = tcase_create("pipeline");
	SRunner *runner = srunner_create(s);

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, one_answer, 1, getenv("TOCSIN_SEED") ? 2 : 13);
	tcase_add_test(t, damaged_state);
	tcase_add_test(t, damaged_file);
	tcase_add_test(t, changed_rules);
	tcase_add_test(t, notices);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
