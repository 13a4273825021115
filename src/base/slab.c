/*
 * Pages are the system's own, SLAB_PAGE bytes at a multiple of that: so a piece knows its page. A page is in one of three places: in the list of its size, while it
 * has room; in none, while it is full; among the spare ones. Pieces are taken from the page that a full one has made room for: the
 * pages behind it are left to those whose time runs out, and become empty.
 */
#include "base/slab.h"

#include "base/memory.h"

#include <stdlib.h>

#define SPARE_PAGES 8

static inline size_t place_of(size_t size)
{
	return (size + SLAB_ROOM - 1) / SLAB_ROOM;
}

static inline size_t first_piece(void)
{
	return (sizeof(struct slab_page) + 15) & ~(size_t)15;
}

static void list_add(struct slab *s, struct slab_page *page)
{
	struct slab_page **first = &s->pages[place_of(page->size)], *before = *first;

	page->previous = before;
	page->next = before ? before->next : NULL;
	if (page->next)
		page->next->previous = page;
	*(before ? &before->next : first) = page;
}

static void list_remove(struct slab *s, struct slab_page *page)
{
	*(page->previous ? &page->previous->next : &s->pages[place_of(page->size)]) = page->next;
	if (page->next)
		page->next->previous = page->previous;
}

static void page_drop(struct slab *s, struct slab_page *page)
{
	list_remove(s, page);
	if (s->n_spare == SPARE_PAGES) {
		xpages_free(page, SLAB_PAGE);
		return;
	}
	page->next = s->spare;
	s->spare = page;
	s->n_spare++;
}

static struct slab_page *page_new(struct slab *s, size_t size)
{
	struct slab_page *page = s->spare;

	if (page) {
		s->spare = page->next;
		s->n_spare--;
	} else {
		page = xpages(SLAB_PAGE);
	}
	*page = (struct slab_page){ .slab = s, .fresh = (uint32_t)first_piece(), .size = (uint32_t)size };
	list_add(s, page);
	return page;
}

void slab_release(struct slab *s)
{
	for (size_t i = 0; i < sizeof s->pages / sizeof *s->pages; i++)
		while (s->pages[i])
			page_drop(s, s->pages[i]);
	while (s->spare) {
		struct slab_page *page = s->spare;
		s->spare = page->next;
		xpages_free(page, SLAB_PAGE);
	}
	*s = (struct slab){ 0 };
}

void *slab_alloc_slowly(struct slab *s, size_t size)
{
	struct slab_page *page;
	void *p;

	if (SLAB_IS_MALLOC || size > SLAB_LIMIT)
		return xmalloc(size);
	size = size ? place_of(size) * SLAB_ROOM : SLAB_ROOM;
	while ((page = s->pages[place_of(size)]) && !page->given_back && page->fresh + size > SLAB_PAGE) {
		page->is_full = true;
		list_remove(s, page);
	}
	if (!page)
		page = page_new(s, size);
	page->n_taken++;
	p = page->given_back;
	if (p) {
		page->given_back = *(void **)p;
		return p;
	}
	p = (char *)page + page->fresh;
	page->fresh += (uint32_t)size;
	return p;
}

void slab_free_slowly(void *p, size_t size)
{
	struct slab_page *page = (struct slab_page *)((uintptr_t)p & ~(uintptr_t)(SLAB_PAGE - 1));

	if (SLAB_IS_MALLOC || size > SLAB_LIMIT) {
		free(p);
		return;
	}
	*(void **)p = page->given_back;
	page->given_back = p;
	page->n_taken--;
	if (page->is_full) {
		page->is_full = false;
		list_add(page->slab, page);
	}
	/* The only page of its size is kept: it would be made again at once. */
	if (page->n_taken == 0 && (page->next || page->previous))
		page_drop(page->slab, page);
}
