/*
 * test_rule_golden.c: each file of tests/sigma against the .expected beside each of them: the diagnostics, then the compiled plan, written so
 * that a person can read it. RULE_APPROVE=1 in the environment rewrites the expected files.
 */
#include "base/memory.h"
#include "test_rule.h"
#include "rule/yaml.h"
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the plan as text ---- */

static void put_pattern(struct buffer *out, const struct string_pattern *p)
{
	buffer_append_string(out, p->cased ? "cased '" : "'");
	if (p->open_start)
		buffer_append_char(out, '*');
	for (uint16_t i = 0; i < p->n_pieces; i++) {
		if (i)
			buffer_append_char(out, '*');
		for (size_t k = 0; k < p->pieces[i].len; k++) {
			char c = p->pieces[i].ptr[k];

			if (c && strchr("*?'\\", c))
				buffer_append_char(out, '\\');
			if (c == '\n')
				buffer_append_string(out, "\\n");
			else
				buffer_append_char(out, c ? c : '?');
		}
	}
	if (p->open_end && p->n_pieces)
		buffer_append_char(out, '*');
	buffer_append_char(out, '\'');
}

static void put_cidr(struct buffer *out, const struct atom *a)
{
	for (int i = 0; i < (a->cidr_family == 4 ? 4 : 16); i++)
		if (a->cidr_family == 4)
			buffer_printf(out, "%s%u", i ? "." : "", a->cidr[i]);
		else
			buffer_printf(out, "%s%02x", i && i % 2 == 0 ? ":" : "", a->cidr[i]);
	buffer_printf(out, "/%u", a->cidr_bits);
}

static void put_atom(struct buffer *out, const struct ruleset *rs, const struct atom *a)
{
	static const char *const parts[] = { "", " minute", " hour", " day", " week", " month", " year" };
	static const char *const kinds[] = { "equals", "starts with", "ends with", "contains" };
	static const char *const comparisons[] = { [ATOM_LT] = "<", [ATOM_LTE] = "<=", [ATOM_GT] = ">", [ATOM_GTE] = ">=", [ATOM_NUMBER_EQ] = "==" };
	const char *field = field_name(&rs->fields, a->field).ptr;

	switch (a->op) {
	case ATOM_STRING:
		buffer_printf(out, "%s = ", field);
		put_pattern(out, &a->pattern);
		break;
	case ATOM_KEYWORD:
		put_pattern(out, &a->pattern);
		break;
	case ATOM_NULL:
		buffer_printf(out, "%s is null", field);
		break;
	case ATOM_EXISTS:
		buffer_printf(out, "%s exists", field);
		break;
	case ATOM_REGEX:
		/* The options of PCRE2 that a modifier sets; UTF is told, the others always stand. */
		buffer_printf(out, "%s ~ /%s/%s%s%s%s", field, a->regex, a->regex_options & 0x8u ? "i" : "", a->regex_options & 0x400u ? "m" : "",
			      a->regex_options & 0x20u ? "s" : "", a->regex_options & 0x80000u ? "" : " bytes");
		break;
	case ATOM_CIDR:
		buffer_printf(out, "%s in ", field);
		put_cidr(out, a);
		break;
	case ATOM_LT:
	case ATOM_LTE:
	case ATOM_GT:
	case ATOM_GTE:
	case ATOM_NUMBER_EQ:
		buffer_printf(out, "%s%s %s %.15g", field, parts[a->time_part], comparisons[a->op], a->number);
		break;
	case ATOM_FIELDREF:
		buffer_printf(out, "%s %s field %s%s", field, kinds[a->fieldref_kind], field_name(&rs->fields, a->other).ptr,
			      a->cased ? " cased" : "");
		break;
	}
}

static void put_expr(struct buffer *out, const struct ruleset *rs, const struct expr *x)
{
	if (x->selection)
		buffer_printf(out, "%s: ", x->selection);
	switch (x->op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
		buffer_append_string(out, x->op == EXPR_TRUE ? "true" : "false");
		break;
	case EXPR_ATOM:
		put_atom(out, rs, &rs->atoms[x->atom]);
		break;
	case EXPR_NOT:
		buffer_append_string(out, "not (");
		put_expr(out, rs, x->children[0]);
		buffer_append_char(out, ')');
		break;
	case EXPR_AND:
	case EXPR_OR:
		buffer_append_char(out, '(');
		for (uint32_t i = 0; i < x->n_children; i++) {
			buffer_append_string(out, i == 0 ? "" : x->op == EXPR_AND ? " and " : " or ");
			put_expr(out, rs, x->children[i]);
		}
		buffer_append_char(out, ')');
		break;
	}
}

static void put_presence(struct buffer *out, const struct ruleset *rs, const struct correlation *c, const struct presence *p)
{
	switch (p->op) {
	case PRESENCE_INPUT:
		buffer_append_string(out, rs->rules[c->inputs[p->input].rule].name);
		break;
	case PRESENCE_NOT:
		buffer_append_string(out, "not (");
		put_presence(out, rs, c, p->children[0]);
		buffer_append_char(out, ')');
		break;
	case PRESENCE_AND:
	case PRESENCE_OR:
		buffer_append_char(out, '(');
		for (uint32_t i = 0; i < p->n_children; i++) {
			buffer_append_string(out, i == 0 ? "" : p->op == PRESENCE_AND ? " and " : " or ");
			put_presence(out, rs, c, p->children[i]);
		}
		buffer_append_char(out, ')');
		break;
	}
}

static void put_duration(struct buffer *out, int64_t ns)
{
	if (ns == DURATION_NEVER)
		buffer_append_string(out, "never");
	else
		duration_format(out, ns);
}

static void put_correlation(struct buffer *out, const struct ruleset *rs, const struct correlation *c)
{
	static const char *const ops[] = { ">", ">=", "<", "<=", "==", "!=" };

	buffer_printf(out, "    %s within ", correlation_type_name(c->type));
	put_duration(out, c->timespan_ns);
	if (c->type == CORRELATION_SUSTAINED) {
		buffer_append_string(out, ", gaps up to ");
		put_duration(out, c->max_gap_ns);
	}
	for (uint32_t i = 0; i < c->n_value_fields; i++)
		buffer_printf(out, "%s%s", i ? ", " : " of ", field_name(&rs->fields, c->value_fields[i]).ptr);
	if (c->type == CORRELATION_VALUE_PERCENTILE)
		buffer_printf(out, ", percentile %g", c->percentile);
	for (uint32_t i = 0; i < c->n_bounds; i++)
		buffer_printf(out, " %s %.15g", ops[c->bounds[i].op], c->bounds[i].value);
	buffer_printf(out, " \"%s\"\n", c->condition_text);
	for (uint32_t i = 0; i < c->n_inputs; i++) {
		const struct correlation_input *input = &c->inputs[i];

		buffer_printf(out, "    input %s%s%s", rs->rules[input->rule].name, input->negated ? " negated" : "",
			      input->after ? " after" : "");
		for (uint32_t k = 0; k < c->n_keys; k++)
			buffer_printf(out, "%s%s=%s", k ? ", " : " by ", c->keys[k], field_name(&rs->fields, input->keys[k]).ptr);
		buffer_append_char(out, '\n');
	}
	if (c->presence) {
		buffer_printf(out, "    presence%s ", c->has_negation ? " (waits)" : "");
		put_presence(out, rs, c, c->presence);
		buffer_append_char(out, '\n');
	}
}

static void put_template(struct buffer *out, const struct ruleset *rs, const struct template *t)
{
	static const char *const refs[] = { "text",	"field", "key",	 "top",	     "values", "count", "value", "condition", "opened", "first",
					    "last",	"now",	 "duration", "id", "rule",   "title", "level", "state",	  "summary" };

	buffer_append_char(out, '[');
	for (uint32_t i = 0; i < t->n_pieces; i++) {
		const struct template_piece *p = &t->pieces[i];

		buffer_append_string(out, i ? "|" : "");
		if (p->ref == REF_TEXT)
			buffer_append_span(out, p->text);
		else if (p->ref == REF_FIELD || p->ref == REF_TOP || p->ref == REF_VALUES)
			buffer_printf(out, "<%s %s>", refs[p->ref], field_name(&rs->fields, p->field).ptr);
		else if (p->ref == REF_KEY)
			buffer_printf(out, "<key %u>", p->key_index);
		else
			buffer_printf(out, "<%s>", refs[p->ref]);
	}
	buffer_append_char(out, ']');
}

static void put_rule(struct buffer *out, const struct ruleset *rs, const struct rule *r)
{
	buffer_printf(out, "%u %s%s%s, %s%s%s: %s\n", r->index, r->name, r->id ? " id " : "", r->id ? r->id : "", level_name(r->level),
		      r->alerts ? ", alerts" : "", r->about_incidents ? ", about incidents" : "", r->title);
	if (r->expr) {
		buffer_printf(out, "    %s/%s/%s ", r->logsource.category ? r->logsource.category : "",
			      r->logsource.product ? r->logsource.product : "", r->logsource.service ? r->logsource.service : "");
		put_expr(out, rs, r->expr);
		buffer_append_char(out, '\n');
	}
	if (r->correlation)
		put_correlation(out, rs, r->correlation);
	buffer_append_string(out, "    resolves after ");
	put_duration(out, r->incident.resolve_after_ns);
	buffer_append_string(out, ", updates every ");
	put_duration(out, r->incident.update_every_ns);
	for (uint32_t i = 0; i < r->incident.n_inhibited_by; i++)
		buffer_printf(out, ", inhibited by %s", rs->rules[r->incident.inhibited_by[i]].name);
	buffer_append_char(out, ' ');
	put_template(out, rs, &r->incident.summary);
	buffer_append_char(out, '\n');
	for (int s = 0; s < INCIDENT_STATE_COUNT; s++)
		for (uint32_t i = 0; i < r->response.n_commands[s]; i++) {
			buffer_printf(out, "    %s:", incident_state_name((enum incident_state)s));
			for (uint32_t w = 0; w < r->response.commands[s][i].n_words; w++) {
				buffer_append_char(out, ' ');
				put_template(out, rs, &r->response.commands[s][i].words[w]);
			}
			buffer_append_char(out, '\n');
		}
}

static void put_plan(struct buffer *out, const struct ruleset *rs)
{
	for (size_t i = 0; i < rs->n_sources; i++)
		buffer_printf(out, "source %s %s/%s/%s %s\n", rs->sources[i]->name, rs->sources[i]->category ? rs->sources[i]->category : "",
			      rs->sources[i]->product ? rs->sources[i]->product : "", rs->sources[i]->service ? rs->sources[i]->service : "",
			      rs->sources[i]->zone ? zone_name(rs->sources[i]->zone) : "");
	for (uint32_t i = 0; i < rs->n_rules; i++)
		put_rule(out, rs, &rs->rules[i]);
	buffer_append_string(out, "top:");
	for (uint32_t i = 0; i < rs->n_top_fields; i++)
		buffer_printf(out, " %s", field_name(&rs->fields, rs->top_fields[i]).ptr);
	buffer_append_char(out, '\n');
}

/* ---- the cases ---- */

static const char *source_folder(void)
{
	const char *s = getenv("srcdir");

	return s && *s ? s : ".";
}

static struct buffer read_file(const char *path)
{
	struct buffer b = BUFFER_INIT;
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return b;
	do {
		buffer_reserve(&b, 4096);
		n = fread(b.data + b.len, 1, 4096, f);
		b.len += n;
	} while (n);
	fclose(f);
	return b;
}

/* What a load says, and the plan when it succeeds. */
static struct buffer describe(struct span text, const char *name, bool *ret_loaded)
{
	struct buffer out = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct ruleset *rs = ruleset_load_text(text, name, true, &diags);
	char *printed = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&printed, &len);

	for (size_t i = 0; i < diags.n; i++)
		diag_print(f, &diags.items[i], false);
	fclose(f);
	buffer_append(&out, printed, len);
	free(printed);
	*ret_loaded = rs != NULL;
	if (rs)
		put_plan(&out, rs);
	ruleset_free(rs);
	diag_list_release(&diags);
	return out;
}

static void check_file(const char *folder, const char *name, bool must_load)
{
	struct buffer path = BUFFER_INIT, text, want, got;
	bool loaded;

	buffer_printf(&path, "%s/%s", folder, name);
	text = read_file(buffer_string(&path));
	got = describe(buffer_span(&text), name, &loaded);
	path.len -= strlen(".yml");
	buffer_append_string(&path, ".expected");
	if (getenv("RULE_APPROVE")) {
		FILE *f = fopen(buffer_string(&path), "w");

		ck_assert_ptr_nonnull(f);
		fwrite(got.data, 1, got.len, f);
		fclose(f);
	}
	want = read_file(buffer_string(&path));
	ck_assert_msg(loaded == must_load, "%s: %s", name, loaded ? "loads" : buffer_string(&got));
	ck_assert_msg(span_equal(buffer_span(&got), buffer_span(&want)), "%s differs; it gives:\n%s", buffer_string(&path),
		      buffer_string(&got));
	buffer_release(&path);
	buffer_release(&text);
	buffer_release(&want);
	buffer_release(&got);
}

static int check_folder(const char *below, bool must_load)
{
	struct buffer folder = BUFFER_INIT;
	struct dirent **entries;
	int n, checked = 0;

	buffer_printf(&folder, "%s/tests/sigma%s", source_folder(), below);
	n = scandir(buffer_string(&folder), &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (span_ends_with(span_from_string(entries[i]->d_name), SPAN(".yml"))) {
			check_file(buffer_string(&folder), entries[i]->d_name, must_load);
			checked++;
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	buffer_release(&folder);
	return checked;
}

START_TEST(valid_files)
{
	ck_assert_int_ge(check_folder("", true), 15);
}
END_TEST

START_TEST(refused_files)
{
	ck_assert_int_ge(check_folder("/errors", false), 8);
}
END_TEST

TCase *golden_tests(void)
{
	TCase *c = tcase_create("golden");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, valid_files);
	tcase_add_test(c, refused_files);
	return c;
}
