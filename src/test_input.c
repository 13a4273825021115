/*
 * test_input.c: decides which lines a test's input is. Each block of `input:` gives a run of lines of one log; the lines of all
 * blocks are put in the order of their time, where a block keeps the order it is written in (a line that comes late on
 * purpose stays late). What time a line has is asked of the decoder that will read it, so there is no second opinion.
 */
#include "test_parse.h"

#include "base/memory.h"
#include "record/decoder.h"

#include <stdlib.h>
#include <time.h>

#define BLOCKS_MAX 1000      /* of one test */
#define PROCESSES_MAX 10000  /* rows of one snapshot */
#define FOR_PATTERN 64       /* readable bytes behind what is framed */
#define PAUSE INT64_MIN      /* a sample that is none: no snapshot was taken */
#define GONE (INT64_MIN + 1) /* the process is not in the snapshot */

static const char *const block_keys[] = { "source", "lines", "processes", "at", "every", "times", "each", "verbatim", NULL };
static const char *const process_keys[] = { "pid", "ppid", "command", "cpu", "age", "cputime", "times", NULL };

/* A line of a block: where it is in the block's text, and which time it has when no stamp says one. */
struct block_line {
	size_t offset, len;
	int64_t time_ns;
	bool known; /* the time is certain: nothing need be asked */
};

struct block {
	uint32_t log;
	struct buffer text;
	struct block_line *lines;
	size_t n, cap, next;
};

struct unfolding {
	struct test_parser *p;
	struct test_case *t;
	struct block *blocks;
	size_t n_blocks, cap_blocks;
	size_t n_lines, n_bytes; /* of all blocks */
};

static void *zalloc(struct test_parser *p, size_t n, size_t size)
{
	return arena_zalloc(&p->file->arena, (n ? n : 1) * size);
}

/* ---- sources ---- */

static const struct source *source_named(const struct ruleset *rs, const char *name, const char **names)
{
	size_t n, k = 0;
	const struct source *built_in = builtin_sources(&n);

	for (size_t i = 0; i < rs->n_sources; i++) {
		names[k++] = rs->sources[i]->name;
		if (!strcmp(rs->sources[i]->name, name))
			return rs->sources[i];
	}
	for (size_t i = 0; i < n; i++) {
		names[k++] = built_in[i].name;
		if (!strcmp(built_in[i].name, name))
			return &built_in[i];
	}
	names[k] = NULL;
	return NULL;
}

static const struct source *find_source(struct test_parser *p, const struct yaml_node *at, const char *name)
{
	size_t n_built_in;
	builtin_sources(&n_built_in);
	const char **names = xcalloc(p->rs->n_sources + n_built_in + 1, sizeof *names);
	const struct source *s = source_named(p->rs, name, names);

	if (!s) {
		test_error(p, at, "unknown source \"%s\"", name);
		test_suggest(p, span_from_string(name), names, "sources are town events daemon overseer guardian ps syslog json text, and those that rules define");
	}
	free(names);
	return s;
}

/* The test's log of this source, made when it is not there yet. */
static uint32_t log_of(struct unfolding *u, const struct source *s, int64_t time_ns)
{
	struct test_case *t = u->t;
	uint32_t i = 0;

	while (i < t->n_logs && t->logs[i].source != s)
		i++;
	if (i == t->n_logs)
		t->logs[t->n_logs++] = (struct test_log){ s->name, s, time_ns };
	return i;
}

/* ---- stamps ---- */

/* How each format writes its stamps; NULL: RFC 3339 with the zone's offset. */
static const char *stamp_form(enum format f)
{
	switch (f) {
	case FORMAT_TOWN:
	case FORMAT_OVERSEER:
	case FORMAT_GUARDIAN:
	case FORMAT_TEXT:
		return "%Y-%m-%d %H:%M:%S";
	case FORMAT_DAEMON:
		return "%Y/%m/%d %H:%M:%S";
	case FORMAT_EVENTS:
	case FORMAT_PS:
	case FORMAT_SYSLOG:
	case FORMAT_JSON:
	case FORMAT_PATTERN:
	case FORMAT_INCIDENT:
		return NULL;
	}
	return NULL;
}

/* The form is the user's own, and all it can do is fill the array. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t format_tm(char text[256], const char *form, const struct tm *tm)
{
	return strftime(text, 256, form, tm);
}
#pragma GCC diagnostic pop

/* form: strftime(3)'s, or "%s" for the epoch. False when it gives nothing. */
static bool append_stamp(struct buffer *out, int64_t time_ns, const struct zone *z, enum format f, const char *form)
{
	char text[256];
	int32_t offset = f == FORMAT_EVENTS && !form ? 0 : zone_offset_s(z, time_ns);
	int64_t seconds = time_ns / NS_PER_SECOND - (time_ns % NS_PER_SECOND < 0);
	time_t shifted = (time_t)(seconds + offset);
	struct tm tm;

	if (form && !strcmp(form, "%s")) {
		buffer_printf(out, "%lld", (long long)seconds);
		return true;
	}
	if (!gmtime_r(&shifted, &tm))
		return false;
	tm.tm_gmtoff = offset;
	tm.tm_zone = offset ? zone_name(z) : "UTC";
	if (!form)
		form = stamp_form(f);
	size_t n = format_tm(text, form ? form : "%Y-%m-%dT%H:%M:%S", &tm);
	if (n == 0)
		return false;
	buffer_append(out, text, n);
	if (!form && offset == 0)
		buffer_append_char(out, 'Z');
	else if (!form)
		buffer_printf(out, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) / 60 % 60);
	return true;
}

/* ---- lines ---- */

struct placeholders {
	int64_t time_ns;
	uint64_t n;
	struct span each;
	bool has_each;
	const struct source *source;
};

/* What stands between the braces: n, each, time, +12m, -5s, any time with |FORMAT. False with an error. */
static bool append_placeholder(struct unfolding *u, struct buffer *out, const struct yaml_node *node, size_t at, struct span inner,
			       const struct placeholders *v)
{
	static const char *const names[] = { "time", "n", "each", NULL };
	const char *bar = memchr(inner.ptr, '|', inner.len);
	struct span what = span_of(inner.ptr, bar ? (size_t)(bar - inner.ptr) : inner.len);
	int64_t time_ns = v->time_ns, step = 0;

	if (!bar && span_equal(what, SPAN("n"))) {
		buffer_printf(out, "%llu", (unsigned long long)v->n);
		return true;
	}
	if (!bar && span_equal(what, SPAN("each"))) {
		if (v->has_each) {
			buffer_append_span(out, v->each);
			return true;
		}
		test_error_in(u->p, node, at, inner.len + 4, "this block has no \"each\"");
		return false;
	}
	if (span_starts_with(what, SPAN("time")))
		what = span_from(what, 4);
	else if (what.len == 0 || !strchr("+-", what.ptr[0]))
		goto unknown;
	if (what.len && (!strchr("+-", what.ptr[0]) || !duration_parse(span_from(what, 1), &step)))
		goto unknown;
	if (!test_time_add(&time_ns, what.len && what.ptr[0] == '-' ? -step : step)) {
		test_error_in(u->p, node, at, inner.len + 4, "this time is out of reach");
		return false;
	}
	char form[128] = "";
	if (bar) {
		struct span rest = span_from(inner, (size_t)(bar - inner.ptr) + 1);
		if (rest.len == 0 || rest.len >= sizeof form)
			goto unknown;
		memcpy(form, rest.ptr, rest.len);
		form[rest.len] = 0;
	}
	if (append_stamp(out, time_ns, u->t->zone, v->source->format, bar ? form : NULL))
		return true;
	test_error_in(u->p, node, at, inner.len + 4, "this is no time format of strftime(3)");
	return false;
unknown:
	test_error_in(u->p, node, at, inner.len + 4, "unknown placeholder {{%.*s}}", (int)(inner.len < 60 ? inner.len : 60), inner.ptr);
	test_suggest(u->p, inner, names, "there are {{time}}, {{+12m}}, {{-5s}}, {{+12m|%Y-%m-%d %H:%M}}, {{n}}, {{each}}; \"verbatim: true\" leaves braces alone");
	return false;
}

static bool append_text(struct unfolding *u, struct buffer *out, const struct yaml_node *node, const struct placeholders *v, bool verbatim)
{
	struct span s = node->text;
	size_t start = out->len;

	for (size_t i = 0; i < s.len;) {
		const char *open = verbatim ? NULL : memmem(s.ptr + i, s.len - i, "{{", 2);
		size_t from = open ? (size_t)(open - s.ptr) : s.len;
		buffer_append(out, s.ptr + i, from - i);
		if (!open)
			break;
		const char *close = memmem(s.ptr + from, s.len - from, "}}", 2);
		if (!close) {
			test_error_in(u->p, node, from, 2, "\"{{\" is not closed");
			diag_hint(u->p->diags, "\"verbatim: true\" leaves braces alone");
			return false;
		}
		if (!append_placeholder(u, out, node, from, span_of(s.ptr + from + 2, (size_t)(close - s.ptr) - from - 2), v))
			return false;
		i = (size_t)(close - s.ptr) + 2;
	}
	if (out->len > start && out->data[out->len - 1] != '\n')
		buffer_append_char(out, '\n');
	return true;
}

/* The bytes of the block from `from` on, as lines. False with an error when the test has grown too large. */
static bool add_lines(struct unfolding *u, struct block *b, size_t from, int64_t time_ns, bool known, const struct yaml_node *at)
{
	for (size_t i = from; i < b->text.len;) {
		const char *end = memchr(b->text.data + i, '\n', b->text.len - i);
		size_t len = end ? (size_t)(end - b->text.data) - i + 1 : b->text.len - i;
		ARRAY_GROW(b->lines, b->n, b->cap);
		b->lines[b->n++] = (struct block_line){ i, len, time_ns, known };
		u->n_lines++;
		i += len;
	}
	u->n_bytes += b->text.len - from;
	if (u->n_lines <= TEST_LINES_MAX && u->n_bytes <= TEST_BYTES_MAX)
		return true;
	test_error(u->p, at, "the input of this test is larger than %d lines or %zu MiB", TEST_LINES_MAX, TEST_BYTES_MAX >> 20);
	return false;
}

/* Gives the lines the times that their own decoder finds in them. */
static void ask_decoder(struct unfolding *u, struct block *b)
{
	struct source s = *u->t->logs[b->log].source;
	struct record_list records = { 0 };

	s.zone = u->t->zone;
	struct decoder *d = decoder_new(&s, &u->p->rs->fields, u->t->zone, RECORD_LIMIT_DEFAULT);
	decoder_begin_file(d, b->n ? b->lines[0].time_ns : TIME_NONE);
	buffer_reserve(&b->text, FOR_PATTERN);
	memset(b->text.data + b->text.len, 0, FOR_PATTERN);
	decoder_frame(d, buffer_span(&b->text), true, &records);
	size_t k = 0;
	for (size_t i = 0; i < b->n; i++) {
		while (k < records.n && records.items[k].offset < b->lines[i].offset + b->lines[i].len)
			k++;
		if (k && records.items[k - 1].time_ns != TIME_NONE)
			b->lines[i].time_ns = records.items[k - 1].time_ns;
	}
	free(records.items);
	decoder_free(d);
}

static bool read_lines(struct unfolding *u, struct block *b, const struct yaml_node *n, int64_t time_ns, int64_t every_ns, uint64_t times,
		       const struct yaml_node *each)
{
	const struct yaml_node *lines = yaml_find(n, "lines")->value;
	struct placeholders v = { .time_ns = time_ns, .has_each = each != NULL, .source = u->t->logs[b->log].source };
	bool verbatim = false;

	if (!test_get_bool(u->p, n, "verbatim", &verbatim))
		return false;
	if (lines->kind != YAML_SCALAR || lines->text.len == 0) {
		test_error(u->p, lines, "\"lines\" must be a text");
		diag_hint(u->p->diags, "lines: | and the lines of the log below it, indented");
		return false;
	}
	for (uint64_t i = 0; i < times; i++) {
		size_t from = b->text.len;
		v.n = i + 1;
		if (each)
			v.each = each->items[i]->text;
		if (!append_text(u, &b->text, lines, &v, verbatim) || !add_lines(u, b, from, v.time_ns, false, n))
			return false;
		if (i + 1 < times && !test_time_add(&v.time_ns, every_ns)) {
			test_error(u->p, n, "this block goes on for too long");
			return false;
		}
	}
	ask_decoder(u, b);
	return true;
}

/* ---- processes ---- */

struct process {
	const struct yaml_node *node, *command;
	uint64_t pid, ppid, times;
	int64_t age_ns, cputime_ns; /* at the first sample; cputime_ns TIME_NONE: as cpu says */
	int64_t *samples;           /* thousandths of a percent, PAUSE or GONE */
	uint64_t n_samples;
	int64_t born_ns, used_ns, seen_ns; /* while rows are made */
};

/* '95x12 _x4 - 0.5': samples, each with a count. */
static bool read_samples(struct unfolding *u, const struct yaml_node *n, struct process *p)
{
	struct span s = n->text;
	size_t cap = 0;

	for (size_t i = 0; i < s.len;) {
		size_t from = i;
		if (s.ptr[i] == ' ' || s.ptr[i] == '\n') {
			i++;
			continue;
		}
		while (i < s.len && s.ptr[i] != ' ' && s.ptr[i] != '\n')
			i++;
		struct span word = span_of(s.ptr + from, i - from), count;
		const char *x = memchr(word.ptr, 'x', word.len);
		uint64_t times = 1;
		int64_t sample;
		double v = 0;
		if (x) {
			count = span_from(word, (size_t)(x - word.ptr) + 1);
			word.len = (size_t)(x - word.ptr);
			double t;
			if (!span_to_number(count, &t) || t < 1 || t > TEST_LINES_MAX || t != (double)(uint64_t)t)
				goto bad;
			times = (uint64_t)t;
		}
		if (span_equal(word, SPAN("_")))
			sample = PAUSE;
		else if (span_equal(word, SPAN("-")))
			sample = GONE;
		else if (span_to_number(word, &v) && v >= 0 && v <= 100000)
			sample = (int64_t)(v * 1000 + 0.5);
		else
			goto bad;
		if (p->n_samples + times > TEST_LINES_MAX) {
			test_error_in(u->p, n, from, i - from, "more than %d samples", TEST_LINES_MAX);
			return false;
		}
		while (p->n_samples + times > cap) {
			cap = cap ? cap * 2 : 64;
			p->samples = xrealloc(p->samples, cap * sizeof *p->samples);
		}
		for (uint64_t k = 0; k < times; k++)
			p->samples[p->n_samples++] = sample;
		continue;
	bad:
		test_error_in(u->p, n, from, i - from, "this is no sample");
		diag_hint(u->p->diags, "95: percent of a CPU; 95x12: twelve of them; _: no snapshot; -: the process is not in it");
		return false;
	}
	if (p->n_samples)
		return true;
	test_error(u->p, n, "\"cpu\" has no samples");
	return false;
}

static bool read_process(struct unfolding *u, const struct yaml_node *n, struct process *p)
{
	*p = (struct process){ .node = n, .ppid = 1, .times = 1, .age_ns = NS_PER_SECOND, .cputime_ns = TIME_NONE };
	if (!test_check_keys(u->p, n, "a process", process_keys))
		return false;
	if (!yaml_find(n, "pid") || !test_get_text(u->p, n, "command") || !yaml_find(n, "cpu")) {
		test_error(u->p, n, "a process needs \"pid\", \"command\" and \"cpu\"");
		return false;
	}
	p->command = yaml_find(n, "command")->value;
	if (memchr(p->command->text.ptr, '\n', p->command->text.len)) {
		test_error(u->p, p->command, "a command is one line");
		return false;
	}
	const struct yaml_node *cpu = yaml_find(n, "cpu")->value;
	if (cpu->kind != YAML_SCALAR) {
		test_error(u->p, cpu, "\"cpu\" must be a series, such as '95x12 _x4 95x3'");
		return false;
	}
	return test_get_count(u->p, n, "pid", 1, 4194304, &p->pid) && test_get_count(u->p, n, "ppid", 0, 4194304, &p->ppid) &&
	       test_get_count(u->p, n, "times", 1, PROCESSES_MAX, &p->times) && test_get_duration(u->p, n, "age", &p->age_ns) &&
	       test_get_duration(u->p, n, "cputime", &p->cputime_ns) && read_samples(u, cpu, p);
}

/* thousandths of a percent of a duration */
static int64_t share_of(int64_t duration_ns, int64_t sample)
{
	return (int64_t)((__int128)duration_ns * sample / 100000);
}

/* The rows of one process in the snapshot of time_ns. False when its age cannot be. */
static bool append_rows(struct unfolding *u, struct buffer *out, struct process *p, int64_t sample, int64_t time_ns, const struct source *s)
{
	bool first = p->seen_ns == TIME_NONE;

	if (first) {
		p->born_ns = time_ns;
		if (!test_time_add(&p->born_ns, -p->age_ns)) {
			test_error(u->p, p->node, "this process is too old");
			return false;
		}
		p->used_ns = p->cputime_ns != TIME_NONE ? p->cputime_ns : share_of(p->age_ns, sample);
	} else {
		p->used_ns += share_of(time_ns - p->seen_ns, sample);
	}
	p->seen_ns = time_ns;
	int64_t age_ns = time_ns - p->born_ns, used_s = p->used_ns / NS_PER_SECOND;
	int64_t tenths = age_ns > 0 ? (int64_t)((__int128)p->used_ns * 1000 / age_ns) : 0;
	for (uint64_t k = 0; k < p->times; k++) {
		struct placeholders v = { .time_ns = time_ns, .n = k + 1, .source = s };
		buffer_printf(out, "%llu %llu %lld.%lld %lld %02lld:%02lld:%02lld ", (unsigned long long)(p->pid + k), (unsigned long long)p->ppid,
			      (long long)(tenths / 10), (long long)(tenths % 10), (long long)(age_ns / NS_PER_SECOND), (long long)(used_s / 3600),
			      (long long)(used_s / 60 % 60), (long long)(used_s % 60));
		if (!append_text(u, out, p->command, &v, false))
			return false;
	}
	return true;
}

/* Do all processes agree whether there is a snapshot here? Those whose series has ended say nothing. *ret_any: there is one. */
static bool check_step(struct unfolding *u, const struct process *list, uint32_t n, uint64_t step, bool *ret_any)
{
	const struct process *pause = NULL, *sample = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (step >= list[i].n_samples)
			continue;
		if (list[i].samples[step] == PAUSE)
			pause = &list[i];
		else
			sample = &list[i];
	}
	*ret_any = !pause;
	if (!pause || !sample)
		return true;
	test_error(u->p, yaml_find(pause->node, "cpu")->value, "sample %llu is \"_\" (no snapshot), but another process has one there",
		   (unsigned long long)step + 1);
	diag_hint(u->p->diags, "a snapshot holds all processes; write - for one that is not there");
	return false;
}

static bool append_snapshots(struct unfolding *u, struct block *b, struct process *list, uint32_t n, int64_t time_ns, int64_t every_ns,
			     const struct yaml_node *at)
{
	const struct source *s = u->t->logs[b->log].source;
	uint64_t steps = 0;
	bool init = false;

	for (uint32_t i = 0; i < n; i++) {
		if (list[i].n_samples > steps)
			steps = list[i].n_samples;
		init |= list[i].pid == 1;
		list[i].seen_ns = TIME_NONE;
	}
	for (uint64_t step = 0; step < steps; step++) {
		size_t from = b->text.len;
		bool any;
		if (!check_step(u, list, n, step, &any))
			return false;
		if (any) {
			append_stamp(&b->text, time_ns, u->t->zone, FORMAT_PS, NULL);
			buffer_append_string(&b->text, "\n  PID  PPID %CPU ELAPSED     TIME COMMAND\n");
			if (!init)
				buffer_append_string(&b->text, "1 0 0.0 900000 00:00:09 /sbin/init\n");
		}
		for (uint32_t i = 0; any && i < n; i++)
			if (step < list[i].n_samples && list[i].samples[step] != GONE &&
			    !append_rows(u, &b->text, &list[i], list[i].samples[step], time_ns, s))
				return false;
		if (!add_lines(u, b, from, time_ns, true, at))
			return false;
		if (step + 1 < steps && !test_time_add(&time_ns, every_ns)) {
			test_error(u->p, at, "this block goes on for too long");
			return false;
		}
	}
	return true;
}

static bool read_processes(struct unfolding *u, struct block *b, const struct yaml_node *n, int64_t time_ns, int64_t every_ns)
{
	const struct yaml_node *items = test_get_list(u->p, n, "processes");
	const struct yaml_pair *wrong;
	bool ok = items != NULL;
	uint64_t rows = 0;

	if (!items)
		return false;
	if (u->t->logs[b->log].source->format != FORMAT_PS) {
		test_error(u->p, yaml_find(n, "processes")->key, "only the source ps has processes");
		return false;
	}
	if ((wrong = yaml_find(n, "times")) || (wrong = yaml_find(n, "each"))) {
		test_error(u->p, wrong->key, "the series of \"cpu\" say how often: \"%s\" is not for processes", wrong->key->text.ptr);
		return false;
	}
	struct process *list = xcalloc(items->n ? items->n : 1, sizeof *list);
	for (uint32_t i = 0; i < items->n; i++) {
		ok &= read_process(u, items->items[i], &list[i]);
		rows += list[i].times;
	}
	if (ok && rows > PROCESSES_MAX) {
		test_error(u->p, n, "more than %d processes", PROCESSES_MAX);
		ok = false;
	}
	ok = ok && append_snapshots(u, b, list, items->n, time_ns, every_ns, n);
	for (uint32_t i = 0; i < items->n; i++)
		free(list[i].samples);
	free(list);
	return ok;
}

/* ---- blocks ---- */

static bool read_block(struct unfolding *u, const struct yaml_node *n)
{
	struct test_parser *p = u->p;
	int64_t time_ns = u->t->start_ns, every_ns = 0;
	uint64_t times = 1;

	if (!test_check_keys(p, n, "a block of input", block_keys))
		return false;
	const struct yaml_pair *lines = yaml_find(n, "lines"), *processes = yaml_find(n, "processes"), *each = yaml_find(n, "each");
	const char *name = test_get_text(p, n, "source");
	if (!name || !lines == !processes) {
		if (name || !yaml_find(n, "source"))
			test_error(p, n, name ? "a block of input needs \"lines\" or \"processes\"" : "a block of input needs a \"source\"");
		return false;
	}
	const struct source *s = find_source(p, yaml_find(n, "source")->value, name);
	if (!s || !test_get_time(p, u->t, n, "at", &time_ns) || !test_get_duration(p, n, "every", &every_ns) ||
	    !test_get_count(p, n, "times", 1, TEST_LINES_MAX, &times))
		return false;
	if (each) {
		const struct yaml_node *words = test_get_list(p, n, "each");
		if (!words)
			return false;
		if (yaml_find(n, "times")) {
			test_error(p, yaml_find(n, "times")->key, "\"each\" says how often: leave \"times\" out");
			return false;
		}
		for (uint32_t i = 0; i < words->n; i++)
			if (words->items[i]->kind != YAML_SCALAR) {
				test_error(p, words->items[i], "\"each\" must be a list of texts");
				return false;
			}
		times = words->n;
	} else if (lines && yaml_find(n, "every") && !yaml_find(n, "times")) {
		test_error(p, yaml_find(n, "every")->key, "\"every\" without \"times\": how often?");
		return false;
	}
	ARRAY_GROW(u->blocks, u->n_blocks, u->cap_blocks);
	struct block *b = &u->blocks[u->n_blocks++];
	*b = (struct block){ .log = log_of(u, s, time_ns) };
	return lines ? read_lines(u, b, n, time_ns, every_ns, times, each ? each->value : NULL) : read_processes(u, b, n, time_ns, every_ns);
}

/* All blocks' lines in the order of their time; of equal ones, the log and the block that was written first. */
static void merge(struct unfolding *u)
{
	struct test_case *t = u->t;

	t->lines = zalloc(u->p, u->n_lines, sizeof *t->lines);
	for (;;) {
		struct block *best = NULL;
		for (size_t i = 0; i < u->n_blocks; i++) {
			struct block *b = &u->blocks[i];
			if (b->next == b->n)
				continue;
			if (!best || b->lines[b->next].time_ns < best->lines[best->next].time_ns)
				best = b;
		}
		if (!best)
			return;
		const struct block_line *l = &best->lines[best->next++];
		t->lines[t->n_lines++] = (struct test_line){ best->log, l->time_ns, arena_dup_span(&u->p->file->arena, span_of(best->text.data + l->offset, l->len)) };
	}
}

bool test_input_read(struct test_parser *p, struct test_case *t, const struct yaml_node *input)
{
	struct unfolding u = { .p = p, .t = t };
	bool ok = true;

	if (input->n > BLOCKS_MAX) {
		test_error(p, input, "more than %d blocks of input", BLOCKS_MAX);
		return false;
	}
	t->logs = zalloc(p, input->n, sizeof *t->logs);
	for (uint32_t i = 0; i < input->n; i++)
		ok &= read_block(&u, input->items[i]);
	if (ok)
		merge(&u);
	for (size_t i = 0; i < u.n_blocks; i++) {
		buffer_release(&u.blocks[i].text);
		free(u.blocks[i].lines);
	}
	free(u.blocks);
	return ok;
}
