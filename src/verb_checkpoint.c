/*
 * tocsin checkpoint: what a checkpoint holds, for people. It needs no rules and takes no lock: the file is always whole.
 */
#include "cli.h"

#include "base/quote.h"
#include "checkpoint.h"

#include <inttypes.h>

#define LIST_LIMIT 100 /* incidents and absences shown of each */

static void add_time(struct buffer *out, int64_t time_ns)
{
	if (time_ns == TIME_NONE)
		buffer_append_string(out, "never");
	else
		time_format_utc(out, time_ns);
}

static void add_inputs(struct buffer *out, struct codec_reader *in, const struct pipeline_saved *p)
{
	size_t n = run_positions_begin(in);

	buffer_append_string(out, "\ninputs\n");
	for (; n && !in->bad; n--) {
		struct run_position r = run_position_get(in);
		const struct pipeline_saved_lane *lane = NULL;
		if (in->bad)
			break;
		for (size_t i = 0; i < p->n_lanes && !lane; i++)
			if (span_equal(p->lanes[i].name, r.log))
				lane = &p->lanes[i];
		buffer_append_string(out, "  ");
		quote_terminal(out, r.log);
		if (lane && lane->source.len) {
			buffer_append_string(out, " (");
			quote_terminal(out, lane->source);
			buffer_append_char(out, ')');
		}
		if (!r.at.known) {
			buffer_append_string(out, ": nothing read yet\n");
			continue;
		}
		buffer_printf(out, ": %" PRIu64 " bytes of ", r.at.offset);
		quote_terminal(out, r.at.shown);
		buffer_printf(out, " read%s (device %" PRIu64 ", inode %" PRIu64 ")", r.at.finished ? " to its end" : "", r.at.device, r.at.inode);
		if (lane && lane->waiting)
			buffer_printf(out, ", the last %zu of them not a whole record yet", lane->waiting);
		if (lane && lane->newest_ns != TIME_NONE) {
			buffer_append_string(out, ", newest stamp ");
			add_time(out, lane->newest_ns);
		}
		buffer_append_char(out, '\n');
	}
}

static void add_outputs(struct buffer *out, const struct output_marks *marks)
{
	buffer_append_string(out, marks->n ? "\noutputs\n" : "\noutputs: none that is a file\n");
	for (size_t i = 0; i < marks->n; i++) {
		const struct output_mark *m = &marks->items[i];
		buffer_append_string(out, "  ");
		quote_terminal(out, m->path);
		buffer_printf(out, ": %" PRIu64 " bytes written (device %" PRIu64 ", inode %" PRIu64 ")\n", m->size, m->device, m->inode);
	}
}

static void add_keys(struct buffer *out, const struct engine_saved_rule *r, const struct saved_cell *c)
{
	struct codec_reader names = r->keys, values = c->keys;

	for (size_t i = 0; i < r->n_keys; i++) {
		buffer_append_char(out, ' ');
		quote_terminal(out, codec_get_span(&names));
		buffer_append_char(out, '=');
		quote_terminal(out, codec_get_span(&values));
	}
}

static void add_more(struct buffer *out, uint64_t shown, uint64_t all)
{
	if (all > shown)
		buffer_printf(out, "  … and %" PRIu64 " more\n", all - shown);
}

static void add_engine(struct buffer *out, const struct engine_saved *e)
{
	uint64_t n_open = 0, n_pending = 0, shown = 0;

	buffer_append_string(out, e->n_rules ? "\nkeys by rule\n" : "\nno rule has any state\n");
	for (size_t i = 0; i < e->n_rules; i++) {
		const struct engine_saved_rule *r = &e->rules[i];
		n_open += r->n_open;
		n_pending += r->n_pending;
		buffer_append_string(out, "  ");
		quote_terminal(out, r->name);
		buffer_printf(out, ": %" PRIu64 " key%s, %" PRIu64 " open, %" PRIu64 " waiting\n", r->n_cells, r->n_cells == 1 ? "" : "s", r->n_open, r->n_pending);
	}
	buffer_append_string(out, n_open ? "\nopen incidents\n" : "");
	for (size_t i = 0; i < e->n_cells && shown < LIST_LIMIT; i++) {
		const struct saved_cell *c = &e->cells[i];
		if (!c->id.len)
			continue;
		shown++;
		buffer_append_string(out, "  ");
		quote_terminal(out, c->id);
		add_keys(out, &e->rules[c->rule], c);
		buffer_append_string(out, ": since ");
		add_time(out, c->opened_ns);
		buffer_printf(out, ", %" PRIu64 " event%s", c->count, c->count == 1 ? "" : "s");
		if (c->resolve_ns != INT64_MAX) {
			buffer_append_string(out, ", resolves at ");
			add_time(out, c->resolve_ns);
		}
		buffer_append_char(out, '\n');
	}
	add_more(out, shown, n_open);
	shown = 0;
	buffer_append_string(out, n_pending ? "\nabsences waited for\n" : "");
	for (size_t i = 0; i < e->n_cells && shown < LIST_LIMIT; i++) {
		const struct saved_cell *c = &e->cells[i];
		if (c->pending_ns == TIME_NONE)
			continue;
		shown++;
		buffer_append_string(out, "  ");
		quote_terminal(out, e->rules[c->rule].name);
		add_keys(out, &e->rules[c->rule], c);
		buffer_append_string(out, ": since ");
		add_time(out, c->trigger_ns);
		buffer_append_string(out, ", due at ");
		add_time(out, c->pending_ns);
		buffer_append_char(out, '\n');
	}
	add_more(out, shown, n_pending);
}

int verb_checkpoint(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer out = BUFFER_INIT;
	struct pipeline_saved p = { 0 };
	struct output_marks marks = { 0 };

	if (o->n_words != 1) {
		diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "name one checkpoint: tocsin checkpoint FILE");
		return fail(o, &diags);
	}
	struct checkpoint *c = checkpoint_view(o->words[0], &diags);
	if (!c)
		return fail(o, &diags);
	struct codec_reader inputs = checkpoint_section(c, CHECKPOINT_INPUTS), pipeline = checkpoint_section(c, CHECKPOINT_PIPELINE),
			    outputs = checkpoint_section(c, CHECKPOINT_OUTPUTS);
	bool ok = pipeline_describe(&pipeline, &p) && output_marks_get(&outputs, &marks);
	if (ok) {
		quote_terminal(&out, span_from_string(o->words[0]));
		buffer_printf(&out, ": format %d, %" PRIu64 " bytes, written at ", checkpoint_format(c), checkpoint_size(c));
		add_time(&out, checkpoint_written_ns(c));
		buffer_append_string(&out, "\nwatermark ");
		add_time(&out, p.watermark_ns);
		buffer_printf(&out, ", %" PRIu64 " event%s held back\n", p.n_held, p.n_held == 1 ? "" : "s");
		add_inputs(&out, &inputs, &p);
		add_outputs(&out, &marks);
		add_engine(&out, &p.engine);
		ok = !inputs.bad;
	}
	if (!ok)
		checkpoint_say_damaged(c, &diags);
	pipeline_saved_release(&p);
	output_marks_release(&marks);
	checkpoint_close(c);
	if (!ok) {
		buffer_release(&out);
		return fail(o, &diags);
	}
	diag_list_release(&diags);
	return print_out(&out);
}
