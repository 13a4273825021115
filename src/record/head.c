/*
 * head.c: takes a line's head apart. It decides by shape alone and from left to right: what is not recognised is message.
 * It never fails; a line without any head is all message.
 */
#include "record/head.h"
#include "record/stamp.h"

#include <strings.h>

#define TAG_LIMIT 64

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span skip_blanks(struct span s)
{
	while (s.len > 0 && is_blank(*s.ptr))
		s = span_from(s, 1);
	return s;
}

static struct span take_word(struct span *s)
{
	size_t n = 0;
	struct span word;

	while (n < s->len && s->ptr[n] != ' ' && s->ptr[n] != '\n')
		n++;
	word = span_of(s->ptr, n);
	*s = span_from(*s, n);
	return word;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || c == '/' || c == '@';
}

size_t level_word(struct span s)
{
	static const char *const words[] = { "CRITICAL", "WARNING", "NOTICE", "FATAL", "ERROR", "ALERT", "EMERG", "DEBUG",
					     "TRACE",	 "INFO",    "WARN",   "CRIT",  "ERR" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t n = strlen(words[i]);

		if (s.len < n || (*s.ptr | 0x20) != (*words[i] | 0x20) || strncasecmp(s.ptr, words[i], n) != 0 || (s.len > n && is_name_char(s.ptr[n])))
			continue;
		/* "Error", "ERROR" and "error", but not "eRRor". */
		return n;
	}
	return 0;
}

/* "<13>", and the version of RFC 5424 behind it. */
static struct span skip_priority(struct span s, struct head *ret)
{
	size_t i = 1;

	if (s.len < 3 || *s.ptr != '<')
		return s;
	while (i < s.len && i < 4 && stamp_is_digit(s.ptr[i]))
		i++;
	if (i == 1 || i == s.len || s.ptr[i] != '>')
		return s;
	s = span_from(s, i + 1);
	if (s.len > 2 && *s.ptr == '1' && s.ptr[1] == ' ') {
		ret->rfc5424 = true;
		s = span_from(s, 2);
	}
	return s;
}

/* A stamp at the start of *s; " UTC" and the like behind it belong to it. */
static bool take_stamp(struct span *s, struct head *ret)
{
	size_t n = civil_parse(*s, &ret->stamp);
	struct span rest;

	if (n == 0)
		return false;
	ret->stamped = true;
	ret->stamp_at = s->ptr;
	ret->stamp_len = n;
	rest = span_from(*s, n);
	if (!ret->stamp.has_zone && ret->stamp.year != 0 &&
	    (span_starts_with(rest, SPAN(" UTC")) || span_starts_with(rest, SPAN(" GMT"))) &&
	    (rest.len == 4 || !is_name_char(rest.ptr[4]))) {
		ret->stamp.has_zone = true;
		ret->stamp.zone_offset_s = 0;
		ret->stamp_len += 4;
		rest = span_from(rest, 4);
	}
	*s = rest;
	return true;
}

/* "[stamp]", "[LEVEL]" or "[tag]" at the start of *s. */
static bool take_brackets(struct span *s, struct head *ret)
{
	struct span inner = span_from(*s, 1), content;
	const char *close;

	if (!ret->stamped) {
		struct head saved = *ret;
		struct span rest = inner;

		if (take_stamp(&rest, ret)) {
			if (rest.len > 0 && *rest.ptr == ']') {
				*s = span_from(rest, 1);
				return true;
			}
			*ret = saved;
		}
	}
	close = memchr(inner.ptr, ']', inner.len < TAG_LIMIT ? inner.len : TAG_LIMIT);
	if (!close || close == inner.ptr)
		return false;
	content = span_of(inner.ptr, (size_t)(close - inner.ptr));
	if (memchr(content.ptr, '[', content.len) || memchr(content.ptr, '\n', content.len))
		return false;
	if (level_word(content) == content.len) {
		if (ret->level.len > 0)
			return false;
		ret->level = content;
	} else {
		if (ret->tag.len > 0)
			return false;
		ret->tag = content;
	}
	*s = span_from(*s, content.len + 2);
	if (s->len > 0 && *s->ptr == ':')
		*s = span_from(*s, 1);
	return true;
}

struct span head_prefix(struct span line, struct head *ret)
{
	struct span rest;

	*ret = (struct head){ .tag = SPAN(""), .level = SPAN(""), .host = SPAN(""), .program = SPAN(""),
			      .pid = SPAN(""), .logger = SPAN(""), .message = SPAN("") };
	rest = skip_priority(skip_blanks(line), ret);
	for (;;) {
		rest = skip_blanks(rest);
		if (rest.len == 0)
			break;
		if (!ret->stamped && take_stamp(&rest, ret))
			continue;
		if (*rest.ptr != '[' || !take_brackets(&rest, ret))
			break;
	}
	return rest;
}

/* "program[pid]:" or "program:" at the start of *s. */
static bool take_program(struct span *s, bool want_pid, struct head *ret)
{
	struct span rest = *s, program, pid = SPAN("");
	size_t n = 0;

	while (n < rest.len && n < TAG_LIMIT && is_name_char(rest.ptr[n]))
		n++;
	program = span_of(rest.ptr, n);
	rest = span_from(rest, n);
	if (rest.len > 0 && *rest.ptr == '[') {
		n = 1;
		while (n < rest.len && stamp_is_digit(rest.ptr[n]))
			n++;
		if (n == 1 || n > 12 || n == rest.len || rest.ptr[n] != ']')
			return false;
		pid = span_of(rest.ptr + 1, n - 1);
		rest = span_from(rest, n + 1);
	}
	if (program.len == 0 || (want_pid && pid.len == 0) || rest.len == 0 || *rest.ptr != ':')
		return false;
	ret->program = program;
	ret->pid = pid;
	*s = skip_blanks(span_from(rest, 1));
	return true;
}

/* "host program[pid]:", or the program alone. */
static bool take_syslog(struct span *s, bool want_pid, struct head *ret)
{
	struct span rest = *s, host;

	if (take_program(s, want_pid, ret))
		return true;
	host = take_word(&rest);
	if (host.len == 0 || host.len > 255 || !is_name_char(*host.ptr) || host.ptr[host.len - 1] == ':')
		return false;
	rest = skip_blanks(rest);
	if (!take_program(&rest, want_pid, ret))
		return false;
	ret->host = host;
	*s = rest;
	return true;
}

/* RFC 5424 behind the stamp: host program pid msgid data message; "-" where nothing is known. */
static struct span take_rfc5424(struct span s, struct head *ret)
{
	struct span *parts[] = { &ret->host, &ret->program, &ret->pid, NULL };

	for (size_t i = 0; i < 4; i++) {
		struct span word;

		s = skip_blanks(s);
		word = take_word(&s);
		if (parts[i] && !span_equal(word, SPAN("-")))
			*parts[i] = word;
	}
	for (size_t i = 0; i < ret->pid.len; i++) {
		if (!stamp_is_digit(ret->pid.ptr[i])) {
			ret->pid = SPAN("");
			break;
		}
	}
	s = skip_blanks(s);
	if (s.len > 0 && *s.ptr == '-')
		return skip_blanks(span_from(s, 1));
	while (s.len > 0 && *s.ptr == '[') { /* structured data; a quote hides brackets, a backslash a quote */
		bool quoted = false;
		size_t i = 1;

		for (; i < s.len && (quoted || s.ptr[i] != ']'); i++) {
			if (s.ptr[i] == '\\' && i + 1 < s.len)
				i++;
			else if (s.ptr[i] == '"')
				quoted = !quoted;
		}
		s = span_from(s, i < s.len ? i + 1 : i);
	}
	return skip_blanks(s);
}

/* "- logger - LEVEL - message", what Python's usual format puts behind the stamp. */
static bool take_python(struct span *s, struct head *ret)
{
	struct span rest = *s, logger;
	const char *dash;
	size_t n;

	if (!span_starts_with(rest, SPAN("- ")))
		return false;
	rest = span_from(rest, 2);
	dash = memmem(rest.ptr, rest.len < 128 ? rest.len : 128, " - ", 3);
	if (!dash)
		return false;
	logger = span_of(rest.ptr, (size_t)(dash - rest.ptr));
	n = level_word(rest);
	if (n != logger.len) { /* with a logger before the level */
		rest = span_from(rest, logger.len + 3);
		n = level_word(rest);
	} else {
		logger = SPAN("");
	}
	if (n == 0 || !span_starts_with(span_from(rest, n), SPAN(" - ")))
		return false;
	ret->level = span_of(rest.ptr, n);
	ret->logger = logger;
	*s = span_from(rest, n + 3);
	return true;
}

/* "ERROR: ", "WARNING:root:", "INFO " at the start of *s. Words of other than capital letters need their colon. */
static void take_level(struct span *s, struct head *ret)
{
	size_t n = level_word(*s);
	struct span rest = span_from(*s, n);

	if (n == 0 || rest.len == 0 || (*rest.ptr != ':' && (*rest.ptr != ' ' || s->ptr[n - 1] > 'Z')))
		return;
	ret->level = span_of(s->ptr, n);
	if (*rest.ptr == ':') {
		size_t name = 1;

		while (name < rest.len && is_name_char(rest.ptr[name]))
			name++;
		if (name > 1 && name < rest.len && rest.ptr[name] == ':' && !ret->stamped) {
			ret->logger = span_of(rest.ptr + 1, name - 1);
			rest = span_from(rest, name);
		}
		rest = span_from(rest, 1);
	}
	*s = skip_blanks(rest);
}

void head_parse(struct span line, bool syslog, struct head *ret)
{
	struct span rest = head_prefix(line, ret);

	if (ret->stamped && ret->rfc5424) {
		rest = take_rfc5424(rest, ret);
	} else if (ret->stamped && !take_python(&rest, ret)) {
		bool certain = syslog || ret->stamp.year == 0;

		/* "stamp Witness failed: …" is no host and program; "stamp host cron[17]: …" is. */
		if (!take_syslog(&rest, !certain, ret) && syslog) {
			ret->host = take_word(&rest);
			rest = skip_blanks(rest);
		}
	}
	if (ret->level.len == 0)
		take_level(&rest, ret);
	ret->message = rest;
}
