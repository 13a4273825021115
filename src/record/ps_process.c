/*
 * ps_process.c: the processes of a stream, from snapshot to snapshot. A process is (pid, started). It decides whether a row is about the process
 * known under its PID: it is when the intervals in which the two may have started overlap and its CPU time has not gone down; a
 * row that says nothing of the start must follow soon, with the same command or after a row that did say something. `started`
 * never changes then, except when better evidence replaces a day, a year or nothing.
 *
 * What is kept is bounded: PROCESS_LIMIT processes, the stalest give way; those that two complete snapshots did not hold are
 * forgotten.
 */
#include "base/memory.h"
#include "record/ps.h"

#include <math.h>
#include <stdlib.h>

#define PROCESS_LIMIT 65536
#define DAY_NS (86400 * NS_PER_SECOND)
#define RECENT 4 /* snapshots; a process without a known start is forgotten after as many without it */

static uint32_t *process_slot(struct ps_processes *t, uint32_t pid, bool make)
{
	uint32_t **page;

	if (pid >= PS_PID_LIMIT)
		return NULL;
	page = &t->pages[pid / PS_PID_PAGE];
	if (!*page) {
		if (!make)
			return NULL;
		*page = xcalloc(PS_PID_PAGE, sizeof **page);
	}
	return *page + pid % PS_PID_PAGE;
}

struct ps_process *ps_process_find(struct ps_processes *t, uint32_t pid)
{
	const uint32_t *slot = process_slot(t, pid, false);

	return slot && *slot ? &t->items[*slot] : NULL;
}

static void process_unlink(struct ps_processes *t, const struct ps_process *p)
{
	if (p->older)
		t->items[p->older].newer = p->newer;
	else
		t->oldest = p->newer;
	if (p->newer)
		t->items[p->newer].older = p->older;
	else
		t->newest = p->older;
}

static void process_append(struct ps_processes *t, struct ps_process *p)
{
	uint32_t index = (uint32_t)(p - t->items);

	p->older = t->newest;
	p->newer = 0;
	if (t->newest)
		t->items[t->newest].newer = index;
	else
		t->oldest = index;
	t->newest = index;
}

static void process_remove(struct ps_processes *t, struct ps_process *p)
{
	process_unlink(t, p);
	*process_slot(t, p->pid, false) = 0;
	free((char *)p->command.ptr);
	p->command = span_of(NULL, 0);
	p->newer = t->free;
	t->free = (uint32_t)(p - t->items);
	t->n_used--;
}

/* NULL when the PID is one that cannot be. */
static struct ps_process *process_add(struct ps_processes *t, uint32_t pid)
{
	uint32_t *slot = process_slot(t, pid, true);
	struct ps_process *p;

	if (!slot)
		return NULL;
	if (t->n_used == PROCESS_LIMIT)
		process_remove(t, &t->items[t->oldest]);
	if (!t->free) {
		if (t->n_items == 0)
			t->n_items = 1;
		while (t->n_items >= t->cap_items) {
			t->cap_items = t->cap_items ? t->cap_items * 2 : 64;
			t->items = xrealloc(t->items, t->cap_items * sizeof *t->items);
		}
		t->items[t->n_items].newer = 0;
		t->free = t->n_items++;
	}
	p = &t->items[t->free];
	*slot = t->free;
	t->free = p->newer;
	*p = (struct ps_process){ .pid = pid, .tier = PS_TIER_NONE, .cputime = NAN, .command = { NULL, 0 } };
	process_append(t, p);
	t->n_used++;
	return p;
}

static void process_set_command(struct ps_process *p, struct span command)
{
	if (command.len > PS_COMMAND_LIMIT) {
		command.len = PS_COMMAND_LIMIT;
		while (command.len > 0 && ((unsigned char)command.ptr[command.len] & 0xc0) == 0x80)
			command.len--;
	}
	if (span_equal(p->command, command))
		return;
	free((char *)p->command.ptr);
	p->command = span_of(xmemdup(command.ptr, command.len), command.len);
}

/* Is this row about the process that is known under its PID? */
static bool same_process(const struct ps_processes *t, const struct ps_snapshot *now, bool threads, const struct ps_process *p,
			 const struct ps_row *r)
{
	if (p->seen == now->number && threads)
		return true; /* another of its threads */
	if (!isnan(r->cputime) && !r->cputime_coarse && !isnan(p->cputime) && floor(r->cputime) < floor(p->cputime))
		return false;
	if (r->start.tier != PS_TIER_NONE)
		return r->start.low_ns <= p->high_ns && r->start.high_ns >= p->low_ns;
	if (now->number - p->seen > RECENT || p->seen < t->complete)
		return false;
	return p->tier != PS_TIER_NONE || span_equal(p->command, r->command) ||
	       (p->command.len + 3 >= PS_COMMAND_LIMIT && span_starts_with(r->command, p->command));
}

static void process_begin(const struct ps_snapshot *now, struct ps_process *p, const struct ps_row *r)
{
	int64_t before = p->start_ns;
	int64_t now_ns = ps_floor_div(now->time_ns, NS_PER_SECOND) * NS_PER_SECOND;
	bool again = p->seen != 0;

	p->tier = r->start.tier;
	if (p->tier == PS_TIER_NONE) {
		p->start_ns = now_ns;
		p->low_ns = INT64_MIN;
		p->high_ns = now->time_ns + PS_SLACK_NS;
	} else {
		p->start_ns = r->start.start_ns;
		p->low_ns = r->start.low_ns;
		p->high_ns = r->start.high_ns;
	}
	/* A PID that came back within a minute: two processes must not have one name. */
	if (again && p->start_ns == before && now_ns > before && now_ns <= p->high_ns)
		p->start_ns = now_ns;
	p->cputime = NAN;
}

struct ps_process *ps_process_see(struct ps_processes *t, const struct ps_snapshot *now, bool threads, const struct ps_row *r,
				  double *ret_cpu_now)
{
	struct ps_process *p = ps_process_find(t, r->pid);
	bool again = p && p->seen == now->number;

	*ret_cpu_now = NAN;
	if (!p) {
		p = process_add(t, r->pid);
		if (!p)
			return NULL;
		process_begin(now, p, r);
	} else if (!same_process(t, now, threads, p, r)) {
		process_begin(now, p, r);
	} else if (r->start.tier != PS_TIER_NONE) {
		if (p->tier >= PS_TIER_HOUR && r->start.tier < p->tier) {
			p->tier = r->start.tier;
			p->start_ns = r->start.start_ns;
		}
		if (p->low_ns == INT64_MIN || (r->start.high_ns - r->start.low_ns) < (p->high_ns - p->low_ns) / 2) {
			p->low_ns = r->start.low_ns;
			p->high_ns = r->start.high_ns;
		}
	}
	if (!isnan(r->cputime) && !r->cputime_coarse) {
		int64_t past_ns = now->time_ns - p->base_ns;

		if (isnan(p->cputime) || past_ns < 0) {
			p->cputime = r->cputime;
			p->base_ns = now->time_ns;
		} else if (past_ns >= NS_PER_SECOND && !(again && threads)) {
			double used = r->cputime > p->cputime ? r->cputime - p->cputime : 0;

			*ret_cpu_now = round(1000 * used / ((double)past_ns / (double)NS_PER_SECOND)) / 10;
			p->cputime = r->cputime;
			p->base_ns = now->time_ns;
		}
	}
	if (!again || !threads)
		process_set_command(p, r->command);
	p->seen = now->number;
	process_unlink(t, p);
	process_append(t, p);
	return p;
}

void ps_processes_settle(struct ps_processes *t, uint64_t number)
{
	t->complete_before = t->complete;
	t->complete = number;
	while (t->oldest && t->items[t->oldest].seen < t->complete_before)
		process_remove(t, &t->items[t->oldest]);
}

void ps_processes_release(struct ps_processes *t)
{
	for (uint32_t i = t->oldest; i; i = t->items[i].newer)
		free((char *)t->items[i].command.ptr);
	for (size_t i = 0; i < PS_PID_LIMIT / PS_PID_PAGE; i++)
		free(t->pages[i]);
	free(t->items);
}

/* complete, complete_before · count, processes, stalest first */
void ps_processes_save(const struct ps_processes *t, struct buffer *out)
{
	codec_put_u64(out, t->complete);
	codec_put_u64(out, t->complete_before);
	codec_put_u64(out, t->n_used);
	for (uint32_t i = t->oldest; i; i = t->items[i].newer) {
		const struct ps_process *p = &t->items[i];

		codec_put_u64(out, p->pid);
		codec_put_u64(out, p->tier);
		codec_put_i64(out, p->start_ns);
		codec_put_i64(out, p->low_ns);
		codec_put_i64(out, p->high_ns);
		codec_put_i64(out, p->base_ns);
		codec_put_double(out, p->cputime);
		codec_put_u64(out, p->seen);
		codec_put_span(out, p->command);
	}
}

bool ps_time_possible(int64_t t)
{
	return t == TIME_NONE || (t > -(int64_t)PS_SECONDS_LIMIT * NS_PER_SECOND - DAY_NS && t < PS_EPOCH_LIMIT * NS_PER_SECOND + 400 * DAY_NS);
}

bool ps_processes_load(struct ps_processes *t, uint64_t newest, struct codec_reader *in)
{
	uint64_t seen_before = 0;
	size_t n;

	t->complete = codec_get_u64(in);
	t->complete_before = codec_get_u64(in);
	n = codec_get_count(in);
	if (in->bad || t->complete > newest || t->complete_before > t->complete || n > PROCESS_LIMIT)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t number = codec_get_u64(in), tier = codec_get_u64(in);
		struct ps_process p = { .pid = (uint32_t)number };
		struct ps_process *new;
		struct span command;

		p.start_ns = codec_get_i64(in);
		p.low_ns = codec_get_i64(in);
		p.high_ns = codec_get_i64(in);
		p.base_ns = codec_get_i64(in);
		p.cputime = codec_get_double(in);
		p.seen = codec_get_u64(in);
		command = codec_get_span(in);
		if (in->bad || number == 0 || number >= PS_PID_LIMIT || tier > PS_TIER_NONE || ps_process_find(t, p.pid) ||
		    !ps_time_possible(p.start_ns) || !ps_time_possible(p.low_ns) || !ps_time_possible(p.high_ns) ||
		    !ps_time_possible(p.base_ns) || p.start_ns == TIME_NONE || p.high_ns == TIME_NONE || p.base_ns == TIME_NONE ||
		    p.low_ns > p.high_ns || (!isnan(p.cputime) && !(p.cputime >= 0 && p.cputime < 2 * PS_SECONDS_LIMIT)) ||
		    p.seen < seen_before || p.seen > newest || command.len > PS_COMMAND_LIMIT)
			return false;
		seen_before = p.seen;
		new = process_add(t, p.pid);
		new->tier = (enum ps_tier)tier;
		new->start_ns = p.start_ns;
		new->low_ns = p.low_ns;
		new->high_ns = p.high_ns;
		new->base_ns = p.base_ns;
		new->cputime = p.cputime;
		new->seen = p.seen;
		process_set_command(new, command);
	}
	return true;
}
