/*
 * micro_checkpoint.c: how long a checkpoint of many keys takes to save and to load.
 *
 *	micro_checkpoint [KEYS [EVENTS [FOLDER]]]
 *
 * A rule counts unplanned kills by agent; each of KEYS (default 1,000,000) agents has EVENTS (default 1) of them in its
 * window. The state is written to FOLDER
 * (default .) as a run does it: serialised, checksummed, to disk, renamed; then read, checked and loaded into a fresh pipeline.
 */
#include "checkpoint.h"
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char rules_text[] =
	"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
	"title: S\nname: storm\ncorrelation: {type: event_count, rules: [kill], group-by: [agent], timespan: 3d, condition: {gt: 5}}\n";

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_before;

static double begin(void)
{
	cpu_before = (double)clock() / CLOCKS_PER_SEC;
	return now();
}

/* Of what was done since begin(). */
static void say(const char *what, double seconds)
{
	double cpu = (double)clock() / CLOCKS_PER_SEC;

	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("%-28s %6.2f s   (CPU %.2f s)   peak %ld MiB\n", what, seconds, cpu - cpu_before, u.ru_maxrss / 1024);
}

static void must(bool ok, const struct diag_list *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		diag_print(stderr, &diags->items[i], false);
	if (!ok)
		exit(2);
}

int main(int argc, char **argv)
{
	uint32_t n_keys = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rules = ruleset_load_text(span_from_string(rules_text), "rules", false, &diags);
	must(rules != NULL, &diags);
	struct pipeline_options o = { .rules = rules, .zone = zone_get("UTC"), .lateness_ns = 2 * NS_PER_SECOND, .since_ns = TIME_NONE,
				      .until_ns = TIME_NONE, .now_ns = INT64_C(1771400000) * NS_PER_SECOND, .max_keys = n_keys };

	uint32_t n_events = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
	if (argc > 3 && chdir(argv[3]) != 0)
		return 2;
	unlink("micro.checkpoint");
	double t = begin();
	struct pipeline *p = pipeline_new(&o, NULL, 0, &diags);
	struct lane *l = pipeline_lane(p, "town.log");
	lane_set_source(p, l, source_by_name(rules, "town"));
	lane_begin_file(p, l, "town.log", 0, TIME_NONE, TIME_NONE);
	for (uint32_t i = 0; i < n_events * n_keys; i++) {
		char line[128];
		uint32_t s = (uint32_t)((uint64_t)i * 80000 / ((uint64_t)n_events * n_keys));
		int n = snprintf(line, sizeof line, "2026-02-17 %02u:%02u:%02u [kill] rig%u/polecats/agent%u killed (because %u)\n", s / 3600, s / 60 % 60, s % 60,
			i % 100, i % n_keys, i);
		lane_feed(p, l, span_of(line, (size_t)n));
		if (i % 1024 == 0)
			pipeline_advance(p, TIME_NONE);
	}
	lane_set_at_end(l, true);
	pipeline_advance(p, o.now_ns);
	say("build", now() - t);

	t = begin();
	struct checkpoint *c = checkpoint_open("micro.checkpoint", &diags);
	must(c != NULL, &diags);
	struct buffer *b = checkpoint_begin(c);
	pipeline_save(p, b);
	checkpoint_section_end(c, CHECKPOINT_PIPELINE);
	double serialised = now();
	must(checkpoint_commit(c, o.now_ns, &diags), &diags);
	say("save", now() - t);
	printf("  of which serialising       %6.2f s   %.1f MiB, %.0f bytes a key\n", serialised - t, (double)checkpoint_size(c) / 1048576, (double)checkpoint_size(c) / n_keys);
	checkpoint_close(c);
	pipeline_free(p);

	t = begin();
	p = pipeline_new(&o, NULL, 0, &diags);
	c = checkpoint_open("micro.checkpoint", &diags);
	must(c != NULL, &diags);
	struct codec_reader in = checkpoint_section(c, CHECKPOINT_PIPELINE);
	must(pipeline_load(p, &in, &diags), &diags);
	say("load", now() - t);
	printf("  keys %ju\n", (uintmax_t)engine_stats(pipeline_engine(p))->keys);
	checkpoint_close(c);
	pipeline_free(p);
	ruleset_free(rules);
	unlink("micro.checkpoint");
	unlink("micro.checkpoint.lock");
	diag_list_release(&diags);
	return 0;
}
