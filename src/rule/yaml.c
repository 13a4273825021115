/*
 * yaml.c: decides what of YAML a rule file may use, and where each thing in it stands. libfyaml does the parsing; this file
 * turns its events into nodes. Invariants: every key is a scalar and stands once in its map; no node holds itself;
 * written out with all aliases the tree has at most NODES_MAX nodes, so that whoever walks it need not be afraid of
 * a hostile file. It does not know what the keys mean.
 *
 * After an error the reading goes on at the next line that begins with "---", so that one bad document does not hide
 * what is wrong with the others.
 */
#include "rule/yaml.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/quote.h"
#include "base/utf8.h"
#include <ctype.h>
#include <inttypes.h>
#include <libfyaml.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define DEPTH_MAX 64
#define NODES_MAX 200000
#define FILE_MAX (8u << 20)
#define ERRORS_MAX 100 /* after so many nobody reads on */

struct level {
	struct yaml_node *node;
	const struct yaml_node *key; /* of a map: read, its value is not */
	struct map_entry *anchor;
	size_t cap;
	struct map keys; /* of a large map, to find repeated keys */
};

struct reader {
	struct arena *arena;
	struct yaml_file *file;
	struct diag_list *diags;
	size_t base; /* offset of the text libfyaml sees in the file */
	struct level levels[DEPTH_MAX];
	size_t depth;
	struct map anchors;
	struct yaml_node *root;
	size_t last_offset;
	size_t documents_cap;
	bool failed; /* the current document has an error: it is not kept */
	bool stop;   /* and cannot be read further */
};

/* ---- positions ---- */

/* Behind the break that ends the line; 0 when there is none. */
static size_t next_line(struct span text, size_t from, bool has_cr)
{
	const char *line = text.ptr + from, *lf = memchr(line, '\n', text.len - from);
	const char *cr = has_cr ? memchr(line, '\r', lf ? (size_t)(lf - line) : text.len - from) : NULL;

	if (cr && cr + 1 != lf)
		return (size_t)(cr + 1 - text.ptr);
	return lf ? (size_t)(lf + 1 - text.ptr) : 0;
}

static void index_lines(struct reader *r)
{
	struct yaml_file *f = r->file;
	bool has_cr = f->text.len && memchr(f->text.ptr, '\r', f->text.len);
	size_t n = 1, k = 0;

	for (size_t at = 0; f->text.len && (at = next_line(f->text, at, has_cr));)
		n++;
	f->line_starts = arena_alloc(r->arena, n * sizeof *f->line_starts);
	f->line_starts[k++] = 0;
	for (size_t at = 0; k < n; k++)
		f->line_starts[k] = at = next_line(f->text, at, has_cr);
	f->n_lines = n;
}

static size_t characters(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

void yaml_position(const struct yaml_file *f, size_t offset, int *ret_line, int *ret_column)
{
	size_t low = 0, high = f->n_lines;

	if (offset > f->text.len)
		offset = f->text.len;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (f->line_starts[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	*ret_line = (int)low + 1;
	*ret_column = (int)characters(span_of(f->text.ptr + f->line_starts[low], offset - f->line_starts[low])) + 1;
	/* The byte order mark is not a column. */
	if (low == 0 && *ret_column > 1 && span_starts_with(f->text, SPAN("\xef\xbb\xbf")))
		--*ret_column;
}

struct span yaml_line(const struct yaml_file *f, int line)
{
	size_t i = (size_t)line - 1, start, end;

	if (line < 1 || i >= f->n_lines)
		return (struct span){ "", 0 };
	start = f->line_starts[i];
	end = i + 1 < f->n_lines ? f->line_starts[i + 1] : f->text.len;
	if (i == 0 && span_starts_with(f->text, SPAN("\xef\xbb\xbf")))
		start += 3;
	while (end > start && (f->text.ptr[end - 1] == '\n' || f->text.ptr[end - 1] == '\r'))
		end--;
	return span_of(f->text.ptr + start, end - start);
}

void yaml_vreport(struct diag_list *diags, enum diag_level level, const struct yaml_file *f, size_t from, size_t to,
		  const char *format, va_list args)
{
	int line, column, width;
	struct span text;
	size_t end;
	char *message = NULL;

	if (vasprintf(&message, format, args) < 0)
		message = xstrdup("");
	yaml_position(f, from, &line, &column);
	text = yaml_line(f, line);
	end = (size_t)(text.ptr - f->text.ptr) + text.len;
	if (to > end)
		to = end;
	width = to > from ? (int)characters(span_of(f->text.ptr + from, to - from)) : 1;
	diag_add(diags, level, f->name, line, column, "%s", message);
	diag_excerpt(diags, text, width);
	free(message);
}

void yaml_report(struct diag_list *diags, enum diag_level level, const struct yaml_file *f, size_t from, size_t to,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	yaml_vreport(diags, level, f, from, to, format, args);
	va_end(args);
}

/*
 * A value and its source differ by quotes, escapes, indentation and folded lines. Both are walked side by side; what
 * stands in the source only is skipped.
 */
size_t yaml_offset_in(const struct yaml_node *n, size_t index)
{
	const char *source = n->file->text.ptr;
	size_t at = n->offset;

	for (size_t i = 0; i < n->text.len && at < n->end; i++) {
		char c = n->text.ptr[i];
		size_t k = at;

		while (k < n->end && source[k] != c && !(c == ' ' && (source[k] == '\n' || source[k] == '\r')) &&
		       !(source[k] == '\\' && strchr("0abtnvfreNLP_xuU", source[k + 1 < n->end ? k + 1 : k]) &&
			 !isgraph((unsigned char)c)))
			k++;
		/* Not there (an escape that stands for something else): the place is as good as known. */
		if (k == n->end || k - at > 4096)
			k = at;
		if (i == index)
			return k;
		at = k + 1;
	}
	return index < n->text.len ? n->offset : n->end;
}

size_t yaml_find_invisible(struct span s, size_t *ret_at, uint32_t *ret_character)
{
	/* Joiners (U+200C, U+200D) are parts of words and emoji. */
	static const uint32_t ranges[][2] = {
		{ 0xa0, 0xa0 },	    { 0xad, 0xad },	{ 0x2000, 0x200b }, { 0x200e, 0x200f }, { 0x2028, 0x202f },
		{ 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xfeff, 0xfeff },
	};

	for (size_t i = 0; i < s.len; i++) {
		const unsigned char *p = (const unsigned char *)s.ptr + i;
		size_t n = *p < 0x80 ? 1 : utf8_sequence(s.ptr + i, s.len - i);
		uint32_t c;

		if (n != 2 && n != 3)
			continue;
		c = n == 2 ? (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f) : (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
			if (c >= ranges[k][0] && c <= ranges[k][1]) {
				*ret_at = i;
				*ret_character = c;
				return n;
			}
	}
	return 0;
}

/* ---- scalars ---- */

static bool one_of(struct span s, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == s.len && memcmp(*words, s.ptr, s.len) == 0)
			return true;
	return false;
}

static bool is_number(struct span s)
{
	if (s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == 'x') {
		for (size_t i = 2; i < s.len; i++)
			if (!isxdigit((unsigned char)s.ptr[i]))
				return false;
		return true;
	}
	return span_is_decimal(s);
}

static enum yaml_type plain_type(struct span s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const bools[] = { "true", "True", "TRUE", "false", "False", "FALSE", NULL };

	if (s.len <= 5 && one_of(s, nulls))
		return YAML_NULL;
	if (s.len <= 5 && one_of(s, bools))
		return YAML_BOOL;
	return is_number(s) ? YAML_NUMBER : YAML_STRING;
}

bool yaml_to_bool(const struct yaml_node *n, bool *ret)
{
	static const char *const yes[] = { "true", "yes", "on", NULL }, *const no[] = { "false", "no", "off", NULL };

	if (n->kind != YAML_SCALAR)
		return false;
	for (int i = 0; yes[i]; i++)
		if (strcasecmp(n->text.ptr, yes[i]) == 0)
			return *ret = true, true;
	for (int i = 0; no[i]; i++)
		if (strcasecmp(n->text.ptr, no[i]) == 0)
			return *ret = false, true;
	return false;
}

bool yaml_to_number(const struct yaml_node *n, double *ret)
{
	double v;

	if (n->kind != YAML_SCALAR || !is_number(n->text))
		return false;
	v = strtod(n->text.ptr, NULL);
	if (!isfinite(v))
		return false;
	*ret = v;
	return true;
}

const struct yaml_pair *yaml_find(const struct yaml_node *map, const char *key)
{
	struct span wanted = span_from_string(key);

	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->n; i++)
		if (span_equal(map->pairs[i].key->text, wanted))
			return &map->pairs[i];
	return NULL;
}

/* ---- events to nodes ---- */

static void fail(struct reader *r, size_t from, size_t to, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void fail(struct reader *r, size_t from, size_t to, const char *format, ...)
{
	va_list args;

	r->failed = r->stop = true;
	va_start(args, format);
	yaml_vreport(r->diags, DIAG_ERROR, r->file, from, to, format, args);
	va_end(args);
}

static struct yaml_pair *find_key(struct level *level, struct span key)
{
	struct yaml_node *map = level->node;

	/* Most maps are small; a large one gets an index. */
	if (map->n >= 16) {
		struct map_entry *e;

		for (uint32_t i = (uint32_t)level->keys.n; i < map->n; i++) {
			bool new;

			e = map_add(&level->keys, map->pairs[i].key->text, &new);
			if (new)
				e->value.number = i;
		}
		e = map_find(&level->keys, key);
		return e ? &map->pairs[e->value.number] : NULL;
	}
	for (uint32_t i = 0; i < map->n; i++)
		if (span_equal(map->pairs[i].key->text, key))
			return &map->pairs[i];
	return NULL;
}

static void grow_node(struct reader *r, struct level *level, size_t item_size, void **items)
{
	void *larger;

	if (level->node->n < level->cap)
		return;
	level->cap = level->cap ? level->cap * 2 : 4;
	larger = arena_alloc(r->arena, level->cap * item_size);
	if (level->node->n)
		memcpy(larger, *items, level->node->n * item_size);
	*items = larger;
}

static void add_pair(struct reader *r, struct level *level, const struct yaml_node *key, const struct yaml_node *value, bool merged)
{
	struct yaml_pair *before = find_key(level, key->text);

	if (before && before->merged) {
		*before = (struct yaml_pair){ key, value, false };
		return;
	}
	grow_node(r, level, sizeof *level->node->pairs, (void **)&level->node->pairs);
	level->node->pairs[level->node->n++] = (struct yaml_pair){ key, value, merged };
}

/* YAML 1.1's "<<": what the other map has and this one has not. */
static void merge_map(struct reader *r, struct level *level, const struct yaml_node *key, const struct yaml_node *other)
{
	if (other->kind == YAML_LIST) {
		for (uint32_t i = 0; i < other->n && !r->failed; i++)
			if (other->items[i]->kind == YAML_MAP)
				merge_map(r, level, key, other->items[i]);
			else
				fail(r, key->offset, key->end, "\"<<\" must be a map, or a list of maps");
		return;
	}
	if (other->kind != YAML_MAP) {
		fail(r, key->offset, key->end, "\"<<\" must be a map, or a list of maps");
		return;
	}
	for (uint32_t i = 0; i < other->n; i++)
		if (!find_key(level, other->pairs[i].key->text))
			add_pair(r, level, other->pairs[i].key, other->pairs[i].value, true);
}

/* A finished node takes its place in the one that holds it. */
static void place(struct reader *r, const struct yaml_node *node)
{
	struct level *level;

	if (r->depth == 0) {
		r->root = (struct yaml_node *)node;
		return;
	}
	level = &r->levels[r->depth - 1];
	if (level->node->size + node->size > NODES_MAX) {
		fail(r, node->offset, node->end, "the document has more than %d values once its aliases are written out",
		     NODES_MAX);
		return;
	}
	level->node->size += node->size;
	if (level->node->kind == YAML_LIST) {
		grow_node(r, level, sizeof *level->node->items, (void **)&level->node->items);
		level->node->items[level->node->n++] = node;
	} else if (!level->key) {
		const struct yaml_pair *before;

		if (node->kind != YAML_SCALAR) {
			fail(r, node->offset, node->end, "a key must be a plain word, not a list or a map");
			return;
		}
		if (memchr(node->text.ptr, 0, node->text.len)) {
			fail(r, node->offset, node->end, "a key cannot hold a NUL");
			return;
		}
		before = find_key(level, node->text);
		if (before && !before->merged && !span_equal(node->text, SPAN("<<"))) {
			int line, column;

			yaml_position(r->file, before->key->offset, &line, &column);
			yaml_report(r->diags, DIAG_ERROR, r->file, node->offset, node->end,
				    "the key \"%s\" stands twice in this map; first in line %d", node->text.ptr, line);
			diag_hint(r->diags, "write its values as a list, or rename one of the two");
			r->failed = true;
		}
		level->key = node;
	} else {
		const struct yaml_node *key = level->key;

		level->key = NULL;
		if (key->type == YAML_STRING && span_equal(key->text, SPAN("<<")))
			merge_map(r, level, key, node);
		else
			add_pair(r, level, key, node, false);
	}
}

/* The tag's meaning for a scalar's type; false when it is not one of YAML's own. */
static bool apply_tag(struct reader *r, struct fy_token *tag, struct yaml_node *node)
{
	static const char prefix[] = "tag:yaml.org,2002:";
	size_t len;
	const char *text = tag ? fy_token_get_text(tag, &len) : NULL;
	struct span s = span_of(text, text ? len : 0);

	if (!text)
		return true;
	if (span_equal(s, SPAN("!"))) {
		node->type = YAML_STRING;
		return true;
	}
	if (span_starts_with(s, span_from_string(prefix))) {
		static const char *const known[] = { "str", "int", "float", "bool", "null", "map", "seq", "timestamp", NULL };

		s = span_from(s, strlen(prefix));
		if (span_equal(s, SPAN("str")))
			node->type = YAML_STRING;
		if (one_of(s, known))
			return true;
	}
	fail(r, node->offset, node->end, "the tag \"%.*s\" has no meaning in a rule", (int)(s.len < 80 ? s.len : 80), s.ptr);
	return false;
}

static struct yaml_node *new_node(struct reader *r, enum yaml_kind kind, struct fy_event *e)
{
	struct yaml_node *n = arena_zalloc(r->arena, sizeof *n);
	const struct fy_mark *start = fy_event_start_mark(e), *end = fy_event_end_mark(e);

	n->file = r->file;
	n->kind = kind;
	n->size = 1;
	/* A value that is not written at all has no mark: it stands behind its key. */
	n->offset = (uint32_t)(start ? r->base + start->input_pos : r->last_offset);
	n->end = (uint32_t)(end && start ? r->base + end->input_pos : n->offset);
	if (n->offset > r->file->text.len)
		n->offset = (uint32_t)r->file->text.len;
	if (n->end > r->file->text.len)
		n->end = (uint32_t)r->file->text.len;
	r->last_offset = n->end;
	return n;
}

static struct map_entry *note_anchor(struct reader *r, struct fy_token *anchor, const struct yaml_node *node, bool finished)
{
	size_t len;
	const char *text = anchor ? fy_token_get_text(anchor, &len) : NULL;
	struct map_entry *e;

	if (!text)
		return NULL;
	e = map_add(&r->anchors, span_of(text, len), NULL);
	/* Until a list or map is finished, an alias inside it would make it hold itself. */
	e->value.pointer = finished ? (void *)node : NULL;
	return e;
}

static void open_level(struct reader *r, struct yaml_node *node, struct fy_token *anchor)
{
	if (r->depth == DEPTH_MAX) {
		fail(r, node->offset, node->end, "lists and maps are nested more than %d deep", DEPTH_MAX);
		return;
	}
	r->levels[r->depth] = (struct level){ .node = node };
	r->levels[r->depth].anchor = note_anchor(r, anchor, node, false);
	r->depth++;
}

static void close_level(struct reader *r)
{
	struct level *level;

	if (r->depth == 0)
		return;
	level = &r->levels[--r->depth];
	if (level->anchor)
		level->anchor->value.pointer = level->node;
	map_release(&level->keys);
	place(r, level->node);
}

static void reset_document(struct reader *r)
{
	while (r->depth)
		map_release(&r->levels[--r->depth].keys);
	map_release(&r->anchors);
	r->root = NULL;
	r->failed = r->stop = false;
}

static void finish_document(struct reader *r)
{
	struct yaml_file *f = r->file;

	if (r->root && !r->failed && !(r->root->kind == YAML_SCALAR && r->root->type == YAML_NULL)) {
		if (f->n_documents == r->documents_cap) {
			size_t cap = r->documents_cap ? r->documents_cap * 2 : 8;
			const struct yaml_node **larger = arena_alloc(r->arena, cap * sizeof *larger);

			if (f->n_documents)
				memcpy(larger, f->documents, f->n_documents * sizeof *larger);
			f->documents = larger;
			r->documents_cap = cap;
		}
		f->documents[f->n_documents++] = r->root;
	}
	reset_document(r);
}

/* The character for what stands behind a backslash; *ret_len is its length. libfyaml has seen that it is one that YAML has. */
static uint32_t escaped(struct span s, size_t *ret_len)
{
	static const char names[] = "0abtnvfre \"/\\\tN_LP";
	static const uint32_t characters[] = { 0, 7, 8, 9, 10, 11, 12, 13, 27, ' ', '"', '/', '\\', '\t', 0x85, 0xa0, 0x2028, 0x2029 };
	size_t digits = s.ptr[0] == 'x' ? 2 : s.ptr[0] == 'u' ? 4 : s.ptr[0] == 'U' ? 8 : 0;
	const char *name = digits ? NULL : memchr(names, s.ptr[0], sizeof names - 1);
	uint32_t c = 0;

	*ret_len = 1;
	if (!digits)
		return name ? characters[name - names] : (unsigned char)s.ptr[0];
	for (; *ret_len <= digits && *ret_len < s.len && isxdigit((unsigned char)s.ptr[*ret_len]); ++*ret_len) {
		char digit = s.ptr[*ret_len];
		c = c << 4 | (uint32_t)(isdigit((unsigned char)digit) ? digit - '0' : (digit | 32) - 'a' + 10);
	}
	return c;
}

/*
 * The value of a quoted scalar that stands so between its quotes. '' is a quote between single ones, a backslash begins an escape between
 * double ones; a line break is a space, each further one a newline, and blanks around breaks are nothing. libfyaml would do all this, but 0.7 (as in
 * Debian 12) reads '''' as more than two quotes, takes away blanks that were escaped, ends the value with what was in memory instead, and
 * does not free what it worked with.
 */
static struct span quoted(struct arena *arena, struct span raw, bool escapes)
{
	char *out = arena_alloc(arena, raw.len * 2 + 1); /* \P is three bytes */
	size_t n = 0, kept = 0, i = 0;                   /* blanks behind kept go away before a break */

	while (i < raw.len) {
		bool joined = escapes && raw.ptr[i] == '\\' && i + 1 < raw.len && strchr("\r\n", raw.ptr[i + 1]);
		size_t breaks = 0, len;

		for (i += joined; i < raw.len && strchr(breaks ? "\r\n \t" : "\r\n", raw.ptr[i]); i++)
			breaks += raw.ptr[i] == '\n' || (raw.ptr[i] == '\r' && !(i + 1 < raw.len && raw.ptr[i + 1] == '\n'));
		if (breaks) {
			while (n > kept && !joined && (out[n - 1] == ' ' || out[n - 1] == '\t'))
				n--;
			if (breaks == 1 && !joined)
				out[n++] = ' ';
			while (--breaks)
				out[n++] = '\n';
			kept = n;
		} else if (escapes && raw.ptr[i] == '\\' && i + 1 < raw.len) {
			uint32_t c = escaped(span_from(raw, i + 1), &len);

			i += 1 + len;
			if (c >= 0xd800 && c < 0xdc00 && i + 1 < raw.len) { /* the first half of a pair, as JSON writes them */
				c = 0x10000 + ((c - 0xd800) << 10) + ((escaped(span_from(raw, i + 1), &len) - 0xdc00) & 0x3ff);
				i += 1 + len;
			}
			n += utf8_put(out + n, c);
			kept = n;
		} else {
			i += !escapes && raw.ptr[i] == '\'' && i + 1 < raw.len; /* the second of the two */
			out[n++] = raw.ptr[i++];
		}
	}
	out[n] = '\0';
	return span_of(out, n);
}

/* Is a scalar's value what is written, between its quotes if it has any? */
static bool means_itself(struct span raw, enum fy_scalar_style style)
{
	if (style != FYSS_PLAIN && style != FYSS_SINGLE_QUOTED && style != FYSS_DOUBLE_QUOTED)
		return false;
	if (style != FYSS_PLAIN && memchr(raw.ptr, style == FYSS_SINGLE_QUOTED ? '\'' : '\\', raw.len))
		return false;
	return !memchr(raw.ptr, '\n', raw.len) && !memchr(raw.ptr, '\r', raw.len);
}

static void take_event(struct reader *r, struct fy_event *e)
{
	struct yaml_node *n;
	size_t len;
	const char *text;
	enum fy_scalar_style style;
	struct span raw; /* as it is written */

	switch (e->type) {
	case FYET_NONE:
	case FYET_STREAM_START:
	case FYET_STREAM_END:
		break;
	case FYET_DOCUMENT_START:
		reset_document(r);
		break;
	case FYET_DOCUMENT_END:
		finish_document(r);
		break;
	case FYET_MAPPING_START:
		n = new_node(r, YAML_MAP, e);
		if (apply_tag(r, e->mapping_start.tag, n))
			open_level(r, n, e->mapping_start.anchor);
		break;
	case FYET_SEQUENCE_START:
		n = new_node(r, YAML_LIST, e);
		if (apply_tag(r, e->sequence_start.tag, n))
			open_level(r, n, e->sequence_start.anchor);
		break;
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		close_level(r);
		break;
	case FYET_SCALAR:
		n = new_node(r, YAML_SCALAR, e);
		style = fy_token_scalar_style(e->scalar.value);
		raw = span_of(r->file->text.ptr + n->offset, n->end - n->offset);
		if (means_itself(raw, style)) {
			n->text = arena_dup_span(r->arena, raw);
		} else if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) {
			n->text = quoted(r->arena, raw, style == FYSS_DOUBLE_QUOTED);
		} else {
			/* No NUL stands in the file, but libfyaml 0.7 ends some folded and empty blocks with one. */
			text = fy_token_get_text(e->scalar.value, &len);
			len = text ? strnlen(text, len) : 0;
			n->text.ptr = arena_dup(r->arena, text ? text : "", len);
			n->text.len = len;
		}
		n->type = style == FYSS_PLAIN ? plain_type(n->text) : YAML_STRING;
		if (apply_tag(r, e->scalar.tag, n)) {
			note_anchor(r, e->scalar.anchor, n, true);
			place(r, n);
		}
		break;
	case FYET_ALIAS: {
		struct map_entry *anchor;

		n = new_node(r, YAML_SCALAR, e);
		text = fy_token_get_text(e->alias.anchor, &len);
		anchor = text ? map_find(&r->anchors, span_of(text, len)) : NULL;
		if (anchor && anchor->value.pointer) {
			place(r, anchor->value.pointer);
			break;
		}
		fail(r, n->offset, n->end,
		     anchor ? "the alias \"*%.*s\" stands inside what it names" : "there is no anchor \"&%.*s\" before this alias",
		     (int)(len < 200 ? len : 200), text ? text : "");
		if (!anchor)
			diag_hint(r->diags, "a value that begins with \"*\" must be quoted");
		break;
	}
	}
}

static size_t leading(struct span s, char c)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] == c)
		n++;
	return n;
}

static bool is_item(struct span s)
{
	return s.len && s.ptr[0] == '-' && (s.len == 1 || s.ptr[1] == ' ');
}

/*
 * A value in this line seems to go on in the next, and there is a key: mostly because that is indented by more than the key in this line.
 */
static void hint_deeper_key(struct reader *r, int line)
{
	struct span text = yaml_line(r->file, line), below = { "", 0 };
	size_t own = leading(text, ' '), deeper = 0;
	int next = line;

	while (is_item(span_from(text, own)))
		own += 1 + leading(span_from(text, own + 1), ' ');
	while (deeper == below.len && (size_t)++next <= r->file->n_lines) {
		below = yaml_line(r->file, next);
		deeper = leading(below, ' ');
	}
	if (deeper > own && memchr(below.ptr, ':', below.len))
		diag_hint(r->diags, "line %d goes on with this value, for it is indented by %zu: indent the keys of one map alike, here by %zu; or quote a value that holds \": \"",
			  next, deeper, own);
	else
		diag_hint(r->diags, "quote a value that holds \": \", and indent the keys of one map alike");
}

/*
 * How this line may be indented to be the next item, or the next key, of a list or map that lines above it belong to: of what is possible the next smaller
 * and the next larger indentation.
 */
static void hint_indentation(struct reader *r, int line)
{
	struct span text = yaml_line(r->file, line);
	size_t own = leading(text, ' '), smaller = SIZE_MAX, larger = SIZE_MAX, within = SIZE_MAX;
	bool item = is_item(span_from(text, own));

	while (--line >= 1 && smaller == SIZE_MAX) {
		size_t columns[8], n = 0, at;

		text = yaml_line(r->file, line);
		at = leading(text, ' ');
		if (at == text.len || text.ptr[at] == '#')
			continue;
		if (span_starts_with(text, SPAN("---")))
			break;
		/* "- - key: value" begins two lists and a map. */
		for (; n < 8 && is_item(span_from(text, at)); at += 1 + leading(span_from(text, at + 1), ' '))
			columns[n++] = at;
		if (!item)
			n = 0;
		if (!item && memchr(text.ptr + at, ':', text.len - at))
			columns[n++] = at;
		while (n-- && smaller == SIZE_MAX) {
			if (columns[n] >= within)
				continue;
			within = columns[n];
			if (within == own)
				return;
			*(within > own ? &larger : &smaller) = within;
		}
		/* What stands deeper than this line is over; not at its own column, for a list may stand right below its key. */
		if (leading(text, ' ') < within)
			within = leading(text, ' ') + 1;
	}
	if (smaller != SIZE_MAX && larger != SIZE_MAX)
		diag_hint(r->diags, "indent it as a line above it: by %zu or %zu spaces, not %zu", smaller, larger, own);
	else if (smaller != SIZE_MAX || larger != SIZE_MAX)
		diag_hint(r->diags, "indent it as a line above it: by %zu spaces, not %zu", smaller != SIZE_MAX ? smaller : larger, own);
}

/* What libfyaml says, and a hint where its words are not those of the mistake. */
static void report_parser_error(struct reader *r, struct fy_diag *diag)
{
	void *iterator = NULL;
	struct fy_diag_error *e = fy_diag_errors_iterate(diag, &iterator);
	int base_line, base_column, line;
	struct span text, trimmed;
	size_t offset, column, at;
	uint32_t invisible;

	if (!e) {
		fail(r, r->last_offset, r->last_offset, "this is not YAML");
		return;
	}
	yaml_position(r->file, r->base, &base_line, &base_column);
	line = base_line + (e->line > 0 ? e->line - 1 : 0);
	text = yaml_line(r->file, line);
	column = e->column > 0 ? (size_t)e->column - 1 : 0;
	if (column > text.len)
		column = text.len;
	offset = (size_t)(text.ptr - r->file->text.ptr);
	/* Columns are characters, offsets bytes. */
	for (size_t i = 0; i < column && offset < (size_t)(text.ptr - r->file->text.ptr) + text.len; i++) {
		size_t step = utf8_sequence(r->file->text.ptr + offset, r->file->text.len - offset);

		offset += step ? step : 1;
	}
	if (text.len == 0)
		offset = r->last_offset;
	fail(r, offset, offset, "YAML: %s", e->msg ? e->msg : "syntax error");
	for (trimmed = text; trimmed.len && trimmed.ptr[0] == ' '; trimmed = span_from(trimmed, 1))
		;
	if ((trimmed.len && trimmed.ptr[0] == '\t') ||
	    (yaml_line(r->file, line + 1).len && yaml_line(r->file, line + 1).ptr[0] == '\t'))
		diag_hint(r->diags, "YAML is indented with spaces, not with tabs");
	else if (yaml_find_invisible(text, &at, &invisible))
		diag_hint(r->diags, "the invisible character U+%04" PRIX32 " stands in this line", invisible);
	else if (e->msg && strstr(e->msg, "cannot start with"))
		diag_hint(r->diags, "quote the value: '…'");
	else if (e->msg && strstr(e->msg, "invalid escape"))
		diag_hint(r->diags, "in double quotes a backslash begins an escape: use single quotes, where it is one");
	else if (e->msg && strstr(e->msg, "multiline plain"))
		hint_deeper_key(r, line);
	else if (e->msg && strstr(e->msg, "nested block mapping on the same line"))
		diag_hint(r->diags, "quote a value that holds \": \", and indent the keys of one map alike");
	else if (e->msg && (strstr(e->msg, "invalid indentation") || strstr(e->msg, "wrong indendation") || strstr(e->msg, "did not find expected")))
		hint_indentation(r, line);
	else if (e->msg && strstr(e->msg, "invalid value after mapping"))
		diag_hint(r->diags, "a key has \": \" behind it; a text over several lines is indented alike, and more than its key");
	else if (e->msg && strstr(e->msg, "wrongly indented") && strstr(e->msg, "quoted"))
		diag_hint(r->diags, "is its quote closed? Further lines of it are indented by more than its key");
	else if (e->msg && strstr(e->msg, "missing comma in flow"))
		diag_hint(r->diags, "a bracket before it is not closed, or a comma is missing");
}

/* The first line after `from` that begins a document; the end of the text when there is none. */
static size_t next_document(struct span text, size_t from)
{
	for (size_t i = from; i < text.len; i++) {
		struct span rest = span_from(text, i);

		if ((i == 0 || text.ptr[i - 1] == '\n' || text.ptr[i - 1] == '\r') && span_starts_with(rest, SPAN("---")) &&
		    (rest.len == 3 || strchr(" \t\r\n", rest.ptr[3])))
			return i;
	}
	return text.len;
}

/* Parses from r->base to the end or the first error; returns where to go on. */
static size_t parse_from(struct reader *r)
{
	struct fy_diag_cfg diag_cfg;
	struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_JSON_NONE };
	struct fy_parser *parser;
	struct fy_diag *diag;
	struct fy_event *e;
	size_t document = r->base, next = r->file->text.len;

	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.level = FYET_ERROR;
	diag = fy_diag_create(&diag_cfg);
	if (!diag)
		return next;
	fy_diag_set_collect_errors(diag, true);
	cfg.diag = diag;
	parser = fy_parser_create(&cfg);
	if (!parser || fy_parser_set_string(parser, r->file->text.ptr + r->base, r->file->text.len - r->base) < 0)
		goto done;
	while ((e = fy_parser_parse(parser))) {
		const struct fy_mark *mark = fy_event_start_mark(e);

		if (e->type == FYET_DOCUMENT_START && mark)
			document = r->base + mark->input_pos;
		take_event(r, e);
		fy_parser_event_free(parser, e);
		if (r->stop)
			break;
		if (r->diags->n_errors > ERRORS_MAX)
			goto done;
	}
	if (!r->stop && fy_parser_get_stream_error(parser))
		report_parser_error(r, diag);
	if (r->stop)
		next = next_document(r->file->text, document + 1);
done:
	fy_parser_destroy(parser);
	fy_diag_destroy(diag);
	return next;
}

/* Are these 8 bytes all ASCII, and no control characters? */
static bool printable(const char *p)
{
	const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
	uint64_t v;

	memcpy(&v, p, sizeof v);
	/* The highest bit of each byte says: not ASCII; not less than ' '; DEL. */
	return !(v & high) && ((v + ones * 0x60) & high) == high && !((v + ones) & high);
}

/* Of a file with NUL bytes it is not one byte that is wrong. */
static bool hint_binary(struct reader *r)
{
	if (!memchr(r->file->text.ptr, 0, r->file->text.len))
		return false;
	diag_hint(r->diags, "this is binary data: name a file of rules, which are YAML, or a folder of them");
	return true;
}

/* False, with an error, when the bytes are no text that YAML allows. */
static bool check_bytes(struct reader *r)
{
	struct span text = r->file->text;

	if (text.len > FILE_MAX) {
		diag_add(r->diags, DIAG_ERROR, r->file->name, 0, 0, "larger than %u MiB: is this a rule file?", FILE_MAX >> 20);
		return false;
	}
	if (span_starts_with(text, SPAN("\xff\xfe")) || span_starts_with(text, SPAN("\xfe\xff"))) {
		diag_add(r->diags, DIAG_ERROR, r->file->name, 1, 0, "the file is UTF-16; rules are UTF-8");
		return false;
	}
	for (size_t i = 0, n; i < text.len; i += n) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (i + 8 <= text.len && printable(text.ptr + i)) {
			n = 8;
			continue;
		}
		n = (c >= ' ' && c < 0x7f) || c == '\n' ? 1 : utf8_sequence(text.ptr + i, text.len - i);
		if (!n) {
			fail(r, i, i, "the byte 0x%02x is not UTF-8", c);
			hint_binary(r);
			return false;
		}
		if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
			fail(r, i, i, "the control character 0x%02x is not allowed here", c);
			if (!hint_binary(r))
				diag_hint(r->diags, "in a \"double-quoted\" value write it as \\x%02x", c);
			return false;
		}
	}
	return true;
}

struct yaml_file *yaml_parse(struct arena *arena, struct span text, const char *name, struct diag_list *diags)
{
	struct reader r = { .arena = arena, .diags = diags };

	r.file = arena_zalloc(arena, sizeof *r.file);
	r.file->name = arena_strdup(arena, name);
	r.file->text = text;
	index_lines(&r);
	if (!check_bytes(&r))
		return r.file;
	while (r.base < text.len && diags->n_errors <= ERRORS_MAX) {
		r.last_offset = r.base;
		r.base = parse_from(&r);
		reset_document(&r);
	}
	return r.file;
}
