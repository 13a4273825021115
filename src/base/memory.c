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
#include <sys/mman.h>
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

static char *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		out_of_memory();
	return p;
}

void *xpages(size_t size)
{
	char *p = map(size);
	size_t behind = (uintptr_t)p & (size - 1);

	if (behind == 0) /* one after the other they mostly are */
		return p;
	munmap(p, size);
	p = map(2 * size);
	behind = (uintptr_t)p & (size - 1);
	if (behind) {
		munmap(p, size - behind);
		p += size - behind;
		munmap(p + size, behind);
	} else {
		munmap(p + size, size);
	}
	return p;
}

void xpages_free(void *p, size_t size)
{
	munmap(p, size);
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
