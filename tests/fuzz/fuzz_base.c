/*
 * fuzz_base.c: the codec's reader, the three quotings and the diagnostics, with
 * the properties that must hold for any bytes: what is read can be written and
 * read again; what is quoted is clean.
 */
#include "base/buffer.h"
#include "base/codec.h"
#include "base/diag.h"
#include "base/quote.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* The first byte of each item says which kind comes next. */
static void fuzz_codec(struct span in)
{
	struct codec_reader r = { in.ptr, in.ptr + in.len, false };
	struct buffer again = BUFFER_INIT;

	while (!r.bad && r.ptr < r.end) {
		struct codec_reader second;
		size_t count;

		buffer_clear(&again);
		switch (*r.ptr++ & 3) {
		case 0: {
			uint64_t v = codec_get_u64(&r);

			codec_put_u64(&again, v);
			second = (struct codec_reader){ again.data, again.data + again.len, false };
			must(codec_get_u64(&second) == v && !second.bad);
			break;
		}
		case 1: {
			int64_t v = codec_get_i64(&r);

			codec_put_i64(&again, v);
			second = (struct codec_reader){ again.data, again.data + again.len, false };
			must(codec_get_i64(&second) == v && !second.bad);
			break;
		}
		case 2: {
			struct span s = codec_get_span(&r);

			codec_put_span(&again, s);
			second = (struct codec_reader){ again.data, again.data + again.len, false };
			must(span_equal(codec_get_span(&second), s) && !second.bad);
			break;
		}
		case 3:
			codec_get_double(&r);
			count = codec_get_count(&r);
			must(count <= (size_t)(r.end - r.ptr));
			break;
		}
		must(r.ptr <= r.end);
	}
	if (r.bad)
		must(codec_get_u64(&r) == 0 && codec_get_span(&r).len == 0 && r.ptr == r.end);
	buffer_release(&again);
}

static void must_be_clean(struct span s)
{
	for (size_t i = 0; i < s.len;) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t n = utf8_sequence(s.ptr + i, s.len - i);

		must(n > 0 && c >= 0x20 && c != 0x7f);
		must(!(c == 0xc2 && (unsigned char)s.ptr[i + 1] < 0xa0));
		i += n;
	}
}

/* Reads one shell word as POSIX says, knowing only what quote_shell() may use. */
static void fuzz_shell(struct span in)
{
	struct buffer quoted = BUFFER_INIT, word = BUFFER_INIT;
	bool inside = false;

	quote_shell(&quoted, in);
	must(quoted.len > 0);
	for (size_t i = 0; i < quoted.len; i++) {
		char c = quoted.data[i];

		if (c == '\'') {
			inside = !inside;
		} else if (!inside && c == '\\') {
			must(++i < quoted.len);
			buffer_append_char(&word, quoted.data[i]);
		} else {
			must(inside || !strchr("|&;<>()$`\" \t\n*?[]#~!{}", c));
			buffer_append_char(&word, c);
		}
	}
	must(!inside && span_equal(buffer_span(&word), in));
	buffer_release(&quoted);
	buffer_release(&word);
}

static void fuzz_diag(struct span in)
{
	struct diag_list l = DIAG_LIST_INIT;
	static const char *const words[] = { "detection", "correlation", "title", "level", NULL };
	char *text = NULL, *word;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int column = in.len ? (unsigned char)in.ptr[0] : 0;

	must(f != NULL);
	word = strndup(in.ptr, in.len);
	must(word != NULL);
	nearest_word(word, words);
	diag_add(&l, DIAG_ERROR, word, 1, column, "%s", word);
	diag_excerpt(&l, in, in.len > 1 ? (signed char)in.ptr[1] : 1);
	diag_hint(&l, "%s", word);
	diag_add(&l, DIAG_NOTE, NULL, 0, 0, "%s", word);
	diag_sort(&l);
	for (size_t i = 0; i < l.n; i++)
		diag_print(f, &l.items[i], false);
	fclose(f);
	for (char *p = text, *end; (end = memchr(p, '\n', len - (size_t)(p - text))); p = end + 1)
		must_be_clean(span_of(p, (size_t)(end - p)));
	free(text);
	free(word);
	diag_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	struct buffer out = BUFFER_INIT;

	fuzz_codec(in);
	quote_json(&out, in);
	must_be_clean(buffer_span(&out));
	buffer_clear(&out);
	quote_terminal(&out, in);
	must_be_clean(buffer_span(&out));
	buffer_release(&out);
	if (!memchr(data ? (const void *)data : "", 0, size))
		fuzz_shell(in);
	fuzz_diag(in);
	return 0;
}
