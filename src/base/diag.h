/*
 * diag.h: what went wrong, where, and what to do about it. Library code adds
 * diagnostics to a list and never prints; only main.c prints them.
 * Shape: file:line:column: error: text
 *            source line
 *            ^~~~
 *        hint: what to do
 */
#ifndef TOCSIN_BASE_DIAG_H
#define TOCSIN_BASE_DIAG_H

#include "base/span.h"
#include <stdarg.h>
#include <stdio.h>

enum diag_level { DIAG_NOTE, DIAG_WARNING, DIAG_ERROR };

struct diag {
	enum diag_level level;
	char *file;  /* NULL: none */
	int line;    /* from 1; 0: none */
	int column;  /* from 1, in characters; 0: none */
	int width;   /* characters underlined; at least 1 */
	char *text;
	char *hint;    /* NULL: none */
	char *excerpt; /* the source line, NULL: none */
};

struct diag_list {
	struct diag *items;
	size_t n, cap;
	size_t n_errors, n_warnings;
};

#define DIAG_LIST_INIT { NULL, 0, 0, 0, 0 }

/* Adds one and returns it (valid until the next add), so that the caller can set column, width, excerpt. */
struct diag *diag_add(struct diag_list *l, enum diag_level level, const char *file, int line, int column,
		      const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Sets the hint of the newest diagnostic. */
void diag_hint(struct diag_list *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets what helps when path could not be made or written to, where that is known; error: what errno was. */
void diag_hint_unwritable(struct diag_list *l, const char *path, int error);
/* Sets the excerpt of the newest diagnostic to this source line (copied). */
void diag_excerpt(struct diag_list *l, struct span source_line, int width);
/* Orders by file (as first seen), line, column; drops exact repetitions. */
void diag_sort(struct diag_list *l);
/*
 * Prints one; control characters are made visible. Where it has no file the line begins with
 * "tocsin: ". colour: ANSI colours for level and caret.
 */
void diag_print(FILE *f, const struct diag *d, bool colour);
void diag_list_release(struct diag_list *l);

/*
 * The candidate most like `word` (edit distance, at most a third of its
 * length), for "did you mean"; NULL when none is near. candidates ends in NULL.
 */
const char *nearest_word(const char *word, const char *const *candidates);

#endif
