/*
 * generate.c: a made-up town log of N bytes for measurements, always the same for the same seed.
 *
 *	generate [BYTES [SEED]] > town.log
 *
 * What it decides: 8 rigs, 42 agents, a line a second on average with stamps that never go back; nudge 60 %, done 20 %, kill
 * 9 %, handoff 6 %, other types the rest. Nearly all kills are planned. Each rig's time is cut into slots of 4 h; the first
 * hour of a slot has nothing, or a near miss (1 to 5 unplanned kills), or a storm (6 to 14), and then it is quiet: so that
 * "more than 5 unplanned kills of one rig in 1 h" is true for exactly the storms, however a program counts or re-arms.
 * How many there are is told on standard error, with lines, bytes and kills. The last line may go over BYTES a little.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define START 1767225600 /* 2026-01-01 00:00:00 */
#define SLOT_S 14400
#define STORM_MOST 14
#define STORM_LEAST 6
#define ROOM 512 /* longer than any line */

static const char *const rigs[] = { "icecream", "gastown", "mcp_memory", "beads", "prajna", "careops", "sampler", "cachekit" };
#define N_RIGS LENGTH(rigs)
static const char *const seats[] = { "/witness", "/refinery", "/polecats/furiosa", "/polecats/nux", "/crew/baker" };
static const char *const planned[] = {
	" (self-clean: done means gone)", " (self-clean: done means gone)", " (self-clean: idle)", " (gt stop)", " (gt session stop)",
	" (gt session stop --force)", " (gt crew stop --all)", " (gt down)",
};
static const char *const unplanned[] = { "", " (unresponsive for 12m)", " (out of memory)", " (no heartbeat)" };
/* As the town writes them: cut at 50 bytes, 47 and "...". */
static const char *const nudges[] = {
	"HEALTH_CHECK: heartbeat is stale, respond to co...", "[from deacon] session-started", "You have new mail: run 'gt mail inbox' to read it",
	"MERGE_READY: branch polecat/nux is ready for th...", "[from mayor] continue with the next ready bead ...", "Work is on your hook: run 'gt hook' and begin now.",
	"[from witness] you have been idle for 15 minute...", "Please run \\\"gt done\\\" when your branch is pushe...",
};
static const char *const subjects[] = {
	"Context is nearly full, continue with the review", "context limit reached", "Patrol complete, next patrol due",
	"Session end: work is pushed", "HANDOFF: merge queue is empty", "rate limit, trying again later",
};

struct rig {
	int64_t slot_end;
	int64_t kills[STORM_MOST]; /* times, sorted */
	unsigned n_kills, next;
};

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return ((z ^ z >> 31) >> 32) * below >> 32;
}

static char *put(char *p, const char *text)
{
	size_t len = strlen(text);

	memcpy(p, text, len);
	return p + len;
}

static char *put_digits(char *p, unsigned value, unsigned n)
{
	for (unsigned i = n; i-- > 0; value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + n;
}

/* "2026-01-01 00:00:00 "; the date is worked out once a day. */
static char *put_stamp(char *p, int64_t t)
{
	static char date[11];
	static int64_t date_day = -1;
	int64_t day = t / 86400;
	unsigned s = (unsigned)(t % 86400);

	if (day != date_day) {
		/* Civil from days, for years after 1970. */
		int64_t z = day + 719468, era = z / 146097, doe = z - era * 146097;
		int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
		int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;

		put_digits(date, (unsigned)(yoe + era * 400 + (month <= 2)), 4);
		date[4] = date[7] = '-';
		put_digits(date + 5, (unsigned)month, 2);
		put_digits(date + 8, (unsigned)(doy - (153 * mp + 2) / 5 + 1), 2);
		date_day = day;
	}
	p = put(p, date);
	*p++ = ' ';
	p = put_digits(p, s / 3600, 2);
	*p++ = ':';
	p = put_digits(p, s / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, s % 60, 2);
	*p++ = ' ';
	return p;
}

static char *put_agent(char *p)
{
	unsigned a = (unsigned)draw(N_RIGS * LENGTH(seats) + 2);

	if (a < 2)
		return put(p, a ? "mayor" : "deacon");
	p = put(p, rigs[(a - 2) % N_RIGS]);
	return put(p, seats[(a - 2) / N_RIGS]);
}

static char *put_bead(char *p)
{
	p = put(p, "gt-");
	for (int i = 0; i < 5; i++)
		*p++ = "0123456789abcdefghijklmnopqrstuvwxyz"[draw(36)];
	return p;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void plan_slot(struct rig *r)
{
	int64_t begin = r->slot_end;
	unsigned kind = (unsigned)draw(100);

	r->slot_end += SLOT_S;
	r->next = 0;
	if (kind < 45)
		r->n_kills = STORM_LEAST + (unsigned)draw(STORM_MOST - STORM_LEAST + 1);
	else
		r->n_kills = kind < 80 ? 1 + (unsigned)draw(STORM_LEAST - 1) : 0;
	for (unsigned i = 0; i < r->n_kills; i++)
		r->kills[i] = begin + (int64_t)draw(3000);
	qsort(r->kills, r->n_kills, sizeof *r->kills, by_time);
}

/* A line of any type but an unplanned kill. */
static char *put_line(char *p, uint64_t *kills)
{
	unsigned kind = (unsigned)draw(1000);

	if (kind < 600) {
		p = put(p, "[nudge] ");
		p = put_agent(p);
		p = put(p, " nudged with \"");
		p = put(p, nudges[draw(LENGTH(nudges))]);
		*p++ = '"';
	} else if (kind < 800) {
		p = put(p, "[done] ");
		p = put_agent(p);
		p = put(p, " completed ");
		p = put_bead(p);
	} else if (kind < 887) { /* unplanned ones make it 9 % */
		p = put(p, "[kill] ");
		p = put_agent(p);
		p = put(p, " killed");
		p = put(p, planned[draw(LENGTH(planned))]);
		++*kills;
	} else if (kind < 947) {
		p = put(p, "[handoff] ");
		p = put_agent(p);
		p = put(p, " handed off (");
		p = put(p, subjects[draw(LENGTH(subjects))]);
		*p++ = ')';
	} else if (kind < 970) {
		p = put(p, "[spawn] ");
		p = put_agent(p);
		p = put(p, " spawned for ");
		p = put_bead(p);
	} else if (kind < 985) {
		p = put(p, "[wake] ");
		p = put_agent(p);
		p = put(p, " resumed");
	} else if (kind < 995) {
		p = put(p, kind < 990 ? "[patrol_started] " : "[patrol_complete] ");
		p = put_agent(p);
		p = put(p, kind < 990 ? " started patrol" : " completed patrol");
	} else if (kind < 998) {
		p = put(p, "[crash] ");
		p = put_agent(p);
		p = put(p, " exited unexpectedly (exit code 137)");
	} else if (kind < 999) {
		p = put(p, "[session_death] ");
		p = put_agent(p);
		p = put(p, " session terminated (zombie cleanup)");
	} else {
		p = put(p, "[escalation_sent] ");
		p = put_agent(p);
		p = put(p, " escalated to mayor (stuck)");
	}
	return p;
}

int main(int argc, char **argv)
{
	uint64_t limit = argc > 1 ? strtoull(argv[1], NULL, 10) : UINT64_C(1) << 30;
	uint64_t lines = 0, bytes = 0, kills = 0, unplanned_kills = 0, storms = 0;
	struct rig rig[N_RIGS];
	int64_t now = START;
	static char buffer[1 << 20];
	char *p = buffer;

	state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	if (limit == 0 || argc > 3) {
		fputs("usage: generate [BYTES [SEED]]\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < N_RIGS; i++) {
		rig[i] = (struct rig){ .slot_end = START + (int64_t)i * SLOT_S / (int64_t)N_RIGS };
		plan_slot(&rig[i]);
	}
	while (bytes + (uint64_t)(p - buffer) < limit) {
		struct rig *due = NULL;

		now += (int64_t)draw(3);
		for (size_t i = 0; i < N_RIGS; i++) {
			struct rig *r = &rig[i];

			while (now >= r->slot_end)
				plan_slot(r);
			if (!due && r->next < r->n_kills && now >= r->kills[r->next])
				due = r;
		}
		p = put_stamp(p, now);
		if (due) {
			p = put(p, "[kill] ");
			p = put(p, rigs[due - rig]);
			p = put(p, seats[draw(LENGTH(seats))]);
			p = put(p, " killed");
			p = put(p, unplanned[draw(LENGTH(unplanned))]);
			due->next++;
			kills++;
			unplanned_kills++;
			storms += due->next == STORM_LEAST;
		} else {
			p = put_line(p, &kills);
		}
		*p++ = '\n';
		lines++;
		if (p - buffer > (ptrdiff_t)sizeof buffer - ROOM) {
			bytes += (uint64_t)(p - buffer);
			if (fwrite(buffer, 1, (size_t)(p - buffer), stdout) != (size_t)(p - buffer))
				break;
			p = buffer;
		}
	}
	bytes += (uint64_t)(p - buffer);
	fwrite(buffer, 1, (size_t)(p - buffer), stdout);
	if (fflush(stdout) || ferror(stdout)) {
		perror("generate");
		return 1;
	}
	fprintf(stderr, "lines=%llu bytes=%llu kills=%llu unplanned=%llu storms=%llu\n", (unsigned long long)lines, (unsigned long long)bytes,
		(unsigned long long)kills, (unsigned long long)unplanned_kills, (unsigned long long)storms);
	return 0;
}
