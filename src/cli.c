/*
 * What the verbs share.
 */
#include "cli.h"

#include "base/memory.h"
#include "base/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- printing ---- */

bool wants_colour(const struct options *o, int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (o->colour != WHEN_AUTO)
		return o->colour == WHEN_ALWAYS;
	return isatty(fd) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

unsigned terminal_width(int fd)
{
	struct winsize w;
	return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

void print_diags(const struct options *o, struct diag_list *diags)
{
	bool colour = wants_colour(o, STDERR_FILENO);

	for (size_t i = 0; i < diags->n; i++)
		if (!o->quiet || diags->items[i].level == DIAG_ERROR)
			diag_print(stderr, &diags->items[i], colour);
}

/* Standard output that did not get out is an error; a closed pipe is none. */
int print_out(struct buffer *b)
{
	bool ok = fwrite(b->data ? b->data : "", 1, b->len, stdout) == b->len && fflush(stdout) == 0;

	buffer_release(b);
	if (ok || errno == EPIPE)
		return EXIT_RAN;
	fprintf(stderr, "tocsin: cannot write to standard output: %s\n", strerror(errno));
	return EXIT_TROUBLE;
}

int fail(const struct options *o, struct diag_list *diags)
{
	print_diags(o, diags);
	diag_list_release(diags);
	return EXIT_TROUBLE;
}

/* ---- what the options ask for ---- */

struct ruleset *load_rules(char *const *paths, size_t n, bool lint, struct diag_list *diags)
{
	static char installed[] = TOCSIN_RULES_DIR;
	char **list = xcalloc(n ? n : 1, sizeof *list);
	size_t n_given = n;

	if (n == 0) {
		list[0] = installed;
		n = 1;
	} else {
		for (size_t i = 0; i < n; i++)
			list[i] = strcmp(paths[i], "default") ? paths[i] : installed;
	}
	if (list[0] == installed && access(installed, R_OK) != 0) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "no rules: %s is not there", installed);
		diag_hint(diags, n_given ? "install tocsin (make install), or name other rules in place of `default`" :
					   "install tocsin (make install), or name rules: -r PATH");
		free(list);
		return NULL;
	}
	struct ruleset *rs = ruleset_load(list, n, lint, diags);
	free(list);
	return rs;
}

int64_t wall_clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

const struct zone *default_zone(const struct options *o)
{
	const char *name = "local";

	for (size_t i = 0; i < o->n_zones; i++)
		if (!o->zones[i].source)
			name = o->zones[i].zone;
	return zone_get(name);
}

const struct zone *zone_of(void *context, const char *source)
{
	const struct options *o = context;
	const struct zone *z = NULL;

	for (size_t i = 0; i < o->n_zones; i++)
		if (o->zones[i].source && !strcmp(o->zones[i].source, source))
			z = zone_get(o->zones[i].zone);
	return z;
}

bool known_source(void *context, const char *name)
{
	return source_by_name(context, name) != NULL;
}

bool parse_time(const struct options *o, const char *name, const char *text, int64_t now_ns, int64_t *ret_ns, struct diag_list *diags)
{
	if (!text || time_parse_user(span_from_string(text), default_zone(o), now_ns, ret_ns))
		return true;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--%s %s: not a time", name, text);
	diag_hint(diags, "write 2026-02-17T08:44:02Z, \"2026-02-17 08:44\", 08:44, now, \"2h ago\", yesterday or @1771317842");
	return false;
}

bool open_outputs(const struct options *o, const struct ruleset *rs, const struct zone *zone, struct output **ret, size_t *ret_n,
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

/* ---- reading ---- */

/* The source that was meant, or all there are. */
static void hint_source(const struct ruleset *rules, const char *name, struct diag_list *diags)
{
	struct buffer all = BUFFER_INIT;
	size_t n_built_in, n = 0;
	const struct source *built_in = builtin_sources(&n_built_in);
	const char **names = xcalloc(n_built_in + rules->n_sources + 1, sizeof *names);

	for (size_t i = 0; i < n_built_in; i++)
		if (built_in[i].format != FORMAT_INCIDENT)
			names[n++] = built_in[i].name;
	for (size_t i = 0; i < rules->n_sources; i++)
		names[n++] = rules->sources[i]->name;
	const char *near = nearest_word(name, names);
	for (size_t i = 0; i < n; i++)
		buffer_printf(&all, " %s", names[i]);
	if (near)
		diag_hint(diags, "did you mean %s?", near);
	else
		diag_hint(diags, "sources are%s", buffer_string(&all));
	buffer_release(&all);
	free(names);
}

/* SOURCE=PATH of which the path is there, and the source is none. */
static void check_source_of_word(const struct ruleset *rules, const char *word, struct diag_list *diags)
{
	const char *equals = strchr(word, '=');
	char *source = equals ? xmemdup(word, (size_t)(equals - word)) : NULL;

	if (source && *source && !strchr(source, '/') && !source_by_name(rules, source) && access(word, F_OK) != 0 && access(equals + 1, F_OK) == 0) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "%s: unknown source %s", word, source);
		hint_source(rules, source, diags);
	}
	free(source);
}

bool reading_open(const struct options *o, const struct ruleset *rules, char *const *words, size_t n_words, struct reading *ret,
		  struct diag_list *diags)
{
	static char dash[] = "-";
	static char *const only_stdin[] = { dash };
	int64_t now_ns = wall_clock_ns();
	bool lasting = o->follow || o->checkpoint;

	*ret = (struct reading){
		.pipeline = { .rules = rules, .zone = default_zone(o), .zone_of = zone_of, .zone_context = (void *)(uintptr_t)o, .lateness_ns = o->lateness_ns,
			      .since_ns = TIME_NONE, .until_ns = TIME_NONE, .now_ns = now_ns, .record_limit = o->max_record,
			      .max_keys = (uint32_t)o->max_keys },
		.run = { .rules = rules, .stdin_source = o->source, .now_ns = now_ns, .lateness_ns = o->lateness_ns },
	};
	if (n_words == 0 && isatty(STDIN_FILENO)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "nothing to read");
		diag_hint(diags, "name logs or a town's directory (~/gt), or pipe a log in; `tocsin%s%s --help` tells more", o->verb == VERB_RUN ? "" : " ",
			  o->verb == VERB_RUN ? "" : verb_name(o->verb));
		return false;
	}
	size_t errors = diags->n_errors;
	bool times = parse_time(o, "since", o->since, now_ns, &ret->pipeline.since_ns, diags);
	if (!parse_time(o, "until", o->until, now_ns, &ret->pipeline.until_ns, diags) || !times)
		return false;
	if (o->since && o->until && ret->pipeline.since_ns > ret->pipeline.until_ns) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--since %s is later than --until %s: nothing would be read", o->since, o->until);
		diag_hint(diags, "--since is where to begin, --until where to end");
	}
	if (o->source && !source_by_name(rules, o->source)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "-s %s: unknown source", o->source);
		hint_source(rules, o->source, diags);
	}
	for (size_t i = 0; i < o->n_zones; i++) {
		if (!o->zones[i].source || source_by_name(rules, o->zones[i].source))
			continue;
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--tz %s=%s: unknown source %s", o->zones[i].source, o->zones[i].zone, o->zones[i].source);
		hint_source(rules, o->zones[i].source, diags);
	}
	for (size_t i = 0; i < n_words; i++)
		check_source_of_word(rules, words[i], diags);
	/* What is asked for is wrong: then what is read would be, too. An input that is missing leaves the others. */
	if (diags->n_errors > errors)
		return false;
	words = n_words ? words : only_stdin;
	n_words = n_words ? n_words : 1;
	if (lasting)
		stream_discover_lasting(words, n_words, known_source, (void *)(uintptr_t)rules, false, &ret->streams, diags);
	else
		stream_discover(words, n_words, known_source, (void *)(uintptr_t)rules, &ret->streams, diags);
	ret->bad_inputs = diags->n_errors > 0;
	if (ret->bad_inputs && !ret->streams.n) {
		reading_release(ret);
		return false;
	}
	return true;
}

void reading_release(struct reading *r)
{
	stream_list_release(&r->streams);
}

bool wants_jsonl(const struct options *o, bool *ret, struct diag_list *diags)
{
	*ret = false;
	for (size_t i = 0; i < o->n_outputs; i++) {
		if ((o->outputs[i].format != EMIT_TEXT && o->outputs[i].format != EMIT_JSONL) || o->outputs[i].path || o->n_outputs > 1) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "`tocsin %s` writes text or jsonl, to standard output", verb_name(o->verb));
			diag_hint(diags, "-o text or -o jsonl");
			return false;
		}
		*ret = o->outputs[i].format == EMIT_JSONL;
	}
	return true;
}

/* ---- doubts ---- */

static void add_doubt(struct diag_list *diags, const char *name, uint64_t n, const char *what)
{
	if (n)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, "%s%s%" PRIu64 " %s", name, *name ? ": " : "", n, what);
}

/*
 * SOURCE=PATH may be wrong, and would then say nothing at all: a log of which every line has a stamp has none, or no line of snapshots was
 * understood.
 */
static void doubt_source(const struct lane_stats *s, struct diag_list *diags)
{
	bool wrong = false;

	switch (s->format) {
	case FORMAT_TOWN:
	case FORMAT_EVENTS:
	case FORMAT_DAEMON:
	case FORMAT_SYSLOG:
		wrong = !s->stamped;
		break;
	case FORMAT_PS:
		wrong = s->decoder->parsed == 0 && s->decoder->unparsed > 0;
		break;
	case FORMAT_OVERSEER:
	case FORMAT_GUARDIAN:
	case FORMAT_JSON:
	case FORMAT_TEXT:
	case FORMAT_PATTERN:
	case FORMAT_INCIDENT:
		break;
	}
	if (!wrong || s->decoder->records == 0)
		return;
	diag_add(diags, DIAG_WARNING, NULL, 0, 0, "%s: no line of it could be read as %s", strcmp(s->name, "-") ? s->name : "standard input",
		 s->source);
	diag_hint(diags, "`tocsin fields FILE` shows what it may be; SOURCE=PATH says what it is");
}

void add_doubts(const struct pipeline *p, struct diag_list *diags)
{
	const struct engine_stats *e = engine_stats(pipeline_engine(p));
	struct lane_stats s;

	for (size_t i = 0; pipeline_lane_stats(p, i, &s); i++) {
		doubt_source(&s, diags);
		add_doubt(diags, s.name, s.late, "matched records came later than --lateness allows; used where they could be");
		add_doubt(diags, s.name, s.future, "records are stamped in the future; left out");
		add_doubt(diags, s.name, s.decoder->cut, "records were cut at the limit (--max-record)");
	}
	add_doubt(diags, "", e->evicted, "keys were dropped at the limit (--max-keys)");
	add_doubt(diags, "", e->window_cut, "events were dropped from windows that were full");
	add_doubt(diags, "", pipeline_notices_dropped(p), "more notices are not shown; --stats counts them");
}

/* ---- statistics ---- */

void print_stats(const struct pipeline *p, double elapsed)
{
	struct lane_stats s;
	uint64_t bytes = 0;

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
	fprintf(stderr, "%.1f MiB in %.2f s (%.0f MiB/s)\n", (double)bytes / 1048576, elapsed, (double)bytes / 1048576 / (elapsed > 0 ? elapsed : 1));
}
