/*
 * commands.c: the responses as lines for a POSIX shell.
 *
 * Invariant: a shell that reads the line runs one simple command with exactly the rule's words as its arguments, whatever bytes
 * are in them. quote_shell() sees to each word; what is left to decide here is the first word, which a shell reads
 * differently: unquoted it may be an assignment (a=b) or a reserved word (if, time).
 *
 * A newline inside a word stays inside its quotes, so that a command may span lines of text; it is still one command.
 */
#include "emit/formats.h"
#include "base/quote.h"

/* Of POSIX (XCU 2.4) and of bash, ksh and zsh; { } ! [[ are quoted for their characters. */
static const char *const reserved_words[] = {
	"case", "coproc", "do", "done", "elif", "else", "end", "esac", "fi", "for", "foreach",
	"function", "if", "in", "namespace", "nocorrect", "repeat", "select", "then", "time", "until", "while",
};

static bool first_needs_quotes(struct span word)
{
	if (memchr(word.ptr, '=', word.len))
		return true;
	for (size_t i = 0; i < sizeof reserved_words / sizeof *reserved_words; i++)
		if (span_equal(word, span_from_string(reserved_words[i])))
			return true;
	return false;
}

bool emit_command(struct buffer *out, const struct span *words)
{
	size_t start;

	if (!words[0].ptr)
		return false;
	/* Rules refuse a NUL when they render a word; here a shell would silently cut or drop it, so refuse it again. */
	for (size_t i = 0; words[i].ptr; i++)
		if (memchr(words[i].ptr, '\0', words[i].len))
			return false;

	start = out->len;
	quote_shell(out, words[0]);
	if (out->len - start == words[0].len && first_needs_quotes(words[0])) {
		/* It stands as it is, so it holds no quote itself. */
		out->len = start;
		buffer_append_char(out, '\'');
		buffer_append_span(out, words[0]);
		buffer_append_char(out, '\'');
	}
	for (size_t i = 1; words[i].ptr; i++) {
		buffer_append_char(out, ' ');
		quote_shell(out, words[i]);
	}
	return true;
}

void emit_commands(struct buffer *out, const struct change *c)
{
	for (size_t i = 0; i < c->n_commands; i++)
		if (emit_command(out, c->commands[i]))
			buffer_append_char(out, '\n');
}
