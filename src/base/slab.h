/*
 * slab.h: small pieces of memory that come and go often, for one thread. Without the 8 bytes that malloc() puts in front of each, and its rounding to 16.
 * Pages of one size of pieces; one that holds none any more goes back to the system, but for a few. A zeroed struct is an empty slab.
 *
 * With AddressSanitizer each piece is malloc()'s own, so that it sees what is done with it.
 */
#ifndef TOCSIN_BASE_SLAB_H
#define TOCSIN_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_LIMIT 512              /* larger pieces are malloc()'s */
#define SLAB_PAGE ((size_t)1 << 16) /* each is aligned to it */
#define SLAB_ROOM ((size_t)8)       /* sizes are rounded up to it, and pieces aligned */

struct slab;
struct slab_page {
	struct slab *slab;
	struct slab_page *next, *previous; /* with room, of the same size */
	void *given_back;                  /* each piece begins with the next */
	uint32_t fresh;                    /* offset of the first piece that was never taken */
	uint32_t size, n_taken;
	bool is_full;                      /* it is in no list */
};

struct slab {
	struct slab_page *pages[SLAB_LIMIT / SLAB_ROOM + 1]; /* by size; pieces are taken from the first */
	struct slab_page *spare;
	uint32_t n_spare;
};

/* Every piece was given back. */
void slab_release(struct slab *s);
void *slab_alloc_slowly(struct slab *s, size_t size);
void slab_free_slowly(void *p, size_t size);

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IS_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_IS_MALLOC 1
#endif
#endif
#ifndef SLAB_IS_MALLOC
#define SLAB_IS_MALLOC 0
#endif

static inline void *slab_alloc(struct slab *s, size_t size)
{
	struct slab_page *page = size <= SLAB_LIMIT ? s->pages[(size + SLAB_ROOM - 1) / SLAB_ROOM] : NULL;
	void *p = page ? page->given_back : NULL;

	if (__builtin_expect(!p, 0))
		return slab_alloc_slowly(s, size);
	page->given_back = *(void **)p;
	page->n_taken++;
	return p;
}

/* size: as it was asked for; or, where it was no more than SLAB_LIMIT, any that is not either. */
static inline void slab_free(void *p, size_t size)
{
	struct slab_page *page = (struct slab_page *)((uintptr_t)p & ~(uintptr_t)(SLAB_PAGE - 1));

	if (SLAB_IS_MALLOC || __builtin_expect(size > SLAB_LIMIT, 0) || __builtin_expect(page->is_full | (page->n_taken == 1), 0)) {
		slab_free_slowly(p, size);
		return;
	}
	*(void **)p = page->given_back;
	page->given_back = p;
	page->n_taken--;
}

#endif
