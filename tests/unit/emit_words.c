/*
 * emit_words.c: the C half of shell-words.tap and schema.tap.
 *
 *	emit_words generate SEED N   commands of hostile words, N of them random, as lists (see below)
 *	emit_words big SEED          commands for the shell's own printf, too big for exec
 *	emit_words commands          lists from standard input → what `-o commands` says
 *	emit_words expect            lists from standard input → what show_argv must print
 *	emit_words expect-printf     lists from standard input → what the shell's printf must print
 *	emit_words names             the first words that generate uses, one a line
 *	emit_words jsonl SEED N      N state changes of hostile strings → what `-o jsonl` says
 *
 * A list is the number of its words in decimal and then the words, each ended by a NUL.
 */
#include "base/memory.h"
#include "emit/emitter.h"
#include "emit_random.h"
#include <stdio.h>
#include <stdlib.h>

#define WORDS_LIMIT 16
#define ARGUMENT_LIMIT 131071 /* the kernel's for one argument, less its NUL */

/* What a shell takes for something else than a command's name when it stands there unquoted. */
static const char *const first_words[] = {
	"show-argv", "if", "then", "do", "done", "fi", "case", "esac", "for", "in", "while", "until", "select", "function", "time", "coproc",
	"{", "}", "!", "[[", "a=b", "PATH=x", "=x", "~", "~root", "-x", "#x", "*", "$HOME", "`x`", "a b", "'", "\"", "\\", "a;b", "&", "2>x",
};
#define N_FIRST_WORDS (sizeof first_words / sizeof *first_words)

static void put_list(const struct span *words, size_t n)
{
	printf("%zu%c", n, 0);
	for (size_t i = 0; i < n; i++) {
		if (words[i].len > 0)
			fwrite(words[i].ptr, 1, words[i].len, stdout);
		putchar(0);
	}
}

static struct span random_bytes(struct random *r, struct arena *a, size_t len)
{
	char *p = arena_alloc(a, len);

	for (size_t i = 0; i < len; i++)
		p[i] = (char)(random_below(r, 30) ? 1 + random_below(r, 255) : (uint64_t)'\''); /* bash is slow at these */
	return span_of(p, len);
}

static void generate(struct random *r, unsigned long n)
{
	struct arena a = ARENA_INIT;
	struct span words[WORDS_LIMIT] = { SPAN("show-argv") };

	for (int c = 1; c < 256; c++) {
		char text[] = { (char)c, 'a', (char)c, 'b', (char)c, (char)c };

		words[1] = span_of(text, 1);
		words[2] = span_of(text + 1, 3);
		words[3] = span_of(text + 4, 2);
		put_list(words, 4);
	}
	for (size_t i = 0; hostile_words[i].ptr; i++) {
		words[1] = words[3] = hostile_words[i];
		words[2] = SPAN("x");
		put_list(words, 4);
	}
	for (size_t i = 0; i < N_FIRST_WORDS; i++) {
		words[0] = span_from_string(first_words[i]);
		words[1] = SPAN("touch");
		words[2] = SPAN("PWNED");
		put_list(words, 3);
	}
	for (unsigned long i = 0; i < n; i++) {
		size_t n_words = 1 + random_below(r, WORDS_LIMIT - 1);

		words[0] = span_from_string(first_words[random_below(r, 4) ? 0 : random_below(r, N_FIRST_WORDS)]);
		for (size_t j = 1; j < n_words; j++)
			words[j] = random_text(r, &a, false);
		put_list(words, n_words);
		arena_reset(&a);
	}
	words[0] = SPAN("show-argv");
	words[1] = random_bytes(r, &a, 100 * 1024);
	put_list(words, 2);
	words[1] = random_bytes(r, &a, ARGUMENT_LIMIT);
	put_list(words, 2);
	arena_release(&a);
}

static void generate_big(struct random *r)
{
	struct arena a = ARENA_INIT;
	struct span words[3] = { SPAN("printf"), SPAN("%s\\n") };

	words[2] = random_bytes(r, &a, 1024 * 1024);
	put_list(words, 3);
	words[2] = SPAN("-n");
	put_list(words, 3);
	arena_release(&a);
}

/* The next list of standard input; false at its end. Words live in *storage. */
static bool get_list(struct arena *storage, struct span *words, size_t *ret_n)
{
	static char *line; /* getdelim's */
	static size_t cap;
	ssize_t len = getdelim(&line, &cap, 0, stdin);
	size_t n;

	if (len <= 0)
		return false;
	n = strtoul(line, NULL, 10);
	if (n == 0 || n > WORDS_LIMIT)
		exit(2);
	for (size_t i = 0; i < n; i++) {
		len = getdelim(&line, &cap, 0, stdin);
		if (len <= 0)
			exit(2);
		words[i] = arena_dup_span(storage, span_of(line, (size_t)len - 1));
	}
	words[n] = span_of(NULL, 0);
	*ret_n = n;
	return true;
}

static void put_commands(const struct span *words)
{
	struct rule rule = { .name = "words", .title = "Words" };
	struct change c = { .rule = &rule, .commands = &words, .n_commands = 1 };
	struct emit_options o = { .colour = false };
	struct buffer out = BUFFER_INIT;

	emit_change(&out, EMIT_COMMANDS, &o, &c);
	fwrite(out.data, 1, out.len, stdout);
	buffer_release(&out);
}

static void put_expected(const struct span *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			putchar(' ');
		if (words[i].len == 0)
			putchar('-');
		for (size_t j = 0; j < words[i].len; j++)
			printf("%02x", (unsigned char)words[i].ptr[j]);
	}
	putchar('\n');
}

static void put_jsonl(struct random *r, unsigned long n)
{
	struct field_table fields;
	struct emit_options o = { .fields = &fields };
	struct arena a = ARENA_INIT;
	struct buffer out = BUFFER_INIT;

	field_table_init(&fields);
	for (unsigned long i = 0; i < n; i++) {
		buffer_clear(&out);
		emit_change(&out, EMIT_JSONL, &o, random_change(r, &a));
		fwrite(out.data, 1, out.len, stdout);
		arena_reset(&a);
	}
	buffer_release(&out);
	arena_release(&a);
	field_table_release(&fields);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct random r = { .state = argc > 2 ? strtoull(argv[2], NULL, 10) : 0 };
	unsigned long n = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	struct arena a = ARENA_INIT;
	struct span words[WORDS_LIMIT + 1];
	size_t n_words;

	if (strcmp(verb, "generate") == 0) {
		generate(&r, n);
	} else if (strcmp(verb, "big") == 0) {
		generate_big(&r);
	} else if (strcmp(verb, "names") == 0) {
		for (size_t i = 0; i < N_FIRST_WORDS; i++)
			puts(first_words[i]);
	} else if (strcmp(verb, "jsonl") == 0) {
		put_jsonl(&r, n);
	} else if (strcmp(verb, "commands") == 0 || strcmp(verb, "expect") == 0 || strcmp(verb, "expect-printf") == 0) {
		while (get_list(&a, words, &n_words)) {
			if (strcmp(verb, "commands") == 0)
				put_commands(words);
			else if (strcmp(verb, "expect") == 0)
				put_expected(words, n_words);
			else if (n_words == 3)
				printf("%.*s\n", (int)words[2].len, words[2].ptr);
			arena_reset(&a);
		}
	} else {
		fputs("usage: emit_words generate|big|names|commands|expect|expect-printf|jsonl [SEED [N]]\n", stderr);
		return 2;
	}
	arena_release(&a);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
