/*
 * detection.c: decides what a Sigma detection tests: selections to expressions, fields with modifiers and values to atoms,
 * and the condition over them. Invariants: equal atoms share one number; an atom that was accepted can be evaluated
 * without a further check; what makes no sense is refused with its reason, never guessed.
 *
 *	detection:                      an expr for each selection, joined as the condition says
 *	  NAME: {field|mod: value, …}   and over the fields; a value list is or, with |all and
 *	  NAME: [map or text, …]        or over the maps; texts are looked for in the whole record
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/memory.h"
#include "rule/condition.h"
#include "rule/regex.h"
#include "rule/value.h"
#include <arpa/inet.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <strings.h>

#define VALUE_LENGTH_MAX (64u << 10)
#define AT_LEAST_COMBINATIONS_MAX 1000
#define EXPRESSION_SIZE_MAX 1000000

/* ---- atoms ---- */

static void put_text(struct buffer *out, const char *p, size_t len)
{
	buffer_append_number(out, len);
	buffer_append_char(out, ':');
	buffer_append(out, p, len);
}

void describe_number(int64_t v, struct buffer *out)
{
	buffer_append_signed(out, v);
	buffer_append_char(out, ' ');
}

void describe_real(double v, struct buffer *out)
{
	if (v == 0 && !signbit(v))
		buffer_append_span(out, SPAN("0x0p+0 ")); /* as printf() writes it: most are */
	else
		buffer_printf(out, "%a ", v);
}

void describe_atom(const struct ruleset *rs, const struct atom *a, struct buffer *out)
{
	struct span name = field_name(&rs->fields, a->field);

	describe_number(a->op, out);
	describe_number(a->time_part, out);
	describe_number(a->fieldref_kind, out);
	describe_number(a->cased, out);
	describe_real(a->number, out);
	describe_number(a->pattern.open_start, out);
	describe_number(a->pattern.open_end, out);
	describe_number(a->pattern.cased, out);
	describe_number(a->regex_options, out);
	put_text(out, name.ptr, name.len);
	if (a->op == ATOM_FIELDREF) {
		name = field_name(&rs->fields, a->other);
		put_text(out, name.ptr, name.len);
	}
	for (uint16_t i = 0; i < a->pattern.n_pieces; i++)
		put_text(out, a->pattern.pieces[i].ptr, a->pattern.pieces[i].len);
	if (a->regex)
		put_text(out, a->regex, strlen(a->regex));
	if (a->op == ATOM_CIDR) {
		buffer_printf(out, "%d/%d ", a->cidr_family, a->cidr_bits);
		buffer_append(out, a->cidr, sizeof a->cidr);
	}
}

/* What the items of a selection have in common. */
struct selection {
	struct loader *l;
	const char *name;
	struct field_set *fields;
};

static struct expr *atom_expr(struct selection *s, const struct yaml_node *at, struct atom *a)
{
	struct loader *l = s->l;
	struct buffer key = BUFFER_INIT;
	struct map_entry *e;
	struct expr *x = new_expr(l, EXPR_ATOM, 0);
	bool new;

	a->selection = s->name;
	yaml_position(at->file, at->offset, &a->line, &a->column);
	describe_atom(l->rs, a, &key);
	e = map_add(&l->atom_index, buffer_span(&key), &new);
	if (new) {
		ARRAY_GROW(l->atoms, l->n_atoms, l->cap_atoms);
		e->value.number = l->n_atoms;
		l->atoms[l->n_atoms++] = *a;
	}
	x->atom = (uint32_t)e->value.number;
	set_place(x, at);
	buffer_release(&key);
	return x;
}

/* ---- modifiers ---- */

enum modifier {
	MODIFIER_ALL, MODIFIER_CONTAINS, MODIFIER_STARTSWITH, MODIFIER_ENDSWITH, MODIFIER_EXISTS, MODIFIER_CASED, MODIFIER_NEQ,
	MODIFIER_RE, MODIFIER_I, MODIFIER_M, MODIFIER_S,
	MODIFIER_LT, MODIFIER_LTE, MODIFIER_GT, MODIFIER_GTE,
	MODIFIER_CIDR, MODIFIER_FIELDREF, MODIFIER_EXPAND, MODIFIER_WINDASH,
	MODIFIER_BASE64, MODIFIER_BASE64OFFSET, MODIFIER_UTF16, MODIFIER_UTF16LE, MODIFIER_UTF16BE,
	MODIFIER_MINUTE, MODIFIER_HOUR, MODIFIER_DAY, MODIFIER_WEEK, MODIFIER_MONTH, MODIFIER_YEAR,
};
#define MODIFIER_COUNT (MODIFIER_YEAR + 1)
#define BIT(m) (1u << (m))

#define EDGES (BIT(MODIFIER_CONTAINS) | BIT(MODIFIER_STARTSWITH) | BIT(MODIFIER_ENDSWITH))
#define FLAGS (BIT(MODIFIER_I) | BIT(MODIFIER_M) | BIT(MODIFIER_S))
#define COMPARISONS (BIT(MODIFIER_LT) | BIT(MODIFIER_LTE) | BIT(MODIFIER_GT) | BIT(MODIFIER_GTE))
#define TIME_PARTS                                                                                          \
	(BIT(MODIFIER_MINUTE) | BIT(MODIFIER_HOUR) | BIT(MODIFIER_DAY) | BIT(MODIFIER_WEEK) | BIT(MODIFIER_MONTH) | \
	 BIT(MODIFIER_YEAR))
#define WIDE (BIT(MODIFIER_UTF16) | BIT(MODIFIER_UTF16LE) | BIT(MODIFIER_UTF16BE))
#define BASE64 (BIT(MODIFIER_BASE64) | BIT(MODIFIER_BASE64OFFSET))

static const struct {
	const char *name;
	enum modifier modifier;
} modifier_names[] = {
	{ "all", MODIFIER_ALL },
	{ "contains", MODIFIER_CONTAINS },
	{ "startswith", MODIFIER_STARTSWITH },
	{ "endswith", MODIFIER_ENDSWITH },
	{ "exists", MODIFIER_EXISTS },
	{ "cased", MODIFIER_CASED },
	{ "neq", MODIFIER_NEQ },
	{ "re", MODIFIER_RE },
	{ "i", MODIFIER_I },
	{ "m", MODIFIER_M },
	{ "s", MODIFIER_S },
	{ "lt", MODIFIER_LT },
	{ "lte", MODIFIER_LTE },
	{ "gt", MODIFIER_GT },
	{ "gte", MODIFIER_GTE },
	{ "cidr", MODIFIER_CIDR },
	{ "fieldref", MODIFIER_FIELDREF },
	{ "expand", MODIFIER_EXPAND },
	{ "windash", MODIFIER_WINDASH },
	{ "base64", MODIFIER_BASE64 },
	{ "base64offset", MODIFIER_BASE64OFFSET },
	{ "wide", MODIFIER_UTF16LE },
	{ "utf16", MODIFIER_UTF16 },
	{ "utf16le", MODIFIER_UTF16LE },
	{ "utf16be", MODIFIER_UTF16BE },
	{ "minute", MODIFIER_MINUTE },
	{ "hour", MODIFIER_HOUR },
	{ "day", MODIFIER_DAY },
	{ "week", MODIFIER_WEEK },
	{ "month", MODIFIER_MONTH },
	{ "year", MODIFIER_YEAR },
	{ "ignorecase", MODIFIER_I },
	{ "multiline", MODIFIER_M },
	{ "dotall", MODIFIER_S },
};
#define MODIFIER_NAMES (sizeof modifier_names / sizeof *modifier_names)

static const char *modifier_name(enum modifier m)
{
	for (size_t i = 0; i < MODIFIER_NAMES; i++)
		if (modifier_names[i].modifier == m && m != MODIFIER_UTF16LE)
			return modifier_names[i].name;
	return "utf16le";
}

/* A field with its modifiers: the key of an item. */
struct item {
	const struct yaml_node *key, *value;
	struct span field; /* empty: the whole record */
	uint32_t set;
	enum modifier order[MODIFIER_COUNT];
	size_t at[MODIFIER_COUNT]; /* where each stands in the key; parallel to order */
	size_t n;
};

/* What may stand beside the modifier that gives the value its type; 0: it gives none. */
static uint32_t companions(enum modifier m)
{
	switch (m) {
	case MODIFIER_RE:
		return FLAGS | EDGES | BIT(MODIFIER_ALL) | BIT(MODIFIER_NEQ) | BIT(MODIFIER_EXPAND);
	case MODIFIER_CIDR:
		return BIT(MODIFIER_ALL) | BIT(MODIFIER_NEQ) | BIT(MODIFIER_EXPAND);
	case MODIFIER_EXISTS:
		return BIT(MODIFIER_EXISTS);
	case MODIFIER_FIELDREF:
		return EDGES | BIT(MODIFIER_NEQ) | BIT(MODIFIER_CASED) | BIT(MODIFIER_ALL);
	case MODIFIER_LT:
	case MODIFIER_LTE:
	case MODIFIER_GT:
	case MODIFIER_GTE:
		return TIME_PARTS | BIT(MODIFIER_ALL);
	case MODIFIER_MINUTE:
	case MODIFIER_HOUR:
	case MODIFIER_DAY:
	case MODIFIER_WEEK:
	case MODIFIER_MONTH:
	case MODIFIER_YEAR:
		return COMPARISONS | BIT(MODIFIER_NEQ) | BIT(MODIFIER_ALL);
	case MODIFIER_I:
	case MODIFIER_M:
	case MODIFIER_S:
	case MODIFIER_ALL:
	case MODIFIER_CONTAINS:
	case MODIFIER_STARTSWITH:
	case MODIFIER_ENDSWITH:
	case MODIFIER_CASED:
	case MODIFIER_NEQ:
	case MODIFIER_EXPAND:
	case MODIFIER_WINDASH:
	case MODIFIER_BASE64:
	case MODIFIER_BASE64OFFSET:
	case MODIFIER_UTF16:
	case MODIFIER_UTF16LE:
	case MODIFIER_UTF16BE:
		return 0;
	}
	return 0;
}

/* A modifier as it was written: several have two names. */
static struct span written(const struct item *it, size_t i)
{
	struct span s = span_from(it->key->text, it->at[i]);
	const char *bar = memchr(s.ptr, '|', s.len);

	if (bar)
		s.len = (size_t)(bar - s.ptr);
	return s;
}

static bool refuse(struct loader *l, const struct item *it, size_t i, const char *why)
{
	struct span name = written(it, i);

	report_in(l, DIAG_ERROR, it->key, it->at[i], name.len, "the modifier \"%.*s\" %s", (int)name.len, name.ptr, why);
	return false;
}

static const char *reason_against(enum modifier type, enum modifier other)
{
	if (type == MODIFIER_RE && other == MODIFIER_CASED)
		return "has no use beside \"re\": a regex tells upper from lower case unless \"i\" follows";
	if (type == MODIFIER_EXISTS)
		return "cannot stand beside \"exists\", which looks at no value; for absence write exists: false";
	if (BIT(type) & COMPARISONS && other == MODIFIER_NEQ)
		return "cannot stand beside a comparison; write the opposite one (lt for gte, …)";
	if (BIT(type) & COMPARISONS && BIT(other) & COMPARISONS)
		return "cannot stand beside another comparison; write the field twice, once with each";
	if (BIT(type) & TIME_PARTS && BIT(other) & TIME_PARTS)
		return "cannot stand beside another part of a time; write the field twice, once with each";
	return NULL;
}

/* Do the modifiers make sense together? */
static bool check_modifiers(struct loader *l, const struct item *it)
{
	uint32_t before = 0;

	for (size_t i = 0; i < it->n; i++) {
		enum modifier m = it->order[i];
		uint32_t with = companions(m);

		if (BIT(m) & FLAGS && !(before & BIT(MODIFIER_RE)))
			return refuse(l, it, i, "must stand behind \"re\"");
		if (BIT(m) & EDGES && before & EDGES)
			return refuse(l, it, i, "excludes the one before it: a value can be open in one way only");
		if (m == MODIFIER_RE && before & ~(BIT(MODIFIER_EXPAND) | BIT(MODIFIER_ALL) | BIT(MODIFIER_NEQ)))
			return refuse(l, it, i, "must be the first");
		if (BIT(m) & (WIDE | BASE64) && before & EDGES)
			return refuse(l, it, i, "must stand before contains, startswith and endswith");
		if (BIT(m) & (WIDE | BIT(MODIFIER_WINDASH) | BIT(MODIFIER_EXPAND)) && before & BASE64)
			return refuse(l, it, i, "must stand before base64 and base64offset");
		if (BIT(m) & (BIT(MODIFIER_WINDASH) | BIT(MODIFIER_EXPAND) | WIDE) && before & WIDE)
			return refuse(l, it, i, "must stand before the one that makes UTF-16 of the value");
		if (BIT(m) & BASE64 && before & BASE64)
			return refuse(l, it, i, "would encode the value a second time");
		if (BIT(m) & WIDE && !(it->set & BASE64) && !(it->set & BIT(MODIFIER_RE)))
			return refuse(l, it, i, "must be followed by base64 or base64offset: no log is in UTF-16");
		if (it->field.len == 0 && (with && m != MODIFIER_RE))
			return refuse(l, it, i, "needs a field");
		if (with) {
			for (size_t k = 0; k < it->n; k++) {
				const char *why;

				if (k == i || with & BIT(it->order[k]))
					continue;
				why = reason_against(m, it->order[k]);
				if (why)
					return refuse(l, it, k, why);
				report_in(l, DIAG_ERROR, it->key, it->at[k], written(it, k).len,
					  "the modifiers \"%.*s\" and \"%.*s\" exclude each other", (int)written(it, i).len,
					  written(it, i).ptr, (int)written(it, k).len, written(it, k).ptr);
				return false;
			}
		}
		before |= BIT(m);
	}
	return true;
}

static void suggest_modifier(struct loader *l, struct span word)
{
	const char *words[MODIFIER_NAMES + 1];

	for (size_t i = 0; i < MODIFIER_NAMES; i++)
		words[i] = modifier_names[i].name;
	words[MODIFIER_NAMES] = NULL;
	if (suggest(l, word, words))
		return;
	if (span_equal(word, SPAN("not")) || span_equal(word, SPAN("ne")))
		hint(l, "did you mean \"neq\"?");
	else if (span_equal(word, SPAN("regex")) || span_equal(word, SPAN("regexp")) || span_equal(word, SPAN("match")))
		hint(l, "did you mean \"re\"?");
	else if (span_equal(word, SPAN("any")) || span_equal(word, SPAN("in")) || span_equal(word, SPAN("eq")) || span_equal(word, SPAN("equals")))
		hint(l, "that is what a field with a value, or a list of values, means already");
}

/* Takes the key "field|modifier|…" apart. */
static bool parse_key(struct loader *l, struct item *it)
{
	struct span key = it->key->text;
	size_t i = 0;

	while (i < key.len && key.ptr[i] != '|')
		i++;
	it->field = span_of(key.ptr, i);
	if (i == key.len && key.len == 0) {
		report(l, DIAG_ERROR, it->key, "a field must have a name");
		return false;
	}
	while (i < key.len) {
		size_t start = ++i, k;
		struct span word;

		while (i < key.len && key.ptr[i] != '|')
			i++;
		word = span_of(key.ptr + start, i - start);
		for (k = 0; k < MODIFIER_NAMES; k++)
			if (span_equal(word, span_from_string(modifier_names[k].name)))
				break;
		if (k == MODIFIER_NAMES) {
			report_in(l, DIAG_ERROR, it->key, start, word.len, "\"%.*s\" is not a modifier",
				  (int)(word.len < 80 ? word.len : 80), word.ptr);
			suggest_modifier(l, word);
			return false;
		}
		if (it->set & BIT(modifier_names[k].modifier)) {
			report_in(l, DIAG_ERROR, it->key, start, word.len, "the modifier \"%s\" stands twice", modifier_names[k].name);
			return false;
		}
		it->set |= BIT(modifier_names[k].modifier);
		it->order[it->n] = modifier_names[k].modifier;
		it->at[it->n++] = start;
	}
	return check_modifiers(l, it);
}

/* ---- values ---- */

static const struct expr *string_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct loader *l = s->l;
	struct units_list list = { NULL, 0, 0 };
	const struct expr **parts;
	bool cased = it->set & BIT(MODIFIER_CASED);

	units_list_add(&l->scratch, &list, units_parse(&l->scratch, v->text));
	for (size_t i = 0; i < it->n; i++) {
		int r = 0;

		switch (it->order[i]) {
		case MODIFIER_EXPAND:
			r = expand_placeholders(l, v, &list);
			break;
		case MODIFIER_WINDASH:
			r = expand_windash(l, v, &list);
			break;
		case MODIFIER_UTF16:
			r = encode_utf16(l, v, UTF16_BOM, &list);
			break;
		case MODIFIER_UTF16LE:
			r = encode_utf16(l, v, UTF16_LE, &list);
			break;
		case MODIFIER_UTF16BE:
			r = encode_utf16(l, v, UTF16_BE, &list);
			break;
		case MODIFIER_BASE64:
		case MODIFIER_BASE64OFFSET:
			r = encode_base64(l, v, it->order[i] == MODIFIER_BASE64OFFSET, &list);
			break;
		case MODIFIER_CONTAINS:
		case MODIFIER_STARTSWITH:
		case MODIFIER_ENDSWITH:
			for (size_t k = 0; k < list.n; k++)
				list.items[k] = units_open(&l->scratch, list.items[k], it->order[i] != MODIFIER_STARTSWITH,
							   it->order[i] != MODIFIER_ENDSWITH);
			break;
		default: /* not of strings, or not a change of the value */
			break;
		}
		if (r < 0)
			return NULL;
	}
	parts = arena_alloc(&l->scratch, (list.n + 2) * sizeof *parts);
	size_t n = 0;

	for (size_t i = 0; i < list.n; i++) {
		struct atom a = { .op = ATOM_STRING, .field = FIELD_RAW };

		/* A word without a field is looked for anywhere in the record. */
		if (it->field.len == 0 && !(it->set & (BIT(MODIFIER_STARTSWITH) | BIT(MODIFIER_ENDSWITH)))) {
			a.op = ATOM_KEYWORD;
			list.items[i] = units_open(&l->scratch, list.items[i], true, true);
		}
		if (it->field.len)
			a.field = field_find(&l->rs->fields, it->field);
		if (compile_pattern(l, v, &list.items[i], cased, &a.pattern) < 0)
			return NULL;
		struct expr *x = atom_expr(s, v, &a);
		if (it->set & BIT(MODIFIER_EXPAND))
			x->placeholders = keep_text(l, v->text);
		parts[n++] = x;
	}
	/*
	 * A number is equal as text, or as a number written otherwise: 97.5 and 97.50. From 2^53 on several whole numbers are one double: ids so
	 * long are texts.
	 */
	if (v->type == YAML_NUMBER && it->field.len && !(it->set & ~(BIT(MODIFIER_ALL) | BIT(MODIFIER_NEQ) | BIT(MODIFIER_CASED)))) {
		struct atom a = { .op = ATOM_NUMBER_EQ, .field = field_find(&l->rs->fields, it->field) };

		if (yaml_to_number(v, &a.number) && a.number > -0x1p53 && a.number < 0x1p53)
			parts[n++] = atom_expr(s, v, &a);
	}
	return join(l, EXPR_OR, parts, (uint32_t)n);
}

static const struct expr *regex_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct loader *l = s->l;
	struct units_list list = { NULL, 0, 0 };
	uint32_t flags = (it->set & BIT(MODIFIER_I) ? PCRE2_CASELESS : 0) | (it->set & BIT(MODIFIER_M) ? PCRE2_MULTILINE : 0) |
			 (it->set & BIT(MODIFIER_S) ? PCRE2_DOTALL : 0);
	const struct expr **parts;

	if (v->text.len == 0) {
		report(l, DIAG_ERROR, v, "an empty regex would match everything");
		return NULL;
	}
	if (v->text.len > REGEX_LENGTH_MAX || memchr(v->text.ptr, 0, v->text.len)) {
		report(l, DIAG_ERROR, v, v->text.len > REGEX_LENGTH_MAX ? "the regex is longer than 64 KiB" : "a regex cannot hold a NUL");
		return NULL;
	}
	if (it->set & BIT(MODIFIER_EXPAND)) {
		if (expand_regex(l, v, &list) < 0)
			return NULL;
	} else {
		struct units u = { arena_alloc(&l->scratch, (v->text.len + 1) * sizeof *u.unit), v->text.len };

		for (size_t i = 0; i < u.n; i++)
			u.unit[i] = (unsigned char)v->text.ptr[i];
		units_list_add(&l->scratch, &list, u);
	}
	parts = arena_alloc(&l->scratch, (list.n + 1) * sizeof *parts);
	for (size_t i = 0; i < list.n; i++) {
		struct atom a = { .op = ATOM_REGEX, .field = it->field.len ? field_find(&l->rs->fields, it->field) : FIELD_RAW };
		struct buffer b = BUFFER_INIT;
		bool start = it->set & BIT(MODIFIER_STARTSWITH), end = it->set & BIT(MODIFIER_ENDSWITH);

		for (size_t k = 0; k < list.items[i].n; k++)
			buffer_append_char(&b, (char)list.items[i].unit[k]);
		a.regex_options = flags;
		if (regex_check(l, v, buffer_span(&b), &a.regex_options, s->fields) < 0) {
			buffer_release(&b);
			return NULL;
		}
		/* A regex is searched for: contains is what it does anyway, the others tie it to an end. */
		if (start || end) {
			struct buffer tied = BUFFER_INIT;

			buffer_printf(&tied, "%s(?:", start ? "\\A" : "");
			buffer_append_span(&tied, buffer_span(&b));
			buffer_printf(&tied, ")%s", end ? "\\z" : "");
			buffer_release(&b);
			b = tied;
			a.regex_options = flags;
			if (regex_check(l, v, buffer_span(&b), &a.regex_options, s->fields) < 0) {
				buffer_release(&b);
				return NULL;
			}
		}
		a.regex = arena_dup(&l->rs->arena, b.data, b.len);
		buffer_release(&b);
		parts[i] = atom_expr(s, v, &a);
	}
	return join(l, EXPR_OR, parts, (uint32_t)list.n);
}

/* A network into the atom; false with an error at v, whose text it is, or into which a placeholder brought it. */
static bool read_network(struct loader *l, const struct yaml_node *v, struct span network, struct atom *a)
{
	char text[64];
	const char *slash = memchr(network.ptr, '/', network.len);
	size_t len = slash ? (size_t)(slash - network.ptr) : network.len;
	bool as_written = network.ptr == v->text.ptr, stray = false;
	unsigned long bits, most;
	char *end;

	if (len >= sizeof text || memchr(network.ptr, 0, network.len))
		len = 0;
	memcpy(text, network.ptr, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, a->cidr) == 1) {
		a->cidr_family = 4;
	} else if (inet_pton(AF_INET6, text, a->cidr) == 1) {
		a->cidr_family = 6;
	} else {
		if (as_written)
			report(l, DIAG_ERROR, v, "this is not an IP network");
		else
			report(l, DIAG_ERROR, v, "\"%.*s\", which a placeholder stands for, is not an IP network", (int)network.len, network.ptr);
		hint(l, "write it as 10.0.0.0/8 or fd00::/8");
		return false;
	}
	most = bits = a->cidr_family == 4 ? 32 : 128;
	if (slash) {
		bits = strtoul(slash + 1, &end, 10);
		if (end == slash + 1 || *end || slash[1] == '-' || slash[1] == '+' || slash[1] == ' ' || bits > most) {
			report_in(l, DIAG_ERROR, v, as_written ? len + 1 : 0, as_written ? network.len - len - 1 : v->text.len,
				  "the length of the network must be 0 to %lu bits", most);
			if (!as_written)
				hint(l, "the placeholder stands for \"%.*s\"", (int)network.len, network.ptr);
			return false;
		}
	}
	a->cidr_bits = (uint8_t)bits;
	for (unsigned long i = bits; i < most; i++)
		if (a->cidr[i / 8] & (0x80 >> i % 8)) {
			stray = true;
			a->cidr[i / 8] &= (uint8_t)~(0x80 >> i % 8);
		}
	if (stray) {
		report(l, DIAG_ERROR, v, "the address has bits set behind the first %lu", bits);
		inet_ntop(a->cidr_family == 4 ? AF_INET : AF_INET6, a->cidr, text, sizeof text);
		hint(l, "did you mean \"%s/%lu\"?", text, bits);
	}
	return !stray;
}

static const struct expr *cidr_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct loader *l = s->l;
	struct units_list list = { NULL, 0, 0 };
	const struct expr **parts;

	units_list_add(&l->scratch, &list, units_parse(&l->scratch, v->text));
	if (it->set & BIT(MODIFIER_EXPAND) && expand_placeholders(l, v, &list) < 0)
		return NULL;
	parts = arena_alloc(&l->scratch, (list.n + 1) * sizeof *parts);
	for (size_t i = 0; i < list.n; i++) {
		struct atom a = { .op = ATOM_CIDR, .field = field_find(&l->rs->fields, it->field) };
		struct span network = it->set & BIT(MODIFIER_EXPAND) ? units_text(&l->scratch, &list.items[i]) : v->text;
		struct expr *x;

		if (!read_network(l, v, network, &a))
			return NULL;
		x = atom_expr(s, v, &a);
		if (it->set & BIT(MODIFIER_EXPAND))
			x->placeholders = keep_text(l, v->text);
		parts[i] = x;
	}
	return join(l, EXPR_OR, parts, (uint32_t)list.n);
}

static const struct expr *exists_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct atom a = { .op = ATOM_EXISTS, .field = field_find(&s->l->rs->fields, it->field) };
	bool yes;

	if (!yaml_to_bool(v, &yes)) {
		report(s->l, DIAG_ERROR, v, "\"exists\" takes true or false");
		return NULL;
	}
	return yes ? atom_expr(s, v, &a) : negate(s->l, atom_expr(s, v, &a));
}

static const struct expr *fieldref_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct loader *l = s->l;
	struct atom a = { .op = ATOM_FIELDREF, .field = field_find(&l->rs->fields, it->field), .cased = it->set & BIT(MODIFIER_CASED) };
	struct units u = units_parse(&l->scratch, v->text);
	char *name;

	if (u.n == 0 || units_have_wildcard(&u)) {
		report(l, DIAG_ERROR, v, "\"fieldref\" takes the name of a field, without wildcards");
		return NULL;
	}
	a.fieldref_kind = it->set & BIT(MODIFIER_CONTAINS) ? FIELDREF_CONTAINS :
			  it->set & BIT(MODIFIER_STARTSWITH) ? FIELDREF_STARTSWITH :
			  it->set & BIT(MODIFIER_ENDSWITH) ? FIELDREF_ENDSWITH : FIELDREF_EQUAL;
	name = arena_alloc(&l->scratch, u.n + 1);
	for (size_t i = 0; i < u.n; i++)
		name[i] = (char)u.unit[i];
	a.other = add_field(l, v, span_of(name, u.n));
	if (a.other == FIELD_NONE)
		return NULL;
	field_set_add(s->fields, a.other);
	return atom_expr(s, v, &a);
}

static const struct expr *number_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	static const struct { enum modifier modifier; enum time_part part; int least, most; } parts[] = {
		{ MODIFIER_MINUTE, TIME_PART_MINUTE, 0, 59 }, { MODIFIER_HOUR, TIME_PART_HOUR, 0, 23 },
		{ MODIFIER_DAY, TIME_PART_DAY, 1, 31 },       { MODIFIER_WEEK, TIME_PART_WEEK, 1, 53 },
		{ MODIFIER_MONTH, TIME_PART_MONTH, 1, 12 },   { MODIFIER_YEAR, TIME_PART_YEAR, 1, 9999 },
	};
	struct atom a = { .op = ATOM_NUMBER_EQ, .field = field_find(&s->l->rs->fields, it->field) };

	if (!yaml_to_number(v, &a.number)) {
		report(s->l, DIAG_ERROR, v, "\"%s\" takes a number", modifier_name(it->order[0]));
		return NULL;
	}
	if (it->set & BIT(MODIFIER_LT))
		a.op = ATOM_LT;
	if (it->set & BIT(MODIFIER_LTE))
		a.op = ATOM_LTE;
	if (it->set & BIT(MODIFIER_GT))
		a.op = ATOM_GT;
	if (it->set & BIT(MODIFIER_GTE))
		a.op = ATOM_GTE;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (!(it->set & BIT(parts[i].modifier)))
			continue;
		a.time_part = parts[i].part;
		if (a.op == ATOM_NUMBER_EQ && (a.number < parts[i].least || a.number > parts[i].most || a.number != (int)a.number)) {
			report(s->l, DIAG_ERROR, v, "\"%s\" takes a whole number from %d to %d", modifier_name(parts[i].modifier),
			       parts[i].least, parts[i].most);
			return NULL;
		}
	}
	return atom_expr(s, v, &a);
}

/* One value of an item; NULL with an error. */
static const struct expr *compile_value(struct selection *s, const struct item *it, const struct yaml_node *v)
{
	struct loader *l = s->l;

	if (v->kind == YAML_MAP) {
		report(l, DIAG_ERROR, v, "a value cannot be a map");
		if (v->n && it->field.len)
			hint(l, "a field inside another is named with a dot: %.*s.%s", (int)it->field.len, it->field.ptr,
			     v->pairs[0].key->text.ptr);
		return NULL;
	}
	if (v->kind == YAML_LIST) {
		report(l, DIAG_ERROR, v, "a list of values cannot hold another list");
		return NULL;
	}
	if (v->text.len > VALUE_LENGTH_MAX) {
		report(l, DIAG_ERROR, v, "a value longer than %u KiB", VALUE_LENGTH_MAX >> 10);
		return NULL;
	}
	if (v->type == YAML_NULL) {
		struct atom a = { .op = ATOM_NULL, .field = FIELD_RAW };

		if (it->field.len == 0) {
			report(l, DIAG_ERROR, v, "null needs a field");
			return NULL;
		}
		if (it->set & ~(BIT(MODIFIER_ALL) | BIT(MODIFIER_NEQ) | BIT(MODIFIER_CASED))) {
			report(l, DIAG_ERROR, v, "\"%s\" has nothing to work on: the value is null",
			       modifier_name(it->order[it->order[0] == MODIFIER_ALL && it->n > 1 ? 1 : 0]));
			if (it->set & (BIT(MODIFIER_CONTAINS) | BIT(MODIFIER_STARTSWITH) | BIT(MODIFIER_ENDSWITH) | BIT(MODIFIER_RE)))
				hint(l, "the text \"null\" must be quoted; an absent field is written without modifiers");
			return NULL;
		}
		a.field = field_find(&l->rs->fields, it->field);
		return atom_expr(s, v, &a);
	}
	if (it->set & BIT(MODIFIER_RE))
		return regex_value(s, it, v);
	if (it->set & BIT(MODIFIER_CIDR))
		return cidr_value(s, it, v);
	if (it->set & BIT(MODIFIER_EXISTS))
		return exists_value(s, it, v);
	if (it->set & BIT(MODIFIER_FIELDREF))
		return fieldref_value(s, it, v);
	if (it->set & (COMPARISONS | TIME_PARTS))
		return number_value(s, it, v);
	if (it->field.len == 0 && v->text.len == 0) {
		report(l, DIAG_ERROR, v, "an empty text would be found in every record");
		return NULL;
	}
	return string_value(s, it, v);
}

static const struct expr *compile_item(struct selection *s, const struct yaml_pair *pair)
{
	struct loader *l = s->l;
	struct item it = { .key = pair->key, .value = pair->value };
	const struct yaml_node *v = pair->value;
	const struct expr **parts, *x;
	uint32_t n = 0;
	bool failed = false;

	if (!parse_key(l, &it))
		return NULL;
	if (it.field.len) {
		field_id f = add_field(l, it.key, it.field);

		if (f == FIELD_NONE)
			return NULL;
		field_set_add(s->fields, f);
	}
	if (v->kind != YAML_LIST) {
		for (size_t i = 0; i < it.n; i++)
			if (it.order[i] == MODIFIER_ALL && l->lint)
				report_in(l, DIAG_WARNING, it.key, it.at[i], 3, "\"all\" of a single value says nothing");
		x = compile_value(s, &it, v);
		return x && it.set & BIT(MODIFIER_NEQ) ? negate(l, x) : x;
	}
	if (v->n == 0 && l->lint) {
		report(l, DIAG_WARNING, it.key, "an empty list: no value can match");
		hint(l, "'' is the empty text, null the absent field");
	}
	parts = arena_alloc(&l->scratch, (v->n + 1) * sizeof *parts);
	for (uint32_t i = 0; i < v->n; i++) {
		parts[n] = compile_value(s, &it, v->items[i]);
		if (parts[n])
			n++;
		else
			failed = true;
		if (l->lint && v->items[i]->kind == YAML_SCALAR && v->items[i]->type == YAML_NULL && v->n > 1) {
			report(l, DIAG_WARNING, v->items[i], "Sigma allows no null in a list of values: other tools may refuse this rule");
			hint(l, "write a selection of its own, and \"1 of …\" in the condition");
		}
	}
	if (failed)
		return NULL;
	if (n == 0)
		x = new_expr(l, EXPR_FALSE, 0);
	else
		x = join(l, it.set & BIT(MODIFIER_ALL) ? EXPR_AND : EXPR_OR, parts, n);
	return it.set & BIT(MODIFIER_NEQ) ? negate(l, x) : x;
}

/* A selection, or an element of one: map, list or text. */
static const struct expr *compile_part(struct selection *s, const struct yaml_node *v)
{
	struct loader *l = s->l;
	const struct expr **parts;
	struct item keyword = { .key = v, .value = v };
	uint32_t n = 0;
	bool failed = false;

	switch (v->kind) {
	case YAML_SCALAR:
		if (v->type == YAML_NULL) {
			report(l, DIAG_ERROR, v, "the selection \"%s\" is empty", s->name);
			return NULL;
		}
		return compile_value(s, &keyword, v);
	case YAML_LIST:
		if (v->n == 0) {
			if (l->lint)
				report(l, DIAG_WARNING, v, "the selection \"%s\" is an empty list: nothing can match it", s->name);
			return new_expr(l, EXPR_FALSE, 0);
		}
		parts = arena_alloc(&l->scratch, v->n * sizeof *parts);
		for (uint32_t i = 0; i < v->n; i++) {
			parts[n] = compile_part(s, v->items[i]);
			if (parts[n])
				n++;
			else
				failed = true;
		}
		return failed ? NULL : join(l, EXPR_OR, parts, n);
	case YAML_MAP:
		if (v->n == 0) {
			report(l, DIAG_ERROR, v, "the selection \"%s\" is empty: it would match every event", s->name);
			return NULL;
		}
		parts = arena_alloc(&l->scratch, v->n * sizeof *parts);
		for (uint32_t i = 0; i < v->n; i++) {
			parts[n] = compile_item(s, &v->pairs[i]);
			if (parts[n])
				n++;
			else
				failed = true;
		}
		return failed ? NULL : join(l, EXPR_AND, parts, n);
	}
	return NULL;
}

/* Of an expression, were it written out. */
static double size_of(const struct expr *x)
{
	double n = 1;

	for (uint32_t i = 0; i < x->n_children; i++)
		n += size_of(x->children[i]);
	return n;
}

void compile_selections(struct loader *l, const struct yaml_node *section, const char *const *except, struct field_set *fields,
			struct selection_set *ret)
{
	*ret = (struct selection_set){
		.names = arena_alloc(&l->scratch, (section->n + 1) * sizeof *ret->names),
		.exprs = arena_alloc(&l->scratch, (section->n + 1) * sizeof *ret->exprs),
		.used = arena_zalloc(&l->scratch, section->n + 1),
		.wanted = arena_zalloc(&l->scratch, section->n + 1),
		.sizes = arena_zalloc(&l->scratch, (section->n + 1) * sizeof *ret->sizes),
	};
	for (uint32_t i = 0; i < section->n; i++) {
		const struct yaml_pair *pair = &section->pairs[i];
		struct selection s = { .l = l, .fields = fields };
		const struct expr *x;
		const char *const *e = except;

		while (*e && strcmp(*e, pair->key->text.ptr) != 0)
			e++;
		if (*e)
			continue;
		s.name = keep_text(l, pair->key->text);
		x = compile_part(&s, pair->value);
		if (x) {
			/* A node of its own carries the name, so that explain can tell the selections of a rule. */
			struct expr *named = new_expr(l, x->op, 0);

			*named = *x;
			named->selection = s.name;
			set_place(named, pair->key);
			x = named;
			ret->sizes[ret->n] = size_of(x);
		}
		ret->names[ret->n] = pair->key;
		ret->exprs[ret->n++] = x; /* NULL: it has an error; the name is known all the same */
	}
}

/* ---- conditions ---- */

struct resolver {
	struct loader *l;
	const struct yaml_node *text;
	struct selection_set *set;
	double size; /* of the expression, were it written out */
	bool failed;
};

static void unknown_selection(struct resolver *r, const struct condition *c)
{
	const char **words = arena_alloc(&r->l->scratch, (r->set->n + 1) * sizeof *words);

	for (uint32_t i = 0; i < r->set->n; i++)
		words[i] = r->set->names[i]->text.ptr;
	words[r->set->n] = NULL;
	r->failed = true;
	report_in(r->l, DIAG_ERROR, r->text, c->at, c->name.len, "there is no selection \"%.*s\"",
		  (int)(c->name.len < 200 ? c->name.len : 200), c->name.ptr);
	if (!suggest(r->l, c->name, words) && r->set->n && r->set->n <= 8) {
		struct buffer b = BUFFER_INIT;

		for (uint32_t i = 0; i < r->set->n; i++)
			buffer_printf(&b, "%s%s", i ? ", " : "", words[i]);
		hint(r->l, "there are: %s", buffer_string(&b));
		buffer_release(&b);
	}
}

/* At least k of the parts from i on; memo keeps what was built, so that the tree shares it. */
static const struct expr *at_least(struct loader *l, const struct expr **parts, uint32_t n, uint32_t i, uint32_t k,
				   const struct expr **memo)
{
	const struct expr *pair[2], *with[2];
	const struct expr **slot = &memo[(size_t)i * (n + 1) + k];

	if (*slot)
		return *slot;
	if (k == 1)
		return *slot = join(l, EXPR_OR, parts + i, n - i);
	if (n - i == k)
		return *slot = join(l, EXPR_AND, parts + i, k);
	with[0] = parts[i];
	with[1] = at_least(l, parts, n, i + 1, k - 1, memo);
	pair[0] = join(l, EXPR_AND, with, 2);
	pair[1] = at_least(l, parts, n, i + 1, k, memo);
	return *slot = join(l, EXPR_OR, pair, 2);
}

static void note_use(struct resolver *r, uint32_t i, bool positive)
{
	r->set->used[i] = true;
	if (positive)
		r->set->wanted[i] = true;
	r->size += r->set->sizes[i];
}

static const struct expr *resolve_of(struct resolver *r, const struct condition *c, bool positive)
{
	struct loader *l = r->l;
	const struct expr **parts = arena_alloc(&l->scratch, (r->set->n + 1) * sizeof *parts), **memo;
	bool them = c->name.len == 4 && strncasecmp(c->name.ptr, "them", 4) == 0;
	uint32_t n = 0, found = 0;
	double combinations = 1;

	for (uint32_t i = 0; i < r->set->n; i++) {
		struct span name = r->set->names[i]->text;

		if (them ? name.len && name.ptr[0] == '_' : !condition_name_matches(c->name, name))
			continue;
		note_use(r, i, positive);
		found++;
		if (r->set->exprs[i])
			parts[n++] = r->set->exprs[i];
	}
	if (!found) {
		if (!them) {
			unknown_selection(r, c);
		} else {
			report_in(l, DIAG_ERROR, r->text, c->at, 4, "there is no selection");
			r->failed = true;
		}
		return NULL;
	}
	if (c->count > found) {
		report_in(l, DIAG_ERROR, r->text, c->at, c->name.len, "there are only %u of them, never %u", found, c->count);
		r->failed = true;
		return NULL;
	}
	if (n < found) /* an error that was told already */
		return NULL;
	if (c->count == 0 || c->count == n)
		return join(l, EXPR_AND, parts, n);
	if (c->count == 1)
		return join(l, EXPR_OR, parts, n);
	for (uint32_t i = 0; i < c->count; i++)
		combinations = combinations * (n - i) / (i + 1);
	if (combinations > AT_LEAST_COMBINATIONS_MAX) {
		report_in(l, DIAG_ERROR, r->text, c->at, c->name.len, "%u of %u selections are more than %d combinations", c->count, n,
			  AT_LEAST_COMBINATIONS_MAX);
		r->failed = true;
		return NULL;
	}
	r->size *= combinations;
	memo = arena_zalloc(&l->scratch, (size_t)(n + 1) * (n + 1) * sizeof *memo);
	return at_least(l, parts, n, 0, c->count, memo);
}

static const struct expr *resolve(struct resolver *r, const struct condition *c, bool positive)
{
	const struct expr **parts;
	uint32_t n = 0;

	switch (c->op) {
	case CONDITION_NAME:
		for (uint32_t i = 0; i < r->set->n; i++)
			if (span_equal(r->set->names[i]->text, c->name)) {
				note_use(r, i, positive);
				return r->set->exprs[i];
			}
		unknown_selection(r, c);
		if (memchr(c->name.ptr, '*', c->name.len))
			hint(r->l, "a name with \"*\" stands behind \"1 of\" or \"all of\"");
		return NULL;
	case CONDITION_OF:
		return resolve_of(r, c, positive);
	case CONDITION_NOT:
	case CONDITION_AND:
	case CONDITION_OR:
		parts = arena_alloc(&r->l->scratch, c->n_children * sizeof *parts);
		for (uint32_t i = 0; i < c->n_children; i++) {
			parts[n] = resolve(r, c->children[i], positive != (c->op == CONDITION_NOT));
			n += parts[n] != NULL;
		}
		if (n < c->n_children)
			return NULL;
		return c->op == CONDITION_NOT ? negate(r->l, parts[0]) :
						join(r->l, c->op == CONDITION_AND ? EXPR_AND : EXPR_OR, parts, n);
	}
	return NULL;
}

const struct expr *resolve_condition(struct loader *l, const struct yaml_node *text, const struct condition *c,
				     struct selection_set *set)
{
	struct resolver r = { l, text, set, 0, false };
	const struct expr *x = resolve(&r, c, true);

	if (r.size > EXPRESSION_SIZE_MAX) {
		report(l, DIAG_ERROR, text, "this condition makes an expression of more than %d tests", EXPRESSION_SIZE_MAX);
		return NULL;
	}
	return r.failed ? NULL : x;
}

/* The condition, or the list of them: any may hold. */
static const struct expr *compile_condition(struct loader *l, const struct yaml_node *v, struct selection_set *set, struct span timeframe)
{
	bool list = v->kind == YAML_LIST;
	uint32_t n = list ? v->n : 1, kept = 0;
	const struct expr **parts = arena_alloc(&l->scratch, (n + 1) * sizeof *parts);

	if (n == 0)
		report(l, DIAG_ERROR, v, "the condition is empty");
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *text = list ? v->items[i] : v;
		struct condition *c = NULL;

		if (text->kind != YAML_SCALAR)
			report(l, DIAG_ERROR, text, "a condition must be a text, or a list of texts");
		else if (text->type == YAML_NULL)
			report(l, DIAG_ERROR, text, "the condition is empty");
		else
			c = condition_parse(l, text, timeframe);
		parts[kept] = c ? resolve_condition(l, text, c, set) : NULL;
		kept += parts[kept] != NULL;
	}
	return n && kept == n ? join(l, EXPR_OR, parts, n) : NULL;
}

/* Rules that a detection about incidents names exactly: it rests on them. */
static void link_named_rules(struct loader *l, struct draft *d, const struct yaml_node *v)
{
	switch (v->kind) {
	case YAML_SCALAR:
		break;
	case YAML_LIST:
		for (uint32_t i = 0; i < v->n; i++)
			link_named_rules(l, d, v->items[i]);
		break;
	case YAML_MAP:
		for (uint32_t i = 0; i < v->n; i++) {
			const struct yaml_node *key = v->pairs[i].key, *value = v->pairs[i].value;
			bool list = value->kind == YAML_LIST;

			if (!span_equal(key->text, SPAN("rule")) && !span_equal(key->text, SPAN("rule|cased")))
				continue;
			for (uint32_t k = 0; k < (list ? value->n : 1); k++) {
				const struct yaml_node *name = list ? value->items[k] : value;
				struct draft *of;

				if (name->kind != YAML_SCALAR || memchr(name->text.ptr, '*', name->text.len) ||
				    memchr(name->text.ptr, '?', name->text.len))
					continue;
				of = find_draft(l, name->text);
				if (of) {
					add_link(d, (uint32_t)(of - l->drafts), name);
				} else if (l->lint) {
					report(l, DIAG_WARNING, name, "no rule is called \"%s\": it has no incidents", name->text.ptr);
					suggest_rule(l, name->text);
				}
			}
		}
		break;
	}
}

void compile_detection(struct loader *l, struct draft *d)
{
	static const char *const except[] = { "condition", "timeframe", NULL };
	const struct yaml_node *section = d->section;
	const struct yaml_pair *pair;
	struct selection_set set;
	size_t errors = l->diags->n_errors;
	struct span timeframe = SPAN("");
	int64_t timeframe_ns;

	if (section->kind != YAML_MAP) {
		report(l, DIAG_ERROR, section, "detection must be a map of selections and a condition");
		goto failed;
	}
	compile_selections(l, section, except, &d->fields, &set);
	if (set.n == 0)
		report(l, DIAG_ERROR, section, "the detection has no selection");
	pair = yaml_find(section, "timeframe");
	if (pair) {
		report(l, DIAG_WARNING, pair->key, "timeframe belonged to the old aggregations and has no effect");
		hint(l, "a window of time is the timespan of a correlation");
		if (pair->value->kind == YAML_SCALAR && duration_parse(pair->value->text, &timeframe_ns))
			timeframe = pair->value->text;
	}
	pair = yaml_find(section, "condition");
	if (!pair) {
		report(l, DIAG_ERROR, d->section->n ? section->pairs[0].key : section, "the detection has no condition");
		hint(l, "add one to it, such as: condition: %s", set.n ? set.names[0]->text.ptr : "selection");
		if (yaml_find(d->document, "condition"))
			hint(l, "it stands beside the detection: indent it like a selection");
		for (uint32_t i = 0; i < set.n; i++)
			if (strcasecmp(set.names[i]->text.ptr, "condition") == 0)
				hint(l, "\"%s\" is taken as a selection: write \"condition\"", set.names[i]->text.ptr);
		goto failed;
	}
	d->rule.expr = compile_condition(l, pair->value, &set, timeframe);
	if (d->rule.about_incidents)
		for (uint32_t i = 0; i < set.n; i++)
			if (set.wanted[i])
				link_named_rules(l, d, yaml_find(section, set.names[i]->text.ptr)->value);
	if (l->diags->n_errors == errors && l->lint)
		for (uint32_t i = 0; i < set.n; i++)
			if (!set.used[i]) {
				report(l, DIAG_WARNING, set.names[i], "the condition does not use the selection \"%s\"",
				       set.names[i]->text.ptr);
			}
	if (d->rule.expr && l->diags->n_errors == errors)
		return;
failed:
	d->failed = true;
	if (!d->rule.expr)
		d->rule.expr = new_expr(l, EXPR_FALSE, 0);
}
