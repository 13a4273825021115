/*
 * diag.c: decides how a diagnostic is kept, ordered and shown. Invariants: the
 * list's counts agree with its items; nothing printed here can move the cursor or
 * change the terminal, whatever a rule file holds; the caret stands under the
 * character meant, also after tabs and wide characters. It does not decide what
 * is an error, nor where the text goes.
 */
#include "base/diag.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/quote.h"
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* A source line longer than this is kept in part: a diagnostic is read by people, and there may be many of them. */
#define EXCERPT_MAX 4096
/* Shown of a line: this many columns, and when the caret is further right, from this many columns before it. */
#define SHOWN_COLUMNS 120
#define SHOWN_BEFORE 60
#define TAB_COLUMNS 8

static char *__attribute__((format(printf, 1, 0))) format_text(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		xmalloc(SIZE_MAX); /* says out of memory */
	return text;
}

struct diag *diag_add(struct diag_list *l, enum diag_level level, const char *file, int line, int column,
		      const char *format, ...)
{
	struct diag *d;
	va_list args;

	ARRAY_GROW(l->items, l->n, l->cap);
	d = &l->items[l->n++];
	*d = (struct diag){ .level = level, .line = line, .column = column, .width = 1 };
	d->file = file ? xstrdup(file) : NULL;
	va_start(args, format);
	d->text = format_text(format, args);
	va_end(args);
	l->n_errors += level == DIAG_ERROR;
	l->n_warnings += level == DIAG_WARNING;
	return d;
}

void diag_hint(struct diag_list *l, const char *format, ...)
{
	struct diag *d;
	va_list args;

	assert(l->n > 0);
	d = &l->items[l->n - 1];
	free(d->hint);
	va_start(args, format);
	d->hint = format_text(format, args);
	va_end(args);
}

void diag_hint_unwritable(struct diag_list *l, const char *path, int error)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	struct buffer directory = BUFFER_INIT;

	quote_shell(&directory, slash && len ? span_of(path, len) : slash ? SPAN("/") : SPAN("."));
	if (error == ENOENT && slash)
		diag_hint(l, "its directory is not there; make it: mkdir -p %s", buffer_string(&directory));
	else if (error == EISDIR)
		diag_hint(l, "it is a directory: name a file in it");
	else if (error == ENOTDIR)
		diag_hint(l, "what stands before the last / must be a directory");
	else if (error == EACCES || error == EPERM)
		diag_hint(l, "check who may write there: ls -ld %s", buffer_string(&directory));
	else if (error == EROFS)
		diag_hint(l, "name a place on a file system that can be written to");
	buffer_release(&directory);
}

void diag_excerpt(struct diag_list *l, struct span source_line, int width)
{
	struct diag *d;
	size_t len = source_line.len;
	const char *nul;

	assert(l->n > 0);
	d = &l->items[l->n - 1];
	while (len && (source_line.ptr[len - 1] == '\n' || source_line.ptr[len - 1] == '\r'))
		len--;
	len = utf8_cut(span_of(source_line.ptr, len), EXCERPT_MAX).len;
	/* A string cannot hold a NUL; what is behind one is not shown. */
	nul = len ? memchr(source_line.ptr, '\0', len) : NULL;
	if (nul)
		len = (size_t)(nul - source_line.ptr);
	free(d->excerpt);
	d->excerpt = xmemdup(source_line.ptr, len);
	d->width = width > 0 ? width : 1;
}

static void diag_release(struct diag *d)
{
	free(d->file);
	free(d->text);
	free(d->hint);
	free(d->excerpt);
}

struct sort_item {
	uint64_t file_rank;
	size_t index;
	struct diag diag;
};

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_items(const void *pa, const void *pb)
{
	const struct sort_item *a = pa, *b = pb;
	int c = compare_numbers(a->file_rank, b->file_rank);

	if (!c)
		c = (a->diag.line > b->diag.line) - (a->diag.line < b->diag.line);
	if (!c)
		c = (a->diag.column > b->diag.column) - (a->diag.column < b->diag.column);
	return c ? c : compare_numbers(a->index, b->index);
}

/* What makes two diagnostics the same to a reader, as one byte string. */
static void identity(struct buffer *out, const struct sort_item *item)
{
	const struct diag *d = &item->diag;

	buffer_clear(out);
	buffer_printf(out, "%d %ju %d %d %zu ", d->level, (uintmax_t)item->file_rank, d->line, d->column,
		      strlen(d->text));
	buffer_append_string(out, d->text);
	if (d->hint)
		buffer_append_string(out, d->hint);
}

void diag_sort(struct diag_list *l)
{
	struct map files = MAP_INIT, seen = MAP_INIT;
	struct buffer key = BUFFER_INIT;
	struct sort_item *items;
	size_t n = l->n;

	if (n < 2)
		return;
	items = xcalloc(n, sizeof *items);
	for (size_t i = 0; i < n; i++) {
		bool new;
		struct map_entry *e = map_add(&files, span_from_string(l->items[i].file), &new);

		if (new)
			e->value.number = files.n;
		items[i] = (struct sort_item){ e->value.number, i, l->items[i] };
	}
	qsort(items, n, sizeof *items, compare_items);
	l->n = l->n_errors = l->n_warnings = 0;
	for (size_t i = 0; i < n; i++) {
		bool new;

		identity(&key, &items[i]);
		map_add(&seen, buffer_span(&key), &new);
		if (!new) {
			diag_release(&items[i].diag);
			continue;
		}
		l->items[l->n++] = items[i].diag;
		l->n_errors += items[i].diag.level == DIAG_ERROR;
		l->n_warnings += items[i].diag.level == DIAG_WARNING;
	}
	free(items);
	buffer_release(&key);
	map_release(&files);
	map_release(&seen);
}

static const char *level_name(enum diag_level level)
{
	switch (level) {
	case DIAG_NOTE:
		return "note";
	case DIAG_WARNING:
		return "warning";
	case DIAG_ERROR:
		return "error";
	}
	return "";
}

static const char *level_colour(enum diag_level level)
{
	switch (level) {
	case DIAG_NOTE:
		return "\033[1;36m";
	case DIAG_WARNING:
		return "\033[1;35m";
	case DIAG_ERROR:
		return "\033[1;31m";
	}
	return "";
}

static uint32_t decode(const char *p, size_t n)
{
	uint32_t c = (unsigned char)p[0];

	if (n > 1)
		c &= 0xffu >> (n + 1);
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

/*
 * Columns of a printable character. Not wcwidth(): its answer depends on the
 * locale, and a caret one column off is better than a test that depends on one.
 */
static int columns_of(uint32_t c)
{
	static const struct {
		uint32_t first, last;
		int columns;
	} ranges[] = {
		{ 0x0300, 0x036f, 0 },   { 0x1100, 0x115f, 2 },   { 0x200b, 0x200f, 0 },   { 0x2e80, 0xa4cf, 2 },
		{ 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 },   { 0xfe00, 0xfe0f, 0 },   { 0xfe30, 0xfe6f, 2 },
		{ 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },   { 0x1f300, 0x1f64f, 2 }, { 0x1f680, 0x1f6ff, 2 },
		{ 0x1f900, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return ranges[i].columns;
	return 1;
}

/* Appends the character at p as it is shown; returns the bytes read and adds to *columns. */
static size_t show_character(struct buffer *out, const char *p, size_t len, size_t *columns)
{
	size_t n = utf8_sequence(p, len), before = out->len;

	if (*p == '\t') {
		size_t spaces = TAB_COLUMNS - *columns % TAB_COLUMNS;

		*columns += spaces;
		while (spaces--)
			buffer_append_char(out, ' ');
		return 1;
	}
	quote_terminal(out, span_of(p, n ? n : 1));
	if (n > 1 && out->len - before == n && memcmp(out->data + before, p, n) == 0)
		*columns += (size_t)columns_of(decode(p, n));
	else
		*columns += out->len - before; /* escaped: ASCII */
	return n ? n : 1;
}

static void print_excerpt(FILE *f, const struct diag *d, bool colour)
{
	struct span line = span_from_string(d->excerpt);
	struct buffer shown = BUFFER_INIT, marks = BUFFER_INIT;
	size_t columns = 0, i = 0;
	int character = 1, first = 1, last;

	if (d->column > SHOWN_COLUMNS - SHOWN_BEFORE / 2) {
		first = d->column - SHOWN_BEFORE;
		buffer_append_string(&shown, "…");
		columns = 1;
	}
	last = d->column > 0 && d->width > INT32_MAX - d->column ? INT32_MAX : d->column + d->width;
	for (; i < line.len && character < first; character++) {
		size_t n = utf8_sequence(line.ptr + i, line.len - i);

		i += n ? n : 1;
	}
	for (size_t k = 0; k < columns; k++)
		buffer_append_char(&marks, ' ');
	/* One step beyond the end, for a caret behind the last character. */
	for (; i <= line.len && columns < SHOWN_COLUMNS; character++) {
		size_t before = columns;
		bool marked = d->column > 0 && character >= d->column && character < last;

		if (i < line.len)
			i += show_character(&shown, line.ptr + i, line.len - i, &columns);
		else if (character == d->column)
			columns++, i++;
		else
			break;
		for (size_t k = before; k < columns; k++)
			buffer_append_char(&marks, !marked ? ' ' : character == d->column && k == before ? '^' : '~');
	}
	if (i < line.len)
		buffer_append_string(&shown, "…");
	fprintf(f, "    %s\n", buffer_string(&shown));
	while (marks.len && marks.data[marks.len - 1] == ' ')
		marks.len--;
	if (marks.len)
		fprintf(f, "    %s%s%s\n", colour ? "\033[1;32m" : "", buffer_string(&marks), colour ? "\033[0m" : "");
	buffer_release(&shown);
	buffer_release(&marks);
}

void diag_print(FILE *f, const struct diag *d, bool colour)
{
	struct buffer b = BUFFER_INIT;

	/* A place in a file comes first, as compilers write it; else the name of who speaks: it may be one of many in a cron mail. */
	if (d->file && d->line > 0) {
		quote_terminal(&b, span_from_string(d->file));
		buffer_printf(&b, ":%d", d->line);
		if (d->column > 0)
			buffer_printf(&b, ":%d", d->column);
		buffer_append_string(&b, ": ");
	} else {
		buffer_append_string(&b, "tocsin: ");
	}
	buffer_printf(&b, "%s%s:%s ", colour ? level_colour(d->level) : "", level_name(d->level),
		      colour ? "\033[0m" : "");
	if (d->file && d->line <= 0) {
		quote_terminal(&b, span_from_string(d->file));
		buffer_append_string(&b, ": ");
	}
	quote_terminal(&b, span_from_string(d->text));
	buffer_append_char(&b, '\n');
	fwrite(b.data, 1, b.len, f);
	if (d->excerpt)
		print_excerpt(f, d, colour);
	if (d->hint) {
		buffer_clear(&b);
		buffer_append_string(&b, "hint: ");
		quote_terminal(&b, span_from_string(d->hint));
		buffer_append_char(&b, '\n');
		fwrite(b.data, 1, b.len, f);
	}
	buffer_release(&b);
}

void diag_list_release(struct diag_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		diag_release(&l->items[i]);
	free(l->items);
	*l = (struct diag_list)DIAG_LIST_INIT;
}

#define WORD_MAX 64

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * Edit distance in which a swap of neighbours counts one ("tpye") and letter
 * case counts nothing; optimal string alignment.
 */
static size_t distance(const char *a, size_t len_a, const char *b, size_t len_b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *two = rows[0], *one = rows[1], *now = rows[2];

	for (size_t j = 0; j <= len_b; j++)
		one[j] = two[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		size_t *recycled = two;

		now[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			size_t best = one[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]) && two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
		two = one;
		one = now;
		now = recycled;
	}
	return one[len_b];
}

const char *nearest_word(const char *word, const char *const *candidates)
{
	size_t len = strlen(word), limit = len / 3;
	const char *best = NULL;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t len_c = strlen(*candidates), d;

		if (len_c > WORD_MAX || len_c > len + limit || len > len_c + limit)
			continue;
		d = distance(word, len, *candidates, len_c);
		/* The first of equals wins. */
		if (d < limit + 1) {
			best = *candidates;
			if (d == 0)
				break;
			limit = d - 1;
		}
	}
	return best;
}
