/*
 * The option table and what reads it. getopt_long does the splitting; messages are made here, so that a misspelt
 * option gets the nearest one as a hint.
 */
#include "options.h"

#include "base/memory.h"
#include "base/timestamp.h"
#include "record/decoder.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum option_id {
	OPT_RULES = 'r',
	OPT_SOURCE = 's',
	OPT_OUTPUT = 'o',
	OPT_FOLLOW = 'f',
	OPT_QUIET = 'q',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_TZ = 256,
	OPT_LATENESS,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_EXIT_CODE,
	OPT_STATS,
	OPT_COLOR,
	OPT_MAX_KEYS,
	OPT_THREADS,
	OPT_MAX_RECORD,
	OPT_TAP,
	OPT_JUNIT,
	OPT_POLL,
	OPT_CHECKPOINT,
	OPT_RULE,
	OPT_KEY,
	OPT_AT,
	OPT_ALL,
};

struct option_row {
	int id;
	const char *name, *argument; /* argument: NULL for none */
	const char *help;
	const char *values;          /* for completion: words, or a kind in brackets */
	unsigned verbs;              /* bits: 1 << verb */
};

#define V(v) (1u << (v))
#define READING (V(VERB_RUN) | V(VERB_FIELDS) | V(VERB_EXPLAIN) | V(VERB_DIFF))
#define SHORT V(VERB_COUNT) /* in `tocsin --help`, which has room for the common ones only */
#define ALL (READING | V(VERB_CHECK) | V(VERB_TEST) | V(VERB_RULES) | V(VERB_CHECKPOINT) | V(VERB_COMPLETION))

static const struct option_row table[] = {
	{ OPT_RULES, "rules", "PATH", "rules; repeatable; `default`: installed ones", "<path>",
	  SHORT | V(VERB_RUN) | V(VERB_FIELDS) | V(VERB_EXPLAIN) | V(VERB_RULES) },
	{ OPT_SOURCE, "source", "NAME", "what standard input is: town, ps, ...",
	  "town events daemon overseer guardian ps syslog json text", SHORT | READING },
	{ OPT_OUTPUT, "output", "FORMAT[=PATH]", "text, jsonl, commands, gt; repeatable", "text jsonl commands gt",
	  SHORT | V(VERB_RUN) | V(VERB_FIELDS) | V(VERB_EXPLAIN) | V(VERB_DIFF) | V(VERB_RULES) },
	{ OPT_FOLLOW, "follow", NULL, "then go on with what is added, until a signal", NULL, SHORT | V(VERB_RUN) },
	{ OPT_POLL, "poll", "[=TIME]", "follow without inotify, look every 1s", "1s 5s", V(VERB_RUN) },
	{ OPT_TZ, "tz", "[SOURCE=]ZONE", "zone of stamps without one (default: local)", "UTC local", SHORT | READING },
	{ OPT_CHECKPOINT, "checkpoint", "FILE", "go on where the last run with FILE stopped", "<path>", SHORT | V(VERB_RUN) },
	{ OPT_LATENESS, "lateness", "TIME", "how late a record may come (default 2s)", "0s 2s 10s", V(VERB_RUN) | V(VERB_EXPLAIN) | V(VERB_DIFF) },
	{ OPT_SINCE, "since", "TIME", "leave out what is older", "<time>", SHORT | READING },
	{ OPT_UNTIL, "until", "TIME", "leave out what is newer; time runs to there", "now", SHORT | READING },
	{ OPT_RULE, "rule", "NAME", "the rule to explain (default: a table of all)", "<rule>", V(VERB_EXPLAIN) },
	{ OPT_KEY, "key", "NAME=VALUE", "only this key of it; repeatable", NULL, V(VERB_EXPLAIN) },
	{ OPT_AT, "at", "TIME", "as it stood at this time", "<time>", V(VERB_EXPLAIN) },
	{ OPT_ALL, "all", NULL, "also rules that open no incidents", NULL, V(VERB_RULES) },
	{ OPT_EXIT_CODE, "exit-code", NULL, "exit with 1 when an incident opened", NULL, SHORT | V(VERB_RUN) },
	{ OPT_STATS, "stats", NULL, "tell what was read, late, cut, skipped", NULL, V(VERB_RUN) | V(VERB_FIELDS) },
	{ OPT_MAX_KEYS, "max-keys", "N", "keys a rule may hold (default 100000)", NULL, V(VERB_RUN) | V(VERB_EXPLAIN) | V(VERB_DIFF) },
	{ OPT_THREADS, "threads", "N", "use N threads (default: processors)", NULL, V(VERB_RUN) },
	{ OPT_MAX_RECORD, "max-record", "BYTES", "cut longer records (default 1 MiB)", NULL, READING },
	{ OPT_TAP, "tap", NULL, "results as TAP", NULL, V(VERB_TEST) },
	{ OPT_JUNIT, "junit", "FILE", "results as JUnit XML, too", "<path>", V(VERB_TEST) },
	{ OPT_COLOR, "color", "WHEN", "auto, always, never", "auto always never", ALL },
	{ OPT_QUIET, "quiet", NULL, "no progress, no notices", NULL, READING },
	{ OPT_HELP, "help", NULL, "this text", NULL, ALL },
	{ OPT_VERSION, "version", NULL, "the version", NULL, ALL },
};
#define TABLE_ROWS (sizeof table / sizeof *table)

struct verb_row {
	const char *name, *operands, *help, *example;
};
static const struct verb_row verbs[VERB_COUNT] = {
	[VERB_RUN] = { "run", "[INPUT...]", "read logs, tell incidents (the default)",
		       "tocsin -f --since now -o commands ~/gt | sh" },
	[VERB_CHECK] = { "check", "[RULES...]", "validate rule files", "tocsin check my-rules.yml" },
	[VERB_TEST] = { "test", "[TESTS...]", "run unit tests of rules", "tocsin test my-rules_test.yml" },
	[VERB_FIELDS] = { "fields", "INPUT...", "what the parsers make of the lines", "tocsin fields ~/gt/daemon/daemon.log" },
	[VERB_EXPLAIN] = { "explain", "INPUT...", "why a rule fired on these logs, or why not",
			   "tocsin explain --rule kill_storm --at '2026-02-17 05:42' ~/gt" },
	[VERB_DIFF] = { "diff", "OLD NEW INPUT...", "what new rules change on these logs", "tocsin diff default my-rules/ ~/gt" },
	[VERB_RULES] = { "rules", "[WORD...]", "list the loaded rules (with these words)", "tocsin rules kill critical" },
	[VERB_CHECKPOINT] = { "checkpoint", "FILE", "show what a checkpoint holds", "tocsin checkpoint ~/.local/state/tocsin/checkpoint" },
	[VERB_COMPLETION] = { "completion", "bash|zsh|fish", "print a completion script",
			      "eval \"$(tocsin completion bash)\"" },
};

const char *verb_name(enum verb v)
{
	return verbs[v].name;
}

static const struct option_row *row_of(int id)
{
	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (table[i].id == id)
			return &table[i];
	return NULL;
}

/* word: "--lateless=3s", or "-Z", or the "-version" that begins with an unknown letter. */
static void say_unknown(struct diag_list *diags, const char *word)
{
	const char *names[TABLE_ROWS + 1];
	char bare[64];

	snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "="), word);
	for (size_t i = 0; i < TABLE_ROWS; i++)
		names[i] = table[i].name;
	names[TABLE_ROWS] = NULL;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "unknown option %s", word);
	const char *near = nearest_word(bare + strspn(bare, "-"), names);
	if (near)
		diag_hint(diags, "did you mean --%s?", near);
	else
		diag_hint(diags, "tocsin --help lists the options");
}

/* The message for a value that cannot be used; hint: NULL for none. */
static void refuse(struct diag_list *diags, const struct option_row *row, const char *value, const char *why, const char *help)
{
	bool optional = row->argument[0] == '[' && row->argument[1] == '=';

	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--%s%c%s: %s", row->name, optional ? '=' : ' ', value, why);
	if (help)
		diag_hint(diags, "%s", help);
}

static void take_number(const struct option_row *row, const char *value, uint64_t least, uint64_t most, uint64_t *ret, struct diag_list *diags)
{
	char *end, why[80];

	errno = 0;
	unsigned long long v = strtoull(value, &end, 10);
	if (errno || end == value || *end || value[0] == '-' || v < least || v > most) {
		snprintf(why, sizeof why, "must be a number from %" PRIu64 " to %" PRIu64, least, most);
		refuse(diags, row, value, why, NULL);
	} else {
		*ret = v;
	}
}

static void take_duration(const struct option_row *row, const char *value, int64_t least_ns, int64_t *ret_ns, struct diag_list *diags)
{
	int64_t ns;

	if (!duration_parse(span_from_string(value), &ns))
		refuse(diags, row, value, "not a duration", "a number and a unit: 500ms, 2s, 1m");
	else if (ns < least_ns)
		refuse(diags, row, value, "too short", "a number and a unit: 500ms, 2s, 1m");
	else
		*ret_ns = ns;
}

static void take_when(const struct option_row *row, const char *value, enum when *ret, struct diag_list *diags)
{
	if (!strcmp(value, "auto"))
		*ret = WHEN_AUTO;
	else if (!strcmp(value, "always"))
		*ret = WHEN_ALWAYS;
	else if (!strcmp(value, "never"))
		*ret = WHEN_NEVER;
	else
		refuse(diags, row, value, "must be auto, always or never", NULL);
}

static void add_output(struct options *o, const char *text, struct diag_list *diags)
{
	const char *names[EMIT_FORMAT_COUNT + 1] = { NULL };
	const char *equals = strchr(text, '=');
	struct span name = span_of(text, equals ? (size_t)(equals - text) : strlen(text));
	struct output_option out = { EMIT_TEXT, equals ? equals + 1 : NULL };

	for (int f = 0; f < EMIT_FORMAT_COUNT; f++)
		names[f] = emit_format_name((enum emit_format)f);
	if (!emit_format_from_name(name, &out.format)) {
		char word[32];
		snprintf(word, sizeof word, "%.*s", (int)name.len, name.ptr);
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "-o %s: unknown output format", text);
		const char *near = nearest_word(word, names);
		diag_hint(diags, near ? "did you mean %s?" : "%s", near ? near : "formats are text, jsonl, commands, gt");
		return;
	}
	if (out.path && !*out.path) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "-o %s: no path behind the =", text);
		return;
	}
	o->outputs = xrealloc(o->outputs, (o->n_outputs + 1) * sizeof *o->outputs);
	o->outputs[o->n_outputs++] = out;
}

static void add_zone(struct options *o, char *text, struct diag_list *diags)
{
	char *equals = strchr(text, '=');
	struct zone_option z = { NULL, text };

	if (equals) {
		*equals = 0;
		z = (struct zone_option){ text, equals + 1 };
	}
	if (!zone_get(z.zone)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--tz: unknown time zone %s", z.zone);
		diag_hint(diags, "use a name such as Europe/Berlin, America/New_York, UTC or local");
	}
	o->zones = xrealloc(o->zones, (o->n_zones + 1) * sizeof *o->zones);
	o->zones[o->n_zones++] = z;
}

static void add_rules(struct options *o, char *path)
{
	o->rules = xrealloc(o->rules, (o->n_rules + 1) * sizeof *o->rules);
	o->rules[o->n_rules++] = path;
}

static void add_key(struct options *o, const struct option_row *row, char *text, struct diag_list *diags)
{
	if (!strchr(text, '=') || text[0] == '=')
		refuse(diags, row, text, "must be NAME=VALUE", "a group-by field of the rule and its value: --key rig=prajna");
	o->keys = xrealloc(o->keys, (o->n_keys + 1) * sizeof *o->keys);
	o->keys[o->n_keys++] = text;
}

static void take(struct options *o, const struct option_row *row, char *value, struct diag_list *diags)
{
	switch ((enum option_id)row->id) {
	case OPT_RULES:
		add_rules(o, value);
		break;
	case OPT_SOURCE:
		o->source = value;
		break;
	case OPT_OUTPUT:
		add_output(o, value, diags);
		break;
	case OPT_FOLLOW:
		o->follow = true;
		break;
	case OPT_POLL:
		o->poll_ns = NS_PER_SECOND;
		if (value)
			take_duration(row, value, NS_PER_SECOND / 1000, &o->poll_ns, diags);
		break;
	case OPT_TZ:
		add_zone(o, value, diags);
		break;
	case OPT_LATENESS:
		take_duration(row, value, 0, &o->lateness_ns, diags);
		break;
	case OPT_SINCE:
		o->since = value;
		break;
	case OPT_UNTIL:
		o->until = value;
		break;
	case OPT_ALL:
		o->all = true;
		break;
	case OPT_CHECKPOINT:
		o->checkpoint = value;
		break;
	case OPT_AT:
		o->at = value;
		break;
	case OPT_RULE:
		o->rule = value;
		break;
	case OPT_KEY:
		add_key(o, row, value, diags);
		break;
	case OPT_EXIT_CODE:
		o->exit_code = true;
		break;
	case OPT_STATS:
		o->stats = true;
		break;
	case OPT_COLOR:
		take_when(row, value, &o->colour, diags);
		break;
	case OPT_MAX_KEYS:
		take_number(row, value, 1, 100000000, &o->max_keys, diags);
		break;
	case OPT_THREADS:
		take_number(row, value, 1, 64, &o->threads, diags);
		break;
	case OPT_MAX_RECORD:
		take_number(row, value, 256, UINT64_C(1) << 28, &o->max_record, diags);
		break;
	case OPT_TAP:
		o->tap = true;
		break;
	case OPT_JUNIT:
		o->junit = value;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_HELP:
		o->help = true;
		break;
	case OPT_VERSION:
		o->version = true;
		break;
	}
}

/* Is the first word a verb that was misspelt, or stands behind options? */
static void doubt_verb(const struct options *o, struct diag_list *diags)
{
	const char *names[VERB_COUNT + 3] = { NULL }, *word = o->n_words ? o->words[0] : "";

	if (o->verb_named || strpbrk(word, "/=.") || access(word, F_OK) == 0)
		return;
	for (int v = 0; v < VERB_COUNT; v++)
		names[v] = verbs[v].name;
	names[VERB_COUNT] = "help";
	names[VERB_COUNT + 1] = "version";
	const char *near = nearest_word(word, names);
	if (!near)
		return;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, "%s: there is no such verb, and no such file", word);
	if (near == names[VERB_COUNT] || near == names[VERB_COUNT + 1])
		diag_hint(diags, "did you mean tocsin --%s?", near);
	else if (!strcmp(near, word))
		diag_hint(diags, "the verb comes first: tocsin %s", near);
	else
		diag_hint(diags, "did you mean tocsin %s?", near);
}

bool options_parse(int argc, char **argv, struct options *ret, struct diag_list *diags)
{
	struct option longs[TABLE_ROWS + 1];
	char shorts[2 * TABLE_ROWS + 2] = ":";
	size_t n_shorts = 1;

	*ret = (struct options){ .verb = VERB_RUN, .lateness_ns = 2 * NS_PER_SECOND, .max_record = RECORD_LIMIT_DEFAULT };
	for (size_t i = 0; i < TABLE_ROWS; i++) {
		int argument = !table[i].argument ? no_argument : table[i].argument[0] == '[' && table[i].argument[1] == '=' ? optional_argument : required_argument;
		longs[i] = (struct option){ table[i].name, argument, NULL, table[i].id };
		if (table[i].id < 256) {
			shorts[n_shorts++] = (char)table[i].id;
			if (table[i].argument)
				shorts[n_shorts++] = ':';
		}
	}
	shorts[n_shorts] = 0;
	longs[TABLE_ROWS] = (struct option){ 0 };

	if (argc > 1)
		for (int v = 0; v < VERB_COUNT; v++)
			if (!strcmp(argv[1], verbs[v].name)) {
				ret->verb = (enum verb)v;
				ret->verb_named = true;
				argc--;
				argv++;
				break;
			}

	opterr = 0;
	optind = 1;
	for (int said = 0;;) {
		int c = getopt_long(argc, argv, shorts, longs, NULL);
		if (c == -1)
			break;
		if (c == '?') {
			/* getopt has gone past the last letter of a word, and past a long option; in a word of more letters it is still there. */
			int at = optopt && optopt < 256 && optind < argc && argv[optind][0] == '-' && argv[optind][1] != '-' && strchr(argv[optind], optopt) ?
				optind : optind - 1;
			if (optopt && !strncmp(argv[at], "--", 2))
				diag_add(diags, DIAG_ERROR, NULL, 0, 0, "option --%s takes no value", row_of(optopt)->name);
			else if (said != at)
				say_unknown(diags, argv[at]);
			said = at;
			continue;
		}
		if (c == ':') {
			const struct option_row *row = row_of(optopt);
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "option --%s needs a value", row->name);
			diag_hint(diags, "--%s %s", row->name, row->argument);
			continue;
		}
		const struct option_row *row = row_of(c);
		if (!(row->verbs & V(ret->verb))) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "option --%s is not for `tocsin %s`", row->name, verb_name(ret->verb));
			diag_hint(diags, "tocsin %s --help lists its options", verb_name(ret->verb));
		}
		take(ret, row, optarg, diags);
	}
	ret->words = argv + optind;
	ret->n_words = (size_t)(argc - optind);
	doubt_verb(ret, diags);
	if (ret->poll_ns && !ret->follow)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--poll is a way to follow: it needs -f");
	for (size_t i = 0; ret->checkpoint && i < ret->n_outputs; i++)
		if (ret->outputs[i].path && !strcmp(ret->outputs[i].path, ret->checkpoint))
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, "%s cannot be both checkpoint and output", ret->checkpoint);
	if (ret->follow && ret->until) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "--until does not go with -f");
		diag_hint(diags, "leave out -f to read up to a time, or stop following with a signal");
	}
	return diags->n_errors == 0;
}

void options_release(struct options *o)
{
	free(o->rules);
	free(o->outputs);
	free(o->zones);
	free(o->keys);
}

static void help_option(struct buffer *out, const struct option_row *row, enum verb v)
{
	const char *argument = row->argument ? row->argument : "", *help = row->help;
	struct buffer flags = BUFFER_INIT;

	if (row->id == OPT_OUTPUT && v != VERB_RUN) { /* wants_jsonl() */
		argument = "FORMAT";
		help = "text or jsonl";
	}
	if (row->id < 256)
		buffer_printf(&flags, "-%c, ", row->id);
	else
		buffer_append_string(&flags, "    ");
	buffer_printf(&flags, "--%s%s%s", row->name, *argument && argument[1] != '=' ? " " : "", argument);
	buffer_printf(out, "  %-27s %s\n", buffer_string(&flags), help);
	buffer_release(&flags);
}

static void help_all(struct buffer *out)
{
	buffer_append_string(out, "Usage: tocsin [OPTION...] [INPUT...]  INPUT: a town (~/gt), PATH, SOURCE=PATH, -\n"
				  "Reads logs of a Gas Town with ps snapshots; tells incidents and commands.\n\n");
	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (table[i].verbs & SHORT)
			help_option(out, &table[i], VERB_RUN);
	buffer_append_string(out, "\nAll options: tocsin run --help. Other verbs (tocsin VERB --help tells more):\n");
	for (int v = VERB_RUN + 1; v < VERB_COUNT; v++)
		buffer_printf(out, "  %-10s %-16s %s\n", verbs[v].name, verbs[v].operands, verbs[v].help);
	buffer_printf(out, "Example: %s          Manual: man tocsin\n", verbs[VERB_RUN].example);
}

void options_help(struct buffer *out, const struct options *o)
{
	enum verb v = o->verb;

	if (!o->verb_named) {
		help_all(out);
		return;
	}
	buffer_printf(out, "Usage: tocsin %s [OPTION...] %s\ntocsin %s: %s.\n", verbs[v].name, verbs[v].operands, verbs[v].name, verbs[v].help);
	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (table[i].verbs & V(v))
			help_option(out, &table[i], v);
	buffer_printf(out, "Example: %s\n", verbs[v].example);
}

/* Names of the loaded rules, for shells: the second column of the list. */
#define RULE_NAMES "tocsin rules --all %s2>/dev/null | tr -s \" \" | cut -d \" \" -f 2"

static bool names_a_rule(const struct option_row *row)
{
	return row->values && !strcmp(row->values, "<rule>");
}

static void complete_bash(struct buffer *out)
{
	buffer_append_string(out, "# bash completion for tocsin, made by `tocsin completion bash`\n"
				  "_tocsin() {\n"
				  "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
				  "\tcase $prev in\n");
	for (size_t i = 0; i < TABLE_ROWS; i++) {
		if (!table[i].values || table[i].values[0] == '<')
			continue;
		buffer_append_string(out, "\t");
		if (table[i].id < 256)
			buffer_printf(out, "-%c|", table[i].id);
		buffer_printf(out, "--%s) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return ;;\n", table[i].name, table[i].values);
	}
	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (names_a_rule(&table[i]))
			buffer_printf(out, "\t--%s)\n"
					   "\t\tlocal i rules=()\n"
					   "\t\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
					   "\t\t\tcase ${COMP_WORDS[i]} in -r|--rules) rules+=(-r \"${COMP_WORDS[i+1]}\") ;; esac\n"
					   "\t\tdone\n"
					   "\t\tmapfile -t COMPREPLY < <(compgen -W \"$(" RULE_NAMES ")\" -- \"$cur\"); return ;;\n",
				      table[i].name, "\"${rules[@]}\" ");
	buffer_append_string(out, "\tcompletion) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$cur\"); return ;;\n\tesac\n"
				  "\tlocal options\n\tcase ${COMP_WORDS[1]} in\n");
	for (int v = VERB_COUNT - 1; v >= VERB_RUN; v--) { /* last the default */
		buffer_printf(out, "\t%s) options='", v == VERB_RUN ? "*" : verbs[v].name);
		for (size_t i = 0; i < TABLE_ROWS; i++)
			if (table[i].verbs & V(v))
				buffer_printf(out, "--%s ", table[i].name);
		buffer_append_string(out, "' ;;\n");
	}
	buffer_append_string(out, "\tesac\n\tif [[ $cur == -* ]]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n\telif ((COMP_CWORD == 1)); then\n\t\tmapfile -t COMPREPLY < <(compgen -f -W '");
	for (int i = 0; i < VERB_COUNT; i++)
		buffer_printf(out, "%s%s", i ? " " : "", verbs[i].name);
	buffer_append_string(out, "' -- \"$cur\")\n\telse\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\tfi\n}\n"
				  "complete -o filenames -F _tocsin tocsin\n");
}

static void complete_zsh(struct buffer *out)
{
	buffer_append_string(out, "#compdef tocsin\n# made by `tocsin completion zsh`\n_arguments -S \\\n");
	for (size_t i = 0; i < TABLE_ROWS; i++) {
		const char *name = table[i].name;
		if (table[i].id < 256)
			buffer_printf(out, "\t'(-%c --%s)'{-%c%s,--%s%s}'[%s]", table[i].id, name, table[i].id, table[i].argument ? "+" : "", name,
				      table[i].argument ? "=" : "", table[i].help);
		else
			buffer_printf(out, "\t'--%s%s[%s]", name, table[i].argument ? "=" : "", table[i].help);
		if (table[i].values && table[i].values[0] != '<')
			buffer_printf(out, ":value:(%s)", table[i].values);
		else if (names_a_rule(&table[i]))
			buffer_printf(out, ":rule:{compadd $(" RULE_NAMES ")}", "");
		else if (table[i].argument)
			buffer_append_string(out, ":value:_files");
		buffer_append_string(out, "' \\\n");
	}
	buffer_append_string(out, "\t'1:verb or input:{_files; compadd");
	for (int i = 0; i < VERB_COUNT; i++)
		buffer_printf(out, " %s", verbs[i].name);
	buffer_append_string(out, "}' '*:input:_files'\n");
}

static void complete_fish(struct buffer *out)
{
	buffer_append_string(out, "# fish completion for tocsin, made by `tocsin completion fish`\n");
	for (int i = 0; i < VERB_COUNT; i++)
		buffer_printf(out, "complete -c tocsin -n __fish_use_subcommand -a %s -d '%s'\n", verbs[i].name, verbs[i].help);
	for (size_t i = 0; i < TABLE_ROWS; i++) {
		buffer_printf(out, "complete -c tocsin -l %s", table[i].name);
		if (table[i].id < 256)
			buffer_printf(out, " -s %c", table[i].id);
		if (table[i].values && table[i].values[0] != '<')
			buffer_printf(out, " -x -a '%s'", table[i].values);
		else if (names_a_rule(&table[i]))
			buffer_printf(out, " -x -a '(" RULE_NAMES ")'", "");
		else if (table[i].argument)
			buffer_append_string(out, " -r");
		buffer_printf(out, " -d '%s'\n", table[i].help);
	}
}

bool options_completion(struct buffer *out, const char *shell)
{
	if (!strcmp(shell, "bash"))
		complete_bash(out);
	else if (!strcmp(shell, "zsh"))
		complete_zsh(out);
	else if (!strcmp(shell, "fish"))
		complete_fish(out);
	else
		return false;
	return true;
}
