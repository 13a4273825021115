/*
 * Required literals: which texts must a record hold, one of them at least, for a rule to match its event.
 *
 * Invariant: when a set is known, every raw record (not flagged RECORD_ESCAPED) whose event the expression holds for has one of its
 * texts in it, ASCII case aside. So everything here errs on the side of "nothing is known", and a text is cut where the
 * raw record and the parsed value may differ: at control characters (stripped, between joined lines, or escaped), quotes and
 * backslashes (escaped) and at U+FFFD (put in for what is not UTF-8).
 *
 * The regex reader understands sequences, groups, alternations, quantifiers, simple escapes and one-byte classes. Things
 * that match something unknown end a literal; things that change the meaning of what stands elsewhere (verbs, conditions,
 * callouts, extended syntax, references by number) make it give up on the whole pattern.
 * It need not detect errors: the pattern has been compiled by PCRE2 before.
 *
 * A trap: without case, but with UTF, PCRE2 lets "k" match U+212A KELVIN SIGN and "s" U+017F LONG S (and these two pairs alone cross
 * from ASCII to beyond). So a set from a caseless regex that has k or s in it holds these two signs as well.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "match/literals.h"

#include "base/quote.h"
#include "match/prefilter.h"

#include <math.h>
#include <pcre2.h>

#define REGEX_DEPTH_LIMIT 32
#define STRINGS_LIMIT 16      /* alternatives that are multiplied out */
#define STRING_LEN_LIMIT 64   /* of one of them */
#define SET_LIMIT 4096        /* literals of one rule: beyond it is not worth the table's space */

static const struct literal_set unknown = { false, NULL, 0, 1.0 };

/* --- what a literal costs --------------------------------------------------------------------------------------- */

/*
 * How often a text occurs in a record, guessed: the surprise of its bytes, of which text that repeats itself gives
 * about half. Short ones also cost a slower pass.
 */
static double text_cost(struct span text)
{
	double bits = 0, cost;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c >= 0x80)
			bits += 6;
		else if (c == ' ' || (c >= '0' && c <= '9'))
			bits += 3;
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
			bits += strchr("etaoinsrlETAOINSRL", c) ? 3.5 : 4.5;
		else
			bits += 5;
	}
	cost = exp2(-0.5 * bits) * 64; /* about so many places in a record */
	if (text.len < PREFILTER_LITERAL_LONG)
		cost += 0.003;
	return (cost > 0.5 ? 0.5 : cost) + 1e-5;
}

/* A value of a small vocabulary is common however long it is. */
static double field_cost(field_id f)
{
	switch (f) {
	case FIELD_TYPE:
	case FIELD_ROLE:
	case FIELD_LEVEL:
		return 0.1;
	case FIELD_RIG:
	case FIELD_COMPONENT:
	case FIELD_HOST:
	case FIELD_USER:
	case FIELD_PROGRAM:
		return 0.05;
	case FIELD_AGENT:
	case FIELD_AGENT_RAW:
	case FIELD_NAME:
		return 0.01;
	default:
		return 0;
	}
}

/*
 * Bytes at p that may not stand in the record as they stand in the value, but as an escape or not at all; 0: it is safe. verbatim: the
 * value is the record, whose escapes nobody resolves.
 */
static size_t cut_len(const char *p, size_t len, bool verbatim)
{
	if (*p == '\n' || *p == '\r' || *p == '\0' || *p == '\x1b' || (!verbatim && ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\')))
		return 1;
	return len >= 3 && memcmp(p, "\xef\xbf\xbd", 3) == 0 ? 3 : 0;
}

/* Which part of a text that must stand in the value stands in the record for certain: its longest uncut run. */
static struct span longest_run(struct span text, bool verbatim)
{
	struct span best = { text.ptr, 0 };
	size_t start = 0, i = 0;

	for (;;) {
		size_t cut = i < text.len ? cut_len(text.ptr + i, text.len - i, verbatim) : 0;

		if (i < text.len && !cut) {
			i++;
			continue;
		}
		if (i - start > best.len)
			best = span_of(text.ptr + start, i - start);
		if (i == text.len)
			return best;
		i += cut;
		start = i;
	}
}

/*
 * The literal of a text that the value holds, or (whole) is. Empty when there is none. verbatim: see cut_len().
 * *ret_cost is how often it is thought to occur.
 */
static struct span literal_of_text(struct span text, const struct literal_field *f, bool verbatim, bool whole, struct arena *a, double *ret_cost)
{
	struct buffer out = BUFFER_INIT;
	struct span run = longest_run(text, verbatim), result = { "", 0 };

	if (run.len != text.len)
		whole = false;
	/* A message that the parser did not set is the whole record: what surrounds it in the format is not certain. */
	if (f->field == FIELD_MESSAGE)
		whole = false;
	if (!run.len)
		return result;
	if (f->field == FIELD_RAW)
		result = arena_dup_span(a, run);
	else if (f->field == FIELD_TIME || f->field == FIELD_SOURCE || f->field == FIELD_FILE || f->field == FIELD_LINE)
		return result; /* may come from elsewhere than the record */
	else if (format_literal(f->format, f->field, f->name, run, whole, &out))
		result = arena_dup_span(a, longest_run(buffer_span(&out), false));
	buffer_release(&out);
	if (result.len > PREFILTER_LITERAL_MAX)
		result.len = PREFILTER_LITERAL_MAX;
	if (!prefilter_accepts(result))
		return span_of("", 0);
	*ret_cost = text_cost(result);
	if (whole && *ret_cost < field_cost(f->field))
		*ret_cost = field_cost(f->field);
	return result;
}

/* --- sets --------------------------------------------------------------------------------------------------------- */

static struct literal_set set_of_one(struct span literal, double cost, struct arena *a)
{
	struct literal_set s = { true, arena_alloc(a, sizeof(struct span)), 1, cost };

	s.items[0] = literal;
	return s;
}

static struct literal_set set_union(const struct literal_set *sets, size_t n, struct arena *a)
{
	struct literal_set all = { true, NULL, 0, 0 };
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (!sets[i].known)
			return unknown;
		total += sets[i].n;
	}
	if (total > SET_LIMIT)
		return unknown;
	all.items = arena_alloc(a, (total + 1) * sizeof *all.items);
	for (size_t i = 0; i < n; i++) {
		memcpy(all.items + all.n, sets[i].items ? sets[i].items : all.items, sets[i].n * sizeof *all.items);
		all.n += sets[i].n;
		all.cost += sets[i].cost;
	}
	return all;
}

static struct literal_set set_better(struct literal_set a, struct literal_set b)
{
	if (!a.known || !b.known)
		return a.known ? a : b;
	return b.cost < a.cost ? b : a;
}

/* --- string patterns ---------------------------------------------------------------------------------------------- */

struct literal_set literals_of_pattern(const struct string_pattern *p, const struct literal_field *f, bool keyword,
				       struct arena *a)
{
	struct literal_set best = unknown;
	/* A keyword is sought in the record as it is written and, of JSON, as it is meant. */
	bool verbatim = f->field == FIELD_RAW && !(keyword && format_has_json(f->format));
	bool whole = !keyword && p->n_pieces == 1 && !p->open_start && !p->open_end &&
		     !memchr(p->pieces[0].ptr, '\0', p->pieces[0].len);

	for (unsigned i = 0; i < p->n_pieces; i++) {
		struct span rest = p->pieces[i];

		/* "?" is a NUL in a piece: it cuts. */
		while (rest.len) {
			const char *nul = memchr(rest.ptr, '\0', rest.len);
			struct span text = span_of(rest.ptr, nul ? (size_t)(nul - rest.ptr) : rest.len);
			double cost = 1;
			struct span literal = literal_of_text(text, f, verbatim, whole, a, &cost);

			if (literal.len)
				best = set_better(best, set_of_one(literal, cost, a));
			rest = span_from(rest, text.len + 1);
		}
	}
	return best;
}

/* --- regexes ------------------------------------------------------------------------------------------------------ */

/* A finite choice of texts. */
struct strings {
	struct span items[STRINGS_LIMIT];
	unsigned n;
};

/* What a part of a regex matches. */
struct part {
	bool exact; /* exactly one of strings; else anything that obeys required */
	struct strings strings;
	struct literal_set required;
};

struct regex_reader {
	const char *p, *end;
	const struct literal_field *field;
	struct arena *arena;
	bool utf;
	bool caseless;
	bool saw_caseless; /* (?i) somewhere: read again, caseless */
	bool give_up;
	unsigned depth;
};

static void part_anything(struct part *x)
{
	x->exact = false;
	x->strings.n = 0;
	x->required = unknown;
}

static void part_text(struct part *x, struct span text)
{
	x->exact = true;
	x->strings.n = 1;
	x->strings.items[0] = text;
	x->required = unknown;
}

static bool has_k_or_s(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] | 0x20) == 'k' || (s.ptr[i] | 0x20) == 's')
			return true;
	return false;
}

/* The literals of a choice of texts, one of which the value must hold. */
static struct literal_set strings_literals(struct regex_reader *r, const struct strings *s)
{
	struct literal_set set = { true, arena_alloc(r->arena, (s->n + 3) * sizeof *set.items), 0, 0 };
	bool signs = false;

	for (unsigned i = 0; i < s->n; i++) {
		double cost = 1;
		struct span literal = literal_of_text(s->items[i], r->field, r->field->field == FIELD_RAW, false, r->arena, &cost);

		if (!literal.len)
			return unknown;
		if (r->caseless && r->utf && has_k_or_s(s->items[i]))
			signs = true;
		set.items[set.n++] = literal;
		set.cost += cost;
	}
	if (signs) {
		set.items[set.n++] = SPAN("\xe2\x84\xaa");
		set.items[set.n++] = SPAN("\xc5\xbf");
		set.cost += 0.001;
	}
	return set;
}

static struct literal_set part_required(struct regex_reader *r, const struct part *x)
{
	return x->exact ? strings_literals(r, &x->strings) : x->required;
}

/* A sequence as it is read: the texts that end here for certain, and the best set so far. */
struct sequence {
	struct strings run;
	struct literal_set best;
	bool exact;
};

static void sequence_flush(struct regex_reader *r, struct sequence *s)
{
	s->best = set_better(s->best, strings_literals(r, &s->run));
	s->exact = false;
	s->run.n = 1;
	s->run.items[0] = span_of("", 0);
}

static void sequence_append(struct regex_reader *r, struct sequence *s, const struct part *x)
{
	struct strings product = { .n = 0 };

	if (!x->exact) {
		sequence_flush(r, s);
		s->best = set_better(s->best, x->required);
		return;
	}
	if (s->run.n * x->strings.n > STRINGS_LIMIT)
		sequence_flush(r, s);
	for (unsigned i = 0; i < s->run.n; i++)
		if (s->run.items[i].len > STRING_LEN_LIMIT) {
			sequence_flush(r, s);
			break;
		}
	for (unsigned i = 0; i < s->run.n; i++)
		for (unsigned k = 0; k < x->strings.n; k++) {
			struct span a = s->run.items[i], b = x->strings.items[k];
			char *text = arena_alloc(r->arena, a.len + b.len + 1);

			memcpy(text, a.ptr, a.len);
			memcpy(text + a.len, b.ptr, b.len);
			product.items[product.n++] = span_of(text, a.len + b.len);
		}
	s->run = product;
}

static bool looking_at(const struct regex_reader *r, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(r->end - r->p) >= len && memcmp(r->p, text, len) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * "{n}", "{n,}", "{n,m}" at r->p; anything else in braces is given up on, since versions differ in what it means.
 */
static void read_braces(struct regex_reader *r, unsigned *ret_min, bool *ret_exactly)
{
	const char *p = r->p + 1;
	unsigned min = 0;

	if (p == r->end || !is_digit(*p)) {
		r->give_up = true;
		return;
	}
	for (; p < r->end && is_digit(*p); p++)
		min = min < 1000 ? min * 10 + (unsigned)(*p - '0') : min;
	*ret_exactly = true;
	if (p < r->end && *p == ',') {
		unsigned max = 0;
		bool bounded = false;

		for (p++; p < r->end && is_digit(*p); p++) {
			max = max < 1000 ? max * 10 + (unsigned)(*p - '0') : max;
			bounded = true;
		}
		*ret_exactly = bounded && max == min;
	}
	if (p == r->end || *p != '}') {
		r->give_up = true;
		return;
	}
	*ret_min = min;
	r->p = p + 1;
}

/* The quantifier behind x, if any, and both joined to the sequence. */
static void read_quantifier(struct regex_reader *r, struct sequence *s, struct part *x)
{
	unsigned min = 1;
	bool exactly = true;

	if (r->p < r->end) {
		const char *before = r->p;

		switch (*r->p) {
		case '?':
		case '*':
			min = 0;
			exactly = false;
			r->p++;
			break;
		case '+':
			exactly = false;
			r->p++;
			break;
		case '{':
			read_braces(r, &min, &exactly);
			break;
		}
		if (r->give_up)
			return;
		/* Lazy or possessive. */
		if (r->p != before && r->p < r->end && (*r->p == '?' || *r->p == '+'))
			r->p++;
	}
	if (min == 0) {
		sequence_flush(r, s);
		return;
	}
	sequence_append(r, s, x);
	for (unsigned i = 1; i < min && i < 4; i++)
		sequence_append(r, s, x);
	if (min > 4 || !exactly) {
		/* More of x may follow; the last of them begins what comes next. */
		sequence_flush(r, s);
		if (x->exact)
			s->run = x->strings;
	}
}

/* A character class from "[" on: one ASCII character only is that character, all else is anything. */
static void read_class(struct regex_reader *r, struct part *x)
{
	unsigned n = 0;
	char only = 0;
	bool simple = true;

	part_anything(x);
	r->p++;
	if (r->p < r->end && *r->p == '^') {
		simple = false;
		r->p++;
	}
	for (bool first = true;; first = false) {
		char c;

		if (r->p == r->end) {
			r->give_up = true;
			return;
		}
		c = *r->p++;
		if (c == ']' && !first)
			break;
		if (c == '[' && r->p < r->end && (*r->p == ':' || *r->p == '.' || *r->p == '=')) {
			const char *close = r->p + 1;
			char kind = *r->p;

			/* [:alpha:] and its like; a "[:" that is no such thing is too odd to be worth reading. */
			while (close < r->end && (is_alnum(*close) || *close == '^' || *close == '_'))
				close++;
			if (r->end - close < 2 || close[0] != kind || close[1] != ']') {
				r->give_up = true;
				return;
			}
			r->p = close + 2;
			simple = false;
		} else if (c == '\\') {
			if (r->p == r->end || *r->p == 'Q' || *r->p == 'E') {
				r->give_up = true;
				return;
			}
			c = *r->p++;
			if (is_alnum(c)) {
				/* \d, \n, \x41, \p{L}: what follows of it is read as members, and no "]" can be among it. */
				if (c == 'c') {
					r->give_up = true; /* \c] would be one */
					return;
				}
				simple = false;
			}
		}
		only = c;
		n++;
	}
	if (simple && n == 1 && (unsigned char)only < 0x80) {
		char *text = arena_dup(r->arena, &only, 1);

		part_text(x, span_of(text, 1));
	}
}

/* An escape outside of classes, from "\" on. */
static void read_escape(struct regex_reader *r, struct part *x)
{
	char c;

	r->p++;
	if (r->p == r->end) {
		r->give_up = true;
		return;
	}
	c = *r->p++;
	if (!is_alnum(c)) {
		if ((unsigned char)c >= 0x80)
			r->give_up = true;
		else
			part_text(x, span_of(r->p - 1, 1));
		return;
	}
	switch (c) {
	case 't':
		part_text(x, SPAN("\t"));
		return;
	case 'b': case 'B': case 'A': case 'z': case 'Z': case 'G':
		part_text(x, SPAN("")); /* of no width */
		return;
	case 'd': case 'D': case 'w': case 'W': case 's': case 'S': case 'h': case 'H': case 'v': case 'V':
	case 'R': case 'X': case 'K': case 'C': case 'n': case 'r': case 'f': case 'a': case 'e':
		part_anything(x);
		return;
	case 'N':
		part_anything(x);
		if (r->p < r->end && *r->p == '{')
			r->give_up = true;
		return;
	case 'p': case 'P':
		part_anything(x);
		if (r->p < r->end && *r->p == '{') {
			const char *close = memchr(r->p, '}', (size_t)(r->end - r->p));

			if (!close)
				r->give_up = true;
			else
				r->p = close + 1;
		} else if (r->p < r->end) {
			r->p++;
		}
		return;
	default:
		/* Numbers (references or octal), \x, \o, \c, \g, \k, \Q, \E. */
		r->give_up = true;
	}
}

static void read_alternation(struct regex_reader *r, struct part *x);

/* A group's options from behind "(?": "i)" or "im-s:". Returns false when they are none. */
static bool read_options(struct regex_reader *r, bool *ret_group)
{
	const char *p = r->p;
	bool on = true;

	for (; p < r->end && *p != ')' && *p != ':'; p++) {
		switch (*p) {
		case 'i':
			r->saw_caseless |= on;
			break;
		case 'm': case 's': case 'n': case 'J': case 'U':
			break;
		case 'x':
			/* White space and "#" mean something else from here on. */
			if (on)
				return false;
			break;
		case '-':
			on = false;
			break;
		case '^':
			break;
		default:
			return false;
		}
	}
	if (p == r->end)
		return false;
	*ret_group = *p == ':';
	r->p = p + 1;
	return true;
}

static void read_group(struct regex_reader *r, struct part *x)
{
	bool ignored = false; /* looked around for, not matched */

	r->p++;
	if (looking_at(r, "*")) {
		r->give_up = true; /* verbs: (*ACCEPT) ends a match early */
		return;
	}
	if (looking_at(r, "?")) {
		bool group = true;

		r->p++;
		if (looking_at(r, "#")) {
			const char *close = memchr(r->p, ')', (size_t)(r->end - r->p));

			if (!close) {
				r->give_up = true;
				return;
			}
			/* A comment may stand between an item and its quantifier: too odd. */
			r->p = close + 1;
			if (r->p < r->end && strchr("?*+{", *r->p))
				r->give_up = true;
			part_text(x, SPAN(""));
			return;
		}
		if (looking_at(r, ":") || looking_at(r, "|") || looking_at(r, ">")) {
			r->p++;
		} else if (looking_at(r, "=") || looking_at(r, "!")) {
			ignored = true;
			r->p++;
		} else if (looking_at(r, "<=") || looking_at(r, "<!")) {
			ignored = true;
			r->p += 2;
		} else if (looking_at(r, "<") || looking_at(r, "P<") || looking_at(r, "'")) {
			char close_sign = looking_at(r, "'") ? '\'' : '>';
			const char *from = r->p + (looking_at(r, "P<") ? 2 : 1);
			const char *close = memchr(from, close_sign, (size_t)(r->end - from));

			if (!close) {
				r->give_up = true;
				return;
			}
			r->p = close + 1;
		} else if (!read_options(r, &group)) {
			r->give_up = true; /* conditions, recursion, callouts, … */
			return;
		}
		if (!group) {
			part_text(x, SPAN(""));
			return;
		}
	}
	read_alternation(r, x);
	if (r->give_up)
		return;
	if (r->p == r->end || *r->p != ')') {
		r->give_up = true;
		return;
	}
	r->p++;
	if (ignored)
		part_anything(x);
}

/* One item with its quantifier, joined to the sequence. */
static void read_item(struct regex_reader *r, struct sequence *s)
{
	struct part x;

	part_anything(&x);
	switch (*r->p) {
	case '(':
		read_group(r, &x);
		break;
	case '[':
		read_class(r, &x);
		break;
	case '\\':
		read_escape(r, &x);
		break;
	case '.':
		r->p++;
		break;
	case '^':
	case '$':
		r->p++;
		part_text(&x, SPAN(""));
		break;
	case '?':
	case '*':
	case '+':
		r->give_up = true; /* a quantifier without an item */
		break;
	default: {
		size_t len = utf8_sequence(r->p, (size_t)(r->end - r->p));

		if (!len || (len > 1 && !r->utf)) {
			r->give_up = true;
			break;
		}
		/* Beyond ASCII a letter without case has other forms. */
		if (len == 1 || !r->caseless)
			part_text(&x, span_of(r->p, len));
		r->p += len;
	}
	}
	if (!r->give_up)
		read_quantifier(r, s, &x);
}

static void read_sequence(struct regex_reader *r, struct part *x)
{
	struct sequence s = { .run = { .n = 1, .items = { { "", 0 } } }, .best = unknown, .exact = true };

	while (!r->give_up && r->p < r->end && *r->p != '|' && *r->p != ')')
		read_item(r, &s);
	if (s.exact) {
		x->exact = true;
		x->strings = s.run;
		x->required = unknown;
		return;
	}
	sequence_flush(r, &s);
	part_anything(x);
	x->required = s.best;
}

static void read_alternation(struct regex_reader *r, struct part *x)
{
	struct part next;

	if (++r->depth > REGEX_DEPTH_LIMIT) {
		r->give_up = true;
		return;
	}
	read_sequence(r, x);
	while (!r->give_up && r->p < r->end && *r->p == '|') {
		r->p++;
		read_sequence(r, &next);
		if (r->give_up)
			break;
		if (x->exact && next.exact && x->strings.n + next.strings.n <= STRINGS_LIMIT) {
			memcpy(x->strings.items + x->strings.n, next.strings.items, next.strings.n * sizeof next.strings.items[0]);
			x->strings.n += next.strings.n;
		} else {
			struct literal_set both[2] = { part_required(r, x), part_required(r, &next) };

			part_anything(x);
			x->required = set_union(both, 2, r->arena);
		}
	}
	r->depth--;
}

struct literal_set literals_of_regex(const char *regex, uint32_t options, const struct literal_field *f, struct arena *a)
{
	struct regex_reader r = {
		.field = f,
		.arena = a,
		.utf = (options & PCRE2_UTF) != 0,
		.caseless = (options & PCRE2_CASELESS) != 0,
	};
	struct part x;

	/* Others may change what the syntax means. */
	if (options & ~(uint32_t)(PCRE2_CASELESS | PCRE2_MULTILINE | PCRE2_DOTALL | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
				  PCRE2_NEVER_BACKSLASH_C))
		return unknown;
	for (;;) {
		r.p = regex;
		r.end = regex + strlen(regex);
		r.depth = 0;
		part_anything(&x);
		read_alternation(&r, &x);
		if (r.give_up || r.p != r.end)
			return unknown;
		if (!r.saw_caseless || r.caseless)
			return part_required(&r, &x);
		r.caseless = true;
	}
}

/* --- expressions -------------------------------------------------------------------------------------------------- */

/* What a text that the field begins with is to be found by in records of this key. */
static struct literal_set set_of_lead(const struct atom *atom, enum format format, struct span key, struct arena *a)
{
	const struct string_pattern *p = &atom->pattern;
	struct span lead = key.len && p->n_pieces && !p->open_start ? format_lead(format, key, atom->field) : SPAN(""), text;
	char *joined;
	size_t n = 0;

	if (!lead.len)
		return unknown;
	text = p->pieces[0];
	while (n < text.len && lead.len + n < PREFILTER_LITERAL_MAX && !cut_len(text.ptr + n, text.len - n, false))
		n++;
	joined = arena_alloc(a, lead.len + n);
	memcpy(joined, lead.ptr, lead.len);
	memcpy(joined + lead.len, text.ptr, n);
	text = span_of(joined, lead.len + n);
	return n && prefilter_accepts(text) ? set_of_one(text, text_cost(text), a) : unknown;
}

static struct literal_set set_of_atom(const struct atom *atom, const struct ruleset *rs, enum format format, struct span key, struct arena *a)
{
	struct literal_field f = { format, atom->field, { "", 0 } };

	if (atom->op == ATOM_KEYWORD)
		f.field = FIELD_RAW;
	if (f.field < field_count(&rs->fields))
		f.name = field_name(&rs->fields, f.field);
	switch (atom->op) {
	case ATOM_STRING:
		return set_better(literals_of_pattern(&atom->pattern, &f, false, a), set_of_lead(atom, format, key, a));
	case ATOM_KEYWORD:
		return literals_of_pattern(&atom->pattern, &f, true, a);
	case ATOM_REGEX:
		return literals_of_regex(atom->regex, atom->regex_options, &f, a);
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
	return unknown;
}

/* What many rules ask for is common in the logs that they are for, or they would not: so what a rule asks for alone is better. */
static struct literal_set literals_of_atom(uint32_t atom, const struct ruleset *rs, const uint32_t *uses, enum format format, struct span key,
					   struct arena *a)
{
	struct literal_set set = set_of_atom(&rs->atoms[atom], rs, format, key, a);

	if (set.known && uses && uses[atom] > 1)
		set.cost += 1e-5 * (uses[atom] - 1);
	return set;
}

enum literal_truth literal_truth_of_expr(const struct expr *x, const uint8_t *truth)
{
	enum literal_truth all = TRUTH_TRUE, any = TRUTH_FALSE, child;

	switch (x->op) {
	case EXPR_TRUE:
		return TRUTH_TRUE;
	case EXPR_FALSE:
		return TRUTH_FALSE;
	case EXPR_ATOM:
		return truth ? (enum literal_truth)truth[x->atom] : TRUTH_SEEK;
	case EXPR_NOT:
		child = literal_truth_of_expr(x->children[0], truth);
		return child == TRUTH_TRUE ? TRUTH_FALSE : child == TRUTH_FALSE ? TRUTH_TRUE : TRUTH_SEEK;
	case EXPR_AND:
	case EXPR_OR:
		break;
	}
	for (uint32_t i = 0; i < x->n_children; i++) {
		child = literal_truth_of_expr(x->children[i], truth);
		if (child != TRUTH_TRUE)
			all = child == TRUTH_FALSE || all == TRUTH_FALSE ? TRUTH_FALSE : TRUTH_SEEK;
		if (child != TRUTH_FALSE)
			any = child == TRUTH_TRUE || any == TRUTH_TRUE ? TRUTH_TRUE : TRUTH_SEEK;
	}
	return x->op == EXPR_AND ? all : any;
}

static const struct literal_set never = { true, NULL, 0, 0 };

struct literal_set literals_of_expr(const struct expr *x, const struct ruleset *rs, const uint32_t *uses, const uint8_t *truth,
				    enum format format, struct span key, struct arena *a)
{
	struct literal_set best = unknown, *sets;

	switch (x->op) {
	case EXPR_TRUE:
		return unknown;
	case EXPR_FALSE:
		return never;
	case EXPR_ATOM:
		if (truth && truth[x->atom] != TRUTH_SEEK)
			return truth[x->atom] == TRUTH_FALSE ? never : unknown;
		return literals_of_atom(x->atom, rs, uses, format, key, a);
	case EXPR_NOT:
		if (x->children[0]->op == EXPR_NOT)
			return literals_of_expr(x->children[0]->children[0], rs, uses, truth, format, key, a);
		return truth && literal_truth_of_expr(x->children[0], truth) == TRUTH_TRUE ? never : unknown;
	case EXPR_AND:
		for (uint32_t i = 0; i < x->n_children; i++)
			best = set_better(best, literals_of_expr(x->children[i], rs, uses, truth, format, key, a));
		return best;
	case EXPR_OR:
		sets = arena_alloc(a, (x->n_children + 1) * sizeof *sets);
		for (uint32_t i = 0; i < x->n_children; i++)
			sets[i] = literals_of_expr(x->children[i], rs, uses, truth, format, key, a);
		return set_union(sets, x->n_children, a);
	}
	return unknown;
}
