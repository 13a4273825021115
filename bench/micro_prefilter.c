/*
 * How fast the prefilter is over a made-up town log, by the number of literals: MB/s, and how often a record is a candidate.
 * Machines are noisy: runs are interleaved and medians shown, beside the rate of finding newlines in the same memory.
 *
 *	micro_prefilter [MEGABYTES]
 */
#include "base/buffer.h"
#include "base/memory.h"
#include "match/prefilter.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BLOCK ((size_t)512 * 1024)
#define PADDING 64
#define ROUNDS 7
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static uint64_t seed = 42;

static unsigned draw(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((seed >> 33) % below);
}

static const char *const words[] = {
	"session", "health", "check", "crash", "detected", "daemon", "zombie", "cleanup", "orphan", "memory", "pressure", "quota",
	"limit", "reached", "branch", "conflict", "merge", "queue", "stalled", "refinery", "witness", "timeout", "upload", "token",
	"expired", "network", "unreachable", "disk", "full", "database", "locked", "index", "rebuild", "watchdog", "heartbeat",
	"missing", "lease", "lost", "sandbox", "violation", "signal", "segfault", "worktree", "dirty", "rebase", "aborted",
	"provider", "overloaded", "retry", "exhausted",
};
static const char *const rigs[] = { "icecream", "gastown", "mcp_memory", "beads", "prajna", "careops", "sampler", "golden" };
static const char *const names[] = { "furiosa", "nux", "slit", "rictus", "toast", "capable", "dag", "cheedo", "valkyrie", "keeper" };

static void write_log(struct buffer *out, size_t size)
{
	for (unsigned t = 0; out->len < size; t++) {
		unsigned kind = draw(100);
		const char *rig = rigs[draw(LENGTH(rigs))], *name = names[draw(LENGTH(names))];

		buffer_printf(out, "2026-01-%02u %02u:%02u:%02u ", 1 + t / 800000 % 28, t / 33000 % 24, t / 550 % 60, t / 9 % 60);
		if (kind < 65)
			buffer_printf(out, "[nudge] %s/polecats/%s nudged with \"[from %s/witness] %s %s, see hq-%u\"\n", rig, name, rig,
				      words[draw(LENGTH(words))], words[draw(LENGTH(words))], draw(100000));
		else if (kind < 85)
			buffer_printf(out, "[done] %s/polecats/%s completed %s-%x%x\n", rig, name, name, draw(1 << 20), draw(1 << 20));
		else if (kind < 94)
			buffer_printf(out, "[kill] %s/polecats/%s killed (%s)\n", rig, name,
				      draw(3) ? "self-clean: done means gone" : "gt session stop --force");
		else
			buffer_printf(out, "[handoff] %s/crew/%s handed off (%s %s)\n", rig, name, words[draw(LENGTH(words))],
				      words[draw(LENGTH(words))]);
	}
}

/* A word of a rule: one in three is one that the log is full of. */
static const char *rule_word(unsigned i)
{
	static const char *const syllables[] = { "ra", "tion", "ver", "bo", "lig", "chu", "mon", "pex", "ta", "qui", "der", "ous", "sy", "nam", "flo", "ber" };
	static char made[4][32];
	static unsigned next;
	char *word = made[next++ % 4];

	if (i % 3 == 0)
		return words[i / 3 % LENGTH(words)];
	snprintf(word, sizeof made[0], "%s%s%s", syllables[i % 16], syllables[i / 5 % 16], syllables[i / 17 % 16]);
	return word;
}

/* What rules ask for: one type, reasons of several words, names. Few of them are in the log. */
static struct span literal_of(unsigned i, bool with_short)
{
	static char text[128];

	if (i == 0)
		return SPAN("[kill] ");
	if (with_short && i % 10 == 1)
		snprintf(text, sizeof text, "%c%c%u", 'a' + i % 26, 'q' + i / 26 % 8, i % 1000);
	else if (i % 4 == 1)
		snprintf(text, sizeof text, "killed (%s %s", rule_word(i * 7), rule_word(i * 11 + 1));
	else if (i % 4 == 2)
		snprintf(text, sizeof text, "%s %s %u", rule_word(i * 5), rule_word(i * 3 + 2), i);
	else if (i % 4 == 3)
		snprintf(text, sizeof text, "%s%u/crew/%s", rule_word(i), i, names[i % LENGTH(names)]);
	else
		snprintf(text, sizeof text, "%s: code %u", rule_word(i), i * 7919 % 100000);
	return span_from_string(text);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof *values, by_value);
	return values[n / 2];
}

struct block {
	struct span text;
	struct record_list records;
};

int main(int argc, char **argv)
{
	static const struct {
		unsigned n;
		bool with_short;
	} sets[] = { { 1, false }, { 20, false }, { 20, true }, { 200, false }, { 200, true }, { 1000, false }, { 1000, true }, { 3000, false }, { 3000, true } };
	double rates[LENGTH(sets)][ROUNDS], newline_rates[ROUNDS];
	size_t candidates[LENGTH(sets)] = { 0 }, n_records = 0, n_blocks = 0, cap_blocks = 0;
	struct prefilter *filters[LENGTH(sets)];
	struct prefilter_hits hits = PREFILTER_HITS_INIT;
	struct block *blocks = NULL;
	struct buffer log = BUFFER_INIT;
	size_t megabytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;

	write_log(&log, megabytes * 1000000);
	buffer_reserve(&log, PADDING);
	memset(log.data + log.len, 0, PADDING);
	for (size_t at = 0, end; at < log.len; at = end) {
		struct block b = { .records = { 0 } };

		end = at + BLOCK < log.len ? at + BLOCK : log.len;
		while (log.data[end - 1] != '\n')
			end--;
		b.text = span_of(log.data + at, end - at);
		for (const char *p = b.text.ptr, *newline; p < log.data + end; p = newline + 1) {
			newline = memchr(p, '\n', (size_t)(log.data + end - p));
			ARRAY_GROW(b.records.items, b.records.n, b.records.cap);
			b.records.items[b.records.n++] = (struct record){ .offset = (uint32_t)(p - b.text.ptr), .len = (uint32_t)(newline - p) };
		}
		n_records += b.records.n;
		ARRAY_GROW(blocks, n_blocks, cap_blocks);
		blocks[n_blocks++] = b;
	}
	for (size_t s = 0; s < LENGTH(sets); s++) {
		struct span *literals = xcalloc(sets[s].n, sizeof *literals);

		for (unsigned i = 0; i < sets[s].n; i++) {
			struct span l = literal_of(i, sets[s].with_short);

			literals[i] = span_of(xmemdup(l.ptr, l.len), l.len);
		}
		filters[s] = prefilter_new(literals, sets[s].n);
		for (unsigned i = 0; i < sets[s].n; i++)
			free((char *)literals[i].ptr);
		free(literals);
	}
	for (int round = 0; round < ROUNDS; round++) {
		double start = now();
		size_t n = 0;

		for (const char *p = log.data; (p = memchr(p, '\n', (size_t)(log.data + log.len - p))); p++)
			n++;
		newline_rates[round] = (double)log.len / (now() - start) / 1e6;
		if (n != n_records)
			return 1;
		for (size_t s = 0; s < LENGTH(sets); s++) {
			candidates[s] = 0;
			start = now();
			for (size_t b = 0; b < n_blocks; b++) {
				prefilter_scan(filters[s], blocks[b].text, &blocks[b].records, &hits);
				for (size_t i = 0; i < hits.n_records; i++)
					candidates[s] += hits.head[i] != PREFILTER_NONE;
			}
			rates[s][round] = (double)log.len / (now() - start) / 1e6;
		}
	}
	printf("%zu MB, %zu records of %.0f bytes; newlines by memchr: %.0f MB/s\n", log.len / 1000000, n_records,
	       (double)log.len / (double)n_records, median(newline_rates, ROUNDS));
	printf("%8s %-12s %8s %10s\n", "literals", "lengths", "MB/s", "candidates");
	for (size_t s = 0; s < LENGTH(sets); s++) {
		printf("%8u %-12s %8.0f %9.2f%%\n", sets[s].n, sets[s].with_short ? "10% short" : "long", median(rates[s], ROUNDS),
		       100.0 * (double)candidates[s] / (double)n_records);
		prefilter_free(filters[s]);
	}
	for (size_t b = 0; b < n_blocks; b++)
		free(blocks[b].records.items);
	free(blocks);
	buffer_release(&log);
	prefilter_hits_release(&hits);
	return 0;
}
