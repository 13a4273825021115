/*
 * value.c: decides what a string in a detection means: which "*" and "?" are wildcards, what a modifier makes of it.
 * Escaping is Sigma's: a backslash takes the meaning from a wildcard or a backslash behind it, and is itself anywhere else.
 * Invariant: a value never becomes more than EXPANSIONS_MAX. It does not know fields.
 */
#include "rule/value.h"
#include "base/quote.h"
#include <ctype.h>

#define EXPANSIONS_MAX 4096
#define PIECES_MAX 1000
#define UNITS_MAX (1u << 20) /* in all combinations of one value together */
#define SEGMENTS_MAX 64      /* placeholders and escapes in one value */

struct units units_parse(struct arena *arena, struct span text)
{
	struct units u = { arena_alloc(arena, (text.len + 1) * sizeof *u.unit), 0 };

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '\\' && i + 1 < text.len && strchr("*?\\", text.ptr[i + 1]) && text.ptr[i + 1])
			u.unit[u.n++] = (unsigned char)text.ptr[++i];
		else if (c == '*')
			u.unit[u.n++] = UNIT_STAR;
		else if (c == '?')
			u.unit[u.n++] = UNIT_ONE;
		else
			u.unit[u.n++] = c;
	}
	return u;
}

void units_list_add(struct arena *arena, struct units_list *list, struct units u)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 4;
		struct units *larger = arena_alloc(arena, cap * sizeof *larger);

		if (list->n)
			memcpy(larger, list->items, list->n * sizeof *larger);
		list->items = larger;
		list->cap = cap;
	}
	list->items[list->n++] = u;
}

bool units_have_wildcard(const struct units *u)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->unit[i] > 255)
			return true;
	return false;
}

struct span units_text(struct arena *arena, const struct units *u)
{
	char *text = arena_alloc(arena, u->n + 1);

	for (size_t i = 0; i < u->n; i++)
		text[i] = u->unit[i] == UNIT_STAR ? '*' : u->unit[i] == UNIT_ONE ? '?' : (char)u->unit[i];
	text[u->n] = '\0';
	return span_of(text, u->n);
}

struct units units_open(struct arena *arena, struct units u, bool start, bool end)
{
	struct units r = { arena_alloc(arena, (u.n + 2) * sizeof *r.unit), 0 };

	if (start && !(u.n && u.unit[0] == UNIT_STAR))
		r.unit[r.n++] = UNIT_STAR;
	if (u.n)
		memcpy(r.unit + r.n, u.unit, u.n * sizeof *u.unit);
	r.n += u.n;
	if (end && !(r.n && r.unit[r.n - 1] == UNIT_STAR))
		r.unit[r.n++] = UNIT_STAR;
	return r;
}

/* a, then units [from, to) of b. */
static struct units concat(struct arena *arena, struct units a, const struct units *b, size_t from, size_t to)
{
	struct units r = { arena_alloc(arena, (a.n + to - from + 1) * sizeof *r.unit), a.n };

	if (a.n)
		memcpy(r.unit, a.unit, a.n * sizeof *r.unit);
	for (size_t i = from; i < to; i++)
		r.unit[r.n++] = b->unit[i];
	return r;
}

static int too_many(struct loader *l, const struct yaml_node *at)
{
	report(l, DIAG_ERROR, at, "this value stands for more than %d combinations", EXPANSIONS_MAX);
	return -1;
}

/* Every item of the list, followed by every one of the alternatives. */
static int multiply(struct loader *l, const struct yaml_node *at, struct units_list *list, const struct units_list *alternatives)
{
	struct units_list r = { NULL, 0, 0 };
	size_t units = 0;

	for (size_t i = 0; i < list->n; i++)
		units += list->items[i].n * alternatives->n;
	for (size_t k = 0; k < alternatives->n; k++)
		units += alternatives->items[k].n * list->n;
	if (list->n * alternatives->n > EXPANSIONS_MAX || units > UNITS_MAX)
		return too_many(l, at);
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < alternatives->n; k++)
			units_list_add(&l->scratch, &r,
				       concat(&l->scratch, list->items[i], &alternatives->items[k], 0, alternatives->items[k].n));
	*list = r;
	return 0;
}

static void append_all(struct loader *l, struct units_list *list, const struct units *u, size_t from, size_t to)
{
	if (from == to)
		return;
	for (size_t i = 0; i < list->n; i++)
		list->items[i] = concat(&l->scratch, list->items[i], u, from, to);
}

/* ---- expand ---- */

/* The length of "%name%" at i, 0 when there is none. */
static size_t placeholder_at(const struct units *u, size_t i, struct buffer *name)
{
	size_t k = i + 1;

	buffer_clear(name);
	if (u->unit[i] != '%' || (i > 0 && u->unit[i - 1] == '\\'))
		return 0;
	while (k < u->n && u->unit[k] < 256 && (isalnum(u->unit[k]) || u->unit[k] == '_' || u->unit[k] == '-'))
		buffer_append_char(name, (char)u->unit[k++]);
	return k < u->n && u->unit[k] == '%' && name->len ? k + 1 - i : 0;
}

static struct placeholder *find_placeholder(struct loader *l, const struct yaml_node *at, struct span name)
{
	struct map_entry *e = map_find(&l->placeholders, name);
	const char **words;

	if (e)
		return e->value.pointer;
	if (!report(l, DIAG_ERROR, at, "there is no placeholder \"%%%.*s%%\"", (int)name.len, name.ptr))
		return NULL;
	words = arena_alloc(&l->scratch, (l->placeholders.n + 1) * sizeof *words);
	for (size_t i = 0; i < l->placeholders.n; i++)
		words[i] = l->placeholders.entries[i]->key.ptr;
	words[l->placeholders.n] = NULL;
	if (!suggest(l, name, words))
		hint(l, "give it values in a document of its own: placeholders: {%.*s: ['…', '…']}", (int)name.len, name.ptr);
	return NULL;
}

/* A value for a regex: wildcards become regexes, all else stands for itself. */
static struct units quote_for_regex(struct arena *arena, const struct units *u)
{
	struct units r = { arena_alloc(arena, (u->n * 2 + 1) * sizeof *r.unit), 0 };

	for (size_t i = 0; i < u->n; i++) {
		if (u->unit[i] == UNIT_STAR) {
			r.unit[r.n++] = '.';
			r.unit[r.n++] = '*';
		} else if (u->unit[i] == UNIT_ONE) {
			r.unit[r.n++] = '.';
		} else {
			if (u->unit[i] < 128 && !isalnum(u->unit[i]) && u->unit[i] != '_' && u->unit[i] > ' ')
				r.unit[r.n++] = '\\';
			r.unit[r.n++] = u->unit[i];
		}
	}
	return r;
}

static int expand_one(struct loader *l, const struct yaml_node *at, const struct units *u, bool for_regex, bool *found,
		      struct units_list *ret)
{
	struct buffer name = BUFFER_INIT;
	size_t from = 0, segments = 0;
	int r = -1;

	*ret = (struct units_list){ NULL, 0, 0 };
	units_list_add(&l->scratch, ret, (struct units){ NULL, 0 });
	for (size_t i = 0; i < u->n;) {
		size_t len = placeholder_at(u, i, &name);
		struct units_list values = { NULL, 0, 0 };
		struct placeholder *p;

		if ((len || u->unit[i] == '\\') && ++segments > SEGMENTS_MAX) {
			too_many(l, at);
			goto done;
		}

		if (!len) {
			/* "\%" is a plain "%". */
			if (u->unit[i] == '\\' && i + 1 < u->n && u->unit[i + 1] == '%') {
				append_all(l, ret, u, from, i);
				from = i + 1;
				i += 2;
			} else {
				i++;
			}
			continue;
		}
		*found = true;
		append_all(l, ret, u, from, i);
		p = find_placeholder(l, at, buffer_span(&name));
		if (!p)
			goto done;
		p->used = true;
		for (size_t k = 0; k < p->n; k++) {
			struct units v = units_parse(&l->scratch, p->values[k]->text);

			if (for_regex)
				v = quote_for_regex(&l->scratch, &v);
			units_list_add(&l->scratch, &values, v);
		}
		if (multiply(l, at, ret, &values) < 0)
			goto done;
		i += len;
		from = i;
	}
	append_all(l, ret, u, from, u->n);
	r = 0;
done:
	buffer_release(&name);
	return r;
}

int expand_placeholders(struct loader *l, const struct yaml_node *at, struct units_list *list)
{
	struct units_list result = { NULL, 0, 0 };
	bool found = false;

	for (size_t i = 0; i < list->n; i++) {
		struct units_list one;

		if (expand_one(l, at, &list->items[i], false, &found, &one) < 0)
			return -1;
		if (result.n + one.n > EXPANSIONS_MAX)
			return too_many(l, at);
		for (size_t k = 0; k < one.n; k++)
			units_list_add(&l->scratch, &result, one.items[k]);
	}
	if (!found && l->lint && report(l, DIAG_WARNING, at, "\"expand\" has nothing to expand here"))
		hint(l, memmem(at->text.ptr, at->text.len, "\\%", 2) ? "a backslash in front of it takes the meaning of %% away; \"?\" stands for one, too"
								: "a placeholder is written %%name%%");
	*list = result;
	return 0;
}

int expand_regex(struct loader *l, const struct yaml_node *at, struct units_list *ret)
{
	struct units u = { arena_alloc(&l->scratch, (at->text.len + 1) * sizeof *u.unit), at->text.len };
	bool found = false;

	for (size_t i = 0; i < u.n; i++)
		u.unit[i] = (unsigned char)at->text.ptr[i];
	return expand_one(l, at, &u, true, &found, ret);
}

/* ---- windash ---- */

static const char *const dashes[] = { "-", "/", "\u2013", "\u2014", "\u2015" };

/* The bytes of the dash at i; 0: there is none. */
static size_t dash_at(const struct units *u, size_t i)
{
	for (size_t d = 0; d < sizeof dashes / sizeof *dashes; d++) {
		size_t len = strlen(dashes[d]), k = 0;

		while (k < len && i + k < u->n && u->unit[i + k] == (unsigned char)dashes[d][k])
			k++;
		if (k == len)
			return len;
	}
	return 0;
}

static bool is_word_unit(const struct units *u, size_t i)
{
	return i < u->n && u->unit[i] < 256 && (isalnum(u->unit[i]) || u->unit[i] == '_' || (u->unit[i] > 127 && !dash_at(u, i)));
}

static int windash_one(struct loader *l, const struct yaml_node *at, const struct units *u, struct units_list *ret)
{
	struct units_list alternatives = { NULL, 0, 0 };
	size_t from = 0;

	for (size_t d = 0; d < sizeof dashes / sizeof *dashes; d++) {
		struct units v = { arena_alloc(&l->scratch, 4 * sizeof *v.unit), 0 };

		for (const char *p = dashes[d]; *p; p++)
			v.unit[v.n++] = (unsigned char)*p;
		units_list_add(&l->scratch, &alternatives, v);
	}
	*ret = (struct units_list){ NULL, 0, 0 };
	units_list_add(&l->scratch, ret, (struct units){ NULL, 0 });
	for (size_t i = 0; i < u->n;) {
		size_t len = dash_at(u, i);
		bool word_before = i > from ? is_word_unit(u, i - 1) : i > 0 && is_word_unit(u, i - 1);

		/* Only a dash that begins an option: no word before it, one behind it. */
		if (!len || word_before || !is_word_unit(u, i + len)) {
			i += len ? len : 1;
			continue;
		}
		append_all(l, ret, u, from, i);
		if (multiply(l, at, ret, &alternatives) < 0)
			return -1;
		i += len;
		from = i;
	}
	append_all(l, ret, u, from, u->n);
	return 0;
}

int expand_windash(struct loader *l, const struct yaml_node *at, struct units_list *list)
{
	struct units_list result = { NULL, 0, 0 };

	for (size_t i = 0; i < list->n; i++) {
		struct units_list one;

		if (windash_one(l, at, &list->items[i], &one) < 0)
			return -1;
		if (result.n + one.n > EXPANSIONS_MAX)
			return too_many(l, at);
		for (size_t k = 0; k < one.n; k++)
			units_list_add(&l->scratch, &result, one.items[k]);
	}
	*list = result;
	return 0;
}

/* ---- encodings ---- */

static void put_utf16(struct units *u, uint32_t c, bool big)
{
	uint32_t words[2] = { c, 0 };
	size_t n = 1;

	if (c > 0xffff) {
		words[0] = 0xd800 + ((c - 0x10000) >> 10);
		words[1] = 0xdc00 + ((c - 0x10000) & 0x3ff);
		n = 2;
	}
	for (size_t i = 0; i < n; i++) {
		u->unit[u->n++] = (uint16_t)(big ? words[i] >> 8 : words[i] & 0xff);
		u->unit[u->n++] = (uint16_t)(big ? words[i] & 0xff : words[i] >> 8);
	}
}

int encode_utf16(struct loader *l, const struct yaml_node *at, enum utf16_form form, struct units_list *list)
{
	for (size_t k = 0; k < list->n; k++) {
		struct units *u = &list->items[k];
		struct units r = { arena_alloc(&l->scratch, (u->n * 2 + 4) * sizeof *r.unit), 0 };

		if (form == UTF16_BOM)
			put_utf16(&r, 0xfeff, false);
		for (size_t i = 0; i < u->n;) {
			char bytes[4];
			size_t n = 0, len;
			uint32_t c;

			if (u->unit[i] > 255) {
				r.unit[r.n++] = u->unit[i++];
				continue;
			}
			while (n < 4 && i + n < u->n && u->unit[i + n] < 256) {
				bytes[n] = (char)u->unit[i + n];
				n++;
			}
			len = utf8_sequence(bytes, n);
			if (!len) {
				report(l, DIAG_ERROR, at, "a value that is encoded already cannot be turned into UTF-16");
				return -1;
			}
			c = (unsigned char)bytes[0];
			if (len > 1)
				c &= 0xffu >> (len + 1);
			for (size_t b = 1; b < len; b++)
				c = c << 6 | ((unsigned char)bytes[b] & 0x3f);
			put_utf16(&r, c, form == UTF16_BE);
			i += len;
		}
		*u = r;
	}
	return 0;
}

/*
 * Base64 of the bytes behind `shift` unknown ones; what depends on unknown neighbours is left out at the front, and, when
 * something may follow, at the end.
 */
static struct units base64(struct arena *arena, const struct units *u, size_t shift, bool open)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t total = u->n + shift, last;
	struct units r = { arena_alloc(arena, ((total + 2) / 3 * 4 + 1) * sizeof *r.unit), 0 };
	size_t first = shift == 0 ? 0 : shift + 1;

	for (size_t i = 0; i < total; i += 3) {
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k >= shift && i + k < total ? u->unit[i + k - shift] : 0u);
		for (size_t k = 0; k < 4; k++)
			r.unit[r.n++] = (uint16_t)(i + (k ? k - 1 : 0) < total ? digits[v >> (18 - 6 * k) & 63] : '=');
	}
	last = r.n;
	if (open && total % 3)
		last -= total % 3 == 1 ? 3 : 2;
	if (first > last)
		first = last;
	return (struct units){ r.unit + first, last - first };
}

int encode_base64(struct loader *l, const struct yaml_node *at, bool offsets, struct units_list *list)
{
	struct units_list result = { NULL, 0, 0 };

	for (size_t i = 0; i < list->n; i++) {
		if (units_have_wildcard(&list->items[i])) {
			if (report(l, DIAG_ERROR, at, "a value with wildcards cannot be encoded in base64"))
				hint(l, "escape a \"*\" or \"?\" that is meant as such with a backslash; put contains behind base64offset");
			return -1;
		}
		for (size_t shift = 0; shift < (offsets ? 3 : 1); shift++) {
			struct units u = base64(&l->scratch, &list->items[i], shift, offsets);

			if (u.n < 2 && list->items[i].n) {
				report(l, DIAG_ERROR, at, "too short to be recognised in base64");
				return -1;
			}
			units_list_add(&l->scratch, &result, u);
		}
	}
	*list = result;
	return 0;
}

/* ---- the pattern ---- */

static char lower(uint16_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

int compile_pattern(struct loader *l, const struct yaml_node *at, const struct units *u, bool cased,
		    struct string_pattern *ret)
{
	size_t n_pieces = 0;

	*ret = (struct string_pattern){ .cased = cased };
	for (size_t i = 0; i < u->n; i++) {
		if (u->unit[i] == 0) {
			report(l, DIAG_ERROR, at, "a value that holds a NUL cannot be found in a log");
			return -1;
		}
		if (u->unit[i] != UNIT_STAR && (i == 0 || u->unit[i - 1] == UNIT_STAR))
			n_pieces++;
	}
	if (n_pieces > PIECES_MAX) {
		report(l, DIAG_ERROR, at, "more than %d wildcards in one value", PIECES_MAX);
		return -1;
	}
	ret->open_start = u->n && u->unit[0] == UNIT_STAR;
	ret->open_end = u->n && u->unit[u->n - 1] == UNIT_STAR;
	ret->pieces = arena_alloc(&l->rs->arena, (n_pieces + 1) * sizeof *ret->pieces);
	for (size_t i = 0; i < u->n;) {
		size_t end = i;
		char *bytes;

		if (u->unit[i] == UNIT_STAR) {
			i++;
			continue;
		}
		while (end < u->n && u->unit[end] != UNIT_STAR)
			end++;
		bytes = arena_alloc(&l->rs->arena, end - i + 1);
		for (size_t k = i; k < end; k++)
			bytes[k - i] = u->unit[k] == UNIT_ONE ? '\0' : cased ? (char)u->unit[k] : lower(u->unit[k]);
		bytes[end - i] = '\0';
		ret->pieces[ret->n_pieces++] = span_of(bytes, end - i);
		i = end;
	}
	return 0;
}
