/*
 * text_facts.c: reads the messages of scripts that nobody specified. It takes what is certainly there and leaves out the rest. It
 * looks at the first line and at most FACT_LIMIT bytes of it, word by word, once.
 */
#include "record/text_facts.h"
#include "record/agent.h"
#include "record/stamp.h"

#include <strings.h>

#define FACT_LIMIT 2048

static const struct {
	const char *type, *words;
} text_types[] = {
	{ "restart_failed", "giving up" },
	{ "restart_failed", "restart failed" },
	{ "restart_failed", "failed to restart" },
	{ "restart_failed", "could not restart" },
	{ "restart_failed", "cannot restart" },
	{ "killed", "killed" },
	{ "killing", "killing" },
	{ "runaway", "runaway" },
	{ "stuck", "stuck" },
	{ "stale", "heartbeat stale" },
	{ "stale", "heartbeat is stale" },
	{ "stale", "stale heartbeat" },
	{ "restarting", "restarting" },
	{ "restarting", "attempting restart" },
	{ "restarting", "attempting to restart" },
	{ "crashed", "crashed" },
	{ "not_running", "not running" },
	{ "commit_gap", "commit gap" },
	{ "restarted", "restarted" },
	{ "restarted", "recovered" },
};

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool equals(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static struct span first_line(struct span s)
{
	const char *newline;

	if (s.len > FACT_LIMIT)
		s.len = FACT_LIMIT;
	newline = s.len ? memchr(s.ptr, '\n', s.len) : NULL;
	return newline ? span_of(s.ptr, (size_t)(newline - s.ptr)) : s;
}

/* The word before position at. */
static struct span word_before(struct span s, size_t at)
{
	size_t end = at, start;

	while (end > 0 && s.ptr[end - 1] == ' ')
		end--;
	start = end;
	while (start > 0 && s.ptr[start - 1] != ' ')
		start--;
	return span_of(s.ptr + start, end - start);
}

static bool denied(struct span before)
{
	return equals(before, "no") || equals(before, "not") || equals(before, "0");
}

/* Do these words (small letters) stand at `at`, where a word begins? */
static bool words_at(struct span line, size_t at, const char *words)
{
	size_t n = strlen(words);

	return at + n <= line.len && strncasecmp(line.ptr + at, words, n) == 0 &&
	       (at + n == line.len || !is_word_char(line.ptr[at + n])) && !denied(word_before(line, at));
}

/* The first row of text_types that the line holds; NULL when it holds none. */
static const char *type_of(struct span line)
{
	size_t best = sizeof text_types / sizeof *text_types;

	for (size_t at = 0; at < line.len; at++) {
		char c = (char)(line.ptr[at] | 0x20);

		if ((at > 0 && is_word_char(line.ptr[at - 1])) || c < 'a' || c > 'z')
			continue;
		for (size_t i = 0; i < best; i++) {
			if (c == *text_types[i].words && words_at(line, at, text_types[i].words)) {
				best = i;
				break;
			}
		}
	}
	return best < sizeof text_types / sizeof *text_types ? text_types[best].type : NULL;
}

static struct span take_word(struct span *s)
{
	size_t n = 0;
	struct span word;

	while (s->len > 0 && (*s->ptr == ' ' || *s->ptr == '\t'))
		*s = span_from(*s, 1);
	while (n < s->len && s->ptr[n] != ' ' && s->ptr[n] != '\t')
		n++;
	word = span_of(s->ptr, n);
	*s = span_from(*s, n);
	return word;
}

/* Without brackets, quotes and punctuation around it. */
static struct span bare(struct span s)
{
	while (s.len > 0 && !is_word_char(*s.ptr) && memchr("([{\"'`", *s.ptr, 6))
		s = span_from(s, 1);
	while (s.len > 0 && !is_word_char(s.ptr[s.len - 1]) && memchr(")]}\"'`,.;:!", s.ptr[s.len - 1], 11))
		s.len--;
	return s;
}

static size_t digits(struct span s)
{
	size_t n = 0;

	while (n < s.len && n < 12 && stamp_is_digit(s.ptr[n]))
		n++;
	return n < s.len && is_word_char(s.ptr[n]) ? 0 : n;
}

/* "PID" "4242", "PID=4242", "pid:4242". */
static struct span pid_in(struct span word, struct span next)
{
	size_t n;

	if (word.len < 3 || strncasecmp(word.ptr, "pid", 3) != 0)
		return SPAN("");
	word = span_from(word, 3);
	if (word.len > 1 && (*word.ptr == '=' || *word.ptr == ':')) {
		word = span_from(word, 1);
		n = digits(word);
		return span_of(word.ptr, n);
	}
	if (word.len == 0 || equals(word, ":") || equals(word, "=")) {
		n = digits(next);
		return span_of(next.ptr, n);
	}
	return SPAN("");
}

static void add_number(struct event *e, field_id f, struct span text)
{
	if (text.len > 0 && f != FIELD_NONE && !event_first(e, f))
		event_add(e, f, text, VALUE_NUMBER);
}

static void add_seconds(struct event *e, field_id f, double seconds)
{
	if (f != FIELD_NONE && !event_first(e, f))
		event_add_number(e, f, seconds);
}

/* rig/name, rig/polecats/name …: no path, no file. */
static bool is_agent_word(struct span s, bool *ret_certain)
{
	size_t segments = 1, start = 0;
	struct span last;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '/') {
			if (i == start)
				return false;
			segments++;
			start = i + 1;
		} else if (!is_word_char(s.ptr[i])) {
			return false;
		}
	}
	if (segments < 2 || segments > 3 || start == s.len)
		return false;
	last = span_from(s, start);
	*ret_certain = equals(last, "witness") || equals(last, "refinery") ||
		       (segments == 3 && (memmem(s.ptr, s.len, "/polecats/", 10) || memmem(s.ptr, s.len, "/crew/", 6) ||
					  memmem(s.ptr, s.len, "/dogs/", 6)));
	return *ret_certain || segments == 2;
}

/* Behind these words stands whom it is about. */
static bool leads_to_agent(struct span word)
{
	static const char *const words[] = { "agent",  "polecat",    "crew",	  "killed", "killing", "restarting",
					     "nudging", "restarted", "nudged", "stuck",  "session" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (equals(word, words[i]))
			return true;
	}
	return false;
}

void text_facts_add_pid(struct event *e, struct span message)
{
	struct span line = first_line(message);

	for (size_t at = 0; at + 4 < line.len; at++) {
		struct span rest, word;

		if ((line.ptr[at] | 0x20) != 'p' || (line.ptr[at + 1] | 0x20) != 'i' || (line.ptr[at + 2] | 0x20) != 'd' ||
		    (at > 0 && is_word_char(line.ptr[at - 1])))
			continue;
		rest = span_from(line, at);
		word = bare(take_word(&rest));
		word = pid_in(word, bare(take_word(&rest)));
		if (word.len > 0) {
			add_number(e, FIELD_PID, word);
			return;
		}
	}
}

void text_facts_add(struct event *e, const struct shape_fields *f, struct span message)
{
	struct span line = first_line(message), rest = line, before = SPAN(""), word, agent = SPAN(""), role = SPAN("");
	bool first = true, runaway = false;
	const char *type;

	type = type_of(line);
	if (type) {
		event_add(e, FIELD_TYPE, span_from_string(type), VALUE_STRING);
		runaway = strcmp(type, "runaway") == 0;
	}
	word = take_word(&rest);
	while (word.len > 0) {
		struct span behind = rest, next = take_word(&rest), b = bare(word);
		bool certain = false;
		double seconds;

		add_number(e, FIELD_PID, pid_in(b, bare(next)));
		if (b.len > 8 && strncasecmp(b.ptr, "runtime", 7) == 0 && (b.ptr[7] == '=' || b.ptr[7] == ':')) {
			if (seconds_of(span_from(b, 8), &seconds))
				add_seconds(e, FIELD_RUNTIME, seconds);
			else if (digits(span_from(b, 8)) == b.len - 8)
				add_number(e, FIELD_RUNTIME, span_from(b, 8));
		} else if (seconds_of(b, &seconds)) {
			if (*word.ptr == '(' && (equals(bare(next), "old") || equals(bare(next), "ago")))
				add_seconds(e, f->age, seconds);
			else if ((*word.ptr == '(' && word.ptr[word.len - 1] == ')') || equals(before, "for") ||
				 equals(before, "after") || equals(before, "runtime"))
				add_seconds(e, FIELD_RUNTIME, seconds);
		}
		if (agent.len == 0 && is_agent_word(b, &certain) && (certain || first || leads_to_agent(before)))
			agent = b;
		if (role.len == 0 && (equals(b, "deacon") || equals(b, "mayor") || equals(b, "hq-deacon") || equals(b, "hq-mayor")))
			role = b;
		if (runaway && equals(word, "-") && event_first(e, FIELD_PID)) {
			struct span command = behind;

			while (command.len > 0 && *command.ptr == ' ')
				command = span_from(command, 1);
			if (command.len > 0)
				event_add(e, FIELD_COMMAND, command, VALUE_STRING);
			break;
		}
		first = false;
		before = b;
		word = next;
	}
	if (agent.len == 0)
		agent = role;
	if (agent.len > 0 && !event_first(e, FIELD_AGENT))
		agent_add(e, agent);
}
