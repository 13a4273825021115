/*
 * condition.c: decides how a condition reads: "not" binds closer than "and", "and" closer than "or"; words may be in
 * any case. Invariant: the tree is at most DEPTH_MAX deep. It does not know which names exist.
 */
#include "rule/condition.h"
#include <ctype.h>
#include <strings.h>

#define DEPTH_MAX 64

struct parser {
	struct loader *l;
	const struct yaml_node *node;
	struct span timeframe;
	size_t i;
	int depth;
	/* The token at hand. */
	struct span token; /* empty at the end */
	size_t at;
};

static bool is_name_byte(char c)
{
	return !isspace((unsigned char)c) && c != '(' && c != ')' && c != '|';
}

static void next_token(struct parser *p)
{
	struct span text = p->node->text;
	size_t start;

	while (p->i < text.len && isspace((unsigned char)text.ptr[p->i]))
		p->i++;
	start = p->i;
	if (p->i < text.len && !is_name_byte(text.ptr[p->i]))
		p->i++;
	else
		while (p->i < text.len && is_name_byte(text.ptr[p->i]))
			p->i++;
	p->at = start;
	p->token = span_of(text.ptr + start, p->i - start);
}

static bool token_is(const struct parser *p, const char *word)
{
	return p->token.len == strlen(word) && strncasecmp(p->token.ptr, word, p->token.len) == 0;
}

static struct condition *new_condition(struct parser *p, enum condition_op op, uint32_t n)
{
	struct condition *c = arena_zalloc(&p->l->scratch, sizeof *c);

	c->op = op;
	c->at = p->at;
	c->n_children = n;
	if (n)
		c->children = arena_alloc(&p->l->scratch, n * sizeof *c->children);
	return c;
}

static bool too_deep(struct parser *p)
{
	if (p->depth < DEPTH_MAX)
		return false;
	report_in(p->l, DIAG_ERROR, p->node, p->at, p->token.len, "the condition is nested more than %d deep", DEPTH_MAX);
	return true;
}

static struct condition *parse_or(struct parser *p);

/* "1 of x*", "all of them": the first word is the token at hand. Returns NULL without an error when it is something else. */
static struct condition *parse_of(struct parser *p, bool *ret_failed)
{
	struct parser before = *p;
	struct condition *c;
	unsigned long count = 0;
	bool all = token_is(p, "all"), any = token_is(p, "any");

	*ret_failed = false;
	if (!all && !any) {
		for (size_t i = 0; i < p->token.len; i++) {
			if (!isdigit((unsigned char)p->token.ptr[i]))
				return NULL;
			if (count < 1000000)
				count = count * 10 + (unsigned long)(p->token.ptr[i] - '0');
		}
	}
	if (!p->token.len)
		return NULL;
	c = new_condition(p, CONDITION_OF, 0);
	c->count = all ? 0 : any ? 1 : (uint32_t)count;
	next_token(p);
	if (!token_is(p, "of")) {
		*p = before;
		return NULL;
	}
	if (!all && !any && count == 0) {
		report_in(p->l, DIAG_ERROR, p->node, c->at, before.token.len, "\"0 of\" is always true");
		hint(p->l, "write \"not 1 of …\"");
		*ret_failed = true;
		return NULL;
	}
	next_token(p);
	if (!p->token.len || !is_name_byte(p->token.ptr[0])) {
		report_in(p->l, DIAG_ERROR, p->node, p->at, p->token.len, "\"of\" what? a name, a name with \"*\", or \"them\" must follow");
		*ret_failed = true;
		return NULL;
	}
	c->name = p->token;
	c->at = p->at;
	next_token(p);
	return c;
}

static struct condition *parse_primary(struct parser *p)
{
	struct condition *c;
	bool failed;

	if (!p->token.len) {
		if (p->node->text.len)
			report_in(p->l, DIAG_ERROR, p->node, p->at, 1, "the condition ends where a name must follow");
		else
			report(p->l, DIAG_ERROR, p->node, "the condition is empty");
		return NULL;
	}
	if (token_is(p, "(")) {
		size_t open = p->at;

		if (too_deep(p))
			return NULL;
		p->depth++;
		next_token(p);
		c = parse_or(p);
		p->depth--;
		if (!c)
			return NULL;
		if (!token_is(p, ")")) {
			if (p->token.len && p->token.ptr[0] != '|')
				report_in(p->l, DIAG_ERROR, p->node, p->at, p->token.len, "\"and\", \"or\" or \")\" must stand before \"%.*s\"",
					  (int)p->token.len, p->token.ptr);
			else
				report_in(p->l, DIAG_ERROR, p->node, open, 1, "this bracket is not closed");
			return NULL;
		}
		next_token(p);
		return c;
	}
	if (token_is(p, ")") || token_is(p, "|") || token_is(p, "and") || token_is(p, "or")) {
		report_in(p->l, DIAG_ERROR, p->node, p->at, p->token.len, "a name must stand before \"%.*s\"", (int)p->token.len,
			  p->token.ptr);
		return NULL;
	}
	c = parse_of(p, &failed);
	if (c || failed)
		return c;
	c = new_condition(p, CONDITION_NAME, 0);
	c->name = p->token;
	next_token(p);
	return c;
}

static struct condition *parse_not(struct parser *p)
{
	struct condition *c;

	if (!token_is(p, "not"))
		return parse_primary(p);
	if (too_deep(p))
		return NULL;
	c = new_condition(p, CONDITION_NOT, 1);
	next_token(p);
	p->depth++;
	c->children[0] = parse_not(p);
	p->depth--;
	return c->children[0] ? c : NULL;
}

static struct condition *parse_chain(struct parser *p, const char *word, enum condition_op op,
				     struct condition *(*parse_part)(struct parser *))
{
	struct condition **parts = NULL, *c;
	uint32_t n = 0, cap = 0;
	size_t at = p->at;

	for (;;) {
		c = parse_part(p);
		if (!c)
			return NULL;
		if (n == cap) {
			struct condition **larger = arena_alloc(&p->l->scratch, (cap ? cap * 2 : 4) * sizeof *larger);

			if (n)
				memcpy(larger, parts, n * sizeof *larger);
			parts = larger;
			cap = cap ? cap * 2 : 4;
		}
		parts[n++] = c;
		if (!token_is(p, word))
			break;
		next_token(p);
	}
	if (n == 1)
		return c;
	c = new_condition(p, op, 0);
	c->at = at;
	c->children = parts;
	c->n_children = n;
	return c;
}

static struct condition *parse_and(struct parser *p)
{
	return parse_chain(p, "and", CONDITION_AND, parse_not);
}

static struct condition *parse_or(struct parser *p)
{
	return parse_chain(p, "or", CONDITION_OR, parse_and);
}

/*
 * "| count(FIELD) by KEY > 5", as before Sigma 2: the token at hand is the "|". Writes the correlation that says the same, as far as it is
 * understood; else how one looks.
 */
static void hint_aggregation(struct parser p)
{
	static const struct {
		const char *name, *type;
	} functions[] = { { "count", "value_count" }, { "sum", "value_sum" }, { "avg", "value_avg" }, { "min", "value_min" }, { "max", "value_max" } };
	static const struct {
		const char *sign, *bound;
	} signs[] = { { ">=", "gte" }, { "<=", "lte" }, { "==", "eq" }, { ">", "gt" }, { "<", "lt" }, { "=", "eq" } };
	const char *type = NULL, *bound = NULL;
	struct span field = { 0 };
	struct buffer keys = BUFFER_INIT;

	next_token(&p);
	if (token_is(&p, "near")) {
		hint(p.l, "make a named rule of each selection, and write one more document: correlation: {type: temporal, rules: [NAME, …], "
			  "group-by: [FIELD], timespan: %.*s}", (int)p.timeframe.len, p.timeframe.ptr);
		return;
	}
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (token_is(&p, functions[i].name))
			type = functions[i].type;
	next_token(&p);
	bool open = token_is(&p, "(");
	next_token(&p);
	if (open && !token_is(&p, ")")) {
		field = p.token;
		next_token(&p);
	} else if (type == functions[0].type) {
		type = "event_count";
	}
	next_token(&p); /* behind the bracket */
	for (bool more = token_is(&p, "by"); more;) {
		next_token(&p);
		more = p.token.len && p.token.ptr[p.token.len - 1] == ',';
		buffer_append_string(&keys, keys.len ? ", " : "");
		buffer_append_span(&keys, span_of(p.token.ptr, p.token.len - more));
		if (!more)
			next_token(&p);
	}
	for (size_t i = 0; !bound && i < sizeof signs / sizeof *signs; i++) {
		size_t len = strlen(signs[i].sign);
		if (p.token.len < len || memcmp(p.token.ptr, signs[i].sign, len) != 0)
			continue;
		bound = signs[i].bound;
		p.token = span_from(p.token, len);
		if (!p.token.len)
			next_token(&p);
	}
	struct span number = p.token;
	bool digits = number.len > 0;
	for (size_t i = 0; i < number.len; i++)
		digits &= isdigit((unsigned char)number.ptr[i]) != 0;
	next_token(&p);
	if (type && open && bound && digits && !p.token.len && (field.len || strcmp(type, "event_count") == 0))
		hint(p.l, "name this rule and write a second document: correlation: {type: %s, rules: [NAME], group-by: [%s], timespan: %.*s, "
			  "condition: {%s%.*s%s%s: %.*s}}", type, buffer_string(&keys), (int)p.timeframe.len, p.timeframe.ptr, field.len ? "field: " : "", (int)field.len, field.ptr,
		     field.len ? ", " : "", bound, (int)number.len, number.ptr);
	else
		hint(p.l, "name this rule and write a second document: correlation: {type: event_count, rules: [NAME], "
			  "group-by: [FIELD], timespan: %.*s, condition: {gt: 5}} (value_count for count(FIELD))", (int)p.timeframe.len, p.timeframe.ptr);
	buffer_release(&keys);
}

struct condition *condition_parse(struct loader *l, const struct yaml_node *text, struct span timeframe)
{
	static const char *const operators[] = { "and", "or", NULL };
	struct parser p = { .l = l, .node = text, .timeframe = timeframe.len ? timeframe : SPAN("1h") };
	struct condition *c;

	next_token(&p);
	c = parse_or(&p);
	if (!c || !p.token.len)
		return c;
	bool bars = p.at + 1 < text->text.len && text->text.ptr[p.at + 1] == '|';
	if (token_is(&p, "|") && !bars) {
		report_in(l, DIAG_ERROR, text, p.at, text->text.len - p.at, "aggregations behind \"|\" are no longer part of Sigma");
		hint_aggregation(p);
	} else if (token_is(&p, ")")) {
		report_in(l, DIAG_ERROR, text, p.at, 1, "there is no \"(\" for this bracket");
	} else {
		report_in(l, DIAG_ERROR, text, p.at, p.token.len, "\"and\" or \"or\" must stand before \"%.*s\"",
			  (int)(p.token.len < 80 ? p.token.len : 80), p.token.ptr);
		if (token_is(&p, "of"))
			hint(l, "write a number or \"all\" before \"of\"");
		else if (token_is(&p, "&&") || bars)
			hint(l, "write \"%s\"", bars ? "or" : "and");
		else
			suggest(l, p.token, operators);
	}
	return NULL;
}

bool condition_name_matches(struct span pattern, struct span name)
{
	/* Only "*" is special; greedy with one place to go back to. */
	size_t p = 0, n = 0, star = SIZE_MAX, mark = 0;

	while (n < name.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			mark = n;
		} else if (p < pattern.len && pattern.ptr[p] == name.ptr[n]) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			n = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}
