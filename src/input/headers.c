/*
 * headers.c: decides which lines of a stream are the headers of tail and head. Invariant: the runs, with the headers
 * and the one newline before each put back, are the input; how the input was cut does not change them, joined. It
 * does not decide what a path means, and does not know whether the text really came from tail.
 */
#include "input/headers.h"

#define HEADER_OPEN SPAN("==> ")
#define HEADER_CLOSE SPAN(" <==")

enum line_kind { LINE_TEXT, LINE_HEADER, LINE_UNDECIDED };

/*
 * What begins at p, which is the beginning of a line: a header (with or without a blank line before it), or text.
 * Undecided: more bytes have to come. *ret_len: bytes of the header, *ret_path: its path.
 */
static enum line_kind line_classify(struct span p, bool final, size_t *ret_len, struct span *ret_path)
{
	enum line_kind open_end = final ? LINE_TEXT : LINE_UNDECIDED;
	size_t blank = p.len && p.ptr[0] == '\n', most;
	struct span line = span_from(p, blank);
	const char *newline;

	if (line.len < HEADER_OPEN.len)
		return span_starts_with(HEADER_OPEN, line) && p.len ? open_end : LINE_TEXT;
	if (!span_starts_with(line, HEADER_OPEN))
		return LINE_TEXT;
	most = line.len < HEADER_MAX + 1 ? line.len : HEADER_MAX + 1;
	newline = memchr(line.ptr, '\n', most);
	if (!newline)
		return line.len <= HEADER_MAX ? open_end : LINE_TEXT;
	line.len = (size_t)(newline - line.ptr);
	if (line.len <= HEADER_OPEN.len + HEADER_CLOSE.len || !span_ends_with(line, HEADER_CLOSE))
		return LINE_TEXT;
	*ret_len = blank + line.len + 1;
	*ret_path = span_of(line.ptr + HEADER_OPEN.len, line.len - HEADER_OPEN.len - HEADER_CLOSE.len);
	return LINE_HEADER;
}

/* Is position i of text the beginning of a line? mid_line: whether the byte before text was no newline. */
static bool line_begins(struct span text, size_t i, bool mid_line)
{
	return i ? text.ptr[i - 1] == '\n' : !mid_line;
}

/* How many bytes at the front of text, which is not empty, surely belong to the present file. */
static size_t text_length(struct span text, bool mid_line, bool final)
{
	struct span path;
	size_t from = 0, len;

	for (;;) {
		struct span rest = span_from(text, from);
		const char *hit = rest.len ? memmem(rest.ptr, rest.len, "\n==> ", 5) : NULL;
		size_t at;

		if (!hit)
			break;
		at = (size_t)(hit - text.ptr);
		from = at + 1;
		if (line_classify(span_from(text, from), final, &len, &path) == LINE_TEXT)
			continue;
		/* The newline before it is a blank line's, or it ends a line. */
		return line_begins(text, at, mid_line) ? at : at + 1;
	}
	/* The end may be the first bytes of a header that memmem() could not see. */
	from = text.len > HEADER_OPEN.len ? text.len - HEADER_OPEN.len : 0;
	for (; from < text.len; from++) {
		if (line_begins(text, from, mid_line) &&
		    line_classify(span_from(text, from), final, &len, &path) == LINE_UNDECIDED)
			return from;
	}
	return text.len;
}

/* A switch to path; forgets what was held. */
static void switch_to(struct header_splitter *s, struct span path)
{
	buffer_clear(&s->path_bytes);
	buffer_append_span(&s->path_bytes, path);
	s->path = buffer_span(&s->path_bytes);
	buffer_clear(&s->held);
	s->mid_line = false;
}

/*
 * Something is held: a line that began in an earlier call. Joins it with the front of *rest as far as is needed to
 * decide. Returns false when it is still undecided.
 */
static bool next_held(struct header_splitter *s, struct span *rest, bool final, struct span *ret_run, bool *ret_switch)
{
	size_t before = s->held.len, want = HEADER_MAX + 2 - before, len = 0;
	size_t taken = rest->len < want ? rest->len : want;
	struct span path = { NULL, 0 };

	buffer_append(&s->held, rest->ptr, taken);
	switch (line_classify(buffer_span(&s->held), final, &len, &path)) {
	case LINE_HEADER:
		*rest = span_from(*rest, len - before);
		switch_to(s, path);
		*ret_switch = true;
		return true;
	case LINE_TEXT:
		/* What was taken from rest is looked at again there: a header may begin in it. */
		s->held.len = before;
		*ret_run = buffer_span(&s->held);
		s->mid_line = ret_run->ptr[before - 1] != '\n';
		s->held_is_given = true;
		return true;
	case LINE_UNDECIDED:
		break;
	}
	*rest = span_from(*rest, taken);
	return false;
}

bool header_splitter_next(struct header_splitter *s, struct span *rest, bool final, struct span *ret_run, bool *ret_switch)
{
	struct span path = { NULL, 0 };
	size_t len = 0;

	*ret_run = span_of("", 0);
	*ret_switch = false;
	if (s->held_is_given) {
		s->held_is_given = false;
		buffer_clear(&s->held);
	}
	if (s->held.len)
		return next_held(s, rest, final, ret_run, ret_switch);
	if (!rest->len)
		return false;
	if (!s->mid_line) {
		switch (line_classify(*rest, final, &len, &path)) {
		case LINE_HEADER:
			switch_to(s, path);
			*rest = span_from(*rest, len);
			*ret_switch = true;
			return true;
		case LINE_UNDECIDED:
			buffer_append_span(&s->held, *rest);
			*rest = span_from(*rest, rest->len);
			return false;
		case LINE_TEXT:
			break;
		}
	}
	len = text_length(*rest, s->mid_line, final);
	*ret_run = span_of(rest->ptr, len);
	s->mid_line = rest->ptr[len - 1] != '\n';
	*rest = span_from(*rest, len);
	return true;
}

void header_splitter_release(struct header_splitter *s)
{
	buffer_release(&s->path_bytes);
	buffer_release(&s->held);
	s->path = span_of(NULL, 0);
}
