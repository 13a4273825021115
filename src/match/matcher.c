/*
 * The matcher decides which detections of one source an event matches, and which raw records are worth parsing at all.
 *
 * Invariant: for any record, scanning, parsing and matching gives the same rules as parsing and matching alone. The scan may
 * name too many rules; this file then evaluates them exactly.
 *
 *	rule's expr ──> nodes: children in order of what they cost, cheap ones first
 *	            └─> literals.c: texts that must occur ──> prefilter.c
 *
 * Rules share atoms, so an atom's result is kept for the event: a word of generation and result each, so that nothing need be cleared
 * between events. Values are lower-cased once for all the patterns that look inside them.
 *
 * Named groups of regexes become fields only after all rules have been evaluated: otherwise what one rule captured could
 * change what the next one sees. All regexes that hold in a rule that matches take part, wherever an "or" would have stopped.
 *
 * Trust: values are hostile. A regex runs with limits on its steps, its heap and its stack, and over the first
 * REGEX_SUBJECT_LIMIT bytes of a value, since even without backtracking into groups a search may take time in proportion to the
 * square of the length. Running into a limit counts as no match, and is counted.
 *
 * It does not know what rules are for; and it never looks at the wall clock.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "match/matcher.h"

#include "base/memory.h"
#include "match/keys.h"
#include "match/literals.h"
#include "match/prefilter.h"
#include "match/wildcard.h"
#include "record/decoder.h"
#include "record/json.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define REGEX_MATCH_LIMIT 10000
#define REGEX_HEAP_LIMIT_KIB 4096
#define REGEX_JIT_STACK_MIN (32 * 1024)
#define REGEX_JIT_STACK_MAX (512 * 1024)
#define REGEX_SUBJECT_LIMIT (32 * 1024)

struct regex_name {
	field_id field;
	uint32_t group;
};

struct regex {
	pcre2_code *code;
	bool jit;
	struct regex_name *names;
	uint32_t n_names;
};

/* What a string pattern comes down to. */
enum shape {
	SHAPE_EQUAL,
	SHAPE_PREFIX,
	SHAPE_SUFFIX,
	SHAPE_CONTAINS,
	SHAPE_ANYTHING,
	SHAPE_WILDCARD,
};

/* An atom made ready to run. */
struct test {
	const struct atom *atom;
	bool ready;
	bool broken;         /* its regex does not compile: never holds */
	enum shape shape;    /* strings and keywords */
	bool plain;          /* a string that is not empty, and not a wildcard: what most rules ask for */
	bool cased;
	field_id field;
	struct span text;    /* of all shapes but anything and wildcard */
	uint32_t head, head_case;       /* of a text of 4 bytes or more: the first 4, and the bits of them that letters' case is in */
	uint64_t first, last;           /* the words that text begins and ends with, see words_of() */
	uint64_t first_case, last_case; /* the bits of them that letters' case is in, where it does not matter */
	struct string_pattern pattern; /* wildcard; a keyword's ends are open */
	const struct regex *regex;
};

struct node {
	enum expr_op op;
	bool any_of;       /* an "or" of plain texts that one field is, or begins with; none is shorter than 4 bytes */
	uint32_t atom;
	uint32_t first, n; /* children: into matcher.children */
	uint32_t cost;
};

struct local_rule {
	uint32_t index; /* into ruleset.rules */
	uint32_t root;  /* into matcher.nodes */
	uint32_t class_root; /* what of it is left to be tested in records of `class` */
	uint8_t class;  /* the only one, besides KEYS_UNKNOWN, whose records it may match; KEYS_UNKNOWN: there is more than one */
	bool captures;  /* a regex in it has named groups */
};

/* What may match the records of one class. */
struct key_class {
	uint32_t *always; /* local rules, ascending, that need no literal, and may match any of its records */
	uint32_t n_always;
	uint32_t *decided; /* the indexes of those rules, when all of them match each of its records that is a candidate for no others; NULL: not all do */
	bool seeks;        /* some rule needs a literal */
	uint64_t excludes; /* keys_excluded() can name all of the first n_always: these. 0: it cannot */
};

/* In records of these classes a literal is of no use, where the word behind the key is another one. */
struct literal_word {
	uint64_t classes; /* a bit each */
	struct key_word word;
};

/* A value lower-cased for this event. */
struct folded {
	struct span of, text;
};
#define FOLDED_MAX 8

/* A named group, before it becomes a field. */
struct capture {
	field_id field;
	struct span text; /* in the event's arena */
};

enum virtual_field { VIRTUAL_TIME, VIRTUAL_SOURCE, VIRTUAL_RAW, VIRTUAL_FILE, VIRTUAL_LINE, VIRTUAL_MESSAGE, VIRTUAL_COUNT };

struct matcher {
	const struct ruleset *rs;
	const struct source *source;

	/* The plan: const after matcher_new(), but for tests that only explain asks for. Copies share it, each with a prefilter of its own. */
	bool is_copy;
	struct test *tests; /* by atom */
	struct map regexes; /* by options and pattern → struct regex */
	uint32_t match_pairs; /* that the groups of the largest need */
	struct node *nodes;
	size_t n_nodes, cap_nodes;
	uint32_t *children;
	size_t n_children, cap_children;
	struct local_rule *rules; /* ascending index */
	uint32_t n_rules;
	uint32_t *unfiltered;       /* rule indexes, then UINT32_MAX; NULL: nobody has asked yet */
	struct key_table *keys;     /* NULL: the format has none, or no rule asks for one */
	struct key_class *classes;  /* by class, see keys.h; without keys there is one, KEYS_UNKNOWN */
	struct prefilter *prefilter;
	uint64_t *literal_classes; /* by literal: a bit for each class of which some rule needs it */
	struct literal_word *literal_words; /* by literal */
	uint32_t *owners_of; /* by literal: where its rules begin in owners; one more at the end */
	uint32_t *owners;    /* indexes into rules, ascending for each literal */

	/* Scratch, from hits on. */
	struct prefilter_hits hits;
	uint8_t *class_of; /* by record of the last scan; all 0 without keys */
	size_t cap_class_of;
	uint32_t generation; /* of the event: even, never 0 */
	uint32_t *memo;      /* by atom: generation | result */
	uint32_t *tried;     /* by local rule: generation when it is on the list */
	uint32_t *list;      /* local rules to try */
	uint32_t *held;      /* local rules that matched */
	struct folded folded[FOLDED_MAX];
	unsigned n_folded, next_folded;
	struct arena folded_arena;   /* and unescaped */
	struct capture *captured;
	size_t n_captured, cap_captured;
	struct span unescaped; /* the record, if JSON, without its escapes */
	uint32_t unescaped_generation;
	struct value virtuals[VIRTUAL_COUNT];
	uint32_t virtual_generation[VIRTUAL_COUNT];
	char own_text[VIRTUAL_COUNT][TIME_TEXT_SIZE];
	pcre2_match_context *match_context;
	pcre2_jit_stack *jit_stack;
	pcre2_match_data *match_data;
	struct matcher_stats stats;
};

/* --- making ready ------------------------------------------------------------------------------------------------- */

static void regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->code);
	free(re->names);
	free(re);
}

static void regex_read_names(struct regex *re, const struct field_table *fields)
{
	uint32_t n = 0, size = 0;
	PCRE2_SPTR table = NULL;

	pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &n);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
	re->names = xcalloc(n + 1, sizeof *re->names);
	for (uint32_t i = 0; i < n; i++, table += size) {
		field_id f = field_find(fields, span_from_string((const char *)table + 2));

		/* No rule asks for a field that is not in the table. */
		if (f != FIELD_NONE)
			re->names[re->n_names++] = (struct regex_name){ f, (uint32_t)table[0] << 8 | table[1] };
	}
}

static void no_memory(void)
{
	(void)xmalloc(SIZE_MAX / 2); /* ends the program the usual way */
	abort();
}

/* Compiles each distinct regex once. NULL, with a diagnostic where diags is given, when it is none. */
static const struct regex *regex_get(struct matcher *m, const struct atom *a, const char *file, struct diag_list *diags)
{
	uint32_t options = a->regex_options, pairs = 0;
	size_t len = strlen(a->regex);
	struct buffer key = BUFFER_INIT;
	struct map_entry *entry;
	struct regex *re;
	PCRE2_SIZE error_at;
	int error;
	bool new;

	buffer_append(&key, &options, sizeof options);
	buffer_append(&key, a->regex, len);
	entry = map_add(&m->regexes, buffer_span(&key), &new);
	buffer_release(&key);
	if (!new && entry->value.pointer)
		return entry->value.pointer;
	re = xcalloc(1, sizeof *re);
	re->code = pcre2_compile((PCRE2_SPTR)a->regex, len, options, &error, &error_at, NULL);
	if (!re->code) {
		PCRE2_UCHAR text[256] = "unknown error";

		pcre2_get_error_message(error, text, sizeof text);
		if (diags)
			diag_add(diags, DIAG_ERROR, file, a->line, a->column, "regular expression \"%s\": %s, at offset %zu",
				 a->regex, (const char *)text, error_at);
		regex_free(re);
		return NULL;
	}
	re->jit = pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE) == 0;
	regex_read_names(re, &m->rs->fields);
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &pairs);
	if (++pairs > m->match_pairs) {
		m->match_pairs = pairs > 8 ? pairs : 8;
		pcre2_match_data_free(m->match_data);
		m->match_data = NULL;
	}
	entry->value.pointer = re;
	return re;
}

static enum shape pattern_shape(const struct string_pattern *p)
{
	struct span piece;

	if (p->n_pieces == 0)
		return p->open_start || p->open_end ? SHAPE_ANYTHING : SHAPE_EQUAL;
	piece = p->pieces[0];
	if (p->n_pieces > 1 || memchr(piece.ptr, '\0', piece.len))
		return SHAPE_WILDCARD;
	if (!p->open_start)
		return p->open_end ? SHAPE_PREFIX : SHAPE_EQUAL;
	if (!p->open_end)
		return SHAPE_SUFFIX;
	return piece.len ? SHAPE_CONTAINS : SHAPE_ANYTHING;
}

/*
 * The words that a text begins and ends with: of 8 bytes, of 4 where it is shorter (they overlap then); of fewer than 4 one word with the first byte, that in
 * the middle, and the last.
 */
static inline void words_of(const char *p, size_t len, uint64_t *ret_first, uint64_t *ret_last)
{
	uint32_t first, last;

	if (len >= 8) {
		memcpy(ret_first, p, 8);
		memcpy(ret_last, p + len - 8, 8);
	} else if (len >= 4) {
		memcpy(&first, p, 4);
		memcpy(&last, p + len - 4, 4);
		*ret_first = first;
		*ret_last = last;
	} else {
		*ret_first = len ? (unsigned char)p[0] | (unsigned)(unsigned char)p[len / 2] << 8 | (unsigned)(unsigned char)p[len - 1] << 16 : 0;
		*ret_last = 0;
	}
}

/* The bits to set in a value's word, so that letters equal those of the pattern, which are lower-case. */
static uint64_t case_bits(uint64_t word)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 64; i += 8) {
		unsigned char c = (unsigned char)(word >> i);

		if (c >= 'a' && c <= 'z')
			bits |= UINT64_C(0x20) << i;
	}
	return bits;
}

/* Makes atom i ready; false when its regex does not compile. */
static bool test_prepare(struct matcher *m, uint32_t i, const char *file, struct diag_list *diags)
{
	struct test *t = &m->tests[i];

	if (t->ready)
		return !t->broken;
	assert(!m->is_copy);
	t->ready = true;
	t->atom = &m->rs->atoms[i];
	t->field = t->atom->field;
	switch (t->atom->op) {
	case ATOM_STRING:
	case ATOM_KEYWORD:
		t->pattern = t->atom->pattern;
		if (t->atom->op == ATOM_KEYWORD)
			t->pattern.open_start = t->pattern.open_end = true;
		t->cased = t->pattern.cased;
		t->shape = pattern_shape(&t->pattern);
		t->text = t->pattern.n_pieces ? t->pattern.pieces[0] : SPAN("");
		t->plain = t->atom->op == ATOM_STRING && t->shape != SHAPE_WILDCARD && t->text.len;
		words_of(t->text.ptr, t->text.len, &t->first, &t->last);
		if (t->text.len >= 4)
			memcpy(&t->head, t->text.ptr, 4);
		if (!t->cased) {
			t->head_case = (uint32_t)case_bits(t->head);
			t->first_case = case_bits(t->first);
			t->last_case = case_bits(t->last);
		}
		break;
	case ATOM_REGEX:
		t->regex = regex_get(m, t->atom, file, diags);
		t->broken = !t->regex;
		break;
	case ATOM_NULL:
	case ATOM_EXISTS:
	case ATOM_CIDR:
	case ATOM_LT:
	case ATOM_LTE:
	case ATOM_GT:
	case ATOM_GTE:
	case ATOM_NUMBER_EQ:
	case ATOM_FIELDREF:
		break;
	}
	return !t->broken;
}

/* What a test costs, roughly in nanoseconds. */
static uint32_t test_cost(const struct test *t)
{
	switch (t->atom->op) {
	case ATOM_NULL:
	case ATOM_EXISTS:
		return 1;
	case ATOM_STRING:
		switch (t->shape) {
		case SHAPE_EQUAL:
		case SHAPE_PREFIX:
		case SHAPE_SUFFIX:
		case SHAPE_ANYTHING:
			return 3;
		case SHAPE_CONTAINS:
			return t->atom->field == FIELD_RAW || t->atom->field == FIELD_MESSAGE ? 30 : 20;
		case SHAPE_WILDCARD:
			return 40;
		}
		return 40;
	case ATOM_LT:
	case ATOM_LTE:
	case ATOM_GT:
	case ATOM_GTE:
	case ATOM_NUMBER_EQ:
		return t->atom->time_part == TIME_PART_NONE ? 10 : 60;
	case ATOM_FIELDREF:
		return 15;
	case ATOM_CIDR:
		return 50;
	case ATOM_KEYWORD:
		return 40;
	case ATOM_REGEX:
		return 100;
	}
	return 100;
}

static uint32_t node_add(struct matcher *m, struct node n)
{
	ARRAY_GROW(m->nodes, m->n_nodes, m->cap_nodes);
	m->nodes[m->n_nodes] = n;
	return (uint32_t)m->n_nodes++;
}

static bool is_any_of(const struct matcher *m, const struct node *n)
{
	field_id field = FIELD_NONE;

	for (uint32_t i = 0; i < n->n; i++) {
		const struct node *child = &m->nodes[m->children[n->first + i]];
		const struct test *t = &m->tests[child->atom];

		if (child->op != EXPR_ATOM || !t->plain || (t->shape != SHAPE_EQUAL && t->shape != SHAPE_PREFIX) || t->text.len < 4 ||
		    (i > 0 && t->field != field))
			return false;
		field = t->field;
	}
	return n->op == EXPR_OR && n->n > 0;
}

/*
 * Compiles an expression, children in order of their cost. Returns its node; *ret_ok is cleared when a regex is broken.
 * truth: by atom, what is known of it; NULL: nothing. What is known is left out.
 */
static uint32_t node_build(struct matcher *m, const struct expr *x, const struct rule *rule, const uint8_t *truth, bool *captures,
			   struct diag_list *diags, bool *ret_ok)
{
	enum literal_truth known = truth ? literal_truth_of_expr(x, truth) : TRUTH_SEEK;
	struct node n = { .op = known == TRUTH_TRUE ? EXPR_TRUE : known == TRUTH_FALSE ? EXPR_FALSE : x->op, .atom = x->atom };
	uint32_t *kids;

	switch (n.op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
		return node_add(m, n);
	case EXPR_ATOM:
		if (!test_prepare(m, x->atom, rule->file, diags))
			*ret_ok = false;
		n.cost = test_cost(&m->tests[x->atom]);
		if (m->tests[x->atom].regex && m->tests[x->atom].regex->n_names)
			*captures = true;
		return node_add(m, n);
	case EXPR_NOT:
	case EXPR_AND:
	case EXPR_OR:
		break;
	}
	kids = xmalloc((x->n_children + 1) * sizeof *kids);
	for (uint32_t i = 0; i < x->n_children; i++) {
		uint32_t kid, k = n.n;

		/* It does not decide an "and" to be true, nor an "or" to be false: or the whole would be known. */
		known = truth ? literal_truth_of_expr(x->children[i], truth) : TRUTH_SEEK;
		if (known == TRUTH_TRUE || known == TRUTH_FALSE)
			continue;
		kid = node_build(m, x->children[i], rule, truth, captures, diags, ret_ok);
		for (; k > 0 && m->nodes[kids[k - 1]].cost > m->nodes[kid].cost; k--)
			kids[k] = kids[k - 1];
		kids[k] = kid;
		n.n++;
		n.cost += m->nodes[kid].cost;
	}
	n.first = (uint32_t)m->n_children;
	for (uint32_t i = 0; i < n.n; i++) {
		ARRAY_GROW(m->children, m->n_children, m->cap_children);
		m->children[m->n_children++] = kids[i];
	}
	free(kids);
	if (n.n == 1 && n.op != EXPR_NOT)
		return m->children[--m->n_children];
	n.any_of = is_any_of(m, &n);
	return node_add(m, n);
}

static bool is_ours(const struct rule *r, const struct source *s)
{
	if (r->kind != RULE_DETECTION || !r->expr)
		return false;
	if (r->about_incidents || s->format == FORMAT_INCIDENT)
		return r->about_incidents && s->format == FORMAT_INCIDENT;
	return rule_applies(r, s);
}

struct owner {
	uint32_t literal, rule;
	unsigned class;
	const struct key_word *word; /* in the draft's arena; NULL: none */
};

static int owner_order(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	if (x->literal != y->literal)
		return x->literal < y->literal ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static void count_uses(const struct expr *x, uint32_t *uses)
{
	if (x->op == EXPR_ATOM)
		uses[x->atom]++;
	for (uint32_t i = 0; i < x->n_children; i++)
		count_uses(x->children[i], uses);
}

/* Is it a whole text that the key is asked for? */
static bool asks_for_key(const struct matcher *m, const struct atom *a)
{
	const struct string_pattern *p = &a->pattern;

	return m->keys && a->op == ATOM_STRING && a->field == m->keys->place.field && p->n_pieces == 1 && !p->open_start && !p->open_end &&
	       !memchr(p->pieces[0].ptr, '\0', p->pieces[0].len);
}

/* Its class; KEYS_UNKNOWN when it has none. */
static unsigned class_of_key(struct matcher *m, struct span key, bool add)
{
	char lower[KEY_LEN_MAX];

	if (key.len > sizeof lower)
		return KEYS_UNKNOWN;
	fold_ascii(lower, key.ptr, key.len);
	return add ? keys_add(m->keys, span_of(lower, key.len)) : keys_find(m->keys, span_of(lower, key.len));
}

static void add_keys(struct matcher *m, const struct expr *x)
{
	const struct atom *a = &m->rs->atoms[x->atom];

	if (x->op == EXPR_ATOM && asks_for_key(m, a))
		class_of_key(m, a->pattern.pieces[0], true);
	for (uint32_t i = 0; i < x->n_children; i++)
		add_keys(m, x->children[i]);
}

/* What the class says of each atom that asks for a key. Returns whether there is any in the expression. */
static bool set_truth(struct matcher *m, const struct expr *x, unsigned class, uint8_t *truth)
{
	const struct atom *a = &m->rs->atoms[x->atom];
	bool any = false;

	if (x->op == EXPR_ATOM && asks_for_key(m, a)) {
		unsigned of = class_of_key(m, a->pattern.pieces[0], false);

		if (of != KEYS_UNKNOWN)
			truth[x->atom] = class == KEYS_UNKNOWN ? TRUTH_OPEN :
					 of != class	       ? TRUTH_FALSE :
					 a->pattern.cased      ? TRUTH_OPEN : TRUTH_TRUE;
		any = of != KEYS_UNKNOWN;
	}
	for (uint32_t i = 0; i < x->n_children; i++)
		any |= set_truth(m, x->children[i], class, truth);
	return any;
}

/*
 * In records of this class with such a beginning the expression does not hold: for an "and" of which one part cannot hold, and for the "not" of a
 * text that its value begins with. Returns whether there is any. x holds, or (negated) does not.
 */
static bool add_beginnings(struct matcher *m, unsigned class, const struct expr *x, bool negated, uint64_t rule)
{
	const struct key *key = &m->keys->keys[class];
	const struct atom *a;
	const struct string_pattern *p;
	struct buffer out = BUFFER_INIT;
	bool any = false;

	switch (x->op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
		return false;
	case EXPR_NOT:
		return add_beginnings(m, class, x->children[0], !negated, rule);
	case EXPR_AND:
	case EXPR_OR:
		if ((x->op == EXPR_OR) != negated)
			return false;
		for (uint32_t i = 0; i < x->n_children; i++)
			any |= add_beginnings(m, class, x->children[i], negated, rule);
		return any;
	case EXPR_ATOM:
		break;
	}
	a = &m->rs->atoms[x->atom];
	p = &a->pattern;
	if (!negated || a->op != ATOM_STRING || p->n_pieces != 1 || p->open_start || !p->open_end || memchr(p->pieces[0].ptr, '\0', p->pieces[0].len))
		return false;
	if (format_beginning(m->source->format, span_of(key->exact, key->len), a->field, p->pieces[0], &out))
		any = keys_add_beginning(m->keys, class, buffer_span(&out), p->cased ? out.len : out.len - p->pieces[0].len, rule);
	buffer_release(&out);
	return any;
}

/* Which word behind the key the expression needs in records of this class; NULL: it may be any. */
static const struct key_word *word_of_expr(struct matcher *m, unsigned class, const struct expr *x, struct arena *arena)
{
	const struct key *key = &m->keys->keys[class];
	const struct atom *a = &m->rs->atoms[x->atom];
	const struct string_pattern *p = &a->pattern;
	struct span end, behind = SPAN("");
	struct key_word *word;

	if (x->op == EXPR_AND)
		for (uint32_t i = 0; i < x->n_children; i++) {
			const struct key_word *of = word_of_expr(m, class, x->children[i], arena);

			if (of)
				return of;
		}
	if (x->op != EXPR_ATOM || a->op != ATOM_STRING || p->n_pieces != 1 || p->open_start || p->open_end || memchr(p->pieces[0].ptr, '\0', p->pieces[0].len))
		return NULL;
	end = format_word_end(m->source->format, span_of(key->exact, key->len), a->field, p->pieces[0], &behind);
	word = arena_zalloc(arena, sizeof *word);
	return key_word_init(word, end, behind) ? word : NULL;
}

/* While the prefilter is made: each literal once, and which rules need it. */
struct literal_draft {
	struct arena arena;
	struct map known; /* literal → its number */
	struct owner *owners;
	size_t n_owners, cap_owners;
	uint32_t *uses; /* by atom */
	uint8_t *truth; /* by atom */
};

static void draft_set(struct matcher *m, struct literal_draft *d, uint32_t rule, unsigned class, const struct literal_set *set)
{
	bool keyed = class != KEYS_UNKNOWN && class <= m->keys->n_keys;
	const struct key_word *word = keyed ? word_of_expr(m, class, m->rs->rules[m->rules[rule].index].expr, &d->arena) : NULL;

	for (size_t k = 0; k < set->n; k++) {
		struct span lower = arena_dup_span(&d->arena, set->items[k]);
		struct map_entry *entry;
		bool new;

		fold_ascii((char *)lower.ptr, set->items[k].ptr, lower.len);
		entry = map_add(&d->known, lower, &new);
		if (new)
			entry->value.number = d->known.n - 1;
		ARRAY_GROW(d->owners, d->n_owners, d->cap_owners);
		d->owners[d->n_owners++] = (struct owner){ (uint32_t)entry->value.number, rule, class, word };
	}
	m->classes[class].seeks |= set->n > 0;
}

/* Empty: it has none. */
static struct span key_of_class(const struct matcher *m, unsigned class)
{
	return class != KEYS_UNKNOWN && class <= m->keys->n_keys ? span_of(m->keys->keys[class].exact, m->keys->keys[class].len) : SPAN("");
}

/* What this rule needs in records of each class. */
static void draft_rule(struct matcher *m, struct literal_draft *d, uint32_t rule)
{
	const struct expr *x = m->rs->rules[m->rules[rule].index].expr;
	bool asks = m->keys && set_truth(m, x, KEYS_UNKNOWN, d->truth);
	struct literal_set set, set_of_unknown = literals_of_expr(x, m->rs, d->uses, d->truth, m->source->format, SPAN(""), &d->arena);
	unsigned n_known = 0, known = KEYS_UNKNOWN, n = m->keys ? KEYS_OTHER(m->keys) + 1 : 1;

	/* From the last to KEYS_UNKNOWN: where it may match records of one key only, it needs the same in those whose key is not known. */
	set = set_of_unknown;
	for (unsigned class = n; class-- > 0;) {
		struct key_class *c = &m->classes[class];

		if (asks && class != KEYS_UNKNOWN) {
			set_truth(m, x, class, d->truth);
			if (literal_truth_of_expr(x, d->truth) == TRUTH_FALSE)
				continue;
			set = literals_of_expr(x, m->rs, d->uses, d->truth, m->source->format, key_of_class(m, class), &d->arena);
			n_known++;
			known = class;
		} else if (asks && (n_known != 1 || !set.known || (set_of_unknown.known && set_of_unknown.cost < set.cost))) {
			set = set_of_unknown;
		}
		if (set.known) {
			draft_set(m, d, rule, class, &set);
			continue;
		}
		c->always[c->n_always] = rule;
		if (class == KEYS_UNKNOWN || class > m->keys->n_keys || c->n_always >= 64 ||
		    !add_beginnings(m, class, x, false, UINT64_C(1) << c->n_always))
			c->excludes = 0;
		else if (c->n_always == 0 || c->excludes)
			c->excludes |= UINT64_C(1) << c->n_always;
		c->n_always++;
	}
	if (n_known == 1) {
		struct local_rule *local = &m->rules[rule];
		bool captures, ok = true;

		set_truth(m, x, known, d->truth);
		local->class = (uint8_t)known;
		local->class_root = node_build(m, x, &m->rs->rules[local->index], d->truth, &captures, NULL, &ok);
	}
}

/* In which classes nothing is left to be tested. */
static void decide_classes(struct matcher *m, unsigned n_classes)
{
	for (unsigned class = 1; class < n_classes; class++) {
		struct key_class *c = &m->classes[class];
		bool all = c->n_always > 0;

		for (uint32_t i = 0; i < c->n_always; i++) {
			const struct local_rule *local = &m->rules[c->always[i]];

			all &= local->class == class && m->nodes[local->class_root].op == EXPR_TRUE && !local->captures;
		}
		if (!all)
			continue;
		c->decided = xcalloc(c->n_always, sizeof *c->decided);
		for (uint32_t i = 0; i < c->n_always; i++)
			c->decided[i] = m->rules[c->always[i]].index;
	}
}

/* In which classes all rules that need a literal need the same word besides; where the classes need several the literal has the one of its first. */
static void draft_words(struct matcher *m, const struct literal_draft *d)
{
	const struct owner *o = d->owners, *end;

	if (!d->n_owners)
		return;
	for (end = o + d->n_owners; o < end;) {
		uint32_t literal = o->literal;
		struct literal_word *w = &m->literal_words[literal];
		const struct key_word *word = NULL;
		uint64_t others = 0;

		for (const struct owner *i = o; i < end && i->literal == literal && !word; i++)
			word = i->word;
		if (word)
			w->word = *word;
		for (; o < end && o->literal == literal; o++) {
			if (word && o->word && memcmp(o->word, word, sizeof *word) == 0)
				w->classes |= UINT64_C(1) << o->class;
			else
				others |= UINT64_C(1) << o->class;
		}
		w->classes &= ~others;
	}
}

/* Literals of all rules, each once, with the rules that need it. */
static void build_prefilter(struct matcher *m)
{
	struct literal_draft d = { .arena = ARENA_INIT, .known = MAP_INIT };
	struct span *literals;
	unsigned n_classes;
	size_t n = 0;

	d.uses = xcalloc(m->rs->n_atoms + 1, sizeof *d.uses);
	d.truth = xcalloc(m->rs->n_atoms + 1, sizeof *d.truth);
	m->keys = xcalloc(1, sizeof *m->keys);
	if (keys_init(m->keys, m->source->format))
		for (uint32_t i = 0; i < m->n_rules; i++)
			add_keys(m, m->rs->rules[m->rules[i].index].expr);
	if (m->keys->n_keys == 0) {
		free(m->keys);
		m->keys = NULL;
	}
	n_classes = m->keys ? KEYS_OTHER(m->keys) + 1 : 1;
	m->classes = xcalloc(n_classes, sizeof *m->classes);
	for (unsigned i = 0; i < n_classes; i++)
		m->classes[i].always = xcalloc(m->n_rules + 1, sizeof *m->classes[i].always);
	for (uint32_t i = 0; i < m->n_rules; i++)
		count_uses(m->rs->rules[m->rules[i].index].expr, d.uses);
	for (uint32_t i = 0; i < m->n_rules; i++)
		draft_rule(m, &d, i);
	for (unsigned i = 0; i < n_classes; i++)
		m->classes[i].always = xrealloc(m->classes[i].always, (m->classes[i].n_always + 1) * sizeof *m->classes[i].always);

	decide_classes(m, n_classes);

	literals = xcalloc(d.known.n + 1, sizeof *literals);
	for (size_t i = 0; i < d.known.n; i++)
		literals[i] = d.known.entries[i]->key;
	m->prefilter = prefilter_new(literals, d.known.n);

	if (d.n_owners)
		qsort(d.owners, d.n_owners, sizeof *d.owners, owner_order);
	m->literal_classes = xcalloc(d.known.n + 1, sizeof *m->literal_classes);
	m->literal_words = xcalloc(d.known.n + 1, sizeof *m->literal_words);
	m->owners_of = xcalloc(d.known.n + 1, sizeof *m->owners_of);
	m->owners = xcalloc(d.n_owners + 1, sizeof *m->owners);
	draft_words(m, &d);
	for (size_t i = 0, next_literal = 0; i <= d.n_owners; i++) {
		size_t literal = i < d.n_owners ? d.owners[i].literal : d.known.n;

		while (next_literal <= literal)
			m->owners_of[next_literal++] = (uint32_t)n;
		if (i == d.n_owners)
			break;
		m->literal_classes[literal] |= UINT64_C(1) << d.owners[i].class;
		if (i == 0 || owner_order(&d.owners[i - 1], &d.owners[i]) != 0)
			m->owners[n++] = d.owners[i].rule;
	}
	free(literals);
	free(d.owners);
	free(d.uses);
	free(d.truth);
	map_release(&d.known);
	arena_release(&d.arena);
}

/* What an event needs to be matched, apart from the plan. */
static void make_scratch(struct matcher *m)
{
	m->memo = xcalloc(m->rs->n_atoms + 1, sizeof *m->memo);
	m->tried = xcalloc(m->n_rules + 1, sizeof *m->tried);
	m->list = xcalloc(m->n_rules + 1, sizeof *m->list);
	m->held = xcalloc(m->n_rules + 1, sizeof *m->held);
	m->match_context = pcre2_match_context_create(NULL);
	m->jit_stack = pcre2_jit_stack_create(REGEX_JIT_STACK_MIN, REGEX_JIT_STACK_MAX, NULL);
	if (!m->match_context)
		no_memory();
	pcre2_set_match_limit(m->match_context, REGEX_MATCH_LIMIT);
	pcre2_set_depth_limit(m->match_context, REGEX_MATCH_LIMIT);
	pcre2_set_heap_limit(m->match_context, REGEX_HEAP_LIMIT_KIB);
	/* NULL, where there is no JIT, means the machine stack: fine, it is not used then. */
	pcre2_jit_stack_assign(m->match_context, NULL, m->jit_stack);
}

struct matcher *matcher_new(const struct ruleset *rs, const struct source *s, struct diag_list *diags)
{
	struct matcher *m = xcalloc(1, sizeof *m);
	bool ok = true;

	m->rs = rs;
	m->source = s;
	m->tests = xcalloc(rs->n_atoms + 1, sizeof *m->tests);
	m->rules = xcalloc(rs->n_rules + 1, sizeof *m->rules);
	for (uint32_t i = 0; i < rs->n_rules; i++) {
		struct local_rule *local = &m->rules[m->n_rules];

		if (!is_ours(&rs->rules[i], s))
			continue;
		local->index = i;
		local->root = node_build(m, rs->rules[i].expr, &rs->rules[i], NULL, &local->captures, diags, &ok);
		m->n_rules++;
	}
	if (!ok) {
		matcher_free(m);
		return NULL;
	}
	build_prefilter(m);
	make_scratch(m);
	return m;
}

struct matcher *matcher_copy(const struct matcher *of)
{
	struct matcher *m = xcalloc(1, sizeof *m);

	memcpy(m, of, offsetof(struct matcher, hits));
	m->is_copy = true;
	m->prefilter = prefilter_copy(of->prefilter);
	make_scratch(m);
	return m;
}

static void plan_free(struct matcher *m)
{
	for (size_t i = 0; i < m->regexes.n; i++)
		regex_free(m->regexes.entries[i]->value.pointer);
	map_release(&m->regexes);
	free(m->tests);
	free(m->nodes);
	free(m->children);
	free(m->rules);
	free(m->unfiltered);
	for (unsigned i = 0; m->classes && i < (m->keys ? KEYS_OTHER(m->keys) + 1 : 1); i++) {
		free(m->classes[i].always);
		free(m->classes[i].decided);
	}
	free(m->classes);
	if (m->keys)
		keys_release(m->keys);
	free(m->keys);
	free(m->literal_classes);
	free(m->literal_words);
	free(m->owners_of);
	free(m->owners);
}

void matcher_free(struct matcher *m)
{
	if (!m)
		return;
	if (!m->is_copy)
		plan_free(m);
	prefilter_free(m->prefilter);
	prefilter_hits_release(&m->hits);
	pcre2_match_data_free(m->match_data);
	pcre2_match_context_free(m->match_context);
	pcre2_jit_stack_free(m->jit_stack);
	arena_release(&m->folded_arena);
	free(m->memo);
	free(m->class_of);
	free(m->tried);
	free(m->list);
	free(m->held);
	free(m->captured);
	free(m);
}

const uint32_t *matcher_unfiltered(struct matcher *m)
{
	struct arena arena = ARENA_INIT;
	uint32_t *uses, n = 0;

	if (m->unfiltered)
		return m->unfiltered;
	assert(!m->is_copy);
	uses = xcalloc(m->rs->n_atoms + 1, sizeof *uses);
	m->unfiltered = xcalloc(m->n_rules + 1, sizeof *m->unfiltered);
	for (uint32_t i = 0; i < m->n_rules; i++)
		count_uses(m->rs->rules[m->rules[i].index].expr, uses);
	for (uint32_t i = 0; i < m->n_rules; i++)
		if (!literals_of_expr(m->rs->rules[m->rules[i].index].expr, m->rs, uses, NULL, m->source->format, SPAN(""), &arena).known)
			m->unfiltered[n++] = m->rules[i].index;
	m->unfiltered[n] = UINT32_MAX;
	free(uses);
	arena_release(&arena);
	return m->unfiltered;
}

void matcher_take_stats(struct matcher *m, struct matcher_stats *to)
{
	to->scanned_records += m->stats.scanned_records;
	to->candidates += m->stats.candidates;
	to->matched += m->stats.matched;
	to->regex_limit_hits += m->stats.regex_limit_hits;
	m->stats = (struct matcher_stats){ 0 };
}

const struct matcher_stats *matcher_stats(const struct matcher *m)
{
	return &m->stats;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void begin_generations(struct matcher *m)
{
	memset(m->memo, 0, (m->rs->n_atoms + 1) * sizeof *m->memo);
	memset(m->tried, 0, (m->n_rules + 1) * sizeof *m->tried);
	memset(m->virtual_generation, 0, sizeof m->virtual_generation);
	m->unescaped_generation = 0;
	m->generation = 2;
}

/* Forgets what was known of the event before. */
static inline void next_event(struct matcher *m)
{
	m->generation += 2;
	if (m->generation == 0)
		begin_generations(m);
	if (m->n_folded || m->unescaped.len) {
		m->n_folded = m->next_folded = 0;
		m->unescaped.len = 0;
		arena_reset(&m->folded_arena);
	}
}

static bool virtual_of(field_id f, enum virtual_field *ret)
{
	switch (f) {
	case FIELD_TIME:
		*ret = VIRTUAL_TIME;
		return true;
	case FIELD_SOURCE:
		*ret = VIRTUAL_SOURCE;
		return true;
	case FIELD_RAW:
		*ret = VIRTUAL_RAW;
		return true;
	case FIELD_FILE:
		*ret = VIRTUAL_FILE;
		return true;
	case FIELD_LINE:
		*ret = VIRTUAL_LINE;
		return true;
	case FIELD_MESSAGE:
		*ret = VIRTUAL_MESSAGE;
		return true;
	default:
		return false;
	}
}

/* A field's value that stands in the event itself rather than among its values. */
static const struct value *virtual_value(struct matcher *m, const struct event *e, field_id f)
{
	enum virtual_field which;
	struct value *v;
	struct span text;

	if (!virtual_of(f, &which))
		return NULL;
	v = &m->virtuals[which];
	if (m->virtual_generation[which] == m->generation)
		return v->text.ptr ? v : NULL;
	if (which == VIRTUAL_MESSAGE)
		text = event_own(e, FIELD_RAW, NULL);
	else
		text = event_own(e, f, m->own_text[which]);
	if (which == VIRTUAL_SOURCE && !text.ptr)
		text = span_from_string(m->source->name);
	*v = (struct value){ .text = text, .field = f, .kind = which == VIRTUAL_LINE ? VALUE_NUMBER : VALUE_STRING };
	m->virtual_generation[which] = m->generation;
	return text.ptr ? v : NULL;
}

static const struct value *first_value(struct matcher *m, const struct event *e, field_id f)
{
	const struct value *v = event_first(e, f);

	return v ? v : virtual_value(m, e, f);
}

/* Never NULL, whatever the event's maker left there. */
static struct span value_text(const struct value *v)
{
	return span_of(v->text.ptr ? v->text.ptr : "", v->text.ptr ? v->text.len : 0);
}

/* The text lower-cased, until the next event (or until FOLDED_MAX others were asked for). */
static struct span fold(struct matcher *m, struct span text)
{
	struct folded *slot;
	char *copy;

	for (unsigned i = 0; i < m->n_folded; i++)
		if (m->folded[i].of.ptr == text.ptr && m->folded[i].of.len == text.len)
			return m->folded[i].text;
	slot = &m->folded[m->next_folded];
	m->next_folded = (m->next_folded + 1) % FOLDED_MAX;
	if (m->n_folded < FOLDED_MAX)
		m->n_folded++;
	copy = arena_alloc(&m->folded_arena, text.len + 1);
	fold_ascii(copy, text.ptr, text.len);
	*slot = (struct folded){ text, span_of(copy, text.len) };
	return slot->text;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

/* Are the bytes at `at`, as many as the text has, the text? */
static inline bool equal_at(const struct test *t, const char *at)
{
	uint64_t first, last;

	words_of(at, t->text.len, &first, &last);
	if (((first | t->first_case) ^ t->first) | ((last | t->last_case) ^ t->last))
		return false;
	if (t->text.len <= 16)
		return true;
	return t->cased ? memcmp(at, t->text.ptr, t->text.len) == 0 : equal_folded(t->text.ptr, at, t->text.len);
}

static bool string_holds(struct matcher *m, const struct test *t, struct span value)
{
	switch (t->shape) {
	case SHAPE_EQUAL:
		return value.len == t->text.len && equal_at(t, value.ptr);
	case SHAPE_PREFIX:
		return value.len >= t->text.len && equal_at(t, value.ptr);
	case SHAPE_SUFFIX:
		return value.len >= t->text.len && equal_at(t, value.ptr + value.len - t->text.len);
	case SHAPE_CONTAINS:
		if (!t->cased)
			return contains_folded(value, t->text);
		return value.len >= t->text.len && memmem(value.ptr, value.len, t->text.ptr, t->text.len) != NULL;
	case SHAPE_ANYTHING:
		return true;
	case SHAPE_WILDCARD:
		return wildcard_matches(&t->pattern, t->cased ? value : fold(m, value));
	}
	return false;
}

/* Searches; true when it matched, and then match_data has the groups. */
static bool regex_holds(struct matcher *m, const struct regex *re, struct span value)
{
	bool cut = value.len > REGEX_SUBJECT_LIMIT;
	size_t len = cut ? REGEX_SUBJECT_LIMIT : value.len;
	uint32_t options = cut ? PCRE2_NOTEOL : 0;
	int rc;

	if (!m->match_data && !(m->match_data = pcre2_match_data_create(m->match_pairs, NULL)))
		no_memory();
	if (re->jit)
		rc = pcre2_jit_match(re->code, (PCRE2_SPTR)value.ptr, len, 0, options, m->match_data, m->match_context);
	else
		rc = pcre2_match(re->code, (PCRE2_SPTR)value.ptr, len, 0, options, m->match_data, m->match_context);
	if (rc >= 0)
		return true;
	if (rc != PCRE2_ERROR_NOMATCH || cut)
		m->stats.regex_limit_hits++;
	return false;
}

static bool address_in(const struct atom *a, struct span value)
{
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t address[16];
	unsigned bits = a->cidr_bits, limit = a->cidr_family == 4 ? 32 : 128;

	if (value.len == 0 || value.len >= sizeof text || memchr(value.ptr, '\0', value.len))
		return false;
	memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	if (inet_pton(a->cidr_family == 4 ? AF_INET : AF_INET6, text, address) != 1)
		return false;
	if (bits > limit)
		bits = limit;
	if (memcmp(address, a->cidr, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((address[bits / 8] ^ a->cidr[bits / 8]) >> (8 - bits % 8)) == 0;
}

static int iso_week(const struct civil *c)
{
	int64_t day = days_from_civil(c->year, c->month, c->day);
	int64_t weekday = ((day + 3) % 7 + 7) % 7; /* Monday is 0; 1970-01-01 was a Thursday */
	int64_t thursday = day - weekday + 3;      /* the week is of the year its Thursday is in */
	int64_t new_year = days_from_civil(c->year, 1, 1);

	if (thursday < new_year)
		new_year = days_from_civil(c->year - 1, 1, 1);
	else if (thursday >= days_from_civil(c->year + 1, 1, 1))
		new_year = days_from_civil(c->year + 1, 1, 1);
	return (int)((thursday - new_year) / 7) + 1;
}

static bool time_to_part(struct span value, enum time_part part, double *ret)
{
	struct civil c;
	size_t len = civil_parse(value, &c);

	if (!len)
		return false;
	for (; len < value.len; len++)
		if (value.ptr[len] != ' ')
			return false;
	switch (part) {
	case TIME_PART_NONE:
		return false;
	case TIME_PART_MINUTE:
		*ret = c.minute;
		return true;
	case TIME_PART_HOUR:
		*ret = c.hour;
		return true;
	case TIME_PART_DAY:
		*ret = c.day;
		return true;
	case TIME_PART_WEEK:
		*ret = iso_week(&c);
		return c.year != 0;
	case TIME_PART_MONTH:
		*ret = c.month;
		return true;
	case TIME_PART_YEAR:
		*ret = c.year;
		return c.year != 0;
	}
	return false;
}

static bool number_holds(const struct atom *a, struct span value)
{
	double n;

	if (a->time_part != TIME_PART_NONE ? !time_to_part(value, a->time_part, &n) : !span_to_number(value, &n))
		return false;
	switch (a->op) {
	case ATOM_LT:
		return n < a->number;
	case ATOM_LTE:
		return n <= a->number;
	case ATOM_GT:
		return n > a->number;
	case ATOM_GTE:
		return n >= a->number;
	case ATOM_NUMBER_EQ:
		return n == a->number;
	case ATOM_STRING:
	case ATOM_NULL:
	case ATOM_EXISTS:
	case ATOM_REGEX:
	case ATOM_CIDR:
	case ATOM_FIELDREF:
	case ATOM_KEYWORD:
		break;
	}
	return false;
}

/* Does the value stand to any value of the other field as the atom says? */
static bool fieldref_holds(struct matcher *m, const struct atom *a, const struct event *e, struct span value)
{
	for (const struct value *v = first_value(m, e, a->other); v; v = event_next(e, v)) {
		struct span x = value, y = value_text(v);

		if (v->kind == VALUE_NULL || y.len > x.len)
			continue;
		if (!a->cased) {
			/* The second fold may take the first one's slot only when that is the oldest: there are several. */
			x = fold(m, x);
			y = fold(m, y);
		}
		switch (a->fieldref_kind) {
		case FIELDREF_EQUAL:
			if (span_equal(x, y))
				return true;
			break;
		case FIELDREF_STARTSWITH:
			if (span_starts_with(x, y))
				return true;
			break;
		case FIELDREF_ENDSWITH:
			if (span_ends_with(x, y))
				return true;
			break;
		case FIELDREF_CONTAINS:
			if (memmem(x.ptr, x.len, y.ptr, y.len))
				return true;
			break;
		}
	}
	return false;
}

/* Does the test hold for this value, which is not null? */
static bool value_holds(struct matcher *m, const struct test *t, const struct event *e, struct span value)
{
	switch (t->atom->op) {
	case ATOM_STRING:
	case ATOM_KEYWORD:
		return string_holds(m, t, value);
	case ATOM_REGEX:
		return regex_holds(m, t->regex, value);
	case ATOM_CIDR:
		return address_in(t->atom, value);
	case ATOM_LT:
	case ATOM_LTE:
	case ATOM_GT:
	case ATOM_GTE:
	case ATOM_NUMBER_EQ:
		return number_holds(t->atom, value);
	case ATOM_FIELDREF:
		return fieldref_holds(m, t->atom, e, value);
	case ATOM_NULL:
	case ATOM_EXISTS:
		break;
	}
	return false;
}

/* What the escapes of a JSON record stand for, all in one text; empty where it has none. */
static struct span unescaped(struct matcher *m, const struct event *e)
{
	if (m->unescaped_generation != m->generation) {
		bool may = format_has_json(m->source->format) && e->raw.len && memchr(e->raw.ptr, '\\', e->raw.len);

		m->unescaped = may ? json_unescaped(e->raw, &m->folded_arena) : SPAN("");
		m->unescaped_generation = m->generation;
	}
	return m->unescaped;
}

/* Is the keyword in the record as it is written, or, of JSON, as it is meant? */
static bool keyword_holds(struct matcher *m, const struct test *t, const struct event *e)
{
	struct span text;

	if (string_holds(m, t, span_of(e->raw.ptr ? e->raw.ptr : "", e->raw.len)))
		return true;
	text = unescaped(m, e);
	return text.len && string_holds(m, t, text);
}

static __attribute__((noinline)) bool test_holds_slowly(struct matcher *m, const struct test *t, const struct event *e)
{
	const struct value *v;

	if (t->broken)
		return false;
	if (t->atom->op == ATOM_KEYWORD)
		return keyword_holds(m, t, e);
	v = first_value(m, e, t->atom->field);
	if (t->atom->op == ATOM_EXISTS)
		return v != NULL;
	if (t->atom->op == ATOM_NULL && !v)
		return true;
	for (; v; v = event_next(e, v)) {
		if (t->atom->op == ATOM_NULL) {
			if (v->kind == VALUE_NULL)
				return true;
		} else if (v->kind != VALUE_NULL && value_holds(m, t, e, value_text(v))) {
			return true;
		}
	}
	return false;
}

static inline bool test_holds(struct matcher *m, const struct test *t, const struct event *e)
{
	const struct value *v;

	if (!t->plain || !(v = event_first(e, t->field)) || v->next || v->kind == VALUE_NULL)
		return test_holds_slowly(m, t, e);
	if (t->shape == SHAPE_EQUAL || t->shape == SHAPE_PREFIX)
		return (t->shape == SHAPE_EQUAL ? v->text.len == t->text.len : v->text.len >= t->text.len) && equal_at(t, v->text.ptr);
	return string_holds(m, t, v->text);
}

static inline bool atom_holds(struct matcher *m, const struct event *e, uint32_t atom)
{
	uint32_t memo = m->memo[atom];

	if ((memo & ~UINT32_C(1)) != m->generation) {
		memo = m->generation | test_holds(m, &m->tests[atom], e);
		m->memo[atom] = memo;
	}
	return memo & 1;
}

static bool node_holds(struct matcher *m, const struct event *e, const struct node *n);

/* Most children are atoms: no call for them. */
static inline bool child_holds(struct matcher *m, const struct event *e, const struct node *n, uint32_t i)
{
	const struct node *child = &m->nodes[m->children[n->first + i]];

	return child->op == EXPR_ATOM ? atom_holds(m, e, child->atom) : node_holds(m, e, child);
}

/* An "or" of n->any_of. */
static bool any_holds(struct matcher *m, const struct event *e, const struct node *n)
{
	const struct value *v = event_first(e, m->tests[m->nodes[m->children[n->first]].atom].field);
	uint32_t head;

	if (!v || v->next || v->kind == VALUE_NULL) {
		for (uint32_t i = 0; i < n->n; i++)
			if (child_holds(m, e, n, i))
				return true;
		return false;
	}
	if (v->text.len < sizeof head)
		return false;
	memcpy(&head, v->text.ptr, sizeof head);
	for (uint32_t i = 0; i < n->n; i++) {
		const struct test *t = &m->tests[m->nodes[m->children[n->first + i]].atom];

		if (((head | t->head_case) ^ t->head) == 0 && (v->text.len == t->text.len || (t->shape == SHAPE_PREFIX && v->text.len > t->text.len)) &&
		    equal_at(t, v->text.ptr))
			return true;
	}
	return false;
}

static bool node_holds(struct matcher *m, const struct event *e, const struct node *n)
{
	switch (n->op) {
	case EXPR_TRUE:
		return true;
	case EXPR_FALSE:
		return false;
	case EXPR_ATOM:
		return atom_holds(m, e, n->atom);
	case EXPR_NOT:
		return !child_holds(m, e, n, 0);
	case EXPR_AND:
		for (uint32_t i = 0; i < n->n; i++)
			if (!child_holds(m, e, n, i))
				return false;
		return true;
	case EXPR_OR:
		if (n->any_of)
			return any_holds(m, e, n);
		for (uint32_t i = 0; i < n->n; i++)
			if (child_holds(m, e, n, i))
				return true;
		return false;
	}
	return false;
}

static bool expr_holds(struct matcher *m, const struct event *e, const struct expr *x)
{
	switch (x->op) {
	case EXPR_TRUE:
		return true;
	case EXPR_FALSE:
		return false;
	case EXPR_ATOM:
		test_prepare(m, x->atom, NULL, NULL);
		return atom_holds(m, e, x->atom);
	case EXPR_NOT:
		return !expr_holds(m, e, x->children[0]);
	case EXPR_AND:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (!expr_holds(m, e, x->children[i]))
				return false;
		return true;
	case EXPR_OR:
		for (uint32_t i = 0; i < x->n_children; i++)
			if (expr_holds(m, e, x->children[i]))
				return true;
		return false;
	}
	return false;
}

bool matcher_expr_holds(struct matcher *m, const struct expr *x, struct event *e)
{
	next_event(m);
	return expr_holds(m, e, x);
}

/* --- named groups ------------------------------------------------------------------------------------------------- */

static bool is_captured(const struct matcher *m, field_id field, struct span text)
{
	for (size_t i = 0; i < m->n_captured; i++)
		if (m->captured[i].field == field && span_equal(m->captured[i].text, text))
			return true;
	return false;
}

static void capture_atom(struct matcher *m, struct event *e, const struct test *t)
{
	const struct value *v = first_value(m, e, t->atom->field);
	PCRE2_SIZE *ovector;

	while (v && (v->kind == VALUE_NULL || !regex_holds(m, t->regex, value_text(v))))
		v = event_next(e, v);
	if (!v)
		return;
	ovector = pcre2_get_ovector_pointer(m->match_data);
	for (uint32_t i = 0; i < t->regex->n_names; i++) {
		const struct regex_name *name = &t->regex->names[i];
		PCRE2_SIZE from = ovector[2 * name->group], to = ovector[2 * name->group + 1];
		struct span text;

		if (from == PCRE2_UNSET || to == PCRE2_UNSET || from > to)
			continue;
		text = span_of(value_text(v).ptr + from, to - from);
		/* Several rules, or several regexes of one, may capture the same thing. */
		if (is_captured(m, name->field, text))
			continue;
		ARRAY_GROW(m->captured, m->n_captured, m->cap_captured);
		m->captured[m->n_captured++] = (struct capture){ name->field, arena_dup_span(&e->arena, text) };
	}
}

/* Collects the named groups of all regexes under n that hold. */
static void capture_node(struct matcher *m, struct event *e, const struct node *n)
{
	switch (n->op) {
	case EXPR_TRUE:
	case EXPR_FALSE:
	case EXPR_NOT:
		return;
	case EXPR_ATOM:
		if (m->tests[n->atom].regex && m->tests[n->atom].regex->n_names && atom_holds(m, e, n->atom))
			capture_atom(m, e, &m->tests[n->atom]);
		return;
	case EXPR_AND:
	case EXPR_OR:
		for (uint32_t i = 0; i < n->n; i++) {
			const struct node *child = &m->nodes[m->children[n->first + i]];

			if (node_holds(m, e, child))
				capture_node(m, e, child);
		}
		return;
	}
}

/* The event has not been changed before: what was captured must not show in what is still to be evaluated. */
static void add_captured(const struct matcher *m, struct event *e)
{
	for (size_t i = 0; i < m->n_captured; i++) {
		const struct value *v = event_first(e, m->captured[i].field);

		while (v && !span_equal(value_text(v), m->captured[i].text))
			v = event_next(e, v);
		if (v)
			continue;
		event_add(e, m->captured[i].field, m->captured[i].text, VALUE_STRING);
		e->agent_number = 0; /* it may be one of an agent that has none of its own */
	}
}

/* Makes fields of the named groups in the first n of m->held, which hold. */
static __attribute__((noinline)) void capture(struct matcher *m, struct event *e, size_t n)
{
	m->n_captured = 0;
	for (size_t i = 0; i < n; i++)
		if (m->rules[m->held[i]].captures)
			capture_node(m, e, &m->nodes[m->rules[m->held[i]].root]);
	add_captured(m, e);
}

/* --- the two steps ------------------------------------------------------------------------------------------------ */

/* 1 when it was not marked before. */
static inline size_t mark(uint64_t *candidates, size_t record)
{
	uint64_t bit = UINT64_C(1) << record % 64;
	bool before = candidates[record / 64] & bit;

	candidates[record / 64] |= bit;
	return !before;
}

/* So many records, and what they stand for, are in the nearest cache while they are looked at twice. */
#define SOME_RECORDS ((size_t)128)

/* The candidates among the records of classes whose rules need no literal. *ret_seek: there are some of classes that need one. */
static size_t mark_classes(struct matcher *m, struct span block, const struct record_list *records, uint64_t *candidates, bool *ret_seek)
{
	bool always[KEYS_CLASSES], seeks[KEYS_CLASSES];
	uint32_t some[SOME_RECORDS];
	size_t n = 0;

	if (records->n > m->cap_class_of) {
		m->cap_class_of = records->n + records->n / 2;
		m->class_of = xrealloc(m->class_of, m->cap_class_of);
	}
	if (!m->keys) {
		*ret_seek = m->classes[KEYS_UNKNOWN].seeks;
		memset(m->class_of, KEYS_UNKNOWN, records->n);
		if (!m->classes[KEYS_UNKNOWN].n_always)
			return 0;
		memset(candidates, 0xff, (records->n + 63) / 64 * sizeof *candidates);
		if (records->n % 64)
			candidates[records->n / 64] >>= 64 - records->n % 64;
		return records->n;
	}
	for (unsigned i = 0; i < KEYS_OTHER(m->keys) + 1; i++) {
		always[i] = m->classes[i].n_always > 0;
		seeks[i] = m->classes[i].seeks;
	}
	*ret_seek = false;
	for (size_t start = 0; start < records->n; start += SOME_RECORDS) {
		size_t end = start + SOME_RECORDS < records->n ? start + SOME_RECORDS : records->n, n_some = 0;
		bool seek = false;

		keys_classify(m->keys, block, &records->items[start], end - start, m->class_of + start);
		/* No branch here depends on the text. */
		for (size_t i = start; i < end; i++) {
			seek |= seeks[m->class_of[i]];
			some[n_some] = (uint32_t)i;
			n_some += always[m->class_of[i]];
		}
		*ret_seek |= seek;
		for (size_t k = 0; k < n_some; k++) {
			unsigned class = m->class_of[some[k]];
			uint64_t excludes = m->classes[class].excludes;
			bool may = !excludes || keys_excluded(&m->keys->keys[class], m->keys, block, &records->items[some[k]]) != excludes;

			candidates[some[k] / 64] |= (uint64_t)may << some[k] % 64;
			n += may;
		}
	}
	return n;
}

size_t matcher_scan(struct matcher *m, struct span block, const struct record_list *records, uint64_t *candidates)
{
	size_t n = 0;
	bool seek;

	memset(candidates, 0, (records->n + 63) / 64 * sizeof *candidates);
	m->stats.scanned_records += records->n;
	m->hits.n_records = 0;
	if (!m->n_rules || !records->n)
		return 0;
	n = mark_classes(m, block, records, candidates, &seek);
	prefilter_scan(m->prefilter, seek ? block : span_of(block.ptr, 0), records, &m->hits);
	for (size_t i = 0; records->n_escaped && i < records->n; i++)
		if (records->items[i].flags & RECORD_ESCAPED)
			n += mark(candidates, i);
	for (size_t i = 0; i < m->hits.n_hits; i++) {
		const struct prefilter_hit *hit = &m->hits.hits[i];

		unsigned class = m->class_of[hit->record];

		if (!(m->literal_classes[hit->literal] >> class & 1))
			continue;
		const struct literal_word *w = &m->literal_words[hit->literal];
		if (w->classes >> class & 1 && keys_word_differs(&w->word, &m->keys->keys[class], m->keys, block, &records->items[hit->record]))
			continue;
		n += mark(candidates, hit->record);
	}
	m->stats.candidates += n;
	return n;
}

/* The local rules that the record may match, ascending: valid until the next call. *ret_n: how many. */
static const uint32_t *list_candidates(struct matcher *m, size_t record, size_t *ret_n)
{
	uint32_t head = m->hits.head[record];
	const struct key_class *c = &m->classes[m->class_of[record]];
	size_t n = 0;

	/* Most records hold one literal, or none is needed: its rules are in order. */
	if (head == PREFILTER_NONE) {
		*ret_n = c->n_always;
		return c->always;
	}
	if (!c->n_always && m->hits.hits[head].next == PREFILTER_NONE) {
		const uint32_t *of = &m->owners_of[m->hits.hits[head].literal];

		*ret_n = of[1] - of[0];
		return &m->owners[of[0]];
	}
	for (uint32_t i = 0; i < c->n_always; i++) {
		m->tried[c->always[i]] = m->generation;
		m->list[n++] = c->always[i];
	}
	for (uint32_t h = head; h != PREFILTER_NONE; h = m->hits.hits[h].next) {
		uint32_t literal = m->hits.hits[h].literal;

		for (uint32_t i = m->owners_of[literal]; i < m->owners_of[literal + 1]; i++) {
			uint32_t rule = m->owners[i];

			if (m->tried[rule] != m->generation) {
				m->tried[rule] = m->generation;
				m->list[n++] = rule;
			}
		}
	}
	if (n > 32) {
		/* Too many to sort one by one: go through all instead. */
		n = 0;
		for (uint32_t i = 0; i < m->n_rules; i++)
			if (m->tried[i] == m->generation)
				m->list[n++] = i;
		*ret_n = n;
		return m->list;
	}
	for (size_t i = 1; i < n; i++) {
		uint32_t rule = m->list[i];
		size_t k = i;

		for (; k > 0 && m->list[k - 1] > rule; k--)
			m->list[k] = m->list[k - 1];
		m->list[k] = rule;
	}
	*ret_n = n;
	return m->list;
}

bool matcher_decided(const struct matcher *m, size_t record)
{
	return record < m->hits.n_records && m->hits.head[record] == PREFILTER_NONE && m->classes[m->class_of[record]].decided;
}

static __attribute__((noinline)) size_t match_slowly(struct matcher *m, size_t record, struct event *e, uint32_t *matched)
{
	const uint32_t *list = NULL;
	size_t n_list = m->n_rules, n = 0;
	unsigned class = KEYS_UNKNOWN;
	bool captures = false;

	next_event(m);
	if (record < m->hits.n_records) {
		class = m->class_of[record];
		if (m->hits.head[record] != PREFILTER_ALL)
			list = list_candidates(m, record, &n_list);
	}
	for (size_t i = 0; i < n_list; i++) {
		uint32_t rule = list ? list[i] : (uint32_t)i;
		const struct local_rule *local = &m->rules[rule];
		bool known = class != KEYS_UNKNOWN && local->class != KEYS_UNKNOWN;
		const struct node *root = &m->nodes[known ? local->class_root : local->root];

		if (known && local->class != class)
			continue;
		if (root->op == EXPR_TRUE || (root->op == EXPR_ATOM ? atom_holds(m, e, root->atom) : node_holds(m, e, root))) {
			captures |= local->captures;
			m->held[n] = rule;
			matched[n++] = local->index;
		}
	}
	if (__builtin_expect(captures, 0))
		capture(m, e, n);
	m->stats.matched += n > 0;
	return n;
}

size_t matcher_match(struct matcher *m, size_t record, struct event *e, uint32_t *matched)
{
	const struct key_class *c;

	if (e->kind != EVENT_LOG || !m->n_rules)
		return 0;
	if (!matcher_decided(m, record))
		return match_slowly(m, record, e, matched);
	c = &m->classes[m->class_of[record]];
	for (uint32_t i = 0; i < c->n_always; i++)
		matched[i] = c->decided[i];
	m->stats.matched++;
	return c->n_always;
}
