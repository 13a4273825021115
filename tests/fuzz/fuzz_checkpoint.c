/*
 * fuzz_checkpoint.c: any bytes as a checkpoint. The first byte says how they are taken: 0: as a file, envelope and all; 1: as the section of
 * the pipeline; 2: of outputs. What is accepted can be described, saved again to what loads again, and goes on.
 */
#include "checkpoint.h"
#include "pipeline.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules_text[] =
	"title: K\nname: kill\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: kill}, condition: s}\n---\n"
	"title: D\nname: done\nlogsource: {product: gastown, service: town}\ndetection: {s: {type: done}, condition: s}\n---\n"
	"title: H\nname: hot\nlogsource: {product: gastown, service: ps}\ndetection: {s: {cpu|gt: 90}, condition: s}\n---\n"
	"title: Storm\nname: storm\ncorrelation: {type: event_count, rules: [kill], group-by: [rig], timespan: 1h, condition: {gt: 1}}\n"
	"incident: {summary: '{{count}} {{top.agent}} {{values.agent}}'}\n---\n"
	"title: Agents\nname: agents\ncorrelation: {type: value_count, rules: [kill], group-by: [], timespan: 1m, condition: {field: agent, gte: 2}}\n---\n"
	"title: Silent\nname: silent\ncorrelation: {type: temporal_ordered, rules: [kill, done], group-by: [agent], timespan: 15s, condition: kill and not done}\n---\n"
	"title: Busy\nname: busy\ncorrelation: {type: sustained, rules: [hot], group-by: [pid], timespan: 40s, max-gap: 30s}\n---\n"
	"title: Several\nname: several\ncorrelation: {type: concurrent, rules: [hot], group-by: [], condition: {field: pid, gte: 2}}\n";

static const char town[] =
	"2026-02-17 08:00:30 [kill] prajna/witness killed (x)\n2026-02-17 08:00:31 [done] mayor completed work\n2026-02-17 10:00:31 [kill] mayor killed\n";

static void try_pipeline(struct span bytes)
{
	struct diag_list diags = DIAG_LIST_INIT;
	static struct ruleset *rules;

	if (!rules)
		rules = ruleset_load_text(span_from_string(rules_text), "rules", false, &diags);
	struct pipeline_options o = { .rules = rules, .zone = zone_get("UTC"), .lateness_ns = 2 * NS_PER_SECOND, .since_ns = TIME_NONE, .until_ns = TIME_NONE,
				      .now_ns = INT64_C(1771400000) * NS_PER_SECOND, .record_limit = 4096, .max_keys = 100 };
	struct pipeline_saved described;
	struct codec_reader in = { bytes.ptr, bytes.ptr + bytes.len, false };
	(void)pipeline_describe(&in, &described);
	pipeline_saved_release(&described);

	struct pipeline *p = pipeline_new(&o, NULL, 0, &diags);
	in = (struct codec_reader){ bytes.ptr, bytes.ptr + bytes.len, false };
	if (pipeline_load(p, &in, &diags)) {
		struct buffer saved = BUFFER_INIT;
		pipeline_save(p, &saved);
		struct pipeline *again = pipeline_new(&o, NULL, 0, &diags);
		in = (struct codec_reader){ saved.data, saved.data + saved.len, false };
		if (!pipeline_load(again, &in, &diags) || in.ptr != in.end)
			abort();
		pipeline_free(again);
		buffer_release(&saved);
		/* Goes on, whatever it was. */
		struct lane *l = pipeline_lane(p, "town.log");
		if (!lane_source(l))
			lane_set_source(p, l, source_by_name(rules, "town"));
		lane_begin_file(p, l, "town.log", 1, TIME_NONE, TIME_NONE);
		lane_feed(p, l, span_of(town, sizeof town - 1));
		lane_set_at_end(l, true);
		pipeline_advance(p, o.now_ns);
		(void)pipeline_next_due(p);
		pipeline_set_rules(p, rules, &diags);
		pipeline_finish(p);
	}
	pipeline_free(p);
	diag_list_release(&diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct span bytes = span_of((const char *)data + 1, size - 1);
	struct checkpoint_content content;
	struct output_marks marks;
	struct codec_reader in = { bytes.ptr, bytes.ptr + bytes.len, false };

	switch (data[0] % 3) {
	case 0:
		if (!checkpoint_parse(bytes, &content) && content.sections[CHECKPOINT_PIPELINE - 1].ptr)
			try_pipeline(content.sections[CHECKPOINT_PIPELINE - 1]);
		break;
	case 1:
		try_pipeline(bytes);
		break;
	case 2:
		(void)output_marks_get(&in, &marks);
		output_marks_release(&marks);
		break;
	}
	return 0;
}
