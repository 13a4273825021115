/*
 * The verbs. Only this file prints: diagnostics and notices to standard error, help and listings to standard
 * output. Incidents are written by the pipeline's outputs.
 */
#include "fields.h"
#include "options.h"
#include "run.h"

#include "base/memory.h"
#include "base/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- printing ---- */

static bool wants_colour(const struct options *o, int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (o->colour != WHEN_AUTO)
		return o->colour == WHEN_ALWAYS;
	return isatty(fd) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

static unsigned terminal_width(int fd)
{
	struct winsize w;
	return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static void print_diags(const struct options *o, struct diag_list *diags)
{
	bool colour = wants_colour(o, STDERR_FILENO);

	for (size_t i = 0; i < diags->n; i++)
		if (!o->quiet || diags->items[i].level == DIAG_ERROR)
			diag_print(stderr, &diags->items[i], colour);
}

/* Standard output that did not get out is an error; a closed pipe is none. */
static int print_out(struct buffer *b)
{
	bool ok = fwrite(b->data ? b->data : "", 1, b->len, stdout) == b->len && fflush(stdout) == 0;

	buffer_release(b);
	if (ok || errno == EPIPE)
		return EXIT_RAN;
	fprintf(stderr, "tocsin: cannot write to standard output: %s\n", strerror(errno));
	return EXIT_TROUBLE;
}

/* ---- rules ---- */

static struct ruleset *load_rules(char *const *paths, size_t n, bool lint, struct diag_list *diags)
{
	static char installed[] = TOCSIN_RULES_DIR;
	char **list = xcalloc(n ? n : 1, sizeof *list);

	if (n == 0) {
		list[0] = installed;
		n = 1;
	} else {
		for (size_t i = 0; i < n; i++)
			list[i] = strcmp(paths[i], "default") ? paths[i] : installed;
	}
	if (list[0] == installed && access(installed, R_OK) != 0) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "no rules: %s is not there", installed);
		diag_hint(diags, "install tocsin (make install), or name rules: -r PATH");
		free(list);
		return NULL;
	}
	struct ruleset *rs = ruleset_load(list, n, lint, diags);
	free(list);
	return rs;
}

/* ---- run and fields ---- */

struct run_context {
	const struct options *options;
	const struct ruleset *rules;
	struct timespec began, shown;
	bool progress_shown;
	struct field_survey *survey; /* fields */
};

static const struct zone *zone_of(void *context, const char *source)
{
	const struct run_context *run = context;
	const struct zone *z = NULL;

	for (size_t i = 0; i < run->options->n_zones; i++)
		if (run->options->zones[i].source && !strcmp(run->options->zones[i].source, source))
			z = zone_get(run->options->zones[i].zone);
	return z;
}

static bool known_source(void *context, const char *name)
{
	return source_by_name(context, name) != NULL;
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static void show_progress(void *context, uint64_t done, uint64_t total)
{
	struct run_context *run = context;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_between(&run->shown, &now) < (run->progress_shown ? 0.2 : 1.0))
		return;
	run->shown = now;
	run->progress_shown = true;
	double elapsed = seconds_between(&run->began, &now), rate = (double)done / elapsed;
	if (total && done <= total) {
		char bar[21];
		int full = (int)(20.0 * (double)done / (double)total);
		for (int i = 0; i < 20; i++)
			bar[i] = i < full ? '#' : '.';
		bar[20] = 0;
		fprintf(stderr, "\r[%s] %3.0f %%  %.1f of %.1f MiB  %.0f MiB/s  %.0f s left \033[K", bar, 100.0 * (double)done / (double)total,
			(double)done / 1048576, (double)total / 1048576, rate / 1048576, (double)(total - done) / (rate > 0 ? rate : 1));
	} else {
		fprintf(stderr, "\r%.1f MiB  %.0f MiB/s\033[K", (double)done / 1048576, rate / 1048576);
	}
}

static void print_stats(const struct run_context *run, const struct pipeline *p)
{
	struct timespec now;
	struct lane_stats s;
	uint64_t bytes = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; pipeline_lane_stats(p, i, &s); i++) {
		struct buffer text = BUFFER_INIT;
		quote_terminal(&text, span_from_string(s.name));
		fprintf(stderr, "%s (%s): %" PRIu64 " bytes, %" PRIu64 " lines, %" PRIu64 " records in %" PRIu64 " file%s\n",
			buffer_string(&text), s.source, s.decoder->bytes, s.decoder->lines, s.decoder->records, s.files, s.files == 1 ? "" : "s");
		fprintf(stderr, "  candidates %" PRIu64 ", parsed %" PRIu64 ", unparsed %" PRIu64 ", matched %" PRIu64 ", late %" PRIu64 ", cut %" PRIu64
				", from the future %" PRIu64 ", with NUL %" PRIu64 ", regex limits hit %" PRIu64 "\n",
			s.matcher->candidates, s.decoder->parsed, s.decoder->unparsed, s.matcher->matched, s.late, s.decoder->cut, s.future,
			s.decoder->nul_bytes, s.matcher->regex_limit_hits);
		struct span sample = buffer_span(&s.decoder->unparsed_sample);
		while (sample.len) {
			const char *end = memchr(sample.ptr, '\n', sample.len);
			size_t len = end ? (size_t)(end - sample.ptr) : sample.len;
			buffer_clear(&text);
			quote_terminal(&text, span_of(sample.ptr, len));
			fprintf(stderr, "  unparsed: %s\n", buffer_string(&text));
			sample = span_from(sample, len + (end ? 1 : 0));
		}
		buffer_release(&text);
		bytes += s.decoder->bytes;
	}
	const struct engine_stats *e = engine_stats(pipeline_engine(p));
	fprintf(stderr, "events %" PRIu64 ", late %" PRIu64 ", without a group-by field %" PRIu64 ", keys %" PRIu64 " (peak %" PRIu64 "), evicted %" PRIu64
			", dropped from full windows %" PRIu64 ", held back at most %" PRIu64 "\n",
		e->events, e->late, e->missing_key, e->keys, e->keys_peak, e->evicted, e->window_cut, pipeline_held_peak(p));
	fprintf(stderr, "incidents opened %" PRIu64 ", updated %" PRIu64 ", resolved %" PRIu64 ", still open %" PRIu64 ", inhibited %" PRIu64
			", absences undetermined %" PRIu64 ", commands refused %" PRIu64 "\n",
		e->opened, e->updated, e->resolved, engine_open_incidents(pipeline_engine(p)), e->inhibited, e->undetermined, e->commands_refused);
	double elapsed = seconds_between(&run->began, &now);
	fprintf(stderr, "%.1f MiB in %.2f s (%.0f MiB/s)\n", (double)bytes / 1048576, elapsed, (double)bytes / 1048576 / (elapsed > 0 ? elapsed : 1));
}

static void add_doubt(struct diag_list *diags, const char *name, uint64_t n, const char *what)
{
	if (n)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, "%s%s%" PRIu64 " %s", name, *name ? ": " : "", n, what);
}

/* What the end of the run has to say in any case: late and lost things are never silent. */
static void add_doubts(const struct pipeline *p, struct diag_list *diags)
{
	const struct engine_stats *e = engine_stats(pipeline_engine(p));
	struct lane_stats s;

	for (size_t i = 0; pipeline_lane_stats(p, i, &s); i++) {
		add_doubt(diags, s.name, s.late, "matched records came later than --lateness allows; used where they could be");
		add_doubt(diags, s.name, s.future, "records are stamped in the future; left out");
		add_doubt(diags, s.name, s.decoder->cut, "records were cut at the limit (--max-record)");
	}
	add_doubt(diags, "", e->evicted, "keys were dropped at the limit (--max-keys)");
	add_doubt(diags, "", e->window_cut, "events were dropped from windows that were full");
	add_doubt(diags, "", pipeline_notices_dropped(p), "more notices are not shown; --stats counts them");
}

static void look(void *context, const struct event *e, enum parse_result r)
{
	struct run_context *run = context;
	field_survey_add(run->survey, e, r);
}

static int64_t wall_clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static bool parse_times(const struct options *o, struct pipeline_options *p, struct diag_list *diags)
{
	const struct {
		const char *name, *text;
		int64_t *to;
	} bounds[] = { { "since", o->since, &p->since_ns }, { "until", o->until, &p->until_ns } };

	for (int i = 0; i < 2; i++)
		if (bounds[i].text && !time_parse_user(span_from_string(bounds[i].text), p->zone, p->now_ns, bounds[i].to)) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--%s %s: not a time", bounds[i].name, bounds[i].text);
			diag_hint(diags, "write 2026-02-17T08:44:02Z, \"2026-02-17 08:44\", 08:44, now, now-2h or @1771317842");
		}
	return diags->n_errors == 0;
}

static bool open_outputs(const struct options *o, const struct ruleset *rs, const struct zone *zone, struct output **ret, size_t *ret_n,
			 struct diag_list *diags)
{
	struct output_option fallback = { isatty(STDOUT_FILENO) ? EMIT_TEXT : EMIT_JSONL, NULL };
	const struct output_option *list = o->n_outputs ? o->outputs : &fallback;
	size_t n = o->n_outputs ? o->n_outputs : 1;
	bool ok = true;

	*ret = xcalloc(n, sizeof **ret);
	*ret_n = n;
	for (size_t i = 0; i < n; i++) {
		bool to_stdout = list[i].path == NULL;
		struct emit_options eo = { .colour = to_stdout ? wants_colour(o, STDOUT_FILENO) : o->colour == WHEN_ALWAYS, .zone = zone,
					   .width = to_stdout ? terminal_width(STDOUT_FILENO) : 0, .fields = &rs->fields };
		ok &= output_open(&(*ret)[i], list[i].format, list[i].path, &eo, diags);
	}
	return ok;
}

static int fail(const struct options *o, struct diag_list *diags)
{
	print_diags(o, diags);
	diag_list_release(diags);
	return EXIT_TROUBLE;
}

static int verb_run(const struct options *o)
{
	static char dash[] = "-";
	char *only_stdin[] = { dash };
	struct diag_list diags = DIAG_LIST_INIT;
	struct run_context run = { .options = o };
	struct pipeline_options p = { .lateness_ns = o->lateness_ns, .since_ns = TIME_NONE, .until_ns = TIME_NONE, .now_ns = wall_clock_ns(),
				      .record_limit = o->max_record, .max_keys = (uint32_t)o->max_keys };
	struct run_options ro = { .stdin_source = o->source, .now_ns = p.now_ns, .lateness_ns = o->lateness_ns };

	if (o->n_words == 0 && isatty(STDIN_FILENO)) {
		diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "nothing to read");
		diag_hint(&diags, "name logs or a town's directory (tocsin ~/gt), or pipe a log in; tocsin --help tells more");
		return fail(o, &diags);
	}
	const char *zone_name_wanted = "local";
	for (size_t i = 0; i < o->n_zones; i++)
		if (!o->zones[i].source)
			zone_name_wanted = o->zones[i].zone;
	p.zone = zone_get(zone_name_wanted);
	if (!parse_times(o, &p, &diags))
		return fail(o, &diags);

	struct ruleset *rs;
	if (o->verb == VERB_FIELDS && o->n_rules == 0 && access(TOCSIN_RULES_DIR, R_OK) != 0)
		rs = ruleset_load_text(SPAN("placeholders: {}\n"), "no rules", false, &diags); /* none are needed to look */
	else
		rs = load_rules(o->rules, o->n_rules, false, &diags);
	if (!rs)
		return fail(o, &diags);
	run.rules = rs;
	if (o->source && !source_by_name(rs, o->source)) {
		diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "-s %s: unknown source", o->source);
		diag_hint(&diags, "sources are town events daemon overseer guardian ps syslog json text, and those that rules define");
	}
	for (size_t i = 0; i < o->n_zones; i++)
		if (o->zones[i].source && !source_by_name(rs, o->zones[i].source))
			diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "--tz %s=%s: unknown source %s", o->zones[i].source, o->zones[i].zone, o->zones[i].source);
	struct stream_list streams = { NULL, 0 };
	stream_discover(o->n_words ? o->words : only_stdin, o->n_words ? o->n_words : 1, known_source, rs, &streams, &diags);
	bool bad_inputs = diags.n_errors > 0;
	int status = EXIT_TROUBLE;
	struct output *outputs = NULL;
	size_t n_outputs = 0;
	if (o->verb == VERB_FIELDS) {
		rs->fields.keep_all = true;
		run.survey = field_survey_new(&rs->fields);
		p.look = look;
		p.look_context = &run;
	}
	if ((!bad_inputs || streams.n) &&
	    (o->verb == VERB_FIELDS || open_outputs(o, rs, p.zone, &outputs, &n_outputs, &diags))) {
		p.rules = ro.rules = rs;
		p.zone_of = zone_of;
		p.zone_context = &run;
		if (isatty(STDERR_FILENO) && !o->quiet) {
			ro.progress = show_progress;
			ro.progress_context = &run;
		}
		clock_gettime(CLOCK_MONOTONIC, &run.began);
		run.shown = run.began;
		struct pipeline *pipeline = pipeline_new(&p, outputs, n_outputs, &diags);
		bool ok = run_streams(pipeline, &ro, &streams, &diags) && !bad_inputs;
		if (run.progress_shown)
			fputs("\r\033[K", stderr);
		for (size_t i = 0; i < n_outputs; i++)
			if (output_close(&outputs[i], &diags) == OUTPUT_FAILED)
				ok = false;
		add_doubts(pipeline, &diags);
		status = !ok ? EXIT_TROUBLE : o->exit_code && engine_stats(pipeline_engine(pipeline))->opened ? EXIT_INCIDENT : EXIT_RAN;
		print_diags(o, &diags);
		if (o->stats)
			print_stats(&run, pipeline);
		pipeline_free(pipeline);
		if (run.survey) {
			struct buffer out = BUFFER_INIT;
			field_survey_print(run.survey, &out);
			if (print_out(&out) != EXIT_RAN)
				status = EXIT_TROUBLE;
		}
	} else {
		print_diags(o, &diags);
	}
	field_survey_free(run.survey);
	free(outputs);
	stream_list_release(&streams);
	ruleset_free(rs);
	diag_list_release(&diags);
	return status;
}

/* ---- check ---- */

static int verb_check(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->words, o->n_words, true, &diags);
	bool colour = wants_colour(o, STDERR_FILENO);
	struct buffer out = BUFFER_INIT;

	diag_sort(&diags);
	for (size_t i = 0; i < diags.n; i++)
		diag_print(stderr, &diags.items[i], colour);
	if (rs) {
		uint32_t n_correlations = 0, n_alerts = 0;
		for (uint32_t i = 0; i < rs->n_rules; i++) {
			n_correlations += rs->rules[i].kind == RULE_CORRELATION;
			n_alerts += rs->rules[i].alerts;
		}
		buffer_printf(&out, "%" PRIu32 " rules are valid (%" PRIu32 " detections, %" PRIu32 " correlations; %" PRIu32 " open incidents), %zu warning%s\n",
			      rs->n_rules, rs->n_rules - n_correlations, n_correlations, n_alerts, diags.n_warnings, diags.n_warnings == 1 ? "" : "s");
	} else {
		buffer_printf(&out, "%zu error%s, %zu warning%s\n", diags.n_errors, diags.n_errors == 1 ? "" : "s", diags.n_warnings, diags.n_warnings == 1 ? "" : "s");
	}
	int status = print_out(&out);
	if (!rs)
		status = EXIT_TROUBLE;
	ruleset_free(rs);
	diag_list_release(&diags);
	return status;
}

/* ---- rules ---- */

static int verb_rules(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = load_rules(o->rules, o->n_rules, false, &diags);
	struct buffer out = BUFFER_INIT;

	if (!rs)
		return fail(o, &diags);
	size_t width = 4;
	for (uint32_t i = 0; i < rs->n_rules; i++)
		if (rs->rules[i].alerts && strlen(rs->rules[i].name) > width)
			width = strlen(rs->rules[i].name);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		const struct rule *r = &rs->rules[i];
		if (!r->alerts)
			continue;
		const struct rule *leaf = r;
		while (leaf->kind == RULE_CORRELATION)
			leaf = &rs->rules[leaf->correlation->inputs[0].rule];
		buffer_printf(&out, "%-13s  %-*s  %-10s  ", level_name(r->level), (int)width, r->name,
			      leaf->logsource.service ? leaf->logsource.service : leaf->logsource.product ? leaf->logsource.product : "any");
		quote_terminal(&out, span_from_string(r->title));
		buffer_append_char(&out, '\n');
	}
	ruleset_free(rs);
	print_diags(o, &diags);
	diag_list_release(&diags);
	return print_out(&out);
}

/* ---- the rest ---- */

static int verb_completion(const struct options *o)
{
	struct buffer out = BUFFER_INIT;

	if (o->n_words != 1 || !options_completion(&out, o->words[0])) {
		fputs("tocsin: name a shell: bash, zsh or fish\n", stderr);
		return EXIT_TROUBLE;
	}
	return print_out(&out);
}

int main(int argc, char **argv)
{
	struct options o;
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer out = BUFFER_INIT;
	int status = EXIT_TROUBLE;

	signal(SIGPIPE, SIG_IGN);
	if (!options_parse(argc, argv, &o, &diags)) {
		print_diags(&o, &diags);
	} else if (o.help) {
		options_help(&out, o.verb);
		status = print_out(&out);
	} else if (o.version) {
		buffer_append_string(&out, "tocsin " PACKAGE_VERSION "\n");
		status = print_out(&out);
	} else {
		switch (o.verb) {
		case VERB_RUN:
		case VERB_FIELDS:
			status = verb_run(&o);
			break;
		case VERB_CHECK:
			status = verb_check(&o);
			break;
		case VERB_RULES:
			status = verb_rules(&o);
			break;
		case VERB_COMPLETION:
			status = verb_completion(&o);
			break;
		}
	}
	diag_list_release(&diags);
	options_release(&o);
	return status;
}
