/*
 * memory.h: allocation that cannot fail. Running out of memory ends the
 * program with a message and exit status 2; no caller has to check.
 */
#ifndef TOCSIN_BASE_MEMORY_H
#define TOCSIN_BASE_MEMORY_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* align: a power of two; size: a multiple of it. */
void *xaligned_alloc(size_t align, size_t size);
/* Zeroed pages of the system's, aligned to their size, a power of two. */
void *xpages(size_t size);
void xpages_free(void *p, size_t size);
char *xstrdup(const char *s);
/* A NUL-terminated copy of len bytes. */
char *xmemdup(const void *p, size_t len);

/*
 * Makes room for one more element at the end of a growing array:
 *	ARRAY_GROW(items, n, cap); items[n++] = x;
 */
#define ARRAY_GROW(array, n, cap)                                                     \
	do {                                                                          \
		if ((n) == (cap)) {                                                   \
			(cap) = (cap) ? (cap) * 2 : 8;                                \
			(array) = xrealloc((array), (size_t)(cap) * sizeof *(array)); \
		}                                                                     \
	} while (0)

#endif
