/*
 * test_base.c: memory, buffers, arenas, maps, the codec, quoting and
 * diagnostics. Tables first: a new case is a new line.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/codec.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/slab.h"
#include "base/quote.h"
#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void check_span(struct span got, struct span want, int i)
{
	ck_assert_msg(span_equal(got, want), "case %d: got \"%.*s\", want \"%.*s\"", i, (int)got.len, got.ptr,
		      (int)want.len, want.ptr);
}

/* Spans and buffers */

START_TEST(spans)
{
	struct span none = span_from_string(NULL);

	ck_assert_uint_eq(none.len, 0);
	ck_assert(span_equal(none, span_of(NULL, 0)));
	ck_assert(span_starts_with(SPAN("kill"), SPAN("ki")));
	ck_assert(!span_starts_with(SPAN("ki"), SPAN("kill")));
	ck_assert(span_ends_with(SPAN("kill"), SPAN("ll")));
	ck_assert(!span_ends_with(SPAN("l"), SPAN("ll")));
	ck_assert(span_starts_with(none, SPAN("")) && span_ends_with(none, SPAN("")));
	check_span(span_from(SPAN("abc"), 1), SPAN("bc"), 0);
	check_span(span_from(SPAN("abc"), 9), SPAN(""), 1);
}
END_TEST

START_TEST(bytes_of_each_length)
{
	for (size_t len = 0; len <= 40; len++)
		for (size_t at = 0; at <= len; at++) {
			/* Of just this length: a sanitizer sees what is read beside it. */
			char *a = xmalloc(len + (len == 0)), *b = xmalloc(len + (len == 0));

			memset(a, 'x', len);
			memset(b, 'x', len);
			if (at < len)
				b[at] ^= 1;
			ck_assert_msg(bytes_equal(a, b, len) == (at == len), "%zu bytes, another at %zu", len, at);
			ck_assert(span_starts_with(span_of(a, len), span_of(b, len)) == (at == len));
			free(a);
			free(b);
		}
}
END_TEST

START_TEST(buffer_grows_and_consumes)
{
	struct buffer b = BUFFER_INIT;
	char wide[300];

	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(buffer_span(&b).len, 0);
	buffer_append(&b, NULL, 0);
	ck_assert_ptr_null(b.data);
	ck_assert_str_eq(buffer_string(&b), "");
	for (int i = 0; i < 1000; i++)
		buffer_append_char(&b, (char)('a' + i % 26));
	ck_assert_uint_eq(b.len, 1000);
	buffer_consume(&b, 990);
	check_span(buffer_span(&b), SPAN("cdefghijkl"), 0);
	buffer_consume(&b, 0);
	buffer_consume(&b, 10);
	ck_assert_uint_eq(b.len, 0);
	buffer_append_span(&b, SPAN("a\0b"));
	ck_assert_uint_eq(b.len, 3);
	ck_assert_int_eq(buffer_string(&b)[3], '\0');
	ck_assert_uint_eq(b.len, 3);
	buffer_release(&b);
	ck_assert_ptr_null(b.data);

	/* Texts around the size that is tried first. */
	memset(wide, 'x', sizeof wide);
	for (int n = 0; n < 299; n++) {
		struct buffer p = BUFFER_INIT;

		buffer_printf(&p, "%.*s", n, wide);
		buffer_printf(&p, "<%d>", n);
		ck_assert_uint_eq(strspn(buffer_string(&p), "x"), n);
		ck_assert_int_eq(atoi(p.data + n + 1), n);
		buffer_release(&p);
	}
}
END_TEST

START_TEST(numbers_are_digits)
{
	static const uint64_t numbers[] = { 0, 1, 9, 10, 99, 100, 12345678, UINT64_C(9007199254740993), UINT64_MAX };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct buffer b = BUFFER_INIT, want = BUFFER_INIT;

		buffer_append_number(&b, numbers[i]);
		buffer_printf(&want, "%" PRIu64, numbers[i]);
		check_span(buffer_span(&b), buffer_span(&want), (int)i);
		buffer_release(&b);
		buffer_release(&want);
	}
}
END_TEST

/* Arenas */

START_TEST(arena_aligns_and_resets)
{
	struct arena a = ARENA_INIT;

	arena_reset(&a);
	for (int round = 0; round < 50; round++) {
		char *zero;

		for (size_t size = 0; size < 300; size += 7) {
			unsigned char *p = arena_alloc(&a, size);

			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq((uintptr_t)p % _Alignof(max_align_t), 0);
			memset(p, 0xff, size);
		}
		zero = arena_zalloc(&a, 100000);
		bool all_zero = true; /* one assertion: Check writes to a pipe at each */
		for (int i = 0; i < 100000; i++)
			all_zero = all_zero && zero[i] == 0;
		ck_assert(all_zero);
		memset(zero, 1, 100000);
		ck_assert_str_eq(arena_strdup(&a, "bell"), "bell");
		check_span(arena_dup_span(&a, SPAN("a\0b")), SPAN("a\0b"), round);
		ck_assert_int_eq(arena_dup_span(&a, SPAN("ab")).ptr[2], '\0');
		ck_assert_str_eq(arena_dup(&a, NULL, 0), "");
		arena_reset(&a);
	}
	arena_release(&a);
	ck_assert_ptr_null(a.chunks);
}
END_TEST

/* The promise to the hot path: the same work again takes no new memory. */
START_TEST(arena_settles)
{
	struct arena a = ARENA_INIT;
	struct arena_chunk *settled = NULL;

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 100; i++)
			arena_alloc(&a, (size_t)(i * 37 % 5000));
		arena_reset(&a);
		if (round == 1)
			settled = a.chunks;
		else if (round > 1)
			ck_assert_ptr_eq(a.chunks, settled);
	}
	arena_release(&a);
}
END_TEST

START_TEST(out_of_memory_ends_the_program)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct buffer b = BUFFER_INIT;
		void *volatile p;

		close(STDERR_FILENO);
		switch (_i) {
		case 0:
			p = xmalloc(SIZE_MAX);
			break;
		case 1:
			p = xcalloc(SIZE_MAX / 2, 3);
			break;
		case 2:
			buffer_append_char(&b, 'x');
			buffer_reserve(&b, SIZE_MAX);
			break;
		}
		(void)p;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST

/* Maps */

/* Pieces of all sizes, a growing and a shrinking number of them: none lies in another. */
START_TEST(slab_pieces_are_apart)
{
	enum { N = 20000 };
	static struct {
		unsigned char *p;
		size_t size;
	} pieces[N];
	struct slab s = { 0 };
	uint64_t random = 1;

	for (int round = 0; round < 12; round++) {
		for (size_t i = 0; i < N; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			bool wanted = (random >> 33) % 12 < (uint64_t)(round < 6 ? 2 * round : 22 - 2 * round);
			if (pieces[i].p && (!wanted || (random >> 50) % 8 == 0)) {
				for (size_t k = 0; k < pieces[i].size; k++)
					ck_assert_uint_eq(pieces[i].p[k], (unsigned char)i);
				slab_free(pieces[i].p, pieces[i].size);
				pieces[i].p = NULL;
			}
			if (!wanted || pieces[i].p)
				continue;
			pieces[i].size = (random >> 40) % (i % 2 ? 64 : SLAB_LIMIT + 100);
			pieces[i].p = slab_alloc(&s, pieces[i].size);
			ck_assert_uint_eq((uintptr_t)pieces[i].p % SLAB_ROOM, 0);
			memset(pieces[i].p, (int)(unsigned char)i, pieces[i].size);
		}
	}
	for (size_t i = 0; i < N; i++)
		if (pieces[i].p)
			slab_free(pieces[i].p, pieces[i].size);
	ck_assert(s.n_spare > 0 || SLAB_IS_MALLOC); /* and so the memory of most has gone back */
	slab_release(&s);
}
END_TEST

START_TEST(map_keeps_order_and_addresses)
{
	struct map m = MAP_INIT;
	struct map_entry *first, *nul;
	bool new;

	ck_assert_ptr_null(map_find(&m, SPAN("x")));
	first = map_add(&m, SPAN(""), &new);
	ck_assert(new);
	ck_assert_ptr_null(first->value.pointer);
	first->value.number = 7;
	for (int i = 0; i < 5000; i++) {
		char key[20];
		struct map_entry *e;

		snprintf(key, sizeof key, "key %d", i);
		e = map_add(&m, span_from_string(key), NULL);
		e->value.number = (uint64_t)i;
	}
	ck_assert_uint_eq(m.n, 5001);
	ck_assert_ptr_eq(map_find(&m, SPAN("")), first);
	ck_assert_uint_eq(first->value.number, 7);
	for (int i = 0; i < 5000; i++) {
		char key[20];

		snprintf(key, sizeof key, "key %d", i);
		ck_assert_uint_eq(map_find(&m, span_from_string(key))->value.number, i);
		ck_assert_str_eq(m.entries[i + 1]->key.ptr, key);
	}
	nul = map_add(&m, SPAN("a\0b"), &new);
	ck_assert(new);
	ck_assert_ptr_null(map_find(&m, SPAN("a")));
	ck_assert_ptr_null(map_find(&m, SPAN("a\0c")));
	ck_assert_ptr_eq(map_add(&m, SPAN("a\0b"), &new), nul);
	ck_assert(!new);
	map_release(&m);
	ck_assert_uint_eq(m.n, 0);
}
END_TEST

/* Incident ids and checkpoints rest on these values: they may never change. */
START_TEST(hash_is_stable)
{
	ck_assert(hash_bytes("", 0, 0) == UINT64_C(0x2d06800538d394c2));
	ck_assert(hash_bytes(NULL, 0, 0) == hash_bytes("", 0, 0));
	ck_assert(hash_bytes("", 0, 1) != hash_bytes("", 0, 0));
	ck_assert(hash_bytes("tocsin", 6, 0) == UINT64_C(0xc03c3a2f6ef846be));
	ck_assert(hash_bytes("tocsin", 6, 42) == UINT64_C(0xe70c78d8603f16b6));
}
END_TEST

/* The codec */

static const uint64_t unsigned_values[] = {
	0, 1, 127, 128, 255, 16383, 16384, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 1, UINT64_MAX,
};
static const int64_t signed_values[] = {
	0, 1, -1, 63, 64, -64, -65, INT32_MIN, INT32_MAX, INT64_MAX, INT64_MIN, INT64_MIN + 1,
};
static const double double_values[] = { 0.0, -0.0, 1.5, -1e300, 5e-324, INFINITY, -INFINITY };

static struct codec_reader reader_of(const struct buffer *b)
{
	struct span s = buffer_span(b);

	return (struct codec_reader){ s.ptr, s.ptr + s.len, false };
}

START_TEST(codec_round_trip)
{
	struct buffer b = BUFFER_INIT;
	struct codec_reader r;

	for (int i = 0; i < COUNT(unsigned_values); i++)
		codec_put_u64(&b, unsigned_values[i]);
	for (int i = 0; i < COUNT(signed_values); i++)
		codec_put_i64(&b, signed_values[i]);
	for (int i = 0; i < COUNT(double_values); i++)
		codec_put_double(&b, double_values[i]);
	codec_put_span(&b, SPAN(""));
	codec_put_span(&b, SPAN("a\0b"));
	codec_put_u64(&b, 0);
	r = reader_of(&b);
	for (int i = 0; i < COUNT(unsigned_values); i++)
		ck_assert(codec_get_u64(&r) == unsigned_values[i]);
	for (int i = 0; i < COUNT(signed_values); i++)
		ck_assert(codec_get_i64(&r) == signed_values[i]);
	for (int i = 0; i < COUNT(double_values); i++) {
		double v = codec_get_double(&r);

		ck_assert_mem_eq(&v, &double_values[i], sizeof v);
	}
	check_span(codec_get_span(&r), SPAN(""), 0);
	check_span(codec_get_span(&r), SPAN("a\0b"), 1);
	ck_assert_uint_eq(codec_get_count(&r), 0);
	ck_assert(!r.bad);
	ck_assert_ptr_eq(r.ptr, r.end);
	buffer_release(&b);
}
END_TEST

/* A state of every kind, cut at every byte: bad, no read past the end, zeros from then on. */
START_TEST(codec_truncated)
{
	struct buffer b = BUFFER_INIT;

	codec_put_u64(&b, UINT64_MAX);
	codec_put_double(&b, 2.5);
	codec_put_i64(&b, INT64_MIN);
	codec_put_span(&b, SPAN("evidence"));
	codec_put_u64(&b, 300);
	for (size_t cut = 0; cut <= b.len; cut++) {
		/* Its own allocation, so that the address sanitizer sees the end. */
		char *copy = malloc(cut ? cut : 1);
		struct codec_reader r = { copy, copy + cut, false };
		struct span s;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, b.data, cut);
		codec_get_u64(&r);
		codec_get_double(&r);
		codec_get_i64(&r);
		s = codec_get_span(&r);
		codec_get_u64(&r);
		ck_assert_int_eq(r.bad, cut < b.len);
		if (r.bad) {
			ck_assert(s.len == 0 || s.len == 8);
			ck_assert_uint_eq(codec_get_u64(&r), 0);
			ck_assert_int_eq(codec_get_i64(&r), 0);
			ck_assert(codec_get_double(&r) == 0);
			ck_assert_uint_eq(codec_get_span(&r).len, 0);
			ck_assert_uint_eq(codec_get_count(&r), 0);
			ck_assert_ptr_eq(r.ptr, r.end);
		}
		free(copy);
	}
	buffer_release(&b);
}
END_TEST

static const struct {
	struct span bytes;
	bool bad;
	uint64_t value;
} varints[] = {
	{ SPAN(""), true, 0 },
	{ SPAN("\x80"), true, 0 },
	{ SPAN("\x80\x01"), false, 128 },
	{ SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, UINT64_MAX },
	{ SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), true, 0 },
	{ SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"), true, 0 },
	{ SPAN("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), true, 0 },
};

START_TEST(codec_varint)
{
	struct span s = varints[_i].bytes;
	struct codec_reader r = { s.ptr, s.ptr + s.len, false };

	ck_assert(codec_get_u64(&r) == varints[_i].value);
	ck_assert_int_eq(r.bad, varints[_i].bad);
}
END_TEST

START_TEST(codec_counts_are_bounded)
{
	static const struct {
		struct span bytes;
		bool bad;
		size_t count;
	} cases[] = {
		{ SPAN("\x00"), false, 0 },
		{ SPAN("\x02xx"), false, 2 },
		{ SPAN("\x02x"), true, 0 },
		{ SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xxxxxxxx"), true, 0 },
	};

	for (int i = 0; i < COUNT(cases); i++) {
		struct span s = cases[i].bytes;
		struct codec_reader r = { s.ptr, s.ptr + s.len, false };

		ck_assert_uint_eq(codec_get_count(&r), cases[i].count);
		ck_assert_int_eq(r.bad, cases[i].bad);
		r = (struct codec_reader){ s.ptr, s.ptr + s.len, false };
		ck_assert_uint_eq(codec_get_span(&r).len, cases[i].count);
		ck_assert_int_eq(r.bad, cases[i].bad);
	}
}
END_TEST

/* Quoting */

static const struct {
	struct span in, out;
} shell_words[] = {
	{ SPAN(""), SPAN("''") },
	{ SPAN("gt"), SPAN("gt") },
	{ SPAN("--mode=queue"), SPAN("--mode=queue") },
	{ SPAN("a/b.c:d,e+f@g%h_i-j"), SPAN("a/b.c:d,e+f@g%h_i-j") },
	{ SPAN("=ls"), SPAN("'=ls'") }, /* zsh would look for a command */
	{ SPAN("~root"), SPAN("'~root'") },
	{ SPAN("a~"), SPAN("'a~'") },
	{ SPAN("two words"), SPAN("'two words'") },
	{ SPAN("don't"), SPAN("'don'\\''t'") },
	{ SPAN("'"), SPAN("''\\'''") },
	{ SPAN("''"), SPAN("''\\'''\\'''") },
	{ SPAN("$(reboot)"), SPAN("'$(reboot)'") },
	{ SPAN("`reboot`"), SPAN("'`reboot`'") },
	{ SPAN("a;b"), SPAN("'a;b'") },
	{ SPAN("a\nb"), SPAN("'a\nb'") },
	{ SPAN("back\\slash"), SPAN("'back\\slash'") },
	{ SPAN("!!"), SPAN("'!!'") },
	{ SPAN("*"), SPAN("'*'") },
	{ SPAN("#"), SPAN("'#'") },
	{ SPAN("{a,b}"), SPAN("'{a,b}'") },
	{ SPAN("a^b"), SPAN("'a^b'") },
	{ SPAN("\xff\x80"), SPAN("'\xff\x80'") },
	{ SPAN("caf\xc3\xa9"), SPAN("'caf\xc3\xa9'") },
};

START_TEST(shell)
{
	struct buffer b = BUFFER_INIT;

	quote_shell(&b, shell_words[_i].in);
	check_span(buffer_span(&b), shell_words[_i].out, _i);
	buffer_release(&b);
}
END_TEST

/* Every byte but NUL, alone and between others, through a real shell and back. */
START_TEST(shell_round_trip)
{
	struct buffer want = BUFFER_INIT, command = BUFFER_INIT, got = BUFFER_INIT;
	FILE *pipe;
	int c;

	buffer_append_string(&command, "LC_ALL=C; export LC_ALL; printf '%s\\n' ");
	for (c = 1; c < 256; c++) {
		char word[5] = { 'a', (char)c, '\'', (char)c, 'b' };

		quote_shell(&command, span_of(word + 1, 1));
		buffer_append_char(&command, ' ');
		quote_shell(&command, span_of(word, sizeof word));
		buffer_append_char(&command, ' ');
		buffer_append(&want, word + 1, 1);
		buffer_append_char(&want, '\n');
		buffer_append(&want, word, sizeof word);
		buffer_append_char(&want, '\n');
	}
	pipe = popen(buffer_string(&command), "r");
	ck_assert_ptr_nonnull(pipe);
	while ((c = fgetc(pipe)) != EOF)
		buffer_append_char(&got, (char)c);
	ck_assert_int_eq(pclose(pipe), 0);
	check_span(buffer_span(&got), buffer_span(&want), 0);
	buffer_release(&want);
	buffer_release(&command);
	buffer_release(&got);
}
END_TEST

#define FFFD "\xef\xbf\xbd"

static const struct {
	struct span in, json, terminal;
} texts[] = {
	{ SPAN(""), SPAN("\"\""), SPAN("") },
	{ SPAN("plain"), SPAN("\"plain\""), SPAN("plain") },
	{ SPAN("a\"b\\c/"), SPAN("\"a\\\"b\\\\c/\""), SPAN("a\"b\\c/") },
	{ SPAN("\b\t\n\f\r"), SPAN("\"\\b\\t\\n\\f\\r\""), SPAN("^H^I\\n^L^M") },
	{ SPAN("\0\x01\x1f"), SPAN("\"\\u0000\\u0001\\u001f\""), SPAN("^@^A^_") },
	{ SPAN("\x1b[2J"), SPAN("\"\\u001b[2J\""), SPAN("^[[2J") },
	{ SPAN("\x7f"), SPAN("\"\\u007f\""), SPAN("^?") },
	{ SPAN("\xc2\x80\xc2\x9b\xc2\x9f"), SPAN("\"\\u0080\\u009b\\u009f\""), SPAN("\\x80\\x9B\\x9F") },
	{ SPAN("\xc2\xa0"), SPAN("\"\xc2\xa0\""), SPAN("\xc2\xa0") },
	{ SPAN("caf\xc3\xa9 \xe2\x9c\x93 \xf0\x9f\x94\x94"), SPAN("\"caf\xc3\xa9 \xe2\x9c\x93 \xf0\x9f\x94\x94\""),
	  SPAN("caf\xc3\xa9 \xe2\x9c\x93 \xf0\x9f\x94\x94") },
	/* Bidirectional overrides and isolates; their neighbours stay. */
	{ SPAN("\xe2\x80\xae"), SPAN("\"\xe2\x80\xae\""), SPAN("\\u{202E}") },
	{ SPAN("\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9"), SPAN("\"\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9\""),
	  SPAN("\\u{202A}\\u{2066}\\u{2069}") },
	{ SPAN("\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"),
	  SPAN("\"\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa\""), SPAN("\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa") },
	/* Not UTF-8: one replacement for each maximal subpart (Unicode 15, table 3-8 and its kin). */
	{ SPAN("\x80"), SPAN("\"" FFFD "\""), SPAN("\\x80") },
	{ SPAN("\xff\xfe"), SPAN("\"" FFFD FFFD "\""), SPAN("\\xFF\\xFE") },
	{ SPAN("\xc0\xaf"), SPAN("\"" FFFD FFFD "\""), SPAN("\\xC0\\xAF") },
	{ SPAN("\xe0\x80\xaf"), SPAN("\"" FFFD FFFD FFFD "\""), SPAN("\\xE0\\x80\\xAF") },
	{ SPAN("\xed\xa0\x80"), SPAN("\"" FFFD FFFD FFFD "\""), SPAN("\\xED\\xA0\\x80") },
	{ SPAN("\xf4\x90\x80\x80"), SPAN("\"" FFFD FFFD FFFD FFFD "\""), SPAN("\\xF4\\x90\\x80\\x80") },
	{ SPAN("\xf5\x80"), SPAN("\"" FFFD FFFD "\""), SPAN("\\xF5\\x80") },
	{ SPAN("\xf0\x8f\xbf\xbf"), SPAN("\"" FFFD FFFD FFFD FFFD "\""), SPAN("\\xF0\\x8F\\xBF\\xBF") },
	{ SPAN("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), SPAN("\"" FFFD FFFD FFFD FFFD "A\""),
	  SPAN("\\xE1\\x80\\xE2\\xF0\\x91\\x92\\xF1\\xBFA") },
	{ SPAN("\xc3"), SPAN("\"" FFFD "\""), SPAN("\\xC3") },
	{ SPAN("\xc3\""), SPAN("\"" FFFD "\\\"\""), SPAN("\\xC3\"") },
	{ SPAN("x\xf0\x9f\x94"), SPAN("\"x" FFFD "\""), SPAN("x\\xF0\\x9F\\x94") },
	{ SPAN("\xe2\x80\n"), SPAN("\"" FFFD "\\n\""), SPAN("\\xE2\\x80\\n") },
	{ SPAN("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), SPAN("\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\""),
	  SPAN("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf") },
};

/* A copy of exactly this size, so that a read past the end is seen. */
static char *exact_copy(struct span s)
{
	char *copy = malloc(s.len ? s.len : 1);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, s.ptr, s.len);
	return copy;
}

START_TEST(json_and_terminal)
{
	char *copy = exact_copy(texts[_i].in);
	struct span in = span_of(copy, texts[_i].in.len);
	struct buffer b = BUFFER_INIT;

	quote_json(&b, in);
	check_span(buffer_span(&b), texts[_i].json, _i);
	buffer_clear(&b);
	quote_terminal(&b, in);
	check_span(buffer_span(&b), texts[_i].terminal, _i);
	buffer_release(&b);
	free(copy);
}
END_TEST

/* Bytes are copied 16 at a time: any two that are escaped, at any place of a text of any length. */
START_TEST(json_escapes_stand_anywhere)
{
	static const struct {
		struct span in, out;
	} odd[] = {
		{ SPAN("\""), SPAN("\\\"") },   { SPAN("\\"), SPAN("\\\\") },		{ SPAN("\x1f"), SPAN("\\u001f") },
		{ SPAN("\xff"), SPAN(FFFD) },   { SPAN("\xc3\xa9"), SPAN("\xc3\xa9") }, { SPAN("\xc2\x9b"), SPAN("\\u009b") },
		{ SPAN(" "), SPAN(" ") },	{ SPAN("~"), SPAN("~") },
	};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct buffer in = BUFFER_INIT, want = BUFFER_INIT, got = BUFFER_INIT;

	for (size_t len = 0; len < 50; len++)
		for (size_t a = 0; a <= len; a++)
			for (size_t b = a; b <= len; b++) {
				const size_t i = (len + a) % (sizeof odd / sizeof *odd), k = (a + 3 * b) % (sizeof odd / sizeof *odd);
				char *copy;

				buffer_clear(&in);
				buffer_clear(&want);
				buffer_release(&got); /* so that a write past what was reserved is seen */
				buffer_append_char(&want, '"');
				for (size_t c = 0; c <= len; c++) {
					if (c == a) {
						buffer_append_span(&in, odd[i].in);
						buffer_append_span(&want, odd[i].out);
					}
					if (c == b) {
						buffer_append_span(&in, odd[k].in);
						buffer_append_span(&want, odd[k].out);
					}
					if (c < len) {
						buffer_append_char(&in, letters[c]);
						buffer_append_char(&want, letters[c]);
					}
				}
				buffer_append_char(&want, '"');
				copy = exact_copy(buffer_span(&in));
				quote_json(&got, span_of(copy, in.len));
				check_span(buffer_span(&got), buffer_span(&want), (int)len);
				free(copy);
			}
	for (size_t len = 0; len <= 52; len++) {
		buffer_clear(&want);
		buffer_printf(&want, "\"%.*s\"", (int)len, letters);
		buffer_clear(&got);
		quote_json(&got, span_of(letters, len));
		check_span(buffer_span(&got), buffer_span(&want), (int)len);
	}
	buffer_release(&in);
	buffer_release(&want);
	buffer_release(&got);
}
END_TEST

/* All pairs of bytes: what comes out is clean, whatever went in. */
START_TEST(every_pair_is_made_safe)
{
	struct buffer json = BUFFER_INIT, terminal = BUFFER_INIT;

	for (int pair = 0; pair < 0x10000; pair++) {
		char *copy = exact_copy(span_of((char[]){ (char)(pair >> 8), (char)pair }, 2));
		struct span in = span_of(copy, 2), outs[2];

		buffer_clear(&json);
		buffer_clear(&terminal);
		quote_json(&json, in);
		quote_terminal(&terminal, in);
		outs[0] = buffer_span(&json);
		outs[1] = buffer_span(&terminal);
		for (int k = 0; k < 2; k++) {
			for (size_t i = 0; i < outs[k].len;) {
				const unsigned char *p = (const unsigned char *)outs[k].ptr + i;
				size_t n = utf8_sequence(outs[k].ptr + i, outs[k].len - i);

				ck_assert_uint_gt(n, 0);
				ck_assert(*p >= 0x20 && *p != 0x7f);
				ck_assert(!(*p == 0xc2 && p[1] < 0xa0));
				i += n;
			}
		}
		free(copy);
	}
	buffer_release(&json);
	buffer_release(&terminal);
}
END_TEST

/* Diagnostics */

static char *printed(const struct diag *d, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	diag_print(f, d, colour);
	fclose(f);
	return text;
}

static const struct {
	enum diag_level level;
	const char *file;
	int line, column, width;
	const char *text, *excerpt, *hint, *want;
} diags[] = {
	{ DIAG_ERROR, "rules/a.yml", 3, 5, 8, "unknown key \"detecton\"", "    detecton:", "did you mean \"detection\"?",
	  "rules/a.yml:3:5: error: unknown key \"detecton\"\n"
	  "        detecton:\n"
	  "        ^~~~~~~~\n"
	  "hint: did you mean \"detection\"?\n" },
	{ DIAG_ERROR, NULL, 0, 0, 1, "no input", NULL, NULL, "tocsin: error: no input\n" },
	{ DIAG_WARNING, "a.yml", 0, 0, 1, "empty", NULL, NULL, "tocsin: warning: a.yml: empty\n" },
	{ DIAG_NOTE, "a.yml", 7, 0, 1, "here", "x: y", NULL, "a.yml:7: note: here\n    x: y\n" },
	/* The caret after a tab, wide and combining characters, invisible bytes; behind the end. */
	{ DIAG_ERROR, "a", 1, 2, 1, "t", "\tkey: v\n", NULL, "a:1:2: error: t\n            key: v\n            ^\n" },
	{ DIAG_ERROR, "a", 1, 2, 2, "t", "\xf0\x9f\x94\x94xy", NULL,
	  "a:1:2: error: t\n    \xf0\x9f\x94\x94xy\n      ^~\n" },
	{ DIAG_ERROR, "a", 1, 3, 1, "t", "e\xcc\x81x", NULL, "a:1:3: error: t\n    e\xcc\x81x\n     ^\n" },
	{ DIAG_ERROR, "a", 1, 2, 1, "t", "\x1b\xff.", NULL, "a:1:2: error: t\n    ^[\\xFF.\n      ^~~~\n" },
	{ DIAG_ERROR, "a", 1, 4, 3, "t", "abc\r\n", NULL, "a:1:4: error: t\n    abc\n       ^\n" },
	{ DIAG_ERROR, "a", 1, 9, 1, "t", "abc", NULL, "a:1:9: error: t\n    abc\n" },
	{ DIAG_ERROR, "a", 1, 1, INT32_MAX, "t", "abc", NULL, "a:1:1: error: t\n    abc\n    ^~~\n" },
	{ DIAG_ERROR, "a", 1, 1, 1, "t", "", NULL, "a:1:1: error: t\n    \n    ^\n" },
	/* Nothing reaches the terminal raw. */
	{ DIAG_ERROR, "a\nb", 1, 1, 1, "x\x1b[2J\ny", NULL, "\x9b\x07", "a\\nb:1:1: error: x^[[2J\\ny\nhint: \\x9B^G\n" },
};

START_TEST(diag_shapes)
{
	struct diag_list l = DIAG_LIST_INIT;
	char *text;

	diag_add(&l, diags[_i].level, diags[_i].file, diags[_i].line, diags[_i].column, "%s", diags[_i].text);
	if (diags[_i].excerpt)
		diag_excerpt(&l, span_from_string(diags[_i].excerpt), diags[_i].width);
	if (diags[_i].hint)
		diag_hint(&l, "%s", diags[_i].hint);
	text = printed(&l.items[0], false);
	ck_assert_str_eq(text, diags[_i].want);
	free(text);
	diag_list_release(&l);
}
END_TEST

START_TEST(diag_long_lines_are_windowed)
{
	struct diag_list l = DIAG_LIST_INIT;
	size_t len = 1000000;
	char *line = xmalloc(len), *text, *caret;

	memset(line, '-', len);
	line[999] = 'X';
	diag_add(&l, DIAG_ERROR, "a", 1, 1000, "t");
	diag_excerpt(&l, span_of(line, len), 1);
	text = printed(&l.items[0], false);
	ck_assert_uint_lt(strlen(text), 400);
	/* The caret's line begins where the excerpt's does; "…" is 3 bytes and 1 column. */
	caret = strrchr(text, '^');
	ck_assert_ptr_nonnull(caret);
	*caret = '\0';
	ck_assert_uint_eq(strlen(strrchr(text, '\n')), (size_t)(strchr(text, 'X') - strchr(text, '\n')) - 2);
	free(text);
	diag_list_release(&l);

	/* Cut between characters, never inside one. */
	for (size_t i = 0; i + 3 <= 9000; i += 3)
		memcpy(line + i, "\xe2\x9c\x93", 3);
	for (size_t shift = 0; shift < 3; shift++) {
		memset(line, 'x', shift);
		memmove(line + shift, "\xe2\x9c\x93", 3);
		for (size_t i = shift; i + 3 <= 9000; i += 3)
			memcpy(line + i, "\xe2\x9c\x93", 3);
		diag_add(&l, DIAG_ERROR, "a", 1, 1, "t");
		diag_excerpt(&l, span_of(line, 9000), 1);
		for (const char *p = l.items[shift].excerpt; *p; p += utf8_sequence(p, strlen(p)))
			ck_assert_uint_gt(utf8_sequence(p, strlen(p)), 0);
	}
	diag_list_release(&l);
	free(line);
}
END_TEST

START_TEST(diag_colours)
{
	struct diag_list l = DIAG_LIST_INIT;
	char *text;

	diag_add(&l, DIAG_WARNING, "a", 1, 1, "t");
	diag_excerpt(&l, SPAN("x"), 1);
	text = printed(&l.items[0], true);
	ck_assert_str_eq(text, "a:1:1: \033[1;35mwarning:\033[0m t\n    x\n    \033[1;32m^\033[0m\n");
	free(text);
	diag_list_release(&l);
}
END_TEST

START_TEST(diag_order)
{
	static const struct {
		const char *file;
		int line, column;
		const char *text;
	} in[] = {
		{ "b", 9, 1, "5" }, { "a", 1, 1, "7" }, { "b", 2, 7, "3" }, { "b", 2, 1, "1" }, { "b", 2, 1, "2" },
		{ "b", 2, 1, "1" }, { "b", 9, 1, "5" }, { NULL, 0, 0, "8" }, { "a", 0, 0, "6" }, { "b", 2, 7, "4" },
	};
	struct diag_list l = DIAG_LIST_INIT;

	diag_sort(&l);
	for (int i = 0; i < COUNT(in); i++)
		diag_add(&l, i % 2 ? DIAG_ERROR : DIAG_WARNING, in[i].file, in[i].line, in[i].column, "%s", in[i].text);
	/* Same words, another level: not a repetition. */
	l.items[6].level = DIAG_WARNING;
	ck_assert_uint_eq(l.n_errors, 5);
	diag_sort(&l);
	ck_assert_uint_eq(l.n, 8);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(l.items[i].text[0], '1' + i);
	ck_assert_uint_eq(l.n_errors + l.n_warnings, 8);
	diag_list_release(&l);
}
END_TEST

static const char *const keys[] = { "detection", "correlation", "title", "type", "timespan", "level", "group-by", NULL };

static const struct {
	const char *word, *want;
} near_words[] = {
	{ "detecton", "detection" },
	{ "tpye", "type" },
	{ "Level", "level" },
	{ "groupby", "group-by" },
	{ "time_span", "timespan" },
	{ "tle", NULL },
	{ "zebra", NULL },
	{ "", NULL },
	{ "x", NULL },
	{ "title", "title" },
	{ "titles-and-more-of-them-titles-and-more-of-them-titles-and-more-of-them", NULL },
};

START_TEST(nearest)
{
	const char *got = nearest_word(near_words[_i].word, keys);

	ck_assert_pstr_eq(got, near_words[_i].want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *c = tcase_create("base");
	SRunner *runner;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, spans);
	tcase_add_test(c, bytes_of_each_length);
	tcase_add_test(c, buffer_grows_and_consumes);
	tcase_add_test(c, numbers_are_digits);
	tcase_add_test(c, arena_aligns_and_resets);
	tcase_add_test(c, arena_settles);
	tcase_add_loop_test(c, out_of_memory_ends_the_program, 0, 3);
	tcase_add_test(c, slab_pieces_are_apart);
	tcase_add_test(c, map_keeps_order_and_addresses);
	tcase_add_test(c, hash_is_stable);
	tcase_add_test(c, codec_round_trip);
	tcase_add_test(c, codec_truncated);
	tcase_add_loop_test(c, codec_varint, 0, COUNT(varints));
	tcase_add_test(c, codec_counts_are_bounded);
	tcase_add_loop_test(c, shell, 0, COUNT(shell_words));
	tcase_add_test(c, shell_round_trip);
	tcase_add_loop_test(c, json_and_terminal, 0, COUNT(texts));
	tcase_add_test(c, json_escapes_stand_anywhere);
	tcase_add_test(c, every_pair_is_made_safe);
	tcase_add_loop_test(c, diag_shapes, 0, COUNT(diags));
	tcase_add_test(c, diag_long_lines_are_windowed);
	tcase_add_test(c, diag_colours);
	tcase_add_test(c, diag_order);
	tcase_add_loop_test(c, nearest, 0, COUNT(near_words));
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
