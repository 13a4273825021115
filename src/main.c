/*
 * From the command line to a verb.
 */
#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/*
 * A standard descriptor that is closed would be the next file's that is opened: incidents would go into a lock file, errors into an output. So something
 * stands in its place that cannot be used: what is read or written there fails, and is told.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int verb_completion(const struct options *o)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	struct buffer out = BUFFER_INIT;

	if (o->n_words != 1 || !options_completion(&out, o->words[0])) {
		struct diag_list diags = DIAG_LIST_INIT;
		const char *near = o->n_words ? nearest_word(o->words[0], shells) : NULL;
		diag_add(&diags, DIAG_ERROR, NULL, 0, 0, "name a shell: bash, zsh or fish");
		if (near)
			diag_hint(&diags, "did you mean %s?", near);
		return fail(o, &diags);
	}
	return print_out(&out);
}

int main(int argc, char **argv)
{
	struct options o;
	struct diag_list diags = DIAG_LIST_INIT;
	struct buffer out = BUFFER_INIT;
	int status = EXIT_TROUBLE;

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (!options_parse(argc, argv, &o, &diags)) {
		print_diags(&o, &diags);
	} else if (o.help) {
		options_help(&out, &o);
		status = print_out(&out);
	} else if (o.version) {
		buffer_append_string(&out, "tocsin " PACKAGE_VERSION "\n");
		status = print_out(&out);
	} else {
		switch (o.verb) {
		case VERB_RUN:
			status = verb_run(&o);
			break;
		case VERB_CHECK:
			status = verb_check(&o);
			break;
		case VERB_TEST:
			status = verb_test(&o);
			break;
		case VERB_FIELDS:
			status = verb_fields(&o);
			break;
		case VERB_EXPLAIN:
			status = verb_explain(&o);
			break;
		case VERB_DIFF:
			status = verb_diff(&o);
			break;
		case VERB_RULES:
			status = verb_rules(&o);
			break;
		case VERB_CHECKPOINT:
			status = verb_checkpoint(&o);
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
