/*
 * plan.c: decides what follows from an incident: incident: and response:, with the texts in them. Invariants: no command's program comes
 * from a log line, and no placeholder stands in a word that a shell or another interpreter would run.
 */
#include "rule/loader.h"
#include <ctype.h>
#include <stdlib.h>

#define COMMANDS_MAX 100
#define WORDS_MAX 1000

static bool read_seconds(struct loader *l, const struct yaml_node *section, const char *key, int64_t *ret)
{
	const struct yaml_pair *pair = yaml_find(section, key);

	if (!pair)
		return true;
	if (pair->value->kind == YAML_SCALAR && span_equal(pair->value->text, SPAN("never"))) {
		*ret = DURATION_NEVER;
		return true;
	}
	return get_duration(l, pair->value, ret);
}

static void read_inhibitors(struct loader *l, struct draft *d, const struct yaml_node *v)
{
	const struct yaml_node **names;
	uint32_t n, *drafts;

	names = get_list(l, v, "inhibited-by", &n);
	if (!names)
		return;
	drafts = arena_alloc(&l->rs->arena, (n + 1) * sizeof *drafts);
	d->inhibitors = drafts;
	for (uint32_t i = 0; i < n; i++) {
		struct draft *of = find_draft(l, names[i]->text);

		if (!of) {
			report(l, DIAG_ERROR, names[i], "there is no rule \"%s\"", names[i]->text.ptr);
			suggest_rule(l, names[i]->text);
			continue;
		}
		if (of == d && l->lint)
			report(l, DIAG_WARNING, names[i], "a rule cannot inhibit itself: while it is open it does not open again anyway");
		else if (!of->rule.alerts && l->lint)
			report(l, DIAG_WARNING, names[i], "\"%s\" never opens an incident: it inhibits nothing", names[i]->text.ptr);
		if (of != d)
			drafts[d->n_inhibitors++] = (uint32_t)(of - l->drafts);
	}
}

void compile_incident(struct loader *l, struct draft *d)
{
	static const char *const known[] = { "summary", "resolve-after", "update-every", "inhibited-by", NULL };
	const struct yaml_pair *pair = yaml_find(d->document, "incident"), *p;
	struct incident_plan *plan = &d->rule.incident;
	const struct correlation *c = d->correlation;
	struct template_piece *piece;

	plan->update_every_ns = UPDATE_EVERY_DEFAULT_NS;
	plan->resolve_after_ns = RESOLVE_AFTER_DETECTION_NS;
	if (c)
		plan->resolve_after_ns = c->type == CORRELATION_SUSTAINED || c->type == CORRELATION_CONCURRENT ? 0 : c->timespan_ns;
	/* The default summary is the title, as it stands: no placeholders in it. */
	piece = arena_zalloc(&l->rs->arena, sizeof *piece);
	piece->ref = REF_TEXT;
	piece->text = span_from_string(d->rule.title);
	plan->summary = (struct template){ piece, 1, piece->text };
	if (!pair)
		return;
	if (pair->value->kind != YAML_MAP) {
		report(l, DIAG_ERROR, pair->value, "incident must be a map");
		return;
	}
	check_keys(l, pair->value, "an incident", known);
	p = yaml_find(pair->value, "summary");
	if (p && get_text(l, pair->value, "summary"))
		parse_template(l, d, p->value, true, &plan->summary);
	read_seconds(l, pair->value, "resolve-after", &plan->resolve_after_ns);
	read_seconds(l, pair->value, "update-every", &plan->update_every_ns);
	p = yaml_find(pair->value, "inhibited-by");
	if (p)
		read_inhibitors(l, d, p->value);
}

/* ---- commands ---- */

static bool has_placeholder(const struct template *t)
{
	for (uint32_t i = 0; i < t->n_pieces; i++)
		if (t->pieces[i].ref != REF_TEXT)
			return true;
	return false;
}

/* The word when it is fixed, without its folder; else "". */
static struct span program_of(const struct template *t)
{
	struct span s = t->source;

	if (has_placeholder(t))
		return SPAN("");
	for (size_t i = s.len; i > 0; i--)
		if (s.ptr[i - 1] == '/')
			return span_from(s, i);
	return s;
}

/*
 * Programs that take code: the option behind which it stands ("c": also -lc, -ec), or "" for any word behind the program. A version
 * may follow the name: python3.11.
 */
static const struct {
	const char *program, *options;
} interpreters[] = {
	{ "sh", "c" },	   { "bash", "c" },    { "dash", "c" },	 { "zsh", "c" },   { "ksh", "c" },   { "mksh", "c" }, { "ash", "c" },
	{ "fish", "c" },   { "csh", "c" },     { "tcsh", "c" },	 { "su", "c" },	   { "runuser", "c" }, { "python", "c" }, { "pypy", "c" },
	{ "perl", "eE" },  { "ruby", "e" },    { "node", "ep" }, { "lua", "e" },   { "php", "r" },   { "script", "c" }, { "flock", "c" },
	{ "eval", "" },	   { "ssh", "" },      { "watch", "" },	 { "awk", "" },	   { "gawk", "" },   { "mawk", "" },  { "sed", "" },
};

/* Is this option one that the code stands behind, or is joined to? */
static bool is_code_option(struct span word, const char *options)
{
	if (word.len < 2 || word.ptr[0] != '-')
		return false;
	if (word.ptr[1] == '-')
		return span_equal(word, SPAN("--command")) || span_equal(word, SPAN("--eval")) || span_starts_with(word, SPAN("--command=")) ||
		       span_starts_with(word, SPAN("--eval="));
	for (size_t i = 1; i < word.len && isalpha((unsigned char)word.ptr[i]); i++)
		if (strchr(options, word.ptr[i]))
			return true;
	return false;
}

static const char *interpreter_options(struct span program)
{
	for (size_t i = 0; i < sizeof interpreters / sizeof *interpreters; i++) {
		size_t len = strlen(interpreters[i].program), k = len;

		if (!span_starts_with(program, span_from_string(interpreters[i].program)))
			continue;
		while (k < program.len && (isdigit((unsigned char)program.ptr[k]) || program.ptr[k] == '.'))
			k++;
		if (k == program.len)
			return interpreters[i].options;
	}
	return NULL;
}

/* An error for a placeholder whose text would be run as code. A program may stand behind others: env, sudo, timeout 5 … */
static void check_interpreters(struct loader *l, const struct command *c, const struct yaml_node *const *nodes)
{
	for (uint32_t i = 0; i < c->n_words; i++) {
		struct span program = program_of(&c->words[i]);
		const char *options = interpreter_options(program);
		bool code = options && !*options;

		for (uint32_t k = i + 1; options && k < c->n_words; k++) {
			const struct template *w = &c->words[k];
			bool here = code || (*options && is_code_option(w->source, options));

			if (here && has_placeholder(w)) {
				report(l, DIAG_ERROR, nodes[k], "\"%.*s\" would run what is in the log as code", (int)program.len,
				       program.ptr);
				if (*options)
					hint(l, "pass it behind the code as an argument of its own: [sh, -c, 'echo \"$1\"', sh, \"{{message}}\"]");
				else
					hint(l, "emit a program that takes the text as an argument");
				return;
			}
			/* Only the word behind the option is code. */
			if (*options && code)
				break;
			code = here;
		}
	}
}

/* Values that cannot begin with "-". */
static bool is_tame(const struct template_piece *p)
{
	switch (p->ref) {
	case REF_COUNT:
	case REF_OPENED:
	case REF_FIRST:
	case REF_LAST:
	case REF_NOW:
	case REF_DURATION:
	case REF_ID:
	case REF_LEVEL:
	case REF_STATE:
	case REF_TOP: /* begins with a number */
	case REF_CONDITION:
	case REF_RULE:
		return true;
	case REF_FIELD:
		switch (p->field) {
		case FIELD_TIME:
		case FIELD_SOURCE:
		case FIELD_LINE:
		case FIELD_PID:
		case FIELD_PPID:
		case FIELD_ELAPSED:
		case FIELD_CPUTIME:
		case FIELD_STARTED:
		case FIELD_RUNTIME:
		case FIELD_COUNT:
			return true;
		}
		return false;
	case REF_TEXT:
	case REF_KEY:
	case REF_VALUES:
	case REF_VALUE:
	case REF_TITLE:
	case REF_SUMMARY:
		return false;
	}
	return false;
}

static void lint_words(struct loader *l, const struct command *c, const struct yaml_node *const *nodes)
{
	for (uint32_t i = 1; i < c->n_words; i++) {
		const struct template *w = &c->words[i];

		if (!has_placeholder(w) && span_equal(w->source, SPAN("--")))
			return;
		if (w->n_pieces && w->pieces[0].ref != REF_TEXT && !is_tame(&w->pieces[0])) {
			report(l, DIAG_WARNING, nodes[i], "the argument begins with a placeholder: a value that begins with \"-\" is refused at run time");
			hint(l, "begin it with a fixed text, write --option=%.*s, or put \"--\" before it where the program knows that",
			     (int)(w->source.len < 80 ? w->source.len : 80), w->source.ptr);
		}
	}
}

static bool read_command(struct loader *l, struct draft *d, const struct yaml_node *v, struct command *ret)
{
	const struct yaml_node **nodes;
	struct template *words;
	uint32_t n;
	bool ok = true;

	if (v->kind != YAML_LIST) {
		report(l, DIAG_ERROR, v, "a command is a list of words");
		hint(l, "such as - [gt, nudge, hq-mayor, \"{{summary}}\"]; no shell takes it apart");
		return false;
	}
	nodes = get_list(l, v, "a command", &n);
	if (!nodes)
		return false;
	if (n == 0 || n > WORDS_MAX) {
		report(l, DIAG_ERROR, v, n ? "the command has too many words" : "the command is empty");
		return false;
	}
	words = arena_zalloc(&l->rs->arena, n * sizeof *words);
	for (uint32_t i = 0; i < n; i++) {
		if (memchr(nodes[i]->text.ptr, 0, nodes[i]->text.len)) {
			report(l, DIAG_ERROR, nodes[i], "a word of a command cannot hold a NUL");
			ok = false;
		} else if (parse_template(l, d, nodes[i], false, &words[i]) < 0) {
			ok = false;
		}
	}
	if (!ok)
		return false;
	*ret = (struct command){ .words = words, .n_words = n };
	yaml_position(v->file, v->offset, &ret->line, &ret->column);
	if (has_placeholder(&words[0])) {
		report(l, DIAG_ERROR, nodes[0], "the program of a command must be fixed");
		return false;
	}
	if (words[0].source.len == 0) {
		report(l, DIAG_ERROR, nodes[0], "the program of a command cannot be empty");
		return false;
	}
	check_interpreters(l, ret, nodes);
	if (l->lint)
		lint_words(l, ret, nodes);
	return true;
}

void compile_response(struct loader *l, struct draft *d)
{
	static const char *const known[] = { "open", "update", "resolved", NULL };
	const struct yaml_pair *pair = yaml_find(d->document, "response");
	struct response_plan *plan = &d->rule.response;

	if (!pair)
		return;
	if (pair->value->kind != YAML_MAP) {
		report(l, DIAG_ERROR, pair->value, "response must be a map of open, update and resolved");
		return;
	}
	check_keys(l, pair->value, "a response", known);
	for (int state = 0; state < INCIDENT_STATE_COUNT; state++) {
		const struct yaml_pair *p = yaml_find(pair->value, known[state]);
		struct command *commands;
		uint32_t n = 0;
		bool words = true; /* and no lists of them */

		if (!p)
			continue;
		for (uint32_t i = 0; i < p->value->n && p->value->kind == YAML_LIST; i++)
			words &= p->value->items[i]->kind == YAML_SCALAR;
		if (p->value->kind != YAML_LIST || (p->value->n && words)) {
			report(l, DIAG_ERROR, p->value, "\"%s\" must be a list of commands, each of them a list of words", known[state]);
			hint(l, "%s: [[gt, nudge, hq-mayor, \"{{summary}}\"]]", known[state]);
			continue;
		}
		if (p->value->n > COMMANDS_MAX) {
			report(l, DIAG_ERROR, p->value, "more than %d commands", COMMANDS_MAX);
			continue;
		}
		commands = arena_zalloc(&l->rs->arena, (p->value->n + 1) * sizeof *commands);
		for (uint32_t i = 0; i < p->value->n; i++)
			n += read_command(l, d, p->value->items[i], &commands[n]);
		plan->commands[state] = commands;
		plan->n_commands[state] = n;
	}
}
