/*
 * template.c: decides what {{…}} in a text may name, and what a rendered word may be. Invariants: a template is one word
 * whatever the values are; a word that could act as an option, or be cut at a NUL, is refused, not repaired.
 */
#include "rule/template.h"
#include "rule/loader.h"

#define WORD_LIMIT (128u << 10) /* MAX_ARG_STRLEN of Linux, with the NUL behind it */
#define PIECES_MAX 1000

/* ---- rendering ---- */

unsigned template_render(const struct template *t, template_lookup *lookup, void *context, struct buffer *out)
{
	unsigned absent = 0;

	for (uint32_t i = 0; i < t->n_pieces; i++) {
		size_t before = out->len;

		if (t->pieces[i].ref == REF_TEXT) {
			buffer_append_span(out, t->pieces[i].text);
		} else if (!lookup(context, &t->pieces[i], out)) {
			out->len = before;
			buffer_append_char(out, '?');
			absent++;
		}
	}
	return absent;
}

static enum word_result render_word(const struct template *t, template_lookup *lookup, void *context, struct buffer *out)
{
	size_t start = out->len;
	bool fixed = true;

	for (uint32_t i = 0; i < t->n_pieces; i++) {
		if (t->pieces[i].ref == REF_TEXT) {
			buffer_append_span(out, t->pieces[i].text);
			continue;
		}
		fixed = false;
		if (!lookup(context, &t->pieces[i], out))
			return WORD_ABSENT;
		if (out->len - start >= WORD_LIMIT)
			return WORD_LONG;
	}
	if (out->len - start >= WORD_LIMIT)
		return WORD_LONG;
	if (out->len == start)
		return fixed ? WORD_OK : WORD_EMPTY;
	if (memchr(out->data + start, 0, out->len - start))
		return WORD_NUL;
	/* Only what the rule itself begins with "-" may be an option. */
	if (out->data[start] == '-' && !(t->pieces[0].ref == REF_TEXT && t->pieces[0].text.len && t->pieces[0].text.ptr[0] == '-'))
		return WORD_OPTION;
	return WORD_OK;
}

enum word_result template_render_word(const struct template *t, template_lookup *lookup, void *context, struct buffer *out)
{
	size_t start = out->len;
	enum word_result r = render_word(t, lookup, context, out);

	if (r != WORD_OK)
		out->len = start;
	return r;
}

const char *word_result_text(enum word_result r)
{
	switch (r) {
	case WORD_OK:
		return "well";
	case WORD_ABSENT:
		return "a placeholder has no value";
	case WORD_OPTION:
		return "a value would begin an option";
	case WORD_NUL:
		return "a value holds a NUL";
	case WORD_EMPTY:
		return "the word would be empty";
	case WORD_LONG:
		return "the word would be longer than 128 KiB";
	}
	return "";
}

/* ---- parsing ---- */

static const struct {
	const char *name;
	enum template_ref ref;
} words[] = {
	{ "count", REF_COUNT },	    { "value", REF_VALUE }, { "condition", REF_CONDITION }, { "opened", REF_OPENED },
	{ "first", REF_FIRST },	    { "last", REF_LAST },   { "now", REF_NOW },		    { "duration", REF_DURATION },
	{ "id", REF_ID },	    { "rule", REF_RULE },   { "title", REF_TITLE },	    { "level", REF_LEVEL },
	{ "state", REF_STATE },	    { "summary", REF_SUMMARY },
};
#define N_WORDS (sizeof words / sizeof *words)

struct reference {
	struct loader *l;
	const struct draft *d;
	const struct yaml_node *at;
	size_t from;       /* of the name, in the text */
	struct span name;
	bool in_summary;
};

static int fail_key(struct reference *r, struct span name)
{
	const struct correlation *c = r->d->correlation;
	const char **candidates;

	/* Of a rule that failed it is not known which fields and keys it has: its texts are not blamed for it. */
	if (r->d->failed)
		return 0;
	if (!c || c->n_keys == 0) {
		report_in(r->l, DIAG_ERROR, r->at, r->from, r->name.len, "this rule has no group-by, so it has no key \"%.*s\"",
			  (int)(name.len < 80 ? name.len : 80), name.ptr);
		hint(r->l, "{{%.*s}} is that of the newest event", (int)(name.len < 80 ? name.len : 80), name.ptr);
		return -1;
	}
	candidates = arena_alloc(&r->l->scratch, (c->n_keys + 1) * sizeof *candidates);
	memcpy(candidates, c->keys, c->n_keys * sizeof *candidates);
	candidates[c->n_keys] = NULL;
	report_in(r->l, DIAG_ERROR, r->at, r->from, r->name.len, "\"%.*s\" is not in group-by", (int)(name.len < 80 ? name.len : 80),
		  name.ptr);
	if (!suggest(r->l, name, candidates)) {
		struct buffer b = BUFFER_INIT;

		for (uint32_t i = 0; i < c->n_keys; i++)
			buffer_printf(&b, "%s%s", i ? ", " : "", c->keys[i]);
		hint(r->l, "the keys are: %s", buffer_string(&b));
		buffer_release(&b);
	}
	return -1;
}

/* A field that events of this rule may have: what is known is listed in ruleset.h's comments on templates. */
static bool is_known_field(const struct reference *r, struct span name)
{
	field_id f = field_find(&r->l->rs->fields, name);

	if (r->d->any_field || r->d->failed || memchr(name.ptr, '.', name.len))
		return true;
	if (f == FIELD_NONE)
		return false;
	if (f < FIELD_BUILTIN_COUNT || field_set_has(&r->d->fields, f))
		return true;
	/* An incident has the key fields of its rule. */
	if (r->d->sees_incidents)
		for (uint32_t i = 0; i < r->l->n_drafts; i++)
			if (r->l->drafts[i].correlation && field_set_has(&r->l->drafts[i].fields, f))
				return true;
	return false;
}

static int resolve_field(struct reference *r, struct span name, bool words_too, field_id *ret)
{
	const char **candidates;
	size_t n = 0;

	if (name.len && is_known_field(r, name)) {
		*ret = add_field(r->l, r->at, name);
		return *ret == FIELD_NONE ? -1 : 0;
	}
	candidates = arena_alloc(&r->l->scratch, (FIELD_BUILTIN_COUNT + r->d->fields.n + N_WORDS + 1) * sizeof *candidates);
	for (size_t i = 0; words_too && i < N_WORDS; i++)
		candidates[n++] = words[i].name;
	for (size_t i = 0; i < r->d->fields.n; i++)
		candidates[n++] = field_name(&r->l->rs->fields, r->d->fields.ids[i]).ptr;
	for (field_id f = 0; f < FIELD_BUILTIN_COUNT; f++)
		candidates[n++] = field_name(&r->l->rs->fields, f).ptr;
	candidates[n] = NULL;
	report_in(r->l, DIAG_ERROR, r->at, r->from, r->name.len, "events of this rule have no field \"%.*s\"",
		  (int)(name.len < 80 ? name.len : 80), name.ptr);
	if (!suggest(r->l, name, candidates))
		hint(r->l, "a field is known when it is built in, used by the rule or its inputs, or named by a group of a regex");
	return -1;
}

static int resolve_reference(struct reference *r, struct template_piece *piece)
{
	struct loader *l = r->l;
	struct span name = r->name;
	const struct correlation *c = r->d->correlation;

	if (name.len == 0) {
		report_in(l, DIAG_ERROR, r->at, r->from ? r->from - 1 : 0, 2, "the name of a field must stand between {{ and }}");
		return -1;
	}
	if (span_starts_with(name, SPAN("key."))) {
		name = span_from(name, 4);
		for (uint32_t i = 0; c && i < c->n_keys; i++)
			if (span_equal(name, span_from_string(c->keys[i]))) {
				*piece = (struct template_piece){ .ref = REF_KEY, .key_index = i };
				return 0;
			}
		return fail_key(r, name);
	}
	if (span_starts_with(name, SPAN("top.")) || span_starts_with(name, SPAN("values."))) {
		piece->ref = name.ptr[0] == 't' ? REF_TOP : REF_VALUES;
		if (resolve_field(r, span_from(name, piece->ref == REF_TOP ? 4 : 7), false, &piece->field) < 0)
			return -1;
		field_set_add(&l->top_fields, piece->field);
		return 0;
	}
	for (size_t i = 0; i < N_WORDS; i++) {
		if (!span_equal(name, span_from_string(words[i].name)))
			continue;
		piece->ref = words[i].ref;
		if (piece->ref == REF_SUMMARY && r->in_summary) {
			report_in(l, DIAG_ERROR, r->at, r->from, name.len, "the summary cannot hold itself");
			return -1;
		}
		if ((piece->ref == REF_VALUE || piece->ref == REF_CONDITION) && !c) {
			report_in(l, DIAG_ERROR, r->at, r->from, name.len, "a rule on single events has no %s", words[i].name);
			return -1;
		}
		return 0;
	}
	/* A name that stands for different fields of different inputs is known by its key only. */
	for (uint32_t i = 0; c && i < c->n_keys; i++) {
		field_id f = field_find(&l->rs->fields, name);
		bool alias = false;

		if (!span_equal(name, span_from_string(c->keys[i])))
			continue;
		for (uint32_t k = 0; k < c->n_inputs; k++)
			alias |= c->inputs[k].keys[i] != f;
		if (alias) {
			*piece = (struct template_piece){ .ref = REF_KEY, .key_index = i };
			return 0;
		}
	}
	piece->ref = REF_FIELD;
	return resolve_field(r, name, true, &piece->field);
}

static struct template_piece *add_piece(struct loader *l, struct template_piece **pieces, uint32_t *n, uint32_t *cap)
{
	if (*n == *cap) {
		uint32_t larger_cap = *cap ? *cap * 2 : 4;
		struct template_piece *larger = arena_alloc(&l->rs->arena, larger_cap * sizeof *larger);

		if (*n)
			memcpy(larger, *pieces, *n * sizeof *larger);
		*pieces = larger;
		*cap = larger_cap;
	}
	(*pieces)[*n] = (struct template_piece){ .ref = REF_TEXT };
	return &(*pieces)[(*n)++];
}

static bool at(struct span s, size_t i, const char *what)
{
	return span_starts_with(span_from(s, i), span_from_string(what));
}

int parse_template(struct loader *l, const struct draft *d, const struct yaml_node *node, bool in_summary, struct template *ret)
{
	struct span s = node->text;
	struct buffer literal = BUFFER_INIT;
	struct template_piece *pieces = NULL;
	uint32_t n = 0, cap = 0;
	int r = 0;

	for (size_t i = 0; i <= s.len;) {
		struct reference ref = { .l = l, .d = d, .at = node, .in_summary = in_summary };
		struct template_piece piece = { .ref = REF_TEXT };
		size_t end;

		if (i < s.len && (at(s, i, "{{{{") || !at(s, i, "{{"))) {
			bool escape = at(s, i, "{{{{");

			buffer_append_string(&literal, escape ? "{{" : "");
			if (!escape)
				buffer_append_char(&literal, s.ptr[i]);
			i += escape ? 4 : 1;
			continue;
		}
		if (literal.len) {
			struct template_piece *text = add_piece(l, &pieces, &n, &cap);

			text->text = span_of(arena_dup(&l->rs->arena, literal.data, literal.len), literal.len);
			buffer_clear(&literal);
		}
		if (i == s.len)
			break;
		for (end = i + 2; end < s.len && !at(s, end, "}}"); end++)
			;
		if (end >= s.len) {
			report_in(l, DIAG_ERROR, node, i, 2, "this {{ has no }}");
			hint(l, "\"{{{{\" stands for two plain brackets");
			r = -1;
			break;
		}
		ref.from = i + 2;
		while (ref.from < end && s.ptr[ref.from] == ' ')
			ref.from++;
		ref.name = span_of(s.ptr + ref.from, end - ref.from);
		while (ref.name.len && ref.name.ptr[ref.name.len - 1] == ' ')
			ref.name.len--;
		if (n >= PIECES_MAX) {
			report_in(l, DIAG_ERROR, node, i, 2, "more than %d placeholders in one text", PIECES_MAX / 2);
			r = -1;
			break;
		}
		if (resolve_reference(&ref, &piece) < 0)
			r = -1;
		*add_piece(l, &pieces, &n, &cap) = piece;
		i = end + 2;
	}
	buffer_release(&literal);
	if (r == 0)
		*ret = (struct template){ pieces, n, span_of(keep_text(l, s), s.len) };
	return r;
}
