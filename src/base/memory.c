/*
 * memory.c: decides what happens when memory runs out: the program says so and
 * ends with status 2. A filter that went on with half of its state would give a
 * different answer, which is worse than none; the checkpoint of the last good
 * moment is still there. Nothing here counts or limits memory: the modules that
 * hold state do.
 */
#include "base/memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* write(2), not stdio: stdio may want to allocate. */
static _Noreturn void out_of_memory(void)
{
	static const char message[] = "tocsin: out of memory\n";
	ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);

	(void)written;
	_exit(2);
}

/*
 * A size above PTRDIFF_MAX comes from an overflow in our own arithmetic; no
 * allocator gives it, but sanitizers would abort on it instead of returning NULL.
 */
static void check_size(size_t size)
{
	if (size > PTRDIFF_MAX)
		out_of_memory();
}

void *xmalloc(size_t size)
{
	void *p;

	check_size(size);
	p = malloc(size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *xaligned_alloc(size_t align, size_t size)
{
	void *p;

	check_size(size);
	p = aligned_alloc(align, size);
	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p;

	if (size && n > PTRDIFF_MAX / size)
		out_of_memory();
	p = n && size ? calloc(n, size) : calloc(1, 1);
	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	check_size(size);
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	return xmemdup(s, strlen(s));
}

char *xmemdup(const void *p, size_t len)
{
	char *copy;

	check_size(len);
	copy = xmalloc(len + 1);
	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}
