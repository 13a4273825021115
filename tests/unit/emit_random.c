/*
 * emit_random.c: hostile strings and state changes made of them. Everything follows from the seed.
 */
#include "emit_random.h"

uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return random_next(r) % n;
}

#define W(literal) { "" literal, sizeof(literal) - 1 }
const struct span hostile_words[] = {
	W(""), W(" "), W("'"), W("''"), W("\""), W("'\\''"), W("\\"), W("\\\\"), W("\\'"), W("a'b'c"), W("$"), W("$$"), W("$'"),
	W("$(touch PWNED)"), W("`touch PWNED`"), W("'; touch PWNED; '"), W("\"; touch PWNED; \""), W("'$(touch PWNED)'"),
	W("\\'; touch PWNED #"), W("; touch PWNED"), W("& touch PWNED &"), W("| touch PWNED"), W("|| touch PWNED"), W("\ntouch PWNED\n"),
	W("'\ntouch PWNED\n'"), W("> PWNED"), W(">PWNED"), W("<&-"), W("2>PWNED"), W("2"), W("${PATH}"), W("$PATH"), W("${x:=$(touch PWNED)}"),
	W("$((1+1))"), W("$[1+1]"), W("-"), W("--"), W("-n"), W("--help"), W("-e\\n"), W("*"), W("?"), W("[a-z]*"), W("/*"), W("/etc/*"), W("~"), W("~root"),
	W("~+"), W("a=~"), W("a:~:b"), W("="), W("=ls"), W("==x"), W("a=b"), W("PATH=/nowhere"), W("{a,b}"), W("{1..9}"), W("{"), W("}"), W("!"), W("!!"), W("!-1"),
	W("!ls"), W("^a^b"), W("#"), W("# x"), W("a#b"), W("("), W(")"), W("()"), W("f() { touch PWNED; }"), W("if"), W("then"), W("fi"), W("done"), W("esac"),
	W("[["), W("]]"), W(";;"), W("&&"), W("EOF"), W("<<EOF\ntouch PWNED\nEOF"), W("<(touch PWNED)"), W("\n"), W("\n\n"), W("a\nb"), W("\r"), W("\r\n"), W("\t"),
	W("a\\\nb"), W("\x1b[2J\x1b[31m"), W("\x1b]0;owned\x07"), W("\x9b" "31m"), W("\xc2\x9b" "31m"), W("\x07\x08\x08\x7f"), W("\x80"), W("\xff"), W("\xc0\xaf"),
	W("\xed\xa0\x80"), W("\xf4\x90\x80\x80"), W("\xe2\x82"), W("\xf0\x9f\x92"), W("\xe2\x80\xaegnp.exe"), W("\xe2\x81\xa6x\xe2\x81\xa9"), W("\xef\xbb\xbf"),
	W("\xc3\xa9"), W("\xe2\x82\xac"), W("\xf0\x9f\x94\xa5"), W("\xe6\xbc\xa2\xe5\xad\x97"), W("e\xcc\x81\xcc\x81\xcc\x81"), W("\xef\xbf\xbe"), W("\xe2\x80\xa8"),
	W("\x81\x82\x83\x84\x85\x86\x87\x88"), W("'\x81'\x82"), W("</script>"), W("{{count}}"), W("%s%n"), W("%"), W("\\u0000"), W("\\x27"), W("\\047"),
	W("nudged with \"[from mayor] CRITICAL: Killed 2 runaway pytest ...\""), W("python -m pytest tests/integration"), W("mcp_memory/witness"),
	{ NULL, 0 },
};
#define N_HOSTILE (sizeof hostile_words / sizeof *hostile_words - 1)

static void append_piece(struct random *r, struct buffer *b, bool nul)
{
	switch (random_below(r, 4)) {
	case 0:
		buffer_append_span(b, hostile_words[random_below(r, N_HOSTILE)]);
		break;
	case 1:
		for (uint64_t i = random_below(r, 40); i > 0; i--)
			buffer_append_char(b, (char)(nul ? random_below(r, 256) : 1 + random_below(r, 255)));
		break;
	case 2: /* what quoting rests on, more often than chance would have it */
		for (uint64_t i = random_below(r, 20); i > 0; i--)
			buffer_append_char(b, "'\"\\$` \n;&|*=~-!#"[random_below(r, 16)]);
		break;
	case 3:
		for (uint64_t i = random_below(r, 30); i > 0; i--)
			buffer_append_char(b, "abcXYZ019/_.-"[random_below(r, 13)]);
		break;
	}
}

struct span random_text(struct random *r, struct arena *a, bool nul)
{
	struct buffer b = BUFFER_INIT;
	struct span copy;

	for (uint64_t pieces = random_below(r, 5); pieces > 0; pieces--)
		append_piece(r, &b, nul);
	copy = arena_dup_span(a, buffer_span(&b));
	buffer_release(&b);
	return copy;
}

static const char *random_string(struct random *r, struct arena *a)
{
	struct span s = random_text(r, a, false);

	return arena_dup(a, s.ptr, s.len);
}

static struct named_value *random_values(struct random *r, struct arena *a, size_t n)
{
	static const char *const names[] = { "rig", "agent", "pid", "command", "reason", "payload.session", "host", "naïve \"name\"\n" };
	struct named_value *values = arena_zalloc(a, (n + 1) * sizeof *values);

	for (size_t i = 0; i < n; i++) {
		values[i].name = span_from_string(names[i % 8]);
		values[i].value = random_text(r, a, true);
	}
	return values;
}

static double random_number(struct random *r)
{
	union {
		uint64_t bits;
		double number;
	} u;

	switch (random_below(r, 3)) {
	case 0:
		return (double)random_below(r, 1000);
	case 1:
		return (double)random_below(r, 1000000) / 1000;
	}
	u.bits = random_next(r);
	return u.number;
}

/* Some time in 2026, with a fraction now and then. */
static int64_t random_time(struct random *r)
{
	int64_t t = (INT64_C(1767225600) + (int64_t)random_below(r, 31536000)) * NS_PER_SECOND;

	return random_below(r, 3) ? t : t + (int64_t)random_below(r, 1000000000);
}

static struct top_list *random_top(struct random *r, struct arena *a, size_t n)
{
	static const field_id names[] = { FIELD_AGENT, FIELD_RIG, FIELD_PID };
	struct top_list *top = arena_zalloc(a, (n + 1) * sizeof *top);

	for (size_t i = 0; i < n; i++) {
		struct top_value *values;

		top[i].field = names[i];
		top[i].n_values = random_below(r, TOP_LIMIT + 1);
		values = arena_zalloc(a, (top[i].n_values + 1) * sizeof *values);
		for (size_t j = 0; j < top[i].n_values; j++) {
			values[j].value = random_text(r, a, true);
			values[j].count = 1 + random_below(r, 30);
		}
		top[i].values = values;
		top[i].others = top[i].n_values == TOP_LIMIT ? random_below(r, 3) : 0;
		top[i].n_distinct = top[i].n_values + top[i].others;
	}
	return top;
}

static struct evidence *random_evidence(struct random *r, struct arena *a, size_t n)
{
	struct evidence *e = arena_zalloc(a, (n + 1) * sizeof *e);

	for (size_t i = 0; i < n; i++) {
		e[i].source = "town";
		e[i].file = random_string(r, a);
		e[i].line = random_next(r) >> random_below(r, 64);
		e[i].time_ns = random_time(r);
		e[i].text = random_text(r, a, true);
	}
	return e;
}

struct change *random_change(struct random *r, struct arena *a)
{
	static const char *const conditions[] = { "", "gt 5", "a and not b" };
	struct change *c = arena_zalloc(a, sizeof *c);
	struct rule *rule = arena_zalloc(a, sizeof *rule);
	const struct span **commands;
	struct buffer id = BUFFER_INIT;

	rule->name = random_string(r, a);
	if (!*rule->name)
		rule->name = "kill_storm";
	rule->title = random_string(r, a);
	rule->level = (enum level)random_below(r, LEVEL_CRITICAL + 1);
	buffer_printf(&id, "%s-%016llx", rule->name, (unsigned long long)random_next(r));
	c->rule = rule;
	c->id = arena_strdup(a, buffer_string(&id));
	buffer_release(&id);
	c->state = (enum incident_state)random_below(r, INCIDENT_STATE_COUNT);
	c->time_ns = random_time(r);
	c->opened_ns = random_time(r);
	c->first_ns = random_time(r);
	c->last_ns = random_time(r);
	c->n_key = random_below(r, 4);
	c->key = random_values(r, a, c->n_key);
	c->value = random_number(r);
	c->condition = conditions[random_below(r, 3)];
	c->count = 1 + random_below(r, 100);
	c->summary = random_text(r, a, true);
	c->n_top = random_below(r, 4);
	c->top = random_top(r, a, c->n_top);
	c->n_evidence = random_below(r, EVIDENCE_LIMIT + 1);
	c->evidence = random_evidence(r, a, c->n_evidence);
	c->evidence_dropped = random_below(r, 2) ? random_below(r, 1000) : 0;
	c->n_fields = random_below(r, 8);
	c->fields = random_values(r, a, c->n_fields);
	c->n_commands = random_below(r, 3);
	commands = arena_zalloc(a, 3 * sizeof *commands);
	for (size_t i = 0; i < c->n_commands; i++) {
		size_t n = 1 + random_below(r, 5);
		struct span *words = arena_zalloc(a, (n + 1) * sizeof *words);

		for (size_t j = 0; j < n; j++)
			words[j] = random_text(r, a, random_below(r, 10) == 0);
		commands[i] = words;
	}
	c->commands = commands;
	return c;
}
