/*
 * format_ps.c: process listings over time: ps in any of its forms, pgrep, top in batch mode. It decides where a snapshot begins
 * and what time it has. What a line says is read by ps_line.c and ps_row.c; which process a row is about, ps_process.c says.
 *
 * A snapshot is a stamp, a header and rows, where stamp or header may be missing:
 *
 *	2026-02-17T08:00:01+00:00          stamp: begins a snapshot
 *	  PID  PPID %CPU ELAPSED COMMAND   header: begins one when there are rows or a header since the last beginning
 *	    1     0  0.0  900000 init      rows
 *
 * Rows without a header ("PID command", pgrep -fa) are a snapshot of their own; they come in rising order, so a PID that does not
 * rise begins another. Snapshots of the same stamp are told apart by a millisecond each, so that the engine never
 * takes two listings for one.
 *
 * Not done here: what a process missing from a snapshot means. The END event says that a snapshot is over and whether it was
 * complete; a listing is taken for complete when it has a header, PID 1, no damaged row of a known process, as many rows as top
 * counted tasks, and is not ordered by falling %CPU (those have mostly been cut by head).
 */
#include "base/memory.h"
#include "record/ansi.h"
#include "record/ps.h"

#include <math.h>
#include <stdlib.h>

#define SORTED_ROWS 8
#define SAME_STAMP_NS (NS_PER_SECOND / 1000)

struct ps_state {
	/* what begins() knows, which runs ahead of parse() */
	bool framed_stamp, framed_header;
	uint32_t framed_pid;
	int64_t framed_ns;

	char *header; /* NULL: none yet */
	struct ps_columns columns;
	struct ps_snapshot now;
	struct ps_processes processes;
};

/* ---- times ---- */

/* Snapshots of other centuries have no time: nothing is reckoned with it. */
static int64_t sane_time(int64_t t)
{
	return t >= 0 && t <= PS_EPOCH_LIMIT * NS_PER_SECOND ? t : TIME_NONE;
}

/* A clock without a date: the next such time after the last stamp (a clock may have been set back a little), or the last one before arrival or mtime. */
static int64_t clock_resolve(const struct format_context *c, const struct civil *clock)
{
	struct civil dated = *clock;
	int64_t near = c->previous_ns, day, t = TIME_NONE;

	if (near == TIME_NONE)
		return civil_to_time(clock, c->zone, TIME_NONE);
	day = ps_floor_div(ps_floor_div(near, NS_PER_SECOND) + zone_offset_s(c->zone, near), 86400);
	for (int i = 0; i < 3; i++) {
		civil_from_days(c->previous_is_stamp ? day - 1 + i : day + 1 - i, &dated.year, &dated.month, &dated.day);
		if (!civil_valid(&dated))
			continue;
		t = civil_to_time(&dated, c->zone, c->previous_is_stamp ? near : TIME_NONE);
		if (c->previous_is_stamp ? t >= near - 7200 * NS_PER_SECOND : t <= near + 60 * NS_PER_SECOND)
			return t;
	}
	return t;
}

static int64_t stamp_time(const struct format_context *c, const struct ps_stamp *s)
{
	if (s->time_ns != TIME_NONE)
		return s->time_ns;
	return s->clock_only ? clock_resolve(c, &s->civil) : stamp_resolve(c, &s->civil);
}

/* ---- snapshots ---- */

static bool snapshot_is_complete(const struct ps_snapshot *s)
{
	bool by_cpu = s->tasks == 0 && s->rows >= SORTED_ROWS && s->cpu_falls && !s->pid_rises && s->first_cpu > s->last_cpu;

	return s->columns && s->init && !s->damaged && s->rows >= s->tasks && !by_cpu;
}

static void snapshot_begin(struct ps_state *st, int64_t time_ns)
{
	struct ps_snapshot *s = &st->now;
	int64_t ns = time_ns;

	if (s->rows > 0 && snapshot_is_complete(s))
		ps_processes_settle(&st->processes, s->number);
	if (time_ns != TIME_NONE && time_ns == s->time_ns)
		ns = s->rows > 0 ? s->ns + SAME_STAMP_NS : s->ns;
	*s = (struct ps_snapshot){ .time_ns = time_ns, .ns = ns, .number = s->number + 1, .pid_rises = true, .cpu_falls = true };
}

/* The event of a line that begins a snapshot: the end of the one before it, when that had rows. */
static enum parse_result snapshot_next(struct ps_state *st, int64_t time_ns, struct event *e)
{
	int64_t old_ns = st->now.ns;
	bool had_rows = st->now.rows > 0, complete = snapshot_is_complete(&st->now);

	snapshot_begin(st, time_ns);
	if (!had_rows)
		return PARSE_NOTHING;
	e->kind = EVENT_SNAPSHOT_END;
	e->snapshot_ns = old_ns;
	e->snapshot_complete = complete;
	/* Never before the rows that it ends, whatever the clock did. */
	if (st->now.ns > e->time_ns)
		e->time_ns = st->now.ns;
	if (old_ns > e->time_ns)
		e->time_ns = old_ns;
	return PARSE_EVENT;
}

static void snapshot_count_row(struct ps_snapshot *s, const struct ps_row *r)
{
	if (s->rows > 0 && r->pid <= s->last_pid)
		s->pid_rises = false;
	s->last_pid = r->pid;
	if (isnan(r->cpu) || (s->rows > 0 && r->cpu > s->last_cpu))
		s->cpu_falls = false;
	if (s->rows == 0)
		s->first_cpu = r->cpu;
	s->last_cpu = r->cpu;
	if (r->pid == 1)
		s->init = true;
	s->rows++;
}

/* ---- rows ---- */

static void add_text(struct event *e, field_id f, struct span text)
{
	if (text.len > 0)
		event_add(e, f, text, VALUE_STRING);
}

/* As written where that is a plain number, so that 97.0 stays 97.0. */
static void add_decimal(struct event *e, field_id f, struct span text, double v)
{
	if (isnan(v))
		return;
	if (memchr(text.ptr, ',', text.len))
		event_add_number(e, f, v);
	else
		event_add(e, f, text, VALUE_NUMBER);
}

static void add_seconds(struct event *e, field_id f, double v)
{
	if (isnan(v))
		return;
	if (v == floor(v))
		event_add_integer(e, f, (int64_t)v);
	else
		event_add_number(e, f, round(v * 100) / 100);
}

/* Columns without a field of ours are fields of their names: rss, vsz, tty, nice … */
static void add_other_columns(const struct format_context *c, const struct ps_columns *columns, const struct span cells[], struct event *e)
{
	for (size_t i = 0; i < columns->n; i++) {
		char name[32];
		size_t n = 0;
		field_id f;
		double v;

		if (columns->kind[i] != PS_COLUMN_OTHER && columns->kind[i] != PS_COLUMN_THREAD)
			continue;
		for (size_t k = 0; k < columns->name[i].len && n < sizeof name; k++) {
			char ch = columns->name[i].ptr[k];

			if (ch != '%' && ch != '+' && ch != '#')
				name[n++] = ps_is_upper(ch) ? (char)(ch + 32) : ch;
		}
		if (n == 2 && memcmp(name, "tt", 2) == 0)
			name[n++] = 'y';
		f = n > 0 ? context_field(c, span_of(name, n)) : FIELD_NONE;
		if (f == FIELD_NONE || f < FIELD_BUILTIN_COUNT || ps_nothing_written(cells[i]))
			continue;
		event_add(e, f, cells[i], span_to_number(cells[i], &v) ? VALUE_NUMBER : VALUE_STRING);
	}
}

static void add_parent(struct ps_state *st, const struct ps_row *r, struct event *e)
{
	const struct ps_process *parent;
	struct span command;

	if (r->ppid == 0 || r->ppid == r->pid)
		return;
	parent = ps_process_find(&st->processes, r->ppid);
	if (!parent || parent->command.len == 0)
		return;
	/* Rows that follow may change what is kept. */
	command = arena_dup_span(&e->arena, parent->command);
	event_add(e, FIELD_PARENT, command, VALUE_STRING);
	add_text(e, FIELD_PARENT_PROGRAM, ps_program_of(command));
}

static void add_time(struct event *e, field_id f, int64_t time_ns)
{
	char *text = arena_alloc(&e->arena, TIME_TEXT_SIZE);

	event_add(e, f, span_of(text, time_format_utc_to(text, time_ns)), VALUE_STRING);
}

static enum parse_result row_event(struct ps_state *st, const struct ps_row *r, struct event *e)
{
	double cpu_now = NAN, elapsed = r->elapsed;
	const struct ps_process *p = NULL;

	snapshot_count_row(&st->now, r);
	if (st->now.time_ns != TIME_NONE) {
		p = ps_process_see(&st->processes, &st->now, st->columns.has_threads, r, &cpu_now);
		if (e->time_ns != TIME_NONE && e->time_ns != st->now.ns)
			add_time(e, FIELD_TIME, e->time_ns); /* as stamped */
		e->time_ns = e->snapshot_ns = st->now.ns;
	}
	event_add(e, FIELD_TYPE, SPAN("process"), VALUE_STRING);
	event_add(e, FIELD_PID, r->pid_text, VALUE_NUMBER);
	if (r->ppid_text.len > 0)
		event_add(e, FIELD_PPID, r->ppid_text, VALUE_NUMBER);
	add_text(e, FIELD_USER, r->user);
	add_decimal(e, FIELD_CPU, r->cpu_text, r->cpu);
	if (!isnan(cpu_now))
		event_add_number(e, FIELD_CPU_NOW, cpu_now);
	add_decimal(e, FIELD_MEM, r->mem_text, r->mem);
	if (p && isnan(elapsed))
		elapsed = st->now.time_ns > p->start_ns ? (double)((st->now.time_ns - p->start_ns) / NS_PER_SECOND) : 0;
	add_seconds(e, FIELD_ELAPSED, elapsed);
	add_seconds(e, FIELD_CPUTIME, r->cputime);
	if (p)
		add_time(e, FIELD_STARTED, p->start_ns);
	add_text(e, FIELD_COMMAND, r->command);
	if (r->command.len > 0) {
		add_text(e, FIELD_PROGRAM, ps_program_of(r->command));
		add_text(e, FIELD_RIG, ps_rig_of(r->command));
	}
	add_text(e, FIELD_STATE, r->state);
	add_parent(st, r, e);
	return PARSE_EVENT;
}

/* A row that cannot be read may be that of a process we know, which is not gone then. */
static enum parse_result row_damaged(struct ps_state *st, struct span line)
{
	bool comment = *line.ptr == '#';

	if (st->header && (st->now.header || st->now.columns)) {
		uint32_t pid;

		for (size_t i = 0; i < st->columns.n; i++) {
			struct span word = ps_take_word(&line);

			if (st->columns.kind[i] == PS_COLUMN_PID && ps_parse_pid(word, &pid) && ps_process_find(&st->processes, pid))
				st->now.damaged = true;
		}
	}
	return comment ? PARSE_NOTHING : PARSE_UNPARSED;
}

static void remember_header(struct ps_state *st, struct span line)
{
	if (!st->header || strlen(st->header) != line.len || memcmp(st->header, line.ptr, line.len) != 0) {
		free(st->header);
		st->header = xmemdup(line.ptr, line.len);
	}
	ps_columns_parse(span_from_string(st->header), &st->columns);
}

/* Does the snapshot that goes on hold rows of pgrep's shape, and no others? */
static bool bare_allowed(const struct ps_snapshot *s)
{
	return !s->header && !s->columns;
}

static enum parse_result ps_parse(struct format_context *c, struct span raw, const struct record *r, struct event *e)
{
	struct ps_state *st = c->state;
	struct span line = ps_trim(raw), cells[PS_COLUMN_LIMIT];
	struct ps_stamp stamp;
	struct ps_columns columns;
	struct ps_row row;
	int64_t time_ns = sane_time(r->time_ns);

	if (line.len == 0)
		return PARSE_NOTHING;
	if (ps_stamp_parse(line, &stamp)) {
		enum parse_result result = snapshot_next(st, time_ns, e);

		if (stamp.host_offset && time_ns != TIME_NONE && zone_offset_s(c->zone, time_ns) != stamp.civil.zone_offset_s) {
			st->now.has_offset = true;
			st->now.offset_s = stamp.civil.zone_offset_s;
		}
		return result;
	}
	if (ps_columns_parse(line, &columns)) {
		enum parse_result result = PARSE_NOTHING;

		if (st->now.rows > 0 || st->now.header || st->now.number == 0) {
			bool has_offset = st->now.has_offset;
			int32_t offset_s = st->now.offset_s;

			result = snapshot_next(st, time_ns, e);
			st->now.has_offset = has_offset;
			st->now.offset_s = offset_s;
		}
		remember_header(st, line);
		st->now.header = true;
		return result;
	}
	if (st->now.number == 0)
		snapshot_begin(st, time_ns);
	if (st->header && (st->now.header || st->now.columns || st->now.rows == 0) &&
	    ps_row_parse(c, &st->columns, &st->now, line, cells, &row)) {
		st->now.columns = true;
		row_event(st, &row, e);
		add_other_columns(c, &st->columns, cells, e);
		return PARSE_EVENT;
	}
	if (ps_summary_line(line)) {
		if (span_starts_with(line, SPAN("Tasks:"))) {
			struct span rest = span_from(line, 6);
			uint32_t n;

			if (ps_parse_pid(ps_take_word(&rest), &n))
				st->now.tasks = n;
		}
		return PARSE_NOTHING;
	}
	row = ps_no_row;
	if (bare_allowed(&st->now) && ps_bare_row(line, &row.pid, &row.command)) {
		if (st->now.rows > 0 && (row.pid <= st->now.last_pid || time_ns != st->now.time_ns))
			snapshot_begin(st, time_ns);
		row.pid_text = span_of(line.ptr, 0);
		while (row.pid_text.len < line.len && ps_is_digit(line.ptr[row.pid_text.len]))
			row.pid_text.len++;
		return row_event(st, &row, e);
	}
	return row_damaged(st, line);
}

/*
 * Rows have the time of the line that began their snapshot. Without any stamp in the stream that is when the header arrived; of
 * pgrep's rows, when the first of them did.
 */
static bool ps_begins(struct format_context *c, struct span line, int64_t *ret_time)
{
	struct ps_state *st = c->state;
	struct ps_stamp stamp;
	struct ps_columns columns;
	struct span command;
	char plain[PS_HEADER_LIMIT];
	uint32_t pid;

	*ret_time = TIME_NONE;
	if (line.len == 0)
		return true;
	if (line.len <= sizeof plain && memchr(line.ptr, '\x1b', line.len))
		line = span_of(plain, ansi_strip(line, plain));
	line = ps_trim(line);
	if (line.len == 0)
		return true;
	if (ps_stamp_parse(line, &stamp)) {
		*ret_time = stamp_time(c, &stamp);
		st->framed_stamp = true;
		return true;
	}
	if (c->arrival_ns == TIME_NONE || st->framed_stamp)
		return true;
	if (ps_columns_parse(line, &columns)) {
		st->framed_header = true;
		*ret_time = c->arrival_ns;
	} else if (!st->framed_header && ps_bare_row(line, &pid, &command)) {
		if (pid <= st->framed_pid || st->framed_ns == TIME_NONE || c->arrival_ns > st->framed_ns + NS_PER_SECOND)
			*ret_time = st->framed_ns = c->arrival_ns;
		st->framed_pid = pid;
	}
	return true;
}

/* ---- state ---- */

static void *ps_state_new(struct format_context *c)
{
	struct ps_state *st = xcalloc(1, sizeof *st);

	(void)c;
	st->framed_ns = st->now.time_ns = st->now.ns = TIME_NONE;
	return st;
}

static void ps_state_free(void *state)
{
	struct ps_state *st = state;

	if (!st)
		return;
	ps_processes_release(&st->processes);
	free(st->header);
	free(st);
}

/*
 * framing: stamp seen, header seen, pid, ns · header's text · the snapshot · the processes
 */
static void ps_state_save(const void *state, struct buffer *out)
{
	const struct ps_state *st = state;
	const struct ps_snapshot *s = &st->now;

	codec_put_u64(out, st->framed_stamp);
	codec_put_u64(out, st->framed_header);
	codec_put_u64(out, st->framed_pid);
	codec_put_i64(out, st->framed_ns);
	codec_put_span(out, span_from_string(st->header));
	codec_put_i64(out, s->time_ns);
	codec_put_i64(out, s->ns);
	codec_put_u64(out, s->number);
	codec_put_u64(out, s->rows);
	codec_put_u64(out, s->tasks);
	codec_put_u64(out, (uint64_t)s->header | (uint64_t)s->columns << 1 | (uint64_t)s->damaged << 2 | (uint64_t)s->init << 3 |
				   (uint64_t)s->pid_rises << 4 | (uint64_t)s->cpu_falls << 5 | (uint64_t)s->has_offset << 6);
	codec_put_u64(out, s->last_pid);
	codec_put_double(out, s->first_cpu);
	codec_put_double(out, s->last_cpu);
	codec_put_i64(out, s->offset_s);
	ps_processes_save(&st->processes, out);
}

static bool ps_state_load(void *state, struct codec_reader *in)
{
	struct ps_state *st = state;
	struct ps_snapshot *s = &st->now;
	uint64_t flags, framed, pid, last_pid;
	int64_t offset;
	struct span header;

	framed = codec_get_u64(in);
	st->framed_stamp = framed & 1;
	st->framed_header = codec_get_u64(in) & 1;
	pid = codec_get_u64(in);
	st->framed_ns = codec_get_i64(in);
	header = codec_get_span(in);
	if (in->bad || pid > INT32_MAX || !ps_time_possible(st->framed_ns))
		return false;
	st->framed_pid = (uint32_t)pid;
	if (header.len > 0) {
		struct ps_columns columns;

		if (!ps_columns_parse(header, &columns) || memchr(header.ptr, 0, header.len))
			return false;
		remember_header(st, header);
	}
	s->time_ns = codec_get_i64(in);
	s->ns = codec_get_i64(in);
	s->number = codec_get_u64(in);
	s->rows = codec_get_u64(in);
	s->tasks = codec_get_u64(in);
	flags = codec_get_u64(in);
	last_pid = codec_get_u64(in);
	s->first_cpu = codec_get_double(in);
	s->last_cpu = codec_get_double(in);
	offset = codec_get_i64(in);
	if (in->bad || !ps_time_possible(s->time_ns) || !ps_time_possible(s->ns) || flags > 127 || last_pid > INT32_MAX || offset < -86400 ||
	    offset > 86400)
		return false;
	s->header = flags & 1;
	s->columns = flags & 2;
	s->damaged = flags & 4;
	s->init = flags & 8;
	s->pid_rises = flags & 16;
	s->cpu_falls = flags & 32;
	s->has_offset = flags & 64;
	s->last_pid = (uint32_t)last_pid;
	s->offset_s = (int32_t)offset;
	return ps_processes_load(&st->processes, s->number, in);
}

const struct format_ops format_ps = {
	.begins = ps_begins,
	.parse = ps_parse,
	.wants_all = true,
	.single_line = true,
	.state_new = ps_state_new,
	.state_free = ps_state_free,
	.state_save = ps_state_save,
	.state_load = ps_state_load,
};
