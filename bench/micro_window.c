/*
 * What an event costs a correlation, by its type and by how many keys are live: events a second apart, in a window of an hour that never fires,
 * so that this is the window alone. Then with 1,000,000 keys the memory that they take.
 *
 *	micro_window [EVENTS]
 */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define START (INT64_C(1771286400) * NS_PER_SECOND)

static const char events_text[] =
	"title: A\nname: a\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
	"title: B\nname: b\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: done}, condition: s}\n---\n";

static const struct {
	const char *name, *correlation;
} types[] = {
	{ "event_count", "type: event_count, rules: [a], condition: {gt: 100000000}" },
	{ "value_count", "type: value_count, rules: [a], condition: {gt: 100000000, field: message}" },
	{ "value_sum", "type: value_sum, rules: [a], condition: {gt: 1.0e+300, field: message}" },
	{ "value_percentile", "type: value_percentile, rules: [a], condition: {gt: 1.0e+300, field: message, percentile: 95}" },
	{ "temporal", "type: temporal, rules: [a, b]" },
	{ "temporal_ordered", "type: temporal_ordered, rules: [a, b]" },
};

static const unsigned n_keys[] = { 1, 1000, 100000 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void ignore(void *context, const struct change *c)
{
	(void)c;
	++*(unsigned *)context;
}

static void notice(void *context, const struct rule *rule, int64_t time_ns, const char *text)
{
	(void)context, (void)rule, (void)time_ns, (void)text;
}

static struct ruleset *load(const char *correlation)
{
	struct buffer text = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rules;

	buffer_printf(&text, "%stitle: C\nname: c\ncorrelation: {%s, group-by: [agent], timespan: 1h}\n", events_text, correlation);
	rules = ruleset_load_text(buffer_span(&text), "rules", false, &diags);
	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], false);
	if (!rules)
		exit(2);
	diag_list_release(&diags);
	buffer_release(&text);
	return rules;
}

/* Seconds for n events of so many agents in turn. */
static double run(const char *correlation, unsigned n, unsigned keys, uint64_t *ret_keys, unsigned *ret_changes)
{
	struct ruleset *rules = load(correlation);
	struct engine_options o = { .max_keys = keys };
	struct engine *en = engine_new(rules, &o, ignore, notice, ret_changes);
	const struct source *town = builtin_sources(&(size_t){ 0 });
	uint32_t a = ruleset_find(rules, "a")->index;
	struct event e;
	double start;

	engine_source_present(en, town);
	event_init(&e, field_count(&rules->fields));
	start = now();
	for (unsigned i = 0; i < n; i++) {
		char agent[32], message[32];

		event_reset(&e);
		e.source = town;
		/* All keys live: each comes once in half an hour, or once a second. */
		e.time_ns = START + (int64_t)((double)i * (1800.0 / (keys < 1800 ? 1800 : keys)) * 1e9);
		e.origin = (struct origin){ .file = "town.log", .line = i + 1 };
		e.raw = SPAN("2026-02-17 00:00:00 [kill] beads/crew/nobody killed (no reason)");
		event_add(&e, FIELD_AGENT, span_of(agent, (size_t)snprintf(agent, sizeof agent, "beads/crew/a%u", i % keys)), VALUE_STRING);
		event_add(&e, FIELD_MESSAGE, span_of(message, (size_t)snprintf(message, sizeof message, "%u", i % 17)), VALUE_STRING);
		engine_event(en, &e, e.time_ns, &a, 1);
	}
	start = now() - start;
	*ret_keys = engine_stats(en)->keys_peak;
	event_release(&e);
	engine_free(en);
	ruleset_free(rules);
	return start;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000, changes = 0;
	uint64_t live;
	struct rusage u;

	printf("%-20s", "ns an event");
	for (size_t k = 0; k < sizeof n_keys / sizeof *n_keys; k++)
		printf(" %9u keys", n_keys[k]);
	printf("\n");
	for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
		printf("%-20s", types[t].name);
		for (size_t k = 0; k < sizeof n_keys / sizeof *n_keys; k++)
			printf(" %14.0f", run(types[t].correlation, n, n_keys[k], &live, &changes) / n * 1e9);
		printf("\n");
	}
	if (changes)
		return 1; /* it was to be the window alone */
	run(types[0].correlation, 1000000, 1000000, &live, &changes);
	getrusage(RUSAGE_SELF, &u);
	printf("event_count with %ju live keys: peak %ld MiB\n", (uintmax_t)live, u.ru_maxrss / 1024);
	return 0;
}
