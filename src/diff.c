/*
 * Gathering, matching and showing. An incident is kept as its last state, with what was told when it opened; commands of all its changes are kept as
 * shell lines. Nothing here decides what an incident is: both sides come out of whole runs.
 */
#include "diff.h"

#include "base/memory.h"
#include "base/quote.h"
#include "emit/emitter.h"
#include "emit/json_writer.h"

#include <inttypes.h>
#include <stdlib.h>

#define COMMANDS_LIMIT 16384 /* bytes of commands kept of one incident; what is beyond is in the hash only */
#define TEXT_COLUMNS 160

struct incident_copy {
	char *id, *rule, *title;
	char *key;            /* "rig=prajna, pid=7": quoted for a terminal */
	char *key_json;
	enum level level;
	int64_t opened_ns, resolved_ns; /* TIME_NONE: still open */
	double value;         /* when it opened */
	uint64_t count, updates;
	char *summary;        /* the last one */
	size_t summary_len;
	struct buffer commands;
	uint64_t commands_hash;
	struct incident_copy *other; /* which it is on the other side */
};

struct diff_side {
	struct incident_copy **items;
	size_t n, cap;
	struct map by_id;
	uint64_t dropped;
};

struct diff_side *diff_side_new(void)
{
	return xcalloc(1, sizeof(struct diff_side));
}

void diff_side_free(struct diff_side *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		struct incident_copy *c = s->items[i];
		free(c->id);
		free(c->rule);
		free(c->title);
		free(c->key);
		free(c->key_json);
		free(c->summary);
		buffer_release(&c->commands);
		free(c);
	}
	free(s->items);
	map_release(&s->by_id);
	free(s);
}

uint64_t diff_side_dropped(const struct diff_side *s)
{
	return s->dropped;
}

/* ---- gathering ---- */

static char *taken(struct buffer *b)
{
	buffer_string(b);
	return b->data;
}

static struct incident_copy *copy_new(struct diff_side *s, const struct change *c)
{
	struct incident_copy *copy = xcalloc(1, sizeof *copy);
	struct buffer key = BUFFER_INIT, json = BUFFER_INIT;

	ARRAY_GROW(s->items, s->n, s->cap);
	s->items[s->n++] = copy;
	copy->id = xstrdup(c->id);
	copy->rule = xstrdup(c->rule->name);
	copy->title = xstrdup(c->rule->title);
	copy->level = c->rule->level;
	copy->opened_ns = c->opened_ns;
	copy->resolved_ns = TIME_NONE;
	copy->value = c->value;
	json_named_values(&json, NULL, c->key, c->n_key);
	for (size_t i = 0; i < c->n_key; i++) {
		buffer_append_string(&key, i ? ", " : "");
		quote_terminal(&key, c->key[i].name);
		buffer_append_char(&key, '=');
		quote_terminal(&key, c->key[i].value);
	}
	copy->key = taken(&key);
	copy->key_json = taken(&json);
	return copy;
}

void diff_side_change(void *side, const struct change *c)
{
	struct diff_side *s = side;
	struct map_entry *entry = map_find(&s->by_id, span_from_string(c->id));
	struct incident_copy *copy = entry ? entry->value.pointer : NULL;
	struct buffer commands = BUFFER_INIT;

	if (!copy) {
		if (c->state != INCIDENT_OPEN || s->n >= DIFF_INCIDENT_LIMIT) {
			s->dropped += c->state == INCIDENT_OPEN;
			return;
		}
		copy = copy_new(s, c);
		map_add(&s->by_id, span_from_string(c->id), NULL)->value.pointer = copy;
	}
	if (c->state == INCIDENT_RESOLVED)
		copy->resolved_ns = c->time_ns;
	copy->updates += c->state == INCIDENT_UPDATE;
	copy->count = c->count;
	free(copy->summary);
	copy->summary = xmemdup(c->summary.ptr, c->summary.len);
	copy->summary_len = c->summary.len;
	emit_change(&commands, EMIT_COMMANDS, &(struct emit_options){ 0 }, c);
	if (commands.len)
		copy->commands_hash = hash_bytes(commands.data, commands.len, copy->commands_hash + 1);
	if (copy->commands.len + commands.len <= COMMANDS_LIMIT)
		buffer_append_span(&copy->commands, buffer_span(&commands));
	buffer_release(&commands);
}

/* ---- matching ---- */

static int by_what_then_time(const void *a, const void *b)
{
	const struct incident_copy *x = *(struct incident_copy *const *)a, *y = *(struct incident_copy *const *)b;
	int c = strcmp(x->rule, y->rule);

	if (c == 0)
		c = strcmp(x->key_json, y->key_json);
	if (c == 0)
		c = (x->opened_ns > y->opened_ns) - (x->opened_ns < y->opened_ns);
	return c ? c : strcmp(x->id, y->id);
}

static bool ends_before(const struct incident_copy *a, const struct incident_copy *b)
{
	return a->resolved_ns != TIME_NONE && a->resolved_ns < b->opened_ns;
}

static void match(struct diff_side *old, struct diff_side *new)
{
	if (old->n)
		qsort(old->items, old->n, sizeof *old->items, by_what_then_time);
	if (new->n)
		qsort(new->items, new->n, sizeof *new->items, by_what_then_time);
	for (size_t i = 0; i < old->n; i++) { /* opened by the same event: the same */
		struct map_entry *e = map_find(&new->by_id, span_from_string(old->items[i]->id));
		if (e) {
			old->items[i]->other = e->value.pointer;
			old->items[i]->other->other = old->items[i];
		}
	}
	size_t i = 0, j = 0;
	while (i < old->n && j < new->n) { /* the others: the first that overlaps */
		struct incident_copy *a = old->items[i], *b = new->items[j];
		int c;
		if (a->other) {
			i++;
			continue;
		}
		if (b->other) {
			j++;
			continue;
		}
		c = strcmp(a->rule, b->rule);
		if (c == 0)
			c = strcmp(a->key_json, b->key_json);
		if (c == 0)
			c = ends_before(a, b) ? -1 : ends_before(b, a) ? 1 : 0;
		if (c == 0) {
			a->other = b;
			b->other = a;
		}
		i += c <= 0;
		j += c >= 0;
	}
}

static bool same_text(const struct incident_copy *a, const struct incident_copy *b)
{
	return a->summary_len == b->summary_len && (!a->summary_len || !memcmp(a->summary, b->summary, a->summary_len));
}

static bool differs(const struct incident_copy *a, const struct incident_copy *b)
{
	return a->opened_ns != b->opened_ns || a->resolved_ns != b->resolved_ns || a->level != b->level || a->value != b->value ||
	       a->count != b->count || a->updates != b->updates || a->commands_hash != b->commands_hash || !same_text(a, b) || strcmp(a->title, b->title);
}

/* ---- showing ---- */

struct pair {
	const struct incident_copy *old, *new; /* one of them may be NULL */
	enum diff_kind kind;
	int64_t time_ns;
};

static int by_kind(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	const struct incident_copy *p = x->old ? x->old : x->new, *q = y->old ? y->old : y->new;
	int c;

	if (x->kind != y->kind)
		return (int)x->kind - (int)y->kind;
	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	c = strcmp(p->rule, q->rule);
	return c ? c : strcmp(p->key_json, q->key_json);
}

static int by_time(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return by_kind(a, b);
}

static void append_cut(struct buffer *out, struct span s)
{
	quote_terminal_cut(out, s, TEXT_COLUMNS);
}

static void append_time(struct buffer *out, const struct diff_style *style, int64_t t)
{
	if (t == TIME_NONE)
		buffer_append_string(out, "never");
	else
		time_format_local(out, t, style->zone);
}

/* Command lines that the other side has not, one a row behind a sign. */
static void append_lines(struct buffer *out, const struct incident_copy *of, const struct incident_copy *other, char sign)
{
	struct span rest = buffer_span(&of->commands);

	while (rest.len) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		struct span line = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
		bool there = false;
		for (struct span at = buffer_span(&other->commands); at.len && !there;) {
			const char *e = memchr(at.ptr, '\n', at.len);
			struct span l = span_of(at.ptr, e ? (size_t)(e - at.ptr) : at.len);
			there = span_equal(l, line);
			at = span_from(at, l.len + 1);
		}
		if (!there) {
			buffer_printf(out, "        %c ", sign);
			append_cut(out, line);
			buffer_append_char(out, '\n');
		}
		rest = span_from(rest, line.len + 1);
	}
}

static void text_moved(struct buffer *out, const struct diff_style *style, const char *what, int64_t from, int64_t to)
{
	if (from == to)
		return;
	buffer_printf(out, "      %s ", what);
	if (from != TIME_NONE && to != TIME_NONE) {
		duration_format(out, from < to ? to - from : from - to);
		buffer_append_string(out, from < to ? " later: " : " earlier: ");
	} else {
		append_time(out, style, from);
		buffer_append_string(out, " → ");
	}
	append_time(out, style, to);
	buffer_append_char(out, '\n');
}

static void text_changes(struct buffer *out, const struct diff_style *style, const struct incident_copy *a, const struct incident_copy *b)
{
	text_moved(out, style, "opens", a->opened_ns, b->opened_ns);
	text_moved(out, style, "resolves", a->resolved_ns, b->resolved_ns);
	if (a->level != b->level)
		buffer_printf(out, "      level %s → %s\n", level_name(a->level), level_name(b->level));
	if (a->value != b->value)
		buffer_printf(out, "      value at its opening %.15g → %.15g\n", a->value, b->value);
	if (a->count != b->count)
		buffer_printf(out, "      events %" PRIu64 " → %" PRIu64 "\n", a->count, b->count);
	if (a->updates != b->updates)
		buffer_printf(out, "      updates %" PRIu64 " → %" PRIu64 "\n", a->updates, b->updates);
	if (strcmp(a->title, b->title)) {
		buffer_append_string(out, "      title\n        - ");
		append_cut(out, span_from_string(a->title));
		buffer_append_string(out, "\n        + ");
		append_cut(out, span_from_string(b->title));
		buffer_append_char(out, '\n');
	}
	if (!same_text(a, b)) {
		buffer_append_string(out, "      summary\n        - ");
		append_cut(out, span_of(a->summary, a->summary_len));
		buffer_append_string(out, "\n        + ");
		append_cut(out, span_of(b->summary, b->summary_len));
		buffer_append_char(out, '\n');
	}
	if (a->commands_hash != b->commands_hash) {
		buffer_append_string(out, "      commands\n");
		append_lines(out, a, b, '-');
		append_lines(out, b, a, '+');
	}
}

static void text_pair(struct buffer *out, const struct diff_style *style, const struct pair *p)
{
	const struct incident_copy *c = p->old ? p->old : p->new;

	buffer_append_string(out, "  ");
	append_time(out, style, c->opened_ns);
	buffer_printf(out, "  %-13s  %s", level_name(c->level), c->rule);
	if (*c->key)
		buffer_printf(out, "  %s", c->key);
	buffer_append_char(out, '\n');
	if (p->kind == DIFF_CHANGED) {
		text_changes(out, style, p->old, p->new);
	} else {
		buffer_append_string(out, "      ");
		append_cut(out, span_of(c->summary, c->summary_len));
		buffer_append_char(out, '\n');
	}
}

static void json_incident(struct buffer *out, const char *name, const struct incident_copy *c)
{
	if (!c) {
		json_null(out, name);
		return;
	}
	json_open(out, name, '{');
	json_string(out, "id", c->id);
	json_string(out, "title", c->title);
	json_string(out, "level", level_name(c->level));
	json_time(out, "opened", c->opened_ns);
	json_time(out, "resolved", c->resolved_ns);
	json_number(out, "value", c->value);
	json_count(out, "count", c->count);
	json_count(out, "updates", c->updates);
	json_span(out, "summary", span_of(c->summary, c->summary_len));
	json_open(out, "commands", '[');
	for (struct span rest = buffer_span(&c->commands); rest.len;) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		struct span line = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
		json_span(out, NULL, line);
		rest = span_from(rest, line.len + 1);
	}
	json_close(out, ']');
	json_close(out, '}');
}

static void json_differences(struct buffer *out, const struct incident_copy *a, const struct incident_copy *b)
{
	const struct {
		const char *name;
		bool differs;
	} list[] = { { "opened", a->opened_ns != b->opened_ns }, { "resolved", a->resolved_ns != b->resolved_ns }, { "level", a->level != b->level },
		     { "title", strcmp(a->title, b->title) != 0 }, { "value", a->value != b->value }, { "count", a->count != b->count },
		     { "updates", a->updates != b->updates }, { "summary", !same_text(a, b) }, { "commands", a->commands_hash != b->commands_hash } };

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (list[i].differs)
			json_string(out, NULL, list[i].name);
}

static const char *const kind_names[DIFF_KIND_COUNT] = { [DIFF_LOST] = "lost", [DIFF_GAINED] = "gained", [DIFF_CHANGED] = "changed" };

static void json_pair(struct buffer *out, const struct pair *p)
{
	const struct incident_copy *c = p->old ? p->old : p->new;

	json_open(out, NULL, '{');
	json_string(out, "schema", "tocsin.diff.v1");
	json_string(out, "change", kind_names[p->kind]);
	json_string(out, "rule", c->rule);
	json_name(out, SPAN("key"));
	buffer_append_string(out, c->key_json);
	json_open(out, "differences", '[');
	if (p->kind == DIFF_CHANGED)
		json_differences(out, p->old, p->new);
	json_close(out, ']');
	json_incident(out, "old", p->old);
	json_incident(out, "new", p->new);
	json_close_line(out);
}

struct diff_totals diff_write(struct diff_side *old, struct diff_side *new, const struct diff_style *style, struct buffer *out)
{
	static const char *const heads[DIFF_KIND_COUNT] = {
		[DIFF_LOST] = "Lost: only the old rules open them",
		[DIFF_GAINED] = "Gained: only the new rules open them",
		[DIFF_CHANGED] = "Changed",
	};
	struct diff_totals totals = { 0 };
	struct pair *pairs = xcalloc(old->n + new->n + 1, sizeof *pairs);
	size_t n = 0;

	match(old, new);
	for (size_t i = 0; i < old->n; i++) {
		const struct incident_copy *c = old->items[i];
		if (c->other && !differs(c, c->other)) {
			totals.same++;
			continue;
		}
		pairs[n++] = (struct pair){ c, c->other, c->other ? DIFF_CHANGED : DIFF_LOST, c->opened_ns };
		totals.of[pairs[n - 1].kind]++;
	}
	for (size_t i = 0; i < new->n; i++)
		if (!new->items[i]->other) {
			pairs[n++] = (struct pair){ NULL, new->items[i], DIFF_GAINED, new->items[i]->opened_ns };
			totals.of[DIFF_GAINED]++;
		}
	if (style->jsonl) {
		qsort(pairs, n, sizeof *pairs, by_time);
		for (size_t i = 0; i < n; i++)
			json_pair(out, &pairs[i]);
		free(pairs);
		return totals;
	}
	qsort(pairs, n, sizeof *pairs, by_kind);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || pairs[i].kind != pairs[i - 1].kind)
			buffer_printf(out, "%s%s%s%s\n", i ? "\n" : "", style->colour ? "\033[1m" : "", heads[pairs[i].kind], style->colour ? "\033[0m" : "");
		text_pair(out, style, &pairs[i]);
	}
	buffer_printf(out, "%s%" PRIu64 " lost, %" PRIu64 " gained, %" PRIu64 " changed, %" PRIu64 " the same\n", n ? "\n" : "", totals.of[DIFF_LOST],
		      totals.of[DIFF_GAINED], totals.of[DIFF_CHANGED], totals.same);
	free(pairs);
	return totals;
}
