/*
 * tocsin diff OLD NEW INPUT…: one run with each set of rules over the same bytes. What standard input brings is spooled into a file that has no name,
 * so that it can be read twice.
 */
#include "cli.h"
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool reads_stdin(const struct options *o)
{
	for (size_t i = 2; i < o->n_words; i++) {
		const char *equals = strchr(o->words[i], '=');
		if (!strcmp(o->words[i], "-") || (equals && !strcmp(equals + 1, "-")))
			return true;
	}
	return o->n_words == 2;
}

/* Makes standard input a file that can be read again from *ret_start. False with diagnostics. */
static bool spool_stdin(off_t *ret_start, struct diag_list *diags)
{
	const char *dir = getenv("TMPDIR");
	struct buffer name = BUFFER_INIT;
	static char block[1 << 16];
	struct stat st;
	ssize_t n = 0;

	*ret_start = 0;
	if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode)) {
		*ret_start = lseek(STDIN_FILENO, 0, SEEK_CUR);
		return true;
	}
	buffer_printf(&name, "%s/tocsin-diff-XXXXXX", dir && *dir ? dir : "/tmp");
	buffer_string(&name);
	int fd = mkostemp(name.data, O_CLOEXEC);
	if (fd >= 0)
		unlink(name.data);
	while (fd >= 0 && ((n = read(STDIN_FILENO, block, sizeof block)) > 0 || (n < 0 && errno == EINTR)))
		for (ssize_t done = 0, w; n > 0 && done < n; done += w) {
			w = write(fd, block + done, (size_t)(n - done));
			if (w < 0 && errno == EINTR)
				w = 0;
			if (w < 0) {
				n = -1;
				goto failed;
			}
		}
	if (fd >= 0 && n == 0 && dup2(fd, STDIN_FILENO) >= 0) {
		close(fd);
		buffer_release(&name);
		return true;
	}
failed:
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "standard input must be read twice, and cannot be kept in %s: %s", name.data, strerror(errno));
	diag_hint(diags, "TMPDIR names another folder; or put the log into a file");
	if (fd >= 0)
		close(fd);
	buffer_release(&name);
	return false;
}

/* One run; NULL with diagnostics when nothing could be read. *ok false: not all could be read. */
static struct diff_side *read_side(const struct options *o, const struct ruleset *rs, int64_t now_ns, bool *ok, struct diag_list *diags)
{
	struct reading reading;

	if (!reading_open(o, rs, o->words + 2, o->n_words - 2, &reading, diags))
		return NULL;
	struct diff_side *side = diff_side_new();
	reading.pipeline.now_ns = reading.run.now_ns = now_ns; /* the same for both */
	reading.pipeline.on_change = diff_side_change;
	reading.pipeline.change_context = side;
	struct pipeline *pipeline = pipeline_new(&reading.pipeline, NULL, 0, diags);
	struct run *run = run_new(pipeline, &reading.run, &reading.streams, diags);
	*ok &= run_read(run) && !reading.bad_inputs;
	run_free(run);
	add_doubts(pipeline, diags);
	pipeline_free(pipeline);
	reading_release(&reading);
	if (diff_side_dropped(side)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "more than %d incidents: %" PRIu64 " are not compared", DIFF_INCIDENT_LIMIT,
			 diff_side_dropped(side));
		diag_hint(diags, "--since and --until narrow the time");
		*ok = false;
	}
	return side;
}

int verb_diff(const struct options *o)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rules[2] = { NULL, NULL };
	struct diff_side *sides[2] = { NULL, NULL };
	struct diff_style style = { .colour = wants_colour(o, STDOUT_FILENO), .zone = default_zone(o) };
	struct buffer out = BUFFER_INIT;
	off_t start = 0;
	int64_t now_ns = wall_clock_ns();
	int status = EXIT_TROUBLE;
	bool ok = true;

	if (o->n_words < 2) {
		diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "name two sets of rules, the old one and the new one");
		diag_hint(&diags, "tocsin diff rules.old rules ~/gt; `default` stands for the installed ones");
		return fail(o, &diags);
	}
	if (!wants_jsonl(o, &style.jsonl, &diags))
		return fail(o, &diags);
	for (int i = 0; i < 2; i++)
		rules[i] = load_rules(&o->words[i], 1, false, &diags);
	bool from_stdin = reads_stdin(o);
	if (!rules[0] || !rules[1] || (from_stdin && !isatty(STDIN_FILENO) && !spool_stdin(&start, &diags)))
		goto done;
	for (int i = 0; i < 2; i++) {
		if (from_stdin)
			lseek(STDIN_FILENO, start, SEEK_SET);
		sides[i] = read_side(o, rules[i], now_ns, &ok, &diags);
		if (!sides[i])
			goto done;
	}
	struct diff_totals totals = diff_write(sides[0], sides[1], &style, &out);
	status = print_out(&out);
	if (status == EXIT_RAN && totals.of[DIFF_LOST] + totals.of[DIFF_GAINED] + totals.of[DIFF_CHANGED])
		status = EXIT_INCIDENT;
	if (!ok)
		status = EXIT_TROUBLE;
done:
	diag_sort(&diags); /* what both runs say is said once */
	print_diags(o, &diags);
	diag_list_release(&diags);
	for (int i = 0; i < 2; i++) {
		diff_side_free(sides[i]);
		ruleset_free(rules[i]);
	}
	return status;
}
